# SPDX-License-Identifier: MIT
import gzip
import logging
import re
import warnings

import numpy as np
import pandas as pd
import pytest

from tests.helpers import SHARED_DATA, needs_shared_data
from tsanomaly.datasets import read_sensor_csv


@pytest.fixture
def write(tmp_path):
    """A function that writes text or bytes, and returns the path."""

    def write(content, encoding="utf-8"):
        path = tmp_path / "pump.csv"
        path.write_bytes(
            content if isinstance(content, bytes) else content.encode(encoding)
        )
        return path

    return write


@pytest.fixture
def read(write):
    """A function that writes a file and reads it, no warning expected."""

    def read(content, **options):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return read_sensor_csv(write(content), **options)

    return read


@pytest.fixture
def fails(write):
    """A function that checks that a file is refused, with all of some words."""

    def fails(content, *patterns, **options):
        path = write(content)
        with pytest.raises(ValueError, match=re.escape(str(path))) as caught:
            read_sensor_csv(path, **options)
        for pattern in patterns:
            assert re.search(pattern, str(caught.value)), str(caught.value)

    return fails


def column_of_times(times, name="time"):
    return "\n".join(
        [f"{name};a", *(f"{time};{row}" for row, time in enumerate(times))]
    )


def test_a_plain_file(read):
    frame = read(
        "timestamp,a,b\n2024-01-01 00:00:00,1,-2.5e3\n2024-01-01 00:01:00,,3\n"
    )
    expected = pd.DataFrame(
        {"a": [1.0, np.nan], "b": [-2500.0, 3.0]},
        index=pd.DatetimeIndex(
            ["2024-01-01 00:00", "2024-01-01 00:01"], name="timestamp"
        ).as_unit("ns"),
    )
    pd.testing.assert_frame_equal(frame, expected)
    assert frame.index.dtype == "datetime64[ns]"


