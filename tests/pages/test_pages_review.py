"""The review page without a browser: what it hands to the station, and what it says instead of it."""

import json

import pytest
from streamlit.testing.v1 import AppTest

from audit.store import datasets
from audit.store.workspace import Workspace
from audit.ui import MAIN_SCRIPT, shell


@pytest.fixture
def page(monkeypatch):
    """Open the review page of a workspace at an address."""

    def begin(workspace, **query):
        monkeypatch.setenv("LABELTRACE_WORKSPACE", str(workspace))
        at = AppTest.from_file(str(MAIN_SCRIPT), default_timeout=20)
        for name, value in query.items():
            at.query_params[name] = value
        at.run()
        at.switch_page(shell.page_path("review"))
        at.run()
        assert not at.exception
        return at

    return begin


def handed(at):
    """Return what the station was given."""
    (station,) = at.get("bidi_component")
    return json.loads(station.proto.json)


def test_the_station_gets_the_undecided_samples_unless_the_address_says_otherwise(
    page, staged_workspace
):
    data = handed(page(staged_workspace, dataset="staged"))
    assert data["dataset"]["name"] == "staged"
    assert data["query"] == "method=aum&state=undecided"
    assert data["isOpen"] is True


def test_filters_of_the_address_reach_the_station_and_the_choices(page, staged_workspace):
    asked = {
        "method": "margin",
        "cls": "class b",
        "suggested": "class c",
        "state": "keep",
        "cut": "-1.5",
    }
    at = page(staged_workspace, dataset="staged", **asked)
    data = handed(at)
    assert data["query"] == "method=margin&cls=class+b&suggested=class+c&state=keep&cut=-1.5"
    assert data["isOpen"] is False
    assert [box.value for box in at.selectbox] == ["staged", "margin", "class b", "class c", "keep"]
    assert not at.warning


def test_a_choice_goes_into_the_address(page, staged_workspace):
    at = page(staged_workspace, dataset="staged", state="todo")
    at.selectbox(key="review_cls").select("class d").run()
    assert at.query_params["cls"] == "class d"
    assert handed(at)["query"] == "method=aum&cls=class+d&state=todo"


def test_another_method_drops_the_cut_that_was_another_ones(page, staged_workspace):
    at = page(staged_workspace, dataset="staged", method="margin", cut="-1.5")
    at.selectbox(key="review_method").select("aum").run()
    assert not at.warning
    assert handed(at)["query"] == "method=aum&state=undecided"


def test_of_very_many_classes_a_bounded_list_is_sent_and_others_are_typed(page, stage, tmp_path):
    names = [f"class {number:04d}" for number in range(400)]
    with Workspace.open(tmp_path / "many") as workspace:
        stage(
            workspace, tmp_path, n_samples=420, n_classes=400, class_names=names, n_epochs=2,
            methods=("margin",),
        )  # fmt: skip
    at = page(tmp_path / "many", dataset="staged")
    box = at.selectbox(key="review_cls")
    assert len(box.options) <= 250
    unseen = next(name for name in names if name not in box.options)
    at = page(tmp_path / "many", dataset="staged", cls=unseen)
    assert at.selectbox(key="review_cls").value == unseen
    assert not at.warning
    at.switch_page(shell.page_path("sample")).run()
    other = next(box for box in at.selectbox if box.label == "Another class")
    assert len(other.options) <= 251


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("method", "votes", "is no method"),
        ("cls", "<script>alert(1)</script>", "every given class"),
        ("suggested", "**class z**", "every suggested class"),
        ("state", "everything", "is no state"),
        ("cut", "nan", "outside the range"),
        ("cut", "low", "is no cut"),
    ],
)
def test_an_address_that_means_nothing_is_told_and_left_out(
    page, staged_workspace, name, value, said
):
    at = page(staged_workspace, dataset="staged", **{name: value})
    (warning,) = at.warning
    assert said in warning.value
    assert "**class" not in warning.value
    assert "<script>" not in warning.value
    assert handed(at)["query"] == "method=aum&state=undecided"


def test_a_workspace_without_datasets_says_so_and_leads_to_the_import(page, tmp_path):
    Workspace.open(tmp_path / "empty").close()
    at = page(tmp_path / "empty")
    assert "no dataset" in " ".join(part.proto.body for part in at.get("html"))
    assert not at.get("bidi_component")


def test_a_dataset_without_scores_says_so_and_leads_to_a_run(page, stage, staged_copy, tmp_path):
    with Workspace.open(staged_copy) as workspace:
        stage(workspace, tmp_path, name="unscored", methods=())
        assert len(list(datasets.all(workspace))) == 2
    at = page(staged_copy, dataset="unscored")
    assert "no scores" in " ".join(part.proto.body for part in at.get("html"))
    assert not at.get("bidi_component")
