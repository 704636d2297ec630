"""The colours of both themes can be read on each other, and the plots' palette agrees with them."""

import re
import tomllib
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from audit.ui import brand
from audit.ui.palette import DARK, LIGHT

ROOT = Path(__file__).resolve().parents[2]
THEME = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["theme"]
PALETTES = {"light": LIGHT, "dark": DARK}
HUES = ("red", "orange", "yellow", "green", "blue", "violet", "gray")


def luminance(colour):
    """Return the relative luminance of WCAG 2.2, in [0, 1]."""
    parts = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return sum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one, other):
    darker, brighter = sorted((luminance(one), luminance(other)))
    return (brighter + 0.05) / (darker + 0.05)


def test_contrast_is_that_of_the_standard():
    assert contrast("#ffffff", "#000000") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("name", PALETTES)
def test_every_text_can_be_read_on_its_ground(name):
    theme = THEME[name]
    grounds = [theme["backgroundColor"], theme["secondaryBackgroundColor"]]
    grounds += [theme["sidebar"]["backgroundColor"], theme["sidebar"]["secondaryBackgroundColor"]]
    for ground in grounds:
        assert contrast(theme["textColor"], ground) >= 7
        assert contrast(theme["linkColor"], ground) >= 4.5
        assert contrast(PALETTES[name].positive, ground) >= 4.5, "the primary colour as text"
        assert contrast(PALETTES[name].faint, ground) >= 4.5, "captions"
    assert contrast("#ffffff", theme["primaryColor"]) >= 4.5, "on buttons"
    assert contrast(theme["codeTextColor"], theme["codeBackgroundColor"]) >= 4.5
    header = (theme["dataframeHeaderTextColor"], theme["dataframeHeaderBackgroundColor"])
    assert contrast(*header) >= 4.5
    for hue in HUES:
        text = theme[f"{hue}TextColor"]
        assert contrast(text, theme[f"{hue}BackgroundColor"]) >= 4.5, hue
        assert contrast(text, theme["backgroundColor"]) >= 4.5, hue


@pytest.mark.parametrize("name", PALETTES)
def test_the_palette_of_plots_is_that_of_the_theme(name):
    theme, palette = THEME[name], PALETTES[name]
    assert (palette.ink, palette.paper) == (theme["textColor"], theme["backgroundColor"])
    assert palette.line == theme["borderColor"]
    for colour in ("given", "suggested", "positive", "negative", "threshold"):
        assert contrast(getattr(palette, colour), palette.paper) >= 3, colour


def test_the_logo_is_a_drawing_whose_letters_take_the_colour_of_the_theme():
    for palette in PALETTES.values():
        logo = brand._logo(palette.ink)
        assert ET.fromstring(logo).tag.endswith("svg")
        assert palette.ink in logo
    assert ET.parse(brand.MARK).getroot().get("viewBox") == "0 0 28 28"


def test_the_icons_of_the_pages_name_addresses_that_exist():
    style = brand._style(LIGHT)
    shell = (ROOT / "audit" / "ui" / "shell.py").read_text(encoding="utf-8")
    named = set(re.findall(r'\[href\$="/(\w*)"\]', style))
    assert named == set(re.findall(r'\("\w+/\w+\.py", "\w+", "(\w*)"\)', shell))
    assert "http" not in style.replace("http%3A//www.w3.org/2000/svg", "")
