# SPDX-License-Identifier: MIT
"""Named columns of text that know which line of the file a row came from."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tsanomaly._parameter_error import Parameter, ParameterError
from tsanomaly.datasets._reading._bounds import GLUE, find_bounds, join_cells
from tsanomaly.datasets._reading._cells import MISSING

__all__ = ["Column", "Table", "fault"]

# Rows of a column that are one text at a time: a few first, often they tell enough.
_FIRST, _FACTOR, _MOST = 64, 16, 2**16
_MOST_BYTES = 2**20


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

    Attributes
    ----------
    name : str
        Its name.
    data : bytes
        Text in UTF-8 that holds its cells, and may hold others.
    starts, ends : ndarray of int of shape (n_rows,)
        Where in there each cell starts and ends.
    path : str
        The file.
    lines : sequence of int
        The line of the file that each row starts in.
    """

    name: str
    data: bytes
    starts: np.ndarray
    ends: np.ndarray
    path: str
    lines: Sequence

    @classmethod
    def from_cells(cls, name, cells, path, lines):
        """A column from a list of its cells."""
        return cls(name, *find_bounds(GLUE.join(cells)), path, lines)

    def head(self, n_rows):
        """The first rows of the column."""
        starts, ends = self.starts[:n_rows], self.ends[:n_rows]
        return Column(
            self.name, self.data, starts, ends, self.path, self.lines[:n_rows]
        )

    def texts(self, rows=slice(None)):
        """Yield rows in blocks, of which the first ones are short.

        Parameters
        ----------
        rows : slice or ndarray of int, default=all
            The rows.

        Yields
        ------
        start : int
            Which one of the rows is the first of the block.
        text : str
            The cells of the block, joined by GLUE.
        """
        starts, ends = self.starts[rows], self.ends[rows]
        start, size = 0, _FIRST
        while start < len(starts):
            stop = start + size
            if size > _FIRST:
                n_bytes = np.cumsum(ends[start:stop] - starts[start:stop])
                stop = start + max(1, int(np.searchsorted(n_bytes, _MOST_BYTES)))
            yield start, join_cells(self.data, starts[start:stop], ends[start:stop])
            start, size = stop, min(size * _FACTOR, _MOST)

    @property
    def text(self):
        """All cells as a text, joined by GLUE."""
        return GLUE.join(text for _, text in self.texts())

    @property
    def cells(self):
        """All cells, a list."""
        return self.text.split(GLUE)

    @property
    def first(self):
        """The first cell."""
        return join_cells(self.data, self.starts[:1], self.ends[:1])

    @property
    def first_value(self):
        """The first cell that is not missing, or an empty text."""
        if self.first not in MISSING:
            return self.first
        cells = (cell for _, text in self.texts() for cell in text.split(GLUE))
        return next((cell for cell in cells if cell not in MISSING), "")

    @property
    def is_empty(self):
        """Whether nothing is in any cell."""
        return np.array_equal(self.starts, self.ends)

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
    holds_sep: bool  # whether a cell does, in quotes
    notes: list = field(default_factory=list)  # to be logged
    messages: list = field(default_factory=list)  # to be warned of
    units: dict = field(default_factory=dict)  # by the name of the column
    descriptions: dict = field(default_factory=dict)
    long: tuple | None = None  # columns of names and values, where the format says so
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
