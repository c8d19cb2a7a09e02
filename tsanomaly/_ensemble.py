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

from tsanomaly._autoencoder import LSTMAutoencoderDetector
from tsanomaly._autoregressive_detector import AutoregressiveDetector
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
)
from tsanomaly._row_errors import join_shares, mean_of_known, shares_of
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
    draw_seed,
    find_breaks,
    remember_parameters,
    validate_for_parts,
)
from tsanomaly._window_neighbors import WindowNeighborsDetector
from tsanomaly._windows import TrailingWindows

__all__ = ["EnsembleDetector", "make_ensemble"]

# Weights of the stock ensemble. The detector with the network, which holds two views of
# its own, counts for as much as those without one.
_WEIGHTS = {"network": 3.0, "autoregression": 1.0, "neighbors": 2.0}


def _all_give_channel_errors(ensemble):
    """Whether there is an error for every channel."""
    members = getattr(ensemble, "named_detectors_", dict(ensemble.detectors)).values()
    return all(map(gives_channel_errors, members))


def _all_accept_new_normal(ensemble):
    """Whether all detectors can be told of another level."""
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
    r"""Mean of the errors of several detectors, each on a scale of its own.

    Detectors that look at a series in different ways find different faults, and a mean
    of them is seldom far from the best of them. `make_ensemble` returns one that is
    chosen and weighted.

    Parameters
    ----------
    detectors : list of (str, estimator) tuples
        Names and detectors. They are cloned. One that raises ValueError in `fit`, for
        example because the series is too short, is left out with a warning, unless one
        of its parameters is out of range.

    weights : array-like of shape (n_detectors,) or None, default=None
        How much each counts, not negative; the others take over from those that are
        left out. None means that all count the same.

    contamination : 'auto' or float, default='auto'
        Share of the training rows to flag, in (0, 0.5]. 'auto' flags 1 % of them, and
        leaves out start-up rows, which have no full window; or fewer, if the mean of
        the detectors' own thresholds is higher.

    Attributes
    ----------
    named_detectors_ : dict of str to estimator
        The fitted clones by name, without those that were left out.

    left_out_ : dict of str to str
        Why detectors were left out, by name.

    median_error_ : float
        Median error of the training rows, with 'auto' those whose windows rest on no
        padding.

    offset_ : float
        Rows with a lower score are flagged.

    n_context_, n_lookahead_ : int
        Rows before and after a row that its score depends on, the most of all
        detectors. Present only if all say how many.

    n_features_in_ : int
        Number of channels seen in `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the channels, if `fit` was given a frame with string column names.

    See Also
    --------
    make_ensemble : The stock ensemble.
    HybridDetector : A cheap detector that chooses the rows for an expensive one.
    ScoreTransformer : The normalised score of one detector, as a feature.

    Notes
    -----
    With the normalised scores :math:`l_i` of a row (about 0 for the median of the
    training rows, about 1 for their 99 % quantile) and weights :math:`w_i` that sum to
    1, the error of the row is :math:`\sum_i w_i \log(1 + e^{l_i})`. Detectors of this
    library with
    'multiscale' errors, and :class:`WindowNeighborsDetector`, have such a score. Of
    others it is half of ``-log10`` of the share of training rows that are at least as
    abnormal, continued beyond the worst by a generalised Pareto tail, as in
    :class:`ScoreTransformer`.

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
        """Fit clones of the detectors, and set the threshold.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            A series, rows in time order. Rows that are NaN in every channel are breaks.
        y : array-like of shape (n_timestamps,) or None, default=None
            Passed on to the detectors.

        Returns
        -------
        self : EnsembleDetector
            The fitted ensemble.

        Raises
        ------
        ValueError
            If a parameter is out of range, an estimator does not score rows, or no
            detector can be fitted: the error of the first one.

        Warns
        -----
        UserWarning
            For each detector that is left out.
        """
        self._fit(X, y)
        return self

    @_fit_context(prefer_skip_nested_validation=False)
    def fit_transform(self, X, y=None):
        """Fit, and return the errors of the training rows.

        Only if all detectors give errors of channels.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            A series, as in `fit`.
        y : array-like of shape (n_timestamps,) or None, default=None
            Passed on to the detectors.

        Returns
        -------
        errors : ndarray of shape (n_timestamps, n_channels)
            As from ``fit(X).transform(X)``, without a second run of the detectors, and
            with missing readings as the detectors' own `fit_transform` counts them.
        """
        errors, _, breaks = self._fit(X, y)
        return self._join(errors, ~breaks)

    @available_if(_all_give_channel_errors)
    def _fit_held_out(self, X, y=None):
        """Fit, and return errors of training rows, and held out, as of its detectors.

        One without errors of rows held out has those of all rows, if others have some.
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
        """Opposite of the mean error of each row.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            A series, rows in time order.

        Returns
        -------
        scores : ndarray of shape (n_timestamps,)
            The lower, the more abnormal, at most 0; NaN at breaks.
        """
        X = validate_for_parts(self, X, reset=False)
        breaks = find_breaks(X)
        errors = np.zeros(len(breaks))
        for detector, scale, weight in self._members():
            of_rows = errors_of_all(detector, X, breaks)
            errors += weight * _on_scale(of_rows, scale)
        return -errors

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

        Only if all detectors give errors of channels.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            A series, rows in time order.

        Returns
        -------
        errors : ndarray of shape (n_timestamps, n_channels)
            The error of the row, shared out among the channels as the detectors do,
            each by its part of it. NaN at breaks, and where a channel has no reading
            that a detector could look at.
        """
        X = validate_for_parts(self, X, reset=False)
        breaks = find_breaks(X)
        errors = [detector.transform(X) for detector, *_ in self._members()]
        return self._join([np.asarray(by_channel) for by_channel in errors], ~breaks)

    @available_if(_all_give_channel_errors)
    def reconstruct(self, X):
        """Return the readings that the detectors expected.

        Only if all detectors say what they expected, and give errors of channels.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            A series, rows in time order.

        Returns
        -------
        expected : ndarray of shape (n_timestamps, n_channels)
            Weighted mean of what they expected, in the unit of `X`. NaN at breaks.
        """
        X = validate_for_parts(self, X, reset=False)
        return sum(
            weight * detector.reconstruct(X) for detector, _, weight in self._members()
        )

    @available_if(_all_accept_new_normal)
    def accept_new_normal(self, X):
        """Take the level of other rows for normal, without training again.

        Only if all detectors can, and none is frozen.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Normal rows since the change.

        Returns
        -------
        self : EnsembleDetector
            The ensemble.
        """
        X = validate_for_parts(self, X, reset=False)
        pairs = self.named_detectors_.items()
        self.named_detectors_ = {
            name: deepcopy(detector).accept_new_normal(X) for name, detector in pairs
        }
        return self

    def get_feature_names_out(self, input_features=None):
        """Name the columns of `transform`, as the channels.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the channels. None takes those seen in `fit`, or ``x0``, ``x1`` and
            so on.

        Returns
        -------
        names : ndarray of str objects of shape (n_channels,)
            Those of the channels.
        """
        check_is_fitted(self)
        first = next(iter(self.named_detectors_.values()))
        return first.get_feature_names_out(input_features)

    def get_params(self, deep=True):
        """Get the parameters, and those of the detectors by their names.

        Parameters
        ----------
        deep : bool, default=True
            Whether to list those of the detectors as well.

        Returns
        -------
        params : dict
            Values by name.
        """
        return self._get_params("detectors", deep=deep)

    def set_params(self, **params):
        """Set parameters, detectors by their names, and parameters of those.

        Parameters
        ----------
        **params : dict
            Such as ``network=...`` or ``network__epochs=5``.

        Returns
        -------
        self : EnsembleDetector
            The ensemble.
        """
        return self._set_params("detectors", **params)

    def _members(self):
        """Detectors, their scales and weights."""
        detectors = self.named_detectors_.values()
        return zip(detectors, self._scales, self._weights, strict=True)

    def _check_detectors(self):
        """Weights by name, if detectors and weights are as they should be."""
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
                    f"{name}={detector!r} is no estimator. Pass an outlier detector, "
                    "or a pipeline that ends in one."
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
                f"weights must be a number of at least 0 for each of the {len(names)} "
                f"detectors, got {self.weights!r}."
            )
        return dict(zip(names, weights.tolist(), strict=True))

    def _fit(self, X, y, held_out=False):
        """Fit, and return the errors of channels by each detector, and the breaks.

        Those of the training rows, and those of rows held out if they are wanted.
        """
        weights = self._check_detectors()
        with all_or_nothing(self):
            X = validate_for_parts(self, X, reset=True)
            breaks = find_breaks(X)
            by_channel, others, of_rows = self._fit_detectors(X, y, breaks, held_out)
            weights = np.array([weights[name] for name in self.named_detectors_])
            if not weights.any():
                raise ValueError(
                    f"weights={self.weights!r} are 0 for all detectors that could be "
                    f"fitted ({', '.join(self.named_detectors_)}). Give one of them a "
                    "weight."
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
        """Fit clones of those that can be fitted; return their training errors.

        By channel, or None for those without; by channel of rows held out; and of rows.
        NaN at breaks.
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
                f"The ensemble goes without {name!r}, which could not be fitted: "
                f"{reason}",
                UserWarning,
                stacklevel=5,
            )
        return by_channel, others, of_rows

    def _set_context(self):
        for name in ("n_context_", "n_lookahead_", "n_start_up_"):
            vars(self).pop(name, None)
        with suppress(ValueError):  # if one does not say, neither can this
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
            # Some detectors set theirs on rows that they have not learned from.
            own = [
                _own_threshold(detector) for detector in self.named_detectors_.values()
            ]
            threshold = max(threshold, float(self._weights @ own))
        self.offset_ = -threshold

    def _join(self, errors, known):
        """Errors of rows and channels, from those by each detector."""
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
        """Make a function for the errors of single rows, for streams.

        Returns
        -------
        of_last : callable or None
            As of a residual detector; None if a detector has none.
        """
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
        with suppress(TypeError, ValueError):  # detectors are not what they should be
            tags.input_tags.allow_nan = all(
                get_tags(detector).input_tags.allow_nan
                for _, detector in self.detectors
            )
        return tags


