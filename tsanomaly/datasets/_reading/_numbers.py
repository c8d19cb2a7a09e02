# SPDX-License-Identifier: MIT
"""Readings from text, with the decimal mark of the file."""

import re
from itertools import compress
from numbers import Real

import numpy as np

from tsanomaly._parameter_error import Parameter, ParameterError, ParameterWarning
from tsanomaly.datasets._reading._cells import MISSING, NUMBER, is_time_text, show
from tsanomaly.datasets._reading._table import GLUE

__all__ = [
    "MissingValues",
    "detect_decimal",
    "perhaps_thousands",
    "read_numbers",
]

_SWAP = str.maketrans(",.", ".,")
_INFINITE = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE)
# 1,234 may be a thousand. A thousand has 1 to 3 digits before the comma, the first
# of them no zero, then exactly three.
_PERHAPS_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}")
_NO_THOUSANDS = re.compile(
    rf"{GLUE}(?!(?:[+-]?[1-9][0-9]{{0,2}}[.][0-9]{{3}}|[+-]?[0-9]{{1,3}}"
    rf"|{'|'.join(re.escape(word) for word in sorted(MISSING) if '.' not in word)})"
    rf"(?:{GLUE}|\Z))"
)
_HUNDREDS = re.compile(rf"{GLUE}[+-]?[1-9][0-9]{{2}}(?={GLUE}|\Z)")
_THOUSANDS = re.compile(r"[+-]?[0-9]{1,3}(?:[ ,.'’\xa0\u202f][0-9]{3})+(?:[.,][0-9]*)?")


class MissingValues:
    """Cells that the user says stand for a missing reading.

    Parameters
    ----------
    na_values : str, number, list of these or None
        As for `read_sensor_csv`.
    """

    def __init__(self, na_values):
        values = [] if na_values is None else na_values
        values = [values] if isinstance(values, (str, Real)) else values
        is_list = isinstance(values, (list, tuple, set, frozenset))
        if not is_list or not all(
            isinstance(value, (str, Real)) and not isinstance(value, bool)
            for value in values
        ):
            raise ParameterError(
                Parameter("na_values", na_values),
                " must be a text, a number or a list of these, such as ['Bad', -200].",
            )
        self._texts = {str(value).strip() for value in values}
        self._numbers = {float(text) for text in self._texts if NUMBER.fullmatch(text)}

    def __bool__(self):
        return bool(self._texts)

    def empty(self, columns):
        """Empty these cells, and return how many there were."""
        count = 0
        for column in columns:
            blocks = []
            for text in column.blocks():
                cells = text.split(GLUE)
                found = self._find(set(cells))
                if found:
                    count += sum(map(found.__contains__, cells))
                    cells = ["" if cell in found else cell for cell in cells]
                    text = GLUE.join(cells)
                blocks.append(text)
            column.text = GLUE.join(blocks)
        return count

    def _find(self, cells):
        """Which of several different cells stand for a missing reading."""
        found = self._texts & cells
        others = list(cells - MISSING)
        if not self._numbers or not others:
            return found
        numbers = _plain_numbers(GLUE.join(others).replace(",", "."))
        if numbers is None:
            return found | set(filter(self._holds_number, others))
        return found | set(compress(others, np.isin(numbers, list(self._numbers))))

    def _holds_number(self, cell):
        number = cell.replace(",", ".", 1)
        return bool(NUMBER.fullmatch(number)) and float(number) in self._numbers


def detect_decimal(columns, sep):
    """Detect the decimal mark of a file.

    Parameters
    ----------
    columns : list of Column
        The channels.
    sep : str
        What separates the fields.

    Returns
    -------
    decimal : {'.', ','}

    Raises
    ------
    ValueError
        If commas and points are there, or a comma may be something else.
    """
    certain = next(_numbers_with(columns, ",", certain=True), None)
    first = certain or next(_numbers_with(columns, ","), None)
    if first is None:
        return "."
    column, row, cell = first
    cell = show(cell)
    second = next(_numbers_with(columns, "."), None)
    if second is not None:
        other, other_row, point = second
        raise column.fault(
            row,
            f"{cell} has a comma, while {show(point)} in line "
            f"{other.lines[other_row]}, column {other.name!r}, has a decimal point. "
            "One mark must hold for the whole file, and thousands separators are not "
            "read. Write all numbers in one way.",
        )
    if sep == ",":
        raise column.fault(
            row,
            f"{cell} has a comma, which also separates the fields. Pass ",
            Parameter("decimal", ","),
            " if it is a decimal comma; thousands separators are not read.",
        )
    if certain is None:
        raise column.fault(
            row,
            f"{cell} may be a thousand or a number with three decimals, and no other "
            "cell of the file tells. Pass ",
            Parameter("decimal", ","),
            " for decimals; thousands separators are not read, remove them.",
        )
    return ","


