"""Parts of the Compare page: how far methods agree, what one flags alone, classes, and the data map."""

from typing import Any

import numpy as np
import streamlit as st

from audit.numerics.data_maps import Region
from audit.ui import (
    class_rates,
    comparison_choice,
    data_map_plot,
    filters,
    gallery,
    matrix,
    palette,
)
from audit.ui.comparison_choice import Choice
from audit.ui.matrix import Cell
from audit.ui.texts import plain
from audit.workbench import comparing, data_map, ranking_view
from audit.workbench.comparing import Comparison, Judgement, Part
from audit.workbench.data_map import Mapped
from audit.workbench.ranking_view import Listing
from audit.workbench.shelf import Shelf

REGIONS = {
    Region.HARD: ("Hard", "Steadily sure of another class: label errors gather here."),
    Region.AMBIGUOUS: ("Ambiguous", "The third that the network changed its mind about most."),
    Region.EASY: ("Easy", "Steadily sure of the given label."),
}
"""Name and meaning of each region."""

_TRUTH = (
    ("Average precision", "average_precision"),
    ("ROC AUC", "roc_auc"),
    ("Precision at 95 % recall", "precision_at_95_recall"),
    ("Precision of flags", "precision"),
    ("Recall of flags", "recall"),
    ("F1 of flags", "f1"),
)


def agreement(shelf: Shelf, comparison: Comparison) -> None:
    """Draw overlaps, rank correlations and, where it is known, the truth."""
    colours, methods = palette.current(), comparison.methods
    judged = comparing.judge(shelf, comparison)
    with st.container(horizontal=True, gap="medium"):
        with st.container(width="content", gap="xsmall"):
            st.header("Common flags")
            st.caption("Jaccard: flagged by both ÷ flagged by either.")
            table = comparing.overlaps(comparison)
            rows = [(name, _overlap_cells(table[row], row)) for row, name in enumerate(methods)]
            matrix.draw("Overlap of the flags of every two methods", methods, rows, colours)
        with st.container(width="content", gap="xsmall"):
            st.header("Same order")
            st.caption("Spearman's ρ over all samples that both scored.")
            ranks = comparing.rank_correlations(shelf, comparison)
            rows = [(name, _rank_cells(ranks[row], row)) for row, name in enumerate(methods)]
            matrix.draw("Rank correlation of every two methods", methods, rows, colours)
        if judged:
            with st.container(width="content", gap="xsmall"):
                st.header("Against the truth")
                st.caption("True labels, which no method has seen.")
                rows = [(name, [_truth_cell(one, key) for one in judged]) for name, key in _TRUTH]
                matrix.draw("Figures of every method against the truth", methods, rows, colours)


def _overlap_cells(row: tuple[Any, ...], own: int) -> list[Cell]:
    return [
        Cell(large=f"{found.n_first:,}", small="flagged")
        if column == own
        else Cell(
            large="–" if np.isnan(found.jaccard) else f"{found.jaccard:.2f}",
            small=f"{found.n_both:,} common",
            share=0.0 if np.isnan(found.jaccard) else found.jaccard,
        )
        for column, found in enumerate(row)
    ]


def _rank_cells(row: np.ndarray, own: int) -> list[Cell]:
    return [
        Cell(large="1", small="itself")
        if column == own
        else Cell(large="–", small="undefined", share=0.0)
        if np.isnan(value)
        else Cell(large=f"{value:.2f}", share=float(value))
        for column, value in enumerate(row)
    ]


def _truth_cell(judged: Judgement, key: str) -> Cell:
    value = getattr(judged, key)
    return Cell(large="–" if value is None else f"{value:.3f}", share=value or 0.0)


