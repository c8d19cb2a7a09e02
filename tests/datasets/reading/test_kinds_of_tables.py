# SPDX-License-Identifier: MIT
"""Tables as found in plants: headers, footers, long tables, quality."""

import logging

import numpy as np
import pandas as pd
import pytest

from tests.datasets.reading.helpers import marked
from tests.helpers import SHARED_DATA
from tsanomaly._parameter_error import ParameterError
from tsanomaly.datasets import read_sensor_csv

CASES = SHARED_DATA.parent / "cases" / "files"
N_ROWS = 12
TIMES = [f"2024-01-15 10:{minute:02}:00" for minute in range(N_ROWS)]


def rows_of(cells, sep=","):
    """Rows with a time, and what a function gives for their number."""
    return "".join(f"{time}{sep}{cells(i)}\n" for i, time in enumerate(TIMES))


ROWS = rows_of(lambda i: f"{20 + i},{i / 2}")


# Headers


@pytest.mark.parametrize(
    "lines",
    [
        "Time,Temp,Press\n,degC,bar\n",
        "Time,Temp,Press\n[s],[degC],[bar]\n",
        ",Temp,Press\n,degC,bar\n",
        "Plant A\nDevice: X; Serial: 17\n\nTime,Temp,Press\n,degC,bar\n",
        "# site X, Y\n# from Z\n# Time,Temp,Press\nUnit,degC,bar\n",
        "Plant A,,\nDate,15.01.2024,\n,,\nTime,Temp,Press\n,degC,bar\n",
    ],
)
def test_units_below_the_names(read, lines):
    frame = read(lines + ROWS)
    assert frame.shape == (N_ROWS, 2)
    assert frame.attrs == {"units": {"Temp": "degC", "Press": "bar"}}
    assert frame["Temp"].tolist() == [20 + i for i in range(N_ROWS)]


def test_a_unit_of_one_and_missing_units(read):
    frame = read("Time,Temp,Ratio\n,degC,1\n" + ROWS)
    assert frame.attrs["units"] == {"Temp": "degC", "Ratio": "1"}
    frame = read("Time,Temp,Ratio\n,degC\n" + ROWS)
    assert frame.attrs["units"] == {"Temp": "degC"}
    text = "timestamp,a,b\ns,degC,bar\n1704067200,1,2\n1704067260,2,3\n"
    assert read(text).attrs["units"] == {"a": "degC", "b": "bar"}
    assert "units" not in read("Time,Temp,Ratio\n" + ROWS).attrs


def test_a_logger_of_campbell(read):
    header = (
        '"TOA5","st1","CR1000","12345","CPU:p.CR1","1234","T1"\n'
        '"TIMESTAMP","RECORD","Batt_Avg","AirTC"\n'
        '"TS","RN","Volts","Deg C"\n"","","Avg","Smp"\n'
    )
    frame = read(header + rows_of(lambda i: f'{i},{12 + i},"NAN"' if i else "0,12,5"))
    assert frame.columns.tolist() == ["Batt_Avg", "AirTC"]
    assert frame.attrs["units"] == {"Batt_Avg": "Volts", "AirTC": "Deg C"}
    assert frame.attrs["descriptions"] == {"Batt_Avg": "Avg", "AirTC": "Smp"}
    assert frame["AirTC"].count() == 1


def test_descriptions_and_units(read):
    header = "Tag;TI1;FI2\nDescription;Temp. inlet;Feed\nUnit;°C;m³/h\n"
    frame = read(header + rows_of(lambda i: f"{i},5;{i}", ";"))
    assert frame.attrs["units"] == {"TI1": "°C", "FI2": "m³/h"}
    assert frame.attrs["descriptions"] == {"TI1": "Temp. inlet", "FI2": "Feed"}
    assert set(read("Time,a,b\n,Avg,Max\n" + ROWS).attrs) == {"descriptions"}
    header = "Time,TI1,PI1\n,Temperature of the reactor,Pressure of the reactor\n"
    frame = read(header + ROWS)
    assert set(frame.attrs) == {"descriptions"}


