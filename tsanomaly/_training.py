# SPDX-License-Identifier: MIT
from numbers import Integral, Real

from sklearn.base import BaseEstimator

from tsanomaly._sklearn_compat import HasMethods, Interval, InvalidParameterError
from tsanomaly._validation import are_counts

__all__ = ["Training", "check_units", "check_window_sizes"]


class Training(BaseEstimator):
    """Training options of a network.

    Pass it as the `training` parameter of :class:`LSTMAutoencoderDetector`. It has
    `get_params` and `set_params`, so its parameters can be searched as nested ones:
    ``{"training__batch_size": [32, 64]}``.

    Parameters
    ----------
    batch_size : int, default=32
        Number of windows per training step.

    learning_rate : float, default=0.005
        Initial learning rate of Adam, with cosine decay to zero over the epochs. Not
        used with a custom `optimizer`.

    windows_per_epoch : int, default=2000
        Number of windows drawn at random without replacement in each epoch, rounded up
        to full batches. If the series has fewer, all are used. Windows one row apart
        are nearly identical, so an epoch need not contain all of them.

    validation_fraction : float, default=0.0
        Share of the windows to hold out for early stopping, in [0, 1). They are the
        last in time. With 0 there is no early stopping. If a linear map is fitted as
        well, the network trains on the first 80 % of the remaining windows.

    n_iter_no_change : int, default=5
        Number of epochs without improvement of the validation loss after which training
        stops. The weights of the best epoch are kept. Used only if windows are held
        out.

    optimizer : str, keras.optimizers.Optimizer or None, default=None
        Optimizer, as for ``keras.Model.compile``, with its own learning rate or
        schedule. Every `fit` uses a fresh copy. None is Adam with gradients clipped to
        a global norm of 1 and the schedule of `learning_rate`.

    loss : str, keras.losses.Loss, callable or None, default=None
        Loss, as for ``keras.Model.compile``. None is the mean squared error. Missing
        readings are excluded from losses that are means over readings, such as
        'mean_absolute_error'; in other losses they count as predicted exactly.

    callbacks : sequence of keras.callbacks.Callback, default=()
        Called during training after the library's own callbacks, so they can override
        its learning rate. If no windows are held out, the network keeps the weights
        that the callbacks leave. The callbacks do not keep a reference to the model.

    See Also
    --------
    LSTMAutoencoderDetector : The detector whose network is trained.

    Notes
    -----
    On jax, the built-in network has its own training loop, about ten times as fast as
    that of Keras. Setting `optimizer`, `loss` or `callbacks` selects the loop of Keras,
    which is compiled again in every `fit`.

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


def check_units(units):
    """Raise unless `units` of an autoencoder holds widths of layers."""
    if not units or not are_counts(units, 1):
        raise InvalidParameterError(
            "The 'units' parameter of LSTMAutoencoderDetector must hold integers of at "
            f"least 1, one for each LSTM layer. Got {units!r} instead. For example, "
            "use units=(64, 32)."
        )


def check_window_sizes(window_size):
    """Raise unless `window_size` of an autoencoder holds one to three sizes."""
    sizes = window_size
    sizes = (sizes, sizes) if isinstance(sizes, Integral) else sizes
    if len(sizes) not in (2, 3) or not are_counts(sizes, 2):
        raise InvalidParameterError(
            "The 'window_size' parameter of LSTMAutoencoderDetector must be an int of "
            "at least 2, or two or three of them, for the network, the linear map and "
            f"the baseline. Got {window_size!r} instead. For example, use "
            "window_size=(16, 80, 1001)."
        )
