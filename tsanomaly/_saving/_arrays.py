# SPDX-License-Identifier: MIT
"""Write and read arrays in a small subset of the format of NumPy.

NumPy evaluates the header as a Python literal. Here, the header must match a fixed
pattern, and its shape must agree with the bytes that follow.
"""

import io
import math
import re

import numpy as np

__all__ = ["is_plain", "read_array", "read_dtype", "write_array"]

# Booleans, integers, floats and times, little-endian.
_DTYPE = r"\|[biu]1|<[iu][248]|<f[248]|<M8\[(?:s|ms|us|ns)\]"

_MAGIC = b"\x93NUMPY\x01\x00"

# Header that `numpy.save` writes for such an array.
_HEADER = re.compile(
    rf"\{{'descr': '({_DTYPE})', 'fortran_order': (True|False), "
    r"'shape': \(((?:[0-9]{1,15}, )*(?:[0-9]{1,15},?)?)\), \} *\n"
)

# Maximum number of dimensions. No estimator has more.
_MOST_DIMENSIONS = 8


def is_plain(array):
    """Whether a file can hold an array."""
    return re.fullmatch(_DTYPE, _name(array.dtype)) is not None


def _name(dtype):
    return dtype.newbyteorder("<").str


def write_array(array):
    """Convert an array to bytes.

    Parameters
    ----------
    array : ndarray
        An array for which `is_plain` is True.

    Returns
    -------
    content : bytes
        The array in version 1.0 of the format of NumPy. Arrays in Fortran order keep
        it, because the last digits of a product may depend on it.
    """
    array = np.asarray(array)
    if array.ndim > 1 and not array.flags.c_contiguous:
        # A slice of an array in Fortran order keeps that order.
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
    """Make an array from bytes.

    Parameters
    ----------
    content : bytearray
        Bytes as from `write_array`, which may be damaged or manipulated.

    Returns
    -------
    array : ndarray
        Numbers, booleans or times. It shares the memory of `content`.

    Raises
    ------
    ValueError
        If the header is invalid, or does not agree with the number of bytes.
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
    # Compiled code expects arrays that are aligned and writeable.
    fits = array.flags.aligned and array.flags.writeable
    return array if fits else array.copy(order=order)


def read_dtype(name):
    """Return the dtype with a name as in a header."""
    if not isinstance(name, str) or not re.fullmatch(_DTYPE, name):
        raise ValueError(f"{name!r} is not a numeric type that a file may contain")
    return np.dtype(name)
