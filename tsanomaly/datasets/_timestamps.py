# SPDX-License-Identifier: MIT
"""Times from text, exactly: what is not certain is an error, never a guess."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

import numpy as np

from tsanomaly.datasets._text_table import MISSING, Column, show

__all__ = [
    "Times",
    "check_date_format",
    "irregularities",
    "is_dotted_clock",
    "join_columns",
    "kind_of_times",
    "parse_times",
    "show_step",
    "usual_step",
]

# A shape is a time with every ASCII digit replaced by 0. A file has few of them, so
# that patterns are matched once per shape, and digits are read by their position.
_SHAPE = str.maketrans("123456789", "000000000")
_MONTHS = [
    "jan",
    "feb",
    "mar",
    "apr",
    "may",
    "jun",
    "jul",
    "aug",
    "sep",
    "oct",
    "nov",
    "dec",
]
_MONTH = rf"(?P<name>{'|'.join(_MONTHS)})"
_JOIN = r"(?:[Tt]|,? {1,2})"
_FRACTION = r"(?:[.,](?P<f>0+))?"
_HALF = r"(?:(?P<blank>[ \xa0\u202f])?(?P<half>[ap])\.?m\.?)?"
_ZONE = r"(?: ?(?P<zone>Z|UTC|GMT|(?P<sign>[+-])(?P<zh>00)(?::?(?P<zm>00))?))?"
_CLOCK = rf"(?P<H>0{{1,2}}):(?P<M>00)(?P<sec>:(?P<S>00){_FRACTION})?{_HALF}{_ZONE}"
_HAN_CLOCK = r"(?P<H>0{1,2})[时時点點](?P<M>0{1,2})分(?P<sec>(?P<S>0{1,2})秒)?"
_COMPACT_CLOCK = rf"(?P<H>00)(?P<M>00)(?P<sec>(?P<S>00){_FRACTION})?{_ZONE}"


def _pattern(date, clock=_CLOCK, join=_JOIN):
    return re.compile(rf"{date}(?P<clock>(?P<join>{join}){clock})?", re.IGNORECASE)


_YMD = r"(?P<Y>0000)(?P<s>[-/.])(?P<m>0{1,2})(?P=s)(?P<d>0{1,2})"
_HAN = r"(?P<Y>0000)年(?P<m>0{1,2})月(?P<d>0{1,2})日"
_AB = r"(?P<a>0{1,2})(?P<s>[-/.])(?P<b>0{1,2})(?P=s)(?P<Y>0000)"
_DMON = rf"(?P<d>0{{1,2}})(?P<s>[-/ ]){_MONTH}(?P=s)(?P<Y>0000)"
_COMPACT = r"(?P<Y>0000)(?P<m>00)(?P<d>00)"

TEXT_FORMATS = (
    ("year{s}month{s}day", _pattern(_YMD)),
    ("year年month月day日", _pattern(_HAN, join=" ?")),
    ("year年month月day日", _pattern(_HAN, _HAN_CLOCK, " ?")),
    ("day{s}month{s}year", _pattern(_AB)),  # or month first
    ("day{s}name of month{s}year", _pattern(_DMON)),
    (
        "yearmonthday",
        re.compile(rf"{_COMPACT}(?P<clock>[Tt]{_COMPACT_CLOCK})", re.IGNORECASE),
    ),
)
DIGIT_FORMATS = (
    ("yearmonthday", re.compile(rf"{_COMPACT}(?P<clock> ?{_COMPACT_CLOCK})?")),
    ("yearmonthday", _pattern(_COMPACT)),
    ("yearmonthdayhour", re.compile(rf"{_COMPACT}(?P<clock>(?P<H>00))")),
    (
        "yearmonthday",
        re.compile(
            rf"{_COMPACT}(?P<clock>(?P<H>00)(?P<M>00)(?P<sec>(?P<S>00)(?P<f>0{{2,9}})))"
        ),
    ),
)
_TIME_OF_DAY = re.compile(rf"(?:{_CLOCK}|{_HAN_CLOCK.replace('?P<', '?P<x')})", re.I)
_SHORT_YEAR = re.compile(
    rf"00?[-/.](?:00?|{_MONTH})[-/.]00(?!0)(?:$|{_JOIN})", re.IGNORECASE
)
_EPOCH = re.compile(r"(?P<whole>0{1,19})(?:[.,](?P<f>0+))?")
_DOTTED_CLOCK = re.compile(r"([01]?[0-9]|2[0-3])\.[0-5][0-9]\.[0-5][0-9]", re.ASCII)
# Whole numbers near 0, and ticks since 1, 1601 or 1904, are not between these.
_PLAUSIBLE = (946_684_800, 2_840_140_800)  # 2000-01-01 to 2060-01-01, in seconds
_UNITS = (("seconds", 9), ("milliseconds", 6), ("microseconds", 3), ("nanoseconds", 0))

_YEARS = (1678, 2261)  # whole years that nanoseconds since 1970 reach
_DAY = 86_400 * 10**9
_YEAR = 365 * _DAY  # about
_DIRECTIVES = re.compile(r"%[-]?(.)")
# Digits of a directive that is written in full.
_WIDTHS = dict.fromkeys("YG", 4) | dict.fromkeys("mdHIMSyUWV", 2) | {"j": 3}
_WIDTHS |= dict.fromkeys("uw", 1)


@dataclass
class Times:
    """Nanoseconds since 1970, in UTC where there is a zone, and what they were."""

    values: np.ndarray
    zone: object  # None, "UTC" or a fixed offset
    description: str

    def to_index(self, name):
        """DatetimeIndex of datetime64[ns]."""
        import pandas as pd

        index = pd.DatetimeIndex(self.values.view("M8[ns]"), name=name)
        if self.zone is None:
            return index
        return index.tz_localize("UTC").tz_convert(self.zone)


def kind_of_times(column, *, named):
    """Tell by its first value whether a column may hold times.

    Parameters
    ----------
    column : Column
        A column of text.
    named : bool
        Whether the column has the name of a time. Only then may numbers be times.

    Returns
    -------
    kind : {'instant', 'date', 'time of day', 'short year', None}
        None if it holds no times.
    """
    cell = next((cell for cell in column.cells if cell not in MISSING), "")
    shape = cell.translate(_SHAPE)
    formats = TEXT_FORMATS + _digit_formats(cell) * named
    for _, pattern in formats:
        match = pattern.fullmatch(shape)
        if match:
            return "instant" if match["clock"] else "date"
    if _TIME_OF_DAY.fullmatch(shape):
        return "time of day"
    if _SHORT_YEAR.match(shape):
        return "short year"
    if named and _EPOCH.fullmatch(shape) and _epoch_unit(cell) != -1:
        return "instant"
    return None


def is_dotted_clock(column):
    """Whether all values are times of day such as 18.00.00."""
    return all(map(_DOTTED_CLOCK.fullmatch, column.cells))


def join_columns(date, time, date_format=None):
    """One column from a column of dates and one of times of day."""
    for column in (date, time):
        _refuse_missing(column)
    clocks = time.cells
    if date_format is None:
        if is_dotted_clock(time):
            clocks = [clock.replace(".", ":") for clock in clocks]
        short = [len(clock) < 6 and clock.isdecimal() for clock in clocks]
        # 0930 in any row: four digits, and no zero was lost.
        is_padded = {len(clock) for clock in clocks} == {4} and any(
            clock.startswith("0") for clock in clocks
        )
        if any(short) and not is_padded:
            row = short.index(True)
            raise time.fault(
                row,
                f"{show(clocks[row])} may be hours and minutes, or a time with seconds "
                "that has lost leading zeros. Pass date_format=, of the date and the "
                "time with a blank between, such as '%Y%m%d %H%M'.",
            )
    cells = [f"{day} {clock}" for day, clock in zip(date.cells, clocks, strict=True)]
    return Column(f"{date.name} {time.name}", cells, date.path, date.lines)


def _digit_formats(cell):
    """Formats of digits alone. Hours or fractions of seconds need a year about now."""
    return DIGIT_FORMATS if cell[:2] in ("19", "20") else DIGIT_FORMATS[:2]


def parse_times(column, date_format=None):
    """Read a column of times.

    Parameters
    ----------
    column : Column
        A column of text. Digits alone are dates written without separators, or
        epoch numbers.
    date_format : str or None, default=None
        A format of ``strptime``, or None to find the format.

    Returns
    -------
    times : Times
        One time per row.

    Raises
    ------
    ValueError
        If a cell is no time, or the format is not certain. It names line and column.
    """
    _refuse_missing(column)
    if date_format is not None:
        return _parse_as(column, date_format)
    shape = column.cells[0].translate(_SHAPE)
    is_digits = not any(pattern.fullmatch(shape) for _, pattern in TEXT_FORMATS)
    if is_digits and _EPOCH.fullmatch(shape) and _epoch_unit(column.cells[0]) != -1:
        _refuse_two_readings(column)
        return _parse_epoch(column)
    first = column.cells[0]
    is_number = is_digits and first.isdecimal()
    if is_number and not _YEARS[0] <= int(first[:4]) <= _YEARS[1]:
        raise column.fault(0, _not_a_time(first, column.name))
    formats = _digit_formats(first) if is_digits else TEXT_FORMATS
    return _parse_text(column, formats)


def _refuse_missing(column):
    for row, cell in enumerate(column.cells):
        if cell in MISSING:
            raise column.fault(
                row, "the time is missing. Complete the line, or delete it."
            )


def _shapes(cells):
    """Yield every distinct shape, the rows of it, and the code points of their cells.

    The code points are of shape (n_rows, length of the shape).
    """
    import pandas as pd

    text, shapes = np.empty((2, len(cells)), dtype=object)
    text[:] = cells
    shapes[:] = [cell.translate(_SHAPE) for cell in cells]
    codes, distinct = pd.factorize(shapes)
    for code, shape in enumerate(distinct):
        rows = np.flatnonzero(codes == code)
        characters = text[rows].astype(f"U{len(shape)}").view(np.uint32)
        yield shape, rows, characters.reshape(len(rows), len(shape))


def _digits(characters, span):
    """The whole numbers between two positions, one per row."""
    value = np.zeros(len(characters), dtype=np.int64)
    for position in range(*span):
        value = value * 10 + (characters[:, position].astype(np.int64) - ord("0"))
    return value


def _parse_text(column, formats):
    """Read times by their shapes, all of one format."""
    parts = {
        name: np.zeros(len(column.cells), dtype=np.int64)
        for name in ("Y", "m", "d", "a", "b", "H", "M", "S", "ns", "offset")
    }
    first_style, paddings = None, {}
    for shape, rows, characters in _shapes(column.cells):
        name, match = next(
            ((name, p.fullmatch(shape)) for name, p in formats if p.fullmatch(shape)),
            (None, None),
        )
        if match is None:
            raise column.fault(rows[0], _not_a_time(column.cells[rows[0]], column.name))
        style = _style(name, match)
        if first_style is None:
            first_style, groups = style, match.groupdict()
        elif style != first_style:
            raise column.fault(
                rows[0],
                f"{show(column.cells[rows[0]])} is not written as the first time, "
                f"{show(column.cells[0])}. All times must have one format. Correct "
                "the line, or pass date_format=.",
            )
        _fill(parts, rows, match, characters, column)
        for name in ("m", "d", "a", "b", "H"):
            if match.groupdict().get(name):
                start, end = match.span(name)
                if end - start == 2:  # only 01 to 09 tell, 10 to 12 do not
                    below_ten = rows[characters[:, start] == ord("0")]
                else:
                    below_ten = rows
                if len(below_ten):
                    paddings.setdefault(name, {})[end - start] = below_ten[0]
    for rows in paddings.values():
        if len(rows) == 2:
            _refuse_lost_zero(column, *sorted(rows.values()))
    description = _describe(first_style)
    if groups.get("a"):
        day_first = _is_day_first(column, parts, groups)
        parts["d"], parts["m"] = (
            (parts["a"], parts["b"]) if day_first else (parts["b"], parts["a"])
        )
        if not day_first:
            month_first = "month{s}day{s}year".format(s=groups["s"])
            description = _describe((month_first, *first_style[1:]))
    values = _assemble(column, parts)
    if not groups.get("zone"):
        return Times(values, None, description)
    values = values - parts["offset"] * 60 * 10**9
    offsets = np.unique(parts["offset"])
    if len(offsets) > 1:
        return Times(values, "UTC", f"{description}, several offsets, read as UTC")
    minutes = int(offsets[0])
    zone = timezone(timedelta(minutes=minutes)) if minutes else "UTC"
    return Times(values, zone, f"{description}, zone {zone}")


def _refuse_lost_zero(column, other, row):
    """Raise for a part that is written 01 in one row and 1 in another."""
    raise column.fault(
        row,
        f"of {show(column.cells[row])} and {show(column.cells[other])} in line "
        f"{column.lines[other]} only one has a leading zero, as if a digit were "
        "lost. Write all times in one way.",
    )


def _style(name, match):
    """What must be the same in all times of a column. The fraction may vary."""
    groups = match.groupdict()
    return (
        name.format(s=groups.get("s") or ""),
        bool(groups.get("clock")),
        bool(groups.get("sec")),
        bool(groups.get("half")),
        bool(groups.get("zone")),
        (groups.get("join") or "").strip().upper(),
    )


def _describe(style):
    date, clock, seconds, half, *_ = style
    if not clock or date.endswith("hour"):
        return date
    return f"{date} hour:minute{':second' * seconds}{' AM/PM' * half}"


def _fill(parts, rows, match, characters, column):
    """Read the numbers of the rows of one shape."""
    groups = match.groupdict()

    def number(name):
        return _digits(characters, match.span(name))

    for name in ("Y", "m", "d", "a", "b", "H", "M", "S"):
        if groups.get(name):
            parts[name][rows] = number(name)
    if groups.get("name"):
        parts["m"][rows] = _MONTHS.index(groups["name"].lower()) + 1
    if groups.get("f"):
        parts["ns"][rows] = _fraction(characters, match.span("f"), 9, rows, column)
    if groups.get("half"):
        hour = parts["H"][rows]
        _refuse(column, rows, (hour < 1) | (hour > 12), "AM and PM need hours 1 to 12")
        parts["H"][rows] = hour % 12 + 12 * (groups["half"].lower() == "p")
    if groups.get("sign"):
        hours = number("zh")
        minutes = number("zm") if groups["zm"] else np.zeros_like(hours)
        _refuse(
            column, rows, (hours > 15) | (minutes > 59), "there is no such UTC offset"
        )
        sign = -1 if groups["sign"] == "-" else 1
        parts["offset"][rows] = sign * (hours * 60 + minutes)


def _fraction(characters, span, n_digits, rows, column):
    """Digits after the point as a whole number of `n_digits` digits."""
    start, end = span
    kept = min(end, start + n_digits)
    lost = characters[:, kept:end] != ord("0")
    _refuse(
        column, rows, lost.any(axis=1), "more digits than nanoseconds have are given"
    )
    return _digits(characters, (start, kept)) * 10 ** (n_digits - (kept - start))


def _refuse(column, rows, wrong, reason):
    """Raise if any row is wrong, naming the first one."""
    if np.any(wrong):
        row = int(rows[np.argmax(wrong)])
        raise column.fault(
            row, f"{show(column.cells[row])} is not a time: {reason}. Correct the line."
        )


def _days(year, month, day):
    """Days since 1970, and whether the month has such a day."""
    months = (year - 1970) * 12 + month - 1
    start = months.astype("M8[M]").astype("M8[D]").view(np.int64)
    end = (months + 1).astype("M8[M]").astype("M8[D]").view(np.int64)
    return start + day - 1, (day >= 1) & (day <= end - start)


def _assemble(column, parts):
    """Nanoseconds since 1970, after a check of every part."""
    every = np.arange(len(column.cells))
    year, month = parts["Y"], parts["m"]
    _refuse(
        column,
        every,
        (year < _YEARS[0]) | (year > _YEARS[1]),
        f"the year must be from {_YEARS[0]} to {_YEARS[1]}, which is how far "
        "nanoseconds reach",
    )
    _refuse(column, every, (month < 1) | (month > 12), "there is no such month")
    days, exists = _days(year, month, parts["d"])
    _refuse(column, every, ~exists, "the month has no such day")
    _refuse(column, every, parts["H"] > 23, "the hour must be from 0 to 23")
    _refuse(column, every, parts["M"] > 59, "the minute must be from 0 to 59")
    _refuse(column, every, parts["S"] > 59, "the second must be from 0 to 59")
    seconds = (parts["H"] * 60 + parts["M"]) * 60 + parts["S"]
    return days * _DAY + seconds * 10**9 + parts["ns"]


def _is_day_first(column, parts, groups):
    """Whether dates such as 03/04/2024 are the 3rd of April."""
    a, b = parts["a"], parts["b"]
    day_first, month_first = np.flatnonzero(a > 12), np.flatnonzero(b > 12)
    if groups["s"] == "." or np.array_equal(a, b):
        return True
    if len(day_first) and len(month_first):
        one, other = day_first[0], month_first[0]
        raise column.fault(
            max(one, other),
            f"{show(column.cells[max(one, other)])} and, in line "
            f"{column.lines[min(one, other)]}, {show(column.cells[min(one, other)])} "
            "do not have day and month in one order. Correct one of them.",
        )
    if len(day_first) or len(month_first):
        return len(day_first) > 0
    patterns = [_strptime_format(date, groups) for date in ("%d{s}%m", "%m{s}%d")]
    raise column.fault(
        0,
        f"{show(column.cells[0])} may have the day or the month first, and no other "
        f"row of the file tells. Pass date_format='{patterns[0]}' if the day is first, "
        f"date_format='{patterns[1]}' if the month is.",
    )


def _strptime_format(date, groups):
    """The format of a time, from the parts of its shape and the order of its date."""
    text = f"{date}{{s}}%Y".format(s=groups["s"])
    if groups["clock"]:
        text += f"{groups['join']}%{'I' if groups['half'] else 'H'}:%M"
    if groups.get("sec"):
        text += ":%S"
    if groups.get("f"):
        text += groups["sec"][3] + "%f"
    if groups.get("half"):
        text += " " * bool(groups["blank"]) + "%p"
    if groups.get("zone"):
        is_name = not groups["sign"] and groups["zone"] != "Z"
        text += f" {groups['zone']}" if is_name else "%z"
    return text


def _epoch_unit(cell):
    """Position in _UNITS of the unit that makes a plausible time, or -1."""
    whole = int(re.split("[.,]", cell)[0])
    for unit, (_, power) in enumerate(_UNITS):
        low, high = (bound * 10 ** (9 - power) for bound in _PLAUSIBLE)
        if low <= whole <= high:
            return unit
    return -1


def _refuse_two_readings(column):
    """Raise for numbers since 1970 that also are a date and a time in digits."""
    try:
        years = _parse_text(column, _digit_formats(column.cells[0])).values // _YEAR
    except ValueError:
        return
    if years.min() >= -70 and years.max() < 130:
        cell = column.cells[0]
        pattern = "%Y%m%d%H%M%S%f" if len(cell) > 14 else "%Y%m%d%H"
        raise column.fault(
            0,
            f"{show(cell)} has two readings: a date and a time in digits, and "
            f"{_UNITS[_epoch_unit(cell)][0]} since 1970. Pass date_format='{pattern}' "
            "for the former; for the latter, write the times as text.",
        )


def _parse_epoch(column):
    """Read seconds, or parts of seconds, since 1970."""
    name, power = _UNITS[_epoch_unit(column.cells[0])]
    low, high = (bound * 10 ** (9 - power) for bound in _PLAUSIBLE)
    values = np.zeros(len(column.cells), dtype=np.int64)
    for shape, rows, characters in _shapes(column.cells):
        match = _EPOCH.fullmatch(shape)
        if match is None:
            raise column.fault(rows[0], _not_a_time(column.cells[rows[0]], column.name))
        # Nineteen digits may pass the largest integer, and then turn negative.
        whole = _digits(characters, match.span("whole"))
        _refuse(
            column,
            rows,
            (whole < low) | (whole > high),
            f"the column holds {name} since 1970, and these are not between 2000 "
            "and 2060",
        )
        values[rows] = whole * 10**power
        if match["f"]:
            values[rows] += _fraction(characters, match.span("f"), power, rows, column)
    return Times(values, None, f"{name} since 1970")


def _not_a_time(cell, name):
    if _SHORT_YEAR.match(cell.translate(_SHAPE)):
        return (
            f"{show(cell)} has a year of two digits. Pass date_format=, for example "
            "'%d.%m.%y %H:%M'."
        )
    if re.fullmatch(r"[0-9.,]+[eE]\+?[0-9]+", cell):
        return (
            f"{show(cell)} is a time as a number that has lost digits. Export the "
            "column as whole numbers or text."
        )
    if cell.isdecimal():
        return (
            f"{show(cell)} is a number, but not of seconds or parts of seconds since "
            "1970 between 2000 and 2060, nor a date in digits. Pass date_format=; if "
            "the rows are only numbered, pass timestamp=None and "
            f"drop={name!r}."
        )
    return (
        f"{show(cell)} is not a time in a format that is known. Correct the line, or "
        "pass date_format= ('%d/%m/%Y %H:%M'), or another column with timestamp=."
    )


def _parse_as(column, date_format):
    """Read times in a format of strptime."""
    epoch = datetime(1970, 1, 1)
    full_width = _full_width(date_format)
    values = np.zeros(len(column.cells), dtype=np.int64)
    offsets = set()
    for row, cell in enumerate(column.cells):
        try:
            time = datetime.strptime(cell, date_format)
        except (ValueError, re.error) as error:
            raise column.fault(
                row,
                f"{show(cell)} is not in date_format={date_format!r} ({error}). "
                "Correct the line or the format.",
            ) from error
        if full_width and not full_width.fullmatch(cell):
            raise column.fault(
                row,
                f"{show(cell)} has fewer digits than date_format={date_format!r}, in "
                "which numbers touch: a leading zero is lost; pad it.",
            )
        if not _YEARS[0] <= time.year <= _YEARS[1]:
            raise column.fault(
                row,
                f"{show(cell)} is out of range: the year must be from {_YEARS[0]} to "
                f"{_YEARS[1]}, which is how far nanoseconds reach.",
            )
        offset = time.utcoffset()
        offsets.add(offset)
        since = time.replace(tzinfo=None) - epoch - (offset or timedelta())
        values[row] = since // timedelta(microseconds=1) * 1000
    if offsets == {None}:
        return Times(values, None, date_format)
    if len(offsets) > 1:
        return Times(values, "UTC", f"{date_format}, several offsets, read as UTC")
    zone = timezone(offsets.pop())
    zone = "UTC" if zone == UTC else zone
    return Times(values, zone, f"{date_format}, zone {zone}")


def _full_width(date_format):
    """Pattern of times without lost zeros, where numbers of a format touch, or None.

    strptime reads 1112024 as %d%m%Y, one of two ways, and says nothing.
    """
    pattern, touching = "", False
    # Runs of directives that are digits, other directives, other text.
    run_of_digits = rf"(?:%[{''.join(_WIDTHS)}f])+"
    for run in re.findall(rf"{run_of_digits}|%.|[^%]+", date_format):
        kinds = run.replace("%", "")
        if re.fullmatch(run_of_digits, run):
            if len(kinds) > 1:
                touching = True
                width = sum(_WIDTHS.get(kind, 0) for kind in kinds)
                # Behind a year of four digits no zero can be lost: its own is none.
                sizes = range(1, 7) if kinds[0] in "YG" else (3, 6)
                sizes = sizes if "f" in kinds else (0,)
                pattern += "(?:" + "|".join(f"[0-9]{{{width + n}}}" for n in sizes)
                pattern += ")"
            else:
                pattern += "[0-9]+"
        elif run.startswith("%"):
            pattern += "%" if kinds == "" else ".+?"
        else:
            pattern += r"\s+".join(map(re.escape, re.split(r"\s+", run)))
    return re.compile(pattern, re.IGNORECASE) if touching else None


def check_date_format(date_format):
    """Raise for formats that strptime fills with a default, or ignores parts of."""
    if not isinstance(date_format, str):
        raise ValueError(
            f"date_format={date_format!r} must be a string, such as '%d/%m/%Y %H:%M', "
            "or None."
        )
    used = set(_DIRECTIVES.findall(date_format.replace("%%", "")))
    has_day = (
        ("d" in used and used & set("mbB"))
        or "j" in used
        or (used & set("UW") and used & set("aAwu"))
        or {"G", "V"} <= used
    )
    problem = None
    if not used & set("yYG") or not has_day:
        problem = "gives no full date: year, month and day are needed"
    elif ("p" in used) != ("I" in used):
        problem = "needs both %I and %p, or %H"
    elif "Z" in used:
        problem = "has %Z, a name that strptime ignores. Write it out, or use %z"
    if problem:
        raise ValueError(f"date_format={date_format!r} {problem}.")


def usual_step(nanoseconds):
    """The usual distance of sorted times.

    Parameters
    ----------
    nanoseconds : ndarray of int64
        Times in order. Repeated ones do not count.

    Returns
    -------
    step : int or None
        Nanoseconds: the most frequent step if more than half of the steps have it,
        else the median, the shorter one of two. None if there are fewer than two
        different times.
    is_most_frequent : bool
        Whether it is the former.
    """
    steps = np.diff(nanoseconds).view(np.uint64)  # exact beyond 292 years, too
    steps = np.sort(steps[steps > 0])
    if not len(steps):
        return None, False
    # What more than half of the steps have is also their median.
    median = steps[(len(steps) - 1) // 2]
    return int(median), 2 * int((steps == median).sum()) > len(steps)


def show_step(nanoseconds):
    """A distance of times for a message."""
    nanoseconds = int(nanoseconds)
    if nanoseconds % 10**9 == 0 and nanoseconds < 120 * 10**9:
        return f"{nanoseconds // 10**9} s"
    if nanoseconds < 10**9:
        return f"{nanoseconds / 10**6:.9g} ms"
    if nanoseconds > 2 * _DAY:
        return f"{nanoseconds / _DAY:.6g} days"
    return f"{nanoseconds / 10**9:.12g} s"


def irregularities(table, times, order):
    """Yield what is to be said of times that are no regular series."""

    def place(row):
        name = times.to_index(None)[row]
        return f"line {table.lines[row]} ({name})"

    values = times.values
    backwards = np.flatnonzero(values[1:] < values[:-1]) + 1
    autumn = _ends_of_summer_time(times, backwards)
    advice = "" if len(autumn) else "regularize() averages them."
    if len(backwards):
        message = (
            f"{table.path}: times go backwards {len(backwards):,} times, first in "
            f"{place(backwards[0])}. The rows were put in time order."
        )
        if len(autumn):
            message += (
                f" In {place(autumn[0])} it looks like the end of summer time in local "
                "times: the rows of two hours are now mixed up. Localise the times "
                "first, in the order of the file, for example with tz_localize(zone, "
                "ambiguous='infer') of pandas, and write them with their offset."
            )
        yield message
    values = values[order]
    repeated = np.flatnonzero(values[1:] == values[:-1]) + 1
    if len(repeated):
        yield (
            f"{table.path}: {len(repeated):,} rows have the time of another row, first "
            f"{place(order[repeated[0]])}. All were kept. {advice}".strip()
        )
    steps = np.diff(values).view(np.uint64)
    usual, is_most_frequent = usual_step(values)
    odd = np.flatnonzero((steps != usual) & (steps > 0)) if usual else ()
    if len(odd):
        kind = "most frequent" if is_most_frequent else "median"
        advice = "" if len(autumn) else "regularize() puts the readings on a grid."
        yield (
            f"{table.path}: {len(odd):,} of {len(steps):,} steps differ from the "
            f"{kind} one of {show_step(usual)}, first before "
            f"{place(order[odd[0] + 1])}; the longest is {show_step(steps.max())}. "
            f"{advice}".strip()
        )


def _ends_of_summer_time(times, backwards):
    """Rows that go back by about an hour, once a year at most, in times of no zone."""
    if times.zone is not None or "since 1970" in times.description:
        return backwards[:0]
    seconds = (times.values[backwards - 1] - times.values[backwards]) / 10**9
    rows = backwards[(seconds >= 1800) & (seconds <= 3660)]
    days = np.diff(times.values[rows]) / _DAY
    return rows if (days > 300).all() else rows[:0]
