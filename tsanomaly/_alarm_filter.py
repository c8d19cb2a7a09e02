# SPDX-License-Identifier: MIT
from numbers import Integral, Real

import numpy as np
from sklearn.base import BaseEstimator

from tsanomaly._inspection import last_step
from tsanomaly._sklearn_compat import Interval
from tsanomaly._validation import as_series, median_step

__all__ = [
    "LABELS",
    "AlarmFilter",
    "AlarmTracker",
    "alarm_duration",
    "alarm_table",
    "drift_rows",
    "has_drifted",
    "median_error_of",
]

# Columns with labels of rows, and columns that describe an alarm.
LABELS = ("start", "end", "raised", "peak")
_DESCRIPTION = ("error", "severity", "priority", "state")

# Lowest severities of the priorities "medium" and "high".
_MEDIUM, _HIGH = 50.0, 87.5

# Smallest distance from the median error to the threshold, relative to the threshold.
_SMALLEST_UNIT = 1e-3

# Minimum number of rows to detect drift.
_FEWEST_DRIFTED = 100

# Accumulated excess, relative to the trigger, that is 0 except for rounding.
_ROUNDING = 1e-9

# Number of rows that are converted to Python numbers at a time, which takes memory.
_BLOCK = 2**16

# Share of rows above the tracked threshold in equilibrium.
_TRACKED_SHARE = 0.01


