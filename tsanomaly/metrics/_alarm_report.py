# SPDX-License-Identifier: MIT
"""Performance of an alarm system: rate, density, duration and false alarms."""

import numpy as np
from sklearn.utils import Bunch

from tsanomaly._validation import check_labels, unmasked
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

__all__ = ["alarm_report"]

# In nanoseconds.
_SECOND = 10**9
_TEN_MINUTES = 600 * _SECOND
_DAY = 86_400 * _SECOND

# A flood starts above the first and ends below the second rate, in alarms per 10
# minutes.
_FLOOD_BEGINS, _FLOOD_ENDS = 10, 5

# Number of alarms of one kind within a minute that count as chattering. With time steps
# over 10 seconds, the window is a number of rows instead.
_CHATTER, _CHATTER_ROWS = 3, 6


def alarm_report(y_pred, *, y_true=None, times=None, freq=None):
    """Report the performance of an alarm system.

    `y_pred` is 1 for flagged rows and 0 for normal rows. Convert the output of
    `predict` with ``y_pred = (labels == -1).astype(int)``. Each run of flagged rows is
    one alarm.

    Most figures need no labels: they show whether the alarms of a threshold are
    manageable before anyone knows which of them are true. They are common in alarm
    management in the process industries [1]_ [2]_.

    Parameters
    ----------
    y_pred : array-like of shape (n_timestamps,) or (n_timestamps, n_alarms)
        Predictions, 1 = flagged and 0 = normal. Several columns are several kinds of
        alarms for one operator, for example of the detectors of several machines.
    y_true : array-like of shape (n_timestamps,) or None, default=None
        Ground truth, 1 = anomaly and 0 = normal.
    times : DatetimeIndex or array-like of datetime64 or None, default=None
        Times of the rows, in order. A row lasts until the next one, but no longer than
        the median step. Gaps are part of the observation.
    freq : str, Timedelta, timedelta or DateOffset or None, default=None
        Time step, such as ``"5min"``. The observation lasts one step per row. Exactly
        one of `times` and `freq` must be given.

    Returns
    -------
    report : Bunch
        Dictionary-like object with the following attributes:

        - n_alarms : int, number of alarms of all kinds
        - alarms_per_day : float
        - peak_10min : int, maximum number of alarms that start within 10 minutes
        - n_floods : int, number of alarm floods; a flood starts when more than 10
          alarms have started in the last 10 minutes, and ends when fewer than 5 have
        - share_in_flood : float, share of time in floods
        - n_chattering : int, number of alarms that are among three or more of the same
          kind that start within `chattering_window`
        - chattering_window : Timedelta, one minute, or six median steps if that is
          longer, since three alarms take at least five rows
        - share_in_alarm : float, share of time with at least one active alarm
        - longest_alarm : Timedelta, 0 if there is no alarm
        - n_stale : int, number of alarms longer than 24 hours

        If `y_true` is given, also:

        - n_events : int
        - events_found : float, share of events with a flagged row; 0.0 if there is no
          event
        - mean_delay : Timedelta, mean over the detected events; NaT if there is none
        - nuisance_share : float, share of alarms that share no row with an event; NaN
          if there is no alarm
        - false_alarms_per_day : float

    Raises
    ------
    ValueError
        If the lengths differ, the labels are not 0 and 1, none or both of `times` and
        `freq` are given, `times` are not ordered times, or `freq` is not a positive
        duration.

    Warns
    -----
    UndefinedMetricWarning
        If all rows have the same time, so that rates and shares of time are undefined.
        With `y_true`, if there is no alarm, or no event is detected.

    See Also
    --------
    detection_delay : Time from the start of events to their detection.
    false_alarms_per_day : Number of false alarms per day of observation.
    event_precision_recall_fscore : Count detected events and false alarms.

    Notes
    -----
    Guide values for the alarms of one operator, from [1]_ and [2]_ as quoted by [3]_
    and [4]_: about 150 alarms per day are very likely acceptable, about 300 are the
    maximum that can be managed; at most 10 alarms in any 10 minutes; less than 1 % of
    the time in floods; no chattering alarms. They apply to all alarms of an operator
    together, of which one detector contributes a small part. The chattering criterion,
    three alarms within a minute, is that of [5]_.

    Alarms of one kind can start at most every other row. With time steps over 30
    seconds, a flood therefore requires several kinds.

    References
    ----------
    .. [1] ANSI/ISA-18.2-2016. "Management of Alarm Systems for the Process Industries."
    .. [2] EEMUA Publication 191. "Alarm Systems: A Guide to Design, Management and
           Procurement."
    .. [3] ProSys. "Eliminate Alarm Floods."
           https://www.prosys.com/services/alarm-management/eliminate-alarm-floods
    .. [4] alarmkpi, "Alarm performance KPIs." https://pypi.org/project/alarmkpi/
    .. [5] Hexagon. "Taming the Wild Alarm System, Part 3: Fixing Chattering and
           Fleeting Alarms." https://aliresources.hexagon.com

    Examples
    --------
    >>> from tsanomaly.metrics import alarm_report
    >>> y_pred = [0, 1, 0, 1, 0, 1, 1, 0, 0, 0, 1, 0]
    >>> report = alarm_report(y_pred, freq="2h")
    >>> report.n_alarms, report.alarms_per_day, report.longest_alarm
    (4, 4.0, Timedelta('0 days 04:00:00'))
    >>> report.n_chattering, report.chattering_window
    (3, Timedelta('0 days 12:00:00'))
    >>> y_true = [0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0]
    >>> report = alarm_report(y_pred, y_true=y_true, freq="2h")
    >>> report.events_found, report.mean_delay, report.nuisance_share
    (1.0, Timedelta('0 days 02:00:00'), 0.75)
    """
    import pandas as pd

    flags = _check_flags(y_pred)
    n_timestamps = len(flags)
    if y_true is not None:
        y_true, _ = check_predictions(y_true, flags[:, 0])
    starts, ends, step, duration = _read_clock(n_timestamps, times, freq)
    days = duration / _DAY if duration else np.nan

    alarms = [find_events(column) for column in flags.T]
    onsets = [starts[first] for first, _ in alarms]
    lengths = np.concatenate([ends[last] - starts[first] for first, last in alarms])
    all_onsets = np.sort(np.concatenate(onsets))
    window = max(60 * _SECOND, _CHATTER_ROWS * step)
    n_floods, in_flood = _floods(all_onsets, duration)
    first, last = find_events(flags.any(axis=1))
    report = Bunch(
        n_alarms=len(all_onsets),
        alarms_per_day=len(all_onsets) / days,
        peak_10min=_peak(all_onsets),
        n_floods=n_floods,
        share_in_flood=in_flood / _DAY / days,
        n_chattering=sum(_count_chattering(each, window) for each in onsets),
        chattering_window=pd.Timedelta(window, "ns"),
        share_in_alarm=float((ends[last] - starts[first]).sum() / _DAY / days),
        longest_alarm=pd.Timedelta(lengths.max(initial=0), "ns"),
        n_stale=int(np.count_nonzero(lengths > _DAY)),
    )
    undefined = []
    if not duration:
        undefined.append(
            "Rates and shares of time are undefined, because all rows have the same "
            "time. Returning nan. Pass freq instead."
        )
    if y_true is not None:
        report.update(_judge(y_true, flags, alarms, starts, days))
        if not report.n_alarms:
            undefined.append(
                "The nuisance share is undefined, because no row is flagged. "
                "Returning nan."
            )
        if report.mean_delay is pd.NaT:
            reason = (
                "no event is detected" if y_true.any() else "y_true contains no anomaly"
            )
            undefined.append(
                f"The mean delay is undefined, because {reason}. Returning NaT."
            )
    if undefined:
        warn_undefined(" ".join(undefined), stacklevel=3)
    return report


