import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.errors import InputError, RefusedError
from audit.exchange import delimited, json_table, original
from audit.exchange.corrected import resolve


def rewritten(dataset, decisions, tmp_path):
    out = tmp_path / "out"
    original.write(out, resolve(dataset, decisions))
    return out.read_bytes()


def test_only_the_label_cell_of_a_changed_row_is_another(table_dataset, decided, tmp_path):
    data = (
        b'\xef\xbb\xbfid;"label";path;note\r\n'
        b'1;"cat";a.png;"two\r\nlines; and ""quotes"""\r\n'
        b"\r\n"
        b"2;dog;b.png; spaces stay \r\n"
        b"3;;c.png;no label\r\n"
        b"4;dog;d.png;unreadable\r\n"
        b'5;cat;"e.png";goes'
    )
    dataset = table_dataset(
        "t.csv",
        data,
        [("a.png", "cat"), ("b.png", "dog"), ("c.png", None), ("d.png", "dog"), ("e.png", "cat")],
        class_names=["cat", "dog", "ow;l"],
        format="csv",
        delimiter=";",
        encoding="utf-8-sig",
    )
    decisions = decided(dataset, {"a.png": "dog", "b.png": "ow;l", "e.png": "exclude"})
    assert rewritten(dataset, decisions, tmp_path) == (
        b'\xef\xbb\xbfid;"label";path;note\r\n'
        b'1;"dog";a.png;"two\r\nlines; and ""quotes"""\r\n'
        b"\r\n"
        b'2;"ow;l";b.png; spaces stay \r\n'
        b"3;;c.png;no label\r\n"
        b"4;dog;d.png;unreadable"
    )


def test_without_decisions_the_table_is_the_same_bytes(table_dataset, tmp_path):
    data = 'path\tlabel\r"a\tb"\tK\u00e4tzchen\rb\tx\n'.encode("cp1252")
    dataset = table_dataset(
        "t.tsv",
        data,
        [("a\tb", "K\u00e4tzchen"), ("b", "x")],
        class_names=["K\u00e4tzchen", "x"],
        delimiter="\t",
        encoding="cp1252",
    )
    assert rewritten(dataset, {}, tmp_path) == data


@pytest.mark.parametrize("mark", ["utf-16-le", "utf-16-be"])
def test_utf16_keeps_its_mark_and_byte_order(table_dataset, decided, tmp_path, mark):
    text = "\ufeffpath,label\r\na,cat\r\nb,dog\r\n"
    dataset = table_dataset(
        "t.csv",
        text.encode(mark),
        [("a", "cat"), ("b", "dog")],
        class_names=["cat", "dog"],
        encoding="utf-16",
    )
    made = rewritten(dataset, decided(dataset, {"a": "dog"}), tmp_path)
    assert made == "\ufeffpath,label\r\na,dog\r\nb,dog\r\n".encode(mark)


def test_one_path_with_two_labels_is_two_samples_and_a_repeated_row_is_one(
    table_dataset, decided, tmp_path
):
    data = b"path,label\na,cat\na,dog\nb,dog\na,cat\n"
    dataset = table_dataset(
        "t.csv",
        data,
        [("a", "cat"), ("a", "dog"), ("b", "dog")],
        class_names=["cat", "dog", "owl"],
    )
    decisions = decided(dataset, {"a": "owl", "a#2": "exclude"})
    assert rewritten(dataset, decisions, tmp_path) == b"path,label\na,owl\nb,dog\na,owl\n"


def test_a_short_row_grows_to_hold_its_first_label(table_dataset, decided, tmp_path):
    dataset = table_dataset(
        "t.csv",
        b"path,x,label\na\nb,1,dog\n",
        [("a", None), ("b", "dog")],
        class_names=["cat", "dog"],
    )
    made = rewritten(dataset, decided(dataset, {"a": "cat"}), tmp_path)
    assert made == b"path,x,label\na,,cat\nb,1,dog\n"


def test_a_label_that_the_encoding_cannot_hold_is_refused(table_dataset, decided, tmp_path):
    dataset = table_dataset(
        "t.csv",
        b"path,label\na,caf\xe9\nb,dog\n",
        [("a", "caf\u00e9"), ("b", "dog")],
        class_names=["caf\u00e9", "dog", "\u732b"],
        encoding="cp1252",
    )
    with pytest.raises(InputError, match="written in cp1252, which cannot hold"):
        rewritten(dataset, decided(dataset, {"b": "\u732b"}), tmp_path)


def test_a_table_that_changed_since_the_import_is_refused(table_dataset, tmp_path):
    dataset = table_dataset(
        "t.csv",
        b"path,label\na,dog\nb,dog\n",
        [("a", "cat"), ("b", "dog")],
        class_names=["cat", "dog"],
    )
    with pytest.raises(RefusedError, match="changed since it was imported: sample 'a'"):
        rewritten(dataset, {}, tmp_path)


