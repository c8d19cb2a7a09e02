# SPDX-License-Identifier: MIT
"""Training and scoring on a GPU or a CPU, by every Keras backend that is installed.

    python benchmarks/speed.py --device gpu --json gpu.json
    python benchmarks/speed.py --device cpu --json cpu.json

The script measures windows per second of the published network of 61,972 parameters, in
float32 and in bfloat16 (Keras' policy mixed_bfloat16, which keeps weights in float32).
Each backend and precision runs in its own process, with increasing batch sizes until
the rate stops rising. On jax in float32, the library's own training and scoring are
measured, too. The library rejects other precisions, so bfloat16 is Keras alone.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np

BACKENDS = ("jax", "torch", "tensorflow")
PRECISIONS = ("float32", "bfloat16")

# Windows in a batch, tried in this order.
BATCHES = {
    "gpu": (64, 256, 1024, 4096, 16_384, 65_536),
    "cpu": (32, 64, 128, 256, 512),
}

# A larger batch must be faster by this factor; otherwise no larger ones are tried.
WORTH_IT = 1.1

WINDOW_SIZE, N_CHANNELS = 50, 4

NO_GPU = (
    "No GPU is found by {backends}. Install a backend for the GPU, for example with "
    "pip install 'jax[cuda12]', check that nvidia-smi lists it, or measure with "
    "--device cpu."
)


def gpu_name(backend):
    """Name of the GPU that a backend uses, None without one."""
    if backend == "jax":
        import jax

        try:
            return jax.devices("gpu")[0].device_kind
        except RuntimeError:  # no such platform
            return None
    if backend == "torch":
        import torch

        return torch.cuda.get_device_name() if torch.cuda.is_available() else None
    import tensorflow as tf

    found = tf.config.list_physical_devices("GPU")
    if not found:
        return None
    details = tf.config.experimental.get_device_details(found[0])
    return details.get("device_name", found[0].name)


def rate(function, n_windows, seconds):
    """Windows a second: the median of three turns of some seconds after the first."""
    function()  # compiles
    rates = []
    for _ in range(3):
        n_calls, start = 0, perf_counter()
        while n_calls == 0 or perf_counter() - start < seconds:
            function()
            n_calls += 1
        rates.append(n_calls * n_windows / (perf_counter() - start))
    return statistics.median(rates)


def best_rate(prepare, batches, seconds):
    """Increase the batch size until the rate stops rising.

    Parameters
    ----------
    prepare : callable
        Takes a batch size, and returns what is timed and how many windows it takes.

    Returns
    -------
    best : dict
        Batch size and windows a second of the fastest, `tried` with all, and `ended`,
        the error of a batch that did not fit into memory.
    """
    tried, ended = {}, None
    for batch_size in batches:
        before = max(tried.values(), default=0)
        try:
            tried[batch_size] = rate(*prepare(batch_size), seconds)
        except Exception as error:  # out of memory: each backend has its own
            if not tried:
                raise
            ended = f"{type(error).__name__}: {error}"[:200]
            break
        if tried[batch_size] < WORTH_IT * before:
            break
    fastest = max(tried, key=tried.get)
    best = {"batch_size": fastest, "windows_per_second": tried[fastest]}
    return {**best, "tried": tried, "ended": ended}


def keras_rates(precision, batches, seconds):
    """Rates of the network with Keras' own training step and forward pass."""
    from tsanomaly._backend import import_keras
    from tsanomaly._network import build_lstm_autoencoder

    keras = import_keras()
    policy = "float32" if precision == "float32" else "mixed_bfloat16"
    keras.config.set_dtype_policy(policy)
    model = build_lstm_autoencoder(WINDOW_SIZE, N_CHANNELS, (64, 32), 16, 0)
    rng = np.random.default_rng(0)
    model.set_weights([0.1 * rng.normal(size=w.shape) for w in model.weights])
    model.compile(optimizer=keras.optimizers.Adam(0.003, clipnorm=1.0), loss="mse")

    def windows(batch_size):
        shape = batch_size, WINDOW_SIZE, N_CHANNELS
        return rng.standard_normal(shape, dtype=np.float32)

    def training(batch_size):
        x = windows(batch_size)
        return lambda: float(model.train_on_batch(x, x)), batch_size

    def scoring(batch_size):
        x = windows(batch_size)
        return lambda: model.predict_on_batch(x), batch_size

    return {
        "training": best_rate(training, batches, seconds),
        "scoring": best_rate(scoring, batches, seconds),
    }


