"""Exports under way: written beside the page, so that a page is drawn while a million images are copied.

An export is bound to files and not to a device, so it is no job of a worker: a thread writes it, one
per dataset, and it ends with the server. What a stopped or broken export wrote is taken away again.
"""

import atexit
import io
import threading
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any

from audit.errors import AuditError, RefusedError, StoppedError
from audit.exchange.manifest import Format, place_of
from audit.records.dataset import Dataset
from audit.workbench import exporting
from audit.workbench.shelf import Shelf

_MOST_ZIP_BYTES = 64 << 20
_MOST_ZIP_FILES = 20_000
_MOST_FILE_BYTES = 400 << 20
_END_SECONDS = 5.0


class ExportState(StrEnum):
    """What became of an export."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is to be written.

    Parameters
    ----------
    form, out
        Form, and where it goes.
    link, spreadsheet_safe, replace
        As `audit.workbench.exporting.export` takes them; `replace` is its ``force``, and replaces
        nothing but exports.
    """

    form: str
    out: Path
    link: str = "hard"
    spreadsheet_safe: bool = False
    replace: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How far an export is, or how it ended.

    Parameters
    ----------
    order
        What was asked for.
    state
        How it is.
    fraction, message
        How much is written, in [0, 1], and what is being done.
    started_at
        When, UTC.
    manifest
        What was written, once it is done.
    takeaway_name
        Under which name a browser can take it away; ``None`` if it is too large.
    problem
        Why it failed, as one sentence.
    """

    order: Order
    state: ExportState
    fraction: float
    message: str
    started_at: datetime
    manifest: Mapping[str, Any] | None = None
    takeaway_name: str | None = None
    problem: str | None = None


class _Writing:
    """One export and its thread."""

    def __init__(self, shelf: Shelf, dataset: Dataset, order: Order) -> None:
        self._shelf, self._dataset, self._order = shelf, dataset, order
        self._started_at = datetime.now(UTC)
        self._stop = threading.Event()
        self._progress = (0.0, "beginning")
        self._end: Outcome | None = None
        self.thread = threading.Thread(target=self._write, name="export", daemon=True)

    @property
    def done(self) -> Outcome | None:
        end = self._end
        return end if end is not None and end.state is ExportState.DONE else None

    def look(self) -> Outcome:
        return self._end or self._outcome(ExportState.RUNNING)

    def stop(self) -> None:
        self._stop.set()

    def _report(self, fraction: float, message: str) -> None:
        if self._stop.is_set():
            raise StoppedError("The export was stopped.")
        self._progress = (fraction, message)

    def _write(self) -> None:
        order = self._order
        try:
            manifest = exporting.export(
                self._shelf.workspace,
                self._dataset,
                order.out,
                order.form,
                link=order.link,
                spreadsheet_safe=order.spreadsheet_safe,
                force=order.replace,
                only_ours=True,
                report=self._report,
            )
        except StoppedError:
            self._end = self._outcome(ExportState.STOPPED)
        except (AuditError, OSError) as error:
            self._end = self._outcome(ExportState.FAILED, problem=str(error))
        except BaseException as error:
            # Whoever waits is told even of a fault of ours; the thread's trace says the rest.
            sentence = f"The export broke off ({type(error).__name__}): try again."
            self._end = self._outcome(ExportState.FAILED, problem=sentence)
            raise
        else:
            self._end = self._outcome(
                ExportState.DONE, manifest=manifest, takeaway_name=_takeaway_name(order)
            )

    def _outcome(self, state: ExportState, **facts: Any) -> Outcome:  # noqa: ANN401
        fraction, message = self._progress
        return Outcome(
            order=self._order,
            state=state,
            fraction=fraction,
            message=message,
            started_at=self._started_at,
            **facts,
        )


_under_way: dict[tuple[Path, str], _Writing] = {}
_done: dict[tuple[Path, str], Outcome] = {}
"""The last export of each dataset that came to its end, when another was begun after it."""
_lock = threading.Lock()


def start(shelf: Shelf, dataset: Dataset, order: Order, *, wait: float = 0.0) -> Outcome:
    """Begin to write an export and return how far it is.

    Parameters
    ----------
    shelf, dataset, order
        What to write.
    wait
        Seconds to wait for its end; most exports end at once.

    Raises
    ------
    RefusedError
        If an export of this dataset is under way.
    """
    with _lock:
        held = _under_way.get(_place(shelf, dataset))
        if held is not None and held.look().state is ExportState.RUNNING:
            raise RefusedError(
                "An export of this dataset is being written: wait for it or stop it."
            )
        if held is not None and held.done is not None:
            _done[_place(shelf, dataset)] = held.done
        begun = _under_way[_place(shelf, dataset)] = _Writing(shelf, dataset, order)
        begun.thread.start()
    begun.thread.join(wait)
    return begun.look()


def last(shelf: Shelf, dataset: Dataset) -> Outcome | None:
    """Return the export of a dataset that was begun last since the server started, if any."""
    with _lock:
        held = _under_way.get(_place(shelf, dataset))
    return None if held is None else held.look()


def last_done(shelf: Shelf, dataset: Dataset) -> Outcome | None:
    """Return the last export of a dataset that was written since the server started, if any."""
    with _lock:
        held = _under_way.get(_place(shelf, dataset))
        done = None if held is None else held.done
        return done or _done.get(_place(shelf, dataset))


def stop(shelf: Shelf, dataset: Dataset) -> None:
    """Ask the export of a dataset to stop; it takes away what it wrote."""
    with _lock:
        held = _under_way.get(_place(shelf, dataset))
    if held is not None:
        held.stop()


def forget(shelf: Shelf, dataset: Dataset) -> None:
    """Do not speak of an export that has ended any more."""
    with _lock:
        held = _under_way.get(_place(shelf, dataset))
        if held is not None and held.look().state is not ExportState.RUNNING:
            del _under_way[_place(shelf, dataset)]
            _done.pop(_place(shelf, dataset), None)


def manifest_path(order: Order) -> Path:
    """Return where the manifest of an export lies."""
    if order.form == Format.FOLDER or order.out.is_dir():
        return order.out / "manifest.json"
    return place_of(order.out)


def takeaway(order: Order) -> bytes:
    """Return the bytes of a written export: the file, or a small folder as a zip archive."""
    if not order.out.is_dir():
        return order.out.read_bytes()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
        for path in sorted(order.out.rglob("*")):
            if path.is_file():
                archive.write(path, Path(order.out.name, path.relative_to(order.out)))
    return packed.getvalue()


def _place(shelf: Shelf, dataset: Dataset) -> tuple[Path, str]:
    return shelf.workspace.path, dataset.id


def _takeaway_name(order: Order) -> str | None:
    try:
        if order.out.is_dir():
            return f"{order.out.name}.zip" if _is_small(order.out) else None
        return order.out.name if order.out.stat().st_size <= _MOST_FILE_BYTES else None
    except OSError:
        return None


def _is_small(folder: Path) -> bool:
    size = 0
    for number, path in enumerate(folder.rglob("*")):
        size += path.stat().st_size
        if number >= _MOST_ZIP_FILES or size > _MOST_ZIP_BYTES:
            return False
    return True


@atexit.register
def _end_all() -> None:
    # Threads that are cut off with the process would leave their half behind.
    with _lock:
        writings = list(_under_way.values())
    for one in writings:
        one.stop()
    for one in writings:
        one.thread.join(_END_SECONDS)
