# SPDX-License-Identifier: MIT
"""Classify the text of a single cell."""

import re

__all__ = ["MISSING", "NUMBER", "is_number", "is_time_text", "show"]

MISSING = frozenset(
    [
        *("", "nan", "NaN", "NAN", "NA", "N/A", "#N/A", "null", "NULL", "None", "-"),
        *("--", "\\N", "1.#QNAN", "-1.#IND"),
    ]
)
NUMBER = re.compile(
    r"[+-]?(?:[0-9]++(?:\.[0-9]*+)?|\.[0-9]++)(?:[eE][+-]?[0-9]++)?"
    r"|[+-]?(?:nan|inf|infinity)",
    re.IGNORECASE | re.ASCII,
)
_TIME_TEXT = re.compile(
    r"(?:[0-9]{4}[-/.年][0-9]{1,2}[-/.月][0-9]{1,2}日?"
    r"|[0-9]{1,2}[-/. ](?:[0-9]{1,2}|[A-Za-z]{3})[-/. ](?:[0-9]{4}|[0-9]{2}))"
    r"(?:$|[T ,][0-9 ]?[0-9].*)"
    r"|[0-9]{1,2}:[0-9]{2}(?::[0-9]{2}.*)?|[0-9]{8}T[0-9]{4}.*"
)


def is_number(cell):
    """Whether a text is a number, with a decimal point or a comma."""
    return NUMBER.fullmatch(cell.replace(",", ".", 1)) is not None


def is_time_text(cell):
    """Whether a text looks like a date or a time of day."""
    return _TIME_TEXT.fullmatch(cell) is not None


def show(text):
    """Format a cell for messages: quoted, and shortened if it is long."""
    return repr(text if len(text) <= 40 else text[:37] + "...")
