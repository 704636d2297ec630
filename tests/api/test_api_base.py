"""A dashboard that is served under a path answers there, as guarded as at the root."""

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from audit.api import guards, routes


@pytest.mark.parametrize("base", ["lt", "/lt/", None, ""])
def test_routes_lie_under_the_path_that_the_pages_are_served_under(
    base, staged_workspace, monkeypatch
):
    monkeypatch.setenv("LABELTRACE_WORKSPACE", str(staged_workspace))
    root = "/lt" if base and base.strip("/") else ""
    app = Starlette(routes=routes(base=base), middleware=guards(bound_to=lambda: "127.0.0.1"))
    with TestClient(app, base_url="http://127.0.0.1") as browser:
        address = f"{root}/api/datasets/staged/queue?count=1"
        found = browser.get(address)
        assert found.headers["content-type"].startswith("application/json")
        assert (found.status_code, "error" in found.json()) in {(200, False), (404, True)}
        assert found.text != browser.get("/elsewhere/api/datasets/staged/queue").text
        foreign = browser.get(address, headers={"sec-fetch-site": "cross-site"})
        assert foreign.status_code == 403
