# SPDX-License-Identifier: MIT
"""Find the columns of times, labels and readings."""

import re
from collections import Counter

from tsanomaly._parameter_error import Parameter, ParameterWarning
from tsanomaly.datasets._reading._cells import MISSING, show
from tsanomaly.datasets._reading._date_format import has_date_format
from tsanomaly.datasets._reading._labels import find_label_columns
from tsanomaly.datasets._reading._names import (
    advise_on_case,
    has_no_name,
    has_time_name,
    is_clock_name,
    is_counter_name,
    is_label_name,
    list_names,
)
from tsanomaly.datasets._reading._number_times import (
    NUMBER_FORMATS,
    is_number,
    may_be_elapsed,
    unit_of_name,
)
from tsanomaly.datasets._reading._parse_times import join_columns, parse_times
from tsanomaly.datasets._reading._records import separator_name
from tsanomaly.datasets._reading._time_formats import is_dotted_clock, kind_of_times

__all__ = [
    "as_list",
    "check_dropped",
    "drop_columns",
    "drop_unnamed",
    "find_labels",
    "find_times",
    "fits_date_format",
    "leave_out_events",
    "read_times",
]

_EVENT = "Logged"  # as HOBOware writes it


def as_list(names):
    """Return one name, several names or None as a list."""
    if names is None:
        return []
    return [names] if isinstance(names, str) else list(names)


def _check_known(table, parameter, names):
    known = set(table.names)
    for name in names:
        if not isinstance(name, str) or name not in known:
            raise table.header_fault(
                Parameter(parameter, name),
                f" is not among the columns {list_names(table.names)}."
                f"{advise_on_case(name, table.names)}",
            )


def drop_columns(table, drop, *, may_be_elsewhere):
    """Drop the columns that the user names.

    Parameters
    ----------
    table : Table
        The file. Its columns are modified.
    drop : str, list of str or None
        As for `read_sensor_csv`.
    may_be_elsewhere : bool
        Whether another file may contain names that are missing here.

    Returns
    -------
    others : list of str
        Names that occur in cells only: sensors of a table in long format.
    """
    known, others, wanted = set(table.names), [], as_list(drop)
    drop = []
    for name in wanted:
        if name in known or not isinstance(name, str):
            drop.append(name)
        elif any(name in column.cells for column in table.columns):
            others.append(name)
        elif not may_be_elsewhere:
            drop.append(name)
    _check_known(table, "drop", drop)
    if drop:
        left_out = set(drop)
        table.columns = [
            column for column in table.columns if column.name not in left_out
        ]
        table.notes.append(f"{list_names(drop)} left out")
    return others


def check_dropped(table, drop, sensors):
    """Raise if a name to drop is neither a column nor a sensor.

    Parameters
    ----------
    table : Table
        The file.
    drop : list of str
        Names that `drop_columns` did not find among the columns.
    sensors : list of str
        Sensors of a table in long format.
    """
    for name in drop:
        if name not in sensors:
            raise table.header_fault(
                Parameter("drop", name),
                f" is not among the columns {list_names(table.names)}."
                f"{advise_on_case(name, table.names)}",
            )


def drop_unnamed(table, timestamp, label):
    """Drop row numbers and empty columns. Other columns must have a name."""
    wanted = {*as_list(timestamp), *as_list(label)}
    kept = []
    for position, column in enumerate(table.columns):
        if has_no_name(column.name) and column.is_empty:
            table.notes.append("an empty column without name left out")
        elif (
            is_counter_name(column.name)
            and (not column.name or column.name not in wanted)
            and _are_row_numbers(column)
        ):
            of = f" in {column.name!r}" if column.name else ""
            table.notes.append(f"row numbers{of} left out")
        elif (
            column.name
            or "" in wanted
            or (timestamp == "auto" and kind_of_times(column, named=False))
        ):
            kept.append(column)
        else:
            cells = column.cells
            row = next(row for row, cell in enumerate(cells) if cell)
            raise column.fault(
                row,
                f"the column at position {position + 1} has no name in the header, "
                f"and holds {show(cells[row])}. Name it, or delete its values.",
            )
    if sum(not column.name for column in kept) > 1:
        raise table.header_fault("two time columns have no name. Name them.")
    table.columns = kept


