# SPDX-License-Identifier: MIT
"""Rows that a view cannot judge: the first of a series, and those after a break.

Their windows are padded, and what a model makes of copies of a first row says nothing
about the machine. They are judged by what is known of them: how far each is from what
the row before it leads to expect, and the very first from the mean.
"""

import numpy as np

from tsanomaly._autoregression import RidgeModel
from tsanomaly._calibration import AUTO_SHARE, LogCalibration, midway_threshold
from tsanomaly._progress import silence
from tsanomaly._row_errors import LastRow, mean_of_known, shares_of
from tsanomaly._views import View, errors_of_halves

__all__ = ["StartUpView", "StepView"]

# Penalty of the ridge regression, and rows that its errors are looked at in, at most.
_ALPHA, _MOST_ROWS = 0.01, 1000

# What a normalised score of 2 adds to the threshold, at least, in thresholds.
_SMALLEST_UNIT = 0.01


class StepView:
    """Normalised scores of rows by a forecast from the row before.

    A row without a complete row before it, such as the first, is judged by its distance
    from the mean of the training rows.

    Parameters
    ----------
    coefficients : ndarray of shape (n_channels, n_channels)
        Of the forecast, as in `RidgeModel`.
    rule : LastRow
        With the scale of its errors.
    first_scale : LogCalibration
        The scale of distances from the mean.
    """

    def __init__(self, coefficients, rule, first_scale):
        self.coefficients = coefficients
        self.rule = rule
        self.first_scale = first_scale
        self._view = View(RidgeModel(coefficients), rule)

    @classmethod
    def fit(cls, series, rows):
        """Learn the forecast and the scales.

        Parameters
        ----------
        series : Series
            The training series.
        rows : ndarray of int
            Rows to learn from.

        Returns
        -------
        view : StepView
        """
        rule = LastRow(2)

        def fit_step(rows):
            return View(RidgeModel.fit(series.windows(2), rows, _ALPHA), rule)

        with silence():
            view = fit_step(rows)
            view.fit(series, rows)
            errors = errors_of_halves(view, series, rows, fit_step, _MOST_ROWS)[1]
        if len(errors):
            of_rows = mean_of_known(errors, axis=1)
            level = rule.levels(midway_threshold(of_rows, AUTO_SHARE))
            rule.calibration.unit *= max(level, 1.0)
        distances = mean_of_known(_squares(series.X[rows]), axis=1)
        return cls(view.model.coefficients, rule, LogCalibration(distances))

    def levels(self, series, rows):
        """Normalised scores of some rows without breaks, and the channels' shares.

        Parameters
        ----------
        series : Series
        rows : ndarray of int
            In order.

        Returns
        -------
        levels : ndarray of shape (n_rows,)
        shares : ndarray of shape (n_rows, n_channels)
            With a mean of 1 over the channels that have a reading; NaN for the others.
        """
        with silence():
            errors = self._view.errors_at(series, rows)
        before = np.maximum(rows - 1, 0)
        is_first = series.windows(1).first_rows[rows] == rows
        is_first |= np.isnan(series.X[before]).any(axis=1)
        return self._join(errors, series.X[rows], is_first)

    def make_last_row_levels(self):
        """Make a function for the scores of single rows, for streams."""
        of_last = self._view.make_last_row_errors()

        def levels(rows):
            is_first = np.array([len(rows) == 1 or np.isnan(rows[-2]).any()])
            return self._join(of_last(rows), rows[-1:], is_first)

        return levels

    def _join(self, errors, X, is_first):
        errors = np.where(is_first[:, None], _squares(X), errors)
        means = mean_of_known(errors, axis=1)
        levels = np.where(is_first, self.first_scale(means), self.rule.levels(means))
        return levels, shares_of(errors, means)


def _squares(X):
    """Squared distances from the mean, which is 0."""
    return np.square(X, dtype=np.float64)


class StartUpView:
    """A view that judges by the row alone where it has no window to judge by.

    Parameters
    ----------
    view : View or Blend
        What judges the other rows, and has NaN for these.
    step : StepView
        What judges these.
    median, threshold : float
        Errors of the view that half of the training rows exceed, and one of a hundred.
        Rows that `step` judges get the first for a normalised score of 0, the second
        for 1, and what is linear in the score in between and beyond.
    """

    def __init__(self, view, step, median, threshold):
        self._view = view
        self._step = step
        self._median = median
        self._distance = max(threshold - median, 0.0)
        self._unit = max(self._distance, _SMALLEST_UNIT * threshold)

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
            errors[unknown] = self._errors(*self._step.levels(series, rows[unknown]))
        return errors

    def expected(self, series):
        """What readings should have been, as the view says."""
        return self._view.expected(series)

    def make_last_row_errors(self):
        """Make a function for the errors of single rows; as of a view."""
        by_view = self._view.make_last_row_errors()
        if by_view is None:
            return None
        by_step = self._step.make_last_row_levels()

        def of_last(rows):
            errors = by_view(rows)
            if np.isnan(errors).all():
                errors = self._errors(*by_step(rows))
            return errors

        return of_last

    def _errors(self, levels, shares):
        """Errors on the scale of the view."""
        of_rows = self._median * np.exp(np.minimum(levels, 0))
        of_rows += self._distance * np.clip(levels, 0, 1)
        of_rows += self._unit * np.maximum(levels - 1, 0)
        return of_rows[:, None] * shares
