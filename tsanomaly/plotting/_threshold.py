# SPDX-License-Identifier: MIT
import numpy as np

from tsanomaly._inspection import errors_and_threshold
from tsanomaly._validation import check_labels, median_step, unmasked
from tsanomaly.plotting._common import (
    COLOURS,
    LINES,
    check_row_values,
    log_ticks,
    make_axes,
    merge_style,
    place_legend,
)

__all__ = ["ThresholdDisplay"]

# Thresholds to compute at, at most: half of them evenly among the errors, the others
# closer and closer to the largest, where the interesting ones are.
_MOST = 2000


class ThresholdDisplay:
    """Precision, recall, F1 and alarms per day over the threshold.

    Made by `from_estimator` or `from_predictions`; the constructor stores what is
    drawn.

    Parameters
    ----------
    thresholds : ndarray of shape (n_thresholds,)
        In increasing order. Rows with a larger error are flagged.
    precision, recall, f1 : ndarray of shape (n_thresholds,)
        Of rows. Precision is NaN where no row is flagged.
    alarms : ndarray of shape (n_thresholds,)
        Runs of flagged rows, per day, or per 1,000 rows if there are no times.
    threshold : float or None, default=None
        The one in use.
    per_day : bool, default=True
        Whether alarms are counted per day.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    axes_ : ndarray of shape (2,) of matplotlib Axes
        Rates above, alarms below.

    See Also
    --------
    ErrorDistributionDisplay : How the errors are distributed.

    Notes
    -----
    The best threshold of this picture was found on labels. On other rows it is worse:
    choose it on rows that do not judge it.

    Examples
    --------
    >>> import numpy as np
    >>> from tsanomaly.plotting import ThresholdDisplay
    >>> y = np.zeros(1000, dtype=int)
    >>> y[300:320] = 1
    >>> errors = np.random.default_rng(0).gamma(1, size=1000) + 5 * y
    >>> display = ThresholdDisplay.from_predictions(y, errors)
    >>> bool(display.f1.max() > 0.5)
    True
    """

    def __init__(
        self, thresholds, precision, recall, f1, alarms, threshold=None, per_day=True
    ):
        self.thresholds = thresholds
        self.precision = precision
        self.recall = recall
        self.f1 = f1
        self.alarms = alarms
        self.threshold = threshold
        self.per_day = per_day

    @classmethod
    def from_estimator(cls, estimator, X, y, *, ax=None, line_kwargs=None):
        """Score a labelled series with a fitted detector, and draw the trade-off.

        Parameters
        ----------
        estimator : fitted outlier detector or Pipeline that ends in one
            It needs `decision_function`. Its own threshold is marked.
        X : array-like of shape (n_timestamps, n_channels)
            A series, rows in time order. With times in the index of a frame, alarms
            are counted per day.
        y : array-like of shape (n_timestamps,)
            Labels, 1 = anomaly and 0 = normal.
        ax : array-like of two matplotlib Axes, or None, default=None
            Where to draw; None makes a new figure.
        line_kwargs : dict or None, default=None
            Style of the lines, passed to ``Axes.plot``.

        Returns
        -------
        display : ThresholdDisplay
            With `axes_` and `figure_`.

        Raises
        ------
        ValueError
            If `X` does not suit the detector; and as in `from_predictions`.
        """
        errors, threshold = errors_and_threshold(estimator, X)
        return cls.from_predictions(
            y,
            errors,
            times=X.index if hasattr(X, "iloc") else None,
            threshold=threshold,
            ax=ax,
            line_kwargs=line_kwargs,
        )

    @classmethod
    def from_predictions(
        cls, y_true, y_score, *, times=None, threshold=None, ax=None, line_kwargs=None
    ):
        """Draw the trade-off of scores that are there already.

        Parameters
        ----------
        y_true : array-like of shape (n_timestamps,)
            1 for an anomaly, 0 for a normal row.
        y_score : array-like of shape (n_timestamps,)
            Higher = worse. Rows without a score, NaN, are never flagged, and count
            neither as found nor as missed.
        times : Index, array-like of datetime64 or None, default=None
            When each row was read. Observation lasts from the first row to the last
            one, plus one median step. What holds no times in order counts as None.
        threshold : float or None, default=None
            The threshold in use, to be marked.
        ax : array-like of two matplotlib Axes, or None, default=None
            Where to draw; None makes a new figure.
        line_kwargs : dict or None, default=None
            Style of the lines, passed to ``Axes.plot``.

        Returns
        -------
        display : ThresholdDisplay
            With `axes_` and `figure_`.

        Raises
        ------
        ValueError
            If there is no anomaly among the rows with a score, `y_true`, `y_score` and
            `times` do not fit each other, or another number of axes is given.
        """
        import pandas as pd

        y_score = np.asarray(unmasked(y_score))
        errors = check_row_values(y_score, y_score.size, "y_score")
        y_true = check_labels(y_true, len(errors))
        scored = ~np.isnan(errors)
        if not y_true[scored].any():
            raise ValueError(
                "y_true holds no anomaly (1) among the rows with a score, so there is "
                "nothing to find. Pass rows with a labelled anomaly."
            )
        ordered = np.sort(errors[scored])
        thresholds = _candidates(ordered)
        flagged = len(ordered) - np.searchsorted(ordered, thresholds, side="right")
        anomalous = np.sort(errors[scored & y_true])
        found = len(anomalous) - np.searchsorted(anomalous, thresholds, side="right")
        precision = np.full(len(thresholds), np.nan)
        np.divide(found, flagged, out=precision, where=flagged > 0)
        times = pd.RangeIndex(len(errors)) if times is None else pd.Index(times)
        if len(times) != len(errors):
            raise ValueError(
                f"y_score has {len(errors):,} rows and times {len(times):,}. They must "
                "be of the same rows."
            )
        step = median_step(times)
        if step is None:
            duration = len(errors) / 1000
        else:
            duration = (times[-1] - times[0] + step).total_seconds() / 86_400
        display = cls(
            thresholds,
            precision,
            found / len(anomalous),
            2 * found / (len(anomalous) + flagged),
            _count_alarms(errors, thresholds) / duration,
            None if threshold is None else float(threshold),
            per_day=step is not None,
        )
        return display.plot(ax, line_kwargs=line_kwargs)

    def plot(self, ax=None, *, line_kwargs=None):
        """Draw.

        Parameters
        ----------
        ax : array-like of two matplotlib Axes, or None, default=None
            Where to draw; None makes a new figure.
        line_kwargs : dict or None, default=None
            Style of the lines, passed to ``Axes.plot``.

        Returns
        -------
        self : ThresholdDisplay
            With `axes_` and `figure_`.
        """
        from matplotlib.lines import Line2D

        self.axes_ = make_axes(ax, 2, heights=[2, 1.3], width=8.0, height=5.5)
        self.figure_ = self.axes_[0].figure
        upper, lower = self.axes_

        def draw(axes, values, number, **label):
            style = {
                "color": COLOURS[number],
                "linestyle": LINES[number],
                "linewidth": 1.5,
                **label,
            }
            style = merge_style(style, line_kwargs, Line2D)
            axes.plot(self.thresholds, values, drawstyle="steps-post", **style)

        draw(upper, self.precision, 1, label="precision")
        draw(upper, self.recall, 2, label="recall")
        draw(upper, self.f1, 0, label="F1")
        best = np.argmax(self.f1)
        upper.plot(
            self.thresholds[best],
            self.f1[best],
            "o",
            color=COLOURS[0],
            label=f"best F1 {self.f1[best]:.2f} at {self.thresholds[best]:.3g}",
        )
        upper.set(ylabel="Share", ylim=(-0.03, 1.03))
        draw(lower, self.alarms, 0)
        unit = "day" if self.per_day else "1,000 rows"
        lower.set(xlabel="Threshold of the error", ylabel=f"Alarms per {unit}")
        if self.threshold is not None:
            label = f"in use: {self.threshold:.3g}"
            upper.axvline(self.threshold, color="0.3", linestyle=":", label=label)
            lower.axvline(self.threshold, color="0.3", linestyle=":")
        low, high = self.thresholds[[0, -1]]
        for axes in self.axes_:
            axes.margins(x=0.02)
            if low > 0 and high > 20 * low:
                axes.set_xscale("log")
                log_ticks(axes.xaxis)
        # Alarms at low thresholds would press those at usual ones to the floor.
        if (self.alarms > 0).any():
            lower.set_yscale("log", nonpositive="clip")
            lower.set_ylim(bottom=0.5 * self.alarms[self.alarms > 0].min())
            log_ticks(lower.yaxis)
        place_legend(upper)
        return self


def _candidates(ordered):
    """Errors to take for thresholds, from one that flags all but the smallest on."""
    distinct = np.unique(ordered)
    if len(distinct) <= _MOST:
        return distinct
    last = len(distinct) - 1
    evenly = np.linspace(0, last, _MOST // 2)
    from_the_top = last - np.geomspace(1, last, _MOST // 2)
    rows = np.concatenate([evenly, from_the_top]).round().astype(np.intp)
    return distinct[np.unique(rows)]


def _count_alarms(errors, thresholds):
    """Runs of rows with an error above each threshold.

    A run starts where a threshold is below a row's error, but not below that of the row
    before.
    """
    errors = np.where(np.isnan(errors), -np.inf, errors)
    before = np.concatenate([[-np.inf], errors[:-1]])
    rises = errors > before
    # Thresholds in [before, error) see the start.
    first = np.searchsorted(thresholds, before[rises], side="left")
    stop = np.searchsorted(thresholds, errors[rises], side="left")
    changes = np.zeros(len(thresholds) + 1)
    np.add.at(changes, first, 1)
    np.add.at(changes, stop, -1)
    return np.cumsum(changes[:-1])