# Not as decorators: what scikit-learn wraps to return frames would always be there.
for _name in ("transform", "fit_transform", "get_feature_names_out"):
    _method = available_if(_all_give_channel_errors)(getattr(EnsembleDetector, _name))
    setattr(EnsembleDetector, _name, _method)


def _fit(detector, X, y, breaks):
    """Fit a detector, and return the errors of the training rows, NaN at breaks.

    By channel if it gives such errors.
    """
    if gives_channel_errors(detector):
        if not hasattr(detector, "fit_transform"):  # a frozen one
            return np.asarray(detector.transform(X))
        return np.asarray(detector.fit_transform(X, y))  # which were worked out in fit
    nothing = np.zeros(len(breaks), dtype=bool)
    fit_without(detector, X, y, breaks, nothing, {})
    kept = kept_training_errors(detector)
    if kept is None:
        return errors_of_all(detector, X, breaks)
    errors = np.full(len(breaks), np.nan)
    errors[~breaks if len(kept) < len(breaks) else slice(None)] = kept
    return errors


def _own_threshold(detector):
    """The threshold of a detector, on the scale of errors that are averaged."""
    if is_normalised(detector):
        return -offset_of(last_step(detector))
    return np.logaddexp(0, 1)  # the 99 % quantile


def _on_scale(errors, scale):
    """Errors as they are averaged."""
    if scale is None:
        return errors
    with np.errstate(invalid="ignore"):  # NaN at breaks
        return np.logaddexp(0, scale(errors) / 2)


