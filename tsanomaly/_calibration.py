# SPDX-License-Identifier: MIT
"""From the distribution of training errors to a threshold, or to a common scale."""

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

# A tail of fewer errors says too little about its shape.
_SMALLEST_TAIL = 10

# Opposites of shapes: of a tail that is as good as exponential, and of one whose errors
# hardly differ.
_FLATTEST, _STEEPEST = 1e-3, 1e3

# Larger errors would overflow when subtracted, and smaller scales when divided by.
_LARGEST, _SMALLEST = 1e300, 1e-290

# Training errors that a calibration remembers, at most. In between it interpolates.
_MOST_KNOTS = 2000

# On the logarithmic scale, the normalised score of this training quantile is 1.
_UNIT_QUANTILE = 0.99

# Errors below this share of the median hardly differ on the logarithmic scale: what is
# that small is rounding.
_LOG_FLOOR = 1e-3

# The smallest unit, in logarithms: training errors that are all but equal have none.
_SMALLEST_UNIT = 0.1


def midway_threshold(errors, share):
    """Threshold with at most a given share of the errors above it.

    The threshold lies midway between two neighbouring distinct errors, so that
    differences in the last bits (another batch shape, another backend) never move an
    error across it. Where errors tie at the cut, none of the tied is above.

    Parameters
    ----------
    errors : ndarray of shape (n,)
        Finite errors, higher = worse.
    share : float
        Share of the errors that may lie above, in [0, 1). ``floor(share * n)`` of
        them do, unless errors tie. If that is none, the threshold is a little above
        the largest error.

    Returns
    -------
    threshold : float
        An error is flagged if it is larger.
    """
    return _midway(np.sort(errors), np.arange(len(errors)), share)


def _midway(ordered, ranks, share):
    """`midway_threshold` of increasing errors, of which some ranks are known."""
    n = ranks[-1] + 1
    # The small term undoes rounding, as in 0.29 * 100 = 28.999…
    rank = max(n - 1 - int(share * n + 1e-9), 0)
    below = np.interp(rank, ranks, ordered)
    position = np.searchsorted(ordered, below, side="right")
    if position == len(ordered):
        return float(below + margin(below, ordered))
    # Where errors tie, behind the last of them.
    midway = np.interp(max(rank, ranks[position - 1]) + 0.5, ranks, ordered)
    # Between adjacent floats the midpoint may round to the upper one, which must stay
    # above.
    return float(min(midway, np.nextafter(ordered[position], -np.inf)))


def margin(error, ordered):
    """A distance from one of the ordered errors that rounding does not cross."""
    largest = max(abs(ordered[0]), abs(ordered[-1]))
    return max(1e-4 * abs(error), 1e-12 * largest, np.finfo(np.float64).tiny)


def relative_errors(errors, thresholds):
    """Errors relative to their thresholds: 1 at the threshold, more beyond it.

    Parameters
    ----------
    errors : ndarray of shape (n_timestamps, n_channels)
        Higher = worse.
    thresholds : ndarray of shape (n_channels,)
        Not 0.

    Returns
    -------
    relative : ndarray of shape (n_timestamps, n_channels)
        ``1 + (error - threshold) / abs(threshold)``, which is ``error / threshold``
        where the threshold is above 0.
    """
    relative = errors / thresholds
    return np.where(thresholds > 0, relative, 2 - relative)


def tail_excesses(errors, tail_fraction):
    """How far the largest errors lie beyond the others.

    Parameters
    ----------
    errors : ndarray of shape (n,)
        Finite errors, higher = worse.
    tail_fraction : float
        Share of them in the tail, in (0, 0.5]; at least ten of them, or half.

    Returns
    -------
    level : float
        The threshold that the errors of the tail exceed.
    excesses : ndarray
        By how much, in increasing order. Empty if the largest errors tie.
    """
    n_tail = max(tail_fraction * len(errors), min(_SMALLEST_TAIL, len(errors) / 2))
    level = midway_threshold(errors, min(n_tail / len(errors), 0.5))
    return level, np.sort(errors[errors > level]) - level


