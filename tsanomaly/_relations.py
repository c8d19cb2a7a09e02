# SPDX-License-Identifier: MIT
"""Whether a network knows relations between sensors that a linear map does not.

The evidence is a test without labels, on training rows that the network has not learned
from. The last rows of one channel in a window are replaced by rows of the same channel
from elsewhere: every sensor by itself is as usual, and only the relation is broken. A
model knows the relation as far as it tells such windows from those that were read.
"""

from typing import NamedTuple

import numpy as np
from sklearn.metrics import roc_auc_score

from tsanomaly._row_errors import evenly, mean_of_known, squared_residuals
from tsanomaly._windows import fill_windows

__all__ = ["Evidence", "find_evidence", "relation_weights"]

# Rows at the end of a window that are replaced.
_REPLACED = 10

# Windows that are tested, at most, and readings in all of them.
_MOST_WINDOWS, _MOST_READINGS = 300, 50_000_000

# Below the first gain the network counts for nothing in a channel, from the second on
# it counts fully.
_LEAST_GAIN, _FULL_GAIN = 0.25, 0.5

# How much a channel that the network does not know counts in its view, at least, and
# the smallest typical residual that channels are divided by, relative to their median.
_LEAST_WEIGHT, _SMALLEST = 0.1, 0.01

# A channel whose replacement neither model notices more often than this cannot be
# predicted: 0.5 is by chance.
_UNNOTICED = 0.6


class Evidence(NamedTuple):
    """What was found.

    Parameters
    ----------
    gain : ndarray of shape (n_channels,)
        How much more of the replacements in a channel the network tells from what was
        read than the linear map, of those that this one does not, in [0, 1]: with the
        areas under the ROC curve `a` of the network and `b` of the linear map, or 0.5,
        the larger, ``(a - b) / (1 - b)``.
    predictable : ndarray of shape (n_channels,), dtype=bool
        Whether either model tells them, or the channel never changes.
    residual_weights : ndarray of shape (n_channels,)
        What the squared residuals of the network are to be multiplied by: the inverse
        of what they are typically, and how far the network counts in the channel.
    """

    gain: np.ndarray
    predictable: np.ndarray
    residual_weights: np.ndarray


def relation_weights(gain):
    """How far the network counts in each channel, and altogether.

    Parameters
    ----------
    gain : ndarray of shape (n_channels,)
        As in `Evidence`.

    Returns
    -------
    weights : ndarray of shape (n_channels,)
        0 up to a gain of 0.25, 1 from 0.5 on, and linear in between.
    weight : float
        Their median: the network speaks for the machine if it knows more in most of
        its channels.
    """
    weights = (gain - _LEAST_GAIN) / (_FULL_GAIN - _LEAST_GAIN)
    weights = np.clip(weights, 0, 1)
    return weights, float(np.median(weights))


def find_evidence(network, linear, series, rows, rng):
    """Test what a network and a linear map know of each channel.

    Parameters
    ----------
    network, linear : View
    series : Series
        The training series.
    rows : ndarray of int
        Rows that the network has not learned from.
    rng : numpy.random.Generator
        Chooses windows, and what they are given.

    Returns
    -------
    evidence : Evidence
    """
    rows = linear.residuals(series).whole_of(rows)
    inverse = 1 / _typical_residuals(network, series, rows)
    n_channels = series.X.shape[1]
    size = max(network.model.n_rows, linear.model.n_rows) * n_channels
    n_windows = min(_MOST_WINDOWS, max(_MOST_READINGS // (size * n_channels), 32))
    rows = np.sort(rng.choice(rows, min(n_windows, len(rows)), replace=False))
    tests = [
        _Test(network.model, series, rows, inverse),
        _Test(linear.model, series, rows, np.ones(n_channels)),
    ]
    areas = np.empty((n_channels, 2))
    for channel in range(n_channels):
        donors = rng.choice(rows, len(rows))
        areas[channel] = [test.area(channel, donors) for test in tests]
    known = np.maximum(areas[:, 1], 0.5)
    gain = (areas[:, 0] - known) / np.maximum(1 - known, np.finfo(np.float64).eps)
    gain = np.clip(gain, 0, 1)
    counted = np.maximum(relation_weights(gain)[0], _LEAST_WEIGHT)
    readings = series.X[~series.breaks]
    is_constant = np.nanmin(readings, axis=0) == np.nanmax(readings, axis=0)
    noticed = (areas > _UNNOTICED).any(axis=1)
    return Evidence(gain, noticed | is_constant, inverse * counted)


def _typical_residuals(view, series, rows):
    """Mean squared residual of each channel, but none that is far below the others."""
    residuals = view.residuals(series)
    squared = [squared[:, -1] for _, squared in residuals.batches(evenly(rows), 1)]
    typical = np.nan_to_num(mean_of_known(np.concatenate(squared), axis=0))
    positive = typical[typical > 0]
    if not len(positive):
        return np.ones(len(typical))
    return np.maximum(typical, _SMALLEST * np.median(positive))


class _Test:
    """How well a model tells replaced readings from those that were read."""

    def __init__(self, model, series, rows, weights):
        self._model = model
        self._series = series.windows(model.n_rows)
        self._rows = rows
        self._weights = weights
        self._n_replaced = min(_REPLACED, model.n_rows)
        self._as_read = self._errors(self._series.take(rows))

    def area(self, channel, donors):
        """Area under the ROC curve, the last rows of a channel replaced by others."""
        windows = self._series.take(self._rows)
        others = self._series.take(donors)
        last = slice(-self._n_replaced, None)
        windows[:, last, channel] = others[:, last, channel]
        replaced = self._errors(windows)
        errors = np.concatenate([self._as_read, replaced])
        is_replaced = np.repeat([0, 1], len(self._rows))
        known = np.isfinite(errors)
        if len(np.unique(is_replaced[known])) < 2:
            return 0.5
        return roc_auc_score(is_replaced[known], errors[known])

    def _errors(self, windows):
        """Mean squared residuals of the last rows of windows."""
        totals = []
        given = _Given(windows, self._series.fill_values)
        for _, actual, expected in self._model.run(given, np.arange(len(windows))):
            last = slice(-self._n_replaced, None)
            squared = squared_residuals(actual[:, last], expected[:, last])
            totals.append(np.nansum(squared * self._weights, axis=(1, 2)))
        return np.concatenate(totals)


class _Given:
    """Windows that are there already, for models that ask for them by number."""

    def __init__(self, windows, fill_values):
        self._windows = windows
        self._fill_values = fill_values

    def take(self, rows):
        return self._windows[rows]

    def fill(self, windows):
        if self._fill_values is None:
            return windows
        return fill_windows(windows, self._fill_values)
