# SPDX-License-Identifier: MIT
"""How well detectors find broken relations between sensors with normal readings.

    python benchmarks/relations.py ../shared --json relations.json
    python benchmarks/relations.py ../shared --seeds 3 --only LSTM
    python benchmarks/relations.py ../shared --seeds 3 --only LSTM --drift 2

The sets are seven relations of two or three sensors (``relations/relations.py`` in that
folder) and two plants of five and seven sensors (``cases/pumps.py``), one of which
cannot be predicted. In the anomalies of the relations, each sensor stays within its
range, and only the relation is broken; the first half of the rows is for training.
Inputs are standardised on the training rows, all settings are the same everywhere, and
VUS has a window of 100. "flagged" is the share of anomalous and of normal rows beyond
the threshold that a detector sets itself.
"""

import argparse
import json
import platform
import warnings
from importlib.metadata import version
from pathlib import Path
from runpy import run_path
from time import perf_counter

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.utils import get_tags

from tsanomaly import (
    AutoregressiveDetector,
    LinearAutoencoderDetector,
    LSTMAutoencoderDetector,
    ReconstructionError,
    ReconstructionThreshold,
    WindowNeighborsDetector,
    WindowTransformer,
    explain,
    make_ensemble,
)
from tsanomaly.metrics import vus_pr

MODES = {"gain": [1]}  # channels that do not drift


def detectors(seed):
    """The detectors by name."""
    return {
        "LSTM": LSTMAutoencoderDetector(random_state=seed),
        "linear": LinearAutoencoderDetector(random_state=seed),
        "LSTM, without its baseline": LSTMAutoencoderDetector(
            (16, 80), random_state=seed
        ),
        "PCA, windows": make_pipeline(
            WindowTransformer(10),
            ReconstructionError(PCA(0.9)),
            ReconstructionThreshold(),
        ),
        "IsolationForest": IsolationForest(random_state=seed),
        "LOF, windows": make_pipeline(
            WindowTransformer(10), LocalOutlierFactor(novelty=True)
        ),
        "autoregression": AutoregressiveDetector(random_state=seed),
        "neighbors": WindowNeighborsDetector(random_state=seed),
        "neighbors, readings": WindowNeighborsDetector(
            features="readings", random_state=seed
        ),
        "ensemble": make_ensemble(random_state=seed),
        "ensemble, no network": make_ensemble("drop", random_state=seed),
    }


def series(root, seed):
    """Suite, name, training rows, test rows, labels, and channels at fault."""
    relations = run_path(root / "relations" / "relations.py")
    pumps = run_path(root / "cases" / "pumps.py")
    for name in relations["NAMES"]:
        train, test, y = relations["make"](name, seed)
        yield "relations", name, pd.DataFrame(train), pd.DataFrame(test), y, None
    frame, y, events = pumps["noisy"]()
    n_train = pumps["NOISY_TRAIN_DAYS"] * 1440
    causes = [
        (start - n_train, stop - n_train, [channel]) for start, stop, channel in events
    ]
    yield "pumps", "noisy", frame[:n_train], frame[n_train:], y[n_train:], causes
    frame, y, cause = pumps["historian"]()
    end = frame.index[0] + pd.Timedelta(days=pumps["HISTORIAN_TRAIN_DAYS"])
    n_train = int((frame.index < end).sum())
    faulty = np.flatnonzero(y[n_train:])
    causes = [(faulty[0], faulty[-1] + 1, cause)]
    yield "pumps", "historian", frame[:n_train], frame[n_train:], y[n_train:], causes


def standardise(train, test):
    """Scale by the training rows."""
    mean, std = train.mean(), train.std(ddof=0)
    return (train - mean) / std, (test - mean) / std


def add_drift(name, test, size, seed):
    """Move channels evenly up or down, by this many standard deviations in the end."""
    signs = np.random.default_rng([seed, 9]).choice([-1, 1], test.shape[1])
    signs[MODES.get(name, [])] = 0
    return test + size * signs * np.linspace(0, 1, len(test))[:, None]


def first_named(detector, test, causes):
    """Share of the faults for which `explain` ranks the channels at fault first."""
    events = explain(detector, test)
    hits = 0
    for start, stop, channels in causes:
        first, last = test.index[start], test.index[stop - 1]
        during = events[(events["start"] <= last) & (events["end"] >= first)]
        if len(during):
            named = during.loc[during["score"].idxmin(), "channels"]
            hits += set(named[: len(channels)]) == set(channels)
    return hits / len(causes)


def measure(detector, train, test, y, causes):
    """One row of the results."""
    start = perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        detector.fit(train)
    fitted = perf_counter()
    decision = detector.decision_function(test)
    scored = perf_counter()
    y, flags = np.asarray(y), decision < 0
    row = {
        "ap": average_precision_score(y, -decision),
        "vus_pr": vus_pr(y, -decision, window=100),
        "flagged_anomalous": flags[y == 1].mean(),
        "flagged_normal": flags[y == 0].mean(),
        "fit_seconds": fitted - start,
        "score_seconds": scored - fitted,
    }
    if causes is not None:
        row["events_flagged"] = np.mean([flags[a:b].any() for a, b, _ in causes])
        if hasattr(detector, "reconstruct"):
            row["first_named"] = first_named(detector, test, causes)
    return row


def summary(results):
    """Means over the seeds, and over the seven relations."""
    columns = ["ap", "vus_pr", "flagged_anomalous", "flagged_normal", "fit_seconds"]
    table = results.groupby(["detector", "series"], sort=False)[columns].mean()
    relations = results[results["suite"] == "relations"]
    by_seed = relations.groupby(["detector", "seed"], sort=False)[columns].mean()
    spread = by_seed.groupby("detector", sort=False).agg(["mean", "min", "max"])
    return table, spread


def main():
    """Run, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path, help="folder with relations/ and cases/")
    parser.add_argument("--seeds", type=int, default=1, help="how many, from 0")
    parser.add_argument("--only", nargs="+", help="names of the detectors to run")
    parser.add_argument(
        "--drift",
        type=float,
        default=0,
        help="standard deviations by which the channels of the relations drift",
    )
    parser.add_argument("--json", type=Path, help="file for the figures")
    arguments = parser.parse_args()
    packages = ("tsanomaly", "keras", "jax", "scikit-learn", "numpy")
    versions = {package: version(package) for package in packages}
    rows = []
    for seed in range(arguments.seeds):
        for suite, name, train, test, y, causes in series(arguments.shared, seed):
            train, test = standardise(train, test)
            if arguments.drift:
                if suite != "relations":
                    continue
                test = add_drift(name, test, arguments.drift, seed)
            for label, detector in detectors(seed).items():
                if arguments.only and label not in arguments.only:
                    continue
                takes_missing = get_tags(detector).input_tags.allow_nan
                if train.isna().any(axis=None) and not takes_missing:
                    continue
                row = {"detector": label, "suite": suite, "series": name, "seed": seed}
                row |= measure(detector, train, test, y, causes)
                rows.append(row)
                print(
                    f"{name:>10} {seed} {label:<26} {row['ap']:.3f} "
                    f"{row['vus_pr']:.3f} {row['fit_seconds']:.1f} s",
                    flush=True,
                )
    results = pd.DataFrame(rows)
    table, spread = summary(results)
    print(table.round(3).to_string(), spread.round(3).to_string(), sep="\n\n")
    if arguments.json:
        machine = {
            "processor": platform.processor(),
            "python": platform.python_version(),
        }
        document = {"versions": versions, "machine": machine, "results": rows}
        arguments.json.write_text(json.dumps(document, indent=1, default=float))


if __name__ == "__main__":
    main()
