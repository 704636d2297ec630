"""An explanation as a picture: trajectory and bands above, importance of epochs below, one time axis."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from audit.exchange import lettering
from audit.records.explanation import Course, Envelope, Explanation

WIDTH = 1200
"""Of the picture in pixels."""

INK, FAINT, LINE, PAPER = "#1d1b16", "#6b655a", "#ddd7ca", "#fcfbf8"
GIVEN, OTHER, SUPPORTS, SUSPECTS, PLANTED = "#35589a", "#b4471f", "#0b6e69", "#b4471f", "#8a6d1d"
"""Those of the dashboard's light theme; suspects = raises suspicion."""

_SCALE = 2
"""Drawn so much larger and reduced, which smooths every line."""

_LEFT, _RIGHT = 92, 28
_EDGE = 32


@dataclass(frozen=True, slots=True)
class _Frame:
    """A plot: pixels of its edges, and the values at them."""

    top: float
    bottom: float
    n_epochs: int
    low: float
    high: float

    def x(self, epoch: float) -> float:
        """Return the place of an epoch; from 1, each one unit wide."""
        return _LEFT + (epoch - 0.5) / self.n_epochs * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        """Return the height of a value."""
        return self.bottom - (value - self.low) / (self.high - self.low) * (self.bottom - self.top)


class _Pen:
    """Draws in pixels of the finished picture."""

    def __init__(self, height: int) -> None:
        self.image = Image.new("RGB", (WIDTH * _SCALE, height * _SCALE), PAPER)
        self._draw = ImageDraw.Draw(self.image, "RGBA")

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: int = 17,
        colour: str = INK,
        anchor: str = "la",
    ) -> float:
        """Write one line and return where it ends; letters of all fonts stand on one line."""
        size, text = size * _SCALE, lettering.drawable(text)
        left, width = x * _SCALE, lettering.length(text, size)
        left -= {"l": 0.0, "m": width / 2, "r": width}[anchor[0]]
        baseline = y * _SCALE + lettering.baseline(size, anchor[1])
        at = left
        for part, font in lettering.pieces(text, size):
            self._draw.text((at, baseline), part, fill=colour, font=font, anchor="ls")
            at += font.getlength(part)
        return (left + width) / _SCALE

    def line(
        self, points: Sequence[tuple[float, float]], colour: str, *, width: float = 1.0
    ) -> None:
        scaled = [(x * _SCALE, y * _SCALE) for x, y in points]
        if len(scaled) > 1:
            self._draw.line(scaled, fill=colour, width=round(width * _SCALE), joint="curve")

    def dot(self, x: float, y: float, colour: str, *, radius: float = 3.0) -> None:
        x, y, radius = x * _SCALE, y * _SCALE, radius * _SCALE
        self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)

    def area(self, points: Sequence[tuple[float, float]], colour: str) -> None:
        if len(points) > 2:
            self._draw.polygon([(x * _SCALE, y * _SCALE) for x, y in points], fill=colour + "33")

    def box(self, left: float, top: float, right: float, bottom: float, colour: str) -> None:
        corners = (left, min(top, bottom), right, max(top, bottom))
        self._draw.rectangle([value * _SCALE for value in corners], fill=colour)

    def finished(self) -> Image.Image:
        return self.image.reduce(_SCALE)


def draw(
    *,
    title: str,
    sentence: str,
    remarks: Sequence[str],
    course: Course,
    explanation: Explanation,
) -> Image.Image:
    """Return the picture, `WIDTH` pixels wide, on light ground.

    Parameters
    ----------
    title, sentence, remarks
        Written above and below.
    course, explanation
        What is drawn; an explanation that is not reliable gets a line of text instead of bars.
    """
    told = _wrapped(sentence, size=18)
    said = [*remarks, *_lacking(title, sentence, *remarks)]
    notes = [line for remark in said for line in _wrapped(remark, size=16)]
    top = 74 + 24 * len(told)
    below = top + (690 if explanation.is_reliable else 500)
    pen = _Pen(below + 22 * len(notes) + 24)
    pen.text(_EDGE, 22, _wrapped(title, size=24)[0], size=24)
    for number, line in enumerate(told):
        pen.text(_EDGE, 60 + 24 * number, line, size=18)
    frame = _margin_frame(course, top + 30, top + 330)
    _margins(pen, frame, course)
    _said(pen, frame, course, top + 344)
    _importance(pen, explanation, course.n_epochs, top=top + 432, bottom=top + 632)
    for number, line in enumerate(notes):
        pen.text(_EDGE, below + 22 * number, line, size=16, colour=FAINT)
    return pen.finished()


