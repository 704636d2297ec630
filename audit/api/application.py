"""Which address is answered by what."""

from collections.abc import Callable

from starlette.middleware import Middleware
from starlette.routing import Route

from audit.api import images, logs, queue, sheets
from audit.api.answers import in_thread
from audit.api.guarding import Guard


def routes(*, base: str | None = None) -> list[Route]:
    """Return the routes of the dashboard; all lie under ``/api/``.

    Parameters
    ----------
    base
        Path that the pages are served under, if not the root: the browser asks relative to them.
    """
    root = f"/{base.strip('/')}" if base and base.strip("/") else ""
    dataset = f"{root}/api/datasets/{{dataset_id}}"
    return [
        Route(f"{dataset}/image/{{position}}", in_thread(images.image)),
        Route(f"{dataset}/images", in_thread(images.images)),
        Route(f"{dataset}/sheet", in_thread(sheets.sheet)),
        Route(f"{dataset}/queue", in_thread(queue.queue)),
        Route(f"{root}/api/jobs/{{job_id}}/log", in_thread(logs.log)),
    ]


def guards(*, bound_to: Callable[[], str | None]) -> list[Middleware]:
    """Return what looks at every request before anything answers it.

    Parameters
    ----------
    bound_to
        Returns the address that the server listens on, ``None`` for all.
    """
    return [Middleware(Guard, bound_to=bound_to)]
