# SPDX-License-Identifier: MIT
"""What read_sensor_csv returns and logs, its parameters, and real files."""

import logging
import warnings

import numpy as np
import pandas as pd
import pytest

from tests.datasets.reading.helpers import marked
from tests.helpers import SHARED_DATA, needs_shared_data
from tsanomaly._parameter_error import ParameterError
from tsanomaly.datasets import read_sensor_csv


def test_a_plain_file(read):
    frame = read(
        "timestamp,a,b\n2024-01-01 00:00:00,1,-2.5e3\n2024-01-01 00:01:00,,3\n"
    )
    expected = pd.DataFrame(
        {"a": [1.0, np.nan], "b": [-2500.0, 3.0]},
        index=pd.DatetimeIndex(
            ["2024-01-01 00:00", "2024-01-01 00:01"], name="timestamp"
        ).as_unit("ns"),
    )
    pd.testing.assert_frame_equal(frame, expected)
    assert frame.index.dtype == "datetime64[ns]"


def test_names_stay_as_they_are(read):
    names = ["YT.11FI_02044.PV", "气化一期", "Ventil % (neu)", "a,b;c", "1.5", 'so "x"']
    header = ",".join('"' + name.replace('"', '""') + '"' for name in names)
    frame = read(f" time ,{header}\n2024-01-01, 1 ,2,3,4,5,6\n")
    assert frame.columns.tolist() == names
    assert frame.index.name == "time"
    assert frame.iloc[0].tolist() == [1, 2, 3, 4, 5, 6]


def test_the_log_says_what_was_found(read, caplog):
    with caplog.at_level(logging.INFO, "tsanomaly"):
        read("Zeit;a;b;anomaly\n31.01.2024 10:00;1,5;2;0\n")
    (record,) = caplog.records
    assert record.name == "tsanomaly"
    message = record.getMessage()
    for found in [
        "pump.csv",
        "utf-8",
        "semicolon",
        "decimal ','",
        "'Zeit'",
        "'anomaly'",
    ]:
        assert found in message
    assert "day.month.year hour:minute" in message
    assert "2 channels, 1 rows" in message


@pytest.mark.parametrize(
    "options",
    [
        {"timestamp": 3},
        {"timestamp": ("a", "b", "c")},
        {"decimal": ";"},
        {"sep": "ab"},
        {"sep": "1"},
        {"sep": '"'},
        {"sep": None},
        {"encoding": None},
        *({"skiprows": value} for value in [-1, 1.5, True, None]),
        *({"max_bytes": value} for value in [0, 1e9, "1 GB", None]),
        *({"max_columns": value} for value in [0, True, "auto"]),
        *({"na_values": value} for value in [True, {"a": 1}, [None], object()]),
        *({"date_format": text} for text in ["%H:%M", "%d.%m. %H:%M", "%y", 7]),
        *({"date_format": f"%d.%m.%y {text}"} for text in ["%I:%M", "%H:%M %p", "%Z"]),
    ],
)
def test_parameters(write, options):
    path = write("time,a\n2024-01-01,1\n")
    with pytest.raises(ParameterError) as caught:
        read_sensor_csv(path, **options)
    (name,) = options
    assert marked(caught.value).startswith(f"<{name}={options[name]!r}>")


@needs_shared_data
@pytest.mark.parametrize("name", ["valve1/0", "valve1/2", "anomaly-free/anomaly-free"])
def test_skab(name):
    path = SHARED_DATA / "skab" / f"{name}.csv"
    with pytest.warns(UserWarning, match="steps differ from the most frequent one"):
        frame, labels = read_sensor_csv(path, return_labels=True)
    expected = pd.read_csv(
        path, sep=";", index_col="datetime", parse_dates=["datetime"]
    )
    expected.index = expected.index.as_unit("ns")
    label_names = [name for name in ("anomaly", "changepoint") if name in expected]
    pd.testing.assert_frame_equal(frame, expected.drop(columns=label_names))
    assert labels.columns.tolist() == label_names
    np.testing.assert_array_equal(labels, expected[label_names])


@needs_shared_data
def test_other_real_files():
    paths = sorted((SHARED_DATA / "nab" / "data").glob("*/*.csv"))
    for path in paths:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*regularize")
            frame = read_sensor_csv(path)
        expected = pd.read_csv(path, index_col=0, parse_dates=True)
        expected.index = expected.index.as_unit("ns")
        pd.testing.assert_frame_equal(frame, expected)
    path = SHARED_DATA / "synthetic" / "plant_a.csv.gz"
    frame, labels = read_sensor_csv(path, return_labels=True)
    expected = pd.read_csv(path, index_col=0)
    np.testing.assert_array_equal(frame, expected.drop(columns="is_anomaly"))
    np.testing.assert_array_equal(labels, expected[["is_anomaly"]])
    assert frame.index.equals(pd.DatetimeIndex(expected.index))
    path = SHARED_DATA / "smd" / "machine-2-1_test.csv.gz"
    frame, labels = read_sensor_csv(path, timestamp=None, return_labels=True)
    assert frame.shape[1] == 38
    expected = pd.read_csv(path, float_precision=None)
    np.testing.assert_array_equal(frame, expected.drop(columns="is_anomaly"))
    np.testing.assert_array_equal(labels, expected[["is_anomaly"]])
