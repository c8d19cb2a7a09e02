# SPDX-License-Identifier: MIT
"""Test whether a network has learned relations that a linear map has not.

The test needs no labels and uses training rows that the network was not trained on. In
copies of their windows, the last rows of one channel are replaced by rows of the same
channel from other windows. Each channel by itself still looks normal, and only its
relation to the others is broken. The better the errors of a model distinguish these
windows from the original ones, the more the model knows about the relation.
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from tsanomaly._means_by_length import mean_of_known
from tsanomaly._row_errors import evenly, squared_residuals

__all__ = ["Evidence", "find_evidence", "relation_weights"]

# Number of rows at the end of a window that are replaced.
_REPLACED = 10

# Maximum number of windows to test, and maximum number of readings in their copies, of
# which there is one per channel. Very wide series exceed the latter, because fewer than
# 32 windows are not conclusive.
_MOST_WINDOWS, _MOST_READINGS = 300, 50_000_000

# Approximate number of windows that are passed to a model at once. Copies for several
# channels are combined, because a model always computes full batches.
_TOGETHER = 512

# The network has no weight in a channel below the first gain, and full weight from the
# second one on.
_LEAST_GAIN, _FULL_GAIN = 0.25, 0.5

# Minimum weight of a channel in the view of the network, and minimum typical residual
# that a channel is divided by, relative to the median over the channels.
_LEAST_WEIGHT, _SMALLEST = 0.1, 0.01

# A channel is unpredictable if neither model has a larger area under the ROC curve.
# Chance is 0.5, but the linear map, fitted on these rows, reaches up to 0.66 on noise.
_UNNOTICED = 0.7

# If a channel idles, most replacements change nothing. Its predictability is tested on
# windows with a mean squared change above this share of its variance, if there are at
# least this many.
_LEAST_CHANGE, _FEWEST_WINDOWS = 0.25, 100


class Evidence(NamedTuple):
    """Result of `find_evidence`.

    Parameters
    ----------
    gains : ndarray of shape (n_views, n_channels)
        Share of the replacements in a channel that a view of the network detects, of
        those that the linear map misses, in [0, 1]: ``(a - b) / (1 - b)`` with the
        areas under the ROC curve `a` of the network and `b` of the linear map, or 0.5
        if that is larger. 0 for the other views if the first one has no weight.
    predictable : ndarray of shape (n_channels,), dtype=bool
        Whether at least one model detects the replacements. Also True if there are too
        few windows in which the channel changes, as in short or very wide series.
    residual_weights : ndarray of shape (n_views, n_channels)
        Factors for the squared residuals of each view of the network: the inverse of
        their typical size, times the weight of the network in the channel.
    """

    gains: np.ndarray
    predictable: np.ndarray
    residual_weights: np.ndarray


def relation_weights(gain):
    """Return the weights of the network in each channel and in total.

    Parameters
    ----------
    gain : ndarray of shape (n_channels,)
        Of one view, as in `Evidence`.

    Returns
    -------
    weights : ndarray of shape (n_channels,)
        0 up to a gain of 0.25, 1 from 0.5 on, and linear in between.
    weight : float
        Their median, so that the network counts only if it knows more in most of the
        channels.
    """
    weights = (gain - _LEAST_GAIN) / (_FULL_GAIN - _LEAST_GAIN)
    weights = np.clip(weights, 0, 1)
    return weights, float(np.median(weights))


def find_evidence(networks, linear, series, rows, rng):
    """Test what a network and a linear map know about each channel.

    Parameters
    ----------
    networks : list of View
        Views of the network, the first one without a baseline.
    linear : View
        View of the linear map without a baseline.
    series : Series
        The training series.
    rows : ndarray of int
        Rows that the network was not trained on.
    rng : numpy.random.Generator
        Chooses the windows and their replacements.

    Returns
    -------
    evidence : Evidence
    """
    views = [*networks, linear]
    longest = max(views, key=lambda view: view.n_start_up)
    rows = longest.residuals(series).whole_of(rows)
    inverse = np.stack(
        [1 / _typical_residuals(view, series, rows) for view in networks]
    )
    n_channels = series.X.shape[1]
    size = max(view.model.n_rows for view in views) * n_channels
    n_windows = min(_MOST_WINDOWS, max(_MOST_READINGS // (size * n_channels), 32))
    rows = np.sort(rng.choice(rows, min(n_windows, len(rows)), replace=False))
    donors = [rng.choice(rows, len(rows)) for _ in range(n_channels)]
    first, *others = networks
    of_network, of_linear = (
        _Test(view, series, rows, weights).run(donors)
        for view, weights in ((first, inverse[0]), (linear, np.ones(n_channels)))
    )
    known = np.maximum(_areas(*of_linear), 0.5)
    gains = np.zeros((len(networks), n_channels))
    gains[0] = _gain(_areas(*of_network), known)
    if relation_weights(gains[0])[1]:  # otherwise no view of the network counts
        for number, view in enumerate(others, start=1):
            of_other = _Test(view, series, rows, inverse[number]).run(donors)
            gains[number] = _gain(_areas(*of_other), known)
    predictable = _are_predictable(of_network, of_linear, series, rows, donors)
    counted = np.maximum(relation_weights(gains[0])[0], _LEAST_WEIGHT)
    return Evidence(gains, predictable, inverse * counted)


def _gain(found, known):
    """Return the share of what is not known that is found, in [0, 1]."""
    missed = np.maximum(1 - known, np.finfo(np.float64).eps)
    return np.clip((found - known) / missed, 0, 1)


def _are_predictable(of_network, of_linear, series, rows, donors):
    """Return for each channel whether a model detects replacements that change it."""
    predictable = np.ones(len(donors), dtype=bool)
    last_rows = series.windows(_REPLACED)
    variance = np.nanvar(series.X, axis=0, dtype=np.float64)
    for channel, of in enumerate(donors):
        as_read, others = (
            last_rows.take(windows)[:, :, channel] for windows in (rows, of)
        )
        with np.errstate(over="ignore"):
            change = mean_of_known(np.square(others - as_read, dtype=float), axis=1)
        is_other = change > _LEAST_CHANGE * variance[channel]
        if np.count_nonzero(is_other) >= _FEWEST_WINDOWS:
            predictable[channel] = any(
                _area(before[is_other], after[channel][is_other]) > _UNNOTICED
                for before, after in (of_network, of_linear)
            )
    return predictable


def _areas(as_read, replaced):
    """Return the area of each channel; see `_area`."""
    return np.array([_area(as_read, of_channel) for of_channel in replaced])


def _area(as_read, replaced):
    """Return the area under the ROC curve for original and changed windows."""
    # The share of pairs in which the changed window has the larger error. The result is
    # that of roc_auc_score, whose input validation would take most of the time of the
    # test for a wide series.
    n_read, n_replaced = len(as_read), len(replaced)
    ranks = rankdata(np.concatenate([as_read, replaced]))[n_read:]
    return (ranks.mean() - (n_replaced + 1) / 2) / n_read


def _typical_residuals(view, series, rows):
    """Return the mean squared residual of each channel, limited from below."""
    residuals = view.residuals(series)
    squared = [squared[:, -1] for _, squared in residuals.batches(evenly(rows), 1)]
    typical = np.nan_to_num(mean_of_known(np.concatenate(squared), axis=0))
    positive = typical[typical > 0]
    if not len(positive):
        return np.ones(len(typical))
    return np.maximum(typical, _SMALLEST * np.median(positive))


class _Test:
    """Compares the errors of a model in windows as read and with replaced rows."""

    def __init__(self, view, series, rows, weights):
        self._model = view.model
        self._series = series.windows(view.model.n_rows, view.baseline_window)
        self._rows = rows
        self._weights = weights
        self._last = slice(-min(_REPLACED, view.model.n_rows), None)

    def run(self, donors):
        """Return the errors of windows as read, and with a channel replaced.

        Parameters
        ----------
        donors : list of ndarray of shape (n_windows,)
            For each channel, the rows whose windows provide the replacements.

        Returns
        -------
        as_read : ndarray of shape (n_windows,)
            Errors of the windows as read.
        replaced : ndarray of shape (n_channels, n_windows)
            Errors if the last rows of a channel are replaced.
        """
        as_read = self._series.take(self._rows)
        n_together = max(_TOGETHER // len(as_read), 1)
        replaced = []
        for start in range(0, len(donors), n_together):
            channels = range(start, min(start + n_together, len(donors)))
            windows = np.repeat(as_read[None], len(channels), axis=0)
            for of_channel, channel in zip(windows, channels, strict=True):
                others = self._series.take(donors[channel])
                of_channel[:, self._last, channel] = others[:, self._last, channel]
            errors = self._errors(windows.reshape(-1, *as_read.shape[1:]))
            replaced.append(errors.reshape(len(channels), -1))
        return self._errors(as_read), np.concatenate(replaced)

    def _errors(self, windows):
        """Return the sums of the weighted squared residuals in the last rows."""
        totals = []
        given = _Given(windows, self._series)
        for _, actual, expected in self._model.run(given, np.arange(len(windows))):
            squared = squared_residuals(actual[:, self._last], expected[:, self._last])
            totals.append(np.nansum(squared * self._weights, axis=(1, 2)))
        return np.concatenate(totals)


class _Given:
    """Existing windows, with the methods of `TrailingWindows` that models call."""

    def __init__(self, windows, series):
        self._windows = windows
        self.fill = series.fill

    def take(self, rows):
        return self._windows[rows]
