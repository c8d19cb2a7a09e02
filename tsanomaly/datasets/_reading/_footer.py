# SPDX-License-Identifier: MIT
"""Lines below the last row: totals, remarks, and a truncated line."""

import csv
import re

from tsanomaly.datasets._reading._cells import MISSING, is_number, is_time_text, show
from tsanomaly.datasets._reading._decode import count_lines
from tsanomaly.datasets._reading._records import Source
from tsanomaly.datasets._reading._words import is_known_word

__all__ = ["leave_out_footer"]

_MOST_LINES = 50
_MOST_BYTES = 2**16  # from the end of the file, to search for a footer
_WORD_TEXT = """
total totals sum sums average avg mean median min max minimum maximum std stdev
count counts end eof records record rows row lines exported generated report
printed created source summe mittelwert mittel anzahl ende gesamt somme moyenne
fin promedio media totale 合计 平均 总计
"""
_WORDS = frozenset(_WORD_TEXT.split())
_FIRST_WORD = re.compile(r"[\W_]*([^\W\d_]+)")
_LONG_NUMBER = re.compile(r"[0-9]{9,19}")  # such as times since 1970
_RULE = re.compile(r"[-=*#_.\s]{3,}")


def leave_out_footer(source, sep, widths, time_positions):
    """Drop the lines below the last complete row.

    Parameters
    ----------
    source : Source
        The text below the header.
    sep : str
        Field separator.
    widths : set of int
        Possible numbers of fields of a row.
    time_positions : list of int
        Positions of columns that contain times as text.

    Returns
    -------
    source : Source
        The text without these lines.
    messages : list of str
        A description of the dropped lines, if any.
    """
    left_out, stop, is_last, above = [], len(source.data), True, None
    has_end = source.data.endswith((b"\n", b"\r"))
    lines = [(start, line, _split(line, sep)) for start, line in _last_lines(source)]
    for i, (start, line, cells) in enumerate(lines):
        if cells is None:
            return source, []
        if not any(cells):
            continue
        others = [] if time_positions else [other for *_, other in lines[i + 1 :]]
        if _continues(cells, others):
            kind = "row"
        else:
            kind = _kind(cells, widths, time_positions, is_last)
        if kind == "row" and is_last and not has_end:
            above = cells, start, line  # its last cell may be truncated
        elif kind == "row":
            if above is not None and _is_cut(above[0][-1], cells[-1]):
                left_out, stop = [("cut", *above[1:])], above[1]
            break
        elif kind is None or above is not None:
            return source, []
        else:
            left_out.append((kind, start, line))
            stop = start
        is_last = False
    else:
        return source, []  # no complete row above these lines
    if not left_out:
        return source, []
    n_line = count_lines(source.data[:stop])
    shown = "; ".join(show(line) for _, _, line in reversed(left_out[-3:]))
    lines = f"line {n_line}"
    if len(left_out) > 1:
        lines = f"{len(left_out)} lines from line {n_line} on"
    what = "it is not a row of readings"
    if len(left_out) > 1:
        what = "they are not rows of readings"
    elif left_out[0][0] == "cut":
        what = "the last line of the file is truncated"
    message = f"{source.path}, {lines}: left out, because {what}: {shown}."
    rest = Source(source.path, source.data[:stop], source.position, source.line)
    return rest, [message]


def _last_lines(source):
    """Yield start and text of the last lines, in reverse order."""
    data, first = source.data, max(source.position, len(source.data) - _MOST_BYTES)
    end = len(data)
    for _ in range(_MOST_LINES):
        if end <= first:
            return
        stop = end
        for mark in (b"\n", b"\r"):
            if data.endswith(mark, first, stop):
                stop -= 1
        start = max(data.rfind(b"\n", first, stop), data.rfind(b"\r", first, stop)) + 1
        if not start and first > source.position:
            return
        start = start or first
        yield start, data[start:stop].decode("utf-8", "replace")
        end = start


def _split(line, sep):
    """Split a line into fields. None if it leaves a quote open."""
    if line.count('"') % 2:
        return None
    try:
        (cells,) = csv.reader(
            [line], delimiter=sep, strict=True, skipinitialspace=sep != " "
        )
    except (csv.Error, ValueError):
        return [] if not line else None
    return [cell.strip() for cell in cells]


def _continues(cells, others):
    """Whether a line has the form of the one above, even if it starts with a word.

    Parameters
    ----------
    cells : list of str
        The line.
    others : list of (list of str or None)
        The lines above it in reverse order, as from `_split`.
    """
    above = next(filter(None, others), None)
    if above is None or len(above) != len(cells):
        return False
    if any(other and is_number(other[0]) for other in others):
        return False  # rows start with a time, totals with a word
    if [*map(is_number, cells)] != [*map(is_number, above)]:
        return False
    # A total has fewer digits than a time, and does not occur twice.
    has_time = any(
        len(cell) == len(other)
        and _LONG_NUMBER.fullmatch(cell)
        and _LONG_NUMBER.fullmatch(other)
        for cell, other in zip(cells, above, strict=True)
    )
    return has_time or any(other and other[0] == cells[0] for other in others)


def _kind(cells, widths, time_positions, is_last):
    """Return 'row', 'footer' or 'cut' for a line, or None if it is ambiguous."""
    is_whole = len(cells) in widths
    inside = [position for position in time_positions if position < len(cells)]
    times = [cells[position] for position in inside]
    if any(map(is_time_text, times)) and is_whole:
        return "row"
    first = next(filter(None, cells))
    match = _FIRST_WORD.match(first)
    word = match[1].casefold() if match else ""
    if word in _WORDS or (_RULE.fullmatch(first) and len(cells) < min(widths)):
        return "footer"
    if is_whole:
        # An invalid time starts with digits, not with a word.
        is_remark = len(word) > 2 and first in times and not is_known_word(first)
        return "footer" if is_remark and first[0].isalpha() else "row"
    if len(cells) < min(widths):
        if len(word) > 2 and first[0].isalpha() and time_positions:
            return "footer"
        if is_last and first[0].isdigit():
            return "cut"
    return None


def _is_cut(cell, above):
    """Whether a cell is truncated, compared with the cell above."""
    if not cell or cell in MISSING or is_number(cell) or is_known_word(cell):
        return False
    return is_number(above) or (above.startswith(cell) and above != cell)
