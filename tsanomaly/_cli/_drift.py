# SPDX-License-Identifier: MIT
"""What the commands say if the last rows no longer look like the training rows."""

import numpy as np

from tsanomaly._cli._text import visible
from tsanomaly._inspection import fitted_steps

__all__ = ["tell_drift"]

# A channel is outside its training readings if at least this share of its readings is.
_SHARE = 0.95

# Training readings are taken to lie within this number of standard deviations of their
# mean, as at least 15 of 16 do, whatever their distribution.
_DEVIATIONS = 4

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
    named = ", ".join(map(visible, outside[:_MOST_NAMED]))
    if len(outside) > _MOST_NAMED:
        named += f" and {len(outside) - _MOST_NAMED:,} others"
    are, their = ("is", "its") if len(outside) == 1 else ("are", "their")
    sensor = "sensor" if len(outside) == 1 else "sensors"
    return text + (
        f"{named} {are} far from {their} training readings in nearly all rows: check "
        f"{their} unit, scale and {sensor} before you train again."
    )


def _outside(model, frame):
    """List channels outside their training readings, as far as the scaler knows them.

    `StandardScaler` keeps their mean and standard deviation, and `MinMaxScaler` their
    range. `RobustScaler` keeps the middle half of the readings only, which says nothing
    about the other half.
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
    outside = ((values < low) | (values > high)).sum(axis=0)
    known = (~np.isnan(values)).sum(axis=0)
    is_outside = (known > 0) & (outside >= _SHARE * known)
    return list(frame.columns[is_outside])
