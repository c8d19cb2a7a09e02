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

    The result is lazy: nothing is computed until its values are requested.

    Parameters
    ----------
    detector : fitted estimator
        A detector of this library or scikit-learn, or a pipeline that ends in one. The
        number of neighbouring rows that a score depends on must be known; other
        estimators define ``n_context_`` and ``n_lookahead_``.
    X : dask Array or DataFrame of shape (n_timestamps, n_channels)
        Series, rows in time order over all partitions.

    Returns
    -------
    scores : dask Array of shape (n_timestamps,), or Series
        Scores as from ``detector.score_samples`` on all rows at once, within a relative
        or absolute tolerance of 1e-6. The lower, the more abnormal. For a frame, a
        Series with its index and divisions.

    Raises
    ------
    ImportError
        If Dask is not installed.
    TypeError
        If `X` is not a Dask array or DataFrame.
    ValueError
        If `detector` is not a detector, its context is unknown, or the columns of `X`
        differ from those seen during `fit`.
    sklearn.exceptions.NotFittedError
        If `detector` is not fitted.

    See Also
    --------
    fit : Fit a detector on a sample of a Dask collection.

    Notes
    -----
    Each partition is scored together with the rows before it (and after it, if the
    detector looks ahead) that its scores depend on. If a partition is empty or shorter
    than that, rows of further partitions are used. Only these rows are transferred
    between partitions, and the detector once to each worker.

    Partitions should be much longer than a window, because their context is computed
    twice. Errors of the detector, for example about NaN, are raised when the result is
    computed.

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
    """Score each row of a Dask collection relative to the threshold.

    Parameters
    ----------
    detector : fitted estimator
        Detector, as in :func:`score_samples`.
    X : dask Array or DataFrame of shape (n_timestamps, n_channels)
        Series, rows in time order over all partitions.

    Returns
    -------
    decision : dask Array of shape (n_timestamps,), or Series
        Negative for anomalies, NaN at breaks.

    See Also
    --------
    score_samples : Score a collection; describes partitions and errors.

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
    """Label each row of a Dask collection as normal or anomalous.

    Parameters
    ----------
    detector : fitted estimator
        Detector, as in :func:`score_samples`.
    X : dask Array or DataFrame of shape (n_timestamps, n_channels)
        Series, rows in time order over all partitions.

    Returns
    -------
    labels : dask Array of shape (n_timestamps,), or Series
        -1 for anomalies, +1 for normal rows and breaks.

    See Also
    --------
    score_samples : Score a collection; describes partitions and errors.

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
    """Transform each row of a Dask collection.

    Parameters
    ----------
    detector : fitted estimator
        A detector with `transform`, or any fitted transformer or pipeline with a known
        context.
    X : dask Array or DataFrame of shape (n_timestamps, n_channels)
        Series, rows in time order over all partitions.

    Returns
    -------
    errors : dask Array or DataFrame of shape (n_timestamps, n_columns)
        Output as from ``detector.transform`` on all rows at once. The columns of a
        frame are named by ``detector.get_feature_names_out()``, or numbered.

    See Also
    --------
    score_samples : Score a collection; describes partitions and errors.

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
    """Call a method of a fitted estimator on every partition with its context."""
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

    # A single task unpickles the model, and each worker fetches it once. As an argument
    # of the tasks, it would be sent with each of them.
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
    """Return the rows next to each partition: before it if `side` is -1, else after.

    They are passed on from neighbour to neighbour, because the length of a partition is
    known only when it is computed, and may be too short.
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
    """Return a copy of the last rows or, with ``side=1``, the first ones."""
    n_rows = min(n_rows, len(rows))
    chosen = slice(n_rows) if side == 1 else slice(len(rows) - n_rows, None)
    return (rows.iloc[chosen] if is_frame(rows) else rows[chosen]).copy()


def _extend(others, own, n_rows, side):
    """Extend the edge of a partition by rows of further partitions if necessary."""
    if len(own) >= n_rows:
        return own
    return _edge(join([others, own][::-side]), n_rows, side)


def _run(model, method, before, rows, after, sample):
    """Return the results for the rows of a partition."""
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
    # Names of the sample, index of the rows.
    if results.ndim == 1:
        return type(sample)(results, index=rows.index, name=sample.name)
    return type(sample)(results, index=rows.index, columns=sample.columns)


def _type_of(method):
    return np.int64 if method == "predict" else np.float64


def _sample(detector, method, X):
    """Return an empty block of the result with the right type."""
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
    """Return the names of the output columns of a transformer."""
    try:
        return list(detector.get_feature_names_out())
    # Steps that cannot name their columns raise different errors.
    except (AttributeError, ValueError, NotImplementedError):
        rows = np.zeros((2, X.shape[1]))
        if is_frame(X):
            rows = type(X)(rows, columns=X.columns)
        return list(range(np.asarray(detector.transform(rows)).shape[1]))
