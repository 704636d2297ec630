"""Cards of detector weights, which are hostile input; domain sentences; which weights suit a run."""

import json
from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from audit.compute import weights as tensor_files
from audit.detectors import pretrained
from audit.detectors.lstm import card as cards
from audit.detectors.lstm import domain, network, profile, weights
from audit.detectors.lstm.card import Card
from audit.errors import InputError, NotFoundError, RefusedError
from audit.numerics.calibration import Logistic
from audit.records.run import Schedule

UNIFORM = profile.of_statistics(
    {name: np.linspace(0, 1, 1001, dtype=np.float32) for name in profile.STATISTICS}
)


def card(**changes):
    """Give a card whose every field is valid."""
    plain = {
        "name": "lstm-test",
        "version": 1,
        "architecture": "small",
        "backbone": None,
        "preset": "quick",
        "schedule": "one-cycle",
        "epochs": 30,
        "data": "things: 100 images, 5 classes",
        "noise_kind": "symmetric",
        "noise_rate": 0.3,
        "n_classes": 5,
        "n_sequences": 100,
        "train_length": 30,
        "channels": ("q",),
        "seed": 0,
        "commit": "0" * 40,
        "command": "labeltrace fit-lstm things --out pretrained",
        "average_precision": 0.9,
        "roc_auc": 0.95,
        "f1": 0.8,
        "threshold": 0.4,
        "calibration": Logistic(slope=1.0, offset=0.0),
        "profile": UNIFORM,
        "sha256": "0" * 64,
    }
    return Card(**plain | changes)


@pytest.fixture
def stored(tmp_path):
    """Give the path of valid weights with their card beside them."""
    digest = weights.write_tensors(
        tmp_path, "lstm-test", network.tensors_of(network.untrained(1, 0))
    )
    weights.write_card(tmp_path, card(sha256=digest))
    return tmp_path / "lstm-test.safetensors"


def test_a_card_comes_back_from_json_as_it_was():
    made = card(backbone="squeezenet", channels=("q", "margin"))
    assert Card.from_json(json.loads(json.dumps(made.to_json()))) == made
    for name in (
        "name", "version", "method", "architecture", "data", "noise_kind", "noise_rate", "epochs",
        "schedule", "seed", "commit", "command", "average_precision", "roc_auc", "threshold", "sha256",
    ):  # fmt: skip
        assert name in made.to_json()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "../../etc/passwd"),
        ("name", ""),
        ("name", 3),
        ("version", 0),
        ("version", True),
        ("version", 1.5),
        ("version", 10**400),
        ("epochs", "30"),
        ("noise_rate", 1.0),
        ("noise_rate", float("nan")),
        ("noise_rate", 10**400),
        ("threshold", 0),
        ("average_precision", 1.01),
        ("roc_auc", None),
        ("channels", "q"),
        ("channels", ["q", "q"]),
        ("channels", [[]]),
        ("calibration", {"slope": -1.0, "offset": 0.0}),
        ("calibration", {"slope": float("inf"), "offset": 0.0}),
        ("calibration", {"slope": 1.0}),
        ("calibration", 7),
        ("profile", {}),
        ("profile", {"levels": [0, 1], "mean": [1, 0], "last": [0, 1], "roughness": [0, 1]}),
        ("profile", {"levels": [0, 1], "mean": [0, 2], "last": [0, 1], "roughness": [0, 1]}),
        ("profile", {"levels": [0, 1], "mean": [0], "last": [0, 1], "roughness": [0, 1]}),
        ("sha256", "ABC"),
        ("data", "two\nlines"),
        ("command", "x" * 3000),
        ("method", "aum"),
    ],
)
def test_a_card_with_a_field_that_does_not_fit_is_refused_in_one_sentence(stored, field, value):
    path = stored.with_suffix(".json")
    data = json.loads(path.read_text()) | {field: value}
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match=r"'lstm-test.json' is no card") as refusal:
        weights.load(stored)
    assert "\n" not in str(refusal.value)
    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '"card"', "{}", "[" * 100_000, "\x00", '{"name": "a"}', "9" * 5000],
)
def test_what_is_no_card_is_refused(stored, text):
    stored.with_suffix(".json").write_text(text)
    with pytest.raises(InputError, match="is no card of detector weights"):
        weights.load(stored)


def test_an_unknown_and_a_missing_field_are_named(stored):
    path = stored.with_suffix(".json")
    data = json.loads(path.read_text())
    path.write_text(json.dumps(data | {"colour": 1}))
    with pytest.raises(InputError, match="knows no field 'colour'"):
        weights.load(stored)
    del data["seed"]
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match="lacks field 'seed'"):
        weights.load(stored)


