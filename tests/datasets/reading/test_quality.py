# SPDX-License-Identifier: MIT
"""Detection of quality columns, and of the channels that they rate."""

import pytest

N_ROWS = 8


def table(names, cells):
    rows = (f"2024-01-15 10:0{i}:00,{cells(i)}\n" for i in range(N_ROWS))
    return f"time,{names}\n" + "".join(rows)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ("speed,state,load", "Normal Fail"),
        ("pump,pump_status,load", "normal error"),
        ("speed,flag,load", "G B"),
        ("speed,state,load", "valid unknown"),
    ],
)
def test_states_of_machines_are_no_quality(fails, names, words):
    text = table(names, lambda i: f"{i},{words.split()[i > 2]},{i}")
    name = names.split(",")[1]
    fails(text, f"'{name}'", f"<quality=\\['{name}'\\]>", f"<drop='{name}'>")


@pytest.mark.parametrize(
    ("name", "codes"),
    [
        ("a_Q", [190 + i for i in range(N_ROWS)]),
        ("a_status", [0, 0, 255, 255] * 2),
        ("a_status", [0, 1] * 4),
        ("a_status", [0] * 7 + [192]),
        ("Quality", [3, 5, 7, 8] * 2),
    ],
)
def test_numbers_that_are_no_codes_are_channels(read, name, codes):
    frame = read(table(f"a,{name}", lambda i: f"{i},{codes[i]}"))
    assert frame.columns.tolist() == ["a", name]
    assert frame.notna().all(axis=None)


@pytest.mark.parametrize("name", ["a_Quality", "Quality of a", "Quality"])
@pytest.mark.parametrize("codes", ["00000000", "10111111", "11111111"])
@pytest.mark.parametrize("good", [1, 192])
def test_bad_days(warned, name, codes, good):
    codes = [good * int(code) for code in codes]
    if name == "Quality of a":
        name = "Quality.a"
    frame, messages = warned(table(f"a,{name}", lambda i: f"{i},{codes[i]}"))
    assert frame.columns.tolist() == ["a"]
    assert frame["a"].isna().tolist() == [code == 0 for code in codes]
    assert "<quality=None>" in messages[0]
    assert len(messages) == 1 + (not any(codes))


def test_other_codes_of_bad_days(warned, read):
    names = "a,a_Quality,b,b_Quality"
    for code in (24, 25, 64):
        frame, _ = warned(table(names, lambda i, c=code: f"{i},{c},{i},192"))
        assert frame.count().tolist() == [0, N_ROWS]
    frame, _ = warned(table("a,a_Quality", lambda i: f"{i},24"))
    assert frame.count().tolist() == [0]
    grades = table("water,water_quality", lambda i: f"{i},{1 + i % 3}")
    assert read(grades).shape == (N_ROWS, 2)


def test_one_column_of_quality_for_many_sensors(fails, read, warned):
    for names in ["a,b,Quality", "Quality,a,b"]:
        position = names.split(",").index("Quality")

        def cells(i, position=position):
            found = [str(i), str(i)]
            found.insert(position, "Bad" if i == 3 else "Good")
            return ",".join(found)

        text = table(names, cells)
        fails(text, "'Quality'", r"<quality=\['Quality'\]>", "<drop='Quality'>")
        assert read(text, drop="Quality").shape == (N_ROWS, 2)
        frame, _ = warned(text, quality=["Quality"])
        assert frame["ba"[position == 0]].count() == N_ROWS - 1


def test_quality_before_the_readings(warned):
    text = table("Quality,a,Quality,b", lambda i: f"{192 * (i > 3)},1,192,2")
    frame, _ = warned(text)
    assert frame.count().tolist() == [4, N_ROWS]


def test_unknown_words_of_quality(fails):
    text = table("a,a_Quality", lambda i: f"{i},{'dull' if i == 3 else 'Good'}")
    fails(text, "'Good' \\(7\\), 'dull' \\(1\\)", r"<quality=\['a_Quality'\]>")
