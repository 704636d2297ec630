"""Sample shows one image with all that is known of it, in every state, and records what is pressed."""

import shutil
from datetime import UTC, datetime

import numpy as np
import pytest
from playwright.sync_api import expect
from streamlit.testing.v1 import AppTest

from audit.datasets import sources
from audit.records.dataset import UNLABELLED
from audit.records.decision import Undo, Verdict
from audit.store import datasets, decisions
from audit.store.workspace import Workspace
from audit.ui import MAIN_SCRIPT, shell
from audit.workbench import reviewing, suspects
from audit.workbench.shelf import Shelf

HOSTILE = "<img src=x onerror=alert(1)> **bold** :red[x] $y$"


@pytest.fixture
def sample(staged_copy, monkeypatch):
    """Open the page on a copy of the staged workspace, as ann."""
    monkeypatch.setenv("LABELTRACE_WORKSPACE", str(staged_copy))
    return opener(monkeypatch)


def opener(monkeypatch):
    monkeypatch.setenv("LABELTRACE_REVIEWER", "ann")

    def open_page(**query):
        app = AppTest.from_file(str(MAIN_SCRIPT), default_timeout=30)
        for key, value in ({"dataset": "staged"} | query).items():
            app.query_params[key] = value
        app.switch_page(shell.page_path("sample")).run()
        assert not app.exception, app.exception
        return app

    return open_page


def button(app, label):
    (found,) = [one for one in app.button if one.label == label]
    return found


def text(app):
    """Return everything that the page says."""
    kinds = (app.markdown, app.caption, app.info, app.warning, app.error, app.text)
    return "\n".join(str(part.value) for kind in kinds for part in kind).replace("\\", "")


def log(path, key):
    with Workspace.open(path) as workspace:
        dataset = datasets.find(workspace, "staged")
        return decisions.log(workspace, dataset.id, key)


@pytest.fixture
def worst(staged_copy):
    """Give key, given label and suggested label of the most suspicious sample by aum."""
    with Workspace.open(staged_copy) as workspace:
        shelf = Shelf(workspace)
        dataset = shelf.dataset("staged")
        ranking = suspects.ranked(shelf, dataset, "aum")
        position = int(ranking.order[0])
        return (
            dataset.sample_keys[position],
            dataset.class_names[dataset.given_labels[position]],
            dataset.class_names[ranking.scores.suggested_label[position]],
        )


def test_without_a_key_the_most_suspicious_sample_is_shown(sample, worst):
    app = sample()
    key, given, suggested = worst
    assert app.query_params["sample"] in (key, [key])
    said = text(app)
    assert "Rank **1** of 120 by aum." in said
    assert f":blue[**{given}**]" in said
    assert f":orange[**{suggested}**]" in said
    assert "Nobody has decided" in said
    assert "The network " in said
    assert button(app, "Previous").disabled
    assert not button(app, "Next").disabled
    table = app.table[0].value
    assert list(table["Method"]) == ["aum", "margin"]
    assert table["Rank"][0] == "1\u00a0of\u00a0120"
    assert table["Flagged"].tolist() == ["yes", "no cut"]


def test_next_and_previous_walk_the_ranking(sample, worst):
    app = sample()
    button(app, "Next").click().run()
    assert "Rank **2** of 120 by aum." in text(app)
    button(app, "Previous").click().run()
    assert app.query_params["sample"] in (worst[0], [worst[0]])


def test_another_method_orders_the_samples_by_its_own_ranks(sample, worst):
    app = sample(sample=worst[0])
    app.selectbox(key="sample-method").set_value("margin").run()
    assert "of 120 by margin." in text(app)
    assert app.query_params["method"] in ("margin", ["margin"])


def test_an_unknown_key_is_answered_with_a_close_one_that_can_be_opened(sample):
    app = sample(sample="9042")
    assert "has no sample '9042'; the closest key is '042'" in app.error[0].value.replace("\\", "")
    button(app, "Open 042").click().run()
    assert app.query_params["sample"] in ("042", ["042"])
    assert not app.error


@pytest.mark.parametrize("query", [{"sample": HOSTILE}, {"method": HOSTILE}, {"cls": HOSTILE}])
def test_a_bent_address_is_answered_with_a_sentence(sample, query):
    app = sample(**query)
    told = [*app.error, *app.warning]
    assert len(told) == 1
    assert "**bold**" not in told[0].value
    assert "$y$" not in told[0].value


def test_a_sample_is_found_by_part_of_its_key(sample):
    app = sample()
    app.text_input(key="sample-search").set_value("11").run()
    assert "8 of 11 keys that contain it:" in text(app)
    button(app, "110").click().run()
    assert app.query_params["sample"] in ("110", ["110"])
    app.text_input(key="sample-search").set_value("042").run()
    assert app.query_params["sample"] in ("042", ["042"])
    app.text_input(key="sample-search").set_value("9042").run()
    assert "No key contains “9042”; the closest is “042”." in text(app)


