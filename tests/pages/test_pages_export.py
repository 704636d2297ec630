"""Export says what it would write, writes it where it is told, and says why when it does not."""

import json
from datetime import UTC, datetime

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from audit.exchange import patch
from audit.records.decision import Decision, Verdict
from audit.store import datasets, decisions
from audit.store.workspace import Workspace
from audit.ui import MAIN_SCRIPT, shell

HOSTILE = "<b>**ann**</b> :red[x] $y$ [a](javascript:alert(1))"


def decide(path, position, verdict, label=None, *, by=HOSTILE, day=1):
    """Record a decision about ``staged``; ``label`` counts from the given one."""
    with Workspace.open(path) as workspace:
        dataset = datasets.find(workspace, "staged")
        index = int(dataset.given_labels[position])
        names = dataset.class_names
        new = None if label is None else names[(index + label) % len(names)]
        made = Decision(
            dataset_id=dataset.id,
            sample_key=dataset.sample_keys[position],
            given_label=names[index],
            verdict=Verdict(verdict),
            label=new,
            reviewer=by,
            decided_at=datetime(2026, 3, day, tzinfo=UTC),
        )
        decisions.append(workspace, [made])
    return made


@pytest.fixture
def export(staged_copy, tmp_path, monkeypatch):
    """Open the page on a copy of the staged workspace whose user lives in a folder of the test."""
    monkeypatch.setenv("LABELTRACE_WORKSPACE", str(staged_copy))
    monkeypatch.setenv("LABELTRACE_REVIEWER", "ann")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "home").mkdir()

    def open_page(**address):
        app = AppTest.from_file(str(MAIN_SCRIPT), default_timeout=30)
        app.run()
        for name, value in ({"dataset": "staged"} | address).items():
            app.query_params[name] = value
        app.switch_page(shell.page_path("export")).run()
        assert not app.exception, app.exception
        return app

    return open_page


def path_field(app):
    return next(field for field in app.text_input if field.label.endswith("to write"))


def conflicts_of(app):
    (component,) = app.get("bidi_component")
    return json.loads(component.proto.json)["rows"]


def press_export(app, until):
    app.button(key="export-write").click().run()
    until(lambda: not app.run().get("progress"))
    assert not app.exception, app.exception


def texts(elements):
    return [element.value.replace("\\", "") for element in elements]


def test_an_export_is_written_shown_and_read_back(export, staged_copy, tmp_path, until):
    made = decide(staged_copy, 3, "relabel", 1)
    decide(staged_copy, 5, "exclude")
    app = export()
    assert any("119</b> of 120 samples" in one.proto.body for one in app.get("html"))
    changes = app.dataframe[0].value
    assert changes.iloc[0].tolist() == [
        made.sample_key,
        made.given_label,
        f"→ {made.label}",
        HOSTILE,
    ]
    assert changes.iloc[1]["Label"] == "left out"
    assert path_field(app).value == str(tmp_path / "home" / "staged-corrected.csv")
    press_export(app, until)
    out = tmp_path / "home" / "staged-corrected.csv"
    assert app.code[0].value.splitlines() == [str(out), f"{out}.manifest.json"]
    frame = pd.read_csv(out, dtype=str).set_index("sample_key")
    assert (len(frame), frame.loc[made.sample_key, "label"]) == (119, made.label)
    assert frame.loc[made.sample_key, "reviewer"] == HOSTILE
    manifest = json.loads(out.with_name(out.name + ".manifest.json").read_text())
    assert (manifest["counts"]["relabelled"], manifest["counts"]["excluded"]) == (1, 1)
    decide(staged_copy, 6, "exclude")
    app.run()
    assert any("Labels have changed since then" in text for text in texts(app.warning))


def test_what_is_there_is_replaced_only_when_ticked(export, tmp_path, until):
    app = export(format="parquet")
    out = tmp_path / "home" / "staged-corrected.parquet"
    out.write_text("mine")
    press_export(app, until)
    (said,) = texts(app.error)
    assert said.endswith("exists already: choose another name, or tick “Replace what is there”.")
    assert out.read_text() == "mine"
    app.checkbox(key="export-replace").check()
    press_export(app, until)
    (said,) = texts(app.error)
    assert "is not an export of labeltrace" in said
    assert out.read_text() == "mine"
    out.write_text("")
    for _ in range(2):
        press_export(app, until)
        assert not app.error
    assert len(pd.read_parquet(out)) == 120


def test_the_source_is_never_written_to(export, staged_workspace, until):
    app = export()
    source = staged_workspace.with_name("staged.npz")
    before = source.read_bytes()
    path_field(app).set_value(str(source))
    app.checkbox(key="export-replace").check()
    press_export(app, until)
    assert "inside the source" in texts(app.error)[0]
    assert source.read_bytes() == before
    path_field(app).set_value("labels.csv")
    press_export(app, until)
    assert "is not a full path" in texts(app.error)[0]


def test_forms_and_options_are_those_that_fit_the_dataset(export):
    app = export()
    form = app.radio(key="export-form")
    assert form.options == ["CSV", "Parquet", "Class folders", "Patch"]
    assert any("not for this dataset" in caption.value for caption in app.caption)
    assert app.checkbox(key="export-safe")
    form.set_value("folder").run()
    assert path_field(app).label == "Folder to write"
    assert path_field(app).value.endswith("staged-corrected")
    with pytest.raises(KeyError):
        app.checkbox(key="export-safe")
    assert not app.get("download_button"), "a folder is no download"
    assert not app.get("button_group"), "arrays hold no images to link to"


def test_undecided_suspects_are_named_with_a_way_to_review_them(export, staged_copy):
    (warning,) = texts(export().warning)
    assert warning.endswith("suspects are undecided: they keep their given label in this export.")
    link = next(link for link in export().get("page_link") if link.proto.label == "Review them")
    assert "dataset=staged" in link.proto.query_string
    assert "state=todo" in link.proto.query_string


