"""What labeltrace takes for many samples: the benchmark runs, and ``docs/scale.md`` says what it measured."""

import argparse
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "benchmarks" / "scale.py"
RESULT = ROOT / "benchmarks" / "results" / "scale.json"


def load(file: Path):
    spec = importlib.util.spec_from_file_location(f"labeltrace_{file.stem}", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def scale():
    return load(SCRIPT)


@pytest.fixture(scope="module")
def measured(scale):
    return json.loads(RESULT.read_text())["scale"]


def row(what="aum", samples=1000, median=2.0, **changes):
    values = {"what": what, "samples": samples, "epochs": 90, "classes": 5, "unit": "s", "n": 3}
    values |= {"median": median, "least": 1.5, "most": 2.5, "p95": 2.4}
    values |= {"processor": 1.25, "megabytes": 321}
    return values | changes


def test_every_part_measures_what_the_table_shows(scale, tmp_path):
    parts = load(SCRIPT.with_name("scale_parts.py"))
    options = {"folder": tmp_path, "samples": 400, "classes": 4, "epochs": 3, "repeat": 1}
    found = {}
    for part, times in scale.TIMES.items():
        if part == "page":  # a browser and a server of its own, as benchmarks/ranking_page.py
            continue
        for _ in range(times or 2):
            values = parts.PARTS[part](argparse.Namespace(part=part, **options))
            for name, some in values.items():
                found.setdefault(name, []).extend(some)
    assert set(found) == {one.name for one in scale.ROWS if one.part != "page"}
    assert all(clock > 0 for values in found.values() for clock, _ in values)
    assert len(found["epoch"]) == 2 * options["epochs"]
    lines = (tmp_path / "labels.csv").read_text().splitlines()
    assert len(lines) == 1 + 400 - 1  # of four decisions one excludes its sample


def test_parts_are_processes_of_their_own_and_leave_nothing_behind(tmp_path):
    out = tmp_path / "scale.json"
    place = tmp_path / "place"
    place.mkdir()
    options = ("--quick", "--samples", "40", "--repeat", "2", "--parts", "make,import_arrays")
    words = [sys.executable, SCRIPT, *options, "--in", place, "--json", out]
    own = {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, env=os.environ | own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not list(place.iterdir())
    (only,) = json.loads(out.read_text())["scale"]
    assert (only["what"], only["samples"], only["epochs"], only["n"]) == ("import_arrays", 40, 4, 2)
    assert 0 < only["least"] <= only["median"] <= only["most"]
    again = subprocess.run(
        [sys.executable, SCRIPT, "--table", out], env=os.environ | own, capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert again.stdout == done.stdout
    assert "| import of `.npz` |" in done.stdout


def test_a_line_says_median_reach_growth_and_whether_the_goal_is_met(scale):
    rows = [row(samples=1000), row(samples=10_000, median=10.0, least=9.0, most=11.0)]
    assert scale.as_table(rows).splitlines()[2:] == [
        "| `aum` of two runs, ranked | 2 (1.5 – 2.5) s | 10 (9 – 11) s | 0.50 | 1.25 s "
        "| 321 MB | 10 s, **missed** |"
    ]
    many = row(n=20, median=0.123, p95=150.4)
    assert scale.cell(many) == "0.123 (p95 150)"
    assert scale.cell(row(n=1)) == "2"
    assert scale.growth(rows[:1]) == "–"


def test_the_disk_is_asked_for_what_two_runs_take(scale):
    run = 1_000_000 * (6 * 4 * 90 + 4 * 100 + 13)
    assert 2 * run < scale.needed_bytes(1_000_000, 90, 100) < 2 * run + 2e9


def test_everything_is_measured_at_every_size_and_stays_within_two_gigabytes(scale, measured):
    there = {(one["what"], one["samples"]) for one in measured}
    assert there == {(line.name, n) for line in scale.ROWS for n in scale.SAMPLES}
    # That part looks at all of a larger recording first: pages of its files, which are no demand.
    looks_at_all = {line.name for line in scale.ROWS if line.part == "trajectory"}
    demands = [one["megabytes"] for one in measured if one["what"] not in looks_at_all]
    assert max(demands) <= scale.MOST_MEGABYTES


def test_the_page_shows_the_table_that_was_measured(scale, measured):
    assert scale.as_table(measured) in (ROOT / "docs" / "scale.md").read_text(encoding="utf-8")
