# SPDX-License-Identifier: MIT
"""From a file to named columns of text."""

import re
from array import array

from tsanomaly._parameter_error import Parameter
from tsanomaly.datasets._reading._decode import read_text
from tsanomaly.datasets._reading._header import check_header, refuse_second_header
from tsanomaly.datasets._reading._names import has_time_name
from tsanomaly.datasets._reading._records import Records
from tsanomaly.datasets._reading._separator import find_separator
from tsanomaly.datasets._reading._table import GLUE, Column, Table, fault

__all__ = ["read_text_table"]

_N_TITLES = 20  # lines that may stand above the header
_N_CELLS = 2**18  # cells that are strings of their own at a time


def read_text_table(
    path,
    *,
    sep,
    encoding,
    keep_empty_rows,
    max_bytes,
    max_columns,
    skiprows=0,
    drop=(),
):
    """Read a delimited file.

    Parameters
    ----------
    path : str or Path
        The file, which may be compressed with gzip.
    sep, encoding, max_bytes, max_columns
        As for `read_sensor_csv`.
    keep_empty_rows : bool
        Whether rows without any value at the end of the file are rows.
    skiprows : int, default=0
        Lines to skip above the header.
    drop : set of str, default=()
        Names that may be in the header more than once, since all are left out.

    Returns
    -------
    table : Table
        The columns, in the order of the file.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is not a table of text, or too large.
    """
    text, found = read_text(path, encoding, max_bytes)
    path = str(path)
    hint = re.match(r'"?sep=([^\w"\r\n])"?(?:\r\n|\r|\n)', text)
    n_skipped = max(skiprows, 1 if hint else 0)  # Excel writes the hint for itself
    if sep == "auto" and hint:
        sep = hint.group(1)
    if sep == "auto":
        sep = find_separator(text, path, n_skipped, max_columns)
    records = Records(text, sep, path, n_skipped, max_columns)
    header_line, header = _first_record(records)
    if header is None:
        below = (" below ", Parameter("skiprows", skiprows)) if skiprows else ()
        raise fault(
            path, "the file is empty", *below, ". A header and rows are needed."
        )
    names = [name.strip() for name in header]
    check_header(names, path, header_line, drop)
    rows = _Rows(names, header_line, path)
    while rows.add(*records.take(max(16, _N_CELLS // len(names)))):
        pass
    texts, lines = rows.texts(), rows.lines
    n_empty = 0 if keep_empty_rows else min(map(_empty_end, texts))
    if len(lines) <= n_empty:
        raise fault(
            path, f"there is a header in line {header_line}, but no row below it."
        )
    if n_empty:
        texts = [text[:-n_empty] for text in texts]
        del lines[-n_empty:]
    columns = [
        Column(name, text, path, lines) for name, text in zip(names, texts, strict=True)
    ]
    table = Table(path, found, sep, header_line, columns, lines)
    table.is_encoding_guessed = encoding == "auto" and found in ("gb18030", "cp1252")
    if rows.have_ends:
        table.notes.append("a separator at the end of every row left out")
    if n_empty:
        table.notes.append(f"{n_empty} rows without any value at the end left out")
    return table


def _first_record(records):
    """Line and fields of the first record that is not blank, or 0 and None."""
    while True:
        lines, rows = records.take(1)
        if not rows:
            return 0, None
        if any(map(str.strip, rows[0])):
            return lines[0], rows[0]


def _empty_end(text):
    """How many cells are empty at the end of a column."""
    filled = text.rstrip(GLUE)
    return len(text) - len(filled) + (not filled)


class _Rows:
    """What is below the header, every row as long as it.

    All rows may end with a separator that the header lacks: the first one tells.

    Parameters
    ----------
    names : list of str
        The header.
    header_line : int
        The line it is in.
    path : str
        The file, for errors.

    Attributes
    ----------
    lines : array of int
        The line that each row starts in.
    have_ends : bool
        Whether all rows end with a separator.
    """

    def __init__(self, names, header_line, path):
        self._names, self._header_line, self._path = names, header_line, path
        self._is_known = any(map(has_time_name, names))
        self._parts = [[] for _ in names]  # of every column, cells joined
        self._blank = None  # the first blank line between rows
        self.lines = array("q")
        self.have_ends = False

    def add(self, lines, rows):
        """Add records and their lines. Return whether there were any."""
        is_any = bool(rows)
        width = len(self._names)
        is_plain = set(map(len, rows)) == {width + self.have_ends} and not (
            (self.have_ends and any(row[-1].strip() for row in rows))
            or (width == 1 and self._blank is not None)
        )
        if is_plain:
            n_titles = max(0, _N_TITLES - len(self.lines))
            for line, row in zip(lines[:n_titles], rows, strict=False):
                self._refuse_title(line, row)
        else:
            lines, rows = self._sift(lines, rows)
        self.lines.extend(lines)
        for part, cells in zip(self._parts, zip(*rows, strict=True), strict=False):
            part.append(GLUE.join(map(str.strip, cells)))
        return is_any

    def texts(self):
        """The columns, the cells of each joined by GLUE."""
        texts = []
        while self._parts:  # none of them twice in memory
            texts.append(GLUE.join(self._parts.pop()))
        return texts[::-1]

    def _sift(self, lines, rows):
        """The records that are rows: blank lines are not, others are errors."""
        width = len(self._names)
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
                        "the line is blank, which in a file of one column may be a "
                        "missing reading or no row at all. Write nan, or delete the "
                        "line.",
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
            f"the line has {len(row)} fields, and the header in line "
            f"{self._header_line} has {width}. Every row must have as many fields as "
            "the header. Complete the row; if it looks complete, pass the separator "
            "as ",
            Parameter("sep"),
            ", or quote fields that contain it. Lines above the header are skipped "
            "with ",
            Parameter("skiprows"),
            ".",
        )
