"""The fingerprint tells any two different datasets apart."""

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from audit.datasets import fingerprint

texts = st.lists(st.text(max_size=4), min_size=1, max_size=4)


def of(class_names, keys, labels=None, splits=None):
    labels = np.zeros(len(keys), np.int32) if labels is None else np.array(labels, np.int32)
    splits = np.zeros(len(keys), np.int8) if splits is None else np.array(splits, np.int8)
    return fingerprint.of_labels(class_names, keys, labels, splits)


def test_the_same_letters_cut_elsewhere_are_another_dataset():
    assert of(["ab", "c"], ["k"]) != of(["a", "bc"], ["k"])
    assert of(["a", "b"], ["c"]) != of(["a"], ["b", "c"])


def test_every_part_counts():
    base = of(["a", "b"], ["k", "l"], [0, 1], [0, 0])
    others = {
        of(["a", "c"], ["k", "l"], [0, 1], [0, 0]),
        of(["b", "a"], ["k", "l"], [0, 1], [0, 0]),
        of(["a", "b"], ["l", "k"], [0, 1], [0, 0]),
        of(["a", "b"], ["k", "l"], [0, -1], [0, 0]),
        of(["a", "b"], ["k", "l"], [0, 1], [0, 2]),
    }
    assert len(others | {base}) == 6


def test_the_value_is_fixed_and_does_not_depend_on_the_arrays_layout():
    labels = np.array([[0, 9], [1, 9]], np.int32)[:, 0]
    loose = fingerprint.of_labels(["a", "b"], ["k", "l"], labels, np.zeros(2, np.int8))
    assert loose == of(["a", "b"], ["k", "l"], [0, 1])
    assert loose == "bea0533c88052a0ef4cd7465829f4a64cb24733ba1afddc217236b8915044379"


@given(texts, texts, texts, texts)
def test_different_texts_have_different_fingerprints(names, keys, other_names, other_keys):
    assume((names, keys) != (other_names, other_keys))
    assert of(names, keys) != of(other_names, other_keys)
