"""Every mode, size and turn of an image becomes RGB; hostile and damaged files become one sentence."""

import io
import struct
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from audit.datasets import images
from audit.errors import SampleError


def saved(image, kind="PNG", **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def test_plain_rgb_comes_back_unchanged(photograph):
    rgb = photograph(20, 30)
    for kind in ("PNG", "BMP", "TIFF", "PPM"):
        assert_array_equal(images.open_rgb(saved(Image.fromarray(rgb), kind)), rgb)
    webp = saved(Image.fromarray(rgb), "WEBP", lossless=True)
    assert_array_equal(images.open_rgb(webp), rgb)


def test_a_path_is_read_like_bytes(tmp_path, photograph):
    file = tmp_path / "x.png"
    file.write_bytes(saved(Image.fromarray(photograph(4, 4))))
    assert_array_equal(images.open_rgb(file), photograph(4, 4))
    with pytest.raises(SampleError, match="does not exist"):
        images.open_rgb(tmp_path / "y.png")
    with pytest.raises(SampleError, match="cannot be read"):
        images.open_rgb(tmp_path)


def test_grey_and_black_and_white_fill_all_channels(photograph):
    grey = Image.fromarray(photograph(8, 8)[..., 0])
    assert_array_equal(images.open_rgb(saved(grey)), np.asarray(grey)[..., None].repeat(3, 2))
    bits = grey.convert("1")
    assert set(np.unique(images.open_rgb(saved(bits)))) == {0, 255}


def test_transparency_is_laid_over_white():
    rgba = Image.new("RGBA", (2, 1))
    rgba.putpixel((0, 0), (10, 20, 30, 255))
    rgba.putpixel((1, 0), (10, 20, 30, 0))
    assert images.open_rgb(saved(rgba)).tolist() == [[[10, 20, 30], [255, 255, 255]]]
    grey = Image.new("LA", (2, 1))
    grey.putpixel((0, 0), (0, 255))
    grey.putpixel((1, 0), (0, 102))
    assert images.open_rgb(saved(grey)).tolist() == [[[0, 0, 0], [153, 153, 153]]]


def test_palettes_are_looked_up_with_and_without_transparency():
    image = Image.new("P", (3, 1))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    image.putdata([0, 1, 2])
    plain = images.open_rgb(saved(image))
    assert plain.tolist() == [[[255, 0, 0], [0, 255, 0], [0, 0, 255]]]
    one_index = images.open_rgb(saved(image, transparency=1))
    assert one_index.tolist() == [[[255, 0, 0], [255, 255, 255], [0, 0, 255]]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        per_index = images.open_rgb(saved(image, transparency=bytes([255, 0, 51])))
    assert per_index.tolist() == [[[255, 0, 0], [255, 255, 255], [204, 204, 255]]]


def test_a_transparent_colour_of_an_rgb_png_is_white():
    image = Image.new("RGB", (2, 1), (1, 2, 3))
    image.putpixel((1, 0), (9, 9, 9))
    rgb = images.open_rgb(saved(image, transparency=(9, 9, 9)))
    assert rgb.tolist() == [[[1, 2, 3], [255, 255, 255]]]


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_scaled_not_clipped(kind):
    values = np.array([[0, 255, 256, 0x8000, 0xFFFF]], np.uint16)
    rgb = images.open_rgb(saved(Image.fromarray(values), kind))
    assert rgb[..., 0].tolist() == [[0, 0, 1, 128, 255]]
    assert_array_equal(rgb[..., 0], rgb[..., 2])


def test_big_endian_sixteen_bits_are_scaled_too():
    values = np.array([[0, 0x1234, 0xFFFF]], ">u2")
    raw = b"P5 3 1 65535\n" + values.tobytes()
    assert images.open_rgb(raw)[0, :, 0].tolist() == [0, 0x12, 255]
    image = Image.frombytes("I;16B", (3, 1), values.tobytes())
    assert images.open_rgb(saved(image, "TIFF"))[0, :, 0].tolist() == [0, 0x12, 255]


def test_wide_integers_and_floats_are_stretched_over_their_finite_range():
    wide = np.array([[-1000, 0, 1000]], np.int32)
    assert images.open_rgb(saved(Image.fromarray(wide), "TIFF"))[0, :, 0].tolist() == [0, 128, 255]
    floats = np.array([[0.0, 0.5, 1.0, np.nan, np.inf, -np.inf]], np.float32)
    rgb = images.open_rgb(saved(Image.fromarray(floats), "TIFF"))
    assert rgb[0, :, 1].tolist() == [0, 128, 255, 0, 0, 0]
    flat = np.full((2, 2), np.nan, np.float32)
    assert images.open_rgb(saved(Image.fromarray(flat), "TIFF")).max() == 0


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "LAB"])
def test_other_colour_spaces_come_back_close_to_the_colours_they_hold(mode, photograph):
    rgb = np.zeros((16, 16, 3), np.uint8) + np.array([200, 80, 40], np.uint8)
    if mode == "LAB":
        # CIE Lab of sRGB (200, 80, 40): L = 49.6 %, a = 45.6, b = 47.0
        lab = np.zeros((16, 16, 3), np.int16) + np.array([round(49.6 * 2.55), 46, 47])
        image = Image.frombytes("LAB", (16, 16), lab.astype(np.uint8).tobytes())
    else:
        image = Image.fromarray(rgb).convert(mode)
    assert_allclose(images.open_rgb(saved(image, "TIFF")).astype(int), rgb, atol=6)


