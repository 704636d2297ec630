import io
import json
import zipfile

import numpy as np
import pytest

from audit.errors import InputError
from audit.exchange import recorded, scores_file
from audit.exchange.recorded import Axes
from audit.records.dynamics import SIGNALS, Role

# Two epochs, three samples, two classes.
LOGITS = np.array(
    [[[1.0, 3.0], [0.0, 0.5], [2.0, -2.0]], [[4.0, 1.0], [1.0, 0.0], [5.0, 0.0]]], dtype=np.float32
)
LABELS = np.array([0, 1, 0])


@pytest.fixture
def saved(tmp_path):
    def save(**arrays):
        np.savez(tmp_path / "d.npz", **arrays)
        return tmp_path / "d.npz"

    return save


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_logits_of_either_axis_order_give_every_signal(saved, kind):
    made = recorded.read(saved(logits=LOGITS.astype(kind), labels=LABELS, ids=[7, 8, 9]))
    turned = recorded.read(saved(logits=LOGITS.swapaxes(0, 1), labels=LABELS))
    assert set(made.dynamics.signals) == set(SIGNALS)
    for one in (made, turned):
        assert one.dynamics.signals["margin"].tolist() == [[-2.0, 0.5, 4.0], [3.0, -1.0, 5.0]]
        assert one.dynamics.signals["best_other_class"].tolist() == [[1, 0, 1], [1, 0, 1]]
    assert (made.dynamics.n_samples, made.dynamics.n_classes, made.dynamics.n_epochs) == (3, 2, 2)
    assert made.sample_ids == ("7", "8", "9")
    assert turned.sample_ids == ("0", "1", "2")
    assert made.class_names == ("0", "1")
    assert made.dynamics.assigned_label.tolist() == [0, 1, 0]
    mean = made.dynamics.mean_probabilities
    assert mean.is_full
    np.testing.assert_allclose(mean.values.sum(axis=1), 1, rtol=1e-6)
    expected = (1 / (1 + np.exp(2)) + 1 / (1 + np.exp(-3))) / 2
    np.testing.assert_allclose(mean.values[0, 0], expected, rtol=1e-6)


def test_a_shape_that_may_be_read_twice_needs_the_axes(saved):
    cube = np.arange(18, dtype=np.float32).reshape(3, 3, 2)
    path = saved(logits=cube, labels=LABELS)
    with pytest.raises(InputError, match="--axes enk or --axes nek"):
        recorded.read(path)
    own = [0, 1, 0]
    by_epoch = recorded.read(path, axes=Axes.ENK).dynamics.signals["given_logit"]
    assert by_epoch.tolist() == [[cube[e, n, own[n]] for n in range(3)] for e in range(3)]
    by_sample = recorded.read(path, axes=Axes.NEK).dynamics.signals["given_logit"]
    assert by_sample.tolist() == [[cube[n, e, own[n]] for n in range(3)] for e in range(3)]


def test_axes_that_do_not_fit_are_refused(saved):
    with pytest.raises(InputError, match="does not fit 3 labels"):
        recorded.read(saved(logits=LOGITS, labels=LABELS), axes=Axes.NEK)
    with pytest.raises(InputError, match="does not fit 2 labels"):
        recorded.read(saved(logits=LOGITS[:, :, :], labels=LABELS[:2]), axes=Axes.ENK)
    with pytest.raises(InputError, match="does not fit 4 labels"):
        recorded.read(saved(logits=LOGITS, labels=[0, 0, 1, 1]))


def test_probabilities_have_no_margin(saved):
    probs = np.array([[[0.25, 0.75], [1.0, 0.0]]] * 3, dtype=np.float32)
    made = recorded.read(saved(probs=probs, labels=[0, 1]))
    assert set(made.dynamics.signals) == {"given_probability", "loss"}
    assert made.dynamics.signals["given_probability"][0].tolist() == [0.25, 0.0]
    assert np.isfinite(made.dynamics.signals["loss"]).all()
    np.testing.assert_allclose(made.dynamics.signals["loss"][0, 0], np.log(4), rtol=1e-6)


def test_an_unlabelled_sample_has_no_row(saved):
    made = recorded.read(saved(logits=LOGITS, labels=[0, -1, 1]))
    assert made.dynamics.sample.tolist() == [0, 2]
    assert made.dynamics.n_samples == 3
    assert made.given_labels.tolist() == [0, -1, 1]


