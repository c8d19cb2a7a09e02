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
    """Fit a pipeline and set its threshold on out-of-fold errors.

    ``pipeline.fit`` sets the threshold of the last step on in-sample errors. These are
    smaller than the errors of new rows, so more new rows are flagged than intended.
    This function sets the threshold on the errors of rows that the steps before it were
    not fitted on.

    Parameters
    ----------
    pipeline : Pipeline or FleetDetector
        A pipeline that ends in a :class:`ReconstructionThreshold` or another estimator
        that is fitted on errors, or a fleet of such pipelines.
    X : array-like of shape (n_timestamps, n_channels)
        Training series, rows in time order. For a fleet, a frame as in its `fit`.
    y : array-like of shape (n_timestamps,) or None, default=None
        Labels, for a threshold that needs them.
    n_blocks : int, default=3
        Number of contiguous blocks of rows that are held out in turn, while clones of
        the steps are fitted on the others. Not used if the detector before the
        threshold computes held-out errors itself, as the residual detectors of this
        library do. They are fitted once and use models of the other half of the rows
        or, where the network counts, the last fifth; rows without a held-out error, or
        with a larger in-sample error, keep the latter.

    Returns
    -------
    pipeline : Pipeline or FleetDetector
        The pipeline itself, fitted on all rows.

    Raises
    ------
    ValueError
        If ``pipeline.fit`` raises, or the pipeline has no step that computes errors or
        no step that sets a threshold.

    Warns
    -----
    UserWarning
        If the series is too short to fit the steps on a part of it. The threshold is
        then that of ``pipeline.fit``.

    See Also
    --------
    ReconstructionThreshold : Set a threshold on errors.

    Notes
    -----
    Blocks are held out instead of single rows because neighbouring rows are nearly
    identical. Start-up rows, whose windows are padded, do not affect the threshold.

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
            "pipeline must have a step that computes errors and one that sets a "
            f"threshold on them, got {pipeline!r}."
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
    # A frame, with names and times, if the step outputs frames.
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
    """Fit the steps, and return the held-out errors of the last one, or None."""
    for _, step in steps[:-1]:
        if not _is_idle(step):
            X = step.fit_transform(X, y)
    return steps[-1][1]._fit_held_out(X, y)[1]


def _cross_fit(steps, X, y, n_blocks):
    """Return errors by steps that were fitted on the other blocks, or None."""
    n_rows = len(X)
    edges = np.linspace(0, n_rows, min(n_blocks, n_rows) + 1).astype(int)
    errors = []
    for start, stop in pairwise(edges):
        try:
            head = _fit_without(steps, X, y, start, stop)
        except ValueError as error:
            warnings.warn(
                f"The steps could not be fitted on {n_rows - stop + start:,} of "
                f"{n_rows:,} rows ({error}), so the threshold is set on in-sample "
                "errors. New rows have larger errors. Fit on a longer series.",
                UserWarning,
                stacklevel=4,
            )
            return None
        errors.append(results_at(head, "transform", X, np.arange(start, stop)))
    errors = np.concatenate(errors)
    breaks = find_breaks(X)
    with suppress(ValueError):  # steps with an unknown context
        n_start_up = get_context(head).n_start_up
        whole = TrailingWindows(breaks, n_start_up + 1, breaks).whole
        if whole.any():
            errors[~whole] = np.nan
    return errors


def _fit_without(steps, X, y, start, stop):
    """Fit clones of the steps on all rows outside a block."""
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
        # Some steps do not support breaks, which is known only by fitting them.
        with suppress(ValueError):
            return head.fit(part, _at(y, rows))
        head = clone(head)
    rows = np.r_[0:start, stop : len(X)]
    return head.fit(_safe_indexing(X, rows), _at(y, rows))


def _at(y, rows):
    return None if y is None else np.asarray(y)[rows]