def test_names_stay_as_they_are(read):
    names = ["YT.11FI_02044.PV", "气化一期", "Ventil % (neu)", "a,b;c", "1.5", 'so "x"']
    header = ",".join('"' + name.replace('"', '""') + '"' for name in names)
    frame = read(f" time ,{header}\n2024-01-01, 1 ,2,3,4,5,6\n")
    assert frame.columns.tolist() == names
    assert frame.index.name == "time"
    assert frame.iloc[0].tolist() == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("sep", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_separators_and_line_ends(read, sep, end):
    lines = ["time,a,b", "2024-01-01,1.5,2", "", "2024-01-02,3,4", ",,", ""]
    frame = read(end.join(lines).replace(",", sep))
    assert frame.to_numpy().tolist() == [[1.5, 2], [3, 4]]


def test_the_separator_hint_of_excel(read):
    frame = read("sep=|\r\ntime|a\r\n2024-01-01|1,5\r\n")
    assert frame["a"].tolist() == [1.5]


def test_quoted_fields(read):
    frame = read('"time", "two\nlines"\n"2024-01-01","1.5"\n2024-01-02, "2"\n')
    assert frame["two\nlines"].tolist() == [1.5, 2]


def test_a_separator_inside_names_and_decimals(read):
    frame = read("time;Flow, l;Temp, C\n2024-01-01;1,5;2,5\n")
    assert frame.columns.tolist() == ["Flow, l", "Temp, C"]
    assert frame.iloc[0].tolist() == [1.5, 2.5]


def test_an_unclear_separator(fails):
    fails("a,b;c,d\nx,y;z,w\n", "sep=", timestamp=None)


def test_one_column(read, fails):
    frame = read("value\n1\n2.5\n", timestamp=None)
    assert frame["value"].tolist() == [1, 2.5]
    assert isinstance(frame.index, pd.RangeIndex)
    fails("value\n1\n2.5\n", "no column of times", "timestamp=None")
    fails("value\n1\n\n2.5\n", "line 3", "'value'", "blank", timestamp=None)
    assert len(read('value\n1\n""\n2\n\n', timestamp=None)) == 3


def test_rows_without_values(read, fails):
    text = "time,a\n2024-01-01,1\n,\n2024-01-02,2\n"
    fails(text, "line 3", "'time'", "missing")
    frame = read("a,b\n1,2\n,\n3,4\n,\n", timestamp=None)
    assert frame["a"].isna().tolist() == [False, True, False, True]


@pytest.mark.parametrize(
    ("content", "patterns"),
    [
        ("", ["empty"]),
        ("\n \n\n", ["empty"]),
        ("time,a\n", ["line 1", "no row"]),
        ("time,a\n\n,\n", ["line 1", "no row"]),
        ("2024-01-01,1.5\n2024-01-02,2\n", ["line 1", "no header"]),
        ("2024-01-01 10:00:00,1.5,ok\n2024-01-02 10:00:00,2,ok\n", ["no header"]),
        ("01.02.24 10:00;1,5\n01.02.24 10:01;1,5\n", ["no header"]),
        ("1,2\n3,4\n", ["no header"]),
        ("time,a,a\n2024-01-01,1,2\n", ["line 1", "'a'", "more than once"]),
        ("time,a,b\n2024-01-01,1\n", ["line 2", "2 fields", "3", "column 'b'"]),
        ("time,a\n2024-01-01,1\n2024-01-02,1,5\n", ["line 3", "3 fields"]),
        ('time,a\n2024-01-01,1\n2024-01-02,"1\n2024-01-03,2\n', ["line 3", "quote"]),
        ('time,a\n2024-01-01,"1"5\n', ["line 2", "quote"]),
        ("time,a\n2024-01-01,1\0\n", ["line 2", "NUL"]),
        ("time,a\n2024-01-01," + "1" * 140_000, ["line 2", "limit"]),
        ("time,anomaly\n2024-01-01,0\n", ["line 1", "no sensor", "'anomaly'"]),
        ("time,a,\n2024-01-01,1,7\n", ["line 2", "position 3", "'7'"]),
    ],
)
def test_a_broken_structure(fails, content, patterns):
    fails(content, *patterns)


def test_line_numbers_count_lines_of_the_file(fails):
    fails('time,"a\nb"\n\n"2024-01-01","\n1"\n2024-01-02,x\n', "line 6", "'x'")


def test_not_a_file(tmp_path, fails):
    with pytest.raises(FileNotFoundError):
        read_sensor_csv(tmp_path / "nothing.csv")
    with pytest.raises(OSError, match=re.escape(str(tmp_path))):
        read_sensor_csv(tmp_path)
    fails(b"PK\x03\x04 and so on", "Excel")


def test_gzip_is_known_by_its_content(read, fails):
    data = gzip.compress(b"time,a\n2024-01-01,1\n")
    assert read(data)["a"].tolist() == [1]
    fails(data[:-9], "gzip", "damaged")
    fails(data[:12] + b"\xff\xff" + data[14:], "gzip", "damaged")
    fails(data[:2], "gzip", "damaged")


# -- encodings


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_unicode(write, encoding):
    path = write("时间,气化一期,°C é\n2024-01-01,1,2\n", encoding)
    frame = read_sensor_csv(path)
    assert frame.columns.tolist() == ["气化一期", "°C é"]
    assert frame.index.name == "时间"
    if encoding.startswith("utf-8"):
        pd.testing.assert_frame_equal(read_sensor_csv(path, encoding="utf-8"), frame)


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        ("gb18030", ["气化一期", "温度(℃)", "流量"]),
        ("cp1252", ["Temp °C", "Größe", "débit (m³/h)"]),
    ],
)
def test_legacy_encodings(write, caplog, encoding, names):
    path = write(f"time,{','.join(names)}\n2024-01-01,1,2,3\n", encoding)
    with caplog.at_level(logging.INFO, "tsanomaly"):
        assert read_sensor_csv(path).columns.tolist() == names
    assert encoding in caplog.text