def _check_flags(y_pred):
    """Return the flags of each kind of alarm, (n_timestamps, n_alarms)."""
    y_pred = np.asarray(unmasked(y_pred))
    if y_pred.ndim != 2:
        return check_labels(y_pred, name="y_pred")[:, None]
    if not y_pred.shape[1]:
        raise ValueError(
            "y_pred must have one column for each kind of alarm, got an array of shape "
            f"{y_pred.shape}."
        )
    columns = [
        check_labels(column, name=f"y_pred, column {number},")
        for number, column in enumerate(y_pred.T)
    ]
    return np.stack(columns, axis=1)


def _read_clock(n_timestamps, times, freq):
    """Return starts and ends of rows, step and total duration, in nanoseconds."""
    check_clock(times, freq)
    if times is None:
        step = check_freq(freq).as_unit("ns").value
        starts = np.arange(n_timestamps, dtype=np.float64) * step
        return starts, starts + step, step, n_timestamps * step
    times = check_times(times, n_timestamps, "y_pred").astype("datetime64[ns]")
    starts = times.astype(np.int64) - times[0].astype(np.int64)
    step = int(np.median(np.diff(starts))) if n_timestamps > 1 else 0
    ends = starts + step
    ends[:-1] = np.minimum(ends[:-1], starts[1:])
    return starts, ends, step, int(ends[-1])


