# SPDX-License-Identifier: MIT
"""Signals and standard streams of the process."""

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

# Exit code after Ctrl-C, as in shells, and its message.
INTERRUPTED = 130
_FAREWELL = "interrupted\n"

# Signals that ask a program to end, sent by `kill`, by an init system, or when the
# terminal is closed.
_REQUESTS = [
    getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)
]


def open_missing_streams():
    """Replace standard streams that are closed, as by ``tsanomaly … 2>&-``.

    Otherwise the next file that is opened, such as a result, would get the number of
    the stream, and with it the output of other libraries.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            number = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8"))


def drop(stream):
    """Discard everything written to a stream that fails, including its buffer."""
    with suppress(AttributeError, OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class Messages:
    """The stream of messages. It ignores failures to write.

    Parameters
    ----------
    stream : text stream
        Receives the messages until it fails.
    """

    def __init__(self, stream):
        self._stream = stream

    def write(self, text):
        """Write text."""
        with self._forgiven():
            self._stream.write(text)

    def flush(self):
        """Flush the stream."""
        with self._forgiven():
            self._stream.flush()

    def isatty(self):
        """Whether the stream is a terminal."""
        with suppress(ValueError):  # it is closed
            return self._stream.isatty()
        return False

    def fileno(self):
        """Return the file descriptor of the stream."""
        return self._stream.fileno()

    def interrupted(self):
        """Report that the program was interrupted."""
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
    """End the process at once on Ctrl-C, while there is nothing to clean up.

    An exception would usually do. But while modules are imported, it may be printed and
    ignored, or be turned into another error.

    Parameters
    ----------
    is_program : bool
        Whether the process belongs to the program; False changes nothing.
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
    """Turn signals that end the program into SystemExit, so that files are closed.

    The exit code tells which signal ended the program, as in shells.
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
    """Whether the signal has its default handler and may get another one."""
    in_main_thread = threading.current_thread() is threading.main_thread()
    return in_main_thread and signal.getsignal(number) is handler
