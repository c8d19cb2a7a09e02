# SPDX-License-Identifier: MIT
"""The library's own code for networks on jax agrees with Keras."""

import threading

import numpy as np
import pytest

from tests.helpers import reconstruction_of, run_python, tiny_detector, wave
from tsanomaly import _network, _trainers
from tsanomaly._backend import import_keras
from tsanomaly._threads import side_by_side

pytestmark = pytest.mark.network

ARCHITECTURES = [
    {"units": (6, 4), "latent_dim": 3},
    {"units": (5,), "latent_dim": None},
    {"units": (7,), "latent_dim": 2, "dropout": 0.5},
    {"units": (4, 5, 3), "latent_dim": None, "dropout": 0.2},
    {"units": (5,), "latent_dim": "sequence"},
    {"units": (6, 4), "latent_dim": "sequence"},
    {"units": (4, 5), "latent_dim": "sequence", "dropout": 0.3},
]


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=repr)
def test_reconstructions_are_those_of_keras(architecture):
    X = wave(60, 3)
    detector = tiny_detector(**architecture, linear_variance=0).fit(X)
    windows = np.lib.stride_tricks.sliding_window_view(X, 5, axis=0).swapaxes(1, 2)
    expected = reconstruction_of(detector)(windows)
    reconstructed = detector.reconstruct(X)[4:]
    np.testing.assert_allclose(reconstructed, expected[:, -1], atol=1e-5)


def lstm(rows, kernel, recurrent, bias):
    """What an LSTM layer gives for every row, one after the other."""
    hidden = cell = np.zeros(len(recurrent))
    outputs = []
    for row in rows:
        parts = np.split(row @ kernel + hidden @ recurrent + bias, 4)
        i, f, o = (1 / (1 + np.exp(-parts[gate])) for gate in (0, 1, 3))
        cell = f * cell + i * np.tanh(parts[2])
        hidden = o * np.tanh(cell)
        outputs.append(hidden)
    return np.array(outputs)


@pytest.mark.parametrize("units", [(5,), (6, 4)])
def test_the_decoder_reads_what_the_encoder_gives_from_the_last_row_on(units):
    X = wave(60, 3)
    detector = tiny_detector(units=units, latent_dim="sequence", linear_variance=0)
    detector.fit(X)
    reconstructed = detector.reconstruct(X)
    weights = detector.weights_
    layers = [weights[i : i + 3] for i in range(0, 6 * len(units), 3)]
    kernel, bias = weights[-2:]
    for row in (4, 20, 59):
        rows = X[row - 4 : row + 1] - detector.center_
        for layer in layers[: len(units)]:
            rows = lstm(rows, *layer)
        rows = rows[::-1]
        for layer in layers[len(units) :]:
            rows = lstm(rows, *layer)
        # The first that it gives is the last row.
        expected = rows[0] @ kernel + bias + detector.center_
        np.testing.assert_allclose(reconstructed[row], expected, atol=1e-5)


@pytest.mark.parametrize("latent_dim", [2, "sequence"])
def test_a_model_is_saved_as_one_of_keras(latent_dim):
    """Without anything of this package, so that Keras alone can load it."""
    keras = import_keras()
    detector = tiny_detector(units=(4, 3), latent_dim=latent_dim).fit(wave(60))
    model = detector.to_keras()
    text = model.to_json()
    assert "tsanomaly" not in text
    again = keras.models.model_from_json(text)
    assert [w.shape for w in again.weights] == [w.shape for w in model.weights]
    again.set_weights(detector.weights_)
    windows = wave(50).reshape(10, 5, 2)
    np.testing.assert_array_equal(
        again.predict_on_batch(windows), model.predict_on_batch(windows)
    )
    assert type(again.layers[1].kernel_initializer) is keras.initializers.Zeros


@pytest.mark.parametrize(
    "parameters",
    [
        # Each of these takes four programs to compile, so each tests two things.
        {
            "units": (6, 4),
            "latent_dim": 3,
            "linear_variance": 0,
            "noise": 0,
            "batch_size": 33,
        },
        {"latent_dim": "sequence", "batch_size": 1, "windows_per_epoch": 20},
        {"units": (6, 4), "latent_dim": "sequence"},
        {"batch_size": 130, "validation_fraction": 0.3, "epochs": 4},
    ],
    ids=repr,
)
def test_training_is_that_of_keras(parameters, monkeypatch):
    X = wave(300)
    parameters = {"epochs": 2, "batch_size": 16, **parameters}
    # Which windows an epoch draws depends on the version of Keras: the same in all.
    batches = _trainers.batch_class()
    draw = batches.on_epoch_end
    monkeypatch.setattr(
        batches, "on_epoch_end", lambda self: draw(self) if self._epoch < 0 else None
    )
    monkeypatch.setattr(_network, "_networks", type(_network._networks)())
    detector = tiny_detector(**parameters).fit(X)
    monkeypatch.setattr(_network, "_networks", type(_network._networks)())
    monkeypatch.setattr(_network.Network, "_runs_on_jax", lambda self: False)
    by_keras = tiny_detector(**parameters).fit(X)
    for name, values in by_keras.history_.items():
        np.testing.assert_allclose(detector.history_[name], values, rtol=1e-4)
    for own, expected in zip(detector.weights_, by_keras.weights_, strict=True):
        np.testing.assert_allclose(own, expected, atol=1e-5)


