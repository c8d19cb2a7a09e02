# SPDX-License-Identifier: MIT
"""What is abnormal in rows of a stream: channels, their shares, what was expected."""

import numpy as np

from tsanomaly._attribution import channel_errors, expected_readings, occlude
from tsanomaly._explain import name_channels

__all__ = ["expected_or_usual", "explain_rows", "in_context"]


def in_context(scored, positions, as_given):
    """Some of the rows that a stream scored, with those before them.

    Parameters
    ----------
    scored : _Scored
        What the stream says of the new rows.
    positions : ndarray of int
        Of new rows that have a score, in increasing order.
    as_given : callable
        From rows and their times to what the detector takes.

    Yields
    ------
    X : DataFrame or ndarray of shape (n_timestamps, n_channels)
        Rows between two breaks, after those that the stream keeps.
    rows : ndarray of int
        Where the wanted ones are among them.
    normal : ndarray of shape (n_timestamps,), dtype=bool
        Rows that are not flagged, without the wanted ones.
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
    """What was expected of rows: the reconstruction, or the median of normal rows.

    Parameters
    ----------
    detector : fitted estimator
    X : DataFrame or ndarray of shape (n_timestamps, n_channels)
    rows : ndarray of int
        In increasing order.
    normal : ndarray of shape (n_timestamps,), dtype=bool
        Rows that show what is usual.

    Returns
    -------
    expected : ndarray of shape (n_rows, n_channels)
        NaN without a reconstruction, if there are no normal rows.
    """
    expected = expected_readings(detector, X, rows)
    if expected is None:
        columns = np.asarray(X, dtype=np.float64)[normal].T
        usual = [_median(column) for column in columns]
        expected = np.broadcast_to(usual, (len(rows), len(usual)))
    return expected


def explain_rows(detector, X, rows, normal, names, n_channels):
    """Explain rows one by one, as `explain` explains the events of a series.

    Parameters
    ----------
    detector : fitted estimator
    X : DataFrame or ndarray of shape (n_timestamps, n_channels)
        The rows, with the context of their scores before them.
    rows : ndarray of int
        Those to explain, in increasing order.
    normal : ndarray of shape (n_timestamps,), dtype=bool
        Rows that show what is usual.
    names : list
        Of the channels.
    n_channels : int
        How many to name, at most.

    Returns
    -------
    explanations : list of dict
        For each of the rows the lists 'channels', 'shares', 'readings' and 'expected',
        the channel with the largest share first. What was expected is the
        reconstruction; without one, the median of normal rows, NaN if there are none.
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
