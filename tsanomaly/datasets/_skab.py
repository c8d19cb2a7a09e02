# SPDX-License-Identifier: MIT
import numpy as np

from tsanomaly.datasets._packaged import (
    check_name,
    data_root,
    describe_missing,
    events_of,
    read_table,
    to_flags,
    to_numbers,
    to_times,
)

__all__ = ["full_name", "load_skab"]

_SENSORS = [
    "Accelerometer1RMS",
    "Accelerometer2RMS",
    "Current",
    "Pressure",
    "Temperature",
    "Thermocouple",
    "Voltage",
    "Volume Flow RateRMS",
]
_NORMAL = "anomaly-free/anomaly-free"
_N_TRAIN = 400

_DESCR = """Skoltech Anomaly Benchmark (SKAB), https://github.com/waico/SKAB

A water circulation testbed with eight sensors, one row per second with some seconds
missing: two accelerometers (g), current (A), pressure (bar), temperature of the motor
body and of the fluid (deg C), voltage (V) and flow (l/min). In each experiment a valve
closes or another disturbance occurs; all of its rows are labelled, about a third of a
series. 'anomaly-free' is a longer run without labels at another operating point than
the valve experiments: a detector trained on it flags all of them. The protocol of the
source trains on the first 400 rows of each experiment.

I. D. Katser, V. O. Kozitsin. "Skoltech Anomaly Benchmark (SKAB)." 2020.
https://doi.org/10.34740/KAGGLE/DSV/1693952. GPL-3.0 licence.
"""


def load_skab(name="valve1/0", *, path):
    """Load an experiment of the Skoltech Anomaly Benchmark.

    The benchmark [1]_ contains recordings of a water circulation testbed. It is not
    part of this package because of its licence, GPL-3.0; :func:`fetch_skab` downloads
    it.

    Parameters
    ----------
    name : str, default='valve1/0'
        Folder and number of the experiment, as in the ``data`` folder of the benchmark,
        or 'anomaly-free' for the normal run.
    path : str or Path
        The ``data`` folder of the benchmark, which contains ``valve1`` and
        ``anomaly-free``, or its parent folder.

    Returns
    -------
    data : Bunch
        Dictionary-like object with the following attributes:

        - frame : DataFrame of shape (n_timestamps, 8) with a DatetimeIndex
        - target : ndarray of shape (n_timestamps,), 1 = anomalous; None for the normal
          run
        - events : DataFrame with columns ``start`` and ``end`` (times, both inclusive);
          None for the normal run
        - changepoints : ndarray of shape (n_timestamps,), 1 where a transition starts
          or ends; None for the normal run
        - train_mask : ndarray of bool, True for the first 400 rows, as in the protocol
          of the source, or for all rows of the normal run
        - DESCR : str

    Raises
    ------
    FileNotFoundError
        If the experiment does not exist.
    ValueError
        If the file is invalid, or the name points outside the folder.

    See Also
    --------
    fetch_skab : Download and load an experiment.

    References
    ----------
    .. [1] I. D. Katser, V. O. Kozitsin. "Skoltech Anomaly Benchmark (SKAB)." 2020.
           https://doi.org/10.34740/KAGGLE/DSV/1693952

    Examples
    --------
    >>> from tsanomaly.datasets import load_skab
    >>> data = load_skab("valve1/0", path="SKAB")  # doctest: +SKIP
    >>> data.frame.shape, int(data.target.sum()), len(data.events)  # doctest: +SKIP
    ((1147, 8), 401, 1)
    """
    from sklearn.utils import Bunch

    check_name(name, "valve1/0")
    name = full_name(name)
    root = data_root("skab", path)
    file = root / f"{name}.csv"
    if not file.is_file() and (root / "data").is_dir():
        root = root / "data"
        file = root / f"{name}.csv"
    if not file.is_file():
        available = (
            found.relative_to(root).with_suffix("").as_posix()
            for found in root.glob("*/*.csv")
        )
        raise describe_missing("skab", name, path, file, available)
    labels = [] if name == _NORMAL else ["anomaly", "changepoint"]
    table = read_table(file, sep=";", expected=["datetime", *_SENSORS, *labels])
    times = to_times(table["datetime"], file)
    frame = to_numbers(table[_SENSORS], file).set_axis(times)
    target = events = changepoints = None
    n_train = len(frame)
    if labels:
        target = to_flags(table["anomaly"], file)
        changepoints = to_flags(table["changepoint"], file)
        events = events_of(target, times)
        n_train = _N_TRAIN
    return Bunch(
        frame=frame,
        target=target,
        events=events,
        changepoints=changepoints,
        train_mask=np.arange(len(frame)) < n_train,
        DESCR=_DESCR,
    )


def full_name(name):
    """Return the name of a series with its folder, also for the normal run."""
    return _NORMAL if name == "anomaly-free" else name
