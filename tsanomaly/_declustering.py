# SPDX-License-Identifier: MIT
"""Independent peaks of autocorrelated errors, and return levels."""

from dataclasses import dataclass
from numbers import Integral

import numpy as np
from scipy.special import boxcox

from tsanomaly._calibration import (
    fit_generalised_pareto,
    midway_threshold,
    tail_excesses,
)
from tsanomaly._parameter_error import Parameter, ParameterError

__all__ = ["Peaks", "find_peaks", "return_level", "rows_per", "tail_peaks"]

# A tail with fewer peaks is widened, up to this share of the rows.
_ENOUGH_PEAKS, _WIDEST_TAIL = 30, 0.1

# With this number of peaks, the shape of the tail is half estimated and half that of an
# exponential distribution.
_HALF_TRUST = 30

# The shape of the tail is raised by this constant over the number of peaks. With 1, the
# mean number of alarms would be right if only the scale were estimated, but the shape
# is estimated as well. On series like those of benchmarks/thresholds.py with other
# seeds, 1 led to twice the budget where peaks are few, and 2 to half of it where errors
# are bell-shaped.
_UNCERTAINTY = 1.5

# Minimum share of increasing time steps. The others are joints between series.
_IN_ORDER = 0.9


@dataclass
class Peaks:
    """The largest error of each cluster of errors above a level.

    Attributes
    ----------
    level : float
        Clusters consist of errors above this level.
    excesses : ndarray of shape (n_peaks,)
        Excesses of the peaks over the level, in ascending order.
    n_beyond : int
        Number of rows above the level.
    n_rows : int
        Number of rows with an error.
    extremal_index : float
        Estimated ratio of clusters to errors above the level: 1 for independent errors.
        Its inverse is the mean cluster size.
    """

    level: float
    excesses: np.ndarray
    n_beyond: int
    n_rows: int
    extremal_index: float

    @property
    def rate(self):
        """Number of peaks per row."""
        return len(self.excesses) / self.n_rows

    def quantile_threshold(self, share):
        """Return the threshold that a given share of the rows exceeds.

        Parameters
        ----------
        share : float
            Share of the rows, in (0, 1).

        Returns
        -------
        threshold : float or None
            None if there are too few peaks, or the share is not in the tail.
        """
        share_of_tail = share * self.n_rows / max(self.n_beyond, 1)
        if len(self.excesses) < 2 or share_of_tail >= 1:
            return None
        shape, scale = fit_generalised_pareto(self.excesses)
        # (share^-shape - 1) / shape, with the correct limit for shape -> 0
        return self.level + scale * boxcox(1 / share_of_tail, shape)

    def return_level(self, rate):
        """Return the level that `rate` peaks per row exceed, at most `self.rate`."""
        n = len(self.excesses)
        shape, scale = fit_generalised_pareto(self.excesses)
        if shape >= -0.5:  # otherwise the end of the tail is well estimated
            shape *= n / (n + _HALF_TRUST)
            scale = self.excesses.mean() * (1 - shape)
            shape += _UNCERTAINTY / n
        return self.level + scale * boxcox(self.rate / rate, shape)


def find_peaks(errors, level, breaks=None):
    """Find the peaks of clusters of errors above a level.

    Automatic declustering of Ferro and Segers (2003): the intervals estimator of the
    extremal index determines how many of the gaps between errors above the level
    separate clusters.

    Parameters
    ----------
    errors : ndarray of shape (n_timestamps,)
        Errors in time order, higher = worse. May contain NaN.
    level : float
        The level.
    breaks : ndarray of shape (n_timestamps,), dtype=bool, or None, default=None
        Rows that separate clusters.

    Returns
    -------
    peaks : Peaks
        At least one per stretch between breaks that has an error above the level.
    """
    rows = np.flatnonzero(errors > level)
    n_rows = int(np.count_nonzero(~np.isnan(errors)))
    if not len(rows):
        return Peaks(level, np.empty(0), 0, n_rows, 1.0)
    gaps, apart = np.diff(rows), np.zeros(len(rows) - 1, dtype=bool)
    if breaks is not None:
        apart = np.diff(np.cumsum(breaks)[rows]) > 0
    within = gaps[~apart]
    extremal_index = _extremal_index(within.astype(np.float64))
    # The longest gaps separate clusters, fewer of them if gaps are tied.
    n_between = int(extremal_index * len(within) + 1e-9)
    if n_between < len(within):
        longest_inside = np.partition(within, len(within) - 1 - n_between)[
            len(within) - 1 - n_between
        ]
        apart |= gaps > longest_inside
    else:
        apart[:] = True
    first = np.flatnonzero(np.append(True, apart))
    excesses = np.sort(np.maximum.reduceat(errors[rows], first) - level)
    return Peaks(level, excesses, len(rows), n_rows, extremal_index)


def _extremal_index(gaps):
    """Return the intervals estimator, from the gaps between errors above a level."""
    if not len(gaps):
        return 1.0
    if gaps.max() > 2:
        first, second = (gaps - 1).sum(), ((gaps - 1) * (gaps - 2)).sum()
    else:
        first, second = gaps.sum(), (gaps**2).sum()
    return float(min(2 * first**2 / (len(gaps) * second), 1.0))


