"""What outlives a worker: killed, cancelled, out of disk, or overtaken by another process."""

import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from audit.compute import vision, weights
from audit.errors import InputError, NotFoundError, RefusedError, StoppedError, TrainingError
from audit.jobs import lock, queue, supervisor
from audit.jobs.launchers import local
from audit.records.job import JobState
from audit.records.progress import silent
from audit.records.run import Precision, Probe, RunState
from audit.store import dynamics, findings, jobs, run_jobs
from audit.store import runs as run_rows
from audit.workbench import datasets, runs
from audit.workbench.datasets import SourceOptions

ROOT = Path(__file__).resolve().parents[2]
TROUBLED = Path(__file__).with_name("tasks_worker.py")


@pytest.fixture
def start(workspace):
    """Queue a run and start a worker of its own for it."""

    def begin(run, launch=local.launch):
        job = runs.enqueue(workspace, run)
        supervisor.start_waiting(workspace, launch=launch)
        return job

    return begin


@pytest.fixture
def state_of(workspace):
    return lambda run: run_rows.find(workspace, run.id).state


def stop_after(n_epochs):
    """Return a report that stops a training in the middle of the epoch after so many."""

    def report(fraction, message):
        if message.startswith(f"epoch {n_epochs + 1} of"):
            raise StoppedError("enough")

    return report


def names_in(workspace, folder):
    return [file.name for file in (workspace.path / folder).iterdir()]


@pytest.mark.slow
def test_trainings_killed_at_random_moments_end_as_if_nothing_had_happened(environment):
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "kills.py", "3", "--seed", "67", "--quick"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["kills"] == 3
    assert facts["identical"] == facts["runs"]
    assert facts["most_epochs_to_repeat"] <= 1


@pytest.mark.parametrize(
    ("precision", "epochs"),
    # Many processors cannot multiply bfloat16 and take as long for one epoch as for ten others.
    [(Precision.FLOAT32, 20), (Precision.BFLOAT16, 6)],
)
def test_a_cancelled_run_goes_on_to_the_same_end(
    workspace, dataset, add_run, train_here, contents, start, until, state_of, precision, epochs
):
    whole, run = (add_run(dataset, epochs=epochs, precision=precision) for _ in range(2))
    train_here(whole)
    job = start(run)
    until(lambda: len(dynamics.curves(workspace, run)) >= 2)
    assert runs.cancel(workspace, run.id).state is JobState.CANCELLED
    assert state_of(run) is RunState.CANCELLED
    assert not lock.is_held(workspace, job.id)
    assert dynamics.checkpoint_path(workspace, run).exists()
    # What a kill in the middle of a checkpoint leaves.
    (run_rows.working_folder(workspace, run.id) / ".checkpoint.safetensors.x1").write_text("half")
    _, job = runs.resume(workspace, run.id)
    job = queue.follow(workspace, job.id, silent)
    assert (job.state, job.error) == (JobState.DONE, None)
    assert contents(run) == contents(whole)


@pytest.mark.parametrize("probe", [Probe.NONE, Probe.THRESHOLD])
def test_the_same_settings_give_the_same_dynamics_from_the_same_pixels(
    workspace, dataset, source, add_run, train_here, contents, probe
):
    settings = {"probe": probe, "probe_group": None if probe is Probe.NONE else "g"}
    one, other, differs = (add_run(dataset, seed=seed, **settings) for seed in (1, 1, 2))
    train_here(one)
    source.rename(source.with_name("gone"))  # only the pixels that were kept can be used now
    train_here(other)
    train_here(differs)
    assert contents(one) == contents(other)
    assert contents(one)["margin.npy"] != contents(differs)["margin.npy"]
    assert len(names_in(workspace, "cache")) == 1


@pytest.mark.parametrize("n_epochs", [0, 1, 2])
def test_a_run_stopped_in_an_epoch_repeats_only_that_one(
    workspace, dataset, add_run, train_here, contents, n_epochs
):
    whole, run = (add_run(dataset) for _ in range(2))
    train_here(whole)
    with pytest.raises(StoppedError):
        train_here(run, stop_after(n_epochs))
    begun = []
    train_here(run, lambda fraction, message: begun.append(message.split(" ·", maxsplit=1)[0]))
    expected = [f"epoch {number + 1} of 3" for number in range(n_epochs, 3)] + ["sealing"]
    assert list(dict.fromkeys(begun))[-len(expected) :] == expected
    assert f"epoch {n_epochs} of 3" not in begun
    assert contents(run) == contents(whole)


def test_an_image_that_changed_on_disk_is_refused_by_name(
    workspace, dataset, source, add_run, train_here, state_of
):
    train_here(add_run(dataset))
    Image.fromarray(np.full((9, 9, 3), 7, np.uint8)).save(source / "light" / "3.png")
    run = add_run(dataset, image_size=20)
    with pytest.raises(InputError, match=r"1 images .* changed on disk .*'light/3.png' first"):
        train_here(run)
    assert state_of(run) is RunState.FAILED
    assert "'light/3.png'" in run_rows.error(workspace, run.id)


