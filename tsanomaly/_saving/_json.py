# SPDX-License-Identifier: MIT
"""JSON that is counted before it is read."""

import json
import re

import numpy as np

__all__ = ["MOST_DEPTH", "most_values", "read_json", "write_json"]

# Levels of JSON in a file. A pipeline has 12.
MOST_DEPTH = 100

# Possessive, and also without a closing quote: no byte is looked at twice.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)', re.DOTALL)


def most_values(size):
    """How many values the JSON in a file may hold.

    Parameters
    ----------
    size : int
        Bytes of the file. A value takes 100 bytes of memory, so that those of a file of
        4 MB take 60 MB. A pipeline has 500 values, and 20 kB of arrays.
    """
    return 100_000 + size // 8


def write_json(value):
    """JSON of a value, as bytes."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).encode()


def read_json(content, most):
    """Read JSON, unless it holds too much.

    Parameters
    ----------
    content : bytes
        The JSON.
    most : int
        How many values it may hold.

    Returns
    -------
    value : object
        What it says.

    Raises
    ------
    ValueError
        If it is none, has more values, or more than `MOST_DEPTH` levels. Both are known
        before memory is taken for them.
    """
    marks = np.frombuffer(_STRING.sub(b"", content), dtype=np.uint8)
    opening = (marks == ord("{")) | (marks == ord("["))
    closing = (marks == ord("}")) | (marks == ord("]"))
    n_nodes = 1 + int((opening | (marks == ord(","))).sum())
    if n_nodes > most:
        raise ValueError(f"{n_nodes:,} values are more than {most:,}")
    steps = opening[opening | closing].astype(np.int8) * 2 - 1
    depth = int(np.cumsum(steps, dtype=np.int64).max(initial=0))
    if depth > MOST_DEPTH:
        raise ValueError(f"{depth:,} levels are more than {MOST_DEPTH}")
    return json.loads(content, parse_constant=_refuse)


def _refuse(constant):
    raise ValueError(f"{constant} is no JSON")
