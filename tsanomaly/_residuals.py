# SPDX-License-Identifier: MIT
"""Residuals of a model in windows.

A *model* predicts readings and has the following interface:

- ``forecasts``: whether it predicts the last row of each window from the earlier rows;
  otherwise it reconstructs whole windows.
- ``n_rows``: number of rows in its windows.
- ``run(windows, rows, n_last)`` yields batches of rows, with their readings of shape
  ``(n, k, n_channels)`` and the predictions of the same shape. `k` is `n_rows`, or 1
  for a model that forecasts, or any number from `n_last`, the rows at the end of each
  window that are needed.
- ``make_runner(imputer)`` returns a function for one window of shape
  ``(1, n_rows, n_channels)`` that is fast when called repeatedly. ``runs_several``
  tells whether it also accepts several windows.
"""

import numpy as np

from tsanomaly._context import Context, rows_with_context
from tsanomaly._row_errors import squared_residuals
from tsanomaly._windows import TrailingWindows

__all__ = ["Residuals"]

# Maximum number of windows per batch, and approximate number of residuals in them, so
# that intermediate results stay in the cache of a processor.
_BLOCK, _MOST_NUMBERS = 1024, 2**18


class Residuals:
    """Squared residuals of a series in trailing windows.

    Parameters
    ----------
    model : object
        Model as described above.
    windows : TrailingWindows
        The series in windows of `model.n_rows` rows.
    n_context : int
        Number of earlier rows that the error of a row depends on.
    weights : ndarray of shape (n_channels,) or None, default=None
        Factors of the squared residuals of the channels.

    Attributes
    ----------
    shape : tuple of int
        ``(n_timestamps, n_channels)`` of the series.
    rows : ndarray of int
        Rows of the series without breaks.
    first_rows : ndarray of shape (n_timestamps,)
        First row of the stretch of each row.
    whole : ndarray of shape (n_timestamps,), dtype=bool
        Rows whose errors depend on no padding. False for breaks.
    known : ndarray of shape (n_timestamps,), dtype=bool
        Rows at the end of a window of the model without padding. The residuals of all
        other windows are NaN.
    """

    def __init__(self, model, windows, n_context, weights=None):
        self._model = model
        self._weights = weights
        self._windows = windows
        self.shape = windows.X.shape
        self.rows = windows.rows
        self.first_rows = windows.first_rows
        self.whole = np.zeros(len(windows.X), dtype=bool)
        self.whole[self.rows] = self.rows - self.first_rows[self.rows] >= n_context
        self.known = windows.whole

    @property
    def are_of_rows(self):
        """Whether a row has the same residuals in all windows, as in forecasts."""
        return self._model.forecasts

    def whole_of(self, rows):
        """Return the given rows without padding or, without any, all such rows."""
        whole = rows[self.whole[rows]]
        return whole if len(whole) else self.rows[self.whole[self.rows]]

    def batches(self, rows, n_rows):
        """Yield the squared residuals of the last rows of windows.

        Parameters
        ----------
        rows : ndarray of int
            Last rows of the windows.
        n_rows : int
            Number of rows at the end of each window to return.

        Yields
        ------
        rows : ndarray of shape (n,)
            Rows of the batch, in order.
        squared : ndarray of shape (n, n_rows, n_channels)
            float64. NaN for missing readings and rows that are not `known`.
        """
        if self._model.forecasts and n_rows > 1:
            yield from self._windows_of_forecasts(rows, n_rows)
            return
        size = max(_MOST_NUMBERS // (n_rows * self.shape[1]), 1)
        for rows_run, actual, expected in self._model.run(self._windows, rows, n_rows):
            for start in range(0, len(rows_run), size):
                part = slice(start, start + size)
                batch = rows_run[part]
                squared = squared_residuals(
                    actual[part, -n_rows:], expected[part, -n_rows:]
                )
                if self._weights is not None:
                    squared *= self._weights
                squared[~self.known[batch]] = np.nan
                yield batch, squared

    def stretches(self, rows, n_rows):
        """Yield the squared residuals of rows and of the rows before them.

        Parameters
        ----------
        rows : ndarray of int
            Rows, in ascending order.
        n_rows : int
            Number of rows needed up to each one, itself included.

        Yields
        ------
        rows : ndarray of shape (n,)
            Rows of the batch, in order.
        squared : ndarray of shape (n_stretch, n_channels)
            Residuals of successive rows, float64. NaN for missing readings, breaks and
            rows that are not `known`.
        places : ndarray of shape (n,)
            Positions of the rows of the batch among them.
        """
        needed, squared = self._of_rows(rows, n_rows)
        places = np.searchsorted(needed, rows)
        size = max(_MOST_NUMBERS // self.shape[1], 4 * n_rows)
        for start in range(0, len(needed), size):
            first = max(start - n_rows + 1, 0)
            inside = slice(*np.searchsorted(places, [start, start + size]))
            if len(rows[inside]):
                stretch = squared[first : start + size]
                yield rows[inside], stretch, places[inside] - first

    def _of_rows(self, rows, n_rows):
        """Return rows with those before them, and their residuals, NaN for breaks."""
        context = Context(n_rows - 1, 0)
        needed = rows_with_context(rows, context, len(self._windows.X))
        squared = np.full((len(needed), self.shape[1]), np.nan)
        forecast = np.intersect1d(needed, self.rows, assume_unique=True)
        for batch, of_rows in self.batches(forecast, 1):
            squared[np.searchsorted(needed, batch)] = of_rows[:, 0]
        return needed, squared

    def _windows_of_forecasts(self, rows, n_rows):
        """Yield windows of residuals. Each row is forecast only once."""
        squared = np.full(self.shape, np.nan)
        needed, of_rows = self._of_rows(rows, n_rows)
        squared[needed] = of_rows
        breaks = np.ones(len(squared), dtype=bool)
        breaks[self.rows] = False
        windows = TrailingWindows(squared, n_rows, breaks)
        for start in range(0, len(rows), _BLOCK):
            batch = rows[start : start + _BLOCK]
            yield batch, windows.take(batch)
