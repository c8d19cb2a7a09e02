# SPDX-License-Identifier: MIT
"""Tables in which every tag has its own time column."""

import re
from dataclasses import dataclass

import numpy as np

from tsanomaly._parameter_error import Parameter, ParameterWarning
from tsanomaly.datasets._reading._cells import MISSING, show
from tsanomaly.datasets._reading._columns import fits_date_format
from tsanomaly.datasets._reading._names import has_time_name, list_names
from tsanomaly.datasets._reading._number_times import may_be_elapsed
from tsanomaly.datasets._reading._parse_times import parse_times
from tsanomaly.datasets._reading._table import Column, fault
from tsanomaly.datasets._reading._time_formats import kind_of_times
from tsanomaly.datasets._reading._times import REGULARIZE, Times, count_rows

__all__ = ["TagTimes", "find_tag_times", "merge_tag_times"]

_WORD = re.compile(r"[^\W\d_]+|[0-9]+")
_PART = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")  # splits PumpTime
_UNITS = frozenset(["s", "sec", "ms", "min", "h"])


@dataclass
class TagTimes:
    """A time column, and the names of the columns to which it applies."""

    column: Column
    names: list


def find_tag_times(table, timestamp, label_names, date_format):
    """Find the time columns of tags if it is certain that each tag has its own.

    Time columns must alternate with other columns, and their names must be equal except
    for numbers, or contain the names of the neighbouring tags.

    Parameters
    ----------
    table : Table
        Columns of text.
    timestamp, date_format
        As for `read_sensor_csv`.
    label_names : list of str
        Columns that hold labels.

    Returns
    -------
    tags : list of TagTimes
        Empty for all other tables.

    Raises
    ------
    ValueError
        If such a table contains labels, which would have no time.
    """
    if timestamp != "auto":
        return []
    columns = [column for column in table.columns if column.name not in label_names]
    tags = _tags_of(columns, date_format)
    if tags and label_names:
        is_one = len(label_names) == 1
        cure = ()
        if _tags_of(table.columns, date_format):
            cure = (
                ", or read them as channels, at the times beside them, with ",
                Parameter("label", None),
            )
        raise table.header_fault(
            "each tag has its own time column, so it is not certain to which times the "
            f"labels {list_names(label_names)} belong. Leave them out with ",
            Parameter("drop", label_names[0] if is_one else label_names),
            *cure,
            ".",
        )
    return tags


def _tags_of(columns, date_format):
    """Find the time columns of tags among columns other than labels."""
    others = {
        column.name: _other_words(column.name)
        for column in columns
        if _is_time(column, date_format)
    }
    if len(others) < 2:
        return []
    is_time = [column.name in others for column in columns]
    first = columns[0]
    if not is_time[0] and is_time[-1]:  # the time is to the right of the reading
        columns = columns[::-1]
        are_plain = _name_a_neighbor
    else:
        are_plain = _are_numbered
    tags = []
    for column in columns:
        if column.name in others:
            tags.append(TagTimes(column, []))
        elif not tags:
            return []
        else:
            tags[-1].names.append(column.name)
    if not all(tag.names for tag in tags):
        return []
    if not are_plain(tags, others) and not _name_a_neighbor(tags, others):
        return []
    return tags if columns[0] is first else tags[::-1]


def _is_time(column, date_format):
    """Whether a column has a word for time in its name, and holds times."""
    if _other_words(column.name) is None:
        return False
    if date_format is not None:
        return fits_date_format(column, date_format)
    kind = kind_of_times(column, named=True)
    return kind not in (None, "time of day") or may_be_elapsed(column)


def _other_words(name):
    """Return the words of a name that do not mean time, or None if no word does."""
    words = _WORD.findall(name)
    if not any(map(has_time_name, words)):
        words = [part for word in words for part in _PART.findall(word) or [word]]
    others = [word.casefold() for word in words if not has_time_name(word)]
    return None if len(others) == len(words) else others


