# SPDX-License-Identifier: MIT
"""Tasks for single machines of a fleet, possibly run in other processes."""

import traceback

import numpy as np
from sklearn.base import clone
from sklearn.utils.parallel import delayed

from tsanomaly._cross_fit import fit_cross_fitted
from tsanomaly._hybrid import fit_without
from tsanomaly._validation import find_breaks

__all__ = ["Failure", "apply_one", "fit_joined", "fit_one", "pooled_task"]

# Maximum number of rows that the fallback is fitted on, and minimum number per machine,
# because windows need consecutive rows.
_MOST_POOLED, _LEAST_POOLED = 20_000, 200

# What helps if the rows of several machines, separated by breaks, break a fallback.
_OTHER_FALLBACK = (
    "correct or remove rows, set fallback to None or to a detector that supports breaks"
)


class Failure:
    """Description of an error of a model.

    The exception itself may not be picklable, so it cannot be sent between processes.
    """

    def __init__(self, text, trace="", cure="correct or remove their rows"):
        self.text = text
        self.trace = trace
        self.cure = cure

    @classmethod
    def of(cls, error, **params):
        return cls(
            f"{type(error).__name__}: {error}",
            "".join(traceback.format_exception(error)),
            **params,
        )


def fit_one(detector, X, y, with_labels, n_blocks=None):
    """Fit a detector. Return it with labels of the training rows, or a failure."""
    try:
        if n_blocks is not None:
            return fit_cross_fitted(detector, X, y, n_blocks=n_blocks), None, None
        if with_labels and y is None and hasattr(detector, "fit_predict"):
            return detector, detector.fit_predict(X), None
        # fit_predict of scikit-learn's mixin ignores y.
        detector.fit(X, y)
        return detector, detector.predict(X) if with_labels else None, None
    except Exception as error:  # any error; the other machines still run
        return None, None, Failure.of(error)


def pooled_task(fallback, frame, y, rows, n_blocks=None):
    """Return the task that fits a fallback on some rows of several machines."""
    blocks = _pool(rows)
    return delayed(_fit_pooled)(
        clone(fallback),
        [frame.iloc[block] for block in blocks],
        None if y is None else [y[block] for block in blocks],
        n_blocks,
    )


def _fit_pooled(detector, blocks, ys, n_blocks):
    """Fit a detector on blocks of several series. Return it, or a failure."""
    try:
        return fit_joined(detector, blocks, ys, n_blocks), None, None
    except Exception as error:
        return None, None, Failure.of(error, cure=_OTHER_FALLBACK)


def fit_joined(detector, blocks, ys=None, n_blocks=None):
    """Fit a detector on unconnected pieces of series.

    Parameters
    ----------
    detector : estimator
        Detector, fitted in place.
    blocks : list of DataFrame, or list of ndarray of shape (n_timestamps, n_channels)
        The pieces. They are separated by breaks if the detector uses neighbouring rows.
    ys : list of array-like or None, default=None
        Labels of the rows.
    n_blocks : int or None, default=None
        If given, fit with `fit_cross_fitted` and this number of blocks.

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
    """Call a method of a model. Return its result, or a failure."""
    if model is None:
        return None, Failure(
            "it has no detector of its own, and there is no fallback",
            cure="lower min_rows, set a fallback",
        )
    if isinstance(model, Failure):
        return None, model
    try:
        return np.asarray(getattr(model, method)(X)), None
    except Exception as error:  # any error; the other machines still run
        return None, Failure.of(error)


def _pool(rows):
    """Return the rows of the groups that the fallback is fitted on."""
    most_groups = _MOST_POOLED // _LEAST_POOLED
    if len(rows) > most_groups:
        chosen = np.linspace(0, len(rows) - 1, most_groups).round().astype(np.intp)
        rows = [rows[i] for i in chosen]
    return [r[: max(_MOST_POOLED // len(rows), _LEAST_POOLED)] for r in rows]