def test_a_changed_image_is_noticed_although_its_pixels_are_decoded_already(
    source, dataset, add_run, train_here
):
    train_here(add_run(dataset))
    touch(source / "dark" / "5.png")
    train_here(add_run(dataset))  # same bytes at another time
    Image.new("RGB", (20, 20)).save(source / "light" / "3.png")
    with pytest.raises(InputError, match=r"1 images .* changed on disk .*'light/3.png' first"):
        train_here(add_run(dataset))
    (source / "light" / "3.png").unlink()
    train_here(add_run(dataset))  # what was decoded is enough


def touch(file):
    status = file.stat()
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns + 10**9))


def test_weights_that_changed_are_refused_also_where_their_features_lie_ready(
    dataset, add_run, train_here, tmp_path
):
    file = tmp_path / "weights.safetensors"

    def made_now():
        network = vision.load().models.squeezenet1_0(weights=None)
        weights.write_tensors(file, network.state_dict())
        return add_run(
            dataset,
            architecture="features",
            backbone="squeezenet",
            image_size=32,
            epochs=1,
            weights=str(file),
            weights_digest=weights.digest(file),
        )

    before, after = made_now(), made_now()
    train_here(after)
    with pytest.raises(InputError, match="have changed since the run was made"):
        train_here(before)


def test_a_problem_found_meanwhile_does_not_change_the_rows_of_a_run(
    workspace, dataset, add_run, train_here, contents
):
    whole, run = (add_run(dataset) for _ in range(2))
    train_here(whole)
    with pytest.raises(StoppedError):
        train_here(run, stop_after(1))
    findings.record_problems(workspace, dataset.id, {5: "It is gone."})
    train_here(run)
    assert contents(run) == contents(whole)


def test_problems_are_known_also_if_the_first_run_died_before_it_told(
    workspace, dataset, source, add_run, train_here
):
    (source / "dark" / "2.png").write_bytes(b"")
    train_here(add_run(dataset))
    (workspace.path / "datasets" / dataset.id / "found" / "problems.json").unlink()
    train_here(add_run(dataset, seed=1))
    position = dataset.sample_keys.index("dark/2.png")
    assert position in findings.all_problems(workspace.path / "datasets" / dataset.id)


def test_a_worker_killed_between_the_sealed_folder_and_its_row_has_finished(
    workspace, dataset, add_run, train_here, contents, until, state_of, environment
):
    whole, run = (add_run(dataset) for _ in range(2))
    train_here(whole)
    job = runs.enqueue(workspace, run)
    command = [sys.executable, TROUBLED, "--stop-before-the-row", workspace.path, job.id]
    with subprocess.Popen(command, env=environment) as worker:
        until(lambda: run_rows.folder(workspace, run.id).is_dir())
        assert state_of(run) is RunState.RUNNING
        worker.send_signal(signal.SIGKILL)
    runs.refresh(workspace)
    assert state_of(run) is RunState.SEALED
    assert jobs.find(workspace, job.id).state is JobState.DONE
    assert contents(run) == contents(whole) | {".lock": b""}
    dynamics.load(workspace, run_rows.find(workspace, run.id))
    with pytest.raises(RefusedError, match="cannot be resumed: it is finished"):
        runs.resume(workspace, run.id)


def test_a_full_disk_fails_the_run_with_a_sentence_and_it_can_go_on(
    workspace, dataset, add_run, train_here, contents, start, state_of
):
    whole, run = (add_run(dataset) for _ in range(2))
    train_here(whole)
    job = start(run, launch=partial(local.launch, program=(str(TROUBLED),)))
    job = queue.follow(workspace, job.id, silent)
    assert job.state is JobState.FAILED
    assert state_of(run) is RunState.FAILED
    sentence = run_rows.error(workspace, run.id)
    assert sentence == job.error
    assert "checkpoint.safetensors" in sentence
    assert "large" in sentence or "full" in sentence
    assert len(dynamics.curves(workspace, run)) == 1
    assert not any(".checkpoint" in name for name in names_in(workspace, f"runs/.{run.id}.partial"))
    _, job = runs.resume(workspace, run.id)
    assert queue.follow(workspace, job.id, silent).state is JobState.DONE
    assert contents(run) == contents(whole)


