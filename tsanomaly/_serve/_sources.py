# SPDX-License-Identifier: MIT
"""Sources of readings: lines of a stream or of a file."""

import glob
import json
import os
import re
import time
from hashlib import sha256
from pathlib import Path

from tsanomaly._serve._readings import LineReader

__all__ = ["FileSource", "StreamSource"]

# Number of bytes read, and of readings scored, at once.
_CHUNK = 2**17

# Longer lines are cut, to limit memory; they cannot be readings.
_LONGEST_LINE = 2**20

# Number of bytes at the start of a file that identify it.
_HEAD = 1_024

# Suffixes of rotated logs: a number or a date.
_ROTATED = re.compile(r"[.-]\d[\d.T_-]*")


class _Lines:
    """Splits chunks of bytes into complete lines."""

    def __init__(self):
        self._rest = b""

    def split(self, chunk):
        """Return the lines that a chunk completes, with line endings."""
        *lines, self._rest = (self._rest + chunk).splitlines(keepends=True) or [b""]
        if self._rest.endswith(b"\n") or len(self._rest) > _LONGEST_LINE:
            lines.append(self._rest)
            self._rest = b""
        return lines

    def n_rest(self):
        """Number of bytes of the incomplete line."""
        return len(self._rest)

    def rest(self):
        """Return the incomplete line."""
        rest, self._rest = self._rest, b""
        return [rest] if rest else []


class StreamSource:
    """Lines of a stream of bytes, such as the standard input.

    Parameters
    ----------
    stream : binary stream
    form : ReadingFormat
    """

    def __init__(self, stream, form):
        self._stream = stream
        self._reader = LineReader(form)

    def batches(self):
        """Yield readings as they arrive, until the stream ends.

        Yields
        ------
        readings : list of Reading or Rejected
        position : None
            None: a stream cannot be read again.
        """
        lines = _Lines()
        while chunk := self._stream.read1(_CHUNK):
            yield self._read(lines.split(chunk)), None
        yield self._read(lines.rest()), None

    def _read(self, lines):
        found = map(self._reader.read, lines)
        return [reading for reading in found if reading is not None]


class FileSource:
    """Lines of a file, and lines that are appended to it.

    If the file is replaced, as in log rotation, the rest of the old file is read first.
    A file that has become shorter is read from its start. If `follow` is set, the file
    does not need to exist yet.

    Parameters
    ----------
    path : Path
    form : ReadingFormat
    warn : callable
        Called with a text if the file, or the position in it, does not exist.
    follow : bool
        Whether to wait for more at the end.
    position : str or None, default=None
        Position to continue from, as yielded.
    pause : float, default=0.5
        Seconds between checks for new lines.
    """

    def __init__(self, path, form, warn, *, follow, position=None, pause=0.5):
        self.path = Path(path)
        self._form = form
        self._warn = warn
        self._follow = follow
        self._pause = pause
        self._position = None if position is None else json.loads(position)

    @staticmethod
    def name_of(path):
        """Return the name under which the position in a file is saved."""
        return f"file {os.path.realpath(path)}"

    def batches(self):
        """Yield readings as they are written; without end if the file is followed.

        Yields
        ------
        readings : list of Reading or Rejected
        position : (str, str)
            The name of the source, and its position after these readings.
        """
        for path in self._rotated():
            yield from self._of_path(path)
        while True:
            if self._follow and not self.path.exists():
                self._warn(f"There is no file {self.path} yet. Waiting for it.")
                while not self.path.exists():
                    yield [], None
                    time.sleep(self._pause)
            yield from self._of_path(self.path)
            if not self._follow:
                return

    def _rotated(self):
        """Find the file that was read last, even if it was renamed, and later files."""
        if self._position is None or self._is_left_at(self.path):
            return []
        pattern = f"{glob.escape(self.path.name)}?*"
        others = [path for path in self.path.parent.glob(pattern) if path.is_file()]
        left = next(filter(self._is_left_at, others), None)
        if left is None:
            self._position = None
            self._warn(
                f"The earlier file {self.path} no longer exists or was replaced, so "
                "lines that were appended to it are lost. The current file is read "
                "from its start."
            )
            return []
        time_left = os.stat(left).st_mtime_ns
        rotated = [
            (os.stat(path).st_mtime_ns, path)
            for path in others
            if _ROTATED.fullmatch(path.name.removeprefix(self.path.name))
        ]
        later = sorted(pair for pair in rotated if pair[0] > time_left)
        return [left, *(path for _, path in later)]

    def _is_left_at(self, path):
        """Whether the position belongs to a file."""
        try:
            with open(path, "rb") as file:
                status = os.fstat(file.fileno())
                wanted = self._position
                # The number of a deleted file may be reused.
                return (
                    _identity(status) == wanted["file"]
                    and status.st_size >= wanted["offset"]
                    and _head(file, wanted["head"][0]) == wanted["head"]
                )
        except OSError:
            return False

    def _of_path(self, path):
        with open(path, "rb") as file:
            yield from self._of_file(file)
        self._position = None  # the next file starts anew

    def _of_file(self, file):
        """Yield the readings of an open file until another one replaces it."""
        identity = _identity(os.fstat(file.fileno()))
        reader, lines = LineReader(self._form), _Lines()
        offset = 0
        if self._position:
            offset = self._position["offset"]
            reader = LineReader(self._form, self._position["header"])
        while True:
            # Check this before reading to the end, so that the last lines of the old
            # file are read.
            is_replaced = self._is_replaced(identity)
            if os.fstat(file.fileno()).st_size < offset:
                reader, lines, offset = LineReader(self._form), _Lines(), 0
            file.seek(offset + lines.n_rest())
            while chunk := file.read(_CHUNK):
                whole = lines.split(chunk)
                offset += sum(map(len, whole))
                yield self._batch(reader, whole, file, offset)
            if is_replaced or not self._follow:
                rest = lines.rest()
                offset += sum(map(len, rest))
                yield self._batch(reader, rest, file, offset)
                return
            yield [], None  # time for other tasks
            time.sleep(self._pause)

    def _batch(self, reader, lines, file, offset):
        found = map(reader.read, lines)
        readings = [reading for reading in found if reading is not None]
        place = file.tell()
        position = {
            "file": _identity(os.fstat(file.fileno())),
            "head": _head(file, min(offset, _HEAD)),
            "offset": offset,
            "header": reader.header,
        }
        file.seek(place)
        return readings, (self.name_of(self.path), json.dumps(position))

    def _is_replaced(self, identity):
        try:
            return _identity(os.stat(self.path)) != identity
        except FileNotFoundError:
            return False  # the new file does not exist yet


def _head(file, n_bytes):
    """Return the number and the hash of bytes at the start of a file."""
    file.seek(0)
    head = file.read(n_bytes)
    return [len(head), sha256(head).hexdigest()[:16]]


def _identity(status):
    return f"{status.st_dev}:{status.st_ino}"
