# SPDX-License-Identifier: MIT
from collections.abc import Hashable
from numbers import Real

import numpy as np

from tsanomaly.datasets._regularize import column_values, nanoseconds

__all__ = ["insert_breaks"]


def insert_breaks(frame, max_gap=None, *, by=None, return_rows=False):
    """Insert a break at each time gap and between different series.

    A break is a row that is NaN in every channel. No window of an estimator contains
    one, and the row after it is treated like the first row of a series. The rows before
    and after an outage, or of different machines, are thus not treated as connected.

    Parameters
    ----------
    frame : DataFrame of shape (n_timestamps, n_channels)
        Readings in time order. Several series follow one another.
    max_gap : str, timedelta, number or None, default=None
        Largest time step that is not a gap: a duration such as '5min' if the index has
        times, otherwise a number. None inserts breaks only by `by`.
    by : label or None, default=None
        Column that identifies the series, for example a machine number. It is not a
        channel and is removed.
    return_rows : bool, default=False
        Whether to return the positions of the rows as well.

    Returns
    -------
    broken : DataFrame of shape (n_timestamps + n_breaks, n_channels)
        Rows and breaks. float32 columns are kept, others become float64. The time of a
        break in a gap is that of the previous row plus `max_gap`, rounded down to the
        unit of the index. Between two series it is the time of the previous row.
    rows : ndarray of int of shape (n_timestamps,)
        Position of each row of `frame` in `broken`. Only if `return_rows` is True.

    Raises
    ------
    TypeError
        If `frame` is not a DataFrame, or `max_gap` is given and its index has neither
        times nor numbers.
    ValueError
        If neither `max_gap` nor `by` is given, `max_gap` is not a positive distance in
        the unit of the index, `by` is not a column, has missing values or the rows of a
        series are not contiguous, times are missing or not in order, or a column is not
        numeric.

    See Also
    --------
    regularize : Resample readings to a regular grid.
    tsanomaly.FleetDetector : Fit one detector per machine.

    Notes
    -----
    Rows of `frame` that are NaN in every channel are kept and are breaks as well.

    Estimators return one result per row of `broken`. With ``return_rows=True``,
    ``detector.score_samples(broken)[rows]`` are the scores of the rows of `frame`.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from tsanomaly.datasets import insert_breaks
    >>> times = pd.to_datetime(["2024-01-01 00:00:00", "2024-01-01 00:00:01",
    ...                         "2024-01-01 09:00:00", "2024-01-01 09:00:01"])
    >>> frame = pd.DataFrame({"pressure": [1.0, 2.0, 8.0, 9.0]}, index=times)
    >>> broken, rows = insert_breaks(frame, "1min", return_rows=True)
    >>> broken["pressure"].tolist()
    [1.0, 2.0, nan, 8.0, 9.0]
    >>> str(broken.index[2])
    '2024-01-01 00:01:01'
    >>> rows.tolist()
    [0, 1, 3, 4]

    Map the scores of a detector back to the rows of the frame:

    >>> from sklearn.decomposition import PCA
    >>> from sklearn.pipeline import make_pipeline
    >>> from tsanomaly import (
    ...     ReconstructionError, ReconstructionThreshold, WindowTransformer
    ... )
    >>> detector = make_pipeline(
    ...     WindowTransformer(2), ReconstructionError(PCA(1)), ReconstructionThreshold()
    ... ).fit(broken)
    >>> scores = pd.Series(detector.score_samples(broken)[rows], frame.index)
    >>> int(scores.isna().sum())
    0
    """
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        raise TypeError(
            f"frame must be a DataFrame, got {type(frame).__name__}. A Series becomes "
            "one with to_frame(), an array with pandas.DataFrame."
        )
    if max_gap is None and by is None:
        raise ValueError(
            "insert_breaks needs max_gap, the longest step in time that is not a gap, "
            "or by, the column that identifies the series, or both."
        )
    series = np.zeros(len(frame), dtype=np.intp)
    if by is not None:
        series = _number_series(frame, by)
        frame = frame.drop(columns=by)
    changes = series[1:] != series[:-1]
    clock = _Clock(frame.index, max_gap)
    gaps = clock.find_gaps(changes)
    before = np.flatnonzero(changes | gaps)  # rows followed by a break

    n_rows, n_breaks = len(frame), len(before)
    rows = np.arange(n_rows)
    rows += np.searchsorted(before, rows)
    breaks = before + 1 + np.arange(n_breaks)
    source = np.empty(n_rows + n_breaks, dtype=np.intp)
    source[rows], source[breaks] = np.arange(n_rows), before
    columns = []
    for values in column_values(frame, _float_type):
        values = values[source]
        values[breaks] = np.nan
        columns.append(values)
    index = clock.take(source, breaks[gaps[before]])
    broken = pd.DataFrame(dict(enumerate(columns)), index=index)
    broken.columns = frame.columns
    return (broken, rows) if return_rows else broken


def _float_type(dtype):
    """Return float32 for float32 columns, nullable ones included, otherwise float64."""
    is_single = dtype.kind == "f" and dtype.itemsize == 4
    return np.float32 if is_single else np.float64


