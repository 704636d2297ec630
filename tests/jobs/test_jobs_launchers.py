from datetime import UTC, datetime

import pytest

from audit.errors import InputError
from audit.jobs.launchers import choosing, local, torchrun
from audit.records.job import Job, JobState


def job(**arguments):
    return Job(
        id="j1", kind="train", arguments=arguments, device="cpu", state=JobState.QUEUED,
        created_at=datetime(2026, 1, 1, tzinfo=UTC), run_id=None,
    )  # fmt: skip


def test_a_job_is_launched_the_way_it_asks_for(monkeypatch):
    seen = []
    known = {
        name: lambda workspace, one, name=name: seen.append((name, one.id))
        for name in choosing.LAUNCHERS
    }
    monkeypatch.setattr(choosing, "LAUNCHERS", known)
    choosing.launch(None, job())
    choosing.launch(None, job(launcher="torchrun", workers=2))
    assert seen == [("local", "j1"), ("torchrun", "j1")]
    with pytest.raises(InputError, match="no launcher 'ray', only local, torchrun"):
        choosing.launch(None, job(launcher="ray"))


def test_torchrun_starts_as_many_workers_as_asked_for_and_meets_where_it_is_told(monkeypatch):
    monkeypatch.delenv(torchrun.ARGUMENTS, raising=False)
    run = ("-m", "torch.distributed.run")
    assert torchrun.program(job(workers=3)) == (
        *run, "--standalone", "--nproc-per-node", "3", *local.WORKER
    )  # fmt: skip
    monkeypatch.setenv(torchrun.ARGUMENTS, "--nnodes 2 --rdzv-endpoint 'a b:1'")
    assert torchrun.program(job(workers=1)) == (
        *run, "--nnodes", "2", "--rdzv-endpoint", "a b:1", "--nproc-per-node", "1", *local.WORKER
    )  # fmt: skip
    monkeypatch.setenv(torchrun.ARGUMENTS, "'")
    with pytest.raises(InputError, match="LABELTRACE_TORCHRUN cannot be read"):
        torchrun.program(job())
