import numpy as np
import pytest

from audit.errors import InputError
from audit.numerics import near_duplicates


@pytest.fixture
def images():
    """Twenty images of blots, 16 pixels a side."""
    rng = np.random.default_rng(3)
    coarse = rng.integers(30, 220, size=(20, 4, 4, 3))
    smooth = np.repeat(np.repeat(coarse, 4, axis=1), 4, axis=2)
    return np.clip(smooth + rng.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)


def test_other_images_are_no_twins(images):
    found = near_duplicates.find(images[:10], images[10:])
    assert len(found.index) == 0


def test_equal_pixels_are_exact_and_their_place_is_told(images):
    found = near_duplicates.find(images[[3, 12]], images[:10])
    assert found.index.tolist() == [0]
    assert found.twin.tolist() == [3]
    assert found.is_exact.tolist() == [True]


@pytest.mark.parametrize(
    "alter",
    [
        lambda image: np.clip(image.astype(int) + 20, 0, 255),
        lambda image: image * 0.8 + 10,
        lambda image: image[:, ::-1],
        lambda image: np.clip(image + np.random.default_rng(0).normal(0, 4, image.shape), 0, 255),
    ],
    ids=["brighter", "less contrast", "mirrored", "noisier"],
)
def test_nearly_equal_images_are_found_and_not_called_exact(images, alter):
    altered = alter(images[7]).astype(np.uint8)[None]
    found = near_duplicates.find(altered, images)
    assert found.twin.tolist() == [7]
    assert found.is_exact.tolist() == [False]


def test_two_drawings_of_one_shape_are_no_twins():
    rng = np.random.default_rng(1)
    drawn = np.zeros((2, 16, 16, 3))
    drawn[:, 4:12, 6:10] = 255
    drawn += rng.normal(0, 14, drawn.shape)  # a hand that never draws the same twice
    drawn = np.clip(drawn, 0, 255).astype(np.uint8)
    assert np.corrcoef(drawn.reshape(2, -1))[0, 1] > 0.98
    assert len(near_duplicates.find(drawn[:1], drawn[1:]).index) == 0


def test_images_without_contrast_are_twins_only_if_equal():
    grey = np.full((1, 16, 16, 3), 120, dtype=np.uint8)
    nearly = grey + np.uint8(1)
    assert len(near_duplicates.find(nearly, grey).index) == 0
    assert near_duplicates.find(grey, grey).is_exact.tolist() == [True]


def test_tiny_images_are_compared_pixel_by_pixel():
    rng = np.random.default_rng(5)
    tiny = rng.integers(0, 256, size=(5, 4, 4, 3), dtype=np.uint8)
    assert near_duplicates.find(tiny[2:3, :, ::-1], tiny).twin.tolist() == [2]


def test_nobody_is_a_twin_of_nothing(images):
    assert len(near_duplicates.find(images, images[:0]).index) == 0
    assert len(near_duplicates.find(images[:0], images).index) == 0


def test_other_sizes_are_refused(images):
    with pytest.raises(InputError, match="one size"):
        near_duplicates.find(images, images[:, :8, :8])
