"""Long verbs, called by a worker: ``train`` and ``score``.

Each module offers ``run(workspace, job, report) -> result``: it reads what it needs from the store,
reports progress often, raises `audit.errors.StoppedError` out of a report when it is asked to stop, and
leaves its result sealed.
"""
