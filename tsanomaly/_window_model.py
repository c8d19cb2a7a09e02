# SPDX-License-Identifier: MIT
"""A network and a linear map that say together what readings should have been.

Nothing here knows of scikit-learn, nor of how errors and thresholds follow.
"""

from functools import partial

import numpy as np

from tsanomaly._linear_map import LinearMap, in_one_thread
from tsanomaly._network import SCORING_BATCH
from tsanomaly._row_errors import evenly, mean_of_known, squared_residuals
from tsanomaly._trainers import INPUT_LIMIT
from tsanomaly._windows import fill_windows

__all__ = ["WindowModel"]


class WindowModel:
    """Windows as a linear map and a network reconstruct them, or forecasts of rows.

    Parameters
    ----------
    network : Network
        The architecture.
    weights : list of ndarray
        Its weights.
    linear_map : LinearMap or None
        A linear skip connection, whose output is added to that of the network. None
        for a network that forecasts.
    fill_values : ndarray of shape (n_channels,)
        Stand for a channel without any reading in a window.
    fit_linear_map : callable or None, default=None
        Fits another linear map on the windows of other rows, ``(windows, rows)``. None
        where there is none, or the model is not just fitted.
    """

    def __init__(self, network, weights, linear_map, fill_values, fit_linear_map=None):
        self.weights = weights
        self.linear_map = linear_map
        self._network = network
        self._fill_values = fill_values
        self._fit_linear_map = fit_linear_map

    @classmethod
    def fit(
        cls,
        network,
        windows,
        rows,
        validation_rows,
        *,
        fill_values,
        linear_variance,
        seed,
        **options,
    ):
        """Fit the linear map, then train the network on what that leaves over.

        Parameters
        ----------
        network : Network
            The architecture.
        windows : TrailingWindows
            Of `network.n_rows` rows, float32.
        rows, validation_rows, seed, **options
            As in `Network.train`.
        fill_values : ndarray of shape (n_channels,)
            As above.
        linear_variance : float
            As in `LinearMap.fit`; 0 for no linear map.

        Returns
        -------
        model : WindowModel
        history : dict of str to list of float
            As from `Network.train`.
        """
        linear_map = fit_linear_map = None
        if linear_variance:
            fit_linear_map = partial(LinearMap.fit, variance=linear_variance, seed=seed)
            linear_map = fit_linear_map(windows, rows)
        weights, history = network.train(
            windows, rows, validation_rows, seed=seed, baseline=linear_map, **options
        )
        model = cls(network, weights, linear_map, fill_values, fit_linear_map)
        return model, history

    @staticmethod
    def memory(shape, window_size, *, batch_size, width, with_linear_map):
        """Bytes that `fit` takes, about.

        Parameters
        ----------
        shape : tuple of int
            ``(n_timestamps, n_channels)`` of the series.
        window_size, batch_size : int
        width : int
            Numbers that all layers together keep of a row of a window.
        with_linear_map : bool
        """
        n_timestamps, n_channels = shape
        size = window_size * n_channels  # readings in a window
        # Windows of a batch, their residuals, and what every layer keeps of each row.
        batch = max(batch_size, SCORING_BATCH)
        needed = batch * (32 * size + 115 * window_size * width)
        needed += 16 * n_timestamps * n_channels
        if with_linear_map:
            needed += LinearMap.memory(n_timestamps, size)
        return needed

    @property
    def forecasts(self):
        """Whether the last row of a window is predicted from the rows before it."""
        return self._network.forecasts

    @property
    def n_rows(self):
        """Rows of the windows that the model takes."""
        return self._network.n_rows

    def run(self, windows, rows):
        """Predict the rows of windows; as `Network.run`."""
        return self._network.run(self.weights, windows, rows, self.linear_map)

    def make_runner(self):
        """Make a function that predicts the rows of one window, without delay.

        Returns
        -------
        run : callable
            From a window of shape (1, n_rows, n_channels), float32, to what its rows,
            or its last, should have been, (1, k, n_channels). Its first call compiles.
        """
        run_network = self._network.window_runner(self.weights)

        def run(window):
            given = window[:, :-1] if self.forecasts else window
            clipped = np.clip(given, -INPUT_LIMIT, INPUT_LIMIT)
            clipped = fill_windows(clipped, self._fill_values)
            expected = run_network(clipped)
            if self.linear_map is not None:
                expected = expected + self.linear_map(clipped)
            return expected

        return run

    def errors_of_halves(self, windows, rows):
        """Errors of rows that were learned from, and as if they had not been.

        Seen with the linear map, which is fitted in a moment: the errors of each half
        of the rows by the map of the other half, and by that of all rows.

        Parameters
        ----------
        windows : TrailingWindows
            The training series.
        rows : ndarray of int
            Rows whose windows are whole.

        Returns
        -------
        inside, outside : ndarray of shape (n_windows, window_size), or None
            Mean squared residuals of rows. None without a linear map, or where the
            halves do not hold two windows that do not overlap.
        """
        middle, overlap = len(rows) // 2, windows.window_size - 1
        if self._fit_linear_map is None or middle <= 2 * overlap:
            return None
        inside, outside = [], []
        for learned, held_out in (
            (evenly(rows[:middle]), evenly(rows[middle + overlap :])),
            (evenly(rows[middle:]), evenly(rows[: middle - overlap])),
        ):
            other = self._fit_linear_map(windows, learned)
            outside.append(_linear_errors(other, windows, held_out))
            inside.append(_linear_errors(self.linear_map, windows, held_out))
        return np.concatenate(inside), np.concatenate(outside)


def _linear_errors(linear_map, windows, rows):
    """Errors of the rows in windows by a linear map, (n_windows, window_size)."""
    errors = []
    with in_one_thread():
        for start in range(0, len(rows), SCORING_BATCH):
            actual = windows.take(rows[start : start + SCORING_BATCH])
            squared = squared_residuals(actual, linear_map(windows.fill(actual)))
            errors.append(mean_of_known(squared, axis=2))
    return np.concatenate(errors)
