# SPDX-License-Identifier: MIT
"""Files of any kind, folders, lists of files and the standard input."""

import gzip
import io
import re
import sys
import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from tests.datasets.reading.helpers import marked
from tsanomaly._parameter_error import ParameterError
from tsanomaly.datasets import read_sensor_csv, read_sensor_file
from tsanomaly.datasets._reading._csv import Readings
from tsanomaly.datasets._reading._join import join_readings

TEXT = "time,a,b,label\n2024-01-01 00:00,1,2,0\n2024-01-01 00:01,3,,1\n"


def part(hour, values="1,2", names="a,b"):
    rows = "".join(
        f"2024-01-01 {hour:02}:{minute:02},{values}\n" for minute in (0, 1, 2)
    )
    return f"time,{names}\n{rows}"


@pytest.fixture
def files(tmp_path):
    """A function that writes files into a folder, and returns it."""

    def files(**contents):
        for name, content in contents.items():
            path = tmp_path / name.replace("__", ".")
            if isinstance(content, pd.DataFrame):
                writer = content.to_excel if "xlsx" in name else content.to_parquet
                writer(path)
            else:
                data = content.encode() if isinstance(content, str) else content
                path.write_bytes(data)
        return tmp_path

    return files


def refused(path, *patterns, **options):
    with pytest.raises(ValueError, match=r"\S: |=") as caught:
        read_sensor_file(path, **options)
    message = marked(caught.value)
    for pattern in patterns:
        assert re.search(pattern, message), message


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_text_is_read_as_by_read_sensor_csv(files, compress):
    folder = files(x__csv=compress(TEXT.encode()), y__csv=TEXT)
    frame, labels = read_sensor_file(folder / "x.csv", return_labels=True)
    expected, expected_labels = read_sensor_csv(folder / "y.csv", return_labels=True)
    pd.testing.assert_frame_equal(frame, expected)
    pd.testing.assert_frame_equal(labels, expected_labels)
    with pytest.warns(UserWarning, match="suggest labels"):
        frame = read_sensor_file(folder / "x.csv", label=None, drop=["a"])
    assert frame.columns.tolist() == ["b", "label"]


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
def test_standard_input(monkeypatch, compress):
    def pipe(text):
        stream = io.BytesIO(compress(text.encode()))
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=stream))

    pipe(TEXT)
    assert read_sensor_file("-")["a"].tolist() == [1, 3]
    pipe("time,a\n2024-01-01,x\n")
    refused("-", "standard input, line 2, column 'a'")
    pipe(TEXT)
    refused("-", "standard input", "<max_bytes>", max_bytes=10)


def test_a_folder_of_several_kinds(files):
    times = pd.date_range("2024-01-01", periods=9, freq="h", name="time")
    rng = np.random.default_rng(0)
    whole = pd.DataFrame(rng.integers(0, 9, (9, 2)), times, ["a", "b"]).astype(float)
    folder = files(
        c__csv=whole[:3].to_csv(),
        b__xlsx=whole[3:6][["b", "a"]],
        a__parquet=whole[6:],
        readme__md="Hello",
        __hidden__csv="hidden",
    )
    with pytest.warns(UserWarning, match=": ") as caught:
        frame = read_sensor_file(folder)
    (message,) = [str(warning.message) for warning in caught]
    assert f"{folder}: files of the folder that were left out: 'readme.md'" in message
    assert caught[0].filename == __file__
    # Its files are read in the order of their names, and rows in that of time.
    pd.testing.assert_frame_equal(frame, whole.set_axis(frame.index)[["a", "b"]])
    assert frame.index.equals(times)


def test_a_folder_without_readings(files):
    refused(files(readme__md="Hello"), "no file of readings", "'readme.md'")


