# SPDX-License-Identifier: MIT
import re

import numpy as np

from tsanomaly.datasets._steps import show_step, usual_step

__all__ = ["column_values", "nanoseconds", "regularize"]

_MAX_CELLS = 500_000_000
_LONGEST = 2**64 - 1  # nanoseconds, further than any two times are apart


def regularize(frame, freq=None, max_gap=None, *, method="previous"):
    """Resample readings to a regular time grid.

    The grid starts at the first time of the frame and ends at or before the last one. A
    grid row without a sufficiently close reading is NaN in every channel, which
    estimators treat as a break.

    Parameters
    ----------
    frame : DataFrame of shape (n_readings, n_channels)
        Numeric readings with a DatetimeIndex, in any order. Readings at the same time
        are averaged. NaN is ignored. Each channel is processed separately.
    freq : str, timedelta or None, default=None
        Step of the grid, such as '1s', '5min' or '1D'. None uses the most frequent step
        of the frame if it makes up more than half of the steps, otherwise the median
        step.
    max_gap : str, timedelta or None, default=None
        Maximum age of a reading (``method='previous'``) or maximum distance between two
        readings ('linear'). None is 5 times the step of the grid or of the frame,
        whichever is longer. This bridges jitter and a few lost readings, but not
        outages, and repeats a reading in at most 5 consecutive rows.
    method : {'previous', 'linear'}, default='previous'
        'previous' forward-fills: each row has the last reading at or before its time,
        which is causal. 'linear' interpolates between the previous and the next
        reading, and thus looks ahead by up to `max_gap`.

    Returns
    -------
    regular : DataFrame of shape (n_timestamps, n_channels)
        Channels as float64, with a DatetimeIndex that has the name and time zone of
        that of `frame`. Steps are in absolute time, also across changes to or from
        daylight saving time.

    Raises
    ------
    TypeError
        If `frame` is not a DataFrame with a DatetimeIndex.
    ValueError
        If `frame` is empty, has times that are NaT or out of the range of nanoseconds,
        or columns that are not numeric, if `freq` or `max_gap` is not a duration, or if
        the grid would have more than 500 million values.

    See Also
    --------
    read_sensor_csv : Read sensor readings from a CSV file.

    Notes
    -----
    Readings at the time of a grid row are kept bit for bit. If the step is longer than
    that of the frame, readings between grid rows are ignored; average them first, for
    example with ``frame.resample``. To get a grid with round times, start the frame at
    a round time.

    Examples
    --------
    >>> import pandas as pd
    >>> from tsanomaly.datasets import regularize
    >>> times = pd.to_datetime(["2024-01-01 00:00:00", "2024-01-01 00:00:01",
    ...                         "2024-01-01 00:00:03", "2024-01-01 00:00:06"])
    >>> frame = pd.DataFrame({"pressure": [1.0, 2.0, 4.0, 8.0]}, index=times)
    >>> regularize(frame, "1s", max_gap="1s")["pressure"].tolist()
    [1.0, 2.0, 2.0, 4.0, 4.0, nan, 8.0]
    >>> regularize(frame, "1s", "2s", method="linear")["pressure"].tolist()
    [1.0, 2.0, 3.0, 4.0, nan, nan, 8.0]
    """
    import pandas as pd

    if method not in ("previous", "linear"):
        raise ValueError(f"method={method!r} must be 'previous' or 'linear'.")
    _check_index(frame)
    values = _to_floats(frame)
    try:
        times = frame.index.as_unit("ns").asi8
    except pd.errors.OutOfBoundsDatetime as error:
        raise ValueError(
            "The index of frame has times before 1678 or after 2261, which are out of "
            f"the range of nanoseconds: it extends from {frame.index.min()} to "
            f"{frame.index.max()}. Correct or remove these times."
        ) from error
    order = np.argsort(times, kind="stable")
    times, values = _merge_repeated(times[order], values[order])
    usual, _ = usual_step(times)
    step = usual if freq is None else nanoseconds("freq", freq)
    if step is None:
        step = 1  # a single time: a grid with one row
    if step == 0:
        raise ValueError(f"freq={freq!r} must be longer than 0.")
    if max_gap is None:
        max_gap = 5 * max(step, usual or step)
    else:
        max_gap = nanoseconds("max_gap", max_gap)
    max_gap = min(max_gap, _LONGEST)
    # Differences as Python integers or unsigned, because a series may be longer than
    # the 292 years of signed nanoseconds.
    n_rows = (int(times[-1]) - int(times[0])) // step + 1
    n_channels = values.shape[1]
    if n_rows * n_channels > _MAX_CELLS:
        raise ValueError(
            f"A grid with a step of {show_step(step)} from {frame.index.min()} to "
            f"{frame.index.max()} has {n_rows:,} rows of {n_channels} channels, more "
            f"than {_MAX_CELLS:,} values. Pass a longer freq, or remove times that are "
            "far from the others."
        )
    grid = np.arange(n_rows, dtype=np.uint64) * np.uint64(step)
    grid = (grid + times[:1].view(np.uint64)).view(np.int64)
    fill = _previous if method == "previous" else _linear
    regular = np.full((n_rows, n_channels), np.nan)
    for channel, readings in enumerate(values.T):
        present = ~np.isnan(readings)
        if present.any():
            regular[:, channel] = fill(times[present], readings[present], grid, max_gap)
    index = pd.DatetimeIndex(grid.view("M8[ns]"), name=frame.index.name)
    unit = frame.index.unit
    if (index.as_unit(unit).as_unit("ns").asi8 == grid).all():
        index = index.as_unit(unit)
    if frame.index.tz is not None:
        index = index.tz_localize("UTC").tz_convert(frame.index.tz)
    return pd.DataFrame(regular, index=index, columns=frame.columns)


