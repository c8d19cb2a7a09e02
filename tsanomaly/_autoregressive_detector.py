# SPDX-License-Identifier: MIT
from functools import partial
from numbers import Integral, Real

import numpy as np
from sklearn.base import clone

from tsanomaly._autoregression import (
    Forecast,
    RegressorModel,
    RidgeModel,
    most_lags,
)
from tsanomaly._memory import check_memory
from tsanomaly._residual_detector import ResidualDetector
from tsanomaly._row_errors import RULES
from tsanomaly._sklearn_compat import (
    HasMethods,
    Interval,
    InvalidParameterError,
    StrOptions,
)
from tsanomaly._validation import are_counts, check_series_length
from tsanomaly._views import Blend, View, errors_of_halves

__all__ = ["AutoregressiveDetector"]

_CAUSAL = [name for name, rule in RULES.items() if not rule.overlaps]


class AutoregressiveDetector(ResidualDetector):
    r"""Detect anomalies by one-step forecasts from earlier rows.

    Each row is forecast from the rows before it, all channels from all channels, by
    ridge regression (a vector autoregressive model [1]_) or by any scikit-learn
    regressor. The forecast residuals are the basis of the errors.

    By default, two forecasts are combined, from one row and from 20 rows, each on its
    own scale. The short forecast detects sudden changes of level. The long one follows
    oscillations and detects when they change.

    Parameters
    ----------
    lags : int or tuple of int, default=(1, 20)
        Number of earlier rows that a row is forecast from. A tuple combines several
        forecasts. Reduced, to at least 1, if these rows contain more than 600 readings,
        or more readings than a tenth of the number of training rows; see `lags_`.

    regressor : estimator or None, default=None
        Regressor that predicts a row, of shape (n_channels,), from the readings of the
        earlier rows, of shape (lags * n_channels,), oldest row first. It is cloned and
        fitted for each of `lags` on all rows, and with ``contamination='auto'`` also on
        each half. A regressor for a single target is fitted once per channel. None is
        ridge regression in closed form, which is much faster.

    alpha : float, default=0.01
        Penalty of ridge regression, relative to the number of rows: with the inputs
        :math:`A` of :math:`n` rows :math:`Y`, it solves
        :math:`(A^T A + \alpha n I) W = A^T Y`. Not used with `regressor`.

    window_size : int, default=80
        Number of rows over which `row_error` aggregates residuals.

    row_error : str, default='multiscale'
        How the residuals of the last rows are aggregated into the error of a row:
        'multiscale', 'multiscale_centered', 'last' or 'window_mean', as in
        :class:`LSTMAutoencoderDetector`. 'overlap_mean' is not available because there
        is only one forecast per row.

    missing : {'ignore', 'anomaly'}, default='ignore'
        How to treat a missing reading (NaN) in a row that has other readings. 'ignore'
        scores the row on its other readings. 'anomaly' flags the row, with twice the
        error of the worst training row. As an input, a missing reading is estimated
        from its last one and those of the other channels.

    contamination : 'auto' or float, default='auto'
        Determines the threshold.

        - If float, the share of training rows to flag, in (0, 0.5].
        - If 'auto', the threshold is the 99 % quantile of the training errors or of
          held-out errors, each half of the series being scored by models fitted on the
          other half, whichever is higher. Start-up rows do not count.

    random_state : int, RandomState instance or None, default=None
        Sets the `random_state` of a `regressor` where that is None. Not used by ridge
        regression.

    Attributes
    ----------
    lags_ : tuple of int
        Number of earlier rows used by each forecast, in ascending order without
        duplicates.

    coefficients_ : list of ndarray of shape (lags * n_channels, n_channels)
        Coefficients of ridge regression for each of `lags_`. Only if `regressor` is
        None.

    regressors_ : list of estimator
        Fitted regressors for each of `lags_`. Only if `regressor` is not None.

    center_ : ndarray of shape (n_channels,)
        Mean of each channel in training, subtracted from the readings first.

    median_error_ : float
        Median error of the training rows, start-up rows excluded.

    offset_ : float
        Threshold of the scores: ``decision_function = score_samples - offset_``.

    n_context_, n_lookahead_, n_start_up_ : int
        Number of earlier and later rows that the score of a row depends on, and number
        of start-up rows.

    n_samples_fit_ : int
        Number of training rows, without breaks.

    n_features_in_ : int
        Number of channels seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of channels seen during `fit`. Defined only when `X` has feature names
        that are all strings.

    See Also
    --------
    LSTMAutoencoderDetector : Reconstruct windows with a network and a linear map.
    LinearAutoencoderDetector : Reconstruct windows with linear maps alone.
    WindowNeighborsDetector : Compare windows with their nearest training windows.

    Notes
    -----
    Scale the series first. Fitting time grows linearly with the number of rows and
    quadratically with the number of inputs: a tenth of a second for 8,000 rows of four
    channels. One-step forecasts react to the onset and the end of a fault more than to
    the time in between; the means over several rows of the 'multiscale' rules bridge
    it.

    Rows with fewer earlier rows than the longest forecast needs, at the start of the
    series or after a break, are start-up rows. They are scored on the row alone, as by
    :class:`LSTMAutoencoderDetector`. With 'window_mean' this extends to the following
    rows until a window of forecasts is full; 'multiscale' rules use only the means over
    rows that all have a forecast.

    References
    ----------
    .. [1] H. Lütkepohl. "New Introduction to Multiple Time Series Analysis." Springer,
           2005. https://doi.org/10.1007/978-3-540-27752-1

    Examples
    --------
    >>> import numpy as np
    >>> from tsanomaly import AutoregressiveDetector
    >>> time = np.arange(600)
    >>> X = np.column_stack([np.sin(time / 5), np.cos(time / 5)])
    >>> X += 0.01 * np.random.default_rng(0).normal(size=X.shape)
    >>> detector = AutoregressiveDetector().fit(X)
    >>> X[400, 1] += 0.5
    >>> int(detector.predict(X)[400])
    -1
    >>> int(detector.transform(X)[400].argmax())
    1

    Another regressor:

    >>> from sklearn.ensemble import ExtraTreesRegressor
    >>> forest = ExtraTreesRegressor(n_estimators=10, random_state=0)
    >>> detector = AutoregressiveDetector(lags=3, regressor=forest).fit(X)
    >>> detector.reconstruct(X).shape
    (600, 2)
    """

    _scoring_parameters = ("lags", "regressor", "window_size")

    _parameter_constraints: dict = {
        **{
            name: constraint
            for name, constraint in ResidualDetector._parameter_constraints.items()
            if name != "stride"
        },
        "lags": [Interval(Integral, 1, None, closed="left"), tuple, list],
        "regressor": [HasMethods(["fit", "predict"]), None],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "window_size": [Interval(Integral, 2, None, closed="left")],
        "row_error": [StrOptions(set(_CAUSAL))],
    }

    def __init__(
        self,
        lags=(1, 20),
        *,
        regressor=None,
        alpha=0.01,
        window_size=80,
        row_error="multiscale",
        missing="ignore",
        contamination="auto",
        random_state=None,
    ):
        self.lags = lags
        self.regressor = regressor
        self.alpha = alpha
        self.window_size = window_size
        self.row_error = row_error
        self.missing = missing
        self.contamination = contamination
        self.random_state = random_state

    def _lags(self, n_timestamps):
        """Return the number of rows for each forecast, limited by the series."""
        lags = [self.lags] if isinstance(self.lags, Integral) else self.lags
        if not len(lags) or not are_counts(lags, 1):
            raise InvalidParameterError(
                "The 'lags' parameter of AutoregressiveDetector must be an int of at "
                f"least 1, or several of them. Got {self.lags!r} instead. For example, "
                "use lags=(1, 20)."
            )
        shape = n_timestamps, self.n_features_in_
        return tuple(sorted({most_lags(int(n_rows), shape) for n_rows in lags}))

    def _make_views(self, n_timestamps):
        self.lags_ = self._lags(n_timestamps)
        window_size = int(self.window_size)
        return [
            View(Forecast(lags), self._make_rule(window_size)) for lags in self.lags_
        ]

    def _check_views(self, views, breaks):
        n_needed = max(view.n_context for view in views) + 1
        check_series_length(
            breaks, n_needed, lags=self.lags, window_size=self.window_size
        )

    def _check_series(self, series, views):
        """Raise if the series does not fit in memory."""
        shape = series.X.shape
        check_memory(
            sum(view.model.memory(shape) + view.rule.memory(*shape) for view in views),
            f"Forecasting {shape[0]:,} rows of {shape[1]:,} channels",
            "Lower lags or window_size, resample the series to a lower rate, or drop "
            "channels.",
        )

    def _fit_views(self, series, views, rows, seed):
        """Fit the forecasts."""
        regressor = self.regressor
        if regressor is not None:
            regressor = _with_seed(clone(regressor), seed)

        def refit(rows):
            models = [self._fit_model(series, rows, view, regressor) for view in views]
            return self._join(models, [view.rule for view in views])

        for name in ("coefficients_", "regressors_"):
            vars(self).pop(name, None)
        for view in views:
            view.model = self._fit_model(series, rows, view, regressor)
        models = [view.model for view in views]
        if regressor is None:
            self.coefficients_ = [model.coefficients for model in models]
        else:
            self.regressors_ = [model.regressor for model in models]
        errors = [view.fit(series, rows) for view in views]
        view = self._join(models, [view.rule for view in views])
        if isinstance(view, Blend):
            errors = [view.join(errors)]
        return view, errors[0], partial(errors_of_halves, view, series, rows, refit)

    def _fit_model(self, series, rows, view, regressor):
        windows = series.windows(view.model.n_rows)
        if regressor is None:
            return RidgeModel.fit(windows, rows, self.alpha)
        return RegressorModel.fit(windows, rows, regressor)

    def _view(self):
        if hasattr(self, "coefficients_"):
            models = map(RidgeModel, self.coefficients_)
        else:
            models = map(RegressorModel, self.regressors_, self.lags_)
        return self._join(list(models), self._rules)

    def _join(self, models, rules):
        """Combine all forecasts."""
        views = list(map(View, models, rules))
        if len(views) == 1:
            return views[0]
        weights = np.full(len(views), 1 / len(views))
        channels = np.broadcast_to(weights[:, None], (len(views), self.n_features_in_))
        return Blend(views, weights, channels)


def _with_seed(estimator, seed):
    """Set `random_state` of an estimator and its sub-estimators where it is None."""
    unset = {
        name: seed
        for name, value in estimator.get_params().items()
        if value is None and name.rpartition("__")[2] == "random_state"
    }
    return estimator.set_params(**unset)
