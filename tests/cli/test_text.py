# SPDX-License-Identifier: MIT
"""Untrusted names on a terminal, in a shell and in a spreadsheet."""

import csv
import shutil
import subprocess
from itertools import chain

import pandas as pd
import pytest

from tsanomaly._cli._files import Results, write_table
from tsanomaly._cli._text import one_line, quoted, visible


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("pump 3", "pump 3"),
        ("Druck\u00a0(bar) °C 日本 é", "Druck\u00a0(bar) °C 日本 é"),
        ("می\u200cخواهم", "می\u200cخواهم"),  # spelled with a character of no width
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("\x9b31m\x7f", r"\x9b31m\x7f"),  # the same in one character
        ("two\nlines\r\t", r"two\nlines\r\t"),
        ("\u202egpj.exe\u2066", r"\u202egpj.exe\u2066"),
        ("a\u2028b\u200bc\ufeff", r"a\u2028b\u200bc\ufeff"),
        ("\udcff", r"\udcff"),  # of a file name that is no text
        (r"C:\new", r"C:\new"),
        (7, "7"),
    ],
)
def test_what_cannot_be_seen_is_an_escape(name, shown):
    assert visible(name) == shown


def test_one_line():
    assert one_line("two\n  lines,\x1b[0m and\u2028three") == (
        r"two lines,\x1b[0m and three"
    )


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "two words",
        "it's",
        "\t",
        "it's\t$(touch here)`touch there`!\\",
        "\x1b[0m'; touch here; '",
        'tab\tand \\n and "quotes"',
    ],
)
def test_what_is_to_be_typed_is_one_argument(text, tmp_path):
    """Nothing in a name is run by who copies a line that a message shows."""
    done = subprocess.run(
        ["bash", "-c", f"printf %s {quoted(text)}"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert done.stdout == text
    assert not list(tmp_path.iterdir())


def cells(file, delimiter=","):
    with open(file, newline="") as stream:
        return list(csv.reader(stream, delimiter=delimiter))


FORMULAS = [
    "=1+1",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-flow",
    "@SUM(1)",
    " =1+1",
    "\t=1+1",
    "\n=1+1",
    "＝1+1",
    "-5+1",
    "-inf",
]


@pytest.mark.parametrize("name", FORMULAS)
def test_no_cell_is_a_formula(name, tmp_path):
    """Wherever a name can be: in cells, over them, and beside them."""
    file = tmp_path / "table.csv"
    table = pd.DataFrame({name: [name, "flow"]}, index=[name, "level"])
    write_table(file, table, index_label=name)
    guarded = f"'{name}"
    if name[0] in "\t\n":  # where it separates cells, what follows is a cell, too
        guarded = f"'{name[0]}'{name[1:]}"
    assert cells(file) == [[guarded] * 2, [guarded] * 2, ["level", "flow"]]


def test_a_carriage_return_ends_no_line(tmp_path):
    write_table(tmp_path / "table.csv", pd.DataFrame({"a\r=1": [1.0]}), index=False)
    assert cells(tmp_path / "table.csv") == [[r"a\r=1"], ["1.0"]]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_no_part_of_a_name_becomes_a_formula(delimiter, tmp_path):
    """Where another character separates cells than the comma."""
    file = tmp_path / "table.csv"
    name = "a;=1+1;b,=2+2,c\t@SUM(1)"
    write_table(file, pd.DataFrame({"name": [name]}), index=False)
    for cell in chain.from_iterable(cells(file, delimiter)):
        assert not cell.lstrip(' "').startswith(("=", "+", "-", "@"))


def test_numbers_and_names_stay_as_they_are(tmp_path):
    file = tmp_path / "table.csv"
    names = ["-5", "+1.5e-3", "flow-1", "a=b", "it's", "", "2024-01-01", "mail@plant"]
    values = [-1.5, float("nan"), 0.0, 1e-9, -2.0, 3.0, 4.0, 5.0]
    table = pd.DataFrame({"name": names, "value": values})
    write_table(file, table, index_label="row")
    assert file.read_text() == table.to_csv(index_label="row")
    pd.testing.assert_frame_equal(table, pd.DataFrame({"name": names, "value": values}))


def test_sentences_and_lists_of_alarms(tmp_path):
    file = tmp_path / "alarms.csv"
    sentence = "Row 3: flow 1.5 below expected -1,234.5; 60 % of the error; @b missing"
    alarms = pd.DataFrame(
        {"channels": [["flow", "=a", "@b"]], "shares": [[0.6, 0.3, 0.1]]}
    ).assign(duration=pd.Timedelta("1h 90s"), sentence=sentence)
    results = Results(tmp_path)
    results.alarms("alarms.csv", alarms)
    assert results.files == [file]
    channels, shares, minutes, said = cells(file)[1]
    assert float(minutes) == 61.5
    assert channels == "flow;' =a;' @b"
    assert shares == "0.6000; 0.3000; 0.1000"
    assert said == sentence.replace(" @b", "' @b")
