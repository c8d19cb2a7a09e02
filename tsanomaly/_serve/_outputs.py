# SPDX-License-Identifier: MIT
"""Where alarms go to: lines, a file, a webhook. Each is told every event once.

Events wait in the state of the watch until they are handed over, so that neither a kill
nor a receiver that is away loses any. Only a file tells what it holds already; to any
other receiver, an event that a kill came upon is sent again, with the same number.
"""

import json
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

__all__ = ["Deliveries", "FileOutput", "LinesOutput", "WebhookOutput"]

# Seconds to wait for a receiver, between two tries, and between them at most.
_TIMEOUT, _FIRST_PAUSE, _LONGEST_PAUSE = 10, 1, 60

# Events that a webhook gets at once, at most.
_AT_ONCE = 100


def _as_line(event):
    # In ASCII: nothing is left that a terminal obeys.
    return json.dumps(event, allow_nan=False)


class LinesOutput:
    """Events as lines that are printed.

    Parameters
    ----------
    print_line : callable
        Called with a text.
    """

    name, waits = "-", False

    def __init__(self, print_line):
        self._print_line = print_line

    def last(self, watch):
        """Number of the last event that is known to have arrived."""

    def send(self, events):
        """Hand events over."""
        for event in events:
            self._print_line(_as_line(event))


class FileOutput:
    """Events as lines at the end of a file.

    Parameters
    ----------
    path : str or Path
    """

    waits = False

    def __init__(self, path):
        self._path = Path(path)
        self.name = f"file {self._path.resolve()}"

    def last(self, watch):
        """Number of the last event of a watch in the file; what was cut is removed."""
        try:
            with open(self._path, "r+b") as file:
                size = file.seek(0, 2)
                start = max(size - 2**20, 0)
                file.seek(start)
                tail = file.read()
                whole = tail[: tail.rfind(b"\n") + 1]
                if len(whole) < len(tail):
                    file.truncate(start + len(whole))
        except FileNotFoundError:
            self.send([])  # an empty file, if there can be one
            return None
        for line in reversed(whole.splitlines()):
            with suppress(ValueError, KeyError, TypeError):
                event = json.loads(line)
                if event["watch"] == watch:
                    return int(event["event"])
        return None

    def send(self, events):
        """Hand events over."""
        lines = "".join(f"{_as_line(event)}\n" for event in events)
        with open(self._path, "ab") as file:
            file.write(lines.encode())


class WebhookOutput:
    """Events as the JSON body of requests: ``{"events": [...]}``.

    Parameters
    ----------
    url : str
    """

    waits = True

    def __init__(self, url):
        self._url = url
        self.name = f"webhook {url}"

    def last(self, watch):
        """Number of the last event that is known to have arrived."""

    def send(self, events):
        """Hand events over.

        Raises
        ------
        OSError
            If the receiver does not answer with a status from 200 to 299.
        """
        request = urllib.request.Request(
            self._url,
            data=json.dumps({"events": events}, allow_nan=False).encode(),
            headers={"Content-Type": "application/json", "User-Agent": "tsanomaly"},
        )
        with urllib.request.urlopen(request, timeout=_TIMEOUT):
            pass


class Deliveries:
    """Hands events over, in their order.

    Parameters
    ----------
    state : State
    outputs : list of outputs
    warn : callable
        Called with a text where a receiver is away.
    first_pause : float, default=1
        Seconds until a receiver that is away is tried again; then twice as many.
    """

    def __init__(self, state, outputs, warn, first_pause=_FIRST_PAUSE):
        self._state = state
        self._warn = warn
        self._first_pause = first_pause
        self._names = [output.name for output in outputs]
        self._prompt = [output for output in outputs if not output.waits]
        self._is_over = threading.Event()
        self._threads, self._news = [], []
        for output in outputs:
            self._begin(output)
        for output in outputs:
            if output.waits:
                news = threading.Event()
                news.set()  # what another process has left
                thread = threading.Thread(
                    target=self._keep_trying, args=(output, news), daemon=True
                )
                self._news.append(news)
                self._threads.append(thread)
                thread.start()

    def tell(self):
        """Hand over what is new: lines at once, the rest as receivers take it.

        Raises
        ------
        OSError
            If lines cannot be written. The next call tries again.
        """
        for output in self._prompt:
            self._deliver(output)
        for news in self._news:
            news.set()

    def close(self, patience=5):
        """Try to hand over what is left, for some seconds; it stays in the state."""
        self._is_over.set()
        for news in self._news:
            news.set()
        for thread in self._threads:
            thread.join(patience)

    def n_waiting(self):
        """How many events wait, by the name of the receiver."""
        last = self._state.last_event()
        return {name: last - self._state.told(name) for name in self._names}

    def _begin(self, output):
        """Find out what an output was told."""
        told = self._state.told(output.name)
        arrived = output.last(self._state.watch)
        if told is None:  # it gets what comes from now on
            told = self._state.last_event()
        self._state.set_told(output.name, max(told, arrived or 0))

    def _deliver(self, output):
        after = self._state.told(output.name)
        while events := self._state.events(after, _AT_ONCE):
            output.send(events)
            after = events[-1]["event"]
            self._state.set_told(output.name, after)

    def _keep_trying(self, output, news):
        """Hand events over whenever there are some, until the watch is over."""
        pause = self._first_pause
        while True:
            news.wait()
            news.clear()
            try:
                self._deliver(output)
                pause = self._first_pause
            # Whatever a receiver or its library does wrong, the next may do right.
            except Exception as error:
                if pause == self._first_pause:
                    self._warn(
                        f"{output.name} takes no events: {_reason(error)}. They wait, "
                        "and are sent again."
                    )
                if self._is_over.wait(pause):
                    return
                pause = min(2 * pause, _LONGEST_PAUSE)
                news.set()
            if self._is_over.is_set() and not news.is_set():
                return


def _reason(error):
    if isinstance(error, urllib.error.HTTPError):
        return f"it answers {error.code}"
    return str(getattr(error, "reason", error)) or type(error).__name__
