"""What was made of large things, held until a number of bytes is reached, longest unused first out."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TypeVar

T = TypeVar("T")


class Bounded:
    """Values by key, at most so many bytes of them; shared by all threads.

    Parameters
    ----------
    most_bytes
        Bound on the sum of the sizes that the values were put in with.
    """

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._n_bytes = 0
        self._held: OrderedDict[Hashable, tuple[object, int]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def n_bytes(self) -> int:
        """Sum of the sizes of what is held."""
        return self._n_bytes

    def find_or_make(self, key: Hashable, make: Callable[[], T], size: Callable[[T], int]) -> T:
        """Return the value under a key, made if it is not held; what `make` raises is not held.

        Two threads that ask at once may both make it: the values are equal, and nobody waits.

        Parameters
        ----------
        key
            Names the value and everything that it depends on.
        make
            Makes it.
        size
            Its size in bytes; a value larger than the bound is handed out and not held.
        """
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                return self._held[key][0]  # type: ignore[return-value]
        made = make()
        n_bytes = size(made)
        with self._lock:
            if n_bytes <= self._most_bytes and key not in self._held:
                self._held[key] = made, n_bytes
                self._n_bytes += n_bytes
                while self._n_bytes > self._most_bytes:
                    _, (_, n_freed) = self._held.popitem(last=False)
                    self._n_bytes -= n_freed
        return made
