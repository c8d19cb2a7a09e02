# SPDX-License-Identifier: MIT
"""Time steps in nanoseconds."""

import numpy as np

__all__ = ["show_step", "usual_step"]

_DAY = 86_400 * 10**9


def usual_step(nanoseconds):
    """Return the usual step of sorted times.

    Parameters
    ----------
    nanoseconds : ndarray of int64
        Times in order. Duplicates are ignored.

    Returns
    -------
    step : int or None
        The most frequent step in nanoseconds if it makes up more than half of the
        steps, otherwise the lower median. None if there are fewer than two distinct
        times.
    is_most_frequent : bool
        Whether the step makes up more than half of the steps.
    """
    steps = np.diff(nanoseconds).view(np.uint64)  # also exact beyond 292 years
    steps = np.sort(steps[steps > 0])
    if not len(steps):
        return None, False
    # A step that makes up more than half of the steps is also their median.
    median = steps[(len(steps) - 1) // 2]
    return int(median), 2 * int((steps == median).sum()) > len(steps)


def show_step(nanoseconds):
    """Format a time step for messages."""
    nanoseconds = int(nanoseconds)
    if nanoseconds % 10**9 == 0 and nanoseconds < 120 * 10**9:
        return f"{nanoseconds // 10**9} s"
    if nanoseconds < 10**9:
        return f"{nanoseconds / 10**6:.9g} ms"
    if nanoseconds > 2 * _DAY:
        return f"{nanoseconds / _DAY:.6g} days"
    return f"{nanoseconds / 10**9:.12g} s"
