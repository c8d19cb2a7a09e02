# SPDX-License-Identifier: MIT
import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.helpers import shaded_ranges, tiny_detector
from tsanomaly.plotting import ReconstructionDisplay

pytestmark = pytest.mark.network


def test_readings_and_reconstruction_have_one_unit(frame):
    pipeline = make_pipeline(StandardScaler(), tiny_detector()).fit(frame)
    frame.iloc[50] = np.nan  # a break
    y = np.arange(100) < 10
    display = ReconstructionDisplay.from_estimator(
        pipeline, frame, y, channels=["pressure"]
    )
    scaler, network = pipeline
    expected = scaler.inverse_transform(network.reconstruct(scaler.transform(frame)))
    (axes,) = display.axes_
    reading, reconstruction = axes.lines
    np.testing.assert_array_equal(reading.get_ydata(), frame["pressure"])
    np.testing.assert_allclose(reconstruction.get_ydata(), expected[:, 1], rtol=1e-5)
    assert reading.get_linestyle() != reconstruction.get_linestyle()
    assert [len(ranges) for ranges in shaded_ranges(axes)] == [1]


def test_on_given_axes(frame):
    figure, axes = plt.subplots(2)
    display = ReconstructionDisplay.from_predictions(frame, 2 * frame, ax=axes)
    assert display.figure_ is figure
    np.testing.assert_array_equal(axes[0].lines[1].get_ydata(), 2 * frame["flow"])


def test_what_does_not_reconstruct(frame):
    forest = IsolationForest(random_state=0).fit(frame)
    with pytest.raises(ValueError, match="ReconstructionError"):
        ReconstructionDisplay.from_estimator(forest, frame)


def test_another_shape(frame):
    with pytest.raises(ValueError, match=r"\(100, 2\).*\(100, 1\)"):
        ReconstructionDisplay.from_predictions(frame, np.zeros((100, 1)))
