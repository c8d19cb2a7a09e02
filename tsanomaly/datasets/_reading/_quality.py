# SPDX-License-Identifier: MIT
"""Columns that say of each reading of another column whether it is good."""

import re
from collections import Counter

import numpy as np

from tsanomaly._parameter_error import Parameter, ParameterWarning
from tsanomaly.datasets._reading._bounds import GLUE
from tsanomaly.datasets._reading._cells import MISSING, is_number
from tsanomaly.datasets._reading._names import list_names
from tsanomaly.datasets._reading._words import is_known_word, list_counts

__all__ = ["apply_quality"]

_GOOD = frozenset(
    ["good", "ok", "gut", "valid", "g", "(good)", "normal", "gültig", "good quality"]
)
_NOT_GOOD_TEXT = """
bad; uncertain; questionable; substituted; invalid; doubtful; suspect; fail; failed;
error; b; u; q; stale; missing; schlecht; unsicher; ungültig; unknown; not good;
no data; bad quality; comm fail; not connected; i/o timeout
"""
_NOT_GOOD = frozenset(_NOT_GOOD_TEXT.replace("\n", " ").strip().split("; "))
_OPC_GOOD = 192  # and more: the two highest bits of a byte
_WORDS = "quality|qual|status|state|stat|qc|q|flag|validity|valid|qualität|st"
_ALONE = re.compile(rf"(?:{_WORDS})(?:[\W_]*[0-9]+\W*)?", re.IGNORECASE)
_WITH_NAME = re.compile(
    rf"(?P<after>.+?)[\s._:/\\-]*[\s._:/\\(\[-](?:{_WORDS})[)\]]?"
    rf"|(?:{_WORDS})[\s._:/\\-]*[\s._:/\\(\[-](?P<before>.+?)[)\]]?",
    re.IGNORECASE,
)
_VALUE = re.compile(r"[\s._:/\\(\[-]*(?:value|val|pv|reading|wert|v)[)\]]?", re.I)
_MOST_VALUES = 32


def apply_quality(table, channels, quality):
    """Empty readings that are not good, by the columns that say so.

    Parameters
    ----------
    table : Table
        The file, whose messages are added to.
    channels : list of Column
        The channels, and columns of quality.
    quality : 'auto', list of str or None
        As for `read_sensor_csv`.

    Returns
    -------
    channels : list of Column
        Without the columns of quality.

    Raises
    ------
    ValueError
        If a column of quality is not known, or what it says.
    """
    if quality is None:
        return channels
    named = quality if quality != "auto" else _find(channels)
    if not named:
        return channels
    known = {column.name: column for column in channels}
    unknown = [name for name in named if name not in known]
    if unknown:
        raise table.header_fault(
            Parameter("quality", unknown),
            f" are not all among the channels {list_names(known)}.",
        )
    values = [column for column in channels if column.name not in set(named)]
    emptied, words = Counter(), Counter()
    for name in named:
        target = _target(known[name], channels, values)
        if target is None:
            raise table.header_fault(
                f"no channel belongs to the column of quality {name!r}. It is the one "
                "to its left, or has the name without the word for quality. Check ",
                Parameter("quality"),
                ".",
            )
        bad = _find_bad(known[name], words)
        bad = bad[target.starts[bad] < target.ends[bad]]
        target.ends[bad] = target.starts[bad]
        emptied[target.name] += len(bad)
    counts = ", ".join(f"{count:,} of {name!r}" for name, count in emptied.items())
    said = f" ({list_counts(words)})" if words else ""
    table.messages.append(
        ParameterWarning(
            f"{table.path}: {list_names(named)} say whether the readings are good, and "
            f"are no channels. Readings that are not were taken for missing: {counts}"
            f"{said}. If they are channels, pass ",
            Parameter("quality", None),
            ".",
        )
    )
    return values


def _find(channels):
    """Names of the columns that surely are of quality."""
    found = []
    for position, column in enumerate(channels):
        if column.is_empty:
            continue
        is_alone = _ALONE.fullmatch(column.name) is not None
        if not is_alone and not _WITH_NAME.fullmatch(column.name):
            continue
        others = [other for other in channels if other is not column]
        if not is_alone and _by_name(column, others) is None:
            continue
        if is_alone and not (position and _left_of(position, channels)):
            continue
        if _is_vocabulary(column, words_only=is_alone):
            found.append(column.name)
    return found


def _is_vocabulary(column, *, words_only):
    """Whether a column holds words of quality, or codes of OPC, and nothing else."""
    values = set()
    for _, text in column.texts():
        values |= set(text.split(GLUE)) - MISSING
        if len(values) > _MOST_VALUES:
            return False
    if all(map(is_number, values)):
        codes = {float(value.replace(",", ".", 1)) for value in values}
        return not words_only and _are_codes(codes)
    return bool(values) and all(
        _is_good(value) or value.casefold() in _NOT_GOOD or _is_opc_text(value)
        for value in values
    )


def _are_codes(codes):
    """Whether numbers are codes of OPC: bytes, of which one is good."""
    are_bytes = all(code == int(code) and 0 <= code <= 255 for code in codes)
    return are_bytes and any(code >= _OPC_GOOD for code in codes)


def _is_good(word):
    word = word.casefold()
    return word in _GOOD or word.startswith(("good,", "good ", "good:", "good-"))


def _is_opc_text(word):
    """Whether a word is one such as ``Bad, out of service``."""
    return re.match(r"(?:bad|uncertain)\b", word, re.IGNORECASE) is not None


def _find_bad(column, words):
    """Rows that are not good; words for that are counted."""
    cells = column.cells
    values = set(cells) - MISSING
    if all(map(is_number, values)):
        codes = {value: float(value.replace(",", ".", 1)) for value in values}
        least = _OPC_GOOD if _are_codes(codes.values()) else None
        if least is None and not set(codes.values()) <= {0.0, 1.0}:
            raise column.fault(
                0,
                f"the codes {list_names(sorted(values)[:10])} are not those of OPC, of "
                "which 192 and more are good. Leave the column out of ",
                Parameter("quality"),
                ".",
            )
        bad = {value for value, code in codes.items() if code < (least or 1)}
    else:
        bad = {value for value in values if not _is_good(value)}
    rows = [row for row, cell in enumerate(cells) if cell in bad]
    words.update(cells[row] for row in rows)
    return np.array(rows, dtype=np.int64)


def _target(column, channels, values):
    """The channel that a column of quality speaks of."""
    named = _by_name(column, values)
    if named is not None:
        return named
    position = next(i for i, other in enumerate(channels) if other is column)
    left = [other for other in channels[:position] if any(other is v for v in values)]
    return left[-1] if left else None


def _by_name(column, others):
    """The column that has the name of another one, without the word for quality."""
    match = _WITH_NAME.fullmatch(column.name)
    if match is None:
        return None
    name = match["after"] or match["before"]
    for other in others:
        if other.name.casefold() == name.casefold():
            return other
    for other in others:
        rest = other.name[len(name) :]
        if other.name[: len(name)].casefold() == name.casefold() and (
            _VALUE.fullmatch(rest)
        ):
            return other
    return None


def _left_of(position, channels):
    """Whether the column to the left holds readings."""
    cell = channels[position - 1].first_value
    return is_number(cell) or is_known_word(cell)
