"""AUM by hand, against the public package, and its health in words."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from audit.detectors import registry
from audit.errors import InputError, UnreliableError
from audit.numerics import metrics, signals
from audit.records.dynamics import Role, TrainingDynamics
from audit.records.progress import silent
from audit.records.run import Schedule

G, T = Role.GIVEN, Role.THRESHOLD


def score(runs, **params):
    return registry.build("aum", params).score(runs, silent)


@pytest.fixture
def two_parts(planted):
    """Four samples of three classes; part 0 plants sample 3, part 1 plants sample 0.

    AUM without the first epoch: part 0 gives 2, -1, -3 and alpha 0 (its one threshold row); part 1
    gives samples 1, 2, 3 the values 1, -2, -5 and alpha -1.
    """
    first = planted.by_hand(
        [[9, 9, 9, 9], [1, 0, -2, -1], [3, -2, -4, 1]],
        [0, 1, 2, 3],
        roles=[G, G, G, T],
        run_id="a",
        config=planted.config(3, part=0),
    )
    second = planted.by_hand(
        [[-9, -9, -9, -9], [-2, 2, -2, -5], [0, 0, -2, -5]],
        [3, 1, 2, 0],
        roles=[T, G, G, G],
        run_id="b",
        config=planted.config(3, part=1),
    )
    return first, second


def test_aum_is_the_mean_over_the_runs_in_which_a_sample_kept_its_label(two_parts):
    scores = score(two_parts)
    assert_array_equal(scores.quantity, [2.0, 0.0, -2.5, -5.0])
    assert scores.details["alphas"] == [0.0, -1.0]
    assert scores.threshold == -0.5
    assert_allclose(scores.suspicion, 1 / (1 + np.exp([2.0, 0.0, -2.5, -5.0])))


def test_a_sample_is_flagged_where_all_any_or_the_first_of_its_runs_flag_it(two_parts):
    # Part 0 flags samples 1 and 2 (-1 and -3 <= 0); part 1 flags 2 and 3 (-2 and -5 <= -1).
    assert_array_equal(score(two_parts).flagged, [False, False, True, True])
    assert_array_equal(score(two_parts, combine="or").flagged, [False, True, True, True])
    assert_array_equal(score(two_parts, combine="first").flagged, [False, True, True, True])
    swapped = [
        replace(run, config=replace(run.config, probe_part=1 - part))
        for part, run in enumerate(two_parts)
    ]
    assert_array_equal(score(swapped, combine="first").flagged, [False, False, True, True])


def test_a_sample_exactly_at_the_cut_is_flagged(planted):
    run = planted.by_hand([[1.0, 1.5, 1.0]], [0, 1, 3], roles=[G, G, T])
    assert_array_equal(score([run], skip_first=0).flagged, [True, False, False])


def test_the_first_epoch_is_left_out_unless_asked_for(two_parts):
    assert_allclose(score(two_parts, skip_first=0).quantity[0], 13 / 3)
    assert_array_equal(score(two_parts, skip_first=2).quantity, [3.0, -1.0, -3.0, -5.0])


def test_max_epochs_stops_early(two_parts):
    assert_array_equal(score(two_parts, max_epochs=2).quantity, [1.0, 1.0, -2.0, -5.0])


def test_alpha_is_the_linearly_interpolated_percentile_of_the_threshold_rows(planted):
    run = planted.by_hand(
        [[5.0, 0.0, 1.0, 2.0, 3.0, 4.0]], [0, 3, 3, 3, 3, 3], roles=[G, T, T, T, T, T]
    )
    alphas = {q: score([run], skip_first=0, percentile=q).threshold for q in (0, 50, 99, 100)}
    # The 99th of five values lies 0.96 of the way from the fourth to the fifth.
    assert alphas == {0: 0.0, 50: 2.0, 99: pytest.approx(3.96), 100: 4.0}


def test_one_part_alone_leaves_its_planted_samples_unscored_and_says_so(two_parts):
    scores = score(two_parts[:1])
    assert_array_equal(np.isnan(scores.suspicion), [False, False, False, True])
    assert_array_equal(scores.flagged, [False, True, True, False])
    assert "the 1 samples that run a planted have no AUM" in scores.messages[0]


def test_samples_planted_in_every_part_are_unscored_with_a_sentence(planted):
    runs = [planted.by_hand([[1.0, 0.0]], [0, 3], roles=[G, T], run_id=name) for name in ("a", "b")]
    scores = score(runs, skip_first=0)
    assert_array_equal(np.isnan(scores.quantity), [False, True])
    assert "1 samples were planted in every run" in scores.messages[0]


def test_every_sample_is_scored_once_or_twice_by_two_disjoint_parts(planted):
    made = planted.make(n_threshold_parts=2)
    n_scores = sum(np.bincount(run.sample[run.rows(G)], minlength=600) for run in made.runs)
    assert set(n_scores) == {1, 2}
    scores = score(made.runs)
    assert not np.isnan(scores.quantity).any()
    assert scores.suggested_label.max() < made.runs[0].n_classes


def test_and_flags_more_precisely_than_or_at_almost_equal_recall(planted):
    made = planted.make(n_samples=2000, n_threshold_parts=2)
    both = metrics.flag_quality(score(made.runs).flagged, made.is_wrong)
    either = metrics.flag_quality(score(made.runs, combine="or").flagged, made.is_wrong)
    assert both.precision > either.precision
    assert both.recall > either.recall - 0.05
    assert both.f1 > 0.5 > metrics.f1_flag_everything(made.is_wrong.mean())


def test_quantities_equal_the_public_package_on_the_same_logits(tmp_path):
    """The package `aum` 1.0.2 averages every epoch, hence skip_first=0.

    It computes margins in the dtype of the logits it is handed and averages them as Python floats;
    the rounding to half precision that its paper's scripts do happens outside it. Both sides get
    the same float32 logits. Batches have at least two rows: the package fails on a single one.
    """
    torch = pytest.importorskip("torch")
    aum_package = pytest.importorskip("aum")
    rng = np.random.default_rng(5)
    n_rows, n_outputs, n_epochs = 60, 5, 7
    labels = rng.integers(0, n_outputs - 1, n_rows)
    roles = np.full(n_rows, G)
    roles[:12], labels[:12] = T, n_outputs - 1
    theirs = aum_package.AUMCalculator(str(tmp_path), compressed=True)
    ours = []
    for _ in range(n_epochs):
        logits = (rng.normal(0, 8, (n_rows, n_outputs)) + 30).astype(np.float32)
        ours.append(signals.margin(logits, labels).astype(np.float32))
        for batch in np.array_split(rng.permutation(n_rows), 7):
            theirs.update(
                torch.from_numpy(logits[batch]), torch.from_numpy(labels[batch]), batch.tolist()
            )
    run = TrainingDynamics(
        run_id="same-logits",
        n_samples=n_rows,
        n_classes=n_outputs - 1,
        sample=np.arange(n_rows),
        assigned_label=labels.astype(np.int32),
        role=roles.astype(np.int8),
        signals={"margin": np.stack(ours)},
    )
    expected = np.array([theirs.sums[i] / theirs.counts[i] for i in range(n_rows)])
    scores = score([run], skip_first=0)
    given = roles == G
    assert_allclose(scores.quantity[given], expected[given], atol=1e-5, rtol=0)
    alpha = np.percentile(expected[~given], 99)
    assert_allclose(scores.threshold, alpha, atol=1e-5, rtol=0)
    assert_array_equal(scores.flagged[given], expected[given] <= alpha)


def test_margins_of_the_hand_example_survive_to_the_quantity(planted):
    logits = np.array([[1.0, 2.0, 3.0], [6.0, 5.0, 4.0]])
    margins = signals.margin(logits, np.array([1, 0]))
    assert_array_equal(margins, [-1.0, 1.0])
    run = planted.by_hand([[*margins, -3.0]], [1, 0, 3], roles=[G, G, T])
    assert_array_equal(score([run], skip_first=0).quantity[:2], [-1.0, 1.0])


def test_suggestions_average_the_runs_that_kept_the_label(planted, two_parts):
    tables = (
        [[0.5, 0.3, 0.2], [0.2, 0.2, 0.6], [0.5, 0.1, 0.4], [0.0, 0.0, 1.0]],
        [[0.0, 0.1, 0.9], [0.7, 0.1, 0.2], [0.2, 0.5, 0.3], [0.1, 0.2, 0.7]],
    )
    runs = [
        replace(run, mean_probabilities=planted.table(np.array(values)))
        for run, values in zip(two_parts, tables, strict=True)
    ]
    # Sample 0 is read in part a only, 3 in part b only; 1 and 2 from the sums 0.9 : 0.8, 0.7 : 0.6.
    assert_array_equal(score(runs).suggested_label, [1, 0, 0, 2])


def test_equal_beliefs_suggest_the_lowest_class(planted):
    run = planted.by_hand(
        [[1.0, 1.0, 1.0]],
        [0, 2, 3],
        roles=[G, G, T],
        mean_probabilities=planted.table(np.full((3, 3), 1 / 3)),
    )
    assert_array_equal(score([run], skip_first=0).suggested_label, [1, 0, -1])


def test_a_healthy_probe_is_called_healthy_in_one_sentence_per_run(planted):
    scores = score(planted.make(n_samples=1200, n_threshold_parts=2).runs)
    assert [message.split(":")[0] for message in scores.messages] == [
        "Run run-0-0 is healthy",
        "Run run-0-1 is healthy",
    ]
    health = scores.details["runs"][0]
    assert health["n_threshold"] == 200
    assert len(health["threshold_accuracy"]) == 12
    assert 0 < health["overlap"] < 0.5
    assert sum(health["histogram"]["given"]) == 1000
    assert sum(health["histogram"]["threshold"]) == 200


def test_a_probe_trained_past_memorisation_is_told_in_words_with_a_way_out(planted):
    made = planted.make(n_samples=1200, n_threshold_parts=2, memorisation=14)
    said = " ".join(score(made.runs).messages)
    assert "Run run-0-0 has memorised its threshold rows" in said
    assert "well above 0" in said
    assert "healthy" not in said
    way_out = int(said.split("max_epochs=")[1].split()[0])
    shorter = " ".join(score(made.runs, max_epochs=way_out).messages)
    assert "memorised" not in shorter
    assert "well above 0" not in shorter


def test_memorisation_begins_where_threshold_rows_stay_learnt_but_for_single_dips(planted):
    # Predicted as the extra class: by chance at first, then not, then for good with one dip.
    threshold = np.array([[1, -1, -1, -1, 1, 1, -1, 1, 1]]).T
    run = planted.by_hand(
        np.hstack([np.full((9, 2), 3), threshold]), [0, 1, 3], roles=[G, G, T], run_id="a"
    )
    health = score([run]).details["runs"][0]
    assert health["threshold_accuracy"] == [1, 0, 0, 0, 1, 1, 0, 1, 1]
    assert health["memorised_from"] == 5
    assert score([run], max_epochs=4).details["runs"][0]["memorised_from"] is None


def test_flagging_most_samples_is_said(planted):
    run = planted.by_hand([[0.0, 0.0, 1.0, 2.0]], [0, 1, 2, 3], roles=[G, G, G, T])
    said = score([run], skip_first=0).messages
    assert any("100% of the samples are flagged" in message for message in said)


def test_few_threshold_rows_are_said(two_parts):
    assert any("only 1 threshold rows" in message for message in score(two_parts).messages)


@pytest.mark.parametrize(
    ("changes", "epochs"),
    [
        ({"schedule": Schedule.STEPS, "milestones": (2.0,)}, 2),
        ({"schedule": Schedule.ONE_CYCLE, "warmup_epochs": 1.0}, 1),
        ({"schedule": Schedule.COSINE}, 0),
    ],
)
def test_a_falling_learning_rate_is_said(two_parts, changes, epochs):
    runs = [replace(run, config=replace(run.config, **changes)) for run in two_parts]
    assert f"falls after {epochs} epochs" in " ".join(score(runs).messages)


def test_a_learning_rate_that_falls_after_the_epochs_used_is_no_matter(two_parts):
    changes = {"schedule": Schedule.STEPS, "milestones": (3.0,)}
    runs = [replace(run, config=replace(run.config, **changes)) for run in two_parts]
    assert "falls after" not in " ".join(score(runs).messages)


def test_a_run_without_threshold_rows_is_refused_with_what_to_do(planted):
    with pytest.raises(UnreliableError, match="run-0-0 has none; train with the threshold probe"):
        score(planted.make().runs)


def test_parts_of_different_groups_are_refused(two_parts):
    first, second = two_parts
    other = replace(second, config=replace(second.config, probe_group="another"))
    with pytest.raises(UnreliableError, match="Runs a, b belong to different probe groups"):
        score([first, other])
    with pytest.raises(UnreliableError, match="different probe groups"):
        score([first, replace(second, config=None)])


def test_the_same_part_twice_is_refused(two_parts):
    first, second = two_parts
    with pytest.raises(UnreliableError, match="same part"):
        score([first, replace(second, config=first.config)])


def test_too_few_epochs_are_refused(two_parts):
    with pytest.raises(UnreliableError, match="Run a has 3 epochs to use and 3 are skipped"):
        score(two_parts, skip_first=3)
    with pytest.raises(UnreliableError, match="Run a has 1 epochs to use"):
        score(two_parts, max_epochs=1)


def test_probabilities_are_no_margins(two_parts):
    runs = [replace(run, signals={"given_probability": run.signals["margin"]}) for run in two_parts]
    with pytest.raises(UnreliableError, match="cannot be made from probabilities"):
        score(runs)


def test_a_sample_in_two_rows_is_refused(planted):
    run = planted.by_hand([[1, 1, 1]], [0, 1, 3], samples=[0, 0, 1], roles=[G, G, T])
    with pytest.raises(UnreliableError, match="holds sample 0 more than once"):
        score([run], skip_first=0)


def test_corrupted_copies_are_not_scored(planted):
    run = planted.by_hand(
        [[1.0, 2.0, 0.0, -9.0]],
        [0, 1, 3, 2],
        samples=[0, 1, 2, 0],
        roles=[G, G, T, Role.CORRUPTED],
        n_samples=3,
    )
    assert_array_equal(score([run], skip_first=0).quantity[:2], [1.0, 2.0])


@pytest.mark.parametrize(
    ("params", "sentence"),
    [
        ({"skip_first": -1}, "skip_first must be at least 0, got -1"),
        ({"skip_first": 1.5}, "skip_first must be a whole number"),
        ({"skip_first": True}, "skip_first must be a number"),
        ({"skip_first": None}, "skip_first must be a number"),
        ({"max_epochs": 0}, "max_epochs must be at least 1"),
        ({"percentile": 101}, "percentile must be at most 100"),
        ({"percentile": float("nan")}, "percentile must be a finite number"),
        ({"percentile": "99"}, "percentile must be a number, got '99'"),
        ({"combine": "xor"}, "combine must be one of and, or, first; got 'xor'"),
    ],
)
def test_parameters_out_of_range_are_refused_with_a_sentence(params, sentence):
    with pytest.raises(InputError, match=sentence):
        registry.build("aum", params)


def test_whole_numbers_written_as_floats_are_taken():
    params = registry.build("aum", {"skip_first": 2.0, "percentile": 90}).spec.params
    assert params == {"skip_first": 2, "max_epochs": None, "percentile": 90.0, "combine": "and"}
    assert isinstance(params["skip_first"], int)
    assert isinstance(params["percentile"], float)


def test_copies_stand_for_threshold_rows_in_a_single_run_and_it_is_said(planted):
    made = planted.make(corrupted_fraction=0.2)
    scores = score(made.runs)
    run = made.runs[0]
    area = run.signals["margin"][1:].mean(axis=0, dtype=np.float64)
    alpha = np.percentile(area[run.role == Role.CORRUPTED], 99)
    assert scores.threshold == pytest.approx(alpha)
    assert_array_equal(scores.flagged, scores.quantity <= alpha)
    assert "rests on corrupted copies" in scores.messages[0]


def test_a_run_with_copies_is_not_mixed_with_parts_of_a_threshold_probe(planted):
    copies = planted.make(corrupted_fraction=0.2).runs[0]
    part = replace(planted.make(n_threshold_parts=2).runs[0], run_id="part")
    with pytest.raises(UnreliableError, match="score a run with corrupted copies alone"):
        score([copies, part])
