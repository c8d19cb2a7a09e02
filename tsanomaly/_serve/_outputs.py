# SPDX-License-Identifier: MIT
"""Receivers of alarms: lines, a file or a webhook. Each gets every event once.

Events stay in the state of the watch until they are delivered, so that none is lost if
the process is killed or a receiver is unreachable. A file shows which events it already
has. To other receivers, an event whose delivery was interrupted is sent again, with the
same number.
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

# Seconds to wait for a receiver, and the initial and maximum pause between attempts.
_TIMEOUT, _FIRST_PAUSE, _LONGEST_PAUSE = 10, 1, 60

# Maximum number of events per request to a webhook.
_AT_ONCE = 100

# Start of each line in a file of events.
_BEGIN = b'{"event": '


def _as_line(event):
    # ASCII holds no control characters of terminals.
    return json.dumps(event, allow_nan=False)


class LinesOutput:
    """Prints events as lines.

    Parameters
    ----------
    print_line : callable
        Called with the text of each line.
    """

    name, place, waits = "-", "the output of lines", False

    def __init__(self, print_line):
        self._print_line = print_line

    def last(self, watch):
        """Return the number of the last event that is known to have arrived."""

    def send(self, events):
        """Send events."""
        for event in events:
            self._print_line(_as_line(event))


class FileOutput:
    """Appends events to a file, as lines.

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
        """Find the last event of a watch in the file, and remove an incomplete line.

        Raises
        ------
        ParameterError
            If the last line is incomplete and not an event.
        """
        try:
            with open(self._path, "r+b") as file:
                size = file.seek(0, 2)
                start = max(size - 2**20, 0)
                file.seek(start)
                tail = file.read(size - start)  # a device returns nothing
                whole = tail[: tail.rfind(b"\n") + 1]
                if cut := tail[len(whole) :]:
                    # Only an incomplete event is removed, never other text.
                    if not (cut.startswith(_BEGIN) or _BEGIN.startswith(cut)):
                        raise ParameterError(
                            Parameter("outputs", str(self._path)),
                            " ends with an incomplete line that is not an event. Name "
                            "a file of events, or a new file.",
                        )
                    file.truncate(start + len(whole))
        except FileNotFoundError:
            self.send([])  # create an empty file, if possible
            return None
        for line in reversed(whole.splitlines()):
            with suppress(ValueError, KeyError, TypeError):
                event = json.loads(line)
                if event["watch"] == watch:
                    return int(event["event"])
        return None

    def send(self, events):
        """Send events."""
        lines = "".join(f"{_as_line(event)}\n" for event in events).encode()
        # Unbuffered, because closing the file would write a buffer after a failure.
        with open(self._path, "ab", buffering=0) as file:
            size = file.seek(0, os.SEEK_END)
            try:
                while lines:
                    lines = lines[file.write(lines) :]
                if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    os.fsync(file.fileno())
            except BaseException:
                # All events are written again later, so remove what was written of
                # them.
                with suppress(OSError):
                    file.truncate(size)
                raise


class _NoRedirections(urllib.request.HTTPRedirectHandler):
    """Treats redirections as errors, because they would drop the events."""

    def redirect_request(self, *_):
        """Return None, which makes the redirection an error."""


class WebhookOutput:
    """Sends events to a webhook as JSON: ``{"events": [...]}``.

    The URL may contain a secret. Messages show only its scheme and host, and only its
    hash is saved.

    Parameters
    ----------
    url : str

    Raises
    ------
    ParameterError
        If the URL is invalid.
    """

    waits = True

    def __init__(self, url):
        parts = urlsplit(url)
        scheme, host = parts.scheme, parts.netloc.rpartition("@")[2]
        # Later errors of the request could show the whole URL.
        if not (host and url.isascii() and url.isprintable()) or " " in url:
            fault = " has no host, or contains invalid characters."
            cure = " Pass https://HOST[:PORT]/PATH, with special characters as %XX."
        elif host != parts.netloc:
            fault = " contains a user name, which is not sent."
            cure = " Pass the credentials in the path of the address."
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
        """Return the number of the last event that is known to have arrived."""

    def send(self, events):
        """Send events.

        Raises
        ------
        OSError
            If the receiver does not answer with a 2xx status.
        """
        request = urllib.request.Request(
            self._url,
            data=json.dumps({"events": events}, allow_nan=False).encode(),
            headers={"Content-Type": "application/json", "User-Agent": "tsanomaly"},
        )
        with self._opener.open(request, timeout=_TIMEOUT):
            pass


