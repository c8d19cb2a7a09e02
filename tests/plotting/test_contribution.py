# SPDX-License-Identifier: MIT
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.helpers import shaded_ranges, wave
from tsanomaly import ReconstructionError, ReconstructionThreshold, WindowTransformer
from tsanomaly.plotting import ContributionDisplay


def test_what_is_drawn(frame):
    errors = frame.abs()
    errors.iloc[20] = np.nan
    y = np.zeros(100, dtype=int)
    y[60:63] = 1
    display = ContributionDisplay.from_predictions(errors, y)
    above, axes = display.axes_
    cells = display.mesh_.get_array()  # (n_channels, n_timestamps)
    floor = display.mesh_.norm.vmin
    np.testing.assert_array_equal(cells[1, :20], np.maximum(errors.iloc[:20, 1], floor))
    assert np.ma.getmaskarray(cells)[:, 20].all()
    assert [len(ranges) for ranges in shaded_ranges(above)] == [1]
    assert [label.get_text() for label in axes.get_yticklabels()] == list(frame)


def test_events_stay_above_their_errors_on_given_axes(frame):
    _, given = plt.subplots(2, sharex=True)
    y = np.zeros(100, dtype=int)
    y[60:63] = 1
    ContributionDisplay.from_predictions(frame.abs(), y, ax=given)
    above, axes = (drawn.get_position() for drawn in given)
    assert (above.x0, above.x1) == pytest.approx((axes.x0, axes.x1))


def test_long_series_show_the_largest_error_of_a_cell():
    errors = np.zeros((100_000, 2))
    errors[77_777, 1] = 5
    display = ContributionDisplay.from_predictions(errors)
    cells = display.mesh_.get_array()
    assert cells.shape[1] <= 1500
    assert cells.max() == 5
    edges = display.mesh_.get_coordinates()[0, :, 0]
    at = cells[1].argmax()
    assert edges[at] <= 77_777 < edges[at + 1]


def test_gaps_in_time_stay_empty():
    index = pd.date_range("2024-01-01", periods=50, freq="min")
    index = index.append(index + pd.Timedelta(days=1))
    errors = pd.DataFrame(np.ones((100, 1)), index=index)
    display = ContributionDisplay.from_predictions(errors)
    empty = np.ma.getmaskarray(display.mesh_.get_array())[0]
    edges = display.mesh_.get_coordinates()[0, :, 0]
    assert empty.sum() == 1
    assert np.diff(edges)[empty] * 24 * 60 == pytest.approx(24 * 60 - 50)


def test_windows_are_folded_back_onto_their_channels(frame):
    X = wave(300, 3)
    detector = make_pipeline(
        StandardScaler(),
        WindowTransformer(4),
        ReconstructionError(PCA(3)),
        ReconstructionThreshold(),
    ).fit(X)
    X[200, 2] += 20
    figure, ax = plt.subplots()
    display = ContributionDisplay.from_estimator(detector, X, ax=ax)
    assert display.figure_ is figure
    errors = detector[:-1].transform(X).reshape(300, 4, 3).sum(axis=1)
    np.testing.assert_allclose(display.contributions, errors)
    assert display.contributions.iloc[200].argmax() == 2


def test_other_detectors_are_occluded(frame):
    forest = IsolationForest(random_state=0).fit(frame[:50])
    frame.loc[frame.index[60:63], "flow"] -= 8
    display = ContributionDisplay.from_estimator(forest, frame)
    assert (display.contributions.iloc[60:63].idxmax(axis=1) == "pressure").all()


def test_nothing_but_zeros():
    display = ContributionDisplay.from_predictions(np.zeros((10, 2)))
    assert not display.mesh_.get_array().any()


def test_scores_are_refused():
    with pytest.raises(ValueError, match="negative"):
        ContributionDisplay.from_predictions(np.full((5, 1), -1.0))
