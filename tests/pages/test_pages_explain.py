"""Explain asks once for what is missing, shows what is there, and says what cannot be explained."""

import shutil
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from playwright.sync_api import expect
from streamlit.testing.v1 import AppTest

from audit.jobs import lock
from audit.records.job import JobState
from audit.records.progress import silent
from audit.store import datasets, jobs, scores
from audit.store.workspace import Workspace
from audit.tasks import explain
from audit.ui import MAIN_SCRIPT, shell
from audit.workbench import explaining, runs

HOSTILE = "<img src=x onerror=alert(1)> **bold** :red[x] $y$"


@pytest.fixture
def page(staged_copy, monkeypatch):
    """Open the page on a copy of the staged workspace, as ann."""
    monkeypatch.setenv("LABELTRACE_WORKSPACE", str(staged_copy))
    return opener(monkeypatch)


def opener(monkeypatch):
    monkeypatch.setenv("LABELTRACE_REVIEWER", "ann")

    def open_page(**query):
        app = AppTest.from_file(str(MAIN_SCRIPT), default_timeout=60)
        for key, value in ({"dataset": "staged"} | query).items():
            app.query_params[key] = value
        app.switch_page(shell.page_path("explain")).run()
        assert not app.exception, app.exception
        return app

    return open_page


def text(app):
    """Return everything that the page says."""
    kinds = (app.markdown, app.caption, app.info, app.warning, app.error, app.header)
    return "\n".join(str(part.value) for kind in kinds for part in kind).replace("\\", "")


def labels(app):
    return [one.label for one in app.button]


def button(app, label):
    (found,) = [one for one in app.button if one.label == label]
    return found


def explained(path, key, *methods, name="staged"):
    """Explain a sample as a worker would; return the position."""
    with Workspace.open(path) as workspace:
        dataset = datasets.find(workspace, name)
        latest = scores.latest(workspace, dataset.id)
        position = dataset.positions()[key]
        job = explaining.start(
            workspace, position, [latest[method].id for method in methods],
            launch=lambda workspace, job: None,
        )  # fmt: skip
        now = datetime.now(UTC)
        assert jobs.claim(workspace, job.id, pid=0, now=now) is not None
        result = explain.run(workspace, job, silent)
        assert jobs.finish(workspace, job.id, JobState.DONE, now=now, result=result)
    return position


def jobs_of(path):
    with Workspace.open(path) as workspace:
        return jobs.every(workspace, kind="explain")


def test_what_is_not_explained_yet_is_asked_for_once_and_then_shown(page, staged_copy, until):
    app = page(sample="003")
    assert "aum and margin have not explained this sample yet" in text(app)
    button(app, "Explain").click().run()
    (job,) = jobs_of(staged_copy)
    until(lambda: jobs_of(staged_copy)[0].state is JobState.DONE, 300.0)
    app.run()
    assert "Explain" not in labels(app)
    assert [heading.value for heading in app.header] == ["aum", "margin"]
    assert text(app).count("A sum over epochs explains 100% of what") == 2
    assert len(job.arguments["scores"]) == 2
    assert len(jobs_of(staged_copy)) == 1


def test_while_work_is_under_way_it_can_be_cancelled_and_a_dead_worker_is_noticed(
    page, staged_copy
):
    with Workspace.open(staged_copy) as workspace:
        dataset = datasets.find(workspace, "staged")
        latest = scores.latest(workspace, dataset.id)
        asked = explaining.start(
            workspace, 3, [latest["aum"].id], launch=lambda workspace, job: None
        )
        held = lock.try_take(workspace, asked.id)  # as a living worker does
        assert held is not None
        jobs.claim(workspace, asked.id, pid=0, now=datetime.now(UTC))
        jobs.report(workspace, asked.id, 0.5, "explaining aum", now=datetime.now(UTC))
        app = page(sample="003", method="aum")
        assert "Cancel" in labels(app)
        assert "Explain" not in labels(app)
        assert "1 job running · 50" in text(app)
        held.release()
        with Workspace.open(staged_copy) as again:
            runs.refresh(again)
        app.run()
    assert "aum was not explained. The worker of job" in text(app)
    assert "Explain" in labels(app)


def test_finished_explanations_are_shown_with_words_and_numbers(page, staged_copy):
    explained(staged_copy, "003", "aum", "margin")
    app = page(sample="003")
    told = text(app)
    assert "The network called it" in told
    assert "threshold rows; dotted lines are medians." in told
    assert told.count("Occluded epochs are replaced by the median of") == 2
    assert "occluding epoch" in told
    tables = [table.value for table in app.dataframe]
    assert [list(table.columns) for table in tables] == [
        ["Epochs", "Margin", "aum"], ["Epochs", "Margin", "margin"],
    ]  # fmt: skip
    assert len(tables[0]) == 12
    assert "Run staged-threshold-1" in told  # two runs, so each sentence names its own


