"""Explanations as files: values that JSON can hold, and a picture in the dashboard's colours."""

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from audit.errors import InputError, RefusedError
from audit.exchange import explanation_files, explanation_picture
from audit.exchange.explanation_files import Sheet
from audit.records.explanation import Course, Envelope, Explanation, Faithfulness
from audit.ui.palette import LIGHT


def rgb(colour):
    return tuple(int(colour[at : at + 2], 16) for at in (1, 3, 5))


def n_pixels(picture, colour, top=0):
    return int((np.asarray(picture)[top:] == rgb(colour)).all(axis=2).sum())


def envelope(n_epochs, name, middle):
    return Envelope(
        name=name, percentiles=(10.0, 50.0, 90.0), low=(middle - 1,) * n_epochs,
        middle=(middle,) * n_epochs, high=(middle + 1,) * n_epochs, n_rows=9, n_used=9,
    )  # fmt: skip


def sheet(n_epochs=6, **changes):
    rng = np.random.default_rng(0)
    margins = tuple(rng.normal(size=n_epochs).tolist())
    n_blocks = min(n_epochs, 40)
    edges = np.linspace(0, n_epochs, n_blocks + 1).astype(int).tolist()
    found = Explanation(
        method="margin", scores_id="s", run_id="r", sample=0, signals=("margin",), n_epochs=n_epochs,
        blocks=tuple((a + 1, b) for a, b in itertools.pairwise(edges)),
        importance=tuple(0.5 if place % 2 else -0.25 for place in range(n_blocks)), intercept=0.0,
        r_squared=0.9, suspicion=0.9, suspicion_occluded=0.1, baseline_rows=8, baseline_label=None,
        n_masks=2000, seed=0,
        faithfulness=Faithfulness(
            blocks=(0,), moved=1.0, moved_at_random=0.5, share_less=0.9, n_draws=200, suspicion=0.5,
            suspicion_at_random=0.8,
        ),
    )  # fmt: skip
    course = Course(
        run_id="r", run_name="run", given="dog", margins=margins,
        said=tuple("dog" if margin > 0 else None for margin in margins),
        clean=envelope(n_epochs, "clean-looking samples", 2.0),
        planted=envelope(n_epochs, "threshold rows", -2.0),
    )  # fmt: skip
    return Sheet(
        dataset="pets", sample_key="a/b.png", explanation=replace(found, **changes), course=course,
        sentence="It was called a dog.", finding="R² 0.90", faithfulness="Faithful.", basis="By medians.",
    )  # fmt: skip


def test_json_holds_every_value_under_plain_names(tmp_path):
    out = tmp_path / "found.json"
    explanation_files.write(sheet(), out, force=False)
    told = json.loads(out.read_text(encoding="utf-8"))
    assert [told[key] for key in ("dataset", "sample_key", "given_label", "run", "method")] == [
        "pets", "a/b.png", "dog", "run", "margin",
    ]  # fmt: skip
    assert told["importance"][1] == {"first_epoch": 2, "last_epoch": 2, "importance": 0.5}
    assert (told["r_squared"], told["reliable"], told["sentence"]) == (0.9, True, sheet().sentence)
    assert told["faithfulness"]["blocks"] == [[1, 1]]
    assert told["trajectory"]["margin"] == list(sheet().course.margins)
    assert told["trajectory"]["planted"]["rows"] == "threshold rows"
    assert len(told["trajectory"]["clean_looking"]["low"]) == 6


def test_numbers_that_are_not_finite_become_null(tmp_path):
    made = sheet()
    broken = replace(
        made, course=replace(made.course, margins=(float("nan"), *made.course.margins[1:]))
    )
    explanation_files.write(broken, tmp_path / "found.json", force=False)
    told = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    assert told["trajectory"]["margin"][0] is None
    explanation_files.write(broken, tmp_path / "found.png", force=False)


@pytest.mark.parametrize("n_epochs", [1, 2, 5, 60, 1000])
def test_the_picture_is_1200_pixels_wide_and_shows_bars_in_both_directions(n_epochs, tmp_path):
    out = tmp_path / "found.png"
    explanation_files.write(sheet(n_epochs), out, force=False)
    with Image.open(out) as picture:
        assert picture.format == "PNG"
        assert picture.size[0] == 1200
        assert n_pixels(picture, LIGHT.ink) > 200
        assert n_pixels(picture, LIGHT.positive, top=500) > 500
        assert (n_pixels(picture, LIGHT.negative, top=500) > 500) == (n_epochs > 1)


def test_an_unreliable_explanation_is_drawn_without_bars():
    reliable, unreliable = (
        explanation_picture.draw(
            title="t", sentence="s", remarks=(), course=sheet().course,
            explanation=sheet(r_squared=r_squared).explanation,
        )
        for r_squared in (0.9, 0.1)
    )  # fmt: skip
    assert n_pixels(reliable, LIGHT.positive) > 10_000
    assert n_pixels(unreliable, LIGHT.positive) < 1_000
    assert unreliable.size[1] < reliable.size[1]


def test_bars_stand_where_their_epochs_are():
    picture = explanation_picture.draw(
        title="t", sentence="s", remarks=(), course=sheet(4).course,
        explanation=sheet(4, importance=(0.0, 0.0, 1.0, 0.0)).explanation,
    )  # fmt: skip
    is_bar = (np.asarray(picture)[540:] == rgb(LIGHT.negative)).all(axis=2)
    columns = np.flatnonzero(is_bar.sum(axis=0) > 60)
    # Four epochs share the 1,080 pixels right of 92: the third has 632 to 902.
    assert 628 <= columns.min() <= 640
    assert 895 <= columns.max() <= 906


def test_the_picture_has_the_colours_of_the_light_theme():
    drawn = explanation_picture
    for name in ("ink", "faint", "line", "paper", "given"):
        assert getattr(drawn, name.upper()) == getattr(LIGHT, name)
    same = {
        "OTHER": "suggested",
        "PLANTED": "threshold",
        "SUPPORTS": "positive",
        "SUSPECTS": "negative",
    }
    for own, name in same.items():
        assert getattr(drawn, own) == getattr(LIGHT, name)


@pytest.mark.parametrize("name", ["漢字", "\x1b[31m", "x" * 400, "", "a\nb"])
def test_any_name_can_be_drawn(name, tmp_path):
    made = sheet()
    named = replace(
        made, sample_key=name, sentence=name * 3, course=replace(made.course, given=name)
    )
    explanation_files.write(named, tmp_path / "found.png", force=False)
    with Image.open(tmp_path / "found.png") as picture:
        assert picture.size[0] == 1200


def test_other_endings_and_existing_files_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"must end in \.json or \.png"):
        explanation_files.write(sheet(), tmp_path / "found.pdf", force=True)
    out = tmp_path / "found.png"
    out.write_bytes(b"mine")
    with pytest.raises(RefusedError, match="exists already"):
        explanation_files.write(sheet(), out, force=False)
    assert out.read_bytes() == b"mine"
    explanation_files.write(sheet(), out, force=True)
    assert out.read_bytes().startswith(b"\x89PNG")
