# SPDX-License-Identifier: MIT
"""Means of squared residuals over the last rows of windows, for several lengths.

NaN stands for a missing reading. Means ignore it, and are NaN where nothing is known.
"""

import numpy as np

__all__ = [
    "lengths_of",
    "limit_of_rows",
    "mean_of_known",
    "means_by_length",
    "n_lengths",
    "trailing_means_by_length",
]

# In a mean over several rows, each error is limited to this multiple of a quantile of
# the training errors. Otherwise a single outlier would dominate the means of a whole
# window, and rank the rows after it above rows that are abnormal.
_LIMIT, _LIMIT_QUANTILE = 3.0, 0.99


def mean_of_known(values, axis):
    """Return the mean, ignoring NaN. NaN where all values are.

    Unlike numpy.nanmean, it does not warn, and equals the plain mean without NaN.

    Parameters
    ----------
    values : ndarray
        Any array.
    axis : int
        Axis to average over.

    Returns
    -------
    mean : ndarray of one dimension less
    """
    # Streams call this dozens of times a reading, and ndarray.mean is slow for a few
    # values.
    total = np.add.reduce(values, axis=axis)
    if not np.isnan(total).any():
        return total / values.shape[axis]
    known = ~np.isnan(values)
    total = np.where(known, values, 0).sum(axis=axis)
    return _ratio(total, known.sum(axis=axis))


def _ratio(total, count):
    """Return total / count, NaN where the count is 0."""
    mean = np.full(total.shape, np.nan)
    return np.divide(total, count, out=mean, where=count > 0)


def n_lengths(window_size):
    """Return the number of lengths of 'multiscale' rules."""
    return window_size.bit_length()


def lengths_of(window_size):
    """Return the lengths of 'multiscale' rules: a window, half of it, …, 1."""
    return window_size >> np.arange(n_lengths(window_size))


def limit_of_rows(errors):
    """Return the limit of the error of a row in a mean over several rows.

    Parameters
    ----------
    errors : ndarray of shape (n_windows, window_size)
        Mean squared residuals of the rows in training windows.

    Returns
    -------
    limit : float
        Infinity if nearly all errors are 0.
    """
    high = np.quantile(errors, _LIMIT_QUANTILE)
    return float(_LIMIT * high) if high > 0 else np.inf


def means_by_length(squared, limit):
    """Return the means over the last rows of windows: all rows, half of them, …, one.

    Parameters
    ----------
    squared : ndarray of shape (n_windows, window_size, n_channels)
        Squared residuals.
    limit : float
        As from `limit_of_rows`. In means over more than one row, rows whose mean over
        the channels is larger are scaled down to it.

    Returns
    -------
    means : ndarray of shape (n_windows, n_lengths, n_channels)
        NaN if one of the rows is entirely unknown, because a mean over fewer rows has
        another scale.
    """
    lengths = lengths_of(squared.shape[1])
    factors = _factors(squared, limit)
    known = ~np.isnan(squared)
    if known.all():
        means = _sums_by_length(squared, factors, lengths) / lengths[:, None]
    else:
        totals = _sums_by_length(np.where(known, squared, 0), factors, lengths)
        means = _ratio(totals, _sums_by_length(known, None, lengths))
        unknown = ~known.any(axis=2)[:, ::-1]
        means[np.logical_or.accumulate(unknown, axis=1)[:, lengths - 1]] = np.nan
    means[:, -1] = squared[:, -1]
    return means


def trailing_means_by_length(squared, window_size, limit):
    """Return `means_by_length` of windows that share the residuals of their rows.

    Parameters
    ----------
    squared : ndarray of shape (n_rows, n_channels)
        Squared residuals of successive rows.
    window_size : int
        Rows in the window that ends at each row.
    limit : float
        As for `means_by_length`.

    Returns
    -------
    means : ndarray of shape (n_rows, n_lengths, n_channels)
        NaN if one of the rows is entirely unknown, or before the first one.
    """
    lengths = lengths_of(window_size)
    factors = _factors(squared, limit)
    known = ~np.isnan(squared)
    limited = np.where(known, squared, 0)
    if factors is not None:
        limited *= np.nan_to_num(factors)[:, None]
    totals = _trailing_sums(limited, lengths)
    has_readings = known.any(axis=1)
    if known[has_readings].all():
        means = totals / lengths[:, None]
    else:
        means = _ratio(totals, _trailing_sums(known.astype(np.float64), lengths))
    index = np.arange(len(squared))
    last_unknown = np.maximum.accumulate(np.where(has_readings, -1, index))
    means[(index - last_unknown)[:, None] < lengths] = np.nan
    means[:, -1] = squared
    return means


def _factors(squared, limit):
    """Return factors that scale down rows whose mean exceeds the limit, or None.

    The mean is over the last axis, the channels. None if no row exceeds the limit.
    """
    errors = mean_of_known(squared, axis=-1)
    if not (errors > limit).any():
        return None
    with np.errstate(divide="ignore"):
        return np.minimum(limit / errors, 1)


def _sums_by_length(values, factors, lengths):
    """Return the sums over the last rows of windows, multiplied by any factors.

    The sum of each length is that of the next shorter one plus the additional rows.
    """
    window_size = values.shape[1]
    sums = np.empty((len(values), len(lengths), values.shape[2]))
    shorter = 0
    for position in reversed(range(len(lengths))):
        length = lengths[position]
        rows = slice(window_size - length, window_size - shorter)
        if factors is None:
            sums[:, position] = values[:, rows].sum(axis=1)
        else:
            sums[:, position] = np.einsum(
                "wrc,wr->wc", values[:, rows], np.nan_to_num(factors[:, rows])
            )
        if shorter:
            sums[:, position] += sums[:, position + 1]
        shorter = length
    return sums


def _trailing_sums(values, lengths):
    """Return the sums over each row and the rows before it, by length, longest first.

    A sum over 2k rows is the sum over the last k rows plus that over the k rows before
    them. Rows before the first one count as 0.
    """
    sums = np.empty((len(values), len(lengths), values.shape[1]))
    shorter = sums[:, -1] = values
    for position in reversed(range(len(lengths) - 1)):
        half = lengths[position] // 2
        longer = sums[:, position]
        longer[:] = shorter
        longer[half:] += shorter[: max(len(values) - half, 0)]
        if lengths[position] % 2:
            longer[2 * half :] += values[: max(len(values) - 2 * half, 0)]
        shorter = longer
    return sums
