# SPDX-License-Identifier: MIT
"""Readings in lines and bodies, and messages about invalid ones."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsanomaly._serve._readings import (
    LineReader,
    Reading,
    ReadingFormat,
    Rejected,
    read_body,
)

FORM = ReadingFormat(["flow", "pressure"], by="pump")
GOOD = {"time": "2024-01-01T00:00:00Z", "pump": "a", "flow": 1, "pressure": 2.5}


@pytest.mark.parametrize(
    "time",
    [
        "2024-01-01T00:00:00Z",
        "2024-01-01 01:00:00+01:00",
        "2024-01-01",
        1704067200,
        "1704067200",
        1704067200000,
    ],
)
def test_times_are_in_utc(time):
    reading = FORM.read({**GOOD, "time": time})
    assert reading == ("a", np.datetime64("2024-01-01T00:00:00"), [1.0, 2.5])


def test_a_channel_is_not_the_time():
    form = ReadingFormat(["ts", "flow"], by="date")
    record = {"date": "a", "ts": 20.5, "flow": 1, "time": "2024-01-01"}
    assert form.read(record) == ("a", np.datetime64("2024-01-01"), [20.5, 1.0])


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("separator", ["\x85", "\u2028", "\x1e"])
def test_only_newlines_end_lines(end, separator):
    lines = [
        json.dumps({**GOOD, "note": f"a{separator}b"}, ensure_ascii=False)
        for _ in range(2)
    ]
    found = read_body(end.join(lines).encode(), FORM)
    assert [type(reading) for reading in found] == [Reading, Reading]


@pytest.mark.parametrize("value", [None, "", "NaN", "null", math.nan])
def test_a_missing_reading(value):
    assert math.isnan(FORM.read({**GOOD, "flow": value}).values[0])


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"time": "yesterday"}, "'time' is not a time: 'yesterday'"),
        ({"time": 1e300}, "'time' is not a time"),
        ({"time": True}, "'time' is not a time"),
        ({"pump": None}, "'pump' must name the machine, got nothing"),
        ({"pump": "x" * 300}, "300 characters"),
        ({"pump": "a\x1b[2J"}, "are invisible"),
        ({"flow": "high"}, "'flow' is not a finite number: 'high'"),
        ({"flow": "1_000"}, "'flow' is not a finite number"),
        ({"flow": math.inf}, "'flow' is not a finite number"),
        ({"flow": 10**400}, "a number of more than 40 digits"),
        ({"flow": []}, "'flow' is not a finite number: list"),
    ],
)
def test_what_is_wrong_is_said(changed, said):
    reading = FORM.read(GOOD | changed)
    assert reading.reason == "malformed"
    assert said in reading.message


def test_channels_that_are_not_there_are_named():
    reading = FORM.read({"pump": "a", "flow": 1})
    assert "There is no 'pressure'" in reading.message


@pytest.mark.parametrize("sep", [",", ";", "\t"])
def test_lines_of_csv(sep):
    reader = LineReader(FORM)
    header = sep.join(["pump", "time", "pressure", "other", "flow"])
    assert reader.read(header) is None
    line = sep.join(["a", "2024-01-01", "2.5", "?", "1"])
    assert reader.read(line.encode() + b"\r\n").values == [1.0, 2.5]
    assert reader.read(header) is None
    assert "4 fields, but the header has 5" in reader.read(sep.join("a???")).message
    later = LineReader(FORM, reader.header)
    assert later.read(line).values == [1.0, 2.5]


@pytest.mark.parametrize(
    "body",
    [
        json.dumps(GOOD),
        json.dumps([GOOD]),
        json.dumps(GOOD) + "\n" + json.dumps(GOOD),
        "time,pump,flow,pressure\n2024-01-01,a,1,2.5\n",
    ],
)
def test_bodies(body):
    for reading in read_body(body.encode(), FORM):
        assert reading.values == [1.0, 2.5]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "no reading"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[1,", "not JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"hello", "neither JSON nor CSV"),
        (b"flow;pump\n1;a\n", "not name 'pressure'"),
    ],
)
def test_bodies_that_hold_no_readings(body, said):
    with pytest.raises(ValueError, match=said):
        read_body(body, FORM)


def test_one_bad_line_leaves_the_others():
    body = json.dumps(GOOD) + "\n{broken\n" + json.dumps(GOOD)
    first, second, third = read_body(body.encode(), FORM)
    assert (first, third) == (third, first)
    assert second.reason == "malformed"


@given(st.binary() | st.text().map(str.encode))
def test_no_body_raises_anything_but_a_value_error(body):
    try:
        found = read_body(body, FORM)
    except ValueError:
        return
    assert all(isinstance(reading, Reading | Rejected) for reading in found)


@pytest.mark.parametrize("value", ["Bad", " Bad ", "-200", "-200.0", -200, -200.0])
def test_words_for_missing_readings(value):
    form = ReadingFormat(["flow", "pressure"], na_values=["Bad", "-200"])
    found = form.read({"flow": 1.5, "pressure": value})
    np.testing.assert_array_equal(found.values, [1.5, np.nan])


def test_other_words_stay_faults():
    form = ReadingFormat(["flow"], na_values=["Bad"])
    assert form.read({"flow": "bad day"}).reason == "malformed"
    assert form.read({"flow": -200}).values == [-200]


def test_no_row_is_taken_for_the_header():
    """What is wrong with the first line is said of all; a header may still come."""
    reader = LineReader(FORM)
    first = reader.read("pump,time,pressure")
    assert "does not name 'flow'" in first.message
    assert reader.read("p1,2024-01-01,1.0") == first
    assert reader.read("pump,time,flow,pressure") is None
    assert reader.read("p1,2024-01-01,1.0,2.0").values == [1.0, 2.0]


def test_a_decimal_comma_has_a_cure():
    reader = LineReader(FORM)
    assert reader.read("pump;time;flow;pressure") is None
    message = reader.read("p1;2024-01-01;60,942;-1,5").message
    assert "'flow' has a decimal comma: '60,942'" in message
    assert "tsanomaly detect" in message
