# SPDX-License-Identifier: MIT
"""Read JSON, after counting what it contains."""

import json
import re

import numpy as np

__all__ = ["MOST_DEPTH", "read_json", "write_json"]

# Maximum nesting depth. A pipeline has 12 levels.
MOST_DEPTH = 100

# Maximum number of values (plus one for every 8 bytes of the file) and of bytes of JSON
# (plus 4 for every byte of the file). A value takes 100 bytes of memory, so the values
# of a file of 4 MB take at most 60 MB. A pipeline has 500 values, and 20 kB of arrays.
_MOST_VALUES, _LONGEST = 100_000, 1_000_000

_LONG_NUMBER = re.compile(rb"[-+.0-9eE]{40}")

# Possessive, and also matches without a closing quote, so that no byte is read twice.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)


def write_json(value):
    """Convert a value to JSON, as bytes."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


def read_json(content, size):
    """Read JSON of limited size.

    Parameters
    ----------
    content : bytes or bytearray
        The JSON.
    size : int
        Size of the file in bytes, which limits the length and the number of values.

    Returns
    -------
    value : object
        The decoded value.

    Raises
    ------
    ValueError
        If the content is not JSON, exceeds the limits of its size, or has more than
        `MOST_DEPTH` levels. Limits are checked before values take memory.
    """
    longest = _LONGEST + 4 * size
    if len(content) > longest or not content.isascii():
        raise ValueError(f"{len(content):,} bytes of JSON are not {longest:,} of ASCII")
    outside = _STRING.sub(b"", content)
    if _LONG_NUMBER.search(outside):
        raise ValueError("a number has too many digits")
    marks = np.frombuffer(outside, dtype=np.uint8)
    opening = (marks == ord("{")) | (marks == ord("["))
    closing = (marks == ord("}")) | (marks == ord("]"))
    n_nodes = 1 + int((opening | (marks == ord(","))).sum())
    if n_nodes > _MOST_VALUES + size // 8:
        raise ValueError(f"{n_nodes:,} values are too many for {size:,} bytes")
    steps = opening[opening | closing].astype(np.int8) * 2 - 1
    depth = int(np.cumsum(steps, dtype=np.int64).max(initial=0))
    if depth > MOST_DEPTH:
        raise ValueError(f"{depth:,} levels are more than {MOST_DEPTH}")
    return json.loads(content, parse_constant=_refuse)


def _refuse(constant):
    raise ValueError(f"{constant} is not JSON")
