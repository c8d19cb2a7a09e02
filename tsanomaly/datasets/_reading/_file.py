# SPDX-License-Identifier: MIT
import inspect
import logging
import os
import sys
import warnings
from pathlib import Path

from tsanomaly._parameter_error import Parameter, ParameterError
from tsanomaly.datasets._reading._bytes import Document, load, read_bytes
from tsanomaly.datasets._reading._cell_text import SEP
from tsanomaly.datasets._reading._columns import as_list
from tsanomaly.datasets._reading._csv import read_readings, read_sensor_csv
from tsanomaly.datasets._reading._excel import check_sheet, read_workbook
from tsanomaly.datasets._reading._join import join_readings
from tsanomaly.datasets._reading._kinds import GZIP, is_readable_name, kind_of
from tsanomaly.datasets._reading._names import advise_on_case, list_names
from tsanomaly.datasets._reading._odd_readings import sensors_without_readings
from tsanomaly.datasets._reading._parquet import read_parquet
from tsanomaly.datasets._reading._table import fault

__all__ = ["read_sensor_file"]

_STDIN = "-"
_MOST_TOLD = 3  # files whose warnings are shown in full


def read_sensor_file(path, *, sheet=None, **csv_params):
    r"""Read sensor readings from CSV, Excel and Parquet files, or folders of them.

    Everything that :func:`read_sensor_csv` detects in text is detected here as well.

    Parameters
    ----------
    path : str, Path or list of these
        A file, whose kind is detected from its content: text such as CSV, also
        compressed with gzip, an Excel workbook (``.xlsx``) or a Parquet file. A folder
        means all such files in it, sorted by name, and ``'-'`` the standard input.
        Several files must have the same channels. Their rows are sorted by time, and a
        row that is in several files is used once.
    sheet : str, int or None, default=None
        The sheet of workbooks, by name or by position, starting at 0. None uses the
        first sheet that contains a table.
    **csv_params
        Keywords of :func:`read_sensor_csv`. `sep` and `encoding` apply to text only;
        all others also apply to workbooks and Parquet files.

    Returns
    -------
    frame : DataFrame of shape (n_timestamps, n_channels)
        The channels, as returned by `read_sensor_csv`.
    labels : DataFrame of shape (n_timestamps, n_labels)
        Labels on the same index, 1 = anomaly. Only if `return_labels` is True.

    Raises
    ------
    OSError
        If a file cannot be read.
    ImportError
        If openpyxl, for workbooks, or pyarrow, for Parquet files, is not installed.
    TypeError
        If a keyword is not one of `read_sensor_csv`.
    ValueError
        As in `read_sensor_csv`; if a file is of another kind, is damaged, or exceeds
        `max_bytes`; if several files have different columns; if a folder contains no
        file of readings. The message names the file.

    Warns
    -----
    UserWarning
        As in `read_sensor_csv`; if files of a folder were left out, the times of files
        overlap, or several sheets contain tables.

    See Also
    --------
    read_sensor_csv : Read a CSV file; describes all keywords.
    regularize : Resample readings to a regular grid.

    Notes
    -----
    Formulas are not computed; the values that Excel stored are read. Line breaks in
    cells become spaces. In messages about a workbook, a line is a row of the sheet; in
    messages about a Parquet file, line 1 is the header. Times with a time zone in
    Parquet files are in UTC.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from tsanomaly.datasets import read_sensor_file
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for hour in (10, 11):
    ...         text = f"time,temp\n2024-01-31 {hour}:00,20.5\n"
    ...         _ = Path(folder, f"pump_{hour}.csv").write_text(text)
    ...     frame = read_sensor_file(folder)
    >>> frame.index.hour.tolist()
    [10, 11]
    """
    params = _complete(csv_params)
    return_labels = params.pop("return_labels")
    check_sheet(sheet)
    files, messages = _find_files(path)
    parts, told = [], []
    for file in files:
        part = _read_file(file, sheet, params, is_part=len(files) > 1)
        parts.append(part)
        told.append(part.messages)
    if len(files) == 1:
        (part,) = parts
        frame, labels = part.frame, part.labels
        messages += part.messages
    else:
        _check_dropped(files, parts, params["drop"])
        frame, labels, joined = join_readings(
            list(map(str, files)), parts, by=params["by"]
        )
        channels = frame.drop(columns=as_list(params["by"]))
        joined += sensors_without_readings(
            f"{files[0]} … {files[-1]}", channels.columns, channels.to_numpy()
        )
        messages += _shorten(files, told) + joined
    for message in messages:
        warnings.warn(message, stacklevel=2)
    return (frame, labels) if return_labels else frame


