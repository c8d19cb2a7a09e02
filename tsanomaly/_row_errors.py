# SPDX-License-Identifier: MIT
"""Aggregate the residuals of windows into the errors of rows.

This module is independent of networks. The input are arrays of windows, and the output
has one row per window, that of its last row.

The residual of a missing reading is NaN. Means ignore NaN and are NaN where nothing
else is left. Every row has at least one reading.
"""

import numpy as np

from tsanomaly._calibration import LogCalibration
from tsanomaly._means_by_length import (
    lengths_of,
    limit_of_rows,
    mean_of_known,
    means_by_length,
    n_lengths,
    trailing_means_by_length,
)
from tsanomaly._windows import RowAverage

__all__ = [
    "RULES",
    "LastRow",
    "RowErrorRule",
    "error_of_level",
    "evenly",
    "join_shares",
    "level_of_error",
    "levels_of_rows",
    "means_and_shares",
    "multiscale_errors",
    "power_mean",
    "share_out",
    "shares_of",
    "squared_residuals",
]

# Maximum number of windows sampled to estimate the size of errors.
_MOST_SAMPLED_WINDOWS = 1000

# Number of rows whose errors are combined at a time.
_BLOCK = 4096

# Exponent of the power mean of levels, and weight of the level of the row alone.
_EXPONENT, _ROW_WEIGHT = 2, 3

# Minus the normalised score of an error of 0.
_FAR = 1e4

# The level of a mean over several rows is limited to the first constant plus the second
# one times the level of the later half of these rows if that is positive. Otherwise an
# event that ended many rows ago would dominate the longer means.
_HEAD_START, _MOST_OF_HALF = 0.5, 1.5


def squared_residuals(actual, reconstructed):
    """Return the squared differences between windows and their reconstructions.

    Parameters
    ----------
    actual, reconstructed : ndarray of shape (n_windows, window_size, n_channels)
        float32.

    Returns
    -------
    squared : ndarray of the same shape
        float64, because the square of a residual of 1e20 overflows in float32. NaN
        where `actual` is NaN.
    """
    squared = np.subtract(actual, reconstructed, dtype=np.float64)
    return np.square(squared, out=squared)


def evenly(rows, most=_MOST_SAMPLED_WINDOWS):
    """Return at most `most` of the rows, evenly spaced."""
    n_rows = min(len(rows), most)
    return rows[np.linspace(0, len(rows) - 1, n_rows).astype(np.intp)]


def means_and_shares(errors):
    """Return the errors of windows by length, and the shares of the channels.

    Parameters
    ----------
    errors : ndarray of shape (n_windows, n_lengths, n_channels)
        As from `means_by_length`.

    Returns
    -------
    means : ndarray of shape (n_windows, n_lengths)
        Mean over the channels.
    shares : ndarray of shape (n_windows, n_lengths, n_channels)
        Error of each channel relative to that mean, float32. NaN where a channel has no
        reading.
    """
    means = mean_of_known(errors, axis=2)
    # Equal shares where all errors are 0.
    shares = np.where(np.isnan(errors), np.nan, 1.0)
    np.divide(errors, means[:, :, None], out=shares, where=means[:, :, None] > 0)
    return means, shares.astype(np.float32)


