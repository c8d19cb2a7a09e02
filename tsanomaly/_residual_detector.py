# SPDX-License-Identifier: MIT
"""What detectors share that compare readings with what a model expected of them.

A *model* (`_residuals`) predicts readings, a *rule* (`_row_errors`) makes one error per
row and channel of the residuals, and a threshold flags rows.
"""

from numbers import Integral, Real

import numpy as np
from sklearn.base import (
    BaseEstimator,
    OneToOneFeatureMixin,
    OutlierMixin,
    TransformerMixin,
)
from sklearn.utils.validation import check_is_fitted

from tsanomaly._calibration import AUTO_SHARE, midway_threshold
from tsanomaly._progress import telling_a_part
from tsanomaly._residuals import Residuals
from tsanomaly._row_errors import RULES, mean_of_known, squared_residuals
from tsanomaly._sklearn_compat import Interval, StrOptions, _fit_context
from tsanomaly._validation import (
    VersionedState,
    all_or_nothing,
    check_parameters_unchanged,
    check_series_length,
    draw_seed,
    locate,
    name_column,
    remember_parameters,
    validate_series,
)
from tsanomaly._windows import RowAverage, TrailingWindows

__all__ = ["ResidualDetector"]

# Rows that are scored at a time, by a rule that looks back only.
_BLOCK = 65_536

# Normalised scores rise a little on any rows that were not learned from. Where the
# machine drifts, they rise by more than half of the distance from the median to the
# 99 % quantile.
_LEAST_DRIFT = 0.5


