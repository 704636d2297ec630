"""Runs as lines of HTML: state, what it does, how far it is. Every text of a user is escaped."""

from collections.abc import Sequence
from html import escape

from audit.records.job import Job
from audit.records.run import RunState
from audit.ui.palette import Palette
from audit.workbench import estimating
from audit.workbench.watching import Standing
from audit.workbench.wording import on_the_page

_STYLE = """
<style>
/* A button that is gone stays beside its successor until the script ends, and moves it: clicks miss. */
[class*="st-key-run_actions_"] [data-stale="true"] { display: none; }
.lt-run { display: grid; grid-template-columns: 5.6rem minmax(0, 1fr) 15rem; column-gap: 1rem;
  align-items: center; padding: .55rem 0; border-top: 1px solid var(--lt-line); color: var(--lt-ink); }
.lt-run:first-of-type { border-top: 0; }
.lt-chip { justify-self: start; border: 1px solid currentColor; border-radius: 999px; line-height: 1.1;
  padding: .22rem .65rem; font-size: .8rem; font-weight: 600; white-space: nowrap; }
.lt-name { font-weight: 600; overflow-wrap: anywhere; }
.lt-does, .lt-left { color: var(--lt-faint); font-size: .87rem; font-variant-numeric: tabular-nums; }
.lt-error { color: var(--lt-error); font-size: .87rem; overflow-wrap: anywhere; }
.lt-far { display: grid; grid-template-columns: 1fr 3rem; column-gap: .6rem; align-items: center;
  font-variant-numeric: tabular-nums; font-size: .87rem; text-align: right; }
.lt-bar { height: .5rem; border-radius: 999px; background: var(--lt-line); overflow: hidden; }
.lt-bar > div { height: 100%; border-radius: 999px; background: var(--lt-done);
  transition: width .6s linear; }
.lt-took { text-align: right; color: var(--lt-faint); font-size: .87rem; }
.lt-left { grid-column: 1 / -1; text-align: left; }
@media (max-width: 60rem) { .lt-run { grid-template-columns: 5.6rem minmax(0, 1fr); }
  .lt-far { grid-column: 2; } }
@media (prefers-reduced-motion: reduce) { .lt-bar > div { transition: none; } }
</style>
"""


def lines(standings: Sequence[Standing], scoring: Sequence[Job], colours: Palette) -> str:
    """Return runs, and what scores them, as HTML for ``st.html``.

    Parameters
    ----------
    standings
        How each run stands.
    scoring
        Scoring jobs that are worth a line.
    colours
        Of the theme.
    """
    variables = (
        f"--lt-ink:{colours.ink};--lt-faint:{colours.faint};--lt-line:{colours.line};"
        f"--lt-done:{colours.positive};--lt-error:{colours.exclude}"
    )
    body = "".join(_run(standing, colours) for standing in standings)
    body += "".join(_scoring(job, colours) for job in scoring)
    return f'{_STYLE}<div class="lt-runs" style="{variables}">{body}</div>'


def _run(standing: Standing, colours: Palette) -> str:
    run = standing.run
    left = ""
    if standing.seconds_left is not None:
        left = f"{estimating.in_words(standing.seconds_left)} left"
        left += ", or less" if run.config.stop_when_stable else ""
    state = str(run.state)
    chip = (
        f'<span class="lt-chip" data-testid="run-state" data-run="{escape(run.id)}" '
        f'style="color:{_colour(state, colours)}">{escape(state)}</span>'
    )
    error = f'<div class="lt-error">{escape(standing.error)}</div>' if standing.error else ""
    is_far = run.state is RunState.RUNNING or (
        standing.fraction > 0 and run.state not in (RunState.QUEUED, RunState.SEALED)
    )
    took = f'<div class="lt-took">{escape(standing.took)}</div>'
    far = _far(standing.fraction, f"Progress of {run.name}", left) if is_far else took
    return _line(chip, run.name, standing.sentence, error, far)


def _scoring(job: Job, colours: Palette) -> str:
    colour = _colour(str(job.state), colours)
    chip = f'<span class="lt-chip" style="color:{colour}">{escape(str(job.state))}</span>'
    methods = ", ".join(str(r["method"]) for r in job.arguments.get("requests", ()))
    error = f'<div class="lt-error">{escape(on_the_page(job.error))}</div>' if job.error else ""
    far = _far(job.fraction, "Progress of the scores", "") if not job.is_over else "<span></span>"
    return _line(chip, f"scores: {methods}", job.message or "waits for a worker", error, far)


def _line(chip: str, name: str, does: str, error: str, far: str) -> str:
    return (
        f'<div class="lt-run">{chip}<div><div class="lt-name">{escape(name)}</div>'
        f'<div class="lt-does">{escape(does)}</div>{error}</div>{far}</div>'
    )


def _far(fraction: float, label: str, left: str) -> str:
    percent = f"{fraction:.0%}".replace("%", "")
    below = f'<span class="lt-left">{escape(left)}</span>' if left else ""
    return (
        f'<div class="lt-far"><div class="lt-bar" role="progressbar" aria-label="{escape(label)}" '
        f'aria-valuemin="0" aria-valuemax="100" aria-valuenow="{percent}">'
        f'<div style="width:{percent}%"></div></div><span>{percent} %</span>{below}</div>'
    )


def _colour(state: str, colours: Palette) -> str:
    return {
        "running": colours.given,
        "sealed": colours.positive,
        "done": colours.positive,
        "failed": colours.exclude,
        "lost": colours.exclude,
        "cancelled": colours.unsure,
    }.get(state, colours.faint)
