# SPDX-License-Identifier: MIT
"""The partitions of a Dask array or frame, and the way back."""

import numpy as np

from tsanomaly._validation import as_series

__all__ = ["Partitions", "is_frame", "join"]


class Partitions:
    """A series of which each partition holds a stretch.

    Parameters
    ----------
    X : dask Array or DataFrame of shape (n_timestamps, n_channels)
        The series.

    Attributes
    ----------
    parts : list of Delayed
        The partitions, in time order.
    lengths : list of int or None
        Their rows, if they are known without looking.
    sample : ndarray or DataFrame
        What a partition looks like, in type, columns and types of these.
    """

    def __init__(self, X):
        try:
            import dask.array
            import dask.dataframe
            import distributed  # noqa: F401
        except ImportError as error:
            raise ImportError(
                f"tsanomaly.distributed needs {error.name!r}, which is not installed. "
                "Run 'pip install \".[dask]\"' in a checkout of tsanomaly."
            ) from error
        self.X = X
        self.lengths = None
        if isinstance(X, dask.dataframe.DataFrame):
            self.sample = X._meta
            self.parts = X.to_delayed()
        elif isinstance(X, dask.array.Array):
            if X.ndim != 2:
                raise ValueError(
                    "X must have two dimensions, (n_timestamps, n_channels), got "
                    f"{X.ndim}. Reshape a single channel with X.reshape(-1, 1)."
                )
            if X.numblocks[1] > 1:
                X = X.rechunk({1: -1})
            self.sample = np.empty((0, X.shape[1]), dtype=X.dtype)
            self.parts = X.to_delayed().ravel().tolist()
            if not np.isnan(X.chunks[0]).any():
                self.lengths = list(X.chunks[0])
        else:
            raise TypeError(
                "X must be a Dask array or a Dask DataFrame, got "
                f"{type(X).__name__}. What fits into memory goes to the method of the "
                "detector itself."
            )

    def rebuild(self, blocks, sample, name):
        """A collection with a row for each of X, from blocks for its partitions.

        Parameters
        ----------
        blocks : list of Delayed
            One for each partition.
        sample : ndarray, Series or DataFrame
            What a block looks like; of no rows.
        name : str
            Name of the collection.

        Returns
        -------
        collection : dask Array, Series or DataFrame
            With the chunks, or the divisions, of X.
        """
        if not isinstance(sample, np.ndarray):
            import dask.dataframe as dd

            return dd.from_delayed(
                blocks,
                meta=sample,
                divisions=self.X.divisions,
                prefix=name,
                verify_meta=False,
            )
        # Not by from_delayed and concatenate, which leaves out blocks without rows.
        import dask.array as da
        from dask.highlevelgraph import HighLevelGraph

        others = (0,) * (sample.ndim - 1)
        layer = {(name, i, *others): block.key for i, block in enumerate(blocks)}
        lengths = self.lengths or [np.nan] * len(blocks)
        return da.Array(
            HighLevelGraph.from_collections(name, layer, dependencies=blocks),
            name,
            chunks=(tuple(lengths), *((n,) for n in sample.shape[1:])),
            meta=sample,
        )


def is_frame(rows):
    """Whether rows are a frame, and no array."""
    return hasattr(rows, "iloc")


def join(pieces):
    """Rows one after the other, in one array or frame."""
    pieces = [as_series(piece) for piece in pieces]
    if len(pieces) == 1:
        return pieces[0]
    if is_frame(pieces[0]):
        import pandas as pd

        return pd.concat(pieces)
    return np.concatenate(pieces)
