# SPDX-License-Identifier: MIT
"""A watch over HTTP: an application for any ASGI server."""

import asyncio
import hmac
import json
from bisect import bisect_left
from contextlib import contextmanager, suppress
from urllib.parse import parse_qs, unquote

import numpy as np

from tsanomaly._serve._metrics import metrics
from tsanomaly._serve._page import PAGE
from tsanomaly._serve._readings import TooManyReadings, read_body
from tsanomaly._serve._watch import UnknownName

__all__ = ["Application"]

# Maximum bytes of a body, waiting readings, and rejected readings in an answer.
_LARGEST_BODY = 5_000_000
_MOST_WAITING = 20_000
_MOST_TOLD = 100

# Maximum digits of a number, and characters of a name.
_MOST_DIGITS = 9
_LONGEST_NAME = 200

# Seconds within which a body must arrive.
_PATIENCE = 30

_LOCAL = ("127.0.0.1", "localhost", "[::1]")

_HEADERS = [
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (
        b"content-security-policy",
        b"default-src 'none'; connect-src 'self'; img-src data:; "
        b"script-src 'unsafe-inline'; style-src 'unsafe-inline'",
    ),
]


class _Problem(Exception):
    """An error that is returned as the answer to a request."""

    def __init__(self, status, message, **headers):
        super().__init__(message)
        self.status = status
        self.headers = headers


