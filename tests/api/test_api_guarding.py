"""The dashboard turns away foreign hosts and origins, and tells who starts it for others."""

import base64
import http.client
import os

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient, WebSocketDenialResponse

from audit.api import guarding, guards

OWN = "127.0.0.1:8501"


@pytest.fixture
def ask(monkeypatch):
    """Ask a guarded application that answers anything, bound to an address."""
    monkeypatch.delenv(guarding.ALLOWED_HOSTS, raising=False)

    async def answer(request):
        return PlainTextResponse("in")

    async def talk(socket):
        await socket.accept()
        await socket.send_text("in")
        await socket.close()

    methods = ["GET", "HEAD", "POST", "PUT", "DELETE"]
    everywhere = Route("/{path:path}", answer, methods=methods)
    routes = [WebSocketRoute("/_stcore/stream", talk), everywhere]

    def build(bound_to):
        guarded = Starlette(routes=routes, middleware=guards(bound_to=lambda: bound_to))
        return TestClient(guarded, base_url="http://127.0.0.1:8501")

    def request(host, *, bound_to="127.0.0.1", path="/", method="GET", **headers):
        sent = {"host": host} | {name.replace("_", "-"): v for name, v in headers.items()}
        return build(bound_to).request(method, path, headers=sent).status_code

    def handshake(host, *, bound_to="127.0.0.1", **headers):
        try:
            with build(bound_to).websocket_connect(
                "/_stcore/stream", headers={"host": host} | headers
            ) as talk:
                return talk.receive_text()
        except WebSocketDenialResponse as refusal:
            return refusal.status_code

    request.websocket = handshake
    return request


@pytest.mark.parametrize(
    "host", [OWN, "localhost:8501", "LOCALHOST", "localhost.", "127.8.9.1:1", "[::1]:8501"]
)
def test_loopback_names_are_answered(ask, host):
    assert ask(host) == 200
    assert ask.websocket(host, origin=f"http://{host}") == "in"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example", "127.0.0.1.evil.example", "localhost.evil.example:8501", "192.168.1.5:8501",
        "0.0.0.0:8501", "[::]:8501", "", "a@127.0.0.1", "127.0.0.1/", "127.0.0.1:x", "[::1", "2130706433",
    ],
)  # fmt: skip
def test_other_names_are_refused_on_loopback(ask, host):
    assert ask(host) == 403
    assert ask.websocket(host, origin=f"http://{host}") == 403


def test_a_refusal_is_one_sentence_of_text_without_the_foreign_name(ask):
    client = TestClient(
        Starlette(middleware=guards(bound_to=lambda: "127.0.0.1")), base_url="http://evil.example"
    )
    answer = client.get("/")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text.count("\n") == 1
    assert guarding.ALLOWED_HOSTS in answer.text
    assert "evil" not in answer.text


def test_the_environment_names_further_hosts(ask, monkeypatch):
    monkeypatch.setenv(guarding.ALLOWED_HOSTS, "audit.example.org, Other.example:80,,")
    assert ask("audit.example.org", bound_to="0.0.0.0") == 200
    assert ask("other.EXAMPLE:8501", bound_to="0.0.0.0") == 200
    assert ask("more.audit.example.org", bound_to="0.0.0.0") == 403
    assert ask("audit.example.org") == 200, "a proxy on this machine passes its own name on"


def test_bound_elsewhere_the_address_and_this_machines_names_are_answered(ask):
    own = os.uname().nodename
    assert ask("10.1.2.3:8501", bound_to="10.1.2.3") == 200
    assert ask("10.1.2.4:8501", bound_to="10.1.2.3") == 403
    assert ask(own, bound_to="0.0.0.0") == 200
    assert ask(own) == 403
    assert ask("localhost", bound_to="0.0.0.0") == 200
    assert ask("evil.example", bound_to=None) == 403


