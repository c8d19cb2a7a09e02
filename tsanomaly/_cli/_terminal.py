# SPDX-License-Identifier: MIT
"""The line on a terminal that says what is going on, and how far it is."""

import os
from contextlib import suppress
from threading import Event, Lock, Thread
from time import monotonic

from tsanomaly._cli._text import show, visible

__all__ = ["Progress"]

# Characters of a bar, and how often it is drawn from start to end.
_BAR = 20
_STEPS = 200


class Progress:
    """One line that says what is going on, and how far, on a terminal only.

    Steps that cannot tell how far they are, such as a call of another library, show
    after a few seconds how long they have taken, so that it is seen that they go on.

    Parameters
    ----------
    stream : text stream
        Where the line is drawn, if it is a terminal.
    output : text stream or None, default=None
        Where `keep` prints. None: nowhere.
    patience : float, default=3
        Seconds until it is shown how long a step has taken.
    tick : float, default=1
        Seconds between two looks at the clock.
    """

    def __init__(self, stream, output=None, *, patience=3, tick=1):
        self._stream = stream
        self._output = output
        self._patience = patience
        self._tick = tick
        self._shown = stream.isatty()
        self._text = ""
        self._bar = None
        self._end = ""
        self._start = 0.0
        self._lock = Lock()  # the clock ticks in a thread of its own
        self._over = Event()
        self._clock = Thread(target=self._watch_the_clock, daemon=True)

    def __enter__(self):
        if self._shown:
            self._clock.start()
        return self

    def __exit__(self, *_):
        self._over.set()
        with self._lock:
            self._text = ""
            self._erase()

    def __call__(self, text):
        """Say what is going on from now on.

        Parameters
        ----------
        text : str
            Such as "reading plant.csv".
        """
        with self._lock:
            self._text, self._bar, self._end = visible(text), None, " …"
            self._start = monotonic()
            self._draw()

    def advance(self, done, total, unit):
        """Say how far it is: a listener of what computations tell.

        Parameters
        ----------
        done, total : int
            Number of items that are done, and of all.
        unit : str
            What they are called, in the plural.
        """
        # A bar for each of thousands of batches would cost time and show no more.
        bar = total, unit, _STEPS * done // total
        if bar == self._bar:
            return
        n_full = _BAR * done // total
        cells = "█" * n_full + "░" * (_BAR - n_full)
        with self._lock:
            self._bar, self._end = bar, f" {cells} {done:,} of {total:,} {unit} …"
            self._draw()

    def keep(self, text):
        """Print what a command has to say before it is done.

        Parameters
        ----------
        text : str
            Lines that stay.
        """
        if self._output is not None:
            self.print(text, self._output)

    def note(self, text):
        """Print what is to be known and is no result, beside it.

        Parameters
        ----------
        text : str
            Lines that stay.
        """
        self.print(text, self._stream)

    def print(self, text, stream):
        """Print lines in the place of the line, which comes back below.

        Parameters
        ----------
        text : str
            The lines.
        stream : text stream
            Where they go.
        """
        with self._lock:
            self._bar = None  # to be drawn again
            self._erase()
            show(text, stream)

    def _watch_the_clock(self):
        while not self._over.wait(self._tick):
            with self._lock:
                if self._text and not self._over.is_set():
                    self._draw()

    def _draw(self):
        if not self._shown:
            return
        end, seconds = self._end, monotonic() - self._start
        if seconds >= self._patience:
            end += f" {_duration(int(seconds))}"
        # What went on in a second line of the terminal could not be erased.
        room = _count_columns(self._stream) - 1
        line = f"{self._text[: max(room - len(end), 0)]}{end}"[:room]
        self._write(line)

    def _erase(self):
        if self._shown:
            self._write("")

    def _write(self, line):
        print(f"\r\x1b[K{line}", end="", file=self._stream, flush=True)


def _duration(seconds):
    """Seconds as people say them, such as "12 s" or "3 min 5 s"."""
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def _count_columns(terminal):
    """Width of a terminal in characters, or 80 where it does not say."""
    with suppress(AttributeError, OSError, ValueError):
        return os.get_terminal_size(terminal.fileno()).columns or 80
    return 80
