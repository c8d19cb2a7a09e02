# SPDX-License-Identifier: MIT
"""What the charts of the report draw.

A page cannot hold a million rows of thirty channels. It holds every row around the
alarms, and the lowest and highest reading of stretches elsewhere, so that no peak is
lost. A series that is short enough is there as a whole.
"""

from base64 import b64encode
from typing import NamedTuple

import numpy as np
import pandas as pd

from tsanomaly._cli._models import expected_at
from tsanomaly._cli._pictures import main_channels
from tsanomaly._cli._text import visible
from tsanomaly._validation import find_breaks
from tsanomaly._windows import runs
from tsanomaly._wording import called

__all__ = [
    "MOST_ALARMS",
    "AlarmRows",
    "by_severity",
    "chart_data",
    "find_alarm_rows",
    "split_sentence",
    "time_axis",
    "usual_readings",
]

# Alarms in the table and in the charts, at most.
MOST_ALARMS = 500

# Labelled anomalies in the charts, at most: the longest.
_MOST_LABELLED = 2000

# Channels to choose from, at most: those that the alarms name, then those with most of
# the error.
_MOST_CHANNELS = 40

# Values in the page, at most; each takes 4 bytes, and a third more as text.
_MOST_VALUES = 300_000

# Points of a channel, at most and at least, however many channels there are.
_MOST_POINTS, _FEWEST_POINTS = 20_000, 4_000

# Rows before and after an alarm to keep, at most and at least.
_MOST_AROUND, _FEWEST_AROUND = 200, 10

# What is written as text in JSON: 64 bits for times, 32 for readings.
_TIME, _READING, _KIND = "<f8", "<f4", "u1"


class AlarmRows(NamedTuple):
    """Positions of the rows of alarms, in the order of time."""

    start: np.ndarray
    end: np.ndarray
    peak: np.ndarray


class _Points(NamedTuple):
    """Where the points of all lines are: rows, or two for a stretch of rows."""

    first: np.ndarray  # (n_stretches,), their first rows
    stretch: np.ndarray  # (n_points,), which stretch a point is of
    kind: np.ndarray  # (n_points,), 0: a row; 1: the lowest; 2: the highest
    row: np.ndarray  # (n_points,), where it is drawn

    def of(self, values):
        """Values of rows at the points; NaN is left out of stretches."""
        low = np.fmin.reduceat(values, self.first)
        high = np.fmax.reduceat(values, self.first)
        return np.where(self.kind == 2, high[self.stretch], low[self.stretch])

    @property
    def whole(self):
        """Rows that are there as they are."""
        return self.row[self.kind == 0]


def find_alarm_rows(found):
    """Positions of the rows of alarms.

    Parameters
    ----------
    found : Detection
        There is a quiet row, or a break, between two of its alarms.

    Returns
    -------
    rows : AlarmRows
    """
    start, end = runs(found.in_alarm.astype(np.int8))
    peak = [
        first + np.nanargmax(found.errors[first : last + 1])
        for first, last in zip(start, end, strict=True)
    ]
    return AlarmRows(start, end, np.array(peak, dtype=np.intp))


def by_severity(alarms):
    """Positions of alarms, the most severe first, as many as the page has.

    Severities beyond all bounds are 100; then the score decides.
    """
    order = np.lexsort((-alarms["score"].to_numpy(), -alarms["severity"].to_numpy()))
    return order[:MOST_ALARMS]


def split_sentence(alarm):
    """What an alarm says before its first channel, the name, and what after it.

    A name in letters from right to left turns the words around it, unless it is an
    element of its own.
    """
    sentence = visible(alarm["sentence"])
    if not alarm["channels"]:
        return sentence, "", ""
    # The name stands behind the time.
    before, colon, rest = sentence.partition(": ")
    parts = rest.partition(visible(called(alarm["channels"][0])))
    return (before + colon + parts[0], *parts[1:])


def time_axis(index):
    """Where rows are on the axis of time.

    Parameters
    ----------
    index : Index
        Of the series.

    Returns
    -------
    places : ndarray of shape (n_timestamps,)
        Seconds since 1970, as clocks showed them where that goes forward; positions of
        rows if there are no times in order.
    is_time : bool
        Whether they are seconds.
    """
    if isinstance(index, pd.DatetimeIndex) and not index.hasnans:
        clocks = [index.tz_localize(None)]
        if index.tz is not None:
            clocks.append(index.tz_convert(None))  # an hour of autumn is there twice
        for times in clocks:
            if times.is_monotonic_increasing:
                since = times - pd.Timestamp(0)
                return since.to_numpy() / np.timedelta64(1, "s"), True
    return np.arange(len(index), dtype=np.float64), False


def usual_readings(frame, found):
    """Median of each channel in rows that are not flagged; NaN without a reading."""
    quiet = ~found.flagged
    rows = frame[quiet] if quiet.any() else frame
    return rows.median().to_numpy(dtype=np.float64)


