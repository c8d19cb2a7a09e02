# SPDX-License-Identifier: MIT
import warnings
from numbers import Integral

import numpy as np
from sklearn.exceptions import UndefinedMetricWarning

from tsanomaly.metrics._checks import check_scores, find_events

__all__ = ["range_auc", "vus_pr", "vus_roc"]


def vus_pr(y_true, y_score, *, window=100, n_thresholds=250):
    """Volume under the surface of the range-based precision-recall curve.

    `y_true` is 1 for an anomaly and 0 for a normal row; higher `y_score` = worse. No
    threshold is needed, and an alarm a few rows beside its event still earns credit:
    the rows near an event become soft labels, and the area under the curve is averaged
    over all buffer lengths from 0 to `window` [1]_. This is the main measure of the
    TSB-AD benchmark [2]_, and gives the same values.

    Parameters
    ----------
    y_true : array-like of shape (n_timestamps,)
        1 for an anomaly, 0 for a normal row, in time order. Consecutive rows of 1 are
        one event.
    y_score : array-like of shape (n_timestamps,)
        Higher = worse. Only the ranking matters.
    window : int, default=100
        Largest buffer length, in rows: half of it before an event, half after it. It
        may exceed the series. The length of a period, or of a typical event, is a good
        choice; compare values of the same `window` only.
    n_thresholds : int or None, default=250
        How many thresholds to evaluate: scores at equidistant positions of the ranking.
        250 are those of TSB-AD. None takes the scores of all rows.

    Returns
    -------
    volume : float
        Between 0 and 1, higher = better. NaN if there is no anomaly.

    Raises
    ------
    ValueError
        If the lengths differ, the labels are no labels, a score is not finite, or a
        parameter is out of range.

    Warns
    -----
    UndefinedMetricWarning
        If there is no anomaly, as may happen in a fold of cross-validation.

    See Also
    --------
    vus_roc : The same for the ROC curve.
    range_auc : The area for one buffer length.
    sklearn.metrics.average_precision_score : Without buffers, row by row.

    Notes
    -----
    For every buffer length ``l = 0, ..., window``, with ``h = l // 2``:

    1. Soft labels: 1 in the rows of events, ``sqrt(1 - k / l)`` in rows that lie ``k``
       rows beside an event, for ``k = 1, ..., h``. Credits of several events add up to
       1 at most.
    2. Zones: events widened by ``h`` rows on both sides, merged where they share a row.
    3. Thresholds: the scores at `n_thresholds` equidistant positions of the ranking.
       Tied rows are flagged together.
    4. At each threshold: TP = soft labels of the flagged rows; Q = anomalous rows +
       half of the soft labels of flagged rows beside events; recall =
       ``min(TP / Q, 1)`` times the share of zones with a flagged row; precision = TP
       over flagged rows; false positive rate = (flagged rows - TP) over (rows - Q).
    5. Area under the PR curve: the sum of steps in recall times precision, as in
       average precision. Area under the ROC curve: by trapezoids, from (0, 0) to
       (1, 1).
    6. The volume is the mean area over all buffer lengths.

    Random scores do not get the same value on every series. Where events are at least
    ten times as long as `window`, they get about the share of anomalous rows. On events
    of a few rows they get far more, as most of the credit is in the buffers: judge a
    detector there against random scores.

    If all rows are anomalous, the value is 1 by definition (the code of TSB-AD fails,
    as it does without an anomaly). If all scores are equal, it is the share of the soft
    labels in all rows.

    Time grows with `window` times the rows within buffers, and memory is that of a few
    copies of the scores: long series and windows are no problem.

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
    An alarm that comes one row late still has some value:

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

    `y_true` is 1 for an anomaly and 0 for a normal row; higher `y_score` = worse. No
    threshold is needed, and an alarm a few rows beside its event still earns credit:
    the rows near an event become soft labels, and the area under the curve is averaged
    over all buffer lengths from 0 to `window` [1]_. The values are those of the TSB-AD
    benchmark [2]_.

    Parameters
    ----------
    y_true : array-like of shape (n_timestamps,)
        1 for an anomaly, 0 for a normal row, in time order. Consecutive rows of 1 are
        one event.
    y_score : array-like of shape (n_timestamps,)
        Higher = worse. Only the ranking matters.
    window : int, default=100
        Largest buffer length, in rows: half of it before an event, half after it. It
        may exceed the series.
    n_thresholds : int or None, default=250
        How many thresholds to evaluate: scores at equidistant positions of the ranking.
        None takes the scores of all rows.

    Returns
    -------
    volume : float
        Between 0 and 1, higher = better. NaN unless there are both anomalous and
        normal rows.

    Raises
    ------
    ValueError
        If the lengths differ, the labels are no labels, a score is not finite, or a
        parameter is out of range.

    Warns
    -----
    UndefinedMetricWarning
        If there is no anomaly, or nothing else.

    See Also
    --------
    vus_pr : The same for the precision-recall curve, which rare anomalies call for.
    range_auc : The area for one buffer length.
    sklearn.metrics.roc_auc_score : Without buffers, row by row.

    Notes
    -----
    :func:`vus_pr` has the definition. Random scores do not get 0.5: they get more where
    buffers are long against the events, and without buffers as little as 1/3 where
    there are many events of one row, as recall counts the events found, too. Without a
    buffer and with a single event, this is the usual area.

    If all scores are equal, the value is 0.5 without a buffer, and more with buffers.
    If all rows are anomalous the area is not defined, and NaN is returned (the code of
    TSB-AD fails).

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
    """Area under the range-based PR or ROC curve, for one buffer length.

    `y_true` is 1 for an anomaly and 0 for a normal row; higher `y_score` = worse. This
    is the slice of :func:`vus_pr` or :func:`vus_roc` with buffers of length `window`
    [1]_.

    Parameters
    ----------
    y_true : array-like of shape (n_timestamps,)
        1 for an anomaly, 0 for a normal row, in time order. Consecutive rows of 1 are
        one event.
    y_score : array-like of shape (n_timestamps,)
        Higher = worse. Only the ranking matters.
    window : int, default=100
        Buffer length, in rows: half of it before an event, half after it. It may exceed
        the series.
    curve : {'pr', 'roc'}, default='pr'
        Precision over recall, or recall over the false positive rate.
    n_thresholds : int or None, default=250
        How many thresholds to evaluate: scores at equidistant positions of the ranking.
        None takes the scores of all rows.

    Returns
    -------
    area : float
        Between 0 and 1, higher = better. NaN if there is no anomaly, and for
        ``curve='roc'`` also if there is nothing else.

    Raises
    ------
    ValueError
        If the lengths differ, the labels are no labels, a score is not finite, or a
        parameter is out of range.

    Warns
    -----
    UndefinedMetricWarning
        If the area is not defined, and NaN is returned.

    See Also
    --------
    vus_pr : Mean area under the precision-recall curve, over all buffer lengths.
    vus_roc : Mean area under the ROC curve, over all buffer lengths.

    Notes
    -----
    :func:`vus_pr` has the definition. Other libraries follow an older one, with a fixed
    number of positives and trapezoids for the PR curve too, and give other values.

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
            f"window must be an integer of at least 0, in rows, got {window!r}."
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
            "n_thresholds must be an integer of at least 2, or None for the scores of "
            f"all rows, got {n_thresholds!r}."
        )