def _margin_frame(course: Course, top: float, bottom: float) -> _Frame:
    values = [*course.margins]
    for band in (course.clean, course.planted):
        values += [] if band is None else [*band.low, *band.high]
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(0.0, *finite), max(0.0, *finite)
    room = 0.06 * (high - low) or 1.0
    return _Frame(top, bottom, course.n_epochs, low - room, high + room)


def _margins(pen: _Pen, frame: _Frame, course: Course) -> None:
    _grid(pen, frame)
    y = frame.top - 26
    x = pen.text(_LEFT, y, "Margin in logits:", size=15) + 28
    pen.line([(x, y + 9), (x + 24, y + 9)], INK, width=2.4)
    x = pen.text(x + 32, y, "this sample", size=15) + 28
    for band, colour in ((course.planted, PLANTED), (course.clean, GIVEN)):
        if band is None:
            continue
        _band(pen, frame, band, colour)
        pen.box(x, y + 2, x + 24, y + 16, colour + "55")
        low, _, high = band.percentiles
        x = pen.text(x + 32, y, f"{band.name}, {low:g} to {high:g}%", size=15) + 28
    pen.line([(_LEFT, frame.y(0)), (WIDTH - _RIGHT, frame.y(0))], FAINT, width=1.2)
    _curve(pen, frame, course.margins, INK, width=2.4)


def _band(pen: _Pen, frame: _Frame, band: Envelope, colour: str) -> None:
    epochs = [e for e, value in enumerate(band.middle, start=1) if math.isfinite(value)]
    if len(epochs) == 1:  # an area of one epoch is a bar
        (epoch,) = epochs
        top, bottom = frame.y(band.high[epoch - 1]), frame.y(band.low[epoch - 1])
        pen.box(frame.x(epoch) - 40, top, frame.x(epoch) + 40, bottom, colour + "33")
    upper = [(frame.x(e), frame.y(band.high[e - 1])) for e in epochs]
    lower = [(frame.x(e), frame.y(band.low[e - 1])) for e in epochs]
    pen.area([*upper, *reversed(lower)], colour)
    _curve(pen, frame, band.middle, colour, width=1.4)


def _curve(pen: _Pen, frame: _Frame, values: Sequence[float], colour: str, *, width: float) -> None:
    piece: list[tuple[float, float]] = []
    for epoch, value in enumerate(values, start=1):
        if math.isfinite(value):
            piece.append((frame.x(epoch), frame.y(value)))
            continue
        pen.line(piece, colour, width=width)
        piece = []
    pen.line(piece, colour, width=width)
    if len(values) == 1 and piece:
        pen.dot(*piece[0], colour, radius=5)


def _said(pen: _Pen, frame: _Frame, course: Course, top: float) -> None:
    """Draw what the network preferred in each epoch: the given label or another class."""
    for epoch, margin in enumerate(course.margins, start=1):
        if math.isfinite(margin):
            colour = GIVEN if margin > 0 else OTHER
            pen.box(frame.x(epoch - 0.5), top, frame.x(epoch + 0.5), top + 12, colour)
    _epochs(pen, frame, top + 17)
    x = float(_LEFT)
    for colour, words in ((GIVEN, "network says the given label"), (OTHER, "says another class")):
        pen.box(x, top + 44, x + 14, top + 56, colour)
        x = pen.text(x + 22, top + 41, words, size=15) + 28


