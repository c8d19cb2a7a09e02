# SPDX-License-Identifier: MIT
"""What the commands do: read, call the library, write files.

Each takes the parsed arguments and a function to tell progress, and returns the result
twice: as what JSON can hold, and as text.
"""

import io
import sys
from copy import copy
from time import perf_counter
from typing import NamedTuple

import numpy as np

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

# Channels in pictures of readings, at most: those that matter most.
N_DRAWN_CHANNELS = 8

# Correlations that are worth a line.
_STRONG = 0.9


class Detection(NamedTuple):
    """What a model says of a series.

    Errors are NaN at breaks; contributions are NaN in rows that were not split.
    """

    errors: np.ndarray  # (n_timestamps,)
    threshold: float
    flagged: np.ndarray  # (n_timestamps,)
    contributions: np.ndarray  # (n_timestamps, n_channels)
    events: object  # a frame, as from `explain`, with errors instead of scores


def generate(arguments, progress):
    """Simulate a plant."""
    from tsanomaly.datasets import make_sensor_data
    from tsanomaly.plotting import SeriesDisplay

    folder = _make_folder(arguments)
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
    table = plant.frame.assign(anomaly=plant.target)
    files = [
        _write_table(folder / "plant.csv", table, index_label="timestamp"),
        _write_table(folder / "plant_events.csv", plant.events, index=False),
    ]
    if not arguments.no_plots:
        channels = list(range(min(arguments.sensors, N_DRAWN_CHANNELS)))
        display = SeriesDisplay.from_series(
            plant.frame, plant.target, channels=channels
        )
        files.append(_write_figure(folder / "plant.png", display.figure_))
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

    folder = _make_folder(arguments)
    frame, labels = read(arguments, progress)
    summary = summarise(frame, labels)
    files = [_write_json(folder / "summary.json", summary)]
    if not arguments.no_plots:
        progress("drawing")
        display = SeriesDisplay.from_series(frame, labels)
        files.append(_write_figure(folder / "series.png", display.figure_))
        display = CorrelationDisplay.from_series(frame)
        files.append(_write_figure(folder / "correlation.png", display.figure_))
        if len(frame) >= 16:
            display = SpectrumDisplay.from_series(frame)
            files.append(_write_figure(folder / "spectrum.png", display.figure_))
    return _finish(summary, _describe(summary), files)


def train(arguments, progress):
    """Train a detector, and say what it flags."""
    import pandas as pd

    from tsanomaly import save
    from tsanomaly._calibration import errors_and_threshold
    from tsanomaly.plotting import ErrorDistributionDisplay, TrainingHistoryDisplay

    folder = _make_folder(arguments)
    frame, labels = read(arguments, progress)
    n_train = _n_trained(frame, arguments.train_fraction)
    y = None
    if arguments.threshold_method == "f_score":
        y = _needed(labels)[:n_train]
    progress(f"training {arguments.detector} on {n_train:,} rows")
    # Keras shows its bars on the standard output.
    shown = progress.shown and sys.stdout.isatty()
    model = build(arguments.detector, arguments, verbose=shown)
    start = perf_counter()
    model.fit(frame[:n_train], y)
    seconds = perf_counter() - start
    _silence(model)
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
        _write_table(folder / "predictions.csv", table, **_row_label(frame)),
        _write_json(folder / "training.json", result),
    ]
    if not arguments.no_plots:
        progress("drawing")
        if np.isfinite(errors[n_train:]).any():
            display = ErrorDistributionDisplay.from_predictions(
                errors[:n_train], errors[n_train:], threshold=threshold
            )
            files.append(_write_figure(folder / "errors.png", display.figure_))
        if arguments.detector == "lstm":
            display = TrainingHistoryDisplay.from_estimator(model)
            files.append(_write_figure(folder / "history.png", display.figure_))
    text = (
        f"{arguments.detector} trained on {n_train:,} rows of {frame.shape[1]} channels"
        f" in {seconds:.1f} s\nthreshold {threshold:.6g}: "
        f"{result['flagged_train_rows']:,} of the training rows are flagged, and "
        f"{result['flagged_test_rows']:,} of {result['test_rows']:,} others"
    )
    return _finish(result, text, files)