class AlarmFilter(BaseEstimator):
    r"""Turn row errors into alarms.

    A single flagged row is not yet an alarm. An alarm is raised when errors exceed the
    threshold by enough or for long enough, and ends when they no longer do. It is
    cleared after a number of quiet rows. The terms on-delay, off-delay and deadband are
    those of ISA-18.2 [1]_ and OPC UA [2]_.

    Parameters
    ----------
    trigger : float, default=1.0
        Accumulated excess above which an alarm is raised. Non-negative. The excess of a
        row is the distance of its error from the threshold, in units of the distance
        from the median training error to the threshold.

    max_excess : float, default=3.0
        Maximum contribution of a row to the accumulated excess.

    decay : float, default=0.1
        Decrease of the accumulated excess with each row that is not above the
        threshold. It also decides how soon an alarm ends.

    on_delay : int, default=1
        Number of consecutive rows above the threshold required to raise an alarm.
        Longer delays miss short events.

    off_delay : int, default=60
        Number of quiet rows after which an alarm is cleared. Faults closer together are
        one alarm. A row is quiet if its error is not above the threshold.

    deadband : float, default=0.0
        During an alarm, a row is quiet if its error is below the threshold by at least
        this distance, in the units of `trigger`.

    tracking : float, default=0.0
        Speed at which the threshold follows drift, in the units of `trigger` per row.
        Each row above the threshold raises it by 0.99 times this value, every other row
        lowers it by 0.01 times this value, but never below the initial threshold. It
        thus converges to a level that 1 % of the rows exceed, and lasting alarms end. 0
        keeps the threshold fixed.

    threshold : float or None, default=None
        Threshold of the errors. None uses that of the detector.

    See Also
    --------
    explain : Find the alarms of a series and the channels behind them.
    StreamingDetector : Find alarms while readings arrive.
    metrics.alarm_report : Count alarms and false alarms.

    Notes
    -----
    With the threshold :math:`q`, the unit :math:`u` and the error :math:`e_t` of a row,
    the excess is :math:`x_t = (e_t - q) / u`. With default parameters, the accumulated
    excess is :math:`c_t = c_{t-1} + \min(x_t, 3)` if :math:`x_t > 0`, and
    :math:`\max(c_{t-1} - 0.1, 0)` otherwise, and an alarm is raised where
    :math:`c_t > 1`. It starts at the first row since :math:`c` was last 0.

    After that comparison, :math:`c_t` is limited to 1. Therefore, rows that were fewer
    than `on_delay` are forgotten after at most ten quiet rows. Once an alarm is raised,
    rows within the deadband do not change :math:`c_t`. The alarm ends with the last row
    that is not quiet before :math:`c` is 0 again, which takes at most ten quiet rows.
    Later rows above the threshold keep it from being cleared, as long as they come, but
    belong to it only if :math:`c` exceeds 1 again or the row is worse than all before.
    A break ends and clears an alarm.

    The severity is :math:`100 (1 - 2^{-x})` of the largest excess :math:`x` of the
    alarm: 0 at the threshold, 50 at one unit above it, 75 at two units, approaching 100
    for large errors. The priority is 'low' below 50, 'high' from 87.5 (three units) and
    'medium' in between.

    References
    ----------
    .. [1] ANSI/ISA-18.2-2016. "Management of Alarm Systems for the Process Industries."

    .. [2] OPC Foundation. "OPC UA Part 9: Alarms and Conditions."
           https://reference.opcfoundation.org/Core/Part9/v105/docs/

    Examples
    --------
    >>> import numpy as np
    >>> from tsanomaly import AlarmFilter
    >>> errors = np.full(100, 1.0)
    >>> errors[20] = 2.1  # just above the threshold, once
    >>> errors[[40, 42, 43]] = 4.0
    >>> alarms = AlarmFilter().alarms(errors, threshold=2.0, median_error=1.0)
    >>> alarms[["start", "end", "severity", "priority"]].values.tolist()
    [[40, 43, 75.0, 'medium']]
    """

    _parameter_constraints: dict = {
        "trigger": [Interval(Real, 0, None, closed="left")],
        "max_excess": [Interval(Real, 0, None, closed="neither")],
        "decay": [Interval(Real, 0, None, closed="left")],
        "on_delay": [Interval(Integral, 1, None, closed="left")],
        "off_delay": [Interval(Integral, 1, None, closed="left")],
        "deadband": [Interval(Real, 0, None, closed="left")],
        "tracking": [Interval(Real, 0, None, closed="left")],
        "threshold": [Real, None],
    }

    def __init__(
        self,
        *,
        trigger=1.0,
        max_excess=3.0,
        decay=0.1,
        on_delay=1,
        off_delay=60,
        deadband=0.0,
        tracking=0.0,
        threshold=None,
    ):
        self.trigger = trigger
        self.max_excess = max_excess
        self.decay = decay
        self.on_delay = on_delay
        self.off_delay = off_delay
        self.deadband = deadband
        self.tracking = tracking
        self.threshold = threshold

    def alarms(self, errors, *, threshold=None, median_error, index=None):
        """Find the alarms in the errors of a series.

        Parameters
        ----------
        errors : array-like of shape (n_timestamps,)
            Errors, higher = worse: the opposite of `score_samples`. NaN at breaks.
        threshold : float or None, default=None
            Threshold of the detector. Not needed if the filter has one.
        median_error : float
            Median error of the training rows.
        index : Index or None, default=None
            Labels of the rows. None uses row numbers.

        Returns
        -------
        alarms : DataFrame
            One row per alarm, in time order:

            - ``start``, ``end`` : labels of the first and the last row; see the Notes
              of the class
            - ``raised`` : label of the row in which the alarm was raised
            - ``peak`` : label of the row with the largest error
            - ``duration`` : Timedelta, assuming the median time step for each row; the
              number of rows if the index has no ordered times
            - ``error`` : error of the peak
            - ``severity`` : float from 0 to 100; see the Notes of the class
            - ``priority`` : 'low', 'medium' or 'high'
            - ``state`` : 'active' until the alarm is cleared, then 'cleared'

        Raises
        ------
        ValueError
            If a parameter is out of range, or no threshold is given.
        """
        import pandas as pd

        errors = np.asarray(as_series(errors), dtype=np.float64)
        if errors.ndim != 1:
            raise ValueError(
                "errors must contain one number for each row, got an array of shape "
                f"{errors.shape}. Pass -detector.score_samples(X)."
            )
        index = pd.RangeIndex(len(errors)) if index is None else pd.Index(index)
        if len(index) != len(errors):
            raise ValueError(
                f"index has {len(index):,} labels, but errors has {len(errors):,} "
                "rows. Pass the index of the series that was scored."
            )
        tracker = AlarmTracker(self, threshold, median_error)
        step = median_step(index)
        table = [
            {
                **{name: index[alarm[name]] for name in LABELS},
                "duration": alarm_duration(index, alarm["start"], alarm["end"], step),
                **{name: alarm[name] for name in _DESCRIPTION},
            }
            for alarm in tracker.run(errors)[0]
        ]
        return alarm_table(table, [*LABELS, "duration", *_DESCRIPTION], index, step)


