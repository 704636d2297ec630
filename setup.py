"""Lays the dashboard's files inside the package of a wheel; everything else stands in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
PATTERNS = ("app.py", ".streamlit/config.toml", "pages/**/*.py", "pretrained/*")
"""What ``audit/_app`` in a wheel holds; `audit.workbench.serving.app_folder` looks for it."""


class BuildWithApp(build_py):
    """Builds the package and copies the dashboard into it; an editable install finds it beside."""

    def run(self) -> None:
        """Build."""
        super().run()
        if self.editable_mode:
            return
        # A build folder may hold the pages of an earlier build.
        shutil.rmtree(self._app(), ignore_errors=True)
        for source, target in self._files():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:  # noqa: FBT001, FBT002
        """Return every file that is built."""
        outputs = super().get_outputs(include_bytecode)
        return outputs if self.editable_mode else [*outputs, *(str(t) for _, t in self._files())]

    def _app(self) -> Path:
        return Path(self.build_lib) / "audit" / "_app"

    def _files(self) -> list[tuple[Path, Path]]:
        found = sorted(file for pattern in PATTERNS for file in ROOT.glob(pattern))
        return [(file, self._app() / file.relative_to(ROOT)) for file in found if file.is_file()]


setup(cmdclass={"build_py": BuildWithApp})
