from collections import Counter

import numpy as np
import pytest

from audit.errors import InputError
from audit.exchange.corrected import Reason, resolve


def test_every_sample_is_counted_once_and_left_out_for_one_reason(dataset_of, decided):
    dataset = dataset_of(
        keys=list("abcdefgh"),
        labels=[0, 0, 0, 0, 0, 0, -1, -1],
        problems={5: "f is empty (0 bytes)."},
    )
    decisions = decided(
        dataset,
        {"a": "keep", "b": "dog", "c": "exclude", "d": "unsure", "f": "dog", "h": "dog"},
    )
    labels = resolve(dataset, decisions)
    assert labels.counts.to_json() == {
        "samples": 8,
        "kept": 1,
        "relabelled": 2,
        "excluded": 1,
        "undecided": 1,
        "unsure": 1,
        "unreadable": 1,
        "unlabelled": 1,
    }
    assert [(row.sample_key, row.label, row.verdict) for row in labels.rows()] == [
        ("a", "cat", "keep"),
        ("b", "dog", "relabel"),
        ("d", "cat", "unsure"),
        ("e", "cat", None),
        ("h", "dog", "relabel"),
    ]
    assert [(one.sample_key, one.reason) for one in labels.left_out] == [
        ("c", Reason.EXCLUDED),
        ("f", Reason.UNREADABLE),
        ("g", Reason.UNLABELLED),
    ]


def test_a_problem_found_after_the_import_leaves_a_sample_out(dataset_of):
    labels = resolve(dataset_of(keys=["a", "b"], labels=[0, 1]), {}, {1: "b is truncated."})
    assert [row.sample_key for row in labels.rows()] == ["a"]
    assert labels.counts.unreadable == 1


def test_a_decision_on_a_sample_that_is_not_there_is_named(dataset_of, decided):
    dataset = dataset_of(keys=["a", "b"], labels=[0, 1])
    other = decided(dataset_of(keys=["zz", "b"], labels=[0, 1]), {"zz": "keep"})
    with pytest.raises(InputError, match="'zz', which 'pets' does not have"):
        resolve(dataset, other)


def test_a_class_that_is_not_there_is_named(dataset_of, decided):
    dataset = dataset_of(keys=["a", "b"], labels=[0, 1])
    with pytest.raises(InputError, match="'owl', which is no class"):
        resolve(dataset, decided(dataset, {"a": "owl"}))


def test_counts_are_those_of_the_rows_whatever_was_decided(dataset_of, decided):
    rng = np.random.default_rng(5)
    for _ in range(25):
        keys = [f"{place}" for place in range(40)]
        labels = rng.choice([-1, 0, 1], 40).tolist()
        problems = {int(place): "It is broken." for place in rng.choice(40, 5)}
        dataset = dataset_of(keys=keys, labels=labels, problems=problems)
        words = rng.choice(["", "keep", "other", "exclude", "unsure"], 40).tolist()
        acts = {}
        for key, index, word in zip(keys, labels, words, strict=True):
            if word == "other" or (word == "keep" and index == -1):
                acts[key] = dataset.class_names[1 - max(index, 0)]
            elif word:
                acts[key] = word
        resolved = resolve(dataset, decided(dataset, acts))
        outcome = {"keep": "kept", "relabel": "relabelled", "unsure": "unsure", None: "undecided"}
        plain = Counter(outcome[row.verdict] for row in resolved.rows())
        plain.update(str(one.reason) for one in resolved.left_out)
        counts = resolved.counts.to_json()
        assert counts.pop("samples") == 40
        assert {name: n for name, n in counts.items() if n} == dict(plain)
