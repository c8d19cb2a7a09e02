# SPDX-License-Identifier: MIT
import re

import numpy as np

from tsanomaly.datasets._steps import show_step, usual_step

__all__ = ["column_values", "nanoseconds", "regularize"]

_MAX_CELLS = 500_000_000
_LONGEST = 2**64 - 1  # nanoseconds, further than any two times are apart


def regularize(frame, freq=None, max_gap=None, *, method="previous"):
    """Put readings on a regular grid of times.

    The grid starts at the first time of the frame and ends at or before the last one.
    A row of the grid without a reading near enough is NaN in every channel, which
    estimators treat as a break.

    Parameters
    ----------
    frame : DataFrame of shape (n_readings, n_channels)
        Numbers on a DatetimeIndex, in any order. Readings of the same time are
        averaged. NaN is not a reading. Each channel is treated by itself.
    freq : str, timedelta or None, default=None
        Step of the grid, such as '1s', '5min' or '1D'. None takes the most frequent
        step of the frame if more than half of the steps have it, else the median one.
    max_gap : str, timedelta or None, default=None
        With ``method='previous'`` the largest age of a reading that is used, with
        'linear' the largest distance of the two readings. None is 5 times the step
        of the grid or that of the frame, as for `freq`, whichever is longer: that
        bridges jitter and a few lost readings, but no outage, and at most 5 rows in
        succession repeat a reading.
    method : {'previous', 'linear'}, default='previous'
        'previous' forward-fills: a row has the last reading at or before its time,
        which is causal. 'linear' interpolates between the reading before and the one
        after, and so looks ahead up to `max_gap`.

    Returns
    -------
    regular : DataFrame of shape (n_timestamps, n_channels)
        The channels as float64, on a DatetimeIndex with the name and the time zone of
        the one of `frame`. Steps are of absolute time, also over a change to summer
        time.

    Raises
    ------
    TypeError
        If `frame` is not a DataFrame on a DatetimeIndex.
    ValueError
        If it is empty, has a time that is NaT or out of the range of nanoseconds, or
        a column that is not numeric; if `freq` or `max_gap` is not a length of time;
        if the grid would hold more than 500 million values.

    See Also
    --------
    read_sensor_csv : Read sensor readings from a CSV file.

    Notes
    -----
    A reading at the time of a grid row is kept bit for bit. With a step longer than
    that of the frame, readings between the grid rows are ignored: average first, for
    example with ``frame.resample``. For a grid on round times, let the frame start at
    one.

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
            "The index of frame has times before 1678 or after 2261, which is how far "
            f"nanoseconds reach: it goes from {frame.index.min()} to "
            f"{frame.index.max()}. Correct them, or cut them off."
        ) from error
    order = np.argsort(times, kind="stable")
    times, values = _merge_repeated(times[order], values[order])
    usual, _ = usual_step(times)
    step = usual if freq is None else nanoseconds("freq", freq)
    if step is None:
        step = 1  # a single time, and a grid of one row
    if step == 0:
        raise ValueError(f"freq={freq!r} must be longer than 0.")
    if max_gap is None:
        max_gap = 5 * max(step, usual or step)
    else:
        max_gap = nanoseconds("max_gap", max_gap)
    max_gap = min(max_gap, _LONGEST)
    # Differences in Python's integers or without sign: a series may be longer than
    # the 292 years that signed nanoseconds reach.
    n_rows = (int(times[-1]) - int(times[0])) // step + 1
    n_channels = values.shape[1]
    if n_rows * n_channels > _MAX_CELLS:
        raise ValueError(
            f"A grid with a step of {show_step(step)} from {frame.index.min()} to "
            f"{frame.index.max()} has {n_rows:,} rows of {n_channels} channels, more "
            f"than {_MAX_CELLS:,} values. Pass a longer freq, or cut off times that "
            "are far from the others."
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
    """Raise unless a frame has rows, and times on its index."""
    import pandas as pd

    if not isinstance(frame, pd.DataFrame):
        raise TypeError(
            "frame must be a DataFrame on a DatetimeIndex, got "
            f"{type(frame).__name__}. A Series becomes one with to_frame()."
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
    """The columns as float64, in a copy."""
    return np.column_stack(list(column_values(frame, lambda dtype: np.float64)))


def column_values(frame, choose_type):
    """Readings of every column, in a copy.

    Parameters
    ----------
    frame : DataFrame of shape (n_timestamps, n_channels)
        Readings.
    choose_type : callable
        From the type of a column to the floating type of its values.

    Yields
    ------
    values : ndarray of shape (n_timestamps,)
        NaN where there is no reading.

    Raises
    ------
    ValueError
        If a column does not hold numbers.
    """
    for position, (name, dtype) in enumerate(frame.dtypes.items()):
        if getattr(dtype, "kind", "O") not in "biuf":
            raise ValueError(
                f"Column {name!r} does not hold numbers (dtype {dtype}). Drop it, or "
                "convert it."
            )
        column = frame.iloc[:, position]
        yield column.to_numpy(dtype=choose_type(dtype), na_value=np.nan, copy=True)


def nanoseconds(parameter, length):
    """A length of time as a whole number of nanoseconds."""
    import pandas as pd

    text = getattr(length, "freqstr", length)
    try:
        if isinstance(text, str):
            # M, MS, H, T and others mean months or what pandas no longer reads.
            if re.search("[A-CE-Z]", text):
                raise ValueError("its unit is unknown, or of no fixed length")
            if text and not re.search("[A-Za-z:]", text):
                raise ValueError(f"it has no unit; {text.strip()}s would be seconds")
            text = f"1{text}" if text[:1].isalpha() else text
            # pandas 3 is about to forget the small letters.
            text = re.sub("(?<![A-Za-z])[dw](?![A-Za-z])", lambda m: m[0].upper(), text)
        elif isinstance(text, (int, float, np.integer, np.floating)) and not (
            isinstance(text, np.timedelta64)  # an integer to numpy
        ):
            raise ValueError("it has no unit")
        value = pd.Timedelta(text).as_unit("ns").value
        if value < 0 or value == pd.NaT.value:
            raise ValueError("it is no length of time")
    except (ValueError, TypeError, OverflowError) as error:
        raise ValueError(
            f"{parameter}={length!r} must be a length of time, such as '1s', '5min', "
            f"'2h', '1D' or a timedelta: {error}."
        ) from error
    return int(value)


def _merge_repeated(times, values):
    """Average the readings of one time, channel by channel."""
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
    """Distance of times, which is not negative, exact over the whole range."""
    return (later - earlier).view(np.uint64)


def _previous(times, readings, grid, max_gap):
    """The last reading at or before every time of the grid."""
    last = np.searchsorted(times, grid, side="right") - 1
    known = last >= 0
    last = np.maximum(last, 0)
    known &= _age(grid, times[last]) <= np.uint64(max_gap)
    return np.where(known, readings[last], np.nan)


def _linear(times, readings, grid, max_gap):
    """The line between the readings on either side."""
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
