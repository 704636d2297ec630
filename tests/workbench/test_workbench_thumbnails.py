"""Which files a browser may be given as they are, and what is held of what was drawn."""

import io
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from audit.datasets import images, showable
from audit.workbench.bounded import Bounded

RGB = np.random.default_rng(1).integers(0, 256, (40, 50, 3)).astype(np.uint8)


def encoded(kind, image=None, **options):
    stream = io.BytesIO()
    (image or Image.fromarray(RGB)).save(stream, kind, **options)
    return stream.getvalue()


def exif(orientation=None, description="made by a camera"):
    tags = Image.Exif()
    tags[0x010E] = description
    if orientation is not None:
        tags[0x0112] = orientation
    return tags


def words(name, text, *, international=False):
    held = PngImagePlugin.PngInfo()
    (held.add_itxt if international else held.add_text)(name, text)
    return held


XMP = b'<x:xmpmeta><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
GREY, PALETTE = Image.fromarray(RGB).convert("L"), Image.fromarray(RGB).convert("P")

PLAIN = {
    "jpeg": ("image/jpeg", encoded("JPEG")),
    "progressive jpeg": ("image/jpeg", encoded("JPEG", progressive=True, optimize=True)),
    "grey jpeg": ("image/jpeg", encoded("JPEG", GREY)),
    "jpeg with upright EXIF": ("image/jpeg", encoded("JPEG", exif=exif(1))),
    "jpeg with EXIF that turns nothing": ("image/jpeg", encoded("JPEG", exif=exif())),
    "png": ("image/png", encoded("PNG")),
    "png with words": ("image/png", encoded("PNG", pnginfo=words("Software", "a program"))),
    "grey png": ("image/png", encoded("PNG", GREY)),
    "png with a palette": ("image/png", encoded("PNG", PALETTE)),
    "webp": ("image/webp", encoded("WEBP")),
    "webp without loss": ("image/webp", encoded("WEBP", lossless=True)),
}

ODD = {
    **{f"jpeg turned {n}": encoded("JPEG", exif=exif(n)) for n in range(2, 9)},
    "jpeg turned by XMP": encoded("JPEG", xmp=XMP),
    "jpeg of inks": encoded("JPEG", Image.fromarray(RGB).convert("CMYK")),
    "png turned by EXIF": encoded("PNG", exif=exif(6)),
    "png turned by XMP": encoded(
        "PNG", pnginfo=words("XML:com.adobe.xmp", XMP.decode(), international=True)
    ),
    "png turned by old words": encoded("PNG", pnginfo=words("Raw profile type exif", "\nexif\n")),
    "png with opacity": encoded("PNG", Image.fromarray(RGB).convert("RGBA")),
    "png with a colour that is clear": encoded("PNG", PALETTE, transparency=3),
    "moving png": encoded("PNG", save_all=True, append_images=[Image.fromarray(255 - RGB)]),
    "webp with opacity": encoded("WEBP", Image.fromarray(np.dstack([RGB, RGB[:, :, :1]]))),
    "webp with opacity and no loss": encoded(
        "WEBP", Image.fromarray(np.dstack([RGB, RGB[:, :, :1]])), lossless=True
    ),
    "webp turned by EXIF": encoded("WEBP", exif=exif(8)),
    "moving webp": encoded("WEBP", save_all=True, append_images=[Image.fromarray(255 - RGB)]),
    "tiff": encoded("TIFF"),
    "bmp": encoded("BMP"),
    "drawing": b'<svg xmlns="http://www.w3.org/2000/svg"/>',
    "page": b"<html>",
    "nothing": b"",
    "jpeg with a page behind it": encoded("JPEG") + b"<script>",
}


@pytest.mark.parametrize("name", PLAIN)
def test_a_plain_file_may_be_shown_as_it_is_up_to_its_own_size(name):
    media_type, data = PLAIN[name]
    assert showable.media_type(data, 50) == media_type
    assert showable.media_type(data, 49) is None
    assert showable.sniff(data) == media_type


@pytest.mark.parametrize("name", ODD)
def test_a_file_that_browsers_may_draw_otherwise_is_not_shown_as_it_is(name):
    assert showable.media_type(ODD[name], 4096) is None


@pytest.mark.parametrize("name", PLAIN)
def test_a_file_that_was_cut_off_anywhere_is_not_shown_as_it_is(name):
    _, data = PLAIN[name]
    cuts = range(0, len(data), max(1, len(data) // 300))
    assert [n for n in cuts if showable.media_type(data[:n], 4096) is not None] == []


@settings(max_examples=150)
@given(
    name=st.sampled_from(sorted(PLAIN)),
    changes=st.dictionaries(st.integers(0, 120), st.integers(0, 255), min_size=1, max_size=8),
)
def test_damaged_headers_are_looked_at_without_an_exception(name, changes):
    data = bytearray(PLAIN[name][1])
    for place, value in changes.items():
        data[place] = value
    showable.media_type(bytes(data), 4096)


def test_a_large_jpeg_is_scaled_to_what_the_long_way_gives():
    smooth = Image.fromarray(RGB).resize((1200, 900), Image.Resampling.BICUBIC)
    data = encoded("JPEG", smooth, quality=95, exif=exif(6))
    fast = images.open_within(data, 96)
    slow = images.fit_within(images.open_rgb(data), 96)
    assert fast.shape == slow.shape == (96, 72, 3)
    assert np.abs(fast.astype(int) - slow.astype(int)).mean() < 4  # of 255


def test_nothing_is_scaled_up_and_no_side_vanishes():
    assert images.open_within(encoded("PNG"), 4096).shape == (40, 50, 3)
    line = np.zeros((1, 4000, 3), dtype=np.uint8)
    assert images.fit_within(line, 32).shape == (1, 32, 3)


def test_what_is_held_stays_below_its_bound_and_the_longest_unused_goes_first():
    held = Bounded(100)
    made: list[str] = []

    def ask(name, size):
        return held.find_or_make(name, lambda: made.append(name) or name, lambda _: size)

    ask("a", 40), ask("b", 40), ask("a", 40), ask("c", 40)
    assert held.n_bytes == 80
    assert (ask("a", 40), ask("c", 40), made) == ("a", "c", ["a", "b", "c"])
    ask("b", 40)
    assert made == ["a", "b", "c", "b"]
    assert ask("huge", 101) == "huge"
    ask("huge", 101)
    assert made[-2:] == ["huge", "huge"]
    assert held.n_bytes == 80


def test_what_many_threads_make_at_once_is_counted_once():
    held = Bounded(10_000)
    begin = threading.Barrier(6)

    def ask():
        begin.wait()
        for number in range(200):
            assert (
                held.find_or_make(number % 50, lambda n=number: n % 50, lambda _: 7) == number % 50
            )

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert held.n_bytes == 50 * 7
