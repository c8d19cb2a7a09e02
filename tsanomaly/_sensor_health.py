# SPDX-License-Identifier: MIT
from typing import NamedTuple

import numpy as np

from tsanomaly._channel_changes import (
    departures,
    find_noise_changes,
    find_steps,
    levels_of,
)
from tsanomaly._channel_faults import (
    LONG,
    MOST_FINDINGS,
    Fault,
    find_holds,
    find_missing,
    find_outliers,
    usual_length,
)
from tsanomaly._sensor_readings import check_reference, read
from tsanomaly._windows import runs
from tsanomaly._wording import called, clock_format, count, span, time_span

__all__ = ["find_faults", "sensor_health"]

# Advice by finding.
_ADVICE = {
    "missing": "Check the connection and the logger",
    "outlier": "Unless it is correct, replace it by NaN: a model trained with it "
    "misses faults of this channel",
    "flatline": "Check whether the sensor or the logger is frozen, or gaps were filled",
    "stuck_at_zero": "Check the sensor's supply and wiring, or whether the machine was "
    "off",
    "railed_low": "Check the range of the sensor; what lies below is cut off",
    "railed_high": "Check the range of the sensor; what lies above is cut off",
    "step_change": "Check whether the sensor was moved, exchanged or calibrated",
    "noise_change": "Check mounting, wiring and filters of the sensor",
    "unpredictable": "Exclude it from models that learn relations, or monitor it with "
    "its own threshold",
    "sampling_rate": "Resample the rows to one rate with tsanomaly.datasets.regularize,"
    " or train on one rate",
    "gap": "Insert a break there with tsanomaly.datasets.insert_breaks",
    "clock": "Sort the rows, keep one row for each time, and log in UTC",
}

# Advice for rows without any reading.
_AT_BREAKS = "Check the logger; detectors treat these rows as a break"

# Changes that start within this number of rows have a common cause.
_AT_ONCE = 128

# Number of time steps whose median is the sampling rate.
_RATE_ROWS = 16

# Smaller changes of the sampling rate are not reported.
_RATE_RATIO = 1.5

# Rows used to test predictability: length and number of stretches, and minimum number.
_STRETCH, _N_STRETCHES, _FEWEST_PREDICTED = 2000, 10, 400

# Maximum number of channels predicted from each other. More are split into groups.
_MOST_RELATED = 200

# Shares of predicted variance: minimum, and minimum in a reference.
_PREDICTED, _PREDICTED_BEFORE = 0.05, 0.2

# Minimum share of rows with a reading of a channel that is predicted, relative to that
# in the rows where it is.
_LEAST_KNOWN = 0.5

# Number of earlier rows whose mean is an input, and the ridge penalty per row.
_PAST, _RIDGE = 20, 1e-3

_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}


