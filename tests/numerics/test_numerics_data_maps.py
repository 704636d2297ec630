import numpy as np
import pytest
from numpy.testing import assert_allclose

from audit.errors import InputError
from audit.numerics import data_maps
from audit.numerics.data_maps import DataMap, Region


def test_coordinates_of_the_hand_example():
    probabilities = np.array([[0.1, 0.9], [0.4, 0.9], [0.7, 0.9]])
    margins = np.array([[-2.0, 3.0], [0.0, 3.0], [1.0, 3.0]])
    made = data_maps.data_map(probabilities, margins)
    assert_allclose(made.confidence, [0.4, 0.9])
    # Population deviation: the root of (0.09 + 0 + 0.09) / 3, not / 2.
    assert_allclose(made.variability, [0.06**0.5, 0.0], atol=1e-12)
    assert made.correctness.tolist() == [1, 3], "a margin of 0 is not right"
    assert made.n_epochs == 3


def test_streaming_agrees_with_the_plain_formula_on_half_precision_and_hostile_values():
    rng = np.random.default_rng(0)
    probabilities = rng.random((40, 500)).astype(np.float32)
    probabilities[:, 0] = 1 - 1e-7 * rng.random(40)
    probabilities[:, 1] = 1e-30
    margins = rng.normal(size=(40, 500)).astype(np.float16)
    made = data_maps.data_map(probabilities, margins)
    plain = probabilities.astype(np.float64)
    assert_allclose(made.confidence, plain.mean(axis=0), rtol=1e-12)
    assert_allclose(made.variability, plain.std(axis=0), rtol=1e-6, atol=1e-12)
    assert made.correctness.tolist() == (margins > 0).sum(axis=0).tolist()
    order = rng.permutation(40)
    again = data_maps.data_map(probabilities[order], margins[order])
    assert_allclose(again.variability, made.variability, rtol=1e-6, atol=1e-12)


def test_variability_is_at_most_a_half_and_nothing_for_one_epoch():
    torn = data_maps.data_map(np.array([[0.0], [1.0]]), np.array([[-1.0], [1.0]]))
    assert torn.variability.tolist() == [0.5]
    once = data_maps.data_map(np.array([[0.3, 0.6]]), np.array([[-1.0, 1.0]]))
    assert once.variability.tolist() == [0.0, 0.0]


def test_a_third_is_ambiguous_and_the_rest_is_parted_at_a_half():
    confidence = np.array([0.9, 0.5, 0.49, 0.1, 0.7, 0.2])
    variability = np.array([0.1, 0.11, 0.12, 0.13, 0.4, 0.41])
    made = DataMap(
        confidence=confidence,
        variability=variability,
        correctness=np.zeros(6, dtype=np.int64),
        n_epochs=1,
    )
    codes = data_maps.regions(made)
    easy, ambiguous, hard = Region.EASY, Region.AMBIGUOUS, Region.HARD
    assert codes.tolist() == [easy, easy, hard, hard, ambiguous, ambiguous]


def test_rows_that_are_all_alike_are_not_ambiguous():
    made = data_maps.data_map(np.full((3, 4), 0.8), np.ones((3, 4)))
    assert data_maps.regions(made).tolist() == [Region.EASY] * 4
    none = data_maps.data_map(np.empty((3, 0)), np.empty((3, 0)))
    assert data_maps.regions(none).tolist() == []


def test_signals_that_do_not_go_together_are_refused():
    with pytest.raises(InputError, match="same epochs and rows"):
        data_maps.data_map(np.ones((2, 3)), np.ones((3, 3)))
    with pytest.raises(InputError, match="at least one epoch"):
        data_maps.data_map(np.empty((0, 3)), np.empty((0, 3)))
