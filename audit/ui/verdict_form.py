"""The form that decides one sample: keep, another class, exclude, unsure, a note, and undo.

Each drawn form has a client and running numbers, so that a press that arrives twice decides once. A
press belongs to the sample that was painted: buttons of another sample are other buttons.
"""

import uuid
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import streamlit as st

from audit.records.dataset import Dataset
from audit.records.decision import Decision, Verdict
from audit.store import decisions as decision_rows
from audit.ui import filters
from audit.ui.texts import plain
from audit.workbench import class_choices, receiving
from audit.workbench.receiving import Conflict
from audit.workbench.shelf import Shelf

_LONGEST_LABEL = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a form decides about.

    Parameters
    ----------
    dataset, key
        The sample.
    given, suggested
        Class names, ``None`` where there is none.
    standing
        The decision that stands, ``None`` while there is none.
    shown
        What is on the screen, recorded with the decision: ``position``, ``method``, ``scores_id``,
        ``suspicion``, ``rank``.
    """

    dataset: Dataset
    key: str
    given: str | None
    suggested: str | None
    standing: Decision | None
    shown: Mapping[str, object] = field(default_factory=dict[str, object])


def draw(shelf: Shelf, subject: Subject, *, reviewer: str, name: str = "verdict") -> None:
    """Draw the form; what is pressed is stored before the page is drawn again.

    Parameters
    ----------
    shelf
        Where decisions go.
    subject
        The sample.
    reviewer
        Who decides.
    name
        Tells several forms of a page apart; only one form may have shortcuts on a page.
    """
    form = Form(shelf, subject, reviewer, name, state=_state())
    given, suggested, standing = subject.given, subject.suggested, subject.standing
    with st.container(horizontal=True, gap="small"):
        form.button(
            f"Keep {_named(given)}" if given else "Keep", Verdict.KEEP, given, "K",
            disabled=given is None,
            help="The given label is right." if given else "There is no given label to keep.",
        )  # fmt: skip
        if suggested is not None and suggested != given:
            form.button(
                f"Accept {_named(suggested)}", Verdict.RELABEL, suggested, "A",
                help="The suggested label is right.",
            )  # fmt: skip
    with st.container(horizontal=True, gap="small"):
        form.button("Exclude", Verdict.EXCLUDE, None, "X", help="No class fits: leave it out.")
        form.button("Unsure", Verdict.UNSURE, None, "U", help="The image does not tell.")
        st.button(
            "Undo",
            key=form.widget("undo"),
            shortcut="Z",
            disabled=standing is None,
            on_click=form.undo,
            type="tertiary",
            help="Nothing is decided yet." if standing is None else _undo_help(standing, reviewer),
        )
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        chosen, missing = _another_class(shelf, subject, form)
        form.button(
            "Relabel", Verdict.RELABEL, chosen, None, disabled=chosen is None,
            help=missing or "Give it the chosen class.",
        )  # fmt: skip
    st.text_input(
        "Note",
        value=standing.note if standing and standing.reviewer == reviewer else "",
        max_chars=receiving.LONGEST_NOTE,
        placeholder="Recorded with your next decision",
        key=form.widget("note"),
    )
    form.tell()


def _another_class(shelf: Shelf, subject: Subject, form: "Form") -> tuple[str | None, str]:
    """Draw the choice of a class; return it, or why there is none."""
    dataset = subject.dataset
    offered = class_choices.offered_classes(shelf, dataset)
    first = [subject.suggested] if subject.suggested not in (None, *offered) else []
    typed = st.selectbox(
        "Another class",
        [name for name in (*first, *offered) if name != subject.given],
        index=None,
        placeholder="Type to find a class",
        accept_new_options=len(offered) < dataset.n_classes,
        key=form.widget("class"),
        on_change=form.forget_told,
    )
    chosen = filters.meant_class(dataset, typed)
    if chosen is None:
        return None, "Choose a class first."
    if chosen not in shelf.classes(dataset):
        return None, f"There is no class {_named(chosen)}: type its whole name."
    return (None, "It has this label already.") if chosen == subject.given else (chosen, "")


class Form:
    """What the buttons of one drawn form do.

    Parameters
    ----------
    shelf, subject, reviewer, name
        As in `draw`.
    state
        Of the tab: notes that were typed, the tab's client and the numbers that it has used.
    """

    def __init__(
        self,
        shelf: Shelf,
        subject: Subject,
        reviewer: str,
        name: str,
        *,
        state: MutableMapping[str, Any],
    ) -> None:
        self._shelf, self._subject, self._reviewer, self._name = shelf, subject, reviewer, name
        self._state = state
        # Moves on with every event about the sample, and with nothing else: after an undo the same
        # decision stands as once before, and the same press is another one.
        log = decision_rows.log(shelf.workspace, subject.dataset.id, subject.key)
        last = log[-1].id if log else "none"
        self._drawn = f"{subject.dataset.id} {subject.key} {last}"

    def widget(self, part: str) -> str:
        """Return the key of a widget, another one for every sample."""
        return f"{self._name}-{part} {self._subject.dataset.id} {self._subject.key}"

    def button(
        self,
        label: str,
        verdict: Verdict,
        class_name: str | None,
        shortcut: str | None,
        *,
        help: str,  # noqa: A002
        disabled: bool = False,
    ) -> None:
        """Draw the button of a verdict; that of the standing one is marked."""
        standing = self._subject.standing
        is_standing = standing is not None and (standing.verdict, standing.label) == (
            verdict,
            class_name,
        )
        part = "relabel" if shortcut is None else shortcut
        st.button(
            label,
            key=self.widget(part),
            shortcut=shortcut,
            type="primary" if is_standing else "secondary",
            icon=":material/check:" if is_standing else None,
            disabled=disabled,
            help=help,
            width="stretch",
            on_click=self.decide,
            args=(verdict, class_name),
        )

    def undo(self) -> None:
        """Take back the decision that was painted as standing."""
        standing = self._subject.standing
        assert standing is not None, "the button is off while nothing is decided"
        self._send("undo", {"kind": "undo", "of": {"id": standing.id}}, "Taken back.")

    def forget_told(self) -> None:
        """Drop what was said of the last press."""
        self._state.pop(f"{self._name}-told", None)

    def tell(self) -> None:
        """Draw what became of the last press."""
        told = self._state.get(f"{self._name}-told")
        if told is not None and told[0] == (self._subject.dataset.id, self._subject.key):
            (st.caption if told[1] else st.error)(plain(told[2]))

    def decide(self, verdict: Verdict, class_name: str | None) -> None:
        """Record a verdict; the same one from the same drawn form is recorded once."""
        note = str(self._state.get(self.widget("note")) or "").strip()
        standing = self._subject.standing
        if standing is not None and standing.reviewer == self._reviewer:
            same = (standing.verdict, standing.label, standing.note)
            if same == (verdict, class_name, note):
                self._remember("You had decided this already.", is_fine=True)
                return
        shown: dict[str, object] = {
            **self._subject.shown,
            "given": self._subject.given,
            "suggested": self._subject.suggested,
            "decided": None if standing is None else standing.id,
        }
        entry = {
            "kind": "decide", "verdict": str(verdict), "label": class_name, "note": note,
            "shown": shown,
        }  # fmt: skip
        self._send(f"{verdict} {class_name} {note}", entry, "Recorded.")

    def _send(self, act: str, entry: Mapping[str, Any], done: str) -> None:
        now = datetime.now(UTC)
        full = {
            **entry,
            **self._sender(act),
            "dataset": self._subject.dataset.id,
            "key": self._subject.key,
            "at": now.isoformat(),
        }
        received = receiving.receive(self._shelf, [full], reviewer=self._reviewer, now=now)
        if received.problem is not None:
            self._remember(f"Nothing was recorded. {received.problem}", is_fine=False)
        elif received.refused:
            self._remember(f"Not recorded: {received.refused[0].reason}", is_fine=False)
        else:
            replaced = [one.other.reviewer for one in received.conflicts if self._is_own(one)]
            if replaced:
                done = f"{done} You replaced the decision of {replaced[0]}; both are kept."
            self._remember(done, is_fine=True)

    def _is_own(self, conflict: Conflict) -> bool:
        about = (conflict.own.dataset_id, conflict.own.sample_key)
        return conflict.own_stands and about == (self._subject.dataset.id, self._subject.key)

    def _sender(self, act: str) -> dict[str, object]:
        """Return client and running number of an act: the same for the same press on the same form."""
        client = self._state.setdefault(f"{self._name}-client", f"form-{uuid.uuid4().hex}")
        numbers: dict[str, int] = self._state.setdefault(f"{self._name}-numbers", {})
        return {"client": client, "seq": numbers.setdefault(f"{self._drawn} {act}", len(numbers))}

    def _remember(self, sentence: str, *, is_fine: bool) -> None:
        about = (self._subject.dataset.id, self._subject.key)
        self._state[f"{self._name}-told"] = about, is_fine, sentence


def _state() -> MutableMapping[str, Any]:
    return st.session_state  # type: ignore[return-value]


def _undo_help(standing: Decision, reviewer: str) -> str:
    if standing.reviewer == reviewer:
        return "Take your decision back; the one before it stands again."
    return f"Take back the decision of {plain(standing.reviewer)}; the one before it stands again."


def _named(name: str) -> str:
    return f"‘{plain(name if len(name) <= _LONGEST_LABEL else name[: _LONGEST_LABEL - 1] + '…')}’"
