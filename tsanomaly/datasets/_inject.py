# SPDX-License-Identifier: MIT
from numbers import Integral, Real

import numpy as np
from sklearn.utils import check_array, check_random_state

from tsanomaly._validation import check_columns

__all__ = ["KINDS", "inject_anomalies"]

_CONTAMINATION = 0.0425

# Readings beyond are not physical, and their squares would overflow.
_LARGEST = 1e100

# Other stretches that readings may be taken from, and how many of them are kept where
# they have to go on smoothly.
_STRETCHES, _SMOOTHEST = 1000, 50

# All of them together hold no more readings than this.
_STRETCHES_READINGS = 4_000_000

# Places tried for an event that changes nothing where it was to be.
_ATTEMPTS = 200


class _Channel:
    """A channel and what anomalies need to know of it.

    Parameters
    ----------
    X : ndarray of shape (n_timestamps, n_channels)
        The series as it was.
    position : int
        Column of the channel.
    """

    def __init__(self, X, position):
        self.values = X[:, position].astype(np.float64)
        self._X, self._position, self._weights = X, position, None
        low, high = np.nanmin(self.values), np.nanmax(self.values)
        # A constant channel has no scale of its own.
        self.scale = np.nanstd(self.values) if low < high else abs(low) or 1.0

    def expected(self, start, stop):
        """Readings as the other channels imply them: least squares on the series."""
        if self._weights is None:
            known = self._X[np.isfinite(self._X).all(axis=1)].astype(np.float64)
            target = known[:, self._position].copy()
            known[:, self._position] = 1.0  # the intercept
            self._weights = np.linalg.lstsq(known, target, rcond=None)[0]
        inputs = np.nan_to_num(self._X[start:stop].astype(np.float64))
        inputs[:, self._position] = 1.0
        return inputs @ self._weights

    def elsewhere(self, start, stop, rng):
        """Stretches of the same length, without gaps, apart from this one.

        Returns
        -------
        stretches : ndarray of shape (n_stretches, stop - start + 2)
            Each with the readings before and after it. There may be none.
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
    """The stretch of the channel that is least like what belongs here."""
    values = channel.values[start:stop]
    stretches = channel.elsewhere(start, stop, rng)[:, 1:-1]
    if not len(stretches):
        return values
    return stretches[np.abs(stretches - values).mean(axis=1).argmax()]


def _amplitude_change(channel, start, stop, magnitude, rng):
    # With the readings around them, so that a single one swings, too.
    mean = channel.values[start - 1 : stop + 1].mean()
    return mean + (1 + magnitude) * (channel.values[start:stop] - mean)


def _frequency_change(channel, start, stop, magnitude, rng):
    """What was to come in ``1 + magnitude`` times as many rows, without the rest."""
    last = len(channel.values) - 1
    steps = np.arange(1, stop - start + 1)
    rows = start - 1 + ((1 + magnitude) * steps).astype(np.intp)
    # Beyond the end of the series it goes back.
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
    """A stretch of the channel that fits its own past, but not the other channels."""
    stretches = channel.elsewhere(start, stop, rng)
    if not len(stretches):
        return channel.values[start:stop]
    # Every stretch comes with the readings around it; those here should fit them.
    ends = channel.values[[start - 1, stop]]
    jump = np.abs(stretches[:, [0, -1]] - ends).max(axis=1)
    smooth = stretches[np.argsort(jump, kind="stable")[:_SMOOTHEST], 1:-1]
    misfit = np.abs(smooth - channel.expected(start, stop)).mean(axis=1)
    return smooth[misfit.argmax()]


# Whether `magnitude` sets how large the anomaly is; of the others it is measured.
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
    """Put labelled anomalies into a series, to see what a detector finds.

    Works on any series, simulated or recorded. Each event changes one channel over some
    consecutive rows; events do not touch each other. What is changed, and how, is
    random.

    Parameters
    ----------
    X : array-like of shape (n_timestamps, n_channels)
        A series, rows in time order, taken to be normal. It is not changed. It may
        hold NaN; events are put where their channel has no gap.
    kinds : str, sequence of str or None, default=None
        Kinds of anomalies. They share the anomalous rows equally, as far as `duration`
        allows; where rows are few, some kinds do not come up. In one channel, with
        ``m`` the magnitude and ``s`` the channel's standard deviation:

        - 'spike', 'drop': one row, ``m * s`` above or below.
        - 'level_shift': ``m * s`` above or below for a while.
        - 'drift': a ramp from 0 to ``m * s`` above or below.
        - 'contextual': right value, wrong time: readings of another time, the least
          like the true ones of many tried.
        - 'amplitude_change': swings about its mean ``1 + m`` times as widely.
        - 'frequency_change': runs ``1 + m`` times as fast.
        - 'noise_burst': noise with a standard deviation of ``m * s`` on top.
        - 'stuck': the reading before, unchanged.
        - 'dropout': NaN.
        - 'correlation_break': readings of another time that go on smoothly from those
          before and fit the other channels least of many tried: normal for the
          channel, abnormal beside the others. Needs two channels.

        None is every kind that applies but 'dropout', as few estimators take NaN.
    contamination : float or None, default=None
        Share of rows to make anomalous, in [0, 0.5], reached to the row. None is
        0.0425, unless `n_events` is given. Single rows need a normal one on either
        side, so they cannot be quite half.
    n_events : int or None, default=None
        Number of events, instead of `contamination`. Kinds take turns.
    magnitude : float or tuple of two floats, default=(3.0, 5.0)
        Size of the anomalies, or the range it is drawn from, uniformly for each
        event. In (0, 1e6].
    duration : tuple of two ints, default=(20, 100)
        Fewest and most rows of an event that lasts, of every kind but 'spike' and
        'drop'. With `contamination`, the last event of a kind takes the rows that are
        left for it, up to both together; the very last may be shorter.
    random_state : int, RandomState instance or None, default=None
        Controls the choice of places, channels and sizes.

    Returns
    -------
    X_anomalous : ndarray or DataFrame of shape (n_timestamps, n_channels)
        A copy with the anomalies, a frame if `X` is. Other readings are equal to those
        of `X`, bit for bit. Where `X` holds integers, they become float64; in a frame
        only the columns that are changed.
    y : ndarray of shape (n_timestamps,)
        1 in the rows of an event, 0 elsewhere.
    events : DataFrame
        One row per event, in time order: ``start`` and ``end``, both included, as
        labels of the frame's index or as row numbers; ``kind``; ``channel``, as the
        name of a column or its position; ``magnitude``. Of the kinds whose size is not
        set, it is the mean change in standard deviations of the channel, NaN for
        'dropout'.

    Raises
    ------
    ValueError
        If a parameter is out of range, `X` holds infinity or no numbers, or there is
        not enough room for the events: a place where a channel has all its readings,
        and at least half of them change.

    See Also
    --------
    make_sensor_data : Simulate a plant, with anomalies or without.

    Notes
    -----
    The taxonomy of single rows, contexts and lasting anomalies follows [1]_.

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
            f"X holds readings beyond ±{_LARGEST:g}, too large to compute with. "
            "Replace them."
        )
    if len(X) < 3:
        raise ValueError(
            f"X has {len(X)} rows (n_samples={len(X)}); an anomaly needs at least one "
            "normal row on either side. Pass a longer series."
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
            "'correlation_break' needs at least two channels, and X has one. Leave it "
            "out of kinds."
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
    """Kind and length of every event."""
    if contamination is not None and n_events is not None:
        raise ValueError(
            f"contamination={contamination} and n_events={n_events} were both given. "
            "Give one of them."
        )
    # Single rows first: they need no room, and get their share also if it is small.
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
    """Give every kind its share of the rows, as far as they reach."""
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
    """First rows of events, with at least one normal row around each."""
    order = rng.permutation(len(lengths))
    lengths = np.array(lengths, dtype=np.intp)
    free = n_timestamps - lengths.sum() - len(lengths) - 1
    gaps = np.sort(rng.randint(free + 1, size=len(lengths)))
    taken = np.cumsum(lengths[order] + 1)
    starts = np.empty(len(lengths), dtype=np.intp)
    starts[order] = gaps + 1 + np.append(0, taken[:-1])
    return starts


def _change(kind, start, length, size, values, changed, channels, y, rng):
    """Change a channel where it has no gap and its readings do change.

    If there is none at `start`, the event moves to another place.

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
            # Rounding changes readings, too. NaN is a change.
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
        f"No place was found where {kind!r} changes {length} rows of a channel: there "
        "are gaps, other events, or readings that it leaves as they are. Fill gaps in "
        "X, lower duration or contamination, or leave the kind out."
    )


def _find_places(length, values, y):
    """First rows where an event has room, and a channel has all its readings."""
    blocked = np.isnan(values) | (y[:, None] == 1)
    n_blocked = np.cumsum(np.insert(blocked, 0, False, axis=0), axis=0)
    # One row more on either side
    return 1 + np.flatnonzero(
        (n_blocked[length + 2 :] == n_blocked[: -length - 2]).any(axis=1)
    )