def test_the_address_chooses_methods_and_what_it_asks_in_vain_is_told(page, staged_copy):
    explained(staged_copy, "003", "aum", "margin")
    app = page(sample="003", method="margin")
    assert [heading.value for heading in app.header] == ["margin"]
    app = page(sample="003", method=f"margin,{HOSTILE}")
    (warning,) = app.warning
    assert "has no scores here; there are aum, margin." in warning.value.replace("\\", "")
    assert "**bold**" not in warning.value
    app.multiselect(key="explain-methods").set_value(["aum"]).run()
    assert app.query_params["method"] in ("aum", ["aum"])
    assert [heading.value for heading in app.header] == ["aum"]


def test_without_a_key_the_most_suspicious_sample_is_shown_and_an_unknown_one_is_answered(page):
    app = page()
    assert app.query_params["sample"]
    app = page(sample="9042")
    assert "has no sample '9042'; the closest key is '042'" in app.error[0].value.replace("\\", "")
    button(app, "Open 042").click().run()
    assert "Sample **042**" in text(app)


def test_a_failure_is_told_and_can_be_tried_again(page, staged_copy):
    with Workspace.open(staged_copy) as workspace:
        dataset = datasets.find(workspace, "staged")
        latest = scores.latest(workspace, dataset.id)
        job = explaining.start(workspace, 3, [latest["aum"].id], launch=lambda workspace, job: None)
        now = datetime.now(UTC)
        jobs.claim(workspace, job.id, pid=0, now=now)
        jobs.finish(workspace, job.id, JobState.FAILED, now=now, error="It *broke*.")
    app = page(sample="003", method="aum")
    assert app.error[0].value.replace("\\", "") == "aum was not explained. It *broke*."
    assert "Explain" in labels(app)


def test_an_explanation_of_replaced_scores_is_shown_and_called_old(page, staged_copy):
    explained(staged_copy, "003", "margin")
    with Workspace.open(staged_copy) as workspace:
        dataset = datasets.find(workspace, "staged")
        stored = scores.load(workspace, scores.latest(workspace, dataset.id)["margin"].id)
        spec = replace(stored.spec, params={"skip_first": 2})
        later = datetime(2999, 1, 1, tzinfo=UTC)
        scores.save(workspace, dataset.id, replace(stored, spec=spec), at=later)
    app = page(sample="003", method="margin")
    assert "margin has scored again since" in app.warning[0].value
    assert "Explain" in labels(app)
    assert [heading.value for heading in app.header] == ["margin"]


def test_a_sample_that_was_not_trained_is_a_sentence(stage, staged_copy, tmp_path, monkeypatch):
    with Workspace.open(staged_copy) as workspace:
        few = {"n_samples": 40, "n_epochs": 4, "methods": ("margin",), "n_unlabelled": 1}
        stage(workspace, tmp_path, name="few", **few)
    monkeypatch.setenv("LABELTRACE_WORKSPACE", str(staged_copy))
    app = opener(monkeypatch)(dataset="few", sample="39")
    assert "gave sample '39' no suspicion that could be explained" in text(app)
    assert "Explain" not in labels(app)


def test_a_damaged_run_is_told(page, staged_copy):
    explained(staged_copy, "003", "margin")
    for run in (staged_copy / "runs").iterdir():
        shutil.rmtree(run)
    app = page(sample="003", method="margin")
    assert len(app.error) == 1
    assert not app.header


def test_an_empty_workspace_and_one_without_scores_say_what_to_do_first(
    tmp_path, stage, monkeypatch
):
    monkeypatch.setenv("LABELTRACE_WORKSPACE", str(tmp_path / "workspace"))
    app = opener(monkeypatch)()
    assert "There is no dataset yet" in app.info[0].value
    with Workspace.open(tmp_path / "workspace") as workspace:
        stage(workspace, tmp_path, name="bare", n_samples=30, n_epochs=3, methods=())
    app = opener(monkeypatch)(dataset="bare")
    assert "Nothing has been trained on dataset" in text(app)


@pytest.mark.browser
def test_the_page_explains_at_a_press_and_is_reached_from_the_sample(
    serve, staged_copy, tab, visit
):
    server = serve(staged_copy, LABELTRACE_REVIEWER="ann")
    visit(tab, f"{server.url}/sample?dataset=staged&sample=003")
    tab.get_by_role("link", name="Explain the suspicion").click()
    tab.locator("h1", has_text="Explain").wait_for()
    assert tab.evaluate("() => new URL(location).searchParams.get('sample')") == "003"
    tab.get_by_role("button", name="Explain", exact=True).click()
    plot = tab.get_by_test_id("stPlotlyChart")
    plot.locator(".main-svg").first.wait_for(timeout=300_000)
    # Twelve epochs under each of two methods.
    tab.wait_for_function("() => document.querySelectorAll('.bars .point').length === 24")
    expect(tab.locator("[aria-label*='aum: A sum over epochs explains 100%']")).to_have_count(1)
    tab.get_by_role("link", name="Back to the sample").click()
    tab.locator("h1", has_text="Sample").wait_for()
