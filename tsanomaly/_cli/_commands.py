# SPDX-License-Identifier: MIT
"""What the commands do: read, call the library, write files.

Each returns its result twice: as what JSON can hold, and as text. Defaults of
parameters are those of the options. What several commands take is described here:

csv : Path
    The file of the readings.
model : Path
    The file of a model.
read_params : dict
    Keywords for :func:`tsanomaly.datasets.read_sensor_csv`.
fill : bool
    Whether to forward-fill missing readings.
columns : list of str or None
    The channels to use; None takes all.
threshold : float or None
    Another threshold than that of the model.
quantile, k : float or None
    What to compute another threshold from, on the training errors of the model: their
    quantile, or their mean + `k` standard deviations.
alarm_params : dict
    Keywords for `AlarmFilter`.
n_channels : int
    How many channels of an alarm to name, at most.
train_fraction : float
    Share of the rows, the first ones, that a model is or was trained on.
output_dir : Path
    Folder for the results, which is created.
plots : bool
    Whether to draw.
progress : Progress
    Called with a line of text before each step.
"""

import warnings
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd

from tsanomaly._cli._checks import check_step, check_training_rows, in_rows
from tsanomaly._cli._files import (
    make_folder,
    plain,
    row_label,
    write_alarms,
    write_figure,
    write_file,
    write_json,
    write_table,
)
from tsanomaly._cli._health import list_findings
from tsanomaly._cli._info import info
from tsanomaly._cli._inputs import needed, read, read_both, read_described
from tsanomaly._cli._models import (
    Detection,
    build,
    predictions,
    run_model,
    score,
    settings,
    with_threshold,
)
from tsanomaly._cli._numbers import (
    describe,
    measure,
    n_trained,
    rows_to_judge,
    summarise,
)
from tsanomaly._cli._parser import DETECTORS
from tsanomaly._cli._pictures import (
    N_DRAWN_CHANNELS,
    draw_anomalies,
    draw_contributions,
    draw_measures,
    draw_readings,
    main_channels,
    shown_readings,
)
from tsanomaly._cli._text import one_line, visible
from tsanomaly._inspection import errors_and_threshold, reconstructs, takes_missing
from tsanomaly._parameter_error import Parameter, ParameterError, ParameterWarning
from tsanomaly._wording import count

__all__ = [
    "compare",
    "demo",
    "detect",
    "evaluate",
    "explain",
    "explore",
    "generate",
    "info",
    "report",
    "train",
]

_RESULTS = Path("tsanomaly-results")

# Alarms that are told on the terminal, at most: the most severe ones.
_MOST_TOLD = 5

# Findings about sensors that are shown, after exploring and after training.
_N_FINDINGS, _N_FINDINGS_SHORT = 20, 5


def generate(
    *,
    n_samples=10_000,
    n_sensors=4,
    contamination=0.0425,
    kinds=None,
    freq="1min",
    random_state=0,
    output_dir=_RESULTS,
    plots=True,
    progress,
):
    """Simulate a plant.

    Parameters
    ----------
    n_samples, n_sensors, contamination, kinds, freq, random_state
        As of :func:`tsanomaly.datasets.make_sensor_data`.
    output_dir, plots, progress
        See above.
    """
    from tsanomaly.datasets import make_sensor_data
    from tsanomaly.plotting import SeriesDisplay

    check_step(freq)
    progress("simulating")
    plant = make_sensor_data(
        n_samples,
        n_sensors,
        contamination=contamination,
        kinds=kinds,
        freq=freq,
        random_state=random_state,
    )
    progress("writing")
    folder = make_folder(output_dir)
    table = plant.frame.assign(anomaly=plant.target)
    files = [
        write_table(folder / "plant.csv", table, index_label="timestamp"),
        write_table(folder / "plant_events.csv", plant.events, index=False),
    ]
    if plots:
        progress("drawing")
        channels = list(range(min(n_sensors, N_DRAWN_CHANNELS)))
        display = SeriesDisplay.from_series(
            plant.frame, plant.target, channels=channels
        )
        files.append(write_figure(folder / "plant.png", display.figure_))
    result = {
        "rows": len(table),
        "sensors": n_sensors,
        "anomalous_rows": int(plant.target.sum()),
        "events": len(plant.events),
    }
    text = (
        f"{len(table):,} rows of {n_sensors} sensors, "
        f"{plant.target.sum():,} rows anomalous; events: {len(plant.events)}"
    )
    return _finish(result, text, files)


