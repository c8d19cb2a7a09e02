# SPDX-License-Identifier: MIT
import math
from numbers import Real

import numpy as np

from tsanomaly._sklearn_compat import Interval, StrOptions, validate_params
from tsanomaly.metrics._checks import check_predictions, find_events, warn_undefined

__all__ = ["nab_score"]

# Weights of a true positive, a false positive and a false negative.
_PROFILES = {
    "standard": (1.0, 0.11, 1.0),
    "reward_low_FP_rate": (1.0, 0.22, 1.0),
    "reward_low_FN_rate": (1.0, 0.11, 2.0),
}

# Maximum number of rows from which the length of the probation is computed.
_PROBATION_ROWS = 5000


@validate_params(
    {
        "profile": [StrOptions(set(_PROFILES))],
        "windows": ["array-like", None],
        "probation": [Interval(Real, 0, 1, closed="left")],
        "normalize": ["boolean"],
    },
    prefer_skip_nested_validation=True,
)
def nab_score(
    y_true,
    y_pred,
    *,
    profile="standard",
    windows=None,
    probation=0.15,
    normalize=True,
):
    r"""Score of the Numenta Anomaly Benchmark.

    Both labels are 1 for anomalies and 0 for normal rows. Convert the output of
    `predict` with ``y_pred = (labels == -1).astype(int)``.

    The score rewards early detection and penalises every flagged row outside the label
    windows [1]_. A detector that flags nothing scores 0, and one that flags only the
    first row of each window scores 100. There is no lower bound. The score is that of
    the given predictions; the benchmark itself also optimises the threshold.

    Parameters
    ----------
    y_true : array-like of shape (n_timestamps,)
        Ground truth, 1 inside label windows and 0 elsewhere.
    y_pred : array-like of shape (n_timestamps,)
        Predictions, 1 = flagged and 0 = normal. Each flagged row counts, so a detector
        for this metric should flag only the first row of an alarm.
    profile : str, default='standard'
        Costs of errors, relative to the maximum reward of 1 per window:

        - 'standard': 1 for a missed window, at most 0.11 for a false alarm
        - 'reward_low_FP_rate': 1 for a missed window, at most 0.22 for a false alarm
        - 'reward_low_FN_rate': 2 for a missed window, at most 0.11 for a false alarm
    windows : array-like of shape (n_windows, 2) or None, default=None
        First and last row of each window, both inclusive. None uses the runs of ones in
        `y_true`. Needed only if windows are adjacent.
    probation : float, default=0.15
        Share of the rows at the start, in [0, 1), that are not scored, because the
        detectors of the benchmark learn from them. The share is taken of at most 5000
        rows, so the default is at most 750 rows. Use 0 if the training rows are not
        part of the input.
    normalize : bool, default=True
        Whether to scale the score so that no flags give 0 and perfect flags 100. If
        False, return the raw score, which is additive over series.

    Returns
    -------
    score : float
        At most 100. NaN if no window is scored. With ``normalize=False``, at most the
        number of windows.

    Raises
    ------
    ValueError
        If the lengths differ, the labels are not 0 and 1, a parameter is out of range,
        or `windows` overlap or contradict `y_true`.

    Warns
    -----
    UndefinedMetricWarning
        If ``normalize=True`` and no window extends beyond the probation.

    See Also
    --------
    tsanomaly.datasets.load_nab : Load a series of the benchmark.
    detection_delay : Time from the start of events to their detection.
    event_precision_recall_fscore : Count detected events and false alarms.

    Notes
    -----
    With :math:`\sigma(x) = 2 / (1 + e^{5x}) - 1`, the raw score is the sum of

    - for each window of rows ``a`` to ``b`` and width ``w = b - a + 1`` with a flagged
      row, :math:`\sigma(-(b - i + 1) / w) / \sigma(-1)` of its first flagged row
      ``i``: 1 at ``a``, slightly above 0 at ``b``;
    - for each other window, minus the cost of a missed window;
    - for each flagged row outside windows, the cost of a false alarm times
      :math:`\sigma(x)`, ``x = (i - b) / (w - 1)``, with the last window before the row;
      times -1 if there is none, or if ``x > 3``. After a window of one row, where the
      code of the benchmark divides by zero, ``x`` is infinite.

    Flagged rows and windows within the probation do not count. A window that extends
    beyond it counts with its remaining rows, at their position in the whole window.

    For several series, add up the raw scores and the numbers of windows before
    normalising: the raw score without flags is minus the number of windows times the
    cost of a missed window, and the perfect raw score is the number of windows. See the
    second example.

    References
    ----------
    .. [1] A. Lavin, S. Ahmad. "Evaluating Real-time Anomaly Detection Algorithms - the
           Numenta Anomaly Benchmark." ICMLA 2015. https://arxiv.org/abs/1510.03336

    Examples
    --------
    >>> import numpy as np
    >>> from tsanomaly.metrics import nab_score
    >>> y_true = np.zeros(100, dtype=int)
    >>> y_true[50:60] = 1
    >>> early, late = np.zeros_like(y_true), np.zeros_like(y_true)
    >>> early[50], late[[58, 70]] = 1, 1
    >>> nab_score(y_true, early), round(nab_score(y_true, late), 1)
    (100.0, 67.9)

    Two series combined, with a cost of 1 for a missed window:

    >>> raw = sum(nab_score(y_true, y, normalize=False) for y in (early, late))
    >>> n_windows = 2
    >>> round(100 * (raw + 1 * n_windows) / (n_windows + 1 * n_windows), 1)
    84.0
    """
    y_true, y_pred = check_predictions(y_true, y_pred)
    windows = find_events(y_true) if windows is None else _check(windows, y_true)
    gain, _, loss = _PROFILES[profile]
    n_probation = _probation_rows(len(y_true), probation)
    raw, n_windows = _raw_score(y_pred, windows, n_probation, profile)
    if not normalize:
        return raw
    if not n_windows:
        warn_undefined(
            "The normalized NAB score is undefined, because y_true contains no anomaly"
            + (" after the probation" if y_true.any() else "")
            + ". Returning nan. Use normalize=False for the raw score."
        )
        return np.nan
    silence, perfection = -loss * n_windows, gain * n_windows
    return 100 * (raw - silence) / (perfection - silence)


