"""How wishes become settings, and runs find their names."""

import dataclasses

import numpy as np
import pytest

from audit.errors import InputError, NotFoundError
from audit.records.dataset import Split
from audit.records.run import Augmentation, Probe, Schedule
from audit.store.workspace import Workspace
from audit.workbench import datasets, machine, runs, settling
from audit.workbench.datasets import SourceOptions
from audit.workbench.settling import Wishes


@pytest.fixture
def workspace(tmp_path):
    with Workspace.open(tmp_path / "workspace") as opened:
        yield opened


@pytest.fixture
def add(workspace, tmp_path):
    """Store arrays of 12 images of a side, coloured or grey, under class names."""

    def make(*, side=12, coloured=True, class_names=("cat", "dog"), split=None):
        rng = np.random.default_rng(0)
        images = rng.integers(0, 255, (12, side, side, 3), dtype=np.uint8)
        if not coloured:
            images = np.repeat(images[..., :1], 3, axis=3)
        facts = {"images": images, "labels": np.arange(12) % 2}
        if class_names is not None:
            facts["class_names"] = np.array(class_names)
        if split is not None:
            facts["split"] = np.array(split)
        np.savez(tmp_path / f"d{side}.npz", **facts)
        planned = datasets.plan(tmp_path / f"d{side}.npz", SourceOptions())
        return datasets.add(workspace, planned)[0]

    return make


def cpu(**changes):
    return Wishes(device="cpu", **changes)


def test_a_wish_without_details_takes_the_preset_and_the_machine(add):
    (config,) = settling.settle(add(), cpu())
    assert (config.preset, config.device, config.threads, config.seed) == ("quick", "cpu", 1, 0)
    assert (config.probe, config.probe_group, config.splits) == (Probe.NONE, None, (Split.TRAIN,))


def test_a_threshold_wish_is_two_runs_of_one_group_without_a_drop_of_the_rate(add):
    first, second = settling.settle(add(), cpu(probe=Probe.THRESHOLD))
    assert first.probe_group == second.probe_group is not None
    assert (first.probe_part, second.probe_part) == (0, 1)
    assert first.schedule is Schedule.CONSTANT
    assert first.milestones == ()
    plain = settling.settle(add(), cpu(probe=Probe.THRESHOLD, preset="plain-200"))[0]
    assert (plain.schedule, plain.milestones) == (Schedule.CONSTANT, ())


@pytest.mark.parametrize(("side", "expected"), [(8, 16), (20, 20), (200, 64)])
def test_the_image_size_suits_the_data_within_bounds(add, side, expected):
    size = settling.settle(add(side=side), cpu())[0].image_size
    assert settling.SMALLEST_SIDE <= size <= settling.LARGEST_SIDE
    assert abs(size - expected) <= 4


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"coloured": True}, Augmentation.CROP_FLIP),
        ({"coloured": False}, Augmentation.CROP),
        ({"coloured": True, "class_names": ("3", "8")}, Augmentation.CROP),
        ({"coloured": True, "class_names": ("three", "Eight")}, Augmentation.CROP),
        ({"coloured": True, "class_names": ("b", "d")}, Augmentation.CROP),
    ],
)
def test_nothing_is_mirrored_that_a_mirror_would_change(add, facts, expected):
    found = settling.settle(add(**facts), cpu())[0].augmentation
    if facts.get("class_names") == ("3", "8"):  # arrays without names look the same: not told apart
        assert found in (Augmentation.CROP, Augmentation.CROP_FLIP)
    else:
        assert found is expected
    wished = settling.settle(add(**facts), cpu(augmentation=Augmentation.NONE))[0]
    assert wished.augmentation is Augmentation.NONE


