# SPDX-License-Identifier: MIT
"""Times of rows, and warnings about irregular ones."""

from dataclasses import dataclass
from datetime import UTC

import numpy as np

from tsanomaly._parameter_error import Parameter, ParameterWarning
from tsanomaly.datasets._steps import show_step, usual_step

__all__ = ["REGULARIZE", "YEARS", "Times", "count_rows", "irregularities"]

# A function; the command line has an option instead.
REGULARIZE = Parameter("regularize()")

YEARS = (1678, 2261)  # full years in the range of nanoseconds since 1970
_DAY = 86_400 * 10**9
_GAP = 10  # usual steps: a longer one is a gap


@dataclass
class Times:
    """Times in nanoseconds since 1970, with their zone and original format.

    Times with a zone are in UTC.
    """

    values: np.ndarray
    zone: object  # None, "UTC" or a fixed offset
    description: str
    message: object = None  # a warning about the detected format

    @property
    def are_counted(self):
        """Whether the times were numbers, unaffected by daylight saving time."""
        return "since" in self.description or "numbers" in self.description

    @classmethod
    def with_zones(cls, values, zones, description, column):
        """Make times in UTC from the zones in which a column was written."""
        if len(zones) > 1:
            return cls(
                values,
                "UTC",
                f"{description}, several offsets, read as UTC",
                f"{column.path}, column {column.name!r}: times have several offsets "
                "from UTC, as where summer time begins or ends. They are read as UTC, "
                "and so are all times in results.",
            )
        (zone,) = zones
        zone = "UTC" if zone == UTC else zone
        return cls(values, zone, f"{description}, zone {zone}")

    def to_index(self, name):
        """Return a DatetimeIndex of datetime64[ns]."""
        import pandas as pd

        index = pd.DatetimeIndex(self.values.view("M8[ns]"), name=name)
        if self.zone is None:
            return index
        return index.tz_localize("UTC").tz_convert(self.zone)


def irregularities(table, times, order):
    """Yield warnings about times that are out of order, repeated or unevenly spaced."""

    def place(row):
        name = times.to_index(None)[row]
        return f"line {table.lines[row]} ({name})"

    values = times.values
    backwards = np.flatnonzero(values[1:] < values[:-1]) + 1
    autumn = _ends_of_summer_time(times, backwards)
    if len(backwards):
        n_times = "once" if len(backwards) == 1 else f"{len(backwards):,} times"
        message = (
            f"{table.path}: times go backwards {n_times}, first in "
            f"{place(backwards[0])}. The rows were sorted by time."
        )
        if len(autumn):
            message += (
                f" In {place(autumn[0])} this looks like the end of daylight saving "
                "time, when local times repeat an hour. The rows of both hours are "
                "now interleaved. Export the times in UTC or with their offset, or "
                "localise them in the order of the file, for example with "
                "tz_localize(zone, ambiguous='infer') of pandas."
            )
        yield message
    values = values[order]
    repeated = np.flatnonzero(values[1:] == values[:-1]) + 1
    if len(repeated):
        text = (
            f"{table.path}: {count_rows(len(repeated), 'has', 'have')} the same time "
            f"as another row, first in {place(order[repeated[0]])}. All were kept."
        )
        yield text if len(autumn) else _on_a_grid(text, "averages them.")
    steps = np.diff(values).view(np.uint64)
    usual, is_most_frequent = usual_step(values)
    odd = np.flatnonzero((steps != usual) & (steps > 0)) if usual else ()
    if len(odd):
        kind = "most frequent" if is_most_frequent else "median"
        text = (
            f"{table.path}: {len(odd):,} of {len(steps):,} steps "
            f"{'differs' if len(odd) == 1 else 'differ'} from the {kind} one of "
            f"{show_step(usual)}, first before "
            f"{place(order[odd[0] + 1])}; the longest is {show_step(steps.max())}."
        )
        are_gaps = steps[odd].min() > _GAP * usual  # which a grid does not close
        if len(autumn) or are_gaps:
            yield text
        else:
            yield _on_a_grid(text, "puts the readings on a grid.")


def count_rows(number, one, more):
    """Format a number of rows with a verb, such as "1 row has" or "2 rows have"."""
    return f"1 row {one}" if number == 1 else f"{number:,} rows {more}"


def _on_a_grid(text, what):
    """Make a warning whose cure is to resample to a regular grid."""
    return ParameterWarning(f"{text} ", REGULARIZE, f" {what}")


def _ends_of_summer_time(times, backwards):
    """Return rows at which daylight saving time ends, in times without a zone.

    There, times go back by about an hour, at most once a year.
    """
    if times.zone is not None or times.are_counted:
        return backwards[:0]
    seconds = (times.values[backwards - 1] - times.values[backwards]) / 10**9
    rows = backwards[(seconds >= 1800) & (seconds <= 3660)]
    days = np.diff(times.values[rows]) / _DAY
    return rows if (days > 300).all() else rows[:0]