def _number_series(frame, by):
    """Return the number of the series that each row belongs to."""
    import pandas as pd

    found = [isinstance(by, Hashable) and label == by for label in frame.columns]
    if sum(found) != 1:
        raise ValueError(
            f"by={by!r} must be the name of a column of frame, of one; its columns are "
            f"{list(frame.columns)}. Levels of an index become columns with "
            "reset_index."
        )
    labels = frame.iloc[:, found.index(True)]
    missing = np.flatnonzero(labels.isna())
    if len(missing):
        raise ValueError(
            f"Column {by!r} lacks the series of {len(missing):,} rows, first at row "
            f"{missing[0]}. Fill it in, or drop these rows."
        )
    numbers, names = pd.factorize(labels)
    # Numbered by first appearance, so a series that appears again has a lower number.
    back = np.flatnonzero(np.diff(numbers) < 0)
    if len(back):
        row = int(back[0]) + 1
        raise ValueError(
            f"The rows of series {names[numbers[row]]} do not follow each other: it "
            f"comes up again at row {row}. Sort the frame by series and time, for "
            f"example with frame.sort_index().sort_values({by!r}, kind='stable')."
        )
    return numbers


class _Clock:
    """Times of rows, for any type of index.

    Parameters
    ----------
    index : Index
        Index of a frame.
    max_gap : str, timedelta, number or None
        As in `insert_breaks`.
    """

    def __init__(self, index, max_gap):
        import pandas as pd

        self._index = index
        self._times = None
        self._is_time = isinstance(index, (pd.DatetimeIndex, pd.TimedeltaIndex))
        if self._is_time:
            self._check_present(index.isna(), "NaT")
            self._times = index.asi8
        elif max_gap is None:
            return  # the index may have any labels in any order
        elif isinstance(index, pd.MultiIndex) or index.dtype.kind not in "iuf":
            raise TypeError(
                f"max_gap={max_gap!r} needs an index of times or numbers, got "
                f"{type(index).__name__} of dtype {index.dtype}. Make the time column "
                "the index, for example with frame.set_index('time'), after "
                "pd.to_datetime."
            )
        else:
            self._check_present(index.isna(), "NaN")
            self._times = index.to_numpy()
            if self._times.dtype.kind == "f":
                self._check_present(np.isinf(self._times), "infinite")
        self._max_gap = None if max_gap is None else self._in_unit(max_gap)

    def find_gaps(self, changes):
        """Return a mask of rows, except the last, before a gap within a series."""
        if self._times is None:
            return np.zeros(len(changes), dtype=bool)
        earlier, later = self._times[:-1], self._times[1:]
        back = np.flatnonzero((later < earlier) & ~changes)
        if len(back):
            row = int(back[0]) + 1
            raise ValueError(
                f"The times of frame are not in order: {self._index[row]} at row {row} "
                f"comes after {self._index[row - 1]}. Sort the frame first, for "
                "example with frame.sort_index(); of several series, each by itself, "
                "with .sort_values(by, kind='stable') after that."
            )
        if self._max_gap is None:
            return np.zeros(len(changes), dtype=bool)
        if self._times.dtype.kind == "f":
            with np.errstate(over="ignore"):  # an infinite distance is a gap
                far = later - earlier > self._max_gap
        else:  # unsigned, so that no distance overflows
            distance = later.astype(np.uint64) - earlier.astype(np.uint64)
            far = distance > np.uint64(self._max_gap)
        return far & ~changes

    def take(self, source, late):
        """Return the index of the result.

        Parameters
        ----------
        source : ndarray of int
            Row whose time each row of the result takes.
        late : ndarray of int
            Rows of the result that are `max_gap` later than this time.

        Returns
        -------
        index : Index
            Index with the type, unit, time zone and name of that of the frame.
        """
        import pandas as pd

        if not len(late):
            return self._index.take(source)
        times = self._times[source]
        times[late] += times.dtype.type(self._max_gap)
        if not self._is_time:
            return pd.Index(times, dtype=self._index.dtype, name=self._index.name)
        unit, zone = self._index.unit, getattr(self._index, "tz", None)
        if isinstance(self._index, pd.TimedeltaIndex):
            times = times.view(f"m8[{unit}]")
            return pd.TimedeltaIndex(times, name=self._index.name)
        index = pd.DatetimeIndex(times.view(f"M8[{unit}]"), name=self._index.name)
        return index if zone is None else index.tz_localize("UTC").tz_convert(zone)

    def _in_unit(self, max_gap):
        """Return the longest step that is not a gap, in the unit of the times."""
        if self._is_time:
            length = nanoseconds("max_gap", max_gap)
            shortest = np.timedelta64(1, self._index.unit).astype("m8[ns]").astype(int)
            if length < shortest:
                raise ValueError(
                    f"max_gap={max_gap!r} is shorter than the unit of the index, "
                    f"1 {self._index.unit}. Pass a longer one, or convert the index "
                    "with as_unit."
                )
            return length // int(shortest)
        shortest = 0 if self._times.dtype.kind == "f" else 1
        if (
            isinstance(max_gap, (bool, np.bool_))
            or not isinstance(max_gap, Real)
            or not np.isfinite(max_gap)
            or max_gap <= 0
            or max_gap < shortest
        ):
            at_least = (
                f"a number of at least {shortest}" if shortest else "a number > 0"
            )
            raise ValueError(
                f"max_gap={max_gap!r} must be {at_least}, because the index of frame "
                f"holds numbers (dtype {self._index.dtype}). For a length of time, "
                "make the times the index, as a DatetimeIndex."
            )
        # A whole number exceeds a limit exactly if it exceeds the floor of the limit.
        return min(int(max_gap // 1), 2**64 - 1) if shortest else float(max_gap)

    def _check_present(self, missing, kind):
        missing = np.flatnonzero(missing)
        if len(missing):
            raise ValueError(
                f"The index of frame has {len(missing):,} times that are {kind}, first "
                f"at row {missing[0]}. Drop these rows, or fill in their times."
            )
