# SPDX-License-Identifier: MIT
"""Times in a format that the user gives."""

import re
from datetime import UTC, datetime

import numpy as np

from tsanomaly._parameter_error import Parameter, ParameterError
from tsanomaly.datasets._reading._bounds import GLUE
from tsanomaly.datasets._reading._cells import show
from tsanomaly.datasets._reading._number_times import NUMBER_FORMATS
from tsanomaly.datasets._reading._times import YEARS, Times

__all__ = ["check_date_format", "has_date_format", "parse_date_format"]

_DIRECTIVES = re.compile(r"%[-]?(.)")
# Number of digits of a directive with all leading zeros.
_WIDTHS = dict.fromkeys("YG", 4) | dict.fromkeys("mdHIMSyUWV", 2) | {"j": 3}
_WIDTHS |= dict.fromkeys("uw", 1)


def check_date_format(date_format):
    """Raise for formats that strptime completes with defaults or ignores in part."""
    parameter = Parameter("date_format", date_format)
    if not isinstance(date_format, str):
        raise ParameterError(
            parameter, " must be a string, such as '%d/%m/%Y %H:%M', or None."
        )
    if date_format in NUMBER_FORMATS:
        return
    used = set(_DIRECTIVES.findall(date_format.replace("%%", "")))
    has_day = (
        ("d" in used and used & set("mbB"))
        or "j" in used
        or (used & set("UW") and used & set("aAwu"))
        or {"G", "V"} <= used
    )
    if not used & set("yYG") or not has_day:
        raise ParameterError(
            parameter,
            " is not a full date: year, month and day are needed. For numbers, pass "
            "the unit, one of {', '.join(map(repr, NUMBER_FORMATS))}.",
        )
    if ("p" in used) != ("I" in used):
        raise ParameterError(parameter, " needs both %I and %p, or %H.")
    if "Z" in used:
        raise ParameterError(
            parameter, " has %Z, a name that strptime ignores. Write it out, or use %z."
        )


def has_date_format(text, date_format):
    """Whether a text is a time in a format of strptime."""
    try:
        datetime.strptime(text, date_format)
    except (ValueError, re.error):
        return False
    return True


def parse_date_format(column, date_format):
    """Read times in a format of strptime.

    Parameters
    ----------
    column : Column
        A column of text.
    date_format : str
        A format accepted by `check_date_format`.

    Returns
    -------
    times : Times
        One time per row.

    Raises
    ------
    ValueError
        If a cell does not have the format.
    """
    full_width = _full_width(date_format)
    values, zones = np.empty(len(column.lines), dtype="M8[ns]"), set()
    for start, text in column.texts():
        times = []
        for row, cell in enumerate(text.split(GLUE), start):
            # pandas is four times faster but guesses: it reads "now" and "today" as
            # the current time, second 61 as the next minute, and weekdays of week 0
            # (%W) as another date.
            try:
                time = datetime.strptime(cell, date_format)
            except (ValueError, re.error) as error:
                raise column.fault(
                    row,
                    f"{show(cell)} does not have the format ",
                    Parameter("date_format", date_format),
                    f" ({error}). Correct the line or the format.",
                ) from error
            # Runs of blanks become one space, because the pattern would try every way
            # to split them.
            if full_width and not full_width.fullmatch(re.sub(r"\s+", " ", cell)):
                raise column.fault(
                    row,
                    f"{show(cell)} has fewer digits than ",
                    Parameter("date_format", date_format),
                    ", in which numbers are adjacent: a leading zero is missing. Add "
                    "it.",
                )
            if not YEARS[0] <= time.year <= YEARS[1]:
                raise column.fault(
                    row,
                    f"{show(cell)} is out of range: the year must be from {YEARS[0]} "
                    f"to {YEARS[1]}, the range of nanoseconds.",
                )
            zones.add(time.tzinfo)
            if time.tzinfo is not None:
                time = time.astimezone(UTC).replace(tzinfo=None)
            times.append(time)
        values[start : start + len(times)] = np.array(times, dtype="M8[us]")
    values = values.view(np.int64)
    if zones == {None}:
        return Times(values, None, date_format)
    return Times.with_zones(values, zones, date_format, column)


def _full_width(date_format):
    """Pattern that requires leading zeros, or None unless numbers are adjacent.

    strptime reads 1112024 as %d%m%Y without an error, though it has two meanings.
    """
    pattern, touching = "", False
    # Runs of numeric directives, other directives, and other text.
    run_of_digits = rf"(?:%[{''.join(_WIDTHS)}f])+"
    for run in re.findall(rf"{run_of_digits}|%.|[^%]+", date_format):
        kinds = run.replace("%", "")
        if re.fullmatch(run_of_digits, run):
            if len(kinds) > 1:
                touching = True
                width = sum(_WIDTHS.get(kind, 0) for kind in kinds)
                # A number that starts with a four-digit year has no leading zero to
                # lose, so fractions may have any length.
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
