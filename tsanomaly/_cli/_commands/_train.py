# SPDX-License-Identifier: MIT
"""The command that trains a model."""

from time import perf_counter

import numpy as np
import pandas as pd

from tsanomaly._cli._checks import (
    check_by,
    check_training_rows,
    in_rows,
    naming_options,
    without_repetition,
)
from tsanomaly._cli._commands._results import finish
from tsanomaly._cli._files import RESULTS, Results, plain
from tsanomaly._cli._fleets import machines, training_rows
from tsanomaly._cli._forecast import compare_with_forecast, tell_failed_forecast
from tsanomaly._cli._health import find_faults, list_findings
from tsanomaly._cli._inputs import needed, read
from tsanomaly._cli._models import build, score, settings
from tsanomaly._cli._plan import has_readings, leave_out_dead, tell_plan
from tsanomaly._cli._preparation import step_seconds, to_keep
from tsanomaly._cli._text import visible
from tsanomaly._inspection import takes_missing
from tsanomaly._wording import count

__all__ = ["train"]

# Maximum number of sensor health findings to print.
_N_FINDINGS = 5


def train(
    csv,
    *,
    read_params,
    row_params,
    network_params,
    threshold_params,
    detector="lstm",
    window_size=None,
    missing="ignore",
    scaler="standard",
    random_state=0,
    columns=None,
    by=None,
    train_fraction=0.8,
    output_dir=RESULTS,
    bom=False,
    plots=True,
    progress,
):
    """Train a detector, and report what it flags.

    Parameters
    ----------
    detector : str
        Name of a detector, as of `build`.
    network_params, threshold_params, window_size, missing, scaler, random_state
        As of `build`.
    by : str or None
        The column that names machines; each machine gets its own detector.
    csv, read_params, row_params, columns, train_fraction, output_dir, bom, plots, \
            progress
        See above.
    """
    from tsanomaly import FleetDetector, fit_cross_fitted
    from tsanomaly._saving import save_prepared
    from tsanomaly.plotting import ErrorDistributionDisplay, TrainingHistoryDisplay

    check_by(by)
    model = build(
        detector,
        network_params=network_params,
        threshold_params=threshold_params,
        window_size=window_size,
        missing=missing,
        scaler=scaler,
        random_state=random_state,
    )
    readings = read(
        csv,
        read_params,
        row_params,
        columns=columns,
        by=by,
        must_be_complete=not takes_missing(model),
        progress=progress,
    )
    results = Results(output_dir, bom=bom)
    is_training = training_rows(readings.frame, train_fraction, by)
    readings = leave_out_dead(readings, is_training, by)
    frame = readings.frame
    is_row = has_readings(frame, by)
    check_training_rows(is_training[is_row], csv, window_size, [detector])
    rows = frame.iloc[readings.rows]
    model["threshold"].set_params(**in_rows(threshold_params, rows, by))
    progress.keep(tell_plan(model["threshold"], readings, is_training, by))
    if by is not None:
        model = FleetDetector(model, by=by)
    y = None
    if threshold_params["method"] == "f_score":
        y = needed(readings.labels)[is_training]
    training = frame[is_training]
    progress("checking sensor health")
    findings = find_faults(training, by)
    is_learned = is_training & is_row
    n_training = int(is_learned.sum())
    progress(f"training {detector} on {n_training:,} rows")
    start = perf_counter()
    with without_repetition(threshold_params), naming_options(has_window_size=True):
        fit_cross_fitted(model, training, y)
    seconds = perf_counter() - start
    progress("saving")
    kept = to_keep(read_params, row_params)
    step = step_seconds(frame[is_learned], by)
    save_prepared(model, results.new("model.skops"), kept, step)
    progress(f"scoring {len(frame):,} rows")
    table, thresholds, forecasts = _scores(model, readings, is_training, by)
    in_training = (table["part"] == "train").to_numpy()
    flags, errors = table["flag"].to_numpy(), table["score"].to_numpy()
    threshold = thresholds if by is not None else thresholds[None]
    failed = tell_failed_forecast(forecasts, readings.labels is not None)
    result = {
        "detector": detector,
        "channels": [str(name) for name in frame.columns if name != by],
        "train_rows": n_training,
        "test_rows": int((~is_training & is_row).sum()),
        "threshold": threshold,
        "flagged_train_rows": int(flags[in_training].sum()),
        "flagged_test_rows": int(flags[~in_training].sum()),
        "failed_forecast": failed,
        "fit_seconds": round(seconds, 3),
        "settings": settings(model),
        "sensor_health": plain(findings),
    }
    results.rows("predictions.csv", table)
    results.json("training.json", result)
    if plots and by is None:
        progress("drawing")
        if np.isfinite(errors[~in_training]).any():
            display = ErrorDistributionDisplay.from_predictions(
                errors[in_training], errors[~in_training], threshold=threshold
            )
            results.figure("errors.png", display.figure_)
        if hasattr(model["errors"], "history_"):
            display = TrainingHistoryDisplay.from_estimator(model)
            results.figure("history.png", display.figure_)
    text = (
        f"{detector} trained on {result['train_rows']:,} rows of "
        f"{count(len(result['channels']), 'channel')} in {seconds:.1f} s\n"
    )
    if by is None:
        text += f"threshold {threshold:.6g}: "
    else:
        text += f"{_machines_in_words(model)}: "
    n_flagged = result["flagged_train_rows"]
    text += (
        f"{n_flagged:,} of the training rows {'is' if n_flagged == 1 else 'are'} "
        f"flagged, and {result['flagged_test_rows']:,} of {result['test_rows']:,} "
        "others"
    )
    if failed is not None:
        text += f"\n{failed}"
    if len(findings):
        text += "\n" + list_findings(
            findings, _N_FINDINGS, "training.json", " of the training rows"
        )
    return finish(result, text, results)


def _scores(model, readings, is_training, by):
    """Return part, score and flag of each row, thresholds by machine, and forecasts."""
    tables, thresholds, forecasts = [], {}, {}
    places = {None: np.arange(len(readings.frame))}
    if by is not None:
        places = readings.frame.groupby(by, sort=False).indices
    for part in machines(model, readings):
        errors, threshold, flagged = score(part.detector, part.frame, None)
        name = None if part.machine is None else str(part.machine)
        thresholds[name] = threshold
        learned = is_training[places[part.machine]]
        forecasts[name] = compare_with_forecast(
            part.detector, errors, threshold, part.labels, ~learned
        )
        table = pd.DataFrame(
            {
                "part": np.where(learned, "train", "test"),
                "score": errors,
                "flag": flagged.astype(int),
            },
            index=part.frame.index,
        )
        if by is not None:
            table.insert(0, by, part.machine)
        tables.append(table.iloc[part.rows])
    return pd.concat(tables), thresholds, forecasts


def _machines_in_words(fleet):
    """Describe which machines have their own detector."""
    text = f"a detector for each of {count(len(fleet.groups_), 'machine')}"
    if len(fleet.fallback_groups_):
        names = ", ".join(visible(name) for name in fleet.fallback_groups_)
        text += f", one for all the others ({names}), which have few rows"
    return text
