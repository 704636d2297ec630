"""Tables: every value as the text it is, columns found or asked for, rows that repeat or contradict."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.datasets import sources, table
from audit.datasets.delimited import DelimitedTable
from audit.errors import InputError


def plan_of(put, text, name="labels.csv", **asked):
    return sources.plan(put(name, text), **asked)


def given_texts(plan):
    return [plan.class_names[label] if label >= 0 else None for label in plan.given_labels]


@pytest.fixture
def images(put):
    for name in ("a.png", "b.png", "c.png"):
        put(name)


def test_paths_start_from_the_tables_folder_and_keys_are_paths_as_written(put, tmp_path, images):
    absolute = put("elsewhere/d.png")
    plan = plan_of(
        put, f"path,label\na.png,cat\n./b.png,dog\n../{tmp_path.name}/c.png,cat\n{absolute},dog\n"
    )
    assert plan.sample_keys == ("a.png", "./b.png", f"../{tmp_path.name}/c.png", str(absolute))
    assert plan.paths == plan.sample_keys
    assert plan.problems == {}
    assert plan.source.root == str(tmp_path)
    assert plan.source.labels == plan.source.location == str(tmp_path / "labels.csv")
    assert plan.suggested_name == "labels"


def test_values_are_text_exactly_as_written(put, images):
    plan = plan_of(put, "path,label\na.png,01\nb.png,1\nc.png,1.0\na.png,NA\nb.png,nan\nc.png, x\n")
    assert given_texts(plan) == ["01", "1", "1.0", "NA", "nan", " x"]
    assert plan.class_names == (" x", "01", "1", "1.0", "NA", "nan")


def test_class_names_that_look_like_paths_are_names(put, images):
    plan = plan_of(put, 'path,label\na.png,..\nb.png,a/b\nc.png,"x\ny"\n')
    assert plan.class_names == ("..", "a/b", "x\ny")


def test_empty_and_blank_labels_are_unlabelled_and_no_problem(put, images):
    plan = plan_of(put, "path,label\na.png,\nb.png,   \nc.png,x\na.png,y\n")
    assert given_texts(plan)[:3] == [None, None, "x"]
    assert plan.problems == {}


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiter_line_ends_and_byte_order_mark_are_found_and_kept(
    put, images, delimiter, newline, mark
):
    rows = [["path", "label"], ["a.png", "x"], ["b.png", "y, or z; or | not"]]
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator=newline).writerows(rows)
    plan = plan_of(put, mark + out.getvalue())
    assert plan.class_names == ("x", "y, or z; or | not")
    options = plan.source.options
    assert options["delimiter"] == delimiter
    assert options["newline"] == newline
    assert options["encoding"] == ("utf-8-sig" if mark else "utf-8")
    assert options["quoting"] == "minimal"
    assert json.loads(options["columns"]) == ["path", "label"]
    assert options["path_column"] == "path"
    assert options["label_column"] == "label"


def test_quoting_of_all_cells_is_told_from_quoting_where_needed(put, images):
    quoted = plan_of(put, '"path","label"\n"a.png","x"\n"b.png","y"\n')
    assert quoted.source.options["quoting"] == "all"
    mixed = plan_of(put, 'path,"label"\na.png,x\n"b.png",y')
    assert mixed.source.options["quoting"] == "mixed"
    assert mixed.source.options["final_newline"] == "no"


def test_utf16_and_windows_texts_are_read(put, images):
    text = "path,label\na.png,Käse\nb.png,x\n"
    assert plan_of(put, text.encode("utf-16")).class_names == ("Käse", "x")
    old = plan_of(put, text.encode("cp1252"))
    assert old.class_names == ("Käse", "x")
    assert "Windows-1252" in old.warnings[0]


def test_names_with_spaces_quotes_newlines_rtl_and_emoji_are_found_on_disk(put):
    names = ["a b.png", 'q".png', "new\nline.png", "שלום.png", "🐈.png"]
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(["path", "label"])
    for number, name in enumerate(names):
        put(name)
        writer.writerow([name, f"{name} {number % 2}"])
    plan = plan_of(put, out.getvalue())
    assert list(plan.sample_keys) == names
    assert plan.problems == {}


def test_the_same_path_with_another_label_gets_its_own_key_and_a_warning(put, images):
    put("a.png#2")
    plan = plan_of(put, "path,label\na.png,x\na.png,y\na.png#2,x\na.png,z\nb.png,x\n")
    assert plan.sample_keys == ("a.png", "a.png#3", "a.png#2", "a.png#4", "b.png")
    assert plan.paths == ("a.png", "a.png", "a.png#2", "a.png", "b.png")
    warning = next(text for text in plan.warnings if "another label" in text)
    assert "'a.png' (rows 2 and 3)" in warning
    assert "2 later rows" in warning


def test_the_same_row_twice_is_skipped_with_both_row_numbers(put, images):
    plan = plan_of(put, "path,label\na.png,x\nb.png,y\n\na.png,x\n,x\n")
    assert plan.sample_keys == ("a.png", "b.png")
    assert [(one.name, one.reason) for one in plan.skipped] == [
        ("a.png", "row 5 repeats row 2"),
        ("row 6", "the row has no path"),
    ]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["p", "p#2", "q"]), st.sampled_from(["x", "y", "z"]))))
def test_row_keys_are_distinct_and_name_each_path_and_label_once(rows):
    keys = table.row_keys([path for path, _ in rows], [label for _, label in rows])
    made = [key.sample_key for key in keys if key.is_new]
    assert len(made) == len(set(made)) == len(set(rows))
    by_row = {}
    for key, row in zip(keys, rows, strict=True):
        assert by_row.setdefault(row, key.sample_key) == key.sample_key


def test_bad_paths_become_problems_and_the_rest_goes_on(put, tmp_path, images):
    put("zero.png", b"")
    put("folder/x.png")
    rows = [
        "gone.png",
        "zero.png",
        "folder",
        "https://example.org/x.png",
        "a\0b.png",
        "a.png",
        "b.png",
    ]
    text = "path,label\n" + "".join(f"{row},{'xy'[i % 2]}\n" for i, row in enumerate(rows))
    plan = plan_of(put, text)
    said = {plan.sample_keys[position]: text for position, text in plan.problems.items()}
    assert set(said) == set(rows) - {"a.png", "b.png"}
    assert f"does not exist under {tmp_path}" in said["gone.png"]
    assert "is a folder" in said["folder"]
    assert "download" in said["https://example.org/x.png"]
    assert len(plan.sample_keys) == len(rows)


def test_a_table_none_of_whose_files_exist_says_so_at_the_top_of_the_plan(put, tmp_path, images):
    plan = plan_of(put, "path,label\na,x\nb,y\n")
    assert len(plan.problems) == 2
    assert any("None of the 2 files can be used" in text for text in plan.warnings)


def test_columns_are_found_by_name_in_any_case_and_order(put, images):
    plan = plan_of(put, "Class , note,FileName\nx,1,a.png\ny,2,b.png\n")
    assert plan.class_names == ("x", "y")
    assert plan.source.options["label_column"] == "Class "
    assert plan.sample_keys == ("a.png", "b.png")


@pytest.mark.parametrize(
    "name",
    ["true_label", "clean_label", "curated_label", "gold", "corrected_label", "verified_class"],
)
def test_columns_that_look_like_truth_are_never_taken_for_the_label(put, images, name):
    with pytest.raises(InputError, match="--label-column") as caught:
        plan_of(put, f"path,{name}\na.png,x\nb.png,y\n")
    assert repr(name) in str(caught.value)
    forced = plan_of(put, f"path,{name}\na.png,x\nb.png,y\n", label_column=name)
    assert forced.class_names == ("x", "y")
    assert forced.truth is None


def test_clear_truth_is_found_and_may_bring_classes_of_its_own(put, images):
    plan = plan_of(put, "path,label,true_label\na.png,x,x\nb.png,y,z\nc.png,x,\n")
    assert plan.class_names == ("x", "y", "z")
    assert plan.truth is not None
    assert plan.truth.true_labels.tolist() == [0, 2, -1]
    assert any("no image with that given label: 'z'" in text for text in plan.warnings)
    assert plan_of(put, "path,label,gold\na.png,x,x\nb.png,y,z\n").truth is None
    forced = plan_of(put, "path,label,gold\na.png,x,x\nb.png,y,z\n", truth_column="gold")
    assert forced.truth is not None
    assert forced.truth.true_labels.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("header", "asked", "said"),
    [
        ("file,label", {}, "--path-column"),
        ("path,kind", {}, "--label-column"),
        ("path,class,target", {}, "'class' and 'target'"),
        ("path,label", {"label_column": "lable"}, "'lable' (--label-column)"),
        ("path,label", {"split_column": "part"}, "'part' (--split-column)"),
        ("path,label", {"label_column": "path"}, "both path and label"),
        ("path,label,label", {}, "2 columns 'label'"),
    ],
)
def test_missing_or_ambiguous_columns_name_those_present_and_the_flag(put, header, asked, said):
    n_cells = header.count(",")
    with pytest.raises(InputError) as caught:
        plan_of(put, f"{header}\na.png{',x' * n_cells}\nb.png{',y' * n_cells}\n", **asked)
    text = str(caught.value)
    assert said in text
    assert "labels.csv" in text
    assert "\n" not in text
    if "2 columns" not in said:
        assert all(repr(name) in text for name in header.split(","))


def test_splits_are_folded_and_unknown_ones_name_row_and_value(put, images):
    plan = plan_of(
        put, "path,label,Split\na.png,x,Training\nb.png,y,DEV\nc.png,x,testing\na.png,y,\n"
    )
    assert plan.splits.tolist() == [0, 1, 2, 0]
    assert any("without a split" in text for text in plan.warnings)
    forced = plan_of(put, "path,label,part\na.png,x,valid\nb.png,y,test\n", split_column="part")
    assert forced.splits.tolist() == [1, 2]
    with pytest.raises(InputError, match="row 3 has the unknown split 'fold3'"):
        plan_of(put, "path,label,split\na.png,x,train\nb.png,y,fold3\n")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("path,label\n", "no row"),
        ("path,label\na.png,x\nb.png,x\n", "only 'x'"),
        ("path,label\na.png,\n", "none"),
        ("path,label\na.png,x\nb.png,y,z\n", "row 3 has 3 cells"),
        ('path,label\na.png,x\nb.png,"y\n', "row 3 cannot be read"),
        (b"\x00\x01\x02\xff\xfe" * 20, "not text"),
        (b"PK\x03\x04" + b"\x00\x81\x8d" * 20, "not text"),
    ],
)
def test_tables_that_cannot_be_used_are_refused_in_one_sentence(put, text, said):
    with pytest.raises(InputError) as caught:
        plan_of(put, text)
    assert said in str(caught.value)
    assert "labels.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_parquet_is_read_as_text(put, tmp_path, images):
    frame = pd.DataFrame(
        {"path": ["a.png", "b.png", "c.png"], "label": [3, 10, 3], "true_label": [3.0, None, 10.0]}
    )
    frame.to_parquet(tmp_path / "t.parquet")
    plan = sources.plan(tmp_path / "t.parquet")
    assert plan.class_names == ("10", "3")
    assert plan.truth is not None
    assert plan.truth.true_labels.tolist() == [1, -1, 0]
    assert plan.source.options["format"] == "parquet"
    frame["label"] = pd.Categorical(["01", "1", None])
    frame.to_parquet(tmp_path / "t.parquet")
    assert given_texts(sources.plan(tmp_path / "t.parquet")) == ["01", "1", None]


def test_a_parquet_column_of_lists_or_a_damaged_file_is_refused(put, tmp_path):
    pd.DataFrame({"path": ["a.png"], "label": [["x"]]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="'label' holds list"):
        sources.plan(tmp_path / "t.parquet")
    with pytest.raises(InputError, match="no Parquet file"):
        plan_of(put, b"PAR1 and nothing else", name="t.parquet")


@pytest.mark.parametrize("name", ["t.jsonl", "t.json"])
def test_json_lines_keep_numbers_as_they_are_written(put, images, name):
    text = (
        '\ufeff{"file_name": "a.png", "label": 1.0}\r\n\r\n'
        '{"file_name": "b.png", "label": 1}\r\n'
        '{"file_name": "c.png", "label": null, "true_label": "01"}\r\n'
    )
    plan = plan_of(put, text, name=name)
    assert plan.class_names == ("01", "1", "1.0")
    assert given_texts(plan) == ["1.0", "1", None]
    assert plan.source.options["format"] == "jsonl"
    assert plan.source.options["newline"] == "\r\n"


def test_a_json_list_of_objects_is_a_table_too(put, images):
    plan = plan_of(
        put, '[{"path": "a.png", "label": true}, {"path": "b.png", "label": "x"}]', "t.json"
    )
    assert plan.class_names == ("true", "x")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"path": "a.png", "label": "x"}\n{"path": ', "row 2 is not valid JSON"),
        ('{"path": "a.png", "label": "x"}\n7\n', "row 2 is not a JSON object"),
        ('{"path": "a.png", "label": ["x"]}\n', "'label' in row 1"),
        ("[" * 100_000, "not valid JSON"),
        ("", "empty"),
        (
            '{"path": "a.png", "label": "\\ud800"}\n{"path": "b.png", "label": "y"}\n',
            "row 1 has a label",
        ),
    ],
)
def test_damaged_json_lines_name_the_row(put, text, said):
    with pytest.raises(InputError) as caught:
        plan_of(put, text, name="t.jsonl")
    assert said in str(caught.value)


def test_a_path_that_is_no_text_is_skipped_with_its_row(put, images):
    text = "".join(
        json.dumps({"path": path, "label": label}) + "\n"
        for path, label in [("a.png", "x"), ("b\ud800.png", "y"), ("c.png", "y")]
    )
    plan = plan_of(put, text, name="t.jsonl")
    assert plan.sample_keys == ("a.png", "c.png")
    assert plan.skipped[0].name == "row 2"


def test_ten_thousand_classes_with_one_image_each_make_short_warnings(put, images):
    rows = "".join(f"a.png,class {number:05d}\n" for number in range(10_000))
    plan = plan_of(put, "path,label\n" + rows)
    assert len(plan.class_names) == 10_000
    assert len(set(plan.sample_keys)) == 10_000
    assert all(len(warning) < 300 for warning in plan.warnings)


def test_labels_for_a_folder_are_resolved_where_more_files_exist(put, tmp_path):
    for name in ("x/1.png", "x/2.png"):
        put(f"data/{name}")
    beside = put("data/t.csv", "path,label\nx/1.png,a\nx/2.png,b\n")
    plan = sources.plan(tmp_path / "data", labels=beside)
    assert plan.source.root == str(tmp_path / "data")
    assert plan.problems == {}
    away = put("lists/t.csv", "path,label\nx/1.png,a\nx/2.png,b\n")
    plan = sources.plan(tmp_path / "data", labels=away)
    assert plan.source.root == plan.source.location == str(tmp_path / "data")
    assert plan.source.labels == str(away)
    above = put("t.csv", "path,label\ndata/x/1.png,a\ndata/x/2.png,b\n")
    plan = sources.plan(tmp_path / "data", labels=above)
    assert plan.source.root == str(tmp_path)
    assert any(str(tmp_path) in warning for warning in plan.warnings)
    assert plan.problems == {}


def test_flags_without_a_table_are_refused(put, tmp_path):
    for key in ("d/a/1.png", "d/b/1.png"):
        put(key)
    with pytest.raises(InputError, match="--label-column goes with a table"):
        sources.plan(tmp_path / "d", label_column="x")
    csv_file = put("t.csv", "path,label\n")
    with pytest.raises(InputError, match="--labels goes with a folder"):
        sources.plan(csv_file, labels=csv_file)
    with pytest.raises(InputError, match=r"gone\.csv does not exist"):
        sources.plan(tmp_path / "d", labels=tmp_path / "gone.csv")


def test_a_moved_table_and_its_images_are_found_again(put, tmp_path):
    put("old/a.png")
    put("old/b.png")
    file = put("old/t.csv", "img,species,gold\na.png,x,x\nb.png,y,x\n")
    before = sources.plan(file, truth_column="gold")
    (tmp_path / "old").rename(tmp_path / "new")
    after = sources.replan(before.source, tmp_path / "new")
    assert after.fingerprint == before.fingerprint
    assert after.problems == {}
    assert after.source.location == after.source.labels == str(tmp_path / "new" / "t.csv")
    assert after.truth is not None
    assert sources.replan(after.source).fingerprint == before.fingerprint


def test_images_that_moved_away_from_their_table_are_found_again(put, tmp_path):
    put("images/a.png")
    put("images/b.png")
    file = put("lists/t.csv", "path,label\na.png,x\nb.png,y\n")
    before = sources.plan(tmp_path / "images", labels=file)
    (tmp_path / "images").rename(tmp_path / "moved")
    after = sources.replan(before.source, tmp_path / "moved")
    assert after.fingerprint == before.fingerprint
    assert after.problems == {}
    assert after.source.labels == str(file)


cells = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\n\0"), max_size=8)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(st.tuples(cells, cells), min_size=1, max_size=6),
    delimiter=st.sampled_from(",;\t|"),
    newline=st.sampled_from(["\n", "\r\n"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    mark=st.booleans(),
)
def test_any_table_written_by_the_csv_module_is_read_cell_for_cell_and_can_be_written_again(
    tmp_path: Path, rows, delimiter, newline, quoting, mark
):
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=delimiter, lineterminator=newline, quoting=quoting)
    writer.writerows([("path", "label"), *rows])
    data = out.getvalue().encode("utf-8-sig" if mark else "utf-8")
    file = tmp_path / "t.csv"
    file.write_bytes(data)
    opened = DelimitedTable(file)
    _, columns = opened.read(("path", "label"))
    expected = [[cell if cell.strip() else None for cell in row] for row in rows]
    assert [list(row) for row in zip(columns["path"], columns["label"], strict=True)] == expected
    options = opened.options
    again = io.StringIO(newline="")
    style = {"minimal": csv.QUOTE_MINIMAL, "all": csv.QUOTE_ALL}[options["quoting"]]
    writer = csv.writer(
        again, delimiter=options["delimiter"], lineterminator=options["newline"], quoting=style
    )
    writer.writerows([("path", "label"), *rows])
    assert again.getvalue().encode(options["encoding"]) == data


def test_truth_and_labels_are_int32_and_splits_int8(put, images):
    plan = plan_of(put, "path,label,true_label\na.png,x,x\nb.png,y,x\n")
    assert plan.given_labels.dtype == np.int32
    assert plan.splits.dtype == np.int8
    assert plan.truth is not None
    assert plan.truth.true_labels.dtype == np.int32


def test_a_parquet_table_that_unpacks_to_all_the_memory_is_refused(tmp_path):
    once = pa.DictionaryArray.from_arrays(pa.nulls(6_000_000, pa.int8()), pa.array(["a.png"]))
    pq.write_table(pa.table({"path": once, "label": once}), tmp_path / "labels.parquet")
    with pytest.raises(InputError, match=r"claims 6,000,000 rows in [0-9,]+ bytes"):
        sources.plan(tmp_path / "labels.parquet")
