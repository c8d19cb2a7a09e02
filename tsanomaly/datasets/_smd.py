# SPDX-License-Identifier: MIT
import re
from collections import defaultdict

import numpy as np

from tsanomaly.datasets._packaged import (
    check_name,
    data_root,
    describe_missing,
    events_of,
    read_table,
    to_flags,
    to_numbers,
)

__all__ = ["load_smd"]

_DESCR = """Server Machine Dataset (SMD), https://github.com/NetManAIOps/OmniAnomaly

Metrics of the servers of an internet company, one row per minute, with 38 unnamed
channels scaled to [0, 1]. The first half is for training and assumed to be normal. The
second half is labelled from incident reports, with the channels that caused each event.

Y. Su, Y. Zhao, C. Niu, R. Liu, W. Sun, D. Pei. "Robust Anomaly Detection for
Multivariate Time Series through Stochastic Recurrent Neural Network." KDD 2019.
MIT licence, Copyright (c) 2021 NetManAIOps-SMD.
"""


def load_smd(name="machine-2-1", *, path=None):
    """Load a machine of the Server Machine Dataset.

    The data set [1]_ contains metrics of servers, with the channels that caused each
    event. It has the MIT licence.

    Parameters
    ----------
    name : str, default='machine-2-1'
        Name of the machine.
    path : str, Path or None, default=None
        The folder ``ServerMachineDataset`` of the source or its parent, with the text
        files ``train/<name>.txt``, ``test/<name>.txt``, ``test_label/<name>.txt`` and
        ``interpretation_label/<name>.txt``; or a folder with ``<name>_train.csv.gz``
        and ``<name>_test.csv.gz``, which have a header and the column ``is_anomaly``,
        and ``interpretation_label/<name>.txt``. None loads ``machine-2-1``, which is
        part of the package.

    Returns
    -------
    data : Bunch
        Dictionary-like object with the following attributes:

        - frame : DataFrame of shape (n_timestamps, 38) with columns ``ch_01`` to
          ``ch_38``: the training part, directly followed by the test part
        - target : ndarray of shape (n_timestamps,), 1 = anomalous; the training part is
          assumed to be normal
        - events : DataFrame with columns ``start`` and ``end`` (rows of the frame, both
          inclusive) and ``channels``, a list of the columns that caused the event
        - train_mask : ndarray of bool, True for the training part
        - DESCR : str

    Raises
    ------
    FileNotFoundError
        If the machine or one of its files does not exist.
    ValueError
        If a file is invalid or does not match the others, or the name points outside
        the folder.

    See Also
    --------
    fetch_smd : Download and load a machine.

    References
    ----------
    .. [1] Y. Su, Y. Zhao, C. Niu, R. Liu, W. Sun, D. Pei. "Robust Anomaly Detection
           for Multivariate Time Series through Stochastic Recurrent Neural Network."
           KDD 2019. https://doi.org/10.1145/3292500.3330672

    Examples
    --------
    >>> from tsanomaly.datasets import load_smd
    >>> data = load_smd()
    >>> data.frame.shape, int(data.target.sum()), len(data.events)
    ((47387, 38), 1170, 13)
    """
    import pandas as pd
    from sklearn.utils import Bunch

    check_name(name, "machine-2-1")
    root = data_root("smd", path)
    if not (root / "train").is_dir() and (root / "ServerMachineDataset").is_dir():
        root = root / "ServerMachineDataset"
    text, csv = root / "train" / f"{name}.txt", root / f"{name}_train.csv.gz"
    if text.is_file():
        train, test, labels = _read_text(root, name)
    elif csv.is_file():
        train, test, labels = _read_csv(root, name)
    else:
        available = [file.stem for file in root.glob("train/*.txt")]
        suffix = "_train.csv.gz"
        available += [f.name.removesuffix(suffix) for f in root.glob(f"*{suffix}")]
        file = text if text.parent.is_dir() else csv
        raise describe_missing("smd", name, path, file, available)
    if train.shape[1] != test.shape[1]:
        raise ValueError(
            f"{name!r} has {train.shape[1]} channels in its training part, but "
            f"{test.shape[1]} in its test part, in {str(root)!r}. Download the files "
            "again."
        )
    target = np.concatenate([np.zeros(len(train), dtype=np.int64), labels])
    frame = pd.concat([train, test], ignore_index=True)
    events = events_of(target, frame.index)
    causes = _needed(root / "interpretation_label" / f"{name}.txt")
    return Bunch(
        frame=frame,
        target=target,
        events=events.assign(channels=_channels(causes, events, frame, len(train))),
        train_mask=np.arange(len(frame)) < len(train),
        DESCR=_DESCR,
    )


