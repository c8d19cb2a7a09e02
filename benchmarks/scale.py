# SPDX-License-Identifier: MIT
"""Fleets and clusters: time and memory for many machines and many rows.

    python benchmarks/scale.py fleet --groups 200 --rows 2000
    python benchmarks/scale.py fleet --detectors ensemble --groups 1000
    python benchmarks/scale.py file --groups 1000
    python benchmarks/scale.py dask --rows 10_000_000
    python benchmarks/scale.py long --rows 10_000_000
    python benchmarks/scale.py wide --rows 50_000 --channels 500

The output is JSON with the machine and the versions. Bars:

- fleet: 200 machines with 2,000 rows each are fitted in at most 1.2 times the sum of
  the training steps, and 1.6 times faster by two processes on two cores than by one.
  With the ensemble without a network, two processes fit and score 1,000 of them within
  3 minutes.
- file: from a file of 1,000 machines, one is read and scored within 1 s and 50 MB.
- dask, long: 10,000,000 rows in Parquet files are scored with less than 2 GB in each
  worker, and in memory with at most 500 MB above series and scores.
- wide: the ensemble is fitted on 50,000 rows of 500 channels, and scores them, within
  5 minutes and 4 GB.
"""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import warnings
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
from joblib.externals.loky import get_reusable_executor
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tsanomaly import (
    FleetDetector,
    HybridDetector,
    LSTMAutoencoderDetector,
    ReconstructionError,
    ReconstructionThreshold,
    WindowTransformer,
    _trainers,
    load,
    make_ensemble,
    save,
)
from tsanomaly._backend import import_keras
from tsanomaly._inspection import detector_errors


def processor():
    """Return the model name of the processor."""
    try:
        with open("/proc/cpuinfo") as file:
            names = [line for line in file if line.startswith("model name")]
        return names[0].split(":")[1].strip()
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


def surroundings(packages):
    """Return machine, versions and load averages."""
    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load_average": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {package: version(package) for package in packages},
    }


def detectors(epochs):
    """Detectors by name; not fitted."""
    network = LSTMAutoencoderDetector(epochs=epochs, random_state=0)
    return {
        "network": make_pipeline(StandardScaler(), network),
        "pca": make_pipeline(
            StandardScaler(),
            WindowTransformer(10),
            ReconstructionError(PCA(0.9)),
            ReconstructionThreshold(),
        ),
        "ensemble": make_pipeline(StandardScaler(), make_ensemble("drop")),
    }


def readings(rows, channels, seed):
    """A noisy oscillation in every channel."""
    rng = np.random.default_rng(seed)
    phase = np.arange(rows)[:, None] / rng.uniform(5, 30, channels)
    return np.sin(phase) + 0.1 * rng.normal(size=(rows, channels))


def seconds(call):
    """Return the time of a call, and its result."""
    start = perf_counter()
    result = call()
    return perf_counter() - start, result


def processor_seconds():
    """Return the processor time of this process and its finished children."""
    used = [resource.getrusage(who) for who in (-1, 0)]  # children, and itself
    return sum(part.ru_utime + part.ru_stime for part in used)


class TrainingTime:
    """The time that is spent in training steps, once they are compiled.

    Used as a context: within it, `total` adds up what trainers take.
    """

    def __init__(self):
        self.total = 0.0
        on_jax = import_keras().backend.backend() == "jax"
        self._trainer = _trainers.JaxTrainer if on_jax else _trainers.KerasTrainer

    def __enter__(self):
        self._fit = fit = self._trainer.fit

        def timed(trainer, *args, **kwargs):
            taken, result = seconds(lambda: fit(trainer, *args, **kwargs))
            self.total += taken
            return result

        self._trainer.fit = timed
        return self

    def __exit__(self, *error):
        self._trainer.fit = self._fit


