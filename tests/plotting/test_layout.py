# SPDX-License-Identifier: MIT
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from tsanomaly.plotting import SeriesDisplay, SpectrumDisplay
from tsanomaly.plotting._common import log_ticks


@pytest.fixture
def wide(rng):
    """More channels than there are panels in a picture."""
    return pd.DataFrame(rng.normal(size=(50, 30))).add_prefix("sensor_")


def test_panels_and_their_names_are_inside_and_apart(frame):
    frame = frame.assign(long_tag_of_a_sensor_somewhere=frame["flow"] * 1e9)
    display = SeriesDisplay.from_series(frame, np.zeros(100, dtype=int))
    display.figure_.suptitle("Title")
    display.figure_.draw_without_rendering()
    whole = display.figure_.bbox
    extents = [axes.get_tightbbox() for axes in display.axes_]
    for upper, lower in pairwise(extents):
        assert upper.y0 >= lower.y1
    for extent in extents:
        assert extent.x0 >= 0
        assert extent.x1 <= whole.x1
    assert extents[-1].y0 >= 0
    assert extents[0].y1 <= display.figure_.texts[0].get_window_extent().y0
    labels = [axes.yaxis.label.get_window_extent() for axes in display.axes_]
    assert np.ptp([label.x1 for label in labels]) < 1
    for axes, label in zip(display.axes_, labels, strict=True):
        ticks = [text.get_window_extent() for text in axes.get_yticklabels()]
        assert label.x1 <= min(tick.x0 for tick in ticks)


def test_names_are_aligned_on_given_axes(frame):
    figure, axes = plt.subplots(2)
    SeriesDisplay.from_series(frame * [1, 1e5], ax=axes)
    figure.draw_without_rendering()
    right = [part.yaxis.label.get_window_extent().x1 for part in axes]
    assert right[0] == pytest.approx(right[1])


def test_twenty_panels_unless_others_are_chosen(wide):
    message = "Only the first 20 of 30 channels are drawn. .* with channels"
    with pytest.warns(UserWarning, match=message):
        display = SeriesDisplay.from_series(wide)
    assert display.readings.columns.tolist() == wide.columns[:20].tolist()
    with pytest.warns(UserWarning, match=message):
        assert len(SpectrumDisplay.from_series(wide).axes_) == 20
    chosen = wide.columns[5:27].tolist()
    assert len(SeriesDisplay.from_series(wide, channels=chosen).axes_) == 22
    given = plt.subplots(30)[1]
    assert len(SeriesDisplay.from_series(wide, ax=given).axes_) == 30


@pytest.mark.parametrize(
    "limits", [(1.2, 1.9), (2, 9), (0.03, 0.9), (3, 150), (1, 1e7)]
)
def test_ticks_of_a_logarithmic_axis_do_not_overlap(limits):
    figure, axes = plt.subplots(figsize=(4, 1.4), layout="constrained")
    axes.set(yscale="log", ylim=limits)
    log_ticks(axes.yaxis)
    figure.draw_without_rendering()
    extents = [
        label.get_window_extent()
        for label in axes.get_yticklabels(which="both")
        if label.get_text()
    ]
    inside = [box for box in extents if axes.bbox.y0 <= (box.y0 + box.y1) / 2]
    inside.sort(key=lambda box: box.y0)
    assert len(inside) >= 2
    for lower, upper in pairwise(inside):
        assert lower.y1 <= upper.y0 + 1
