# SPDX-License-Identifier: MIT
"""Whether alarms after the training rows are as rare as forecast."""

from typing import NamedTuple

import numpy as np

from tsanomaly._alarm_filter import AlarmFilter, median_error_of
from tsanomaly._cli._models import rows_in_alarm
from tsanomaly._cli._text import visible
from tsanomaly._wording import count

__all__ = ["Later", "compare_with_forecast", "tell_failed_forecast"]

# A forecast fails if there are this many times as many alarms, and this many more,
# because a few more in a short time mean nothing; or if an alarm is active in more than
# this share of the rows.
_TOO_MANY, _BY_CHANCE, _MOST = 2, 3, 0.5

# Minimum number of rows for the latter: a single alarm may last for an hour.
_FEWEST_ROWS = 100

# Maximum number of machines that a message names.
_MOST_NAMED = 3


class Later(NamedTuple):
    """The rows after the training rows, without labelled anomalies.

    Attributes
    ----------
    n_rows : int
    n_in_alarm : int
        Number of rows with an active alarm.
    n_alarms : int
    n_expected : float or None
        Number of times that normal rows are expected to exceed the threshold. None if
        the threshold makes no forecast.
    """

    n_rows: int
    n_in_alarm: int
    n_alarms: int
    n_expected: float | None


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
    later : Later
    """
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
    rate = _rate(detector[-1])
    n_expected = None if rate is None else rate * n_rows
    return Later(n_rows, n_in_alarm, len(alarms), n_expected)


def _rate(threshold):
    """Return how often normal rows exceed a fitted threshold, or None."""
    if threshold.false_alarms is not None:
        return threshold.false_alarms / threshold.per
    if threshold.method in ("quantile", "pot"):
        return 1 - threshold.quantile
    return None


def tell_failed_forecast(parts, has_labels):
    """Describe in one line that a forecast failed, with the cure.

    A threshold without a forecast fails if an alarm is active in most rows.

    Parameters
    ----------
    parts : dict of object to Later
        By machine, or of None if there is only one.
    has_labels : bool
        Whether rows are labelled.

    Returns
    -------
    text : str or None
        None if the forecast did not fail.
    """
    whole = _sum(parts.values())
    failed = {name: part for name, part in parts.items() if _what_failed(part)}
    if not failed and not _what_failed(whole):
        return None
    is_fleet = None not in parts
    n_rows = "" if is_fleet and failed else f"{whole.n_rows:,} "
    what = "threshold" if whole.n_expected is None else "forecast"
    text = f"the {what} fails in the {n_rows}rows after the training rows"
    if has_labels:
        text += " that are not labelled anomalous"
    if is_fleet and failed:
        text += f" of {count(len(failed), 'machine')}: {_listed(failed)}"
    else:
        text += f": {_what_failed(whole)}"
    return (
        f"{text}. Unless these are faults, normal operation has changed: train on more "
        "rows with --train-fraction, or on recent rows"
    )


def _sum(parts):
    """Add up the rows of machines, which all have the same kind of threshold."""
    columns = zip(*parts, strict=True)
    return Later(*(None if None in column else sum(column) for column in columns))


def _what_failed(later):
    """Describe how a forecast failed, or return None."""
    expected = later.n_expected
    if expected is not None and later.n_alarms > _TOO_MANY * expected + _BY_CHANCE:
        at_most = max(round(expected), 1)
        return f"{later.n_alarms:,} alarms, where {at_most:,} or fewer were expected"
    if later.n_rows >= _FEWEST_ROWS and later.n_in_alarm > _MOST * later.n_rows:
        return f"an alarm is active in {later.n_in_alarm / later.n_rows:.0%} of them"
    return None


def _listed(failed):
    """Name machines whose forecast failed, and how."""
    text = ", ".join(
        f"{visible(name)} ({part.n_rows:,} rows: {_what_failed(part)})"
        for name, part in list(failed.items())[:_MOST_NAMED]
    )
    if len(failed) > _MOST_NAMED:
        text += f" and {len(failed) - _MOST_NAMED:,} more"
    return text
