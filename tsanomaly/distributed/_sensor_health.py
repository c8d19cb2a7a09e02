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
        unknown. Findings are located by the index: set one with times, because Dask
        numbers the rows of each CSV file from 0. Otherwise as in
        :func:`tsanomaly.sensor_health`.
    reference : dask collection, DataFrame or array-like, default=None
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
    Workers read the partitions, and this process computes the findings. It keeps the
    index and the breaks (9 bytes per row if the index has times), and holds one column
    at a time. With temporary arrays this takes about 80 bytes per row, 0.8 GB for 10
    million rows, or 115 with a reference of the same length. Relations between channels
    are tested on at most 20,000 rows.

    The collection is read as a whole, for breaks and for relations between channels,
    and once per column; twice for columns with a step. Of Parquet files, Dask then
    reads only that column. Convert other files first, or keep the readings in the
    memory of the cluster with ``frame.persist()``.

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
    """Readings in partitions, with the methods of `Readings` in memory.

    Parameters
    ----------
    X : dask Array or DataFrame of shape (n_timestamps, n_channels)
    argument : str
        Name of the parameter, for messages.
    """

    def __init__(self, X, argument):
        partitions = Partitions(X, argument, "tsanomaly.sensor_health")
        self._X, self._parts, self._argument = X, partitions.parts, argument
        _, self.names, _ = as_channels(partitions.sample, argument)

    @cached_property
    def _rows(self):
        """Number of rows of each partition, breaks, and index."""
        import dask
        import pandas as pd

        look = dask.delayed(_look)
        rows = dask.compute(*(look(part, self._argument) for part in self._parts))
        breaks, parts = zip(*rows, strict=True)
        lengths = [len(part) for part in breaks]
        if parts[0] is None:
            return lengths, np.concatenate(breaks), pd.RangeIndex(sum(lengths))
        # Partitions without rows may have an index of another type.
        first, *others = [part for part in parts if len(part)] or parts[:1]
        return lengths, np.concatenate(breaks), first.append(others)

    @property
    def breaks(self):
        return self._rows[1]

    @property
    def index(self):
        return self._rows[2]

    def channel(self, name):
        import dask

        # Select from the collection, so that Dask reads no other column if it can. It
        # may then also join partitions.
        parts = Partitions(_select(self._X, [name])).parts
        take = dask.delayed(_values)
        pieces = dask.compute(*(take(part, self._argument) for part in parts))
        return Channel(np.concatenate(pieces, axis=1)[0], self.breaks)

    def stretches(self, names, starts, size):
        import dask

        select = dask.delayed(_select)
        parts = [select(part, names) for part in self._parts]
        rows = cut(parts, self._rows[0], starts, starts + size)
        return [_values(part, self._argument) for part in rows]


def _select(rows, names):
    return rows[names] if is_frame(rows) else rows[:, names]


def _look(rows, argument):
    """Return the breaks of a partition, and its index or None."""
    values, _, index = as_channels(rows, argument)
    return breaks_of(values), index


def _values(rows, argument):
    return as_channels(rows, argument)[0]
