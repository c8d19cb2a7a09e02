# SPDX-License-Identifier: MIT
"""Data for the charts of the report.

A page cannot hold a million rows of thirty channels. It holds every row around the
alarms, and the lowest and highest readings of stretches elsewhere, so that no peak is
lost. A short series is included completely.
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

# Maximum number of alarms in the table and the charts.
MOST_ALARMS = 500

# Maximum number of labelled anomalies in the charts: the longest.
_MOST_LABELLED = 2000

# Maximum number of channels: those named by alarms, then those with the largest errors.
_MOST_CHANNELS = 40

# Maximum number of values in the page; each takes 4 bytes, and a third more as text.
_MOST_VALUES = 300_000

# Maximum and minimum number of points per channel.
_MOST_POINTS, _FEWEST_POINTS = 20_000, 4_000

# Maximum and minimum number of rows to keep before and after an alarm.
_MOST_AROUND, _FEWEST_AROUND = 200, 10

# Types in the JSON: 64 bits for times, 32 bits for readings.
_TIME, _READING, _KIND = "<f8", "<f4", "u1"


class AlarmRows(NamedTuple):
    """Positions of the rows of alarms, in time order."""

    start: np.ndarray
    end: np.ndarray
    peak: np.ndarray


class _Points(NamedTuple):
    """Points of all lines: single rows, or two points per stretch of rows."""

    first: np.ndarray  # (n_stretches,), their first rows
    stretch: np.ndarray  # (n_points,), the stretch of each point
    kind: np.ndarray  # (n_points,), 0: a row; 1: the lowest; 2: the highest
    row: np.ndarray  # (n_points,), its place on the axis

    def of(self, values):
        """Return the values at the points; stretches ignore NaN."""
        low = np.fmin.reduceat(values, self.first)
        high = np.fmax.reduceat(values, self.first)
        return np.where(self.kind == 2, high[self.stretch], low[self.stretch])

    @property
    def whole(self):
        """Rows that are included unchanged."""
        return self.row[self.kind == 0]


def find_alarm_rows(found):
    """Find the rows of alarms.

    Parameters
    ----------
    found : Detection
        Result of the detector. A quiet row or a break separates its alarms.

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
    """Sort alarms by severity, and keep those that fit on the page.

    Very large severities are all 100. Among these, the score decides.
    """
    order = np.lexsort((-alarms["score"].to_numpy(), -alarms["severity"].to_numpy()))
    return order[:MOST_ALARMS]


def split_sentence(alarm):
    """Split a sentence into the text before the first channel, its name, and the rest.

    A right-to-left name reorders the words around it, unless it is in its own element.
    """
    sentence = visible(alarm["sentence"])
    if not alarm["channels"]:
        return sentence, "", ""
    # The name stands behind the time.
    before, colon, rest = sentence.partition(": ")
    parts = rest.partition(visible(called(alarm["channels"][0])))
    return (before + colon + parts[0], *parts[1:])


def time_axis(index):
    """Compute the positions of rows on the time axis.

    Parameters
    ----------
    index : Index
        Index of the series.

    Returns
    -------
    places : ndarray of shape (n_timestamps,)
        Seconds since 1970 in local time, if that increases; positions of rows if there
        are no ordered times.
    is_time : bool
        Whether the places are seconds.
    """
    if isinstance(index, pd.DatetimeIndex) and not index.hasnans:
        clocks = [index.tz_localize(None)]
        if index.tz is not None:
            clocks.append(index.tz_convert(None))  # the repeated hour in autumn
        for times in clocks:
            if times.is_monotonic_increasing:
                since = times - pd.Timestamp(0)
                return since.to_numpy() / np.timedelta64(1, "s"), True
    return np.arange(len(index), dtype=np.float64), False


def usual_readings(frame, found):
    """Return the median of each channel in unflagged rows; NaN without a reading."""
    quiet = ~found.flagged
    rows = frame[quiet] if quiet.any() else frame
    return rows.median().to_numpy(dtype=np.float64)


def chart_data(detector, frame, found, labels):
    """Collect the data of the charts, as JSON types.

    Parameters
    ----------
    detector : fitted estimator
        May provide expected readings.
    frame : DataFrame of shape (n_timestamps, n_channels)
        The readings, with breaks.
    found : Detection
        Result of the detector.
    labels : ndarray of shape (n_timestamps,) or None
        1 = anomaly.

    Returns
    -------
    data : dict
        Channel names are escaped for display; the most severe alarm comes first.
    """
    names = frame.columns.tolist()
    channels = _choose_channels(names, found)
    rows = find_alarm_rows(found)
    n_points = _MOST_VALUES // (len(channels) + 1)
    n_points = min(max(n_points, _FEWEST_POINTS), _MOST_POINTS)
    points = _place_points(found, rows, find_breaks(frame), n_points)
    places, is_time = time_axis(frame.index)
    known = points.whole
    # A break has neither readings nor expected readings.
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
        # As in the plot: errors of faults are many times those of other rows.
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
    """Choose the channels to draw, in the order of the file."""
    worst = found.alarms["channels"].iloc[by_severity(found.alarms)]
    of_alarms = [names.index(name) for named in worst for name in named]
    errors = np.nan_to_num(found.contributions).sum(axis=0)
    by_error = np.argsort(-errors, kind="stable").tolist()
    order = dict.fromkeys([*main_channels(found), *of_alarms, *by_error])
    return sorted(list(order)[:_MOST_CHANNELS])


def _place_points(found, rows, breaks, n_points):
    """Choose the rows to draw singly, and group the others into stretches."""
    n_rows = len(found.errors)
    if n_rows <= n_points:
        first = np.arange(n_rows)
    else:
        # Half of the points are for stretches, with two points each, and half for
        # single rows.
        begins = np.zeros(n_rows + 1, dtype=bool)
        begins[: n_rows : -(-4 * n_rows // n_points)] = True
        single = _rows_to_keep(found, rows, n_points // 2)
        # A break is a stretch of its own, so that the line has a gap.
        for start, end in _longest_runs(breaks, n_points // 8):
            begins[[start, end + 1]] = True
        begins[single] = begins[single + 1] = True
        first = np.flatnonzero(begins[:n_rows])
    length = np.diff(np.append(first, n_rows))
    stretch = np.repeat(np.arange(len(first)), np.where(length > 1, 2, 1))
    is_second = np.append(False, stretch[1:] == stretch[:-1])
    kind = np.where(length[stretch] > 1, 1 + is_second, 0)
    # Keep the first and last rows, so that the line spans the series.
    row = first[stretch] + is_second * (length[stretch] - 1)
    return _Points(first, stretch, kind, row)


def _rows_to_keep(found, rows, most):
    """Choose the rows around alarms, starting with the most severe."""
    keep = np.zeros(len(found.errors), dtype=bool)
    around = most // (4 * max(len(rows.start), 1))
    around = min(max(around, _FEWEST_AROUND), _MOST_AROUND)
    for alarm in by_severity(found.alarms):
        start, end, peak = (int(part[alarm]) for part in rows)
        # For a long alarm, its start and its peak.
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
    """Pack numbers into four bytes each, relative to their median for precision."""
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
