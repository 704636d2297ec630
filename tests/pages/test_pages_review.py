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


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("method", "lstm"),
        ("cls", "<script>alert(1)</script>"),
        ("suggested", "**class z**"),
        ("state", "everything"),
        ("cut", "nan"),
        ("cut", "low"),
    ],
)
def test_an_address_that_means_nothing_is_told_and_left_out(page, staged_workspace, name, value):
    at = page(staged_workspace, dataset="staged", **{name: value})
    (warning,) = at.warning
    assert f"{name}" in warning.value
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
