# SPDX-License-Identifier: MIT
"""Write cells of workbooks and Parquet files as text, which is then read like CSV.

The text has tabs between cells and one line per row, so that line numbers are row
numbers. Numbers keep their exact value.
"""

import re

__all__ = ["SEP", "Lines", "write_float", "write_text"]

SEP = "\t"
_BREAKS = re.compile(r"[\t\r\n\0]+")


def write_text(text):
    """Write a text as a cell, with spaces in place of line breaks and tabs."""
    text = _BREAKS.sub(" ", text)
    return '"' + text.replace('"', '""') + '"' if '"' in text else text


def write_float(number, decimal):
    """Write a float as a cell that is read back as the same float.

    Parameters
    ----------
    number : float
        The number.
    decimal : {'auto', '.', ','}
        Decimal mark with which the text will be read.

    Returns
    -------
    text : str
        Empty for NaN.
    """
    if number != number:
        return ""
    text = repr(number)
    if text[-4:-3] == ".":
        text += "0"  # otherwise, 1.234 may be taken for one thousand
    return text.replace(".", ",") if decimal == "," else text


class Lines:
    """Lines of a table, up to a limit on their size.

    Parameters
    ----------
    max_bytes : int
        Limit on the bytes of the text.
    too_large : callable
        Returns the error to raise if the text exceeds the limit.

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
        """Add a row of cells, without the empty ones at its end."""
        line = SEP.join(cells).rstrip(SEP)
        self.lines.append(line)
        self.width = max(self.width, line.count(SEP) + 1)
        self._n_bytes += len(line) + 1
        self._check(self._n_bytes)

    def to_bytes(self, n_titles=0):
        """Return the text in UTF-8, with all rows below the titles of equal width."""
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
