"""Which address is answered by what."""

from collections.abc import Callable

from starlette.middleware import Middleware
from starlette.routing import Route

from audit.api import images, logs, queue, sheets
from audit.api.answers import in_thread
from audit.api.guarding import Guard


def routes() -> list[Route]:
    """Return the routes of the dashboard; all lie under ``/api/``, below whatever path it is served.

    The path in front is not asked for: Streamlit's settings are read after its routes are made.
    """
    root = "/{base:path}api"
    dataset = f"{root}/datasets/{{dataset_id}}"
    return [
        Route(f"{dataset}/image/{{position}}", in_thread(images.image)),
        Route(f"{dataset}/images", in_thread(images.images)),
        Route(f"{dataset}/sheet", in_thread(sheets.sheet)),
        Route(f"{dataset}/queue", in_thread(queue.queue)),
        Route(f"{root}/jobs/{{job_id}}/log", in_thread(logs.log)),
    ]


def guards(*, bound_to: Callable[[], str | None]) -> list[Middleware]:
    """Return what looks at every request before anything answers it.

    Parameters
    ----------
    bound_to
        Returns the address that the server listens on, ``None`` for all.
    """
    return [Middleware(Guard, bound_to=bound_to)]
