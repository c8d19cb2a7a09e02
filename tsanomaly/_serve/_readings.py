# SPDX-License-Identifier: MIT
"""Readings as they arrive, as lines or as the body of a request."""

import csv
import json
import math
import re
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np

__all__ = [
    "MACHINE",
    "LineReader",
    "Reading",
    "ReadingFormat",
    "Rejected",
    "TooManyReadings",
    "read_body",
]

# Name of a single machine.
MACHINE = "machine"

# Names of time columns and keys, in upper or lower case.
_TIMES = {"time", "timestamp", "datetime", "date", "ts"}

# Words for missing readings, besides empty values.
_MISSING = {"", "nan", "null", "none", "na", "n/a"}

_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")

_LONGEST_NAME = 200

# Whole numbers with this many digits are seconds since 1970, not dates.
_EPOCH_DIGITS = 9

# Later than any time in seconds, and earlier than any time in milliseconds.
_LAST_SECOND = 1e11


class Reading(NamedTuple):
    """The readings of one machine at one time."""

    machine: str
    time: np.datetime64  # in UTC without a zone, NaT if there is none
    values: list  # of float, one for each channel, NaN where one is missing


class Rejected(NamedTuple):
    """A rejected reading."""

    reason: str  # the reason, which is counted
    message: str


class ReadingFormat:
    """Converts records to readings.

    Parameters
    ----------
    channels : list of str
        Names of the channels, in order.
    by : str or None
        The column, or key, of the machine's name; None for a single machine.
    timestamp : str or None, default=None
        The column, or key, of the time. None uses the first one named time, timestamp,
        datetime, date or ts that is not a channel.
    na_values : sequence of str, default=()
        Further words for missing readings. Numbers match as written and by value, as in
        :func:`tsanomaly.datasets.read_sensor_csv`.
    """

    def __init__(self, channels, by=None, timestamp=None, na_values=()):
        self.channels = list(channels)
        self.by = by
        self.timestamp = timestamp
        self._missing_words = {word.strip() for word in na_values}
        self._missing_numbers = set(map(_as_number, self._missing_words)) - {None}

    def read(self, record):
        """Convert a mapping of names to values.

        Parameters
        ----------
        record : object
            A parsed record. Keys that are not channels are ignored.

        Returns
        -------
        reading : Reading or Rejected
        """
        if not isinstance(record, dict):
            return _malformed(
                "A reading must be an object of names and values, got "
                f"{_shown(record)}."
            )
        try:
            return Reading(
                self._machine(record), self._time(record), self._values(record)
            )
        except ValueError as error:
            return _malformed(str(error))

    def _machine(self, record):
        if self.by is None:
            return MACHINE
        name = record.get(self.by)
        if isinstance(name, int) and not isinstance(name, bool):
            name = str(name)
        if not isinstance(name, str) or not name.strip():
            raise ValueError(
                f"{self.by!r} must name the machine, got {_shown(name)}. Send a text "
                "or a whole number."
            )
        if len(name) > _LONGEST_NAME or not name.isprintable():
            raise ValueError(
                f"{self.by!r} has {len(name):,} characters, or some that are "
                f"invisible. Send a name of at most {_LONGEST_NAME} printable "
                "characters."
            )
        return name

    def _time(self, record):
        name = self.timestamp
        if name is None:
            names = (name for name in record if name.lower() in _TIMES)
            others = (*self.channels, self.by)
            name = next((name for name in names if name not in others), None)
        value = None if name is None else record.get(name)
        if value is None or value == "":
            return np.datetime64("NaT", "ns")
        try:
            return _read_time(value)
        except (ValueError, OverflowError, OSError):
            raise ValueError(
                f"{name!r} is not a time: {_shown(value)}. Send it as ISO 8601, such "
                "as "
                "2024-01-31T08:00:00Z, or as seconds since 1970."
            ) from None

    def _values(self, record):
        missing = [name for name in self.channels if name not in record]
        if missing:
            raise ValueError(
                f"There is no {', '.join(map(repr, missing[:5]))}"
                + (f" and {len(missing) - 5} more" if len(missing) > 5 else "")
                + ". Send every channel, and null for missing readings."
            )
        return [self._value(name, record[name]) for name in self.channels]

    def _value(self, name, value):
        if isinstance(value, str) and value.strip() in self._missing_words:
            return math.nan
        number = _read_number(name, value)
        return math.nan if number in self._missing_numbers else number


def _as_number(word):
    """Return the value of a word, or None."""
    try:
        return _read_number("", word)
    except ValueError:
        return None


def _read_number(name, value):
    kind = type(value)
    if kind is str:
        text = value.strip()
        if text.lower() in _MISSING:
            return math.nan
        try:
            # Python also accepts 1_000.
            number = math.inf if "_" in text else float(text)
        except ValueError:
            number = math.inf
    elif kind is float or kind is int or kind is bool:
        try:
            number = float(value)
        except OverflowError:
            number = math.inf
    elif value is None:
        return math.nan
    else:
        number = math.inf
    if math.isinf(number):
        if kind is str and _DECIMAL_COMMA.fullmatch(value.strip()):
            raise ValueError(
                f"{name!r} has a decimal comma: {_shown(value)}. Send numbers with a "
                "decimal point, or score the file with tsanomaly detect."
            )
        raise ValueError(
            f"{name!r} is not a finite number: {_shown(value)}. Send a number, or null "
            "for a missing reading."
        )
    return number


