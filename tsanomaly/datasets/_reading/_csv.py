# SPDX-License-Identifier: MIT
import logging
import re
import warnings
from dataclasses import dataclass
from numbers import Integral

import numpy as np

from tsanomaly._parameter_error import Parameter, ParameterError, ParameterWarning
from tsanomaly.datasets._reading._columns import (
    as_list,
    check_dropped,
    drop_columns,
    drop_unnamed,
    find_labels,
    find_times,
    leave_out_events,
    read_times,
)
from tsanomaly.datasets._reading._date_format import check_date_format
from tsanomaly.datasets._reading._labels import read_labels
from tsanomaly.datasets._reading._long import find_long, refuse_long_of_machines
from tsanomaly.datasets._reading._machines import (
    irregularities_of_machines,
    look_for_machines,
    take_machines,
)
from tsanomaly.datasets._reading._names import list_names
from tsanomaly.datasets._reading._numbers import (
    MissingValues,
    detect_decimal,
    perhaps_thousands,
    read_numbers,
)
from tsanomaly.datasets._reading._odd_readings import (
    sensors_without_readings,
    suspicious_numbers,
)
from tsanomaly.datasets._reading._quality import apply_quality, find_quality
from tsanomaly.datasets._reading._records import separator_name
from tsanomaly.datasets._reading._tag_times import find_tag_times, merge_tag_times
from tsanomaly.datasets._reading._text_table import read_text_table
from tsanomaly.datasets._reading._times import Times, irregularities
from tsanomaly.datasets._reading._words import WordCounts, list_counts

