# SPDX-License-Identifier: MIT
from collections import Counter
from copy import deepcopy

import numpy as np

from tsanomaly._alarm_filter import LABELS, AlarmFilter, AlarmTracker, alarm_table
from tsanomaly.distributed._errors import errors_of

__all__ = ["find_alarms"]


def find_alarms(detector, X, *, alarm_filter=None):
    """Find the alarms in a Dask collection.

    The collection is scored immediately, because rows of several partitions may belong
    to one alarm.

    Parameters
    ----------
    detector : fitted estimator
        As in :func:`score_samples`, with a threshold.
    X : dask Array or DataFrame of shape (n_timestamps, n_channels)
        A series, rows in time order over all partitions.
    alarm_filter : AlarmFilter or None, default=None
        Rules by which errors become alarms. None is :class:`~tsanomaly.AlarmFilter`
        with default parameters.

    Returns
    -------
    alarms : DataFrame
        One row per alarm, in time order, as from
        :meth:`AlarmFilter.alarms <tsanomaly.AlarmFilter.alarms>` for the errors of all
        rows at once and their index.

    Raises
    ------
    ImportError
        If Dask is not installed.
    TypeError
        If `X` is not a Dask array or DataFrame.
    ValueError
        If the threshold of `detector` is unknown and `alarm_filter` has none, or as in
        :func:`score_samples`.
    sklearn.exceptions.NotFittedError
        If `detector` is not fitted.

    See Also
    --------
    tsanomaly.AlarmFilter : Describes the rules and the columns of the table.
    tsanomaly.explain : Find the channels behind the alarms in a part of the series.

    Notes
    -----
    Only the current alarm is passed from partition to partition, not the rows. If the
    detector has no `median_error_`, the errors of all rows are loaded into this process
    to compute their median, which takes 8 bytes per row.

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> from tsanomaly import AutoregressiveDetector
    >>> from tsanomaly.distributed import find_alarms
    >>> X = np.random.default_rng(0).normal(size=(1000, 2))
    >>> detector = AutoregressiveDetector(lags=1, window_size=8).fit(X)
    >>> X[695:705] += 8
    >>> alarms = find_alarms(detector, da.from_array(X, chunks=(350, 2)))
    >>> alarms["start"].tolist()
    [695]
    """
    import dask

    alarm_filter = AlarmFilter() if alarm_filter is None else alarm_filter
    blocks, threshold, median_error = errors_of(detector, X, alarm_filter)
    take = dask.delayed(_take)
    state = _Alarms(AlarmTracker(alarm_filter, threshold, median_error))
    for block in blocks:
        state = take(state, block)
    columns = alarm_filter.alarms(
        [], threshold=threshold, median_error=median_error
    ).columns
    return dask.compute(state)[0].table(list(columns))


def _take(state, block):
    """Return the state after a partition. The given state is kept for retries."""
    state = deepcopy(state)
    state.take(*block)
    return state


class _Alarms:
    """Alarms of the partitions so far, and the state that later partitions need.

    Parameters
    ----------
    tracker : AlarmTracker
        Tracker before the first row.
    """

    def __init__(self, tracker):
        self._tracker = tracker
        self._found = []  # alarms with the labels of their rows
        self._labels = {}  # labels of the rows of the current alarm
        self._index = None  # at most one label, for the type
        self._last = None  # the last label
        self._steps, self._is_ordered = Counter(), True

    def take(self, errors, index):
        """Process the errors and the index of the next partition."""
        import pandas as pd

        first, tracker = self._tracker.n_rows, self._tracker
        if index is None:
            index = pd.RangeIndex(first, first + len(errors))
        if self._index is None or not len(self._index):
            self._index = index[:1] if len(index) else index
        self._count_steps(index)
        over, _ = tracker.run(errors)
        if tracker.is_raised:
            over = over[:-1]  # the last one is still active
        going_on = [] if tracker.alarm is None else [tracker.alarm]
        for alarm in over + going_on:
            for name in LABELS:
                if alarm.get(name, -1) >= first:
                    self._labels[alarm[name]] = index[alarm[name] - first]
        self._found += map(self._labelled, over)
        needed = {alarm[name] for alarm in going_on for name in LABELS if name in alarm}
        self._labels = {row: self._labels[row] for row in needed}

    def table(self, columns):
        """Return all alarms as a frame."""
        found = self._found.copy()
        if self._tracker.is_raised:
            found.append(self._labelled(self._tracker.alarm))
        step = self._median_step()
        rows = []
        for alarm, labels in found:
            duration = alarm["end"] - alarm["start"] + 1
            if step is not None:
                duration = labels["end"] - labels["start"] + step
            rows.append({**alarm, **labels, "duration": duration})
        return alarm_table(rows, columns, self._index, step)

    def _labelled(self, alarm):
        return alarm, {name: self._labels[alarm[name]] for name in LABELS}

    def _count_steps(self, index):
        """Count the time steps between rows, and check whether times are in order."""
        import pandas as pd

        if not isinstance(index, pd.DatetimeIndex) or not len(index):
            return
        joined = index if self._last is None else self._last.append(index)
        self._is_ordered &= joined.is_monotonic_increasing
        steps, counts = np.unique(np.diff(joined.asi8), return_counts=True)
        self._steps.update(dict(zip(steps.tolist(), counts.tolist(), strict=True)))
        self._last = index[-1:]

    def _median_step(self):
        """Return the result of `median_step` for the index of all rows."""
        import pandas as pd

        if not self._steps or not self._is_ordered:
            return None
        steps, counts = zip(*sorted(self._steps.items()), strict=True)
        ends = np.cumsum(counts)
        middle = [(ends[-1] - 1) // 2, ends[-1] // 2]
        two = np.array(steps)[np.searchsorted(ends, middle, side="right")]
        step = pd.Series(two.astype(f"timedelta64[{self._last.unit}]")).median()
        return step if step > pd.Timedelta(0) else None
