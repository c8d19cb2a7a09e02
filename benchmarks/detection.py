# SPDX-License-Identifier: MIT
"""Detection on two published protocols.

    python benchmarks/detection.py ../shared/data --seeds 0 1 2

Window protocol on plant_a: StandardScaler on the first 8,000 rows, windows of 50 at
stride 1. A test window is anomalous if any of its rows is, and its score is its mean
squared residual. The network is the published one of 61,972 parameters, without noise
and linear map.

By row, on plant_a and SMD machine-1-6: average precision and ROC-AUC of the row scores,
at the defaults of the library except for the rule.

The first fit of each set includes the compilation of the network.
"""

import argparse
import json
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tsanomaly import LSTMAutoencoderDetector, Training
from tsanomaly.datasets import load_smd

# The network and the training that plant_a's published protocol asks for.
PUBLISHED = {
    "window_size": 50,
    "units": (64, 32),
    "latent_dim": 16,
    "epochs": 20,
    "training": Training(learning_rate=0.003),
    "noise": 0,
    "linear_variance": 0,
}


def plant_a(root):
    """Training rows, test rows and test labels."""
    frame = pd.read_csv(root / "synthetic" / "plant_a.csv.gz", index_col="timestamp")
    y = frame.pop("is_anomaly").to_numpy()
    return frame[:8000], frame[8000:], y[8000:]


def smd(root):
    """Training rows, test rows and test labels."""
    data = load_smd("machine-1-6", path=root / "smd")
    train = data.train_mask
    return data.frame[train], data.frame[~train], data.target[~train]


def best_f1(y, scores):
    """Best F1 of all thresholds (uses the labels)."""
    precision, recall, _ = precision_recall_curve(y, scores)
    return (2 * precision * recall / np.maximum(precision + recall, 1e-12)).max()


def fit(train, seed, **parameters):
    """A fitted pipeline, and the seconds it took."""
    detector = LSTMAutoencoderDetector(random_state=seed, **parameters)
    pipeline = make_pipeline(StandardScaler(), detector)
    start = perf_counter()
    pipeline.fit(train)
    return pipeline, perf_counter() - start


def measure(name, train, test, y, seed):
    """One column of the table."""
    row = {"set": name, "seed": seed}
    if name == "plant_a":
        rule = {"row_error": "window_mean"}
        pipeline, row["windows_fit_seconds"] = fit(train, seed, **PUBLISHED, **rule)
        # The error of a row is that of the window that ends at the row.
        size = pipeline[-1].window_size
        windows = np.lib.stride_tricks.sliding_window_view(y, size).max(axis=1)
        errors = -pipeline.score_samples(test)[size - 1 :]
        row["windows_roc_auc"] = roc_auc_score(windows, errors)
        row["windows_best_f1"] = best_f1(windows, errors)
    for rule in ("multiscale", "multiscale_centered", "last", "overlap_mean"):
        pipeline, row[f"{rule}_fit_seconds"] = fit(train, seed, row_error=rule)
        errors = -pipeline.score_samples(test)
        row[f"{rule}_roc_auc"] = roc_auc_score(y, errors)
        row[f"{rule}_ap"] = average_precision_score(y, errors)
    return row


def main():
    """Run, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with synthetic/ and smd/")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--json", type=Path, help="file for the figures")
    arguments = parser.parse_args()
    rows = [
        measure(name, *load(arguments.data), seed)
        for name, load in (("plant_a", plant_a), ("smd_1_6", smd))
        for seed in arguments.seeds
    ]
    packages = ("tsanomaly", "scikit-learn", "numpy", "keras", "jax")
    versions = {package: version(package) for package in packages}
    print(json.dumps(versions))
    for name, block in pd.DataFrame(rows).groupby("set", sort=False):
        block = block.dropna(axis=1).drop(columns="set").set_index("seed")
        print(f"\n{name}\n{block.T.round(3).to_string()}")
    if arguments.json:
        arguments.json.write_text(json.dumps({"versions": versions, "rows": rows}))


if __name__ == "__main__":
    main()
