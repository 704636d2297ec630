"""The form that starts a comparison: arms, samples, test, seeds; checked and estimated as one chooses."""

import streamlit as st

from audit.errors import AuditError
from audit.records import preset as presets
from audit.records.comparison import Arm
from audit.records.dataset import Dataset, Split
from audit.records.test_part import HELD_OUT
from audit.ui.texts import plain
from audit.workbench import estimating, retraining, suspects
from audit.workbench.retraining import Plan, Wish
from audit.workbench.settling import Wishes
from audit.workbench.shelf import UNDECIDED, Shelf
from audit.workbench.wording import on_the_page

ARMS: dict[Arm, str] = {
    Arm.GIVEN: "Labels as imported: what everything is compared with.",
    Arm.DROPPED: "The chosen samples are left out.",
    Arm.RELABELLED: "What people decided: relabelled or left out.",
    Arm.DOWNWEIGHTED: "The chosen samples count a fifth.",
    Arm.AUTOMATIC: "The chosen samples get the label that a network predicts which never saw them.",
    Arm.ORACLE: "The true labels, where they are known: the most that can be won.",
}
_TOPS = {
    "decided": "Relabelled or excluded by people",
    "flagged": "Flagged by a method",
    "5%": "The most suspicious 5 %",
    "10%": "The most suspicious 10 %",
}
_TESTS = {
    str(Split.TEST): "The split test",
    str(Split.VAL): "The split val",
    HELD_OUT: "A fifth, held out",
}
_AS_BEFORE = "as the newest run"


def draw(shelf: Shelf, dataset: Dataset) -> None:
    """Draw the form and start what it describes."""
    wish = _wish(shelf, dataset)
    plan = retraining.plan(shelf, dataset, wish)
    if plan.problem is not None:
        st.info(plain(on_the_page(plan.problem)), icon=":material/info:")
    else:
        st.markdown(f":small[{plain(_what_it_takes(plan))}]")
    st.button(
        "Start comparison",
        type="primary",
        icon=":material/play_arrow:",
        disabled=plan.problem is not None,
        on_click=_start,
        args=(shelf, plan),
        key="retrain-start",
    )
    if said := st.session_state.pop("retrain-said", None):
        st.error(plain(on_the_page(said)))


def _wish(shelf: Shelf, dataset: Dataset) -> Wish:
    offered = [arm for arm in Arm if arm is not Arm.ORACLE or dataset.has_truth]
    usual = [Arm.GIVEN, Arm.DROPPED, Arm.AUTOMATIC]
    standing = shelf.standing(dataset)
    is_decided = bool((standing.verdicts != UNDECIDED).any())
    if is_decided:
        usual.insert(2, Arm.RELABELLED)
    arms = st.pills(
        "Arms",
        offered,
        selection_mode="multi",
        default=usual,
        format_func=lambda arm: str(arm).capitalize(),
        key=f"retrain-arms-{dataset.id}",
        help="  \n".join(f"**{str(arm).capitalize()}**: {ARMS[arm]}" for arm in offered),
    )
    methods = suspects.methods(shelf, dataset)
    tops = [
        top for top in _TOPS if (top == "decided" and is_decided) or (top != "decided" and methods)
    ]
    first, second, third, fourth = st.columns([3, 2, 2, 1], vertical_alignment="bottom")
    top = first.selectbox(
        "Chosen samples",
        tops,
        format_func=lambda one: _TOPS[one],
        key=f"retrain-top-{dataset.id}",
        placeholder="Nothing is decided or scored yet",
    )
    method: str | None = None
    if top not in (None, "decided"):
        method = second.selectbox(
            "Method",
            methods,
            key=f"retrain-method-{dataset.id}",
            help="Whose ranking chooses the samples.",
        )
    there = [name for name in _TESTS if name == HELD_OUT or len(dataset.usable((Split(name),)))]
    test = third.selectbox(
        "Judged on",
        there,
        format_func=lambda one: _TESTS[one],
        key=f"retrain-test-{dataset.id}",
        help="Never corrected automatically. Images that training has too are not counted.",
    )
    seeds = fourth.number_input(
        "Seeds",
        min_value=1,
        max_value=20,
        value=3,
        key="retrain-seeds",
        help="Trainings of each arm. One names no winner.",
    )
    preset, epochs = st.columns([3, 1], vertical_alignment="bottom")
    chosen = preset.selectbox(
        "Trained",
        [_AS_BEFORE, *presets.PRESETS],
        key="retrain-preset",
        help="All arms have the same seeds and schedule.",
    )
    n_epochs = epochs.number_input(
        "Epochs", min_value=1, value=None, placeholder="as the preset", key="retrain-epochs"
    )
    return Wish(
        arms=tuple(arm for arm in offered if arm in (arms or ())) or None,
        seeds=int(seeds),
        top=top,
        method=method,
        test=test,
        has_preset=chosen != _AS_BEFORE,
        training=Wishes(
            preset="quick" if chosen == _AS_BEFORE else str(chosen),
            epochs=None if n_epochs is None else int(n_epochs),
        ),
    )


def _what_it_takes(plan: Plan) -> str:
    n_all, n_missing = len(plan.trainings), len(plan.missing)
    assert plan.comparison is not None
    told = " ".join(plan.comparison.remarks)
    if not n_missing:
        return f"All {n_all} trainings were made before: the answer is there. {told}"
    reused = f" {n_all - n_missing} were made before." if n_missing < n_all else ""
    span = ""
    if plan.estimate is not None:
        span = f" It takes {estimating.span_in_words(plan.estimate.low, plan.estimate.high)}."
    return f"{n_missing} training{'s' if n_missing != 1 else ''} to do.{reused}{span} {told}"


def _start(shelf: Shelf, plan: Plan) -> None:
    try:
        comparison, _ = retraining.start(shelf, plan)
    except AuditError as error:
        st.session_state["retrain-said"] = str(error)
        return
    st.session_state["retrain-shown"] = comparison.id
