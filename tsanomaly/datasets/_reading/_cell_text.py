# SPDX-License-Identifier: MIT
"""Cells that are no text yet, written so that the recipe for CSV reads them exactly.

The text has a tab between cells and one line per row, so that lines are rows.
"""

import re

__all__ = ["SEP", "Lines", "write_float", "write_text"]

SEP = "\t"
_BREAKS = re.compile(r"[\t\r\n\0]+")


def write_text(text):
    """A text as a cell, with blanks for line breaks and tabs."""
    text = _BREAKS.sub(" ", text)
    return '"' + text.replace('"', '""') + '"' if '"' in text else text


def write_float(number, decimal):
    """A float as a cell, such that it is read as the same float.

    Parameters
    ----------
    number : float
        The number.
    decimal : {'auto', '.', ','}
        The decimal mark that the text will be read with.

    Returns
    -------
    text : str
        Empty for NaN.
    """
    if number != number:
        return ""
    text = repr(number)
    if text[-4:-3] == ".":
        text += "0"  # else readers may wonder whether 1.234 is a thousand
    return text.replace(".", ",") if decimal == "," else text


class Lines:
    """Lines of a table, no more of them than are allowed.

    Parameters
    ----------
    max_bytes : int
        Bytes that the text may have.
    too_large : callable
        It returns the error to raise if there are more.

    Attributes
    ----------
    lines : list of str
        The rows.
    width : int
        The number of columns.
    """

    def __init__(self, max_bytes, too_large):
        self._max_bytes, self._too_large = max_bytes, too_large
        self._n_bytes = 0
        self.lines, self.width = [], 0

    def add(self, cells):
        """Add a row of texts, the empty ones at its end left out."""
        line = SEP.join(cells).rstrip(SEP)
        self.lines.append(line)
        self.width = max(self.width, line.count(SEP) + 1)
        self._n_bytes += len(line) + 1
        self._check(self._n_bytes)

    def to_bytes(self, n_titles=0):
        """The text in UTF-8, all rows as wide as the widest but some titles on top."""
        missing = [self.width - 1 - line.count(SEP) for line in self.lines]
        missing[:n_titles] = [0] * n_titles
        self._check(self._n_bytes + sum(missing))
        padded = (
            f"{line}{SEP * n}\n" for line, n in zip(self.lines, missing, strict=True)
        )
        return "".join(padded).encode("utf-8", "surrogatepass")

    def _check(self, n_bytes):
        if n_bytes > self._max_bytes:
            raise self._too_large()
