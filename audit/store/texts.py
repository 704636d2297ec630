"""Texts that every database and file format of the store can hold."""

from collections.abc import Iterable

from audit.errors import InputError


def check(what: str, texts: Iterable[str]) -> None:
    """Check that texts can be stored.

    Parameters
    ----------
    what
        What they are, for the sentence: ``sample key``, ``class name``.
    texts
        What to check.

    Raises
    ------
    InputError
        If one holds a zero character or half a surrogate pair (a file name that is not UTF-8).
    """
    texts = tuple(texts)
    # One look at everything is a hundred times faster than one look at each of a million keys.
    if _is_storable("".join(texts)):
        return
    for text in texts:
        if not _is_storable(text):
            raise InputError(
                f"The {what} {text!r} holds a character that cannot be stored (a zero byte, or "
                "bytes that are not UTF-8): rename it."
            )


def check_name(what: str, name: str) -> None:
    """Check the name of a dataset or a run: storable and not blank.

    Raises
    ------
    InputError
        If it is blank or cannot be stored.
    """
    if not name.strip():
        raise InputError(f"A {what} needs a name, got {name!r}.")
    check(f"name of the {what}", [name])


def _is_storable(text: str) -> bool:
    if "\0" in text:
        return False
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