def sensor_health(frame, reference=None):
    """Find faults of sensors, the data logger and its clock.

    Use it on readings before training a model, or to compare new readings with the
    training rows. Each finding consists of a channel, a range of rows and advice.

    Parameters
    ----------
    frame : DataFrame or array-like of shape (n_timestamps, n_channels)
        Readings, rows in time order. NaN and infinity are missing readings. If the
        index has times, the sampling rate and the clock are checked.
    reference : DataFrame or array-like of shape (n_rows, n_channels), default=None
        Earlier readings of the same channels without faults, which define what is
        usual. None uses `frame`, most of whose rows should then be free of faults.

    Returns
    -------
    findings : DataFrame
        One row per finding: those of the index first, then channel by channel in time
        order. Columns:

        - ``channel`` : column name, or position for an array; None for findings of the
          index or of all channels
        - ``finding`` : str, one of the codes in the Notes
        - ``start``, ``end`` : index labels of `frame`, both inclusive; row numbers for
          an array
        - ``n_rows`` : int, number of affected rows in this range
        - ``message`` : str, description and advice

        More than five findings with the same code and channel are merged into one row.

    Raises
    ------
    ValueError
        If a column is not numeric, column names are not unique, the input is not
        two-dimensional, or `reference` has different columns.
    TypeError
        If `frame` or `reference` is sparse, or only one of them is a frame.

    See Also
    --------
    explain : List anomalous events with their channels.
    tsanomaly.distributed.sensor_health : The same for a Dask collection.
    tsanomaly.datasets.regularize : Resample readings to a regular time grid.

    Notes
    -----
    What is usual is defined by `reference`, or else by `frame` itself. A run of rows is
    *long* if it is 10 times as long as 95 % of the runs, and thus at least 10 rows. A
    channel is *measured* if it has at least 20 distinct values; other channels are only
    checked for missing readings and outliers.

    - 'missing': a channel has no reading in a long run of rows, in 20 % of the other
      rows (unless it is read at regular intervals), or at all. With a reference, the
      share must be twice that of the reference and 10 percentage points higher.
    - 'outlier': up to 1 % of the readings at either end, or 5, are farther from all
      other readings than 10 times the range of these, and raise the standard deviation
      by a fifth. For channels that are not measured, 100 times; if all other readings
      are equal, their distance from 0 is used instead of the range. Requires 20
      readings, or a reference, whose readings count among the others.
    - 'flatline': a measured channel repeats a value in a long run of rows, which is
      also longer than any run in the reference. 'stuck_at_zero': the value is 0.
      Exceptions are values at which a channel rests regularly, in at least three runs,
      or for a third as long in the reference, and idle counters.
    - 'railed_low', 'railed_high': the repeated value is the lowest or highest one and
      not 0, or it makes up 1 % of the readings, 10 times as many as other values. A
      value at which the channel rests is an exception if readings jump to it; if they
      approach it gradually, it is the end of a range.
    - 'step_change': the median of a block of rows (64, or down to 16 in short series)
      changes permanently by 3 times as much as anywhere else, and by 2 standard
      deviations of the noise, after subtracting the effect of changes in other channels
      by ridge regression. Up to three steps per channel are found, in at least 640
      rows. With a reference, also if all medians are farther from those of the
      reference than these are from each other.
    - 'noise_change': the mean distance of readings from the midpoint of their
      neighbours, in blocks of 32 rows, doubles or halves: either permanently, by 3
      times as much (in logarithms) as anywhere else, or in at least 96 rows, by 6
      robust standard deviations of the blocks and, with a reference, to a level that
      does not occur there. More than three such stretches are not reported.
    - 'unpredictable': ridge regression on the other channels in the same row, and on
      all channels in the previous row and in the mean of the 20 previous rows, explains
      less than 5 % of the variance of a measured channel in held-out rows, and at least
      20 % in the reference if there is one. Requires 400 rows, and a sensor that
      was not silent in most of those that the regression is fitted on.
    - 'gap': a long time step, or 10 consecutive rows without any reading.
    - 'sampling_rate': the median of 16 time steps deviates from the usual one by a
      factor of 1.5 and by 6 robust standard deviations, in at least 48 rows.
    - 'clock': decreasing, duplicate or missing times.

    Steps and noise changes that occur at the same time in at least two channels and a
    quarter of the measured channels are not reported, because they come from the
    machine.

    A row that is NaN in every channel is a break. Steps, repeated values and times are
    not compared across breaks.

    Examples
    --------
    >>> from tsanomaly import sensor_health
    >>> from tsanomaly.datasets import make_sensor_data
    >>> frame = make_sensor_data(3000, contamination=0, random_state=0).frame
    >>> len(sensor_health(frame))
    0
    >>> frame.iloc[2000:2100, 1] = frame.iloc[2000, 1]
    >>> frame.iloc[500:530, 2] = float("nan")
    >>> sensor_health(frame)[["channel", "finding", "n_rows"]]
        channel   finding  n_rows
    0  sensor_2  flatline     100
    1  sensor_3   missing      30
    """
    series, before = read(frame, "frame"), None
    if reference is not None:
        before = read(reference, "reference")
        check_reference(before, series, reference, frame)
    return find_faults(series, before)


def find_faults(series, before):
    """Find the faults in readings.

    Parameters
    ----------
    series : Readings
        Or an object with the same methods and attributes.
    before : Readings or None
        The reference.

    Returns
    -------
    findings : DataFrame
        As from `sensor_health`.
    """
    faults = [(None, fault) for fault in _index_faults(series, before)]
    with np.errstate(over="ignore"):  # dividing by spreads near 0
        found = _channels(series, before)
    faults += [
        (position, fault)
        for position, channel in enumerate(found)
        for fault in sorted(channel, key=lambda fault: fault.start)
    ]
    return _to_frame(_gather(faults), series)


class _Judged(NamedTuple):
    """Results for a channel that do not depend on the others."""

    is_measured: bool
    extent: tuple  # first and last row with a reading, and number of readings
    levels: object
    missing: list
    outliers: list
    holds: list
    noise_changes: list


