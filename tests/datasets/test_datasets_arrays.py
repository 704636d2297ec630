"""Arrays in an npz: accepted shapes and types, refused ones, and reading without pickle."""

import struct
import zipfile

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from audit.datasets import arrays, sources, zipped
from audit.datasets.reader import SampleReader
from audit.errors import InputError


@pytest.fixture
def save(tmp_path):
    def write(compressed=False, **content):
        file = tmp_path / "data.npz"
        (np.savez_compressed if compressed else np.savez)(file, **content)
        return file

    return write


def pictures(n=3, *shape):
    shape = shape or (4, 5, 3)
    return np.arange(n * np.prod(shape), dtype=np.uint8).reshape(n, *shape)


def test_integer_labels_become_classes_by_number_and_keys_are_padded_positions(save):
    plan = sources.plan(save(images=pictures(11), labels=np.array([2, 0, -1, -7, *[1] * 7])))
    assert plan.class_names == ("0", "1", "2")
    assert plan.given_labels.tolist() == [2, 0, -1, -1, *[1] * 7]
    assert plan.sample_keys == tuple(f"{i:02d}" for i in range(11))
    assert plan.paths == (None,) * 11
    assert plan.suggested_name == "data"
    assert plan.truth is None


def test_text_labels_become_sorted_classes_and_truth_may_add_some(save):
    plan = sources.plan(
        save(
            images=pictures(),
            labels=np.array(["b", "", "01"]),
            true_labels=np.array(["c", "b", "1"]),
            split=np.array(["train", "Validation", "test"]),
            sample_keys=np.array(["z", "ä", "🐈"]),
        )
    )
    assert plan.class_names == ("01", "1", "b", "c")
    assert plan.given_labels.tolist() == [2, -1, 0]
    assert plan.truth is not None
    assert plan.truth.true_labels.tolist() == [3, 2, 1]
    assert plan.splits.tolist() == [0, 1, 2]
    assert plan.sample_keys == ("z", "ä", "🐈")


def test_names_give_the_order_of_classes_for_numbers_and_texts(save):
    names = np.array(["dog", "cat"])
    assert sources.plan(
        save(images=pictures(), labels=np.array([0, 1, 1]), class_names=names)
    ).class_names == ("dog", "cat")
    plan = sources.plan(
        save(images=pictures(), labels=np.array(["cat", "dog", "cat"]), class_names=names)
    )
    assert plan.given_labels.tolist() == [1, 0, 1]


def test_truth_counts_for_the_number_of_classes(save):
    plan = sources.plan(
        save(images=pictures(), labels=np.array([0, 1, 1]), true_labels=np.array([0, 4, 1]))
    )
    assert plan.class_names == ("0", "1", "2", "3", "4")


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.uint64, np.float32])
def test_whole_numbers_of_any_type_are_labels(save, dtype):
    plan = sources.plan(save(images=pictures(), labels=np.array([0, 1, 1], dtype)))
    assert plan.given_labels.tolist() == [0, 1, 1]
    assert plan.given_labels.dtype == np.int32


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 3), (4, 5, 4)])
def test_every_shape_is_read_as_rgb_whether_compressed_or_not(save, shape, compressed):
    images = pictures(3, *shape)
    plan = sources.plan(save(images=images, labels=np.array([0, 1, 1]), compressed=compressed))
    with SampleReader(plan.source, plan.paths) as reader:
        rgb = reader.read_rgb(1)
        assert reader.read_bytes(1) == images[1].tobytes()
        assert reader.short_side(1) == 4
    assert rgb.shape == (4, 5, 3)
    assert rgb.dtype == np.uint8
    if shape == (4, 5, 3):
        assert_array_equal(rgb, images[1])
    elif shape == (4, 5, 4):
        colour, alpha = images[1][..., :3].astype(float), images[1][..., 3:] / 255
        np.testing.assert_allclose(rgb, colour * alpha + 255 * (1 - alpha), atol=1)
    else:
        assert_array_equal(rgb, np.repeat(images[1].reshape(4, 5, 1), 3, axis=2))


def test_stored_arrays_are_mapped_in_place_and_compressed_ones_are_loaded(save):
    images = pictures(100)
    assert isinstance(zipped.read(save(images=images), "images"), np.memmap)
    assert_array_equal(zipped.read(save(images=images), "images"), images)
    fortran = np.asfortranarray(images)
    assert_array_equal(zipped.read(save(images=fortran), "images"), images)
    assert not isinstance(zipped.read(save(images=images, compressed=True), "images"), np.memmap)


