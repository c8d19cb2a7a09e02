# SPDX-License-Identifier: MIT
"""Inspect detectors: their steps, errors and thresholds.

A detector is anything that scores rows: an outlier detector, a pipeline that ends in
one, a search over one, or a frozen one. Detectors are inspected by their methods and
never by their class, so that those of other libraries are treated alike.
"""

import numpy as np
from sklearn.base import is_classifier
from sklearn.frozen import FrozenEstimator
from sklearn.utils import get_tags

from tsanomaly._context import get_context, inner_steps, rows_with_context
from tsanomaly._progress import counting
from tsanomaly._sklearn_compat import _safe_indexing
from tsanomaly._validation import as_series

__all__ = [
    "check_detector",
    "detector_errors",
    "errors_and_threshold",
    "find_threshold",
    "fits_held_out",
    "fitted_steps",
    "gives_channel_errors",
    "is_normalised",
    "kept_training_errors",
    "last_step",
    "offset_of",
    "one_model_per_group",
    "reconstructs",
    "results_at",
    "results_by_block",
    "score_method",
    "takes_missing",
    "training_errors",
]

# Approximate number of readings per block of rows that is scored at a time, minimum
# number of rows, and minimum ratio of rows to their context, which is computed again.
_BLOCK_READINGS, _FEWEST_ROWS, _TIMES_CONTEXT = 2**18, 4096, 16


def fitted_steps(detector):
    """List the estimators that are applied to rows in sequence.

    Parameters
    ----------
    detector : estimator
        A pipeline, a search, a frozen estimator or any other estimator.

    Returns
    -------
    steps : list of estimators
        Flattened steps of nested pipelines without 'passthrough', or the estimator
        itself.
    """
    inside = inner_steps(detector)
    if inside is None:
        return [detector]
    return [step for part in inside for step in fitted_steps(part)]


def last_step(detector):
    """Return the last estimator of a pipeline, a search or a frozen estimator."""
    while inside := inner_steps(detector):
        detector = inside[-1]
    return detector


def check_detector(detector, name):
    """Raise unless an estimator is a detector that scores new rows.

    Parameters
    ----------
    detector : estimator
        Fitted or not.
    name : str
        Name of the parameter, for messages.
    """
    if one_model_per_group(detector):
        raise ValueError(
            f"{name} is a {type(detector).__name__}, but this function requires the "
            "series of a single machine. Pass the detector of the machine, "
            "fleet.detectors_[name] of a fitted fleet, and its rows without the column "
            "of names."
        )
    cure = "Pass an outlier detector, or a pipeline that ends in one."
    last = last_step(detector)
    if hasattr(last, "__sklearn_tags__") and is_classifier(last):
        raise ValueError(
            f"{name}={detector!r} is a classifier, whose decision_function does not "
            f"measure how normal a row is. {cure}"
        )
    if score_method(detector) is not None:
        return
    if getattr(last, "novelty", True) is False:
        cure = "Set novelty=True, so that it can score new rows."
    raise ValueError(
        f"{name}={detector!r} has neither score_samples nor decision_function. {cure}"
    )


def one_model_per_group(detector):
    """Whether a detector requires rows of several machines with a column of names."""
    return getattr(last_step(detector), "_one_model_per_group", False)


def score_method(detector):
    """Return the name of the scoring method of a detector, or None."""
    for method in ("score_samples", "decision_function"):
        if hasattr(detector, method):
            return method
    return None


def detector_errors(detector, X):
    """Return the errors of rows, higher = worse, of a fitted detector.

    Parameters
    ----------
    detector : fitted estimator
        Detector with `score_samples` or `decision_function`.
    X : array-like of shape (n_timestamps, n_channels)
        Series.

    Returns
    -------
    errors : ndarray of shape (n_timestamps,)
        Opposite of the scores.

    Notes
    -----
    A pipeline processes a long series block by block, because the output of its steps,
    such as windows, may take many times the memory of the series.
    """
    X, score = as_series(X), getattr(detector, score_method(detector))

    def errors_of(X):
        return -np.asarray(score(X), dtype=np.float64).reshape(-1)

    if len(fitted_steps(detector)) > 1:
        return results_by_block(errors_of, X, detector)
    return errors_of(X)


def results_by_block(function, X, estimator):
    """Compute one or several numbers for each row of a series, block by block.

    Apart from the results, memory does not grow with the length of the series.

    Parameters
    ----------
    function : callable
        Maps a series to an array with one item per row.
    X : array-like of shape (n_timestamps, n_channels)
        A series.
    estimator : fitted estimator
        Determines the neighbouring rows that the result of a row depends on. If its
        context is unknown, the function is called with the whole series.

    Returns
    -------
    results : ndarray of shape (n_timestamps, ...)
    """
    try:
        context = get_context(estimator)
    except ValueError:  # unknown context
        return function(X)
    n_context, n_lookahead, _ = context
    n_timestamps, n_channels = (*np.shape(X), 1)[:2]
    n_rows = max(
        _BLOCK_READINGS // max(n_channels, 1),
        _TIMES_CONTEXT * (n_context + n_lookahead),
        _FEWEST_ROWS,
    )
    if n_timestamps <= 2 * n_rows or not hasattr(X, "shape"):
        return function(X)
    results = None
    try:
        with counting(n_timestamps, "rows") as tell_done:
            for start in range(0, n_timestamps, n_rows):
                end = min(start + n_rows, n_timestamps)
                first = max(start - n_context, 0)
                piece = _safe_indexing(X, slice(first, end + n_lookahead))
                of_piece = function(piece)[start - first : end - first]
                if results is None:
                    results = np.empty((n_timestamps, *of_piece.shape[1:]))
                results[start:end] = of_piece
                tell_done(end)
    except ValueError:
        return function(X)  # raises again, with the row number in X
    return results