def test_a_cmyk_jpeg_is_not_inverted():
    image = Image.new("CMYK", (16, 16), (0, 255, 255, 0))  # no cyan: red
    rgb = images.open_rgb(saved(image, "JPEG", quality=95))
    assert_allclose(rgb[8, 8].astype(int), [255, 0, 0], atol=6)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied_in_every_format(orientation, kind):
    upright = np.zeros((16, 32, 3), np.uint8)
    upright[:8, :16] = 255  # white in the upper left corner
    # How a camera stores it for each orientation: the inverse of the turn that a viewer applies.
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: upright.transpose(1, 0, 2)[::-1],
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: upright.transpose(1, 0, 2)[:, ::-1],
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(Image.fromarray(np.ascontiguousarray(stored)), kind, exif=exif)
    rgb = images.open_rgb(data)
    assert rgb.shape == (16, 32, 3)
    assert_allclose(rgb.astype(int), upright, atol=40)
    square = images.open_square(data, 16)
    assert square.shape == (16, 16, 3)


def test_damaged_exif_does_not_cost_the_image(photograph):
    exif = b"Exif\x00\x00II*\x00\xff\xff\xff\xff" + bytes(40)
    data = saved(Image.fromarray(photograph(16, 16)), "JPEG", exif=exif)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert images.open_rgb(data).shape == (16, 16, 3)


def test_the_first_frame_of_an_animation_counts():
    frames = [Image.new("RGB", (8, 8), colour) for colour in ((250, 0, 0), (0, 250, 0))]
    for kind in ("WEBP", "TIFF", "PNG", "MPO"):
        options = {"lossless": True} if kind == "WEBP" else {}
        data = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert_allclose(images.open_rgb(data)[4, 4].astype(int), [250, 0, 0], atol=3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "BMP", "PPM"])
@pytest.mark.parametrize("part", [0.05, 0.3, 0.7, 0.95])
def test_truncated_files_are_named_in_one_sentence(kind, part):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = saved(Image.fromarray(noise), kind)
    for read in (images.open_rgb, lambda data, name: images.open_square(data, 8, name=name)):
        with pytest.raises(SampleError) as caught:
            read(data[: int(len(data) * part)], name="a/b.img")
        assert str(caught.value).startswith("a/b.img is ")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty (0 bytes)"),
        (b"hello, I am a text", "not an image of a known format"),
        (b"GIF89a" + bytes(100), "not an image of a known format"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not an image of a known format"),
    ],
)
def test_what_is_no_image_is_said_so(data, said):
    with pytest.raises(SampleError) as caught:
        images.open_rgb(data)
    assert said in str(caught.value)


def bomb(width, height):
    def chunk(name, body):
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(10_000))
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(30_000, 30_000), (2**31 - 1, 2**31 - 1), (178_956_971, 1)])
def test_a_decompression_bomb_is_refused_even_if_pillows_own_limit_is_off(size, monkeypatch):
    for limit in (Image.MAX_IMAGE_PIXELS, None):
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        with pytest.raises(SampleError, match="bomb") as caught:
            images.open_rgb(bomb(*size), name="x.png")
        assert "178,956,970" in str(caught.value)


def test_large_images_below_the_limit_raise_no_warning():
    data = saved(Image.new("1", (10_000, 9_500)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert images.short_side(data) == 9_500
        assert images.open_square(data, 4).shape == (4, 4, 3)


def test_warning_filters_are_as_before_after_many_threads():
    data = saved(Image.new("L", (300, 300)))
    before = list(warnings.filters)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(images.open_rgb, [data] * 200))
    assert list(warnings.filters) == before


@settings(max_examples=150, deadline=None)
@given(
    kind=st.sampled_from(["JPEG", "PNG", "TIFF", "WEBP", "BMP", "PPM"]),
    spots=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), min_size=1, max_size=12),
)
def test_any_flipped_byte_gives_an_image_or_a_sentence(kind, spots):
    noise = np.random.default_rng(1).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    data = bytearray(saved(Image.fromarray(noise), kind))
    for where, value in spots:
        data[int(where * (len(data) - 1))] = value
    said = "The image"
    try:
        rgb = images.open_rgb(bytes(data))
    except SampleError as error:
        said = str(error)
    else:
        assert rgb.dtype == np.uint8
        assert rgb.shape[2] == 3
    assert said.startswith("The image")
    assert "\n" not in said


def test_fit_square_leaves_an_image_of_that_size_alone_and_cuts_the_centre():
    rgb = np.arange(4 * 8 * 3, dtype=np.uint8).reshape(4, 8, 3)
    assert_array_equal(images.fit_square(rgb, 4), rgb[:, 2:6])
    assert_array_equal(
        images.fit_square(rgb.transpose(1, 0, 2).copy(), 4), rgb.transpose(1, 0, 2)[2:6]
    )
    square = rgb[:, :4].copy()
    assert_array_equal(images.fit_square(square, 4), square)


def test_fit_square_averages_when_it_shrinks():
    checks = (np.indices((256, 256)).sum(axis=0) % 2 * 255).astype(np.uint8)
    small = images.fit_square(checks[..., None].repeat(3, 2), 16)
    assert_allclose(small.astype(int), 127.5, atol=2)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 70), st.integers(0, 255))
def test_fit_square_keeps_a_flat_colour_whatever_the_sizes(height, width, size, value):
    rgb = np.full((height, width, 3), value, np.uint8)
    assert_array_equal(images.fit_square(rgb, size), np.full((size, size, 3), value, np.uint8))


def test_the_short_way_for_large_jpegs_stays_close_to_the_long_way(photograph):
    for shape in ((600, 900), (900, 500)):
        data = saved(Image.fromarray(photograph(*shape)), "JPEG", quality=92)
        short = images.open_square(data, 32).astype(int)
        long = images.fit_square(images.open_rgb(data), 32).astype(int)
        assert np.abs(short - long).mean() < 1.5
        assert np.abs(short - long).max() < 10
