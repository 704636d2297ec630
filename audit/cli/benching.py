"""Commands that measure this machine: bench."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

import typer

from audit.cli.following import progress
from audit.cli.runs import ArchitectureOption, DeviceOption, PrecisionOption
from audit.cli.session import JsonOption, Session
from audit.workbench import benching
from audit.workbench.benching import Row, Table, Wish


class Bench(StrEnum):
    """What can be measured."""

    TRAINING = "training"


def bench(
    session: Session,
    name: Annotated[
        Bench, typer.Argument(metavar="NAME", help="training: images per second of every loop.")
    ],
    architecture: ArchitectureOption = None,
    precision: PrecisionOption = None,
    device: DeviceOption = "auto",
    batch_size: Annotated[
        int | None, typer.Option("--batch-size", min=2, help="Instead of the preset's.")
    ] = None,
    rounds: Annotated[
        int, typer.Option("--rounds", min=3, help="Epochs that are counted of each loop.")
    ] = benching.ROUNDS,
    images: Annotated[
        int, typer.Option("--images", min=4, help="Images of an epoch; drawn at random.")
    ] = benching.IMAGES,
    loops: Annotated[
        str | None,
        typer.Option(
            "--loops", metavar="L,…", help="Only these rows of the table; by default all."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure how fast this machine trains, beside the loops that people write. Takes minutes."""
    del name  # there is one
    wish = Wish(
        architecture=architecture,
        precision=precision,
        device=device,
        batch_size=batch_size,
        rounds=rounds,
        images=images,
        loops=None if loops is None else tuple(loops.split(",")),
    )
    with progress(session, "bench training") as report:
        table = benching.measure(wish, report)
    for sentence in table.missing:
        session.say(sentence)
    if as_json:
        session.print_json(to_json(table))
    else:
        _show(session, table)


def to_json(table: Table) -> Mapping[str, Any]:
    """Return a table as plain JSON values."""
    return {
        "machine": dict(table.machine),
        "rows": [_row(row) for row in table.rows],
        "bound": _row(table.bound),
        "ratios": dict(table.ratios),
        "missing": list(table.missing),
    }


def _row(row: Row) -> Mapping[str, Any]:
    return {
        "name": row.name,
        "what": row.what,
        "architecture": row.architecture,
        "precision": row.precision,
        "images_per_second": {"median": row.median, "interval": [row.low, row.high]},
        "n": len(row.rounds),
        "rounds": list(row.rounds),
    }


_SAID = {
    "recording_slows_by": "Recording slows training by {:.1%}.",
    "ours_per_plain_loop": "ours is {:.2f} times plain_loop (the same network and precision).",
    "ours_per_plain_loop_aum": "ours is {:.2f} times plain_loop_aum.",
    "ours_per_stock_loop": "ours is {:.2f} times stock_loop (each with its own network).",
    "ours_per_stock_loop_aum": "ours is {:.2f} times stock_loop_aum.",
    "ours_per_bound": "ours reaches {:.0%} of the bound.",
}


def _show(session: Session, table: Table) -> None:
    at = table.machine
    session.print_table(
        ("loop", "what", "network", "precision", "images/s", "interval"),
        [
            (row.name, row.what, row.architecture, row.precision, f"{row.median:,.0f}", _span(row))
            for row in (*table.rows, table.bound)
        ],
    )
    for name, ratio in table.ratios.items():
        session.print(_SAID[name].format(ratio))
    session.print(
        f"{at['device']}, {at['cores']} cores; ours: {at['threads']} threads, {at['shards']} shards; batches "
        f"of {at['batch_size']} images of {at['image_size']} pixels; n = {at['rounds']} epochs of "
        f"{at['images']:,} images each, in turn; median and an interval for it."
    )


def _span(row: Row) -> str:
    return f"{row.low:,.0f} to {row.high:,.0f}"