def kept_training_errors(detector):
    """Return the errors of the training rows if a fitted detector stores them.

    LocalOutlierFactor does, because `score_samples` would count training rows as their
    own neighbours.

    Parameters
    ----------
    detector : fitted estimator
        A detector.

    Returns
    -------
    errors : ndarray of shape (n_timestamps,) or None
        Higher = worse.
    """
    last = detector
    while inside := inner_steps(last):
        if isinstance(last, FrozenEstimator):
            return None  # fitted earlier on other rows
        last = inside[-1]
    kept = getattr(last, "negative_outlier_factor_", None)
    return None if kept is None else -kept


def training_errors(detector, X):
    """Return the errors of the rows that a detector was just fitted on.

    Parameters
    ----------
    detector : fitted estimator
        A detector.
    X : array-like of shape (n_timestamps, n_channels)
        Training rows.

    Returns
    -------
    errors : ndarray of shape (n_timestamps,)
        Errors, higher = worse, from `kept_training_errors` or computed as for new rows.
    """
    errors = kept_training_errors(detector)
    return detector_errors(detector, X) if errors is None else errors


def errors_and_threshold(detector, X, errors=None):
    """Return the errors of rows, and the threshold of a fitted detector.

    Parameters
    ----------
    detector : fitted estimator
        A detector.
    X : array-like of shape (n_timestamps, n_channels)
        Series.
    errors : ndarray of shape (n_timestamps,) or None, default=None
        Errors from `detector_errors`. None computes them.

    Returns
    -------
    errors : ndarray of shape (n_timestamps,)
        Errors, higher = worse.
    threshold : float
        Rows with a larger error are flagged.

    Raises
    ------
    ValueError
        If the detector has no scores, or its threshold is unknown.
    """
    check_detector(detector, "detector")
    if errors is None:
        errors = detector_errors(detector, X)
    threshold = find_threshold(detector, X, errors)
    if threshold is None:
        raise ValueError(
            f"{detector!r} has neither offset_ nor decision_function, so its threshold "
            "is unknown. Pass the flagged rows."
        )
    return errors, threshold


def find_threshold(detector, X, errors):
    """Return the threshold of the errors of a fitted detector.

    Parameters
    ----------
    detector : fitted estimator
        A detector.
    X : array-like of shape (n_timestamps, n_channels)
        A series.
    errors : ndarray of shape (n_timestamps,)
        Errors from `detector_errors`.

    Returns
    -------
    threshold : float or None
        Rows with a larger error are flagged. None if it is unknown.
    """
    if score_method(detector) == "decision_function":
        return 0.0
    offset = offset_of(last_step(detector))
    if offset is not None:
        return -offset
    if not hasattr(detector, "decision_function"):
        return None
    # The offset is the same for all rows, so a few of them suffice.
    few = _safe_indexing(X, np.flatnonzero(np.isfinite(errors))[:10])
    decision = np.asarray(detector.decision_function(few))
    return float(np.median(detector_errors(detector, few) + decision))


def offset_of(step):
    """Return the ``offset_`` of a detector as a number, or None."""
    offset = getattr(step, "offset_", None)
    # An array for OneClassSVM.
    return None if offset is None else float(np.ravel(offset)[0])


def reconstructs(detector):
    """Whether a step has a method `reconstruct`."""
    return any(hasattr(step, "reconstruct") for step in fitted_steps(detector))


def gives_channel_errors(detector):
    """Whether a detector returns errors per channel and expected readings."""
    return hasattr(detector, "reconstruct") and hasattr(detector, "transform")


def fits_held_out(step):
    """Whether a step can compute held-out errors in `fit`."""
    # A frozen estimator delegates the method, but must not be fitted.
    return hasattr(step, "_fit_held_out") and not isinstance(step, FrozenEstimator)


def is_normalised(detector):
    r"""Whether errors are :math:`\log(1 + e^l)` with a normalised score `l`.

    `l` is about 0 for the median of the training rows and 1 for their 99 % quantile.
    """
    return getattr(last_step(detector), "_is_normalised", False)


def takes_missing(detector):
    """Whether missing readings reach a step with a parameter `missing`.

    Parameters
    ----------
    detector : estimator
        Fitted or not.

    Returns
    -------
    takes : bool
        True if a step has a parameter `missing`, and all steps support NaN.
    """
    steps = fitted_steps(detector)
    return any(
        name.rpartition("__")[2] == "missing"
        for step in steps
        if hasattr(step, "get_params")
        for name in step.get_params()
    ) and all(get_tags(step).input_tags.allow_nan for step in steps)


def results_at(estimator, method, X, rows):
    """Return the results of some rows, computed with only the rows they depend on.

    Parameters
    ----------
    estimator : fitted estimator
        If its context is unknown, all rows are computed.
    method : str
        Method that returns a row or a number for each row. An estimator with a method
        of this name between ``_`` and ``_at``, which takes rows as well, does not
        compute the rows before them.
    X : array-like of shape (n_timestamps, n_channels)
        Series.
    rows : ndarray of int
        Rows of the series, in ascending order.

    Returns
    -------
    results : ndarray of shape (n_rows,) or (n_rows, n_columns)
    """
    n_timestamps = X.shape[0]
    try:
        needed = rows_with_context(rows, get_context(estimator), n_timestamps)
    except ValueError:  # unknown context
        needed = np.arange(n_timestamps)
    piece, positions = _safe_indexing(X, needed), np.searchsorted(needed, rows)
    method_at = getattr(estimator, f"_{method}_at", None)
    if method_at is not None:
        return method_at(piece, positions)
    return np.asarray(getattr(estimator, method)(piece))[positions]
