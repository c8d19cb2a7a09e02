# SPDX-License-Identifier: MIT
"""Write sheets of Excel workbooks as text."""

import io
import re
import warnings
import zipfile
from datetime import date, datetime, time, timedelta
from itertools import islice

from tsanomaly._parameter_error import Parameter, ParameterError, ParameterWarning
from tsanomaly.datasets._reading._bytes import Document, most_unpacked
from tsanomaly.datasets._reading._cell_text import SEP, Lines, write_float, write_text
from tsanomaly.datasets._reading._names import list_names
from tsanomaly.datasets._reading._table import fault

__all__ = ["check_sheet", "read_workbook"]

_MOST_ROWS = 2**20  # limit of Excel
_EXACT = 10**15  # workbooks store whole numbers below this exactly
_SAMPLE = 100  # rows that decide whether a sheet contains a table
_MIDNIGHT = " 00:00:00"
# A formula in a cell without value. The value of a text may be empty.
_NO_RESULT = re.compile(
    rb"<(?:\w+:)?c\b(?![^>]*\bt=.str\b)[^>]*>\s*"
    rb"<(?:\w+:)?f\b[^>]*(?:/>|>[^<]*</(?:\w+:)?f>)\s*"
    rb"(?:<(?:\w+:)?v\s*/>|<(?:\w+:)?v>\s*</(?:\w+:)?v>)?\s*</(?:\w+:)?c>"
)
_INSTALL = "'pip install \".[excel]\"' in a checkout of tsanomaly"


def check_sheet(sheet):
    """Raise for a parameter that cannot identify a sheet of any workbook."""
    is_position = isinstance(sheet, int) and not isinstance(sheet, bool) and sheet >= 0
    if not (sheet is None or isinstance(sheet, str) or is_position):
        raise ParameterError(
            Parameter("sheet", sheet),
            " must be the name of a sheet, its position, starting at 0, or None for "
            "the first one that contains a table.",
        )


def read_workbook(document, sheet, max_bytes, decimal):
    """Write a sheet as text.

    Parameters
    ----------
    document : Document
        The workbook, .xlsx or .xlsm.
    sheet : str, int or None
        As for `read_sensor_file`.
    max_bytes, decimal
        As for `read_sensor_csv`.

    Returns
    -------
    text : Document
        The sheet as text, with one line per row.
    messages : list of ParameterWarning
        Warnings.

    Raises
    ------
    ImportError
        If openpyxl is not installed.
    ValueError
        If the workbook is damaged or too large, or has no such sheet.
    """
    try:
        import openpyxl
    except ImportError as error:
        raise ImportError(
            f"{document}: reading Excel workbooks needs openpyxl, which is not "
            f"installed. Run 'pip install openpyxl', or {_INSTALL}."
        ) from error
    is_auto = max_bytes == "auto"
    limit = most_unpacked(len(document.data)) if is_auto else max_bytes
    try:
        _check_size(document, limit)
        with warnings.catch_warnings():
            # These warnings concern styles and extensions, not values.
            warnings.filterwarnings("ignore", module="openpyxl")
            workbook = openpyxl.load_workbook(
                io.BytesIO(document.data), read_only=True, data_only=True
            )
            chosen, messages = _choose(document, workbook, sheet)
            name = f"{document}, sheet {chosen.title!r}"
            text = Document(name, _read(name, chosen, limit, decimal))
            return text, [*_about_formulas(document, name, chosen), *messages]
    except (ParameterError, _SheetError, MemoryError):
        raise
    except Exception as error:  # damaged files raise any error
        raise fault(
            document,
            f"the Excel workbook is damaged ({type(error).__name__}: {error}). "
            "Transfer it again, or open it in Excel and save it anew.",
        ) from error


class _SheetError(ValueError):
    """Error for a workbook that is not damaged, but cannot be read."""


def _check_size(document, limit):
    """Raise if a workbook unpacks to more bytes than the limit."""
    with zipfile.ZipFile(io.BytesIO(document.data)) as archive:
        n_bytes = sum(member.file_size for member in archive.infolist())
    if n_bytes > limit:  # zipfile unpacks members up to their stated size
        raise _too_large(document, f"unpacks to {n_bytes:,} bytes", limit)


def _too_large(place, what, limit):
    return fault(
        place,
        f"the workbook {what}, but the limit is {limit:,}. If you trust the file, pass "
        "a larger number as ",
        Parameter("max_bytes"),
        ".",
    )


