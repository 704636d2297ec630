"""What workers wrote, to be saved and read at leisure."""

from starlette.requests import Request
from starlette.responses import Response

from audit.api import answers, asking
from audit.errors import NotFoundError
from audit.jobs import logs
from audit.store import jobs
from audit.workbench import serving

_MOST_BYTES = 256 << 20


def log(request: Request) -> Response:
    """Return the whole log of a job as a file."""
    workspace = serving.shelf().workspace
    asked = asking.identity(request.path_params["job_id"], "job")
    if jobs.find(workspace, asked).id != asked:
        raise NotFoundError(f"There is no job with the id {asked!r}.")
    text = logs.tail(workspace, asked, _MOST_BYTES)
    return answers.as_download(text.encode(), f"labeltrace-job-{asked}.txt")