def test_a_table_that_is_gone_is_named(table_dataset, tmp_path):
    dataset = table_dataset("t.csv", b"", [("a", "cat")], class_names=["cat", "dog"])
    (tmp_path / "source" / "t.csv").unlink()
    with pytest.raises(RefusedError, match="not there any more"):
        rewritten(dataset, {}, tmp_path)


def test_a_folder_source_has_no_table(dataset_of, tmp_path):
    with pytest.raises(InputError, match="came from folder, not from a table"):
        original.write(tmp_path / "out", resolve(dataset_of(keys=["a"], labels=[0]), {}))


def test_json_lines_keep_keys_numbers_escapes_and_spaces(table_dataset, decided, tmp_path):
    data = (
        b'{"label": 3, "path":"a", "x": 1.50}\r\n'
        b"\r\n"
        b'  {"path": "b", "label" : "d\\u00f6g", "nested": {"label": "no"}}\r\n'
        b'{"path": "c", "extra": [1,2]}\r\n'
        b'{"path": "d", "label": null}\r\n'
        b'{"path": "e", "label": 3, "label": "d\\u00f6g"}'
    )
    dataset = table_dataset(
        "t.jsonl",
        data,
        [("a", "3"), ("b", "d\u00f6g"), ("c", None), ("d", None), ("e", "d\u00f6g")],
        class_names=["3", "d\u00f6g"],
        format="jsonl",
    )
    decisions = decided(
        dataset, {"a": "d\u00f6g", "b": "3", "c": "3", "d": "d\u00f6g", "e": "exclude"}
    )
    assert rewritten(dataset, decisions, tmp_path) == (
        b'{"label": "d\\u00f6g", "path":"a", "x": 1.50}\r\n'
        b"\r\n"
        b'  {"path": "b", "label" : 3, "nested": {"label": "no"}}\r\n'
        b'{"path": "c", "extra": [1,2], "label": 3}\r\n'
        b'{"path": "d", "label": "d\\u00f6g"}'
    )


@pytest.mark.parametrize(
    ("gone", "expected"),
    [
        ("a", b'[\n  {"path": "b", "label": 1},\n  {"path": "c", "label": 2}\n]\n'),
        ("b", b'[\n  {"path": "a", "label": 1},\n  {"path": "c", "label": 2}\n]\n'),
        ("c", b'[\n  {"path": "a", "label": 1},\n  {"path": "b", "label": 1}\n]\n'),
    ],
)
def test_an_object_that_leaves_a_json_list_takes_one_comma(
    table_dataset, decided, tmp_path, gone, expected
):
    data = (
        b'[\n  {"path": "a", "label": 1},\n  {"path": "b", "label": 1},\n'
        b'  {"path": "c", "label": 2}\n]\n'
    )
    dataset = table_dataset(
        "t.json",
        data,
        [("a", "1"), ("b", "1"), ("c", "2")],
        class_names=["1", "2"],
        format="json",
    )
    made = rewritten(dataset, decided(dataset, {gone: "exclude"}), tmp_path)
    assert made == expected


def test_a_class_that_no_row_has_is_a_number_among_numbers():
    made = json_table.edit(
        b'{"path": "a", "label": 1}\n',
        path_column="path",
        label_column="label",
        choose=lambda _path, _said: "7",
    )
    assert made == b'{"path": "a", "label": 7}\n'


@pytest.mark.parametrize(
    "labels",
    [
        pa.array([3, 7, None, 3], pa.int16()),
        pa.array([3.0, 7.0, None, 3.0], pa.float32()),
        pa.array(["3", "7", None, "3"], pa.large_string()),
        pa.array(["3", "7", None, "3"]).dictionary_encode(),
    ],
    ids=lambda array: str(array.type),
)
def test_parquet_keeps_schema_types_and_other_columns(table_dataset, decided, tmp_path, labels):
    table = pa.table(
        {"path": ["a", "b", "c", "d"], "label": labels, "x": [[1], [2], None, [4]]},
        metadata={"by": "hand"},
    )
    dataset = table_dataset(
        "t.parquet",
        b"",
        [("a", "3"), ("b", "7"), ("c", None), ("d", "3")],
        class_names=["3", "7"],
        format="parquet",
    )
    pq.write_table(table, dataset.source.location, compression="zstd", row_group_size=2)
    original.write(
        tmp_path / "out",
        resolve(dataset, decided(dataset, {"a": "7", "c": "3", "d": "exclude"})),
    )
    file = pq.ParquetFile(tmp_path / "out")
    made = file.read()
    assert made.schema.equals(table.schema, check_metadata=False)
    assert made.schema.metadata[b"by"] == b"hand"
    assert made.column("x").to_pylist() == [[1], [2], None]
    assert [str(v).removesuffix(".0") for v in made.column("label").to_pylist()] == ["7", "7", "3"]
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    assert file.num_row_groups == 2


