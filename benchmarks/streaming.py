# SPDX-License-Identifier: MIT
"""StreamingDetector: milliseconds per reading, and memory over many readings.

    python benchmarks/streaming.py

Bars: with a scaler and the network of 61,972 parameters a median of 1.0 ms and a 99th
percentile of 3 ms; with a forest at most twice the time of its own `score_samples` on
one row, measured in turns; no growth of memory over a million updates.
"""

import argparse
import pickle
import platform
import resource
from importlib.metadata import version
from time import perf_counter

import numpy as np
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tsanomaly import (
    HybridDetector,
    LSTMAutoencoderDetector,
    ReconstructionError,
    ReconstructionThreshold,
    StreamingDetector,
    TemporalFeatures,
    Training,
    WindowTransformer,
)
from tsanomaly.datasets import make_sensor_data


def detectors():
    """Detectors by name; not fitted."""
    short = Training(windows_per_epoch=64)
    network = LSTMAutoencoderDetector(
        50,
        units=(64, 32),
        latent_dim=16,
        epochs=1,
        training=short,
        random_state=0,
    )
    small = LSTMAutoencoderDetector(epochs=1, training=short, random_state=0)
    forest = IsolationForest(random_state=0)
    errors = ReconstructionError(PCA(0.9)), ReconstructionThreshold()
    return {
        "network, 61,972 parameters": make_pipeline(StandardScaler(), network),
        "the same, threshold": make_pipeline(
            StandardScaler(), network, ReconstructionThreshold()
        ),
        "network, default": make_pipeline(StandardScaler(), small),
        "PCA, windows of 10": make_pipeline(
            StandardScaler(), WindowTransformer(10), *errors
        ),
        "LOF": make_pipeline(StandardScaler(), LocalOutlierFactor(novelty=True)),
        "cascade, default": make_pipeline(
            StandardScaler(), HybridDetector(detector=small, random_state=0)
        ),
        "forest": forest,
        "scaler, forest": make_pipeline(StandardScaler(), forest),
        "features, scaler, forest": make_pipeline(
            TemporalFeatures(calendar=False), StandardScaler(), forest
        ),
    }


def milliseconds(calls, rows):
    """Median and 99th percentile of the time of functions of a row, called in turns."""
    for row in rows[:20]:
        for call in calls:
            call(row)
    times = np.empty((len(rows), len(calls)))
    for number, row in enumerate(rows):
        for position, call in enumerate(calls):
            start = perf_counter()
            call(row)
            times[number, position] = perf_counter() - start
    return 1e3 * np.percentile(times, [50, 99], axis=0).T


def alone(detector, frame):
    """Score a prepared row with the forest at the end of a pipeline."""
    if not hasattr(detector, "steps"):
        return detector, frame[-1:]
    return detector[-1], detector[:-1].transform(frame)[-1:]


def main():
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=2000, help="for every detector")
    parser.add_argument("--many", type=int, default=1_000_000, help="for memory")
    arguments = parser.parse_args()
    packages = ("tsanomaly", "keras", "jax", "scikit-learn", "numpy", "pandas")
    print(platform.processor() or platform.machine(), {p: version(p) for p in packages})
    frame = make_sensor_data(5000 + arguments.rows, random_state=0).frame
    train, test = frame[:5000], frame[5000:].to_numpy()
    for kind, fitted_on in (("array", train.to_numpy()), ("frame", train)):
        for name, detector in detectors().items():
            detector.fit(fitted_on)
            stream = StreamingDetector(detector).warm_up(fitted_on)
            calls = [stream.update]
            if "forest" in name:
                forest, row = alone(detector, fitted_on[-50:])
                calls.append(lambda _, f=forest, row=row: f.score_samples(row))
            results = milliseconds(calls, test)
            line = "{:.2f} ms, 99 % {:.2f} ms".format(*results[0])
            if len(calls) > 1:
                line += "; forest alone {:.2f} ms, 99 % {:.2f} ms".format(*results[1])
                line += f"; {results[0, 0] / results[1, 0]:.2f} times"
            print(f"{kind}, {name}: {line}", flush=True)
    detector = detectors()["network, 61,972 parameters"].fit(train)
    stream = StreamingDetector(detector)
    stream.update_many(test)
    sizes = []
    for number in range(arguments.many):
        if number % (arguments.many // 10) == 0:
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
            sizes.append((round(peak), len(pickle.dumps(stream))))
        stream.update(test[number % len(test)])
    print(f"{arguments.many:,} updates: peak MB and bytes of the stream {sizes}")


if __name__ == "__main__":
    main()
