# SPDX-License-Identifier: MIT
"""Readings from text, with the decimal mark of the file."""

import re
from numbers import Real

import numpy as np

from tsanomaly._parameter_error import Parameter, ParameterError, ParameterWarning
from tsanomaly.datasets._reading._cells import MISSING, NUMBER, is_time_text, show

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
_DOTTED_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}[.][0-9]{3}")
_BELOW_THOUSAND = re.compile(r"[+-]?[0-9]{1,3}")
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
            found = set(filter(self._holds, set(column.cells)))
            if found:
                count += sum(cell in found for cell in column.cells)
                column.cells = ["" if cell in found else cell for cell in column.cells]
        return count

    def _holds(self, cell):
        number = cell.replace(",", ".", 1)
        return cell in self._texts or (
            bool(self._numbers and NUMBER.fullmatch(number))
            and float(number) in self._numbers
        )


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
    column, row = first
    cell = show(column.cells[row])
    other, other_row = next(_numbers_with(columns, "."), (None, None))
    if other is not None:
        raise column.fault(
            row,
            f"{cell} has a comma, while {show(other.cells[other_row])} in line "
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
    """Yield column and row of numbers with a mark, that surely is a decimal mark."""
    other = "." if mark == "," else ","
    for column in columns:
        if mark not in "\n".join(column.cells):
            continue
        for row, cell in enumerate(column.cells):
            if (
                mark in cell
                and other not in cell
                and NUMBER.fullmatch(cell.replace(mark, ".", 1))
                and not (certain and _PERHAPS_THOUSANDS.fullmatch(cell))
            ):
                yield column, row


def perhaps_thousands(columns):
    """Yield a warning for each channel whose points may separate thousands."""
    for column in columns:
        short = dotted = None
        for row, cell in enumerate(column.cells):
            if "." in cell:
                dotted = row if dotted is None else dotted
                is_possible = _DOTTED_THOUSANDS.fullmatch(cell)
            else:
                is_possible = cell in MISSING or _BELOW_THOUSAND.fullmatch(cell)
                if short is None and len(cell.lstrip("+-0")) == 3:
                    short = row
            if not is_possible:
                break
        else:
            if short is not None and dotted is not None:
                yield ParameterWarning(
                    f"{column.place(dotted)}: {show(column.cells[dotted])} was read "
                    "as a number with three decimals, but may be a thousand, since "
                    f"{show(column.cells[short])} in line {column.lines[short]} has "
                    "none. Remove the points from the file, or pass ",
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
    cells = column.cells
    has_missing = not MISSING.isdisjoint(cells)
    if has_missing:
        cells = ["nan" if cell in MISSING else cell for cell in cells]
    if decimal == ",":
        # Joined by a character that no cell holds: one translation is faster.
        cells = "\0".join(cells).translate(_SWAP).split("\0")
    # float() reads more than is meant here: underscores, digits of other scripts. In
    # text of these characters alone it reads numbers, and nothing else.
    written = [cell for cell in cells if cell != "nan"] if has_missing else cells
    text = "\n".join(written)
    plain = text.isascii() and not text.encode().translate(None, b"0123456789+-.eE\n")
    if not plain:
        meaning = {"true": 1.0, "false": 0.0, "nan": np.nan}
        if {cell.lower() for cell in cells} <= meaning.keys():
            return np.array([meaning[cell.lower()] for cell in cells])
        for row, cell in enumerate(cells):
            if not NUMBER.fullmatch(cell):
                raise _no_number(column, row, decimal)
    try:
        numbers = np.array(list(map(float, cells)), dtype=np.float64)
    except ValueError:
        row = next(row for row, cell in enumerate(cells) if not NUMBER.fullmatch(cell))
        raise _no_number(column, row, decimal) from None
    for row in np.flatnonzero(np.isinf(numbers)):
        if not _INFINITE.fullmatch(cells[row]):
            raise column.fault(
                row,
                f"{show(column.cells[row])} is beyond the largest number, about "
                "1.8e308. Correct the cell, or leave it empty.",
            )
    return numbers


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
