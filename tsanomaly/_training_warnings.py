# SPDX-License-Identifier: MIT
"""Warnings about the channels of a training series."""

import warnings

import numpy as np

from tsanomaly._validation import name_column

__all__ = ["warn_of_unpredictable", "warn_of_unscaled"]

# A larger standard deviation, or a larger ratio of two, means unscaled channels.
_LARGEST_SPREAD = 100.0

# Maximum number of channels named in a warning.
_MOST_NAMED = 5


def warn_of_unscaled(spread, detector):
    """Warn if the standard deviations of the channels suggest missing scaling."""
    varying = spread[spread > 0]
    if not len(varying):
        return
    largest, smallest = spread.argmax(), np.where(spread > 0, spread, np.inf).argmin()
    ratio = spread[largest] / spread[smallest]
    if max(ratio, spread[largest], 1 / spread[largest]) <= _LARGEST_SPREAD:
        return
    warnings.warn(
        f"Readings of {name_column(detector, largest)} have a standard deviation of "
        f"{spread[largest]:.3g}, those of {name_column(detector, smallest)} of "
        f"{spread[smallest]:.3g}. Errors are compared across channels, and models "
        "train poorly on unscaled readings. Scale the series, for example with "
        "sklearn.preprocessing.StandardScaler in a pipeline.",
        UserWarning,
        stacklevel=6,
    )


def warn_of_unpredictable(detector, predictable):
    """Warn, within `_fit_views`, if some but not all channels are unpredictable.

    Parameters
    ----------
    detector : ResidualDetector
    predictable : ndarray of shape (n_channels,), dtype=bool
    """
    unknown = np.flatnonzero(~predictable)
    if not 0 < len(unknown) < len(predictable):
        return
    names = [name_column(detector, channel) for channel in unknown[:_MOST_NAMED]]
    n_more = len(unknown) - len(names)
    warnings.warn(
        f"Readings of {', '.join(names)}{f' and {n_more} more' * (n_more > 0)} cannot "
        "be predicted from other channels or from earlier readings (see "
        "predictable_). A fault that affects only these channels is detected only if "
        "they are far out of range.",
        UserWarning,
        stacklevel=8,
    )
