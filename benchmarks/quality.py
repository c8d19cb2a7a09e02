# SPDX-License-Identifier: MIT
"""How well the stock detectors find anomalies, at their defaults, on four suites.

    python benchmarks/quality.py ../shared/data --json quality.json
    python benchmarks/quality.py ../shared/data --seeds 3 --only LSTM ensemble

The suites are plant_a (trained on 8,000 rows), SKAB valve1 (on the first 400 rows of
each file), NAB realAWSCloudwatch (on the probationary rows), and three machines of SMD.
The inputs of all detectors are standardised on the training rows and clipped to ±10;
columns that are constant in training are 0. All settings are the same everywhere. VUS
has a window of 50 on plant_a and SKAB, and of 100 elsewhere.

At the threshold that each detector sets itself, the script measures the pooled F1,
false-alarm rate and missed-alarm rate of SKAB in the rows after the first 400 and, for
all suites and each machine of SMD, the share of normal rows that are flagged. A series
without anomalies counts only for false alarms. For detectors with errors per channel,
it measures the hit rate on the causes that SMD names.
"""

import argparse
import json
import platform
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import Pipeline, make_pipeline

from tsanomaly import (
    AutoregressiveDetector,
    EnsembleDetector,
    HybridDetector,
    LinearAutoencoderDetector,
    LSTMAutoencoderDetector,
    ReconstructionError,
    ReconstructionThreshold,
    WindowNeighborsDetector,
    WindowTransformer,
    make_ensemble,
)
from tsanomaly.datasets import load_nab, load_skab, load_smd
from tsanomaly.metrics import channel_hit_rate, vus_pr

CLIP = 10.0
FEATURES = ("scaled", "raw", "readings")


def detectors(seed):
    """The stock detectors by name."""

    def reconstruction():
        return ReconstructionError(PCA(0.9)), ReconstructionThreshold()

    return {
        "IsolationForest": IsolationForest(random_state=seed),
        "IsolationForest, windows": make_pipeline(
            WindowTransformer(10), IsolationForest(random_state=seed)
        ),
        "LOF": LocalOutlierFactor(novelty=True),
        "LOF, windows": make_pipeline(
            WindowTransformer(10), LocalOutlierFactor(novelty=True)
        ),
        "PCA": make_pipeline(*reconstruction()),
        "PCA, windows": make_pipeline(WindowTransformer(10), *reconstruction()),
        "PCA, windows of 50": make_pipeline(WindowTransformer(50), *reconstruction()),
        "LSTM": LSTMAutoencoderDetector(random_state=seed),
        "LSTM, without its baseline": LSTMAutoencoderDetector(
            window_size=(16, 80), random_state=seed
        ),
        "LSTM, looks ahead": LSTMAutoencoderDetector(
            row_error="multiscale_centered", random_state=seed
        ),
        "HybridDetector": HybridDetector(random_state=seed),
        **members(seed),
        "ensemble": make_ensemble(random_state=seed),
        "ensemble, looks ahead": looking_ahead(make_ensemble(random_state=seed)),
        "ensemble, linear": make_ensemble(
            LinearAutoencoderDetector(random_state=seed), random_state=seed
        ),
        **{
            f"ensemble, no {name}": without(make_ensemble(random_state=seed), name)
            for name in ("network", "autoregression", "neighbors")
        },
    }


def members(seed):
    """Detectors without a network."""

    def neighbors(features):
        return WindowNeighborsDetector(features=features, random_state=seed)

    return {
        "linear": LinearAutoencoderDetector(random_state=seed),
        "autoregression": AutoregressiveDetector(random_state=seed),
        "autoregression, 1 lag": AutoregressiveDetector(1, random_state=seed),
        "autoregression, 20 lags": AutoregressiveDetector(20, random_state=seed),
        "neighbors": neighbors(("scaled", "raw")),
        **{f"neighbors, {kind}": neighbors(kind) for kind in FEATURES},
    }


def without(ensemble, name):
    """An ensemble without one of its detectors."""
    pairs = zip(ensemble.detectors, ensemble.weights, strict=True)
    kept = [(pair, weight) for pair, weight in pairs if pair[0] != name]
    detectors, weights = zip(*kept, strict=True)
    return EnsembleDetector(list(detectors), weights=list(weights))


def looking_ahead(ensemble):
    """Make an ensemble whose detectors look ahead."""
    return ensemble.set_params(
        network__row_error="multiscale_centered",
        autoregression__row_error="multiscale_centered",
        neighbors__row_error="multiscale_centered",
    )


def series(root):
    """Suite, name, VUS window, training rows, test rows, test labels, known causes."""
    frame = pd.read_csv(root / "synthetic" / "plant_a.csv.gz", index_col="timestamp")
    y = frame.pop("is_anomaly").to_numpy()
    yield "plant_a", "plant_a", 50, frame[:8000], frame[8000:], y[8000:], None
    loaders = {
        "SKAB": (load_skab, [f"valve1/{number}" for number in range(16)], 50),
        "NAB": (load_nab, _names(root / "nab" / "data"), 100),
        "SMD": (load_smd, ["machine-1-6", "machine-1-7", "machine-2-1"], 100),
    }
    for suite, (load, names, window) in loaders.items():
        for name in names:
            data = load(name, path=root / suite.lower())
            train = data.train_mask
            frames = data.frame[train], data.frame[~train]
            causes = data.events if suite == "SMD" else None
            yield suite, name, window, *frames, data.target[~train], causes


def _names(folder):
    return sorted(
        path.relative_to(folder).with_suffix("").as_posix()
        for path in folder.glob("*/*.csv")
    )


