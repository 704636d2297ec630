"""Explanations: exact where a method is a sum over epochs, honest where there is nothing to explain."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from audit.detectors import catalog, explanation, registry
from audit.detectors.protocol import Responder
from audit.errors import InputError, StoppedError, UnreliableError
from audit.records.explanation import Explanation
from audit.records.progress import silent
from audit.records.scores import DetectorSpec, Scores


def scores_of(suspicion, flagged=None):
    suspicion = np.asarray(suspicion, dtype=np.float64)
    return Scores(
        run_ids=("run",),
        spec=DetectorSpec(name="margin", version=1),
        suspicion=suspicion,
        quantity_name="margin",
        quantity=-suspicion,
        suggested_label=np.full(len(suspicion), -1, dtype=np.int32),
        flagged=None if flagged is None else np.asarray(flagged),
    )


def explained(runs, sample, name="margin", report=silent, **params):
    detector = registry.build(name, params)
    scores = detector.score(runs, silent)
    responder = detector.responder(runs, sample)
    return explanation.explain(responder, scores, scores_id="id", report=report)


@pytest.fixture(scope="module")
def run(planted):
    return planted.make(n_samples=300, n_epochs=20).runs[0]


def test_an_average_margin_is_explained_epoch_by_epoch_exactly(run):
    found = explained([run], 7)
    margins = run.signals["margin"].astype(float)
    row = int(np.flatnonzero(run.sample == 7)[0])
    suspicion = registry.build("margin").score([run], silent).suspicion
    rows = np.flatnonzero((suspicion <= np.median(suspicion)) & (np.arange(300) != row))
    own_class = rows[run.assigned_label[rows] == run.assigned_label[row]]
    assert len(own_class) >= explanation.LEAST_OF_CLASS
    usual = np.median(margins[:, own_class], axis=1)
    expected = -(margins[:, row] - usual) / 19
    expected[0] = 0.0  # left out by the method
    # The ridge shrinks by about a half percent.
    assert_allclose(found.importance, expected, rtol=0.02, atol=0.004)
    assert found.r_squared > 0.999
    assert found.is_reliable
    assert (found.baseline_rows, found.baseline_label) == (
        len(own_class), int(run.assigned_label[row]),
    )  # fmt: skip
    assert found.blocks == tuple((epoch, epoch) for epoch in range(1, 21))
    assert_allclose(found.suspicion, suspicion[7], atol=1e-9)
    occluded = 1 / (1 + np.exp(usual[1:].mean()))
    assert_allclose(found.suspicion_occluded, occluded, atol=1e-9)


def test_the_named_epochs_move_the_answer_further_than_random_ones(run, planted):
    wrong = planted.make(n_samples=300, n_epochs=20).is_wrong
    for sample in np.flatnonzero(wrong)[:5]:
        told = explained([run], int(sample)).faithfulness
        assert len(told.blocks) == 2
        assert told.moved > told.moved_at_random
        assert told.share_less > 0.9
        assert told.n_draws >= 100
        assert told.suspicion < explained([run], int(sample)).suspicion


def test_moves_of_the_named_and_of_random_epochs_are_those_of_asking_again(run):
    detector = registry.build("margin")
    responder = detector.responder([run], 7)
    found = explained([run], 7)
    own = run.signals["margin"][:, [responder.row]].astype(float)
    changed = own.copy()
    # What stands in follows from the exact importance of each epoch.
    for block in found.faithfulness.blocks:
        changed[block] += found.importance[block] * 19
    moved = responder.log_odds(changed[None])[0] - responder.log_odds(own[None])[0]
    assert_allclose(abs(moved), found.faithfulness.moved, rtol=0.02)


@pytest.mark.parametrize("name", catalog.names())
def test_the_same_seed_gives_the_same_explanation_and_plain_values(name, planted):
    kinds = {
        "threshold": {"n_threshold_parts": 2},
        "corrupted": {"corrupted_fraction": 0.2},
        "planted": {"planted_fraction": 0.1},
    }
    probe = catalog.entry(name).needs.probe
    made = planted.make(n_samples=300, **kinds.get(str(probe), {}))
    first, second = explained(made.runs, 11, name), explained(made.runs, 11, name)
    assert first == second
    assert Explanation.from_json(first.to_json()) == first
    assert 0 <= first.suspicion <= 1


def test_what_looks_clean_is_what_is_not_flagged_or_else_the_less_suspicious_half(planted):
    run = planted.by_hand(np.zeros((3, 6)), [0] * 6)
    suspicion = [0.9, 0.1, 0.2, np.nan, 0.8, 0.3]
    flagged = np.array([True, False, False, False, False, False])
    assert_array_equal(explanation.clean_looking(run, scores_of(suspicion)), [1, 2, 5])
    assert_array_equal(explanation.clean_looking(run, scores_of(suspicion, flagged)), [1, 2, 4, 5])
    most = np.array([True, True, True, False, False, True])
    assert_array_equal(explanation.clean_looking(run, scores_of(suspicion, most)), [1, 2, 5])


def test_rows_that_were_planted_never_stand_in(planted):
    run = planted.by_hand(np.zeros((3, 4)), [0, 0, 3, 1], roles=[0, 0, 1, 2], samples=[0, 1, 2, 0])
    assert_array_equal(explanation.clean_looking(run, scores_of([0.1, 0.1, 0.1, 0.1])), [0, 1])


def test_few_rows_of_the_class_are_joined_by_the_others(planted):
    margins = np.tile(np.arange(30.0), (4, 1))
    labels = [0] * 5 + [1] * 25
    run = planted.by_hand(margins, labels)
    found = explained([run], 0)
    assert found.baseline_label is None
    assert explained([run], 29).baseline_label is None  # 25 rows, of which only half look clean


@pytest.mark.parametrize("n_epochs", [1, 2, 5, 60, 1000])
def test_few_and_many_epochs_are_explained(n_epochs, planted):
    rng = np.random.default_rng(0)
    run = planted.by_hand(rng.normal(size=(n_epochs, 80)), np.arange(80) % 3)
    found = explained([run], 3, skip_first=0)
    assert found.blocks[0][0] == 1
    assert found.blocks[-1][1] == n_epochs
    assert len(found.blocks) <= 50
    assert (found.faithfulness is None) == (n_epochs == 1)
    assert found.is_reliable


def test_constant_trajectories_leave_nothing_to_explain(planted):
    found = explained([planted.by_hand(np.ones((6, 40)), np.arange(40) % 3)], 5)
    assert found.r_squared is None
    assert not found.is_reliable
    assert found.faithfulness is None
    assert set(found.importance) == {0.0}


def test_an_answer_that_is_no_sum_over_epochs_is_called_unreliable(run):
    def parity(values):
        return ((np.abs(values[:, :, 0] - own).max(axis=1) < 1e-9) | odd(values)).astype(float)

    def odd(values):
        return (np.abs(values[:, :, 0] - own) < 1e-9).sum(axis=1) % 2 == 1

    own = run.signals["margin"][:, 4].astype(float)
    responder = Responder(run=run, row=4, signals=("margin",), answer=parity)
    scores = registry.build("margin").score([run], silent)
    found = explanation.explain(responder, scores, scores_id="id", report=silent)
    assert found.r_squared < 0.3
    assert not found.is_reliable


def test_a_suspicion_too_close_to_one_for_floats_is_explained_all_the_same(planted):
    margins = np.tile(np.linspace(1, 5, 60), (10, 1))
    margins[:, 0] = -200.0
    margins[4, 0] = -900.0
    found = explained([planted.by_hand(margins, np.arange(60) % 3)], 0)
    assert found.suspicion > 1 - 1e-15
    assert found.is_reliable
    assert int(np.argmax(found.importance)) == 4
    assert found.faithfulness.blocks == (4,)


def test_log_ratio_survives_a_probability_that_vanished(planted):
    run = planted.make(n_samples=100).runs[0]
    signals = {name: values.copy() for name, values in run.signals.items()}
    signals["given_probability"][:, 3] = 0.0
    signals["given_logit"][:, 3] = -900.0
    signals["best_other_logit"][:, 3] = 900.0
    run = replace(run, signals=signals)
    responder = registry.build("log_ratio").responder([run], 3)
    own = np.stack([signals[name][:, 3] for name in responder.signals], axis=1)[None]
    # The other class has all the probability, the given one the least that is told from 0.
    assert_allclose(responder.log_odds(own), -np.log(1e-30), rtol=1e-12)
    assert responder.answer(own)[0] > 0.999999


def test_a_dataset_in_which_nothing_looks_clean_is_refused(planted):
    run = planted.by_hand(np.ones((4, 1)), [0])
    with pytest.raises(UnreliableError, match="nothing can stand in"):
        explained([run], 0)


def test_an_answer_that_is_no_number_is_refused_with_the_sample(run):
    responder = Responder(
        run=run, row=4, signals=("margin",), answer=lambda values: np.full(len(values), np.nan)
    )
    scores = registry.build("margin").score([run], silent)
    with pytest.raises(UnreliableError, match="no number when epochs of sample 4"):
        explanation.explain(responder, scores, scores_id="id", report=silent)


def test_a_wish_to_stop_is_heard_between_batches(run):
    def stop(fraction, message):
        if fraction > 0.4:
            raise StoppedError("Somebody asked to stop.")

    with pytest.raises(StoppedError):
        explained([run], 7, report=stop)


def test_progress_rises_to_1(run):
    seen = []
    explained([run], 7, report=lambda fraction, message: seen.append(fraction))
    assert seen == sorted(seen)
    assert (seen[0], seen[-1]) == (0.0, 1.0)


def test_an_explanation_of_another_version_is_refused(run):
    values = explained([run], 7).to_json()
    for change in ({"colour": 1}, {"blocks": 3}, {"importance": [1.0]}):
        with pytest.raises(InputError):
            Explanation.from_json({**values, **change})
    del values["seed"]
    with pytest.raises(InputError, match="explain it again"):
        Explanation.from_json(values)
