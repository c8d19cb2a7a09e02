# SPDX-License-Identifier: MIT
"""Train networks: the built-in one on jax, others with ``keras.Model.fit``.

A trainer is created once per architecture. Weights are passed and returned as NumPy
arrays.
"""

import math
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial

import joblib
import numpy as np

from tsanomaly._backend import import_keras
from tsanomaly._progress import tell

__all__ = [
    "INPUT_LIMIT",
    "Control",
    "JaxTrainer",
    "KerasTrainer",
    "batch_class",
    "to_numpy",
]

# Maximum number of windows per gradient computation of a thread. The memory of the
# backward pass, 17 MB in a network of 61,972 weights, should stay below 32 MB, from
# which the C library returns memory to the system after every step: with 64 windows,
# allocating it again took as long as the computation.
_LARGEST_PART = 32

# Minimum product of windows and width of the widest layer to split a batch. At 512, two
# threads on two cores took as long as one, and more processor time.
_WORTH_A_THREAD = 1024

# Maximum number of threads that compute gradients.
_MOST_THREADS = 8

# The input of the network is clipped at this value, far beyond any scaled reading, so
# that float32 cannot overflow. Residuals use the readings as given.
INPUT_LIMIT = 1e9


class _Trainer:
    """Base class of trainers.

    Parameters
    ----------
    model : keras.Model
        Newly built model of the architecture.
    """

    def __init__(self, model):
        self._names = [variable.name for variable in model.weights]
        self._weights = to_numpy(model.weights)

    def draw_weights(self, seed):
        """Draw the initial values of all weights."""
        rng = np.random.default_rng(seed)
        return [
            _draw_weight(name, value, rng)
            for name, value in zip(self._names, self._weights, strict=True)
        ]


def _adam():
    return import_keras().optimizers.Adam(learning_rate=1.0, global_clipnorm=1.0)


def _adam_for(vector):
    """Return the optimiser of a vector of weights, within a function traced by jax.

    Outside of one, jax would compile programs for its variables.
    """
    optimizer = _adam()
    optimizer.build([import_keras().Variable(vector, dtype=vector.dtype.name)])
    return optimizer


def _variables_of_adam(vector):
    return [variable.value for variable in _adam_for(vector).variables]