def detect(arguments, progress):
    """Score readings with a model."""
    folder = _make_folder(arguments)
    model, frame, labels = _read_both(arguments, progress)
    model, found = run_model(model, frame, arguments, progress)
    table = _predictions(frame, found)
    files = [
        _write_table(folder / "predictions.csv", table, **_row_label(frame)),
        _write_events(folder / "events.csv", found.events),
    ]
    if not arguments.no_plots:
        progress("drawing")
        figure = draw_anomalies(frame, found, labels)
        files.append(_write_figure(folder / "anomalies.png", figure))
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
    folder = _make_folder(arguments)
    model, frame, labels = _read_both(arguments, progress)
    labels = _needed(labels)
    model = with_threshold(model, arguments)
    progress(f"scoring {len(frame):,} rows")
    errors, threshold, flagged = _score(model, frame, arguments)
    progress("measuring")
    judged = rows_to_judge(frame, errors, arguments.train_fraction)
    result = measure(frame[judged], errors[judged], flagged[judged], labels[judged])
    result["threshold"] = threshold
    files = [_write_json(folder / "evaluation.json", result)]
    if not arguments.no_plots:
        progress("drawing")
        rest = slice(_n_trained(frame, arguments.train_fraction), None)
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
            _write_figure(folder / f"{name}.png", figure)
            for name, figure in figures.items()
        ]
    return _finish(result, _align(result), files)


def compare(arguments, progress):
    """Compare detectors on one file."""
    from tsanomaly import compare_detectors
    from tsanomaly.plotting import ComparisonDisplay

    folder = _make_folder(arguments)
    frame, labels = read(arguments, progress)
    labels = _needed(labels)
    n_train = _n_trained(frame, arguments.train_fraction)
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
        progress=progress.shown and _has_tqdm(),
    )
    failed = table["error"][table["error"] != ""]
    if len(failed) == len(table):
        raise ValueError(f"All detectors failed. The first: {failed.iloc[0]}")
    files = [_write_table(folder / "comparison.csv", table, index_label="detector")]
    if not arguments.no_plots:
        progress("drawing")
        display = ComparisonDisplay.from_table(table)
        files.append(_write_figure(folder / "comparison.png", display.figure_))
    shown = table.drop(columns="error").round(3)
    text = shown.to_string(na_rep="")
    text += "".join(f"\n{name} failed: {error}" for name, error in failed.items())
    result = {"detectors": _plain(table.reset_index(names="detector"))}
    return _finish(result, text, files)


def explain(arguments, progress):
    """Say what is abnormal."""
    from tsanomaly.plotting import ReconstructionDisplay

    folder = _make_folder(arguments)
    model, frame, labels = _read_both(arguments, progress)
    model, found = run_model(model, frame, arguments, progress)
    files = [_write_events(folder / "events.csv", found.events)]
    if not arguments.no_plots:
        progress("drawing")
        figure = draw_contributions(frame, found, labels)
        if figure is not None:
            files.append(_write_figure(folder / "contributions.png", figure))
        if reconstructs(model):
            display = ReconstructionDisplay.from_estimator(
                model, frame, labels, channels=main_channels(found)
            )
            files.append(_write_figure(folder / "reconstruction.png", display.figure_))
    sentences = found.events["sentence"].tolist()
    result = {"events": _plain(found.events)}
    return _finish(result, "\n".join(sentences) or "Nothing is flagged.", files)


def report(arguments, progress):
    """Write one page of all that is known."""
    from tsanomaly._report import make_page

    folder = _make_folder(arguments)
    model, frame, labels = _read_both(arguments, progress)
    model, found = run_model(model, frame, arguments, progress)
    page = make_page(arguments, model, frame, labels, found, progress)
    file = _write(folder / "report.html", page.encode())
    result = {
        "rows": len(frame),
        "flagged_rows": int(found.flagged.sum()),
        "events": len(found.events),
    }
    text = f"rows: {len(frame):,}; events: {len(found.events):,}"
    return _finish(result, text, [file])