def tail_peaks(errors, tail_fraction, *, breaks=None, few=np.inf):
    """Find the peaks of the tail, which is widened if it has too few.

    Parameters
    ----------
    errors : ndarray of shape (n_timestamps,)
        Errors in time order, higher = worse. May contain NaN.
    tail_fraction : float
        Share of the errors in the tail, in (0, 0.5]. It is doubled, up to 0.1, while
        the tail has fewer than 30 peaks.
    breaks : ndarray of shape (n_timestamps,), dtype=bool, or None, default=None
        Rows that separate clusters.
    few : float, default=inf
        Fewer than 30 peaks suffice if they are this share of the errors of the initial
        tail.

    Returns
    -------
    peaks : Peaks
        Peaks of the tail with the most peaks among those tried.
    """
    return _tails(errors, tail_fraction, breaks, few)[0][0]


def _tails(errors, tail_fraction, breaks, few):
    """Return the peaks, the share of errors in their tail, and errors without NaN."""
    known = errors[~np.isnan(errors)]
    best, share = None, tail_fraction
    while True:
        level, _ = tail_excesses(known, share)
        peaks = find_peaks(errors, level, breaks)
        if best is None:
            enough = min(_ENOUGH_PEAKS, few * peaks.n_beyond)
        if best is None or len(peaks.excesses) > len(best[0].excesses):
            best = peaks, share
        share *= 2
        if len(peaks.excesses) >= enough or share > _WIDEST_TAIL:
            return best, known


def return_level(errors, rate, tail_fraction):
    """Return the level that clusters of errors exceed at a given rate.

    A generalised Pareto distribution is fitted to the peaks of the tail. Its shape is
    shrunk towards that of the exponential distribution, more so the fewer peaks there
    are, and raised by 1.5 over their number. Estimates from few peaks vary, and a level
    that is too low costs more alarms than one that is too high saves. The correction
    keeps the *mean* number of alarms close to the requested rate.

    Parameters
    ----------
    errors : ndarray of shape (n_timestamps,)
        Errors in time order, higher = worse. NaN at breaks, which separate clusters.
    rate : float
        Clusters per row, above 0.
    tail_fraction : float
        As in `tail_peaks`. The tail is widened, up to half of the errors, if it has
        fewer peaks than requested.

    Returns
    -------
    level : float
        Never decreases as the rate decreases. If no tail has enough peaks, the level
        of the tail with the most peaks.
    peaks : Peaks
        Peaks that the level is estimated from.
    """
    (first, share), known = _tails(errors, tail_fraction, np.isnan(errors), np.inf)
    if len(first.excesses) < 2:
        # Each flagged row counts as an alarm.
        return midway_threshold(known, min(rate, 0.5)), first
    tails = [first]
    while share < 0.5:
        share = min(2 * share, 0.5)
        level, _ = tail_excesses(known, share)
        if level < tails[-1].level:
            tails.append(find_peaks(errors, level, np.isnan(errors)))
    rates = [peaks.rate for peaks in tails]
    highest = int(np.argmax(rates))
    ceiling = np.inf
    for peaks in tails[: highest + 1]:
        if peaks.rate >= rate:
            return min(peaks.return_level(rate), ceiling), peaks
        ceiling = peaks.level
    return ceiling, tails[highest]


def rows_per(per, index, name="per"):
    """Convert a duration to a number of rows.

    Parameters
    ----------
    per : int, str or timedelta
        A number of rows, or a duration such as '7D'.
    index : Index or None
        Times of the rows. Their median step is the duration of a row.
    name : str, default='per'
        Name of the parameter in messages.

    Returns
    -------
    rows : float
        At least 1.

    Raises
    ------
    ValueError
        If `per` is not a duration or shorter than the step, or `index` does not contain
        times.
    """
    import pandas as pd

    if isinstance(per, Integral) and not isinstance(per, np.timedelta64):
        return float(per)
    try:
        time = pd.Timedelta(per)
    except ValueError as error:
        raise ParameterError(
            Parameter(name, per),
            " is not a duration. Pass one such as '7D' or '12h', or a number of rows.",
        ) from error
    if not time > pd.Timedelta(0):  # NaT neither
        raise ParameterError(
            Parameter(name, per),
            " is not positive. Pass a duration such as '7D', or a number of rows.",
        )
    if not isinstance(index, pd.DatetimeIndex):
        raise ParameterError(
            Parameter(name, per),
            " is a duration, but the rows have no times: X is not a frame with a "
            "DatetimeIndex. Steps of a pipeline return arrays unless you call "
            "set_output(transform='pandas') on it. Pass a number of rows.",
        )
    steps = pd.Series(index).diff().dropna()
    onwards = steps[steps > pd.Timedelta(0)]
    if not len(steps) or len(onwards) < _IN_ORDER * len(steps):
        raise ParameterError(
            Parameter(name, per),
            " is a duration, but the times of the rows are not in order, or are all "
            "equal. Pass a number of rows.",
        )
    step = onwards.median()
    if time < step:
        raise ParameterError(
            Parameter(name, per),
            f" is shorter than the time step, {step}. Pass a longer duration, or a "
            "number of rows.",
        )
    return time / step
