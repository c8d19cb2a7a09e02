# SPDX-License-Identifier: MIT
from copy import copy
from datetime import timedelta
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted

from tsanomaly._calibration import (
    ErrorSummary,
    midway_threshold,
    relative_errors,
)
from tsanomaly._declustering import return_level, rows_per
from tsanomaly._means import mean_of_known
from tsanomaly._parameter_error import Parameter, ParameterError
from tsanomaly._sklearn_compat import Interval, StrOptions, _fit_context
from tsanomaly._threshold_rules import (
    f_score_threshold,
    finite_median,
    mad_threshold,
    moved_median,
    pot_threshold,
    sigma_threshold,
    warn_of_extrapolation,
)
from tsanomaly._validation import (
    VersionedState,
    all_or_nothing,
    check_labels,
    check_parameters_unchanged,
    name_column,
    remember_parameters,
    validate_series,
)

__all__ = ["ReconstructionThreshold"]

# Methods that support `false_alarms` in place of `quantile`.
_WITH_QUANTILE = ("quantile", "pot")


class ReconstructionThreshold(VersionedState, OutlierMixin, BaseEstimator):
    r"""Flag rows whose reconstruction errors exceed a threshold.

    Use it as the last step of a pipeline, after a step that computes errors, such as
    :class:`LSTMAutoencoderDetector` or :class:`ReconstructionError`. Fitting it is
    cheap, unlike computing the errors: with ``Pipeline(memory=...)``, a grid search
    over its parameters trains the network only once per split.

    Parameters
    ----------
    method : {'quantile', 'sigma', 'mad', 'pot', 'f_score'}, default='quantile'
        How the threshold is computed from the training errors:

        - 'quantile': the `quantile` of the errors.
        - 'sigma': mean + `k` standard deviations. Sensitive to anomalies in the
          training rows.
        - 'mad': median + `k` median absolute deviations, scaled to equal standard
          deviations if errors are normally distributed. Robust.
        - 'pot': peaks over threshold [1]_. The `quantile` of a generalised Pareto
          distribution fitted to the peaks of the largest errors [2]_, for quantiles
          close to 1 that few training rows exceed. See the Notes about autocorrelated
          and bounded errors.
        - 'f_score': the threshold that maximises the F-beta score on the labels `y`.

    quantile : float, default=0.99
        Share of normal rows that should stay below the threshold, in (0, 1). Used by
        'quantile' and 'pot', unless `false_alarms` is given.

    k : float, default=3.0
        Distance of the threshold from the center, in standard deviations. Used by
        'sigma' and 'mad'.

    channels : {'mean', 'max', 'each'}, default='mean'
        How the errors of a row are compared with the threshold:

        - 'mean': their mean over the channels, with one threshold.
        - 'max': the largest of them, with one threshold.
        - 'each': each channel with its own threshold. The row is flagged if any channel
          exceeds it. Not supported by 'f_score'.

    beta : float, default=1.0
        Weight of recall relative to precision in 'f_score'.

    tail_fraction : float, default=0.02
        Share of the training rows, those with the largest errors, that 'pot' fits its
        distribution to, in (0, 0.5]. It must be larger than ``1 - quantile``. At least
        ten errors (or half of them, if there are fewer than 20) are used. The share is
        raised, up to 0.1, if autocorrelation leaves few independent peaks, and further
        if `false_alarms` allows more alarms than there are peaks.

    false_alarms : float or None, default=None
        Expected number of alarms per time `per` on normal rows. Replaces `quantile`
        with the methods 'quantile' and 'pot', which then give the same threshold.
        Nearby flagged rows count as one alarm; see the Notes. With ``channels='each'``
        the budget covers all channels together. None uses `quantile`.

    per : int, str, timedelta or None, default=None
        Time that `false_alarms` refers to: a number of rows, or a duration such as
        '7D'. Only int and str can be saved to a model file. A duration requires a frame
        with a DatetimeIndex in `fit`; its median time step converts to rows. In a
        pipeline, call ``set_output(transform="pandas")`` so that earlier steps return
        frames.

    Attributes
    ----------
    threshold_ : float or ndarray of shape (n_channels,)
        Larger errors are flagged. One threshold per channel with ``channels='each'``;
        these are never 0, because errors are divided by them.

    offset_ : float
        Threshold of the scores: ``decision_function = score_samples - offset_``. It
        is ``-threshold_``, or -1 with ``channels='each'``.

    median_error_ : float
        Median of ``-score_samples`` of the training rows. The distance to ``-offset_``
        is the margin of normal rows.

    n_peaks_ : int or ndarray of shape (n_channels,)
        Number of independent peaks that the threshold is estimated from. Defined only
        with 'pot' or `false_alarms`. One per channel with 'pot' and
        ``channels='each'``.

    extremal_index_ : float or ndarray of shape (n_channels,)
        Ratio of clusters to large errors: 1 for independent errors, 0.1 for clusters of
        ten rows. Defined like `n_peaks_`.

    n_context_, n_lookahead_ : int
        Number of earlier and later rows that a score depends on, always 0.

    n_features_in_ : int
        Number of channels seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of channels seen during `fit`. Defined only when `X` has feature names
        that are all strings.

    See Also
    --------
    LSTMAutoencoderDetector : Errors of an LSTM autoencoder.
    ReconstructionError : Errors of PCA and other invertible transformers.
    metrics.make_anomaly_scorer : Scorer to tune the threshold with.

    Notes
    -----
    In a pipeline, the threshold is set on in-sample errors, which are smaller than
    those of new rows: more than ``1 - quantile`` of new normal rows are flagged. For an
    unbiased threshold, fit it on held-out normal rows:
    ``ReconstructionThreshold().fit(pipeline[:-1].transform(X_normal))``.

    The thresholds of 'quantile' and 'f_score' lie midway between two neighbouring
    training errors, or a relative 1e-4 beyond the largest or smallest one, so that
    rounding never changes a flag. Of `n` training rows,
    ``floor((1 - quantile) * n)`` exceed the threshold of 'quantile', or fewer if errors
    are tied.

    Errors of neighbouring rows are correlated, so the largest ones occur in clusters.
    Clusters are separated by automatic declustering [3]_: the longest gaps between
    errors above a level separate clusters, as many of them as the extremal index
    :math:`\theta` implies. Breaks also separate clusters. 'pot' and `false_alarms` fit
    a generalised Pareto distribution :math:`G` to the largest error of each cluster,
    the peaks above the level :math:`u` [4]_. If :math:`m` of :math:`n` rows exceed the
    level, in :math:`n_c \approx \theta m` clusters, the thresholds :math:`x` solve

    .. math::

        \frac{m}{n} (1 - G(x - u)) = 1 - quantile
        \quad \text{or} \quad
        \frac{n_c}{n} (1 - G(x - u)) = \frac{false\_alarms}{per}

    For `false_alarms`, unless it is below -0.5, the shape of the distribution is shrunk
    towards that of an exponential distribution by the factor :math:`n_c / (n_c + 30)`
    and then raised by :math:`1.5 / n_c`, because estimates from few peaks are uncertain
    and the budget is for the mean number of alarms. `fit` warns if there are fewer than
    10 peaks, or if one alarm is allowed in more than ten times the training rows. If
    more alarms are allowed than any level has, the threshold is the level with the most
    alarms.

    For bounded errors, the tail fitted by 'pot' ends near the bound, above the largest
    training error, and the threshold lies below that end. A `quantile` that no training
    row is expected to exceed can still lie beyond the bound, so that no row is ever
    flagged. In that case fit on more rows or lower the `quantile`.

    Rows that are NaN in every channel are breaks, as in
    :class:`LSTMAutoencoderDetector`. They are ignored in `fit` and never flagged. In
    other rows, channels that are NaN are ignored.

    References
    ----------
    .. [1] A. Siffer, P.-A. Fouque, A. Termier, C. Largouet. "Anomaly Detection in
           Streams with Extreme Value Theory." KDD 2017.
           https://doi.org/10.1145/3097983.3098144

    .. [2] J. R. M. Hosking, J. R. Wallis. "Parameter and Quantile Estimation for the
           Generalized Pareto Distribution." Technometrics 29(3), 1987.
           https://doi.org/10.1080/00401706.1987.10488243

    .. [3] C. A. T. Ferro, J. Segers. "Inference for Clusters of Extreme Values."
           Journal of the Royal Statistical Society B 65(2), 2003.
           https://doi.org/10.1111/1467-9868.00401

    .. [4] S. Coles. "An Introduction to Statistical Modeling of Extreme Values."
           Springer, 2001, section 5.3. https://doi.org/10.1007/978-1-4471-3675-0

    Examples
    --------
    >>> import numpy as np
    >>> from tsanomaly import ReconstructionThreshold
    >>> errors = np.arange(100.0).reshape(-1, 1)
    >>> threshold = ReconstructionThreshold(quantile=0.95).fit(errors)
    >>> threshold.threshold_
    94.5
    >>> threshold.predict([[94.0], [95.0]])
    array([ 1, -1])

    Allow one false alarm in 2,000 rows:

    >>> errors = np.random.default_rng(0).exponential(size=(5000, 1))
    >>> budget = ReconstructionThreshold(false_alarms=1, per=2000).fit(errors)
    >>> bool(6 < budget.threshold_ < 9)
    True
    """

    _parameter_constraints: dict = {
        "method": [StrOptions({"quantile", "sigma", "mad", "pot", "f_score"})],
        "quantile": [Interval(Real, 0, 1, closed="neither")],
        "k": [Interval(Real, 0, None, closed="left")],
        "channels": [StrOptions({"mean", "max", "each"})],
        "beta": [Interval(Real, 0, None, closed="neither")],
        "tail_fraction": [Interval(Real, 0, 0.5, closed="right")],
        "false_alarms": [Interval(Real, 0, None, closed="neither"), None],
        "per": [
            np.timedelta64,  # before the interval: it counts as an Integral
            Interval(Integral, 1, None, closed="left"),
            str,
            timedelta,  # and pandas.Timedelta
            None,
        ],
    }

    def __init__(
        self,
        method="quantile",
        *,
        quantile=0.99,
        k=3.0,
        channels="mean",
        beta=1.0,
        tail_fraction=0.02,
        false_alarms=None,
        per=None,
    ):
        self.method = method
        self.quantile = quantile
        self.k = k
        self.channels = channels
        self.beta = beta
        self.tail_fraction = tail_fraction
        self.false_alarms = false_alarms
        self.per = per

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Set the threshold.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Errors, higher = worse.
        y : array-like of shape (n_timestamps,) or None, default=None
            Labels, 1 = anomaly and 0 = normal. Required by ``method='f_score'`` and
            otherwise ignored.

        Returns
        -------
        self : ReconstructionThreshold
            The fitted detector.

        Raises
        ------
        ValueError
            If parameters are incompatible, if `X` contains infinity or no errors, if
            `y` is required and missing, not binary or without anomalies, or if `per` is
            a duration and `X` has no DatetimeIndex.

        Warns
        -----
        UserWarning
            If the training rows are too few to estimate the rate of `false_alarms`, or
            if most errors are equal with 'mad'.
        """
        self._check_parameters(y)
        with all_or_nothing(self):
            index = getattr(X, "index", None)
            X, breaks = validate_series(self, X, reset=True, missing="allow")
            if breaks.all():
                raise ValueError(
                    "Every row of X is NaN, so there are no errors to set a threshold "
                    f"on (n_samples={len(X)}). Pass rows that contain errors."
                )
            anomalous = None
            if self.method == "f_score":
                anomalous = check_labels(y, len(X))[~breaks]
                if not anomalous.any():
                    raise ParameterError(
                        Parameter("method", "f_score"),
                        " needs at least one anomaly among the training labels, but "
                        "all are 0. Use another ",
                        Parameter("method"),
                        ", or label an anomaly.",
                    )
            errors = X.astype(np.float64)
            if self.channels == "each":
                self._check_every_channel(X)
                columns = list(errors.T)
            else:
                columns = [self._reduce(errors)]
            for name in ("n_peaks_", "extremal_index_"):  # of another fit
                vars(self).pop(name, None)
            with np.errstate(over="ignore", invalid="ignore"):
                if self.false_alarms is None:
                    thresholds = self._thresholds(columns, breaks, anomalous)
                    self._set_thresholds(thresholds)
                else:
                    rate = self.false_alarms / rows_per(self.per, index)
                    self._keep_budget(columns, rate)
            if not np.isfinite(self.threshold_).all():
                largest = np.nanmax(np.abs(errors))
                raise ParameterError(
                    f"Errors up to {largest:g} are too large for ",
                    Parameter("method", self.method),
                    ". Scale the series before computing errors.",
                )
            self._summaries = [ErrorSummary(c[~np.isnan(c)]) for c in columns]
            self.median_error_ = finite_median(self._compare(errors[~breaks]))
            self.n_context_ = self.n_lookahead_ = 0
            remember_parameters(self, ["channels"])
        return self

    def fit_predict(self, X, y=None):
        """Set the threshold and label the training rows.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Errors, higher = worse.
        y : array-like of shape (n_timestamps,) or None, default=None
            Labels, as in `fit`.

        Returns
        -------
        labels : ndarray of shape (n_timestamps,)
            Same as ``fit(X, y).predict(X)``.
        """
        # The method of the mixin drops y.
        return self.fit(X, y).predict(X)

    def score_samples(self, X):
        """Return the opposite of the error of each row.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Errors, higher = worse.

        Returns
        -------
        scores : ndarray of shape (n_timestamps,)
            Minus the mean or the maximum over the channels, or
            ``-max(error / threshold_)`` with ``channels='each'`` (where a threshold is
            negative, the ratio is ``2 - error / threshold_``). The lower, the more
            abnormal. NaN at breaks.
        """
        check_is_fitted(self)
        check_parameters_unchanged(self)
        X, _ = validate_series(self, X, reset=False, missing="allow")
        return -self._compare(X.astype(np.float64, copy=False))

    def decision_function(self, X):
        """Return the score of each row relative to the threshold.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Errors, higher = worse.

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
            Errors, higher = worse.

        Returns
        -------
        labels : ndarray of shape (n_timestamps,)
            -1 for anomalies, +1 for normal rows and breaks.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def with_threshold(self, *, quantile=None, k=None):
        """Return a copy with a different threshold on the same training errors.

        The training errors do not have to be computed again.

        Parameters
        ----------
        quantile : float or None, default=None
            Set the threshold with the method 'quantile', so that this share of the
            training errors lies below it, in (0, 1).
        k : float or None, default=None
            Set the threshold with the method 'sigma', at the mean + `k` standard
            deviations of the training errors.

        Returns
        -------
        other : ReconstructionThreshold
            Fitted copy.

        Raises
        ------
        ValueError
            If none or both of `quantile` and `k` are given, or the value is out of
            range.

        Notes
        -----
        The thresholds of 'sigma' are exact. Quantiles are exact up to 2,000 training
        rows. Of more rows, 2,000 errors are kept (per channel with
        ``channels='each'``), the largest ones most densely, and quantiles are
        interpolated: the share of training errors above the threshold differs from
        ``1 - quantile`` by at most 2 % of its value (up to 10⁸ rows).

        With ``channels='each'``, `median_error_` of the copy is an estimate that
        assumes independent errors of the channels.

        Examples
        --------
        >>> import numpy as np
        >>> from tsanomaly import ReconstructionThreshold
        >>> fitted = ReconstructionThreshold().fit(np.arange(100.0).reshape(-1, 1))
        >>> fitted.threshold_, fitted.with_threshold(quantile=0.9).threshold_
        (98.5, 89.5)
        """
        check_is_fitted(self)
        check_parameters_unchanged(self)
        if (quantile is None) == (k is None):
            raise ValueError(
                f"Pass either quantile or k, got quantile={quantile!r} and k={k!r}. "
                "For example, use quantile=0.95."
            )
        other = copy(self)
        if k is None:
            other.set_params(method="quantile", quantile=quantile)
        else:
            other.set_params(method="sigma", k=k)
        other.set_params(false_alarms=None, per=None)
        other._validate_params()
        for name in ("n_peaks_", "extremal_index_"):
            vars(other).pop(name, None)
        other._set_thresholds(
            [
                summary.quantile_threshold(1 - quantile)
                if k is None
                else summary.sigma_threshold(k)
                for summary in self._summaries
            ]
        )
        if not np.isfinite(other.threshold_).all():
            raise ParameterError(
                Parameter("k", k),
                " gives no finite threshold on these training errors, because their "
                "standard deviation overflows. Use ",
                Parameter("quantile"),
                ".",
            )
        if self.channels == "each":
            other.median_error_ = moved_median(
                self.median_error_, self._summaries, self.threshold_, other.threshold_
            )
        return other

    def _set_thresholds(self, thresholds):
        """Set `threshold_` and `offset_`."""
        if self.channels != "each":
            (threshold,) = thresholds
            self.threshold_ = float(threshold)
            self.offset_ = -self.threshold_
            return
        thresholds = np.array(thresholds)
        # Avoid division by zero for a channel without errors in training.
        tiny = np.finfo(np.float64).tiny
        floor = max(1e-12 * np.abs(thresholds).max(), tiny)
        self.threshold_ = np.where(np.abs(thresholds) <= tiny, floor, thresholds)
        self.offset_ = -1.0

    def _thresholds(self, columns, breaks, anomalous):
        """Compute the thresholds of each column with the chosen method."""
        if self.method == "pot":
            share = 1 - self.quantile
            thresholds, peaks = zip(
                *(pot_threshold(c, share, self.tail_fraction, breaks) for c in columns),
                strict=True,
            )
            self._keep_peaks(peaks, several=self.channels == "each")
            return thresholds
        columns = [column[~np.isnan(column)] for column in columns]
        return [self._threshold(column, anomalous) for column in columns]

    def _keep_budget(self, columns, rate):
        """Set thresholds that any channel exceeds at this rate; warn if uncertain."""
        levels, peaks = zip(
            *(return_level(column, rate, self.tail_fraction) for column in columns),
            strict=True,
        )
        self._set_thresholds(levels)
        if self.channels == "each":
            # Each channel alone meets the budget. Together they exceed it.
            ratios = self._compare(np.column_stack(columns))
            level, of_all = return_level(ratios, rate, self.tail_fraction)
            peaks = [of_all]
            thresholds = self.threshold_
            self._set_thresholds(thresholds + (level - 1) * np.abs(thresholds))
        self._keep_peaks(peaks)
        warn_of_extrapolation(peaks[0], rate)

    def _keep_peaks(self, peaks, *, several=False):
        self.n_peaks_ = [len(p.excesses) for p in peaks]
        self.extremal_index_ = [p.extremal_index for p in peaks]
        if several:
            self.n_peaks_ = np.array(self.n_peaks_)
            self.extremal_index_ = np.array(self.extremal_index_)
        else:
            (self.n_peaks_,) = self.n_peaks_
            (self.extremal_index_,) = self.extremal_index_

    def _compare(self, errors):
        """Reduce the errors of each row to the number compared with the threshold."""
        if self.channels != "each":
            return self._reduce(errors)
        with np.errstate(over="ignore"):
            ratios = np.fmax.reduce(relative_errors(errors, self.threshold_), axis=1)
        largest = np.finfo(np.float64).max
        return np.clip(ratios, -largest, largest)

    def _check_parameters(self, y):
        if self.method == "f_score":
            if self.channels == "each":
                raise ValueError(
                    "method='f_score' finds a single threshold, but channels='each' "
                    "needs one per channel. Use channels='mean' or 'max'."
                )
            if y is None:
                raise ValueError(
                    "method='f_score' requires y to be passed, but the target y is "
                    "None. Pass labels, 1 = anomaly and 0 = normal, or use another "
                    "method."
                )
        self._check_budget()
        if self.false_alarms is not None:
            return
        if self.method == "pot" and 1 - self.quantile >= self.tail_fraction:
            raise ParameterError(
                Parameter("quantile", self.quantile),
                " lies outside the tail that ",
                Parameter("method", "pot"),
                f" fits, the largest {100 * self.tail_fraction:g} % of the errors "
                "(tail_fraction). Choose a ",
                Parameter("quantile"),
                f" above {1 - self.tail_fraction:g}.",
            )

    def _check_budget(self):
        if self.false_alarms is None:
            if self.per is not None:
                raise ParameterError(
                    Parameter("per", self.per),
                    " requires ",
                    Parameter("false_alarms"),
                    ", which is None. For example, use ",
                    Parameter("false_alarms", 1),
                    ".",
                )
            return
        if self.per is None:
            raise ParameterError(
                Parameter("false_alarms", self.false_alarms),
                " requires the time that the alarms may occur in. Pass ",
                Parameter("per"),
                ", a number of rows or a duration such as '7D'.",
            )
        if self.method not in _WITH_QUANTILE:
            raise ParameterError(
                Parameter("false_alarms", self.false_alarms),
                " replaces the quantile, which ",
                Parameter("method", self.method),
                " does not use. Use ",
                Parameter("method", "quantile"),
                ", or omit ",
                Parameter("false_alarms"),
                ".",
            )

    def _reduce(self, errors):
        if self.channels == "max":
            return np.fmax.reduce(errors, axis=1)  # ignores NaN
        return mean_of_known(errors, axis=1)

    def _check_every_channel(self, errors):
        empty = np.isnan(errors).all(axis=0)
        if empty.any():
            raise ValueError(
                f"Input X contains no errors in {name_column(self, empty.argmax())}, "
                "so no threshold can be set for it. Drop the column, or use "
                "channels='mean' or 'max'."
            )

    def _threshold(self, errors, anomalous):
        if self.method == "quantile":
            return midway_threshold(errors, 1 - self.quantile)
        if self.method == "sigma":
            return sigma_threshold(errors, self.k)
        if self.method == "mad":
            return mad_threshold(errors, self.k)
        return f_score_threshold(errors, anomalous, self.beta)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = self.method == "f_score"
        tags.input_tags.allow_nan = True
        return tags
