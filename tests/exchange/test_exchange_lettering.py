"""Letters of any script in a picture: drawn by a font that has them, or named; never as empty boxes."""

import shutil
import sys

import pytest
from PIL import ImageFont

from audit.exchange import explanation_picture, lettering

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="fonts lie elsewhere there")


def forget():
    for cached in (lettering._finds, lettering._font, lettering._known_faces):
        cached.cache_clear()
    lettering._ASKED.clear()


@pytest.fixture
def system(monkeypatch, tmp_path):
    """Give a system without any font or program: the folder of its fonts, and that of its programs."""
    fonts, programs = tmp_path / "share" / "fonts", tmp_path / "bin"
    fonts.mkdir(parents=True)
    programs.mkdir()
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    monkeypatch.setenv("XDG_DATA_DIRS", str(tmp_path / "none"))
    monkeypatch.setenv("PATH", str(programs))
    forget()
    yield fonts, programs
    forget()


@pytest.fixture(scope="module")
def cyrillic():
    """Give the file of a font that has Cyrillic letters."""
    try:
        return ImageFont.truetype("DejaVuSans.ttf", 20).path
    except OSError:
        pytest.skip("the font DejaVu Sans is not installed")


def answers(programs, text):
    """Let fontconfig's program answer with a text."""
    program = programs / "fc-match"
    program.write_text(f"#!/bin/sh\n{text}\n")
    program.chmod(0o755)


def test_plain_letters_are_drawn_by_the_font_that_is_always_there(system):
    assert lettering.drawable("a class: ‘dog’, 10%…") == "a class: ‘dog’, 10%…"
    assert lettering.drawable("a\u00a0b\nc\x1b[m R²") == "a b c?[m R2"
    assert lettering.lacking("a\nb") == ""
    ((text, font),) = lettering.pieces("dog", 20)
    assert (text, font) == ("dog", lettering._font(None, 20))
    assert lettering.length("dog", 20) == font.getlength("dog")


def test_letters_that_no_font_has_are_named_and_never_boxes(system):
    assert lettering.drawable("猫 and 日本") == "[U+732B] and [U+65E5 672C]"
    assert lettering.drawable("\U0001f9ff") == "[U+1F9FF]"
    assert lettering.lacking("猫日猫") == "猫日"
    said = explanation_picture._lacking("猫日", "本x", "語")
    assert said == [
        "No font on this machine has U+732B, U+65E5, U+672C and others, so they are written as numbers: "
        "install one that has (Noto Sans CJK for Chinese, Japanese and Korean), or look at the .json, "
        "which has them."
    ]
    assert explanation_picture._lacking("dog") == []


def test_a_font_in_the_usual_folder_draws_what_the_own_one_lacks(system, cyrillic):
    fonts, _ = system
    assert lettering.drawable("кот") == "[U+043A 043E 0442]"
    shutil.copy(cyrillic, fonts / "DejaVuSans.ttf")
    forget()
    assert lettering.drawable("кот cat") == "кот cat"
    assert lettering.lacking("кот") == ""
    first, second = lettering.pieces("кот cat", 20)
    assert (first[0], second[0]) == ("кот", " cat")
    assert first[1].getname()[0] == "DejaVu Sans"
    assert lettering.length("кот cat", 20) == pytest.approx(
        first[1].getlength("кот") + second[1].getlength(" cat")
    )


def test_fontconfig_is_asked_for_a_font_of_another_name(system, cyrillic):
    fonts, programs = system
    shutil.copy(cyrillic, fonts / "of another name.ttf")
    answers(programs, f'echo "0 {fonts}/of another name.ttf"')
    assert lettering.drawable("кот 猫") == "кот [U+732B]", "its answer may lack the letter"


@pytest.mark.parametrize(
    "answer",
    [
        'echo "0 /no/such/font.ttf"',
        'echo "x"',
        "exit 3",
        r"printf '0 \377\376'",
        f'echo "9 {sys.executable}"',
        "true",
    ],
)
def test_an_answer_of_fontconfig_that_is_no_font_is_none(system, answer):
    _, programs = system
    answers(programs, answer)
    assert lettering.drawable("кот") == "[U+043A 043E 0442]"


def test_pictures_of_different_names_in_any_script_differ():
    drawn = []
    for name in ("кот", "дом", "猫犬", "山川"):
        pen = explanation_picture._Pen(60)
        pen.text(10, 10, name, size=24)
        drawn.append(pen.finished().tobytes())
    assert len(set(drawn)) == 4


@pytest.mark.parametrize("anchor", ["la", "ma", "rm"])
def test_letters_stand_where_pillow_puts_them(anchor):
    pen = explanation_picture._Pen(100)
    end = pen.text(300, 40, "Epoch 12", size=20, anchor=anchor)
    plain = explanation_picture._Pen(100)
    font = lettering._font(None, 40)
    plain._draw.text((600, 80), "Epoch 12", fill=explanation_picture.INK, font=font, anchor=anchor)
    found, wanted = pen.image.convert("L"), plain.image.convert("L")
    boxes = [image.point(lambda v: 255 * (v < 200)).getbbox() for image in (found, wanted)]
    assert max(abs(a - b) for a, b in zip(*boxes, strict=True)) <= 1
    assert end == pytest.approx(boxes[0][2] / 2, abs=2)
