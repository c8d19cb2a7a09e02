# SPDX-License-Identifier: MIT
"""The column that names the machine of each row."""

import re
from dataclasses import replace

import numpy as np

from tsanomaly._parameter_error import Parameter, ParameterError, ParameterWarning
from tsanomaly.datasets._reading._cells import MISSING, show
from tsanomaly.datasets._reading._long import (
    are_unique,
    holds_text,
    list_keys,
    repeated_times,
)
from tsanomaly.datasets._reading._names import (
    advise_on_case,
    is_machine_name,
    list_names,
)
from tsanomaly.datasets._reading._times import Times, irregularities

__all__ = [
    "SeveralMachinesError",
    "irregularities_of_machines",
    "look_for_machines",
    "take_machines",
]

_WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")
_FIRST_WHOLE = re.compile(r"[0-9]{1,9}")
_MOST_NUMBERED = 1_000  # machines


class SeveralMachinesError(ParameterError):
    """Error for a table in which rows of the same time belong to several machines.

    Parameters
    ----------
    column : Column
        The names of the machines.
    n_machines : int
        Number of machines.
    *parts : str or Parameter
        The message.

    Attributes
    ----------
    column : str
        Name of the column.
    n_machines : int
    """

    def __init__(self, column, n_machines, *parts):
        super().__init__(f"{column.place(0)}: ", *parts)
        self.column = column.name
        self.n_machines = n_machines


def take_machines(table, by, label_names):
    """Take the names of machines out of a table.

    Parameters
    ----------
    table : Table
        The file.
    by : str or None
        As for `read_sensor_csv`.
    label_names : list of str
        The label columns.

    Returns
    -------
    names : ndarray of shape (n_rows,) or None
        Integers or text.

    Raises
    ------
    ValueError
        If the column does not exist, or a row has no name.
    """
    if by is None:
        return None
    if by not in table.names or by in label_names:
        raise table.header_fault(
            Parameter("by", by),
            f" is not among the columns {list_names(table.names)} that are not labels."
            f"{'' if by in table.names else advise_on_case(by, table.names)}",
        )
    (column,) = table.select([by])
    cells = column.cells
    if not MISSING.isdisjoint(cells):
        row = next(row for row, cell in enumerate(cells) if cell in MISSING)
        raise column.fault(
            row, "the name of the machine is missing. Complete the line, or delete it."
        )
    table.columns = [other for other in table.columns if other is not column]
    if all(map(_WHOLE.fullmatch, set(cells))):
        return np.array(cells).astype(np.int64)
    return np.array(cells, dtype=object)


def look_for_machines(table, channels, times):
    """Raise or warn if rows of the same time belong to several machines.

    Parameters
    ----------
    table : Table
        The file. Warnings are added to its messages.
    channels : list of Column
        The channels.
    times : Times or None
        Times of the rows.
    """
    if times is None or len(channels) < 2:
        return
    codes, are_repeated = repeated_times(times)
    if not are_repeated:
        _warn_of_numbers(table, channels)
        return
    texts = [column for column in channels if holds_text(column)]
    candidates = texts or [
        column for column in channels if _FIRST_WHOLE.fullmatch(column.first_value)
    ]
    for column, names, keys in list_keys(candidates):
        if len(keys) < 2 or not are_unique(codes, names):
            continue
        shown = list_names(keys[:3]) + (", …" if len(keys) > 3 else "")
        if texts:
            raise SeveralMachinesError(
                column,
                len(keys),
                f"{show(column.first)} is not a reading: the column seems to name "
                f"{len(keys):,} machines ({shown}), which have rows with the same "
                "times. To read one series per machine, pass ",
                Parameter("by", column.name),
                "; if it names sensors, pass it with the column of their readings as ",
                Parameter("long"),
                ".",
            )
        table.messages.append(
            ParameterWarning(
                f"{table.path}: {column.name!r} was read as a channel, but may name "
                f"{len(keys):,} machines ({shown}), which have rows with the same "
                "times. If so, pass ",
                Parameter("by", column.name),
                ".",
            )
        )
        return
    if not texts:
        _warn_of_numbers(table, channels)


def _warn_of_numbers(table, channels):
    """Warn of a channel of few distinct integers that is named like machines."""
    named = [column for column in channels if is_machine_name(column.name)]
    for column, _, keys in list_keys(named):
        if (
            1 < len(keys) <= _MOST_NUMBERED
            and all(map(_FIRST_WHOLE.fullmatch, keys))
            and not {*map(int, keys)} <= {0, 1}  # the state of a pump
        ):
            shown = list_names(keys[:3]) + (", …" if len(keys) > 3 else "")
            table.messages.append(
                ParameterWarning(
                    f"{table.path}: {column.name!r} was read as a channel, but its "
                    "name suggests the number of a machine, and it contains "
                    f"{len(keys):,} different numbers ({shown}). If it names machines, "
                    "pass ",
                    Parameter("by", column.name),
                    "; if it is not a reading, leave it out with ",
                    Parameter("drop", column.name),
                    ".",
                )
            )
            return


def irregularities_of_machines(table, times, machines):
    """Yield warnings about the times of the machines.

    For every kind of irregularity, the warning describes the first machine in full.
    """
    import pandas as pd

    codes, names = pd.factorize(machines)
    order = np.argsort(codes, kind="stable")
    groups = np.split(order, np.cumsum(np.bincount(codes))[:-1])
    told, lines = {}, np.asarray(table.lines)
    for name, rows in zip(names, groups, strict=True):
        part = Times(times.values[rows], times.zone, times.description)
        of_machine = replace(table, lines=lines[rows])
        in_order = np.argsort(part.values, kind="stable")
        for message in irregularities(of_machine, part, in_order):
            kind = re.sub(r"[0-9].*", "", str(message).removeprefix(table.path))
            told.setdefault(kind, []).append((name, message))
    for messages in told.values():
        name, message = messages[0]
        others = ""
        if len(messages) == 2:
            others = " The same applies to one other machine."
        elif messages[1:]:
            others = f" The same applies to {len(messages) - 1:,} other machines."
        parts = getattr(message, "args", [message])
        yield ParameterWarning(
            *parts, f" This warning is about machine {str(name)!r}.{others}"
        )