def pair(shelf: Shelf, comparison: Comparison, choice: Choice) -> Listing:
    """Draw the choice of a pair and of the part of its samples, and return the list of these."""
    first, second = choice.first, choice.second
    st.header("Sample by sample")
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        if len(comparison.methods) > 2:
            _pick("First method", "first", first, [m for m in comparison.methods if m != second])
            _pick("Second method", "second", second, [m for m in comparison.methods if m != first])
        names = {
            Part.FIRST: f"Only {first}",
            Part.BOTH: "Both",
            Part.SECOND: f"Only {second}",
        }
        st.session_state["compare-part"] = choice.part
        st.segmented_control(
            "Flagged samples", list(names), key="compare-part", required=True,
            label_visibility="collapsed",
            on_change=lambda: comparison_choice.choose(part=str(st.session_state["compare-part"])),
            format_func=lambda part: _part_label(comparison, first, second, Part(part), names),
        )  # fmt: skip
    said = comparing.agree(shelf, comparison, first, second).in_words(first, second)
    positions = comparing.positions(comparison, first, second, choice.part)
    wrong = comparing.wrong_rate(shelf, comparison.dataset, positions)
    if wrong is not None:
        said += f" By the truth {100 * wrong:.0f} % of the labels below are wrong."
    st.caption(plain(said))
    return comparing.listing(shelf, comparison, first, second, choice.part, page=choice.page)


def _pick(label: str, key: str, chosen: str, names: list[str]) -> None:
    widget = f"compare-{key}"
    st.session_state[widget] = chosen
    with st.container(width=170):
        st.selectbox(
            label, names, key=widget,
            on_change=lambda: comparison_choice.choose(**{key: st.session_state[widget]}),
        )  # fmt: skip


def _part_label(
    comparison: Comparison, first: str, second: str, part: Part, names: dict[Part, str]
) -> str:
    n_samples = len(comparing.positions(comparison, first, second, part))
    return f"{plain(names[part])} · {n_samples:,}"


def classes(comparison: Comparison) -> None:
    """Draw the rates of flags by class, with a warning about classes that are too small."""
    dataset, rates = comparison.dataset, comparing.class_rates(comparison)
    st.header("Flagged part of each class")
    st.caption(
        "Bars are 95 % intervals (Wilson), the mark in them is the rate, the dashed line the rate over "
        "all classes. Classes come in the order of the first method's rates."
    )
    warning = comparing.too_small_in_words(rates)
    if warning is not None:
        st.warning(warning)
    class_rates.draw(dataset.class_names, comparison.methods, rates, palette.current())
    if len(rates.classes) > class_rates.MOST:
        st.caption(f"The first {class_rates.MOST} of {len(rates.classes):,} classes.")


def mapped(shelf: Shelf, comparison: Comparison, choice: Choice) -> Listing | None:
    """Draw the data map of a run beside its regions, and return the list of samples chosen on it.

    Returns
    -------
    Listing or None
        ``None`` where no run can be mapped; the reason stands on the page.

    Raises
    ------
    RefusedError
        If the run that was chosen recorded no probabilities.
    """
    runs = data_map.runs(shelf, comparison.dataset)
    if not runs:
        st.info(
            "No finished run of this dataset is left, and a data map is drawn from one: train one on Runs."
        )
        return None
    at = comparison.place(choice.first)
    flagged, ranking = comparison.flags[at], comparison.rankings[at]
    left, right = st.columns([5, 2], gap="large")
    with right:
        run = next((run for run in runs if run.id == choice.run), runs[0])
        if choice.run not in (None, run.id):
            st.warning("The run of this address is not there any more. Showing the first one.")
        names = {run.id: run.name for run in runs}
        st.session_state["compare-run"] = run.id
        st.selectbox(
            "Run", list(names), key="compare-run", format_func=names.__getitem__,
            on_change=lambda: comparison_choice.choose(run=st.session_state["compare-run"]),
        )  # fmt: skip
        if len(comparison.methods) > 1:
            _pick("Flags of", "first", choice.first, list(comparison.methods))
    made = data_map.of_run(shelf, run)
    with left:
        chosen = _plot(made, flagged, choice.first)
    with right:
        _regions(made, flagged, choice, is_chosen=bool(len(chosen)))
    positions = chosen if len(chosen) else data_map.in_region(made, choice.region)
    name = f"lasso {hash(chosen.tobytes())}" if len(chosen) else f"{run.id} {choice.region.name}"
    title, meaning = REGIONS[choice.region]
    st.header(
        f"{len(chosen):,} chosen samples" if len(chosen) else f"{title}: {len(positions):,} samples"
    )
    said = "Least confident first." if len(chosen) else meaning
    wrong = comparing.wrong_rate(shelf, comparison.dataset, positions)
    if wrong is not None:
        said += f" By the truth {100 * wrong:.0f} % of their labels are wrong."
    st.caption(said)
    return ranking_view.look_at(
        shelf, comparison.dataset, positions, name=name, ranking=ranking, is_flagged=flagged,
        page=choice.page,
    )  # fmt: skip


