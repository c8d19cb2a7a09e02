# SPDX-License-Identifier: MIT
"""Find lasting changes of the level, the noise and similar figures of a channel.

A series is cut into blocks of rows, and one number is computed for each block: the
median of a channel, or the logarithm of its noise. A change counts if those in all
other blocks are much smaller, so that cycles, loads and random walks set their own
standard.
"""

from typing import NamedTuple

import numpy as np

from tsanomaly._channel_faults import Fault
from tsanomaly._windows import runs

__all__ = ["departures", "find_noise_changes", "find_steps", "levels_of"]

# Minimum and maximum number of rows per block whose median is the level, and desired
# number of blocks.
_LEVEL_ROWS, _N_LEVELS = (16, 64), 40

# Number of readings per block whose noise is computed, and minimum number of blocks to
# define what is usual.
_NOISE_ROWS, _N_BLOCKS = 32, 16

# Minimum ratio of a change to all others, and of a step to the noise.
_ALONE, _STEP_NOISE = 3.0, 2.0

# Maximum number of changes to find in a channel. More are its usual behaviour.
_MOST_CHANGES = 3

# Minimum ratio of the noise before and after a change.
_NOISE_RATIO = 2.0

# Minimum deviation of an unusual stretch, in robust standard deviations of the blocks.
_DEVIATIONS = 6.0

# Penalty per block of the ridge regression of levels on each other.
_RIDGE = 1e-3


class Levels(NamedTuple):
    """Levels of a channel, in which to find steps.

    They are the medians of blocks of rows: of the channel, and of a reference or None.
    Steps smaller than `floor` are ignored.
    """

    now: np.ndarray
    before: np.ndarray | None
    floor: float


def levels_of(channel, reference):
    """Return the levels of a channel.

    Parameters
    ----------
    channel, reference : Channel
        The readings, and earlier ones or None.

    Returns
    -------
    levels : Levels or None
        None if the channel is not measured, or too short to find steps.
    """
    if not channel.is_measured or len(channel) < _N_LEVELS * _LEVEL_ROWS[0]:
        return None
    size = _rows_per_level(channel)
    before = None if reference is None else _level(reference, size)
    return Levels(_level(channel, size), before, _smallest_step(channel, size))