def test_keep_is_recorded_once_with_what_was_shown_and_pressing_again_adds_nothing(
    sample, staged_copy, worst
):
    key, given, suggested = worst
    app = sample(sample=key)
    app.text_input(key=f"verdict-note {dataset_id(staged_copy)} {key}").set_value("a *note*")
    button(app, f"Keep ‘{given}’").click().run()
    (decision,) = log(staged_copy, key)
    assert (decision.verdict, decision.label, decision.reviewer) == (Verdict.KEEP, given, "ann")
    assert decision.note == "a *note*"
    shown = decision.evidence["shown"]
    assert (shown["method"], shown["rank"], shown["suggested"]) == ("aum", 1, suggested)
    assert decision.client.startswith("form-")
    assert "Recorded." in text(app)
    button(app, f"Keep ‘{given}’").click().run()
    assert len(log(staged_copy, key)) == 1
    assert "decided this already" in text(app)


def dataset_id(path):
    with Workspace.open(path) as workspace:
        return datasets.find(workspace, "staged").id


def test_accept_another_class_undo_and_the_history_of_it(sample, staged_copy, worst):
    key, given, suggested = worst
    app = sample(sample=key)
    button(app, f"Accept ‘{suggested}’").click().run()
    assert f":blue[**Relabelled ‘{suggested}’**] by ann" in text(app)
    third = next(name for name in ("class a", "class b", "class c") if name not in worst)
    (classes,) = [box for box in app.selectbox if box.label == "Another class"]
    assert given not in classes.options
    assert button(app, "Relabel").disabled
    classes.set_value(third).run()
    button(app, "Relabel").click().run()
    assert [event.label for event in log(staged_copy, key)] == [suggested, third]
    button(app, "Undo").click().run()
    events = log(staged_copy, key)
    assert isinstance(events[-1], Undo)
    assert events[-1].undoes == events[1].id
    assert f"Relabelled ‘{suggested}’" in text(app)
    told = text(app)
    assert "ann took back their own decision" in told
    assert f"~~ann relabelled ‘{given}’ as ‘{third}’~~ · taken back" in told


@pytest.mark.parametrize(("label", "verdict"), [("Exclude", "exclude"), ("Unsure", "unsure")])
def test_exclude_and_unsure_are_recorded_without_a_label(
    sample, staged_copy, worst, label, verdict
):
    app = sample(sample=worst[0])
    button(app, label).click().run()
    (decision,) = log(staged_copy, worst[0])
    assert (str(decision.verdict), decision.label) == (verdict, None)


def test_the_same_press_sent_twice_by_one_drawn_form_decides_once(sample, staged_copy, worst):
    from audit.ui import verdict_form

    key, given, suggested = worst
    with Workspace.open(staged_copy) as workspace:
        shelf = Shelf(workspace)
        subject = verdict_form.Subject(
            dataset=shelf.dataset("staged"), key=key, given=given, suggested=suggested,
            standing=None,
        )  # fmt: skip
        form = verdict_form.Form(shelf, subject, "ann", "verdict", state={})
        for _ in range(3):
            form.decide(Verdict.KEEP, given)
        assert len(log(staged_copy, key)) == 1
        form.decide(Verdict.EXCLUDE, None)
        assert [str(event.verdict) for event in log(staged_copy, key)] == ["keep", "exclude"]


def test_what_was_taken_back_can_be_decided_again(sample, staged_copy, worst):
    key, given, _ = worst
    app = sample(sample=key)
    for label in (f"Keep ‘{given}’", "Undo", f"Keep ‘{given}’", "Undo", f"Keep ‘{given}’"):
        button(app, label).click().run()
    with Workspace.open(staged_copy) as workspace:
        dataset = datasets.find(workspace, "staged")
        assert decisions.current(workspace, dataset.id)[key].verdict is Verdict.KEEP
        # Taken back on another page, or by somebody else, it can be decided again here, too.
        decisions.undo(workspace, dataset.id, key, reviewer="ben", at=datetime.now(UTC))
        app.run()
        button(app, f"Keep ‘{given}’").click().run()
        assert decisions.current(workspace, dataset.id)[key].verdict is Verdict.KEEP
    assert len(log(staged_copy, key)) == 7


def test_two_people_who_disagree_are_both_told(sample, staged_copy, worst):
    key, given, suggested = worst
    app = sample(sample=key)
    button(app, f"Keep ‘{given}’").click().run()
    with Workspace.open(staged_copy) as workspace:
        dataset = datasets.find(workspace, "staged")
        reviewing.decide(
            workspace, dataset, key, Verdict.RELABEL, label=suggested, reviewer="ben *x*"
        )
    app.run()
    (warning,) = app.warning
    told = warning.value.replace("\\", "")
    assert told.startswith(
        f"ben *x* relabelled ‘{given}’ as ‘{suggested}’ after you kept ‘{given}’"
    )
    assert r"ben \*x\*" in warning.value
    button(app, f"Keep ‘{given}’").click().run()
    assert not app.warning
    assert "You replaced the decision of ben *x*" in text(app)


