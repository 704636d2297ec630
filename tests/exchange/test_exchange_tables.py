import csv
import io

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.errors import InputError
from audit.exchange import spreadsheet, tables
from audit.exchange.corrected import resolve

NASTY = st.text(
    alphabet=st.one_of(
        st.sampled_from(list("\"',;\t\n\r =+-@\u2028\u200f\u0001אב😀é|#")),
        st.characters(exclude_categories=["Cs"]),
    ),
    min_size=1,
    max_size=12,
)


def test_csv_is_these_bytes(dataset_of, decided, tmp_path):
    dataset = dataset_of(
        keys=["a b.png", 'say "hi".png', "x,y.png", "gone.png"],
        labels=[0, 1, 0, 1],
        splits=["train", "train", "test", "train"],
        paths=["a b.png", 'say "hi".png', None, "gone.png"],
    )
    labels = resolve(dataset, decided(dataset, {'say "hi".png': "cat", "gone.png": "exclude"}))
    tables.write_csv(tmp_path / "out", labels)
    assert (tmp_path / "out").read_bytes() == (
        b"sample_key,path,split,label,given_label,verdict,reviewer,decided_at\n"
        b"a b.png,a b.png,train,cat,cat,,,\n"
        b'"say ""hi"".png","say ""hi"".png",train,cat,dog,relabel,Ann,2026-01-02T03:04:05Z\n'
        b'"x,y.png",,test,cat,cat,,,\n'
    )


def test_parquet_holds_nulls_and_the_same_rows(dataset_of, decided, tmp_path):
    dataset = dataset_of(keys=["a", "b"], labels=[0, -1], paths=[None, None])
    labels = resolve(dataset, decided(dataset, {"b": "dog"}))
    out = tmp_path / "out.parquet"
    tables.write_parquet(out, labels)
    assert pq.read_table(out).column_names == list(tables.COLUMNS)
    assert tables.read(out) == (
        ("a", None, "train", "cat", "cat", None, None, None),
        ("b", None, "train", "dog", None, "relabel", "Ann", "2026-01-02T03:04:05Z"),
    )


def test_an_export_without_a_single_row_still_names_its_columns(dataset_of, decided, tmp_path):
    dataset = dataset_of(keys=["a"], labels=[0])
    labels = resolve(dataset, decided(dataset, {"a": "exclude"}))
    tables.write_csv(tmp_path / "out.csv", labels)
    tables.write_parquet(tmp_path / "out.parquet", labels)
    assert tables.read(tmp_path / "out.csv") == tables.read(tmp_path / "out.parquet") == ()


@settings(max_examples=60, deadline=None)
@given(keys=st.lists(NASTY, min_size=1, max_size=4, unique=True), names=st.sets(NASTY, min_size=2))
@pytest.mark.parametrize("safe", [False, True])
def test_any_text_comes_back_from_csv(dataset_of, tmp_path_factory, keys, names, safe):
    names = sorted(names)
    dataset = dataset_of(keys=keys, labels=[1] * len(keys), class_names=names)
    labels = resolve(dataset, {})
    out = tmp_path_factory.mktemp("csv") / "out.csv"
    tables.write_csv(out, labels, spreadsheet_safe=safe)
    expected = [(key, key, "train", names[1], names[1], None, None, None) for key in keys]
    assert list(tables.read(out, spreadsheet_safe=safe)) == expected
    if not safe:
        text = out.read_bytes().decode()
        plain = list(csv.reader(io.StringIO(text, newline="")))[1:]
        assert plain == [["" if cell is None else cell for cell in row] for row in expected]


@settings(max_examples=60, deadline=None)
@given(
    rows=st.lists(st.tuples(st.none() | NASTY, NASTY, st.sampled_from(["cat", " cat", "dog"]))),
    safe=st.booleans(),
)
def test_columns_are_written_as_if_cell_by_cell(tmp_path_factory, rows, safe):
    out = tmp_path_factory.mktemp("csv") / "out.csv"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "_ROWS_AT_ONCE", 3)
        columns = [[row[place] for row in rows] for place in range(3)]
        tables.write_columns(out, ("a", "b,c", "d"), columns, spreadsheet_safe=safe)
    guard = spreadsheet.guard if safe else str
    lines = [[tables.quoted(guard(cell)) if cell else "" for cell in row] for row in rows]
    written = "".join(",".join(line) + "\n" for line in [["a", '"b,c"', "d"], *lines])
    assert out.read_bytes() == written.encode()


@given(st.text())
def test_guarded_cells_run_no_formula_and_come_back(text):
    guarded = spreadsheet.guard(text)
    assert not guarded.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert spreadsheet.unguard(guarded) == text


def test_a_name_that_utf8_cannot_hold_is_refused_in_one_sentence(dataset_of, tmp_path):
    labels = resolve(dataset_of(keys=["bad\udcff.png"], labels=[0]), {})
    with pytest.raises(InputError, match="no UTF-8 file can hold"):
        tables.write_csv(tmp_path / "a", labels)
    with pytest.raises(InputError, match="no UTF-8 file can hold"):
        tables.write_parquet(tmp_path / "b", labels)


def test_the_refused_line_is_named_and_not_one_above_it(dataset_of, tmp_path):
    labels = resolve(dataset_of(keys=["good.png", "bad\udcff.png"], labels=[0, 0]), {})
    with pytest.raises(InputError, match=r"^'bad\\udcff\.png"):
        tables.write_csv(tmp_path / "a", labels)


def test_a_file_with_other_columns_is_not_read(tmp_path):
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    with pytest.raises(InputError, match=r"\['x', 'y'\]"):
        tables.read(tmp_path / "a.csv")
