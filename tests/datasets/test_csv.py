# SPDX-License-Identifier: MIT
import gzip
import logging
import re
import warnings

import numpy as np
import pandas as pd
import pytest

from tests.datasets.test_timestamps import column_of_times
from tests.helpers import SHARED_DATA, needs_shared_data
from tsanomaly.datasets import read_sensor_csv


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


def test_quotes_do_not_change_what_is_read(write, read):
    rng = np.random.default_rng(0)
    rows = [
        f"2024-01-01 {row // 60:02}:{row % 60:02},{a!r}, {b:.3f} ,{'' if a > 0 else a}"
        for row, (a, b) in enumerate(rng.normal(size=(1000, 2)).tolist())
    ]
    text = "\n".join(["time,a,b,c", *rows])
    frame = read(text)
    pd.testing.assert_frame_equal(read(text.replace("b,c", '"b",c')), frame)
    pd.testing.assert_frame_equal(read(text.replace("\n", "\r\n") + "\r\n "), frame)
    pd.testing.assert_frame_equal(read(text.replace("\n", "\r")), frame)


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


def test_a_separator_at_the_end_of_every_row(read, fails, caplog):
    text = "time,a\n2024-01-01,1,\n2024-01-02,2, \n"
    with caplog.at_level(logging.INFO, "tsanomaly"):
        assert read(text)["a"].tolist() == [1, 2]
    assert "separator at the end" in caplog.text
    fails(text + "2024-01-03,3,7\n", "line 4", "3 fields")
    fails(text + "2024-01-03,3\n", "line 4", "2 fields")


def test_the_mark_of_the_end_of_a_file(read, fails):
    assert len(read("time,a\n2024-01-01,1\n\x1a\n")) == 1
    assert len(read("time,a\n2024-01-01,1\x1a")) == 1
    fails("time,a\n2024-01-01,1\x1a\n2024-01-02,1\n", "line 2", "'a'")


def test_lines_above_the_header(read, fails):
    table = "time,a\n2024-01-01,1\n2024-01-02,x\n"
    for above, n_lines in [("Plant A\n", 1), ("Plant A,\n", 1), ('A "1\n\nB\n', 3)]:
        fails(above + table, f"line {n_lines + 3}", "'x'", skiprows=n_lines)
        good = (above + table).replace("x", "2")
        assert read(good, skiprows=n_lines)["a"].tolist() == [1, 2]
    fails("Plant A\n" + table, "line 2", "'time'", r"pass skiprows=1\.")
    fails("Plant A,\n" + table, "line 2", "'time'", r"pass skiprows=1\.")
    fails("Plant A\nB\n" + table, "line 3", "'time'", r"pass skiprows=2\.")
    fails("A\nB\n" + table.replace(",", ";"), "skiprows=")
    fails(table, "empty", "skiprows=9", skiprows=9)
    assert len(read("sep=;\nx\ntime;a\n2024-01-01;1\n", skiprows=2)) == 1


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
    with (
        caplog.at_level(logging.INFO, "tsanomaly"),
        pytest.warns(UserWarning, match=f"encoding='{encoding}' to confirm"),
    ):
        assert read_sensor_csv(path).columns.tolist() == names
    assert encoding in caplog.text
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_sensor_csv(path, encoding=encoding).columns.tolist() == names


def test_an_unclear_encoding(fails, write):
    for text, encoding in [("Температура", "cp1251"), ("気温ー", "shift-jis")]:
        data = f"time,a\n2024-01-01,1\n2024-01-02,{text}\n".encode(encoding)
        fails(data, "line 3", "encoding=")
    data = "time,气化一期\n2024-01-01,1\n".encode()
    fails(data[:7] + data[8:], "line 1", "encoding=")
    fails(data, "line 1", "ascii", encoding="ascii")
    fails(data, "'klingon'", encoding="klingon")
    fails(data, "'base64'", encoding="base64")
    fails("time,a\n2024-01-01,1\n".encode("utf-16-le")[:-1], "utf-16-le")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark(read, encoding):
    frame = read("time,a °C,压\n2024-01-01,1,2\n".encode(encoding))
    assert frame.columns.tolist() == ["a °C", "压"]


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
        *((cell, np.nan) for cell in ["NULL", "None", "-", "--", "\\N"]),
        *((cell, np.nan) for cell in ["1.#QNAN", "-1.#IND"]),
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


def test_points_that_may_separate_thousands(write, read):
    text = "time;a\n2024-01-01;987\n2024-01-02;1.234\n2024-01-03;\n"
    with pytest.warns(UserWarning, match=r"line 3, column 'a': '1.234' .* '987'"):
        assert read_sensor_csv(write(text))["a"].iloc[1] == 1.234
    for other in ["0.5", "12.5", "0.234", "1000"]:  # no thousands then
        read(text.replace("2024-01-03;", f"2024-01-03;{other}"))
    read(text, decimal=".")
    read(text.replace("987", "98"))
    read(text.replace("987", "9.870"))


