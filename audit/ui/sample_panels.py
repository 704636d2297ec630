"""Parts of the Sample page: finding a sample, stepping through a list, labels, scores, facts, history."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import streamlit as st

from audit.records.dataset import Dataset
from audit.records.decision import Verdict
from audit.ui import filters, sample_image, verdict_form
from audit.ui.texts import plain
from audit.workbench import sample_view, trajectories
from audit.workbench.sample_view import Event, MethodScore, Neighbours, View
from audit.workbench.shelf import Shelf
from audit.workbench.trajectories import Trajectory

_COLOURS = {
    Verdict.KEEP: "green",
    Verdict.RELABEL: "blue",
    Verdict.EXCLUDE: "red",
    Verdict.UNSURE: "violet",
}


def choose_method(dataset: Dataset, methods: Sequence[str]) -> tuple[str | None, list[str]]:
    """Draw the choice of the method whose ranking is followed, kept in the address as ``method=``.

    Parameters
    ----------
    dataset, methods
        What has scores.

    Returns
    -------
    method, notes
        ``None`` without scores; sentences as markdown about what the address asks for in vain.
    """
    if not methods:
        return None, []
    notes = list(filters.refusals(st.query_params.to_dict(), dataset, methods))
    asked = st.query_params.get("method") or st.session_state.get("sample-method-held")
    method = next((known for known in methods if known == asked), methods[0])
    st.session_state["sample-method"] = method

    def chosen() -> None:
        st.query_params["method"] = st.session_state["sample-method"]

    st.selectbox(
        "Method",
        methods,
        key="sample-method",
        on_change=chosen,
        help="Whose scores order the samples.",
        width=140,
    )
    st.session_state["sample-method-held"] = method
    if st.query_params.get("method") != method:
        st.query_params["method"] = method
    return method, notes


def finder(shelf: Shelf, dataset: Dataset, *, on_open: Callable[[str], None]) -> list[str]:
    """Draw the field that finds a sample by its key and return keys to choose from.

    Parameters
    ----------
    shelf, dataset
        Where to look.
    on_open
        Called with the key when there is just one that fits, or one that is the text itself.
    """

    def sought() -> None:
        text = str(st.session_state.get("sample-search") or "")
        found, n_found = sample_view.search(shelf, dataset, text)
        if found and (n_found == 1 or found[0] == text.strip()):
            st.session_state["sample-search"] = ""
            on_open(found[0])

    st.text_input(
        "Find a sample",
        key="sample-search",
        placeholder="Part of its key",
        type="search",
        on_change=sought,
        width=240,
    )
    text = str(st.session_state.get("sample-search") or "")
    return sample_view.search(shelf, dataset, text)[0] if text.strip() else []


def found(
    shelf: Shelf, dataset: Dataset, keys: Sequence[str], on_open: Callable[[str], None]
) -> None:
    """Draw the keys that a search found, each to be opened; a sentence if there are none."""
    text = str(st.session_state.get("sample-search") or "").strip()
    if not text:
        return
    if not keys:
        near = sample_view.closest(shelf, dataset, text)
        st.warning(f"No key contains “{plain(text[:60])}”; the closest is “{plain(near)}”.")
        keys = [near]

    def chosen(key: str) -> None:
        st.session_state["sample-search"] = ""
        on_open(key)

    n_found = sample_view.search(shelf, dataset, text)[1]
    with st.container(horizontal=True, gap="small", vertical_alignment="center"):
        if n_found > len(keys):
            st.caption(f"{len(keys)} of {n_found:,} keys that contain it:", width="content")
        for key in keys:
            st.button(plain(key), key=f"found {key}", on_click=chosen, args=(key,), type="tertiary")


def steps(beside: Neighbours, *, on_open: Callable[[str], None]) -> None:
    """Draw the buttons to the samples before and after this one."""
    for label, key, shortcut, icon in (
        ("Previous", beside.before, "Left", "arrow_back"),
        ("Next", beside.after, "Right", "arrow_forward"),
    ):
        st.button(
            label,
            key=f"sample-{label.lower()}",
            on_click=on_open,
            args=(key,),
            disabled=key is None,
            shortcut=shortcut,
            icon=f":material/{icon}:",
            help="The end of the list." if key is None else None,
        )


def place(beside: Neighbours, score: MethodScore | None, filtered: str) -> str:
    """Return where a sample stands, in words.

    Parameters
    ----------
    beside
        Its place in the list.
    score
        Of the leading method.
    filtered
        The filters of the list in words, empty without any.
    """
    if score is None:
        return f"Sample {beside.place:,} of {beside.n_listed:,}, in the dataset's order."
    rank = (
        f"Rank **{score.rank:,}** of {score.n_scored:,} by {plain(score.method)}"
        if score.rank
        else f"Not ranked by {plain(score.method)}"
    )
    if not filtered:
        return rank + "."
    if beside.place is None:
        return f"{rank}; not in the list of {beside.n_listed:,} samples ({filtered})."
    return f"{rank}; {beside.place:,} of {beside.n_listed:,} in the list ({filtered})."


def picture(dataset: Dataset, sample: View) -> None:
    """Draw the image of a sample, or why it cannot be used."""
    if sample.problem is not None:
        st.warning(f"This image cannot be used: {plain(sample.problem)}")
        return
    label = f"labelled {sample.given}" if sample.given else "without a label"
    sample_image.draw(dataset.id, sample.position, alt=f"Sample {sample.key}, {label}")


def form(shelf: Shelf, dataset: Dataset, sample: View, *, reviewer: str) -> None:
    """Draw the form that decides a sample; what is on the page is recorded with the decision."""
    shown = sample.scored_by.as_shown() if sample.scored_by else {}
    subject = verdict_form.Subject(
        dataset=dataset,
        key=sample.key,
        given=sample.given,
        suggested=sample.suggested,
        standing=sample.standing,
        shown={"position": sample.position, **shown},
    )
    verdict_form.draw(shelf, subject, reviewer=reviewer)


def labels(sample: View) -> None:
    """Draw given and suggested label, what is decided and by whom, and who disagrees."""
    given = f"**{_name(sample.given)}**" if sample.given else "*none*"
    suggested = f"**{_name(sample.suggested)}**" if sample.suggested else "*none*"
    with st.container(
        horizontal=True,
        gap="large",
    ):
        with st.container(width="content", gap=None):
            st.caption("Given label")
            st.markdown(f":blue[{given}]" if sample.given else given)
        with st.container(width="content", gap=None):
            st.caption("Suggested label")
            st.markdown(f":orange[{suggested}]" if sample.suggested else suggested)
    st.markdown(_decided(sample))
    if sample.overruled is not None and sample.standing is not None:
        st.warning(
            f"{plain(sample.standing.reviewer)} {plain(sample_view.done(sample.standing))} after you "
            f"{plain(sample_view.done(sample.overruled))}. The later decision stands; both are kept."
        )


def choose_run(found: Sequence[Trajectory]) -> Trajectory:
    """Draw the choice of the run whose trajectory is shown, if there are several, and return it.

    The first run that trained the sample under its given label is shown first.
    """
    usual = next((one for one in found if not one.is_planted), found[0])
    if len(found) == 1:
        return usual
    by_id = {one.run_id: one for one in found}
    key = f"trajectory-run {' '.join(by_id)}"
    if st.session_state.get(key) not in by_id:
        st.session_state[key] = usual.run_id
    chosen = st.segmented_control(
        "Run",
        list(by_id),
        key=key,
        required=True,
        label_visibility="collapsed",
        format_func=lambda run_id: _run_label(by_id[run_id]),
    )
    return by_id.get(str(chosen), usual)


def _run_label(one: Trajectory) -> str:
    part = f"Part {one.part + 1} of {one.n_parts}" if one.n_parts > 1 else plain(one.run_name)
    return f"{part}, planted here" if one.is_planted else part


def remarks(shown: Trajectory) -> None:
    """Draw what a trajectory's bands are and rest on."""
    said = [f"Run {plain(shown.run_name)}, {shown.n_epochs} epochs."]
    bands = [
        f"the middle {high - low:g}%" if low + high == 100 else f"{low:g} to {high:g}%"
        for low, _, high in (
            found.percentiles
            for found in (shown.class_band, shown.threshold_band)
            if found is not None
        )
    ]
    kinds = ["the class"] * (shown.class_band is not None) + [f"the {shown.planted_rows}"] * (
        shown.threshold_band is not None
    )
    if bands:
        told = " and ".join(f"{part} of {kind}" for part, kind in zip(bands, kinds, strict=True))
        said.append(f"Bands hold {told}; dotted lines are medians.")
    thinned = trajectories.thinned(shown)
    if thinned is not None:
        said.append(thinned)
    st.caption(" ".join(said))


