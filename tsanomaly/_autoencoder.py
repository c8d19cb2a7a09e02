# SPDX-License-Identifier: MIT
from functools import partial
from numbers import Integral, Real

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from tsanomaly._backend import check_not_forked
from tsanomaly._linear_map import LinearMap
from tsanomaly._memory import check_memory
from tsanomaly._network import (
    Network,
    build_lstm_autoencoder,
    get_network,
    identify,
)
from tsanomaly._progress import tell
from tsanomaly._relations import find_evidence, relation_weights
from tsanomaly._residual_detector import ResidualDetector, warn_of_unpredictable
from tsanomaly._sklearn_compat import Interval, InvalidParameterError, StrOptions
from tsanomaly._trainers import INPUT_LIMIT
from tsanomaly._training import Training
from tsanomaly._validation import (
    are_counts,
    check_moved,
    check_parameters_unchanged,
    locate,
    moved_parameters,
)
from tsanomaly._views import Blend, View, errors_of_halves
from tsanomaly._window_model import LinearModel, NetworkModel

__all__ = ["LSTMAutoencoderDetector"]

# Former parameters, and what to pass instead.
_MOVED = {
    name: f"training=Training({name}=...)"
    for name in (
        "batch_size",
        "learning_rate",
        "windows_per_epoch",
        "validation_fraction",
        "n_iter_no_change",
    )
}

# Share of the training rows that the network learns from beside a linear view. The
# others, the last ones, tell what it knows.
_LEARNED = 0.8

# What is learned by two views, and not by a network alone.
_OF_BOTH_VIEWS = (
    "linear_mean_",
    "linear_components_",
    "linear_gains_",
    "baseline_mean_",
    "baseline_components_",
    "baseline_gains_",
    "relation_gain_",
    "predictable_",
    "_residual_weights",
)


