# SPDX-License-Identifier: MIT
"""``tsanomaly demo``: four detectors on the series that come with the package."""

from io import BytesIO
from time import perf_counter

import numpy as np
import pandas as pd

from tsanomaly._saving._atomic_write import replace_file
from tsanomaly._wording import count

__all__ = ["format_table", "run_demo"]

_NAB = (
    "ec2_cpu_utilization_24ae8d",
    "ec2_network_in_5abac7",
    "rds_cpu_utilization_cc0c53",
)
_SMD = "machine-2-1"
_N_DRAWN_CHANNELS = 4


def run_demo(folder, *, progress):
    """Compare detectors, and write predictions and plots.

    Parameters
    ----------
    folder : Path
        An existing folder for ``results.csv`` and, for every series,
        ``<series>.csv`` and ``<series>.png``.
    progress : callable
        Called with a line of text before and after each step.

    Returns
    -------
    table : DataFrame
        A row for every series and detector: precision, recall, f1, roc_auc,
        average_precision, fit_seconds and score_seconds.
    """
    from tsanomaly.datasets import load_nab, load_smd

    series = {name: load_nab(f"realAWSCloudwatch/{name}") for name in _NAB}
    series[_SMD] = load_smd(_SMD)
    n_steps = len(series) * len(_detectors())
    results = []
    for series_name, data in series.items():
        train, test = data.frame[data.train_mask], data.frame[~data.train_mask]
        target = data.target[~data.train_mask]
        predictions = pd.DataFrame({"label": target}, index=test.index)
        for detector_name, detector in _detectors().items():
            progress(
                f"[{len(results) + 1:2}/{n_steps}] {series_name}: {detector_name} on "
                f"{len(train):,} rows × {count(train.shape[1], 'channel')} …"
            )
            start = perf_counter()
            detector.fit(train)
            fitted = perf_counter()
            decision = detector.decision_function(test)
            scored = perf_counter()
            column = detector_name.replace(" ", "_")
            predictions[f"{column}_score"] = -decision
            predictions[f"{column}_flag"] = (decision < 0).astype(int)
            results.append(
                {
                    "series": series_name,
                    "detector": detector_name,
                    **_measure(target, decision),
                    "fit_seconds": fitted - start,
                    "score_seconds": scored - fitted,
                }
            )
        file = folder / f"{series_name}.csv"
        replace_file(file, predictions.to_csv().encode())
        # The last detector is the LSTM autoencoder.
        title = f"{series_name}: {detector_name}"
        _plot(folder / f"{series_name}.png", detector, test, target, title)
    table = pd.DataFrame(results)
    replace_file(folder / "results.csv", table.to_csv(index=False).encode())
    return table


def _detectors():
    """Return the unfitted pipelines, by name."""
    from sklearn.decomposition import PCA
    from sklearn.ensemble import IsolationForest
    from sklearn.neighbors import LocalOutlierFactor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from tsanomaly import (
        LSTMAutoencoderDetector,
        ReconstructionError,
        ReconstructionThreshold,
        WindowTransformer,
    )

    return {
        "IsolationForest": make_pipeline(
            StandardScaler(), WindowTransformer(10), IsolationForest(random_state=0)
        ),
        "LOF": make_pipeline(
            StandardScaler(), WindowTransformer(10), LocalOutlierFactor(novelty=True)
        ),
        "PCA": make_pipeline(
            StandardScaler(),
            WindowTransformer(10),
            ReconstructionError(PCA(0.9, random_state=0)),
            ReconstructionThreshold(),
        ),
        "LSTM autoencoder": make_pipeline(
            StandardScaler(), LSTMAutoencoderDetector(random_state=0)
        ),
    }


def _measure(target, decision):
    from sklearn.metrics import (
        average_precision_score,
        precision_recall_fscore_support,
        roc_auc_score,
    )

    precision, recall, f1, _ = precision_recall_fscore_support(
        target, decision < 0, average="binary", zero_division=0
    )
    return {
        "precision": precision,
        "recall": recall,
        "f1": f1,
        "roc_auc": roc_auc_score(target, -decision),
        "average_precision": average_precision_score(target, -decision),
    }


def _plot(file, pipeline, test, target, title):
    # Without pyplot, the user's backend and figures are left alone.
    from matplotlib.figure import Figure

    from tsanomaly.plotting import AnomalyDisplay

    errors = pipeline.transform(test)
    scores, threshold = errors.mean(axis=1), -pipeline[-1].offset_
    flagged = scores > threshold
    # The channels with the largest share of the errors of flagged rows.
    share = errors[flagged if flagged.any() else slice(None)].mean(axis=0)
    channels = np.sort(np.argsort(-share, kind="stable")[:_N_DRAWN_CHANNELS])
    heights = [1.0] * len(channels) + [1.4, 0.9]
    figure = Figure(figsize=(11, 1.1 * sum(heights) + 0.9), layout="constrained")
    figure.suptitle(title)
    axes = figure.subplots(len(heights), sharex=True, height_ratios=heights)
    AnomalyDisplay.from_predictions(
        test, scores, threshold, flagged, target, channels=channels.tolist(), ax=axes
    )
    data = BytesIO()
    figure.savefig(data, dpi=120)
    replace_file(file, data.getvalue())


def format_table(table):
    """Format the table as text, one block per series.

    Parameters
    ----------
    table : DataFrame
        From `run_demo`.

    Returns
    -------
    text : str
    """
    formats = {
        "precision": "{:.2f}",
        "recall": "{:.2f}",
        "f1": "{:.2f}",
        "roc_auc": "{:.3f}",
        "average_precision": "{:.3f}",
        "fit_seconds": "{:.2f}",
        "score_seconds": "{:.2f}",
    }
    return "\n\n".join(
        f"{name}\n"
        + block.drop(columns="series").to_string(
            index=False, formatters={key: form.format for key, form in formats.items()}
        )
        for name, block in table.groupby("series", sort=False)
    )