def test_labels_may_be_words_beside_class_names(saved):
    made = recorded.read(
        saved(logits=LOGITS, labels=["dog", "cat", "dog"], class_names=["cat", "dog"])
    )
    assert made.dynamics.assigned_label.tolist() == [1, 0, 1]
    samples = scores_file.of_recorded(made)
    assert samples.given_labels == ["dog", "cat", "dog"]
    assert samples.paths == [None] * 3


def test_a_missing_entry_lies_between_the_same_samples_other_epochs(saved):
    logits = np.repeat(LOGITS[:1], 4, axis=0)
    logits[3] = LOGITS[1]
    logits[1:3, 0] = logits[0, 1] = np.nan
    made = recorded.read(saved(logits=logits, labels=LABELS))
    margin = made.dynamics.signals["margin"]
    # Of sample 0 from -2 to 3 in three steps; sample 1 begins as its second epoch.
    np.testing.assert_allclose(margin[:, 0], [-2, -1 / 3, 4 / 3, 3], rtol=1e-6)
    assert margin[:, 1:].T.tolist() == [[0.5, 0.5, 0.5, -1.0], [4.0, 4.0, 4.0, 5.0]]
    expected = (1 / (1 + np.exp(2)) + 1 / (1 + np.exp(-3))) / 2
    mean = made.dynamics.mean_probabilities
    np.testing.assert_allclose(mean.values[0, 0], expected, rtol=1e-6)
    assert made.messages == (
        "3 of 12 entries of 'd.npz' (a sample in an epoch) were missing and were filled in from the "
        "same sample's epochs before and after.",
    )


def test_missing_probabilities_are_filled_in_as_logits_are(saved):
    probs = np.array([[[0.25, 0.75]], [[np.nan, np.nan]], [[0.75, 0.25]]], dtype=np.float32)
    made = recorded.read(saved(probs=np.repeat(probs, 2, axis=1), labels=[0, 1]), axes=Axes.ENK)
    assert made.dynamics.signals["given_probability"][1].tolist() == [0.5, 0.5]
    assert made.dynamics.mean_probabilities.values.tolist() == [[0.5, 0.5]] * 2


def test_a_recording_without_gaps_says_nothing_about_them(saved):
    assert recorded.read(saved(logits=LOGITS, labels=LABELS)).messages == ()


def test_an_unlabelled_sample_may_be_missing_throughout(saved):
    logits = LOGITS * np.array([[1], [np.nan], [1]], dtype=np.float32)
    made = recorded.read(saved(logits=logits, labels=[0, -1, 0]))
    assert made.dynamics.sample.tolist() == [0, 2]
    assert made.messages == ()


def with_copies():
    """Return arrays of which places 1 and 4 are copies, of 2 and 0."""
    logits = np.arange(30, dtype=np.float32).reshape(2, 5, 3) % 7
    return {
        "logits": logits,
        "labels": np.array([0, 1, 2, -1, 2]),
        "copy_of": np.array([-1, 2, -1, -1, 0], dtype=np.int16),
        "ids": ["a", "b", "b", "d", "a"],
    }


def test_copies_are_rows_on_top_and_no_samples(saved):
    arrays = with_copies()
    made = recorded.read(saved(**arrays))
    dynamics = made.dynamics
    assert made.sample_ids == ("a", "b", "d"), "ids of copies are not read"
    assert made.given_labels.tolist() == [0, 2, -1]
    assert dynamics.n_samples == 3
    assert dynamics.sample.tolist() == [0, 1, 1, 0]
    assert dynamics.assigned_label.tolist() == [0, 1, 2, 2]
    roles = [Role.GIVEN, Role.CORRUPTED, Role.GIVEN, Role.CORRUPTED]
    assert dynamics.role.tolist() == roles
    plain = recorded.read(saved(**{k: v for k, v in arrays.items() if k not in {"copy_of", "ids"}}))
    for name, values in dynamics.signals.items():
        np.testing.assert_array_equal(values, plain.dynamics.signals[name])
    assert len(scores_file.of_recorded(made).given_labels) == 3


def test_a_file_that_marks_no_copy_is_one_without_the_array(saved):
    made = recorded.read(saved(logits=LOGITS, labels=LABELS, copy_of=[-1, -1, -1]))
    assert made.dynamics.role.tolist() == [Role.GIVEN] * 3
    assert made.sample_ids == ("0", "1", "2")


