import dataclasses

import pytest

from audit.records.run import RunConfig, Schedule
from audit.training.schedules import learning_rate

CONFIG = RunConfig(
    preset="t",
    architecture="small",
    image_size=8,
    epochs=10,
    batch_size=2,
    learning_rate=0.4,
    warmup_epochs=2,
)


def rates(schedule, epochs, **changes):
    config = dataclasses.replace(CONFIG, schedule=schedule, **changes)
    return [pytest.approx(learning_rate(config, epoch)) for epoch in epochs]


@pytest.mark.parametrize("schedule", list(Schedule))
def test_every_schedule_warms_up_linearly(schedule):
    assert rates(schedule, [0, 0.5, 1, 2]) == [0, 0.1, 0.2, 0.4]


def test_constant_stays():
    assert rates(Schedule.CONSTANT, [3, 10]) == [0.4, 0.4]


def test_cosine_and_one_cycle_fall_to_zero():
    assert rates(Schedule.COSINE, [4, 6, 10]) == [0.4 * (1 + 0.5**0.5) / 2, 0.2, 0]
    assert rates(Schedule.ONE_CYCLE, [4, 6, 10]) == [0.3, 0.2, 0]


def test_steps_fall_to_a_tenth_at_each_milestone():
    milestones = {"milestones": (5.0, 7.5)}
    assert rates(Schedule.STEPS, [4.9, 5, 7.4, 7.5], **milestones) == [0.4, 0.04, 0.04, 0.004]


def test_without_warm_up_the_peak_comes_first_even_as_long_as_the_run():
    assert rates(Schedule.ONE_CYCLE, [0], warmup_epochs=0) == [0.4]
    assert rates(Schedule.ONE_CYCLE, [5, 10], warmup_epochs=10) == [0.2, 0.4]
