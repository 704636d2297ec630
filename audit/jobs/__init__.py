"""Long verbs as rows and processes: the row is the truth, a held lock is life.

``queue`` (ask for a job, stop it, notice lost ones, wait for one), ``supervisor`` (start a worker
where a job waits and its device is free), ``launchers`` (how a worker process comes to life),
``endings`` (what became of a job, and which one follows it),
``lock`` (whether a worker is alive), ``logs`` (what it said). What a worker does once it lives is
``audit.worker``. Nothing here keeps a handle: every process may end at any moment and the next one
that looks puts things right.
"""
