# SPDX-License-Identifier: MIT
"""Commands that train a model to keep."""

from time import perf_counter

import numpy as np
import pandas as pd

from tsanomaly._cli._checks import check_training_rows, in_rows
from tsanomaly._cli._commands._results import RESULTS, finish
from tsanomaly._cli._files import (
    make_folder,
    plain,
    row_label,
    write_figure,
    write_json,
    write_table,
)
from tsanomaly._cli._health import list_findings
from tsanomaly._cli._inputs import needed, read
from tsanomaly._cli._models import build, settings
from tsanomaly._cli._numbers import n_trained
from tsanomaly._inspection import errors_and_threshold, takes_missing
from tsanomaly._wording import count

__all__ = ["train"]

# Findings about sensors that are shown.
_N_FINDINGS = 5


def train(
    csv,
    *,
    read_params,
    network_params,
    threshold_params,
    detector="lstm",
    window_size=None,
    missing="ignore",
    scaler="standard",
    random_state=0,
    fill=False,
    columns=None,
    train_fraction=0.8,
    output_dir=RESULTS,
    plots=True,
    progress,
):
    """Train a detector, and say what it flags.

    Parameters
    ----------
    detector : str
        Name of a detector, as of `build`.
    network_params, threshold_params, window_size, missing, scaler, random_state
        As of `build`.
    csv, read_params, fill, columns, train_fraction, output_dir, plots, progress
        See above.
    """
    from tsanomaly import fit_cross_fitted, save, sensor_health
    from tsanomaly.plotting import ErrorDistributionDisplay, TrainingHistoryDisplay

    model = build(
        detector,
        network_params=network_params,
        threshold_params=threshold_params,
        window_size=window_size,
        missing=missing,
        scaler=scaler,
        random_state=random_state,
    )
    frame, labels = read(
        csv,
        read_params,
        columns=columns,
        fill=fill,
        must_be_complete=not takes_missing(model),
        progress=progress,
    )
    model["threshold"].set_params(**in_rows(threshold_params, frame))
    folder = make_folder(output_dir)
    n_train = n_trained(frame, train_fraction)
    check_training_rows(n_train, frame, csv, window_size)
    y = needed(labels)[:n_train] if threshold_params["method"] == "f_score" else None
    progress("looking at the sensors")
    findings = sensor_health(frame[:n_train])
    progress(f"training {detector} on {n_train:,} rows")
    start = perf_counter()
    fit_cross_fitted(model, frame[:n_train], y)
    seconds = perf_counter() - start
    progress("saving")
    file = folder / "model.skops"
    save(model, file)
    progress(f"scoring {len(frame):,} rows")
    errors, threshold = errors_and_threshold(model, frame)
    flagged = errors > threshold
    part = np.where(np.arange(len(frame)) < n_train, "train", "test")
    table = pd.DataFrame(
        {"part": part, "score": errors, "flag": flagged.astype(int)}, index=frame.index
    )
    result = {
        "detector": detector,
        "channels": list(map(str, frame.columns)),
        "train_rows": n_train,
        "test_rows": len(frame) - n_train,
        "threshold": threshold,
        "flagged_train_rows": int(flagged[:n_train].sum()),
        "flagged_test_rows": int(flagged[n_train:].sum()),
        "fit_seconds": round(seconds, 3),
        "settings": settings(model),
        "sensor_health": plain(findings),
    }
    files = [
        file,
        write_table(folder / "predictions.csv", table, **row_label(frame)),
        write_json(folder / "training.json", result),
    ]
    if plots:
        progress("drawing")
        if np.isfinite(errors[n_train:]).any():
            display = ErrorDistributionDisplay.from_predictions(
                errors[:n_train], errors[n_train:], threshold=threshold
            )
            files.append(write_figure(folder / "errors.png", display.figure_))
        if hasattr(model["errors"], "history_"):
            display = TrainingHistoryDisplay.from_estimator(model)
            files.append(write_figure(folder / "history.png", display.figure_))
    text = (
        f"{detector} trained on {n_train:,} rows of "
        f"{count(frame.shape[1], 'channel')} in {seconds:.1f} s\n"
        f"threshold {threshold:.6g}: {result['flagged_train_rows']:,} of the "
        f"training rows are flagged, and {result['flagged_test_rows']:,} of "
        f"{result['test_rows']:,} others"
    )
    if len(findings):
        text += "\n" + list_findings(
            findings, _N_FINDINGS, "training.json", " of the training rows"
        )
    return finish(result, text, files)
