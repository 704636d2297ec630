"""What a comparison is made of: arms, samples, test and the sentences that say why not."""

from datetime import UTC, datetime

import numpy as np
import pytest

from audit.records.comparison import Arm, TestLabels
from audit.records.decision import Decision, Verdict
from audit.records.test_part import HELD_OUT
from audit.store import decisions
from audit.store.workspace import Workspace
from audit.workbench import retraining, suspects
from audit.workbench.retraining import Wish
from audit.workbench.settling import Wishes
from audit.workbench.shelf import Shelf

TINY = Wishes(preset="quick", epochs=1, device="cpu", image_size=12)


@pytest.fixture
def shelf(staged_copy):
    with Workspace.open(staged_copy) as workspace:
        yield Shelf(workspace)


@pytest.fixture
def dataset(shelf):
    return shelf.dataset("staged")


def planned(shelf, dataset, **wish):
    return retraining.plan(shelf, dataset, Wish(**({"training": TINY, "has_preset": True} | wish)))


def decide(shelf, dataset, position, verdict, label=None, reviewer="ada"):
    given = dataset.class_names[dataset.given_labels[position]]
    decisions.append(
        shelf.workspace,
        [
            Decision(
                dataset_id=dataset.id,
                sample_key=dataset.sample_keys[position],
                given_label=given,
                verdict=verdict,
                label=given if verdict is Verdict.KEEP else label,
                reviewer=reviewer,
                decided_at=datetime.now(UTC),
            )
        ],
    )


def other_class(dataset, position):
    return dataset.class_names[(dataset.given_labels[position] + 1) % dataset.n_classes]


def test_without_splits_a_fifth_of_every_class_is_held_out_and_always_the_same(shelf, dataset):
    plan = planned(shelf, dataset, top="10%")
    labels = plan.labels
    assert plan.comparison.settings.test == HELD_OUT
    assert not (labels.in_training & labels.in_test).any()
    for index in range(dataset.n_classes):
        members = dataset.given_labels == index
        assert labels.in_test[members].sum() == round(members.sum() / 5)
    again = planned(Shelf(shelf.workspace), dataset, top="10%")
    assert (again.labels.in_test == labels.in_test).all()


def test_a_percentage_takes_the_most_suspicious_training_samples(shelf, dataset):
    plan = planned(shelf, dataset, top="10%", method="aum")
    selected = plan.labels.selected
    assert selected.sum() == round(0.1 * plan.labels.in_training.sum())
    ranks = suspects.ranked(shelf, dataset, "aum").ranks
    assert ranks[selected].max() < ranks[plan.labels.in_training & ~selected].min()


def test_flagged_takes_flags_of_the_training_part_alone(shelf, dataset):
    plan = planned(shelf, dataset, top="flagged", method="aum")
    flags = suspects.flagged(suspects.ranked(shelf, dataset, "aum"))
    assert (plan.labels.selected == (flags & plan.labels.in_training)).all()


def test_decided_takes_what_people_changed_and_follows_them(shelf, dataset):
    training = np.flatnonzero(planned(shelf, dataset, top="10%").labels.in_training)
    kept, relabelled, excluded, unsure = training[:4]
    decide(shelf, dataset, kept, Verdict.KEEP)
    decide(shelf, dataset, relabelled, Verdict.RELABEL, other_class(dataset, relabelled))
    decide(shelf, dataset, excluded, Verdict.EXCLUDE)
    decide(shelf, dataset, unsure, Verdict.UNSURE)
    plan = planned(shelf, dataset)
    assert plan.comparison.settings.top == "decided"
    assert np.flatnonzero(plan.labels.selected).tolist() == sorted([relabelled, excluded])
    corrected = plan.labels.corrected
    names = dataset.class_names
    assert names[corrected[relabelled]] == other_class(dataset, relabelled)
    assert corrected[excluded] == -1
    assert corrected[kept] == dataset.given_labels[kept]
    assert plan.comparison.n_decided == 4
    assert plan.comparison.settings.arms == (
        Arm.GIVEN, Arm.DROPPED, Arm.RELABELLED, Arm.AUTOMATIC
    )  # fmt: skip


