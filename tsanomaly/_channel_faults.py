# SPDX-License-Identifier: MIT
"""Find faults of single channels in their own readings.

Functions take the readings of a channel, and those of the same channel in a reference
or None, and yield faults. Without a reference, most rows of the channel define what is
usual.
"""

from typing import NamedTuple

import numpy as np

from tsanomaly._windows import runs
from tsanomaly._wording import count

__all__ = [
    "LARGEST",
    "LONG",
    "MOST_FINDINGS",
    "Channel",
    "Fault",
    "find_holds",
    "find_missing",
    "find_outliers",
    "usual_length",
]

# Larger readings are not physical, and their squares would overflow.
LARGEST = 1e100

# More findings of one kind and channel are merged.
MOST_FINDINGS = 5

# A run of rows is long if it is this many times as long as 95 % of the others.
LONG = 10

# Minimum number of distinct values of a measurement. With fewer, they are states.
_N_LEVELS = 20

# A sensor is cut off at the end of its range if at least this share of the readings has
# that value, and this many times as many as have another value.
_CUT_OFF, _CUT_OFF_RATIO = 0.01, 10

# Outliers: minimum distance from the range of all other readings, in multiples of this
# range, of measurements and of states, whose codes may be far apart.
_FAR, _FAR_STATE = 10, 100

# Maximum number of outliers at either end: rows, or share of the readings.
_MOST_OUTLIERS, _OUTLIER_SHARE = 5, 0.01

# Minimum ratio of the standard deviations with and without outliers.
_DOMINANCE = 1.2

# Maximum distance of readings that approach a value, in median changes.
_NEAR = 5


class Fault(NamedTuple):
    """A finding in the rows from `start` to `end`, both inclusive.

    `advice` is set if it is not the same for all findings of the kind.
    """

    kind: str
    start: int
    end: int
    n_rows: int
    text: str
    advice: str = ""


