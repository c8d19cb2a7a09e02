# SPDX-License-Identifier: MIT
import warnings
from copy import copy
from numbers import Real

import numpy as np
from scipy.special import boxcox
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.utils.validation import check_is_fitted

from tsanomaly._calibration import (
    ErrorSummary,
    fit_generalised_pareto,
    margin,
    midway_threshold,
    relative_errors,
    tail_excesses,
)
from tsanomaly._parameter_error import Parameter, ParameterError, ParameterWarning
from tsanomaly._row_errors import mean_of_known
from tsanomaly._sklearn_compat import Interval, StrOptions, _fit_context
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

# The normal distribution's standard deviation in units of its median absolute
# deviation.
_MAD_TO_SIGMA = 1.4826022185056018


def _sigma_threshold(errors, k):
    return errors.mean() + k * errors.std()


def _mad_threshold(errors, k):
    median = np.median(errors)
    deviation = np.median(np.abs(errors - median))
    if deviation == 0:
        warnings.warn(
            ParameterWarning(
                Parameter("method", "mad"),
                " cannot tell how errors spread, because at least half of them are "
                f"{median:g}: every larger error is flagged. Use another ",
                Parameter("method"),
                ".",
            ),
            stacklevel=4,
        )
    return median + k * _MAD_TO_SIGMA * deviation


def _pot_threshold(errors, share, tail_fraction):
    """Quantile of a generalised Pareto tail: Siffer et al. 2017, equation 1."""
    level, excesses = tail_excesses(errors, tail_fraction)
    share_of_tail = share * len(errors) / max(len(excesses), 1)
    if len(excesses) < 2 or share_of_tail >= 1:
        # No tail to speak of, or ties hold so many errors below the level that the
        # wanted share is not in the tail.
        return midway_threshold(errors, share)
    shape, scale = fit_generalised_pareto(excesses)
    # (share^-shape - 1) / shape, also where the shape vanishes
    return level + scale * boxcox(1 / share_of_tail, shape)


def _f_score_threshold(errors, anomalous, beta):
    """Threshold of the best F-beta score, midway between two neighbouring errors."""
    order = np.argsort(-errors, kind="stable")
    ordered = errors[order]
    # A threshold fits behind an error only where the next one is smaller.
    flagged = np.flatnonzero(np.append(ordered[1:] < ordered[:-1], True)) + 1
    found = np.cumsum(anomalous[order])[flagged - 1]
    # F-beta = (1 + beta²) found / (beta² anomalous + flagged)
    f_score = (1 + beta**2) * found / (beta**2 * anomalous.sum() + flagged)
    n_flagged = flagged[f_score.argmax()]
    if n_flagged == len(errors):  # all of them: below the smallest
        return ordered[-1] - margin(ordered[-1], ordered)
    return midway_threshold(errors, n_flagged / len(errors))


class ReconstructionThreshold(VersionedState, OutlierMixin, BaseEstimator):
    """Flag rows whose reconstruction errors exceed a threshold.

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
          distribution fitted to the largest errors [2]_: for quantiles close to 1, that
          few training rows lie beyond. See the notes on errors that cannot exceed a
          bound.
        - 'f_score': the threshold with the best F-beta score on the labels `y`.

    quantile : float, default=0.99
        Share of normal rows that should stay below the threshold, in (0, 1). Used by
        'quantile' and 'pot'.

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
        errors, or half of them, are used.

    Attributes
    ----------
    threshold_ : float or ndarray of shape (n_channels,)
        An error is flagged if it is larger. One for every channel with
        ``channels='each'``, where it is never 0, since it divides.

    offset_ : float
        Threshold of the scores: ``decision_function = score_samples - offset_``. It
        is ``-threshold_``, or -1 with ``channels='each'``.

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
    """

    _parameter_constraints: dict = {
        "method": [StrOptions({"quantile", "sigma", "mad", "pot", "f_score"})],
        "quantile": [Interval(Real, 0, 1, closed="neither")],
        "k": [Interval(Real, 0, None, closed="left")],
        "channels": [StrOptions({"mean", "max", "each"})],
        "beta": [Interval(Real, 0, None, closed="neither")],
        "tail_fraction": [Interval(Real, 0, 0.5, closed="right")],
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
    ):
        self.method = method
        self.quantile = quantile
        self.k = k
        self.channels = channels
        self.beta = beta
        self.tail_fraction = tail_fraction

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
            than 0 and 1, or no anomaly, where it is needed.
        """
        self._check_parameters(y)
        with all_or_nothing(self):
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
            errors = X[~breaks].astype(np.float64)
            if self.channels == "each":
                self._check_every_channel(X)
                columns = [column[~np.isnan(column)] for column in errors.T]
                thresholds = [self._threshold(column) for column in columns]
                self._summaries = [ErrorSummary(column) for column in columns]
            else:
                errors = self._reduce(errors)
                thresholds = [self._threshold(errors, anomalous)]
                self._summaries = [ErrorSummary(errors)]
            self._set_thresholds(thresholds)
            if not np.isfinite(self.threshold_).all():
                largest = np.nanmax(np.abs(errors))
                raise ParameterError(
                    f"Errors up to {largest:g} are too large to compute with ",
                    Parameter("method", self.method),
                    ". Scale the series before the step that gives errors.",
                )
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
        X = X.astype(np.float64, copy=False)
        if self.channels == "each":
            with np.errstate(over="ignore"):
                ratios = np.fmax.reduce(relative_errors(X, self.threshold_), axis=1)
            largest = np.finfo(np.float64).max
            return -np.clip(ratios, -largest, largest)
        return -self._reduce(X)

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
        other._validate_params()
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

    def _threshold(self, errors, anomalous=None):
        with np.errstate(over="ignore", invalid="ignore"):
            if self.method == "quantile":
                return midway_threshold(errors, 1 - self.quantile)
            if self.method == "sigma":
                return _sigma_threshold(errors, self.k)
            if self.method == "mad":
                return _mad_threshold(errors, self.k)
            if self.method == "pot":
                return _pot_threshold(errors, 1 - self.quantile, self.tail_fraction)
            return _f_score_threshold(errors, anomalous, self.beta)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = self.method == "f_score"
        tags.input_tags.allow_nan = True
        return tags
