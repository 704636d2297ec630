"""Cards of methods: the catalogue in words, and figures that are those of the benchmarks."""

import importlib.util
import json
from pathlib import Path

import pytest

from audit.detectors import catalog
from audit.detectors.protocol import Needs
from audit.records.run import Probe
from audit.workbench import method_cards

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"


@pytest.fixture(scope="module")
def gathering():
    """Return the script that writes the figures."""
    spec = importlib.util.spec_from_file_location(
        "method_figures", ROOT / "benchmarks" / "method_figures.py"
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_method_has_a_card_in_the_order_of_the_catalogue():
    assert tuple(card.entry.name for card in method_cards.cards()) == catalog.names()
    for card in method_cards.cards():
        assert card.needs[:3] in ("one", "two", "thr"), card.needs
        assert "trainings" in card.cost or "training" in card.cost or "run" in card.cost


def test_the_figures_are_those_of_the_benchmarks(gathering):
    made = gathering.as_text(gathering.gather(RESULTS))
    stored = gathering.FIGURES.read_text(encoding="utf-8")
    assert stored == made, "run python benchmarks/method_figures.py"


def test_a_card_shows_what_a_result_says_digit_by_digit():
    summary = json.loads((RESULTS / "detectors-cifar10-aggregate-features.json").read_text())[
        "summary"
    ]
    card = next(card for card in method_cards.cards() if card.entry.name == "aum")
    figure = next(f for f in card.figures if (f.preset, f.n_wrong) == ("features", 912))
    ends = summary["aum"]["average_precision"]
    shown = figure.average_precision
    assert [shown.low, shown.middle, shown.high] == ends
    assert (figure.n, figure.n_samples) == (3, 10_000)
    assert figure.labels_in_words.endswith("10,000 samples, 9.1% wrong")
    margin = next(card for card in method_cards.cards() if card.entry.name == "margin")
    assert all(f.f1 is None for f in margin.figures), "a ranking has no flags to measure"


def test_of_results_on_the_same_labels_the_one_with_most_seeds_counts(gathering, tmp_path):
    def write(name, n, value, **more):
        seeds = [{"wrong": 1, "samples": 10, "methods": {}}] * n
        figures = {"average_precision": [value] * 3}
        report = {"source": "x.npz", "preset": "quick", "n": n, "seeds": seeds}
        report |= {"summary": {"margin": figures, "mean loss": figures}} | more
        (tmp_path / name).write_text(json.dumps(report))

    write("a.json", 3, 0.7)
    write("b.json", 1, 0.9)
    write("c.json", 1, 0.5, planted="pair:0.2")
    write("d.json", 1, 0.4, budget="quick")
    (tmp_path / "page.json").write_text('{"opened": [1, 2]}')
    found = gathering.gather(tmp_path)
    assert [(f["labels"], f["budget"], f["average_precision"][0]) for f in found] == [
        ("x.npz", "full", 0.7),
        ("x.npz", "quick", 0.4),
        ("x.npz, pair noise planted at 20 %", "full", 0.5),
    ]


def test_needs_are_told_whatever_a_new_method_asks_for():
    class Entry:
        needs = Needs(probe=Probe.PLANTED, n_runs=1, also=(Probe.NONE, Probe.CORRUPTED))

    said = method_cards.needs(Entry)
    assert said == (
        "one run with planted labels; takes an ordinary one or one with corrupted copies too"
    )
