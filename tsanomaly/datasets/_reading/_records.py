# SPDX-License-Identifier: MIT
"""From text to records, and the lines that they start in."""

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
_PIECE = 2**16  # bytes that are lines of their own at a time


def separator_name(sep):
    """A separator as messages name it."""
    return _SEPARATOR_NAMES.get(sep, repr(sep))


@dataclass
class Source:
    """The text of a file from one of its lines on.

    Attributes
    ----------
    path : str
        The file, for errors.
    data : bytes
        All of its text, in UTF-8.
    position : int
        Where the line starts in there.
    line : int
        The number of the line, from 1.
    """

    path: str
    data: bytes
    position: int = 0
    line: int = 1

    def skip(self, n_lines):
        """The text below some more lines, or none of it if they are not there."""
        position = self.position
        for _ in range(n_lines):
            end = _LINE_END.search(self.data, position)
            if end is None:
                position = len(self.data)
                break
            position = end.end()
        return Source(self.path, self.data, position, self.line + n_lines)

    def pieces(self, n_bytes):
        """Yield pieces of whole lines, each of some more bytes than these."""
        position = self.position
        while position < len(self.data):
            end = _LINE_END.search(self.data, position + n_bytes)
            stop = end.end() if end else len(self.data)
            yield self.data[position:stop]
            position = stop


class Records:
    """Records of a text, taken one after the other.

    Parameters
    ----------
    source : Source
        The text.
    sep : str
        What separates the fields.
    max_columns : int
        Fields that a line may have.

    Attributes
    ----------
    error : csv.Error or None
        What ended the records before the end of the text. The next call of `take`
        raises it.
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
        """Yield lines, each checked before it becomes millions of fields."""
        for piece in self._source.pieces(_PIECE):
            # Not str.splitlines(), which takes more marks than these for line ends.
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
            How many at most.

        Returns
        -------
        lines : list of int
            Numbers of the lines that they start in.
        rows : list of list of str
            Their fields. It is empty at the end of the text only.

        Raises
        ------
        ValueError
            If the fields of the next record cannot be told apart, or are too many.
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
        """The text below the records that were taken."""
        source = self._source
        position = source.position + self._n_bytes
        return Source(source.path, source.data, position, self._start)

    def _raise(self):
        is_long = "field limit" in str(self.error)
        advice = " Python's csv.field_size_limit allows longer fields."
        # An open quote swallows the rest of the file: the line it opened in counts.
        raise fault(
            f"{self._source.path}, line {self._start}",
            f"the line cannot be split into fields ({self.error}). Look for an "
            f"unclosed quote, or a quote inside a field.{advice * is_long}",
        ) from self.error
