# SPDX-License-Identifier: MIT
"""What the commands say if the last rows no longer look like the training rows."""

import numpy as np

from tsanomaly._alarm_filter import drift_rows
from tsanomaly._cli._text import visible
from tsanomaly._inspection import fitted_steps
from tsanomaly._validation import find_breaks
from tsanomaly._wording import count

__all__ = ["tell_drift"]

# A channel is outside its training readings if at least this share of its last readings
# is. As for drift, it is the median that counts.
_SHARE = 0.5

# Training readings are taken to lie within this number of standard deviations of their
# mean, as at least 15 of 16 do, whatever their distribution.
_DEVIATIONS = 4

# Minimum number of distinct readings of a counter. Two may be a state that has changed.
_COUNTS = 3

# Maximum number of channels to name.
_MOST_NAMED = 5


def tell_drift(model, frame, of=""):
    """Describe drift, and what to do about it.

    Parameters
    ----------
    model : fitted estimator
        The model that has drifted.
    frame : DataFrame of shape (n_timestamps, n_channels)
        The readings that it scored.
    of : str, default=''
        The machine, such as " of pump 1".

    Returns
    -------
    text : str
    """
    text = (
        f"the last rows{of} no longer look like the training rows: most errors are "
        "close to the threshold or above it. "
    )
    outside = _outside(model, frame)
    if not outside:
        return text + "Unless this is a fault, train again on recent rows."
    counters = [name for name in outside if _is_counter(frame[name])]
    others = [name for name in outside if name not in counters]
    told = []
    if others:
        is_one = len(others) == 1
        are, their = ("is", "its") if is_one else ("are", "their")
        told.append(
            f"{_listed(others)} {are} far from {their} training readings in most of "
            f"these rows: check {their} unit, scale and "
            f"{'sensor' if is_one else 'sensors'} before you train again."
        )
    if len(counters) == 1:
        told.append(
            f"{_listed(counters)} never decreases, as a counter does: leave it out, or "
            "replace it by its differences, and train again."
        )
    elif counters:
        told.append(
            f"{_listed(counters)} never decrease, as counters do: leave them out, or "
            "replace them by their differences, and train again."
        )
    return text + " ".join(told)


def _listed(names):
    named = ", ".join(map(visible, names[:_MOST_NAMED]))
    if len(names) > _MOST_NAMED:
        named += f" and {count(len(names) - _MOST_NAMED, 'other')}"
    return named


def _is_counter(readings):
    readings = readings.dropna()
    return readings.is_monotonic_increasing and readings.nunique() >= _COUNTS


def _outside(model, frame):
    """List channels whose last rows are outside their training readings.

    The scaler tells which these were: `StandardScaler` keeps their mean and standard
    deviation, and `MinMaxScaler` their range. `RobustScaler` keeps the middle half of
    the readings only, which says nothing about the other half.
    """
    from sklearn.preprocessing import MinMaxScaler, StandardScaler

    scaler = fitted_steps(model)[0]
    if isinstance(scaler, MinMaxScaler):
        low, high = scaler.data_min_, scaler.data_max_
    elif isinstance(scaler, StandardScaler) and scaler.with_std:
        reach = _DEVIATIONS * scaler.scale_
        low, high = scaler.mean_ - reach, scaler.mean_ + reach
    else:
        return []
    values = frame.to_numpy(dtype=np.float64)
    values = drift_rows(values[~find_breaks(values)])
    outside = ((values < low) | (values > high)).sum(axis=0)
    known = (~np.isnan(values)).sum(axis=0)
    is_outside = (known > 0) & (outside >= _SHARE * known)
    return list(frame.columns[is_outside])
