"""Fitting as a job: from sealed runs with planted noise to weights that the detector takes."""

from dataclasses import replace

import numpy as np
import pytest

from audit.detectors import registry
from audit.detectors.lstm import card as cards
from audit.detectors.lstm import fitting
from audit.errors import InputError, RefusedError
from audit.jobs import queue
from audit.numerics import metrics, signals
from audit.records.dynamics import Role
from audit.records.progress import silent
from audit.records.run import Probe
from audit.store import datasets as dataset_rows
from audit.store import dynamics
from audit.store.dynamics import DynamicsWriter
from audit.store.recordings import SavedRows
from audit.tasks import fit_lstm
from audit.workbench import datasets
from audit.workbench.datasets import SourceOptions

N, K, T = 800, 4, 8


@pytest.fixture(autouse=True)
def quick_fitting(monkeypatch):
    """Fit one short training instead of three long ones."""
    short = replace(fitting.STABLE, least_steps=200, least_passes=2, n_seeds=1)
    monkeypatch.setattr(fitting, "STABLE", short)
    monkeypatch.setattr(fitting, "TUNING", replace(short, least_steps=20))


@pytest.fixture
def numbers(workspace, tmp_path):
    """Import images that nobody looks at."""
    labels = np.arange(N) % K
    np.savez(tmp_path / "n.npz", images=np.zeros((N, 8, 8), np.uint8), labels=labels)
    stored, _ = datasets.add(workspace, datasets.plan(tmp_path / "n.npz", SourceOptions()))
    return dataset_rows.find(workspace, stored.id)


@pytest.fixture
def recorded(workspace, add_run, numbers):
    """Seal a run whose planted rows are believed less and less, the others more and more."""

    def record(probe=Probe.CONTAMINATED, role=Role.PLANTED_UNIFORM, seed=0):
        run = add_run(numbers, epochs=T, probe=probe, seed=seed)
        rng = np.random.default_rng(seed)
        roles = np.where(rng.random(N) < 0.3, role, Role.GIVEN).astype(np.int8)
        assigned = ((numbers.given_labels + (roles != Role.GIVEN)) % K).astype(np.int32)
        rows = SavedRows(
            n_samples=N,
            n_classes=K,
            sample=np.arange(N),
            assigned_label=assigned,
            role=roles,
        )
        with DynamicsWriter.open(workspace, run, rows) as writer:
            for epoch in range(T):
                logits = rng.normal(0, 1.5, (N, K))
                logits[np.arange(N), numbers.given_labels] += 0.5 * epoch
                writer.write_epoch(epoch, signals.of_epoch(logits, assigned))
            return writer.seal(None)

    return record


@pytest.fixture
def fit_here(workspace, tmp_path):
    """Do a fitting job in this process."""

    def carry_out(*of_runs, **changes):
        arguments = {
            "runs": [run.id for run in of_runs],
            "out": str(tmp_path / "weights"),
            "name": "own",
            "channels": ["q"],
            "seed": 0,
            "start": None,
            "force": False,
            "command": "labeltrace fit-lstm n --out weights",
            "threads": 1,
        }
        job = queue.enqueue(workspace, "fit_lstm", arguments | changes, device="cpu")
        try:
            return fit_lstm.run(workspace, job, silent)
        finally:
            queue.request_stop(workspace, job, launch=lambda workspace, job: None)

    return carry_out


def test_weights_and_card_are_written_and_the_detector_takes_them(
    workspace, recorded, fit_here, tmp_path
):
    run = recorded()
    answer = fit_here(run)
    card = cards.read(tmp_path / "weights" / "own.safetensors")
    assert answer["average_precision"] == card.average_precision > 0.8
    assert (card.n_sequences, card.n_classes, card.train_length) == (N, K, T)
    assert (card.preset, card.architecture, card.schedule) == ("quick", "small", "constant")
    assert card.data == f"n: {N} images, {K} classes"
    assert abs(card.noise_rate - 0.3) < 0.1
    assert card.command == "labeltrace fit-lstm n --out weights"
    assert card.commit

    loaded = dynamics.load(workspace, run)
    is_planted = loaded.role == Role.PLANTED_UNIFORM
    plain = replace(loaded, role=np.zeros(N, np.int8))
    scores = registry.build("lstm", {"weights": answer["weights"]}).score([plain], silent)
    assert metrics.roc_auc(scores.suspicion, is_planted) > 0.9


def test_making_them_again_gives_the_same_weights_and_raises_the_version(
    recorded, fit_here, tmp_path
):
    run = recorded()
    fit_here(run)
    first = cards.read(tmp_path / "weights" / "own.safetensors")
    with pytest.raises(RefusedError, match="exists already; --force replaces it"):
        fit_here(run)
    fit_here(run, force=True)
    again = cards.read(tmp_path / "weights" / "own.safetensors")
    assert (first.version, again.version) == (1, 2)
    assert again.sha256 == first.sha256


def test_it_goes_on_from_weights_of_the_same_channels(recorded, fit_here):
    run = recorded()
    start = fit_here(run)["weights"]
    assert fit_here(run, name="tuned", start=start)["roc_auc"] > 0.8
    with pytest.raises(InputError, match="read q, not q,margin"):
        fit_here(run, name="other", start=start, channels=["q", "margin"])


def test_several_runs_are_learnt_from_together(recorded, fit_here, tmp_path):
    fit_here(recorded(), recorded(seed=1), channels=["q", "margin"])
    card = cards.read(tmp_path / "weights" / "own.safetensors")
    assert card.n_sequences == 2 * N
    assert card.channels == ("q", "margin")


def test_a_run_without_planted_labels_is_refused(recorded, fit_here):
    run = recorded(probe=Probe.NONE, role=Role.GIVEN)
    with pytest.raises(RefusedError, match=f"Run {run.id} has no planted wrong labels"):
        fit_here(run)


def test_a_run_that_waits_has_nothing_to_learn_from(add_run, numbers, fit_here):
    run = add_run(numbers, probe=Probe.CONTAMINATED)
    with pytest.raises(LookupError, match="has no dynamics yet: it is queued"):
        fit_here(run)
