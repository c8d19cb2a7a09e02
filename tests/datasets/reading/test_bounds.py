# SPDX-License-Identifier: MIT
"""Files that are made to take long, or much memory: they take neither."""

import gzip
import tracemalloc
import warnings
from itertools import product
from time import process_time

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.datasets.reading.helpers import marked
from tsanomaly._parameter_error import ParameterError
from tsanomaly.datasets import read_sensor_csv

ROW = "2024-01-01,1\n"
MB = 10**6


@pytest.fixture
def cost(write):
    """A function that reads a file, and returns seconds of processor time."""

    def cost(content, **options):
        path = write(content)
        start = process_time()
        with warnings.catch_warnings(action="ignore"):
            try:
                read_sensor_csv(path, **options)
            except ValueError as error:
                assert str(path) in str(error)  # noqa: PT017
        return process_time() - start

    return cost


@pytest.mark.parametrize(
    "cell",
    [
        "1" * 131_000,
        "1" * 131_000 + "x",
        "1," * 65_000,
        "1,234" + ",567" * 30_000 + "x",
        "." * 131_000,
        "1e" + "1" * 131_000,
        "(" * 131_000,
        "2024-01-01" + " " * 131_000 + "x",
        "2024-01-01 00:00:00." + "0" * 131_000 + "x",
        "1-" * 65_000,
        "A" * 131_000 + "b",
        '""' * 60_000,
        "\x1a" * 131_000,
    ],
    ids=lambda cell: cell[:12],
)
def test_a_long_cell(cost, cell):
    """Each is a second, or hours, of a pattern that tries every cut."""
    quoted = f'"{cell}"'
    for content in (
        f"time,a\n2024-01-01,{quoted}\n",
        f"time,{quoted}\n2024-01-01,1\n",
        f"time,a\n{quoted},1\n",
        f"time,label\n2024-01-01,{quoted}\n",
        f"{quoted};time\n1;2024-01-01\n",
    ):
        for options in (
            {},
            {"timestamp": None},
            {"decimal": ",", "na_values": -200},
            {"date_format": "%b %d%m%Y", "timestamp": "time"},
        ):
            assert cost(content, **options) < 2


def test_many_blanks_in_a_time(cost):
    text = "time,a\nJan" + " " * 100_000 + "1012024,1\n"
    assert cost(text, date_format="%b %d%m%Y") < 2


@pytest.mark.parametrize("name", ["c{}", "attack_{}", "t-{}", "Zeit"])
def test_many_columns(cost, name):
    """20,000 of them took half a minute."""
    names = [name.format(i) for i in range(20_000)]
    if name == "Zeit":  # as many names of a time
        letters = [f"{i:b}".replace("0", "_").replace("1", "-") for i in range(20_000)]
        names = [f"Zeit{text}" for text in letters]
    for cell in ("1", "", "1.5", "10.11.12", "2024-01-01"):
        rows = [",".join([f"2024-01-0{day}"] + [cell] * 20_000) for day in (1, 2, 3)]
        content = "\n".join([",".join(["time", *names]), *rows])
        assert cost(content) < 10
    labels = names if name.startswith("attack") else None
    assert cost(content.replace("2024-01-01", "1"), label=labels) < 10
    assert cost(content, timestamp="time", drop=names) < 10


def test_many_shapes_of_times(fails, cost):
    cases = product("jJ", "aA", "nN", ["am", "pm", "AM", "PM", "Am", "Pm"])
    words = [(first + second + third, half) for first, second, third, half in cases]
    shapes = [
        f"1-{month}-2024 1:00:00.{'0' * n}{half}"
        for n in range(1, 30)
        for month, half in words
    ]
    text = "\n".join(["time;a", *(f"{shape};1" for shape in shapes)])
    fails(text, "line 1002", "more than 1,000 ways")
    # Nearly as many as are allowed, and many rows.
    shapes = shapes[:900] + shapes[:1] * 100_000
    text = "\n".join(["time;a", *(f"{shape};1" for shape in shapes)])
    assert cost(text) < 10