class Deliveries:
    """Delivers events in order.

    Parameters
    ----------
    state : State
    outputs : list of outputs
    warn : callable
        Called with a text if a receiver is unreachable.
    first_pause : float, default=1
        Seconds before the first retry; doubled after each failure.
    """

    def __init__(self, state, outputs, warn, first_pause=_FIRST_PAUSE):
        self._state = state
        self._warn = warn
        self._first_pause = first_pause
        self._outputs = list(outputs)
        self._prompt = [output for output in outputs if not output.waits]
        self._lock = threading.Lock()  # several threads deliver at once
        self._failing, self._sent = set(), {}
        self._is_over = threading.Event()
        self._threads, self._news = [], []
        for output in outputs:
            self._begin(output)
        state.forget_others([output.name for output in outputs])
        for output in outputs:
            if output.waits:
                news = threading.Event()
                news.set()  # left by another process
                thread = threading.Thread(
                    target=self._keep_trying, args=(output, news), daemon=True
                )
                self._news.append(news)
                self._threads.append(thread)
                thread.start()

    def tell(self):
        """Deliver new events: lines at once, others in the background.

        Events that cannot be written wait for the next call, with one warning.

        Raises
        ------
        BrokenPipeError
            If the reader of the lines has closed the pipe.
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
                    broken = error  # last, after the others
                except Exception as error:
                    if output.name not in self._failing:
                        self._failing.add(output.name)
                        self._warn_of(output, error)
        if broken is not None:
            raise broken

    def close(self, patience=5):
        """Try for some seconds to deliver the remaining events, which stay saved."""
        self._is_over.set()
        for news in self._news:
            news.set()
        for thread in self._threads:
            thread.join(patience)

    def n_waiting(self):
        """Number of waiting events by receiver."""
        last, n_waiting = self._state.last_event(), Counter()
        for output in self._outputs:
            n_waiting[output.place] += last - self._told(output)
        return dict(n_waiting)

    def _begin(self, output):
        """Find out which events an output already has."""
        told = self._state.told(output.name)
        arrived = output.last(self._state.watch)
        if told is None:  # a new receiver gets future events only
            told = self._state.last_event()
        self._state.set_told(output.name, max(told, arrived or 0))

    def _told(self, output):
        """Return the number of the last event that an output has."""
        # Do not send an event again even if its delivery could not be saved.
        return max(self._state.told(output.name), self._sent.get(output.name, 0))

    def _deliver(self, output):
        after = self._told(output)
        while events := self._state.events(after, _AT_ONCE):
            output.send(events)
            self._sent[output.name] = after = events[-1]["event"]
            self._state.set_told(output.name, after)

    def _keep_trying(self, output, news):
        """Deliver events in the background until the watch ends."""
        pause = self._first_pause
        while True:
            news.wait()
            news.clear()
            try:
                self._deliver(output)
                pause = self._first_pause
            # After any error of a receiver or its library, try again.
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
            f"{output.place} does not accept events: {_reason(error)}. They are kept "
            "and sent again."
        )


def _reason(error):
    if isinstance(error, urllib.error.HTTPError):
        text = f"it answers {error.code}"
        if 300 <= error.code < 400:
            text += ", a redirection; pass its target as the address"
        return text
    return str(getattr(error, "reason", error)) or type(error).__name__