def explore(
    csv, *, read_params, columns=None, output_dir=_RESULTS, plots=True, progress
):
    """Say and draw what a file holds.

    Parameters
    ----------
    csv, read_params, columns, output_dir, plots, progress
        See above.
    """
    from tsanomaly import sensor_health

    frame, labels = read(csv, read_params, columns=columns, progress=progress)
    folder = make_folder(output_dir)
    progress("summarising")
    summary = summarise(frame, labels)
    progress("looking at the sensors")
    findings = sensor_health(frame)
    text = f"{describe(summary)}\n\n"
    text += list_findings(findings, _N_FINDINGS, "sensor_health.csv")
    summary["sensor_health"] = plain(findings)
    files = [
        write_json(folder / "summary.json", summary),
        write_table(folder / "sensor_health.csv", findings, index=False),
    ]
    if plots:
        progress("drawing")
        if (shown := shown_readings(frame)) != "all channels":
            warning = ParameterWarning(
                f"Pictures of readings and spectra show {shown}. Choose others with ",
                Parameter("columns"),
                ".",
            )
            warnings.warn(warning, stacklevel=2)
        files += [
            write_figure(folder / f"{name}.png", figure)
            for name, figure in draw_readings(frame, labels).items()
        ]
    return _finish(summary, text, files)


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
    output_dir=_RESULTS,
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
            findings, _N_FINDINGS_SHORT, "training.json", " of the training rows"
        )
    return _finish(result, text, files)


def detect(
    model,
    csv,
    *,
    read_params,
    alarm_params,
    fill=False,
    threshold=None,
    quantile=None,
    k=None,
    n_channels=3,
    output_dir=_RESULTS,
    plots=True,
    progress,
):
    """Score readings with a model.

    Parameters
    ----------
    model, csv, read_params, fill, threshold, quantile, k, alarm_params, n_channels, \
            output_dir, plots, progress
        See above.
    """
    detector, frame, labels = read_both(
        model, csv, read_params, fill=fill, progress=progress
    )
    folder = make_folder(output_dir)
    detector = with_threshold(detector, model, quantile=quantile, k=k)
    found = run_model(
        detector,
        frame,
        threshold=threshold,
        alarm_params=alarm_params,
        n_channels=n_channels,
        progress=progress,
    )
    table = predictions(frame, found)
    files = [
        write_table(folder / "predictions.csv", table, **row_label(frame)),
        write_alarms(folder / "alarms.csv", found.alarms),
    ]
    if plots:
        progress("drawing")
        figure = draw_anomalies(frame, found, labels)
        files.append(write_figure(folder / "anomalies.png", figure))
    result = {
        "rows": len(frame),
        "threshold": found.threshold,
        "flagged_rows": int(found.flagged.sum()),
        "alarms": len(found.alarms),
        "drifted": found.drifted,
    }
    text = (
        f"{result['flagged_rows']:,} of {len(frame):,} rows are above the threshold "
        f"{found.threshold:.6g}; alarms: {len(found.alarms):,}"
    )
    worst = found.alarms.nlargest(_MOST_TOLD, "severity")
    text += "".join(
        f"\n{alarm.priority} ({alarm.severity:.0f}): {visible(alarm.sentence)}"
        for alarm in worst.itertuples()
    )
    if len(found.alarms) > len(worst):
        text += f"\nand {len(found.alarms) - len(worst):,} less severe, in alarms.csv"
    if found.drifted:
        text += (
            "\nthe last rows no longer look like the training rows: most errors are "
            "closer to the threshold than usual. Train again on recent rows."
        )
    return _finish(result, text, files)


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
    output_dir=_RESULTS,
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
    return _finish(result, _align(result), files)


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
    output_dir=_RESULTS,
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
    return _finish(result, text, files)


