# SPDX-License-Identifier: MIT
"""Build, train and run a Keras network that is compiled once per process.

A network is only an architecture. Its weights are NumPy arrays that are passed in and
returned, so that threads can score while another one trains.
"""

import random
import threading
from collections import OrderedDict
from contextlib import closing
from functools import partial
from numbers import Integral
from pickle import PicklingError

import joblib
import numpy as np

from tsanomaly._backend import import_keras, preserve_random_state
from tsanomaly._memory import release_memory
from tsanomaly._progress import tell
from tsanomaly._threads import side_by_side
from tsanomaly._trainers import (
    INPUT_LIMIT,
    Control,
    JaxTrainer,
    KerasTrainer,
    batch_class,
    to_numpy,
)

__all__ = [
    "SCORING_BATCH",
    "Network",
    "build_lstm_autoencoder",
    "get_lstm_autoencoder",
    "get_network",
    "identify",
]

# Number of windows per scoring batch. Larger batches were not faster on two CPU cores.
# With a fixed shape, nothing is compiled twice, and the result of a row does not depend
# on how many rows are scored with it.
SCORING_BATCH = 64


def build_lstm_autoencoder(window_size, n_channels, units, latent_dim, dropout):
    """Build an LSTM autoencoder, after Malhotra et al. (2016).

    Parameters
    ----------
    window_size, n_channels : int
        Shape of a window.
    units : tuple of int
        Widths of the LSTM layers of the encoder. The decoder mirrors them.
    latent_dim : int, None or 'sequence'
        Width of the dense layer between encoder and decoder. None omits it. With
        'sequence', the decoder reads the outputs of the encoder at all rows in reverse
        order.
    dropout : float
        Dropout rate in training, after every LSTM layer except the last one.

    Returns
    -------
    model : keras.Model
        Uncompiled model from windows (batch, window_size, n_channels) to their
        reconstruction. Kernels are zero, because weights are set later: this takes a
        fifth of the time.
    """
    layers = import_keras().layers

    def lstm(width, return_sequences=True, **options):
        return layers.LSTM(
            width,
            return_sequences=return_sequences,
            **options,
            kernel_initializer=_zeros,
            recurrent_initializer=_zeros,
        )

    def dense(width):
        return layers.Dense(width, kernel_initializer=_zeros, bias_initializer=_zeros)

    def dropped(x, seed):
        return layers.Dropout(dropout, seed=seed)(x) if dropout else x

    is_sequence = latent_dim == "sequence"
    windows = x = layers.Input((window_size, n_channels))
    for depth, width in enumerate(units[:-1]):
        x = dropped(lstm(width)(x), seed=depth)  # (batch, window_size, width)
    x = dropped(lstm(units[-1], return_sequences=is_sequence)(x), seed=len(units))
    if not is_sequence:
        if latent_dim is not None:
            x = dense(latent_dim)(x)
        x = layers.RepeatVector(window_size)(x)  # (batch, window_size, latent_dim)
    for depth, width in enumerate(reversed(units)):
        x = lstm(width, go_backwards=is_sequence and depth == 0)(x)
        if depth < len(units) - 1:
            x = dropped(x, seed=len(units) + 1 + depth)
    x = dense(n_channels)(x)
    if is_sequence:
        x = import_keras().ops.flip(x, axis=1)  # the decoder returns the last row first
    model = import_keras().Model(windows, x)
    zeros = import_keras().initializers.Zeros()
    for layer in model.layers:  # so that a saved model only refers to parts of Keras
        part = getattr(layer, "cell", layer)
        for name in ("kernel", "recurrent", "bias"):
            if getattr(part, f"{name}_initializer", None) is _zeros:
                setattr(part, f"{name}_initializer", zeros)
    return model


def _zeros(shape, dtype=None):
    """Return zeros of NumPy as a tensor.

    For zeros of jax, a program is compiled and kept for every shape: together with
    those of the optimiser and of weights without dtype, 10 MB per number of channels.
    """
    return _to_tensor(np.zeros(shape, dtype))


