# SPDX-License-Identifier: MIT
"""Named columns of text, with the line of the file of each row."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from tsanomaly._parameter_error import Parameter, ParameterError
from tsanomaly.datasets._reading._bounds import GLUE, find_bounds, join_cells
from tsanomaly.datasets._reading._cells import MISSING

__all__ = ["Column", "Table", "fault"]

# Rows of a column to join into one text: few at first, because these often suffice.
_FIRST, _FACTOR, _MOST = 64, 16, 2**16
_MOST_BYTES = 2**20


def fault(place, *parts):
    """Error about a place in a file.

    Parameters
    ----------
    place : str
        The file, and line and column if known.
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
    """A column of text, with the file and the lines to name in errors.

    Attributes
    ----------
    name : str
        Name of the column.
    data : bytes
        Text in UTF-8 that contains the cells, and possibly those of other columns.
    starts, ends : ndarray of int of shape (n_rows,)
        Start and end of each cell in `data`.
    path : str
        The file.
    lines : sequence of int
        Line of the file in which each row starts.
    """

    name: str
    data: bytes
    starts: np.ndarray
    ends: np.ndarray
    path: str
    lines: Sequence

    @classmethod
    def from_cells(cls, name, cells, path, lines):
        """Make a column from a list of cells."""
        return cls(name, *find_bounds(GLUE.join(cells)), path, lines)

    def head(self, n_rows):
        """Return the first rows of the column."""
        starts, ends = self.starts[:n_rows], self.ends[:n_rows]
        return Column(
            self.name, self.data, starts, ends, self.path, self.lines[:n_rows]
        )

    def texts(self, rows=slice(None)):
        """Yield rows in blocks. The first blocks are short.

        Parameters
        ----------
        rows : slice or ndarray of int, default=all
            The rows.

        Yields
        ------
        start : int
            Position in `rows` of the first row of the block.
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
        """All cells as one text, joined by GLUE."""
        return GLUE.join(text for _, text in self.texts())

    @property
    def cells(self):
        """All cells as a list."""
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
        """Whether all cells are empty."""
        return np.array_equal(self.starts, self.ends)

    def place(self, row):
        """Return the place of a cell in the file for messages."""
        return f"{self.path}, line {self.lines[row]}, column {self.name!r}"

    def fault(self, row, *parts):
        """Error about one cell."""
        return fault(self.place(row), *parts)


@dataclass
class Table:
    """Columns of stripped text of equal length."""

    path: str
    encoding: str
    sep: str
    header_line: int
    columns: list
    lines: Sequence
    holds_sep: bool  # whether a cell in quotes contains the separator
    notes: list = field(default_factory=list)  # texts to log
    messages: list = field(default_factory=list)  # warnings
    units: dict = field(default_factory=dict)  # by name of the column
    descriptions: dict = field(default_factory=dict)
    long: tuple | None = None  # columns of names and values, if the format fixes them
    is_encoding_guessed: bool = False

    @property
    def names(self):
        """The names in the order of the file."""
        return [column.name for column in self.columns]

    def select(self, names):
        """Return columns in the order of the given names."""
        columns = {column.name: column for column in self.columns}
        return [columns[name] for name in names]

    def header_fault(self, *parts):
        """Error about the header."""
        return fault(f"{self.path}, line {self.header_line}", *parts)