def test_rows_of_two_files(files):
    # One row is the same in both, one has the same time.
    folder = files(
        a__csv="time,a\n2024-01-01,1\n2024-01-02,2\n2024-01-03,\n",
        b__csv="time,a\n2024-01-02,7\n2024-01-03,\n2024-01-04,4\n",
    )
    with pytest.warns(UserWarning, match=": ") as caught:
        frame = read_sensor_file([folder / "a.csv", folder / "b.csv"])
    np.testing.assert_array_equal(frame["a"], [1, 2, 7, np.nan, 4])
    overlap, repeated, same = (str(warning.message) for warning in caught)
    assert re.search(r"b\.csv: its times start at 2024-01-02 .*a\.csv end", overlap)
    assert re.search(
        "1 row is in more than one .* 2024-01-03.* was used once", repeated
    )
    assert re.search("1 row has the same time as a row with other values", same)


def test_labels_of_several_files(files):
    later = TEXT.replace("2024-01-01", "2024-01-02")
    folder = files(a__csv=later, b__csv=TEXT)
    frame, labels = read_sensor_file(folder, return_labels=True)
    assert labels["label"].tolist() == [0, 1, 0, 1]
    assert labels.index.equals(frame.index)
    (folder / "b.csv").write_text(TEXT.replace("label", "extra"))
    refused(folder, "b.csv|a.csv", "'extra'", "<drop>")
    refused(folder, "labels", "<label=None>", drop=["extra"])


def test_other_channels_in_a_file(files):
    folder = files(a__csv=part(1), b__csv=part(2), c__csv=part(3, names="a,c"))
    refused(
        folder, r"c\.csv: .*those of .*a\.csv: 'b' missing, 'c' only here", "<drop>"
    )
    frame = read_sensor_file(folder, drop=["b", "c"])
    assert frame.shape == (9, 1)
    refused(folder, "<drop='q'> is not among the columns of any file", drop=["b", "q"])


def test_time_zones_of_several_files(files):
    folder = files(a__csv=part(1), b__csv=part(2).replace(":00,", ":00Z,"))
    (folder / "b.csv").write_text("time,a,b\n2024-01-01T05:00:00+02:00,1,2\n")
    refused(folder, r"b\.csv: the times have a time zone")
    (folder / "a.csv").write_text("time,a,b\n2024-01-01T05:00:00+01:00,3,2\n")
    frame = read_sensor_file(folder)
    assert str(frame.index.tz) == "UTC"
    assert frame["a"].tolist() == [1, 3]


def test_other_steps_in_a_file(files):
    later = "time,a,b\n" + "".join(f"2024-01-02 0{h}:00,1,2\n" for h in range(4))
    with pytest.warns(UserWarning, match=": ") as caught:
        read_sensor_file(files(a__csv=part(1), b__csv=later))
    (message,) = [str(warning.message) for warning in caught]
    assert re.search(
        r"b\.csv: the usual step is 1 h, while it is 1 min in .*a", message
    )


def test_files_that_count_from_a_start_of_their_own(files):
    text = "time,a\n" + "".join(f"{row},{row}\n" for row in range(3))
    folder = files(a__csv=text, b__csv=text)
    refused(folder, r"b\.csv: .*start of each recording", date_format="s")
    (folder / "b.csv").write_text("time,a\n3,1\n4,1\n")
    assert len(read_sensor_file(folder, date_format="s")) == 5


def test_machines_in_several_files_have_rows_of_one_time():
    times = pd.date_range("2024-01-01", periods=2, freq="min")
    parts = [
        Readings(
            pd.DataFrame({"a": [1, 2], "m": name}, times),
            pd.DataFrame(index=times),
            [],
            [],
        )
        for name in ("M1", "M2", "M2")
    ]
    frame, _, messages = join_readings(["a.csv", "b.csv"], parts[:2], by="m")
    assert messages == []
    assert frame["m"].tolist() == ["M1", "M2"] * 2
    parts[2].frame["a"] += 1
    frame, _, messages = join_readings(["b.csv", "c.csv"], parts[1:], by="m")
    assert len(frame) == 4
    assert "2 rows have the same time as a row with other values" in str(messages[0])


def test_files_without_times(files):
    folder = files(a__csv="a\n1\n2\n", b__csv="a\n3\n")
    with pytest.warns(UserWarning, match="there are no times"):
        frame = read_sensor_file(folder, timestamp=None)
    assert frame.index.equals(pd.RangeIndex(3))
    assert frame["a"].tolist() == [1, 2, 3]


