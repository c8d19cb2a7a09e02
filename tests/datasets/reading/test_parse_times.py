# SPDX-License-Identifier: MIT
"""Formats of times that are detected."""

import re
import warnings

import pandas as pd
import pytest

from tests.datasets.reading.helpers import column_of_times
from tsanomaly._parameter_error import Parameter, ParameterError
from tsanomaly.datasets import read_sensor_csv


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2024-01-31 10:00:07", "2024-01-31 10:00:07"),
        ("2024-01-31T10:00:07.5", "2024-01-31 10:00:07.5"),
        ("2024-01-31T10:00:07,123456789", "2024-01-31 10:00:07.123456789"),
        ("2024-01-31 10:00", "2024-01-31 10:00"),
        ("2024-01-31", "2024-01-31"),
        ("2024/1/3 9:05", "2024-01-03 09:05"),
        ("2024.01.31 10:00", "2024-01-31 10:00"),
        ("03.04.2024 10:00", "2024-04-03 10:00"),
        ("31/01/2024 10:00", "2024-01-31 10:00"),
        ("01/31/2024 12:00:01 AM", "2024-01-31 00:00:01"),
        ("1/31/2024 12:30 pm", "2024-01-31 12:30"),
        ("31-01-2024 10:00:00", "2024-01-31 10:00"),
        ("31-Jan-2024 10:00:00", "2024-01-31 10:00"),
        ("2024年1月2日 10:00:00", "2024-01-02 10:00"),
        ("2024年01月02日10时03分", "2024-01-02 10:03"),
        ("20240102T100000", "2024-01-02 10:00"),
        ("20240102100000", "2024-01-02 10:00"),
        ("202401021000", "2024-01-02 10:00"),
        ("20240102100000123", "2024-01-02 10:00:00.123"),
        ("1/31/2024 12:30\u202fpm", "2024-01-31 12:30"),
        ("1/31/2024 12:30\xa0pm", "2024-01-31 12:30"),
        ("20240102 1000", "2024-01-02 10:00"),
        ("20240102", "2024-01-02"),
        ("1704067200", "2024-01-01"),
        ("1704067200.25", "2024-01-01 00:00:00.25"),
        ("1704067200123", "2024-01-01 00:00:00.123"),
        ("1704067200123456", "2024-01-01 00:00:00.123456"),
        ("1704067200123456789", "2024-01-01 00:00:00.123456789"),
        ("2024-02-29", "2024-02-29"),
        ("2024-02-29 24:00", "2024-03-01"),
        ("31.12.2024 24:00:00,000", "2025-01-01"),
        ("133485408001234567", "2024-01-01 00:00:00.1234567"),  # FILETIME of Windows
        ("2024-01-31 오후 01:05:00", "2024-01-31 13:05"),
        ("2024/1/31 上午 12:05", "2024-01-31 00:05"),
        ("31/01/2024 01:05:00 p. m.", "2024-01-31 13:05"),
        ("31. Januar 2024 10:00", "2024-01-31 10:00"),
        ("31-Mär-2024 10:00", "2024-03-31 10:00"),
        ("1 août 2024 10:00", "2024-08-01 10:00"),
        ("1 déc. 2024 10:00", "2024-12-01 10:00"),
        ("31-ene-2024 10:00", "2024-01-31 10:00"),
        ("31 December 2024", "2024-12-31"),
        ("Jan 31, 2024, 1:05:00 PM", "2024-01-31 13:05"),
        ("15-Jan-24 10:00:00", "2024-01-15 10:00"),
        ("15.01.70 10:00", "1970-01-15 10:00"),
        ("15/01/99", "1999-01-15"),
    ],
)
def test_formats_of_times(read, text, expected):
    frame = read(f"timestamp;a\n{text};1,5\n")
    assert frame.index.tolist() == [pd.Timestamp(expected)]


@pytest.mark.parametrize(
    ("text", "zone", "utc"),
    [
        ("2024-01-31T10:00:00Z", "UTC", "2024-01-31 10:00"),
        ("2024-01-31T10:00:00+00:00", "UTC", "2024-01-31 10:00"),
        ("2024-01-31 10:00:00.5 +0530", "UTC+05:30", "2024-01-31 04:30:00.5"),
        ("2024-01-31 10:00-03", "UTC-03:00", "2024-01-31 13:00"),
    ],
)
def test_offsets(read, text, zone, utc):
    index = read(f"timestamp;a\n{text};1\n").index
    assert str(index.tz) == zone
    assert index.tz_convert("UTC").tz_localize(None).tolist() == [pd.Timestamp(utc)]


