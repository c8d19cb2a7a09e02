# SPDX-License-Identifier: MIT
"""What the commands do: read, call the library, write files.

Each takes the parsed arguments and a function to tell progress, and returns the result
twice: as what JSON can hold, and as text.
"""

from time import perf_counter

import numpy as np

from tsanomaly._command_files import (
    make_folder,
    needed,
    plain,
    read,
    read_both,
    row_label,
    write_events,
    write_figure,
    write_file,
    write_json,
    write_table,
)
from tsanomaly._command_models import (
    Detection,
    build,
    predictions,
    reconstructs,
    run_model,
    score,
    settings,
    with_threshold,
)
from tsanomaly._command_numbers import (
    count,
    describe,
    measure,
    n_trained,
    rows_to_judge,
    summarise,
)
from tsanomaly._command_pictures import (
    N_DRAWN_CHANNELS,
    draw_anomalies,
    draw_contributions,
    draw_measures,
    main_channels,
)

__all__ = [
    "compare",
    "detect",
    "evaluate",
    "explain",
    "explore",
    "generate",
    "report",
    "train",
]

# To train on. With less, what is usual cannot be told from what is not.
_FEWEST_ROWS = 10


def generate(arguments, progress):
    """Simulate a plant."""
    from tsanomaly.datasets import make_sensor_data
    from tsanomaly.plotting import SeriesDisplay

    _check_step(arguments.freq)
    progress("simulating")
    plant = make_sensor_data(
        arguments.rows,
        arguments.sensors,
        contamination=arguments.contamination,
        kinds=arguments.kinds,
        freq=arguments.freq,
        random_state=arguments.seed,
    )
    progress("writing")
    folder = make_folder(arguments)
    table = plant.frame.assign(anomaly=plant.target)
    files = [
        write_table(folder / "plant.csv", table, index_label="timestamp"),
        write_table(folder / "plant_events.csv", plant.events, index=False),
    ]
    if not arguments.no_plots:
        channels = list(range(min(arguments.sensors, N_DRAWN_CHANNELS)))
        display = SeriesDisplay.from_series(
            plant.frame, plant.target, channels=channels
        )
        files.append(write_figure(folder / "plant.png", display.figure_))
    result = {
        "rows": len(table),
        "sensors": arguments.sensors,
        "anomalous_rows": int(plant.target.sum()),
        "events": len(plant.events),
    }
    text = (
        f"{len(table):,} rows of {arguments.sensors} sensors, "
        f"{plant.target.sum():,} rows anomalous; events: {len(plant.events)}"
    )
    return _finish(result, text, files)


def explore(arguments, progress):
    """Say and draw what a file holds."""
    from tsanomaly.plotting import CorrelationDisplay, SeriesDisplay, SpectrumDisplay

    frame, labels = read(arguments, progress)
    folder = make_folder(arguments)
    summary = summarise(frame, labels)
    files = [write_json(folder / "summary.json", summary)]
    if not arguments.no_plots:
        progress("drawing")
        display = SeriesDisplay.from_series(frame, labels)
        files.append(write_figure(folder / "series.png", display.figure_))
        display = CorrelationDisplay.from_series(frame)
        files.append(write_figure(folder / "correlation.png", display.figure_))
        if len(frame) >= 16:
            display = SpectrumDisplay.from_series(frame)
            files.append(write_figure(folder / "spectrum.png", display.figure_))
    return _finish(summary, describe(summary), files)


