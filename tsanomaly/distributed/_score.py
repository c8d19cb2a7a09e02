# SPDX-License-Identifier: MIT
import pickle

import numpy as np
from sklearn.utils.validation import check_is_fitted, validate_data

from tsanomaly._context import get_context
from tsanomaly._inspection import check_detector
from tsanomaly._time_order import warn_if_unordered
from tsanomaly.distributed._collections import Partitions, is_frame, join

__all__ = ["decision_function", "predict", "score_samples", "transform"]


def score_samples(detector, X):
    """Score each row of a Dask collection.

    Nothing is computed before the result is asked for its values.

    Parameters
    ----------
    detector : fitted estimator
        A detector of this library or of scikit-learn, or a pipeline that ends in one,
        that says how many neighbouring rows a score needs: ``n_context_`` and
        ``n_lookahead_``.
    X : dask Array or DataFrame of shape (n_timestamps, n_channels)
        A series, rows in time order over all partitions.

    Returns
    -------
    scores : dask Array of shape (n_timestamps,), or Series
        As from ``detector.score_samples`` on all rows at once, within 1e-6, absolutely
        or relatively: the lower, the more abnormal. Of a frame, a Series with its index
        and divisions.

    Raises
    ------
    ImportError
        If Dask is not installed.
    TypeError
        If `X` is no Dask array or DataFrame.
    ValueError
        If `detector` is no detector, or does not say how many rows it needs; if `X` has
        other columns than in `fit`.
    sklearn.exceptions.NotFittedError
        If `detector` is not fitted.

    See Also
    --------
    fit : Fit on a sample of a Dask collection.

    Notes
    -----
    Every partition is scored with as many rows of those before it, and of those after
    it where the detector looks ahead, as its scores depend on. Partitions may be empty,
    or shorter than that: then rows come from further away. Only these rows travel from
    partition to partition, and the detector to each worker once.

    Partitions should hold many more rows than a window: those of its context are run
    again. Errors of the detector, such as on NaN, come up when the result is computed.

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.pipeline import make_pipeline
    >>> from tsanomaly import (
    ...     ReconstructionError, ReconstructionThreshold, WindowTransformer
    ... )
    >>> from tsanomaly.distributed import score_samples
    >>> X = np.random.default_rng(0).normal(size=(1000, 2))
    >>> detector = make_pipeline(
    ...     WindowTransformer(8), ReconstructionError(PCA(4)), ReconstructionThreshold()
    ... ).fit(X)
    >>> scores = score_samples(detector, da.from_array(X, chunks=(300, 2)))
    >>> scores.chunks
    ((300, 300, 300, 100),)
    >>> bool(np.allclose(scores.compute(), detector.score_samples(X)))
    True
    """
    return _apply(detector, "score_samples", X)


def decision_function(detector, X):
    """Score each row of a Dask collection, relative to the threshold.

    Parameters
    ----------
    detector : fitted estimator
        As in :func:`score_samples`.
    X : dask Array or DataFrame of shape (n_timestamps, n_channels)
        A series, rows in time order over all partitions.

    Returns
    -------
    decision : dask Array of shape (n_timestamps,), or Series
        Negative for anomalies, NaN at breaks.

    See Also
    --------
    score_samples : Says how partitions are joined, and what is raised.

    Examples
    --------
    >>> import dask.array as da
    >>> from sklearn.ensemble import IsolationForest
    >>> from tsanomaly.distributed import decision_function
    >>> X = da.random.default_rng(0).normal(size=(1000, 2), chunks=(500, 2))
    >>> detector = IsolationForest(random_state=0).fit(X[:500].compute())
    >>> decision_function(detector, X).compute().shape
    (1000,)
    """
    return _apply(detector, "decision_function", X)


def predict(detector, X):
    """Label each row of a Dask collection.

    Parameters
    ----------
    detector : fitted estimator
        As in :func:`score_samples`.
    X : dask Array or DataFrame of shape (n_timestamps, n_channels)
        A series, rows in time order over all partitions.

    Returns
    -------
    labels : dask Array of shape (n_timestamps,), or Series
        -1 for anomalies, +1 for normal rows and breaks.

    See Also
    --------
    score_samples : Says how partitions are joined, and what is raised.

    Examples
    --------
    >>> import dask.array as da
    >>> from sklearn.ensemble import IsolationForest
    >>> from tsanomaly.distributed import predict
    >>> X = da.random.default_rng(0).normal(size=(1000, 2), chunks=(500, 2))
    >>> detector = IsolationForest(random_state=0).fit(X[:500].compute())
    >>> predict(detector, X + 9)[:3].compute()
    array([-1, -1, -1])
    """
    return _apply(detector, "predict", X)


