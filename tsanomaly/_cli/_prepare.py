# SPDX-License-Identifier: MIT
"""Prepare readings for a detector: put them on a grid, insert breaks, fill them in."""

import warnings
from typing import NamedTuple

import numpy as np
import pandas as pd

from tsanomaly._cli._checks import check_duration
from tsanomaly._cli._preparation import typed_step
from tsanomaly._parameter_error import Parameter, ParameterError, ParameterWarning
from tsanomaly._validation import find_breaks, median_step
from tsanomaly._wording import count, time_span

__all__ = ["Prepared", "prepare", "warn_of_sparse"]

# A gap is longer than 10 median steps, and longer than 3 times the 99 % quantile of the
# steps: in irregular series, long steps are common.
_MEDIAN_STEPS, _USUAL_STEPS, _USUAL = 10, 3, 0.99

# A sensor is sparse if it has readings in at most this share of the rows.
_SPARSE = 0.5

# Maximum number of sensors that a message names.
_MOST_NAMED = 5


class Prepared(NamedTuple):
    """Prepared readings.

    Attributes
    ----------
    frame : DataFrame of shape (n_timestamps, n_channels)
        With breaks at gaps.
    labels : ndarray of shape (n_timestamps,) or None
        1 = anomaly; 0 at breaks that were inserted.
    rows : ndarray of int
        Positions in `frame` of the rows of the file, or of the grid.
    notes : tuple of str
        What was done, for the user.
    """

    frame: pd.DataFrame
    labels: np.ndarray | None
    rows: np.ndarray
    notes: tuple


def prepare(
    frame, labels, *, resample=None, max_gap="auto", fill=None, fill_limit=None
):
    """Put readings on a grid, insert breaks at gaps, and fill in missing readings.

    Parameters
    ----------
    frame : DataFrame of shape (n_timestamps, n_channels)
        Readings of one machine, in time order.
    labels : ndarray of shape (n_timestamps,) or None
        Their labels.
    resample : str or None, default=None
        Time between the rows of a grid; each channel takes its last reading.
    max_gap : 'auto', str or None, default='auto'
        A longer time between rows is a gap. 'auto' derives it from the median time
        between rows; None inserts no breaks.
    fill : {'previous', 'interpolate'} or None, default=None
        How to fill in missing readings between two breaks: forward-fill, or linear
        interpolation. Readings before the first one are filled with it.
    fill_limit : int or None, default=None
        'previous' fills at most this many rows after a reading, 'interpolate' gaps of
        at most this many rows. None sets no limit.

    Returns
    -------
    prepared : Prepared

    Warns
    -----
    ParameterWarning
        If sensors have readings in few rows and none are filled in.
    """
    notes = []
    if resample is not None:
        frame, labels = _on_a_grid(frame, labels, resample, max_gap)
        note = f"a grid of {count(len(frame), 'row')}, one every {resample}"
        if n_empty := int(find_breaks(frame).sum()):
            note += f", {n_empty:,} of them in gaps"
        notes.append(note)
    if fill is None and resample is None:
        warn_of_sparse(frame)
    rows = np.arange(len(frame))
    if max_gap is not None:
        frame, labels, rows = _broken(frame, labels, rows, max_gap, notes)
    if fill is not None:
        frame, n_filled = _filled(frame, fill, fill_limit)
        if n_filled:
            notes.append(count(n_filled, "missing reading", " filled in"))
    return Prepared(frame, labels, rows, tuple(notes))


def _on_a_grid(frame, labels, resample, max_gap):
    """Resample to a grid; a row is anomalous if any row since the last one is."""
    from tsanomaly.datasets import regularize

    _check_times(frame, "resample", resample)
    if max_gap is None:  # a reading counts until the next one
        age = frame.index.max() - frame.index.min()
    else:
        age = None if max_gap == "auto" else max_gap
    if max_gap not in ("auto", None):
        _check_times(frame, "max_gap", max_gap)
    try:
        regular = regularize(frame, resample, age)
    except ValueError as error:
        what = str(error).split(". ")[0]
        raise ParameterError(
            Parameter("resample", resample),
            f" gives no grid: {what}. Pass another time.",
        ) from error
    regular.attrs = frame.attrs
    if labels is None:
        return regular, None
    places = regular.index.searchsorted(frame.index)
    on_grid = np.zeros(len(regular), dtype=labels.dtype)
    inside = places < len(regular)  # later rows have no row on the grid
    np.maximum.at(on_grid, places[inside], labels[inside])
    return regular, on_grid


def _check_times(frame, name, value):
    if not isinstance(frame.index, pd.DatetimeIndex):
        raise ParameterError(
            Parameter(name, value),
            " needs times, and the rows of the file are only numbered. Name the column "
            "of times with ",
            Parameter("timestamp"),
            ".",
        )
    check_duration(name, value)


