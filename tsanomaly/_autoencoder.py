# SPDX-License-Identifier: MIT
from functools import partial
from numbers import Integral, Real

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from tsanomaly._backend import check_not_forked
from tsanomaly._memory import check_memory
from tsanomaly._model_views import (
    LEARNED,
    combine_linear_views,
    combine_network_views,
    fit_linear,
    join_views,
    learned_by,
    linear_memory,
    make_linear_views,
    make_network_views,
    restore_linear_views,
)
from tsanomaly._network import (
    Network,
    get_lstm_autoencoder,
    get_network,
    identify,
)
from tsanomaly._progress import tell
from tsanomaly._relations import find_evidence, relation_weights
from tsanomaly._residual_detector import ResidualDetector
from tsanomaly._sklearn_compat import Interval, StrOptions
from tsanomaly._training import Training, check_units, check_window_sizes
from tsanomaly._training_warnings import warn_of_unpredictable
from tsanomaly._validation import (
    check_moved,
    check_parameters_unchanged,
    moved_parameters,
)
from tsanomaly._views import View, errors_of_halves
from tsanomaly._window_model import NetworkModel, check_readings

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

# Share of the training rows that the network trains on if there is a linear view. The
# last rows are held out to compare the two.
_LEARNED = 0.8

# Attributes that exist only if both views are fitted.
_GAINS = "relation_gain_", "baseline_relation_gain_"
_OF_BOTH_VIEWS = (*LEARNED, *_GAINS, "predictable_", "_residual_weights")


