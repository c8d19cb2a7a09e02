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

# Maximum number of thresholds: half of them evenly spaced over the ranked errors, the
# others increasingly dense towards the largest errors.
_MOST = 2000


class ThresholdDisplay:
    """Plot precision, recall, F1 and flagged runs per day over the threshold.

    Create it with `from_estimator` or `from_predictions`. The constructor only stores
    the data.

    Parameters
    ----------
    thresholds : ndarray of shape (n_thresholds,)
        Thresholds in ascending order. Rows with a larger error are flagged.
    precision, recall, f1 : ndarray of shape (n_thresholds,)
        Row-wise metrics. Precision is NaN if no row is flagged.
    alarms : ndarray of shape (n_thresholds,)
        Number of runs of flagged rows per day, or per 1,000 rows without times.
    threshold : float or None, default=None
        Threshold in use, which is marked.
    per_day : bool, default=True
        Whether `alarms` are per day.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    axes_ : ndarray of shape (2,) of matplotlib Axes
        Precision, recall and F1 above, flagged runs below.

    See Also
    --------
    ErrorDistributionDisplay : Plot the distributions of training and test errors.

    Notes
    -----
    The best F1 is optimistic, because its threshold is chosen on the same labels. Use
    other rows to evaluate a threshold than to choose it.

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
        """Score a labelled series with a fitted detector and draw the trade-off.

        Parameters
        ----------
        estimator : fitted outlier detector or Pipeline that ends in one
            The detector, with `decision_function`. Its threshold is marked.
        X : array-like of shape (n_timestamps, n_channels)
            Series, rows in time order. If it is a frame with a time index, runs are
            counted per day.
        y : array-like of shape (n_timestamps,)
            Labels, 1 = anomaly and 0 = normal.
        ax : array-like of two matplotlib Axes, or None, default=None
            Axes to draw on. None creates a new figure.
        line_kwargs : dict or None, default=None
            Style of the lines, passed to ``Axes.plot``.

        Returns
        -------
        display : ThresholdDisplay
            The display, with `axes_` and `figure_` set.

        Raises
        ------
        ValueError
            If the detector rejects `X`, or as in `from_predictions`.
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
        """Draw the trade-off for given scores.

        Parameters
        ----------
        y_true : array-like of shape (n_timestamps,)
            Ground truth, 1 = anomaly and 0 = normal.
        y_score : array-like of shape (n_timestamps,)
            Scores, higher = worse. Rows with NaN are never flagged and are ignored by
            precision and recall.
        times : Index, array-like of datetime64 or None, default=None
            Times of the rows. The observation lasts from the first to the last row plus
            one median step. Anything but ordered times is treated as None.
        threshold : float or None, default=None
            Threshold in use, to be marked.
        ax : array-like of two matplotlib Axes, or None, default=None
            Axes to draw on. None creates a new figure.
        line_kwargs : dict or None, default=None
            Style of the lines, passed to ``Axes.plot``.

        Returns
        -------
        display : ThresholdDisplay
            The display, with `axes_` and `figure_` set.

        Raises
        ------
        ValueError
            If no row with a score is anomalous, the lengths of `y_true`, `y_score` and
            `times` differ, or the number of axes is wrong.
        """
        import pandas as pd

        y_score = np.asarray(unmasked(y_score))
        errors = check_row_values(y_score, y_score.size, "y_score")
        y_true = check_labels(y_true, len(errors))
        scored = ~np.isnan(errors)
        if not y_true[scored].any():
            raise ValueError(
                "y_true contains no anomaly (1) among the rows with a score. Pass rows "
                "with a labelled anomaly."
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
                f"y_score has {len(errors):,} rows, but times has {len(times):,}. Both "
                "must refer to the same rows."
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
        """Draw the figure.

        Parameters
        ----------
        ax : array-like of two matplotlib Axes, or None, default=None
            Axes to draw on. None creates a new figure.
        line_kwargs : dict or None, default=None
            Style of the lines, passed to ``Axes.plot``.

        Returns
        -------
        self : ThresholdDisplay
            The display, with `axes_` and `figure_` set.
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
        lower.set(xlabel="Threshold of the error", ylabel=f"Flagged runs per {unit}")
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
        # On a linear scale, low thresholds with many runs would dominate.
        if (self.alarms > 0).any():
            lower.set_yscale("log", nonpositive="clip")
            lower.set_ylim(bottom=0.5 * self.alarms[self.alarms > 0].min())
            log_ticks(lower.yaxis)
        place_legend(upper)
        return self


def _candidates(ordered):
    """Return the errors to use as thresholds, in ascending order."""
    distinct = np.unique(ordered)
    if len(distinct) <= _MOST:
        return distinct
    last = len(distinct) - 1
    evenly = np.linspace(0, last, _MOST // 2)
    from_the_top = last - np.geomspace(1, last, _MOST // 2)
    rows = np.concatenate([evenly, from_the_top]).round().astype(np.intp)
    return distinct[np.unique(rows)]


def _count_alarms(errors, thresholds):
    """Count the runs of rows with an error above each threshold.

    A run starts where a threshold is below the error of a row, but not below that of
    the previous row.
    """
    errors = np.where(np.isnan(errors), -np.inf, errors)
    before = np.concatenate([[-np.inf], errors[:-1]])
    rises = errors > before
    # Thresholds in [before, error) have a run that starts here.
    first = np.searchsorted(thresholds, before[rises], side="left")
    stop = np.searchsorted(thresholds, errors[rises], side="left")
    changes = np.zeros(len(thresholds) + 1)
    np.add.at(changes, first, 1)
    np.add.at(changes, stop, -1)
    return np.cumsum(changes[:-1])
