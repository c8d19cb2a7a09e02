# SPDX-License-Identifier: MIT
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import IsolationForest
from sklearn.metrics import precision_recall_fscore_support

from tsanomaly.metrics import false_alarms_per_day
from tsanomaly.plotting import ThresholdDisplay
from tsanomaly.plotting._threshold import _count_alarms


def test_what_is_drawn(rng):
    y = (rng.random(500) < 0.2).astype(int)
    errors = rng.integers(1, 30, size=500) + 10 * y
    times = pd.date_range("2024-01-01", periods=500, freq="h")
    display = ThresholdDisplay.from_predictions(y, errors, times=times, threshold=20)
    upper, lower = display.axes_
    precision, recall, f1, best, in_use = upper.lines
    np.testing.assert_array_equal(precision.get_xdata(), np.unique(errors))
    for at in (0, 10, -2):
        flagged = errors > display.thresholds[at]
        expected = precision_recall_fscore_support(y, flagged, average="binary")
        drawn = [line.get_ydata()[at] for line in (precision, recall, f1)]
        np.testing.assert_allclose(drawn, expected[:3])
        # With nothing to find, all alarms are false ones.
        alarms = false_alarms_per_day(np.zeros(500), flagged.astype(int), times=times)
        assert lower.lines[0].get_ydata()[at] == pytest.approx(alarms)
    assert np.isnan(precision.get_ydata()[-1])
    assert best.get_ydata()[0] == f1.get_ydata().max()
    assert in_use.get_xdata()[0] == lower.lines[1].get_xdata()[0] == 20
    assert lower.get_ylabel() == "Flagged runs per day"
    assert len({line.get_linestyle() for line in (precision, recall, f1)}) == 3


@given(st.lists(st.integers(0, 5) | st.just(np.nan), min_size=1, max_size=40))
def test_alarms_are_counted_as_runs(errors):
    errors = np.array(errors, dtype=float)
    thresholds = np.arange(-1.0, 6)
    for threshold, n_alarms in zip(
        thresholds, _count_alarms(errors, thresholds), strict=True
    ):
        flagged = np.concatenate([[False], errors > threshold])
        assert n_alarms == (flagged[1:] & ~flagged[:-1]).sum()


def test_from_estimator(frame):
    forest = IsolationForest(contamination=0.1, random_state=0).fit(frame)
    y = np.zeros(100, dtype=int)
    y[60:63] = 1
    figure, axes = plt.subplots(2)
    display = ThresholdDisplay.from_estimator(forest, frame, y, ax=axes)
    assert display.figure_ is figure
    assert display.threshold == pytest.approx(-forest.offset_)
    assert display.f1.max() == 1
    assert (
        ThresholdDisplay.from_estimator(
            forest.fit(frame.to_numpy()), frame.to_numpy(), y
        )
        .axes_[1]
        .get_ylabel()
        == "Flagged runs per 1,000 rows"
    )


def test_long_series_have_few_thresholds_and_the_largest_ones(rng):
    errors = rng.gamma(1, size=50_000)
    y = np.arange(50_000) < 100
    display = ThresholdDisplay.from_predictions(y, errors)
    assert len(display.thresholds) <= 2000
    np.testing.assert_array_equal(display.thresholds[-5:], np.sort(errors)[-5:])


def test_rows_without_a_score_are_neither_found_nor_missed():
    display = ThresholdDisplay.from_predictions([1, 1, 0, 0], [np.nan, 3, 1, 2])
    assert display.recall.tolist() == [1, 1, 0]
    assert display.precision[:2].tolist() == [0.5, 1]


def test_nothing_to_find():
    with pytest.raises(ValueError, match="contains no anomaly"):
        ThresholdDisplay.from_predictions([0, 1], [1.0, np.nan])


def test_times_of_other_rows():
    times = np.array(["2024-01-01", "2024-01-02"], dtype="datetime64[s]")
    display = ThresholdDisplay.from_predictions([0, 1], [1.0, 2.0], times=times)
    assert display.per_day
    assert display.alarms.tolist() == [0.5, 0]
    with pytest.raises(ValueError, match="3 rows, but times has 2"):
        ThresholdDisplay.from_predictions([0, 1, 0], [1.0, 2.0, 1.0], times=times)
