"""The Datasets page: a source is planned, shown and stored; what is stored can be moved and deleted."""

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect
from streamlit.testing.v1 import AppTest

from audit.records.decision import Verdict
from audit.store import datasets as dataset_rows
from audit.store.workspace import Workspace
from audit.ui import MAIN_SCRIPT, shell
from audit.workbench import reviewing, serving

HOSTILE = ("<b>x<∕b>", "**bold**", ":red[x]", "$x$", "😀 'q\" &amp;")
"""Class names that a page could take for markup; the slash is one that file names may hold."""


def draw(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((6, 8, 3), value, np.uint8)).save(path)


@pytest.fixture
def animals(tmp_path):
    for number in range(3):
        draw(tmp_path / "animals" / "cats" / f"{number}.png", 40 * number)
        draw(tmp_path / "animals" / "dogs" / f"{number}.png", 40 * number + 20)
    (tmp_path / "animals" / "dogs" / "empty.png").write_bytes(b"")
    return tmp_path / "animals"


@pytest.fixture
def page(monkeypatch, tmp_path):
    """Open the Datasets page on a workspace, without a browser."""

    def begin(workspace=tmp_path / "workspace", **query):
        monkeypatch.setenv("LABELTRACE_WORKSPACE", str(workspace))
        at = AppTest.from_file(str(MAIN_SCRIPT), default_timeout=30)
        for name, value in query.items():
            at.query_params[name] = value
        at.run()
        at.switch_page(shell.page_path("datasets"))
        return checked(at.run())

    return begin


def checked(at):
    assert not at.exception, [one.value for one in at.exception]
    return at


def field(at, label):
    (found,) = [one for one in at.text_input if one.label == label]
    return found


def press(at, label):
    (found,) = [one for one in at.button if one.label == label]
    found.click()
    return checked(at.run())


def show_plan(at, source):
    field(at, "Source").input(str(source))
    return press(at, "Show plan")


def html(at):
    return "\n".join(element.proto.body for element in at.get("html"))


def said(at):
    kinds = (at.error, at.warning, at.info, at.caption, at.markdown, at.text)
    return "\n".join(str(one.value) for kind in kinds for one in kind).replace("\\", "")


def stored(folder):
    with Workspace.open(folder) as workspace:
        return [one.name for one in dataset_rows.all(workspace)]


def test_a_source_is_planned_then_imported_and_then_known(page, animals, tmp_path):
    at = show_plan(page(), animals)
    assert "<dd>7</dd>" in html(at)
    assert "1 sample cannot be used" in [one.label for one in at.expander]
    assert field(at, "Name").value == "animals"
    assert stored(tmp_path / "workspace") == []

    press(at, "Import")
    assert stored(tmp_path / "workspace") == ["animals"]
    assert at.query_params["dataset"] == "animals"
    assert field(at, "Source").value == ""

    show_plan(at, animals)
    assert "imported already, as animals" in said(at)
    press(at, "Import")
    assert stored(tmp_path / "workspace") == ["animals"]
    assert "there already" in at.toast[-1].value


def test_what_cannot_be_imported_is_said_in_a_sentence_and_the_page_goes_on(page, tmp_path):
    at = show_plan(page(), tmp_path / "missing")
    assert [one.value for one in at.error] != []
    assert "does not exist." in said(at)
    assert [one.label for one in at.button if one.label == "Import"] == []
    assert "Type the path of the source." in said(show_plan(at, "  "))


def test_a_source_that_changed_is_shown_again_before_it_is_stored(page, animals, tmp_path):
    at = show_plan(page(), animals)
    draw(animals / "cats" / "new.png", 7)
    press(at, "Import")
    assert "0 samples are gone and 1 are new" in said(at)
    assert stored(tmp_path / "workspace") == []
    press(at, "Import")
    assert stored(tmp_path / "workspace") == ["animals"]
    assert "have changed" not in said(at)


def test_the_browser_imports_nothing_outside_the_named_folders(
    page, animals, tmp_path, monkeypatch
):
    monkeypatch.setenv(serving.DATA_ROOTS, str(tmp_path / "public"))
    at = page()
    assert f"limited to the folder that this server may read, {tmp_path}/public." in said(at)
    assert "animals lies outside the folder that this server may read" in said(
        show_plan(at, animals)
    )