def run_fleet(arguments):
    """Time of a fleet, by one process and by several."""
    channels = [f"c{number}" for number in range(arguments.channels)]
    pieces = []
    for group in range(arguments.groups):
        piece = pd.DataFrame(
            readings(arguments.rows, arguments.channels, group), columns=channels
        )
        pieces.append(piece.assign(machine_id=group))
    frame = pd.concat(pieces)
    results = {}
    for name in arguments.detectors:
        detector = detectors(arguments.epochs)[name]
        fleet = FleetDetector(detector, verbose=arguments.verbose)
        clone(detector).fit(pieces[0][channels])  # compiles
        with TrainingTime() as training:
            serial, _ = seconds(lambda fleet=fleet: fleet.fit(frame))
        scoring, scores = seconds(lambda fleet=fleet: fleet.score_samples(frame))
        result = {
            "fit_seconds": serial,
            "training_steps_seconds": training.total,
            "score_seconds": scoring,
        }
        if training.total:
            result["fit_by_training_steps"] = serial / training.total
        get_reusable_executor().shutdown(wait=True)  # new workers, all counted
        used = processor_seconds()
        parallel = clone(fleet).set_params(n_jobs=arguments.jobs)
        first, _ = seconds(lambda fleet=parallel: fleet.fit(frame))
        parallel_scoring, others = seconds(
            lambda fleet=parallel: fleet.score_samples(frame)
        )
        get_reusable_executor().shutdown(wait=True)
        used = processor_seconds() - used
        difference = np.abs(others - scores).max()
        result |= {
            "parallel_score_seconds": parallel_scoring,
            "parallel_fit_and_score_seconds": first + parallel_scoring,
            "parallel_fit_and_score_processor_seconds": used,
            "bar_seconds_of_1000_machines": 180,
            "jobs": arguments.jobs,
            "parallel_fit_seconds": first,
            "speedup": serial / first,
            "largest_difference_of_scores": float(difference),
        }
        results[name] = result
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return {
        "groups": arguments.groups,
        "rows_per_group": arguments.rows,
        "channels": arguments.channels,
        "epochs": arguments.epochs,
        "peak_megabytes": peak,
        "detectors": results,
    }


class PeakMemory:
    """The peak of the memory of this process within a context, in `megabytes`.

    Above what it is at the start. Linux only.
    """

    def __enter__(self):
        Path("/proc/self/clear_refs").write_text("5")
        self._start = self._read("VmRSS:")
        return self

    def __exit__(self, *error):
        self.megabytes = self._read("VmHWM:") - self._start

    def _read(self, name):
        words = Path("/proc/self/status").read_text().split()
        return int(words[words.index(name) + 1]) / 1e3


