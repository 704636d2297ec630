"""The station's logic that needs no browser: keys, packs, pace."""

from pathlib import Path

from audit.ui.review_station import draw

HERE = Path(__file__).resolve().parent


def test_the_stations_logic_holds_in_javascript(node):
    node(HERE / "station.test.mjs")


def test_the_station_stands_in_no_fragment():
    # A new server knows no fragment of the old one: what was decided meanwhile would never arrive.
    assert not hasattr(draw, "__wrapped__")
