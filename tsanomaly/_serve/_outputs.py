# SPDX-License-Identifier: MIT
"""Where alarms go to: lines, a file, a webhook. Each is told every event once.

Events wait in the state of the watch until they are handed over, so that neither a kill
nor a receiver that is away loses any. Only a file tells what it holds already; to any
other receiver, an event that a kill came upon is sent again, with the same number.
"""

import json
import os
import stat
import threading
import urllib.error
import urllib.request
from collections import Counter
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from urllib.parse import urlsplit

from tsanomaly._parameter_error import Parameter, ParameterError

__all__ = ["Deliveries", "FileOutput", "LinesOutput", "WebhookOutput"]

# Seconds to wait for a receiver, between two tries, and between them at most.
_TIMEOUT, _FIRST_PAUSE, _LONGEST_PAUSE = 10, 1, 60

# Events that a webhook gets at once, at most.
_AT_ONCE = 100

# How every line of a file of events begins.
_BEGIN = b'{"event": '


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

    name, place, waits = "-", "the output of lines", False

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
        self.place = f"file {path}"

    def last(self, watch):
        """Number of the last event of a watch in the file; what was cut is removed.

        Raises
        ------
        ParameterError
            If the last line has no end and is none of an event.
        """
        try:
            with open(self._path, "r+b") as file:
                size = file.seek(0, 2)
                start = max(size - 2**20, 0)
                file.seek(start)
                tail = file.read(size - start)  # of a device, nothing
                whole = tail[: tail.rfind(b"\n") + 1]
                if cut := tail[len(whole) :]:
                    # Only the rest of an event is removed, never what others wrote.
                    if not (cut.startswith(_BEGIN) or _BEGIN.startswith(cut)):
                        raise ParameterError(
                            Parameter("outputs", str(self._path)),
                            " ends with what is no event, and without the end of a "
                            "line. Name a file of events, or a new one.",
                        )
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
        lines = "".join(f"{_as_line(event)}\n" for event in events).encode()
        # Without a buffer, which would be written after all when the file is closed.
        with open(self._path, "ab", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            try:
                while lines:
                    lines = lines[file.write(lines) :]
                if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    os.fsync(file.fileno())
            except BaseException:
                # They are all written again: none may stay, nor a part of one.
                with suppress(OSError):
                    file.truncate(size)
                raise


class _NoRedirections(urllib.request.HTTPRedirectHandler):
    """Takes a redirection for an error: it would be followed without the events."""

    def redirect_request(self, *_):
        """Return None, which is no request."""


class WebhookOutput:
    """Events as the JSON body of requests: ``{"events": [...]}``.

    Of the URL, which may hold a secret, only the scheme and the host are told, and
    only a hash of it is kept.

    Parameters
    ----------
    url : str

    Raises
    ------
    ParameterError
        If there can be no receiver at the URL.
    """

    waits = True

    def __init__(self, url):
        parts = urlsplit(url)
        scheme, host = parts.scheme, parts.netloc.rpartition("@")[2]
        # Other errors would come with the request, and some with all of the URL.
        if not (host and url.isascii() and url.isprintable()) or " " in url:
            fault = " holds no host, or characters that an address cannot have."
            cure = " Pass https://HOST[:PORT]/PATH, with other characters as %XX."
        elif host != parts.netloc:
            fault = " holds the name of a user, which is not sent."
            cure = " Pass what the receiver knows you by in the path of the address."
        else:
            fault = cure = ""
        if fault:
            raise ParameterError(
                Parameter("outputs", f"{scheme}://{host}"), fault + cure
            )
        self._url = url
        self._opener = urllib.request.build_opener(_NoRedirections)
        self.place = f"webhook {scheme}://{host}"
        self.name = f"{self.place} {sha256(url.encode()).hexdigest()[:12]}"

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
        with self._opener.open(request, timeout=_TIMEOUT):
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
        self._outputs = list(outputs)
        self._prompt = [output for output in outputs if not output.waits]
        self._lock = threading.Lock()  # of what tells at once: several threads do
        self._failing, self._sent = set(), {}
        self._is_over = threading.Event()
        self._threads, self._news = [], []
        for output in outputs:
            self._begin(output)
        state.forget_others([output.name for output in outputs])
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

        What cannot be written waits for the next call, and is warned of once.

        Raises
        ------
        BrokenPipeError
            If nobody reads the lines any more.
        """
        for news in self._news:
            news.set()
        broken = None
        with self._lock:
            for output in self._prompt:
                try:
                    self._deliver(output)
                    self._failing.discard(output.name)
                except BrokenPipeError as error:
                    broken = error  # after the others
                except Exception as error:
                    if output.name not in self._failing:
                        self._failing.add(output.name)
                        self._warn_of(output, error)
        if broken is not None:
            raise broken

    def close(self, patience=5):
        """Try to hand over what is left, for some seconds; it stays in the state."""
        self._is_over.set()
        for news in self._news:
            news.set()
        for thread in self._threads:
            thread.join(patience)

    def n_waiting(self):
        """How many events wait, by the place of the receiver."""
        last, n_waiting = self._state.last_event(), Counter()
        for output in self._outputs:
            n_waiting[output.place] += last - self._told(output)
        return dict(n_waiting)

    def _begin(self, output):
        """Find out what an output was told."""
        told = self._state.told(output.name)
        arrived = output.last(self._state.watch)
        if told is None:  # it gets what comes from now on
            told = self._state.last_event()
        self._state.set_told(output.name, max(told, arrived or 0))

    def _told(self, output):
        """Number of the last event that an output was told."""
        # What was sent is not sent again, also if that could not be noted.
        return max(self._state.told(output.name), self._sent.get(output.name, 0))

    def _deliver(self, output):
        after = self._told(output)
        while events := self._state.events(after, _AT_ONCE):
            output.send(events)
            self._sent[output.name] = after = events[-1]["event"]
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
                    self._warn_of(output, error)
                if self._is_over.wait(pause):
                    return
                pause = min(2 * pause, _LONGEST_PAUSE)
                news.set()
            if self._is_over.is_set() and not news.is_set():
                return

    def _warn_of(self, output, error):
        self._warn(
            f"{output.place} takes no events: {_reason(error)}. They wait, and are "
            "sent again."
        )


def _reason(error):
    if isinstance(error, urllib.error.HTTPError):
        text = f"it answers {error.code}"
        if 300 <= error.code < 400:
            text += ", to send them elsewhere; pass that address"
        return text
    return str(getattr(error, "reason", error)) or type(error).__name__
