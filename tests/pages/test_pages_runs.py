"""The Runs page: every state in words, and real trainings that outlive tabs and servers."""

import os
import re
import signal
from datetime import UTC, datetime

import numpy as np
import pytest
from playwright.sync_api import expect
from streamlit.testing.v1 import AppTest

from audit.jobs import queue
from audit.records.decision import Decision, Verdict
from audit.records.job import JobState
from audit.store import decisions, jobs, runs
from audit.store.workspace import Workspace
from audit.ui import MAIN_SCRIPT, shell
from audit.ui.texts import plain
from audit.workbench import datasets, exporting, launching, settling
from audit.workbench import runs as run_verbs
from audit.workbench.datasets import SourceOptions
from audit.workbench.settling import Wishes
from audit.workbench.shelf import Shelf


def hold(workspace, device="cpu"):
    """Occupy a device without any worker; returns what frees it."""
    from audit.jobs import lock

    job = queue.enqueue(workspace, "train", {}, device=device)
    held = lock.try_take(workspace, job.id)
    jobs.claim(workspace, job.id, pid=1, now=job.created_at)
    return held


@pytest.fixture
def page(monkeypatch):
    """Open the Runs page on a workspace, without a browser."""

    def open_on(folder, **query):
        monkeypatch.setenv("LABELTRACE_WORKSPACE", str(folder))
        app = AppTest.from_file(str(MAIN_SCRIPT), default_timeout=30)
        for name, value in query.items():
            app.query_params[name] = value
        app.run()
        app.switch_page(shell.page_path("runs"))
        return app.run()

    return open_on


def texts(app):
    kinds = (app.markdown, app.caption, app.info, app.warning, app.error)
    return "\n".join(str(element.value) for kind in kinds for element in kind) + _html(app)


def _html(app):
    return "\n".join(element.proto.body for element in app.get("html"))


def states(app):
    return re.findall(r'data-testid="run-state"[^>]*>([a-z]+)<', _html(app))


def button(app, label):
    (found,) = (b for b in app.button if b.label == label)
    return found


def test_an_empty_workspace_says_that_a_run_needs_a_dataset(page, tmp_path):
    app = page(tmp_path / "workspace")
    assert not app.exception
    assert "A run needs a dataset" in texts(app)
    assert [b.label for b in app.button] == ["Import a dataset"]


def test_sealed_runs_are_shown_with_their_way_to_the_ranking(page, staged_copy):
    app = page(staged_copy, dataset="staged")
    assert not app.exception
    assert set(states(app)) == {"sealed"}
    assert button(app, "Open ranking")
    assert len(app.dataframe[0].value) == 3
    assert button(app, "Start run").disabled is False
    assert "rough guess" in texts(app)


def test_a_run_whose_labels_were_changed_since_says_so(page, staged_copy):
    assert "changed since" not in texts(page(staged_copy, dataset="staged"))
    with Workspace.open(staged_copy) as workspace:
        dataset = Shelf(workspace).dataset("staged")
        changed = Decision(
            dataset_id=dataset.id,
            sample_key=dataset.sample_keys[0],
            given_label=dataset.class_names[dataset.given_labels[0]],
            verdict=Verdict.EXCLUDE,
            label=None,
            reviewer="ada",
            decided_at=datetime(2026, 1, 2, tzinfo=UTC),
        )
        decisions.append(workspace, [changed])
        version = exporting.label_state(workspace, dataset).version
    app = page(staged_copy, dataset="staged")
    said = f"labels as given; 1 label was changed since (version {version}). Retrain says"
    assert plain(said) in texts(app)


def test_a_run_is_shown_whatever_became_of_its_dataset(page, staged_copy):
    for file in (staged_copy / "datasets").rglob("*"):
        if file.is_file():
            file.unlink()
    app = page(staged_copy, dataset="staged")
    assert not app.exception
    assert set(states(app)) == {"sealed"}
    assert "Loss, accuracy and stability" in [opened.label for opened in app.expander]