# Reading


def read(arguments, progress, columns=None):
    """Readings, and labels if there are any."""
    from tsanomaly.datasets import read_sensor_csv

    progress(f"reading {arguments.csv}")
    options = {
        name: value
        for name in ("drop", "sep", "decimal", "date_format")
        if (value := getattr(arguments, name)) is not None
    }
    for name in ("timestamp", "label"):
        value = getattr(arguments, name)
        if value is not None:
            options[name] = None if value == "none" else value
    frame, labels = read_sensor_csv(arguments.csv, return_labels=True, **options)
    columns = getattr(arguments, "columns", columns)
    if columns is not None:
        missing = [name for name in columns if name not in frame]
        if missing:
            raise ValueError(
                f"{arguments.csv} has no sensor {', '.join(map(repr, missing))}. It "
                f"has {', '.join(map(repr, frame.columns))}."
            )
        frame = frame[list(columns)]
    return frame, labels.iloc[:, 0].to_numpy() if labels.shape[1] else None


def _read_both(arguments, progress):
    """The model, and the readings of its channels."""
    from tsanomaly import load

    progress(f"loading {arguments.model}")
    try:
        model = load(arguments.model)
    except TypeError as error:  # types that are not known
        raise ValueError(str(error)) from error
    names = getattr(model, "feature_names_in_", None)
    frame, labels = read(arguments, progress, names)
    return model, frame, labels


def _needed(labels):
    if labels is None:
        raise ValueError(
            "The file has no labels. Name their column with --label; they are 1 for an "
            "anomaly and 0 for a normal row."
        )
    return labels


def _n_trained(frame, fraction):
    return round(fraction * len(frame))


def rows_to_judge(frame, errors, fraction):
    """Rows that measures count: not trained on, and with a score."""
    judged = np.isfinite(errors) & (
        np.arange(len(frame)) >= _n_trained(frame, fraction)
    )
    if not judged.any():
        raise ValueError("No row is left to judge. Lower --train-fraction.")
    return judged


# Models


def build(name, arguments, *, verbose=False):
    """An unfitted pipeline that ends in a threshold, by the name of its detector."""
    from sklearn.decomposition import PCA
    from sklearn.ensemble import IsolationForest
    from sklearn.neighbors import LocalOutlierFactor
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

    from tsanomaly import (
        HybridDetector,
        LSTMAutoencoderDetector,
        ReconstructionError,
        ReconstructionThreshold,
        ScoreTransformer,
        WindowTransformer,
    )

    scalers = {
        "standard": StandardScaler,
        "minmax": MinMaxScaler,
        "robust": RobustScaler,
    }
    steps = []
    if arguments.scaler != "none":
        steps.append(("scale", scalers[arguments.scaler]()))
    seed = arguments.seed
    if name in ("lstm", "hybrid"):
        network = LSTMAutoencoderDetector(random_state=seed, verbose=int(verbose))
        network.set_params(**_network_options(arguments))
        errors = network
        if name == "hybrid":
            cascade = HybridDetector(detector=network, random_state=seed)
            errors = ScoreTransformer(cascade, calibrate=None)
    else:
        steps.append(("window", WindowTransformer(arguments.window_size or 10)))
        errors = {
            "iforest": ScoreTransformer(
                IsolationForest(random_state=seed), calibrate=None
            ),
            "lof": ScoreTransformer(LocalOutlierFactor(novelty=True), calibrate=None),
            "pca": ReconstructionError(PCA(0.9, random_state=seed)),
        }[name]
    options = {
        key: value
        for key in ("quantile", "k")
        if (value := getattr(arguments, key)) is not None
    }
    threshold = ReconstructionThreshold(arguments.threshold_method, **options)
    return Pipeline([*steps, ("errors", errors), ("threshold", threshold)])


def _network_options(arguments):
    options = {
        name: value
        for name in ("window_size", "epochs", "batch_size")
        if (value := getattr(arguments, name)) is not None
    }
    if arguments.units is not None:
        options["units"] = tuple(arguments.units)
    if arguments.latent_dim is not None:
        options["latent_dim"] = arguments.latent_dim or None
    return options


