"""The LSTM noise detector on whole runs: weights, cuts, gaps, blocks, runs recorded elsewhere."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from audit.compute import lanes
from audit.detectors import pretrained, registry
from audit.detectors.lstm import card as cards
from audit.detectors.lstm import detector, network, sequences, weights
from audit.errors import InputError, NotFoundError, UnreliableError
from audit.numerics import calibration, metrics
from audit.records.dynamics import Role
from audit.records.progress import silent


@pytest.fixture(scope="module")
def made(planted):
    return planted.make(n_samples=700, n_epochs=20, n_untrained=5)


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """Copy shipped weights of the paper's form to a file of the user's."""
    one = next(card for card in pretrained.shipped_cards() if card.channels == ("q",))
    folder = tmp_path_factory.mktemp("weights")
    loaded = weights.load(pretrained.path_of(one.name))
    digest = weights.write_tensors(folder, "own", network.tensors_of(loaded.network))
    weights.write_card(folder, replace(one, name="own", sha256=digest))
    return folder / "own.safetensors"


def score(run, **params):
    runs = run if isinstance(run, list) else [run]
    return registry.build("lstm", params).score(runs, silent)


def test_the_probability_is_the_calibrated_logit_of_the_sequence(made, own):
    scores = score(made.runs[0], weights=str(own))
    loaded = weights.load(own)
    rows = made.runs[0].rows(Role.GIVEN)
    values, _ = sequences.of_rows(made.runs[0], rows, ("q",))
    odds = loaded.card.calibration.log_odds(network.logits(loaded.network, values))
    assert_allclose(scores.quantity[rows], calibration.probabilities(odds), rtol=1e-12)
    assert_array_equal(scores.suspicion, scores.quantity)
    assert scores.details["weights"] == "own"


def test_what_a_block_holds_does_not_change_a_score_to_the_bit(planted, own):
    big = planted.make(n_samples=network.ROWS_PER_PASS + 300, n_epochs=6).runs[0]
    some = np.arange(900, 1100)
    small = replace(
        big,
        sample=big.sample[some],
        assigned_label=big.assigned_label[some],
        role=big.role[some],
        signals={name: values[:, some] for name, values in big.signals.items()},
        mean_probabilities=None,
    )
    whole, part = score(big, weights=str(own)), score(small, weights=str(own))
    assert_array_equal(part.quantity[some], whole.quantity[some])


def test_scores_are_the_same_to_the_bit_on_one_core_and_on_two(planted, own, monkeypatch):
    run = planted.make(n_samples=3 * network.ROWS_PER_PASS - 70, n_epochs=6).runs[0]
    found = []
    for number in ("1", "2"):
        monkeypatch.setenv(lanes.THREADS, number)
        found.append(score(run, weights=str(own)))
    assert_array_equal(found[0].quantity, found[1].quantity)
    assert found[0].messages == found[1].messages


def test_as_many_are_flagged_as_the_network_would_have_labelled_otherwise(made):
    run = made.runs[0]
    scores = score(run)
    table = run.mean_probabilities.values
    wanted = int((table.argmax(axis=1) != run.assigned_label).sum())
    assert detector.n_disagreements([run], run.n_samples) == wanted
    assert scores.flagged.sum() == wanted
    assert_array_equal(scores.flagged, scores.quantity >= scores.threshold)
    # These margins are no network's; chance would reach an F1 of .15.
    assert metrics.flag_quality(scores.flagged, made.is_wrong).f1 > 0.6


def test_the_cards_own_cut_is_there_on_request_and_for_want_of_probabilities(made, own):
    run = made.runs[0]
    threshold = cards.read(own).threshold
    asked = score(run, weights=str(own), cut="card")
    forced = score(replace(run, mean_probabilities=None), weights=str(own))
    for scores in (asked, forced):
        assert_allclose(scores.threshold, threshold, rtol=1e-12)
        assert_array_equal(scores.flagged, scores.quantity >= scores.threshold)
    assert not any("No average probabilities" in said for said in asked.messages)
    assert any("No average probabilities" in said for said in forced.messages)


def test_a_network_that_agrees_with_every_label_flags_nothing(made):
    run = made.runs[0]
    agreeing = np.eye(run.n_classes, dtype=np.float32)[run.assigned_label]
    table = replace(run.mean_probabilities, values=agreeing)
    assert not score(replace(run, mean_probabilities=table)).flagged.any()


def test_several_runs_are_averaged_by_their_log_odds(planted, made):
    first = made.runs[0]
    rows = first.rows(Role.GIVEN)
    other = np.roll(first.signals["given_probability"], 1, axis=0)
    second = replace(first, run_id="z", signals={**first.signals, "given_probability": other})
    odds = [
        np.log(s.quantity[rows] / (1 - s.quantity[rows])) for s in (score(first), score(second))
    ]
    both = score([second, first])
    expected = calibration.probabilities((odds[0] + odds[1]) / 2)
    assert_allclose(both.quantity[rows], expected, rtol=1e-6)


def test_rows_that_a_probe_planted_are_not_scored(planted):
    run = planted.make(n_samples=300, n_epochs=16, corrupted_fraction=0.2).runs[0]
    alone = replace(
        run,
        sample=run.sample[:300],
        assigned_label=run.assigned_label[:300],
        role=run.role[:300],
        signals={name: values[:, :300] for name, values in run.signals.items()},
        mean_probabilities=None,
    )
    assert_array_equal(score(run).quantity, score(alone).quantity)


def test_gaps_are_interpolated_and_counted(made, own):
    run = made.runs[0]
    q = run.signals["given_probability"].copy()
    line = (q[4] + q[6]) / 2
    q[5] = line
    whole = score(replace(run, signals={"given_probability": q}), weights=str(own))
    q = q.copy()
    q[5] = np.nan
    holed = score(replace(run, signals={"given_probability": q}), weights=str(own))
    assert_allclose(holed.quantity, whole.quantity, rtol=1e-4)
    assert holed.details["n_missing"] == run.n_rows
    assert any(said.startswith(f"{run.n_rows} recorded values were mis") for said in holed.messages)
    assert whole.details["n_missing"] == 0


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_an_infinite_value_is_refused_with_epoch_and_sample(made, value):
    q = made.runs[0].signals["given_probability"].copy()
    q[3, 11] = value
    run = replace(made.runs[0], signals={**made.runs[0].signals, "given_probability": q})
    with pytest.raises(UnreliableError, match=r"infinite in epoch 4 \(sample 11\)"):
        score(run)


def test_resampling_brings_every_run_to_the_learnt_length(planted, own):
    length = cards.read(own).train_length
    run = planted.make(n_samples=200, n_epochs=3).runs[0]
    rows = np.arange(200)
    short, _ = sequences.of_rows(run, rows, ("q",))
    loaded = weights.load(own)
    odds = loaded.card.calibration.log_odds(
        network.logits(loaded.network, sequences.resampled(short, length))
    )
    scores = score(run, weights=str(own), resample="linear")
    assert_allclose(scores.quantity, calibration.probabilities(odds), rtol=1e-12)
    assert scores.spec != score(run, weights=str(own)).spec


def test_altered_weights_make_another_spec_and_old_scores_are_not_taken_for_theirs(made, own):
    before = registry.build("lstm", {"weights": str(own)}).spec
    card = cards.read(own)
    try:
        weights.write_card(own.parent, replace(card, threshold=card.threshold / 2))
        after = registry.build("lstm", {"weights": str(own)}).spec
        assert after.params["weights_digest"] != before.params["weights_digest"]
        with pytest.raises(InputError, match="score the runs again"):
            registry.rebuild(before)
    finally:
        weights.write_card(own.parent, card)
    assert registry.rebuild(before).spec == before


def test_weights_of_an_unknown_name_are_refused_with_those_that_exist():
    names = ", ".join(card.name for card in pretrained.shipped_cards())
    with pytest.raises(NotFoundError, match=f"no shipped weights 'lstm-moon'; there are {names}"):
        registry.build("lstm", {"weights": "lstm-moon"})


def test_probabilities_alone_are_read_by_the_papers_form(made):
    run = made.runs[0]
    signals = {name: run.signals[name] for name in ("given_probability", "loss")}
    scores = score(replace(run, signals=signals, config=None))
    assert scores.details["channels"] == ["q"]
    assert np.isfinite(scores.quantity[run.sample]).all()
    assert any("is not known" in said for said in scores.messages)


@pytest.mark.parametrize("form", ["q", "shipped"])
def test_a_responder_answers_with_the_runs_own_suspicion(made, own, form):
    run = made.runs[0]
    params = {"weights": str(own)} if form == "q" else {}
    built = registry.build("lstm", params)
    scores = built.score([run], silent)
    for sample in (0, 17, 400):
        answers = built.responder([run], sample)
        raw = np.stack([run.signals[n][:, answers.row] for n in answers.signals], axis=-1)
        # A changed epoch is another answer; the recorded ones give the score itself.
        changed = raw.copy()
        changed[-5:, 0] = 1 - changed[-5:, 0]
        own_answer, other = answers.answer(np.stack([raw, changed]))
        assert_allclose(own_answer, scores.suspicion[sample], rtol=1e-9)
        assert own_answer != other
    with pytest.raises(UnreliableError, match="trained sample 699"):
        built.responder([run], 699)
