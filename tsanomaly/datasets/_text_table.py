# SPDX-License-Identifier: MIT
"""From a file to named columns of text, with the line that every row came from."""

import codecs
import csv
import gzip
import io
import re
import zlib
from dataclasses import dataclass, field
from itertools import islice, repeat

__all__ = [
    "MISSING",
    "NUMBER",
    "Column",
    "Table",
    "has_time_name",
    "is_time_text",
    "read_text_table",
    "show",
]

SEPARATORS = (",", ";", "\t", "|")
SEPARATOR_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
SAMPLE = 100  # records that a separator is judged by
N_TITLES = 20  # lines that may stand above the header
CHUNK = 4096  # rows that are turned into columns at once

MISSING = frozenset(
    [
        *("", "nan", "NaN", "NAN", "NA", "N/A", "#N/A", "null", "NULL", "None", "-"),
        *("--", "\\N", "1.#QNAN", "-1.#IND"),
    ]
)
NUMBER = re.compile(
    r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
    r"|[+-]?(?:nan|inf|infinity)",
    re.IGNORECASE | re.ASCII,
)
_TIME_TEXT = re.compile(
    r"(?:[0-9]{4}[-/.年][0-9]{1,2}[-/.月][0-9]{1,2}日?"
    r"|[0-9]{1,2}[-/. ](?:[0-9]{1,2}|[A-Za-z]{3})[-/. ](?:[0-9]{4}|[0-9]{2}))"
    r"(?:$|[T ,][0-9 ]?[0-9].*)"
    r"|[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}.*)?|[0-9]{8}T[0-9]{4}.*"
)
_YEAR = re.compile(r"(?<![0-9])(?:19|20)[0-9]{2}(?:$|[^0-9]|[01][0-9][0-3][0-9])")

_TIME_WORDS = """
timestamp timestamps time datetime date ts epoch unixtime epochtime unixtimestamp
timeutc utctime localtime zeit zeitstempel datum uhrzeit datumuhrzeit datumzeit fecha
fechahora horodatage dateheure tijd tijdstip 时间 日期 日期时间 时间戳 采集时间 時間
日時 日付 시간 날짜
"""
TIME_NAMES = frozenset(_TIME_WORDS.split())

# Byte order marks: the long ones first, since one begins like a short one.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_OTHER_FILES = (
    (b"PK\x03\x04", "a zip archive or an Excel workbook"),
    (b"\xd0\xcf\x11\xe0", "an Excel workbook"),
    (b"BZh", "compressed with bzip2"),
    (b"\xfd7zXZ\x00", "compressed with xz"),
    (b"(\xb5/\xfd", "compressed with zstd"),
    (b"PAR1", "a Parquet file"),
)
# What stands in sensor names of Western files: signs of units, and letters.
_WESTERN = frozenset("°µ²³±·ºª½€‰–—’‘“”") | (
    frozenset(map(chr, range(0xC0, 0x100))) - frozenset("×÷")
)


@dataclass
class Column:
    """A column of text, and what its errors need to name a place."""

    name: str
    cells: list
    path: str
    lines: list

    def fault(self, row, message):
        """Error about one cell."""
        return ValueError(
            f"{self.path}, line {self.lines[row]}, column {self.name!r}: {message}"
        )


@dataclass
class Table:
    """Columns of stripped text, all of one length."""

    path: str
    encoding: str
    sep: str
    header_line: int
    columns: list
    lines: list
    notes: list = field(default_factory=list)
    is_encoding_guessed: bool = False

    @property
    def names(self):
        """The names in the order of the file."""
        return [column.name for column in self.columns]

    def column(self, name):
        """The column of that name."""
        return self.columns[self.names.index(name)]

    def header_fault(self, message):
        """Error about the names."""
        return ValueError(f"{self.path}, line {self.header_line}: {message}")


def show(text):
    """A cell as it is given in a message: quoted, and not too long."""
    return repr(text if len(text) <= 40 else text[:37] + "...")


