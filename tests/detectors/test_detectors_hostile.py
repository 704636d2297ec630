"""Datasets and trainings at the edges: every detector answers as promised or says why it cannot."""

import json
import warnings
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from audit.detectors import catalog, registry
from audit.errors import NotFoundError, UnreliableError
from audit.records.dynamics import Role
from audit.records.progress import silent
from audit.records.run import Probe

NAMES = catalog.names()
OF_PROBE = {
    Probe.NONE: {},
    Probe.THRESHOLD: {"n_threshold_parts": 2},
    Probe.CORRUPTED: {"corrupted_fraction": 0.2},
    Probe.PLANTED: {"planted_fraction": 0.1},
}
SHORT = {"dynacor": {"epochs": 2}}
"""Settings under which a detector that trains a network of its own trains it for a moment only."""

every_detector = pytest.mark.parametrize("name", NAMES)


def build(name):
    try:
        return registry.build(name, SHORT.get(name))
    except NotFoundError as error:
        pytest.skip(f"{name} needs a file that is not here: {error}")


@pytest.fixture(scope="module")
def make(planted):
    """Give the runs that a detector needs, made once per probe and settings."""
    known = {}

    def runs_for(name, **settings):
        probe = catalog.entry(name).needs.probe
        key = (probe, *sorted(settings.items()))
        if key not in known:
            known[key] = planted.make(
                **{"n_samples": 300, "n_untrained": 7, **settings}, **OF_PROBE[probe]
            )
        return known[key].runs

    return runs_for


