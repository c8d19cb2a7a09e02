# SPDX-License-Identifier: MIT
"""Models of one machine or several."""

import warnings
from typing import NamedTuple

import numpy as np
import pandas as pd

from tsanomaly._inspection import one_model_per_group
from tsanomaly._validation import find_breaks

__all__ = ["Part", "machines", "training_rows"]

# Maximum number of machines that a message names.
_MOST_NAMED = 5


class Part(NamedTuple):
    """The readings of a machine, and the detector for them.

    Attributes
    ----------
    machine : object
        Its name; None where there is only one.
    detector : fitted estimator
        The detector.
    frame : DataFrame of shape (n_timestamps, n_channels)
        Readings, with breaks.
    labels : ndarray of shape (n_timestamps,) or None
        1 = anomaly.
    rows : ndarray of int
        Positions in `frame` of the rows that results are written for.
    """

    machine: object
    detector: object
    frame: pd.DataFrame
    labels: np.ndarray | None
    rows: np.ndarray


def machines(detector, readings):
    """Yield the part of each machine, or the only one.

    Parameters
    ----------
    detector : fitted estimator
        A detector or a fleet.
    readings : Readings
        Readings to score.
    """
    frame, labels = readings.frame, readings.labels
    if not one_model_per_group(detector):
        yield Part(None, detector, frame, labels, readings.rows)
        return
    is_wanted = np.zeros(len(frame), dtype=bool)
    is_wanted[readings.rows] = True
    # Compare as text: numbers are read as text if the column also holds words.
    own = {str(name): model for name, model in detector.detectors_.items()}
    fallback = getattr(detector, "fallback_", None)
    channels = list(detector.feature_names_in_)
    groups = frame.groupby(detector.by, sort=False)
    _warn_of_strangers(groups.indices, own, fallback, detector)
    for machine, places in groups.indices.items():
        yield Part(
            machine,
            own.get(str(machine), fallback),
            frame.iloc[places][channels],
            None if labels is None else labels[places],
            np.flatnonzero(is_wanted[places]),
        )


def _warn_of_strangers(machines, own, fallback, fleet):
    """Warn of machines without their own detector."""
    left = {str(name) for name in fleet.fallback_groups_}
    unknown = [name for name in machines if str(name) not in own]
    if not unknown:
        return
    listed = ", ".join(map(repr, map(str, unknown[:_MOST_NAMED])))
    if len(unknown) > _MOST_NAMED:
        listed += f" and {len(unknown) - _MOST_NAMED:,} others"
    if fallback is None:
        raise ValueError(
            f"The model has no detector for the machines {listed} in column "
            f"{fleet.by!r}. Train it on their rows, or leave them out."
        )
    if {str(name) for name in unknown} <= left:
        return
    warnings.warn(
        f"The model was not trained on the machines {listed} in column {fleet.by!r}. "
        "They are scored by the detector that was trained on all machines.",
        stacklevel=3,
    )


def training_rows(frame, fraction, by=None):
    """Find the training rows: the first rows of each machine.

    Rows without any reading do not count.

    Parameters
    ----------
    frame : DataFrame
        Readings, with the column `by` if there are several machines.
    fraction : float
        Share of the rows to train on.
    by : str or None, default=None
        The column of machines.

    Returns
    -------
    is_training : ndarray of bool of shape (n_timestamps,)
    """
    if by is None:
        return _first(~find_breaks(frame), fraction)
    known = ~find_breaks(frame.drop(columns=by))
    is_training = np.empty(len(frame), dtype=bool)
    for places in frame.groupby(by, sort=False).indices.values():
        is_training[places] = _first(known[places], fraction)
    return is_training


def _first(known, fraction):
    """Find the first rows, up to a share of those that have readings."""
    return np.cumsum(known) + ~known <= round(fraction * known.sum())
