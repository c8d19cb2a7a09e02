# SPDX-License-Identifier: MIT
from functools import partial
from numbers import Integral

import numpy as np

from tsanomaly._memory import check_memory
from tsanomaly._neighbors import FEATURES, FEWEST_ROWS, NeighborView, window_lengths
from tsanomaly._residual_detector import ResidualDetector
from tsanomaly._sklearn_compat import Interval, InvalidParameterError, StrOptions
from tsanomaly._validation import check_series_length
from tsanomaly._views import errors_of_halves

__all__ = ["WindowNeighborsDetector"]


class WindowNeighborsDetector(ResidualDetector):
    r"""Detect anomalies by the distance of windows to the nearest training windows.

    The windows of 1, 4, 16, 64 and 256 rows that end at a row are compared with up to
    1,000 training windows of the same length, by the mean, standard deviation, minimum,
    maximum and range of each channel. The mean distance to the five nearest windows
    [1]_ is normalised for each length separately, and the lengths are combined. The
    very nearest window, and those that overlap with it, do not count, because a
    training window is its own nearest neighbour.

    Parameters
    ----------
    window_size : int, default=256
        Maximum number of rows in a window. The lengths are the powers of 4 up to this
        number and up to an eighth of the training rows without a break, or a quarter of
        fewer than 512; see `lengths_`.

    features : str or tuple of str, default=('scaled', 'raw')
        Features by which windows are compared. Several kinds are combined.

        - 'scaled': the statistics, each divided by its standard deviation over the
          training windows and clipped at ±50. A channel that hardly varies has the same
          weight as the others.
        - 'raw': the statistics without scaling, except that the range is halved. A
          channel has weight in proportion to its variation.
        - 'readings': the readings of windows of 1, 4 and 16 rows, so that the order of
          rows matters.

    n_neighbors : int, default=5
        Number of nearest windows to average over. If fewer are kept, all of them.

    max_samples : int, default=1000
        Maximum number of training windows to keep for each length, drawn at random.
        Scoring time is proportional to it.

    row_error : {'multiscale', 'multiscale_centered'}, default='multiscale'
        Which windows count for a row: with 'multiscale' those that end at the row, with
        'multiscale_centered' also those that start there. The latter looks ahead by up
        to ``window_size - 1`` rows, and its windows are not limited; see the Notes.

    missing : {'ignore', 'anomaly'}, default='ignore'
        How to treat a missing reading (NaN) in a row that has other readings. 'ignore'
        compares windows on the readings they have. 'anomaly' flags the row, with twice
        the error of the worst training row.

    contamination : 'auto' or float, default='auto'
        Determines the threshold.

        - If float, the share of training rows to flag, in (0, 0.5].
        - If 'auto', the threshold is the 99 % quantile of the training errors or of
          distances to the windows of the other half of the rows, whichever is higher.
          The latter need at least 512 rows. Rows with padded windows do not count.

    random_state : int, RandomState instance or None, default=None
        Controls which training windows are kept.

    Attributes
    ----------
    lengths_ : tuple of int
        Window lengths, in rows.

    center_ : ndarray of shape (n_channels,)
        Mean of each channel in training.

    median_error_ : float
        Median error of the training rows, start-up rows excluded.

    offset_ : float
        Threshold of the scores: ``decision_function = score_samples - offset_``.

    n_context_, n_lookahead_, n_start_up_ : int
        Number of earlier and later rows that the score of a row depends on, and number
        of rows at the start of a series without all of the windows.

    n_samples_fit_ : int
        Number of training rows, without breaks.

    n_features_in_ : int
        Number of channels seen during `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of channels seen during `fit`. Defined only when `X` has feature names
        that are all strings.

    See Also
    --------
    AutoregressiveDetector : Forecast rows from earlier rows.
    LSTMAutoencoderDetector : Reconstruct windows with a network and a linear map.
    LinearAutoencoderDetector : Reconstruct windows with linear maps alone.
    sklearn.neighbors.LocalOutlierFactor : Distances relative to those of neighbours.

    Notes
    -----
    Scale the series first. The statistics of a window are computed from those of four
    windows of a quarter of its length, so the cost does not grow with the length.

    Distances become normalised scores on a logarithmic scale: 0 for the median of the
    training rows and 1 for their 99 % quantile. The score of a row, :math:`l`, is the
    power mean with exponent 2 of the scores of all lengths and kinds of features, and
    its error is :math:`\log(1 + e^l)`. Padded windows, at the start of the series and
    after a break, are left out. The score of any other window is clipped at 1 plus half
    of that of its last quarter; otherwise an anomaly that is over would affect all rows
    until it has left the longest windows. With 'multiscale_centered', scores are not
    clipped.

    `transform` distributes the error over the channels in proportion to their squared
    distances. `reconstruct` returns the mean of the last rows of the windows nearest to
    those that end at the row.

    References
    ----------
    .. [1] F. Angiulli, C. Pizzuti. "Fast Outlier Detection in High Dimensional Spaces."
           PKDD 2002. https://doi.org/10.1007/3-540-45681-3_2

    Examples
    --------
    >>> import numpy as np
    >>> from tsanomaly import WindowNeighborsDetector
    >>> time = np.arange(600)
    >>> X = np.column_stack([np.sin(time / 5), np.cos(time / 5)])
    >>> detector = WindowNeighborsDetector(random_state=0).fit(X)
    >>> X[400:410, 1] += 2
    >>> int(detector.score_samples(X).argmin()) in range(400, 425)
    True
    >>> int(detector.transform(X)[405].argmax())
    1
    """

    _judges_start_up = True  # by the windows that are not padded
    _imputes = False
    _scoring_parameters = ("window_size", "features", "n_neighbors")

    _parameter_constraints: dict = {
        **{
            name: constraint
            for name, constraint in ResidualDetector._parameter_constraints.items()
            if name != "stride"
        },
        "window_size": [Interval(Integral, 1, None, closed="left")],
        "features": [str, tuple, list],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "max_samples": [Interval(Integral, 1, None, closed="left")],
        "row_error": [StrOptions({"multiscale", "multiscale_centered"})],
    }

    def __init__(
        self,
        window_size=256,
        *,
        features=("scaled", "raw"),
        n_neighbors=5,
        max_samples=1000,
        row_error="multiscale",
        missing="ignore",
        contamination="auto",
        random_state=None,
    ):
        self.window_size = window_size
        self.features = features
        self.n_neighbors = n_neighbors
        self.max_samples = max_samples
        self.row_error = row_error
        self.missing = missing
        self.contamination = contamination
        self.random_state = random_state

    @property
    def _looks_ahead(self):
        return self.row_error == "multiscale_centered"

    def _kinds(self):
        """Return the kinds of features without duplicates."""
        kinds = self.features
        kinds = [kinds] if isinstance(kinds, str) else list(kinds)
        if not kinds or not all(
            isinstance(kind, str) and kind in FEATURES for kind in kinds
        ):
            raise InvalidParameterError(
                "The 'features' parameter of WindowNeighborsDetector must be one or "
                f"several of {', '.join(map(repr, FEATURES))}. Got {self.features!r} "
                "instead. For example, use features=('scaled', 'raw')."
            )
        return list(dict.fromkeys(kinds))

    def _make_views(self, n_timestamps):
        self._kinds()
        return []

    def _check_views(self, views, breaks):
        n_needed = int(self.n_neighbors) + 2  # the very nearest does not count
        check_series_length(breaks, n_needed, n_neighbors=self.n_neighbors)

    def _check_series(self, series, views):
        """Choose the lengths, and raise if the series does not fit in memory."""
        edges = np.flatnonzero(np.concatenate([[True], series.breaks, [True]]))
        longest = int(np.diff(edges).max() - 1)
        kinds, shape = self._kinds(), series.X.shape
        self.lengths_ = tuple(window_lengths(int(self.window_size), longest, kinds))
        needed = NeighborView.memory(
            shape, kinds, self.lengths_, int(self.max_samples), int(self.n_neighbors)
        )
        check_memory(
            needed,
            f"Comparing windows of {shape[1]:,} channels with {self.max_samples:,} "
            "others",
            "Lower max_samples, n_neighbors or window_size, or drop channels.",
        )

    def _fit_views(self, series, views, rows, seed):
        """Keep a sample of the windows."""
        view = self._keep(series, rows, seed)
        errors = view.calibrate(series, rows)

        def refit(rows):
            other = self._keep(series, rows, 0)
            for search, whole in zip(other.rules, view.rules, strict=True):
                search.calibration = whole.calibration
            return other

        held_out = partial(errors_of_halves, view, series, rows, refit)
        return view, errors, held_out

    def _set_threshold(self, errors, series, held_out, view):
        if np.count_nonzero(~series.breaks) < FEWEST_ROWS:
            held_out = None
        super()._set_threshold(errors, series, held_out, view)

    def _keep(self, series, rows, seed):
        return NeighborView.keep(
            series,
            rows,
            self._kinds(),
            self.lengths_,
            n_neighbors=int(self.n_neighbors),
            max_samples=int(self.max_samples),
            rng=np.random.default_rng(seed),
            looks_ahead=self._looks_ahead,
        )

    def _view(self):
        return NeighborView(
            self._rules,
            self._kinds(),
            self.lengths_,
            int(self.n_neighbors),
            self._looks_ahead,
        )
