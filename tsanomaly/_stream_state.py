# SPDX-License-Identifier: MIT
"""A stream that is watched: what it found in new rows, and what it has to remember."""

import numpy as np

from tsanomaly._alarm_filter import LABELS
from tsanomaly._stream_explanation import expected_or_usual, in_context
from tsanomaly._stream_plan import StreamPlan
from tsanomaly._streaming import StreamingDetector

__all__ = ["BREAK", "WatchedStream", "advance", "restore", "state_of"]

# In every channel of a row, a break. NaN is none where a step fills it, and no reading
# is infinite.
BREAK = np.inf

# What an AlarmTracker remembers; the rest follows from the detector and the filter.
_TRACKED = ("n_rows", "accumulated", "n_above", "is_raised", "alarm")


class WatchedStream(StreamingDetector):
    """A stream that knows breaks, and whose alarms need no explanation.

    Parameters
    ----------
    detector : estimator
        As of `StreamingDetector`. Times of readings are in UTC.
    alarm_filter : AlarmFilter
    threshold : float or None, default=None
        What errors are compared with, instead of the threshold of the detector.
    """

    def __init__(self, detector, alarm_filter, threshold=None):
        self._other_threshold = threshold
        super().__init__(detector, alarm_filter)

    def _prepare(self):
        if self._plan is None:
            self._plan = StreamPlan(
                self.detector, threshold=self._other_threshold, is_utc=True
            )
        return self._plan

    def _breaks(self, rows):
        return super()._breaks(rows) | (rows == BREAK).all(axis=1)

    def _contributions(self, pieces, positions):
        try:
            return super()._contributions(pieces, positions)
        # Whatever goes wrong, an alarm without channels is better than none.
        except Exception:
            return None


def advance(stream, rows, times, n_channels):
    """Take rows, and return what a watcher tells of them.

    Parameters
    ----------
    stream : WatchedStream
        With an alarm filter. Alarms that are over are returned once, and not kept.
    rows : ndarray of shape (n_rows, n_channels)
        Breaks are rows of `BREAK`.
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
        'readings' and 'expected' of its channels at its peak, NaN if not known.

    Raises
    ------
    ValueError
        As from ``stream.update_many``; then none of the rows is taken.
    """
    first = stream._alarms.tracker.n_rows
    scored = stream._score(rows, times)
    alarms = scored.alarms
    found = alarms.on_and_over()
    # What may become an alarm has a peak that later rows are told by, too.
    on = alarms.tracker.alarm
    _note_peaks(stream, scored, [*alarms.over, *([] if on is None else [on])], first)
    table = []
    if found:  # a frame takes longer than a score
        names = stream._channel_names(rows.shape[1])
        table = alarms.table(names, n_channels).to_dict("records")
    for alarm, described in zip(found, table, strict=True):
        described["number"] = alarm["raised"]
        places = [names.index(channel) for channel in described["channels"]]
        for name, values in zip(
            ("readings", "expected"), alarm["at_peak"], strict=True
        ):
            described[name] = values[places].tolist()
    alarms.over = []
    stream._take(scored)
    return scored.scores, scored.flags, table


def _note_peaks(stream, scored, alarms, first):
    """Keep readings and expectations of all channels at peaks among the new rows.

    Which channels an alarm names, and in which order, changes as long as it is on.
    """
    new = [alarm for alarm in alarms if alarm["peak"] >= first]
    positions = np.array([alarm["peak"] - first for alarm in new], dtype=np.int64)
    at_peak = []
    as_given = stream._prepare().as_given
    for X, rows, normal in in_context(scored, positions, as_given):
        readings = np.asarray(X, dtype=np.float64)[rows]
        try:
            expected = expected_or_usual(stream.detector, X, rows, normal)
        # As of contributions: the alarm goes without.
        except Exception:
            expected = np.full_like(readings, np.nan)
        at_peak.extend(np.stack([readings, expected], axis=1))  # (2, n_channels) each
    for alarm, values in zip(new, at_peak, strict=True):
        alarm["at_peak"] = values


def state_of(stream):
    """What a stream has to remember, but for its detector and its filter.

    Parameters
    ----------
    stream : StreamingDetector
        With an alarm filter.

    Returns
    -------
    state : dict
        Of numbers, texts, arrays and dicts of them. Of the rows that the stream keeps,
        which are its last ones, only the number.
    """
    tracker = stream._alarms.tracker
    return {
        "n_kept": len(stream._rows),
        "threshold": tracker.threshold,
        "fitted_threshold": tracker.fitted_threshold,
        **{name: getattr(tracker, name) for name in _TRACKED},
    }


def restore(stream, state, rows, times):
    """Have a new stream go on where another was.

    Parameters
    ----------
    stream : StreamingDetector
        With the detector of the other; its filter may have other parameters.
    state : dict
        As from `state_of`.
    rows : ndarray of shape (n_rows, n_channels)
        The last rows of the other stream, at least those that it keeps.
    times : ndarray of shape (n_rows,), dtype=datetime64[ns]
        Their times.

    Raises
    ------
    ValueError, KeyError, TypeError
        If the state is not of such a stream.
    """
    n_kept, alarm = state["n_kept"], state["alarm"]
    if not 0 <= n_kept <= len(rows):
        raise ValueError(f"{n_kept} rows are kept of {len(rows)}")
    if n_kept and rows.shape[1] != stream._rows.shape[1]:
        raise ValueError(f"there are {rows.shape[1]} channels")
    told = {*LABELS, "state", "times", "at_peak"}
    if state["is_raised"] and not told <= alarm.keys():
        raise ValueError("the alarm is not described")
    if n_kept:
        stream._rows, stream._times = rows[-n_kept:].copy(), times[-n_kept:].copy()
    tracker = stream._alarms.tracker
    for name in _TRACKED:
        setattr(tracker, name, state[name])
    # A threshold that follows the errors started from this one, or means nothing now.
    if tracker.rules.tracking and state["fitted_threshold"] == tracker.fitted_threshold:
        tracker.threshold = state["threshold"]
