"""Sheets of thumbnails: which tile shows what, and how long a sheet may be kept."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from audit.datasets import images, sources
from audit.store import datasets
from audit.store.workspace import Workspace
from audit.workbench import serving


def drawn(answer):
    assert answer.status_code == 200, answer.text
    return np.array(Image.open(io.BytesIO(answer.content)).convert("RGB"))


def tile(sheet, number, side):
    top, left = number // 10 * side, number % 10 * side
    return sheet[top : top + side, left : left + side]


def joined(positions):
    return ",".join(map(str, positions))


def test_tiles_stand_in_the_order_that_was_asked_row_by_row(staged_routes):
    dataset = serving.shelf().dataset("staged")
    with np.load(dataset.source.root) as arrays:
        pixels = arrays["images"]
    positions = np.random.default_rng(3).permutation(dataset.n_samples)[:23].tolist()
    positions[5] = positions[0]  # twice is allowed
    answer = staged_routes.get(f"/api/datasets/{dataset.id}/sheet?at={joined(positions)}&side=96")
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert "immutable" in answer.headers["cache-control"]
    sheet = drawn(answer)
    assert sheet.shape == (3 * 96, 10 * 96, 3)
    for number, position in enumerate(positions):
        enlarged = pixels[position].repeat(8, axis=0).repeat(8, axis=1)
        np.testing.assert_array_equal(tile(sheet, number, 96), enlarged)
    assert (tile(sheet, 23, 96) == 128).all()


def test_small_images_grow_by_whole_numbers_and_stand_in_the_middle(staged_routes):
    dataset = serving.shelf().dataset("staged")
    with np.load(dataset.source.root) as arrays:
        pixels = arrays["images"]
    address = f"/api/datasets/{dataset.id}/sheet?at=7&side=40&ground=0a141e"
    sheet = tile(drawn(staged_routes.get(address)), 0, 40)
    enlarged = pixels[7].repeat(3, axis=0).repeat(3, axis=1)
    np.testing.assert_array_equal(sheet[2:38, 2:38], enlarged)
    assert (sheet[:2] == (10, 20, 30)).all()
    assert (sheet[:, 38:] == (10, 20, 30)).all()


@pytest.fixture
def photographs(serve_routes, tmp_path):
    """Give a client over twelve photographs of which one is no image, and their folder."""
    folder = tmp_path / "photographs"
    for number in range(12):
        file = folder / f"class {number % 2}" / f"{number:02}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        colour = (20 * number, 200 - 10 * number, 100)
        Image.new("RGB", (400, 200) if number % 3 else (200, 400), colour).save(file)
    with Workspace.open(tmp_path / "workspace") as workspace:
        datasets.add(workspace, sources.plan(folder), "photographs")
    client = serve_routes(tmp_path / "workspace")
    return client, serving.shelf().dataset("photographs"), folder


def test_photographs_are_shown_whole_on_their_ground(photographs):
    client, dataset, folder = photographs
    answer = client.get(f"/api/datasets/{dataset.id}/sheet?at={joined(range(12))}&side=96")
    assert answer.headers["content-type"] == "image/jpeg"
    sheet = drawn(answer).astype(int)
    for number, key in enumerate(dataset.sample_keys):
        seen = images.open_rgb((folder / key).read_bytes())[0, 0].astype(int)
        shown = tile(sheet, number, 96)
        is_wide = int(key[-6:-4]) % 3 != 0
        edge, middle = (
            (shown[:16, 48], shown[30:66, 48]) if is_wide else (shown[48, :16], shown[48, 30:66])
        )
        assert np.abs(middle - seen).max() <= 6, key  # of 255, after lossy encoding
        assert np.abs(edge - 128).max() <= 6, key


def test_a_broken_file_is_a_placeholder_beside_the_others_and_the_sheet_is_not_kept(photographs):
    client, dataset, folder = photographs
    whole = client.get(f"/api/datasets/{dataset.id}/sheet?at=0,1,2")
    assert "immutable" in whole.headers["cache-control"]
    (folder / dataset.sample_keys[1]).write_bytes(b"no image any more")
    broken = client.get(f"/api/datasets/{dataset.id}/sheet?at=0,1,2")
    assert broken.headers["cache-control"] == "no-store"
    before, after = drawn(whole).astype(int), drawn(broken).astype(int)
    for number in (0, 2):
        assert np.abs(tile(before, number, 96) - tile(after, number, 96)).max() <= 2
    assert np.abs(tile(before, 1, 96) - tile(after, 1, 96)).max() > 30
    Image.new("RGB", (300, 300), (250, 0, 0)).save(folder / dataset.sample_keys[1])
    mended = client.get(f"/api/datasets/{dataset.id}/sheet?at=0,1,2")
    assert "immutable" in mended.headers["cache-control"]
    assert np.abs(tile(drawn(mended).astype(int), 1, 96)[48, 48] - (250, 0, 0)).max() <= 6


def test_a_file_that_is_mended_without_a_trace_is_drawn_all_the_same(photographs):
    client, dataset, folder = photographs
    file = folder / dataset.sample_keys[4]
    whole, times = file.read_bytes(), (1e9, 1e9)
    file.write_bytes(b"\0" * len(whole))
    os.utime(file, times)
    broken = client.get(f"/api/datasets/{dataset.id}/sheet?at=4")
    file.write_bytes(whole)
    os.utime(file, times)
    mended = client.get(f"/api/datasets/{dataset.id}/sheet?at=4")
    assert broken.headers["cache-control"] == "no-store"
    assert "immutable" in mended.headers["cache-control"]
    assert not np.array_equal(drawn(broken), drawn(mended))


def test_a_dataset_whose_files_are_gone_gives_placeholders_only(photographs):
    client, dataset, folder = photographs
    folder.rename(folder.with_name("elsewhere"))
    answer = client.get(f"/api/datasets/{dataset.id}/sheet?at=0,1")
    assert answer.headers["cache-control"] == "no-store"
    sheet = drawn(answer)
    np.testing.assert_array_equal(tile(sheet, 0, 96), tile(sheet, 1, 96))