def _importance(
    pen: _Pen, explanation: Explanation, n_epochs: int, *, top: float, bottom: float
) -> None:
    x = pen.text(_LEFT, top - 8, "Importance of epochs: ", size=15)
    x = pen.text(x, top - 8, "up raises", size=15, colour=SUSPECTS)
    x = pen.text(x, top - 8, " and ", size=15)
    x = pen.text(x, top - 8, "down lowers", size=15, colour=SUPPORTS)
    pen.text(x, top - 8, " the suspicion, in log-odds", size=15)
    if not explanation.is_reliable:
        pen.text(_LEFT, top + 22, "Unreliable, so no importance is drawn.", size=18)
        return
    values = explanation.importance
    low, high = min(0.0, *values), max(0.0, *values)
    room = 0.06 * (high - low) or 1.0
    frame = _Frame(top + 18, bottom, n_epochs, low - room, high + room)
    _grid(pen, frame)
    for (first, last), value in zip(explanation.blocks, values, strict=True):
        gap = min(2.0, (frame.x(1) - frame.x(0)) * 0.12)
        pen.box(
            frame.x(first - 0.5) + gap,
            frame.y(value),
            frame.x(last + 0.5) - gap,
            frame.y(0),
            SUSPECTS if value > 0 else SUPPORTS,
        )
    pen.line([(_LEFT, frame.y(0)), (WIDTH - _RIGHT, frame.y(0))], FAINT, width=1.2)
    _epochs(pen, frame, bottom + 6)
    pen.text(WIDTH / 2, bottom + 26, "Epoch", size=15, colour=FAINT, anchor="ma")


def _epochs(pen: _Pen, frame: _Frame, y: float) -> None:
    for epoch in _ticks(1, frame.n_epochs, most=12, whole=True):
        pen.text(frame.x(epoch), y, f"{epoch:g}", size=15, colour=FAINT, anchor="ma")


def _grid(pen: _Pen, frame: _Frame) -> None:
    for value in _ticks(frame.low, frame.high, most=6):
        y = frame.y(value)
        pen.line([(_LEFT, y), (WIDTH - _RIGHT, y)], LINE)
        pen.text(_LEFT - 10, y, f"{value:g}", size=15, colour=FAINT, anchor="rm")


def _ticks(low: float, high: float, *, most: int, whole: bool = False) -> list[float]:
    """Return round values within a range, at most about `most` of them.

    Examples
    --------
    >>> _ticks(-3.2, 7.9, most=6)
    [-2.0, 0.0, 2.0, 4.0, 6.0]
    >>> _ticks(1, 5, most=12, whole=True)
    [1.0, 2.0, 3.0, 4.0, 5.0]
    """
    raw = max((high - low) / most, 1e-12)
    size = 10.0 ** math.floor(math.log10(raw))
    step = next(size * times for times in (1, 2, 5, 10) if size * times >= raw)
    step = max(step, 1.0) if whole else step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(place * step, 12) for place in range(first, last + 1)]


def _wrapped(text: str, *, size: int) -> list[str]:
    """Return a text in lines that fit the width; long names are cut where they must be."""
    size, most = size * _SCALE, (WIDTH - 2 * _EDGE) * _SCALE
    lines = [""]
    for word in lettering.drawable(text).split():
        longer = f"{lines[-1]} {word}".lstrip()
        if lettering.length(longer, size) <= most:
            lines[-1] = longer
            continue
        lines.append("")
        for letter in word:
            if lettering.length(lines[-1] + letter, size) > most:
                lines.append("")
            lines[-1] += letter
    return [line for line in lines if line] or [""]


def _lacking(*texts: str) -> list[str]:
    """Return a sentence about letters that could not be drawn; none where all could."""
    letters = "".join(dict.fromkeys("".join(lettering.lacking(text) for text in texts)))
    if not letters:
        return []
    shown = ", ".join(f"U+{ord(letter):04X}" for letter in letters[:3])
    more = " and others" if len(letters) > 3 else ""
    return [
        f"No font on this machine has {shown}{more}, so they are written as numbers: install one that has "
        "(Noto Sans CJK for Chinese, Japanese and Korean), or look at the .json, which has them."
    ]
