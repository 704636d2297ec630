import numpy as np
import pytest

from audit.errors import InputError
from audit.numerics import arms
from audit.numerics.arms import Material

# Six samples of three classes; 1, 3 and 5 are treated. People relabelled 1, kept 3, excluded 5.
MATERIAL = Material(
    given=np.array([0, 0, 1, 1, 2, 2], dtype=np.int32),
    selected=np.array([False, True, False, True, False, True]),
    corrected=np.array([0, 2, 1, 1, 2, arms.OUT], dtype=np.int32),
    truth=np.array([0, 2, 1, 1, 2, arms.OUT], dtype=np.int32),
)


def test_given_changes_nothing():
    made = arms.given(MATERIAL)
    assert made.kept.all()
    assert made.label.tolist() == [0, 0, 1, 1, 2, 2]
    assert made.weight is None


def test_dropped_really_leaves_the_selected_out():
    made = arms.dropped(MATERIAL)
    assert made.kept.tolist() == [True, False, True, False, True, False]
    assert made.weight is None


def test_relabelled_follows_people_and_leaves_out_what_they_excluded():
    made = arms.relabelled(MATERIAL)
    assert made.kept.tolist() == [True] * 5 + [False]
    assert made.label[:5].tolist() == [0, 2, 1, 1, 2]


def test_relabelled_regards_only_the_selected():
    only = Material(
        given=MATERIAL.given,
        selected=np.array([False] * 5 + [True]),
        corrected=MATERIAL.corrected,
    )
    made = arms.relabelled(only)
    assert made.label[made.kept].tolist() == [0, 0, 1, 1, 2]


def test_downweighted_keeps_labels_and_weighs():
    made = arms.downweighted(MATERIAL, 0.25)
    assert made.kept.all()
    assert made.label.tolist() == MATERIAL.given.tolist()
    assert made.weight is not None
    assert made.weight.tolist() == [1, 0.25, 1, 0.25, 1, 0.25]
    with pytest.raises(InputError, match="between 0 and 1"):
        arms.downweighted(MATERIAL, 1.5)


def test_automatic_takes_predictions_of_the_selected_alone():
    made = arms.automatic(MATERIAL, np.array([9, 1, 9, 1, 9, 0], dtype=np.int32))
    assert made.label.tolist() == [0, 1, 1, 1, 2, 0]
    assert made.kept.all()


def test_automatic_leaves_out_what_nobody_predicted():
    made = arms.automatic(MATERIAL, np.array([9, 1, 9, 1, 9, arms.OUT], dtype=np.int32))
    assert made.kept.tolist() == [True] * 5 + [False]


def test_oracle_takes_the_truth_where_it_is_known():
    made = arms.oracle(MATERIAL)
    assert made.label.tolist() == [0, 2, 1, 1, 2, 2]
    with pytest.raises(InputError, match="true labels"):
        arms.oracle(
            Material(given=MATERIAL.given, selected=MATERIAL.selected, corrected=MATERIAL.given)
        )


def test_emptied_classes_are_those_that_had_samples_and_have_none():
    given = np.array([0, 0, 1], dtype=np.int32)
    material = Material(given=given, selected=np.array([False, False, True]), corrected=given)
    assert arms.emptied_classes(arms.dropped(material), given, 4) == [1]
    assert arms.emptied_classes(arms.given(material), given, 4) == []
