# SPDX-License-Identifier: MIT
"""Measures of runs of rows: range-based, event-wise and point-adjusted."""

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

    1 is an anomaly in `y_true`, and 1 is a flagged row in `y_pred`: labels of `predict`
    convert with ``y_pred = (labels == -1).astype(int)``.

    Every event, a run of anomalous rows, counts once, however long it is, and earns the
    share of it that is flagged [1]_. So does every predicted range, a run of flagged
    rows.

    Parameters
    ----------
    y_true : array-like of shape (n_timestamps,)
        Ground truth: 1 for an anomaly, 0 for a normal row.
    y_pred : array-like of shape (n_timestamps,)
        Prediction: 1 for a row that is flagged, else 0.
    alpha : float, default=0.0
        Weight, in [0, 1], of finding an event at all, in the recall: 1 asks for one
        flagged row only, 0 for the whole event. Precision knows no such reward.
    cardinality : {'reciprocal', 'one'}, default='reciprocal'
        What becomes of an event found in several pieces: 'reciprocal' divides its share
        by the number of predicted ranges in it, 'one' does not mind. The same for a
        predicted range with several events.
    bias : {'flat', 'front', 'middle', 'back'}, default='flat'
        Which rows of an event weigh more, in recall, and which rows of a predicted
        range, in precision. 'front' rewards early detection, 'flat' weighs all alike.
    beta : float, default=1.0
        Weight of recall against precision in the F-score.

    Returns
    -------
    precision : float
        In [0, 1]; 0.0 if no row is flagged.
    recall : float
        In [0, 1]; 0.0 if there is no event.
    fscore : float
        In [0, 1]; 0.0 if precision or recall is.

    Raises
    ------
    ValueError
        If the lengths differ, the labels are not 0 and 1, or a parameter is out of its
        range.

    Warns
    -----
    UndefinedMetricWarning
        If there is no event, or no row is flagged.

    See Also
    --------
    event_precision_recall_fscore : Count events, without shares.
    affiliation_precision_recall_fscore : Near misses earn something, too.

    Notes
    -----
    The recall of an event with ``x`` predicted ranges in it is

    .. math:: \alpha [x > 0] + (1 - \alpha) \, \gamma(x) \,
        \frac{\text{weight of its flagged rows}}{\text{weight of its rows}},

    where :math:`\gamma(x)` is ``1 / x`` or 1. Row ``i`` of ``n``, counted from 1,
    weighs 1 ('flat'), ``n - i + 1`` ('front'), ``i`` ('back'), or what is smaller of
    these two ('middle'). Recall is the mean over events, and precision the same with
    events and predicted ranges exchanged, and ``alpha = 0``.

    The values are those of the package prts. The code of the TSB-AD benchmark sees no
    range where all rows are flagged, or anomalous, and aeon returns 0 where all are
    flagged; here such a range counts like any other.

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
    # Events do not touch each other, so a run of rows that are both anomalous and
    # flagged is the overlap of one event and one predicted range.
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
        messages.append("Precision is undefined, since no row of y_pred is flagged.")
    if not len(events[0]):
        messages.append("Recall is undefined, since y_true holds no anomaly.")
    return " ".join([*messages, "Set to 0.0."]) if messages else None


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
    # Not in place: without any overlap, the counts are integers.
    reward = reward / _head_weight(length, length, bias)
    if cardinality == "reciprocal":
        reward /= np.maximum(n_overlaps, 1)
    # Not alpha + (1 - alpha) * reward, so that a full reward is exactly 1.
    reward += alpha * ((n_overlaps > 0) - reward)
    return float(reward.mean())


def _head_weight(n_rows, length, bias):
    """Weight of the first `n_rows` rows of runs of the given lengths."""
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

    1 is an anomaly in `y_true`, and 1 is a flagged row in `y_pred`: labels of `predict`
    convert with ``y_pred = (labels == -1).astype(int)``.

    An event, a run of anomalous rows, is found if one of its rows is flagged, and
    recall is the share of events found. Of precision there are two definitions, and
    papers that report an event-wise F1 do not always say which they use.

    Parameters
    ----------
    y_true : array-like of shape (n_timestamps,)
        Ground truth: 1 for an anomaly, 0 for a normal row.
    y_pred : array-like of shape (n_timestamps,)
        Prediction: 1 for a row that is flagged, else 0.
    counting : {'segments', 'composite'}, default='segments'
        How false alarms count, in precision:

        - 'segments': by runs [1]_. A run of flagged rows that touches no event is one
          false alarm, and precision is ``found / (found + false alarms)``. To flag
          every row yields 1.0, so look at :func:`false_alarms_per_day` or a measure of
          rows, too.
        - 'composite': by rows [2]_. Precision is the share of flagged rows that are
          anomalous.
    beta : float, default=1.0
        Weight of recall against precision in the F-score.

    Returns
    -------
    precision : float
        In [0, 1]; 0.0 if no row is flagged.
    recall : float
        In [0, 1]; 0.0 if there is no event.
    fscore : float
        In [0, 1]; 0.0 if precision or recall is.

    Raises
    ------
    ValueError
        If the lengths differ, the labels are not 0 and 1, or a parameter is out of its
        range.

    Warns
    -----
    UndefinedMetricWarning
        If there is no event, or no row is flagged.

    See Also
    --------
    range_precision_recall_fscore : An event earns the share of it that is flagged.
    detection_delay : How late events are found.
    false_alarms_per_day : How often an alarm is in vain.

    Notes
    -----
    A predicted range that covers several events finds them all, and one that begins or
    ends beside an event, without a row in common, is a false alarm.

    'composite' gives the values that the TSB-AD benchmark calls event-based F1, but for
    an event that ends with the series: there its code leaves out the last row, so that
    it can never find an event of that row alone.

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
    """F1 of rows after point adjustment, to compare with papers only.

    1 is an anomaly in `y_true`, and 1 is a flagged row in `y_pred`: labels of `predict`
    convert with ``y_pred = (labels == -1).astype(int)``.

    One flagged row in an event makes all its rows count as flagged [1]_, before the F1
    of the rows is taken. Much of the literature reports this value. It says little:
    flags at random reach a high one where events are long [2]_, which is why every call
    warns.

    Parameters
    ----------
    y_true : array-like of shape (n_timestamps,)
        Ground truth: 1 for an anomaly, 0 for a normal row.
    y_pred : array-like of shape (n_timestamps,)
        Prediction: 1 for a row that is flagged, else 0.

    Returns
    -------
    score : float
        In [0, 1]; 0.0 if there is neither an event nor a flagged row.

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
    event_precision_recall_fscore : Count found events and false alarms.
    range_precision_recall_fscore : An event earns the share of it that is flagged.
    affiliation_precision_recall_fscore : Near misses earn something, too.

    Notes
    -----
    The value is ``2 TP / (2 TP + FP + FN)``, where TP are the rows of events that are
    found, FN those of the other events, and FP the flagged normal rows.

    The code of the TSB-AD benchmark never adjusts row 0, and so gives less where an
    event begins there.

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
        "Point adjustment counts a whole event as flagged for one flagged row, so that "
        "even random flags score high. Use it to compare with published values only, "
        "and judge by event_precision_recall_fscore, range_precision_recall_fscore or "
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
            "F1 is undefined, since y_true holds no anomaly and no row of y_pred is "
            "flagged. Set to 0.0.",
            stacklevel=3,
        )
        return 0.0
    return float(2 * right / (2 * right + wrong))
