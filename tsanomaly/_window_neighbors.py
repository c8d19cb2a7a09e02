# SPDX-License-Identifier: MIT
from numbers import Integral

import numpy as np

from tsanomaly._memory import check_memory
from tsanomaly._neighbors import FEATURES, NeighborView, window_lengths
from tsanomaly._residual_detector import ResidualDetector
from tsanomaly._sklearn_compat import Interval, InvalidParameterError
from tsanomaly._validation import check_series_length
from tsanomaly._views import errors_of_halves, raised_errors

__all__ = ["WindowNeighborsDetector"]


class WindowNeighborsDetector(ResidualDetector):
    r"""Detect windows that are far from all windows of the training series.

    The windows of 1, 4, 16, 64 and 256 rows that end at a row are compared with up to
    1,000 training windows each, by the mean, standard deviation, minimum, maximum and
    range of every channel. The mean distance to the five nearest [1]_ is judged on a
    scale of its own for each length, and the lengths count together. The nearest of all
    and the windows that overlap with it are left out: a training window is its own
    nearest.

    Parameters
    ----------
    window_size : int, default=256
        Rows in the longest windows, at most: lengths are the powers of 4 up to it, and
        none is longer than a quarter of the training rows. See `lengths_`.

    features : str or tuple of str, default=('scaled', 'raw')
        What windows are compared by; several kinds count together.

        - 'scaled': the statistics, each divided by its standard deviation over the
          training windows, and clipped at 50 of these. A channel that hardly moves
          counts as much as the others.
        - 'raw': the statistics as they are, but half of the range. A channel counts as
          much as it moves.
        - 'readings': the readings of the windows, of 1, 4 and 16 rows. The order of
          the rows counts.

    n_neighbors : int, default=5
        How many of the nearest windows count; fewer if so many are not kept.

    max_samples : int, default=1000
        Training windows of each length that are kept, at most; a random choice. Scoring
        takes time in proportion.

    missing : {'ignore', 'anomaly'}, default='ignore'
        What a missing reading (NaN) in a row that holds others means. With 'ignore'
        windows are judged by what was read in them, with 'anomaly' a missing reading
        is as bad as the worst training row, twice.

    contamination : 'auto' or float, default='auto'
        Share of the training rows to flag, in (0, 0.5]. 'auto' flags 1 % of those whose
        windows rest on no padding.

    random_state : int, RandomState instance or None, default=None
        Controls which training windows are kept.

    Attributes
    ----------
    lengths_ : tuple of int
        Rows in the windows that are compared.

    center_ : ndarray of shape (n_channels,)
        Mean of the training readings.

    median_error_ : float
        Median error of the training rows that are no start-up rows.

    offset_ : float
        Rows with a lower score are flagged.

    n_context_, n_lookahead_ : int
        Rows before and after a row that its score depends on.

    n_samples_fit_ : int
        Number of training rows.

    n_features_in_ : int
        Number of channels seen in `fit`.

    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Names of the channels, if `fit` was given a frame with string column names.

    See Also
    --------
    AutoregressiveDetector : Rows that those before them did not lead to expect.
    LSTMAutoencoderDetector : Windows as a network and a linear map reconstruct them.
    sklearn.neighbors.LocalOutlierFactor : Distances relative to those of neighbours.

    Notes
    -----
    Scale the series first. Statistics of a window are made of those of four windows of
    a quarter of its length, so that the cost does not grow with the length. The
    normalised score of a row is the power mean, with exponent 2, of those of all
    lengths and kinds: 0 for the median of training windows, 1 for their 99 % quantile,
    in the logarithm of the distance. A window that rests on padding, in the first rows
    of a series or after a break, does not count. Any other counts at most by 1, and
    twice the score of its last quarter: what is over would otherwise be seen until it
    has left the longest windows. The error of the row is :math:`\log(1 + e^l)`.

    `transform` shares the error out among the channels by the squared distance to the
    nearest windows. `reconstruct` returns the mean of the last rows of the nearest
    windows.

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

    _judges_start_up = True  # by the windows that rest on no padding
    _scoring_parameters = ("window_size", "features", "n_neighbors")

    _parameter_constraints: dict = {
        **{
            name: constraint
            for name, constraint in ResidualDetector._parameter_constraints.items()
            if name not in ("row_error", "stride")
        },
        "window_size": [Interval(Integral, 1, None, closed="left")],
        "features": [str, tuple, list],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "max_samples": [Interval(Integral, 1, None, closed="left")],
    }

    def __init__(
        self,
        window_size=256,
        *,
        features=("scaled", "raw"),
        n_neighbors=5,
        max_samples=1000,
        missing="ignore",
        contamination="auto",
        random_state=None,
    ):
        self.window_size = window_size
        self.features = features
        self.n_neighbors = n_neighbors
        self.max_samples = max_samples
        self.missing = missing
        self.contamination = contamination
        self.random_state = random_state

    def _kinds(self):
        """Kinds of features, without repeats."""
        kinds = self.features
        kinds = [kinds] if isinstance(kinds, str) else list(kinds)
        if not kinds or not all(
            isinstance(kind, str) and kind in FEATURES for kind in kinds
        ):
            raise InvalidParameterError(
                "The 'features' parameter of WindowNeighborsDetector must be one or "
                f"several of {', '.join(map(repr, FEATURES))}. Got {self.features!r} "
                "instead, use for example features=('scaled', 'raw')."
            )
        return list(dict.fromkeys(kinds))

    def _make_views(self):
        self._kinds()
        return []

    def _check_views(self, views, breaks):
        n_needed = int(self.n_neighbors) + 2  # the nearest of all is left out
        check_series_length(breaks, n_needed, n_neighbors=self.n_neighbors)

    def _check_series(self, series, views):
        """Choose the lengths, and refuse a series that is too large to fit on."""
        edges = np.flatnonzero(np.concatenate([[True], series.breaks, [True]]))
        longest = int(np.diff(edges).max() - 1)
        kinds, shape = self._kinds(), series.X.shape
        self.lengths_ = tuple(window_lengths(int(self.window_size), longest, kinds))
        needed = NeighborView.memory(
            shape, kinds, self.lengths_, int(self.max_samples), int(self.n_neighbors)
        )
        check_memory(
            needed,
            f"Comparing windows of {shape[1]:,} channels with {self.max_samples:,}",
            "Lower max_samples, n_neighbors or window_size, or leave channels out.",
        )

    def _fit_views(self, series, views, rows, seed):
        """Keep some of the windows."""
        view = self._keep(series, rows, seed)
        return view, view.errors(series), None

    def _keep(self, series, rows, seed):
        return NeighborView.fit(
            series,
            rows,
            self._kinds(),
            self.lengths_,
            n_neighbors=int(self.n_neighbors),
            max_samples=int(self.max_samples),
            rng=np.random.default_rng(seed),
        )

    def _fit_held_out(self, X, y=None):
        """Fit, and return errors of the training rows, and those of rows held out.

        These are by the windows of the other half of the rows. They do not set
        `offset_`: a training window is compared without the nearest of all, as new ones
        are, and 1 % of the training rows are flagged.
        """
        errors, _ = super()._fit_held_out(X, y)
        series = self._series(*self._validate(X))

        def refit(rows):
            view = self._keep(series, rows, 0)
            for search, whole in zip(view.rules, self._rules, strict=True):
                search.calibration = whole.calibration
            return view

        kept = np.flatnonzero(~series.breaks)
        found = errors_of_halves(self._view(), series, kept, refit)
        whole = series.windows(self.n_start_up_ + 1).whole
        return errors, raised_errors(errors, whole, *found)

    def _view(self):
        return NeighborView(
            self._rules, self._kinds(), self.lengths_, int(self.n_neighbors)
        )