@pytest.mark.parametrize("line", [",0,100", "range,0,100", ",degC,100", "low,0,x"])
def test_a_line_that_may_be_a_row(read, fails, line):
    text = f"Time,a,b\n{line}\n{ROWS}"
    fails(text, "line 2", "<header_rows=2>", "<skiprows=1>")
    assert read(text, header_rows=2).shape == (N_ROWS, 2)
    fails(text, "line 2", header_rows=1)


@pytest.mark.parametrize("line", [",1,1", ",Bad,Bad", ",ON,OFF", "Bad,1,1"])
def test_readings_without_a_time_are_no_units(fails, read, line):
    fails(f"Time,a,b\n{line}\n{ROWS}", "line 2", "if it is a row, correct its time")
    assert read(f"Time,a,b\nunit,1,1\n{ROWS}").attrs["units"] == {"a": "1", "b": "1"}


def test_header_rows_that_hold_times(fails):
    fails(f"Time,a,b\n,degC,bar\n{ROWS}", "line 3", "<header_rows=3>", header_rows=3)


def test_names_in_two_lines(warned, read):
    text = "Time,Pump A,,Pump B,\n,T,P,T,P\n" + rows_of(lambda i: f"{i},1,2,3")
    frame, (message,) = warned(text)
    names = ["Pump A T", "Pump A P", "Pump B T", "Pump B P"]
    assert frame.columns.tolist() == names
    assert len(frame) == N_ROWS
    assert "'Pump B P'" in message
    other = text.replace("Time,Pump", ",Pump", 1).replace("\n,T", "\nTime,T", 1)
    assert warned(other)[0].columns.tolist() == names
    units = text.replace("2024", ",°C,bar,°C,bar\n2024", 1)
    assert warned(units)[0].attrs["units"]["Pump B P"] == "bar"
    text = "Time,a,\n,°C,bar\n" + rows_of(lambda i: f"{i},")  # no name is lacking
    assert read(text).columns.tolist() == ["a"]


def test_a_broken_time_is_no_header(fails):
    fails(f"Time,a,b\n2024-99-15 10:00:00,1,2\n{ROWS}", "line 2", "'2024-99-15")
    fails(f"Time,a,b\n2024-01-15,1\n{ROWS}", "line 2", "2 fields")


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "2", None])
def test_header_rows(write, value):
    with pytest.raises(ParameterError) as caught:
        read_sensor_csv(write("Time,a,b\n" + ROWS), header_rows=value)
    assert marked(caught.value).startswith(f"<header_rows={value!r}>")


def test_banners(read, warned, fails, caplog):
    table = "Time;a;b\n" + rows_of(lambda i: f"{i},5;{i}", ";")
    with caplog.at_level(logging.INFO, "tsanomaly"):
        frame = read("Device: X; Serial: 17; Rev 3\nfrom Y, Z\n\n" + table)
    assert frame.columns.tolist() == ["a", "b"]
    assert "lines 1 to 2 above the header left out" in caplog.text
    banner = "".join(f"Line {i}: x\n" for i in range(40))
    assert read(banner + table).columns.tolist() == ["a", "b"]
    assert read(",P1,P1\nTime,a,b\n" + ROWS).columns.tolist() == ["a", "b"]
    frame, (message,) = warned("Station,1,2\nTime,a,b\n" + ROWS)
    assert frame.columns.tolist() == ["a", "b"]
    assert "line 1" in message
    assert "<skiprows=1>" in message
    fails("Plant A;Unit 5\nWhen;p\n2024-01-01;1\n2024-01-02;2\n", "<skiprows=1>")
    fails("2024-01-01,1,2\nTime,a,b\n" + ROWS, "'Time'", "<skiprows=1>")