@pytest.mark.parametrize(
    ("na_values", "cells"),
    [
        ("Bad", ["Bad"]),
        (["Bad", "No Data"], ["No Data", "Bad"]),
        (-200, ["-200", "-200,0", "-2e2"]),
        ("-200", ["-200,00"]),
        ([-99.5, "x"], ["-99,5", "x"]),
        (np.float64(7), ["7", "7,0"]),
    ],
)
def test_missing_values_of_the_user(read, fails, na_values, cells):
    for cell in cells:
        text = f"time;a\n2024-01-01;1,5\n2024-01-02;{cell}\n"
        frame = read(text, na_values=na_values)
        np.testing.assert_array_equal(frame["a"], [1.5, np.nan])
    fails("time;a\n2024-01-01;bad\n", "line 2", "'bad'", na_values=na_values)
    # Only sensors: a time or a label must be there.
    text = "time;a;label\n2024-01-01;1;0\n"
    assert read(text, na_values=0, return_labels=True)[1]["label"].tolist() == [0]


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
        ("attack_P1", "0 1 0"),
        ("anomaly_label", "0.0 1.0 0"),
        ("ground_truth", "no yes no"),
        ("GroundTruth", "0 1 0"),
        ("isFaultLabel 2", "0 1 0"),
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


def test_columns_with_a_label_word(read, fails):
    text = "time,a,{}\n2024-01-01,1,{}\n2024-01-02,1,{}\n2024-01-03,1,{}\n"
    name = "fault_current in A"
    assert name in read(text.format(name, 7.5, 8.5, 9.5)).columns
    assert "default" in read(text.format("default", 1, -1, 1)).columns
    assert "fault code" in read(text.format("fault code", 0, 1, 2)).columns
    assert "fault code" in read(text.format("fault code", "", "", "")).columns
    name = "Attack LABLE (1:No Attack; -1:Attack)"
    for values in [(1, -1, 1), (1, 1, 1), (1, -1, ""), (0, 1, ""), ("A", "B", "A")]:
        content = text.format(name, *values)
        fails(content, "line 2", re.escape(repr(name)), "label=", "drop=")
        assert read(content, drop=name).columns.tolist() == ["a"]
    content = text.format("fault_x", 1, -1, 1)
    assert read(content, label=None).columns.tolist() == ["a", "fault_x"]


def test_labels_of_words(read, fails):
    words = ["NORMAL", "BROKEN", "RECOVERING", "A ttack", "ok", "0", "1", "Good", "no"]
    rows = [f"2024-01-0{day},7,{word}" for day, word in enumerate(words, 1)]
    text = "\n".join(["time,a,class", *rows])
    _, labels = read(text, label="class", return_labels=True)
    assert labels["class"].tolist() == [0, 1, 1, 1, 0, 0, 1, 0, 0]
    fails(text, "'class'", "not a label", "passed to label= by name")
    fails(text.replace("BROKEN", "2"), "line 3", "'2'", label="class")
    fails(text.replace("BROKEN", ""), "line 3", "''", label="class")
    few = "time,a,s\n2024-01-01,1,RUNNING\n2024-01-02,1,BROKEN\n"
    fails(few, "line 2", "'s'", "means normal", label="s")
    # SWaT's own typing error is known.
    swat = "time,a,Normal/Attack\n2024-01-01,1,Normal\n2024-01-02,1,A ttack\n"
    assert read(swat, return_labels=True)[1].iloc[:, 0].tolist() == [0, 1]


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


def test_jitter_is_measured_by_the_median(write):
    times = ["00.000", "00.001", "01.002", "02.002", "03.003"]
    path = write(column_of_times([f"2024-01-01 00:00:{time}" for time in times]))
    with pytest.warns(UserWarning, match=r"3 of 4 steps .* median one of 1 s"):
        read_sensor_csv(path)


def test_the_end_of_summer_time(write):
    local = pd.date_range("2024-10-26 22:00", periods=40, freq="10min", tz="UTC")
    local = local.tz_convert("Europe/Berlin").strftime("%Y-%m-%d %H:%M")
    with pytest.warns(UserWarning, match=r"pump\.csv: ") as caught:
        read_sensor_csv(write(column_of_times(local)))
    messages = [str(warning.message) for warning in caught]
    assert re.search(r"line 20 .* end of summer time .* tz_localize", messages[0])
    assert "6 rows have the time of another row" in messages[1]
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
        *({"skiprows": value} for value in [-1, 1.5, True, None]),
        *({"na_values": value} for value in [True, {"a": 1}, [None], object()]),
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
