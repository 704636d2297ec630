"""What Export says before it writes is what is written; files are read back by other people's readers."""

import io
import json
import zipfile
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from audit.errors import AuditError, InputError, RefusedError
from audit.records.decision import Decision, Verdict
from audit.store import decisions as decision_rows
from audit.store.workspace import Workspace
from audit.workbench import datasets, export_previews, export_runs, exporting, patches
from audit.workbench.datasets import SourceOptions
from audit.workbench.export_runs import ExportState, Order
from audit.workbench.shelf import Shelf

HOSTILE = '=cmd|"x",<b>&amp; naïve\nclass'
START = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def shelf(tmp_path):
    with Workspace.open(tmp_path / "workspace") as workspace:
        yield Shelf(workspace)


def add(shelf, source, **options):
    plan = datasets.plan(source, SourceOptions(**options))
    dataset, _ = datasets.add(shelf.workspace, plan)
    return shelf.dataset(dataset.id)


@pytest.fixture
def table(shelf, tmp_path):
    """Give a dataset of a table: eight images, one of them broken, one without a label."""
    folder = tmp_path / "photos"
    folder.mkdir()
    labels = ["a", "b", HOSTILE, "a", "b", HOSTILE, "a", ""]
    for place in range(8):
        Image.new("RGB", (8, 8), (30 * place, 0, 0)).save(folder / f"{place}.png")
    (folder / "6.png").write_bytes(b"no image")
    # In the source's own way: semicolons, an index, another column.
    frame = pd.DataFrame({"path": [f"{n}.png" for n in range(8)], "who": "me", "label": labels})
    frame.to_csv(folder / "labels.csv", sep=";", index=False)
    return add(shelf, folder / "labels.csv")


def decide(shelf, dataset, *acts, by="ann"):
    """Record (position, verdict, label) in order."""
    made = []
    for place, (position, verdict, label) in enumerate(acts):
        index = dataset.given_labels[position]
        given = None if index < 0 else dataset.class_names[index]
        made.append(
            Decision(
                dataset_id=dataset.id,
                sample_key=dataset.sample_keys[position],
                given_label=given,
                verdict=Verdict(verdict),
                label=given if verdict == "keep" else label,
                reviewer=by,
                decided_at=START + timedelta(seconds=place),
                note=HOSTILE,
            )
        )
    return decision_rows.append(shelf.workspace, made)


@pytest.fixture
def decided(shelf, table):
    decide(
        shelf, table,
        (0, "relabel", HOSTILE), (1, "keep", None), (2, "exclude", None), (3, "unsure", None),
        (6, "relabel", "b"), (7, "relabel", "b"),
    )  # fmt: skip
    return table


@pytest.mark.parametrize("form", ["csv", "parquet", "patch", "original", "folder"])
def test_counts_before_writing_are_those_of_the_manifest(shelf, decided, tmp_path, form):
    before = export_previews.preview(shelf, decided)
    made = exporting.export(shelf.workspace, decided, tmp_path / "out", form, link="copy")
    assert before.counts.to_json() == made["counts"]
    assert (before.label_version, before.last_decision) == (
        made["label_version"],
        made["last_decision"],
    )
    assert before.counts.to_json() == {
        "samples": 8, "kept": 1, "relabelled": 2, "excluded": 1, "undecided": 2, "unsure": 1,
        "unreadable": 1, "unlabelled": 0,
    }  # fmt: skip


def test_a_preview_shows_changes_in_the_order_of_the_dataset_and_follows_the_log(shelf, decided):
    before = export_previews.preview(shelf, decided)
    assert [(c.sample_key, c.given, c.label) for c in before.changes] == [
        ("0.png", "a", HOSTILE),
        ("2.png", HOSTILE, None),
        ("6.png", "a", "b"),
        ("7.png", None, "b"),
    ]
    assert (before.n_changes, before.n_rows) == (4, 6)
    decide(shelf, decided, (4, "exclude", None), by="bob")
    after = export_previews.preview(shelf, decided)
    assert (after.n_changes, after.counts.undecided) == (5, 1)
    assert after.label_version != before.label_version


