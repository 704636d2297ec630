"""Queues of samples to review, by page."""

from starlette.requests import Request
from starlette.responses import Response

from audit.api import answers, asking
from audit.workbench import flag_sets, queues, serving, suspects
from audit.workbench.suspects import Filters, State


def queue(request: Request) -> Response:
    """Return a page of a queue as JSON; see `queues.page`. Class names come with the first page."""
    shelf = serving.shelf()
    dataset = asking.dataset(shelf, request)
    start = asking.whole(request, "start", 0)
    by, not_by = (
        flag_sets.parse(asked, dataset, suspects.methods(shelf, dataset)) if asked else ()
        for asked in (request.query_params.get("by"), request.query_params.get("not_by"))
    )
    filters = Filters(
        method=asking.maybe_text(request, "method"),
        cls=asking.maybe_text(request, "cls"),
        suggested=asking.maybe_text(request, "suggested"),
        state=suspects.parse_state(request.query_params.get("state"), State.UNDECIDED),
        cut=asking.maybe_real(request, "cut"),
        by=by,
        not_by=not_by,
    )
    page = queues.page(
        shelf,
        dataset,
        filters,
        as_of=asking.maybe_whole(request, "as_of"),
        scores_id=asking.maybe_text(request, "scores_id"),
        start=start,
        count=asking.whole(request, "count", 50, least=1, most=queues.MOST),
    )
    body = page.to_json()
    if start == 0 or request.query_params.get("classes") == "1":
        body["classes"] = list(dataset.class_names)
    return answers.as_json(body)
