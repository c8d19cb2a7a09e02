# SPDX-License-Identifier: MIT
"""Check available memory before allocating, and release memory to the system.

Operating systems overcommit memory, and kill the process that uses too much of it.
"""

import ctypes
import os
from contextlib import suppress
from pathlib import Path

__all__ = ["available_memory", "check_memory", "release_memory"]

# Files in which Linux states the memory limit of a control group, its usage, and the
# part that is reclaimable file cache, for both versions of control groups.
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
    """Return the memory that this process can still allocate without swapping.

    Returns
    -------
    n_bytes : int or None
        On Linux, free memory and cache within the limit of a container; on other
        systems, the total memory. None if unknown.
    """
    found = []
    for limit, usage, cache in _CONTROL_GROUPS:
        with suppress(OSError, ValueError):  # no such file, or no limit ("max")
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
    """Return the number after a name in a system file."""
    words = Path(path).read_text().split()
    return int(words[words.index(name) + 1])


def check_memory(needed, what, cure):
    """Raise if a computation needs more memory than available.

    Parameters
    ----------
    needed : int
        Number of bytes.
    what : str
        Description of the computation, the start of the message.
    cure : str
        Advice, a sentence.
    """
    available = available_memory()
    if available is not None and needed > available:
        raise MemoryError(
            f"{what} needs about {needed / 1e9:.1f} GB of memory, but "
            f"{max(available, 0) / 1e9:.1f} GB are available. {cure}"
        )


def release_memory():
    """Release freed memory to the system, if the C library supports it.

    glibc keeps freed memory between blocks that are in use. After compiling, which
    allocates in many threads, that is a third of the total. Other C libraries release
    it automatically.
    """
    with suppress(AttributeError, OSError, TypeError):  # not glibc
        ctypes.CDLL(None).malloc_trim(0)
