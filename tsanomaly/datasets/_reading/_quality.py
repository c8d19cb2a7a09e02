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
_WORD_TEXT = "quality qual status state stat qc q flag validity valid qualität st"
_WORDS = frozenset(_WORD_TEXT.split())
_VALUE_WORDS = frozenset(["value", "val", "pv", "reading", "wert", "v"])
_SEPARATORS = re.compile(r"[\s._:/\\()\[\]-]+")
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
    not_values = set(named)
    unknown = [name for name in named if name not in known]
    if unknown:
        raise table.header_fault(
            Parameter("quality", unknown),
            f" are not all among the channels {list_names(known)}.",
        )
    values = [column for column in channels if column.name not in not_values]
    targets = _targets(channels, not_values)
    emptied, words = Counter(), Counter()
    for name in named:
        target = targets[name]
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
            f"{table.path}: taken for the quality of readings, and left out of the "
            f"channels: {list_names(named)}. Readings that are not good were read as "
            f"missing ones: {counts}{said}. If they are channels, pass ",
            Parameter("quality", None),
            ".",
        )
    )
    return values


def _find(channels):
    """Names of the columns that surely are of quality."""
    found, by_name = [], _values_by_name(channels)
    for position, column in enumerate(channels):
        base = _base_of(column.name)
        if base is None or column.is_empty:
            continue
        has_value = position and _are_readings(channels[position - 1])
        if base not in by_name and (base or not has_value):
            continue
        # Codes in a column named Status may be others, of the machine.
        is_named = bool(base) or "qual" in column.name.casefold()
        if _is_vocabulary(column, words_only=not is_named):
            found.append(column.name)
    return found


def _base_of(name):
    """A name without the word for quality, or None if there is none in it."""
    parts = _parts_of(name)
    if not parts:
        return None
    if parts[0] in _WORDS and all(part.isdecimal() for part in parts[1:]):
        return ""
    if parts[-1] in _WORDS:
        return " ".join(parts[:-1])
    return " ".join(parts[1:]) if parts[0] in _WORDS else None


def _parts_of(name):
    return [part for part in _SEPARATORS.split(name.casefold()) if part]


def _values_by_name(channels):
    """Columns by their names, and by these without a word for value."""
    by_name = {}
    for column in channels:
        parts = _parts_of(column.name)
        by_name.setdefault(" ".join(parts), column)
        if len(parts) > 1 and parts[-1] in _VALUE_WORDS:
            by_name.setdefault(" ".join(parts[:-1]), column)
    return by_name


def _targets(channels, not_values):
    """The channel that each column of quality speaks of, by the name of the latter."""
    values = [column for column in channels if column.name not in not_values]
    by_name, targets, left = _values_by_name(values), {}, None
    for column in channels:
        if column.name in not_values:
            targets[column.name] = by_name.get(_base_of(column.name), left)
        elif _are_readings(column) or left is None:
            left = column
    return targets


def _are_readings(column):
    """Whether the first value of a column is a reading, or a word for one."""
    cell = column.first_value
    return is_number(cell) or is_known_word(cell)


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
