# SPDX-License-Identifier: MIT
import numpy as np

from tsanomaly._inspection import errors_and_threshold
from tsanomaly._validation import check_labels
from tsanomaly.metrics._checks import find_events, owners, touched
from tsanomaly.plotting._common import (
    N_PANELS,
    RowAxis,
    check_readings,
    check_row_values,
    draw_line,
    finish_panels,
    log_ticks,
    make_panels,
    merge_style,
    place_legend,
    shade,
)
from tsanomaly.plotting._text import label_channel

__all__ = ["AnomalyDisplay"]


def _outcome(red, green, blue, hatch=None):
    return {
        "facecolor": (red, green, blue, 0.30),
        "edgecolor": (red, green, blue, 0.90),
        "linewidth": 0.8,
        "hatch": hatch,
        "zorder": 0,
    }


# Distinguished by hatches as well as colours.
_STYLES = {
    "hit": _outcome(0.0, 0.45, 0.70),
    "miss": _outcome(0.84, 0.37, 0.0, "////"),
    "false alarm": _outcome(0.40, 0.40, 0.40, "...."),
    "outside label": _outcome(0.80, 0.47, 0.65, "xxxx"),
    "flagged": _outcome(0.84, 0.37, 0.0),
}


class AnomalyDisplay:
    """Plot readings, scores, threshold and alarms over a common time axis.

    With labels, four outcomes are distinguished by colour and hatching, each in its own
    row at the bottom: a *hit* is a labelled event with a flagged row, a *miss* is one
    without, a *false alarm* is a run of flagged rows that contains no labelled row, and
    *outside label* are the unlabelled rows of other alarms.

    Create it with `from_estimator` or `from_predictions`. The constructor only stores
    the data.

    Parameters
    ----------
    readings : DataFrame of shape (n_timestamps, n_channels)
        Channels to draw.
    scores : ndarray of shape (n_timestamps,)
        Scores, higher = worse.
    threshold : float
        Rows with a higher score are flagged.
    flagged : ndarray of shape (n_timestamps,), dtype=bool
        Flagged rows.
    target : ndarray of shape (n_timestamps,), dtype=bool, or None, default=None
        Ground truth, True = anomalous. None if unknown.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    axes_ : ndarray of shape (n_channels + 2,) of matplotlib Axes
        One per channel, one for the scores and one for the events.
    events_ : dict of str to tuple of two ndarray of int
        First and last rows, both inclusive, of 'hit', 'miss', 'false alarm' and
        'outside label', or of 'flagged' without labels.

    See Also
    --------
    ReconstructionDisplay : Plot readings and expected readings.
    ContributionDisplay : Plot the errors of all channels as a heat map.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.ensemble import IsolationForest
    >>> from tsanomaly.plotting import AnomalyDisplay
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> forest = IsolationForest(random_state=0).fit(X)
    >>> display = AnomalyDisplay.from_estimator(forest, X)
    >>> [axes.get_ylabel() for axes in display.axes_[:3]]
    ['channel 0', 'channel 1', 'score']
    """

    def __init__(self, readings, scores, threshold, flagged, target=None):
        self.readings = readings
        self.scores = scores
        self.threshold = threshold
        self.flagged = flagged
        self.target = target

    @classmethod
    def from_estimator(
        cls, estimator, X, y=None, *, channels=None, ax=None, line_kwargs=None
    ):
        """Score a series with a fitted detector and draw the result.

        Parameters
        ----------
        estimator : fitted outlier detector or Pipeline that ends in one
            The detector. It must have `decision_function`.
        X : array-like of shape (n_timestamps, n_channels)
            Series, rows in time order. The index of a frame is the time axis.
        y : array-like of shape (n_timestamps,) or None, default=None
            Labels, 1 = anomaly and 0 = normal.
        channels : list of str or int, or None, default=None
            Columns to draw, by name or position. None draws the first 20, or all if
            `ax` is given.
        ax : array-like of n_channels + 2 matplotlib Axes, or None, default=None
            Axes to draw on. None creates a new figure.
        line_kwargs : dict or None, default=None
            Style of the lines of readings and scores, passed to ``Axes.plot``.

        Returns
        -------
        display : AnomalyDisplay
            The display, with `axes_` and `figure_` set.

        Raises
        ------
        ValueError
            If the detector rejects `X`, a channel is unknown, `y` does not have one
            label per row, or the number of axes is wrong.

        Warns
        -----
        UserWarning
            If `X` has more than 20 channels and neither `channels` nor `ax` is given.
        """
        scores, threshold = errors_and_threshold(estimator, X)
        return cls.from_predictions(
            X,
            scores,
            threshold,
            scores > threshold,
            y,
            channels=channels,
            ax=ax,
            line_kwargs=line_kwargs,
        )

    @classmethod
    def from_predictions(
        cls,
        X,
        scores,
        threshold,
        flagged,
        y=None,
        *,
        channels=None,
        ax=None,
        line_kwargs=None,
    ):
        """Draw given scores and alarms.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Series, rows in time order. The index of a frame is the time axis.
        scores : array-like of shape (n_timestamps,)
            Scores, higher = worse.
        threshold : float
            Threshold of the scores.
        flagged : array-like of bool of shape (n_timestamps,)
            Flagged rows.
        y : array-like of shape (n_timestamps,) or None, default=None
            Labels, 1 = anomaly and 0 = normal.
        channels : list of str or int, or None, default=None
            Columns to draw, by name or position. None draws the first 20, or all if
            `ax` is given.
        ax : array-like of n_channels + 2 matplotlib Axes, or None, default=None
            Axes to draw on. None creates a new figure.
        line_kwargs : dict or None, default=None
            Style of the lines of readings and scores, passed to ``Axes.plot``.

        Returns
        -------
        display : AnomalyDisplay
            The display, with `axes_` and `figure_` set.

        Raises
        ------
        ValueError
            If the length of `scores`, `flagged` or `y` differs from that of `X`, a
            channel is unknown, or the number of axes is wrong.

        Warns
        -----
        UserWarning
            If `X` has more than 20 channels and neither `channels` nor `ax` is given.
        """
        most = N_PANELS if ax is None else None
        readings = check_readings(X, channels, most=most)
        n_timestamps = len(readings)
        display = cls(
            readings,
            check_row_values(scores, n_timestamps, "scores"),
            float(threshold),
            check_row_values(flagged, n_timestamps, "flagged", bool),
            None if y is None else check_labels(y, n_timestamps),
        )
        return display.plot(ax, line_kwargs=line_kwargs)

    def plot(self, ax=None, *, line_kwargs=None):
        """Draw the figure.

        Parameters
        ----------
        ax : array-like of n_channels + 2 matplotlib Axes, or None, default=None
            Axes to draw on. None creates a new figure.
        line_kwargs : dict or None, default=None
            Style of the lines of readings and scores, passed to ``Axes.plot``.

        Returns
        -------
        self : AnomalyDisplay
            The display, with `axes_` and `figure_` set.
        """
        from matplotlib.lines import Line2D

        style = merge_style({"color": "0.2", "linewidth": 0.8}, line_kwargs, Line2D)
        n_channels = self.readings.shape[1]
        self.events_ = self._events()
        heights = [1.0] * n_channels + [1.4, 0.15 + 0.25 * len(self.events_)]
        self.axes_ = make_panels(
            ax, n_channels + 2, heights=heights, height=1.1 * sum(heights) + 0.6
        )
        self.figure_ = self.axes_[0].figure
        row_axis = RowAxis(self.readings.index)
        *upper, below, lowest = self.axes_
        for axes, (name, values) in zip(upper, self.readings.items(), strict=True):
            draw_line(axes, row_axis, values.to_numpy(), **style)
            label_channel(axes, name, self.readings.attrs.get("units"))
        draw_line(below, row_axis, self.scores, **style)
        below.axhline(
            self.threshold, color="#D55E00", linestyle="--", label="threshold"
        )
        label_channel(below, "score")
        if (self.scores[np.isfinite(self.scores)] > 0).all() and self.threshold > 0:
            below.set_yscale("log")
            log_ticks(below.yaxis)
        for place, (outcome, ranges) in enumerate(self.events_.items()):
            for axes in (*upper, below):
                label = outcome if axes is self.axes_[0] else None
                shade(axes, row_axis, ranges, label=label, **_STYLES[outcome])
            sides = {"bottom": place - 0.4, "top": place + 0.4}
            shade(lowest, row_axis, ranges, **sides, **_STYLES[outcome])
        lowest.set_ylim(len(self.events_) - 0.4, -0.6)  # first one on top
        lowest.set_yticks(
            range(len(self.events_)),
            [f"{outcome}: {len(r[0]):,}" for outcome, r in self.events_.items()],
            fontsize="small",
        )
        for axes in self.axes_:
            row_axis.format(axes, labelled=axes is lowest)
        place_legend(self.axes_[0], below)
        finish_panels(self.axes_, [*self.readings.columns, row_axis.name])
        return self

    def _events(self):
        """Return the first and last rows of each outcome."""
        alarms = find_events(self.flagged)
        if self.target is None:
            return {"flagged": alarms}
        events = find_events(self.target)
        overlaps = find_events(self.flagged & self.target)
        found, justified = touched(events, overlaps), touched(alarms, overlaps)
        # A run of false rows starts with its alarm, or right after a labelled event.
        false_rows = find_events(self.flagged & ~self.target)
        beside = justified[owners(alarms, false_rows)]
        return {
            "hit": tuple(rows[found] for rows in events),
            "miss": tuple(rows[~found] for rows in events),
            "false alarm": tuple(rows[~justified] for rows in alarms),
            "outside label": tuple(rows[beside] for rows in false_rows),
        }