def alarm_duration(index, start, end, step):
    """Return the duration of a range of rows: a Timedelta, or the number of rows."""
    return end - start + 1 if step is None else index[end] - index[start] + step


def alarm_table(rows, columns, index, step):
    """Make a frame of alarms or events.

    Column types do not depend on whether there are any rows.

    Parameters
    ----------
    rows : list of dict
    columns : list of str
    index : Index
        Index of the series, with the labels in the columns 'start', 'end', 'raised' and
        'peak'.
    step : Timedelta or None
        Time step, if the index has ordered times.

    Returns
    -------
    table : DataFrame
    """
    import pandas as pd

    frame = pd.DataFrame(rows, columns=columns)
    floats = {"error", "severity", "score", "reading", "expected"}
    types = dict.fromkeys(floats, np.float64) | dict.fromkeys(LABELS, index.dtype)
    types |= dict.fromkeys(["priority", "state", "sentence"], str)
    types["duration"] = np.int64 if step is None else f"timedelta64[{index.unit}]"
    return frame.astype({name: types[name] for name in columns if name in types})


def median_error_of(detector, errors=()):
    """Return the median training error of a fitted detector.

    Parameters
    ----------
    detector : fitted estimator
    errors : ndarray of shape (n_timestamps,), default=()
        Errors whose median is used if the detector has no `median_error_`. NaN is
        ignored.

    Returns
    -------
    median_error : float or None
        None if neither is available.
    """
    median_error = getattr(last_step(detector), "median_error_", None)
    if median_error is None:
        known = np.asarray(errors, dtype=np.float64)
        known = known[~np.isnan(known)]
        median_error = np.median(known) if len(known) else None
    return None if median_error is None else float(median_error)


