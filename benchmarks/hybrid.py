# SPDX-License-Identifier: MIT
"""HybridDetector: what a cascade saves, and what it costs.

    python benchmarks/hybrid.py ../shared

For every set, the script measures the detector alone, each screener alone and in a
cascade and, for the default screener, the mean and the maximum. Parts are fitted once
on the training rows and passed frozen.

Measured are average precision by row; VUS-PR with a window of 50 on the plants and 100
on the servers; the share of the test rows that reach the detector; screen recall, which
is the share of anomalous events with at least one candidate row; and the seconds to
score the test rows, without compilation. The seven relations of
``relations/relations.py`` are averaged.
"""

import argparse
import platform
from importlib.metadata import version
from pathlib import Path
from runpy import run_path
from time import perf_counter

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import average_precision_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tsanomaly import (
    AutoregressiveDetector,
    HybridDetector,
    LSTMAutoencoderDetector,
    ReconstructionError,
    ReconstructionThreshold,
    TemporalFeatures,
    WindowNeighborsDetector,
    WindowTransformer,
)
from tsanomaly.datasets import inject_anomalies, load_smd, make_sensor_data
from tsanomaly.metrics import vus_pr

N_TRAIN = 20_000

# The default of HybridDetector among the screeners below
DEFAULT_SCREENER = "forecasts"


def sets(root, n_timestamps):
    """Name, training rows, test rows and test labels of every set."""
    relations = run_path(root / "relations" / "relations.py")
    for name in relations["NAMES"]:
        train, test, y = relations["make"](name, 0)
        yield "relations", train, test, np.asarray(y)
    root = root / "data"
    frame = pd.read_csv(root / "synthetic" / "plant_a.csv.gz", index_col="timestamp")
    y = frame.pop("is_anomaly").to_numpy()
    yield "plant_a", frame[:8000], frame[8000:], y[8000:]
    for name in ("machine-1-6", "machine-1-7", "machine-2-1"):
        data = load_smd(name, path=root / "smd")
        train = data.train_mask
        yield name, data.frame[train], data.frame[~train], data.target[~train]
    normal = make_sensor_data(
        N_TRAIN + n_timestamps, contamination=0, random_state=0
    ).frame
    test, y, _ = inject_anomalies(normal[N_TRAIN:], contamination=0.01, random_state=0)
    yield f"plant, {n_timestamps:,} rows", normal[:N_TRAIN], test, y


def screeners():
    """Cheap detectors to choose from, by name."""
    errors = (ReconstructionError(PCA(0.9, random_state=0)), ReconstructionThreshold())
    features = (TemporalFeatures(calendar=False), StandardScaler())
    return {
        "forecasts": AutoregressiveDetector(lags=1, window_size=8),
        "neighbors": WindowNeighborsDetector(
            4, features="readings", max_samples=250, random_state=0
        ),
        "forest": IsolationForest(random_state=0),
        "forest, windows": make_pipeline(
            WindowTransformer(10), IsolationForest(random_state=0)
        ),
        "forest, features": make_pipeline(*features, IsolationForest(random_state=0)),
        "PCA, windows": make_pipeline(WindowTransformer(10), *errors),
        "PCA, features": make_pipeline(*features, *errors),
    }


def timed_scores(detector, X):
    """Errors and seconds."""
    start = perf_counter()
    errors = -detector.score_samples(X)
    return errors, perf_counter() - start


def screen_recall(candidates, y):
    """Share of the events with at least one candidate row."""
    events = np.cumsum(np.diff(y, prepend=0) == 1)[y == 1]
    return len(np.unique(events[candidates[y == 1]])) / max(events.max(initial=0), 1)


def measure(name, train, test, y, screen_fraction):
    """Table of one set."""
    window = 100 if name.startswith(("machine", "relations")) else 50
    scaler = StandardScaler().fit(train)
    train, test = scaler.transform(train), scaler.transform(test)
    detector = LSTMAutoencoderDetector(random_state=0).fit(train)
    detector.score_samples(test[:1000])  # compiles
    rows = []

    def add(label, scored, share=np.nan, recall=np.nan):
        errors, seconds = timed_scores(scored, test)
        precision = average_precision_score(y, errors)
        volume = vus_pr(y, errors, window=window)
        rows.append((label, precision, volume, share, recall, seconds))

    add("detector alone", detector, share=1.0)
    for screener_name, screener in screeners().items():
        add(screener_name, screener.fit(train))
        combinations = ["cascade"]
        if screener_name == DEFAULT_SCREENER:
            combinations += ["mean", "max"]
        for combine in combinations:
            hybrid = HybridDetector(
                FrozenEstimator(screener),
                FrozenEstimator(detector),
                combine=combine,
                screen_fraction=screen_fraction,
            ).fit(train)
            share, recall = 1.0, np.nan
            if combine == "cascade":
                candidates = hybrid.screen(test)
                share, recall = candidates.mean(), screen_recall(candidates, y)
            add(f"{screener_name}: {combine}", hybrid, share, recall)
    columns = "detector ap vus_pr share_to_detector screen_recall seconds"
    return pd.DataFrame(rows, columns=columns.split())


def main():
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder with data/ and relations/")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the last set")
    parser.add_argument("--screen-fraction", type=float, default=0.05)
    parser.add_argument("--last", action="store_true", help="the last set only")
    arguments = parser.parse_args()
    packages = ("tsanomaly", "keras", "jax", "scikit-learn", "numpy")
    print(platform.processor() or platform.machine(), {p: version(p) for p in packages})
    chosen = list(sets(arguments.data, arguments.rows))[-1 if arguments.last else 0 :]
    for name in dict.fromkeys(name for name, *_ in chosen):
        tables = [
            measure(name, *data, arguments.screen_fraction)
            for other, *data in chosen
            if other == name
        ]
        table = pd.concat(tables).groupby("detector", sort=False).mean()
        print(f"\n{name}\n{table.round(3).to_string()}", flush=True)


if __name__ == "__main__":
    main()
