# SPDX-License-Identifier: MIT
"""Lines above the rows: banner, column names, units and descriptions."""

import re
from collections import Counter
from dataclasses import dataclass, field

from tsanomaly._parameter_error import Parameter, ParameterWarning
from tsanomaly.datasets._reading._cells import (
    MISSING,
    NUMBER,
    is_number,
    is_time_text,
    show,
)
from tsanomaly.datasets._reading._names import has_time_name, list_names
from tsanomaly.datasets._reading._records import Records, Source
from tsanomaly.datasets._reading._table import fault
from tsanomaly.datasets._reading._words import is_known_word

__all__ = [
    "Head",
    "check_header",
    "find_head",
    "make_distinct",
    "refuse_second_header",
    "warn_of_repeated",
]

_LINE_BREAK = re.compile(r"[\r\n]+")
_YEAR = re.compile(r"(?<![0-9])(?:19|20)[0-9]{2}(?:$|[^0-9]|[01][0-9][0-3][0-9])")
_MOST_LINES = 100  # to search for the first row
_N_ROWS = 8  # rows that show the form of all rows
_CAMPBELL = ("TOA5", "TOACI1")  # first cell of the banner of Campbell data loggers
_UNIT_TITLES = frozenset(
    [
        *(
            "unit",
            "units",
            "uom",
            "eu",
            "ts",
            "engunits",
            "eng units",
            "engineering units",
            "einheit",
            "einheiten",
            "unité",
            "unités",
        ),
        *("unite", "unidad", "unidades"),
    ]
)
_STATISTICS = frozenset(
    [
        *(
            "avg",
            "average",
            "mean",
            "min",
            "max",
            "minimum",
            "maximum",
            "smp",
            "sample",
        ),
        *("std", "tot", "total", "sum", "med", "median", "actual", "instant", "last"),
    ]
)
_LONGEST_UNIT = 12
_OTHER_TITLES = frozenset(
    [
        *("description", "descriptions", "desc", "descriptor", "beschreibung", "type"),
        *("comment", "bezeichnung", "statistic", "aggregation", "range", "location"),
        *("longname", "long name", "name", "datatype", "data type", "typ", "kommentar"),
    ]
)
_UNIT = re.compile(
    r"[°º]?\s?(?:deg\.?\s?)?[CFK]|[%‰-]|1|\[.*\]|\(.*\)|rpm|ppm|ppb|pH|bool"
    r"|.{0,8}[/²³^·].{1,8}"
    r"|[yzafpnuµmcdhkMGT]?(?:bar|barg|bara|Pa|g|m|s|A|V|W|Wh|VA|var|Hz|N|Nm|J|l|L|t"
    r"|K|mol|S|Ω|Ohm|lm|lx|T|H)[0-9]?"
    r"|psi[ag]?|min|h|d|inch|in|ft|lb|gal|rad|deg|degrees?|volts?|amps?|kmh|mph|db",
    re.IGNORECASE,
)


@dataclass
class Head:
    """The header of a file.

    Attributes
    ----------
    line : int
        Line number of the names.
    names : list of str
        Names as written in the file.
    rest : Source
        The text below the header.
    time_positions : list of int
        Positions of columns that contain times as text.
    units, descriptions : list of str
        One text per name, or an empty list.
    notes, messages : list
        Texts to log, and warnings.
    """

    line: int
    names: list
    rest: Source
    time_positions: list
    units: list = field(default_factory=list)
    descriptions: list = field(default_factory=list)
    notes: list = field(default_factory=list)
    messages: list = field(default_factory=list)


@dataclass
class _Record:
    """One of the first records of a file."""

    line: int
    cells: list
    rest: Source  # the text below it

    @property
    def has_time(self):
        return any(map(is_time_text, self.cells))

    @property
    def has_number(self):
        return any(map(is_number, self.cells))

    @property
    def n_filled(self):
        return sum(map(bool, self.cells))

    @property
    def has_time_name(self):
        return any(map(has_time_name, self.cells)) and not self.has_time