def train(arguments, progress):
    """Train a detector, and say what it flags."""
    import pandas as pd

    from tsanomaly import save
    from tsanomaly._inspection import errors_and_threshold
    from tsanomaly.plotting import ErrorDistributionDisplay, TrainingHistoryDisplay

    frame, labels = read(arguments, progress)
    folder = make_folder(arguments)
    n_train = n_trained(frame, arguments.train_fraction)
    _check_training_rows(n_train, frame, arguments)
    y = None
    if arguments.threshold_method == "f_score":
        y = needed(labels)[:n_train]
    progress(f"training {arguments.detector} on {n_train:,} rows")
    model = build(arguments.detector, arguments)
    start = perf_counter()
    model.fit(frame[:n_train], y)
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
        "detector": arguments.detector,
        "channels": list(map(str, frame.columns)),
        "train_rows": n_train,
        "test_rows": len(frame) - n_train,
        "threshold": threshold,
        "flagged_train_rows": int(flagged[:n_train].sum()),
        "flagged_test_rows": int(flagged[n_train:].sum()),
        "fit_seconds": round(seconds, 3),
        "settings": settings(model),
    }
    files = [
        file,
        write_table(folder / "predictions.csv", table, **row_label(frame)),
        write_json(folder / "training.json", result),
    ]
    if not arguments.no_plots:
        progress("drawing")
        if np.isfinite(errors[n_train:]).any():
            display = ErrorDistributionDisplay.from_predictions(
                errors[:n_train], errors[n_train:], threshold=threshold
            )
            files.append(write_figure(folder / "errors.png", display.figure_))
        if arguments.detector == "lstm":
            display = TrainingHistoryDisplay.from_estimator(model)
            files.append(write_figure(folder / "history.png", display.figure_))
    text = (
        f"{arguments.detector} trained on {n_train:,} rows of "
        f"{count(frame.shape[1], 'channel')} in {seconds:.1f} s\n"
        f"threshold {threshold:.6g}: {result['flagged_train_rows']:,} of the "
        f"training rows are flagged, and {result['flagged_test_rows']:,} of "
        f"{result['test_rows']:,} others"
    )
    return _finish(result, text, files)


def detect(arguments, progress):
    """Score readings with a model."""
    model, frame, labels = read_both(arguments, progress)
    folder = make_folder(arguments)
    model, found = run_model(model, frame, arguments, progress)
    table = predictions(frame, found)
    files = [
        write_table(folder / "predictions.csv", table, **row_label(frame)),
        write_events(folder / "events.csv", found.events),
    ]
    if not arguments.no_plots:
        progress("drawing")
        figure = draw_anomalies(frame, found, labels)
        files.append(write_figure(folder / "anomalies.png", figure))
    result = {
        "rows": len(frame),
        "threshold": found.threshold,
        "flagged_rows": int(found.flagged.sum()),
        "events": len(found.events),
    }
    text = (
        f"{result['flagged_rows']:,} of {len(frame):,} rows are above the threshold "
        f"{found.threshold:.6g}; events: {len(found.events):,}"
    )
    return _finish(result, text, files)


