# SPDX-License-Identifier: MIT
"""Columns that rate the readings of another column."""

import re
from collections import Counter

import numpy as np

from tsanomaly._parameter_error import Parameter, ParameterWarning
from tsanomaly.datasets._reading._bounds import GLUE
from tsanomaly.datasets._reading._cells import MISSING, is_number
from tsanomaly.datasets._reading._names import (
    list_names,
    name_without_quality,
    parts_of_name,
)
from tsanomaly.datasets._reading._words import (
    is_bad_word,
    is_known_word,
    list_counts,
)

__all__ = ["apply_quality", "find_quality"]

_GOOD = frozenset(
    ["good", "ok", "gut", "valid", "g", "(good)", "normal", "gültig", "good quality"]
)
# A column whose name does not say quality must contain at least one of these words:
# normal and fail may also be states of a machine.
_SURE_TEXT = """
good; bad; uncertain; questionable; substituted; gut; schlecht; unsicher; (good); not
good; good quality; bad quality
"""
_SURE = frozenset(_SURE_TEXT.replace("\n", " ").strip().split("; "))
_NOT_GOOD_TEXT = """
bad; uncertain; questionable; substituted; invalid; doubtful; suspect; fail; failed;
error; b; u; q; stale; missing; schlecht; unsicher; ungültig; unknown; not good;
no data; bad quality; comm fail; not connected; i/o timeout
"""
_NOT_GOOD = frozenset(_NOT_GOOD_TEXT.replace("\n", " ").strip().split("; "))
_OPC_GOOD = 192  # or more: both high bits of the byte are set
_BYTES = frozenset(range(256))
_OPC_CODES = frozenset(  # the two low bits tell whether a limit was reached
    code + limit
    for code in (*range(0, 36, 4), 64, 68, 80, 84, 88, _OPC_GOOD, 216)
    for limit in range(4)
)
_VALUE_WORDS = frozenset(["value", "val", "pv", "reading", "wert", "v"])
_MOST_VALUES = 32


def find_quality(table, channels, quality):
    """Find the quality columns.

    Parameters
    ----------
    table : Table
        The file.
    channels : list of Column
        Channels and quality columns.
    quality : 'auto', list of str or None
        As for `read_sensor_csv`.

    Returns
    -------
    names : list of str
        The quality columns.

    Raises
    ------
    ValueError
        If a column that the user names does not exist.
    """
    if quality is None:
        return []
    if quality == "auto":
        return _find(channels)
    known = {column.name for column in channels}
    unknown = [name for name in quality if name not in known]
    if unknown:
        raise table.header_fault(
            Parameter("quality", unknown),
            " are not all among the channels "
            f"{list_names(column.name for column in channels)}.",
        )
    return list(quality)


def apply_quality(table, channels, named, value, *, is_told):
    """Empty the readings that are not good according to quality columns.

    Parameters
    ----------
    table : Table
        The file. A warning is added to its messages.
    channels : list of Column
        Channels and quality columns. Cells of channels are emptied.
    named : list of str
        The quality columns.
    value : Column or None
        The readings of a table in long format, which all quality columns rate.
    is_told : bool
        Whether the user named the quality columns.

    Raises
    ------
    ValueError
        If the channel or the codes of a quality column are ambiguous.
    """
    if not named:
        return
    known = {column.name: column for column in channels}
    if value is None:
        if not is_told:
            _refuse_single(table, channels, named)
        targets = _targets(channels, set(named))
    else:
        targets = dict.fromkeys(named, value)
    emptied, words = Counter(), Counter()
    for name in named:
        target = targets[name]
        if target is None:
            raise table.header_fault(
                f"no channel belongs to the quality column {name!r}. The channel must "
                "be to its left, or have its name without the word for quality. Check "
                "",
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
            f"{table.path}: read as the quality of readings, not as channels: "
            f"{list_names(named)}. Readings that are not good were read as missing: "
            f"{counts}{said}. If the columns are channels, pass ",
            Parameter("quality", None),
            ".",
        )
    )


def _find(channels):
    """Return the names of columns that are certainly quality columns."""
    by_name, candidates = _values_by_name(channels), []
    for column in channels:
        base = name_without_quality(column.name)
        if base is None or column.is_empty or (base and base not in by_name):
            continue
        others = (other for other in channels if other is not column)
        if base or any(map(_are_readings, others)):
            candidates.append(column)
    found = {column.name for column in candidates if _is_vocabulary(column)}
    if found:
        found |= {
            column.name
            for column in candidates
            if _says_quality(column.name) and _are_opc(column)
        }
    return [column.name for column in channels if column.name in found]


