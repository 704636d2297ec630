"""Which classes are taken for one another, and how labels are drawn and weighed by it."""

import numpy as np
from numpy.testing import assert_allclose, assert_array_equal

from audit.numerics import kinship, planting


def table(values):
    values = np.asarray(values, dtype=np.float32)
    return np.tile(np.arange(values.shape[1], dtype=np.int32), (len(values), 1)), values


def test_ranks_are_those_of_the_mean_over_images_that_the_network_gets_right():
    classes, values = table(
        [
            [0.7, 0.2, 0.1, 0.0],
            [0.5, 0.1, 0.3, 0.1],
            [0.1, 0.8, 0.0, 0.1],  # given 0, looks like 1: says nothing about images of class 0
            [0.0, 0.1, 0.1, 0.8],
        ]
    )
    ranks = kinship.of_classes(classes, values, np.array([0, 0, 0, 3]), 4)
    # Class 0: sums .3, .4, .1 of classes 1, 2, 3. Class 3: 0, .1, .1; the two share .75.
    assert_allclose(ranks[0], [0.5, 0.5, 1.0, 0.0])
    assert_allclose(ranks[3], [0.0, 0.75, 0.75, 0.5])
    assert_allclose(ranks[1:3], 0.5)


def test_two_classes_say_nothing_and_too_many_are_not_tabulated():
    classes, values = table([[0.9, 0.1], [0.2, 0.8]])
    assert_array_equal(kinship.of_classes(classes, values, np.array([0, 1]), 2), 0.5)
    assert kinship.of_classes(classes, values, np.array([0, 1]), 100_000) is None
    assert_array_equal(kinship.of_labels(None, np.array([0]), np.array([1])), 0.5)


def test_shortened_tables_count_what_they_do_not_list_as_zero():
    classes = np.array([[0, 2], [0, -1]], dtype=np.int32)
    values = np.array([[0.6, 0.3], [0.9, 0.0]], dtype=np.float32)
    ranks = kinship.of_classes(classes, values, np.array([0, 0]), 4)
    assert_allclose(ranks[0], [0.5, 0.25, 1.0, 0.25])


def test_a_label_is_looked_up_by_what_its_image_looks_like():
    ranks = np.array([[0.5, 0.0, 1.0], [0.0, 0.5, 1.0], [1.0, 0.0, 0.5]])
    near = kinship.of_labels(ranks, np.array([0, 2, -1, 1]), np.array([2, 1, 0, -1]))
    assert_array_equal(near, [1.0, 0.0, 0.5, 0.5])


def test_the_order_of_rows_does_not_change_a_bit():
    rng = np.random.default_rng(0)
    classes, values = table(rng.dirichlet(np.ones(5), 400))
    given, order = values.argmax(axis=1), rng.permutation(400)
    plain = kinship.of_classes(classes, values, given, 5)
    assert_array_equal(kinship.of_classes(classes[order], values[order], given[order], 5), plain)


def test_smoothing_comes_off_exactly_and_leaves_the_order_of_what_is_small():
    meant = np.array([0.9, 0.06, 0.04, 0.0])
    smoothed = 0.8 * meant + 0.2 / 4
    back = planting.without_smoothing(smoothed, 0.2, 4)
    assert_allclose(back[:3], meant[:3])
    assert 0 < back[3] < 0.001
    assert_allclose(planting.without_smoothing(meant, 0.0, 4), meant)
    small = planting.without_smoothing(np.array([0.01, 0.02]), 0.2, 4)
    assert 0 < small[0] < small[1]


def test_a_share_of_doubt_is_of_what_stands_beside_the_given_label():
    classes = np.array([[0, 1, 2], [2, 1, -1], [0, 1, 2], [1, 0, 2]])
    values = np.array([[0.5, 0.4, 0.1], [0.5, 0.25, 0.9], [1.0, 0.0, 0.0], [0.7, 0.2, np.nan]])
    share = planting.share_of_doubt(classes, values, np.array([0, 0, 0, 1]), np.array([1, 2, 1, 2]))
    assert_allclose(share, [0.8, 2 / 3, 0.0, 0.0])
    own = planting.share_of_doubt(classes[:1], values[:1], np.array([0]), np.array([0]))
    assert_array_equal(own, 0.0)
