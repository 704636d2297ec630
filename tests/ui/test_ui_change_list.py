"""The list of changed samples: what it computes in the browser."""

from pathlib import Path

HERE = Path(__file__).resolve().parent


def test_the_lists_logic_holds_in_javascript(node):
    node(HERE / "change_list.test.mjs")
