# SPDX-License-Identifier: MIT
"""Metrics of ranges of rows: range-based, event-wise and point-adjusted."""

import warnings
from numbers import Real

import numpy as np

from tsanomaly._sklearn_compat import Interval, StrOptions, validate_params
from tsanomaly.metrics._checks import (
    check_predictions,
    find_events,
    fscore,
    owners,
    touched,
    warn_undefined,
)

__all__ = [
    "event_precision_recall_fscore",
    "point_adjusted_f1",
    "range_precision_recall_fscore",
]


@validate_params(
    {
        "alpha": [Interval(Real, 0, 1, closed="both")],
        "cardinality": [StrOptions({"reciprocal", "one"})],
        "bias": [StrOptions({"flat", "front", "middle", "back"})],
        "beta": [Interval(Real, 0, None, closed="neither")],
    },
    prefer_skip_nested_validation=True,
)
def range_precision_recall_fscore(
    y_true, y_pred, *, alpha=0.0, cardinality="reciprocal", bias="flat", beta=1.0
):
    r"""Range-based precision, recall and F-score.

    Both labels are 1 for anomalies and 0 for normal rows. Convert the output of
    `predict` with ``y_pred = (labels == -1).astype(int)``.

    Each event, a run of anomalous rows, has the same weight regardless of its length
    and is credited by the share of its rows that are flagged [1]_. The same holds for
    each predicted range, a run of flagged rows.

    Parameters
    ----------
    y_true : array-like of shape (n_timestamps,)
        Ground truth, 1 = anomaly and 0 = normal.
    y_pred : array-like of shape (n_timestamps,)
        Predictions, 1 = flagged and 0 = normal.
    alpha : float, default=0.0
        Weight in recall, in [0, 1], of detecting an event at all. With 1, a single
        flagged row suffices; with 0, only the share of flagged rows counts. Not used in
        precision.
    cardinality : {'reciprocal', 'one'}, default='reciprocal'
        Penalty for fragmentation. 'reciprocal' divides the credit of an event by the
        number of predicted ranges in it; 'one' applies no penalty. The same holds for a
        predicted range that contains several events.
    bias : {'flat', 'front', 'middle', 'back'}, default='flat'
        Which rows of an event (in recall) or of a predicted range (in precision) have
        more weight. 'front' rewards early detection, 'flat' gives equal weights.
    beta : float, default=1.0
        Weight of recall relative to precision in the F-score.

    Returns
    -------
    precision : float
        In [0, 1]. 0.0 if no row is flagged.
    recall : float
        In [0, 1]. 0.0 if there is no event.
    fscore : float
        In [0, 1]. 0.0 if precision or recall is 0.

    Raises
    ------
    ValueError
        If the lengths differ, the labels are not 0 and 1, or a parameter is out of
        range.

    Warns
    -----
    UndefinedMetricWarning
        If there is no event, or no row is flagged.

    See Also
    --------
    event_precision_recall_fscore : Count detected events and false alarms.
    affiliation_precision_recall_fscore : Give partial credit to near misses.

    Notes
    -----
    The recall of an event that overlaps ``x`` predicted ranges is

    .. math:: \alpha [x > 0] + (1 - \alpha) \, \gamma(x) \,
        \frac{\text{weight of its flagged rows}}{\text{weight of its rows}},

    where :math:`\gamma(x)` is ``1 / x`` or 1. The weight of row ``i`` of ``n``, counted
    from 1, is 1 ('flat'), ``n - i + 1`` ('front'), ``i`` ('back'), or the smaller of
    these two ('middle'). Recall is the mean over events. Precision swaps events and
    predicted ranges and uses ``alpha = 0``.

    The values agree with those of the package prts. If all rows are flagged or
    anomalous, the code of the TSB-AD benchmark finds no range, and if all are flagged,
    aeon returns 0; here such a range counts like any other.

    References
    ----------
    .. [1] N. Tatbul, T. J. Lee, S. Zdonik, M. Alam, J. Gottschlich. "Precision and
           Recall for Time Series." NeurIPS 2018. https://arxiv.org/abs/1803.03639

    Examples
    --------
    >>> from tsanomaly.metrics import range_precision_recall_fscore
    >>> y_true = [0, 1, 1, 1, 1, 0, 0, 1, 1, 0]
    >>> y_pred = [0, 0, 1, 0, 1, 0, 0, 0, 0, 1]
    >>> precision, recall, f1 = range_precision_recall_fscore(y_true, y_pred)
    >>> round(precision, 3), recall
    (0.667, 0.125)
    >>> range_precision_recall_fscore(y_true, y_pred, cardinality="one")[1]
    0.25
    """
    y_true, y_pred = check_predictions(y_true, y_pred)
    events, predicted = find_events(y_true), find_events(y_pred)
    # Events are not adjacent, so each run of rows that are anomalous and flagged is the
    # overlap of one event and one predicted range.
    overlaps = find_events(y_true & y_pred)
    undefined = _undefined(events, predicted)
    if undefined:
        warn_undefined(undefined)
    precision = _mean_reward(predicted, overlaps, 0.0, cardinality, bias)
    recall = _mean_reward(events, overlaps, alpha, cardinality, bias)
    return precision, recall, fscore(precision, recall, beta)


