"""A dashboard that is served under a path answers there, as guarded as at the root."""

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from audit.api import guards, routes


@pytest.mark.parametrize("root", ["", "/lt", "/deep/er"])
def test_routes_answer_under_whatever_path_the_pages_are_served_and_guarded_there(
    root, staged_workspace, monkeypatch
):
    monkeypatch.setenv("LABELTRACE_WORKSPACE", str(staged_workspace))
    app = Starlette(routes=routes(), middleware=guards(bound_to=lambda: "127.0.0.1"))
    with TestClient(app, base_url="http://127.0.0.1") as browser:
        address = f"{root}/api/datasets/nothing/queue?count=1"
        found = browser.get(address)
        assert found.status_code == 404
        assert "nothing" in found.json()["error"]
        foreign = browser.get(address, headers={"sec-fetch-site": "cross-site"})
        assert foreign.status_code == 403


def test_no_spelling_of_a_path_reaches_a_route_past_its_guard(staged_workspace, monkeypatch):
    monkeypatch.setenv("LABELTRACE_WORKSPACE", str(staged_workspace))
    app = Starlette(routes=routes(), middleware=guards(bound_to=lambda: "127.0.0.1"))
    with TestClient(app, base_url="http://127.0.0.1") as browser:
        for address in (
            "/xapi/jobs/1/log",
            "/%61pi/jobs/1/log",
            "/a%2Fapi/jobs/1/log",
        ):
            answer = browser.get(address, headers={"sec-fetch-site": "cross-site"})
            assert answer.status_code == 403, address
