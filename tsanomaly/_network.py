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
from functools import cache

import joblib
import numpy as np

from tsanomaly._backend import import_keras, preserve_random_state
from tsanomaly._progress import tell

__all__ = ["Network", "build_lstm_autoencoder", "get_network"]

# Windows that go through the network together. On two CPU cores larger batches were no
# faster; with one fixed shape nothing is ever compiled again, and a row's result does
# not depend on how many rows are scored with it.
SCORING_BATCH = 64

# Windows whose gradient one thread computes, at most. What the backward pass needs of
# them, 17 MB in a network of 61,972 weights, should stay below the 32 MB from which the
# C library gives memory back to the system after every step: with 64 windows, asking
# for it again took as long as the computation.
_LARGEST_PART = 32

# Windows times the width of the widest layer from which a batch is shared out. At 512,
# two threads on two cores took as long as one, and more processor time.
_WORTH_A_THREAD = 1024

# Threads that score together, at most.
_MOST_THREADS = 8

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
    lstm : tuple or None, default=None
        If `build` returns the library's own network: the number of LSTM layers of its
        encoder, whether it has a dense bottleneck, and its dropout. On jax it is then
        run by `_lstm` instead of Keras, and on any backend training starts from weights
        that are drawn here. Otherwise they are those of a model that `build` returns,
        whose own initialisers are seeded.
    """

    def __init__(self, build, lstm=None):
        self._build = build
        self._lstm = lstm
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
        """Train from scratch.

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
        baseline : LinearPath or None, default=None
            A first reconstruction of the windows; the network learns what is left
            over.

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
        # In jax the linear path is part of the compiled program.
        subtracted, linear = baseline, None
        if self._runs_on_jax():
            subtracted, linear = None, _arrays_of(baseline)
        training = source(
            windows, rows, batch_size, n_batches, subtracted, noise=noise, seed=seed
        )
        validation = None
        if len(validation_rows):
            # A share of the windows as large as theirs in an epoch, evenly spaced.
            share = len(validation_rows) / len(rows)
            n_validation = max(1, round(share * n_batches))
            validation = source(
                windows, validation_rows, batch_size, n_validation, subtracted
            )
        control = _Control(learning_rate, epochs, n_iter_no_change)
        with self._training_lock:
            # On jax one trainer serves for both.
            masked = windows.fill_values is not None and not self._runs_on_jax()
            trainer = self._trainers.get(masked)
            if trainer is None:
                trainer = self._trainers[masked] = self._make_trainer(masked)
        if self._lstm:
            initial = trainer.draw_weights(seed)
        else:
            initial = _to_numpy(self.build(seed=seed).weights)
        tell(0, epochs, "epochs")
        history = trainer.fit(
            initial,
            training,
            validation,
            control,
            seed=seed,
            verbose=verbose,
            linear=linear,
        )
        history = {
            name: [float(value) for value in values] for name, values in history.items()
        }
        if not all(np.isfinite(values).all() for values in history.values()):
            raise ValueError(
                "Training diverged: the loss is not finite. Scale the series, for "
                "example with sklearn.preprocessing.StandardScaler in a pipeline, or "
                f"lower learning_rate={learning_rate} or the noise."
            )
        return [np.array(weight) for weight in control.weights], history

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
        baseline : LinearPath or None, default=None
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
        weights = _to_backend(weights)

        def one(start):
            batch = rows[start : start + SCORING_BATCH]
            # np.resize repeats rows to fill the last batch.
            actual = windows.take(np.resize(batch, SCORING_BATCH))
            clipped = windows.fill(np.clip(actual, -INPUT_LIMIT, INPUT_LIMIT))
            seen = run(weights, clipped, baseline)
            return batch, actual[: len(batch)], seen[: len(batch)]

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
            ±INPUT_LIMIT, to its reconstruction. Its first call compiles.
        """
        weights = _to_backend(weights)
        forward = self._compiled_forward()

        def run(window):
            import_keras()  # raises in a forked child, where jax would hang
            return forward(weights, window, None)

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

    def _make_trainer(self, masked):
        model = self.build()
        if self._runs_on_jax():
            return _JaxTrainer(model, self._program())
        return _KerasTrainer(model, _masked_mean_squared_error if masked else "mse")

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


def _arrays_of(baseline):
    """What a linear path, or none, consists of."""
    if baseline is None:
        return None
    return baseline.mean, baseline.components, baseline.gains


def _jax_forward(program):
    """As `_compile_forward`, for the library's own network on jax."""

    def run(weights, windows, baseline):
        # In one program: NumPy's matrix products bring threads of their own, which wait
        # for each other where several threads score.
        return np.asarray(program.forward(weights, windows, _arrays_of(baseline)))

    return run


def _compile_forward(model):
    """Compile ``(weights, windows, baseline) -> reconstruction``.

    It leaves `model` alone, and adds what the baseline reconstructs, unless it is None.
    """
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

    def run(weights, windows, baseline):
        # Converted first, so that no backend takes an array for a Python constant and
        # compiles it in; as the weights are by the caller, once.
        result = compiled(weights, keras.ops.convert_to_tensor(windows))
        result = keras.ops.convert_to_numpy(result)
        return result if baseline is None else result + baseline(windows)

    return run


