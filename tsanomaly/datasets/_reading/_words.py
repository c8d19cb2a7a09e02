# SPDX-License-Identifier: MIT
"""Words among readings: words for bad values and for two states."""

import re
from collections import Counter

import numpy as np

from tsanomaly._parameter_error import Parameter, ParameterWarning
from tsanomaly.datasets._reading._bounds import GLUE
from tsanomaly.datasets._reading._cells import MISSING, NUMBER, show
from tsanomaly.datasets._reading._names import (
    has_machine_name,
    has_tag_name,
    list_names,
    name_without_quality,
)

__all__ = [
    "WordCounts",
    "are_states",
    "is_bad_word",
    "is_known_word",
    "list_counts",
    "no_number_words",
    "read_states",
]

# Words that historians, Home Assistant and spreadsheets write instead of a reading.
_BAD_TEXT = """
bad; bad input; bad value; bad data; bad quality; i/o timeout; io timeout; no data;
nodata; no_data; no result; no value; pt created; pt. created; point created;
shutdown; comm fail; comm failure; comm failed; comm error; comm err; comm timeout;
comm loss; scan off; scan timeout; not connect; not connected; disconnected; no
connection; configure; config error; intf shut; out of serv; out of service; calc
failed; calc fail; calc timeout; calc error; calc off; doubtful; error; err; fail;
failed; invalid; invalid data; invalid float; arc offline; arc off-line; arc off-li;
questionable; uncertain; under range; over range; underrange; overrange;
under_range; over_range; out of range; timeout; time out; timed out; offline;
off-line; unavailable; unknown; undefined; missing; no good; no sample; no sensor;
sensor fail; sensor failure; sensor error; bad total; set to bad; no alarm data; no
lab data; no previous; access denied; filter fail; snapshot; equip fail; wire break;
wirebreak; open circuit; short circuit; ?; ??; ???; **; ***; ****; *****; ##; ###;
####; #####; ######; #######; ########; #value!; #ref!; #div/0!; #num!; #name?;
#null!; #n/a; #n/a n/a; #na; n/a; na; n.a.; n.a; n/v; n.v.; k.a.; nul; nil; none;
null; <null>; <na>; (null); [null]; [-11059]; ---; ----; -----; –; —; ..; ...;
1.#inf; -1.#inf; 1.#ind; -1.#qnan; 1.#snan; -nan(ind); #wert!; #bezug!; #zahl!; #nv;
ungültig; keine daten; no hay datos; 无数据; 坏值
"""
_BAD_WORDS = frozenset(_BAD_TEXT.replace("\n", " ").strip().split("; "))
_MISSING_WORDS = frozenset(word.casefold() for word in MISSING)
# The first word of each pair is 0. True and false cause no warning.
_STATES = (
    ("false", "true"),
    ("off", "on"),
    ("closed", "open"),
    ("close", "open"),
    ("stopped", "running"),
    ("stop", "run"),
    ("stop", "start"),
    ("stopped", "started"),
    ("no", "yes"),
    ("n", "y"),
    ("inactive", "active"),
    ("disabled", "enabled"),
    ("low", "high"),
    ("down", "up"),
    ("aus", "ein"),
    ("aus", "an"),
    ("arrêt", "marche"),
    ("arret", "marche"),
    ("apagado", "encendido"),
    ("zu", "auf"),
    ("nein", "ja"),
    ("not_home", "home"),
    ("unlocked", "locked"),
    ("not detected", "detected"),
    ("clear", "detected"),
)
_STATE_WORDS = frozenset(word for pair in _STATES for word in pair)
_LIMIT = re.compile(r"[<>≤≥]=?\s*[+-]?[0-9]+(?:[.,][0-9]+)?")
_WITH_UNIT = re.compile(r"[+-]?[0-9]++(?:[.,][0-9]++)?\s?[°µ%‰a-zA-Z/³²Ω]{1,8}")
_OTHER_MINUS = re.compile(r"[\u2212\u2013]\s?([0-9]++(?:[.,][0-9]++)*)")
_MINUS_BEHIND = re.compile(r"([0-9]++(?:[.,][0-9]++)*)\s?-")
_QUALITY = frozenset(["good", "uncertain", "questionable", "not good"])
_MOST_LISTED = 10
_MOST_ADVISED = 20  # words to list in the cure


def is_bad_word(cell):
    """Whether a cell is one of the usual words for a bad value."""
    return " ".join(cell.casefold().split()) in _BAD_WORDS


def is_known_word(cell):
    """Whether a cell is a word for a reading or for a missing one."""
    return is_bad_word(cell) or cell.casefold() in _STATE_WORDS


def list_counts(counts):
    """Format words and their counts for messages."""
    listed = counts.most_common(_MOST_LISTED)
    shown = ", ".join(f"{show(word)} ({count:,})" for word, count in listed)
    n_others = len(counts) - len(listed)
    return f"{shown} and {n_others:,} others" if n_others else shown


class WordCounts:
    """Words of a file that were read as readings, and their counts.

    Attributes
    ----------
    bad : Counter
        Words that were read as missing readings.
    states : dict of str to tuple of two str
        Words for 0 and 1, by channel.
    """

    def __init__(self):
        self.bad = Counter()
        self.states = {}

    def messages(self, path):
        """Yield a warning for each kind of words in the file."""
        if self.bad:
            yield ParameterWarning(
                f"{path}: read as missing readings: {list_counts(self.bad)}. Pass "
                "other such words as ",
                Parameter("na_values"),
                ".",
            )
        pairs = {}
        for name, pair in self.states.items():
            pairs.setdefault(pair, []).append(name)
        if pairs:
            meaning = "; ".join(
                f"{show(one)} is 1 and {show(zero)} is 0 in {list_names(names)}"
                for (zero, one), names in pairs.items()
            )
            yield ParameterWarning(
                f"{path}: words were read as numbers: {meaning}. Leave out columns "
                "that are not channels with ",
                Parameter("drop"),
                ".",
            )


