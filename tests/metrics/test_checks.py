# SPDX-License-Identifier: MIT
"""Input that metrics of labels, flags and scores accept or reject."""

import warnings

import numpy as np
import pandas as pd
import pytest

from tsanomaly import metrics

Y_TRUE, Y_PRED, Y_SCORE = [0, 1, 1, 0, 0, 1], [0, 1, 0, 0, 1, 0], [1, 9, 2, 4, 3, 8]
OF_SCORES = ["range_auc", "vus_pr", "vus_roc"]
OF_FLAGS = [
    "affiliation_precision_recall_fscore",
    "detection_delay",
    "event_precision_recall_fscore",
    "false_alarms_per_day",
    "nab_score",
    "point_adjusted_f1",
    "range_precision_recall_fscore",
]

pytestmark = pytest.mark.filterwarnings("ignore:Point adjustment")


def value_of(name, y_true, other):
    options = {"window": 2} if name in OF_SCORES else {}
    if name == "false_alarms_per_day":
        options = {"freq": "h"}
    value = getattr(metrics, name)(y_true, other, **options)
    return value.per_event.tolist() if name == "detection_delay" else value


def test_every_metric_of_rows_is_here():
    others = {"alarm_report", "care_score", "channel_hit_rate", "make_anomaly_scorer"}
    assert {*OF_SCORES, *OF_FLAGS} == {*metrics.__all__} - others


def reversed_index(y):
    """Rows go by their place, not by what the index says."""
    return pd.Series(y, index=pd.date_range("2024", periods=len(y), freq="h")[::-1])


@pytest.mark.parametrize(
    "kind",
    [
        tuple,
        np.array,
        pd.Series,
        reversed_index,
        lambda y: pd.DataFrame({"label": y})["label"],
        lambda y: pd.Series(y, dtype="Int64"),
        lambda y: np.array(y, dtype=float),
        lambda y: np.array(y, dtype=np.uint8),
    ],
)
@pytest.mark.parametrize("name", OF_SCORES + OF_FLAGS)
def test_kinds_of_input(name, kind):
    other = Y_SCORE if name in OF_SCORES else Y_PRED
    expected = value_of(name, Y_TRUE, other)
    np.testing.assert_equal(value_of(name, kind(Y_TRUE), kind(other)), expected)


@pytest.mark.parametrize(
    "kind",
    [
        lambda y: [bool(label) for label in y],
        lambda y: np.array(y, dtype=bool),
        lambda y: pd.Series(y, dtype="boolean"),
        lambda y: np.array(y, dtype=object),
    ],
)
@pytest.mark.parametrize("name", OF_SCORES + OF_FLAGS)
def test_kinds_of_flags(name, kind):
    other = Y_SCORE if name in OF_SCORES else Y_PRED
    flags = other if name in OF_SCORES else kind(other)
    np.testing.assert_equal(
        value_of(name, kind(Y_TRUE), flags), value_of(name, Y_TRUE, other)
    )


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ([], r"and at least one, got an array of shape \(0,\)"),
        (1, r"one label for each row, and at least one, got an array of shape \(\)"),
        (pd.DataFrame({"label": Y_TRUE}), r"shape \(6, 1\). Pass .* numpy.ravel\(y_"),
        ([Y_TRUE, Y_TRUE], r"got an array of shape \(2, 6\)"),
        ([1, 1, -1, 1, 1, -1], r"got \[1, -1\]. Convert labels of predict"),
        ([-1] * 6, "Convert labels of predict with"),
        ([0, 1, -1, 0, 0, 1], r"got \[0, 1, -1\]. Convert with"),
        ([0, 1, 2, 0, 0, 1], r"got \[0, 1, 2\]. Convert with"),
        (list("010010"), r"got \['0', '1'\]. Convert with"),
        ([0, 1, "a", 0, None, 1], "1 labels are missing, first at row 4. Remove"),
        ([0, 1, np.nan, 0, np.nan, 1], "2 labels are missing, first at row 2"),
        (pd.array([True, None] * 3), "3 labels are missing, first at row 1"),
        ([0.1, 0.5, 0.9, 0.1, 0.2, np.inf], r"Convert scores with y_\w+ = \(scores >"),
    ],
)
@pytest.mark.parametrize("name", OF_SCORES + OF_FLAGS)
def test_what_is_no_label(name, y, message):
    other = Y_SCORE if name in OF_SCORES else Y_PRED
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(ValueError, match=f"^y_true must contain.*{message}"):
            value_of(name, y, other)
        if name in OF_FLAGS:
            with pytest.raises(ValueError, match=f"^y_pred must contain.*{message}"):
                value_of(name, Y_TRUE, y)
    assert all("Point adjustment" in str(warning.message) for warning in caught)


@pytest.mark.parametrize(
    ("y_score", "message"),
    [
        ([], "y_true has 6 rows, but y_score has 0"),
        (Y_SCORE[:5], "y_true has 6 rows, but y_score has 5"),
        (pd.DataFrame({"score": Y_SCORE}), r"shape \(6, 1\) .* numpy.ravel\(y_score\)"),
        (np.array(Y_SCORE, dtype=object), r"type object. Pass .*astype\(float\)"),
        ([1, 2, 3, np.inf, 4, 5], "1 values that are NaN or infinite, first at row 3"),
        ([1, 2, np.nan, np.nan, 4, 5], "2 values that are NaN or infinite, first at"),
    ],
)
@pytest.mark.parametrize("name", OF_SCORES)
def test_what_is_no_score(name, y_score, message):
    with pytest.raises(ValueError, match=message):
        value_of(name, Y_TRUE, y_score)
