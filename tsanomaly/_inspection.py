# SPDX-License-Identifier: MIT
"""What is inside a detector, which errors it gives, and where its threshold is.

A detector is anything that scores rows: an outlier detector, a pipeline that ends in
one, a search over one, a frozen one. What is asked for here are abilities, such as a
method, never a class: so detectors of others are treated like those of the library.
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

# Readings of a block of rows that is scored at a time, about; rows of it, at least; and
# how many times as many as it takes for their context, which is run again.
_BLOCK_READINGS, _FEWEST_ROWS, _TIMES_CONTEXT = 2**18, 4096, 16


def fitted_steps(detector):
    """List the estimators that rows go through one after the other.

    Parameters
    ----------
    detector : estimator
        A pipeline, a search, a frozen estimator or any other.

    Returns
    -------
    steps : list of estimators
        Those of nested pipelines in line, without idle ones; the estimator itself if
        nothing is inside it.
    """
    inside = inner_steps(detector)
    if inside is None:
        return [detector]
    return [step for part in inside for step in fitted_steps(part)]


def last_step(detector):
    """The estimator that gives the results of a pipeline, a search or a frozen one."""
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
        The parameter it was given as.
    """
    if one_model_per_group(detector):
        raise ValueError(
            f"{name} is a {type(detector).__name__}, and the series of one machine is "
            "looked at here. Pass the detector of that machine, fleet.detectors_[name] "
            "of a fitted fleet, and its rows without the column of names."
        )
    cure = "Pass an outlier detector, or a pipeline that ends in one."
    last = last_step(detector)
    if hasattr(last, "__sklearn_tags__") and is_classifier(last):
        raise ValueError(
            f"{name}={detector!r} is a classifier: its decision_function tells classes "
            f"apart, and not normal rows from others. {cure}"
        )
    if score_method(detector) is not None:
        return
    if getattr(last, "novelty", True) is False:
        cure = "Pass novelty=True to it, so that it scores rows it was not fitted on."
    raise ValueError(
        f"{name}={detector!r} has neither score_samples nor decision_function. {cure}"
    )


def one_model_per_group(detector):
    """Whether a detector takes rows of several machines, with a column of names."""
    return getattr(last_step(detector), "_one_model_per_group", False)


def score_method(detector):
    """The method that gives the scores of a detector, or None."""
    for method in ("score_samples", "decision_function"):
        if hasattr(detector, method):
            return method
    return None


def detector_errors(detector, X):
    """Errors of rows, higher = worse, from a fitted detector.

    Parameters
    ----------
    detector : fitted estimator
        With `score_samples`, or else `decision_function`.
    X : array-like of shape (n_timestamps, n_channels)
        A series.

    Returns
    -------
    errors : ndarray of shape (n_timestamps,)
        Opposite of the scores.

    Notes
    -----
    A long series goes through a pipeline block by block: what its steps make of a row,
    such as a window, may take many times the memory of the row.
    """
    X, score = as_series(X), getattr(detector, score_method(detector))

    def errors_of(X):
        return -np.asarray(score(X), dtype=np.float64).reshape(-1)

    if len(fitted_steps(detector)) > 1:
        return results_by_block(errors_of, X, detector)
    return errors_of(X)


def results_by_block(function, X, estimator):
    """One number for each row of a series, in memory that does not grow with it.

    Parameters
    ----------
    function : callable
        From a series to one number for each of its rows.
    X : array-like of shape (n_timestamps, n_channels)
        A series.
    estimator : fitted estimator
        Says which neighbours the result of a row depends on. If it does not, the
        function is given the whole series at once.

    Returns
    -------
    results : ndarray of shape (n_timestamps,)
    """
    try:
        n_context, n_lookahead = get_context(estimator)
    except ValueError:  # it does not say
        return function(X)
    n_timestamps, n_channels = (*np.shape(X), 1)[:2]
    n_rows = max(
        _BLOCK_READINGS // max(n_channels, 1),
        _TIMES_CONTEXT * (n_context + n_lookahead),
        _FEWEST_ROWS,
    )
    if n_timestamps <= 2 * n_rows or not hasattr(X, "shape"):
        return function(X)
    results = np.empty(n_timestamps)
    try:
        with counting(n_timestamps, "rows") as tell_done:
            for start in range(0, n_timestamps, n_rows):
                end = min(start + n_rows, n_timestamps)
                first = max(start - n_context, 0)
                piece = _safe_indexing(X, slice(first, end + n_lookahead))
                results[start:end] = function(piece)[start - first : end - first]
                tell_done(end)
    except ValueError:
        return function(X)  # raises, and names the row as it is numbered in X
    return results