def test_several_offsets(warned, fails):
    times = ["2024-03-31T01:59:00+01:00", "2024-03-31T03:00:00+02:00"]
    frame, (told,) = warned(column_of_times(times))
    assert "several offsets from UTC" in told
    index = frame.index
    assert str(index.tz) == "UTC"
    assert index.tolist() == list(pd.to_datetime(times, utc=True))
    fails(column_of_times([times[0], "2024-03-31T03:00:00"]), "line 3", "same format")
    fails(column_of_times(["2024-03-31T01:59:00+27:00"]), "line 2", "offset")


@pytest.mark.parametrize(
    "text",
    [
        "2024-02-30 10:00",
        "2023-02-29",
        "2024-13-01",
        "2024-00-01",
        "2024-01-01 24:01",
        "2024-01-01 24:00:00.001",
        "2024-01-01 10:60",
        "2024-01-01 10:00:60",
        "1/31/2024 13:00 PM",
        "9999-12-31",
        "1500-01-01",
        "2024-01-01 10:00:00.1234567891",
        "31.01.24 10:00",
        "1.7040672E+09",
        "42",
        "yesterday",
        "2024-01-01 10",
        "２０２４-01-01",
    ],
)
def test_not_a_time(fails, text):
    fails(f"timestamp,a\n{text},1\n", "line 2", "'timestamp'")


@pytest.mark.parametrize(
    "second",
    ["", "x", "2024-01-02", "2024-01-01 00:01:00", "2024/01/01 00:01", "1704067260"],
)
def test_times_of_one_format(fails, second):
    times = ["2024-01-01 00:00", second]
    fails(column_of_times(times), "line 3", "'time'")


def test_only_the_fraction_may_be_left_out(read):
    times = ["2024-01-01T00:00:00.500", "2024-01-01T00:00:01"]
    assert read(column_of_times(times)).index[1] == pd.Timestamp(times[1])


def test_a_time_that_lost_a_digit(fails, read):
    fails(column_of_times(["2024-01-01", "2024-01-1"]), "line 3", "'2024-01-1'")
    fails(column_of_times(["1/31/2024 1:05", "1/31/2024 02:05"]), "line 3", "zero")
    read(column_of_times(["1/31/2024 12:05 AM", "1/31/2024 1:05 AM"]))
    # Day without, month with a leading zero is a format of its own.
    assert len(read(column_of_times(["9/05/2024", "10/05/2024", "13/05/2024"][1:])))


@pytest.mark.parametrize("power", [0, 3, 6, 9])
def test_epoch_numbers_that_are_plausible(read, fails, power):
    start, end = 946_684_800 * 10**power, 2_840_140_800 * 10**power
    index = read(column_of_times([start]), drop=[]).index
    assert index.tolist() == [pd.Timestamp("2000-01-01")]
    assert read(column_of_times([end])).index.tolist() == [pd.Timestamp("2060-01-01")]
    for number in (start - 1, end + 1):
        fails(column_of_times([number]), "line 2", "'time'", "<date_format")


@pytest.mark.parametrize(
    "number",
    # .NET ticks, seconds since 1904, milliseconds since the start
    ["638397504000000000", "3786912000", "700000000"],
)
def test_numbers_since_other_years(fails, number):
    fails(column_of_times([number]), "line 2", "'time'", "<date_format")
    fails(column_of_times([number]), "line 2", "'time'", timestamp="time")


@pytest.mark.parametrize(
    ("number", "date_format", "time"),
    [
        ("2024010100", "%Y%m%d%H", "2024-01-01"),
        ("2024010210000010", "%Y%m%d%H%M%S%f", "2024-01-02 10:00:00.1"),
        ("2024010210000012345", "%Y%m%d%H%M%S%f", "2024-01-02 10:00:00.12345"),
    ],
)
def test_numbers_that_also_are_dates(read, fails, number, date_format, time):
    text = column_of_times([number])
    fails(text, "line 2", "two ways", re.escape(f"<date_format='{date_format}'>"))
    index = read(text, date_format=date_format).index
    assert index.tolist() == [pd.Timestamp(time)]
    # No such hour: one of the values tells.
    later = number[:8] + "24" + number[10:]
    index = read(column_of_times([number, later])).index
    assert index[0].year == 2034