def multiscale_errors(levels, shares, *, window_size, first_rows=None):
    """Return the errors of rows by a 'multiscale' rule.

    Parameters
    ----------
    levels : ndarray of shape (n_rows, n_lengths)
        Levels of the windows that end at the rows, for each length.
    shares : ndarray of shape (n_rows, n_lengths, n_channels)
        As from `means_and_shares`.
    window_size : int
        Rows in a window.
    first_rows : ndarray of shape (n_rows,) or None, default=None
        First row of the stretch of each row, in ascending order, to also look ahead
        within the stretch. None only looks back.

    Returns
    -------
    errors : ndarray of shape (n_rows, n_channels)
    """
    n_rows = len(levels)
    errors = np.empty((n_rows, shares.shape[2]))
    lengths = lengths_of(window_size)
    index = np.arange(len(lengths))
    if first_rows is not None:
        last = np.searchsorted(first_rows, first_rows, side="right") - 1
    for start in range(0, n_rows, _BLOCK):
        block = np.arange(start, min(start + _BLOCK, n_rows))
        block_levels, block_shares = levels[block], shares[block]
        if first_rows is not None:
            # The mean over the k rows that start at a row is the mean over the k rows
            # that end k - 1 rows later, or at the end of the stretch.
            ahead = block[:, None] + lengths[:-1] - 1
            ahead = np.minimum(ahead, last[block][:, None])
            both = levels[ahead, index[:-1]], shares[ahead, index[:-1]]
            block_levels = np.concatenate([both[0], block_levels], axis=1)
            block_shares = np.concatenate([both[1], block_shares], axis=1)
        else:
            block_levels = _within_reach(block_levels)
        errors[block] = share_out(block_levels, block_shares)
    return errors


def _within_reach(levels):
    """Limit the levels of means over several rows by those of their later half.

    Parameters
    ----------
    levels : ndarray of shape (n_rows, n_lengths)
        Levels of means, longest first, each over half as many rows as the previous one.
        NaN where unknown.

    Returns
    -------
    limited : ndarray of the same shape
    """
    limited = levels.copy()
    most = _HEAD_START + _MOST_OF_HALF * np.maximum(levels[:, 1:], 0)
    np.minimum(levels[:, :-1], most, out=limited[:, :-1])
    return limited


def levels_of_rows(levels):
    """Combine several levels of each row into one.

    Parameters
    ----------
    levels : ndarray of shape (n_rows, n_levels)
        Levels of each row, with that of the row alone last. NaN where unknown.

    Returns
    -------
    level : ndarray of shape (n_rows,)
        Half the logarithm of the mean of ``exp(2 * levels)``, in which the last level
        has three times the weight. NaN if the last level is unknown, because a fault in
        a single row would be lost in the others.
    parts : ndarray of shape (n_rows, n_levels)
        Share of each level in that mean. The shares of a row sum to 1.
    """
    highest = np.fmax.reduce(levels, axis=1)
    parts = np.exp(_EXPONENT * (levels - highest[:, None]))
    parts[:, -1] *= _ROW_WEIGHT
    count = levels.shape[1] - 1 + _ROW_WEIGHT
    unknown = np.isnan(levels)
    if unknown.any():
        parts[unknown] = 0
        weights = np.ones(levels.shape[1])
        weights[-1] = _ROW_WEIGHT
        count = np.where(unknown, 0, weights).sum(axis=1)
        nothing = unknown[:, -1]
        highest[nothing], count[nothing], parts[nothing, -1] = np.nan, 1, 1
    total = parts.sum(axis=1)
    parts /= total[:, None]
    return highest + np.log(total / count) / _EXPONENT, parts


def power_mean(levels, weights=1.0):
    """Combine several levels of each row by a weighted power mean.

    Parameters
    ----------
    levels : ndarray of shape (n_rows, n_levels)
        Levels of each row. -inf where an error is 0, NaN where unknown, but not for all
        levels of a row.
    weights : ndarray of shape (n_levels,) or float, default=1.0
        Weights of the levels, not all 0.

    Returns
    -------
    level : ndarray of shape (n_rows,)
        Half the logarithm of the weighted mean of ``exp(2 * levels)``.
    parts : ndarray of shape (n_rows, n_levels)
        Share of each level in that mean. The shares of a row sum to 1.
    """
    weights = np.where(np.isnan(levels), 0, weights)
    levels = np.nan_to_num(levels, nan=-_FAR, neginf=-_FAR)
    highest = levels.max(axis=1)
    parts = weights * np.exp(_EXPONENT * (levels - highest[:, None]))
    total = np.maximum(parts.sum(axis=1), np.finfo(np.float64).tiny)
    parts /= total[:, None]
    return highest + np.log(total / weights.sum(axis=1)) / _EXPONENT, parts