def test_a_run_is_cancelled_while_a_large_folder_is_decoded(
    workspace, tmp_path, add_run, start, until, state_of
):
    (tmp_path / "large" / "a").mkdir(parents=True)
    (tmp_path / "large" / "b").mkdir()
    image = tmp_path / "image.png"
    Image.linear_gradient("L").resize((3000, 3000)).save(image, compress_level=1)
    for number in range(400):
        os.link(image, tmp_path / "large" / "ab"[number % 2] / f"{number}.png")
    planned = datasets.plan(tmp_path / "large", SourceOptions())
    dataset, _ = datasets.add(workspace, planned)
    run = add_run(dataset)
    job = start(run)
    until(lambda: jobs.find(workspace, job.id).message.startswith("decoding"))
    assert runs.cancel(workspace, job.id).state is JobState.CANCELLED
    assert state_of(run) is RunState.CANCELLED
    assert run_rows.error(workspace, run.id) is None
    assert not run_rows.folder(workspace, run.id).exists()


def test_a_run_is_cancelled_while_a_batch_is_slow(
    workspace, dataset, source, add_run, start, until, state_of
):
    run = add_run(dataset, architecture="resnet50", image_size=224, batch_size=32)
    job = start(run)
    # The last thing that is written before the first batch.
    until((run_rows.working_folder(workspace, run.id) / "dynamics.json").exists)
    assert runs.cancel(workspace, job.id).state is JobState.CANCELLED
    assert state_of(run) is RunState.CANCELLED
    assert not lock.is_held(workspace, job.id)


def test_of_two_that_resume_a_run_one_is_refused(workspace, dataset, add_run):
    run = add_run(dataset)
    run_rows.set_state(workspace, run.id, RunState.LOST, error="It is lost.")
    job = runs.enqueue(workspace, run, resumes=True)
    assert run_rows.find(workspace, run.id).state is RunState.QUEUED
    assert run_rows.error(workspace, run.id) is None
    with pytest.raises(RefusedError, match="cannot be resumed: it is queued"):
        runs.enqueue(workspace, run, resumes=True)
    assert [found.id for found in jobs.every(workspace, run_id=run.id)] == [job.id]


def test_an_old_job_does_not_speak_for_a_run_that_was_resumed(workspace, dataset, add_run):
    run = add_run(dataset)
    job = runs.enqueue(workspace, run)
    queue.request_stop(workspace, job)
    now = datetime.now(UTC)
    run_jobs.settle(workspace, run.id, given_up_before=now)
    assert run_rows.find(workspace, run.id).state is RunState.CANCELLED
    runs.enqueue(workspace, run, resumes=True)
    run_jobs.settle(workspace, run.id, given_up_before=now)
    assert run_rows.find(workspace, run.id).state is RunState.QUEUED


def test_a_run_whose_maker_died_before_it_queued_a_job_is_given_up(workspace, dataset, add_run):
    run = add_run(dataset)
    runs.refresh(workspace)
    assert run_rows.find(workspace, run.id).state is RunState.QUEUED
    run_jobs.settle(workspace, run.id, given_up_before=datetime.now(UTC) + timedelta(seconds=1))
    assert run_rows.find(workspace, run.id).state is RunState.CANCELLED


def test_a_run_that_is_gone_cannot_be_resumed_and_settles_quietly(workspace, dataset, add_run):
    run = add_run(dataset)
    run_rows.delete(workspace, run.id)
    run_jobs.settle(workspace, run.id, given_up_before=datetime.now(UTC))
    with pytest.raises(NotFoundError, match="deleted meanwhile"):
        runs.enqueue(workspace, run, resumes=True)


def test_a_run_whose_worker_was_killed_can_be_deleted_at_once(workspace, dataset, add_run):
    run = add_run(dataset)
    job = runs.enqueue(workspace, run)
    held = lock.try_take(workspace, job.id)
    jobs.claim(workspace, job.id, pid=os.getpid(), now=datetime.now(UTC))
    run_rows.set_state(workspace, run.id, RunState.RUNNING)
    with pytest.raises(RefusedError, match="is not over: cancel job"):
        datasets.remove(workspace, datasets.removal(workspace, run.id))
    held.release()  # as the kernel does when it dies
    datasets.remove(workspace, datasets.removal(workspace, run.id))
    assert run_rows.all(workspace) == []


def test_any_look_starts_a_job_whose_worker_died_before_it_began(
    workspace, dataset, add_run, until, state_of
):
    run = add_run(dataset)
    runs.enqueue(workspace, run)
    runs.refresh(workspace)
    until(lambda: state_of(run) is RunState.SEALED)


def test_images_that_are_mostly_gone_fail_the_run_and_are_not_held_against_later_ones(
    workspace, dataset, source, add_run, train_here, state_of
):
    away = source / "light"
    away.rename(source.parent / "unmounted")
    for file in sorted((source / "dark").iterdir())[:2]:
        file.write_bytes(b"")
    run = add_run(dataset)
    with pytest.raises(TrainingError, match=r"could not be read \(is a disk missing\?\)"):
        train_here(run)
    assert state_of(run) is RunState.FAILED
    assert findings.all_problems(workspace.path / "datasets" / dataset.id) == {}
    (source.parent / "unmounted").rename(away)
    train_here(run)
    assert state_of(run) is RunState.SEALED