def scale(train, test):
    """Standardise on the training rows, constants to 0, and clip."""
    mean, std = train.to_numpy().mean(axis=0), train.to_numpy().std(axis=0)
    varies = std > 1e-12 * np.maximum(np.abs(mean), 1)
    factor = np.where(varies, 1 / np.where(varies, std, 1), 0)
    return (
        ((frame.to_numpy() - mean) * factor).clip(-CLIP, CLIP)
        for frame in (train, test)
    )


def hit_rate(detector, test, causes, columns, first_row):
    """Share of the channels behind events that have the largest errors there."""
    if isinstance(detector, Pipeline):
        detector = detector[:-1]  # the threshold
    last = detector[-1] if isinstance(detector, Pipeline) else detector
    if not isinstance(last, (ReconstructionError, LSTMAutoencoderDetector)):
        return np.nan  # no error for every channel
    errors = detector.transform(test)
    # The columns of windows are time-major.
    errors = errors.reshape(len(errors), -1, len(columns)).mean(axis=1)
    rows = pd.DataFrame(errors, columns=columns)
    rows.index += first_row
    errors = pd.DataFrame(
        [rows.loc[event.start : event.end].mean() for event in causes.itertuples()]
    )
    return channel_hit_rate(causes["channels"], errors)


def measure(name, detector, window, train, test, y):
    """One row of the results."""
    start = perf_counter()
    detector.fit(train)
    fitted = perf_counter()
    decision = detector.decision_function(test)
    scored = perf_counter()
    flags = decision < 0
    row = {
        "detector": name,
        "true_positives": int((flags & (y == 1)).sum()),
        "false_positives": int((flags & (y == 0)).sum()),
        "anomalous": int((y == 1).sum()),
        "normal": int((y == 0).sum()),
        "fit_seconds": fitted - start,
        "score_seconds": scored - fitted,
    }
    if y.any():
        row["vus_pr"] = vus_pr(y, -decision, window=window)
        row["ap"] = average_precision_score(y, -decision)
    return row


def summary(results):
    """Means by suite and over the suites, and the pooled rates of SKAB."""
    by_suite = results.groupby(["detector", "suite"], sort=False)
    means = by_suite[["vus_pr", "ap"]].mean()
    table = means.unstack(sort=False)
    for metric in ("vus_pr", "ap"):
        table[metric, "mean"] = table[metric].mean(axis=1)
    table = table.sort_index(axis=1, level=0, ascending=False, sort_remaining=False)
    table.columns = [f"{metric} {suite}" for metric, suite in table.columns]
    seconds = by_suite[["fit_seconds", "score_seconds"]].mean().unstack(sort=False)
    seconds.columns = [f"{name[:-8]} {suite}" for name, suite in seconds.columns]
    results = results.assign(part=results["suite"])
    is_smd = results["suite"] == "SMD"
    results.loc[is_smd, "part"] = results["series"]
    counts = results.groupby(["detector", "part"], sort=False)
    counts = counts[["false_positives", "normal"]].sum()
    flagged = 100 * counts["false_positives"] / counts["normal"]
    flagged = flagged.unstack(sort=False).add_prefix("FAR % ")
    skab = results[results["suite"] == "SKAB"].groupby("detector", sort=False)
    pooled = skab[["true_positives", "false_positives", "anomalous", "normal"]].sum()
    hits, alarms = pooled["true_positives"], pooled["false_positives"]
    rates = pd.DataFrame(
        {
            "SKAB F1": 2 * hits / (hits + alarms + pooled["anomalous"]),
            "SKAB FAR %": 100 * alarms / pooled["normal"],
            "SKAB MAR %": 100 * (1 - hits / pooled["anomalous"]),
            "SMD hit rate": results.groupby("detector", sort=False)["hit_rate"].mean(),
        }
    )
    flagged = flagged.drop(columns="FAR % SKAB")
    return table, rates.join(flagged), seconds


def main():
    """Run, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with synthetic/, skab/, …")
    parser.add_argument("--seeds", type=int, default=1, help="how many, from 0")
    parser.add_argument("--only", nargs="+", help="names of the detectors to run")
    parser.add_argument("--json", type=Path, help="file for the figures")
    arguments = parser.parse_args()
    packages = ("tsanomaly", "keras", "jax", "scikit-learn", "numpy")
    versions = {package: version(package) for package in packages}
    rows = []
    for suite, name, window, train, test, y, causes in series(arguments.data):
        columns, first_row = test.columns, len(train)
        train, test = scale(train, test)
        for seed in range(arguments.seeds):
            for detector_name, detector in detectors(seed).items():
                if arguments.only and detector_name not in arguments.only:
                    continue
                row = measure(detector_name, detector, window, train, test, y)
                row["hit_rate"] = np.nan
                if causes is not None:
                    row["hit_rate"] = hit_rate(
                        detector, test, causes, columns, first_row
                    )
                rows.append({"suite": suite, "series": name, "seed": seed, **row})
        print(f"{suite}: {name}", flush=True)
    results = pd.DataFrame(rows)
    print(platform.processor() or platform.machine(), versions)
    for seed, part in results.groupby("seed"):
        tables = summary(part.drop(columns="seed"))
        print(
            f"seed {seed}",
            *(table.round(3).to_string() for table in tables),
            sep="\n\n",
        )
    if arguments.seeds > 1:
        tables = summary(results.drop(columns="seed"))
        print("all", *(table.round(3).to_string() for table in tables), sep="\n\n")
    if arguments.json:
        content = {"versions": versions, "rows": rows}
        arguments.json.write_text(json.dumps(content, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
