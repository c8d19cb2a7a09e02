# SPDX-License-Identifier: MIT
"""Workbooks and Parquet files: every value as it is stored, or an error."""

import io
import re
import warnings
import zipfile
from datetime import datetime, time, timedelta
from decimal import Decimal

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.datasets.reading.helpers import marked
from tests.datasets.reading.test_fuzz import EDITS, FUZZ, edit
from tsanomaly.datasets import read_sensor_file

START = datetime(2024, 1, 15, 10)


def workbook(**sheets):
    """Bytes of a workbook, from rows by the names of sheets."""
    book = openpyxl.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in rows:
            sheet.append(row)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def parquet(frame, **options):
    """Bytes of a Parquet file."""
    stream = io.BytesIO()
    frame.to_parquet(stream, **options)
    return stream.getvalue()


def rows_of(values, header=("time", "a")):
    times = [START + timedelta(minutes=row) for row in range(len(values))]
    return [header, *zip(times, values, strict=True)]


@pytest.fixture
def write(tmp_path):
    """A function that writes bytes, and returns the path."""

    def write(data, name="pump.xlsx"):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return write


@pytest.fixture
def read(write):
    """A function that writes and reads bytes, no warning expected."""

    def read(data, **options):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return read_sensor_file(write(data), **options)

    return read


@pytest.fixture
def fails(write):
    """A function that checks that bytes are refused, with all of some words."""

    def fails(data, *patterns, **options):
        path = write(data)
        with pytest.raises(ValueError, match=re.escape(str(path))) as caught:
            read_sensor_file(path, **options)
        message = marked(caught.value)
        for pattern in patterns:
            assert re.search(pattern, message), message

    return fails


def test_cells_of_a_workbook(read):
    header = ["time", "float", "int", "truth", "text", 'a\n"quoted"\tname', "label"]
    book = workbook(
        Data=[
            header,
            [START, 0.1, 987, True, "1.5", 1e-300, 0],
            [START + timedelta(seconds=0.5), 1.234, 1, False, "", None, 1],
            [START + timedelta(seconds=1), None, -(10**15), True, "nan", 2, 0],
        ]
    )
    frame, labels = read(book, return_labels=True)
    assert frame.columns.tolist() == [*header[1:5], 'a "quoted" name']
    assert frame.index[1] == pd.Timestamp("2024-01-15 10:00:00.5")
    np.testing.assert_array_equal(frame["float"], [0.1, 1.234, np.nan])
    np.testing.assert_array_equal(frame["int"], [987, 1, -1e15])
    np.testing.assert_array_equal(frame["truth"], [1, 0, 1])
    np.testing.assert_array_equal(frame["text"], [1.5, np.nan, np.nan])
    np.testing.assert_array_equal(frame['a "quoted" name'], [1e-300, np.nan, 2])
    assert labels["label"].tolist() == [0, 1, 0]


def test_decimal_commas_in_texts_of_a_workbook(read):
    rows = rows_of(["1,5", "1,25"])
    assert read(workbook(Data=rows))["a"].tolist() == [1.5, 1.25]
    rows[1] = (START, 1.5)
    assert read(workbook(Data=rows), decimal=",")["a"].tolist() == [1.5, 1.25]


def test_whole_numbers_that_were_stored_with_an_exponent(read):
    data = workbook(Data=[["time", "a", "label"], [20240115100000, 1, 0]])
    stored = zipfile.ZipFile(io.BytesIO(data))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in stored.namelist():
            content = stored.read(name)
            content = content.replace(b">20240115100000<", b">2.02401151E13<")
            archive.writestr(name, content)
    assert read(stream.getvalue()).index[0] == pd.Timestamp("2024-01-15 10:00")


def test_dates_beside_times_of_day(read):
    day = datetime(2024, 1, 15)
    rows = [["Date", "Time", "a"], [day, time(10), 1], [day, time(10, 1), 2]]
    assert read(workbook(Data=rows)).index[1] == pd.Timestamp("2024-01-15 10:01")
    midnight = rows_of([1, 2])
    midnight[1:] = [(day, 1), (day + timedelta(minutes=1), 2)]
    assert read(workbook(Data=midnight)).index[0] == pd.Timestamp(day)


def test_titles_and_blank_rows_above_the_header(write, fails):
    rows = [["Pump 7"], [], ["made by x"], *rows_of([1, 2]), [], []]
    book = openpyxl.load_workbook(io.BytesIO(workbook(Data=rows)))
    book["Data"].merge_cells("A1:B1")
    book["Data"]["A30"].number_format = "0.00"  # a format, and no value
    stream = io.BytesIO()
    book.save(stream)
    frame = read_sensor_file(write(stream.getvalue()), timestamp="time")
    assert frame["a"].tolist() == [1, 2]
    # A line is a row of the sheet.
    rows[5] = (START, "x")
    fails(workbook(Data=rows), "sheet 'Data', line 6, column 'a'")