def transform(detector, X):
    """Return the errors, or other columns, of each row of a Dask collection.

    Parameters
    ----------
    detector : fitted estimator
        A detector with `transform`, or any fitted transformer or pipeline that says how
        many neighbouring rows it needs.
    X : dask Array or DataFrame of shape (n_timestamps, n_channels)
        A series, rows in time order over all partitions.

    Returns
    -------
    errors : dask Array or DataFrame of shape (n_timestamps, n_columns)
        As from ``detector.transform`` on all rows at once. The columns of a frame are
        named by ``detector.get_feature_names_out()``, or numbered.

    See Also
    --------
    score_samples : Says how partitions are joined, and what is raised.

    Examples
    --------
    >>> import dask.array as da
    >>> from tsanomaly import WindowTransformer
    >>> from tsanomaly.distributed import transform
    >>> X = da.random.default_rng(0).normal(size=(1000, 2), chunks=(500, 2))
    >>> windows = WindowTransformer(3).fit(X[:500].compute())
    >>> transform(windows, X)
    dask.array<transform, shape=(1000, 6), dtype=float64, chunksize=(500, 6), ...>
    """
    return _apply(detector, "transform", X)


def _apply(detector, method, X):
    """Run a method of a fitted estimator on every partition, with its context."""
    partitions = Partitions(X)
    check_is_fitted(detector)
    if method != "transform":
        check_detector(detector, "detector")
    if not hasattr(detector, method):
        raise ValueError(f"{detector!r} has no {method}.")
    context = get_context(detector)
    validate_data(detector, partitions.sample, reset=False, skip_check_array=True)
    sample = _sample(detector, method, partitions.sample)

    import dask
    from dask.base import tokenize

    # One task makes the model, and every worker that needs it fetches it once. As an
    # argument of the tasks it would be sent with each.
    state = _pickle(detector)
    name = f"{method}-{tokenize(state, X)}"
    model = dask.delayed(pickle.loads)(state, dask_key_name=f"model-{name}")
    before = _gather(partitions, context.n_context, -1, f"before-{name}")
    after = _gather(partitions, context.n_lookahead, 1, f"after-{name}")
    run = dask.delayed(_run)
    blocks = [
        run(model, method, *pieces, sample, dask_key_name=f"block-{name}-{number}")
        for number, pieces in enumerate(
            zip(before, partitions.parts, after, strict=True)
        )
    ]
    return partitions.rebuild(blocks, sample, name)


def _pickle(detector):
    import cloudpickle  # which Dask requires

    return cloudpickle.dumps(detector)


def _gather(partitions, n_rows, side, name):
    """The rows next to each partition: before it if `side` is -1, after it if 1.

    They are handed on from neighbour to neighbour, because how many rows a partition
    has is known only when it is there, and maybe too few.
    """
    import dask

    parts = partitions.parts
    if not n_rows:
        return [None] * len(parts)
    lengths = partitions.lengths or [0] * len(parts)
    numbers = range(len(parts)) if side == -1 else reversed(range(len(parts)))
    edge, extend = dask.delayed(_edge), dask.delayed(_extend)
    gathered, rows = [], None
    for number in numbers:
        gathered.append(rows)
        own = edge(parts[number], n_rows, side, dask_key_name=f"edge-{name}-{number}")
        if rows is None or lengths[number] >= n_rows:
            rows = own
        else:
            rows = extend(rows, own, n_rows, side, dask_key_name=f"{name}-{number}")
    return gathered[::-side]


def _edge(rows, n_rows, side):
    """The last rows, or with ``side=1`` the first, in a copy that keeps no others."""
    n_rows = min(n_rows, len(rows))
    chosen = slice(n_rows) if side == 1 else slice(len(rows) - n_rows, None)
    return (rows.iloc[chosen] if is_frame(rows) else rows[chosen]).copy()


def _extend(others, own, n_rows, side):
    """The edge of a partition, with rows from further away if it has too few."""
    if len(own) >= n_rows:
        return own
    return _edge(join([others, own][::-side]), n_rows, side)


def _run(model, method, before, rows, after, sample):
    """Results for the rows of a partition."""
    if not len(rows):
        return sample
    pieces = [piece for piece in (before, rows, after) if piece is not None]
    pieces = [piece for piece in pieces if len(piece)]
    start = 0 if before is None else len(before)
    joined = join(pieces)
    warn_if_unordered(joined)
    results = np.asarray(getattr(model, method)(joined))
    results = results[start : start + len(rows)].astype(_type_of(method), copy=False)
    if isinstance(sample, np.ndarray):
        return results
    # The names of the sample, with the index of the rows.
    if results.ndim == 1:
        return type(sample)(results, index=rows.index, name=sample.name)
    return type(sample)(results, index=rows.index, columns=sample.columns)


def _type_of(method):
    return np.int64 if method == "predict" else np.float64


def _sample(detector, method, X):
    """What a block of the result looks like; of no rows."""
    shape = (0,)
    if method == "transform":
        names = _names_out(detector, X)
        shape = (0, len(names))
    values = np.empty(shape, dtype=_type_of(method))
    if not is_frame(X):
        return values
    import pandas as pd

    if method == "transform":
        return pd.DataFrame(values, index=X.index, columns=names)
    name = {"score_samples": "score", "decision_function": "decision"}
    return pd.Series(values, index=X.index, name=name.get(method, "label"))


def _names_out(detector, X):
    """Names of the columns that a transformer returns."""
    try:
        return list(detector.get_feature_names_out())
    # A step that cannot name its columns; there are many ways to say so.
    except (AttributeError, ValueError, NotImplementedError):
        rows = np.zeros((2, X.shape[1]))
        if is_frame(X):
            rows = type(X)(rows, columns=X.columns)
        return list(range(np.asarray(detector.transform(rows)).shape[1]))
