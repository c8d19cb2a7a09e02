# SPDX-License-Identifier: MIT
"""Arrays as members of a file: numpy's own format, of which little is read.

NumPy's reader evaluates the header as a Python literal. Here a header has to match one
pattern, letter by letter, and its shape the bytes that follow.
"""

import io
import math
import re

import numpy as np

__all__ = ["is_plain", "read_array", "read_dtype", "write_array"]

# Booleans, integers, floats and times, little-endian.
_DTYPE = r"\|[biu]1|<[iu][248]|<f[248]|<M8\[(?:s|ms|us|ns)\]"

_MAGIC = b"\x93NUMPY\x01\x00"

# What `numpy.save` writes of such an array.
_HEADER = re.compile(
    rf"\{{'descr': '({_DTYPE})', 'fortran_order': (True|False), "
    r"'shape': \(((?:[0-9]{1,15}, )*(?:[0-9]{1,15},?)?)\), \} *\n"
)

# Dimensions of an array; no estimator has more.
_MOST_DIMENSIONS = 8


def is_plain(array):
    """Whether an array is one that a file can hold."""
    return re.fullmatch(_DTYPE, _name(array.dtype)) is not None


def _name(dtype):
    return dtype.newbyteorder("<").str


def write_array(array):
    """The bytes of an array.

    Parameters
    ----------
    array : ndarray
        One that `is_plain`.

    Returns
    -------
    content : bytes
        In version 1.0 of numpy's format. Arrays in Fortran's order stay so: the last
        digits of a product may depend on it.
    """
    array = np.asarray(array)
    if array.ndim > 1 and not array.flags.c_contiguous:
        # A part of an array in Fortran's order stays in it.
        by_column = array.strides[0] < array.strides[-1]
        array = np.asfortranarray(array) if by_column else array
    stream = io.BytesIO()
    np.lib.format.write_array(
        stream,
        array.astype(_name(array.dtype), copy=False),
        version=(1, 0),
        allow_pickle=False,
    )
    return stream.getvalue()


def read_array(content):
    """Make an array.

    Parameters
    ----------
    content : bytearray
        What `write_array` returned, or anything else.

    Returns
    -------
    array : ndarray
        Of numbers, booleans or times; it lies in `content`, so that large ones are in
        memory once.

    Raises
    ------
    ValueError
        If the header is another one, or the bytes are fewer or more than it says.
    """
    start = len(_MAGIC) + 2
    end = start + int.from_bytes(content[len(_MAGIC) : start], "little")
    header = content[start:end].decode("latin-1")
    found = _HEADER.fullmatch(header)
    if not content.startswith(_MAGIC) or end > len(content) or found is None:
        raise ValueError("an array has a header that numpy.save does not write")
    dtype = read_dtype(found[1])
    shape = tuple(int(size) for size in found[3].split(",") if size.strip())
    if len(shape) > _MOST_DIMENSIONS:
        raise ValueError(f"an array has {len(shape)} dimensions")
    if math.prod(shape) * dtype.itemsize != len(content) - end:
        raise ValueError(f"an array of shape {shape} has {len(content) - end} bytes")
    flat = np.frombuffer(content, dtype, offset=end)
    if dtype.kind == "b" and flat.view(np.uint8).max(initial=0) > 1:
        raise ValueError("an array of booleans contains values other than 0 and 1")
    order = "F" if found[2] == "True" else "C"
    array = flat.reshape(shape, order=order)
    # As compiled code expects them.
    fits = array.flags.aligned and array.flags.writeable
    return array if fits else array.copy(order=order)


def read_dtype(name):
    """The type of an array's items, by the name that a header has for it."""
    if not isinstance(name, str) or not re.fullmatch(_DTYPE, name):
        raise ValueError(f"{name!r} is not a numeric type that a file may contain")
    return np.dtype(name)