# Runs `score_one` in a process of its own.
SCORE_ONE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from scale import score_one
print(json.dumps(score_one(*sys.argv[2:])))
"""


def score_one(folder, lazy):
    """Time and memory of opening the file of a fleet and scoring one machine."""
    frame = pd.read_pickle(Path(folder, "one.pickle"))
    load(Path(folder, "fleet-small.skops")).score_samples(frame)  # imports
    used = processor_seconds()
    with PeakMemory() as peak:
        opening, fleet = seconds(
            lambda: load(Path(folder, "fleet.skops"), lazy=lazy == "lazy")
        )
        scoring, _ = seconds(lambda: fleet.score_samples(frame))
    return {
        "open_seconds": opening,
        "score_seconds": scoring,
        "processor_seconds": processor_seconds() - used,
        "megabytes": peak.megabytes,
    }


def run_file(arguments):
    """Time and memory of one machine from the file of a fleet."""
    channels = [f"c{number}" for number in range(arguments.channels)]
    pieces = [
        pd.DataFrame(
            readings(arguments.rows, arguments.channels, number), columns=channels
        ).assign(machine_id=number)
        for number in range(5)
    ]
    fleet = FleetDetector(detectors(1)[arguments.detector]).fit(pd.concat(pieces))
    with tempfile.TemporaryDirectory() as folder:
        small, path = Path(folder, "fleet-small.skops"), Path(folder, "fleet.skops")
        save(fleet, small)
        # The same models are repeated, one per name of a machine.
        fleet._models *= arguments.groups // len(pieces)
        fleet.groups_ = np.arange(len(fleet._models))
        saving, _ = seconds(lambda: save(fleet, path))
        pieces[1].to_pickle(Path(folder, "one.pickle"))
        found = {
            name: json.loads(
                subprocess.check_output(
                    [
                        *(sys.executable, "-c", SCORE_ONE),
                        *(str(Path(__file__).parent), folder, name),
                    ],
                    text=True,
                )
            )
            for name in ("lazy", "all")
        }
        size = path.stat().st_size / 1e6
    return {
        "groups": len(fleet.groups_),
        "detector": arguments.detector,
        "file_megabytes": size,
        "save_seconds": saving,
        "bars_of_lazy": {"seconds": 1, "megabytes": 50},
        **found,
    }


def run_long(arguments):
    """Time and memory of scoring a series in memory, within the library."""
    X = readings(arguments.rows, 4, 0)
    hybrid = HybridDetector(random_state=0)
    results = {
        "rows": arguments.rows,
        "channels": 4,
        "series_megabytes": X.nbytes / 1e6,
    }
    for name, detector in {**detectors(1), "hybrid": hybrid}.items():
        if name not in ("pca", "hybrid"):
            continue
        detector.fit(X[:20_000])
        detector_errors(detector, X[:20_000])  # compiles
        with PeakMemory() as peak:
            taken, scores = seconds(lambda d=detector: detector_errors(d, X))
        results[name] = {
            "score_seconds": taken,
            "megabytes_above_series_and_scores": peak.megabytes - scores.nbytes / 1e6,
            "bar_megabytes": 500,
        }
    return results


def run_wide(arguments):
    """Time and memory of the ensemble on a plant of many channels."""
    X = readings(arguments.rows, arguments.channels, 0)
    results = {
        "rows": arguments.rows,
        "channels": arguments.channels,
        "series_megabytes": X.nbytes / 1e6,
        "bars": {"seconds": 300, "megabytes": 4000},
    }
    for name in arguments.members:
        ensemble = make_ensemble(random_state=0)
        detector = dict(ensemble.detectors)[name] if name != "all" else ensemble
        detector = make_pipeline(StandardScaler(), detector)
        with warnings.catch_warnings(), PeakMemory() as peak:
            warnings.simplefilter("ignore")  # of channels that nothing predicts
            fitting, _ = seconds(lambda d=detector: d.fit(X))
            scoring, _ = seconds(lambda d=detector: d.score_samples(X))
        results[name] = {
            "fit_seconds": fitting,
            "score_seconds": scoring,
            "megabytes_above_series": peak.megabytes,
        }
    return results


def write_series(folder, rows, rows_per_file, channels):
    """A series in Parquet files, with faults, written piece by piece."""
    for number, start in enumerate(range(0, rows, rows_per_file)):
        n = min(rows_per_file, rows - start)
        X = readings(n, channels, 0)
        X[n // 2 : n // 2 + 20] += 5
        frame = pd.DataFrame(X, columns=[f"c{c}" for c in range(channels)])
        frame.index = pd.date_range("2024-01-01", periods=rows, freq="s")[
            start : start + n
        ]
        frame.to_parquet(folder / f"part-{number:05d}.parquet")


def worker_peak():
    """Peak of the memory of a process."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