def test_a_table_that_does_not_start_in_the_corner(read):
    rows = [[], [], *([None, None, *row] for row in rows_of([1, 2.5]))]
    assert read(workbook(Data=rows))["a"].tolist() == [1, 2.5]


def test_formulas_have_the_values_that_are_stored(read):
    data = workbook(Data=rows_of([1, "=1+1"]))
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            new.writestr(
                name,
                content.replace(b"<v></v>", b"<v>2</v>").replace(b"<v />", b"<v>2</v>"),
            )
    assert read(stream.getvalue())["a"].tolist() == [1, 2]


def test_which_sheet(write, read, fails):
    sheets = {"Cover": [["Pump 7"]], "One": rows_of([1, 2]), "Two": rows_of([3, 4])}
    path = write(workbook(**sheets))
    with pytest.warns(UserWarning, match="pump") as caught:
        assert read_sensor_file(path)["a"].tolist() == [1, 2]
    (warning,) = caught
    assert re.search("'One' was read.*'Two'.*<sheet>", marked(warning.message))
    for sheet in ("Two", 2):
        assert read(workbook(**sheets), sheet=sheet)["a"].tolist() == [3, 4]
    del sheets["Two"]
    assert len(read(workbook(**sheets))) == 2
    for sheet in ("Three", 2):
        fails(workbook(**sheets), f"<sheet={sheet!r}> .*'Cover', 'One'", sheet=sheet)
    fails(
        workbook(Cover=[["Pump 7"]]), "none of the sheets 'Cover' .* contains a table"
    )
    sheets["Cover"] = rows_of([5, 6])
    book = openpyxl.load_workbook(io.BytesIO(workbook(**sheets)))
    book["Cover"].sheet_state = "hidden"
    book.save(path)
    assert read(path.read_bytes())["a"].tolist() == [1, 2]


def test_a_cover_that_looks_like_a_table(fails):
    cover = [["Machine", "P-101"], ["Exported", START], ["By", "me"]]
    data = workbook(Cover=cover, Data=rows_of([1, 2]))
    fails(data, "sheet 'Cover', line .*'Cover' was read.*'Data'.*<sheet>")


def test_limits_of_a_workbook(fails, read):
    data = workbook(Data=rows_of(range(50)))
    fails(data, "unpacks to", "<max_bytes>", max_bytes=len(data))
    assert len(read(data, max_bytes=10**6)) == 50
    # Cells far to the right: every row is as wide as the widest.
    book = openpyxl.Workbook()
    for row in range(1, 200):
        book.active.cell(row, 2000, 1)
    stream = io.BytesIO()
    book.save(stream)
    fails(stream.getvalue(), "holds more than", "<max_bytes>", max_bytes=100_000)
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", b" " * 110_000_000)
    fails(bomb.getvalue(), "unpacks to 110,000,000 bytes", "<max_bytes>")


def test_columns_of_a_parquet_file(read):
    times = pd.date_range("2024-01-15", periods=3, freq="500ms", name="time")
    half = [np.float16(0.5), np.float16("nan"), None]
    table = pa.table(
        {
            "time": times,
            "double": [0.1 + 0.2, None, float("nan")],
            "single": pa.array([0.1, 1.0, None], pa.float32()),
            "half": pa.array(half, pa.float16(), from_pandas=False),
            "int": [2**40, None, -1],
            "truth": [True, False, None],
            "decimal": [Decimal("1E+3"), Decimal("0.0100"), None],
            "words": pa.array(["1.5", "2", None]).dictionary_encode(),
            "label": [0, 1, 0],
        }
    )
    stream = io.BytesIO()
    pyarrow.parquet.write_table(table, stream)
    frame, labels = read(stream.getvalue(), return_labels=True)
    assert frame.index.equals(times)
    np.testing.assert_array_equal(frame["double"], [0.1 + 0.2, np.nan, np.nan])
    np.testing.assert_array_equal(frame["single"], [float(np.float32(0.1)), 1, np.nan])
    np.testing.assert_array_equal(frame["half"], [0.5, np.nan, np.nan])
    np.testing.assert_array_equal(frame["int"], [2.0**40, np.nan, -1])
    np.testing.assert_array_equal(frame["truth"], [1, 0, np.nan])
    np.testing.assert_array_equal(frame["decimal"], [1000, 0.01, np.nan])
    np.testing.assert_array_equal(frame["words"], [1.5, 2, np.nan])
    assert labels["label"].tolist() == [0, 1, 0]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("name", ["when", None])
@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_the_index_of_pandas(read, unit, name, zone):
    step = pd.Timedelta(1, unit)
    times = pd.date_range("2024-01-15 10:00", periods=3, freq=step, name=name, tz=zone)
    index = times.as_unit(unit)
    frame = read(parquet(pd.DataFrame({"a": [1.0, np.nan, 3]}, index)))
    assert frame.index.equals(times.tz_convert("UTC") if zone else times)
    assert frame.index.name == name
    np.testing.assert_array_equal(frame["a"], [1, np.nan, 3])


