# SPDX-License-Identifier: MIT
from functools import partial
from numbers import Integral, Real

from tsanomaly._memory import check_memory
from tsanomaly._model_views import (
    LEARNED,
    combine_linear_views,
    fit_linear,
    learned_by,
    linear_memory,
    make_linear_views,
    restore_linear_views,
)
from tsanomaly._residual_detector import ResidualDetector
from tsanomaly._sklearn_compat import Interval, InvalidParameterError
from tsanomaly._validation import are_counts
from tsanomaly._views import errors_of_halves
from tsanomaly._window_model import check_readings

__all__ = ["LinearAutoencoderDetector"]


class LinearAutoencoderDetector(ResidualDetector):
    r"""Detect anomalies with a linear autoencoder of windows, in closed form.

    The linear half of :class:`LSTMAutoencoderDetector`, without its network, Keras and
    training epochs. It scores rows as that detector does where the network does not
    count (`relation_gain_` of at most 0.25 in most channels). It does not see nonlinear
    relations between channels, and sees that a linear one is broken later than the
    network, whose windows are shorter.

    Windows of a mostly normal series are reconstructed by the linear map that is
    optimal for noisy copies of them [1]_. Windows unlike those of the training series
    are reconstructed badly, and the squared residuals of a row are its errors, one per
    channel. A second map sees windows relative to a trailing median, and thus follows
    normal operation where it drifts.

    Scale the series first, for example with
    :class:`~sklearn.preprocessing.StandardScaler` in a pipeline: errors are compared
    across channels.

    Parameters
    ----------
    window_size : int or tuple of two int, default=(80, 1001)
        Rows in a window, and rows of its baseline, at least 2 each. The baseline is
        the median of each channel over that many last rows. This follows slow drift; a
        level that changes for good is normal to the second map after half as many rows.
        An int leaves the baseline, and the second map, out.

    variance : float, default=0.8
        Share of the variance of the windows that the maps reconstruct, in (0, 1). It
        sets the noise variance that they are derived for.

    row_error : str, default='multiscale'
        How the squared residuals of windows are aggregated into one error per row and
        channel: 'multiscale', 'multiscale_centered', 'last', 'window_mean' or
        'overlap_mean', as in :class:`LSTMAutoencoderDetector`.

    stride : int, default=1
        Rows between the starts of the windows averaged by 'overlap_mean', at most
        `window_size`. All other rules require 1.

    missing : {'ignore', 'anomaly'}, default='ignore'
        How to treat a missing reading (NaN) in a row that has other readings. 'ignore'
        scores the row on its other readings. 'anomaly' flags the row, with twice the
        error of the worst training row. As an input, a missing reading is estimated
        from its last one and those of the other channels. This parameter may be changed
        after `fit`.

    contamination : 'auto' or float, default='auto'
        Determines the threshold.

        - If float, the share of training rows to flag, in (0, 0.5].
        - If 'auto', the threshold is the 99 % quantile of the training errors or of
          held-out errors, each half of the series being scored by maps of the other
          half, whichever is higher. Start-up rows do not count.

    random_state : int, RandomState instance or None, default=None
        Controls the sampling of windows if there are many, and the random projections
        that find the components of wide windows.

    Attributes
    ----------
    linear_components_ : ndarray of shape (n_components, window_size * n_channels)
        Principal components of the training windows that the map projects onto, at most
        64, time-major.

    linear_gains_ : ndarray of shape (n_components,)
        Factor applied to each projection, in [0, 1].

    linear_mean_ : ndarray of shape (window_size * n_channels,)
        Mean of the training windows, after subtracting `center_`.

    baseline_components_, baseline_gains_, baseline_mean_ : ndarray
        The same of windows relative to their baseline, if any.

    center_ : ndarray of shape (n_channels,)
        Mean of each channel in training, subtracted from the readings first.

    missing_error_ : float
        Error added for a missing reading if ``missing='anomaly'``.

    median_error_ : float
        Median error of the training rows, start-up rows excluded.

    offset_ : float
        Threshold of the scores: ``decision_function = score_samples - offset_``.

    n_context_, n_lookahead_, n_start_up_ : int
        Number of earlier and later rows that the score of a row depends on, and number
        of start-up rows.

    n_samples_fit_ : int
        Number of training rows, without breaks.

    n_features_in_ : int
        Number of channels seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of channels seen during `fit`. Defined only when `X` has feature names
        that are all strings.

    See Also
    --------
    LSTMAutoencoderDetector : Also sees nonlinear relations between channels.
    AutoregressiveDetector : Compare rows with forecasts from earlier rows.
    ReconstructionError : Errors of PCA and other invertible transformers.

    Notes
    -----
    Row errors, the linear maps, the baseline, start-up rows and breaks are described in
    the notes of :class:`LSTMAutoencoderDetector`. With the noise variance
    :math:`\sigma^2`, a map projects windows onto their principal components and
    multiplies each projection by :math:`\lambda_i / (\lambda_i + \sigma^2)`, where
    :math:`\lambda_i` is the variance along the component (Wiener filter). It is the
    limit of training on ever more noisy copies of each window, as in [1]_ for another
    kind of noise. Unlike with a truncated PCA, an outlier leaves a residual in every
    direction.

    References
    ----------
    .. [1] M. Chen, Z. Xu, K. Weinberger, F. Sha. "Marginalized Denoising Autoencoders
           for Domain Adaptation." ICML 2012. https://arxiv.org/abs/1206.4683

    Examples
    --------
    >>> import numpy as np
    >>> from tsanomaly import LinearAutoencoderDetector
    >>> time = np.arange(600)
    >>> X = np.column_stack([np.sin(time / 5), np.cos(time / 5)])
    >>> X += 0.01 * np.random.default_rng(0).normal(size=X.shape)
    >>> detector = LinearAutoencoderDetector(random_state=0).fit(X)
    >>> X[400, 1] += 2.0
    >>> int(detector.predict(X)[400])
    -1
    >>> int(detector.transform(X)[400].argmax())
    1
    """

    _scoring_parameters = ("window_size",)

    _parameter_constraints: dict = {
        **ResidualDetector._parameter_constraints,
        "window_size": [Interval(Integral, 2, None, closed="left"), tuple, list],
        "variance": [Interval(Real, 0, 1, closed="neither")],
    }

    def __init__(
        self,
        window_size=(80, 1001),
        *,
        variance=0.8,
        row_error="multiscale",
        stride=1,
        missing="ignore",
        contamination="auto",
        random_state=None,
    ):
        self.window_size = window_size
        self.variance = variance
        self.row_error = row_error
        self.stride = stride
        self.missing = missing
        self.contamination = contamination
        self.random_state = random_state

    def _window_sizes(self):
        """Return the rows of a window and of its baseline, or None."""
        if isinstance(self.window_size, Integral):
            return int(self.window_size), None
        sizes = tuple(self.window_size)
        if len(sizes) != 2 or not are_counts(sizes, 2):
            raise InvalidParameterError(
                "The 'window_size' parameter of LinearAutoencoderDetector must be an "
                "int of at least 2, or two of them: the rows of a window and of its "
                f"baseline. Got {self.window_size!r} instead. For example, use "
                "window_size=(80, 1001)."
            )
        return tuple(map(int, sizes))

    def _make_views(self, n_timestamps):
        n_rows, baseline = self._window_sizes()
        return make_linear_views(n_rows, self._make_rule, baseline)

    def _check_series(self, series, views):
        """Raise if the series does not fit in memory or is not scaled."""
        shape, (n_rows, baseline) = series.X.shape, self._window_sizes()
        needed = linear_memory(shape, n_rows, baseline)
        needed += sum(view.rule.memory(*shape) for view in views)
        check_memory(
            needed,
            f"Fitting windows of {n_rows:,} rows and {shape[1]:,} channels",
            "Lower window_size, resample the series to a lower rate, or drop channels.",
        )
        check_readings(self, series)

    def _fit_views(self, series, views, rows, seed):
        """Fit the maps."""
        for name in LEARNED:
            vars(self).pop(name, None)
        views, view, errors, refit = fit_linear(
            views, series, rows, self.variance, seed
        )
        vars(self).update(learned_by(views))
        return view, errors, partial(errors_of_halves, view, series, rows, refit)

    def _view(self):
        return combine_linear_views(
            restore_linear_views(vars(self), self._rules, *self._window_sizes())
        )
