# SPDX-License-Identifier: MIT
import warnings
from numbers import Integral

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning

from tsanomaly.metrics._checks import check_scores, find_events

__all__ = ["range_auc", "vus_pr", "vus_roc"]


def vus_pr(y_true, y_score, *, window=100, n_thresholds=250):
    """Volume under the surface of the range-based precision-recall curve.

    `y_true` is 1 for anomalies and 0 for normal rows; higher `y_score` = worse.

    The metric needs no threshold and gives credit to alarms a few rows before or after
    an event: rows near an event have soft labels, and the area under the curve is
    averaged over all buffer lengths from 0 to `window` [1]_. It is the main metric of
    the TSB-AD benchmark [2]_, with identical values.

    Parameters
    ----------
    y_true : array-like of shape (n_timestamps,)
        Ground truth in time order, 1 = anomaly and 0 = normal. Each run of ones is one
        event.
    y_score : array-like of shape (n_timestamps,)
        Scores, higher = worse. Only their ranking matters.
    window : int, default=100
        Maximum buffer length in rows, half of it before and half after an event. It may
        exceed the length of the series. The length of a period or of a typical event is
        a good choice. Only values with the same `window` are comparable.
    n_thresholds : int or None, default=250
        Number of thresholds, which are the scores at equidistant positions of the
        ranking. 250 is the number of TSB-AD. None uses the scores of all rows.

    Returns
    -------
    volume : float
        In [0, 1], higher = better. NaN if there is no anomaly.

    Raises
    ------
    ValueError
        If the lengths differ, the labels are not 0 and 1, a score is not finite, or a
        parameter is out of range.

    Warns
    -----
    UndefinedMetricWarning
        If there is no anomaly, as may happen in a fold of cross-validation.

    See Also
    --------
    vus_roc : Volume under the surface of the range-based ROC curve.
    range_auc : Area for a single buffer length.
    sklearn.metrics.average_precision_score : Row-wise, without buffers.

    Notes
    -----
    For each buffer length ``l = 0, ..., window``, with ``h = l // 2``:

    1. Soft labels: 1 in the rows of events, ``sqrt(1 - k / l)`` in rows at distance
       ``k`` from an event, for ``k = 1, ..., h``. The credits of several events add up
       to at most 1.
    2. Zones: events extended by ``h`` rows on both sides, merged where they share a
       row.
    3. Thresholds: the scores at `n_thresholds` equidistant positions of the ranking.
       Tied rows are flagged together.
    4. At each threshold: TP = sum of the soft labels of flagged rows; Q = number of
       anomalous rows + half of the soft labels of flagged rows outside events; recall =
       ``min(TP / Q, 1)`` times the share of zones with a flagged row; precision = TP /
       number of flagged rows; false positive rate = (number of flagged rows - TP) /
       (number of rows - Q).
    5. Area under the PR curve: sum of recall steps times precision, as in average
       precision. Area under the ROC curve: trapezoidal rule from (0, 0) to (1, 1).
    6. The volume is the mean area over all buffer lengths.

    Other libraries, such as aeon and dtaianomaly, use different definitions under the
    same name, so their values differ.

    The value of random scores depends on the series. It is about the share of anomalous
    rows if events are at least ten times as long as `window`, and much higher for
    events of a few rows, since most of the credit is then in the buffers. Compare with
    random scores in this case.

    If all rows are anomalous, the value is 1 by definition. (The code of TSB-AD fails,
    as it does without anomalies.) If all scores are equal, it is the sum of the soft
    labels over the number of rows.

    Time is proportional to `window` times the number of rows within buffers, and memory
    to a few copies of the scores.

    References
    ----------
    .. [1] J. Paparrizos, P. Boniol, T. Palpanas, R. S. Tsay, A. Elmore, M. J. Franklin.
           "Volume Under the Surface: A New Accuracy Evaluation Measure for Time-Series
           Anomaly Detection." PVLDB 15(11), 2022.
           https://doi.org/10.14778/3551793.3551830
    .. [2] Q. Liu, J. Paparrizos. "The Elephant in the Room: Towards A Reliable
           Time-Series Anomaly Detection Benchmark." NeurIPS 2024.

    Examples
    --------
    An alarm that is one row late still receives credit:

    >>> from tsanomaly.metrics import vus_pr
    >>> y_true = [0, 0, 0, 0, 1, 0, 0, 0, 0, 0]
    >>> y_score = [0, 0, 0, 0, 0, 9, 0, 0, 0, 0]
    >>> vus_pr(y_true, y_score, window=0)
    0.1
    >>> vus_pr(y_true, y_score, window=4) > 0.3
    True
    """
    lengths = _buffer_lengths(window)
    return _mean_area(y_true, y_score, lengths, n_thresholds, "pr")