class Application:
    """The ASGI application that answers requests.

    Readings of all waiting requests are scored together. A request is answered once its
    readings are in the state of the watch.

    Parameters
    ----------
    watch : Watch
    tell : callable
        Called without arguments when there may be new events.
    token : str or None, default=None
        Token that requests must send to change something. Even without a token, pages
        of other sites cannot make such requests.
    is_local : bool, default=True
        Whether only this machine can connect. Then requests must use one of its local
        names, with or without a token.
    largest_body, most_waiting : int
        Maximum bytes of a body, and maximum number of waiting readings.
    """

    def __init__(
        self,
        watch,
        tell,
        token=None,
        *,
        is_local=True,
        largest_body=_LARGEST_BODY,
        most_waiting=_MOST_WAITING,
    ):
        self._watch = watch
        self._tell = tell
        self._token = token
        self._is_local = is_local
        self._largest_body = largest_body
        self._most_waiting = most_waiting
        self._waiting, self._n_waiting = [], 0
        self._worker = None
        self.counts = {}  # number of answers by status

    async def __call__(self, scope, receive, send):
        """Answer a request, as defined by ASGI."""
        if scope["type"] != "http":  # nothing to start or stop
            return
        headers = [("content-type", "application/json")]
        try:
            status, body, *kind = await self._answer(scope, receive)
            if not isinstance(body, bytes):
                body = json.dumps(body, allow_nan=False).encode()
            if kind:
                headers = [("content-type", kind[0])]
        except _Problem as problem:
            status, body = problem.status, _error(str(problem))
            headers += [(k.replace("_", "-"), v) for k, v in problem.headers.items()]
        except _Gone:
            return
        # Errors are counted, and do not affect the next request.
        except Exception as error:
            text = f"The request cannot be answered: {type(error).__name__}."
            status, body = 500, _error(text)
        self.counts[status] = self.counts.get(status, 0) + 1
        encoded = [(name.encode(), value.encode()) for name, value in headers]
        encoded += [(b"content-length", str(len(body)).encode()), *_HEADERS]
        await send(
            {"type": "http.response.start", "status": status, "headers": encoded}
        )
        body = b"" if scope["method"] == "HEAD" else body
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope, receive):
        path = scope.get("raw_path") or scope["path"].encode()
        parts = tuple(
            unquote(part) for part in path.decode("latin-1").strip("/").split("/")
        )
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        headers = {name.lower(): value for name, value in scope["headers"]}
        query = parse_qs(scope.get("query_string", b"").decode("latin-1"))
        self._check_origin(headers)
        match method, parts:
            case "GET", ("",):
                return 200, PAGE.encode(), "text/html; charset=utf-8"
            case "GET", ("healthz",):
                return 200, {"status": "ok", "waiting": self._n_waiting}
            case "GET", ("metrics",):
                text = await asyncio.to_thread(
                    metrics, self._watch, self._n_waiting, self.counts
                )
                return 200, text.encode(), "text/plain; version=0.0.4; charset=utf-8"
            case "GET", ("alarms",):
                last = _number(query, "last", 100, 1_000)
                return 200, await asyncio.to_thread(self._watch.state.alarms, last)
            case "GET", ("machines",):
                return 200, await asyncio.to_thread(self._machines)
            case "GET", ("machines", name, "readings"):
                last = _number(query, "last", 300, 2_000)
                with _answering():
                    return 200, await asyncio.to_thread(self._readings, name, last)
        actions = {
            ("readings",): self._take,
            ("alarms", parts[1] if len(parts) > 1 else "", "acknowledge"): self._know,
            ("machines", parts[1] if len(parts) > 1 else "", "accept-new-normal"): (
                self._accept
            ),
        }
        action = actions.get(parts)
        if action is None:
            raise _Problem(404, "This path does not exist.")
        if method != "POST":
            raise _Problem(405, "This path requires POST.", allow="POST")
        self._check_token(headers)
        if action == self._take and self._n_waiting >= self._most_waiting:
            raise self._too_many()
        body = await self._body(receive, headers)
        return await action(body, *parts[1:2])

    async def _take(self, body):
        """Score the readings of a request together with those of other requests."""
        try:
            readings = await asyncio.to_thread(
                read_body, body, self._watch.format, self._most_waiting
            )
        except TooManyReadings as error:
            raise _Problem(413, str(error)) from None
        except ValueError as error:
            raise _Problem(400, str(error)) from None
        if self._n_waiting and self._n_waiting + len(readings) > self._most_waiting:
            raise self._too_many()
        answer = asyncio.get_running_loop().create_future()
        self._waiting.append((readings, answer))
        self._n_waiting += len(readings)
        if self._worker is None or self._worker.done():
            self._worker = asyncio.create_task(self._work())
        return 200, await answer

    async def _work(self):
        """Score waiting readings until there are none."""
        while self._waiting:
            batch, self._waiting = self._waiting, []
            readings = [reading for some, _ in batch for reading in some]
            try:
                outcome = await asyncio.to_thread(self._watch.take, readings)
            # Errors must not end this task.
            except Exception as error:
                for _, answer in batch:
                    if not answer.done():
                        text = f"The readings could not be saved: {error}"
                        answer.set_exception(_Problem(503, text, retry_after="5"))
            else:
                if outcome.events:
                    await self._tell_others()
                _hand_out(batch, outcome)
            finally:
                self._n_waiting -= len(readings)

    async def _tell_others(self):
        """Report events; errors here do not affect the answer."""
        with suppress(Exception):
            await asyncio.to_thread(self._tell)

    async def _know(self, body, alarm):
        who = _fields(body).get("by")
        if who is not None and not (isinstance(who, str) and len(who) <= _LONGEST_NAME):
            raise _Problem(
                400,
                f"'by' must be a text of at most {_LONGEST_NAME} characters, or null.",
            )
        with _answering():
            if not (alarm.isdecimal() and len(alarm) <= _MOST_DIGITS):
                raise UnknownName(f"There is no alarm {alarm[:40]!r}.")
            event = await asyncio.to_thread(self._watch.acknowledge, int(alarm), who)
        await self._tell_others()
        return 200, {"acknowledged": int(alarm), "event": event and event["event"]}

    async def _accept(self, body, machine):
        number = _fields(body).get("readings")
        most = 10**_MOST_DIGITS
        if number is not None and not (type(number) is int and 1 <= number <= most):
            raise _Problem(
                400,
                f"'readings' must be a whole number from 1 to {most:,}.",
            )
        with _answering():
            n_readings = await asyncio.to_thread(
                self._watch.accept_new_normal, machine, number
            )
        await self._tell_others()
        return 200, {"machine": machine, "readings": n_readings}

    def _machines(self):
        # A consistent snapshot, not taken while readings are scored.
        with self._watch.lock:
            return [
                {
                    "machine": name,
                    "time": _time(machine.last_time),
                    "error": _finite(-machine.last_score),
                    "threshold": machine.threshold(),
                    "alarm": machine.alarm and machine.alarm["alarm"],
                    "drifted": machine.has_drifted(),
                    "readings": machine.n_readings,
                }
                for name, machine in self._watch.machines().items()
            ]

    def _readings(self, name, last):
        with self._watch.lock:
            self._watch.find(name)
            times, scores, rows = self._watch.state.readings(name, last)
        return {
            "channels": self._watch.channels,
            "times": [_time(time) for time in times],
            "errors": [_finite(-score) for score in scores],
            "readings": [[_finite(value) for value in row] for row in rows.tolist()],
        }

    async def _body(self, receive, headers):
        too_large = _Problem(
            413,
            f"A body may have at most {self._largest_body:,} bytes. Send fewer "
            "readings at once.",
        )
        with suppress(ValueError):
            if int(headers.get(b"content-length", b"0")) > self._largest_body:
                raise too_large
        parts, size = [], 0
        try:
            async with asyncio.timeout(_PATIENCE):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise _Gone
                    parts.append(message.get("body", b""))
                    size += len(parts[-1])
                    if size > self._largest_body:
                        raise too_large
                    if not message.get("more_body", False):
                        return b"".join(parts)
        except TimeoutError:
            text = f"The body did not arrive in {_PATIENCE} seconds."
            raise _Problem(408, text) from None

    def _check_origin(self, headers):
        """Reject requests from pages of other sites, or to other host names."""
        host = headers.get(b"host", b"").decode("latin-1")
        known = host in _LOCAL or host.rpartition(":")[0] in _LOCAL
        # Another site could make its host name resolve to this machine.
        if self._is_local and not known:
            raise _Problem(403, f"This serves {', '.join(_LOCAL)}, not {host[:100]!r}.")
        origin = headers.get(b"origin")
        # No other page has the token.
        if self._token is not None or origin is None:
            return
        if origin.decode("latin-1") != f"http://{host}":
            raise _Problem(403, "Requests from pages of other sites are rejected.")

    def _check_token(self, headers):
        if self._token is None:
            return
        given = headers.get(b"authorization", b"")
        if not hmac.compare_digest(given, f"Bearer {self._token}".encode()):
            raise _Problem(
                401,
                "This request needs the token: send the header 'Authorization: Bearer "
                "…'.",
                www_authenticate="Bearer",
            )

    def _too_many(self):
        return _Problem(
            429,
            f"{self._n_waiting:,} readings are waiting to be scored. Send these again "
            "later.",
            retry_after="1",
        )


