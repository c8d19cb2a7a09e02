# SPDX-License-Identifier: MIT
"""The state of a watch, in one file that survives crashes.

The file is an SQLite database. All results of a batch of readings, from the rows that a
stream keeps to the alarms raised, are written in one transaction: after a restart,
either all of them are there or none. The file holds numbers and texts, but no code.
"""

import base64
import json
import sqlite3
import threading
from contextlib import contextmanager
from uuid import uuid4

import numpy as np

from tsanomaly._parameter_error import Parameter, ParameterError
from tsanomaly._version import __version__

__all__ = ["State"]

_FORMAT = "4"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS machines (
    machine TEXT PRIMARY KEY, state TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS detectors (machine TEXT PRIMARY KEY, model BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS readings (
    machine TEXT, number INTEGER, time INTEGER, score REAL, readings BLOB,
    PRIMARY KEY (machine, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS alarms (alarm INTEGER PRIMARY KEY, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS events (event INTEGER PRIMARY KEY, body TEXT NOT NULL);
"""

# Minimum number of alarms, and of delivered events, that are kept. Alarms that are
# active are kept beside these.
_ALARMS_KEPT, _EVENTS_KEPT = 10_000, 1_000

_IS_ACTIVE = "json_extract(body, '$.state') = 'active'"
_INDEX = f"CREATE INDEX IF NOT EXISTS active ON alarms (alarm) WHERE {_IS_ACTIVE}"


class State:
    """The database of a watch.

    Parameters
    ----------
    path : str, Path or None
        The file; created if needed. None keeps everything in memory.
    model : str
        Identifies the model. The state of another model is rejected.

    Raises
    ------
    ParameterError
        If the file belongs to another model, is used by another process, or is not a
        state file.
    OSError
        If the file cannot be written.
    """

    def __init__(self, path, model):
        self._path = path
        self.lock = threading.RLock()
        try:
            self._base = sqlite3.connect(
                ":memory:" if path is None else str(path),
                isolation_level=None,
                check_same_thread=False,
                timeout=2,
            )
        except sqlite3.DatabaseError as error:
            raise _unusable(path, error) from error
        try:
            self._open(model)
        except sqlite3.DatabaseError as error:
            self._base.close()
            raise _unusable(path, error) from error
        except (ParameterError, OSError):
            self._base.close()
            raise

    def _open(self, model):
        run = self._base.execute
        run("PRAGMA locking_mode = EXCLUSIVE")
        run("PRAGMA journal_mode = WAL")
        run("PRAGMA synchronous = FULL")
        run("BEGIN IMMEDIATE")
        run("ROLLBACK")
        self._base.executescript(_SCHEMA)
        run(_INDEX)
        known = self.fact("format")
        if known is None:
            with self.writing():
                self.set_fact("format", _FORMAT)
                self.set_fact("model", model)
                self.set_fact("watch", uuid4().hex[:12])
        elif known != _FORMAT:
            version = self.fact("version")
            by = "another version" if version is None else f"version {version}"
            raise ParameterError(
                Parameter("state", str(self._path)),
                f" was written by {by} of tsanomaly in the format {known[:20]}, and "
                f"version {__version__} reads the format {_FORMAT}. Use that version, "
                "or name another file to start without readings and alarms.",
            )
        elif self.fact("model") != model:
            raise ParameterError(
                Parameter("state", str(self._path)),
                f" is the state of a watch with another model ({self.fact('model')}; "
                f"this one is {model}). Use that model, or name another file to start "
                "without readings and alarms.",
            )
        if self.fact("version") != __version__:
            self.set_fact("version", __version__)
        self.watch = self.fact("watch")

    @contextmanager
    def writing(self):
        """Run a transaction: write everything or nothing.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        with self.lock:
            try:
                self._base.execute("BEGIN")
                yield self
                self._base.execute("COMMIT")
            except BaseException as error:
                # SQLite does this itself if the disk is full.
                if self._base.in_transaction:
                    self._base.execute("ROLLBACK")
                if isinstance(error, sqlite3.OperationalError):
                    raise OSError(
                        f"The state {str(self._path)!r} cannot be written: {error}. "
                        "Free disk space and check its permissions. Unsaved readings "
                        "must be sent again."
                    ) from error
                raise

    def fact(self, name):
        """Return a text by its name, or None."""
        found = self._run("SELECT value FROM facts WHERE name = ?", name)
        return found[0][0] if found else None

    def set_fact(self, name, value):
        """Save a text under a name."""
        self._run("INSERT OR REPLACE INTO facts VALUES (?, ?)", name, value)

    def machines(self):
        """Return the names of known machines."""
        return [name for (name,) in self._run("SELECT machine FROM machines")]

    def machine(self, name):
        """Return the saved state of a machine, or None."""
        found = self._run("SELECT state FROM machines WHERE machine = ?", name)
        return json.loads(found[0][0], object_hook=_decoded) if found else None

    def set_machine(self, name, state):
        """Save the state of a machine: numbers, texts, arrays and dicts."""
        text = json.dumps(state, default=_encoded)
        self._run("INSERT OR REPLACE INTO machines VALUES (?, ?)", name, text)

    def detector(self, name):
        """Return the file of the own detector of a machine as bytes, or None."""
        found = self._run("SELECT model FROM detectors WHERE machine = ?", name)
        return found[0][0] if found else None

    def set_detector(self, name, model):
        """Save the file of a detector."""
        self._run("INSERT OR REPLACE INTO detectors VALUES (?, ?)", name, model)

    def add_readings(self, machine, first, times, scores, rows, most):
        """Save readings, and delete old ones."""
        numbers = range(first, first + len(rows))
        values = [row.tobytes() for row in rows]
        with self.lock:
            self._base.executemany(
                "INSERT OR REPLACE INTO readings VALUES (?, ?, ?, ?, ?)",
                zip(
                    [machine] * len(rows),
                    numbers,
                    times.astype("int64").tolist(),
                    scores.tolist(),  # NaN becomes NULL
                    values,
                    strict=True,
                ),
            )
        self._run(
            "DELETE FROM readings WHERE machine = ? AND number < ?",
            machine,
            numbers.stop - most,
        )

    def readings(self, machine, most):
        """Return the last readings of a machine.

        Returns
        -------
        times : ndarray of shape (n_rows,), dtype=datetime64[ns]
        scores : ndarray of shape (n_rows,)
        rows : ndarray of shape (n_rows, n_channels)
        """
        found = self._run(
            "SELECT time, score, readings FROM readings WHERE machine = ? "
            "ORDER BY number DESC LIMIT ?",
            machine,
            most,
        )[::-1]
        times = np.array([time for time, _, _ in found], dtype="int64")
        scores = [np.nan if score is None else score for _, score, _ in found]
        rows = b"".join(row for _, _, row in found)
        rows = np.frombuffer(rows).reshape(len(found), -1 if found else 0)
        return times.view("datetime64[ns]"), np.array(scores, dtype=float), rows

    def add_alarm(self, body):
        """Number an alarm and save it."""
        with self.lock:
            cursor = self._base.execute(
                "INSERT INTO alarms (body) VALUES (?)", (json.dumps(body),)
            )
        if cursor.lastrowid % 1_000 == 0:
            self._run(
                f"DELETE FROM alarms WHERE alarm < ? AND NOT {_IS_ACTIVE}",
                cursor.lastrowid - _ALARMS_KEPT,
            )
        return cursor.lastrowid

    def set_alarm(self, alarm, body):
        """Update an alarm."""
        self._run("UPDATE alarms SET body = ? WHERE alarm = ?", json.dumps(body), alarm)

    def alarm(self, alarm):
        """Return an alarm, or None."""
        found = self._run("SELECT body FROM alarms WHERE alarm = ?", alarm)
        return json.loads(found[0][0]) if found else None

    def alarms(self, most):
        """Return the last alarms and all active ones, latest first."""
        found = self._run(
            "SELECT body FROM alarms WHERE alarm IN ("
            "SELECT alarm FROM (SELECT alarm FROM alarms ORDER BY alarm DESC LIMIT ?) "
            f"UNION SELECT alarm FROM alarms WHERE {_IS_ACTIVE}) ORDER BY alarm DESC",
            most,
        )
        return [json.loads(body) for (body,) in found]

    def add_event(self, body):
        """Number an event, and save it for its receivers."""
        with self.lock:
            last = self.last_event()
            event = {"event": last + 1, "watch": self.watch, **body}
            self._run("INSERT INTO events VALUES (?, ?)", last + 1, json.dumps(event))
        if last and last % 1_000 == 0:
            self._forget_events()
        return event

    def last_event(self):
        """Return the number of the last event; 0 if there is none."""
        return self._run("SELECT max(event) FROM events")[0][0] or 0

    def events(self, after, most=1_000):
        """Return the events after a number, in order."""
        found = self._run(
            "SELECT body FROM events WHERE event > ? ORDER BY event LIMIT ?",
            after,
            most,
        )
        return [json.loads(body) for (body,) in found]

    def told(self, name):
        """Return the number of the last event delivered to a receiver, or None."""
        found = self.fact(f"told {name}")
        return None if found is None else int(found)

    def set_told(self, name, event):
        """Save the number of the last event delivered to a receiver."""
        self.set_fact(f"told {name}", str(event))

    def forget_others(self, names):
        """Forget all other receivers; no events are kept for them.

        Parameters
        ----------
        names : iterable of str
            Names of the current receivers.
        """
        kept = {f"told {name}" for name in names}
        with self.writing():
            for (name,) in self._run("SELECT name FROM facts WHERE name LIKE 'told %'"):
                if name not in kept:
                    self._run("DELETE FROM facts WHERE name = ?", name)
            self._forget_events()

    def _forget_events(self):
        """Delete old events that every receiver has."""
        told = self._run("SELECT value FROM facts WHERE name LIKE 'told %'")
        last = self.last_event()
        least = min([int(value) for (value,) in told], default=last)
        self._run("DELETE FROM events WHERE event < ?", min(least, last - _EVENTS_KEPT))

    def close(self):
        """Close the file."""
        with self.lock:
            self._base.close()

    def _run(self, text, *values):
        with self.lock:
            return self._base.execute(text, values).fetchall()


def _unusable(path, error):
    """Return the error for a file that cannot be the state."""
    if isinstance(error, sqlite3.OperationalError) and "lock" in str(error):
        cure = " is in use by another process. Stop that process, or name another file."
    else:
        cure = (
            f" cannot be used as the state of a watch: {error}. Name a file that a "
            "watch wrote, or a new file in a writable folder."
        )
    return ParameterError(Parameter("state", str(path)), cure)


def _encoded(value):
    """Convert numpy arrays and numbers to JSON types."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        data = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
        return {"array": data, "dtype": value.dtype.str, "shape": value.shape}
    raise TypeError(f"{type(value).__name__} cannot be saved in a state")


def _decoded(value):
    if value.keys() == {"array", "dtype", "shape"}:
        data = np.frombuffer(base64.b64decode(value["array"]), dtype=value["dtype"])
        return data.reshape(value["shape"]).copy()
    return value
