"""What an address asks for: known datasets, known positions, numbers in range; nothing else."""

import math
import re

from starlette.requests import Request

from audit.errors import InputError, NotFoundError
from audit.records.dataset import Dataset
from audit.workbench.shelf import Shelf

_ID = re.compile(r"[0-9a-z]{1,64}", re.ASCII)
_WHOLE = re.compile(r"[0-9]{1,12}", re.ASCII)
_LONGEST_SHOWN = 40


def dataset(shelf: Shelf, request: Request) -> Dataset:
    """Return the dataset whose whole id stands in the address.

    Raises
    ------
    NotFoundError
        If there is none.
    """
    asked = identity(request.path_params["dataset_id"], "dataset")
    found = shelf.dataset(asked)
    if found.id != asked:
        raise NotFoundError(f"There is no dataset with the id {asked!r}.")
    return found


def identity(text: str, noun: str) -> str:
    """Return a text that can be an id.

    Raises
    ------
    NotFoundError
        If nothing can have such an id.
    """
    if not _ID.fullmatch(text):
        raise NotFoundError(f"There is no {noun} with the id {_shown(text)}.")
    return text


def position(request: Request, dataset: Dataset) -> int:
    """Return the position that stands in the address.

    Raises
    ------
    InputError
        If it is no whole number.
    NotFoundError
        If the dataset has no such sample.
    """
    return _known(_parsed("position", request.path_params["position"]), dataset)


def positions(request: Request, dataset: Dataset, most: int) -> list[int]:
    """Return the positions in ``at=``, separated by commas, in their order.

    Raises
    ------
    InputError
        If there are none or more than `most`, or one is no whole number.
    NotFoundError
        If the dataset has no such sample.
    """
    text = request.query_params.get("at", "")
    parts = text.split(",", most) if text else []
    if not 0 < len(parts) <= most:
        raise InputError(f"at= takes 1 to {most} positions, separated by commas.")
    return [_known(_parsed("at", part), dataset) for part in parts]


def whole(request: Request, name: str, default: int, *, least: int = 0, most: int = 2**53) -> int:
    """Return a whole number of the query.

    Raises
    ------
    InputError
        If it is no whole number or lies outside its range.
    """
    text = request.query_params.get(name)
    if text is None or text == "":
        return default
    number = _parsed(name, text)
    if not least <= number <= most:
        raise InputError(f"{name}={number} lies outside {least} to {most}.")
    return number


def maybe_whole(request: Request, name: str) -> int | None:
    """Return a whole number of the query, ``None`` where it is not given."""
    return whole(request, name, 0) if request.query_params.get(name) else None


def maybe_real(request: Request, name: str) -> float | None:
    """Return a finite number of the query, ``None`` where it is not given.

    Raises
    ------
    InputError
        If it is not a finite number.
    """
    text = request.query_params.get(name)
    if not text:
        return None
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{name}={_shown(text)} is not a finite number.")
    return number


def maybe_text(request: Request, name: str) -> str | None:
    """Return a text of the query, ``None`` where it is not given."""
    return request.query_params.get(name) or None


def _known(position: int, dataset: Dataset) -> int:
    if position >= dataset.n_samples:
        raise NotFoundError(
            f"There is no sample at position {position}: the dataset has {dataset.n_samples}."
        )
    return position


def _parsed(name: str, text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise InputError(f"{name}={_shown(text)} is not a whole number from 0.")
    return int(text)


def _shown(text: str) -> str:
    return repr(text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…")