def test_an_unclear_encoding(fails, write):
    for text, encoding in [("Температура", "cp1251"), ("気温ー", "shift-jis")]:
        data = f"time,a\n2024-01-01,1\n2024-01-02,{text}\n".encode(encoding)
        fails(data, "line 3", "encoding=")
    data = "time,气化一期\n2024-01-01,1\n".encode()
    fails(data[:7] + data[8:], "line 1", "encoding=")
    fails(data, "line 1", "ascii", encoding="ascii")
    fails(data, "'klingon'", encoding="klingon")
    fails(data, "'base64'", encoding="base64")
    fails("time,a\n2024-01-01,1\n".encode("utf-16-le"), "NUL", "utf-16")


# -- numbers


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        ("1", 1.0),
        ("+1.5", 1.5),
        ("-.5", -0.5),
        ("5.", 5.0),
        ("1e-3", 0.001),
        (" 2 ", 2.0),
        ("0.1", 0.1),
        ("51.846000000000004", 51.846000000000004),
        ("1e-999", 0.0),
        ("inf", np.inf),
        ("-Infinity", -np.inf),
        ("-nan", np.nan),
        *((cell, np.nan) for cell in ["", "nan", "NaN", "NA", "N/A", "#N/A", "null"]),
        *((cell, np.nan) for cell in ["NULL", "None", "-", "--"]),
    ],
)
def test_a_number(read, cell, value):
    np.testing.assert_array_equal(
        read(f"time,a\n2024-01-01,{cell}\n2024-01-02,7\n")["a"], [value, 7]
    )


@pytest.mark.parametrize(
    "cell",
    [
        *("x", "1_0", "0x1F", "1e", "1e5.5", ".", "+", "e5", "--1", "1.2.3", "١", "１"),
        *("1e999", "-1e999", "12°C", "1d5", "true", "1'234", "1.234.567", "infinite"),
        *("nan1", "#", "2024-01-01", "10:00", "None,", "1;2", "ınf", "1 2"),
    ],
)
def test_not_a_number(fails, cell):
    fails(f'time,a b\n2024-01-01,1\n2024-01-02,"{cell}"\n', "line 3", "'a b'")


def test_words_for_numbers_go_by_the_column(read):
    frame = read("time,a,b\n2024-01-01,TRUE,\n2024-01-02,false,nan\n2024-01-03,,\n")
    np.testing.assert_array_equal(frame["a"], [1, 0, np.nan])
    assert frame["b"].isna().all()


def test_decimal_commas(read, fails):
    text = "time;a;b\n2024-01-01;1,5;1,234\n2024-01-02;-,5;7\n"
    assert read(text).to_numpy().tolist() == [[1.5, 1.234], [-0.5, 7]]
    assert read(text, decimal=",").equals(read(text))
    fails(text, "line 2", "'a'", "'1,5'", decimal=".")
    assert read("time;a\n2024-01-01;0,123\n")["a"].tolist() == [0.123]
    assert read('time,a\n2024-01-01,"1,5"\n', decimal=",")["a"].tolist() == [1.5]
    fails('time,a\n2024-01-01,"1,5"\n', "line 2", "'a'", "decimal=','")


def test_a_comma_that_may_stand_for_thousands(read, fails):
    text = "time;a\n2024-01-01;1,234\n2024-01-02;22,500\n"
    fails(text, "line 2", "'a'", "'1,234'", "decimal=','")
    assert read(text, decimal=",")["a"].tolist() == [1.234, 22.5]
    fails(text, "line 2", "'a'", decimal=".")


