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
    tab.wait_for_url(f"**/sample?dataset=staged&sample={dataset.sample_keys[0]}")
