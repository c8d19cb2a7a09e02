# SPDX-License-Identifier: MIT
"""Read times from text exactly. Ambiguous times raise an error."""

import re
from datetime import datetime

import numpy as np

from tsanomaly._parameter_error import Parameter
from tsanomaly.datasets._reading._bounds import GLUE
from tsanomaly.datasets._reading._cells import MISSING, show
from tsanomaly.datasets._reading._date_format import parse_date_format
from tsanomaly.datasets._reading._number_times import (
    NUMBER_FORMATS,
    is_number,
    parse_detected_numbers,
    parse_number_format,
)
from tsanomaly.datasets._reading._short_years import find_short_format
from tsanomaly.datasets._reading._table import Column
from tsanomaly.datasets._reading._time_formats import (
    AFTERNOONS,
    EPOCH,
    MONTHS,
    TEXT_FORMATS,
    describe,
    digit_formats,
    epoch_unit,
    has_short_year,
    is_dotted_clock,
    shape_of,
    strptime_format,
    style_of,
)
from tsanomaly.datasets._reading._times import YEARS, Times

__all__ = ["join_columns", "parse_times"]

# Times are rewritten in ISO 8601, which pandas reads without guessing. With a format on
# the original text, it reads "now" as the current time and 10:00:61 as 10:01:01, knows
# AM and names of months only in the language of the process, takes ten times as long,
# and requires fractions in all rows or none.
_ISO = "0000-01-01T00:00:00.000000000+00:00"
_PLACES = {
    "Y": slice(0, 4),
    "m": slice(5, 7),
    "d": slice(8, 10),
    "H": slice(11, 13),
    "M": slice(14, 16),
    "S": slice(17, 19),
    "f": slice(20, 29),
    "zh": slice(30, 32),
    "zm": slice(33, 35),
    # Day first, until the order of the date is known.
    "a": slice(8, 10),
    "b": slice(5, 7),
}
_ZONE = slice(29, 35)
_BLOCK = 2**16  # rows to convert to strings at a time
_MOST_SHAPES = 1000  # 20 suffice for fractions of any length and missing zeros
_ZERO = ord("0")
_HOUR = 3600 * 10**9


def join_columns(date, time, date_format=None):
    """Join a column of dates and a column of times of day."""
    for column in (date, time):
        _refuse_missing(column)
    clocks = time.cells
    if date_format is None:
        if is_dotted_clock(time):
            clocks = [clock.replace(".", ":") for clock in clocks]
        short = [len(clock) < 6 and clock.isdecimal() for clock in clocks]
        # Times such as 0930 in some row show that leading zeros were kept.
        is_padded = {len(clock) for clock in clocks} == {4} and any(
            clock.startswith("0") for clock in clocks
        )
        if any(short) and not is_padded:
            row = short.index(True)
            raise time.fault(
                row,
                f"{show(clocks[row])} may be hours and minutes, or a time with seconds "
                "that has lost leading zeros. Pass the format of the date and the "
                "time, separated by a space, for example ",
                Parameter("date_format", "%Y%m%d %H%M"),
                ".",
            )
    cells = [f"{day} {clock}" for day, clock in zip(date.cells, clocks, strict=True)]
    name = f"{date.name} {time.name}"
    return Column.from_cells(name, cells, date.path, date.lines)


def parse_times(column, date_format=None):
    """Read a column of times.

    Parameters
    ----------
    column : Column
        A column of text. Digits alone are dates written without separators, or
        epoch numbers.
    date_format : str or None, default=None
        A format of ``strptime``, a key of NUMBER_FORMATS, or None to detect the
        format.

    Returns
    -------
    times : Times
        One time per row.

    Raises
    ------
    ValueError
        If a cell is not a time, or the format is ambiguous. The message names line and
        column.
    """
    _refuse_missing(column)
    if date_format in NUMBER_FORMATS:
        return parse_number_format(column, date_format)
    if date_format is not None:
        return parse_date_format(column, date_format)
    first = column.first
    shape = shape_of(first)
    if any(pattern.fullmatch(shape) for _, pattern in TEXT_FORMATS):
        return _parse_text(column, TEXT_FORMATS)
    if has_short_year(first):
        return _parse_text(column, find_short_format(column))
    if EPOCH.fullmatch(shape) and epoch_unit(first):
        _refuse_two_readings(column)
        return _parse_epoch(column)
    times = parse_detected_numbers(column)
    if times is not None:
        return times
    if first.isdecimal() and not YEARS[0] <= int(first[:4]) <= YEARS[1]:
        raise _no_time(column, 0)
    return _parse_text(column, digit_formats(first))


