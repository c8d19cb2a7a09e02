# SPDX-License-Identifier: MIT
from contextlib import suppress
from numbers import Real

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, OutlierMixin, clone
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags

from tsanomaly._autoencoder import LSTMAutoencoderDetector
from tsanomaly._autoregressive_detector import AutoregressiveDetector
from tsanomaly._calibration import AUTO_SHARE, Calibration, midway_threshold
from tsanomaly._context import get_context, rows_with_context, sees_other_rows
from tsanomaly._inspection import (
    check_detector,
    detector_errors,
    fitted_steps,
    results_by_block,
)
from tsanomaly._sklearn_compat import (
    HasMethods,
    Interval,
    StrOptions,
    _check_method_params,
    _fit_context,
    _safe_indexing,
)
from tsanomaly._validation import (
    FitRouter,
    VersionedState,
    all_or_nothing,
    draw_seed,
    find_breaks,
    find_gaps,
    remember_parameters,
    validate_for_parts,
)
from tsanomaly._windows import TrailingWindows

__all__ = ["HybridDetector", "errors_of_all", "fit_without"]


def _errors_at(detector, X, rows):
    """Errors of some rows, computed from these and their context alone."""
    if not len(rows):
        return np.empty(0)
    return _check_scored(detector, _run_at(detector, X, rows), rows)


def _run_at(detector, X, rows):
    needed = rows_with_context(rows, get_context(detector), len(X))
    piece, positions = _safe_indexing(X, needed), np.searchsorted(needed, rows)
    *before, detector = fitted_steps(detector)
    for step in before:
        piece = step.transform(piece)
    context = get_context(detector)
    if hasattr(detector, "score_rows") and context.n_lookahead == 0:
        return -detector.score_rows(piece, positions)
    if not any(context):  # breaks in between are not for it
        return detector_errors(detector, _safe_indexing(piece, positions))
    return detector_errors(detector, piece)[positions]


def errors_of_all(detector, X, breaks):
    """Errors of all rows, NaN at breaks, which not every detector takes."""
    if not breaks.any():
        errors = detector_errors(detector, X)
        return _check_scored(detector, errors, np.arange(len(errors)))
    errors = np.full(len(breaks), np.nan)
    rows = np.flatnonzero(~breaks)
    errors[rows] = _errors_at(detector, X, rows)
    return errors


def _check_scored(detector, errors, rows):
    missing = np.isnan(errors)
    if missing.any():
        raise ValueError(
            f"{detector!r} gave no score but NaN to row {rows[missing.argmax()]}, "
            f"which holds readings ({missing.sum():,} rows in all). Every row needs a "
            "score."
        )
    return errors


def fit_without(detector, X, y, breaks, trimmed, metadata):
    """Fit, with breaks or nothing in the place of rows that are not to be learned."""
    left_out = breaks | trimmed
    if not left_out.any():
        return detector.fit(X, y, **metadata)
    if not sees_other_rows(detector):
        return _fit_rows(detector, X, y, np.flatnonzero(~left_out), metadata)
    if trimmed.any():
        if hasattr(X, "where"):  # a frame
            X = X.where(np.broadcast_to(~trimmed[:, None], X.shape))
        else:
            X = np.where(trimmed[:, None], np.nan, X)
    is_split = (
        isinstance(detector, Pipeline)
        and not sees_other_rows(detector[-1])
        and not metadata
    )
    if not is_split:
        return detector.fit(X, y, **metadata)
    # Windows come first, then a step that works row by row, and may not take NaN.
    head = detector[:-1]
    Z = head.fit_transform(X, y)
    _fit_rows(detector[-1], Z, y, np.flatnonzero(~find_breaks(Z)), metadata)
    detector.steps[:-1] = head.steps  # with a cache, these are others
    return detector


def _fit_rows(detector, X, y, rows, metadata):
    """Fit on some rows; metadata of rows, such as weights, loses the others, too."""
    metadata = _check_method_params(X, metadata, rows)
    y = None if y is None else _safe_indexing(y, rows)
    return detector.fit(_safe_indexing(X, rows), y, **metadata)