def find_head(source, sep, max_columns, header_rows):
    """Find the names of the columns, and the first row below them.

    Parameters
    ----------
    source : Source
        The text, starting at the first line that is not skipped.
    sep : str
        Field separator.
    max_columns : int
        Maximum number of fields in a line.
    header_rows : 'auto' or int
        Number of header lines, from the names to the last line above the rows.

    Returns
    -------
    head : Head or None
        None if the text is empty.

    Raises
    ------
    ValueError
        If the line of the names or the first row is ambiguous.
    """
    n_told = 0 if header_rows == "auto" else header_rows
    records = _first_records(Records(source, sep, max_columns), n_told)
    if not records:
        return None
    _unpack_ignition(records)
    body = [record for record in records if record.has_time or record.has_number]
    widths = Counter(len(record.cells) for record in body[-_N_ROWS:])
    width = max(widths, key=widths.get, default=len(records[0].cells))
    body = [record for record in body[-_N_ROWS:] if len(record.cells) == width]
    positions = [
        position
        for position in range(width)
        if 2 * sum(is_time_text(record.cells[position]) for record in body) > len(body)
    ]
    for record in records:
        if len(record.cells) == width + 1 and not (record.cells[-1] or record in body):
            record.cells.pop()  # only the header ends with a separator
    fits = {width}
    if body and all(not record.cells[-1] for record in body):
        fits.add(width - 1)  # rows end with a separator, and the header may not
    if header_rows == "auto":
        n_above = _count_above(records, body, positions, width, source.path)
        chosen = _find_names(records[:n_above], fits, source.path)
    else:
        titles = [i for i, record in enumerate(records) if record.has_time_name]
        chosen = titles[0] if titles and len(records[titles[0]].cells) in fits else 0
        n_above = min(chosen + n_told, len(records))
        _refuse_times(records[chosen + 1 : n_above], positions, n_told, source.path)
    names = records[chosen]
    names.cells = [_in_one_line(name) for name in names.cells]
    last = records[max(n_above - 1, chosen)]
    head = Head(names.line, list(names.cells), last.rest, positions)
    if re.match(r"#\s*\w", head.names[0]):
        head.names[0] = head.names[0].lstrip("# ")  # as written by numpy.savetxt
    above, below = records[:chosen], records[chosen + 1 : n_above]
    if below and _join_with_below(head, below[0].cells, source.path):
        below = below[1:]
    elif above and _join_with_above(head, above[-1].cells, source.path):
        above = above[:-1]
    _describe(head, below)
    _tell_of_banner(head, above, source.path)
    return head


def _first_records(records, n_told):
    """Return the first records that are not blank, including a few rows."""
    found, n_rows, width = [], 0, None
    for _ in range(_MOST_LINES + n_told):
        lines, rows = records.take(1)
        if not rows:
            break
        cells = [cell.strip() for cell in rows[0]]
        if not any(cells):
            continue
        record = _Record(lines[0], cells, records.rest())
        found.append(record)
        is_row = record.has_time or record.has_number
        n_rows = n_rows + 1 if is_row and len(cells) == width else int(is_row)
        width = len(cells)
        if n_rows >= _N_ROWS and len(found) >= n_told + _N_ROWS:
            break
    return found


def _unpack_ignition(records):
    """Remove other header lines from a data set of Ignition, in place.

    The names are between ``#NAMES`` and ``#TYPES``, and ``#ROWS`` precedes the rows.
    """
    titles = [record.cells[0].upper() for record in records[:5]]
    if titles[::2] != ["#NAMES", "#TYPES", "#ROWS"] or any(records[0].cells[1:]):
        return
    records[1].rest = records[4].rest
    del records[2:5], records[0]


def _count_above(records, body, positions, width, path):
    """Return the number of records above the first row."""
    are_numbers = [
        2 * sum(is_number(record.cells[position]) for record in body) > len(body)
        for position in range(0 if positions else width)
    ]
    for i, record in enumerate(records):
        cells = record.cells
        if any(is_time_text(cells[p]) for p in positions if p < len(cells)):
            return _refuse_row_above(records, i, path)
        if len(cells) < width or i == 0:
            has_value = record.has_time or (record.has_number and not positions)
            if i and has_value and len(cells) > 1:
                below = records[i + 1 :]
                if not any(other.has_time_name for other in below):
                    return i  # a row without one of its fields; reading it raises
            continue
        others = [c for p, c in enumerate(cells) if p not in positions and c]
        words = [c for c in others if _is_word(c)]
        if positions:
            # A row with an invalid time. The error is raised when times are read.
            is_broken = any(cells[p][:1].isdigit() for p in positions)
            if is_broken and not words and any(map(is_number, others)):
                return i
        elif record.has_number:
            # A banner above the names may contain numbers.
            if not any(other.has_time_name for other in records[i + 1 :]):
                return i
        elif not any(
            is_numeric and _is_word(cell)
            for is_numeric, cell in zip(are_numbers, cells, strict=False)
        ):
            return i
    return len(records) if positions else 1


def _refuse_row_above(records, i, path):
    """Return the position of the first row. Raise if column names are below it."""
    if i == 0:
        for record in records[1:]:
            if record.has_time_name:
                refuse_second_header(record.cells, record.line, path)
    return i


