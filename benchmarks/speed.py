# SPDX-License-Identifier: MIT
"""Speed and memory of training, scoring and streaming, compared with their bars.

    python benchmarks/speed.py ../shared/data --json speed.json
    python benchmarks/speed.py ../shared/data --only training scoring
    python benchmarks/speed.py ../shared/data --only default --profile
    python benchmarks/speed.py --device gpu --json gpu.json

Every row runs in its own process, and its figures are printed and written as soon as it
is done. "The published network" is the one with 61,972 parameters. `training` needs
PyTorch (`pip install torch`) for its bar. Memory is the peak of the process above its
level before, which includes the input, as reported by Linux. With `--device`, training
and scoring are measured on a GPU or a CPU instead; see `device_speed.py`.
"""

import argparse
import cProfile
import json
import os
import platform
import pstats
import statistics
import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import device_speed
import joblib
import numpy as np
from scipy.signal import lfilter
from sklearn.frozen import FrozenEstimator
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tsanomaly import (
    AlarmFilter,
    AutoregressiveDetector,
    HybridDetector,
    LSTMAutoencoderDetector,
    StreamingDetector,
    Training,
    WindowNeighborsDetector,
    make_ensemble,
    sliding_windows,
)
from tsanomaly.datasets import load_smd, make_sensor_data

PUBLISHED = {
    "window_size": 50,
    "units": (64, 32),
    "latent_dim": 16,
    "epochs": 20,
    "training": Training(learning_rate=0.003),
    "noise": 0,
    "linear_variance": 0,
}

# Rows between the windows of 'overlap_mean': benchmarks/README.md has what others cost.
STRIDE = 10

REPEATS = 7

# Batches in an epoch of training: less than there are in TRAIN rows
EPOCH = 64

# Networks that training is measured with: how they are made and trained, and the
# operations of a window.
TRAINED = {
    "published": {
        "parameters": PUBLISHED,
        "window_size": 50,
        "batch_size": 64,
        "architecture": ((64, 32), 16),
    },
    "default": {
        "parameters": {},
        "window_size": 16,
        "batch_size": 32,
        "architecture": ((32,), None),
    },
}

PACKAGES = (
    *("tsanomaly", "keras", "jax", "jaxlib", "numpy", "scikit-learn"),
    *("torch", "tensorflow"),
)

# Training on rows of a plant, and how many of them
TRAIN = 5000