def leave_out_events(table, wanted):
    """Drop columns in which loggers mark events with ``Logged``.

    Parameters
    ----------
    table : Table
        The file. Its columns and messages are modified.
    wanted : list of str
        Columns that the user names in a parameter.
    """
    events = [
        column.name
        for column in table.columns
        if column.first_value == _EVENT
        and column.name not in wanted
        and {*column.cells} - MISSING == {_EVENT}
    ]
    if not events or len(events) == len(table.columns):
        return
    table.columns = [column for column in table.columns if column.name not in events]
    table.messages.append(
        ParameterWarning(
            f"{table.path}: left out, because they mark events by {_EVENT!r} and "
            f"contain no readings: {list_names(events)}. To confirm, pass ",
            Parameter("drop", events),
            ".",
        )
    )


def _are_row_numbers(column):
    """Whether cells count up by one. A single cell must be 0 or 1."""
    if not re.fullmatch("-?[0-9]{1,18}", column.first):
        return False
    first, cells = int(column.first), column.cells
    is_start = len(cells) > 1 or first in (0, 1)
    return is_start and cells == list(map(str, range(first, first + len(cells))))


def find_labels(table, label, timestamp, others):
    """Find the label columns.

    If the user names some, other columns with the name of a label are dropped.

    Parameters
    ----------
    table : Table
        The file. Its columns and messages are modified.
    label, timestamp
        As for `read_sensor_csv`.
    others : list of str
        Columns that are known to be something else, regardless of their name.

    Returns
    -------
    names : list of str
    """
    if label == "auto":
        return find_label_columns(table, as_list(timestamp))
    names = list(dict.fromkeys(as_list(label)))
    _check_known(table, "label", names)
    taken = {*names, *as_list(timestamp), *others}
    like_labels = [
        column.name
        for column in table.columns
        if is_label_name(column.name) and column.name not in taken
    ]
    if not like_labels:
        return names
    listed = list_names(like_labels)
    if names:
        table.columns = [
            column for column in table.columns if column.name not in like_labels
        ]
        message = ParameterWarning(
            f"{table.path}: left out, because their names suggest labels: {listed}. "
            f"Only {list_names(names)} were used as labels. If the others are "
            "channels, rename them.",
        )
    else:
        message = ParameterWarning(
            f"{table.path}: read as channels, although their names suggest labels: "
            f"{listed}. If they are not readings, leave them out with ",
            Parameter("drop", like_labels[0] if len(like_labels) == 1 else like_labels),
            ".",
        )
    table.messages.append(message)
    return names


def find_times(table, timestamp, label_names, date_format):
    """Find the time column, or a date column and a time-of-day column.

    Parameters
    ----------
    table : Table
        Columns of text.
    timestamp : 'auto', str, tuple of two str or None
        As for `read_sensor_csv`.
    label_names : list of str
        Columns to ignore.
    date_format : str or None
        As for `read_sensor_csv`.

    Returns
    -------
    names : list of str
        None, one or two columns.

    Raises
    ------
    ValueError
        If the columns are ambiguous.
    """
    if timestamp is None:
        return []
    if timestamp != "auto":
        names = as_list(timestamp)
        _check_known(table, "timestamp", names)
        for name in names:
            if name in label_names or names.count(name) > 1:
                raise table.header_fault(
                    f"column {name!r} cannot be both a time and a label, or both date "
                    "and time of day. Pass other names as ",
                    Parameter("timestamp"),
                    " or ",
                    Parameter("label"),
                    ".",
                )
        return names
    left_out = set(label_names)
    columns = [column for column in table.columns if column.name not in left_out]
    named = [column.name for column in columns if has_time_name(column.name)]
    kinds = _kinds_of_times(columns, named)
    clocks = [name for name, kind in kinds.items() if kind == "time of day"]
    dates = [
        name
        for name, kind in kinds.items()
        if kind and kind not in ("time of day", "elapsed")
    ] or _fitting(columns, date_format)
    dates = _leave_out_updates(table, dates)
    if "" in dates and len(dates) > 1:
        others = list_names(name for name in dates if name)
        raise table.header_fault(
            f"the column without name and {others} both contain times. Name one of "
            "them and leave the other out with ",
            Parameter("drop"),
            ", or delete it.",
        )
    chosen = dates + clocks if len(dates) == 1 and len(clocks) <= 1 else []
    if len(clocks) == 1 and chosen and kinds[dates[0]] not in ("date", "short year"):
        chosen = []
    if not dates + clocks:
        elapsed = [name for name, kind in kinds.items() if kind == "elapsed"]
        chosen = elapsed if len(elapsed) == 1 else []
    if len(dates) + len(clocks) > 1 and not chosen:
        raise table.header_fault(
            f"the columns {list_names(dates + clocks)} all contain times. Pass the "
            "name of the right one as ",
            Parameter("timestamp"),
            ", or a date column and a time-of-day column, for example ",
            Parameter("timestamp", ("Date", "Time")),
            ", and leave the others out with ",
            Parameter("drop"),
            ". If each tag has its own time column, it must precede its readings and "
            "be named after the tag or numbered: 'Time TI1', 'TI1', or "
            "'Time 1'.",
        )
    if not chosen and not named:
        raise table.header_fault(
            f"there is no time column among {list_names(table.names)}. Pass its name "
            "as ",
            Parameter("timestamp"),
            ", or ",
            Parameter("timestamp", None),
            " for numbered rows. Lines above the header are skipped with ",
            Parameter("skiprows"),
            f". If the separator ({separator_name(table.sep)}) is wrong, pass it as ",
            Parameter("sep"),
            ".",
        )
    unread = [name for name in named if name not in chosen]
    if unread and date_format is not None and len(named) <= 2:
        read_times(table, named, date_format)  # raises and names the value
        return named
    if unread:
        (column,) = table.select(unread[:1])
        raise column.fault(
            0,
            f"the name of the column suggests times, but {show(column.first)} has no "
            "known format. Pass its format as ",
            Parameter("date_format"),
            *_units_of(column),
            ", or the name of the time column as ",
            Parameter("timestamp"),
            ", which makes this one a channel, or leave it out with ",
            Parameter("drop"),
            ". If the rows have no times, pass ",
            Parameter("timestamp", None),
            " and ",
            Parameter("drop", column.name),
            ".",
        )
    return chosen