def share_out(levels, shares):
    """Return the errors of rows, distributed over the channels.

    Parameters
    ----------
    levels : ndarray of shape (n_rows, n_levels)
        Levels of each row, as in `levels_of_rows`.
    shares : ndarray of shape (n_rows, n_levels, n_channels)
        Shares of the channels in each level, with a mean of 1 over the channels that
        are not NaN. Each level distributes its part of the error of the row.

    Returns
    -------
    errors : ndarray of shape (n_rows, n_channels)
        NaN where a channel contributes to no level. The mean over the others is the
        error of the row.
    """
    level, weights = levels_of_rows(levels)
    return error_of_level(level)[:, None] * join_shares(weights, shares)


def shares_of(errors, means):
    """Return the shares of the channels in the errors of rows.

    Parameters
    ----------
    errors : ndarray of shape (n_rows, n_channels)
        Errors, NaN where unknown.
    means : ndarray of shape (n_rows,)
        Means over the channels.

    Returns
    -------
    shares : ndarray of shape (n_rows, n_channels)
        Errors relative to their mean. Equal where all are 0.
    """
    shares = np.where(np.isnan(errors), np.nan, 1.0)
    positive = (means > 0)[:, None]
    return np.divide(errors, means[:, None], out=shares, where=positive)


def join_shares(weights, shares):
    """Return the weighted mean of several shares of the channels.

    Parameters
    ----------
    weights : ndarray of shape (n_rows, n_levels)
        Weights, which sum to 1 in each row.
    shares : ndarray of shape (n_rows, n_levels, n_channels)
        Shares, with a mean of 1 over the channels that are not NaN.

    Returns
    -------
    joined : ndarray of shape (n_rows, n_channels)
        NaN where a channel contributes to no level. The mean over the others is 1.
    """
    known = ~np.isnan(shares)
    if known.all():
        return np.einsum("rl,rlc->rc", weights, shares)
    somewhere = known.any(axis=1)  # (n_rows, n_channels)
    # Levels with fewer known channels keep their full weight.
    n_known = np.maximum(known.sum(axis=2), 1)
    fewer = somewhere.sum(axis=1)[:, None] / n_known
    joined = np.einsum("rl,rlc->rc", weights * fewer, np.where(known, shares, 0))
    joined[~somewhere] = np.nan
    return joined


def error_of_level(level):
    """Map a level to a positive error, which is close to the level if that is large."""
    with np.errstate(invalid="ignore"):  # NaN where unknown
        return np.logaddexp(0, level)


def level_of_error(error):
    """Return the level of a non-negative error: the inverse of `error_of_level`."""
    with np.errstate(divide="ignore"):  # -inf of 0
        return error + np.log(-np.expm1(-error))