def _needed(file):
    if not file.is_file():
        raise FileNotFoundError(
            f"{str(file)!r} does not exist, but belongs to the series. The "
            "documentation of load_smd lists the files of both layouts; fetch_smd "
            "downloads them."
        )
    return file


def _read_text(root, name):
    parts = []
    for part in ("train", "test"):
        file = _needed(root / part / f"{name}.txt")
        table = to_numbers(read_table(file, header=None), file)
        parts.append(
            table.set_axis(map(_channel, range(1, table.shape[1] + 1)), axis=1)
        )
    file = _needed(root / "test_label" / f"{name}.txt")
    labels = to_flags(read_table(file, header=None)[0], file)
    if len(labels) != len(parts[1]):
        raise ValueError(
            f"{str(file)!r} has {len(labels)} labels for the {len(parts[1])} rows of "
            "the test part. Get both files from the same revision of the source."
        )
    return *parts, labels


def _read_csv(root, name):
    parts = []
    for part in ("train", "test"):
        file = _needed(root / f"{name}_{part}.csv.gz")
        table = read_table(file, expected=["is_anomaly"])
        # In the training part they are a placeholder.
        labels = to_flags(table.pop("is_anomaly"), file)
        parts.append(to_numbers(table, file))
    return *parts, labels


def _channel(number):
    return f"ch_{number:02}"


def _channels(file, events, frame, n_train):
    """Return the columns that caused each event, from the lines that overlap it.

    Lines have the form 'start-end:channels', with rows of the test part starting at 0,
    an exclusive end, and channels starting at 1. They are matched by overlap, because a
    labelled event may have several lines: in machine-3-3, two lines are nested in
    others. A line without a labelled row is ignored.
    """
    causes = []
    known = set(frame.columns)
    lines = file.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        match = re.fullmatch(r"\s*(\d{1,9})-(\d{1,9}):(\d{1,9}(?:,\d{1,9})*)\s*", line)
        if match is None:
            raise ValueError(
                f"Line {number} of {str(file)!r} is {line!r}, but 'start-end:channels' "
                "is expected, like '246-252:1,2,15'."
            )
        start, end = (n_train + int(row) for row in match.group(1, 2))
        channels = [_channel(int(channel)) for channel in match.group(3).split(",")]
        if not start < end <= len(frame) or not set(channels) <= known:
            raise ValueError(
                f"Line {number} of {str(file)!r} is {line!r}, but the test part has "
                f"{len(frame) - n_train} rows and {frame.shape[1]} channels. Is the "
                "file from the same machine?"
            )
        causes.append((start, end, channels))
    return _by_event(causes, events)


def _by_event(causes, events):
    """Return the channels of each event without duplicates, in order of the causes."""
    found = [[] for _ in range(len(events))]
    # For each channel, the next event to visit after one that already has the channel.
    # Each pair of event and channel is visited once, however many causes overlap.
    onward = defaultdict(dict)
    for start, end, channels in causes:
        first = int(events["end"].searchsorted(start))
        stop = int(events["start"].searchsorted(end))
        for channel in channels:
            event = first
            while (event := _follow(onward[channel], event)) < stop:
                found[event].append(channel)
                onward[channel][event] = event + 1
    return found


def _follow(onward, event):
    """Return the first event, from this one on, that is not to be skipped."""
    while event in onward:
        further = onward[event]
        onward[event] = onward.get(further, further)  # a shortcut for the next call
        event = further
    return event
