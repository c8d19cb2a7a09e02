# SPDX-License-Identifier: MIT
"""Locations of data sets, and file reading with errors that name the file."""

import io
import zlib
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np

from tsanomaly._windows import runs
from tsanomaly.datasets._reading import GZIP, most_unpacked, unpack

__all__ = [
    "DATA",
    "check_name",
    "data_root",
    "describe_missing",
    "events_of",
    "read_table",
    "to_flags",
    "to_numbers",
    "to_times",
]

DATA = Path(__file__).parent / "data"

_CURE = "If it was modified, download it again."


def data_root(dataset, path):
    """Return the root folder of a data set: that of the user, or of the package."""
    return DATA / dataset if path is None else Path(path).expanduser()


def check_name(name, example):
    """Raise if the name of a series points outside the folder of the data set.

    Parameters
    ----------
    name : str
        The requested series.
    example : str
        A valid name.
    """
    # Checked for all systems, so that code behaves the same on each of them.
    for path in (PurePosixPath(name), PureWindowsPath(name)):
        if path.anchor or ".." in path.parts:
            raise ValueError(
                f"name={name!r} points outside the folder of the data set. Pass a name "
                f"inside it, such as {example!r}, and the folder as path=."
            )


def describe_missing(dataset, name, path, file, available):
    """Return the error for a series that does not exist.

    Parameters
    ----------
    dataset : {'nab', 'skab', 'smd'}
        The data set.
    name : str
        The requested series.
    path : str, Path or None
        Root folder passed by the user.
    file : Path
        Expected location.
    available : iterable of str
        Names of existing series.
    """
    available = sorted(available)
    if path is None:
        return FileNotFoundError(
            f"{name!r} is not among the series in the package: {available}. For "
            "others, download the data set and pass its root folder as path=, or use "
            f"fetch_{dataset}."
        )
    return FileNotFoundError(
        f"{name!r} is expected at {str(file)!r}, which does not exist. Is path="
        f"{str(path)!r} the folder described in the documentation of the loader? "
        + (
            f"The series there are {available}."
            if available
            else f"It contains no series; fetch_{dataset} downloads them."
        )
    )


def read_table(file, *, expected=(), **options):
    """Read delimited text with pandas, with errors that name the file.

    Compressed files may unpack to the default limit of `read_sensor_csv`.

    Parameters
    ----------
    file : Path
        The file, possibly compressed.
    expected : iterable of str, default=()
        Required columns.
    **options
        Passed to ``pandas.read_csv``.

    Returns
    -------
    table : DataFrame
        Contents of the file.
    """
    import pandas as pd

    data = file.read_bytes()
    try:
        if data.startswith(GZIP):
            data = unpack(data, most_unpacked(len(data)))
        table = pd.read_csv(io.BytesIO(data), **options)
    # Errors of pandas are ValueErrors. The others come from damaged gzip files.
    except (EOFError, OSError, ValueError, zlib.error) as error:
        raise ValueError(f"{str(file)!r} cannot be read: {error}. {_CURE}") from error
    # pandas silently uses an extra field without a header as the index.
    if "index_col" not in options and not isinstance(table.index, pd.RangeIndex):
        raise ValueError(
            f"{str(file)!r} cannot be read: its rows have more fields than its "
            f"header. {_CURE}"
        )
    missing = [column for column in expected if column not in table.columns]
    if missing:
        raise ValueError(
            f"{str(file)!r} lacks the columns {missing}; it has "
            f"{table.columns.tolist()}. {_CURE}"
        )
    return table


def to_numbers(table, file):
    """Return the table as float64, or raise if it has values that are not finite."""
    try:
        # Integers as well, so that dtypes do not depend on the values.
        table = table.astype(np.float64)
    except ValueError as error:
        raise ValueError(
            f"{str(file)!r} contains text among its numbers: {error}. {_CURE}"
        ) from error
    # A truncated line is read as NaN in the missing columns.
    bad = np.flatnonzero(~np.isfinite(table.to_numpy()).all(axis=1))
    if bad.size:
        raise ValueError(
            f"{str(file)!r} has a value that is not finite in data row {bad[0]}, "
            f"counted from 0. {_CURE}"
        )
    return table


def to_times(texts, file):
    """Parse ISO 8601 texts, with or without fractions of a second."""
    import pandas as pd

    try:
        times = pd.DatetimeIndex(pd.to_datetime(texts, format="ISO8601"))
    except ValueError as error:
        raise ValueError(
            f"{str(file)!r} contains a time that cannot be parsed: {error}. {_CURE}"
        ) from error
    if times.hasnans:
        raise ValueError(f"{str(file)!r} has a row without a time. {_CURE}")
    return times.as_unit("us")


def to_flags(column, file):
    """Return labels as an array of 0 and 1, or raise if there are other values."""
    if not column.isin([0, 1]).all():
        raise ValueError(
            f"{str(file)!r} contains labels other than 0 and 1: "
            f"{column.unique()[:5].tolist()}. {_CURE}"
        )
    return column.to_numpy(dtype=np.int64)


def events_of(target, index):
    """Return the first and last index label of each run of ones as a DataFrame."""
    import pandas as pd

    start, end = runs(target)
    return pd.DataFrame({"start": index[start], "end": index[end]})
