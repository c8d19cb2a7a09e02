# SPDX-License-Identifier: MIT
import logging
import re
import warnings
from datetime import datetime
from itertools import pairwise
from numbers import Integral, Real

import numpy as np

from tsanomaly.datasets._text_table import (
    MISSING,
    NUMBER,
    SEPARATOR_NAMES,
    Column,
    has_time_name,
    is_time_text,
    read_text_table,
    show,
)
from tsanomaly.datasets._timestamps import (
    Times,
    check_date_format,
    irregularities,
    is_dotted_clock,
    join_columns,
    kind_of_times,
    parse_times,
)

__all__ = ["read_sensor_csv"]

_LABEL_WORDS = """
anomaly is_anomaly anomalies label labels target changepoint attack is_attack fault
outlier normal/attack class
"""
LABEL_NAMES = frozenset(_LABEL_WORDS.replace("_", "").split())
# In a longer name these tell a label, unless the values are those of a sensor.
_PARTS_OF_LABEL_NAMES = LABEL_NAMES | {
    *("abnormal", "anomalous", "attacks", "faults", "lable", "outliers"),
    *("groundtruth",),
}
_MISSING_WORDS = frozenset(word.casefold() for word in MISSING)
_NORMAL_WORDS = frozenset(["normal", "no", "false", "ok", "good"])
_COUNTER_NAMES = frozenset(["", "row", "rows", "no", "nr", "index", "idx", "#", "№"])
_NO_NAME = re.compile(r"(?:Unnamed: [0-9]+)?")  # pandas names what has no name
_CLOCK_NAMES = frozenset(["time", "zeit", "uhrzeit", "tijd", "时间", "時間", "시간"])
_VOCABULARIES = (
    {"false": 0, "true": 1},
    {"no": 0, "yes": 1},
    {"normal": 0, "attack": 1, "a ttack": 1},  # as the data set SWaT has it
    {"normal": 0, "anomaly": 1},
)
_LABEL_NUMBER = re.compile(r"([01])(?:[.]0*|,0+)?")

_SWAP = str.maketrans(",.", ".,")
_INFINITE = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE)
# 1,234 may be a thousand. A thousand has 1 to 3 digits before the comma, the first
# of them no zero, then exactly three.
_PERHAPS_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}")
_DOTTED_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2}[.][0-9]{3}")
_BELOW_THOUSAND = re.compile(r"[+-]?[0-9]{1,3}")
_THOUSANDS = re.compile(r"[+-]?[0-9]{1,3}(?:[ ,.'’\xa0\u202f][0-9]{3})+(?:[.,][0-9]*)?")


