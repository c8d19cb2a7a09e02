# SPDX-License-Identifier: MIT
"""Where data sets lie, and how loaders read files: with errors that name them."""

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

_CURE = "Is it as its source has it? If not, get it anew."


def data_root(dataset, path):
    """Root folder of a data set: the user's, or the sample inside the package."""
    return DATA / dataset if path is None else Path(path).expanduser()


def check_name(name, example):
    """Raise for the name of a series that leads out of the folder of the data set.

    Parameters
    ----------
    name : str
        The series asked for.
    example : str
        A name that would do.
    """
    # On any system, so that what runs on one does not open files on another.
    for path in (PurePosixPath(name), PureWindowsPath(name)):
        if path.anchor or ".." in path.parts:
            raise ValueError(
                f"name={name!r} leads out of the folder of the data set. Pass a name "
                f"inside it, such as {example!r}, and the folder as path=."
            )


def describe_missing(dataset, name, path, file, available):
    """Error for a series that is not there.

    Parameters
    ----------
    dataset : {'nab', 'skab', 'smd'}
        The data set.
    name : str
        The series asked for.
    path : str, Path or None
        The root the user gave.
    file : Path
        Where it should be.
    available : iterable of str
        Names that would work.
    """
    available = sorted(available)
    if path is None:
        return FileNotFoundError(
            f"{name!r} is not among the series inside the package: {available}. For "
            "others, download the data set and pass its root folder as path=, or use "
            f"fetch_{dataset}."
        )
    return FileNotFoundError(
        f"{name!r} was looked for at {str(file)!r}, which does not exist. Is path="
        f"{str(path)!r} the folder that the loader's documentation describes? "
        + (
            f"The series there are {available}."
            if available
            else f"It holds no series; fetch_{dataset} downloads them."
        )
    )


def read_table(file, *, expected=(), **options):
    """Read delimited text with pandas, with errors that name the file.

    What is compressed may unpack to as much as `read_sensor_csv` takes by default.

    Parameters
    ----------
    file : Path
        The file, which may be compressed.
    expected : iterable of str, default=()
        Columns that must be there.
    **options
        Passed to ``pandas.read_csv``.

    Returns
    -------
    table : DataFrame
        What the file holds.
    """
    import pandas as pd

    data = file.read_bytes()
    try:
        if data.startswith(GZIP):
            data = unpack(data, most_unpacked(len(data)))
        table = pd.read_csv(io.BytesIO(data), **options)
    # pandas' own errors are ValueErrors; the others are of damaged gzip files.
    except (EOFError, OSError, ValueError, zlib.error) as error:
        raise ValueError(f"{str(file)!r} cannot be read: {error}. {_CURE}") from error
    # pandas takes a field that the header lacks for an index, and says nothing.
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
    """Return the table as float64, or raise where it does not hold finite numbers."""
    try:
        # Also where all are integers, so that dtypes do not hang on the values.
        table = table.astype(np.float64)
    except ValueError as error:
        raise ValueError(
            f"{str(file)!r} holds text among its numbers: {error}. {_CURE}"
        ) from error
    # A line that is cut short reads as NaN in the columns that it lacks.
    bad = np.flatnonzero(~np.isfinite(table.to_numpy()).all(axis=1))
    if bad.size:
        raise ValueError(
            f"{str(file)!r} lacks a finite number in data row {bad[0]}, counted from "
            f"0. {_CURE}"
        )
    return table


def to_times(texts, file):
    """DatetimeIndex of ISO 8601 texts, with or without fractions of a second."""
    import pandas as pd

    try:
        times = pd.DatetimeIndex(pd.to_datetime(texts, format="ISO8601"))
    except ValueError as error:
        raise ValueError(
            f"{str(file)!r} holds a time that cannot be read: {error}. {_CURE}"
        ) from error
    if times.hasnans:
        raise ValueError(f"{str(file)!r} has a row without a time. {_CURE}")
    return times.as_unit("us")


def to_flags(column, file):
    """Array of 0 and 1, or raise if the labels hold anything else."""
    if not column.isin([0, 1]).all():
        raise ValueError(
            f"{str(file)!r} holds other labels than 0 and 1: "
            f"{column.unique()[:5].tolist()}. {_CURE}"
        )
    return column.to_numpy(dtype=np.int64)


def events_of(target, index):
    """First and last index label of every run of ones, as a DataFrame."""
    import pandas as pd

    start, end = runs(target)
    return pd.DataFrame({"start": index[start], "end": index[end]})
