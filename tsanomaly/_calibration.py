# SPDX-License-Identifier: MIT
"""From the distribution of training errors to a threshold."""

import numpy as np

__all__ = ["margin", "midway_threshold"]


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
        them do, unless errors tie. If that is none, the threshold is a little above
        the largest error.

    Returns
    -------
    threshold : float
        An error is flagged if it is larger.
    """
    ordered = np.sort(errors)
    # The small term undoes rounding, as in 0.29 * 100 = 28.999…
    n_above = min(int(share * len(ordered) + 1e-9), len(ordered) - 1)
    below = ordered[-1 - n_above]
    position = np.searchsorted(ordered, below, side="right")
    if position == len(ordered):
        return float(below + margin(below, ordered))
    above = ordered[position]
    midway = below + (above - below) / 2
    # Between adjacent floats the midpoint may round to `above`, which must stay above.
    return float(min(midway, np.nextafter(above, -np.inf)))


def margin(error, ordered):
    """A distance from one of the ordered errors that rounding does not cross."""
    largest = max(abs(ordered[0]), abs(ordered[-1]))
    return max(1e-4 * abs(error), 1e-12 * largest, np.finfo(np.float64).tiny)
