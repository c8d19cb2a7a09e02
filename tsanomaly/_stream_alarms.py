# SPDX-License-Identifier: MIT
"""Alarms of a stream, equal to those of a batch of all rows so far."""

from copy import copy, deepcopy

import numpy as np
from sklearn.base import clone

from tsanomaly._alarm_filter import LABELS, AlarmTracker, median_error_of
from tsanomaly._explain import name_channels

__all__ = ["StreamAlarms"]

# Maximum number of cleared alarms to keep, the latest ones.
_MOST_ALARMS = 1000

# Columns that describe an alarm, with their types, which do not depend on whether there
# is any alarm.
_TYPES = {"score": np.float64, "severity": np.float64, "priority": str, "state": str}


class StreamAlarms:
    """Find alarms while readings arrive.

    Parameters
    ----------
    alarm_filter : AlarmFilter
    detector : estimator
        A fitted detector with a known median error.
    threshold : float or None
        Threshold of the detector.

    Attributes
    ----------
    tracker : AlarmTracker
    over : list of dict
        Alarms that are cleared.
    """

    def __init__(self, alarm_filter, detector, threshold):
        median_error = median_error_of(detector)
        if median_error is None:
            raise ValueError(
                f"{detector!r} does not say how large errors usually are, and alarms "
                "are measured by that. Put it into a ScoreTransformer, with a "
                "ReconstructionThreshold after that, or set median_error_ on its last "
                "step: the median of -score_samples(X) of its training rows."
            )
        self.tracker = AlarmTracker(clone(alarm_filter), threshold, median_error)
        self.over = []

    def interrupted(self):
        """Return the alarms after rows that are not scored."""
        other = copy(self)
        other.tracker = deepcopy(self.tracker)
        over = other.tracker.interrupt()
        if over is not None:
            other.over = [*self.over, over][-_MOST_ALARMS:]
        return other

    def extended(self, errors, times, contributions_at):
        """Return the alarms after further rows, without changing this object.

        Parameters
        ----------
        errors : ndarray of shape (n_rows,)
            Errors of the rows, NaN at breaks.
        times : ndarray of shape (n_rows,)
            Times of the rows, datetime64 or NaT.
        contributions_at : callable
            Maps an array of positions of these rows to the contributions of the
            channels to their errors, (n, n_channels), or None.

        Returns
        -------
        other : StreamAlarms
        """
        other, tracker = copy(self), copy(self.tracker)
        other.tracker, cleared, above = tracker, [], []
        tracker.alarm = deepcopy(tracker.alarm)  # cleared ones no longer change
        for position, (error, time) in enumerate(
            zip(errors.tolist(), times, strict=True)
        ):
            row = tracker.n_rows
            is_above, over = tracker.step(error)
            if is_above:
                alarm = tracker.alarm
                above.append((position, alarm, alarm.get("end") == row))
            if tracker.alarm is not None:
                _note_time(tracker.alarm, row, time)
            if over is not None:
                cleared.append(over)
        other.over = [*self.over, *cleared][-_MOST_ALARMS:]
        # Skip alarms that are not kept or were never raised.
        kept = {id(alarm) for alarm in (*other.over, tracker.alarm)}
        above = [row for row in above if id(row[1]) in kept]
        if above:
            parts = contributions_at(np.array([position for position, *_ in above]))
            if parts is not None:
                for (_, alarm, belongs), part in zip(
                    above, np.nan_to_num(parts), strict=True
                ):
                    _add(alarm, part, belongs)
        return other

    def on_and_over(self):
        """Return the cleared alarms and the active one, in time order."""
        return [*self.over, *([self.tracker.alarm] if self.tracker.is_raised else [])]

    def table(self, names, n_channels):
        """Return the alarms as a frame, with the active one last.

        Parameters
        ----------
        names : list
            Names of the channels.
        n_channels : int
            Maximum number of channels to name per alarm.

        Returns
        -------
        alarms : DataFrame
        """
        import pandas as pd

        rows = [_describe(alarm, names, n_channels) for alarm in self.on_and_over()]
        columns = [*LABELS, *_TYPES, "channels", "shares"]
        return pd.DataFrame(rows, columns=columns).astype(_TYPES)


def _note_time(alarm, row, time):
    """Store the time of a row that is a label of the alarm, such as its peak."""
    times = alarm.setdefault("times", np.full(len(LABELS), "NaT", "datetime64[ns]"))
    for number, name in enumerate(LABELS):
        if alarm.get(name) == row:
            times[number] = time


def _add(alarm, contributions, belongs):
    """Add the contributions of a row, or keep them until a later row belongs again."""
    waiting = alarm.pop("waiting", 0.0) + contributions
    if belongs:
        alarm["contributions"] = alarm.get("contributions", 0.0) + waiting
    else:
        alarm["waiting"] = waiting


def _describe(alarm, names, n_channels):
    """Return the row of the table for an alarm."""
    import pandas as pd

    labels = [alarm[name] for name in LABELS]
    if not np.isnat(alarm["times"]).any():
        labels = [pd.Timestamp(time) for time in alarm["times"]]
    contributions = alarm.get("contributions", np.zeros(len(names)))
    return {
        **dict(zip(LABELS, labels, strict=True)),
        "score": -alarm["error"],
        **{name: alarm[name] for name in _TYPES if name != "score"},
        **name_channels(contributions[None], names, n_channels),
    }
