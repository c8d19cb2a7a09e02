# SPDX-License-Identifier: MIT
import math
from numbers import Real

import numpy as np

from tsanomaly._sklearn_compat import Interval, StrOptions, validate_params
from tsanomaly.metrics._checks import check_predictions, find_events, warn_undefined

__all__ = ["nab_score"]

# Rewards and penalties: the weight of a true positive, of a false positive, and of a
# false negative.
_PROFILES = {
    "standard": (1.0, 0.11, 1.0),
    "reward_low_FP_rate": (1.0, 0.22, 1.0),
    "reward_low_FN_rate": (1.0, 0.11, 2.0),
}

# The rows from which the length of the probation is taken at most.
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

    1 is an anomaly in `y_true`, and 1 is a flagged row in `y_pred`: labels of `predict`
    convert with ``y_pred = (labels == -1).astype(int)``.

    Early detection pays, and every flagged row outside the label windows costs [1]_. A
    detector that flags nothing scores 0, one that flags only the first row of every
    window 100, and there is no lower limit. This is the score of given predictions: the
    benchmark itself also chooses the threshold that scores best.

    Parameters
    ----------
    y_true : array-like of shape (n_timestamps,)
        Ground truth: 1 inside a label window, 0 elsewhere.
    y_pred : array-like of shape (n_timestamps,)
        Prediction: 1 for a row that is flagged, else 0. Every flagged row counts, so a
        detector for this measure flags the start of an alarm rather than all its rows.
    profile : str, default='standard'
        What errors cost, where the best a window yields is 1:

        - 'standard': a missed window 1, a false alarm 0.11 at most
        - 'reward_low_FP_rate': a missed window 1, a false alarm 0.22 at most
        - 'reward_low_FN_rate': a missed window 2, a false alarm 0.11 at most
    windows : array-like of shape (n_windows, 2) or None, default=None
        First and last row, both included, of each window. None takes the runs of ones
        in `y_true`. Needed only where windows touch each other, and seem one run.
    probation : float, default=0.15
        Share of rows, in [0, 1), that are not scored, because the detectors of the
        benchmark learn from them; from 5000 rows at most, which makes 750. Pass 0 if
        the training rows are not among those given.
    normalize : bool, default=True
        Whether to put the score on the scale on which silence is 0 and perfection 100.
        If not, return the raw score, which adds up over series.

    Returns
    -------
    score : float
        At most 100; NaN if no window is scored. With ``normalize=False``, at most the
        number of windows.

    Raises
    ------
    ValueError
        If the lengths differ, the labels are not 0 and 1, a parameter is out of its
        range, or `windows` overlap or contradict `y_true`.

    Warns
    -----
    UndefinedMetricWarning
        If the score is to be normalized and there is no window, or none that reaches
        beyond the probation.

    See Also
    --------
    tsanomaly.datasets.load_nab : Series of the benchmark.
    detection_delay : How late events are found.
    event_precision_recall_fscore : Count found events and false alarms.

    Notes
    -----
    With :math:`\sigma(x) = 2 / (1 + e^{5x}) - 1`, the raw score is the sum of

    - for every window of rows ``a`` to ``b`` and width ``w = b - a + 1`` with a flagged
      row, :math:`\sigma(-(b - i + 1) / w) / \sigma(-1)` of its first flagged row
      ``i``: 1 at ``a``, a little above 0 at ``b``;
    - for every other window, minus the cost of a missed window;
    - for every flagged row outside windows, the cost of a false alarm times
      :math:`\sigma(x)`, ``x = (i - b) / (w - 1)``, where the window is the last one
      before the row; times -1 where there is none, or if ``x > 3``. After a window of
      one row, where the benchmark's own code divides by zero, ``x`` is infinite.

    Flagged rows under probation do not count, nor do windows that lie wholly in it. Of
    a window that lies partly in it, the other rows count, at their place in the whole
    window.

    Over several series, the raw scores and the numbers of windows are added up before
    they are normalized: the raw score of silence is minus the number of windows times
    the cost of missing one, and that of perfection the number of windows. The second
    example does so.

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

    Two series, together, at a cost of 1 for a missed window:

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
            "The normalized NAB score is undefined, since y_true holds no anomaly"
            + (" after the probation" if y_true.any() else "")
            + ". Set to nan. normalize=False returns the raw score."
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
            "windows must hold the first and the last row of each window, as integers, "
            f"got an array of shape {windows.shape} and type {windows.dtype}."
        )
    start, end = windows[np.argsort(windows[:, 0])].astype(np.intp).T
    if (start < 0).any() or (end < start).any() or (end >= len(y_true)).any():
        raise ValueError(
            f"windows must lie within the {len(y_true):,} rows, each with its first "
            f"row, then its last, got {windows.tolist()}."
        )
    if (start[1:] <= end[:-1]).any():
        raise ValueError(
            f"windows must not overlap, got {windows.tolist()}. Both ends belong to a "
            "window."
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
    # Rounding included, this is how the benchmark computes it.
    n_rows = math.floor(probation * n_timestamps)
    return min(n_rows, math.floor(probation * _PROBATION_ROWS))


def _raw_score(y_pred, windows, n_probation, profile):
    """Raw score, and the number of windows that are scored."""
    loss = _PROFILES[profile][2]
    rows = np.flatnonzero(y_pred[n_probation:]) + n_probation
    weight, window, inside = _weights(rows, windows, profile)
    # Weights fall within a window: its best alarm is its first one.
    found, first = np.unique(window[inside], return_index=True)
    n_windows = int((windows[1] >= n_probation).sum())
    gains = weight[inside][first].sum()
    score = gains - loss * (n_windows - len(found)) + weight[~inside].sum()
    return float(score), n_windows


def _weights(rows, windows, profile):
    """Weight of an alarm at each of the given rows.

    Returns
    -------
    weight : ndarray of float
    window : ndarray of int
        The last window that has begun, -1 if none has.
    inside : ndarray of bool
        Whether the row lies in that window.
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
    # Compared as integers, since a window of one row has nothing to divide by.
    near = rows[after] - end[of] <= 3 * (end[of] - start[of])
    after[after] = near
    of = of[near]
    weight[after] = cost * _sigmoid((rows[after] - end[of]) / (end[of] - start[of]))
    return weight, window, inside


def _sigmoid(x):
    return 2 / (1 + np.exp(5 * x)) - 1
