# SPDX-License-Identifier: MIT
"""Trailing windows of a series, and averages of window values per row.

All windows of the library are made here, so that there is one convention: the window of
row ``t`` contains the rows ``t - window_size + 1`` to ``t``. Rows before the start of
the series, or of the stretch after a break, are replaced by its first row.
"""

from numbers import Integral

import numpy as np

from tsanomaly._validation import unmasked

__all__ = [
    "RowAverage",
    "TrailingWindows",
    "merge_windows",
    "runs",
    "sliding_windows",
    "trailing_blocks",
    "trailing_median",
    "trailing_medians",
]


# Cost of a single trailing median, relative to one of many.
_COST_OF_MEDIAN = 8


def _check_positive_integer(value, name):
    if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
        raise ValueError(f"{name} must be an integer of at least 1, got {value!r}.")


def sliding_windows(X, window_size, stride=1):
    """Cut a series into overlapping windows without copying it.

    Windows are not padded. Up to ``stride - 1`` rows at the end of the series may be in
    no window.

    Parameters
    ----------
    X : array-like of shape (n_timestamps, n_channels)
        Series, rows in time order.
    window_size : int
        Number of rows in a window.
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
    merge_windows : Average window values for each row.
    WindowTransformer : One flattened, padded window per row.

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
    """Average window values for each row of the series.

    This is the inverse of `sliding_windows`: each row gets the mean of its values in
    all windows that contain it.

    Parameters
    ----------
    values : array-like of shape (n_windows, window_size) or \
            (n_windows, window_size, n_channels)
        One value or vector per row of each window. Window ``i`` starts at row
        ``i * stride``.
    n_timestamps : int
        Number of rows in the series.
    stride : int, default=1
        Rows between the starts of consecutive windows.

    Returns
    -------
    merged : ndarray of shape (n_timestamps,) or (n_timestamps, n_channels)
        Row means in float64. NaN in rows that are in no window: those after the last
        window, and those between windows if `stride` exceeds the window size.

    Raises
    ------
    ValueError
        If `values` is not two- or three-dimensional, or the windows extend beyond
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
    """Return the first and last row of each run of ones.

    Parameters
    ----------
    target : ndarray of shape (n_timestamps,)
        0 or 1 per row.

    Returns
    -------
    start, end : ndarray of int
        First and last row, both inclusive.
    """
    edges = np.diff(np.concatenate(([0], target, [0])))
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1) - 1


class RowAverage:
    """Mean per row of values that are added window by window.

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
            One value per row of each window.
        last_rows : ndarray of shape (n_windows,)
            Last row of each window, without duplicates.
        first_rows : ndarray of shape (n_windows,)
            First row of the stretch of each window. Earlier rows are padding and are
            ignored.
        """
        window_size = values.shape[1]
        for position in range(window_size):
            rows = last_rows - (window_size - 1 - position)
            real = rows >= first_rows
            # Rows at one position are distinct, so indexed addition is correct.
            self._total[rows[real]] += values[real, position]
            self._count[rows[real]] += 1

    def result(self):
        """Return the mean of each row, NaN where nothing was added."""
        count = self._count.reshape(-1, *[1] * (self._total.ndim - 1))
        mean = np.full(self._total.shape, np.nan)
        np.divide(self._total, count, out=mean, where=count > 0)
        return mean


class TrailingWindows:
    """One trailing window per row of a series, created on demand.

    Unlike `sliding_windows`, there is a window for every row except breaks. Windows at
    the start of the series and after a break are padded on the left with the first row
    of their stretch. Windows exist only as long as the batch that contains them.

    Parameters
    ----------
    X : ndarray of shape (n_timestamps, n_channels)
        Series, rows in time order.
    window_size : int
        Number of rows in a window.
    breaks : ndarray of shape (n_timestamps,), dtype=bool
        Rows that separate two stretches. No window contains one.
    imputer : WindowImputer or None, default=None
        Fills windows, if readings are missing in rows that are not breaks.
    baseline : ndarray of shape (n_timestamps, n_channels) or None, default=None
        Values to subtract from all rows of the window that ends at each row.

    Attributes
    ----------
    first_rows : ndarray of shape (n_timestamps,)
        First row of the stretch of each row.
    rows : ndarray
        Rows that have a window: all except breaks.
    """

    def __init__(self, X, window_size, breaks, imputer=None, baseline=None):
        self.X = X
        self.window_size = window_size
        self.imputer = imputer
        self.baseline = baseline
        index = np.arange(len(X))
        starts = np.zeros(len(X), dtype=np.intp)
        starts[1:] = np.where(breaks[:-1], index[1:], 0)
        self.first_rows = np.maximum.accumulate(starts)
        self.rows = index[~breaks]

    @property
    def whole(self):
        """Mask of rows whose windows are not padded. False for breaks."""
        whole = np.zeros(len(self.X), dtype=bool)
        whole[self.rows] = (
            self.rows - self.first_rows[self.rows] >= self.window_size - 1
        )
        return whole

    def take(self, rows):
        """Return the windows of `rows`, (len(rows), window_size, n_channels)."""
        index = rows[:, None] + np.arange(1 - self.window_size, 1)
        np.maximum(index, self.first_rows[rows][:, None], out=index)
        windows = self.X[index]
        if self.baseline is not None:
            windows -= self.baseline[rows][:, None]
        return windows

    def fill(self, windows):
        """Fill the missing readings of windows returned by `take`."""
        return windows if self.imputer is None else self.imputer.fill(windows)


