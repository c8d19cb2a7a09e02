# SPDX-License-Identifier: MIT
"""Build, train and run a Keras network, compiled once per process.

Nothing here knows of scikit-learn. A network is an architecture; its weights are numpy
arrays that go in and come out. Training and scoring use separate Keras models, so that
threads may score while another trains.
"""

import random
import threading
from collections import OrderedDict
from functools import cache

import numpy as np

from tsanomaly._backend import import_keras, preserve_random_state

__all__ = ["Network", "build_lstm_autoencoder", "get_network"]

# Windows that go through the network together. On two CPU cores larger batches were no
# faster; with one fixed shape nothing is ever compiled again, and a row's result does
# not depend on how many rows are scored with it.
SCORING_BATCH = 64

# What the network sees is clipped here, far beyond any scaled reading, so that float32
# arithmetic inside it cannot overflow. Residuals are taken from the readings as given.
INPUT_LIMIT = 1e9


def build_lstm_autoencoder(
    n_channels, window_size, units, latent_dim, dropout, *, initialized=True
):
    """LSTM autoencoder of Malhotra et al. (2016), with an optional dense bottleneck.

    Parameters
    ----------
    n_channels, window_size : int
        Shape of a window.
    units : tuple of int
        Width of the encoder's LSTM layers; the decoder mirrors them.
    latent_dim : int or None
        Width of the dense layer between encoder and decoder; None leaves it out.
    dropout : float
        Share of activations set to zero in training, after every LSTM layer but the
        last one.
    initialized : bool, default=True
        Whether kernels start as Keras draws them. Zeros, which take a fifth of the
        time, will do where weights are set later.

    Returns
    -------
    model : keras.Model
        From windows (batch, window_size, n_channels) to their reconstruction. Not
        compiled.
    """
    layers = import_keras().layers

    def lstm(width, return_sequences=True):
        return layers.LSTM(
            width,
            return_sequences=return_sequences,
            kernel_initializer="glorot_uniform" if initialized else "zeros",
            recurrent_initializer="orthogonal" if initialized else "zeros",
        )

    def dense(width):
        return layers.Dense(
            width, kernel_initializer="glorot_uniform" if initialized else "zeros"
        )

    def dropped(x, seed):
        return layers.Dropout(dropout, seed=seed)(x) if dropout else x

    windows = x = layers.Input((window_size, n_channels))
    for depth, width in enumerate(units[:-1]):
        x = dropped(lstm(width)(x), seed=depth)  # (batch, window_size, width)
    x = dropped(lstm(units[-1], return_sequences=False)(x), seed=len(units))
    if latent_dim is not None:
        x = dense(latent_dim)(x)
    x = layers.RepeatVector(window_size)(x)  # (batch, window_size, latent_dim)
    for depth, width in enumerate(reversed(units)):
        x = lstm(width)(x)
        if depth < len(units) - 1:
            x = dropped(x, seed=len(units) + 1 + depth)
    x = dense(n_channels)(x)
    return import_keras().Model(windows, x)


