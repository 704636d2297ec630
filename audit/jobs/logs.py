"""What a worker wrote while it worked."""

import os

from audit.store import jobs
from audit.store.workspace import Workspace


def tail(workspace: Workspace, job_id: str, n_bytes: int = 65_536) -> str:
    """Return the end of a job's log, whole lines where that is possible.

    Parameters
    ----------
    workspace
        Where the job is.
    job_id
        Full id of the job.
    n_bytes
        At most so many bytes from the end of the file.

    Returns
    -------
    str
        Text; bytes that are no UTF-8 are replaced. Empty if nothing was written yet.
    """
    try:
        with jobs.log_path(workspace, job_id).open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            start = max(0, size - n_bytes)
            # One byte more tells whether the tail begins at the beginning of a line.
            log.seek(max(0, start - 1))
            content = log.read(n_bytes + 1 if start else n_bytes)
    except FileNotFoundError:
        return ""
    if start:
        cut = content.find(b"\n")
        content = content[cut + 1 :] if cut >= 0 else content[1:]
    return content.decode("utf-8", errors="replace")
