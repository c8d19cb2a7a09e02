# SPDX-License-Identifier: MIT
"""Split Dask collections into partitions, and rebuild them."""

import numpy as np

from tsanomaly._validation import as_series

__all__ = ["Partitions", "cut", "is_frame", "join"]


class Partitions:
    """A series whose partitions are consecutive ranges of rows.

    Parameters
    ----------
    X : dask Array or DataFrame of shape (n_timestamps, n_channels)
        The series.
    argument : str, default="X"
        Name of the parameter, for messages.
    in_memory : str, default="the method of the detector"
        What to call for a series in memory, for messages.

    Attributes
    ----------
    parts : list of Delayed
        Partitions in time order.
    lengths : list of int or None
        Numbers of rows of the partitions, if known without computing them.
    sample : ndarray or DataFrame
        Empty partition with the right type, columns and dtypes.
    """

    def __init__(self, X, argument="X", in_memory="the method of the detector"):
        try:
            import dask.array
            import dask.dataframe
            import distributed  # noqa: F401
        except ImportError as error:
            raise ImportError(
                f"tsanomaly.distributed requires {error.name!r}, which is not "
                "installed. Run 'pip install \"dask[dataframe]\" distributed'."
            ) from error
        self.X = X
        self.lengths = None
        if isinstance(X, dask.dataframe.DataFrame):
            self.sample = X._meta
            self.parts = X.to_delayed()
        elif isinstance(X, dask.array.Array):
            if X.ndim != 2:
                raise ValueError(
                    f"{argument} must have two dimensions, (n_timestamps, n_channels), "
                    f"got {X.ndim}. Reshape a single channel with "
                    f"{argument}.reshape(-1, 1)."
                )
            if X.numblocks[1] > 1:
                X = X.rechunk({1: -1})
            self.sample = np.empty((0, X.shape[1]), dtype=X.dtype)
            self.parts = X.to_delayed().ravel().tolist()
            if not np.isnan(X.chunks[0]).any():
                self.lengths = list(X.chunks[0])
        else:
            raise TypeError(
                f"{argument} must be a Dask array or a Dask DataFrame, got "
                f"{type(X).__name__}. For data that fits in memory, call {in_memory}."
            )

    def rebuild(self, blocks, sample, name):
        """Make a collection from the results of all partitions.

        Parameters
        ----------
        blocks : list of Delayed
            One result per partition.
        sample : ndarray, Series or DataFrame
            Empty block with the right type.
        name : str
            Name of the collection.

        Returns
        -------
        collection : dask Array, Series or DataFrame
            Collection with the chunks or divisions of X.
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
        # Not with from_delayed and concatenate, which drop blocks without rows.
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
    """Whether rows are a frame rather than an array."""
    return hasattr(rows, "iloc")


def join(pieces):
    """Concatenate pieces into one array or frame."""
    pieces = [as_series(piece) for piece in pieces]
    if len(pieces) == 1:
        return pieces[0]
    if is_frame(pieces[0]):
        import pandas as pd

        return pd.concat(pieces)
    return np.concatenate(pieces)


def cut(parts, lengths, starts, ends):
    """Load ranges of rows, of which each may lie in several partitions.

    Parameters
    ----------
    parts : list of Delayed
        Partitions in time order.
    lengths : sequence of int
        Their numbers of rows.
    starts, ends : ndarray of int
        First row of each range, and the row after the last.

    Returns
    -------
    ranges : list of ndarray or DataFrame
    """
    import dask

    offsets = np.concatenate([[0], np.cumsum(lengths)])
    piece = dask.delayed(_cut)
    ranges = []
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        first = int(np.searchsorted(offsets, start, side="right")) - 1
        last = int(np.searchsorted(offsets, end, side="left")) - 1
        ranges.append(
            [
                piece(parts[i], start - offsets[i], end - offsets[i])
                for i in range(first, last + 1)
                if lengths[i]
            ]
        )
    return [join(pieces) for pieces in dask.compute(*ranges)]


def _cut(rows, start, end):
    """Return a copy of some rows of a partition."""
    chosen = slice(max(start, 0), end)
    return (rows.iloc[chosen] if is_frame(rows) else rows[chosen]).copy()
