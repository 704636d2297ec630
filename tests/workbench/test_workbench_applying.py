"""Patches of several people are taken over whole; where they disagree, somebody may choose."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from audit.errors import InputError, NotFoundError, RefusedError
from audit.exchange import patch
from audit.records.decision import Decision, Verdict
from audit.store import decisions as decision_rows
from audit.store.workspace import Workspace
from audit.workbench import applying
from audit.workbench.applying import Choices

START = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def workspace(staged_copy):
    with Workspace.open(staged_copy) as opened:
        yield opened


@pytest.fixture
def dataset(workspace):
    from audit.store import datasets

    return datasets.find(workspace, "staged")


def decision(dataset, position, verdict, *, by, at=0, step=1):
    index = int(dataset.given_labels[position])
    given = dataset.class_names[index]
    labels = {
        "keep": given,
        "relabel": dataset.class_names[(index + step) % dataset.n_classes],
    }
    return Decision(
        dataset_id=dataset.id,
        sample_key=dataset.sample_keys[position],
        given_label=given,
        verdict=Verdict(verdict),
        label=labels.get(verdict),
        reviewer=by,
        decided_at=START + timedelta(seconds=at),
    )


@pytest.fixture
def write(dataset, tmp_path):
    def written(name, *decisions):
        path = tmp_path / name
        patch.write(path, dataset=dataset, decisions=decisions, base_version="given", made_at=START)
        return path

    return written


@pytest.fixture
def two(dataset, write):
    """Give patches of ann and bob: they agree on sample 0 and disagree on 1 (bob later) and 2 (ann)."""
    ann = [
        decision(dataset, 0, "exclude", by="ann"),
        decision(dataset, 1, "relabel", by="ann", at=1),
        decision(dataset, 2, "keep", by="ann", at=9),
    ]
    bob = [
        decision(dataset, 0, "exclude", by="bob"),
        decision(dataset, 1, "keep", by="bob", at=5),
        decision(dataset, 2, "unsure", by="bob", at=5),
    ]
    return [write("ann.jsonl", *ann), write("bob.jsonl", *bob)]


def standing(workspace, dataset):
    found = decision_rows.current(workspace, dataset.id)
    return [
        (found[key].reviewer, str(found[key].verdict)) if key in found else None
        for key in dataset.sample_keys[:3]
    ]


def test_patches_disagree_where_different_people_say_different_things(workspace, dataset, two):
    plan = applying.plan(workspace, dataset, two)
    assert (len(plan.decisions), len(plan.new), plan.seen) == (6, 6, 0)
    assert [conflict.sample_key for conflict in plan.conflicts] == list(dataset.sample_keys[1:3])
    assert [conflict.people for conflict in plan.conflicts] == [("ann", "bob"), ("bob", "ann")]
    assert [rival.patch for rival in plan.conflicts[0].rivals] == ["ann.jsonl", "bob.jsonl"]


def test_without_a_choice_the_later_stands_and_both_are_told(workspace, dataset, two):
    plan = applying.plan(workspace, dataset, two)
    done = applying.carry_out(workspace, dataset, plan)
    assert standing(workspace, dataset) == [("bob", "exclude"), ("bob", "keep"), ("ann", "keep")]
    assert (done.n_new, done.n_settled) == (6, 0)
    assert done.conflicts[0].endswith(
        "bob decided keep at 2026-03-01T00:00:05Z; the later one, by bob, stands."
    )
    again = applying.plan(workspace, dataset, two)
    assert (again.new, again.conflicts) == ((), ())
    assert applying.carry_out(workspace, dataset, again, Choices(prefer="zoe")).n_new == 0
    assert len(decision_rows.log(workspace, dataset.id)) == 6


def test_a_choice_is_decided_again_by_whoever_chooses(workspace, dataset, two):
    plan = applying.plan(workspace, dataset, two)
    keys = dataset.sample_keys
    choices = Choices(prefer="bob", by_sample={keys[1]: "ann"})
    done = applying.carry_out(workspace, dataset, plan, choices, reviewer="cleo")
    assert standing(workspace, dataset) == [
        ("bob", "exclude"), ("cleo", "relabel"), ("cleo", "unsure"),
    ]  # fmt: skip
    log = decision_rows.log(workspace, dataset.id)
    assert (len(log), done.n_settled) == (8, 2)
    of_people = {(one.sample_key, one.reviewer): one.id for one in log}
    settled = log[-2]
    assert settled.evidence == {"settles": [of_people[keys[1], "ann"], of_people[keys[1], "bob"]]}
    assert settled.label == next(
        one.label for one in log if (one.sample_key, one.reviewer) == (keys[1], "ann")
    )
    assert "cleo chose that of ann, which stands" in done.conflicts[0]
    replaced = decision_rows.superseded_by_others(workspace, dataset.id, "bob")
    assert [pair.standing.reviewer for pair in replaced] == ["cleo", "cleo"]


def test_a_patch_disagrees_with_what_stands_and_not_with_the_same_person(workspace, dataset, write):
    decision_rows.append(
        workspace,
        [
            decision(dataset, 0, "keep", by="ann", at=3),
            decision(dataset, 1, "keep", by="bob", at=3),
        ],
    )
    sent = write(
        "ann.jsonl",
        decision(dataset, 0, "exclude", by="ann", at=4),
        decision(dataset, 1, "exclude", by="ann", at=3),
        decision(dataset, 2, "exclude", by="ann", at=4),
    )
    plan = applying.plan(workspace, dataset, [sent])
    (conflict,) = plan.conflicts
    # Of equal times the one recorded later stands, and that is the patch's.
    assert conflict.people == ("bob", "ann")
    assert [rival.patch for rival in conflict.rivals] == [None, "ann.jsonl"]
    applying.carry_out(workspace, dataset, plan, Choices(prefer="bob"), reviewer="bob")
    assert standing(workspace, dataset) == [("ann", "exclude"), ("bob", "keep"), ("ann", "exclude")]
    settled = decision_rows.current(workspace, dataset.id)[dataset.sample_keys[1]]
    assert settled.evidence == {"settles": [2, 4]}


def test_a_choice_that_fits_no_conflict_is_refused_with_those_that_do(workspace, dataset, two):
    plan = applying.plan(workspace, dataset, two)
    key = dataset.sample_keys[1]

    def refused(**choices):
        with pytest.raises(NotFoundError) as caught:
            applying.carry_out(workspace, dataset, plan, Choices(**choices), reviewer="cleo")
        assert decision_rows.log(workspace, dataset.id) == []
        return str(caught.value)

    assert refused(prefer="zoe") == (
        "'zoe' takes part in no conflict; those who do are 'ann', 'bob'."
    )
    assert refused(by_sample={"nowhere": "ann"}).startswith("Nobody disagrees on 'nowhere'; there")
    assert refused(by_sample={key: "zoe"}).endswith("which is between 'ann', 'bob'.")
    with pytest.raises(InputError, match="Say who chooses"):
        applying.carry_out(workspace, dataset, plan, Choices(prefer="ann"), reviewer=" ")


def test_choices_are_read_at_the_equals_sign_that_makes_sense(workspace, dataset, two):
    plan = applying.plan(workspace, dataset, two)
    key = dataset.sample_keys[1]
    assert applying.parse_choices(plan, [f"{key}=ann"]) == {key: "ann"}
    assert applying.parse_choices(plan, ["a=b=c"]) == {"a=b": "c"}
    with pytest.raises(InputError, match="write SAMPLE_KEY=NAME"):
        applying.parse_choices(plan, ["ann"])


def test_a_plan_is_not_carried_out_on_another_log(workspace, dataset, two):
    plan = applying.plan(workspace, dataset, two)
    decision_rows.append(workspace, [decision(dataset, 9, "keep", by="dan")])
    with pytest.raises(RefusedError, match="meanwhile, so nothing was stored"):
        applying.carry_out(workspace, dataset, plan)
    assert len(decision_rows.log(workspace, dataset.id)) == 1


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"dataset_fingerprint": "0" * 64}, "bob.jsonl: The patch is for other data"),
        ({"classes": ["x", "y"]}, "bob.jsonl: The patch lists other classes than 'staged' has"),
    ],
)
def test_a_patch_for_other_data_or_classes_is_refused_by_its_name(
    workspace, dataset, two, changed, words
):
    lines = two[1].read_text(encoding="utf-8").splitlines(keepends=True)
    two[1].write_text(json.dumps(json.loads(lines[0]) | changed) + "\n" + "".join(lines[1:]))
    with pytest.raises(RefusedError, match=words):
        applying.plan(workspace, dataset, two)