def answer(name, runs):
    """Return a detector's scores after looking at all that it promises; ``None`` where it refused.

    A refusal is one sentence about a run. Arithmetic that numpy warns of is a failure.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        try:
            scores = build(name).score(runs, silent)
        except UnreliableError as error:
            text = str(error)
            assert any(run.run_id in text for run in runs), text
            assert "\n" not in text
            assert text.endswith(".")
            assert catalog.entry(name).has_cut, f"a mere ranking must not refuse: {text}"
            return None
    given = np.full(runs[0].n_samples, -1)
    for run in runs:
        rows = run.rows(Role.GIVEN)
        given[run.sample[rows]] = run.assigned_label[rows]
    is_scored = ~np.isnan(scores.suspicion)
    assert not is_scored[given < 0].any()
    assert_array_equal(np.isnan(scores.quantity), ~is_scored)
    assert is_scored.sum() == (given >= 0).sum()
    assert scores.suspicion[is_scored].min() >= 0
    assert scores.suspicion[is_scored].max() <= 1
    assert np.isfinite(scores.quantity[is_scored]).all()
    sign = -1 if catalog.entry(name).low_is_suspect else 1
    order = np.argsort(sign * scores.quantity[is_scored], kind="stable")
    assert (np.diff(scores.suspicion[is_scored][order]) >= 0).all()
    assert scores.suggested_label.max() < runs[0].n_classes
    assert (scores.suggested_label[is_scored] != given[is_scored]).all()
    assert (scores.suggested_label[~is_scored] == -1).all()
    if scores.flagged is not None:
        assert not scores.flagged[~is_scored].any()
        assert np.isfinite(scores.threshold)
    json.dumps(dict(scores.details), allow_nan=False)
    return scores


def only(run, keep):
    """Return a run without the rows of samples that are not kept, (N,) bool."""
    rows = keep[run.sample]
    table = run.mean_probabilities
    return replace(
        run,
        sample=run.sample[rows],
        assigned_label=run.assigned_label[rows],
        role=run.role[rows],
        signals={key: values[:, rows] for key, values in run.signals.items()},
        mean_probabilities=replace(table, classes=table.classes[rows], values=table.values[rows]),
    )


@every_detector
@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({"n_classes": 2}, id="two classes"),
        pytest.param({"n_classes": 1000, "n_samples": 1207}, id="a thousand classes"),
        pytest.param({"noise_rate": 0.0}, id="all labels right"),
        pytest.param({"noise_rate": 1.0}, id="all labels wrong"),
        pytest.param({"n_epochs": 5}, id="five epochs"),
        pytest.param({"n_epochs": 1000, "n_samples": 107}, id="a thousand epochs"),
        pytest.param({"n_samples": 27}, id="twenty samples"),
    ],
)
def test_an_odd_dataset_or_training_is_answered_or_refused_with_a_reason(name, settings, make):
    answer(name, make(name, **settings))


@every_detector
def test_a_class_with_a_single_sample_is_answered(name, make, planted):
    probe = catalog.entry(name).needs.probe
    given = planted.make(n_samples=300, n_untrained=7, **OF_PROBE[probe]).given_labels
    keep = given != 4
    keep[np.flatnonzero(given == 4)[0]] = True
    scores = answer(name, [only(run, keep) for run in make(name)])
    assert scores is not None


@every_detector
def test_ordinary_dynamics_are_never_refused(name, make):
    assert answer(name, make(name)) is not None


@every_detector
def test_rows_that_never_change_are_answered_or_refused_with_a_reason(name, make):
    runs = [
        replace(
            run,
            signals={key: np.repeat(v[-1:], len(v), axis=0) for key, v in run.signals.items()},
        )
        for run in make(name)
    ]
    answer(name, runs)


@every_detector
@pytest.mark.parametrize("margin", [-2.0, 0.0, 2.0])
def test_rows_that_are_all_alike_are_tied_or_refused_with_a_reason(name, margin, make):
    probability = 1 / (1 + np.exp(-margin))
    level = {"margin": margin, "given_probability": probability, "loss": -np.log(probability)}
    runs = []
    for run in make(name):
        signals = {key: np.full_like(v, level.get(key, v[0, 0])) for key, v in run.signals.items()}
        table = run.mean_probabilities
        even = np.full_like(table.values, 1 / run.n_classes)
        runs.append(replace(run, signals=signals, mean_probabilities=replace(table, values=even)))
    scores = answer(name, runs)
    if scores is not None:
        assert len(np.unique(scores.suspicion[~np.isnan(scores.suspicion)])) == 1


WITH_SIGNALS = [(name, signal) for name in NAMES for signal in catalog.entry(name).needs.signals]


@pytest.mark.parametrize(("name", "signal"), WITH_SIGNALS)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_named_or_a_gap_that_is_filled(name, signal, value, make):
    # Of the last run: the first may serve as a reference only.
    *others, run = make(name)
    values = run.signals[signal].copy()
    (row,) = np.flatnonzero((run.sample == 41) & (run.role != Role.CORRUPTED))
    values[3, row] = value
    runs = [*others, replace(run, signals={**run.signals, signal: values})]
    try:
        scores = build(name).score(runs, silent)
    except UnreliableError as error:
        text = str(error)
        assert all(words in text for words in (run.run_id, "epoch 4", "sample 41")), text
        return
    assert np.isnan(value), "an infinity is no gap"
    assert np.isfinite(scores.suspicion[41])


@pytest.mark.parametrize(
    "name", [name for name in NAMES if catalog.entry(name).needs.mean_probabilities]
)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_mean_probability_that_is_not_finite_is_refused_with_run_and_sample(name, value, make):
    (run,) = make(name)
    table = run.mean_probabilities
    values = table.values.copy()
    values[41, 2] = value
    broken = replace(run, mean_probabilities=replace(table, values=values))
    with pytest.raises(UnreliableError, match=rf"{run.run_id}.*sample 41"):
        build(name).score([broken], silent)


@every_detector
def test_two_detectors_built_alike_give_the_same_bytes(name, make):
    runs = make(name)
    first, second = (build(name).score(runs, silent) for _ in range(2))
    for field in ("suspicion", "quantity", "suggested_label", "flagged", "precision"):
        one, other = getattr(first, field), getattr(second, field)
        assert (one is None) == (other is None)
        assert one is None or one.tobytes() == other.tobytes()
    assert first.threshold == second.threshold
    assert first.messages == second.messages
    assert json.dumps(dict(first.details)) == json.dumps(dict(second.details))