def _check(windows, y_true):
    windows = np.asarray(windows)
    if not windows.size:
        windows = np.empty((0, 2), dtype=np.intp)
    if windows.ndim != 2 or windows.shape[1] != 2 or windows.dtype.kind not in "iu":
        raise ValueError(
            "windows must contain the first and last row of each window, as integers, "
            f"got an array of shape {windows.shape} and type {windows.dtype}."
        )
    start, end = windows[np.argsort(windows[:, 0])].astype(np.intp).T
    if (start < 0).any() or (end < start).any() or (end >= len(y_true)).any():
        raise ValueError(
            f"windows must lie within the {len(y_true):,} rows, with the first row of "
            f"each window before its last, got {windows.tolist()}."
        )
    if (start[1:] <= end[:-1]).any():
        raise ValueError(
            f"windows must not overlap, got {windows.tolist()}. Both ends are "
            "inclusive."
        )
    edges = np.zeros(len(y_true) + 1, dtype=np.int64)
    np.add.at(edges, start, 1)
    np.add.at(edges, end + 1, -1)
    differs = np.cumsum(edges[:-1]).astype(bool) != y_true
    if differs.any():
        raise ValueError(
            f"windows and y_true contradict each other in {differs.sum():,} rows, "
            f"first in row {differs.argmax()}. y_true must be 1 inside windows, and 0 "
            "elsewhere."
        )
    return start, end


def _probation_rows(n_timestamps, probation):
    # Same formula, including rounding, as in the benchmark.
    n_rows = math.floor(probation * n_timestamps)
    return min(n_rows, math.floor(probation * _PROBATION_ROWS))


def _raw_score(y_pred, windows, n_probation, profile):
    """Return the raw score and the number of windows that are scored."""
    loss = _PROFILES[profile][2]
    rows = np.flatnonzero(y_pred[n_probation:]) + n_probation
    weight, window, inside = _weights(rows, windows, profile)
    # Weights decrease within a window, so the first flagged row counts.
    found, first = np.unique(window[inside], return_index=True)
    n_windows = int((windows[1] >= n_probation).sum())
    gains = weight[inside][first].sum()
    score = gains - loss * (n_windows - len(found)) + weight[~inside].sum()
    return float(score), n_windows


def _weights(rows, windows, profile):
    """Return the weight of an alarm in each of the given rows.

    Returns
    -------
    weight : ndarray of float
    window : ndarray of int
        The last window that has started, -1 if none has.
    inside : ndarray of bool
        Whether the row is in this window.
    """
    gain, cost, _ = _PROFILES[profile]
    start, end = windows
    weight = np.full(len(rows), -cost)
    window = np.searchsorted(start, rows, side="right") - 1
    begun = window >= 0
    inside = begun.copy()
    inside[begun] = rows[begun] <= end[window[begun]]

    of = window[inside]
    position = -(end[of] - rows[inside] + 1) / (end[of] - start[of] + 1)
    weight[inside] = gain * _sigmoid(position) / _sigmoid(-1.0)

    after = begun & ~inside
    of = window[after]
    # Compared as integers, to avoid dividing by zero for a window of one row.
    near = rows[after] - end[of] <= 3 * (end[of] - start[of])
    after[after] = near
    of = of[near]
    weight[after] = cost * _sigmoid((rows[after] - end[of]) / (end[of] - start[of]))
    return weight, window, inside


def _sigmoid(x):
    return 2 / (1 + np.exp(5 * x)) - 1
