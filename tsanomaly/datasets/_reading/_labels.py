# SPDX-License-Identifier: MIT
"""Find label columns, and read labels from text."""

import re
from collections import Counter

import numpy as np

from tsanomaly._parameter_error import Parameter, ParameterWarning
from tsanomaly.datasets._reading._bounds import GLUE
from tsanomaly.datasets._reading._cells import MISSING, NUMBER, show
from tsanomaly.datasets._reading._names import (
    has_label_word,
    has_only_label_words,
    is_label_name,
    list_names,
)
from tsanomaly.datasets._reading._time_formats import kind_of_times

__all__ = ["find_label_columns", "read_labels"]

_MISSING_WORDS = frozenset(word.casefold() for word in MISSING)
_NORMAL_WORDS = frozenset(["normal", "no", "false", "ok", "good"])
_VOCABULARIES = (
    {"false": 0, "true": 1},
    {"no": 0, "yes": 1},
    {"normal": 0, "attack": 1, "a ttack": 1},  # a typo in the data set SWaT
    {"normal": 0, "anomaly": 1},
)
_LABEL_NUMBER = re.compile(r"([01])(?:[.]0*|,0+)?")


def find_label_columns(table, time_names):
    """Find the label columns by their names, with a warning unless they are certain.

    Parameters
    ----------
    table : Table
        The file. Warnings are added to its messages.
    time_names : list of str
        Names of time columns, which may contain a label word.

    Returns
    -------
    names : list of str
        The label columns.

    Raises
    ------
    ValueError
        If all words of a name mean labels, and the values may be labels of an unknown
        kind.
    """
    names, by_word, channels = [], [], []
    for column in table.columns:
        if is_label_name(column.name):
            names.append(column.name)
        elif column.name in time_names or not has_label_word(column.name):
            continue
        elif not has_only_label_words(column.name):
            # The name may be that of a sensor, such as label_printer_on.
            if _hold_labels(column):
                channels.append(column.name)
        elif _are_labels(column):
            names.append(column.name)
            by_word.append(column.name)
    if by_word:
        table.messages.append(
            ParameterWarning(
                f"{table.path}: read as labels because of their names, not as "
                f"channels: {list_names(by_word)}. If they are channels, pass ",
                Parameter("label", None),
                ", or the names of the label columns as ",
                Parameter("label"),
                ".",
            )
        )
    if channels:
        table.messages.append(
            ParameterWarning(
                f"{table.path}: read as channels, although their names contain a word "
                f"for labels: {list_names(channels)}. If they are labels, pass ",
                Parameter("label", channels[0]),
                *((" (for example)",) if len(channels) > 1 else ()),
                "; if they are not, pass ",
                Parameter("label", None),
                ".",
            )
        )
    return names


def _few_values(column):
    """Return the values of a column, or an empty set if too many for labels."""
    values = set()
    for _, text in column.texts():
        values |= set(text.split(GLUE)) - MISSING
        if len(values) > 5:
            return set()
    return values


def _hold_labels(column):
    """Whether the values of a column can be read as labels."""
    if not _few_values(column):
        return False
    try:
        # A column of ones is more likely some code than anomalies only.
        return 0 in read_labels(column, any_words=False)
    except ValueError:
        return False


def _are_labels(column):
    """Whether a column with the name of a label holds labels."""
    values = _few_values(column)
    if not values or kind_of_times(column, named=False):
        return False
    if _hold_labels(column):
        return True
    if len(values) > 2:
        return False
    raise column.fault(
        0,
        f"the name of the column suggests labels, but {list_names(sorted(values))} are "
        "not labels (0 and 1, 1 = anomaly). Replace the values, or leave the column "
        "out with ",
        Parameter("drop"),
        "; if it is a channel, pass the names of the label columns as ",
        Parameter("label"),
        ", or ",
        Parameter("label", None),
        " if there are none.",
    )


def read_labels(column, any_words):
    """Read a column of labels.

    Parameters
    ----------
    column : Column
        A column of text.
    any_words : bool
        Whether to read unknown words as anomalies.

    Returns
    -------
    labels : ndarray of int64 of shape (n_timestamps,)
        1 = anomaly.

    Raises
    ------
    ValueError
        If a cell is not a label.
    """
    words = [cell.casefold() for cell in column.cells]
    counts = Counter(words)
    numbers = {word: _LABEL_NUMBER.fullmatch(word) for word in counts}
    if all(numbers.values()):
        meaning = {word: int(match[1]) for word, match in numbers.items()}
    else:
        meaning = max(
            _VOCABULARIES,
            key=lambda vocabulary: sum(counts[word] for word in vocabulary),
        )
        if not meaning.keys() & numbers.keys():
            meaning = {word: int(match[1]) for word, match in numbers.items() if match}
    is_number = {word: bool(NUMBER.fullmatch(word)) for word in numbers}
    if any_words and not all(is_number.values()):
        meaning = {
            word: int(word not in _NORMAL_WORDS and not (match and match[1] == "0"))
            for word, match in numbers.items()
            if match or not (is_number[word] or word in _MISSING_WORDS)
        }
        if 0 not in meaning.values():
            raise column.fault(
                0,
                f"{show(column.first)} and the other values are not labels: none of "
                "them means normal. A label column of words must contain normal, no, "
                "false, ok, good or 0; every other word is an anomaly.",
            )
    if not counts.keys() <= meaning.keys():
        row = next(row for row, word in enumerate(words) if word not in meaning)
        raise column.fault(
            row,
            f"{show(column.cells[row])} is not a label: labels are 0 and 1 (false "
            "and true, no and yes, normal and attack or anomaly), of one kind in a "
            "column, and none may be missing. Replace the values, pass ",
            Parameter("label", None),
            " if the column is a channel, or leave it out with ",
            Parameter("drop"),
            ". If the name of the column is passed as ",
            Parameter("label"),
            ", words that do not mean normal are anomalies.",
        )
    return np.fromiter(map(meaning.__getitem__, words), np.int64, len(words))
