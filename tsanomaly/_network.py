# SPDX-License-Identifier: MIT
"""Build, train and run a Keras network, compiled once per process.

Nothing here knows of scikit-learn. A network is an architecture; its weights are numpy
arrays that go in and come out, so that threads may score while another trains.
"""

import random
import threading
from collections import OrderedDict, deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pickle import PicklingError

import joblib
import numpy as np

from tsanomaly._backend import import_keras, preserve_random_state
from tsanomaly._memory import release_memory
from tsanomaly._progress import tell
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
    "get_network",
    "identify",
]

# Windows that go through the network together. On two CPU cores larger batches were no
# faster; with one fixed shape nothing is ever compiled again, and a row's result does
# not depend on how many rows are scored with it.
SCORING_BATCH = 64

# Threads that score together, at most.
_MOST_THREADS = 8


def build_lstm_autoencoder(window_size, n_channels, units, latent_dim, dropout):
    """LSTM autoencoder, after Malhotra et al. (2016).

    Parameters
    ----------
    window_size, n_channels : int
        Shape of a window.
    units : tuple of int
        Width of the encoder's LSTM layers; the decoder mirrors them.
    latent_dim : int, None or 'sequence'
        Width of the dense layer between encoder and decoder; None leaves it out. With
        'sequence' the decoder reads what the encoder gives for every row, from the last
        row to the first.
    dropout : float
        Share of activations set to zero in training, after every LSTM layer but the
        last one.

    Returns
    -------
    model : keras.Model
        From windows (batch, window_size, n_channels) to their reconstruction. Not
        compiled. Kernels are zero, in a fifth of the time that Keras takes to draw
        them: weights are set later.
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
        x = import_keras().ops.flip(x, axis=1)  # the decoder gives the last row first
    model = import_keras().Model(windows, x)
    zeros = import_keras().initializers.Zeros()
    for layer in model.layers:  # so that what is saved of it names parts of Keras alone
        part = getattr(layer, "cell", layer)
        for name in ("kernel", "recurrent", "bias"):
            if getattr(part, f"{name}_initializer", None) is _zeros:
                setattr(part, f"{name}_initializer", zeros)
    return model


def _zeros(shape, dtype=None):
    """Zeros of NumPy as a tensor.

    jax compiles a program for its own zeros of every shape, and keeps it: with those of
    the optimiser and of weights that were given without their type, 10 MB for every
    number of channels.
    """
    zeros = np.zeros(shape, dtype)
    return import_keras().ops.convert_to_tensor(zeros, zeros.dtype.name)


class Network:
    """An architecture, compiled once, that trains and runs any set of its weights.

    Parameters
    ----------
    build : callable
        Takes no argument and returns a new, uncompiled ``keras.Model``, from windows
        (batch, window_size, n_channels) to their reconstruction, of that shape, or to
        the row that follows them, (batch, n_channels).
    window_size, n_channels : int
        Shape of the windows.
    lstm : tuple or None, default=None
        If `build` returns the library's own network: the number of LSTM layers of its
        encoder, what its decoder sees of it, and its dropout. On jax it is then
        run by `_lstm` instead of Keras, and on any backend training starts from weights
        that are drawn here. Otherwise they are those of a model that `build` returns,
        whose own initialisers are seeded.
    """

    def __init__(self, build, window_size, n_channels, lstm=None):
        self._build = build
        self._window_shape = window_size, n_channels
        self._lstm = lstm
        # To be seen in a model.
        self._forecasts = False if lstm else None
        self._width = None
        # Two locks, so that threads may score while another trains.
        self._training_lock = threading.Lock()
        self._scoring_lock = threading.Lock()
        self._runner = None
        self._trainers = {}  # at the defaults, by whether readings are missing

    def build(self, weights=None, seed=0):
        """A new Keras model of this architecture."""
        import_keras()
        with preserve_random_state():
            # From here Keras draws the seeds of initialisers that were given none.
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
        """Whether the network returns the row that follows a window."""
        if self._forecasts is None:
            self.build()
        return self._forecasts

    @property
    def width(self):
        """Numbers that the layers of another network keep of a row, estimated."""
        if self._width is None:
            self.build()
        return self._width

    @property
    def n_rows(self):
        """Rows that a prediction is made from and compared with."""
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
        """Train from scratch.

        Every batch has the same shape, whatever the length of the series: a short
        series repeats windows within a batch.

        Parameters
        ----------
        windows : TrailingWindows
            Source of the windows, of `n_rows` rows, float32. Of missing readings (NaN)
            the network sees what they are filled with; their residuals do not count.
        rows, validation_rows : ndarray of int
            Rows whose windows train, and whose windows tell when to stop. With no
            validation row all epochs are run.
        seed : int
            Seed of initial weights, dropout and the draw of windows.
        epochs, batch_size, learning_rate, windows_per_epoch, n_iter_no_change, verbose
            As in LSTMAutoencoderDetector and Training.
        noise : ndarray of shape (n_channels,) or None, default=None
            Standard deviation of the noise that is added to what the network sees in
            training, not to what it is to reconstruct.
        optimizer, loss, callbacks
            As in Training. With any of them Keras' own loop trains, also on jax.

        Returns
        -------
        weights : list of ndarray
            The weights of the best epoch, or of the last without validation rows.
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
        masked = windows.fill_values is not None
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
            # A share of the windows as large as theirs in an epoch, evenly spaced.
            share = len(validation_rows) / len(rows)
            n_validation = max(1, round(share * n_batches))
            validation = source(
                windows, validation_rows, batch_size, n_validation, **kind
            )
        if optimizer is not None:
            learning_rate = None  # it has its own
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
        """Run windows through the network, batch by batch.

        Parameters
        ----------
        weights : list of ndarray
            What `train` returned.
        windows : TrailingWindows
            Source of the windows, of `n_rows` rows, float32.
        rows : ndarray of int
            Rows whose windows are wanted.

        Yields
        ------
        rows : ndarray of shape (n,)
            Rows of this batch.
        actual, expected : ndarray of shape (n, window_size or 1, n_channels)
            The rows of their windows, as given, NaN included, and as they are
            reconstructed; of a network that forecasts, the last row alone.
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
        with closing(_side_by_side(one, range(0, len(rows), SCORING_BATCH))) as results:
            for result in results:
                yield result
                done += len(result[0])
                tell(done, len(rows), "rows")

    def window_runner(self, weights):
        """A function that runs one window at a time, without delay.

        Parameters
        ----------
        weights : list of ndarray
            What `train` returned. They are brought to the backend here, once: for one
            window that takes as long as the network itself.

        Returns
        -------
        run : callable
            From a window of shape (1, window_size, n_channels), float32 and within
            ±INPUT_LIMIT, to its reconstruction, or to the row that follows, of shape
            (1, 1, n_channels). Its first call compiles.
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
        """The trainer at the defaults, made once."""
        with self._training_lock:
            key = "jax" if on_jax else masked  # on jax one serves for both
            if key not in self._trainers:
                model = self.build()
                self._trainers[key] = (
                    JaxTrainer(model, self._program())
                    if on_jax
                    else KerasTrainer(model, masked)
                )
            return self._trainers[key]

    def _runs_on_jax(self):
        """Whether the network is the library's own, and jax the backend."""
        return self._lstm and import_keras().backend.backend() == "jax"

    def _program(self):
        from tsanomaly._lstm import LSTMProgram

        return LSTMProgram(*self._lstm)