def _choose(document, workbook, sheet):
    """Choose the sheet to read, and warn of other tables."""
    sheets = workbook.worksheets
    for one in sheets:
        one.reset_dimensions()  # some programs write wrong ones
    names = [one.title for one in sheets]
    if sheet is not None:
        chosen = [one for one in sheets if one.title == sheet]
        if isinstance(sheet, int):
            chosen = sheets[sheet : sheet + 1]
        if not chosen:
            raise fault(
                document,
                Parameter("sheet", sheet),
                f" is not among the sheets {list_names(names)}, whose positions are 0 "
                f"to {len(names) - 1}.",
            )
        return chosen[0], []
    tables = [
        one for one in sheets if one.sheet_state == "visible" and _holds_table(one)
    ]
    if not tables:
        raise _SheetError(
            f"{document}: none of the sheets {list_names(names)} is visible and "
            "contains a table with a header and rows."
        )
    if len(tables) == 1:
        return tables[0], []
    others = list_names(one.title for one in tables[1:])
    message = ParameterWarning(
        f"{document}: sheet {tables[0].title!r} was read. There are also tables in "
        f"{others}. To read one of them, pass its name as ",
        Parameter("sheet"),
        ".",
    )
    return tables[0], [message]


def _holds_table(sheet):
    """Whether at least two of the first rows fill several cells, or a single column."""
    rows = islice(sheet.iter_rows(values_only=True), _SAMPLE)
    filled = [sum(cell is not None for cell in row) for row in rows]
    return sum(n > 1 for n in filled) > 1 or (
        max(filled, default=0) == 1 and sum(filled) > 1
    )


def _about_formulas(document, name, sheet):
    """Warn of formulas without a stored result, as libraries write them."""
    with zipfile.ZipFile(io.BytesIO(document.data)) as archive:
        content = archive.read(sheet._worksheet_path)
    n_formulas = sum(1 for _ in _NO_RESULT.finditer(content))
    if not n_formulas:
        return []
    return [
        ParameterWarning(
            f"{name}: formulas without a stored result, read as missing readings: "
            f"{n_formulas:,}. To store the results, open the workbook in a spreadsheet "
            "program and save it."
        )
    ]


def _read(name, sheet, limit, decimal):
    """Return a sheet as bytes of text."""
    lines = Lines(
        limit, lambda: _too_large(name, f"holds more than {limit:,} bytes", limit)
    )
    days, instants = set(), set()  # positions of columns
    for row, cells in enumerate(sheet.iter_rows(values_only=True)):
        if row == _MOST_ROWS:
            raise _SheetError(f"{name}: a sheet has {_MOST_ROWS:,} rows at most.")
        lines.add([_write(cell, decimal) for cell in cells])
        for column, cell in enumerate(cells):
            if isinstance(cell, date):
                text = _write(cell, decimal)
                (days if text.endswith(_MIDNIGHT) else instants).add(column)
    while lines.lines and not lines.lines[-1]:  # formatted cells without values
        lines.lines.pop()
    # Sheets store dates as times at midnight. The difference matters if another column
    # holds times of day.
    _cut_midnight(lines.lines, sorted(days - instants))
    return lines.to_bytes(_blank_titles(lines))


def _write(cell, decimal):
    """Write the value of a cell as text."""
    if cell is None:
        return ""
    if isinstance(cell, float):
        # Workbooks store all numbers as floats. Labels and dates such as 20240102 must
        # be written as integers.
        is_whole = cell.is_integer() and abs(cell) < _EXACT
        return str(int(cell)) if is_whole else write_float(cell, decimal)
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, datetime):
        return cell.isoformat(" ")
    if isinstance(cell, timedelta):
        seconds = cell // timedelta(seconds=1)
        fraction = f".{cell.microseconds:06}" if cell.microseconds else ""
        clock = f"{seconds // 60 % 60:02}:{seconds % 60:02}{fraction}"
        return f"{seconds // 3600}:{clock}"
    if isinstance(cell, (date, time)):
        return cell.isoformat()
    return write_text(str(cell))


def _cut_midnight(lines, columns):
    """Remove the midnight from dates in some columns, in place."""
    if not columns:
        return
    for row, line in enumerate(lines):
        cells = line.split(SEP)
        for column in columns:
            if column < len(cells):
                cells[column] = cells[column].removesuffix(_MIDNIGHT)
        lines[row] = SEP.join(cells)


def _blank_titles(lines):
    """Blank the titles above a table in place, and return their number of rows.

    A title is a row with a single filled cell, which may be merged with others.
    """
    if lines.width == 1:
        return 0
    filled = (sum(map(bool, line.split(SEP))) for line in islice(lines.lines, _SAMPLE))
    n_titles = next((row for row, n in enumerate(filled) if n > 1), 0)
    lines.lines[:n_titles] = [""] * n_titles
    return n_titles
