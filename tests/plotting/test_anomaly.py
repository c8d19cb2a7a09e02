# SPDX-License-Identifier: MIT
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import IsolationForest

from tests.helpers import wave
from tsanomaly import ReconstructionThreshold
from tsanomaly.plotting import AnomalyDisplay


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture
def frame():
    frame = pd.DataFrame(wave(100), columns=["flow", "pressure"])
    frame.index = pd.date_range("2024-01-01", periods=100, freq="min")
    frame.iloc[60:63] += 8
    return frame


def test_what_is_drawn(frame):
    forest = IsolationForest(contamination=0.05, random_state=0).fit(frame)
    y = np.zeros(100, dtype=int)
    y[60:63] = y[80:85] = 1
    display = AnomalyDisplay.from_estimator(forest, frame, y)
    upper, lower = display.axes_
    assert [line.get_label() for line in upper.lines] == ["flow", "pressure"]
    np.testing.assert_array_equal(upper.lines[1].get_ydata(), frame["pressure"])
    scores, threshold, flagged = lower.lines
    np.testing.assert_array_equal(scores.get_ydata(), -forest.score_samples(frame))
    assert threshold.get_ydata()[0] == pytest.approx(-forest.offset_)
    assert len(flagged.get_xdata()) == (forest.predict(frame) == -1).sum() == 5
    assert len(upper.patches) == len(lower.patches) == 2
    assert display.figure_ is upper.figure
    labels = [text.get_text() for text in lower.get_legend().get_texts()]
    assert labels == ["threshold", "flagged row", "labelled anomaly"]


def test_without_labels_on_given_axes(frame):
    figure, axes = plt.subplots(2)
    flagged = np.arange(100) > 97
    display = AnomalyDisplay.from_predictions(
        frame.to_numpy(), np.arange(100.0), 97.5, flagged, channels=[1], axes=axes
    )
    assert display.figure_ is figure
    assert len(display.axes_[0].lines) == 1
    assert not display.axes_[0].patches


def test_channels_by_name_and_breaks(frame):
    scores = np.arange(100.0)
    scores[50] = np.nan
    display = AnomalyDisplay.from_predictions(
        frame, scores, 90, scores > 90, channels=["pressure"]
    )
    assert display.readings.columns.tolist() == ["pressure"]
    assert np.isnan(display.axes_[1].lines[0].get_ydata()[50])


def test_a_series_that_starts_with_breaks():
    errors = np.arange(100.0).reshape(-1, 1)
    threshold = ReconstructionThreshold().fit(errors)
    errors[:12] = np.nan
    display = AnomalyDisplay.from_estimator(threshold, errors)
    np.testing.assert_array_equal(display.flagged, threshold.predict(errors) == -1)
    assert display.flagged.any()


def test_bad_labels_are_refused(frame):
    with pytest.raises(ValueError, match=r"y = \(y == -1\)"):
        AnomalyDisplay.from_predictions(
            frame, np.zeros(100), 1, np.zeros(100), y=np.full(100, -1)
        )
