# SPDX-License-Identifier: MIT
"""Report the progress of long computations to listeners and as progress bars."""

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
    """Default listener, which ignores progress."""


# The current listener. It is a context variable and not a parameter, because pipelines
# and meta-estimators of scikit-learn are in between. Threads do not report progress,
# unless they inherit the context, as in free-threaded Python 3.14.
_listener = ContextVar("listener", default=_nobody)


@contextmanager
def listening(listener):
    """Listen to the progress of all computations within this context.

    Parameters
    ----------
    listener : callable
        Called with the number of completed items, the total number, and the unit in
        plural. It should return fast: a network reports after every batch.
    """
    token = _listener.set(listener)
    try:
        yield
    finally:
        _listener.reset(token)


def anybody_listens():
    """Whether there is a listener."""
    return _listener.get() is not _nobody


def tell(done, total, unit):
    """Report the progress of a computation.

    A long step without intermediate progress, such as compiling, reports 0 of 1 and
    then 1 of 1.

    Parameters
    ----------
    done : int
        Number of completed items.
    total : int
        Total number of items, at least 1.
    unit : str
        Unit of the items, in plural.
    """
    _listener.get()(done, total, unit)


@contextmanager
def counting(total, unit):
    """Report the progress of steps, and suppress that of computations within them.

    Parameters
    ----------
    total : int
        Number of steps.
    unit : str
        Unit of the steps, in plural.

    Yields
    ------
    tell_done : callable
        Call it with the number of completed steps.
    """
    outer = _listener.get()
    if total:
        outer(0, total, unit)
    with silence():
        yield lambda done: outer(done, total, unit)


def silence():
    """Suppress the progress of computations within this context."""
    return listening(_nobody)


@contextmanager
def telling_a_part(done, total):
    """Report progress within this context as a part of a larger computation.

    Both must count the same items. Totals reported within are ignored.

    Parameters
    ----------
    done : int
        Number of items completed before.
    total : int
        Total number of items.
    """
    outer = _listener.get()
    with listening(lambda part, _, unit: outer(done + part, total, unit)):
        yield


@contextmanager
def showing_bars(shown, parameter):
    """Show progress within this context as bars on stderr.

    Parameters
    ----------
    shown : bool
        Whether to show progress bars.
    parameter : str
        Parameter set by the user, for the error message.

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
            f"{parameter} requires tqdm, which is not installed. Run "
            "'pip install tqdm'."
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
