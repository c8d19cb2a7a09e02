# SPDX-License-Identifier: MIT
import warnings
from itertools import combinations
from numbers import Integral, Real
from typing import NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from tsanomaly._memory import check_memory
from tsanomaly._sklearn_compat import (
    Interval,
    StrOptions,
    _check_feature_names_in,
    _fit_context,
)
from tsanomaly._validation import (
    VersionedState,
    all_or_nothing,
    check_parameters_unchanged,
    remember_parameters,
    validate_series,
)
from tsanomaly._windows import trailing_blocks

__all__ = ["TemporalFeatures", "in_zone", "zone_of_training"]

# The number of pairs grows quadratically: 28 for 8 channels, 703 for 38.
_MOST_PAIRED_CHANNELS = 8

# Larger readings are not physical, and their squares would overflow.
_LARGEST = 1e100

# Values per block, few enough to stay in the cache of a core while they are transposed.
# (Computing is fast; writing columns that are far apart in memory is slow.)
_BLOCK = 500_000

_STATISTICS = ("mean", "std", "min", "max", "range")


class _Moments(NamedTuple):
    """Statistics of all windows of one size in a block, (n_channels, n_windows).

    Column ``i`` belongs to the window that starts at row ``i``. `count` is a number if
    no reading is missing, and an array otherwise. The results are identical bit for
    bit.
    """

    size: int
    count: object
    mean: np.ndarray
    m2: np.ndarray  # sum of squared deviations from the mean
    low: np.ndarray
    high: np.ndarray


def _single_rows(block):
    """Return the moments of windows of one row."""
    missing = np.isnan(block)
    if not missing.any():
        return _Moments(1, 1, block, np.zeros_like(block), block, block)
    return _Moments(
        size=1,
        count=(~missing).astype(np.float64),
        mean=np.where(missing, 0.0, block),
        m2=np.zeros_like(block),
        low=np.where(missing, np.inf, block),
        high=np.where(missing, -np.inf, block),
    )


def _join(older, recent):
    """Combine the moments of an older and a recent part of each window.

    Equation 2.1 of Chan, Golub and LeVeque (1979), which avoids cancellation where a
    sensor varies little around a large value.
    """

    def aligned(values):
        if np.isscalar(values):
            return values
        return values[:, older.size :]

    def cut(values):
        if np.isscalar(values):
            return values
        return values[:, : values.shape[1] - recent.size]

    n_old, n_new = cut(older.count), aligned(recent.count)
    count = n_old + n_new
    present = max(count, 1) if np.isscalar(count) else np.maximum(count, 1)
    mean = aligned(recent.mean)
    delta = cut(older.mean) - mean
    m2 = cut(older.m2) + aligned(recent.m2) + delta * delta * (n_old * n_new / present)
    return _Moments(
        size=older.size + recent.size,
        count=count,
        mean=mean + delta * (n_old / present),
        m2=m2,
        low=np.minimum(cut(older.low), aligned(recent.low)),
        high=np.maximum(cut(older.high), aligned(recent.high)),
    )


def _rolling(block, window_sizes):
    """Compute the moments of all windows of the given sizes.

    Windows are combined from parts whose sizes are powers of two. The cost grows with
    the logarithm of the window size, and the result of a window depends, to the last
    bit, only on its rows and not on its position in the series.
    """
    part = _single_rows(block)
    rolling = dict.fromkeys(window_sizes)
    while True:
        for size, done in rolling.items():
            if size & part.size:
                rolling[size] = part if done is None else _join(part, done)
        if 2 * part.size > max(window_sizes):
            return rolling
        part = _join(part, part)


def _statistics(moments, current):
    """Return mean, sample standard deviation, minimum, maximum and range per row."""

    def of_rows(values):
        # The window that ends at row t starts at row t - size + 1.
        if isinstance(current, slice):
            return values[:, current.start - moments.size + 1 :]
        return values[:, current - (moments.size - 1)]

    mean, m2 = of_rows(moments.mean), of_rows(moments.m2)
    low, high = of_rows(moments.low), of_rows(moments.high)
    if np.isscalar(moments.count):
        return mean, np.sqrt(m2 / (moments.count - 1)), low, high, high - low
    count = of_rows(moments.count)
    absent = count == 0
    mean, low, high = (np.where(absent, np.nan, v) for v in (mean, low, high))
    variance = np.full(m2.shape, np.nan)
    np.divide(m2, count - 1, out=variance, where=count > 1)
    return mean, np.sqrt(variance), low, high, high - low


