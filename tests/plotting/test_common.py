# SPDX-License-Identifier: MIT
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from matplotlib.dates import num2date

from tests.helpers import run_python, shaded_ranges
from tsanomaly._validation import median_step
from tsanomaly.plotting._common import (
    RowAxis,
    check_readings,
    decimate,
    draw_line,
    make_axes,
    merge_style,
    shade,
)
from tsanomaly.plotting._text import label_of

READINGS = st.floats(-1e6, 1e6) | st.just(np.nan) | st.just(np.inf)


@given(arrays(np.float64, st.integers(1, 300), elements=READINGS), st.integers(1, 20))
def test_decimation_keeps_the_extremes_of_every_block(values, n_blocks):
    rows = decimate(values, n_blocks)
    assert (np.diff(rows) > 0).all()
    assert len(rows) <= 2 * n_blocks + 2
    assert {0, len(values) - 1} <= set(rows)
    size = -(-len(values) // n_blocks)
    for start in range(0, len(values), size):
        block = values[start : start + size]
        kept = values[rows[(rows >= start) & (rows < start + size)]]
        if np.isfinite(block).any():
            finite = block[np.isfinite(block)]
            assert finite.min() in kept
            assert finite.max() in kept
        else:  # a gap stays one
            assert len(kept)
            assert not np.isfinite(kept).any()


def test_a_short_series_is_drawn_as_it_is():
    np.testing.assert_array_equal(decimate(np.zeros(8000)), np.arange(8000))


def test_no_spike_is_hidden_in_a_long_line(rng):
    values = rng.normal(size=1_000_000)
    spikes = rng.choice(len(values), 50, replace=False)
    values[spikes[:25]], values[spikes[25:]] = 100, -100
    line = draw_line(plt.subplots()[1], RowAxis(pd.RangeIndex(len(values))), values)
    drawn = dict(zip(line.get_xdata(), line.get_ydata(), strict=True))
    assert len(drawn) < 10_000
    for spike in spikes:
        assert drawn[spike] == values[spike]


def test_readings_between_gaps_are_dots():
    nan = np.nan
    axes = plt.subplots()[1]
    values = np.array([nan, 1, nan, 2, 3, nan, 4])
    draw_line(axes, RowAxis(pd.RangeIndex(7)), values, color="red")
    _, dots = axes.lines
    assert dots.get_xdata().tolist() == [1, 6]
    assert dots.get_color() == "red"


def test_lines_do_not_bridge_gaps_in_time():
    index = pd.date_range("2024-01-01", periods=20_000, freq="min")
    index = index[:12_345].append(index[12_345:] + pd.Timedelta(hours=1))
    values = np.zeros(20_000)
    line = draw_line(plt.subplots()[1], RowAxis(index), values)
    missing = np.flatnonzero(np.isnan(line.get_ydata()))
    assert len(missing) == 1
    minutes = (line.get_xdata() - line.get_xdata()[0]) * 24 * 60
    beside = minutes[missing[0] + np.array([-1, 1])]
    assert beside == pytest.approx([12_344, 12_405])


def test_times_with_a_zone_are_shown_in_it():
    index = pd.date_range("2024-07-01", periods=100, freq="h", tz="Europe/Berlin")
    row_axis, axes = RowAxis(index), plt.subplots()[1]
    assert num2date(row_axis.values[0]) == index[0]
    row_axis.format(axes, labelled=True)
    assert axes.get_xlabel() == "Time (Europe/Berlin)"
    assert axes.xaxis.get_major_formatter().format_ticks(row_axis.values[[5, 6]]) == [
        "05:00",
        "06:00",
    ]


@pytest.mark.parametrize(
    ("index", "values", "label"),
    [
        (pd.RangeIndex(5, 8), [5, 6, 7], "Row"),
        (pd.Index([0.5, 0.5, 2], name="seconds"), [0.5, 0.5, 2], "seconds"),
        (pd.Index(list("abc"), name="tag"), [0, 1, 2], "Row"),
        (pd.Index([3, 2, 1]), [0, 1, 2], "Row"),
        (pd.DatetimeIndex(["2024-01-02", "2024-01-01", None]), [0, 1, 2], "Row"),
    ],
)
def test_rows_have_places_in_order(index, values, label):
    row_axis, axes = RowAxis(index), plt.subplots()[1]
    assert row_axis.values.tolist() == values
    row_axis.format(axes, labelled=True)
    assert axes.get_xlabel() == label


def test_median_step():
    times = pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-09"])
    assert median_step(times) == pd.Timedelta(days=1)
    for other in (times[:1], times[::-1], times[[0, 0]], pd.RangeIndex(3)):
        assert median_step(other) is None


def test_ranges_of_single_rows_have_an_edge():
    axes = plt.subplots()[1]
    row_axis = RowAxis(pd.RangeIndex(100))
    ranges = np.array([3, 50]), np.array([3, 60])
    shaded = shade(axes, row_axis, ranges, edgecolor="black", linewidth=1)
    assert shaded.get_linewidth() > 0
    shade(axes, row_axis, ranges, bottom=1, top=2)
    over, inside = shaded_ranges(axes)
    assert over[:, :, 0].tolist() == [[3, 3, 3, 3], [50, 50, 60, 60]]
    assert inside[1].tolist() == [[50, 1], [50, 2], [60, 2], [60, 1]]
    assert axes.get_xlim() == (0, 1)  # lines set the limits


@pytest.mark.parametrize(
    ("channels", "names"),
    [
        (None, ["flow", "pressure"]),
        (["pressure"], ["pressure"]),
        ([-1, 0], ["pressure", "flow"]),
    ],
)
def test_channels(frame, channels, names):
    assert check_readings(frame, channels).columns.tolist() == names


def test_channels_of_an_array():
    readings = check_readings(np.arange(6).reshape(2, 3), [2, 0])
    assert readings.to_numpy().tolist() == [[2, 0], [5, 3]]
    assert [label_of(name) for name in readings] == ["channel 2", "channel 0"]


@pytest.mark.parametrize(
    ("X", "channels", "message"),
    [
        (np.zeros(5), None, r"X.reshape\(-1, 1\)"),
        (np.zeros((0, 2)), None, "no readings to draw"),
        (np.zeros((5, 2)), [2], "There is no channel 2"),
        (np.zeros((5, 2)), ["flow"], "There is no channel 'flow'"),
        (np.zeros((5, 2)), 1, r"Write channels=\[1\]"),
        (pd.DataFrame({"state": ["on"]}), None, "is not numeric"),
    ],
)
def test_what_cannot_be_drawn(X, channels, message):
    with pytest.raises(ValueError, match=message):
        check_readings(X, channels)


def test_too_few_axes():
    with pytest.raises(ValueError, match=r"subplots\(3"):
        make_axes(plt.subplots(2)[1], 3)


def test_short_names_of_styles_replace_long_ones():
    style = merge_style({"linewidth": 1, "color": "red"}, {"lw": 2}, plt.Line2D)
    assert style == {"linewidth": 2, "color": "red"}


def test_given_axes_need_no_pyplot():
    code = """
import sys
import numpy as np
from matplotlib.figure import Figure
from tsanomaly.plotting import SeriesDisplay
SeriesDisplay.from_series(np.zeros((9, 1)), ax=Figure().subplots())
print("matplotlib.pyplot" in sys.modules)
"""
    assert run_python(code) == "False"
