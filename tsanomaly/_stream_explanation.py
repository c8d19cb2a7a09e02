# SPDX-License-Identifier: MIT
"""Explanations of rows of a stream: channels, shares and expected readings."""

import numpy as np

from tsanomaly._attribution import channel_errors, expected_readings, occlude
from tsanomaly._explain import name_channels

__all__ = ["expected_or_usual", "explain_rows", "in_context"]


def in_context(scored, positions, as_given):
    """Yield some of the rows that a stream scored, with the rows before them.

    Parameters
    ----------
    scored : _Scored
        Results of the stream for the new rows.
    positions : ndarray of int
        Positions of new rows that have a score, in increasing order.
    as_given : callable
        Converts rows and their times to the input of the detector.

    Yields
    ------
    X : DataFrame or ndarray of shape (n_timestamps, n_channels)
        Rows between two breaks, preceded by those that the stream keeps.
    rows : ndarray of int
        Positions of the requested rows in `X`.
    normal : ndarray of shape (n_timestamps,), dtype=bool
        Rows that are not flagged, except the requested ones.
    """
    for start, rows, times, n_new in scored.pieces:
        inside = positions[(positions >= start) & (positions < start + n_new)]
        if len(inside):
            n_kept = len(rows) - n_new
            flags = scored.flags[start : start + n_new]
            normal = np.concatenate([np.ones(n_kept, dtype=bool), ~flags])
            inside = inside - start + n_kept
            normal[inside] = False
            yield as_given(rows, times), inside, normal


def expected_or_usual(detector, X, rows, normal):
    """Return the reconstruction of rows or, without one, the median of normal rows.

    Parameters
    ----------
    detector : fitted estimator
    X : DataFrame or ndarray of shape (n_timestamps, n_channels)
    rows : ndarray of int
        Rows in increasing order.
    normal : ndarray of shape (n_timestamps,), dtype=bool
        Rows whose median is used.

    Returns
    -------
    expected : ndarray of shape (n_rows, n_channels)
        NaN if there are neither a reconstruction nor normal rows.
    """
    expected = expected_readings(detector, X, rows)
    if expected is None:
        columns = np.asarray(X, dtype=np.float64)[normal].T
        usual = [_median(column) for column in columns]
        expected = np.broadcast_to(usual, (len(rows), len(usual)))
    return expected


def explain_rows(detector, X, rows, normal, names, n_channels):
    """Explain single rows, as `explain` does for the events of a series.

    Parameters
    ----------
    detector : fitted estimator
    X : DataFrame or ndarray of shape (n_timestamps, n_channels)
        The rows, preceded by the context of their scores.
    rows : ndarray of int
        Rows to explain, in increasing order.
    normal : ndarray of shape (n_timestamps,), dtype=bool
        Rows to take substitutes and the median from.
    names : list
        Names of the channels.
    n_channels : int
        Maximum number of channels to name per row.

    Returns
    -------
    explanations : list of dict
        For each row, the lists 'channels', 'shares', 'readings' and 'expected', with
        the largest share first. Expected readings are those of `expected_or_usual`.
    """
    readings = np.asarray(X, dtype=np.float64)
    contributions = channel_errors(detector, X, rows, normal)
    if contributions is None and normal.any():
        contributions = occlude(detector, X, rows, normal)
    if contributions is None:  # nothing to compare with
        contributions = np.zeros((len(rows), readings.shape[1]))
    expected = expected_or_usual(detector, X, rows, normal)
    found = []
    for row, part, wanted in zip(
        rows, np.nan_to_num(contributions), expected, strict=True
    ):
        named = name_channels(part[None], names, n_channels)
        places = [names.index(name) for name in named["channels"]]
        named["readings"] = readings[row, places].tolist()
        named["expected"] = wanted[places].tolist()
        found.append(named)
    return found


def _median(values):
    known = values[~np.isnan(values)]
    return np.median(known) if len(known) else np.nan
