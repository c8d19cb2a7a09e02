# SPDX-License-Identifier: MIT
"""The CARE score: coverage, accuracy, reliability and earliness."""

from numbers import Integral, Real

import numpy as np
from sklearn.utils import Bunch

from tsanomaly._sklearn_compat import Interval, validate_params
from tsanomaly._validation import unmasked
from tsanomaly.metrics._checks import check_predictions, find_events

__all__ = ["care_score"]

# Accuracy, which is about normal series, counts for as much as two of the others.
_WEIGHTS = {"coverage": 1, "accuracy": 2, "reliability": 1, "earliness": 1}

# Over so much of an event, finding it is worth as much as at its first row.
_FULL_WORTH = 0.25


@validate_params(
    {
        "beta": [Interval(Real, 0, None, closed="neither")],
        "threshold": [Interval(Integral, 1, None, closed="left")],
    },
    prefer_skip_nested_validation=True,
)
def care_score(y_true, y_pred, *, normal_status=None, beta=0.5, threshold=72):
    r"""CARE score of early fault detection, over many series.

    1 is an anomaly in `y_true`, and 1 is a flagged row in `y_pred`: labels of `predict`
    convert with ``y_pred = (labels == -1).astype(int)``.

    The score [1]_ judges a detector on several series, of which some lead up to a
    fault, and others are normal from end to end. It rewards that events are covered,
    that normal series are left alone, that an alarm is raised for the former and not
    for the latter, and that it is raised early.

    Parameters
    ----------
    y_true : list of array-like of shape (n_timestamps,)
        Ground truth of each series: 1 for an anomaly, 0 for a normal row. A series
        holds one event, a run of anomalous rows that ends where the fault begins, or
        none.
    y_pred : list of array-like of shape (n_timestamps,)
        Prediction for each series: 1 for a row that is flagged, else 0.
    normal_status : list of array-like of shape (n_timestamps,) or None, default=None
        True, or 1, where the machine was in normal operation, by its own status;
        rows of downtime and service are False, or 0. None takes all rows for normal.
    beta : float, default=0.5
        Weight of recall against precision in coverage and reliability. Below 1, false
        alarms weigh more than what is missed.
    threshold : int, default=72
        Criticality from which a series counts as detected. 72 are 12 hours of rows 10
        minutes apart.

    Returns
    -------
    care : Bunch
        With the fields

        - score : float, in [0, 1]
        - coverage : float, mean F-score of rows over the series with an event
        - accuracy : float, mean share of rows without a flag over the normal series
        - reliability : float, F-score of series
        - earliness : float, mean over the series with an event
        - detected : ndarray of bool of shape (n_series,), whether the criticality of
          each series reaches `threshold`

    Raises
    ------
    ValueError
        If the numbers of series or their lengths differ, the labels are not 0 and 1, a
        series has more than one event or no row of normal status, or there is not at
        least one series with an event and one without.

    See Also
    --------
    nab_score : Early detection and few false alarms, in one series.
    alarm_report : Alarms as an operator sees them.

    Notes
    -----
    Coverage and accuracy are those of rows of normal status: what is flagged while the
    machine stands still counts neither way.

    The criticality of a series is 0 at first. A flagged row of normal status adds 1,
    one that is not flagged takes 1 away, down to 0, and other rows leave it as it is.
    A series is detected if its criticality reaches `threshold`; in one with an event,
    rows after that do not count.

    Earliness is the weighted share of rows of an event that are flagged, whatever their
    status. Rows of the first quarter of an event weigh 1, and from there weights fall
    along a line to 0 at its end.

    The score is 0 if no series is detected. If accuracy is not above 0.5, it is the
    accuracy. Otherwise it is

    .. math:: \tfrac{1}{5} (\text{coverage} + 2 \, \text{accuracy} + \text{reliability}
        + \text{earliness}).

    The definitions, down to the weights of single rows, are those of the authors'
    package [2]_.

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
    """Ground truth, flags and rows that count, of each series."""
    lists = {"y_true": y_true, "y_pred": y_pred}
    if normal_status is not None:
        lists["normal_status"] = normal_status
    for name, values in lists.items():
        lists[name] = values = _as_list(values, name)
        if len(values) != len(lists["y_true"]):
            raise ValueError(
                f"y_true has {len(lists['y_true']):,} series and {name} "
                f"{len(values):,}. They must be of the same series."
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
                f"y_true of {where} holds {n_events} events, and the CARE score takes "
                "one in a series. Cut the series into pieces with one event each."
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
    """The series of a list of them."""
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
            f"normal_status of {where} must hold True or False for each of its "
            f"{n_timestamps:,} rows, got an array of shape {status.shape} and type "
            f"{status.dtype}."
        )
    if not status.any():
        raise ValueError(
            f"No row of {where} is of normal status, and nothing can be judged there. "
            "Leave it out, or check that normal_status is True in normal operation."
        )
    return status.astype(bool)


def _fscore(target, flagged, beta):
    """F-score of flags; 0.0 if none is right."""
    n_right = np.count_nonzero(target & flagged)
    n_missed = np.count_nonzero(target & ~flagged)
    n_false = np.count_nonzero(flagged & ~target)
    if not n_right:
        return 0.0
    weighted = (1 + beta**2) * n_right
    return float(weighted / (weighted + beta**2 * n_missed + n_false))


def _criticality(flagged, counted):
    """The counter of each row: up with a flag, down without one, never below 0."""
    total = np.cumsum(np.where(counted, np.where(flagged, 1, -1), 0))
    return total - np.minimum(np.minimum.accumulate(total), 0)


def _earliness(flagged):
    """Weighted share of the rows of an event that are flagged."""
    # The authors draw weights on a grid of four points for each row, whose last point
    # is the end of the event, and take those at the first point of the rows.
    n_points = len(flagged) / _FULL_WORTH
    place = np.arange(len(flagged)) / _FULL_WORTH / (n_points - 1)
    weights = np.minimum((1 - place) / (1 - _FULL_WORTH), 1.0)
    return float(weights @ flagged / weights.sum())