def test_altered_truncated_and_swapped_weights_are_refused(stored, tmp_path):
    data = stored.read_bytes()
    altered = bytearray(data)
    altered[-1] ^= 1
    for changed in (bytes(altered), data[:-10], b""):
        stored.write_bytes(changed)
        with pytest.raises(InputError, match="not those that their card describes"):
            weights.load(stored)
    weights.write_tensors(tmp_path, "lstm-test", network.tensors_of(network.untrained(1, 1)))
    with pytest.raises(InputError, match="not those that their card describes"):
        weights.load(stored)


def test_a_card_that_vouches_for_damaged_weights_does_not_help_them(stored):
    stored.write_bytes(stored.read_bytes()[:-10])
    path = stored.with_suffix(".json")
    data = json.loads(path.read_text()) | {"sha256": cards.digest(stored)}
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match="not a whole safetensors file"):
        weights.load(stored)


def test_weights_of_other_channels_than_their_card_says_are_refused(stored):
    path = stored.with_suffix(".json")
    data = json.loads(path.read_text()) | {"channels": ["q", "margin"]}
    path.write_text(json.dumps(data))
    with pytest.raises(InputError, match=r"'lstm-test.safetensors': .* expected floats of shape"):
        weights.load(stored)


def test_missing_files_and_other_kinds_of_file_are_refused(stored, tmp_path):
    with pytest.raises(InputError, match=r"must be a \.safetensors or \.npz file"):
        weights.load(tmp_path / "weights.pth")
    stored.with_suffix(".json").unlink()
    with pytest.raises(InputError, match="it belongs beside them"):
        weights.load(stored)
    with pytest.raises(InputError, match="There is no weights file"):
        pretrained.resolve(str(tmp_path / "none.safetensors"))
    with pytest.raises(NotFoundError, match=r"no shipped weights .* there are"):
        pretrained.resolve("../lstm")


def test_weights_in_an_npz_are_taken_too(stored, tmp_path):
    tensors = tensor_files.read_arrays(stored)
    path = tmp_path / "own.npz"
    np.savez(path, **{name: tensor.numpy() for name, tensor in tensors.items()})
    weights.write_card(tmp_path, card(name="own", sha256=cards.digest(path)))
    values = np.random.default_rng(0).random((4, 9, 1)).astype(np.float32)
    first, second = (network.logits(weights.load(p).network, values) for p in (stored, path))
    assert_array_equal(first, second)


def test_existing_weights_are_kept_without_force(stored, tmp_path):
    with pytest.raises(RefusedError, match="exists already; --force replaces it"):
        weights.refuse_existing(tmp_path, "lstm-test")
    weights.refuse_existing(tmp_path, "other")


def test_identity_follows_card_and_weights_and_no_order():
    one, two = card(), card(name="two")
    assert cards.identity(one, two) == cards.identity(two, one)
    changed = [
        card(sha256="1" * 64),
        card(threshold=0.5),
        card(calibration=Logistic(slope=2.0, offset=0.0)),
    ]
    assert len({cards.identity(one), *(cards.identity(c) for c in changed)}) == 4


def test_statistics_by_hand():
    found = profile.statistics(np.float32([[0.2, 0.2, 0.8], [1, 1, 1]]))
    np.testing.assert_allclose(found["mean"], [0.4, 1], rtol=1e-6)
    np.testing.assert_allclose(found["last"], [0.8, 1], rtol=1e-6)
    np.testing.assert_allclose(found["roughness"], [0.3, 0], rtol=1e-6)
    assert profile.statistics(np.float32([[0.5]]))["roughness"].tolist() == [0]


def of_length(planted, n_epochs, **changes):
    run = planted.make(n_samples=40, n_epochs=n_epochs).runs[0]
    config = replace(run.config, preset="quick", schedule=Schedule.ONE_CYCLE)
    return replace(run, config=config, **changes)


def test_a_run_like_those_learnt_from_gets_no_sentence(planted):
    run = of_length(planted, 30)
    assert domain.recording_sentences(card(), run, resample=False) == ()
    even = {name: np.linspace(0, 1, 500, dtype=np.float32) for name in profile.STATISTICS}
    assert domain.sequence_sentences(card(), run, even) == ()


@pytest.mark.parametrize(
    ("n_epochs", "length", "resample", "said"),
    [
        (5, 30, False, "below 15"),
        (5, 5, True, "below 15"),
        (20, 81, False, "more than 4 times apart"),
        (81, 20, False, "more than 4 times apart"),
        (20, 80, False, None),
        (20, 81, True, None),
    ],
)
def test_lengths_that_do_not_suit_are_said(planted, n_epochs, length, resample, said):
    found = domain.recording_sentences(
        card(train_length=length), of_length(planted, n_epochs), resample=resample
    )
    assert (said in found[0]) if said else found == ()


def test_another_schedule_or_preset_or_an_unknown_training_is_said(planted):
    run = of_length(planted, 30)
    other = replace(run, config=replace(run.config, schedule=Schedule.CONSTANT))
    (said,) = domain.recording_sentences(card(), other, resample=False)
    assert "schedule constant" in said
    assert "schedule one-cycle" in said
    (said,) = domain.recording_sentences(card(preset="features"), run, resample=False)
    assert "trained otherwise" in said
    (said,) = domain.recording_sentences(card(), replace(run, config=None), resample=False)
    assert "is not known" in said
    assert domain.recording_sentences(card(n_classes=1000), run, resample=False) == ()


