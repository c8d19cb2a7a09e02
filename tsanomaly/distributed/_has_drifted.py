# SPDX-License-Identifier: MIT
import numpy as np

from tsanomaly._alarm_filter import AlarmFilter, AlarmTracker
from tsanomaly._alarm_filter import has_drifted as have_drifted
from tsanomaly.distributed._errors import errors_of

__all__ = ["has_drifted"]


def has_drifted(detector, X, *, alarm_filter=None):
    """Whether the last rows of a Dask collection no longer look like training rows.

    The collection is scored immediately. Faults end at some point. If the machine, a
    sensor or the product has changed, all errors stay larger. Train again in this case,
    unless the change is a fault.

    Parameters
    ----------
    detector : fitted estimator
        As in :func:`score_samples`, with a threshold.
    X : dask Array or DataFrame of shape (n_timestamps, n_channels)
        A series, rows in time order over all partitions.
    alarm_filter : AlarmFilter or None, default=None
        As in :func:`find_alarms`. Only its threshold is used, if it has one.

    Returns
    -------
    drifted : bool
        Whether the median error of the last quarter of the rows, and of at least 100,
        is closer to the threshold than to the median training error. Breaks do not
        count. False if there are fewer than 100 rows.

    Raises
    ------
    ImportError
        If Dask is not installed.
    TypeError
        If `X` is not a Dask array or DataFrame.
    ValueError
        If the threshold of `detector` is unknown and `alarm_filter` has none, or as in
        :func:`score_samples`.
    sklearn.exceptions.NotFittedError
        If `detector` is not fitted.

    See Also
    --------
    find_alarms : Find the alarms in a Dask collection.
    tsanomaly.AlarmFilter : Find alarms with a threshold that can follow drift.

    Notes
    -----
    ``tsanomaly detect`` warns by the same rule. The errors of all rows are loaded into
    this process, which takes 8 bytes per row.

    Examples
    --------
    >>> import dask.array as da
    >>> import numpy as np
    >>> from tsanomaly import AutoregressiveDetector
    >>> from tsanomaly.distributed import has_drifted
    >>> X = np.random.default_rng(0).normal(size=(1000, 2))
    >>> detector = AutoregressiveDetector(lags=1, window_size=8).fit(X)
    >>> has_drifted(detector, da.from_array(X, chunks=(350, 2)))
    False
    >>> X[600:] *= 5
    >>> has_drifted(detector, da.from_array(X, chunks=(350, 2)))
    True
    """
    import dask

    alarm_filter = AlarmFilter() if alarm_filter is None else alarm_filter
    blocks, threshold, median_error = errors_of(detector, X, alarm_filter)
    threshold = AlarmTracker(alarm_filter, threshold, median_error).fitted_threshold
    errors = dask.compute(*[block[0] for block in blocks])
    return have_drifted(np.concatenate(errors), threshold, median_error)