@pytest.mark.parametrize("how", [JobState.FAILED, JobState.LOST])
def test_scores_that_failed_or_were_lost_say_why_and_can_be_asked_for_again(
    page, stage, tmp_path, how
):
    with Workspace.open(tmp_path / "workspace") as workspace:
        dataset = stage(workspace, tmp_path, methods=("margin",))
        (run,) = runs.all(workspace, dataset.id)
        with workspace.writing() as connection:
            connection.exec_driver_sql("DELETE FROM scores")
        request = {"method": "margin", "runs": [run.id], "params": {}}
        job = queue.enqueue(workspace, "score", {"requests": [request]}, device="cpu")
        jobs.claim(workspace, job.id, pid=1, now=job.created_at)
        error = "Memory ran out; use another --device."
        jobs.finish(workspace, job.id, how, now=job.created_at, error=error)
        held = hold(workspace)
    app = page(tmp_path / "workspace")
    assert not app.exception
    assert "Memory ran out; use another device." in _html(app)
    button(app, "Score again").click().run()
    assert not app.exception
    with Workspace.open(tmp_path / "workspace") as workspace:
        asked = [one for one in jobs.every(workspace) if one.kind == "score"]
        assert asked[-1].arguments["requests"][0]["method"] == "margin"
        assert len(asked) == 2
        if not asked[-1].is_over:
            queue.request_stop(workspace, asked[-1])
    held.release()


def test_what_was_recorded_elsewhere_becomes_a_run_that_scores(page, stage, tmp_path):
    with Workspace.open(tmp_path / "workspace") as workspace:
        dataset = stage(workspace, tmp_path, methods=(), n_samples=40)
        labels = dataset.given_labels
    logits = np.random.default_rng(0).normal(size=(3, 40, 5)).astype(np.float32)
    np.savez(tmp_path / "mine.npz", logits=logits, labels=labels)
    np.savez(tmp_path / "others.npz", logits=logits, labels=(labels + 1) % 5)
    app = page(tmp_path / "workspace", dataset="staged")
    app.text_input(key="adopt_file").set_value(str(tmp_path / "others.npz"))
    button(app, "Adopt").click().run()
    assert not app.exception
    assert "40 of 40 labels of 'others.npz' are not the given labels" in plain_texts(app)
    app.text_input(key="adopt_file").set_value(str(tmp_path / "mine.npz"))
    button(app, "Adopt").click().run()
    assert not app.exception
    (said,) = app.success
    assert "staged-recorded-1 is there: 3 epochs of 40 samples" in said.value.replace("\\", "")
    assert states(app) == ["sealed"]
    assert "recorded elsewhere · ordinary training" in texts(app)
    assert "Taken over from mine.npz." in plain_texts(app)
    assert app.dataframe[0].value["Preset"].tolist() == ["recorded"]
    app.multiselect[0].set_value(["margin"]).run()
    button(app, "Score").click().run()
    assert not app.exception
    with Workspace.open(tmp_path / "workspace") as workspace:
        (asked,) = jobs.every(workspace)
        assert asked.arguments["requests"][0]["method"] == "margin"
        if not asked.is_over:
            queue.request_stop(workspace, asked)


def plain_texts(app):
    """What a page says, without the backslashes that keep Streamlit from reading markdown in it."""
    return texts(app).replace("\\", "")


def test_the_dataset_of_the_address_is_chosen(page, staged_copy, stage, tmp_path):
    with Workspace.open(staged_copy) as workspace:
        stage(workspace, tmp_path, name="a second one", n_samples=30, methods=("margin",))
    app = page(staged_copy, dataset="staged")
    assert app.selectbox(key="dataset").value == "staged"


def test_a_dataset_that_does_not_exist_is_answered_with_a_sentence(page, staged_copy):
    app = page(staged_copy, dataset="<script>alert(1)</script>")
    assert not app.exception
    assert "There is no dataset" in app.error[0].value


def test_what_is_wrong_with_the_wishes_stands_above_a_button_that_does_nothing(page, staged_copy):
    app = page(staged_copy, dataset="staged")
    app.selectbox(key="run_preset").select("features").run()
    assert "no weights" in app.warning[0].value
    assert button(app, "Start run").disabled
    app.selectbox(key="run_preset").select("quick").run()
    assert not button(app, "Start run").disabled


def test_settings_are_settled_as_one_types(page, staged_copy):
    app = page(staged_copy, dataset="staged")
    app.number_input(key="run_epochs").set_value(7).run()
    assert "2 × 7 epochs with threshold rows" in _html(app)
    app.radio(key="run_look").set_value("both").run()
    assert "2 × 7 epochs with threshold rows and 7 epochs" in _html(app)


