import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.testing import assert_allclose, assert_array_equal

from audit.errors import InputError
from audit.numerics import signals
from audit.records.dynamics import SIGNALS

logits_and_labels = st.integers(2, 6).flatmap(
    lambda n: st.tuples(
        arrays.arrays(np.float64, (4, n), elements=st.floats(-50, 50)),
        arrays.arrays(np.int64, 4, elements=st.integers(0, n - 1)),
    )
)


def test_margins_of_the_hand_example():
    logits = np.array([[1.0, 2.0, 3.0], [6.0, 5.0, 4.0]], dtype=np.float32)
    labels = np.array([1, 0])
    assert_array_equal(signals.margin(logits, labels), [-1.0, 1.0])
    assert_array_equal(signals.given_logit(logits, labels), [2.0, 6.0])
    assert_array_equal(signals.best_other_logit(logits, labels), [3.0, 5.0])
    assert_array_equal(signals.best_other_class(logits, labels), [2, 1])
    # exp(2) / (exp(1) + exp(2) + exp(3)) by hand.
    assert_allclose(signals.given_probability(logits, labels), [0.2447285, 0.6652410], atol=1e-7)
    assert_allclose(signals.loss(logits, labels), [1.4076060, 0.4076060], atol=1e-7)


@settings(deadline=None, derandomize=True)
@given(logits_and_labels, st.floats(-100, 100))
def test_a_constant_added_to_all_logits_changes_neither_margin_nor_loss(case, constant):
    logits, labels = case
    moved = logits + constant
    # 150 logits in float64 are spaced 3e-14 apart.
    assert_allclose(signals.margin(moved, labels), signals.margin(logits, labels), atol=1e-12)
    assert_allclose(signals.loss(moved, labels), signals.loss(logits, labels), atol=1e-12)


@settings(deadline=None, derandomize=True)
@given(logits_and_labels)
def test_signals_agree_with_each_other(case):
    logits, labels = case
    every_row = np.arange(len(labels))
    probabilities = signals.probabilities(logits)
    assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-14)
    own = signals.given_probability(logits, labels)
    assert_allclose(own, probabilities[every_row, labels], rtol=1e-12)
    assert (signals.best_other_class(logits, labels) != labels).all()
    other = signals.best_other_class(logits, labels)
    assert_array_equal(logits[every_row, other], signals.best_other_logit(logits, labels))
    assert (signals.loss(logits, labels) >= 0).all()


@settings(deadline=None, derandomize=True)
@given(logits_and_labels)
def test_renaming_the_classes_renames_only_the_best_other_class(case):
    logits, labels = case
    order = np.random.default_rng(0).permutation(logits.shape[1])
    new_name = np.argsort(order)
    assert_array_equal(
        signals.margin(logits[:, order], new_name[labels]), signals.margin(logits, labels)
    )
    assert_allclose(
        signals.loss(logits[:, order], new_name[labels]), signals.loss(logits, labels), rtol=1e-12
    )


def test_of_equal_logits_the_lowest_other_class_is_taken():
    assert_array_equal(signals.best_other_class(np.zeros((3, 3)), np.array([0, 1, 2])), [1, 0, 0])


def test_huge_logits_give_finite_losses():
    logits = np.array([[1e30, -1e30], [-1e30, 1e30]], dtype=np.float32)
    assert_allclose(signals.loss(logits, np.array([0, 0])), [0.0, 2e30], rtol=1e-6)
    assert_array_equal(signals.given_probability(logits, np.array([0, 0])), [1.0, 0.0])


def test_tiny_losses_do_not_tie_at_zero():
    losses = signals.loss(np.array([[40.0, 0.0], [50.0, 0.0]]), np.array([0, 0]))
    assert_allclose(losses, np.exp([-40.0, -50.0]), rtol=1e-12)


def test_half_precision_logits_are_computed_in_float64():
    logits = np.array([[1.0, 2.0, 3.0]], dtype=np.float16)
    assert signals.loss(logits, np.array([1])).dtype == np.float64
    assert_allclose(signals.loss(logits, np.array([1])), [1.4076059644443804], rtol=1e-15)


def test_of_epoch_gives_exactly_the_recorded_signals_in_their_dtypes():
    made = signals.of_epoch(np.array([[1.0, 2.0, 3.0]]), np.array([1]))
    assert set(made) == set(SIGNALS)
    assert made.pop("best_other_class").dtype == np.int32
    assert {values.dtype for values in made.values()} == {np.dtype(np.float32)}


def test_no_rows_give_no_values():
    assert signals.margin(np.empty((0, 3)), np.empty(0, dtype=np.int64)).shape == (0,)
    assert signals.loss(np.empty((0, 3)), np.empty(0, dtype=np.int64)).shape == (0,)


@pytest.mark.parametrize(
    ("logits", "labels", "sentence"),
    [
        (np.zeros(3), np.zeros(3, dtype=int), "at least 2 outputs"),
        (np.zeros((3, 1)), np.zeros(3, dtype=int), "at least 2 outputs"),
        (np.zeros((3, 2)), np.zeros(2, dtype=int), "as many labels"),
        (np.zeros((1, 2)), np.array([2]), r"0\.\.1, got 2\.\.2"),
        (np.zeros((1, 2)), np.array([-1]), r"0\.\.1, got -1\.\.-1"),
    ],
)
def test_logits_and_labels_that_do_not_fit_are_refused(logits, labels, sentence):
    with pytest.raises(InputError, match=sentence):
        signals.margin(logits, labels)


def test_torch_agrees_on_loss_and_probability():
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(0, 5, (50, 7)), rng.integers(0, 7, 50)
    theirs = torch.nn.functional.cross_entropy(
        torch.from_numpy(logits), torch.from_numpy(labels), reduction="none"
    )
    # Both in float64; torch's log-sum-exp loses digits of small losses, hence the absolute part.
    assert_allclose(signals.loss(logits, labels), theirs.numpy(), rtol=1e-12, atol=1e-14)
