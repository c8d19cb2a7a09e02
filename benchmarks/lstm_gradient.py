# SPDX-License-Identifier: MIT
"""The gradient of an LSTM layer: written by hand, against the one derived by jax.

    python benchmarks/lstm_gradient.py

The 75 lines of the library's own gradient in `_lstm.py` are worth keeping as long as a
training step of the default network takes 1.3 times as long without them. A step is the
gradient of the loss and the update by Adam, in one thread of the caller. Both versions
take turns, a few steps each, so that other work on the machine affects both equally.
"""

import argparse
import statistics
from time import perf_counter, process_time

import numpy as np

from tsanomaly._backend import import_keras
from tsanomaly._network import build_lstm_autoencoder

BAR = 1.3
N_CHANNELS = 4
NETWORKS = {
    "default": {"window_size": 80, "units": (16,), "latent_dim": 4, "batch_size": 32},
    "published": {
        "window_size": 50,
        "units": (64, 32),
        "latent_dim": 16,
        "batch_size": 64,
    },
}


def derived(z, recurrent):
    """Compute `_lstm._lstm` without its own gradient."""
    import jax.numpy as jnp
    from jax import lax

    from tsanomaly._lstm import _cell

    zeros = jnp.zeros((z.shape[1], len(recurrent)), z.dtype)

    def step(state, z):
        state = _cell(z, recurrent, state)
        return state, state[0]

    return lax.scan(step, (zeros, zeros), z)[1]


def make_step(layer, *, window_size, units, latent_dim, batch_size):
    """Return a compiled training step, its initial state, and seconds to compile it."""
    import jax

    from tsanomaly import _lstm

    model = build_lstm_autoencoder(N_CHANNELS, window_size, units, latent_dim, 0.0)
    program = _lstm.LSTMProgram(len(units), True, 0.0)
    optimizer = import_keras().optimizers.Adam()
    optimizer.build(model.trainable_variables)
    gradient = jax.value_and_grad(program.loss)
    counted = np.full(batch_size, 1 / batch_size, dtype=np.float32)

    @jax.jit
    def step(state, weights, windows):
        _, gradients = gradient(weights, windows, windows, counted, 0, 0)
        weights, state = optimizer.stateless_apply(state, gradients, weights)
        return state, weights

    shape = (batch_size, window_size, N_CHANNELS)
    windows = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    start = (
        [jax.numpy.asarray(variable.value) for variable in optimizer.variables],
        [jax.numpy.asarray(weight.value) for weight in model.weights],
        jax.device_put(windows),
    )
    by_hand, _lstm._lstm = _lstm._lstm, layer  # looked up when the step is compiled
    try:
        began = perf_counter()
        compiled = step.lower(*start).compile()
        return compiled, start, perf_counter() - began
    finally:
        _lstm._lstm = by_hand


def milliseconds(step, start, n_steps):
    """Milliseconds of a step: on the clock, and of processor time."""
    import jax

    state, weights, windows = start
    began, began_cpu = perf_counter(), process_time()
    for _ in range(n_steps):
        state, weights = jax.block_until_ready(step(state, weights, windows))
    took, took_cpu = perf_counter() - began, process_time() - began_cpu
    return 1000 * took / n_steps, 1000 * took_cpu / n_steps


def main():
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--steps", type=int, default=20, help="of a repeat")
    arguments = parser.parse_args()
    if import_keras().backend.backend() != "jax":
        parser.error("Only on jax is the gradient the library's own.")
    from tsanomaly._lstm import _lstm

    for name, network in NETWORKS.items():
        layers = {"by hand": _lstm, "derived": derived}
        made = {key: make_step(layer, **network) for key, layer in layers.items()}
        times = {key: [] for key in layers}
        for _ in range(arguments.repeats):
            for key, (step, start, _) in made.items():
                times[key].append(milliseconds(step, start, arguments.steps))
        print(name)
        for key, values in times.items():
            clock, cpu = (
                statistics.median(column) for column in zip(*values, strict=True)
            )
            best = min(value for value, _ in values)
            print(
                f"  {key:8}  {clock:7.2f} ms a step (best {best:.2f}), {cpu:7.2f} ms "
                f"of processor time, compiled in {made[key][2]:.1f} s"
            )
        ratios = [
            [slow / fast for slow, fast in zip(*pair, strict=True)]
            for pair in zip(times["derived"], times["by hand"], strict=True)
        ]
        clock, cpu = (statistics.median(column) for column in zip(*ratios, strict=True))
        bar = f", bar {BAR}" if name == "default" else ""
        print(f"  ratio     {clock:7.2f}{bar}; {cpu:.2f} of processor time")


if __name__ == "__main__":
    main()
