"""Which address is answered by what."""

from collections.abc import Callable

from starlette.middleware import Middleware
from starlette.routing import Route


def routes() -> list[Route]:
    """Return the routes of the dashboard; all lie under ``/api/``."""
    return []


def guards(*, bound_to: Callable[[], str | None]) -> list[Middleware]:
    """Return what looks at every request before anything answers it.

    Parameters
    ----------
    bound_to
        Returns the address that the server listens on, ``None`` for all.
    """
    del bound_to
    return []
