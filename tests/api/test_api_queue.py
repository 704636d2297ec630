"""Queues as JSON: what an item says, pages that stay what they were, and what is refused."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest

from audit.records.decision import Decision, Verdict
from audit.store import decisions, scores
from audit.store.workspace import Workspace
from audit.workbench import serving


@pytest.fixture
def queue(serve_routes, staged_copy):
    """Ask for the queue of ``staged`` in a workspace of the test's own."""
    client = serve_routes(staged_copy)
    dataset = serving.shelf().dataset("staged")

    def ask(query="", status=200):
        answer = client.get(f"/api/datasets/{dataset.id}/queue{query}")
        assert answer.status_code == status, answer.text
        assert answer.headers["cache-control"] == "no-store"
        return json.loads(answer.content, parse_constant=pytest.fail)  # NaN is no JSON

    ask.dataset = dataset
    return ask


def decide(dataset, position, verdict=Verdict.EXCLUDE, label=None, reviewer="Ada", note=""):
    given = dataset.class_names[dataset.given_labels[position]]
    decision = Decision(
        dataset_id=dataset.id,
        sample_key=dataset.sample_keys[position],
        given_label=given,
        verdict=verdict,
        label=given if verdict is Verdict.KEEP else label,
        reviewer=reviewer,
        decided_at=datetime.now(UTC),
        note=note,
    )
    (stored,) = decisions.append(serving.shelf().workspace, [decision])
    return stored


def test_an_item_says_all_that_is_shown_of_a_sample(queue):
    dataset = queue.dataset
    summary = serving.shelf().latest(dataset)["margin"]
    said = scores.load(serving.shelf().workspace, summary.id)
    page = queue("?method=margin&state=all&count=200")
    assert page["dataset"] == dataset.id
    assert (page["as_of"], page["total"], page["start"]) == (0, 120, 0)
    assert page["classes"] == list(dataset.class_names)
    assert [item["rank"] for item in page["items"]] == list(range(1, 121))
    suspicions = [item["suspicion"] for item in page["items"]]
    assert suspicions == sorted(suspicions, reverse=True)
    for item in page["items"]:
        position = item["position"]
        suggested = int(said.suggested_label[position])
        assert item == {
            "position": position,
            "key": dataset.sample_keys[position],
            "given": int(dataset.given_labels[position]),
            "suggested": suggested,
            "likely": [0, 1, 2, 3, 4],
            "suspicion": float(said.suspicion[position]),
            "rank": item["rank"],
            "flagged": bool(said.flagged[position]) if said.flagged is not None else False,
            "decided": None,
            "shown": {
                "method": "margin",
                "scores_id": summary.id,
                "suspicion": float(said.suspicion[position]),
                "rank": item["rank"],
                "suggested": dataset.class_names[suggested] if suggested >= 0 else None,
            },
        }


def test_class_names_come_with_the_first_page_and_when_asked(queue):
    assert "classes" not in queue("?start=10")
    assert queue("?start=10&classes=1")["classes"] == list(queue.dataset.class_names)


def test_pages_of_an_opened_queue_stay_what_they_were_while_people_decide(queue):
    whole = [item["position"] for item in queue("?count=200")["items"]]
    first = queue("?count=40")
    for position in whole[:45:3]:
        decide(queue.dataset, position)
    pages = [first] + [queue(f"?count=40&start={s}&as_of={first['as_of']}") for s in (40, 80)]
    assert [item["position"] for page in pages for item in page["items"]] == whole
    assert {page["total"] for page in pages} == {120}
    fresh = queue("?count=200")
    assert [item["position"] for item in fresh["items"]] == [
        position for position in whole if position not in whole[:45:3]
    ]
    assert fresh["as_of"] > first["as_of"]


def test_a_queue_opened_before_an_undo_is_the_same_on_a_server_that_was_started_anew(
    queue, serve_routes, staged_copy
):
    undone = decide(queue.dataset, 3)
    decide(queue.dataset, 4)
    opened = queue("?count=200")
    decisions.undo(
        serving.shelf().workspace,
        queue.dataset.id,
        undone.sample_key,
        reviewer="Bo",
        at=datetime.now(UTC),
    )
    decide(queue.dataset, 5)
    serve_routes(staged_copy)  # with an empty shelf
    again = queue(f"?count=200&as_of={opened['as_of']}")
    assert [i["position"] for i in again["items"]] == [i["position"] for i in opened["items"]]
    now = {item["position"] for item in queue("?count=200")["items"]}
    assert now == set(range(120)) - {4, 5}


def test_a_decision_that_stands_comes_with_its_sample(queue):
    relabel = decide(
        queue.dataset, 7, Verdict.RELABEL, other_class(queue.dataset, 7), note="<b>no</b>"
    )
    (item,) = queue("?state=relabel")["items"]
    assert item["decided"] == {
        "id": relabel.id,
        "verdict": "relabel",
        "label": queue.dataset.class_names.index(relabel.label),
        "reviewer": "Ada",
        "note": "<b>no</b>",
    }
    decide(queue.dataset, 7, Verdict.UNSURE, reviewer="Bo")
    assert queue("?state=relabel")["items"] == []
    (item,) = queue("?state=decided")["items"]
    assert (item["decided"]["verdict"], item["decided"]["label"]) == ("unsure", None)
    assert (item["decided"]["reviewer"], item["position"]) == ("Bo", 7)


def other_class(dataset, position):
    return dataset.class_names[(int(dataset.given_labels[position]) + 1) % dataset.n_classes]


