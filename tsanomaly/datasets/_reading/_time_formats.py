# SPDX-License-Identifier: MIT
"""Known formats of times, recognised by their shapes."""

import re

from tsanomaly.datasets._reading._number_times import may_be_excel_dates

__all__ = [
    "AFTERNOONS",
    "EPOCH",
    "MONTHS",
    "SHORT_FORMATS",
    "SHORT_NAMED_FORMAT",
    "TEXT_FORMATS",
    "describe",
    "digit_formats",
    "epoch_unit",
    "has_short_year",
    "is_dotted_clock",
    "kind_of_times",
    "shape_of",
    "strptime_format",
    "style_of",
]

# A shape is a time with every ASCII digit replaced by 0. A file has few shapes, so
# patterns are matched once per shape, and digits are read by position.
_ZEROS = str.maketrans("123456789", "000000000")
_FLAGS = re.IGNORECASE | re.ASCII  # without ASCII, ſ matches s
# English, German, French and Spanish. No name means two months.
_MONTH_NAMES = (
    "jan january januar janv janvier ene enero",
    "feb february februar févr fév février febrero",
    "mar march mär märz mrz mars marzo",
    "apr april avr avril abr abril",
    "may mai mayo",
    "jun june juni juin junio",
    "jul july juli juil juillet julio",
    "aug august août ago agosto",
    "sep sept september septembre septiembre",
    "oct october okt oktober octobre octubre",
    "nov november novembre noviembre",
    "dec december dez dezember déc décembre dic diciembre",
)
MONTHS = {
    name: number
    for number, names in enumerate(_MONTH_NAMES, 1)
    for name in names.split()
}
_MONTH = rf"(?P<name>{'|'.join(sorted(MONTHS, key=len, reverse=True))})\.?"
_JOIN = r"(?:[Tt]|,? {1,2})"
_FRACTION = r"(?:[.,](?P<f>0+))?"
_HALF = r"(?:(?P<blank>[ \xa0\u202f])?(?P<half>[ap])\.?[ \xa0\u202f]?m\.?)?"
_HALF_BEFORE = r"(?:(?P<before>오전|오후|上午|下午|午前|午後) ?)?"
AFTERNOONS = frozenset(["p", "오후", "下午", "午後"])
_ZONE = r"(?: ?(?P<zone>Z|UTC|GMT|(?P<sign>[+-])(?P<zh>00)(?::?(?P<zm>00))?))?"
_CLOCK = (
    rf"{_HALF_BEFORE}(?P<H>0{{1,2}}):(?P<M>00)(?P<sec>:(?P<S>00){_FRACTION})?"
    rf"{_HALF}{_ZONE}"
)
_HAN_CLOCK = r"(?P<H>0{1,2})[时時点點](?P<M>0{1,2})分(?P<sec>(?P<S>0{1,2})秒)?"
_COMPACT_CLOCK = rf"(?P<H>00)(?P<M>00)(?P<sec>(?P<S>00){_FRACTION})?{_ZONE}"


def _pattern(date, clock=_CLOCK, join=_JOIN):
    return re.compile(rf"{date}(?P<clock>(?P<join>{join}){clock})?", _FLAGS)


_YMD = r"(?P<Y>0000)(?P<s>[-/.])(?P<m>0{1,2})(?P=s)(?P<d>0{1,2})"
_HAN = r"(?P<Y>0000)年(?P<m>0{1,2})月(?P<d>0{1,2})日"
_AB = r"(?P<a>0{1,2})(?P<s>[-/.])(?P<b>0{1,2})(?P=s)(?P<Y>0000)"
_DMON = rf"(?P<d>0{{1,2}})\.?(?P<s>[-/ ]){_MONTH}(?P=s)(?P<Y>0000)"
_COMPACT = r"(?P<Y>0000)(?P<m>00)(?P<d>00)"

TEXT_FORMATS = (
    ("year{s}month{s}day", _pattern(_YMD)),
    ("year年month月day日", _pattern(_HAN, join=" ?")),
    ("year年month月day日", _pattern(_HAN, _HAN_CLOCK, " ?")),
    ("day{s}month{s}year", _pattern(_AB)),  # or month first, which is decided later
    ("day{s}name of month{s}year", _pattern(_DMON)),
    (
        "name of month day, year",
        _pattern(rf"{_MONTH} (?P<d>0{{1,2}}),? (?P<Y>0000)"),
    ),
    (
        "yearmonthday",
        re.compile(rf"{_COMPACT}(?P<clock>[Tt]{_COMPACT_CLOCK})", _FLAGS),
    ),
)
_SHORT_PARTS = {
    "d": ("day", "(?P<d>0{1,2})"),
    "m": ("month", "(?P<m>0{1,2})"),
    "y": ("short year", "(?P<Y>00)"),
}