def _undefined(events, predicted):
    messages = []
    if not len(predicted[0]):
        messages.append("Precision is undefined, because no row of y_pred is flagged.")
    if not len(events[0]):
        messages.append("Recall is undefined, because y_true contains no anomaly.")
    return " ".join([*messages, "Returning 0.0."]) if messages else None


def _mean_reward(target, overlap, alpha, cardinality, bias):
    start, end = target
    if not len(start):
        return 0.0
    length = end - start + 1
    owner = owners(target, overlap)
    n_overlaps = np.bincount(owner, minlength=len(start))
    before = overlap[0] - start[owner]
    upto = overlap[1] - start[owner] + 1
    weight = _head_weight(upto, length[owner], bias)
    weight -= _head_weight(before, length[owner], bias)
    reward = np.bincount(owner, weights=weight, minlength=len(start))
    # Not in place, because without any overlap the counts are integers.
    reward = reward / _head_weight(length, length, bias)
    if cardinality == "reciprocal":
        reward /= np.maximum(n_overlaps, 1)
    # Not alpha + (1 - alpha) * reward, so that a full reward is exactly 1.
    reward += alpha * ((n_overlaps > 0) - reward)
    return float(reward.mean())


def _head_weight(n_rows, length, bias):
    """Return the weight of the first `n_rows` rows of runs of the given lengths."""
    if bias == "flat":
        return n_rows.copy()
    if bias == "back":
        return _triangle(n_rows)
    if bias == "front":
        return _triangle(length) - _triangle(length - n_rows)
    half = length // 2
    falling = _triangle(length - half) - _triangle(length - np.maximum(n_rows, half))
    return _triangle(np.minimum(n_rows, half)) + falling


def _triangle(n):
    return n * (n + 1) // 2


@validate_params(
    {
        "counting": [StrOptions({"segments", "composite"})],
        "beta": [Interval(Real, 0, None, closed="neither")],
    },
    prefer_skip_nested_validation=True,
)
def event_precision_recall_fscore(y_true, y_pred, *, counting="segments", beta=1.0):
    """Event-wise precision, recall and F-score.

    Both labels are 1 for anomalies and 0 for normal rows. Convert the output of
    `predict` with ``y_pred = (labels == -1).astype(int)``.

    An event, a run of anomalous rows, is detected if any of its rows is flagged. Recall
    is the share of detected events. Precision is available in two definitions; papers
    that report an event-wise F1 do not always state which one they use.

    Parameters
    ----------
    y_true : array-like of shape (n_timestamps,)
        Ground truth, 1 = anomaly and 0 = normal.
    y_pred : array-like of shape (n_timestamps,)
        Predictions, 1 = flagged and 0 = normal.
    counting : {'segments', 'composite'}, default='segments'
        How precision counts false alarms:

        - 'segments': as runs of rows [1]_. A run of flagged rows that overlaps no event
          is one false alarm, and precision is
          ``detected / (detected + false alarms)``. Flagging every row gives 1.0, so
          also report :func:`false_alarms_per_day` or a row-wise metric.
        - 'composite': as rows [2]_. Precision is the share of flagged rows that are
          anomalous.
    beta : float, default=1.0
        Weight of recall relative to precision in the F-score.

    Returns
    -------
    precision : float
        In [0, 1]. 0.0 if no row is flagged.
    recall : float
        In [0, 1]. 0.0 if there is no event.
    fscore : float
        In [0, 1]. 0.0 if precision or recall is 0.

    Raises
    ------
    ValueError
        If the lengths differ, the labels are not 0 and 1, or a parameter is out of
        range.

    Warns
    -----
    UndefinedMetricWarning
        If there is no event, or no row is flagged.

    See Also
    --------
    range_precision_recall_fscore : Credit events by the share of flagged rows.
    detection_delay : Time from the start of events to their detection.
    false_alarms_per_day : Number of false alarms per day of observation.

    Notes
    -----
    A predicted range that overlaps several events detects all of them. One that is
    adjacent to an event without a common row is a false alarm.

    A third definition in the literature counts every predicted range that overlaps an
    event as a true positive; it gives a higher precision when an event is detected in
    several pieces, and is not implemented.

    'composite' agrees with the event-based F1 of the TSB-AD benchmark, except for an
    event at the end of the series: its code drops the last row, so it never detects an
    event of only that row.

    References
    ----------
    .. [1] K. Hundman, V. Constantinou, C. Laporte, I. Colwell, T. Soderstrom.
           "Detecting Spacecraft Anomalies Using LSTMs and Nonparametric Dynamic
           Thresholding." KDD 2018. https://arxiv.org/abs/1802.04431
    .. [2] A. Garg, W. Zhang, J. Samaran, R. Savitha, C.-S. Foo. "An Evaluation of
           Anomaly Detection and Diagnosis in Multivariate Time Series." IEEE TNNLS 33,
           2022. https://arxiv.org/abs/2109.11428

    Examples
    --------
    >>> from tsanomaly.metrics import event_precision_recall_fscore
    >>> y_true = [0, 1, 1, 1, 1, 0, 0, 1, 1, 0]
    >>> y_pred = [1, 0, 1, 0, 1, 1, 0, 0, 0, 0]
    >>> event_precision_recall_fscore(y_true, y_pred)
    (0.5, 0.5, 0.5)
    >>> event_precision_recall_fscore([0, 1, 1, 0], [1, 1, 1, 1], counting="composite")
    (0.5, 1.0, 0.6666666666666666)
    """
    y_true, y_pred = check_predictions(y_true, y_pred)
    events, predicted = find_events(y_true), find_events(y_pred)
    hits = y_true & y_pred
    overlaps = find_events(hits)
    undefined = _undefined(events, predicted)
    if undefined:
        warn_undefined(undefined)
    n_found = int(touched(events, overlaps).sum())
    if counting == "segments":
        right, wrong = n_found, int((~touched(predicted, overlaps)).sum())
    else:
        right, wrong = int(hits.sum()), int((y_pred & ~y_true).sum())
    precision = right / (right + wrong) if right else 0.0
    recall = n_found / len(events[0]) if n_found else 0.0
    return precision, recall, fscore(precision, recall, beta)


