# SPDX-License-Identifier: MIT
"""How far long computations are: told to whoever listens, and shown as bars."""

from contextlib import contextmanager
from contextvars import ContextVar

__all__ = [
    "anybody_listens",
    "counting",
    "listening",
    "showing_bars",
    "silence",
    "tell",
    "telling_a_part",
]


def _nobody(done, total, unit):
    """Nobody listens."""


# Where a computation tells how far it is. As a context variable and not as a parameter,
# since scikit-learn's pipelines and meta-estimators lie in between. Threads that are
# started within tell nobody, except where threads inherit context, as in
# free-threaded Python 3.14.
_listener = ContextVar("listener", default=_nobody)


@contextmanager
def listening(listener):
    """Listen to all computations within.

    Parameters
    ----------
    listener : callable
        Called with the number of items that are done, that of all, and the plural of
        what they are called. Should return fast: a network tells after every batch.
    """
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def anybody_listens():
    """Whether anybody hears what is told."""
    return _listener.get() is not _nobody


def tell(done, total, unit):
    """Tell whoever listens how far a computation is.

    A step that takes long but cannot say how far it is, such as compiling, tells that
    it is 0 of 1, and that it is done.

    Parameters
    ----------
    done : int
        Number of items that are done.
    total : int
        Number of all items, at least 1.
    unit : str
        What they are called, in the plural.
    """
    _listener.get()(done, total, unit)


@contextmanager
def counting(total, unit):
    """Tell of steps, and nothing of what is computed within each.

    Parameters
    ----------
    total : int
        Number of steps.
    unit : str
        What they are called, in the plural.

    Yields
    ------
    tell_done : callable
        To be called with the number of steps that are done.
    """
    outer = _listener.get()
    if total:
        outer(0, total, unit)
    with silence():
        yield lambda done: outer(done, total, unit)


def silence():
    """Tell nothing of what is computed within this context."""
    return listening(_nobody)


@contextmanager
def telling_a_part(done, total):
    """Tell of what is computed within as a part of something larger.

    What is told within is to count the same items; the total told there is ignored.

    Parameters
    ----------
    done : int
        Items of the whole that were done before.
    total : int
        All items of the whole.
    """
    outer = _listener.get()
    with listening(lambda part, _, unit: outer(done + part, total, unit)):
        yield


@contextmanager
def showing_bars(shown, parameter):
    """Show what is told within as bars on the standard error stream.

    Parameters
    ----------
    shown : bool
        False shows nothing.
    parameter : str
        What the user asked for, to name in the message of an error.

    Raises
    ------
    ImportError
        If tqdm is not installed.
    """
    if not shown:
        yield
        return
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise ImportError(
            f"{parameter} needs tqdm, which is not installed. Run 'pip install tqdm'."
        ) from error
    outer, bar, drawn = _listener.get(), None, None

    def draw(done, total, unit):
        nonlocal bar, drawn
        outer(done, total, unit)
        if (total, unit) != drawn or done < bar.n:
            if bar is not None:
                bar.close()
            bar, drawn = tqdm(total=total, unit=f" {unit}"), (total, unit)
        bar.update(done - bar.n)

    try:
        with listening(draw):
            yield
    finally:
        if bar is not None:
            bar.close()