def _are_numbered(tags, others):
    """Whether the names of time columns are equal except for numbers."""
    return len({re.sub(r"[\W\d_]", "", name.casefold()) for name in others}) == 1


def _name_a_neighbor(tags, others):
    """Whether the names of time columns match those of the neighbouring tags."""
    for tag in tags:
        words = set(others[tag.column.name]) - _UNITS
        if not words or not all(
            words <= {word.casefold() for word in _WORD.findall(name)}
            for name in tag.names
        ):
            return False
    return True


def merge_tag_times(table, tags, channels, readings, date_format):
    """Merge the readings of several tags at the union of their times.

    Parameters
    ----------
    table : Table
        The file.
    tags : list of TagTimes
        The time columns.
    channels : list of Column
        The other columns.
    readings : ndarray of shape (n_rows, n_channels)
        Values of these columns.
    date_format : str or None
        As for `read_sensor_csv`.

    Returns
    -------
    merged : ndarray of shape (n_timestamps, n_channels)
        NaN where a tag has no reading.
    times : Times
        Times in order.
    messages : list of str or ParameterWarning
        Warnings.

    Raises
    ------
    ValueError
        If a reading has no time, or only some times have a time zone.
    """
    positions = {column.name: j for j, column in enumerate(channels)}
    found, rows, chosen = [], [], []
    for tag in tags:
        chosen.append([positions[name] for name in tag.names if name in positions])
        rows.append(_rows_with_time(tag.column, [channels[j] for j in chosen[-1]]))
        found.append(parse_times(_take(tag.column, rows[-1]), date_format))
    zones = [times.zone for times in found]
    for tag, zone in zip(tags, zones, strict=True):
        if (zone is None) != (zones[0] is None):
            raise tag.column.fault(
                0,
                f"of this time column and {tags[0].column.name!r} only one has a time "
                "zone. Use the same kind of times in all columns.",
            )
    values = np.unique(np.concatenate([times.values for times in found]))
    merged = np.full((len(values), len(channels)), np.nan, order="F")
    n_repeated = 0
    for times, row, some in zip(found, rows, chosen, strict=True):
        places = np.searchsorted(values, times.values)
        n_repeated += len(places) - len(np.unique(places))
        for j in some:
            merged[places, j] = readings[row, j]
    zone = zones[0] if len(set(map(str, zones))) == 1 else "UTC"
    n_common = int((~np.isnan(merged)).all(axis=1).sum())
    message = (
        f"{table.path}: every tag has a time column of its own "
        f"({list_names(tag.column.name for tag in tags)}). They were merged by time: "
        f"{len(values):,} times, at {n_common:,} of which all channels have a reading. "
    )
    if n_repeated:
        message += (
            f"{count_rows(n_repeated, 'has', 'have')} the same time as another row of "
            "the same tag; the last one was kept. "
        )
    message = ParameterWarning(message, REGULARIZE, " puts the readings on a grid.")
    messages = [message, *(times.message for times in found if times.message)]
    return merged, Times(values, zone, found[0].description), messages


def _rows_with_time(column, channels):
    """Return the rows that have a time. Raise if another row has a reading."""
    cells = column.cells
    is_missing = np.array([cell in MISSING for cell in cells])
    for row in np.flatnonzero(is_missing):
        for channel in channels:
            start, end = channel.starts[row], channel.ends[row]
            cell = channel.data[start:end].decode("utf-8", "surrogatepass")
            if cell not in MISSING:
                raise fault(
                    channel.place(row),
                    f"{show(cell)} has no time in column {column.name!r}. Complete the "
                    "line, or delete the reading.",
                )
    return np.flatnonzero(~is_missing)


def _take(column, rows):
    """Return some rows of a column."""
    return Column(
        column.name,
        column.data,
        column.starts[rows],
        column.ends[rows],
        column.path,
        np.asarray(column.lines)[rows],
    )
