"""Commands about the versions of labels: log, diff, blame, revert."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import typer

from audit.cli.decisions import (
    DatasetArgument,
    ReviewerOption,
    SampleArgument,
    decision_record,
    in_words,
)
from audit.cli.session import JsonOption, Session, as_command, printable
from audit.errors import RefusedError
from audit.records.decision import Decision, Undo, from_iso, to_iso
from audit.records.label_history import Effect, LabelHistory, Step, effect
from audit.store import datasets as dataset_rows
from audit.workbench import label_changes, label_log, label_versions, places, reverting, reviewing
from audit.workbench.label_changes import Change, Comparison, Flow
from audit.workbench.label_log import Wanted
from audit.workbench.reverting import RevertPlan

_SHOWN = 50
_REFERENCE = "given, now, a version, an event (#12) or a time (2026-11-03T10:12:00Z)"

labels = typer.Typer(
    no_args_is_help=True,
    help="Labels as versions: what changed, who changed it, and how to take it back.",
)


def log(
    session: Session,
    dataset: DatasetArgument,
    sample: Annotated[
        str | None, typer.Option("--sample", metavar="KEY", help="Only about this sample.")
    ] = None,
    person: Annotated[
        str | None, typer.Option("--person", metavar="NAME", help="Only what this person did.")
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="T", help="Not before this ISO 8601 time.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="T", help="Not after this ISO 8601 time.")
    ] = None,
    most: Annotated[int, typer.Option("--most", min=1, help="How many events at most.")] = _SHOWN,
    as_json: JsonOption = False,
) -> None:
    """List decisions and undos, the newest first, each with the version of the labels after it."""
    wanted = Wanted(sample_key=sample, reviewer=person, since=_moment(since), until=_moment(until))
    with session.workspace() as workspace:
        found = dataset_rows.find(workspace, dataset)
        if sample is not None:
            reviewing.position_of(found, sample)
        history = label_versions.read(workspace, found)
    part = label_log.excerpt(history, wanted, most=most)
    if as_json:
        events = [_event_record(history, step) for step in part.steps]
        session.print_json({"dataset": found.name, "total": part.total, "events": events})
        return
    _print_events(session, history, part.steps)
    if part.total > len(part.steps):
        session.say(f"{part.total - len(part.steps)} older ones are not shown: --most shows more.")


def diff(
    session: Session,
    dataset: DatasetArgument,
    before: Annotated[str, typer.Argument(metavar="FROM", help=_REFERENCE + ".")] = "given",
    after: Annotated[str, typer.Argument(metavar="TO", help=_REFERENCE + ".")] = "now",
    as_json: JsonOption = False,
) -> None:
    """Compare two versions: which samples have other labels, from what to what, and who did it."""
    with session.workspace() as workspace:
        found = dataset_rows.find(workspace, dataset)
        history = label_versions.read(workspace, found)
    compared = label_changes.compare(
        history,
        label_versions.point_of(history, found, before),
        label_versions.point_of(history, found, after),
    )
    if as_json:
        session.print_json({"dataset": found.name, **_comparison_record(compared)})
        return
    session.say(_comparison_sentence(compared))
    if not compared.changes:
        return
    _print_flows(session, compared.flows)
    session.print("")
    rows = [
        (
            change.sample_key,
            label_changes.in_words(change.before),
            label_changes.in_words(change.after),
            change.event.reviewer if change.event else "",
            to_iso(change.event.decided_at) if change.event else "",
            f"#{change.event.id}" if change.event else "",
        )
        for change in compared.changes
    ]
    session.print_table(("sample_key", "from", "to", "by", "at", "event"), rows)


def blame(
    session: Session,
    dataset: DatasetArgument,
    sample_key: SampleArgument,
    as_json: JsonOption = False,
) -> None:
    """Tell who decided what about one sample, what stood after each event, and what stands now."""
    with session.workspace() as workspace:
        found = dataset_rows.find(workspace, dataset)
        given = reviewing.given_label(found, sample_key)
        history = label_versions.read(workspace, found)
    steps = label_log.about(history, sample_key)
    standing = steps[-1].after if steps else None
    label = effect(standing, given)
    if as_json:
        record = {
            "dataset": found.name,
            "sample_key": sample_key,
            "given_label": given,
            "now": _effect_record(label),
            "stands": None if standing is None else decision_record(standing),
            "events": [
                {
                    **_event_record(history, step),
                    "label_after": _effect_record(effect(step.after, given)),
                }
                for step in steps
            ],
        }
        session.print_json(record)
        return
    rows = [
        (
            f"#{step.number}",
            to_iso(step.event.decided_at),
            step.event.reviewer,
            _said(history, step.event),
            "–" if step.after is None else f"{in_words(step.after)} by {step.after.reviewer}",
            label_changes.in_words(effect(step.after, given)),
        )
        for step in steps
    ]
    if rows:
        session.print_table(("event", "at", "by", "what", "stands after it", "label"), rows)
    whose = (
        "nobody’s decision stands"
        if standing is None
        else f"#{standing.id} by {standing.reviewer} stands"
    )
    session.say(
        f"{sample_key}: given {given or 'no label'}, now {label_changes.in_words(label)}; {whose}."
    )


def revert(
    session: Session,
    dataset: DatasetArgument,
    decision: Annotated[
        int | None, typer.Option("--decision", metavar="N", help="The decision of this number.")
    ] = None,
    person: Annotated[
        str | None, typer.Option("--person", metavar="NAME", help="All decisions of this person.")
    ] = None,
    after: Annotated[
        str | None,
        typer.Option("--after", metavar="POINT", help=f"Everything after it: {_REFERENCE}."),
    ] = None,
    reviewer: ReviewerOption = None,
    only_plan: Annotated[
        bool, typer.Option("--plan", help="Say what it would do and store nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Take decisions back. Nothing is erased: the log gets new events, and `--after` brings it back."""
    if sum(one is not None for one in (decision, person, after)) != 1:
        raise typer.BadParameter("Choose one of --decision N, --person NAME, --after POINT.")
    with session.workspace() as workspace:
        found = dataset_rows.find(workspace, dataset)
        history = label_versions.read(workspace, found)
        if decision is not None:
            plan = reverting.of_decision(history, found, decision)
        elif person is not None:
            plan = reverting.of_person(history, found, person)
        else:
            point = label_versions.point_of(history, found, after or "")
            plan = reverting.after_point(history, found, point)
        record = {"dataset": found.name, **_plan_record(plan)}
        if only_plan or plan.is_empty:
            _show_plan(session, plan, record, as_json=as_json)
            return
        if not yes:
            session.say(_plan_sentence(plan))
            if not session.confirm("Take back?"):
                raise RefusedError("Nothing was taken back; --yes takes back without asking.")
        done = reverting.carry_out(workspace, found, plan, reviewer=places.reviewer(reviewer))
    if as_json:
        numbers = [event.id for event in done.events]
        session.print_json({**record, "done": True, "events": numbers, "before": done.point})
    else:
        session.print(done.version)
    session.say(
        f"Took back {_decisions(len(plan.undone))}; {_samples(len(plan.changes))} changed. "
        f"`labeltrace labels revert {printable(found.name)} --after #{done.point}` brings it back."
    )


