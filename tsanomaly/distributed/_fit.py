# SPDX-License-Identifier: MIT
from numbers import Integral

import numpy as np

from tsanomaly._fleet_tasks import fit_joined
from tsanomaly._inspection import one_model_per_group
from tsanomaly._time_order import warn_if_unordered
from tsanomaly._validation import draw_seed
from tsanomaly.distributed._collections import Partitions, cut

__all__ = ["fit"]


def fit(detector, X, *, n_blocks=100, block_size=1000, random_state=None):
    """Fit a detector on a sample of a Dask collection.

    The sample consists of blocks of consecutive rows from all parts of the series,
    separated by breaks. It is loaded into this process, where the detector is fitted.
    More than a hundred thousand rows do not improve the detectors of this library.

    Parameters
    ----------
    detector : estimator
        An outlier detector, a transformer, or a pipeline. It is fitted in place.
    X : dask Array or DataFrame of shape (n_timestamps, n_channels)
        Series, rows in time order over all partitions.
    n_blocks : int, default=100
        Number of blocks. The series is divided into this number of equal parts, and one
        block is drawn at random from each.
    block_size : int, default=1000
        Number of rows per block, which should be several times the window size of the
        detector. Series of up to ``n_blocks * block_size`` rows are used completely.
    random_state : int, RandomState instance or None, default=None
        Controls the positions of the blocks. The detector has its own `random_state`.

    Returns
    -------
    detector : estimator
        The fitted detector.

    Raises
    ------
    ImportError
        If Dask is not installed.
    TypeError
        If `X` is not a Dask array or DataFrame.
    ValueError
        If `n_blocks` or `block_size` is not a positive integer, `X` has no rows, or
        `detector` is a :class:`~tsanomaly.FleetDetector`. Also if `fit` of the detector
        raises.

    See Also
    --------
    score_samples : Score a Dask collection.
    tsanomaly.FleetDetector : Fit one detector per machine. Its `fit` runs on a Dask
        cluster in a ``joblib.parallel_config(backend="dask")`` context.

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
            f"detector is a {type(detector).__name__}, but this function samples a "
            "single series. Pass the frame to its own fit, which runs on Dask workers "
            "within joblib.parallel_config(backend='dask')."
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
    blocks = cut(partitions.parts, lengths, starts, ends)
    for block in blocks:
        warn_if_unordered(block)
    return fit_joined(detector, blocks)
