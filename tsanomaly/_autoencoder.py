# SPDX-License-Identifier: MIT
from functools import partial
from numbers import Integral, Real
from pickle import PicklingError

import joblib
import numpy as np
from sklearn import get_config
from sklearn.base import (
    BaseEstimator,
    OneToOneFeatureMixin,
    OutlierMixin,
    TransformerMixin,
    clone,
)
from sklearn.utils.validation import check_is_fitted

from tsanomaly._backend import import_keras
from tsanomaly._calibration import AUTO_SHARE, LogCalibration, midway_threshold
from tsanomaly._linear_path import LinearPath, in_one_thread
from tsanomaly._memory import check_memory
from tsanomaly._network import (
    INPUT_LIMIT,
    SCORING_BATCH,
    Network,
    build_lstm_autoencoder,
    get_network,
)
from tsanomaly._progress import telling_a_part
from tsanomaly._row_errors import (
    LOOKING_AHEAD,
    MULTISCALE,
    ROW_ERRORS,
    error_of_level,
    level_of_error,
    levels_of_rows,
    limit_of_rows,
    mean_of_known,
    means_and_shares,
    means_by_length,
    multiscale_errors,
    n_lengths,
    share_out,
    squared_residuals,
)
from tsanomaly._sklearn_compat import Interval, StrOptions
from tsanomaly._validation import (
    VersionedState,
    all_or_nothing,
    check_parameters_unchanged,
    check_series_length,
    draw_seed,
    locate,
    name_column,
    remember_parameters,
    validate_series,
)
from tsanomaly._windows import RowAverage, TrailingWindows, fill_windows

__all__ = ["LSTMAutoencoderDetector"]

# Rows that are scored at a time, by a rule that looks back only.
_BLOCK = 65_536

_SCALE = (
    "Scale the series, for example with sklearn.preprocessing.StandardScaler in a "
    "pipeline."
)

# Parameters that scores depend on, apart from the weights.
_SCORING = ("window_size", "units", "latent_dim", "row_error", "stride")

# Levels rise a little on any rows that were not learned from. Where the machine drifts,
# they rise by more than half of the distance from the median to the 99 % quantile.
_LEAST_DRIFT = 0.5

# Windows that are looked at, at most, to see how large errors are, and how a machine
# drifts from one half of a series to the other.
_MOST_SAMPLED_WINDOWS = 1000

# Parameters that the architecture does not depend on. Any other, those of a subclass
# included, makes another network.
_NOT_ARCHITECTURE = {
    "epochs",
    "batch_size",
    "learning_rate",
    "windows_per_epoch",
    "noise",
    "linear_variance",
    "validation_fraction",
    "n_iter_no_change",
    "row_error",
    "stride",
    "missing",
    "contamination",
    "random_state",
    "verbose",
}


