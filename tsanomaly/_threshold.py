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
from tsanomaly._parameter_error import Parameter, ParameterError
from tsanomaly._row_errors import mean_of_known
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

# Methods that a budget of false alarms goes with, in place of the quantile.
_WITH_QUANTILE = ("quantile", "pot")


class ReconstructionThreshold(VersionedState, OutlierMixin, BaseEstimator):
    r"""Flag rows whose reconstruction errors exceed a threshold.

    The last step of a pipeline, after a step that turns readings into errors, such as
    :class:`LSTMAutoencoderDetector` or :class:`ReconstructionError`. It is cheap to fit
    and the errors are not: with ``Pipeline(memory=…)`` a grid search over its
    parameters trains the network once per split.

    Parameters
    ----------
    method : {'quantile', 'sigma', 'mad', 'pot', 'f_score'}, default='quantile'
        How the threshold follows from the training errors:

        - 'quantile': the `quantile` of the errors.
        - 'sigma': mean + `k` standard deviations. Moved by the anomalies that the
          training rows hold.
        - 'mad': median + `k` median absolute deviations, scaled to be standard
          deviations if errors are normal. Robust.
        - 'pot': peaks over threshold [1]_. The `quantile` of a generalised Pareto
          distribution fitted to the peaks of the largest errors [2]_: for quantiles
          close to 1, that few training rows lie beyond. See the notes on
          autocorrelated errors, and on errors that cannot exceed a bound.
        - 'f_score': the threshold with the best F-beta score on the labels `y`.

    quantile : float, default=0.99
        Share of normal rows that should stay below the threshold, in (0, 1). Used by
        'quantile' and 'pot', unless `false_alarms` is given.

    k : float, default=3.0
        Distance of the threshold, in standard deviations. Used by 'sigma' and 'mad'.

    channels : {'mean', 'max', 'each'}, default='mean'
        How the errors of a row are compared:

        - 'mean': their mean over the channels with one threshold.
        - 'max': the largest with one threshold.
        - 'each': every channel with a threshold of its own; one channel beyond its own
          flags the row. Not for 'f_score'.

    beta : float, default=1.0
        Weight of recall against precision in 'f_score'.

    tail_fraction : float, default=0.02
        Share of the training rows, the largest errors, that 'pot' fits its
        distribution to, in (0, 0.5]. It must exceed ``1 - quantile``. At least ten
        errors, or half of them, are used; up to 0.1 of them if autocorrelation leaves
        few independent peaks. With `false_alarms`, more if it allows more alarms.

    false_alarms : float or None, default=None
        Set the threshold so that normal rows are expected to raise this many alarms in
        the time `per`, in place of a `quantile`: with 'quantile' and 'pot', which then
        give the same threshold. Flagged rows close to each other are one alarm; see the
        notes. With ``channels='each'``, the budget is that of all channels together.
        None goes by `quantile`.

    per : int, str, timedelta or None, default=None
        The time that `false_alarms` is for: a number of rows, or a time such as '7D'
        (a string: model files take no other). For a time, `fit` needs a frame with a
        DatetimeIndex, whose median step is the time of a row; in a pipeline, the steps
        before hand on such frames after ``set_output(transform="pandas")``.

    Attributes
    ----------
    threshold_ : float or ndarray of shape (n_channels,)
        An error is flagged if it is larger. One for every channel with
        ``channels='each'``, where it is never 0, since it divides.

    offset_ : float
        Threshold of the scores: ``decision_function = score_samples - offset_``. It
        is ``-threshold_``, or -1 with ``channels='each'``.

    median_error_ : float
        Median of the errors of the training rows, as they are compared:
        ``-score_samples`` of those rows. How far it is from ``-offset_`` says how much
        room normal rows have.

    n_peaks_ : int or ndarray of shape (n_channels,)
        Number of independent peaks that the threshold follows from, only with 'pot' or
        `false_alarms`; one for every channel with 'pot' and ``channels='each'``.

    extremal_index_ : float or ndarray of shape (n_channels,)
        Share of peaks among the largest errors: 1 where errors are independent, 0.1
        where they come in clusters of ten. Where `n_peaks_` is.

    n_context_, n_lookahead_ : int
        Neighbouring rows that a score depends on, always 0.

    n_features_in_ : int
        Number of channels seen in `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the channels, if `fit` was given a frame with string column names.

    See Also
    --------
    LSTMAutoencoderDetector : Errors of a recurrent network.
    ReconstructionError : Errors of PCA and other invertible transformers.
    metrics.make_anomaly_scorer : Scorer to tune the threshold with.

    Notes
    -----
    In a pipeline the threshold is set on the errors of the rows that the step before
    was trained on. They are smaller than those of new rows, so more new rows are
    flagged than `quantile` says. Rows held out and known to be normal give an honest
    threshold: ``ReconstructionThreshold().fit(pipeline[:-1].transform(X_normal))``.

    A 'quantile' or 'f_score' threshold lies midway between two neighbouring training
    errors, or a ten-thousandth beyond the largest or smallest of them, so that
    differences in the last bits never flip a flag. Of `n` training rows,
    ``floor((1 - quantile) * n)`` are beyond a 'quantile', fewer if errors tie.

    Errors of neighbouring rows are alike, so the largest ones come in clusters. They
    are told apart by automatic declustering [3]_: of the gaps between errors beyond a
    level, the longest separate clusters, so many as the extremal index
    :math:`\theta` says. Breaks separate clusters, too. 'pot' and `false_alarms` fit a
    generalised Pareto distribution :math:`G` to the largest error of each cluster, the
    peaks beyond the level :math:`u` [4]_. If :math:`m` of :math:`n` rows are beyond the
    level, in :math:`n_c \approx \theta m` clusters, the thresholds :math:`x` solve

    .. math::

        \frac{m}{n} (1 - G(x - u)) = 1 - quantile
        \quad \text{or} \quad
        \frac{n_c}{n} (1 - G(x - u)) = \frac{false\_alarms}{per}

    For `false_alarms` the shape of the distribution is drawn to that of an exponential
    distribution, by :math:`n_c / (n_c + 30)`, and raised by :math:`1.5 / n_c`, since a
    level from few peaks is uncertain, and it is the mean number of alarms that should
    be kept. A warning says so if training rows hold fewer than 10 peaks, or fewer than
    a tenth of the rows in which one alarm is allowed. Where more alarms are allowed
    than any level is exceeded, the threshold is the level that is exceeded most often.

    Where errors cannot exceed a bound, the tail that 'pot' fits ends close to it,
    beyond the largest training error, and the threshold lies below that end. But a
    `quantile` beyond which not one of the training rows is expected may come out beyond
    the bound, where no row is ever flagged. Fit on more rows then, or lower the
    `quantile`.

    Rows that are NaN in every channel are breaks, as in
    :class:`LSTMAutoencoderDetector`: not used in `fit`, and not flagged. In other rows,
    NaN is a channel without an error: the row goes by its other channels.

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

    One false alarm in 2,000 rows:

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
            Labels, 1 = anomaly and 0 = normal. Needed by ``method='f_score'``, ignored
            by the others.

        Returns
        -------
        self : ReconstructionThreshold
            The fitted detector.

        Raises
        ------
        ValueError
            If parameters do not go together, `X` holds infinity, or no error of a
            channel that is to have a threshold, or `y` is missing, has other values
            than 0 and 1, or no anomaly, where it is needed; if `per` is a time and `X`
            has none.

        Warns
        -----
        UserWarning
            If the training rows say little of how often alarms are, with
            `false_alarms`, or of the spread of errors, with 'mad'.
        """
        self._check_parameters(y)
        with all_or_nothing(self):
            index = getattr(X, "index", None)
            X, breaks = validate_series(self, X, reset=True, missing="allow")
            if breaks.all():
                raise ValueError(
                    "Every row of X is NaN, so there is no error to set a threshold "
                    f"on (n_samples={len(X)}). Pass rows that hold errors."
                )
            anomalous = None
            if self.method == "f_score":
                anomalous = check_labels(y, len(X))[~breaks]
                if not anomalous.any():
                    raise ParameterError(
                        Parameter("method", "f_score"),
                        " needs at least one anomaly among the labels of the training "
                        "rows, and all are 0. Use another ",
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
                    f"Errors up to {largest:g} are too large to compute with ",
                    Parameter("method", self.method),
                    ". Scale the series before the step that gives errors.",
                )
            self._summaries = [ErrorSummary(c[~np.isnan(c)]) for c in columns]
            self.median_error_ = finite_median(self._compare(errors[~breaks]))
            self.n_context_ = self.n_lookahead_ = 0
            remember_parameters(self, ["channels"])
        return self

    def fit_predict(self, X, y=None):
        """Set the threshold, and label the training rows.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Errors, higher = worse.
        y : array-like of shape (n_timestamps,) or None, default=None
            Labels, as in `fit`.

        Returns
        -------
        labels : ndarray of shape (n_timestamps,)
            As from ``fit(X, y).predict(X)``.
        """
        # The mixin's method drops y.
        return self.fit(X, y).predict(X)

    def score_samples(self, X):
        """Opposite of the error of each row, reduced to one number.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Errors, higher = worse.

        Returns
        -------
        scores : ndarray of shape (n_timestamps,)
            The lower, the more abnormal: minus the mean or the maximum over the
            channels, or ``-max(error / threshold_)`` with ``channels='each'`` (of a
            threshold below 0, ``2 - error / threshold_`` counts). NaN at
            breaks.
        """
        check_is_fitted(self)
        check_parameters_unchanged(self)
        X, _ = validate_series(self, X, reset=False, missing="allow")
        return -self._compare(X.astype(np.float64, copy=False))

    def decision_function(self, X):
        """Score of each row, relative to the threshold.

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
        """Label each row.

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
        """Copy with another threshold, set on the same training errors.

        The step that gives the errors need not run again.

        Parameters
        ----------
        quantile : float or None, default=None
            Set the threshold by the method 'quantile', with this share of the training
            errors below it, in (0, 1).
        k : float or None, default=None
            Set it by the method 'sigma', at the mean + `k` standard deviations of the
            training errors.

        Returns
        -------
        other : ReconstructionThreshold
            Fitted.

        Raises
        ------
        ValueError
            If not exactly one of the two is given, or it is out of range.

        Notes
        -----
        A fitted threshold keeps no more than 2,000 training errors, or per channel with
        ``channels='each'``, the largest densely. A quantile of more rows lies between
        two neighbours of these: the share of training errors above it differs from
        ``1 - quantile`` by at most 2 % of that (up to 10⁸ rows). Thresholds of fewer
        rows, and all of 'sigma', are those that `fit` would set.

        With ``channels='each'``, `median_error_` is not known of other thresholds. It
        is estimated: moved as it would be if the errors of channels were independent.

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
                f"Give either quantile or k, got quantile={quantile!r} and k={k!r}. "
                "Pass for example quantile=0.95."
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
                " gives no finite threshold on these training errors, whose spread is "
                "beyond the range of floating point. Use ",
                Parameter("quantile"),
                ".",
            )
        if self.channels == "each":
            other.median_error_ = moved_median(
                self.median_error_, self._summaries, self.threshold_, other.threshold_
            )
        return other

    def _set_thresholds(self, thresholds):
        """Set what follows from the thresholds of the errors that are compared."""
        if self.channels != "each":
            (threshold,) = thresholds
            self.threshold_ = float(threshold)
            self.offset_ = -self.threshold_
            return
        thresholds = np.array(thresholds)
        # A channel without error in training would divide by zero.
        tiny = np.finfo(np.float64).tiny
        floor = max(1e-12 * np.abs(thresholds).max(), tiny)
        self.threshold_ = np.where(np.abs(thresholds) <= tiny, floor, thresholds)
        self.offset_ = -1.0

    def _thresholds(self, columns, breaks, anomalous):
        """Thresholds of the errors that are compared, by the method."""
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
        """Set thresholds that are exceeded at a rate, by any channel, and warn."""
        levels, peaks = zip(
            *(return_level(column, rate, self.tail_fraction) for column in columns),
            strict=True,
        )
        self._set_thresholds(levels)
        if self.channels == "each":
            # Each alone keeps the budget. Several are exceeded more often.
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
        """Errors as they are compared with the threshold: one number for each row."""
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
                    "method='f_score' looks for one threshold, and channels='each' "
                    "wants one for every channel. Use channels='mean' or 'max'."
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
                " does not lie in the tail that ",
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
                    " is the time that a number of ",
                    Parameter("false_alarms"),
                    " is for, and that is None. Pass for example ",
                    Parameter("false_alarms", 1),
                    ".",
                )
            return
        if self.per is None:
            raise ParameterError(
                Parameter("false_alarms", self.false_alarms),
                " needs the time in which there may be so many. Pass ",
                Parameter("per"),
                ", a number of rows, or a time such as '7D'.",
            )
        if self.method not in _WITH_QUANTILE:
            raise ParameterError(
                Parameter("false_alarms", self.false_alarms),
                " sets the threshold in place of a quantile, and ",
                Parameter("method", self.method),
                " has none. Use ",
                Parameter("method", "quantile"),
                ", or leave ",
                Parameter("false_alarms"),
                " out.",
            )

    def _reduce(self, errors):
        if self.channels == "max":
            return np.fmax.reduce(errors, axis=1)  # leaves NaN out, if there is more
        return mean_of_known(errors, axis=1)

    def _check_every_channel(self, errors):
        empty = np.isnan(errors).all(axis=0)
        if empty.any():
            raise ValueError(
                f"Input X holds no error in {name_column(self, empty.argmax())}, so "
                "there is no threshold for it. Drop the column, or use "
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