def fit_generalised_pareto(excesses):
    """Shape and scale of the tail by probability-weighted moments.

    The estimator of Hosking and Wallis 1987, within ±0.5, where it is sound. On tails
    of a few dozen errors maximum likelihood, as in Siffer et al., often puts the end of
    the distribution at the largest error, where the likelihood is unbounded.

    Below -0.5, to which errors with a bound lead (-1 is the shape of a uniform
    distribution), and where the moments would end the tail before the largest error,
    shape and scale follow from the mean and the largest error: it comes closer to the
    bound than any mean of errors tells.

    Parameters
    ----------
    excesses : ndarray of shape (n,)
        At least two, positive, in increasing order.

    Returns
    -------
    shape, scale : float
        A shape above 0 is a tail heavier than that of an exponential distribution. One
        below 0 ends at ``-scale / shape``.
    """
    n = len(excesses)
    mean, largest = excesses.mean(), excesses[-1]
    weighted = (np.arange(n - 1, -1, -1) / (n - 1) * excesses).mean()
    gap = mean - 2 * weighted  # not positive if the excesses hardly differ
    shape = min(2 - mean / gap, 0.5) if gap > 0 else -_STEEPEST
    if shape < -0.5 or -shape * largest > mean * (1 - shape):
        shape = _shape_of_a_bounded_tail(largest / mean, n)
    return shape, mean * (1 - shape)


def _shape_of_a_bounded_tail(ratio, n):
    """The shape with which the largest of n errors is so many times their mean."""

    def lacking(k):
        # The largest of n is expected at (scale / k) (1 - n B(n, 1 + k)).
        return (1 + k) / k * -np.expm1(np.log(n) + betaln(n, 1 + k)) - ratio

    if lacking(_STEEPEST) >= 0:
        return -_STEEPEST
    if lacking(_FLATTEST) <= 0:
        return -_FLATTEST
    return -brentq(lacking, _FLATTEST, _STEEPEST)