def _silence(model):
    """No file depends on whether a terminal showed its training."""
    for name, value in model.get_params().items():
        if name.endswith("verbose") and value:
            model.set_params(**{name: 0})


def settings(model):
    """What a model is made of: the parameters of each step, in words."""
    from sklearn.pipeline import Pipeline

    steps = model.steps if isinstance(model, Pipeline) else [("detector", model)]
    return {
        name: " ".join(repr(step).split())  # on one line
        for name, step in steps
    }


def reconstructs(model):
    """Whether a model's errors are differences between readings and others."""
    from tsanomaly import LSTMAutoencoderDetector, ReconstructionError
    from tsanomaly._attribution import fitted_steps

    kinds = (LSTMAutoencoderDetector, ReconstructionError)
    return any(isinstance(step, kinds) for step in fitted_steps(model))


def with_threshold(model, arguments):
    """The model with the threshold that was asked for, set on its training errors."""
    from sklearn.base import clone
    from sklearn.pipeline import Pipeline

    if arguments.quantile is not None:
        wanted = {"method": "quantile", "quantile": arguments.quantile}
    elif arguments.k is not None:
        wanted = {"method": "sigma", "k": arguments.k}
    else:
        return model
    last = model[-1] if isinstance(model, Pipeline) else model
    errors = getattr(last, "training_errors_", None)
    if errors is None:
        raise ValueError(
            f"{arguments.model} keeps no errors of its training rows to set another "
            "threshold on, since it does not end in a ReconstructionThreshold. Pass "
            "--threshold, or train the model with this command."
        )
    other = clone(last).set_params(**wanted).fit(errors.reshape(len(errors), -1))
    last = copy(last).set_params(**wanted)
    last.threshold_, last.offset_ = other.threshold_, other.offset_
    if not isinstance(model, Pipeline):
        return last
    return Pipeline([*model.steps[:-1], (model.steps[-1][0], last)])


def _score(model, frame, arguments):
    """Errors, the threshold, and what lies above it."""
    from tsanomaly._calibration import errors_and_threshold
    from tsanomaly._validation import find_breaks

    errors, threshold = errors_and_threshold(model, frame)
    errors[find_breaks(frame)] = np.nan
    if arguments.threshold is not None:
        threshold = arguments.threshold
    return errors, threshold, errors > threshold


def run_model(model, frame, arguments, progress):
    """The model with its threshold, and what it says of readings."""
    from tsanomaly import explain
    from tsanomaly._attribution import channel_errors, occlude

    model = with_threshold(model, arguments)
    progress(f"scoring {len(frame):,} rows")
    errors, threshold, flagged = _score(model, frame, arguments)
    progress(f"explaining {flagged.sum():,} rows")
    # Where channels are found by trying, only for the rows that matter.
    split = np.isfinite(errors) if reconstructs(model) else flagged
    rows = np.flatnonzero(split)
    contributions = np.full(frame.shape, np.nan)
    if len(rows):
        parts = channel_errors(model, frame, rows, ~flagged)
        if parts is None:
            rows = np.flatnonzero(flagged)
            parts = occlude(model, frame, rows, ~flagged)
        contributions[rows] = parts
    events = explain(
        model,
        frame,
        flagged=flagged,
        attribution=lambda detector, X, rows: np.nan_to_num(contributions[rows]),
        n_channels=arguments.channels,
        max_gap=arguments.max_gap,
    )
    events["score"] = -events["score"]  # higher = worse, as in the other files
    return model, Detection(errors, threshold, flagged, contributions, events)


def _predictions(frame, found):
    import pandas as pd

    shares = np.nan_to_num(found.contributions)
    names = np.append(frame.columns.to_numpy(dtype=object), "")
    top = np.where(shares.max(axis=1) > 0, shares.argmax(axis=1), -1)
    return pd.DataFrame(
        {
            "score": found.errors,
            "flag": found.flagged.astype(int),
            "top_channel": names[top],
        },
        index=frame.index,
    )


# Measures