def _refuse_missing(column):
    for start, text in column.texts():
        cells = text.split(GLUE)
        if not MISSING.isdisjoint(cells):
            row = next(row for row, cell in enumerate(cells, start) if cell in MISSING)
            raise column.fault(
                row, "the time is missing. Complete the line, or delete it."
            )


def _shapes(column):
    """Yield each shape with its rows and the code points of their cells.

    The code points have the shape (n_rows, length of the text). A long column is read
    in blocks and yields a shape once per block.
    """
    import pandas as pd

    seen = set()
    for start, text in column.texts():
        cells = np.array(text.split(GLUE), dtype=object)
        # Translating all cells at once is faster.
        shapes = np.array(shape_of(text).split(GLUE), dtype=object)
        codes, distinct = pd.factorize(shapes)
        order = np.argsort(codes, kind="stable")
        groups = np.split(order, np.cumsum(np.bincount(codes))[:-1])
        for shape, rows in zip(distinct, groups, strict=True):
            seen.add(shape)
            if len(seen) > _MOST_SHAPES:
                raise column.fault(
                    start + rows[0],
                    f"the times have more than {_MOST_SHAPES:,} formats. All times "
                    "must have the same format.",
                )
            characters = cells[rows].astype(f"U{len(shape)}").view(np.uint32)
            yield shape, start + rows, characters.reshape(len(rows), len(shape))


def _text(characters, columns):
    """Return columns of code points as one text per row."""
    part = np.ascontiguousarray(characters[:, columns], dtype=np.uint32)
    return part.view(f"U{part.shape[1]}").ravel()


def _parse_text(column, formats):
    """Read times by their shapes, which must all have the same format."""
    n_rows = len(column.lines)
    iso = np.tile(np.frombuffer(_ISO.encode(), np.uint8), (n_rows, 1))
    later = np.zeros(n_rows, dtype=np.int64)  # nanoseconds to add to the digits
    first_style, paddings = None, {}
    for shape, rows, characters in _shapes(column):
        name, match = next(
            ((name, p.fullmatch(shape)) for name, p in formats if p.fullmatch(shape)),
            (None, None),
        )
        if match is None:
            raise _no_time(column, rows[0])
        style = style_of(name, match)
        if first_style is None:
            first_style, groups = style, match.groupdict()
        elif style != first_style:
            raise column.fault(
                rows[0],
                f"{show(column.cells[rows[0]])} has another format than the first "
                f"time, {show(column.first)}. All times must have the same format. "
                "Correct the line, or pass ",
                Parameter("date_format"),
                ".",
            )
        is_end = _write_iso(iso, rows, match, characters, column)
        half = _half(match.groupdict())
        later[rows] = is_end * 24 * _HOUR + (half in AFTERNOONS) * 12 * _HOUR
        _note_padding(paddings, rows, match, characters)
    for rows in paddings.values():
        if len(rows) == 2:
            _refuse_lost_zero(column, *sorted(rows.values()))
    description = describe(first_style)
    if groups.get("a") and not _is_day_first(column, iso, groups):
        day, month = _PLACES["d"], _PLACES["m"]
        iso[:, day], iso[:, month] = iso[:, month].copy(), iso[:, day].copy()
        month_first = "month{s}day{s}year".format(s=groups["s"])
        description = describe((month_first, *first_style[1:]))
    has_zone = bool(groups.get("zone"))
    values = _read_iso(column, iso if has_zone else iso[:, : _ZONE.start])
    values += later
    if not has_zone:
        return Times(values, None, description)
    offsets = np.unique(_text(iso, _ZONE)).tolist()
    zones = {datetime.strptime(offset, "%z").tzinfo for offset in offsets}
    return Times.with_zones(values, zones, description, column)


def _note_padding(paddings, rows, match, characters):
    """Note one row for each width in which numbers below ten are written."""
    for name in ("m", "d", "a", "b", "H"):
        if match.groupdict().get(name):
            start, end = match.span(name)
            if end - start == 2:  # 01 to 09 have a leading zero, 10 to 12 do not
                below_ten = rows[characters[:, start] == _ZERO]
            else:
                below_ten = rows
            if len(below_ten):
                paddings.setdefault(name, {}).setdefault(end - start, below_ten[0])


