# SPDX-License-Identifier: MIT
"""Independent peaks among autocorrelated errors, and levels that few of them exceed."""

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

# Where peaks are so few, half of the shape of a tail comes from them, and half from
# the exponential distribution.
_HALF_TRUST = 30

# What the shape of a tail is raised by, times the number of peaks. With 1 the mean
# number of alarms is right if only the scale is estimated; the shape is, too. Measured
# on series as of benchmarks/thresholds.py, of other seeds: with 1, twice the budget
# where peaks are few, with 2 half of it where errors are bell-shaped.
_UNCERTAINTY = 1.5

# Where time goes on from so many rows to the next, others are joints of series.
_IN_ORDER = 0.9


@dataclass
class Peaks:
    """The largest error of each cluster of errors beyond a level.

    Attributes
    ----------
    level : float
        Errors beyond it make the clusters.
    excesses : ndarray of shape (n_peaks,)
        How far the peaks lie beyond the level, in increasing order.
    n_beyond : int
        Rows beyond the level.
    n_rows : int
        Rows with an error.
    extremal_index : float
        Estimate of the share of peaks among the errors beyond the level: 1 where errors
        are independent, its inverse is the mean size of a cluster.
    """

    level: float
    excesses: np.ndarray
    n_beyond: int
    n_rows: int
    extremal_index: float

    @property
    def rate(self):
        """Peaks per row."""
        return len(self.excesses) / self.n_rows

    def quantile_threshold(self, share):
        """Threshold that a share of the rows exceeds, or None if it has no such tail.

        Parameters
        ----------
        share : float
            In (0, 1).

        Returns
        -------
        threshold : float or None
            None if there are too few peaks, or the share is not in the tail.
        """
        share_of_tail = share * self.n_rows / max(self.n_beyond, 1)
        if len(self.excesses) < 2 or share_of_tail >= 1:
            return None
        shape, scale = fit_generalised_pareto(self.excesses)
        # (share^-shape - 1) / shape, also where the shape vanishes
        return self.level + scale * boxcox(1 / share_of_tail, shape)

    def return_level(self, rate):
        """Level that so many peaks per row exceed, at most the rate of the peaks."""
        n = len(self.excesses)
        shape, scale = fit_generalised_pareto(self.excesses)
        if shape >= -0.5:  # otherwise the end of the tail is as good as seen
            shape *= n / (n + _HALF_TRUST)
            scale = self.excesses.mean() * (1 - shape)
            shape += _UNCERTAINTY / n
        return self.level + scale * boxcox(self.rate / rate, shape)


def find_peaks(errors, level, breaks=None):
    """Find the peaks of clusters of errors beyond a level.

    How far apart clusters are is read off the times between errors beyond the level,
    by the intervals estimator of the extremal index: automatic declustering as of Ferro
    and Segers 2003.

    Parameters
    ----------
    errors : ndarray of shape (n_timestamps,)
        In time order, higher = worse; NaN where there is none.
    level : float
        A level.
    breaks : ndarray of shape (n_timestamps,), dtype=bool, or None, default=None
        Rows that no cluster crosses.

    Returns
    -------
    peaks : Peaks
        One cluster at least for each stretch between breaks that holds an error beyond
        the level.
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
    # So many of the longest gaps are between clusters, fewer if gaps tie.
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
    """Intervals estimator, from the rows between neighbouring errors beyond a level."""
    if not len(gaps):
        return 1.0
    if gaps.max() > 2:
        first, second = (gaps - 1).sum(), ((gaps - 1) * (gaps - 2)).sum()
    else:
        first, second = gaps.sum(), (gaps**2).sum()
    return float(min(2 * first**2 / (len(gaps) * second), 1.0))


def tail_peaks(errors, tail_fraction, *, breaks=None, few=np.inf):
    """Peaks of the tail, which is widened if it holds few of them.

    Parameters
    ----------
    errors : ndarray of shape (n_timestamps,)
        In time order, higher = worse; NaN where there is none.
    tail_fraction : float
        Share of the errors in the tail, in (0, 0.5]. If they hold fewer than 30 peaks,
        it is doubled, to 0.1 at most.
    breaks : ndarray of shape (n_timestamps,), dtype=bool, or None, default=None
        Rows that no cluster crosses.
    few : float, default=inf
        Fewer peaks than 30 are enough, if they are as many as this share of the errors
        of the tail before it is widened.

    Returns
    -------
    peaks : Peaks
        Of the tail that holds the most peaks, of those that were looked at.
    """
    return _tails(errors, tail_fraction, breaks, few)[0][0]


def _tails(errors, tail_fraction, breaks, few):
    """What `tail_peaks` says; the share in that tail; errors without NaN."""
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
    """Level that clusters of errors exceed at a given rate.

    A generalised Pareto distribution is fitted to the peaks of the tail. Its shape is
    drawn to that of the exponential distribution, the more the fewer peaks there are,
    and raised by 1.5 divided by their number: a level from few peaks is now too high
    and now too low, and too low a level costs more alarms than too high a level saves.
    So that the *mean* number of alarms is about the wanted one.

    Parameters
    ----------
    errors : ndarray of shape (n_timestamps,)
        In time order, higher = worse; NaN at breaks, which no cluster crosses.
    rate : float
        Clusters per row, above 0.
    tail_fraction : float
        As of `tail_peaks`. The tail is widened, to half of the errors, if it holds
        fewer peaks than wanted.

    Returns
    -------
    level : float
        It never falls where the rate does. If no tail holds as many peaks, the level of
        the one that holds the most.
    peaks : Peaks
        What the level follows from.
    """
    (first, share), known = _tails(errors, tail_fraction, np.isnan(errors), np.inf)
    if len(first.excesses) < 2:
        # Every row that is flagged counts as an alarm.
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
    """How many rows a time, or a number of rows, is.

    Parameters
    ----------
    per : int, str or timedelta
        A number of rows, or a time such as '7D'.
    index : Index or None
        Times of the rows, whose median step is the time of a row. None if there are no
        times.
    name : str, default='per'
        The parameter, in messages.

    Returns
    -------
    rows : float
        At least 1.

    Raises
    ------
    ValueError
        If it is no time, or shorter than the step, or `index` does not hold times.
    """
    import pandas as pd

    if isinstance(per, Integral) and not isinstance(per, np.timedelta64):
        return float(per)
    try:
        time = pd.Timedelta(per)
    except ValueError as error:
        raise ParameterError(
            Parameter(name, per),
            " is no time. Pass one such as '7D' or '12h', or a number of rows.",
        ) from error
    if not time > pd.Timedelta(0):  # NaT neither
        raise ParameterError(
            Parameter(name, per),
            " is not above 0. Pass a time such as '7D', or a number of rows.",
        )
    if not isinstance(index, pd.DatetimeIndex):
        raise ParameterError(
            Parameter(name, per),
            " is a time, and the rows have no times: X is no frame with a "
            "DatetimeIndex. Steps of a pipeline hand on arrays, unless "
            "set_output(transform='pandas') is called on it. Pass a number of rows.",
        )
    steps = pd.Series(index).diff().dropna()
    onwards = steps[steps > pd.Timedelta(0)]
    if not len(steps) or len(onwards) < _IN_ORDER * len(steps):
        raise ParameterError(
            Parameter(name, per),
            " is a time, and the times of the rows are not in order, or do not "
            "differ. Pass a number of rows.",
        )
    step = onwards.median()
    if time < step:
        raise ParameterError(
            Parameter(name, per),
            f" is shorter than the time from row to row, {step}. Pass a longer time, "
            "or a number of rows.",
        )
    return time / step
