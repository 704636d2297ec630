"""Instant verbs, called by people: from the terminal, pages, routes and notebooks.

``places`` where a workspace lies · ``datasets`` plan, add, delete, relocate · ``settling`` freeze every
setting · ``launching`` from a form to runs, with ``estimating`` of their time · ``runs`` start, resume,
cancel · ``watching`` what runs and ran, with ``vitals`` of workers · ``scoring`` ask for scores ·
``evaluating`` compare scores with known truth · ``reviewing`` decide and undo · ``exporting`` take
labels away and apply patches · ``referring`` what a name means · ``wording`` of refusals on pages ·
``machine`` and ``diagnosing`` what is here · ``demo``.

What takes minutes is a task in ``audit.tasks``; both meet in the store.
"""
