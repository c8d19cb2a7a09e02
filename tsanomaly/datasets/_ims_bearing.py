# SPDX-License-Identifier: MIT
import re
from datetime import datetime
from pathlib import Path

import numpy as np

from tsanomaly.datasets._packaged import read_table, to_numbers

__all__ = ["load_ims_bearing"]

_TIME = re.compile(r"\d{4}(\.\d{2}){5}")

_DESCR = """IMS bearing data set, NASA Ames Prognostics Data Repository

Three tests in which four bearings on a loaded shaft ran at 2000 rpm until one failed.
Vibration was recorded for one second at 20 kHz (20,480 rows per snapshot) every 10
minutes; in set 1, the first 43 snapshots are 5 minutes apart. Longer gaps are pauses of
the test. Set 1 has two channels per bearing, sets 2 and 3 have one.

set 1: 22 October to 25 November 2003, 8 channels; at the end, bearing 3 had an inner
race defect and bearing 4 a rolling element defect.
set 2: 12 to 19 February 2004, 4 channels; at the end, the outer race of bearing 1
failed.
set 3: 4 March to 4 April 2004, 4 channels; at the end, the outer race of bearing 3
failed.

The source has no labels and does not state when a defect started. It defines no
training part and no units. It states no licence and asks to be cited.

J. Lee, H. Qiu, G. Yu, J. Lin, and Rexnord Technical Services. IMS, University of
Cincinnati. "Bearing Data Set." NASA Ames Prognostics Data Repository, 2007.
"""


def load_ims_bearing(path):
    r"""Load a run-to-failure test of the IMS bearing data set, one row per snapshot.

    The data set [1]_ consists of snapshots, files with one second of vibration. Each is
    reduced to four statistics per channel that are common in bearing monitoring.
    Download the data set from the repository of NASA; its source states no licence and
    asks to be cited.

    Parameters
    ----------
    path : str or Path
        Folder with the snapshots of one test: tab-separated text files without header,
        with 4 or 8 columns, named after their time, such as ``2004.02.12.10.32.39``.
        Files with other names are ignored.

    Returns
    -------
    data : Bunch
        Dictionary-like object with the following attributes:

        - frame : DataFrame of shape (n_snapshots, 4 * n_channels) with a
          DatetimeIndex, in time order. The columns of the first channel are
          ``channel_1_rms``, ``channel_1_mean_abs`` (both in the units of the
          recording), ``channel_1_kurtosis`` (Pearson, 3 for a normal distribution) and
          ``channel_1_crest_factor`` (maximum absolute value over RMS). Kurtosis and
          crest factor are 0 where undefined, as for a constant channel.
        - target : None, the data set has no labels
        - events : None
        - train_mask : None, the source defines no training part
        - DESCR : str, with the defects found at the end of each test

    Raises
    ------
    FileNotFoundError
        If the folder contains no snapshot.
    ValueError
        If a snapshot is not numeric, has incomplete rows, or differs in shape from the
        others.

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
                f"{first_shape[1]}. Download the truncated file again, and keep each "
                "test in its own folder."
            )
        rows.append(_statistics(values))
    statistics = list(rows[0])
    # (n_snapshots, n_channels, n_statistics)
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
    """Return the files of a folder by time, in time order."""
    snapshots = {}
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    for file in files:
        if not file.is_file() or not _TIME.match(file.name):
            continue
        # Copies such as '2004.02.12.10.32.39 (1)' raise as well, because it is unclear
        # which of the two is right.
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
            "such as '2004.02.12.10.32.39'. Pass the unpacked folder of one test as "
            "path=."
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
    """Return the statistics of each channel by name."""
    rms = np.sqrt(np.mean(values**2, axis=0))  # (n_channels,)
    size = np.abs(values)
    centred = values - values.mean(axis=0)
    # The mean of equal numbers may differ from them in the last bits.
    centred[:, values.max(axis=0) == values.min(axis=0)] = 0
    return {
        "rms": rms,
        "mean_abs": size.mean(axis=0),
        "kurtosis": _ratio((centred**4).mean(axis=0), (centred**2).mean(axis=0) ** 2),
        "crest_factor": _ratio(size.max(axis=0), rms),
    }


def _ratio(a, b):
    """Return the quotient, 0 where the divisor is 0."""
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0)
