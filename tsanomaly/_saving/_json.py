# SPDX-License-Identifier: MIT
"""JSON that is counted before it is read."""

import json
import re

import numpy as np

__all__ = ["MOST_DEPTH", "read_json", "write_json"]

# Levels of JSON in a file. A pipeline has 12.
MOST_DEPTH = 100

# Values, beside one for every 8 bytes of the file, and bytes, beside 4 for every one. A
# value takes 100 bytes of memory, so that those of a file of 4 MB take 60 MB. A
# pipeline has 500 values, and 20 kB of arrays.
_MOST_VALUES, _LONGEST = 100_000, 1_000_000

_LONG_NUMBER = re.compile(rb"[-+.0-9eE]{40}")

# Possessive, and also without a closing quote: no byte is looked at twice.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)


def write_json(value):
    """JSON of a value, as bytes."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


def read_json(content, size):
    """Read JSON, unless it holds too much.

    Parameters
    ----------
    content : bytes or bytearray
        The JSON.
    size : int
        Bytes of the file that it is from, which limit its values and its length.

    Returns
    -------
    value : object
        What it says.

    Raises
    ------
    ValueError
        If it is none, or holds more than its size allows, or more than `MOST_DEPTH`
        levels. All is counted before memory is taken for it.
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
