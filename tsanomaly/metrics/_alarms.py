# SPDX-License-Identifier: MIT
"""Operational metrics: detection delay, false alarm rate and affected channels."""

from numbers import Real

import numpy as np
from sklearn.utils import Bunch

from tsanomaly._sklearn_compat import Interval, validate_params
from tsanomaly._validation import unmasked
from tsanomaly.metrics._checks import (
    check_clock,
    check_freq,
    check_predictions,
    check_times,
    find_events,
    owners,
    touched,
    warn_undefined,
)

__all__ = ["channel_hit_rate", "detection_delay", "false_alarms_per_day"]


def detection_delay(y_true, y_pred, *, times=None):
    """Time from the start of events to their detection.

    Both labels are 1 for anomalies and 0 for normal rows. Convert the output of
    `predict` with ``y_pred = (labels == -1).astype(int)``.

    The delay of an event, a run of anomalous rows, is the time from its first row to
    its first flagged row. Missed events have no delay and do not count in mean and
    median, so report these together with the share of detected events.

    Parameters
    ----------
    y_true : array-like of shape (n_timestamps,)
        Ground truth, 1 = anomaly and 0 = normal.
    y_pred : array-like of shape (n_timestamps,)
        Predictions, 1 = flagged and 0 = normal.
    times : DatetimeIndex or array-like of datetime64 or None, default=None
        Times of the rows, in order. None measures delays in rows.

    Returns
    -------
    delay : Bunch
        Dictionary-like object with the following attributes:

        - mean : float, or Timedelta if `times` are given; NaN or NaT if no event is
          detected
        - median : like `mean`
        - found : float, share of events with a flagged row; 0.0 if there is no event
        - per_event : ndarray of shape (n_events,), float or timedelta64, in order of
          the events; NaN or NaT for missed events

    Raises
    ------
    ValueError
        If the lengths differ, the labels are not 0 and 1, or `times` are not ordered
        times.

    Warns
    -----
    UndefinedMetricWarning
        If there is no event, or none is detected.

    See Also
    --------
    event_precision_recall_fscore : Count detected events and false alarms.
    false_alarms_per_day : Rate of false alarms.
    nab_score : Single score for early detection and few false alarms.

    Notes
    -----
    Flagged rows before an event do not shorten its delay. If an alarm is already active
    when the event starts, the delay is 0, so report false alarms as well.

    Examples
    --------
    >>> from tsanomaly.metrics import detection_delay
    >>> y_true = [0, 1, 1, 1, 0, 0, 1, 1, 0, 1]
    >>> y_pred = [0, 0, 0, 1, 0, 0, 1, 0, 0, 0]
    >>> delay = detection_delay(y_true, y_pred)
    >>> delay.per_event
    array([ 2.,  0., nan])
    >>> delay.mean, round(delay.found, 2)
    (1.0, 0.67)
    >>> import pandas as pd
    >>> times = pd.date_range("2024-01-01", periods=10, freq="5min")
    >>> detection_delay(y_true, y_pred, times=times).mean
    Timedelta('0 days 00:05:00')
    """
    import pandas as pd

    y_true, y_pred = check_predictions(y_true, y_pred)
    events, overlaps = find_events(y_true), find_events(y_true & y_pred)
    if times is None:
        clock = np.arange(len(y_true), dtype=np.float64)
        per_event = np.full(len(events[0]), np.nan)
    else:
        clock = check_times(times, len(y_true))
        per_event = np.full(len(events[0]), "NaT", dtype="timedelta64[ns]")
    # Overlaps are ordered: the first one of an event starts at its first flagged row.
    found, first = np.unique(owners(events, overlaps), return_index=True)
    delays = clock[overlaps[0][first]] - clock[events[0][found]]
    per_event[found] = delays
    if len(found):
        # In the type, and thus the precision, of the result.
        delays = pd.Series(per_event[found])
        mean, median = delays.mean(), delays.median()
    else:
        mean = median = np.nan if times is None else pd.NaT
        reason = (
            "no event is detected" if y_true.any() else "y_true contains no anomaly"
        )
        warn_undefined(
            f"The delay is undefined, because {reason}. Returning "
            f"{'nan' if times is None else 'NaT'}.",
            stacklevel=3,
        )
    return Bunch(
        mean=float(mean) if times is None else mean,
        median=float(median) if times is None else median,
        found=len(found) / len(per_event) if len(found) else 0.0,
        per_event=per_event,
    )


