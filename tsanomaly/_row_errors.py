# SPDX-License-Identifier: MIT
"""From the residuals of windows to the errors of rows.

Nothing here knows of networks. Residuals come in as arrays of windows, errors go out
with one row for each window, that of its last row.

The residual of a missing reading is NaN. Means are over the readings there are, and NaN
where there are none; every row has at least one.
"""

import numpy as np

from tsanomaly._calibration import LogCalibration
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
    "limit_of_rows",
    "mean_of_known",
    "means_and_shares",
    "means_by_length",
    "multiscale_errors",
    "n_lengths",
    "power_mean",
    "share_out",
    "shares_of",
    "squared_residuals",
]

# Windows that are looked at, at most, to see how large errors are.
_MOST_SAMPLED_WINDOWS = 1000

# Rows that errors are put together for at a time.
_BLOCK = 4096

# In a mean over several rows, each counts with at most so many times the error that 99
# percent of the training rows stay below. One row that is far off would otherwise fill
# the means of a whole window, and rank the rows after it above ones that are abnormal.
_LIMIT, _LIMIT_QUANTILE = 3.0, 0.99

# Exponent of the power mean that makes one level of several, and how often that of the
# row alone counts in it.
_EXPONENT, _ROW_WEIGHT = 2, 3

# A normalised score as low as that of no error at all.
_FAR = 1e4

# A mean over several rows counts at most by so much, and by so many times the score of
# the later half of these rows if that is above 0. What ended many rows ago would
# otherwise fill the longer means, and rank the rows after it above others.
_HEAD_START, _MOST_OF_HALF = 0.5, 1.5


def squared_residuals(actual, reconstructed):
    """Squares of what windows and their reconstructions differ by.

    Parameters
    ----------
    actual, reconstructed : ndarray of shape (n_windows, window_size, n_channels)
        float32.

    Returns
    -------
    squared : ndarray of the same shape
        float64: in float32 the square of a residual of 1e20 would overflow. NaN where
        `actual` is.
    """
    return np.square(np.subtract(actual, reconstructed, dtype=np.float64))


def mean_of_known(values, axis):
    """Mean of what is not NaN; NaN where nothing else is.

    Parameters
    ----------
    values : ndarray
        Any array. Without NaN, its mean.
    axis : int
        Axis that the mean is over.

    Returns
    -------
    mean : ndarray of one dimension less
    """
    known = ~np.isnan(values)
    if known.all():
        return values.mean(axis=axis)
    total = np.where(known, values, 0).sum(axis=axis)
    return _ratio(total, known.sum(axis=axis))


def _ratio(total, count):
    """Mean of what was counted; NaN where nothing was."""
    mean = np.full(total.shape, np.nan)
    return np.divide(total, count, out=mean, where=count > 0)


def evenly(rows, most=_MOST_SAMPLED_WINDOWS):
    """Some of the rows, evenly spaced, if they are more than `most`."""
    n_rows = min(len(rows), most)
    return rows[np.linspace(0, len(rows) - 1, n_rows).astype(np.intp)]


def n_lengths(window_size):
    """How many lengths 'multiscale' rules look back over."""
    return window_size.bit_length()


def _lengths(window_size):
    """Rows that 'multiscale' rules look back over: a window, half of it, …, 1."""
    return window_size >> np.arange(n_lengths(window_size))


def limit_of_rows(errors):
    """The most that a row counts with in a mean over several.

    Parameters
    ----------
    errors : ndarray of shape (n_windows, window_size)
        Mean squared residuals of the rows in training windows.

    Returns
    -------
    limit : float
        Infinity where nearly all errors are 0, which are no scale.
    """
    high = np.quantile(errors, _LIMIT_QUANTILE)
    return float(_LIMIT * high) if high > 0 else np.inf


def _limited(squared, limit):
    """Squared residuals, scaled down in rows whose mean is beyond the limit."""
    errors = mean_of_known(squared, axis=2)
    if not (errors > limit).any():
        return squared
    with np.errstate(divide="ignore"):
        return squared * np.minimum(limit / errors, 1)[:, :, None]


