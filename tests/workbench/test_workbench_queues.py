"""Likely classes on number keys: in which order, from which rows of which runs."""

from dataclasses import replace

import numpy as np
import pytest

from audit.records.dynamics import MeanProbabilities, Role, TrainingDynamics
from audit.store.workspace import Workspace
from audit.workbench import likely, queues, suspects
from audit.workbench.shelf import Shelf
from audit.workbench.suspects import Filters, State

N_SAMPLES, N_CLASSES = 60, 14


@pytest.fixture(scope="module")
def shelf(stage, tmp_path_factory):
    folder = tmp_path_factory.mktemp("queues")
    with Workspace.open(folder / "workspace") as workspace:
        stage(
            workspace, folder, n_samples=N_SAMPLES + 3, n_classes=N_CLASSES, n_unlabelled=3,
            n_epochs=4,
        )  # fmt: skip
        yield Shelf(workspace)


@pytest.fixture
def dataset(shelf):
    return shelf.dataset("staged")


def plain_classes(dataset, scores, runs, position):
    """Return the nine likeliest classes of one sample, one class after the other."""
    found = []
    for run in runs:
        table = run.mean_probabilities
        for row in range(run.n_rows):
            is_meant = run.sample[row] == position and run.role[row] == Role.GIVEN
            if table is not None and is_meant:
                values = np.zeros(dataset.n_classes)
                for index, value in zip(table.classes[row], table.values[row], strict=True):
                    if 0 <= index < dataset.n_classes:
                        values[index] += value
                found.append(values)
    if found:
        mean = np.mean(found, axis=0)
        return sorted(range(dataset.n_classes), key=lambda index: (-mean[index], index))[:9]
    first = [int(scores.suggested_label[position]), int(dataset.given_labels[position])]
    order = [index for index in first if index >= 0] + list(range(dataset.n_classes))
    return list(dict.fromkeys(order))[:9]


@pytest.mark.parametrize("method", ["margin", "aum"])
def test_the_nine_likeliest_are_those_of_the_mean_over_the_rows_under_given_labels(
    shelf, dataset, method
):
    scores = suspects.ranked(shelf, dataset, method).scores
    runs = [shelf.dynamics(run_id) for run_id in scores.run_ids]
    assert len(runs) == (2 if method == "aum" else 1)
    positions = np.arange(dataset.n_samples)
    offered = likely.classes(shelf, dataset, scores, positions)
    assert offered == [plain_classes(dataset, scores, runs, position) for position in positions]


def shortened(dataset, seed):
    """Return a run that lists four classes per row, one place of them unused, with many ties."""
    rng = np.random.default_rng(seed)
    places = np.argsort(rng.random((N_SAMPLES, N_CLASSES)), axis=1)[:, :4].astype(np.int32)
    places[:, 3] = -1
    return TrainingDynamics(
        run_id=f"shortened {seed}",
        n_samples=dataset.n_samples,
        n_classes=dataset.n_classes,
        sample=np.arange(N_SAMPLES),
        assigned_label=dataset.given_labels[:N_SAMPLES].astype(np.int32),
        role=np.where((np.arange(N_SAMPLES) + seed) % 3, Role.GIVEN, Role.THRESHOLD).astype(
            np.int8
        ),
        signals={},
        mean_probabilities=MeanProbabilities(
            classes=places,
            values=(rng.integers(0, 3, places.shape) / 4).astype(np.float32),
            is_full=False,
        ),
    )


@pytest.mark.parametrize("n_runs", [1, 2])
def test_shortened_and_missing_tables_and_ties_are_settled_by_rule(shelf, dataset, n_runs):
    runs = {f"shortened {seed}": shortened(dataset, seed) for seed in range(n_runs)}
    scores = replace(suspects.ranked(shelf, dataset, "margin").scores, run_ids=tuple(runs))
    positions = np.arange(dataset.n_samples)[::-1]
    offered = likely.classes(Recorded(runs), dataset, scores, positions)
    plain = [plain_classes(dataset, scores, list(runs.values()), p) for p in positions]
    assert offered == plain


class Recorded:
    """A shelf with dynamics only, which keeps nothing."""

    def __init__(self, runs):
        self.dynamics = runs.__getitem__

    def keep(self, key, make):
        return make()


def test_up_to_nine_classes_have_the_same_key_on_every_image(stage, tmp_path):
    with Workspace.open(tmp_path / "workspace") as workspace:
        stage(workspace, tmp_path, n_samples=80, n_classes=9, n_epochs=3, methods=("margin",))
        shelf = Shelf(workspace)
        page = queues.page(shelf, shelf.dataset("staged"), Filters(), count=50)
    assert {tuple(item["likely"]) for item in page.items} == {tuple(range(9))}


def test_items_of_certain_samples_say_what_the_queue_says(shelf, dataset):
    filters = Filters(method="margin", state=State.ALL)
    listed = queues.page(shelf, dataset, filters, count=50).items
    wanted = [listed[30], listed[2], listed[7]]
    assert queues.items(shelf, dataset, filters, [item["position"] for item in wanted]) == wanted
