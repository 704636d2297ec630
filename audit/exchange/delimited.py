r"""Edit the label column of a CSV or TSV file and leave every other byte as it is.

The file is cut into records that remember the span of their text, by the rules of Python's ``csv``
module: a quote counts only at the start of a cell, a doubled quote is one quote, and ``\r\n``,
``\n`` and ``\r`` all end a record outside quotes.
"""

import codecs
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from audit.errors import InputError

Choose = Callable[[str, str], str | None]
"""Path and label of a row, as its cells say them (empty where there is none) → the label that it is
to say (its own: nothing changes), or ``None`` to drop the row."""

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One record of a delimited text: where it lies and where its cells lie.

    Parameters
    ----------
    start, content_end, end
        Span in the text; `end` counts the line end too.
    cells
        Span of each cell, quotes included.
    """

    start: int
    content_end: int
    end: int
    cells: tuple[tuple[int, int], ...]

    def is_blank(self) -> bool:
        """Return whether the line holds nothing at all."""
        return self.start == self.content_end


def decode(data: bytes, encoding: str) -> tuple[bytes, str, str]:
    """Return the byte order mark, the text after it, and the codec that gives the same bytes back.

    Raises
    ------
    InputError
        If the bytes are not text of that encoding.
    """
    mark, codec = b"", encoding.lower().replace("_", "-").removesuffix("-sig")
    for bom, name in _BOMS:
        if data.startswith(bom) and codec.startswith(("utf-8", "utf8", "utf-16", "utf16")):
            mark, codec = bom, name
            break
    try:
        text = data[len(mark) :].decode(codec)
    except (UnicodeDecodeError, LookupError) as error:
        raise InputError(f"The table is not {encoding} text: {error}.") from error
    return mark, text, codec


def records(text: str, delimiter: str) -> Iterator[Record]:
    """Cut a text into records.

    Parameters
    ----------
    text
        A delimited text without byte order mark.
    delimiter
        One character.
    """
    stop = re.escape(delimiter) + "\r\n"
    cell = re.compile(
        rf'(?:"[^"]*(?:""[^"]*)*(?:"|\Z)[^{stop}]*|[^{stop}]*)({re.escape(delimiter)}|\r\n|\n|\r|\Z)'
    )
    position, length = 0, len(text)
    while position < length:
        start, cells = position, list[tuple[int, int]]()
        while True:
            match = cell.match(text, position)
            assert match is not None, "the pattern matches any text"
            cells.append((position, match.start(1)))
            position = match.end()
            if match.group(1) != delimiter:
                break
        yield Record(start=start, content_end=match.start(1), end=position, cells=tuple(cells))


def value(raw: str) -> str:
    """Return what a cell says, without its quotes.

    Examples
    --------
    >>> value('"a ""b"" c"'), value('5" disk')
    ('a "b" c', '5" disk')
    """
    if not raw.startswith('"'):
        return raw
    match = re.match(r'"([^"]*(?:""[^"]*)*)(?:"|\Z)', raw)
    assert match is not None, "the pattern matches any text that begins with a quote"
    return match.group(1).replace('""', '"') + raw[match.end() :]


def relabelled_cell(raw: str, label: str, delimiter: str) -> str:
    """Return a cell that says `label`, quoted if the old cell was or if it must be.

    Examples
    --------
    >>> relabelled_cell('"cat"', "dog", ","), relabelled_cell("cat", "a,b", ",")
    ('"dog"', '"a,b"')
    """
    if raw.startswith('"') or label.startswith('"') or any(c in label for c in delimiter + "\r\n"):
        return '"' + label.replace('"', '""') + '"'
    return label


def edit(
    data: bytes,
    *,
    encoding: str,
    delimiter: str,
    path_column: str,
    label_column: str,
    choose: Choose,
) -> bytes:
    """Return the file with some labels changed and some rows gone.

    Parameters
    ----------
    data
        The file's bytes.
    encoding, delimiter
        How it was read.
    path_column, label_column
        Names of the columns that `choose` sees; the label column is changed.
    choose
        Says what a row is to say.

    Raises
    ------
    InputError
        If the file is not such text, has no such column, or cannot hold a new label.
    """
    mark, text, codec = decode(data, encoding)
    found = records(text, delimiter)
    header = next((record for record in found if not record.is_blank()), None)
    names = [value(text[start:end]) for start, end in header.cells] if header else []
    missing = [name for name in (path_column, label_column) if name not in names]
    if header is None or missing:
        raise InputError(f"The table has no column {missing[0]!r}, it has {names}.")
    path_place, label_place = names.index(path_column), names.index(label_column)
    kept = [text[: header.end]]
    is_unended = is_last_gone = False
    for record in found:
        if record.is_blank():
            kept.append(text[record.start : record.end])
            continue
        said = _cell(text, record, label_place)
        label = choose(_cell(text, record, path_place), said)
        is_unended, is_last_gone = record.content_end == record.end, label is None
        if label is not None:
            kept.append(
                text[record.start : record.end]
                if label == said
                else _relabelled(text, record, label_place, label=label, delimiter=delimiter)
            )
    if is_unended and is_last_gone:
        # The table did not end with a line end, and still does not.
        kept[-1] = re.sub(r"(\r\n|\n|\r)\Z", "", kept[-1])
    try:
        return mark + "".join(kept).encode(codec)
    except UnicodeEncodeError as error:
        raise InputError(
            f"The table is written in {encoding}, which cannot hold {error.object[error.start]!r} "
            "of a corrected label: export as csv instead."
        ) from error


def _cell(text: str, record: Record, place: int) -> str:
    return value(text[slice(*record.cells[place])]) if place < len(record.cells) else ""


def _relabelled(text: str, record: Record, place: int, *, label: str, delimiter: str) -> str:
    n_missing = place - len(record.cells) + 1
    if n_missing > 0:
        cell = delimiter * n_missing + relabelled_cell("", label, delimiter)
        start = end = record.content_end
    else:
        start, end = record.cells[place]
        cell = relabelled_cell(text[start:end], label, delimiter)
    return text[record.start : start] + cell + text[end : record.end]
