# SPDX-License-Identifier: MIT
"""Steps between times, in nanoseconds."""

import numpy as np

__all__ = ["show_step", "usual_step"]

_DAY = 86_400 * 10**9


def usual_step(nanoseconds):
    """The usual distance of sorted times.

    Parameters
    ----------
    nanoseconds : ndarray of int64
        Times in order. Repeated ones do not count.

    Returns
    -------
    step : int or None
        Nanoseconds: the most frequent step if more than half of the steps have it,
        else the median, the shorter one of two. None if there are fewer than two
        different times.
    is_most_frequent : bool
        Whether it is the former.
    """
    steps = np.diff(nanoseconds).view(np.uint64)  # exact beyond 292 years, too
    steps = np.sort(steps[steps > 0])
    if not len(steps):
        return None, False
    # What more than half of the steps have is also their median.
    median = steps[(len(steps) - 1) // 2]
    return int(median), 2 * int((steps == median).sum()) > len(steps)


def show_step(nanoseconds):
    """A distance of times for a message."""
    nanoseconds = int(nanoseconds)
    if nanoseconds % 10**9 == 0 and nanoseconds < 120 * 10**9:
        return f"{nanoseconds // 10**9} s"
    if nanoseconds < 10**9:
        return f"{nanoseconds / 10**6:.9g} ms"
    if nanoseconds > 2 * _DAY:
        return f"{nanoseconds / _DAY:.6g} days"
    return f"{nanoseconds / 10**9:.12g} s"
