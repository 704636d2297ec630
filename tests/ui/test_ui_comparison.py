"""Matrix, class rates, data map and the Compare page's address, without a browser."""

from types import SimpleNamespace

import numpy as np
import pytest

from audit.numerics import data_maps
from audit.numerics.data_maps import DataMap, Region
from audit.ui import class_rates, comparison_choice, data_map_plot, matrix
from audit.ui.comparison_choice import View
from audit.ui.matrix import Cell
from audit.ui.palette import DARK, LIGHT
from audit.workbench import data_map
from audit.workbench.comparing import ClassRates, Part
from audit.workbench.data_map import Mapped

HOSTILE = "<img src=x onerror=alert(1)>"
STAGED = SimpleNamespace(name="staged", n_samples=120)
METHODS = ("aum", "margin", "tanh_epoch")


@pytest.fixture
def drawn(monkeypatch):
    """Collect the HTML that is drawn."""
    bodies = []
    monkeypatch.setattr("streamlit.html", bodies.append)
    return bodies


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("colours", [LIGHT, DARK])
def test_text_can_be_read_on_every_shade_of_a_matrix(colours):
    for share in np.linspace(0, 1, 11):
        ground = matrix.mixed(colours.paper, colours.positive, matrix._STRONGEST * share)
        low, high = sorted((luminance(ground), luminance(colours.ink)))
        assert (high + 0.05) / (low + 0.05) >= 4.5


def test_a_matrix_shades_what_is_compared_and_escapes_what_it_is_told(drawn):
    rows = [("a", [Cell(large="1"), Cell(large=HOSTILE, small=HOSTILE, share=7.0)])]
    matrix.draw("Of two", [HOSTILE, "b"], rows, LIGHT)
    (body,) = drawn
    assert "<img" not in body
    assert body.count("&lt;img") == 3
    assert '<td class="lm-own"><b>1</b></td>' in body
    strongest = matrix.mixed(LIGHT.paper, LIGHT.positive, matrix._STRONGEST)
    assert f'<td style="background:{strongest}">' in body
    assert "<caption>Of two</caption>" in body


def rates(n_classes, *, small=()):
    shape = (1, n_classes)
    is_too_small = np.zeros(shape, dtype=bool)
    is_too_small[0, list(small)] = True
    return ClassRates(
        classes=np.arange(n_classes),
        n_scored=np.full(shape, 100),
        n_flagged=np.full(shape, 50),
        rates=np.full(shape, 0.5),
        low=np.full(shape, 0.4),
        high=np.full(shape, 0.6),
        overall=np.array([0.2]),
        is_too_small=is_too_small,
    )


def test_class_rates_say_in_words_what_the_bars_show(drawn):
    class_rates.draw([HOSTILE, "b"], ["aum"], rates(2, small=[1]), LIGHT)
    (body,) = drawn
    assert "<img" not in body
    assert "50 %</span>, 40 % to 60 %<small>50 of 100, above the whole</small>" in body
    assert "50 of 100<small>too small to judge</small>" in body
    assert "aum, 20 % of all" in body
    # The scale ends at the highest interval of a class that can be judged.
    assert "left:66.7%;width:33.3%" in body


def test_class_rates_of_very_many_classes_show_the_first(drawn):
    class_rates.draw([f"c{n}" for n in range(1_000)], ["aum"], rates(1_000), LIGHT)
    assert drawn[0].count('scope="row"') == class_rates.MOST


def mapped(correctness, n_epochs=10):
    n_rows = len(correctness)
    made = DataMap(
        confidence=np.linspace(0, 1, n_rows),
        variability=np.linspace(0.3, 0, n_rows),
        correctness=np.array(correctness),
        n_epochs=n_epochs,
    )
    return Mapped(
        run=SimpleNamespace(id="r", name="r"),
        positions=np.arange(n_rows) + 100,
        made=made,
        regions=data_maps.regions(made),
        ambiguous_from=data_maps.ambiguous_from(made),
        n_left_out=0,
    )


