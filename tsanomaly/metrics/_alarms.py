# SPDX-License-Identifier: MIT
"""What an operator asks: how late, how often in vain, and which sensor."""

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
    """How long after their start events are found.

    1 is an anomaly in `y_true`, and 1 is a flagged row in `y_pred`: labels of `predict`
    convert with ``y_pred = (labels == -1).astype(int)``.

    The delay of an event, a run of anomalous rows, leads from its first row to the
    first flagged row in it. Events that are missed have no delay: mean and median are
    those of the others, so read them together with the share of events found.

    Parameters
    ----------
    y_true : array-like of shape (n_timestamps,)
        Ground truth: 1 for an anomaly, 0 for a normal row.
    y_pred : array-like of shape (n_timestamps,)
        Prediction: 1 for a row that is flagged, else 0.
    times : DatetimeIndex or array-like of datetime64 or None, default=None
        When each row was read, in time order. None measures in rows.

    Returns
    -------
    delay : Bunch
        With the fields

        - mean : float, or Timedelta if `times` are given; NaN, or NaT, if no event is
          found
        - median : as `mean`
        - found : float, share of events with a flagged row; 0.0 if there is no event
        - per_event : ndarray of shape (n_events,), float or timedelta64, in order of
          the events; NaN, or NaT, for those missed

    Raises
    ------
    ValueError
        If the lengths differ, the labels are not 0 and 1, or `times` are no times or
        not in order.

    Warns
    -----
    UndefinedMetricWarning
        If there is no event, or none is found.

    See Also
    --------
    event_precision_recall_fscore : Count found events and false alarms.
    false_alarms_per_day : How often an alarm is in vain.
    nab_score : One number for early detection and few false alarms.

    Notes
    -----
    Flagged rows before an event do not shorten its delay. An alarm that is on already
    when the event begins, and stays on, makes it 0: look at the false alarms, too.

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
    # Overlaps are in order: the first that an event owns holds its first flagged row.
    found, first = np.unique(owners(events, overlaps), return_index=True)
    delays = clock[overlaps[0][first]] - clock[events[0][found]]
    per_event[found] = delays
    if len(found):
        # Of the type, and so of the precision, of the result.
        delays = pd.Series(per_event[found])
        mean, median = delays.mean(), delays.median()
    else:
        mean = median = np.nan if times is None else pd.NaT
        reason = "no event is found" if y_true.any() else "y_true holds no anomaly"
        warn_undefined(
            f"The delay is undefined, since {reason}. Set to "
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
    """How many alarms are in vain, per day of observation.

    1 is an anomaly in `y_true`, and 1 is a flagged row in `y_pred`: labels of `predict`
    convert with ``y_pred = (labels == -1).astype(int)``.

    A run of flagged rows is one alarm, however long it is, and a false one if none of
    its rows is anomalous.

    Parameters
    ----------
    y_true : array-like of shape (n_timestamps,)
        Ground truth: 1 for an anomaly, 0 for a normal row.
    y_pred : array-like of shape (n_timestamps,)
        Prediction: 1 for a row that is flagged, else 0.
    times : DatetimeIndex or array-like of datetime64 or None, default=None
        When each row was read, in time order. Observation lasts from the first row to
        the last one, plus one step, the median one; gaps count as observed.
    freq : str, Timedelta, timedelta or DateOffset or None, default=None
        Time from row to row, such as ``"5min"``. Observation lasts that long for every
        row, so that gaps do not count. Either `times` or `freq` must be given.

    Returns
    -------
    rate : float
        NaN if the observation has no duration.

    Raises
    ------
    ValueError
        If the lengths differ, the labels are not 0 and 1, not just one of `times` and
        `freq` is given, `times` are no times or not in order, or `freq` is no positive
        duration.

    Warns
    -----
    UndefinedMetricWarning
        If all rows have the same time.

    See Also
    --------
    event_precision_recall_fscore : Count found events and false alarms.
    detection_delay : How late events are found.
    alarm_report : What alarms ask of an operator, also without labels.

    Notes
    -----
    Days are those of all rows, not of the normal ones only: it is what an operator
    sees. A false alarm beside an event, without a row in common with it, counts.

    An alarm that flickers counts many times. One that never ends counts once, or not at
    all if there is an event in it: look at the share of flagged rows, too.

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
            "The rate of false alarms is undefined, since all rows have the same time. "
            "Set to nan. Pass freq instead.",
            stacklevel=3,
        )
        return np.nan
    return float(np.count_nonzero(false) / (duration / pd.Timedelta(days=1)))


