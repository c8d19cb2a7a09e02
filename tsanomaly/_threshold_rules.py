# SPDX-License-Identifier: MIT
"""Rules that compute a threshold from training errors."""

import warnings

import numpy as np

from tsanomaly._calibration import margin, midway_threshold, relative_errors
from tsanomaly._declustering import tail_peaks
from tsanomaly._parameter_error import Parameter, ParameterWarning
from tsanomaly._time_order import stacklevel_of_user

__all__ = [
    "f_score_threshold",
    "finite_median",
    "mad_threshold",
    "moved_median",
    "pot_threshold",
    "sigma_threshold",
    "warn_of_extrapolation",
]

# Standard deviation of a normal distribution over its median absolute deviation.
_MAD_TO_SIGMA = 1.4826022185056018

# A level is an extrapolation if its return period exceeds this multiple of the training
# rows, and uncertain if it is estimated from fewer peaks.
_FARTHEST, _FEWEST_PEAKS = 10, 10


def sigma_threshold(errors, k):
    """Return the mean + `k` standard deviations."""
    return errors.mean() + k * errors.std()


def mad_threshold(errors, k):
    """Return the median + `k` scaled median absolute deviations."""
    median = np.median(errors)
    deviation = np.median(np.abs(errors - median))
    if deviation == 0:
        warnings.warn(
            ParameterWarning(
                Parameter("method", "mad"),
                " cannot estimate the spread of the errors, because at least half of "
                f"them equal {median:g}. Every larger error is flagged. Use another ",
                Parameter("method"),
                ".",
            ),
            stacklevel=stacklevel_of_user(),
        )
    return median + k * _MAD_TO_SIGMA * deviation


def pot_threshold(errors, share, tail_fraction, breaks):
    """Return the quantile of a generalised Pareto tail, and the peaks it is fitted to.

    Equation 1 of Siffer et al. (2017), with the peaks of clusters in place of all
    errors above the level. In the limit of high levels, both have the same
    distribution, but only peaks are independent.
    """
    peaks = tail_peaks(errors, tail_fraction, breaks=breaks, few=0.5)
    threshold = peaks.quantile_threshold(share)
    if threshold is None:
        # Too few peaks, or so many ties at the level that the share is not in the tail.
        threshold = midway_threshold(errors[~np.isnan(errors)], share)
    return threshold, peaks


def warn_of_extrapolation(peaks, rate):
    """Warn if the training rows are too few to estimate a level for this rate."""
    n_peaks, n_rows = len(peaks.excesses), peaks.n_rows
    is_far = 1 / rate > _FARTHEST * n_rows
    if not is_far and n_peaks >= _FEWEST_PEAKS:
        return
    period = 1 / rate
    often = f"in {period:,.0f} rows" if period >= 10 else f"in {period:.2g} rows"
    warnings.warn(
        ParameterWarning(
            f"{n_rows:,} rows contain {n_peaks} independent "
            f"{'peak' if n_peaks == 1 else 'peaks'}, so a level that is exceeded once "
            f"{often} is {'an extrapolation' if is_far else 'uncertain'}. Fit on more "
            "rows, or allow more ",
            Parameter("false_alarms"),
            ".",
        ),
        stacklevel=stacklevel_of_user(),
    )


def f_score_threshold(errors, anomalous, beta):
    """Return the threshold with the best F-beta score, midway between two errors."""
    order = np.argsort(-errors, kind="stable")
    ordered = errors[order]
    # A threshold can only separate an error from a strictly smaller one.
    flagged = np.flatnonzero(np.append(ordered[1:] < ordered[:-1], True)) + 1
    found = np.cumsum(anomalous[order])[flagged - 1]
    # F-beta = (1 + beta²) found / (beta² anomalous + flagged)
    f_score = (1 + beta**2) * found / (beta**2 * anomalous.sum() + flagged)
    n_flagged = flagged[f_score.argmax()]
    if n_flagged == len(errors):  # all of them, so it lies below the smallest
        return ordered[-1] - margin(ordered[-1], ordered)
    return midway_threshold(errors, n_flagged / len(errors))


def finite_median(values):
    """Return the median, clipped where the mean of two huge values overflows."""
    largest = np.finfo(np.float64).max
    with np.errstate(over="ignore"):
        return float(np.clip(np.median(values), -largest, largest))


def moved_median(median, summaries, before, after):
    """Return the median of the relative errors after the thresholds changed.

    The median of the maximum over channels is known only for the thresholds of `fit`.
    Its change is computed under the assumption that the errors of channels are
    independent. This is exact if all thresholds change by the same factor.
    """
    largest = np.finfo(np.float64).max

    def independent(thresholds):
        # Errors relative to the thresholds, and the shares of rows below all of them
        relative = [
            np.clip(relative_errors(summary.errors, threshold), -largest, largest)
            for summary, threshold in zip(summaries, thresholds, strict=True)
        ]
        values = np.unique(np.concatenate(relative))
        shares = np.ones(len(values))
        for summary, own in zip(summaries, relative, strict=True):
            below = (summary.ranks + 1) / (summary.ranks[-1] + 1)
            shares *= np.interp(values, own, below, left=0.0)
        return values[min(np.searchsorted(shares, 0.5), len(values) - 1)]

    with np.errstate(over="ignore"):
        old, new = independent(before), independent(after)
        moved = median * (new / old) if old > 0 and new > 0 else median + new - old
    return float(np.clip(moved, -largest, largest))
