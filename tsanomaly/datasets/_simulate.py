# SPDX-License-Identifier: MIT
from numbers import Integral, Real

import numpy as np
from sklearn.utils import Bunch, check_random_state

from tsanomaly.datasets._inject import inject_anomalies

__all__ = ["make_sensor_data"]

_DAY = 86_400.0  # seconds

# Loads of the machine and their probabilities.
_LOADS, _SHARES = (0.0, 0.6, 1.0), (0.2, 0.3, 0.5)

# Minimum and maximum number of rows at a constant load.
_LOAD_ROWS = (100, 500)

# Number of rows per working cycle of the machine.
_CYCLE = 48

# Upper limit of parameters.
_LARGEST = 1e9

# Coefficient of the autoregressive noise.
_PERSISTENCE = 0.8

_DESCR = """Simulated plant

Each of {n_sensors} sensors is a base level, a linear trend, daily and weekly cycles,
the load of a machine that they all follow at different speed (off, part and full load),
its working cycle of {cycle} rows, and first-order autoregressive noise, part of which
all have in common. Made by tsanomaly.datasets.make_sensor_data.
"""


def make_sensor_data(
    n_samples=10_000,
    n_sensors=4,
    *,
    contamination=0.0425,
    kinds=None,
    freq="1min",
    correlation=0.6,
    trend=0.5,
    seasonality=1.0,
    noise=0.1,
    random_state=None,
    return_X_y=False,
    as_frame=True,
):
    """Simulate the sensors of a plant, with labelled anomalies.

    All sensors monitor one machine. Each reading is a base level plus, in the units and
    scale of the sensor,

    - a linear trend,
    - a daily cycle, and a weekly cycle of a third of its size,
    - the load of the machine, which switches between off, part and full load every few
      hundred rows and which sensors follow at different speeds,
    - the working cycle of 48 rows, with a larger amplitude at higher load,
    - first-order autoregressive noise, partly common to all sensors.

    Parameters
    ----------
    n_samples : int, default=10_000
        Number of rows, at least 3.
    n_sensors : int, default=4
        Number of sensors.
    contamination : float, default=0.0425
        Exact share of anomalous rows, in [0, 0.5], as in :func:`inject_anomalies`. 0
        gives a normal series.
    kinds : str, sequence of str or None, default=None
        Kinds of anomalies, as in :func:`inject_anomalies`. None is all of them except
        'dropout', which leaves NaN.
    freq : str, default='1min'
        Time step, as in pandas. The series starts on Monday, 1 January 2024.
    correlation : float, default=0.6
        Share of the variance of the noise that is common to all sensors, in [0, 1].
    trend : float, default=0.5
        Increase from the first to the last row. `trend`, `seasonality` and `noise` are
        relative to the effect of full load.
    seasonality : float, default=1.0
        Amplitude of the daily cycle. At least 0.
    noise : float, default=0.1
        Standard deviation of the noise.
    random_state : int, RandomState instance or None, default=None
        Controls all randomness. With an int, the data are reproducible across machines
        and NumPy versions, except for the last bits.
    return_X_y : bool, default=False
        Whether to return only the readings and the labels.
    as_frame : bool, default=True
        Whether to return readings as a DataFrame with times. If False, they are an
        array, and events have row numbers and column positions.

    Returns
    -------
    data : Bunch
        Dictionary-like object with the following attributes:

        - frame : DataFrame of shape (n_samples, n_sensors) with columns ``sensor_1``,
          ``sensor_2``, … and a DatetimeIndex; an array if ``as_frame=False``
        - target : ndarray of shape (n_samples,), 1 = anomalous
        - events : DataFrame with columns ``start``, ``end`` (inclusive), ``kind``,
          ``channel`` and ``magnitude``, as from :func:`inject_anomalies`
        - DESCR : str
    (X, y) : tuple of DataFrame or ndarray, and ndarray, if ``return_X_y=True``
        ``frame`` and ``target``.

    Raises
    ------
    ValueError
        If a parameter is out of range.

    See Also
    --------
    inject_anomalies : Inject labelled anomalies into any series.
    load_sample_plant : Load a fixed series that was made by this function.

    Examples
    --------
    >>> from tsanomaly.datasets import make_sensor_data
    >>> plant = make_sensor_data(n_samples=2000, random_state=0)
    >>> plant.frame.shape, int(plant.target.sum())
    ((2000, 4), 85)
    >>> plant.events.columns.tolist()
    ['start', 'end', 'kind', 'channel', 'magnitude']
    """
    import pandas as pd

    for name, value, smallest in (
        ("n_samples", n_samples, 3),
        ("n_sensors", n_sensors, 1),
    ):
        if not isinstance(value, Integral) or value < smallest:
            raise ValueError(f"{name} must be at least {smallest}, got {value!r}.")
    for name, value, smallest, largest in (
        ("correlation", correlation, 0, 1),
        ("trend", trend, -_LARGEST, _LARGEST),
        ("seasonality", seasonality, 0, _LARGEST),
        ("noise", noise, 0, _LARGEST),
    ):
        if not isinstance(value, Real) or not smallest <= value <= largest:
            raise ValueError(
                f"{name} must be in [{smallest:g}, {largest:g}], got {value!r}."
            )
    rng = check_random_state(random_state)
    index = pd.date_range("2024-01-01", periods=n_samples, freq=freq)
    seconds = (index - index[0]).total_seconds().to_numpy()
    X = (
        trend * np.linspace(0, 1, n_samples)[:, None]
        + seasonality * _seasons(seconds, n_sensors, rng)
        + _machine(n_samples, n_sensors, rng)
        + noise * _noise(n_samples, n_sensors, correlation, rng)
    )  # (n_samples, n_sensors), relative to the effect of full load
    X = rng.uniform(20, 100, n_sensors) + X * rng.uniform(5, 15, n_sensors)
    names = [f"sensor_{number}" for number in range(1, n_sensors + 1)]
    frame = pd.DataFrame(X, index=index, columns=names) if as_frame else X
    frame, target, events = inject_anomalies(
        frame, kinds=kinds, contamination=contamination, random_state=rng
    )
    if return_X_y:
        return frame, target
    return Bunch(
        frame=frame,
        target=target,
        events=events,
        DESCR=_DESCR.format(n_sensors=n_sensors, cycle=_CYCLE),
    )


