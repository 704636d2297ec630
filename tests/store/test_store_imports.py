"""The store's modules build on each other in one direction."""

import ast
import graphlib
from pathlib import Path

import audit.store

FOLDER = Path(audit.store.__file__).parent


def imported_by(file, siblings):
    """Return the siblings that a module imports anywhere in it, also late or for types alone."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "audit.store":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("audit.store."):
            found.add((node.module or "").split(".")[2])
    return found & siblings


def test_no_module_of_the_store_imports_one_that_imports_it():
    files = {file.stem: file for file in FOLDER.glob("*.py")}
    graph = {name: imported_by(file, set(files)) for name, file in files.items()}
    assert "database" in graph["workspace"]
    order = list(graphlib.TopologicalSorter(graph).static_order())  # raises on a circle
    assert order.index("sweeping") < order.index("workspace")