def test_an_empty_workspace_says_what_to_do_first(tmp_path, monkeypatch):
    monkeypatch.setenv("LABELTRACE_WORKSPACE", str(tmp_path / "empty"))
    app = opener(monkeypatch)()
    assert "There is no dataset yet" in app.info[0].value


def test_a_dataset_without_runs_shows_the_sample_and_the_next_step(
    staged_copy, tmp_path, monkeypatch
):
    file = tmp_path / "fresh.npz"
    images = np.zeros((4, 8, 8), dtype=np.uint8)
    np.savez(file, images=images, labels=np.array([0, 1, -1, 0]))
    with Workspace.open(staged_copy) as workspace:
        made = datasets.add(workspace, sources.plan(file), "fresh")
        assert made.given_labels[2] == UNLABELLED
    monkeypatch.setenv("LABELTRACE_WORKSPACE", str(staged_copy))
    app = opener(monkeypatch)(dataset="fresh")
    assert "Sample 1 of 4, in the dataset's order." in text(app)
    assert app.info[0].value.replace("\\", "").startswith("No run has been trained on this dataset")
    button(app, "Next").click().run()
    button(app, "Next").click().run()
    assert "It has no given label" in text(app)
    assert button(app, "Keep").disabled


def test_another_dataset_starts_at_its_own_most_suspicious_sample(
    stage, staged_copy, tmp_path, monkeypatch
):
    with Workspace.open(staged_copy) as workspace:
        stage(workspace, tmp_path, name="other", n_samples=30, methods=("margin",))
    monkeypatch.setenv("LABELTRACE_WORKSPACE", str(staged_copy))
    app = opener(monkeypatch)(sample="111")
    app.selectbox(key="dataset").set_value("other").run()
    assert not app.error
    assert "Rank **1** of 30 by margin." in text(app)


def test_a_damaged_run_is_told_and_hides_nothing_else(sample, staged_copy, worst):
    for run in (staged_copy / "runs").iterdir():
        shutil.rmtree(run)
    app = sample(sample=worst[0])
    assert len(app.error) == 1
    assert "Rank **1** of 120" in text(app)
    assert button(app, "Exclude").label == "Exclude"


@pytest.mark.browser
def test_the_page_shows_image_and_plot_and_decides_by_key(serve, staged_copy, tab, visit, worst):
    key, given, _ = worst
    server = serve(staged_copy, LABELTRACE_REVIEWER="ann")
    visit(tab, f"{server.url}/sample?dataset=staged&sample={key}")
    image = tab.get_by_alt_text(f"Sample {key}, labelled {given}")
    image.wait_for()
    tab.wait_for_function("image => image.clientWidth >= 240", arg=image.element_handle())
    # Twelve pixels are enlarged by a whole number, without smoothing.
    assert image.evaluate("i => [i.naturalWidth, i.clientWidth % 12]") == [12, 0]
    assert image.evaluate("i => getComputedStyle(i).imageRendering") == "pixelated"
    place = image.locator("xpath=ancestor::figure")
    for width in (1920, 1280):
        # As wide as its column, and no higher than wide: no empty ground on narrow screens.
        tab.set_viewport_size({"width": width, "height": 900})
        tab.wait_for_function(
            "place => Math.abs(place.offsetHeight - Math.min(place.offsetWidth, 340)) <= 1 && "
            "Math.abs(place.offsetWidth - place.getRootNode().host.closest('.stColumn').clientWidth) <= 1 && "
            "place.querySelector('img').offsetWidth <= place.clientWidth",
            arg=place.element_handle(),
        )
    plot = tab.get_by_test_id("stPlotlyChart")
    plot.locator(".main-svg").first.wait_for()
    expect(tab.locator("[aria-label^='Margin of ‘']")).to_have_count(1)
    tab.get_by_label("Note").fill("kx")
    tab.locator("h1").first.click()
    tab.keyboard.press("k")
    tab.get_by_text("Recorded.").wait_for()
    (decision,) = log(staged_copy, key)
    assert (str(decision.verdict), decision.note) == ("keep", "kx")
    tab.keyboard.press("ArrowRight")
    tab.get_by_text("Rank 2 of 120 by aum.").wait_for()
    assert tab.evaluate("() => new URL(location).searchParams.get('sample')") != key
    tab.get_by_role("link", name="Back to ranking").click()
    tab.locator("h1", has_text="Ranking").wait_for()
