"""Instant verbs, called by people: from the terminal, pages, routes and notebooks.

``places`` where a workspace lies · ``datasets`` plan, add, delete, relocate · ``settling`` freeze every
setting · ``runs`` start, resume, cancel · ``scoring`` ask for scores · ``evaluating`` compare scores
with known truth · ``reviewing`` decide and undo · ``exporting`` take labels away and apply patches ·
``referring`` what a name means · ``machine`` and ``diagnosing`` what is here · ``demo``.

What takes minutes is a task in ``audit.tasks``; both meet in the store.
"""
