# SPDX-License-Identifier: MIT
import warnings
from contextlib import suppress
from itertools import pairwise
from numbers import Integral

import numpy as np
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags

from tsanomaly._context import get_context, sees_other_rows
from tsanomaly._inspection import fits_held_out, last_step, results_at
from tsanomaly._sklearn_compat import (
    HasMethods,
    Interval,
    _safe_indexing,
    _wrap_data_with_container,
    validate_params,
)
from tsanomaly._time_order import warn_if_unordered
from tsanomaly._validation import as_series, check_columns, find_breaks
from tsanomaly._windows import TrailingWindows

__all__ = ["fit_cross_fitted"]


@validate_params(
    {
        "pipeline": [Pipeline, HasMethods(["_fit_cross_fitted"])],
        "n_blocks": [Interval(Integral, 2, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def fit_cross_fitted(pipeline, X, y=None, *, n_blocks=3):
    """Fit a pipeline, and its threshold on errors of rows that were not learned from.

    ``pipeline.fit`` sets the threshold of its last step on the errors of the rows that
    the steps before it have learned from. They are smaller than those of new rows, so
    that more of these are flagged than the threshold says. Here the threshold is set on
    errors by steps that have not learned from the rows.

    Parameters
    ----------
    pipeline : Pipeline or FleetDetector
        That ends in a :class:`ReconstructionThreshold`, or another estimator that is
        fitted on errors. A fleet of such pipelines fits each of them in this way.
    X : array-like of shape (n_timestamps, n_channels)
        A series, rows in time order; for a fleet, a frame as in its `fit`.
    y : array-like of shape (n_timestamps,) or None, default=None
        Labels, for a threshold that needs them.
    n_blocks : int, default=3
        Blocks of rows that are held out in turn, while clones of the steps are fitted
        on the others. Detectors of this library that compare readings with what a model
        expected are fitted once, if they have errors of rows held out anyway: by models
        of the other half of the rows, or, where the network counts, of the last fifth.
        In the other rows, and where errors of `fit` are larger, these count.

    Returns
    -------
    pipeline : Pipeline or FleetDetector
        The given one, fitted on all rows.

    Raises
    ------
    ValueError
        As from ``pipeline.fit``, or if the pipeline has one step only, or none that
        sets a threshold.

    Warns
    -----
    UserWarning
        If the series is too short to fit the steps on a part of it. The threshold is
        then that of ``pipeline.fit``.

    See Also
    --------
    ReconstructionThreshold : What is a threshold.

    Notes
    -----
    Blocks are held out rather than single rows: the neighbours of a row that are
    learned from tell most of it. Start-up rows, whose windows are padded, set no
    threshold.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.pipeline import make_pipeline
    >>> from tsanomaly import (
    ...     ReconstructionError, ReconstructionThreshold, WindowTransformer,
    ...     fit_cross_fitted,
    ... )
    >>> rng = np.random.default_rng(0)
    >>> X, new = rng.normal(size=(300, 2)), rng.normal(size=(3000, 2))
    >>> pipeline = make_pipeline(
    ...     WindowTransformer(50), ReconstructionError(PCA(40)),
    ...     ReconstructionThreshold(),
    ... )
    >>> bool((pipeline.fit(X).predict(new) == -1).mean() > 0.5)
    True
    >>> bool((fit_cross_fitted(pipeline, X).predict(new) == -1).mean() < 0.05)
    True
    """
    if hasattr(pipeline, "_fit_cross_fitted"):
        return pipeline._fit_cross_fitted(X, y, n_blocks)
    check_columns(X, "fit_cross_fitted")
    steps, last = pipeline.steps[:-1], pipeline.steps[-1][1]
    if _is_idle(last) or all(_is_idle(step) for _, step in steps):
        raise ValueError(
            "pipeline must have a step that gives errors and one that sets a threshold "
            f"on them, got {pipeline!r}."
        )
    if not hasattr(X, "iloc"):
        X = np.asarray(as_series(X))
    warn_if_unordered(X)
    errors = _fit_once(steps, X, y) if fits_held_out(steps[-1][1]) else None
    if errors is None:
        pipeline.fit(X, y)
        errors = _cross_fit(steps, X, y, n_blocks)
        if errors is None:
            return pipeline
    # In a frame, with names and times, if the step returns its errors in one.
    giving = last_step(pipeline[:-1])
    errors = _wrap_data_with_container("transform", errors, X, giving)
    if not get_tags(last).input_tags.allow_nan:  # start-up rows have no error
        rows = np.flatnonzero(~np.isnan(np.asarray(errors)).any(axis=1))
        errors, y = _safe_indexing(errors, rows), _at(y, rows)
    last.fit(errors, y)
    return pipeline


def _is_idle(step):
    return step is None or (isinstance(step, str) and step == "passthrough")


def _fit_once(steps, X, y):
    """Fit steps of which the last may have errors of rows held out; return these."""
    for _, step in steps[:-1]:
        if not _is_idle(step):
            X = step.fit_transform(X, y)
    return steps[-1][1]._fit_held_out(X, y)[1]


def _cross_fit(steps, X, y, n_blocks):
    """Errors of rows by steps that were fitted on the other blocks, or None."""
    n_rows = len(X)
    edges = np.linspace(0, n_rows, min(n_blocks, n_rows) + 1).astype(int)
    errors = []
    for start, stop in pairwise(edges):
        try:
            head = _fit_without(steps, X, y, start, stop)
        except ValueError as error:
            warnings.warn(
                f"The steps could not be fitted on {n_rows - stop + start:,} of "
                f"{n_rows:,} rows ({error}), so the threshold is set on errors of rows "
                "that were learned from. New rows have larger ones. Fit on a longer "
                "series.",
                UserWarning,
                stacklevel=4,
            )
            return None
        errors.append(results_at(head, "transform", X, np.arange(start, stop)))
    errors = np.concatenate(errors)
    breaks = find_breaks(X)
    with suppress(ValueError):  # steps that do not say how many rows they need
        n_start_up = get_context(head).n_start_up
        whole = TrailingWindows(breaks, n_start_up + 1, breaks).whole
        if whole.any():
            errors[~whole] = np.nan
    return errors


def _fit_without(steps, X, y, start, stop):
    """Clones of steps, fitted on all rows but those of a block."""
    head = Pipeline([(name, clone(step, safe=False)) for name, step in steps])
    if start > 0 and stop < len(X) and sees_other_rows(head):
        rows = np.r_[0 : start + 1, stop : len(X)]
        part = _safe_indexing(X, rows)
        if hasattr(part, "iloc"):
            part = part.astype(np.float64)
            part.iloc[start] = np.nan
        else:
            part = np.array(part, dtype=np.float64)
            part[start] = np.nan
        # Not every step takes a break; which do is known when they are fitted.
        with suppress(ValueError):
            return head.fit(part, _at(y, rows))
        head = clone(head)
    rows = np.r_[0:start, stop : len(X)]
    return head.fit(_safe_indexing(X, rows), _at(y, rows))


def _at(y, rows):
    return None if y is None else np.asarray(y)[rows]
