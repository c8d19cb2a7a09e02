# SPDX-License-Identifier: MIT
"""Figures about readings and scores."""

import warnings

import numpy as np
import pandas as pd
from sklearn.exceptions import UndefinedMetricWarning

from tsanomaly._cli._files import plain
from tsanomaly._cli._fleets import training_rows
from tsanomaly._cli._models import rows_in_alarm
from tsanomaly._cli._text import visible
from tsanomaly._parameter_error import Parameter, ParameterError
from tsanomaly._validation import find_breaks, median_step
from tsanomaly._wording import count, time_span

__all__ = [
    "alarms_that_stay",
    "describe",
    "duration",
    "measure",
    "n_trained",
    "rows_to_judge",
    "summarise",
]

# Share of normal rows in alarm above which figures of events say little.
_MOST_IN_ALARM = 0.5

# Minimum absolute correlation to report.
_STRONG = 0.9

# Maximum number of channels to correlate; 20,000 would take gigabytes.
_MOST_CORRELATED = 1000


def n_trained(frame, fraction):
    """Return how many of the first rows a model was trained on."""
    return int(training_rows(frame, fraction).sum())


def rows_to_judge(frame, errors, fraction):
    """Find the rows to evaluate: not used for training, and with a score."""
    judged = np.isfinite(errors) & (np.arange(len(frame)) >= n_trained(frame, fraction))
    if not judged.any():
        raise ParameterError(
            "No row is left to evaluate. Lower ", Parameter("train_fraction"), "."
        )
    return judged


def measure(frame, labels, errors, flagged, alarms, judged):
    """Compute metrics of scores, flags and alarms, by name.

    Parameters
    ----------
    frame : DataFrame of shape (n_timestamps, n_channels)
        The readings.
    labels, errors, flagged : ndarray of shape (n_timestamps,)
        Labels, errors and flags of the rows.
    alarms : DataFrame
        Numbers of the rows in which each alarm starts, is raised and ends.
    judged : ndarray of bool of shape (n_timestamps,)
        Rows to evaluate, as from `rows_to_judge`.

    Returns
    -------
    result : dict
        Scores and flags are evaluated row by row. Events are evaluated by alarms, in
        the rows from the first to evaluate on, breaks among them, which separate
        alarms. An event is found if it shares a row with an alarm. Its delay ends when
        the first such alarm is raised that was not raised before the event.
    """
    from sklearn.metrics import (
        average_precision_score,
        confusion_matrix,
        precision_recall_fscore_support,
        roc_auc_score,
    )

    from tsanomaly import metrics

    with warnings.catch_warnings():
        # The numbers of events and alarms show why a metric is undefined.
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        by_alarm = _measure_alarms(frame.index, labels, alarms, judged)
    labels, errors, flags = labels[judged], errors[judged], flagged[judged].astype(int)
    normal, false, missed, found = confusion_matrix(
        labels, flags, labels=[0, 1]
    ).ravel()
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, flags, average="binary", zero_division=0
    )
    result = {
        "rows": len(labels),
        "anomalous_rows": int(labels.sum()),
        "flagged_rows": int(flags.sum()),
        "true_positives": int(found),
        "false_positives": int(false),
        "false_negatives": int(missed),
        "true_negatives": int(normal),
        "precision": precision,
        "recall": recall,
        "f1": f1,
    }
    if len(np.unique(labels)) == 2:
        result |= {
            "roc_auc": roc_auc_score(labels, errors),
            "average_precision": average_precision_score(labels, errors),
            "vus_pr": metrics.vus_pr(labels, errors),
            "vus_roc": metrics.vus_roc(labels, errors),
        }
    return plain(result | by_alarm)


def alarms_that_stay(result):
    """Describe alarms that hold most normal rows; None if they do not.

    Parameters
    ----------
    result : dict
        As from `measure`.
    """
    share = result["normal_share_in_alarm"]
    if share is None or share <= _MOST_IN_ALARM:
        return None
    return (
        f"An alarm is active in {share:.0%} of the normal rows, so events are found by "
        "chance, and false alarms may be few because they do not end. Set a higher "
        "threshold, or train on recent normal rows."
    )


def _measure_alarms(index, labels, alarms, judged):
    """Compute metrics of events and alarms, by name, from the first judged row on."""
    from tsanomaly import metrics
    from tsanomaly.metrics._checks import find_events, touched

    first, n_rows = np.argmax(judged), len(labels)
    normal = judged & (labels == 0)
    # Also in alarms that are left out below.
    share = rows_in_alarm(alarms, n_rows)[normal].mean() if normal.any() else None
    alarms = _of_last_rows(alarms, labels, first)
    is_on = rows_in_alarm(alarms, n_rows)[first:]
    all_labels, labels = labels, labels[first:]
    ranges, events = find_events(is_on), find_events(labels)
    overlaps = find_events(is_on & (labels == 1))
    result = {
        "events": len(events[0]),
        "events_found": int(touched(events, overlaps).sum()),
        "alarms": len(ranges[0]),
        "false_alarms": int((~touched(ranges, overlaps)).sum()),
        "normal_share_in_alarm": share,
    }
    if len(np.unique(labels)) == 2:
        event = metrics.event_precision_recall_fscore(labels, is_on)
        affiliation = metrics.affiliation_precision_recall_fscore(labels, is_on)
        result |= {**_triple("event", event), **_triple("affiliation", affiliation)}
    if isinstance(index, pd.DatetimeIndex):
        delay = _delays(index, all_labels, alarms, first).median()
        result["median_delay_seconds"] = delay.total_seconds()
        result["false_alarms_per_day"] = metrics.false_alarms_per_day(
            labels, is_on, times=index[first:]
        )
    return result