def test_durations_are_elapsed_seconds(read):
    elapsed = pd.to_timedelta([0, 1.5, 3, 4.5], unit="s")
    stored = pd.DataFrame({"a": [1.0, 2, 3, 4], "run": elapsed}, elapsed)
    for name in [None, "Time"]:
        frame = read(parquet(stored.rename_axis(name)), date_format="s")
        assert frame["run"].tolist() == [0, 1.5, 3, 4.5]
        np.testing.assert_array_equal(frame.index - frame.index[0], elapsed)


def test_numbered_rows_of_a_parquet_file(read):
    frame = pd.DataFrame({"a": [1.0, np.nan, 3, np.nan]})
    for stored in (frame, frame.set_index(pd.Index([7, 8, 9, 10]))):
        found = read(parquet(stored), timestamp=None)
        np.testing.assert_array_equal(found["a"], frame["a"])


def test_what_is_no_table_of_readings(fails, read):
    frame = pd.DataFrame({"time": [START], "a": [1.0], "b": [[1, 2]]})
    fails(parquet(frame), "'b'.*lists", "<drop='b'>")
    assert read(parquet(frame), drop="b").columns.tolist() == ["a"]
    frame = frame.assign(b="x")
    fails(parquet(frame), "line 2, column 'b'", "<drop='b'>")
    fails(parquet(frame), "<max_columns>", max_columns=2)


def test_limits_of_a_parquet_file(fails, read):
    data = parquet(pd.DataFrame({"a": np.zeros(10**5)}))
    assert len(data) < 10**4
    fails(data, "holds more than", "<max_bytes>", max_bytes=10**5, timestamp=None)
    assert len(read(data, timestamp=None)) == 10**5


FRAME = pd.DataFrame(
    {"a": [0.5, np.nan, 2.0], "label": [0, 1, 0]},
    pd.date_range("2024-01-15", periods=3, freq="min", name="time"),
)
WORKBOOK = workbook(Data=rows_of([1, 2.5, None]))
PARQUET = parquet(FRAME)
STORED = zipfile.ZipFile(io.BytesIO(WORKBOOK))
MEMBERS = {name: STORED.read(name) for name in STORED.namelist()}


def check_outcome(path, data):
    """A frame comes out, or an error that names the file."""
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, message=".*pump: ")
        warnings.filterwarnings("ignore", category=UserWarning, message=".*pump, ")
        try:
            frame = read_sensor_file(path)
        except ValueError as error:
            assert str(path) in str(error)  # noqa: PT017
            return
    assert (frame.dtypes == np.float64).all()


@FUZZ
@given(
    whole=st.sampled_from([WORKBOOK, PARQUET]),
    edits=st.lists(EDITS, min_size=1, max_size=3),
)
def test_damaged_files(tmp_path, whole, edits):
    check_outcome(tmp_path / "pump", edit(whole, edits))


@FUZZ
@given(
    name=st.sampled_from(sorted(MEMBERS)), edits=st.lists(EDITS, min_size=1, max_size=3)
)
def test_damaged_parts_of_a_workbook(tmp_path, name, edits):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for member, content in MEMBERS.items():
            content = edit(content, edits) if member == name else content
            archive.writestr(member, content)
    check_outcome(tmp_path / "pump", stream.getvalue())


def test_formulas_without_results_are_told(write):
    """Programs that write a workbook compute none; readings are missing then."""
    rows = rows_of([1.5, 2.5, 3.5, 4.5], ("time", "a"))
    rows = [
        [*row, "b" if not i else f"=B{i + 1}*2" if i > 1 else 7]
        for i, row in enumerate(rows)
    ]
    with pytest.warns(
        UserWarning, match=r"without a stored result.*: 3\. To store"
    ) as told:
        frame = read_sensor_file(write(workbook(data=rows)))
    assert len(told) == 1
    assert frame["b"].isna().tolist() == [False, True, True, True]


def test_formulas_with_results_are_readings(write):
    """Also where the result is an empty text."""
    data = workbook(data=[["time", "a"], [START, "=1+1"], [START, "=A1"], [START, 3]])
    results = {b"<f>1+1</f><v />": b"<f>1+1</f><v>2</v>"}
    results[b'<c r="B3"><f>A1</f><v />'] = b'<c r="B3" t="str"><f>A1</f><v></v>'
    stream = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(stream, "w") as new:
        for name in old.namelist():
            content = old.read(name)
            for before, after in results.items() if "sheet1" in name else ():
                assert before in content
                content = content.replace(before, after)
            new.writestr(name, content)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        frame = read_sensor_file(write(stream.getvalue()))
    assert frame["a"].tolist()[::2] == [2, 3]
    assert not [str(one.message) for one in told if "stored" in str(one.message)]
