# SPDX-License-Identifier: MIT
"""Small pictures of the readings around an alarm, as SVG."""

from typing import NamedTuple

import numpy as np

from tsanomaly._cli._models import expected_at
from tsanomaly._cli._report._chart import usual_readings
from tsanomaly._cli._text import visible
from tsanomaly._validation import median_step
from tsanomaly._windows import runs
from tsanomaly._wording import called, clock_format, number, span, time_span

__all__ = ["HEIGHT", "WIDTH", "Sketch", "draw_sketches"]

# Size in pixels; the page scales it.
WIDTH, HEIGHT = 340, 110

# Seconds before and after an alarm, and the maximum and minimum number of rows.
_AROUND, _MOST_AROUND, _FEWEST_AROUND = 7200, 1500, 30

# Rows before and after an alarm, without times.
_ROWS_AROUND = 100

# Margin for the values at the top and the bottom.
_MARGIN = 16

# Maximum number of columns of a line, each drawn from its lowest to its highest
# reading.
_N_COLUMNS = 170


class Sketch(NamedTuple):
    """Data of one picture, for the template.

    Attributes
    ----------
    reading, expected : list of str
        Lines as coordinates of their points.
    band : tuple of float
        Left edge and width of the alarm.
    top, bottom : str
        Values at the top and the bottom.
    name, caption : str
        Name of the channel, and the caption.
    """

    reading: list
    expected: list
    band: tuple
    top: str
    bottom: str
    name: str
    caption: str


def draw_sketches(detector, frame, found, alarms):
    """Draw the first channel of each alarm, with a few hours around it.

    Parameters
    ----------
    detector : fitted estimator
        May provide expected readings.
    frame : DataFrame of shape (n_timestamps, n_channels)
        The readings, with breaks.
    found : Detection
        Result of the detector.
    alarms : list of (start, end, channels)
        Positions of the first and last rows, and channel names.

    Returns
    -------
    sketches : list of Sketch or None
        None for an alarm without a channel, or without readings of it.
    """
    usual = usual_readings(frame, found) if alarms else None
    sketches = []
    for start, end, channels in alarms:
        sketch = None
        if channels:
            position = frame.columns.tolist().index(channels[0])
            sketch = _sketch(
                detector, frame, found, start, end, position, usual[position]
            )
        sketches.append(sketch)
    return sketches


def _sketch(detector, frame, found, start, end, position, usual):
    step = median_step(frame.index)
    around = _ROWS_AROUND
    if step is not None:
        around = round(_AROUND / max(step.total_seconds(), 1e-9))
    around = max(min(around, _MOST_AROUND), _FEWEST_AROUND, (end - start) // 4)
    first, last = max(start - around, 0), min(end + around, len(frame) - 1)
    rows = np.arange(first, last + 1)
    readings = frame.iloc[rows, position].to_numpy(dtype=np.float64)
    if not np.isfinite(readings).any():
        return None
    expected, word = np.full(len(rows), usual), "usual reading"
    known = frame.iloc[rows].notna().any(axis=1).to_numpy()
    restored = expected_at(detector, frame, found, rows[known])
    if restored is not None:
        expected[:] = np.nan
        expected[known] = restored[:, position]
        word = "expected reading"
    both = np.concatenate([readings, expected])
    both = both[np.isfinite(both)]
    low, high = both.min(), both.max()
    middle, half = low / 2 + high / 2, (high / 2 - low / 2) or 1.0
    widest = max(len(rows) - 1, 1)

    def lines(values):
        values = HEIGHT / 2 - (values - middle) / half * (HEIGHT / 2 - _MARGIN)
        return _lines(values, WIDTH / widest)

    shown = span(frame.index[first], frame.index[last], clock_format(frame.index))
    length = f"{around:,} rows" if step is None else time_span(around * step)
    return Sketch(
        lines(readings),
        lines(expected),
        ((start - first) / widest * WIDTH, max((end - start) / widest * WIDTH, 2)),
        number(high, half),
        number(low, half),
        visible(called(frame.columns[position])),
        f"{shown}: up to {length} before and after the alarm, which is shaded. "
        f"Dashed: {word}.",
    )


def _lines(values, width):
    """Return the coordinates of stretches without gaps."""
    starts, ends = runs(np.isfinite(values).astype(np.int8))
    size = -(-len(values) // _N_COLUMNS)
    return [
        " ".join(
            f"{row * width:.1f},{value:.1f}"
            for row, value in _columns(values, start, end + 1, size)
        )
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True)
    ]


def _columns(values, start, end, size):
    """Return the points of a line: the lowest and highest of each `size` rows."""
    for first in range(start, end, size):
        part = values[first : min(first + size, end)]
        for row in sorted({int(part.argmin()), int(part.argmax())}):
            yield first + row, part[row]
    if end - start == 1:
        yield start + 0.5, values[start]  # a line of one point is not drawn