def test_probabilities_keep_their_odds_against_chance_at_another_number_of_classes():
    known = np.array([[0.0, 0.1, 0.5, 1.0]], dtype=np.float32)
    moved = domain.at_other_classes(known, 10, 100)
    # Odds of 1/9 and 1 become a ninth of 1/11 and 1/11: chance of ten stays chance of a hundred.
    np.testing.assert_allclose(moved, [[0, 1 / 100, 1 / 12, 1]], rtol=1e-6)
    np.testing.assert_allclose(domain.at_other_classes(moved, 100, 10), known, rtol=1e-6)
    assert domain.at_other_classes(known, 10, 10) is known


def learnt_from_a_hundred():
    """Return a card of 100 classes, and log odds against chance like those that it learnt from."""
    rng = np.random.default_rng(3)
    above_chance = rng.normal(1, 2, (2000, 1)) + rng.normal(0, 1, (2000, 12))
    seen = 1 / (1 + np.exp(np.log(99) - above_chance))
    made = profile.of_statistics(profile.statistics(seen.astype(np.float32)))
    return card(n_classes=100, profile=made), above_chance


def sentences_of(learnt, run, above_chance):
    chance = np.log(run.n_classes - 1)
    values = (1 / (1 + np.exp(chance - above_chance))).astype(np.float32)
    compared = domain.at_other_classes(values, run.n_classes, learnt.n_classes)
    return domain.sequence_sentences(learnt, run, profile.statistics(compared))


@pytest.mark.parametrize("n_classes", [2, 5, 10, 100, 1000])
def test_a_number_of_classes_alone_is_no_warning(planted, n_classes):
    learnt, above_chance = learnt_from_a_hundred()
    run = replace(of_length(planted, 30), n_classes=n_classes)
    assert sentences_of(learnt, run, above_chance) == ()


def test_sequences_that_differ_beyond_chance_name_the_classes_too(planted):
    learnt, above_chance = learnt_from_a_hundred()
    run = replace(of_length(planted, 30), n_classes=10)
    (said,) = sentences_of(learnt, run, above_chance + 6)
    assert "average and end value, at 10 classes and not 100)" in said
    (said,) = sentences_of(learnt, replace(run, n_classes=100), above_chance + 6)
    assert "average and end value)" in said


@pytest.mark.parametrize("name", profile.STATISTICS)
def test_sequences_unlike_those_learnt_from_are_said(planted, name):
    even = {key: np.linspace(0, 1, 500, dtype=np.float32) for key in profile.STATISTICS}
    strange = even | {name: np.full(500, 0.999, dtype=np.float32)}
    run = of_length(planted, 30, run_id="run 7")
    (said,) = domain.sequence_sentences(card(), run, strange)
    assert "run 7" in said
    assert profile.STATISTICS[name] in said


def test_a_share_of_equal_values_that_was_learnt_from_is_not_strange(planted):
    ends = np.concatenate([np.linspace(0, 1, 500), np.ones(500)]).astype(np.float32)
    values = dict.fromkeys(profile.STATISTICS, ends)
    learnt = card(profile=profile.of_statistics(values))
    assert domain.sequence_sentences(learnt, of_length(planted, 30), values) == ()


def test_the_weights_that_suit_a_run_best_are_chosen(planted):
    known = [
        card(name="a", preset="quick", train_length=90),
        card(name="b", preset="quick", train_length=35),
        card(name="c", preset="quick", train_length=35, channels=("q", "margin")),
        card(name="d", preset="features", schedule="cosine", train_length=30),
        card(name="e", preset="plain", schedule="steps", train_length=8),
    ]
    run = of_length(planted, 30)

    def chosen(**settings):
        return pretrained.best_fitting(
            known, [replace(run, config=replace(run.config, **settings))]
        ).name

    assert chosen() == "c"
    assert chosen(preset="features") == "d"
    assert chosen(preset="own", schedule=Schedule.STEPS) == "e"
    assert chosen(preset="own", schedule=Schedule.CONSTANT) == "d"
    without = replace(run, signals={"given_probability": run.signals["given_probability"]})
    assert pretrained.best_fitting(known, [without]).name == "b"
    assert pretrained.best_fitting(known, [replace(without, config=None)]).name == "d"
    with pytest.raises(NotFoundError, match="No detector weights come with this installation"):
        pretrained.best_fitting([], [run])


def test_shipped_weights_match_their_cards():
    for shipped in pretrained.shipped_cards():
        loaded = weights.load(pretrained.path_of(shipped.name))
        assert loaded.card == shipped
        assert shipped.roc_auc > 0.8
