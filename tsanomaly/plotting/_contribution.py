# SPDX-License-Identifier: MIT
import numpy as np

from tsanomaly._attribution import channel_errors, occlude
from tsanomaly._inspection import check_detector, errors_and_threshold
from tsanomaly._validation import as_series, check_labels, find_breaks
from tsanomaly.metrics._checks import find_events
from tsanomaly.plotting._common import (
    LABELLED,
    RowAxis,
    check_readings,
    make_axes,
    merge_style,
    place_legend,
    shade,
)
from tsanomaly.plotting._text import label_rows, short_labels_of, use_fonts

__all__ = ["ContributionDisplay"]

# Maximum number of cells per row of the heat map.
_CELLS = 1500

# Range of the colour scale: smaller errors, and errors below the median, have the same
# colour.
_DEPTH = 1e4


class ContributionDisplay:
    """Plot the errors of all channels over time as a heat map.

    If a cell covers several rows, it shows their largest error, so that no peak is
    hidden.

    Create it with `from_estimator` or `from_predictions`. The constructor only stores
    the data.

    Parameters
    ----------
    contributions : DataFrame of shape (n_timestamps, n_channels)
        Error of each channel in each row, non-negative, higher = worse. NaN if there is
        no error.
    target : ndarray of shape (n_timestamps,), dtype=bool, or None, default=None
        Ground truth, True = anomalous. None if unknown.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    axes_ : ndarray of matplotlib Axes
        The heat map, preceded by the labelled events if there is a target.
    mesh_ : matplotlib QuadMesh
        The cells.

    See Also
    --------
    tsanomaly.explain : List anomalous events and their channels in a table.

    Examples
    --------
    >>> import numpy as np
    >>> from tsanomaly.plotting import ContributionDisplay
    >>> errors = np.random.default_rng(0).gamma(1, size=(300, 5))
    >>> errors[100:120, 3] += 50
    >>> display = ContributionDisplay.from_predictions(errors)
    >>> [label.get_text() for label in display.axes_[0].get_yticklabels()][3]
    'channel 3'
    """

    def __init__(self, contributions, target=None):
        self.contributions = contributions
        self.target = target

    @classmethod
    def from_estimator(
        cls, estimator, X, y=None, *, channels=None, ax=None, mesh_kwargs=None
    ):
        """Attribute the errors of a fitted detector to the channels and draw them.

        Parameters
        ----------
        estimator : fitted outlier detector or Pipeline that ends in one
            The detector. Errors are attributed as in :func:`~tsanomaly.explain`:
            exactly if it reconstructs readings, otherwise by occlusion.
        X : array-like of shape (n_timestamps, n_channels)
            Series, rows in time order. The index of a frame is the time axis.
        y : array-like of shape (n_timestamps,) or None, default=None
            Labels, 1 = anomaly and 0 = normal.
        channels : list of str or int, or None, default=None
            Columns to draw, by name or position. None draws all.
        ax : matplotlib Axes, array-like of two, or None, default=None
            Axes to draw on, two if labels are given. None creates a new figure.
        mesh_kwargs : dict or None, default=None
            Passed to ``Axes.pcolormesh``.

        Returns
        -------
        display : ContributionDisplay
            The display, with `axes_` and `figure_` set.

        Raises
        ------
        ValueError
            If the detector rejects `X`, or as in `from_predictions`.
        """
        check_detector(estimator, "estimator")
        readings = check_readings(X, in_order=False)  # errors are in the same order
        if not hasattr(X, "iloc"):
            X = np.asarray(as_series(X))
        rows = np.flatnonzero(~find_breaks(X))
        known = channel_errors(estimator, X, rows, np.ones(len(X), dtype=bool))
        if known is None:
            errors, threshold = errors_and_threshold(estimator, X)
            known = occlude(estimator, X, rows, errors <= threshold)
        errors = readings * np.nan
        errors.iloc[rows] = known
        return cls.from_predictions(
            errors, y, channels=channels, ax=ax, mesh_kwargs=mesh_kwargs
        )

    @classmethod
    def from_predictions(
        cls, errors, y=None, *, channels=None, ax=None, mesh_kwargs=None
    ):
        """Draw given errors.

        Parameters
        ----------
        errors : array-like of shape (n_timestamps, n_channels)
            Errors, non-negative, higher = worse, such as the output of ``transform`` of
            :class:`~tsanomaly.LSTMAutoencoderDetector`. The index of a frame is the
            time axis.
        y : array-like of shape (n_timestamps,) or None, default=None
            Labels, 1 = anomaly and 0 = normal.
        channels : list of str or int, or None, default=None
            Columns to draw, by name or position. None draws all.
        ax : matplotlib Axes, array-like of two, or None, default=None
            Axes to draw on, two if labels are given. None creates a new figure.
        mesh_kwargs : dict or None, default=None
            Passed to ``Axes.pcolormesh``.

        Returns
        -------
        display : ContributionDisplay
            The display, with `axes_` and `figure_` set.

        Raises
        ------
        ValueError
            If an error is negative, a channel is unknown, `y` does not have one label
            per row, or the number of axes is wrong.
        """
        errors = check_readings(errors, channels)
        if (errors < 0).any(axis=None):
            raise ValueError(
                "errors must not be negative. Pass reconstruction errors, not the "
                "output of score_samples."
            )
        target = None if y is None else check_labels(y, len(errors))
        return cls(errors, target).plot(ax, mesh_kwargs=mesh_kwargs)

    def plot(self, ax=None, *, mesh_kwargs=None):
        """Draw the figure.

        Parameters
        ----------
        ax : matplotlib Axes, array-like of two, or None, default=None
            Axes to draw on, two with a target. None creates a new figure.
        mesh_kwargs : dict or None, default=None
            Passed to ``Axes.pcolormesh``.

        Returns
        -------
        self : ContributionDisplay
            The display, with `axes_` and `figure_` set.
        """
        from matplotlib.collections import QuadMesh
        from matplotlib.colors import LogNorm

        n_channels = self.contributions.shape[1]
        height = np.clip(0.22 * n_channels, 1.6, 12.0)
        n_axes = 1 if self.target is None else 2
        heights = [0.3, height][-n_axes:]
        self.axes_ = make_axes(ax, n_axes, heights=heights, height=sum(heights) + 0.9)
        axes = self.axes_[-1]
        self.figure_ = axes.figure
        row_axis = RowAxis(self.contributions.index)
        edges, cells = _cells(row_axis, self.contributions.to_numpy())
        largest, smallest = _scale(cells)
        # Without errors there is no scale.
        norm = LogNorm(smallest, largest) if largest > 0 else None
        style = merge_style(
            {"cmap": "magma_r", "norm": norm, "rasterized": True}, mesh_kwargs, QuadMesh
        )
        # On a logarithmic scale, 0 has no colour.
        cells = np.where(np.isnan(cells), np.nan, np.maximum(cells, smallest))
        rows = np.arange(n_channels + 1) - 0.5
        self.mesh_ = axes.pcolormesh(edges, rows, cells, **style)
        axes.set_facecolor("0.85")  # visible where there is no error
        axes.set_ylim(n_channels - 0.5, -0.5)
        label_rows(
            axes.yaxis,
            short_labels_of(self.contributions.columns),
            fontsize="small" if n_channels <= 20 else "x-small",
        )
        # Next to both axes; otherwise only one of them would become narrower.
        self.figure_.colorbar(
            self.mesh_, ax=self.axes_.tolist(), label="Error (higher = worse)"
        )
        if self.target is not None:
            above = self.axes_[0]
            shade(above, row_axis, find_events(self.target), **LABELLED)
            above.set_yticks([])
            row_axis.format(above, labelled=False)
            place_legend(above)
        row_axis.format(axes, labelled=True)
        for drawn in self.axes_:
            drawn.set_xlim(edges[0], edges[-1])
        use_fonts(self.axes_, [*self.contributions.columns, row_axis.name])
        return self


def _scale(cells):
    """Return the maximum and minimum of the colour scale."""
    known = cells[~np.isnan(cells)]
    if not len(known) or not known.max() > 0:
        return 0.0, 0.0
    largest = known.max()
    smallest = max(np.median(known), largest / _DEPTH)
    return largest, smallest if smallest < largest else largest / _DEPTH


def _cells(row_axis, values):
    """Return the edges of the cells along the time axis, and their largest values."""
    n_rows = len(values)
    size = -(-n_rows // _CELLS)
    first = np.arange(0, n_rows, size)
    last = np.append(first[1:], n_rows) - 1
    largest = np.fmax.reduceat(values, first, axis=0)  # (n_cells, n_channels)
    left, end = row_axis.values[first], row_axis.values[last] + row_axis.step
    # Cells do not extend over gaps, which stay empty.
    gap = np.isin(last, row_axis.gaps)
    edges = np.concatenate([left, end[gap], end[-1:]])
    order = np.argsort(edges[:-1], kind="stable")
    empty = np.full((gap.sum(), values.shape[1]), np.nan)
    cells = np.concatenate([largest, empty])[order]
    return np.append(edges[:-1][order], edges[-1]), cells.T