def _row_statistics(readings):
    """Return the same statistics of each row, across the channels.

    Channels are summed one after the other, so that the result of a row does not depend
    on the number of rows.
    """
    missing = np.isnan(readings)
    count = len(readings) - missing.sum(axis=0)
    mean = sum(np.where(missing, 0.0, readings)) / np.maximum(count, 1)
    deviations = np.where(missing, 0.0, readings - mean)
    variance = np.full(len(mean), np.nan)
    np.divide(sum(np.square(deviations)), count - 1, out=variance, where=count > 1)
    low, high = np.fmin.reduce(readings), np.fmax.reduce(readings)
    return mean, np.sqrt(variance), low, high, high - low


def _calendar(index):
    """Return the calendar features of a DatetimeIndex by name, in its time zone."""
    hour, minute = index.hour.to_numpy(), index.minute.to_numpy()
    day_of_week, month = index.day_of_week.to_numpy(), index.month.to_numpy()
    features = {
        "hour": hour,
        "minute": minute,
        "minute_of_day": 60 * hour + minute,
        "day_of_week": day_of_week,
        "day_of_month": index.day.to_numpy(),
        "month": month,
        "is_weekend": day_of_week >= 5,
    }
    for name, position, period in (
        ("hour", hour, 24),
        ("day_of_week", day_of_week, 7),
        ("month", month - 1, 12),
    ):
        angle = 2 * np.pi * np.arange(period) / period
        features[f"{name}_sin"] = np.sin(angle)[position]
        features[f"{name}_cos"] = np.cos(angle)[position]
    return features


_CALENDAR = (
    "hour",
    "minute",
    "minute_of_day",
    "day_of_week",
    "day_of_month",
    "month",
    "is_weekend",
    "hour_sin",
    "hour_cos",
    "day_of_week_sin",
    "day_of_week_cos",
    "month_sin",
    "month_cos",
)


def _zone_of(index):
    """Return the zone of an index as a text that pandas reads, or None."""
    if index.tz is None:
        return None
    zone = str(index.tz)
    try:
        is_same = (
            index.tz_convert(zone).tz_localize(None).equals(index.tz_localize(None))
        )
    # Some libraries use their own names of zones, which cause different errors.
    except Exception:
        return None
    return zone if is_same else None


def zone_of_training(step):
    """Return the zone of the times in `fit` if a step uses a calendar, or None.

    Parameters
    ----------
    step : fitted estimator
        A step, which may be a union of others.
    """
    parts = [part for _, part in getattr(step, "transformer_list", ())]
    found = [getattr(step, "time_zone_", None), *map(zone_of_training, parts)]
    return next((zone for zone in found if zone is not None), None)


def in_zone(index, zone):
    """Convert a DatetimeIndex to another zone, if both have one."""
    if zone is None or index.tz is None:
        return index
    return index.tz_convert(zone)


def _has_times(X):
    import pandas as pd

    return isinstance(getattr(X, "index", None), pd.DatetimeIndex)


