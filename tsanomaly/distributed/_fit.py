# SPDX-License-Identifier: MIT
from numbers import Integral

import numpy as np

from tsanomaly._fleet_tasks import fit_joined
from tsanomaly._inspection import one_model_per_group
from tsanomaly._time_order import warn_if_unordered
from tsanomaly._validation import draw_seed
from tsanomaly.distributed._collections import Partitions, is_frame, join

__all__ = ["fit"]


def fit(detector, X, *, n_blocks=100, block_size=1000, random_state=None):
    """Fit a detector on a sample of a Dask collection.

    The sample are blocks of successive rows, spread over the series, with breaks
    between them. It is brought here, and the detector fitted in this process: what a
    detector of this library learns from a hundred thousand rows, more do not change.

    Parameters
    ----------
    detector : estimator
        An outlier detector, a transformer, or a pipeline. It is fitted itself, as by
        its own `fit`.
    X : dask Array or DataFrame of shape (n_timestamps, n_channels)
        A series, rows in time order over all partitions.
    n_blocks : int, default=100
        Blocks to draw. The series is cut into so many equal parts, and each gives a
        block at a random place.
    block_size : int, default=1000
        Rows of a block: several times the window of the detector. A series of up to
        ``n_blocks * block_size`` rows is taken as a whole.
    random_state : int, RandomState instance or None, default=None
        Controls where the blocks are. What is random in the detector has its own.

    Returns
    -------
    detector : estimator
        The fitted detector.

    Raises
    ------
    ImportError
        If Dask is not installed.
    TypeError
        If `X` is no Dask array or DataFrame.
    ValueError
        If `n_blocks` or `block_size` is no positive integer, `X` has no rows, or
        `detector` is a :class:`~tsanomaly.FleetDetector`. An error of the detector is
        passed on as it is.

    See Also
    --------
    score_samples : Score a Dask collection.
    tsanomaly.FleetDetector : Many detectors; its `fit` runs on a Dask cluster in a
        ``joblib.parallel_config(backend="dask")`` context.

    Examples
    --------
    >>> import dask.array as da
    >>> from tsanomaly.distributed import fit
    >>> from sklearn.ensemble import IsolationForest
    >>> X = da.random.default_rng(0).normal(size=(100_000, 2), chunks=(20_000, 2))
    >>> detector = fit(
    ...     IsolationForest(random_state=0), X, n_blocks=10, random_state=0
    ... )
    >>> detector.n_features_in_
    2
    """
    for name, value in (("n_blocks", n_blocks), ("block_size", block_size)):
        if isinstance(value, bool) or not isinstance(value, Integral) or value < 1:
            raise ValueError(f"{name} must be an integer of at least 1, got {value!r}.")
    partitions = Partitions(X)
    if one_model_per_group(detector):
        raise ValueError(
            f"detector is a {type(detector).__name__}, and a sample of one series is "
            "drawn here. Pass its frame to its own fit, which runs on the workers of "
            "Dask within joblib.parallel_config(backend='dask')."
        )

    import dask

    lengths = partitions.lengths
    if lengths is None:
        lengths = dask.compute(*map(dask.delayed(len), partitions.parts))
    n_rows = sum(lengths)
    if not n_rows:
        raise ValueError("X has no rows to fit on.")
    starts, ends = np.array([0]), np.array([n_rows])
    if n_rows > n_blocks * block_size:
        rng = np.random.default_rng(draw_seed(random_state))
        edges = np.linspace(0, n_rows, n_blocks + 1).astype(np.int64)
        starts = rng.integers(edges[:-1], edges[1:] - block_size, endpoint=True)
        ends = starts + block_size
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    cut = dask.delayed(_cut)
    blocks = []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        first = int(np.searchsorted(offsets, start, side="right")) - 1
        last = int(np.searchsorted(offsets, end, side="left")) - 1
        blocks.append(
            [
                cut(partitions.parts[i], start - offsets[i], end - offsets[i])
                for i in range(first, last + 1)
                if lengths[i]
            ]
        )
    blocks = [join(pieces) for pieces in dask.compute(*blocks)]
    for block in blocks:
        warn_if_unordered(block)
    return fit_joined(detector, blocks)


def _cut(rows, start, end):
    """Some rows of a partition, in a copy that keeps no others."""
    chosen = slice(max(start, 0), end)
    return (rows.iloc[chosen] if is_frame(rows) else rows[chosen]).copy()
