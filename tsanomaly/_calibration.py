# SPDX-License-Identifier: MIT
"""From the distribution of training errors to a threshold."""

import numpy as np

__all__ = ["midway_threshold"]


def midway_threshold(errors, share):
    """Threshold with at most a given share of the errors above it.

    The threshold lies midway between two neighbouring distinct errors, so that
    differences in the last bits (another batch shape, another backend) never move an
    error across it. Where errors tie at the cut, none of the tied is above.

    Parameters
    ----------
    errors : ndarray of shape (n,)
        Finite errors, higher = worse.
    share : float
        Share of the errors that may lie above, in [0, 1). ``floor(share * n)`` of
        them do, unless errors tie. If that is none, the threshold is as far above the
        largest error as half its distance to the next smaller one.

    Returns
    -------
    threshold : float
        An error is flagged if it is larger.
    """
    ordered = np.sort(errors)
    # The small term undoes rounding, as in 0.29 * 100 = 28.999…
    n_above = int(share * len(ordered) + 1e-9)
    below = ordered[-1 - n_above]
    first, end = (
        np.searchsorted(ordered, below),
        np.searchsorted(ordered, below, "right"),
    )
    if end < len(ordered):
        above = ordered[end]
    elif first > 0:
        above = below + (below - ordered[first - 1])
    else:  # constant errors: anything visibly larger is new
        above = below + max(1e-4 * abs(below), np.finfo(np.float64).tiny)
    midway = below + (above - below) / 2
    if end == len(ordered):  # nothing is above: not even rounding may reach `below`
        return float(max(midway, np.nextafter(below, np.inf)))
    # Between adjacent floats the midpoint may round to `above`, which must stay above.
    return float(min(midway, np.nextafter(above, -np.inf)))
