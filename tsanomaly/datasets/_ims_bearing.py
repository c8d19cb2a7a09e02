# SPDX-License-Identifier: MIT
import re
from datetime import datetime
from pathlib import Path

import numpy as np

from tsanomaly.datasets._packaged import read_table, to_numbers

__all__ = ["load_ims_bearing"]

_TIME = re.compile(r"\d{4}(\.\d{2}){5}")

_DESCR = """IMS bearing data set, NASA Ames Prognostics Data Repository

Four bearings on a loaded shaft at 2000 rpm ran until one failed, three times. Every 10
minutes, in set 1 every 5 minutes for the first 43 times, the vibration was recorded for
one second at 20 kHz: 20,480 rows a snapshot. Longer gaps are pauses of the test. Set 1
has two channels a bearing, sets 2 and 3 have one.

set 1: 22 October to 25 November 2003, 8 channels; at its end bearing 3 had a defect of
the inner race and bearing 4 of a rolling element.
set 2: 12 to 19 February 2004, 4 channels; at its end the outer race of bearing 1
failed.
set 3: 4 March to 4 April 2004, 4 channels; at its end the outer race of bearing 3
failed.

The source has no labels: it does not say when a defect began. It names no training part
and no unit. It states no licence, and asks to be cited.

J. Lee, H. Qiu, G. Yu, J. Lin, and Rexnord Technical Services. IMS, University of
Cincinnati. "Bearing Data Set." NASA Ames Prognostics Data Repository, 2007.
"""


def load_ims_bearing(path):
    r"""Load a run to failure of the IMS bearing data set, one row a snapshot.

    The set [1]_ holds files of one second of vibration each. Each is reduced to four
    statistics per channel, which are usual to watch the wear of a bearing. Download
    the set from NASA's repository; its source states no licence, and asks to be cited.

    Parameters
    ----------
    path : str or Path
        Folder of the snapshots of one test: text files such as
        ``2004.02.12.10.32.39``, named after their time, tab-separated, without a
        header, 4 or 8 columns. Files with other names are ignored.

    Returns
    -------
    data : Bunch
        With the fields

        - frame : DataFrame of shape (n_snapshots, 4 * n_channels) on a
          DatetimeIndex, in time order. For each channel ``channel_1_rms``,
          ``channel_1_mean_abs`` (both in the unit of the recording),
          ``channel_1_kurtosis`` (Pearson's, 3 for a normal distribution) and
          ``channel_1_crest_factor`` (largest absolute value over RMS). Where the
          latter two are not defined, as for a channel that stands still, they are 0.
        - target : None, the set has no labels
        - events : None
        - train_mask : None, the source names no training part
        - DESCR : str, with the defects found at the end of each test

    Raises
    ------
    FileNotFoundError
        If there is no snapshot in the folder.
    ValueError
        If a snapshot does not hold numbers, has a row that is cut short, or has
        another shape than the others.

    See Also
    --------
    load_nab : Load a series of the Numenta Anomaly Benchmark.
    load_skab : Load an experiment of the Skoltech Anomaly Benchmark.

    References
    ----------
    .. [1] J. Lee, H. Qiu, G. Yu, J. Lin, and Rexnord Technical Services. IMS,
           University of Cincinnati. "Bearing Data Set." NASA Ames Prognostics Data
           Repository, 2007.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> from tsanomaly.datasets import load_ims_bearing
    >>> rng = np.random.default_rng(0)
    >>> with TemporaryDirectory() as folder:
    ...     for time in ("2004.02.12.10.32.39", "2004.02.12.10.42.39"):
    ...         snapshot = rng.normal(size=(100, 4))
    ...         np.savetxt(Path(folder) / time, snapshot, "%.3f", delimiter="\t")
    ...     data = load_ims_bearing(folder)
    >>> data.frame.shape
    (2, 16)
    >>> data.frame.columns[:4].tolist()  # doctest: +NORMALIZE_WHITESPACE
    ['channel_1_rms', 'channel_1_mean_abs', 'channel_1_kurtosis',
     'channel_1_crest_factor']
    """
    import pandas as pd
    from sklearn.utils import Bunch

    snapshots = _snapshots(Path(path).expanduser())
    rows = []
    first_file = first_shape = None
    for file in snapshots.values():
        values = _read(file)
        if first_file is None:
            first_file, first_shape = file, values.shape
        if values.shape != first_shape:
            raise ValueError(
                f"{str(file)!r} has {values.shape[0]} rows and {values.shape[1]} "
                f"columns, but {str(first_file)!r} has {first_shape[0]} and "
                f"{first_shape[1]}. Get the one that is cut short anew; keep each test "
                "in a folder of its own."
            )
        rows.append(_statistics(values))
    statistics = list(rows[0])
    # (n_snapshots, n_statistics, n_channels), then a channel's statistics side by side
    values = np.array([list(row.values()) for row in rows]).transpose(0, 2, 1)
    columns = [
        f"channel_{channel}_{statistic}"
        for channel in range(1, first_shape[1] + 1)
        for statistic in statistics
    ]
    frame = pd.DataFrame(
        values.reshape(len(rows), -1),
        index=pd.DatetimeIndex(list(snapshots), name="timestamp").as_unit("us"),
        columns=columns,
    )
    return Bunch(frame=frame, target=None, events=None, train_mask=None, DESCR=_DESCR)


def _snapshots(folder):
    """Files of a folder by their time, in time order."""
    snapshots = {}
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    for file in files:
        if not file.is_file() or not _TIME.match(file.name):
            continue
        # Also a copy such as '2004.02.12.10.32.39 (1)', which is better not ignored:
        # nobody knows which of the two is right.
        try:
            time = datetime.strptime(file.name, "%Y.%m.%d.%H.%M.%S")
        except ValueError as error:
            raise ValueError(
                f"{str(file)!r} is named like a snapshot, but its name is not a time "
                "such as '2004.02.12.10.32.39'. Rename it, or move it elsewhere."
            ) from error
        snapshots[time] = file
    if not snapshots:
        raise FileNotFoundError(
            f"There is no snapshot in {str(folder)!r}: no file is named after a time, "
            "such as '2004.02.12.10.32.39'. path= is the folder of one test, whose "
            "archive is unpacked."
        )
    return snapshots


def _read(file):
    table = to_numbers(read_table(file, sep="\t", header=None), file)
    if table.shape[1] not in (4, 8):
        raise ValueError(
            f"{str(file)!r} has {table.shape[1]} columns; a snapshot has 4 or 8, "
            "separated by tabs."
        )
    return table.to_numpy()  # (n_rows, n_channels)


def _statistics(values):
    """Statistics of each channel, by their names."""
    rms = np.sqrt(np.mean(values**2, axis=0))  # (n_channels,)
    size = np.abs(values)
    centred = values - values.mean(axis=0)
    # The mean of equal numbers differs from them in the last bits.
    centred[:, values.max(axis=0) == values.min(axis=0)] = 0
    return {
        "rms": rms,
        "mean_abs": size.mean(axis=0),
        "kurtosis": _ratio((centred**4).mean(axis=0), (centred**2).mean(axis=0) ** 2),
        "crest_factor": _ratio(size.max(axis=0), rms),
    }


def _ratio(a, b):
    """Quotient, 0 where the divisor is 0."""
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)
