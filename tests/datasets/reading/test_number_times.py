# SPDX-License-Identifier: MIT
"""Times as numbers: serial dates, FILETIME, and time since the start."""

import re
from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.datasets.reading.helpers import column_of_times, marked
from tests.datasets.reading.test_fuzz import FUZZ
from tsanomaly.datasets import read_sensor_csv


@pytest.fixture
def detected(write):
    """A function that reads times with one warning, which names the format."""

    def detected(times, name, date_format):
        path = write(column_of_times(times, name))
        with pytest.warns(UserWarning, match="pump") as caught:
            index = read_sensor_csv(path).index
        (warning,) = caught
        message = marked(warning.message)
        for text in (repr(name), repr(str(times[0])), f"<date_format={date_format!r}>"):
            assert text in message
        assert read_sensor_csv(path, date_format=date_format).index.equals(index)
        return index

    return detected


@pytest.mark.parametrize(
    ("serials", "times"),
    [
        (["45306,416667", "45306,417361"], ["10:00", "10:01"]),
        (["45306.4167", "45306.4174"], ["10:00", "10:01"]),
        (["45306.41667", "45306.41668"], ["10:00:00", "10:00:01"]),
        (["45306.416667", "45306.416678"], ["10:00:00", "10:00:01"]),
        (["45306.4166666667", "45306.4166678356"], ["10:00:00", "10:00:00.101"]),
        (["45306", "45306.5"], ["00:00", "12:00"]),
    ],
)
def test_serial_dates(detected, serials, times):
    index = detected(serials, "Time", "excel")
    assert index.tolist() == [pd.Timestamp(f"2024-01-15 {time}") for time in times]


def test_what_is_no_serial_date(fails, read):
    # The numbers go backwards, are too many, or have no name of a time.
    fails(
        column_of_times(["45306.5", "45306.25"], "Time"),
        "line 3",
        "'45306.25' follows '45306.5'",
        "<date_format='excel'>",
    )
    fails(column_of_times(["45306.5", "x"], "Time"), "line 3", "<date_format='excel'>")
    for name, number in [("Time", "20000"), ("Time", "80001.5"), ("count", "45306.5")]:
        fails(column_of_times([number], name), "line", "time", "<timestamp=None>")
    # Without the name of a time it must be named.
    text = column_of_times(["45306.5"], "when")
    index = read(text, timestamp="when", date_format="excel").index
    assert index.tolist() == [pd.Timestamp("2024-01-15 12:00")]


@pytest.mark.parametrize(
    ("name", "numbers", "date_format", "nanoseconds"),
    [
        ("Time [ms]", [0, 10, 20], "ms", [0, 10**7, 2 * 10**7]),
        ("Time_ms", [0, 10], "ms", [0, 10**7]),
        ("Elapsed (s)", ["0,00", "0,01"], "s", [0, 10**7]),
        ("Elapsed Time [sec]", ["1.5E-02", "2.5E-02"], "s", [15 * 10**6, 25 * 10**6]),
        ("Zeit in s", ["-0.5", "0"], "s", [-5 * 10**8, 0]),
        ("t (h)", ["0", "0.5"], "h", [0, 1800 * 10**9]),
        ("time/min", ["1", "2"], "min", [60 * 10**9, 120 * 10**9]),
        ("Time (µs)", ["1", "2"], "us", [1000, 2000]),
    ],
)
def test_elapsed_times(detected, name, numbers, date_format, nanoseconds):
    assert detected(numbers, name, date_format).asi8.tolist() == nanoseconds


def test_elapsed_times_without_a_unit(fails, read):
    for numbers in (["0", "10"], ["0.00", "0.01"]):
        text = column_of_times(numbers, "Time")
        fails(text, "'Time'", "<date_format='s'>", "<date_format='ms'>")
        fails(text, "'Time'", "<date_format='s'>", timestamp="Time")
    index = read(column_of_times(["0.00", "0.01"], "Time"), date_format="s").index
    assert index[1] == pd.Timestamp("1970-01-01 00:00:00.01")


def test_elapsed_times_that_start_anew(write, fails):
    text = column_of_times(["0", "10", "0"], "Time [s]")
    fails(text, "line 4", "'0' follows '10'", "split", "<date_format='s'>")
    with pytest.warns(UserWarning, match="pump") as caught:
        read_sensor_csv(write(text), date_format="s")
    assert "backwards" in str(caught[0].message)


def test_elapsed_times_beside_others(read, fails):
    text = "Timestamp,Elapsed (s),a\n2024-01-01,0,1\n2024-01-02,86400,2\n"
    assert read(text).columns.tolist() == ["Elapsed (s)", "a"]
    text = "Elapsed (s),t [ms],a\n0,0,1\n1,1000,2\n"
    fails(text, "no time column", "<timestamp>")


def test_filetime(read):
    text = column_of_times(["133485408001234567"], "x")
    index = read(text, timestamp="x", date_format="filetime").index
    assert index.tolist() == [pd.Timestamp("2024-01-01 00:00:00.1234567")]


@pytest.mark.parametrize("cell", ["x", "nan", "1e999", "1e300", "1_0", "inf", "2 3"])
def test_no_number(fails, cell):
    text = column_of_times(["1", cell], "Time")
    fails(text, "line 3", re.escape(repr(cell)) + "|missing", date_format="s")


UNITS = {"ns": 0, "us": 3, "ms": 6, "s": 9}  # digits of a nanosecond


@FUZZ
@given(nanoseconds=st.integers(-(2**62), 2**62), unit=st.sampled_from(sorted(UNITS)))
def test_numbers_are_read_exactly(tmp_path, nanoseconds, unit):
    cell = f"{Decimal(nanoseconds).scaleb(-UNITS[unit]):f}"
    path = tmp_path / "pump.csv"
    path.write_text(column_of_times([cell], "Time"))
    index = read_sensor_csv(path, date_format=unit).index
    assert index.asi8.tolist() == [nanoseconds]