def _refuse_times(records, positions, n_told, path):
    """Raise if the header lines that the user counted include rows."""
    for record in records:
        cells = record.cells
        if any(is_time_text(cells[p]) for p in positions if p < len(cells)):
            raise fault(
                f"{path}, line {record.line}",
                Parameter("header_rows", n_told),
                " makes this line a part of the header, but it contains a time, as "
                "rows do. Count the lines from the column names to the last one above "
                "the rows.",
            )


def _is_word(cell):
    """Whether a cell contains text other than numbers, times and known words."""
    return not (
        cell in MISSING or is_number(cell) or is_time_text(cell) or is_known_word(cell)
    )


def _find_names(above, fits, path):
    """Return the position of the names among the records above the first row."""
    if len(above) < 2:
        return 0
    fitting = [i for i, record in enumerate(above) if len(record.cells) in fits]
    if not fitting:
        return 0  # reading the rows raises
    titles = [i for i in fitting if above[i].has_time_name]
    if titles:
        chosen = max(titles, key=lambda i: above[i].n_filled)
    else:
        most = max(above[i].n_filled for i in fitting)
        full = [i for i in fitting if above[i].n_filled == most]
        distinct = [i for i in full if len(set(above[i].cells)) == len(above[i].cells)]
        chosen = (distinct or full)[0]
    for record in above[chosen + 1 :]:
        numbers = set(filter(is_number, record.cells))
        are_texts = not (record.has_time or numbers or _are_readings(record.cells))
        if numbers == {"1"} and not record.has_time:  # the unit of a ratio
            are_texts = _is_titled(record.cells) or _has_unit(record.cells)
        is_plain = titles or not record.cells[0] or _is_titled(record.cells)
        is_plain = is_plain or _are_units(record.cells)
        if not are_texts or not is_plain or len(record.cells) > max(fits):
            raise fault(
                f"{path}, line {record.line}",
                f"the line between the column names in line {above[chosen].line} and "
                "the first row may belong to the header or be a row. If it belongs to "
                "the header, pass the number of header lines, ",
                Parameter("header_rows", len(above) - chosen),
                "; if it contains the names, pass ",
                Parameter("skiprows", record.line - 1),
                "; if it is a row, correct its time.",
            )
    return chosen


def _has_unit(cells):
    """Whether a cell is a unit other than a number."""
    return any(_UNIT.fullmatch(cell) and not is_number(cell) for cell in cells)


def _are_readings(cells):
    """Whether all cells are words for readings."""
    filled = [cell for cell in cells if cell]
    return all(is_known_word(cell) and cell[0].isalpha() for cell in filled) and not (
        _has_unit(filled)
    )


def _is_titled(cells):
    """Whether the first cell is a title for a line of units or descriptions."""
    return cells[0].strip(" :[]()").casefold() in _UNIT_TITLES | _OTHER_TITLES


def _are_units(cells):
    """Whether most filled cells are units, or the first cell is a title for units."""
    filled = [cell for cell in cells if cell]
    title = cells[0].strip(" :[]()").casefold()
    n_units = sum(_UNIT.fullmatch(cell) is not None for cell in filled)
    if _are_statistics(filled):
        return False
    return title in _UNIT_TITLES or 2 * n_units > len(filled)


def _are_statistics(cells):
    """Whether cells name statistics such as averages, as data loggers write them."""
    return _STATISTICS.issuperset(cell.casefold() for cell in cells)


def _join_with_below(head, lower, path):
    """Join names that span several columns with the names below them.

    Parameters
    ----------
    head : Head
        The header. Its names are modified.
    lower : list of str
        The cells below the names.
    path : str
        The file.

    Returns
    -------
    are_joined : bool
    """
    names = head.names
    if len(lower) != len(names) or not names[0] or all(names) or _are_units(lower):
        return False
    are_times = _are_times(head, names)
    if are_times != [not below for below in lower]:
        return False
    return _join(head, names, lower, are_times, path)


def _join_with_above(head, upper, path):
    """Join repeated names with the line above, which distinguishes them."""
    names = head.names
    are_distinct = len(set(names)) == len(names)
    if len(upper) != len(names) or are_distinct or any(map(is_number, upper)):
        return False
    return _join(head, upper, names, _are_times(head, names), path)


def _are_times(head, names):
    """Whether each column holds times, judged by its cells or its name."""
    return [
        position in head.time_positions or has_time_name(name)
        for position, name in enumerate(names)
    ]


