# SPDX-License-Identifier: MIT
"""The progress line on a terminal."""

import os
from contextlib import suppress
from threading import Event, Lock, Thread
from time import monotonic

from tsanomaly._cli._text import show, visible

__all__ = ["Progress"]

# Length of a bar in characters, and maximum number of times it is drawn.
_BAR = 20
_STEPS = 200


class Progress:
    """A progress line, shown on terminals only.

    Steps without known progress, such as a call of another library, show after a few
    seconds how long they have taken.

    Parameters
    ----------
    stream : text stream
        Where the line is drawn if it is a terminal.
    output : text stream or None, default=None
        Where `keep` prints; None discards the text.
    patience : float, default=3
        Seconds after which the duration of a step is shown.
    tick : float, default=1
        Seconds between updates of the duration.
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
        """Start a step.

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
        """Show the progress of a step; called by computations.

        Parameters
        ----------
        done, total : int
            Number of items done, and number of all items.
        unit : str
            Name of the items, in the plural.
        """
        # Drawing a bar for each of thousands of batches would only cost time.
        bar = total, unit, _STEPS * done // total
        if bar == self._bar:
            return
        n_full = _BAR * done // total
        cells = "█" * n_full + "░" * (_BAR - n_full)
        with self._lock:
            self._bar, self._end = bar, f" {cells} {done:,} of {total:,} {unit} …"
            self._draw()

    def keep(self, text):
        """Print a part of the result before the command is done.

        Parameters
        ----------
        text : str
            Lines that stay.
        """
        if self._output is not None:
            self.print(text, self._output)

    def note(self, text):
        """Print a message that is not part of the result.

        Parameters
        ----------
        text : str
            Lines that stay.
        """
        self.print(text, self._stream)

    def print(self, text, stream):
        """Print lines above the progress line.

        Parameters
        ----------
        text : str
            The lines.
        stream : text stream
            Where they go.
        """
        with self._lock:
            self._bar = None  # draw it again
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
        # A line that wraps could not be erased.
        room = _count_columns(self._stream) - 1
        line = f"{self._text[: max(room - len(end), 0)]}{end}"[:room]
        self._write(line)

    def _erase(self):
        if self._shown:
            self._write("")

    def _write(self, line):
        print(f"\r\x1b[K{line}", end="", file=self._stream, flush=True)


def _duration(seconds):
    """Format seconds, such as "12 s" or "3 min 5 s"."""
    minutes, seconds = divmod(seconds, 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def _count_columns(terminal):
    """Return the width of a terminal in characters; 80 if it is unknown."""
    with suppress(AttributeError, OSError, ValueError):
        return os.get_terminal_size(terminal.fileno()).columns or 80
    return 80
