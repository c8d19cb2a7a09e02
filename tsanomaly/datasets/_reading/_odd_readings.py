# SPDX-License-Identifier: MIT
"""Suspicious readings: numbers that may mean a missing reading, and dead sensors."""

from collections import Counter

import numpy as np

from tsanomaly._parameter_error import Parameter, ParameterWarning
from tsanomaly.datasets._reading._names import list_names

__all__ = ["sensors_without_readings", "suspicious_numbers"]

# From historians and well logs, Campbell loggers, 16-bit converters, disconnected
# thermometers, and the largest 32-bit float.
_SENTINELS = (
    *(-99999, -9999, -999, 999, 9999, 99999, -999.25, -9999.25),
    *(
        -7999,
        7999,
        -6999,
        6999,
        -32768,
        32767,
        65535,
        -127,
        -3.4028235e38,
        3.4028235e38,
    ),
)
_FAR = 3  # times the range of the other readings


def suspicious_numbers(path, names, readings):
    """Yield a warning if numbers such as -9999 may mean missing readings.

    Parameters
    ----------
    path : str
        The file.
    names : list of str
        The channels.
    readings : ndarray of shape (n_timestamps, n_channels)
        The readings.
    """
    found, channels = Counter(), {}
    for name, values in zip(names, readings.T, strict=True):
        extremes = np.fmin.reduce(values), np.fmax.reduce(values)
        if not any(extreme in _SENTINELS for extreme in extremes):
            continue
        others = values[~np.isin(values, _SENTINELS) & np.isfinite(values)]
        if not len(others):
            continue
        low, high = others.min(), others.max()
        for value in dict.fromkeys(extremes):
            count = int(np.count_nonzero(values == value))
            distance = max(low - value, value - high)
            if value in _SENTINELS and count > 1 and distance > _FAR * (high - low):
                found[value] += count
                channels.setdefault(value, []).append(name)
    if found:
        shown = "; ".join(
            f"{value:g} ({count:,} times in {list_names(channels[value])})"
            for value, count in found.items()
        )
        values = [
            int(value) if value == int(value) else float(value) for value in found
        ]
        yield ParameterWarning(
            f"{path}: far from all other readings, so it may mean a missing reading: "
            f"{shown}. It was read as a number. If it is not a reading, pass ",
            Parameter("na_values", values[0] if len(values) == 1 else values),
            ".",
        )


def sensors_without_readings(path, names, readings):
    """Yield a warning about channels without any reading.

    Parameters
    ----------
    path, names, readings
        As for `suspicious_numbers`.
    """
    is_dead = np.array([np.isnan(values).all() for values in readings.T])
    dead = [name for name, is_so in zip(names, is_dead, strict=True) if is_so]
    if dead:
        yield ParameterWarning(
            f"{path}: there is no reading of {list_names(dead)} in the whole file. "
            "Leave such a sensor out of training with ",
            Parameter("drop", dead[0] if len(dead) == 1 else dead[:50]),
            ".",
        )
