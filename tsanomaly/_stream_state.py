# SPDX-License-Identifier: MIT
"""Streams of watched machines: results for new rows, and the state to save."""

import numpy as np

from tsanomaly._alarm_filter import LABELS
from tsanomaly._stream_explanation import expected_or_usual, in_context
from tsanomaly._stream_plan import StreamPlan
from tsanomaly._streaming import StreamingDetector

__all__ = ["BREAK", "WatchedStream", "advance", "restore", "state_of"]

# Value of every channel in a row that is a break. A row of NaN is not a break if a step
# fills it, while no reading is infinite.
BREAK = np.inf

# Attributes of an AlarmTracker to save. The others follow from the detector and the
# filter.
_TRACKED = ("n_rows", "accumulated", "n_above", "is_raised", "is_calm", "alarm")


class WatchedStream(StreamingDetector):
    """A stream with explicit breaks that also reports alarms it cannot explain.

    Parameters
    ----------
    detector : estimator
        As in `StreamingDetector`. Times of readings are in UTC.
    alarm_filter : AlarmFilter
    threshold : float or None, default=None
        Threshold of the errors. None uses that of the detector.
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
        # Whatever the error, an alarm without channels is better than none.
        except Exception:
            return None


def advance(stream, rows, times, n_channels):
    """Process rows, and return what a watch reports about them.

    Parameters
    ----------
    stream : WatchedStream
        Stream with an alarm filter. Ended alarms are returned once and not kept.
    rows : ndarray of shape (n_rows, n_channels)
        Rows, where breaks are rows of `BREAK`.
    times : ndarray of shape (n_rows,), dtype=datetime64[ns]
    n_channels : int
        Maximum number of channels to name per alarm.

    Returns
    -------
    scores : ndarray of shape (n_rows,)
    flags : ndarray of shape (n_rows,), dtype=bool
    alarms : list of dict
        Alarms that were cleared, and the active one, in time order. Each is a row of
        ``stream.alarms()`` with a 'number', which identifies the alarm in this stream,
        and 'readings' and 'expected' of its channels, each in the row where they differ
        most, NaN if unknown.

    Raises
    ------
    ValueError
        As in ``stream.update_many``. None of the rows is then processed.
    """
    first = stream._alarms.tracker.n_rows
    scored = stream._score(rows, times)
    alarms = scored.alarms
    found = alarms.on_and_over()
    # A pending alarm is compared, too, because it may be raised later.
    on = alarms.tracker.alarm
    _compare(stream, scored, [*alarms.over, *([] if on is None else [on])], first)
    table = []
    if found:  # making a frame takes longer than scoring
        names = stream._channel_names(rows.shape[1])
        table = alarms.table(names, n_channels).to_dict("records")
    for alarm, described in zip(found, table, strict=True):
        described["number"] = alarm["raised"]
        places = [names.index(channel) for channel in described["channels"]]
        for name, values in zip(
            ("readings", "expected"), alarm["compared"], strict=True
        ):
            described[name] = values[places].tolist()
    alarms.over = []
    stream._take(scored)
    return scored.scores, scored.flags, table


def _compare(stream, scored, alarms, first):
    """Store for each alarm the readings and expected readings that differ most.

    They are stored for all channels, because the channels that an alarm names, and
    their order, may change while it is active.
    """
    is_above = -scored.scores > scored.alarms.tracker.threshold
    rows_of = []
    for alarm in alarms:
        start, peak = max(alarm["start"] - first, 0), alarm["peak"] - first
        end = max(alarm["last"] - first + 1, 0)
        rows = start + np.flatnonzero(is_above[start:end])
        rows_of.append(np.union1d(rows, peak) if peak >= 0 else rows)
    # The rows of an alarm are before those of the next one.
    positions = np.concatenate([np.empty(0, dtype=np.intp), *rows_of])
    as_given = stream._prepare().as_given
    pairs = []
    for X, rows, normal in in_context(scored, positions, as_given):
        readings = np.asarray(X, dtype=np.float64)[rows]
        try:
            expected = expected_or_usual(stream.detector, X, rows, normal)
        # As for contributions, the alarm is reported without them.
        except Exception:
            expected = np.full_like(readings, np.nan)
        pairs.extend(np.stack([readings, expected], axis=1))  # (2, n_channels) each
    pairs = iter(pairs)
    for alarm, rows in zip(alarms, rows_of, strict=True):
        belonging = [alarm["compared"]] if "compared" in alarm else []
        waiting = [alarm.pop("waiting_compared")] if "waiting_compared" in alarm else []
        if alarm["end"] >= first:
            belonging, waiting = belonging + waiting, []
        for row in rows:
            belongs = row <= alarm["end"] - first
            (belonging if belongs else waiting).append(next(pairs))
        alarm["compared"] = _farthest(belonging)
        if waiting:
            alarm["waiting_compared"] = _farthest(waiting)


def _farthest(pairs):
    """Return, for each channel, the reading farthest from the expected one, and that.

    Takes and returns arrays of shape (2, n_channels).
    """
    found = np.array(pairs)  # (n_rows, 2, n_channels)
    distance = np.nan_to_num(np.abs(found[:, 0] - found[:, 1]), nan=-1.0)
    most = distance.argmax(axis=0)[None, None]
    return np.take_along_axis(found, most, axis=0)[0]


def state_of(stream):
    """Return the state of a stream, without its detector and filter.

    Parameters
    ----------
    stream : StreamingDetector
        Stream with an alarm filter.

    Returns
    -------
    state : dict
        Numbers, texts, arrays and dicts of them. It includes only the number of rows
        that the stream keeps, because these are its last ones.
    """
    tracker = stream._alarms.tracker
    return {
        "n_kept": len(stream._rows),
        "threshold": tracker.threshold,
        "fitted_threshold": tracker.fitted_threshold,
        **{name: getattr(tracker, name) for name in _TRACKED},
    }


def restore(stream, state, rows, times):
    """Make a new stream continue where another one stopped.

    Parameters
    ----------
    stream : StreamingDetector
        New stream with the same detector. Its filter may have other parameters.
    state : dict
        As from `state_of`.
    rows : ndarray of shape (n_rows, n_channels)
        Last rows of the other stream, at least those that it kept.
    times : ndarray of shape (n_rows,), dtype=datetime64[ns]
        Times of the rows.

    Raises
    ------
    ValueError, KeyError, TypeError
        If the state does not belong to such a stream.
    """
    n_kept, alarm = state["n_kept"], state["alarm"]
    if not 0 <= n_kept <= len(rows):
        raise ValueError(f"{n_kept} rows are kept of {len(rows)}")
    if n_kept and rows.shape[1] != stream._rows.shape[1]:
        raise ValueError(f"there are {rows.shape[1]} channels")
    told = {*LABELS, "last", "state", "times", "compared"}
    if state["is_raised"] and not told <= alarm.keys():
        raise ValueError("the alarm is not described")
    if n_kept:
        stream._rows, stream._times = rows[-n_kept:].copy(), times[-n_kept:].copy()
    tracker = stream._alarms.tracker
    for name in _TRACKED:
        setattr(tracker, name, state[name])
    # A threshold that tracks the errors is valid only if it started from the same one.
    if tracker.rules.tracking and state["fitted_threshold"] == tracker.fitted_threshold:
        tracker.threshold = state["threshold"]
