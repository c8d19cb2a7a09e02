# SPDX-License-Identifier: MIT
"""Readings to check for faults of sensors, channel by channel."""

import numpy as np
from scipy.sparse import issparse

from tsanomaly._channel_faults import LARGEST, Channel
from tsanomaly._validation import as_series, check_columns

__all__ = ["Readings", "as_channels", "breaks_of", "check_reference", "read"]


class Readings:
    """Readings in memory.

    Parameters
    ----------
    values : ndarray of shape (n_channels, n_timestamps)
        NaN where there is no reading.
    names : list
        Names of the channels.
    index : Index
        Labels of the rows.

    Attributes
    ----------
    breaks : ndarray of shape (n_timestamps,), dtype=bool
        Rows without any reading.
    """

    def __init__(self, values, names, index):
        self._values = values
        self._positions = {name: position for position, name in enumerate(names)}
        self.names, self.index = names, index
        self.breaks = breaks_of(values)

    def channel(self, name):
        """Return the readings of a channel."""
        return Channel(self._values[self._positions[name]], self.breaks)

    def stretches(self, names, starts, size):
        """Return rows of several channels.

        Parameters
        ----------
        names : list
            The channels.
        starts : ndarray of int
            First row of each stretch.
        size : int
            Number of rows of a stretch.

        Returns
        -------
        stretches : list of ndarray of shape (n_channels, n_rows)
        """
        positions = [self._positions[name] for name in names]
        return [self._values[positions, start : start + size] for start in starts]


def read(frame, argument):
    """Convert the input of the user to arrays.

    Parameters
    ----------
    frame : DataFrame or array-like of shape (n_timestamps, n_channels)
    argument : str
        Name of the parameter, for messages.

    Returns
    -------
    readings : Readings
    """
    import pandas as pd

    values, names, index = as_channels(frame, argument)
    if index is None:
        index = pd.RangeIndex(values.shape[1])
    return Readings(values, names, index)


def as_channels(frame, argument):
    """Convert rows to numbers, channels first.

    Parameters
    ----------
    frame : DataFrame or array-like of shape (n_timestamps, n_channels)
    argument : str
        Name of the parameter, for messages.

    Returns
    -------
    values : ndarray of shape (n_channels, n_timestamps)
        NaN where there is no reading.
    names : list
        Names of the channels.
    index : Index or None
        Labels of the rows; None for an array.
    """
    import pandas as pd

    if issparse(frame):
        raise TypeError(
            f"{argument} is sparse, but a dense array is required. Pass "
            f"{argument}.toarray()."
        )
    X = as_series(frame)
    if isinstance(X, pd.DataFrame):
        check_columns(X, "sensor_health")
        for column, dtype in X.dtypes.items():
            if getattr(dtype, "kind", "O") == "c":
                raise ValueError(
                    f"Column {column!r} of {argument} contains complex numbers. Pass "
                    "its magnitude, or its real and imaginary parts as two columns."
                )
        values = np.empty((X.shape[1], len(X)))
        for position, dtype in enumerate(X.dtypes):
            column = X.iloc[:, position]
            if getattr(dtype, "kind", "O") == "O":
                column = column.astype(np.float64)
            values[position] = column.to_numpy(dtype=np.float64, na_value=np.nan)
        names, index = list(X.columns), X.index.to_flat_index()
    else:
        values = _as_numbers(X, argument)
        names, index = list(range(values.shape[1])), None
        values = values.T.copy()
    values[np.isinf(values)] = np.nan
    np.clip(values, -LARGEST, LARGEST, out=values)
    return values, names, index


def breaks_of(values):
    """Return a mask of rows without any reading, of readings with channels first."""
    breaks = np.isnan(values).all(axis=0)
    if not len(values):
        breaks[:] = False
    return breaks


def _as_numbers(X, argument):
    try:
        values = np.asarray(X)
        if values.dtype.kind not in "biufO":
            raise TypeError(f"its type is {values.dtype}")
        values = values.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{argument} must contain real numbers, with NaN for missing readings: "
            f"{error}."
        ) from error
    if values.ndim != 2:
        raise ValueError(
            f"{argument} must have two dimensions, (n_timestamps, n_channels), got an "
            f"array of shape {values.shape}. Reshape a single channel with "
            f"{argument}.reshape(-1, 1), or {argument}.to_frame() for a Series."
        )
    return values


def check_reference(before, readings, reference, frame):
    """Raise unless a reference has the channels of the frame.

    Parameters
    ----------
    before, readings : Readings
        Readings of the reference and of the frame.
    reference, frame : object
        Input of the user.
    """
    are_frames = hasattr(frame, "columns")
    if hasattr(reference, "columns") != are_frames:
        raise TypeError(
            "frame and reference must both be frames, or both arrays, got "
            f"{type(frame).__name__} and {type(reference).__name__}."
        )
    missing = [name for name in readings.names if name not in before.names]
    others = [name for name in before.names if name not in readings.names]
    if not (missing or others):
        return
    if not are_frames:
        raise ValueError(
            f"reference has {len(before.names)} channels, but frame has "
            f"{len(readings.names)}. Pass the same channels."
        )
    what = f"lacks {missing[:3]}" if missing else f"has {others[:3]} besides"
    raise ValueError(
        f"reference must have the columns of frame, but {what}. Pass the same "
        "columns, for example reference[frame.columns]."
    )