def measure(frame, errors, flagged, labels):
    """Measures of scores and flags, by name."""
    import pandas as pd
    from sklearn.metrics import (
        average_precision_score,
        confusion_matrix,
        precision_recall_fscore_support,
        roc_auc_score,
    )

    from tsanomaly import metrics

    flags = flagged.astype(int)
    normal, alarms, missed, found = confusion_matrix(
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
        "false_positives": int(alarms),
        "false_negatives": int(missed),
        "true_negatives": int(normal),
        "precision": precision,
        "recall": recall,
        "f1": f1,
    }
    if len(np.unique(labels)) == 2:
        event = metrics.event_precision_recall_fscore(labels, flags)
        affiliation = metrics.affiliation_precision_recall_fscore(labels, flags)
        result |= {
            "roc_auc": roc_auc_score(labels, errors),
            "average_precision": average_precision_score(labels, errors),
            "vus_pr": metrics.vus_pr(labels, errors),
            "vus_roc": metrics.vus_roc(labels, errors),
            **_triple("event", event),
            **_triple("affiliation", affiliation),
        }
    if isinstance(frame.index, pd.DatetimeIndex):
        delay = metrics.detection_delay(labels, flags, times=frame.index)
        result["median_delay_seconds"] = delay.median.total_seconds()
        result["false_alarms_per_day"] = metrics.false_alarms_per_day(
            labels, flags, times=frame.index
        )
    return _plain(result)


def _triple(name, values):
    return {
        f"{name}_{kind}": value
        for kind, value in zip(("precision", "recall", "fscore"), values, strict=True)
    }


# Summaries


def summarise(frame, labels):
    """What a file holds: rows, times, gaps, channels, correlations, labels."""
    import pandas as pd

    from tsanomaly._validation import find_breaks, median_step

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
    correlation = frame.loc[:, ~constant].corr()
    pairs = correlation.where(np.triu(np.ones(correlation.shape, bool), 1)).stack()
    pairs = pairs[pairs.abs() >= _STRONG].sort_values(key=abs, ascending=False)
    result["strong_correlations"] = [
        {"channels": list(pair), "correlation": value} for pair, value in pairs.items()
    ]
    result["anomalous_rows"] = None if labels is None else int(labels.sum())
    result["per_channel"] = {
        name: row.to_dict() for name, row in table.astype(float).iterrows()
    }
    return _plain(result)


def _describe(summary):
    """A summary as text."""
    import pandas as pd

    lines = [
        f"{summary['rows']:,} rows of {summary['channels']} channels, "
        f"{summary['start']} to {summary['end']}"
    ]
    if summary["step"] is not None:
        lines.append(f"a row every {summary['step']}")
    if summary["gaps"]:
        lines.append(
            f"{summary['gaps']:,} gaps in time, the longest {summary['longest_gap']}"
        )
    lines.append(f"{summary['missing_readings']:,} readings missing")
    if summary["constant_channels"]:
        lines.append(f"constant: {', '.join(summary['constant_channels'])}")
    lines += [
        f"{' and '.join(pair['channels'])}: correlation {pair['correlation']:.2f}"
        for pair in summary["strong_correlations"]
    ]
    if summary["anomalous_rows"] is not None:
        lines.append(f"{summary['anomalous_rows']:,} rows labelled anomalous")
    table = pd.DataFrame(summary["per_channel"]).T
    table["missing"] = table["missing"].astype(int)
    return "\n".join([*lines, "", table.to_string(float_format="{:.4g}".format)])


# Pictures


def main_channels(found):
    """Positions of the channels to draw, those with most of the error."""
    n_channels = found.contributions.shape[1]
    rows = found.flagged if found.flagged.any() else np.ones_like(found.flagged)
    share = np.nan_to_num(found.contributions[rows]).sum(axis=0)
    most = np.argsort(-share, kind="stable")[: min(n_channels, N_DRAWN_CHANNELS)]
    return np.sort(most).tolist()


