# SPDX-License-Identifier: MIT
import numpy as np
from sklearn.utils import _safe_indexing

from tsanomaly._validation import check_labels
from tsanomaly._windows import runs

__all__ = ["AnomalyDisplay"]


class AnomalyDisplay:
    """Readings, scores, threshold and alarms on one time axis.

    Made by `from_estimator` or `from_predictions`; the constructor stores what is
    drawn.

    Parameters
    ----------
    readings : DataFrame of shape (n_timestamps, n_channels)
        The channels to draw.
    scores : ndarray of shape (n_timestamps,)
        Higher = worse.
    threshold : float
        Rows with a higher score are flagged.
    flagged : ndarray of shape (n_timestamps,), dtype=bool
        The alarms.
    target : ndarray of shape (n_timestamps,), dtype=bool, or None, default=None
        True where a row is anomalous, if that is known.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    axes_ : ndarray of shape (2,) of matplotlib Axes
        Readings above, scores below.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import IsolationForest
    >>> from tsanomaly.plotting import AnomalyDisplay
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> forest = IsolationForest(random_state=0).fit(X)
    >>> display = AnomalyDisplay.from_estimator(forest, X)
    >>> [axes.get_ylabel() for axes in display.axes_]
    ['Reading', 'Score (higher = worse)']
    """

    def __init__(self, readings, scores, threshold, flagged, target=None):
        self.readings = readings
        self.scores = scores
        self.threshold = threshold
        self.flagged = flagged
        self.target = target

    @classmethod
    def from_estimator(cls, estimator, X, y=None, *, channels=None, axes=None):
        """Score a series with a fitted detector, and draw the result.

        Parameters
        ----------
        estimator : fitted outlier detector or Pipeline that ends in one
            It needs `score_samples` and `decision_function`.
        X : array-like of shape (n_timestamps, n_channels)
            A series, rows in time order. The index of a frame is the time axis.
        y : array-like of shape (n_timestamps,) or None, default=None
            Labels, 1 = anomaly and 0 = normal.
        channels : list of str or int, or None, default=None
            Columns to draw, by name or position; None draws all.
        axes : array-like of two matplotlib Axes, or None, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : AnomalyDisplay
            With `axes_` and `figure_`.
        """
        scores = estimator.score_samples(X)
        # The offset is the same for every row; few rows tell it without a second run.
        few = _safe_indexing(X, np.flatnonzero(np.isfinite(scores))[:10])
        offset = np.median(
            estimator.score_samples(few) - estimator.decision_function(few)
        )
        return cls.from_predictions(
            X, -scores, -offset, scores < offset, y, channels=channels, axes=axes
        )

    @classmethod
    def from_predictions(
        cls, X, scores, threshold, flagged, y=None, *, channels=None, axes=None
    ):
        """Draw scores and alarms that are there already.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            A series, rows in time order. The index of a frame is the time axis.
        scores : array-like of shape (n_timestamps,)
            Higher = worse.
        threshold : float
            Threshold of the scores.
        flagged : array-like of bool of shape (n_timestamps,)
            The alarms.
        y : array-like of shape (n_timestamps,) or None, default=None
            Labels, 1 = anomaly and 0 = normal.
        channels : list of str or int, or None, default=None
            Columns to draw, by name or position; None draws all.
        axes : array-like of two matplotlib Axes, or None, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        display : AnomalyDisplay
            With `axes_` and `figure_`.
        """
        import pandas as pd

        readings = X if isinstance(X, pd.DataFrame) else pd.DataFrame(np.asarray(X))
        if channels is not None:
            names = [
                name if name in readings.columns else readings.columns[name]
                for name in channels
            ]
            readings = readings[names]
        display = cls(
            readings,
            np.asarray(scores, dtype=np.float64),
            float(threshold),
            np.asarray(flagged, dtype=bool),
            None if y is None else check_labels(y, len(readings)),
        )
        return display.plot(axes)

    def plot(self, axes=None):
        """Draw.

        Parameters
        ----------
        axes : array-like of two matplotlib Axes, or None, default=None
            Where to draw readings and scores; None makes a new figure.

        Returns
        -------
        self : AnomalyDisplay
            With `axes_` and `figure_`.
        """
        import matplotlib.pyplot as plt

        if axes is None:
            _, axes = plt.subplots(
                2, sharex=True, figsize=(11, 5.5), layout="constrained"
            )
        self.axes_ = np.asarray(axes)
        self.figure_ = self.axes_[0].figure
        upper, lower = self.axes_
        time = self.readings.index.to_numpy()
        for name in self.readings.columns:
            upper.plot(time, self.readings[name], linewidth=0.8, label=str(name))
        upper.set_ylabel("Reading")
        lower.plot(time, self.scores, color="0.25", linewidth=0.8)
        lower.axhline(
            self.threshold, color="tab:red", linestyle="--", label="threshold"
        )
        lower.set_ylabel("Score (higher = worse)")
        if (self.scores[np.isfinite(self.scores)] > 0).all():
            lower.set_yscale("log")
        # Alarms stand on the upper edge, where no line hides them.
        lower.plot(
            time[self.flagged],
            np.ones(self.flagged.sum()),
            "v",
            color="tab:red",
            markersize=4,
            transform=lower.get_xaxis_transform(),
            clip_on=False,
            label="flagged row",
        )
        if self.target is not None:
            self._shade_events(time)
        for axis in self.axes_:
            axis.margins(x=0.01)
            axis.legend(loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False)
        return self

    def _shade_events(self, time):
        for axis in self.axes_:
            label = "labelled anomaly"
            for start, end in zip(*runs(self.target.astype(int)), strict=True):
                axis.axvspan(
                    time[start],
                    time[end],
                    facecolor="tab:orange",
                    edgecolor="tab:orange",
                    alpha=0.3,
                    label=label,
                )
                label = None  # once in the legend