def vus_roc(y_true, y_score, *, window=100, n_thresholds=250):
    """Volume under the surface of the range-based ROC curve.

    `y_true` is 1 for anomalies and 0 for normal rows; higher `y_score` = worse.

    The metric needs no threshold and gives credit to alarms a few rows before or after
    an event: rows near an event have soft labels, and the area under the curve is
    averaged over all buffer lengths from 0 to `window` [1]_. Values are identical to
    those of the TSB-AD benchmark [2]_.

    Parameters
    ----------
    y_true : array-like of shape (n_timestamps,)
        Ground truth in time order, 1 = anomaly and 0 = normal. Each run of ones is one
        event.
    y_score : array-like of shape (n_timestamps,)
        Scores, higher = worse. Only their ranking matters.
    window : int, default=100
        Maximum buffer length in rows, half of it before and half after an event. It may
        exceed the length of the series.
    n_thresholds : int or None, default=250
        Number of thresholds, which are the scores at equidistant positions of the
        ranking. None uses the scores of all rows.

    Returns
    -------
    volume : float
        In [0, 1], higher = better. NaN unless there are both anomalous and normal rows.

    Raises
    ------
    ValueError
        If the lengths differ, the labels are not 0 and 1, a score is not finite, or a
        parameter is out of range.

    Warns
    -----
    UndefinedMetricWarning
        If there are no anomalous or no normal rows.

    See Also
    --------
    vus_pr : Volume for the precision-recall curve, preferable if anomalies are rare.
    range_auc : Area for a single buffer length.
    sklearn.metrics.roc_auc_score : Row-wise, without buffers.

    Notes
    -----
    See :func:`vus_pr` for the definition. Random scores do not have the value 0.5: they
    have a higher one if buffers are long relative to the events and, without buffers, a
    value as low as 1/3 for many events of one row, because recall also depends on the
    number of detected events. Without a buffer and with a single event, the value is
    the ordinary area under the ROC curve.

    If all scores are equal, the value is 0.5 without buffers and higher with buffers.
    If all rows are anomalous, it is undefined and NaN is returned. (The code of TSB-AD
    fails.)

    References
    ----------
    .. [1] J. Paparrizos, P. Boniol, T. Palpanas, R. S. Tsay, A. Elmore, M. J. Franklin.
           "Volume Under the Surface: A New Accuracy Evaluation Measure for Time-Series
           Anomaly Detection." PVLDB 15(11), 2022.
           https://doi.org/10.14778/3551793.3551830
    .. [2] Q. Liu, J. Paparrizos. "The Elephant in the Room: Towards A Reliable
           Time-Series Anomaly Detection Benchmark." NeurIPS 2024.

    Examples
    --------
    >>> from tsanomaly.metrics import vus_roc
    >>> vus_roc([0, 0, 0, 1, 1, 0, 0, 0], [1, 2, 3, 9, 8, 4, 3, 2], window=4)
    1.0
    """
    lengths = _buffer_lengths(window)
    return _mean_area(y_true, y_score, lengths, n_thresholds, "roc")


def range_auc(y_true, y_score, *, window=100, curve="pr", n_thresholds=250):
    """Area under the range-based PR or ROC curve for a single buffer length.

    `y_true` is 1 for anomalies and 0 for normal rows; higher `y_score` = worse. This is
    the slice of :func:`vus_pr` or :func:`vus_roc` at buffer length `window` [1]_.

    Parameters
    ----------
    y_true : array-like of shape (n_timestamps,)
        Ground truth in time order, 1 = anomaly and 0 = normal. Each run of ones is one
        event.
    y_score : array-like of shape (n_timestamps,)
        Scores, higher = worse. Only their ranking matters.
    window : int, default=100
        Buffer length in rows, half of it before and half after an event. It may exceed
        the length of the series.
    curve : {'pr', 'roc'}, default='pr'
        The precision-recall curve or the ROC curve.
    n_thresholds : int or None, default=250
        Number of thresholds, which are the scores at equidistant positions of the
        ranking. None uses the scores of all rows.

    Returns
    -------
    area : float
        In [0, 1], higher = better. NaN if there is no anomaly and, for ``curve='roc'``,
        if there is no normal row.

    Raises
    ------
    ValueError
        If the lengths differ, the labels are not 0 and 1, a score is not finite, or a
        parameter is out of range.

    Warns
    -----
    UndefinedMetricWarning
        If the area is undefined.

    See Also
    --------
    vus_pr : Mean area under the precision-recall curve over all buffer lengths.
    vus_roc : Mean area under the ROC curve over all buffer lengths.

    Notes
    -----
    See :func:`vus_pr` for the definition. Other libraries use an older one, with a
    fixed number of positives and the trapezoidal rule also for the PR curve, and return
    different values.

    References
    ----------
    .. [1] J. Paparrizos, P. Boniol, T. Palpanas, R. S. Tsay, A. Elmore, M. J. Franklin.
           "Volume Under the Surface: A New Accuracy Evaluation Measure for Time-Series
           Anomaly Detection." PVLDB 15(11), 2022.
           https://doi.org/10.14778/3551793.3551830

    Examples
    --------
    >>> from tsanomaly.metrics import range_auc
    >>> y_true, y_score = [0, 0, 0, 1, 1, 0, 0, 0], [1, 2, 3, 9, 8, 4, 3, 2]
    >>> range_auc(y_true, y_score, window=4, curve="roc")
    1.0
    """
    _check_window(window)
    if not isinstance(curve, str) or curve not in {"pr", "roc"}:
        raise ValueError(f"curve must be 'pr' or 'roc', got {curve!r}.")
    return _mean_area(y_true, y_score, [window], n_thresholds, curve)


