# SPDX-License-Identifier: MIT
"""Tables as historians, control systems and loggers export them."""

import numpy as np
import pandas as pd
import pytest

N_ROWS = 12
TIMES = pd.date_range("2024-03-20 10:00", periods=N_ROWS, freq="15min")
A, B = 20 + np.arange(N_ROWS) / 8, 1000 - np.arange(N_ROWS) / 4


def lines(cells):
    """A line for each row, from its number and time."""
    return "".join(f"{cells(i, time)}\n" for i, time in enumerate(TIMES))


def check(frame, names, n_missing=0):
    assert frame.columns.tolist() == names
    assert frame.index.tolist() == TIMES.tolist()
    assert frame.isna().to_numpy().sum() == n_missing
    expected = np.column_stack([A, B])
    known = frame.notna().to_numpy()
    np.testing.assert_allclose(frame.to_numpy()[known], expected[known])


# Headers


def test_a_table_of_pi_datalink(read):
    head = "Tag,SINUSOID,CDT158\nDescriptor,Sine Wave,Tower OH Vapor\n"
    for units in ("EngUnits,,DEG. C\n", "Engineering Units,%,DEG. C\n"):
        frame = read(head + units + lines(lambda i, t: f"{t},{A[i]},{B[i]}"))
        check(frame, ["SINUSOID", "CDT158"])
        assert frame.attrs["units"]["CDT158"] == "DEG. C"


@pytest.mark.parametrize("gap", ["", ","])
def test_names_of_tags_over_times_of_their_own(warned, gap):
    """With an empty column between the tags or not."""
    text = f"TI1,{gap},PI1,\nTime,Value{gap},Time,Value\n"
    text += lines(lambda i, t: f"{t},{A[i]}{gap},{t},{B[i]}")
    frame, messages = warned(text)
    check(frame, ["TI1 Value", "PI1 Value"])
    assert any("merged by time" in message for message in messages)


def test_a_title_over_the_time_joins_no_names(warned):
    text = "Boiler,,\nTime,Temp,Temp\n" + lines(lambda i, t: f"{t},{A[i]},{B[i]}")
    check(warned(text)[0], ["Temp", "Temp (2)"])


def test_a_data_set_of_ignition(read):
    text = '"#NAMES"\n"t_stamp","Amps","Temp"\n"#TYPES"\n"date","D","D"\n"#ROWS","12"\n'
    text += lines(lambda i, t: f'"{t}","{A[i]}","{B[i]}"')
    check(read(text), ["Amps", "Temp"])


def test_names_on_two_lines_of_a_cell(read):
    text = 'Time,"Temp\n[degC]","Press \r\n [bar]"\n'
    text += lines(lambda i, t: f"{t},{A[i]},{B[i]}")
    check(read(text), ["Temp [degC]", "Press [bar]"])


@pytest.mark.parametrize("n_parts", [2, 9])
def test_files_that_were_put_together(warned, n_parts):
    """Their headers are no rows, and times are not read from them."""
    times = pd.date_range("2024-03-20", periods=24 * n_parts, freq="15min")
    rows = [f"{time};{i};{i / 2}\n" for i, time in enumerate(times)]
    parts = ["time;a;b\n" + "".join(rows[i : i + 24]) for i in range(0, len(rows), 24)]
    frame, (message,) = warned("".join(parts))
    assert frame.index.tolist() == times.tolist()
    assert frame["b"].tolist() == [i / 2 for i in range(len(rows))]
    assert "the header is repeated in line 26" in message
    assert ("line 26, 51, 76, 101, 126 and 3 more" in message) == (n_parts == 9)


# Fields


@pytest.mark.parametrize("end", ["\n", "\r\n", "  \r\n"])
@pytest.mark.parametrize("start", ["", "# ", "   "])
def test_fields_between_spaces(read, start, end):
    text = f"{start}date  time   T1    T2\n"
    text += lines(lambda i, t: f"  {t:%Y-%m-%d %H:%M:%S}  {A[i]:9.3f} {B[i]:9.3f}")
    check(read(text.replace("\n", end)), ["T1", "T2"])


@pytest.mark.parametrize("header", ["time T 1 T 2", 'time "T1" T2', "time T1"])
def test_spaces_that_are_not_plain(fails, header):
    fails(header + "\n" + lines(lambda i, t: f"{t.isoformat()} {A[i]} {B[i]}"))


@pytest.mark.parametrize("name", ["id", "Seq", "RecNum", "Sample No.", "序号"])
def test_numbers_of_rows_are_no_channel(read, warned, name):
    text = f"{name},time,a,b\n" + lines(lambda i, t: f"{i + 40},{t},{A[i]},{B[i]}")
    check(read(text), ["a", "b"])
    ids = f"{name},time,a\n" + lines(lambda i, t: f"{i // 2},{t},{A[i]}")
    assert name in warned(ids)[0].columns


def test_marks_of_a_hobo(warned):
    text = (
        '"Plot Title: 203"\n"#","Date Time, GMT-05:00","T, °C","RH, %","Host","End"\n'
    )
    text += lines(lambda i, t: f"{i + 1},{t:%m/%d/%y %I:%M:%S %p},{A[i]},{B[i]},,")
    text += "13,03/20/24 12:50:00 PM,,,Logged,\n14,03/20/24 12:51:00 PM,,,,Logged\n"
    frame, messages = warned(text)
    check(frame[:N_ROWS], ["T, °C", "RH, %"])
    assert any(
        "by 'Logged' and contain no readings: 'Host', 'End'" in message
        for message in messages
    )


# Quality


@pytest.mark.parametrize("name", ["OPCQuality", "OPC Quality", "QualityDetail"])
def test_quality_of_wonderware(warned, name):
    def both(i, time):
        quality = 0 if i == 4 else 192
        return f"{time},TI1,{A[i]},{quality}\n{time},PI1,{B[i]},192"

    frame, messages = warned(f"DateTime,TagName,Value,{name}\n" + lines(both))
    check(frame, ["TI1", "PI1"], n_missing=1)
    assert any("1 of 'Value' ('0' (1))" in message for message in messages)


def test_validity_of_wincc(warned):
    def both(i, time):
        time, valid = f"{time:%d.%m.%Y %H:%M:%S}", int(i != 4)
        return f'"TI1";"{time}";{A[i]};{valid}\n"PI1";"{time}";{B[i]};1'.replace(
            ".", ","
        )

    text = '"VarName";"TimeString";"VarValue";"Validity"\n'
    text += lines(both).replace("20,03,", "20.03.")
    frame, messages = warned(text + '"$RT_OFF$";"20.03.2024 12:45:00";0;2\n')
    check(frame, ["TI1", "PI1"], n_missing=1)
    assert any("'$RT_OFF$'" in message for message in messages)


def test_quality_in_names_without_separators(warned):
    text = "time,TI1,TI1Quality,PI1,PI1Quality\n"
    text += lines(lambda i, t: f"{t},{A[i]},{'Bad' if i == 3 else 'Good'},{B[i]},Good")
    check(warned(text)[0], ["TI1", "PI1"], n_missing=1)


# Words


def test_columns_of_words_alone(fails):
    text = "time,a,unit\n" + lines(lambda i, t: f"{t},{A[i]},degC")
    fails(
        text,
        "nothing but words, 'degC' \\(12\\)",
        "<drop='unit'>",
        "<na_values='degC'>",
    )
    text = "time,a,note\n" + "".join(
        f"2024-03-01 {i // 60:02}:{i % 60:02},1,by {i}\n" for i in range(40)
    )
    fails(text, "<drop='note'>\\.$")