def false_alarms_per_day(y_true, y_pred, *, times=None, freq=None):
    """Number of false alarms per day of observation.

    Both labels are 1 for anomalies and 0 for normal rows. Convert the output of
    `predict` with ``y_pred = (labels == -1).astype(int)``.

    Each run of flagged rows is one alarm. It is false if none of its rows is anomalous.

    Parameters
    ----------
    y_true : array-like of shape (n_timestamps,)
        Ground truth, 1 = anomaly and 0 = normal.
    y_pred : array-like of shape (n_timestamps,)
        Predictions, 1 = flagged and 0 = normal.
    times : DatetimeIndex or array-like of datetime64 or None, default=None
        Times of the rows, in order. The observation lasts from the first to the last
        row plus one median step, including gaps.
    freq : str, Timedelta, timedelta or DateOffset or None, default=None
        Time step, such as ``"5min"``. The observation lasts one step per row, excluding
        gaps. Exactly one of `times` and `freq` must be given.

    Returns
    -------
    rate : float
        False alarms per day. NaN if the observation has no duration.

    Raises
    ------
    ValueError
        If the lengths differ, the labels are not 0 and 1, none or both of `times` and
        `freq` are given, `times` are not ordered times, or `freq` is not a positive
        duration.

    Warns
    -----
    UndefinedMetricWarning
        If all rows have the same time.

    See Also
    --------
    event_precision_recall_fscore : Count detected events and false alarms.
    detection_delay : Time from the start of events to their detection.
    alarm_report : Performance of an alarm system, with or without labels.

    Notes
    -----
    The observation includes anomalous rows, as an operator experiences it. An alarm
    next to an event that shares no row with it is false.

    A flickering alarm counts many times. An alarm that never ends counts once, or not
    at all if it contains an event, so also consider the share of flagged rows.

    Examples
    --------
    >>> from tsanomaly.metrics import false_alarms_per_day
    >>> y_true = [0, 0, 0, 0, 1, 1, 0, 0]
    >>> y_pred = [1, 1, 0, 1, 0, 1, 1, 0]
    >>> false_alarms_per_day(y_true, y_pred, freq="6h")
    1.0
    """
    import pandas as pd

    y_true, y_pred = check_predictions(y_true, y_pred)
    check_clock(times, freq)
    if times is None:
        duration = len(y_true) * check_freq(freq)
    else:
        times = check_times(times, len(y_true))
        duration = times[-1] - times[0]
        if len(times) > 1:
            duration = duration + pd.Series(np.diff(times)).median()
        duration = pd.Timedelta(duration)
    predicted = find_events(y_pred)
    false = ~touched(predicted, find_events(y_true & y_pred))
    if not duration > pd.Timedelta(0):
        warn_undefined(
            "The rate of false alarms is undefined, because all rows have the same "
            "time. Returning nan. Pass freq instead.",
            stacklevel=3,
        )
        return np.nan
    return float(np.count_nonzero(false) / (duration / pd.Timedelta(days=1)))


@validate_params(
    {"at": [Interval(Real, 0, None, closed="neither")]},
    prefer_skip_nested_validation=True,
)
def channel_hit_rate(channels, errors, *, at=1.0):
    """Share of the affected channels that have the largest errors.

    `errors` are reconstruction errors (higher = worse), not the output of
    `score_samples`: one number per event and channel, such as the mean error over the
    rows of the event.

    With ``at=1.0`` and ``at=1.5``, the metric is HitRate@100% and HitRate@150% [1]_.

    Parameters
    ----------
    channels : sequence of sequences, or array-like of shape (n_events, n_channels)
        The affected channels of each event, as positions starting at 0 or, if `errors`
        is a DataFrame, as names. Alternatively, a boolean array with one column per
        channel; columns of a DataFrame are matched by name.
    errors : array-like or DataFrame of shape (n_events, n_channels)
        Error of each channel in each event, higher = worse.
    at : float, default=1.0
        Number of channels to consider, relative to the number ``n`` of affected
        channels of the event: the ``floor(at * n)`` channels with the largest errors.

    Returns
    -------
    rate : float
        In [0, 1]. NaN if no event has a known channel.

    Raises
    ------
    ValueError
        If `errors` are not finite numbers, or `channels` does not match them or
        contains repeated or unknown channels.

    Warns
    -----
    UndefinedMetricWarning
        If no event has a known channel.

    See Also
    --------
    tsanomaly.datasets.load_smd : Load a series with the affected channels of its
        events.

    Notes
    -----
    The rate is the share of affected channels that are found, averaged over the events
    with known channels. Ties are resolved in expectation: the rate is the mean over all
    orders of channels with equal errors. The order of columns thus has no effect, and a
    detector with equal errors in all channels is no better than random guessing.

    References
    ----------
    .. [1] Y. Su, Y. Zhao, C. Niu, R. Liu, W. Sun, D. Pei. "Robust Anomaly Detection
           for Multivariate Time Series through Stochastic Recurrent Neural Network."
           KDD 2019. https://doi.org/10.1145/3292500.3330672

    Examples
    --------
    >>> from tsanomaly.metrics import channel_hit_rate
    >>> channels = [[0, 2], [1]]
    >>> errors = [[5.0, 3.0, 2.0, 1.0], [0.5, 4.0, 0.1, 0.2]]
    >>> channel_hit_rate(channels, errors)
    0.75
    >>> channel_hit_rate(channels, errors, at=1.5)
    1.0

    From the errors of rows to those of events, with the names of the channels:

    >>> import pandas as pd
    >>> rows = pd.DataFrame({"speed": [0, 1, 3, 0, 0], "load": [0, 0, 1, 7, 1]})
    >>> events = pd.DataFrame({"start": [1, 3], "end": [2, 4]})
    >>> events["channels"] = [["speed"], ["load"]]
    >>> errors = pd.DataFrame(
    ...     [rows[e.start : e.end + 1].mean() for e in events.itertuples()]
    ... )
    >>> channel_hit_rate(events["channels"], errors)
    1.0
    """
    names = list(errors.columns) if hasattr(errors, "columns") else None
    errors = _check_errors(errors)
    n_events, n_channels = errors.shape
    causes = _check_channels(channels, n_events, n_channels, names)
    known = causes.any(axis=1)
    if not known.any():
        warn_undefined(
            "The hit rate is undefined, because no event has a known channel. "
            "Returning nan."
        )
        return np.nan
    causes, errors = causes[known], errors[known]
    n_causes = causes.sum(axis=1)
    # 0.29 * 100 is less than 29.
    n_looked_at = np.floor(np.minimum(at * n_causes + 1e-9, n_channels)).astype(int)
    place = np.maximum(n_looked_at - 1, 0)[:, None]
    limit = np.take_along_axis(-np.sort(-errors, axis=1), place, axis=1)
    above, tied = errors > limit, errors == limit  # (n_events, n_channels)
    chance = (n_looked_at - above.sum(axis=1)) / tied.sum(axis=1)
    hits = (above & causes).sum(axis=1) + chance * (tied & causes).sum(axis=1)
    return float((hits / n_causes).mean())


