"""Commands about labeltrace itself: demo, doctor."""

import json
import os
import time
from dataclasses import asdict
from typing import Annotated

import typer

from audit.cli.app import (
    DEFAULT_HOST,
    DEFAULT_PORT,
    HostOption,
    NoBrowserOption,
    PortOption,
    check_address,
    serve,
)
from audit.cli.following import follow
from audit.cli.runs import titled
from audit.cli.session import JsonOption, Session, printable
from audit.errors import AuditError
from audit.store.workspace import Workspace
from audit.workbench import demo as demo_verbs
from audit.workbench import diagnosing, places, scoring, settling
from audit.workbench import runs as run_verbs
from audit.workbench.settling import Wishes


def demo(
    session: Session,
    no_app: Annotated[
        bool,
        typer.Option(
            "--no-app", help="End with one line of JSON on stdout instead of the dashboard."
        ),
    ] = False,
    port: PortOption = DEFAULT_PORT,
    host: HostOption = DEFAULT_HOST,
    no_browser: NoBrowserOption = False,
) -> None:
    """Show it all on 1,797 scanned digits with 144 wrong labels. Has its own workspace; needs no network."""
    started = time.monotonic()
    if not no_app:
        check_address(host, port)  # said before the training, not after it
    path = places.demo_path(session.workspace_path)
    session.say(f"The demo works in {printable(str(path))}.")
    with Workspace.open(path) as workspace:
        found = demo_verbs.dataset(workspace, path)
        session.say(
            f"{found.n_samples} scanned digits; {demo_verbs.N_PLANTED} of them were given a wrong label."
        )
        configs = settling.settle(found, Wishes(preset="quick", device="cpu"))
        sealed = run_verbs.find_sealed(workspace, found, configs)
        if sealed is None:
            runs = run_verbs.start(workspace, found, configs)
            follow(session, workspace, titled(runs))
            ids = [run.id for run, _ in runs]
        else:
            session.say("Using what an earlier demo has trained.")
            ids = [run.id for run in sealed]
        job = scoring.start(workspace, scoring.requests(workspace, ids, [demo_verbs.METHOD]))
        (ended,) = follow(session, workspace, [("scoring", job)])
        scores = scoring.collect(workspace, ended)[demo_verbs.METHOD]
        outcome = demo_verbs.outcome(workspace, found, scores)
    session.say(
        f"{outcome.found_in_top} of the {outcome.n_planted} wrong labels stand among the "
        f"{outcome.n_planted} most suspicious samples (average precision {outcome.average_precision:.3f})."
    )
    if no_app:
        session.print(json.dumps(outcome.to_json(time.monotonic() - started)))
        return
    session.say("Decide about them in the dashboard; Ctrl-C ends it.")
    # The demo keeps its facts in its own workspace, wherever other workspaces keep theirs.
    os.environ.pop(places.DATABASE_URL, None)
    serve(path, port=port, host=host, opens_browser=not no_browser)


def doctor(session: Session, as_json: JsonOption = False) -> None:
    """Look whether everything that labeltrace needs is here; exit 1 if something is not."""
    checks = diagnosing.examine(session.workspace_path)
    if as_json:
        session.print_json(
            {"fine": all(c.is_fine for c in checks), "checks": [asdict(c) for c in checks]}
        )
    else:
        for check in checks:
            mark = "ok" if check.is_fine else "!!"
            advice = f" → {check.advice}" if check.advice else ""
            session.print(f"{mark}  {check.name}: {printable(check.found)}{advice}")
    if not all(check.is_fine for check in checks):
        raise AuditError("Something is missing or broken; see the lines marked !!.")
