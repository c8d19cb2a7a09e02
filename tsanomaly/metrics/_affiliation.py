# SPDX-License-Identifier: MIT
from numbers import Real

import numpy as np

from tsanomaly._sklearn_compat import Interval, validate_params
from tsanomaly.metrics._checks import (
    check_predictions,
    find_events,
    fscore,
    warn_undefined,
)

__all__ = ["affiliation_precision_recall_fscore"]


@validate_params(
    {"beta": [Interval(Real, 0, None, closed="neither")]},
    prefer_skip_nested_validation=True,
)
def affiliation_precision_recall_fscore(y_true, y_pred, *, beta=1.0):
    """Affiliation precision, recall and F-score.

    Both labels are 1 for anomalies and 0 for normal rows. Convert the output of
    `predict` with ``y_pred = (labels == -1).astype(int)``.

    Near misses receive partial credit: a flagged row near an event is rated by its
    distance, relative to that of a random row in the surroundings of the event [1]_.
    The metric has no parameters apart from `beta`.

    Parameters
    ----------
    y_true : array-like of shape (n_timestamps,)
        Ground truth, 1 = anomaly and 0 = normal.
    y_pred : array-like of shape (n_timestamps,)
        Predictions, 1 = flagged and 0 = normal.
    beta : float, default=1.0
        Weight of recall relative to precision in the F-score.

    Returns
    -------
    precision : float
        In [0, 1]. NaN if no row is flagged or there is no event. About 0.5 for random
        flags.
    recall : float
        In [0, 1]. NaN if there is no event, 0.0 if no row is flagged.
    fscore : float
        In [0, 1]. NaN if there is no event, 0.0 if recall is 0.

    Raises
    ------
    ValueError
        If the lengths differ, the labels are not 0 and 1, or `beta` is not positive.

    Warns
    -----
    UndefinedMetricWarning
        If there is no event, or no row is flagged.

    See Also
    --------
    range_precision_recall_fscore : Credit events by the share of flagged rows.
    event_precision_recall_fscore : Count detected events and false alarms.

    Notes
    -----
    Row ``i`` is the interval ``[i, i + 1)``. The zone ``E`` of an event ``J`` contains
    the points that are closer to it than to any other event, ``I`` is the prediction in
    the zone, and ``X`` is a random point of the zone.

    - Precision of an event: mean over the points ``x`` of ``I`` of the probability that
      ``X`` is not closer to ``J`` than ``x`` is.
    - Recall of an event: mean over the points ``y`` of ``J`` of the probability that
      ``X`` is not closer to ``y`` than ``I`` is.

    Both are averaged over events. An event without a prediction in its zone has recall
    0 and is excluded from the mean precision. If no row is flagged, precision is NaN
    instead of 0, because 0 would mean that all flags are as far off as possible, while
    even random flags reach about 0.5. The F-score is then 0.0, its value for recall 0
    and any precision.

    A single flag near each event already gives high values. Compare with the values of
    random flags, not with 0.

    References
    ----------
    .. [1] A. Huet, J. M. Navarro, D. Rossi. "Local Evaluation of Time Series Anomaly
           Detection Algorithms." KDD 2022. https://doi.org/10.1145/3534678.3539339

    Examples
    --------
    >>> from tsanomaly.metrics import affiliation_precision_recall_fscore
    >>> y_true = [0, 0, 0, 0, 1, 1, 0, 0, 0, 0]
    >>> beside = [0, 0, 0, 0, 0, 0, 1, 1, 0, 0]
    >>> distant = [0, 0, 0, 0, 0, 0, 0, 0, 1, 1]
    >>> affiliation_precision_recall_fscore(y_true, beside)[:2]
    (0.6, 0.8)
    >>> affiliation_precision_recall_fscore(y_true, distant)[:2]
    (0.2, 0.4)
    """
    y_true, y_pred = check_predictions(y_true, y_pred)
    if not y_true.any():
        warn_undefined(
            "Affiliation precision and recall are undefined, because y_true contains "
            "no anomaly. Returning nan."
        )
        return np.nan, np.nan, np.nan
    precision, recall = _by_event(y_true, y_pred)
    recall = float(recall.mean())
    if y_pred.any():
        precision = float(np.nanmean(precision))
    else:
        warn_undefined(
            "Affiliation precision is undefined, because no row of y_pred is flagged. "
            "Returning nan."
        )
        precision = np.nan
    return precision, recall, fscore(precision, recall, beta)


