# SPDX-License-Identifier: MIT
"""Thresholds and common scales from the distribution of training errors."""

import numpy as np
from scipy.optimize import brentq
from scipy.special import betaln

__all__ = [
    "AUTO_SHARE",
    "Calibration",
    "ErrorSummary",
    "LogCalibration",
    "fit_generalised_pareto",
    "margin",
    "midway_threshold",
    "relative_errors",
    "tail_excesses",
]

# Share of the training rows that contamination="auto" lets the threshold flag.
AUTO_SHARE = 0.01

# Minimum number of errors in a tail to estimate its shape.
_SMALLEST_TAIL = 10

# Negated shapes of a tail that is nearly exponential, and of one with nearly equal
# errors.
_FLATTEST, _STEEPEST = 1e-3, 1e3

# Differences of larger errors, and division by smaller scales, would overflow.
_LARGEST, _SMALLEST = 1e300, 1e-290

# Maximum number of training errors that a calibration stores. It interpolates between
# them.
_MOST_KNOTS = 2000

# On the logarithmic scale, the normalised score of this training quantile is 1.
_UNIT_QUANTILE = 0.99

# Errors below this share of the median are treated as rounding errors on the
# logarithmic scale.
_LOG_FLOOR = 1e-3

# Minimum unit of the logarithmic scale, for training errors that hardly differ.
_SMALLEST_UNIT = 0.1


def midway_threshold(errors, share):
    """Return a threshold with at most a given share of the errors above it.

    The threshold lies midway between two neighbouring distinct errors, so that
    differences in the last bits (due to batch shapes or backends) never move an error
    across it. Errors that are tied at the cut are not above the threshold.

    Parameters
    ----------
    errors : ndarray of shape (n,)
        Finite errors, higher = worse.
    share : float
        Maximum share of the errors above the threshold, in [0, 1). Without ties,
        ``floor(share * n)`` errors are above. If that is 0, the threshold is slightly
        above the largest error.

    Returns
    -------
    threshold : float
        Larger errors are flagged.
    """
    return _midway(np.sort(errors), np.arange(len(errors)), share)


def _midway(ordered, ranks, share):
    """Compute `midway_threshold` from sorted errors at known ranks."""
    n = ranks[-1] + 1
    # The small term undoes rounding, as in 0.29 * 100 = 28.999…
    rank = max(n - 1 - int(share * n + 1e-9), 0)
    below = np.interp(rank, ranks, ordered)
    position = np.searchsorted(ordered, below, side="right")
    if position == len(ordered):
        return float(below + margin(below, ordered))
    # After the last one of tied errors.
    midway = np.interp(max(rank, ranks[position - 1]) + 0.5, ranks, ordered)
    # Between adjacent floats, the midpoint may round to the upper one, which must stay
    # above the threshold.
    return float(min(midway, np.nextafter(ordered[position], -np.inf)))


def margin(error, ordered):
    """Return a distance from an error that rounding does not cross."""
    largest = max(abs(ordered[0]), abs(ordered[-1]))
    return max(1e-4 * abs(error), 1e-12 * largest, np.finfo(np.float64).tiny)


def relative_errors(errors, thresholds):
    """Return errors relative to thresholds: 1 at the threshold, larger above it.

    Parameters
    ----------
    errors : ndarray of shape (n_timestamps, n_channels)
        Errors, higher = worse.
    thresholds : ndarray of shape (n_channels,)
        Thresholds, not 0.

    Returns
    -------
    relative : ndarray of shape (n_timestamps, n_channels)
        ``1 + (error - threshold) / abs(threshold)``, which equals
        ``error / threshold`` for positive thresholds.
    """
    relative = errors / thresholds
    return np.where(thresholds > 0, relative, 2 - relative)


def tail_excesses(errors, tail_fraction):
    """Return the excesses of the largest errors over a level.

    Parameters
    ----------
    errors : ndarray of shape (n,)
        Finite errors, higher = worse.
    tail_fraction : float
        Share of the errors in the tail, in (0, 0.5], but at least ten errors or half of
        them.

    Returns
    -------
    level : float
        Level that the errors of the tail exceed.
    excesses : ndarray
        Excesses over the level in ascending order. Empty if the largest errors are
        tied.
    """
    n_tail = max(tail_fraction * len(errors), min(_SMALLEST_TAIL, len(errors) / 2))
    level = midway_threshold(errors, min(n_tail / len(errors), 0.5))
    return level, np.sort(errors[errors > level]) - level