def _complete(csv_params):
    """Complete the keywords of `read_sensor_csv` with their defaults."""
    known = inspect.signature(read_sensor_csv).parameters
    known = {name: known[name].default for name in known if name != "path"}
    unknown = [name for name in csv_params if name not in known]
    if unknown:
        raise TypeError(
            f"read_sensor_file() has no parameters {list_names(unknown)}. It accepts "
            f"sheet and the keywords of read_sensor_csv(): {', '.join(known)}."
        )
    return known | csv_params


def _find_files(path):
    """Return the files to read, and warnings about others."""
    paths = [path] if isinstance(path, (str, os.PathLike)) else path
    is_list = isinstance(paths, (list, tuple))
    if not is_list or not all(isinstance(one, (str, os.PathLike)) for one in paths):
        raise ParameterError(
            Parameter("path", path),
            " must be a file, a folder, '-' for the standard input, or a list of "
            "files.",
        )
    if not paths:
        raise ParameterError(Parameter("path", path), " holds no file.")
    files, messages = [], []
    for one in paths:
        if one != _STDIN and Path(one).is_dir():
            found, left_out = _files_of_folder(Path(one))
            files += found
            if left_out:
                messages.append(
                    f"{one}: files of the folder that were left out: "
                    f"{list_names(left_out)}. Files with these endings are read: .csv, "
                    ".tsv, .txt, .tab, .dat and .asc, also "
                    "with .gz, .xlsx, .xlsm, .parquet and .pq."
                )
        else:
            files.append(one)
    return files, messages


def _files_of_folder(folder):
    """Return the files of readings in a folder, and the names of other entries."""
    files, left_out, hidden = [], [], []
    for file in sorted(folder.iterdir()):
        if file.name.startswith((".", "~$")):  # lock files of Excel
            hidden.append(file.name)
        elif file.is_file() and is_readable_name(file.name):
            files.append(file)
        else:
            left_out.append(file.name)
    if hidden:
        logging.getLogger("tsanomaly").info(
            "%s: hidden files left out: %s", folder, list_names(hidden)
        )
    if not files:
        others = f", only {list_names(left_out)}" if left_out else ""
        raise fault(
            folder,
            f"there is no file of readings in the folder{others}. Files with endings "
            "such as .csv, .txt, .xlsx and .parquet are read; pass others as a list "
            "of files.",
        )
    return files, left_out


def _read_file(path, sheet, params, *, is_part):
    """Read one file."""
    max_bytes, decimal = params["max_bytes"], params["decimal"]
    if path == _STDIN:
        path = "standard input"
        data = load(path, sys.stdin.buffer, max_bytes)
    else:
        with open(path, "rb") as file:
            data = load(path, file, max_bytes)
    document, messages = Document(str(path), data), []
    if data.startswith(GZIP):
        document = Document(str(path), read_bytes(document, max_bytes))
        if document.data.startswith(GZIP):
            raise fault(document, "the file is compressed twice. Unpack it once.")
    kind = kind_of(document.data)
    if sheet is not None and kind != "excel":
        raise fault(
            document, Parameter("sheet", sheet), " is for Excel workbooks only."
        )
    if kind == "excel":
        document, messages = read_workbook(document, sheet, max_bytes, decimal)
    elif kind == "parquet":
        document = read_parquet(
            document, max_bytes, params["max_columns"], decimal, params["drop"]
        )
    if kind in ("excel", "parquet"):
        params = params | {"sep": SEP, "encoding": "utf-8"}
    try:
        readings = read_readings(document, is_part=is_part, **params)
    except ValueError as error:
        if not messages:
            raise
        # The first of several sheets may be a cover.
        parts = error.args if isinstance(error, ParameterError) else (str(error),)
        raise ParameterError(*parts, " ", *messages[0].args) from error
    readings.messages[:0] = messages
    return readings


def _check_dropped(files, parts, drop):
    """Raise if none of the files contains a column to drop."""
    known = {name for part in parts for name in part.names}
    for name in as_list(drop):
        if name not in known:
            raise fault(
                f"{files[0]} … {files[-1]}",
                Parameter("drop", name),
                f" is not among the columns of any file: {list_names(sorted(known))}."
                f"{advise_on_case(name, sorted(known))}",
            )


def _shorten(files, told):
    """Keep the warnings of a few files, and count the other files with warnings."""
    shown = [messages for messages in told if messages]
    messages = [message for part in shown[:_MOST_TOLD] for message in part]
    n_others = len(shown) - _MOST_TOLD
    if n_others > 0:
        messages.append(
            f"{files[0]} … {files[-1]}: {n_others:,} more files have warnings of their "
            "own. Read them one by one to see these."
        )
    return messages
