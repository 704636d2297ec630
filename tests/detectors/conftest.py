import importlib.util
import sys
from pathlib import Path

import pytest

_NAME = "labeltrace_tests_planted"


@pytest.fixture(scope="session")
def planted():
    """The module tests/planted.py; `tests` is no package, so it is loaded from its file."""
    if _NAME not in sys.modules:
        path = Path(__file__).resolve().parents[1] / "planted.py"
        spec = importlib.util.spec_from_file_location(_NAME, path)
        module = importlib.util.module_from_spec(spec)
        # Dataclasses look their own module up while it is being executed.
        sys.modules[_NAME] = module
        spec.loader.exec_module(module)
    return sys.modules[_NAME]