@pytest.mark.parametrize("batch_size", [2, 7, 16])
def test_threads_that_share_a_batch_out_change_nothing(batch_size, monkeypatch):
    X = wave(300)
    X[40:60, 1] = np.nan
    parameters = {"batch_size": batch_size, "windows_per_epoch": 40, "dropout": 0}
    n_parts = []
    share_out = _trainers.JaxTrainer._share_out

    def recorded(self, *batch):
        parts = share_out(self, *batch)
        n_parts.append(len(parts))
        return parts

    monkeypatch.setattr(_trainers.JaxTrainer, "_share_out", recorded)
    on_jax = import_keras().backend.backend() == "jax"  # Keras trains elsewhere
    alone = tiny_detector(**parameters).fit(X)
    assert set(n_parts) == ({1} if on_jax else set())
    n_parts.clear()
    monkeypatch.setattr(_trainers, "_WORTH_A_THREAD", 1)
    shared = tiny_detector(**parameters).fit(X)
    assert set(n_parts) == ({2} if on_jax else set())
    for own, expected in zip(shared.weights_, alone.weights_, strict=True):
        np.testing.assert_allclose(own, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("n_windows", "width", "n_parts"),
    [(1, 2000, 1), (31, 16, 1), (32, 16, 1), (32, 32, 2), (33, 2, 2), (65, 64, 3)],
)
def test_parts_of_a_batch(n_windows, width, n_parts, monkeypatch):
    trainer = object.__new__(_trainers.JaxTrainer)
    trainer._widest = width
    target = np.arange(n_windows * 6.0).reshape(n_windows, 3, 2)
    target[0, 1, 1] = np.nan
    parts = trainer._share_out(target, target)
    assert len(parts) == n_parts
    assert len({seen.shape for seen, _, _ in parts}) == 1
    first = np.concatenate([seen[:, 0, 0] for seen, _, _ in parts])
    counted = np.concatenate([part[2] for part in parts])
    assert sorted(first[counted > 0]) == target[:, 0, 0].tolist()
    weight = 1 / (1 - 1 / target.size) / n_windows
    np.testing.assert_allclose(counted[counted > 0], weight, rtol=1e-6)


def test_double_precision_in_jax():
    """What else runs in the process may have set it, for all threads."""
    code = """
from tests.helpers import tiny_detector, wave
detector = tiny_detector(linear_variance=0).fit(wave(60))
print(*detector.score_samples(wave(60)))
"""
    double = np.array(run_python(code, JAX_ENABLE_X64="1").split(), dtype=float)
    X = wave(60)
    single = tiny_detector(linear_variance=0).fit(X).score_samples(X)
    np.testing.assert_allclose(double, single, rtol=1e-3)


@pytest.mark.parametrize("latent_dim", [None, "sequence"])
def test_dropout_drops_in_training_alone(latent_dim):
    X = wave(300)
    parameters = {"epochs": 2, "noise": 0, "linear_variance": 0}
    parameters["latent_dim"] = latent_dim
    losses = {
        dropout: tiny_detector(dropout=dropout, units=(4, 3), **parameters).fit(X)
        for dropout in (0.0, 0.6)
    }
    plain, dropped = (detector.history_["loss"] for detector in losses.values())
    assert plain != dropped
    detector = losses[0.6]
    np.testing.assert_array_equal(detector.score_samples(X), detector.score_samples(X))


def test_batches_that_are_not_asked_for_are_not_computed():
    """A consumer that stops early does not wait for the rest, nor leaves threads."""
    computed = []

    def recorded(item):
        computed.append(item)
        return item

    results = side_by_side(recorded, range(1000))
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    results.close()
    assert len(computed) < 100
    assert list(side_by_side(recorded, iter(range(50)))) == list(range(50))


@pytest.mark.parametrize("n_items", [0, 1])
def test_one_item_needs_no_thread(n_items):
    threads = list(side_by_side(lambda _: threading.current_thread(), range(n_items)))
    assert threads == [threading.main_thread()] * n_items