def test_a_file_that_unpacks_to_too_much(write):
    """0.5 MB that are 200 MB are not unpacked, at least not beyond the limit."""
    rows = gzip.compress(ROW.encode() * (MB // len(ROW)))
    data = gzip.compress(b"time,a\n") + rows * 200
    assert len(data) < MB
    path = write(data)
    tracemalloc.start()
    try:
        with pytest.raises(ParameterError) as caught:
            read_sensor_csv(path)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    message = marked(caught.value)
    assert "more than 100,000,000 bytes" in message
    assert "100 times the size of the file" in message
    assert "<max_bytes>" in message
    assert most < 250 * MB


def test_the_limit_of_bytes(write, read, fails):
    text = "time,a\n" + "\n".join(f"2024-01-{day:02},1" for day in range(1, 30))
    size = len(text)
    for content in (text, gzip.compress(text.encode())):
        assert len(read(content, max_bytes=size)) == 29
        fails(content, f"more than {size - 1} bytes", "<max_bytes>", max_bytes=size - 1)
    # In several parts, as gzip allows.
    parts = gzip.compress(text.encode()) + gzip.compress(b"\n2024-01-30,1\n")
    assert len(read(parts)) == 30
    fails(parts, "more than", max_bytes=size)
    assert read(text, max_bytes=10**15).shape == (29, 1)


def test_a_compressed_file_of_many_parts(cost):
    data = gzip.compress(("time,a\n" + ROW).encode()) + gzip.compress(b"") * 20_000
    assert cost(data) < 5


def test_the_limit_of_columns(read, fails):
    text = "time;a;b\n2024-01-01;1;2\n"
    assert read(text, max_columns=3).shape == (1, 2)
    fails(text, "line 1", "3 fields", "semicolon", "<max_columns>", max_columns=2)
    fails(text, "line 1", "3 fields", "<sep>", max_columns=2, sep=";")
    fails(text + "1;2;3;4\n", "line 3", "4 fields", max_columns=3)
    fails("time,a\n" + "," * 200_000 + "\n", "line 2", "at most 100,000")
    assert read(text, max_columns=10**15).shape == (1, 2)


def test_more_lines_to_skip_than_there_are(fails):
    fails("time,a\n" + ROW, "empty", "<skiprows", skiprows=10**12)
    fails("time,a\n" + ROW, "empty", "<skiprows", skiprows=10**30)


def test_messages_stay_short(write):
    names = ",".join(f"c{i}" for i in range(20_000))
    text = names + "\n" + ",".join("1" * 20_000) + "\n"
    with pytest.raises(ParameterError, match=r"'c49' and 19,950 others") as caught:
        read_sensor_csv(write(text))
    assert len(str(caught.value)) < 2000


# Files with structure: a few pieces, each repeated up to many times, side by side and
# one below the other. What takes time that grows with a square of any of these numbers
# shows here.
PIECES = st.sampled_from(
    [
        *("1", "0", "9.5", "1.234", "1,5", "1,234", "-", "+", ".", "e", "e5", "nan"),
        *("", " ", "\t", "\xa0", "x", "A", "Ab", "_", "(", "[", ")", "#", "\ufeff"),
        *("2024-01-01", "2024-01-01 10:00", "10:00", "10.11.12", "20240101", "Jan"),
        *("00", ":00", ".0", "T", "Z", "+01", " AM", "1704067200", "01/02/2024"),
        *("time", "Zeit", "date", "label", "attack", "normal", "true", "no", "Row"),
        *(",", ";", "|", '""', '"', "\n", "\r", "\x1a", "气", "ſ", "\x1c", "sep=;"),
    ]
)


def repeated(texts, most):
    """A text, again and again."""
    return st.builds(lambda text, n: text * n, texts, st.integers(1, most))


@st.composite
def structured(draw, n_characters, n_cells):
    """Bytes of a file of rows and columns, with long, many and odd ones among them."""
    piece = st.one_of(PIECES, repeated(PIECES, n_characters))
    cell = st.lists(piece, min_size=1, max_size=3).map("".join)
    cell = st.one_of(cell, cell.map(lambda cell: f'"{cell}"'))

    def row():
        cells = draw(st.lists(cell, max_size=3))
        last, n, is_numbered = draw(
            st.tuples(cell, st.integers(0, n_cells), st.booleans())
        )
        n = min(n, n_characters // (1 + len(last)))
        return cells + [f"{last}{i}" if is_numbered else last for i in range(n)]

    header, *body = (row() for _ in range(draw(st.integers(1, 4))))
    if draw(st.booleans()):  # as long as the header
        cell = draw(st.sampled_from(["1", "", "x", "1,5", "2024-01-01"]))
        width = len(header)
        body = [(cells + [cell] * width)[:width] for cells in body]
    sep = draw(st.sampled_from([",", ";", "\t", "|"]))
    header, *body = (sep.join(cells) for cells in [header, *body])
    times = draw(st.integers(1, 1 + n_characters // (1 + sum(map(len, body)))))
    is_numbered = draw(st.booleans())
    rows = [f"{i}{row}" if is_numbered else row for i in range(times) for row in body]
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    text = draw(st.sampled_from(["", "", "\n", "sep=;\n"])) + end.join([header, *rows])
    encoding = draw(st.sampled_from(["utf-8", "utf-8", "utf-16", "gb18030"]))
    data = text.encode(encoding, "replace")
    if not draw(st.booleans()):
        return data
    size = len(data) // draw(st.integers(1, 3)) + 1
    parts = [data[start : start + size] for start in range(0, len(data), size)]
    return b"".join(gzip.compress(part, mtime=0) for part in parts)


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "timestamp": st.sampled_from([None, "time", ("date", "time")]),
        "label": st.sampled_from([None, "label", "attack"]),
        "decimal": st.sampled_from([".", ","]),
        "sep": st.sampled_from([",", ";", " ", "\t"]),
        "date_format": st.sampled_from(["%Y-%m-%d", "%b %d%m%Y", "%d.%m.%Y %H%M"]),
        "na_values": st.sampled_from([[0], ["x", 1.5], "nan"]),
        "skiprows": st.sampled_from([1, 3, 10**12]),
        "encoding": st.sampled_from(["utf-8", "cp1252"]),
    },
)
IS_THOROUGH = settings().max_examples > 100
SIZES = (50_000, 50_000) if IS_THOROUGH else (2_000, 2_000)


@settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(data=structured(*SIZES), options=OPTIONS)
def test_no_file_takes_long(cost, data, options):
    """5 s and, of a file of 0.1 MB, no more: of quadratic time it would be minutes."""
    seconds = cost(data, **options)
    assert seconds < 1 + 4 * len(data) / MB, (seconds, len(data))


def test_columns_of_a_large_file_are_read_in_parts(read, rng):
    """More cells than are strings of their own at a time."""
    values = rng.normal(size=(70_000, 3)).round(3)
    values[rng.random(values.shape) < 0.1] = np.nan
    times = np.datetime64("2024-01-01") + np.arange(70_000).astype("m8[s]")
    rows = [
        ",".join([str(time), *("" if np.isnan(cell) else repr(cell) for cell in row)])
        for time, row in zip(times, values.tolist(), strict=True)
    ]
    frame = read("\n".join(["time,a,b,c", *rows]))
    np.testing.assert_array_equal(frame, values)
    np.testing.assert_array_equal(frame.index, times.astype("M8[ns]"))
