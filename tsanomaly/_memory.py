# SPDX-License-Identifier: MIT
"""Refuse what would not fit into memory, before any of it is taken, and give it back.

Operating systems promise more memory than they have, and end the process that uses it.
"""

import ctypes
import os
from contextlib import suppress
from pathlib import Path

__all__ = ["available_memory", "check_memory", "release_memory"]

# Where Linux says how much a control group may use, how much it does, and how much of
# that is a cache of files that it would give up; in both versions of control groups.
_CONTROL_GROUPS = (
    (
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory.current",
        ("/sys/fs/cgroup/memory.stat", ("inactive_file", "active_file")),
    ),
    (
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
        "/sys/fs/cgroup/memory/memory.usage_in_bytes",
        (
            "/sys/fs/cgroup/memory/memory.stat",
            ("total_inactive_file", "total_active_file"),
        ),
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
    for limit, usage, cache in _CONTROL_GROUPS:
        with suppress(OSError, ValueError):  # there is none, or it says "max"
            used = int(Path(usage).read_text())
            used -= sum(_read_number(cache[0], name) for name in cache[1])
            found.append(int(Path(limit).read_text()) - used)
    try:
        found.append(1024 * _read_number("/proc/meminfo", "MemAvailable:"))
    except (OSError, ValueError):
        with suppress(AttributeError, OSError, ValueError):
            found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    return min(found, default=None)


def _read_number(path, name):
    """The number that follows a name in a file of the system."""
    words = Path(path).read_text().split()
    return int(words[words.index(name) + 1])


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


def release_memory():
    """Give memory that is free back to the system, as far as the C library can.

    glibc keeps what was freed between pieces that are in use: after compiling, whose
    pieces come from many threads, that is a third of all. Others give it back anyway.
    """
    with suppress(AttributeError, OSError, TypeError):  # it is another library
        ctypes.CDLL(None).malloc_trim(0)
