# SPDX-License-Identifier: MIT
import matplotlib.pyplot as plt
import numpy as np
import pytest

from tests.helpers import shaded_ranges
from tsanomaly.plotting import SeriesDisplay


def test_what_is_drawn(frame):
    y = np.zeros(100, dtype=int)
    y[60:63] = y[80] = 1
    display = SeriesDisplay.from_series(frame, y, line_kwargs={"c": "green"})
    assert [axes.get_ylabel() for axes in display.axes_] == ["flow", "pressure"]
    for line, name in zip(display.lines_, frame, strict=True):
        np.testing.assert_array_equal(line.get_ydata(), frame[name])
        assert line.get_color() == "green"
    for axes in display.axes_:
        assert [len(ranges) for ranges in shaded_ranges(axes)] == [2]
    assert display.figure_ is display.axes_[0].figure
    assert display.axes_[0].get_xlim() == display.axes_[1].get_xlim()


def test_on_given_axes(frame):
    figure, axes = plt.subplots()
    display = SeriesDisplay.from_series(frame, channels=["pressure"], ax=axes)
    assert display.figure_ is figure
    np.testing.assert_array_equal(display.lines_[0].get_ydata(), frame["pressure"])
    assert not shaded_ranges(axes)
    assert axes.get_legend() is None


def test_bad_labels_are_refused(frame):
    with pytest.raises(ValueError, match=r"y = \(y == -1\)"):
        SeriesDisplay.from_series(frame, np.full(100, -1))
