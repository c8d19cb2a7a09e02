# SPDX-License-Identifier: MIT
"""Models that forecast a row from earlier rows.

They implement the model interface described in `_residuals`.
"""

import numpy as np
from sklearn.base import clone
from sklearn.multioutput import MultiOutputRegressor
from sklearn.utils import get_tags

from tsanomaly._progress import tell
from tsanomaly._row_errors import evenly
from tsanomaly._threads import in_one_thread
from tsanomaly._trainers import INPUT_LIMIT
from tsanomaly._window_model import as_seen

__all__ = ["Forecast", "RegressorModel", "RidgeModel", "most_lags"]

# Rows per forecast call. A fixed number, so that how many rows are scored with a row
# changes its result in the last bits at most, and on many processors not at all.
_BATCH = 256

# Maximum number of inputs of a forecast (the cost of ridge regression grows with their
# square), and minimum number of training rows per input.
_MOST_INPUTS, _ROWS_PER_INPUT = 600, 10

# Rows per block of the normal equations, and maximum size of a regressor's inputs.
_BLOCK, _MOST_NUMBERS = 4096, 50_000_000

# Minimum penalty of ridge regression, relative to the mean square of the inputs.
_LEAST_PENALTY = 1e-10


def most_lags(lags, shape):
    """Limit the number of lags by the size of the series.

    Parameters
    ----------
    lags : int
        Requested number of lags.
    shape : tuple of int
        ``(n_timestamps, n_channels)`` of the training series.

    Returns
    -------
    lags : int
        Smaller than requested if there are many channels or few rows.
    """
    n_timestamps, n_channels = shape
    most_inputs = min(_MOST_INPUTS, n_timestamps // _ROWS_PER_INPUT)
    return max(1, min(lags, most_inputs // n_channels))


class Forecast:
    """Base class of models that forecast a row.

    Parameters
    ----------
    lags : int
        Number of earlier rows that a row is forecast from.
    """

    forecasts = runs_several = True

    def __init__(self, lags):
        self.lags = lags

    @property
    def n_rows(self):
        """Rows in the windows that the model takes."""
        return self.lags + 1

    def run(self, windows, rows, n_last=1):
        """Forecast the last rows of windows; see `_residuals`."""
        for start in range(0, len(rows), _BATCH):
            batch = rows[start : start + _BATCH]
            actual = windows.take(np.resize(batch, _BATCH))
            expected = self.forecast(_inputs(windows, actual))
            n_rows = len(batch)
            yield batch, actual[:n_rows, -1:], expected[:n_rows, None]
            tell(start + n_rows, len(rows), "rows")

    def make_runner(self, imputer):
        """Make a function that forecasts the last rows of windows."""

        def run(windows):
            seen = as_seen(windows[:, :-1], imputer)
            return self.forecast(seen.reshape(len(seen), -1))[:, None]

        return run

    def memory(self, shape):
        """Estimate the bytes that fitting takes on a series of this shape."""
        n_timestamps, n_channels = shape
        n_inputs = self.lags * n_channels
        return 32 * n_inputs**2 + 16 * min(_MOST_NUMBERS, n_timestamps * n_inputs)


class RidgeModel(Forecast):
    r"""Forecast a row as a linear function of earlier rows.

    Parameters
    ----------
    coefficients : ndarray of shape (lags * n_channels, n_channels)
        float32. The inputs are time-major, oldest row first.
    """

    def __init__(self, coefficients):
        super().__init__(coefficients.shape[0] // coefficients.shape[1])
        self.coefficients = coefficients

    @classmethod
    def fit(cls, windows, rows, alpha):
        r"""Fit ridge regression.

        With the inputs of :math:`n` rows in :math:`A` and the rows in :math:`Y`, solve
        :math:`(A^T A + \alpha n I) W = A^T Y`. A channel with missing readings is
        fitted on the rows in which it has a reading.

        Parameters
        ----------
        windows : TrailingWindows
            Source of the windows, of ``lags + 1`` rows.
        rows : ndarray of int
            Training rows.
        alpha : float
            Penalty, relative to the number of rows.

        Returns
        -------
        model : RidgeModel
        """
        missing = np.isnan(windows.X[rows])
        with in_one_thread():
            squares, products = _sums(windows, rows)
            coefficients = _solve(squares, products, alpha, len(rows))
            for channel in np.flatnonzero(missing.any(axis=0)):
                is_known = ~missing[:, channel]
                n_known = np.count_nonzero(is_known)
                if 2 * n_known < len(rows):
                    of_known = _sums(windows, rows[is_known])[0]
                else:
                    of_known = squares - _sums(windows, rows[~is_known])[0]
                coefficients[:, channel] = _solve(
                    of_known, products[:, channel], alpha, n_known
                )
        return cls(coefficients.astype(np.float32))

    def forecast(self, inputs):
        """Forecast rows from inputs of shape (n_rows, lags * n_channels), float32."""
        return inputs @ self.coefficients


class RegressorModel(Forecast):
    """Forecast a row with a scikit-learn regressor.

    Parameters
    ----------
    regressor : fitted estimator
    lags : int
    """

    def __init__(self, regressor, lags):
        super().__init__(lags)
        self.regressor = regressor

    @classmethod
    def fit(cls, windows, rows, regressor):
        """Fit a clone of a regressor.

        Parameters
        ----------
        windows : TrailingWindows
            Source of the windows, of ``lags + 1`` rows.
        rows : ndarray of int
            Training rows. Rows with missing readings are dropped if complete rows
            remain.
        regressor : estimator
            A regressor for a single target is fitted once per channel.

        Returns
        -------
        model : RegressorModel
        """
        lags = windows.window_size - 1
        complete = rows[~np.isnan(windows.X[rows]).any(axis=1)]
        rows = complete if len(complete) else rows
        most = max(_MOST_NUMBERS // (windows.window_size * windows.X.shape[1]), 1)
        rows = evenly(rows, most)
        actual = windows.take(rows)
        inputs, targets = _inputs(windows, actual), windows.fill(actual)[:, -1]
        regressor = clone(regressor)
        if targets.shape[1] == 1:
            targets = targets[:, 0]
        elif not get_tags(regressor).target_tags.multi_output:
            regressor = MultiOutputRegressor(regressor)
        return cls(regressor.fit(inputs, targets), lags)

    def forecast(self, inputs):
        """Forecast rows from inputs of shape (n_rows, lags * n_channels), float32."""
        predicted = np.asarray(self.regressor.predict(inputs), dtype=np.float64)
        shape = len(inputs), inputs.shape[1] // self.lags
        if predicted.size != shape[0] * shape[1] or not np.isfinite(predicted).all():
            raise ValueError(
                f"regressor={self.regressor!r} must predict a finite number for each "
                f"of {shape[1]} channels, got an array of shape {predicted.shape} with "
                f"{np.count_nonzero(~np.isfinite(predicted))} NaN or infinite values."
            )
        return predicted.reshape(shape)


def _inputs(windows, actual):
    """Return the flattened inputs of the forecasts of the last rows of windows."""
    before = windows.fill(np.clip(actual[:, :-1], -INPUT_LIMIT, INPUT_LIMIT))
    return before.reshape(len(before), -1)


def _sums(windows, rows):
    """Return the Gram matrix of the inputs, and their products with the readings."""
    n_channels = windows.X.shape[1]
    n_inputs = (windows.window_size - 1) * n_channels
    squares, products = np.zeros((n_inputs, n_inputs)), np.zeros((n_inputs, n_channels))
    for start in range(0, len(rows), _BLOCK):
        actual = windows.take(rows[start : start + _BLOCK])
        # Missing inputs are filled without the target row, which would leak into them.
        inputs = _inputs(windows, actual).astype(np.float64)
        squares += inputs.T @ inputs
        products += inputs.T @ np.nan_to_num(actual[:, -1].astype(np.float64))
    return squares, products


def _solve(squares, products, alpha, n_rows):
    """Return the coefficients of ridge regression."""
    from scipy.linalg import solve

    n_inputs = len(squares)
    # Identical channels make the matrix singular without a penalty.
    least = max(_LEAST_PENALTY * squares.trace() / n_inputs, np.finfo(np.float32).tiny)
    penalised = squares.copy()
    penalised.flat[:: n_inputs + 1] += max(alpha * n_rows, least)
    return solve(penalised, products, assume_a="pos", overwrite_a=True)
