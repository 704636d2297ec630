"""Images by dataset and position: what is drawn, what is handed through, what is refused."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from audit.datasets import images, sources
from audit.store import datasets
from audit.store.workspace import Workspace
from audit.workbench import serving

TURNED = 6


def photograph(width=60, height=40, seed=0):
    """Return a smooth image without symmetry, (H, W, 3) uint8."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (4, 5, 3)).astype(np.uint8))
    return np.array(small.resize((width, height), Image.Resampling.BICUBIC))


def encoded(rgb, kind="JPEG", **options):
    stream = io.BytesIO()
    Image.fromarray(rgb).save(stream, kind, **options)
    return stream.getvalue()


def turned(rgb, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(rgb, quality=95, exif=exif)


def bomb():
    """Return a PNG of a few hundred bytes that claims 30,000 × 30,000 pixels."""

    def chunk(kind, body):
        return (
            struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        )

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"\0" * 1000))
    return b"\x89PNG\r\n\x1a\n" + header + body + chunk(b"IEND", b"")


def see_through():
    rgba = np.dstack([photograph(), np.full((40, 60), 100, dtype=np.uint8)])
    return encoded(rgba, "PNG")


def moving():
    stream = io.BytesIO()
    frames = [Image.fromarray(photograph(seed=seed)) for seed in (1, 2)]
    frames[0].save(stream, "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    return stream.getvalue()


FILES = {
    "a/jpeg.jpg": encoded(photograph()),
    "a/png.png": encoded(photograph(), "PNG"),
    "a/webp.webp": encoded(photograph(), "WEBP"),
    "a/wrong extension.png": encoded(photograph(seed=5)),
    "a/turned.jpg": turned(photograph(), TURNED),
    "a/upright.jpg": turned(photograph(), 1),
    "a/see-through.png": see_through(),
    "a/moving.webp": moving(),
    "a/table.bmp": encoded(photograph(), "BMP"),
    "b/large.jpg": encoded(photograph(900, 300), quality=95),
    "b/large.png": encoded(photograph(150, 300), "PNG"),
    "b/<script>alert(1)</script> & \"'.jpg": encoded(photograph(seed=6)),
    "c/cut off.jpg": encoded(photograph(200, 200))[:-900],
    "c/bomb.png": bomb(),
    "c/page.jpg": b"<html><script>alert(1)</script>",
    "c/empty.png": b"",
    "c/gone.jpg": encoded(photograph()),
    "c/vector.jpg": b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
}


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Give a workspace with a folder of odd pictures, and the folder."""
    folder = tmp_path_factory.mktemp("pictures")
    for name, data in FILES.items():
        file = folder / "source" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    with Workspace.open(folder / "workspace") as workspace:
        datasets.add(workspace, sources.plan(folder / "source"), "pictures")
    (folder / "source" / "c" / "gone.jpg").unlink()
    return folder


@pytest.fixture
def ask(serve_routes, pictures):
    """Return the answer for a file's name."""
    client = serve_routes(pictures / "workspace")
    dataset = serving.shelf().dataset("pictures")

    def get(name, query=""):
        position = dataset.positions()[name]
        return client.get(f"/api/datasets/{dataset.id}/image/{position}{query}")

    get.client, get.dataset = client, dataset
    return get


def decoded(answer):
    assert answer.status_code == 200, answer.text
    return np.array(Image.open(io.BytesIO(answer.content)).convert("RGB"))


@pytest.mark.parametrize(
    ("name", "media_type"),
    [
        ("a/jpeg.jpg", "image/jpeg"),
        ("a/png.png", "image/png"),
        ("a/webp.webp", "image/webp"),
        ("a/wrong extension.png", "image/jpeg"),
        ("a/upright.jpg", "image/jpeg"),
        ("b/<script>alert(1)</script> & \"'.jpg", "image/jpeg"),
    ],
)
def test_a_small_plain_file_comes_as_it_is_under_its_true_type(ask, name, media_type):
    answer = ask(name)
    assert answer.content == FILES[name]
    assert answer.headers["content-type"] == media_type
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert "private" in answer.headers["cache-control"]
    assert "immutable" in answer.headers["cache-control"]


@pytest.mark.parametrize(
    "name", ["a/turned.jpg", "a/see-through.png", "a/moving.webp", "a/table.bmp"]
)
def test_what_a_browser_would_draw_otherwise_is_drawn_as_a_network_sees_it(ask, name):
    seen = images.open_rgb(FILES[name])
    shown = decoded(ask(name))
    assert ask(name).content != FILES[name]
    np.testing.assert_array_equal(shown, seen)  # small ones are encoded without loss


def test_a_turned_photograph_stands_upright_in_every_size(ask):
    assert decoded(ask("a/turned.jpg")).shape == (60, 40, 3)
    assert decoded(ask("a/turned.jpg", "?side=32")).shape[:2] == (32, 21)


def test_a_picture_larger_than_asked_is_scaled_to_the_longer_side_and_keeps_its_look(ask):
    shown = decoded(ask("b/large.jpg", "?side=300"))
    assert shown.shape == (100, 300, 3)
    plain = Image.fromarray(images.open_rgb(FILES["b/large.jpg"])).resize((300, 100))
    difference = np.abs(shown.astype(int) - np.array(plain).astype(int))
    assert difference.mean() < 3  # of 255: two scalings and one lossy encoding
    assert decoded(ask("b/large.png", "?side=299")).shape == (299, 150, 3)
    assert ask("b/large.png", "?side=300").content == FILES["b/large.png"]


def test_no_picture_is_scaled_up_and_sides_beyond_the_bounds_are_brought_within(ask):
    assert decoded(ask("a/table.bmp", "?side=2000")).shape == (40, 60, 3)
    assert max(decoded(ask("a/table.bmp", "?side=1")).shape) == 32
    assert max(decoded(ask("b/large.jpg", "?side=999999")).shape) == 900


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("c/cut off.jpg", "truncated"),
        ("c/bomb.png", "bomb"),
        ("c/page.jpg", "not an image"),
        ("c/empty.png", "empty"),
        ("c/gone.jpg", "does not exist"),
        ("c/vector.jpg", "not an image"),
    ],
)
def test_a_file_that_cannot_be_shown_is_refused_in_one_sentence(ask, name, said):
    answer = ask(name)
    assert answer.status_code == 422
    assert said in answer.json()["error"]
    assert name in answer.json()["error"]
    assert "Traceback" not in answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"