COMMANDS = (("log", log), ("diff", diff), ("blame", blame), ("revert", revert))
"""Word after ``labels``, function."""

for _word, _function in COMMANDS:
    labels.command(_word)(as_command(_function))


def _moment(text: str | None) -> datetime | None:
    return None if text is None else from_iso(text)


def _print_events(session: Session, history: LabelHistory, steps: Sequence[Step]) -> None:
    rows = [
        (
            f"#{step.number}",
            to_iso(step.event.decided_at),
            step.event.reviewer,
            step.event.sample_key,
            _said(history, step.event),
            step.version,
        )
        for step in steps
    ]
    session.print_table(("event", "at", "by", "sample_key", "what", "version"), rows)


def _said(history: LabelHistory, event: Decision | Undo) -> str:
    if isinstance(event, Decision):
        return in_words(event)
    taken = label_log.undone(history, event)
    return f"undo #{event.undoes} ({in_words(taken)} by {taken.reviewer})"


def _event_record(history: LabelHistory, step: Step) -> dict[str, object]:
    event = step.event
    if isinstance(event, Decision):
        return {**decision_record(event), "event": "decision", "version": step.version}
    return {
        "id": event.id,
        "sample_key": event.sample_key,
        "reviewer": event.reviewer,
        "decided_at": to_iso(event.decided_at),
        "event": "undo",
        "undoes": event.undoes,
        "undone": decision_record(label_log.undone(history, event)),
        "version": step.version,
    }


