# SPDX-License-Identifier: MIT
import numpy as np

from tsanomaly._windows import runs
from tsanomaly.datasets._packaged import data_root, describe_missing

__all__ = ["load_smd"]

_DESCR = """Server Machine Dataset (SMD), https://github.com/NetManAIOps/OmniAnomaly

Metrics of servers of an internet company, one row a minute, 38 channels that the
source does not name, scaled to [0, 1]. The first half is assumed to be normal and
trains; incident reports label the second half, and name the channels that caused each
event.

Y. Su, Y. Zhao, C. Niu, R. Liu, W. Sun, D. Pei. "Robust Anomaly Detection for
Multivariate Time Series through Stochastic Recurrent Neural Network." KDD 2019.
MIT licence, Copyright (c) 2021 NetManAIOps-SMD.
"""


def load_smd(name="machine-2-1", *, path=None):
    """Load a machine of the Server Machine Dataset.

    Parameters
    ----------
    name : str, default='machine-2-1'
        Name of the machine.
    path : str, Path or None, default=None
        Folder with the files ``<name>_train.csv.gz``, ``<name>_test.csv.gz`` and
        ``interpretation_label/<name>.txt``. None loads ``machine-2-1``, which is
        inside the package.

    Returns
    -------
    data : Bunch
        With the fields

        - frame : DataFrame of shape (n_timestamps, 38), columns ``ch_01`` to
          ``ch_38``; the training part, then the test part that follows it directly
        - target : ndarray of shape (n_timestamps,), 1 where labelled anomalous; 0 in
          the training part is an assumption
        - events : DataFrame with columns ``start`` and ``end``, rows of the frame,
          both included, and ``channels``, the list of columns that caused the event
        - train_mask : ndarray of bool, the training part
        - DESCR : str

    Raises
    ------
    FileNotFoundError
        If there is no such machine.

    Examples
    --------
    >>> from tsanomaly.datasets import load_smd
    >>> data = load_smd()
    >>> data.frame.shape, int(data.target.sum()), len(data.events)
    ((47387, 38), 1170, 13)
    """
    import pandas as pd
    from sklearn.utils import Bunch

    root = data_root("smd", path)
    parts = []
    for part in ("train", "test"):
        file = root / f"{name}_{part}.csv.gz"
        if not file.is_file():
            available = sorted(
                found.name.removesuffix("_train.csv.gz")
                for found in root.glob("*_train.csv.gz")
            )
            raise describe_missing(name, path, file, available)
        parts.append(pd.read_csv(file))
    n_train = len(parts[0])
    frame = pd.concat(parts, ignore_index=True)
    target = frame.pop("is_anomaly").to_numpy(dtype=np.int64)
    return Bunch(
        frame=frame,
        target=target,
        events=_events(root / "interpretation_label" / f"{name}.txt", target, n_train),
        train_mask=np.arange(len(frame)) < n_train,
        DESCR=_DESCR,
    )


def _events(file, target, n_train):
    import pandas as pd

    start, end = runs(target)
    channels = {}
    # Lines are 'start-end:channels', with rows of the test part from 0, the end
    # excluded, and channels from 1.
    for line in file.read_text().split():
        rows, numbers = line.split(":")
        first_row = n_train + int(rows.split("-")[0])
        channels[first_row] = [f"ch_{int(number):02}" for number in numbers.split(",")]
    return pd.DataFrame(
        {
            "start": start,
            "end": end,
            "channels": [channels.get(row, []) for row in start.tolist()],
        }
    )