def _refuse_lost_zero(column, other, row):
    """Raise for a part that is written 01 in one row and 1 in another."""
    raise column.fault(
        row,
        f"of {show(column.cells[row])} and {show(column.cells[other])} in line "
        f"{column.lines[other]} only one has a leading zero, so a digit may be "
        "missing. Use one format for all times.",
    )


def _write_iso(iso, rows, match, characters, column):
    """Write the times of one shape into their rows of ISO 8601.

    Return a mask of times that are 24:00, the end of a day. They are written as 00:00.
    """
    groups = match.groupdict()
    for name, place in _PLACES.items():
        if not groups.get(name):
            continue
        digits = characters[:, slice(*match.span(name))]
        if name == "f":
            digits = _keep_digits(digits, 9, rows, column)
            iso[rows, place.start : place.start + digits.shape[1]] = digits
        else:
            iso[rows, place.stop - digits.shape[1] : place.stop] = digits
    if groups["Y"] == "00":
        # Two-digit years are from 1969 to 2068, as for strptime.
        is_old = _text(iso[rows], slice(2, 4)) >= "69"
        iso[rows, 0] = np.where(is_old, ord("1"), ord("2"))
        iso[rows, 1] = np.where(is_old, ord("9"), ord("0"))
    if groups.get("name"):
        month = f"{MONTHS[groups['name'].lower()]:02}"
        iso[rows, _PLACES["m"]] = [ord(digit) for digit in month]
    if _half(groups):
        hour = _text(iso[rows], _PLACES["H"])
        _refuse(
            column, rows, (hour < "01") | (hour > "12"), "AM and PM need hours 1 to 12"
        )
        iso[rows[hour == "12"], _PLACES["H"]] = _ZERO
    if groups.get("sign"):
        iso[rows, _ZONE.start] = ord(groups["sign"])
        hours, minutes = (_text(iso[rows], _PLACES[name]) for name in ("zh", "zm"))
        wrong = (hours > "15") | (minutes > "59")
        _refuse(column, rows, wrong, "there is no such UTC offset")
    is_end = np.zeros(len(rows), dtype=bool)
    if ":" in (groups["clock"] or ""):  # without colons, hour 24 is an error
        tens, ones = iso[rows, _PLACES["H"].start], iso[rows, _PLACES["H"].start + 1]
        late = np.flatnonzero((tens == ord("2")) & (ones == ord("4")))
        clock = _text(iso[rows[late]], slice(_PLACES["H"].start, _ZONE.start))
        is_end[late] = clock == "24:00:00.000000000"
        iso[rows[is_end], _PLACES["H"]] = _ZERO
    return is_end


def _half(groups):
    """Return the word for AM or PM in lower case, or an empty text."""
    return (groups.get("half") or groups.get("before") or "").lower()


def _keep_digits(digits, n_digits, rows, column):
    """Return the first digits of fractions. Raise unless the others are zeros."""
    lost = digits[:, n_digits:] != _ZERO
    _refuse(column, rows, lost.any(axis=1), "it has more digits than nanoseconds allow")
    return digits[:, :n_digits]


def _refuse(column, rows, wrong, reason):
    """Raise for the first row that is wrong, if any."""
    if np.any(wrong):
        row = int(rows[np.argmax(wrong)])
        raise column.fault(
            row, f"{show(column.cells[row])} is not a time: {reason}. Correct the line."
        )


def _read_iso(column, iso):
    """Convert times in ISO 8601 to nanoseconds since 1970 in UTC."""
    import pandas as pd

    values = np.empty(len(iso), dtype=np.int64)
    for start in range(0, len(iso), _BLOCK):  # strings take ten times the memory
        text = _text(iso[start : start + _BLOCK], slice(None))
        times = pd.to_datetime(
            text.astype(object),
            format="ISO8601",
            errors="coerce",
            utc=True,
            cache=False,
        )
        year = _text(iso[start : start + _BLOCK], _PLACES["Y"])
        wrong = times.isna() | (year < str(YEARS[0])) | (year > str(YEARS[1]))
        if wrong.any():
            row = int(np.argmax(wrong))
            _refuse(column, [start + row], [True], _what_is_wrong(text[row]))
        values[start : start + _BLOCK] = times.as_unit("ns").asi8
    return values


def _what_is_wrong(text):
    """Return the reason why a text in ISO 8601 is not a time."""
    try:
        datetime(*map(int, re.findall("[0-9]+", text)[:6]))
    except ValueError as error:
        return str(error)
    return f"the year must be from {YEARS[0]} to {YEARS[1]}, the range of nanoseconds"


