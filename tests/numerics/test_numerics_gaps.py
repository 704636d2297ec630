import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from audit.errors import InputError
from audit.numerics import gaps


def plain(values, is_missing):
    """Fill row by row with numpy's own interpolation."""
    filled = values.copy()
    for row in range(values.shape[1]):
        known = np.flatnonzero(~is_missing[:, row])
        filled[:, row] = np.interp(np.arange(len(values)), known, values[known, row])
    return filled


@given(st.integers(0, 10_000), st.integers(1, 9), st.integers(1, 6), st.floats(0, 0.9))
def test_gaps_lie_where_numpy_puts_them_row_by_row(seed, n_epochs, n_rows, rate):
    rng = np.random.default_rng(seed)
    values = rng.normal(0, 3, (n_epochs, n_rows))
    is_missing = rng.random((n_epochs, n_rows)) < rate
    is_missing[rng.integers(n_epochs, size=n_rows), np.arange(n_rows)] = False
    values[is_missing] = np.nan
    filled = gaps.filled(values, is_missing)
    assert_array_equal(filled[~is_missing], values[~is_missing])
    # One multiplication and addition apart: a few units in the last place of values near 10.
    assert_allclose(filled, plain(values, is_missing), rtol=0, atol=1e-13)


def test_a_line_recorded_with_gaps_is_the_line():
    line = np.arange(7.0)[:, None] * [1.0, -2.0]
    is_missing = np.zeros((7, 2), dtype=bool)
    is_missing[[1, 2, 5], 0] = is_missing[3, 1] = True
    assert_allclose(gaps.filled(np.where(is_missing, 99, line), is_missing), line, rtol=1e-15)


def test_names_come_from_the_nearest_recorded_epoch_and_from_the_earlier_of_two():
    classes = np.array([[0], [7], [0], [0], [0], [2], [0]], dtype=np.int32)
    is_missing = classes == 0
    filled = gaps.filled(classes, is_missing)
    assert filled[:, 0].tolist() == [7, 7, 7, 7, 2, 2, 2]
    assert filled.dtype == np.int32


def test_rows_without_gaps_and_the_argument_itself_stay_as_they_are():
    values = np.array([[1.0, np.nan], [5.0, 3.0]], dtype=np.float32)
    before = values.copy()
    filled = gaps.filled(values, np.array([[False, True], [False, False]]))
    assert filled.tolist() == [[1.0, 3.0], [5.0, 3.0]]
    assert filled.dtype == np.float32
    assert_array_equal(values, before)


def test_a_row_that_is_missing_throughout_is_refused():
    with pytest.raises(InputError, match="Row 1 is missing in every epoch"):
        gaps.filled(np.zeros((2, 2)), np.array([[False, True], [False, True]]))
    with pytest.raises(InputError, match="must be one"):
        gaps.filled(np.zeros((2, 2)), np.zeros((2, 3), dtype=bool))
