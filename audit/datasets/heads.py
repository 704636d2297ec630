"""Is this file there, and does it begin like an image? Asked of every file before an import."""

import os
import re
import stat
import time
from collections import deque
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from audit.datasets import names
from audit.records.progress import Report

HEAD_BYTES = 32

_IMAGE_HEADS: tuple[bytes, ...] = (
    b"\xff\xd8\xff",  # JPEG
    b"\x89PNG\r\n\x1a\n",
    b"BM",
    b"II*\x00",  # TIFF, and BigTIFF with 43 instead of 42
    b"MM\x00*",
    b"II+\x00",
    b"MM\x00+",
    *(b"P" + digit for digit in (b"1", b"2", b"3", b"4", b"5", b"6", b"f", b"F")),  # PPM family
)

_OTHER_HEADS: tuple[tuple[bytes, str], ...] = (
    (b"GIF8", "a GIF"),
    (b"%PDF", "a PDF"),
    (b"PK\x03\x04", "a zip archive"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"8BPS", "a Photoshop file"),
    (b"version https://git-lfs", "a Git LFS pointer instead of the file itself"),
)

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")

# Threads pay where a file system answers slowly. Where it answers from memory they only wait for each
# other, and two cores take half as long again.
_THREADS = 8
_QUICK_SECONDS = 100e-6
_CHUNK = 512


def problems_of(paths: Sequence[str | None], root: Path, report: Report) -> dict[int, str]:
    """Look at the first bytes of every file.

    Parameters
    ----------
    paths
        N paths, relative to `root` or absolute; ``None`` is passed over.
    root
        Folder that relative paths start from.
    report
        Is told how many files were looked at; may stop the work.

    Returns
    -------
    dict
        Position → one sentence that names the file; files that look like images are not listed.
    """
    n_files = len(paths)
    found: dict[int, str] = {}

    def look(start: int) -> list[tuple[int, str]]:
        answers: list[tuple[int, str]] = []
        for position in range(start, min(start + _CHUNK, n_files)):
            path = paths[position]
            problem = None if path is None else problem_of(path, root)
            if problem is not None:
                answers.append((position, problem))
        return answers

    def tell(start: int, answers: list[tuple[int, str]]) -> None:
        found.update(answers)
        done = min(start + _CHUNK, n_files)
        report(done / n_files, f"looking at file {done:,} of {n_files:,}")

    starts = deque(range(0, n_files, _CHUNK))
    is_quick = True
    while starts and is_quick:
        began = time.perf_counter()
        tell(starts[0], look(starts[0]))
        starts.popleft()
        is_quick = time.perf_counter() - began < _QUICK_SECONDS * _CHUNK
    if not starts:
        return found
    with ThreadPoolExecutor(_THREADS, thread_name_prefix="heads") as pool:
        try:
            for start, answers in zip(starts, pool.map(look, starts), strict=True):
                tell(start, answers)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return found


def problem_of(path: str, root: Path) -> str | None:  # noqa: PLR0911 - one per answer
    """Return why a file cannot be an image, as a sentence, or ``None`` if it begins like one.

    Parameters
    ----------
    path
        As the source writes it, relative to `root` or absolute.
    root
        Folder that relative paths start from.
    """
    try:
        # Without O_NONBLOCK, opening a named pipe would wait for somebody to write into it.
        flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        descriptor = os.open(os.path.join(root, path), flags)  # noqa: PTH118 - half of the time
    except (OSError, ValueError) as error:
        return _why_not_opened(path, root, error)
    try:
        head = os.read(descriptor, HEAD_BYTES)
        if len(head) == HEAD_BYTES and _is_image(head):
            return None
        mode = os.fstat(descriptor).st_mode
    except IsADirectoryError:
        return f"{names.printable(path)} is a folder, not an image: give the path of a file."
    except OSError as error:
        return f"{names.printable(path)} cannot be read: {_reason(error)}."
    finally:
        os.close(descriptor)
    shown = names.printable(path)
    if not stat.S_ISREG(mode):
        return f"{shown} is not an ordinary file: replace it by the image."
    if not head:
        return f"{shown} is empty (0 bytes): copy the file again."
    return None if _is_image(head) else _not_an_image(shown, head)


def _is_image(head: bytes) -> bool:
    return head.startswith(_IMAGE_HEADS) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def _not_an_image(shown: str, head: bytes) -> str:
    for start, kind in _OTHER_HEADS:
        if head.startswith(start):
            return f"{shown} is {kind}: convert it to JPEG, PNG, BMP, PPM, TIFF or WebP."
    if head[4:8] == b"ftyp":
        return f"{shown} is a HEIC, AVIF or video file: convert it to JPEG or PNG."
    if head.lstrip()[:5].lower() in (b"<!doc", b"<html"):
        return f"{shown} is a web page, not an image: download the file again."
    return f"{shown} is not an image of a known format (JPEG, PNG, BMP, PPM, TIFF, WebP)."


def _why_not_opened(  # noqa: PLR0911 - one per answer
    path: str, root: Path, error: OSError | ValueError
) -> str:
    shown = names.printable(path)
    if isinstance(error, PermissionError):
        if Path(root, path).is_dir():  # Windows says "permission denied" for folders
            return f"{shown} is a folder, not an image: give the path of a file."
        return f"{shown} may not be read (permission denied): change its permissions."
    if _ADDRESS.match(path):
        return f"{shown} is an address, not a file: download it and name the local file."
    if isinstance(error, ValueError):
        return f"{shown} cannot be the path of a file."
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        if Path(root, path).is_symlink():
            return f"{shown} is a link to a file that does not exist."
        return f"{shown} does not exist under {root}."
    return f"{shown} cannot be opened: {_reason(error)}."


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