def test_a_long_list_of_changes_is_cut_and_counted(shelf, table, monkeypatch):
    monkeypatch.setattr(export_previews, "MOST_CHANGES", 2)
    decide(shelf, table, *[(place, "exclude", None) for place in range(5)])
    preview = export_previews.preview(shelf, table)
    assert (len(preview.changes), preview.n_changes) == (2, 5)


def test_forms_that_do_not_fit_say_why(shelf, table, tmp_path):
    fitting = {form.name: form for form in export_previews.forms(table)}
    assert all(form.hindrance is None for form in fitting.values())
    assert [name for name, form in fitting.items() if form.has_links] == ["folder"]
    assert [name for name, form in fitting.items() if form.has_cells] == ["csv"]
    assert not fitting["folder"].can_download
    np.savez(tmp_path / "a.npz", images=np.zeros((4, 8, 8), np.uint8), labels=np.arange(4) % 2)
    of_arrays = {form.name: form for form in export_previews.forms(add(shelf, tmp_path / "a.npz"))}
    assert "arrays" in of_arrays["original"].hindrance
    assert not of_arrays["folder"].has_links


def test_a_path_inside_the_source_or_in_use_is_refused_with_a_next_step(shelf, table, tmp_path):
    def check(text, form="csv", *, replace=False):
        return export_previews.check_path(shelf, table, str(text), form, replace=replace)

    free = tmp_path / "labels.csv"
    assert check(f"  {free} ") == free
    with pytest.raises(RefusedError, match="inside the source"):
        check(tmp_path / "photos" / "labels.csv", replace=True)
    for text in ("", "  ", "labels.csv", "../labels.csv", "/tmp/a\0b"):
        with pytest.raises(InputError, match="full path"):
            check(text)
    with pytest.raises(InputError, match="home"):
        check("~no-such-person/labels.csv")
    with pytest.raises(RefusedError, match="make it first"):
        check(tmp_path / "nowhere" / "labels.csv")
    free.write_text("mine")
    with pytest.raises(RefusedError, match="exists already"):
        check(free)
    with pytest.raises(RefusedError, match="is not an export of labeltrace"):
        check(free, replace=True)
    free.write_text("")
    assert check(free, replace=True) == free
    with pytest.raises(RefusedError, match="is a file"):
        check(free, "folder", replace=True)
    own = tmp_path / "holidays"
    own.mkdir()
    (own / "1.jpg").write_bytes(b"precious")
    with pytest.raises(RefusedError, match="did not write"):
        check(own, "folder", replace=True)


def test_an_export_replaces_an_export_and_nothing_else(shelf, decided, tmp_path):
    order = Order(form="csv", out=tmp_path / "out.csv", replace=True)
    for _ in range(2):
        assert export_runs.start(shelf, decided, order, wait=60).state is ExportState.DONE
    order.out.write_text("corrected by hand")
    failed = export_runs.start(shelf, decided, order, wait=60)
    assert "or was changed since; choose another path or remove it yourself." in failed.problem
    assert order.out.read_text() == "corrected by hand"
    order.out.unlink()
    beside = export_runs.manifest_path(order)
    beside.write_text('{"mine": 1}')
    assert "is not an export" in export_runs.start(shelf, decided, order, wait=60).problem
    assert (order.out.exists(), beside.read_text()) == (False, '{"mine": 1}')


def test_no_export_touches_the_workspace_or_what_another_dataset_came_from(
    shelf, decided, tmp_path
):
    other = tmp_path / "other"
    other.mkdir()
    (other / "mine.csv").write_text("path,label\na.png,x\nb.png,y\n")
    add(shelf, other / "mine.csv")
    np.savez(tmp_path / "a.npz", images=np.zeros((4, 8, 8), np.uint8), labels=np.arange(4) % 2)
    add(shelf, tmp_path / "a.npz")
    export = exporting.export
    database = tmp_path / "workspace" / "labeltrace.db"
    for out in (other / "mine.csv", tmp_path / "a.npz", database, database.with_name("new.csv")):
        before = out.read_bytes() if out.exists() else None
        with pytest.raises(RefusedError, match="never written to"):
            export_previews.check_path(shelf, decided, str(out), "csv", replace=True)
        with pytest.raises(RefusedError, match="never written to"):
            export(shelf.workspace, decided, out, "csv", force=True)
        assert (out.read_bytes() if out.exists() else None) == before
    for out in (other / "mine.csv", database.with_name("new.csv")):
        with pytest.raises(RefusedError, match="never written to"):
            exporting.check_scores_path(out, force=True, dataset=decided, workspace=shelf.workspace)
    export(shelf.workspace, decided, other / "new.csv", "csv")


