# SPDX-License-Identifier: MIT
"""Read the bytes of a file, decompressed, up to a limit."""

import gzip
import io
import math
import zlib
from dataclasses import dataclass

from tsanomaly._parameter_error import Parameter
from tsanomaly.datasets._reading._kinds import GZIP, refuse_other_kinds
from tsanomaly.datasets._reading._table import fault

__all__ = ["Document", "load", "most_unpacked", "read_bytes", "unpack"]

_BLOCK = 2**20
# Readings as text unpack to 3 to 20 times their size; gzip can reach 1,000 times.
_FACTOR = 100
_NEVER_TOO_MUCH = 100_000_000


class _TooLargeError(ValueError):
    """Error for data that exceed the limit."""


@dataclass
class Document:
    """Contents of a file.

    Attributes
    ----------
    name : str
        Name of the file in messages.
    data : bytes
        The contents.
    """

    name: str
    data: bytes

    def __str__(self):
        return self.name


def most_unpacked(n_bytes):
    """Default limit on the unpacked size of a compressed file."""
    return max(_FACTOR * n_bytes, _NEVER_TOO_MUCH)


def load(path, file, max_bytes):
    """Read all bytes of an open file, without unpacking them.

    Parameters
    ----------
    path : str or Path
        Name of the file in messages.
    file : file object
        The file, opened for reading bytes.
    max_bytes : 'auto' or int
        As for `read_sensor_csv`.

    Returns
    -------
    data : bytes
        Contents of the file.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If it is too large.
    """
    try:
        return _take(file, math.inf if max_bytes == "auto" else max_bytes)
    except _TooLargeError as error:
        raise fault(
            path,
            f"the file has {error}. Pass a larger number as ",
            Parameter("max_bytes"),
            ", or a part of the file.",
        ) from error


def read_bytes(path, max_bytes):
    """Read a file, and unpack it if it is compressed.

    Parameters
    ----------
    path : str, Path or Document
        The file, which may be compressed with gzip.
    max_bytes : 'auto' or int
        As for `read_sensor_csv`.

    Returns
    -------
    data : bytes
        Unpacked contents of the file.

    Raises
    ------
    OSError
        If the file cannot be read.
    ValueError
        If the file is of another kind, damaged or too large.
    """
    is_auto = max_bytes == "auto"
    if isinstance(path, Document):
        data = path.data
    else:
        with open(path, "rb") as file:
            data = load(path, file, max_bytes)
    refuse_other_kinds(path, data)
    if not data.startswith(GZIP):
        return data
    try:
        return unpack(data, most_unpacked(len(data)) if is_auto else max_bytes)
    except _TooLargeError as error:
        rule = (
            f" The default limit is {_FACTOR} times the size of the file, but at least "
            f"{_NEVER_TOO_MUCH:,} bytes."
        )
        raise fault(
            path,
            f"the file is compressed with gzip, and unpacks to {error}."
            f"{rule * is_auto} If you trust the file, pass a larger number as ",
            Parameter("max_bytes"),
            ".",
        ) from error
    except (EOFError, OSError, zlib.error) as error:
        raise fault(
            path,
            f"the gzip file is damaged ({error}). Transfer it again.",
        ) from error


def unpack(data, max_bytes):
    """Unpack data that are compressed with gzip.

    Parameters
    ----------
    data : bytes
        The compressed bytes.
    max_bytes : int
        Limit on the unpacked size.

    Returns
    -------
    unpacked : bytes
        The unpacked data.

    Raises
    ------
    ValueError
        If the data exceed the limit. At most one block beyond it is unpacked.
    EOFError, OSError, zlib.error
        If the data are damaged.
    """
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
        return _take(file, max_bytes)


def _take(file, max_bytes):
    """Read a file block by block, so that memory never holds much beyond the limit."""
    taken = io.BytesIO()
    while block := file.read(_BLOCK):
        taken.write(block)
        if taken.tell() > max_bytes:
            raise _TooLargeError(f"more than {max_bytes:,} bytes")
    return taken.getvalue()