def means_by_length(squared, limit):
    """Means over the last rows of windows: all of them, half as many, …, one.

    Parameters
    ----------
    squared : ndarray of shape (n_windows, window_size, n_channels)
        Squared residuals.
    limit : float
        As from `limit_of_rows`. In means over more than one row, a row whose mean over
        the channels is larger counts with that.

    Returns
    -------
    means : ndarray of shape (n_windows, n_lengths, n_channels)
        NaN over rows of which one is not known at all: a mean over fewer rows is on
        another scale.
    """
    lengths = _lengths(squared.shape[1])
    limited = _limited(squared, limit)
    known = ~np.isnan(limited)
    if known.all():
        totals = np.cumsum(limited[:, ::-1], axis=1)[:, lengths - 1]
        means = totals / lengths[:, None]
    else:
        limited = np.where(known, limited, 0)
        totals, counts = (
            np.cumsum(values[:, ::-1], axis=1)[:, lengths - 1]
            for values in (limited, known)
        )
        means = _ratio(totals, counts)
        unknown = ~known.any(axis=2)[:, ::-1]
        means[np.logical_or.accumulate(unknown, axis=1)[:, lengths - 1]] = np.nan
    means[:, -1] = squared[:, -1]
    return means


def means_and_shares(squared, limit):
    """Errors of windows by length, and what the channels contribute.

    Parameters
    ----------
    squared : ndarray of shape (n_windows, window_size, n_channels)
        Squared residuals.
    limit : float
        As for `means_by_length`.

    Returns
    -------
    means : ndarray of shape (n_windows, n_lengths)
        Mean over the channels.
    shares : ndarray of shape (n_windows, n_lengths, n_channels)
        Error of each channel, relative to that mean; float32. NaN where a channel has
        no reading.
    """
    errors = means_by_length(squared, limit)
    means = mean_of_known(errors, axis=2)
    # Where nothing is wrong, all are alike.
    shares = np.where(np.isnan(errors), np.nan, 1.0)
    np.divide(errors, means[:, :, None], out=shares, where=means[:, :, None] > 0)
    return means, shares.astype(np.float32)


def multiscale_errors(levels, shares, *, window_size, first_rows=None):
    """Errors of rows by a 'multiscale' rule.

    Parameters
    ----------
    levels : ndarray of shape (n_rows, n_lengths)
        Level of the windows that end at the rows, for each length.
    shares : ndarray of shape (n_rows, n_lengths, n_channels)
        As from `means_and_shares`.
    window_size : int
        Rows in a window.
    first_rows : ndarray of shape (n_rows,) or None, default=None
        Which stretch each row belongs to, in increasing order, to look ahead as well,
        within the stretch. None looks back only.

    Returns
    -------
    errors : ndarray of shape (n_rows, n_channels)
    """
    n_rows = len(levels)
    errors = np.empty((n_rows, shares.shape[2]))
    lengths = _lengths(window_size)
    index = np.arange(len(lengths))
    if first_rows is not None:
        last = np.searchsorted(first_rows, first_rows, side="right") - 1
    for start in range(0, n_rows, _BLOCK):
        block = np.arange(start, min(start + _BLOCK, n_rows))
        block_levels, block_shares = levels[block], shares[block]
        if first_rows is not None:
            # The mean over the k rows that start at a row is the one over the k rows
            # that end k - 1 rows later, or where the stretch ends.
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
    """Levels of means over several rows, as far as half of these rows bear them out.

    Parameters
    ----------
    levels : ndarray of shape (n_rows, n_lengths)
        Of the longest mean first, each over half as many rows as the one before it. NaN
        where one is not known.

    Returns
    -------
    limited : ndarray of the same shape
    """
    limited = levels.copy()
    most = _HEAD_START + _MOST_OF_HALF * np.maximum(levels[:, 1:], 0)
    np.minimum(levels[:, :-1], most, out=limited[:, :-1])
    return limited