def _peak(onsets):
    """Return the maximum number of onsets within 10 minutes."""
    upto = np.searchsorted(onsets, onsets + _TEN_MINUTES, side="left")
    return int((upto - np.arange(len(onsets))).max(initial=0))


def _floods(onsets, duration):
    """Return the number of floods and their total duration."""
    # The number of onsets in the last 10 minutes changes only at these times.
    changes = np.unique(np.concatenate([onsets, onsets + _TEN_MINUTES]))
    n_recent = np.searchsorted(onsets, changes, side="right") - np.searchsorted(
        onsets, changes - _TEN_MINUTES, side="right"
    )
    decides = (n_recent > _FLOOD_BEGINS) | (n_recent < _FLOOD_ENDS)
    latest = np.maximum.accumulate(np.where(decides, np.arange(len(changes)), 0))
    is_flood = n_recent[latest] > _FLOOD_BEGINS
    lasts = np.diff(np.minimum(changes, duration), append=duration)
    n_floods = np.count_nonzero(np.diff(is_flood.astype(np.int8), prepend=0) == 1)
    return int(n_floods), int(lasts[is_flood].sum())


def _count_chattering(onsets, window):
    """Return the number of onsets of chattering alarms."""
    chatters = np.zeros(len(onsets), dtype=bool)
    n_more = _CHATTER - 1
    dense = np.flatnonzero(onsets[n_more:] - onsets[:-n_more] < window)
    for place in range(_CHATTER):
        chatters[dense + place] = True
    return int(np.count_nonzero(chatters))


def _judge(y_true, flags, alarms, starts, days):
    """Return the figures that need labels."""
    import pandas as pd

    events = find_events(y_true)
    overlaps = find_events(y_true & flags.any(axis=1))
    # Overlaps are ordered: the first one of an event starts at its first flagged row.
    found, first = np.unique(owners(events, overlaps), return_index=True)
    delays = starts[overlaps[0][first]] - starts[events[0][found]]
    n_alarms = n_false = 0
    for column, ranges in zip(flags.T, alarms, strict=True):
        n_alarms += len(ranges[0])
        false = ~touched(ranges, find_events(y_true & column))
        n_false += int(np.count_nonzero(false))
    return {
        "n_events": len(events[0]),
        "events_found": len(found) / len(events[0]) if len(found) else 0.0,
        "mean_delay": pd.Timedelta(delays.mean(), "ns") if len(found) else pd.NaT,
        "nuisance_share": n_false / n_alarms if n_alarms else np.nan,
        "false_alarms_per_day": n_false / days,
    }