def fit_generalised_pareto(excesses):
    """Estimate shape and scale of a tail by probability-weighted moments.

    The estimator of Hosking and Wallis (1987), which is valid for shapes within ±0.5.
    For tails of a few dozen errors, maximum likelihood, as in Siffer et al., often puts
    the end of the distribution at the largest error, where the likelihood is unbounded.

    Bounded errors have shapes below -0.5 (-1 for a uniform distribution). For these,
    and if the estimated tail would end before the largest error, shape and scale are
    estimated from the mean and the largest error, which is more informative about the
    bound.

    Parameters
    ----------
    excesses : ndarray of shape (n,)
        At least two positive excesses in ascending order.

    Returns
    -------
    shape, scale : float
        With a positive shape, the tail is heavier than that of an exponential
        distribution. With a negative shape, it ends at ``-scale / shape``.
    """
    n = len(excesses)
    mean, largest = excesses.mean(), excesses[-1]
    weighted = (np.arange(n - 1, -1, -1) / (n - 1) * excesses).mean()
    gap = mean - 2 * weighted  # 0 or negative if the excesses hardly differ
    shape = min(2 - mean / gap, 0.5) if gap > 0 else -_STEEPEST
    if shape < -0.5 or -shape * largest > mean * (1 - shape):
        shape = _shape_of_a_bounded_tail(largest / mean, n)
    return shape, mean * (1 - shape)


def _shape_of_a_bounded_tail(ratio, n):
    """Return the shape for a given ratio of the largest of n errors to their mean."""

    def lacking(k):
        # The expected maximum of n errors is (scale / k) (1 - n B(n, 1 + k)).
        return (1 + k) / k * -np.expm1(np.log(n) + betaln(n, 1 + k)) - ratio

    if lacking(_STEEPEST) >= 0:
        return -_STEEPEST
    if lacking(_FLATTEST) <= 0:
        return -_FLATTEST
    return -brentq(lacking, _FLATTEST, _STEEPEST)


class Calibration:
    """Strictly increasing map from the errors of a detector to a common scale.

    Errors of different detectors have different units and spreads. They become
    comparable by how rare they are among the training rows.

    Within the range of the training errors, ``rank`` is the share of smaller errors
    (ties count half), and ``tail`` is ``-log10(1 - rank)``: 2 if one training row in a
    hundred is as bad, 3 for one in a thousand. Both are interpolated linearly. Beyond
    the largest training error, the scale follows a generalised Pareto distribution
    fitted to the largest 2 % of the training errors, with a shape of at least 0, so
    that it has no end: ``tail`` increases linearly for a light tail and logarithmically
    for a heavy one, and ``rank`` increases in proportion and eventually exceeds 1.
    Below the smallest training error, both decrease towards 0.

    Two errors have the same value only if they are equal, or cannot be distinguished in
    floating point on the new scale.

    Parameters
    ----------
    errors : ndarray of shape (n,)
        Training errors, higher = worse. NaN is ignored. Errors are clipped at ±1e300.
    scale : {'tail', 'rank'}
        The scale.
    """

    def __init__(self, errors, scale):
        errors = np.clip(errors, -_LARGEST, _LARGEST)
        errors = errors[~np.isnan(errors)]
        if not len(errors):
            raise ValueError("No training row has a score to calibrate with.")
        knots, counts = np.unique(errors, return_counts=True)
        below = np.cumsum(counts) - counts / 2
        rank, beyond = below / len(errors), 1 - below / len(errors)
        kept = _spread(len(knots))
        self.knots = knots[kept]
        self.values = rank[kept] if scale == "rank" else -np.log10(beyond[kept])
        # Increase of the value where the survival function decreases by a factor e.
        self.growth = beyond[-1] if scale == "rank" else 1 / np.log(10)
        level, excesses = tail_excesses(errors, 0.02)
        shape, spread = 0.0, np.ptp(knots)
        if len(excesses) > 1:
            shape, spread = fit_generalised_pareto(excesses)
            if shape <= 0:
                shape, spread = 0.0, excesses.mean()
        # Beyond the largest error, the tail has another scale.
        self.shape, self.above = shape, spread + shape * (knots[-1] - level)
        self.below = np.median(errors) - knots[0]
        # The scale must exceed differences in the last bits, also for equal errors.
        largest = np.abs(knots[[0, -1]]).max()
        smallest = 1e-9 * largest if len(knots) > 1 else (1e-3 * largest or 1.0)
        smallest = max(smallest, _SMALLEST)
        self.above, self.below = max(self.above, smallest), max(self.below, smallest)

    def __call__(self, errors):
        """Convert errors to the scale.

        Parameters
        ----------
        errors : ndarray of shape (n,)
            Errors, higher = worse. May contain NaN.

        Returns
        -------
        values : ndarray of shape (n,)
            Positive values, higher = worse. NaN where the error is NaN.
        """
        knots, values = self.knots, self.values
        errors = np.clip(errors, -_LARGEST, _LARGEST)
        right = np.searchsorted(knots, errors).clip(1, max(len(knots) - 1, 1))
        right = np.minimum(right, len(knots) - 1)  # a single knot is its own neighbour
        left = np.maximum(right - 1, 0)
        gap = np.where(left < right, knots[right] - knots[left], 1.0)
        with np.errstate(over="ignore", under="ignore"):
            share = ((errors - knots[left]) / gap).clip(0, 1)
            inside = values[left] + share * (values[right] - values[left])
            # Rounding must not raise a value above that of the next knot.
            inside = np.minimum(inside, values[right])
            excess = np.maximum(errors - knots[-1], 0) / self.above
            if self.shape > 0:
                excess = np.log1p(self.shape * excess) / self.shape
            lack = np.maximum(knots[0] - errors, 0) / self.below
            result = (inside + self.growth * excess) / (1 + lack)
        limits = np.finfo(np.float64)
        return np.clip(result, limits.tiny, limits.max)


