import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.errors import InputError, RefusedError
from audit.exchange import patch
from audit.records.decision import Decision, Verdict

MOMENT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HEADER = {
    "labeltrace_patch": 1,
    "dataset_fingerprint": "f" * 64,
    "classes": ["cat", "dog"],
    "base_version": "v1",
    "made_at": "2026-01-02T03:04:05Z",
}
LINE = {
    "sample_key": "a",
    "given_label": "cat",
    "verdict": "relabel",
    "label": "dog",
    "reviewer": "Ann",
    "decided_at": "2026-01-02T03:04:05Z",
    "note": "",
    "evidence": None,
}


@pytest.fixture
def pets(dataset_of):
    return dataset_of(keys=["b", "a", "ü"], labels=[1, 0, -1])


def write(path, dataset, decisions):
    patch.write(path, dataset=dataset, decisions=decisions, base_version="v1", made_at=MOMENT)


def put(path, *lines, header=HEADER):
    path.write_text("".join(json.dumps(line) + "\n" for line in (header, *lines)))
    return path


def test_a_patch_is_these_bytes_sorted_by_key(pets, decided, tmp_path):
    decisions = decided(pets, {"b": "keep", "a": "dog", "ü": "unsure"})
    decisions["a"] = replace(decisions["a"], note="clear", evidence={"rank": 3})
    write(tmp_path / "p", pets, decisions.values())
    assert (tmp_path / "p").read_text(encoding="utf-8") == (
        '{"labeltrace_patch": 1, "dataset_fingerprint": "' + "f" * 64 + '", '
        '"classes": ["cat", "dog"], "base_version": "v1", "made_at": "2026-01-02T03:04:05Z"}\n'
        '{"sample_key": "a", "given_label": "cat", "verdict": "relabel", "label": "dog", '
        '"reviewer": "Ann", "decided_at": "2026-01-02T03:04:05Z", "note": "clear", '
        '"evidence": {"rank": 3}}\n'
        '{"sample_key": "b", "given_label": "dog", "verdict": "keep", "label": "dog", '
        '"reviewer": "Ann", "decided_at": "2026-01-02T03:04:05Z", "note": "", "evidence": null}\n'
        '{"sample_key": "ü", "given_label": null, "verdict": "unsure", "label": null, '
        '"reviewer": "Ann", "decided_at": "2026-01-02T03:04:05Z", "note": "", "evidence": null}\n'
    )


def test_a_patch_without_decisions_is_valid(pets, tmp_path):
    write(tmp_path / "p", pets, [])
    assert patch.read(tmp_path / "p", pets).decisions == ()


TEXT = st.text(alphabet=st.characters(codec="utf-8"), max_size=20)