class ResidualDetector(
    VersionedState,
    OneToOneFeatureMixin,
    OutlierMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Base class of detectors that compare readings with what a model expected.

    A subclass has the parameters `row_error`, `missing`, `contamination` and
    `random_state`, maybe `stride`, and defines

    - ``_window_size()``: rows of the windows that errors are made of;
    - ``_architecture()``: what is known of the model before it is fitted, at least its
      `n_rows` and `forecasts`, as `_residuals` describes them;
    - ``_fit_model(windows, rows, spread, seed)``: fit the model on some of the rows,
      whose channels have the standard deviations `spread`, set attributes, and return
      the model; if it has the method ``errors_of_halves(windows, rows)``, as
      `WindowModel`, the threshold makes allowance for drift;
    - ``_model()``: the fitted model again, as `_residuals` describes it;
    - ``_scoring_parameters``: names of the parameters that its scores depend on;
    - if need be, ``_check_series(windows, rule)``, which raises if the model cannot be
      fitted on a series, and ``_n_trained(n_rows)``, how many of the rows it learns
      from, the first ones.
    """

    stride = 1  # a parameter of detectors that have a rule which takes it

    _sees_other_rows = True
    _scoring_parameters: tuple = ()

    _parameter_constraints: dict = {
        "row_error": [StrOptions(set(RULES))],
        "stride": [Interval(Integral, 1, None, closed="left")],
        "missing": [StrOptions({"anomaly", "ignore"})],
        "contamination": [
            StrOptions({"auto"}),
            Interval(Real, 0, 0.5, closed="right"),
        ],
        "random_state": ["random_state"],
    }

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Fit the model and set the threshold.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            A series, rows in time order, at least one window of them. Rows that are
            NaN in every channel are breaks.
        y : None
            Ignored.

        Returns
        -------
        self : estimator
            The fitted detector.

        Raises
        ------
        ValueError
            If a parameter is out of range, the series is shorter than a window, a
            channel has no reading, or training diverges.
        MemoryError
            If windows are too large for the memory there is, before it is taken.
        ImportError
            If the model needs Keras, and no backend of it is installed.
        """
        self._fit(X)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_transform(self, X, y=None):
        """Fit, and return the errors of the training rows.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            A series, as in `fit`.
        y : None
            Ignored.

        Returns
        -------
        errors : ndarray of shape (n_timestamps, n_channels)
            As from ``fit(X).transform(X)``, without a second run of the model. But
            missing readings count for nothing, also with ``missing='anomaly'``:
            a threshold that is set on these errors, by the next step of a pipeline, is
            set on what was read, as `offset_` is.
        """
        errors, _ = self._fit(X)
        return errors

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_predict(self, X, y=None):
        """Fit, and label the training rows.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            A series, as in `fit`.
        y : None
            Ignored.

        Returns
        -------
        labels : ndarray of shape (n_timestamps,)
            -1 for anomalies, +1 for normal rows and breaks, as from
            ``fit(X).predict(X)``, without a second run of the model.
        """
        errors, windows = self._fit(X)
        scores = -mean_of_known(self._mark_missing(errors, windows), axis=1)
        return np.where(scores < self.offset_, -1, 1)

    def score_samples(self, X):
        """Opposite of the mean error of each row.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            A series, rows in time order. It may be shorter than a window.

        Returns
        -------
        scores : ndarray of shape (n_timestamps,)
            ``-transform(X).mean(axis=1)``: the lower, the more abnormal. NaN at breaks.

        Raises
        ------
        ValueError
            If `X` has other channels than in `fit`, or holds infinity; if what `fit`
            learned holds NaN, as in a file that was altered.
        """
        X, breaks = self._validate(X)
        scores = np.full(len(X), np.nan)
        for rows, errors in self._errors_by_block(X, breaks):
            scores[rows] = -mean_of_known(errors, axis=1)
        return scores

    def score_rows(self, X, rows):
        """Score some rows only; the model runs for no others.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            A series, rows in time order.
        rows : array-like of int or bool, or slice
            Which rows to score: a one-dimensional index into ``n_timestamps`` rows.

        Returns
        -------
        scores : ndarray of shape (n_rows,)
            ``score_samples(X)[rows]``.

        Raises
        ------
        ValueError
            If `row_error` is 'multiscale_centered' or 'overlap_mean', for which a row's
            score needs the windows of its neighbours, or if `rows` has another number
            of dimensions than one.
        IndexError
            If a row is not in `X`.
        """
        X, breaks = self._validate(X)
        if self._rule.looks_ahead:
            causal = [name for name, rule in RULES.items() if not rule.looks_ahead]
            raise ValueError(
                "score_rows cannot score single rows with "
                f"row_error={self.row_error!r}, which looks ahead: the error of a row "
                "needs the windows of later rows. Use score_samples, or one of "
                f"{', '.join(map(repr, causal))}."
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
        wanted, position = np.unique(rows, return_inverse=True)
        wanted_breaks = breaks[wanted]
        scores = np.full(len(wanted), np.nan)
        windows, wanted = self._windows(X, breaks), wanted[~wanted_breaks]
        errors = self._rule.errors_at(self._residuals(windows), wanted)
        self._mark_missing(errors, windows, wanted)
        scores[~wanted_breaks] = -mean_of_known(errors, axis=1)
        return scores[position]

    def decision_function(self, X):
        """Score of each row, relative to the threshold.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            A series, rows in time order.

        Returns
        -------
        decision : ndarray of shape (n_timestamps,)
            ``score_samples(X) - offset_``: negative for anomalies, NaN at breaks.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X):
        """Label each row.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            A series, rows in time order.

        Returns
        -------
        labels : ndarray of shape (n_timestamps,)
            -1 for anomalies, +1 for normal rows and breaks.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def transform(self, X):
        """Error of each row in each channel.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            A series, rows in time order. It may be shorter than a window.

        Returns
        -------
        errors : ndarray of shape (n_timestamps, n_channels)
            Squared residuals, gathered by `row_error`: non-negative, higher = worse.
            With 'multiscale' rules, the error of the row, without unit, shared out
            among the channels. NaN at breaks, and with ``missing='ignore'`` where a
            channel has no reading that the rule could look at.

        Raises
        ------
        ValueError
            If `X` has other channels than in `fit`, or holds infinity; if what `fit`
            learned holds NaN, as in a file that was altered.
        """
        X, breaks = self._validate(X)
        transformed = np.full(X.shape, np.nan)
        for rows, errors in self._errors_by_block(X, breaks):
            transformed[rows] = errors
        return transformed

    def reconstruct(self, X):
        """Return the readings that the model expected.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            A series, rows in time order.

        Returns
        -------
        expected : ndarray of shape (n_timestamps, n_channels)
            In the unit of `X`: each row as the window that ends there reconstructs it,
            or as the rows before it forecast it; with rules that look ahead, the mean
            of its reconstructions in all windows that hold it. NaN at breaks, not where
            a reading is missing. With 'multiscale' rules, errors come from more
            reconstructions of a row than this one.
        """
        windows = self._windows(*self._validate(X))
        average = RowAverage(windows.X.shape)
        rows, covers_from = self._rule.windows_to_run(windows)
        done = 0
        for batch, _, expected in self._model().run(windows, rows):
            if not self._rule.looks_ahead:
                expected = expected[:, -1:]
            average.add(expected, batch, covers_from[done : done + len(batch)])
            done += len(batch)
        return average.result()

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _fit(self, X):
        """Fit, and return the errors of the training rows, unmarked, and windows."""
        rule = self._make_rule()
        with all_or_nothing(self):
            X, breaks = self._validate(X, reset=True)
            # Until the rows to train on are known, whose means are to be filled in.
            self.fill_values_ = np.zeros(X.shape[1], dtype=np.float32)
            self.n_samples_fit_ = len(X)
            self._set_context(rule)
            windows = self._windows(X, breaks)
            check_series_length(windows, rule.window_size, self.n_context_ + 1)
            self._check_series(windows, rule)
            seed = draw_seed(self.random_state)
            rows = windows.rows[: self._n_trained(len(windows.rows))]
            self.fill_values_, spread = _moments(windows.X[rows], self)
            if windows.fill_values is not None:
                windows.fill_values = self.fill_values_
            model = self._fit_model(windows, rows, spread, seed)
            remember_parameters(self, ("row_error", *self._scoring_parameters))
            residuals = Residuals(model, windows, self.n_context_)
            allowance = _drift_allowance(model, rule, windows, rows)
            errors = rule.fit(residuals, rows, allowance)
            self._rule = rule
            self._set_threshold(errors, residuals, allowance)
        return errors, windows

    def _make_rule(self):
        """Make the unfitted rule, if its parameters go together."""
        stride = int(self.stride)
        rule = RULES[self.row_error](self._window_size(), stride)
        if stride != 1 and not rule.overlaps:
            strided = [name for name, other in RULES.items() if other.overlaps]
            raise ValueError(
                f"stride={stride} has no meaning with row_error={self.row_error!r}, "
                "which needs the window of every row. Use stride=1, or row_error="
                f"{' or '.join(map(repr, strided))}."
            )
        if stride > rule.window_size:
            raise ValueError(
                f"stride={stride} is larger than window_size={rule.window_size}: rows "
                "between the windows would have no error. Lower stride."
            )
        return rule

    def _n_trained(self, n_rows):
        """How many of the rows the model learns from, the first ones."""
        return n_rows

    def _check_series(self, windows, rule):
        """Raise if the model cannot be fitted on a series; a hook."""

    def _set_context(self, rule):
        """Set how many neighbouring rows a score depends on."""
        model = self._architecture()
        if model.forecasts and rule.overlaps:
            causal = [name for name, other in RULES.items() if not other.looks_ahead]
            raise ValueError(
                f"row_error={self.row_error!r} averages the reconstructions of a row, "
                "and this model forecasts every row once. Use one of "
                f"{', '.join(map(repr, causal))}."
            )
        self.n_context_ = model.n_rows - 1
        if model.forecasts:  # of several rows, one after the other
            self.n_context_ += rule.n_rows - 1
        self.n_lookahead_ = (rule.window_size - 1) * rule.looks_ahead

    def _set_threshold(self, errors, residuals, allowance):
        """Set what follows from the errors of the training rows."""
        row_errors = mean_of_known(errors, axis=1)
        if self.contamination == "auto":
            threshold = midway_threshold(row_errors[residuals.whole], AUTO_SHARE)
            if allowance:
                threshold = self._rule.raised(threshold, allowance)
        else:
            counted = row_errors[residuals.rows]
            threshold = midway_threshold(counted, self.contamination)
        self.offset_ = -float(threshold)
        worst = max(threshold, row_errors[residuals.rows].max())
        self.missing_error_ = 2.0 * errors.shape[1] * float(worst)

    def _validate(self, X, reset=False):
        """Validate a series, to be scored or, with `reset`, to be fitted on."""
        if not reset:
            check_is_fitted(self)
            check_parameters_unchanged(self)
            _check_numbers(self)
        X, breaks = validate_series(self, X, reset=reset, missing="allow")
        if X.dtype == np.float32:
            return X, breaks
        largest = max(np.fmax.reduce(X, axis=None), -np.fmin.reduce(X, axis=None))
        if largest <= np.finfo(np.float32).max:  # the usual case, without a copy
            return X, breaks
        with np.errstate(over="ignore"):
            too_large = np.isinf(X.astype(np.float32))
        if too_large.any():
            raise ValueError(
                f"Input X contains a value too large for float32, in which the model "
                f"computes, in {locate(self, too_large)}. Scale the series, for "
                "example with sklearn.preprocessing.StandardScaler in a pipeline."
            )
        return X, breaks

    def _windows(self, X, breaks):
        """Windows of a series as the model takes them."""
        X = np.ascontiguousarray(X, dtype=np.float32)
        partly = np.isnan(X).any(axis=1) & ~breaks
        fill_values = self.fill_values_ if partly.any() else None
        return TrailingWindows(X, self._architecture().n_rows, breaks, fill_values)

    def _residuals(self, windows):
        return Residuals(self._model(), windows, self.n_context_)

    def _errors_by_block(self, X, breaks):
        """Errors of every row, those of missing readings included.

        By a causal rule block by block, so that the memory it takes, beside that of the
        result, is the same for a short and a long series.

        Yields
        ------
        rows : ndarray of int or slice
            Rows of the series; breaks may be left out.
        errors : ndarray of shape (n_rows, n_channels)
            Their errors, NaN at breaks.
        """
        if self._rule.looks_ahead:
            windows = self._windows(X, breaks)
            errors = self._rule.errors(self._residuals(windows))
            yield slice(None), self._mark_missing(errors, windows)
            return
        n_rows = len(breaks) - np.count_nonzero(breaks)
        done = 0
        for start in range(0, len(X), _BLOCK):
            first = max(0, start - self.n_context_)
            block = slice(first, start + _BLOCK)
            windows = self._windows(X[block], breaks[block])
            rows = windows.rows[windows.rows >= start - first]
            with telling_a_part(done, n_rows):
                errors = self._rule.errors_at(self._residuals(windows), rows)
            done += len(rows)
            yield first + rows, self._mark_missing(errors, windows, rows)

    def _mark_missing(self, errors, windows, rows=slice(None)):
        """Add the error of missing readings to errors, in place, if they are to count.

        Parameters
        ----------
        errors : ndarray of shape (n_rows, n_channels)
        windows : TrailingWindows
        rows : ndarray of shape (n_rows,) or slice, default=slice(None)
            The rows that the errors are of; breaks among them stay as they are.

        Returns
        -------
        errors : ndarray of shape (n_rows, n_channels)
        """
        if self.missing == "anomaly" and windows.fill_values is not None:
            missing = np.isnan(windows.X[rows])
            missing &= ~missing.all(axis=1, keepdims=True)  # breaks
            _add(self.missing_error_, errors, missing)
        return errors

    def _make_last_row_errors(self):
        """Make a function for the errors of single rows, for streams.

        Returns
        -------
        of_last : callable or None
            From a piece of a series, an array of at most ``n_context_ + 1`` rows, to
            the errors of its last row, of shape (1, n_channels); or to None where it
            cannot tell. Nothing is validated. None where the errors of a row need more
            than one run of the model, or where a subclass has errors of its own.
        """
        check_parameters_unchanged(self)
        _check_numbers(self)
        model, rule, kind = self._model(), self._rule, type(self)
        has_own = (
            kind.transform is not ResidualDetector.transform
            or kind.score_samples is not ResidualDetector.score_samples
        )
        if has_own or rule.looks_ahead or self.n_context_ != model.n_rows - 1:
            return None
        run = model.make_runner()
        run(np.zeros((1, model.n_rows, self.n_features_in_), np.float32))  # compiles

        def of_last(Z):
            with np.errstate(over="ignore"):
                window = np.asarray(Z, dtype=np.float32)
            if np.isinf(window).any() or np.isnan(window).all(axis=1).any():
                return None
            if len(window) < model.n_rows:
                padding = np.repeat(window[:1], model.n_rows - len(window), axis=0)
                window = np.concatenate([padding, window])
            expected = run(window[None])
            actual = window[None, -expected.shape[1] :]
            last = slice(-rule.n_rows, None)
            squared = squared_residuals(actual[:, last], expected[:, last])
            errors = rule.errors_of_windows(squared)
            if self.missing == "anomaly":
                _add(self.missing_error_, errors, np.isnan(window[None, -1]))
            return errors

        return of_last


def _check_numbers(detector):
    """Raise if what `fit` learned holds NaN, as in a file that was altered.

    Scores would be NaN, as at a break, and no row be flagged.
    """
    rule = detector._rule
    parts = [rule, *(part for part in vars(rule).values() if hasattr(part, "__dict__"))]
    learned = {name: v for name, v in vars(detector).items() if name.endswith("_")}
    for numbers in (learned, *map(vars, parts)):
        for name, value in numbers.items():
            if _holds_nan(value):
                raise ValueError(
                    f"{name} of the fitted {type(detector).__name__} holds NaN, and no "
                    "row would have a score. Fit it again, or load another copy of its "
                    "file."
                )


def _holds_nan(value):
    if isinstance(value, list):
        return any(map(_holds_nan, value))
    if isinstance(value, np.ndarray):
        return value.dtype.kind == "f" and np.isnan(value).any()
    return isinstance(value, (float, np.floating)) and np.isnan(value)


def _drift_allowance(model, rule, windows, rows):
    """How much normalised scores rise, in the median, on rows not learned from.

    0 where the rule has no normalised scores, where the model cannot tell, or where
    the rise is too small to come from drift.
    """
    if not (hasattr(rule, "rise") and hasattr(model, "errors_of_halves")):
        return 0.0
    errors = model.errors_of_halves(windows, rows[windows.whole[rows]])
    allowance = 0.0 if errors is None else rule.rise(*errors)
    return allowance if allowance > _LEAST_DRIFT else 0.0


def _moments(X, estimator):
    """Mean and standard deviation of the readings of each channel."""
    missing = np.isnan(X)
    empty = missing.all(axis=0)
    if empty.any():
        raise ValueError(
            f"Input X holds no reading in {name_column(estimator, empty.argmax())} in "
            f"any of the {len(X):,} rows to train on ({empty.sum():,} such columns "
            "in all). Drop the column, or fit on rows that hold readings of it."
        )
    mean, std = (np.nanmean, np.nanstd) if missing.any() else (np.mean, np.std)
    mean = mean(X, axis=0, dtype=np.float64).astype(np.float32)
    return mean, std(X, axis=0, dtype=np.float64)


def _add(error, errors, missing):
    """Add an error to those of missing readings, in place."""
    known = np.nan_to_num(errors[missing])  # of earlier readings
    errors[missing] = known + error