def run_dask(arguments):
    """Time and memory of a Parquet-backed run on two worker processes."""
    import dask.dataframe as dd
    from distributed import Client, LocalCluster

    from tsanomaly import distributed

    detector = detectors(arguments.epochs)[arguments.detector]
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        source, target = Path(name, "readings"), Path(name, "scores")
        source.mkdir()
        write_series(source, arguments.rows, arguments.rows_per_file, 4)
        with (
            LocalCluster(
                n_workers=arguments.jobs,
                threads_per_worker=1,
                memory_limit=arguments.memory_limit,
                dashboard_address=None,
            ) as cluster,
            Client(cluster) as client,
        ):
            X = dd.read_parquet(source)
            fitting, _ = seconds(
                lambda: distributed.fit(detector, X, n_blocks=20, random_state=0)
            )
            scores = distributed.score_samples(detector, X)
            scoring, _ = seconds(lambda: scores.to_frame().to_parquet(target))
            peaks = client.run(worker_peak)
        differences = compare_borders(detector, source, target, arguments)
    return {
        "rows": arguments.rows,
        "channels": 4,
        "detector": arguments.detector,
        "partitions": X.npartitions,
        "workers": arguments.jobs,
        "memory_limit": arguments.memory_limit,
        "fit_seconds": fitting,
        "score_seconds": scoring,
        "rows_per_second": arguments.rows / scoring,
        "peak_megabytes_of_workers": sorted(peaks.values()),
        "peak_megabytes_of_client": worker_peak(),
        **differences,
    }


def compare_borders(detector, source, target, arguments):
    """Compare scores next to the borders of files with those of a continuous series."""
    scores = pd.read_parquet(target)["score"]
    files = sorted(source.iterdir())
    differences = []
    for before, after in list(pairwise(files))[::10]:
        pair = pd.concat(
            [pd.read_parquet(before)[-2000:], pd.read_parquet(after)[:1000]]
        )
        whole = detector.score_samples(pair)[1000:]
        differences.append(np.abs(scores[pair.index[1000:]] - whole).max())
    return {
        "rows_scored": int(scores.notna().sum()),
        "largest_difference_at_borders": float(max(differences, default=0.0)),
        "borders_compared": len(differences),
    }


def main():
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parts = parser.add_subparsers(dest="part", required=True)
    fleet = parts.add_parser("fleet", help="one model per machine")
    fleet.add_argument("--groups", type=int, default=200)
    fleet.add_argument("--rows", type=int, default=2000, help="of each machine")
    fleet.add_argument("--channels", type=int, default=4)
    fleet.add_argument("--epochs", type=int, default=10)
    fleet.add_argument("--jobs", type=int, default=2)
    fleet.add_argument("--verbose", type=int, default=0)
    fleet.add_argument(
        "--detectors", nargs="+", default=["network", "pca"], choices=detectors(1)
    )
    file = parts.add_parser("file", help="one machine of the file of a fleet")
    file.add_argument("--groups", type=int, default=1000)
    file.add_argument("--rows", type=int, default=2000, help="of each machine")
    file.add_argument("--channels", type=int, default=4)
    file.add_argument("--detector", default="ensemble", choices=detectors(1))
    series = parts.add_parser("long", help="a series in memory")
    series.add_argument("--rows", type=int, default=10_000_000)
    plant = parts.add_parser("wide", help="many channels")
    plant.add_argument("--rows", type=int, default=50_000)
    plant.add_argument("--channels", type=int, default=500)
    plant.add_argument(
        "--members",
        nargs="+",
        default=["all"],
        choices=["all", "network", "autoregression", "neighbors"],
    )
    cluster = parts.add_parser("dask", help="a series in Parquet files")
    cluster.add_argument("--rows", type=int, default=10_000_000)
    cluster.add_argument("--rows-per-file", type=int, default=200_000)
    cluster.add_argument("--detector", choices=["pca", "network"], default="pca")
    cluster.add_argument("--epochs", type=int, default=10)
    cluster.add_argument("--jobs", type=int, default=2)
    cluster.add_argument("--memory-limit", default="2GB", help="of each worker")
    cluster.add_argument("--folder", help="for temporary files")
    arguments = parser.parse_args()
    packages = ["tsanomaly", "numpy", "pandas", "scikit-learn", "joblib"]
    packages += ["keras", "jax", "dask", "distributed", "pyarrow"]
    before = surroundings(packages)
    run = {
        "fleet": run_fleet,
        "file": run_file,
        "dask": run_dask,
        "long": run_long,
        "wide": run_wide,
    }
    results = run[arguments.part](arguments)
    print(json.dumps({**before, arguments.part: results}, indent=2))


if __name__ == "__main__":
    main()
