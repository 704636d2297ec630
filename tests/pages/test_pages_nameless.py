"""A server whose user has no log-in name draws every page, and asks for a name before a decision."""

import getpass

import pytest
from streamlit.testing.v1 import AppTest

from audit.store import datasets, decisions
from audit.store.workspace import Workspace
from audit.ui import MAIN_SCRIPT, shell
from audit.workbench.receiving import NAMELESS


@pytest.fixture
def nameless(staged_copy, monkeypatch):
    def nobody():
        raise OSError("no log-in name")

    monkeypatch.setattr(getpass, "getuser", nobody)
    monkeypatch.delenv("LABELTRACE_REVIEWER", raising=False)
    monkeypatch.setenv("LABELTRACE_WORKSPACE", str(staged_copy))
    app = AppTest.from_file(str(MAIN_SCRIPT), default_timeout=30)
    app.query_params["dataset"] = "staged"
    return app.run()


@pytest.mark.parametrize(
    "address", ["ranking", "sample", "compare", "review", "history", "export", "runs"]
)
def test_a_page_is_drawn_and_asks_for_a_name(nameless, address):
    nameless.switch_page(shell.page_path(address)).run()
    assert not nameless.exception
    assert nameless.text_input(key="reviewer").value == ""
    assert NAMELESS in [warning.value for warning in nameless.sidebar.warning]


def test_nothing_is_decided_without_a_name(nameless, staged_copy):
    with Workspace.open(staged_copy) as workspace:
        key = datasets.find(workspace, "staged").sample_keys[0]
    nameless.query_params.update({"dataset": "staged", "sample": key})
    nameless.switch_page(shell.page_path("sample")).run()
    exclude = next(button for button in nameless.button if button.label == "Exclude")
    exclude.click().run()
    assert not nameless.exception
    assert any(NAMELESS.split(":")[0] in error.value for error in nameless.error)
    with Workspace.open(staged_copy) as workspace:
        assert not decisions.log(workspace, datasets.find(workspace, "staged").id)
