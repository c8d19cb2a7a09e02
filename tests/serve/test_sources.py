# SPDX-License-Identifier: MIT
"""Lines of streams, and of files that grow, are rotated or truncated."""

import io
import os

import pytest

from tests.serve.conftest import CHANNELS
from tsanomaly._serve._readings import ReadingFormat
from tsanomaly._serve._sources import FileSource, StreamSource

FORM = ReadingFormat(CHANNELS)
HEADER = "time,flow,pressure\n"


def line(minute):
    return f"2024-01-01T00:{minute:02d}:00,{minute},0\n"


def minutes(batches):
    return [int(reading.values[0]) for readings, _ in batches for reading in readings]


def test_a_stream_to_its_end():
    text = HEADER + "".join(map(line, range(5))).rstrip("\n")
    assert minutes(StreamSource(io.BytesIO(text.encode()), FORM).batches()) == [
        *range(5)
    ]


@pytest.mark.skipif(os.name != "posix", reason="pipes of POSIX")
def test_a_stream_yields_what_there_is():
    receiver, sender = os.pipe()
    with open(receiver, "rb") as stream, open(sender, "wb", buffering=0) as pipe:
        batches = StreamSource(stream, FORM).batches()
        pipe.write((HEADER + line(0) + line(1)[:10]).encode())
        assert minutes([next(batches)]) == [0]
        pipe.write(line(1)[10:].encode())
        assert minutes([next(batches)]) == [1]


@pytest.fixture
def log(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text(HEADER + line(0))
    return path


def append(path, text):
    with open(path, "a") as file:
        file.write(text)


def follow(log, position=None, warn=pytest.fail):
    source = FileSource(log, FORM, warn, follow=True, position=position, pause=0)
    return source.batches()


def some(batches):
    """What a file that is followed has now, up to its end."""
    found, position = [], None
    for readings, where in batches:
        found += minutes([(readings, where)])
        if where is None:
            return found, position
        position = where[1]
    raise AssertionError("a file that is followed has no end")


def test_a_file_to_its_end(log):
    append(log, line(1).rstrip("\n"))
    assert minutes(FileSource(log, FORM, pytest.fail, follow=False).batches()) == [0, 1]


def test_a_file_that_grows(log):
    batches = follow(log)
    assert some(batches)[0] == [0]
    append(log, line(1) + line(2)[:8])
    assert some(batches)[0] == [1]
    append(log, line(2)[8:])
    assert some(batches)[0] == [2]


def test_a_file_that_is_rotated(log):
    batches = follow(log)
    some(batches)
    append(log, line(1))
    log.rename(log.with_suffix(".csv.1"))
    assert some(batches)[0] == [1]  # there is no new one yet
    append(log.with_suffix(".csv.1"), line(2))
    log.write_text(HEADER + line(3))
    assert some(batches)[0] == [2, 3]


def test_a_file_that_is_cut_begins_anew(log):
    batches = follow(log)
    append(log, line(1))
    some(batches)
    log.write_text(HEADER)
    assert some(batches)[0] == []
    append(log, line(2))
    assert some(batches)[0] == [2]


def test_a_position_is_gone_on_from(log):
    append(log, line(1) + line(2)[:8])
    _, position = some(follow(log))
    append(log, line(2)[8:])
    assert some(follow(log, position))[0] == [2]


def test_a_file_that_was_rotated_meanwhile_is_found_again(log):
    _, position = some(follow(log))
    append(log, line(1))
    log.rename(log.with_suffix(".csv.1"))
    log.write_text(HEADER + line(2))
    assert some(follow(log, position))[0] == [1, 2]


def rotate(log, to, minute, time):
    """Rename the log, which was last written at a time, and begin another."""
    os.utime(log, (time, time))
    log.rename(log.with_name(log.name + to))
    log.write_text(HEADER + line(minute))


@pytest.mark.parametrize("is_followed", [False, True])
@pytest.mark.parametrize("name", ["log.csv", "log[1].csv"])
def test_files_that_were_rotated_meanwhile_are_read_in_order(
    name, is_followed, tmp_path
):
    log = tmp_path / name
    log.write_text(HEADER + line(0))
    _, position = some(follow(log))
    rotate(log, ".2", 1, 100)
    rotate(log, ".1", 2, 200)
    rotate(log, ".gz", 3, 300)  # which holds no lines
    if is_followed:
        assert some(follow(log, position))[0] == [1, 3]
    else:
        source = FileSource(log, FORM, pytest.fail, follow=False, position=position)
        assert minutes(source.batches()) == [1, 3]


def test_a_file_that_is_gone_begins_anew(log):
    _, position = some(follow(log))
    other = log.with_name("other.csv")
    other.write_text(HEADER + line(7))
    other.replace(log)
    said = []
    assert some(follow(log, position, said.append))[0] == [7]
    assert "no longer exists" in said[0]


def test_another_file_of_the_same_number_begins_anew(log):
    _, position = some(follow(log))
    log.write_text(HEADER + line(7) + line(8))  # in place, as if it were recreated
    said = []
    assert some(follow(log, position, said.append))[0] == [7, 8]
    assert len(said) == 1


def test_a_file_that_is_followed_is_waited_for(tmp_path):
    log, said = tmp_path / "log.csv", []
    batches = follow(log, warn=said.append)
    assert next(batches) == next(batches) == ([], None)
    assert len(said) == 1
    log.write_text(HEADER + line(0))
    assert some(batches)[0] == [0]
