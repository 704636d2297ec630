"""Work in parts, side by side on several cores."""

import threading

import pytest

from audit.compute import lanes
from audit.errors import InputError, StoppedError


def nothing():
    """Look at nothing."""


@pytest.fixture(params=["1", "3"])
def on_so_many(request, monkeypatch):
    monkeypatch.setenv(lanes.THREADS, request.param)
    return int(request.param)


def test_answers_come_in_the_order_of_the_parts(on_so_many):
    assert lanes.each(lambda part: part**2, range(50), look=nothing) == [n**2 for n in range(50)]
    assert lanes.each(lambda part: part, [], look=nothing) == []


def test_so_many_parts_are_begun_at_once_as_there_are_threads(monkeypatch):
    monkeypatch.setenv(lanes.THREADS, "3")
    meeting = threading.Barrier(3, timeout=30)  # breaks where fewer come together
    assert len(lanes.each(lambda part: meeting.wait(), range(6), look=nothing)) == 6


def test_one_thread_works_on_one_part_at_a_time_and_never_in_the_callers_thread(monkeypatch):
    monkeypatch.setenv(lanes.THREADS, "1")
    own = lanes.each(lambda part: threading.current_thread(), range(20), look=nothing)
    assert len(set(own)) == 1
    assert threading.current_thread() not in own


def test_what_a_look_raises_ends_the_work_and_parts_not_begun_are_left_out(on_so_many):
    begun = []
    goes_on = threading.Event()

    def work(part):
        begun.append(part)
        goes_on.wait(30)

    def look():
        if begun:
            goes_on.set()
            raise StoppedError("enough")

    with pytest.raises(StoppedError, match="enough"):
        lanes.each(work, range(10_000), look=look)
    assert len(begun) < 10_000


def test_a_look_comes_before_everything_and_in_the_callers_thread(on_so_many):
    seen = []
    lanes.each(lambda part: None, [1], look=lambda: seen.append(threading.current_thread()))
    assert set(seen) == {threading.current_thread()}


def test_a_part_that_fails_is_heard(on_so_many):
    def work(part):
        if part == 2:
            raise InputError("part 2 is broken")
        return part

    with pytest.raises(InputError, match="part 2 is broken"):
        lanes.each(work, range(5), look=nothing)


@pytest.mark.parametrize("text", ["0", "-1", "two", "1.5"])
def test_a_number_of_threads_that_is_none_is_refused(monkeypatch, text):
    monkeypatch.setenv(lanes.THREADS, text)
    with pytest.raises(InputError, match=f"positive whole number, got '{text}'"):
        lanes.named()


def test_no_number_is_named_by_nothing_and_there_is_at_least_one_core(monkeypatch):
    monkeypatch.setenv(lanes.THREADS, " ")
    assert lanes.named() is None
    assert lanes.cores() >= 1