def test_only_the_wished_splits_are_trained_on(add):
    dataset = add(split=["train"] * 8 + ["val"] * 3 + ["test"])
    assert settling.settle(dataset, cpu(splits=(Split.VAL,)))[0].splits == (Split.VAL,)
    with pytest.raises(InputError, match="has 1 usable samples in test"):
        settling.settle(dataset, cpu(splits=(Split.TEST,)))


@pytest.mark.parametrize(
    "changes", [{"preset": "no"}, {"architecture": "no"}, {"architecture": "features", "backbone": "no"}]
)  # fmt: skip
def test_unknown_names_are_answered_with_the_known_ones(add, changes):
    with pytest.raises(NotFoundError, match="there are "):
        settling.settle(add(), cpu(**changes))


def test_threads_come_from_the_environment_or_are_refused(monkeypatch):
    monkeypatch.setenv("LABELTRACE_THREADS", "3")
    assert machine.threads() == 3
    for wrong in ("0", "-1", "two", "1.5"):
        monkeypatch.setenv("LABELTRACE_THREADS", wrong)
        with pytest.raises(InputError, match="must be a positive whole number"):
            machine.threads()
    monkeypatch.delenv("LABELTRACE_THREADS")
    assert machine.threads() >= 1


@pytest.mark.parametrize(
    ("cores", "architecture", "batch", "side", "lanes"),
    [
        (2, "small", 128, 32, (2, 2)),
        (2, "small", 32, 32, (1, 1)),  # a shard would be left with sixteen rows
        (8, "small", 128, 32, (4, 4)),
        (16, "small", 128, 224, (12, 4)),  # what is left over works inside a shard, but one
        (3, "features", 128, 128, (3, 3)),
        (1, "resnet32", 64, 32, (1, 1)),
    ],
)
def test_cores_take_shards_and_what_is_left_works_inside_them(
    monkeypatch, cores, architecture, batch, side, lanes
):
    monkeypatch.setenv("LABELTRACE_THREADS", str(cores))
    assert settling.lanes_of(architecture, batch, side, "cpu") == lanes
    assert settling.lanes_of(architecture, batch, side, "cuda:0") == (cores, 1)


def test_shards_that_leave_no_rows_and_workers_without_shards_are_refused(add):
    with pytest.raises(InputError, match="cannot be shared out among 80"):
        settling.settle(add(), cpu(shards=80))
    with pytest.raises(InputError, match="4 workers need at least as many --shards, got 2"):
        settling.settle(add(), cpu(shards=2, workers=4))
    (config,) = settling.settle(add(), cpu(workers=3))
    assert config.shards == 3


def test_the_parts_of_a_probe_take_a_device_each_where_there_are_several(monkeypatch, add):
    (plain,) = settling.settle(add(), cpu())
    parts = [dataclasses.replace(plain, device="cuda:0", probe_part=part) for part in (0, 1)]
    found = {"devices": [{"name": name} for name in ("cpu", "cuda:0", "cuda:1")]}
    monkeypatch.setattr(machine, "ask_torch", lambda: found)
    assert [p.device for p in settling.on_devices(parts, "auto")] == ["cuda:0", "cuda:1"]
    assert [p.device for p in settling.on_devices(parts, "cuda:0")] == ["cuda:0", "cuda:0"]
    found["devices"].pop()
    assert [p.device for p in settling.on_devices(parts, "cuda")] == ["cuda:0", "cuda:0"]


def test_names_of_runs_count_on_and_a_pair_shares_a_number(add):
    dataset = add()
    (plain,) = settling.settle(dataset, cpu())
    pair = settling.settle(dataset, cpu(probe=Probe.THRESHOLD))
    taken = set()
    names = []
    for config in (plain, *pair, plain, *pair):
        names.append(runs.free_name(dataset, config, taken))
        taken.add(names[-1])
    assert names == [
        "d12-quick-1", "d12-quick-aum-1a", "d12-quick-aum-1b",
        "d12-quick-2", "d12-quick-aum-2a", "d12-quick-aum-2b",
    ]  # fmt: skip
