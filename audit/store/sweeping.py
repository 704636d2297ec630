"""Removes what processes that died left behind."""

from audit.store.workspace import Workspace


def sweep(workspace: Workspace) -> None:
    """Remove leftovers."""