def draw_anomalies(frame, found, labels):
    """Readings, scores and alarms."""
    from tsanomaly.plotting import AnomalyDisplay

    if found.contributions.shape[1]:
        channels = main_channels(found)
    else:
        channels = list(range(min(frame.shape[1], N_DRAWN_CHANNELS)))
    return AnomalyDisplay.from_predictions(
        frame, found.errors, found.threshold, found.flagged, labels, channels=channels
    ).figure_


def draw_contributions(frame, found, labels):
    """The channels' shares over time, or None if nothing was split."""
    import pandas as pd

    from tsanomaly.plotting import ContributionDisplay

    if not np.isfinite(found.contributions).any():
        return None
    table = pd.DataFrame(found.contributions, index=frame.index, columns=frame.columns)
    return ContributionDisplay.from_predictions(table, labels).figure_


def draw_measures(frame, errors, flagged, labels, threshold):
    """Pictures that need labels, by name."""
    import matplotlib.pyplot as plt
    from sklearn.metrics import (
        ConfusionMatrixDisplay,
        PrecisionRecallDisplay,
        RocCurveDisplay,
    )

    from tsanomaly.plotting import ThresholdDisplay

    figures = {}
    if labels.any():
        figures["thresholds"] = ThresholdDisplay.from_predictions(
            labels, errors, times=frame.index, threshold=threshold
        ).figure_
    if len(np.unique(labels)) == 2:
        for name, display in (
            ("roc", RocCurveDisplay),
            ("precision_recall", PrecisionRecallDisplay),
        ):
            figures[name], axes = plt.subplots(figsize=(5, 5), layout="constrained")
            display.from_predictions(
                labels, errors, ax=axes, name="scores", plot_chance_level=True
            )
    figures["confusion"], axes = plt.subplots(figsize=(4.5, 4), layout="constrained")
    ConfusionMatrixDisplay.from_predictions(
        labels,
        flagged.astype(int),
        labels=[0, 1],
        display_labels=["normal", "anomaly"],
        cmap="Blues",
        colorbar=False,
        ax=axes,
    )
    axes.set(xlabel="flagged", ylabel="labelled")
    return figures


# Writing. A file is there as a whole or not at all, also if the command is stopped.


def _make_folder(arguments):
    arguments.output_dir.mkdir(parents=True, exist_ok=True)
    return arguments.output_dir


def _write(path, data):
    from tsanomaly._atomic_write import replace_file

    replace_file(path, data)
    return path


def _write_table(path, table, **options):
    return _write(path, table.to_csv(**options).encode())


def _row_label(frame):
    return {"index_label": frame.index.name or "row"}


def _write_events(path, events):
    """Events as a file, lists of channels as text."""
    table = events.copy()
    table["channels"] = ["; ".join(map(str, names)) for names in events["channels"]]
    table["shares"] = [
        "; ".join(f"{share:.4f}" for share in shares) for shares in events["shares"]
    ]
    return _write_table(path, table, index=False)


def _write_json(path, result):
    import json

    text = json.dumps(_plain(result), indent=2, ensure_ascii=False, allow_nan=False)
    return _write(path, f"{text}\n".encode())


def _write_figure(path, figure):
    return _write(path, png(figure))


def png(figure, dpi=110):
    """A figure as the bytes of a PNG file; it is closed."""
    import matplotlib.pyplot as plt

    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=dpi)
    plt.close(figure)
    return data.getvalue()


def _finish(result, text, files):
    written = [str(file) for file in files]
    lines = "\n".join(f"  {file}" for file in written)
    return {**_plain(result), "files": written}, f"{text}\n\nwritten:\n{lines}"


def _align(result):
    width = max(map(len, result))
    return "\n".join(
        f"{name:{width}}  {'undefined' if value is None else f'{value:.6g}'}"
        for name, value in result.items()
    )


def _plain(value):
    """What JSON can hold: no types of numpy and pandas, and null for NaN."""
    import pandas as pd

    if isinstance(value, pd.DataFrame):
        return [_plain(row) for row in value.to_dict("records")]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or value is pd.NaT:
        return None
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    return value if isinstance(value, (bool, int, str)) else str(value)


def _has_tqdm():
    from importlib.util import find_spec

    return find_spec("tqdm") is not None