class HybridDetector(
    VersionedState, FitRouter, MetaEstimatorMixin, OutlierMixin, BaseEstimator
):
    r"""Let a cheap detector choose the rows that an expensive one looks at.

    The screener scores every row. In a cascade, the detector scores only the
    candidates, the rows that the screener finds more abnormal than all but a small
    share of the training rows; for the others the screener's score stands. Where the
    screener suspects the right rows, that has the accuracy of the expensive detector
    at little more than the cost of the cheap one.

    Parameters
    ----------
    screener : estimator or None, default=None
        The cheap detector: any outlier detector with `score_samples` or
        `decision_function`, or a pipeline that ends in one. None is
        :class:`AutoregressiveDetector` with ``lags=1, window_size=8``: of seven that
        were compared, the one that misses the fewest events at that cost.

    detector : estimator or None, default=None
        The expensive detector. None is :class:`LSTMAutoencoderDetector` at its
        defaults. Both are cloned; a fitted one is passed as
        ``FrozenEstimator(detector)``.

    screen_fraction : float, default=0.05
        Share of the training rows that are candidates, in (0, 1]. Among new rows all
        beyond the same cut are, however many they be: anomalies do not compete for
        places. With 1 every row is a candidate, new ones too.

    combine : {'cascade', 'mean', 'max'}, default='cascade'
        How the two are combined:

        - 'cascade': as above.
        - 'mean', 'max': both score all rows, and the mean or the larger one of their
          normalised scores counts. That costs as much as both.

    trim_fraction : float, default=0.0
        Share of the training rows, those the screener finds most abnormal, that the
        detector does not learn from, in [0, 0.5]: faults among them would be taught as
        normal. A detector that looks at neighbouring rows gets breaks in their place
        (rows that are NaN in every channel), so no window holds one; others get the
        rest of the rows. Where single rows are trimmed, windows of 80 rows need 80 in
        a row that are not: of white noise, 2 % trimmed leave a fifth of them, 5 % one
        in sixty.

    contamination : 'auto' or float, default='auto'
        Share of the training rows to flag, in (0, 0.5]. 'auto' flags 1 % of them, and
        leaves out start-up rows, which have no full window.

    random_state : int, RandomState instance or None, default=None
        Controls the default detector. Parts that are passed have their own.

    Attributes
    ----------
    screener_, detector_ : estimator
        The fitted clones.

    median_error_ : float
        Median error of the training rows that the threshold is set on.

    offset_ : float
        Threshold of the scores: ``decision_function = score_samples - offset_``.

    n_context_, n_lookahead_, n_start_up_ : int
        Number of earlier and later rows that the score of a row depends on, and number
        of start-up rows: the larger of both parts. Defined only if both have them. A
        cascade needs those of the detector; set them on a fitted detector of another
        library, and pass it as a ``FrozenEstimator``.

    n_features_in_ : int
        Number of channels seen in `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the channels, if `fit` was given a frame with string column names.

    See Also
    --------
    ScoreTransformer : Several detectors as features on a common scale.
    LSTMAutoencoderDetector : The default of `detector`.

    Notes
    -----
    Let :math:`L_s` and :math:`L_d` be the normalised scores of the screener and of the
    detector: ``-log10`` of the share of training rows at least as abnormal, continued
    beyond the worst of them by a generalised Pareto tail, as in
    :class:`ScoreTransformer`. Let :math:`c` be the cut, in errors :math:`s_t` of the
    screener. The error of row :math:`t` in a cascade is

    .. math::

        e_t = \begin{cases}
            L_s(s_t) & \text{if } s_t \le c \\
            L_s(c) + L_d(d_t) & \text{if } s_t > c
        \end{cases}

    and ``score_samples`` is its opposite. As :math:`L_s` increases and :math:`L_d` is
    positive, no row that is left to the screener is ever ranked above a candidate;
    among candidates the detector alone decides, among the others the screener. Both
    maps increase strictly, also beyond the training rows, so that rows tie only where
    a stage ties them (or tells them apart by less than floating point does on the new
    scale). The cut lies midway between two training errors, so that rounding moves no
    training row across it. Rows in which some readings are missing, of which a screener
    can say little, are candidates, too.

    What the cascade saves depends on the share of candidates; what it loses on the
    *screen recall*, the share of anomalous events of which at least one row is a
    candidate. An event that the screener does not suspect is lost, however plain it is
    to the detector. Compare the two on labelled or injected anomalies before relying
    on it.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.ensemble import IsolationForest
    >>> from sklearn.neighbors import LocalOutlierFactor
    >>> from tsanomaly import HybridDetector
    >>> X = np.random.default_rng(0).normal(size=(1000, 2))
    >>> hybrid = HybridDetector(
    ...     IsolationForest(random_state=0), LocalOutlierFactor(novelty=True)
    ... ).fit(X)
    >>> int(hybrid.screen(X).sum())
    50
    >>> hybrid.predict([[0.0, 0.0], [9.0, 9.0]])
    array([ 1, -1])
    """

    _parameter_constraints: dict = {
        "screener": [HasMethods(["fit"]), None],
        "detector": [HasMethods(["fit"]), None],
        "screen_fraction": [Interval(Real, 0, 1, closed="right")],
        "combine": [StrOptions({"cascade", "mean", "max"})],
        "trim_fraction": [Interval(Real, 0, 0.5, closed="both")],
        "contamination": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="right")],
        "random_state": ["random_state"],
    }

    _routed_parts = ("screener", "detector")

    def __init__(
        self,
        screener=None,
        detector=None,
        *,
        screen_fraction=0.05,
        combine="cascade",
        trim_fraction=0.0,
        contamination="auto",
        random_state=None,
    ):
        self.screener = screener
        self.detector = detector
        self.screen_fraction = screen_fraction
        self.combine = combine
        self.trim_fraction = trim_fraction
        self.contamination = contamination
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None, **fit_params):
        """Fit the screener, then the detector, then the scales of their scores.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            A series, rows in time order, mostly normal.
        y : array-like of shape (n_timestamps,) or None, default=None
            Passed on to both parts, which ignore it if they are outlier detectors.
        **fit_params : dict
            Metadata that the parts request, with scikit-learn's metadata routing.

        Returns
        -------
        self : HybridDetector
            The fitted detector.

        Raises
        ------
        ValueError
            If a parameter is out of range, a part has neither `score_samples` nor
            `decision_function` or gives no score but NaN, or the detector of a cascade
            does not say how many neighbouring rows it needs. An error of a part is
            passed on as it is.
        """
        self._fit(X, y, fit_params)
        return self

    @_fit_context(prefer_skip_nested_validation=False)
    def fit_predict(self, X, y=None, **fit_params):
        """Fit, and label the training rows.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            A series, rows in time order.
        y : array-like of shape (n_timestamps,) or None, default=None
            As in `fit`.
        **fit_params : dict
            As in `fit`.

        Returns
        -------
        labels : ndarray of shape (n_timestamps,)
            -1 for anomalies, +1 for normal rows and breaks, as from
            ``fit(X).predict(X)``, without another run of the detector.
        """
        return np.where(-self._fit(X, y, fit_params) < self.offset_, -1, 1)

    def screen(self, X):
        """Tell which rows are candidates.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            A series, rows in time order.

        Returns
        -------
        candidates : ndarray of shape (n_timestamps,), dtype=bool
            Rows that the detector is to look at: those that the screener suspects, and
            those in which a reading is missing; never a break.
        """
        X = validate_for_parts(self, X, reset=False)
        breaks = find_breaks(X)
        screened = errors_of_all(self.screener_, X, breaks)
        return self._candidates(screened, X, breaks)

    def score_samples(self, X):
        """Opposite of the normalised score of each row.

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
        return -results_by_block(self._levels, X, self)

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

    def _fit(self, X, y, fit_params):
        """Fit, and return the normalised scores of the training rows."""
        screener, detector = self._parts(self.random_state)
        check_detector(screener, "screener")
        check_detector(detector, "detector")
        with all_or_nothing(self):
            X = validate_for_parts(self, X, reset=True)
            metadata = self._route_fit(fit_params)
            breaks = find_breaks(X)
            nothing = np.zeros(len(breaks), dtype=bool)
            self.screener_ = fit_without(
                clone(screener), X, y, breaks, nothing, metadata["screener"]
            )
            screened = errors_of_all(self.screener_, X, breaks)
            trimmed = nothing
            if self.trim_fraction > 0:
                cut = midway_threshold(screened[~breaks], self.trim_fraction)
                trimmed = screened > cut
            self.detector_ = fit_without(
                clone(detector), X, y, breaks, trimmed, metadata["detector"]
            )
            self._set_context()
            detected = errors_of_all(self.detector_, X, breaks)
            kept = ~(breaks | trimmed)

            self._cut, self._floor = -np.inf, 0.0
            self._screener_scale = Calibration(screened[~breaks], "tail")
            self._detector_scale = Calibration(detected[kept], "tail")
            if self.screen_fraction < 1:
                self._cut = midway_threshold(screened[~breaks], self.screen_fraction)
                self._floor = self._screener_scale(np.array([self._cut]))[0]
            remember_parameters(self, ["screen_fraction", "combine"])

            candidates = self._candidates(screened, X, breaks)
            levels = self._combine(screened, candidates, detected)
            counted, share = ~np.isnan(levels), self.contamination
            if share == "auto":
                share = AUTO_SHARE
                n_start_up = getattr(self, "n_start_up_", 0)
                whole = counted & TrailingWindows(breaks, n_start_up + 1, breaks).whole
                counted = whole if whole.any() else counted
            self.median_error_ = float(np.median(levels[counted]))
            self.offset_ = -midway_threshold(levels[counted], share)
        return levels

    def _parts(self, random_state=None):
        """Screener and detector, unfitted; the default ones if none is given."""
        screener, detector = self.screener, self.detector
        if screener is None:
            screener = AutoregressiveDetector(lags=1, window_size=8)
        if detector is None:
            detector = LSTMAutoencoderDetector(random_state=draw_seed(random_state))
        return screener, detector

    def _set_context(self):
        for name in ("n_context_", "n_lookahead_", "n_start_up_"):
            vars(self).pop(name, None)
        if self.combine == "cascade":
            get_context(self.detector_)  # the detector is given pieces of the series
        with suppress(ValueError):  # if a part does not say, neither can this
            contexts = [get_context(self.screener_), get_context(self.detector_)]
            self.n_context_, self.n_lookahead_, self.n_start_up_ = map(
                max, zip(*contexts, strict=True)
            )

    def _candidates(self, screened, X, breaks):
        suspected = (screened > self._cut) | (self.screen_fraction == 1)
        return (suspected | find_gaps(X)) & ~breaks

    def _levels(self, X):
        """Error of each row, on the scale that both parts share."""
        breaks = find_breaks(X)
        screened = errors_of_all(self.screener_, X, breaks)
        candidates = self._candidates(screened, X, breaks)
        if self.combine != "cascade":
            detected = errors_of_all(self.detector_, X, breaks)
        else:
            detected = np.full(len(screened), np.nan)
            rows = np.flatnonzero(candidates)
            detected[rows] = _errors_at(self.detector_, X, rows)
        return self._combine(screened, candidates, detected)

    def _combine(self, screened, candidates, detected):
        """Normalised scores from the errors of both parts, NaN at breaks."""
        levels = self._screener_scale(screened)
        if self.combine == "cascade":
            detected = self._detector_scale(detected[candidates])
            levels[candidates] = self._floor + detected
            return levels
        detected = self._detector_scale(detected)
        if self.combine == "mean":
            return (levels + detected) / 2
        return np.maximum(levels, detected)

    @property
    def _sees_other_rows(self):
        return any(sees_other_rows(part) for part in self._parts())

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = [get_tags(part) for part in self._parts()]
        tags.input_tags.allow_nan = all(part.input_tags.allow_nan for part in inner)
        return tags