class Channel:
    """The readings of one channel, without missing ones.

    Parameters
    ----------
    values : ndarray of shape (n_timestamps,)
        Readings, NaN where missing.
    breaks : ndarray of shape (n_timestamps,), dtype=bool
        Rows that separate two stretches.

    Attributes
    ----------
    rows, values : ndarray of shape (n_readings,)
        Rows with a reading, and the readings.
    heads : ndarray of shape (n_readings,), dtype=bool
        First readings, of the series and after breaks.
    present : ndarray of shape (n_timestamps,), dtype=bool
        Rows with a reading.
    hold_starts : ndarray of int
        Positions of the first readings of runs of equal ones.
    """

    def __init__(self, values, breaks):
        self.present = ~np.isnan(values)
        self.rows = np.flatnonzero(self.present)
        self.values = values if self.present.all() else values[self.rows]
        parts = np.cumsum(breaks)[self.rows]
        self.heads = np.ones(len(self.rows), dtype=bool)
        self.heads[1:] = parts[1:] != parts[:-1]
        changed = self.heads.copy()
        changed[1:] |= self.values[1:] != self.values[:-1]
        self.hold_starts = np.flatnonzero(changed)

    # Not stored, because they may be as long as the series.
    @property
    def hold_lengths(self):
        return np.diff(self.hold_starts, append=len(self.rows))

    @property
    def hold_values(self):
        return self.values[self.hold_starts]

    def __len__(self):
        return len(self.rows)

    @property
    def range(self):
        return self.values.min(initial=np.inf), self.values.max(initial=-np.inf)

    @property
    def is_measured(self):
        """Whether the channel changes often and has many values, unlike a state."""
        if len(self.hold_starts) < _N_LEVELS:
            return False
        values = self.hold_values
        return len(np.unique(values[:: max(1, len(values) // 5000)])) >= _N_LEVELS

    @property
    def counts_up(self):
        """Whether the channel is a counter: it may stand still, but hardly reverses."""
        change = np.diff(self.values)
        turns = min((change < 0).sum(), (change > 0).sum())
        return turns <= len(change) // 1000

    def differences(self):
        """Return the absolute changes from reading to reading, without zeros."""
        change = np.abs(np.diff(self.values)[~self.heads[1:]])
        return change[change > 0]


def usual_length(lengths):
    """Return the length that 95 % of the lengths do not exceed.

    Parameters
    ----------
    lengths : ndarray of shape (n,)
        Lengths in any order. The largest of two or more is never returned, because it
        may be a fault.

    Returns
    -------
    length : float or None
        None without lengths.
    """
    if not len(lengths):
        return None
    # Not numpy.partition, which is slow if most values are equal.
    return np.sort(lengths)[int(0.95 * (len(lengths) - 1))]


def find_missing(channel, reference, breaks):
    """Yield long runs of rows without a reading, and a high share of other such rows.

    Parameters
    ----------
    channel, reference : Channel
        The readings, and earlier ones or None.
    breaks : ndarray of shape (n_timestamps,), dtype=bool
        Rows that do not count as missing in any channel.
    """
    # Without breaks, so that a long break does not count as missing readings.
    kept = np.flatnonzero(~breaks)
    absent = ~channel.present[kept]
    if not absent.any():
        return
    n_rows = len(kept)
    if absent.all():
        yield Fault("missing", kept[0], kept[-1], n_rows, "has no reading at all")
        return
    source = channel if reference is None or not len(reference) else reference
    distances = np.diff(source.rows)
    usual = usual_length(np.append(distances, 1))
    if source is not channel:
        usual = max(usual, usual_length(np.append(np.diff(channel.rows), 1)))
    start, end = runs(absent.astype(np.int8))
    length = end - start + 1
    long = length >= LONG * usual
    often = "one in every row" if usual == 1 else f"one in {usual} rows"
    for first, last, rows in zip(start[long], end[long], length[long], strict=True):
        text = f"has no reading in {count(rows, 'row')}, where {often} is usual"
        yield Fault("missing", kept[first], kept[last], rows, text)
    share = length[~long].sum() / n_rows
    if reference is not None and len(reference):
        before = 1 - len(reference) / max(1, len(reference.present))
        is_high = share > max(2 * before, before + 0.1)
    else:
        # A slower sensor has a reading in every tenth row, for example.
        is_regular = usual > 1 and np.median(distances) == usual
        before, is_high = None, share > 0.2 and not is_regular
    if is_high:
        text = f"has no reading in {share:.0%} of the rows, here and there"
        if before is not None:
            text += f"; it was {before:.0%} before"
        places = kept[absent]
        n_absent = int(length[~long].sum())
        yield Fault("missing", places[0], places[-1], n_absent, text)


def find_holds(channel, reference):
    """Yield values held for too long: flat, zero, or the end of the sensor's range."""
    source = channel if reference is None else reference
    if not source.is_measured or source.counts_up or not len(channel):
        return
    is_special = np.isin(source.hold_values, [0, *source.range])
    lengths = source.hold_lengths[~is_special]
    usual = usual_length(lengths)
    if usual is None:
        return
    least = LONG * usual
    if reference is not None:
        least = max(least, lengths.max() + 1)
    low, high = channel.range
    rails = {"railed_low": low, "railed_high": high} if low < high else {}
    held, values = channel.hold_lengths, channel.hold_values
    rails = {
        kind: value
        for kind, value in rails.items()
        # A value that is held once and was reached gradually is not a rail: the sensor
        # is stuck at an arbitrary value.
        if value != 0
        and ((values == value).sum() > 1 or not _is_approached(channel, value))
    }
    for hold in np.flatnonzero(held >= least):
        value, length = values[hold], int(held[hold])
        if value in rails.values() or _is_state(value, length, channel, reference):
            continue
        kind, what = "flatline", f"stays at {value:.6g}"
        if value == 0:
            kind, what = "stuck_at_zero", "is exactly 0"
        first = channel.hold_starts[hold]
        rows = channel.rows[first], channel.rows[first + length - 1]
        usually = f"where {count(int(usual), 'row')} at most is usual"
        text = f"{what} for {count(length, 'row')}, {usually}"
        yield Fault(kind, *rows, length, text)
    for kind, value in rails.items():
        places = values == value
        starts, lengths = channel.hold_starts[places], held[places]
        longest, n_rows = int(lengths.max()), int(lengths.sum())
        if longest >= least:
            starts, lengths = starts[lengths >= least], lengths[lengths >= least]
        elif not _is_cut_off(channel, value, n_rows):
            continue
        is_state = _is_state(value, longest, channel, reference)
        if reference is not None:
            before = reference.hold_lengths[reference.hold_values == value].sum()
            is_state &= n_rows / len(channel) <= 3 * before / len(reference)
        # Readings jump to a state in which the machine rests, but approach the end of a
        # range gradually.
        if is_state and (reference is not None or not _is_approached(channel, value)):
            continue
        first, last = starts[0], starts[-1] + lengths[-1] - 1
        n_rows = int((channel.values[first : last + 1] == value).sum())
        end = "lowest" if kind == "railed_low" else "highest"
        text = (
            f"is exactly at its {end} value, {value:.6g}, in {count(n_rows, 'row')}, "
            f"{longest:,} of them in succession"
        )
        yield Fault(kind, channel.rows[first], channel.rows[last], n_rows, text)


def find_outliers(channel, reference, holds):
    """Yield single readings so far from all others that they dominate the spread.

    Parameters
    ----------
    channel, reference : Channel
        The readings, and earlier ones or None.
    holds : list of Fault
        Held values, which are no outliers.
    """
    values = channel.values
    most = max(_MOST_OUTLIERS, int(_OUTLIER_SHARE * len(values)))
    if reference is not None:
        most = min(most, (len(values) - 1) // 2)
    if len(values) < (4 * most if reference is None else 1):
        return
    source = channel if reference is None else reference
    ratio = _FAR if source.is_measured else _FAR_STATE
    ordered = np.partition(values, [most, len(values) - 1 - most])
    low, high = ordered[most], ordered[-1 - most]
    if reference is not None:
        start, end = reference.range
        low, high = min(low, start), max(high, end)
    while True:
        # If all other readings are the same, their distance from 0 is the measure. A
        # state that is 0 nearly always has none.
        reach = ratio * ((high - low) or abs(high))
        usual = values[(values >= low - reach) & (values <= high + reach)]
        inner = low, high
        low, high = min(low, usual.min()), max(high, usual.max())
        if (low, high) == inner:
            break
    if not reach or values.std() <= _DOMINANCE * usual.std():
        return
    is_far = (values < low) | (values > high)
    for hold in holds:
        start, end = np.searchsorted(channel.rows, [hold.start, hold.end])
        is_far[start : end + 1] &= values[start : end + 1] != values[start]
    first, last = runs(is_far.astype(np.int8))
    if len(first) > MOST_FINDINGS:
        first, last = first[:1], last[-1:]
    form = _format_of(values)
    others = f"far from all other readings, {_range(low, high, '{:.6g}'.format)}"
    for start, end in zip(first, last, strict=True):
        part = values[start : end + 1]
        far = part[is_far[start : end + 1]]
        ends = [far[far < low], far[far > high]]
        what = " and ".join(
            _range(side.min(), side.max(), form) for side in ends if len(side)
        )
        if len(far) > 1:
            what += f" in {count(len(far), 'row')}"
        rows = channel.rows[start], channel.rows[end]
        yield Fault("outlier", *rows, len(far), f"reads {what}, {others}")


def _format_of(values):
    """Return the function that formats single readings of a channel in full."""
    # With the digits of the type that the readings had: 0.1 also in single precision.
    is_single = np.array_equal(values, values.astype(np.float32))

    def form(value):
        if abs(value) == LARGEST:
            return f"{value:.6g} or {'more' if value > 0 else 'less'}"
        if is_single and value % 1:
            value = float(str(np.float32(value)))
        return f"{value:.15g}"

    return form


def _range(low, high, form):
    """Format two readings and what lies between, with the digits that differ."""
    if low == high:
        return form(low)
    ends = form(low), form(high)
    if ends[0] == ends[1]:
        digits = 2 - int(np.floor(np.log10((high - low) / max(abs(low), abs(high)))))
        ends = f"{low:.{digits}g}", f"{high:.{digits}g}"
    return " to ".join(ends)


def _is_state(value, length, channel, reference):
    """Whether a value is one at which the channel rests regularly."""
    if reference is not None:
        before = reference.hold_lengths[reference.hold_values == value]
        return len(before) > 0 and length <= 3 * before.max()
    others = channel.hold_lengths[channel.hold_values == value]
    others = np.sort(others[others >= min(LONG, length)])
    return len(others) >= 3 and length <= LONG * others[-2]


def _is_cut_off(channel, value, n_rows):
    """Whether more readings are at the end of the range than by chance."""
    if n_rows < max(LONG, _CUT_OFF * len(channel)):
        return False
    # The number of readings with other values depends on the resolution.
    counts = np.unique(channel.values[channel.values != value], return_counts=True)[1]
    return n_rows >= _CUT_OFF_RATIO * usual_length(counts)


def _is_approached(channel, value):
    """Whether readings come close to a value before they reach it."""
    before = channel.hold_starts[channel.hold_values == value] - 1
    distance = np.abs(channel.values[before[before >= 0]] - value)
    change = channel.differences()
    if not len(distance) or not len(change):
        return True
    return np.median(distance) <= _NEAR * np.median(change)
