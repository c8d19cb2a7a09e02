# SPDX-License-Identifier: MIT
"""From text to records, and the lines that they start in."""

import csv
import re
from itertools import islice, repeat
from operator import attrgetter, itemgetter

from tsanomaly._parameter_error import Parameter
from tsanomaly.datasets._reading._table import fault

__all__ = ["Records", "separator_name"]

_SEPARATOR_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
# Not what str.splitlines() takes for lines: a cell may hold other marks.
_LINE = re.compile(r"[^\r\n]*+(?:\r\n?|\n)|[^\r\n]++")


def separator_name(sep):
    """A separator as messages name it."""
    return _SEPARATOR_NAMES.get(sep, repr(sep))


class Records:
    """Records of a text, taken one after the other.

    Parameters
    ----------
    text : str
        The text of a file.
    sep : str
        What separates the fields.
    path : str
        The file, for errors.
    n_skipped : int
        Lines above the first record.
    max_columns : int
        Fields that a line may have.

    Attributes
    ----------
    error : csv.Error or None
        What ended the records before the end of the text. The next call of `take`
        raises it.
    """

    def __init__(self, text, sep, path, n_skipped, max_columns):
        self._sep, self._path, self._max_columns = sep, path, max_columns
        self.error = None
        lines = map(itemgetter(0), _LINE.finditer(text))
        self._lines = islice(lines, min(n_skipped, len(text)), None)
        self._start = 1 + n_skipped  # line of the next record
        self._reader = csv.reader(
            self._narrow_lines(),
            delimiter=sep,
            strict=True,
            skipinitialspace=sep != " ",
        )
        self._n_skipped = n_skipped

    def _narrow_lines(self):
        """Lines, each checked before it becomes millions of fields."""
        for line in self._lines:
            if len(line) >= self._max_columns:
                n_fields = line.count(self._sep) + 1
                if n_fields > self._max_columns:
                    number = self._n_skipped + self._reader.line_num + 1
                    raise fault(
                        f"{self._path}, line {number}",
                        f"the line has {n_fields:,} fields, separated by "
                        f"{separator_name(self._sep)}, and at most "
                        f"{self._max_columns:,} are read. Pass the separator as ",
                        Parameter("sep"),
                        ", or a larger number as ",
                        Parameter("max_columns"),
                        ".",
                    )
            yield line

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
        rows, ends = [], []
        if self.error is None:
            numbers = map(attrgetter("line_num"), repeat(self._reader))
            taken = []
            try:
                # What was taken before an error is kept.
                numbered = zip(self._reader, numbers, strict=False)
                taken.extend(islice(numbered, n_records))
            except csv.Error as error:
                self.error = error
            rows = [row for row, _ in taken]
            ends = [end + self._n_skipped for _, end in taken]
        if self.error is not None and not rows:
            self._raise()
        lines = [self._start, *(end + 1 for end in ends)]
        self._start = lines.pop()
        return lines, rows

    def _raise(self):
        # An open quote swallows the rest of the file: the line it opened in counts.
        is_long = "field limit" in str(self.error)
        advice = " Python's csv.field_size_limit allows longer fields."
        raise fault(
            f"{self._path}, line {self._start}",
            f"the fields cannot be told apart ({self.error}). Look for a quote that is "
            f"not closed, or stands inside a field.{advice * is_long}",
        ) from self.error