def test_a_decision_that_comes_in_while_an_export_looks_counts_as_not_exported(
    shelf, table, monkeypatch
):
    decide(shelf, table, (0, Verdict.EXCLUDE, None))
    look = exporting.decision_rows.current

    def slowly(workspace, dataset_id):
        found = look(workspace, dataset_id)
        decide(shelf, table, (1, Verdict.EXCLUDE, None))
        return found

    monkeypatch.setattr(exporting.decision_rows, "current", slowly)
    state = exporting.label_state(shelf.workspace, table)
    assert state.last_decision == max(one.id for one in state.decisions.values())


def test_a_server_that_is_limited_to_folders_writes_nowhere_else(
    shelf, table, tmp_path, monkeypatch
):
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (allowed / "way-out").symlink_to(tmp_path)
    monkeypatch.setenv("LABELTRACE_DATA_ROOTS", str(allowed))
    for place in (tmp_path / "a.csv", allowed / ".." / "a.csv", allowed / "way-out" / "a.csv"):
        with pytest.raises(RefusedError, match="lies outside"):
            export_previews.check_path(shelf, table, str(place), "csv", replace=False)
    assert export_previews.default_path(shelf, table, "csv").parent == allowed


def test_the_default_path_is_at_home_and_never_in_the_source(shelf, table, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert export_previews.default_path(shelf, table, "csv") == tmp_path / "labels-corrected.csv"
    assert export_previews.file_name(table, "patch") == "labels-corrected.jsonl"
    assert export_previews.file_name(table, "original") == "labels-corrected.csv"
    for kind in ("cat", "dog"):
        (tmp_path / "tree" / kind).mkdir(parents=True)
        Image.new("L", (8, 8)).save(tmp_path / "tree" / kind / "1.png")
    tree = add(shelf, tmp_path / "tree")
    monkeypatch.setenv("HOME", str(tmp_path / "tree" / "cat"))
    place = export_previews.default_path(shelf, tree, "folder")
    assert tmp_path / "tree" not in place.parents


def test_a_download_holds_the_bytes_that_are_written_to_a_path(shelf, decided, tmp_path):
    table = pq.read_table(io.BytesIO(export_previews.download(shelf, decided, "parquet")()))
    rows = {row["sample_key"]: row for row in table.to_pylist()}
    assert (rows["0.png"]["label"], rows["0.png"]["given_label"]) == (HOSTILE, "a")
    assert set(rows) == {"0.png", "1.png", "3.png", "4.png", "5.png", "7.png"}
    exporting.export(shelf.workspace, decided, tmp_path / "out.csv", "csv")
    as_csv = export_previews.download(shelf, decided, "csv")()
    assert as_csv == (tmp_path / "out.csv").read_bytes()
    frame = pd.read_csv(io.BytesIO(as_csv), keep_default_na=False)
    assert frame.set_index("sample_key")["label"]["0.png"] == HOSTILE
    guarded = export_previews.download(shelf, decided, "csv", spreadsheet_safe=True)()
    assert (
        pd.read_csv(io.BytesIO(guarded)).set_index("sample_key")["label"]["0.png"] == "'" + HOSTILE
    )
    own = pd.read_csv(
        io.BytesIO(export_previews.download(shelf, decided, "original")()),
        sep=";", keep_default_na=False,
    )  # fmt: skip
    assert list(own.columns) == ["path", "who", "label"]
    assert own["label"].tolist() == [HOSTILE, "b", "a", "b", HOSTILE, "a", "b"]


def test_an_export_ends_with_its_manifest_and_can_be_taken_away(shelf, decided, tmp_path):
    order = Order(form="folder", out=tmp_path / "tree", link="copy")
    done = export_runs.start(shelf, decided, order, wait=60)
    assert (done.state, done.problem) == (ExportState.DONE, None)
    assert export_runs.last(shelf, decided) == done
    assert json.loads(export_runs.manifest_path(order).read_text()) == done.manifest
    assert done.takeaway_name == "tree.zip"
    with zipfile.ZipFile(io.BytesIO(export_runs.takeaway(order))) as archive:
        assert sorted(archive.namelist()) == sorted(
            f"tree/{path.relative_to(order.out).as_posix()}"
            for path in order.out.rglob("*")
            if path.is_file()
        )
        assert len(archive.namelist()) == 7


def test_an_export_that_fails_says_why_in_a_sentence(shelf, decided, tmp_path):
    (tmp_path / "there.csv").write_text("mine")
    order = Order(form="csv", out=tmp_path / "there.csv")
    failed = export_runs.start(shelf, decided, order, wait=60)
    assert failed.state is ExportState.FAILED
    assert "exists already" in failed.problem
    assert (tmp_path / "there.csv").read_text() == "mine"
    order = Order(form="parquet", out=tmp_path / ("x" * 5000))
    assert "the name is too long" in export_runs.start(shelf, decided, order, wait=60).problem
    export_runs.forget(shelf, decided)
    assert export_runs.last(shelf, decided) is None


def test_a_stopped_export_leaves_nothing_and_a_second_one_waits_its_turn(shelf, tmp_path, until):
    images = np.zeros((3000, 8, 8), np.uint8)
    np.savez(tmp_path / "many.npz", images=images, labels=np.arange(3000) % 2)
    dataset = add(shelf, tmp_path / "many.npz")
    out = tmp_path / "exports"
    out.mkdir()
    begun = export_runs.start(shelf, dataset, Order(form="folder", out=out / "tree"))
    assert begun.state is ExportState.RUNNING
    with pytest.raises(RefusedError, match="being written"):
        export_runs.start(shelf, dataset, Order(form="csv", out=out / "a.csv"))
    export_runs.stop(shelf, dataset)
    until(lambda: export_runs.last(shelf, dataset).state is not ExportState.RUNNING)
    assert export_runs.last(shelf, dataset).state is ExportState.STOPPED
    assert list(out.iterdir()) == []
    again = export_runs.start(shelf, dataset, Order(form="csv", out=out / "a.csv"), wait=60)
    assert again.state is ExportState.DONE


def test_a_patch_says_what_it_would_do_and_does_it_once(shelf, decided):
    data = export_previews.download(shelf, decided, "patch")()
    assert patches.plan(shelf, decided, data).new == ()
    # Somebody else's decisions: one taken back here, one contradicted later, one earlier.
    decision_rows.undo(shelf.workspace, decided.id, "1.png", reviewer="ann", at=START)
    plan = patches.plan(shelf, decided, data)
    assert [one.sample_key for one in plan.new] == ["1.png"]
    decide(shelf, decided, (1, "exclude", None), by="bob")
    plan = patches.plan(shelf, decided, data)
    (conflict,) = plan.conflicts
    # Of equal times the one recorded later stands, and that is the patch's.
    assert conflict.people == ("bob", "ann")
    assert conflict.by("bob").verdict is Verdict.EXCLUDE
    assert conflict.later.verdict is Verdict.KEEP
    done = patches.apply(shelf, decided, data)
    assert (done.n_decisions, done.n_new, len(done.conflicts)) == (6, 1, 1)
    again = patches.apply(shelf, decided, data)
    assert (again.n_new, again.conflicts) == (0, ())
    assert len(decision_rows.log(shelf.workspace, decided.id)) == 9


def test_a_patch_for_other_data_or_with_a_broken_line_is_refused(shelf, decided):
    data = export_previews.download(shelf, decided, "patch")()
    lines = data.splitlines()
    with pytest.raises(InputError, match="Line 2"):
        patches.plan(shelf, decided, b"\n".join([lines[0], b"{", *lines[2:]]) + b"\n")
    header = json.loads(lines[0]) | {"dataset_fingerprint": "0" * 64}
    foreign = b"\n".join([json.dumps(header).encode(), *lines[1:]]) + b"\n"
    with pytest.raises(RefusedError, match="other data"):
        patches.apply(shelf, decided, foreign)
    with pytest.raises(AuditError):
        patches.plan(shelf, decided, b"\x89PNG\r\n\x1a\n\0")