def drift_rows(rows):
    """Return the rows that drift is judged on: the last quarter, and at least 100."""
    return rows[-max(len(rows) // 4, _FEWEST_DRIFTED) :]


def has_drifted(errors, threshold, median_error):
    """Whether recent rows have drifted away from the training rows.

    Faults end at some point. If the machine, a sensor or the product has changed, all
    errors stay larger.

    Parameters
    ----------
    errors : ndarray of shape (n_timestamps,)
        Errors of new rows, in time order. NaN at breaks.
    threshold : float
        Threshold of the detector.
    median_error : float
        Median error of the training rows.

    Returns
    -------
    drifted : bool
        Whether the median error of the last quarter of the rows, and of at least 100,
        is closer to the threshold than to the median training error.
    """
    last = drift_rows(errors[~np.isnan(errors)])
    if len(last) < _FEWEST_DRIFTED:
        return False
    return bool(np.median(last) > (threshold + median_error) / 2)


class AlarmTracker:
    """Find alarms row by row.

    Parameters
    ----------
    rules : AlarmFilter
        The filter. Its parameters are validated here.
    threshold : float or None
        Threshold of the detector.
    median_error : float
        Median error of the training rows.
    """

    def __init__(self, rules, threshold, median_error):
        rules._validate_params()
        if rules.threshold is not None:
            threshold = rules.threshold
        if threshold is None:
            raise ValueError(
                "No threshold is given. Pass that of the detector, -detector.offset_, "
                "or set one in the filter: AlarmFilter(threshold=...)."
            )
        if not (np.isfinite(threshold) and np.isfinite(median_error)):
            raise ValueError(
                "threshold and median_error must be finite numbers, got "
                f"{threshold!r} and {median_error!r}."
            )
        self.rules = rules
        self.fitted_threshold = self.threshold = float(threshold)
        smallest = max(_SMALLEST_UNIT * abs(threshold), np.finfo(np.float64).tiny)
        self.unit = max(float(threshold) - float(median_error), smallest)
        self.n_rows = 0
        self.forget()

    def forget(self):
        """Reset the accumulated excess and the current alarm."""
        self.accumulated, self.n_above = 0.0, 0
        self.alarm = None  # the current alarm, raised or pending
        self.is_raised = self.is_calm = False

    def step(self, error):
        """Process the error of the next row.

        Parameters
        ----------
        error : float
            NaN at a break.

        Returns
        -------
        is_above : bool
            Whether the row is above the threshold.
        over : dict or None
            The alarm that is cleared in this row.
        """
        rules, row = self.rules, self.n_rows
        self.n_rows += 1
        if error != error:  # a break
            over = self.interrupt()
            return False, over
        excess = (error - self.threshold) / self.unit
        is_above = excess > 0
        if rules.tracking:
            share = 1 - _TRACKED_SHARE if is_above else -_TRACKED_SHARE
            moved = self.threshold + rules.tracking * self.unit * share
            self.threshold = max(moved, self.fitted_threshold)
        if is_above:
            self._add(row, error, excess)
            return True, None
        self.n_above = 0
        if self.is_raised and excess > -rules.deadband:
            self.alarm["last"] = row
            if not self.is_calm:
                self.alarm["end"] = row
            return False, None
        self.accumulated -= rules.decay
        if self.accumulated <= _ROUNDING * rules.trigger:
            self.accumulated = 0.0
        if self.is_raised:
            self.is_calm |= not self.accumulated
            if row - self.alarm["last"] >= rules.off_delay:
                return False, self.interrupt()
        elif not self.accumulated:
            self.alarm = None
        return False, None

    def run(self, errors):
        """Process the errors of a series and return its alarms.

        Parameters
        ----------
        errors : ndarray of shape (n_timestamps,)

        Returns
        -------
        alarms : list of dict
            Row numbers 'start', 'end', 'raised' and 'peak', 'last' of the last row that
            was not quiet, and 'error', 'severity', 'priority' and 'state'. The last
            alarm may be active.
        above : ndarray of shape (n_timestamps,), dtype=bool
            Rows above the threshold.
        """
        alarms, above = [], np.zeros(len(errors), dtype=bool)
        for start in range(0, len(errors), _BLOCK):
            block = errors[start : start + _BLOCK].tolist()
            for row, error in enumerate(block, start):
                above[row], over = self.step(error)
                if over is not None:
                    alarms.append(over)
        if self.is_raised:
            alarms.append(self.alarm)
        return alarms, above

    def _add(self, row, error, excess):
        """Process a row above the threshold."""
        if self.alarm is None:
            self.alarm = {"start": row, "error": -np.inf, "severity": 0.0}
        alarm, rules = self.alarm, self.rules
        alarm["last"] = row
        self.n_above += 1
        self.accumulated += min(excess, rules.max_excess)
        is_due = self.accumulated > rules.trigger and self.n_above >= rules.on_delay
        if is_due and not self.is_raised:
            self.is_raised = True
            alarm["raised"], alarm["state"] = row, "active"
        # Rows before `on_delay` has passed do not keep the alarm pending for longer.
        self.accumulated = min(self.accumulated, rules.trigger)
        severity = 100.0 * (1.0 - 2.0**-excess)
        if is_due or error > alarm["error"] or severity > alarm["severity"]:
            self.is_calm = False
        if self.is_calm:
            return
        alarm["end"] = row
        if error > alarm["error"]:
            alarm["peak"], alarm["error"] = row, error
        alarm["severity"] = max(alarm["severity"], severity)
        alarm["priority"] = _priority(alarm["severity"])

    def interrupt(self):
        """Clear the current alarm, and return it if it was raised."""
        over = self.alarm if self.is_raised else None
        if over is not None:
            over["state"] = "cleared"
        self.forget()
        return over


def _priority(severity):
    if severity >= _HIGH:
        return "high"
    return "medium" if severity >= _MEDIUM else "low"
