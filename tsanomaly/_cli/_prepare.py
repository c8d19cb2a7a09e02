# SPDX-License-Identifier: MIT
"""What is done to readings before a detector sees them: a grid, breaks, filling."""

import warnings
from typing import NamedTuple

import numpy as np
import pandas as pd

from tsanomaly._parameter_error import Parameter, ParameterError, ParameterWarning
from tsanomaly._validation import find_breaks
from tsanomaly._wording import count, time_span

__all__ = ["Prepared", "prepare", "warn_of_sparse"]

# A gap is longer than so many median steps, and than so many times the step that one
# row in a hundred has: where times are irregular, long steps are the rule.
_MEDIAN_STEPS, _USUAL_STEPS, _USUAL = 10, 3, 0.99

# A sensor is sparse that has readings in no more of the rows.
_SPARSE = 0.5

# Sensors that a message names.
_MOST_NAMED = 5


class Prepared(NamedTuple):
    """Readings as a detector gets them.

    Attributes
    ----------
    frame : DataFrame of shape (n_timestamps, n_channels)
        With breaks at gaps.
    labels : ndarray of shape (n_timestamps,) or None
        1 = anomaly; 0 at breaks that were inserted.
    rows : ndarray of int
        Where in `frame` the rows of the file, or of the grid, are.
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
        Time between the rows of a grid, on which every channel has its last reading.
    max_gap : 'auto', str or None, default='auto'
        Rows further apart are no neighbours. 'auto' goes by the median time between
        rows, None lets all rows be neighbours.
    fill : {'previous', 'interpolate'} or None, default=None
        How to fill in missing readings, within the rows between two breaks: by the
        reading before, or by the line between the readings around. Those before the
        first reading take it.
    fill_limit : int or None, default=None
        'previous' fills in so many rows after a reading, 'interpolate' gaps of so many
        rows; None fills in all.

    Returns
    -------
    prepared : Prepared

    Warns
    -----
    ParameterWarning
        If sensors have readings in few of the rows, and none are filled in.
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
    """Readings on a regular grid; a row is anomalous if one since the last row is."""
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
    inside = places < len(regular)  # what is later than the last row has none
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
    try:
        is_time = pd.Timedelta(value) > pd.Timedelta(0)
    except ValueError:
        is_time = False
    if not is_time:
        raise ParameterError(
            Parameter(name, value),
            " is no length of time. Pass one such as 30s, 1min or 1h.",
        )


def _broken(frame, labels, rows, max_gap, notes):
    """Readings with a break at each gap, and where their rows are then."""
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
    """From what time on two rows are no neighbours; None if nothing tells."""
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
    """Readings filled in between breaks, and how many were."""
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
    """Fill in the readings of a sensor between two breaks, and return how many."""
    known = np.flatnonzero(~np.isnan(values))
    missing = np.flatnonzero(np.isnan(values))
    if not len(known) or not len(missing):
        return 0
    after = np.searchsorted(known, missing)
    before = known[np.maximum(after - 1, 0)]  # of the first rows, the first reading
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

    They were read at another rate, or each at times of its own.

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
    sparse = np.flatnonzero((shares > 0) & (shares <= _SPARSE))
    if not len(sparse):
        return
    names = [f"{frame.columns[i]!r} (1 row in {1 / shares[i]:.3g})" for i in sparse]
    text = ", ".join(names[:_MOST_NAMED])
    if len(names) > _MOST_NAMED:
        text += f" and {len(names) - _MOST_NAMED:,} others"
    step = _step_of(frame.iloc[:, sparse[0]])
    grid = "" if step is None else f", for example {step}"
    warnings.warn(
        ParameterWarning(
            f"{text} {'has' if len(names) == 1 else 'have'} readings in few of the "
            "rows. Forward-fill them with ",
            Parameter("fill", "previous"),
            ", or put all sensors on one grid with ",
            Parameter("resample"),
            f"{grid}.",
        ),
        stacklevel=2,
    )


def _step_of(channel):
    """Median time between the readings of a channel, as a grid takes it."""
    times = channel.index[channel.notna()]
    if not isinstance(times, pd.DatetimeIndex) or len(times) < 2:
        return None
    seconds = float(np.median(np.diff(times.as_unit("ns").asi8))) / 1e9
    return f"{seconds:g}s" if seconds > 0 else None
