# SPDX-License-Identifier: MIT
"""Trailing windows of a series: views, gathers, and the way back to rows.

Everything in the library that looks at more than one row gets its windows here, so
that the convention stands in one place: the window of row ``t`` holds the rows
``t - window_size + 1`` to ``t``, and rows before the start of the series (or of the
stretch after a break) are replaced by its first row.
"""

from numbers import Integral

import numpy as np

from tsanomaly._validation import unmasked

__all__ = [
    "RowAverage",
    "TrailingWindows",
    "fill_windows",
    "merge_windows",
    "runs",
    "sliding_windows",
    "trailing_blocks",
    "trailing_median",
    "trailing_medians",
]


# Windows that missing readings are filled in at a time.
_BLOCK = 1024


def _check_positive_integer(value, name):
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}.")


def sliding_windows(X, window_size, stride=1):
    """Cut a series into overlapping windows, without copying it.

    Only whole windows are returned: there is no padding. Rows after the end of the
    last window, fewer than `stride` of them, are in no window.

    Parameters
    ----------
    X : array-like of shape (n_timestamps, n_channels)
        A series, rows in time order.
    window_size : int
        Rows in a window.
    stride : int, default=1
        Rows between the starts of consecutive windows.

    Returns
    -------
    windows : ndarray of shape (n_windows, window_size, n_channels)
        A read-only view of `X`, with
        ``n_windows = (n_timestamps - window_size) // stride + 1``. Window ``i`` starts
        at row ``i * stride``.

    Raises
    ------
    ValueError
        If `X` is not two-dimensional or has fewer than `window_size` rows, or if
        `window_size` or `stride` is not a positive integer.

    See Also
    --------
    merge_windows : Average window values back onto rows.
    WindowTransformer : One flattened window for every row, with padding.

    Examples
    --------
    >>> import numpy as np
    >>> from tsanomaly import sliding_windows
    >>> X = np.arange(10.0).reshape(5, 2)
    >>> sliding_windows(X, 3).shape
    (3, 3, 2)
    >>> sliding_windows(X, 3, stride=2)[1]
    array([[4., 5.],
           [6., 7.],
           [8., 9.]])
    """
    X = np.asarray(unmasked(X))
    if X.ndim != 2:
        raise ValueError(
            "X must have two dimensions, (n_timestamps, n_channels), got an array of "
            f"shape {X.shape}. Reshape a single channel with X.reshape(-1, 1)."
        )
    _check_positive_integer(window_size, "window_size")
    _check_positive_integer(stride, "stride")
    if len(X) < window_size:
        raise ValueError(
            f"window_size={window_size} is longer than the series "
            f"(n_timestamps={len(X)}). Pass a longer series or lower window_size."
        )
    windows = np.lib.stride_tricks.sliding_window_view(X, window_size, axis=0)
    # (n_windows, n_channels, window_size) -> (n_windows, window_size, n_channels)
    return windows[::stride].swapaxes(1, 2)


def merge_windows(values, n_timestamps, stride=1):
    """Average window values back onto the rows of the series.

    The inverse of `sliding_windows`: a row gets the mean of the values that all
    windows covering it hold for it.

    Parameters
    ----------
    values : array-like of shape (n_windows, window_size) or \
            (n_windows, window_size, n_channels)
        One value, or one vector, for every row of every window. Window ``i`` starts
        at row ``i * stride``.
    n_timestamps : int
        Rows of the series.
    stride : int, default=1
        Rows between the starts of consecutive windows.

    Returns
    -------
    merged : ndarray of shape (n_timestamps,) or (n_timestamps, n_channels)
        Row means, in float64. NaN in rows that no window covers: those after the last
        window, and those between windows if `stride` exceeds the window size.

    Raises
    ------
    ValueError
        If `values` has another number of dimensions, or if the windows do not fit into
        `n_timestamps` rows.

    See Also
    --------
    sliding_windows : Cut a series into windows.

    Examples
    --------
    >>> import numpy as np
    >>> from tsanomaly import merge_windows, sliding_windows
    >>> X = np.arange(10.0).reshape(5, 2)
    >>> bool(np.allclose(merge_windows(sliding_windows(X, 3), 5), X))
    True
    >>> merge_windows([[1.0, 2.0], [4.0, 6.0]], n_timestamps=4).tolist()
    [1.0, 3.0, 6.0, nan]
    """
    values = np.asarray(values)
    if values.ndim not in (2, 3):
        raise ValueError(
            "values must have shape (n_windows, window_size) or (n_windows, "
            f"window_size, n_channels), got an array of shape {values.shape}."
        )
    _check_positive_integer(n_timestamps, "n_timestamps")
    _check_positive_integer(stride, "stride")
    n_windows, window_size = values.shape[:2]
    needed = (n_windows - 1) * stride + window_size
    if n_windows and needed > n_timestamps:
        raise ValueError(
            f"{n_windows} windows of {window_size} rows at stride={stride} cover "
            f"{needed} rows, but n_timestamps={n_timestamps}."
        )
    average = RowAverage((n_timestamps, *values.shape[2:]))
    last_rows = np.arange(n_windows) * stride + window_size - 1
    average.add(values, last_rows, first_rows=np.zeros(n_windows, dtype=np.intp))
    return average.result()


