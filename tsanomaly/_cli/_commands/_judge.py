# SPDX-License-Identifier: MIT
"""Commands that judge detectors."""

import numpy as np

from tsanomaly._cli._checks import check_training_rows, in_rows
from tsanomaly._cli._commands._results import RESULTS, align, finish
from tsanomaly._cli._files import (
    make_folder,
    plain,
    write_figure,
    write_json,
    write_table,
)
from tsanomaly._cli._inputs import needed, read, read_both
from tsanomaly._cli._models import Detection, build, score, with_threshold
from tsanomaly._cli._numbers import measure, n_trained, rows_to_judge
from tsanomaly._cli._parser import DETECTORS
from tsanomaly._cli._pictures import draw_anomalies, draw_measures
from tsanomaly._cli._text import one_line
from tsanomaly._parameter_error import Parameter, ParameterError

__all__ = ["compare", "evaluate"]


def evaluate(
    model,
    csv,
    *,
    read_params,
    fill=False,
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
    model, csv, read_params, fill, threshold, quantile, k, train_fraction, \
            output_dir, plots, progress
        See above.
    """
    detector, frame, labels = read_both(
        model, csv, read_params, fill=fill, progress=progress
    )
    labels = needed(labels)
    folder = make_folder(output_dir)
    detector = with_threshold(detector, model, quantile=quantile, k=k)
    progress(f"scoring {len(frame):,} rows")
    errors, threshold, flagged = score(detector, frame, threshold)
    progress("computing metrics")
    judged = rows_to_judge(frame, errors, train_fraction)
    result = measure(frame[judged], errors[judged], flagged[judged], labels[judged])
    result["threshold"] = threshold
    files = [write_json(folder / "evaluation.json", result)]
    if plots:
        progress("drawing")
        rest = slice(n_trained(frame, train_fraction), None)
        found = Detection(
            errors[rest],
            threshold,
            flagged[rest],
            np.empty((len(errors[rest]), 0)),
            None,
            flagged[rest],
        )
        figures = {"anomalies": draw_anomalies(frame[rest], found, labels[rest])}
        figures |= draw_measures(
            frame[judged], errors[judged], flagged[judged], labels[judged], threshold
        )
        files += [
            write_figure(folder / f"{name}.png", figure)
            for name, figure in figures.items()
        ]
    return finish(result, align(result), files)


def compare(
    csv,
    *,
    read_params,
    network_params,
    threshold_params,
    detectors=DETECTORS,
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
    """Compare detectors on one file.

    Parameters
    ----------
    detectors : sequence of str
        Names of detectors, as of `build`.
    network_params, threshold_params, window_size, missing, scaler, random_state
        As of `build`.
    csv, read_params, fill, columns, train_fraction, output_dir, plots, progress
        See above.
    """
    from tsanomaly import compare_detectors
    from tsanomaly.plotting import ComparisonDisplay

    frame, labels = read(
        csv,
        read_params,
        columns=columns,
        fill=fill,
        must_be_complete=True,
        progress=progress,
    )
    labels = needed(labels)
    folder = make_folder(output_dir)
    n_train = n_trained(frame, train_fraction)
    check_training_rows(n_train, frame, csv, window_size)
    if n_train == len(frame):
        raise ParameterError(
            "No row is left to compare detectors on. Lower ",
            Parameter("train_fraction"),
            ".",
        )
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
            threshold_params=in_rows(threshold_params, frame),
            window_size=window_size,
            missing=missing,
            scaler=scaler,
            random_state=random_state,
        )
        for name in detectors
    }
    progress("comparing detectors")
    table = compare_detectors(
        models,
        frame[:n_train],
        frame[n_train:],
        labels[n_train:],
        random_state=random_state,
    )
    failed = table["error"][table["error"] != ""]
    if len(failed) == len(table):
        raise ValueError(f"All detectors failed. The first: {failed.iloc[0]}")
    files = [write_table(folder / "comparison.csv", table, index_label="detector")]
    if plots:
        progress("drawing")
        display = ComparisonDisplay.from_table(table)
        files.append(write_figure(folder / "comparison.png", display.figure_))
    shown = table.drop(columns="error").round(3)
    text = shown.to_string(na_rep="")
    text += "".join(
        f"\n{name} failed: {one_line(error)}" for name, error in failed.items()
    )
    result = {"detectors": plain(table.reset_index(names="detector"))}
    return finish(result, text, files)