def _side_by_side(function, items):
    """Results of a function in the order of the items, computed by several threads.

    A few are computed ahead, so that memory does not grow with the number of items.
    """
    n_threads = min(joblib.cpu_count(), _MOST_THREADS, len(items))
    if n_threads < 2:
        yield from map(function, items)
        return
    pool = ThreadPoolExecutor(n_threads, thread_name_prefix="tsanomaly")
    ahead = deque()
    try:
        for item in items:
            ahead.append(pool.submit(function, item))
            if len(ahead) > 2 * n_threads:
                yield ahead.popleft().result()
        while ahead:
            yield ahead.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _jax_forward(program):
    """As `_compile_forward`, for the library's own network on jax."""

    def run(weights, windows):
        return np.asarray(program.forward(weights, windows))

    return run


def _compile_forward(model):
    """Compile ``(weights, windows) -> reconstruction``, which leaves `model` alone."""
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
        # Converted first, so that no backend takes an array for a Python constant and
        # compiles it in; as the weights are by the caller, once.
        result = compiled(weights, keras.ops.convert_to_tensor(windows))
        return keras.ops.convert_to_numpy(result)

    return run


def _to_backend(arrays):
    """Tensors of the backend, from numpy arrays."""
    convert = import_keras().ops.convert_to_tensor
    # With their type, or jax compiles a program for every shape.
    return [convert(array, array.dtype.name) for array in arrays]


def _check_model(model, window_size, n_channels):
    """Return the shape of what a model gives, if it maps windows to windows or rows."""
    keras = import_keras()
    if not isinstance(model, keras.Model):
        raise TypeError(
            "network must return a keras.Model, as keras.Sequential(...) or "
            f"keras.Model(inputs, outputs), got {type(model).__name__}."
        )
    if model.compiled:
        raise ValueError(
            "network returns a compiled model, and compiling is left to fit. Return it "
            "as it is, and pass its optimizer and loss as "
            "training=Training(optimizer=..., loss=...)."
        )
    windows = np.zeros((SCORING_BATCH, window_size, n_channels), np.float32)
    try:
        # Called and not asked for its shapes, which some models do not know before.
        returned = tuple(model(windows, training=False).shape)
    except Exception as error:  # whatever the layers of a user raise
        raise ValueError(
            f"network returns a model that does not take windows of window_size="
            f"{window_size} rows and {n_channels} channels: {error} Begin it with "
            "keras.Input((window_size, n_channels))."
        ) from error
    row = SCORING_BATCH, n_channels
    if returned not in (windows.shape, row):
        raise ValueError(
            f"network returns a model that gives {returned} for {SCORING_BATCH} "
            f"windows. It must give windows of the shape it takes, {windows.shape}, to "
            f"reconstruct them, or the row that follows each, {row}, to forecast it. "
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
                f"{policy.name!r}, and the library trains and scores in float32. Call "
                "keras.config.set_dtype_policy('float32') before fit, or pass "
                "dtype='float32' to the layer."
            )


def _layers_of(layer):
    """A layer, and all that are kept in it: layers of a model, wrapped layers."""
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


# Compiled networks by architecture, the least recently used first. Each takes 10 MB on
# jax. scikit-learn's checks need 13 in turn; a grid search one after the other.
_CACHE_SIZE = 16
_networks = OrderedDict()
_networks_lock = threading.Lock()


def get_network(key, make):
    """The network of an architecture, the same object for the whole process.

    Parameters
    ----------
    key : hashable
        All that the architecture depends on.
    make : callable
        Takes no argument and returns the Network; called only if `key` is new.

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


def identify(network):
    """What tells the networks that functions build apart, for the cache of them.

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
    """A key that is equal for one and the same object, and keeps it alive."""

    def __init__(self, thing):
        self._thing = thing

    def __eq__(self, other):
        return isinstance(other, _Same) and other._thing is self._thing

    def __hash__(self):
        return id(self._thing)