def point_adjusted_f1(y_true, y_pred):
    """Point-adjusted F1, only for comparison with published values.

    Both labels are 1 for anomalies and 0 for normal rows. Convert the output of
    `predict` with ``y_pred = (labels == -1).astype(int)``.

    If any row of an event is flagged, all its rows count as flagged [1]_; the score is
    the row-wise F1 after this adjustment. It is widely reported but has little meaning:
    random flags score high if events are long [2]_. Every call therefore warns.

    Parameters
    ----------
    y_true : array-like of shape (n_timestamps,)
        Ground truth, 1 = anomaly and 0 = normal.
    y_pred : array-like of shape (n_timestamps,)
        Predictions, 1 = flagged and 0 = normal.

    Returns
    -------
    score : float
        In [0, 1]. 0.0 if there is neither an event nor a flagged row.

    Raises
    ------
    ValueError
        If the lengths differ, or the labels are not 0 and 1.

    Warns
    -----
    UserWarning
        On every call.
    UndefinedMetricWarning
        If there is neither an event nor a flagged row.

    See Also
    --------
    event_precision_recall_fscore : Count detected events and false alarms.
    range_precision_recall_fscore : Credit events by the share of flagged rows.
    affiliation_precision_recall_fscore : Give partial credit to near misses.

    Notes
    -----
    The score is ``2 TP / (2 TP + FP + FN)``, where TP is the number of rows in detected
    events, FN the number of rows in missed events, and FP the number of flagged normal
    rows.

    The code of the TSB-AD benchmark never adjusts row 0, so it gives a lower score if
    an event starts there.

    References
    ----------
    .. [1] H. Xu et al. "Unsupervised Anomaly Detection via Variational Auto-Encoder for
           Seasonal KPIs in Web Applications." WWW 2018.
           https://arxiv.org/abs/1802.03903
    .. [2] S. Kim, K. Choi, H.-S. Choi, B. Lee, S. Yoon. "Towards a Rigorous Evaluation
           of Time-Series Anomaly Detection." AAAI 2022.
           https://arxiv.org/abs/2109.05257

    Examples
    --------
    >>> import warnings
    >>> from tsanomaly.metrics import point_adjusted_f1
    >>> y_true = [0, 0, 1, 1, 1, 1, 1, 1, 0, 0]
    >>> y_pred = [0, 0, 0, 0, 0, 1, 0, 0, 0, 0]
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore", UserWarning)
    ...     point_adjusted_f1(y_true, y_pred)
    1.0
    """
    warnings.warn(
        "Point adjustment counts a whole event as flagged if one row is, so that even "
        "random flags score high. Use it only to compare with published values, and "
        "evaluate with event_precision_recall_fscore, range_precision_recall_fscore or "
        "affiliation_precision_recall_fscore.",
        UserWarning,
        stacklevel=2,
    )
    y_true, y_pred = check_predictions(y_true, y_pred)
    start, end = events = find_events(y_true)
    found = touched(events, find_events(y_true & y_pred))
    length = end - start + 1
    right = length[found].sum()
    wrong = length[~found].sum() + (y_pred & ~y_true).sum()
    if not right + wrong:
        warn_undefined(
            "F1 is undefined, because y_true contains no anomaly and no row of y_pred "
            "is flagged. Returning 0.0.",
            stacklevel=3,
        )
        return 0.0
    return float(2 * right / (2 * right + wrong))
