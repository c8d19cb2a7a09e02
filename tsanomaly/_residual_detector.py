# SPDX-License-Identifier: MIT
"""Base class of detectors that compare readings with the predictions of a model.

A *model* (`_residuals`) predicts readings and a *rule* (`_row_errors`) aggregates the
residuals into one error per row and channel. Together they are a *view* (`_views`). A
threshold on the errors flags rows.
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
from tsanomaly._imputation import WindowImputer
from tsanomaly._means_by_length import mean_of_known
from tsanomaly._progress import telling_a_part
from tsanomaly._row_errors import RULES
from tsanomaly._selected_rows import SelectedRowsMixin, overrides
from tsanomaly._sklearn_compat import (
    Interval,
    InvalidParameterError,
    StrOptions,
    _fit_context,
)
from tsanomaly._start_up import StartUpView, StepView
from tsanomaly._training_warnings import warn_of_unscaled
from tsanomaly._validation import (
    VersionedState,
    all_or_nothing,
    check_numbers,
    check_parameters_unchanged,
    check_series_length,
    draw_seed,
    locate,
    name_column,
    remember_parameters,
    validate_series,
)
from tsanomaly._views import Series, raised_errors

__all__ = ["ResidualDetector"]

# Rows scored at a time by a causal rule.
_BLOCK = 65_536

# Maximum number of rows held out from each part of the series for the threshold.
_MOST_HELD_OUT = 1000


class ResidualDetector(
    SelectedRowsMixin,
    VersionedState,
    OneToOneFeatureMixin,
    OutlierMixin,
    TransformerMixin,
    BaseEstimator,
):
    """Base class of detectors that compare readings with the predictions of a model.

    A subclass has the parameters `row_error`, `missing`, `contamination` and
    `random_state`, optionally `stride`, and defines:

    - ``_make_views(n_timestamps)`` returns the views of a training series of this
      length, with unfitted rules from `_make_rule`. Their models need only `n_rows` and
      `forecasts` at this point.
    - ``_fit_views(series, views, rows, seed)`` fits the models on the given rows, fits
      the rules and sets attributes. It returns the view that scores rows, the errors of
      the series, and a function or None. The function takes the maximum number of rows
      per part of the series, and returns held-out rows and their errors.
    - ``_view()`` rebuilds the view that scores rows, with the rules ``_rules``. Rows
      whose windows are padded may have the error NaN, unless ``_judges_start_up`` is
      True.
    - ``_imputes``: whether the models need windows without missing readings.
    - ``_scoring_parameters``: names of other parameters that scores depend on.
    - Optionally, ``_check_series(series, views)``, which raises if the models cannot be
      fitted on a series, and ``_n_trained(n_rows)``, the number of rows to train on
      (the first ones).
    """

    stride = 1  # a parameter only of detectors with a rule that uses it

    _sees_other_rows = True
    _judges_start_up = False
    _imputes = True
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
            Training series, rows in time order, with at least one full window. Rows
            that are NaN in every channel are breaks.
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
            If the estimated memory exceeds what is available. Raised before any of it
            is allocated.
        ImportError
            If the model needs Keras and no Keras backend is installed.
        """
        self._fit(X)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_transform(self, X, y=None):
        """Fit the detector and return the errors of the training rows.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Training series, as in `fit`.
        y : None
            Ignored.

        Returns
        -------
        errors : ndarray of shape (n_timestamps, n_channels)
            Same as ``fit(X).transform(X)``, but without running the model twice, and
            with missing readings always ignored. A threshold that the next step of a
            pipeline sets on these errors is thus based on actual readings, like
            `offset_`, also with ``missing='anomaly'``.
        """
        errors, *_ = self._fit(X)
        return errors

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_predict(self, X, y=None):
        """Fit the detector and label the training rows.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Training series, as in `fit`.
        y : None
            Ignored.

        Returns
        -------
        labels : ndarray of shape (n_timestamps,)
            -1 for anomalies, +1 for normal rows and breaks. Same as
            ``fit(X).predict(X)``, but without running the model twice.
        """
        errors, series, _ = self._fit(X)
        scores = -mean_of_known(self._mark_missing(errors, series), axis=1)
        return np.where(scores < self.offset_, -1, 1)

    def score_samples(self, X):
        """Return the opposite of the mean error of each row.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Series to score, rows in time order. It may be shorter than a window.

        Returns
        -------
        scores : ndarray of shape (n_timestamps,)
            ``-transform(X).mean(axis=1)``. The lower, the more abnormal. NaN at breaks.

        Raises
        ------
        ValueError
            If the channels of `X` differ from those seen during `fit`, or `X` contains
            infinity. Also if a fitted attribute contains NaN, for example because a
            model file was modified.
        """
        X, breaks = self._validate(X)
        scores = np.full(len(X), np.nan)
        for rows, errors in self._errors_by_block(X, breaks):
            scores[rows] = -mean_of_known(errors, axis=1)
        return scores

    def decision_function(self, X):
        """Return the score of each row relative to the threshold.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Series to score, rows in time order.

        Returns
        -------
        decision : ndarray of shape (n_timestamps,)
            ``score_samples(X) - offset_``: negative for anomalies, NaN at breaks.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X):
        """Label each row as normal or anomalous.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Series to label, rows in time order.

        Returns
        -------
        labels : ndarray of shape (n_timestamps,)
            -1 for anomalies, +1 for normal rows and breaks.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def transform(self, X):
        """Return the error of each row in each channel.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Series, rows in time order. It may be shorter than a window.

        Returns
        -------
        errors : ndarray of shape (n_timestamps, n_channels)
            Squared residuals aggregated by `row_error`. Non-negative, higher = worse.
            With 'multiscale' rules, and where two models are combined, the errors are
            dimensionless: the error of the row, distributed over its channels. NaN at
            breaks, and with ``missing='ignore'`` where the channel has no reading in
            the rows that the rule uses.

        Raises
        ------
        ValueError
            If the channels of `X` differ from those seen during `fit`, or `X` contains
            infinity. Also if a fitted attribute contains NaN, for example because a
            model file was modified.
        """
        X, breaks = self._validate(X)
        transformed = np.full(X.shape, np.nan)
        for rows, errors in self._errors_by_block(X, breaks):
            transformed[rows] = errors
        return transformed

    def reconstruct(self, X):
        """Return the readings that the model expects.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Series, rows in time order.

        Returns
        -------
        expected : ndarray of shape (n_timestamps, n_channels)
            Expected readings, in the units of `X`: the reconstruction of each row in
            the window that ends there, or its forecast from earlier rows. If windows
            are reconstructed and the rule looks ahead, the mean reconstruction over all
            windows that contain the row. NaN at breaks only; missing readings are
            reconstructed as well. With 'multiscale' rules, the errors also depend on
            other reconstructions of a row.
        """
        X, breaks = self._validate(X)
        return self._expected_at(X, breaks, np.arange(len(X)))

    def accept_new_normal(self, X):
        """Adopt the mean level of new rows as normal, without retraining.

        Use this after a set point or a sensor offset has changed. The mean of each
        channel over `X` replaces its training mean (`center_`). What the models have
        learned about dynamics and relations between channels is unchanged. If the
        detector has a baseline, score only rows since the change: it is a median that
        would include rows from before.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Normal rows since the change, preprocessed like the training rows. They
            should cover at least one full operating cycle.

        Returns
        -------
        self : estimator
            The detector, with an updated `center_`. A channel without readings in `X`
            keeps its value.

        Raises
        ------
        ValueError
            If the channels of `X` differ from those seen during `fit`, or `X` contains
            infinity or no readings.
        """
        X, _ = self._validate(X)
        known = ~np.isnan(X)
        if not known.any():
            raise ValueError(
                f"X contains no readings (n_samples={len(X)}), so there is no level "
                "to accept. Pass normal rows recorded since the change."
            )
        count = known.sum(axis=0)
        with np.errstate(over="ignore"):
            total = np.where(known, X, 0).sum(axis=0, dtype=np.float64)
        level = np.divide(total, count, out=self.center_.copy(), where=count > 0)
        self._series(X, ~known.any(axis=1))  # raises if they are too large
        self.center_ = level
        return self

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _fit_held_out(self, X, y=None):
        """Fit the detector and return in-sample and held-out errors.

        Returns
        -------
        errors : ndarray of shape (n_timestamps, n_channels)
            Errors of the training rows, as from `fit_transform`.
        held_out : ndarray of shape (n_timestamps, n_channels) or None
            Errors by models that were not trained on the row. Where there are none, or
            the in-sample error is larger (one half of the series may be calm), the
            in-sample error. NaN in start-up rows. None if no row was held out.
        """
        self._validate_params()
        errors, series, held_out = self._fit(X)
        rows, of_rows = (), None
        if held_out is not None:
            rows, of_rows = held_out(None)
        whole = series.windows(self.n_start_up_ + 1).whole
        return errors, raised_errors(errors, whole, rows, of_rows)

    def _fit(self, X):
        """Fit the detector.

        Returns
        -------
        errors : ndarray of shape (n_timestamps, n_channels)
            Errors of the training rows, without those of missing readings.
        series : Series
        held_out : callable or None
            As returned by `_fit_views`.
        """
        with all_or_nothing(self):
            X, breaks = self._validate(X, reset=True)
            self.n_samples_fit_ = int(np.count_nonzero(~breaks))
            views = self._make_views(len(X))
            self._check_views(views, breaks)
            kept = np.flatnonzero(~breaks)
            rows = kept[: self._n_trained(len(kept))]
            self.center_, spread = _moments(X[rows], self)
            warn_of_unscaled(spread, self)
            if self._imputes:
                imputer = WindowImputer.fit(X[rows], self.center_)
                self._channel_precision = imputer.precision
                self._channel_scale = imputer.scale
            series = self._series(X, breaks)
            self._check_series(series, views)
            seed = draw_seed(self.random_state)
            view, errors, held_out = self._fit_views(series, views, rows, seed)
            self._rules = view.rules
            if not self._judges_start_up:
                step = StepView.fit(series, rows)
                self._step_coefficients = step.coefficients
                self._step_rule, self._first_scale = step.rule, step.first_scale
            self.n_context_, self.n_lookahead_ = view.n_context, view.n_lookahead
            self.n_start_up_ = view.n_start_up
            shared = {"row_error", "stride"} & self.get_params(deep=False).keys()
            remember_parameters(self, (*sorted(shared), *self._scoring_parameters))
            self._set_threshold(errors, series, held_out, view)
        return errors, series, held_out

    def _scorer(self, view=None):
        """Return the view that scores all rows, start-up rows included."""
        view = self._view() if view is None else view
        if self._judges_start_up:
            return view
        step = StepView(self._step_coefficients, self._step_rule, self._first_scale)
        return StartUpView(view, step, self.median_error_, self._threshold)

    @property
    def _is_normalised(self):
        """Whether errors are derived from normalised scores; see `is_normalised`."""
        return self.row_error.startswith("multiscale")

    def _make_rule(self, window_size):
        """Make an unfitted rule, and check its parameters."""
        stride = int(self.stride)
        rule = RULES[self.row_error](window_size, stride)
        if stride != 1 and not rule.overlaps:
            strided = [name for name, other in RULES.items() if other.overlaps]
            raise InvalidParameterError(
                f"stride={stride} is not supported with row_error={self.row_error!r}, "
                "which needs the window of every row. Use stride=1, or row_error="
                f"{' or '.join(map(repr, strided))}."
            )
        if stride > rule.window_size:
            raise InvalidParameterError(
                f"stride={stride} is larger than window_size={rule.window_size}, so "
                "rows between windows would have no error. Lower stride."
            )
        return rule

    def _n_trained(self, n_rows):
        """Return the number of rows to train on, the first ones."""
        return n_rows

    def _check_series(self, series, views):
        """Raise if the models cannot be fitted on a series. A hook."""

    def _check_views(self, views, breaks):
        """Raise if models and rules are incompatible or the series is too short."""
        for view in views:
            if view.model.forecasts and view.rule.overlaps:
                causal = [name for name, rule in RULES.items() if not rule.looks_ahead]
                raise InvalidParameterError(
                    f"row_error={self.row_error!r} averages several reconstructions of "
                    "a row, but this model forecasts each row once. Use one of "
                    f"{', '.join(map(repr, causal))}."
                )
        n_needed = max(view.n_start_up for view in views) + 1
        check_series_length(breaks, n_needed, window_size=self.window_size)

    def _set_threshold(self, errors, series, held_out, view):
        """Set the threshold and fill in the errors of start-up rows."""
        kept = np.flatnonzero(~series.breaks)
        whole = series.windows(self.n_start_up_ + 1).whole
        judged = mean_of_known(errors[whole], axis=1)
        self.median_error_ = float(np.median(judged))
        threshold = midway_threshold(judged, AUTO_SHARE)
        if held_out is not None:
            others = held_out(_MOST_HELD_OUT)[1]
            if len(others):
                others = midway_threshold(mean_of_known(others, axis=1), AUTO_SHARE)
                threshold = max(threshold, others)
        self._threshold = float(threshold)
        if not self._judges_start_up:
            errors[kept] = self._scorer(view).fill(errors[kept], series, kept)
        counted = mean_of_known(errors[kept], axis=1)
        if self.contamination != "auto":
            threshold = midway_threshold(counted, self.contamination)
        self.offset_ = -float(threshold)
        self.missing_error_ = (
            2.0 * errors.shape[1] * float(max(threshold, counted.max()))
        )

    def _validate(self, X, reset=False):
        """Validate a series to score or, with `reset`, to fit on."""
        if not reset:
            check_is_fitted(self)
            check_parameters_unchanged(self)
            _check_learned(self)
        return validate_series(self, X, reset=reset, missing="allow")

    def _series(self, X, breaks):
        """Return a series as the models see it: centred in float64, then float32."""
        with np.errstate(over="ignore"):
            centred = np.subtract(X, self.center_, dtype=np.float64).astype(np.float32)
            too_large = np.isinf(centred)
        if too_large.any():
            raise ValueError(
                "Input X contains a value too large for float32, the precision of the "
                f"model, in {locate(self, too_large)}. Scale the series, for "
                "example with sklearn.preprocessing.StandardScaler in a pipeline."
            )
        return Series(np.ascontiguousarray(centred), breaks, _imputer_of(self))

    def _errors_by_block(self, X, breaks):
        """Yield the errors of all rows, including those of missing readings.

        Causal rules run block by block, so that peak memory, apart from the result,
        does not depend on the length of the series.

        Yields
        ------
        rows : ndarray of int or slice
            Rows of the series, possibly without breaks.
        errors : ndarray of shape (n_rows, n_channels)
            Their errors, NaN at breaks.
        """
        view = self._scorer()
        if self.n_lookahead_:
            series = self._series(X, breaks)
            yield slice(None), self._mark_missing(view.errors(series), series)
            return
        n_rows = len(breaks) - np.count_nonzero(breaks)
        done = 0
        for start in range(0, len(X), _BLOCK):
            first = max(0, start - self.n_context_)
            block = slice(first, start + _BLOCK)
            series = self._series(X[block], breaks[block])
            rows = np.flatnonzero(~series.breaks)
            rows = rows[rows >= start - first]
            with telling_a_part(done, n_rows):
                errors = view.errors_at(series, rows)
            done += len(rows)
            yield first + rows, self._mark_missing(errors, series, rows)

    def _mark_missing(self, errors, series, rows=slice(None)):
        """With ``missing='anomaly'``, add the error of missing readings in place.

        Parameters
        ----------
        errors : ndarray of shape (n_rows, n_channels)
        series : Series
        rows : ndarray of shape (n_rows,) or slice, default=slice(None)
            Rows of the errors. Breaks among them are left unchanged.

        Returns
        -------
        errors : ndarray of shape (n_rows, n_channels)
        """
        if self.missing == "anomaly":
            missing = np.isnan(series.X[rows])
            if missing.any():
                missing &= ~missing.all(axis=1, keepdims=True)  # breaks
                _add(self.missing_error_, errors, missing)
        return errors

    def _overrides(self, *methods):
        """Whether a subclass overrides any of the given methods of this class."""
        return overrides(self, ResidualDetector, *methods)

    def _make_last_row_errors(self):
        """Make a function that computes the errors of single rows, for streams.

        Returns
        -------
        of_last : callable or None
            Takes an array of at most ``n_context_ + 1`` rows and returns the errors of
            the last row, of shape (1, n_channels), or None if the general code path is
            needed. It does not validate its input. None if the errors of a row need
            more than one run of the model, or if a subclass overrides the scoring.
        """
        check_parameters_unchanged(self)
        _check_learned(self)
        if self._overrides("transform", "score_samples"):
            return None
        of_last = self._scorer().make_last_row_errors(_imputer_of(self))
        if of_last is None:
            return None
        size = self.n_context_ + 1  # with fewer rows no model would run
        of_last(np.zeros((size, self.n_features_in_), np.float32), {})  # compile

        def errors_of_last(Z):
            with np.errstate(over="ignore"):
                rows = np.asarray(Z[-size:], dtype=np.float64) - self.center_
                rows = rows.astype(np.float32)
            missing = np.isnan(rows)
            if np.isinf(rows).any() or missing.all(axis=1).any():
                return None
            errors = of_last(rows, {})
            if self.missing == "anomaly":
                _add(self.missing_error_, errors, missing[-1:])
            return errors

        return errors_of_last


