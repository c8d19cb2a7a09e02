# SPDX-License-Identifier: MIT
import numpy as np

from tsanomaly._attribution import expected_readings
from tsanomaly._validation import as_series, check_labels, find_breaks
from tsanomaly.metrics._checks import find_events
from tsanomaly.plotting._common import (
    COLOURS,
    LABELLED,
    N_PANELS,
    RowAxis,
    check_readings,
    choose,
    draw_line,
    finish_panels,
    make_panels,
    merge_style,
    place_legend,
    shade,
)
from tsanomaly.plotting._text import label_channel

__all__ = ["ReconstructionDisplay"]


class ReconstructionDisplay:
    """Plot readings and expected readings of each channel.

    Create it with `from_estimator` or `from_predictions`. The constructor only stores
    the data.

    Parameters
    ----------
    readings : DataFrame of shape (n_timestamps, n_channels)
        Channels to draw.
    expected : ndarray of shape (n_timestamps, n_channels)
        Their reconstruction, in the same units. NaN if there is none.
    target : ndarray of shape (n_timestamps,), dtype=bool, or None, default=None
        Ground truth, True = anomalous. None if unknown.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    axes_ : ndarray of shape (n_channels,) of matplotlib Axes
        One per channel.

    See Also
    --------
    tsanomaly.explain : List anomalous events and their channels in a table.

    Examples
    --------
    >>> from sklearn.decomposition import PCA
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from tsanomaly import ReconstructionError, ReconstructionThreshold
    >>> from tsanomaly.datasets import load_sample_plant
    >>> from tsanomaly.plotting import ReconstructionDisplay
    >>> X = load_sample_plant().frame
    >>> detector = make_pipeline(
    ...     StandardScaler(), ReconstructionError(PCA(2)), ReconstructionThreshold()
    ... ).fit(X)
    >>> display = ReconstructionDisplay.from_estimator(detector, X[:500])
    >>> display.expected.shape
    (500, 4)
    """

    def __init__(self, readings, expected, target=None):
        self.readings = readings
        self.expected = expected
        self.target = target

    @classmethod
    def from_estimator(
        cls, estimator, X, y=None, *, channels=None, ax=None, line_kwargs=None
    ):
        """Reconstruct a series with a fitted detector and draw both.

        Parameters
        ----------
        estimator : fitted estimator
            A detector with `reconstruct`, such as
            :class:`~tsanomaly.LSTMAutoencoderDetector`, or a pipeline with one or with
            :class:`~tsanomaly.ReconstructionError`. Scalers before it are inverted.
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
        display : ReconstructionDisplay
            The display, with `axes_` and `figure_` set.

        Raises
        ------
        ValueError
            If the estimator does not reconstruct readings or the steps before it cannot
            be inverted, or as in `from_predictions`.

        Warns
        -----
        UserWarning
            If `X` has more than 20 channels and neither `channels` nor `ax` is given.
        """
        if not hasattr(X, "iloc"):
            X = np.asarray(as_series(X))
        rows = np.flatnonzero(~find_breaks(X))
        known = expected_readings(estimator, X, rows)
        if known is None:
            raise ValueError(
                f"{estimator!r} does not reconstruct readings. Pass an "
                "LSTMAutoencoderDetector, or a pipeline with one or with a "
                "ReconstructionError after steps that can be inverted."
            )
        expected = np.full(X.shape, np.nan)
        expected[rows] = known
        return cls.from_predictions(
            X, expected, y, channels=channels, ax=ax, line_kwargs=line_kwargs
        )

    @classmethod
    def from_predictions(
        cls, X, expected, y=None, *, channels=None, ax=None, line_kwargs=None
    ):
        """Draw a given reconstruction.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Series, rows in time order. The index of a frame is the time axis.
        expected : array-like of shape (n_timestamps, n_channels)
            Reconstruction of all channels of `X`, in the same units.
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
        display : ReconstructionDisplay
            The display, with `axes_` and `figure_` set.

        Raises
        ------
        ValueError
            If the shape of `expected` or `y` does not match `X`, a channel is unknown,
            or the number of axes is wrong.

        Warns
        -----
        UserWarning
            If `X` has more than 20 channels and neither `channels` nor `ax` is given.
        """
        readings = check_readings(X)
        expected = np.asarray(expected, dtype=np.float64)
        if expected.shape != readings.shape:
            raise ValueError(
                f"expected must have the shape of X, {readings.shape}, got "
                f"{expected.shape}."
            )
        most = N_PANELS if ax is None else None
        positions = choose(list(readings.columns), channels, most)
        target = None if y is None else check_labels(y, len(readings))
        display = cls(readings.iloc[:, positions], expected[:, positions], target)
        return display.plot(ax, line_kwargs=line_kwargs)

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
        self : ReconstructionDisplay
            The display, with `axes_` and `figure_` set.
        """
        from matplotlib.lines import Line2D

        n_channels = self.readings.shape[1]
        self.axes_ = make_panels(ax, n_channels, height=1.4 * n_channels + 0.8)
        self.figure_ = self.axes_[0].figure
        row_axis = RowAxis(self.readings.index)
        for axes, (name, values), expected in zip(
            self.axes_, self.readings.items(), self.expected.T, strict=True
        ):
            for series, defaults in (
                (values.to_numpy(), {"color": "0.2", "label": "reading"}),
                (
                    expected,
                    {"color": COLOURS[1], "linestyle": "--", "label": "expected"},
                ),
            ):
                style = merge_style({"linewidth": 1.0, **defaults}, line_kwargs, Line2D)
                draw_line(axes, row_axis, series, **style)
            label_channel(axes, name, self.readings.attrs.get("units"))
            if self.target is not None:
                shade(axes, row_axis, find_events(self.target), **LABELLED)
            row_axis.format(axes, labelled=axes is self.axes_[-1])
        place_legend(self.axes_[0])
        finish_panels(self.axes_, [*self.readings.columns, row_axis.name])
        return self
