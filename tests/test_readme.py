"""The README and the documentation say what is true."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from audit.cli.application import app

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```bash\n(.*?)```", README, flags=re.DOTALL)
COMMANDS = [
    line.split("#")[0].strip()
    for block in BLOCKS
    for line in block.splitlines()
    if line.startswith("labeltrace ")
]


def test_the_readme_sets_everything_up_with_two_commands():
    assert "pip install -e . && labeltrace demo" in BLOCKS[0]
    assert any("pip install -e '.[test]' && pytest" in block for block in BLOCKS)


def test_the_readme_shows_commands():
    assert len(COMMANDS) >= 6


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_of_the_readme_can_be_parsed(line):
    word, *rest = shlex.split(line)[1:]
    # A usage error would be raised here.
    typer.main.get_command(app).commands[word].make_context(word, rest)


@pytest.mark.parametrize("target", re.findall(r"\]\((?!https?:)([^)#]+)\)", README))
def test_every_link_of_the_readme_leads_somewhere(target):
    assert (ROOT / target).exists()


def test_every_environment_variable_is_documented():
    code = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "audit").rglob("*.py"))
    documented = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\"(LABELTRACE_[A-Z_]+)\"", code))
    assert named
    assert {name for name in named if f"`{name}`" not in documented} == set()


def test_decisions_are_numbered_one_after_the_other():
    pages = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        title = page.read_text(encoding="utf-8").splitlines()[0]
        assert title.startswith(f"# {int(page.name[:4])}. ")