def test_two_decimal_marks(fails):
    text = "time;a;b\n2024-01-01;1,5;2\n2024-01-02;3;1.5\n"
    fails(text, "line 2", "'a'", "'1,5'", r"line 3, column 'b'", "'1.5'")
    fails(text, "line 3", "'b'", "'1.5'", decimal=",")
    fails("time;a\n2024-01-01;1,234.5\n", "line 2", "'a'", "thousands")
    fails("time;a\n2024-01-01;1.234,5\n", "line 2", "'a'", "thousands")
    fails("time;a\n2024-01-01;1 234\n", "line 2", "'a'", "thousands")


# -- the time column


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


def test_epoch_numbers_of_one_unit(fails):
    fails(column_of_times(["1704067200", "1704067260000"]), "line 3", "seconds")
    fails(column_of_times(["1704067200", "0"]), "line 3", "1990")
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
    fails(unclear, "line 2", "'time'", "%d/%m/%Y %H:%M")
    frame = read(unclear, date_format="%d/%m/%Y %H:%M")
    assert frame.index[1] == pd.Timestamp("2024-02-02 10:00")


def test_even_steps_settle_the_order(read, fails):
    times = pd.date_range("2024-04-03 20:00", periods=20, freq="30min")
    for pattern in ("%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M"):
        assert read(column_of_times(times.strftime(pattern))).index.equals(
            times.rename("time")
        )
    # Days of one month, or one day of several months: both are even.
    days = pd.date_range("2024-03-01", periods=12, freq="D")
    fails(column_of_times(days.strftime("%m/%d/%Y")), "line 2", "date_format=")
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


def test_drop(read, fails):
    text = "time,machine,a\n2024-01-01,M1,1\n"
    fails(text, "line 2", "'machine'", "'M1'", "drop=")
    assert read(text, drop=["machine"]).columns.tolist() == ["a"]
    fails(text, "'m'", "not among", drop="m")


# -- labels


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("anomaly", "0 1 0"),
        (" Is_Anomaly ", "0.0 1.0 0"),
        ("is anomaly", "0 1 0"),
        ("LABEL", "False TRUE false"),
        ("class", "no Yes NO"),
        ("Normal/Attack", "Normal Attack normal"),
        ("target", "normal anomaly normal"),
    ],
)
def test_labels_are_kept_apart(read, name, words):
    rows = [f"2024-01-0{day},7,{word}" for day, word in enumerate(words.split(), 1)]
    text = "\n".join([f"time,a,{name}", *rows])
    assert read(text).columns.tolist() == ["a"]
    frame, labels = read(text, return_labels=True)
    assert labels.columns.tolist() == [name.strip()]
    assert labels[name.strip()].tolist() == [0, 1, 0]
    assert labels.dtypes.tolist() == [np.int64]
    assert labels.index.equals(frame.index)


@pytest.mark.parametrize("word", ["2", "", "-1", "yes", "x", "nan"])
def test_not_a_label(fails, read, word):
    text = f"time,a,fault\n2024-01-01,1,0\n2024-01-02,1,1\n2024-01-03,1,{word}\n"
    fails(text, "line", "'fault'", "label=None")
    if word in ("2", "", "-1", "nan"):
        assert read(text, label=None).columns.tolist() == ["a", "fault"]


def test_which_columns_are_labels(read, fails):
    text = "time,a,label,mine\n2024-01-01,5,0,1\n"
    assert read(text).columns.tolist() == ["a", "mine"]
    assert read(text, label=None).columns.tolist() == ["a", "label", "mine"]
    frame, labels = read(text, label=["mine", "label"], return_labels=True)
    assert frame.columns.tolist() == ["a"]
    assert labels.iloc[0].tolist() == [1, 0]
    assert read(text, label="mine").columns.tolist() == ["a", "label"]
    assert read(text, label=None, return_labels=True)[1].shape == (1, 0)
    fails(text, "'none'", "not among", label="none")
    fails(text, "line 2", "'a'", "'5'", label="a")
    fails(text, "'time'", "label", label="time", timestamp="time")