def library_rates(batches, seconds):
    """Rates of the library's own training and scoring, which sets its own batches."""
    from speed import PUBLISHED, plant, small_fit

    from tsanomaly._windows import TrailingWindows

    train, X = plant(20_000)
    detector = small_fit(train, **{**PUBLISHED, "epochs": 1}, row_error="last")
    readings = train.astype(np.float32)
    windows = TrailingWindows(readings, WINDOW_SIZE, np.zeros(len(train), dtype=bool))
    network = detector._network()

    def training(batch_size):
        n_windows = min(8 * batch_size, len(windows.rows) // batch_size * batch_size)

        def run():
            network.train(
                windows,
                windows.rows,
                windows.rows[:0],
                seed=0,
                epochs=1,
                batch_size=batch_size,
                learning_rate=0.003,
                windows_per_epoch=n_windows,
                n_iter_no_change=5,
                verbose=0,
            )

        return run, n_windows

    batches = [size for size in batches if size <= len(windows.rows)]
    scoring = rate(lambda: detector.score_samples(X), len(X), seconds)
    return {
        "training": best_rate(training, batches, seconds),
        "scoring": {"windows_per_second": scoring},
    }


def measure(arguments):
    """One backend in one precision, in this process."""
    backend = os.environ["KERAS_BACKEND"]
    name = gpu_name(backend)
    if arguments.device == "gpu" and name is None:
        return {"no_gpu": True}
    batches = BATCHES[arguments.device][: arguments.most_batches]
    figures = {"gpu": name}
    if backend == "jax" and arguments.precision == "float32":
        figures["library"] = library_rates(batches, arguments.seconds)
    figures["keras"] = keras_rates(arguments.precision, batches, arguments.seconds)
    return figures


def driver():
    """Return the GPUs as listed by nvidia-smi, None without it."""
    if not which("nvidia-smi"):
        return None
    query = "--query-gpu=name,driver_version,memory.total"
    done = subprocess.run(
        ["nvidia-smi", query, "--format=csv,noheader"], capture_output=True, text=True
    )
    return done.stdout.strip() or None


def in_a_process(backend, precision, arguments):
    """Measure a backend in one precision, or return the error that ended it."""
    environment = {**os.environ, "KERAS_BACKEND": backend}
    if arguments.device == "cpu":
        environment |= {"CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
    with TemporaryDirectory() as folder:
        path = Path(folder, "figures.json")
        command = [sys.executable, __file__, "--device", arguments.device]
        command += ["--precision", precision, "--row-json", str(path)]
        command += ["--seconds", str(arguments.seconds)]
        command += ["--most-batches", str(arguments.most_batches)]
        done = subprocess.run(command, env=environment, stderr=subprocess.PIPE)
        if path.exists():
            return json.loads(path.read_text())
        said = done.stderr.decode(errors="replace").strip().splitlines()
        return {"failed": said[-1] if said else f"exit status {done.returncode}"}


def fastest(rows):
    """The backend with the highest rate, of training and scoring in each precision."""
    found = {}
    for (backend, precision), figures in rows.items():
        for by in ("library", "keras"):
            for what, best in figures.get(by, {}).items():
                key, rate = f"{what}_{precision}", best["windows_per_second"]
                if key not in found or rate > found[key]["windows_per_second"]:
                    found[key] = {"backend": backend, "by": by, **best}
    return found


def main(arguments, about):
    """Measure, print and save; `about` describes the machine."""
    backends = [name for name in BACKENDS if find_spec(name)]
    about = {**about, "device": arguments.device, "driver": driver()}
    rows = {}
    for backend in backends:
        for precision in PRECISIONS:
            figures = in_a_process(backend, precision, arguments)
            rows[backend, precision] = figures
            print(backend, precision, json.dumps(figures), flush=True)
    if all(figures.get("no_gpu") for figures in rows.values()):
        sys.exit(NO_GPU.format(backends=", ".join(backends) or "any backend"))
    named = {f"{backend}_{precision}": f for (backend, precision), f in rows.items()}
    result = {**about, "fastest": fastest(rows), "rows": named}
    print(json.dumps(result["fastest"], indent=1))
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1))


def add_options(parser):
    """Options of `main`."""
    parser.add_argument(
        "--device", choices=BATCHES, help="measure on it, by all Keras backends"
    )
    parser.add_argument("--seconds", type=float, default=2.0, help="of a measurement")
    parser.add_argument(
        "--most-batches", type=int, default=9, help="sizes of batches, at most"
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_options(parser)
    parser.add_argument("--precision", choices=PRECISIONS, required=True)
    parser.add_argument("--row-json", type=Path, required=True)
    given = parser.parse_args()
    given.row_json.write_text(json.dumps(measure(given)))
