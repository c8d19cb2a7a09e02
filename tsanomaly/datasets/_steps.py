# SPDX-License-Identifier: MIT
"""Time steps in nanoseconds."""

import numpy as np

__all__ = ["show_step", "usual_step"]

_DAY = 86_400 * 10**9
_SHORT_UNITS = (("s", 10**9), ("ms", 10**6), ("µs", 10**3), ("ns", 1))


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
    """Format a time step with its two largest units, such as "16 h 1 min".

    Units of which there are none do not count: "1 day 9 min".
    """
    days, rest = divmod(int(nanoseconds), _DAY)
    hours, rest = divmod(rest, 3600 * 10**9)
    minutes, rest = divmod(rest, 60 * 10**9)
    unit, size = next((u for u in _SHORT_UNITS if rest >= u[1]), _SHORT_UNITS[0])
    parts = [
        f"{days:,} day{'' if days == 1 else 's'}" if days else "",
        f"{hours} h" if hours else "",
        f"{minutes} min" if minutes else "",
        f"{rest / size:.9g} {unit}" if rest else "",
    ]
    return " ".join([part for part in parts if part][:2]) or "0 s"
