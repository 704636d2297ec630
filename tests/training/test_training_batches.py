import dataclasses
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from audit.errors import InputError
from audit.records.run import Augmentation, RunConfig
from audit.training import batches

CONFIG = RunConfig(
    preset="t", architecture="small", image_size=16, epochs=2, batch_size=4, learning_rate=0.1
)
CPU = torch.device("cpu")


def pixels(n, side=16, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (n, side, side, 3), dtype=np.uint8)


def plain_view(image, down, right, mirrored):
    """Pad one image by reflection, crop at the shifted place, then mirror."""
    side = len(image)
    reach = max(abs(down), abs(right))
    padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
    view = padded[reach + down : reach + down + side, reach + right : reach + right + side]
    return view[:, ::-1] if mirrored else view


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-3, 3), st.integers(-3, 3), st.integers(0, 1)),
        min_size=1,
        max_size=5,
    )
)
def test_views_are_those_of_padding_cropping_and_mirroring_one_by_one(views):
    images = pixels(len(views), side=8)
    fast = batches.shift_and_mirror(torch.from_numpy(images), torch.tensor(views))
    slow = [plain_view(image, *view) for image, view in zip(images, views, strict=True)]
    assert_array_equal(fast.numpy(), slow)


def test_views_reach_an_eighth_of_the_side_and_mirror_only_where_asked():
    crop = dataclasses.replace(CONFIG, augmentation=Augmentation.CROP)
    drawn = batches.draw_views(4000, 0, crop).numpy()
    assert_array_equal(np.unique(drawn[:, :2]), [-2, -1, 0, 1, 2])
    assert_array_equal(np.unique(drawn[:, 2]), [0])
    flip = dataclasses.replace(CONFIG, augmentation=Augmentation.CROP_FLIP)
    # 4,000 coins: a standard deviation is 0.008.
    assert abs(batches.draw_views(4000, 0, flip)[:, 2].float().mean().item() - 0.5) < 0.04


def test_views_depend_on_seed_part_and_epoch_alone():
    config = dataclasses.replace(CONFIG, augmentation=Augmentation.CROP_FLIP)
    one = batches.draw_views(50, 3, config)
    assert torch.equal(one, batches.draw_views(50, 3, config))
    assert not torch.equal(one, batches.draw_views(50, 4, config))
    other = dataclasses.replace(config, probe_part=1)
    assert not torch.equal(one, batches.draw_views(50, 3, other))


def test_channel_statistics_are_those_of_the_rows_pixels():
    images = pixels(5)
    entry = np.array([0, 3, 3])
    mean, deviation = batches.channel_statistics(images, entry)
    chosen = images[entry].reshape(-1, 3).astype(np.float64)
    assert_allclose(mean, chosen.mean(axis=0))
    assert_allclose(deviation, chosen.std(axis=0))


def test_counting_large_images_takes_little_memory():
    images = np.broadcast_to(pixels(1, side=512), (128, 512, 512, 3))
    tracemalloc.start()
    try:
        batches.channel_statistics(images, np.arange(128))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 100_000_000  # all 128 at once take 370 MB


@pytest.mark.parametrize("inputs", [pixels(2500), np.float32(pixels(2500)[:, 0, 0])])
def test_inputs_that_lie_on_the_device_give_the_same_batches(inputs, monkeypatch):
    entry, rows = np.arange(2500)[::-1].copy(), np.array([3, 0, 2499])
    here = batches.prepare(inputs, entry, config=CONFIG, device=CPU)
    monkeypatch.setattr(batches, "_room_on", lambda device: inputs.nbytes)
    there = batches.prepare(inputs, entry, config=CONFIG, device=CPU)
    answers = [one.batch(rows, torch.from_numpy(rows)) for one in (here, there)]
    assert_array_equal(answers[0].numpy(), answers[1].numpy())


def test_a_batch_is_normalised_and_has_its_channels_last_in_memory():
    images = pixels(6)
    inputs = batches.prepare(images, np.arange(6), config=CONFIG, device=CPU)
    inputs.start_epoch(0)
    batch = inputs.batch(np.arange(6), torch.arange(6))
    assert batch.shape == (6, 3, 16, 16)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert_allclose(batch.mean(dim=(0, 2, 3)), np.zeros(3), atol=1e-5)
    assert_allclose(batch.std(dim=(0, 2, 3), correction=0), np.ones(3), atol=1e-5)


def test_images_of_one_colour_stay_finite():
    images = np.full((3, 16, 16, 3), 255, dtype=np.uint8)
    inputs = batches.prepare(images, np.arange(3), config=CONFIG, device=CPU)
    assert torch.equal(inputs.batch(np.arange(3), torch.arange(3)), torch.zeros(3, 3, 16, 16))


def test_rows_find_their_own_image_and_keep_their_view_in_any_batch():
    config = dataclasses.replace(CONFIG, augmentation=Augmentation.CROP_FLIP)
    inputs = batches.prepare(pixels(3), np.array([2, 0, 1, 2]), config=config, device=CPU)
    inputs.start_epoch(1)
    whole = inputs.batch(np.arange(4), torch.arange(4))
    some = np.array([3, 1])
    assert torch.equal(inputs.batch(some, torch.from_numpy(some)), whole[some])


def test_memory_mapped_images_are_read_as_they_are(tmp_path):
    np.save(tmp_path / "images.npy", pixels(4))
    mapped = np.load(tmp_path / "images.npy", mmap_mode="r")
    there = batches.prepare(mapped, np.arange(4), config=CONFIG, device=CPU)
    here = batches.prepare(pixels(4), np.arange(4), config=CONFIG, device=CPU)
    rows = np.array([2, 0])
    assert torch.equal(
        there.batch(rows, torch.from_numpy(rows)), here.batch(rows, torch.from_numpy(rows))
    )


def test_features_are_standardised_and_constant_columns_do_not_blow_up():
    features = np.random.default_rng(0).normal(3, 2, (50, 4)).astype(np.float32)
    features[:, 1] = 7.7
    inputs = batches.prepare(features, np.arange(50), config=CONFIG, device=CPU)
    inputs.start_epoch(0)
    batch = inputs.batch(np.arange(50), torch.arange(50)).numpy()
    assert_allclose(batch.mean(axis=0), np.zeros(4), atol=1e-5)
    assert_allclose(batch.std(axis=0), [1, 0, 1, 1], atol=1e-5)


@pytest.mark.parametrize(
    "inputs",
    [
        np.zeros((2, 8, 8, 3), np.uint8),
        np.zeros((2, 16, 16, 1), np.uint8),
        np.zeros((2, 16, 16, 3), np.float32),
        np.zeros((2, 4), np.float64),
    ],
)
def test_other_shapes_and_dtypes_are_refused(inputs):
    with pytest.raises(InputError, match="Inputs must be float32 features"):
        batches.prepare(inputs, np.arange(2), config=CONFIG, device=CPU)