@pytest.mark.parametrize("colours", [LIGHT, DARK])
def test_every_point_is_drawn_once_with_its_sample_and_flagged_ones_on_top(colours):
    made = mapped([0, 1, 2, 3, 5, 7, 9, 10])
    flagged = np.zeros(108, dtype=bool)
    flagged[[100, 105]] = True
    points = data_map.points(made, flagged)
    plot = data_map_plot.figure(made, points, flagged, method=HOSTILE, colours=colours)
    clouds = [trace for trace in plot.data if trace.type == "scattergl"]
    named = np.concatenate([trace.customdata for trace in clouds])
    assert sorted(named.tolist()) == list(range(100, 108))
    on_top = np.concatenate([t.customdata for t in clouds[data_map_plot.STEPS :]])
    assert sorted(on_top.tolist()) == [100, 105]
    for trace in clouds:
        rows = np.asarray(trace.customdata, dtype=np.int64) - 100
        np.testing.assert_allclose(trace.y, made.made.confidence[rows], atol=1e-6)
        np.testing.assert_allclose(trace.x, made.made.variability[rows], atol=1e-6)
    assert "&lt;img" in plot.data[-1].name


def test_the_steps_of_correctness_are_fifths_and_have_their_own_colours():
    made = mapped([0, 1, 2, 3, 4, 5, 8, 9, 10])
    assert data_map_plot._steps(made).tolist() == [0, 0, 0, 1, 1, 2, 3, 4, 4]
    for colours in (LIGHT, DARK):
        shades = data_map_plot._shades(colours)
        assert (shades[0], shades[-1]) == (colours.suggested, colours.positive)
        assert len(set(shades)) == data_map_plot.STEPS


def test_an_address_without_choices_shows_flags_of_the_main_methods():
    choice, wrong = comparison_choice.parse({}, STAGED, METHODS)
    assert wrong == []
    assert (choice.methods, choice.first, choice.second) == (("aum", "margin"), "aum", "margin")
    assert (choice.view, choice.part, choice.top, choice.page) == (View.FLAGS, Part.FIRST, None, 1)
    assert choice.region is Region.HARD


def test_an_address_is_taken_with_all_it_names():
    asked = {
        "methods": "tanh_epoch,aum,aum", "top": "12", "view": "map", "first": "aum",
        "second": "tanh_epoch", "part": "both", "run": "r", "region": "easy", "page": "2",
    }  # fmt: skip
    choice, wrong = comparison_choice.parse(asked, STAGED, METHODS)
    assert wrong == []
    assert choice.methods == ("tanh_epoch", "aum"), "in the order of the choice, each once"
    assert (choice.first, choice.second, choice.top) == ("aum", "tanh_epoch", 12)
    assert (choice.view, choice.part, choice.run) == (View.MAP, Part.BOTH, "r")
    assert (choice.region, choice.page) == (Region.EASY, 2)


def test_a_pair_is_always_two_of_the_chosen_methods_where_there_are_two():
    for first, second in (("margin", "margin"), ("margin", "lsd"), ("margin", "tanh_epoch")):
        asked = {"methods": "aum,margin", "first": first, "second": second}
        choice, wrong = comparison_choice.parse(asked, STAGED, METHODS)
        assert (choice.first, choice.second, wrong) == ("margin", "aum", [])
    alone, _ = comparison_choice.parse({"methods": "margin"}, STAGED, METHODS)
    assert (alone.first, alone.second) == ("margin", "margin")


@pytest.mark.parametrize("top", ["0", "-3", "121", "1e2", "²", "9" * 30, "x"])
def test_a_number_that_is_none_leaves_own_cuts_and_is_said(top):
    choice, wrong = comparison_choice.parse({"top": top}, STAGED, METHODS)
    assert choice.top is None
    assert len(wrong) == 1
    assert "is no number of samples from 1 to 120" in wrong[0]