class Network:
    """An architecture, compiled once, that can train and run any set of weights.

    Parameters
    ----------
    build : callable
        Takes no argument and returns a new, uncompiled ``keras.Model`` that maps
        windows (batch, window_size, n_channels) to their reconstruction of the same
        shape, or to the next row, (batch, n_channels).
    window_size, n_channels : int
        Shape of the windows.
    lstm : tuple or None, default=None
        For the built-in network: number of LSTM layers of the encoder, link to the
        decoder, and dropout rate. On jax the network is then run by `_lstm` instead of
        Keras, and on all backends the initial weights are drawn here. For other
        networks, they come from a model returned by `build`, whose initialisers are
        seeded.
    """

    def __init__(self, build, window_size, n_channels, lstm=None):
        self._build = build
        self._window_shape = window_size, n_channels
        self._lstm = lstm
        # Determined when a model is built.
        self._forecasts = False if lstm else None
        self._width = None
        # Two locks, so that threads can score while another one trains.
        self._training_lock = threading.Lock()
        self._scoring_lock = threading.Lock()
        self._runner = None
        self._trainers = {}  # with default options, by whether readings are missing

    def build(self, weights=None, seed=0):
        """Return a new Keras model of this architecture."""
        import_keras()
        with preserve_random_state():
            # Keras draws the seeds of unseeded initialisers from this generator.
            random.seed(seed)
            model = self._build()
        if not self._lstm:
            output_shape = _check_model(model, *self._window_shape)
            self._forecasts = len(output_shape) == 2
            shapes = [weight.shape for weight in model.weights]
            self._width = sum(shape[-1] for shape in shapes if len(shape) > 1)
        _check_precision(model)
        if weights is not None:
            model.set_weights(weights)
        return model

    @property
    def forecasts(self):
        """Whether the network forecasts the row after a window."""
        if self._forecasts is None:
            self.build()
        return self._forecasts

    @property
    def width(self):
        """Estimated number of activations per row of a custom network."""
        if self._width is None:
            self.build()
        return self._width

    @property
    def n_rows(self):
        """Number of rows in a window, including a row to forecast."""
        return self._window_shape[0] + self.forecasts

    def train(
        self,
        windows,
        rows,
        validation_rows,
        *,
        seed,
        epochs,
        batch_size,
        learning_rate,
        windows_per_epoch,
        n_iter_no_change,
        verbose,
        noise=None,
        optimizer=None,
        loss=None,
        callbacks=(),
    ):
        """Train the network from scratch.

        All batches have the same shape, regardless of the length of the series: for a
        short series, windows are repeated within a batch.

        Parameters
        ----------
        windows : TrailingWindows
            Source of the windows of `n_rows` rows, float32. Missing readings (NaN) are
            filled in the input and ignored in the loss.
        rows, validation_rows : ndarray of int
            Rows whose windows are used for training, and for early stopping. Without
            validation rows, all epochs are run.
        seed : int
            Seed of initial weights, dropout and the sampling of windows.
        epochs, batch_size, learning_rate, windows_per_epoch, n_iter_no_change, verbose
            As in LSTMAutoencoderDetector and Training.
        noise : ndarray of shape (n_channels,) or None, default=None
            Standard deviation of the noise added to the input, but not to the target.
        optimizer, loss, callbacks
            As in Training. With any of them, the training loop of Keras is used, also
            on jax.

        Returns
        -------
        weights : list of ndarray
            Weights of the best epoch, or of the last one without validation rows.
        history : dict of str to list of float
            'loss', and 'val_loss' if there are validation rows, one value per epoch.

        Raises
        ------
        ValueError
            If the loss is not finite.
        """
        import_keras()  # raises in a forked child, where jax would hang
        n_batches = -(-min(windows_per_epoch, len(rows)) // batch_size)
        source = batch_class()
        masked = windows.imputer is not None
        at_defaults = optimizer is None and loss is None and not callbacks
        on_jax = at_defaults and self._runs_on_jax()
        kind = {"forecasts": self.forecasts}
        training = source(
            windows,
            rows,
            batch_size,
            n_batches,
            noise=noise,
            seed=seed,
            **kind,
        )
        validation = None
        if len(validation_rows):
            # Evenly spaced windows, with the same sampling rate as in an epoch.
            share = len(validation_rows) / len(rows)
            n_validation = max(1, round(share * n_batches))
            validation = source(
                windows, validation_rows, batch_size, n_validation, **kind
            )
        if optimizer is not None:
            learning_rate = None  # set by the optimizer
        control = Control(learning_rate, epochs, n_iter_no_change)
        options = {"seed": seed, "verbose": verbose}
        if at_defaults:
            trainer = self._get_trainer(masked, on_jax)
        else:
            trainer = KerasTrainer(self.build(), masked, optimizer, loss)
            options["callbacks"] = callbacks
        if self._lstm:
            initial = trainer.draw_weights(seed)
        else:
            initial = to_numpy(self.build(seed=seed).weights)
        history = trainer.fit(initial, training, validation, control, **options)
        history = {
            name: [float(value) for value in values] for name, values in history.items()
        }
        if not all(np.isfinite(values).all() for values in history.values()):
            raise ValueError(
                "Training diverged: the loss is not finite. Scale the series, for "
                "example with sklearn.preprocessing.StandardScaler in a pipeline, or "
                "lower the learning rate or the noise."
            )
        return [np.array(weight) for weight in control.weights], history

    def run(self, weights, windows, rows):
        """Run windows through the network batch by batch.

        Parameters
        ----------
        weights : list of ndarray
            Weights returned by `train`.
        windows : TrailingWindows
            Source of the windows of `n_rows` rows, float32.
        rows : ndarray of int
            Last rows of the windows.

        Yields
        ------
        rows : ndarray of shape (n,)
            Rows of this batch.
        actual, expected : ndarray of shape (n, window_size or 1, n_channels)
            Windows as given (including NaN) and their reconstructions. For a network
            that forecasts, only the last row.
        """
        import_keras()  # raises in a forked child, where jax would hang
        run = self._compiled_forward()
        weights = _to_backend(weights)

        def one(start):
            batch = rows[start : start + SCORING_BATCH]
            # np.resize repeats rows to fill the last batch.
            actual = given = windows.take(np.resize(batch, SCORING_BATCH))
            if self.forecasts:
                given, actual = given[:, :-1], given[:, -1:]
            clipped = windows.fill(np.clip(given, -INPUT_LIMIT, INPUT_LIMIT))
            expected = run(weights, clipped)
            expected = expected.reshape(actual.shape)
            return batch, actual[: len(batch)], expected[: len(batch)]

        done = 0
        with closing(side_by_side(one, range(0, len(rows), SCORING_BATCH))) as results:
            for result in results:
                yield result
                done += len(result[0])
                tell(done, len(rows), "rows")

    def window_runner(self, weights):
        """Return a fast function that runs one window at a time.

        Parameters
        ----------
        weights : list of ndarray
            Weights returned by `train`. They are transferred to the backend only once,
            because for a single window this takes as long as the network itself.

        Returns
        -------
        run : callable
            Maps a float32 window of shape (1, window_size, n_channels), within
            ±INPUT_LIMIT, to its reconstruction or the next row, of shape
            (1, 1, n_channels). The first call compiles.
        """
        weights = _to_backend(weights)
        forward = self._compiled_forward()

        def run(window):
            import_keras()  # raises in a forked child, where jax would hang
            expected = forward(weights, window)
            return expected[:, None] if self.forecasts else expected

        return run

    def _compiled_forward(self):
        if self._runner is None:
            with self._scoring_lock:
                if self._runner is None:
                    if self._runs_on_jax():
                        self._runner = _jax_forward(self._program())
                    else:
                        self._runner = _compile_forward(self.build())
        return self._runner

    def _get_trainer(self, masked, on_jax):
        """Return the cached trainer with default options."""
        with self._training_lock:
            key = "jax" if on_jax else masked  # jax needs only one for both
            if key not in self._trainers:
                model = self.build()
                self._trainers[key] = (
                    JaxTrainer(model, self._program())
                    if on_jax
                    else KerasTrainer(model, masked)
                )
            return self._trainers[key]

    def _runs_on_jax(self):
        """Whether this is the built-in network on the jax backend."""
        return self._lstm and import_keras().backend.backend() == "jax"

    def _program(self):
        from tsanomaly._lstm import LSTMProgram

        return LSTMProgram(*self._lstm)


def _jax_forward(program):
    """Like `_compile_forward`, for the built-in network on jax."""

    def run(weights, windows):
        return np.asarray(program.forward(weights, windows))

    return run


def _compile_forward(model):
    """Compile ``(weights, windows) -> reconstruction`` without changing `model`."""
    keras = import_keras()

    def forward(weights, windows):
        mapping = list(zip(model.weights, weights, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return model(windows, training=False)

    backend = keras.backend.backend()
    if backend == "jax":
        import jax

        compiled = jax.jit(forward)
    elif backend == "tensorflow":
        import tensorflow as tf

        compiled = tf.function(forward)
    else:
        import torch

        compiled = torch.no_grad()(forward)

    def run(weights, windows):
        # Converted first, like the weights, so that no backend treats the array as a
        # constant and compiles it in.
        result = compiled(weights, _to_tensor(windows))
        return keras.ops.convert_to_numpy(result)

    return run


def _to_backend(arrays):
    """Convert NumPy arrays to tensors of the backend."""
    return [_to_tensor(array) for array in arrays]


def _to_tensor(array):
    keras = import_keras()
    if keras.backend.backend() == "jax":
        import jax

        # Keras compiles a program for every shape: without dtype, or before jax 0.5.
        return jax.device_put(array)
    return keras.ops.convert_to_tensor(array, array.dtype.name)


def _check_model(model, window_size, n_channels):
    """Check that a model maps windows to windows or rows; return its output shape."""
    keras = import_keras()
    if not isinstance(model, keras.Model):
        raise TypeError(
            "network must return a keras.Model, such as keras.Sequential(...) or "
            f"keras.Model(inputs, outputs), got {type(model).__name__}."
        )
    if model.compiled:
        raise ValueError(
            "network returns a compiled model, but fit compiles it. Return an "
            "uncompiled model, and pass its optimizer and loss as "
            "training=Training(optimizer=..., loss=...)."
        )
    windows = np.zeros((SCORING_BATCH, window_size, n_channels), np.float32)
    try:
        # Called, because some models do not know their output shape before.
        returned = tuple(model(windows, training=False).shape)
    except Exception as error:  # custom layers may raise anything
        raise ValueError(
            "network returns a model that does not accept windows of window_size="
            f"{window_size} rows and {n_channels} channels: {error} Start it with "
            "keras.Input((window_size, n_channels))."
        ) from error
    row = SCORING_BATCH, n_channels
    if returned not in (windows.shape, row):
        raise ValueError(
            f"network returns a model with output shape {returned} for {SCORING_BATCH} "
            f"windows. It must return windows of the input shape, {windows.shape}, to "
            f"reconstruct them, or the next row of each, {row}, to forecast it. "
            "End it with keras.layers.Dense(n_channels)."
        )
    return returned


def _check_precision(model):
    """Raise unless all layers compute in single precision."""
    for layer in _layers_of(model):
        policy = layer.dtype_policy
        if policy.name != "float32":
            raise ValueError(
                f"Layer {layer.name!r} of the network has the dtype policy "
                f"{policy.name!r}, but the library trains and scores in float32. Call "
                "keras.config.set_dtype_policy('float32') before fit, or pass "
                "dtype='float32' to the layer."
            )


def _layers_of(layer):
    """Return a layer and all nested layers: those of models and wrapped ones."""
    kind = import_keras().layers.Layer
    found, pending = {}, [layer]
    while pending:
        one = pending.pop()
        if isinstance(one, (list, tuple)):
            pending += one
        elif isinstance(one, kind) and id(one) not in found:
            found[id(one)] = one
            pending += vars(one).values()
    return list(found.values())


# Compiled networks by architecture, least recently used first. Each takes 10 MB on jax.
# The checks of scikit-learn alternate between 13 of them.
_CACHE_SIZE = 16
_networks = OrderedDict()
_networks_lock = threading.Lock()


def get_network(key, make):
    """Return the network of an architecture, shared within the process.

    Parameters
    ----------
    key : hashable
        Everything that the architecture depends on.
    make : callable
        Takes no argument and returns the Network. Called only for a new `key`.

    Returns
    -------
    network : Network
    """
    with _networks_lock:
        if key not in _networks:
            _networks[key] = make()
        _networks.move_to_end(key)
        network, is_full = _networks[key], len(_networks) > _CACHE_SIZE
        if is_full:
            _networks.popitem(last=False)
    if is_full:
        release_memory()
    return network


def get_lstm_autoencoder(window_size, n_channels, units, latent_dim, dropout):
    """Return an LSTM autoencoder, shared within the process.

    Parameters
    ----------
    window_size, n_channels, units, latent_dim, dropout
        As in `build_lstm_autoencoder`.

    Returns
    -------
    network : Network
    """
    link = "sequence" if isinstance(latent_dim, str) else "state"
    if isinstance(latent_dim, Integral):
        latent_dim, link = int(latent_dim), "dense"
    shape = window_size, n_channels

    def make():
        build = partial(build_lstm_autoencoder, *shape, units, latent_dim, dropout)
        return Network(build, *shape, (len(units), link, dropout))

    return get_network((shape, units, latent_dim, dropout), make)


def identify(network):
    """Return a cache key for networks that are built by a function.

    Parameters
    ----------
    network : callable
        As in LSTMAutoencoderDetector.

    Returns
    -------
    key : hashable
    """
    try:
        if hasattr(network, "get_params"):
            return type(network), joblib.hash(network.get_params())
        if isinstance(network, partial):
            return network.func, joblib.hash((network.args, network.keywords))
        hash(network)
    except (AttributeError, PicklingError, TypeError):  # a lambda, for example
        return _Same(network)
    return network


class _Same:
    """A key that compares objects by identity and keeps them alive."""

    def __init__(self, thing):
        self._thing = thing

    def __eq__(self, other):
        return isinstance(other, _Same) and other._thing is self._thing

    def __hash__(self):
        return id(self._thing)
