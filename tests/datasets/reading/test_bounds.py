# SPDX-License-Identifier: MIT
"""Files that are built to take much time or memory: they take little."""

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
            {"timestamp": None, "decimal": ",", "na_values": -200},
            {"timestamp": "time", "date_format": "%b %d%m%Y"},
        ):
            assert cost(content, **options) < 2


def test_many_blanks_in_a_time(cost):
    text = "time,a\nJan" + " " * 100_000 + "1012024,1\n"
    assert cost(text, date_format="%b %d%m%Y") < 2


def names_of_times(n):
    """Names that all say time, spelled in as many ways."""
    marks = str.maketrans("01", "-_")
    return [f"Zeit{i:b}".translate(marks) for i in range(n)]


MANY = 10_000
NUMBERED = [f"c{i}" for i in range(MANY)]
LABELS = [f"attack_{i}" for i in range(MANY)]


@pytest.mark.parametrize(
    ("names", "cell", "options"),
    [
        (NUMBERED, "1", {}),
        (NUMBERED, "", {}),
        (NUMBERED, "2024-01-01", {}),
        (NUMBERED, "1", {"timestamp": "time", "drop": NUMBERED[1:]}),
        (NUMBERED, "1", {"timestamp": None, "drop": "c", "na_values": list(range(99))}),
        (NUMBERED, "1,5", {"sep": ";"}),
        (LABELS, "1", {}),
        (LABELS, "0", {"label": LABELS}),
        (names_of_times(MANY), "1", {}),
        (names_of_times(MANY), "10.11.12", {}),
        (names_of_times(MANY), "10.11.12", {"date_format": "%d.%m.%y"}),
    ],
)
def test_many_columns(cost, names, cell, options):
    """Time by pairs of columns would be over 10 s."""
    sep = options.get("sep", ",")
    rows = [sep.join([f"2024-01-0{day}"] + [cell] * len(names)) for day in (1, 2, 3)]
    assert cost("\n".join([sep.join(["time", *names]), *rows]), **options) < 8


def test_many_shapes_of_times(fails, cost):
    cases = product("jJ", "aA", "nN", ["am", "pm", "AM", "PM", "Am", "Pm"])
    words = [(first + second + third, half) for first, second, third, half in cases]
    shapes = [
        f"1-{month}-2024 1:00:00.{'0' * n}{half}"
        for n in range(1, 30)
        for month, half in words
    ]
    text = "\n".join(["time;a", *(f"{shape};1" for shape in shapes)])
    fails(text, "line 1002", "more than 1,000 formats")
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
    fails("time,a\n" + "," * 200_000 + "\n", "line 2", "limit is 100,000")
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


# Files with structure: few names and cells, some of them long, in many rows and
# columns. What takes time that grows with the square of any of these numbers shows.
NUMBERS = st.sampled_from(["1", "9.5", "1.234", "987", "-1,5", "0.1234567890123456789"])
PIECES = st.sampled_from(
    [
        *("1", "0", "9.5", "1.234", "1,5", "1,234", "987", "-", "+", ".", "e", "1e5"),
        *("", "nan", "true", "no", "normal", "A", "Ab", "x", "_", "(", "[", ")", "#"),
        *(" ", "\t", "\xa0", "\ufeff", "气", "ſ", "\x1c", "\x1a", "\n", "\r", '"'),
        *("2024-01-01", "2024-01-01 10:00", "10:00", "10.11.12", "20240101", "Jan"),
        *("00", ":00", ".0", "T", "Z", "+01", " AM", "1704067200", "01/02/2024"),
        *("time", "Zeit", "date", "label", "attack", "Row", "Unnamed: 1", ",", ";"),
    ]
)
TIMES = st.sampled_from(
    [
        "2024-01-{:02} {:02}:{:02}:{:02}",
        "{:02}.01.2024 {:02}:{:02}:{:02},5",
        "{}/31/2024 {:02}:{:02}:{:02}",
        "202401{:02}{:02}{:02}{:02}",
        "1-Jan-2024 {:02}:{:02}:{:02}.{:09}",
        "17040{:02}{:02}{:02}{:02}",
    ]
)


