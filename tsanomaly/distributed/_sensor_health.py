# SPDX-License-Identifier: MIT
from functools import cached_property

import numpy as np

from tsanomaly._channel_faults import Channel
from tsanomaly._sensor_health import find_faults
from tsanomaly._sensor_readings import as_channels, breaks_of, check_reference, read
from tsanomaly.distributed._collections import Partitions, cut, is_frame

__all__ = ["sensor_health"]


def sensor_health(frame, reference=None):
    """Find faults of sensors, the data logger and its clock in a Dask collection.

    Channels are read one after the other, because what is usual in a channel follows
    from all of its readings.

    Parameters
    ----------
    frame : dask Array or DataFrame of shape (n_timestamps, n_channels)
        Readings, rows in time order over all partitions, whose divisions may be
        unknown. Otherwise as in :func:`tsanomaly.sensor_health`.
    reference : Dask collection, DataFrame or array-like of shape \
            (n_rows, n_channels), default=None
        Earlier readings of the same channels without faults, in partitions or in
        memory. None uses `frame`, most of whose rows should then be free of faults.

    Returns
    -------
    findings : DataFrame
        One row per finding, as from :func:`tsanomaly.sensor_health` with all rows in
        memory.

    Raises
    ------
    ImportError
        If Dask is not installed.
    TypeError
        If `frame` is not a Dask array or DataFrame, or only one of `frame` and
        `reference` is a frame.
    ValueError
        If a column is not numeric, column names are not unique, an array is not
        two-dimensional, or `reference` has different columns.

    See Also
    --------
    tsanomaly.sensor_health : The same in memory; describes the findings and all rules.

    Notes
    -----
    The findings are computed in this process, the partitions are read on the workers.
    All columns are read once, for the index and the breaks, which stay here, with about
    9 bytes per row. Then each column is read by itself, and twice if it has a step:
    with its temporary arrays it takes up to 100 bytes per row while it is checked. The
    relations between channels are tested on 20,000 rows.

    Parquet files are read column by column. Of other files, each of these passes reads
    everything: convert them first, or keep the readings on the cluster with
    ``frame.persist()``.

    Examples
    --------
    >>> import dask.dataframe as dd
    >>> from tsanomaly.datasets import make_sensor_data
    >>> from tsanomaly.distributed import sensor_health
    >>> frame = make_sensor_data(3000, contamination=0, random_state=0).frame
    >>> frame.iloc[1450:1550, 1] = frame.iloc[1450, 1]
    >>> readings = dd.from_pandas(frame, npartitions=2)
    >>> sensor_health(readings)[["channel", "finding", "n_rows"]]
        channel   finding  n_rows
    0  sensor_2  flatline     100
    """
    series, before = _Partitioned(frame, "frame"), None
    if reference is not None:
        import dask

        of_reference = _Partitioned if dask.is_dask_collection(reference) else read
        before = of_reference(reference, "reference")
        check_reference(before, series, reference, frame)
    return find_faults(series, before)


class _Partitioned:
    """Readings in partitions, like the :class:`Readings` in memory.

    Parameters
    ----------
    X : dask Array or DataFrame of shape (n_timestamps, n_channels)
    argument : str
        Name of the parameter, for messages.
    """

    def __init__(self, X, argument):
        sample = Partitions(X, argument, "tsanomaly.sensor_health").sample
        self._X, self._argument = X, argument
        _, self.names, _ = as_channels(sample, argument)

    @cached_property
    def _rows(self):
        """What is known of the rows: breaks, and indices of the partitions."""
        import dask

        look = dask.delayed(_look)
        parts = Partitions(self._X).parts
        rows = dask.compute(*(look(part, self._argument) for part in parts))
        return tuple(zip(*rows, strict=True))

    @cached_property
    def breaks(self):
        return np.concatenate(self._rows[0])

    @cached_property
    def index(self):
        import pandas as pd

        parts = self._rows[1]
        if parts[0] is None:
            return pd.RangeIndex(len(self.breaks))
        # Partitions without rows may have an index of another type.
        first, *others = [part for part in parts if len(part)] or parts[:1]
        return first.append(others)

    def channel(self, name):
        import dask

        take = dask.delayed(_values)
        parts = self._partitions_of([name])
        pieces = dask.compute(*(take(part, self._argument) for part in parts))
        return Channel(np.concatenate(pieces, axis=1)[0], self.breaks)

    def stretches(self, names, starts, size):
        lengths = [len(breaks) for breaks in self._rows[0]]
        rows = cut(self._partitions_of(names), lengths, starts, starts + size)
        return [_values(part, self._argument) for part in rows]

    def _partitions_of(self, names):
        X = self._X[names] if is_frame(self._X) else self._X[:, names]
        return Partitions(X).parts


def _look(rows, argument):
    """Breaks of a partition, and its index or None."""
    values, _, index = as_channels(rows, argument)
    return breaks_of(values), index


def _values(rows, argument):
    return as_channels(rows, argument)[0]
