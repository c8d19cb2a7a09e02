# SPDX-License-Identifier: MIT
"""Types of option values, for argparse."""

import argparse
import math
from pathlib import Path

__all__ = [
    "above_zero",
    "at_least_zero",
    "file_or_pipe",
    "fraction",
    "latent_dim",
    "name_or_none",
    "not_empty",
    "not_empty_text",
    "number",
    "rows_or_time",
    "sheet",
    "time_or_none",
    "whole",
    "whole_numbers",
]


def whole(smallest):
    """Make a type of whole numbers with a minimum."""

    def parse(text):
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or value < smallest:
            raise argparse.ArgumentTypeError(
                f"{text!r} is not a whole number of at least {smallest}"
            )
        return value

    return parse


def whole_numbers(text):
    """Read positive whole numbers, separated by commas."""
    try:
        return tuple(map(whole(1), text.split(",")))
    except argparse.ArgumentTypeError as error:
        raise argparse.ArgumentTypeError(
            f"{error}; separate several numbers with commas, as in 16,80,1001"
        ) from error


def file_or_pipe(text):
    """Read the path of a file, or ``-`` for the standard input."""
    return text if text == "-" else Path(text)


def fraction(low, high, closed="neither"):
    """Make a type of numbers within a range."""

    def parse(text):
        value = number(text)
        above = value >= low if closed in ("left", "both") else value > low
        below = value <= high if closed in ("right", "both") else value < high
        if not (above and below):
            raise argparse.ArgumentTypeError(f"{text} is not between {low} and {high}")
        return value

    return parse


def above_zero(text):
    """Read a number above 0."""
    value = number(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def at_least_zero(text):
    """Read a number of at least 0."""
    value = number(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is not at least 0")
    return value


def number(text):
    """Read a finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a finite number")
    return value


def not_empty(text):
    """Read the name of a folder."""
    if not text:
        raise argparse.ArgumentTypeError("the name of the folder is empty")
    return text


def name_or_none(text):
    """Read a name, or "none"."""
    return None if text == "none" else text


def time_or_none(text):
    """Read a duration as text, or "none"."""
    return name_or_none(not_empty_text(text))


def rows_or_time(text):
    """Read a number of rows of at least 1, or a duration as text."""
    try:
        float(text)
    except ValueError:
        return text
    return whole(1)(text)


def sheet(text):
    """Read the number or the name of a sheet."""
    return int(text) if text.isdecimal() else text


def not_empty_text(text):
    """Read a text of at least one character."""
    if not text:
        raise argparse.ArgumentTypeError("the value is empty")
    return text


def latent_dim(text):
    """Read a whole number of at least 1, "none" or "sequence"."""
    if text in ("none", "sequence"):
        return None if text == "none" else text
    return whole(1)(text)