def _broken(frame, labels, rows, max_gap, notes):
    """Insert a break at each gap, and return the positions of the rows."""
    from tsanomaly.datasets import insert_breaks

    if max_gap == "auto":
        max_gap = _usual_gap(frame.index)
        if max_gap is None:
            return frame, labels, rows
    else:
        _check_times(frame, "max_gap", max_gap)
    broken, rows = insert_breaks(frame, max_gap, return_rows=True)
    n_gaps = len(broken) - len(frame)
    if not n_gaps:
        return frame, labels, rows
    broken.attrs = frame.attrs
    length = time_span(pd.Timedelta(max_gap))
    notes.append(f"{count(n_gaps, 'gap')} of more than {length} in time")
    if labels is not None:
        spread = np.zeros(len(broken), dtype=labels.dtype)
        spread[rows] = labels
        labels = spread
    return broken, labels, rows


def _usual_gap(index):
    """Return the time that counts as a gap; None if it cannot be derived."""
    if not isinstance(index, pd.DatetimeIndex):
        return None
    steps = np.diff(index.as_unit("ns").asi8)
    steps = steps[steps > 0]
    if not len(steps):
        return None
    usual = np.quantile(steps, _USUAL, method="lower")
    longest = max(_MEDIAN_STEPS * np.median(steps), _USUAL_STEPS * usual)
    return pd.Timedelta(int(longest), unit="ns")


def _filled(frame, fill, limit):
    """Fill in readings between breaks, and count them."""
    breaks = find_breaks(frame)
    edges = np.flatnonzero(np.diff(np.r_[True, breaks, True]))
    values = frame.to_numpy(dtype=np.float64, copy=True)
    times = np.arange(len(frame), dtype=np.float64)
    if isinstance(frame.index, pd.DatetimeIndex):
        times = frame.index.as_unit("ns").asi8.astype(np.float64)
    limit = len(frame) if limit is None else limit
    n_filled = 0
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        for column in values[start:stop].T:
            n_filled += _fill(column, times[start:stop], fill, limit)
    filled = pd.DataFrame(values, index=frame.index, columns=frame.columns)
    filled.attrs = frame.attrs
    return filled, n_filled


def _fill(values, times, fill, limit):
    """Fill in the readings of a sensor between two breaks, and count them."""
    known = np.flatnonzero(~np.isnan(values))
    missing = np.flatnonzero(np.isnan(values))
    if not len(known) or not len(missing):
        return 0
    after = np.searchsorted(known, missing)
    before = known[np.maximum(after - 1, 0)]  # the first rows take the first reading
    new, distance = values[before], np.abs(missing - before)
    inside = (after > 0) & (after < len(known))
    if fill == "interpolate":
        new[inside] = np.interp(times[missing[inside]], times[known], values[known])
        distance[inside] = known[after[inside]] - before[inside] - 1
    near = distance <= limit
    values[missing[near]] = new[near]
    return int(near.sum())


def warn_of_sparse(frame):
    """Warn of sensors that have readings in few of the rows.

    They have another sampling rate, or times of their own. Or else they were silent for
    long: then most of their readings are in successive rows.

    Parameters
    ----------
    frame : DataFrame of shape (n_timestamps, n_channels)
        Readings.
    """
    known = frame.notna().to_numpy()
    known = known[known.any(axis=1)]
    if not len(known):
        return
    shares = known.mean(axis=0)
    few = np.flatnonzero((shares > 0) & (shares <= _SPARSE))
    is_silent = np.array([_was_silent(known[:, i]) for i in few], dtype=bool)
    silent, sparse = few[is_silent], few[~is_silent]
    if len(silent):
        warnings.warn(
            f"{_named_with_shares(frame, silent, shares)} readings in few of the rows, "
            "with long gaps, in which rows are judged by the other sensors. The "
            "command explore tells when they are.",
            stacklevel=2,
        )
    if len(sparse):
        step = median_step(frame.iloc[:, sparse[0]].dropna().index)
        grid = "" if step is None else f", for example {typed_step(step)}"
        warnings.warn(
            ParameterWarning(
                f"{_named_with_shares(frame, sparse, shares)} readings in few of the "
                "rows. Forward-fill them with ",
                Parameter("fill", "previous"),
                ", or put all sensors on one grid with ",
                Parameter("resample"),
                f"{grid}.",
            ),
            stacklevel=2,
        )


def _was_silent(known):
    """Whether most readings of a sensor are in successive rows."""
    steps = np.diff(np.flatnonzero(known))
    return len(steps) > 0 and np.median(steps) == 1


def _named_with_shares(frame, channels, shares):
    """Return the names of some channels and the verb of a sentence about them."""
    names = [f"{frame.columns[i]!r} (1 row in {1 / shares[i]:.3g})" for i in channels]
    text = ", ".join(names[:_MOST_NAMED])
    if len(names) > _MOST_NAMED:
        text += f" and {len(names) - _MOST_NAMED:,} others"
    return f"{text} {'has' if len(names) == 1 else 'have'}"
