# SPDX-License-Identifier: MIT
from contextlib import suppress

import numpy as np
from sklearn.base import BaseEstimator, MetaEstimatorMixin, TransformerMixin, clone
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted, validate_data

from tsanomaly._calibration import Calibration, LogCalibration
from tsanomaly._context import get_context, sees_other_rows
from tsanomaly._hybrid import fit_without
from tsanomaly._inspection import (
    check_detector,
    detector_errors,
    last_step,
    training_errors,
)
from tsanomaly._sklearn_compat import (
    HasMethods,
    StrOptions,
    _fit_context,
    _safe_indexing,
)
from tsanomaly._time_order import warn_if_unordered
from tsanomaly._validation import (
    FitRouter,
    VersionedState,
    all_or_nothing,
    as_series,
    check_parameters_unchanged,
    find_breaks,
    remember_parameters,
)

__all__ = ["ScoreTransformer"]


class ScoreTransformer(
    VersionedState, FitRouter, MetaEstimatorMixin, TransformerMixin, BaseEstimator
):
    """Use the normalised score of an outlier detector as a feature.

    `transform` returns one column, higher for more abnormal rows, on a scale that is
    comparable between detectors. A feature union of several score transformers followed
    by :class:`ReconstructionThreshold` is an ensemble. It also gives any detector the
    thresholds of :class:`ReconstructionThreshold`.

    Parameters
    ----------
    detector : estimator
        An outlier detector with `score_samples` or `decision_function`, or a pipeline
        that ends in one. It is cloned; wrap a fitted detector as
        ``FrozenEstimator(detector)``.

    calibrate : {'tail', 'rank', 'log'} or None, default='tail'
        Scale of the normalised scores, learned from the training rows:

        - 'tail': ``-log10`` of the share of training rows that are at least as
          abnormal: 1 for one row in ten, 2 for one in a hundred. Beyond the worst
          training row it is extrapolated with a generalised Pareto distribution fitted
          to the worst 2 % [1]_.
        - 'rank': share of training rows that are less abnormal. Beyond the worst
          training row it continues to increase slowly and may exceed 1.
        - 'log': the logarithm of the error, which is the opposite of the score,
          normalised to 0 for the median of the training rows and 1 for their 99 %
          quantile. It keeps the distances between rows far beyond the training rows.
          The unit is at least 0.1, about 10 % of the median error. Requires a detector
          whose errors are never negative.
        - None: the opposite of the detector's scores, unchanged.

    Attributes
    ----------
    detector_ : estimator
        The fitted detector.

    n_context_, n_lookahead_, n_start_up_ : int
        Number of earlier and later rows that the normalised score of a row depends on,
        and number of start-up rows: those of the detector, 0 for row-wise detectors of
        scikit-learn. Defined only if they are known for the detector.

    n_features_in_ : int
        Number of columns seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of columns seen during `fit`. Defined only when `X` has feature names that
        are all strings.

    See Also
    --------
    ReconstructionThreshold : Flag rows by one or several normalised scores.
    EnsembleDetector : Average the errors of several detectors.

    Notes
    -----
    Normalised scores are positive, except with 'log' and None. They are strictly
    monotonic in the scores of the detector, also beyond the training rows, so all
    ranking metrics are unchanged. What changes is the comparison with other detectors:
    the raw scores of an isolation forest differ by a few hundredths and would be
    negligible next to reconstruction errors.

    Detectors that fit the training rows closely give them better scores than new rows.
    If that matters, fit the detector first and pass it as a frozen estimator to a
    :class:`ScoreTransformer` that is fitted on other normal rows.

    References
    ----------
    .. [1] J. R. M. Hosking, J. R. Wallis. "Parameter and Quantile Estimation for the
           Generalized Pareto Distribution." Technometrics 29(3), 1987.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import IsolationForest
    >>> from sklearn.neighbors import LocalOutlierFactor
    >>> from sklearn.pipeline import make_pipeline, make_union
    >>> from tsanomaly import ReconstructionThreshold, ScoreTransformer
    >>> X = np.random.default_rng(0).normal(size=(500, 2))
    >>> ensemble = make_pipeline(
    ...     make_union(
    ...         ScoreTransformer(IsolationForest(random_state=0)),
    ...         ScoreTransformer(LocalOutlierFactor(novelty=True)),
    ...     ),
    ...     ReconstructionThreshold(),
    ... ).fit(X)
    >>> ensemble.predict([[0.0, 0.0], [9.0, 9.0]])
    array([ 1, -1])
    """

    _parameter_constraints: dict = {
        "detector": [HasMethods(["fit"])],
        "calibrate": [StrOptions({"tail", "rank", "log"}), None],
    }

    _routed_parts = ("detector",)

    def __init__(self, detector, *, calibrate="tail"):
        self.detector = detector
        self.calibrate = calibrate

    @_fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y=None, **fit_params):
        """Fit a clone of the detector and learn the scale.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Training series, as required by the detector.
        y : array-like of shape (n_timestamps,) or None, default=None
            Passed to the detector.
        **fit_params : dict
            Metadata requested by the detector, if metadata routing is enabled.

        Returns
        -------
        self : ScoreTransformer
            The fitted transformer.

        Raises
        ------
        ValueError
            If `detector` has neither `score_samples` nor `decision_function`, if it
            rejects `X`, or if ``calibrate='log'`` and errors are negative.
        """
        with all_or_nothing(self):
            check_detector(self.detector, "detector")
            X = as_series(X)
            # The detector validates the rest. It may need the original frame.
            validate_data(self, X, skip_check_array=True)
            warn_if_unordered(X, self)
            routed = self._route_fit(fit_params)
            self.detector_ = self._fit_detector(X, y, routed["detector"])
            for name in ("n_context_", "n_lookahead_", "n_start_up_"):
                vars(self).pop(name, None)
            with suppress(ValueError):  # unknown for the detector
                self.n_context_, self.n_lookahead_, self.n_start_up_ = get_context(
                    self.detector_
                )
            self._calibration = None
            if self.calibrate is not None:
                errors = self._errors(training_errors, X)
                self._calibration = self._calibrated(errors)
            remember_parameters(self, ["calibrate"])
        return self

    def _fit_detector(self, X, y, metadata):
        """Return a fitted clone. Row-wise detectors are fitted without breaks."""
        detector = clone(self.detector)
        if getattr(X, "ndim", 2) != 2:  # the detector raises
            return detector.fit(X, y, **metadata)
        breaks = find_breaks(X)
        if sees_other_rows(detector) or breaks.all():
            breaks[:] = False
        nothing = np.zeros(len(breaks), dtype=bool)
        return fit_without(detector, X, y, breaks, nothing, metadata)

    def _errors(self, of, X):
        """Call a function of detector and rows; return errors, NaN at breaks."""
        breaks = find_breaks(X)
        if not breaks.any() or sees_other_rows(self.detector_):
            errors = of(self.detector_, X)
        else:
            errors = np.full(len(breaks), np.nan)
            rows = np.flatnonzero(~breaks)
            if len(rows):
                errors[rows] = of(self.detector_, _safe_indexing(X, rows))
        # An isolation forest scores a row without readings as the most normal one.
        return np.where(breaks, np.nan, errors)

    def _calibrated(self, errors):
        """Return the scale learned from the errors of the training rows."""
        if self.calibrate != "log":
            return Calibration(errors, self.calibrate)
        errors = errors[~np.isnan(errors)]
        if not len(errors) or errors.min() < 0:
            raise ValueError(
                "calibrate='log' requires non-negative errors, the opposite of scores, "
                f"but those of {self.detector_!r} are "
                + (f"as low as {errors.min():.6g}. " if len(errors) else "all NaN. ")
                + "Use calibrate='tail'."
            )
        return LogCalibration(errors)

    def transform(self, X):
        """Return the normalised score of every row.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Series, as required by the detector.

        Returns
        -------
        scores : ndarray of shape (n_timestamps, 1)
            Higher = more abnormal. NaN at breaks, that is, in rows that are NaN in
            every channel.

        Raises
        ------
        ValueError
            If the columns of `X` differ from those seen during `fit`, or the detector
            rejects `X`.
        """
        check_is_fitted(self)
        check_parameters_unchanged(self)
        X = as_series(X)
        if getattr(X, "ndim", 2) > 1:  # otherwise the detector raises
            validate_data(self, X, reset=False, skip_check_array=True)
        warn_if_unordered(X, self)
        errors = self._errors(detector_errors, X)
        if self._calibration is not None:
            errors = self._calibration(errors)
        return errors[:, None]

    def get_feature_names_out(self, input_features=None):
        """Return the name of the column, such as ``isolationforest_level``.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Ignored.

        Returns
        -------
        names : ndarray of str objects of shape (1,)
            Lower-case class name of the detector (the last step of a pipeline) and
            ``_level``.
        """
        check_is_fitted(self)
        name = type(last_step(self.detector_)).__name__.lower()
        return np.array([f"{name}_level"], dtype=object)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.detector)
        tags.input_tags = inner.input_tags
        tags.target_tags.required = inner.target_tags.required
        tags.transformer_tags.preserves_dtype = []  # always float64
        return tags
