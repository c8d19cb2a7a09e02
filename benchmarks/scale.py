# SPDX-License-Identifier: MIT
"""Fleets and clusters: what many machines, and many rows, cost.

    python benchmarks/scale.py fleet --groups 200 --rows 2000
    python benchmarks/scale.py dask --rows 10_000_000

Prints JSON, with the machine and the versions. Bars: a fleet of 200 machines with 2,000
rows each is fitted in at most 1.2 times the sum of the training steps, and on two cores
1.6 times faster by two processes than by one; 10,000,000 rows in Parquet files are
scored with less than 2 GB in each worker.
"""

import argparse
import json
import os
import platform
import resource
from importlib.metadata import version
from time import perf_counter

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tsanomaly import (
    FleetDetector,
    LSTMAutoencoderDetector,
    ReconstructionError,
    ReconstructionThreshold,
    WindowTransformer,
)


def processor():
    """What the operating system calls the processor."""
    try:
        with open("/proc/cpuinfo") as file:
            names = [line for line in file if line.startswith("model name")]
        return names[0].split(":")[1].strip()
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


def surroundings(packages):
    """Machine and versions, and how busy the machine is."""
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
    }


def readings(rows, channels, seed):
    """A noisy oscillation in every channel."""
    rng = np.random.default_rng(seed)
    phase = np.arange(rows)[:, None] / rng.uniform(5, 30, channels)
    return np.sin(phase) + 0.1 * rng.normal(size=(rows, channels))


def seconds(call):
    """Time of a call, and what it returned."""
    start = perf_counter()
    result = call()
    return perf_counter() - start, result


class TrainingTime:
    """The time that is spent in training steps, once they are compiled.

    Used as a context: within it, `total` adds up what `keras.Model.fit` takes.
    """

    def __init__(self):
        self.total = 0.0

    def __enter__(self):
        import keras

        self._model, self._fit = keras.Model, keras.Model.fit

        def timed(model, *args, **kwargs):
            taken, result = seconds(lambda: self._fit(model, *args, **kwargs))
            self.total += taken
            return result

        keras.Model.fit = timed
        return self

    def __exit__(self, *error):
        self._model.fit = self._fit


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
    for name, detector in detectors(arguments.epochs).items():
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
        parallel = clone(fleet).set_params(n_jobs=arguments.jobs)
        first, _ = seconds(lambda fleet=parallel: fleet.fit(frame))
        again, _ = seconds(lambda fleet=parallel: fleet.fit(frame))
        difference = np.abs(parallel.score_samples(frame) - scores).max()
        result |= {
            "jobs": arguments.jobs,
            "parallel_fit_seconds": first,
            "parallel_fit_seconds_workers_warm": again,
            "speedup": serial / first,
            "speedup_workers_warm": serial / again,
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
    arguments = parser.parse_args()
    packages = ["tsanomaly", "numpy", "pandas", "scikit-learn", "joblib"]
    packages += ["keras", "jax"]
    before = surroundings(packages)
    results = run_fleet(arguments)
    print(json.dumps({**before, arguments.part: results}, indent=2))


if __name__ == "__main__":
    main()