def runs(target):
    """First and last row of every run of ones.

    Parameters
    ----------
    target : ndarray of shape (n_timestamps,)
        0 or 1 per row.

    Returns
    -------
    start, end : ndarray of int
        Both ends included.
    """
    edges = np.diff(np.concatenate(([0], target, [0])))
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1


class RowAverage:
    """Running mean per row of values that arrive window by window.

    Parameters
    ----------
    shape : tuple of int
        Shape of the result, rows first.
    """

    def __init__(self, shape):
        self._total = np.zeros(shape)
        self._count = np.zeros(shape[0], dtype=np.intp)

    def add(self, values, last_rows, first_rows):
        """Add the values of windows that end at `last_rows`.

        Parameters
        ----------
        values : ndarray of shape (n_windows, window_size, ...)
            One value for every row of every window.
        last_rows : ndarray of shape (n_windows,)
            Row at which each window ends, without repeats.
        first_rows : ndarray of shape (n_windows,)
            First row of the stretch the window belongs to: what lies before is padding
            and does not count.
        """
        window_size = values.shape[1]
        for position in range(window_size):
            rows = last_rows - (window_size - 1 - position)
            real = rows >= first_rows
            # Within one position all rows differ, so plain indexing adds each once.
            self._total[rows[real]] += values[real, position]
            self._count[rows[real]] += 1

    def result(self):
        """Mean of every row; NaN where nothing was added."""
        count = self._count.reshape(-1, *[1] * (self._total.ndim - 1))
        mean = np.full(self._total.shape, np.nan)
        np.divide(self._total, count, out=mean, where=count > 0)
        return mean


class TrailingWindows:
    """The window of every row of a series, gathered when asked for.

    Unlike `sliding_windows` there is one window for every row: the first rows of the
    series, and those after a break, are padded on the left with the first row of
    their stretch. Memory stays that of the series: a window exists only while the
    batch that asked for it does.

    Parameters
    ----------
    X : ndarray of shape (n_timestamps, n_channels)
        A series, rows in time order.
    window_size : int
        Rows in a window.
    breaks : ndarray of shape (n_timestamps,), dtype=bool
        Rows that separate two stretches; no window holds one.
    fill_values : ndarray of shape (n_channels,) or None, default=None
        As in `fill_windows`, if readings are missing in rows that are no breaks.
    baseline : ndarray of shape (n_timestamps, n_channels) or None, default=None
        What is subtracted from all rows of the window that ends at each row.

    Attributes
    ----------
    first_rows : ndarray of shape (n_timestamps,)
        First row of the stretch that each row belongs to.
    rows : ndarray
        The rows that have a window: all but the breaks.
    """

    def __init__(self, X, window_size, breaks, fill_values=None, baseline=None):
        self.X = X
        self.window_size = window_size
        self.fill_values = fill_values
        self.baseline = baseline
        index = np.arange(len(X))
        starts = np.zeros(len(X), dtype=np.intp)
        starts[1:] = np.where(breaks[:-1], index[1:], 0)
        self.first_rows = np.maximum.accumulate(starts)
        self.rows = index[~breaks]

    @property
    def whole(self):
        """Mask of the rows whose window needs no padding (breaks count as padded)."""
        whole = np.zeros(len(self.X), dtype=bool)
        whole[self.rows] = (
            self.rows - self.first_rows[self.rows] >= self.window_size - 1
        )
        return whole

    def take(self, rows):
        """Windows that end at `rows`, of shape (len(rows), window_size, n_channels)."""
        index = rows[:, None] + np.arange(1 - self.window_size, 1)
        np.maximum(index, self.first_rows[rows][:, None], out=index)
        windows = self.X[index]
        if self.baseline is not None:
            windows -= self.baseline[rows][:, None]
        return windows

    def fill(self, windows):
        """What `take` returned, with readings in the place of missing ones."""
        if self.fill_values is None:
            return windows
        return fill_windows(windows, self.fill_values)


