"""Edit one value per object of a JSON table and leave every other byte as it is.

The table is JSON lines, or one list of objects.
"""

import codecs
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from audit.errors import InputError
from audit.exchange.delimited import Choose

_SPACE = re.compile(r"[ \t\r\n]*")
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
# Numbers stay as they are written: 1.0 and 1 are two class names.
_DECODER = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)

Span = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Object:
    """One object of the table: its span, and per key what it says and where."""

    start: int
    end: int
    texts: dict[str, str]
    spans: dict[str, Span]


def edit(data: bytes, *, path_column: str, label_column: str, choose: Choose) -> bytes:
    """Return the file with some labels changed and some objects gone.

    A corrected label is written the way the file itself writes that class in other objects (a
    number stays a number, an escape an escape), or as a string where no object has it.

    Parameters
    ----------
    data
        The file's bytes, UTF-8.
    path_column, label_column
        Keys that `choose` sees; the value of the label column is changed.
    choose
        Says what an object is to say.

    Raises
    ------
    InputError
        If the file is not UTF-8, neither JSON lines nor a list of objects, or an object has no such
        key to change.
    """
    mark = codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b""
    try:
        text = data[len(mark) :].decode()
    except UnicodeDecodeError as error:
        raise InputError(f"The table is not UTF-8 text: {error}.") from error
    try:
        objects = list(_objects(text, {path_column, label_column}))
    except (ValueError, RecursionError) as error:
        raise InputError("The table is neither JSON lines nor a list of JSON objects.") from error
    written: dict[str, str] = {}
    for one in objects:
        if label_column in one.spans:
            written.setdefault(one.texts[label_column], text[slice(*one.spans[label_column])])
    bodies: list[str | None] = []
    for one in objects:
        said = one.texts.get(label_column, "")
        label = choose(one.texts.get(path_column, ""), said)
        body = text[one.start : one.end]
        if label is not None and label != said:
            token = written.get(label) or _token(label, written.values())
            body = _relabelled(text, one, label_column, token)
        bodies.append(None if label is None else body)
    join = _joined_list if text.lstrip()[:1] == "[" else _joined_lines
    return mark + join(text, objects, bodies).encode()


def _token(label: str, others: Iterable[str]) -> str:
    """Return how a label is written that no object has yet."""
    is_bare = all(_NUMBER.fullmatch(token) for token in others if token not in ("null", '""'))
    if is_bare and _NUMBER.fullmatch(label):
        return label
    return json.dumps(label, ensure_ascii=False)


def _relabelled(text: str, one: _Object, label_column: str, token: str) -> str:
    if label_column in one.spans:
        start, end = one.spans[label_column]
        return text[one.start : start] + token + text[end : one.end]
    key = json.dumps(label_column, ensure_ascii=False)
    inside = text[one.start + 1 : one.end - 1]
    return "{" + inside + (", " if inside.strip() else "") + f"{key}: {token}" + "}"


def _joined_lines(text: str, objects: list[_Object], bodies: list[str | None]) -> str:
    """Put lines together again; an object that is gone takes its line end with it."""
    parts: list[str] = []
    position = 0
    for one, body in zip(objects, bodies, strict=True):
        line_end = text.find("\n", one.end) + 1 or len(text)
        if body is None:
            # What stands before it on its line is space, and blank lines before that stay.
            line_start = max(position, text.rfind("\n", 0, one.start) + 1)
            parts.append(text[position:line_start])
        else:
            parts.append(text[position : one.start] + body + text[one.end : line_end])
        position = line_end
    if bodies and bodies[-1] is None and not text.endswith("\n"):
        # The last line had no line end, and neither has the one that is the last now.
        return "".join(parts).removesuffix("\n").removesuffix("\r")
    return "".join(parts) + text[position:]


def _joined_list(text: str, objects: list[_Object], bodies: list[str | None]) -> str:
    """Put a list together again; an object that is gone takes one comma with it."""
    if not objects:
        return text
    kept = [place for place, body in enumerate(bodies) if body is not None]
    parts = [text[: objects[0].start]]
    for count, place in enumerate(kept):
        if count:
            # What stood before this object: comma, line end, indent.
            parts.append(text[objects[place - 1].end : objects[place].start])
        parts.append(bodies[place] or "")
    return "".join(parts) + text[objects[-1].end :]


def _objects(text: str, keys: set[str]) -> Iterator[_Object]:
    position = _space(text, 0)
    if text[position : position + 1] != "[":
        while position < len(text):
            one = _object(text, position, keys)
            yield one
            position = _space(text, one.end)
        return
    position = _space(text, position + 1)
    while text[position : position + 1] != "]":
        one = _object(text, position, keys)
        yield one
        position = _space(text, one.end)
        if text[position : position + 1] != "]":
            position = _after(text, position, ",")


def _object(text: str, start: int, keys: set[str]) -> _Object:
    """Read one object; a key that is written twice counts where it is written last."""
    texts: dict[str, str] = {}
    spans: dict[str, Span] = {}
    position = _after(text, start, "{")
    while text[position : position + 1] != "}":
        name, position = _DECODER.raw_decode(text, position)
        value_start = _after(text, _space(text, position), ":")
        value, end = _DECODER.raw_decode(text, value_start)
        if name in keys:
            spans[name] = (value_start, end)
            texts[name] = _as_text(value)
        position = _space(text, end)
        if text[position : position + 1] != "}":
            position = _after(text, position, ",")
    return _Object(start=start, end=position + 1, texts=texts, spans=spans)


def _as_text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else ""


def _space(text: str, position: int) -> int:
    match = _SPACE.match(text, position)
    assert match is not None, "the pattern matches any text"
    return match.end()


def _after(text: str, position: int, mark: str) -> int:
    if text[position : position + 1] != mark:
        raise ValueError(mark)
    return _space(text, position + 1)
