# SPDX-License-Identifier: MIT
"""Errors of a Dask collection, with the threshold and the median training error."""

import numpy as np

from tsanomaly._alarm_filter import median_error_of
from tsanomaly._inspection import check_detector, last_step, offset_of, score_method
from tsanomaly._validation import find_breaks
from tsanomaly.distributed._collections import Partitions, is_frame
from tsanomaly.distributed._score import decision_function, score_samples

__all__ = ["errors_of"]


def errors_of(detector, X, alarm_filter):
    """Return the errors of all rows, the threshold and the median training error.

    Parameters
    ----------
    detector : fitted estimator
        A detector.
    X : dask Array or DataFrame of shape (n_timestamps, n_channels)
        Series.
    alarm_filter : AlarmFilter
        Its threshold takes precedence.

    Returns
    -------
    blocks : list
        Errors of each partition, NaN at breaks, and its index or None. They are
        Delayed, unless the detector has no `median_error_`, so that the errors had to
        be computed for their median.
    threshold, median_error : float
    """
    parts = Partitions(X).parts
    check_detector(detector, "detector")
    method = score_method(detector)
    score = score_samples if method == "score_samples" else decision_function
    scores = np.ravel(score(detector, X).to_delayed())
    threshold = alarm_filter.threshold
    if threshold is None and method == "decision_function":
        threshold = 0.0
    elif threshold is None:
        offset = offset_of(last_step(detector))
        if offset is None:
            raise ValueError(
                f"{detector!r} has no offset_ to tell its threshold. Pass "
                "alarm_filter=AlarmFilter(threshold=...)."
            )
        threshold = -offset

    import dask

    cut = dask.delayed(_errors)
    blocks = [cut(*pair) for pair in zip(scores, parts, strict=True)]
    median_error = median_error_of(detector)
    if median_error is None:
        blocks = dask.compute(*blocks)
        every = np.concatenate([errors for errors, _ in blocks])
        median_error = median_error_of(detector, every)
    if median_error is None:
        raise ValueError(
            "X has no rows with readings, which are needed for the median error. Check "
            "how it was read."
        )
    return blocks, threshold, median_error


def _errors(scores, rows):
    """Return the errors of a partition, NaN at breaks, and the index of a frame."""
    errors = -np.asarray(scores, dtype=np.float64)
    if len(rows):
        errors[find_breaks(rows)] = np.nan
    return errors, rows.index if is_frame(rows) else None