def _seasons(seconds, n_sensors, rng):
    """Return daily and weekly cycles, with lags of up to an hour and a half."""
    lag = rng.uniform(0, 0.4, n_sensors)
    day = 2 * np.pi * seconds[:, None] / _DAY
    return np.sin(day - lag) + 0.3 * np.sin(day / 7 - lag / 7)


def _machine(n_samples, n_sensors, rng):
    """Return the load of the machine and its working cycle, as seen by each sensor."""
    n_loads = n_samples // _LOAD_ROWS[0] + 1
    loads = rng.choice(_LOADS, size=n_loads, p=_SHARES)
    load = np.repeat(loads, rng.randint(*_LOAD_ROWS, size=n_loads))[:n_samples]
    speed, phase = rng.uniform(0.05, 0.5, n_sensors), rng.uniform(0, 2, n_sensors)
    followed = np.empty((n_samples, n_sensors))
    for sensor in range(n_sensors):
        followed[:, sensor] = _smooth(load, speed[sensor])
    cycle = 2 * np.pi * np.arange(n_samples)[:, None] / _CYCLE
    return followed * (1 + 0.3 * np.sin(cycle + phase))


def _smooth(series, speed):
    """Smooth a series exponentially, starting from its first value."""
    from scipy.signal import lfilter

    state = [(1 - speed) * series[0]]
    return lfilter([speed], [1, speed - 1], series, zi=state)[0]


def _noise(n_samples, n_sensors, correlation, rng):
    """Return first-order autoregressive noise of variance 1, partly in common."""
    from scipy.signal import lfilter

    shocks = rng.normal(size=(n_samples, n_sensors + 1))
    shocks[1:] *= np.sqrt(1 - _PERSISTENCE**2)  # the first row already has variance 1
    noise = lfilter([1], [1, -_PERSISTENCE], shocks, axis=0)
    own, common = noise[:, :-1], noise[:, -1:]
    return np.sqrt(1 - correlation) * own + np.sqrt(correlation) * common
