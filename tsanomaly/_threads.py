# SPDX-License-Identifier: MIT
"""Run a function in several threads, and linear algebra in one."""

import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from itertools import chain, islice

import joblib
from threadpoolctl import ThreadpoolController

__all__ = ["in_one_thread", "side_by_side", "together"]

# Maximum number of threads.
_MOST_THREADS = 8

# With fewer rows, starting threads takes longer than they save.
_FEWEST_ROWS = 1024

_lock = threading.Lock()
_limits = []  # that of the process, once for each user


def side_by_side(function, items):
    """Yield the results of a function in order, computed by several threads.

    Only a few items are taken, and results computed, ahead, so that memory is bounded.

    Parameters
    ----------
    function : callable
        Takes an item. It should spend its time outside of the interpreter's lock.
    items : iterable

    Yields
    ------
    result : object
        Result for the next item.
    """
    items = iter(items)
    first = list(islice(items, 2))
    items = chain(first, items)
    n_threads = min(joblib.cpu_count(), _MOST_THREADS)
    if n_threads < 2 or len(first) < 2:
        yield from map(function, items)
        return
    pool = ThreadPoolExecutor(n_threads, thread_name_prefix="tsanomaly")
    ahead = deque()
    try:
        for item in items:
            ahead.append(pool.submit(function, item))
            if len(ahead) > 2 * n_threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def together(functions, n_rows):
    """Call functions at the same time, and return their results in order.

    The last one is called in this thread, so that it can report progress, and the
    others in threads of their own, with linear algebra in one thread each.

    Parameters
    ----------
    functions : list of callable
        They should spend their time outside of the interpreter's lock.
    n_rows : int
        Number of rows that they work on. If there are few, they are called in turn.

    Raises
    ------
    Exception
        That of the last function, or else that of the first one which failed, after all
        of them have ended.
    """
    *others, last = functions
    if not others or n_rows < _FEWEST_ROWS or joblib.cpu_count() < 2:
        return [function() for function in functions]
    pool = ThreadPoolExecutor(len(others), thread_name_prefix="tsanomaly")
    with in_one_thread(), pool:
        results = [pool.submit(function) for function in others]
        result = last()
        return [*(other.result() for other in results), result]


@contextmanager
def in_one_thread():
    """Run linear algebra in one thread, if threadpoolctl can limit it.

    With several threads, the last digits of results depend on the number of threads,
    and the result of training depends on these digits: a worker process, in which
    joblib allows fewer threads, would train a different network. For few channels,
    several threads are not faster either, and `side_by_side` has its own.

    The limit applies to the whole process. The first thread sets it, and the last one
    to leave restores what was before.
    """
    with _lock:
        if not _limits:
            _limits.append(_thread_pools().limit(limits=1, user_api="blas"))
        else:
            _limits.append(_limits[0])
    try:
        yield
    finally:
        with _lock:
            limit = _limits.pop()
            if not _limits:
                limit.restore_original_limits()


@cache
def _thread_pools():
    # Cached, because the lookup takes as long as PCA, and called after the libraries
    # that it finds are loaded.
    return ThreadpoolController()
