# SPDX-License-Identifier: MIT
"""Read times that are written as numbers of days or seconds."""

import re
from decimal import Decimal

import numpy as np

from tsanomaly._parameter_error import Parameter, ParameterWarning
from tsanomaly.datasets._reading._bounds import GLUE
from tsanomaly.datasets._reading._cells import MISSING, show
from tsanomaly.datasets._reading._names import has_time_name
from tsanomaly.datasets._reading._times import YEARS, Times

__all__ = [
    "NUMBER_FORMATS",
    "is_number",
    "may_be_elapsed",
    "may_be_excel_dates",
    "parse_detected_numbers",
    "parse_number_format",
    "unit_of_name",
]

_SECOND = 10**9
_DAY = 86_400 * _SECOND
# Nanoseconds per unit, and the origin in nanoseconds since 1970.
NUMBER_FORMATS = {
    "ns": (1, 0),
    "us": (1_000, 0),
    "ms": (1_000_000, 0),
    "s": (_SECOND, 0),
    "min": (60 * _SECOND, 0),
    "h": (3_600 * _SECOND, 0),
    "excel": (_DAY, -25_569 * _DAY),  # days since 1899-12-30
    "filetime": (100, -11_644_473_600 * _SECOND),  # since 1601
}
_UNIT_WORDS = {
    "ns": "ns nanosecond nanoseconds",
    "us": "us µs μs usec microsecond microseconds",
    "ms": "ms msec millis millisecond milliseconds millisekunden millisecondes",
    "s": "s sec secs second seconds sek sekunde sekunden seconde secondes segundos",
    "min": "min mins minute minutes minuten minutos",
    "h": "h hr hrs hour hours std stunde stunden heure heures horas",
}
_UNITS = {word: unit for unit, words in _UNIT_WORDS.items() for word in words.split()}
_ELAPSED_WORDS = frozenset(["elapsed", "relative", "rel", "t", "since", "start", "in"])
_WORD = re.compile(r"[^\W\d_]+")
_NUMBER = re.compile(
    r"(?=.{1,40}\Z)[+-]?(?:[0-9]+(?:[.,][0-9]*)?|[.,][0-9]+)(?:[eE][+-]?[0-9]{1,3})?",
    re.ASCII,
)
_EXCEL_DATES = (20_000, 80_000)  # 1954 to 2119
_FROM_2000 = 36_526
_REACH = tuple(
    (np.datetime64(str(year), "ns") - np.datetime64(0, "ns")).astype(int).item()
    for year in (YEARS[0], YEARS[1] + 1)
)


def is_number(cell):
    """Whether a cell is a number of usual length, with a point or a comma."""
    return _NUMBER.fullmatch(cell) is not None


def unit_of_name(name):
    """Return the unit in the name of a column of elapsed times, or None.

    The rest of the name must mean time: ``Time [ms]``, ``t (s)``.
    """
    words = [word.casefold() for word in _WORD.findall(name)]
    units = [_UNITS[word] for word in words if word in _UNITS]
    others = [word for word in words if word not in _UNITS]
    are_times = others and all(
        word in _ELAPSED_WORDS or has_time_name(word) for word in others
    )
    return units[0] if len(units) == 1 and are_times else None


def may_be_elapsed(column):
    """Whether a column holds numbers and has a unit of time in its name."""
    return is_number(column.first) and unit_of_name(column.name) is not None


def may_be_excel_dates(column):
    """Whether a column starts with a plausible Excel serial date."""
    if not is_number(column.first):
        return False
    number = _number(column.first)
    # Whole numbers may count something else, so they must be days of this century.
    low = _EXCEL_DATES[0] if number % 1 else _FROM_2000
    return low <= number <= _EXCEL_DATES[1]


def parse_detected_numbers(column):
    """Read Excel serial dates, or elapsed times with the unit in the name.

    Parameters
    ----------
    column : Column
        A column of text.

    Returns
    -------
    times : Times or None
        With a message about the detected format. None if the column holds neither.

    Raises
    ------
    ValueError
        If the numbers do not ascend, or a cell is not such a number.
    """
    if may_be_elapsed(column):
        date_format = unit_of_name(column.name)
        what = (
            "times since the start of the recording, in the unit of the name, "
            f"{date_format}. The index counts them from 1970-01-01"
        )
    elif may_be_excel_dates(column):
        date_format, what = "excel", "serial dates of Excel"
    else:
        return None
    times = parse_number_format(column, date_format)
    falls = np.flatnonzero(np.diff(times.values) < 0) + 1
    if len(falls):
        cells = column.cells
        raise column.fault(
            falls[0],
            f"{show(cells[falls[0]])} follows {show(cells[falls[0] - 1])}: numbers "
            f"that do not increase are not read as {what.partition(',')[0]}. Pass ",
            Parameter("date_format", date_format),
            " if they are; the rows are then sorted by time. If the recording restarts "
            "there, split the file.",
        )
    times.message = ParameterWarning(
        f"{column.path}, column {column.name!r}: numbers such as {show(column.first)} "
        f"were read as {what}; the first one is {times.to_index(None)[0]}. Pass ",
        Parameter("date_format", date_format),
        " to confirm.",
    )
    return times


def parse_number_format(column, date_format):
    """Read numbers in a given format.

    Parameters
    ----------
    column : Column
        A column of text, without missing cells.
    date_format : str
        A key of NUMBER_FORMATS.

    Returns
    -------
    times : Times
        One time per row.

    Raises
    ------
    ValueError
        If a cell is not a number, or out of the range of nanoseconds since 1970.
    """
    size, origin = NUMBER_FORMATS[date_format]
    values, wrong = _read(column, size, origin)
    if wrong is not None:
        raise column.fault(
            wrong,
            f"{show(column.cells[wrong])} does not have the format ",
            Parameter("date_format", date_format),
            f": it is not a number, or not in the years {YEARS[0]} to {YEARS[1]}. "
            "Correct the line or the format.",
        )
    if date_format == "excel":
        values = _round_serials(column, values)
    return Times(values, None, f"numbers, {date_format}")


def _number(cell):
    """Read an exact number: as floats, seconds since 1970 are off by 200 ns."""
    return Decimal(cell.replace(",", "."))


def _read(column, size, origin):
    """Return nanoseconds since 1970, and the first invalid row or None."""
    values = np.zeros(len(column.lines), dtype=np.int64)
    low, high = (Decimal(bound - origin) / size for bound in _REACH)
    for start, text in column.texts():
        for row, cell in enumerate(text.split(GLUE), start):
            if cell in MISSING or not is_number(cell):
                return values, row
            number = _number(cell)
            if not low <= number < high:
                return values, row
            values[row] = int((number * size).to_integral_value()) + origin
    return values, None


def _round_serials(column, values):
    """Round serial dates to remove artefacts such as 10:00:00.029.

    They are rounded to the longest unit of which all are multiples, within the
    precision of their decimals. Without such a unit, they are rounded to milliseconds,
    as in Excel, or to seconds if they have few decimals.
    """
    decimals = max(
        len(re.split("[.,]", cell)[1]) if re.search("[.,]", cell) else 0
        for cell in column.cells
    )
    doubt = _DAY // 2 // 10 ** min(decimals, 9) + 1
    for unit in (60 * _SECOND, _SECOND, _SECOND // 10, _SECOND // 100):
        rounded = (values + unit // 2) // unit * unit
        if unit >= 2 * doubt and np.abs(rounded - values).max() <= doubt:
            return rounded
    unit = _SECOND if decimals < 6 else _SECOND // 1000
    return (values + unit // 2) // unit * unit
