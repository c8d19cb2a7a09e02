# SPDX-License-Identifier: MIT
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import average_precision_score, f1_score
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.helpers import tiny_detector
from tsanomaly import LSTMAutoencoderDetector, compare_detectors
from tsanomaly.datasets import load_sample_plant

FOREST = IsolationForest(n_estimators=20, random_state=0)
BASELINES = [
    "random scores",
    "everything anomalous",
    "last difference",
    "PCA on windows",
]


class Failing(OutlierMixin, BaseEstimator):
    """A detector that fails on the data."""

    def fit(self, X, y=None):
        raise FloatingPointError("too hot")


@pytest.fixture(scope="module")
def plant():
    data = load_sample_plant()
    train = data.train_mask
    return data.frame[train], data.frame[~train], data.target[~train]


@pytest.fixture(scope="module")
def table(plant):
    detectors = {
        "forest": FOREST,
        "failing": Failing(),
        "network": make_pipeline(StandardScaler(), tiny_detector()),
    }
    return compare_detectors(detectors, *plant, random_state=0)


def test_rows_and_columns(table):
    assert table.index.tolist() == ["forest", "failing", "network", *BASELINES]
    assert table.columns.tolist() == [
        "average_precision",
        "vus_pr",
        "roc_auc",
        "f1",
        "event_fscore",
        "affiliation_fscore",
        "best_f1_uses_labels",
        "flagged_share",
        "threshold",
        "fit_seconds",
        "score_seconds",
        "error",
    ]


def test_values(table, plant):
    train, test, y = plant
    forest = FOREST.fit(train)
    row = table.loc["forest"]
    errors, flags = -forest.score_samples(test), forest.predict(test) == -1
    assert row["average_precision"] == average_precision_score(y, errors)
    assert row["f1"] == f1_score(y, flags)
    assert row["flagged_share"] == flags.mean()
    assert row["threshold"] == -forest.offset_
    best = max(f1_score(y, errors >= t) for t in np.unique(errors))
    assert row["best_f1_uses_labels"] == pytest.approx(best)
    assert (table["best_f1_uses_labels"] >= table["f1"] - 1e-12).drop("failing").all()
    assert row["error"] == ""


def test_a_detector_that_fails_leaves_a_row(table):
    row = table.loc["failing"]
    assert row["error"] == "FloatingPointError: too hot"
    assert row.drop("error").isna().all()
    others = table.drop(index="failing")
    assert (others["error"] == "").all()
    assert others.drop(columns="error").notna().all(axis=None)


def test_baselines_know_what_they_are(table, plant):
    share = plant[2].mean()
    random = table.loc["random scores"]
    assert random["average_precision"] == pytest.approx(share, abs=0.03)
    assert random["roc_auc"] == pytest.approx(0.5, abs=0.05)
    assert random["flagged_share"] == pytest.approx(0.01, abs=0.01)
    everything = table.loc["everything anomalous"]
    assert everything["flagged_share"] == 1
    assert everything["threshold"] < 1  # the error of every row
    assert everything["roc_auc"] == 0.5
    assert everything["f1"] == pytest.approx(2 * share / (1 + share))
    assert table.loc["last difference", "roc_auc"] > 0.6
    assert table.loc["PCA on windows", "roc_auc"] > 0.75


def test_a_list_of_detectors_without_baselines(plant):
    table = compare_detectors(
        [FOREST, make_pipeline(StandardScaler(), LocalOutlierFactor(novelty=True))],
        *plant,
        metrics=["vus_roc", "detection_delay"],
        baselines=False,
    )
    assert table.index.tolist() == ["IsolationForest", "LocalOutlierFactor"]
    assert table.columns[:2].tolist() == ["vus_roc", "detection_delay"]
    assert (table["detection_delay"] >= 0).all()


def test_the_detectors_are_left_alone(plant):
    forest = IsolationForest(random_state=0)
    compare_detectors([forest], *plant, metrics=["f1"], baselines=False)
    assert not hasattr(forest, "offset_")


def test_the_same_random_state_the_same_table(plant):
    first, second = (
        compare_detectors({}, *plant, metrics=["roc_auc"], random_state=3)
        for _ in range(2)
    )
    seconds = ["fit_seconds", "score_seconds"]
    pd.testing.assert_frame_equal(
        first.drop(columns=seconds), second.drop(columns=seconds)
    )


