# SPDX-License-Identifier: MIT
"""Results of selected rows, without running the model on all others."""

import numpy as np

from tsanomaly._means_by_length import mean_of_known
from tsanomaly._row_errors import RULES

__all__ = ["SelectedRowsMixin", "overrides"]


class SelectedRowsMixin:
    """Mixin of residual detectors that compute results of selected rows.

    Streams and explanations need the last rows of a piece, or those of an alarm, with
    many more rows before them as context.
    """

    def score_rows(self, X, rows):
        """Score selected rows without running the model on the others.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Series, rows in time order.
        rows : array-like of int or bool, or slice
            Rows to score: row numbers, a mask or a slice.

        Returns
        -------
        scores : ndarray of shape (n_rows,)
            ``score_samples(X)[rows]``.

        Raises
        ------
        ValueError
            If `rows` is not one-dimensional, or if `row_error` is 'multiscale_centered'
            or 'overlap_mean', which need the windows of later rows.
        IndexError
            If a row is not in `X`.
        """
        given = X
        X, breaks = self._validate(X)
        if self.n_lookahead_:
            (allowed,) = self._parameter_constraints["row_error"]
            causal = [
                name
                for name, rule in RULES.items()
                if not rule.looks_ahead and name in allowed.options
            ]
            raise ValueError(
                f"score_rows does not support row_error={self.row_error!r}, which "
                "looks ahead: the error of a row depends on the windows of later rows. "
                f"Use score_samples, or row_error={' or '.join(map(repr, causal))}."
            )
        if not isinstance(rows, slice):
            rows = np.asarray(rows)
            if rows.ndim != 1:
                raise ValueError(
                    "rows must be one-dimensional, got an array of shape "
                    f"{rows.shape}. Pass a list of row numbers, a mask or a slice."
                )
            if rows.dtype.kind == "f" and not rows.size:  # an empty list
                rows = rows.astype(np.intp)
        rows = np.arange(len(X))[rows]
        if self._overrides("transform", "score_samples"):
            return np.asarray(self.score_samples(given))[rows]
        wanted, position = np.unique(rows, return_inverse=True)
        errors = self._errors_at(X, breaks, wanted)
        return -mean_of_known(errors, axis=1)[position]

    def _transform_at(self, X, rows):
        """Return ``transform(X)[rows]``.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Series.
        rows : ndarray of int
            Rows in ascending order.

        Returns
        -------
        errors : ndarray of shape (n_rows, n_channels)
            NaN at breaks.
        """
        if self._overrides("transform", "score_samples"):
            return np.asarray(self.transform(X))[rows]
        return self._errors_at(*self._validate(X), rows)

    def _reconstruct_at(self, X, rows):
        """Return ``reconstruct(X)[rows]``; see `_transform_at`."""
        if self._overrides("reconstruct"):
            return np.asarray(self.reconstruct(X))[rows]
        return self._expected_at(*self._validate(X), rows)

    def _errors_at(self, X, breaks, rows):
        """Return the errors of some rows in ascending order, NaN at breaks."""
        known = ~breaks[rows]
        errors = np.full((len(rows), X.shape[1]), np.nan)
        series, rows = self._series(X, breaks), rows[known]
        of_known = self._scorer().errors_at(series, rows)
        errors[known] = self._mark_missing(of_known, series, rows)
        return errors

    def _expected_at(self, X, breaks, rows):
        """Return the expected readings of some rows, NaN at breaks."""
        known = ~breaks[rows]
        expected = np.full((len(rows), X.shape[1]), np.nan)
        series = self._series(X, breaks)
        expected[known] = self._scorer().expected_at(series, rows[known])
        return expected + self.center_


def overrides(estimator, base, *methods):
    """Whether a subclass overrides any of the given methods of a class.

    Parameters
    ----------
    estimator : object
        Instance of the subclass.
    base : type
        The class.
    *methods : str
        Names of methods.

    Returns
    -------
    overrides : bool
    """
    kinds = type(estimator).__mro__
    return any(
        next(kind for kind in kinds if method in vars(kind)) not in base.__mro__
        for method in methods
    )