def read_sensor_csv(
    path,
    *,
    timestamp="auto",
    label="auto",
    drop=None,
    sep="auto",
    decimal="auto",
    encoding="auto",
    date_format=None,
    na_values=None,
    skiprows=0,
    return_labels=False,
):
    r"""Read sensor readings from a CSV file, and refuse what is not certain.

    Finds the time column and the format of its times, the label columns, the
    separator, the decimal mark and the encoding, and says what it found in a line of
    the logger ``tsanomaly``. What can be read in two ways raises an error that names
    the place in the file and the parameter that decides.

    Parameters
    ----------
    path : str or Path
        The file. One that is compressed with gzip is recognised by its content.
    timestamp : 'auto', str, tuple of two str or None, default='auto'
        The time column. A tuple names a column of dates and one of times of day. None
        means that there is none: the rows are numbered. 'auto' takes the column whose
        values are times, or a column of dates and one of times of day; numbers
        (seconds, milliseconds, microseconds or nanoseconds since 1970, from 2000 to
        2060, or ``20240102100000``) only count in a column that is named like a time,
        such as ``timestamp``, ``Zeit`` or ``时间``.
    label : 'auto', str, list of str or None, default='auto'
        The label columns, which are kept apart from the sensors. 'auto' takes the
        columns named ``anomaly``, ``is_anomaly``, ``anomalies``, ``label``,
        ``labels``, ``target``, ``changepoint``, ``attack``, ``is_attack``, ``fault``,
        ``outlier``, ``normal/attack`` and ``class``, in any case, with or without
        underscore, and those with such a word in a longer name, as ``attack_P1``, if
        they hold labels (one or two other values there are an error). Labels are 0
        and 1, false and true, no and yes, normal and attack or anomaly. In a column
        of words that is named here, ``normal``, ``no``, ``false``, ``ok``, ``good``
        and ``0`` are 0, and every other word is 1; one of those must be there. None
        keeps all columns as sensors.
    drop : str, list of str or None, default=None
        Columns to leave out, such as comments or the name of the machine. Columns
        that count rows (1, 2, 3, …) and have no name, or are named ``Row``, ``No.``,
        ``index`` or ``#``, are left out anyway.
    sep : str, default='auto'
        What separates the fields, one character. 'auto' finds comma, semicolon, tab
        and ``|``.
    decimal : {'auto', '.', ','}, default='auto'
        Decimal mark of the whole file. With commas as separators 'auto' is the point.
    encoding : str, default='auto'
        An encoding of Python. 'auto' goes by the byte order mark, then tries UTF-8,
        then decides between GB 18030 and Windows-1252, and warns.
    date_format : str or None, default=None
        Format of the times as in :meth:`datetime.datetime.strptime`; with two time
        columns, of both with a blank between. Numbers that touch, as in ``%H%M``,
        must have all their digits. None finds ISO 8601, ``2024/01/31``,
        ``31.01.2024``, ``31/01/2024`` and ``01/31/2024`` (where the file tells which
        it is), ``31-Jan-2024``, ``2024年1月31日``, each with a time of day or none.
    na_values : str, number, list of these or None, default=None
        More cells of sensors that stand for a missing value, such as ``'Bad'``.
        Numbers count as they are written and by their value: -200 also is ``-200.0``.
    skiprows : int, default=0
        Lines to skip above the header.
    return_labels : bool, default=False
        Whether to return the labels, too.

    Returns
    -------
    frame : DataFrame of shape (n_timestamps, n_channels)
        The sensors, float64, under the names in the file, on a DatetimeIndex of
        datetime64[ns] in time order. The index has a time zone if the times have an
        offset: that offset, or UTC if they have several. NaN stands for the empty
        cells, ``nan``, ``NA``, ``N/A``, ``#N/A``, ``null``, ``None``, ``-``, ``--``,
        ``\N``, ``1.#QNAN``, ``-1.#IND`` and `na_values`. Columns of true and false
        hold 1 and 0.
    labels : DataFrame of shape (n_timestamps, n_labels)
        Only if `return_labels` is True. The label columns, int64, 1 = anomaly, on the
        same index.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If the file is empty, has no header or no rows; if its structure, encoding,
        times or numbers are broken or can be read in two ways. The message names the
        file, and line and column where there is one.

    Warns
    -----
    UserWarning
        If times go backwards (the rows are then put in order), are there more than
        once, or are not evenly spaced: one warning each, with the count and the first
        place. If the encoding was guessed, or points may separate thousands.

    See Also
    --------
    regularize : Put readings on a regular grid of times.

    Notes
    -----
    Thousands separators are not read. ``1.234`` is always a number with three
    decimals, with a warning where the column speaks for thousands; if all commas of a
    file are followed by three digits, `decimal` must be given.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from tsanomaly.datasets import read_sensor_csv
    >>> text = '''Zeit;Druck (bar);Ventil %;anomaly
    ... 31.01.2024 10:00;1,5;20;0
    ... 31.01.2024 10:01;1,75;;1
    ... '''
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder) / "pump.csv"
    ...     _ = path.write_text(text, encoding="utf-8")
    ...     frame, labels = read_sensor_csv(path, return_labels=True)
    >>> print(frame.reset_index().to_string(index=False))
                   Zeit  Druck (bar)  Ventil %
    2024-01-31 10:00:00         1.50      20.0
    2024-01-31 10:01:00         1.75       NaN
    >>> labels["anomaly"].tolist()
    [0, 1]
    """
    import pandas as pd

    _check_parameters(timestamp, sep, decimal, encoding, skiprows)
    if date_format is not None:
        check_date_format(date_format)
    missing = _missing_values(na_values)
    table = read_text_table(
        path,
        sep=sep,
        encoding=encoding,
        keep_empty_rows=timestamp is None,
        skiprows=skiprows,
        drop=_names(drop),
    )
    _drop_columns(table, drop)
    _drop_unnamed(table, timestamp, label)
    label_names = _find_labels(table, label, _names(timestamp))
    time_names = _find_time(table, timestamp, label_names, date_format)
    times = _read_times(table, time_names, date_format)
    sensors = [
        column
        for column in table.columns
        if column.name not in time_names + label_names
    ]
    if not sensors:
        raise table.header_fault(
            f"no sensor is among the columns {_list(table.names)}. The times are "
            f"{_list(time_names)}, the labels {_list(label_names)}: are timestamp= "
            "and label= as meant, and the separator?"
        )
    labels = [
        _read_labels(table.column(name), any_words=label != "auto")
        for name in label_names
    ]
    if missing[0] or missing[1]:
        _empty_missing(table, sensors, *missing)
    messages = [*_unsure(table, sensors if decimal == "auto" else ())]
    decimal = _settle_decimal(sensors, decimal, table.sep)
    readings = [_read_numbers(column, decimal) for column in sensors]
    _log(table, decimal, time_names, times, label_names, len(sensors))

    index, order = pd.RangeIndex(len(table.lines)), slice(None)
    if times is not None:
        order = np.argsort(times.values, kind="stable")
        messages += irregularities(table, times, order)
        times = Times(times.values[order], times.zone, times.description)
        index = times.to_index(" ".join(time_names) or None)
    for message in messages:
        warnings.warn(message, UserWarning, stacklevel=2)
    frame = pd.DataFrame(
        np.column_stack(readings)[order],
        index=index,
        columns=[column.name for column in sensors],
    )
    if not return_labels:
        return frame
    values = np.empty((len(frame), len(labels)), dtype=np.int64)
    for position, column in enumerate(labels):
        values[:, position] = column[order]
    return frame, pd.DataFrame(values, index=index, columns=label_names)


