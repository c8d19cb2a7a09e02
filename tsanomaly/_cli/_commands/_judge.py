# SPDX-License-Identifier: MIT
"""Commands that evaluate detectors."""

import warnings

import numpy as np

from tsanomaly._cli._checks import (
    check_training_rows,
    in_rows,
    without_repetition,
)
from tsanomaly._cli._commands._results import align, finish
from tsanomaly._cli._faults import judge_by_faults
from tsanomaly._cli._files import RESULTS, Results, plain
from tsanomaly._cli._fleets import training_rows
from tsanomaly._cli._inputs import needed, read, read_both
from tsanomaly._cli._models import (
    Detection,
    build,
    raise_alarms,
    rows_in_alarm,
    score,
    with_threshold,
)
from tsanomaly._cli._numbers import alarms_that_stay, measure, n_trained, rows_to_judge
from tsanomaly._cli._parser import DETECTORS
from tsanomaly._cli._pictures import draw_anomalies, draw_measures
from tsanomaly._cli._plan import has_readings, leave_out_dead
from tsanomaly._cli._text import one_line, visible
from tsanomaly._inspection import takes_missing
from tsanomaly._parameter_error import Parameter, ParameterError

__all__ = ["compare", "evaluate"]

# With a smaller area under the ROC curve, scores of anomalies are lower than those of
# normal rows; and the minimum number of rows of both kinds to say so.
_REVERSED, _FEWEST = 0.3, 20


def evaluate(
    model,
    csv,
    *,
    read_params,
    row_params,
    alarm_params,
    threshold=None,
    quantile=None,
    k=None,
    train_fraction=0.0,
    output_dir=RESULTS,
    plots=True,
    progress,
):
    """Evaluate a model on labelled readings.

    Parameters
    ----------
    model, csv, read_params, row_params, alarm_params, threshold, quantile, k, \
            train_fraction, output_dir, plots, progress
        See above.
    """
    detector, readings, _ = read_both(
        model, csv, read_params, row_params, one_machine=True, progress=progress
    )
    frame, labels = readings.frame, needed(readings.labels)
    results = Results(output_dir)
    detector = with_threshold(detector, model, quantile=quantile, k=k)
    progress(f"scoring {len(frame):,} rows")
    errors, threshold, flagged = score(detector, frame, threshold)
    *_, alarm_rows = raise_alarms(detector, errors, threshold, alarm_params)
    progress("computing metrics")
    judged = rows_to_judge(frame, errors, train_fraction)
    result = measure(frame, labels, errors, flagged, alarm_rows, judged)
    _warn_if_reversed(result)
    if staying := alarms_that_stay(result):
        warnings.warn(staying, stacklevel=2)
    result["threshold"] = threshold
    results.json("evaluation.json", result)
    if plots:
        progress("drawing")
        rest = slice(n_trained(frame, train_fraction), None)
        found = Detection(
            errors[rest],
            threshold,
            flagged[rest],
            np.empty((len(errors[rest]), 0)),
            None,
            None,
            rows_in_alarm(alarm_rows, len(errors))[rest],
        )
        figures = {"anomalies": draw_anomalies(frame[rest], found, labels[rest])}
        figures |= draw_measures(
            frame[judged], errors[judged], flagged[judged], labels[judged], threshold
        )
        for name, figure in figures.items():
            results.figure(f"{name}.png", figure)
    text = "".join(f"{visible(note)}\n" for note in readings.notes)
    return finish(result, text + align(result), results)


def _warn_if_reversed(result):
    """Warn if labelled anomalies have lower scores than normal rows."""
    n_anomalous = result["anomalous_rows"]
    if min(n_anomalous, result["rows"] - n_anomalous) < _FEWEST:
        return
    if result["roc_auc"] < _REVERSED:
        warnings.warn(
            f"roc_auc is {result['roc_auc']:.2f}: most rows labelled anomalous have "
            "lower scores than normal rows. Labels are 1 for an anomaly and 0 for a "
            "normal row: swap them if they are reversed. Otherwise, the model may have "
            "been trained on faulty readings: train it on normal ones.",
            stacklevel=3,
        )


def compare(
    csv,
    *,
    read_params,
    row_params,
    network_params,
    threshold_params,
    detectors=DETECTORS,
    window_size=None,
    missing="ignore",
    scaler="standard",
    random_state=0,
    columns=None,
    train_fraction=0.8,
    output_dir=RESULTS,
    bom=False,
    plots=True,
    progress,
):
    """Compare detectors on one file, by its labels or by injected faults.

    Parameters
    ----------
    detectors : sequence of str
        Names of detectors, as of `build`.
    network_params, threshold_params, window_size, missing, scaler, random_state
        As of `build`.
    csv, read_params, row_params, columns, train_fraction, output_dir, bom, plots, \
            progress
        See above.
    """
    from tsanomaly import compare_detectors
    from tsanomaly.plotting import ComparisonDisplay

    if threshold_params["method"] == "f_score":
        raise ParameterError(
            Parameter("method", "f_score"),
            " needs labels in training, and detectors are compared without. Choose "
            "another.",
        )
    models = {
        name: build(
            name,
            network_params=network_params,
            threshold_params=threshold_params,
            window_size=window_size,
            missing=missing,
            scaler=scaler,
            random_state=random_state,
        )
        for name in detectors
    }
    readings = read(
        csv,
        read_params,
        row_params,
        columns=columns,
        must_be_complete=not all(map(takes_missing, models.values())),
        progress=progress,
    )
    results = Results(output_dir, bom=bom)
    is_training = training_rows(readings.frame, train_fraction)
    readings = leave_out_dead(readings, is_training, None)
    is_row = has_readings(readings.frame, None)
    check_training_rows(is_training[is_row], csv, window_size, detectors)
    if is_training.all():
        raise ParameterError(
            "No row is left to compare detectors on. Lower ",
            Parameter("train_fraction"),
            ".",
        )
    frame = readings.frame
    budget = in_rows(threshold_params, frame.iloc[readings.rows])
    for model in models.values():
        model["threshold"].set_params(**budget)
    progress("comparing detectors")
    text = "".join(f"{visible(note)}\n" for note in readings.notes)
    train, test = frame[is_training], frame[~is_training]
    if readings.labels is None:
        with without_repetition(threshold_params):
            table, faults = judge_by_faults(models, train, test, random_state, progress)
        text += (
            "there are no labels, so faults were injected into copies of the last "
            f"{len(test):,} rows. Faults found, of "
            f"{', '.join(f'{n} {kind}' for kind, n in faults.items())}; false alarms "
            "in 1,000 rows without faults\n\n"
        )
    else:
        labels = readings.labels[~is_training]
        with without_repetition(threshold_params):
            table = compare_detectors(
                models, train, test, labels, random_state=random_state
            )
        text += (
            "event_fscore and affiliation_fscore are those of runs of flagged rows, "
            "before an alarm filter; tsanomaly evaluate counts alarms\n\n"
        )
    failed = table["error"][table["error"] != ""]
    if len(failed) == len(table):
        raise ValueError(f"All detectors failed. The first: {failed.iloc[0]}")
    results.table("comparison.csv", table, index_label="detector")
    if plots and readings.labels is not None:
        progress("drawing")
        display = ComparisonDisplay.from_table(table)
        results.figure("comparison.png", display.figure_)
    shown = table.drop(columns="error").round(3)
    text += shown.to_string(na_rep="")
    text += "".join(
        f"\n{name} failed: {one_line(error)}" for name, error in failed.items()
    )
    result = {"detectors": plain(table.reset_index(names="detector"))}
    return finish(result, text, results)