class Network:
    """An architecture, compiled once, that trains and runs any set of its weights.

    Parameters
    ----------
    build : callable
        Takes no argument and returns a new, uncompiled ``keras.Model``.
    draw_weights : bool, default=True
        Whether the weights that training starts from are drawn here, the same on every
        backend. If not, they are those of a model that `build` returns, whose own
        initialisers are seeded.
    """

    def __init__(self, build, draw_weights=True):
        self._build = build
        self._draw_weights = draw_weights
        # Two locks, so that threads may score while another trains.
        self._training_lock = threading.Lock()
        self._scoring_lock = threading.Lock()
        self._runner = None
        self._trainers = {}  # by whether readings are missing

    def build(self, weights=None, seed=0):
        """A new Keras model of this architecture."""
        import_keras()
        with preserve_random_state():
            # From here Keras draws the seeds of initialisers that were given none.
            random.seed(seed)
            model = self._build()
        if weights is not None:
            model.set_weights(weights)
        return model

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
        baseline=None,
    ):
        """Train from scratch with ``keras.Model.fit``.

        Every batch has the same shape, whatever the length of the series: a short
        series repeats windows within a batch.

        Parameters
        ----------
        windows : TrailingWindows
            Source of the windows, float32. Of missing readings (NaN) the network sees
            what they are filled with; their residuals do not count.
        rows, validation_rows : ndarray of int
            Rows whose windows train, and whose windows tell when to stop. With no
            validation row all epochs are run.
        seed : int
            Seed of initial weights, dropout and the draw of windows.
        epochs, batch_size, learning_rate, windows_per_epoch, n_iter_no_change, verbose
            As in LSTMAutoencoderDetector.
        noise : ndarray of shape (n_channels,) or None, default=None
            Standard deviation of the noise that is added to what the network sees in
            training, not to what it is to bring back.
        baseline : callable or None, default=None
            From windows to a first reconstruction of them; the network learns what is
            left over.

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
        source = _batch_class()
        training = source(
            windows, rows, batch_size, n_batches, baseline, noise=noise, seed=seed
        )
        validation = None
        if len(validation_rows):
            # A share of the windows as large as theirs in an epoch, evenly spaced.
            share = len(validation_rows) / len(rows)
            n_validation = max(1, round(share * n_batches))
            validation = source(
                windows, validation_rows, batch_size, n_validation, baseline
            )
        control = _control_class()(learning_rate, epochs, n_iter_no_change)
        with self._training_lock:
            masked = windows.fill_values is not None
            trainer = self._trainers.get(masked)
            if trainer is None:
                loss = _masked_mean_squared_error if masked else "mse"
                trainer = self._trainers[masked] = _Trainer(self.build(), loss)
            if self._draw_weights:
                initial = trainer.draw_weights(seed)
            else:
                initial = _to_numpy(self.build(seed=seed).weights)
            model = trainer.reset(initial, seed)
            log = model.fit(
                training,
                validation_data=validation,
                epochs=epochs,
                callbacks=[control],
                shuffle=False,
                verbose=verbose,
            )
        history = {
            name: [float(value) for value in values]
            for name, values in log.history.items()
        }
        if not all(np.isfinite(values).all() for values in history.values()):
            raise ValueError(
                "Training diverged: the loss is not finite. Scale the series, for "
                "example with sklearn.preprocessing.StandardScaler in a pipeline, or "
                f"lower learning_rate={learning_rate} or the noise."
            )
        return control.weights, history

    def reconstruct(self, weights, windows, rows, baseline=None):
        """Run windows through the network, batch by batch.

        Parameters
        ----------
        weights : list of ndarray
            What `train` returned.
        windows : TrailingWindows
            Source of the windows, float32.
        rows : ndarray of int
            Rows whose windows are wanted.
        baseline : callable or None, default=None
            As in `train`; its reconstruction is added to that of the network.

        Yields
        ------
        rows : ndarray of shape (n,)
            Rows of this batch.
        actual, reconstructed : ndarray of shape (n, window_size, n_channels)
            Their windows, as given, NaN included, and as they are reconstructed.
        """
        import_keras()  # raises in a forked child, where jax would hang
        run = self._compiled_forward()
        for start in range(0, len(rows), SCORING_BATCH):
            batch = rows[start : start + SCORING_BATCH]
            # np.resize repeats rows to fill the last batch.
            actual = windows.take(np.resize(batch, SCORING_BATCH))
            clipped = windows.fill(np.clip(actual, -INPUT_LIMIT, INPUT_LIMIT))
            seen = run(weights, clipped)
            if baseline is not None:
                seen = seen + baseline(clipped)
            yield batch, actual[: len(batch)], seen[: len(batch)]

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
            ±INPUT_LIMIT, to its reconstruction. Its first call compiles.
        """
        convert = import_keras().ops.convert_to_tensor
        weights = [convert(weight) for weight in weights]
        forward = self._compiled_forward()

        def run(window):
            import_keras()  # raises in a forked child, where jax would hang
            return forward(weights, window)

        return run

    def _compiled_forward(self):
        if self._runner is None:
            with self._scoring_lock:
                if self._runner is None:
                    self._runner = _compile_forward(self.build())
        return self._runner


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
        # compiles it in.
        weights = [keras.ops.convert_to_tensor(weight) for weight in weights]
        result = compiled(weights, keras.ops.convert_to_tensor(windows))
        return keras.ops.convert_to_numpy(result)

    return run


class _Trainer:
    """A compiled model that can be put back to the state of a new one."""

    def __init__(self, model, loss):
        keras = import_keras()
        model.compile(
            optimizer=keras.optimizers.Adam(learning_rate=1.0, global_clipnorm=1.0),
            loss=loss,
        )
        model.optimizer.build(model.trainable_variables)
        self._model = model
        self._weights = _to_numpy(model.weights)
        self._optimizer = _to_numpy(model.optimizer.variables)

    def draw_weights(self, seed):
        """Initial values of all weights."""
        rng = np.random.default_rng(seed)
        return [
            _draw_weight(variable.name, value, rng)
            for variable, value in zip(self._model.weights, self._weights, strict=True)
        ]

    def reset(self, weights, seed):
        """The model, as if it were new; dropout is seeded."""
        model = self._model
        rng = np.random.default_rng([seed, 1])
        model.set_weights(weights)
        for variable in model.non_trainable_variables:
            if variable.name == "seed_generator_state":
                state = np.array([rng.integers(2**32), 0], dtype=np.uint32)
                variable.assign(state.astype(variable.dtype))
        for variable, value in zip(
            model.optimizer.variables, self._optimizer, strict=True
        ):
            variable.assign(value)
        return model