def test_a_new_category_is_added_behind_the_known_ones(table_dataset, decided, tmp_path):
    labels = pa.DictionaryArray.from_arrays(pa.array([1, 0], pa.int8()), ["dog", "cat"])
    dataset = table_dataset(
        "t.parquet",
        b"",
        [("a", "cat"), ("b", "dog")],
        class_names=["cat", "dog", "owl"],
        format="parquet",
    )
    pq.write_table(pa.table({"path": ["a", "b"], "label": labels}), dataset.source.location)
    original.write(tmp_path / "out", resolve(dataset, decided(dataset, {"b": "owl"})))
    column = pq.read_table(tmp_path / "out").column("label")
    assert column.to_pylist() == ["cat", "owl"]
    assert column.type == labels.type
    assert column.chunk(0).dictionary.to_pylist() == ["dog", "cat", "owl"]


def test_an_integer_column_refuses_a_word(table_dataset, decided, tmp_path):
    dataset = table_dataset(
        "t.parquet", b"", [("a", "1"), ("b", "2")], class_names=["1", "2", "owl"], format="parquet"
    )
    pq.write_table(pa.table({"path": ["a", "b"], "label": [1, 2]}), dataset.source.location)
    with pytest.raises(InputError, match="type int64 cannot hold 'owl'"):
        rewritten(dataset, decided(dataset, {"b": "owl"}), tmp_path)


CELLS = st.text(
    alphabet=st.one_of(
        st.sampled_from(list("\",;\n\r\t 'aא😀\u2028")), st.characters(codec="utf-8")
    ),
    max_size=8,
)


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(st.tuples(CELLS, CELLS, CELLS), min_size=1, max_size=5),
    delimiter=st.sampled_from(",;\t|"),
    newline=st.sampled_from(["\n", "\r\n"]),
    quote_all=st.booleans(),
    label=CELLS.filter(bool),
    mask=st.integers(0, 31),
)
def test_relabelled_csv_reads_as_the_same_table_with_other_labels(
    rows, delimiter, newline, quote_all, label, mask
):
    import csv
    import io

    def written(table):
        out = io.StringIO(newline="")
        style = csv.QUOTE_ALL if quote_all else csv.QUOTE_NONNUMERIC
        csv.writer(out, delimiter=delimiter, lineterminator=newline, quoting=style).writerows(table)
        return out.getvalue().encode()

    table = [("path", "label", "x"), *((f"{i}", b, c) for i, (_, b, c) in enumerate(rows))]
    changed = {str(i) for i in range(len(rows)) if mask >> i & 1}

    def choose(path, said):
        return label if path in changed else said

    made = delimited.edit(
        written(table),
        encoding="utf-8",
        delimiter=delimiter,
        path_column="path",
        label_column="label",
        choose=choose,
    )
    expected = [(a, label if a in changed else b, c) for a, b, c in table]
    # QUOTE_NONNUMERIC quotes every text, so the whole file can be foretold.
    assert made == written(expected)
    back = csv.reader(io.StringIO(made.decode(), newline=""), delimiter=delimiter, strict=True)
    assert [tuple(row) for row in back] == expected


@settings(max_examples=150, deadline=None)
@given(
    rows=st.lists(
        st.dictionaries(
            st.sampled_from(["label", "x", "label ", "é"]),
            st.one_of(CELLS, st.integers(), st.floats(allow_nan=False), st.none(), st.booleans()),
        ),
        min_size=1,
        max_size=4,
    ),
    ascii_only=st.booleans(),
    label=CELLS.filter(lambda text: bool(text.strip())),
)
def test_json_lines_change_nothing_but_the_label(rows, ascii_only, label):
    lines = [json.dumps({"path": "p", **row}, ensure_ascii=ascii_only) for row in rows]
    data = "\n".join(lines).encode()
    same = json_table.edit(
        data, path_column="path", label_column="label", choose=lambda _path, said: said
    )
    assert same == data
    made = json_table.edit(
        data, path_column="path", label_column="label", choose=lambda _path, _said: label
    )
    for old, new in zip(rows, made.decode().split("\n"), strict=True):
        values = json.loads(new)
        said = values.pop("label")
        assert said == label or json.dumps(said) == label or str(said) == label
        assert list(values.items()) == [
            ("path", "p"),
            *((k, v) for k, v in old.items() if k != "label"),
        ]