def test_bound_to_everything_the_address_that_was_reached_is_answered_but_no_name_for_it():
    def scope(host):
        headers = [(b"host", host.encode())]
        server = ("192.168.7.7", 8501)
        return {"type": "http", "method": "GET", "path": "/", "headers": headers, "server": server}

    assert guarding.objection(scope("192.168.7.7:8501"), "0.0.0.0") is None
    assert guarding.objection(scope("[::ffff:192.168.7.7]:8501"), "::") is None
    assert guarding.objection(scope("192.168.7.8:8501"), "0.0.0.0")
    assert guarding.objection(scope("rebound.example:8501"), "0.0.0.0")


FOREIGN = ["http://evil.example", "http://127.0.0.1:9", "null", "https://127.0.0.1", "file://", "x"]


@pytest.mark.parametrize("origin", FOREIGN)
def test_foreign_origins_change_nothing_and_read_nothing_under_api(ask, origin):
    assert ask.websocket(OWN, origin=origin) == 403
    for method in ("POST", "PUT", "DELETE"):
        assert ask(OWN, method=method, origin=origin) == 403
    assert ask(OWN, path="/api/datasets/1/image/0", origin=origin) == 403
    assert ask(OWN, origin=origin) == 200, "a page may be followed to from elsewhere"


def test_the_own_origin_passes_also_behind_a_proxy_that_ends_encryption(ask, monkeypatch):
    monkeypatch.setenv(guarding.ALLOWED_HOSTS, "audit.example.org")
    for host, origin in (
        (OWN, f"http://{OWN}"), ("localhost:80", "http://localhost"),
        ("audit.example.org", "https://audit.example.org"),
        ("audit.example.org", "https://audit.example.org:443"),
    ):  # fmt: skip
        assert ask(host, method="PUT", origin=origin) == 200
        assert ask(host, path="/api/x", origin=origin) == 200
        assert ask.websocket(host, origin=origin) == "in"


def test_without_an_origin_a_program_may_ask(ask):
    assert ask(OWN, path="/api/x") == 200
    assert ask(OWN, method="POST") == 200
    assert ask.websocket(OWN) == "in"


@pytest.mark.parametrize(
    ("site", "code"), [("same-origin", 200), ("none", 200), ("cross-site", 403), ("same-site", 403)]
)
def test_images_are_not_shown_in_pages_of_other_sites(ask, site, code):
    assert ask(OWN, path="/api/datasets/1/image/0", Sec_Fetch_Site=site) == code
    assert ask(OWN, Sec_Fetch_Site=site) == 200, "links to pages may be followed"


def test_only_addresses_that_others_can_reach_are_warned_about():
    for quiet in ("127.0.0.1", "localhost", "::1", "127.0.0.2"):
        assert guarding.warning(quiet) is None
    for loud in ("0.0.0.0", "::", "192.168.1.5", "machine.example", "", None):
        told = guarding.warning(loud)
        assert "LABELTRACE_DATA_ROOTS" in told
        assert "LABELTRACE_ALLOWED_HOSTS" in told


def test_the_real_server_guards_pages_and_websocket_and_sends_security_headers(staged_server):
    def ask(path, **headers):
        connection = http.client.HTTPConnection("127.0.0.1", staged_server.port, timeout=20)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        answer.body = b"" if answer.status == 101 else answer.read()
        connection.close()
        return answer

    own = f"127.0.0.1:{staged_server.port}"
    page = ask("/ranking", Host=own)
    assert page.status == 200
    assert "frame-ancestors 'self'" in page.headers["content-security-policy"]
    assert page.headers["x-content-type-options"] == "nosniff"
    assert page.headers["x-frame-options"] == "SAMEORIGIN"
    assert page.headers["referrer-policy"] == "same-origin"
    assert ask("/ranking", Host="evil.example").status == 403
    assert ask("/_stcore/health", Host="evil.example").status == 403
    upgrade = {
        "Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
    }  # fmt: skip
    assert ask("/_stcore/stream", Host=own, Origin=f"http://{own}", **upgrade).status == 101
    foreign = ask("/_stcore/stream", Host=own, Origin="http://evil.example", **upgrade)
    assert foreign.status == 403
    assert b"its own pages only" in foreign.body
    rebound = {"Host": "evil.example", "Origin": "http://evil.example"}
    assert ask("/_stcore/stream", **rebound, **upgrade).status == 403