def _check_parameters(timestamp, sep, decimal, encoding, skiprows):
    """Raise for parameters that no file could make right."""
    is_pair = isinstance(timestamp, (tuple, list)) and len(timestamp) == 2
    if not (timestamp is None or isinstance(timestamp, str) or is_pair):
        raise ValueError(
            f"timestamp={timestamp!r} must be 'auto', the name of a column, a tuple of "
            "the names of a column of dates and one of times, or None."
        )
    if decimal not in ("auto", ".", ","):
        raise ValueError(f"decimal={decimal!r} must be 'auto', '.' or ','.")
    if not isinstance(encoding, str):
        raise ValueError(f"encoding={encoding!r} must be 'auto' or a name.")
    is_count = isinstance(skiprows, Integral) and not isinstance(skiprows, bool)
    if not is_count or skiprows < 0:
        raise ValueError(f"skiprows={skiprows!r} must be a number of lines, from 0.")
    is_sign = isinstance(sep, str) and re.fullmatch(r"[^\w\"\r\n\0.+-]", sep)
    if sep != "auto" and not is_sign:
        raise ValueError(
            f"sep={sep!r} must be 'auto' or one character that is in no number, such "
            "as ',', ';' or a tab."
        )


def _list(names):
    return ", ".join(map(repr, names)) or "none"


def _names(names):
    """A list of names from one name, several or None."""
    if names is None:
        return []
    return [names] if isinstance(names, str) else list(names)


def _missing_values(na_values):
    """Texts that mean a missing value, and the numbers of them."""
    if na_values is None:
        return set(), set()
    is_one = isinstance(na_values, (str, Real))
    values = [na_values] if is_one else na_values
    is_list = isinstance(values, (list, tuple, set, frozenset))
    if not is_list or not all(
        isinstance(value, (str, Real)) and not isinstance(value, bool)
        for value in values
    ):
        raise ValueError(
            f"na_values={na_values!r} must be a text, a number or a list of these, "
            "such as ['Bad', -200]."
        )
    texts = {str(value).strip() for value in values}
    return texts, {float(text) for text in texts if NUMBER.fullmatch(text)}