@pytest.mark.parametrize(
    ("copy_of", "sentence"),
    [
        ([-1, 2, -1, -1], r"must be one integer per label, \(5,\), got int64 \(4,\)"),
        ([[-1, 2, -1, -1, 0]], r"got int64 \(1, 5\)"),
        ([-1.0, 2.0, -1.0, -1.0, 0.0], "got float64"),
        (["", "b", "", "", "a"], "got <U1"),
        ([-1, 5, -1, -1, 0], "says 5 at place 1, expected a place from 0 to 4, or -1"),
        ([-1, -2, -1, -1, 0], "says -2 at place 1"),
        (np.array([2**63, 2, 2, 2, 0], dtype=np.uint64), "says 9223372036854775808 at place 0"),
        ([1, 2, 3, 4, 0], "every row is a copy"),
        ([-1, 4, -1, -1, 0], "place 1 is a copy of place 4, which is a copy itself"),
        ([-1, 1, -1, -1, 0], "place 1 is a copy of place 1, which is a copy itself"),
        ([-1, 3, -1, -1, 0], "place 1 is a copy of place 3, which is unlabelled"),
        ([-1, -1, -1, 0, -1], "place 3 is a copy of place 0, but has no label itself"),
        ([-1, -1, -1, -1, 2], "place 4 is a copy of place 2, and has the same label"),
    ],
)
def test_copies_that_cannot_be_ones_are_refused_in_one_sentence(saved, copy_of, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        recorded.read(saved(**with_copies() | {"copy_of": copy_of}))
    assert str(caught.value).startswith("'d.npz': ")
    assert str(caught.value).endswith(".")


def broken(**changes):
    return {"logits": LOGITS, "labels": LABELS} | changes


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"x": LABELS}, "expected logits or probs, and labels"),
        ({"logits": LOGITS}, "expected logits or probs, and labels"),
        (broken(logits=LOGITS[0]), "must be floating of shape"),
        (broken(logits=LOGITS.astype(int)), "must be floating of shape"),
        (broken(labels=[[0], [1], [0]]), r"labels must be \(N,\)"),
        (broken(labels=[0.0, 1.0, 0.0]), "labels must be integers"),
        (broken(labels=["a", "b", "a"]), "labels must be integers"),
        (broken(labels=[0, 1, 2]), "label 2 is too large for 2 classes"),
        (broken(labels=[-1, -1, -1]), "no labelled sample"),
        (broken(ids=[1, 1, 2]), "the sample '1' is there twice"),
        (broken(ids=[1, 2]), "need as many ids"),
        (broken(class_names=["a"]), "2 classes need as many distinct class_names"),
        (broken(logits=np.where(LOGITS == 5, np.nan, LOGITS)), "sample 2 has values in epoch 1"),
        (broken(logits=np.where(LOGITS == 5, np.inf, LOGITS)), "sample 2 has values in epoch 1"),
        (broken(logits=LOGITS * [[np.inf], [1], [1]]), "sample 0 has values in epoch 0"),
        (broken(logits=LOGITS * [[1], [np.nan], [1]]), "'1' is missing in every epoch"),
        ({"probs": LOGITS, "labels": LABELS}, "are no probabilities"),
        (
            broken(labels=np.array([0, None, 1], dtype=object)),
            "pickled objects, which are never read",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_said_in_one_sentence(saved, arrays, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        recorded.read(saved(**arrays))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["d.npz", "d.csv", "d.txt"])
def test_what_is_no_recording_is_said_in_one_sentence(tmp_path, name):
    with pytest.raises(InputError, match="does not exist"):
        recorded.read(tmp_path / name)
    (tmp_path / name).write_bytes(b"a,b\n1,2\n")
    with pytest.raises(
        InputError, match=r"damaged or no npz|no CSV of the aum|no recorded dynamics"
    ):
        recorded.read(tmp_path / name)


def test_an_empty_folder_holds_no_recording(tmp_path):
    with pytest.raises(InputError, match="holds neither"):
        recorded.read(tmp_path)


def cartography(folder, *epochs):
    folder.mkdir(exist_ok=True)
    for epoch, rows in enumerate(epochs):
        lines = [
            json.dumps({"guid": guid, f"logits_epoch_{epoch}": logits, "gold": gold})
            for guid, logits, gold in rows
        ]
        (folder / f"dynamics_epoch_{epoch}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def test_cartography_epochs_are_aligned_by_guid(tmp_path):
    epochs = [
        [(50, [1.0, 3.0], 0), ("x", [0.0, 0.5], 1)],
        [("x", [1.0, 0.0], 1), (50, [4.0, 1.0], 0)],
        *[[(50, [0, 0], 0), ("x", [0, 0], 1)]] * 9,
    ]
    cartography(tmp_path / "training_dynamics", *epochs)
    made = recorded.read(tmp_path)
    assert made.sample_ids == ("50", "x")
    assert made.dynamics.signals["margin"][:2].tolist() == [[-2.0, 0.5], [3.0, -1.0]]
    assert made.dynamics.n_epochs == 11


def test_cartography_lines_that_are_missing_are_filled_in(tmp_path):
    epochs = [
        [("a", [1.0, 3.0], 0)],
        [("a", [4.0, 1.0], 0), ("b", [0.0, 2.0], 1)],
        [("b", [0.0, 4.0], 1)],
    ]
    made = recorded.read(cartography(tmp_path, *epochs))
    assert made.sample_ids == ("a", "b")
    assert made.dynamics.signals["margin"].T.tolist() == [[-2, 3, 3], [2, 2, 4]]
    assert made.messages[0].startswith("2 of 6 entries")


@pytest.mark.parametrize(
    ("second", "sentence"),
    [
        ([("a", [1, 2], 0), ("a", [1, 2], 0)], "the sample 'a' is there twice"),
        ([("a", [1, 2], 1), ("b", [1, 2], 1)], "gold 1, in an earlier epoch 0"),
        ([("a", [1], 0), ("b", [1, 2], 1)], "'a' has 1 logits, the first one has 2"),
        ([("a", ["x", 1], 0), ("b", [1, 2], 1)], "Line 1 of 'dynamics_epoch_1.jsonl' is not"),
        ([("a", [1, 2], "0"), ("b", [1, 2], 1)], "Line 1 of 'dynamics_epoch_1.jsonl' is not"),
        ([("a", [10**400, 2], 0), ("b", [1, 2], 1)], "Line 1 of 'dynamics_epoch_1.jsonl' is not"),
        ([("a", [1, 2], 10**40), ("b", [1, 2], 1)], "Line 1 of 'dynamics_epoch_1.jsonl' is not"),
        ([("a", [1e300, 2], 0), ("b", [1, 2], 1)], "sample 0 has values in epoch 1"),
    ],
)
def test_cartography_lines_that_do_not_fit_are_named(tmp_path, second, sentence):
    cartography(tmp_path, [("a", [1, 2], 0), ("b", [1, 2], 1)], second)
    with pytest.raises(InputError, match=sentence):
        recorded.read(tmp_path)


def test_a_cartography_line_that_is_not_utf8_is_named(tmp_path):
    line = b'{"guid": "\xff", "logits_epoch_0": [1, 2], "gold": 0}\n'
    (tmp_path / "dynamics_epoch_0.jsonl").write_bytes(line)
    with pytest.raises(InputError, match=r"Line 1 of 'dynamics_epoch_0.jsonl' is not"):
        recorded.read(tmp_path)


def test_a_missing_epoch_is_named(tmp_path):
    cartography(tmp_path, *[[("a", [1, 2], 0), ("b", [1, 2], 1)]] * 3)
    (tmp_path / "dynamics_epoch_1.jsonl").unlink()
    with pytest.raises(InputError, match=r"lacks dynamics_epoch_1\.jsonl"):
        recorded.read(tmp_path)


def test_files_of_the_aum_package_are_read(tmp_path):
    aum = pytest.importorskip("aum")
    torch = pytest.importorskip("torch")
    calculator = aum.AUMCalculator(str(tmp_path), compressed=False)
    ids = ["s1", "007", "s3"]
    for logits in LOGITS:
        calculator.update(torch.tensor(logits), torch.tensor(LABELS), ids)
    calculator.finalize()
    made = recorded.read(tmp_path)
    order = [made.sample_ids.index(one) for one in ids]
    assert made.dynamics.signals["margin"][:, order].tolist() == [[-2, 0.5, 4], [3, -1, 5]]
    assert made.dynamics.signals["best_other_class"][0, order].tolist() == [1, 0, 1]
    assert made.given_labels[order].tolist() == [0, 1, 0]
    values = recorded.read(tmp_path / "aum_values.csv")
    order = [values.sample_ids.index(one) for one in ids]
    assert values.dynamics.signals["margin"][:, order].tolist() == [[0.5, -0.25, 4.5]]
    assert values.class_names == ()
    assert (values.is_average, made.is_average) == (True, False)
    assert scores_file.of_recorded(values).given_labels == [None, None, None]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("sample_id,aum\na,1\na,2\n", "the sample 'a' is there twice"),
        ("sample_id,aum\na,x\n", "the column 'aum' holds what is no number"),
        ("sample_id,aum\na,1\nb,nan\n", "row 2 has no finite number"),
        ('sample_id,aum\n"a\n', "no CSV"),
        ("sample_id,aum\n", "holds no sample"),
        ("sample_id,aum\na,1\nb,1e300\n", "row 2 has no finite number"),
    ],
)
def test_aum_values_that_do_not_fit_are_named(tmp_path, text, sentence):
    (tmp_path / "aum_values.csv").write_text(text)
    with pytest.raises(InputError, match=sentence):
        recorded.read(tmp_path)


