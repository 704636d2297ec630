import numpy as np
import pytest

from audit.errors import InputError
from audit.numerics.linear_head import OUT, LinearHead


def _clouds(n, rng):
    label = np.arange(n) % 3
    centre = np.array([[4.0, 0, 0, 0], [0, 4.0, 0, 0], [0, 0, 4.0, 0]])
    return (centre[label] + rng.normal(size=(n, 4))).astype(np.float32), label.astype(np.int32)


@pytest.fixture
def clouds():
    rng = np.random.default_rng(0)
    return *_clouds(300, rng), *_clouds(90, rng)


def test_separate_clouds_are_told_apart(clouds):
    training, label, test, test_label = clouds
    head = LinearHead(training, test, 3, label)
    assert (head.predict(label) == test_label).mean() > 0.95


def test_it_is_ridge_regression_on_standardised_columns(clouds):
    training, label, test, _ = clouds
    head = LinearHead(training, test, 3, label)
    mean, deviation = training.mean(axis=0), training.std(axis=0)

    def columns(features):
        return np.column_stack([(features - mean) / deviation, np.ones(len(features))])

    left = columns(training)
    penalty = head._penalty
    weights = np.linalg.solve(left.T @ left + penalty * np.eye(5), left.T @ np.eye(3)[label])
    expected = (columns(test) @ weights).argmax(axis=1)
    assert (head.predict(label) == expected).mean() > 0.98  # float32 against float64


def test_leaving_samples_out_equals_never_having_had_them(clouds):
    training, label, test, _ = clouds
    out = label.copy()
    out[:100] = OUT
    head = LinearHead(training, test, 3, label)
    # The same standardisation and penalty, without the first hundred.
    alone = LinearHead(training, test, 3, label)
    alone._training = alone._training[100:]
    alone._gram = alone._training.T.astype(float) @ alone._training
    assert (head.predict(out) == alone.predict(label[100:])).all()


def test_wrong_labels_cost_accuracy_and_right_ones_win_it_back(clouds):
    training, label, test, test_label = clouds
    wrong = label.copy()
    wrong[:140] = 0
    head = LinearHead(training, test, 3, wrong)
    accuracy = [(head.predict(some) == test_label).mean() for some in (wrong, label)]
    assert accuracy[0] < accuracy[1]


def test_unfitting_tables_are_refused(clouds):
    training, label, test, _ = clouds
    with pytest.raises(InputError, match="one width"):
        LinearHead(training, test[:, :3], 3, label)
    with pytest.raises(InputError, match="one label per sample"):
        LinearHead(training, test, 3, label[:10])