def chart_data(detector, frame, found, labels):
    """What the charts draw, as JSON can hold it.

    Parameters
    ----------
    detector : fitted estimator
        Which may say what it expected.
    frame : DataFrame of shape (n_timestamps, n_channels)
        The readings, with breaks.
    found : Detection
        What the detector says of them.
    labels : ndarray of shape (n_timestamps,) or None
        1 = anomaly.

    Returns
    -------
    data : dict
        Channels are named as they are shown; the most severe alarm is the first.
    """
    names = frame.columns.tolist()
    channels = _choose_channels(names, found)
    rows = find_alarm_rows(found)
    n_points = _MOST_VALUES // (len(channels) + 1)
    n_points = min(max(n_points, _FEWEST_POINTS), _MOST_POINTS)
    points = _place_points(found, rows, find_breaks(frame), n_points)
    places, is_time = time_axis(frame.index)
    known = points.whole
    # A break has no reading, and nothing is expected of it.
    known = known[frame.iloc[known].notna().any(axis=1).to_numpy()]
    expected = expected_at(detector, frame, found, known) if len(known) else None
    usual = usual_readings(frame, found)
    units = frame.attrs.get("units") or {}
    lines = []
    for position in channels:
        values = frame.iloc[:, position].to_numpy(dtype=np.float64)
        line = {
            "name": visible(frame.columns[position]),
            "unit": visible(units.get(frame.columns[position], "")),
            "usual": _as_json(usual[position]),
            "values": _pack(points.of(values)),
        }
        if expected is not None:
            column = np.full(len(frame), np.nan)
            column[known] = expected[:, position]
            line["expected"] = _pack(column[points.whole])
        lines.append(line)
    finite = found.errors[np.isfinite(found.errors)]
    return {
        "isTime": is_time,
        "nRows": len(frame),
        "times": _encode(places[points.row], _TIME),
        "kinds": _encode(points.kind, _KIND),
        "score": _pack(points.of(found.errors)),
        "threshold": _as_json(found.threshold),
        # As in the picture: errors of faults are many times those of other rows.
        "isLog": bool(found.threshold > 0 and len(finite) and (finite > 0).all()),
        "channels": lines,
        "first": [channels.index(position) for position in main_channels(found)[:4]],
        "alarms": [
            {
                "begin": places[rows.start[alarm]],
                "finish": places[rows.end[alarm]],
                "channels": [
                    channels.index(names.index(name))
                    for name in found.alarms["channels"].iloc[alarm]
                    if names.index(name) in channels
                ],
                "sentence": split_sentence(found.alarms.iloc[alarm]),
            }
            for alarm in by_severity(found.alarms)
        ],
        "labelled": [] if labels is None else _spans(places, labels == 1),
    }


def _choose_channels(names, found):
    """Positions of the channels to draw, in the order of the file."""
    worst = found.alarms["channels"].iloc[by_severity(found.alarms)]
    of_alarms = [names.index(name) for named in worst for name in named]
    errors = np.nan_to_num(found.contributions).sum(axis=0)
    by_error = np.argsort(-errors, kind="stable").tolist()
    order = dict.fromkeys([*main_channels(found), *of_alarms, *by_error])
    return sorted(list(order)[:_MOST_CHANNELS])


def _place_points(found, rows, breaks, n_points):
    """Choose which rows are drawn as they are, and how the others are put together."""
    n_rows = len(found.errors)
    if n_rows <= n_points:
        first = np.arange(n_rows)
    else:
        # A half for stretches of two points each, a half for single rows.
        begins = np.zeros(n_rows + 1, dtype=bool)
        begins[: n_rows : -(-4 * n_rows // n_points)] = True
        single = _rows_to_keep(found, rows, n_points // 2)
        # The line has a gap there, so that a break is a stretch of its own.
        for start, end in _longest_runs(breaks, n_points // 8):
            begins[[start, end + 1]] = True
        begins[single] = begins[single + 1] = True
        first = np.flatnonzero(begins[:n_rows])
    length = np.diff(np.append(first, n_rows))
    stretch = np.repeat(np.arange(len(first)), np.where(length > 1, 2, 1))
    is_second = np.append(False, stretch[1:] == stretch[:-1])
    kind = np.where(length[stretch] > 1, 1 + is_second, 0)
    # The first and the last row, so that the line is as long as the series.
    row = first[stretch] + is_second * (length[stretch] - 1)
    return _Points(first, stretch, kind, row)


def _rows_to_keep(found, rows, most):
    """Rows around alarms, those of the most severe first, in order."""
    keep = np.zeros(len(found.errors), dtype=bool)
    around = most // (4 * max(len(rows.start), 1))
    around = min(max(around, _FEWEST_AROUND), _MOST_AROUND)
    for alarm in by_severity(found.alarms):
        start, end, peak = (int(part[alarm]) for part in rows)
        # Of a long alarm, how it begins and where it is worst.
        parts = [(start, min(end, start + 2 * around)), (peak, peak)]
        for first, last in parts:
            keep[max(first - around, 0) : last + around + 1] = True
        if keep.sum() > most:
            break
    return np.flatnonzero(keep)[:most]


def _longest_runs(breaks, most):
    start, end = runs(breaks.astype(np.int8))
    longest = np.argsort(start - end, kind="stable")[:most]
    return list(zip(start[longest], end[longest], strict=True))


def _spans(places, is_on):
    return [
        [places[start], places[end]]
        for start, end in _longest_runs(is_on, _MOST_LABELLED)
    ]


def _pack(values):
    """Numbers in four bytes each, from their median, so that no digits are lost."""
    values = np.where(np.isfinite(values), values, np.nan)
    known = values[~np.isnan(values)]
    offset = float(np.median(known)) if len(known) else 0.0
    scale = float(np.abs(known - offset).max()) if len(known) else 1.0
    if not np.isfinite(scale) or not scale:
        scale = 1.0
    data = _encode((values - offset) / scale, _READING)
    return {"data": data, "offset": offset, "scale": scale}


def _encode(values, dtype):
    return b64encode(np.asarray(values).astype(dtype).tobytes()).decode()


def _as_json(value):
    return float(value) if np.isfinite(value) else None
