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
    """Return the errors of some rows, computed from only these and their context."""
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
    if not any(context):  # row-wise: pass no breaks in between
        return detector_errors(detector, _safe_indexing(piece, positions))
    return detector_errors(detector, piece)[positions]


def errors_of_all(detector, X, breaks):
    """Return the errors of all rows, NaN at breaks, which a detector may reject."""
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
    """Fit a detector without breaks and trimmed rows.

    For a detector that uses neighbouring rows, trimmed rows become breaks instead.
    """
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
    # The last step is row-wise, unlike those before it, and may not support NaN.
    head = detector[:-1]
    Z = head.fit_transform(X, y)
    _fit_rows(detector[-1], Z, y, np.flatnonzero(~find_breaks(Z)), metadata)
    detector.steps[:-1] = head.steps  # with a cache, the fitted steps are copies
    return detector


def _fit_rows(detector, X, y, rows, metadata):
    """Fit a detector on some rows, with their part of metadata such as weights."""
    metadata = _check_method_params(X, metadata, rows)
    y = None if y is None else _safe_indexing(y, rows)
    return detector.fit(_safe_indexing(X, rows), y, **metadata)


class HybridDetector(
    VersionedState, FitRouter, MetaEstimatorMixin, OutlierMixin, BaseEstimator
):
    r"""Use a cheap detector to select the rows that an expensive one scores.

    The screener scores every row. In a cascade, the detector scores only the
    candidates: rows that the screener finds more abnormal than all but a small share of
    the training rows. The other rows keep the score of the screener. If the screener
    selects the right rows, a cascade is as accurate as the expensive detector at little
    more than the cost of the cheap one.

    Parameters
    ----------
    screener : estimator or None, default=None
        The cheap detector: any outlier detector with `score_samples` or
        `decision_function`, or a pipeline that ends in one. None is
        :class:`AutoregressiveDetector` with ``lags=1, window_size=8``: of seven
        screeners that were compared, it missed the fewest events at its cost.

    detector : estimator or None, default=None
        The expensive detector. None is :class:`LSTMAutoencoderDetector` with default
        parameters. Both detectors are cloned; wrap a fitted detector as
        ``FrozenEstimator(detector)``.

    screen_fraction : float, default=0.05
        Share of the training rows that are candidates, in (0, 1]. All new rows beyond
        the same cut are candidates, regardless of their number, so anomalies do not
        compete with each other. With 1, all rows are candidates, new ones included.

    combine : {'cascade', 'mean', 'max'}, default='cascade'
        How the two detectors are combined:

        - 'cascade': as above.
        - 'mean', 'max': both score all rows, and the error of a row is the mean or the
          maximum of their normalised scores. This costs as much as both.

    trim_fraction : float, default=0.0
        Share of the training rows, in [0, 0.5], to exclude when the detector is fitted:
        those that the screener finds most abnormal. Otherwise, it would learn faults
        among them as normal. If the detector uses neighbouring rows, breaks (rows that
        are NaN in every channel) replace the excluded rows, so that no window contains
        one. Other detectors are fitted on the remaining rows. Excluding single rows
        removes many windows: on white noise, if 2 % of the rows are excluded, a fifth
        of the windows of 80 rows remain, and if 5 % are excluded, one in sixty.

    contamination : 'auto' or float, default='auto'
        Share of the training rows to flag, in (0, 0.5]. 'auto' flags 1 % of them, not
        counting start-up rows, which have no full window.

    random_state : int, RandomState instance or None, default=None
        Controls the randomness of the default detector. Detectors that you pass keep
        their own `random_state`.

    Attributes
    ----------
    screener_, detector_ : estimator
        The fitted detectors.

    median_error_ : float
        Median error of the training rows that the threshold is set on.

    offset_ : float
        Threshold of the scores: ``decision_function = score_samples - offset_``.

    n_context_, n_lookahead_, n_start_up_ : int
        Number of earlier and later rows that the score of a row depends on, and number
        of start-up rows: maxima over both detectors. Defined only if both have them. A
        cascade requires those of the detector. For a detector of another library, set
        them after fitting it and pass it as a ``FrozenEstimator``.

    n_features_in_ : int
        Number of channels seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of channels seen during `fit`. Defined only when `X` has feature names
        that are all strings.

    See Also
    --------
    ScoreTransformer : Use the normalised score of a detector as a feature.
    LSTMAutoencoderDetector : The default `detector`.

    Notes
    -----
    Let :math:`L_s` and :math:`L_d` be the normalised scores of the screener and of the
    detector: ``-log10`` of the share of training rows that are at least as abnormal,
    extrapolated beyond the worst of them with a generalised Pareto distribution, as in
    :class:`ScoreTransformer`. With the cut :math:`c` and the errors :math:`s_t` of the
    screener and :math:`d_t` of the detector, the error of row :math:`t` in a cascade is

    .. math::

        e_t = \begin{cases}
            L_s(s_t) & \text{if } s_t \le c \\
            L_s(c) + L_d(d_t) & \text{if } s_t > c
        \end{cases}

    and ``score_samples`` is its opposite. Since :math:`L_s` is increasing and
    :math:`L_d` is positive, candidates always rank above other rows. The detector alone
    ranks the candidates, and the screener the other rows. Both maps are strictly
    increasing, also beyond the training rows, so two rows tie only if the detector that
    ranks them returns equal scores (or scores that floating point cannot distinguish on
    the new scale). The cut lies midway between two training errors, so that rounding
    moves no training row across it. Rows with missing readings are candidates as well,
    because a screener knows little about them.

    The share of candidates determines how much time a cascade saves. The *screen
    recall*, the share of anomalous events with at least one candidate row, determines
    how much it loses: the cascade misses an event that the screener does not suspect,
    however obvious it is to the detector. Compare a cascade with the detector alone on
    labelled or injected anomalies before you rely on it.

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
        """Fit the screener, the detector, and the scales of their scores.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            A series, rows in time order, mostly normal.
        y : array-like of shape (n_timestamps,) or None, default=None
            Passed to both detectors. Outlier detectors ignore it.
        **fit_params : dict
            Metadata requested by the detectors, if metadata routing is enabled.

        Returns
        -------
        self : HybridDetector
            The fitted detector.

        Raises
        ------
        ValueError
            If a parameter is out of range, a detector has neither `score_samples` nor
            `decision_function` or returns NaN for a row with readings, or the context
            of the detector of a cascade is unknown. Also if `fit` of one of the
            detectors raises.
        """
        self._fit(X, y, fit_params)
        return self

    @_fit_context(prefer_skip_nested_validation=False)
    def fit_predict(self, X, y=None, **fit_params):
        """Fit the detectors and label the training rows.

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
            -1 for anomalies, +1 for normal rows and breaks. Same as
            ``fit(X).predict(X)``, but without running the detector twice.
        """
        return np.where(-self._fit(X, y, fit_params) < self.offset_, -1, 1)

    def screen(self, X):
        """Return a mask of the candidates.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            A series, rows in time order.

        Returns
        -------
        candidates : ndarray of shape (n_timestamps,), dtype=bool
            Rows for the detector: those that the screener suspects, and those with
            missing readings, but no breaks.
        """
        X = validate_for_parts(self, X, reset=False)
        breaks = find_breaks(X)
        screened = errors_of_all(self.screener_, X, breaks)
        return self._candidates(screened, X, breaks)

    def score_samples(self, X):
        """Return the opposite of the normalised score of each row.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            A series, rows in time order.

        Returns
        -------
        scores : ndarray of shape (n_timestamps,)
            At most 0. The lower, the more abnormal. NaN at breaks.
        """
        X = validate_for_parts(self, X, reset=False)
        return -results_by_block(self._levels, X, self)

    def decision_function(self, X):
        """Return the score of each row relative to the threshold.

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
        """Label each row as normal or anomalous.

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
        """Return the unfitted screener and detector, with defaults in place of None."""
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
            get_context(self.detector_)  # raises if unknown, as it scores pieces
        with suppress(ValueError):  # unknown for a detector
            contexts = [get_context(self.screener_), get_context(self.detector_)]
            self.n_context_, self.n_lookahead_, self.n_start_up_ = map(
                max, zip(*contexts, strict=True)
            )

    def _candidates(self, screened, X, breaks):
        suspected = (screened > self._cut) | (self.screen_fraction == 1)
        return (suspected | find_gaps(X)) & ~breaks

    def _levels(self, X):
        """Return the error of each row, on the scale that both detectors share."""
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
        """Return normalised scores from the errors of both, NaN at breaks."""
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