def test_a_run_may_stop_when_its_ranking_has_settled_which_the_form_says(page, staged_copy):
    app = page(staged_copy, dataset="staged")
    app.number_input(key="run_epochs").set_value(40).run()
    app.radio(key="run_look").set_value("ranking").run()
    assert "at most" not in _html(app)
    app.checkbox(key="run_stop_when_stable").check().run()
    assert not app.exception
    assert "at most 40 epochs" in _html(app)
    assert "less if the ranking settles sooner" in texts(app)
    assert "docs/stability.md" in app.checkbox(key="run_stop_when_stable").help


def test_every_opinion_takes_five_trainings_and_one_serves_them_all_on_wish(page, staged_copy):
    app = page(staged_copy, dataset="staged")
    app.number_input(key="run_epochs").set_value(7).run()
    app.radio(key="run_look").set_value("all").run()
    assert not app.exception
    said = _html(app)
    for part in (
        "2 × 7 epochs with threshold rows",
        "7 epochs with corrupted copies",
        "7 epochs with planted labels",
    ):
        assert part in said
    app.toggle(key="run_budget").set_value(True).run()
    said = _html(app)
    assert "7 epochs with corrupted copies" in said
    assert "threshold rows" not in said
    app.radio(key="run_look").set_value("ranking").run()
    assert not [toggle for toggle in app.toggle if toggle.key == "run_budget"]


def test_a_started_run_waits_for_its_device_and_can_be_cancelled_and_resumed(page, staged_copy):
    with Workspace.open(staged_copy) as workspace:
        held = hold(workspace)
    app = page(staged_copy, dataset="staged")
    app.radio(key="run_look").set_value("ranking").run()
    button(app, "Start run").click().run()
    assert states(app)[0] == "queued"
    assert "waits for a train job on cpu" in texts(app)
    assert "being trained already" in texts(app)
    assert button(app, "Start run").disabled
    assert any("1 waiting" in str(caption.value) for caption in app.sidebar.caption)
    button(app, "Cancel").click().run()
    assert states(app)[0] == "cancelled"
    button(app, "Resume").click().run()
    assert states(app)[0] == "queued"
    button(app, "Cancel").click().run()
    held.release()


def test_names_of_users_are_text(page, tmp_path, coloured_images):
    images, classes = coloured_images(12)
    np.savez(tmp_path / "d.npz", images=images, labels=classes)
    name = "<b onmouseover=alert(1)>**x** :red[y]"
    with Workspace.open(tmp_path / "workspace") as workspace:
        held = hold(workspace)
        dataset, _ = datasets.add(
            workspace, datasets.plan(tmp_path / "d.npz", SourceOptions()), name
        )
        wishes = Wishes(device="cpu", epochs=1, image_size=8)
        run_verbs.start(workspace, dataset, settling.settle(dataset, wishes))
    app = page(tmp_path / "workspace")
    assert not app.exception
    assert "<b onmouseover" not in _html(app)
    assert "&lt;b onmouseover" in _html(app)
    assert not any("**x**" in str(element.value) for element in (*app.markdown, *app.caption))
    held.release()


def test_a_failed_run_says_why_and_what_to_do(page, staged_copy):
    with Workspace.open(staged_copy) as workspace:
        shelf = Shelf(workspace)
        held = hold(workspace)
        wishes = Wishes(device="cpu", epochs=1)
        (run,) = launching.start(shelf, shelf.dataset("staged"), ["margin"], wishes, form_id="f")
        job = run_verbs.find_job(workspace, run.id)
        queue.request_stop(workspace, job)
        sentence = "There is no weights file 'w.npz'; check --weights."
        runs.set_state(workspace, run.id, runs.RunState.FAILED, error=sentence)
    app = page(staged_copy, dataset="staged")
    assert states(app) == ["failed"]
    assert "There is no weights file &#x27;w.npz&#x27;; check the path." in _html(app)
    assert "Mend what the sentence says, then resume" in texts(app)
    held.release()


# ------------------------------------------------------------------------------------- in a browser


def choose(tab, label, value):
    field = tab.get_by_label(label, exact=True)
    field.fill(value)
    field.press("Enter")


def state_of(tab, number=0):
    return tab.get_by_test_id("run-state").nth(number).inner_text()


