# SPDX-License-Identifier: MIT
"""Named columns of text that know which line of the file a row came from."""

from dataclasses import dataclass, field

from tsanomaly._parameter_error import Parameter, ParameterError

__all__ = ["Column", "Table", "fault"]


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


@dataclass
class Column:
    """A column of text, and what its errors need to name a place."""

    name: str
    cells: list
    path: str
    lines: list

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
    lines: list
    notes: list = field(default_factory=list)
    is_encoding_guessed: bool = False

    @property
    def names(self):
        """The names in the order of the file."""
        return [column.name for column in self.columns]

    def column(self, name):
        """The column of that name."""
        return self.columns[self.names.index(name)]

    def header_fault(self, *parts):
        """Error about the names."""
        return fault(f"{self.path}, line {self.header_line}", *parts)
