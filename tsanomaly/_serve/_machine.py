# SPDX-License-Identifier: MIT
"""One watched machine: its stream, its times and its alarm."""

from collections import Counter, deque

import numpy as np

from tsanomaly._alarm_filter import has_drifted
from tsanomaly._serve._readings import Rejected
from tsanomaly._stream_state import BREAK, WatchedStream, advance, restore, state_of
from tsanomaly._streaming import StreamingDetector, continue_with

__all__ = ["RECENT", "Machine"]

# Number of readings kept per machine, for charts and for a new normal.
RECENT = 2_000

# Numbers of recent times, to recognise duplicates, and of recent errors, to recognise
# drift, that are kept.
_TIMES_KEPT, _ERRORS_KEPT = 500, 400

# Number of times from which the time between readings is known.
_FEWEST_TIMES = 50

# Maximum number of rows scored at once, to limit memory.
_BLOCK = 2_048

_NO_TIME = np.datetime64("NaT", "ns")


class Machine:
    """A watched machine.

    Parameters
    ----------
    name : str
    detector : fitted estimator
    alarm_filter : AlarmFilter
    width : int
        Number of channels.
    n_channels : int
        Maximum number of channels to name per alarm.
    max_gap : timedelta64 or None
        A longer pause between readings is a break.
    threshold : float or None, default=None
        Threshold of the errors; None uses that of the detector.
    adjusted : callable or None, default=None
        Returns the detector that scores, for a detector.

    Attributes
    ----------
    n_recent : int
        Number of last readings that a machine needs to continue after a restart, and
        for charts.
    """

    def __init__(
        self,
        name,
        detector,
        alarm_filter,
        width,
        n_channels,
        max_gap,
        threshold=None,
        adjusted=None,
    ):
        self.name = name
        self.detector = detector
        self._adjusted = adjusted or (lambda detector: detector)
        self.stream = WatchedStream(self._adjusted(detector), alarm_filter, threshold)
        self._n_channels = n_channels
        self._max_gap = max_gap
        self.last_time = _NO_TIME
        self.last_score = np.nan
        self.n_readings = 0
        self.alarm = None  # the active alarm
        self.n_recent = max(RECENT, self.stream.n_context_)
        self._times = deque(maxlen=_TIMES_KEPT)
        self._errors = deque(maxlen=_ERRORS_KEPT)
        self.n_alarms = Counter()  # by the channel with the largest share
        self.missing = np.zeros(width, dtype=np.int64)
        self.unchanged = np.zeros(width, dtype=np.int64)
        self._last_row = np.full(width, np.nan)

    def restore(self, state, times, scores, rows):
        """Continue where another machine stopped.

        Parameters
        ----------
        state : dict
            As returned by `state` of the other machine.
        times : ndarray of shape (n_rows,), dtype=datetime64[ns]
            Times of its last readings, `n_recent` if there were so many.
        scores : ndarray of shape (n_rows,)
            Their scores.
        rows : ndarray of shape (n_rows, n_channels)
            Their values.
        """
        restore(self.stream, state["stream"], rows, times)
        self._times.extend(times[~np.isnat(times)])
        self._errors.extend(-scores[len(scores) - state["n_errors"] :])
        self.last_time = state["last_time"][()]
        for key in ("last_score", "n_readings", "alarm", "missing", "unchanged"):
            setattr(self, key, state[key])
        self._last_row = state["last_row"]
        self.n_alarms.update(state["n_alarms"])

    def state(self):
        """Return the state of the machine, to be saved."""
        return {
            "stream": state_of(self.stream),
            # The errors are saved with the readings, but not how many of them count.
            "n_errors": len(self._errors),
            "last_time": np.array(self.last_time),
            "last_score": self.last_score,
            "n_readings": self.n_readings,
            "alarm": self.alarm,
            "missing": self.missing,
            "unchanged": self.unchanged,
            "last_row": self._last_row,
            "n_alarms": self.n_alarms,
        }

    def threshold(self):
        """Threshold of the errors."""
        return self.stream._alarms.tracker.threshold

    def step(self):
        """Return the median time between the last readings, None for too few."""
        if len(self._times) < _FEWEST_TIMES:
            return None
        return np.median(np.diff(np.sort(self._times)))

    def has_drifted(self):
        """Whether the last readings no longer look like training rows."""
        tracker = self.stream._alarms.tracker
        median = tracker.fitted_threshold - tracker.unit
        return has_drifted(np.array(self._errors), tracker.fitted_threshold, median)

    def sort(self, readings, latest):
        """Sort readings by time, and reject those that are too late.

        Parameters
        ----------
        readings : list of (int, Reading)
            Readings with their positions in the batch.
        latest : datetime64
            The latest time that is accepted.

        Returns
        -------
        taken : list of (int, Reading)
        refused : list of (int, Rejected)
        n_reordered : int
            Number of readings that arrived after later ones and were sorted.
        """
        taken, refused = [], []
        times = [reading.time for _, reading in readings]
        known = np.array(times, dtype="datetime64[ns]")
        n_reordered = 0
        if not np.isnat(known).any():
            n_reordered = int((known < np.maximum.accumulate(known)).sum())
            order = np.argsort(known, kind="stable")
            readings = [readings[place] for place in order]
        last, seen = self.last_time, set(self._times)
        for position, reading in readings:
            wrong = _wrong_time(reading.time, last, seen, latest)
            if wrong is not None:
                refused.append((position, wrong))
                continue
            last = reading.time
            seen.add(last)
            taken.append((position, reading))
        return taken, refused, n_reordered

    def take(self, readings):
        """Score readings in order.

        Parameters
        ----------
        readings : list of Reading

        Returns
        -------
        scores, flags : ndarray of shape (n_readings,)
        alarms : list of dict
            As returned by `advance`.

        Raises
        ------
        ValueError
            If the detector rejects a reading; then none is accepted.
        """
        rows = np.array([reading.values for reading in readings], dtype=np.float64)
        times = np.array([reading.time for reading in readings], "datetime64[ns]")
        before = np.concatenate([[self.last_time], times[:-1]])
        starts = np.zeros(len(rows), dtype=bool)
        if self._max_gap is not None:
            starts = times - before > self._max_gap  # False where one is NaT
        # Insert a break before a reading that follows a pause.
        places = np.flatnonzero(starts)
        with_breaks = np.insert(rows, places, BREAK, axis=0)
        scores, flags, alarms = advance(
            self.stream,
            with_breaks,
            np.insert(times, places, before[places]),
            self._n_channels,
        )
        kept = np.arange(len(rows)) + np.cumsum(starts)
        self._note(rows, times, scores[kept])
        return scores[kept], flags[kept], alarms

    def blocks(self, readings):
        """Split readings into blocks that are scored at once."""
        for start in range(0, len(readings), _BLOCK):
            yield readings[start : start + _BLOCK]

    def is_since_alarm(self, times):
        """Find the readings since the start of the active alarm."""
        start = self.alarm["start"]
        if isinstance(start, str):
            return times >= np.datetime64(start)
        return np.arange(len(times))[::-1] < self.n_readings - start

    def accept_new_normal(self, times, rows):
        """Accept the level of rows as normal, and end the active alarm, if any.

        Returns
        -------
        ended : bool
            Whether an alarm was active.
        """
        frame = self.stream._prepare().as_given(rows, times)
        # Save the detector without the adjustment.
        stream = StreamingDetector(self.detector).accept_new_normal(frame)
        self.detector = stream.detector
        continue_with(self.stream, self._adjusted(self.detector))
        was_on = self.stream._alarms.tracker.is_raised
        self.stream._alarms = self.stream._alarms.interrupted()
        self.stream._alarms.over = []
        self._errors.clear()
        self.last_score = np.nan  # that of the last reading was on the former level
        return was_on

    def _note(self, rows, times, scores):
        """Update what is reported about a machine besides its alarms."""
        self.n_readings += len(rows)
        self.last_time, self.last_score = times[-1], float(scores[-1])
        self._times.extend(times[~np.isnat(times)])
        self._errors.extend(-scores)
        self.missing = self.missing + np.isnan(rows).sum(axis=0)
        same = rows == np.vstack([self._last_row, rows[:-1]])
        # Number of rows since the last change, or of all rows.
        n_same = np.argmax(np.vstack([~same[::-1], np.ones(rows.shape[1], bool)]), 0)
        went_on = n_same == len(rows)
        self.unchanged = np.where(went_on, self.unchanged + n_same, n_same)
        self._last_row = rows[-1]


def _wrong_time(time, last, seen, latest):
    """Return the reason to reject a reading with this time, or None."""
    if np.isnat(time):
        if np.isnat(last):
            return None
        return Rejected(
            "malformed",
            "The reading has no time, but earlier readings of the machine had one. "
            "Send the time.",
        )
    if time > latest:
        return Rejected(
            "future",
            f"{time} is more than a day ahead of the clock of this computer. Send "
            "times in UTC, or with a time zone.",
        )
    if np.isnat(last) or time > last:
        return None
    if time in seen:
        return Rejected(
            "duplicate", f"There already is a reading at {time}, which is kept."
        )
    return Rejected(
        "late",
        f"{time} is before the last scored reading, at {last}. Send readings in time "
        "order, or send related readings in one request.",
    )