def _leave_out_updates(table, dates):
    """Drop the times of Home Assistant that include changes of attributes."""
    if not {"last_changed", "last_updated"} <= {name.casefold() for name in dates}:
        return dates
    (update,) = [name for name in dates if name.casefold() == "last_updated"]
    table.columns = [column for column in table.columns if column.name != update]
    table.messages.append(
        ParameterWarning(
            f"{table.path}: {update!r} was left out, because 'last_changed' contains "
            "the times at which readings changed. To confirm, pass ",
            Parameter("drop", update),
            ".",
        )
    )
    return [name for name in dates if name != update]


def _units_of(column):
    """Part of a message: the formats that a column of numbers may have."""
    if not is_number(column.first):
        return ()
    return (
        ", for example ",
        Parameter("date_format", "s"),
        " or ",
        Parameter("date_format", "ms"),
        " if it counts from the start of the recording, or ",
        Parameter("date_format", "excel"),
        " if days as Excel does",
    )


def _kinds_of_times(columns, named):
    """Return the kind of times in each column, by name of the column."""
    named = set(named)
    kinds = {
        column.name: kind_of_times(column, named=column.name in named)
        for column in columns
    }
    for column in columns:
        if kinds[column.name] is None and may_be_elapsed(column):
            kinds[column.name] = "elapsed"
    count = Counter(kinds.values())
    for column in columns:
        # 10.11.12 is a time of day if the column is named like one and another column
        # holds dates.
        if (
            kinds[column.name] == "short year"
            and is_clock_name(column.name)
            and count["date"] + count["short year"] > 1
            and is_dotted_clock(column)
        ):
            kinds[column.name] = "time of day"
            count["short year"] -= 1
    return kinds


def _fitting(columns, date_format):
    """Return the columns whose first value has the format that the user gave."""
    if date_format is None:
        return []
    if date_format in NUMBER_FORMATS:  # readings have these formats, too
        columns = [
            column
            for column in columns
            if has_time_name(column.name) or unit_of_name(column.name)
        ]
    return [column.name for column in columns if fits_date_format(column, date_format)]


def fits_date_format(column, date_format):
    """Whether the first value of a column has the format that the user gave."""
    try:
        parse_times(column.head(1), date_format)
    except ValueError:
        return False
    return True


def read_times(table, names, date_format):
    """Return the times of the rows, or None without time columns."""
    if not names:
        return None
    columns = table.select(names)
    is_pattern = date_format is not None and date_format not in NUMBER_FORMATS
    if is_pattern and has_date_format(" ".join(names), date_format):
        raise table.header_fault(
            f"the file has no header: {show(' '.join(names))} is a time, not a name. "
            "Add a line with the column names at the top."
        )
    column = join_columns(*columns, date_format) if len(columns) == 2 else columns[0]
    return parse_times(column, date_format)
