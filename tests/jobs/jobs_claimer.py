"""Claims and finishes jobs until none is left, printing each; started as a process."""

import os
import sys
from datetime import UTC, datetime
from pathlib import Path

from audit.records.job import JobState
from audit.store import jobs
from audit.store.workspace import Workspace


def main():
    with Workspace.open(Path(sys.argv[1])) as workspace:
        while any(job.state is JobState.QUEUED for job in jobs.every(workspace)):
            # Every claimer goes for the same few jobs.
            for job in jobs.next_in_line(workspace):
                now = datetime.now(UTC)
                if jobs.claim(workspace, job.id, pid=os.getpid(), now=now) is None:
                    continue
                devices = [other.device for other in jobs.running(workspace)]
                assert devices.count(job.device) == 1, devices
                assert jobs.finish(workspace, job.id, JobState.DONE, now=now)
                sys.stdout.write(job.id + "\n")


if __name__ == "__main__":
    main()