class RowErrorRule:
    """Base class of rules that aggregate squared residuals into errors of rows.

    The base class is a causal rule that learns only the scale of its errors. Subclasses
    override ``errors_of_windows`` and the attributes that differ.

    Parameters
    ----------
    window_size : int
        Number of rows that the rule may look back over, including the row itself.
    stride : int, default=1
        Rows between windows, for rules with `overlaps`.

    Attributes
    ----------
    calibration : LogCalibration
        Scale of the errors.
    looks_ahead : bool
        Whether the error of a row depends on the `window_size` - 1 rows after it.
    overlaps : bool
        Whether the rule averages over all windows that contain a row, and thus supports
        a stride.
    n_rows : int
        Number of rows at the end of each window whose residuals are needed.
    """

    looks_ahead = False
    overlaps = False

    def __init__(self, window_size, stride=1):
        self.window_size = window_size
        self.stride = stride

    @property
    def n_rows(self):
        """Number of rows at the end of each window whose residuals are needed."""
        return self.window_size

    def memory(self, n_timestamps, n_channels):
        """Estimate the bytes that `fit` takes in addition to the errors."""
        return 0

    def fit(self, residuals, rows):
        """Learn the scale of the training errors.

        Parameters
        ----------
        residuals : Residuals
            Residuals of the training series.
        rows : ndarray of int
            Rows whose errors set the scale. Rows with padded windows are ignored.

        Returns
        -------
        errors : ndarray of shape (n_timestamps, n_channels)
            Errors of all rows, as from `errors`, without running the model twice.
        """
        errors = self.errors(residuals)
        self._calibrate(errors[residuals.whole_of(rows)])
        return errors

    def _calibrate(self, errors):
        """Learn the scale of the errors of rows."""
        self.calibration = LogCalibration(mean_of_known(errors, axis=1))

    def levels(self, errors):
        """Return the normalised scores of rows.

        Parameters
        ----------
        errors : ndarray of shape (n_rows,)
            Errors by this rule, averaged over the channels.

        Returns
        -------
        levels : ndarray of shape (n_rows,)
            0 for the median of the training rows, 1 for their 99 % quantile.
        """
        return self.calibration(errors)

    def errors(self, residuals):
        """Return the errors of all rows of a series.

        Parameters
        ----------
        residuals : Residuals

        Returns
        -------
        errors : ndarray of shape (n_timestamps, n_channels)
            float64. NaN at breaks, for unknown channels, and in rows whose windows are
            padded.
        """
        errors = np.full(residuals.shape, np.nan)
        errors[residuals.rows] = self.errors_at(residuals, residuals.rows)
        return errors

    def errors_at(self, residuals, rows):
        """Return the errors of some rows by a causal rule.

        Parameters
        ----------
        residuals : Residuals
        rows : ndarray of int
            Rows, without breaks.

        Returns
        -------
        errors : ndarray of shape (len(rows), n_channels)
        """
        errors = np.empty((len(rows), residuals.shape[1]))
        done = 0
        for batch, squared in residuals.batches(rows, self.n_rows):
            errors[done : done + len(batch)] = self.errors_of_windows(squared)
            done += len(batch)
        return errors

    def errors_of_windows(self, squared):
        """Return the errors of the last rows of windows by a causal rule.

        Parameters
        ----------
        squared : ndarray of shape (n_windows, n_rows, n_channels)
            Squared residuals.

        Returns
        -------
        errors : ndarray of shape (n_windows, n_channels)
            NaN if a row of the window is entirely unknown.
        """
        errors = mean_of_known(squared, axis=1)
        errors[np.isnan(squared).all(axis=2).any(axis=1)] = np.nan
        return errors

    def windows_to_run(self, series):
        """Choose the windows that cover all rows, and the rows that each one covers.

        Parameters
        ----------
        series : TrailingWindows or Residuals

        Returns
        -------
        rows : ndarray of shape (n_windows,)
            Last rows of the windows: every `stride`-th row of a stretch and its last.
        covers_from : ndarray of shape (n_windows,)
            First row that takes a value from each window.
        """
        rows = series.rows
        first_rows = series.first_rows[rows]
        on_grid = (rows - first_rows) % self.stride == 0
        # The last rows of a stretch may be in no window on the grid. They use the one
        # that ends with the stretch. Earlier rows do not, because their values would
        # depend on whether another row follows.
        is_last = np.append(first_rows[1:] != first_rows[:-1], True)[: len(rows)]
        grid_end = np.maximum.accumulate(np.where(on_grid, rows, 0))
        covers_from = np.where(on_grid, first_rows, grid_end + 1)
        wanted = on_grid | is_last
        return rows[wanted], covers_from[wanted]


class LastRow(RowErrorRule):
    """The residual of the row itself, in the window that ends there."""

    @property
    def n_rows(self):
        """Number of rows at the end of each window whose residuals are needed."""
        # Only the last row.
        return 1


class WindowMean(RowErrorRule):
    """The mean over the window that ends at the row."""


class OverlapMean(RowErrorRule):
    """The residual of the row itself, averaged over all windows that contain it."""

    looks_ahead = True
    overlaps = True

    def errors(self, residuals):
        """Return the errors of all rows of a series."""
        average = RowAverage(residuals.shape)
        rows, covers_from = self.windows_to_run(residuals)
        known = residuals.known[rows]
        rows, covers_from = rows[known], covers_from[known]
        done = 0
        for batch, squared in residuals.batches(rows, self.n_rows):
            average.add(squared, batch, covers_from[done : done + len(batch)])
            done += len(batch)
        return average.result()


