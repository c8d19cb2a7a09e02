# SPDX-License-Identifier: MIT
"""Read numbers from text, with the decimal mark of the file."""

import re
from collections import Counter
from itertools import compress
from numbers import Real

import numpy as np

from tsanomaly._parameter_error import Parameter, ParameterError, ParameterWarning
from tsanomaly.datasets._reading._bounds import GLUE
from tsanomaly.datasets._reading._cells import MISSING, NUMBER, is_time_text, show
from tsanomaly.datasets._reading._decimals import read_decimals
from tsanomaly.datasets._reading._words import (
    is_bad_word,
    no_number_words,
    read_states,
)

__all__ = [
    "MissingValues",
    "detect_decimal",
    "perhaps_thousands",
    "read_numbers",
]

_N_ROWS, _N_CELLS = 2**10, 2**17  # to read at a time
_SWAP = str.maketrans(",.", ".,")
_INFINITE = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE)
# The comma in 1,234 may separate thousands. Then it follows 1 to 3 digits, of which the
# first is not 0, and precedes exactly three.
_PERHAPS_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}")
_NO_THOUSANDS = re.compile(
    rf"{GLUE}(?!(?:[+-]?[1-9][0-9]{{0,2}}[.][0-9]{{3}}|[+-]?[0-9]{{1,3}}"
    rf"|{'|'.join(re.escape(word) for word in sorted(MISSING) if '.' not in word)})"
    rf"(?:{GLUE}|\Z))"
)
_HUNDREDS = re.compile("[+-]?[1-9][0-9]{2}")
_THOUSANDS = re.compile(r"[+-]?[0-9]{1,3}(?:[ ,.'’\xa0\u202f][0-9]{3})+(?:[.,][0-9]*)?")