def _is_day_first(column, iso, groups):
    """Whether dates such as 03/04/2024 are the 3rd of April."""
    a, b = _text(iso, _PLACES["a"]), _text(iso, _PLACES["b"])
    if groups["s"] == "." or np.array_equal(a, b):
        return True
    day_first, month_first = np.flatnonzero(a > "12"), np.flatnonzero(b > "12")
    if len(day_first) and len(month_first):
        one, other = sorted([day_first[0], month_first[0]])
        raise column.fault(
            other,
            f"{show(column.cells[other])} and, in line {column.lines[one]}, "
            f"{show(column.cells[one])} have day and month in different orders. "
            "Correct one of them.",
        )
    if len(day_first) or len(month_first):
        return len(day_first) > 0
    formats = [
        strptime_format(date, groups) for date in ("%d{s}%m{s}%Y", "%m{s}%d{s}%Y")
    ]
    raise column.fault(
        0,
        f"{show(column.first)} may have the day or the month first, and no other row "
        "of the file shows which. Pass ",
        Parameter("date_format", formats[0]),
        " if the day is first, ",
        Parameter("date_format", formats[1]),
        " if the month is.",
    )


def _refuse_two_readings(column):
    """Raise for epoch numbers that are also a date and a time without separators."""
    cell = column.first
    try:
        values = _parse_text(column, digit_formats(cell)).values
    except ValueError:
        return
    first, last = values[[values.argmin(), values.argmax()]].view("M8[ns]")
    if np.datetime64("1900") <= first and last < np.datetime64("2100"):
        date_format = "%Y%m%d%H%M%S%f" if len(cell) > 14 else "%Y%m%d%H"
        name, power, *_ = epoch_unit(cell)
        unit = {9: "s", 6: "ms", 3: "us", 0: "ns"}[power]
        raise column.fault(
            0,
            f"{show(cell)} can be read in two ways: as a date and a time in digits, "
            f"and as {name}. Pass ",
            Parameter("date_format", date_format),
            " for the former, and ",
            Parameter("date_format", unit),
            " for the latter.",
        )


def _parse_epoch(column):
    """Read seconds, or parts of seconds, since 1970 or 1601."""
    name, power, low, high, origin = epoch_unit(column.first)
    values = np.zeros(len(column.lines), dtype=np.int64)
    for shape, rows, characters in _shapes(column):
        match = EPOCH.fullmatch(shape)
        if match is None:
            raise _no_time(column, rows[0])
        # Unsigned, because nineteen digits may exceed the largest signed integer.
        whole = _text(characters, slice(*match.span("whole"))).astype(np.uint64)
        _refuse(
            column,
            rows,
            (whole < low) | (whole > high),
            f"the column contains {name}, but not between 2000 and 2060",
        )
        values[rows] = (whole - np.uint64(origin)).astype(np.int64) * 10**power
        if match["f"]:
            digits = characters[:, slice(*match.span("f"))]
            digits = _keep_digits(digits, power, rows, column)
            n_digits = digits.shape[1]
            if n_digits:
                fraction = _text(digits, slice(None)).astype(np.int64)
                values[rows] += fraction * 10 ** (power - n_digits)
    return Times(values, None, name)


def _no_time(column, row):
    """Error about a cell whose format is unknown."""
    cell = column.cells[row]
    if has_short_year(cell):
        parts = (
            " has a two-digit year, and another format than the times above. Correct "
            "the line, or pass the format as ",
            Parameter("date_format"),
            ".",
        )
    elif re.fullmatch(r"[0-9.,]+[eE]\+?[0-9]+", cell):
        parts = (
            " is a numeric time that has lost digits. Export the column as whole "
            "numbers or text.",
        )
    elif is_number(cell):
        parts = (
            " is a number, but neither a time since 1970 between 2000 and 2060 nor a "
            "date in digits. If it counts from the start of the recording, pass its "
            "unit, for example ",
            Parameter("date_format", "s"),
            " or ",
            Parameter("date_format", "ms"),
            "; for Excel serial dates, pass ",
            Parameter("date_format", "excel"),
            "; if the rows have no times, pass ",
            Parameter("timestamp", None),
            " and ",
            Parameter("drop", column.name),
            ".",
        )
    else:
        parts = (
            " is not a time in a known format. Correct the line, or pass the format, "
            "for example ",
            Parameter("date_format", "%d/%m/%Y %H:%M"),
            ", or another column as ",
            Parameter("timestamp"),
            ".",
        )
    return column.fault(row, show(cell), *parts)
