# SPDX-License-Identifier: MIT
"""Read a file into named columns of text."""

import re

import numpy as np

from tsanomaly._parameter_error import Parameter
from tsanomaly.datasets._reading._annotated import is_annotated, read_annotated
from tsanomaly.datasets._reading._bounds import GLUE, join_cells
from tsanomaly.datasets._reading._decode import read_text
from tsanomaly.datasets._reading._footer import leave_out_footer
from tsanomaly.datasets._reading._header import (
    check_header,
    find_head,
    make_distinct,
    warn_of_repeated,
)
from tsanomaly.datasets._reading._records import Source
from tsanomaly.datasets._reading._rows import Rows
from tsanomaly.datasets._reading._separator import find_separator, with_tabs
from tsanomaly.datasets._reading._table import Column, Table, fault

__all__ = ["read_text_table"]

_MOST_LISTED = 5  # lines to name in a message
_N_ROWS = 1_024  # rows to check at a time
_HINT = re.compile(r'"?sep=([^\w"\r\n])"?(?:\r\n|\r|\n)')


def read_text_table(
    path,
    *,
    sep,
    encoding,
    keep_empty_rows,
    max_bytes,
    max_columns,
    skiprows=0,
    header_rows="auto",
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
        Whether to keep rows without any value at the end of the file.
    skiprows : int, default=0
        Number of lines to skip above the header.
    header_rows : 'auto' or int, default='auto'
        As for `read_sensor_csv`.
    drop : set of str, default=()
        Names of columns that will be dropped. Repeated names among them are not
        numbered.

    Returns
    -------
    table : Table
        The columns, in the order of the file.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If the file is not a table of text, or is too large.
    """
    data, found = read_text(path, encoding, max_bytes)
    hint = _HINT.match(data[:20].decode("utf-8", "replace"))
    n_skipped = max(skiprows, 1 if hint else 0)  # the hint is for Excel only
    source = Source(str(path), data).skip(n_skipped)
    if is_annotated(source.data, source.position):
        return read_annotated(source, found, max_columns)
    if sep == "auto" and hint:
        sep = hint.group(1)
    if sep == "auto" and (spaced := with_tabs(source)) is not None:
        source, sep = spaced, "\t"
    if sep == "auto":
        sep = find_separator(source, max_columns)
    head = find_head(source, sep, max_columns, header_rows)
    if head is None:
        below = (" below ", Parameter("skiprows", skiprows)) if skiprows else ()
        raise fault(
            path, "the file is empty", *below, ". A header and rows are needed."
        )
    check_header(head.names, path, head.line)
    names, repeated = make_distinct(head.names, drop)
    widths = {len(names), len(names) + 1}
    source, messages = leave_out_footer(head.rest, sep, widths, head.time_positions)
    if not source.data.endswith(b"\n"):
        source.data += b"\n"  # required by Rows
    rows = Rows(names, head.line, source.path)
    rows.read(source, sep, max_columns)
    data, starts, ends = rows.table()
    all_lines = rows.lines
    headers = _find_headers(head.names, data, starts, ends)
    if len(headers):
        messages.append(_about_headers(headers, all_lines, source.path))
        all_lines = np.delete(np.asarray(all_lines), headers).tolist()
        starts, ends = (np.delete(bounds, headers, axis=1) for bounds in (starts, ends))
    n_rows = len(all_lines)
    if not keep_empty_rows:
        n_rows = _last_filled(starts, ends)
    if not n_rows:
        raise fault(
            path, f"there is a header in line {head.line}, but no row below it."
        )
    lines = all_lines[:n_rows]
    columns = [
        Column(name, data, start[:n_rows], end[:n_rows], source.path, lines)
        for name, start, end in zip(names, starts, ends, strict=True)
    ]
    table = Table(source.path, found, sep, head.line, columns, lines, rows.hold_sep)
    table.units = _by_name(names, head.units)
    table.descriptions = _by_name(names, head.descriptions)
    table.notes += head.notes
    table.messages += head.messages + messages
    if repeated:
        table.messages.append(warn_of_repeated(repeated, path, head.line))
    table.is_encoding_guessed = encoding == "auto" and found in ("gb18030", "cp1252")
    if rows.have_ends:
        table.notes.append("a separator at the end of every row removed")
    n_empty = len(all_lines) - n_rows
    if n_empty:
        table.notes.append(f"{n_empty} rows without any value at the end left out")
    return table


def _find_headers(names, data, starts, ends):
    """Return the rows that repeat the header, as in concatenated files."""
    rows = np.arange(starts.shape[1])
    for name, start, end in zip(names, starts, ends, strict=True):
        rows = rows[end[rows] - start[rows] == len(name.encode())]
    for name, start, end in zip(names, starts, ends, strict=True):
        if not len(rows):
            break
        cells = join_cells(data, start[rows], end[rows]).split(GLUE)
        rows = rows[[cell == name for cell in cells]]
    return rows


def _about_headers(rows, lines, path):
    """Describe repeated headers for a warning."""
    shown = ", ".join(f"{lines[row]:,}" for row in rows[:_MOST_LISTED])
    if len(rows) > _MOST_LISTED:
        shown += f" and {len(rows) - _MOST_LISTED:,} more"
    return f"{path}: the header is repeated in line {shown}, and was left out there."


def _last_filled(starts, ends):
    """Return the number of rows up to the last one with a value."""
    for stop in range(starts.shape[1], 0, -_N_ROWS):
        rows = slice(max(0, stop - _N_ROWS), stop)
        filled = np.flatnonzero((starts[:, rows] < ends[:, rows]).any(axis=0))
        if len(filled):
            return rows.start + int(filled[-1]) + 1
    return 0


def _by_name(names, texts):
    """Map names of columns to their texts, if they have one."""
    return {name: text for name, text in zip(names, texts, strict=False) if text}
