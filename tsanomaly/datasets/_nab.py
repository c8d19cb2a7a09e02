# SPDX-License-Identifier: MIT
import json

import numpy as np

from tsanomaly.datasets._packaged import (
    check_name,
    data_root,
    describe_missing,
    read_table,
    to_numbers,
    to_times,
)

__all__ = ["load_nab", "read_nab"]

_DESCR = """Numenta Anomaly Benchmark (NAB), https://github.com/numenta/NAB

Server metrics and other series of one channel. A label window is the tolerance of the
NAB scorer, not the extent of the anomaly: the windows of a series together cover about
10 % of its rows. No window extends into the first 15 % of the rows (at most 750), the
probationary part, which detectors may learn from.

A. Lavin, S. Ahmad. "Evaluating Real-time Anomaly Detection Algorithms - the Numenta
Anomaly Benchmark." ICMLA 2015. MIT licence, Copyright 2014-2024 Numenta Inc.
"""


def load_nab(name="realAWSCloudwatch/ec2_cpu_utilization_24ae8d", *, path=None):
    """Load a series of the Numenta Anomaly Benchmark.

    The benchmark [1]_ contains series of one channel with label windows around their
    anomalies. It has the MIT licence.

    Parameters
    ----------
    name : str, default='realAWSCloudwatch/ec2_cpu_utilization_24ae8d'
        Category and name of the series, as in the benchmark's ``data`` folder.
    path : str, Path or None, default=None
        Root folder of the benchmark, which contains ``data`` and ``labels``. None loads
        one of the four series that are part of the package: in ``realAWSCloudwatch``,
        ``ec2_cpu_utilization_24ae8d``, ``ec2_cpu_utilization_c6585a`` (without
        anomalies), ``ec2_network_in_5abac7`` and ``rds_cpu_utilization_cc0c53``.

    Returns
    -------
    data : Bunch
        Dictionary-like object with the following attributes:

        - frame : DataFrame of shape (n_timestamps, 1) with the column ``value`` and a
          DatetimeIndex, which may contain duplicates
        - target : ndarray of shape (n_timestamps,), 1 inside label windows
        - events : DataFrame with columns ``start`` and ``end`` (times, both inclusive)
        - train_mask : ndarray of bool, True for the probationary rows
        - DESCR : str

    Raises
    ------
    FileNotFoundError
        If the series or the file of labels does not exist.
    ValueError
        If a file is invalid, the labels do not contain the series, or its name points
        outside the folder.

    See Also
    --------
    fetch_nab : Download and load a series.

    References
    ----------
    .. [1] A. Lavin, S. Ahmad. "Evaluating Real-time Anomaly Detection Algorithms -
           the Numenta Anomaly Benchmark." ICMLA 2015.
           https://arxiv.org/abs/1510.03336

    Examples
    --------
    >>> from tsanomaly.datasets import load_nab
    >>> data = load_nab()
    >>> data.frame.shape, int(data.target.sum()), int(data.train_mask.sum())
    ((4032, 1), 402, 604)
    """
    check_name(name, "realAWSCloudwatch/ec2_cpu_utilization_24ae8d")
    root = data_root("nab", path)
    folder = root / "data"
    file = folder / f"{name}.csv"
    if not file.is_file():
        available = (
            found.relative_to(folder).with_suffix("").as_posix()
            for found in folder.glob("*/*.csv")
        )
        raise describe_missing("nab", name, path, file, available)
    labels = root / "labels" / "combined_windows.json"
    if not labels.is_file():
        raise FileNotFoundError(
            f"The label windows were looked for at {str(labels)!r}, which does not "
            "exist. path= is the benchmark's root, which holds 'labels' beside 'data'."
        )
    return read_nab(name, file, labels)


def read_nab(name, file, labels):
    """Read a series and its labels, which may be in different folders."""
    import pandas as pd
    from sklearn.utils import Bunch

    table = read_table(file, expected=["timestamp", "value"])
    times = to_times(table["timestamp"], file)
    frame = to_numbers(table[["value"]], file).set_axis(times)
    try:
        windows = json.loads(labels.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{str(labels)!r} is not JSON: {error}.") from error
    if not isinstance(windows, dict) or f"{name}.csv" not in windows:
        raise ValueError(
            f"{name!r} has no entry in {str(labels)!r}, although series without "
            "anomalies have an empty list. Is it the file of all categories?"
        )
    windows = windows[f"{name}.csv"]
    is_list = isinstance(windows, list) and all(
        isinstance(window, list)
        and len(window) == 2
        and all(isinstance(time, str) for time in window)
        for window in windows
    )
    if not is_list:
        raise ValueError(
            f"The windows of {name!r} in {str(labels)!r} are not a list of pairs of "
            "times, start and end. If the file was modified, download it again."
        )
    starts = to_times([start for start, _ in windows], labels)
    ends = to_times([end for _, end in windows], labels)
    events = pd.DataFrame({"start": starts, "end": ends})
    # A time is inside if any window that starts before it ends after it.
    order = starts.argsort()
    n_started = starts[order].searchsorted(times, side="right")
    last_ends = np.maximum.accumulate(ends[order].asi8)
    target = np.zeros(len(frame), dtype=np.int64)
    started = n_started > 0
    target[started] = times.asi8[started] <= last_ends[n_started[started] - 1]
    n_train = min(int(0.15 * len(frame)), 750)
    return Bunch(
        frame=frame,
        target=target,
        events=events,
        train_mask=np.arange(len(frame)) < n_train,
        DESCR=_DESCR,
    )