def _channels(series, before):
    """Return the faults of each channel, as a list of lists."""
    # With a single channel, breaks cannot be told from missing readings.
    outages = series.breaks if len(series.names) > 1 else np.zeros_like(series.breaks)
    # One channel after the other, because each may be as large as memory allows.
    channels = [
        _judge(
            series.channel(name),
            None if before is None else before.channel(name),
            outages,
        )
        for name in series.names
    ]
    measured = np.array([channel.is_measured for channel in channels], dtype=bool)
    steps = find_steps(
        [channel.levels for channel in channels],
        lambda position: series.channel(series.names[position]),
    )
    found = []
    for channel, of_channel in zip(channels, steps, strict=True):
        changes = [*of_channel, *channel.noise_changes]
        # A held value also changes the level and the noise.
        changes = [fault for fault in changes if not _overlaps(fault, channel.holds)]
        found.append([*channel.missing, *channel.outliers, *channel.holds, *changes])
    found = _without_common(found, measured.sum())
    unknown = _predicted_share(series, measured, series.names) < _PREDICTED
    if before is not None:
        share = _predicted_share(before, measured, series.names)
        unknown &= share >= _PREDICTED_BEFORE
    for position in np.flatnonzero(unknown):
        text = "follows neither from the other channels nor from its own past"
        extent = channels[position].extent
        found[position].append(Fault("unpredictable", *extent, text))
    return found


def _judge(channel, reference, outages):
    """Find the faults that a channel shows by itself."""
    if reference is not None and not len(reference):
        reference = None
    extent = ()
    if len(channel):
        extent = channel.rows[0], channel.rows[-1], len(channel)
    holds = list(find_holds(channel, reference))
    return _Judged(
        channel.is_measured,
        extent,
        levels_of(channel, reference),
        list(find_missing(channel, reference, outages)),
        list(find_outliers(channel, reference, holds)),
        holds,
        list(find_noise_changes(channel, reference)),
    )


def _overlaps(fault, others):
    """Whether a change starts within or next to another fault, or covers one."""
    return any(
        other.start - _AT_ONCE <= fault.start <= other.end + _AT_ONCE
        or (fault.kind == "noise_change" and fault.start <= other.start <= fault.end)
        for other in others
    )


def _without_common(found, n_measured):
    """Remove changes that occur in many channels at the same time."""
    changes = [
        (position, fault)
        for position, faults in enumerate(found)
        for fault in faults
        if fault.kind in ("step_change", "noise_change")
    ]
    common = set()
    for position, fault in changes:
        together = {
            other_position
            for other_position, other in changes
            if other.kind == fault.kind and abs(other.start - fault.start) <= _AT_ONCE
        }
        if len(together) >= max(2, n_measured / 4):
            common.add((position, fault))
    return [
        [fault for fault in faults if (position, fault) not in common]
        for position, faults in enumerate(found)
    ]


def _predicted_share(series, measured, names):
    """Return the share of the variance of each channel that a linear model predicts.

    The rows are divided into two halves of alternating stretches. A model is fitted on
    each half and tested on the other, and the better result counts. NaN if there are
    too few rows.
    """
    share = np.full(len(names), np.nan)
    columns = np.flatnonzero(measured)
    if len(series.breaks) >= _FEWEST_PREDICTED:
        for start in range(0, len(columns), _MOST_RELATED):
            group = columns[start : start + _MOST_RELATED]
            share[group] = _share_of_group(series, [names[column] for column in group])
    return share


