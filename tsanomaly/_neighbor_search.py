# SPDX-License-Identifier: MIT
"""Search for the training windows that are nearest to others."""

import numpy as np

from tsanomaly._means_by_length import mean_of_known
from tsanomaly._row_errors import shares_of
from tsanomaly._trainers import INPUT_LIMIT

__all__ = ["NeighborSearch"]

# Scaled statistics are clipped at this value.
_CLIP = 50.0

# Features with a smaller spread are treated as constant.
_SMALLEST_SPREAD = 1e-6

# Training windows are searched in groups: the nearest ones are in the groups with the
# smallest minimum distances.
_N_GROUPS, _FEW_ROWS = 125, 8

# Up to this number of nearest windows, one minimum after the other is faster than a
# partition.
_FEW_NEAREST = 8


class NeighborSearch:
    """Search for the nearest training windows by features of one kind and length.

    Parameters
    ----------
    kind : {'scaled', 'raw', 'readings'}
        Kind of features: statistics scaled by their spread over the training windows,
        unscaled statistics, or the readings of the windows.
    length : int
        Number of rows in a window.
    features : ndarray of shape (n_windows, n_features, n_channels)
        Features of the training windows, NaN where unknown.
    rows : ndarray of shape (n_windows,)
        Last row of each window in the training series.
    readings : ndarray of shape (n_windows, n_channels)
        Readings in the last row of each window.

    Attributes
    ----------
    references : ndarray of shape (n_windows, n_features * n_channels)
        Features after subtracting `center` and dividing by `spread`, float32.
    readings : ndarray of shape (n_windows, n_channels)
        float32. Missing readings are 0, the mean of the channel.
    calibration : LogCalibration
        Scale of the distances of training windows, set later.
    """

    def __init__(self, kind, length, features, rows, readings):
        self.kind = kind
        self.length = length
        self.rows = rows
        flat = features.reshape(len(features), -1)
        known = np.ma.masked_invalid(flat)
        self.center = known.mean(axis=0).filled(0)
        self.spread = np.ones(flat.shape[1])
        if kind == "scaled":
            spread = known.std(axis=0).filled(0)
            self.spread = np.where(spread > _SMALLEST_SPREAD, spread, 1.0)
        self.references = np.nan_to_num(self._scale(features)).astype(np.float32)
        self.readings = np.nan_to_num(readings).astype(np.float32)

    def _scale(self, features):
        limit = _CLIP if self.kind == "scaled" else INPUT_LIMIT
        flat = (features.reshape(len(features), -1) - self.center) / self.spread
        return np.clip(flat, -limit, limit)

    def prepare(self):
        """Precompute the data that `search` needs, once for many calls.

        Returns
        -------
        references, half_squares : ndarray of shape (n_windows, n_features * n_channels)
            Features and half of their squares in double precision. In single precision,
            small differences of large features would be lost.
        terms : ndarray of shape (n_windows, n_features * n_channels + 1)
            Minus the features, and the sum of `half_squares`: their product with
            features and 1 is half of a squared distance, minus half of a square.
        overlapping : ndarray of shape (n_windows, n_most)
            Indices of the windows that each window overlaps with, padded with its own
            index.
        """
        n_windows = len(self.rows)
        first = np.searchsorted(self.rows, self.rows - self.length, side="right")
        last = np.searchsorted(self.rows, self.rows + self.length)
        overlapping = first[:, None] + np.arange((last - first).max())
        own = np.arange(n_windows)[:, None]
        overlapping = np.where(overlapping < last[:, None], overlapping, own)
        references = self.references.astype(np.float64)
        half_squares = np.square(references) / 2
        terms = np.column_stack([-references, half_squares.sum(axis=1)])
        return references, half_squares, terms, overlapping

    def search(self, features, prepared, n_neighbors):
        """Find the nearest windows, except the very nearest and its overlapping ones.

        The nearest neighbours of a training window are itself and the windows that
        overlap with it. Excluding them makes training windows and new windows
        comparable.

        Parameters
        ----------
        features : ndarray of shape (n, n_features, n_channels)
            Features. NaN, for channels without readings, is ignored.
        prepared : tuple
            Result of `prepare`.
        n_neighbors : int
            Number of windows to find.

        Returns
        -------
        distances : ndarray of shape (n,)
            Mean Euclidean distances.
        shares : ndarray of shape (n, n_channels)
            Squared distances per channel, with a mean of 1 over the known channels. NaN
            for the others.
        nearest : ndarray of shape (n, n_neighbors)
            Indices of the nearest windows.
        """
        references, half_squares, terms, overlapping = prepared
        flat = self._scale(features)
        known = ~np.isnan(flat)
        is_complete = known.all()
        # Half of the squared distance, minus half of the own square.
        if is_complete:
            halves = np.column_stack([flat, np.ones(len(flat))]) @ terms.T
        else:
            flat = np.where(known, flat, 0)
            halves = known.astype(np.float64) @ half_squares.T
            halves -= flat @ references.T
        if overlapping.shape[1] < halves.shape[1]:  # otherwise there are no others
            aside = overlapping[halves.argmin(axis=1)]
            np.put_along_axis(halves, aside, np.inf, axis=1)
        n_others = max(halves.shape[1] - overlapping.shape[1], 1)
        nearest = _nearest(halves, min(n_neighbors, n_others))
        squared = np.square(flat[:, None] - references[nearest])
        if not is_complete:
            squared *= known[:, None]
        n_channels = features.shape[2]
        squared = squared.reshape(*nearest.shape, -1, n_channels)
        by_channel = np.einsum("rnfc->rnc", squared)  # faster than sum
        total = by_channel.sum(axis=2)
        of_channel = ~np.isnan(features).all(axis=1)
        if not is_complete:
            total *= (known.shape[1] / known.sum(axis=1))[:, None]
        distances = mean_of_known(np.sqrt(total), axis=1)
        by_channel = np.where(of_channel, mean_of_known(by_channel, axis=1), np.nan)
        means = mean_of_known(by_channel, axis=1)
        return distances, shares_of(by_channel, means), nearest