def _check_window(window):
    if isinstance(window, bool) or not isinstance(window, Integral) or window < 0:
        raise ValueError(
            f"window must be an integer of at least 0 (rows), got {window!r}."
        )


def _buffer_lengths(window):
    _check_window(window)
    return range(int(window) + 1)


def _check_n_thresholds(n_thresholds):
    if n_thresholds is None:
        return
    whole = isinstance(n_thresholds, Integral) and not isinstance(n_thresholds, bool)
    if not whole or n_thresholds < 2:
        raise ValueError(
            "n_thresholds must be an integer of at least 2, or None to use the scores "
            f"of all rows, got {n_thresholds!r}."
        )


def _mean_area(y_true, y_score, lengths, n_thresholds, curve):
    """Validate, average over buffer lengths, and warn if the result is undefined."""
    _check_n_thresholds(n_thresholds)
    y_true, y_score = check_scores(y_true, y_score)
    areas = _range_areas(y_true, y_score, lengths, n_thresholds)
    area = areas[curve].mean()
    if np.isnan(area):
        which, name = (
            ("normal", "ROC") if y_true.any() else ("anomalous", curve.upper())
        )
        warnings.warn(
            f"y_true has no {which} row, so the area under the {name} curve is "
            "undefined. Returning nan.",
            UndefinedMetricWarning,
            stacklevel=3,  # the line that called the public function
        )
        return np.nan
    # Rounding errors may put the sum of many terms slightly out of range.
    return float(np.clip(area, 0, 1))


