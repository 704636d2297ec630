"""Logs of jobs, to be saved as files."""

import pytest

from audit.jobs import queue
from audit.store import jobs
from audit.workbench import serving


@pytest.fixture
def job(serve_routes, tmp_path):
    client = serve_routes(tmp_path / "workspace")
    workspace = serving.shelf().workspace
    stored = queue.enqueue(workspace, "train", {}, device="cpu")
    return client, stored, jobs.log_path(workspace, stored.id)


def test_a_log_comes_whole_as_a_file_of_plain_text(job):
    client, stored, file = job
    text = "<script>first</script>\n" + "é line\n" * 50_000 + "last"
    file.write_text(text, encoding="utf-8")
    answer = client.get(f"/api/jobs/{stored.id}/log")
    assert answer.text == text
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.headers["content-disposition"].startswith("attachment; filename=")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


def test_a_job_that_has_written_nothing_has_an_empty_log(job):
    client, stored, file = job
    file.unlink(missing_ok=True)
    answer = client.get(f"/api/jobs/{stored.id}/log")
    assert (answer.status_code, answer.content) == (200, b"")


@pytest.mark.parametrize("reference", ["prefix", "nothing", "..%5c..", "%00", "é"])
def test_only_the_whole_id_of_a_known_job_is_answered(job, reference):
    client, stored, _ = job
    reference = stored.id[:-1] if reference == "prefix" else reference
    assert client.get(f"/api/jobs/{reference}/log").status_code == 404
