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
    """Turn an outlier detector into a feature: how abnormal each row is.

    The scores of a detector become one column of normalised scores, higher for worse
    rows, on a scale that all detectors share. So detectors combine: a union of several,
    and :class:`ReconstructionThreshold` after it, is an ensemble; and any detector gets
    any threshold.

    Parameters
    ----------
    detector : estimator
        An outlier detector with `score_samples` or `decision_function`, or a pipeline
        that ends in one. It is cloned; a fitted one is passed as
        ``FrozenEstimator(detector)``.

    calibrate : {'tail', 'rank', 'log'} or None, default='tail'
        The scale, learned from the scores of the training rows:

        - 'tail': ``-log10`` of the share of training rows that are at least as
          abnormal: 1 for one row in ten, 2 for one in a hundred. Beyond the worst of
          them, a generalised Pareto distribution fitted to the worst 2 % goes on
          [1]_.
        - 'rank': share of training rows that are less abnormal. Beyond the worst it
          rises on, slowly, and may exceed 1.
        - 'log': the logarithm of the error, which is the opposite of the score: 0 for
          the median of the training rows, 1 for their 99 % quantile, and on in
          proportion, so that it tells apart how far beyond the training rows a row
          is. If they differ by less than a tenth, 1 is a tenth above the median.
          Only for detectors whose errors are never negative.
        - None: the opposite of the detector's scores, as they are.

    Attributes
    ----------
    detector_ : estimator
        The fitted clone.

    n_context_, n_lookahead_ : int
        Rows before and after a row that its normalised score depends on: those of the
        detector, 0 for the row-wise ones of scikit-learn. Present only if the detector
        says how many.

    n_features_in_ : int
        Number of columns seen in `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the columns, if `fit` was given a frame with string column names.

    See Also
    --------
    ReconstructionThreshold : Flag rows by one or several normalised scores.

    Notes
    -----
    Normalised scores are positive, except with 'log' and None. A more abnormal row
    always gets a higher one, also beyond the training rows. They keep the detector's
    ranking of rows, and all its ranking metrics; what changes is how they compare with
    those of another. The scores of a forest, to give an example, differ by a few
    hundredths, and would vanish beside reconstruction errors.

    Training rows score better than new ones with detectors that fit them closely.
    Where that matters, fit the detector first, and pass it frozen to a
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
        """Fit a clone of the detector, and learn the scale.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            A series, as the detector takes it.
        y : array-like of shape (n_timestamps,) or None, default=None
            Passed on to the detector.
        **fit_params : dict
            Metadata that the detector requests, with scikit-learn's metadata routing.

        Returns
        -------
        self : ScoreTransformer
            The fitted transformer.

        Raises
        ------
        ValueError
            If `detector` has no `score_samples` and no `decision_function`, or does not
            take `X`, or if ``calibrate='log'`` and errors are negative.
        """
        with all_or_nothing(self):
            check_detector(self.detector, "detector")
            X = as_series(X)
            # The detector validates the rest: it may want the frame as it is.
            validate_data(self, X, skip_check_array=True)
            warn_if_unordered(X, self)
            routed = self._route_fit(fit_params)
            self.detector_ = self._fit_detector(X, y, routed["detector"])
            for name in ("n_context_", "n_lookahead_", "n_start_up_"):
                vars(self).pop(name, None)
            with suppress(ValueError):  # if it does not say, neither can this
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
        """A fitted clone; one that looks at single rows does not see breaks."""
        detector = clone(self.detector)
        if getattr(X, "ndim", 2) != 2:  # the detector says what is wrong with it
            return detector.fit(X, y, **metadata)
        breaks = find_breaks(X)
        if sees_other_rows(detector) or breaks.all():
            breaks[:] = False
        nothing = np.zeros(len(breaks), dtype=bool)
        return fit_without(detector, X, y, breaks, nothing, metadata)

    def _errors(self, of, X):
        """Errors by a function of detector and rows; NaN at breaks."""
        breaks = find_breaks(X)
        if not breaks.any() or sees_other_rows(self.detector_):
            errors = of(self.detector_, X)
        else:
            errors = np.full(len(breaks), np.nan)
            rows = np.flatnonzero(~breaks)
            if len(rows):
                errors[rows] = of(self.detector_, _safe_indexing(X, rows))
        # A forest would call a row without readings the most normal of all.
        return np.where(breaks, np.nan, errors)

    def _calibrated(self, errors):
        """The scale that the errors of the training rows make."""
        if self.calibrate != "log":
            return Calibration(errors, self.calibrate)
        errors = errors[~np.isnan(errors)]
        if not len(errors) or errors.min() < 0:
            raise ValueError(
                "calibrate='log' takes logarithms of errors, the opposite of scores, "
                f"and those of {self.detector_!r} are "
                + (f"as low as {errors.min():.6g}. " if len(errors) else "all NaN. ")
                + "Use calibrate='tail'."
            )
        return LogCalibration(errors)

    def transform(self, X):
        """Return the normalised score of every row.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            A series, as the detector takes it.

        Returns
        -------
        scores : ndarray of shape (n_timestamps, 1)
            Higher = more abnormal; NaN at breaks, rows that are NaN in every channel.

        Raises
        ------
        ValueError
            If `X` has other columns than in `fit`, or the detector does not take it.
        """
        check_is_fitted(self)
        check_parameters_unchanged(self)
        X = as_series(X)
        if getattr(X, "ndim", 2) > 1:  # the detector says what is wrong with others
            validate_data(self, X, reset=False, skip_check_array=True)
        warn_if_unordered(X, self)
        errors = self._errors(detector_errors, X)
        if self._calibration is not None:
            errors = self._calibration(errors)
        return errors[:, None]

    def get_feature_names_out(self, input_features=None):
        """Name the column, such as ``isolationforest_level``.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Ignored.

        Returns
        -------
        names : ndarray of str objects of shape (1,)
            The class of the detector, of the last one in a pipeline.
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
