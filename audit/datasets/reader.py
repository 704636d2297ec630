"""The bytes and the pixels of one sample."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from audit.datasets import heads, images, names, zipped
from audit.errors import InputError, SampleError
from audit.records.dataset import Source, SourceKind


class SampleReader:
    """Reads samples of one dataset; may be used by several threads at once.

    Parameters
    ----------
    source
        Where the dataset lies.
    paths
        Per sample the path as the source writes it; ``None`` throughout for arrays.

    Raises
    ------
    InputError
        For arrays, if the file cannot be opened any more or holds another number of images.
    """

    def __init__(self, source: Source, paths: Sequence[str | None]) -> None:
        self._root = Path(source.root)
        self._paths = paths
        self._images: NDArray[np.uint8] | None = None
        if source.kind is SourceKind.ARRAYS:
            self._images = _open_images(self._root, len(paths))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the arrays' file."""
        self._images = None

    def name(self, position: int) -> str:
        """Return what messages call a sample: its path, or its position in the arrays."""
        path = self._paths[position]
        return f"Image {position}" if path is None else names.printable(path)

    def read_bytes(self, position: int) -> bytes:
        """Return the bytes of a sample's file, or of its part of the array in C order.

        Parameters
        ----------
        position
            Position of the sample in the dataset.

        Raises
        ------
        SampleError
            If the file is missing, unreadable or no ordinary file.
        """
        if self._images is not None:
            return self._images[position].tobytes()
        path = self._paths[position]
        if path is None:
            raise SampleError(f"Sample {position} has no file.")
        file = self._root / path
        try:
            if not file.is_file():
                # Never open a pipe or a device: reading it might not end.
                raise SampleError(
                    heads.problem_of(path, self._root) or f"{self.name(position)} is no file."
                )
            if file.stat().st_size > images.MAX_FILE_BYTES:
                raise SampleError(f"{self.name(position)} is larger than 2 GiB: make it smaller.")
            return file.read_bytes()
        except (OSError, ValueError) as error:
            if isinstance(error, SampleError):
                raise
            raise SampleError(
                heads.problem_of(path, self._root)
                or f"{self.name(position)} cannot be read: {error}."
            ) from error

    def read_rgb(self, position: int) -> NDArray[np.uint8]:
        """Return a sample as RGB, (H, W, 3) uint8.

        Raises
        ------
        SampleError
            If the sample cannot be read or decoded; names its file.
        """
        if self._images is not None:
            return images.rgb_of_array(self._images[position])
        return images.open_rgb(self.read_bytes(position), name=self.name(position))

    def read_square(self, position: int, size: int) -> tuple[NDArray[np.uint8], bytes]:
        """Return a sample as a square and the digest of its bytes.

        Parameters
        ----------
        position
            Position of the sample in the dataset.
        size
            Side S of the square in pixels.

        Returns
        -------
        tuple
            (S, S, 3) uint8, and the SHA-256 of `read_bytes` (32 bytes).

        Raises
        ------
        SampleError
            If the sample cannot be read or decoded; names its file.
        """
        data = self.read_bytes(position)
        digest = hashlib.sha256(data).digest()
        if self._images is not None:
            return images.fit_square(self.read_rgb(position), size), digest
        return images.open_square(data, size, name=self.name(position)), digest

    def short_side(self, position: int) -> int:
        """Return the length of a sample's shorter side in pixels.

        Raises
        ------
        SampleError
            If the sample cannot be read or its header is damaged; names its file.
        """
        if self._images is not None:
            return min(self._images.shape[1:3])
        return images.short_side(self.read_bytes(position), name=self.name(position))


def _open_images(file: Path, n_samples: int) -> NDArray[np.uint8]:
    array = zipped.read(file, "images")
    if array.dtype != np.uint8 or len(array) != n_samples:
        raise InputError(
            f"{file} holds {len(array)} images of type {array.dtype}, "
            f"but {n_samples} of type uint8 were imported: import it again."
        )
    return array
