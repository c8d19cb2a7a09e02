# SPDX-License-Identifier: MIT
"""Models that reconstruct windows.

They implement the model interface described in `_residuals`.
"""

import numpy as np

from tsanomaly._linear_map import LinearMap
from tsanomaly._network import SCORING_BATCH
from tsanomaly._progress import tell
from tsanomaly._trainers import INPUT_LIMIT
from tsanomaly._validation import locate

__all__ = ["LinearModel", "NetworkModel", "as_seen", "check_readings"]

# Number of windows per call of the linear map, smaller for wide windows. It is fixed,
# so that how many rows are scored with a row changes its result in the last bits at
# most, and on many processors not at all.
_LARGEST_BATCH, _SMALLEST_BATCH = 256, 32
_READINGS_OF_BATCH = 2**20


def check_readings(detector, series):
    """Raise if readings of a training series are too large for a model of windows."""
    outside = np.abs(series.X) > INPUT_LIMIT
    if outside.any():
        raise ValueError(
            f"Input X contains readings more than {INPUT_LIMIT:g} away from their mean "
            f"in {locate(detector, outside)}, which is too large for the model. Scale "
            "the series, for example with sklearn.preprocessing.StandardScaler in a "
            "pipeline."
        )


class NetworkModel:
    """Reconstruct windows, or forecast rows, with a network.

    Parameters
    ----------
    network : Network
        The architecture.
    weights : list of ndarray
        Weights of the network.
    """

    runs_several = False

    def __init__(self, network, weights):
        self._network = network
        self._weights = weights

    @staticmethod
    def memory(shape, window_size, *, batch_size, width):
        """Estimate the bytes that training takes.

        Parameters
        ----------
        shape : tuple of int
            ``(n_timestamps, n_channels)`` of the series.
        window_size, batch_size : int
        width : int
            Number of activations of all layers per row of a window.
        """
        n_timestamps, n_channels = shape
        # Windows of a batch, their residuals, and the activations of all layers.
        batch = max(batch_size, SCORING_BATCH)
        needed = batch * window_size * (32 * n_channels + 115 * width)
        return needed + 16 * n_timestamps * n_channels

    @property
    def forecasts(self):
        """Whether the last row of a window is predicted from the earlier rows."""
        return self._network.forecasts

    @property
    def n_rows(self):
        """Number of rows in the windows that the model takes."""
        return self._network.n_rows

    def run(self, windows, rows, n_last=None):
        """Predict the rows of windows; see `Network.run`."""
        return self._network.run(self._weights, windows, rows)

    def make_runner(self, imputer):
        """Make a fast function that predicts the rows of one window.

        Parameters
        ----------
        imputer : WindowImputer
            Fills missing readings of the window.

        Returns
        -------
        run : callable
            Maps a float32 window of shape (1, n_rows, n_channels) to the prediction of
            its rows or its last row, (1, k, n_channels). The first call compiles.
        """
        run_network = self._network.window_runner(self._weights)

        def run(window):
            given = window[:, :-1] if self.forecasts else window
            return run_network(as_seen(given, imputer))

        return run


class LinearModel:
    """Reconstruct windows with a linear map.

    Parameters
    ----------
    linear_map : LinearMap
    n_rows : int
        Number of rows in its windows.
    """

    forecasts, runs_several = False, True

    def __init__(self, linear_map, n_rows):
        self.linear_map = linear_map
        self.n_rows = n_rows

    @staticmethod
    def memory(shape, window_size):
        """Estimate the bytes that fitting takes; see `NetworkModel.memory`."""
        n_timestamps, n_channels = shape
        size = window_size * n_channels
        return LinearMap.memory(n_timestamps, size) + 16 * _batch_size(size) * size

    def run(self, windows, rows, n_last=None):
        """Predict the rows of windows; see `_residuals`."""
        size = _batch_size(len(self.linear_map.mean))
        for start in range(0, len(rows), size):
            batch = rows[start : start + size]
            actual = windows.take(np.resize(batch, size))
            seen = windows.fill(np.clip(actual, -INPUT_LIMIT, INPUT_LIMIT))
            expected = self.linear_map(seen, n_last)
            if n_last is not None:
                actual = actual[:, -n_last:]
            yield batch, actual[: len(batch)], expected[: len(batch)]
            tell(start + len(batch), len(rows), "rows")

    def make_runner(self, imputer):
        """Make a fast function that predicts the rows of one window."""
        return lambda window: self.linear_map(as_seen(window, imputer))


def _batch_size(n_readings):
    """Return the number of windows per call of the linear map."""
    size = min(_READINGS_OF_BATCH // n_readings, _LARGEST_BATCH)
    return max(size, _SMALLEST_BATCH)


def as_seen(windows, imputer):
    """Return windows as the input of models: clipped, missing readings filled."""
    return imputer.fill(np.clip(windows, -INPUT_LIMIT, INPUT_LIMIT))
