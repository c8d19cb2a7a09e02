# SPDX-License-Identifier: MIT
"""Train a network: the library's own on jax, any other by ``keras.Model.fit``.

A trainer is made once for an architecture. Weights go in and come out as numpy arrays.
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

# Windows whose gradient one thread computes, at most. What the backward pass needs of
# them, 17 MB in a network of 61,972 weights, should stay below the 32 MB from which the
# C library gives memory back to the system after every step: with 64 windows, asking
# for it again took as long as the computation.
_LARGEST_PART = 32

# Windows times the width of the widest layer from which a batch is shared out. At 512,
# two threads on two cores took as long as one, and more processor time.
_WORTH_A_THREAD = 1024

# Threads that compute gradients together, at most.
_MOST_THREADS = 8

# What the network sees is clipped here, far beyond any scaled reading, so that float32
# arithmetic inside it cannot overflow. Residuals are taken from the readings as given.
INPUT_LIMIT = 1e9


class _Trainer:
    """What trainers of a network share.

    Parameters
    ----------
    model : keras.Model
        Of the architecture; as it was built.
    """

    def __init__(self, model):
        self._names = [variable.name for variable in model.weights]
        self._weights = to_numpy(model.weights)

    def draw_weights(self, seed):
        """Initial values of all weights."""
        rng = np.random.default_rng(seed)
        return [
            _draw_weight(name, value, rng)
            for name, value in zip(self._names, self._weights, strict=True)
        ]


def _adam():
    return import_keras().optimizers.Adam(learning_rate=1.0, global_clipnorm=1.0)


def _adam_for(vector):
    """The optimiser of a vector of weights, to be made while jax traces a function.

    Made at any other time, its variables would have jax compile programs of their own.
    """
    optimizer = _adam()
    optimizer.build([import_keras().Variable(vector, dtype=vector.dtype.name)])
    return optimizer


def _variables_of_adam(vector):
    return [variable.value for variable in _adam_for(vector).variables]


class JaxTrainer(_Trainer):
    """Trains the library's own network; several may train with it at a time.

    All weights are one vector here: with a dozen arrays and two moments of each, a step
    of the optimiser took longer to call than to compute.
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
        # Functions of this trainer, but not its methods: those would keep it, and what
        # is compiled for it, alive.
        self._shapes = [weight.shape for weight in self._weights]
        loss = partial(_loss_and_gradient, program.loss, self._shapes)
        self._gradient = jax.jit(loss)
        self._update = jax.jit(partial(_step))

    def fit(self, weights, training, validation, control, *, seed, verbose):
        """Train, and return the history; as `KerasTrainer.fit`."""
        import jax

        # Brought to jax once, not with every step.
        vector = jax.device_put(np.concatenate(weights, axis=None))
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
                    results = self._submit(pool, vector, parts, seed, step)
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

    def _submit(self, pool, vector, parts, seed, step):
        """Have loss and gradient of each part computed.

        Returns
        -------
        results : iterable of (loss, gradient)
            In the order of the parts.
        """
        import jax

        def of_part(number, part):
            drawn_by = np.uint32(seed), np.uint32(step * len(parts) + number)
            return self._gradient(vector, *part, *drawn_by)

        if len(parts) == 1:
            # By default jax returns at once, and computes in a thread of its own.
            return [of_part(0, parts[0])]
        return pool.map(
            lambda *part: jax.block_until_ready(of_part(*part)),
            range(len(parts)),
            parts,
        )

    def _validate(self, weights, batches):
        """Mean loss of all batches."""
        losses = [
            np.nanmean(
                np.square(target - np.asarray(self._program.forward(weights, seen)))
            )
            for seen, target in (batches[number] for number in range(len(batches)))
        ]
        return np.mean(losses)


def _split(vector, shapes):
    """Weights in Keras' order, from all in one vector."""
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
    """One step of the optimiser, along the sum of the gradients of the parts."""
    optimizer = _adam_for(vector)
    state = [
        learning_rate if variable.name == "learning_rate" else value
        for variable, value in zip(optimizer.variables, state, strict=True)
    ]
    [vector], state = optimizer.stateless_apply(state, [sum(gradients)], [vector])
    return vector, state


class KerasTrainer(_Trainer):
    """Trains any network with ``keras.Model.fit``, one at a time.

    Parameters
    ----------
    model : keras.Model
        The network, not compiled.
    masked : bool
        Whether readings are missing.
    optimizer, loss : str, object or None
        As Keras takes them; None for Adam with clipped gradients, and for the mean of
        squared residuals.
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
        """Train, from given weights.

        Parameters
        ----------
        weights : list of ndarray
            In Keras' order.
        training, validation : Batches
            What to train on, and what to tell the best epoch by, or None.
        control : Control
            Keeps the trained weights.
        seed : int
            Seed of dropout.
        verbose : int
            As in Keras.
        callbacks : sequence of keras.callbacks.Callback, default=()
            Called beside the library's own. Without validation batches, what they
            leave as weights is kept.

        Returns
        -------
        history : dict of str to list of float
        """
        with self._lock:
            log = self._reset(weights, seed).fit(
                training,
                validation_data=validation,
                epochs=control.epochs,
                # Those of the user come last, and may set another learning rate.
                callbacks=[_callback_class()(control), *callbacks],
                shuffle=False,
                verbose=verbose,
            )
            if callbacks and validation is None:
                control.weights = to_numpy(self._model.weights)
        for callback in callbacks:
            # Parameters of an estimator, which is to hold no model.
            callback._model = None
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


def _fresh(optimizer):
    """An optimizer of Keras without a past, from its name or from another."""
    optimizer = import_keras().optimizers.get(optimizer)
    with warnings.catch_warnings():
        # Keras reads the learning rate in a way that NumPy deprecates.
        warnings.filterwarnings("ignore", "__array__", DeprecationWarning)
        config = optimizer.get_config()
    return type(optimizer).from_config(config)


def _masked(loss):
    """A loss of Keras that leaves out what is NaN in the target."""
    keras = import_keras()
    loss, ops = keras.losses.get(loss), keras.ops

    def masked(target, output):
        missing = ops.isnan(target)
        known = 1.0 - ops.mean(ops.cast(missing, output.dtype))
        # What is missing is as it should be, and adds nothing to a mean.
        return loss(ops.where(missing, output, target), output) / known

    return masked


def to_numpy(variables):
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


class Control:
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
        """Step size of an epoch; None leaves it to the optimizer."""
        if self._learning_rate is None:
            return None
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
            rate = self._control.learning_rate(epoch)
            if rate is not None:
                self.model.optimizer.learning_rate = rate

        def on_epoch_end(self, epoch, logs=None):
            if self._control.stops(epoch, logs, to_numpy(self.model.weights)):
                self.model.stop_training = True

    return TrainingControl


@cache
def batch_class():
    """The source of batches, defined late because its base class is Keras'."""
    keras = import_keras()

    class Batches(keras.utils.PyDataset):
        """Windows in batches of one size; with a seed, new random ones every epoch.

        Yields what the network sees, and what is to come out. A network that forecasts
        sees all rows but the last, which is its target.
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
                # Not from one stream: Keras may ask for a batch more than once.
                rng = np.random.default_rng([self._seed, 2, self._epoch, index])
                seen = rng.standard_normal(given.shape, dtype=np.float32)
                seen *= self._noise
                seen += filled
            if self._forecasts:
                return seen, batch[:, -1]
            return seen, batch

    return Batches
