# SPDX-License-Identifier: MIT
"""Errors of start-up rows: the first rows of a series, and those after a break.

Their windows are padded, and predictions from copies of the first row are meaningless.
They are scored by their distance from a forecast based on the previous row, and the
very first row by its distance from the mean.
"""

import numpy as np

from tsanomaly._autoregression import RidgeModel
from tsanomaly._calibration import AUTO_SHARE, LogCalibration, midway_threshold
from tsanomaly._means_by_length import mean_of_known
from tsanomaly._progress import silence
from tsanomaly._row_errors import LastRow, shares_of
from tsanomaly._views import View, errors_of_halves

__all__ = ["StartUpView", "StepView"]

# Penalty of the ridge regression, and maximum number of held-out rows per half.
_ALPHA, _MOST_ROWS = 0.01, 1000

# Minimum increase of the error per unit of the normalised score above 1, relative to
# the threshold.
_SMALLEST_UNIT = 0.01


class StepView:
    """Normalised scores of rows by a forecast from the previous row.

    A row without a complete previous row is scored by its distance from the mean of the
    training rows.

    Parameters
    ----------
    coefficients : ndarray of shape (n_channels, n_channels)
        Coefficients of the forecast, as in `RidgeModel`.
    rule : LastRow
        Rule with the scale of forecast errors.
    first_scale : LogCalibration
        Scale of distances from the mean.
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
            Training rows.

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
        """Return the normalised scores of some rows, and the shares of the channels.

        Parameters
        ----------
        series : Series
        rows : ndarray of int
            Rows in order, without breaks.

        Returns
        -------
        levels : ndarray of shape (n_rows,)
        shares : ndarray of shape (n_rows, n_channels)
            Shares with a mean of 1 over the channels that have a reading. NaN for the
            others.
        """
        with silence():
            errors = self._view.errors_at(series, rows)
        before = np.maximum(rows - 1, 0)
        is_first = series.windows(1).first_rows[rows] == rows
        is_first |= np.isnan(series.X[before]).any(axis=1)
        return self._join(errors, series.X[rows], is_first)

    def make_last_row_levels(self, imputer):
        """Make a function that computes the scores of single rows, for streams."""
        of_last = self._view.make_last_row_errors(imputer)

        def levels(rows):
            is_first = np.array([len(rows) == 1 or np.isnan(rows[-2]).any()])
            return self._join(of_last(rows, {}), rows[-1:], is_first)

        return levels

    def _join(self, errors, X, is_first):
        errors = np.where(is_first[:, None], _squares(X), errors)
        means = mean_of_known(errors, axis=1)
        levels = np.where(is_first, self.first_scale(means), self.rule.levels(means))
        return levels, shares_of(errors, means)


def _squares(X):
    """Return the squared distances from the mean, which is 0."""
    return np.square(X, dtype=np.float64)


class StartUpView:
    """A view that scores start-up rows on the row alone.

    Parameters
    ----------
    view : View or Blend
        View for all other rows, with NaN for start-up rows.
    step : StepView
        View for start-up rows.
    median, threshold : float
        Median training error and threshold of `view`. Start-up rows with a normalised
        score of 0 and 1 have these errors. In between and beyond, the error is linear
        in the score.
    """

    def __init__(self, view, step, median, threshold):
        self._view = view
        self._step = step
        self._median = median
        self._distance = max(threshold - median, 0.0)
        self._unit = max(self._distance, _SMALLEST_UNIT * threshold)

    def errors(self, series):
        """Return the errors of all rows, (n_timestamps, n_channels), NaN at breaks."""
        errors = self._view.errors(series)
        rows = np.flatnonzero(~series.breaks)
        errors[rows] = self.fill(errors[rows], series, rows)
        return errors

    def errors_at(self, series, rows):
        """Return the errors of some rows, in order and without breaks."""
        return self.fill(self._view.errors_at(series, rows), series, rows)

    def fill(self, errors, series, rows):
        """Fill in the errors of start-up rows, in place.

        Parameters
        ----------
        errors : ndarray of shape (n_rows, n_channels)
            Errors of the view.
        series : Series
        rows : ndarray of int
            Rows of the errors, in order and without breaks.

        Returns
        -------
        errors : ndarray of shape (n_rows, n_channels)
        """
        unknown = np.isnan(errors).all(axis=1)
        if unknown.any():
            errors[unknown] = self._errors(*self._step.levels(series, rows[unknown]))
        return errors

    def expected_at(self, series, rows):
        """Return the expected readings of some rows by the view."""
        return self._view.expected_at(series, rows)

    def make_last_row_errors(self, imputer):
        """Make a function for the errors of single rows; see `View`."""
        by_view = self._view.make_last_row_errors(imputer)
        if by_view is None:
            return None
        by_step = self._step.make_last_row_levels(imputer)

        def of_last(rows, medians):
            errors = by_view(rows, medians)
            if np.isnan(errors).all():
                errors = self._errors(*by_step(rows))
            return errors

        return of_last

    def _errors(self, levels, shares):
        """Convert normalised scores to errors on the scale of the view."""
        of_rows = self._median * np.exp(np.minimum(levels, 0))
        of_rows += self._distance * np.clip(levels, 0, 1)
        of_rows += self._unit * np.maximum(levels - 1, 0)
        return of_rows[:, None] * shares
