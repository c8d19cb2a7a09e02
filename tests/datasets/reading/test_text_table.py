# SPDX-License-Identifier: MIT
"""Separators, quotes, headers and rows of a file."""

import logging

import numpy as np
import pandas as pd
import pytest


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
    assert frame["two lines"].tolist() == [1.5, 2]


def test_a_separator_inside_names_and_decimals(read):
    frame = read("time;Flow, l;Temp, C\n2024-01-01;1,5;2,5\n")
    assert frame.columns.tolist() == ["Flow, l", "Temp, C"]
    assert frame.iloc[0].tolist() == [1.5, 2.5]


def test_an_unclear_separator(fails):
    fails("a,b;c,d\nx,y;z,w\n", "<sep", timestamp=None)


def test_one_column(read, fails):
    frame = read("value\n1\n2.5\n", timestamp=None)
    assert frame["value"].tolist() == [1, 2.5]
    assert isinstance(frame.index, pd.RangeIndex)
    fails("value\n1\n2.5\n", "no time column", "<timestamp=None>")
    fails("value\n1\n\n2.5\n", "line 3", "'value'", "blank", timestamp=None)
    assert len(read('value\n1\n""\n2\n\n', timestamp=None)) == 3


def test_a_separator_at_the_end_of_every_row(read, fails, caplog):
    text = "time,a\n2024-01-01,1,\n2024-01-02,2, \n"
    with caplog.at_level(logging.INFO, "tsanomaly"):
        assert read(text)["a"].tolist() == [1, 2]
    assert "separator at the end" in caplog.text
    fails(text + "2024-01-03,3,7\n", "line 4", "3 fields")
    fails(text + "2024-01-03,3\n2024-01-04,4,\n", "line 4", "2 fields")


def test_lines_above_the_header(read, fails):
    table = "time,a\n2024-01-01,1\n2024-01-02,x\n"
    for above, n_lines in [("Plant A\n", 1), ("Plant A,\n", 1), ('A "1\n\nB\n', 3)]:
        fails(above + table, f"line {n_lines + 3}", "'x'", skiprows=n_lines)
        good = (above + table).replace("x", "2")
        assert read(good, skiprows=n_lines)["a"].tolist() == [1, 2]
    row = "2024-01-01,1\n"
    fails(row + table.replace("x", "2"), "line 2", "'time'", "<skiprows=1>")
    fails(table, "empty", "<skiprows=9>", skiprows=9)
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
        ("time,a,b\n2024-01-01,1\n", ["line 2", "2 fields", "3", "column 'b'"]),
        ("time,a\n2024-01-01,1\n2024-01-02,1,5\n", ["line 3", "3 fields"]),
        ('time,a\n2024-01-01,1\n2024-01-02,"1\n2024-01-03,2\n', ["line 3", "quote"]),
        ('time,a\n2024-01-01,"1"5\n', ["line 2", "quote"]),
        ("time,a\n2024-01-01,1\0\n", ["line 2", "NUL"]),
        ("time,a\n2024-01-01," + "1" * 140_000, ["line 2", "limit"]),
        ("time,anomaly\n2024-01-01,0\n", ["line 1", "no channel", "'anomaly'"]),
        ("time,a,\n2024-01-01,1,7\n", ["line 2", "position 3", "'7'"]),
    ],
)
def test_a_broken_structure(fails, content, patterns):
    fails(content, *patterns)


def test_line_numbers_count_lines_of_the_file(fails):
    fails('time,"a\nb"\n\n"2024-01-01","\n1"\n2024-01-02,x\n', "line 6", "'x'")
