# SPDX-License-Identifier: MIT
"""Annotated CSV of InfluxDB: several tables, each with its own header."""

import re

from tsanomaly._parameter_error import Parameter
from tsanomaly.datasets._reading._records import Records
from tsanomaly.datasets._reading._table import Column, Table, fault

__all__ = ["is_annotated", "read_annotated"]

_START = re.compile(
    rb"\s*#(?:group|datatype|default)\s*,|\s*,result,table,(?:[^\r\n]*,)?_time\b"
)
_TIME, _VALUE, _FIELD, _MEASUREMENT = "_time", "_value", "_field", "_measurement"
_NO_KEYS = frozenset(["", "result", "table", "_start", "_stop", _TIME, _VALUE])
_N_RECORDS = 10_000
_MOST_BYTES = 10_000  # of the first line


def is_annotated(data, position):
    """Whether a text is annotated CSV from a position on."""
    return _START.match(data, position, position + _MOST_BYTES) is not None


def read_annotated(source, encoding, max_columns):
    """Read annotated CSV into a table in long format.

    Parameters
    ----------
    source : Source
        The text.
    encoding : str
        The original encoding of the file.
    max_columns : int
        Maximum number of fields in a line.

    Returns
    -------
    table : Table
        Times, names of the series, and values. The name of a series is its field,
        followed by the tags that differ within that field.

    Raises
    ------
    ValueError
        If there is no header, or a row is shorter or longer than its header.
    """
    lines, times, values, series = [], [], [], []
    numbers, header_line, messages = {}, None, []
    for line, cells, header in _rows(source, max_columns):
        if header is None or header_line is None:
            header_line = line
        if header is None:
            continue
        if len(cells) != len(header):
            messages.append(_wrong_length(source, line, cells, header))
            continue
        if messages:
            raise messages[0][1]
        row = dict(zip(header, cells, strict=True))
        key = tuple((name, row[name]) for name in header if name not in _NO_KEYS)
        lines.append(line)
        times.append(row[_TIME])
        values.append(row[_VALUE])
        series.append(numbers.setdefault(key, len(numbers)))
    if not lines:
        raise fault(
            source.path,
            "this annotated CSV of InfluxDB contains no readings. Export the "
            f"columns {_TIME} and {_VALUE}, without pivot().",
        )
    names = _distinct_names(list(numbers))
    columns = [
        Column.from_cells(name, cells, source.path, lines)
        for name, cells in (
            (_TIME, times),
            (_FIELD, [names[number] for number in series]),
            (_VALUE, values),
        )
    ]
    table = Table(source.path, encoding, ",", header_line, columns, lines, False)
    table.long = (_FIELD, _VALUE)
    table.notes.append("annotated CSV of InfluxDB")
    table.messages += [message for message, _ in messages]
    return table


def _rows(source, max_columns):
    """Yield line, cells and header of each row. For a header, the latter is None."""
    records, header = Records(source, ",", max_columns), None
    while True:
        lines, rows = records.take(_N_RECORDS)
        if not rows:
            return
        for line, cells in zip(lines, rows, strict=True):
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if cells[0].startswith("#"):
                header = None
            elif _TIME in cells and _VALUE in cells:
                header = cells
                yield line, cells, None
            elif header is None:
                raise fault(
                    f"{source.path}, line {line}",
                    f"this is annotated CSV of InfluxDB, but its header lacks {_TIME} "
                    f"or {_VALUE}. Export these columns, without pivot(), or write a "
                    "table with one column per sensor and without annotations.",
                )
            else:
                yield line, cells, header


def _wrong_length(source, line, cells, header):
    """Return the warning for the last row of the file, and the error for others."""
    text = (
        f"{source.path}, line {line}: the line has {len(cells)} fields, and its header "
        f"has {len(header)}."
    )
    error = fault(
        f"{source.path}, line {line}",
        f"the line has {len(cells)} fields, and its header has {len(header)}. Complete "
        "the line. Lines above the table are skipped with ",
        Parameter("skiprows"),
        ".",
    )
    return f"{text} The last line of the file is truncated, and was left out.", error


def _distinct_names(keys):
    """Name each series by its field and the tags that differ within that field."""
    by_field = {}
    for key in keys:
        by_field.setdefault(dict(key).get(_FIELD, ""), []).append(key)
    names = {}
    for field, group in by_field.items():
        tags = dict.fromkeys(tag for key in group for tag, _ in key if tag != _FIELD)
        telling = [
            tag for tag in tags if len({dict(key).get(tag, "") for key in group}) > 1
        ]
        for key in group:
            said = dict(key)
            shown = ", ".join(f"{tag}={said[tag]}" for tag in telling if tag in said)
            if len(group) == 1:
                names[key] = field or said.get(_MEASUREMENT) or _VALUE
            else:
                names[key] = f"{field} ({shown})".strip()
    return [names[key] for key in keys]