def _check_index(frame):
    """Raise unless a frame has rows and a time index."""
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        raise TypeError(
            "frame must be a DataFrame with a DatetimeIndex, got "
            f"{type(frame).__name__}. Convert a Series with to_frame()."
        )
    if not isinstance(frame.index, pd.DatetimeIndex):
        raise TypeError(
            "The index of frame must be a DatetimeIndex, got "
            f"{type(frame.index).__name__}. Make the time column the index, for "
            "example with frame.set_index('time'), after pd.to_datetime."
        )
    if frame.empty:
        raise ValueError(f"frame is empty, its shape is {frame.shape}.")
    missing = np.flatnonzero(frame.index.isna())
    if len(missing):
        raise ValueError(
            f"The index of frame has {len(missing)} missing times (NaT), first at row "
            f"{missing[0]}. Drop them with frame[frame.index.notna()]."
        )


def _to_floats(frame):
    """Return a copy of the columns as float64."""
    return np.column_stack(list(column_values(frame, lambda dtype: np.float64)))


def column_values(frame, choose_type):
    """Yield a copy of the readings of each column.

    Parameters
    ----------
    frame : DataFrame of shape (n_timestamps, n_channels)
        Readings.
    choose_type : callable
        Maps the dtype of a column to a floating-point dtype.

    Yields
    ------
    values : ndarray of shape (n_timestamps,)
        Readings, NaN where missing.

    Raises
    ------
    ValueError
        If a column is not numeric.
    """
    for position, (name, dtype) in enumerate(frame.dtypes.items()):
        if getattr(dtype, "kind", "O") not in "biuf":
            raise ValueError(
                f"Column {name!r} is not numeric (dtype {dtype}). Drop or convert it."
            )
        column = frame.iloc[:, position]
        yield column.to_numpy(dtype=choose_type(dtype), na_value=np.nan, copy=True)


def nanoseconds(parameter, length):
    """Convert a duration to a whole number of nanoseconds."""
    import pandas as pd

    text = getattr(length, "freqstr", length)
    try:
        if isinstance(text, str):
            # M, MS, H, T and others mean months or are no longer supported by pandas.
            if re.search("[A-CE-Z]", text):
                raise ValueError("its unit is unknown, or has no fixed length")
            if text and not re.search("[A-Za-z:]", text):
                raise ValueError(f"it has no unit; {text.strip()}s would be seconds")
            text = f"1{text}" if text[:1].isalpha() else text
            # pandas 3 deprecates the lower-case letters.
            text = re.sub("(?<![A-Za-z])[dw](?![A-Za-z])", lambda m: m[0].upper(), text)
        elif isinstance(text, (int, float, np.integer, np.floating)) and not (
            isinstance(text, np.timedelta64)  # an integer to numpy
        ):
            raise ValueError("it has no unit")
        value = pd.Timedelta(text).as_unit("ns").value
        if value < 0 or value == pd.NaT.value:
            raise ValueError("it is not a positive duration")
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(
            f"{parameter}={length!r} must be a duration, such as '1s', '5min', '2h', "
            f"'1D' or a timedelta: {error}."
        ) from error
    return int(value)


def _merge_repeated(times, values):
    """Average readings at the same time, channel by channel."""
    starts = np.flatnonzero(np.diff(times, prepend=times[0] - 1))
    if len(starts) == len(times):
        return times, values
    present = ~np.isnan(values)
    counts = np.add.reduceat(present.astype(np.int64), starts, axis=0)
    with np.errstate(invalid="ignore", over="ignore"):
        sums = np.add.reduceat(np.where(present, values, 0.0), starts, axis=0)
        means = sums / np.where(counts, counts, np.nan)
    return times[starts], means


def _age(later, earlier):
    """Return the non-negative distance between times, exact over the whole range."""
    return (later - earlier).view(np.uint64)


def _previous(times, readings, grid, max_gap):
    """Return the last reading at or before each time of the grid."""
    last = np.searchsorted(times, grid, side="right") - 1
    known = last >= 0
    last = np.maximum(last, 0)
    known &= _age(grid, times[last]) <= np.uint64(max_gap)
    return np.where(known, readings[last], np.nan)


def _linear(times, readings, grid, max_gap):
    """Interpolate linearly between the previous and the next reading."""
    before = np.searchsorted(times, grid, side="right") - 1
    known = before >= 0
    before = np.maximum(before, 0)
    exact = known & (times[before] == grid)
    after = np.minimum(before + 1, len(times) - 1)
    length = _age(times[after], times[before])
    known &= (after > before) & (length <= np.uint64(max_gap))
    share = _age(grid, times[before]) / np.maximum(length, 1)
    with np.errstate(invalid="ignore", over="ignore"):
        line = readings[before] * (1 - share) + readings[after] * share
    return np.where(exact, readings[before], np.where(known, line, np.nan))