class ErrorSummary:
    """Summary of training errors that suffices to set other thresholds.

    Quantiles are exact for up to 2,000 errors. Of more, 2,000 are kept: half of them
    evenly spaced by rank, and half increasingly dense towards the largest, where
    thresholds lie. Errors in between are interpolated linearly.

    Parameters
    ----------
    errors : ndarray of shape (n,)
        Finite errors, higher = worse.
    """

    def __init__(self, errors):
        self.ranks = _spread(len(errors))
        self.errors = np.sort(errors)[self.ranks]
        with np.errstate(over="ignore", invalid="ignore"):  # may not be finite
            self.mean, self.std = float(errors.mean()), float(errors.std())

    def quantile_threshold(self, share):
        """Return `midway_threshold` of all errors."""
        return _midway(self.errors, self.ranks, share)

    def sigma_threshold(self, k):
        """Return the mean + `k` standard deviations."""
        return self.mean + k * self.std


class LogCalibration:
    """Logarithmic map from errors to a common scale.

    The median of the training errors has the normalised score 0 and their 99 % quantile
    has 1. The score is linear in the logarithm of the error: an error that exceeds the
    median by twice as many orders of magnitude has twice the score. Several kinds of
    errors can be normalised side by side.

    Parameters
    ----------
    errors : ndarray of shape (n,) or (n, n_kinds)
        Non-negative training errors, higher = worse, of at least one row.
    """

    def __init__(self, errors):
        errors = np.minimum(errors, _LARGEST)
        # If most errors are 0, the mean sets the scale.
        typical = np.maximum(np.median(errors, axis=0), _LOG_FLOOR * errors.mean(0))
        self.floor = np.maximum(_LOG_FLOOR * typical, _SMALLEST)
        logs = np.log(errors + self.floor)
        self.centre = np.median(logs, axis=0)
        unit = np.quantile(logs, _UNIT_QUANTILE, axis=0) - self.centre
        self.unit = np.maximum(unit, _SMALLEST_UNIT)

    def __call__(self, errors):
        """Normalise errors.

        Parameters
        ----------
        errors : ndarray of shape (n,) or (n, n_kinds)
            Non-negative errors. May contain NaN.

        Returns
        -------
        normalised : ndarray of the same shape
            Negative for errors below the training median. NaN where the error is NaN.
        """
        logs = np.log(np.clip(errors, 0, _LARGEST) + self.floor)
        return (logs - self.centre) / self.unit


def _spread(n):
    """Return the ranks of n sorted errors to keep, densest at the largest ones."""
    if n <= _MOST_KNOTS:
        return np.arange(n)
    evenly = np.linspace(0, n - 1, _MOST_KNOTS // 2)
    from_the_top = n - np.geomspace(1, n, _MOST_KNOTS // 2)
    return np.unique(np.concatenate([evenly, from_the_top]).round().astype(np.intp))
