# SPDX-License-Identifier: MIT
from numbers import Integral, Real

import numpy as np
from sklearn.utils import check_array, check_random_state

from tsanomaly._validation import check_columns

__all__ = ["KINDS", "inject_anomalies"]

_CONTAMINATION = 0.0425

# Larger readings are not physical, and their squares would overflow.
_LARGEST = 1e100

# Number of other stretches to choose readings from, and number of the smoothest ones
# to keep.
_STRETCHES, _SMOOTHEST = 1000, 50

# Maximum number of readings in all of them together.
_STRETCHES_READINGS = 4_000_000

# Number of other places to try if an event would change nothing.
_ATTEMPTS = 200


class _Channel:
    """A channel with the properties that anomalies depend on.

    Parameters
    ----------
    X : ndarray of shape (n_timestamps, n_channels)
        The original series.
    position : int
        Column of the channel.
    """

    def __init__(self, X, position):
        self.values = X[:, position].astype(np.float64)
        self._X, self._position, self._weights = X, position, None
        low, high = np.nanmin(self.values), np.nanmax(self.values)
        # A constant channel has no scale.
        self.scale = np.nanstd(self.values) if low < high else abs(low) or 1.0

    def expected(self, start, stop):
        """Predict readings from the other channels by least squares."""
        if self._weights is None:
            known = self._X[np.isfinite(self._X).all(axis=1)].astype(np.float64)
            target = known[:, self._position].copy()
            known[:, self._position] = 1.0  # the intercept
            self._weights = np.linalg.lstsq(known, target, rcond=None)[0]
        inputs = np.nan_to_num(self._X[start:stop].astype(np.float64))
        inputs[:, self._position] = 1.0
        return inputs @ self._weights

    def elsewhere(self, start, stop, rng):
        """Return other stretches of the same length without gaps or overlap.

        Returns
        -------
        stretches : ndarray of shape (n_stretches, stop - start + 2)
            Stretches with one more reading on each side. May be empty.
        """
        length = stop - start
        window = np.lib.stride_tricks.sliding_window_view(self.values, length + 2)
        n_tried = np.clip(_STRETCHES_READINGS // length, _SMOOTHEST, _STRETCHES)
        starts = rng.randint(len(window), size=n_tried)
        starts = starts[np.abs(starts + 1 - start) >= length]
        stretches = window[starts]
        return stretches[np.isfinite(stretches).all(axis=1)]


def _spike(channel, start, stop, magnitude, rng):
    return channel.values[start:stop] + magnitude * channel.scale


def _drop(channel, start, stop, magnitude, rng):
    return channel.values[start:stop] - magnitude * channel.scale


def _level_shift(channel, start, stop, magnitude, rng):
    shift = rng.choice([-1, 1]) * magnitude * channel.scale
    return channel.values[start:stop] + shift


def _drift(channel, start, stop, magnitude, rng):
    shift = rng.choice([-1, 1]) * magnitude * channel.scale
    ramp = np.arange(1, stop - start + 1) / (stop - start)
    return channel.values[start:stop] + shift * ramp


def _contextual(channel, start, stop, magnitude, rng):
    """Return the stretch of the channel that differs most from the true readings."""
    values = channel.values[start:stop]
    stretches = channel.elsewhere(start, stop, rng)[:, 1:-1]
    if not len(stretches):
        return values
    return stretches[np.abs(stretches - values).mean(axis=1).argmax()]


def _amplitude_change(channel, start, stop, magnitude, rng):
    # Including the neighbouring readings, so that a single reading also changes.
    mean = channel.values[start - 1 : stop + 1].mean()
    return mean + (1 + magnitude) * (channel.values[start:stop] - mean)


def _frequency_change(channel, start, stop, magnitude, rng):
    """Speed up the readings by a factor of ``1 + magnitude``."""
    last = len(channel.values) - 1
    steps = np.arange(1, stop - start + 1)
    rows = start - 1 + ((1 + magnitude) * steps).astype(np.intp)
    # Reflect at the end of the series.
    rows = last - np.abs(last - rows % (2 * last))
    ahead = channel.values[rows]
    return np.where(np.isnan(ahead), channel.values[start:stop], ahead)


def _noise_burst(channel, start, stop, magnitude, rng):
    noise = rng.normal(scale=magnitude * channel.scale, size=stop - start)
    return channel.values[start:stop] + noise


def _stuck(channel, start, stop, magnitude, rng):
    return np.full(stop - start, channel.values[start - 1])


def _dropout(channel, start, stop, magnitude, rng):
    return np.full(stop - start, np.nan)


def _correlation_break(channel, start, stop, magnitude, rng):
    """Return a stretch that fits the past of the channel but not other channels."""
    stretches = channel.elsewhere(start, stop, rng)
    if not len(stretches):
        return channel.values[start:stop]
    # The neighbours of a stretch should match the readings around the event.
    ends = channel.values[[start - 1, stop]]
    jump = np.abs(stretches[:, [0, -1]] - ends).max(axis=1)
    smooth = stretches[np.argsort(jump, kind="stable")[:_SMOOTHEST], 1:-1]
    misfit = np.abs(smooth - channel.expected(start, stop)).mean(axis=1)
    return smooth[misfit.argmax()]


# Kinds whose size is set by `magnitude`. The size of the others is measured.
_SIZED = {
    "spike": _spike,
    "drop": _drop,
    "level_shift": _level_shift,
    "drift": _drift,
    "amplitude_change": _amplitude_change,
    "frequency_change": _frequency_change,
    "noise_burst": _noise_burst,
}
_MEASURED = {
    "contextual": _contextual,
    "stuck": _stuck,
    "dropout": _dropout,
    "correlation_break": _correlation_break,
}
_MAKE = _SIZED | _MEASURED
_POINTS = ("spike", "drop")

KINDS = (
    "spike",
    "drop",
    "level_shift",
    "drift",
    "contextual",
    "amplitude_change",
    "frequency_change",
    "noise_burst",
    "stuck",
    "dropout",
    "correlation_break",
)


def inject_anomalies(
    X,
    *,
    kinds=None,
    contamination=None,
    n_events=None,
    magnitude=(3.0, 5.0),
    duration=(20, 100),
    random_state=None,
):
    """Inject labelled anomalies into a series, to test detectors.

    The series can be simulated or recorded. Each event changes one channel over
    consecutive rows, and events are not adjacent. Positions, channels and sizes are
    random.

    Parameters
    ----------
    X : array-like of shape (n_timestamps, n_channels)
        Series, rows in time order, assumed to be normal. It is not modified. It may
        contain NaN; events are placed where their channel has no gap.
    kinds : str, sequence of str or None, default=None
        Kinds of anomalies. They have equal shares of the anomalous rows, as far as
        `duration` allows; if there are few rows, some kinds do not occur. With the
        magnitude ``m`` and the standard deviation ``s`` of the channel:

        - 'spike', 'drop': a single row, ``m * s`` higher or lower.
        - 'level_shift': ``m * s`` higher or lower over the event.
        - 'drift': a ramp from 0 to ``m * s`` higher or lower.
        - 'contextual': plausible readings at the wrong time, copied from another time
          and chosen to differ most from the true ones.
        - 'amplitude_change': deviations from the mean multiplied by ``1 + m``.
        - 'frequency_change': readings that run ``1 + m`` times as fast.
        - 'noise_burst': additional noise with a standard deviation of ``m * s``.
        - 'stuck': a repetition of the previous reading.
        - 'dropout': NaN.
        - 'correlation_break': readings from another time that continue smoothly from
          the previous ones, chosen to contradict the other channels most. Normal for
          the channel, but abnormal together with the others. Requires two channels.

        None is every applicable kind except 'dropout', because few estimators support
        NaN.
    contamination : float or None, default=None
        Exact share of anomalous rows, in [0, 0.5]. None is 0.0425, unless `n_events` is
        given. Events of single rows cannot reach 0.5, because they need a normal row on
        each side.
    n_events : int or None, default=None
        Number of events, as an alternative to `contamination`. Kinds alternate.
    magnitude : float or tuple of two floats, default=(3.0, 5.0)
        Size of the anomalies, or a range from which it is drawn uniformly for each
        event. In (0, 1e6].
    duration : tuple of two ints, default=(20, 100)
        Minimum and maximum number of rows per event, except for 'spike' and 'drop'.
        With `contamination`, the last event of a kind takes its remaining rows, up to
        the sum of both limits, and the very last event may be shorter.
    random_state : int, RandomState instance or None, default=None
        Controls positions, channels and sizes.

    Returns
    -------
    X_anomalous : ndarray or DataFrame of shape (n_timestamps, n_channels)
        Copy of `X` with anomalies, of the same type. All other readings are identical
        bit for bit. Integers become float64, in a frame only in modified columns.
    y : ndarray of shape (n_timestamps,)
        Labels, 1 in the rows of events and 0 elsewhere.
    events : DataFrame
        One row per event, in time order: ``start`` and ``end``, both inclusive, as
        index labels of the frame or row numbers; ``kind``; ``channel``, as column name
        or position; ``magnitude``. For kinds without a set size, ``magnitude`` is the
        mean change in standard deviations of the channel, and NaN for 'dropout'.

    Raises
    ------
    ValueError
        If a parameter is out of range, `X` is not numeric or contains infinity, or the
        events cannot be placed. An event needs a place where its channel has no gap and
        at least half of the readings change.

    See Also
    --------
    make_sensor_data : Simulate the sensors of a plant.

    Notes
    -----
    The taxonomy of point, contextual and collective anomalies follows [1]_.

    References
    ----------
    .. [1] V. Chandola, A. Banerjee, V. Kumar. "Anomaly Detection: A Survey." ACM
           Computing Surveys 41(3), 2009. https://doi.org/10.1145/1541880.1541882

    Examples
    --------
    >>> import numpy as np
    >>> from tsanomaly.datasets import inject_anomalies
    >>> X = np.random.default_rng(0).normal(size=(1000, 2))
    >>> X_anomalous, y, events = inject_anomalies(
    ...     X, kinds=["level_shift", "stuck"], contamination=0.1, random_state=0
    ... )
    >>> int(y.sum()), events.columns.tolist()
    (100, ['start', 'end', 'kind', 'channel', 'magnitude'])
    """
    import pandas as pd

    values = _check_series(X)
    n_timestamps, n_channels = values.shape
    kinds = _check_kinds(kinds, n_channels)
    magnitude = _check_range(magnitude, "magnitude", Real, above=0, largest=1e6)
    duration = _check_range(duration, "duration", Integral, above=1, largest=np.inf)
    rng = check_random_state(random_state)
    plan = _plan(kinds, contamination, n_events, duration, n_timestamps, rng)
    starts = _place([length for _, length in plan], n_timestamps, rng)
    y = np.zeros(n_timestamps, dtype=np.int64)
    for (_, length), start in zip(plan, starts, strict=True):
        y[start : start + length] = 1
    changed, channels = values.copy(), {}
    rows = []
    for (kind, length), start in zip(plan, starts, strict=True):
        size = rng.uniform(*magnitude)
        start, position = _change(
            kind, start, length, size, values, changed, channels, y, rng
        )
        if kind in _MEASURED:
            event = slice(start, start + length), position
            change = np.abs(np.subtract(changed[event], values[event], dtype=float))
            size = change.mean() / channels[position].scale
        rows.append((start, start + length - 1, kind, position, size))
    rows.sort()
    start, end, kind, channel, size = zip(*rows, strict=True) if rows else [()] * 5
    start, end, channel = (np.array(a, dtype=np.intp) for a in (start, end, channel))
    is_frame = isinstance(X, pd.DataFrame)
    events = pd.DataFrame(
        {
            "start": X.index[start] if is_frame else start,
            "end": X.index[end] if is_frame else end,
            "kind": np.array(kind, dtype=object),
            "channel": X.columns[channel] if is_frame else channel,
            "magnitude": np.array(size, dtype=np.float64),
        }
    )
    if not is_frame:
        return changed, y, events
    frame = X.copy()
    for position in np.unique(channel):
        dtype = X.dtypes.iloc[position]
        is_float = isinstance(dtype, np.dtype) and dtype.kind == "f"
        column = changed[:, position].astype(dtype if is_float else np.float64)
        frame.isetitem(position, column)
    return frame, y, events


def _check_series(X):
    check_columns(X, "inject_anomalies")
    X = check_array(
        X, dtype=[np.float64, np.float32], ensure_all_finite="allow-nan", input_name="X"
    )
    if float(np.nanmax(np.abs(X), initial=0)) > _LARGEST:
        raise ValueError(
            f"X contains readings beyond ±{_LARGEST:g}, which are too large. Replace "
            "them."
        )
    if len(X) < 3:
        raise ValueError(
            f"X has {len(X)} rows (n_samples={len(X)}), but an anomaly needs at least "
            "one normal row on each side. Pass a longer series."
        )
    return X


def _check_kinds(kinds, n_channels):
    if kinds is None:
        alone = {"dropout"} | ({"correlation_break"} if n_channels == 1 else set())
        return [kind for kind in KINDS if kind not in alone]
    if isinstance(kinds, str):
        kinds = [kinds]
    elif not isinstance(kinds, (list, tuple, np.ndarray)):
        raise ValueError(f"kinds must be a list of some of {list(KINDS)}, got {kinds}.")
    kinds = [str(kind) for kind in kinds]
    unknown = [kind for kind in kinds if kind not in KINDS]
    if unknown or not kinds:
        raise ValueError(f"kinds must be some of {list(KINDS)}, got {kinds}.")
    if "correlation_break" in kinds and n_channels == 1:
        raise ValueError(
            "'correlation_break' requires at least two channels, but X has one. Remove "
            "it from kinds."
        )
    return list(dict.fromkeys(kinds))


def _check_range(value, name, number, *, above, largest):
    low_high = [value, value] if isinstance(value, number) else value
    good = (
        isinstance(low_high, (list, tuple, np.ndarray))
        and len(low_high) == 2
        and all(isinstance(v, number) and not isinstance(v, bool) for v in low_high)
        and above < low_high[0] <= low_high[1] <= largest
        and low_high[1] < np.inf
    )
    if not good:
        raise ValueError(
            f"{name} must be {'an integer' if number is Integral else 'a number'} "
            f"above {above}, at most {largest:g}, or a lowest and a highest one, got "
            f"{value!r}."
        )
    return tuple(low_high)


def _plan(kinds, contamination, n_events, duration, n_timestamps, rng):
    """Return the kind and the length of every event."""
    if contamination is not None and n_events is not None:
        raise ValueError(
            f"contamination={contamination} and n_events={n_events} were both given. "
            "Give one of them."
        )
    # Single rows first, because they need little space and get even a small share.
    turns = sorted(
        rng.permutation(kinds).tolist(), key=lambda kind: kind not in _POINTS
    )
    if n_events is not None:
        is_whole = isinstance(n_events, Integral) and not isinstance(n_events, bool)
        if not is_whole or n_events < 0:
            raise ValueError(
                f"n_events must be an integer of at least 0, got {n_events!r}."
            )
        plan = [turns[i % len(turns)] for i in range(n_events)]
        plan = [(kind, _draw_length(kind, duration, rng)) for kind in plan]
    else:
        contamination = _CONTAMINATION if contamination is None else contamination
        if not isinstance(contamination, Real) or not 0 <= contamination <= 0.5:
            raise ValueError(
                f"contamination must be in [0, 0.5], got {contamination!r}."
            )
        plan = _share_out(turns, round(contamination * n_timestamps), duration, rng)
    needed = sum(length + 1 for _, length in plan) + 1
    if needed > n_timestamps:
        raise ValueError(
            f"{len(plan)} events with a normal row between them need {needed} rows, "
            f"and X has {n_timestamps}. Lower contamination, n_events or duration."
        )
    return plan


def _share_out(turns, n_rows, duration, rng):
    """Give each kind its share of the rows, as far as there are enough rows."""
    plan = []
    for n_done, kind in enumerate(turns):
        share = max(n_rows // (len(turns) - n_done), min(n_rows, 1))
        if kind not in _POINTS:
            share = min(max(share, duration[0]), n_rows)
            if n_rows - share < duration[0]:
                share = n_rows  # the rest would be too short for another kind
        n_rows -= share
        while share:
            length = min(_draw_length(kind, duration, rng), share)
            if kind not in _POINTS and share - length < duration[0]:
                length = share
            plan.append((kind, length))
            share -= length
    return plan


def _draw_length(kind, duration, rng):
    return 1 if kind in _POINTS else int(rng.randint(duration[0], duration[1] + 1))


def _place(lengths, n_timestamps, rng):
    """Return the first rows of events, with at least one normal row around each."""
    order = rng.permutation(len(lengths))
    lengths = np.array(lengths, dtype=np.intp)
    free = n_timestamps - lengths.sum() - len(lengths) - 1
    gaps = np.sort(rng.randint(free + 1, size=len(lengths)))
    taken = np.cumsum(lengths[order] + 1)
    starts = np.empty(len(lengths), dtype=np.intp)
    starts[order] = gaps + 1 + np.append(0, taken[:-1])
    return starts


def _change(kind, start, length, size, values, changed, channels, y, rng):
    """Change a channel in a place without gaps where its readings actually change.

    If no channel is suitable at `start`, the event moves to another place.

    Returns
    -------
    start, position : int
        First row of the event, and its channel.
    """
    places = None
    for _ in range(_ATTEMPTS):
        stop = start + length
        complete = np.isfinite(values[start - 1 : stop + 1]).all(axis=0)
        for position in rng.permutation(np.flatnonzero(complete)):
            if position not in channels:
                channels[position] = _Channel(values, position)
            channel = channels[position]
            anomalous = _MAKE[kind](channel, start, stop, size, rng)
            # More than rounding must change. NaN is a change.
            change = np.abs(anomalous - channel.values[start:stop])
            if np.mean(~(change <= 1e-6 * channel.scale)) >= 0.5:
                largest = np.finfo(values.dtype).max
                changed[start:stop, position] = anomalous.clip(-largest, largest)
                y[start:stop] = 1
                return start, position
        y[start:stop] = 0
        if places is None:
            places = rng.permutation(_find_places(length, values, y)).tolist()
        if not places:
            break
        start = places.pop()
    raise ValueError(
        f"No place was found where {kind!r} changes {length} rows of a channel, due to "
        "gaps, other events, or readings that it does not change. Fill gaps in X, "
        "lower duration or contamination, or remove this kind."
    )


def _find_places(length, values, y):
    """Return first rows where an event fits and a channel has all its readings."""
    blocked = np.isnan(values) | (y[:, None] == 1)
    n_blocked = np.cumsum(np.insert(blocked, 0, False, axis=0), axis=0)
    # With one more row on each side.
    return 1 + np.flatnonzero(
        (n_blocked[length + 2 :] == n_blocked[: -length - 2]).any(axis=1)
    )