def levels_of_rows(levels):
    """One level for every row, out of several.

    Parameters
    ----------
    levels : ndarray of shape (n_rows, n_levels)
        Several levels of every row, that of the row alone last; NaN where one is not
        known.

    Returns
    -------
    level : ndarray of shape (n_rows,)
        Half the logarithm of the mean of ``exp(2 * levels)``, in which the last counts
        three times: between their weighted mean and the highest. NaN if the last is
        not known: a fault of a single row would be lost in the others.
    parts : ndarray of shape (n_rows, n_levels)
        Share of each level in that mean; those of a row sum to 1.
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
    """One level for every row, out of several.

    Parameters
    ----------
    levels : ndarray of shape (n_rows, n_levels)
        Several levels of every row; -inf where an error is 0, NaN where one is not
        known, but not of all.
    weights : ndarray of shape (n_levels,) or float, default=1.0
        How much each counts; not all 0.

    Returns
    -------
    level : ndarray of shape (n_rows,)
        Half the logarithm of the mean of ``exp(2 * levels)``.
    parts : ndarray of shape (n_rows, n_levels)
        Share of each level in that mean; those of a row sum to 1.
    """
    weights = np.where(np.isnan(levels), 0, weights)
    levels = np.nan_to_num(levels, nan=-_FAR, neginf=-_FAR)
    highest = levels.max(axis=1)
    parts = weights * np.exp(_EXPONENT * (levels - highest[:, None]))
    total = np.maximum(parts.sum(axis=1), np.finfo(np.float64).tiny)
    parts /= total[:, None]
    return highest + np.log(total / weights.sum(axis=1)) / _EXPONENT, parts


def share_out(levels, shares):
    """Errors of rows and channels.

    Parameters
    ----------
    levels : ndarray of shape (n_rows, n_levels)
        Several levels of every row, as `levels_of_rows` takes them.
    shares : ndarray of shape (n_rows, n_levels, n_channels)
        What each channel contributes to each, with a mean of 1 over the channels, or
        over those that are not NaN. The larger the part that a level has of the row's,
        the more it decides on the channels.

    Returns
    -------
    errors : ndarray of shape (n_rows, n_channels)
        NaN where a channel contributes to no level. The mean over the others is the
        error of the row.
    """
    level, weights = levels_of_rows(levels)
    return error_of_level(level)[:, None] * join_shares(weights, shares)


def shares_of(errors, means):
    """What the channels contribute to the errors of rows.

    Parameters
    ----------
    errors : ndarray of shape (n_rows, n_channels)
        NaN where nothing is known of a channel.
    means : ndarray of shape (n_rows,)
        Their means over the channels.

    Returns
    -------
    shares : ndarray of shape (n_rows, n_channels)
        Errors relative to their mean; alike where all are 0.
    """
    shares = np.where(np.isnan(errors), np.nan, 1.0)
    positive = (means > 0)[:, None]
    return np.divide(errors, means[:, None], out=shares, where=positive)


def join_shares(weights, shares):
    """What the channels contribute to the errors of rows, from several shares.

    Parameters
    ----------
    weights : ndarray of shape (n_rows, n_levels)
        How much each counts; those of a row sum to 1.
    shares : ndarray of shape (n_rows, n_levels, n_channels)
        With a mean of 1 over the channels, or over those that are not NaN.

    Returns
    -------
    joined : ndarray of shape (n_rows, n_channels)
        NaN where a channel contributes to none. The mean over the others is 1.
    """
    known = ~np.isnan(shares)
    if known.all():
        return np.einsum("rl,rlc->rc", weights, shares)
    somewhere = known.any(axis=1)  # (n_rows, n_channels)
    # Levels that know fewer channels than the row count as much as the others.
    n_known = np.maximum(known.sum(axis=2), 1)
    fewer = somewhere.sum(axis=1)[:, None] / n_known
    joined = np.einsum("rl,rlc->rc", weights * fewer, np.where(known, shares, 0))
    joined[~somewhere] = np.nan
    return joined


def error_of_level(level):
    """A positive number that rises with the level, and is close to it if that is."""
    with np.errstate(invalid="ignore"):  # NaN where nothing is known
        return np.logaddexp(0, level)


def level_of_error(error):
    """Inverse of `error_of_level`, for errors that are not negative."""
    with np.errstate(divide="ignore"):  # -inf of 0
        return error + np.log(-np.expm1(-error))


class RowErrorRule:
    """How the squared residuals of windows become the errors of rows.

    This base class is what all rules share: a rule that is causal and learns nothing
    but the scale of its errors. Another one defines ``errors_of_windows``, and the
    attributes that differ.

    Parameters
    ----------
    window_size : int
        Rows that a rule may look back over, the row itself among them.
    stride : int, default=1
        Rows between the windows that are looked at, for rules that have `overlaps`.

    Attributes
    ----------
    calibration : LogCalibration
        The scale of its errors.
    looks_ahead : bool
        Whether the error of a row depends on rows after it, `window_size` - 1 of them.
    overlaps : bool
        Whether the rule averages over the windows that hold a row, and so takes a
        stride.
    n_rows : int
        How many rows of each window the rule needs the residuals of, the last ones.
    """

    looks_ahead = False
    overlaps = False

    def __init__(self, window_size, stride=1):
        self.window_size = window_size
        self.stride = stride

    @property
    def n_rows(self):
        """Rows of each window whose residuals are needed, the last ones."""
        return self.window_size

    def memory(self, n_timestamps, n_channels):
        """Bytes that `fit` takes, beside those of the errors."""
        return 0

    def fit(self, residuals, rows):
        """Learn the scale of training errors.

        Parameters
        ----------
        residuals : Residuals
            Those of the training series.
        rows : ndarray of int
            Rows whose errors are the scale; if their windows are padded, only where all
            are.

        Returns
        -------
        errors : ndarray of shape (n_timestamps, n_channels)
            Errors of all rows, as from `errors`, without a second run of the model.
        """
        errors = self.errors(residuals)
        self._calibrate(errors[residuals.whole_of(rows)])
        return errors

    def _calibrate(self, errors):
        """Learn the scale of the errors of rows."""
        self.calibration = LogCalibration(mean_of_known(errors, axis=1))

    def levels(self, errors):
        """Normalised scores of rows.

        Parameters
        ----------
        errors : ndarray of shape (n_rows,)
            Means over the channels of the errors that this rule makes.

        Returns
        -------
        levels : ndarray of shape (n_rows,)
            0 for the median of the training rows, 1 for their 99 % quantile.
        """
        return self.calibration(errors)

    def errors(self, residuals):
        """Errors of every row of a series.

        Parameters
        ----------
        residuals : Residuals

        Returns
        -------
        errors : ndarray of shape (n_timestamps, n_channels)
            float64; NaN at breaks, where nothing is known of a channel, and in rows
            that the rule cannot judge because their windows are padded.
        """
        errors = np.full(residuals.shape, np.nan)
        errors[residuals.rows] = self.errors_at(residuals, residuals.rows)
        return errors

    def errors_at(self, residuals, rows):
        """Errors of some rows, by a causal rule.

        Parameters
        ----------
        residuals : Residuals
        rows : ndarray of int
            Without breaks.

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
        """Errors of the last rows of windows, by a causal rule.

        Parameters
        ----------
        squared : ndarray of shape (n_windows, n_rows, n_channels)
            Squared residuals.

        Returns
        -------
        errors : ndarray of shape (n_windows, n_channels)
            NaN where a row of the window is not known at all.
        """
        errors = mean_of_known(squared, axis=1)
        errors[np.isnan(squared).all(axis=2).any(axis=1)] = np.nan
        return errors

    def windows_to_run(self, series):
        """Which windows to run for values of every row, and the rows each is for.

        Parameters
        ----------
        series : TrailingWindows or Residuals

        Returns
        -------
        rows : ndarray of shape (n_windows,)
            Rows at which the windows end: every `stride`-th of a stretch, and its last.
        covers_from : ndarray of shape (n_windows,)
            The first row that takes a value from each window.
        """
        rows = series.rows
        first_rows = series.first_rows[rows]
        on_grid = (rows - first_rows) % self.stride == 0
        # The last rows of a stretch may be in no window on the grid. They get the one
        # that ends with the stretch; rows before them do not, or what they get would
        # depend on whether yet another row follows.
        is_last = np.append(first_rows[1:] != first_rows[:-1], True)[: len(rows)]
        grid_end = np.maximum.accumulate(np.where(on_grid, rows, 0))
        covers_from = np.where(on_grid, first_rows, grid_end + 1)
        wanted = on_grid | is_last
        return rows[wanted], covers_from[wanted]


