# SPDX-License-Identifier: MIT
import warnings
from contextlib import suppress
from copy import deepcopy
from numbers import Real

import numpy as np
from sklearn.base import (
    MetaEstimatorMixin,
    OutlierMixin,
    TransformerMixin,
    clone,
)
from sklearn.frozen import FrozenEstimator
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from tsanomaly._calibration import AUTO_SHARE, Calibration, midway_threshold
from tsanomaly._context import get_context, sees_other_rows
from tsanomaly._hybrid import errors_of_all, fit_without
from tsanomaly._inspection import (
    check_detector,
    fits_held_out,
    gives_channel_errors,
    is_normalised,
    kept_training_errors,
    last_step,
    offset_of,
    results_at,
    results_by_block,
)
from tsanomaly._means_by_length import mean_of_known
from tsanomaly._row_errors import join_shares, shares_of
from tsanomaly._selected_rows import overrides
from tsanomaly._sklearn_compat import (
    Interval,
    InvalidParameterError,
    StrOptions,
    _BaseComposition,
    _fit_context,
)
from tsanomaly._validation import (
    VersionedState,
    all_or_nothing,
    find_breaks,
    remember_parameters,
    validate_for_parts,
)
from tsanomaly._windows import TrailingWindows

__all__ = ["EnsembleDetector"]


def _will_give_channel_errors(ensemble):
    """Whether all detectors that `fit` clones return errors per channel."""
    return all(map(gives_channel_errors, dict(ensemble.detectors).values()))


def _gives_channel_errors(ensemble):
    """Whether all fitted detectors return errors per channel."""
    if not hasattr(ensemble, "named_detectors_"):
        return _will_give_channel_errors(ensemble)
    return all(map(gives_channel_errors, ensemble.named_detectors_.values()))


def _all_accept_new_normal(ensemble):
    """Whether all detectors support `accept_new_normal`."""
    members = getattr(ensemble, "named_detectors_", dict(ensemble.detectors)).values()
    return all(
        hasattr(member, "accept_new_normal") and not isinstance(member, FrozenEstimator)
        for member in members
    )


