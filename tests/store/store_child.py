"""What the tests of the store do in a process of its own; prints its answer line by line."""

import os
import resource
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from audit.errors import AuditError
from audit.records.dataset import ImportPlan, Source, SourceKind
from audit.records.decision import Decision, Verdict
from audit.store import artifacts, datasets, decisions, runs
from audit.store.dynamics import DynamicsWriter
from audit.store.recordings import SavedRows
from audit.store.workspace import Workspace


def say(text: str) -> None:
    print(text, flush=True)


def wait() -> None:
    say("ready")
    sys.stdin.readline()


def open_(path: Path) -> None:
    wait()
    with Workspace.open(path) as workspace:
        say(f"alembic {'alembic' in sys.modules}")
        say(f"datasets {len(datasets.all(workspace))}")


def decide(path: Path, dataset_id: str, reviewer: str, n_times: str) -> None:
    with Workspace.open(path) as workspace:
        wait()
        for number in range(int(n_times)):
            decisions.append(
                workspace,
                [
                    Decision(
                        dataset_id=dataset_id,
                        sample_key="cat/0.png",
                        given_label="cat",
                        verdict=Verdict.KEEP,
                        label="cat",
                        reviewer=reviewer,
                        decided_at=datetime.now(UTC),
                        client=reviewer,
                        sequence=number,
                    )
                ],
            )
        say("done")


def seal(path: Path, moment: str) -> None:
    with (
        Workspace.open(path) as workspace,
        artifacts.making(workspace.path / "datasets", "01halfmade") as making,
    ):
        (making.folder / "part").write_bytes(b"x" * 1000)
        if moment == "after-seal":
            making.seal()
        wait()


def full(path: Path) -> None:
    n = 200_000
    keys = tuple(f"{i * 2654435761 % 2**32:08x}.png" for i in range(n))
    plan = ImportPlan(
        source=Source(kind=SourceKind.FOLDER, location="/data", root="/data"),
        suggested_name="big",
        class_names=("cat", "dog"),
        sample_keys=keys,
        paths=keys,
        given_labels=np.zeros(n, np.int32),
        splits=np.zeros(n, np.int8),
        problems={},
        fingerprint="ab" * 32,
    )
    with Workspace.open(path) as workspace:
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        try:
            datasets.add(workspace, plan, "big")
        except AuditError as error:
            say(f"{type(error).__name__}: {error}")
        say(str(sorted(p.name for p in (path / "datasets").iterdir())))


def full_run(path: Path) -> None:
    n = 20_000
    rows = SavedRows(
        n_samples=n,
        n_classes=2,
        sample=np.arange(n),
        assigned_label=np.zeros(n, np.int32),
        role=np.zeros(n, np.int8),
    )
    with Workspace.open(path) as workspace:
        run = runs.find(workspace, "first")
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
        try:
            DynamicsWriter.open(workspace, run, rows)
        except AuditError as error:
            say(f"{type(error).__name__}: {error}")
        say(str([p.name for p in (path / "runs").iterdir()]))


def unprivileged(path: Path) -> None:
    # Everything is imported before, in case others may not read the interpreter's own files.
    import psutil  # noqa: F401

    import audit.store.sweeping  # noqa: F401

    if os.geteuid() == 0:
        os.seteuid(65534)
    try:
        Workspace.open(path).close()
    except AuditError as error:
        say(f"{type(error).__name__}: {error}")
    else:
        say("opened")


VERBS = {
    "full-run": full_run,
    "open": open_,
    "decide": decide,
    "seal": seal,
    "full": full,
    "unprivileged": unprivileged,
}

if __name__ == "__main__":
    VERBS[sys.argv[1]](Path(sys.argv[2]), *sys.argv[3:])
