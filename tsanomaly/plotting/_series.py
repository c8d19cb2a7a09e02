# SPDX-License-Identifier: MIT
from tsanomaly._validation import check_labels
from tsanomaly.metrics._checks import find_events
from tsanomaly.plotting._common import (
    COLOURS,
    LABELLED,
    N_PANELS,
    RowAxis,
    check_readings,
    draw_line,
    finish_panels,
    make_panels,
    merge_style,
    place_legend,
    shade,
)
from tsanomaly.plotting._text import label_channel

__all__ = ["SeriesDisplay"]


class SeriesDisplay:
    """Plot all channels of a series in panels over a common time axis.

    Long series are reduced to the smallest and largest reading in each of 4,000 blocks
    of rows, so that no spike is hidden.

    Create it with `from_series`. The constructor only stores the data.

    Parameters
    ----------
    readings : DataFrame of shape (n_timestamps, n_channels)
        Channels to draw.
    target : ndarray of shape (n_timestamps,), dtype=bool, or None, default=None
        Ground truth, True = anomalous. None if unknown.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    axes_ : ndarray of shape (n_channels,) of matplotlib Axes
        One per channel.
    lines_ : list of matplotlib Line2D
        One per channel.

    See Also
    --------
    AnomalyDisplay : Plot readings, scores, threshold and alarms.

    Examples
    --------
    >>> from tsanomaly.datasets import load_sample_plant
    >>> from tsanomaly.plotting import SeriesDisplay
    >>> plant = load_sample_plant()
    >>> display = SeriesDisplay.from_series(plant.frame, plant.target)
    >>> len(display.axes_)
    4
    """

    def __init__(self, readings, target=None):
        self.readings = readings
        self.target = target

    @classmethod
    def from_series(cls, X, y=None, *, channels=None, ax=None, line_kwargs=None):
        """Draw a series and shade its anomalies.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Series, rows in time order. The index of a frame is the time axis.
        y : array-like of shape (n_timestamps,) or None, default=None
            Labels, 1 = anomaly and 0 = normal.
        channels : list of str or int, or None, default=None
            Columns to draw, by name or position. None draws the first 20, or all if
            `ax` is given.
        ax : array-like of n_channels matplotlib Axes, or None, default=None
            Axes to draw on. None creates a new figure.
        line_kwargs : dict or None, default=None
            Style of the lines, passed to ``Axes.plot``.

        Returns
        -------
        display : SeriesDisplay
            The display, with `axes_` and `figure_` set.

        Raises
        ------
        ValueError
            If `X` is not a table of numbers, a channel is unknown, `y` does not have
            one label per row, or the number of axes is wrong.

        Warns
        -----
        UserWarning
            If `X` has more than 20 channels and neither `channels` nor `ax` is given.
        """
        most = N_PANELS if ax is None else None
        readings = check_readings(X, channels, most=most)
        target = None if y is None else check_labels(y, len(readings))
        return cls(readings, target).plot(ax, line_kwargs=line_kwargs)

    def plot(self, ax=None, *, line_kwargs=None):
        """Draw the figure.

        Parameters
        ----------
        ax : array-like of n_channels matplotlib Axes, or None, default=None
            Axes to draw on. None creates a new figure.
        line_kwargs : dict or None, default=None
            Style of the lines, passed to ``Axes.plot``.

        Returns
        -------
        self : SeriesDisplay
            The display, with `axes_` and `figure_` set.
        """
        from matplotlib.lines import Line2D

        style = merge_style(
            {"color": COLOURS[0], "linewidth": 0.8}, line_kwargs, Line2D
        )
        row_axis = RowAxis(self.readings.index)
        self.axes_ = make_panels(ax, self.readings.shape[1])
        self.figure_ = self.axes_[0].figure
        self.lines_ = []
        for axes, (name, values) in zip(self.axes_, self.readings.items(), strict=True):
            line = draw_line(axes, row_axis, values.to_numpy(), **style)
            self.lines_.append(line)
            label_channel(axes, name, self.readings.attrs.get("units"))
            if self.target is not None:
                shade(axes, row_axis, find_events(self.target), **LABELLED)
            row_axis.format(axes, labelled=axes is self.axes_[-1])
        place_legend(self.axes_[0])
        finish_panels(self.axes_, [*self.readings.columns, row_axis.name])
        return self