@pytest.fixture
def colours(tmp_path, coloured_images):
    """Give a workspace with 150 images, enough for epochs that a test can see."""
    images, classes = coloured_images(150)
    np.savez(tmp_path / "colours.npz", images=images, labels=classes)
    with Workspace.open(tmp_path / "workspace") as workspace:
        datasets.add(workspace, datasets.plan(tmp_path / "colours.npz", SourceOptions()))
    yield tmp_path / "workspace"
    with Workspace.open(tmp_path / "workspace") as workspace:
        for job in jobs.under_way(workspace):
            queue.request_stop(workspace, job)


@pytest.mark.browser
def test_a_run_outlives_reload_and_server_and_ends_sealed_and_scored(
    serve, colours, tab, visit, until
):
    server = serve(colours)
    visit(tab, f"{server.url}/runs?dataset=colours")
    tab.get_by_text("A ranking", exact=True).click()
    tab.get_by_text("Settings", exact=True).click()
    choose(tab, "Epochs", "12")
    tab.get_by_text("12 epochs", exact=True).wait_for()
    tab.get_by_role("button", name="Start run").dblclick()
    tab.get_by_test_id("run-state").get_by_text("running").wait_for(timeout=60_000)
    with Workspace.open(colours) as workspace:
        (run,) = runs.all(workspace)
        (job,) = jobs.every(workspace)
        server.kill()
        assert jobs.find(workspace, job.id).state is JobState.RUNNING
        os.kill(job.pid or jobs.find(workspace, job.id).pid, 0)
        server.start()
        visit(tab, f"{server.url}/runs?dataset=colours")
        assert state_of(tab) in ("running", "sealed")
        tab.get_by_role("button", name="Open ranking").wait_for(timeout=60_000)
        assert state_of(tab) == "sealed"
        expect(tab.get_by_text("scored with tanh_epoch")).to_be_visible()
        assert len(runs.all(workspace)) == 1, "a double click starts once"
        assert runs.find(workspace, run.id).state is runs.RunState.SEALED
        until(lambda: not jobs.under_way(workspace))
        assert [job.kind for job in jobs.every(workspace)] == ["train", "score"]
    tab.get_by_text("Log", exact=True).click()
    expect(tab.get_by_test_id("stCode")).to_contain_text("sealed after 12 epochs")
    with tab.expect_download() as download:
        tab.get_by_role("link", name="Whole log").click()
    assert "sealed after 12 epochs" in download.value.path().read_text()
    tab.get_by_role("button", name="Open ranking").click()
    tab.wait_for_url(re.compile(r"/ranking\?.*dataset=colours"))


@pytest.mark.browser
def test_a_running_run_is_cancelled_resumed_lost_and_deleted(serve, colours, tab, visit, until):
    with Workspace.open(colours) as workspace:
        shelf = Shelf(workspace)
        wishes = Wishes(device="cpu", epochs=3000, image_size=16)
        (run,) = launching.start(shelf, shelf.dataset("colours"), ["margin"], wishes, form_id="f")
        server = serve(colours)
        visit(tab, f"{server.url}/runs")
        tab.get_by_text(re.compile(r"^epoch [3-9]\d* of 3000")).first.wait_for(timeout=60_000)
        tab.get_by_text(re.compile(r"^cpu · 1 thread · .* of memory$")).wait_for()
        tab.get_by_role("button", name="Cancel").click()
        tab.get_by_test_id("run-state").get_by_text("cancelled").wait_for(timeout=30_000)
        whole = re.compile(r"^stopped in epoch \d+ of 3000; \d+ whole")
        expect(tab.get_by_text(whole)).to_be_visible()
        tab.get_by_role("button", name="Resume").click()
        tab.get_by_test_id("run-state").get_by_text("running").wait_for(timeout=60_000)
        # Nobody presses anything: the page notices the worker's death by itself.
        os.killpg(run_verbs.find_job(workspace, run.id).pid, signal.SIGKILL)
        tab.get_by_test_id("run-state").get_by_text("lost").wait_for(timeout=30_000)
        expect(tab.get_by_text("resume it.")).to_be_visible()
        table = tab.get_by_test_id("stDataFrame")
        table.scroll_into_view_if_needed()
        table.click(position={"x": 16, "y": 52})  # the box before the first row
        tab.get_by_role("button", name="Delete run…").click()
        tab.get_by_role("button", name=re.compile("^Delete and free .*B$")).click()
        tab.get_by_text("No run yet.").wait_for(timeout=30_000)
        assert runs.all(workspace) == []