def test_class_and_file_names_with_markup_are_shown_as_text(page, tmp_path):
    for name in HOSTILE:
        draw(tmp_path / "names" / name / "1.png", 9)
    (tmp_path / "names" / HOSTILE[0] / "<i>2<∕i>.png").write_bytes(b"no image")
    at = press(show_plan(page(), tmp_path / "names"), "Import")
    shown = html(at)
    for name in (
        "&lt;b&gt;x&lt;∕b&gt;",
        "**bold**",
        ":red[x]",
        "$x$",
        "😀 &#x27;q&quot; &amp;amp;",
    ):
        assert f">{name}</span>" in shown
    assert "/&lt;i&gt;2&lt;∕i&gt;.png</p>" in shown
    assert "<b>" not in shown.replace("<b>Import", "")


def test_thousands_of_classes_are_paged_and_found_by_name(page, tmp_path):
    n_classes = 3000
    np.savez(
        tmp_path / "many.npz",
        images=np.zeros((n_classes, 4, 4), np.uint8),
        labels=np.arange(n_classes),
        class_names=np.array([f"kind {k:04d}" for k in range(n_classes)]),
    )
    at = press(show_plan(page(), tmp_path / "many.npz"), "Import")
    assert html(at).count('class="lf-class"') == 12
    assert "3,000 classes have a single sample" in said(at)
    field(at, "Find a class").input("KIND 299")
    assert html(checked(at.run())).count('class="lf-class"') == 10


def test_deleting_says_first_what_goes(page, staged_copy):
    with Workspace.open(staged_copy) as workspace:
        dataset = dataset_rows.find(workspace, "staged")
        key = dataset.sample_keys[3]
        reviewing.decide(workspace, dataset, key, Verdict.KEEP, reviewer="ann")
    at = press(page(staged_copy, dataset="staged"), "Delete dataset…")
    assert "3 runs and their scores and the decision about 1 sample" in said(at)
    assert any(one.label.startswith("Delete and free") for one in at.button)
    assert stored(staged_copy) == ["staged"]


def test_files_that_have_moved_are_followed_if_they_are_the_same(page, animals, tmp_path):
    at = press(show_plan(page(), animals), "Import")
    moved = animals.rename(tmp_path / "moved")
    assert "Its files are no longer at" in said(checked(at.run()))
    draw(tmp_path / "other" / "cats" / "0.png", 1)
    draw(tmp_path / "other" / "dogs" / "0.png", 1)
    field(at, "New place").input(str(tmp_path / "other"))
    assert "is not the data of" in said(press(at, "Relocate"))
    field(at, "New place").input(str(moved))
    assert "Its files are no longer at" not in said(press(at, "Relocate"))
    with Workspace.open(tmp_path / "workspace") as workspace:
        assert dataset_rows.find(workspace, "animals").source.root == str(moved)


def test_an_address_that_names_no_dataset_is_answered_with_a_sentence(page, staged_workspace):
    at = page(staged_workspace, dataset="<script>")
    assert "There is no dataset" in said(at)


@pytest.mark.browser
def test_a_folder_is_imported_in_the_browser_seen_and_deleted_by_its_name(
    serve, animals, tmp_path, tab, visit
):
    server = serve(tmp_path / "workspace")
    visit(tab, f"{server.url}/datasets")
    tab.get_by_label("Source").fill(str(animals))
    tab.get_by_role("button", name="Show plan").click()
    tab.get_by_role("button", name="Import").click()
    tab.wait_for_url("**/datasets?dataset=animals")
    with tab.expect_response("**/sheet?**") as answer:
        tab.reload()
    assert answer.value.status == 200
    assert answer.value.headers["content-type"] == "image/png"
    expect(tab.get_by_label("Samples of cats").locator(".lf-tile")).to_have_count(3)
    assert stored(tmp_path / "workspace") == ["animals"]

    tab.get_by_role("button", name="Delete dataset…").click()
    dialog = tab.get_by_role("dialog")
    dialog.get_by_role("textbox").fill("animal")
    dialog.get_by_role("button", name="Delete and free").click()
    dialog.get_by_text("This is not animals: nothing was deleted.").wait_for()
    assert stored(tmp_path / "workspace") == ["animals"]
    dialog.get_by_role("textbox").fill("animals")
    dialog.get_by_role("button", name="Delete and free").click()
    tab.get_by_text("There is no dataset yet.").wait_for()
    assert stored(tmp_path / "workspace") == []
    assert (animals / "cats" / "0.png").exists()
