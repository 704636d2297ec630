"""Where a run's recorded values lie, and the step that seals its row once they are final.

Apart from ``runs``, because opening a workspace finishes what a dead process had all but sealed.
"""

from datetime import UTC, datetime
from pathlib import Path

import sqlalchemy as sa

from audit.records.run import RunState
from audit.store import artifacts, recordings
from audit.store.database import Reachable, runs


def folder(workspace: Reachable, run_id: str) -> Path:
    """Return where the recorded values of a run lie once they are sealed."""
    return workspace.path / "runs" / run_id


def working_folder(workspace: Reachable, run_id: str) -> Path:
    """Return where the recorded values of a run lie while it is trained."""
    return artifacts.partial_folder(workspace.path / "runs", run_id)


def seal_row(workspace: Reachable, run_id: str, at: datetime | None = None) -> None:
    """Mark a run as sealed whose dynamics lie in their final place; a sealed one stays as it is."""
    sealed_at = at or datetime.fromtimestamp(folder(workspace, run_id).stat().st_mtime, UTC)
    # Not earlier: gone before the folder was moved, a kill in between would cost every epoch.
    recordings.forget_checkpoint(folder(workspace, run_id))
    with workspace.writing() as connection:
        connection.execute(
            sa.update(runs)
            .where(runs.c.id == run_id, runs.c.state != str(RunState.SEALED))
            .values(state=str(RunState.SEALED), sealed_at=sealed_at, error=None)
        )
