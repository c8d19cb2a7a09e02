# SPDX-License-Identifier: MIT
"""Tables in long format, with one row per reading: time, sensor name, value."""

import re
from dataclasses import dataclass, replace

import numpy as np

from tsanomaly._parameter_error import Parameter, ParameterWarning
from tsanomaly.datasets._reading._bounds import GLUE
from tsanomaly.datasets._reading._cells import MISSING, is_number, is_time_text, show
from tsanomaly.datasets._reading._names import (
    has_tag_name,
    has_value_name,
    is_machine_name,
    list_names,
)
from tsanomaly.datasets._reading._numbers import read_numbers
from tsanomaly.datasets._reading._table import Column
from tsanomaly.datasets._reading._times import Times, irregularities
from tsanomaly.datasets._reading._words import are_states, is_bad_word, is_known_word

__all__ = [
    "LongTable",
    "are_unique",
    "find_long",
    "holds_text",
    "list_keys",
    "refuse_long_of_machines",
    "repeated_times",
]

_LEAST_CHANGES = 1 / 3  # share of rows whose sensor differs from the row above
_MOST_CELLS, _MOST_PER_ROW = 10**7, 100  # limits on the pivoted table
_BEGINS_TEXT = re.compile(r"[^\W\d]|[/\\$%:.#][^\W\d]")
_IDENTIFIER = re.compile(r"[\d._/:\\-]")  # as in TI101 and sensor.temp, not in idle
_OF_WINCC = re.compile(r"\$RT_\w+\$")
_WHOLE = re.compile(r"-?[0-9]{1,9}")
_UNIT_NAMES = frozenset(
    ["unit", "units", "uom", "eu", "einheit", "einheiten", "engunits", "eng units"]
)
_DESCRIPTION_NAMES = frozenset(
    ["description", "desc", "descriptor", "beschreibung", "bezeichnung", "longname"]
)
# A plant unit such as U1 or Unit 2, not a unit of measurement such as m3.
_NUMBERED = re.compile(r"(?!.*(?:m|ft|in)[23]$)[^\W\d]+[\s_-]?[0-9]+", re.IGNORECASE)


def _keys_of(column):
    """Return codes and distinct texts of a column, or None if a cell is empty."""
    import pandas as pd

    cells = np.array(column.cells, dtype=object)
    codes, keys = pd.factorize(cells)
    return None if not MISSING.isdisjoint(keys) else (codes, keys.tolist())


def holds_text(column):
    """Whether the first value of a column is text, but not a word for a reading."""
    cell = "" if column.is_empty else column.first_value
    if not cell or is_number(cell) or is_known_word(cell) or is_time_text(cell):
        return False
    return _BEGINS_TEXT.match(cell) is not None or has_tag_name(column.name)


def list_keys(columns):
    """Return columns of repeated texts or whole numbers, with codes and values.

    Parameters
    ----------
    columns : list of Column
        Candidates.

    Returns
    -------
    keys : list of tuple (Column, ndarray of int, list of str)
        Columns that may identify the sensor or machine of a row, the code of each row,
        and the distinct values.
    """
    found = []
    for column in columns:
        keys = _keys_of(column)
        if keys is None or 2 * len(keys[1]) > len(keys[0]):
            continue
        if has_tag_name(column.name) or len(set(map(is_number, keys[1]))) == 1:
            found.append((column, *keys))
    return found


def repeated_times(times):
    """Return codes of the times of rows, and whether many times are repeated."""
    values, codes = np.unique(times.values, return_inverse=True)
    return codes, 3 * len(values) <= 2 * len(codes)


def are_unique(times, codes):
    """Whether almost no key has the same time twice."""
    pairs = times.astype(np.int64) * (int(codes.max()) + 1) + codes
    return 100 * len(np.unique(pairs)) >= 99 * len(pairs)


