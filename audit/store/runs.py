"""Runs: one row each; the folder of recorded values is the business of ``dynamics``."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import exc

from audit.errors import NotFoundError, RefusedError
from audit.records.job import JobState
from audit.records.run import Run, RunConfig, RunState
from audit.store import artifacts, references, texts
from audit.store.database import jobs, runs, scores
from audit.store.run_seals import folder, seal_row, working_folder
from audit.store.workspace import Workspace


def add(workspace: Workspace, run: Run) -> Run:
    """Store the row of a new run.

    Parameters
    ----------
    workspace
        Where to.
    run
        Not sealed: only recorded dynamics seal a run.

    Returns
    -------
    Run
        The same.

    Raises
    ------
    InputError
        If the name is blank or cannot be stored.
    NotFoundError
        If its dataset does not exist.
    RefusedError
        If the name is taken.
    """
    assert run.state is not RunState.SEALED, "a run is sealed by its dynamics"
    texts.check_name("run", run.name)
    with workspace.writing() as connection:
        taken = connection.execute(sa.select(runs.c.id).where(runs.c.name == run.name)).scalar()
        if taken is not None:
            name = references.in_a_line(run.name)
            raise RefusedError(f"A run named {name} exists already ({taken}): choose another name.")
        try:
            connection.execute(sa.insert(runs).values(**_to_row(run)))
        except exc.IntegrityError as error:
            raise NotFoundError(
                f"There is no dataset {run.dataset_id}: it was deleted meanwhile."
            ) from error
    return run


def find(workspace: Workspace, reference: str) -> Run:
    """Return the run that a name, an id or the beginning of an id means.

    Raises
    ------
    NotFoundError
        If no run or more than one fits; the sentence says what exists.
    """
    with workspace.reading() as connection:
        identity = references.resolve(connection, runs, reference, noun="run")
        row = connection.execute(sa.select(runs).where(runs.c.id == identity)).one()
    return _from_row(row)


def all(workspace: Workspace, dataset_id: str | None = None) -> list[Run]:  # noqa: A001
    """Return every run, oldest first; those of one dataset if one is given."""
    query = sa.select(runs).order_by(runs.c.created_at, runs.c.id)
    if dataset_id is not None:
        query = query.where(runs.c.dataset_id == dataset_id)
    with workspace.reading() as connection:
        return [_from_row(row) for row in connection.execute(query)]


def of_group(workspace: Workspace, probe_group: str) -> list[Run]:
    """Return the runs of a probe group in the order of their parts."""
    query = sa.select(runs).where(runs.c.probe_group == probe_group)
    with workspace.reading() as connection:
        found = [_from_row(row) for row in connection.execute(query)]
    return sorted(found, key=lambda run: (run.config.probe_part, run.created_at, run.id))


def error(workspace: Workspace, run_id: str) -> str | None:
    """Return the sentence that a failed or lost run ended with, or ``None``."""
    with workspace.reading() as connection:
        return connection.execute(sa.select(runs.c.error).where(runs.c.id == run_id)).scalar()


def free_name(workspace: Workspace, wanted: str) -> str:
    """Return the name that is wanted, or the first of ``name-2``, ``name-3``, … that is free."""
    with workspace.reading() as connection:
        return references.free_name(connection, runs, wanted)


def set_state(
    workspace: Workspace, run_id: str, state: RunState, *, error: str | None = None
) -> Run:
    """Store where a run stands.

    Parameters
    ----------
    workspace, run_id
        The run.
    state
        Any but ``sealed``, which only recorded dynamics give.
    error
        One sentence for a failed or lost run; an earlier one is forgotten otherwise.

    Returns
    -------
    Run
        As stored now. A run whose dynamics lie sealed becomes sealed whatever is asked: its process
        died between the two steps.

    Raises
    ------
    NotFoundError
        If there is no such run.
    RefusedError
        If it is sealed already.
    """
    assert state is not RunState.SEALED, "a run is sealed by its dynamics"
    if folder(workspace, run_id).is_dir():
        seal_row(workspace, run_id)
    with workspace.writing() as connection:
        row = connection.execute(sa.select(runs).where(runs.c.id == run_id)).one_or_none()
        if row is None:
            raise NotFoundError(f"There is no run {run_id}: it was deleted meanwhile.")
        run = _from_row(row)
        if run.state is RunState.SEALED:
            raise RefusedError(f"Run {references.in_a_line(run.name)} is sealed and never changes.")
        connection.execute(
            sa.update(runs).where(runs.c.id == run_id).values(state=str(state), error=error)
        )
    return replace(run, state=state)


def delete(workspace: Workspace, run_id: str) -> None:
    """Delete a run, its dynamics and every score that was made from it.

    Raises
    ------
    NotFoundError
        If there is no such run.
    RefusedError
        If it is being trained or waits for it.
    """
    with workspace.writing() as connection:
        row = connection.execute(sa.select(runs).where(runs.c.id == run_id)).one_or_none()
        if row is None:
            raise NotFoundError(f"There is no run {run_id}.")
        refuse_if_busy(connection, [row])
        doomed = [
            score.id
            for score in connection.execute(
                sa.select(scores.c.id, scores.c.run_ids).where(
                    scores.c.dataset_id == row.dataset_id
                )
            )
            if run_id in score.run_ids
        ]
        connection.execute(sa.delete(scores).where(scores.c.id.in_(doomed)))
        connection.execute(sa.delete(runs).where(runs.c.id == run_id))
    # Rows first: what is left of the folders if we die here has no row and is swept.
    remove_folders(workspace, run_id)
    for score_id in doomed:
        artifacts.remove(workspace.path / "scores" / score_id)


def size_on_disk(workspace: Workspace, run_id: str) -> int:
    """Return the disk space in bytes of a run's recorded values, sealed or not."""
    return sum(artifacts.disk_size(place) for place in _places(workspace, run_id))