def test_without_a_dataset_the_page_says_what_to_do_first(export, monkeypatch, tmp_path):
    monkeypatch.setenv("LABELTRACE_WORKSPACE", str(tmp_path / "empty"))
    app = AppTest.from_file(str(MAIN_SCRIPT), default_timeout=30).run()
    app.switch_page(shell.page_path("export")).run()
    assert app.info[0].value.startswith("There is no dataset yet")
    assert not app.exception


def test_a_patch_is_shown_before_it_is_applied_and_applied_once(
    export, staged_copy, tmp_path, until
):
    decide(staged_copy, 1, "exclude", by="ann")
    app = export(format="patch")
    press_export(app, until)
    data = (tmp_path / "home" / "staged-corrected.jsonl").read_bytes()
    with Workspace.open(staged_copy) as workspace:
        dataset = datasets.find(workspace, "staged")
        key = dataset.sample_keys[1]
        decisions.undo(workspace, dataset.id, key, reviewer="ann", at=datetime.now(UTC))
    decide(staged_copy, 1, "unsure", by="bob", day=2)
    app.file_uploader[0].upload("decisions.jsonl", data, "application/x-ndjson").run()
    (conflicts,) = conflicts_of(app)
    assert [(one["name"], one["says"], one["detail"]) for one in conflicts["choices"]] == [
        ("ann", "exclude", "decisions.jsonl"), ("bob", "unsure", "stands now"),
    ]  # fmt: skip
    assert (conflicts["unless"], conflicts["chosen"]) == ("unsure by bob", None)
    app.button(key="patch-apply").click().run()
    assert "1 new, 1 against other people" in texts(app.success)[0]
    assert app.button(key="patch-apply").disabled
    app.file_uploader[0].upload("decisions.jsonl", b"{}", "application/x-ndjson").run()
    assert "Line 1 of the patch" in texts(app.error)[0]


@pytest.mark.browser
def test_a_person_exports_by_pressing_and_takes_the_file_through_the_browser(
    serve, staged_copy, tab, visit, tmp_path
):
    made = decide(staged_copy, 3, "relabel", 1)
    server = serve(staged_copy, LABELTRACE_REVIEWER="ann", HOME=str(tmp_path))
    visit(tab, f"{server.url}/export?dataset=staged")
    tab.get_by_role("button", name="Export", exact=True).wait_for()
    with tab.expect_download() as download:
        tab.get_by_role("button", name="Download only").click()
    assert download.value.suggested_filename == "staged-corrected.csv"
    frame = pd.read_csv(download.value.path(), dtype=str).set_index("sample_key")
    assert frame.loc[made.sample_key, "label"] == made.label
    assert not (tmp_path / "staged-corrected.csv").exists()

    tab.get_by_text("Class folders", exact=True).click()
    tab.get_by_label("Folder to write").fill(str(tmp_path / "tree"))
    tab.get_by_role("button", name="Export", exact=True).click()
    tab.get_by_text("Written.").wait_for()
    tab.get_by_text(str(tmp_path / "tree" / "manifest.json")).wait_for()
    manifest = json.loads((tmp_path / "tree" / "manifest.json").read_text())
    folder = tmp_path / "tree" / manifest["class_folders"][made.label]
    assert (folder / f"{made.sample_key}.png").is_file()
    with tab.expect_download() as download:
        tab.get_by_role("button", name="Download what was written").click()
    assert download.value.suggested_filename == "tree.zip"


@pytest.mark.browser
def test_where_two_patches_disagree_somebody_chooses_by_looking(
    serve, staged_copy, tab, visit, tmp_path
):
    with Workspace.open(staged_copy) as workspace:
        dataset = datasets.find(workspace, "staged")
    sent = []
    for day, (name, verdict) in enumerate((("ann", Verdict.EXCLUDE), ("bob", Verdict.UNSURE)), 1):
        sent.append(tmp_path / f"{name}.jsonl")
        made = [
            Decision(
                dataset_id=dataset.id, sample_key=dataset.sample_keys[place], label=None,
                given_label=dataset.class_names[dataset.given_labels[place]], verdict=verdict,
                reviewer=name, decided_at=datetime(2026, 3, day, tzinfo=UTC),
            )
            for place in (4, 5)
        ]  # fmt: skip
        patch.write(
            sent[-1],
            dataset=dataset,
            decisions=made,
            base_version="given",
            made_at=datetime.now(UTC),
        )
    server = serve(staged_copy, LABELTRACE_REVIEWER="cleo", HOME=str(tmp_path))
    visit(tab, f"{server.url}/export?dataset=staged")
    tab.get_by_text("Apply patches").click()
    tab.locator("input[type=file]").set_input_files(sent)
    group = tab.get_by_role("group", name=f"Whose decision stands on {dataset.sample_keys[4]}")
    group.get_by_text("Not chosen: unsure by bob").wait_for()
    group.get_by_role("radio", name="ann: exclude").check()
    tab.get_by_role("button", name="Apply", exact=True).click()
    tab.get_by_text("2 patches are applied: 4 new, 2 against other people").wait_for()
    with Workspace.open(staged_copy) as workspace:
        log = decisions.log(workspace, dataset.id)
        standing = decisions.current(workspace, dataset.id)
    assert len(log) == 5
    assert log[-1].evidence == {"settles": [log[0].id, log[2].id]}
    told = [standing[dataset.sample_keys[place]] for place in (4, 5)]
    assert [(one.reviewer, str(one.verdict)) for one in told] == [
        ("cleo", "exclude"), ("bob", "unsure"),
    ]  # fmt: skip
