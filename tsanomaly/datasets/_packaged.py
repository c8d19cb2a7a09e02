# SPDX-License-Identifier: MIT
"""Where data sets lie, and what every loader returns."""

from pathlib import Path

__all__ = ["data_root", "describe_missing"]

_DATA = Path(__file__).parent / "data"


def data_root(name, path):
    """Root folder of a data set: the user's, or the sample inside the package."""
    return _DATA / name if path is None else Path(path)


def describe_missing(name, path, file, available):
    """Error for a series that is not there.

    Parameters
    ----------
    name : str
        The series asked for.
    path : str, Path or None
        The root the user gave.
    file : Path
        Where it should be.
    available : list of str
        Names that would work.
    """
    if path is None:
        return FileNotFoundError(
            f"{name!r} is not among the series inside the package: {available}. For "
            "others, download the data set and pass its root folder as path=."
        )
    return FileNotFoundError(
        f"{name!r} was looked for at {str(file)!r}, which does not exist. Is path="
        f"{str(path)!r} the folder that the loader's documentation describes?"
    )