def _masked_mean_squared_error(target, output):
    """Mean of the squared residuals of what is not NaN in the target."""
    ops = import_keras().ops
    missing = ops.isnan(target)
    # Zeros before the square: through a NaN, no gradient is finite.
    residual = ops.where(missing, 0.0, target - output)
    known = ops.cast(ops.logical_not(missing), residual.dtype)
    # Keras takes the mean over all elements.
    return ops.square(residual) / ops.mean(known)


def _to_numpy(variables):
    """Copies of Keras variables."""
    ops = import_keras().ops
    convert, tensor = ops.convert_to_numpy, ops.convert_to_tensor
    return [np.array(convert(tensor(variable))) for variable in variables]


def _draw_weight(name, value, rng):
    """Initial value of a weight, the same on every backend.

    Kernels are drawn as Keras draws them: Glorot uniform, recurrent ones orthogonal.
    What has another name (biases, among them the LSTM's forget bias of 1) starts as it
    was built.
    """
    if name == "kernel":
        limit = np.sqrt(6 / sum(value.shape))
        return rng.uniform(-limit, limit, value.shape).astype(value.dtype)
    if name == "recurrent_kernel":  # (width, 4 * width)
        q, r = np.linalg.qr(rng.normal(size=value.T.shape))
        q *= np.sign(np.diag(r))  # makes the draw uniform over orthogonal matrices
        return q.T.astype(value.dtype)
    return value


@cache
def _control_class():
    """The callback that steers training, defined late: its base class is Keras'."""
    keras = import_keras()

    # Keras has callbacks for both jobs. Its EarlyStopping restores the best weights
    # only if it stopped, in some versions, and both read variables in a way that numpy
    # deprecates, in others.
    class TrainingControl(keras.callbacks.Callback):
        """Lower the learning rate along a cosine; keep the best epoch; stop early.

        Without validation windows the last epoch is the best: the training loss of an
        epoch says more about the windows it drew than about the network.
        """

        def __init__(self, learning_rate, epochs, patience):
            super().__init__()
            self.weights = None
            self._learning_rate = learning_rate
            self._epochs = epochs
            self._patience = patience
            self._best = None
            self._waited = 0

        def on_epoch_begin(self, epoch, logs=None):
            share = (1 + np.cos(np.pi * epoch / self._epochs)) / 2
            self.model.optimizer.learning_rate = self._learning_rate * share

        def on_epoch_end(self, epoch, logs=None):
            loss = logs.get("val_loss")
            if loss is None or self.weights is None or loss < self._best:
                self.weights = _to_numpy(self.model.weights)
                self._best, self._waited = loss, 0
            else:
                self._waited += 1
            diverged = not all(np.isfinite(value) for value in logs.values())
            if self._waited >= self._patience or diverged:
                self.model.stop_training = True

    return TrainingControl


@cache
def _batch_class():
    """The source of batches, defined late because its base class is Keras'."""
    keras = import_keras()

    class Batches(keras.utils.PyDataset):
        """Windows in batches of one size; with a seed, new random ones every epoch."""

        def __init__(
            self,
            windows,
            rows,
            batch_size,
            n_batches,
            baseline,
            *,
            noise=None,
            seed=None,
        ):
            super().__init__()
            self._windows = windows
            self._rows = rows
            self._shape = (n_batches, batch_size)
            self._baseline = baseline
            self._noise = noise
            self._seed = seed
            self._rng = None if seed is None else np.random.default_rng(seed)
            self._epoch = -1
            self.on_epoch_end()

        def __len__(self):
            return self._shape[0]

        def on_epoch_end(self):
            self._epoch += 1
            n_drawn = self._shape[0] * self._shape[1]
            if self._rng is None:
                chosen = np.linspace(0, len(self._rows) - 1, n_drawn).round()
                drawn = self._rows[chosen.astype(np.intp)]
            else:
                size = min(n_drawn, len(self._rows))
                drawn = self._rng.choice(self._rows, size, replace=False)
            self._drawn = np.resize(drawn, self._shape)

        def __getitem__(self, index):
            batch = self._windows.take(self._drawn[index])
            batch = np.clip(batch, -INPUT_LIMIT, INPUT_LIMIT)
            seen = filled = self._windows.fill(batch)
            if self._noise is not None:
                # Not from one stream: Keras may ask for a batch more than once.
                rng = np.random.default_rng([self._seed, 2, self._epoch, index])
                seen = rng.standard_normal(batch.shape, dtype=np.float32)
                seen *= self._noise
                seen += filled
            if self._baseline is not None:
                batch = batch - self._baseline(seen)
            return seen, batch

    return Batches


# Compiled networks by architecture, the least recently used first. A grid search over
# architectures, or scikit-learn's checks, need a few dozen at most.
_CACHE_SIZE = 32
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
        while len(_networks) > _CACHE_SIZE:
            _networks.popitem(last=False)
        return _networks[key]
