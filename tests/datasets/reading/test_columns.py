# SPDX-License-Identifier: MIT
"""Which columns hold times, and which are left out."""

import logging

import pandas as pd
import pytest


def test_date_and_time_in_two_columns(read, fails):
    text = "Date,Time,a\n31/01/2024,09:59:59 PM,1\n31/01/2024,10:00:00 PM,2\n"
    frame = read(text)
    assert frame.columns.tolist() == ["a"]
    assert frame.index[0] == pd.Timestamp("2024-01-31 21:59:59")
    assert frame.index.name == "Date Time"
    assert frame.equals(read(text, timestamp=("Date", "Time")))
    fails(text, "line 2", "'Time'", "<drop", timestamp="Date")
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
    fails(text, "line 1", "'timestamp', 'served'", "<drop")
    assert read(text, timestamp="timestamp", drop="served").columns.tolist() == ["a"]
    fails(text, "line 2", "'served'", "time", timestamp="timestamp")
    # A clock that counts from the start must not become a sensor by accident.
    text = "date,time,a\n2024-01-01,0.5,1\n"
    fails(text, "line 2", "'time'", "suggests times")
    assert read(text, timestamp="date").columns.tolist() == ["time", "a"]


def test_no_time_column(read, fails):
    fails("a,b\n1,2\n", "line 1", "'a', 'b'", "<timestamp=None>")
    fails("time,b\n0,2\n", "line 2", "'time'", "<timestamp")
    frame = read("a,b\n1,2\n", timestamp=None)
    assert frame.index.tolist() == [0]
    # The data set S5 of Yahoo numbers its rows.
    text = "timestamp,value,is_anomaly\n1,5,0\n2,6,1\n"
    cure = "<timestamp=None> and <drop='timestamp'>"
    fails(text, "line 2", "'timestamp'", cure)
    fails(text, "line 2", "'timestamp'", cure, timestamp="timestamp")
    frame = read(text, timestamp=None, drop="timestamp")
    assert frame.columns.tolist() == ["value"]
    fails("t,b\n2024-01-01,2\n", "line 2", "'t'", "<timestamp", timestamp=None)
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
    fails(text, "line 2", "'machine'", "'M1'", "<drop")
    assert read(text, drop=["machine"]).columns.tolist() == ["a"]
    fails(text, "'m'", "not among", drop="m")
    doubled = "time,a,a,b\n2024-01-01,x,1,2\n"
    assert read(doubled, drop="a").columns.tolist() == ["b"]