class MissingValues:
    """Cells that mean a missing reading according to the user.

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
        """Empty these cells, and return how often each text occurred."""
        counts = Counter()
        for column in columns:
            for start, text in column.texts():
                cells = text.split(GLUE)
                found = self._find(set(cells))
                if found:
                    rows = np.flatnonzero([cell in found for cell in cells])
                    counts.update([cells[row] for row in rows])
                    column.ends[start + rows] = column.starts[start + rows]
        return counts

    def _find(self, cells):
        """Return which of several distinct cells mean a missing reading."""
        found = self._texts & cells
        others = list(cells - MISSING)
        if not self._numbers or not others:
            return found
        numbers = _plain_numbers(GLUE.join(others).replace(",", ".").split(GLUE))
        if numbers is None:
            return found | set(filter(self._holds_number, others))
        return found | set(compress(others, np.isin(numbers, list(self._numbers))))

    def _holds_number(self, cell):
        number = cell.replace(",", ".", 1)
        return bool(NUMBER.fullmatch(number)) and float(number) in self._numbers


def detect_decimal(table, columns):
    """Detect the decimal mark of a file.

    Parameters
    ----------
    table : Table
        The file.
    columns : list of Column
        The channels.

    Returns
    -------
    decimal : {'.', ','}

    Raises
    ------
    ValueError
        If numbers have commas and points, or a comma may be something else.
    """
    is_comma = table.sep == ","
    if (is_comma and not table.holds_sep) or b"," not in columns[0].data:
        return "."  # no cell contains a comma
    certain = next(_numbers_with(columns, ",", certain=True), None)
    first = certain or next(_numbers_with(columns, ","), None)
    if first is None:
        return "."
    if certain and not is_comma:
        return ","  # a number with a point raises when it is read
    if (error := _two_marks(columns, *first)) is not None:
        raise error
    column, row, cell = first
    if is_comma:
        raise column.fault(
            row,
            f"{show(cell)} has a comma, which also separates the fields. Pass ",
            Parameter("decimal", ","),
            " if it is a decimal comma; thousands separators are not supported.",
        )
    raise column.fault(
        row,
        f"{show(cell)} may be in thousands or a number with three decimals, and no "
        "other cell of the file shows which. Pass ",
        Parameter("decimal", ","),
        " if these are decimals; otherwise remove the thousands separators, which are "
        "not supported.",
    )


def _two_marks(columns, column, row, cell):
    """Error about a number with a comma if another one has a point."""
    second = next(_numbers_with(columns, "."), None)
    if second is None:
        return None
    other, other_row, point = second
    return column.fault(
        row,
        f"{show(cell)} has a comma, while {show(point)} in line "
        f"{other.lines[other_row]}, column {other.name!r}, has a decimal point. The "
        "whole file must have the same decimal mark, and thousands separators are not "
        "supported.",
    )


def _numbers_with(columns, mark, certain=False):
    """Yield column, row and text of numbers with a certain decimal mark."""
    other = "." if mark == "," else ","
    for column in columns:
        for start, text in column.texts():
            if mark not in text:
                continue
            for row, cell in enumerate(text.split(GLUE), start):
                if (
                    mark in cell
                    and other not in cell
                    and NUMBER.fullmatch(cell.replace(mark, ".", 1))
                    and not (certain and _PERHAPS_THOUSANDS.fullmatch(cell))
                ):
                    yield column, row, cell


def perhaps_thousands(columns):
    """Yield a warning for each channel whose points may separate thousands."""
    for column in columns:
        hundreds = _find_hundreds(column)
        if hundreds is None:
            continue
        row, cell = next(
            (start + row, cell)
            for start, text in column.texts()
            for row, cell in enumerate(text.split(GLUE))
            if "." in cell
        )
        other, without = hundreds
        yield ParameterWarning(
            f"{column.place(row)}: {show(cell)} was read as a number with three "
            f"decimals, but may be in thousands, because {show(without)} in line "
            f"{column.lines[other]} has none. Remove the points from the file, or "
            "pass ",
            Parameter("decimal", "."),
            " to confirm.",
        )


def _find_hundreds(column):
    """Find a number such as 987 in a column whose other numbers look like 1.234.

    Return its row and text, or None if there is no such number or no point.
    """
    # The fastest checks come first: one cell, a few, lengths, points, and all cells.
    if _NO_THOUSANDS.search(GLUE + column.first):
        return None
    if _NO_THOUSANDS.search(GLUE + next(column.texts())[1]):
        return None
    n_bytes = column.ends - column.starts
    rows = np.flatnonzero((n_bytes == 3) | (n_bytes == 4))
    hundreds = (
        (rows[start + row], cell)
        for start, text in column.texts(rows)
        for row, cell in enumerate(text.split(GLUE))
        if _HUNDREDS.fullmatch(cell)
    )
    first = next(hundreds, None)
    if first is None or not any("." in text for _, text in column.texts()):
        return None
    if any(_NO_THOUSANDS.search(GLUE + text) for _, text in column.texts()):
        return None
    return first


def read_numbers(columns, decimal, *, is_detected, found):
    """Read numbers as the nearest float64.

    Parameters
    ----------
    columns : list of Column
        The channels of one file.
    decimal : {'.', ','}
        Decimal mark of the file.
    is_detected : bool
        Whether `detect_decimal` found it.
    found : WordCounts
        Counts of words. Words that are read are added.

    Returns
    -------
    numbers : ndarray of float64 of shape (n_timestamps, n_channels)
        NaN where a reading is missing. Channels are contiguous, as in pandas.

    Raises
    ------
    ValueError
        If a cell is not a number.
    """
    try:
        return _read(columns, decimal, found)
    except ValueError as error:
        if is_detected and decimal == ",":
            first = next(_numbers_with(columns, ",", certain=True))
            raise (_two_marks(columns, *first) or error) from None
        raise


def _read(columns, decimal, found):
    """Read numbers, without the error about mixed decimal marks."""
    shape = (len(columns[0].lines), len(columns))
    numbers = np.empty(shape, order="F")
    is_read = np.empty(shape, dtype=bool, order="F")
    # Blocks of rows, because rows are contiguous in the file.
    n_rows = max(_N_ROWS, _N_CELLS // len(columns))
    n_columns = max(1, _N_CELLS // n_rows)
    for i in range(0, shape[0], n_rows):
        for j in range(0, shape[1], n_columns):
            block = (slice(i, i + n_rows), slice(j, j + n_columns))
            numbers[block], is_read[block] = _read_block(columns, *block, decimal)
    for j in np.flatnonzero(~is_read.all(axis=0)):
        rows = np.flatnonzero(~is_read[:, j])
        numbers[rows, j] = _read_others(columns[j], rows, decimal, found)
    return numbers


def _read_block(columns, rows, chosen, decimal):
    """Read the short decimal numbers of a block, and return which cells these are."""
    starts = np.array([column.starts[rows] for column in columns[chosen]]).T
    ends = np.array([column.ends[rows] for column in columns[chosen]]).T
    data = columns[0].data
    numbers, is_read = read_decimals(data, starts.ravel(), ends.ravel(), decimal)
    return numbers.reshape(starts.shape), is_read.reshape(starts.shape)


def _read_others(column, rows, decimal, found):
    """Read rows with words, or with numbers other than short decimal ones."""
    numbers, bad = np.empty(len(rows)), Counter()
    for start, text in column.texts(rows):
        cells = (text.translate(_SWAP) if decimal == "," else text).split(GLUE)
        values = _plain_numbers(cells)
        if values is None:
            written = text.split(GLUE)
            words = set(filter(is_bad_word, set(written) - MISSING))
            bad.update(cell for cell in written if cell in words)
            cells = [
                "nan" if cell in MISSING or cell in words else cell for cell in written
            ]
            if decimal == ",":
                cells = [cell.translate(_SWAP) for cell in cells]
            values = _numbers_and_nan(cells)
        if values is None:
            if (states := read_states(column, found)) is not None:
                return states[rows]
            is_number = list(map(NUMBER.fullmatch, cells))
            raise _no_number(column, rows[start + is_number.index(None)], decimal)
        numbers[start : start + len(values)] = values
    _refuse_overflow(column, rows, numbers)
    found.bad.update(bad)
    return numbers


def _plain_numbers(cells):
    """Read cells as numbers, or return None if some contain other characters."""
    # float() also accepts underscores and digits of other scripts. With only these
    # characters, it accepts nothing but decimal numbers.
    text = GLUE.join(cells)
    if not text.isascii() or text.encode().translate(None, b"0123456789+-.eE\0"):
        return None
    try:
        return np.fromiter(map(float, cells), np.float64, len(cells))
    except ValueError:
        return None


def _numbers_and_nan(cells):
    """Read cells as numbers or NaN, or return None if some are neither."""
    is_number = [cell != "nan" for cell in cells]
    numbers = np.full(len(cells), np.nan)
    written = list(compress(cells, is_number))
    if written:
        values = _plain_numbers(written)
        if values is None:
            if not all(map(NUMBER.fullmatch, written)):
                return None
            values = list(map(float, written))
        numbers[is_number] = values
    return numbers


def _refuse_overflow(column, rows, numbers):
    """Raise if a number is too large for a float."""
    infinite = rows[np.isinf(numbers)]
    for start, text in column.texts(infinite):
        for row, cell in enumerate(text.split(GLUE), start):
            if not _INFINITE.fullmatch(cell):
                raise column.fault(
                    infinite[row],
                    f"{show(cell)} is beyond the largest number, about 1.8e308. "
                    "Correct the cell, or leave it empty.",
                )


def _no_number(column, row, decimal):
    """Error about a cell of a channel that is not a number."""
    cell = column.cells[row]
    other = "," if decimal == "." else "."
    if is_time_text(cell):
        parts = (
            " is a time in a column of readings. If this is the time column, pass its "
            "name as ",
            Parameter("timestamp"),
            "; otherwise leave it out with ",
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
            " has thousands separators, which are not supported. Remove them from the "
            "file.",
        )
    else:
        return no_number_words(column, row, decimal)
    return column.fault(row, show(cell), *parts)