def test_pickled_objects_are_refused_and_never_loaded(save, tmp_path):
    touched = tmp_path / "touched"

    class Evil:
        def __reduce__(self):
            return (open, (str(touched), "w"))

    file = save(images=pictures(), labels=np.array([0, 1, 1]), extra=np.array([Evil()], object))
    with pytest.raises(InputError, match="'extra' holds pickled objects and is refused"):
        sources.plan(file)
    file = save(images=np.array([Evil(), Evil()], object), labels=np.array([0, 1]))
    with pytest.raises(InputError, match="'images' holds pickled objects and is refused"):
        sources.plan(file)
    assert not touched.exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"labels": [0, 1, 1]}, "no array 'images'; its arrays are labels"),
        ({"images": pictures()}, "no array 'labels'; its arrays are images"),
        ({"images": pictures().astype(float), "labels": [0, 1, 1]}, "'images' holds float64"),
        ({"images": pictures(3, 4, 5, 2), "labels": [0, 1, 1]}, "'images' has shape (3, 4, 5, 2)"),
        ({"images": pictures(3, 4), "labels": [0, 1, 1]}, "'images' has shape (3, 4)"),
        ({"images": pictures()[:0], "labels": []}, "'images' has shape (0, 4, 5, 3)"),
        ({"images": pictures(), "labels": [0, 1]}, "'labels' has shape (2,), expected (3,)"),
        ({"images": pictures(), "labels": [[0], [1], [1]]}, "'labels' has shape (3, 1)"),
        ({"images": pictures(), "labels": [0, 1.5, 1]}, "1.5 at position 1"),
        ({"images": pictures(), "labels": [0, np.nan, 1]}, "nan at position 1"),
        ({"images": pictures(), "labels": [True, False, True]}, "'labels' holds bool"),
        ({"images": pictures(), "labels": [0, 1, 10**12]}, "number the classes from 0"),
        ({"images": pictures(), "labels": [0, 0, 0]}, "at least two classes"),
        (
            {"images": pictures(), "labels": [0, 2, 1], "class_names": ["a", "b"]},
            "'labels' holds 2 at position 1",
        ),
        (
            {"images": pictures(), "labels": ["a", "b", "c"], "class_names": ["a", "b"]},
            "'labels' holds 'c' at position 2",
        ),
        (
            {"images": pictures(), "labels": [0, 1, 1], "class_names": ["a", "a"]},
            "'class_names' holds 'a' twice",
        ),
        (
            {"images": pictures(), "labels": [0, 1, 1], "true_labels": ["a", "b", "b"]},
            "labels are numbers and true_labels are text",
        ),
        (
            {"images": pictures(), "labels": [0, 1, 1], "sample_keys": ["x", "y", "x"]},
            "'x' at positions 0 and 2",
        ),
        (
            {"images": pictures(), "labels": [0, 1, 1], "split": ["train", "fold1", "test"]},
            "unknown split 'fold1' at position 1",
        ),
        ({"images": pictures(), "labels": [0, 1, 1], "split": [0, 1, 2]}, "'split' holds int64"),
    ],
)
def test_wrong_arrays_are_named_with_what_came_and_what_was_expected(save, content, said):
    with pytest.raises(InputError) as caught:
        sources.plan(save(**content))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_arrays_that_are_not_known_are_skipped_and_listed(save):
    plan = sources.plan(save(images=pictures(), labels=[0, 1, 1], weights=np.ones(3)))
    assert [one.name for one in plan.skipped] == ["weights"]


@pytest.mark.parametrize("damage", ["cut", "text", "empty", "flipped", "header", "zip"])
@pytest.mark.parametrize("compressed", [False, True])
def test_a_damaged_file_is_refused_in_one_sentence(save, damage, compressed, tmp_path):
    file = save(images=pictures(50), labels=np.arange(50) % 2, compressed=compressed)
    data = bytearray(file.read_bytes())
    match damage:
        case "cut":
            data = data[: len(data) // 2]
        case "text":
            data = bytearray(b"hello")
        case "empty":
            data = bytearray()
        case "flipped":
            place = data.index(b"labels.npy") + 10 + 20
            data[place : place + 40] = bytes(40)
        case "header":
            data[:4] = b"XXXX"
        case "zip":
            with zipfile.ZipFile(file, "w") as archive:
                archive.writestr("images.npy", b"no array")
                archive.writestr("labels.npy", b"\x93NUMPY\x01\x00\xff\xff{")
            data = bytearray(file.read_bytes())
    file.write_bytes(data)
    with pytest.raises(InputError) as caught:
        sources.plan(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path):
    file = tmp_path / "bomb.npz"
    shape = (200_000, 100, 100)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("labels.npy", b"")
        with archive.open("images.npy", "w") as member:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(member, header)
            member.write(b"\0" * 1000)
    data = bytearray(file.read_bytes())
    # The central directory claims the size that the array's own header claims.
    place = data.rindex(b"PK\x01\x02")
    true_size = struct.unpack_from("<I", data, place + 24)[0]
    struct.pack_into("<I", data, place + 24, true_size - 1000 + int(np.prod(shape)))
    file.write_bytes(data)
    with pytest.raises(InputError, match="zip bomb"):
        zipped.read(file, "images")


def test_an_array_shorter_than_it_claims_is_refused(tmp_path):
    file = tmp_path / "short.npz"
    with zipfile.ZipFile(file, "w") as archive, archive.open("images.npy", "w") as member:
        header = {"descr": "|u1", "fortran_order": False, "shape": (10, 100, 100)}
        np.lib.format.write_array_header_1_0(member, header)
        member.write(b"\0" * 1000)
    with pytest.raises(InputError, match="not as long as it claims"):
        zipped.read(file, "images")


def test_a_moved_file_is_found_by_its_new_path_or_folder(save, tmp_path):
    before = sources.plan(save(images=pictures(), labels=[0, 1, 1]))
    (tmp_path / "new").mkdir()
    file = tmp_path / "new" / "data.npz"
    (tmp_path / "data.npz").rename(file)
    for root in (file, file.parent):
        after = sources.replan(before.source, root)
        assert after.fingerprint == before.fingerprint
        assert after.source.root == str(file)
    with pytest.raises(InputError, match="does not exist"):
        sources.replan(before.source)


def test_flags_of_tables_are_refused(save):
    with pytest.raises(InputError, match="--label-column goes with a table"):
        sources.plan(save(images=pictures(), labels=[0, 1, 1]), label_column="x")


def test_ten_thousand_classes_need_no_names(save):
    labels = np.arange(10_000)
    plan = arrays.plan(save(images=pictures(10_000, 1, 1), labels=labels), lambda *_: None)
    assert len(plan.class_names) == 10_000
    assert plan.class_names[123] == "123"