def _empty_missing(table, sensors, texts, numbers):
    """Empty the cells that the user says mean a missing value."""
    count = 0
    for column in sensors:
        found = {
            cell
            for cell in set(column.cells)
            if cell in texts
            or (
                numbers
                and NUMBER.fullmatch(cell.replace(",", ".", 1))
                and float(cell.replace(",", ".", 1)) in numbers
            )
        }
        if found:
            count += sum(cell in found for cell in column.cells)
            column.cells = ["" if cell in found else cell for cell in column.cells]
    table.notes.append(f"{count} cells missing by na_values")


def _check_known(table, parameter, names):
    for name in names:
        if name not in table.names:
            raise table.header_fault(
                f"{parameter}={name!r} is not among the columns {_list(table.names)}."
            )


def _drop_columns(table, drop):
    drop = _names(drop)
    _check_known(table, "drop", drop)
    if drop:
        table.columns = [column for column in table.columns if column.name not in drop]
        table.notes.append(f"{_list(drop)} left out")


def _drop_unnamed(table, timestamp, label):
    """Leave out row numbers and empty columns, the only ones that need no name."""
    wanted = [*_names(timestamp), *_names(label)]
    kept = []
    for position, column in enumerate(table.columns):
        has_no_name = _NO_NAME.fullmatch(column.name)
        plain_name = re.sub(r"[\s_.]", "", column.name.casefold())
        is_counter = has_no_name or plain_name in _COUNTER_NAMES
        if has_no_name and not any(column.cells):
            table.notes.append("an empty column without name left out")
        elif (
            is_counter
            and (not column.name or column.name not in wanted)
            and _are_row_numbers(column.cells)
        ):
            of = f" in {column.name!r}" if column.name else ""
            table.notes.append(f"row numbers{of} left out")
        elif (
            column.name
            or "" in wanted
            or (timestamp == "auto" and kind_of_times(column, named=False))
        ):
            kept.append(column)
        else:
            row = next(row for row, cell in enumerate(column.cells) if cell)
            raise column.fault(
                row,
                f"the column at position {position + 1} has no name in the header, "
                f"and holds {show(column.cells[row])}. Name it, or empty it.",
            )
    if sum(not column.name for column in kept) > 1:
        raise table.header_fault("two columns of times have no name. Name them.")
    table.columns = kept


def _are_row_numbers(cells):
    """Whether cells count up by one. A single one must be 0 or 1."""
    if not re.fullmatch("-?[0-9]{1,18}", cells[0]):
        return False
    first = int(cells[0])
    is_start = len(cells) > 1 or first in (0, 1)
    return is_start and cells == list(map(str, range(first, first + len(cells))))


def _find_labels(table, label, time_names):
    """Names of the label columns."""
    if label != "auto":
        names = list(dict.fromkeys(_names(label)))
        _check_known(table, "label", names)
        return names
    return [
        column.name
        for column in table.columns
        if re.sub(r"[\s_-]", "", column.name.casefold()) in LABEL_NAMES
        or (column.name not in time_names and _is_label_by_part(column))
    ]


def _is_label_by_part(column):
    """Whether a label word is in the name, and labels are in the column."""
    words = re.findall("[A-Z]?[a-z]+|[A-Z]+(?![a-z])", column.name)
    words = [word.lower() for word in words]
    words += ["".join(pair) for pair in pairwise(words)]  # ground truth
    if not _PARTS_OF_LABEL_NAMES.intersection(words):
        return False
    values = set(column.cells) - MISSING
    if not values or len(values) > 5 or kind_of_times(column, named=False):
        return False
    try:
        # All 1 is more probably another code than anomalies alone.
        if 0 in _read_labels(column, any_words=False):
            return True
    except ValueError:
        pass
    if len(values) > 2:
        return False
    raise column.fault(
        0,
        f"the column is named like labels, but {_list(sorted(values))} cannot be read "
        "as such (0 and 1, 1 = anomaly). Leave it out with drop=, or replace the "
        "values; if it is a sensor, pass the names of the label columns to label= "
        "(None for none).",
    )


