# SPDX-License-Identifier: MIT
"""What readings and predictions of them differ by, window by window.

A *model*, of which nothing more is asked here, says what readings should have been:

- ``forecasts``: whether it predicts the last row of each window from the rows before
  it; otherwise it reconstructs whole windows.
- ``n_rows``: rows of the windows that it takes.
- ``run(windows, rows)`` yields, batch by batch, some of the rows, their readings
  ``(n, k, n_channels)`` and what these should have been, of the same shape; `k` is
  `n_rows`, or 1 for a model that forecasts.
- ``make_runner()`` returns a function for one window of shape
  ``(1, n_rows, n_channels)``, prepared for many calls; ``runs_several`` says whether it
  takes several windows as well.
"""

import numpy as np

from tsanomaly._context import Context, rows_with_context
from tsanomaly._row_errors import squared_residuals
from tsanomaly._windows import TrailingWindows

__all__ = ["Residuals"]

# Windows of residuals that are put together at a time.
_BLOCK = 1024


class Residuals:
    """Squared residuals of a series, in windows that end at each row.

    Parameters
    ----------
    model : object
        As above.
    windows : TrailingWindows
        The series, in windows of `model.n_rows` rows.
    n_context : int
        Rows before a row that its error depends on.
    weights : ndarray of shape (n_channels,) or None, default=None
        What the squares of each channel are multiplied by.

    Attributes
    ----------
    shape : tuple of int
        ``(n_timestamps, n_channels)`` of the series.
    rows : ndarray of int
        Its rows without breaks.
    first_rows : ndarray of shape (n_timestamps,)
        First row of the stretch that each row belongs to.
    whole : ndarray of shape (n_timestamps,), dtype=bool
        Rows whose errors rest on no padding; breaks count as padded.
    known : ndarray of shape (n_timestamps,), dtype=bool
        Rows that end a window of the model without padding. Of other windows, of which
        the model was not meant to know anything, all residuals are NaN.
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

    def whole_of(self, rows):
        """Those of the rows whose errors rest on no padding; if none, all such rows."""
        whole = rows[self.whole[rows]]
        return whole if len(whole) else self.rows[self.whole[self.rows]]

    def batches(self, rows, n_rows):
        """Squared residuals of the last rows of windows.

        Parameters
        ----------
        rows : ndarray of int
            Rows at which the windows end.
        n_rows : int
            How many rows of each window are wanted.

        Yields
        ------
        rows : ndarray of shape (n,)
            Some of them, in their order.
        squared : ndarray of shape (n, n_rows, n_channels)
            float64; NaN where a reading is missing, and of rows that are not `known`.
        """
        if self._model.forecasts and n_rows > 1:
            yield from self._windows_of_forecasts(rows, n_rows)
            return
        for batch, actual, expected in self._model.run(self._windows, rows):
            squared = squared_residuals(actual[:, -n_rows:], expected[:, -n_rows:])
            if self._weights is not None:
                squared *= self._weights
            squared[~self.known[batch]] = np.nan
            yield batch, squared

    def _windows_of_forecasts(self, rows, n_rows):
        """Every row is forecast once, and its residual is in several windows."""
        context = Context(n_rows - 1, 0)
        needed = rows_with_context(rows, context, len(self._windows.X))
        needed = np.intersect1d(needed, self.rows, assume_unique=True)
        squared = np.full(self.shape, np.nan)
        for batch, of_rows in self.batches(needed, 1):
            squared[batch] = of_rows[:, 0]
        breaks = np.ones(len(squared), dtype=bool)
        breaks[self.rows] = False
        windows = TrailingWindows(squared, n_rows, breaks)
        for start in range(0, len(rows), _BLOCK):
            batch = rows[start : start + _BLOCK]
            yield batch, windows.take(batch)