def _plot(made: Mapped, flagged: np.ndarray, method: str) -> np.ndarray:
    """Draw the map and return the positions that are chosen on it."""
    points = data_map.points(made, flagged)
    key = f"data-map {made.run.id} {st.session_state.get('data-map-clear', 0)}"
    event: Any = st.plotly_chart(
        data_map_plot.figure(made, points, flagged, method=method, colours=palette.current()),
        key=key,
        theme=None,
        on_select=comparison_choice.choose,
        selection_mode=("lasso", "box"),
        config={
            "displaylogo": False,
            "modeBarButtons": [
                ["lasso2d", "select2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]
            ],
            "displayModeBar": True,
        },
        alt=_summary(made, flagged, method),
    )
    st.caption(plain(_caption(made, points.in_words)))
    named = [point.get("customdata") for point in event.selection.points]
    return data_map.chosen(made, [n[0] if isinstance(n, list) and n else n for n in named])


def _summary(made: Mapped, flagged: np.ndarray, method: str) -> str:
    parts = ", ".join(
        f"{REGIONS[row.region][0].lower()} {row.n_samples:,} samples, {row.n_flagged:,} of them "
        f"flagged by {method}"
        for row in data_map.region_rows(made, flagged)
    )
    return f"Data map of run {made.run.name}: {parts}. The table beside it has the same figures."


def _caption(made: Mapped, drawn: str) -> str:
    said = f"{drawn} Draw around points with the lasso or the box to see their images below."
    if made.n_left_out:
        said += (
            f" {made.n_left_out:,} samples have no place: the run did not train on them under their "
            "given label."
        )
    return said


def _regions(made: Mapped, flagged: np.ndarray, choice: Choice, *, is_chosen: bool) -> None:
    """Draw the regions as rows, each with a button that lists its samples."""
    for row in data_map.region_rows(made, flagged):
        title, meaning = REGIONS[row.region]
        with st.container(border=True, gap="xsmall"):
            # The button has a line of its own: beside it the name would break on narrow screens.
            st.markdown(f"**{title}**  \n{row.n_samples:,} samples, {row.n_flagged:,} flagged")
            st.caption(meaning)
            st.button(
                f"Show {title.lower()}",
                key=f"region-{row.region.name}",
                on_click=_show_region,
                args=(row.region,),
                disabled=not row.n_samples or (row.region is choice.region and not is_chosen),
                type="tertiary",
                icon=":material/arrow_downward:",
            )
    if is_chosen:
        st.button("Forget the choice", on_click=_clear, icon=":material/close:")


def _show_region(region: Region) -> None:
    _clear()
    comparison_choice.choose(region=None if region is Region.HARD else region.name.lower())


def _clear() -> None:
    # A selection lives as long as the chart's key.
    st.session_state["data-map-clear"] = st.session_state.get("data-map-clear", 0) + 1
    comparison_choice.choose()


def samples(listed: Listing, *, reviewer: str) -> str | None:
    """Draw a list of samples and return the key of one that somebody wants to open, if any."""
    if not listed.tiles:
        st.info("No sample is in this list.")
    elif listed.n_pages > 1:
        filters.draw_pages(listed.page, listed.n_pages)
    return gallery.draw(
        listed, reviewer=reviewer, key="gallery", on_turn=lambda: filters.turn_to(listed.page + 1)
    )
