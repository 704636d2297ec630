from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from audit.errors import InputError, RefusedError
from audit.exchange import recorded, scores_file
from audit.records.scores import DetectorSpec, Scores


def scores(name, suspicion, quantity, *, flagged=None, suggested=(-1, -1, -1), quantity_name=None):
    return Scores(
        run_ids=("r1",),
        spec=DetectorSpec(name=name, version=1),
        suspicion=np.array(suspicion),
        quantity_name=quantity_name or name,
        quantity=np.array(quantity),
        suggested_label=np.array(suggested, dtype=np.int32),
        flagged=None if flagged is None else np.array(flagged),
    )


@pytest.fixture
def pets(dataset_of):
    return dataset_of(
        keys=["a,1", "b", "c"],
        labels=[0, 1, -1],
        splits=["train", "test", "train"],
        problems={2: "c is empty."},
    )


@pytest.fixture
def both():
    return [
        scores("aum", [0.75, 0.5, np.nan], [-1.5, 0.1, np.nan], flagged=[True, False, False],
               suggested=[1, 1, -1]),
        scores("lstm", [1.0, 0.0, np.nan], [0.25, 1 / 3, np.nan], quantity_name="lstm_probability"),
    ]  # fmt: skip


def test_csv_is_these_bytes(pets, both, tmp_path):
    scores_file.write(tmp_path / "s.csv", scores_file.of_dataset(pets), both)
    assert (tmp_path / "s.csv").read_text() == (
        "sample_key,path,split,given_label,suggested_label,problem,"
        "aum_suspicion,aum_flagged,aum,lstm_suspicion,lstm_flagged,lstm_probability\n"
        '"a,1","a,1",train,cat,dog,,0.75,True,-1.5,1.0,,0.25\n'
        "b,b,test,dog,,,0.5,False,0.1,0.0,,0.3333333333333333\n"
        "c,c,train,,,c is empty.,,False,,,,\n"
    )


def test_parquet_has_types_and_nulls(pets, both, tmp_path):
    scores_file.write(tmp_path / "s.parquet", scores_file.of_dataset(pets), both)
    table = pq.read_table(tmp_path / "s.parquet")
    types = {field.name: str(field.type) for field in table.schema}
    assert types["aum_suspicion"] == "double"
    assert types["aum_flagged"] == types["lstm_flagged"] == "bool"
    assert table.column("aum_suspicion").to_pylist() == [0.75, 0.5, None]
    assert table.column("lstm_flagged").to_pylist() == [None, None, None]
    assert table.column("suggested_label").to_pylist() == ["dog", None, None]


@pytest.mark.parametrize("name", ["s.csv", "s.parquet"])
def test_a_scores_file_comes_back(pets, both, tmp_path, name):
    problems = {0: "a is truncated."}
    scores_file.write(tmp_path / name, scores_file.of_dataset(pets, problems), both)
    back = scores_file.read(tmp_path / name)
    assert back.sample_keys == ("a,1", "b", "c")
    assert back.splits == ("train", "test", "train")
    assert back.given_labels == ("cat", "dog", None)
    assert back.suggested_labels == ("dog", None, None)
    assert back.problems == ("a is truncated.", None, "c is empty.")
    assert list(back.methods) == ["aum", "lstm"]
    for one in both:
        columns = back.methods[one.spec.name]
        assert columns.quantity_name == one.quantity_name
        np.testing.assert_array_equal(columns.suspicion, one.suspicion)
        np.testing.assert_array_equal(columns.quantity, one.quantity)
    np.testing.assert_array_equal(back.methods["aum"].flagged, [True, False, False])
    assert back.methods["lstm"].flagged is None


@pytest.mark.parametrize("name", ["s.csv", "s.parquet"])
def test_an_estimated_precision_has_a_column_of_its_own_and_comes_back(pets, both, tmp_path, name):
    planted = replace(
        scores("planted", [0.9, 0.2, np.nan], [-0.5, 0.5, np.nan], quantity_name="statistic"),
        precision=np.array([0.875, 0.5, np.nan]),
    )
    scores_file.write(tmp_path / name, scores_file.of_dataset(pets), [both[0], planted, both[1]])
    if name == "s.csv":
        header, first, *_, last = (tmp_path / name).read_text().splitlines()
        assert ",statistic,planted_precision,lstm_suspicion," in header
        assert ",0.9,,-0.5,0.875," in first
        assert last == "c,c,train,,,c is empty.,,False,,,,,,,,"
    back = scores_file.read(tmp_path / name).methods
    assert list(back) == ["aum", "planted", "lstm"]
    np.testing.assert_array_equal(back["planted"].precision, planted.precision)
    assert back["planted"].quantity_name == "statistic"
    assert back["aum"].precision is None


def test_scores_that_do_not_fit_are_refused(pets, both, tmp_path):
    samples = scores_file.of_dataset(pets)
    with pytest.raises(InputError, match="at least one method"):
        scores_file.write(tmp_path / "s.csv", samples, [])
    with pytest.raises(InputError, match="would be named 'aum_suspicion'"):
        scores_file.write(tmp_path / "s.csv", samples, [both[0], both[0]])
    with pytest.raises(InputError, match=r"ends in \.csv or \.parquet, got 's\.txt'"):
        scores_file.write(tmp_path / "s.txt", samples, both)
    short = scores("aum", [0.5], [1.0], suggested=[-1])
    with pytest.raises(InputError, match="aum scored 1 samples, expected 3"):
        scores_file.write(tmp_path / "s.csv", samples, [short])
    assert list(tmp_path.iterdir()) == []


def test_an_existing_scores_file_is_refused_until_forced(pets, both, tmp_path):
    out = tmp_path / "s.csv"
    scores_file.write(out, scores_file.of_dataset(pets), both)
    before = out.read_bytes()
    with pytest.raises(RefusedError, match="--force"):
        scores_file.write(out, scores_file.of_dataset(pets), both)
    scores_file.write(out, scores_file.of_dataset(pets), both, force=True)
    assert out.read_bytes() == before


@pytest.mark.parametrize("name", ["s.csv", "s.parquet"])
def test_what_is_no_scores_file_is_said(tmp_path, name):
    (tmp_path / name).write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="scores file"):
        scores_file.read(tmp_path / name)
    with pytest.raises(InputError, match="cannot be read"):
        scores_file.read(tmp_path / f"missing-{name}")


def test_an_unlabelled_sample_says_why_it_was_not_scored(dataset_of, tmp_path):
    pets = dataset_of(
        keys=["a", "b", "c"], labels=[0, -1, 1], splits=["train", "train", "test"], problems={}
    )
    answer = scores("margin", [0.5, np.nan, np.nan], [0.0, np.nan, np.nan])
    scores_file.write(tmp_path / "s.csv", scores_file.of_dataset(pets), [answer])
    problems = scores_file.read(tmp_path / "s.csv").problems
    assert problems == (None, "Unlabelled: it has no given label that could be wrong.", None)


def test_a_recorded_sample_that_was_scored_without_its_label_has_no_problem(tmp_path):
    (tmp_path / "aum_values.csv").write_text("sample_id,aum\na,1\n")
    samples = scores_file.of_recorded(recorded.read(tmp_path))
    answer = Scores(
        run_ids=("r1",),
        spec=DetectorSpec(name="aum", version=1),
        suspicion=np.array([0.5]),
        quantity_name="aum",
        quantity=np.array([0.0]),
        suggested_label=np.array([-1], dtype=np.int32),
    )
    scores_file.write(tmp_path / "s.csv", samples, [answer])
    assert scores_file.read(tmp_path / "s.csv").problems == (None,)
