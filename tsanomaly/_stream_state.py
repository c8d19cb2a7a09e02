# SPDX-License-Identifier: MIT
"""A stream that is watched: what it found in new rows, and what it has to remember."""

import numpy as np

from tsanomaly._alarm_filter import LABELS

__all__ = ["advance", "restore", "state_of"]

# What an AlarmTracker remembers; the rest follows from the detector and the filter.
_TRACKED = ("threshold", "n_rows", "accumulated", "n_above", "is_raised", "alarm")


def advance(stream, rows, times, n_channels):
    """Take rows, and return what a watcher tells of them.

    Parameters
    ----------
    stream : StreamingDetector
        With an alarm filter. Alarms that are over are returned once, and not kept.
    rows : ndarray of shape (n_rows, n_channels)
    times : ndarray of shape (n_rows,), dtype=datetime64[ns]
    n_channels : int
        How many channels of an alarm to name, at most.

    Returns
    -------
    scores : ndarray of shape (n_rows,)
    flags : ndarray of shape (n_rows,), dtype=bool
    alarms : list of dict
        Those that ended, and the one that is on, in time order: a row of
        ``stream.alarms()``, 'number', by which the alarm is known to this stream, and
        'readings' and 'expected' of its channels if its peak is among the rows.

    Raises
    ------
    ValueError
        As from ``stream.update_many``; then none of the rows is taken.
    """
    first = stream._alarms.tracker.n_rows
    scored = stream._score(rows, times)
    alarms = scored.alarms
    found = alarms.on_and_over()
    table = []
    if found:  # a frame takes longer than a score
        names = stream._channel_names(rows.shape[1])
        table = alarms.table(names, n_channels).to_dict("records")
    for alarm, described in zip(found, table, strict=True):
        described["number"] = alarm["raised"]
        if alarm["peak"] >= first:
            place = np.array([alarm["peak"] - first])
            (explained,) = stream._explained(scored, place, rows.shape[1])
            described |= _of_channels(explained, described["channels"])
    alarms.over = []
    stream._take(scored)
    return scored.scores, scored.flags, table


def _of_channels(explained, channels):
    """Readings and expectations of some channels."""
    found = {}
    for name in ("readings", "expected"):
        known = dict(zip(explained["channels"], explained[name], strict=True))
        found[name] = [known.get(channel, np.nan) for channel in channels]
    return found


def state_of(stream):
    """What a stream has to remember, but for its detector and its filter.

    Parameters
    ----------
    stream : StreamingDetector
        With an alarm filter.

    Returns
    -------
    state : dict
        Of numbers, texts, arrays and dicts of them.
    """
    tracker = stream._alarms.tracker
    return {
        "rows": stream._rows,
        "times": stream._times,
        **{name: getattr(tracker, name) for name in _TRACKED},
    }


def restore(stream, state):
    """Have a new stream go on where another was.

    Parameters
    ----------
    stream : StreamingDetector
        With the detector and the filter of the other.
    state : dict
        As from `state_of`.

    Raises
    ------
    ValueError, KeyError, TypeError
        If the state is not of such a stream.
    """
    rows, times, alarm = state["rows"], state["times"], state["alarm"]
    if rows.ndim != 2 or rows.dtype.kind != "f" or times.shape != (len(rows),):
        raise ValueError("rows and times do not go together")
    if rows.shape[1] != stream._rows.shape[1]:
        raise ValueError(f"there are {rows.shape[1]} channels")
    if state["is_raised"] and not {*LABELS, "state", "times"} <= alarm.keys():
        raise ValueError("the alarm is not described")
    stream._rows, stream._times = rows, times
    for name in _TRACKED:
        setattr(stream._alarms.tracker, name, state[name])
