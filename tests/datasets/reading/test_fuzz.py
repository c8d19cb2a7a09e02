# SPDX-License-Identifier: MIT
"""Files made by hypothesis: a correct frame, or an error that names the place."""

import csv
import gzip
import io
import re
import warnings
from datetime import datetime, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tsanomaly._parameter_error import Parameter, ParameterError
from tsanomaly.datasets import read_sensor_csv
from tsanomaly.datasets._reading._names import has_time_name
from tsanomaly.datasets._reading._words import is_bad_word

FUZZ = settings(
    max_examples=3 * settings().max_examples,  # files are short
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
MISSING = ["", "nan", "NaN", "NA", "N/A", "#N/A", "null", "NULL", "None", "-", "--"]
ODD_NAMES = [
    "YT.11FI_02044.PV",
    "气化一期",
    "Druck (bar)",
    "Ventil %",
    "Temp °C",
    'so "called"',
    "two\nlines",
    "a,b;c|d",
    "1.5",
    "it's",
    "_",
    "État",
]
NO_SENSOR = re.compile(
    "anomal|abnormal|attack|change|class|fault|ground|label|lable|outlier|target"
    "|unnamed",
    re.IGNORECASE,
)
LINE_BREAK = re.compile(r"\s*[\r\n]\s*")
# How a time is written, and the steps (in seconds) that the format can tell apart.
TIME_FORMATS = {
    "%Y-%m-%d %H:%M:%S": 1,
    "%Y-%m-%dT%H:%M:%S": 1,
    "%Y-%m-%dT%H:%M:%S.%f": 1,
    "%Y-%m-%d %H:%M": 60,
    "%Y-%m-%d": 86400,
    "%Y/%m/%d %H:%M:%S": 1,
    "%d.%m.%Y %H:%M:%S": 1,
    "%d/%m/%Y %H:%M": 60,
    "%m/%d/%Y %I:%M:%S %p": 1,
    "%d-%m-%Y %H:%M:%S": 1,
    "%d-%b-%Y %H:%M:%S": 1,
    "%Y年%m月%d日 %H:%M:%S": 1,
    "%d.%m.%y %H:%M:%S": 1,
    "%m/%d/%y %I:%M %p": 60,
    "%y-%m-%d %H:%M": 60,
    "%Y%m%d%H%M%S": 1,
    "%Y%m%dT%H%M%S": 1,
    "epoch s": 1,
    "epoch ms": 1,
    "epoch us": 1,
    "epoch ns": 1,
}
EPOCH = datetime(1970, 1, 1)


def nanoseconds(time):
    return (time - EPOCH) // timedelta(microseconds=1) * 1000


def write_time(time, time_format):
    if time_format.startswith("epoch"):
        unit = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[time_format[6:]]
        return str(nanoseconds(time) // unit)
    return time.strftime(time_format)


def write_number(number, decimal, style):
    if np.isnan(number):
        return style
    return repr(number).replace(".", decimal)


def write_cell(cell, sep, always_quote):
    if always_quote or any(mark in cell for mark in (sep, '"', "\n", "\r")):
        return '"' + cell.replace('"', '""') + '"'
    return cell


@st.composite
def tables(draw):
    """A true table, and the bytes of a file that says it."""
    sep = draw(st.sampled_from([",", ";", "\t", "|"]))
    decimal = "." if sep == "," else draw(st.sampled_from([".", ","]))
    n_rows = draw(st.integers(1, 12))
    names = draw(
        st.lists(
            st.one_of(
                st.sampled_from(ODD_NAMES),
                st.text(
                    st.characters(codec="utf-8", exclude_characters="\0"), min_size=1
                ),
            ).map(str.strip),
            min_size=1,
            max_size=4,
            unique=True,
        )
    )
    # Hypothesis also draws from the texts in our modules.
    assume(all(names) and not any(map(NO_SENSOR.search, names)))
    assume(not any(map(has_time_name, names)))
    in_one_line = [LINE_BREAK.sub(" ", name) for name in names]
    assume(len(set(in_one_line)) == len(names))
    number = st.one_of(
        st.floats(allow_infinity=False, width=64),
        st.integers(-999, 999).map(float),
        st.integers(-9999, 9999).map(lambda number: number / 8),
    )
    values = draw(
        st.lists(
            st.lists(number, min_size=len(names), max_size=len(names)),
            min_size=n_rows,
            max_size=n_rows,
        )
    )
    time_format = draw(st.sampled_from(sorted(TIME_FORMATS)))
    step = TIME_FORMATS[time_format] * draw(st.sampled_from([1, 5, 7, 30]))
    start = draw(st.datetimes(datetime(2000, 1, 2), datetime(2059, 12, 1)))
    start = start.replace(microsecond=0)
    if TIME_FORMATS[time_format] >= 60:
        start = start.replace(second=0)
    if TIME_FORMATS[time_format] >= 86400:
        start = start.replace(hour=0, minute=0)
    jumps = draw(st.lists(st.integers(-2, 5), min_size=n_rows, max_size=n_rows))
    times = [
        start + timedelta(seconds=step * sum(jumps[:row])) for row in range(n_rows)
    ]
    labels = draw(st.none() | st.lists(st.booleans(), min_size=n_rows, max_size=n_rows))
    missing = draw(st.sampled_from(MISSING))
    always_quote = draw(st.booleans())
    padding = draw(st.sampled_from(["", "", " "]))
    header = ["Timestamp", *names]
    rows = [
        [
            write_time(time, time_format),
            *(write_number(value, decimal, missing) for value in row),
        ]
        for time, row in zip(times, values, strict=True)
    ]
    if labels is not None:
        header.append("is_anomaly")
        words = draw(st.sampled_from([("0", "1"), ("0.0", "1.0"), ("False", "True")]))
        for row, is_anomaly in zip(rows, labels, strict=True):
            row.append(words[is_anomaly])
    line_end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    text = line_end.join(
        (sep + padding).join(write_cell(cell, sep, always_quote) for cell in row)
        for row in [header, *rows]
    )
    text += draw(st.sampled_from(["", line_end, line_end * 2]))
    encoding = draw(
        st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32", "gb18030", "cp1252"])
    )
    try:
        data = text.encode(encoding)
    except UnicodeEncodeError:
        encoding = "utf-8"
        data = text.encode(encoding)
    is_legacy = encoding in ("gb18030", "cp1252")
    if draw(st.booleans()):
        data = gzip.compress(data, mtime=0)
    options = {"encoding": encoding} if is_legacy else {}
    truth = {
        "names": in_one_line,
        "values": np.array(values),
        "times": np.array([nanoseconds(time) for time in times]),
        "labels": labels,
        "sep": sep,
        "decimal": decimal,
        "time_format": time_format,
        "text": text,
    }
    return data, options, truth


@pytest.fixture
def path(tmp_path):
    return tmp_path / "readings.csv"


def read(path, data, **options):
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=UserWarning, message=".*csv[:,]")
        return read_sensor_csv(path, return_labels=True, **options)


@FUZZ
@given(table=tables())
def test_what_was_written_is_read(path, table):
    data, options, truth = table
    for _ in range(3):  # separator, order of the date, decimal mark
        try:
            frame, labels = read(path, data, **options)
        except ParameterError as error:
            options |= cure(error, truth)
    frame, labels = read(path, data, **options)
    order = np.argsort(truth["times"], kind="stable")
    assert list(frame.columns) == truth["names"]
    np.testing.assert_array_equal(frame.index.asi8, truth["times"][order])
    np.testing.assert_array_equal(frame.to_numpy(), truth["values"][order])
    assert (frame.dtypes == np.float64).all()
    if truth["labels"] is None:
        assert labels.shape[1] == 0
    else:
        expected = np.array(truth["labels"])[order]
        np.testing.assert_array_equal(labels["is_anomaly"], expected)


def cure(error, truth):
    """Parameters for the few files that may be read in two ways, as the error says."""
    parameters = [part for part in error.args if isinstance(part, Parameter)]
    (name,) = {parameter.name for parameter in parameters}
    values = [parameter.value for parameter in parameters if parameter.has_value]
    if name == "date_format":
        date_format = truth["time_format"].removeprefix("epoch ")
        assert date_format in values
        return {name: date_format}
    assert name in ("sep", "decimal"), str(error)
    assert values in ([], [truth[name]])
    return {name: truth[name]}


INSERTED = [
    *('"', ",", ";", "\n", "\r", "\t", "x", "1", "-", ".", " ", "e", "/", ":", "|"),
    *("\0", "1,5", "1.5", "nan", "气", "1_0", "1e999", "0x1F", "inf", "\ufeff", '""'),
    *("\n\n", "١", "１", "\xa0", "2024-01-01", "\x1c", "true", "1 234", "-1", "°"),
]
DAMAGE = [b"\xff", b"\xa0", b"\x1f\x8b", b"\xb0", b"\xc6\xf8"]  # no UTF-8

EDITS = st.tuples(
    st.sampled_from(["delete", "insert", "replace", "cut", "repeat"]),
    st.floats(0, 1, exclude_max=True),
    st.sampled_from([text.encode() for text in INSERTED] + DAMAGE),
)


def edit(data, edits):
    for kind, where, what in edits:
        position = int(where * len(data))
        if kind == "delete":
            data = data[:position] + data[position + 1 :]
        elif kind == "insert":
            data = data[:position] + what + data[position:]
        elif kind == "replace":
            data = data[:position] + what + data[position + len(what) :]
        elif kind == "cut":
            data = data[:position]
        else:
            data = data[:position] + data[position // 2 :]
    return data


def outcome(path, data, **options):
    """What is read, or None for an error, which names the file."""
    try:
        return read(path, data, **options)
    except Exception as error:
        message, kind = str(error), type(error)
    assert kind in (ValueError, ParameterError), (kind, message)
    assert str(path) in message
    return None


def check_frame_or_place(path, data, sep):
    """Read bytes, and check what comes out against a slow reading of the cells."""
    result = outcome(path, data)
    if result is not None:
        check_against_cells(data, sep, *result)


def check_against_cells(data, sep, frame, labels):
    """Every value of a frame stands in the file, in the row of its time."""
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    for encoding in ("utf-8-sig", "utf-16", "utf-32"):
        try:
            text = data.decode(encoding)
        except UnicodeError:
            continue
        if "\0" not in text:
            break
    else:
        text = data.decode("cp1252", "replace")  # signs in names, digits are ASCII
    reader = csv.reader(
        io.StringIO(text.lstrip("\ufeff"), newline=""),
        delimiter=sep,
        strict=True,
        skipinitialspace=True,
    )
    rows = [[cell.strip() for cell in row] for row in reader]
    rows = [row for row in rows if any(row)]
    time_name = frame.index.name or ""
    start = next(
        i
        for i, row in enumerate(rows)
        if time_name in row and len(row) > frame.shape[1]
    )
    for row in rows[:start]:  # a banner
        assert not any(map(is_time, row))
    header, *rows = rows[start:]
    if all(len(row) > len(header) and not row[-1] for row in rows):
        rows = [row[:-1] for row in rows]
    position = header.index(time_name)
    while len(rows) > len(frame) and not is_time(rows[0][position]):
        row = rows.pop(0)  # units
        assert len(row) <= len(header)
        assert not any(re.fullmatch(r"[0-9.,]{2,}", cell) for cell in row)
    if len(rows) > len(frame):
        row = rows.pop()  # it was cut, or is none
        assert len(row) < len(header) or not is_time(row[position]) or row[-1]
    assert {len(row) for row in rows} == {len(header)}
    assert len(rows) == len(frame)
    # Rows are put in time order, those of one time in the order of the file.
    rows = sorted(rows, key=lambda row: slow_time(row[position]))
    times = [slow_time(row[position]) for row in rows]
    np.testing.assert_array_equal(frame.index.asi8, times)
    for column in frame.columns.intersection(header):
        cells = [row[header.index(column)] for row in rows]
        expected = np.array([slow_number(cell, sep) for cell in cells])
        np.testing.assert_array_equal(frame[column], expected)
    for column in labels.columns:
        cells = [row[header.index(column)].lower() for row in rows]
        expected = [bool(re.fullmatch(r"1(?:[.]0*|,0+)?|true", cell)) for cell in cells]
        np.testing.assert_array_equal(labels[column], expected)


def slow_number(cell, sep):
    """A number by the rules of the docstring, with one mark for every digit."""
    if cell in MISSING or cell.lower() in ("nan", "+nan", "-nan") or is_bad_word(cell):
        return np.nan
    if cell.lower() in ("true", "false"):
        return float(cell.lower() == "true")
    assert re.fullmatch(r"[-+0-9.,eE]+|[-+]?(?i:inf|infinity)", cell, re.ASCII), cell
    assert "," not in cell or (sep != "," and "." not in cell), cell
    return float(cell.replace(",", "."))


def is_time(cell):
    """Whether a cell is a time of those formats."""
    try:
        slow_time(cell)
    except (AssertionError, ValueError):
        return False
    return True


def slow_time(cell):
    """Nanoseconds of the formats that the corrupted files are written in."""
    match = re.fullmatch(
        r"(\d{4})([-/])(\d{1,2})\2(\d{1,2})[T ,]+(\d{1,2}):(\d\d)(?::(\d\d))?"
        r"(?:[.,](\d{1,9}))?( ?[AP]M)?",
        cell,
        re.ASCII,
    )
    if match:
        year, _, month, day, hour, minute, second, fraction, half = match.groups()
        assert half is None
        time = datetime(*map(int, (year, month, day, hour, minute, second or 0)))
        return nanoseconds(time) + int((fraction or "").ljust(9, "0"))
    match = re.fullmatch(
        r"(\d\d?)\.(\d\d?)\.(\d{4}),? +(\d\d?):(\d\d)(?::(\d\d))?(?:[.,](\d{1,9}))?",
        cell,
        re.ASCII,
    )
    assert match, cell
    *parts, fraction = match.groups()
    day, month, year, *clock = (int(part or 0) for part in parts)
    time = nanoseconds(datetime(year, month, day, *clock))
    return time + int((fraction or "").ljust(9, "0"))


def plain_file(sep, decimal, time_format, n_rows, eol):
    rng = np.random.default_rng(n_rows)
    lines = [sep.join(["timestamp", "Druck (bar)", "气化一期", "is_anomaly"])]
    for row in range(n_rows):
        time = datetime(2024, 1, 31, 23, 58) + timedelta(seconds=30 * row)
        numbers = [f"{value:.4f}".replace(".", decimal) for value in rng.normal(size=2)]
        lines.append(sep.join([time.strftime(time_format), *numbers, str(row % 2)]))
    return eol.join(lines).encode() + eol.encode()


@FUZZ
@given(
    sep_decimal=st.sampled_from([",.", ";,", ";.", "\t,", "|."]),
    time_format=st.sampled_from(["%Y-%m-%d %H:%M:%S", "%d.%m.%Y %H:%M:%S"]),
    n_rows=st.integers(1, 8),
    eol=st.sampled_from(["\n", "\r\n", "\r"]),
    edits=st.lists(EDITS, min_size=1, max_size=4),
)
def test_a_corrupted_file(path, sep_decimal, time_format, n_rows, eol, edits):
    sep, decimal = sep_decimal
    data = edit(plain_file(sep, decimal, time_format, n_rows, eol), edits)
    check_frame_or_place(path, data, sep)


@FUZZ
@given(
    edits=st.lists(EDITS, min_size=0, max_size=3),
    outer_edits=st.lists(EDITS, min_size=0, max_size=2),
)
def test_a_corrupted_compressed_file(path, edits, outer_edits):
    data = edit(plain_file(",", ".", "%Y-%m-%d %H:%M:%S", 5, "\n"), edits)
    data = edit(gzip.compress(data, mtime=0), outer_edits)
    check_frame_or_place(path, data, ",")


CELLS = st.one_of(
    st.text(alphabet='0123456789.,-+e:/ T"%_', max_size=6),
    st.sampled_from(["time", "a", "b", "label", "2024-01-01", "10:00", "1.5", "1,5"]),
    st.sampled_from(["true", "nan", "", "20240101", "1704067200", "x", "12.05.2024"]),
    st.sampled_from(["tag", "value", "M1", "on", "Good", "Bad", "a_Quality", "Total"]),
    st.sampled_from(["degC", "<5", "_time", "_value", "#group", "-9999", "#", "2024"]),
)


@FUZZ
@given(
    data=st.one_of(
        st.binary(max_size=60),
        st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace")),
        st.lists(st.lists(CELLS, min_size=1, max_size=4).map(";".join), max_size=5).map(
            lambda lines: "\n".join(lines).encode()
        ),
    ),
    timestamp=st.sampled_from(["auto", None, "time"]),
    options=st.sampled_from(
        [
            *({}, {"header_rows": 1}, {"header_rows": 3}, {"long": None}, {"by": "a"}),
            *({"long": ("tag", "value")}, {"quality": ["a"]}, {"quality": None}),
        ]
    ),
)
def test_anything(path, data, timestamp, options):
    outcome(path, data, timestamp=timestamp, **options)


@FUZZ
@given(edits=st.lists(EDITS, min_size=0, max_size=4), kind=st.integers(0, 3))
def test_a_corrupted_table_of_another_kind(path, edits, kind):
    times = [f"2024-01-15 10:0{minute}:00" for minute in range(6)]
    lines = [
        ["Plant;A", "Time,a,b", ",degC,bar", *(f"{time},1,2" for time in times)],
        ["time,tag,value", *(f"{time},T{k},{k}" for time in times for k in range(2))],
        ["time,a,a_Quality", *(f"{time},1,Good" for time in times), "Total,6,"],
        [
            "#datatype,string,long,dateTime:RFC3339,double,string",
            ",result,table,_time,_value,_field",
            *(f",,0,{time},1,t" for time in times),
        ],
    ][kind]
    result = outcome(path, edit("\n".join(lines).encode(), edits))
    if not edits:
        assert result is not None
