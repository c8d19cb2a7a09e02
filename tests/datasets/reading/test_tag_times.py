# SPDX-License-Identifier: MIT
"""Tables in which every tag has its own time column."""

import numpy as np
import pandas as pd
import pytest

from tsanomaly.datasets import read_sensor_csv

ROWS = """2024-01-01 10:00,1,2024-01-01 10:00,4
2024-01-01 10:02,2,2024-01-01 10:01,5
2024-01-01 10:04,3,,
"""


@pytest.fixture
def merged(write):
    """A function that reads a file, and checks that tags were merged by time."""

    def merged(text, **options):
        with pytest.warns(UserWarning, match="time column of its own") as caught:
            frame = read_sensor_csv(write(text), **options)
        assert len(caught) == 1
        return frame, str(caught[0].message)

    return merged


@pytest.mark.parametrize(
    "header",
    [
        "Time1,T1,Time2,T2",
        "Time,T1,Time.1,T2",
        "Time,T1,Time (2),T2",
        "TI1 time,TI1 value,PI1 time,PI1 value",
        "TI1_Timestamp,TI1,PI1_Timestamp,PI1",
        "Time TI1,TI1,Time PI1,PI1",
        "TimeTI1,TI1,TimePI1,PI1",
        "Zeit 1;T1;Zeit 2;T2",
    ],
)
def test_readings_stay_at_their_times(merged, header):
    sep = ";" if ";" in header else ","
    frame, message = merged(f"{header}\n{ROWS.replace(',', sep)}")
    names = header.split(sep)
    assert frame.columns.tolist() == names[1::2]
    minutes = pd.to_timedelta([0, 1, 2, 4], unit="min")
    assert frame.index.tolist() == (pd.Timestamp("2024-01-01 10:00") + minutes).tolist()
    np.testing.assert_array_equal(frame.iloc[:, 0], [1, np.nan, 2, 3])
    np.testing.assert_array_equal(frame.iloc[:, 1], [4, 5, np.nan, np.nan])
    assert f"({names[0]!r}, {names[2]!r})" in message
    assert "4 times, at 1 of which all channels have a reading" in message


def test_times_behind_the_readings(merged):
    frame, _ = merged("T1,Time T1,T2,Time T2\n1,2024-01-01,2,2024-01-02\n")
    np.testing.assert_array_equal(frame, [[1, np.nan], [np.nan, 2]])
    assert frame.columns.tolist() == ["T1", "T2"]


def test_several_readings_at_a_time(merged):
    text = "Time 1,a,b,Time 2,c\n2024-01-01,1,2,2024-01-01,3\n"
    frame, _ = merged(text)
    assert frame.to_numpy().tolist() == [[1, 2, 3]]
    frame, message = merged(text + "2024-01-02,3,4,2024-01-01,5\n")
    assert "1 row has the same time as another row of the same tag" in message
    np.testing.assert_array_equal(frame["c"], [5, np.nan])


def test_formats_and_zones_of_tags(merged, fails):
    text = "Time1,a,Time2,b\n31.01.2024,1,01/31/2024,2\n"
    assert len(merged(text)[0]) == 1
    text = "Time1,a,Time2,b\n31.01.24,1,31.01.24,2\n"
    assert len(merged(text, date_format="%d.%m.%y")[0]) == 1
    text = "Time1,a,Time2,b\n2024-01-01T00:00Z,1,2024-01-01 00:00,2\n"
    fails(text, "line 2, column 'Time2'", "only one has a time zone")
    text = "Time1,a,Time2,b\n2024-01-01T01:00+01:00,1,2024-01-01T00:00Z,2\n"
    assert str(merged(text)[0].index.tz) == "UTC"


def test_a_reading_without_its_time(fails):
    rows = ROWS.replace("3,,", "3,,7")
    fails(f"Time1,T1,Time2,T2\n{rows}", "line 4, column 'T2'", "no time in .*'Time2'")


@pytest.mark.parametrize(
    "header",
    [
        "Start time,a,End time,b",
        "Time,a,Time UTC,b",
        "Time,a,Date,b",
        "Time TI1,PI1,Time PI1,TI1",
        "Time a,b,Time b,a",
    ],
)
def test_what_is_not_plain_is_refused(fails, header):
    row = "2024-01-01 10:00,1,2024-01-01 10:00,4\n"
    fails(f"{header}\n{row}", "line 1", "own", "<timestamp>", "<drop>")


def test_one_of_the_times_may_be_chosen(read):
    frame = read(f"Time1,T1,Time2,T2\n{ROWS}", timestamp="Time1", drop="Time2")
    assert frame.shape == (3, 2)


def test_labels_have_no_time_of_their_own(fails, warned):
    rows = "".join(f"2024-01-01 10:0{i},{i},2024-01-01 11:0{i},1,0\n" for i in range(5))
    text = f"a time,a,b time,b,anomaly\n{rows}"
    fails(text, "labels 'anomaly'", "<drop='anomaly'>\\.$")
    assert warned(text, drop="anomaly")[0].shape == (10, 2)
    text = f"Time 1,a,Time 2,b,anomaly\n{rows}"
    fails(text, "labels 'anomaly'", "<drop='anomaly'>", "<label=None>")
    assert warned(text, label=None)[0].shape == (10, 3)
