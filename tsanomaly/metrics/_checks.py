# SPDX-License-Identifier: MIT
"""Input validation of metrics, and shared computations."""

import warnings

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning

from tsanomaly._validation import check_labels, unmasked
from tsanomaly._windows import runs

__all__ = [
    "check_clock",
    "check_freq",
    "check_predictions",
    "check_scores",
    "check_times",
    "find_events",
    "fscore",
    "owners",
    "touched",
    "warn_undefined",
]


def check_scores(y_true, y_score):
    """Validate ground truth and scores.

    Parameters
    ----------
    y_true : array-like of shape (n_timestamps,)
        Ground truth, 1 = anomaly and 0 = normal.
    y_score : array-like of shape (n_timestamps,)
        Scores, higher = worse.

    Returns
    -------
    y_true : ndarray of shape (n_timestamps,), dtype=bool
    y_score : ndarray of shape (n_timestamps,), dtype=float64

    Raises
    ------
    ValueError
        If the lengths differ, the labels are not 0 and 1, or a score is not finite.
    """
    y_true = check_labels(y_true, name="y_true")
    y_score = np.asarray(unmasked(y_score))
    if y_score.ndim != 1 or y_score.dtype.kind not in "biuf":
        raise ValueError(
            "y_score must contain one number for each row, got an array of shape "
            f"{y_score.shape} and type {y_score.dtype}. Pass a one-dimensional array "
            "of numbers, such as numpy.ravel(y_score).astype(float)."
        )
    _check_lengths(y_true, y_score, "y_score")
    y_score = y_score.astype(np.float64)
    missing = ~np.isfinite(y_score)
    if missing.any():
        raise ValueError(
            f"y_score contains {missing.sum():,} values that are NaN or infinite, "
            f"first at row {missing.argmax()}. Breaks have no score: remove these "
            "rows from y_true and y_score."
        )
    return y_true, y_score


def check_predictions(y_true, y_pred):
    """Validate ground truth and predictions.

    Parameters
    ----------
    y_true : array-like of shape (n_timestamps,)
        Ground truth, 1 = anomaly and 0 = normal.
    y_pred : array-like of shape (n_timestamps,)
        Predictions, 1 = flagged and 0 = normal.

    Returns
    -------
    y_true, y_pred : ndarray of shape (n_timestamps,), dtype=bool

    Raises
    ------
    ValueError
        If the lengths differ, or the labels are not 0 and 1.
    """
    y_true = check_labels(y_true, name="y_true")
    y_pred = check_labels(y_pred, name="y_pred")
    _check_lengths(y_true, y_pred, "y_pred")
    return y_true, y_pred


def check_clock(times, freq):
    """Raise unless exactly one of `times` and `freq` is given.

    Parameters
    ----------
    times : array-like or None
        Times of the rows.
    freq : object
        Time step, or None.
    """
    if (times is None) == (freq is None):
        raise ValueError(
            "Exactly one of times (one for each row) and freq (the time step) must be "
            f"given, got {'none' if times is None else 'both'} of them."
        )


def check_times(times, n_timestamps, name="y_true"):
    """Validate the times of rows.

    Parameters
    ----------
    times : DatetimeIndex or array-like of datetime64
        Times of the rows.
    n_timestamps : int
        Number of rows in the series.
    name : str, default='y_true'
        Name of the array with this number of rows, for messages.

    Returns
    -------
    times : ndarray of shape (n_timestamps,), dtype=datetime64
        Times in UTC, or without a time zone.

    Raises
    ------
    ValueError
        If `times` are not times, their number differs, or they are missing or not in
        order.
    """
    import pandas as pd

    index = pd.Index(times)
    if not isinstance(index, pd.DatetimeIndex):
        raise ValueError(
            f"times must be a DatetimeIndex or datetime64, got {index.dtype}. "
            "Convert them with pandas.to_datetime."
        )
    if len(index) != n_timestamps:
        raise ValueError(
            f"{name} has {n_timestamps:,} rows, but times has {len(index):,}. Both "
            "must refer to the same rows."
        )
    if index.hasnans:
        raise ValueError("times must not be missing, got NaT.")
    if not index.is_monotonic_increasing:
        raise ValueError(
            "times must be in order, but they decrease after row "
            f"{int((np.diff(index.asi8) < 0).argmax())}. Sort the series first."
        )
    if index.tz is not None:
        index = index.tz_convert(None)
    return index.to_numpy()


def check_freq(freq):
    """Validate a time step.

    Parameters
    ----------
    freq : str, Timedelta, timedelta or DateOffset
        Time step, such as ``"5min"``.

    Returns
    -------
    step : Timedelta

    Raises
    ------
    ValueError
        If `freq` is not a positive duration.
    """
    import pandas as pd
    from pandas.tseries.frequencies import to_offset

    try:
        # Timedelta does not support "h", and to_offset does not support numpy.
        is_numpy = isinstance(freq, np.timedelta64)
        step = pd.Timedelta(freq if is_numpy else to_offset(freq))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"freq={freq!r} is not a fixed duration such as '5min'. If the time step "
            "varies, pass times instead."
        ) from error
    if not step > pd.Timedelta(0):
        raise ValueError(f"freq must be a positive duration, got {freq!r}.")
    return step


def find_events(flags):
    """Return the first and last row, both inclusive, of each run of flags.

    Parameters
    ----------
    flags : ndarray of shape (n_timestamps,), dtype=bool
        True in the rows of an event.

    Returns
    -------
    start, end : ndarray of int
    """
    return runs(flags.astype(np.int8))


def fscore(precision, recall, beta):
    """Return the weighted harmonic mean of precision and recall.

    Parameters
    ----------
    precision, recall : float
        In [0, 1], or NaN.
    beta : float
        Weight of recall relative to precision.

    Returns
    -------
    score : float
        0.0 if either value is 0, even if the other is NaN.
    """
    if precision == 0 or recall == 0:
        return 0.0
    return float((1 + beta**2) * precision * recall / (beta**2 * precision + recall))


def warn_undefined(message, stacklevel=4):
    """Warn that a metric is undefined, at the line that calls it.

    Parameters
    ----------
    message : str
        What is undefined, why, and what is returned.
    stacklevel : int, default=4
        Stack level of the caller: this function, the metric and the validation of its
        parameters are in between.
    """
    warnings.warn(message, UndefinedMetricWarning, stacklevel=stacklevel)


def owners(target, overlap):
    """Return the index of the run of `target` that contains each overlap.

    Parameters
    ----------
    target : tuple of two ndarray of int
        First and last rows of disjoint runs.
    overlap : tuple of two ndarray of int
        First and last rows of runs that lie inside those of `target`.

    Returns
    -------
    owner : ndarray of int
    """
    return np.searchsorted(target[0], overlap[0], side="right") - 1


def touched(target, overlap):
    """Return a mask of the runs of `target` that contain an overlap.

    Parameters
    ----------
    target : tuple of two ndarray of int
        First and last rows of disjoint runs.
    overlap : tuple of two ndarray of int
        First and last rows of runs that lie inside those of `target`.

    Returns
    -------
    touched : ndarray of bool
    """
    return np.bincount(owners(target, overlap), minlength=len(target[0])) > 0


def _check_lengths(y_true, other, name):
    if len(y_true) != len(other):
        raise ValueError(
            f"y_true has {len(y_true):,} rows, but {name} has {len(other):,}. Both "
            "must refer to the same rows."
        )