def evaluate(arguments, progress):
    """Judge a model by labels."""
    model, frame, labels = read_both(arguments, progress)
    labels = needed(labels)
    folder = make_folder(arguments)
    model = with_threshold(model, arguments)
    progress(f"scoring {len(frame):,} rows")
    errors, threshold, flagged = score(model, frame, arguments)
    progress("measuring")
    judged = rows_to_judge(frame, errors, arguments.train_fraction)
    result = measure(frame[judged], errors[judged], flagged[judged], labels[judged])
    result["threshold"] = threshold
    files = [write_json(folder / "evaluation.json", result)]
    if not arguments.no_plots:
        progress("drawing")
        rest = slice(n_trained(frame, arguments.train_fraction), None)
        found = Detection(
            errors[rest],
            threshold,
            flagged[rest],
            np.empty((len(errors[rest]), 0)),
            None,
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


def compare(arguments, progress):
    """Compare detectors on one file."""
    from tsanomaly import compare_detectors
    from tsanomaly.plotting import ComparisonDisplay

    frame, labels = read(arguments, progress)
    labels = needed(labels)
    folder = make_folder(arguments)
    n_train = n_trained(frame, arguments.train_fraction)
    _check_training_rows(n_train, frame, arguments)
    if n_train == len(frame):
        raise ValueError(
            "No row is left to compare detectors on. Lower --train-fraction."
        )
    if arguments.threshold_method == "f_score":
        raise ValueError(
            "--threshold-method f_score needs labels in training, and detectors are "
            "compared without. Choose another."
        )
    names = list(dict.fromkeys(arguments.detectors))
    progress("comparing")
    table = compare_detectors(
        {name: build(name, arguments) for name in names},
        frame[:n_train],
        frame[n_train:],
        labels[n_train:],
        random_state=arguments.seed,
    )
    failed = table["error"][table["error"] != ""]
    if len(failed) == len(table):
        raise ValueError(f"All detectors failed. The first: {failed.iloc[0]}")
    files = [write_table(folder / "comparison.csv", table, index_label="detector")]
    if not arguments.no_plots:
        progress("drawing")
        display = ComparisonDisplay.from_table(table)
        files.append(write_figure(folder / "comparison.png", display.figure_))
    shown = table.drop(columns="error").round(3)
    text = shown.to_string(na_rep="")
    text += "".join(f"\n{name} failed: {error}" for name, error in failed.items())
    result = {"detectors": plain(table.reset_index(names="detector"))}
    return _finish(result, text, files)


def explain(arguments, progress):
    """Say what is abnormal."""
    from tsanomaly.plotting import ReconstructionDisplay

    model, frame, labels = read_both(arguments, progress)
    folder = make_folder(arguments)
    model, found = run_model(model, frame, arguments, progress)
    files = [write_events(folder / "events.csv", found.events)]
    if not arguments.no_plots:
        progress("drawing")
        figure = draw_contributions(frame, found, labels)
        if figure is not None:
            files.append(write_figure(folder / "contributions.png", figure))
        if reconstructs(model):
            display = ReconstructionDisplay.from_estimator(
                model, frame, labels, channels=main_channels(found)
            )
            files.append(write_figure(folder / "reconstruction.png", display.figure_))
    sentences = found.events["sentence"].tolist()
    result = {"events": plain(found.events)}
    return _finish(result, "\n".join(sentences) or "Nothing is flagged.", files)


def report(arguments, progress):
    """Write one page of all that is known."""
    from tsanomaly._report import make_page

    model, frame, labels = read_both(arguments, progress)
    folder = make_folder(arguments)
    model, found = run_model(model, frame, arguments, progress)
    page = make_page(arguments, model, frame, labels, found, progress)
    file = write_file(folder / "report.html", page.encode())
    result = {
        "rows": len(frame),
        "flagged_rows": int(found.flagged.sum()),
        "events": len(found.events),
    }
    text = f"rows: {len(frame):,}; events: {len(found.events):,}"
    return _finish(result, text, [file])


def _check_step(text):
    """Raise unless a text is the time from row to row."""
    import pandas as pd
    from pandas.tseries.frequencies import to_offset

    start = pd.Timestamp("2024-01-01")
    try:
        moves = start + to_offset(text) > start
    except ValueError as error:
        moves, cause = False, error
    else:
        cause = None
    if not moves:
        raise ValueError(
            f"--freq {text} is no time between rows. Pass one such as 30s, 1min or 1h."
        ) from cause


def _check_training_rows(n_train, frame, arguments):
    """Raise if there is too little to learn from."""
    needed_rows = max(_FEWEST_ROWS, arguments.window_size or 0)
    if n_train < needed_rows:
        raise ValueError(
            f"{n_train:,} of the {len(frame):,} rows of {arguments.csv} are to train "
            f"on, and at least {needed_rows:,} are needed, a whole window among them. "
            "Pass more rows, raise --train-fraction, or lower --window-size."
        )


def _finish(result, text, files):
    written = [str(file) for file in files]
    lines = "\n".join(f"  {file}" for file in written)
    return {**plain(result), "files": written}, f"{text}\n\nwritten:\n{lines}"


def _align(result):
    width = max(map(len, result))
    return "\n".join(
        f"{name:{width}}  {'undefined' if value is None else f'{value:.6g}'}"
        for name, value in result.items()
    )