def find_long(table, channels, times, long):
    """Detect whether a table is in long format.

    Parameters
    ----------
    table : Table
        The file.
    channels : list of Column
        Columns that are neither times nor labels.
    times : Times or None
        Times of the rows.
    long : 'auto', tuple of two str or None
        As for `read_sensor_csv`.

    Returns
    -------
    long : LongTable or None
        None if every sensor has its own column.

    Raises
    ------
    ValueError
        If rows belong to different sensors, but it is ambiguous which columns identify
        them.
    """
    if long == "auto" and table.long is not None:
        long = table.long
    if long is None or (long == "auto" and times is None):
        return None
    if long != "auto":
        return _as_told(table, channels, times, long)
    candidates = [column for column in channels if not _describes(column)]
    texts = [column for column in candidates if holds_text(column)]
    values = [column for column in candidates if not any(column is t for t in texts)]
    if texts:
        keys = list_keys(texts)
        if len(values) > 1 and any(has_tag_name(key[0].name) for key in keys):
            # The other one may hold the milliseconds of the time, for example.
            named = [column for column in values if has_value_name(column.name)]
            values = named if len(named) == 1 else _without_machines(values)
        if len(values) != 1 or not keys:
            return None
        return _of_texts(table, keys, values[0], channels, times)
    if len(candidates) == 3:
        _refuse_two_numbers(table, candidates, times)
    if len(candidates) != 2:
        return None
    long = _of_numbers(table, candidates, times)
    if long is not None:
        long.others += [column for column in channels if _describes(column)]
    return long


def refuse_long_of_machines(table, channels, by):
    """Raise if a table with a column of machines is in long format.

    Parameters
    ----------
    table : Table
        The file.
    channels : list of Column
        Columns other than times, labels and machines.
    by : str
        The column of machines.
    """
    candidates = [column for column in channels if not _describes(column)]
    texts = [column for column in candidates if holds_text(column)]
    tags = [key for key in list_keys(texts) if has_tag_name(key[0].name)]
    if not tags or len(candidates) - len(texts) != 1:
        return
    raise table.header_fault(
        "the table is in long format, with one row for each sensor and time, which "
        "cannot be combined with ",
        Parameter("by", by),
        f". Join {by!r} and {tags[0][0].name!r} into one column of the file, and pass "
        "it with the column of values as ",
        Parameter("long"),
        ", or write the readings of each machine to a file of its own.",
    )


def _describes(column):
    """Whether a column holds units or descriptions of sensors."""
    name = " ".join(re.split(r"[\s_.-]+", column.name.casefold()))
    if name in _DESCRIPTION_NAMES:
        return True
    cell = column.first_value
    return name in _UNIT_NAMES and not is_number(cell) and not _NUMBERED.fullmatch(cell)


def _without_machines(values):
    """Return columns of values without whole numbers in columns named like machines."""
    return [
        column
        for column in values
        if not (is_machine_name(column.name) and _WHOLE.fullmatch(column.first_value))
    ]


def _tell_apart(times, codes, columns):
    """Return columns that, together with the sensor, distinguish rows of machines.

    Parameters
    ----------
    times : ndarray of int of shape (n_rows,)
        Codes of the times.
    codes : ndarray of int of shape (n_rows,)
        Codes of the sensors.
    columns : list of Column
        Columns other than sensor names and readings.

    Returns
    -------
    apart : list of Column
    """
    apart, is_plain = [], are_unique(times, codes)
    for column, others, names in list_keys(columns):
        is_text = holds_text(column)
        is_whole = all(map(_WHOLE.fullmatch, names))
        if _describes(column) or not (is_text or is_whole):
            continue
        if len(names) == 1 or _is_function(codes, column):
            continue
        is_named = is_machine_name(column.name) or has_tag_name(column.name)
        if is_named or (
            not is_plain and (is_text or are_unique(times, codes * len(names) + others))
        ):
            apart.append(column)
    return apart


def _refuse_two_numbers(table, channels, times):
    """Raise if numbered machines and numbered sensors identify the readings."""
    numbered = [c for c in channels if _WHOLE.fullmatch(c.first_value)]
    keys = list_keys(numbered)
    machines = [key for key in keys if is_machine_name(key[0].name)]
    sensors = [key for key in keys if has_tag_name(key[0].name)]
    if len(machines) != 1 or len(sensors) != 1:
        return
    (machine, codes, _), (sensor, others, names) = machines[0], sensors[0]
    times, are_repeated = repeated_times(times)
    if machine is sensor or not are_repeated or are_unique(times, others):
        return
    if are_unique(times, codes * len(names) + others):
        raise _several_columns(table, [machine, sensor])


