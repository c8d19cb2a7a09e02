# SPDX-License-Identifier: MIT
"""What is done for one machine of a fleet, in a process of its own perhaps."""

import traceback

import numpy as np
from sklearn.base import clone
from sklearn.utils.parallel import delayed

from tsanomaly._cross_fit import fit_cross_fitted
from tsanomaly._hybrid import fit_without
from tsanomaly._validation import find_breaks

__all__ = ["Failure", "apply_one", "fit_joined", "fit_one", "pooled_task"]

# Rows that the fallback learns from, at most, and the fewest that a group gives to it:
# windows need rows that follow each other.
_MOST_POOLED, _LEAST_POOLED = 20_000, 200


class Failure:
    """Why a model could not be fitted or run.

    Not the exception itself, which may not survive the way from another process.
    """

    def __init__(self, text, trace=""):
        self.text = text
        self.trace = trace

    @classmethod
    def of(cls, error):
        return cls(
            f"{type(error).__name__}: {error}",
            "".join(traceback.format_exception(error)),
        )


def fit_one(detector, X, y, with_labels, n_blocks=None):
    """A fitted detector, the labels of its training rows if wanted; or a failure."""
    try:
        if n_blocks is not None:
            return fit_cross_fitted(detector, X, y, n_blocks=n_blocks), None, None
        if with_labels and y is None and hasattr(detector, "fit_predict"):
            return detector, detector.fit_predict(X), None
        # scikit-learn's mixin would forget y in fit_predict.
        detector.fit(X, y)
        return detector, detector.predict(X) if with_labels else None, None
    except Exception as error:  # whatever it is, the others go on
        return None, None, Failure.of(error)


def pooled_task(fallback, frame, y, rows, n_blocks=None):
    """The task that fits a fallback on some rows of several machines."""
    blocks = _pool(rows)
    return delayed(_fit_pooled)(
        clone(fallback),
        [frame.iloc[block] for block in blocks],
        None if y is None else [y[block] for block in blocks],
        n_blocks,
    )


def _fit_pooled(detector, blocks, ys, n_blocks):
    """A detector that is fitted on blocks of several series; or a failure."""
    try:
        return fit_joined(detector, blocks, ys, n_blocks), None, None
    except Exception as error:
        return None, None, Failure.of(error)


def fit_joined(detector, blocks, ys=None, n_blocks=None):
    """Fit a detector on pieces of series, between which there is nothing.

    Parameters
    ----------
    detector : estimator
        It is fitted in place.
    blocks : list of DataFrame, or list of ndarray of shape (n_timestamps, n_channels)
        The pieces. Breaks go between them, if the detector looks at neighbouring rows.
    ys : list of array-like or None, default=None
        Labels of their rows.
    n_blocks : int or None, default=None
        As of `fit_cross_fitted`, which then fits.

    Returns
    -------
    detector : estimator
        The detector.
    """
    import pandas as pd

    pieces, labels = [], []
    for number, block in enumerate(blocks):
        if number:
            end = pieces[-1][-1:]
            if isinstance(block, pd.DataFrame):
                pieces.append(end.astype(np.float32) * np.nan)
            else:
                pieces.append(np.full(end.shape, np.nan, dtype=np.float32))
            labels.append([0])
        pieces.append(block)
        labels.append([] if ys is None else ys[number])
    is_frame = isinstance(pieces[0], pd.DataFrame)
    joined = pd.concat(pieces) if is_frame else np.concatenate(pieces)
    y = None if ys is None else np.concatenate(labels)
    if n_blocks is not None:
        return fit_cross_fitted(detector, joined, y, n_blocks=n_blocks)
    breaks = find_breaks(joined)
    nothing = np.zeros(len(breaks), dtype=bool)
    return fit_without(detector, joined, y, breaks, nothing, {})


def apply_one(model, method, X):
    """Values of a method of a model; or a failure."""
    if model is None:
        return None, Failure("it has no detector of its own, and there is no fallback")
    try:
        return np.asarray(getattr(model, method)(X)), None
    except Exception as error:  # whatever it is, the others go on
        return None, Failure.of(error)


def _pool(rows):
    """Rows of the groups that the fallback learns from."""
    most_groups = _MOST_POOLED // _LEAST_POOLED
    if len(rows) > most_groups:
        chosen = np.linspace(0, len(rows) - 1, most_groups).round().astype(np.intp)
        rows = [rows[i] for i in chosen]
    return [r[: max(_MOST_POOLED // len(rows), _LEAST_POOLED)] for r in rows]
