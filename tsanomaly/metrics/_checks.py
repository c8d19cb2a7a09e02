# SPDX-License-Identifier: MIT
"""What metrics take, and what several of them compute."""

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
        1 for an anomaly, 0 for a normal row.
    y_score : array-like of shape (n_timestamps,)
        Higher = worse.

    Returns
    -------
    y_true : ndarray of shape (n_timestamps,), dtype=bool
    y_score : ndarray of shape (n_timestamps,), dtype=float64

    Raises
    ------
    ValueError
        If the lengths differ, the labels are no labels, or a score is not finite.
    """
    y_true = check_labels(y_true, name="y_true")
    y_score = np.asarray(unmasked(y_score))
    if y_score.ndim != 1 or y_score.dtype.kind not in "biuf":
        raise ValueError(
            "y_score must hold one number for every row, got an array of shape "
            f"{y_score.shape} and type {y_score.dtype}. Pass one dimension of "
            "numbers, such as numpy.ravel(y_score).astype(float)."
        )
    _check_lengths(y_true, y_score, "y_score")
    y_score = y_score.astype(np.float64)
    missing = ~np.isfinite(y_score)
    if missing.any():
        raise ValueError(
            f"y_score holds {missing.sum():,} values that are NaN or infinite, first "
            f"at row {missing.argmax()}. A break between two stretches has no score: "
            "leave such rows out of y_true and y_score."
        )
    return y_true, y_score


def check_predictions(y_true, y_pred):
    """Validate ground truth and predictions.

    Parameters
    ----------
    y_true : array-like of shape (n_timestamps,)
        1 for an anomaly, 0 for a normal row.
    y_pred : array-like of shape (n_timestamps,)
        1 for a row that is flagged, else 0.

    Returns
    -------
    y_true, y_pred : ndarray of shape (n_timestamps,), dtype=bool

    Raises
    ------
    ValueError
        If the lengths differ, or the labels are no labels.
    """
    y_true = check_labels(y_true, name="y_true")
    y_pred = check_labels(y_pred, name="y_pred")
    _check_lengths(y_true, y_pred, "y_pred")
    return y_true, y_pred


def check_clock(times, freq):
    """Raise unless one of the two ways to say when rows were read is used.

    Parameters
    ----------
    times : array-like or None
        When each row was read.
    freq : object
        Time from row to row, or None.
    """
    if (times is None) == (freq is None):
        raise ValueError(
            "Either times, one for each row, or freq, the time from row to row, must "
            f"be given, got {'none' if times is None else 'both'} of them."
        )


def check_times(times, n_timestamps, name="y_true"):
    """Validate the times of rows.

    Parameters
    ----------
    times : DatetimeIndex or array-like of datetime64
        When each row was read.
    n_timestamps : int
        Rows of the series.
    name : str, default='y_true'
        What has so many rows, for the message.

    Returns
    -------
    times : ndarray of shape (n_timestamps,), dtype=datetime64
        In UTC or without a zone.

    Raises
    ------
    ValueError
        If they are no times, of other rows, missing or not in order.
    """
    import pandas as pd

    index = pd.Index(times)
    if not isinstance(index, pd.DatetimeIndex):
        raise ValueError(
            f"times must be a DatetimeIndex or datetime64, got {index.dtype}. "
            "pandas.to_datetime converts."
        )
    if len(index) != n_timestamps:
        raise ValueError(
            f"{name} has {n_timestamps:,} rows and times {len(index):,}. They must be "
            "of the same rows."
        )
    if index.hasnans:
        raise ValueError("times must not be missing, got NaT.")
    if not index.is_monotonic_increasing:
        raise ValueError(
            "times must be in order, but they go back after row "
            f"{int((np.diff(index.asi8) < 0).argmax())}. Sort the series first."
        )
    if index.tz is not None:
        index = index.tz_convert(None)
    return index.to_numpy()


def check_freq(freq):
    """Validate a time from row to row.

    Parameters
    ----------
    freq : str, Timedelta, timedelta or DateOffset
        Such as ``"5min"``.

    Returns
    -------
    step : Timedelta

    Raises
    ------
    ValueError
        If it is no positive duration.
    """
    import pandas as pd
    from pandas.tseries.frequencies import to_offset

    try:
        # Timedelta does not know "h", nor to_offset what numpy has.
        is_numpy = isinstance(freq, np.timedelta64)
        step = pd.Timedelta(freq if is_numpy else to_offset(freq))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"freq={freq!r} is no fixed duration, such as '5min'. Pass times instead "
            "where the time from row to row varies."
        ) from error
    if not step > pd.Timedelta(0):
        raise ValueError(f"freq must be a positive duration, got {freq!r}.")
    return step


def find_events(flags):
    """First and last row, both included, of every run of flags.

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
    """Weighted harmonic mean of precision and recall.

    Parameters
    ----------
    precision, recall : float
        In [0, 1], or NaN.
    beta : float
        Weight of recall against precision.

    Returns
    -------
    score : float
        0.0 where one of the two is 0, whatever the other is, even NaN.
    """
    if precision == 0 or recall == 0:
        return 0.0
    return float((1 + beta**2) * precision * recall / (beta**2 * precision + recall))


def warn_undefined(message, stacklevel=4):
    """Warn about a metric without a value, where it is called.

    Parameters
    ----------
    message : str
        What is undefined, why, and what is returned.
    stacklevel : int, default=4
        How far away the caller is: behind this function, the metric, and
        what validates its parameters.
    """
    warnings.warn(message, UndefinedMetricWarning, stacklevel=stacklevel)


def owners(target, overlap):
    """Which run of `target` each overlap lies in.

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
    """Which runs of `target` hold an overlap.

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
            f"y_true has {len(y_true):,} rows and {name} {len(other):,}. They must be "
            "of the same rows."
        )