__all__ = ["Readings", "read_readings", "read_sensor_csv"]


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
    header_rows="auto",
    long="auto",
    by=None,
    quality="auto",
    max_bytes="auto",
    max_columns=100_000,
    return_labels=False,
):
    r"""Read sensor readings from a CSV file, and reject ambiguous ones.

    The header, the time column and its format, label columns, separator, decimal mark
    and encoding are detected, and logged to the logger ``tsanomaly``. A warning says
    how tables in long format, quality columns, words for bad readings, and lines that
    are not rows were read. Anything that can be read in two ways raises an error,
    which names the place in the file and the parameter that decides.

    Parameters
    ----------
    path : str or Path
        The file. Compression with gzip is detected from its content.
    timestamp : 'auto', str, tuple of two str or None, default='auto'
        The time column. A tuple names a date column and a time-of-day column. None
        means that there is none; rows are then numbered. 'auto' uses the column whose
        values are times, or a date column and a time-of-day column. Numbers (seconds,
        milliseconds, microseconds or nanoseconds since 1970, from 2000 to 2060, or
        ``20240102100000``) count as times only in a column with a name such as
        ``timestamp``, ``Zeit`` or ``时间``.
    label : 'auto', str, list of str or None, default='auto'
        The label columns, which are not channels. 'auto' uses the columns named
        ``anomaly``, ``is_anomaly``, ``anomalies``, ``label``, ``labels``, ``target``,
        ``changepoint``, ``attack``, ``is_attack``, ``fault``, ``outlier``,
        ``normal/attack`` and ``class``, ignoring case and underscores. It also uses,
        with a warning, columns with longer names that consist of such words only, like
        ``attack_P1`` and ``ground_truth``, if they hold labels; one or two other values
        in them raise an error. A column whose name also has other words, like
        ``fault_relay``, is a channel, with a warning if it holds 0 and 1.

        Labels are 0 and 1, false and true, no and yes, normal and attack or anomaly.
        In a column of words that you name here, ``normal``, ``no``, ``false``, ``ok``,
        ``good`` and ``0`` are 0, and all other words are 1; at least one of the former
        must occur. None uses no labels. Columns with one of the names above that are
        neither labels nor named here are dropped, with a warning; with None they are
        channels, with a warning.
    drop : str, list of str or None, default=None
        Columns to leave out, such as comments, or sensors of a table in long format.
        Columns that count rows (1, 2, 3, …) and have no name, or are named ``Row``,
        ``Record``, ``No.``, ``index`` or ``#``, are always left out.
    sep : str, default='auto'
        Field separator, one character. 'auto' detects comma, semicolon, tab and ``|``.
    decimal : {'auto', '.', ','}, default='auto'
        Decimal mark of the whole file. If commas separate the fields, 'auto' is the
        point.
    encoding : str, default='auto'
        A Python encoding. 'auto' uses the byte order mark, then tries UTF-8, and then
        chooses between GB 18030 and Windows-1252, with a warning.
    date_format : str or None, default=None
        Format of the times as in :meth:`datetime.datetime.strptime`. For two time
        columns, join both formats with a space. Adjacent numbers, as in ``%H%M``, need
        all their digits. None detects ISO 8601, ``2024/01/31``, ``31.01.2024``,
        ``31/01/2024`` and ``01/31/2024`` (if the file determines the order),
        ``31-Jan-2024`` and ``2024年1月31日``, each with or without a time of day, and
        ``31/01/24``, if the file determines the order.

        For numbers, the format is ``'excel'`` (days since 1899-12-30), ``'filetime'``
        (100 nanoseconds since 1601) or a unit: ``'ns'``, ``'us'``, ``'ms'``, ``'s'``,
        ``'min'`` or ``'h'``, since 1970 or since the start of the recording, which
        becomes 1970-01-01. None detects Excel serial dates, and elapsed times with the
        unit in the name, like ``Time [ms]``, with a warning.
    na_values : str, number, list of these or None, default=None
        Further values that mean a missing reading, such as ``'<0.05'``. Numbers match
        as written and by value: -200 also matches ``-200.0``.
    skiprows : int, default=0
        Number of lines to skip above the header. A banner above the names is skipped
        automatically if the names are unambiguous.
    header_rows : 'auto' or int, default='auto'
        Number of header lines: the names, and the lines below them. 'auto' detects
        lines of units, descriptions or statistics below the names. If the names are in
        two lines, of which the upper names span several columns, they are joined, with
        a warning.
    long : 'auto', tuple of two str or None, default='auto'
        For tables in long format, with one row per reading: the column of sensor names
        and the column of readings. 'auto' detects them in unambiguous tables, which
        have a time column, a column of repeated names and a column of readings, and in
        annotated CSV of InfluxDB. Columns of units and quality are allowed. Each sensor
        becomes a column; of several readings of a sensor at the same time, the last one
        counts. None reads the columns as they are.
    by : str or None, default=None
        The column that names the machine of each row, for files of several machines, as
        in :class:`~tsanomaly.FleetDetector`. It becomes the last column of the frame.
        Times are then checked for each machine.
    quality : 'auto', list of str or None, default='auto'
        Columns that rate the readings of another column. Readings that are not good
        become NaN. 'auto' uses columns of words such as ``Good``, ``Bad`` and
        ``Uncertain``, or of OPC codes of which most are 192 (good), if their names
        combine a channel with a word for quality, like ``TI1_Quality``, ``TI1 Status``
        and ``TI1_Q``, or if they are to the right of the channel and named ``Quality``
        or ``Status``. If the name says quality, the codes may all be bad, or 0 and 1.
        Other words, like ``Normal`` and ``Fail``, may be states of a machine; such
        columns are only used if you name them. In a table in long format, the quality
        is that of its readings. None uses no such columns.
    max_bytes : 'auto' or int, default='auto'
        Limit on the bytes of the (uncompressed) text. A larger file raises an error
        before it is in memory. 'auto' sets no limit for plain text; a compressed file
        may unpack to 100 times its size, or to 100 MB (``100_000_000``) if that is
        more.
    max_columns : int, default=100_000
        Limit on the fields of a line. A longer line raises an error; usually, the
        separator is wrong.
    return_labels : bool, default=False
        Whether to return the labels as well.

    Returns
    -------
    frame : DataFrame of shape (n_timestamps, n_channels)
        The channels as float64, with the names of the file, on a DatetimeIndex of
        datetime64[ns] in time order. The index has a time zone if the times have an
        offset: that offset, or UTC if there are several. Missing readings are NaN:
        empty cells, ``nan``, ``NA``, ``N/A``, ``#N/A``, ``null``, ``None``, ``-``,
        ``--``, ``\N``, ``1.#QNAN``, ``-1.#IND``, `na_values`, and common words for bad
        readings, like ``Bad``, ``I/O Timeout``, ``No Data``, ``unavailable``,
        ``#VALUE!`` and ``***``, in upper or lower case. Columns of true and false, on
        and off, open and closed, running and stopped, yes and no, and similar pairs
        become 1 and 0. Units below the names are in ``frame.attrs["units"]``, by
        channel, and other lines of the header in ``frame.attrs["descriptions"]``. The
        column `by` holds whole numbers or text.
    labels : DataFrame of shape (n_timestamps, n_labels)
        The label columns as int64, 1 = anomaly, on the same index. Only if
        `return_labels` is True.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If the file is empty, or has no header or no rows; if its structure, encoding,
        times or numbers are broken or ambiguous; if it exceeds `max_bytes` or
        `max_columns`. The message names the file, and the line and column if possible.

    Warns
    -----
    UserWarning
        If times go backwards (the rows are then sorted), are repeated, or are not
        evenly spaced, with the number and the first place; if the encoding is
        uncertain, or points may be thousands separators; if words were read as missing
        readings, or as 1 and 0; if a number such as -9999 may mean a missing reading;
        if a channel has no reading; if names of columns are repeated, and were
        numbered; if columns were read as labels or quality, or a table as long format,
        or if a column may name machines; if lines were left out, such as totals and
        remarks below the rows, a truncated last line, or numbers above the header.

    See Also
    --------
    read_sensor_file : Read workbooks, Parquet files, folders and more.
    regularize : Resample readings to a regular grid.
    tsanomaly.FleetDetector : One detector per machine.

    Notes
    -----
    Thousands separators are not supported. ``1.234`` is always a number with three
    decimals, with a warning if the column looks like thousands. If all commas of a file
    are followed by three digits, `decimal` must be given.

    Time and memory grow in proportion to the size of the text, whatever its content. A
    field may have 131,072 characters, the limit of :func:`csv.field_size_limit`.

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
    readings = read_readings(
        path,
        timestamp=timestamp,
        label=label,
        drop=drop,
        sep=sep,
        decimal=decimal,
        encoding=encoding,
        date_format=date_format,
        na_values=na_values,
        skiprows=skiprows,
        header_rows=header_rows,
        long=long,
        by=by,
        quality=quality,
        max_bytes=max_bytes,
        max_columns=max_columns,
    )
    for message in readings.messages:
        warnings.warn(message, stacklevel=2)
    return (readings.frame, readings.labels) if return_labels else readings.frame


@dataclass
class Readings:
    """Contents of a file, and warnings about it.

    Attributes
    ----------
    frame, labels : DataFrame
        As returned by `read_sensor_csv`.
    messages : list of str or ParameterWarning
        The warnings.
    names : list of str
        Columns and sensors of the file, including dropped ones.
    is_long : bool
        Whether the file is in long format.
    """

    frame: object
    labels: object
    messages: list
    names: list
    is_long: bool = False


def read_readings(
    path,
    *,
    timestamp,
    label,
    drop,
    sep,
    decimal,
    encoding,
    date_format,
    na_values,
    skiprows,
    header_rows,
    long,
    by,
    quality,
    max_bytes,
    max_columns,
    is_part=False,
):
    """Read a file as `read_sensor_csv` does, and collect its warnings.

    Parameters
    ----------
    path : str, Path or Document
        The file, or its contents.
    timestamp, label, ..., max_columns
        As for `read_sensor_csv`.
    is_part : bool, default=False
        Whether this is one of several files, so that columns to drop may be in another.

    Returns
    -------
    readings : Readings

    Raises
    ------
    OSError, ValueError
        As `read_sensor_csv` does.
    """
    _check_parameters(timestamp, sep, decimal, encoding)
    _check_counts(skiprows, header_rows, max_bytes, max_columns)
    _check_kinds(long, by, quality)
    if date_format is not None:
        check_date_format(date_format)
    missing = MissingValues(na_values)
    table = read_text_table(
        path,
        sep=sep,
        encoding=encoding,
        keep_empty_rows=timestamp is None,
        max_bytes=max_bytes,
        max_columns=max_columns,
        skiprows=skiprows,
        header_rows=header_rows,
        drop={name for name in as_list(drop) if isinstance(name, str)},
    )
    if table.is_encoding_guessed:
        table.messages.insert(0, _guessed_encoding(table))
    names = table.names
    sensors_to_drop = drop_columns(table, drop, may_be_elsewhere=is_part)
    drop_unnamed(table, timestamp, [*as_list(label), *as_list(by)])
    leave_out_events(table, [*as_list(label), *as_list(by)])
    told = [*as_list(by)]
    for names_told in (long, quality):
        told += [] if names_told in (None, "auto") else names_told
    label_names = find_labels(table, label, timestamp, told)
    machines = take_machines(table, by, label_names)
    tags = find_tag_times(table, timestamp, label_names, date_format)
    if tags:
        time_names, times = [tag.column.name for tag in tags], None
    else:
        time_names = find_times(table, timestamp, label_names, date_format)
        times = read_times(table, time_names, date_format)
    no_channels = {*time_names, *label_names}
    channels = [column for column in table.columns if column.name not in no_channels]
    if not channels:
        raise _no_channel(table, time_names, label_names)
    labels = [
        read_labels(column, any_words=label != "auto")
        for column in table.select(label_names)
    ]
    of_quality = find_quality(table, channels, quality)
    all_channels = channels
    channels = [column for column in channels if column.name not in of_quality]
    if missing:
        emptied = missing.empty(channels)
        counts = f": {list_counts(emptied)}" if emptied else ""
        table.notes.append(f"{emptied.total()} cells missing by na_values{counts}")
    if times is not None and times.message is not None:
        table.messages.append(times.message)
    tall = None
    if by is None and not tags:
        tall = find_long(table, channels, times, long)
    elif by is not None and long == "auto":
        refuse_long_of_machines(table, channels, by)
    apply_quality(
        table,
        all_channels,
        of_quality,
        None if tall is None else tall.value,
        is_told=quality != "auto",
    )
    check_dropped(table, sensors_to_drop, [] if tall is None else tall.key[2])
    if tall is not None:
        channels = [tall.value]
    elif by is None and not tags:
        look_for_machines(table, channels, times)
    is_detected = decimal == "auto"
    if is_detected:
        table.messages += perhaps_thousands(channels)
        decimal = detect_decimal(table, channels)
    found = WordCounts()
    if tall is None:
        sensors = [column.name for column in channels]
        readings = read_numbers(channels, decimal, is_detected=is_detected, found=found)
        if tags:
            readings, times, said = merge_tag_times(
                table, tags, channels, readings, date_format
            )
            table.messages += said
            index, order = times.to_index("time"), slice(None)
        else:
            index, order = _put_in_order(table, times, machines, time_names)
            if (np.diff(order) != 1).any():
                for position in range(len(channels)):
                    readings[:, position] = readings[order, position]
    else:
        table.units |= tall.units()
        sensors, readings, times, order = tall.pivot(
            times,
            decimal,
            drop=sensors_to_drop,
            is_detected=is_detected,
            found=found,
        )
        index = times.to_index(" ".join(time_names) or None)
        table.messages += tall.irregularities(times, order)
        labels = [_most_of_each_time(column, order) for column in labels]
        order = slice(None)
    table.messages += found.messages(table.path)
    table.messages += suspicious_numbers(table.path, sensors, readings)
    if not is_part:  # another file may have readings of the sensor
        table.messages += sensors_without_readings(table.path, sensors, readings)
    _log(table, decimal, time_names, times, label_names, readings.shape)
    frame = _to_frame(table, readings, index, sensors)
    if machines is not None:
        frame[by] = machines[order]
    labels = _to_frame_of_labels(
        [column[order] for column in labels], index, label_names
    )
    names += [] if tall is None else tall.key[2]
    return Readings(frame, labels, table.messages, names, tall is not None)


def _put_in_order(table, times, machines, time_names):
    """Return the index in time order, and the row numbers in that order."""
    import pandas as pd

    if times is None:
        return pd.RangeIndex(len(table.lines)), np.arange(len(table.lines))
    order = np.argsort(times.values, kind="stable")
    if machines is None:
        table.messages += irregularities(table, times, order)
    else:
        table.messages += irregularities_of_machines(table, times, machines)
    in_order = Times(times.values[order], times.zone, times.description)
    return in_order.to_index(" ".join(time_names) or None), order


def _most_of_each_time(labels, positions):
    """Label each time of a table in long format: 1 if any of its rows is 1."""
    most = np.zeros(positions.max() + 1, dtype=np.int64)
    np.maximum.at(most, positions, labels)
    return most


def _to_frame(table, readings, index, names):
    """Make the frame of channels, with units and descriptions from the header."""
    import pandas as pd

    frame = pd.DataFrame(readings, index=index, columns=names, copy=False)
    for kind in ("units", "descriptions"):
        texts = getattr(table, kind)
        if known := {name: texts[name] for name in names if name in texts}:
            frame.attrs[kind] = known
    return frame


def _to_frame_of_labels(labels, index, names):
    """Make the frame of labels."""
    import pandas as pd

    values = np.empty((len(index), len(labels)), dtype=np.int64)
    for position, column in enumerate(labels):
        values[:, position] = column
    return pd.DataFrame(values, index=index, columns=names)


def _no_channel(table, time_names, label_names):
    """Error about a table that contains only times and labels."""
    return table.header_fault(
        f"there is no channel among the columns {list_names(table.names)}. The times "
        "are "
        f"{list_names(time_names)}, the labels {list_names(label_names)}: check ",
        Parameter("timestamp"),
        ", ",
        Parameter("label"),
        " and ",
        Parameter("sep"),
        ".",
    )


def _check_parameters(timestamp, sep, decimal, encoding):
    """Raise for parameters that are invalid for every file."""
    is_pair = isinstance(timestamp, (tuple, list)) and len(timestamp) == 2
    if not (timestamp is None or isinstance(timestamp, str) or is_pair):
        raise ParameterError(
            Parameter("timestamp", timestamp),
            " must be 'auto', the name of a column, a tuple of the names of a date "
            "column and a time-of-day column, or None.",
        )
    if decimal not in ("auto", ".", ","):
        raise ParameterError(
            Parameter("decimal", decimal), " must be 'auto', '.' or ','."
        )
    if not isinstance(encoding, str):
        raise ParameterError(
            Parameter("encoding", encoding), " must be 'auto' or a name."
        )
    is_sign = isinstance(sep, str) and re.fullmatch(r"[^\w\"\r\n\0.+-]", sep)
    if sep != "auto" and not is_sign:
        raise ParameterError(
            Parameter("sep", sep),
            " must be 'auto' or one character that does not occur in numbers, such as "
            "',', ';' "
            "or a tab.",
        )


def _check_counts(skiprows, header_rows, max_bytes, max_columns):
    """Raise unless parameters that count something are valid numbers."""
    counts = [
        ("skiprows", skiprows, 0, "a number of lines"),
        ("max_columns", max_columns, 1, "a number of fields"),
    ]
    if header_rows != "auto":
        what = "'auto' or a number of lines"
        counts.append(("header_rows", header_rows, 1, what))
    if max_bytes != "auto":
        counts.append(("max_bytes", max_bytes, 1, "'auto' or a number of bytes"))
    for name, value, least, what in counts:
        is_count = isinstance(value, Integral) and not isinstance(value, bool)
        if not is_count or value < least:
            raise ParameterError(
                Parameter(name, value), f" must be {what}, from {least}."
            )


def _check_kinds(long, by, quality):
    """Raise unless parameters that name columns are of a valid type."""
    is_pair = isinstance(long, (tuple, list)) and len(long) == 2
    if not (long is None or long == "auto" or (is_pair and long[0] != long[1])):
        raise ParameterError(
            Parameter("long", long),
            " must be 'auto', a tuple of the names of the column of sensors and the "
            "column of readings, or None.",
        )
    if not (by is None or isinstance(by, str)):
        raise ParameterError(
            Parameter("by", by), " must be the name of a column, or None."
        )
    if by is not None and long not in (None, "auto"):
        raise ParameterError(
            Parameter("by", by),
            " and ",
            Parameter("long", long),
            " cannot be combined: with machines, each sensor needs its own column. "
            "Pass one of them, or split the file by machine.",
        )
    is_list = isinstance(quality, (list, tuple)) and all(
        isinstance(name, str) for name in quality
    )
    if not (quality is None or is_list or quality == "auto"):
        raise ParameterError(
            Parameter("quality", quality),
            " must be 'auto', a list of names of columns, or None.",
        )


def _guessed_encoding(table):
    """Warning about an encoding that is likely, but not certain."""
    return ParameterWarning(
        f"{table.path}: the text is not UTF-8 and was read as {table.encoding}. Check "
        "the column names, and pass ",
        Parameter("encoding", table.encoding),
        " to confirm, or the right encoding.",
    )


def _log(table, decimal, time_names, times, label_names, shape):
    """Log what was detected."""
    if times is None:
        when = "no times"
    else:
        when = f"times in {list_names(time_names)} ({times.description})"
    logging.getLogger("tsanomaly").info(
        "%s: %s",
        table.path,
        "; ".join(
            [
                table.encoding,
                f"separator {separator_name(table.sep)}",
                f"decimal {decimal!r}",
                when,
                f"labels {list_names(label_names)}",
                f"{shape[1]} channels, {shape[0]} rows",
                *table.notes,
            ]
        ),
    )
