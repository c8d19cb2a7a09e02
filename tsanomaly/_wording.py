# SPDX-License-Identifier: MIT
"""How times, channels and numbers are written in sentences."""

import unicodedata
from numbers import Integral

import numpy as np

__all__ = [
    "called",
    "clock_format",
    "count",
    "number",
    "span",
    "time_span",
    "visible",
]

# Control characters, formats such as the direction of text, lone surrogates, separators
# of lines and of paragraphs.
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}

# Formats that words of some languages are spelled with.
_SPELLING = "\u200c\u200d"


def clock_format(index):
    """Format of times of the day, with as many digits as there are; None without."""
    import pandas as pd

    if not isinstance(index, pd.DatetimeIndex):
        return None
    if (index.microsecond != 0).any():
        return "%H:%M:%S.%f"
    return "%H:%M:%S" if (index.second != 0).any() else "%H:%M"


def span(start, end, clock):
    """A range of rows in words, as short as it is clear.

    Parameters
    ----------
    start, end : object
        Labels of the first and the last row.
    clock : str or None
        As from `clock_format`.
    """
    if clock is None:
        return f"Row {start}" if start == end else f"Rows {start} to {end}"
    text = start.strftime(f"%Y-%m-%d {clock}")
    if start == end:
        return text
    same_day = start.date() == end.date()
    return f"{text} to {end.strftime(clock if same_day else f'%Y-%m-%d {clock}')}"


def called(name):
    """A channel in words: its name, or its position."""
    return f"channel {name}" if isinstance(name, Integral) else str(name)


def visible(name):
    r"""A name with escapes for what cannot be seen in it.

    Parameters
    ----------
    name : object
        Its text is taken.

    Returns
    -------
    text : str
        On one line, such as ``"pump \x1b[2J"``.
    """
    text = str(name)
    if text.isprintable():
        return text
    return "".join(repr(char)[1:-1] if _is_hidden(char) else char for char in text)


def _is_hidden(char):
    return unicodedata.category(char) in _HIDDEN and char not in _SPELLING


def number(value, scale):
    """A number, to the decimals that show three digits of `scale`."""
    digits = 2 - int(np.floor(np.log10(abs(scale)))) if scale else 0
    if digits > 6 or abs(value) >= 1e9:
        return f"{value:.3g}"
    return f"{value:,.{max(digits, 0)}f}"


def count(number, noun, rest=""):
    """A number of things, as in "1 gap in time" or "2 gaps in time"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}{rest}"


def time_span(length):
    """A time span as people say it: its two largest units.

    Parameters
    ----------
    length : Timedelta
        Not negative.

    Returns
    -------
    words : str
        Such as "1 min", "2 days 3 h" or "0.25 s".
    """
    days, hours, minutes, seconds, *small = length.components
    milliseconds, microseconds, nanoseconds = small
    seconds += milliseconds / 1e3 + microseconds / 1e6 + nanoseconds / 1e9
    parts = [
        count(days, "day") if days else None,
        f"{hours} h" if hours else None,
        f"{minutes} min" if minutes else None,
        f"{seconds:.9g} s" if seconds else None,
    ]
    first = next((i for i, part in enumerate(parts) if part), None)
    if first is None:
        return "0 s"
    return " ".join(part for part in parts[first : first + 2] if part)
