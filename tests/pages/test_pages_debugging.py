"""Data debugging in a real browser: review fifty, watch the gain, compare, take back, settle a conflict."""

from datetime import UTC, datetime

import numpy as np
import pytest

from audit.exchange import patch
from audit.records.decision import Decision, Verdict
from audit.store import datasets, decisions
from audit.store.workspace import Workspace

pytestmark = [pytest.mark.browser, pytest.mark.slow]

N_TRAIN, N_TEST, N_WRONG = 150, 60, 60


@pytest.fixture
def debugged(labeltrace, coloured_images, tmp_path):
    """Audit 150 training images, 60 of them labelled wrong, beside 60 test images."""
    images, truth = coloured_images(N_TRAIN + N_TEST)
    labels = truth.copy()
    labels[:N_WRONG] = (truth[:N_WRONG] + 1) % 3
    file = tmp_path / "colours.npz"
    np.savez(
        file, images=images, labels=labels, true_labels=truth,
        class_names=np.array(["red", "green", "blue"]),
        split=np.array(["train"] * N_TRAIN + ["test"] * N_TEST),
    )  # fmt: skip
    labeltrace("audit", file, "--method", "margin", "--epochs", 4, "--out", tmp_path / "scores.csv")
    return labeltrace.workspace


def test_a_reviewer_sees_what_corrections_were_worth_and_others_question_them(
    serve, debugged, tab, visit, labeltrace, tmp_path
):
    server = serve(debugged, LABELTRACE_REVIEWER="ada", HOME=str(tmp_path))
    visit(tab, f"{server.url}/review?dataset=colours&method=margin")
    seen = {}
    for _ in range(50):
        seen[painted(tab, seen)] = True
        tab.keyboard.press("Enter")
    painted(tab, seen)
    tab.get_by_test_id("review-unsent").and_(tab.get_by_text("0", exact=True)).wait_for()
    line = tab.get_by_test_id("stPopover").get_by_role("button")
    line.filter(has_text="Gain +").wait_for(timeout=120_000)
    line.click()
    tab.get_by_text("After 50 decisions:").wait_for()
    tab.get_by_role("link", name="Retrain and compare").click()

    tab.locator("h1", has_text="Retrain").wait_for()
    for label, value in (("Seeds", "2"), ("Epochs", "2")):
        field = tab.get_by_label(label, exact=True)
        field.fill(value)
        field.press("Enter")
    tab.get_by_text("8 trainings to do.").wait_for()
    tab.get_by_role("button", name="Start comparison").click()
    verdict = tab.get_by_test_id("retrain-verdict")
    verdict.filter(has_text="Nothing is trained yet.").or_(verdict).first.wait_for()
    told = labeltrace_waits(labeltrace)
    tab.get_by_text(told["verdict"][0]).first.wait_for(timeout=60_000)
    assert [arm["arm"] for arm in told["arms"]] == ["given", "dropped", "relabelled", "automatic"]
    assert all(len(arm["seeds"]) == 2 for arm in told["arms"])
    tab.get_by_text("Changed predictions").click()
    tab.get_by_text("became wrong").first.wait_for()

    visit(tab, f"{server.url}/history?dataset=colours")
    tab.get_by_text("Take back", exact=True).first.click()
    tab.get_by_text("All decisions of a person").click()
    tab.get_by_text("This takes 50 decisions back").wait_for()
    tab.get_by_role("button", name="Take back", exact=True).last.click()
    tab.get_by_text("50 decisions were taken back").wait_for()
    visit(tab, f"{server.url}/retrain?dataset=colours")
    tab.get_by_text("50 decisions or undos were recorded since").wait_for()

    first, second = two_patches(debugged, tmp_path)
    visit(tab, f"{server.url}/export?dataset=colours")
    tab.get_by_text("Apply patches").click()
    tab.locator("input[type=file]").set_input_files([first, second])
    group = tab.get_by_role("group").filter(has_text="bob")
    group.get_by_role("radio", name="ann: exclude").check()
    tab.get_by_role("button", name="Apply", exact=True).click()
    tab.get_by_text("2 patches are applied").wait_for()
    with Workspace.open(debugged) as workspace:
        dataset = datasets.find(workspace, "colours")
        standing = decisions.current(workspace, dataset.id)
    assert [str(one.verdict) for one in standing.values()] == ["exclude"]


def labeltrace_waits(labeltrace):
    """Ask for the same comparison in the terminal, which waits until it is trained, and return it."""
    words = ("--arms", "given,dropped,relabelled,automatic", "--seeds", 2, "--epochs", 2, "--json")
    return labeltrace("compare", "colours", *words, "--test", "test").json


def two_patches(path, folder):
    """Write two people's patches that disagree on one sample."""
    with Workspace.open(path) as workspace:
        dataset = datasets.find(workspace, "colours")
    files = []
    for day, (name, verdict) in enumerate((("ann", Verdict.EXCLUDE), ("bob", Verdict.UNSURE)), 1):
        files.append(folder / f"{name}.jsonl")
        decided = Decision(
            dataset_id=dataset.id, sample_key=dataset.sample_keys[3], label=None,
            given_label=dataset.class_names[dataset.given_labels[3]], verdict=verdict,
            reviewer=name, decided_at=datetime(2026, 3, day, tzinfo=UTC),
        )  # fmt: skip
        patch.write(
            files[-1],
            dataset=dataset,
            decisions=[decided],
            base_version="given",
            made_at=datetime.now(UTC),
        )
    return files


def painted(tab, before):
    """Wait for an image that was not decided on and return its key."""
    tab.wait_for_function(
        """seen => {
          const found = [];
          const look = root => root.querySelectorAll('*').forEach(e => {
            if (e.dataset?.testid === 'review-image') found.push(e.dataset.sampleKey);
            if (e.shadowRoot) look(e.shadowRoot);
          });
          look(document);
          return found.length === 1 && found[0] && !seen.includes(found[0]);
        }""",
        arg=list(before),
    )
    return tab.get_by_test_id("review-image").get_attribute("data-sample-key")