def _short_format(order):
    """Return the format of dates with two-digit years for an order of the parts."""
    names, (first, second, third) = zip(*map(_SHORT_PARTS.get, order), strict=True)
    date = rf"{first}(?P<s>[-/.]){second}(?P=s){third}"
    return "{s}".join(names), _pattern(date)


SHORT_FORMATS = {order: _short_format(order) for order in ("dmy", "mdy", "ymd")}
SHORT_NAMED_FORMAT = (
    "day{s}name of month{s}short year",
    _pattern(rf"(?P<d>0{{1,2}})\.?(?P<s>[-/ ]){_MONTH}(?P=s)(?P<Y>00)"),
)
_DIGIT_FORMATS = (
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
_TIME_OF_DAY = re.compile(rf"(?:{_CLOCK}|{_HAN_CLOCK.replace('?P<', '?P<x')})", _FLAGS)
_SHORT_YEAR = re.compile(
    rf"(?:00?[-/.]00?[-/.]00|00?\.?[-/ ]{_MONTH}[-/ ]00)(?!0)(?:$|{_JOIN})", _FLAGS
)
EPOCH = re.compile(r"(?P<whole>0{1,19})(?:[.,](?P<f>0+))?")
_DOTTED_CLOCK = re.compile(r"([01]?[0-9]|2[0-3])\.[0-5][0-9]\.[0-5][0-9]", re.ASCII)
# Small integers, and ticks since the years 1 or 1904, are outside this range.
_PLAUSIBLE = (946_684_800, 2_840_140_800)  # 2000-01-01 to 2060-01-01, in seconds
# Name, size as a power of 10 in nanoseconds, and seconds from the origin to 1970.
_UNITS = (
    ("seconds since 1970", 9, 0),
    ("milliseconds since 1970", 6, 0),
    ("microseconds since 1970", 3, 0),
    ("nanoseconds since 1970", 0, 0),
    ("100 nanoseconds since 1601", 2, 11_644_473_600),  # FILETIME of Windows
)


def shape_of(cell):
    """Return a text with every ASCII digit replaced by 0."""
    return cell.translate(_ZEROS)


def has_short_year(cell):
    """Whether a text starts with a date whose year has two digits."""
    return _SHORT_YEAR.match(shape_of(cell)) is not None


def kind_of_times(column, *, named):
    """Detect by its first value whether a column may hold times.

    Parameters
    ----------
    column : Column
        A column of text.
    named : bool
        Whether the column has the name of a time. Only then may numbers be times.

    Returns
    -------
    kind : {'instant', 'date', 'time of day', 'short year', None}
        None if it does not hold times.
    """
    cell = column.first_value
    shape = shape_of(cell)
    formats = TEXT_FORMATS + digit_formats(cell) * named
    for _, pattern in formats:
        match = pattern.fullmatch(shape)
        if match:
            return "instant" if match["clock"] else "date"
    if _TIME_OF_DAY.fullmatch(shape):
        return "time of day"
    if _SHORT_YEAR.match(shape):
        return "short year"
    if named and EPOCH.fullmatch(shape) and epoch_unit(cell):
        return "instant"
    if named and may_be_excel_dates(column):
        return "instant"
    return None


def is_dotted_clock(column):
    """Whether all values are times of day such as 18.00.00."""
    return all(map(_DOTTED_CLOCK.fullmatch, column.cells))


def digit_formats(cell):
    """Return formats of digits alone, with more of them for years from 1900 to 2099."""
    return _DIGIT_FORMATS if cell[:2] in ("19", "20") else _DIGIT_FORMATS[:2]


def style_of(name, match):
    """Return the parts of a format that must be equal in all times of a column."""
    groups = match.groupdict()
    return (
        name.format(s=groups.get("s") or ""),
        bool(groups.get("clock")),
        bool(groups.get("sec")),
        bool(groups.get("half") or groups.get("before")),
        bool(groups.get("zone")),
        (groups.get("join") or "").strip().upper(),
    )


def describe(style):
    """Describe a style for the log."""
    date, clock, seconds, half, *_ = style
    if not clock or date.endswith("hour"):
        return date
    return f"{date} hour:minute{':second' * seconds}{' AM/PM' * half}"


def strptime_format(date, groups):
    """Return the format of a time from the order of its date and parts of its shape."""
    text = date.format(s=groups["s"])
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


def epoch_unit(cell):
    """Find the unit in which a number is a plausible time.

    Parameters
    ----------
    cell : str
        Text that matches EPOCH.

    Returns
    -------
    unit : tuple of str, int, int, int and int, or None
        Name, length as a power of 10 in nanoseconds, lowest and highest plausible
        integer, and the integer at 1970. None if no unit fits.
    """
    whole = int(re.split("[.,]", cell)[0])
    for name, power, origin in _UNITS:
        scale = 10 ** (9 - power)
        low, high = ((bound + origin) * scale for bound in _PLAUSIBLE)
        if low <= whole <= high:
            return name, power, low, high, origin * scale
    return None
