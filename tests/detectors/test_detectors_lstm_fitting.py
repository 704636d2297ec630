"""Fitting an LSTM noise detector: it learns, it repeats itself, and what collapsed is refused."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from audit.detectors.lstm import fitting, network, sequences
from audit.detectors.lstm.fitting import Material
from audit.errors import StoppedError, UnreliableError
from audit.numerics import calibration, metrics
from audit.records.dynamics import Role
from audit.records.progress import silent

SHORT = replace(fitting.STABLE, least_steps=250, least_passes=2, n_seeds=2)
"""Enough for these easy sequences; shipped weights take twenty times as many steps."""


def material(planted, *, channels=("q",), **settings):
    made = planted.make(**{"n_samples": 900, "n_epochs": 8, "noise_rate": 0.3} | settings)
    rows = made.runs[0].rows(Role.GIVEN)
    found, _ = sequences.of_rows(made.runs[0], rows, channels)
    return Material(sequences=found, is_wrong=made.is_wrong[rows])


@pytest.fixture(scope="module")
def learnt(planted):
    return fitting.fit([material(planted)], recipe=SHORT, seed=0, report=silent)


def test_a_detector_learns_what_wrong_labels_look_like(learnt, planted):
    assert learnt.roc_auc > 0.9
    other = material(planted, seed=8, noise_rate=0.1)
    logits = network.logits(network.of_tensors(learnt.tensors, 1), other.sequences)
    # A random order reaches .1; the mean probability reaches .84 on these data.
    assert metrics.average_precision(logits, other.is_wrong) > 0.8


def test_the_best_of_the_seeds_is_kept(learnt):
    assert len(learnt.of_seeds) == 2
    assert learnt.seed == int(np.argmax(learnt.of_seeds))
    assert learnt.steps > 0


def test_probabilities_are_calibrated_on_labels_that_were_not_trained_on(learnt, planted):
    other = material(planted, seed=9)
    logits = network.logits(network.of_tensors(learnt.tensors, 1), other.sequences)
    odds = learnt.calibration.log_odds(logits)
    # 900 labels of 30 % leave a standard error of 1.5 %, the 180 held-out ones one of 3.4 %.
    assert_allclose(calibration.probabilities(odds).mean(), other.is_wrong.mean(), atol=0.09)
    flagged = calibration.probabilities(odds) >= learnt.threshold
    assert metrics.flag_quality(flagged, other.is_wrong).f1 > 0.75


def test_the_same_seed_gives_the_same_weights_to_the_bit_and_another_others(planted):
    data = [material(planted)]
    recipe = replace(SHORT, least_steps=120, n_seeds=1)

    def made(seed):
        return fitting.fit(data, recipe=recipe, seed=seed, report=silent)

    first, again, other = made(0), made(0), made(1)
    for name, tensor in first.tensors.items():
        assert_array_equal(again.tensors[name], tensor)
    assert not torch.equal(other.tensors["head.weight"], first.tensors["head.weight"])


def test_sequences_without_any_difference_are_refused_as_collapsed():
    rng = np.random.default_rng(0)
    data = Material(sequences=np.full((600, 6, 1), 0.5, np.float32), is_wrong=rng.random(600) < 0.3)
    recipe = replace(SHORT, least_steps=20, n_seeds=1)
    with pytest.raises(
        UnreliableError, match=r"ROC AUC of 0\.50 on held-out labels, at least 0\.8"
    ):
        fitting.fit([data], recipe=recipe, seed=0, report=silent)


def test_sequences_that_have_nothing_to_do_with_the_labels_are_refused():
    rng = np.random.default_rng(0)
    data = Material(
        sequences=rng.random((600, 6, 1)).astype(np.float32), is_wrong=rng.random(600) < 0.3
    )
    recipe = replace(SHORT, least_steps=20, n_seeds=1)
    with pytest.raises(UnreliableError, match="No detector learnt"):
        fitting.fit([data], recipe=recipe, seed=0, report=silent)


def test_too_few_planted_labels_are_refused_with_their_number(planted):
    with pytest.raises(UnreliableError, match=r"holds \d planted wrong labels and \d+ others"):
        fitting.fit(
            [material(planted, n_samples=120, noise_rate=0.1)],
            recipe=SHORT,
            seed=0,
            report=silent,
        )


def test_at_least_five_thousand_steps_and_ten_passes_are_planned():
    assert fitting.STABLE.least_steps >= 5000
    assert fitting.STABLE.least_passes >= 10
    assert fitting.STABLE.n_seeds == 3


def test_steps_are_made_up_for_where_data_are_few(planted):
    told = []
    recipe = replace(SHORT, least_steps=100, n_seeds=1, batch_size=16)
    fitting.fit(
        [material(planted)],
        recipe=recipe,
        seed=0,
        report=lambda fraction, message: told.append(message),
    )
    # 720 sequences are 45 steps a pass: three passes reach a hundred.
    assert any("of 135" in message for message in told)


def test_runs_of_different_lengths_are_learnt_from_together(planted):
    both = [material(planted, n_epochs=5, n_samples=500), material(planted, n_samples=500)]
    recipe = replace(SHORT, n_seeds=1, least_steps=120)
    found = fitting.fit(both, recipe=recipe, seed=0, report=silent)
    assert found.roc_auc > 0.8


def test_going_on_from_weights_begins_with_them(planted, learnt):
    recipe = replace(SHORT, n_seeds=1, least_steps=1, least_passes=1, learning_rate=1e-12)
    found = fitting.fit(
        [material(planted, seed=4)],
        recipe=replace(recipe, weight_decay=0.0),
        seed=0,
        report=silent,
        start=learnt.tensors,
    )
    for name, tensor in learnt.tensors.items():
        assert_allclose(found.tensors[name], tensor, atol=1e-6)


def test_progress_rises_and_a_wish_to_stop_is_heard(planted):
    data = [material(planted)]
    recipe = replace(SHORT, least_steps=120, n_seeds=2)
    seen = []
    fitting.fit(data, recipe=recipe, seed=0, report=lambda f, message: seen.append(f))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0

    def stop(fraction, message):
        raise StoppedError("Somebody asked to stop.")

    with pytest.raises(StoppedError):
        fitting.fit(data, recipe=recipe, seed=0, report=stop)