def _of_numbers(table, channels, times):
    """Return the long table of a column of numbered sensors and one of values."""
    times, are_repeated = repeated_times(times)
    if not are_repeated:
        return None
    numbered = [c for c in channels if _WHOLE.fullmatch(c.first_value)]
    keys = [key for key in list_keys(numbered) if len(key[2]) > 1]
    keys = [key for key in keys if are_unique(times, key[1])]
    named = [key for key in keys if has_tag_name(key[0].name)]
    if not keys:
        return None
    key = (named or keys)[0]
    (value,) = (column for column in channels if column is not key[0])
    if len(named) == 1:
        return LongTable(table, key, value, [], is_told=False)
    raise table.header_fault(
        "the table may be in long format: several rows have the same time, with "
        f"different numbers in {key[0].name!r}. If these identify sensors, pass ",
        Parameter("long", (key[0].name, value.name)),
        "; if they identify machines, pass ",
        Parameter("by", key[0].name),
        "; if both columns contain readings, pass ",
        Parameter("long", None),
        ".",
    )


def _as_told(table, channels, times, long):
    """Return the long table of the columns that the user names."""
    known = {column.name: column for column in channels}
    for name in long:
        if name not in known:
            raise table.header_fault(
                Parameter("long", long),
                f": {name!r} is not among the columns {list_names(known)} that are "
                "neither times nor labels.",
            )
    if times is None:
        raise table.header_fault(
            Parameter("long", long),
            " needs a time column, because rows are combined by time. Pass the column "
            "as ",
            Parameter("timestamp"),
            ".",
        )
    tag, value = (known[name] for name in long)
    keys = _keys_of(tag)
    if keys is None:
        row = next(row for row, cell in enumerate(tag.cells) if cell in MISSING)
        raise tag.fault(
            row, "the name of the sensor is missing. Complete the line, or delete it."
        )
    others = [c for c in channels if c is not tag and c is not value]
    is_told = table.long is None
    codes = repeated_times(times)[0]
    if is_told and (apart := _tell_apart(codes, keys[0], others)):
        columns = [c for c in channels if any(c is k for k in (*apart, tag))]
        return _joined(table, columns, value, channels, codes, is_told=True)
    return LongTable(table, (tag, *keys), value, others, is_told=is_told)


def _of_texts(table, keys, value, channels, times):
    """Return the long table of columns of texts and one of values, if unambiguous."""
    texts = [c for c in channels if holds_text(c) and not _describes(c)]
    times, are_repeated = repeated_times(times)
    plain = []
    for column, codes, names in keys:
        tells = all(
            _is_function(codes, other)
            for other in texts
            if other is not column and not other.is_empty
        )
        is_named = has_tag_name(column.name)
        if len(names) == 1:
            is_plain = is_named
        elif are_repeated:
            is_plain = are_unique(times, codes) or is_named
        else:
            is_plain = is_named or (
                _change_often(codes) and all(map(_IDENTIFIER.search, names))
            )
        if tells and is_plain:
            plain.append((column, codes, names))
    if len(plain) > 1:
        plain = [key for key in plain if has_tag_name(key[0].name)][:1]
    if len(plain) == 1:
        tag = plain[0][0]
        others = [
            column for column in channels if column is not tag and column is not value
        ]
        apart = _tell_apart(times, plain[0][1], others)
        if apart:
            columns = [c for c in channels if any(c is k for k in (*apart, tag))]
            return _joined(table, columns, value, channels, times, is_told=False)
        return LongTable(table, plain[0], value, others, is_told=False)
    several = [key for key in keys if len(key[2]) > 1]
    if not several:
        return None
    if not are_repeated and not any(
        has_tag_name(column.name)
        # Two words are more likely the states of a switch.
        or (_change_often(codes) and (len(names) > 2 or _IDENTIFIER.search(names[0])))
        for column, codes, names in several
    ):
        return None  # a mode of operation, or remarks
    n_named = sum(has_tag_name(c.name) or is_machine_name(c.name) for c, *_ in several)
    if len(several) > 1 and (are_repeated or n_named > 1):
        columns = [column for column, _, _ in several]
        return _joined(table, columns, value, channels, times, is_told=False)
    column = several[0][0]
    raise table.header_fault(
        "the table may be in long format, with one row for each sensor and time, but "
        "it is not certain which column names the sensors: there are words in "
        f"{list_names(c.name for c in texts)}. Pass the column of names and the column "
        "of values as ",
        Parameter("long", (column.name, value.name)),
        "; if it names machines, pass ",
        Parameter("by", column.name),
        "; if it names neither, pass ",
        Parameter("long", None),
        ".",
    )