@validate_params(
    {"at": [Interval(Real, 0, None, closed="neither")]},
    prefer_skip_nested_validation=True,
)
def channel_hit_rate(channels, errors, *, at=1.0):
    """Share of the channels behind events that are among those of the largest errors.

    In `errors`, higher = worse: they are reconstruction errors, not what
    `score_samples` returns, and one number for every event and channel, such as the
    mean error over the rows of the event.

    With ``at=1.0`` and ``at=1.5``, these are HitRate@100% and HitRate@150% [1]_.

    Parameters
    ----------
    channels : sequence of sequences, or array-like of shape (n_events, n_channels)
        The channels that caused each event: their positions, counted from 0, or their
        names if `errors` is a DataFrame. Or for every channel, as a bool, whether it
        is one of them: by position, or by name if both are DataFrames.
    errors : array-like or DataFrame of shape (n_events, n_channels)
        Error of each channel in each event, higher = worse.
    at : float, default=1.0
        How many channels to look at: of an event with ``n`` channels, the
        ``floor(at * n)`` with the largest errors.

    Returns
    -------
    rate : float
        In [0, 1]; NaN if there is no event with a known channel.

    Raises
    ------
    ValueError
        If `errors` are not finite numbers, or `channels` do not fit them, hold a
        channel twice or one that is unknown.

    Warns
    -----
    UndefinedMetricWarning
        If there is no event with a known channel.

    See Also
    --------
    tsanomaly.datasets.load_smd : A series with the channels behind its events.

    Notes
    -----
    The rate is the mean, over events, of the share of its channels that are found.
    Events without a known channel are left out. Among channels of equal error, the
    order is left to chance: the rate is its expected value, so the order of columns
    does not matter, and a detector with equal errors in all channels gets no more than
    one that guesses.

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
            "The hit rate is undefined, since there is no event with a known channel. "
            "Set to nan."
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
            "errors must hold a number for every event and channel, got an array of "
            f"shape {errors.shape} and type {errors.dtype}."
        )
    errors = errors.astype(np.float64)
    missing = ~np.isfinite(errors)
    if missing.any():
        event, channel = np.argwhere(missing)[0]
        raise ValueError(
            f"errors holds {missing.sum():,} values that are NaN or infinite, first in "
            f"channel {channel} of event {event}. Leave out rows without an error "
            "before taking the mean, and channels without a reading."
        )
    return errors


def _check_channels(channels, n_events, n_channels, names):
    """Whether each channel is one of those behind each event."""
    if hasattr(channels, "columns"):
        channels = _in_order(channels, names)
    try:
        channels = [list(event) for event in channels]
    except TypeError as error:
        raise ValueError(
            "channels must hold, for every event, the channels that caused it, or a "
            f"flag for every channel, got {channels!r}."
        ) from error
    if len(channels) != n_events:
        raise ValueError(
            f"channels has {len(channels):,} events and errors {n_events:,}. They must "
            "be of the same events."
        )
    if channels and all(_are_flags(event) for event in channels):
        n_flags = {len(event) for event in channels}
        if n_flags != {n_channels}:
            raise ValueError(
                f"channels has {sorted(n_flags)} flags for an event, and errors "
                f"{n_channels} channels. Give a flag for every channel."
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
                    f"be among the columns of errors: {_some(names)}. Names need a "
                    "DataFrame of errors."
                )
            if causes[number, position[channel]]:
                raise ValueError(
                    f"Event {number} has channel {channel!r} twice. Flags for every "
                    "channel must be an array of bool."
                )
            causes[number, position[channel]] = True
    return causes


def _in_order(flags, names):
    """Flags of a DataFrame, channels in the order of the errors."""
    if names is not None:
        columns = list(flags.columns)
        if len(columns) != len(names) or set(columns) != set(names):
            raise ValueError(
                f"channels has the columns {_some(columns)} and errors has "
                f"{_some(names)}. Give both the same columns, in any order."
            )
        flags = flags[names]
    return flags.to_numpy()


def _are_flags(event):
    return bool(event) and all(isinstance(flag, (bool, np.bool_)) for flag in event)


def _some(names):
    return ", ".join(map(repr, names[:5])) + (", ..." if len(names) > 5 else "")