class _Trainer:
    """What trainers of a network share.

    Parameters
    ----------
    model : keras.Model
        Of the architecture; as it was built.
    """

    def __init__(self, model):
        self._names = [variable.name for variable in model.weights]
        self._weights = _to_numpy(model.weights)

    def draw_weights(self, seed):
        """Initial values of all weights."""
        rng = np.random.default_rng(seed)
        return [
            _draw_weight(name, value, rng)
            for name, value in zip(self._names, self._weights, strict=True)
        ]

    @staticmethod
    def _optimizer_of(variables):
        optimizer = import_keras().optimizers.Adam(
            learning_rate=1.0, global_clipnorm=1.0
        )
        optimizer.build(variables)
        return optimizer


class _JaxTrainer(_Trainer):
    """Trains the library's own network; several may train with it at a time.

    All weights are one vector here: with a dozen arrays and two moments of each, a step
    of the optimiser took longer to call than to compute.
    """

    def __init__(self, model, program):
        super().__init__(model)
        import jax

        vector = np.concatenate(self._weights, axis=None)
        variable = import_keras().Variable(vector, dtype=vector.dtype.name)
        self._optimizer = self._optimizer_of([variable])
        self._state = _to_numpy(self._optimizer.variables)
        self._program = program
        self._widest = max(
            len(weight)
            for name, weight in zip(self._names, self._weights, strict=True)
            if name == "recurrent_kernel"
        )
        self._gradient = jax.jit(self._loss_and_gradient)
        self._update = jax.jit(self._step)

    def fit(self, weights, training, validation, control, *, seed, verbose, linear):
        """Train, and return the history; as `_KerasTrainer.fit`."""
        import jax

        # Brought to jax once, not with every step.
        vector, linear = jax.device_put((np.concatenate(weights, axis=None), linear))
        state, history = self._state, {}
        # Keras takes a look at a first batch, and draws anew: the same windows here.
        training.on_epoch_end()
        progress = None
        if verbose:
            progress = import_keras().callbacks.ProgbarLogger()
            progress.set_params(
                {"verbose": verbose, "epochs": control.epochs, "steps": len(training)}
            )
            progress.on_train_begin()
        pool = ThreadPoolExecutor(min(joblib.cpu_count(), _MOST_THREADS))
        try:
            for epoch in range(control.epochs):
                rate, losses = np.float32(control.learning_rate(epoch)), []
                if progress:
                    progress.on_epoch_begin(epoch)
                parts = self._share_out(*training[0])
                for number in range(len(training)):
                    step = epoch * len(training) + number
                    results = self._submit(pool, vector, parts, seed, step, linear)
                    if number + 1 < len(training):  # while jax computes
                        parts = self._share_out(*training[number + 1])
                    of_parts, gradients = zip(*results, strict=True)
                    # Where jax does not wait for its results, this does: otherwise a
                    # whole epoch of batches would be in memory.
                    jax.block_until_ready(gradients)
                    vector, state = self._update(vector, state, rate, gradients)
                    losses.append(sum(float(loss) for loss in of_parts))
                    if progress:
                        logs = {"loss": np.mean(losses)}
                        progress.on_train_batch_end(number, logs)
                training.on_epoch_end()
                logs = {"loss": np.mean(losses)}
                weights = self._split(np.asarray(vector))
                if validation is not None:
                    logs["val_loss"] = self._validate(weights, validation, linear)
                if progress:
                    progress.on_epoch_end(epoch, logs)
                for name, value in logs.items():
                    history.setdefault(name, []).append(value)
                if control.stops(epoch, logs, weights):
                    break
        finally:
            pool.shutdown(cancel_futures=True)
        return history

    def _share_out(self, seen, target):
        """Parts of a batch that are computed side by side.

        Within one program, jax leaves cores idle. Into how many parts does not depend
        on the machine.

        Returns
        -------
        parts : list of (seen, target, counted)
            All of one size; `counted` is as in `LSTMProgram.loss`.
        """
        n_windows = len(seen)
        n_parts = -(-n_windows // _LARGEST_PART)
        if n_windows * self._widest >= _WORTH_A_THREAD:
            n_parts = min(max(2, n_parts), n_windows)
        size = -(-n_windows // n_parts)
        known = 1 - np.isnan(target).mean()  # missing readings have no residual
        weight = np.float32(1 / (known * n_windows))
        parts = []
        for start in range(0, n_parts * size, size):
            windows = np.arange(start, start + size)
            counted = (windows < n_windows) * weight
            windows = np.minimum(windows, n_windows - 1)
            parts.append((seen[windows], target[windows], counted))
        return parts

    def _submit(self, pool, vector, parts, seed, step, linear):
        """Have loss and gradient of each part computed.

        Returns
        -------
        results : iterable of (loss, gradient)
            In the order of the parts.
        """
        import jax

        def of_part(number, part):
            drawn_by = np.uint32(seed), np.uint32(step * len(parts) + number)
            return self._gradient(vector, *part, *drawn_by, linear)

        if len(parts) == 1:
            # By default jax returns at once, and computes in a thread of its own.
            return [of_part(0, parts[0])]
        return pool.map(
            lambda *part: jax.block_until_ready(of_part(*part)),
            range(len(parts)),
            parts,
        )

    def _split(self, vector):
        """Weights in Keras' order, from all in one vector."""
        weights, start = [], 0
        for like in self._weights:
            weights.append(vector[start : start + like.size].reshape(like.shape))
            start += like.size
        return weights

    def _loss_and_gradient(self, vector, *others):
        import jax
        import jax.numpy as jnp

        of_weights = jax.value_and_grad(self._program.loss)
        loss, gradients = of_weights(self._split(vector), *others)
        return loss, jnp.concatenate([gradient.ravel() for gradient in gradients])

    def _step(self, vector, state, learning_rate, gradients):
        """One step of the optimiser, along the sum of the gradients of the parts."""
        state = [
            learning_rate if variable.name == "learning_rate" else value
            for variable, value in zip(self._optimizer.variables, state, strict=True)
        ]
        [vector], state = self._optimizer.stateless_apply(
            state, [sum(gradients)], [vector]
        )
        return vector, state

    def _validate(self, weights, batches, linear):
        """Mean loss of all batches."""
        losses = [
            np.nanmean(
                np.square(
                    target - np.asarray(self._program.forward(weights, seen, linear))
                )
            )
            for seen, target in (batches[number] for number in range(len(batches)))
        ]
        return np.mean(losses)


class _KerasTrainer(_Trainer):
    """Trains any network with ``keras.Model.fit``, one at a time."""

    def __init__(self, model, loss):
        super().__init__(model)
        optimizer = self._optimizer_of(model.trainable_variables)
        model.compile(optimizer=optimizer, loss=loss)
        self._model = model
        self._optimizer = _to_numpy(optimizer.variables)
        self._lock = threading.Lock()

    def fit(
        self, weights, training, validation, control, *, seed, verbose, linear=None
    ):
        """Train, from given weights.

        Parameters
        ----------
        weights : list of ndarray
            In Keras' order.
        training, validation : Batches
            What to train on, and what to tell the best epoch by, or None.
        control : _Control
            Keeps the trained weights.
        seed : int
            Seed of dropout.
        verbose : int
            As in Keras.
        linear : tuple of ndarray or None, default=None
            Mean, components and gains of a linear path, for `_JaxTrainer`, which
            subtracts it. None here: the batches hold what it leaves over.

        Returns
        -------
        history : dict of str to list of float
        """
        with self._lock:
            log = self._reset(weights, seed).fit(
                training,
                validation_data=validation,
                epochs=control.epochs,
                callbacks=[_callback_class()(control)],
                shuffle=False,
                verbose=verbose,
            )
        return log.history

    def _reset(self, weights, seed):
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


def _to_backend(arrays):
    """Tensors of the backend, from numpy arrays."""
    convert = import_keras().ops.convert_to_tensor
    return [convert(array) for array in arrays]


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


class _Control:
    """Lower the learning rate along a cosine; keep the best epoch; stop early.

    Without validation windows the last epoch is the best: the training loss of an
    epoch says more about the windows it drew than about the network.
    """

    def __init__(self, learning_rate, epochs, patience):
        self.weights = None
        self.epochs = epochs
        self._learning_rate = learning_rate
        self._patience = patience
        self._best = None
        self._waited = 0

    def learning_rate(self, epoch):
        """Step size of an epoch."""
        return self._learning_rate * (1 + np.cos(np.pi * epoch / self.epochs)) / 2

    def stops(self, epoch, logs, weights):
        """Take note of an epoch; whether it is the last."""
        loss = logs.get("val_loss")
        if loss is None or self.weights is None or loss < self._best:
            self.weights = weights
            self._best, self._waited = loss, 0
        else:
            self._waited += 1
        tell(epoch + 1, self.epochs, "epochs")
        diverged = not all(np.isfinite(value) for value in logs.values())
        return self._waited >= self._patience or diverged


@cache
def _callback_class():
    """The callback that lets Keras go by a control; its base class is Keras'."""
    keras = import_keras()

    # Keras has callbacks for both jobs. Its EarlyStopping restores the best weights
    # only if it stopped, in some versions, and both read variables in a way that numpy
    # deprecates, in others.
    class TrainingControl(keras.callbacks.Callback):
        def __init__(self, control):
            super().__init__()
            self._control = control

        def on_epoch_begin(self, epoch, logs=None):
            self.model.optimizer.learning_rate = self._control.learning_rate(epoch)

        def on_epoch_end(self, epoch, logs=None):
            if self._control.stops(epoch, logs, _to_numpy(self.model.weights)):
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
