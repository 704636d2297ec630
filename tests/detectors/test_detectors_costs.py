"""What methods cost: the benchmark runs, and README and cards say what it measured."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from audit.detectors import catalog

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "benchmarks" / "costs.py"
RESULT = ROOT / "benchmarks" / "results" / "costs.json"


@pytest.fixture(scope="module")
def costs():
    spec = importlib.util.spec_from_file_location("labeltrace_costs", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look themselves up
    spec.loader.exec_module(module)
    return module


def test_every_kind_of_recording_is_scored_in_a_process_of_its_own(tmp_path):
    methods = ("aum", "lstm", "dynacor", "planted", "margin")
    out = tmp_path / "costs.json"
    options = ("--quick", "--repeat", "1", "--threads", "1", "--methods", ",".join(methods))
    words = [sys.executable, SCRIPT, *options, "--json", out]
    own = {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, env=os.environ | own, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(out.read_text())
    assert [row["method"] for row in told["costs"]] == list(methods)
    for row in told["costs"]:
        assert 0 < row["least"] <= row["seconds"] <= row["most"]
        assert 20 < row["megabytes"] < 2000
        assert (row["samples"], row["epochs"], row["n"]) == (1200, 16, 1)
    assert done.stdout.startswith("| samples × epochs | `aum` | `lstm` | `dynacor` | `planted` |")


def test_everything_is_measured_and_a_million_samples_stay_within_two_gigabytes(costs):
    rows = json.loads(RESULT.read_text())["costs"]
    measured = {(row["samples"], row["epochs"], row["method"]) for row in rows}
    wanted = {
        (size.samples, size.epochs, method) for size in costs.SIZES for method in size.methods
    }
    assert wanted <= measured
    assert max(row["megabytes"] for row in rows if row["samples"] == 1_000_000) < 2000


def test_the_readme_shows_the_table_that_was_measured(costs):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert costs.as_table(json.loads(RESULT.read_text())["costs"]) in readme


@pytest.mark.parametrize("name", catalog.names())
def test_a_card_says_what_was_measured(costs, name):
    cards = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
    own = cards.partition(f"### `{name}` ")[2].partition("\n### ")[0]
    assert costs.sentence(json.loads(RESULT.read_text())["costs"], name) in " ".join(own.split())