def _find_time(table, timestamp, label_names, date_format):
    """Names of the time column, of a date and a time column, or of none."""
    if timestamp is None:
        return []
    if timestamp != "auto":
        names = _names(timestamp)
        _check_known(table, "timestamp", names)
        for name in names:
            if name in label_names or names.count(name) > 1:
                raise table.header_fault(
                    f"column {name!r} cannot be a time and a label, nor date and time "
                    "of day in one. Pass other names to timestamp= or label=."
                )
        return names
    columns = [column for column in table.columns if column.name not in label_names]
    named = [column.name for column in columns if has_time_name(column.name)]
    kinds = {
        column.name: kind_of_times(column, named=column.name in named)
        for column in columns
    }
    for column in columns:
        # 10.11.12 is a time of day beside a date, in a column with the name of one.
        plain_name = re.sub(r"[\W_]", "", column.name.casefold())
        beside = {kind for name, kind in kinds.items() if name != column.name}
        if (
            kinds[column.name] == "short year"
            and plain_name in _CLOCK_NAMES
            and beside & {"date", "short year"}
            and is_dotted_clock(column)
        ):
            kinds[column.name] = "time of day"
    clocks = [name for name, kind in kinds.items() if kind == "time of day"]
    dates = [
        name for name, kind in kinds.items() if kind and kind != "time of day"
    ] or _fitting(columns, date_format)
    if "" in dates and len(dates) > 1:
        raise table.header_fault(
            f"the column without name and {_list(name for name in dates if name)} both "
            "hold times. Name the one and pass the other to drop=, or delete it."
        )
    chosen = dates + clocks if len(dates) == 1 and len(clocks) <= 1 else []
    if len(clocks) == 1 and chosen and kinds[dates[0]] not in ("date", "short year"):
        chosen = []
    if len(dates) + len(clocks) > 1 and not chosen:
        raise table.header_fault(
            f"the columns {_list(dates + clocks)} all hold times. Pass the one that "
            "counts to timestamp=, or a column of dates and one of times of day as "
            "timestamp=('Date', 'Time'), and the others to drop=."
        )
    if not chosen and not named:
        raise table.header_fault(
            f"no column of times is among {_list(table.names)}. Pass its name to "
            "timestamp=, or timestamp=None for numbered rows. Lines above the header "
            "are skipped with skiprows=. See that the separator "
            f"({_separator_name(table.sep)}) is right, or pass it to sep=."
        )
    unread = [name for name in named if name not in chosen]
    if unread and date_format is not None and len(named) <= 2:
        _read_times(table, named, date_format)  # says what does not fit
        return named
    if unread:
        cell = table.column(unread[0]).cells[0]
        raise table.column(unread[0]).fault(
            0,
            f"the column is named like a time, but {show(cell)} is none that can be "
            "read. Pass date_format=, or the name of the time column to timestamp=, "
            "so that this one is a sensor, or drop= it. If the rows are only numbered, "
            f"pass timestamp=None and drop={unread[0]!r}.",
        )
    return chosen


def _fitting(columns, date_format):
    """Names of the columns whose first value has a format given by the user."""
    if date_format is None:
        return []
    names = []
    for column in columns:
        head = Column(column.name, column.cells[:1], column.path, column.lines)
        try:
            parse_times(head, date_format)
        except ValueError:
            continue
        names.append(column.name)
    return names


def _read_times(table, names, date_format):
    """The times of the rows, or None."""
    if not names:
        return None
    columns = [table.column(name) for name in names]
    if date_format is not None:
        _refuse_time_as_name(table, " ".join(names), date_format)
    column = join_columns(*columns, date_format) if len(columns) == 2 else columns[0]
    return parse_times(column, date_format)


def _refuse_time_as_name(table, name, date_format):
    """Raise if what should be a name is a time: the first row is no header then."""
    try:
        datetime.strptime(name, date_format)
    except (ValueError, re.error):
        return
    raise table.header_fault(
        f"the file has no header: {show(name)} is a time, not a name. Put a line with "
        "the names of the columns on top."
    )