def _imputer_of(detector):
    """Return the imputer of a fitted detector, or None if its models need none."""
    if not detector._imputes:
        return None
    return WindowImputer(detector._channel_precision, detector._channel_scale)


def _check_learned(detector):
    """Raise if fitted attributes contain NaN."""
    parts = list(detector._rules)
    if not detector._judges_start_up:
        parts += [detector._step_rule, detector._first_scale]
    private = ("_residual_weights", "_step_coefficients")
    private += ("_channel_precision", "_channel_scale")
    check_numbers(detector, parts, private)


def _moments(X, estimator):
    """Return mean and standard deviation of each channel."""
    missing = np.isnan(X)
    empty = missing.all(axis=0)
    if empty.any():
        raise ValueError(
            f"Input X contains no readings in {name_column(estimator, empty.argmax())} "
            f"in any of the {len(X):,} training rows ({empty.sum():,} such columns in "
            "total). Drop the column, or fit on rows that contain its readings."
        )
    mean, std = (np.nanmean, np.nanstd) if missing.any() else (np.mean, np.std)
    return mean(X, axis=0, dtype=np.float64), std(X, axis=0, dtype=np.float64)


def _add(error, errors, missing):
    """Add an error to those of missing readings in place."""
    known = np.nan_to_num(errors[missing])  # errors due to earlier readings
    errors[missing] = known + error
