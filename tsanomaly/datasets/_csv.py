# SPDX-License-Identifier: MIT
import logging
import re
import warnings
from datetime import datetime

import numpy as np

from tsanomaly.datasets._text_table import (
    MISSING,
    NUMBER,
    SEPARATOR_NAMES,
    is_time_text,
    read_table,
    show,
)
from tsanomaly.datasets._timestamps import (
    Times,
    check_date_format,
    has_time_name,
    join_columns,
    kind_of_times,
    most_frequent_step,
    parse_times,
    show_step,
)

__all__ = ["read_sensor_csv"]

_LABEL_WORDS = """
anomaly is_anomaly anomalies label labels target changepoint attack is_attack fault
outlier normal/attack class
"""
LABEL_NAMES = frozenset(_LABEL_WORDS.replace("_", "").split())
_VOCABULARIES = (
    {"false": 0, "true": 1},
    {"no": 0, "yes": 1},
    {"normal": 0, "attack": 1},
    {"normal": 0, "anomaly": 1},
)
_LABEL_NUMBER = re.compile(r"([01])(?:[.]0*|,0+)?")

_SWAP = str.maketrans(",.", ".,")
_INFINITE = re.compile(r"[+-]?inf(?:inity)?", re.IGNORECASE)
# 1,234 may be a thousand. A thousand has 1 to 3 digits before the comma, the first
# of them no zero, then exactly three.
_PERHAPS_THOUSANDS = re.compile(r"[+-]?[1-9][0-9]{0,2},[0-9]{3}")
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
    return_labels=False,
):
    """Read sensor readings from a CSV file, and refuse what is not certain.

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
        values are times; numbers (seconds, milliseconds, microseconds or nanoseconds
        since 1970, ``20240102100000``) only count in a column that is named like a
        time, such as ``timestamp``, ``Zeit`` or ``时间``.
    label : 'auto', str, list of str or None, default='auto'
        The label columns, which are kept apart from the sensors. 'auto' takes the
        columns named ``anomaly``, ``is_anomaly``, ``anomalies``, ``label``,
        ``labels``, ``target``, ``changepoint``, ``attack``, ``is_attack``, ``fault``,
        ``outlier``, ``normal/attack`` and ``class``, in any case, with or without
        underscore. Labels are 0 and 1, false and true, no and yes, normal and attack
        or anomaly. None keeps all columns as sensors.
    drop : str, list of str or None, default=None
        Columns to leave out, such as comments or the name of the machine.
    sep : str, default='auto'
        What separates the fields, one character. 'auto' finds comma, semicolon, tab
        and ``|``.
    decimal : {'auto', '.', ','}, default='auto'
        Decimal mark of the whole file. With commas as separators 'auto' is the point.
    encoding : str, default='auto'
        An encoding of Python. 'auto' goes by the byte order mark, then tries UTF-8,
        then decides between GB 18030 and Windows-1252.
    date_format : str or None, default=None
        Format of the times as in :meth:`datetime.datetime.strptime`; with two time
        columns, of both with a blank between. None finds ISO 8601, ``2024/01/31``,
        ``31.01.2024``, ``31/01/2024`` and ``01/31/2024`` (where the file tells which
        it is), ``31-Jan-2024``, ``2024年1月31日``, each with a time of day or none.
    return_labels : bool, default=False
        Whether to return the labels, too.

    Returns
    -------
    frame : DataFrame of shape (n_timestamps, n_channels)
        The sensors, float64, under the names in the file, on a DatetimeIndex of
        datetime64[ns] in time order. The index has a time zone if the times have an
        offset: that offset, or UTC if they have several. NaN stands for the empty
        cells, ``nan``, ``NA``, ``N/A``, ``#N/A``, ``null``, ``None``, ``-`` and
        ``--``. Columns of true and false hold 1 and 0.
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
        once, or are not evenly spaced. One warning each, with the count and the first
        place.

    See Also
    --------
    regularize : Put readings on a regular grid of times.

    Notes
    -----
    Thousands separators are not read. ``1.234`` is always a number with three
    decimals; if all commas of a file are followed by three digits, `decimal` must be
    given.

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

    _check_parameters(timestamp, sep, decimal, encoding)
    if date_format is not None:
        check_date_format(date_format)
    table = read_table(
        path, sep=sep, encoding=encoding, keep_empty_rows=timestamp is None
    )
    _drop_columns(table, drop)
    _drop_unnamed(table, timestamp)
    label_names = _find_labels(table, label)
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
    labels = [_read_labels(table.column(name)) for name in label_names]
    decimal = _settle_decimal(sensors, decimal, table.sep)
    readings = [_read_numbers(column, decimal) for column in sensors]
    _log(table, decimal, time_names, times, label_names, len(sensors))

    index, order = pd.RangeIndex(len(table.lines)), slice(None)
    if times is not None:
        order = np.argsort(times.values, kind="stable")
        for message in _irregularities(table, times, order):
            warnings.warn(message, UserWarning, stacklevel=2)
        times = Times(times.values[order], times.zone, times.description)
        index = times.to_index(" ".join(time_names) or None)
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


def _check_parameters(timestamp, sep, decimal, encoding):
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


def _drop_unnamed(table, timestamp):
    """Leave out row numbers and empty columns, the only ones that need no name."""
    kept = []
    for position, column in enumerate(table.columns):
        # pandas names a column without name when it reads, and then writes that.
        is_named = column.name and not re.fullmatch(r"Unnamed: [0-9]+", column.name)
        if not is_named and not any(column.cells):
            table.notes.append("an empty column without name left out")
        elif not is_named and _are_row_numbers(column.cells):
            table.notes.append("row numbers left out")
        elif (
            column.name
            or "" in _names(timestamp)
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
    return cells[0] == "0" and cells == list(map(str, range(len(cells))))


def _find_labels(table, label):
    """Names of the label columns."""
    if label == "auto":
        return [
            name
            for name in table.names
            if re.sub(r"[\s_-]", "", name.casefold()) in LABEL_NAMES
        ]
    names = list(dict.fromkeys(_names(label)))
    _check_known(table, "label", names)
    return names


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
            "counts to timestamp=, and the others to drop=."
        )
    if not chosen and not named:
        raise table.header_fault(
            f"no column of times is among {_list(table.names)}. Pass its name to "
            "timestamp=, or timestamp=None for numbered rows. See that no line stands "
            "above the header, and that the separator "
            f"({_separator_name(table.sep)}) is right, or pass it to sep=."
        )
    unread = [name for name in named if name not in chosen]
    if unread:
        cell = table.column(unread[0]).cells[0]
        raise table.column(unread[0]).fault(
            0,
            f"the column is named like a time, but {show(cell)} is none that can be "
            "read. Pass date_format=, or the name of the time column to timestamp= "
            "(None for numbered rows), so that this one is a sensor, or drop= it.",
        )
    return chosen


def _fitting(columns, date_format):
    """Names of the columns whose first value has a format given by the user."""
    if date_format is None:
        return []
    names = []
    for column in columns:
        head = type(column)(column.name, column.cells[:1], column.path, column.lines)
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
    column = join_columns(*columns) if len(columns) == 2 else columns[0]
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


def _read_labels(column):
    """Labels as 0 and 1."""
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
    for row, word in enumerate(words):
        if word not in meaning:
            raise column.fault(
                row,
                f"{show(column.cells[row])} is not a label: labels are 0 and 1 (false "
                "and true, no and yes, normal and attack or anomaly), of one kind in a "
                "column, and none may be missing. Pass label=None if the column is a "
                "sensor, or drop= it, or replace the values.",
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
    cells = ["nan" if cell in MISSING else cell for cell in column.cells]
    other = "," if decimal == "." else "."
    if decimal == ",":
        # Joined by a character that no cell holds: one translation is faster.
        cells = "\0".join(cells).translate(_SWAP).split("\0")
    # float() reads more than is meant here: underscores, digits of other scripts. In
    # text of these characters alone it reads numbers, and nothing else.
    text = "\n".join([cell for cell in cells if cell != "nan"])
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


def _irregularities(table, times, order):
    """Yield what is to be said of times that are no regular series."""

    def place(row):
        name = times.to_index(None)[row]
        return f"line {table.lines[row]} ({name})"

    values = times.values
    backwards = np.flatnonzero(values[1:] < values[:-1]) + 1
    if len(backwards):
        yield (
            f"{table.path}: times go backwards {len(backwards):,} times, first in "
            f"{place(backwards[0])}. The rows were put in time order."
        )
    values = values[order]
    repeated = np.flatnonzero(values[1:] == values[:-1]) + 1
    if len(repeated):
        yield (
            f"{table.path}: {len(repeated):,} rows have the time of another row, first "
            f"{place(order[repeated[0]])}. All were kept; regularize() averages them."
        )
    steps = np.diff(values).view(np.uint64)
    usual = most_frequent_step(values)
    odd = np.flatnonzero((steps != usual) & (steps > 0)) if usual else ()
    if len(odd):
        yield (
            f"{table.path}: {len(odd):,} of {len(steps):,} steps differ from the most "
            f"frequent one of {show_step(usual)}, first before "
            f"{place(order[odd[0] + 1])}; the longest is {show_step(steps.max())}. "
            "regularize() puts the readings on a grid."
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