class Multiscale(RowErrorRule):
    """Means over several lengths, each normalised separately.

    Attributes
    ----------
    limit : float
        Limit of rows, as from `limit_of_rows`.
    calibration : LogCalibration
        Scale of each length.
    """

    def memory(self, n_timestamps, n_channels):
        """Estimate the bytes that `fit` takes in addition to the errors."""
        return 4 * n_timestamps * n_channels * n_lengths(self.window_size)

    def fit(self, residuals, rows):
        """Learn the limit of single rows and the scales, and return the errors."""
        rows = residuals.whole_of(rows)
        self.limit = np.inf
        self.limit = self._find_limit(residuals, rows)
        means, shares = self._by_length(residuals)
        self.calibration = LogCalibration(means[np.isin(residuals.rows, rows)])
        return self._combine(residuals, means, shares)

    def levels(self, errors):
        """Return the normalised scores of rows, from which errors are derived."""
        return level_of_error(errors)

    def errors_at(self, residuals, rows):
        """Return the errors of some rows by a causal rule."""
        errors = np.empty((len(rows), residuals.shape[1]))
        done = 0
        for batch, by_length in self._means(residuals, rows):
            errors[done : done + len(batch)] = self._errors(by_length)
            done += len(batch)
        return errors

    def errors_of_windows(self, squared):
        """Return the errors of the last rows of windows."""
        return self._errors(means_by_length(squared, self.limit))

    def _errors(self, by_length):
        means, shares = means_and_shares(by_length)
        return share_out(_within_reach(self.calibration(means)), shares)

    def _means(self, residuals, rows):
        """Yield batches of rows, and their means as from `means_by_length`."""
        if residuals.are_of_rows:
            for batch, squared, places in residuals.stretches(rows, self.n_rows):
                means = trailing_means_by_length(squared, self.window_size, self.limit)
                yield batch, means[places]
        else:
            for batch, squared in residuals.batches(rows, self.n_rows):
                yield batch, means_by_length(squared, self.limit)

    def _find_limit(self, residuals, rows):
        """Compute the limit of the error of a row in a mean over several rows."""
        # Windows without overlap.
        rows = evenly(rows[:: -self.window_size][::-1])
        errors = [
            mean_of_known(squared, axis=2)
            for _, squared in residuals.batches(rows, self.n_rows)
        ]
        return limit_of_rows(np.concatenate(errors))

    def _by_length(self, residuals):
        """Return means and shares of all windows, as from `means_and_shares`."""
        n_rows, n_channels = len(residuals.rows), residuals.shape[1]
        means = np.empty((n_rows, n_lengths(self.window_size)))
        # Shares are the largest array and need no double precision.
        shares = np.empty((*means.shape, n_channels), np.float32)
        done = 0
        for batch, by_length in self._means(residuals, residuals.rows):
            part = slice(done, done + len(batch))
            means[part], shares[part] = means_and_shares(by_length)
            done += len(batch)
        return means, shares

    def _combine(self, residuals, means, shares):
        """Return the errors of all rows from the results of `_by_length`."""
        errors = np.full(residuals.shape, np.nan)
        errors[residuals.rows] = multiscale_errors(
            self.calibration(means),
            shares,
            window_size=self.window_size,
            first_rows=(
                residuals.first_rows[residuals.rows] if self.looks_ahead else None
            ),
        )
        return errors


class MultiscaleCentered(Multiscale):
    """Like `Multiscale`, with means over the rows that follow as well."""

    looks_ahead = True

    def errors(self, residuals):
        """Return the errors of all rows of a series."""
        return self._combine(residuals, *self._by_length(residuals))


# All rules by their name in `row_error`.
RULES = {
    "multiscale": Multiscale,
    "multiscale_centered": MultiscaleCentered,
    "last": LastRow,
    "window_mean": WindowMean,
    "overlap_mean": OverlapMean,
}