class LSTMAutoencoderDetector(ResidualDetector):
    r"""Detect anomalies with an LSTM autoencoder and a linear autoencoder.

    Both models learn to reconstruct windows of a mostly normal series from noisy copies
    [2]_. Windows unlike those of the training series are reconstructed badly, and the
    squared residuals of a row are its errors, one per channel.

    The linear map looks back over long windows. The LSTM network [1]_ looks at short
    windows and learns nonlinear relations between channels. Both also see windows
    relative to a trailing median, and thus follow normal operation where it drifts.
    `fit` measures, on training rows that the network has not seen, how much more it
    knows about each channel than the linear map (`relation_gain_`), and weights the two
    accordingly. Where the network adds nothing, the linear map alone scores the rows.

    Scale the series first, for example with
    :class:`~sklearn.preprocessing.StandardScaler` in a pipeline: errors are compared
    across channels, and the network trains poorly on unscaled readings. `fit` warns if
    the channels do not look scaled.

    Parameters
    ----------
    window_size : int or tuple of two or three int, default=(16, 80, 1001)
        Rows in a window of the network, in a window of the linear maps, and of the
        baseline, at least 2 each. Both models also score windows relative to their
        baseline, the median of each channel over that many last rows. This follows slow
        drift; a level that changes for good is normal to it after half as many rows.
        Two numbers or ``linear_variance=0`` leave it out; an int sets the first two.

    units : tuple of int, default=(32,)
        Width of each LSTM layer of the encoder. The decoder mirrors the encoder.

    latent_dim : int, None or 'sequence', default='sequence'
        What the encoder passes to the decoder:

        - 'sequence': its outputs at every row, in reverse order. No single vector has
          to hold the whole window.
        - None: its output at the last row.
        - int: its output at the last row, through a dense bottleneck of this width.

    dropout : float, default=0.0
        Dropout rate between the layers during training, in [0, 1).

    network : callable or None, default=None
        Builds a custom network; `units`, `latent_dim` and `dropout` are then ignored.
        ``network(window_size, n_channels)`` returns an uncompiled ``keras.Model`` that
        maps windows of shape (batch, window_size, n_channels) either to windows of the
        same shape (reconstruction) or to the next row, of shape (batch, n_channels)
        (forecast). Either a function or an object with `get_params`, whose parameters
        can then be searched. See the Notes.

    epochs : int, default=40
        Maximum number of training epochs.

    noise : float, default=0.3
        Standard deviation of the white noise added to the input of the network during
        training, relative to the standard deviation of each channel. The target is the
        window without noise, so the network has to learn how readings depend on each
        other instead of copying them.

    linear_variance : float, default=0.8
        Share of the variance of the windows that the linear map reconstructs, in
        [0, 1). The map is the optimal linear denoiser in closed form; this share sets
        the noise variance it is derived for, given all principal components. The 64
        largest components are kept. 0 disables the linear map: the network then trains
        on all rows and scores alone. A network that forecasts requires 0.

    training : Training or None, default=None
        Batch size, learning rate, validation windows, optimizer, loss and callbacks of
        the network. None is equivalent to ``Training()``.

    row_error : str, default='multiscale'
        How the squared residuals of windows are aggregated into one error per row and
        channel:

        - 'multiscale': combines means over the last `window_size` rows, half as many,
          and so on down to the row itself, each normalised by its own training
          distribution. The largest dominates, and the row itself has three times the
          weight. Single rows are clipped in the longer means. Causal; detects short and
          long anomalies.
        - 'multiscale_centered': like 'multiscale', but also uses means over the rows
          that follow. Looks ahead by up to ``window_size - 1`` rows.
        - 'last': the residual of the row in the window that ends there. Causal and
          sharp in time; suits spikes and steps.
        - 'window_mean': the mean over the window that ends at the row. Causal, smoother
          and slower; suits anomalies longer than a window.
        - 'overlap_mean': the residual of the row, averaged over all windows that
          contain it. Looks ahead by up to ``window_size - 1`` rows.

    stride : int, default=1
        Rows between the starts of the windows averaged by 'overlap_mean', at most
        `window_size`. Scoring is faster by this factor; with windows of 50 rows,
        ``stride=10`` lost less than 0.002 VUS-PR on four groups of series. All other
        rules require 1.

    missing : {'ignore', 'anomaly'}, default='ignore'
        How to treat a missing reading (NaN) in a row that has other readings:

        - 'ignore': score the row on its other readings.
        - 'anomaly': flag the row. ``missing_error_``, which exceeds the error of every
          training row, is added to the error of the channel.

        Training always ignores missing readings. As an input, a missing reading is
        estimated from its last one and those of the other channels. This parameter may
        be changed after `fit`.

    contamination : 'auto' or float, default='auto'
        Determines the threshold.

        - If float, the share of training rows to flag, in (0, 0.5].
        - If 'auto', the threshold is the 99 % quantile of the training errors or of the
          errors of rows held out from training, whichever is higher. Start-up rows do
          not count. It does not promise a false alarm rate of 1 % on new data.

        Rows flagged for a missing reading are in addition to these.

    random_state : int, RandomState instance or None, default=None
        Controls weight initialisation, dropout and the sampling of windows. Pass an int
        for scores that are identical bit for bit on the same machine and backend.
        Global random states are never changed.

    verbose : int, default=0
        0 is silent, 1 shows a progress bar per epoch, 2 one line per epoch.

    Attributes
    ----------
    weights_ : list of ndarray
        Weights of the network, in the order of Keras.

    linear_components_ : ndarray of shape (n_components, window_size * n_channels)
        Principal components of the training windows that the linear map projects onto,
        at most 64, time-major. Not present if ``linear_variance=0``, like the two that
        follow, `relation_gain_` and `predictable_`.

    linear_gains_ : ndarray of shape (n_components,)
        Factor applied to each projection, in [0, 1].

    linear_mean_ : ndarray of shape (window_size * n_channels,)
        Mean of the training windows, after subtracting `center_`.

    baseline_components_, baseline_gains_, baseline_mean_ : ndarray
        The same of the linear map of windows relative to their baseline, if any.

    relation_gain_ : ndarray of shape (n_channels,)
        How much more the network knows about each channel than the linear map, in
        [0, 1]: of the corrupted windows that the linear map cannot tell from normal
        ones, the share that the network can. See the Notes.

    baseline_relation_gain_ : ndarray of shape (n_channels,)
        The same on windows relative to their baseline, if any. 0 if the network does
        not count.

    predictable_ : ndarray of shape (n_channels,), dtype=bool
        Whether either model can predict a channel from other channels or from its own
        past. Also True where too few windows change to tell. `fit` warns about channels
        that are not predictable.

    center_ : ndarray of shape (n_channels,)
        Mean of each channel in training. It is subtracted in double precision before
        the models, which compute in single precision, see the readings.

    missing_error_ : float
        Error added for a missing reading if ``missing='anomaly'``: ``2 * n_channels``
        times the largest training error, or times the threshold if that is larger.

    history_ : dict of str to list of float
        Training curves, one value per epoch: 'loss', and 'val_loss' if windows were
        held out.

    n_iter_ : int
        Number of epochs run.

    median_error_ : float
        Median error of the training rows, start-up rows excluded.

    offset_ : float
        Threshold of the scores: ``decision_function = score_samples - offset_``.

    n_context_ : int
        Number of earlier rows that the score of a row depends on, 1,000 by default:
        `n_start_up_`, or the rows of the baseline but one if that is larger.

    n_start_up_ : int
        Number of rows at the start of a series that are scored as start-up rows, 79 by
        default. A window that ends at the row has ``window_size - 1`` earlier rows; a
        forecast needs `window_size`, and ``window_size - 1`` more if `row_error`
        averages over rows.

    n_lookahead_ : int
        Number of later rows that the score of a row depends on: 0 for causal rules,
        ``window_size - 1`` of the longest window in use for 'multiscale_centered' and
        'overlap_mean'.

    n_features_in_ : int
        Number of channels seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of channels seen during `fit`. Defined only when `X` has feature names
        that are all strings.

    See Also
    --------
    ReconstructionThreshold : Set and tune a threshold on reconstruction errors.
    LinearAutoencoderDetector : The linear maps without the network.
    ReconstructionError : Errors of PCA and other invertible transformers.

    Notes
    -----
    **Row errors.** Let :math:`r^2_{s,c}` be the squared residual of row :math:`s` and
    channel :math:`c` in the window of :math:`w` rows that ends at row :math:`t`. 'last'
    is :math:`e_{t,c} = r^2_{t,c}` and 'window_mean' is
    :math:`e_{t,c} = \frac{1}{w} \sum_{s=t-w+1}^{t} r^2_{s,c}`.

    'multiscale' computes this mean over the last :math:`k = w, \lfloor w/2 \rfloor,
    \lfloor w/4 \rfloor, \ldots, 1` rows. For :math:`k > 1`, a row whose mean over the
    channels exceeds a limit is first scaled down to it, so that a spike does not
    dominate a whole window. The limit is 3 times the 99 % quantile of the mean errors
    of all rows in non-overlapping training windows (at most 1,000 of them, evenly
    spaced), or infinite if that is 0. The mean :math:`e` over the channels becomes a
    normalised score :math:`(\log(e + \varepsilon) - m) / u`, with the median :math:`m`
    of these logarithms over the training rows and the distance :math:`u \geq 0.1` from
    there to their 99 % quantile. The floor :math:`\varepsilon` is :math:`10^{-3}` of
    the median training error, or of a thousandth of the mean if that is larger. Padded
    rows are left out of all of these quantiles. A score :math:`l_{t,k}` is then clipped
    at :math:`\frac{1}{2} + \frac{3}{2} \max(l_{t,\lfloor k/2 \rfloor}, 0)`, so that
    what is over fades from the longer means, and the scores are combined into
    :math:`l_t = \frac{1}{2} \log (\sum_k a_k e^{2 l_{t,k}} / \sum_k a_k)` with
    :math:`a_1 = 3` and :math:`a_k = 1` otherwise. The error of the row is
    :math:`\log(1 + e^{l_t})`. Each length distributes its part of the sum over the
    channels in proportion to their squared residuals. 'multiscale_centered' adds, for
    :math:`k > 1`, the mean that looks ahead, and does not clip the scores.

    ``score_samples(X) == -transform(X).mean(axis=1)``, for every rule.

    **Missing readings.** The models see the last reading of the channel in the window,
    or else the first one, or else the training mean or the baseline. Missing readings
    are left out of the loss and of all means. A channel without a reading in the rows
    that a rule uses has the error NaN if ``missing='ignore'``; the score is then
    ``-np.nanmean(transform(X), axis=1)``. A channel without any reading in training
    raises an error.

    **Linear map.** Windows are projected on their principal components and each
    projection is multiplied by :math:`g_i = \lambda_i / (\lambda_i + \sigma^2)`, where
    :math:`\lambda_i` is the variance along the component (Wiener filter). The noise
    variance :math:`\sigma^2` solves :math:`\sum_i g_i \lambda_i = v \sum_i \lambda_i`
    over all components, with :math:`v` from `linear_variance`. It is fitted to all
    windows, or to a random sample of them with 50 million readings.

    **Baseline.** A second linear map is fitted to, and reconstructs, windows from which
    the median of each channel over the rows of the baseline is subtracted, which end
    with the window. Rows before the start of the series or after a break count as
    `center_`, so a series starts with a baseline close to it. The normalised score
    :math:`l_1` of the linear model is the mean of those of the two maps, in which the
    first counts twice. Scores below 0 count as 0 unless both are, and the second counts
    at most 1/2 above the first or above 0. The reconstruction is such a mean. The
    network also reconstructs windows relative to their baseline, and its reconstruction
    is such a mean, too. Its score :math:`l_2` is that of the windows themselves up to
    1/2. Beyond it, it is the mean of this score and that of windows relative to their
    baseline, the latter clipped to between 1/2 and the former.

    **Weighting the models.** The network trains on the first 80 % of the rows and is
    calibrated on the rest, where it is also tested: in up to 300 windows (fewer for
    wide series), the last ten rows of one channel are replaced by those of another
    window, which breaks its relation to the other channels and to its own past. The
    squared residuals of the network are divided by their mean in the channel over these
    rows (at least a hundredth of that of the median channel), by another mean where
    windows are relative to their baseline. Let :math:`a` (network)
    and :math:`b` (linear map, at least 0.5) be the areas under the ROC curve with which
    the squared residuals of the ten rows, summed over the channels, separate corrupted
    from original windows. `relation_gain_` is :math:`(a - b) / (1 - b)`, at least 0.
    The weight :math:`w_c` of a channel rises linearly from 0 to 1 as its gain rises
    from 0.25 to 0.5, and the squared residuals of the network are also multiplied by
    :math:`\max(w_c, 0.1)`. With the median :math:`w` of all :math:`w_c` and the
    normalised scores :math:`l_1` (linear model) and :math:`l_2` (network), a row
    scores :math:`l = \frac{1}{2} \log((1 - w) e^{2 l_1} + w e^{2 l_2})` and its error
    is :math:`\log(1 + e^l)`. With :math:`w = 0` the network is not used.
    `reconstruct` averages both reconstructions with the weights :math:`w_c`.
    `baseline_relation_gain_` is measured in the same way on windows relative to their
    baseline. With the median :math:`v` of the weights that follow from it, they have
    the weight :math:`v / 3` in :math:`l_2`.

    **Threshold.** With ``contamination='auto'``, the held-out rows are the last 20 %
    if the network counts, scored by it and a linear map of the first half; otherwise up
    to 1,000 rows of each half, scored by a linear map of the other half. With
    ``linear_variance=0`` there are none.

    **Start-up rows** have no full window, or, if the rule looks ahead, are in none.
    They are scored by their squared distance from a one-step forecast by ridge
    regression (penalty 0.01 per row), or from the mean if the row before is absent or
    incomplete. It becomes a normalised score :math:`l` as above, whose unit is that of
    rows held out if it is larger. With the median error :math:`m` and the threshold
    :math:`t` of the other rows, the error is :math:`m + l (t - m)`, or :math:`m e^l`
    for :math:`l < 0`; above :math:`t` it rises by at least :math:`t / 100` per unit of
    :math:`l`. In training, windows are padded with copies of the first row.

    **Breaks**, rows that are NaN in every channel, are never inside a window. They have
    the score NaN and are not flagged. Use one to concatenate several series.

    **Other networks.** ``units=(32, 4), latent_dim=None``,
    ``units=(64, 8), latent_dim=None`` and ``units=(64, 32), latent_dim=16`` (61,972
    parameters for four channels) are published architectures; add ``noise=0,
    linear_variance=0`` to train them as published. In a custom `network`, import Keras
    inside the function, after the library has selected a backend. Its input is centred;
    initialisers without a seed are seeded by `random_state`. A network is built once
    per process and window shape, so the function must depend on its arguments only, or
    on its own parameters if it has `get_params`.

    **Processes.** Fitted attributes are NumPy arrays, so a pickled detector can be
    loaded under another Keras backend. Threads may share a fitted detector. Start
    processes with 'spawn', 'forkserver' or joblib: jax does not survive a fork.

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

    _scoring_parameters = ("window_size", "units", "latent_dim", "network")

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
        "training": [Training, None],
        "verbose": ["verbose"],
    }

    @moved_parameters(_MOVED)
    def __init__(
        self,
        window_size=(16, 80, 1001),
        *,
        units=(32,),
        latent_dim="sequence",
        dropout=0.0,
        network=None,
        epochs=40,
        noise=0.3,
        linear_variance=0.8,
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
        self.training = training
        self.row_error = row_error
        self.stride = stride
        self.missing = missing
        self.contamination = contamination
        self.random_state = random_state
        self.verbose = verbose

    def to_keras(self):
        """Return a Keras model with the weights of the network.

        Returns
        -------
        model : keras.Model
            Maps windows of shape (batch, window_size, n_channels) to their
            reconstruction, or to the next row. Inputs and outputs are centred: subtract
            `center_` first. Every call builds a new model, so changing it does not
            change the detector.
        """
        check_is_fitted(self)
        check_parameters_unchanged(self)
        return self._network().build(self.weights_)

    def set_params(self, **params):
        """Set the parameters of the detector and of its training.

        Parameters
        ----------
        **params : dict
            Parameters by name. Nested ones, such as ``training__batch_size``, are set
            on a new ``Training()`` if `training` is None.

        Returns
        -------
        self : LSTMAutoencoderDetector
            The detector.

        Raises
        ------
        ValueError
            If a parameter does not exist. If it was moved, the message names its new
            place.
        """
        check_moved(self, params.keys() - self.get_params(deep=False).keys(), _MOVED)
        nested = any(name.startswith("training__") for name in params)
        if nested and self.training is None and "training" not in params:
            self.training = Training()
        return super().set_params(**params)

    def _fit(self, X):
        tell(0, int(self.epochs), "epochs")  # importing and compiling take seconds
        check_window_sizes(self.window_size)
        if self.network is None:
            check_units(self.units)
        if self.training is not None:
            self.training._validate_params()
        return super()._fit(X)

    def _window_sizes(self):
        """Return the rows of the network, the linear map and the baseline, or None."""
        if isinstance(self.window_size, Integral):
            return int(self.window_size), int(self.window_size), None
        sizes = tuple(map(int, self.window_size))
        return sizes if len(sizes) == 3 else (*sizes, None)

    def _make_views(self, n_timestamps):
        short, long, baseline = self._window_sizes()
        model = NetworkModel(self._network(), None)
        if not self.linear_variance:
            return [View(model, self._make_rule(short))]
        linear_views = make_linear_views(long, self._make_rule, baseline)
        rules = [self._make_rule(short) for _ in linear_views]
        return [*linear_views, *make_network_views(model, linear_views, rules)]

    def _n_trained(self, n_rows):
        validation_fraction = self._get_training()["validation_fraction"]
        return n_rows - int(validation_fraction * n_rows)

    def _get_training(self):
        """Return the training parameters."""
        return (self.training or Training()).get_params(deep=False)

    def _check_series(self, series, views):
        """Raise if the series does not fit in memory or is not scaled."""
        shape, (short, long, baseline) = series.X.shape, self._window_sizes()
        needed = NetworkModel.memory(
            shape,
            short,
            batch_size=int(self._get_training()["batch_size"]),
            width=(sum(self.units) if self.network is None else self._network().width),
        )
        if self.linear_variance:
            needed += linear_memory(shape, long, baseline)
        needed += sum(view.rule.memory(*shape) for view in views)
        check_memory(
            needed,
            f"Training on {np.count_nonzero(~series.breaks):,} windows of "
            f"{' and '.join(f'{size:,}' for size in sorted({short, long}))} rows and "
            f"{shape[1]:,} channels",
            "Lower window_size, resample the series to a lower rate, or drop channels.",
        )
        check_readings(self, series)
        if self.linear_variance and self._network().forecasts:
            raise ValueError(
                f"network={self.network!r} forecasts the next row, but "
                f"linear_variance={self.linear_variance} adds a linear view that "
                "reconstructs windows. Use linear_variance=0."
            )

    def _fit_views(self, series, views, rows, seed):
        """Fit the linear views and the network, and weight them."""
        for name in _OF_BOTH_VIEWS:
            vars(self).pop(name, None)
        if not self.linear_variance:
            network = views[0]
            network.model = self._train(series, rows, seed)
            return network, network.fit(series, rows), None
        n_linear = len(views) // 2
        linear_views, linear, errors, refit = fit_linear(
            views[:n_linear], series, rows, self.linear_variance, seed
        )
        vars(self).update(learned_by(linear_views))

        # The network is evaluated on the last rows, so it does not train on them.
        n_learned = max(int(_LEARNED * len(rows)), 1)
        last = rows[n_learned:] if n_learned < len(rows) else rows
        model = self._train(series, rows[:n_learned], seed)
        network_views = views[n_linear:]
        for view in network_views:
            view.model = model
        weight = self._weigh(series, last, linear_views[0], network_views, seed)
        if not weight:
            held_out = partial(errors_of_halves, linear, series, rows, refit)
            return linear, errors, held_out
        network = self._combine_network(network_views)
        both = [errors, network.fit(series, last)]
        view = join_views(linear, network, self.relation_gain_)
        last = last[series.windows(view.n_start_up + 1).whole[last]]
        if not len(last) or n_learned == len(rows):
            return view, view.join(both), None

        def held_out(most):
            learned = rows[: len(rows) // 2]  # disjoint from the last rows
            apart = refit(learned)
            return last, view.join([apart.errors_at(series, last), both[1][last]])

        return view, view.join(both), held_out

    def _weigh(self, series, rows, linear, networks, seed):
        """Measure what the network adds in each channel, and return its weight."""
        rng = np.random.default_rng([seed, 4])
        gains, self.predictable_, self._residual_weights = find_evidence(
            networks, linear, series, rows, rng
        )
        vars(self).update(zip(_GAINS, gains, strict=False))
        warn_of_unpredictable(self, self.predictable_)
        return relation_weights(self.relation_gain_)[1]

    def _train(self, series, rows, seed):
        """Train the network, and set the attributes that describe it."""
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
        """Return the view that scores rows."""
        linear_views = restore_linear_views(
            vars(self), self._rules, *self._window_sizes()[1:]
        )
        if linear_views and len(linear_views) == len(self._rules):
            return combine_linear_views(linear_views)
        model = NetworkModel(self._network(), self.weights_)
        if not linear_views:
            return View(model, self._rules[0])
        rules = self._rules[len(linear_views) :]
        network_views = make_network_views(model, linear_views, rules)
        network = self._combine_network(network_views)
        return join_views(
            combine_linear_views(linear_views), network, self.relation_gain_
        )

    def _combine_network(self, views):
        """Combine the views of the network."""
        gain = getattr(self, "baseline_relation_gain_", self.relation_gain_)
        return combine_network_views(views, self._residual_weights, gain)

    def _network(self):
        """Return the network, compiled once per process."""
        # Must come first: another thread may have held the lock at the fork.
        check_not_forked()
        shape = self._window_sizes()[0], self.n_features_in_
        if self.network is not None:

            def make():
                # A copy, so that changing the parameter does not change the cache.
                return Network(partial(clone(self.network, safe=False), *shape), *shape)

            return get_network((shape, identify(self.network)), make)
        units = tuple(int(width) for width in self.units)
        return get_lstm_autoencoder(*shape, units, self.latent_dim, float(self.dropout))