class LSTMAutoencoderDetector(ResidualDetector):
    r"""Flag rows that an LSTM autoencoder or a linear map reconstructs badly.

    Both learn to reproduce the windows of a mostly normal series, seen through noise
    [2]_. What they have not learned, they reproduce badly: the residuals of a row, in
    each channel, are its errors. The two are judged apart. The linear map looks back
    over long windows, and follows slow normal drift. The network [1]_ looks at short
    ones, and learns relations between channels that are not linear. `fit` tests on
    training rows that the network has not seen how much more it knows than the linear
    map, and lets it count for as much (`relation_gain_`); where it knows nothing more,
    the linear map scores alone. `transform` returns the errors, so that the estimator
    works both as a detector with a threshold of its own, and as a step before
    :class:`ReconstructionThreshold`.

    Scale the series first, for example with
    :class:`~sklearn.preprocessing.StandardScaler` in a pipeline: errors are compared
    across channels, and the network learns badly from unscaled readings. `fit` warns
    of readings that were not scaled.

    Parameters
    ----------
    window_size : int or tuple of two int, default=(16, 80)
        Rows in a window of the network, and in one of the linear map. A single number
        is for both. At least 2.

    units : tuple of int, default=(32,)
        Widths of the encoder's LSTM layers, one for each entry. The decoder mirrors
        them.

    latent_dim : int, None or 'sequence', default='sequence'
        What the decoder sees of a window:

        - 'sequence': what the encoder gives at every row, from the last row to the
          first. No single vector has to hold the window.
        - None: what the encoder gives at the last row.
        - int: that, through a dense layer of this width, the bottleneck.

    dropout : float, default=0.0
        Share of activations that training sets to zero between the layers, in [0, 1).

    network : callable or None, default=None
        Builds another network instead, to which `units`, `latent_dim` and `dropout` do
        not apply. ``network(window_size, n_channels)`` returns a ``keras.Model``, not
        compiled, that takes windows of shape (batch, window_size, n_channels) and gives
        either windows of that shape, to reconstruct them, or the row that follows each
        of them, (batch, n_channels), to forecast it. A function, or an object with
        `get_params`, whose parameters a search then reaches. See the notes.

    epochs : int, default=40
        Epochs of training, at most.

    noise : float, default=0.3
        Standard deviation of the white noise that training adds to the windows which
        the network sees, in units of that of each channel. The network learns to
        reconstruct the windows without it, and so how readings depend on each other,
        instead of copying them.

    linear_variance : float, default=0.8
        How much of the windows' variance the linear map may reconstruct, in [0, 1). It
        is the linear map that best restores noisy windows, computed in closed form;
        this share, with all principal components of the windows, determines how noisy,
        and then the 64 largest components are kept. 0 leaves it out, as a network that
        forecasts needs: the network then learns from all rows, and scores alone.

    training : Training or None, default=None
        How the network is trained: batch size, learning rate, held-out windows,
        optimizer, loss, callbacks. None is ``Training()``.

    row_error : str, default='multiscale'
        How the squared residuals of windows become the error of a row:

        - 'multiscale': means over the last `window_size` rows of the window that ends
          at the row, over half as many, and so on down to the row itself, each as a
          normalised score on the scale of its training rows; the error follows the
          highest of them most, and the row itself counts three times. A single row
          counts in the longer means within a limit. Causal; finds short and long
          anomalies.
        - 'multiscale_centered': the same, over the rows that end at the row and those
          that start there (or, near the end of a series, its last rows). Looks ahead
          up to ``window_size - 1`` rows.
        - 'last': the residual of the row itself in the window that ends there.
          Causal, and sharp in time: for spikes and steps.
        - 'window_mean': the mean over the window that ends at the row. Causal; steadier
          and slower, for anomalies that last longer than a window.
        - 'overlap_mean': the residual of the row itself, averaged over all windows that
          hold it. Looks ahead up to ``window_size - 1`` rows.

    stride : int, default=1
        Rows between the windows that 'overlap_mean' averages, at most `window_size`.
        Larger is faster by that factor; with windows of 50 rows, 10 lost less than
        0.002 VUS-PR on four groups of series. The other rules need every window, and
        take no other stride than 1.

    missing : {'ignore', 'anomaly'}, default='ignore'
        What a missing reading (NaN) in a row that holds others says of the row:

        - 'ignore': nothing. The row is judged by the other readings.
        - 'anomaly': that the row is abnormal, by this channel. The reading gets the
          error ``missing_error_``, beyond that of all training rows, on top of what the
          channel's earlier readings say.

        In neither case training learns from what was not read. It may be set
        otherwise after `fit`.

    contamination : 'auto' or float, default='auto'
        Share of the training rows to flag, in (0, 0.5]. With 'auto' the threshold is
        the higher one of what 1 % of training rows exceed and 1 % of rows that were not
        learned from, see the notes, without start-up rows.
        Rows that are flagged for a missing reading come on top.

    random_state : int, RandomState instance or None, default=None
        Controls initial weights, dropout and the draw of windows. With an int, scores
        are the same bit for bit on the same machine and backend. None draws a fresh
        seed; global random states are left alone.

    verbose : int, default=0
        1 shows a progress bar for each epoch, 2 a line.

    Attributes
    ----------
    weights_ : list of ndarray
        Weights of the network, in Keras' order.

    linear_components_ : ndarray of shape (n_components, window_size * n_channels)
        Principal components of the training windows, time-major, at most 64, that the
        linear map projects windows on. Present unless ``linear_variance=0``, as the
        next four.

    linear_gains_ : ndarray of shape (n_components,)
        What each projection is multiplied by, in [0, 1].

    linear_mean_ : ndarray of shape (window_size * n_channels,)
        Mean of the training windows, less `center_`.

    relation_gain_ : ndarray of shape (n_channels,)
        How much more the network knows of each channel than the linear map, in [0, 1]:
        of the windows that were spoilt in this channel and that the linear map does not
        tell from others, the share that the network does.

    predictable_ : ndarray of shape (n_channels,), dtype=bool
        Whether readings of a channel can be predicted, by either, from others or those
        before, or cannot be told of a short or wide series. `fit` warns if some cannot.

    center_ : ndarray of shape (n_channels,)
        Mean reading of each channel in training. It is subtracted in double precision;
        models compute in single precision, and see it in the place of a channel without
        any reading in a window.

    missing_error_ : float
        Error of a missing reading, with ``missing='anomaly'``: twice `n_channels` times
        the error of the worst training row, or the threshold, if that is larger.

    history_ : dict of str to list of float
        'loss', and 'val_loss' if windows were held out, one value for each epoch.

    n_iter_ : int
        Epochs that were run.

    median_error_ : float
        Median error of the training rows that are no start-up rows.

    offset_ : float
        Threshold: ``decision_function = score_samples - offset_``.

    n_context_ : int
        Rows before a row that its score depends on: those of the longest window that
        counts but one, 79 by default, or with a network that forecasts `window_size`,
        and ``window_size - 1`` more where `row_error` looks back over a window.

    n_lookahead_ : int
        Rows after a row that its score depends on: 0 for causal rules,
        ``window_size - 1`` for 'multiscale_centered' and 'overlap_mean', with the
        longest window that counts.

    n_features_in_ : int
        Number of channels seen in `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the channels, if `fit` was given a frame with string column names.

    See Also
    --------
    ReconstructionThreshold : Set and tune a threshold on reconstruction errors.
    ReconstructionError : Errors of PCA and other invertible transformers.

    Notes
    -----
    With the squared residual :math:`r^2_{s,c}` of row :math:`s` in channel :math:`c`,
    taken in the window of size :math:`w` that ends at row :math:`t`, 'last' is
    :math:`e_{t,c} = r^2_{t,c}` and 'window_mean' is
    :math:`e_{t,c} = \frac{1}{w} \sum_{s=t-w+1}^{t} r^2_{s,c}`, in the squared unit of
    `X`.

    'multiscale' takes these means over the last :math:`k` rows for
    :math:`k = w, \lfloor w/2 \rfloor, \lfloor w/4 \rfloor, \ldots, 1`. The mean of each
    over the channels becomes a normalised score, in logarithms: 0 for the median of the
    training rows, 1 for their 99 % quantile. In the means over more than one row, the
    residuals of a row whose mean over the channels is beyond a limit are scaled down to
    it: one spike does not fill the means of all rows after it. The limit is three times
    the 99 % quantile of that mean, in up to 1,000 windows of training rows that do not
    overlap, and there is none if that is 0. Nor does what is over fill the longer
    means: a normalised score :math:`l_{t,k}` counts at most
    :math:`\frac{1}{2} + \frac{3}{2} \max(l_{t,\lfloor k/2 \rfloor}, 0)`. Of these
    scores a row has the one
    :math:`l_t = \frac{1}{2} \log \frac{\sum_k a_k e^{2 l_{t,k}}}{\sum_k a_k}`,
    with :math:`a_1 = 3` for the row itself and :math:`a_k = 1` else: between their
    weighted mean and the highest. Its error is :math:`\log(1 + e^{l_t})`, a number
    without unit that is close to the normalised score where that is large. The channels
    get it by their shares of the squared residuals, each length by its part of the sum,
    so that those lengths count that raised the error. 'multiscale_centered' has two
    scores of every :math:`k > 1`, one that looks back and one that looks ahead.

    For every rule ``score_samples(X) == -transform(X).mean(axis=1)``, and errors are
    never negative.

    Of a missing reading (NaN) the models see the last one of its
    channel in the window, or else the first, or else the mean of the training rows.
    Its residual is in no mean and no loss: "mean" above is that of the residuals there
    are. A channel without a reading in the rows that a rule looks at has no error
    (NaN); with ``missing='ignore'``, the mean over the channels is then that of the
    others, ``score_samples(X) == -np.nanmean(transform(X), axis=1)``. With
    ``missing='anomaly'`` errors are NaN at breaks alone. A channel without any reading
    in training is refused.

    **Two views.** The network learns from the first four fifths of the training rows,
    drawn as windows, and its scales come from the last fifth. There the evidence is
    found, without labels: in 300 windows (fewer of wide series) the last ten rows of
    one channel are replaced by ten rows of the same channel from elsewhere, which
    breaks its relation to the others and to its past, and nothing else. With the areas
    under the ROC curve :math:`a` of the network and :math:`b` of the linear map (at
    least 0.5) that tell these windows from the unspoilt ones, by the mean squared
    residual of the ten rows, `relation_gain_` is :math:`(a - b) / (1 - b)`, at least 0.
    A channel counts with :math:`w_c`, which is 0 up to a gain of 1/4, 1 from 1/2 on,
    and linear in between. The squared residuals of the network are divided by the mean
    of the channel in the last fifth (at least a hundredth of the median channel's), and
    multiplied by :math:`w_c`, or 0.1 if that is more. With the median :math:`w` of all
    :math:`w_c` (0 of channels that never change) and the normalised scores :math:`l_1`
    of the linear map and :math:`l_2` of the network, a row has
    :math:`l = \frac{1}{2} \log((1 - w) e^{2 l_1} + w e^{2 l_2})`, and the error
    :math:`\log(1 + e^l)`; the channels get it by their shares in both. With
    :math:`w = 0` the linear map scores alone, and the network is not run. With other
    rules than the 'multiscale' ones :math:`l_1` and :math:`l_2` are made of their
    errors, by the same logarithmic scale. `reconstruct` returns, for each channel, a
    mean of what the two expect, with the weight :math:`w_c` of the network.

    **Threshold.** ``contamination='auto'`` takes errors of rows that were not learned
    from: of the last fifth, where the network counts, by the network and by a linear
    map of the first half of the rows; otherwise of up to 1,000 rows of each half, by a
    linear map of up to 1,000 windows of the other half. The threshold is their 99 %
    quantile, or that of all training rows if it is higher, or if there is no such map.

    **Start-up rows**, the first of a series and those after a break, have no full
    window; rules that look ahead judge some of them by windows that begin there. The
    others are judged by the row alone: by its squared distance from a forecast, ridge
    regression on the row before it, or from the mean where that is not complete. It
    becomes a normalised score :math:`l`, of which 1 is the 99 % quantile of training
    rows, or of rows that were not learned from if that is higher. With the threshold
    :math:`t` and the median :math:`m` of the errors of rows with full windows, the
    error is :math:`m + l (t - m)`, or :math:`m e^l` of negative scores; beyond
    :math:`t` it rises by at least :math:`t / 100` per unit of :math:`l`. The channels
    get it by their squared distances. Training fills up windows with copies of the
    first row.

    **Breaks.** A row that is NaN in every channel is a break: no window holds it, and
    it has no score (NaN) and is not flagged. Such a row joins several series.

    Other published networks are a line each: ``units=(32, 4), latent_dim=None`` and
    ``units=(64, 8), latent_dim=None``, or ``units=(64, 32), latent_dim=16`` with
    61,972 parameters on four channels; with ``noise=0, linear_variance=0`` they are
    trained as published, and score alone. Set `window_size` and `epochs` to theirs.

    Any other network comes as `network`. Import Keras inside of the function: by then
    the library has chosen a backend that is installed. What it sees is centred: each
    channel has a mean of 0 over the training rows. Initialisers
    without a seed are seeded by `random_state`. A network is built and compiled once in
    a process for each shape of windows, so the function must depend on nothing but its
    arguments, and on its own parameters if it has `get_params`.

    Keras runs on jax, PyTorch or TensorFlow. What `fit` learns is held in numpy arrays:
    an estimator can be pickled, and unpickled where Keras runs on another backend.
    Threads may score with one fitted detector; processes should be started by 'spawn',
    'forkserver' or joblib, because jax does not survive a fork.

    References
    ----------
    .. [1] P. Malhotra, A. Ramakrishnan, G. Anand, L. Vig, P. Agarwal, G. Shroff.
           "LSTM-based Encoder-Decoder for Multi-sensor Anomaly Detection." ICML 2016
           Anomaly Detection Workshop. https://arxiv.org/abs/1607.00148

    .. [2] P. Vincent, H. Larochelle, Y. Bengio, P.-A. Manzagol. "Extracting and
           Composing Robust Features with Denoising Autoencoders." ICML 2008.
           https://doi.org/10.1145/1390156.1390294

    Examples
    --------
    >>> import numpy as np
    >>> from tsanomaly import LSTMAutoencoderDetector
    >>> time = np.arange(300)
    >>> X = np.column_stack([np.sin(time / 5), np.cos(time / 5)])
    >>> detector = LSTMAutoencoderDetector(
    ...     window_size=8, units=(8,), latent_dim=None, random_state=0
    ... )
    >>> detector.fit(X).score_samples(X).shape
    (300,)
    >>> X[150, 0] = 6.0
    >>> int(detector.score_samples(X).argmin())
    150
    >>> int(detector.transform(X)[150].argmax())
    0

    Another network, of gated recurrent units:

    >>> def gru_autoencoder(window_size, n_channels):
    ...     import keras
    ...     from keras import layers
    ...     return keras.Sequential([
    ...         keras.Input((window_size, n_channels)),
    ...         layers.GRU(8),
    ...         layers.RepeatVector(window_size),
    ...         layers.GRU(8, return_sequences=True),
    ...         layers.Dense(n_channels),
    ...     ])
    >>> detector = LSTMAutoencoderDetector(
    ...     window_size=8, network=gru_autoencoder, epochs=1, random_state=0
    ... )
    >>> detector.fit(X).reconstruct(X).shape
    (300, 2)
    """

    _scoring_parameters = (
        "window_size",
        "units",
        "latent_dim",
        "network",
        "baseline_window",
    )

    _parameter_constraints: dict = {
        **ResidualDetector._parameter_constraints,
        "window_size": [Interval(Integral, 2, None, closed="left"), tuple, list],
        "units": [tuple, list],
        "latent_dim": [
            StrOptions({"sequence"}),
            Interval(Integral, 1, None, closed="left"),
            None,
        ],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "network": [callable, None],
        "epochs": [Interval(Integral, 1, None, closed="left")],
        "noise": [Interval(Real, 0, None, closed="left")],
        "linear_variance": [Interval(Real, 0, 1, closed="left")],
        "baseline_window": [Interval(Integral, 2, None, closed="left"), None],
        "training": [Training, None],
        "verbose": ["verbose"],
    }

    @moved_parameters(_MOVED)
    def __init__(
        self,
        window_size=(16, 80),
        *,
        units=(32,),
        latent_dim="sequence",
        dropout=0.0,
        network=None,
        epochs=40,
        noise=0.3,
        linear_variance=0.8,
        baseline_window=1001,
        training=None,
        row_error="multiscale",
        stride=1,
        missing="ignore",
        contamination="auto",
        random_state=None,
        verbose=0,
    ):
        self.window_size = window_size
        self.units = units
        self.latent_dim = latent_dim
        self.dropout = dropout
        self.network = network
        self.epochs = epochs
        self.noise = noise
        self.linear_variance = linear_variance
        self.baseline_window = baseline_window
        self.training = training
        self.row_error = row_error
        self.stride = stride
        self.missing = missing
        self.contamination = contamination
        self.random_state = random_state
        self.verbose = verbose

    def to_keras(self):
        """Build a Keras model with the weights of the network.

        Returns
        -------
        model : keras.Model
            From windows (batch, window_size, n_channels) to their reconstruction, or
            to the row that follows; less `center_`, all of them. Built anew at every
            call: changing it does not change the detector.
        """
        check_is_fitted(self)
        check_parameters_unchanged(self)
        return self._network().build(self.weights_)

    def set_params(self, **params):
        """Set parameters of the detector, and of its training.

        Parameters
        ----------
        **params : dict
            Parameters by name; ``training__batch_size`` and the like are set on a new
            ``Training()`` if there is none.

        Returns
        -------
        self : LSTMAutoencoderDetector
            The detector.

        Raises
        ------
        ValueError
            If there is no such parameter; of a name that moved, the message says where
            it is.
        """
        check_moved(self, params.keys() - self.get_params(deep=False).keys(), _MOVED)
        nested = any(name.startswith("training__") for name in params)
        if nested and self.training is None and "training" not in params:
            self.training = Training()
        return super().set_params(**params)

    def _fit(self, X):
        tell(0, int(self.epochs), "epochs")  # importing and compiling take seconds
        self._check_window_size()
        if self.network is None:
            self._check_units()
        if self.training is not None:
            self.training._validate_params()
        return super()._fit(X)

    def _check_units(self):
        """Check what the constraints of single parameters cannot say."""
        if not self.units or not are_counts(self.units, 1):
            raise InvalidParameterError(
                "The 'units' parameter of LSTMAutoencoderDetector must hold integers "
                f"of at least 1, one for each LSTM layer. Got {self.units!r} instead, "
                "use for example units=(64, 32)."
            )

    def _window_sizes(self):
        """Rows in a window of the network, and in one of the linear view."""
        if isinstance(self.window_size, Integral):
            return int(self.window_size), int(self.window_size)
        return tuple(map(int, self.window_size))

    def _check_window_size(self):
        """Check what the constraints of single parameters cannot say."""
        sizes = self.window_size
        sizes = (sizes, sizes) if isinstance(sizes, Integral) else sizes
        if len(sizes) != 2 or not are_counts(sizes, 2):
            raise InvalidParameterError(
                "The 'window_size' parameter of LSTMAutoencoderDetector must be an int "
                "of at least 2, or two of them, for the network and for the linear "
                f"view. Got {self.window_size!r} instead, use for example "
                "window_size=(16, 80)."
            )

    def _make_views(self):
        short = self._window_sizes()[0]
        network = View(NetworkModel(self._network(), None), self._make_rule(short))
        if not self.linear_variance:
            return [network]
        return [*self._make_linear_views(), network]

    def _make_linear_views(self):
        """Views by linear maps, of windows as they are and less their baseline."""
        long, baselines = self._window_sizes()[1], [None]
        if self.baseline_window is not None:
            baselines.append(int(self.baseline_window))
        return [
            View(LinearModel(None, long), self._make_rule(long), baseline_window=rows)
            for rows in baselines
        ]

    def _n_trained(self, n_rows):
        validation_fraction = self._get_training()["validation_fraction"]
        return n_rows - int(validation_fraction * n_rows)

    def _get_training(self):
        """Parameters of training."""
        return (self.training or Training()).get_params(deep=False)

    def _check_series(self, series, views):
        """Refuse a series that is too large to train on, or not scaled."""
        shape, (short, long) = series.X.shape, self._window_sizes()
        needed = NetworkModel.memory(
            shape,
            short,
            batch_size=int(self._get_training()["batch_size"]),
            width=(sum(self.units) if self.network is None else self._network().width),
        )
        if self.linear_variance:
            needed += LinearModel.memory(shape, long)
            if self.baseline_window is not None:  # float64 while it is computed
                needed += 32 * series.X.size
        needed += sum(view.rule.memory(*shape) for view in views)
        check_memory(
            needed,
            f"Training on {np.count_nonzero(~series.breaks):,} windows of "
            f"{' and '.join(f'{size:,}' for size in sorted({short, long}))} rows and "
            f"{shape[1]:,} channels",
            "Lower window_size, average the series to a slower rate, or leave channels "
            "out.",
        )
        outside = np.abs(series.X) > INPUT_LIMIT
        if outside.any():
            raise ValueError(
                f"Input X holds readings farther than {INPUT_LIMIT:g} from their mean "
                f"in {locate(self, outside)}, and the network cannot learn from those. "
                "Scale the series, for example with "
                "sklearn.preprocessing.StandardScaler in a pipeline."
            )
        if self.linear_variance and self._network().forecasts:
            raise ValueError(
                f"network={self.network!r} forecasts the row that follows a window, "
                f"and linear_variance={self.linear_variance} puts a linear view beside "
                "it that reconstructs windows. Use linear_variance=0."
            )

    def _fit_views(self, series, views, rows, seed):
        """Fit the linear view and the network, and find out what each knows."""
        for name in _OF_BOTH_VIEWS:
            vars(self).pop(name, None)
        network = views[-1]
        if not self.linear_variance:
            network.model = self._train(series, rows, seed)
            return network, network.fit(series, rows), None
        variance, linear_views = self.linear_variance, views[:-1]

        def fit_linear(rows):
            fitted = []
            for view in linear_views:
                n_rows, baseline_window = view.model.n_rows, view.baseline_window
                windows = series.windows(n_rows, baseline_window)
                linear_map = LinearMap.fit(windows, rows, variance, seed)
                model = LinearModel(linear_map, n_rows)
                fitted.append(View(model, view.rule, baseline_window=baseline_window))
            return fitted

        linear_views = fit_linear(rows)
        for kind, view in zip(("linear", "baseline"), linear_views, strict=False):
            for name in ("mean", "components", "gains"):
                setattr(self, f"{kind}_{name}_", getattr(view.model.linear_map, name))
        linear = _mean_of(linear_views)
        errors = linear.fit(series, rows)

        # The network does not learn from the last rows, which tell what it knows.
        n_learned = max(int(_LEARNED * len(rows)), 1)
        last = rows[n_learned:] if n_learned < len(rows) else rows
        network.model = self._train(series, rows[:n_learned], seed)
        weight = self._weigh(series, last, linear_views[0], network, seed)

        def refit(rows):
            return _mean_of(fit_linear(rows))

        if not weight:
            held_out = partial(errors_of_halves, linear, series, rows, refit)
            return linear, errors, held_out
        network.weights = self._residual_weights
        both = [errors, network.fit(series, last)]
        view = self._join(linear, network)
        last = last[series.windows(view.n_start_up + 1).whole[last]]
        if not len(last) or n_learned == len(rows):
            return view, view.join(both), None

        def held_out(most):
            learned = rows[: len(rows) // 2]  # the last rows are not among these
            apart = refit(learned)
            return last, view.join([apart.errors_at(series, last), both[1][last]])

        return view, view.join(both), held_out

    def _weigh(self, series, rows, linear, network, seed):
        """Find out what the network knows of each channel, and its weight."""
        rng = np.random.default_rng([seed, 4])
        evidence = find_evidence(network, linear, series, rows, rng)
        self.relation_gain_, self.predictable_, self._residual_weights = evidence
        warn_of_unpredictable(self, self.predictable_)
        return relation_weights(self.relation_gain_)[1]

    def _train(self, series, rows, seed):
        """Train the network, and set what it has learned."""
        training, network = self._get_training(), self._network()
        del training["validation_fraction"]
        windows = series.windows(network.n_rows)
        validation_rows = windows.rows[self._n_trained(len(windows.rows)) :]
        readings = np.ma.masked_invalid(windows.X[rows])
        spread = readings.std(axis=0, dtype=np.float64).filled(0)
        self.weights_, self.history_ = network.train(
            windows,
            rows,
            validation_rows,
            seed=seed,
            epochs=self.epochs,
            noise=(self.noise * spread).astype(np.float32) if self.noise else None,
            verbose=int(self.verbose),
            **training,
        )
        self.n_iter_ = len(self.history_["loss"])
        return NetworkModel(network, self.weights_)

    def _view(self):
        """The view that scores rows."""
        linear_views = []
        for kind in ("linear", "baseline"):
            if hasattr(self, f"{kind}_mean_"):
                parts = [
                    getattr(self, f"{kind}_{name}_")
                    for name in ("mean", "components", "gains")
                ]
                model = LinearModel(LinearMap(*parts), self._window_sizes()[1])
                rows = self._fitted_with["baseline_window"] if linear_views else None
                rule = self._rules[len(linear_views)]
                linear_views.append(View(model, rule, baseline_window=rows))
        if linear_views and len(linear_views) == len(self._rules):
            return _mean_of(linear_views)
        network = View(NetworkModel(self._network(), self.weights_), self._rules[-1])
        if not linear_views:
            return network
        network.weights = self._residual_weights
        return self._join(_mean_of(linear_views), network)

    def _join(self, linear, network):
        """Both views together."""
        of_channels, weight = relation_weights(self.relation_gain_)
        channel_weights = np.stack([1 - of_channels, of_channels])
        return Blend([linear, network], (1 - weight, weight), channel_weights)

    def _network(self):
        """The network, compiled once per process."""
        check_not_forked()  # before a lock that another thread held at the fork
        shape = self._window_sizes()[0], self.n_features_in_
        if self.network is not None:

            def make():
                # A copy, so that what is cached does not change with the parameter.
                return Network(partial(clone(self.network, safe=False), *shape), *shape)

            return get_network((shape, identify(self.network)), make)
        units = tuple(int(width) for width in self.units)
        latent_dim = self.latent_dim
        link = "sequence" if isinstance(latent_dim, str) else "state"
        if isinstance(latent_dim, Integral):
            latent_dim, link = int(latent_dim), "dense"
        dropout = float(self.dropout)

        def build():
            return build_lstm_autoencoder(*shape, units, latent_dim, dropout)

        lstm = len(units), link, dropout
        key = shape, units, latent_dim, dropout
        return get_network(key, lambda: Network(build, *shape, lstm))


def _mean_of(views):
    """One view of one or two, which count alike."""
    if len(views) == 1:
        return views[0]
    halves = (0.5, 0.5)
    return Blend(views, halves, np.array([halves]).T, by_mean=True)