def _nearest(values, n_nearest):
    """Return the positions of the smallest values per row, (n_rows, n_nearest)."""
    n_rows, n_values = values.shape
    n_grouped = n_values - n_values % _N_GROUPS
    is_small = n_rows < _FEW_ROWS or n_grouped < 4 * _N_GROUPS
    if is_small or n_nearest > _N_GROUPS:
        return np.argpartition(values, n_nearest - 1, axis=1)[:, :n_nearest]
    # The smallest values are in the groups with the smallest minima.
    grouped = values[:, :n_grouped].reshape(n_rows, -1, _N_GROUPS)
    groups = _smallest(grouped.min(axis=1), n_nearest)
    steps = np.arange(grouped.shape[1])[:, None] * _N_GROUPS
    inside = (groups[:, None] + steps).reshape(n_rows, -1)
    outside = np.broadcast_to(
        np.arange(n_grouped, n_values), (n_rows, n_values % _N_GROUPS)
    )
    left = np.concatenate([inside, outside], axis=1)
    best = _smallest(np.take_along_axis(values, left, axis=1), n_nearest)
    return np.take_along_axis(left, best, axis=1)


def _smallest(values, n_smallest):
    """Return the positions of the smallest values per row, and overwrite them."""
    if n_smallest > _FEW_NEAREST:
        return np.argpartition(values, n_smallest - 1, axis=1)[:, :n_smallest]
    rows = np.arange(len(values))
    positions = np.empty((len(values), n_smallest), dtype=np.intp)
    for number in range(n_smallest):
        positions[:, number] = smallest = values.argmin(axis=1)
        values[rows, smallest] = np.inf
    return positions
