# SPDX-License-Identifier: MIT
"""Models of several machines in one file, and those of one."""

from typing import NamedTuple

import numpy as np
import pandas as pd

from tsanomaly._inspection import one_model_per_group

__all__ = ["Part", "check_one_machine", "machines", "training_rows"]


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
        Where in `frame` the rows are that results are written for.
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
        What it is to judge.
    """
    frame, labels = readings.frame, readings.labels
    if not one_model_per_group(detector):
        yield Part(None, detector, frame, labels, readings.rows)
        return
    is_wanted = np.zeros(len(frame), dtype=bool)
    is_wanted[readings.rows] = True
    own = detector.detectors_
    channels = list(detector.feature_names_in_)
    groups = frame.groupby(detector.by, sort=False)
    for machine, places in groups.indices.items():
        yield Part(
            machine,
            own.get(machine, getattr(detector, "fallback_", None)),
            frame.iloc[places][channels],
            None if labels is None else labels[places],
            np.flatnonzero(is_wanted[places]),
        )


def training_rows(frame, fraction, by=None):
    """Which rows a model is trained on: the first ones, of each machine.

    Parameters
    ----------
    frame : DataFrame
        Readings, with the column `by` if there are several machines.
    fraction : float
        Their share.
    by : str or None, default=None
        The column of machines.

    Returns
    -------
    is_training : ndarray of bool of shape (n_timestamps,)
    """
    if by is None:
        return np.arange(len(frame)) < round(fraction * len(frame))
    groups = frame.groupby(by, sort=False)
    sizes = groups[by].transform("size").to_numpy()
    return groups.cumcount().to_numpy() < np.round(fraction * sizes)


def check_one_machine(detector, model):
    """Raise if a model is that of a fleet, where one machine is looked at.

    Parameters
    ----------
    detector : fitted estimator
        The model.
    model : Path
        Its file, for the message.
    """
    if one_model_per_group(detector):
        raise ValueError(
            f"{model} holds detectors of several machines (column {detector.by!r}), "
            "and this command looks at one. Use detect or explain, or train a model on "
            "a file of one machine."
        )
