# SPDX-License-Identifier: MIT
"""Detect the separator of a text."""

import re
from collections import Counter
from dataclasses import replace

from tsanomaly._parameter_error import Parameter
from tsanomaly.datasets._reading._cells import MISSING, NUMBER, is_time_text
from tsanomaly.datasets._reading._records import Records
from tsanomaly.datasets._reading._table import fault

__all__ = ["find_separator", "with_tabs"]

_SEPARATORS = (",", ";", "\t", "|")
_SAMPLED_BYTES = 2**16
_SAMPLE = 100  # records by which to judge a separator
_WORDS = frozenset(["true", "false", "yes", "no", "normal", "attack", "anomaly"])


def find_separator(source, max_columns):
    """Find the separator that splits the header and the first rows equally.

    Parameters
    ----------
    source : Source
        The text from the header on.
    max_columns : int
        Maximum number of fields in a line.

    Returns
    -------
    sep : str
        The separator. It may not fit the rows below the sample.

    Raises
    ------
    ValueError
        If several separators fit.
    """
    widths, consistent, mostly = {}, [], {}
    for sep in _SEPARATORS:
        records = Records(source, sep, max_columns)
        rows = _sample(records)
        widths[sep] = len(rows[0]) if rows else 0
        if all(len(row) == widths[sep] + 1 and not row[-1].strip() for row in rows[1:]):
            rows[1:] = [row[:-1] for row in rows[1:]]
        # A misplaced quote raises later, with its line, when all rows are read.
        if records.error is None and len({len(row) for row in rows}) == 1:
            consistent.append((sep, rows))
        elif records.error is None and rows:
            mostly[sep] = _most_frequent_width(rows)
    several = [(sep, rows) for sep, rows in consistent if widths[sep] > 1]
    if len(several) > 1:
        several = [(sep, rows) for sep, rows in several if _are_values(rows[1:])]
        if len(several) != 1:
            raise fault(
                f"{source.path}, line {source.line}",
                "the separator cannot be detected, because several would split all "
                "lines equally. Pass it as ",
                Parameter("sep"),
                ".",
            )
    if several:
        return several[0][0]
    likely = max(mostly, key=mostly.get, default=None)
    if likely and mostly[likely][0]:
        return likely  # below a banner, or above a footer
    widest = max(_SEPARATORS, key=widths.get)
    if widths[widest] > 1 or not consistent:
        return widest  # does not fit: reading with it raises and names the line
    return consistent[0][0]  # a file of one column


def with_tabs(source):
    """Replace spaces by tabs if only spaces separate the fields of a text.

    Parameters
    ----------
    source : Source
        The text from the header on.

    Returns
    -------
    source : Source or None
        None if this is uncertain: if the text contains another separator or a quote, or
        lines have different numbers of fields.
    """
    start = source.data[source.position :][:_SAMPLED_BYTES]
    lines = [line for line in start.decode("utf-8", "replace").splitlines() if line]
    if len(start) == _SAMPLED_BYTES:
        lines = lines[:-1]
    lines = lines[:_SAMPLE]
    if any(mark in line for line in lines for mark in (*_SEPARATORS, '"')):
        return None
    header, *rows = [line.removeprefix("#").split() for line in lines] or [[]]
    if len(header) < 2 or any(len(row) != len(header) for row in rows):
        return None
    if not (rows and _are_values(rows)) or _are_values([header]):
        return None
    data = re.sub(rb"(?m)^#?[ ]+|[ ]+(?=\r?$)", b"", source.data[source.position :])
    data = re.sub(rb"[ ]+", b"\t", data)
    return replace(source, data=data, position=0)


def _sample(records):
    """Return the first records that are not blank."""
    try:
        _, rows = records.take(_SAMPLE)
    except ValueError:
        if records.error is None:
            raise  # too many fields
        return []
    return [row for row in rows if len(row) > 1 or any(map(str.strip, row))]


def _most_frequent_width(rows):
    """Find the most frequent number of fields that is more than one.

    Return the number of rows that have it, whether these contain values, and the
    number of fields.
    """
    widths = list(map(len, rows))
    counts = Counter(width for width in widths if width > 1)
    if not counts:
        return 0, False, 1
    width, count = max(counts.items(), key=lambda item: (item[1], item[0]))
    if 2 * count < len(rows) - widths.index(width):  # lines above may be a banner
        return 0, False, width
    are_values = _are_values([row for row in rows if len(row) == width][2:])
    return count, are_values, width


def _are_values(rows):
    """Whether all cells are complete numbers, times or other values."""
    return all(_is_value(cell.strip()) for row in rows for cell in row)


def _is_value(cell):
    return (
        NUMBER.fullmatch(cell.replace(",", ".", 1)) is not None
        or cell in MISSING
        or cell.casefold() in _WORDS
        or (is_time_text(cell) and not re.search(r"[;|\t]", cell))
    )
