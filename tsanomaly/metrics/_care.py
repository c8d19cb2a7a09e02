# SPDX-License-Identifier: MIT
"""The CARE score: coverage, accuracy, reliability and earliness."""

from numbers import Integral, Real

import numpy as np
from sklearn.utils import Bunch

from tsanomaly._sklearn_compat import Interval, validate_params
from tsanomaly._validation import unmasked
from tsanomaly.metrics._checks import check_predictions, find_events

__all__ = ["care_score"]

# Accuracy, which rates normal series, has twice the weight of the other parts.
_WEIGHTS = {"coverage": 1, "accuracy": 2, "reliability": 1, "earliness": 1}

# First share of an event over which the weight of rows is constant.
_FULL_WORTH = 0.25


@validate_params(
    {
        "beta": [Interval(Real, 0, None, closed="neither")],
        "threshold": [Interval(Integral, 1, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def care_score(y_true, y_pred, *, normal_status=None, beta=0.5, threshold=72):
    r"""CARE score of early fault detection on many series.

    Both labels are 1 for anomalies and 0 for normal rows. Convert the output of
    `predict` with ``y_pred = (labels == -1).astype(int)``.

    The score [1]_ evaluates a detector on several series, some of which lead up to a
    fault while the others are entirely normal. It combines coverage of the events,
    accuracy on normal series, reliability of detection per series, and earliness.

    Parameters
    ----------
    y_true : list of array-like of shape (n_timestamps,)
        Ground truth of each series, 1 = anomaly and 0 = normal. A series has at most
        one event, a run of anomalous rows that ends when the fault occurs.
    y_pred : list of array-like of shape (n_timestamps,)
        Predictions for each series, 1 = flagged and 0 = normal.
    normal_status : list of array-like of shape (n_timestamps,) or None, default=None
        Operating status of the machine: True or 1 in normal operation, False or 0
        during downtime and service. None treats all rows as normal operation.
    beta : float, default=0.5
        Weight of recall relative to precision in coverage and reliability. Below 1,
        false alarms weigh more than misses.
    threshold : int, default=72
        Criticality at which a series counts as detected. 72 corresponds to 12 hours of
        10-minute rows.

    Returns
    -------
    care : Bunch
        Dictionary-like object with the following attributes:

        - score : float, in [0, 1]
        - coverage : float, mean F-score of rows over the series with an event
        - accuracy : float, mean share of unflagged rows over the normal series
        - reliability : float, F-score of series
        - earliness : float, mean over the series with an event
        - detected : ndarray of bool of shape (n_series,), whether the criticality of
          each series reaches `threshold`

    Raises
    ------
    ValueError
        If the numbers of series or their lengths differ, the labels are not 0 and 1, a
        series has more than one event or no row in normal operation, or all series or
        no series have an event.

    See Also
    --------
    nab_score : Early detection and few false alarms in one series.
    alarm_report : Performance of an alarm system.

    Notes
    -----
    Coverage and accuracy only use rows in normal operation.

    The criticality of a series starts at 0. In normal operation, each flagged row adds
    1 and each other row subtracts 1, but not below 0. Other rows leave it unchanged. A
    series is detected if its criticality reaches `threshold`, for series with an event
    no later than at its end.

    Earliness is the weighted share of flagged rows of an event, regardless of status.
    Weights are 1 in the first quarter of the event and then decrease linearly to 0 at
    its end.

    The score is 0 if no series is detected. If the accuracy is at most 0.5, the score
    is the accuracy. Otherwise it is

    .. math:: \tfrac{1}{5} (\text{coverage} + 2 \, \text{accuracy} + \text{reliability}
        + \text{earliness}).

    All definitions, including the weights of rows, follow the package of the authors
    [2]_.

    References
    ----------
    .. [1] C. Gück, C. M. A. Roelofs, S. Faulstich. "CARE to Compare: A Real-World
           Benchmark Dataset for Early Fault Detection in Wind Turbine Data." Data 2024,
           9(12), 138. https://doi.org/10.3390/data9120138
    .. [2] Fraunhofer IEE. "Energy Fault Detector", class ``CAREScore``.
           https://github.com/AEFDI/EnergyFaultDetector

    Examples
    --------
    >>> from tsanomaly.metrics import care_score
    >>> y_true = [[0, 0, 0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0, 0, 0]]
    >>> y_pred = [[0, 0, 0, 0, 1, 1, 0, 1], [0, 0, 1, 0, 0, 0, 0, 0]]
    >>> care = care_score(y_true, y_pred, threshold=2)
    >>> care.detected
    array([ True, False])
    >>> care.accuracy, care.reliability, round(care.score, 2)
    (0.875, 1.0, 0.89)
    """
    series = _check_series(y_true, y_pred, normal_status)
    detected, faulty = np.zeros((2, len(series)), dtype=bool)
    coverage, accuracy, earliness = [], [], []
    for number, (target, flagged, counted) in enumerate(series):
        start, end = find_events(target)
        faulty[number] = len(start) > 0
        if faulty[number]:
            coverage.append(_fscore(target[counted], flagged[counted], beta))
            earliness.append(_earliness(flagged[start[0] : end[0] + 1]))
            flagged, counted = flagged[: end[0] + 1], counted[: end[0] + 1]
        else:
            accuracy.append(np.mean(~flagged[counted]))
        detected[number] = _criticality(flagged, counted).max() >= threshold
    parts = {
        "coverage": float(np.mean(coverage)),
        "accuracy": float(np.mean(accuracy)),
        "reliability": _fscore(faulty, detected, beta),
        "earliness": float(np.mean(earliness)),
    }
    if not detected.any():
        score = 0.0
    elif parts["accuracy"] <= 0.5:  # no better than guessing
        score = parts["accuracy"]
    else:
        total = sum(weight * parts[name] for name, weight in _WEIGHTS.items())
        score = total / sum(_WEIGHTS.values())
    return Bunch(score=score, **parts, detected=detected)


def _check_series(y_true, y_pred, normal_status):
    """Return ground truth, flags and a mask of rows that count for each series."""
    lists = {"y_true": y_true, "y_pred": y_pred}
    if normal_status is not None:
        lists["normal_status"] = normal_status
    for name, values in lists.items():
        lists[name] = values = _as_list(values, name)
        if len(values) != len(lists["y_true"]):
            raise ValueError(
                f"y_true has {len(lists['y_true']):,} series, but {name} has "
                f"{len(values):,}. Both must refer to the same series."
            )
    series, kinds = [], set()
    for number in range(len(lists["y_true"])):
        where = f"series {number}"
        try:
            target, flagged = check_predictions(
                lists["y_true"][number], lists["y_pred"][number]
            )
        except ValueError as error:
            raise ValueError(f"In {where}: {error}") from error
        n_events = len(find_events(target)[0])
        if n_events > 1:
            raise ValueError(
                f"y_true of {where} contains {n_events} events, but the CARE score "
                "allows one per series. Cut the series into pieces with one event each."
            )
        kinds.add(n_events)
        counted = np.ones(len(target), dtype=bool)
        if normal_status is not None:
            counted = _check_status(lists["normal_status"][number], len(target), where)
        series.append((target, flagged, counted))
    if kinds != {0, 1}:
        lacking = "without one" if kinds == {1} else "with an event"
        raise ValueError(
            "The CARE score needs at least one series with an event and one without. "
            f"Add a series {lacking}."
        )
    return series


def _as_list(values, name):
    """Return a list of series."""
    try:
        series = list(values)
    except TypeError:
        series = []
    if hasattr(values, "columns") or not series or not all(map(np.ndim, series)):
        raise ValueError(
            f"{name} must be a list with an array for each series, got "
            f"{type(values).__name__}. Pass [{name}] for a single series."
        )
    return series


def _check_status(status, n_timestamps, where):
    status = np.asarray(unmasked(status))
    if status.shape != (n_timestamps,) or not np.isin(status, [0, 1]).all():
        raise ValueError(
            f"normal_status of {where} must contain True or False for each of its "
            f"{n_timestamps:,} rows, got an array of shape {status.shape} and type "
            f"{status.dtype}."
        )
    if not status.any():
        raise ValueError(
            f"No row of {where} is in normal operation, so it cannot be evaluated. "
            "Remove it, or check that normal_status is True in normal operation."
        )
    return status.astype(bool)


def _fscore(target, flagged, beta):
    """Return the F-score of flags, 0.0 if none is correct."""
    n_right = np.count_nonzero(target & flagged)
    n_missed = np.count_nonzero(target & ~flagged)
    n_false = np.count_nonzero(flagged & ~target)
    if not n_right:
        return 0.0
    weighted = (1 + beta**2) * n_right
    return float(weighted / (weighted + beta**2 * n_missed + n_false))


def _criticality(flagged, counted):
    """Return the criticality in each row: a counter that never drops below 0."""
    total = np.cumsum(np.where(counted, np.where(flagged, 1, -1), 0))
    return total - np.minimum(np.minimum.accumulate(total), 0)


def _earliness(flagged):
    """Return the weighted share of the rows of an event that are flagged."""
    # The authors evaluate the weights on a grid of four points per row, whose last
    # point is the end of the event, and use the first point of each row.
    n_points = len(flagged) / _FULL_WORTH
    place = np.arange(len(flagged)) / _FULL_WORTH / (n_points - 1)
    weights = np.minimum((1 - place) / (1 - _FULL_WORTH), 1.0)
    return float(weights @ flagged / weights.sum())
