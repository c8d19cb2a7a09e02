# SPDX-License-Identifier: MIT
"""Readings as numbers, decimal marks and missing values."""

import re

import numpy as np
import pytest

from tests.datasets.reading.helpers import marked
from tsanomaly._parameter_error import ParameterWarning
from tsanomaly.datasets import read_sensor_csv


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


@pytest.mark.parametrize("mark", [".", ","])
def test_numbers_are_the_nearest_ones(read, rng, mark):
    """Of any number of digits, before and behind the mark."""
    digits = rng.integers(0, 10, size=(20_000, 20))
    n_digits, n_decimals = rng.integers(0, 20, size=(2, len(digits)))
    signs = rng.choice(["", "-", "+"], size=len(digits))
    exponents = rng.choice(["", "", "", "e5", "E-30"], size=len(digits))
    cells = []
    for row, n, k, sign, exponent in zip(
        digits.tolist(), n_digits, n_decimals, signs, exponents, strict=True
    ):
        number = "".join(map(str, row[: n + 1]))
        number = f"{number[:k]}.{number[k:]}" if k <= n else number
        cells.append(f"{sign}{number}{exponent}")
    text = "\n".join(["a;b", *(f"{cell};1.5" for cell in cells)])
    frame = read(text.replace(".", mark), timestamp=None, decimal=mark)
    expected = np.array(list(map(float, cells)))
    np.testing.assert_array_equal(frame["a"], expected)
    np.testing.assert_array_equal(np.signbit(frame["a"]), np.signbit(expected))


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
    frame = read("time,a,b\n2024-01-01,TRUE,\n2024-01-02,false,nan\n2024-01-03,,1\n")
    np.testing.assert_array_equal(frame["a"], [1, 0, np.nan])
    np.testing.assert_array_equal(frame["b"], [np.nan, np.nan, 1])


def test_decimal_commas(read, fails):
    text = "time;a;b\n2024-01-01;1,5;1,234\n2024-01-02;-,5;7\n"
    assert read(text).to_numpy().tolist() == [[1.5, 1.234], [-0.5, 7]]
    assert read(text, decimal=",").equals(read(text))
    fails(text, "line 2", "'a'", "'1,5'", decimal=".")
    assert read("time;a\n2024-01-01;0,123\n")["a"].tolist() == [0.123]
    assert read('time,a\n2024-01-01,"1,5"\n', decimal=",")["a"].tolist() == [1.5]
    fails('time,a\n2024-01-01,"1,5"\n', "line 2", "'a'", "<decimal=','>")


def test_a_comma_that_may_stand_for_thousands(read, fails):
    text = "time;a\n2024-01-01;1,234\n2024-01-02;22,500\n"
    fails(text, "line 2", "'a'", "'1,234'", "<decimal=','>")
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
    with pytest.warns(ParameterWarning) as caught:
        assert read_sensor_csv(write(text))["a"].iloc[1] == 1.234
    (warning,) = caught
    message = marked(warning.message)
    assert re.search(r"line 3, column 'a': '1.234' .* '987' .* <decimal='.'>", message)
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
    fails("time;a\n2024-01-01;X\n", "line 2", "'X'", na_values=na_values)
    # Only sensors: a time or a label must be there.
    text = "time;a;label\n2024-01-01;1;0\n"
    assert read(text, na_values=0, return_labels=True)[1]["label"].tolist() == [0]