def _joined(table, columns, value, channels, times, *, is_told):
    """Return the long table of sensors that several columns together identify.

    The names are joined if all of the columns are clearly needed and together
    distinguish all rows.

    Raises
    ------
    ValueError
        If this is not the case.
    """
    columns = [c for c in columns if not _repeats(c, columns)]
    keys = list_keys(columns)
    all_codes = [codes for _, codes, _ in keys]
    is_plain = len(keys) == len(columns) > 1 and all(
        has_tag_name(column.name)
        or is_machine_name(column.name)
        or (
            holds_text(column)
            and not are_unique(times, _together(all_codes[:i] + all_codes[i + 1 :])[0])
        )
        for i, (column, *_) in enumerate(keys)
    )
    if is_plain:
        codes, first = _together(all_codes)
        is_plain = are_unique(times, codes) and 2 * len(first) <= len(codes)
    if not is_plain:
        raise _several_columns(table, columns)
    names = [
        " ".join(_in_joined_name(c, texts[own[row]]) for c, own, texts in keys)
        for row in first
    ]
    title = " + ".join(column.name for column in columns)
    others = [c for c in channels if not any(c is k for k in (value, *columns))]
    return LongTable(
        table, (replace(columns[-1], name=title), codes, names), value, others, is_told
    )


def _together(all_codes):
    """Return codes of rows by several columns, and the first row of each code."""
    together = np.zeros(len(all_codes[0]), dtype=np.int64)
    for codes in all_codes:
        _, together = np.unique(
            together * (int(codes.max()) + 1) + codes, return_inverse=True
        )
    _, first, codes = np.unique(together, return_index=True, return_inverse=True)
    in_order = np.argsort(first)
    place = np.empty_like(in_order)
    place[in_order] = np.arange(len(in_order))
    return place[codes], first[in_order]


def _repeats(column, columns):
    """Whether a column follows from another one that is named like sensors."""
    return any(
        other is not column
        and has_tag_name(other.name)
        and not has_tag_name(column.name)
        and _is_function(_keys_of(other)[0], column)
        for other in columns
    )


def _in_joined_name(column, text):
    """Return a name, or a number after the name of its column to give it a meaning."""
    return f"{column.name} {text}" if is_number(text) else text


def _several_columns(table, columns):
    """Error about sensors that only several columns together identify."""
    shown = " ".join(_in_joined_name(column, column.first) for column in columns)
    return table.header_fault(
        "the table is in long format, with one row for each sensor and time, but "
        "several columns identify the sensors: "
        f"{list_names(column.name for column in columns)}. Join them into one column "
        f"of the file, with names such as {show(shown)}, and pass it with the column "
        "of values as ",
        Parameter("long"),
        ".",
    )


def _change_often(codes):
    """Whether many rows have a different sensor from the row above."""
    return np.count_nonzero(np.diff(codes)) >= _LEAST_CHANGES * len(codes)


def _is_function(codes, other):
    """Whether a column holds the same text in all rows of a key."""
    import pandas as pd

    other_codes, _ = pd.factorize(np.array(other.cells, dtype=object))
    n_keys = int(codes.max()) + 1
    first = np.zeros(n_keys, dtype=np.int64)
    first[codes[::-1]] = other_codes[::-1]
    return bool((first[codes] == other_codes).all())


