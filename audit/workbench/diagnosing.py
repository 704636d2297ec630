"""Whether this machine can do the work: what ``labeltrace doctor`` looks at."""

import importlib.metadata
import platform
import shutil
from dataclasses import dataclass
from pathlib import Path

from audit import __version__
from audit.errors import AuditError
from audit.store.workspace import Workspace
from audit.workbench import machine, places

_LIBRARIES = ("streamlit", "numpy", "pandas", "pyarrow", "scikit-learn", "pillow", "sqlalchemy")
_LITTLE_SPACE = 2e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that was looked at.

    Parameters
    ----------
    name
        What.
    is_fine
        Whether labeltrace can work with it as it is.
    found
        What was found, in a few words.
    advice
        What to do when it is not fine, otherwise empty.
    """

    name: str
    is_fine: bool
    found: str
    advice: str = ""


def examine(workspace_path: Path) -> list[Check]:
    """Look at Python, libraries, torch, devices, threads, the workspace and its disk."""
    checks = [
        Check(name="labeltrace", is_fine=True, found=__version__),
        Check(
            name="python",
            is_fine=True,
            found=f"{platform.python_version()} on {platform.system()} {platform.machine()}",
        ),
    ]
    checks += [_library(name) for name in _LIBRARIES]
    checks += _torch()
    checks.append(Check(name="threads", is_fine=True, found=str(machine.threads())))
    checks += _workspace(workspace_path)
    return checks


def _library(name: str) -> Check:
    try:
        return Check(name=name, is_fine=True, found=importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Check(name=name, is_fine=False, found="missing", advice=f"pip install {name}")


def _torch() -> list[Check]:
    try:
        facts = machine.ask_torch()
    except AuditError as error:
        return [
            Check(
                name="torch",
                is_fine=False,
                found=str(error),
                advice="pip install 'torch>=2.6,<2.14' 'torchvision>=0.21,<0.29'",
            )
        ]
    vision = facts.get("torchvision")
    return [
        Check(name="torch", is_fine=True, found=str(facts["torch"])),
        Check(
            name="torchvision",
            is_fine=vision is not None,
            found=str(vision or "cannot be imported"),
            advice="" if vision else "pip install 'torchvision>=0.21,<0.29'",
        ),
        *(
            Check(
                name=str(device["name"]),
                is_fine=True,
                found=f"{device['title']}, {'bfloat16' if device['bfloat16'] else 'float32'}",
            )
            for device in facts["devices"]
        ),
    ]


def _workspace(path: Path) -> list[Check]:
    try:
        with Workspace.open(path, database_url=places.database_url()):
            checks = [Check(name="workspace", is_fine=True, found=str(path))]
    except AuditError as error:
        return [
            Check(
                name="workspace",
                is_fine=False,
                found=str(error),
                advice=f"choose another with --workspace or {places.WORKSPACE}",
            )
        ]
    free = shutil.disk_usage(path).free
    is_fine = free > _LITTLE_SPACE
    checks.append(
        Check(
            name="disk",
            is_fine=is_fine,
            found=f"{free / 1e9:.1f} GB free",
            advice="" if is_fine else "make room, or choose a workspace on another disk",
        )
    )
    return checks