def _refuse_single(table, channels, named):
    """Raise if a single quality column may rate any of several sensors."""
    bare = [name for name in named if name_without_quality(name) == ""]
    values = [column for column in channels if column.name not in named]
    is_outside = len(bare) == 1 and bare[0] in (channels[0].name, channels[-1].name)
    if not is_outside or len(values) < 2:
        return
    last = _targets(channels, set(named))[bare[0]]
    raise table.header_fault(
        f"{bare[0]!r} contains words or codes of quality, but it is not clear for "
        f"which of the {len(values):,} channels. If it rates {last.name!r} only, pass ",
        Parameter("quality", bare),
        "; otherwise leave it out with ",
        Parameter("drop", bare[0]),
        ".",
    )


def _says_quality(name):
    """Whether a name says quality, not just status."""
    return any(part.startswith("qual") for part in parts_of_name(name))


def _says_validity(name):
    """Whether a name says validity, for which 1 is good."""
    return any(part.startswith("valid") for part in parts_of_name(name))


def _values_by_name(channels):
    """Map names, with and without a word for value, to columns."""
    by_name = {}
    for column in channels:
        parts = parts_of_name(column.name)
        by_name.setdefault(" ".join(parts), column)
        if len(parts) > 1 and parts[-1] in _VALUE_WORDS:
            by_name.setdefault(" ".join(parts[:-1]), column)
    return by_name


def _targets(channels, not_values):
    """Map the name of each quality column to the channel that it rates."""
    values = [column for column in channels if column.name not in not_values]
    by_name, targets, left = _values_by_name(values), {}, None
    first = channels[0].name
    if first in not_values and name_without_quality(first) == "":
        channels = channels[::-1]  # quality is to the left of the readings
    for column in channels:
        if column.name in not_values:
            targets[column.name] = by_name.get(name_without_quality(column.name), left)
        elif _are_readings(column) or left is None:
            left = column
    return targets


def _are_readings(column):
    """Whether the first value of a column is a number or a word for a reading."""
    cell = column.first_value
    return is_number(cell) or is_known_word(cell)


def _values_of(column):
    """Return the distinct values of a column with their counts, or none if too many."""
    values = Counter()
    for _, text in column.texts():
        values.update(text.split(GLUE))
        if len(values) > _MOST_VALUES + len(MISSING):
            return Counter()
    return Counter({key: n for key, n in values.items() if key not in MISSING})


def _is_vocabulary(column):
    """Whether all values of a column are words for quality or OPC codes."""
    values, says_quality = _values_of(column), _says_quality(column.name)
    if not values:
        return False
    if all(map(is_number, values)):
        codes = Counter()
        for value, count in values.items():
            codes[_code(value)] += count
        if not codes.keys() <= _OPC_CODES:
            return False
        n_good = codes[_OPC_GOOD] + codes[216]
        if not says_quality:
            if _says_validity(column.name) and codes.keys() <= {0, 1, 2}:
                return 2 * codes[1] >= codes.total()  # as written by WinCC
            return 2 * n_good >= codes.total()
        # A name such as TI1_Quality is certain, even if all codes are bad.
        is_bad_day = name_without_quality(column.name) and all(
            code % 4 == 0 for code in codes
        )
        return bool(n_good or is_bad_day or codes.keys() <= {0, 1})
    words = {value.casefold() for value in values}
    if not says_quality and not any(
        word in _SURE or _is_opc_text(word) or word.startswith("good") for word in words
    ):
        return False
    return all(
        _is_good(word) or word in _NOT_GOOD or is_bad_word(word) or _is_opc_text(word)
        for word in words
    )


def _are_opc(column):
    """Whether all values of a column are OPC codes."""
    values = _values_of(column)
    numbers = all(map(is_number, values))
    return bool(values) and numbers and {*map(_code, values)} <= _OPC_CODES


def _code(value):
    return float(value.replace(",", ".", 1))


def _is_good(word):
    word = word.casefold()
    return word in _GOOD or word.startswith(("good,", "good ", "good:", "good-"))


def _is_opc_text(word):
    """Whether a text is like ``Bad, out of service``."""
    return re.match(r"(?:bad|uncertain)\b", word, re.IGNORECASE) is not None


def _find_bad(column, words):
    """Return the rows that are not good, and add their values to the counts."""
    cells = column.cells
    values = set(cells) - MISSING
    if all(map(is_number, values)):
        codes = {value: _code(value) for value in values}
        are_flags = set(codes.values()) <= {0, 1}
        if not are_flags and not set(codes.values()) <= _BYTES:
            raise column.fault(
                0,
                f"the codes {list_names(sorted(values)[:10])} are not OPC codes, of "
                "which 192 and more are good. Leave the column out of ",
                Parameter("quality"),
                ".",
            )
        if _says_validity(column.name) and set(codes.values()) <= {0, 1, 2}:
            bad = {value for value, code in codes.items() if code != 1}
        else:
            least = 1 if are_flags else _OPC_GOOD
            bad = {value for value, code in codes.items() if code < least}
    else:
        bad = {value for value in values if not _is_good(value)}
    rows = [row for row, cell in enumerate(cells) if cell in bad]
    words.update(cells[row] for row in rows)
    return np.array(rows, dtype=np.int64)
