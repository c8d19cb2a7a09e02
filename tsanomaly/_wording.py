# SPDX-License-Identifier: MIT
"""How times, channels and numbers are written in sentences."""

from numbers import Integral

import numpy as np

__all__ = ["called", "clock_format", "number", "span"]


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


def number(value, scale):
    """A number, to the decimals that show three digits of `scale`."""
    digits = 2 - int(np.floor(np.log10(abs(scale)))) if scale else 0
    if digits > 6 or abs(value) >= 1e9:
        return f"{value:.3g}"
    return f"{value:,.{max(digits, 0)}f}"