def _mean_area(y_true, y_score, lengths, n_thresholds, curve):
    """Validate, average over buffer lengths, and warn of an undefined result."""
    _check_n_thresholds(n_thresholds)
    y_true, y_score = check_scores(y_true, y_score)
    areas = _range_areas(y_true, y_score, lengths, n_thresholds)
    area = areas[curve].mean()
    if np.isnan(area):
        which, name = (
            ("normal", "ROC") if y_true.any() else ("anomalous", curve.upper())
        )
        warnings.warn(
            f"y_true has no {which} row: the area under the {name} curve is not "
            "defined, NaN is returned.",
            UndefinedMetricWarning,
            stacklevel=3,  # the line that called the public function
        )
        return np.nan
    # Sums of many terms can leave the range by a rounding error.
    return float(np.clip(area, 0, 1))


def _range_areas(y_true, y_score, lengths, n_thresholds):
    """Areas under both curves, for several buffer lengths.

    Both curves are made of the same counts, so one pass gives both. A row is flagged
    from one threshold on, thus all sums over flagged rows are running sums over
    thresholds of what each one adds.

    Parameters
    ----------
    y_true : ndarray of shape (n_timestamps,), dtype=bool
        True for an anomaly.
    y_score : ndarray of shape (n_timestamps,), dtype=float64
        Higher = worse.
    lengths : sequence of int
        Buffer lengths, ascending.
    n_thresholds : int or None
        None for the scores of all rows.

    Returns
    -------
    areas : dict of str to ndarray of shape (n_lengths,)
        'pr' and 'roc'. NaN where not defined.
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
    # The closing points of the ROC curve are in place.
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
    """Position of the first threshold, from the highest down, that flags each row."""
    thresholds = np.sort(y_score)[::-1]
    if n_thresholds is not None:
        positions = np.linspace(0, len(y_score) - 1, n_thresholds).astype(int)
        thresholds = thresholds[positions]
    # A repeated threshold adds nothing to the areas. The lowest score is one, so every
    # row is flagged at last.
    thresholds = np.unique(thresholds)  # ascending
    reached = np.searchsorted(thresholds, y_score, side="right")
    return len(thresholds) - reached, len(thresholds)


def _running_sum(flagged_at, n_thresholds, weights=None):
    return np.cumsum(np.bincount(flagged_at, weights, minlength=n_thresholds))


class _Buffers:
    """Rows beside events, and the zones they belong to, for growing buffer lengths.

    Parameters
    ----------
    y_true : ndarray of shape (n_timestamps,), dtype=bool
        True for an anomaly.
    flagged_at : ndarray of shape (n_timestamps,)
        Position of the first threshold that flags a row.
    reach : int
        Rows beside an event that the longest buffer takes.
    n_thresholds : int
        How many thresholds there are.
    """

    def __init__(self, y_true, flagged_at, reach, n_thresholds):
        self.start, self.end = start, end = find_events(y_true)
        self.flagged_at, self.n_thresholds = flagged_at, n_thresholds
        # A longer reach takes no more rows.
        self.longest = len(flagged_at) - 1
        near, self.nearest, self.second = _distances(
            y_true, start, end, min(reach, self.longest)
        )
        self.near_flagged_at = flagged_at[near]
        # Per event, the first threshold that flags a row of it, widened by `half`.
        # Every second range is a gap between events; the padding is for the last event.
        limits = np.column_stack([start, end + 1]).ravel()
        padded = np.append(flagged_at, n_thresholds)
        self.first, self.half = np.minimum.reduceat(padded, limits)[::2], 0
        self.gaps = start[1:] - end[:-1]

    def soft_labels(self, length):
        """Soft labels of flagged rows beside events, summed, for each threshold."""
        half = min(length // 2, self.longest)
        # Rows are sorted by distance.
        n_near = np.searchsorted(self.nearest, half, side="right")
        # Lengths 0 and 1 take no row, and 0 cannot divide.
        slope = np.sqrt(1 - np.arange(half + 1) / float(max(length, 1)))
        credit = slope[self.nearest[:n_near]]
        # Each credit is at least sqrt(1/2), so that those of two events exceed 1, and
        # are cut: no need to add them up, nor to look for a third event.
        credit[self.second[:n_near] <= half] = 1
        return _running_sum(self.near_flagged_at[:n_near], self.n_thresholds, credit)

    def share_of_zones(self, length):
        """Share of zones with a flagged row, for each threshold. Lengths ascend."""
        half = min(length // 2, self.longest)
        while self.half < half:
            self.half += 1
            before = np.maximum(self.start - self.half, 0)
            after = np.minimum(self.end + self.half, self.longest)
            for row in (before, after):
                np.minimum(self.first, self.flagged_at[row], out=self.first)
        # Widened by the same number of rows, events stay in order: a zone begins where
        # the gap to the previous event is not covered.
        zones = np.append(0, np.flatnonzero(self.gaps > 2 * half) + 1)
        first = np.minimum.reduceat(self.first, zones)
        return _running_sum(first, self.n_thresholds) / len(zones)


def _distances(y_true, start, end, reach):
    """Normal rows near events, with the distances to the nearest and second event.

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
        In the order of `nearest`.
    nearest, second : ndarray of shape (n_near,)
        Distance to the nearest edge of an event, and to that of the second event.
    """
    n_rows = len(y_true)
    # +1 where a widened event begins, -1 behind its end.
    cover = np.zeros(n_rows + 1, dtype=np.int32)
    np.add.at(cover, np.maximum(start - reach, 0), 1)
    np.add.at(cover, np.minimum(end + reach + 1, n_rows), -1)
    rows = np.flatnonzero((np.cumsum(cover[:-1], dtype=np.int32) > 0) & ~y_true)

    # Two events on either side are enough. Where there are none, they are out of reach.
    event = np.searchsorted(start, rows)  # the next one
    start = np.append(start, [2 * n_rows, 2 * n_rows])
    end = np.append([-n_rows, -n_rows], end)
    ahead, behind = start[event] - rows, rows - end[event + 1]
    nearest, second = np.minimum(ahead, behind), np.maximum(ahead, behind)
    for other in (start[event + 1] - rows, rows - end[event]):
        np.minimum(second, other, out=second)
    order = np.argsort(nearest, kind="stable")
    return rows[order], nearest[order], second[order]
