# SPDX-License-Identifier: MIT
"""From bytes to text: compression and encodings."""

import gzip
import logging
import re
import warnings

import pandas as pd
import pytest

from tests.datasets.reading.helpers import marked
from tsanomaly._parameter_error import ParameterWarning
from tsanomaly.datasets import read_sensor_csv


def test_the_mark_of_the_end_of_a_file(read, fails):
    assert len(read("time,a\n2024-01-01,1\n\x1a\n")) == 1
    assert len(read("time,a\n2024-01-01,1\x1a")) == 1
    fails("time,a\n2024-01-01,1\x1a\n2024-01-02,1\n", "line 2", "'a'")


def test_not_a_file(tmp_path, fails):
    with pytest.raises(FileNotFoundError):
        read_sensor_csv(tmp_path / "nothing.csv")
    with pytest.raises(OSError, match=re.escape(str(tmp_path))):
        read_sensor_csv(tmp_path)
    fails(b"PK\x03\x04 and so on", "Excel")


def test_gzip_is_known_by_its_content(read, fails):
    data = gzip.compress(b"time,a\n2024-01-01,1\n")
    assert read(data)["a"].tolist() == [1]
    fails(data[:-9], "gzip", "damaged")
    fails(data[:12] + b"\xff\xff" + data[14:], "gzip", "damaged")
    fails(data[:2], "gzip", "damaged")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_unicode(write, encoding):
    path = write("时间,气化一期,°C é\n2024-01-01,1,2\n", encoding)
    frame = read_sensor_csv(path)
    assert frame.columns.tolist() == ["气化一期", "°C é"]
    assert frame.index.name == "时间"
    if encoding.startswith("utf-8"):
        pd.testing.assert_frame_equal(read_sensor_csv(path, encoding="utf-8"), frame)


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        ("gb18030", ["气化一期", "温度(℃)", "流量"]),
        ("cp1252", ["Temp °C", "Größe", "débit (m³/h)"]),
    ],
)
def test_legacy_encodings(write, caplog, encoding, names):
    path = write(f"time,{','.join(names)}\n2024-01-01,1,2,3\n", encoding)
    with (
        caplog.at_level(logging.INFO, "tsanomaly"),
        pytest.warns(ParameterWarning) as caught,
    ):
        assert read_sensor_csv(path).columns.tolist() == names
    assert f"<encoding='{encoding}'>" in marked(caught[0].message)
    assert encoding in caplog.text
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_sensor_csv(path, encoding=encoding).columns.tolist() == names


def test_an_unclear_encoding(fails, write):
    for text, encoding in [("Температура", "cp1251"), ("気温ー", "shift-jis")]:
        data = f"time,a\n2024-01-01,1\n2024-01-02,{text}\n".encode(encoding)
        fails(data, "line 3", "<encoding")
    data = "time,气化一期\n2024-01-01,1\n".encode()
    fails(data[:7] + data[8:], "line 1", "<encoding")
    fails(data, "line 1", "ascii", "<encoding>", encoding="ascii")
    fails(data, "<encoding='klingon'>", encoding="klingon")
    fails(data, "<encoding='base64'>", encoding="base64")
    fails("time,a\n2024-01-01,1\0\n", "line 2", "NUL", "<encoding='utf-16'>")
    fails("time,a\n2024-01-01,1\n".encode("utf-16-le")[:-1], "utf-16-le")


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark(read, encoding):
    frame = read("time,a °C,压\n2024-01-01,1,2\n".encode(encoding))
    assert frame.columns.tolist() == ["a °C", "压"]
