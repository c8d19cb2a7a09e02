# SPDX-License-Identifier: MIT
"""Refuse what would not fit into memory, before any of it is taken.

Operating systems promise more memory than they have, and end the process that uses it.
"""

import os
from contextlib import suppress
from pathlib import Path

__all__ = ["available_memory", "check_memory"]

# How much a control group may use and how much it does, in both versions of Linux.
_CONTROL_GROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
    ),
)


def available_memory():
    """Memory that this process could still take, without swapping.

    Returns
    -------
    n_bytes : int or None
        On Linux what is free or held as cache, and within the limit of a container; on
        other systems all there is. None if the system does not say.
    """
    found = []
    for limit, usage in _CONTROL_GROUPS:
        try:
            found.append(int(Path(limit).read_text()) - int(Path(usage).read_text()))
        except (OSError, ValueError):  # none, or "max"
            continue
    try:
        text = Path("/proc/meminfo").read_text()
        found.append(1024 * int(text.split("MemAvailable:")[1].split()[0]))
    except (OSError, ValueError, IndexError):
        with suppress(AttributeError, OSError, ValueError):
            found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(found, default=None)


def check_memory(needed, what, cure):
    """Raise if something needs more memory than there is.

    Parameters
    ----------
    needed : int
        Bytes.
    what : str
        What needs them: the start of the message.
    cure : str
        What to do about it: a sentence.
    """
    available = available_memory()
    if available is not None and needed > available:
        raise MemoryError(
            f"{what} needs about {needed / 1e9:.1f} GB of memory, and "
            f"{max(available, 0) / 1e9:.1f} GB are available. {cure}"
        )