def test_times_of_day_in_digits(read, fails):
    text = "Date,Time,a\n20240101,1000,1\n20240101,1500,1\n20240101,2000,1\n"
    pair = ("Date", "Time")
    fails(text, "line 2", "'Time'", "<date_format")
    fails(text, "line 2", "'Time'", "'1000'", "<date_format", timestamp=pair)
    frame = read(text, date_format="%Y%m%d %H%M")
    assert frame.index[1] == pd.Timestamp("2024-01-01 15:00")
    padded = text.replace("1000", "0930").replace("2000", "2030")
    assert read(padded, timestamp=pair).index[0] == pd.Timestamp("2024-01-01 09:30")
    full = re.sub(r",(\d{4}),", r",\g<1>00,", text)
    assert read(full, timestamp=pair).index[1] == pd.Timestamp("2024-01-01 15:00")


def test_times_of_day_with_points(read, fails):
    # The data set Air Quality of the UCI repository.
    text = "Date;Time;CO(GT);;\n10/03/2004;18.00.00;2,6;;\n13/03/2004;10.11.12;2;;\n"
    for options in ({}, {"timestamp": ("Date", "Time")}):
        frame = read(text, **options)
        assert frame.columns.tolist() == ["CO(GT)"]
        assert frame.index.tolist() == [
            pd.Timestamp("2004-03-10 18:00"),
            pd.Timestamp("2004-03-13 10:11:12"),
        ]
    fails(text.replace("18.00.00", "24.00.00"), "line 1", "all contain times")
    # A date, in a column without the name of a time of day.
    fails(text.replace("Time", "Datum"), r"<timestamp=\('Date', 'Time'\)>")


def test_epoch_numbers_of_one_unit(fails):
    fails(column_of_times(["1704067200", "1704067260000"]), "line 3", "seconds")
    fails(column_of_times(["1704067200", "0"]), "line 3", "2000")
    # A sensor may count to as much: only a name makes numbers times.
    fails("count,a\n1704067200,1\n", "no time column")
    digits = "1704067200000000000.5"
    fails(column_of_times([digits]), "line 2", "nanoseconds")


def test_day_or_month_first(read, fails):
    day_first = read(column_of_times(["01/02/2024", "02/02/2024", "13/02/2024"][::2]))
    assert day_first.index[0] == pd.Timestamp("2024-02-01")
    month_first = read(column_of_times(["01/02/2024", "01/13/2024"]))
    assert month_first.index[0] == pd.Timestamp("2024-01-02")
    fails(
        column_of_times(["13/02/2024", "02/13/2024"]),
        "line 3",
        "line 2",
        "different orders",
    )
    unclear = column_of_times(["01/02/2024 10:00", "02/02/2024 10:00"])
    fails(
        unclear,
        "line 2",
        "'time'",
        "<date_format='%d/%m/%Y %H:%M'>",
        "<date_format='%m/%d/%Y %H:%M'>",
    )
    frame = read(unclear, date_format="%d/%m/%Y %H:%M")
    assert frame.index[1] == pd.Timestamp("2024-02-02 10:00")


@pytest.mark.parametrize(
    "pattern",
    [
        *("%d/%m/%Y", "%m-%d-%Y", "%d-%m-%Y %H:%M:%S", "%m/%d/%Y, %I:%M:%S %p"),
        *("%d/%m/%YT%H:%M:%S.%f", "%m/%d/%Y %I:%M%p", "%d/%m/%Y %H:%M:%S,%f%z"),
        *("%d/%m/%Y %H:%M UTC", "%d-%m-%Y %H:%M:%SZ"),
    ],
)
def test_the_format_for_an_unclear_order(write, read, pattern):
    # Evenly spaced in different orders, but that is no proof.
    times = pd.date_range("2024-04-03 20:00", periods=20, freq="30min", tz="UTC")
    path = write(column_of_times(times.strftime(pattern)))
    with pytest.raises(ParameterError, match="line 2") as caught:
        read_sensor_csv(path)
    formats = [part.value for part in caught.value.args if isinstance(part, Parameter)]
    assert formats.index(pattern.replace("SZ", "S%z")) == pattern.startswith("%m")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*regularize")
        frame = read_sensor_csv(path, date_format=formats[pattern.startswith("%m")])
    assert frame.index[0].month == 4


def test_days_and_months_that_are_the_same(read):
    same = pd.date_range("2024-04-04", periods=20, freq="30min")
    frame = read(column_of_times(same.strftime("%m/%d/%Y %H:%M")))
    assert frame.index.equals(same.rename("time"))
