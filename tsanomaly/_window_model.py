# SPDX-License-Identifier: MIT
"""Models that say what the readings of windows should have been.

They are what `_residuals` asks of a model. Nothing here knows of scikit-learn, nor of
how errors and thresholds follow.
"""

import numpy as np

from tsanomaly._linear_map import LinearMap
from tsanomaly._network import SCORING_BATCH
from tsanomaly._progress import tell
from tsanomaly._trainers import INPUT_LIMIT
from tsanomaly._windows import fill_windows

__all__ = ["LinearModel", "NetworkModel", "as_seen"]

# Windows that the linear map reconstructs together, fewer if they are wide. Always as
# many, so that the last bits of a row do not depend on how many are scored with it.
_LARGEST_BATCH, _SMALLEST_BATCH = 256, 32
_READINGS_OF_BATCH = 2**20


class NetworkModel:
    """Windows as a network reconstructs them, or rows as it forecasts them.

    Parameters
    ----------
    network : Network
        The architecture.
    weights : list of ndarray
        Its weights.
    """

    runs_several = False

    def __init__(self, network, weights):
        self._network = network
        self._weights = weights

    @staticmethod
    def memory(shape, window_size, *, batch_size, width):
        """Bytes that training takes, about.

        Parameters
        ----------
        shape : tuple of int
            ``(n_timestamps, n_channels)`` of the series.
        window_size, batch_size : int
        width : int
            Numbers that all layers together keep of a row of a window.
        """
        n_timestamps, n_channels = shape
        # Windows of a batch, their residuals, and what every layer keeps of each row.
        batch = max(batch_size, SCORING_BATCH)
        needed = batch * window_size * (32 * n_channels + 115 * width)
        return needed + 16 * n_timestamps * n_channels

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
        return self._network.run(self._weights, windows, rows)

    def make_runner(self):
        """Make a function that predicts the rows of one window, without delay.

        Returns
        -------
        run : callable
            From a window of shape (1, n_rows, n_channels), float32, to what its rows,
            or its last, should have been, (1, k, n_channels). Its first call compiles.
        """
        run_network = self._network.window_runner(self._weights)

        def run(window):
            given = window[:, :-1] if self.forecasts else window
            return run_network(as_seen(given))

        return run


class LinearModel:
    """Windows as a linear map reconstructs them.

    Parameters
    ----------
    linear_map : LinearMap
    n_rows : int
        Rows of its windows.
    """

    forecasts, runs_several = False, True

    def __init__(self, linear_map, n_rows):
        self.linear_map = linear_map
        self.n_rows = n_rows

    @staticmethod
    def memory(shape, window_size):
        """Bytes that fitting takes, about, as for the network."""
        n_timestamps, n_channels = shape
        size = window_size * n_channels
        return LinearMap.memory(n_timestamps, size) + 16 * _batch_size(size) * size

    def run(self, windows, rows):
        """Predict the rows of windows; as `Network.run`."""
        size = _batch_size(len(self.linear_map.mean))
        for start in range(0, len(rows), size):
            batch = rows[start : start + size]
            actual = windows.take(np.resize(batch, size))
            seen = windows.fill(np.clip(actual, -INPUT_LIMIT, INPUT_LIMIT))
            expected = self.linear_map(seen)
            yield batch, actual[: len(batch)], expected[: len(batch)]
            tell(start + len(batch), len(rows), "rows")

    def make_runner(self):
        """Make a function that predicts the rows of one window; as above."""
        return lambda window: self.linear_map(as_seen(window))


def _batch_size(n_readings):
    """How many windows of so many readings the linear map reconstructs together."""
    size = min(_READINGS_OF_BATCH // n_readings, _LARGEST_BATCH)
    return max(size, _SMALLEST_BATCH)


def as_seen(window):
    """A window as models take it: clipped, and filled where nothing was read."""
    clipped = np.clip(window, -INPUT_LIMIT, INPUT_LIMIT)
    return fill_windows(clipped, np.zeros(window.shape[2], np.float32))