def _read_time(value):
    if isinstance(value, str):
        text = value.strip()
        digits = text.partition(".")[0]
        if not (digits.isdecimal() and len(digits) >= _EPOCH_DIGITS):
            moment = datetime.fromisoformat(text)
            if moment.tzinfo is not None:
                moment = moment.astimezone(UTC).replace(tzinfo=None)
            return _in_range(np.datetime64(moment, "us"))
        value = float(text)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError
    if abs(value) >= _LAST_SECOND:
        value = value / 1000
    return _in_range(np.datetime64(round(value * 1e6), "us"))


def _in_range(time):
    """Convert a time to nanoseconds, whose range is a few centuries."""
    if not np.datetime64("1678") < time < np.datetime64("2262"):
        raise ValueError
    return time.astype("datetime64[ns]")


def _malformed(message):
    return Rejected("malformed", message)


def _shown(value):
    """Shorten a value for a message."""
    if isinstance(value, str):
        return repr(value[:40]) + (" …" if len(value) > 40 else "")
    if isinstance(value, int) and abs(value) > 10**40:
        return "a number of more than 40 digits"
    text = repr(value) if isinstance(value, (int, float)) else type(value).__name__
    return "nothing" if value is None else text


def _as_json(text):
    """Parse JSON; raise ValueError for any error."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _read_fields(line, sep):
    try:
        return next(csv.reader([line], delimiter=sep), [])
    except csv.Error as error:
        raise ValueError(str(error)) from None


def _separator(header, form):
    """Find the separator of a header: the one that yields most channels."""
    known = {*form.channels, form.by, form.timestamp}

    def n_known(sep):
        return len(known.intersection(_read_fields(header, sep)))

    return max(",;\t", key=n_known)


class LineReader:
    """Reads lines: JSON objects, or CSV below a header.

    Parameters
    ----------
    form : ReadingFormat
    header : str or None, default=None
        The header, if the lines start after it.

    Attributes
    ----------
    header : str or None
        The header once it is known; None for JSON.
    """

    def __init__(self, form, header=None):
        self._form = form
        self.header = None
        self._names, self._sep = None, ","
        self._wrong = None  # what is wrong with the first line
        if header is not None:
            self._begin(header)

    def read(self, line):
        """Read a line.

        Parameters
        ----------
        line : bytes or str

        Returns
        -------
        reading : Reading, Rejected or None
            None for a header and for an empty line.
        """
        if isinstance(line, bytes):
            try:
                line = line.decode("utf-8-sig")
            except UnicodeDecodeError as error:
                return _malformed(f"The line is not UTF-8 ({error.reason}).")
        line = line.strip("\r\n")
        if not line.strip():
            return None
        try:
            return self._read(line)
        except ValueError as error:
            return _malformed(f"The line cannot be read: {error}.")

    def _read(self, line):
        # Each line is checked, so that logs may mix both formats.
        if line.lstrip().startswith(("{", "[")):
            return self._form.read(_as_json(line))
        if line == self.header:
            return None
        if self._names is None:
            return self._begin(line)
        fields = _read_fields(line, self._sep)
        if len(fields) != len(self._names):
            return _malformed(
                f"The line has {len(fields)} fields, but the header has "
                f"{len(self._names)}. Send complete lines."
            )
        return self._form.read(dict(zip(self._names, fields, strict=True)))

    def _begin(self, header):
        sep = _separator(header, self._form)
        names = [name.strip() for name in _read_fields(header, sep)]
        missing = [name for name in self._form.channels if name not in names]
        if missing:
            # A later line may be a header, but is not said to be the first one.
            self._wrong = self._wrong or _malformed(
                f"The first line does not name {', '.join(map(repr, missing[:5]))}. "
                "Begin with a header that names every channel, or send JSON objects."
            )
            return self._wrong
        self.header, self._names, self._sep = header, names, sep
        return None


class TooManyReadings(ValueError):
    """A body with more readings than are accepted at once."""

    def __init__(self, most):
        super().__init__(
            f"A body may have at most {most:,} readings. Send fewer at once."
        )


def read_body(body, form, most=None):
    """Read the body of a request.

    Parameters
    ----------
    body : bytes
        A JSON object or a list of them, JSON objects in lines, or CSV with a header.
    form : ReadingFormat
    most : int or None, default=None
        Maximum number of readings; None sets no limit.

    Returns
    -------
    readings : list of Reading or Rejected

    Raises
    ------
    ValueError
        If the body cannot be parsed.
    TooManyReadings
        If there are more than `most`.
    """
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"The body is not UTF-8 ({error.reason}).") from None
    if text.lstrip().startswith(("{", "[")):
        try:
            found = _as_json(text)
        except ValueError as error:
            if not text.lstrip().startswith("{") or "\n" not in text.strip():
                raise ValueError(f"The body is not JSON: {error}.") from None
        else:
            items = _as_list(found)
            if most is not None and len(items) > most:
                raise TooManyReadings(most)
            return [form.read(item) for item in items]
    reader = LineReader(form)
    found, n_found = [], 0
    # Not at other Unicode line separators, which JSON texts may contain.
    for line in text.split("\n"):
        found.append(reader.read(line))
        n_found += found[-1] is not None
        # Check this before the rest takes memory.
        if most is not None and n_found > most:
            raise TooManyReadings(most)
    is_json = text.lstrip().startswith("{")
    if not is_json and reader.header is None and found and found[0] is not None:
        raise ValueError(f"The body is neither JSON nor CSV: {found[0].message}")
    found = [reading for reading in found if reading is not None]
    if not found:
        raise ValueError(
            "The body contains no reading. Send a JSON object, a list of them, or CSV "
            "with a header."
        )
    return found


def _as_list(found):
    return found if isinstance(found, list) else [found]