class _Gone(Exception):
    """The client has closed the connection."""


@contextmanager
def _answering():
    """Turn errors about unknown names and invalid requests into answers."""
    try:
        yield
    except UnknownName as error:
        raise _Problem(404, str(error)) from error
    except ValueError as error:
        raise _Problem(409, str(error)) from error


def _error(text):
    return json.dumps({"error": text}).encode()


def _fields(body):
    """Read the JSON object of a body, which may be empty."""
    if not body:
        return {}
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise _Problem(400, "The body must be a JSON object or empty.")
    return found


def _number(query, name, default, most):
    text = query.get(name, [str(default)])[0]
    if not (text.isdecimal() and len(text) <= _MOST_DIGITS):
        raise _Problem(400, f"{name!r} must be a whole number of at most {most:,}.")
    return min(int(text), most)


def _hand_out(batch, outcome):
    """Return the results of its readings to each request."""
    places = [place for place, _ in outcome.rejected]  # in order
    start = 0
    for readings, answer in batch:
        end = start + len(readings)
        first, stop = bisect_left(places, start), bisect_left(places, end)
        told = {
            "accepted": len(readings) - (stop - first),
            "rejected": stop - first,
            "flagged": int(outcome.flags[start:end].sum()),
            "errors": [
                {
                    "reading": place - start,
                    "reason": wrong.reason,
                    "message": wrong.message,
                }
                for place, wrong in outcome.rejected[first:stop][:_MOST_TOLD]
            ],
        }
        if not answer.done():
            answer.set_result(told)
        start = end


def _time(time):
    return None if np.isnat(time) else str(time.astype("datetime64[ms]")) + "Z"


def _finite(value):
    return value if np.isfinite(value) else None
