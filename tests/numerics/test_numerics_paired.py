import numpy as np
import pytest

from audit.errors import InputError
from audit.numerics import paired
from audit.numerics.paired import Finding


def test_equal_tables_differ_by_nothing_and_name_no_winner():
    right = np.array([[1, 0, 1, 1]] * 3)
    found = paired.difference(right, right)
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)
    assert paired.judge(found) is Finding.UNCLEAR


def test_a_mean_of_one_seed_has_the_interval_of_a_proportion():
    right = np.zeros((1, 400), dtype=bool)
    right[0, :300] = True
    found = paired.mean(right)
    half = 1.96 * np.sqrt(0.75 * 0.25 / 400)
    assert found.value == 0.75
    assert found.low == pytest.approx(0.75 - half, abs=0.004)
    assert found.high == pytest.approx(0.75 + half, abs=0.004)


def test_seeds_alone_give_students_interval():
    # All samples alike within a seed: only seeds differ, by 0, 1 and 2 tenths.
    values = np.repeat([[0.1], [0.2], [0.3]], 1000, axis=1)
    found = paired.mean(values)
    half = 4.303 * 0.1 / np.sqrt(3)  # t at 0.975 with two degrees of freedom
    assert found.value == pytest.approx(0.2)
    assert found.high - found.value == pytest.approx(half, rel=0.08)


def test_one_seed_never_names_a_winner():
    right, wrong = np.ones((1, 500), dtype=bool), np.zeros((1, 500), dtype=bool)
    assert paired.judge(paired.difference(right, wrong)) is Finding.ONE_SEED


def test_a_clear_difference_is_named_in_its_direction():
    rng = np.random.default_rng(0)
    base = rng.random((3, 2000)) < 0.6
    better = base | (rng.random((3, 2000)) < 0.2)
    assert paired.judge(paired.difference(better, base)) is Finding.BETTER
    assert paired.judge(paired.difference(base, better)) is Finding.WORSE


def test_pairing_sees_what_two_separate_intervals_hide():
    rng = np.random.default_rng(1)
    base = np.repeat(rng.random((1, 2000)) < 0.6, 3, axis=0)
    better = base.copy()
    better[:, np.flatnonzero(~base[0])[:20]] = True  # one point more, of the same samples
    separate = paired.mean(better), paired.mean(base)
    assert separate[0].low < separate[1].high
    assert paired.judge(paired.difference(better, base)) is Finding.BETTER


@pytest.mark.parametrize("n_seeds", [2, 3, 5])
def test_no_difference_is_rarely_taken_for_one(n_seeds):
    """Two arms drawn from one distribution: seeds shift all samples, samples differ in difficulty."""
    rng = np.random.default_rng(n_seeds)
    n_trials, n_false = 300, 0
    for trial in range(n_trials):
        difficulty = rng.random(300)

        def drawn(difficulty=difficulty):
            shift = rng.normal(0, 0.03, size=(n_seeds, 1))
            return rng.random((n_seeds, 300)) < np.clip(difficulty + shift, 0, 1)

        found = paired.difference(drawn(), drawn(), seed=trial)
        n_false += paired.judge(found) is not Finding.UNCLEAR
    assert n_false <= 0.06 * n_trials


def test_no_samples_have_no_interval():
    found = paired.mean(np.zeros((2, 0)))
    assert np.isnan([found.value, found.low, found.high]).all()


def test_tables_of_other_shapes_are_refused():
    with pytest.raises(InputError, match="one shape"):
        paired.difference(np.zeros((2, 3)), np.zeros((2, 4)))
    with pytest.raises(InputError, match="table of seeds"):
        paired.mean(np.zeros(3))