class LSTMAutoencoderDetector(
    VersionedState,
    OneToOneFeatureMixin,
    OutlierMixin,
    TransformerMixin,
    BaseEstimator,
):
    r"""Flag rows that an LSTM autoencoder reconstructs badly.

    The network learns to reproduce the windows of a mostly normal series [1]_, seen
    through noise [2]_. What it has not learned, it reproduces badly: the residuals of a
    row, in each channel, are its errors. A linear path beside the network takes from it
    what needs no network. `transform` returns the errors, so that the estimator works
    both as a detector with a threshold of its own, and as a step before
    :class:`ReconstructionThreshold`.

    Scale the series first, for example with
    :class:`~sklearn.preprocessing.StandardScaler` in a pipeline: errors are compared
    across channels, and the network learns badly from unscaled readings.

    Parameters
    ----------
    window_size : int, default=80
        Rows in a window. At least 2.

    units : tuple of int, default=(16,)
        Widths of the encoder's LSTM layers, one for each entry. The decoder mirrors
        them.

    latent_dim : int or None, default=4
        Width of the dense bottleneck between encoder and decoder. None leaves it out:
        the last encoder layer is the bottleneck then.

    dropout : float, default=0.0
        Share of activations that training sets to zero between the layers, in [0, 1).

    epochs : int, default=10
        Rounds of training at the most.

    batch_size : int, default=32
        Windows in a training step.

    learning_rate : float, default=0.005
        Step size of the Adam optimiser at the start. It falls to zero along a cosine
        over the `epochs`.

    windows_per_epoch : int, default=2000
        Windows drawn at random, without repeats, for each round of training, rounded
        up to whole batches. Windows that start one row apart are nearly copies of each
        other, so a round need not hold all of them; a shorter series gives all it has.

    noise : float, default=1.0
        Standard deviation of the white noise that training adds to the windows which
        the network sees, in units of that of each channel. The network is to bring
        back the windows without it, and so learns how readings hang together instead
        of copying them.

    linear_variance : float, default=0.8
        How much of the windows' variance a linear path beside the network may bring
        back, in [0, 1): the network learns what that leaves over. The path is the
        linear map that best restores noisy windows, computed in closed form; this
        share, with all principal components of the windows, determines how noisy, and
        then the 64 largest components are kept. It follows slow normal drift, which a
        recurrent network does not. 0 leaves it out.

    validation_fraction : float, default=0.0
        Share of the windows, the last ones in time, that are not trained on but tell
        when to stop, in [0, 1). By default all windows train, and all rounds are run:
        the latest rows of a drifting machine are the most like those to come.

    n_iter_no_change : int, default=5
        If windows are held out, training stops after so many rounds in which their
        loss did not fall below its best, and the weights of the best round are kept.

    row_error : str, default='multiscale'
        How the squared residuals of windows become the error of a row:

        - 'multiscale': means over the last `window_size` rows of the window that ends
          at the row, over half as many, and so on down to the row itself, each as a
          level on the scale of its training rows; the error follows the highest of
          them most, and the row itself counts three times. A single row counts in the
          longer means within a limit. Causal; finds short and long anomalies.
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

    missing : {'anomaly', 'ignore'}, default='anomaly'
        What a missing reading (NaN) in a row that holds others says of the row:

        - 'anomaly': that the row is abnormal, by this channel. The reading gets the
          error ``missing_error_``, beyond that of all training rows, on top of what the
          channel's earlier readings say.
        - 'ignore': nothing. The row is judged by the other readings.

        In neither case training learns from what was not read. It may be set
        otherwise after `fit`.

    contamination : 'auto' or float, default='auto'
        Share of the training rows to flag, in (0, 0.5]. 'auto' flags 1 % of them, and
        leaves out the first ``window_size - 1`` rows, whose windows are padded, when it
        sets the threshold; where normal operation drifts, fewer, see the notes. Rows
        that are flagged because a reading is missing come on top.

    random_state : int, RandomState instance or None, default=None
        Controls initial weights, dropout and the draw of windows. With an int, scores
        are the same bit for bit on the same machine and backend. None draws a fresh
        seed; global random states are left alone.

    verbose : int, default=0
        1 shows a progress bar for each round of training, 2 a line.

    Attributes
    ----------
    weights_ : list of ndarray
        Weights of the network, in Keras' order.

    linear_components_ : ndarray of shape (n_components, window_size * n_channels)
        Principal components of the training windows, time-major, at most 64, that the
        linear path projects windows on. Present unless ``linear_variance=0``, as the
        next two.

    linear_gains_ : ndarray of shape (n_components,)
        What each projection is multiplied by, in [0, 1].

    linear_mean_ : ndarray of shape (window_size * n_channels,)
        Mean of the training windows.

    fill_values_ : ndarray of shape (n_channels,)
        Mean reading of each channel in training. The network sees it in the place of a
        channel without any reading in a window.

    missing_error_ : float
        Error of a missing reading, with ``missing='anomaly'``: twice `n_channels` times
        the error of the worst training row, or the threshold, if that is larger.

    history_ : dict of str to list of float
        'loss', and 'val_loss' if windows were held out, one value for each round.

    n_iter_ : int
        Rounds of training that were run.

    offset_ : float
        Threshold: ``decision_function = score_samples - offset_``.

    n_context_ : int
        Rows before a row that its score depends on, ``window_size - 1``.

    n_lookahead_ : int
        Rows after a row that its score depends on: 0 for causal rules,
        ``window_size - 1`` for 'multiscale_centered' and 'overlap_mean'.

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
    over the channels becomes a level, in logarithms: 0 for the median of the training
    rows, 1 for their 99 % quantile. In the means over more than one row, the residuals
    of a row whose mean over the channels is beyond a limit are scaled down to it: one
    spike does not fill the means of all rows after it. The limit is three times the
    99 % quantile of that mean in the windows of training rows, and there is none if
    that is 0. Of its levels :math:`l_{t,k}` a row has the level
    :math:`l_t = \frac{1}{2} \log \frac{\sum_k a_k e^{2 l_{t,k}}}{\sum_k a_k}`,
    with :math:`a_1 = 3` for the row itself and :math:`a_k = 1` else: between their
    weighted mean and the highest. Its error is :math:`\log(1 + e^{l_t})`, a number
    without unit that is close to the level where that is large. The channels get it by
    their shares of the squared residuals, each length by its part of the sum, so that
    those lengths count that raised the error. 'multiscale_centered' has two levels of
    every :math:`k > 1`, one that looks back and one that looks ahead.

    For every rule ``score_samples(X) == -transform(X).mean(axis=1)``, and errors are
    never negative.

    Of a missing reading (NaN) the network and the linear path see the last one of its
    channel in the window, or else the first, or else the mean of the training rows.
    Its residual is in no mean and no loss: "mean" above is that of the residuals there
    are. A channel without a reading in the rows that a rule looks at has no error
    (NaN); with ``missing='ignore'``, the mean over the channels is then that of the
    others, ``score_samples(X) == -np.nanmean(transform(X), axis=1)``. With
    ``missing='anomaly'`` errors are NaN at breaks alone. A channel without any reading
    in training is refused.

    New rows of a machine whose normal operation drifts are less like the training rows
    than these are like each other. With 'multiscale' rules ``contamination='auto'``
    makes allowance for that: the linear path is fitted on each half of the training
    rows and applied to the other half, and the threshold, as a level, is raised by the
    median of how much higher the levels of those rows are than with the path fitted on
    all, if that is above 0.5. The limit above rises by as many levels, whatever
    `contamination` is.

    The first rows, which have no full window, are padded with the first row, in
    training too. A row that is NaN in every channel is a break: no window holds it,
    the rows after it are padded like the first ones, and it has no error and no score
    itself (NaN) and is not flagged. Several series are trained on by joining them with
    such a row.

    Other published networks are a line each: ``units=(32, 4), latent_dim=None`` and
    ``units=(64, 8), latent_dim=None``, or ``units=(64, 32), latent_dim=16`` with
    61,972 parameters on four channels; with ``noise=0, linear_variance=0`` they are
    trained as published. For any other network, override
    ``_build_model(n_channels)``, which returns a ``keras.Model`` from windows to
    windows.

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
    """

    _sees_other_rows = True

    _parameter_constraints: dict = {
        "window_size": [Interval(Integral, 2, None, closed="left")],
        "units": [tuple, list],
        "latent_dim": [Interval(Integral, 1, None, closed="left"), None],
        "dropout": [Interval(Real, 0, 1, closed="left")],
        "epochs": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "windows_per_epoch": [Interval(Integral, 1, None, closed="left")],
        "noise": [Interval(Real, 0, None, closed="left")],
        "linear_variance": [Interval(Real, 0, 1, closed="left")],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "n_iter_no_change": [Interval(Integral, 1, None, closed="left")],
        "row_error": [StrOptions(set(ROW_ERRORS))],
        "stride": [Interval(Integral, 1, None, closed="left")],
        "missing": [StrOptions({"anomaly", "ignore"})],
        "contamination": [
            StrOptions({"auto"}),
            Interval(Real, 0, 0.5, closed="right"),
        ],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    def __init__(
        self,
        window_size=80,
        *,
        units=(16,),
        latent_dim=4,
        dropout=0.0,
        epochs=10,
        batch_size=32,
        learning_rate=0.005,
        windows_per_epoch=2000,
        noise=1.0,
        linear_variance=0.8,
        validation_fraction=0.0,
        n_iter_no_change=5,
        row_error="multiscale",
        stride=1,
        missing="anomaly",
        contamination="auto",
        random_state=None,
        verbose=0,
    ):
        self.window_size = window_size
        self.units = units
        self.latent_dim = latent_dim
        self.dropout = dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.windows_per_epoch = windows_per_epoch
        self.noise = noise
        self.linear_variance = linear_variance
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.row_error = row_error
        self.stride = stride
        self.missing = missing
        self.contamination = contamination
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X, y=None):
        """Train the network and set the threshold.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            A series, rows in time order, at least `window_size` of them. Rows that are
            NaN in every channel are breaks.
        y : None
            Ignored.

        Returns
        -------
        self : LSTMAutoencoderDetector
            The fitted detector.

        Raises
        ------
        ValueError
            If a parameter is out of range, the series is shorter than a window, a
            channel has no reading, or training diverges.
        MemoryError
            If windows are too large for the memory there is, before it is taken.
        ImportError
            If no Keras backend is installed.
        """
        self._fit(X)
        return self

    def fit_transform(self, X, y=None):
        """Fit, and return the errors of the training rows.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            A series, as in `fit`.
        y : None
            Ignored.

        Returns
        -------
        errors : ndarray of shape (n_timestamps, n_channels)
            As from ``fit(X).transform(X)``, without a second run of the network. But
            missing readings count for nothing, also with ``missing='anomaly'``:
            a threshold that is set on these errors, by the next step of a pipeline, is
            set on what was read, as `offset_` is.
        """
        errors, _ = self._fit(X)
        return errors

    def fit_predict(self, X, y=None):
        """Fit, and label the training rows.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            A series, as in `fit`.
        y : None
            Ignored.

        Returns
        -------
        labels : ndarray of shape (n_timestamps,)
            -1 for anomalies, +1 for normal rows and breaks, as from
            ``fit(X).predict(X)``, without a second run of the network.
        """
        scores = -mean_of_known(self._mark_missing(*self._fit(X)), axis=1)
        return np.where(scores < self.offset_, -1, 1)

    def _fit(self, X):
        """Fit, and return the errors of the training rows, unmarked, and windows."""
        # Not by scikit-learn's _fit_context: on its first use it imports a package that
        # draws from Python's global random generator.
        if not get_config()["skip_parameter_validation"]:
            self._validate_params()
        self._check_parameters()
        with all_or_nothing(self):
            X, breaks = validate_series(self, X, reset=True, missing="allow")
            self._check_float32(X)
            # Until the rows to train on are known, whose means are to be filled in.
            self.fill_values_ = np.zeros(X.shape[1], dtype=np.float32)
            windows = self._windows(X, breaks)
            check_series_length(windows)
            self._check_memory(windows)
            self._check_scale(windows)
            import_keras()  # in a forked child, raises before a lock can hang
            seed = draw_seed(self.random_state)
            n_validation = int(self.validation_fraction * len(windows.rows))
            split = len(windows.rows) - n_validation
            training = windows.rows[:split]
            self.fill_values_, spread = self._moments(windows.X[training])
            if windows.fill_values is not None:
                windows.fill_values = self.fill_values_
            self._fit_linear_path(windows, training, seed)
            self.weights_, self.history_ = self._network().train(
                windows,
                rows=training,
                validation_rows=windows.rows[split:],
                seed=seed,
                epochs=self.epochs,
                batch_size=self.batch_size,
                learning_rate=self.learning_rate,
                windows_per_epoch=self.windows_per_epoch,
                n_iter_no_change=self.n_iter_no_change,
                verbose=int(self.verbose),
                noise=(self.noise * spread).astype(np.float32) if self.noise else None,
                baseline=self._linear_path(),
            )
            self.n_iter_ = len(self.history_["loss"])
            self.n_context_ = int(self.window_size) - 1
            self.n_lookahead_ = self.n_context_ * self._looks_ahead()
            remember_parameters(self, _SCORING)
            for name in ("calibration", "row_limit"):
                vars(self).pop(f"_{name}", None)
            allowance = 0.0
            if self.row_error in MULTISCALE:
                allowance = self._drift_allowance(windows, training, seed)
                self._row_limit = self._find_row_limit(windows, training, allowance)
                means, shares = self._by_length(windows)
                whole = windows.whole[windows.rows]
                self._calibration = LogCalibration(means[whole])
                errors = self._multiscale_errors(windows, means, shares)
            else:
                errors = self._errors(windows)
            if self.contamination == "auto":
                counted, share = windows.whole, AUTO_SHARE
            else:
                counted, share = windows.rows, self.contamination
            row_errors = mean_of_known(errors, axis=1)
            threshold = midway_threshold(row_errors[counted], share)
            if self.contamination == "auto" and allowance:
                threshold = error_of_level(level_of_error(threshold) + allowance)
            self.offset_ = -float(threshold)
            worst = max(threshold, row_errors[windows.rows].max())
            self.missing_error_ = 2.0 * X.shape[1] * float(worst)
        return errors, windows

    def _moments(self, X):
        """Mean and standard deviation of the readings of each channel."""
        missing = np.isnan(X)
        empty = missing.all(axis=0)
        if empty.any():
            raise ValueError(
                f"Input X holds no reading in {name_column(self, empty.argmax())} in "
                f"any of the {len(X):,} rows to train on ({empty.sum():,} such columns "
                "in all). Drop the column, or fit on rows that hold readings of it."
            )
        if missing.any():
            mean, std = np.nanmean, np.nanstd
        else:
            mean, std = np.mean, np.std
        mean = mean(X, axis=0, dtype=np.float64).astype(np.float32)
        return mean, std(X, axis=0, dtype=np.float64)

    def _fit_linear_path(self, windows, rows, seed):
        for name in ("components", "gains", "mean"):
            vars(self).pop(f"linear_{name}_", None)
        if self.linear_variance:
            path = LinearPath.fit(windows, rows, self.linear_variance, seed)
            self.linear_components_ = path.components
            self.linear_gains_ = path.gains
            self.linear_mean_ = path.mean

    def _linear_path(self):
        """The linear path, or None without one."""
        if not hasattr(self, "linear_components_"):
            return None
        return LinearPath(
            self.linear_mean_, self.linear_components_, self.linear_gains_
        )

    def _find_row_limit(self, windows, rows, allowance):
        """The most that a row counts with in a mean over several."""
        # Windows that do not overlap, and hold no row twice to fill up a window.
        apart = rows[:: -int(self.window_size)][::-1]
        whole = apart[windows.whole[apart]]
        rows = _evenly(whole if len(whole) else apart)
        errors = [
            mean_of_known(squared_residuals(actual, reconstructed), axis=2)
            for _, actual, reconstructed in self._run(windows, rows)
        ]
        return limit_of_rows(np.concatenate(errors), allowance)

    def _drift_allowance(self, windows, rows, seed):
        """By how much levels rise, in the median, on rows that were not learned from.

        Seen with the linear path, which is fitted in a moment: the levels of each half
        of the rows by the path that the other half gives, and by the path of all rows,
        from means in which no row is limited.
        0 without a path, where the halves do not hold two windows that do not overlap,
        or where the rise is too small to come from drift.
        """
        rows = rows[windows.whole[rows]]
        middle, overlap = len(rows) // 2, int(self.window_size) - 1
        if not self.linear_variance or middle <= 2 * overlap:
            return 0.0
        rises, inside = [], []
        for learned, held_out in (
            (_evenly(rows[:middle]), _evenly(rows[middle + overlap :])),
            (_evenly(rows[middle:]), _evenly(rows[: middle - overlap])),
        ):
            path = LinearPath.fit(windows, learned, self.linear_variance, seed)
            rises.append(_linear_errors(path, windows, held_out))
            inside.append(_linear_errors(self._linear_path(), windows, held_out))
        # The channels are averaged first, unlike in the levels of scores: the same
        # where no reading is missing, and a share of the memory.
        inside, rises = (
            means_by_length(np.concatenate(errors)[:, :, None], np.inf)[:, :, 0]
            for errors in (inside, rises)
        )
        calibration = LogCalibration(inside)
        inside, rises = (
            levels_of_rows(calibration(errors))[0] for errors in (inside, rises)
        )
        allowance = float(np.median(rises - inside))
        return allowance if allowance > _LEAST_DRIFT else 0.0

    def _check_parameters(self):
        """Check what the constraints of single parameters cannot say."""
        if not self.units or not all(
            isinstance(width, Integral) and not isinstance(width, bool) and width >= 1
            for width in self.units
        ):
            raise ValueError(
                "The 'units' parameter of LSTMAutoencoderDetector must hold integers "
                f"of at least 1, one for each LSTM layer. Got {self.units!r} instead, "
                "use for example units=(64, 32)."
            )
        if self.row_error != "overlap_mean" and self.stride != 1:
            raise ValueError(
                f"stride={self.stride} has no meaning with "
                f"row_error={self.row_error!r}, which needs the window of every row. "
                "Use stride=1, or row_error='overlap_mean'."
            )
        if self.stride > self.window_size:
            raise ValueError(
                f"stride={self.stride} is larger than window_size={self.window_size}: "
                "rows between the windows would have no error. Lower stride."
            )

    def _check_memory(self, windows):
        """Refuse windows that are too large to train on."""
        n_channels = windows.X.shape[1]
        size = int(self.window_size) * n_channels  # readings in a window
        batch = max(int(self.batch_size), SCORING_BATCH)
        # Windows of a batch, their residuals, and what every layer keeps of each row.
        needed = batch * (32 * size + 115 * int(self.window_size) * sum(self.units))
        n_shares = 0
        if self.row_error in MULTISCALE:
            n_shares = n_lengths(int(self.window_size))
        needed += 4 * len(windows.X) * n_channels * (n_shares + 4)
        if self.linear_variance:
            needed += LinearPath.memory(len(windows.rows), size)
        check_memory(
            needed,
            f"Training on {len(windows.rows):,} windows of {self.window_size:,} rows "
            f"and {n_channels:,} channels",
            "Lower window_size, average the series to a slower rate, or leave channels "
            "out.",
        )

    def _check_scale(self, windows):
        outside = np.abs(windows.X) > INPUT_LIMIT
        if outside.any():
            raise ValueError(
                f"Input X holds readings beyond ±{INPUT_LIMIT:g} in "
                f"{locate(self, outside)}, and the network cannot learn from those. "
                f"{_SCALE}"
            )

    def score_samples(self, X):
        """Opposite of the mean reconstruction error of each row.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            A series, rows in time order. It may be shorter than a window.

        Returns
        -------
        scores : ndarray of shape (n_timestamps,)
            ``-transform(X).mean(axis=1)``: the lower, the more abnormal. NaN at breaks.

        Raises
        ------
        ValueError
            If `X` has other channels than in `fit`, or holds infinity.
        """
        X, breaks = self._validate(X)
        scores = np.full(len(X), np.nan)
        for rows, errors in self._errors_by_block(X, breaks):
            scores[rows] = -mean_of_known(errors, axis=1)
        return scores

    def score_rows(self, X, rows):
        """Score some rows only; the network runs for no others.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            A series, rows in time order.
        rows : array-like of int or bool, or slice
            Which rows to score: a one-dimensional index into ``n_timestamps`` rows.

        Returns
        -------
        scores : ndarray of shape (n_rows,)
            ``score_samples(X)[rows]``.

        Raises
        ------
        ValueError
            If `row_error` is 'multiscale_centered' or 'overlap_mean', for which a row's
            score needs the windows of its neighbours, or if `rows` has another number
            of dimensions than one.
        IndexError
            If a row is not in `X`.
        """
        X, breaks = self._validate(X)
        if self._looks_ahead():
            raise ValueError(
                "score_rows cannot score single rows with "
                f"row_error={self.row_error!r}, which looks ahead: the error of a row "
                "needs the windows of later rows. Use score_samples, or "
                "row_error='multiscale', 'last' or 'window_mean'."
            )
        if not isinstance(rows, slice):
            rows = np.asarray(rows)
            if rows.ndim != 1:
                raise ValueError(
                    "rows must be one-dimensional, got an array of shape "
                    f"{rows.shape}. Pass a list of row numbers, a mask or a slice."
                )
            rows = (
                rows.astype(np.intp)
                if rows.dtype.kind == "f" and not rows.size
                else rows
            )
        rows = np.arange(len(X))[rows]
        wanted, position = np.unique(rows, return_inverse=True)
        wanted_breaks = breaks[wanted]
        scores = np.full(len(wanted), np.nan)
        windows, wanted = self._windows(X, breaks), wanted[~wanted_breaks]
        errors = self._causal_errors(windows, wanted)
        self._mark_missing(errors, windows, wanted)
        scores[~wanted_breaks] = -mean_of_known(errors, axis=1)
        return scores[position]

    def decision_function(self, X):
        """Score of each row, relative to the threshold.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            A series, rows in time order.

        Returns
        -------
        decision : ndarray of shape (n_timestamps,)
            ``score_samples(X) - offset_``: negative for anomalies, NaN at breaks.
        """
        return self.score_samples(X) - self.offset_

    def predict(self, X):
        """Label each row.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            A series, rows in time order.

        Returns
        -------
        labels : ndarray of shape (n_timestamps,)
            -1 for anomalies, +1 for normal rows and breaks.
        """
        return np.where(self.decision_function(X) < 0, -1, 1)

    def transform(self, X):
        """Reconstruction error of each row in each channel.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            A series, rows in time order. It may be shorter than a window.

        Returns
        -------
        errors : ndarray of shape (n_timestamps, n_channels)
            Squared residuals, gathered by `row_error`: non-negative, higher = worse.
            With 'multiscale' rules, the error of the row, without unit, shared out
            among the channels. NaN at breaks, and with ``missing='ignore'`` where a
            channel has no reading that the rule could look at.

        Raises
        ------
        ValueError
            If `X` has other channels than in `fit`, or holds infinity.
        """
        X, breaks = self._validate(X)
        transformed = np.full(X.shape, np.nan)
        for rows, errors in self._errors_by_block(X, breaks):
            transformed[rows] = errors
        return transformed

    def reconstruct(self, X):
        """Return the series as the network and the linear path see it together.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            A series, rows in time order.

        Returns
        -------
        reconstruction : ndarray of shape (n_timestamps, n_channels)
            In the unit of `X`: each row as the window that ends there reconstructs it,
            or, with rules that look ahead, the mean of its reconstructions in all
            windows that hold it. NaN at breaks, not where a reading is missing. With
            'multiscale' rules, errors come from more reconstructions of a row than
            this one.
        """
        windows = self._windows(*self._validate(X))
        average = RowAverage(windows.X.shape)
        for rows, _, reconstructed in self._run(windows, self._scored_rows(windows)):
            if not self._looks_ahead():
                reconstructed = reconstructed[:, -1:]
            average.add(reconstructed, rows, windows.first_rows[rows])
        return average.result()

    @property
    def model_(self):
        """A Keras copy of the network, for looking into; built at every access.

        Returns
        -------
        model : keras.Model
            From windows (batch, window_size, n_channels) to their reconstruction, or
            with a linear path to what that leaves over. Changing it does not change the
            detector.
        """
        check_is_fitted(self)
        check_parameters_unchanged(self)
        return self._network().build(self.weights_)

    def __dir__(self):
        # As in scikit-learn, but without reading model_, which builds a network. The
        # HTML display reads all that is listed here.
        names = object.__dir__(self)
        return [name for name in names if name != "model_" and hasattr(self, name)]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        return tags

    def _build_model(self, n_channels):
        """Build the network; a hook for subclasses.

        Parameters
        ----------
        n_channels : int
            Channels of the series.

        Returns
        -------
        model : keras.Model
            From (batch, window_size, n_channels) to the same shape, not compiled. It is
            trained to bring back what the linear path leaves over of a window, which
            has either sign; with ``linear_variance=0``, the window. It must not depend
            on parameters of training and scoring, such as `epochs`, `row_error` or
            `random_state`: detectors that differ in those alone share a compiled
            network. Initialisers without a seed are seeded by `random_state`.
        """
        return build_lstm_autoencoder(
            n_channels,
            int(self.window_size),
            [int(width) for width in self.units],
            None if self.latent_dim is None else int(self.latent_dim),
            float(self.dropout),
            initialized=not self._is_stock(),
        )

    def _is_stock(self):
        """Whether the network is the library's own, whose weights `Network` draws."""
        return type(self)._build_model is LSTMAutoencoderDetector._build_model

    def _architecture(self):
        """Parameters that the network depends on, those of a subclass included."""
        return {
            name: value
            for name, value in self.get_params(deep=False).items()
            if name not in _NOT_ARCHITECTURE
        }

    def _network(self):
        architecture = self._architecture()
        try:
            architecture = joblib.hash(architecture)
        except (AttributeError, PicklingError, TypeError):  # a lambda, for example
            architecture = repr(architecture)
        key = (type(self), self.n_features_in_, architecture)
        return get_network(key, self._make_network)

    def _make_network(self):
        # A clone, so that the cached network does not change with the parameters, and
        # keeps no fitted estimator alive.
        build = partial(clone(self)._build_model, self.n_features_in_)
        lstm = None
        if self._is_stock():
            lstm = len(self.units), self.latent_dim is not None, float(self.dropout)
        return Network(build, lstm)

    def _validate(self, X):
        """Validate a series to be scored."""
        check_is_fitted(self)
        check_parameters_unchanged(self)
        X, breaks = validate_series(self, X, reset=False, missing="allow")
        self._check_float32(X)
        return X, breaks

    def _check_float32(self, X):
        if X.dtype == np.float32:
            return
        largest = max(np.fmax.reduce(X, axis=None), -np.fmin.reduce(X, axis=None))
        if largest <= np.finfo(np.float32).max:  # the usual case, without a copy
            return
        with np.errstate(over="ignore"):
            too_large = np.isinf(X.astype(np.float32))
        if too_large.any():
            raise ValueError(
                f"Input X contains a value too large for float32, in which the network "
                f"computes, in {locate(self, too_large)}. {_SCALE}"
            )

    def _windows(self, X, breaks):
        X = np.ascontiguousarray(X, dtype=np.float32)
        partly = np.isnan(X).any(axis=1) & ~breaks
        fill_values = self.fill_values_ if partly.any() else None
        return TrailingWindows(X, self.window_size, breaks, fill_values)

    def _errors_by_block(self, X, breaks):
        """Errors of every row, those of missing readings included.

        By a causal rule block by block, so that the memory it takes, beside that of the
        result, is the same for a short and a long series.

        Yields
        ------
        rows : ndarray of int or slice
            Rows of the series; breaks may be left out.
        errors : ndarray of shape (n_rows, n_channels)
            Their errors, NaN at breaks.
        """
        if self._looks_ahead():
            windows = self._windows(X, breaks)
            yield slice(None), self._mark_missing(self._errors(windows), windows)
            return
        context = int(self.window_size) - 1
        n_rows = len(breaks) - np.count_nonzero(breaks)
        done = 0
        for start in range(0, len(X), _BLOCK):
            first = max(0, start - context)
            block = slice(first, start + _BLOCK)
            windows = self._windows(X[block], breaks[block])
            rows = windows.rows[windows.rows >= start - first]
            with telling_a_part(done, n_rows):
                errors = self._causal_errors(windows, rows)
            done += len(rows)
            yield first + rows, self._mark_missing(errors, windows, rows)

    def _mark_missing(self, errors, windows, rows=slice(None)):
        """Add the error of missing readings to errors, in place, if they are to count.

        Parameters
        ----------
        errors : ndarray of shape (n_rows, n_channels)
        windows : TrailingWindows
        rows : ndarray of shape (n_rows,) or slice, default=slice(None)
            The rows that the errors are of; breaks among them stay as they are.

        Returns
        -------
        errors : ndarray of shape (n_rows, n_channels)
        """
        if self.missing == "anomaly" and windows.fill_values is not None:
            missing = np.isnan(windows.X[rows])
            missing &= ~missing.all(axis=1, keepdims=True)  # breaks
            self._add_missing_error(errors, missing)
        return errors

    def _add_missing_error(self, errors, missing):
        known = np.nan_to_num(errors[missing])  # of earlier readings
        errors[missing] = known + self.missing_error_

    def _looks_ahead(self):
        return self.row_error in LOOKING_AHEAD

    def _errors(self, windows):
        """Errors of every row, by the chosen rule, in float64."""
        if self.row_error == "multiscale_centered":
            return self._multiscale_errors(windows, *self._by_length(windows))
        if self.row_error != "overlap_mean":
            errors = np.full(windows.X.shape, np.nan)
            errors[windows.rows] = self._causal_errors(windows, windows.rows)
            return errors
        average = RowAverage(windows.X.shape)
        for rows, actual, reconstructed in self._run(
            windows, self._scored_rows(windows)
        ):
            squared = squared_residuals(actual, reconstructed)
            average.add(squared, rows, windows.first_rows[rows])
        return average.result()

    def _causal_errors(self, windows, rows):
        """Errors of some rows, from the windows that end there."""
        errors = np.empty((len(rows), windows.X.shape[1]))
        done = 0
        for batch, actual, reconstructed in self._run(windows, rows):
            part = slice(done, done + len(batch))
            errors[part] = self._window_errors(actual, reconstructed)
            done += len(batch)
        return errors

    def _window_errors(self, actual, reconstructed):
        """Errors of the last rows of windows, by a causal rule."""
        if self.row_error == "last":
            actual, reconstructed = actual[:, -1:], reconstructed[:, -1:]
        squared = squared_residuals(actual, reconstructed)
        if self.row_error != "multiscale":
            return mean_of_known(squared, axis=1)
        means, shares = means_and_shares(squared, self._row_limit)
        return share_out(self._calibration(means), shares)

    def _row_errors(self):
        """A function for the errors of single rows, prepared for many calls.

        Returns
        -------
        row_errors : callable
            From the window that ends at a row, of shape (1, window_size, n_channels),
            float32, without infinity and without breaks, to the row's errors, of shape
            (1, n_channels), by a causal rule. Nothing is validated.
        """
        check_parameters_unchanged(self)
        run = self._network().window_runner(self.weights_)
        linear_path = self._linear_path()

        def row_errors(window):
            clipped = np.clip(window, -INPUT_LIMIT, INPUT_LIMIT)
            clipped = fill_windows(clipped, self.fill_values_)
            seen = run(clipped)
            if linear_path is not None:
                seen = seen + linear_path(clipped)
            errors = self._window_errors(window, seen)
            if self.missing == "anomaly":
                self._add_missing_error(errors, np.isnan(window[:, -1]))
            return errors

        return row_errors

    def _make_last_row_errors(self):
        """A function for the errors of the last row of a piece, for many calls.

        Returns
        -------
        of_last : callable or None
            From a piece of rows, at most ``n_context_ + 1``, that ends at a row, to its
            errors, of shape (1, n_channels); it returns None for a piece that only
            `transform` deals with. None if a subclass has errors or scores of its own.
        """
        if any(
            getattr(type(self), method) is not getattr(LSTMAutoencoderDetector, method)
            for method in ("transform", "score_samples")
        ):
            return None
        window_size = self.n_context_ + 1
        row_errors = self._row_errors()
        row_errors(np.zeros((1, window_size, self.n_features_in_), np.float32))

        def of_last(Z):
            with np.errstate(over="ignore"):
                window = np.asarray(Z, dtype=np.float32)
            if np.isinf(window).any() or np.isnan(window).all(axis=1).any():
                return None
            if len(window) < window_size:
                padding = np.repeat(window[:1], window_size - len(window), axis=0)
                window = np.concatenate([padding, window])
            return row_errors(window[None])

        return of_last

    def _by_length(self, windows):
        """Errors of all windows by the length that 'multiscale' rules look back over.

        Returns
        -------
        means : ndarray of shape (n_rows, n_lengths)
        shares : ndarray of shape (n_rows, n_lengths, n_channels)
            As from `means_and_shares`; for all rows but breaks.
        """
        n_rows, n_channels = len(windows.rows), windows.X.shape[1]
        means = np.empty((n_rows, n_lengths(int(self.window_size))))
        # Shares are the largest array of all, and need no double precision.
        shares = np.empty((*means.shape, n_channels), np.float32)
        done = 0
        for batch, actual, reconstructed in self._run(windows, windows.rows):
            part = slice(done, done + len(batch))
            squared = squared_residuals(actual, reconstructed)
            means[part], shares[part] = means_and_shares(squared, self._row_limit)
            done += len(batch)
        return means, shares

    def _multiscale_errors(self, windows, means, shares):
        """Errors of every row, from what `_by_length` returned."""
        errors = np.full(windows.X.shape, np.nan)
        errors[windows.rows] = multiscale_errors(
            self._calibration(means),
            shares,
            window_size=int(self.window_size),
            first_rows=(
                windows.first_rows[windows.rows] if self._looks_ahead() else None
            ),
        )
        return errors

    def _scored_rows(self, windows):
        """Rows whose windows are run: every `stride`-th of a stretch, and its last."""
        rows = windows.rows
        first = windows.first_rows[rows]
        last = np.append(first[1:] != first[:-1], True)[: len(rows)]
        return rows[((rows - first) % self.stride == 0) | last]

    def _run(self, windows, rows):
        """Reconstruct windows, batch by batch."""
        return self._network().reconstruct(
            self.weights_, windows, rows, self._linear_path()
        )


def _evenly(rows):
    """Some of the rows, evenly spaced, if they are many."""
    n_rows = min(len(rows), _MOST_SAMPLED_WINDOWS)
    return rows[np.linspace(0, len(rows) - 1, n_rows).astype(np.intp)]


def _linear_errors(path, windows, rows):
    """Errors of the rows in windows, (n_windows, window_size), by the path alone."""
    errors = []
    with in_one_thread():
        for start in range(0, len(rows), SCORING_BATCH):
            actual = windows.take(rows[start : start + SCORING_BATCH])
            squared = squared_residuals(actual, path(windows.fill(actual)))
            errors.append(mean_of_known(squared, axis=2))
    return np.concatenate(errors)