def kept_training_errors(detector):
    """Errors of its training rows, if a fitted detector keeps them.

    LocalOutlierFactor does: scored like new ones, training rows would count themselves
    among their neighbours.

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
            return None  # it was fitted earlier, on other rows
        last = inside[-1]
    kept = getattr(last, "negative_outlier_factor_", None)
    return None if kept is None else -kept


def training_errors(detector, X):
    """Errors of the rows that a detector was just fitted on.

    Parameters
    ----------
    detector : fitted estimator
        A detector.
    X : array-like of shape (n_timestamps, n_channels)
        Its training rows.

    Returns
    -------
    errors : ndarray of shape (n_timestamps,)
        Higher = worse; as from `kept_training_errors`, or as of new rows.
    """
    errors = kept_training_errors(detector)
    return detector_errors(detector, X) if errors is None else errors


def errors_and_threshold(detector, X):
    """Errors of rows, and the threshold that a fitted detector holds against them.

    Parameters
    ----------
    detector : fitted estimator
        A detector.
    X : array-like of shape (n_timestamps, n_channels)
        A series.

    Returns
    -------
    errors : ndarray of shape (n_timestamps,)
        Higher = worse.
    threshold : float
        Rows with a larger error are flagged.

    Raises
    ------
    ValueError
        If the detector has no scores, or does not tell its threshold.
    """
    check_detector(detector, "detector")
    errors = detector_errors(detector, X)
    threshold = find_threshold(detector, X, errors)
    if threshold is None:
        raise ValueError(
            f"{detector!r} has neither offset_ nor decision_function to tell its "
            "threshold. Pass what it flags."
        )
    return errors, threshold


def find_threshold(detector, X, errors):
    """The threshold that a fitted detector holds against its errors.

    Parameters
    ----------
    detector : fitted estimator
        A detector.
    X : array-like of shape (n_timestamps, n_channels)
        A series.
    errors : ndarray of shape (n_timestamps,)
        Its errors, as from `detector_errors`.

    Returns
    -------
    threshold : float or None
        Rows with a larger error are flagged. None if the detector does not tell it.
    """
    if score_method(detector) == "decision_function":
        return 0.0
    offset = offset_of(last_step(detector))
    if offset is not None:
        return -offset
    if not hasattr(detector, "decision_function"):
        return None
    # The offset is the same for every row; few rows tell it without a second run.
    few = _safe_indexing(X, np.flatnonzero(np.isfinite(errors))[:10])
    decision = np.asarray(detector.decision_function(few))
    return float(np.median(detector_errors(detector, few) + decision))


def offset_of(step):
    """The ``offset_`` of a detector as a number, or None."""
    offset = getattr(step, "offset_", None)
    # That of a OneClassSVM is an array.
    return None if offset is None else float(np.ravel(offset)[0])


def reconstructs(detector):
    """Whether a step says what readings it expected, in a method `reconstruct`."""
    return any(hasattr(step, "reconstruct") for step in fitted_steps(detector))


def gives_channel_errors(detector):
    """Whether a detector gives an error for every channel, and what it expected."""
    return hasattr(detector, "reconstruct") and hasattr(detector, "transform")


def fits_held_out(step):
    """Whether a step has, once it is fitted, errors by models without the rows."""
    # A frozen one passes the method on, and is not to be fitted.
    return hasattr(step, "_fit_held_out") and not isinstance(step, FrozenEstimator)


def is_normalised(detector):
    r"""Whether the errors of a detector are :math:`\log(1 + e^l)` of a score `l`.

    That is about 0 for the median of training rows, about 1 for their 99 % quantile.
    """
    return getattr(last_step(detector), "_is_normalised", False)


def takes_missing(detector):
    """Whether missing readings get to a step that has a say on them.

    Parameters
    ----------
    detector : estimator
        Fitted or not.

    Returns
    -------
    takes : bool
        True if a step has a parameter `missing`, and no step refuses NaN.
    """
    steps = fitted_steps(detector)
    return any(
        name.rpartition("__")[2] == "missing"
        for step in steps
        if hasattr(step, "get_params")
        for name in step.get_params()
    ) and all(get_tags(step).input_tags.allow_nan for step in steps)


def results_at(estimator, method, X, rows):
    """Results of some rows, from these and the neighbours that they depend on.

    Parameters
    ----------
    estimator : fitted estimator
        If it does not say which rows a result depends on, all are run.
    method : str
        The method; it returns a row, or a number, for each row.
    X : array-like of shape (n_timestamps, n_channels)
        A series.
    rows : ndarray of int
        Rows of it, in increasing order.

    Returns
    -------
    results : ndarray of shape (n_rows,) or (n_rows, n_columns)
    """
    n_timestamps = X.shape[0]
    try:
        needed = rows_with_context(rows, get_context(estimator), n_timestamps)
    except ValueError:  # it does not say
        needed = np.arange(n_timestamps)
    results = getattr(estimator, method)(_safe_indexing(X, needed))
    return np.asarray(results)[np.searchsorted(needed, rows)]
