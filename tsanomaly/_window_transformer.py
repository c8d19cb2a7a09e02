# SPDX-License-Identifier: MIT
from numbers import Integral

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from tsanomaly._memory import check_memory
from tsanomaly._sklearn_compat import Interval, _check_feature_names_in, _fit_context
from tsanomaly._validation import VersionedState, all_or_nothing, validate_series
from tsanomaly._windows import TrailingWindows

__all__ = ["WindowTransformer"]


class WindowTransformer(VersionedState, TransformerMixin, BaseEstimator):
    """Flatten the trailing window of each row into columns.

    Row ``t`` of the result is the flattened window of `window_size` rows that ends at
    row ``t``, time-major, oldest row first. The number of rows is unchanged, so labels
    still line up, and any row-wise scikit-learn estimator, such as
    :class:`~sklearn.ensemble.IsolationForest`, can use the temporal context.

    The transformation is causal: appending rows never changes earlier windows. Windows
    at the start of the series are padded with its first row.

    Parameters
    ----------
    window_size : int, default=10
        Number of rows in a window, including the row itself. At least 1.

    Attributes
    ----------
    n_context_ : int
        Number of earlier rows in a window, ``window_size - 1``.

    n_lookahead_ : int
        Number of later rows in a window, always 0.

    n_features_in_ : int
        Number of channels seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of channels seen during `fit`. Defined only when `X` has feature names
        that are all strings.

    See Also
    --------
    sliding_windows : Three-dimensional windows without padding.
    TemporalFeatures : Rolling, lag, rate and calendar features.

    Notes
    -----
    Windows are not copied. The result is a read-only view of one padded copy of the
    series, so it takes as much memory as the series. Later steps may copy it, which
    takes `window_size` times as much.

    A row that is NaN in every channel is a break: its window is NaN, and the row after
    it is padded like the first row of the series. With breaks, the result is a copy.
    Other NaN values are passed through.

    Examples
    --------
    >>> import pandas as pd
    >>> from tsanomaly import WindowTransformer
    >>> X = pd.DataFrame({"pressure": [1.0, 2.0, 3.0], "flow": [7.0, 8.0, 9.0]})
    >>> WindowTransformer(window_size=2).set_output(transform="pandas").fit_transform(X)
       pressure_t-1  flow_t-1  pressure_t-0  flow_t-0
    0           1.0       7.0           1.0       7.0
    1           1.0       7.0           2.0       8.0
    2           2.0       8.0           3.0       9.0
    """

    _sees_other_rows = True

    _parameter_constraints: dict = {
        "window_size": [Interval(Integral, 1, None, closed="left")]
    }

    def __init__(self, window_size=10):
        self.window_size = window_size

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None):
        """Validate the parameters and the channels.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Series, rows in time order. It may be shorter than a window.
        y : None
            Ignored.

        Returns
        -------
        self : WindowTransformer
            The fitted transformer.

        Raises
        ------
        ValueError
            If `window_size` is out of range, or `X` contains infinity or values that
            are not numeric.
        """
        with all_or_nothing(self):
            validate_series(self, X, reset=True, missing="allow")
            self.n_context_ = int(self.window_size) - 1
            self.n_lookahead_ = 0
        return self

    def transform(self, X):
        """Return the window of every row.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Series, rows in time order.

        Returns
        -------
        windows : ndarray of shape (n_timestamps, window_size * n_channels)
            Read-only. float32 if `X` is float32, otherwise float64. NaN at breaks.

        Raises
        ------
        ValueError
            If the channels of `X` differ from those seen during `fit`, or `X` contains
            infinity.
        MemoryError
            If `X` contains breaks and a copy of the windows does not fit in memory.
        """
        check_is_fitted(self)
        X, breaks = validate_series(self, X, reset=False, missing="allow")
        n_context, n_channels = self.n_context_, X.shape[1]
        if breaks.any():
            trailing = TrailingWindows(X, n_context + 1, breaks)
            width = (n_context + 1) * n_channels
            check_memory(
                len(X) * width * X.itemsize,
                f"A copy of {len(X):,} windows of {n_context + 1:,} rows and "
                f"{n_channels:,} channels, which breaks make necessary,",
                "Lower window_size, or transform one stretch at a time.",
            )
            windows = np.full((len(X), width), np.nan, X.dtype)
            windows[~breaks] = trailing.take(trailing.rows).reshape(-1, width)
            windows.flags.writeable = False
            return windows
        padded = np.empty((n_context + len(X), n_channels), dtype=X.dtype)
        padded[:n_context] = X[0]
        padded[n_context:] = X
        # In the flat, C-contiguous series, each window is a contiguous run of elements,
        # and the next window starts n_channels elements later.
        runs = np.lib.stride_tricks.sliding_window_view(
            padded.ravel(), (n_context + 1) * n_channels
        )
        return runs[::n_channels]  # (n_timestamps, window_size * n_channels)

    def get_feature_names_out(self, input_features=None):
        """Return the column names, such as ``pressure_t-9`` to ``pressure_t-0``.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the channels. None uses those seen during `fit`, or ``x0``, ``x1``,
            and so on.

        Returns
        -------
        names : ndarray of str objects of shape (window_size * n_channels,)
            Names in column order: all channels of the oldest row first.

        Raises
        ------
        ValueError
            If `input_features` differ from the names seen during `fit`.
        """
        check_is_fitted(self)
        channels = _check_feature_names_in(self, input_features)
        return np.array(
            [
                f"{channel}_t-{age}"
                for age in range(self.n_context_, -1, -1)
                for channel in channels
            ],
            dtype=object,
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
