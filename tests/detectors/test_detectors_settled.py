"""Runs of one group that settled after different numbers of epochs are scored together all the same."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from audit.detectors import catalog, registry
from audit.numerics import metrics
from audit.records.dynamics import Role
from audit.records.progress import silent
from audit.records.run import Probe

SHORT = {"dynacor": {"epochs": 2}}
OF_PROBE = {
    Probe.NONE: {},
    Probe.THRESHOLD: {"n_threshold_parts": 2},
    Probe.CORRUPTED: {"corrupted_fraction": 0.2},
    Probe.PLANTED: {"planted_fraction": 0.1},
}


def stopped(run, n_epochs):
    """Return a run that settled after some of its epochs: its settings name all of them."""
    signals = {name: values[:n_epochs] for name, values in run.signals.items()}
    return replace(
        run, signals=signals, config=replace(run.config, stop_when_stable=True, epochs=run.n_epochs)
    )


@pytest.fixture(scope="module")
def made(planted):
    return {
        probe: planted.make(n_epochs=16, n_samples=900, **OF_PROBE[probe]) for probe in OF_PROBE
    }


@pytest.mark.parametrize("name", catalog.names())
def test_every_method_scores_every_sample_of_runs_that_stopped_apart(made, name):
    whole = made[catalog.entry(name).needs.probe]
    runs = [stopped(run, 12 + 2 * number) for number, run in enumerate(whole.runs)]
    detector = registry.build(name, SHORT.get(name))
    answer, answer_whole = (detector.score(some, silent) for some in (runs, whole.runs))
    assert_array_equal(np.isnan(answer.suspicion), np.isnan(answer_whole.suspicion))
    assert answer.epochs == {}, "the runs have come to their end"
    area = metrics.roc_auc(answer.suspicion, whole.is_wrong)
    # The LSTM wants fifteen epochs at least, and says so.
    assert area > metrics.roc_auc(answer_whole.suspicion, whole.is_wrong) - 0.1


def test_aum_averages_each_part_over_its_own_epochs(made):
    whole = made[Probe.THRESHOLD]
    first, second = (stopped(run, n) for run, n in zip(whole.runs, (9, 14), strict=True))
    answer = registry.build("aum").score([first, second], silent)
    sample = next(
        int(sample)
        for sample in range(first.n_samples)
        if all(run.role[sample] == Role.GIVEN for run in (first, second))
    )
    expected = np.mean([run.signals["margin"][1:, sample].mean() for run in (first, second)])
    assert_allclose(answer.quantity[sample], expected, rtol=1e-6)