class EnsembleDetector(
    VersionedState,
    TransformerMixin,
    OutlierMixin,
    MetaEstimatorMixin,
    _BaseComposition,
):
    r"""Average the errors of several detectors on a common scale.

    Detectors of different kinds find different faults, and their average is seldom far
    behind the best of them. `make_ensemble` returns an ensemble with tested members and
    weights.

    Parameters
    ----------
    detectors : list of (str, estimator) tuples
        Names and detectors, which are cloned. A detector that raises ValueError in
        `fit`, for example because the series is too short, is dropped with a warning.
        An invalid parameter raises.

    weights : array-like of shape (n_detectors,) or None, default=None
        Non-negative weights of the detectors. None gives all the same weight.

    contamination : 'auto' or float, default='auto'
        Share of training rows to flag, in (0, 0.5]. 'auto' sets the threshold to the
        99 % quantile of the training errors, start-up rows excluded, or to the weighted
        mean of the detectors' own thresholds, whichever is higher.

    Attributes
    ----------
    named_detectors_ : dict of str to estimator
        Fitted detectors by name, without those that were dropped.

    left_out_ : dict of str to str
        Names of dropped detectors, with the error messages.

    median_error_ : float
        Median error of the training rows, start-up rows excluded with 'auto'.

    offset_ : float
        Threshold of the scores: ``decision_function = score_samples - offset_``.

    n_context_, n_lookahead_, n_start_up_ : int
        Number of earlier and later rows that the score of a row depends on, and number
        of start-up rows: maxima over the detectors. Defined only if all have them.

    n_features_in_ : int
        Number of channels seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of channels seen during `fit`. Defined only when `X` has feature names
        that are all strings.

    See Also
    --------
    make_ensemble : Make the default ensemble.
    HybridDetector : Use a cheap detector to select rows for an expensive one.
    ScoreTransformer : Use the normalised score of a detector as a feature.

    Notes
    -----
    With the normalised scores :math:`l_i` of a row (about 0 for the median of the
    training rows, about 1 for their 99 % quantile) and weights :math:`w_i`, normalised
    to a sum of 1, the error of the row is :math:`\sum_i w_i \log(1 + e^{l_i})`.
    Detectors of this library with 'multiscale' errors, and
    :class:`WindowNeighborsDetector`, compute such a score. For others it is half of
    ``-log10`` of the share of training rows that are at least as abnormal, with a
    generalised Pareto tail beyond, as in :class:`ScoreTransformer`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import IsolationForest
    >>> from tsanomaly import AutoregressiveDetector, EnsembleDetector
    >>> X = np.random.default_rng(0).normal(size=(500, 2))
    >>> ensemble = EnsembleDetector(
    ...     [
    ...         ("forecast", AutoregressiveDetector(lags=1)),
    ...         ("forest", IsolationForest(random_state=0)),
    ...     ]
    ... ).fit(X)
    >>> X[300] = 6.0
    >>> int(ensemble.score_samples(X).argmin())
    300
    """

    _parameter_constraints: dict = {
        "detectors": [list],
        "weights": ["array-like", None],
        "contamination": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="right")],
    }

    _is_normalised = True

    def __init__(self, detectors, *, weights=None, contamination="auto"):
        self.detectors = detectors
        self.weights = weights
        self.contamination = contamination

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None):
        """Fit clones of the detectors and set the threshold.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Training series, rows in time order. Rows that are NaN in every channel are
            breaks.
        y : array-like of shape (n_timestamps,) or None, default=None
            Passed to the detectors.

        Returns
        -------
        self : EnsembleDetector
            The fitted ensemble.

        Raises
        ------
        ValueError
            If a parameter is out of range, or an estimator does not score rows. If no
            detector can be fitted, the error of the first one is raised.

        Warns
        -----
        UserWarning
            For each detector that is dropped.
        """
        self._fit(X, y)
        return self

    @_fit_context(prefer_skip_nested_validation=False)
    def fit_transform(self, X, y=None):
        """Fit the ensemble and return the errors of the training rows.

        Available only if all detectors return errors per channel.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Training series, as in `fit`.
        y : array-like of shape (n_timestamps,) or None, default=None
            Passed to the detectors.

        Returns
        -------
        errors : ndarray of shape (n_timestamps, n_channels)
            Same as ``fit(X).transform(X)``, but without running the detectors twice.
            Missing readings are treated as in `fit_transform` of the detectors.
        """
        errors, _, breaks = self._fit(X, y)
        return self._join(errors, ~breaks)

    @available_if(_will_give_channel_errors)
    def _fit_held_out(self, X, y=None):
        """Fit the ensemble and return in-sample and held-out errors.

        A detector without held-out errors contributes its in-sample errors, unless no
        detector has held-out errors.
        """
        self._validate_params()
        errors, others, breaks = self._fit(X, y, held_out=True)
        joined = self._join(errors, ~breaks)
        if all(held_out is None for held_out in others):
            return joined, None
        others = [
            of_all if held_out is None else held_out
            for of_all, held_out in zip(errors, others, strict=True)
        ]
        known = ~breaks & ~np.any([np.isnan(e).all(axis=1) for e in others], axis=0)
        return joined, self._join(others, known) if known.any() else None

    def score_samples(self, X):
        """Return the opposite of the weighted mean error of each row.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Series to score, rows in time order.

        Returns
        -------
        scores : ndarray of shape (n_timestamps,)
            At most 0. The lower, the more abnormal. NaN at breaks.
        """

        def errors_of(X):
            breaks = find_breaks(X)
            errors = np.zeros(len(breaks))
            for detector, scale, weight in self._members():
                of_rows = errors_of_all(detector, X, breaks)
                errors += weight * _on_scale(of_rows, scale)
            return errors

        X = validate_for_parts(self, X, reset=False)
        return -results_by_block(errors_of, X, self)

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

        Available only if all detectors return errors per channel.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Series, rows in time order.

        Returns
        -------
        errors : ndarray of shape (n_timestamps, n_channels)
            The error of the row, distributed over the channels: each detector
            distributes its own part. NaN at breaks, and where no detector has an error
            for the channel.
        """
        X = validate_for_parts(self, X, reset=False)
        breaks = find_breaks(X)
        errors = [detector.transform(X) for detector, *_ in self._members()]
        return self._join([np.asarray(by_channel) for by_channel in errors], ~breaks)

    @available_if(_gives_channel_errors)
    def reconstruct(self, X):
        """Return the readings that the detectors expect.

        Available only if all detectors have `reconstruct` and return errors per
        channel.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Series, rows in time order.

        Returns
        -------
        expected : ndarray of shape (n_timestamps, n_channels)
            Weighted mean of the detectors' expected readings, in the units of `X`. NaN
            at breaks.
        """
        X = validate_for_parts(self, X, reset=False)
        return sum(
            weight * detector.reconstruct(X) for detector, _, weight in self._members()
        )

    @available_if(_all_accept_new_normal)
    def accept_new_normal(self, X):
        """Adopt the mean level of new rows as normal, without retraining.

        Available only if all detectors have this method and none is frozen.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Normal rows since the change.

        Returns
        -------
        self : EnsembleDetector
            The updated ensemble.
        """
        X = validate_for_parts(self, X, reset=False)
        pairs = self.named_detectors_.items()
        self.named_detectors_ = {
            name: deepcopy(detector).accept_new_normal(X) for name, detector in pairs
        }
        return self

    def get_feature_names_out(self, input_features=None):
        """Return the column names of `transform`, which are those of the channels.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the channels. None uses those seen during `fit`, or ``x0``, ``x1``,
            and so on.

        Returns
        -------
        names : ndarray of str objects of shape (n_channels,)
            Names of the channels.
        """
        check_is_fitted(self)
        first = next(iter(self.named_detectors_.values()))
        return first.get_feature_names_out(input_features)

    def get_params(self, deep=True):
        """Get the parameters of the ensemble and of its detectors.

        Parameters
        ----------
        deep : bool, default=True
            Whether to include the detectors and their parameters.

        Returns
        -------
        params : dict
            Parameter names mapped to their values.
        """
        return self._get_params("detectors", deep=deep)

    def set_params(self, **params):
        """Set parameters of the ensemble and of its detectors, or replace detectors.

        Parameters
        ----------
        **params : dict
            Parameters, such as ``network=...`` or ``network__epochs=5``.

        Returns
        -------
        self : EnsembleDetector
            The ensemble.
        """
        return self._set_params("detectors", **params)

    def _transform_at(self, X, rows):
        """Return ``transform(X)[rows]``, computed from the context of the rows."""
        if overrides(self, EnsembleDetector, "transform", "score_samples"):
            return np.asarray(self.transform(X))[rows]
        X = validate_for_parts(self, X, reset=False)
        errors = [
            results_at(detector, "transform", X, rows)
            for detector, *_ in self._members()
        ]
        return self._join(errors, ~find_breaks(X)[rows])

    def _reconstruct_at(self, X, rows):
        """Return ``reconstruct(X)[rows]``, computed from the context of the rows."""
        if overrides(self, EnsembleDetector, "reconstruct"):
            return np.asarray(self.reconstruct(X))[rows]
        X = validate_for_parts(self, X, reset=False)
        return sum(
            weight * results_at(detector, "reconstruct", X, rows)
            for detector, _, weight in self._members()
        )

    def _members(self):
        """Return the detectors with their scales and weights."""
        detectors = self.named_detectors_.values()
        return zip(detectors, self._scales, self._weights, strict=True)

    def _check_detectors(self):
        """Validate `detectors` and `weights`, and return the weights by name."""
        if not self.detectors or not all(
            isinstance(pair, tuple) and len(pair) == 2 for pair in self.detectors
        ):
            raise ValueError(
                "The 'detectors' parameter of EnsembleDetector must be a list of one "
                f"or more (name, detector) tuples. Got {self.detectors!r} instead."
            )
        names = [name for name, _ in self.detectors]
        self._validate_names(names)
        for name, detector in self.detectors:
            if isinstance(detector, type) or not hasattr(detector, "fit"):
                raise ValueError(
                    f"{name}={detector!r} is not an estimator. Pass an outlier "
                    "detector, or a pipeline that ends in one."
                )
            check_detector(detector, name)
        weights = np.ones(len(names)) if self.weights is None else self.weights
        try:
            weights = np.asarray(weights, dtype=np.float64)
        except (TypeError, ValueError):
            weights = np.empty(0)
        is_number = np.isfinite(weights) & (weights >= 0)
        if weights.shape != (len(names),) or not is_number.all():
            raise ValueError(
                "weights must contain one non-negative number for each of the "
                f"{len(names)} detectors, got {self.weights!r}."
            )
        return dict(zip(names, weights.tolist(), strict=True))

    def _fit(self, X, y, held_out=False):
        """Fit, and return in-sample and held-out errors per detector, and breaks."""
        weights = self._check_detectors()
        with all_or_nothing(self):
            X = validate_for_parts(self, X, reset=True)
            breaks = find_breaks(X)
            by_channel, others, of_rows = self._fit_detectors(X, y, breaks, held_out)
            weights = np.array([weights[name] for name in self.named_detectors_])
            if not weights.any():
                raise ValueError(
                    f"weights={self.weights!r} are 0 for all detectors that could be "
                    f"fitted ({', '.join(self.named_detectors_)}). Set a positive "
                    "weight for one of them."
                )
            weights /= weights.max()
            self._weights = weights / weights.sum()
            self._set_context()
            self._scales = [
                None
                if is_normalised(detector)
                else Calibration(errors[~breaks], "tail")
                for detector, errors in zip(
                    self.named_detectors_.values(), of_rows, strict=True
                )
            ]
            errors = list(map(_on_scale, of_rows, self._scales))
            remember_parameters(self, ["weights"])
            self._set_threshold(np.stack(errors, axis=1) @ self._weights, breaks)
        return by_channel, others, breaks

    def _fit_detectors(self, X, y, breaks, held_out):
        """Fit clones of the detectors, and return their errors on the training rows.

        For each detector: in-sample errors per channel or None, held-out errors per
        channel or None, and errors per row. NaN at breaks.
        """
        self.named_detectors_, self.left_out_ = {}, {}
        first_error, by_channel, others, of_rows = None, [], [], []
        for name, detector in self.detectors:
            detector = clone(detector)
            try:
                if held_out and fits_held_out(detector):
                    errors, of_others = detector._fit_held_out(X, y)
                else:
                    errors, of_others = _fit(detector, X, y, breaks), None
            except InvalidParameterError:
                raise
            except ValueError as error:
                first_error = first_error or error
                self.left_out_[name] = str(error)
            else:
                self.named_detectors_[name] = detector
                by_channel.append(errors if errors.ndim == 2 else None)
                others.append(of_others)
                of_rows.append(errors if errors.ndim == 1 else mean_of_known(errors, 1))
        if not self.named_detectors_:
            raise first_error
        for name, reason in self.left_out_.items():
            warnings.warn(
                f"The ensemble drops {name!r}, which could not be fitted: {reason}",
                UserWarning,
                stacklevel=5,
            )
        return by_channel, others, of_rows

    def _set_context(self):
        for name in ("n_context_", "n_lookahead_", "n_start_up_"):
            vars(self).pop(name, None)
        with suppress(ValueError):  # unknown if a detector does not define them
            contexts = map(get_context, self.named_detectors_.values())
            self.n_context_, self.n_lookahead_, self.n_start_up_ = map(
                max, zip(*contexts, strict=True)
            )

    def _set_threshold(self, errors, breaks):
        """Set the threshold from the errors of the training rows."""
        counted, share = ~breaks, self.contamination
        if share == "auto":
            share = AUTO_SHARE
            n_start_up = getattr(self, "n_start_up_", 0)
            whole = TrailingWindows(breaks, n_start_up + 1, breaks).whole
            counted = whole if whole.any() else counted
        self.median_error_ = float(np.median(errors[counted]))
        threshold = midway_threshold(errors[counted], share)
        if self.contamination == "auto":
            # Some detectors set their threshold on held-out rows.
            own = [
                _own_threshold(detector) for detector in self.named_detectors_.values()
            ]
            threshold = max(threshold, float(self._weights @ own))
        self.offset_ = -threshold

    def _join(self, errors, known):
        """Combine the errors of the detectors, per row and channel."""
        of_rows, shares = [], []
        for (_, scale, weight), by_channel in zip(self._members(), errors, strict=True):
            by_channel = by_channel[known]
            means = mean_of_known(by_channel, axis=1)
            of_rows.append(weight * _on_scale(means, scale))
            shares.append(shares_of(by_channel, means))
        of_rows = np.stack(of_rows, axis=1)
        total = of_rows.sum(axis=1)
        parts = of_rows / np.maximum(total, np.finfo(np.float64).tiny)[:, None]
        joined = np.full((len(known), errors[0].shape[1]), np.nan)
        joined[known] = total[:, None] * join_shares(parts, np.stack(shares, axis=1))
        return joined

    def _make_last_row_errors(self):
        """Make a function that computes the errors of single rows, for streams.

        See `ResidualDetector`. None if a detector has no such function, or a subclass
        overrides the scoring.
        """
        if overrides(self, EnsembleDetector, "transform", "score_samples"):
            return None
        functions = [
            detector._make_last_row_errors()
            if hasattr(detector, "_make_last_row_errors")
            else None
            for detector in self.named_detectors_.values()
        ]
        if None in functions:
            return None

        def of_last(Z):
            errors = [function(Z) for function in functions]
            if any(by_channel is None for by_channel in errors):
                return None
            return self._join(errors, np.ones(1, dtype=bool))

        return of_last

    @property
    def _sees_other_rows(self):
        return any(sees_other_rows(detector) for _, detector in self.detectors)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        with suppress(TypeError, ValueError):  # invalid detectors
            tags.input_tags.allow_nan = all(
                get_tags(detector).input_tags.allow_nan
                for _, detector in self.detectors
            )
        return tags


# Not decorators: scikit-learn's set_output wrappers would make the methods available
# unconditionally.
for _name, _check in (
    ("transform", _gives_channel_errors),
    ("fit_transform", _will_give_channel_errors),
    ("get_feature_names_out", _gives_channel_errors),
):
    _method = available_if(_check)(getattr(EnsembleDetector, _name))
    setattr(EnsembleDetector, _name, _method)


def _fit(detector, X, y, breaks):
    """Fit a detector and return its errors on the training rows, NaN at breaks.

    The errors are per channel if the detector returns such errors.
    """
    if gives_channel_errors(detector):
        if not hasattr(detector, "fit_transform"):  # a frozen one
            return np.asarray(detector.transform(X))
        return np.asarray(detector.fit_transform(X, y))  # already computed in fit
    nothing = np.zeros(len(breaks), dtype=bool)
    fit_without(detector, X, y, breaks, nothing, {})
    kept = kept_training_errors(detector)
    if kept is None:
        return errors_of_all(detector, X, breaks)
    errors = np.full(len(breaks), np.nan)
    errors[~breaks if len(kept) < len(breaks) else slice(None)] = kept
    return errors


def _own_threshold(detector):
    """Return the threshold of a detector on the scale of the averaged errors."""
    if is_normalised(detector):
        return -offset_of(last_step(detector))
    return np.logaddexp(0, 1)  # the 99 % quantile


def _on_scale(errors, scale):
    """Bring errors to the common scale."""
    if scale is None:
        return errors
    with np.errstate(invalid="ignore"):  # NaN at breaks
        return np.logaddexp(0, scale(errors) / 2)
