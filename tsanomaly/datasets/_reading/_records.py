# SPDX-License-Identifier: MIT
"""Split a text into records, with the line in which each starts."""

import csv
import io
import re
from dataclasses import dataclass
from itertools import islice, repeat
from operator import attrgetter

from tsanomaly._parameter_error import Parameter
from tsanomaly.datasets._reading._table import fault

__all__ = ["Records", "Source", "separator_name"]

_SEPARATOR_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_LINE_END = re.compile(rb"\r\n?|\n")
_PIECE = 2**16  # bytes to split into lines at a time


def separator_name(sep):
    """Return the name of a separator in messages."""
    return _SEPARATOR_NAMES.get(sep, repr(sep))


@dataclass
class Source:
    """The text of a file from one of its lines on.

    Attributes
    ----------
    path : str
        Name of the file in errors.
    data : bytes
        The whole text of the file in UTF-8.
    position : int
        Position of the start of the line in `data`.
    line : int
        Number of the line, starting at 1.
    """

    path: str
    data: bytes
    position: int = 0
    line: int = 1

    def skip(self, n_lines):
        """Return the text without some more lines, or an empty one if it is shorter."""
        position = self.position
        for _ in range(n_lines):
            end = _LINE_END.search(self.data, position)
            if end is None:
                position = len(self.data)
                break
            position = end.end()
        return Source(self.path, self.data, position, self.line + n_lines)

    def pieces(self, n_bytes):
        """Yield pieces of whole lines, each slightly longer than `n_bytes`."""
        position = self.position
        while position < len(self.data):
            end = _LINE_END.search(self.data, position + n_bytes)
            stop = end.end() if end else len(self.data)
            yield self.data[position:stop]
            position = stop


class Records:
    """Records of a text, read one after the other.

    Parameters
    ----------
    source : Source
        The text.
    sep : str
        Field separator.
    max_columns : int
        Maximum number of fields in a line.

    Attributes
    ----------
    error : csv.Error or None
        Error that ended the records early. The next call of `take` raises it.
    """

    def __init__(self, source, sep, max_columns):
        self._source, self._sep, self._max_columns = source, sep, max_columns
        self._n_bytes = 0  # of the lines that were read
        self._start = source.line  # of the next record
        self._reader = csv.reader(
            self._lines(), delimiter=sep, strict=True, skipinitialspace=sep != " "
        )
        self.error = None

    def _lines(self):
        """Yield lines, and raise before a line is split into millions of fields."""
        for piece in self._source.pieces(_PIECE):
            # Not str.splitlines(), which splits at more characters.
            for line in io.StringIO(piece.decode("utf-8", "surrogatepass"), newline=""):
                if len(line) >= self._max_columns:
                    self._check_width(line)
                self._n_bytes += (
                    len(line)
                    if line.isascii()
                    else len(line.encode("utf-8", "surrogatepass"))
                )
                yield line

    def _check_width(self, line):
        n_fields = line.count(self._sep) + 1
        if n_fields > self._max_columns:
            raise fault(
                f"{self._source.path}, line "
                f"{self._source.line + self._reader.line_num}",
                f"the line has {n_fields:,} fields, separated by "
                f"{separator_name(self._sep)}, but the limit is {self._max_columns:,}. "
                "Pass the separator as ",
                Parameter("sep"),
                ", or a larger number as ",
                Parameter("max_columns"),
                ".",
            )

    def take(self, n_records):
        """Take the next records.

        Parameters
        ----------
        n_records : int
            Maximum number of records.

        Returns
        -------
        lines : list of int
            Numbers of the lines in which the records start.
        rows : list of list of str
            Fields of the records. Empty only at the end of the text.

        Raises
        ------
        ValueError
            If the next record cannot be split into fields, or has too many.
        """
        taken = []
        if self.error is None:
            n_lines = map(attrgetter("line_num"), repeat(self._reader))
            try:
                numbered = zip(self._reader, n_lines, strict=False)
                taken.extend(islice(numbered, n_records))  # up to an error
            except csv.Error as error:
                self.error = error
        if self.error is not None and not taken:
            self._raise()
        lines = [self._start, *(self._source.line + n for _, n in taken)]
        self._start = lines.pop()
        return lines, [row for row, _ in taken]

    def rest(self):
        """Return the text after the records that were taken."""
        source = self._source
        position = source.position + self._n_bytes
        return Source(source.path, source.data, position, self._start)

    def _raise(self):
        is_long = "field limit" in str(self.error)
        advice = " Python's csv.field_size_limit allows longer fields."
        # An unclosed quote extends to the end of the file. The line in which it opens
        # is the useful one.
        raise fault(
            f"{self._source.path}, line {self._start}",
            f"the line cannot be split into fields ({self.error}). Look for an "
            f"unclosed quote, or a quote inside a field.{advice * is_long}",
        ) from self.error