@given(
    keys=st.lists(TEXT, min_size=1, max_size=5, unique=True),
    note=TEXT,
    reviewer=TEXT.filter(lambda text: bool(text.strip())),
    moment=st.datetimes(
        timezones=st.just(timezone(timedelta(hours=2))), min_value=datetime(1980, 1, 1)
    ),
    evidence=st.none() | st.dictionaries(TEXT, st.floats(allow_nan=False, allow_infinity=False)),
    verdict=st.sampled_from(list(Verdict)),
)
def test_decisions_come_back_and_a_second_patch_is_the_same_bytes(
    dataset_of, tmp_path_factory, keys, note, reviewer, moment, evidence, verdict
):
    dataset = dataset_of(keys=keys, labels=[0] * len(keys), class_names=["K\u00e4\u2028", 'd"\n'])
    decisions = [
        Decision(
            dataset_id=dataset.id,
            sample_key=key,
            given_label="K\u00e4\u2028",
            verdict=verdict,
            label={"keep": "K\u00e4\u2028", "relabel": 'd"\n'}.get(verdict),
            reviewer=reviewer,
            decided_at=moment,
            note=note,
            evidence=evidence,
        )
        for key in sorted(keys)
    ]
    folder = tmp_path_factory.mktemp("patch")
    write(folder / "one", dataset, reversed(decisions))
    back = patch.read(folder / "one", dataset)
    assert list(back.decisions) == decisions
    assert (back.base_version, back.made_at) == ("v1", MOMENT)
    write(folder / "two", dataset, back.decisions)
    assert (folder / "one").read_bytes() == (folder / "two").read_bytes()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"dataset_fingerprint": "0"}, "The patch is for other data"),
        ({"classes": ["dog", "cat"]}, "lists other classes"),
        ({"labeltrace_patch": 2}, "version 2, this labeltrace reads up to 1"),
    ],
)
def test_a_patch_for_something_else_is_refused(pets, tmp_path, change, sentence):
    with pytest.raises(RefusedError, match=sentence):
        patch.read(put(tmp_path / "p", header=HEADER | change), pets)


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"sample_key": "zz"}, RefusedError, "Line 3 of the patch: 'pets' has no sample 'zz'."),
        (
            {"given_label": "dog"},
            RefusedError,
            "Line 3 of the patch: the given label of 'a' is 'cat'",
        ),
        ({"verdict": "maybe"}, InputError, "Line 3 of the patch: 'maybe' is no verdict"),
        ({"label": "owl"}, InputError, "Line 3 of the patch: 'owl' is no class of 'pets'"),
        ({"label": None}, InputError, "Line 3 of the patch: A relabel needs"),
        ({"label": 1}, InputError, "Line 3 of the patch: label must be a text, got 1"),
        ({"verdict": "keep"}, InputError, "Line 3 of the patch: keep leaves the label 'cat'"),
        ({"reviewer": " "}, InputError, "Line 3 of the patch: A decision needs a reviewer"),
        ({"decided_at": "2026"}, InputError, "Line 3 of the patch: '2026' "),
        ({"decided_at": "0001-01-01T00:00:00+05:00"}, InputError, "outside the years 1 to 9999"),
        ({"decided_at": None}, InputError, "Line 3 of the patch: decided_at must be a text"),
        ({"evidence": [1]}, InputError, "Line 3 of the patch: evidence must be an object"),
        ({"sample_key": "b", "given_label": "dog", "label": "cat"}, InputError, "line 2 too"),
    ],
)
def test_a_bad_line_is_named(pets, tmp_path, change, error, sentence):
    first = LINE | {"sample_key": "b", "given_label": "dog", "verdict": "unsure", "label": None}
    with pytest.raises(error) as caught:
        patch.read(put(tmp_path / "p", first, LINE | change), pets)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (b"", "Line 1 of the patch is not JSON"),
        (b"\xff\xfe", "Line 1 of the patch is not JSON"),
        (b"[1]\n", "Line 1 of the patch is not a JSON object"),
        (b"{}\n", "Line 1 of the patch: expected"),
        (json.dumps(HEADER).encode() + b"\n{\n", "Line 2 of the patch is not JSON"),
        (json.dumps(HEADER).encode() + b"\n" + b"[" * 100_000, "Line 2 of the patch is not JSON"),
        (json.dumps(HEADER | {"made_at": "x"}).encode(), "Line 1 of the patch: 'x' is not"),
    ],
)
def test_what_is_no_patch_is_said_in_one_sentence(pets, tmp_path, data, sentence):
    (tmp_path / "p").write_bytes(data)
    with pytest.raises(InputError, match=sentence):
        patch.read(tmp_path / "p", pets)


def test_a_missing_patch_is_named(pets, tmp_path):
    with pytest.raises(InputError, match="cannot be read: No such file"):
        patch.read(tmp_path / "p", pets)


def test_windows_line_ends_and_marks_are_read(pets, tmp_path):
    put(tmp_path / "p", LINE)
    text = (tmp_path / "p").read_bytes()
    (tmp_path / "p").write_bytes(b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"))
    assert [one.sample_key for one in patch.read(tmp_path / "p", pets).decisions] == ["a"]


def test_evidence_that_json_cannot_hold_is_refused(pets, decided, tmp_path):
    odd = replace(decided(pets, {"a": "dog"})["a"], evidence={"x": float("nan")})
    with pytest.raises(InputError, match="decision on 'a' cannot be written as JSON"):
        write(tmp_path / "p", pets, [odd])