def trailing_medians(X, n_rows, breaks, rows=None):
    """Return the trailing median of each channel at each row, or at some rows.

    Parameters
    ----------
    X : ndarray of shape (n_timestamps, n_channels)
        Series with a mean of 0. Rows before the start of a stretch count as 0, so the
        medians of its first rows are close to 0. NaN is ignored.
    n_rows : int
        Number of rows of each median, the row itself included.
    breaks : ndarray of shape (n_timestamps,), dtype=bool
        Rows that separate two stretches.
    rows : ndarray of int or None, default=None
        Rows whose medians are needed, without breaks. None computes all.

    Returns
    -------
    medians : ndarray of shape (n_timestamps, n_channels)
        Medians of the dtype of `X`, 0 at breaks and where no reading is known. With
        `rows`, other rows may be 0.
    """
    medians = np.zeros_like(X)
    if rows is not None and len(rows) * _COST_OF_MEDIAN < len(X):
        first_rows = TrailingWindows(X, 1, breaks).first_rows
        for row, first in zip(rows, first_rows[rows], strict=True):
            medians[row] = trailing_median(X[first : row + 1], n_rows)
        return medians

    import pandas as pd

    before = np.zeros((n_rows - 1, X.shape[1]), X.dtype)
    for start, end in zip(*runs(~breaks), strict=True):
        stretch = slice(start, end + 1)
        if end - start < (n_rows - 1) // 2:
            continue  # more than half of the rows are 0
        rows = pd.DataFrame(np.concatenate([before, X[stretch]]))
        rolling = rows.rolling(n_rows, min_periods=1).median().to_numpy()
        medians[stretch] = np.nan_to_num(rolling[n_rows - 1 :])
    return medians


def trailing_median(rows, n_rows):
    """Return the last trailing median of one stretch, (n_channels,)."""
    rows = rows[-n_rows:]
    median = np.zeros(rows.shape[1], rows.dtype)
    if len(rows) <= (n_rows - 1) // 2:  # more than half of the rows are 0
        return median
    padded = np.zeros((rows.shape[1], n_rows), rows.dtype)  # contiguous channels
    padded[:, n_rows - len(rows) :] = rows.T
    missing = np.isnan(padded)
    if not missing.any():
        middle = [(n_rows - 1) // 2, n_rows // 2]
        return np.partition(padded, middle, axis=1)[:, middle].mean(axis=1)
    counted = ~missing.all(axis=1)
    median[counted] = np.nanmedian(padded[counted], axis=1)
    return median


def trailing_blocks(X, breaks, n_context, n_rows):
    """Cut a series into blocks of rows with their context.

    Parameters
    ----------
    X : ndarray of shape (n_timestamps, n_channels)
        Series, rows in time order.
    breaks : ndarray of shape (n_timestamps,), dtype=bool
        Rows that separate two stretches. No block contains one.
    n_context : int
        Number of earlier rows that the result of a row depends on. At the start of a
        stretch, they are copies of its first row.
    n_rows : int
        Number of rows per block, context excluded.

    Yields
    ------
    rows : slice or ndarray of int
        Rows of the series that the block belongs to.
    block : ndarray of shape (n_rows_in_block, n_channels)
        These rows and their context.
    current : slice or ndarray of int
        Positions of these rows in the block. The `n_context` rows before each of them
        are its context.
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
        # Each piece without a break gets its own context, in a single gather.
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
