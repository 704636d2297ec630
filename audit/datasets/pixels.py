"""A whole dataset decoded once: squares on disk, memory-mapped, for trainings to take rows from."""

import json
import os
import threading
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYetError
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from audit.datasets import touched
from audit.datasets.reader import SampleReader
from audit.errors import InputError, SampleError, WorkspaceError
from audit.records.dataset import Dataset
from audit.records.progress import Report, silent

FORMAT = 1
"""Raised whenever the files of decoded pixels change."""

_IMAGES, _POSITIONS, _DIGESTS, _FACTS = "images.npy", "positions.npy", "digests.npy", "pixels.json"

_CHUNK = 16
_POLL_SECONDS = 0.1
_DIGEST_BYTES = 32

_N_PROBED = 256
_COLOURED_FRACTION = 0.05
_COLOUR_DIFFERENCE = 2.0
_COLOUR_PROBE_SIDE = 512


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pixels:
    """The decoded images of a dataset.

    Parameters
    ----------
    images
        Squares, (M, S, S, 3) uint8 RGB, memory-mapped read-only.
    positions
        Position in the dataset of each of them, (M,) int64, in the order that was asked for.
    problems
        Position of a sample that could not be decoded → one sentence that says why.
    content_digests
        SHA-256 of each sample's bytes, (N, 32) uint8; zeros where nothing was read.
    is_coloured
        Whether the images differ between channels; ``False`` for grey ones, whatever their files.
    """

    images: NDArray[np.uint8]
    positions: NDArray[np.int64]
    problems: Mapping[int, str]
    content_digests: NDArray[np.uint8]
    is_coloured: bool


@dataclass(frozen=True, slots=True)
class _Decoded:
    position: int
    square: NDArray[np.uint8] | None
    digest: bytes | None
    problem: str | None


def decode(
    dataset: Dataset,
    positions: Sequence[int] | NDArray[np.int64],
    *,
    size: int,
    folder: Path,
    threads: int = 1,
    report: Report = silent,
) -> Pixels:
    """Decode images into a folder, in the order of `positions` whatever the number of threads.

    A sample that cannot be decoded becomes a problem and is left out; the rest goes on.

    Parameters
    ----------
    dataset
        Where the images are.
    positions
        Distinct positions of the samples to decode, (R,) integers.
    size
        Side S of the squares in pixels, at least 1.
    folder
        Empty folder of the caller, who seals it by renaming; it is made if it is not there.
    threads
        Number of images decoded at once, at least 1.
    report
        Is told ten times a second, even during a single large image; may stop the work.

    Raises
    ------
    InputError
        If size or threads are below 1, or the arrays' file is gone.
    WorkspaceError
        If the folder cannot be written, as on a full disk.
    """
    if size < 1 or threads < 1:
        raise InputError(f"Size and threads must be at least 1, got {size} and {threads}.")
    wanted = [int(position) for position in positions]
    digests = np.zeros((dataset.n_samples, _DIGEST_BYTES), dtype=np.uint8)
    problems: dict[int, str] = {}
    # Before the first byte is read: what changes from now on is noticed.
    states = touched.states_of(dataset, wanted, report)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with SampleReader(dataset.source, dataset.paths) as reader:
            kept = _write_images(
                folder / _IMAGES,
                size,
                _decoded(reader, wanted, size, threads, report),
                digests,
                problems,
            )
        _write_array(folder / _POSITIONS, np.array(kept, dtype=np.int64))
        _write_array(folder / _DIGESTS, digests)
        _write_array(folder / touched.STATES, states)
        facts = {
            "format": FORMAT,
            "size": size,
            "n_samples": dataset.n_samples,
            "is_coloured": _are_coloured(_mapped(folder / _IMAGES)),
            "problems": {str(position): problem for position, problem in problems.items()},
        }
        with (folder / _FACTS).open("w", encoding="utf-8") as stream:
            json.dump(facts, stream, ensure_ascii=False)
            _sync(stream.fileno(), stream.flush)
    except OSError as error:
        if isinstance(error, WorkspaceError):
            raise
        raise WorkspaceError(
            f"Decoded images cannot be written to {folder}: {error.strerror or error}."
        ) from error
    report(1.0, f"decoded {len(kept):,} of {len(wanted):,}")
    return load(folder)


def load(folder: Path) -> Pixels:
    """Return what `decode` wrote into a folder.

    Raises
    ------
    WorkspaceError
        If files are missing or damaged, or were written by a newer version.
    """
    try:
        facts = _facts(folder)
        return Pixels(
            images=_mapped(folder / _IMAGES),
            positions=np.load(folder / _POSITIONS),
            problems={int(position): text for position, text in facts["problems"].items()},
            content_digests=np.load(folder / _DIGESTS),
            is_coloured=bool(facts["is_coloured"]),
        )
    except WorkspaceError:
        raise
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise WorkspaceError(f"Decoded images in {folder} are incomplete: delete them.") from error


def is_coloured(rgb: NDArray[np.uint8]) -> bool:
    """Tell whether an image differs between its channels by more than scanning noise.

    Parameters
    ----------
    rgb
        (H, W, 3) uint8.

    Returns
    -------
    bool
        Whether two channels differ by more than 2 of 255, on average over pixels and pairs.

    Examples
    --------
    >>> (
    ...     is_coloured(np.full((2, 2, 3), 7, np.uint8)),
    ...     is_coloured(np.eye(3, dtype=np.uint8)[None] * 9),
    ... )
    (False, True)
    """
    step = max(
        1, max(rgb.shape[:2]) // _COLOUR_PROBE_SIDE
    )  # a large image tells as much when thinned
    probe = rgb[::step, ::step].astype(np.int16)
    difference = np.abs(probe - np.roll(probe, 1, axis=2))
    return float(difference.mean()) > _COLOUR_DIFFERENCE


