"""History shows what was decided as text, page by page, and takes back or restores what is pressed."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import expect
from streamlit.testing.v1 import AppTest

from audit.records.decision import Decision, Verdict
from audit.store import datasets, decisions
from audit.store.workspace import Workspace
from audit.ui import MAIN_SCRIPT, shell
from audit.workbench.histories import Sought

HOSTILE = "<img src=x onerror=alert(1)> **bold** :red[x] $y$ ]](javascript:alert(1))"
START = datetime(2026, 3, 1, 12, tzinfo=UTC)


def record(path, *, n=3, by="ann", note=""):
    """Record ``n`` keeps on the samples of ``staged``, one per second, and return the dataset."""
    with Workspace.open(path) as workspace:
        dataset = datasets.find(workspace, "staged")
        names = [dataset.class_names[index] for index in dataset.given_labels]
        made = [
            Decision(
                dataset_id=dataset.id,
                sample_key=dataset.sample_keys[place % 120],
                given_label=names[place % 120],
                verdict=Verdict.KEEP,
                label=names[place % 120],
                reviewer=by,
                decided_at=START + timedelta(seconds=place),
                note=note,
                evidence={"shown": {"method": "aum", "rank": place + 1, "ms": 1200}},
            )
            for place in range(n)
        ]
        decisions.append(workspace, made)
    return dataset


@pytest.fixture
def history(staged_copy, monkeypatch):
    """Open the page on a copy of the staged workspace, as ann."""
    monkeypatch.setenv("LABELTRACE_WORKSPACE", str(staged_copy))
    monkeypatch.setenv("LABELTRACE_REVIEWER", "ann")

    def open_page(dataset="staged"):
        app = AppTest.from_file(str(MAIN_SCRIPT), default_timeout=30)
        app.run()
        app.query_params["dataset"] = dataset
        app.switch_page(shell.page_path("history")).run()
        assert not app.exception, app.exception
        return app

    return open_page


def table(app):
    (component,) = app.get("bidi_component")
    return json.loads(component.proto.json)["rows"]


def test_without_decisions_there_is_a_sentence_and_a_way_to_review(history):
    app = history()
    assert app.info[0].value == "Nobody has decided anything about staged yet."
    assert not app.get("bidi_component")


def test_an_unknown_dataset_in_the_address_is_a_sentence(history):
    app = history("no-such-set")
    assert "no-such-set" in app.error[0].value.replace("\\", "")


def test_the_newest_decision_comes_first_with_all_that_was_recorded(history, staged_copy):
    dataset = record(staged_copy, note=HOSTILE)
    rows = table(history())
    assert [row["sample_key"] for row in rows] == list(dataset.sample_keys[2::-1])
    first = rows[0]
    assert (first["reviewer"], first["verdict"], first["state"]) == ("ann", "keep", "stands")
    assert (first["method"], first["rank"], first["note"]) == ("aum", 3, HOSTILE)
    assert first["at"] == "2026-03-01T12:00:02Z"
    assert first["address"] == f"sample?dataset=staged&sample={dataset.sample_keys[2]}"


def test_filters_choose_and_a_new_choice_begins_at_the_first_page(history, staged_copy):
    dataset = record(staged_copy, n=210)
    record(staged_copy, n=1, by="bob")
    app = history()
    assert len(table(app)) == 100
    app.session_state[f"history-page-{dataset.id}-{Sought()}"] = 3
    app.run()
    assert len(table(app)) == 11
    app.selectbox(key="history-person").set_value("bob").run()
    assert [row["reviewer"] for row in table(app)] == ["bob"]
    app.selectbox(key="history-person").set_value(None).run()
    app.toggle(key="history-standing").set_value(True).run()
    assert (len(table(app)), {row["state"] for row in table(app)}) == (100, {"stands"})
    assert any(caption.value.startswith("120 decisions") for caption in app.caption)
    app.text_input(key="history-key").set_value("no such key").run()
    assert app.info[0].value.startswith("No decision fits these filters")


def test_whoever_was_overruled_is_told_by_whom(history, staged_copy):
    record(staged_copy, n=2)
    assert not history().expander
    with Workspace.open(staged_copy) as workspace:
        dataset = datasets.find(workspace, "staged")
        other = Decision(
            dataset_id=dataset.id, sample_key=dataset.sample_keys[0], given_label=None,
            verdict=Verdict.EXCLUDE, label=None, reviewer=HOSTILE, decided_at=START.replace(day=2),
        )  # fmt: skip
        decisions.append(workspace, [other])
    app = history()
    assert app.expander[0].label.startswith("One of your decisions was replaced")
    shown = app.expander[0].dataframe[0].value.iloc[0]
    assert (shown["Stands"], shown["Decided by"]) == ("exclude", HOSTILE)


def relabel(path, positions, *, by, at=0):
    """Record relabels to the next class, one per second, and return the events."""
    with Workspace.open(path) as workspace:
        dataset = datasets.find(workspace, "staged")
        made = []
        for place, position in enumerate(positions):
            index = int(dataset.given_labels[position])
            made.append(
                Decision(
                    dataset_id=dataset.id,
                    sample_key=dataset.sample_keys[position],
                    given_label=dataset.class_names[index],
                    verdict=Verdict.RELABEL,
                    label=dataset.class_names[(index + 1) % dataset.n_classes],
                    reviewer=by,
                    decided_at=START + timedelta(seconds=at + place),
                )
            )
        return decisions.append(workspace, made)


def show(app, view):
    app.session_state["history-view"] = view
    app.run()
    assert not app.exception, app.exception
    assert not app.error, app.error
    return app


def test_rows_tell_the_version_after_each_decision(history, staged_copy):
    record(staged_copy, n=1)
    relabel(staged_copy, [1], by="bob", at=9)
    newest, oldest = table(history())
    assert oldest["version"] == "given"
    assert len(newest["version"]) == 16


def test_two_versions_are_compared_with_who_made_the_difference(history, staged_copy):
    ann = relabel(staged_copy, [0, 1], by="ann")
    bob = relabel(staged_copy, [2], by=HOSTILE, at=60)
    app = show(history(), "compare")
    rows = table(app)
    assert [row["sample_key"] for row in rows] == [one.sample_key for one in (*ann, *bob)]
    assert (rows[2]["by"], rows[2]["at"]) == (HOSTILE, "2026-03-01T12:01:00Z")
    assert rows[2]["labels"] == [bob[0].given_label, bob[0].label]
    counts = next(frame.value for frame in app.dataframe if "Samples" in frame.value)
    assert counts["Samples"].sum() == 3
    chosen = app.selectbox(key=f"compare-from-{ann[0].dataset_id}")
    assert chosen.options == [
        "now", "given (before any decision)", f"before #{bob[0].id} ({HOSTILE}, 1 Mar 12:01)",
    ]  # fmt: skip
    app.session_state[f"compare-from-{ann[0].dataset_id}"] = f"#{ann[1].id}"
    assert [row["by"] for row in table(show(app, "compare"))] == [HOSTILE]
    app.session_state[f"compare-from-{ann[0].dataset_id}"] = "now"
    app.run()
    assert app.info[0].value == "No label differs between the two."


def test_what_came_after_a_point_is_taken_back_after_a_plan_and_brought_back(history, staged_copy):
    (first,) = relabel(staged_copy, [0], by="ann")
    later = relabel(staged_copy, [1, 2], by="bob", at=60)
    app = history()
    app.session_state[f"back-point-{first.dataset_id}"] = f"#{first.id}"
    show(app, "back")
    assert "takes **2** decisions back; **2** samples change the label" in app.markdown[0].value
    assert [row["sample_key"] for row in table(app)] == [one.sample_key for one in later]
    app.button(key="back-act").click().run()
    assert "2 decisions were taken back; 2 samples changed" in app.success[0].value.replace(
        "\\", ""
    )
    assert app.info[0].value.startswith("There is nothing to take back")
    with Workspace.open(staged_copy) as workspace:
        assert set(decisions.current(workspace, first.dataset_id)) == {first.sample_key}
        assert len(decisions.log(workspace, first.dataset_id)) == 5
    app.button(key="back-again").click().run()
    assert "decides **2** again" in app.markdown[0].value
    app.button(key="back-act").click().run()
    with Workspace.open(staged_copy) as workspace:
        standing = decisions.current(workspace, first.dataset_id)
    assert {one.reviewer for one in standing.values()} == {"ann"}
    assert {key: one.label for key, one in standing.items()} == {
        one.sample_key: one.label for one in (first, *later)
    }


def test_a_persons_decisions_are_taken_back_together(history, staged_copy):
    relabel(staged_copy, [0, 1], by="ann")
    relabel(staged_copy, [1], by="bob", at=60)
    app = history()
    app.session_state["back-what"] = "person"
    show(app, "back")
    app.selectbox[-1].set_value("bob").run()
    assert "takes **1** decision back; **0** samples change the label" in app.markdown[0].value
    app.button(key="back-act").click().run()
    assert "1 decision was taken back; 0 samples" in app.success[0].value.replace("\\", "")


@pytest.mark.browser
def test_a_row_leads_back_to_its_point_and_the_changes_show_their_images(
    serve, staged_copy, tab, visit
):
    (first,) = relabel(staged_copy, [0], by="ann")
    (second,) = relabel(staged_copy, [1], by="bob", at=60)
    server = serve(staged_copy, LABELTRACE_REVIEWER="cleo")
    visit(tab, f"{server.url}/history?dataset=staged")
    tab.get_by_role("button", name=f"Back to here: take back what came after {first.id}").click()
    tab.get_by_role("img", name=f"Image of {second.sample_key}").wait_for()
    tab.get_by_role("button", name="Take back", exact=True).last.click()
    tab.get_by_text("1 decision was taken back").wait_for()
    tab.get_by_text("Compare two versions").click()
    picture = tab.get_by_role("img", name=f"Image of {first.sample_key}")
    picture.wait_for()
    assert "/sheet?at=0&" in picture.evaluate("node => getComputedStyle(node).backgroundImage")
    box = tab.get_by_role("combobox", name="From")
    box.fill("the day before")
    box.press("Enter")
    tab.get_by_text("'the day before' names no labels").wait_for()
    box.fill(f"#{second.id}")
    box.press("Enter")
    row = tab.get_by_role("listitem").filter(has_text=second.sample_key)
    row.get_by_text("cleo").wait_for()
    row.get_by_role("link", name=second.sample_key).click()
    tab.wait_for_url(f"**/sample?dataset=staged&sample={second.sample_key}*")


@pytest.mark.browser
def test_undo_and_decide_again_by_pressing_and_all_texts_stay_text(serve, staged_copy, tab, visit):
    dataset = record(staged_copy, note=HOSTILE)
    server = serve(staged_copy, LABELTRACE_REVIEWER="bob")
    visit(tab, f"{server.url}/history?dataset=staged")
    key = dataset.sample_keys[2]
    tab.get_by_text(HOSTILE).first.wait_for()
    expect(tab.get_by_text(HOSTILE)).to_have_count(3)
    assert tab.get_by_role("row").nth(1).locator("time").get_attribute("title") == (
        "2026-03-01 12:00:02 UTC"
    )
    tab.get_by_role("button", name=f"Undo: keep on {key} by ann").click()
    row = tab.get_by_role("row").filter(has_text=key)
    row.get_by_text("Undone by bob").wait_for()
    tab.get_by_role("button", name=f"Decide again: keep on {key} by ann").press("Enter")
    tab.get_by_role("button", name=f"Undo: keep on {key} by bob").wait_for()
    with Workspace.open(staged_copy) as workspace:
        (_, undo, again) = decisions.log(workspace, dataset.id, key)
        assert (undo.reviewer, undo.undoes) == ("bob", again.evidence["repeats"])
        assert (again.reviewer, again.note) == ("bob", HOSTILE)
    with tab.expect_download() as download:
        tab.get_by_role("button", name="Download the log").click()
    assert download.value.suggested_filename == "staged-decisions.csv"
    assert HOSTILE in download.value.path().read_text(encoding="utf-8")
    tab.get_by_role("link", name=dataset.sample_keys[0]).click()
    tab.wait_for_url(f"**/sample?dataset=staged&sample={dataset.sample_keys[0]}*")
