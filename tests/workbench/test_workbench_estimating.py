"""How long a run takes is said as a range, from figures that can be added up by hand."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from audit.records.job import Job, JobState
from audit.records.run import Precision, Run, RunConfig
from audit.workbench import estimating
from audit.workbench.estimating import Amount, Pace

CONFIG = RunConfig(
    preset="quick", architecture="small", image_size=32, epochs=10, batch_size=128, learning_rate=0.1
)  # fmt: skip


def pace(seconds_per_row, **changes):
    return Pace(config=replace(CONFIG, **changes), seconds_per_row=seconds_per_row)


def test_without_earlier_runs_the_table_is_a_wide_guess():
    found = estimating.expect([CONFIG], Amount(n_rows=1000), [])
    # 2 s to start, 10 epochs of 1,000 rows at 1.05 ms, times 0.7 and times 2.5.
    assert (found.low, found.high) == pytest.approx((2 + 0.7 * 10.5, 2 + 2.5 * 10.5))
    assert found.n_runs == 0


def test_earlier_runs_like_it_replace_the_table():
    known = [pace(0.002), pace(0.002), pace(0.001)]
    found = estimating.expect([CONFIG], Amount(n_rows=1000), known)
    # Least seen 1 ms; the median 2 ms with a fifth on top.
    assert (found.low, found.high) == pytest.approx((2 + 10, 2 + 1.2 * 20))
    assert found.n_runs == 3


@pytest.mark.parametrize(
    "other",
    [
        {"image_size": 16},
        {"threads": 2},
        {"precision": Precision.BFLOAT16},
        {"architecture": "resnet32"},
        {"device": "cuda:0"},
    ],
)
def test_runs_of_another_kind_say_nothing(other):
    found = estimating.expect([CONFIG], Amount(n_rows=1000), [pace(5.0, **other)])
    assert found.n_runs == 0


def test_epochs_seed_and_batches_do_not_make_another_kind():
    known = [pace(0.001, epochs=3, seed=7, batch_size=64)]
    assert estimating.expect([CONFIG], Amount(n_rows=10), known).n_runs == 1


def test_two_runs_of_a_probe_take_twice_as_long_and_decode_once():
    one = estimating.expect([CONFIG], Amount(n_rows=1000, n_to_decode=1000), [])
    two = estimating.expect([CONFIG] * 2, Amount(n_rows=1000, n_to_decode=1000), [])
    decoding = 1000 * 3e-3
    assert one.low - 0.7 * decoding == pytest.approx((two.low - 0.7 * decoding) / 2)
    assert one.high - 2.5 * decoding == pytest.approx((two.high - 2.5 * decoding) / 2)


def test_four_times_the_pixels_take_four_times_as_long():
    small = estimating.expect([CONFIG], Amount(n_rows=1000), [])
    large = estimating.expect([replace(CONFIG, image_size=64)], Amount(n_rows=1000), [])
    assert large.low - 2 == pytest.approx(4 * (small.low - 2))


def test_features_are_extracted_before_the_epochs_and_only_where_they_are_not_kept():
    config = replace(CONFIG, architecture="features", backbone="squeezenet", image_size=128)
    kept = estimating.expect([config], Amount(n_rows=1000), [])
    new = estimating.expect([config], Amount(n_rows=1000, n_to_extract=1000), [])
    assert new.low - kept.low == pytest.approx(0.7 * 1000 * 2.8e-3)


def test_an_accelerator_that_nothing_ran_on_is_not_guessed_at():
    config = replace(CONFIG, device="cuda:0")
    assert estimating.expect([config], Amount(n_rows=1000), []) is None
    assert estimating.expect([config], Amount(n_rows=9), [pace(1e-4, device="cuda:0")]) is not None


def test_paces_come_from_finished_trainings_whose_run_is_there():
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    run = Run(
        id="r", name="r", dataset_id="d", dataset_fingerprint="f", label_version="given",
        config=CONFIG, code_version="0", created_at=moment,
    )  # fmt: skip

    def job(state=JobState.DONE, run_id="r", **result):
        return Job(
            id="j", kind="train", arguments={}, device="cpu", state=state, created_at=moment,
            run_id=run_id, result=result,
        )  # fmt: skip

    jobs = [
        job(images_per_second=500.0),
        job(images_per_second=None),  # resumed after its last epoch
        job(already_sealed=True),
        job(images_per_second=9.0, run_id="deleted"),
        job(images_per_second=9.0, state=JobState.FAILED),
    ]
    assert [found.seconds_per_row for found in estimating.paces([run], jobs)] == [0.002]


@pytest.mark.parametrize(
    ("elapsed", "fraction", "begun_at", "left"),
    [
        (60, 0.5, 0, 60),
        (60, 0.75, 0.5, 60),
        (60, 0.01, 0, None),
        (60, 0.51, 0.5, None),
        (9, 1, 0, 0),
    ],
)
def test_time_left_is_what_is_missing_at_the_speed_since_the_start(
    elapsed, fraction, begun_at, left
):
    assert estimating.seconds_left(elapsed, fraction, begun_at) == left
