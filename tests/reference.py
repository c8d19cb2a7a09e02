# SPDX-License-Identifier: MIT
"""Slow, obvious loops: the oracle for the fast code."""

import numpy as np


def trailing_window(X, row, window_size, breaks=None):
    """Window that ends at a row, padded with the first row of its stretch."""
    first = 0
    for earlier in range(row):
        if breaks is not None and breaks[earlier]:
            first = earlier + 1
    rows = [max(row - age, first) for age in reversed(range(window_size))]
    return np.array([X[r] for r in rows])


def flat_windows(X, window_size):
    """What WindowTransformer returns."""
    return np.array([trailing_window(X, t, window_size).ravel() for t in range(len(X))])


def merged(values, n_timestamps, stride):
    """What merge_windows returns, for values of shape (n_windows, window_size)."""
    found = [[] for _ in range(n_timestamps)]
    for i, window in enumerate(values):
        for j, value in enumerate(window):
            found[i * stride + j].append(value)
    return np.array([np.mean(values) if values else np.nan for values in found])


def row_errors(X, reconstruct, window_size, rule, stride=1, breaks=None):
    """Errors of a function that maps windows to windows, row by row."""
    if breaks is None:
        breaks = np.zeros(len(X), dtype=bool)
    X = np.asarray(X, dtype=np.float32)
    rows = range(len(X))
    windows = np.array([trailing_window(X, t, window_size, breaks) for t in rows])
    outputs = reconstruct(np.nan_to_num(windows)).astype(np.float64)
    errors = [[] for _ in X]
    first = 0
    for t in rows:
        if breaks[t]:
            first = t + 1
            continue
        squared = (windows[t] - outputs[t]) ** 2
        if rule == "last":
            errors[t].append(squared[-1])
        elif rule == "window_mean":
            errors[t].append(squared.mean(axis=0))
        else:
            ends = t + 1 == len(X) or breaks[t + 1]
            if (t - first) % stride == 0 or ends:
                for j in range(window_size):
                    if t - window_size + 1 + j >= first:
                        errors[t - window_size + 1 + j].append(squared[j])
    return np.array(
        [np.mean(e, axis=0) if e else np.full(X.shape[1], np.nan) for e in errors]
    )


def best_f_score(errors, y, beta):
    """Best F-beta of all thresholds, by trying them."""
    best = 0.0
    for cut in errors:
        flagged = errors >= cut
        found = (flagged & y).sum()
        precision, recall = found / flagged.sum(), found / y.sum()
        if found:
            score = (1 + beta**2) * precision * recall
            best = max(best, score / (beta**2 * precision + recall))
    return best