def trailing_medians(X, n_rows, breaks):
    """Median of the last rows, at each row of a series.

    Parameters
    ----------
    X : ndarray of shape (n_timestamps, n_channels)
        A series, centred: rows before the first row of a stretch count as 0, so that
        the medians of its first rows are close to 0. NaN does not count.
    n_rows : int
        How many rows, the row itself included.
    breaks : ndarray of shape (n_timestamps,), dtype=bool
        Rows that separate two stretches.

    Returns
    -------
    medians : ndarray of shape (n_timestamps, n_channels)
        Of the type of `X`; 0 where nothing is known, and at breaks.
    """
    import pandas as pd

    medians = np.zeros_like(X)
    before = np.zeros((n_rows - 1, X.shape[1]), X.dtype)
    for start, end in zip(*runs(~breaks), strict=True):
        stretch = slice(start, end + 1)
        rows = pd.DataFrame(np.concatenate([before, X[stretch]]))
        rolling = rows.rolling(n_rows, min_periods=1).median().to_numpy()
        medians[stretch] = np.nan_to_num(rolling[n_rows - 1 :])
    return medians


def trailing_median(rows, n_rows):
    """The last of `trailing_medians` of a stretch, (n_channels,)."""
    rows = rows[-n_rows:]
    padded = np.zeros((n_rows, rows.shape[1]), rows.dtype)
    padded[n_rows - len(rows) :] = rows
    if not np.isnan(rows).any():
        return np.median(padded, axis=0)
    counted = ~np.isnan(padded).all(axis=0)
    median = np.zeros(rows.shape[1], rows.dtype)
    median[counted] = np.nanmedian(padded[:, counted], axis=0)
    return median


def fill_windows(windows, values):
    """Put readings in the place of those that are missing.

    A missing reading becomes the last one of its channel before it in the window, or
    else the first one after it. So a window is filled from itself alone: what a row
    depends on does not grow, and no row depends on a later one.

    Parameters
    ----------
    windows : ndarray of shape (n_windows, window_size, n_channels)
        NaN where a reading is missing. It is not changed.
    values : ndarray of shape (n_channels,)
        What takes the place of a channel without any reading in a window.

    Returns
    -------
    filled : ndarray of the same shape
        Without NaN; `windows` itself if nothing is missing.
    """
    missing = np.isnan(windows)
    if not missing.any():
        return windows
    filled = windows.copy()
    size = windows.shape[1]
    positions = np.arange(size, dtype=np.int32)[:, None]
    for start in range(0, len(windows), _BLOCK):
        block = slice(start, start + _BLOCK)
        absent = missing[block]
        source = np.maximum.accumulate(np.where(absent, -1, positions), axis=1)
        first = np.where(absent, size, positions).min(axis=1, keepdims=True)
        source = np.where(source < 0, first, source)
        found = np.take_along_axis(windows[block], np.minimum(source, size - 1), axis=1)
        filled[block] = np.where(source < size, found, values)
    return filled


def trailing_blocks(X, breaks, n_context, n_rows):
    """Cut a series into blocks of rows that come with the rows before them.

    Parameters
    ----------
    X : ndarray of shape (n_timestamps, n_channels)
        A series, rows in time order.
    breaks : ndarray of shape (n_timestamps,), dtype=bool
        Rows that separate two stretches; they are in no block.
    n_context : int
        Rows before a row that its result depends on. Those before the first row of a
        stretch are copies of it.
    n_rows : int
        Rows in a block, their context not counted.

    Yields
    ------
    rows : slice or ndarray of int
        Rows of the series that the block is for.
    block : ndarray of shape (n_rows_in_block, n_channels)
        These rows, with their context.
    current : slice or ndarray of int
        Where they are in the block. At least `n_context` rows before each belong to
        it.
    """
    if not breaks.any():
        for start in range(0, len(X), n_rows):
            stop = min(start + n_rows, len(X))
            index = np.maximum(np.arange(start - n_context, stop), 0)
            yield slice(start, stop), X[index], slice(n_context, len(index))
        return
    windows = TrailingWindows(X, 1, breaks)
    for start in range(0, len(windows.rows), n_rows):
        rows = windows.rows[start : start + n_rows]
        # Every piece without a break gets context of its own, in one gather.
        heads = np.flatnonzero(np.diff(rows, prepend=rows[0] - 2) != 1)
        lengths = np.diff(heads, append=len(rows)) + n_context
        begin = np.cumsum(lengths) - lengths
        offset = np.repeat(rows[heads] - n_context - begin, lengths)
        index = np.arange(lengths.sum()) + offset
        first_rows = np.repeat(windows.first_rows[rows[heads]], lengths)
        np.maximum(index, first_rows, out=index)
        current = np.arange(len(rows)) + np.repeat(
            (np.arange(len(heads)) + 1) * n_context, lengths - n_context
        )
        yield rows, X[index], current
