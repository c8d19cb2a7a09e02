# SPDX-License-Identifier: MIT
"""Where readings come from, but for requests: lines of a stream, or of a file."""

import json
import os
import time
from pathlib import Path

from tsanomaly._serve._readings import LineReader

__all__ = ["FileSource", "StreamSource"]

# Bytes that are read, and readings that are scored, at once.
_CHUNK = 2**17

# A longer line is none of readings: it is cut, so that memory stays bounded.
_LONGEST_LINE = 2**20


class _Lines:
    """Whole lines of chunks of bytes."""

    def __init__(self):
        self._rest = b""

    def split(self, chunk):
        """The lines that are complete with a chunk, with their ends."""
        *lines, self._rest = (self._rest + chunk).splitlines(keepends=True) or [b""]
        if self._rest.endswith(b"\n") or len(self._rest) > _LONGEST_LINE:
            lines.append(self._rest)
            self._rest = b""
        return lines

    def n_rest(self):
        """Bytes of the line that has no end yet."""
        return len(self._rest)

    def rest(self):
        """The line that has no end."""
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
        """Readings as they arrive, until the stream ends.

        Yields
        ------
        readings : list of Reading or Rejected
        position : None
            A stream cannot be read again.
        """
        lines = _Lines()
        while chunk := self._stream.read1(_CHUNK):
            yield self._read(lines.split(chunk)), None
        yield self._read(lines.rest()), None

    def _read(self, lines):
        found = map(self._reader.read, lines)
        return [reading for reading in found if reading is not None]


class FileSource:
    """Lines of a file, and those that are added to it.

    When the file is replaced by another, as logs are rotated, what was added to the old
    one is read first; a file that has become shorter is read from its start.

    Parameters
    ----------
    path : Path
    form : ReadingFormat
    follow : bool
        Whether to wait for more at the end.
    position : str or None, default=None
        Where to go on, as yielded.
    pause : float, default=0.5
        Seconds between two looks at the end.
    """

    def __init__(self, path, form, *, follow, position=None, pause=0.5):
        self.path = Path(path)
        self._form = form
        self._follow = follow
        self._pause = pause
        self._position = None if position is None else json.loads(position)

    @property
    def name(self):
        """By what its position is kept."""
        return f"file {os.path.realpath(self.path)}"

    def batches(self):
        """Readings as they are written, without an end if the file is followed.

        Yields
        ------
        readings : list of Reading or Rejected
        position : (str, str)
            The name of the source, and where it is after these readings.
        """
        path = self._find_again() if self._position else self.path
        while True:
            with open(path, "rb") as file:
                yield from self._of_file(file)
            if not self._follow:
                return
            path, self._position = self.path, None

    def _find_again(self):
        """The file where it was left, which may have another name by now."""
        wanted = self._position["file"]
        candidates = [self.path, *sorted(self.path.parent.glob(f"{self.path.name}*"))]
        for path in candidates:
            if path.is_file() and _identity(os.stat(path)) == wanted:
                return path
        self._position = None  # it is gone: a new one begins
        return self.path

    def _of_file(self, file):
        """Readings of an open file, until there is another in its place."""
        identity = _identity(os.fstat(file.fileno()))
        reader, lines = LineReader(self._form), _Lines()
        offset = 0
        if self._position:
            offset = self._position["offset"]
            reader = LineReader(self._form, self._position["header"])
        while True:
            # Asked before the end is seen: what the old file gets until it is replaced
            # is read after that.
            is_replaced = self._is_replaced(identity)
            if os.fstat(file.fileno()).st_size < offset:
                reader, lines, offset = LineReader(self._form), _Lines(), 0
            file.seek(offset + lines.n_rest())
            while chunk := file.read(_CHUNK):
                whole = lines.split(chunk)
                offset += sum(map(len, whole))
                yield self._batch(reader, whole, identity, offset)
            if is_replaced or not self._follow:
                rest = lines.rest()
                offset += sum(map(len, rest))
                yield self._batch(reader, rest, identity, offset)
                return
            yield [], None  # time to look at something else
            time.sleep(self._pause)

    def _batch(self, reader, lines, identity, offset):
        found = map(reader.read, lines)
        readings = [reading for reading in found if reading is not None]
        position = {"file": identity, "offset": offset, "header": reader.header}
        return readings, (self.name, json.dumps(position))

    def _is_replaced(self, identity):
        try:
            return _identity(os.stat(self.path)) != identity
        except FileNotFoundError:
            return False  # the new one is not there yet


def _identity(status):
    return f"{status.st_dev}:{status.st_ino}"