class JaxTrainer(_Trainer):
    """Trainer of the built-in network. Several threads can use it at the same time.

    All weights are concatenated into one vector: with a dozen arrays and their two
    moments, calling the optimiser took longer than its computation.
    """

    def __init__(self, model, program):
        super().__init__(model)
        import jax

        vector = np.concatenate(self._weights, axis=None)
        # Adam starts from zeros.
        self._state = [
            np.zeros(variable.shape, variable.dtype)
            for variable in jax.eval_shape(partial(_variables_of_adam), vector)
        ]
        self._program = program
        self._widest = max(
            len(weight)
            for name, weight in zip(self._names, self._weights, strict=True)
            if name == "recurrent_kernel"
        )
        # Functions and not methods, which would keep the trainer and its compiled
        # programs alive.
        self._shapes = [weight.shape for weight in self._weights]
        loss = partial(_loss_and_gradient, program.loss, self._shapes)
        self._gradient = jax.jit(loss)
        self._update = jax.jit(partial(_step))

    def fit(self, weights, training, validation, control, *, seed, verbose):
        """Train and return the history; see `KerasTrainer.fit`."""
        import jax

        # Transferred to jax once, not in every step.
        vector = jax.device_put(np.concatenate(weights, axis=None))
        state, history = self._state, {}
        # Keras inspects a first batch and then draws again. Use the same windows here.
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
                    results = self._submit(pool, vector, parts, seed, step)
                    if number + 1 < len(training):  # while jax computes
                        parts = self._share_out(*training[number + 1])
                    of_parts, gradients = zip(*results, strict=True)
                    # Otherwise jax would keep all batches of an epoch in memory.
                    jax.block_until_ready(gradients)
                    vector, state = self._update(vector, state, rate, gradients)
                    losses.append(sum(float(loss) for loss in of_parts))
                    if progress:
                        logs = {"loss": np.mean(losses)}
                        progress.on_train_batch_end(number, logs)
                training.on_epoch_end()
                logs = {"loss": np.mean(losses)}
                weights = _split(np.asarray(vector), self._shapes)
                if validation is not None:
                    logs["val_loss"] = self._validate(weights, validation)
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
        """Split a batch into parts that are computed in parallel.

        Within a single program, jax leaves cores idle. The number of parts does not
        depend on the machine.

        Returns
        -------
        parts : list of (seen, target, counted)
            Parts of equal size; see `LSTMProgram.loss` for `counted`.
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

    def _submit(self, pool, vector, parts, seed, step):
        """Compute loss and gradient of each part.

        Returns
        -------
        results : iterable of (loss, gradient)
            Results in the order of the parts.
        """
        import jax

        def of_part(number, part):
            drawn_by = np.uint32(seed), np.uint32(step * len(parts) + number)
            return self._gradient(vector, *part, *drawn_by)

        if len(parts) == 1:
            # By default, jax returns immediately and computes in its own thread.
            return [of_part(0, parts[0])]
        return pool.map(
            lambda *part: jax.block_until_ready(of_part(*part)),
            range(len(parts)),
            parts,
        )

    def _validate(self, weights, batches):
        """Return the mean loss of all batches."""
        losses = [
            np.nanmean(
                np.square(target - np.asarray(self._program.forward(weights, seen)))
            )
            for seen, target in (batches[number] for number in range(len(batches)))
        ]
        return np.mean(losses)


def _split(vector, shapes):
    """Split a vector into weights in the order of Keras."""
    weights, start = [], 0
    for shape in shapes:
        end = start + math.prod(shape)
        weights.append(vector[start:end].reshape(shape))
        start = end
    return weights


def _loss_and_gradient(loss, shapes, vector, *others):
    import jax
    import jax.numpy as jnp

    of_weights = jax.value_and_grad(loss)
    value, gradients = of_weights(_split(vector, shapes), *others)
    return value, jnp.concatenate([gradient.ravel() for gradient in gradients])


def _step(vector, state, learning_rate, gradients):
    """Apply the optimiser to the sum of the gradients of the parts."""
    optimizer = _adam_for(vector)
    state = [
        learning_rate if variable.name == "learning_rate" else value
        for variable, value in zip(optimizer.variables, state, strict=True)
    ]
    [vector], state = optimizer.stateless_apply(state, [sum(gradients)], [vector])
    return vector, state


class KerasTrainer(_Trainer):
    """Trainer of any network with ``keras.Model.fit``, one thread at a time.

    Parameters
    ----------
    model : keras.Model
        Uncompiled network.
    masked : bool
        Whether readings are missing.
    optimizer, loss : str, object or None
        As in Keras. None is Adam with clipped gradients, and the mean squared error.
    """

    def __init__(self, model, masked=False, optimizer=None, loss=None):
        super().__init__(model)
        optimizer = _adam() if optimizer is None else _fresh(optimizer)
        optimizer.build(model.trainable_variables)
        loss = "mse" if loss is None else loss
        model.compile(optimizer=optimizer, loss=_masked(loss) if masked else loss)
        self._model = model
        self._optimizer = to_numpy(optimizer.variables)
        self._lock = threading.Lock()

    def fit(
        self,
        weights,
        training,
        validation,
        control,
        *,
        seed,
        verbose,
        callbacks=(),
    ):
        """Train from given weights.

        Parameters
        ----------
        weights : list of ndarray
            Initial weights in the order of Keras.
        training, validation : Batches
            Training batches, and validation batches or None.
        control : Control
            Receives the trained weights.
        seed : int
            Seed of dropout.
        verbose : int
            As in Keras.
        callbacks : sequence of keras.callbacks.Callback, default=()
            Called after the library's own callbacks. Without validation batches, the
            weights that they leave are kept.

        Returns
        -------
        history : dict of str to list of float
        """
        with self._lock:
            log = self._reset(weights, seed).fit(
                training,
                validation_data=validation,
                epochs=control.epochs,
                # Callbacks of the user come last, so they can set the learning rate.
                callbacks=[_callback_class()(control), *callbacks],
                shuffle=False,
                verbose=verbose,
            )
            if callbacks and validation is None:
                control.weights = to_numpy(self._model.weights)
        for callback in callbacks:
            # They are parameters of an estimator, which must not contain a model.
            callback._model = None
        return log.history

    def _reset(self, weights, seed):
        """Reset the model to a new state with seeded dropout."""
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


def _fresh(optimizer):
    """Return a fresh Keras optimizer from a name or another optimizer."""
    optimizer = import_keras().optimizers.get(optimizer)
    with warnings.catch_warnings():
        # Keras reads the learning rate in a way deprecated by NumPy.
        warnings.filterwarnings("ignore", "__array__", DeprecationWarning)
        config = optimizer.get_config()
    return type(optimizer).from_config(config)


def _masked(loss):
    """Return a Keras loss that ignores NaN in the target."""
    keras = import_keras()
    loss, ops = keras.losses.get(loss), keras.ops

    def masked(target, output):
        missing = ops.isnan(target)
        known = 1.0 - ops.mean(ops.cast(missing, output.dtype))
        # Missing readings count as predicted exactly, and add nothing to a mean.
        return loss(ops.where(missing, output, target), output) / known

    return masked


def to_numpy(variables):
    """Return copies of Keras variables as NumPy arrays."""
    ops = import_keras().ops
    convert, tensor = ops.convert_to_numpy, ops.convert_to_tensor
    return [np.array(convert(tensor(variable))) for variable in variables]


def _draw_weight(name, value, rng):
    """Draw the initial value of a weight, identically on all backends.

    As in Keras, kernels are Glorot uniform and recurrent kernels orthogonal. Other
    weights, such as biases (including the LSTM forget bias of 1), are not changed.
    """
    if name == "kernel":
        limit = np.sqrt(6 / sum(value.shape))
        return rng.uniform(-limit, limit, value.shape).astype(value.dtype)
    if name == "recurrent_kernel":  # (width, 4 * width)
        q, r = np.linalg.qr(rng.normal(size=value.T.shape))
        q *= np.sign(np.diag(r))  # makes the draw uniform over orthogonal matrices
        return q.T.astype(value.dtype)
    return value


class Control:
    """Cosine decay of the learning rate, early stopping, and the best weights.

    Without validation windows, the last epoch is kept, because the training loss of an
    epoch depends more on the windows it drew than on the network.
    """

    def __init__(self, learning_rate, epochs, patience):
        self.weights = None
        self.epochs = epochs
        self._learning_rate = learning_rate
        self._patience = patience
        self._best = None
        self._waited = 0

    def learning_rate(self, epoch):
        """Return the learning rate of an epoch, None to leave it to the optimizer."""
        if self._learning_rate is None:
            return None
        return self._learning_rate * (1 + np.cos(np.pi * epoch / self.epochs)) / 2

    def stops(self, epoch, logs, weights):
        """Record an epoch, and return whether to stop."""
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
    """Return the Keras callback that applies a control."""
    keras = import_keras()

    # The callbacks of Keras are not used: in some versions, EarlyStopping restores the
    # best weights only if it stopped, and in others, variables are read in a way that
    # NumPy deprecates.
    class TrainingControl(keras.callbacks.Callback):
        def __init__(self, control):
            super().__init__()
            self._control = control

        def on_epoch_begin(self, epoch, logs=None):
            rate = self._control.learning_rate(epoch)
            if rate is not None:
                self.model.optimizer.learning_rate = rate

        def on_epoch_end(self, epoch, logs=None):
            if self._control.stops(epoch, logs, to_numpy(self.model.weights)):
                self.model.stop_training = True

    return TrainingControl


@cache
def batch_class():
    """Return the class of batches, whose base class requires Keras."""
    keras = import_keras()

    class Batches(keras.utils.PyDataset):
        """Windows in batches of equal size. With a seed, new random ones every epoch.

        Yields inputs and targets. For a network that forecasts, the target is the last
        row.
        """

        def __init__(
            self,
            windows,
            rows,
            batch_size,
            n_batches,
            *,
            forecasts=False,
            noise=None,
            seed=None,
        ):
            super().__init__()
            self._forecasts = forecasts
            self._windows = windows
            self._rows = rows
            self._shape = (n_batches, batch_size)
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
            given = batch[:, :-1] if self._forecasts else batch
            seen = filled = self._windows.fill(given)
            if self._noise is not None:
                # Seeded per batch, because Keras may request a batch more than once.
                rng = np.random.default_rng([self._seed, 2, self._epoch, index])
                seen = rng.standard_normal(given.shape, dtype=np.float32)
                seen *= self._noise
                seen += filled
            if self._forecasts:
                return seen, batch[:, -1]
            return seen, batch

    return Batches
