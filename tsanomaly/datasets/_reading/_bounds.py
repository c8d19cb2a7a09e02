# SPDX-License-Identifier: MIT
"""Cells by where they start and end in the bytes of a text.

As strings of their own the cells of a file would take eight times its memory, and to
make them would take most of the time. Behind each cell there is another byte.
"""

import numpy as np

__all__ = ["GLUE", "find_bounds", "join_cells", "strip_cells"]

GLUE = "\0"  # between cells that are one text; no text that is read holds it
_FEW = 64  # cells that are joined faster one by one
_BLANK = np.zeros(256, dtype=bool)
_BLANK[list(b" \t\n\v\f\r\x1c\x1d\x1e\x1f")] = True
_MAY_BE_BLANK = _BLANK.copy()
_MAY_BE_BLANK[128:] = True  # of a character beyond ASCII
_USUAL_BLANKS = 32


def find_bounds(text):
    """Bytes of a text, and where its cells are.

    Parameters
    ----------
    text : str
        Cells, joined by GLUE.

    Returns
    -------
    data : bytes
        The text in UTF-8, with a GLUE behind the last cell, too.
    starts, ends : ndarray of int64 of shape (n_cells,)
        Where each cell starts, and where its GLUE is.
    """
    data = f"{text}{GLUE}".encode("utf-8", "surrogatepass")
    ends = np.flatnonzero(np.frombuffer(data, np.uint8) == ord(GLUE))
    return data, np.concatenate([[0], ends[:-1] + 1]), ends


def join_cells(data, starts, ends):
    """Cells as a text, joined by GLUE."""
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
    """Leave out blanks around cells, as str.strip does, in place.

    Parameters
    ----------
    data : bytes
        A text in UTF-8.
    starts, ends : ndarray of int64 of shape (n_cells,)
        Where each cell starts and ends, which is changed.
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