def test_filters_of_the_address_restrict_the_queue(queue):
    dataset = queue.dataset
    items = queue("?method=margin&cls=class b&state=all&count=200")["items"]
    assert items
    assert {item["given"] for item in items} == {1}
    assert len(items) == int((dataset.given_labels == 1).sum())
    suggested = queue("?method=margin&suggested=class c&state=all&count=200")["items"]
    assert {item["suggested"] for item in suggested} == {2}
    flagged = queue("?method=margin&state=flagged&cut=0.0&count=200")["items"]
    assert all(item["flagged"] for item in flagged)
    quantity = serving.shelf().scores(queue("?method=margin")["scores_id"]).quantity
    assert {item["position"] for item in flagged} == set(np.flatnonzero(quantity <= 0.0).tolist())


def test_flags_of_other_methods_restrict_the_queue(queue):
    shelf, dataset = serving.shelf(), queue.dataset
    flagged = set(np.flatnonzero(shelf.scores(shelf.latest(dataset)["aum"].id).flagged).tolist())
    quantity = shelf.scores(shelf.latest(dataset)["margin"].id).quantity
    first = set(np.argsort(quantity, kind="stable")[: len(flagged) // 2].tolist())
    page = queue(f"?method=aum&by=aum&not_by=margin:{len(first)}&count=200")
    assert {item["position"] for item in page["items"]} == flagged - first
    assert page["total"] == len(flagged - first) > 0
    assert all(item["shown"]["scores_id"] in page["scores_id"].split(",") for item in page["items"])


def test_scores_made_while_a_queue_is_read_do_not_change_its_order(queue):
    first = queue("?method=margin&count=20")
    summary = serving.shelf().latest(queue.dataset)["margin"]
    said = serving.shelf().scores(summary.id)
    newer = scores.Scores(
        run_ids=said.run_ids,
        spec=scores.DetectorSpec(name="margin", version=said.spec.version, params={"other": 1}),
        suspicion=1.0 - said.suspicion,
        quantity_name=said.quantity_name,
        quantity=-said.quantity,
        suggested_label=said.suggested_label,
    )
    scores.save(serving.shelf().workspace, queue.dataset.id, newer)
    pinned = queue(f"?method=margin&count=20&scores_id={first['scores_id']}&as_of=0")
    assert pinned["items"] == first["items"]
    fresh = queue("?method=margin&count=200")
    assert fresh["scores_id"] != first["scores_id"]
    assert [i["position"] for i in fresh["items"][::-1]][:20] == [
        i["position"] for i in first["items"]
    ]


def test_a_dataset_without_scores_says_what_to_do(serve_routes, stage, tmp_path):
    with Workspace.open(tmp_path / "workspace") as workspace:
        dataset = stage(workspace, tmp_path, n_samples=60, methods=())
    answer = serve_routes(tmp_path / "workspace").get(f"/api/datasets/{dataset.id}/queue")
    assert answer.status_code == 409
    assert "train and score a run first" in answer.json()["error"]


def test_a_sample_without_label_and_score_comes_last_with_nulls(serve_routes, stage, tmp_path):
    with Workspace.open(tmp_path / "workspace") as workspace:
        dataset = stage(workspace, tmp_path, n_samples=60, n_unlabelled=4, methods=("margin",))
    client = serve_routes(tmp_path / "workspace")
    answer = client.get(f"/api/datasets/{dataset.id}/queue?state=all&count=200")
    last = json.loads(answer.content, parse_constant=pytest.fail)["items"][-4:]
    assert {item["position"] for item in last} == {56, 57, 58, 59}
    for item in last:
        assert (item["given"], item["suspicion"], item["rank"]) == (-1, None, None)
        assert (item["shown"]["suspicion"], item["flagged"]) == (None, False)


def test_ten_thousand_classes_are_offered_nine_at_a_time(serve_routes, stage, tmp_path):
    names = [f"species {number:05}" for number in range(10_000)]
    with Workspace.open(tmp_path / "workspace") as workspace:
        dataset = stage(
            workspace, tmp_path, n_samples=80, n_classes=10_000, n_epochs=2, methods=("margin",),
            class_names=names,
        )  # fmt: skip
    client = serve_routes(tmp_path / "workspace")
    page = client.get(f"/api/datasets/{dataset.id}/queue?count=80&state=all").json()
    assert page["classes"] == names
    for item in page["items"]:
        assert len(set(item["likely"])) == 9
        assert item["suggested"] in item["likely"]


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("?method=unknown", 404),
        ("?cls=no such class", 404),
        ("?cls=%00", 404),
        ("?suggested=no such class", 404),
        ("?scores_id=no such score", 404),
        ("?by=unknown", 404),
        ("?not_by=lstm", 404),
        ("?by=margin", 400),
        ("?not_by=aum:0", 400),
        ("?state=odd", 400),
        ("?cut=nan", 400),
        ("?cut=inf", 400),
        ("?cut=low", 400),
        ("?count=0", 400),
        ("?count=201", 400),
        ("?count=all", 400),
        ("?start=-1", 400),
        ("?as_of=-1", 400),
        ("?as_of=1.5", 400),
    ],
)
def test_what_an_address_asks_wrongly_is_refused_in_a_sentence(queue, query, status):
    assert queue(query, status)["error"].endswith(".")


def test_a_start_beyond_the_end_and_a_number_yet_to_come_are_no_mistakes(queue):
    assert queue("?start=5000")["items"] == []
    assert queue("?as_of=999999")["as_of"] == 0
