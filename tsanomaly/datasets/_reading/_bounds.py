# SPDX-License-Identifier: MIT
"""Cells as start and end positions in the bytes of a text.

Separate strings for all cells would take eight times the memory of the file, and most
of the time to read it. Every cell is followed by at least one more byte.
"""

import numpy as np

__all__ = ["GLUE", "find_bounds", "join_cells", "strip_cells"]

GLUE = "\0"  # joins cells into one text; the text of a file never contains it
_FEW = 64  # up to this many cells, a loop is faster
_BLANK = np.zeros(256, dtype=bool)
_BLANK[list(b" \t\n\v\f\r\x1c\x1d\x1e\x1f")] = True
_MAY_BE_BLANK = _BLANK.copy()
_MAY_BE_BLANK[128:] = True  # bytes of characters outside ASCII
_USUAL_BLANKS = 32


def find_bounds(text):
    """Encode a text, and find its cells.

    Parameters
    ----------
    text : str
        Cells, joined by GLUE.

    Returns
    -------
    data : bytes
        The text in UTF-8, with GLUE after every cell, including the last one.
    starts, ends : ndarray of int64 of shape (n_cells,)
        Positions of the first byte of each cell and of the GLUE after it.
    """
    data = f"{text}{GLUE}".encode("utf-8", "surrogatepass")
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord(GLUE))
    return data, np.concatenate([[0], ends[:-1] + 1]), ends


def join_cells(data, starts, ends):
    """Return cells as one text, joined by GLUE."""
    if len(starts) <= _FEW:
        pairs = zip(starts.tolist(), ends.tolist(), strict=True)
        joined = GLUE.encode().join([data[start:end] for start, end in pairs])
    else:
        lengths = (ends - starts).astype(np.int64) + 1
        stops = np.cumsum(lengths)
        moves = np.repeat(starts - (stops - lengths), lengths)
        codes = np.frombuffer(data, np.uint8).take(moves + np.arange(len(moves)))
        codes[stops - 1] = ord(GLUE)
        joined = codes[:-1].tobytes()
    return joined.decode("utf-8", "surrogatepass")


def strip_cells(data, starts, ends):
    """Strip blanks from cells in place, as str.strip does.

    Parameters
    ----------
    data : bytes
        A text in UTF-8.
    starts, ends : ndarray of int64 of shape (n_cells,)
        Start and end of each cell. Both arrays are modified.
    """
    codes = np.frombuffer(data, np.uint8)
    for bounds, edges, step in ((starts, starts, 1), (ends, ends - 1, -1)):
        cells = np.flatnonzero((starts < ends) & _BLANK.take(codes.take(edges)))
        for _ in range(_USUAL_BLANKS):
            if not len(cells):
                break
            bounds[cells] += step
            edge = codes.take(bounds[cells] - (step < 0))
            cells = cells[(starts[cells] < ends[cells]) & _BLANK.take(edge)]
    first, last = codes.take(starts), codes.take(ends - 1)
    rest = (starts < ends) & (_MAY_BE_BLANK.take(first) | _MAY_BE_BLANK.take(last))
    for cell in np.flatnonzero(rest):
        text = data[starts[cell] : ends[cell]].decode("utf-8", "surrogatepass")
        text = text.lstrip()
        starts[cell] = ends[cell] - len(text.encode("utf-8", "surrogatepass"))
        text = text.rstrip()
        ends[cell] = starts[cell] + len(text.encode("utf-8", "surrogatepass"))
