# SPDX-License-Identifier: MIT
"""Warn if the rows of a frame are not in time order."""

import sys
import warnings

import numpy as np

__all__ = ["stacklevel_of_user", "warn_if_unordered"]

# Warnings point to the first line outside these packages, that of the user.
_LIBRARIES = {"tsanomaly", "sklearn", "joblib", "pandas", "contextlib"}

# Modules that make the check, which do not count as callers.
_HELPERS = {__name__, "tsanomaly._validation"}


def warn_if_unordered(X, owner=None, *, groups=None):
    """Warn if time decreases from one row to the next.

    Equal consecutive times are allowed, and so is a decrease at a break, a row that is
    NaN in every channel. An index without times is not checked.

    Parameters
    ----------
    X : DataFrame or array-like of shape (n_timestamps, n_channels)
        Series. Only frames are checked.
    owner : object or None, default=None
        Object whose method was called. There is no check if another part of the library
        called it, which has already checked. None always checks.
    groups : list of ndarray of int or None, default=None
        Rows of each machine, if `X` contains several separate series.
    """
    if not hasattr(X, "iloc"):
        return
    index = X.index
    # Fast path: the index caches the answer.
    times, others = _times_of(index)
    if times is None or (times.is_monotonic_increasing and others is None):
        return
    if owner is not None and _is_part(owner):
        return
    if groups is None:
        text = _describe(X, times, others)
    else:
        text = next(filter(None, (_describe_group(X, times, g) for g in groups)), None)
    if text:
        warnings.warn(text, UserWarning, stacklevel=stacklevel_of_user())


def _times_of(index):
    """Return the times of an index, and the other levels of a MultiIndex."""
    import pandas as pd

    kinds = (pd.DatetimeIndex, pd.PeriodIndex, pd.TimedeltaIndex)
    if isinstance(index, kinds):
        return index, None
    if isinstance(index, pd.MultiIndex):
        for number, level in enumerate(index.levels):
            if isinstance(level, kinds):
                others = [c for i, c in enumerate(index.codes) if i != number]
                others = np.stack(others, 1) if others else None
                return index.get_level_values(number), others
    return None, None


def _describe(X, times, others):
    """Return the warning about a series, or None."""
    rows, before, of_machines = _steps_back(X, times, others)
    if not len(rows):
        return None
    where = f"row {rows[0]:,} ({times[rows[0]]})"
    if of_machines or _starts_over(times, rows):
        if times[rows[0]] == times[before[0]]:
            what = f"{where} has the time of the row before it, of another series"
        else:
            what = f"time starts over {_times(len(rows))}, first at {where}"
        return (
            f"Rows of X are not one series in time order: {what}. Of several machines, "
            "fit a detector of each with FleetDetector, or put a row of NaN, a break, "
            "between them with tsanomaly.datasets.insert_breaks(frame, by=...)."
        )
    more = f", and so are {len(rows) - 1:,} more rows" if len(rows) > 1 else ""
    return (
        f"Rows of X are not in time order: {where} is earlier than the row before it"
        f"{more}. The order of rows is the order of time: sort with X.sort_index(), "
        "and labels with it."
    )


def _describe_group(X, times, rows):
    """Return the warning about the rows of one machine, or None."""
    back, _, _ = _steps_back(X.iloc[rows], times[rows], None)
    if not len(back):
        return None
    row = rows[back[0]]
    return (
        f"Rows of a machine are not in time order: row {row:,} ({times[row]}) is "
        "earlier than the row of the same machine before it. The order of rows is the "
        "order of time: sort with X.sort_index(kind='stable'), and labels with it."
    )


def _steps_back(X, times, others):
    """Return rows where time decreases without a break, and the rows before them.

    With other labels beside the times, also rows with the same time and other labels,
    which belong to interleaved machines. The last result tells whether all labels
    differ.
    """
    known = np.flatnonzero(~np.asarray(times.isna()))
    clock = times.asi8[known]
    is_back = clock[1:] < clock[:-1]
    differ = np.zeros(len(is_back), dtype=bool)
    if others is not None:
        differ = (others[known[1:]] != others[known[:-1]]).any(axis=1)
        is_back |= differ & (clock[1:] == clock[:-1])
    rows, before = known[1:][is_back], known[:-1][is_back]
    differ = differ[is_back]
    if len(rows):
        breaks = np.flatnonzero(np.asarray(X.isna()).all(axis=1))
        # Whether there is a break between the previous row and the row itself.
        n_upto = np.searchsorted(breaks, rows, side="right")
        joined = n_upto == np.searchsorted(breaks, before, side="left")
        rows, before, differ = rows[joined], before[joined], differ[joined]
    return rows, before, bool(len(rows)) and bool(differ.all())


def _starts_over(times, rows):
    """Whether time restarts after each stretch, as in concatenated series."""
    clock = times.asi8
    starts = np.concatenate([[0], rows[:-1]])
    middle = clock[(starts + rows) // 2]
    return bool((rows - starts >= 2).all() and (clock[rows] <= middle).all())


def _times(n):
    return "once" if n == 1 else f"{n:,} times"


def _frames():
    """Yield the frames of the call stack, innermost first, with package and module."""
    frame = sys._getframe(1)
    while frame is not None:
        module = frame.f_globals.get("__name__", "")
        yield frame, module.partition(".")[0], module
        frame = frame.f_back


def _is_part(owner):
    """Whether another part of the library called the method of the owner.

    Also True in fit_transform and fit_predict of scikit-learn after `fit`.
    """
    method = None
    for frame, package, module in _frames():
        if package not in _LIBRARIES:
            return False
        is_own = frame.f_locals.get("self") is owner
        name = frame.f_code.co_name
        if package == "tsanomaly":
            if module not in _HELPERS and not is_own:
                return True
            method = name
        elif is_own and name in ("fit_transform", "fit_predict") and method != "fit":
            return True
    return False


def stacklevel_of_user():
    """Return the stack level of the first line outside libraries, for warnings."""
    level = 0
    for _, package, _ in _frames():
        if package not in _LIBRARIES:
            break
        level += 1
    return level  # the caller's frame is number 1, and this function's is counted