def scores(sample: View) -> None:
    """Draw what every method says."""
    st.table(
        [
            {
                "Method": plain(score.method),
                "Rank": f"{score.rank:,}\u00a0of\u00a0{score.n_scored:,}"
                if score.rank
                else "not scored",
                "Suspicion": "–" if score.suspicion is None else f"{score.suspicion:.3f}",
                "Flagged": "no cut" if score.flagged is None else "yes" if score.flagged else "no",
                "Its own value": _quantity(score),
                "Suggests": plain(score.suggested) if score.suggested else "–",
            }
            for score in sample.scores
        ],
        hide_index=True,
    )


def facts(sample: View) -> None:
    """Draw key, path and split of a sample."""
    lines = [("Key", sample.key), ("Path", sample.path or "in the file of arrays")]
    if sample.path == sample.key:
        lines.pop()
    with st.container(gap="xxsmall"):
        for name, value in [*lines, ("Split", sample.split)]:
            with st.container(horizontal=True, gap="small", vertical_alignment="center"):
                st.caption(name, width=40)
                st.text(value)


def history(events: Sequence[Event]) -> None:
    """Draw what was decided and taken back, newest first."""
    if not events:
        st.caption("Nobody has decided on this sample yet.")
    for event in events:
        what = f"{plain(event.reviewer)} {plain(event.what)}"
        mark = " · **stands**" if event.stands else ""
        if event.is_undone:
            what, mark = f"~~{what}~~", " · taken back"
        note = f"  \nNote: {plain(event.note)}" if event.note else ""
        st.markdown(f":gray[{_moment(event.at)}] · {what}{mark}{note}")


def _decided(sample: View) -> str:
    if sample.standing is None:
        return ":gray[Nobody has decided yet.]"
    who, when = plain(sample.standing.reviewer), _moment(sample.standing.decided_at)
    words = {
        Verdict.KEEP: "Kept",
        Verdict.RELABEL: f"Relabelled ‘{_name(sample.standing.label or '')}’",
        Verdict.EXCLUDE: "Excluded",
        Verdict.UNSURE: "Unsure",
    }[sample.standing.verdict]
    colour = _COLOURS[sample.standing.verdict]
    return f":{colour}[**{words}**] by {who}, :gray[{when}]"


def _quantity(score: MethodScore) -> str:
    side = "low" if score.low_is_suspect else "high"
    if score.quantity is None:
        return "–"
    unit = "" if score.quantity_unit == "none" else f" {score.quantity_unit}"
    cut = "" if score.cut is None else f", cut {score.cut:.2f}"
    return f"{plain(score.quantity_name)} {score.quantity:.2f}{unit} ({side} is suspect{cut})"


def _name(name: str) -> str:
    return plain(name if len(name) <= 60 else name[:59] + "…")


def _moment(at: datetime) -> str:
    try:
        zone = ZoneInfo(st.context.timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError):
        zone = UTC
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}"
