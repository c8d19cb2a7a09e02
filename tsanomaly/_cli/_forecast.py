# SPDX-License-Identifier: MIT
"""Whether alarms after the training rows are as rare as forecast."""

from typing import NamedTuple

import numpy as np

from tsanomaly._alarm_filter import AlarmFilter, median_error_of
from tsanomaly._cli._models import rows_in_alarm

__all__ = ["Later", "compare_with_forecast", "tell_failed_forecast"]

# A forecast fails if there are this many times as many alarms, and this many more,
# because a few more in a short time mean nothing; or if an alarm is active in more than
# this share of the rows.
_TOO_MANY, _BY_CHANCE, _MOST = 2, 3, 0.5


class Later(NamedTuple):
    """The rows after the training rows, without labelled anomalies.

    Attributes
    ----------
    n_rows : int
    n_in_alarm : int
        Number of rows with an active alarm.
    n_alarms : int
    n_expected : float
        Number of times that normal rows are expected to exceed the threshold.
    """

    n_rows: int
    n_in_alarm: int
    n_alarms: int
    n_expected: float


def compare_with_forecast(detector, errors, threshold, labels, is_later):
    """Count alarms after the training rows, to compare them with the forecast.

    Parameters
    ----------
    detector : Pipeline
        Ends in a `ReconstructionThreshold`.
    errors : ndarray of shape (n_timestamps,)
        Errors of all rows.
    threshold : float
        The threshold of the detector.
    labels : ndarray of shape (n_timestamps,) or None
        1 = anomaly. Alarms that hold one do not count.
    is_later : ndarray of bool of shape (n_timestamps,)
        The rows after the training rows.

    Returns
    -------
    later : Later or None
        None if the threshold makes no forecast.
    """
    rate = _rate(detector[-1])
    if rate is None:
        return None
    alarms = AlarmFilter().alarms(
        errors, threshold=threshold, median_error=median_error_of(detector, errors)
    )
    alarms = alarms[is_later[alarms["end"]]]
    judged = is_later & np.isfinite(errors)
    if labels is not None:
        is_anomaly = labels == 1
        n_before = np.append(0, np.cumsum(is_anomaly))
        is_hit = n_before[alarms["end"] + 1] > n_before[alarms["start"]]
        judged &= ~is_anomaly & ~rows_in_alarm(alarms[is_hit], len(errors))
        alarms = alarms[~is_hit]
    n_in_alarm = int((rows_in_alarm(alarms, len(errors)) & judged).sum())
    n_rows = int(judged.sum())
    return Later(n_rows, n_in_alarm, len(alarms), rate * n_rows)


def _rate(threshold):
    """Return how often normal rows exceed a fitted threshold, or None."""
    if threshold.false_alarms is not None:
        return threshold.false_alarms / threshold.per
    if threshold.method in ("quantile", "pot"):
        return 1 - threshold.quantile
    return None


def tell_failed_forecast(parts, has_labels):
    """Describe in one line that a forecast failed, with the cure.

    Parameters
    ----------
    parts : list of Later
        Of each machine, or the only one.
    has_labels : bool
        Whether rows are labelled.

    Returns
    -------
    text : str or None
        None if the forecast did not fail.
    """
    if not parts:
        return None
    later = Later(*map(sum, zip(*parts, strict=True)))
    if later.n_alarms > _TOO_MANY * later.n_expected + _BY_CHANCE:
        expected = max(round(later.n_expected), 1)
        what = f"{later.n_alarms:,} alarms, where {expected:,} or fewer were expected"
    elif later.n_in_alarm > _MOST * later.n_rows:
        what = f"an alarm is active in {later.n_in_alarm / later.n_rows:.0%} of them"
    else:
        return None
    not_labelled = " that are not labelled anomalous" if has_labels else ""
    return (
        f"the forecast fails in the {later.n_rows:,} rows after the training rows"
        f"{not_labelled}: {what}. Unless these are faults, normal operation has "
        "changed: train on more rows with --train-fraction, or on recent rows"
    )