def _read_labels(column, any_words):
    """Labels as 0 and 1, in words of any kind or only in those that are known."""
    words = [cell.casefold() for cell in column.cells]
    numbers = {word: _LABEL_NUMBER.fullmatch(word) for word in set(words)}
    if all(numbers.values()):
        meaning = {word: int(match[1]) for word, match in numbers.items()}
    else:
        meaning = max(
            _VOCABULARIES,
            key=lambda vocabulary: sum(word in vocabulary for word in words),
        )
        if not meaning.keys() & numbers.keys():
            meaning = {word: int(match[1]) for word, match in numbers.items() if match}
    is_number = {word: bool(NUMBER.fullmatch(word)) for word in numbers}
    if any_words and not all(is_number.values()):
        meaning = {
            word: int(word not in _NORMAL_WORDS and not (match and match[1] == "0"))
            for word, match in numbers.items()
            if match or not (is_number[word] or word in _MISSING_WORDS)
        }
        if 0 not in meaning.values():
            raise column.fault(
                0,
                f"{show(column.cells[0])} and the other values are no labels: none of "
                "them means normal. In a label column of words normal, no, false, ok, "
                "good or 0 must be there, and every other word is an anomaly.",
            )
    for row, word in enumerate(words):
        if word not in meaning:
            raise column.fault(
                row,
                f"{show(column.cells[row])} is not a label: labels are 0 and 1 (false "
                "and true, no and yes, normal and attack or anomaly), of one kind in a "
                "column, and none may be missing. Pass label=None if the column is a "
                "sensor, or drop= it, or replace the values. In a column of other "
                "words that is passed to label= by name, those that do not mean "
                "normal are anomalies.",
            )
    return np.array([meaning[word] for word in words], dtype=np.int64)


def _settle_decimal(sensors, decimal, sep):
    """The decimal mark of the file."""
    if decimal != "auto":
        return decimal
    certain = next(_numbers_with(sensors, ",", certain=True), None)
    first = certain or next(_numbers_with(sensors, ","), None)
    if first is None:
        return "."
    column, row = first
    cell = show(column.cells[row])
    other, other_row = next(_numbers_with(sensors, "."), (None, None))
    if other is not None:
        raise column.fault(
            row,
            f"{cell} has a comma, while {show(other.cells[other_row])} in line "
            f"{other.lines[other_row]}, column {other.name!r}, has a decimal point. "
            "One mark must hold for the whole file, and thousands separators are not "
            "read. Write all numbers in one way.",
        )
    if sep == ",":
        raise column.fault(
            row,
            f"{cell} has a comma, which also separates the fields. Pass decimal=',' "
            "if it is a decimal comma; thousands separators are not read.",
        )
    if certain is None:
        raise column.fault(
            row,
            f"{cell} may be a thousand or a number with three decimals, and no other "
            "cell of the file tells. Pass decimal=',' for decimals; thousands "
            "separators are not read, remove them.",
        )
    return ","


def _numbers_with(columns, mark, certain=False):
    """Yield column and row of numbers with a mark, that surely is a decimal mark."""
    other = "." if mark == "," else ","
    for column in columns:
        if mark not in "\n".join(column.cells):
            continue
        for row, cell in enumerate(column.cells):
            if (
                mark in cell
                and other not in cell
                and NUMBER.fullmatch(cell.replace(mark, ".", 1))
                and not (certain and _PERHAPS_THOUSANDS.fullmatch(cell))
            ):
                yield column, row


