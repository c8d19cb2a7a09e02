# SPDX-License-Identifier: MIT
"""From a file to named columns of text."""

import csv
import io
import re
from itertools import islice, repeat

from tsanomaly._parameter_error import Parameter
from tsanomaly.datasets._reading._cells import MISSING, NUMBER, is_time_text, show
from tsanomaly.datasets._reading._decode import read_text
from tsanomaly.datasets._reading._names import has_time_name
from tsanomaly.datasets._reading._table import Column, Table, fault

__all__ = ["read_text_table", "separator_name"]

_SEPARATORS = (",", ";", "\t", "|")
_SEPARATOR_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_SAMPLE = 100  # records that a separator is judged by
_N_TITLES = 20  # lines that may stand above the header
_CHUNK = 4096  # rows that are turned into columns at once

_YEAR = re.compile(r"(?<![0-9])(?:19|20)[0-9]{2}(?:$|[^0-9]|[01][0-9][0-3][0-9])")


def separator_name(sep):
    """A separator as messages name it."""
    return _SEPARATOR_NAMES.get(sep, repr(sep))


def read_text_table(path, *, sep, encoding, keep_empty_rows, skiprows=0, drop=()):
    """Read a delimited file.

    Parameters
    ----------
    path : str or Path
        The file, which may be compressed with gzip.
    sep, encoding : str
        As for `read_sensor_csv`.
    keep_empty_rows : bool
        Whether rows without any value at the end of the file are rows.
    skiprows : int, default=0
        Lines to skip above the header.
    drop : iterable of str, default=()
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
        If it is not a table of text.
    """
    text, found = read_text(path, encoding)
    path = str(path)
    hint = re.match(r'"?sep=([^\w"\r\n])"?(?:\r\n|\r|\n)', text)
    stream = io.StringIO(text, newline="")
    n_skipped = max(skiprows, 1 if hint else 0)  # Excel writes the hint for itself
    if sep == "auto" and hint:
        sep = hint.group(1)
    if sep == "auto":
        sep = _guess_separator(stream, path, n_skipped)
    records = _records(stream, sep, path, n_skipped)
    header_line, header = next(
        ((line, row) for line, row in records if any(map(str.strip, row))), (0, None)
    )
    if header is None:
        below = (" below ", Parameter("skiprows", skiprows)) if skiprows else ()
        raise fault(
            path, "the file is empty", *below, ". A header and rows are needed."
        )
    names = [name.strip() for name in header]
    _check_header(names, path, header_line, drop)
    lines, cells, has_ends = _collect_plain(text, sep, names, header_line, path) or (
        _collect(records, names, header_line, path)
    )
    n_empty = 0
    while lines and not keep_empty_rows and not any(column[-1] for column in cells):
        for values in (lines, *cells):
            values.pop()
        n_empty += 1
    if not lines:
        raise fault(
            path, f"there is a header in line {header_line}, but no row below it."
        )
    columns = [
        Column(name, values, path, lines)
        for name, values in zip(names, cells, strict=True)
    ]
    table = Table(path, found, sep, header_line, columns, lines)
    table.is_encoding_guessed = encoding == "auto" and found in ("gb18030", "cp1252")
    if has_ends:
        table.notes.append("a separator at the end of every row left out")
    if n_empty:
        table.notes.append(f"{n_empty} rows without any value at the end left out")
    return table


def _records(stream, sep, path, n_skipped):
    """Yield the line a record starts in, and its fields."""
    stream.seek(0)
    for _ in range(n_skipped):
        next(stream, "")
    reader = csv.reader(stream, delimiter=sep, strict=True, skipinitialspace=sep != " ")
    line = 1 + n_skipped
    try:
        for row in reader:
            yield line, row
            line = reader.line_num + 1 + n_skipped
    except csv.Error as error:
        # An open quote swallows the rest of the file: the line it opened in counts.
        raise fault(
            f"{path}, line {line}",
            f"the fields cannot be told apart ({error}). Look for a quote that is not "
            "closed, or stands inside a field.",
        ) from error


def _collect_plain(text, sep, names, header_line, path):
    """As `_collect`, twice as fast, or None if the text is not that plain.

    Plain is a text without quotes, blank lines and lines of another length.
    """
    text = text.replace("\r\n", "\n")
    width = len(names)
    if '"' in text or "\r" in text or width < 2:
        return None
    rows = text.split("\n")[header_line:]
    while rows and not rows[-1].strip(" "):
        rows.pop()
    if set(map(str.count, rows, repeat(sep))) != {width - 1}:
        return None
    if max(map(len, rows)) > csv.field_size_limit():
        return None
    lines = list(range(header_line + 1, header_line + 1 + len(rows)))
    for line, row in zip(lines, rows[:_N_TITLES], strict=False):
        _refuse_second_header(row.split(sep), names, line, path)
    values = sep.join(rows).split(sep)
    cells = [list(map(str.strip, values[start::width])) for start in range(width)]
    return lines, cells, False