def make_ensemble(detector=None, *, random_state=None):
    """Make the stock ensemble: a network, forecasts, and the nearest windows.

    No detector is best on all machines. These three look at a series in different
    ways, and the mean of their errors, each on a scale of its own, is seldom far from
    the best.

    Parameters
    ----------
    detector : estimator, 'drop' or None, default=None
        What takes the place of the network: any outlier detector. It is cloned. None is
        :class:`LSTMAutoencoderDetector` at its defaults, 'drop' goes without: that
        takes a tenth of the time.

    random_state : int, RandomState instance or None, default=None
        Controls the detectors, but one that is passed. One seed is drawn here: clones
        of the ensemble and repeated fits give the same.

    Returns
    -------
    ensemble : EnsembleDetector
        Not fitted, of 'network', an :class:`AutoregressiveDetector` 'autoregression'
        and a :class:`WindowNeighborsDetector` 'neighbors', with the weights 3, 1 and 2.
        Scale the series before it.

    Raises
    ------
    ValueError
        If `detector` is no estimator that scores rows.

    See Also
    --------
    EnsembleDetector : The mean of any detectors.
    HybridDetector : A cheap detector that chooses the rows for an expensive one.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from tsanomaly import make_ensemble
    >>> X = np.random.default_rng(0).normal(size=(300, 2))
    >>> ensemble = make_pipeline(StandardScaler(), make_ensemble("drop")).fit(X)
    >>> X[200] = 9.0
    >>> int(ensemble.predict(X)[200])
    -1
    """
    seed = draw_seed(random_state)
    members = {
        "network": detector,
        "autoregression": AutoregressiveDetector(random_state=seed),
        "neighbors": WindowNeighborsDetector(random_state=seed),
    }
    if detector is None:
        members["network"] = LSTMAutoencoderDetector(random_state=seed)
    elif isinstance(detector, str) and detector == "drop":
        del members["network"]
    else:
        if isinstance(detector, (str, type)) or not hasattr(detector, "fit"):
            raise ValueError(
                "detector must be an outlier detector, 'drop' or None, got "
                f"{detector!r}."
            )
        check_detector(detector, "detector")
        members["network"] = clone(detector)
    weights = [_WEIGHTS[name] for name in members]
    return EnsembleDetector(list(members.items()), weights=weights)