def _range_areas(y_true, y_score, lengths, n_thresholds):
    """Return the areas under both curves for several buffer lengths.

    Both curves are based on the same counts, so one pass computes both. Each row is
    flagged by all thresholds below its score, so sums over flagged rows are cumulative
    sums over the thresholds.

    Parameters
    ----------
    y_true : ndarray of shape (n_timestamps,), dtype=bool
        True for an anomaly.
    y_score : ndarray of shape (n_timestamps,), dtype=float64
        Scores, higher = worse.
    lengths : sequence of int
        Buffer lengths, ascending.
    n_thresholds : int or None
        None uses the scores of all rows.

    Returns
    -------
    areas : dict of str to ndarray of shape (n_lengths,)
        'pr' and 'roc'. NaN where undefined.
    """
    n = len(y_true)
    areas = {curve: np.full(len(lengths), np.nan) for curve in ("pr", "roc")}
    if not y_true.any():
        return areas
    flagged_at, n_thresholds = _flagged_at(y_score, n_thresholds)
    buffers = _Buffers(y_true, flagged_at, max(lengths) // 2, n_thresholds)

    n_flagged = _running_sum(flagged_at, n_thresholds)
    n_found = _running_sum(flagged_at[y_true], n_thresholds)
    n_anomalous = n_found[-1]
    # With the end points of the ROC curve.
    recall, fpr = np.zeros(n_thresholds + 2), np.zeros(n_thresholds + 2)
    recall[-1] = fpr[-1] = 1
    for i, length in enumerate(lengths):
        soft = buffers.soft_labels(length)
        true_positives = n_found + soft
        positives = n_anomalous + soft / 2
        recall[1:-1] = np.minimum(true_positives / positives, 1)
        recall[1:-1] *= buffers.share_of_zones(length)
        areas["pr"][i] = np.diff(recall[:-1]) @ (true_positives / n_flagged)
        if n_anomalous < n:
            fpr[1:-1] = (n_flagged - true_positives) / (n - positives)
            areas["roc"][i] = np.diff(fpr) @ (recall[1:] + recall[:-1]) / 2
    return areas


def _flagged_at(y_score, n_thresholds):
    """Return the index of the highest threshold that flags each row."""
    thresholds = np.sort(y_score)[::-1]
    if n_thresholds is not None:
        positions = np.linspace(0, len(y_score) - 1, n_thresholds).astype(int)
        thresholds = thresholds[positions]
    # Repeated thresholds do not change the areas. The lowest score is a threshold, so
    # all rows are flagged in the end.
    thresholds = np.unique(thresholds)  # ascending
    reached = np.searchsorted(thresholds, y_score, side="right")
    return len(thresholds) - reached, len(thresholds)


def _running_sum(flagged_at, n_thresholds, weights=None):
    return np.cumsum(np.bincount(flagged_at, weights, minlength=n_thresholds))


class _Buffers:
    """Rows near events, and zones of events, for increasing buffer lengths.

    Parameters
    ----------
    y_true : ndarray of shape (n_timestamps,), dtype=bool
        True for an anomaly.
    flagged_at : ndarray of shape (n_timestamps,)
        Index of the highest threshold that flags each row.
    reach : int
        Number of rows on each side of an event in the longest buffer.
    n_thresholds : int
        Number of thresholds.
    """

    def __init__(self, y_true, flagged_at, reach, n_thresholds):
        self.start, self.end = start, end = find_events(y_true)
        self.flagged_at, self.n_thresholds = flagged_at, n_thresholds
        # A longer reach would add no rows.
        self.longest = len(flagged_at) - 1
        near, self.nearest, self.second = _distances(
            y_true, start, end, min(reach, self.longest)
        )
        self.near_flagged_at = flagged_at[near]
        # Highest threshold that flags a row of each event, extended by `half` rows.
        # Every other range is a gap between events; the padding is for the last event.
        limits = np.column_stack([start, end + 1]).ravel()
        padded = np.append(flagged_at, n_thresholds)
        self.first, self.half = np.minimum.reduceat(padded, limits)[::2], 0
        self.gaps = start[1:] - end[:-1]

    def soft_labels(self, length):
        """Return the sum of soft labels of flagged rows near events per threshold."""
        half = min(length // 2, self.longest)
        # Rows are sorted by distance.
        n_near = np.searchsorted(self.nearest, half, side="right")
        # Lengths 0 and 1 include no row, and 0 must not divide.
        slope = np.sqrt(1 - np.arange(half + 1) / float(max(length, 1)))
        credit = slope[self.nearest[:n_near]]
        # Each credit is at least sqrt(1/2), so two of them exceed 1 and are clipped.
        # There is no need to add them up or to consider a third event.
        credit[self.second[:n_near] <= half] = 1
        return _running_sum(self.near_flagged_at[:n_near], self.n_thresholds, credit)

    def share_of_zones(self, length):
        """Return the share of zones with a flagged row per threshold.

        Lengths must be passed in ascending order.
        """
        half = min(length // 2, self.longest)
        while self.half < half:
            self.half += 1
            before = np.maximum(self.start - self.half, 0)
            after = np.minimum(self.end + self.half, self.longest)
            for row in (before, after):
                np.minimum(self.first, self.flagged_at[row], out=self.first)
        # Events extended by the same number of rows stay in order. A zone starts where
        # the gap to the previous event is not covered.
        zones = np.append(0, np.flatnonzero(self.gaps > 2 * half) + 1)
        first = np.minimum.reduceat(self.first, zones)
        return _running_sum(first, self.n_thresholds) / len(zones)


def _distances(y_true, start, end, reach):
    """Return normal rows near events with the distances to the two nearest events.

    Parameters
    ----------
    y_true : ndarray of shape (n_timestamps,), dtype=bool
        True for an anomaly.
    start, end : ndarray of shape (n_events,)
        First and last row of each event.
    reach : int
        Largest distance of a row to the nearest event.

    Returns
    -------
    rows : ndarray of shape (n_near,)
        Row numbers, sorted by `nearest`.
    nearest, second : ndarray of shape (n_near,)
        Distances to the edges of the nearest and second-nearest event.
    """
    n_rows = len(y_true)
    # +1 where an extended event starts, -1 after its end.
    cover = np.zeros(n_rows + 1, dtype=np.int32)
    np.add.at(cover, np.maximum(start - reach, 0), 1)
    np.add.at(cover, np.minimum(end + reach + 1, n_rows), -1)
    rows = np.flatnonzero((np.cumsum(cover[:-1], dtype=np.int32) > 0) & ~y_true)

    # Two events on each side suffice. Missing ones are out of reach.
    event = np.searchsorted(start, rows)  # the next event
    start = np.append(start, [2 * n_rows, 2 * n_rows])
    end = np.append([-n_rows, -n_rows], end)
    ahead, behind = start[event] - rows, rows - end[event + 1]
    nearest, second = np.minimum(ahead, behind), np.maximum(ahead, behind)
    for other in (start[event + 1] - rows, rows - end[event]):
        np.minimum(second, other, out=second)
    order = np.argsort(nearest, kind="stable")
    return rows[order], nearest[order], second[order]