def _numbers_with(columns, mark, certain=False):
    """Yield column, row and text of numbers with a mark, surely a decimal mark."""
    other = "." if mark == "," else ","
    for column in columns:
        for row, cell in column.cells_with(mark):
            if (
                other not in cell
                and NUMBER.fullmatch(cell.replace(mark, ".", 1))
                and not (certain and _PERHAPS_THOUSANDS.fullmatch(cell))
            ):
                yield column, row, cell


def perhaps_thousands(columns):
    """Yield a warning for each channel whose points may separate thousands."""
    for column in columns:
        text = GLUE + column.text
        if "." not in text or _NO_THOUSANDS.search(text):
            continue
        hundreds = _HUNDREDS.search(text)
        if hundreds:
            row, cell = next(column.cells_with("."))
            yield ParameterWarning(
                f"{column.place(row)}: {show(cell)} was read as a number with three "
                "decimals, but may be a thousand, since "
                f"{show(hundreds[0][1:])} in line "
                f"{column.lines[column.row_of(hundreds.start())]} has none. Remove the "
                "points from the file, or pass ",
                Parameter("decimal", "."),
                " to confirm.",
            )


def read_numbers(column, decimal):
    """Readings as float64, the nearest ones to what is written.

    Parameters
    ----------
    column : Column
        A channel.
    decimal : {'.', ','}
        Decimal mark of the file.

    Returns
    -------
    numbers : ndarray of float64 of shape (n_timestamps,)
        NaN where a reading is missing.

    Raises
    ------
    ValueError
        If a cell is not a number.
    """
    numbers = np.empty(len(column.lines))
    start = 0
    for text in column.blocks():
        # One translation of a text is faster than one of every cell.
        values = _plain_numbers(text.translate(_SWAP) if decimal == "," else text)
        if values is None:
            cells = ["nan" if cell in MISSING else cell for cell in text.split(GLUE)]
            if decimal == ",":
                cells = [cell.translate(_SWAP) for cell in cells]
            values = _numbers_and_nan(cells)
        if values is None:
            if (words := _truth(column)) is not None:
                return words
            is_number = list(map(NUMBER.fullmatch, cells))
            raise _no_number(column, start + is_number.index(None), decimal)
        numbers[start : start + len(values)] = values
        start += len(values)
    _refuse_overflow(column, numbers)
    return numbers


def _plain_numbers(text):
    """Numbers from cells that are one text, or None if not all are of plain digits."""
    # float() reads more than is meant here: underscores, digits of other scripts. In
    # text of these characters alone it reads numbers, and nothing else.
    if not text.isascii() or text.encode().translate(None, b"0123456789+-.eE\0"):
        return None
    cells = text.split(GLUE)
    try:
        return np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        return None


def _numbers_and_nan(cells):
    """Numbers from cells, or None if not all are numbers."""
    is_number = [cell != "nan" for cell in cells]
    numbers = np.full(len(cells), np.nan)
    written = list(compress(cells, is_number))
    if written:
        values = _plain_numbers(GLUE.join(written))
        if values is None:
            if not all(map(NUMBER.fullmatch, written)):
                return None
            values = list(map(float, written))
        numbers[is_number] = values
    return numbers


def _truth(column):
    """1 and 0 of a column of true and false, NaN where none is; None of any other."""
    meaning = {"true": 1.0, "false": 0.0, "nan": np.nan}
    cells = ["nan" if cell in MISSING else cell.lower() for cell in column.cells]
    if not set(cells) <= meaning.keys():
        return None
    return np.array([meaning[cell] for cell in cells])


def _refuse_overflow(column, numbers):
    """Raise if a number is infinite that is not written so."""
    infinite = np.flatnonzero(np.isinf(numbers))
    if not len(infinite):
        return
    cells = column.cells
    for row in infinite:
        if not _INFINITE.fullmatch(cells[row]):
            raise column.fault(
                row,
                f"{show(cells[row])} is beyond the largest number, about "
                "1.8e308. Correct the cell, or leave it empty.",
            )


def _no_number(column, row, decimal):
    """Error about a cell of a channel that cannot be read."""
    cell = column.cells[row]
    other = "," if decimal == "." else "."
    if is_time_text(cell):
        parts = (
            " is a time in a column of readings. If it is the time column, pass its "
            "name as ",
            Parameter("timestamp"),
            ", else leave it out with ",
            Parameter("drop"),
            ".",
        )
    elif NUMBER.fullmatch(cell.replace(other, ".", 1)) and other in cell:
        parts = (
            f" is a number with {other!r}, and the decimal mark of the file is "
            f"{decimal!r}. Write all numbers in one way, or pass the mark as ",
            Parameter("decimal"),
            ".",
        )
    elif _THOUSANDS.fullmatch(cell):
        parts = (
            " has thousands separators, which are not read. Remove them from the file.",
        )
    else:
        parts = (
            " is not a number. Correct the cell, leave it empty if the reading is "
            "missing, or leave the column out with ",
            Parameter("drop"),
            ".",
        )
    return column.fault(row, show(cell), *parts)