def _check_errors(errors):
    errors = np.asarray(unmasked(errors))
    if errors.ndim != 2 or not errors.shape[1] or errors.dtype.kind not in "iuf":
        raise ValueError(
            "errors must contain a number for each event and channel, got an array of "
            f"shape {errors.shape} and type {errors.dtype}."
        )
    errors = errors.astype(np.float64)
    missing = ~np.isfinite(errors)
    if missing.any():
        event, channel = np.argwhere(missing)[0]
        raise ValueError(
            f"errors contains {missing.sum():,} values that are NaN or infinite, first "
            f"in channel {channel} of event {event}. Remove rows without an error "
            "before averaging, and channels without readings."
        )
    return errors


def _check_channels(channels, n_events, n_channels, names):
    """Return a mask of the affected channels, (n_events, n_channels)."""
    if hasattr(channels, "columns"):
        channels = _in_order(channels, names)
    try:
        channels = [list(event) for event in channels]
    except TypeError as error:
        raise ValueError(
            "channels must contain, for each event, the affected channels, or a bool "
            f"for each channel, got {channels!r}."
        ) from error
    if len(channels) != n_events:
        raise ValueError(
            f"channels has {len(channels):,} events, but errors has {n_events:,}. Both "
            "must refer to the same events."
        )
    if channels and all(_are_flags(event) for event in channels):
        n_flags = {len(event) for event in channels}
        if n_flags != {n_channels}:
            raise ValueError(
                f"channels has {sorted(n_flags)} bools per event, but errors has "
                f"{n_channels} channels. Pass a bool for each channel."
            )
        return np.array(channels, dtype=bool)
    names = list(range(n_channels)) if names is None else names
    position = {name: i for i, name in enumerate(names)}
    causes = np.zeros((n_events, n_channels), dtype=bool)
    for number, event in enumerate(channels):
        for channel in event:
            if channel not in position:
                raise ValueError(
                    f"Channel {channel!r} of event {number} is unknown. channels must "
                    f"be among the columns of errors: {_some(names)}. To use names, "
                    "pass errors as a DataFrame."
                )
            if causes[number, position[channel]]:
                raise ValueError(
                    f"Event {number} has channel {channel!r} twice. To pass a flag for "
                    "each channel, use an array of bool."
                )
            causes[number, position[channel]] = True
    return causes


def _in_order(flags, names):
    """Return the flags of a DataFrame, with channels in the order of the errors."""
    if names is not None:
        columns = list(flags.columns)
        if len(columns) != len(names) or set(columns) != set(names):
            raise ValueError(
                f"channels has the columns {_some(columns)}, but errors has "
                f"{_some(names)}. Both must have the same columns, in any order."
            )
        flags = flags[names]
    return flags.to_numpy()


def _are_flags(event):
    return bool(event) and all(isinstance(flag, (bool, np.bool_)) for flag in event)


def _some(names):
    return ", ".join(map(repr, names[:5])) + (", ..." if len(names) > 5 else "")