def is_time_text(cell):
    """Whether a text has the look of a date or a time of day."""
    return _TIME_TEXT.fullmatch(cell) is not None


def has_time_name(name):
    """Whether a column is named like a time, in one of several languages."""
    name = re.sub(r"[(\[].*?[)\]]", "", name.casefold())
    return re.sub(r"[\W_]", "", name) in TIME_NAMES


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
    data, path = _read_bytes(path), str(path)
    text, found = _decode(data, encoding, path)
    # The mark of the end of a file in DOS.
    text = re.sub(r"\x1a[\r\n]*\Z", "", text)
    if "\0" in text:
        line = _count_lines(text[: text.index("\0")])
        raise ValueError(
            f"{path}, line {line}: there is a NUL character. Either the file is "
            "damaged or its encoding is another one, which encoding= tells (for "
            "example 'utf-16')."
        )
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
        raise ValueError(
            f"{path}: the file is empty{' below skiprows=' * bool(skiprows)}"
            f"{skiprows or ''}. A header and rows are needed."
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
        raise ValueError(
            f"{path}: there is a header in line {header_line}, but no row below it."
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


def _read_bytes(path):
    """The bytes of a file, decompressed."""
    with open(path, "rb") as file:
        data = file.read()
    for start, kind in _OTHER_FILES:
        if data.startswith(start):
            raise ValueError(
                f"{path}: this is {kind}, not text. Save it as CSV; of compressed "
                "files, gzip is read."
            )
    if not data.startswith(b"\x1f\x8b"):
        return data
    try:
        return gzip.decompress(data)
    except (EOFError, OSError, zlib.error) as error:
        raise ValueError(
            f"{path}: the file is compressed with gzip, and damaged ({error}). "
            "Transfer it again."
        ) from error


def _decode(data, encoding, path):
    """The text of a file, without byte order mark, and the encoding it was in."""
    if encoding != "auto":
        if data.startswith(codecs.BOM_UTF8) and re.fullmatch(
            "utf[-_ ]?8", encoding, re.IGNORECASE
        ):
            encoding = "utf-8-sig"
        return _decode_as(data, encoding, path), encoding
    for mark, name in _MARKS:
        if data.startswith(mark):
            return _decode_as(data, name, path), name
    # Text of ASCII characters in UTF-16 has a NUL in every other byte.
    zeros = [data[start::2].count(0) for start in (0, 1)]
    for n_zeros, others, name in (
        (zeros[1], zeros[0], "utf-16-le"),
        (zeros[0], zeros[1], "utf-16-be"),
    ):
        if not others and n_zeros > len(data) / 4:
            return _decode_as(data, name, path), name
    try:
        return data.decode("utf-8"), "utf-8"
    except UnicodeDecodeError as error:
        line = _count_lines(data[: error.start].decode("utf-8"))
    readings = _legacy_encodings(data)
    if len(readings) == 1:
        return _decode_as(data, readings[0], path), readings[0]
    found = f" ({' or '.join(readings)})" if readings else ""
    raise ValueError(
        f"{path}, line {line}: the text is not UTF-8, and which encoding it has "
        f"instead cannot be told{found}. Pass it, for example encoding='cp1252' or "
        "encoding='gb18030'."
    )


def _decode_as(data, encoding, path):
    try:
        text = data.decode(encoding)
    except UnicodeError as error:
        start = getattr(error, "start", 0)
        line = _count_lines(data[:start].decode(encoding, "ignore")) if start else 1
        raise ValueError(
            f"{path}, line {line}: the text is not {encoding} ({error}). Pass the "
            "encoding it has with encoding=."
        ) from error
    except (LookupError, TypeError) as error:
        raise ValueError(
            f"{path}: encoding={encoding!r} is not known ({error}). Give the name of "
            "a text encoding of Python, or 'auto'."
        ) from error
    return text.lstrip("\ufeff")


def _legacy_encodings(data):
    """GB 18030 or Windows-1252, where the runs of bytes above 127 have its look."""
    runs = b"\n".join(set(re.findall(rb"[\x80-\xff]+", data)))
    readings = []
    try:
        characters = runs.decode("gb2312").replace("\n", "").encode("gb2312")
        # The common 3755 are in rows 0xB0 to 0xD7. Pairs of small letters of Latin-1
        # and Cyrillic fall in the rows above, which hold rare ones.
        common = sum(0xB0 <= lead <= 0xD7 for lead in characters[::2])
        rare = sum(lead > 0xD7 for lead in characters[::2])
        if common and common >= 2 * rare:
            readings.append("gb18030")
    except UnicodeDecodeError:
        pass
    try:
        # A letter before a sign is rare, and what a damaged UTF-8 character leaves.
        is_piece = re.search(rb"[\xc2-\xf4][\x80-\xbf]", runs)
        words = runs.decode("cp1252").split("\n")
        if not is_piece and all(
            len(word) <= 2 and _WESTERN.issuperset(word) for word in words
        ):
            readings.append("cp1252")
    except UnicodeDecodeError:
        pass
    return readings


def _count_lines(text):
    """Number of the line that a text ends in, from 1."""
    return text.count("\n") + text.count("\r") - text.count("\r\n") + 1


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
        raise ValueError(
            f"{path}, line {line}: the fields cannot be told apart ({error}). Look "
            "for a quote that is not closed, or stands inside a field."
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
    for line, row in zip(lines, rows[:N_TITLES], strict=False):
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
                raise ValueError(
                    f"{path}, line {blank}, column {names[0]!r}: the line is blank, "
                    "which in a file of one column may be a missing reading or none. "
                    "Write nan, or delete the line."
                )
            if len(lines) < N_TITLES:
                _refuse_second_header(row, names, line, path)
            lines.append(line)
            rows.append(row)
            if len(rows) == CHUNK:  # millions of lists would cost memory and time
                transpose()
        elif len(row) < 2 and not "".join(row).strip():
            blank = line if lines and blank is None else blank
        else:
            _refuse_second_header(row, names, line, path)
            is_short = len(row) < width
            place = f"column {names[len(row)]!r}" if is_short else "after the last one"
            raise ValueError(
                f"{path}, line {line}, {place}: the line has {len(row)} fields, and "
                f"the header in line {header_line} has {width}. Every row must have "
                "as many fields as the header. Complete the row; if it looks whole, "
                "pass the separator with sep=, or quote fields that contain it. Lines "
                "above the header are skipped with skiprows=."
            )
    transpose()
    return lines, cells, has_ends


def _refuse_second_header(row, names, line, path):
    """Raise if a row has the name of a time, and what was taken for a header none."""
    if any(map(has_time_name, names)):
        return
    for name in re.split(r"[,;\t|]", ",".join(row)):
        if has_time_name(name):
            raise ValueError(
                f"{path}, line {line}: {show(name.strip())} is the name of a column, "
                "but stands below what was taken for the header. For lines above the "
                f"header: pass skiprows={line - 1}."
            )


def _guess_separator(stream, path, n_skipped):
    """The one separator that splits header and first rows into as many fields."""
    widths, consistent = {}, []
    for sep in SEPARATORS:
        rows = []
        try:
            for _, row in islice(_records(stream, sep, path, n_skipped), SAMPLE):
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
            raise ValueError(
                f"{path}, line {1 + n_skipped}: the separator cannot be told, "
                "several split the lines evenly. Pass it with sep=."
            )
    if several:
        return several[0][0]
    widest = max(SEPARATORS, key=widths.get)
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
        raise ValueError(
            f"{path}, line {line}: the file has no header: {show(names[0])} … "
            f"{show(names[-1])} are values, not names. Put a line with the names of "
            "the columns on top."
        )
    seen = set()
    for name in names:
        if name and name in seen and name not in drop:
            raise ValueError(
                f"{path}, line {line}, column {name!r}: the name is in the header "
                "more than once. Rename one of the columns, or leave out all of them "
                f"with drop={name!r}."
            )
        seen.add(name)