def _read_numbers(column, decimal):
    """Readings as float64, the nearest ones to what is written."""
    cells = column.cells
    has_missing = not MISSING.isdisjoint(cells)
    if has_missing:
        cells = ["nan" if cell in MISSING else cell for cell in cells]
    other = "," if decimal == "." else "."
    if decimal == ",":
        # Joined by a character that no cell holds: one translation is faster.
        cells = "\0".join(cells).translate(_SWAP).split("\0")
    # float() reads more than is meant here: underscores, digits of other scripts. In
    # text of these characters alone it reads numbers, and nothing else.
    written = [cell for cell in cells if cell != "nan"] if has_missing else cells
    text = "\n".join(written)
    plain = text.isascii() and not text.encode().translate(None, b"0123456789+-.eE\n")
    if not plain:
        meaning = {"true": 1.0, "false": 0.0, "nan": np.nan}
        if {cell.lower() for cell in cells} <= meaning.keys():
            return np.array([meaning[cell.lower()] for cell in cells])
        for row, cell in enumerate(cells):
            if not NUMBER.fullmatch(cell):
                raise column.fault(
                    row, _not_a_number(column.cells[row], decimal, other)
                )
    try:
        numbers = np.array(list(map(float, cells)), dtype=np.float64)
    except ValueError:
        row = next(row for row, cell in enumerate(cells) if not NUMBER.fullmatch(cell))
        message = _not_a_number(column.cells[row], decimal, other)
        raise column.fault(row, message) from None
    for row in np.flatnonzero(np.isinf(numbers)):
        if not _INFINITE.fullmatch(cells[row]):
            raise column.fault(
                row,
                f"{show(column.cells[row])} is beyond the largest number, about "
                "1.8e308. Correct the cell, or leave it empty.",
            )
    return numbers


def _not_a_number(cell, decimal, other):
    """Say why a cell of a sensor column cannot be read."""
    if is_time_text(cell):
        return (
            f"{show(cell)} is a time in a column of readings. Pass the column to "
            "timestamp= if it is the one that counts, else to drop=."
        )
    if NUMBER.fullmatch(cell.replace(other, ".", 1)) and other in cell:
        return (
            f"{show(cell)} is a number with {other!r}, and the decimal mark of the "
            f"file is {decimal!r}. Write all numbers in one way, or pass decimal=."
        )
    if _THOUSANDS.fullmatch(cell):
        return (
            f"{show(cell)} has thousands separators, which are not read. Remove them "
            "from the file."
        )
    return (
        f"{show(cell)} is not a number. Correct the cell, leave it empty if the "
        "reading is missing, or leave the column out with drop=."
    )


def _unsure(table, sensors):
    """Yield what is to be said of readings of which another is possible."""
    if table.is_encoding_guessed:
        yield (
            f"{table.path}: the text is not UTF-8, and was read as {table.encoding}. "
            f"Look at the names, and pass encoding={table.encoding!r} to confirm, or "
            "the encoding it has."
        )
    for column in sensors:
        short = dotted = None
        for row, cell in enumerate(column.cells):
            if "." in cell:
                dotted = row if dotted is None else dotted
                is_possible = _DOTTED_THOUSANDS.fullmatch(cell)
            else:
                is_possible = cell in MISSING or _BELOW_THOUSAND.fullmatch(cell)
                if short is None and len(cell.lstrip("+-0")) == 3:
                    short = row
            if not is_possible:
                break
        else:
            if short is not None and dotted is not None:
                yield (
                    f"{table.path}, line {column.lines[dotted]}, column "
                    f"{column.name!r}: {show(column.cells[dotted])} was read as a "
                    "number with three decimals, but may be a thousand, since "
                    f"{show(column.cells[short])} in line {column.lines[short]} has "
                    "none. Remove the points from the file, or pass decimal='.' to "
                    "confirm."
                )


def _separator_name(sep):
    return SEPARATOR_NAMES.get(sep, repr(sep))


def _log(table, decimal, time_names, times, label_names, n_sensors):
    """Say what was found."""
    if times is None:
        when = "no times"
    else:
        when = f"times in {_list(time_names)} ({times.description})"
    logging.getLogger("tsanomaly").info(
        "%s: %s",
        table.path,
        "; ".join(
            [
                table.encoding,
                f"separator {_separator_name(table.sep)}",
                f"decimal {decimal!r}",
                when,
                f"labels {_list(label_names)}",
                f"{n_sensors} sensors, {len(table.lines)} rows",
                *table.notes,
            ]
        ),
    )
