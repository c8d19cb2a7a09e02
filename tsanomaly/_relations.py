# SPDX-License-Identifier: MIT
"""Whether a network knows relations between sensors that a linear map does not.

The evidence is a test without labels, on training rows that the network has not learned
from. The last rows of one channel in a window are replaced by rows of the same channel
from elsewhere: every sensor by itself is as usual, and only the relation is broken. A
model knows the relation as far as it tells such windows from those that were read.
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from tsanomaly._means import mean_of_known
from tsanomaly._row_errors import evenly, squared_residuals
from tsanomaly._windows import fill_windows

__all__ = ["Evidence", "find_evidence", "relation_weights"]

# Rows at the end of a window that are replaced.
_REPLACED = 10

# Windows that are tested, at most, and readings in those of all channels; of very wide
# series more, since fewer than 32 windows tell nothing.
_MOST_WINDOWS, _MOST_READINGS = 300, 50_000_000

# Windows that models are given together: they compute as many as fill a batch, also
# where the windows of a channel are few.
_TOGETHER = 512

# Below the first gain the network counts for nothing in a channel, from the second on
# it counts fully.
_LEAST_GAIN, _FULL_GAIN = 0.25, 0.5

# How much a channel that the network does not know counts in its view, at least, and
# the smallest typical residual that channels are divided by, relative to their median.
_LEAST_WEIGHT, _SMALLEST = 0.1, 0.01

# A channel whose replacement neither model notices more often than this cannot be
# predicted: 0.5 is by chance.
# The linear map has learned from these rows, and notices noise in up to 0.66.
_UNNOTICED = 0.7

# Where a channel idles, most replacements change nothing. It is judged by those that
# differ by more than so much of its variance, if there are as many.
_LEAST_CHANGE, _FEWEST_WINDOWS = 0.25, 100


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
        Whether either model tells them; also True where there were too few windows in
        which the channel changes, as in short or very wide series.
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
    longest = max(network, linear, key=lambda view: view.n_start_up)
    rows = longest.residuals(series).whole_of(rows)
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
    predictable = np.ones(n_channels, dtype=bool)
    last_rows = series.windows(_REPLACED)
    variance = np.nanvar(series.X, axis=0, dtype=np.float64)
    n_together = max(_TOGETHER // len(rows), 1)
    for start in range(0, n_channels, n_together):
        channels = range(start, min(start + n_together, n_channels))
        donors = [rng.choice(rows, len(rows)) for _ in channels]
        errors = [test.errors_with(channels, donors) for test in tests]
        for channel, of, *replaced in zip(channels, donors, *errors, strict=True):
            areas[channel] = [
                _area(test.as_read, replaced_by)
                for test, replaced_by in zip(tests, replaced, strict=True)
            ]
            as_read, others = (
                last_rows.take(windows)[:, :, channel] for windows in (rows, of)
            )
            with np.errstate(over="ignore"):
                change = mean_of_known(np.square(others - as_read, dtype=float), axis=1)
            is_other = change > _LEAST_CHANGE * variance[channel]
            if np.count_nonzero(is_other) >= _FEWEST_WINDOWS:
                predictable[channel] = any(
                    _area(test.as_read[is_other], replaced_by[is_other]) > _UNNOTICED
                    for test, replaced_by in zip(tests, replaced, strict=True)
                )
    known = np.maximum(areas[:, 1], 0.5)
    gain = (areas[:, 0] - known) / np.maximum(1 - known, np.finfo(np.float64).eps)
    gain = np.clip(gain, 0, 1)
    counted = np.maximum(relation_weights(gain)[0], _LEAST_WEIGHT)
    return Evidence(gain, predictable, inverse * counted)


def _area(as_read, replaced):
    """Area under the ROC curve of errors of windows that were read and replaced."""
    # The share of pairs in which the replaced one has the larger error. As from
    # roc_auc_score, whose checks take most of the test of a wide series.
    n_read, n_replaced = len(as_read), len(replaced)
    ranks = rankdata(np.concatenate([as_read, replaced]))[n_read:]
    return (ranks.mean() - (n_replaced + 1) / 2) / n_read


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
    """Errors of windows by a model, as they were read and with others in their place.

    Attributes
    ----------
    as_read : ndarray of shape (n_windows,)
    """

    def __init__(self, model, series, rows, weights):
        self._model = model
        self._series = series.windows(model.n_rows)
        self._rows = rows
        self._weights = weights
        self._last = slice(-min(_REPLACED, model.n_rows), None)
        self.as_read = self._errors(self._series.take(rows))

    def errors_with(self, channels, donors):
        """Errors with the last rows of a channel replaced by those of other windows.

        Parameters
        ----------
        channels : sequence of int
            One after the other is replaced, in copies of the windows.
        donors : list of ndarray of shape (n_windows,)
            For each of them, rows whose windows take the place.

        Returns
        -------
        errors : ndarray of shape (len(channels), n_windows)
        """
        as_read = self._series.take(self._rows)
        windows = np.repeat(as_read[None], len(channels), axis=0)
        for of_channel, channel, rows in zip(windows, channels, donors, strict=True):
            others = self._series.take(rows)
            of_channel[:, self._last, channel] = others[:, self._last, channel]
        errors = self._errors(windows.reshape(-1, *as_read.shape[1:]))
        return errors.reshape(len(channels), -1)

    def _errors(self, windows):
        """Sums of the squared residuals of the last rows of windows."""
        totals = []
        given = _Given(windows, self._series.fill_values)
        for _, actual, expected in self._model.run(given, np.arange(len(windows))):
            squared = squared_residuals(actual[:, self._last], expected[:, self._last])
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
