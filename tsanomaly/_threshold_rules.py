# SPDX-License-Identifier: MIT
"""How a threshold follows from training errors."""

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

# The normal distribution's standard deviation in units of its median absolute
# deviation.
_MAD_TO_SIGMA = 1.4826022185056018

# A level is an extrapolation if it is exceeded once in more than so many times the
# training rows, and uncertain if it follows from fewer peaks.
_FARTHEST, _FEWEST_PEAKS = 10, 10


def sigma_threshold(errors, k):
    """Mean and `k` standard deviations."""
    return errors.mean() + k * errors.std()


def mad_threshold(errors, k):
    """Median and `k` scaled median absolute deviations."""
    median = np.median(errors)
    deviation = np.median(np.abs(errors - median))
    if deviation == 0:
        warnings.warn(
            ParameterWarning(
                Parameter("method", "mad"),
                " cannot tell how errors spread, because at least half of them are "
                f"{median:g}: every larger error is flagged. Use another ",
                Parameter("method"),
                ".",
            ),
            stacklevel=stacklevel_of_user(),
        )
    return median + k * _MAD_TO_SIGMA * deviation


def pot_threshold(errors, share, tail_fraction, breaks):
    """Quantile of a generalised Pareto tail, and the peaks that it is fitted to.

    Siffer et al. 2017, equation 1, with peaks of clusters in place of all errors beyond
    the level: in the limit of high levels they are distributed alike, and peaks are
    independent.
    """
    peaks = tail_peaks(errors, tail_fraction, breaks=breaks, few=0.5)
    threshold = peaks.quantile_threshold(share)
    if threshold is None:
        # No tail to speak of, or ties hold so many errors below the level that the
        # wanted share is not in the tail.
        threshold = midway_threshold(errors[~np.isnan(errors)], share)
    return threshold, peaks


def warn_of_extrapolation(peaks, rate):
    """Warn if training rows say little of a level that is exceeded at such a rate."""
    n_peaks, n_rows = len(peaks.excesses), peaks.n_rows
    is_far = 1 / rate > _FARTHEST * n_rows
    if not is_far and n_peaks >= _FEWEST_PEAKS:
        return
    period = 1 / rate
    often = f"in {period:,.0f} rows" if period >= 10 else f"in {period:.2g} rows"
    warnings.warn(
        ParameterWarning(
            f"{n_rows:,} rows hold {n_peaks} independent "
            f"{'peak' if n_peaks == 1 else 'peaks'}: a level that is exceeded once "
            f"{often} is {'an extrapolation' if is_far else 'uncertain'}. Fit on more "
            "rows, or allow more ",
            Parameter("false_alarms"),
            ".",
        ),
        stacklevel=stacklevel_of_user(),
    )


def f_score_threshold(errors, anomalous, beta):
    """Threshold of the best F-beta score, midway between two neighbouring errors."""
    order = np.argsort(-errors, kind="stable")
    ordered = errors[order]
    # A threshold fits behind an error only where the next one is smaller.
    flagged = np.flatnonzero(np.append(ordered[1:] < ordered[:-1], True)) + 1
    found = np.cumsum(anomalous[order])[flagged - 1]
    # F-beta = (1 + beta²) found / (beta² anomalous + flagged)
    f_score = (1 + beta**2) * found / (beta**2 * anomalous.sum() + flagged)
    n_flagged = flagged[f_score.argmax()]
    if n_flagged == len(errors):  # all of them: below the smallest
        return ordered[-1] - margin(ordered[-1], ordered)
    return midway_threshold(errors, n_flagged / len(errors))


def finite_median(values):
    """Median, finite where the mean of two huge values is not."""
    largest = np.finfo(np.float64).max
    with np.errstate(over="ignore"):
        return float(np.clip(np.median(values), -largest, largest))


def moved_median(median, summaries, before, after):
    """Median of the errors relative to thresholds, after the thresholds changed.

    The median of a maximum over channels is known only with the thresholds of `fit`.
    How it moves is computed as if the errors of channels were independent, which is
    exact where all thresholds change by the same factor.
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