def test_repeated_names(warned, read):
    text = "Time,Temp,Temp,Temp (2),\n" + rows_of(lambda i: f"{i},2,3,")
    frame, (message,) = warned(text)
    assert frame.columns.tolist() == ["Temp", "Temp (3)", "Temp (2)"]
    assert frame.iloc[1].tolist() == [1, 2, 3]
    assert "'Temp'" in message
    assert "more than once" in message
    assert read(text, drop=["Temp"]).columns.tolist() == ["Temp (2)"]


def test_a_separator_at_the_end_of_the_header_only(read):
    assert read("Time,a,b,\n" + ROWS).columns.tolist() == ["a", "b"]


# Words


def test_words_for_bad_values(warned):
    words = ["Bad", "bad", "I/O Timeout", "#VALUE!", "n.a.", "***", "Intf Shut"]
    frame, (message,) = warned(
        "Time,a,b\n" + rows_of(lambda i: f"{words[i] if i < len(words) else i},{i}")
    )
    assert frame["a"].isna().sum() == len(words)
    assert frame["b"].notna().all()
    for word in words:
        assert f"'{word}' (1)" in message
    assert "<na_values>" in message


def test_other_words_are_listed_with_their_counts(read, fails):
    text = "Time,a,b\n" + rows_of(lambda i: f"{'odd' if i % 3 else i},{i}")
    fails(text, "line 3", "'odd' \\(8\\)", "<na_values='odd'>")
    assert read(text, na_values="odd")["a"].count() == 4
    text = "Time,a,b\n" + rows_of(lambda i: f"{'on' if i % 3 else i},{i}")
    fails(text, "line 3", "'on' \\(8\\)", "<na_values='on'>")


@pytest.mark.parametrize("limit", ["<0.05", ">500", "< 0,05"])
def test_limits_of_detection(fails, limit):
    text = "Time;a;b\n" + rows_of(lambda i: f"{limit if i == 4 else i};{i}", ";")
    fails(text, "line 6", "detection limit", f"<na_values={limit!r}>")


def test_other_signs_for_minus(fails):
    for number in ["−1,5", "1,5-"]:
        text = "Time;a;b\n" + rows_of(lambda i, n=number: f"{n};{i},5", ";")
        fails(text, "line 2", number, "minus", "'-1,5'")


def test_many_words_for_missing_readings(write):
    text = "Time,a,b\n" + rows_of(lambda i: f"{i if i > 8 else 'w' + 'x' * i},{i}")
    with pytest.raises(ParameterError) as caught:
        read_sensor_csv(write(text))
    (words,) = (
        part.value
        for part in caught.value.args
        if getattr(part, "name", "") == "na_values"
    )
    assert len(words) == 9
    assert read_sensor_csv(write(text), na_values=words)["a"].count() == 3


def test_units_in_cells(fails):
    text = "Time,a,b\n" + rows_of(lambda i: f"{20 + i % 2}°C,{i}")
    fails(text, "line 2", "'20°C' \\(6\\)", "unit")


@pytest.mark.parametrize(
    "number", [-9999, 9999, -999, -99999, -999.25, -7999, 65535, -127]
)
def test_numbers_that_may_stand_for_missing_readings(warned, read, number):
    text = "Time,a,b\n" + rows_of(lambda i: f"{number if i % 3 == 0 else i},{i}")
    frame, (message,) = warned(text)
    assert frame["a"].iloc[0] == number
    assert f"{number} (4 times in 'a')" in message
    assert f"<na_values={number}>" in message
    assert read(text, na_values=number)["a"].count() == 8
    read(text.replace(",1\n", ",9000\n").replace("2,", "9990,"), na_values=number)


def test_a_usual_number_is_none_of_these(read):
    text = "Time,a,b\n" + rows_of(lambda i: f"{9999 if i % 3 == 0 else 9990 - i},{i}")
    assert read(text)["a"].notna().all()


def test_what_na_values_emptied_is_counted(read, caplog):
    text = "Time,a,b\n" + rows_of(lambda i: f"{['odd', '-1', i][i % 3]},{i}")
    with caplog.at_level(logging.INFO, "tsanomaly"):
        read(text, na_values=["odd", -1])
    assert "'odd' (4), '-1' (4)" in caplog.text


