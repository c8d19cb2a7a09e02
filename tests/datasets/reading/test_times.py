# SPDX-License-Identifier: MIT
"""Warnings about irregular times."""

import re
import warnings

import pandas as pd
import pytest

from tests.datasets.reading.helpers import column_of_times
from tsanomaly.datasets import read_sensor_csv
from tsanomaly.datasets._steps import show_step


def test_times_that_are_no_regular_series(write):
    times = ["00:03", "00:00", "00:01", "00:01", "00:02", "00:09"]
    rows = [f"2024-01-01 {time},{row},{row % 2}" for row, time in enumerate(times)]
    path = write("\n".join(["time,a,label", *rows]))
    with pytest.warns(UserWarning, match=r"pump\.csv: ") as caught:
        frame, labels = read_sensor_csv(path, return_labels=True)
    assert frame["a"].tolist() == [1, 2, 3, 4, 0, 5]
    assert labels["label"].tolist() == [1, 0, 1, 0, 0, 1]
    assert frame.index.is_monotonic_increasing
    backwards, repeated, uneven = (str(warning.message) for warning in caught)
    assert re.search(r"backwards once, first in line 3 \(2024-01-01 00:00", backwards)
    assert re.search(
        r"1 row has the same time as another row, first in line 5 \(2024-01-01 00:01",
        repeated,
    )
    assert re.search(
        r"1 of 5 steps differs .* 1 min, first before line 7 .* 6 min\.", uneven
    )
    assert all(str(path) in str(warning.message) for warning in caught)
    assert {warning.filename for warning in caught} == {__file__}


def test_jitter_is_measured_by_the_median(write):
    times = ["00.000", "00.001", "01.002", "02.002", "03.003"]
    path = write(column_of_times([f"2024-01-01 00:00:{time}" for time in times]))
    with pytest.warns(UserWarning, match=r"3 of 4 steps .* median one of 1 s"):
        read_sensor_csv(path)


@pytest.mark.parametrize(
    ("longest", "shown"),
    [
        ("3605s", "1 h 5 s"),
        ("86940s", "1 day 9 min"),
        ("1500ms", "1.5 s"),
        ("1500us", "1.5 ms"),
        ("1500ns", "1.5 µs"),
    ],
)
def test_lengths_of_steps_are_shown_by_their_two_largest_units(longest, shown):
    assert show_step(pd.Timedelta(longest).value) == shown


def test_gaps_are_not_closed_by_a_grid(write):
    """Only steps that vary are; both are reported."""
    day = pd.date_range("2024-01-01 06:00", periods=480, freq="1min")
    shifts = day.append(day + pd.Timedelta("1D"))
    with pytest.warns(UserWarning, match="steps differs") as caught:
        read_sensor_csv(write(column_of_times(shifts)))
    (message,) = (str(warning.message) for warning in caught)
    assert "1 of 959 steps differs from the most frequent one of 1 min" in message
    assert message.endswith("the longest is 16 h 1 min.")
    with pytest.warns(UserWarning, match="16 h 1 min.*regularize.* on a grid"):
        read_sensor_csv(write(column_of_times(shifts.delete(100))))


def test_the_end_of_summer_time(write):
    local = pd.date_range("2024-10-26 22:00", periods=40, freq="10min", tz="UTC")
    local = local.tz_convert("Europe/Berlin").strftime("%Y-%m-%d %H:%M")
    with pytest.warns(UserWarning, match=r"pump\.csv: ") as caught:
        read_sensor_csv(write(column_of_times(local)))
    messages = [str(warning.message) for warning in caught]
    assert re.search(
        r"line 20 .* end of daylight saving time.* tz_localize", messages[0]
    )
    assert "6 rows have the same time as another row" in messages[1]
    assert not any("regularize" in message for message in messages)
    # Not with an offset, nor by another length, nor again and again.
    for times in (
        ["2024-10-27 02:50Z", "2024-10-27 02:00Z"],
        ["2024-10-27 02:50", "2024-10-27 02:45"],
        ["2024-10-27 02:50", "2024-10-27 02:00"] * 2,
    ):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            read_sensor_csv(write(column_of_times(times)))
        assert "backwards" in str(caught[0].message)
        assert not any("summer time" in str(warning.message) for warning in caught)