HEAD = "sample_id,num_measurements,target_logit,target_val,other_logit,other_val,margin,aum\n"


def test_aum_records_that_lack_measurements_are_filled_in(tmp_path):
    (tmp_path / "full_aum_records.csv").write_text(
        HEAD
        + "a,1,0,1.0,1,0.5,0.5,0\na,2,0,,,,,\na,3,0,4.0,2,1.5,2.5,0\na,4,0,1.0,1,0.5,0.5,0\n"
        + "b,1,1,1.0,0,0.5,0.5,0\nb,3,1,2.0,0,0.5,1.5,0\n"
    )
    made = recorded.read(tmp_path)
    signals = made.dynamics.signals
    assert signals["margin"].T.tolist() == [[0.5, 1.5, 2.5, 0.5], [0.5, 1.0, 1.5, 1.5]]
    assert signals["given_logit"].T.tolist() == [[1, 2.5, 4, 1], [1, 1.5, 2, 2]]
    assert signals["best_other_class"].T.tolist() == [[1, 1, 2, 1], [0, 0, 0, 0]]
    assert made.given_labels.tolist() == [0, 1]
    assert made.messages[0].startswith("3 of 8 entries of 'full_aum_records.csv' (a sample in an ")


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ("a,1,0,1.0,1,0.5,0.5,0\na,1,0,1.0,1,0.5,0.5,0\n", "'a' has measurement 1 twice"),
        ("a,1,0,1.0,1,0.5,,0\n", "row 1 has no finite number in the column 'margin'"),
        ("a,1,0,1.0,1,0.5,inf,0\n", "row 1 has no finite number in the column 'margin'"),
        ("a,,0,1.0,1,0.5,0.5,0\n", "row 1 has no finite number in the column 'num_measurements'"),
        ("a,1,0,1.0,1,0.5,0.5,0\nb,1,0,,,,,\n", "the sample 'b' has no measurement"),
        ("a,1,0,1.0,1,0.5,0.5,0\na,2,1,1.0,0,0.5,0.5,0\n", "target of sample 'a' changes"),
    ],
)
def test_aum_records_that_do_not_fit_are_named(tmp_path, rows, sentence):
    (tmp_path / "full_aum_records.csv").write_text(HEAD + rows)
    with pytest.raises(InputError, match=sentence):
        recorded.read(tmp_path)