def _collect(records, names, header_line, path):
    """Lines and columns of what is below the header, every row as long as it.

    All rows may end with a separator that the header lacks: the last value says so.
    """
    lines, rows, blank = [], [], None
    width = n_fields = len(names)
    has_ends = False
    cells = [[] for _ in names]

    def transpose():
        for column, values in zip(cells, zip(*rows, strict=True), strict=False):
            column.extend(map(str.strip, values))
        rows.clear()

    for line, row in records:
        if not lines and len(row) == width + 1 and not row[-1].strip():
            n_fields, has_ends = width + 1, True
        if len(row) == n_fields and row and not (has_ends and row[-1].strip()):
            if blank is not None and width == 1:
                raise fault(
                    f"{path}, line {blank}, column {names[0]!r}",
                    "the line is blank, which in a file of one column may be a missing "
                    "reading or no row at all. Write nan, or delete the line.",
                )
            if len(lines) < _N_TITLES:
                _refuse_second_header(row, names, line, path)
            lines.append(line)
            rows.append(row)
            if len(rows) == _CHUNK:  # millions of lists would cost memory and time
                transpose()
        elif len(row) < 2 and not "".join(row).strip():
            blank = line if lines and blank is None else blank
        else:
            _refuse_second_header(row, names, line, path)
            is_short = len(row) < width
            place = f"column {names[len(row)]!r}" if is_short else "after the last one"
            raise fault(
                f"{path}, line {line}, {place}",
                f"the line has {len(row)} fields, and the header in line {header_line} "
                f"has {width}. Every row must have as many fields as the header. "
                "Complete the row; if it looks complete, pass the separator as ",
                Parameter("sep"),
                ", or quote fields that contain it. Lines above the header are skipped "
                "with ",
                Parameter("skiprows"),
                ".",
            )
    transpose()
    return lines, cells, has_ends


def _refuse_second_header(row, names, line, path):
    """Raise if a row has the name of a time, and what was taken for a header none."""
    if any(map(has_time_name, names)):
        return
    for name in re.split(r"[,;\t|]", ",".join(row)):
        if has_time_name(name):
            raise fault(
                f"{path}, line {line}",
                f"{show(name.strip())} is the name of a column, but stands below what "
                "was taken for the header. To skip the lines above the header, pass ",
                Parameter("skiprows", line - 1),
                ".",
            )


def _guess_separator(stream, path, n_skipped):
    """The one separator that splits header and first rows into as many fields."""
    widths, consistent = {}, []
    for sep in _SEPARATORS:
        rows = []
        try:
            for _, row in islice(_records(stream, sep, path, n_skipped), _SAMPLE):
                if len(row) > 1 or any(map(str.strip, row)):
                    rows.append(row)
            broken = False
        except ValueError:  # a quote out of place: seen again, with its line, below
            broken = True
        widths[sep] = len(rows[0]) if rows else 0
        if all(len(row) == widths[sep] + 1 and not row[-1].strip() for row in rows[1:]):
            rows[1:] = [row[:-1] for row in rows[1:]]
        if not broken and len({len(row) for row in rows}) == 1:
            consistent.append((sep, rows))
    several = [(sep, rows) for sep, rows in consistent if widths[sep] > 1]
    if len(several) > 1:
        several = [(sep, rows) for sep, rows in several if _are_values(rows[1:])]
        if len(several) != 1:
            raise fault(
                f"{path}, line {1 + n_skipped}",
                "the separator cannot be detected: several split the lines evenly. "
                "Pass it as ",
                Parameter("sep"),
                ".",
            )
    if several:
        return several[0][0]
    widest = max(_SEPARATORS, key=widths.get)
    if widths[widest] > 1 or not consistent:
        return widest  # does not fit: reading with it raises, with the line
    return consistent[0][0]  # a file of one column


def _are_values(rows):
    """Whether all cells are numbers, times or other values, not pieces of them."""
    words = {"true", "false", "yes", "no", "normal", "attack", "anomaly"}
    for row in rows:
        for cell in map(str.strip, row):
            number = NUMBER.fullmatch(cell.replace(",", ".", 1))
            if not (
                number
                or cell in MISSING
                or cell.casefold() in words
                or (is_time_text(cell) and not re.search(r"[;|\t]", cell))
            ):
                return False
    return True


def _check_header(names, path, line, drop):
    """Raise unless a header names columns, each by another name."""
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
            "not names. Put a line with the names of the columns on top.",
        )
    seen = set()
    for name in names:
        if name and name in seen and name not in drop:
            raise fault(
                f"{path}, line {line}, column {name!r}",
                "the name is in the header more than once. Rename one of the columns, "
                "or leave out all of them with ",
                Parameter("drop", name),
                ".",
            )
        seen.add(name)