def unpacked(body):
    found, place = [], 0
    while place < len(body):
        (length,) = struct.unpack_from("<I", body, place)
        found.append(body[place + 4 : place + 4 + length])
        place += 4 + length
    return found


def test_a_pack_holds_what_single_answers_hold_in_the_order_that_was_asked(ask):
    names = ["b/large.jpg", "a/png.png", "a/turned.jpg", "a/png.png"]
    positions = [ask.dataset.positions()[name] for name in names]
    pack = ask.client.get(
        f"/api/datasets/{ask.dataset.id}/images?side=64&at={','.join(map(str, positions))}"
    )
    assert unpacked(pack.content) == [ask(name, "?side=64").content for name in names]
    assert "immutable" in pack.headers["cache-control"]


def test_a_pack_marks_what_cannot_be_shown_with_no_bytes_and_is_not_kept(ask):
    positions = [
        ask.dataset.positions()[name] for name in ("c/page.jpg", "a/jpeg.jpg", "c/gone.jpg")
    ]
    pack = ask.client.get(
        f"/api/datasets/{ask.dataset.id}/images?at={','.join(map(str, positions))}"
    )
    assert unpacked(pack.content) == [b"", FILES["a/jpeg.jpg"], b""]
    assert pack.headers["cache-control"] == "no-store"


def test_arrays_come_with_their_very_pixels(staged_routes):
    dataset = serving.shelf().dataset("staged")
    with np.load(dataset.source.root) as arrays:
        pixels = arrays["images"]
    answer = staged_routes.get(f"/api/datasets/{dataset.id}/image/17")
    np.testing.assert_array_equal(decoded(answer), pixels[17])
    pack = staged_routes.get(f"/api/datasets/{dataset.id}/images?at=3,119")
    for data, position in zip(unpacked(pack.content), (3, 119), strict=True):
        np.testing.assert_array_equal(np.array(Image.open(io.BytesIO(data))), pixels[position])


def test_a_dataset_whose_files_moved_away_says_so(serve_routes, stage, tmp_path):
    with Workspace.open(tmp_path / "workspace") as workspace:
        dataset = stage(workspace, tmp_path, n_samples=60)
    (tmp_path / "staged.npz").rename(tmp_path / "elsewhere.npz")
    client = serve_routes(tmp_path / "workspace")
    answer = client.get(f"/api/datasets/{dataset.id}/image/0")
    assert answer.status_code == 422
    assert "no longer at" in answer.json()["error"]
    assert unpacked(client.get(f"/api/datasets/{dataset.id}/images?at=0,1").content) == [b"", b""]


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("image/120", 404),
        ("image/999999999999", 404),
        ("image/-1", 400),
        ("image/1e3", 400),
        ("image/+1", 400),
        ("image/%201", 400),
        ("image/1%00", 400),
        ("image/%D9%A3", 400),  # a digit of another script
        ("image/99999999999999999999", 400),
        ("image/..%2f..%2fetc%2fpasswd", 404),
        ("image/0?side=big", 400),
        ("image/0?side=-5", 400),
        ("images", 400),
        ("images?at=", 400),
        ("images?at=1,,2", 400),
        ("images?at=1,2,", 400),
        ("images?at=0,120", 404),
        ("images?at=" + ",".join(["0"] * 33), 400),
        ("sheet", 400),
        ("sheet?at=" + ",".join(["0"] * 101), 400),
        ("sheet?at=0&ground=red", 400),
        ("sheet?at=0&side=1.5", 400),
    ],
)
def test_an_address_that_means_nothing_known_is_refused(staged_routes, address, status):
    dataset_id = serving.shelf().dataset("staged").id
    answer = staged_routes.get(f"/api/datasets/{dataset_id}/{address}")
    assert answer.status_code == status
    if "%2f" not in address:  # no route takes a slash there
        assert answer.json()["error"].endswith(".")


@pytest.mark.parametrize("kind", ["image/0", "images?at=0", "sheet?at=0", "queue"])
@pytest.mark.parametrize("reference", ["staged", "prefix", "0" * 12, "%00", "é", "..", "a" * 5000])
def test_only_the_whole_id_of_a_known_dataset_is_answered(staged_routes, reference, kind):
    dataset_id = serving.shelf().dataset("staged").id
    reference = dataset_id[:-1] if reference == "prefix" else reference
    assert staged_routes.get(f"/api/datasets/{reference}/{kind}").status_code == 404


def test_routes_only_read(staged_routes):
    dataset_id = serving.shelf().dataset("staged").id
    for kind in ("image/0", "images?at=0", "sheet?at=0", "queue"):
        assert staged_routes.post(f"/api/datasets/{dataset_id}/{kind}").status_code == 405