def remove_folders(workspace: Workspace, run_id: str) -> None:
    """Remove the recorded values of a run whose row is gone."""
    for place in _places(workspace, run_id):
        artifacts.remove(place)


def refuse_if_busy(connection: sa.Connection, rows: Sequence[sa.Row[Any]]) -> None:
    """Check that none of these runs is being trained or waits for it.

    Raises
    ------
    RefusedError
        If one is; the sentence names it.
    """
    by_id = {row.id: row for row in rows}
    live = sa.select(jobs.c.id, jobs.c.run_id).where(
        jobs.c.run_id.is_not(None),
        jobs.c.state.in_([str(JobState.QUEUED), str(JobState.RUNNING)]),
    )
    for job in connection.execute(live):
        if job.run_id in by_id:
            name = references.in_a_line(by_id[job.run_id].name)
            raise RefusedError(f"Run {name} is not over: cancel job {job.id} first.")
    for row in rows:
        if row.state == RunState.RUNNING:
            name = references.in_a_line(row.name)
            raise RefusedError(f"Run {name} is running: cancel its job first.")


def _places(workspace: Workspace, run_id: str) -> tuple[Path, Path]:
    return folder(workspace, run_id), working_folder(workspace, run_id)


def _to_row(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "name": run.name,
        "dataset_id": run.dataset_id,
        "dataset_fingerprint": run.dataset_fingerprint,
        "label_version": run.label_version,
        "config": run.config.to_json(),
        "code_version": run.code_version,
        "created_at": run.created_at,
        "sealed_at": run.sealed_at,
        "state": str(run.state),
        "probe_group": run.config.probe_group,
    }


def _from_row(row: sa.Row[Any]) -> Run:
    return Run(
        id=row.id,
        name=row.name,
        dataset_id=row.dataset_id,
        dataset_fingerprint=row.dataset_fingerprint,
        label_version=row.label_version,
        config=RunConfig.from_json(row.config),
        code_version=row.code_version,
        created_at=row.created_at,
        sealed_at=row.sealed_at,
        state=RunState(row.state),
    )