def _effect_record(what: Effect) -> dict[str, object]:
    return {"label": what.label, "excluded": what.is_excluded}


def _change_record(change: Change) -> dict[str, object]:
    event = change.event
    made = {}
    if event is not None:
        made = {
            "reviewer": event.reviewer,
            "decided_at": to_iso(event.decided_at),
            "event": event.id,
        }
    return {
        "sample_key": change.sample_key,
        "given_label": change.given_label,
        "before": _effect_record(change.before),
        "after": _effect_record(change.after),
        **made,
    }


def _flow_record(flow: Flow) -> dict[str, object]:
    return {
        "before": _effect_record(flow.before),
        "after": _effect_record(flow.after),
        "samples": flow.n_samples,
    }


def _comparison_record(compared: Comparison) -> dict[str, object]:
    return {
        "from": {"point": compared.before, "version": compared.before_version},
        "to": {"point": compared.after, "version": compared.after_version},
        "counts": [_flow_record(flow) for flow in compared.flows],
        "changes": [_change_record(change) for change in compared.changes],
    }


def _comparison_sentence(compared: Comparison) -> str:
    between = (
        f"between {compared.before_version} (after #{compared.before}) "
        f"and {compared.after_version} (after #{compared.after})"
    )
    if not compared.changes:
        return f"No label differs {between}."
    return (
        f"{_samples(len(compared.changes))} differ{'s' * (len(compared.changes) == 1)} {between}."
    )


def _plan_record(plan: RevertPlan) -> dict[str, object]:
    return {
        "done": False,
        "undone": [decision_record(one) for one in plan.undone],
        "repeated": [decision_record(one) for one in plan.repeated],
        "changes": [_change_record(change) for change in plan.changes],
        "version": plan.version,
    }


def _show_plan(
    session: Session, plan: RevertPlan, record: dict[str, object], *, as_json: bool
) -> None:
    if as_json:
        session.print_json(record)
    elif plan.changes:
        _print_flows(session, label_changes.flows(plan.changes))
    session.say(_plan_sentence(plan))


def _print_flows(session: Session, flows: Sequence[Flow]) -> None:
    named = label_changes.in_words
    rows = [(named(flow.before), named(flow.after), str(flow.n_samples)) for flow in flows]
    session.print_table(("from", "to", "samples"), rows)


def _plan_sentence(plan: RevertPlan) -> str:
    if plan.is_empty:
        return "There is nothing to take back: the labels stand so already."
    again = f" and decides {len(plan.repeated)} again" if plan.repeated else ""
    changes = f"{_samples(len(plan.changes))} change{'s' * (len(plan.changes) == 1)}"
    return f"This takes back {_decisions(len(plan.undone))}{again}; {changes} the label."


def _decisions(n: int) -> str:
    return f"{n} decision{'s' * (n != 1)}"


def _samples(n: int) -> str:
    return f"{n} sample{'s' * (n != 1)}"
