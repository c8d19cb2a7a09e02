# SPDX-License-Identifier: MIT
"""Number of neighbouring rows that the result of a row depends on.

Streams, cascades and distributed scoring cut a series into pieces, which must include
the rows that their results depend on. Estimators state the numbers of these rows in the
fitted attributes ``n_context_`` (earlier rows) and ``n_lookahead_`` (later rows). Rows
with fewer than ``n_start_up_`` earlier rows are start-up rows, which do not affect
thresholds. Without this attribute, the number is ``n_context_``.
"""

from typing import NamedTuple

import numpy as np
from sklearn.frozen import FrozenEstimator
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.preprocessing import FunctionTransformer

from tsanomaly._sklearn_compat import BaseSearchCV

__all__ = [
    "Context",
    "get_context",
    "inner_steps",
    "rows_with_context",
    "sees_other_rows",
]


class Context(NamedTuple):
    """Numbers of earlier and later rows that the result of a row depends on."""

    n_context: int
    n_lookahead: int
    n_start_up: int = 0


_NONE = Context(0, 0)


def get_context(estimator):
    """Return the numbers of earlier and later rows that a result depends on.

    Parameters
    ----------
    estimator : fitted estimator, 'passthrough', 'drop' or None
        The numbers of the steps of a ``Pipeline`` are added; for a ``FeatureUnion`` or
        ``ColumnTransformer`` the maximum is used. Other estimators of scikit-learn are
        row-wise and count 0. All others must have ``n_context_`` and ``n_lookahead_``.

    Returns
    -------
    context : Context
        The named tuple ``(n_context, n_lookahead, n_start_up)``.

    Raises
    ------
    ValueError
        If the context of a step is unknown, or depends on the start of the series
        (``stride`` above 1). The message names the step.
    """
    if estimator is None or isinstance(estimator, str):  # 'passthrough', 'drop'
        return _NONE
    if getattr(estimator, "_fitted_with", {}).get("stride", 1) != 1:
        raise ValueError(
            f"{estimator!r} takes a window every {estimator.stride} rows from the "
            "start of the series, so that no piece of it can stand alone. Use stride=1."
        )
    if hasattr(estimator, "n_context_") and hasattr(estimator, "n_lookahead_"):
        n_context, n_lookahead = estimator.n_context_, estimator.n_lookahead_
        n_start_up = getattr(estimator, "n_start_up_", n_context)
        return Context(int(n_context), int(n_lookahead), int(n_start_up))
    parts, combine = _parts(estimator)
    if parts is None:
        raise ValueError(
            f"{estimator!r} does not say how many neighbouring rows it needs. State it "
            "on the fitted step: set the integers n_context_ (rows before) and "
            "n_lookahead_ (rows after); both are 0 for a step that works row by row."
        )
    contexts = [get_context(part) for part in parts]
    return Context(*map(combine, zip(_NONE, *contexts, strict=True)))


def rows_with_context(rows, context, n_timestamps):
    """Return the rows that the results of given rows depend on, including these.

    The resulting pieces of the series can be concatenated, because the requested
    results do not depend on rows of other pieces.

    Parameters
    ----------
    rows : ndarray of int
        Rows of the series.
    context : Context
        Context of each row.
    n_timestamps : int
        Number of rows in the series.

    Returns
    -------
    needed : ndarray of int
        Rows in ascending order without duplicates.
    """
    edges = np.zeros(n_timestamps + 1, dtype=np.intp)
    np.add.at(edges, np.maximum(rows - context.n_context, 0), 1)
    np.add.at(edges, np.minimum(rows + context.n_lookahead + 1, n_timestamps), -1)
    return np.flatnonzero(np.cumsum(edges[:-1]))


def sees_other_rows(estimator):
    """Whether an estimator, fitted or not, uses neighbouring rows.

    Unlike `get_context`, this works before `fit`, and treats unknown estimators as
    row-wise.

    Parameters
    ----------
    estimator : estimator
        A detector, or a pipeline that ends in one.

    Returns
    -------
    sees : bool
        Whether the estimator or one of its parts uses neighbouring rows.
    """
    if isinstance(estimator, FrozenEstimator):
        return sees_other_rows(estimator.estimator)
    if getattr(estimator, "_sees_other_rows", False):
        return True
    # Includes nested parts, but not those of frozen estimators.
    for part in estimator.get_params(deep=True).values():
        if getattr(part, "_sees_other_rows", False):
            return True
        if isinstance(part, FrozenEstimator) and sees_other_rows(part):
            return True
    return False


def inner_steps(estimator):
    """Return the estimators that a wrapper applies to rows in sequence.

    Parameters
    ----------
    estimator : estimator
        Fitted or not.

    Returns
    -------
    steps : list of estimators, or None
        The steps of a pipeline without 'passthrough', the estimator of a frozen
        estimator, or the best estimator of a search (if it is not fitted, the one to be
        cloned). None if the estimator is not such a wrapper.
    """
    if isinstance(estimator, Pipeline):
        steps = [step for _, step in estimator.steps]
        return [step for step in steps if step is not None and step != "passthrough"]
    if isinstance(estimator, BaseSearchCV):
        return [getattr(estimator, "best_estimator_", estimator.estimator)]
    if isinstance(estimator, FrozenEstimator):
        return [estimator.estimator]
    return None


def _parts(estimator):
    """Return the parts of a fitted estimator, and how to combine their contexts."""
    from sklearn.compose import ColumnTransformer

    steps = inner_steps(estimator)
    if steps is not None:
        return steps, sum
    if isinstance(estimator, FeatureUnion):
        return [step for _, step in estimator.transformer_list], max
    if isinstance(estimator, ColumnTransformer):
        return [step for _, step, _ in estimator.transformers_], max
    if isinstance(estimator, FunctionTransformer) and estimator.func is not None:
        return None, max  # may contain any function
    if type(estimator).__module__.split(".")[0] != "sklearn":
        return None, max
    # The context of other meta-estimators is that of their parts. These are not fitted,
    # so it is known only for row-wise parts.
    nested = estimator.get_params(deep=True).values()
    return [part for part in nested if hasattr(part, "fit")], max
