# SPDX-License-Identifier: MIT
"""Size of saved models, and seconds to save and load them in new processes.

    python benchmarks/saved_models.py

Bars, for units=(64, 32), latent_dim=16, four channels (61,972 weights): under 1 MB, and
loaded in under 1 s beyond the import of Keras.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tsanomaly

RUNS = 5

LOAD = """
import sys
from time import perf_counter

import numpy as np
import tsanomaly
from tsanomaly._backend import import_keras

if sys.argv[2] == "True":
    import_keras()
X = np.random.default_rng(1).normal(size=(1, 4))
start = perf_counter()
model = tsanomaly.load(sys.argv[1])
loaded = perf_counter()
model.score_samples(X)
print(loaded - start, perf_counter() - loaded)
"""


def main():
    """Run and print."""
    X = np.random.default_rng(0).normal(size=(10_000, 4))
    network = tsanomaly.LSTMAutoencoderDetector(
        units=(64, 32), latent_dim=16, linear_variance=0.0, epochs=1, random_state=0
    )
    models = {
        "network, 61,972 parameters": make_pipeline(StandardScaler(), network),
        "forest, 100 trees": IsolationForest(random_state=0),
        "neighbours, 10,000 rows": LocalOutlierFactor(novelty=True),
    }
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.skops")
        tsanomaly.save(StandardScaler().fit(X), path)  # imports what it needs
        for name, model in models.items():
            model.fit(X[:2000] if "network" in name else X)
            if "network" in name:
                n_parameters = sum(weights.size for weights in network.weights_)
                assert n_parameters == 61_972
            start = perf_counter()
            tsanomaly.save(model, path)
            saving = perf_counter() - start
            command = [sys.executable, "-c", LOAD, str(path), str("network" in name)]
            times = np.array(
                [
                    subprocess.check_output(command, text=True).split()
                    for _ in range(RUNS)
                ],
                dtype=float,
            )
            load, score = np.median(times, axis=0)
            print(
                f"{name}: {path.stat().st_size / 1e6:.3f} MB, save {saving:.2f} s, "
                f"load {load:.2f} s (at most {times[:, 0].max():.2f} s), "
                f"first score {score:.2f} s"
            )


if __name__ == "__main__":
    main()
