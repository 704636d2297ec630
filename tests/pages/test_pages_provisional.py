"""Looking while it trains: the Ranking and Sample pages on a run that is being trained."""

import numpy as np
import pytest
from playwright.sync_api import expect
from streamlit.testing.v1 import AppTest

from audit.jobs import lock
from audit.records.run import RunState
from audit.store import dynamics, jobs
from audit.store import runs as run_rows
from audit.store.workspace import Workspace
from audit.ui import MAIN_SCRIPT, shell
from audit.workbench import runs as run_verbs


@pytest.fixture
def place(stage, tmp_path):
    """Stage a dataset with some methods; return the folder of its workspace."""

    def make(*methods):
        with Workspace.open(tmp_path / "workspace") as workspace:
            stage(workspace, tmp_path, methods=methods)
        return tmp_path / "workspace"

    return make


@pytest.fixture
def train(interrupt):
    """Let the last staged run be one that is being trained, with some epochs written."""

    def begin(folder, n_epochs):
        with Workspace.open(folder) as workspace:
            run = run_rows.all(workspace)[-1]
            return interrupt(workspace, run, n_epochs=n_epochs, state=RunState.RUNNING)

    return begin


@pytest.fixture
def look(monkeypatch):
    """Open a page on a workspace, without a browser."""

    def open_page(folder, name="ranking", **query):
        monkeypatch.setenv("LABELTRACE_WORKSPACE", str(folder))
        app = AppTest.from_file(str(MAIN_SCRIPT), default_timeout=30)
        for key, value in ({"dataset": "staged"} | query).items():
            app.query_params[key] = value
        app.switch_page(shell.page_path(name)).run()
        assert not app.exception, app.exception
        return app

    return open_page


def said(app):
    kinds = (app.info, app.warning, app.error, app.caption, app.markdown)
    return " ".join(part.value for kind in kinds for part in kind).replace("\\", "")


def labels(app):
    return {button.label for button in app.button}


def end(folder, run, state):
    with Workspace.open(folder) as workspace:
        run_rows.set_state(workspace, run.id, state)


def another_epoch(folder, run):
    with Workspace.open(folder) as workspace:
        rows = dynamics.saved_rows(workspace, run)
        values = {
            name: np.linspace(-1, 3, len(rows.sample)).astype(dtype)
            for name, dtype in dynamics.SIGNAL_DTYPES.items()
        }
        with dynamics.DynamicsWriter.open(workspace, run, rows) as writer:
            writer.write_epoch(writer.n_written, values | {"best_other_class": rows.assigned_label})


def test_the_first_run_of_a_dataset_is_ranked_while_it_trains(place, train, look):
    folder = place("margin")
    run = train(folder, 7)
    app = look(folder)
    assert f"Provisional: run {run.name}, epoch 7 of 12; not final." in said(app)
    assert "120 of 120 samples" in said(app)
    assert app.selectbox(key="filters-method").value == "provisional"
    assert "Review these" not in labels(app)
    app = look(folder, "sample", method="provisional", sample="000")
    assert "Provisional: run" in said(app)
    assert "by provisional" in said(app)
    assert "5 epochs" not in said(app)
    app = look(folder, "review", method="provisional")
    assert "This dataset has no scores yet" in str([part.proto.body for part in app.get("html")])


def test_a_run_without_a_whole_epoch_says_so(place, train, look):
    folder = place("margin")
    train(folder, 0)
    app = look(folder)
    assert "no epoch has finished yet" in said(app)
    assert not app.selectbox(key="dataset").disabled


def test_beside_final_scores_it_is_one_more_method(place, train, look):
    folder = place("aum", "margin")
    train(folder, 4)
    app = look(folder)
    assert app.selectbox(key="filters-method").value == "aum"
    assert "provisional" in app.selectbox(key="filters-method").options
    assert "The method “provisional” shows what the run in training suspects so far." in said(app)
    app.selectbox(key="filters-method").set_value("provisional").run()
    assert not app.exception
    assert "epoch 4 of 12; not final" in said(app)
    assert app.query_params["method"] == "provisional"


def test_when_the_run_is_over_the_page_says_so_and_offers_what_there_is(place, train, look):
    folder = place("aum", "margin")
    run = train(folder, 4)
    end(folder, run, RunState.LOST)
    app = look(folder, method="provisional")
    assert "is not being trained any more, it is lost: resume it" in said(app)
    assert app.selectbox(key="filters-method").value == "aum"


def test_final_scores_are_offered_once_they_are_there(place, look):
    app = look(place("aum", "margin"), method="provisional")
    assert "is sealed, so there is no provisional ranking any more" in said(app)
    next(button for button in app.button if button.label == "Show margin").click().run()
    assert app.selectbox(key="filters-method").value == "margin"
    assert "provisional" not in said(app)


def test_runs_leads_to_what_a_run_in_training_suspects_so_far(place, train, look):
    folder = place("margin")
    run = train(folder, 4)
    with Workspace.open(folder) as workspace:
        job = run_verbs.enqueue(workspace, run)
        held = lock.try_take(workspace, job.id)
        jobs.claim(workspace, job.id, pid=1, now=job.created_at)
    assert "Suspects so far" in labels(look(folder, "runs"))
    held.release()


@pytest.mark.browser
def test_a_new_epoch_is_shown_by_itself_and_a_tile_opens_but_decides_nothing(
    place, train, serve, tab, visit
):
    folder = place("aum", "margin")
    run = train(folder, 0)
    end(folder, run, RunState.QUEUED)
    server = serve(folder)
    visit(tab, f"{server.url}/ranking?dataset=staged&method=provisional")
    tiles = tab.get_by_test_id("gallery-tile")
    # Nobody presses anything from here on: the page follows the run.
    expect(tab.get_by_text("waits for its device")).to_be_visible()
    end(folder, run, RunState.RUNNING)
    expect(tab.get_by_text("no epoch has finished yet")).to_be_visible()
    another_epoch(folder, run)
    expect(tab.get_by_text("epoch 1 of 12; not final")).to_be_visible()
    another_epoch(folder, run)
    expect(tab.get_by_text("epoch 2 of 12; not final")).to_be_visible()
    tiles.first.wait_for()
    tiles.first.click()
    tab.keyboard.press("x")
    expect(tab.get_by_role("toolbar", name="Decide on the selected samples")).to_be_hidden()
    tiles.first.dblclick()
    tab.wait_for_url("**/sample?*method=provisional*")
    expect(tab.get_by_text("epoch 2 of 12; not final")).to_be_visible()