def test_the_same_wish_is_the_same_comparison_until_somebody_decides(shelf, dataset):
    first, again = (planned(shelf, dataset, top="10%").comparison.id for _ in range(2))
    assert first == again
    decide(shelf, dataset, 0, Verdict.RELABEL, other_class(dataset, 0))
    assert planned(shelf, dataset, top="10%").comparison.id != first


def test_true_labels_judge_where_they_are_known_and_given_ones_if_asked(shelf, dataset):
    plan = planned(shelf, dataset, top="10%")
    assert plan.comparison.settings.test_labels is TestLabels.TRUE
    tested = plan.labels.in_test
    truth = retraining.truth(shelf, dataset)
    assert (plan.labels.test[tested] == truth[tested]).all()
    assert (plan.labels.test[~tested] == -1).all()
    position = int(np.flatnonzero(tested)[0])
    decide(shelf, dataset, position, Verdict.EXCLUDE)
    by_given = planned(shelf, dataset, top="10%", test_labels=TestLabels.GIVEN)
    assert by_given.labels.test[position] == -1
    others = tested.copy()
    others[position] = False
    assert (by_given.labels.test[others] == dataset.given_labels[others]).all()
    assert any("never corrected automatically" in r for r in by_given.comparison.remarks)


def test_automatic_needs_the_training_without_the_selected_samples(shelf, dataset):
    plan = planned(shelf, dataset, top="10%", arms=(Arm.GIVEN, Arm.AUTOMATIC), seeds=2)
    assert [(one.arm, one.seed) for one in plan.trainings] == [
        (Arm.GIVEN, 0), (Arm.DROPPED, 0), (Arm.AUTOMATIC, 0),
        (Arm.GIVEN, 1), (Arm.DROPPED, 1), (Arm.AUTOMATIC, 1),
    ]  # fmt: skip
    dropped = plan.trainings[1]
    assert plan.trainings[2].source.id == dropped.id
    selected = np.flatnonzero(plan.labels.selected)
    assert np.isin(selected, dropped.asked).all()
    assert not dropped.trained.kept[np.isin(dropped.sample, selected)].any()


def test_arms_take_equally_many_steps(shelf, dataset):
    plan = planned(shelf, dataset, top="40%", arms=(Arm.GIVEN, Arm.DROPPED), seeds=1)
    given, dropped = plan.trainings
    assert dropped.config.batch_size == int(
        given.config.batch_size * dropped.trained.kept.sum() / len(dropped.sample)
    )
    assert dropped.config.epochs == given.config.epochs


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        ({"arms": (Arm.GIVEN, Arm.RELABELLED)}, "nobody relabelled or excluded any"),
        ({"top": "decided"}, "selects none of the training samples"),
        ({"top": "some"}, "expected decided, flagged or a percentage"),
        ({"top": "0%"}, "expected decided, flagged or a percentage"),
        ({"test": "val"}, "no usable samples in the split val"),
        ({"test": "train"}, "expected test, val or held-out"),
        ({"method": "lstm"}, "has no scores of 'lstm'"),
        ({"seeds": 0}, "at least one seed"),
    ],
)
def test_what_cannot_be_compared_is_a_sentence(shelf, dataset, wish, sentence):
    plan = planned(shelf, dataset, **({"top": "10%"} | wish))
    assert plan.comparison is None
    assert sentence in plan.problem


def test_arms_are_named_in_words():
    assert retraining.parse_arms("given, oracle") == (Arm.GIVEN, Arm.ORACLE)
    for text, sentence in (
        ("given,x", "no arm 'x'"),
        ("", "at least one"),
        ("given,given", "once"),
    ):
        with pytest.raises(Exception, match=sentence):
            retraining.parse_arms(text)
