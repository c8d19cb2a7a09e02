# SPDX-License-Identifier: MIT
"""Tables in long format with more columns than time, sensor and reading."""

import re
import warnings

import numpy as np
import pytest

from tests.datasets.reading.helpers import marked
from tsanomaly.datasets import read_sensor_file

LONG = ("tag", "value")


def long_table(names, line, n_times=6):
    """Rows of two sensors, by what a function gives for time, sensor and number."""
    rows = [
        line(f"2024-01-15 10:{i:02}:00", f"T{k}", 2 * i + k)
        for i in range(n_times)
        for k in range(2)
    ]
    return "\n".join([names, *rows]) + "\n"


@pytest.mark.parametrize("is_later", [False, True])
@pytest.mark.parametrize("name", ["machine_id", "unit", "device"])
@pytest.mark.parametrize("machines", ["12", "AB"])
def test_machines_are_not_merged(fails, warned, name, machines, is_later):
    """The names of machines and sensors are joined."""

    def line(time, tag, i, machine):
        time = time.replace(" 10", " 11") if is_later and machine == "2" else time
        return f"{time},{machine},{tag},{i}"

    names = f"time,{name},tag,value"
    if name == "unit":
        machines = ["U1", "U2"] if machines == "AB" else machines
    text = "\n".join(
        long_table(names if not k else "", lambda *a, m=m: line(*a, m)).strip()
        for k, m in enumerate(machines)
    )
    said = f"one column for each of the 4 sensors in '{name} + tag'"
    shown = [f"{name} {m}" if m.isdecimal() else m for m in machines]
    for long in ("auto", LONG):
        frame, messages = warned(text, long=long)
        assert any(said in message for message in messages)
        assert frame.columns.tolist() == [f"{m} T{k}" for m in shown for k in range(2)]
        assert frame.shape == (12 if is_later and "2" in machines else 6, 4)
        values = frame[f"{shown[1]} T1"].dropna().tolist()
        assert values == [2 * i + 1 for i in range(6)]
    fails(text, f"<by='{name}'>", f"'{name}' and 'tag'", "<long>", by=name)


def test_numbered_machines_and_sensors(fails):
    rows = "".join(
        f"2024-01-15 10:0{i}:00,{k},{j},{i}\n"
        for i in range(6)
        for k in (1, 2)
        for j in (1, 2)
    )
    fails(f"time,machine_id,sensor_id,value\n{rows}", "'machine_id', 'sensor_id'")


def test_no_reading_is_lost_to_a_number_of_any_name(fails):
    text = long_table(
        "time,plc,tag,value", lambda *a: "\n".join(f"{a[0]},{p},{a[1]},1" for p in "12")
    )
    fails(text, "'plc', 'tag'")
    fails(text, "'plc', 'tag'", long=LONG)


@pytest.mark.parametrize("sep", [",", ";"])
def test_three_columns_that_tell_sensors_apart(warned, sep):
    """Also one whose name says nothing, if rows cannot be told apart without it."""
    names = ["time", "hall", "device", "tag", "description", "value"]
    rows = [
        [f"2024-01-15 10:{i:02}:00", hall, device, tag, f"of {tag}", str(n)]
        for i in range(8)
        for n, (hall, device, tag) in enumerate(
            (hall, device, tag)
            for hall in ("north", "south")
            for device in ("pump", "fan")
            for tag in ("T1", "P1")
        )
    ]
    text = "".join(f"{sep.join(row)}\n" for row in [names, *rows])
    frame, (message,) = warned(text)
    assert "8 sensors in 'hall + device + tag'" in message
    assert frame.columns[:3].tolist() == [
        "north pump T1",
        "north pump P1",
        "north fan T1",
    ]
    assert (frame == np.arange(8)).all(axis=None)


def test_keys_that_leave_rows_undecided_are_not_joined(fails):
    """A machine is missing: two rows of each sensor have the same time."""
    text = "time,device,tag,value\n" + "".join(
        f"2024-01-15 10:0{i}:00,{d},{t},{i + k}\n"
        for i in range(8)
        for k in range(2)
        for d in ("pump", "fan")
        for t in ("T1", "P1")
    )
    fails(text, "'device', 'tag'", "<long>")


