"""The demo, as the README's first command ends."""

import json

import pytest


@pytest.mark.slow
def test_the_demo_finds_most_planted_labels_and_reuses_what_is_sealed(demo):
    labeltrace, told = demo.terminal, json.loads(demo.answer.lines[-1])
    assert list(told) == ["samples", "planted", "found_in_top", "average_precision", "seconds"]
    assert (told["samples"], told["planted"]) == (1797, 144)
    assert told["found_in_top"] >= 135
    again = labeltrace("demo", "--no-app")
    assert "Using what an earlier demo has trained." in again.err
    assert json.loads(again.lines[-1]) | {"seconds": 0} == told | {"seconds": 0}
    assert not labeltrace.workspace.exists()
    assert labeltrace.workspace.with_name("workspace-demo").is_dir()