class Calibration:
    """Strictly increasing map from a detector's errors to a scale that all share.

    Errors of different detectors have different units and spreads; what they have in
    common is how rare they were among the training rows.

    Within the range of the training errors, ``rank`` is the share of them below (ties
    count half), and ``tail`` is ``-log10(1 - rank)``: 2 where one training row in a
    hundred was as bad, 3 for one in a thousand. Both are interpolated linearly. Beyond
    the largest, the tail goes on as the generalised Pareto distribution that fits the
    largest 2 % of the training errors says, with a shape of at least 0, so that no
    error is impossible: ``tail`` rises linearly under a light tail, logarithmically
    under a heavy one; ``rank`` rises in proportion, and exceeds 1 in the end. Below the
    smallest, both fall towards 0.

    Two errors get the same value only if they are equal, or closer than floating point
    can tell apart on the new scale.

    Parameters
    ----------
    errors : ndarray of shape (n,)
        Errors of the training rows, higher = worse; NaN is left out. Errors beyond
        ±1e300 count as ±1e300.
    scale : {'tail', 'rank'}
        The scale.
    """

    def __init__(self, errors, scale):
        errors = np.clip(errors, -_LARGEST, _LARGEST)
        errors = errors[~np.isnan(errors)]
        if not len(errors):
            raise ValueError("No training row has a score to calibrate by.")
        knots, counts = np.unique(errors, return_counts=True)
        below = np.cumsum(counts) - counts / 2
        rank, beyond = below / len(errors), 1 - below / len(errors)
        kept = _spread(len(knots))
        self.knots = knots[kept]
        self.values = rank[kept] if scale == "rank" else -np.log10(beyond[kept])
        # By how much a value grows where the survival function falls by a factor e
        self.growth = beyond[-1] if scale == "rank" else 1 / np.log(10)
        level, excesses = tail_excesses(errors, 0.02)
        shape, spread = 0.0, np.ptp(knots)
        if len(excesses) > 1:
            shape, spread = fit_generalised_pareto(excesses)
            if shape <= 0:
                shape, spread = 0.0, excesses.mean()
        # Among errors beyond the largest, the tail has another scale.
        self.shape, self.above = shape, spread + shape * (knots[-1] - level)
        self.below = np.median(errors) - knots[0]
        # Differences in the last bits are no scale, and equal errors have none.
        largest = np.abs(knots[[0, -1]]).max()
        smallest = 1e-9 * largest if len(knots) > 1 else (1e-3 * largest or 1.0)
        smallest = max(smallest, _SMALLEST)
        self.above, self.below = max(self.above, smallest), max(self.below, smallest)

    def __call__(self, errors):
        """Bring errors to the scale.

        Parameters
        ----------
        errors : ndarray of shape (n,)
            Errors, higher = worse; may hold NaN.

        Returns
        -------
        values : ndarray of shape (n,)
            Above 0, higher = worse, NaN where the error is.
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
            # Rounding must not lift a value above that of the next knot.
            inside = np.minimum(inside, values[right])
            excess = np.maximum(errors - knots[-1], 0) / self.above
            if self.shape > 0:
                excess = np.log1p(self.shape * excess) / self.shape
            lack = np.maximum(knots[0] - errors, 0) / self.below
            result = (inside + self.growth * excess) / (1 + lack)
        limits = np.finfo(np.float64)
        return np.clip(result, limits.tiny, limits.max)


class ErrorSummary:
    """Training errors as far as other thresholds need them, in a few numbers.

    Of up to 2,000 errors quantiles are exact. Of more, half of the places are spread
    evenly over them, and half get denser towards the largest, where thresholds lie;
    in between errors are interpolated linearly.

    Parameters
    ----------
    errors : ndarray of shape (n,)
        Finite errors, higher = worse.
    """

    def __init__(self, errors):
        self.ranks = _spread(len(errors))
        self.errors = np.sort(errors)[self.ranks]
        with np.errstate(over="ignore", invalid="ignore"):  # what is not finite
            self.mean, self.std = float(errors.mean()), float(errors.std())

    def quantile_threshold(self, share):
        """What `midway_threshold` says of all errors."""
        return _midway(self.errors, self.ranks, share)

    def sigma_threshold(self, k):
        """Mean and `k` standard deviations."""
        return self.mean + k * self.std


class LogCalibration:
    """Logarithmic map from errors to a scale that all share.

    The median of the training errors has the normalised score 0, their 99 % quantile 1.
    In between and beyond, it is linear in the logarithm of the error: an error that
    exceeds the median by twice as many orders of magnitude has twice the score.
    Several kinds of errors of the same rows are normalised side by side.

    Parameters
    ----------
    errors : ndarray of shape (n,) or (n, n_kinds)
        Errors of the training rows, not negative, higher = worse; at least one row.
    """

    def __init__(self, errors):
        errors = np.minimum(errors, _LARGEST)
        # Where most errors are 0 the mean says how large they are.
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
            Errors, not negative; may hold NaN.

        Returns
        -------
        normalised : ndarray of the same shape
            Negative for errors below the training median; NaN where the error is.
        """
        logs = np.log(np.clip(errors, 0, _LARGEST) + self.floor)
        return (logs - self.centre) / self.unit


def _spread(n):
    """Which of n ordered training errors to remember: most of the largest."""
    if n <= _MOST_KNOTS:
        return np.arange(n)
    evenly = np.linspace(0, n - 1, _MOST_KNOTS // 2)
    from_the_top = n - np.geomspace(1, n, _MOST_KNOTS // 2)
    return np.unique(np.concatenate([evenly, from_the_top]).round().astype(np.intp))
