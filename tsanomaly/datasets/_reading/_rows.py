# SPDX-License-Identifier: MIT
"""Read the rows below a header, which must have as many fields as the header."""

import csv
from array import array
from itertools import chain

import numpy as np

from tsanomaly._parameter_error import Parameter
from tsanomaly.datasets._reading._bounds import (
    GLUE,
    find_bounds,
    join_cells,
    strip_cells,
)
from tsanomaly.datasets._reading._decode import count_lines
from tsanomaly.datasets._reading._header import refuse_second_header
from tsanomaly.datasets._reading._names import has_time_name
from tsanomaly.datasets._reading._records import Records, Source
from tsanomaly.datasets._reading._table import fault

__all__ = ["Rows"]

_N_TITLES = 20  # lines in which to look for a later header
_PIECE = 2**22  # bytes of lines without quotes to split at a time
_N_CELLS = 2**18  # cells of other lines to convert to strings at a time
_NEWLINE = ord("\n")


class Rows:
    """Rows of cells, with the line in which each starts.

    Parameters
    ----------
    names : list of str
        The header.
    header_line : int
        Line number of the header.
    path : str
        Name of the file in errors.

    Attributes
    ----------
    lines : array of int
        Line in which each row starts.
    have_ends : bool
        Whether all rows end with a separator that the header lacks. The first row
        decides.
    hold_sep : bool
        Whether a cell contains the separator, in quotes.
    """

    def __init__(self, names, header_line, path):
        self._names, self._header_line, self._path = names, header_line, path
        self._is_known = any(map(has_time_name, names))
        self._blank = None  # the first blank line between rows
        self._texts, self._size = [], 0  # texts of cells, and their size in bytes
        self._starts = self._ends = None  # of shape (n_columns, n_rows at most)
        self.lines = array("q")
        self.have_ends = self.hold_sep = False

    def read(self, source, sep, max_columns):
        """Read all rows of a text.

        Parameters
        ----------
        source : Source
            The text below the header. It ends with a line end.
        sep : str
            Field separator.
        max_columns : int
            Maximum number of fields in a line.

        Raises
        ------
        ValueError
            If a line is not blank and has more or fewer fields than the header.
        """
        # The text may be stored twice: as it is, and without quotes.
        dtype = np.uint32 if 2 * len(source.data) < 2**32 else np.int64
        # Every cell is followed by a byte. Pages that stay empty take no memory.
        n_bytes, width = len(source.data) - source.position, len(self._names)
        shape = (width, min(count_lines(source.data), n_bytes // width + 1))
        self._starts, self._ends = np.empty(shape, dtype), np.empty(shape, dtype)
        records = Records(self._read_plain(source, sep), sep, max_columns)
        n_rows = max(16, _N_CELLS // len(self._names))
        while True:
            lines, rows = records.take(n_rows)
            if not rows:
                return
            lines, rows = self._sift(lines, rows)
            if rows:
                text = GLUE.join(chain.from_iterable(rows))
                self.hold_sep |= sep in text
                self._add_text(lines, text)

    def _read_plain(self, source, sep):
        """Read plain lines, five times as fast. Return the text below them."""
        width, position, line = len(self._names), source.position, source.line
        for piece in source.pieces(_PIECE):
            bounds = _split(piece, sep, width)
            if bounds is None:
                break
            starts, ends = bounds
            for row in range(min(len(starts), max(0, _N_TITLES - len(self.lines)))):
                cells = join_cells(piece, starts[row], ends[row]).split(GLUE)
                self._refuse_title(line + row, cells)
            self._texts, self._size = [source.data], len(source.data)
            self._add(range(line, line + len(starts)), starts, ends, position)
            position += len(piece)
            line += len(starts)
        return Source(source.path, source.data, position, line)

    def _add_text(self, lines, text):
        """Add rows from one text of cells joined by GLUE."""
        data, starts, ends = find_bounds(text)
        strip_cells(data, starts, ends)
        shape, width = (len(lines), -1), len(self._names)
        starts, ends = (bounds.reshape(shape)[:, :width] for bounds in (starts, ends))
        self._texts.append(data)
        self._add(lines, starts, ends, self._size)
        self._size += len(data)

    def _add(self, lines, starts, ends, position):
        rows = slice(len(self.lines), len(self.lines) + len(starts))
        np.add(starts.T, position, out=self._starts[:, rows], casting="unsafe")
        np.add(ends.T, position, out=self._ends[:, rows], casting="unsafe")
        self.lines.extend(lines)

    def table(self):
        """Return all cells.

        Returns
        -------
        data : bytes
            A text in UTF-8 that contains the cells.
        starts, ends : ndarray of int of shape (n_columns, n_rows)
            Start and end of each cell in `data`.
        """
        n_rows = len(self.lines)
        starts, ends = self._starts[:, :n_rows], self._ends[:, :n_rows]
        return b"".join(self._texts), starts, ends

    def _sift(self, lines, rows):
        """Return the records that are rows. Skip blank lines, and raise for others."""
        width = len(self._names)
        is_below = self._is_known or len(self.lines) >= _N_TITLES
        is_table = width > 1 and not self.have_ends and set(map(len, rows)) == {width}
        if is_below and is_table:
            return lines, rows  # the usual case, without a loop
        kept_lines, kept_rows = [], []
        for line, row in zip(lines, rows, strict=True):
            n_before = len(self.lines) + len(kept_lines)
            has_end = len(row) == width + 1 and not row[-1].strip()
            if has_end and not n_before:
                self.have_ends = True
            if has_end if self.have_ends else len(row) == width:
                if self._blank is not None and width == 1:
                    raise fault(
                        f"{self._path}, line {self._blank}, column {self._names[0]!r}",
                        "the line is blank. In a file with one column, this may be a "
                        "missing reading or not a row. Write nan, or delete the line.",
                    )
                if n_before < _N_TITLES:
                    self._refuse_title(line, row)
                kept_lines.append(line)
                kept_rows.append(row)
            elif len(row) < 2 and not "".join(row).strip():
                if n_before and self._blank is None:
                    self._blank = line
            else:
                self._refuse_title(line, row)
                raise self._wrong_length(line, row)
        return kept_lines, kept_rows

    def _refuse_title(self, line, row):
        if not self._is_known:
            refuse_second_header(row, line, self._path)

    def _wrong_length(self, line, row):
        """Error about a row that has more or fewer fields than the header."""
        width = len(self._names)
        place = "after the last one"
        if len(row) < width:
            place = f"column {self._names[len(row)]!r}"
        return fault(
            f"{self._path}, line {line}, {place}",
            f"the line has {len(row)} field{'s' * (len(row) > 1)}, but the header in "
            f"line {self._header_line} has {width}. Every row must have as many fields "
            "as the header. Complete the row; if it is complete, pass the separator as "
            "",
            Parameter("sep"),
            ", or quote fields that contain it. Lines above the header are skipped "
            "with ",
            Parameter("skiprows"),
            ".",
        )


def _split(piece, sep, width):
    """Return starts and ends of the stripped fields of plain lines, None for others.

    Plain lines have no quotes and as many fields as the header, at least two, so that
    none of them is blank.
    """
    if width < 2 or not sep.isascii() or b'"' in piece:
        return None
    if not piece.endswith(b"\n"):
        return None
    if b"\r" in piece and piece.count(b"\r") != piece.count(b"\r\n"):
        return None
    codes = np.frombuffer(piece, np.uint8)
    ends = np.flatnonzero((codes == ord(sep)) | (codes == _NEWLINE))
    if len(ends) % width:
        return None
    is_last = (codes.take(ends) == _NEWLINE).reshape(-1, width)
    if is_last[:, :-1].any() or not is_last[:, -1].all():
        return None
    starts = np.concatenate([[0], ends[:-1] + 1])
    if (ends - starts).max() > csv.field_size_limit():
        return None
    strip_cells(piece, starts, ends)
    return starts.reshape(-1, width), ends.reshape(-1, width)
