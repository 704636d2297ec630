"""Where what comes along with the package lies: pages, theme, pretrained detectors."""

from pathlib import Path

import audit


def folder() -> Path:
    """Return the folder that holds what the package brings along.

    In an installed package it lies inside the package, in a checkout it is the checkout itself.
    """
    package = Path(audit.__file__).resolve().parent
    inside = package / "_app"
    return inside if inside.is_dir() else package.parent