def test_warnings_of_many_files_are_not_repeated_for_each(files):
    uneven = "time,a\n{0}-01-01,1\n{0}-01-02,1\n{0}-01-03,1\n{0}-01-07,1\n"
    contents = {f"x{year}__csv": uneven.format(year) for year in range(2001, 2011)}
    with pytest.warns(UserWarning, match=": ") as caught:
        read_sensor_file(files(**contents))
    messages = [str(warning.message) for warning in caught]
    assert len(messages) == 4
    assert "7 more files have warnings" in messages[-1]


@pytest.mark.parametrize(
    ("start", "words"),
    [
        (b"\xd0\xcf\x11\xe0 ...", r"\.xls.*save it as \.xlsx"),
        (b"\x89HDF\r\n\x1a\n...", "HDF5"),
        (b"MATLAB 5.0 MAT-file, ...", "MATLAB"),
        (b"%PDF-1.7", "PDF"),
        (b'{"rows": []}', "JSON"),
        (b'[{"time": 1}]', "JSON"),
        (b"<!DOCTYPE html><table>", "web page"),
        (b"PK\x03\x04 ... data.csv", "zip archive"),
        (b"PK\x03\x04 ... xl/workbook.bin", "xlsb"),
        (b"BZh9", "bzip2"),
    ],
)
def test_other_kinds(files, start, words):
    folder = files(x__csv=start, y__csv=gzip.compress(start))
    refused(folder / "x.csv", r"x\.csv: this is", words)
    refused(folder / "y.csv", r"y\.csv: this is", words)


def test_a_header_is_no_other_kind(files):
    path = files(x__csv="[time],TDS,<a>\n2024-01-01,1,2\n") / "x.csv"
    assert read_sensor_file(path).shape == (1, 2)


def test_compressed_twice(files):
    path = files(x__csv=gzip.compress(gzip.compress(TEXT.encode()))) / "x.csv"
    refused(path, "compressed twice")


def test_read_sensor_csv_names_the_reader_of_workbooks(files):
    folder = files(x__xlsx=pd.DataFrame({"a": [1]}), x__parquet=pd.DataFrame({"a": []}))
    for name in ("x.xlsx", "x.parquet"):
        with pytest.raises(ValueError, match=f"{name}: .*read_sensor_file"):
            read_sensor_csv(folder / name)


def test_parameters(files):
    path = files(x__csv=TEXT) / "x.csv"
    with pytest.raises(TypeError, match=r"no parameters 'delimiter'.*sheet.* sep,"):
        read_sensor_file(path, delimiter=";")
    for wrong in (3, [], [path, 3], None):
        with pytest.raises(ParameterError) as caught:
            read_sensor_file(wrong)
        assert marked(caught.value).startswith("<path=")
    for sheet in (-1, 1.5, True):
        with pytest.raises(ParameterError) as caught:
            read_sensor_file(path, sheet=sheet)
        assert marked(caught.value).startswith("<sheet=")
    refused(path, "<sheet=0> is for Excel", sheet=0)
    with pytest.raises(FileNotFoundError):
        read_sensor_file(path.with_name("y.csv"))


@pytest.mark.parametrize(
    ("name", "module"), [("x.xlsx", "openpyxl"), ("x.parquet", "pyarrow.parquet")]
)
def test_a_library_that_is_missing(files, monkeypatch, name, module):
    folder = files(x__xlsx=pd.DataFrame({"a": [1]}), x__parquet=pd.DataFrame({"a": []}))
    monkeypatch.setitem(sys.modules, module, None)
    library = module.partition(".")[0]
    with pytest.raises(ImportError, match=rf"{name}: .*'pip install {library}'"):
        read_sensor_file(folder / name)


def test_files_one_after_the_other_need_no_warning(files):
    folder = files(a__csv=part(1), b__csv=part(2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        frame = read_sensor_file(folder)
    assert frame.index.name == "time"
    assert frame.index.is_monotonic_increasing