def _share_of_group(series, names):
    """Return the predicted shares of channels that are predicted from each other."""
    n_rows = len(series.breaks)
    size = min(_STRETCH, n_rows // 4)
    n_stretches = min(_N_STRETCHES, n_rows // size) // 2 * 2
    starts = np.linspace(0, n_rows - size, n_stretches).astype(int)
    stretches = series.stretches(names, starts, size)
    center, scale = _robust_scale(np.concatenate(stretches, axis=1))
    parts = [_regressors((part - center) / scale) for part in stretches]
    halves = [
        [np.concatenate(arrays) for arrays in zip(*parts[half::2], strict=True)]
        for half in (0, 1)
    ]
    return np.fmax(_explained(*halves), _explained(*halves[::-1]))


def _regressors(stretch):
    """Return the inputs of the linear model for each row.

    Parameters
    ----------
    stretch : ndarray of shape (n_channels, n_rows)
        Scaled readings.

    Returns
    -------
    rows : ndarray of shape (n_rows - 20, 3 * n_channels)
        The row itself, the previous row, and the mean of the 20 previous rows.
    known : ndarray of shape (n_rows - 20, n_channels), dtype=bool
        Whether there is a reading in the row itself.
    """
    X = np.clip(stretch, -6, 6).T
    known = ~np.isnan(X)
    X = _forward_filled(X)
    total = np.cumsum(np.concatenate([np.zeros_like(X[:1]), X]), axis=0)
    past = (total[_PAST:-1] - total[: -_PAST - 1]) / _PAST
    return np.concatenate([X[_PAST:], X[_PAST - 1 : -1], past], axis=1), known[_PAST:]


def _explained(fitted, tested):
    """Return the explained variance of each channel in rows not used for fitting."""
    Z = fitted[0]
    mean = Z.mean(axis=0)
    Z = Z - mean
    gram = Z.T @ Z / len(Z)
    gram[np.diag_indices_from(gram)] += _RIDGE
    n_channels = tested[1].shape[1]
    # Divided by its diagonal element, row c of the precision matrix is 1 at c. The
    # others are minus the coefficients of the regression of c on the other columns.
    precision = np.linalg.inv(gram)[:n_channels]
    weights = precision / precision.diagonal()[:, None]
    Z, known = tested[0] - mean, tested[1]
    left = np.where(known, Z @ weights.T, np.nan)
    target = np.where(known, Z[:, :n_channels], np.nan)
    share = np.full(n_channels, np.nan)
    enough = known.sum(axis=0) >= _FEWEST_PREDICTED / 4
    # A model is fitted on forward-filled readings, of which some have to be read.
    enough &= fitted[1].mean(axis=0) >= _LEAST_KNOWN * known.mean(axis=0)
    left, target = left[:, enough], target[:, enough]
    variance = np.nanvar(target, axis=0)
    variance[variance == 0] = np.nan
    share[enough] = 1 - np.nanmean(left**2, axis=0) / variance
    return share


def _robust_scale(sample):
    """Return the median and the spread of each channel, as columns."""
    center, scale = np.zeros(len(sample)), np.ones(len(sample))
    for position, values in enumerate(sample):
        values = values[~np.isnan(values)]
        if len(values):
            low, center[position], high = np.quantile(values, [0.25, 0.5, 0.75])
            scale[position] = (high - low) / 1.349 or np.ptp(values) or 1.0
    return center[:, None], scale[:, None]


def _forward_filled(X):
    """Forward-fill missing readings, or use the usual reading, 0, before the first."""
    missing = np.isnan(X)
    if not missing.any():
        return X
    last = np.where(missing, -1, np.arange(len(X))[:, None])
    last = np.maximum.accumulate(last, axis=0)
    filled = np.take_along_axis(X, np.maximum(last, 0), axis=0)
    return np.where(last < 0, 0.0, filled)


def _index_faults(series, before):
    """Find faults that concern all channels, and those of the times."""
    import pandas as pd

    faults = []
    if len(series.names) > 1:
        start, end = runs(series.breaks.astype(np.int8))
        for first, last in zip(start.tolist(), end.tolist(), strict=True):
            length = last - first + 1
            if length >= LONG:
                text = f"no channel has a reading in {count(length, 'row')}"
                faults.append(Fault("gap", first, last, length, text, _AT_BREAKS))
    if isinstance(series.index, pd.DatetimeIndex):
        faults += _clock_faults(series)
        faults += _rate_faults(series, before)
    return sorted(faults, key=lambda fault: fault.start)


def _time_steps(series):
    """Return the time steps between rows, in seconds.

    Returns
    -------
    rows : ndarray of int
        Row at the end of each step.
    steps : ndarray of float
        Steps, without those that start or end at a break or a missing time.
    """
    known = ~np.asarray(series.index.isna())
    if len(series.names) > 1:
        known &= ~series.breaks
    rows = np.flatnonzero(known)
    times = series.index.asi8[rows]
    steps = np.diff(times) * _SECONDS[series.index.unit]
    follows = np.diff(rows) == 1
    return rows[1:][follows], steps[follows]


def _clock_faults(series):
    rows, steps = _time_steps(series)
    missing = np.flatnonzero(series.index.isna())
    if len(missing):
        text = f"{_n_times(len(missing))} missing"
        yield Fault("clock", missing[0], missing[-1], len(missing), text)
    repeated = rows[steps == 0]
    if len(repeated):
        text = f"{_n_times(len(repeated))} there twice"
        yield Fault("clock", repeated[0], repeated[-1], len(repeated), text)
    backwards = steps < 0
    if backwards.any():
        places = rows[backwards]
        far = -steps[backwards].min()
        times = "once" if len(places) == 1 else f"{len(places):,} times"
        text = f"the clock goes backwards {times}, by up to {_length(far)}"
        if (steps[backwards] > -3600).all() and far > 1800:
            text += ", as at the end of summer time"
        yield Fault("clock", places[0], places[-1], len(places), text)


def _n_times(number):
    return f"{number:,} time stamp{' is' if number == 1 else 's are'}"


def _rate_faults(series, before):
    import pandas as pd

    rows, steps = _time_steps(series)
    rows, steps = rows[steps > 0], steps[steps > 0]
    usual = steps
    if before is not None:
        if not isinstance(before.index, pd.DatetimeIndex):
            return
        usual = _time_steps(before)[1]
        usual = usual[usual > 0]
    if len(usual) < 2 or not len(steps):
        return
    limit = LONG * usual_length(usual)
    step = np.median(usual)
    for row, length in zip(rows[steps >= limit], steps[steps >= limit], strict=True):
        text = f"no row for {_length(length)}, where one every {_length(step)} is usual"
        yield Fault("gap", row - 1, row, 2, text)
    levels = _rates(steps)
    reference = None if before is None else _rates(usual)
    for first, last, difference in departures(levels, reference, np.log(_RATE_RATIO)):
        start = rows[first * _RATE_ROWS] - (first > 0)
        end = rows[-1]
        if last < len(levels) - 1:
            end = rows[(last + 1) * _RATE_ROWS - 1]
        changed = np.median(steps[first * _RATE_ROWS : (last + 1) * _RATE_ROWS])
        other = changed / np.exp(difference)
        text = (
            f"a row every {_length(changed)}, where one every {_length(other)} is usual"
        )
        yield Fault("sampling_rate", start, end, end - start + 1, text)


def _rates(steps):
    """Return the logarithms of the medians of blocks of steps."""
    n_blocks = len(steps) // _RATE_ROWS
    blocks = steps[: n_blocks * _RATE_ROWS].reshape(n_blocks, _RATE_ROWS)
    return np.log(np.median(blocks, axis=1))


def _length(seconds):
    import pandas as pd

    return time_span(pd.Timedelta(round(float(seconds) * 1e9), unit="ns"))


def _gather(faults):
    """Merge faults of the same channel and kind if there are many."""
    groups = {}
    for position, fault in faults:
        groups.setdefault((position, fault.kind), []).append(fault)
    table = []
    for (position, kind), group in groups.items():
        if len(group) > MOST_FINDINGS:
            worst = max(group, key=lambda fault: fault.n_rows)
            n_rows = sum(fault.n_rows for fault in group)
            text = f"{worst.text}, and {len(group) - 1:,} times more"
            ends = max(fault.end for fault in group)
            group = [Fault(kind, group[0].start, ends, n_rows, text)]
        table += [(position, fault) for fault in group]
    return table


def _to_frame(faults, series):
    import pandas as pd

    index, clock = series.index, clock_format(series.index)
    starts = np.array([fault.start for _, fault in faults], dtype=np.intp)
    ends = np.array([fault.end for _, fault in faults], dtype=np.intp)
    channels, messages = [], []
    for position, fault in faults:
        name = None if position is None else series.names[position]
        channels.append(name)
        labels, form = (index[fault.start], index[fault.end]), clock
        if pd.NaT in labels:
            labels, form = (fault.start, fault.end), None
        what = fault.text if position is None else f"{called(name)} {fault.text}"
        advice = fault.advice or _ADVICE[fault.kind]
        messages.append(f"{span(*labels, form)}: {what}. {advice}.")
    # Also of dtype object if all names are tuples or None.
    names = np.empty(len(channels), dtype=object)
    names[:] = channels
    return pd.DataFrame(
        {
            "channel": pd.Series(names, dtype=object),
            "finding": pd.Series([fault.kind for _, fault in faults], dtype=object),
            "start": index[starts],
            "end": index[ends],
            "n_rows": np.array([fault.n_rows for _, fault in faults], dtype=np.int64),
            "message": pd.Series(messages, dtype=object),
        }
    )