def _rows_per_level(channel):
    return int(np.clip(len(channel.present) // _N_LEVELS, *_LEVEL_ROWS))


def find_steps(levels, channel_at):
    """Find steps of the level of each channel.

    Parameters
    ----------
    levels : list of (Levels or None)
        Levels of all channels of a series.
    channel_at : callable
        Returns the Channel at a position. Called only for channels with a step.

    Returns
    -------
    steps : list of list of Fault
        Steps of each channel.
    """
    steps = [[] for _ in levels]
    measured = [number for number, own in enumerate(levels) if own is not None]
    if not measured:
        return steps
    chosen = [levels[number] for number in measured]
    before = None
    if all(own.before is not None for own in chosen):
        before = np.array([own.before for own in chosen])
        before = before if before.shape[1] >= _N_BLOCKS else None
    now = np.array([own.now for own in chosen])
    unexplained, earlier = _unexplained(now, before)
    for place, number in enumerate(measured):
        floor = levels[number].floor
        usual = None if earlier is None else _changes(earlier[place])
        found = _jumps(unexplained[place], usual, floor, spare=2)
        raw = _changes(now[place])
        change = _changes(unexplained[place])
        # Drop changes that come from another channel, or that are soon reversed.
        found = [
            block
            for block in found
            if raw[block] / change[block] >= 0.5
            and _stays(unexplained[place], block, change[block])
        ]
        if found:
            steps[number] = _as_steps(channel_at(number), found)
        elif before is not None:
            text = _elsewhere(now[place], before[place], floor)
            if text:
                channel = channel_at(number)
                extent = channel.rows[0], channel.rows[-1], len(channel)
                steps[number] = [Fault("step_change", *extent, text)]
    return steps


def _elsewhere(levels, before, floor):
    """Describe a step from a reference to all levels, or return None."""
    low, high = np.nanmin(before), np.nanmax(before)
    margin = max(high - low, floor)
    known = levels[~np.isnan(levels)]
    if not ((known < low - margin).all() or (known > high + margin).all()):
        return None
    return (
        f"is at about {np.median(known):.4g} throughout, far from the {low:.4g} to "
        f"{high:.4g} of the reference"
    )


def _level(channel, size):
    """Return the medians of blocks of rows.

    They are NaN before the first reading, and in blocks with rows of two stretches. A
    block with few readings has the level of the previous one.
    """
    filled = np.full(len(channel.present), np.nan)
    filled[channel.rows] = channel.values
    blocks = _blocks(filled, size)
    n_known = _blocks(channel.present, size).sum(axis=1)
    level = np.median(blocks, axis=1)  # NaN if any reading is
    partly = np.flatnonzero((n_known < size) & (n_known >= size / 2))
    if len(partly):
        known, ordered = n_known[partly], np.sort(blocks[partly], axis=1)  # NaN last
        below, above = (
            ordered[np.arange(len(partly)), place]
            for place in ((known - 1) // 2, known // 2)
        )
        level[partly] = (below + above) / 2
    # Forward-filled, so that a step during a dropout is not missed.
    source = np.maximum.accumulate(np.where(np.isnan(level), 0, np.arange(len(level))))
    level = level[source]
    heads = np.zeros(len(channel.present), dtype=bool)
    heads[channel.rows[1:]] = channel.heads[1:]
    level[_blocks(heads, size).any(axis=1)] = np.nan
    return level


def _unexplained(levels, before):
    """Return levels and reference without what changes of other channels explain."""
    parts = [levels] if before is None else [levels, before]
    n_channels = len(levels)
    changes = np.concatenate([_changes(part) for part in parts], axis=1)
    # The largest changes of a channel may be its faults.
    limit = np.nanquantile(np.abs(changes), 0.98, axis=1, keepdims=True)
    fitted = np.clip(changes, -limit, limit)
    fitted = fitted[:, np.isfinite(fitted).all(axis=0)]
    scale = fitted.std(axis=1, keepdims=True)
    if n_channels == 1 or fitted.shape[1] < 4 * n_channels or not (scale > 0).all():
        return levels, before
    fitted = fitted / scale
    gram = fitted @ fitted.T / fitted.shape[1] + _RIDGE * np.eye(n_channels)
    precision = np.linalg.inv(gram)
    weights = precision / precision.diagonal()[:, None]
    # Convert to the units of the channel itself.
    weights = weights * scale / scale.T
    unexplained = []
    for part in parts:
        rest = weights @ np.nan_to_num(part - np.nanmean(part, axis=1, keepdims=True))
        rest[np.isnan(part)] = np.nan
        unexplained.append(rest)
    return unexplained[0], None if before is None else unexplained[1]


def _changes(levels, width=1):
    """Return the change from before to after each block, 0 where a level is unknown."""
    changes = np.zeros_like(levels)
    changes[..., width:-width] = levels[..., 2 * width :] - levels[..., : -2 * width]
    # A block with an unknown level lies between two stretches.
    changes[np.isnan(changes) | np.isnan(levels)] = 0
    return changes


def _smallest_step(channel, size):
    """Return the smallest step that exceeds the noise and resolution of a channel."""
    blocks = _blocks(channel.values, size)
    noise = np.median(np.abs(blocks - np.median(blocks, axis=1, keepdims=True)))
    return max(_STEP_NOISE * 1.4826 * noise, 3 * _resolution(channel))


def _resolution(channel):
    """Return the smallest change between readings, except for the smallest 5 %."""
    change = channel.differences()
    return np.quantile(change, 0.05) if len(change) else 0.0


def _jumps(levels, usual, floor, *, spare, width=1):
    """Find the blocks where the level changes far more than anywhere else.

    Parameters
    ----------
    levels : ndarray of shape (n_blocks,)
        Levels, NaN where unknown.
    usual : ndarray or None
        Changes in a reference.
    floor : float
        Smaller changes are ignored.
    spare : int
        Number of blocks on either side that a jump also changes.
    width : int, default=1
        Distance, in blocks, to the two blocks whose difference is the change.
    """
    changes = _changes(levels, width)
    sizes = np.abs(changes)
    least = floor
    if usual is not None:
        least = max(least, _ALONE * np.abs(usual).max(initial=0))
    order, rest = [], [sizes.copy()]
    for _ in range(_MOST_CHANGES):
        left = rest[-1].copy()
        order.append(int(left.argmax()))
        left[max(0, order[-1] - spare) : order[-1] + spare + 1] = 0
        rest.append(left)
    for n_jumps in range(_MOST_CHANGES, 0, -1):
        chosen = order[:n_jumps]
        if sizes[chosen].min() > max(_ALONE * rest[n_jumps].max(), least):
            return _without_excursions(sorted(chosen), changes)
    return []


def _without_excursions(blocks, changes):
    """Drop jumps that undo each other, because a level that returns is an event."""
    kept = []
    for block in blocks:
        if kept and abs(changes[kept[-1]] + changes[block]) < 0.5 * abs(changes[block]):
            kept.pop()
        else:
            kept.append(block)
    return kept


def _stays(levels, block, change):
    """Whether the level is still changed some blocks later."""
    before = levels[max(0, block - 5) : max(0, block - 1)]
    after = levels[block + 2 : block + 6]
    before, after = before[~np.isnan(before)], after[~np.isnan(after)]
    if not len(before) or not len(after):
        return False
    return (np.median(after) - np.median(before)) / change >= 0.5


def _locate(channel, block, size):
    """Return the first row after a step in or next to a block of rows."""
    ends = np.array([block - 1, block, block + 2]) * size
    start, middle, stop = np.searchsorted(channel.rows, ends)
    start = max(0, min(start, middle - size))  # further back if there is a dropout
    part = channel.values[start:stop]
    part = part - np.median(part)
    before, count = np.cumsum(part)[:-1], np.arange(1, len(part))
    gain = before**2 / count + (part.sum() - before) ** 2 / (len(part) - count)
    return channel.rows[start + 1 + int(np.argmax(gain))]


def _as_steps(channel, blocks):
    """Describe steps in or next to blocks of rows, each lasting until the next one."""
    size, n_rows = _rows_per_level(channel), len(channel.present)
    rows = [_locate(channel, block, size) for block in blocks]
    return [
        _as_step(channel, row, stop, size)
        for row, stop in zip(rows, [*rows[1:], n_rows], strict=True)
    ]


def _as_step(channel, row, stop, size):
    middle = np.searchsorted(channel.rows, row)
    last = np.searchsorted(channel.rows, stop) - 1
    before = np.median(channel.values[max(0, middle - 2 * size) : middle])
    after = np.median(channel.values[middle : middle + 2 * size])
    text = (
        f"steps from about {before:.4g} to {after:.4g} and stays there, a change that "
        "neither the other channels nor its own past explain"
    )
    n_rows = int(last - middle + 1)
    return Fault("step_change", row, channel.rows[last], n_rows, text)


def find_noise_changes(channel, reference):
    """Yield stretches with far more or far less noise than usual."""
    source = channel if reference is None else reference
    if not source.is_measured:
        return
    levels = _noise_levels(channel)
    usual = None if reference is None else _noise_levels(reference)
    found = []
    if usual is None:
        found = _lasting(levels)
    if not found:
        found = departures(levels, usual, np.log(_NOISE_RATIO))
    for first, last, difference in found:
        start = first * _NOISE_ROWS + (first > 0)
        end = len(channel) - 1
        if last < len(levels) - 1:
            end = min((last + 1) * _NOISE_ROWS, end)
        rows = channel.rows[start], channel.rows[end]
        text = f"has {np.exp(difference):.2g} times its usual noise"
        yield Fault("noise_change", *rows, end - start + 1, text)


def _noise_levels(channel):
    """Return the logarithm of the noise of blocks of readings, NaN where it is 0.

    Noise is the mean distance of a reading from the midpoint of its neighbours, so that
    the slope of a cycle does not count. The largest tenth of the distances is left out,
    so that spikes and steps do not count either.
    """
    values = channel.values
    if len(values) < 3:
        return np.empty(0)
    off = np.abs(values[1:-1] - (values[:-2] + values[2:]) / 2)
    kept = int(0.9 * _NOISE_ROWS)
    blocks = np.partition(_blocks(off, _NOISE_ROWS), kept, axis=1)
    mean = blocks[:, :kept].mean(axis=1)
    # Equal readings leave rounding errors. Noise below the resolution is unknown.
    is_none = mean <= 1e-9 * np.abs(values).max(initial=0)
    mean = np.maximum(mean, _resolution(channel) / 2)
    mean[is_none] = np.nan
    return np.log(mean)


def _lasting(levels):
    """Find permanent changes, each lasting until the next one; see `departures`."""
    if len(levels) < _N_BLOCKS or np.isnan(levels).any():
        return []
    smooth = _running_median(levels, 5)
    places = []
    for block in _jumps(smooth, None, np.log(_NOISE_RATIO), spare=6, width=3):
        part = smooth[max(0, block - 6) : block + 7]
        change = np.abs(np.diff(part))
        places.append(max(0, block - 6) + 1 + int(change.argmax()))
    # A change of only a few blocks at either end is not a lasting one.
    places = [place for place in places if 5 <= place <= len(levels) - 5]
    found = []
    for start, stop in zip(places, [*places[1:], len(levels)], strict=False):
        earlier = found[-1][0] if found else 0
        difference = np.median(levels[start:stop]) - np.median(levels[earlier:start])
        if abs(difference) >= np.log(_NOISE_RATIO):
            found.append((start, stop - 1, difference))
    return found


def departures(levels, reference, least):
    """Find stretches of blocks whose level is far from the usual one.

    Parameters
    ----------
    levels : ndarray of shape (n_blocks,)
        Logarithms, NaN where unknown.
    reference : ndarray of shape (n_blocks,) or None
        Logarithms of a reference.
    least : float
        Smaller distances are never far.

    Returns
    -------
    found : list of tuple of int, int, float
        First and last block, and the difference from the usual level. Empty if there
        are more than three stretches, because these are then usual behaviour.
    """
    smooth = _running_median(levels, 3)
    usual = smooth if reference is None else _running_median(reference, 3)
    known = usual[~np.isnan(usual)]
    if len(known) < max(_N_BLOCKS, len(usual) / 2):
        return []
    center = np.median(known)
    spread = 1.4826 * np.median(np.abs(known - center))
    away = np.abs(smooth - center) > max(least, _DEVIATIONS * spread)
    if reference is not None:
        away &= (smooth > known.max()) | (smooth < known.min())
    start, end = runs(away.astype(np.int8))
    lasts = end - start >= 2
    start, end = start[lasts], end[lasts]
    if len(start) > _MOST_CHANGES:
        return []
    found = []
    for first, last in zip(start.tolist(), end.tolist(), strict=True):
        difference = np.nanmedian(smooth[first : last + 1]) - center
        if reference is None and first == 0 and last < len(smooth) - 3:
            # The later part is the one that changed.
            first, last, difference = last + 1, len(smooth) - 1, -difference
        found.append((first, last, difference))
    return found


def _running_median(levels, width):
    if len(levels) < width:
        return levels
    padded = np.pad(levels, width // 2, mode="edge")
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, width), axis=1)


def _blocks(values, size):
    """Cut values into full blocks, (n_blocks, size)."""
    n_blocks = len(values) // size
    return values[: n_blocks * size].reshape(n_blocks, size)
