# SPDX-License-Identifier: MIT
"""Rows that a view cannot judge: the first of a series, and those after a break.

Their windows are padded, and what a model makes of copies of a first row says nothing
about the machine. They are judged by what is known of them: how far the row itself is
from rows of the training series.
"""

import numpy as np

from tsanomaly._neighbors import NeighborView
from tsanomaly._progress import silence
from tsanomaly._row_errors import level_of_error, mean_of_known, shares_of

__all__ = ["StartUpView", "fit_start_up"]

# Training rows that are kept, at most, and how many of the nearest count.
_MOST_ROWS, _N_NEIGHBORS = 1000, 5

# The unit of normalised scores, in logarithms of errors, and the largest logarithm.
_SMALLEST_UNIT, _LARGEST_UNIT, _MOST_LOG = 0.1, 10.0, 690.0


def fit_start_up(series, rows):
    """Choose training rows that rows are compared with.

    At random, because even distances might be those of a cycle; but always the same,
    because forecasts by ridge regression do not depend on a seed.

    Parameters
    ----------
    series : Series
        The training series.
    rows : ndarray of int
        Rows to choose from.

    Returns
    -------
    search : NeighborSearch
    """
    rng = np.random.default_rng(0)
    view = NeighborView.fit(
        series, rows, ["readings"], [1], _N_NEIGHBORS, _MOST_ROWS, rng
    )
    return view.rules[0]


class StartUpView:
    """A view that judges by the row alone where it has no window to judge by.

    Parameters
    ----------
    view : View or Blend
        What judges the other rows, and has NaN for these.
    search : NeighborSearch
        As from `fit_start_up`.
    median, threshold : float
        Error of the view in half of the training rows, and in one of a hundred: as
        large are those of rows that are as far from the others as half of the training
        rows, and as one of a hundred.
    """

    def __init__(self, view, search, median, threshold):
        self._view = view
        self._rows = NeighborView([search], ["readings"], [1], _N_NEIGHBORS)
        smallest = np.finfo(np.float64).tiny
        self._log_threshold = np.log(max(threshold, smallest))
        unit = self._log_threshold - np.log(max(median, smallest))
        self._unit = np.clip(unit, _SMALLEST_UNIT, _LARGEST_UNIT)

    def errors(self, series):
        """Errors of all rows of a series, (n_timestamps, n_channels); NaN at breaks."""
        errors = self._view.errors(series)
        rows = np.flatnonzero(~series.breaks)
        errors[rows] = self.fill(errors[rows], series, rows)
        return errors

    def errors_at(self, series, rows):
        """Errors of some rows without breaks, in order: (n_rows, n_channels)."""
        return self.fill(self._view.errors_at(series, rows), series, rows)

    def fill(self, errors, series, rows):
        """Put errors in the place of those that the view does not know, in place.

        Parameters
        ----------
        errors : ndarray of shape (n_rows, n_channels)
            Those of the view.
        series : Series
        rows : ndarray of int
            The rows that they are of, without breaks, in order.

        Returns
        -------
        errors : ndarray of shape (n_rows, n_channels)
        """
        unknown = np.isnan(errors).all(axis=1)
        if unknown.any():
            with silence():
                by_row = self._rows.errors_at(series, rows[unknown])
            errors[unknown] = self._on_scale(by_row)
        return errors

    def expected(self, series):
        """What readings should have been, as the view says."""
        return self._view.expected(series)

    def make_last_row_errors(self):
        """Make a function for the errors of single rows; as of a view."""
        by_view = self._view.make_last_row_errors()
        if by_view is None:
            return None
        by_row = self._rows.make_last_row_errors()

        def of_last(rows):
            errors = by_view(rows)
            if np.isnan(errors).all():
                errors = self._on_scale(by_row(rows))
            return errors

        return of_last

    def _on_scale(self, errors):
        """Errors of rows alone, on the scale of the view."""
        means = mean_of_known(errors, axis=1)
        logs = self._log_threshold + self._unit * (level_of_error(means) - 1)
        of_rows = np.exp(np.minimum(logs, _MOST_LOG))  # 0 of the lowest
        return of_rows[:, None] * shares_of(errors, means)
