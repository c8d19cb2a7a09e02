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

# Cells in a row of the heat map, at most.
_CELLS = 1500

# Errors smaller than the largest by more than this factor look alike, and so do all
# below the median.
_DEPTH = 1e4


class ContributionDisplay:
    """Which channels the errors come from, as a heat map over time.

    Where rows are more than pixels, a cell shows the largest contribution of its rows,
    so that no peak is hidden.

    Made by `from_estimator` or `from_predictions`; the constructor stores what is
    drawn.

    Parameters
    ----------
    contributions : DataFrame of shape (n_timestamps, n_channels)
        Error of each channel in each row, non-negative, higher = worse; NaN where there
        is none.
    target : ndarray of shape (n_timestamps,), dtype=bool, or None, default=None
        True where a row is anomalous, if that is known.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    axes_ : ndarray of matplotlib Axes
        The heat map; with a target, the labelled events above it come first.
    mesh_ : matplotlib QuadMesh
        The cells.

    See Also
    --------
    tsanomaly.explain : The channels of abnormal ranges, as a table.

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
        """Split the errors of a fitted detector among the channels, and draw them.

        Parameters
        ----------
        estimator : fitted outlier detector or Pipeline that ends in one
            The errors are split as by :func:`~tsanomaly.explain`: exactly if it
            reconstructs readings, by occlusion otherwise.
        X : array-like of shape (n_timestamps, n_channels)
            A series, rows in time order. The index of a frame is the time axis.
        y : array-like of shape (n_timestamps,) or None, default=None
            Labels, 1 = anomaly and 0 = normal.
        channels : list of str or int, or None, default=None
            Columns to draw, by name or position; None draws all.
        ax : matplotlib Axes, array-like of two, or None, default=None
            Where to draw, two if labels are given; None makes a new figure.
        mesh_kwargs : dict or None, default=None
            Passed to ``Axes.pcolormesh``.

        Returns
        -------
        display : ContributionDisplay
            With `axes_` and `figure_`.

        Raises
        ------
        ValueError
            If `X` does not suit the detector; and as in `from_predictions`.
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
        """Draw errors that are there already.

        Parameters
        ----------
        errors : array-like of shape (n_timestamps, n_channels)
            Non-negative, higher = worse, such as from ``transform`` of
            :class:`~tsanomaly.LSTMAutoencoderDetector`. The index of a frame is the
            time axis.
        y : array-like of shape (n_timestamps,) or None, default=None
            Labels, 1 = anomaly and 0 = normal.
        channels : list of str or int, or None, default=None
            Columns to draw, by name or position; None draws all.
        ax : matplotlib Axes, array-like of two, or None, default=None
            Where to draw, two if labels are given; None makes a new figure.
        mesh_kwargs : dict or None, default=None
            Passed to ``Axes.pcolormesh``.

        Returns
        -------
        display : ContributionDisplay
            With `axes_` and `figure_`.

        Raises
        ------
        ValueError
            If an error is negative, a channel is unknown, `y` does not hold a label
            for every row, or another number of axes is given.
        """
        errors = check_readings(errors, channels)
        if (errors < 0).any(axis=None):
            raise ValueError(
                "errors must not be negative. Pass reconstruction errors, not what "
                "score_samples returns."
            )
        target = None if y is None else check_labels(y, len(errors))
        return cls(errors, target).plot(ax, mesh_kwargs=mesh_kwargs)

    def plot(self, ax=None, *, mesh_kwargs=None):
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, array-like of two, or None, default=None
            Where to draw, two if there is a target; None makes a new figure.
        mesh_kwargs : dict or None, default=None
            Passed to ``Axes.pcolormesh``.

        Returns
        -------
        self : ContributionDisplay
            With `axes_` and `figure_`.
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
        # Without any error there is no scale either.
        norm = LogNorm(smallest, largest) if largest > 0 else None
        style = merge_style(
            {"cmap": "magma_r", "norm": norm, "rasterized": True}, mesh_kwargs, QuadMesh
        )
        # On a logarithmic scale 0 has no colour.
        cells = np.where(np.isnan(cells), np.nan, np.maximum(cells, smallest))
        rows = np.arange(n_channels + 1) - 0.5
        self.mesh_ = axes.pcolormesh(edges, rows, cells, **style)
        axes.set_facecolor("0.85")  # where there is no error
        axes.set_ylim(n_channels - 0.5, -0.5)
        label_rows(
            axes.yaxis,
            short_labels_of(self.contributions.columns),
            fontsize="small" if n_channels <= 20 else "x-small",
        )
        # Beside both axes, or else only one of them would become narrower.
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
    """Ends of the colour scale."""
    known = cells[~np.isnan(cells)]
    if not len(known) or not known.max() > 0:
        return 0.0, 0.0
    largest = known.max()
    smallest = max(np.median(known), largest / _DEPTH)
    return largest, smallest if smallest < largest else largest / _DEPTH


def _cells(row_axis, values):
    """Edges of the cells along the time axis, and the largest value in each."""
    n_rows = len(values)
    size = -(-n_rows // _CELLS)
    first = np.arange(0, n_rows, size)
    last = np.append(first[1:], n_rows) - 1
    largest = np.fmax.reduceat(values, first, axis=0)  # (n_cells, n_channels)
    left, end = row_axis.values[first], row_axis.values[last] + row_axis.step
    # A cell does not reach over a gap: what is not there stays empty.
    gap = np.isin(last, row_axis.gaps)
    edges = np.concatenate([left, end[gap], end[-1:]])
    order = np.argsort(edges[:-1], kind="stable")
    empty = np.full((gap.sum(), values.shape[1]), np.nan)
    cells = np.concatenate([largest, empty])[order]
    return np.append(edges[:-1][order], edges[-1]), cells.T
