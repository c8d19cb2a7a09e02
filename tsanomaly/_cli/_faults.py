# SPDX-License-Identifier: MIT
"""Evaluation of detectors by injected faults."""

from time import perf_counter

import numpy as np
import pandas as pd

from tsanomaly._cli._models import default_alarms, rows_in_alarm
from tsanomaly._parameter_error import Parameter, ParameterError
from tsanomaly._windows import runs

__all__ = ["inject_faults", "judge_by_faults"]

# Kinds of faults that plants have, as in `inject_anomalies`.
_KINDS = ("spike", "stuck", "drift", "level_shift", "noise_burst")
_OF_SEVERAL = ("correlation_break",)  # channels

# Target number of faults per kind, maximum share of anomalous rows, minimum number of
# faults of a kind in a copy of the series, and maximum number of copies.
_MOST, _SHARE, _FEWEST, _COPIES = 10, 0.2, 3, 4

# Rows of a long fault, if the series is long enough.
_SHORTEST, _LONGEST = 20, 100


def judge_by_faults(models, train, test, random_state, progress):
    """Fit detectors, and count the injected faults that raise an alarm.

    Parameters
    ----------
    models : dict of str to Pipeline
        Unfitted, by name.
    train, test : DataFrame of shape (n_timestamps, n_channels)
        Rows for training, and rows to inject faults into.
    random_state : int
        Seed for the faults.
    progress : callable
        Called with a line of text before each step.

    Returns
    -------
    table : DataFrame
        One row per detector: faults found by kind, without those where an alarm is
        active anyway; false alarms in 1,000 rows of `test`; seconds.
    n_faults : dict of str to int
        Number of injected faults by kind.
    """
    from tsanomaly import fit_cross_fitted

    kinds = _kinds_for(test)
    series = {kind: _copies(test, kind, random_state) for kind in kinds}
    n_faults = {
        kind: sum(len(e) for *_, e in copies) for kind, copies in series.items()
    }
    rows = {}
    for name, model in models.items():
        progress(f"training {name}")
        row = {"error": ""}
        start = perf_counter()
        try:
            fit_cross_fitted(model, train)
            row["fit_seconds"] = perf_counter() - start
            false = default_alarms(model, test)
            row["false_alarms"] = 1000 * len(false) / len(test)
            anyway = rows_in_alarm(false, len(test))
            for kind, copies in series.items():
                row[kind] = 0
                for frame, y, _ in copies:
                    is_on = rows_in_alarm(default_alarms(model, frame), len(frame))
                    row[kind] += _n_found(y, is_on & ~anyway)
        except (ValueError, MemoryError) as error:  # the others continue
            row["error"] = str(error)
        rows[name] = row
    table = pd.DataFrame.from_dict(rows, orient="index")
    columns = [*kinds, "false_alarms", "fit_seconds", "error"]
    return table.reindex(columns=columns), n_faults


def _kinds_for(frame):
    """Return the kinds of faults that fit the series."""
    return [*_KINDS, *(_OF_SEVERAL if frame.shape[1] > 1 else ())]


def _copies(frame, kind, random_state):
    """Make enough copies of a series with faults of one kind."""
    copies = [inject_faults(frame, [kind], random_state)]
    n_more = -(-_MOST // max(len(copies[0][2]), 1)) - 1
    seeds = random_state + 1 + np.arange(min(n_more, _COPIES - 1))
    return copies + [inject_faults(frame, [kind], int(seed)) for seed in seeds]


def inject_faults(frame, kinds, random_state):
    """Inject faults into a series.

    Parameters
    ----------
    frame : DataFrame of shape (n_timestamps, n_channels)
        Readings that are assumed to be normal.
    kinds : list of str or None
        Kinds of faults; None uses all.
    random_state : int
        Seed.

    Returns
    -------
    frame, y, events
        As from :func:`tsanomaly.datasets.inject_anomalies`.

    Raises
    ------
    ParameterError
        If the series is too short for faults.
    """
    from tsanomaly.datasets import inject_anomalies

    if kinds is None:
        kinds = _kinds_for(frame)
    room = _SHARE * len(frame)
    longest = int(np.clip(room / (_FEWEST * len(kinds)), 2, _LONGEST))
    n_events = int(np.clip(room / longest, 1, _MOST * len(kinds)))
    try:
        return inject_anomalies(
            frame,
            kinds=kinds,
            n_events=n_events,
            duration=(min(_SHORTEST, longest), longest),
            random_state=random_state,
        )
    except ValueError as error:
        raise ParameterError(
            f"There are no labels, and {len(frame):,} rows are too few to inject "
            f"faults: {error} Lower ",
            Parameter("train_fraction"),
            ", or name a column of labels with ",
            Parameter("label"),
            ".",
        ) from error


def _n_found(y, is_on):
    """Count the runs of labelled rows with at least one row in an alarm."""
    pairs = zip(*runs(y), strict=True)
    return sum(bool(is_on[start : end + 1].any()) for start, end in pairs)
