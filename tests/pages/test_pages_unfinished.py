"""The pages on a run that was cancelled: what is there can be scored, looked at and reviewed."""

import pytest
from streamlit.testing.v1 import AppTest

from audit.store import runs, scores
from audit.store.workspace import Workspace
from audit.ui import MAIN_SCRIPT, shell


@pytest.fixture
def cancelled(stage, interrupt, tmp_path):
    """Give a workspace whose only run ended after five of twelve epochs."""
    with Workspace.open(tmp_path / "workspace") as workspace:
        dataset = stage(workspace, tmp_path, methods=("margin",))
        (run,) = runs.all(workspace, dataset.id)
        interrupt(workspace, run)
    return tmp_path / "workspace"


@pytest.fixture
def look(monkeypatch, cancelled):
    """Open a page on that workspace, without a browser."""
    monkeypatch.setenv("LABELTRACE_WORKSPACE", str(cancelled))

    def open_page(name, **query):
        app = AppTest.from_file(str(MAIN_SCRIPT), default_timeout=30)
        for key, value in ({"dataset": "staged"} | query).items():
            app.query_params[key] = value
        app.switch_page(shell.page_path(name)).run()
        assert not app.exception, app.exception
        return app

    return open_page


def test_what_is_there_can_be_scored_and_then_looked_at(look, cancelled, until):
    app = look("runs")
    (choice,) = app.multiselect
    assert "margin" in choice.options
    choice.set_value(["margin"]).run()
    next(one for one in app.button if one.label == "Score").click().run()
    assert not app.exception
    with Workspace.open(cancelled) as workspace:
        (run,) = runs.all(workspace)
        (stored,) = until(lambda: scores.all(workspace, run.dataset_id))
        assert scores.load(workspace, stored.id).epochs == {run.id: 5}
    again = look("runs")
    assert any("scored so far with margin" in part.value for part in again.markdown)
    assert any(one.label == "Open ranking" for one in again.button)
    look("ranking", method="margin")
    look("sample", sample="000", method="margin")
    look("review", method="margin")
