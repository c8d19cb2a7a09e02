# SPDX-License-Identifier: MIT
"""Named columns of text that know which line of the file a row came from."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from tsanomaly._parameter_error import Parameter, ParameterError
from tsanomaly.datasets._reading._cells import MISSING

__all__ = ["GLUE", "Column", "Table", "fault"]

GLUE = "\0"  # stands between the cells of a column; no text that is read holds it
_BLOCK = 2**20  # characters of a column that are cells of their own at a time
_MISSING_CELLS = re.compile(
    f"(?:(?:{'|'.join(map(re.escape, sorted(MISSING)))}){GLUE})*+"
)


def fault(place, *parts):
    """Error about a place in a file.

    Parameters
    ----------
    place : str
        The file, and line and column where there is one.
    *parts : str or Parameter
        The message.

    Returns
    -------
    error : ValueError
        A ParameterError if the message names parameters.
    """
    parts = (f"{place}: ", *parts)
    if any(isinstance(part, Parameter) for part in parts):
        return ParameterError(*parts)
    return ValueError("".join(parts))


@dataclass(slots=True)
class Column:
    """A column of text, and what its errors need to name a place.

    The cells are one text: as strings of their own they would take eight times the
    memory, and searching them all takes one search.
    """

    name: str
    text: str  # the cells, joined by GLUE
    path: str
    lines: Sequence

    @classmethod
    def from_cells(cls, name, cells, path, lines):
        """A column from a list of its cells."""
        return cls(name, GLUE.join(cells), path, lines)

    @property
    def cells(self):
        """A list of the cells, made anew at every access."""
        return self.text.split(GLUE)

    @property
    def first(self):
        """The first cell."""
        return self._cell_at(0)

    @property
    def first_value(self):
        """The first cell that is not missing, or an empty text."""
        cell = self._cell_at(_MISSING_CELLS.match(self.text).end())
        return "" if cell in MISSING else cell

    def _cell_at(self, start):
        end = self.text.find(GLUE, start)
        return self.text[start:] if end < 0 else self.text[start:end]

    @property
    def is_empty(self):
        """Whether nothing is in any cell."""
        return not self.text.strip(GLUE)

    def blocks(self):
        """Yield the cells as a few texts, each joined by GLUE."""
        start, end = 0, self.text.find(GLUE, _BLOCK)
        while end >= 0:
            yield self.text[start:end]
            start, end = end + 1, self.text.find(GLUE, end + 1 + _BLOCK)
        yield self.text[start:]

    def cells_with(self, mark):
        """Yield row and text of every cell that holds a mark."""
        row = start = 0
        position = self.text.find(mark)
        while position >= 0:
            before = self.text.rfind(GLUE, start, position) + 1
            if before:
                row += self.text.count(GLUE, start, before)
                start = before
            cell = self._cell_at(start)
            yield row, cell
            row, start = row + 1, start + len(cell) + 1
            position = self.text.find(mark, start)

    def row_of(self, position):
        """The row that a position in the text is in."""
        return self.text.count(GLUE, 0, position)

    def place(self, row):
        """Where a cell is in the file."""
        return f"{self.path}, line {self.lines[row]}, column {self.name!r}"

    def fault(self, row, *parts):
        """Error about one cell."""
        return fault(self.place(row), *parts)


@dataclass
class Table:
    """Columns of stripped text, all of one length."""

    path: str
    encoding: str
    sep: str
    header_line: int
    columns: list
    lines: Sequence
    notes: list = field(default_factory=list)
    is_encoding_guessed: bool = False

    @property
    def names(self):
        """The names in the order of the file."""
        return [column.name for column in self.columns]

    def select(self, names):
        """Columns by their names, in the order of these."""
        columns = {column.name: column for column in self.columns}
        return [columns[name] for name in names]

    def header_fault(self, *parts):
        """Error about the names."""
        return fault(f"{self.path}, line {self.header_line}", *parts)