def explain(
    model,
    csv,
    *,
    read_params,
    alarm_params,
    fill=False,
    threshold=None,
    quantile=None,
    k=None,
    n_channels=3,
    output_dir=_RESULTS,
    plots=True,
    progress,
):
    """Say what is abnormal.

    Parameters
    ----------
    model, csv, read_params, fill, threshold, quantile, k, alarm_params, n_channels, \
            output_dir, plots, progress
        See above.
    """
    from tsanomaly.plotting import ReconstructionDisplay

    detector, frame, labels = read_both(
        model, csv, read_params, fill=fill, progress=progress
    )
    folder = make_folder(output_dir)
    detector = with_threshold(detector, model, quantile=quantile, k=k)
    found = run_model(
        detector,
        frame,
        threshold=threshold,
        alarm_params=alarm_params,
        n_channels=n_channels,
        progress=progress,
    )
    files = [write_alarms(folder / "alarms.csv", found.alarms)]
    if plots:
        progress("drawing")
        figure = draw_contributions(frame, found, labels)
        if figure is not None:
            files.append(write_figure(folder / "contributions.png", figure))
        if reconstructs(detector):
            display = ReconstructionDisplay.from_estimator(
                detector, frame, labels, channels=main_channels(found)
            )
            files.append(write_figure(folder / "reconstruction.png", display.figure_))
    sentences = found.alarms["sentence"].map(visible).tolist()
    result = {"alarms": plain(found.alarms)}
    return _finish(result, "\n".join(sentences) or "There is no alarm.", files)


def report(
    model,
    csv,
    *,
    read_params,
    alarm_params,
    fill=False,
    threshold=None,
    quantile=None,
    k=None,
    n_channels=3,
    train_fraction=0.0,
    title=None,
    output_dir=_RESULTS,
    plots=True,
    progress,
):
    """Write one page of all that is known.

    Parameters
    ----------
    title : str or None
        The heading; None names the file of the readings.
    model, csv, read_params, fill, threshold, quantile, k, alarm_params, n_channels, \
            train_fraction, output_dir, plots, progress
        See above.
    """
    from tsanomaly._cli._report import make_page

    detector, frame, labels, manifest = read_described(
        model, csv, read_params, fill=fill, progress=progress
    )
    folder = make_folder(output_dir)
    detector = with_threshold(detector, model, quantile=quantile, k=k)
    found = run_model(
        detector,
        frame,
        threshold=threshold,
        alarm_params=alarm_params,
        n_channels=n_channels,
        progress=progress,
    )
    page = make_page(
        detector,
        frame,
        labels,
        found,
        csv=csv,
        model=model,
        manifest=manifest,
        title=title,
        train_fraction=train_fraction,
        plots=plots,
        progress=progress,
    )
    file = write_file(folder / "report.html", page.encode())
    result = {
        "rows": len(frame),
        "flagged_rows": int(found.flagged.sum()),
        "alarms": len(found.alarms),
    }
    text = f"rows: {len(frame):,}; alarms: {len(found.alarms):,}"
    return _finish(result, text, [file])


def demo(*, output_dir=Path("tsanomaly-demo"), progress):
    """Compare detectors on the data inside the package.

    Parameters
    ----------
    output_dir, progress
        See above.
    """
    from tsanomaly._cli._demo import format_table, run_demo

    folder = make_folder(output_dir)

    def show(text):
        progress.keep(text)
        progress("training and scoring")

    table = run_demo(folder, progress=show)
    place = visible(folder.resolve())
    text = f"\n{format_table(table)}\n\nResults are in {place}"
    return table.to_dict("records"), text


def _finish(result, text, files):
    written = [str(file) for file in files]
    lines = "\n".join(f"  {visible(file)}" for file in written)
    return {**plain(result), "files": written}, f"{text}\n\nwritten:\n{lines}"


def _align(result):
    width = max(map(len, result))
    return "\n".join(
        f"{name:{width}}  {'undefined' if value is None else f'{value:.6g}'}"
        for name, value in result.items()
    )