def plant(n_timestamps):
    """Standardised rows of a plant, to be trained on, and others to be scored."""
    data = make_sensor_data(TRAIN, contamination=0, random_state=0).frame.to_numpy()
    scaler = StandardScaler().fit(data)
    # The same rows are repeated in another order; no result depends on that.
    repeats = -(-n_timestamps // TRAIN)
    scored = np.tile(scaler.transform(data), (repeats, 1))[:n_timestamps]
    noise = np.random.default_rng(0).standard_normal(scored.shape)
    return scaler.transform(data), scored + 0.1 * noise


def operations(window_size, n_channels, units, latent_dim):
    """Floating-point operations of matrix products in a window's forward pass."""
    decoder = units[::-1]
    inputs = [n_channels, *units[:-1], latent_dim or units[-1], *decoder[:-1]]
    total = sum(
        (below + width) * 4 * width
        for below, width in zip(inputs, units + decoder, strict=True)
    )
    total += units[0] * n_channels
    dense = units[-1] * latent_dim if latent_dim else 0
    return 2 * (window_size * total + dense)


def matrix_rate():
    """Return the best rate of float32 matrix products by NumPy or jax, in GFLOP/s."""
    import jax

    a = np.random.default_rng(0).standard_normal((2048, 2048), dtype=np.float32)
    multiply = jax.jit(lambda a: a @ a)
    rates = []
    for function in (lambda: a @ a, lambda: multiply(a).block_until_ready()):
        function()
        for _ in range(5):
            start = perf_counter()
            function()
            rates.append(2 * len(a) ** 3 / (perf_counter() - start) / 1e9)
    return max(rates)


def memory(what):
    """Memory of this process, MB: now (VmRSS), or at its peak (VmHWM). Linux only."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) * 1024 / 1e6
    raise OSError(f"/proc/self/status does not tell {what}")


def memory_with_new_peak():
    """Return the memory of this process in MB, and reset its peak."""
    Path("/proc/self/clear_refs").write_text("5")
    return memory("VmRSS")


def timed(function, *arguments):
    """Seconds and result."""
    start = perf_counter()
    result = function(*arguments)
    return perf_counter() - start, result


def timed_scores(detector, X):
    """Seconds, and peak MB above the input, of scoring; compiled before."""
    detector.score_samples(X[:1000])
    before = memory_with_new_peak()
    seconds, _ = timed(detector.score_samples, X)
    return seconds, memory("VmHWM") - before


def small_fit(X, **parameters):
    """Fit a detector briefly: scoring takes as long as after full training."""
    parameters = {"epochs": 1, "random_state": 0, **parameters}
    parameters["training"] = Training(windows_per_epoch=64)
    return LSTMAutoencoderDetector(**parameters).fit(X)


def own_trainer(kind):
    """Return a function that trains a network on a number of batches."""
    from tsanomaly._windows import TrailingWindows

    chosen = TRAINED[kind]
    size, batch_size = chosen["window_size"], chosen["batch_size"]
    X = plant(1)[0].astype(np.float32)
    windows = TrailingWindows(X, size, np.zeros(len(X), dtype=bool))
    detector = small_fit(X, **{**chosen["parameters"], "epochs": 1})
    network = detector._network()
    noise = np.full(X.shape[1], detector.noise, np.float32) if detector.noise else None

    def train(n_batches):
        network.train(
            windows,
            windows.rows,
            windows.rows[:0],
            seed=0,
            epochs=n_batches // EPOCH,
            batch_size=batch_size,
            learning_rate=0.003,
            windows_per_epoch=batch_size * EPOCH,
            n_iter_no_change=5,
            verbose=0,
            noise=noise,
        )

    return train


def torch_trainer(kind, n_threads):
    """Return the same function for PyTorch, without sampling and noise."""
    import torch
    from torch import nn

    class Published(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.LSTM(4, 64, batch_first=True)
            self.encoder2 = nn.LSTM(64, 32, batch_first=True)
            self.bottleneck = nn.Linear(32, 16)
            self.decoder = nn.LSTM(16, 32, batch_first=True)
            self.decoder2 = nn.LSTM(32, 64, batch_first=True)
            self.output = nn.Linear(64, 4)

        def forward(self, x):
            hidden, _ = self.encoder2(self.encoder(x)[0])
            code = self.bottleneck(hidden[:, -1])[:, None]
            repeated = code.expand(-1, x.shape[1], -1)
            return self.output(self.decoder2(self.decoder(repeated)[0])[0])

    class Default(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder = nn.LSTM(4, 32, batch_first=True)
            self.decoder = nn.LSTM(32, 32, batch_first=True)
            self.output = nn.Linear(32, 4)

        def forward(self, x):
            reversed_rows = self.encoder(x)[0].flip(1)
            return self.output(self.decoder(reversed_rows)[0].flip(1))

    torch.set_num_threads(n_threads)
    network = {"published": Published, "default": Default}[kind]()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.003)
    size, batch_size = (TRAINED[kind][name] for name in ("window_size", "batch_size"))
    windows = sliding_windows(plant(1)[0].astype(np.float32), size)
    x = torch.from_numpy(np.ascontiguousarray(windows[100 : 100 + batch_size]))

    def train(n_batches):
        for _ in range(n_batches):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(network(x), x)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()

    return train


@cache
def trainer_of(name, kind):
    """Trainer of this process, made once."""
    if name == "tsanomaly":
        return own_trainer(kind)
    return torch_trainer(kind, int(name.split("_")[1]))


def seconds_of_training(name, kind, n_batches):
    """Seconds that a trainer takes for some batches."""
    return timed(trainer_of(name, kind), n_batches)[0]


def training(arguments):
    """Windows a second in training of the published network, against PyTorch."""
    return against_torch("published", arguments)


def training_default(arguments):
    """Windows a second in training of the default network, against PyTorch."""
    return against_torch("default", arguments)


def against_torch(kind, arguments):
    """Compare training with a loop in PyTorch."""
    chosen = TRAINED[kind]
    n_batches = -(-arguments.batches // EPOCH) * EPOCH
    names = ["tsanomaly"]
    if find_spec("torch"):
        # All cores, and one: on so small a network PyTorch may be faster on one.
        names += [f"torch_{n}_threads" for n in sorted({1, joblib.cpu_count()})]
    else:
        print("PyTorch is not installed: nothing to compare with")
    rates = {name: [] for name in names}
    with ExitStack() as stack:
        # In separate processes and in turns, because waiting threads of one would slow
        # down the other.
        processes = {
            name: stack.enter_context(
                ProcessPoolExecutor(1, mp_context=get_context("spawn"))
            )
            for name in names
        }
        for repeat in range(REPEATS + 1):
            for name, process in processes.items():
                job = process.submit(seconds_of_training, name, kind, n_batches)
                took = job.result()
                if repeat:  # the first one compiles
                    rates[name].append(chosen["batch_size"] * n_batches / took)
    figures = {name: statistics.median(values) for name, values in rates.items()}
    # Forward and backward, three times the operations of the forward pass
    per_window = operations(chosen["window_size"], 4, *chosen["architecture"])
    done = 3 * per_window * figures["tsanomaly"] / 1e9
    figures["share_of_matrix_rate"] = done / matrix_rate()
    others = [rate for name, rate in figures.items() if name.startswith("torch")]
    if others:
        figures["ratio"] = figures["tsanomaly"] / max(others)
    return figures, {"ratio": (">=", 1.3)}


def first_fit(arguments):
    """Measure the first fit in a process, and the ROC-AUC of plant_a's windows."""
    import pandas as pd

    frame = pd.read_csv(
        arguments.data / "synthetic" / "plant_a.csv.gz", index_col="timestamp"
    )
    y = frame.pop("is_anomaly").to_numpy()[8000:]
    labels = sliding_windows(y[:, None], 50).max(axis=(1, 2))
    took, areas = [], []
    for seed in range(5):
        detector = LSTMAutoencoderDetector(
            row_error="window_mean", random_state=seed, **PUBLISHED
        )
        pipeline = make_pipeline(StandardScaler(), detector)
        took.append(timed(pipeline.fit, frame[:8000])[0])
        scores = pipeline.score_samples(frame[8000:])[49:]
        areas.append(roc_auc_score(labels, -scores))
    figures = {
        "seconds": took[0],
        "window_roc_auc": np.mean(areas),
        "window_roc_auc_of_seed_0": areas[0],
        "window_roc_auc_lowest": min(areas),
        "window_roc_auc_highest": max(areas),
    }
    return figures, {"seconds": ("<=", 25), "window_roc_auc": (">=", 0.95)}


def second_fit(arguments):
    """Measure another fit of an architecture: the time outside of training steps."""
    from tsanomaly import _network, _trainers

    X = plant(1)[0]
    figures = {}
    trainer = _trainers.JaxTrainer
    fit, run = trainer.fit, _network.Network.run
    spent = {"training": 0.0, "scoring": 0.0}

    def timed_fit(*args, **kwargs):
        start = perf_counter()
        try:
            return fit(*args, **kwargs)
        finally:
            spent["training"] += perf_counter() - start

    def timed_run(*args):
        start = perf_counter()
        for batch in run(*args):
            spent["scoring"] += perf_counter() - start
            yield batch
            start = perf_counter()

    trainer.fit, _network.Network.run = timed_fit, timed_run
    for name, parameters in {"default": {}, "published": PUBLISHED}.items():
        rule = {"row_error": "last"} if parameters else {}
        detector = LSTMAutoencoderDetector(
            **{**parameters, "epochs": 3}, **rule, random_state=0
        ).fit(X)
        spent.update(training=0.0, scoring=0.0)
        seconds, _ = timed(detector.fit, X)
        figures |= {f"{name}_{what}": value for what, value in spent.items()}
        figures[f"{name}_outside_training"] = seconds - spent["training"]
        figures[f"{name}_outside_both"] = seconds - sum(spent.values())
    bars = {
        f"{name}_outside_training": ("<=", 0.3) for name in ("default", "published")
    }
    return figures, bars


def scoring(arguments):
    """Every row, with the published network."""
    train, X = plant(arguments.rows)
    detector = small_fit(train, **{**PUBLISHED, "epochs": 1}, row_error="last")
    rate = matrix_rate()
    seconds, memory = timed_scores(detector, X)
    rate = max(rate, matrix_rate())
    done = operations(50, 4, (64, 32), 16) * len(X) / 1e9
    figures = {
        "rows": len(X),
        "seconds": seconds,
        "matrix_gflops": rate,
        "share_of_matrix_rate": done / seconds / rate,
        "peak_mb": memory,
    }
    return figures, {"share_of_matrix_rate": (">=", 0.5), "peak_mb": ("<=", 1000)}


def default(arguments):
    """The detector at its defaults, against `predict` of the published network."""
    train, X = plant(arguments.rows)
    seconds, memory = timed_scores(small_fit(train), X)
    model = small_fit(train, **{**PUBLISHED, "epochs": 1}).to_keras()
    # Fewer windows than that, which would need 800 MB and minutes.
    few = np.ascontiguousarray(sliding_windows(X[:50_049], 50), dtype=np.float32)
    model.predict(few[:1000], verbose=0)
    predicting = timed(lambda: model.predict(few, verbose=0))[0] * len(X) / len(few)
    figures = {
        "rows": len(X),
        "seconds": seconds,
        "model_predict_seconds": predicting,
        "ratio": predicting / seconds,
        "peak_mb": memory,
    }
    bars = {"seconds": ("<=", 40), "ratio": (">=", 3), "peak_mb": ("<=", 1000)}
    return figures, bars


def overlap(arguments):
    """The same with 'overlap_mean' and a stride."""
    train, X = plant(arguments.rows)
    detector = small_fit(train, row_error="overlap_mean", stride=STRIDE)
    seconds, memory = timed_scores(detector, X)
    figures = {"rows": len(X), "stride": STRIDE, "seconds": seconds, "peak_mb": memory}
    return figures, {"seconds": ("<=", 20), "peak_mb": ("<=", 1000)}


def stream(arguments):
    """Milliseconds for a reading."""
    from streaming import alone, detectors, milliseconds

    frame = make_sensor_data(7000, random_state=0).frame
    train, rows = frame[:5000].to_numpy(), frame[5000:].to_numpy()
    network = detectors()["network, 61,972 parameters"].fit(train)
    calls = [StreamingDetector(network).warm_up(train).update]
    median, high = milliseconds(calls, rows)[0]
    pipeline = detectors()["scaler, forest"].fit(train)
    forest, row = alone(pipeline, train[-50:])
    calls = [StreamingDetector(pipeline).warm_up(train).update]
    calls.append(lambda _: forest.score_samples(row))
    times = milliseconds(calls, rows[:500])[:, 0]
    figures = {
        "network_median_ms": median,
        "network_99_ms": high,
        "forest_median_ms": times[0],
        "forest_ratio": times[0] / times[1],
    }
    bars = {
        "network_median_ms": ("<=", 1.0),
        "network_99_ms": ("<=", 3.0),
        "forest_ratio": ("<=", 2.0),
    }
    return figures, bars


def stream_memory(arguments):
    """Memory over many readings, through PCA and through the published network."""
    import pickle

    from streaming import detectors

    frame = make_sensor_data(6000, random_state=0).frame
    train, rows = frame[:5000].to_numpy(), frame[5000:].to_numpy()
    figures, bars = {}, {}
    chosen = {
        "network": ("network, 61,972 parameters", arguments.updates // 10),
        "pca": ("PCA, windows of 10", arguments.updates),
    }
    for name, (key, n_updates) in chosen.items():
        updating = StreamingDetector(detectors()[key].fit(train)).warm_up(train)
        for number in range(2000):
            updating.update(rows[number % len(rows)])
        before, size = memory("VmRSS"), len(pickle.dumps(updating))
        for number in range(n_updates):
            updating.update(rows[number % len(rows)])
        figures[f"{name}_updates"] = n_updates
        figures[f"{name}_growth_mb"] = memory("VmRSS") - before
        figures[f"{name}_growth_bytes"] = len(pickle.dumps(updating)) - size
        # Allocators round; a row that is kept would be 32 bytes and more.
        bars[f"{name}_growth_mb"] = ("<=", max(5.0, n_updates * 16 / 1e6))
        bars[f"{name}_growth_bytes"] = ("<=", 100)
    return figures, bars


def hybrid(arguments):
    """A cascade against its detector alone, with a causal rule."""
    train, X = plant(arguments.rows)
    figures = {}
    for name, parameters in {"default": {}, "published": PUBLISHED}.items():
        detector = small_fit(train, **{**parameters, "epochs": 1})
        cascade = HybridDetector(detector=FrozenEstimator(detector), random_state=0)
        cascade.fit(train)
        cascade.score_samples(X[:1000])
        figures[f"{name}_alone"] = timed_scores(detector, X)[0]
        figures[f"{name}_cascade"], _ = timed(cascade.score_samples, X)
        figures[f"{name}_ratio"] = figures[f"{name}_alone"] / figures[f"{name}_cascade"]
        figures[f"{name}_share_to_detector"] = float(cascade.screen(X).mean())
    return figures, {"published_ratio": (">=", 5)}


def ensembles(arguments):
    """The default ensembles, on four channels and on the 38 of a server."""
    train, X = plant(10_000)
    rows = np.tile(train, (2, 1))[:8000]
    data = load_smd("machine-1-6", path=arguments.data / "smd")
    scaler = StandardScaler().fit(data.frame[data.train_mask])
    wide = [
        scaler.transform(data.frame[mask]).clip(-10, 10)
        for mask in (data.train_mask, ~data.train_mask)
    ]

    def seconds(detector, train, X):
        return timed(lambda: detector.fit(train).score_samples(X))[0]

    small_fit(train)  # compiled before
    figures = {
        "drop_seconds": min(
            seconds(make_ensemble("drop", random_state=0), rows, X) for _ in range(3)
        ),
        "drop_wide_seconds": seconds(make_ensemble("drop", random_state=0), *wide),
        "network_wide_seconds": seconds(LSTMAutoencoderDetector(random_state=0), *wide),
        "all_wide_seconds": seconds(make_ensemble(random_state=0), *wide),
    }
    figures["ratio"] = figures["all_wide_seconds"] / figures["network_wide_seconds"]
    bars = {
        "drop_seconds": ("<=", 1),
        "drop_wide_seconds": ("<=", 10),
        "ratio": ("<=", 2.5),
    }
    return figures, bars


def related(n_timestamps):
    """Rows of a machine whose channels are nonlinear functions of each other."""
    noise = np.random.default_rng(0).standard_normal((n_timestamps, 2))
    states = lfilter([1], [1, -0.95], noise, axis=0)
    states /= states.std(axis=0)
    X = np.column_stack([states, states**2 - 1])
    return X + 0.05 * np.random.default_rng(1).standard_normal(X.shape)


def where_the_network_counts(arguments):
    """Every row, and readings of a stream, of the default detector and ensemble."""
    from streaming import milliseconds

    X = related(TRAIN + arguments.rows)
    train, X = X[:TRAIN], X[TRAIN:]
    detector = LSTMAutoencoderDetector(random_state=0).fit(train)
    ensemble = make_ensemble(random_state=0).fit(train)
    # Otherwise the network would not run.
    figures = {"least_relation_gain": detector.relation_gain_.min()}
    bars = {"least_relation_gain": (">=", 0.5)}
    most = {"detector": (40, 1.5), "ensemble": (60, 3)}
    for name, fitted in {"detector": detector, "ensemble": ensemble}.items():
        update = StreamingDetector(fitted).warm_up(train).update
        figures[f"{name}_ms"], _ = milliseconds([update], X[:1000])[0]
        seconds, memory = timed_scores(fitted, X)
        figures |= {f"{name}_seconds": seconds, f"{name}_peak_mb": memory}
        bars[f"{name}_seconds"] = ("<=", most[name][0])
        bars[f"{name}_ms"] = ("<=", most[name][1])
        bars[f"{name}_peak_mb"] = ("<=", 1000)
    return figures, bars


def growth(arguments):
    """Seconds and memory for more and more rows: the default detector."""
    return growth_of(lambda train: small_fit(train).score_samples, arguments)


def growth_autoregression(arguments):
    """Seconds and memory for more and more rows: forecasts."""
    return growth_of(
        lambda train: AutoregressiveDetector().fit(train).score_samples, arguments
    )


def growth_neighbors(arguments):
    """Seconds and memory for more and more rows: nearest windows."""
    return growth_of(
        lambda train: WindowNeighborsDetector(random_state=0).fit(train).score_samples,
        arguments,
    )


def growth_ensemble(arguments):
    """Seconds and memory for more and more rows: the stock ensemble."""

    def scorer(train):
        ensemble = make_ensemble(random_state=0).set_params(network__epochs=1)
        return ensemble.fit(train).score_samples

    return growth_of(scorer, arguments)


def growth_alarms(arguments):
    """Seconds and memory for more and more rows: alarms from errors."""

    def scorer(train):
        def alarms(X):
            return AlarmFilter().alarms(np.abs(X[:, 0]), threshold=2.5, median_error=1)

        return alarms

    return growth_of(scorer, arguments)


def growth_of(scorer, arguments):
    """Measure scoring of 10,000 rows and more."""
    figures = {}
    sizes = [10**power for power in range(4, arguments.largest + 1)]
    train, X = plant(sizes[-1])
    score = scorer(train)
    score(X[:1000])
    for size in sizes:
        # The median of one to nine runs, which together score about a million rows.
        before = memory_with_new_peak()
        runs = [
            timed(score, X[:size])[0] for _ in range(min(max(1, 1_000_000 // size), 9))
        ]
        figures[f"us_per_row_{size}"] = statistics.median(runs) / size * 1e6
        figures[f"peak_mb_{size}"] = memory("VmHWM") - before
    figures["spread"] = max(
        figures[f"us_per_row_{size}"] / figures[f"us_per_row_{sizes[0]}"]
        for size in sizes
    )
    if sizes[-1] > 10**6:
        more = figures[f"peak_mb_{sizes[-1]}"] - figures["peak_mb_1000000"]
        # The scores themselves take 8 bytes a row.
        figures["more_mb_than_scores"] = more - 8e-6 * (sizes[-1] - 10**6)
    bars = {"spread": ("<=", 1.2), "more_mb_than_scores": ("<=", 50)}
    return figures, bars


def checks(arguments):
    """scikit-learn's checks on all estimators."""
    root = Path(__file__).parents[1]
    command = [sys.executable, "-m", "pytest", "-q", "tests/test_common.py"]
    seconds, _ = timed(lambda: subprocess.run(command, check=True, cwd=root))
    return {"seconds": seconds}, {"seconds": ("<=", 90)}


def importing(arguments):
    """Import of all of tsanomaly against ``import sklearn.pipeline, pandas``."""
    from import_time import STATEMENTS, seconds

    times = [[seconds(statement) for statement in STATEMENTS] for _ in range(15)]
    others, own = np.median(times, axis=0)
    return {"seconds": own, "ratio": own / others}, {"ratio": ("<=", 1.2)}


ROWS = {
    "import": importing,
    "training": training,
    "training_default": training_default,
    "first_fit": first_fit,
    "second_fit": second_fit,
    "scoring": scoring,
    "default": default,
    "overlap": overlap,
    "ensembles": ensembles,
    "where_the_network_counts": where_the_network_counts,
    "stream": stream,
    "hybrid": hybrid,
    "checks": checks,
    "stream_memory": stream_memory,
    "growth": growth,
    "growth_autoregression": growth_autoregression,
    "growth_neighbors": growth_neighbors,
    "growth_ensemble": growth_ensemble,
    "growth_alarms": growth_alarms,
}


def verdicts(figures, bars):
    """Whether each bar is reached, with the bar."""
    return {
        name: {
            "bar": f"{sign} {bar:g}",
            "reached": bool(
                figures[name] >= bar if sign == ">=" else figures[name] <= bar
            ),
        }
        for name, (sign, bar) in bars.items()
        if name in figures
    }


def run_row(name, arguments):
    """Run one row in this process, and write its figures."""
    profile = cProfile.Profile() if arguments.profile else None
    if profile:
        profile.enable()
    figures, bars = ROWS[name](arguments)
    if profile:
        profile.disable()
        pstats.Stats(profile).sort_stats("tottime").print_stats(25)
    figures = {key: float(value) for key, value in figures.items()}
    judged = verdicts(figures, bars)
    print(f"\n{name}: {ROWS[name].__doc__.splitlines()[0]}")
    for key, value in figures.items():
        end = ""
        if key in judged:
            reached = "reached" if judged[key]["reached"] else "NOT reached"
            end = f"   bar {judged[key]['bar']}, {reached}"
        print(f"  {key:32} {value:12,.4g}{end}", flush=True)
    arguments.row_json.write_text(json.dumps({"figures": figures, "bars": judged}))


def versions():
    """Versions of the packages that matter, where installed."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def processor():
    """Return the model name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.split(":")[1].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.processor() or platform.machine()


def main():
    """Run, print and save."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, nargs="?", help="folder with synthetic/")
    parser.add_argument("--only", nargs="+", choices=ROWS, default=list(ROWS))
    parser.add_argument("--rows", type=int, default=1_000_000, help="to be scored")
    parser.add_argument("--batches", type=int, default=128, help="in a training repeat")
    parser.add_argument("--updates", type=int, default=1_000_000, help="of a stream")
    parser.add_argument(
        "--largest", type=int, default=7, help="power of ten that growth goes to"
    )
    parser.add_argument("--profile", action="store_true", help="where the time goes")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--row-json", type=Path, help=argparse.SUPPRESS)
    device_speed.add_options(parser)
    arguments = parser.parse_args()
    if arguments.row_json:
        run_row(arguments.only[0], arguments)
        return
    about = {"cpu": processor(), "cores": os.cpu_count(), "versions": versions()}
    print(about, flush=True)
    if arguments.device:
        device_speed.main(arguments, about)
        return
    if arguments.data is None:
        parser.error("name the folder with synthetic/, or a --device")
    rows = {}
    with TemporaryDirectory() as folder:
        for name in arguments.only:
            path = Path(folder, f"{name}.json")
            options = ["--only", name, "--row-json", str(path)]
            start = perf_counter()
            result = subprocess.run([sys.executable, *sys.argv, *options], check=False)
            rows[name] = (
                json.loads(path.read_text())
                if path.exists()
                else {"failed": result.returncode}
            )
            rows[name]["seconds_in_all"] = perf_counter() - start
            print(f"  ({rows[name]['seconds_in_all']:.0f} s in all)", flush=True)
            if arguments.json:
                arguments.json.write_text(json.dumps({**about, "rows": rows}, indent=1))


if __name__ == "__main__":
    main()