@dataclass
class LongTable:
    """A table in long format.

    Attributes
    ----------
    table : Table
        The file.
    key : tuple (Column, ndarray of int, list of str)
        The column of sensor names, the code of each row, and the distinct names.
    value : Column
        The readings.
    others : list of Column
        Columns that are dropped.
    is_told : bool
        Whether the user named the columns.
    """

    table: object
    key: tuple
    value: Column
    others: list
    is_told: bool

    def pivot(self, times, decimal, *, drop, is_detected, found):
        """Give each sensor its own column.

        Parameters
        ----------
        times : Times
            Times of the rows.
        drop : list of str
            Sensors to drop.
        decimal, is_detected, found
            As for `read_numbers`.

        Returns
        -------
        names : list of str
            The sensors, in the order of the file.
        readings : ndarray of shape (n_timestamps, n_sensors)
            Readings in time order, NaN where a sensor has none.
        times : Times
            Distinct times in ascending order.
        positions : ndarray of int of shape (n_rows,)
            Position of the time of each row in `times`.

        Raises
        ------
        ValueError
            If a reading is not a number, or there are too many times and sensors.
        """
        tag, codes, keys = self.key
        values, positions = np.unique(times.values, return_inverse=True)
        n_cells = len(values) * len(keys)
        if n_cells > max(_MOST_CELLS, _MOST_PER_ROW * len(codes)):
            raise self.table.header_fault(
                f"{len(keys):,} sensors in {tag.name!r} at {len(values):,} different "
                f"times make {n_cells:,} readings of {len(codes):,} rows. Read fewer "
                "sensors at a time, or round the times. If the column does not name "
                "sensors, pass ",
                Parameter("long", None),
                ".",
            )
        order = np.argsort(codes, kind="stable")
        groups = np.split(order, np.cumsum(np.bincount(codes))[:-1])
        names, series, n_repeated = [], [], 0
        words, events = [], []
        for key, rows in zip(keys, groups, strict=True):
            if key in drop:
                continue
            if _OF_WINCC.fullmatch(key):
                events.append(key)
                continue
            column = self._rows_of(key, rows)
            if _is_all_words(column):
                words.append(key)
                continue
            numbers = read_numbers(
                [column], decimal, is_detected=is_detected, found=found
            )
            where = positions[rows]
            n_repeated += len(where) - len(np.unique(where))
            sensor = np.full(len(values), np.nan)
            sensor[where] = numbers[:, 0]
            names.append(key)
            series.append(sensor)
        if not series:
            raise self.value.fault(
                0,
                f"no sensor in {tag.name!r} has numeric readings. Pass other "
                "columns as ",
                Parameter("long"),
                *((", or fewer sensors as ", Parameter("drop")) if drop else ()),
                ".",
            )
        self._warn(len(names), n_repeated, words, events)
        readings = np.array(series).T  # channels are contiguous, as in pandas
        return names, readings, Times(values, times.zone, times.description), positions

    def irregularities(self, times, positions):
        """Yield warnings about the times of the readings, after sorting."""
        _, first = np.unique(positions, return_index=True)
        lines = np.asarray(self.table.lines)[first]
        table = replace(self.table, lines=lines)
        return irregularities(table, times, np.arange(len(first)))

    def _rows_of(self, name, rows):
        """Return the values of one sensor."""
        value, lines = self.value, np.asarray(self.value.lines)[rows]
        starts, ends = value.starts[rows], value.ends[rows]
        return Column(name, value.data, starts, ends, value.path, lines)

    def units(self):
        """Return the units of the sensors, if a column has them."""
        _, codes, keys = self.key
        column = self._units_column()
        if column is None:
            return {}
        cells = dict(zip(codes.tolist(), column.cells, strict=True))
        return {keys[code]: cell for code, cell in cells.items() if cell}

    def _units_column(self):
        """Return the column that `units` reads, or None."""
        return next(
            (
                column
                for column in self.others
                if _describes(column)
                and column.name.casefold().replace("_", " ") in _UNIT_NAMES
            ),
            None,
        )

    def _warn(self, n_sensors, n_repeated, words, events):
        """Describe all changes in one warning."""
        tag = self.key[0]
        parts = [
            f"{self.table.path}: the table is in long format. The readings in "
            f"{self.value.name!r} were split into one column for each of the "
            f"{n_sensors:,} sensors in {tag.name!r}."
        ]
        if n_repeated:
            parts[0] += (
                f" Repeated readings of a sensor at the same time: {n_repeated:,}; the "
                "last one counts."
            )
        if words:
            parts[0] += f" Left out, because they contain words: {list_names(words)}."
        if events:
            parts[0] += (
                " Left out, because they mark starts and stops of WinCC: "
                f"{list_names(events)}."
            )
        units = self._units_column()
        others = [column.name for column in self.others if column is not units]
        if others:
            names = list_names(others)
            parts[0] += f" Other columns were left out: {names}."
        if not self.is_told:
            parts += [" If it is not in long format, pass ", Parameter("long", None)]
            if not has_tag_name(tag.name):
                parts += ["; if it names machines, pass ", Parameter("by", tag.name)]
            parts.append(".")
        is_joined = tag.name not in self.table.names
        if not self.is_told or is_joined or n_repeated or words or events or others:
            self.table.messages.append(ParameterWarning(*parts))
        else:
            self.table.notes.append(parts[0].partition(": ")[2])


def _is_all_words(column):
    """Whether a sensor has only words that are not a pair of states."""
    words = set()
    for _, text in column.texts():
        cells = set(text.split(GLUE)) - MISSING
        if any(map(is_number, cells)):
            return False
        words |= {cell for cell in cells if not is_bad_word(cell)}
    return bool(words) and are_states(words) is None