def _join(head, upper, lower, are_times, path):
    """Join two lines of names. An upper name spans the empty cells to its right."""
    over, joined = "", []
    # The name of a tag may be above its own time column.
    over_times = [
        above for above, is_time in zip(upper, are_times, strict=True) if is_time
    ]
    have_times = len(over_times) > 1 and all(over_times)
    for above, below, is_time in zip(upper, lower, are_times, strict=True):
        over = above if is_time and have_times else "" if is_time else above or over
        if have_times and not (above or below):
            joined.append("")  # an empty column between tags
            continue
        if not (is_time or (over and below)):
            return False
        is_alone = is_time and not have_times
        joined.append(below or above if is_alone else f"{over} {below}")
    if len(set(filter(None, joined))) < len(list(filter(None, joined))):
        return False
    head.names = joined
    head.messages.append(
        f"{path}, line {head.line}: the column names are in two lines and were joined, "
        f"for example to {joined[-1]!r}. If one of the lines contains no names, give "
        "each column its own name in the other line."
    )
    return True


def _describe(head, records):
    """Store the lines below the names as units and descriptions."""
    n_names = len(head.names)
    lines = [(record.cells + [""] * n_names)[:n_names] for record in records]
    units = next((cells for cells in lines if _are_units(cells)), None)
    if units is None and len(lines) == 1:
        is_short = max(map(len, lines[0])) <= _LONGEST_UNIT
        if is_short and not _are_statistics(filter(None, lines[0])):
            units = lines[0]
    others = [cells for cells in lines if cells is not units]
    if units is not None:
        head.units = [cell.strip("[]") for cell in units]
        head.notes.append("a line of units below the names")
    if others:
        head.descriptions = [
            "; ".join(filter(None, cells)) for cells in zip(*others, strict=True)
        ]
        head.notes.append(f"lines of descriptions below the names: {len(others)}")


def _tell_of_banner(head, banner, path):
    """Report the lines above the names that are left out."""
    if not banner:
        return
    lines = f"line {banner[0].line}"
    if len(banner) > 1:
        lines = f"lines {banner[0].line} to {banner[-1].line}"
    head.notes.append(f"{lines} above the header left out")
    if any(
        sum(map(is_number, record.cells)) > 1 and record.cells[0] not in _CAMPBELL
        for record in banner
    ):
        head.messages.append(
            ParameterWarning(
                f"{path}: lines with numbers above the column names in line "
                f"{head.line} were left out: {lines}. To confirm, pass ",
                Parameter("skiprows", head.line - 1),
                ".",
            )
        )


def check_header(names, path, line):
    """Raise unless a header names columns."""
    are_values = all(
        name in MISSING
        or NUMBER.fullmatch(name.replace(",", ".", 1))
        or is_time_text(name)
        for name in names
    )
    # A name may look like a date without century, such as 10.12.24.
    if are_values or any(is_time_text(name) and _YEAR.search(name) for name in names):
        raise fault(
            f"{path}, line {line}",
            f"the file has no header: {show(names[0])} … {show(names[-1])} are values, "
            "not names. Add a line with the column names at the top.",
        )


def make_distinct(names, drop):
    """Number repeated names: Temp, Temp (2).

    Parameters
    ----------
    names : list of str
        The names in the file.
    drop : set of str
        Names of columns that are dropped.

    Returns
    -------
    distinct : list of str
        Distinct names, except for empty ones and those in `drop`.
    repeated : list of str
        Names that occurred more than once.
    """
    taken, distinct, repeated, counts = set(names), [], [], Counter()
    for name in names:
        counts[name] += 1
        if counts[name] == 1 or not name or name in drop:
            distinct.append(name)
            continue
        if counts[name] == 2:
            repeated.append(name)
        while f"{name} ({counts[name]})" in taken:
            counts[name] += 1
        distinct.append(f"{name} ({counts[name]})")
        taken.add(distinct[-1])
    return distinct, repeated


def warn_of_repeated(repeated, path, line):
    """Warning about repeated names that were numbered."""
    return ParameterWarning(
        f"{path}, line {line}: the header contains {list_names(repeated)} more than "
        f"once. The columns were named {repeated[0]!r}, '{repeated[0]} (2)' and so on, "
        "in "
        "the order of the file. If they are the same sensor, leave one out with ",
        Parameter("drop", f"{repeated[0]} (2)"),
        ".",
    )


def refuse_second_header(row, line, path):
    """Raise if a row below the assumed header contains the name of a time column."""
    for name in re.split(r"[,;\t|]", ",".join(row)):
        if has_time_name(name):
            raise fault(
                f"{path}, line {line}",
                f"{show(name.strip())} is the name of a column, but is below the "
                "detected header. To skip the lines above the header, pass ",
                Parameter("skiprows", line - 1),
                ".",
            )


def _in_one_line(name):
    """Replace line breaks in a name, and blanks around them, by one space."""
    if "\n" not in name and "\r" not in name:
        return name
    return " ".join(part.strip() for part in _LINE_BREAK.split(name))
