# SPDX-License-Identifier: MIT
"""Times in files, by way of read_sensor_csv."""

import logging
import re
import warnings

import pandas as pd
import pytest

from tsanomaly.datasets import read_sensor_csv


def column_of_times(times, name="time"):
    return "\n".join(
        [f"{name};a", *(f"{time};{row}" for row, time in enumerate(times))]
    )


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


def test_several_offsets(read, fails):
    times = ["2024-03-31T01:59:00+01:00", "2024-03-31T03:00:00+02:00"]
    index = read(column_of_times(times)).index
    assert str(index.tz) == "UTC"
    assert index.tolist() == list(pd.to_datetime(times, utc=True))
    fails(column_of_times([times[0], "2024-03-31T03:00:00"]), "line 3", "one format")
    fails(column_of_times(["2024-03-31T01:59:00+27:00"]), "line 2", "offset")


@pytest.mark.parametrize(
    "text",
    [
        "2024-02-30 10:00",
        "2023-02-29",
        "2024-13-01",
        "2024-00-01",
        "2024-01-01 24:00",
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
        fails(column_of_times([number]), "line 2", "'time'", "date_format=")


@pytest.mark.parametrize(
    "number",
    # .NET ticks, seconds since 1904, milliseconds since the start, FILETIME
    ["638397504000000000", "3786912000", "700000000", "133485408000000000"],
)
def test_numbers_since_other_years(fails, number):
    fails(column_of_times([number]), "line 2", "'time'", "date_format=")
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
    fails(text, "line 2", "two readings", re.escape(f"date_format='{date_format}'"))
    index = read(text, date_format=date_format).index
    assert index.tolist() == [pd.Timestamp(time)]
    # No such hour: one of the values tells.
    later = number[:8] + "24" + number[10:]
    index = read(column_of_times([number, later])).index
    assert index[0].year == 2034


def test_a_lost_zero_where_numbers_touch(read, fails):
    for number, date_format in [("1112024", "%d%m%Y"), ("111024", "%d%m%Y")]:
        text = column_of_times([number])
        fails(text, "line 2", "leading zero is lost; pad it", date_format=date_format)
    read(column_of_times(["01112024"]), date_format="%d%m%Y")
    read(column_of_times(["1.1.2024 1:05"]), date_format="%d.%m.%Y %H:%M")
    read(column_of_times(["1Jan2024"]), date_format="%d%b%Y")
    read(column_of_times(["100%20240102"]), date_format="100%%%Y%m%d")
    zoned = "%Y%m%d %H%M%S%f%z"
    read(column_of_times(["20240102 103000123+0100"]), date_format=zoned)
    fails(
        column_of_times(["20240102 93000123+0100"]), "leading zero", date_format=zoned
    )
    text = "Date,Time,a\n2024-01-01,{},1\n"
    options = {"date_format": "%Y-%m-%d %H%M%S"}
    fails(text.format("500"), "line 2", "leading zero", **options)
    assert read(text.format("000500"), **options).index[0].minute == 5


def test_times_of_day_in_digits(read, fails):
    text = "Date,Time,a\n20240101,1000,1\n20240101,1500,1\n20240101,2000,1\n"
    pair = ("Date", "Time")
    fails(text, "line 2", "'Time'", "date_format=")
    fails(text, "line 2", "'Time'", "'1000'", "date_format=", timestamp=pair)
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
    fails(text.replace("18.00.00", "24.00.00"), "line 1", "all hold times")
    # A date, in a column without the name of a time of day.
    fails(text.replace("Time", "Datum"), r"timestamp=\('Date', 'Time'\)")


def test_epoch_numbers_of_one_unit(fails):
    fails(column_of_times(["1704067200", "1704067260000"]), "line 3", "seconds")
    fails(column_of_times(["1704067200", "0"]), "line 3", "2000")
    # A sensor may count to as much: only a name makes numbers times.
    fails("count,a\n1704067200,1\n", "no column of times")
    digits = "1704067200000000000.5"
    fails(column_of_times([digits]), "line 2", "nanoseconds")


def test_day_or_month_first(read, fails):
    day_first = read(column_of_times(["01/02/2024", "02/02/2024", "13/02/2024"][::2]))
    assert day_first.index[0] == pd.Timestamp("2024-02-01")
    month_first = read(column_of_times(["01/02/2024", "01/13/2024"]))
    assert month_first.index[0] == pd.Timestamp("2024-01-02")
    fails(
        column_of_times(["13/02/2024", "02/13/2024"]), "line 3", "line 2", "one order"
    )
    unclear = column_of_times(["01/02/2024 10:00", "02/02/2024 10:00"])
    fails(unclear, "line 2", "'time'", "%d/%m/%Y %H:%M'", "%m/%d/%Y %H:%M'")
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
    # Evenly spaced in one order, but that is no proof.
    times = pd.date_range("2024-04-03 20:00", periods=20, freq="30min", tz="UTC")
    path = write(column_of_times(times.strftime(pattern)))
    with pytest.raises(ValueError, match=r"line 2.*if the day is first") as caught:
        read_sensor_csv(path)
    formats = re.findall("date_format='(.*?)'", str(caught.value))
    assert formats.index(pattern.replace("SZ", "S%z")) == pattern.startswith("%m")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*regularize")
        frame = read_sensor_csv(path, date_format=formats[pattern.startswith("%m")])
    assert frame.index[0].month == 4


def test_days_and_months_that_are_the_same(read):
    same = pd.date_range("2024-04-04", periods=20, freq="30min")
    frame = read(column_of_times(same.strftime("%m/%d/%Y %H:%M")))
    assert frame.index.equals(same.rename("time"))


def test_date_format(read, fails):
    text = "when,a\n31.01.24 10:00,1\n31.01.24 10:01,2\n"
    index = read(text, date_format="%d.%m.%y %H:%M").index
    assert index[1] == pd.Timestamp("2024-01-31 10:01")
    fails(text, "line 2", "'when'", "two digits")
    fails(text, "line 2", "'when'", "date_format=", date_format="%d.%m.%y %H:%M:%S")
    fails(text, "date_format=", date_format="%d.%d.%m.%y")
    zoned = "when,a\n31.01.24 10:00 +0200,1\n"
    index = read(zoned, timestamp="when", date_format="%d.%m.%y %H:%M %z").index
    assert index.tolist() == [pd.Timestamp("2024-01-31 10:00+02:00")]
    # Two words that no known format has.
    text = "a,when\n1,Jan 31 2024 at 10\n2,Jan 31 2024 at 11\n"
    assert read(text, date_format="%b %d %Y at %H").index.name == "when"
    headless = text.split("\n", 1)[1]
    options = {"date_format": "%b %d %Y at %H", "timestamp": "Jan 31 2024 at 10"}
    fails(headless, "line 1", "no header", **options)


def test_date_and_time_in_two_columns(read, fails):
    text = "Date,Time,a\n31/01/2024,09:59:59 PM,1\n31/01/2024,10:00:00 PM,2\n"
    frame = read(text)
    assert frame.columns.tolist() == ["a"]
    assert frame.index[0] == pd.Timestamp("2024-01-31 21:59:59")
    assert frame.index.name == "Date Time"
    assert frame.equals(read(text, timestamp=("Date", "Time")))
    fails(text, "line 2", "'Time'", "drop=", timestamp="Date")
    fails(text, "'Date'", "not among", timestamp=("Date", "Clock"), drop="Date")
    fails(text.replace("10:00:00 PM", ""), "line 3", "'Time'", "missing")
    compact = read("Date,Time,a\n20240131,10:00,1\n")
    assert compact.index[0] == pd.Timestamp("2024-01-31 10:00")


def test_a_time_column_without_a_known_name(read, fails):
    frame = read("a,when it was\n1,2024-01-01\n")
    assert frame.index.name == "when it was"
    frame = read(",a\n2024-01-01 00:00:00,1\n")
    assert frame.index.name is None
    assert frame.index[0] == pd.Timestamp("2024-01-01")
    fails(",time,a\n2024-01-01,2024-01-01,1\n", "line 1", "without name", "'time'")
    text = ",time,a\n2024-01-01,2024-01-01,1\n"
    fails(text, "line 2", "position 1 has no name", timestamp="time")


def test_several_time_columns(read, fails):
    text = "timestamp,served,a\n2024-01-01,2023-01-01,1\n"
    fails(text, "line 1", "'timestamp', 'served'", "drop=")
    assert read(text, timestamp="timestamp", drop="served").columns.tolist() == ["a"]
    fails(text, "line 2", "'served'", "time", timestamp="timestamp")
    # A clock that counts from the start must not become a sensor by accident.
    text = "date,time,a\n2024-01-01,0.5,1\n"
    fails(text, "line 2", "'time'", "named like a time")
    assert read(text, timestamp="date").columns.tolist() == ["time", "a"]


def test_no_time_column(read, fails):
    fails("a,b\n1,2\n", "line 1", "'a', 'b'", "timestamp=None")
    fails("time,b\n0,2\n", "line 2", "'time'", "timestamp=")
    frame = read("a,b\n1,2\n", timestamp=None)
    assert frame.index.tolist() == [0]
    # The data set S5 of Yahoo numbers its rows.
    text = "timestamp,value,is_anomaly\n1,5,0\n2,6,1\n"
    cure = "timestamp=None and drop='timestamp'"
    fails(text, "line 2", "'timestamp'", cure)
    fails(text, "line 2", "'timestamp'", cure, timestamp="timestamp")
    frame = read(text, timestamp=None, drop="timestamp")
    assert frame.columns.tolist() == ["value"]
    fails("t,b\n2024-01-01,2\n", "line 2", "'t'", "timestamp=", timestamp=None)
    fails("a,b\n1,2\n", "line 1", "'c'", "not among", timestamp="c")


def test_columns_without_a_name(read, caplog):
    with caplog.at_level(logging.INFO, "tsanomaly"):
        frame = read(",time,a,\n0,2024-01-01,1,\n1,2024-01-02,2,\n")
    assert frame.columns.tolist() == ["a"]
    assert "row numbers left out" in caplog.text
    assert "empty column" in caplog.text
    assert read("Unnamed: 0,time,a\n0,2024-01-01,1\n").columns.tolist() == ["a"]
    kept = read("Unnamed: 0,time,a\n7,2024-01-01,1\n")
    assert kept.columns.tolist() == ["Unnamed: 0", "a"]


@pytest.mark.parametrize("name", ["", "Row", "No.", "index", "#", "Unnamed: 0"])
@pytest.mark.parametrize("start", [0, 1, -5, 70])
def test_row_numbers(read, caplog, name, start):
    text = f"{name},time,a\n{start},2024-01-01,1\n{start + 1},2024-01-02,2\n"
    with caplog.at_level(logging.INFO, "tsanomaly"):
        assert read(text).columns.tolist() == ["a"]
    assert "row numbers" in caplog.text
    assert repr(name) in caplog.text or not name
    if name:
        for other in (start + 2, start, f"{start + 1}.0"):
            rows = f"{start},2024-01-01,1\n{other},2024-01-02,2\n"
            frame = read(f"{name},time,a\n{rows}")
            assert frame.columns.tolist() == [name, "a"]


def test_drop(read, fails):
    text = "time,machine,a\n2024-01-01,M1,1\n"
    fails(text, "line 2", "'machine'", "'M1'", "drop=")
    assert read(text, drop=["machine"]).columns.tolist() == ["a"]
    fails(text, "'m'", "not among", drop="m")
    doubled = "time,a,a,b\n2024-01-01,x,1,2\n"
    fails(doubled, "line 1", "'a'", "more than once", "drop='a'")
    assert read(doubled, drop="a").columns.tolist() == ["b"]
