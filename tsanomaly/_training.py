# SPDX-License-Identifier: MIT
from numbers import Integral, Real

from sklearn.base import BaseEstimator

from tsanomaly._sklearn_compat import HasMethods, Interval

__all__ = ["Training"]


class Training(BaseEstimator):
    """How a network is trained.

    The `training` of an :class:`LSTMAutoencoderDetector`. It has parameters as an
    estimator has them, and no other methods, so that a search reaches them:
    ``{"training__batch_size": [32, 64]}``.

    Parameters
    ----------
    batch_size : int, default=32
        Windows in a training step.

    learning_rate : float, default=0.005
        Step size of Adam at the start. It falls to zero along a cosine over the epochs.
        With an `optimizer` it has no meaning.

    windows_per_epoch : int, default=2000
        Windows drawn at random, without repeats, for each epoch, rounded up to whole
        batches. Windows that start one row apart are nearly copies of each other, so an
        epoch need not hold all of them; a shorter series gives all it has.

    validation_fraction : float, default=0.0
        Share of the windows, the last ones in time, that are not trained on but tell
        when to stop, in [0, 1). By default none are held out for that, and all epochs
        are run. Beside a linear map the network learns from the first four fifths of
        the other windows.

    n_iter_no_change : int, default=5
        If windows are held out, training stops after so many epochs in which their loss
        did not fall below its best, and the weights of the best epoch are kept.

    optimizer : str, keras.optimizers.Optimizer or None, default=None
        As ``keras.Model.compile`` takes it; its learning rate, or schedule, is its own.
        Every fit trains with a new one of the same configuration. None is Adam, with
        gradients clipped to a norm of 1 and a learning rate that falls from
        `learning_rate`.

    loss : str, keras.losses.Loss, callable or None, default=None
        As ``keras.Model.compile`` takes it. None is the mean squared residual. Missing
        readings are left out of a loss that is a mean over readings, such as
        'mean_absolute_error'; in others they count as predicted exactly.

    callbacks : sequence of keras.callbacks.Callback, default=()
        Called in training, after the library's own: one that sets the learning rate at
        the start of an epoch has the last word. Without held-out windows the network
        keeps the weights that they leave. No model is left in them.

    See Also
    --------
    LSTMAutoencoderDetector : The detector whose network is trained.

    Notes
    -----
    On jax the library's own network trains in a loop of the library, about ten times as
    fast as in that of Keras. With an `optimizer`, a `loss` or `callbacks`, Keras' loop
    trains, and compiles anew in every `fit`.

    Examples
    --------
    >>> from tsanomaly import LSTMAutoencoderDetector, Training
    >>> detector = LSTMAutoencoderDetector(
    ...     training=Training(validation_fraction=0.2, n_iter_no_change=3)
    ... )
    >>> detector.set_params(training__batch_size=64).training.batch_size
    64
    """

    _parameter_constraints: dict = {
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "windows_per_epoch": [Interval(Integral, 1, None, closed="left")],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "optimizer": [str, HasMethods("get_config"), None],
        "loss": [str, callable, None],
        "callbacks": [list, tuple],
    }

    def __init__(
        self,
        *,
        batch_size=32,
        learning_rate=0.005,
        windows_per_epoch=2000,
        validation_fraction=0.0,
        n_iter_no_change=5,
        optimizer=None,
        loss=None,
        callbacks=(),
    ):
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.windows_per_epoch = windows_per_epoch
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.optimizer = optimizer
        self.loss = loss
        self.callbacks = callbacks