@st.composite
def structured(draw, size):
    """Bytes of files of about a size, most of them with rows as long as the header."""
    cell = st.lists(
        st.one_of(PIECES, st.builds(str.__mul__, PIECES, st.integers(1, size))),
        min_size=1,
        max_size=2,
    ).map("".join)
    sep = draw(st.sampled_from([",", ";", "\t", "|"]))
    is_quoted = draw(st.booleans())

    def quote(cell):
        if is_quoted or any(mark in cell for mark in (sep, '"', "\n", "\r")):
            return '"' + cell.replace('"', '""') + '"'
        return cell

    # Names, the cells that alternate below each, and how often they stand side by side
    groups = draw(
        st.lists(
            st.tuples(
                cell,
                st.lists(NUMBERS | cell, min_size=1, max_size=3),
                st.integers(1, size),
            ),
            min_size=1,
            max_size=3,
            unique_by=lambda group: group[0],
        )
    )
    widths = [1 + max(map(len, cells)) for _, cells, _ in groups]
    n_rows = min(draw(st.integers(1, size)), 1 + size // sum(widths))
    header, tails = [draw(st.sampled_from(["time", "Zeit", "", "x"]))], [[]] * 6
    for (name, cells, n), width in zip(groups, widths, strict=True):
        n = min(n, 1 + size // (n_rows * width + len(name)))
        header += [quote(f"{name}{i or ''}") for i in range(n)]
        tails = [
            [*tail, *[quote(cells[row % len(cells)])] * n]
            for row, tail in enumerate(tails)
        ]
    tails = [sep.join(tail) for tail in tails]
    time = draw(TIMES)
    parts = (
        (1 + i // 86400, i // 3600 % 24, i // 60 % 60, i % 60) for i in range(n_rows)
    )
    rows = (
        f"{quote(time.format(*part))}{sep}{tails[row % 6]}"
        for row, part in enumerate(parts)
    )
    end = draw(st.sampled_from(["\n", "\r\n", "\r"]))
    text = end.join([sep.join(header), *rows])
    if draw(st.integers(0, 4)) == 0:
        position = draw(st.integers(0, len(text)))
        text = text[:position] + draw(cell) + text[position:]
    encoding = draw(st.sampled_from(["utf-8", "utf-8", "utf-8", "utf-16", "gb18030"]))
    data = text.encode(encoding, "replace")
    if draw(st.booleans()):
        return data
    length = len(data) // draw(st.integers(1, 3)) + 1
    parts = [data[start : start + length] for start in range(0, len(data), length)]
    return b"".join(gzip.compress(part, mtime=0) for part in parts)


OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "timestamp": st.sampled_from([None, None, "time", "x"]),
        "label": st.sampled_from([None, "label", "attack"]),
        "decimal": st.sampled_from([".", ","]),
        "sep": st.sampled_from([",", ";", " ", "\t"]),
        "date_format": st.sampled_from(["%Y-%m-%d %H:%M:%S", "%b %d%m%Y", "%Y%m%d%H"]),
        "na_values": st.sampled_from([[0], ["x", 1.5], "nan"]),
        "skiprows": st.sampled_from([1, 3, 10**12]),
        "encoding": st.sampled_from(["utf-8", "gb18030"]),
    },
).filter(lambda options: len(options) < 4)
SIZE = 100_000 if settings().max_examples > 100 else 3000


@settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(data=structured(SIZE), options=OPTIONS)
def test_no_file_takes_long(cost, data, options):
    """5 s for 1 MB, and 1 s for a small one: of quadratic time it would be minutes."""
    text = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
    assert cost(data, **options) < 1 + 4 * len(text) / MB


def test_a_file_that_is_read_in_parts(read, fails, rng):
    """Longer than what is split at once, and with quotes far below the first row."""
    values = rng.integers(-999, 999, size=(10_000, 100)) / 8
    values[rng.random(values.shape) < 0.1] = np.nan
    rows = [",".join(map(repr, row)) for row in values.tolist()]
    rows[9_900] = ",".join(f'" {cell!r} "' for cell in values[9_900].tolist())
    text = "\r\n".join([",".join(f"c{i}" for i in range(100)), *rows])
    assert len(text) > 5_000_000
    np.testing.assert_array_equal(read(text, timestamp=None), values)
    wrong = text.replace(rows[10], rows[10].rpartition(",")[0] + ",x")
    fails(wrong, "line 12", "'c99'", "'x'", timestamp=None)
    wrong = text.replace(rows[9_990], "1,2")
    fails(wrong, "line 9992", "2 fields", timestamp=None)
