"""What every detector promises, over the whole registry."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from audit.detectors import catalog, registry
from audit.errors import InputError, NotFoundError, StoppedError, UnreliableError
from audit.numerics import metrics
from audit.records.dynamics import MeanProbabilities
from audit.records.progress import silent
from audit.records.run import Probe
from audit.records.scores import DetectorSpec

NAMES = catalog.names()
OF_PROBE = {
    Probe.NONE: {"n_untrained": 17},
    Probe.THRESHOLD: {"n_untrained": 17, "n_threshold_parts": 2},
    Probe.CORRUPTED: {"n_untrained": 17, "corrupted_fraction": 0.2},
    Probe.PLANTED: {"n_untrained": 17, "planted_fraction": 0.1},
}
every_detector = pytest.mark.parametrize("name", NAMES)
SHORT = {"dynacor": {"epochs": 2}}


def build(name):
    """Build a detector; one that trains a network of its own trains it for a moment only."""
    return registry.build(name, SHORT.get(name))


@pytest.fixture(scope="module")
def made(planted):
    """Per detector the runs that it needs, and the truth about them."""
    kinds = {probe: planted.make(**OF_PROBE[probe]) for probe in OF_PROBE}
    return {name: kinds[catalog.entry(name).needs.probe] for name in NAMES}


@pytest.fixture(scope="module")
def scored(made):
    return {name: build(name).score(made[name].runs, silent) for name in NAMES}


def permuted_rows(run, order):
    table = run.mean_probabilities
    return replace(
        run,
        sample=run.sample[order],
        assigned_label=run.assigned_label[order],
        role=run.role[order],
        signals={name: values[:, order] for name, values in run.signals.items()},
        mean_probabilities=replace(table, classes=table.classes[order], values=table.values[order]),
    )


def assert_same(first, second):
    assert_array_equal(first.suspicion, second.suspicion)
    assert_array_equal(first.quantity, second.quantity)
    assert_array_equal(first.suggested_label, second.suggested_label)
    assert first.threshold == second.threshold
    assert first.spec == second.spec
    if first.flagged is not None:
        assert_array_equal(first.flagged, second.flagged)


def test_catalogue_registry_and_score_cards_name_the_same_detectors():
    assert registry.names() == catalog.names()
    text = (Path(__file__).parents[2] / "docs" / "methods.md").read_text(encoding="utf-8")
    cards = [line.split("`")[1] for line in text.splitlines() if line.startswith("### `")]
    assert tuple(cards) == catalog.names()


@every_detector
def test_a_score_card_names_direction_needs_cost_and_failures(name):
    text = (Path(__file__).parents[2] / "docs" / "methods.md").read_text(encoding="utf-8")
    card = text.split(f"### `{name}`")[1].split("\n### ")[0].split("\n## ")[0]
    for word in ("Definition", "Quantity", "Direction", "Needs", "Cost", "Known failures"):
        assert f"**{word}" in card, f"the card of {name} does not say: {word}"
    for parameter in catalog.entry(name).parameters:
        assert f"`{parameter.name}`" in card


@every_detector
def test_names_in_the_catalogue_are_those_of_the_answer(name, scored):
    entry = catalog.entry(name)
    assert scored[name].spec.name == name
    assert scored[name].spec.version == entry.version
    assert list(scored[name].spec.params) == [p.name for p in entry.parameters]
    assert scored[name].quantity_name == entry.quantity_name
    assert (scored[name].flagged is not None) == entry.has_cut
    assert (scored[name].threshold is not None) == entry.has_cut


@every_detector
def test_suspicion_lies_in_0_to_1_and_is_nan_exactly_for_samples_that_were_not_trained(
    name, scored, made
):
    suspicion = scored[name].suspicion
    assert suspicion.dtype == np.float64
    assert_array_equal(np.isnan(suspicion), ~made[name].is_trained)
    assert_array_equal(np.isnan(scored[name].quantity), ~made[name].is_trained)
    inside = suspicion[made[name].is_trained]
    assert inside.min() >= 0
    assert inside.max() <= 1


@every_detector
def test_suspicion_orders_samples_exactly_as_the_quantity_does(name, scored, made):
    is_scored = made[name].is_trained
    _, by_suspicion = np.unique(-scored[name].suspicion[is_scored], return_inverse=True)
    _, by_quantity = np.unique(scored[name].quantity[is_scored], return_inverse=True)
    if not catalog.entry(name).low_is_suspect:
        by_quantity = by_quantity.max() - by_quantity
    assert_array_equal(by_suspicion, by_quantity)


@every_detector
def test_planted_wrong_labels_are_more_suspicious_than_right_ones(name, scored, made):
    is_scored = made[name].is_trained
    found = metrics.average_precision(
        scored[name].suspicion[is_scored], made[name].is_wrong[is_scored]
    )
    # A random order reaches .14; with these numbers the detectors reach .90 to .95.
    assert found > 0.8


@every_detector
def test_suggestions_are_real_classes_other_than_the_given_one_and_mostly_true(name, scored, made):
    suggested, truth = scored[name].suggested_label, made[name]
    assert suggested.dtype == np.int32
    assert_array_equal(suggested[~truth.is_trained], -1)
    trained = truth.is_trained
    assert suggested[trained].min() >= 0
    assert suggested[trained].max() < truth.runs[0].n_classes
    assert (suggested[trained] != truth.given_labels[trained]).all()
    is_wrong = truth.is_wrong & trained
    assert (suggested[is_wrong] == truth.true_labels[is_wrong]).mean() > 0.7


@every_detector
def test_samples_that_were_not_scored_are_never_flagged(name, scored, made):
    if scored[name].flagged is not None:
        assert not scored[name].flagged[~made[name].is_trained].any()


@every_detector
def test_the_order_of_rows_and_of_runs_does_not_matter(name, scored, made):
    order = np.random.default_rng(3).permutation(made[name].runs[0].n_rows)
    runs = [permuted_rows(run, order) for run in reversed(made[name].runs)]
    assert_same(build(name).score(runs, silent), scored[name])


@every_detector
def test_renumbering_the_samples_renumbers_the_scores(name, scored, made):
    n_samples = made[name].runs[0].n_samples
    new_position = np.random.default_rng(4).permutation(n_samples)
    runs = [replace(run, sample=new_position[run.sample]) for run in made[name].runs]
    moved = build(name).score(runs, silent)
    assert_array_equal(moved.suspicion[new_position], scored[name].suspicion)
    assert_array_equal(moved.suggested_label[new_position], scored[name].suggested_label)
    if moved.flagged is not None:
        assert_array_equal(moved.flagged[new_position], scored[name].flagged)


@every_detector
def test_asking_twice_gives_the_same_answer_and_changes_nothing(name, scored, made):
    before = [
        {key: values.copy() for key, values in run.signals.items()} for run in made[name].runs
    ]
    assert_same(build(name).score(made[name].runs, silent), scored[name])
    for run, signals in zip(made[name].runs, before, strict=True):
        for key, values in signals.items():
            assert_array_equal(run.signals[key], values)


@every_detector
def test_a_constant_added_to_all_logits_of_a_row_changes_nothing(name, scored, made, planted):
    shifted = planted.make(**OF_PROBE[catalog.entry(name).needs.probe], shift=0.25)
    scores = build(name).score(shifted.runs, silent)
    # Float64 logits of size 150 carry the margins to 1e-13; recorded float32 rounds to 1e-6.
    assert_allclose(scores.quantity, scored[name].quantity, atol=2e-6)
    assert_array_equal(scores.suggested_label, scored[name].suggested_label)


@every_detector
def test_a_sample_trained_twice_under_two_names_gets_one_suspicion(name, made):
    runs = []
    for run in made[name].runs:
        order = np.concatenate([np.arange(run.n_rows), [5, 9]])
        twice = permuted_rows(run, order)
        sample = twice.sample.copy()
        sample[-2:] = [run.n_samples, run.n_samples + 1]
        runs.append(replace(twice, sample=sample, n_samples=run.n_samples + 2))
    scores = build(name).score(runs, silent)
    assert_array_equal(scores.suspicion[-2:], scores.suspicion[[5, 9]])


@every_detector
def test_memory_mapped_signals_give_the_same_answer(name, scored, made, tmp_path):
    runs = []
    for run in made[name].runs:
        signals = {}
        for key, values in run.signals.items():
            np.save(tmp_path / f"{run.run_id}-{key}.npy", values)
            signals[key] = np.load(tmp_path / f"{run.run_id}-{key}.npy", mmap_mode="r")
        runs.append(replace(run, signals=signals))
    assert_same(build(name).score(runs, silent), scored[name])


@every_detector
def test_details_and_parameters_are_plain_json(name, scored):
    import json

    assert json.loads(json.dumps(dict(scored[name].details), allow_nan=False))
    assert json.loads(json.dumps(dict(scored[name].spec.params))) == scored[name].spec.params


@every_detector
def test_a_stored_spec_builds_the_same_detector_again(name, scored):
    assert registry.rebuild(scored[name].spec).spec == scored[name].spec


@every_detector
def test_a_spec_of_another_version_is_refused(name):
    with pytest.raises(InputError, match="score the runs again"):
        registry.rebuild(DetectorSpec(name=name, version=999))


@every_detector
def test_an_unknown_parameter_is_refused_with_those_that_exist(name):
    with pytest.raises(InputError, match=f"{name} has no parameter 'depth'; there are: "):
        registry.build(name, {"depth": 3})


@every_detector
def test_no_run_two_equal_runs_and_runs_of_two_datasets_are_refused(name, made):
    run = made[name].runs[0]
    with pytest.raises(UnreliableError, match="no run"):
        build(name).score([], silent)
    with pytest.raises(UnreliableError, match="twice"):
        build(name).score([run, run], silent)
    bigger = replace(run, run_id="bigger", n_samples=run.n_samples + 1)
    with pytest.raises(UnreliableError, match="not of one dataset"):
        build(name).score([run, bigger], silent)


@every_detector
def test_runs_on_other_labels_are_refused_with_the_sample(name, made, planted):
    run = made[name].runs[0]
    other = planted.make(**OF_PROBE[catalog.entry(name).needs.probe], seed=1).runs[-1]
    if other.config.probe_group:
        other = replace(other, config=replace(other.config, probe_group=run.config.probe_group))
    with pytest.raises(UnreliableError, match=r"other labels .* sample"):
        build(name).score([run, other], silent)


@every_detector
def test_a_wish_to_stop_is_heard(name, made):
    def stop(fraction, message):
        raise StoppedError("Somebody asked to stop.")

    with pytest.raises(StoppedError):
        build(name).score(made[name].runs, stop)


@every_detector
def test_progress_rises_from_0_to_1(name, made):
    seen = []
    build(name).score(made[name].runs, lambda fraction, message: seen.append(fraction))
    assert seen == sorted(seen)
    assert seen[0] == 0
    assert seen[-1] == 1


@every_detector
def test_dynamics_without_what_the_formula_reads_are_refused(name, made):
    runs = [
        replace(
            run,
            signals={"loss": run.signals["loss"]},
            mean_probabilities=None,
        )
        for run in made[name].runs
    ]
    with pytest.raises(UnreliableError, match=f"{name} needs the .* run run-0-0"):
        build(name).score(runs, silent)


@pytest.mark.parametrize("name", [n for n in NAMES if "margin" in catalog.entry(n).needs.signals])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_margin_that_is_not_finite_is_refused_with_run_epoch_and_sample(name, value, made):
    run = made[name].runs[0]
    margins = run.signals["margin"].copy()
    margins[8, 41] = value
    runs = [replace(run, signals={**run.signals, "margin": margins}), *made[name].runs[1:]]
    with pytest.raises(UnreliableError, match=r"run-0-0 .* epoch 9 \(sample 41\)"):
        build(name).score(runs, silent)


@every_detector
def test_shortened_probability_tables_keep_the_suggestions_for_wrong_labels(name, made, planted):
    # Three of five classes. One run's best other class is always listed; the sum of two runs can
    # miss one that fell out of either list, which matters only where no class stands out.
    runs = []
    for run in made[name].runs:
        full = run.mean_probabilities
        runs.append(replace(run, mean_probabilities=planted.table(full.values, 3)))
    short = build(name).score(runs, silent)
    full = build(name).score(made[name].runs, silent)
    is_wrong = made[name].is_wrong
    assert (short.suggested_label == full.suggested_label)[is_wrong].mean() > 0.95
    if len(runs) == 1:
        assert_array_equal(short.suggested_label, full.suggested_label)
        assert_allclose(short.quantity, full.quantity, atol=1e-6)


@every_detector
def test_without_mean_probabilities_there_are_scores_but_no_suggestions(name, made, scored):
    if catalog.entry(name).needs.mean_probabilities:
        pytest.skip("this one reads them")
    runs = [replace(run, mean_probabilities=None) for run in made[name].runs]
    scores = build(name).score(runs, silent)
    assert_array_equal(scores.quantity, scored[name].quantity)
    assert_array_equal(scores.suggested_label, -1)


@every_detector
def test_its_responder_gives_for_recorded_values_what_that_run_alone_gives_the_sample(name, made):
    detector = build(name)
    for sample in (0, 41, 305):
        responder = detector.responder(made[name].runs, sample)
        run, row = responder.run, responder.row
        assert (run.sample[row], run.role[row]) == (sample, 0)
        own = np.stack([run.signals[signal][:, row] for signal in responder.signals], axis=1)
        found = responder.answer(np.stack([own, own[::-1], own]))
        assert (found.shape, found.dtype) == ((3,), np.float64)
        assert found.min() >= 0
        assert found.max() <= 1
        # What stands beside a sequence in a batch is nothing to it.
        assert_allclose(found[[0, 2]], responder.answer(own[None])[0], atol=1e-6)
        alone = detector.score([run], silent).suspicion[sample]
        if name == "log_ratio":
            # Of other classes only the best one of each epoch is recorded; its mean is the larger.
            assert alone - 1e-6 <= found[0] < alone + 0.25
        else:
            assert_allclose(found[0], alone, atol=1e-6)
        if responder.log_odds is not None:
            assert_allclose(1 / (1 + np.exp(-responder.log_odds(own[None]))), found[:1], atol=1e-6)


@every_detector
def test_a_sample_that_no_run_trained_has_no_responder(name, made):
    with pytest.raises(UnreliableError, match=f"trained sample 599 .* {name}"):
        build(name).responder(made[name].runs, 599)


def test_an_unknown_method_is_refused_with_those_that_exist():
    with pytest.raises(NotFoundError, match=r"no method 'aom'; there are aum, .*margin"):
        registry.build("aom")


def test_a_class_beyond_the_top_places_marks_an_unused_place(planted, made):
    run = made["margin"].runs[0]
    empty = MeanProbabilities(
        classes=np.full((run.n_rows, 2), -1, dtype=np.int32),
        values=np.zeros((run.n_rows, 2), dtype=np.float32),
        is_full=False,
    )
    scores = registry.build("margin").score([replace(run, mean_probabilities=empty)], silent)
    assert_array_equal(scores.suggested_label, -1)
    with pytest.raises(UnreliableError, match="too few class probabilities"):
        registry.build("log_ratio").score([replace(run, mean_probabilities=empty)], silent)


def test_seeds_are_averaged_by_the_direct_statistics(planted, made):
    first = made["margin"].runs[0]
    second = replace(
        first,
        run_id="zweite",
        signals={**first.signals, "margin": first.signals["margin"] + np.float32(2)},
    )
    alone = registry.build("margin").score([first], silent)
    both = registry.build("margin").score([first, second], silent)
    assert both.run_ids == ("run-0-0", "zweite")
    # Adding 2 to a float32 rounds it to 2e-7.
    assert_allclose(both.quantity, alone.quantity + 1, atol=1e-6)


def test_an_ordinary_statistic_of_one_probe_part_says_what_it_cannot_see(made):
    parts = made["aum"].runs
    scores = registry.build("margin").score(parts[:1], silent)
    n_planted = int((parts[0].role == 1).sum())
    assert int(np.isnan(scores.suspicion).sum()) == n_planted + 17
    assert scores.messages[0].startswith(f"{n_planted} samples were not scored")
    assert registry.build("margin").score(parts, silent).messages == ()