def _by_event(y_true, y_pred):
    """Return precision and recall of each event. Precision may be NaN."""
    start, end = (edge.astype(np.float64) for edge in find_events(y_true))
    end += 1  # rows are intervals: [start, end)
    middle = (end[:-1] + start[1:]) / 2
    low = np.concatenate(([0.0], middle))
    high = np.concatenate((middle, [float(len(y_true))]))
    zone, first, last = _cut(y_pred, low, high)
    precision = _precision(zone, first, last, start, end, low, high)
    recall = _recall(zone, first, last, start, end, low, high)
    return precision, recall


def _cut(y_pred, low, high):
    """Cut the predicted intervals at the boundaries of the zones."""
    first, last = (edge.astype(np.float64) for edge in find_events(y_pred))
    last += 1
    first_zone = np.searchsorted(high, first, side="right")
    last_zone = np.searchsorted(low, last, side="left") - 1
    n_pieces = last_zone - first_zone + 1
    # Count 0, 1, ... within the pieces of each interval.
    before = np.cumsum(n_pieces) - n_pieces
    count = np.arange(n_pieces.sum()) - np.repeat(before, n_pieces)
    zone = np.repeat(first_zone, n_pieces) + count
    first = np.maximum(np.repeat(first, n_pieces), low[zone])
    last = np.minimum(np.repeat(last, n_pieces), high[zone])
    return zone, first, last


def _precision(zone, first, last, start, end, low, high):
    a, b = start[zone], end[zone]
    before, after = a - low[zone], high[zone] - b  # lengths of the zone around J
    inside = np.maximum(np.minimum(last, b) - np.maximum(first, a), 0)
    # Contributions of the parts of a piece to the left and to the right of the event.
    left = _beyond(a - np.minimum(last, a), a - np.minimum(first, a), before, after) / (
        high[zone] - low[zone]
    )
    right = _beyond(
        np.maximum(first, b) - b, np.maximum(last, b) - b, before, after
    ) / (high[zone] - low[zone])
    n_zones = len(start)
    length = np.bincount(zone, weights=last - first, minlength=n_zones)
    total = np.bincount(zone, weights=inside + left + right, minlength=n_zones)
    with np.errstate(invalid="ignore"):
        return total / length


def _beyond(near, far, before, after):
    """Integrate the length beyond d over distances d from `near` to `far`.

    The parts of the zone at least d away from the event have the lengths
    ``max(before - d, 0)`` and ``max(after - d, 0)``.
    """
    total = 0.0
    for room in (before, after):
        u, v = np.minimum(near, room), np.minimum(far, room)
        # A product of differences is more accurate than a difference of squares.
        total = total + (v - u) * (room - (u + v) / 2)
    return total


def _recall(zone, first, last, start, end, low, high):
    n_zones = len(start)
    covered = np.minimum(last, end[zone]) - np.maximum(first, start[zone])
    total = np.bincount(zone, weights=np.maximum(covered, 0), minlength=n_zones)
    # Gaps before each piece and after the last piece of a zone. They extend to the
    # boundary of the zone if there is no neighbour.
    new = np.diff(zone, prepend=-1) != 0
    closing = np.flatnonzero(np.diff(zone, append=n_zones) != 0)
    gap_zone = np.concatenate((zone, zone[closing]))
    left = np.concatenate((np.where(new, -np.inf, np.roll(last, 1)), last[closing]))
    right = np.concatenate((first, np.full(len(closing), np.inf)))
    # Up to the middle of the gap, the nearest piece is the one on the left.
    middle = np.where(np.isinf(left), left, np.where(np.isinf(right), right, 0.0))
    between = np.isfinite(left) & np.isfinite(right)
    middle[between] = (left[between] + right[between]) / 2
    a, b = start[gap_zone], end[gap_zone]
    u, v = np.maximum(left, a), np.minimum(right, b)
    size = high[gap_zone] - low[gap_zone]
    near_left = _farther_left(
        u, np.minimum(v, middle), left, low[gap_zone], high[gap_zone]
    )
    # Reversed in time, the piece on the right is on the left.
    near_right = _farther_left(
        -v, -np.maximum(u, middle), -right, -high[gap_zone], -low[gap_zone]
    )
    total += np.bincount(
        gap_zone, weights=(near_left + near_right) / size, minlength=n_zones
    )
    return total / (end - start)


def _farther_left(u, v, edge, low, high):
    """Integrate the length not closer to y than `edge`, on its left, over [u, v].

    With the distance ``t = y - edge``, this length is ``y - t - low = edge - low`` on
    the left and ``max(high - y - t, 0)`` on the right.
    """
    exists = v > u
    u, v, edge = (np.where(exists, x, 0.0) for x in (u, v, edge))
    furthest = (high + edge) / 2
    u_cut, v_cut = np.minimum(u, furthest), np.minimum(v, furthest)
    right = (v_cut - u_cut) * (2 * furthest - u_cut - v_cut)
    return np.where(exists, (v - u) * (edge - low) + right, 0.0)