class TemporalFeatures(VersionedState, TransformerMixin, BaseEstimator):
    """Add rolling, lag, rate, calendar and interaction features to the readings.

    The output starts with the readings themselves, followed by five families of
    features:

    - rolling: mean, standard deviation, minimum, maximum and range of each channel in
      trailing windows
    - lags: earlier readings of each channel
    - rates: difference and relative change of each channel from earlier readings
    - calendar: hour, minute, minute of the day, day of the week, day of the month,
      month, weekend, and sine and cosine of hour, day of the week and month
    - interactions: ratio and difference of each pair of channels; mean, standard
      deviation, minimum, maximum and range across the channels of the row

    A series of four channels with times has 60 + 16 + 16 + 13 + 17 = 122 features. All
    features are causal: appending rows never changes them. A scaler and any row-wise
    scikit-learn detector can follow.

    Parameters
    ----------
    windows : tuple of int, default=(5, 10, 30)
        Sizes of the rolling windows in rows, including the row itself. Each at least 2.
        An empty tuple disables the family.

    lags : tuple of int, default=(1, 2, 3, 5)
        Lags in rows. Each at least 1. An empty tuple disables the family.

    rates : tuple of int, default=(1, 5)
        Distances in rows to the readings that rates compare with. Each at least 1. An
        empty tuple disables the family.

    calendar : 'auto' or bool, default='auto'
        Whether to add calendar features. 'auto' adds them if `X` has a DatetimeIndex in
        `fit`; `transform` then requires one, too.

    interactions : 'auto' or bool, default='auto'
        Whether to add interactions. 'auto' adds pairs only for up to 8 channels. A
        single channel has no interactions.

    eps : float, default=1e-6
        Smallest absolute denominator of ratios and relative changes, in the units of
        the readings. A denominator ``b`` with ``abs(b) < eps`` is replaced by ``eps``
        with the sign of ``b`` (positive for 0).

    Attributes
    ----------
    n_context_ : int
        Number of earlier rows that the features of a row depend on.

    n_lookahead_ : int
        Number of later rows that the features of a row depend on, always 0.

    time_zone_ : str or None
        Zone of the times in `fit`, such as 'Europe/Paris' or 'UTC+02:00', None without
        one and without calendar features. Times with another zone are converted to it.

    n_features_in_ : int
        Number of channels seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of channels seen during `fit`. Defined only when `X` has feature names
        that are all strings.

    See Also
    --------
    WindowTransformer : Flatten the trailing window of each row into columns.

    Notes
    -----
    The series is padded at the start with copies of its first row, so finite readings
    give finite features. The standard deviation is that of a sample (``ddof=1``), as in
    pandas.

    Rolling features and statistics across channels ignore NaN. They are NaN if no
    reading remains, and the standard deviation if fewer than two remain. All other
    features of a reading that is NaN are NaN. A row that is NaN in every channel is a
    break: all its features are NaN, and the row after it is treated like the first row
    of a series.

    Features are computed in float64, from readings clipped at ±1e100.

    References
    ----------
    .. [1] T. F. Chan, G. H. Golub, R. J. LeVeque. "Updating Formulae and a Pairwise
           Algorithm for Computing Sample Variances." Technical Report STAN-CS-79-773,
           Stanford University, 1979. The moments of rolling windows.

    Examples
    --------
    >>> import pandas as pd
    >>> from tsanomaly import TemporalFeatures
    >>> X = pd.DataFrame({"pressure": [1.0, 2.0, 6.0], "flow": [7.0, 8.0, 9.0]})
    >>> features = TemporalFeatures(windows=(), rates=(), interactions=False, lags=(2,))
    >>> features.set_output(transform="pandas").fit_transform(X)
       pressure  flow  pressure_lag_2  flow_lag_2
    0       1.0   7.0             1.0         7.0
    1       2.0   8.0             1.0         7.0
    2       6.0   9.0             1.0         7.0
    >>> TemporalFeatures().fit(X).get_feature_names_out()[-3:].tolist()
    ['row_min', 'row_max', 'row_range']
    """

    _sees_other_rows = True

    _parameter_constraints: dict = {
        "windows": ["array-like"],
        "lags": ["array-like"],
        "rates": ["array-like"],
        "calendar": [StrOptions({"auto"}), "boolean"],
        "interactions": [StrOptions({"auto"}), "boolean"],
        "eps": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        *,
        windows=(5, 10, 30),
        lags=(1, 2, 3, 5),
        rates=(1, 5),
        calendar="auto",
        interactions="auto",
        eps=1e-6,
    ):
        self.windows = windows
        self.lags = lags
        self.rates = rates
        self.calendar = calendar
        self.interactions = interactions
        self.eps = eps

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Validate the parameters and the channels.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Series, rows in time order. It may be shorter than a window.
        y : None
            Ignored.

        Returns
        -------
        self : TemporalFeatures
            The fitted transformer.

        Raises
        ------
        ValueError
            If a parameter is out of range, `X` contains infinity or values that are not
            numeric, `calendar` is True and `X` has no DatetimeIndex, or a channel has
            the name of a feature.
        """
        with all_or_nothing(self):
            reach = self._reach()
            validate_series(self, X, reset=True, missing="allow")
            self.n_context_ = reach
            self.n_lookahead_ = 0
            is_auto = isinstance(self.calendar, str)
            self._calendar = _has_times(X) if is_auto else bool(self.calendar)
            self._check_times(X)
            self.time_zone_ = _zone_of(X.index) if self._calendar else None
            if self._calendar and self.time_zone_ is None and X.index.tz is not None:
                warnings.warn(
                    f"The time zone of X, {X.index.tz!r}, has no name that pandas "
                    "knows, so times in other zones are not converted to it. Convert X "
                    "to a named zone, for example with tz_convert('Europe/Berlin').",
                    UserWarning,
                    stacklevel=2,
                )
            remember_parameters(
                self, ["windows", "lags", "rates", "calendar", "interactions", "eps"]
            )
            names, counts = np.unique(
                self.get_feature_names_out().astype(str), return_counts=True
            )
            if counts.max() > 1:
                raise ValueError(
                    f"{str(names[counts.argmax()])!r} would be the name of more than "
                    "one feature. Rename the channel with this name."
                )
        return self

    def transform(self, X):
        """Compute the features of every row.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Series, rows in time order.

        Returns
        -------
        features : ndarray of shape (n_timestamps, n_features)
            Readings and features. float32 if `X` is float32, otherwise float64.

        Raises
        ------
        ValueError
            If the channels of `X` differ from those seen during `fit`, `X` contains
            infinity, or a DatetimeIndex is required and missing.
        MemoryError
            If the features do not fit in memory.
        """
        check_is_fitted(self)
        check_parameters_unchanged(self)
        self._check_times(X)
        index = in_zone(X.index, zone_of_training(self)) if self._calendar else None
        X, breaks = validate_series(self, X, reset=False, missing="allow")
        n_features = len(self.get_feature_names_out())
        check_memory(
            len(X) * n_features * X.itemsize,
            f"A table of {len(X):,} rows and {n_features:,} features",
            "Select fewer features, for example with interactions=False, or transform "
            "fewer rows at a time.",
        )
        features = np.empty((len(X), n_features), dtype=X.dtype)
        features[breaks] = np.nan
        largest = min(_LARGEST, float(np.finfo(X.dtype).max))
        # Each block comes with its context, which should not dominate it.
        n_rows = max(_BLOCK // n_features, self.n_context_, 64)
        # One feature per row. An odd row length avoids cache conflicts when the block
        # is transposed, which a power of two would cause.
        by_feature = np.empty((n_features - X.shape[1], n_rows | 1))
        for rows, block, current in trailing_blocks(X, breaks, self.n_context_, n_rows):
            readings = block[current]
            features[rows, : X.shape[1]] = readings
            block = np.ascontiguousarray(block.T, dtype=np.float64)
            block = block.clip(-_LARGEST, _LARGEST)  # (n_channels, n_block)
            times = None if index is None else index[rows]
            end = 0
            with np.errstate(over="ignore", under="ignore"):  # clipped below
                for family in self._families(block, current, times):
                    start, end = end, end + len(family)
                    by_feature[start:end, : len(readings)] = family
            values = by_feature[:, : len(readings)]
            # In place, because the system would clear new memory for every copy.
            np.clip(values, -largest, largest, out=values)
            features[rows, X.shape[1] :] = values.T
        return features

    def get_feature_names_out(self, input_features=None):
        """Return the column names, such as ``pressure_mean_30`` or ``hour_sin``.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the channels. None uses those seen during `fit`, or ``x0``, ``x1``,
            and so on.

        Returns
        -------
        names : ndarray of str objects of shape (n_features,)
            Names in column order: readings, rolling, lags, rates, calendar,
            interactions.

        Raises
        ------
        ValueError
            If `input_features` differ from the names seen during `fit`.
        """
        check_is_fitted(self)
        channels = _check_feature_names_in(self, input_features)
        per_channel = [
            *(f"{statistic}_{w}" for w in self.windows for statistic in _STATISTICS),
            *(f"lag_{lag}" for lag in self.lags),
            *(f"{rate}_{k}" for k in self.rates for rate in ("diff", "change")),
        ]
        names = [*channels]
        names += [f"{channel}_{name}" for name in per_channel for channel in channels]
        if self._calendar:
            names += _CALENDAR
        pairs, across = self._interactions()
        names += [f"{a}/{b}" for a, b in combinations(channels, 2) if pairs]
        names += [f"{a}-{b}" for a, b in combinations(channels, 2) if pairs]
        if across:
            names += [f"row_{statistic}" for statistic in _STATISTICS]
        return np.array(names, dtype=object)

    def _families(self, block, current, times):
        """Yield the features of the current rows of a block, one feature per row."""

        def earlier(steps):
            if isinstance(current, slice):
                return block[:, current.start - steps : current.stop - steps]
            return block[:, current - steps]

        def ratio(a, b):
            smallest = np.where(b < 0, -self.eps, self.eps)
            return a / np.where(np.abs(b) < self.eps, smallest, b)

        readings = earlier(0)
        if len(self.windows):
            rolling = _rolling(block, self.windows)
            for size in self.windows:
                yield from _statistics(rolling[size], current)
        for lag in self.lags:
            yield earlier(lag)
        for steps in self.rates:
            difference = readings - earlier(steps)
            yield difference
            yield ratio(difference, earlier(steps))
        if times is not None:
            calendar = _calendar(times)
            yield [calendar[name] for name in _CALENDAR]
        pairs, across = self._interactions()
        if pairs:
            first, second = np.triu_indices(self.n_features_in_, k=1)
            yield ratio(readings[first], readings[second])
            yield readings[first] - readings[second]
        if across:
            yield _row_statistics(readings)

    def _interactions(self):
        """Whether to compute features of pairs, and across the channels."""
        is_auto = isinstance(self.interactions, str)
        pairs = self.n_features_in_ <= _MOST_PAIRED_CHANNELS or not is_auto
        wanted = self.n_features_in_ > 1 and bool(self.interactions)
        return wanted and pairs, wanted

    def _reach(self):
        """Return how many rows the features look back."""
        reach = [0]
        for name, smallest in (("windows", 2), ("lags", 1), ("rates", 1)):
            steps = _check_steps(getattr(self, name), name, smallest)
            reach += [step - (name == "windows") for step in steps]
        return int(max(reach))

    def _check_times(self, X):
        if not self._calendar:
            return
        if not _has_times(X):
            given, cure = type(X).__name__, "Pass such a frame"
            if hasattr(X, "iloc"):
                given += f" with an index of type {type(X.index).__name__}"
            else:
                cure += (
                    ", or, if earlier steps return arrays, as scalers do, call "
                    "pipeline.set_output(transform='pandas')"
                )
            raise ValueError(
                "Calendar features require a frame with a DatetimeIndex, but X is a "
                f"{given}. {cure}. Set calendar=False to disable them."
            )
        if X.index.hasnans:
            row = int(X.index.isna().argmax())
            raise ValueError(
                f"The index of X contains NaT, first at row {row}. Drop these rows, or "
                "use calendar=False."
            )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


def _check_steps(steps, name, smallest):
    """Raise unless the steps are distinct integers of at least `smallest`."""
    if not isinstance(steps, (list, tuple, np.ndarray)):
        raise ValueError(f"{name} must be a tuple of integers, got {steps!r}.")
    steps = list(steps)
    whole = all(isinstance(s, Integral) and not isinstance(s, bool) for s in steps)
    if not whole or min(steps, default=smallest) < smallest:
        raise ValueError(
            f"{name} must contain integers of at least {smallest}, got {steps}."
        )
    if len(set(steps)) < len(steps):
        raise ValueError(f"{name} must contain distinct integers, got {steps}.")
    return steps