def are_states(words):
    """Return the pair of words that mean 0 and 1 in a column, or None.

    Parameters
    ----------
    words : set of str
        Distinct cells of the column without missing readings.
    """
    words = {word.casefold() for word in words if not is_bad_word(word)}
    if not words:
        return None
    return next((pair for pair in _STATES if words <= set(pair)), None)


def read_states(column, found):
    """Read a column of two states as 0 and 1, with NaN where a reading is missing.

    Parameters
    ----------
    column : Column
        A channel.
    found : WordCounts
        Counts of words. The words of the column are added.

    Returns
    -------
    numbers : ndarray of shape (n_rows,) or None
        None if the column holds anything else.
    """
    cells = column.cells
    words = Counter(cells)
    known = {word for word in words if word.casefold() not in _MISSING_WORDS}
    pair = are_states(known)
    if pair is None:
        return None
    meaning = dict(zip(pair, (0.0, 1.0), strict=True))
    for word in known:
        if word.casefold() not in meaning:
            found.bad[word] += words[word]
    if pair != ("false", "true"):
        written = {word.casefold(): word for word in known}
        found.states[column.name] = tuple(written.get(word, word) for word in pair)
    return np.array([meaning.get(cell.casefold(), np.nan) for cell in cells])


def no_number_words(column, row, decimal):
    """Error about unknown words in a channel.

    Parameters
    ----------
    column : Column
        The channel.
    row : int
        First row with such a word.
    decimal : {'.', ','}
        Decimal mark of the file.
    """
    words, bad, n_numbers = Counter(), Counter(), 0
    for _, text in column.texts():
        for cell, count in Counter(text.split(GLUE)).items():
            if NUMBER.fullmatch(cell.replace(decimal, ".", 1)):
                n_numbers += count
            elif cell not in MISSING:
                (bad if is_bad_word(cell) else words)[cell] += count
    cell = column.cells[row]
    first = [word for word, _ in words.most_common(_MOST_ADVISED)]
    cure = Parameter("na_values", first[0] if len(first) == 1 else first)
    limits = [word for word in words if _LIMIT.fullmatch(word)]
    if limits:
        return column.fault(
            row,
            f"{show(cell)} is not a number: the column contains {list_counts(words)}. "
            f"A reading such as {show(limits[0])} is beyond the detection limit of the "
            "instrument. To read these as missing, pass ",
            cure,
            "; to use the limit itself, replace them with it in the file.",
        )
    with_units = [word for word in words if _WITH_UNIT.fullmatch(word)]
    if len(with_units) == len(words):
        return column.fault(
            row,
            f"{show(cell)} is a number followed by a unit: the column contains "
            f"{list_counts(words)}. Write the unit into the name of the column, "
            "and remove it from the cells, or leave the column out with ",
            Parameter("drop"),
            ".",
        )
    for pattern, where in (
        (_OTHER_MINUS, "a minus sign other than '-'"),
        (_MINUS_BEHIND, "a minus sign at the end"),
    ):
        if match := pattern.fullmatch(cell):
            return column.fault(
                row,
                f"{show(cell)} is a number with {where}, which is not supported. Write "
                f"{show('-' + match[1])} in the file, and similar numbers in the same "
                "way.",
            )
    has_word = any(word.casefold() in _QUALITY for word in words)
    if not n_numbers and (has_word or name_without_quality(column.name) is not None):
        return column.fault(
            row,
            f"{show(cell)} is not a number: the column holds nothing but words, "
            f"{list_counts(words + bad)}. If it says of the readings in another column "
            "whether they are good, pass ",
            Parameter("quality", [column.name]),
            "; otherwise write its states as numbers, or leave it out with ",
            Parameter("drop", column.name),
            ".",
        )
    is_named = has_tag_name(column.name) or has_machine_name(column.name)
    is_repeated = sum(words.values()) > len(words)
    if not n_numbers and len(words) > 1 and (is_named or is_repeated):
        parts = [
            f"{show(cell)} is not a number: the column holds nothing but words, "
            f"{list_counts(words)}. If it names sensors, the table is in long format: "
            "pass the column with the one of their readings as ",
            Parameter("long"),
            "; if it names machines, pass ",
            Parameter("by", column.name),
        ]
        if not is_named:
            parts += [
                "; if it only comments on the rows, leave it out with ",
                Parameter("drop", column.name),
            ]
        return column.fault(row, *parts, ".")
    if not n_numbers:
        missing = ()
        if len(words) <= _MOST_ADVISED:
            missing = ("; if they stand for missing readings, pass ", cure)
        return column.fault(
            row,
            f"{show(cell)} is not a number: the column holds nothing but words, "
            f"{list_counts(words)}. Leave it out with ",
            Parameter("drop", column.name),
            *missing,
            ".",
        )
    return column.fault(
        row,
        f"{show(cell)} is not a number. The words of the column are "
        f"{list_counts(words)}. If they stand for missing readings, pass ",
        cure,
        ". Otherwise correct the cells, or leave the column out with ",
        Parameter("drop"),
        ".",
    )