@pytest.mark.parametrize(
    "pair",
    [
        "OFF ON",
        "Arrêt Marche",
        "aus an",
        "apagado encendido",
        "Closed Open",
        "stopped RUNNING",
        "No Yes",
        "Inactive Active",
    ],
)
def test_two_states(warned, pair):
    pair = pair.split()
    text = "Time,a,Pump\n" + rows_of(lambda i: f"{i},{pair[i % 2] if i else ''}")
    frame, (message,) = warned(text)
    np.testing.assert_array_equal(frame["Pump"], [np.nan, *([1, 0] * 6)[: N_ROWS - 1]])
    assert f"{pair[1]!r} is 1 and {pair[0]!r} is 0 in 'Pump'" in message


def test_a_dead_sensor(warned):
    for cell in ["", "nan", "No Data"]:
        frame, messages = warned("Time,a,b\n" + rows_of(lambda i, c=cell: f"{i},{c}"))
        assert frame["b"].isna().all()
        assert "'b'" in messages[-1]
        assert "<drop='b'>" in messages[-1]


# Long tables


def long_rows(line, n_sensors=3, n_times=10):
    return "".join(
        line(time, k, i) + "\n"
        for i, time in enumerate(TIMES[:n_times])
        for k in range(n_sensors)
    )


@pytest.mark.parametrize(
    ("header", "line"),
    [
        ("time,tag,value", lambda time, k, i: f"{time},T{k},{3 * i + k}"),
        ("tag,value,time", lambda time, k, i: f"T{k},{3 * i + k},{time}"),
        (
            "tag,description,time,value,unit",
            lambda time, k, i: f"T{k},sensor {k},{time},{3 * i + k},C",
        ),
    ],
)
def test_a_long_table(warned, header, line):
    frame, (message,) = warned(header + "\n" + long_rows(line))
    expected = np.arange(30).reshape(10, 3)
    np.testing.assert_array_equal(frame, expected)
    assert frame.columns.tolist() == ["T0", "T1", "T2"]
    assert frame.index.equals(pd.DatetimeIndex(TIMES[:10]).as_unit("ns"))
    assert "'value'" in message
    assert "the 3 sensors in 'tag'" in message
    assert "<long=None>" in message
    if "unit" in header:
        assert frame.attrs["units"] == dict.fromkeys(["T0", "T1", "T2"], "C")


def test_a_long_table_in_any_order(warned):
    lines = long_rows(lambda time, k, i: f"{time},T{k},{3 * i + k}").splitlines()
    header = "time,sensor,value\n"
    frame, _ = warned(header + "\n".join(lines))
    blocks = [line for k in range(3) for line in lines[k::3]]
    other, _ = warned(header + "\n".join(blocks))
    pd.testing.assert_frame_equal(other, frame)
    repeated = "\n".join([*blocks, lines[0].replace(",0", ",77")])
    last, (message,) = warned(header + repeated)
    assert last["T0"].iloc[0] == 77
    assert "1; the last one counts" in message


