# SPDX-License-Identifier: MIT
"""What is abnormal in rows of a stream: channels, their shares, what was expected."""

import numpy as np

from tsanomaly._attribution import channel_errors, expected_readings, occlude
from tsanomaly._explain import name_channels

__all__ = ["explain_rows"]


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
    expected = expected_readings(detector, X, rows)
    if expected is None:
        usual = [_median(column[normal]) for column in readings.T]
        expected = np.broadcast_to(usual, (len(rows), len(usual)))
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
