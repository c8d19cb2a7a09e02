# SPDX-License-Identifier: MIT
"""Dates with two-digit years, which are read if the file shows their order."""

import re

import pandas as pd
import pytest

from tests.datasets.reading.helpers import column_of_times
from tsanomaly._parameter_error import Parameter, ParameterError
from tsanomaly.datasets import read_sensor_csv


@pytest.mark.parametrize(
    "times",
    [
        ["15/01/24 23:59", "16/01/24 00:00"],
        ["15.01.24 23:59", "16.01.24 00:00"],
        ["15-1-24 23:59", "16-1-24 00:00"],
        ["01/15/24 23:59", "01/16/24 00:00"],
        ["01/15/24 11:59 PM", "01/16/24 12:00 AM"],
        ["24/01/15 23:59", "24/01/16 00:00"],
        ["24-01-15 23:59", "24-01-16 00:00"],
        ["15-Jan-24 23:59", "16-Jan-24 00:00"],
        ["15 janv. 24 23:59", "16 janv. 24 00:00"],
    ],
)
def test_orders_that_the_file_tells(read, times):
    index = read(column_of_times(times)).index
    assert index.tolist() == list(
        pd.to_datetime(["2024-01-15 23:59", "2024-01-16 00:00"])
    )


def test_dates_and_times_of_day_in_two_columns(read):
    text = "Date,Time,a\n15/01/24,23:59,1\n16/01/24,00:00,2\n"
    assert read(text).index[1] == pd.Timestamp("2024-01-16")


@pytest.mark.parametrize(
    ("times", "formats"),
    [
        (["15/01/24 10:00", "15/01/24 10:01"], ["%d/%m/%y %H:%M", "%y/%m/%d %H:%M"]),
        (["15.01.24 10:00:00,5"], ["%d.%m.%y %H:%M:%S,%f", "%y.%m.%d %H:%M:%S,%f"]),
        # The same month, or the same day, in every row is no proof.
        (["15-01-24", "15-02-24"], ["%d-%m-%y", "%y-%m-%d"]),
        (["01/02/24", "02/02/24"], ["%d/%m/%y", "%m/%d/%y", "%y/%m/%d"]),
        (["05/12/24", "05/01/25"], ["%d/%m/%y", "%m/%d/%y", "%y/%m/%d"]),
        (["10.11.12", "10.11.13"], ["%d.%m.%y", "%m.%d.%y", "%y.%m.%d"]),
        (["31/12/24", "01/01/25"], ["%d/%m/%y", "%y/%m/%d"]),
    ],
)
def test_orders_that_it_does_not_tell(write, read, times, formats):
    text = column_of_times(times)
    with pytest.raises(ParameterError, match="line 2, column 'time'") as caught:
        read_sensor_csv(write(text))
    named = [part.value for part in caught.value.args if isinstance(part, Parameter)]
    assert named == formats
    assert re.search("two-digit", str(caught.value))
    assert len(read(text, date_format=formats[0])) == len(times)


def test_a_time_of_another_kind_among_them(fails):
    times = ["15/01/24 10:00", "16/01/24 10:00", "17/01/2024 10:00"]
    fails(column_of_times(times), "line 4", "'17/01/2024 10:00'")
    times[2] = "17/13/24 10:00"
    fails(column_of_times(times), "line 2", "two-digit")