def _of_last_rows(alarms, labels, first):
    """Leave out alarms that were raised before a row, or only hold earlier events."""
    n_labelled = np.append(0, np.cumsum(labels))  # before each row
    start, after = alarms["start"], alarms["end"] + 1
    earlier = n_labelled[after.clip(upper=first)] > n_labelled[start.clip(upper=first)]
    later = n_labelled[after.clip(lower=first)] > n_labelled[start.clip(lower=first)]
    return alarms[(alarms["raised"] >= first) & (later | ~earlier)]


def _delays(index, labels, alarms, first):
    """Return the delays of the events that end in the rows from `first` on.

    Events without an alarm that is raised in them, or later for rows in them, have no
    delay.
    """
    from tsanomaly.metrics._checks import find_events

    start, end = find_events(labels)
    start, end = start[end >= first], end[end >= first]
    # Alarms are in order, and do not overlap.
    number = np.searchsorted(alarms["raised"], start)
    start, end, number = (part[number < len(alarms)] for part in (start, end, number))
    is_of_event = alarms["start"].to_numpy()[number] <= end
    raised = alarms["raised"].to_numpy()[number]
    return (index[raised] - index[start])[is_of_event]


def _triple(name, values):
    return {
        f"{name}_{kind}": value
        for kind, value in zip(("precision", "recall", "fscore"), values, strict=True)
    }


def summarise(frame, labels):
    """Summarise rows, times, gaps, channels, correlations and labels."""
    step = median_step(frame.index)
    result = {
        "rows": len(frame),
        "channels": frame.shape[1],
        "start": str(frame.index[0]),
        "end": str(frame.index[-1]),
        "step": None if step is None else str(step),
        "gaps": None,
        "longest_gap": None,
        "rows_without_any_reading": int(find_breaks(frame).sum()),
        "missing_readings": int(frame.isna().sum().sum()),
    }
    if step is not None and isinstance(frame.index, pd.DatetimeIndex):
        distances = frame.index[1:] - frame.index[:-1]
        gaps = distances[distances > 1.5 * step]
        result["gaps"] = len(gaps)
        result["longest_gap"] = str(gaps.max()) if len(gaps) else None
    table = frame.agg(["mean", "std", "min", "max"]).T
    table["missing"] = frame.isna().sum()
    constant = frame.nunique() <= 1
    result["constant_channels"] = frame.columns[constant].tolist()
    result["strong_correlations"] = _strong_correlations(frame.loc[:, ~constant])
    result["anomalous_rows"] = None if labels is None else int(labels.sum())
    result["per_channel"] = {
        name: row.to_dict() for name, row in table.astype(float).iterrows()
    }
    return plain(result)


def _strong_correlations(frame):
    """List correlated pairs of channels, strongest first; None for many channels."""
    if frame.shape[1] > _MOST_CORRELATED:
        return None
    from tsanomaly.plotting._correlation import pearson

    names = frame.columns
    correlation = pd.DataFrame(pearson(frame), index=names, columns=names)
    pairs = correlation.where(np.triu(np.ones(correlation.shape, bool), 1)).stack()
    pairs = pairs[pairs.abs() >= _STRONG].sort_values(key=abs, ascending=False)
    return [
        {"channels": list(pair), "correlation": value} for pair, value in pairs.items()
    ]


def duration(text):
    """Format a time span for people; other steps are returned unchanged."""
    return time_span(pd.Timedelta(text))


def describe(summary):
    """Format a summary as text."""
    lines = [
        f"{count(summary['rows'], 'row')} of {count(summary['channels'], 'channel')}, "
        f"{summary['start']} to {summary['end']}"
    ]
    if summary["step"] is not None:
        lines.append(f"a row every {duration(summary['step'])}")
    if summary["gaps"]:
        longest = f" in time, the longest {duration(summary['longest_gap'])}"
        lines.append(count(summary["gaps"], "gap", longest))
    lines.append(count(summary["missing_readings"], "reading", " missing"))
    if summary["constant_channels"]:
        constant = ", ".join(map(visible, summary["constant_channels"]))
        lines.append(f"constant: {constant}")
    if summary["strong_correlations"] is None:
        lines.append(
            f"correlations: not computed for more than {_MOST_CORRELATED:,} channels"
        )
    for pair in summary["strong_correlations"] or []:
        names = " and ".join(map(visible, pair["channels"]))
        lines.append(f"{names}: correlation {pair['correlation']:.2f}")
    if summary["anomalous_rows"] is not None:
        lines.append(count(summary["anomalous_rows"], "row", " labelled anomalous"))
    table = pd.DataFrame(summary["per_channel"]).T.rename(index=visible)
    table["missing"] = table["missing"].astype(int)
    return "\n".join([*lines, "", table.to_string(float_format="{:.4g}".format)])
