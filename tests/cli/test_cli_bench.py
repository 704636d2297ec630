"""The real command at the smallest size: what it prints, not how fast it is."""

import statistics

import pytest

from audit.errors import AuditError
from audit.workbench import benching

NAMES = ["ours", "ours_without_recording", "plain_loop", "plain_loop_margins", "plain_loop_aum"]


def test_the_table_of_trainings_has_every_loop_with_median_and_interval(labeltrace):
    found = labeltrace(
        "bench", "training", "--json", "--rounds=3", "--images=16", "--batch-size=8",
        "--loops=ours,plain_loop_aum",
    ).json  # fmt: skip
    rows = {row["name"]: row for row in found["rows"]}
    assert list(rows) == ["ours", "plain_loop_aum"]
    for row in (*rows.values(), found["bound"]):
        speed, (low, high) = (
            row["images_per_second"]["median"],
            row["images_per_second"]["interval"],
        )
        assert row["n"] == len(row["rounds"]) == 3
        assert speed == statistics.median(row["rounds"])
        assert 0 < low <= speed <= high
    pairs = zip(rows["ours"]["rounds"], rows["plain_loop_aum"]["rounds"], strict=True)
    ratio = statistics.median(ours / plain for ours, plain in pairs)
    assert found["ratios"] == {
        "ours_per_plain_loop_aum": ratio, "ours_per_bound": found["ratios"]["ours_per_bound"],
    }  # fmt: skip


def test_all_loops_but_the_stock_ones_train_one_network_at_one_precision():
    config = benching.settings(benching.Wish(device="cpu", architecture="small"))
    everyone = {one.name: one.config for one in benching.contestants(config)}
    stock = [everyone.pop(name) for name in ("stock_loop", "stock_loop_aum")]
    assert list(everyone) == NAMES
    assert {(one.architecture, one.precision) for one in everyone.values()} == {
        ("small", config.precision)
    }
    assert {(one.architecture, one.precision) for one in stock} == {("resnet32", "float32")}


def test_what_cannot_be_measured_is_refused_before_anything_starts():
    def report(fraction, message):
        raise AssertionError(message)

    for wish, reason in (
        (benching.Wish(architecture="features"), "no network 'features' to measure"),
        (benching.Wish(rounds=2), "at least 3 rounds, got 2"),
        (benching.Wish(images=100), "at least 256 images"),
        (benching.Wish(loops=("ours", "yours")), "no loop 'yours'; there are ours, "),
    ):
        with pytest.raises(AuditError, match=reason):
            benching.measure(wish, report)


def test_an_interval_leaves_out_the_outermost_of_many_rounds():
    assert benching.interval([5.0, 1.0, 2.0, 3.0, 4.0, 6.0, 7.0]) == (2.0, 6.0)
    assert benching.interval([3.0, 1.0, 2.0]) == (1.0, 3.0)