def _facts(folder: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
    if facts["format"] != FORMAT:
        raise WorkspaceError(
            f"Decoded images in {folder} have format {facts['format']}, expected {FORMAT}."
        )
    return facts


def median_short_side(
    dataset: Dataset, positions: Sequence[int] | NDArray[np.int64], n_probed: int = 64
) -> int:
    """Return the median length of the shorter side in pixels, from a probe of the headers.

    Parameters
    ----------
    dataset
        Where the images are.
    positions
        Positions of the samples to probe from, (R,) integers; probed ones are spread evenly.
    n_probed
        How many to look at.

    Raises
    ------
    InputError
        If none of them can be read; the sentence is that of the first.
    """
    sides: list[int] = []
    first_problem = "There is no image to look at."
    with SampleReader(dataset.source, dataset.paths) as reader:
        for place in _spread(len(positions), n_probed):
            try:
                sides.append(reader.short_side(int(positions[place])))
            except SampleError as error:
                first_problem = str(error) if not sides else first_problem
    if not sides:
        raise InputError(f"None of the images probed can be read: {first_problem}")
    return int(np.median(sides))


def _decoded(
    reader: SampleReader, positions: list[int], size: int, threads: int, report: Report
) -> Generator[_Decoded]:
    """Decode in threads; yield in order, a bounded number of images ahead."""
    stopped = threading.Event()
    n_samples = len(positions)

    def work(chunk: list[int]) -> list[_Decoded]:
        return [_decode_one(reader, position, size) for position in chunk if not stopped.is_set()]

    pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")
    waiting: deque[Future[list[_Decoded]]] = deque()
    chunks = iter([positions[i : i + _CHUNK] for i in range(0, n_samples, _CHUNK)])
    n_done = 0
    try:
        for chunk in chunks:
            waiting.append(pool.submit(work, chunk))
            if len(waiting) == 2 * threads:
                break
        while waiting:
            report(n_done / n_samples, f"decoding {n_done:,} of {n_samples:,}")
            try:
                results = waiting[0].result(timeout=_POLL_SECONDS)
            except NotYetError:
                continue
            waiting.popleft()
            chunk = next(chunks, None)
            if chunk is not None:
                waiting.append(pool.submit(work, chunk))
            yield from results
            n_done += len(results)
    finally:
        # Nobody waits for an image that is still being decoded when the work is stopped.
        stopped.set()
        pool.shutdown(wait=False, cancel_futures=True)


def _decode_one(reader: SampleReader, position: int, size: int) -> _Decoded:
    try:
        square, digest = reader.read_square(position, size)
    except SampleError as error:
        return _Decoded(position, None, None, str(error))
    return _Decoded(position, square, digest, None)


def _write_images(
    file: Path,
    size: int,
    results: Generator[_Decoded],
    digests: NDArray[np.uint8],
    problems: dict[int, str],
) -> list[int]:
    """Write squares one after the other and the header last, when their number is known.

    Written as a stream rather than through a memory map: on a full disk a write is an error that
    can be told, a memory map ends the process.
    """
    kept: list[int] = []
    with file.open("wb") as stream, closing(results):
        header_end = _write_header(stream, 0, size)
        for result in results:
            if result.square is None or result.digest is None:
                problems[result.position] = result.problem or "The image cannot be read."
                continue
            stream.write(result.square.data)
            digests[result.position] = np.frombuffer(result.digest, dtype=np.uint8)
            kept.append(result.position)
        stream.seek(0)
        # numpy leaves room in the header for the first axis to grow, so its length stays.
        assert _write_header(stream, len(kept), size) == header_end
        _sync(stream.fileno(), stream.flush)
    return kept


def _write_header(stream: IO[bytes], n_images: int, size: int) -> int:
    facts = {"descr": "|u1", "fortran_order": False, "shape": (n_images, size, size, 3)}
    npy.write_array_header_1_0(stream, facts)
    return stream.tell()


def _write_array(file: Path, values: NDArray[np.generic]) -> None:
    with file.open("wb") as stream:
        npy.write_array(stream, values, allow_pickle=False)
        _sync(stream.fileno(), stream.flush)


def _sync(descriptor: int, flush: Callable[[], None]) -> None:
    flush()
    os.fsync(descriptor)


def _mapped(file: Path) -> NDArray[np.uint8]:
    with file.open("rb") as stream:
        npy.read_magic(stream)
        shape, _, _ = npy.read_array_header_1_0(stream)
    if 0 in shape:  # nothing to map
        return np.zeros(shape, dtype=np.uint8)
    return np.load(file, mmap_mode="r")


def _are_coloured(images: NDArray[np.uint8]) -> bool:
    probe = [is_coloured(images[place]) for place in _spread(len(images), _N_PROBED)]
    return bool(probe) and float(np.mean(probe)) > _COLOURED_FRACTION


def _spread(n_all: int, n_wanted: int) -> list[int]:
    """Return at most so many places in 0..n_all-1, evenly spread."""
    n_taken = min(n_all, n_wanted)
    return [place * n_all // n_taken for place in range(n_taken)]
