# SPDX-License-Identifier: MIT
"""Messages distinguish parameters from names, cells and files."""

import pickle

import pytest

from tests.datasets.reading.helpers import column_of_times, marked
from tsanomaly._parameter_error import Parameter, ParameterError, ParameterWarning
from tsanomaly.datasets import read_sensor_csv

FILE = "pump sep=2.csv"
COLUMN = "see drop=None"
CELL = "see label=None"


@pytest.fixture
def refused(tmp_path):
    """A function that reads a file with an odd name, and returns the error."""

    def refused(content, **options):
        path = tmp_path / FILE
        path.write_text(content, encoding="utf-8")
        with pytest.raises(ValueError, match=FILE) as caught:
            read_sensor_csv(path, **options)
        return caught.value

    return refused


@pytest.mark.parametrize(
    ("content", "options", "parameters"),
    [
        (f"time,a\n2024-01-01,{CELL}\n", {}, ["drop='a'", f"na_values={CELL!r}"]),
        (f"time,{COLUMN}\n2024-01-01,x\n", {}, [f"drop={COLUMN!r}", "na_values='x'"]),
        (f"time,a,{COLUMN}\n2024-01-01,1\n", {}, ["sep", "skiprows"]),
        (f"time,a,label\n2024-01-01,1,{CELL}\n", {}, ["label=None", "drop", "label"]),
        (f"{COLUMN},b\n1,2\n", {}, ["timestamp", "timestamp=None", "skiprows", "sep"]),
        (
            f"time,a\n{CELL},2\n",
            {"timestamp": "time"},
            ["date_format='%d/%m/%Y %H:%M'", "timestamp"],
        ),
        (
            f"{COLUMN},a\n2024-01-01,1\n",
            {"timestamp": COLUMN, "date_format": "%y-%m-%d"},
            ["date_format='%y-%m-%d'"],
        ),
        (f"time,{COLUMN}\n2024-01-01,1\n", {"drop": "x"}, ["drop='x'"]),
        (
            f"{COLUMN},a\n2,5\n",
            {"timestamp": COLUMN},
            [
                *("date_format='s'", "date_format='ms'", "date_format='excel'"),
                *("timestamp=None", f"drop={COLUMN!r}"),
            ],
        ),
    ],
)
def test_text_is_never_taken_for_a_parameter(refused, content, options, parameters):
    error = refused(content, **options)
    assert isinstance(error, ParameterError)
    found = [str(part) for part in error.args if isinstance(part, Parameter)]
    assert found == parameters
    shown = marked(error)
    assert shown.count("<") == len(found)
    assert FILE in shown
    assert COLUMN in shown or CELL in shown
    assert shown.replace("<", "").replace(">", "") == str(error)


def test_an_error_without_parameters_is_plain(refused):
    error = refused(f"time,{COLUMN},label=None\n")
    assert type(error) is ValueError
    assert f"{FILE}: there is a header" in str(error)


def test_warnings_know_their_parameters(tmp_path):
    path = tmp_path / FILE
    text = f"time;{COLUMN} °C\n2024-01-01;987\n2024-01-02;1.234\n"
    path.write_bytes(text.encode("cp1252"))
    with pytest.warns(ParameterWarning) as caught:
        read_sensor_csv(path)
    encoding, thousands = (marked(warning.message) for warning in caught)
    assert encoding.count("<") == thousands.count("<") == 1
    assert "<encoding='cp1252'>" in encoding
    assert "<decimal='.'>" in thousands
    assert f"column '{COLUMN} °C': " in thousands
    assert FILE in encoding
    assert FILE in thousands
    assert {warning.filename for warning in caught} == {__file__}


def test_errors_survive_pickling(refused):
    error = refused(column_of_times(["01/02/2024"]))
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is ParameterError
    assert marked(again) == marked(error)
    assert str(again) == str(error)