def test_breaks_do_not_count(series):
    X = series.copy()
    X[[50, 150]] = np.nan
    y = np.zeros(200, dtype=int)
    y[[50, 60, 61]] = 1
    table = compare_detectors([tiny_detector()], X, X, y, random_state=0)
    assert (table["error"] == "").all()
    assert table.loc["LSTMAutoencoderDetector", "flagged_share"] < 0.1


def test_the_row_after_a_break_counts():
    # Nothing changes but across the break, and a first row is no distance away.
    X = np.repeat([[1.0], [np.nan], [5.0]], [20, 1, 20], axis=0)
    X[30] = 6
    y = (np.arange(41) == 30).astype(int)
    table = compare_detectors({}, X, X, y, metrics=["roc_auc", "recall"])
    row = table.loc["last difference"]
    # Rows 30 and 31 tie, before the 38 others that are no break.
    assert row["roc_auc"] == pytest.approx((38 + 0.5) / 39)


@pytest.mark.parametrize("label", [0, 1])
def test_undefined_metrics_are_nan(plant, label):
    y = np.full_like(plant[2], label)
    metrics = ["roc_auc", "vus_roc", "vus_pr", "detection_delay", "event_recall"]
    with pytest.warns(UndefinedMetricWarning):
        table = compare_detectors([FOREST], *plant[:2], y, metrics=metrics)
    assert table[["roc_auc", "vus_roc"]].isna().all(axis=None)
    if label:
        assert (table["vus_pr"] == 1).all()
        assert table[["detection_delay", "event_recall"]].notna().all(axis=None)
    else:
        assert table[["vus_pr", "detection_delay"]].isna().all(axis=None)
        assert (table["event_recall"] == 0).all()  # as its function has it
    assert (table["error"] == "").all()


def test_what_does_not_score_new_rows_is_told(plant):
    table = compare_detectors([LocalOutlierFactor()], *plant, baselines=False)
    assert "Set novelty=True" in table.loc["LocalOutlierFactor", "error"]


def test_inputs_of_other_kinds(plant):
    _, test, y = plant
    X = [test.to_numpy()[:500], test[:500], test[:500].to_numpy().tolist()]
    labels = [y[:500], pd.Series(y, test.index)[:500], (y[:500] == 1).tolist()]
    expected, *others = (
        compare_detectors([FOREST], A, A, b, random_state=0, metrics=iter(["f1"]))
        for A, b in zip(X, labels, strict=True)
    )
    assert (expected["error"] == "").all()
    for table in others:
        columns = ["f1", "best_f1_uses_labels", "flagged_share", "threshold", "error"]
        pd.testing.assert_frame_equal(table[columns], expected[columns])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"detectors": [FOREST, FOREST]}, "More than one.*'IsolationForest'"),
        ({"detectors": FOREST}, "detectors must be a dict"),
        ({"detectors": {"random scores": FOREST}}, "name of a baseline"),
        ({"metrics": ["accuracy", "beauty"]}, "metric='beauty' is unknown"),
        ({"metrics": ["false_alarms_per_day"]}, "'false_alarms_per_day' requires"),
        ({"metrics": ["fbeta"]}, "'fbeta' requires the parameter beta"),
        ({"metrics": "f1"}, r"metrics must be a sequence .* Pass \['f1'\]"),
        ({"metrics": ["f1", "recall", "f1"]}, "contains 'f1' twice"),
    ],
)
def test_bad_arguments(arguments, message, plant):
    with pytest.raises(ValueError, match=message):
        compare_detectors(**{"detectors": [FOREST], **arguments}, **_split(plant))


def test_bad_labels(plant):
    train, test, y = plant
    with pytest.raises(ValueError, match="y_test"):
        compare_detectors([FOREST], train, test, y[:-1])
    with pytest.raises(ValueError, match=r"y_test = \(y_test == -1\)"):
        compare_detectors([FOREST], train, test, 1 - 2 * y)


def _split(plant):
    return dict(zip(("X_train", "X_test", "y_test"), plant, strict=True))


def test_progress(plant, capsys, monkeypatch):
    compare_detectors([FOREST], *plant, metrics=["f1"], baselines=False, progress=True)
    assert "1/1" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "tqdm", None)
    with pytest.raises(ImportError, match="pip install tqdm"):
        compare_detectors([FOREST], *plant, progress=True)


def test_an_unfitted_network_is_named(plant):
    table = compare_detectors(
        [LSTMAutoencoderDetector(window_size=9000)], *plant, baselines=False
    )
    assert "window_size=9000 is longer" in table["error"].iloc[0]