class LastRow(RowErrorRule):
    """The residual of the row itself, in the window that ends there."""

    @property
    def n_rows(self):
        """Rows of each window whose residuals are needed: the last."""
        return 1


class WindowMean(RowErrorRule):
    """The mean over the window that ends at the row."""


class OverlapMean(RowErrorRule):
    """The residual of the row itself, averaged over all windows that hold it."""

    looks_ahead = True
    overlaps = True

    def errors(self, residuals):
        """Errors of every row of a series."""
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
    """Means over several lengths, each on a scale of its own.

    Attributes
    ----------
    limit : float
        As from `limit_of_rows`.
    calibration : LogCalibration
        The scale of each length.
    """

    def memory(self, n_timestamps, n_channels):
        """Bytes that `fit` takes, beside those of the errors."""
        return 4 * n_timestamps * n_channels * n_lengths(self.window_size)

    def fit(self, residuals, rows):
        """Learn the limit of single rows and the scales, and return errors."""
        rows = residuals.whole_of(rows)
        self.limit = np.inf
        self.limit = self._find_limit(residuals, rows)
        means, shares = self._by_length(residuals)
        self.calibration = LogCalibration(means[np.isin(residuals.rows, rows)])
        return self._combine(residuals, means, shares)

    def levels(self, errors):
        """Normalised scores of rows, which their errors are made of."""
        return level_of_error(errors)

    def errors_of_windows(self, squared):
        """Errors of the last rows of windows."""
        means, shares = means_and_shares(squared, self.limit)
        return share_out(_within_reach(self.calibration(means)), shares)

    def _find_limit(self, residuals, rows):
        """The most that a row counts with in a mean over several."""
        # Windows that do not overlap.
        rows = evenly(rows[:: -self.window_size][::-1])
        errors = [
            mean_of_known(squared, axis=2)
            for _, squared in residuals.batches(rows, self.n_rows)
        ]
        return limit_of_rows(np.concatenate(errors))

    def _by_length(self, residuals):
        """Means and shares of all windows, as from `means_and_shares`."""
        n_rows, n_channels = len(residuals.rows), residuals.shape[1]
        means = np.empty((n_rows, n_lengths(self.window_size)))
        # Shares are the largest array of all, and need no double precision.
        shares = np.empty((*means.shape, n_channels), np.float32)
        done = 0
        for batch, squared in residuals.batches(residuals.rows, self.n_rows):
            part = slice(done, done + len(batch))
            means[part], shares[part] = means_and_shares(squared, self.limit)
            done += len(batch)
        return means, shares

    def _combine(self, residuals, means, shares):
        """Errors of every row, from what `_by_length` returned."""
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
    """The same, over the rows that end at the row and those that start there."""

    looks_ahead = True

    def errors(self, residuals):
        """Errors of every row of a series."""
        return self._combine(residuals, *self._by_length(residuals))


# All rules, by what `row_error` may be.
RULES = {
    "multiscale": Multiscale,
    "multiscale_centered": MultiscaleCentered,
    "last": LastRow,
    "window_mean": WindowMean,
    "overlap_mean": OverlapMean,
}