def test_events_of_home_assistant(warned):
    states = {"sensor.t": "{}", "switch.p": "on off", "sensor.mode": "heat cool"}
    lines = ["entity_id,state,last_changed"]
    for i in range(30):
        name = list(states)[i % 3]
        words = states[name].format(i).split()
        state = "unavailable" if i == 3 else words[i // 3 % len(words)]
        lines.append(f"{name},{state},2024-01-15T00:{i:02}:00.000Z")
    frame, messages = warned("\n".join(lines))
    assert frame.columns.tolist() == ["sensor.t", "switch.p"]
    assert frame["sensor.t"].count() == 9
    assert frame["switch.p"].dropna().tolist() == [1, 0] * 5
    assert len(frame) == 30
    message = " ".join(messages)
    assert "Left out, because they contain words: 'sensor.mode'" in message
    assert "'unavailable' (1)" in message


@pytest.mark.parametrize("annotated", [True, False])
def test_annotated_csv_of_influxdb(warned, annotated):
    header = ",result,table,_start,_stop,_time,_value,_field,_measurement,host\n"
    notes = "#group,false,false,true,true,false,false,true,true,true\n"
    notes += "#datatype,string,long,dateTime:RFC3339,dateTime:RFC3339,"
    notes += "dateTime:RFC3339,double,string,string,string\n#default,_result,,,,,,,,,\n"
    text = ""
    for table, (field, host) in enumerate([("t", "A"), ("t", "B"), ("h", "B")]):
        text += (notes if annotated else "") + header
        for i in range(5):
            time = f"2024-01-01T00:0{i}:00Z"
            text += (
                f",,{table},{TIMES[0]},{TIMES[1]},{time},{table}{i},{field},w,{host}\n"
            )
        text += "\n"
    frame, (message,) = warned(text)
    assert frame.columns.tolist() == ["t (host=A)", "t (host=B)", "h"]
    assert frame["h"].tolist() == [20, 21, 22, 23, 24]
    assert "long format" in message
    cut, messages = warned(text.rstrip()[:-3])
    assert cut["h"].count() == 4
    assert "truncated" in messages[0]


def test_long_tables_that_are_not_plain(read, warned, fails):
    text = "time,device,sensor,value\n" + "".join(
        f"{time},D{d},S{k},1\n" for time in TIMES for d in range(2) for k in range(2)
    )
    frame, (message,) = warned(text)
    assert "4 sensors in 'device + sensor'" in message
    assert frame.columns.tolist() == ["D0 S0", "D0 S1", "D1 S0", "D1 S1"]
    # Both columns are numbers, and nothing says what the first one is.
    line = "{},{},{}".format
    text = "time,id,value\n" + long_rows(lambda time, k, i: line(time, k + 1, i))
    fails(text, "long format", "<long=\\('id', 'value'\\)>", "<by='id'>")
    frame = read(text, long=("id", "value"))
    assert frame.columns.tolist() == ["1", "2", "3"]
    assert warned(text, long=None)[0].columns.tolist() == ["id", "value"]
    named = text.replace("id", "sensor_id", 1)
    assert warned(named)[0].columns.tolist() == ["1", "2", "3"]
    fails(text, "'x'", "not among", long=("x", "value"))


def test_a_column_of_modes_is_no_long_table(fails):
    modes = ["start", "run", "idle"]
    text = "time,mode,a\n" + rows_of(lambda i: f"{modes[i // 4]},{i}")
    fails(text, "'mode'", "'start' \\(4\\)", "<drop='mode'>")


def test_nobody_is_told_to_drop_what_tells_sensors_apart(write):
    for name in ["machine_id", "deviceName", "tag"]:
        text = f"time,{name},a,b\n" + rows_of(lambda i: f"M{i % 2},{i},2")
        with pytest.raises(ParameterError) as caught:
            read_sensor_csv(write(text))
        message = marked(caught.value)
        assert f"<by={name!r}>" in message
        assert "<drop" not in message


def test_missing_readings_of_a_long_table(warned):
    text = "time,tag,value\n" + long_rows(
        lambda time, k, i: f"{time},T{k},{i if i or k else 'odd'}"
    )
    frame, _ = warned(text, na_values="odd")
    assert frame.isna().sum().tolist() == [1, 0, 0]


def test_labels_of_a_long_table(warned):
    text = "time,tag,value,anomaly\n" + long_rows(
        lambda time, k, i: f"{time},T{k},{i},{int(i == 2 and k == 1)}"
    )
    (frame, labels), _ = warned(text, return_labels=True)
    assert len(labels) == len(frame) == 10
    assert np.flatnonzero(labels["anomaly"]).tolist() == [2]


@pytest.mark.parametrize("value", ["yes", ("a",), ("a", "a"), 3])
def test_the_parameter_long(write, value):
    with pytest.raises(ParameterError) as caught:
        read_sensor_csv(write("Time,a,b\n" + ROWS), long=value)
    assert marked(caught.value).startswith(f"<long={value!r}>")


# Machines


@pytest.mark.parametrize("in_blocks", [True, False])
@pytest.mark.parametrize(
    ("name", "is_number"), [("M{}", False), ("{}", True), ("0{}", False)]
)
def test_machines(read, warned, write, name, is_number, in_blocks):
    lines = [
        f"{time},{name.format(k)},{i},{k / 4}"
        for i, time in enumerate(TIMES)
        for k in range(3)
    ]
    ordered = [line for k in range(3) for line in lines[k::3]] if in_blocks else lines
    text = "\n".join(["time,machine,a,b", *ordered])
    frame = read(text, by="machine")
    assert frame.columns.tolist() == ["a", "b", "machine"]
    assert pd.api.types.is_integer_dtype(frame["machine"]) == is_number
    assert frame["machine"].astype(str).tolist()[:3] == [name.format(k) for k in "012"]
    assert frame.index.is_monotonic_increasing
    np.testing.assert_array_equal(frame["a"], np.repeat(np.arange(N_ROWS), 3))
    if name == "M{}":
        with pytest.raises(ParameterError) as caught:
            read_sensor_csv(write(text))
        message = marked(caught.value)
    else:
        _, (message, *_) = warned(text)
    assert "<by='machine'>" in message
    assert "<drop" not in message


def test_times_are_judged_machine_by_machine(warned):
    rows = [f"{time},M{k},1,2" for time in TIMES for k in range(3)]
    rows[5:5] = [rows[4]]
    frame, (message,) = warned("\n".join(["time,id,a,b", *rows]), by="id")
    assert len(frame) == len(rows)
    assert "1 row has the same time as another row" in message
    assert "'M1'" in message


def test_numbers_of_machines_at_other_times(warned, read):
    text = "time,machine_id,a\n" + rows_of(lambda i: f"{1 + i // 6},{i}")
    frame, (message,) = warned(text)
    assert frame.columns.tolist() == ["machine_id", "a"]
    assert "<by='machine_id'>" in message
    assert read(text, by="machine_id").columns.tolist() == ["a", "machine_id"]
    assert read(text.replace("machine_id", "pump_speed")).shape == (N_ROWS, 2)
    states = "time,pump,a\n" + rows_of(lambda i: f"{i % 2},{i}")
    assert read(states).shape == (N_ROWS, 2)


def test_what_is_said_of_numbered_machines(warned):
    lines = [f"{time},{k},{i}" for i, time in enumerate(TIMES) for k in (1, 2)]
    text = "\n".join(["time,machine,a", *lines, lines[-1], lines[-2]])
    _, messages = warned(text, by="machine")
    message = " ".join(messages)
    assert "about machine '1'" in message
    assert "one other machine." in message


def test_a_fleet_from_a_file(read):
    from sklearn.ensemble import IsolationForest

    from tsanomaly import FleetDetector

    text = "time,id,a,b\n" + "".join(
        f"{time},M{k},{i % 3},{k}\n" for i, time in enumerate(TIMES) for k in range(2)
    )
    frame = read(text, by="id")
    fleet = FleetDetector(IsolationForest(n_estimators=2, random_state=0), by="id")
    assert fleet.fit(frame).score_samples(frame).shape == (len(frame),)


def test_the_parameter_by(fails, write):
    text = "time,id,a\n2024-01-01,M1,1\n2024-01-02,,1\n"
    fails(text, "line 3", "'id'", "missing", by="id")
    fails(text, "<by='x'>", "not among", by="x")
    for options in [{"by": 3}, {"by": "id", "long": ("id", "a")}]:
        with pytest.raises(ParameterError, match="by="):
            read_sensor_csv(write(text), **options)


# Quality


@pytest.mark.parametrize(
    "names",
    [
        "TI1,TI1_Quality,PI1,PI1_Quality",
        "TI1,TI1.Quality,PI1,PI1.Quality",
        "TI1,PI1,TI1 Status,PI1 quality",
        "TI1,TI1_Q,PI1,Quality(PI1)",
        "TI1,Quality,PI1,Quality.1",
        "TI1,Quality,PI1,Quality",
        "TI1.Value,TI1.Quality,PI1.Value,PI1.Quality",
        "TI1_Quality,TI1,PI1,PI1_Quality",
    ],
)
def test_columns_of_quality(warned, fails, names):
    values = [name for name in names.split(",") if not name.lower().count("qual")]
    values = [name for name in values if name not in ("TI1_Q", "TI1 Status")]

    def cells(i):
        seen = []
        for name in names.split(","):
            if name in values:
                seen.append(str(i))
            else:
                seen.append("Bad" if i == 3 and len(seen) < 3 else "Good")
        return ",".join(seen)

    text = f"Time,{names}\n" + rows_of(cells)
    frame, messages = warned(text)
    assert frame.columns.tolist() == values
    assert frame[values[0]].isna().tolist() == [i == 3 for i in range(N_ROWS)]
    assert "<quality=None>" in messages[-1]
    assert f"1 of {values[0]!r}" in messages[-1]
    fails(text, "line 2", "'Good' \\(1", quality=None)


def test_codes_of_opc(warned, read):
    text = "Time,TI1,TI1_Q\n" + rows_of(lambda i: f"{i},{0 if i == 3 else 192}")
    frame, (message,) = warned(text)
    assert frame["TI1"].isna().sum() == 1
    assert "'0' (1)" in message
    assert read(text, quality=None).shape == (N_ROWS, 2)
    # A sensor with such a name, but other values.
    text = "Time,TI1,TI1_Q\n" + rows_of(lambda i: f"{i},{i / 3:.2f}")
    assert read(text).shape == (N_ROWS, 2)


def test_named_columns_of_quality(warned, fails):
    text = "Time,a,state of it\n" + rows_of(
        lambda i: f"{i},{'dull' if i == 3 else 'ok'}"
    )
    frame, (message,) = warned(text, quality=["state of it"])
    assert frame["a"].isna().sum() == 1
    assert "'dull' (1)" in message
    fails(text, "<quality=\\['x'\\]>", quality=["x"])


def test_quality_in_a_long_table(warned):
    text = "Timestamp,Tag,Value,Quality\n" + long_rows(
        lambda time, k, i: f"{time},T{k},{i},{'Bad' if (i, k) == (3, 1) else 'Good'}"
    )
    frame, _ = warned(text)
    assert frame.shape == (10, 3)
    assert frame.isna().sum().tolist() == [0, 1, 0]


# Footers


@pytest.mark.parametrize(
    "footer",
    [
        "Total,190,380\n",
        "Average,3,4\nTotal,5,6\n",
        "\nEnd of file\n",
        "Records: 100\n",
        ",,\n,Total,7\n",
        '"Total:",5,6',
        "-----------\nExported by X\n",
    ],
)
def test_footers(warned, fails, footer):
    frame, (message,) = warned("Time,a,b\n" + ROWS + footer)
    assert frame.shape == (N_ROWS, 2)
    last = footer.strip().splitlines()[-1]
    assert last in message
    assert "left out" in message
    fails("Time,a,b\n" + ROWS + footer.strip() + "\n2024-01-15 11:00:00,1,2\n", "line")


@pytest.mark.parametrize(
    "line",
    [
        "2024-01-15 10:20:00,3",
        "2024-01-15 10:20:00,3\n",
        "2024-01-1",
        "2024-01-15 10:20:00,3,1e",
        "20",
    ],
)
def test_a_last_line_that_was_cut(warned, line):
    frame, (message,) = warned("Time,a,b\n" + ROWS + line)
    assert frame.shape == (N_ROWS, 2)
    assert f"line {N_ROWS + 2}" in message
    assert repr(line.strip()) in message


def test_names_that_begin_with_a_word_for_totals(read, warned):
    times = [1706695200 + 60 * i for i in range(6)]
    blocks = [
        f"{name},{t},{i}" for name in ("A", "Min Pump") for i, t in enumerate(times)
    ]
    frame = read("\n".join(["machine,ts,a", *blocks]), by="machine")
    assert frame["machine"].value_counts().tolist() == [6, 6]
    turns = [
        f"{name},{t},{i}" for i, t in enumerate(times) for name in ("TI1", "Total Flow")
    ]
    frame, (message,) = warned("\n".join(["tag,ts,value", *turns]))
    assert frame["Total Flow"].tolist() == [0, 1, 2, 3, 4, 5]
    assert "long format" in message
    rows = [f"{t},{i},2" for i, t in enumerate(times)]
    frame, (message,) = warned("\n".join(["ts,a,b", *rows, "Total,15,12"]))
    assert len(frame) == 6
    assert "Total" in message


def test_an_empty_last_cell_is_not_cut(read):
    text = "Time\ta\n2024-01-15\t1\n2024-01-16\t"
    np.testing.assert_array_equal(read(text)["a"], [1, np.nan])


def test_no_more_than_the_last_line_is_cut(fails):
    fails("Time,a,b\n" + ROWS + "2024-01-15,1\n2024-01-15,2\n", "line 14", "2 fields")
    fails("Time,a,b\n2024-01-15,1\n", "line 2", "2 fields")
    fails("Time,a,b\n" + ROWS + "2024-01-15 11:00:00,1,5,2\n", "line 14", "4 fields")
    fails("Time,a,b\n" + ROWS + "2024-01-15 11:00:00,1,odd\n", "line 14", "'odd'")


# The files of the cases


@pytest.mark.skipif(not CASES.exists(), reason="needs the files of the cases")
@pytest.mark.parametrize(
    ("name", "names", "n_rows", "said"),
    [
        ("units_row", ["Temp", "Press"], 20, None),
        ("bad_words", ["TI101.PV", "FI202.PV"], 30, "'I/O Timeout' (1)"),
        ("long_two_sensors", ["sensor.temp", "sensor.power"], 200, "long format"),
        ("long_tags", ["T0", "T1", "T2"], 10, "long format"),
        ("dead_sensor", ["temp", "p", "empty"], 600, "<drop='empty'>"),
        (
            "label_like_names",
            ["temp", "label_printer_on", "fault_relay"],
            600,
            "<label",
        ),
        ("banner_repeated", ["FIT101", "LIT101", "MV101", "P101"], 40, None),
        ("footer", ["a", "b"], 20, "Total"),
        ("cut_last_line", ["a", "b"], 20, "cut"),
        ("same_name_twice", ["Temp", "Temp (2)"], 20, "more than once"),
        ("quality_columns", ["TI1", "PI1"], 20, "<quality=None>"),
        ("on_off", ["Temp", "Pump"], 6, "'ON' is 1"),
    ],
)
def test_files_of_the_cases(warned, name, names, n_rows, said):
    frame, messages = warned((CASES / f"{name}.csv").read_bytes())
    assert frame.columns.tolist() == names
    assert len(frame) == n_rows
    assert said in messages[0] if said else not messages


@pytest.mark.skipif(not CASES.exists(), reason="needs the files of the cases")
def test_files_of_the_cases_that_need_a_word(read, fails):
    content = (CASES / "below_limit.csv").read_bytes()
    fails(content, "detection limit", "<na_values='<0.05'>")
    assert read(content, na_values="<0.05").shape == (20, 1)
    content = (CASES / "fleet_text_ids.csv").read_bytes()
    fails(content, "<by='machine_id'>")
    assert read(content, by="machine_id").columns.tolist() == [
        "temp",
        "p",
        "machine_id",
    ]
