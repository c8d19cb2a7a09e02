# SPDX-License-Identifier: MIT
"""The lines above the rows: banners, names of columns, and what stands below these."""

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
_MOST_LINES = 100  # in which the first rows must begin
_N_ROWS = 8  # that tell what a row of the file is
_CAMPBELL = ("TOA5", "TOACI1")  # first cell of the banner of data loggers
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
    """What stands above the rows of a file.

    Attributes
    ----------
    line : int
        The line of the names.
    names : list of str
        The names, as they are in the file.
    rest : Source
        The text below.
    time_positions : list of int
        Positions of columns whose cells are times as text.
    units, descriptions : list of str
        One text for each name, or none at all.
    notes, messages : list
        What is to be logged, and warned of.
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
    """A record of the first lines."""

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
        The text from the first line on that is not skipped.
    sep : str
        What separates the fields.
    max_columns : int
        Fields that a line may have.
    header_rows : 'auto' or int
        Lines of the header: names, and what stands below them.

    Returns
    -------
    head : Head or None
        None if there is no line.

    Raises
    ------
    ValueError
        If it is not certain which line holds the names, and which the first row.
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
            record.cells.pop()  # the header ends with a separator that rows lack
    fits = {width}
    if body and all(not record.cells[-1] for record in body):
        fits.add(width - 1)  # rows end with a separator that the header may lack
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
        head.names[0] = head.names[0].lstrip("# ")  # as numpy.savetxt writes names
    above, below = records[:chosen], records[chosen + 1 : n_above]
    if below and _join_with_below(head, below[0].cells, source.path):
        below = below[1:]
    elif above and _join_with_above(head, above[-1].cells, source.path):
        above = above[:-1]
    _describe(head, below)
    _tell_of_banner(head, above, source.path)
    return head


def _first_records(records, n_told):
    """The first records that are not blank, up to some that are rows."""
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
    """Leave the names alone above the rows of a data set of Ignition, in place.

    They stand between ``#NAMES`` and ``#TYPES``, and ``#ROWS`` is above the rows.
    """
    titles = [record.cells[0].upper() for record in records[:5]]
    if titles[::2] != ["#NAMES", "#TYPES", "#ROWS"] or any(records[0].cells[1:]):
        return
    records[1].rest = records[4].rest
    del records[2:5], records[0]


def _count_above(records, body, positions, width, path):
    """How many records are above the first row."""
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
                    return i  # a row that lacks a field, which is an error later
            continue
        others = [c for p, c in enumerate(cells) if p not in positions and c]
        words = [c for c in others if _is_word(c)]
        if positions:
            # A row whose time is broken: the times are read later, and tell.
            is_broken = any(cells[p][:1].isdigit() for p in positions)
            if is_broken and not words and any(map(is_number, others)):
                return i
        elif record.has_number:
            # Numbers may stand in a banner, if the names are below.
            if not any(other.has_time_name for other in records[i + 1 :]):
                return i
        elif not any(
            is_numeric and _is_word(cell)
            for is_numeric, cell in zip(are_numbers, cells, strict=False)
        ):
            return i
    return len(records) if positions else 1


def _refuse_row_above(records, i, path):
    """The position of the first row, unless names of columns are below it."""
    if i == 0:
        for record in records[1:]:
            if record.has_time_name:
                refuse_second_header(record.cells, record.line, path)
    return i


def _refuse_times(records, positions, n_told, path):
    """Raise if the user counts rows to the header."""
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
    """Whether a cell holds a text that stands for no reading."""
    return not (
        cell in MISSING or is_number(cell) or is_time_text(cell) or is_known_word(cell)
    )


def _find_names(above, fits, path):
    """Which of the records above the first row holds the names."""
    if len(above) < 2:
        return 0
    fitting = [i for i, record in enumerate(above) if len(record.cells) in fits]
    if not fitting:
        return 0  # which is an error as soon as rows are read
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
    """Whether a cell is a unit that is no number."""
    return any(_UNIT.fullmatch(cell) and not is_number(cell) for cell in cells)


def _are_readings(cells):
    """Whether cells hold nothing but words that stand for readings."""
    filled = [cell for cell in cells if cell]
    return all(is_known_word(cell) and cell[0].isalpha() for cell in filled) and not (
        _has_unit(filled)
    )


def _is_titled(cells):
    """Whether the first cell says what a line below the names holds."""
    return cells[0].strip(" :[]()").casefold() in _UNIT_TITLES | _OTHER_TITLES


def _are_units(cells):
    """Whether most cells that are not empty are units, or the first one says so."""
    filled = [cell for cell in cells if cell]
    title = cells[0].strip(" :[]()").casefold()
    n_units = sum(_UNIT.fullmatch(cell) is not None for cell in filled)
    if _are_statistics(filled):
        return False
    return title in _UNIT_TITLES or 2 * n_units > len(filled)


def _are_statistics(cells):
    """Whether texts say how readings were averaged, as data loggers write it."""
    return _STATISTICS.issuperset(cell.casefold() for cell in cells)


def _join_with_below(head, lower, path):
    """Join names that stand over several columns each with those below them.

    Parameters
    ----------
    head : Head
        Whose names are changed.
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
    """As `_join_with_below`, of repeated names that only those above tell apart."""
    names = head.names
    are_distinct = len(set(names)) == len(names)
    if len(upper) != len(names) or are_distinct or any(map(is_number, upper)):
        return False
    return _join(head, upper, names, _are_times(head, names), path)


def _are_times(head, names):
    """Whether each column holds times, by its cells or its name."""
    return [
        position in head.time_positions or has_time_name(name)
        for position, name in enumerate(names)
    ]


def _join(head, upper, lower, are_times, path):
    """Join names of two lines, of which an upper one goes on to the next one."""
    over, joined = "", []
    # The name of a tag may stand over the times of its own.
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
    """Keep what stands below the names: units, and other lines."""
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
    """Say which lines above the names were left out."""
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
    # A name may look like a short date, as 10.12.24 does, but not like a whole one.
    if are_values or any(is_time_text(name) and _YEAR.search(name) for name in names):
        raise fault(
            f"{path}, line {line}",
            f"the file has no header: {show(names[0])} … {show(names[-1])} are values, "
            "not names. Add a line with the column names at the top.",
        )


def make_distinct(names, drop):
    """Number names that are there more than once: Temp, Temp (2).

    Parameters
    ----------
    names : list of str
        The names in the file.
    drop : set of str
        Names of columns that are all left out.

    Returns
    -------
    distinct : list of str
        Different names, but for those without a name, and those in `drop`.
    repeated : list of str
        Names that are there more than once.
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
    """Warning about names that were made distinct."""
    return ParameterWarning(
        f"{path}, line {line}: the header contains {list_names(repeated)} more than "
        f"once. The columns were named {repeated[0]!r}, '{repeated[0]} (2)' and so on, "
        "in "
        "the order of the file. If they are the same sensor, leave one out with ",
        Parameter("drop", f"{repeated[0]} (2)"),
        ".",
    )


def refuse_second_header(row, line, path):
    """Raise if a row below what was taken for the header has the name of a time."""
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
    """A name with a space in place of each line break and the blanks around it."""
    if "\n" not in name and "\r" not in name:
        return name
    return " ".join(part.strip() for part in _LINE_BREAK.split(name))