@pytest.mark.parametrize("target", ["0.5", "-3", "30000000"])
def test_a_target_that_is_no_class_index_is_refused(tmp_path, target):
    (tmp_path / "full_aum_records.csv").write_text(
        "sample_id,num_measurements,target_logit,target_val,other_logit,other_val,margin,aum\n"
        f"a,1,{target},1.0,1,0.5,0.5,0.5\n"
    )
    with pytest.raises(InputError, match=r"'target_logit' holds .* expected a class index"):
        recorded.read(tmp_path)


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [((10**12, 3, 2), "claims more than fits into memory"), ((10**30, 3, 2), "damaged or no npz")],
)
def test_an_npz_that_claims_a_huge_array_is_refused(tmp_path, shape, sentence):
    header, labels = io.BytesIO(), io.BytesIO()
    facts = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, facts)
    np.save(labels, LABELS)
    with zipfile.ZipFile(tmp_path / "d.npz", "w") as archive:
        archive.writestr("logits.npy", header.getvalue() + bytes(24))
        archive.writestr("labels.npy", labels.getvalue())
    with pytest.raises(InputError, match=sentence):
        recorded.read(tmp_path / "d.npz")


def test_an_npz_that_would_unpack_far_beyond_its_size_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(recorded, "BOMB_BYTES", 1 << 20)  # a gigabyte takes seconds to pack
    with zipfile.ZipFile(tmp_path / "d.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("logits.npy", bytes(1 << 21))
    with pytest.raises(InputError, match="refused as a zip bomb"):
        recorded.read(tmp_path / "d.npz")
