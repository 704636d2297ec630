"""The dashboard's routes over a real workspace, without a server around them."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from audit.api.application import routes
from audit.store.workspace import Workspace
from audit.workbench import serving
from audit.workbench.shelf import Shelf


@pytest.fixture
def serve_routes(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Path], TestClient]]:
    """Give a client of the routes over a workspace; its shelf is `serving.shelf()`."""
    opened: list[Workspace] = []
    clients: list[TestClient] = []

    def begin(path: Path) -> TestClient:
        opened.append(Workspace.open(path))
        shelf = Shelf(opened[-1])
        monkeypatch.setattr(serving, "_shelf", lambda *_: shelf)
        clients.append(TestClient(Starlette(routes=routes())).__enter__())
        return clients[-1]

    yield begin
    for client in clients:
        client.__exit__(None, None, None)
    for workspace in opened:
        workspace.close()


@pytest.fixture
def staged_routes(serve_routes: Callable[[Path], TestClient], staged_workspace: Path) -> TestClient:
    """Give a client over the workspace with the dataset ``staged``, which tests only read."""
    return serve_routes(staged_workspace)