def test_the_wrong_column_of_sensors(warned):
    rows = (f"2024-01-15 10:{i:02}:00,{'PQ'[i // 6]},T{i % 2},{i}\n" for i in range(12))
    text = "time,device,tag,value\n" + "".join(rows)
    for options in ({}, {"long": ("device", "value")}, {"long": LONG}):
        frame, _ = warned(text, **options)
        assert frame.columns.tolist() == ["P T0", "P T1", "Q T0", "Q T1"]


@pytest.mark.parametrize("long", ["auto", LONG])
@pytest.mark.parametrize("codes", ["Good Bad", "192 0"])
@pytest.mark.parametrize(
    "names",
    [
        "tag,time,value,unit,quality",
        "time,tag,description,value,unit,quality",
        "time,quality,tag,value",
        "time,tag,value,status",
    ],
)
def test_quality_belongs_to_the_values(warned, names, codes, long):
    def line(time, tag, i):
        cells = {
            "time": time,
            "tag": tag,
            "value": i,
            "unit": "°C" if i > 3 else "bar",
            "description": f"of {tag}",
            "quality": codes.split()[i == 4],
        }
        cells["status"] = cells["quality"]
        return ",".join(str(cells[name]) for name in names.split(","))

    frame, messages = warned(long_table(names, line), long=long)
    assert np.argwhere(frame.isna().to_numpy()).tolist() == [[2, 0]]
    message = " ".join(messages)
    assert "1 of 'value'" in message
    assert ("left out: 'description'" in message) == ("description" in names)


def test_what_is_left_out_is_said(warned):
    text = long_table("time,tag,value,ms", lambda *a: f"{a[0]},{a[1]},{a[2]},{a[2]}")
    _, (message,) = warned(text, long=LONG)
    assert "Other columns were left out: 'ms'" in message


def test_sensors_to_drop(warned, fails):
    text = long_table("time,tag,value", lambda *a: ",".join(map(str, a)))
    frame, _ = warned(text.replace("T1,", "T1,odd"), drop="T1")
    assert frame.columns.tolist() == ["T0"]
    fails(text, "<drop='T9'>", "not among", drop=["T9", "T1"])
    fails("time,a\n2024-01-01,7\n", "<drop='7'>", "not among", drop="7")


def read_folder(folder, **options):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        frame = read_sensor_file(folder, **options)
    return frame, [marked(warning.message) for warning in caught]


def test_a_sensor_that_is_not_in_all_files(tmp_path):
    text = long_table("time,tag,value", lambda *a: ",".join(map(str, a)))
    tmp_path.joinpath("a.csv").write_text(text)
    text = re.sub(r".*T1.*\n", "", text).replace(" 10:", " 11:")
    tmp_path.joinpath("b.csv").write_text(text)
    frame, messages = read_folder(tmp_path)
    assert frame.count().tolist() == [12, 6]
    assert sum("'T1' in " in message for message in messages) == 1
    frame, _ = read_folder(tmp_path, drop="T1")
    assert frame.columns.tolist() == ["T0"]
    with pytest.raises(ValueError, match="'T9'"):
        read_folder(tmp_path, drop="T9")


def test_a_sensor_without_readings_in_one_file(tmp_path):
    for day, cells in enumerate([",", "1,"], 1):
        rows = "".join(f"2024-01-0{day} 10:0{i},{cells}\n" for i in range(3))
        tmp_path.joinpath(f"{day}.csv").write_text("time,a,b\n" + rows)
    frame, (message,) = read_folder(tmp_path)
    assert frame.count().tolist() == [3, 0]
    assert "no reading of 'b'" in message


def test_both_times_of_home_assistant(warned):
    text = long_table(
        "entity_id,state,last_changed,last_updated",
        lambda time, tag, i: f"sensor.{tag},{i},{time},2024-01-15 12:00:{i:02}",
    )
    frame, messages = warned(text)
    assert frame.shape == (6, 2)
    assert "'last_updated' was left out" in messages[0]


def test_a_switch_is_no_column_of_sensors(fails):
    rows = "".join(f"2024-01-15 10:0{i}:00,{'AB'[i % 2]},{i}\n" for i in range(8))
    fails("time,mode,a\n" + rows, "<drop='mode'>")
