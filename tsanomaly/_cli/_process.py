# SPDX-License-Identifier: MIT
"""The process that the program runs in: its signals and standard streams."""

import os
import signal
import sys
import threading
from contextlib import contextmanager, suppress

__all__ = [
    "INTERRUPTED",
    "Messages",
    "drop",
    "ending_in_order",
    "leaving_at_once",
    "open_missing_streams",
]

# Status of a program that Ctrl-C ends, as shells give it, and what it says.
INTERRUPTED = 130
_FAREWELL = "interrupted\n"

# Signals that ask a program to end: from `kill` or an init system, and from a terminal
# that is closed.
_REQUESTS = [
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)
]


def open_missing_streams():
    """Open standard streams that are closed, as of ``tsanomaly … 2>&-``, on nothing.

    Otherwise the next file to be opened, such as a result, gets the number of the
    stream, and whatever other libraries print there.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            number = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8"))


def drop(stream):
    """Write no more to a stream that fails, also not what it still holds at exit."""
    with suppress(AttributeError, OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class Messages:
    """The stream of messages. That nobody can read them is no failure.

    Parameters
    ----------
    stream : text stream
        Where they go, until it fails.
    """

    def __init__(self, stream):
        self._stream = stream

    def write(self, text):
        """Write text."""
        with self._forgiven():
            self._stream.write(text)

    def flush(self):
        """Write what is held back."""
        with self._forgiven():
            self._stream.flush()

    def isatty(self):
        """Whether a terminal shows what is written."""
        with suppress(ValueError):  # it is closed
            return self._stream.isatty()
        return False

    def fileno(self):
        """Number of the stream, as the operating system knows it."""
        return self._stream.fileno()

    def interrupted(self):
        """Say that the program was interrupted."""
        self.write(_FAREWELL)
        self.flush()
        return INTERRUPTED

    @contextmanager
    def _forgiven(self):
        try:
            yield
        except (OSError, ValueError):  # ValueError: it is closed
            drop(self._stream)


@contextmanager
def leaving_at_once(is_program):
    """Have Ctrl-C end the process within, while there is nothing to clean up.

    An exception would do for most of the time. But raised while modules are imported,
    it may also be printed and forgotten, or turned into another error.

    Parameters
    ----------
    is_program : bool
        Whether the process is that of the program; False changes nothing.
    """
    if not (is_program and _handles(signal.SIGINT, signal.default_int_handler)):
        yield
        return
    signal.signal(signal.SIGINT, _leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(*_):
    with suppress(OSError):
        os.write(2, _FAREWELL.encode())
    os._exit(INTERRUPTED)


@contextmanager
def ending_in_order():
    """Have requests to end raise SystemExit within, so that what is open is closed.

    The status is that by which shells tell which signal ended a program.
    """
    numbers = [number for number in _REQUESTS if _handles(number, signal.SIG_DFL)]

    def end(number, _):
        signal.signal(number, signal.SIG_IGN)  # one is enough
        raise SystemExit(128 + number)

    for number in numbers:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)


def _handles(number, handler):
    """Whether a signal is handled so, and may be handled in another way."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    return in_main_thread and signal.getsignal(number) is handler
