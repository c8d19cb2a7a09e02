# SPDX-License-Identifier: MIT
import numpy as np

from tsanomaly.datasets._packaged import DATA, read_table

__all__ = ["load_sample_plant"]

_N_TRAIN = 6000

_DESCR = """Sample plant

A simulated week of four sensors, one row per minute. The first 6,000 rows are normal.
The last 4,000 rows contain anomalies of ten kinds in 10 % of the rows. Made with seed 0
by make_sensor_data and inject_anomalies of tsanomaly.datasets, and rounded to three
decimals. MIT licence, like the package.
"""


def load_sample_plant():
    """Load a simulated plant with four sensors that is part of the package.

    Returns
    -------
    data : Bunch
        Dictionary-like object with the following attributes:

        - frame : DataFrame of shape (10_000, 4) with columns ``sensor_1`` to
          ``sensor_4`` and a DatetimeIndex, one row per minute
        - target : ndarray of shape (10_000,), 1 = anomalous
        - events : DataFrame with columns ``start`` and ``end`` (times, both inclusive),
          ``kind``, ``channel`` and ``magnitude``, as from :func:`inject_anomalies`
        - train_mask : ndarray of bool, True for the first 6,000 rows, which are normal
        - DESCR : str

    See Also
    --------
    make_sensor_data : Simulate the sensors of a plant.

    Examples
    --------
    >>> from tsanomaly.datasets import load_sample_plant
    >>> plant = load_sample_plant()
    >>> plant.frame.shape, int(plant.target.sum()), plant.events["kind"].nunique()
    ((10000, 4), 400, 10)
    """
    from sklearn.utils import Bunch

    folder = DATA / "plant"
    frame = read_table(
        folder / "plant.csv.gz", index_col="timestamp", parse_dates=["timestamp"]
    )
    target = frame.pop("is_anomaly").to_numpy(dtype=np.int64)
    return Bunch(
        frame=frame,
        target=target,
        events=read_table(folder / "events.csv", parse_dates=["start", "end"]),
        train_mask=np.arange(len(frame)) < _N_TRAIN,
        DESCR=_DESCR,
    )