# -- what is said


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
    assert re.search(
        r"backwards 1 times, first in line 3 \(2024-01-01 00:00", backwards
    )
    assert re.search(r"1 rows have .* line 5 \(2024-01-01 00:01", repeated)
    assert re.search(r"1 of 5 steps .* 60 s, first before line 7 .* 360 s", uneven)
    assert all(str(path) in str(warning.message) for warning in caught)
    assert {warning.filename for warning in caught} == {__file__}


def test_the_log_says_what_was_found(read, caplog):
    with caplog.at_level(logging.INFO, "tsanomaly"):
        read("Zeit;a;b;anomaly\n31.01.2024 10:00;1,5;2;0\n")
    (record,) = caplog.records
    assert record.name == "tsanomaly"
    message = record.getMessage()
    for found in [
        "pump.csv",
        "utf-8",
        "semicolon",
        "decimal ','",
        "'Zeit'",
        "'anomaly'",
    ]:
        assert found in message
    assert "day.month.year hour:minute" in message
    assert "2 sensors, 1 rows" in message


@pytest.mark.parametrize(
    "options",
    [
        {"timestamp": 3},
        {"timestamp": ("a", "b", "c")},
        {"decimal": ";"},
        {"sep": "ab"},
        {"sep": "1"},
        {"sep": '"'},
        {"sep": None},
        {"encoding": None},
        *({"date_format": text} for text in ["%H:%M", "%d.%m. %H:%M", "%y", 7]),
        *({"date_format": f"%d.%m.%y {text}"} for text in ["%I:%M", "%H:%M %p", "%Z"]),
    ],
)
def test_parameters(write, options):
    path = write("time,a\n2024-01-01,1\n")
    (name,) = options
    with pytest.raises(ValueError, match=f"{name}="):
        read_sensor_csv(path, **options)


# -- real files


@needs_shared_data
@pytest.mark.parametrize("name", ["valve1/0", "valve1/2", "anomaly-free/anomaly-free"])
def test_skab(name):
    path = SHARED_DATA / "skab" / f"{name}.csv"
    with pytest.warns(
        UserWarning, match="steps differ from the most frequent one of 1 s"
    ):
        frame, labels = read_sensor_csv(path, return_labels=True)
    expected = pd.read_csv(
        path, sep=";", index_col="datetime", parse_dates=["datetime"]
    )
    expected.index = expected.index.as_unit("ns")
    label_names = [name for name in ("anomaly", "changepoint") if name in expected]
    pd.testing.assert_frame_equal(frame, expected.drop(columns=label_names))
    assert labels.columns.tolist() == label_names
    np.testing.assert_array_equal(labels, expected[label_names])


@needs_shared_data
def test_other_real_files():
    paths = sorted((SHARED_DATA / "nab" / "data").glob("*/*.csv"))
    for path in paths:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*regularize")
            frame = read_sensor_csv(path)
        expected = pd.read_csv(path, index_col=0, parse_dates=True)
        expected.index = expected.index.as_unit("ns")
        pd.testing.assert_frame_equal(frame, expected)
    path = SHARED_DATA / "synthetic" / "plant_a.csv.gz"
    frame, labels = read_sensor_csv(path, return_labels=True)
    expected = pd.read_csv(path, index_col=0)
    np.testing.assert_array_equal(frame, expected.drop(columns="is_anomaly"))
    np.testing.assert_array_equal(labels, expected[["is_anomaly"]])
    assert frame.index.equals(pd.DatetimeIndex(expected.index))
    path = SHARED_DATA / "smd" / "machine-2-1_test.csv.gz"
    frame, labels = read_sensor_csv(path, timestamp=None, return_labels=True)
    assert frame.shape[1] == 38
    expected = pd.read_csv(path, float_precision=None)
    np.testing.assert_array_equal(frame, expected.drop(columns="is_anomaly"))
    np.testing.assert_array_equal(labels, expected[["is_anomaly"]])
