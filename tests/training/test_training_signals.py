import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.testing import assert_allclose, assert_array_equal

from audit.numerics import signals as plain
from audit.records.dynamics import SIGNALS
from audit.training import signals


def of(logits, labels):
    batch = signals.of_batch(torch.tensor(logits), torch.tensor(labels))
    return {name: getattr(batch, name).numpy() for name in SIGNALS}


def test_signals_of_two_rows_worked_by_hand():
    batch = of([[1.0, 2.0, 3.0], [6.0, 5.0, 4.0]], [1, 0])
    assert_array_equal(batch["margin"], [-1, 1])
    assert_array_equal(batch["given_logit"], [2, 6])
    assert_array_equal(batch["best_other_logit"], [3, 5])
    assert_array_equal(batch["best_other_class"], [2, 1])
    # softmax of (1, 2, 3) is (.0900, .2447, .6652)
    assert_allclose(batch["given_probability"], [0.24473, 0.66524], atol=1e-5)
    assert_allclose(batch["loss"], [1.40761, 0.40761], atol=1e-5)


def test_signals_have_the_recorded_dtypes_whatever_the_logits_came_in():
    batch = signals.of_batch(torch.zeros((2, 3), dtype=torch.bfloat16), torch.tensor([0, 2]))
    for name in SIGNALS:
        wanted = torch.int32 if name == "best_other_class" else torch.float32
        assert getattr(batch, name).dtype == wanted


@settings(max_examples=60, deadline=None)
@given(
    arrays.arrays(
        np.float32,
        st.tuples(st.integers(1, 6), st.integers(2, 7)),
        elements=st.floats(-80, 80, width=32),
    ),
    st.integers(0, 10**6),
)
def test_the_device_computes_what_the_plain_formulas_say(logits, draw):
    labels = np.random.default_rng(draw).integers(0, logits.shape[1], len(logits))
    fast = of(logits, labels)
    slow = plain.of_epoch(logits, labels)
    assert_array_equal(fast["best_other_class"], slow["best_other_class"])
    for name in SIGNALS:
        # float32 rounds differences of logits up to 160 to 8e-6.
        assert_allclose(fast[name], slow[name], rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("gap", [20.0, 60.0])
def test_a_tiny_loss_is_told_from_zero(gap):
    assert_allclose(of([[gap, 0.0]], [0])["loss"], [np.exp(-gap)], rtol=1e-5)
