# SPDX-License-Identifier: MIT
"""Format times, channels and numbers for sentences."""

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

# Control characters, format characters (such as text direction), lone surrogates, and
# line and paragraph separators.
_HIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}

# Format characters that some languages need for spelling.
_SPELLING = "\u200c\u200d"


def clock_format(index):
    """Return the format of times of day with the digits needed, None without times."""
    import pandas as pd

    if not isinstance(index, pd.DatetimeIndex):
        return None
    if (index.microsecond != 0).any():
        return "%H:%M:%S.%f"
    return "%H:%M:%S" if (index.second != 0).any() else "%H:%M"


def span(start, end, clock):
    """Describe a range of rows, as briefly as possible.

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
    """Return how a sentence calls a channel: by its name, or its position."""
    return f"channel {name}" if isinstance(name, Integral) else str(name)


def visible(name):
    r"""Return a name with escapes for invisible characters.

    Parameters
    ----------
    name : object
        Converted to text.

    Returns
    -------
    text : str
        One line, such as ``"pump \x1b[2J"``.
    """
    text = str(name)
    if text.isprintable():
        return text
    return "".join(repr(char)[1:-1] if _is_hidden(char) else char for char in text)


def _is_hidden(char):
    return unicodedata.category(char) in _HIDDEN and char not in _SPELLING


def number(value, scale):
    """Format a number with the decimals that show three digits of `scale`."""
    digits = 2 - int(np.floor(np.log10(abs(scale)))) if scale else 0
    if digits > 6 or abs(value) >= 1e9:
        return f"{value:.3g}"
    return f"{value:,.{max(digits, 0)}f}"


def count(number, noun, rest=""):
    """Format a number of things, such as "1 gap in time" or "2 gaps in time"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}{rest}"


def time_span(length):
    """Format a time span with its two largest units.

    Parameters
    ----------
    length : Timedelta
        Not negative.

    Returns
    -------
    words : str
        Such as "1 min", "2 days 3 h" or "0.25 s".
    """
    from tsanomaly.datasets._steps import show_step

    seconds = 86_400 * length.days + length.seconds
    return show_step(seconds * 10**9 + length.microseconds * 1000 + length.nanoseconds)
