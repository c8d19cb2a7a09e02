# SPDX-License-Identifier: MIT
"""Find the order of dates whose year has two digits."""

import re

import numpy as np

from tsanomaly._parameter_error import Parameter
from tsanomaly.datasets._reading._bounds import GLUE
from tsanomaly.datasets._reading._cells import show
from tsanomaly.datasets._reading._date_format import has_date_format
from tsanomaly.datasets._reading._time_formats import (
    SHORT_FORMATS,
    SHORT_NAMED_FORMAT,
    is_dotted_clock,
    shape_of,
    strptime_format,
)

__all__ = ["example_formats", "find_short_format"]

_FIRST_YEAR = 69  # 1969, as for strptime
_PARTS = re.compile(r"([0-9]{1,2})[-/.]([0-9]{1,2})[-/.]([0-9]{2})(?![0-9])", re.ASCII)


def find_short_format(column):
    """Find the format of dates with two-digit years, if the file shows the order.

    Parameters
    ----------
    column : Column
        A column of text.

    Returns
    -------
    formats : list of (str, pattern)
        One format, or all formats if the first cell has none of them.

    Raises
    ------
    ValueError
        If several orders fit the dates.
    """
    shape = shape_of(column.first)
    if SHORT_NAMED_FORMAT[1].fullmatch(shape):
        return [SHORT_NAMED_FORMAT]
    dates = dict.fromkeys(
        match.groups()
        for _, text in column.texts()
        for cell in text.split(GLUE)
        if (match := _PARTS.match(cell))
    )
    orders = [order for order in SHORT_FORMATS if _is_possible(order, dates)]
    if len(orders) > 1:
        orders = _fitting_years(orders, dates)
        if len(orders) == 1 and not _ascend(orders[0], dates):
            orders = []  # the part that changes is not the day after all
    if is_dotted_clock(column):
        orders = []  # 10.11.12 may be hours, minutes and seconds
    if len(orders) == 1:
        return [SHORT_FORMATS[orders[0]]]
    formats = example_formats(column.first)
    parts = [
        part
        for example in formats
        for part in (", ", Parameter("date_format", example))
    ]
    raise column.fault(
        0,
        f"{show(column.first)} has a two-digit year, and the file does not show which "
        "parts are day, month and year. Pass the format: ",
        *parts[1:],
        ".",
    )


def _is_possible(order, dates):
    """Whether an order makes all dates valid."""
    for parts in dates:
        number = dict(zip(order, map(int, parts), strict=True))
        is_year = len(parts[order.index("y")]) == 2
        if not (is_year and 1 <= number["d"] <= 31 and 1 <= number["m"] <= 12):
            return False
    return True


def _fitting_years(orders, dates):
    """Return the orders whose year is the outer part that does not change.

    One outer part is the year and the other one the day. If both or neither change, all
    orders are returned.
    """
    first, _, last = np.array([[int(part) for part in parts] for parts in dates]).T
    first_changes, last_changes = len(set(first)) > 1, len(set(last)) > 1
    if last_changes and not first_changes:
        return [order for order in orders if order[0] == "y"]
    if first_changes and not last_changes:
        return [order for order in orders if order[2] == "y"]
    return orders


def _ascend(order, dates):
    """Whether the dates of the file are in time order."""
    places = [order.index(part) for part in "ymd"]
    numbers = [[int(parts[place]) for place in places] for parts in dates]
    days = [[year + 100 * (year < _FIRST_YEAR), *rest] for year, *rest in numbers]
    return days == sorted(days)


def example_formats(cell):
    """Return the formats of ``strptime`` that fit a date with a two-digit year."""
    shape = shape_of(cell)
    formats = []
    for order, (_, pattern) in SHORT_FORMATS.items():
        match = pattern.fullmatch(shape)
        if match:
            date = "{s}".join(f"%{part}" for part in order)
            example = strptime_format(date, match.groupdict())
            if has_date_format(cell, example):
                formats.append(example)
    return formats
