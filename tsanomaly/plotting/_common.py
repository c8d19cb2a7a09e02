# SPDX-License-Identifier: MIT
"""Shared parts of the Displays: channels, time axes, long lines, shaded ranges."""

import warnings
from numbers import Integral

import numpy as np

from tsanomaly._parameter_error import Parameter, ParameterWarning
from tsanomaly._time_order import warn_if_unordered
from tsanomaly._validation import as_series, check_columns, unmasked
from tsanomaly.plotting._text import PLAIN, drawn, use_fonts

__all__ = [
    "ABOVE",
    "BLOCKS",
    "COLOURS",
    "LABELLED",
    "LINES",
    "N_PANELS",
    "RowAxis",
    "check_readings",
    "check_row_values",
    "choose",
    "decimate",
    "draw_line",
    "finish_panels",
    "log_ticks",
    "make_axes",
    "make_panels",
    "merge_style",
    "place_legend",
    "shade",
]

# Number of blocks into which the rows of a line are divided, to draw the smallest and
# the largest value of each: twice the pixels of a wide figure at 200 dots per inch.
BLOCKS = 4000

# Maximum number of channels in figures with one panel each, unless the user chooses
# channels. More do not fit on a page, and each takes a twentieth of a second.
N_PANELS = 20

# A gap is a time step longer than this many median steps.
_GAP = 10

# The colours of Okabe and Ito, which colour-blind people can distinguish.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")

# Distinguishable without colour.
LINES = ("-", "--", "-.", ":")

# A legend above the axes, where it hides nothing.
ABOVE = {
    "loc": "lower left",
    "bbox_to_anchor": (0.0, 1.0),
    "frameon": False,
    "borderaxespad": 0.2,
    "fontsize": "small",
}

# How labelled anomalies are shaded.
LABELLED = {
    "facecolor": (0.90, 0.62, 0.0, 0.30),
    "edgecolor": (0.90, 0.62, 0.0, 0.80),
    "linewidth": 0.8,
    "zorder": 0,
    "label": "labelled anomaly",
}


def check_readings(X, channels=None, *, most=None, in_order=True):
    """Convert a series to a frame of the channels to draw.

    Parameters
    ----------
    X : array-like of shape (n_timestamps, n_channels)
        A series, rows in time order.
    channels : list of str or int, or None, default=None
        Columns, by name or position; None takes all.
    most : int or None, default=None
        As in `choose`.
    in_order : bool, default=True
        Whether to warn if the index says that rows are not in time order.

    Returns
    -------
    readings : DataFrame of shape (n_timestamps, n_chosen)
        Numbers, in the order of `channels`.

    Raises
    ------
    ValueError
        If `X` is not a table of numbers, is empty, or lacks a channel.
    """
    import pandas as pd

    if not isinstance(X, pd.DataFrame):
        X = np.asarray(as_series(X))
        if X.ndim != 2:
            raise ValueError(
                "X must have two dimensions, (n_timestamps, n_channels), got an array "
                f"of shape {X.shape}. Reshape a single channel with X.reshape(-1, 1)."
            )
        X = pd.DataFrame(X)
    readings = X.iloc[:, choose(list(X.columns), channels, most)]
    check_columns(readings, "A Display")
    if not readings.size:
        raise ValueError(f"X has no readings to draw, its shape is {X.shape}.")
    if in_order:
        warn_if_unordered(readings)
    return readings.astype(np.float64)


def choose(names, channels, most=None):
    """Return the positions of channels that are given by name or position.

    Parameters
    ----------
    names : list
        Names of all channels.
    channels : list of str or int, or None
        Channels to choose; None takes all.
    most : int or None, default=None
        Maximum number to take if `channels` is None; None takes all.

    Returns
    -------
    positions : list of int

    Raises
    ------
    ValueError
        If a channel is unknown, or `channels` is a single name.

    Warns
    -----
    ParameterWarning
        If there are more channels than `most`.
    """
    if channels is None:
        if most is None or len(names) <= most:
            return list(range(len(names)))
        warning = ParameterWarning(
            f"Only the first {most} of {len(names):,} channels are drawn. Choose those "
            "to draw with ",
            Parameter("channels"),
            ".",
        )
        warnings.warn(warning, stacklevel=4)
        return list(range(most))
    if isinstance(channels, (str, Integral)):
        raise ValueError(
            f"channels must be a list of names or positions, got {channels!r}. Write "
            f"channels=[{channels!r}]."
        )
    positions = []
    for channel in channels:
        if channel in names:
            positions.append(names.index(channel))
        elif isinstance(channel, Integral) and -len(names) <= channel < len(names):
            positions.append(int(channel) % len(names))
        else:
            raise ValueError(
                f"There is no channel {channel!r}. X has {len(names)} columns, "
                f"{', '.join(map(repr, names[:10]))}{' …' * (len(names) > 10)}; name "
                "them, or give their positions."
            )
    return positions


def check_row_values(values, n_timestamps, name, dtype=np.float64):
    """Validate an array with one value per row.

    Parameters
    ----------
    values : array-like of shape (n_timestamps,)
        The array.
    n_timestamps : int
        Number of rows of the series.
    name : str
        Name of the parameter, for the message.
    dtype : type, default=numpy.float64
        Type of the result.

    Returns
    -------
    values : ndarray of shape (n_timestamps,)

    Raises
    ------
    ValueError
        If the shape is wrong.
    """
    values = np.asarray(unmasked(values))
    if values.shape != (n_timestamps,):
        raise ValueError(
            f"{name} must have one value for each of the {n_timestamps:,} rows of X, "
            f"got an array of shape {values.shape}."
        )
    return values.astype(dtype)


class RowAxis:
    """Positions of the rows of a series on the horizontal axis.

    These are the times or numbers of the index if they are in order, and row numbers
    otherwise.

    Parameters
    ----------
    index : Index of length n_timestamps
        Index of the frame.

    Attributes
    ----------
    name : object
        Label of the axis.
    values : ndarray of shape (n_timestamps,), dtype=float64
        Positions of the rows. Times are in days, as in matplotlib.
    step : float
        Median distance between rows.
    gaps : ndarray of int
        Rows whose next row is more than ten steps away.
    """

    def __init__(self, index):
        import pandas as pd

        self._is_time = isinstance(index, pd.DatetimeIndex)
        self._zone, self.name = None, index.name
        is_number = index.dtype.kind in "iuf"
        if not (self._is_time or is_number) or not index.is_monotonic_increasing:
            self._is_time = False
            self.values = np.arange(len(index), dtype=np.float64)
        elif is_number:
            self.values = index.to_numpy(dtype=np.float64)
        else:
            from matplotlib.dates import date2num

            self._zone = index.tz
            utc = index if index.tz is None else index.tz_convert(None)
            self.values = date2num(utc.to_numpy())
        if self._is_time or is_number:
            self.name = self.name or ("Time" if self._is_time else "Row")
        else:
            self.name = "Row"
        steps = np.diff(self.values)
        self.step = float(np.median(steps)) if len(steps) else 1.0
        self.gaps = np.flatnonzero((steps > _GAP * self.step) & (self.step > 0))

    def format(self, axes, *, labelled):
        """Set ticks and limits of the horizontal axis.

        Parameters
        ----------
        axes : matplotlib Axes
            The axes.
        labelled : bool
            Whether to label the horizontal axis.
        """
        if self._is_time:
            from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

            axes.xaxis_date(self._zone)
            locator = AutoDateLocator(tz=self._zone, minticks=4, maxticks=9)
            axes.xaxis.set_major_locator(locator)
            axes.xaxis.set_major_formatter(ConciseDateFormatter(locator, self._zone))
        first, last = self.values[0], self.values[-1]
        if last > first:
            margin = 0.01 * (last - first)
            limits = first - margin, last + margin
            # With a shared axis, each call loops over all axes.
            if axes.get_xlim() != limits:
                axes.set_xlim(limits)
        if labelled:
            zone = f" ({self._zone})" if self._zone is not None else ""
            axes.set_xlabel(f"{drawn(self.name)}{zone}", **PLAIN)


def decimate(values, n_blocks=BLOCKS):
    """Choose rows of a long series whose line looks like that of all rows.

    These are the rows with the smallest and the largest value of each block. If a pixel
    is wider than a block, the line covers the same pixels, and no spike is lost.

    Parameters
    ----------
    values : ndarray of shape (n_timestamps,)
        Readings. Values that are not finite are gaps; a block without any reading stays
        a gap.
    n_blocks : int, default=BLOCKS
        Maximum number of blocks.

    Returns
    -------
    rows : ndarray of int
        Rows in increasing order; all rows if the series is short.
    """
    n_rows = len(values)
    if n_rows <= 2 * n_blocks:
        return np.arange(n_rows)
    size = -(-n_rows // n_blocks)
    first = np.arange(0, n_rows, size)
    padded = np.full(len(first) * size, np.nan)
    padded[:n_rows] = values
    blocks = padded.reshape(-1, size)
    present = np.isfinite(blocks)
    lowest = np.where(present, blocks, np.inf).argmin(axis=1)
    highest = np.where(present, blocks, -np.inf).argmax(axis=1)
    ends = [0, n_rows - 1]
    return np.unique(np.concatenate([first + lowest, first + highest, ends]))


def draw_line(axes, row_axis, values, **style):
    """Draw a series as a line, with dots for single readings between gaps.

    A long series is decimated. The line is broken at missing readings and at gaps in
    time.

    Parameters
    ----------
    axes : matplotlib Axes
        Axes to draw on.
    row_axis : RowAxis
        Positions of the rows.
    values : ndarray of shape (n_timestamps,)
        Readings.
    **style
        Passed to ``Axes.plot``.

    Returns
    -------
    line : matplotlib Line2D
    """
    # If there are more gaps than blocks, they are narrower than a pixel.
    gaps = row_axis.gaps if len(row_axis.gaps) <= BLOCKS else row_axis.gaps[:0]
    rows = np.union1d(decimate(values), [gaps, gaps + 1])
    x, y = row_axis.values[rows], values[rows]
    after = np.searchsorted(rows, gaps) + 1
    x, y = np.insert(x, after, x[after]), np.insert(y, after, np.nan)
    (line,) = axes.plot(x, y, **style)
    absent = np.concatenate([[True], ~np.isfinite(y), [True]])
    alone = ~absent[1:-1] & absent[:-2] & absent[2:]
    if alone.any():  # a line needs two points
        axes.plot(x[alone], y[alone], ".", color=line.get_color(), markersize=3)
    return line


def shade(axes, row_axis, ranges, *, bottom=None, top=None, **style):
    """Shade ranges of rows, over the whole height of the axes or a part of it.

    Parameters
    ----------
    axes : matplotlib Axes
        Axes to draw on.
    row_axis : RowAxis
        Positions of the rows.
    ranges : tuple of two ndarray of int
        First and last rows, both included.
    bottom, top : float or None, default=None
        Limits in units of the vertical axis. None shades from edge to edge.
    **style
        Passed to ``PathPatch``, including `facecolor` and `edgecolor`.

    Returns
    -------
    ranges : matplotlib PathPatch
        One rectangle per range. Its edge makes short ranges visible.
    """
    from matplotlib.patches import PathPatch
    from matplotlib.path import Path

    left, right = (row_axis.values[rows] for rows in ranges)
    transform = axes.transData if bottom is not None else axes.get_xaxis_transform()
    low, high = (0.0, 1.0) if bottom is None else (bottom, top)
    x = np.stack([left, left, right, right, left], axis=1)
    y = np.broadcast_to([low, high, high, low, low], x.shape)
    corners = np.stack([x, y], axis=2).reshape(-1, 2)  # (5 * n_ranges, 2)
    codes = [Path.MOVETO, *[Path.LINETO] * 3, Path.CLOSEPOLY] * len(x)
    # A single path, because thousands of patches with hatches take half a minute.
    patch = PathPatch(Path(corners, codes), transform=transform, **style)
    # Not add_patch, so that ranges do not change the limits that lines set.
    return axes.add_artist(patch)


def make_axes(
    ax,
    n_axes,
    *,
    heights=None,
    width=11.0,
    height=None,
    sharex=True,
    layout="constrained",
):
    """Return a column of axes: those given, or those of a new figure.

    Parameters
    ----------
    ax : matplotlib Axes, array-like of them or None
        Axes to draw on, top to bottom. None creates a new figure.
    n_axes : int
        Number of axes.
    heights : list of float or None, default=None
        Relative heights.
    width, height : float, default=11.0, None
        Size of a new figure, in inches. None is 1.1 per axes.
    sharex : bool, default=True
        Whether axes of a new figure share the horizontal axis.
    layout : str or LayoutEngine, default='constrained'
        Layout of a new figure.

    Returns
    -------
    axes : ndarray of shape (n_axes,) of matplotlib Axes

    Raises
    ------
    ValueError
        If another number of axes is given.
    """
    if ax is None:
        import matplotlib.pyplot as plt

        _, axes = plt.subplots(
            n_axes,
            squeeze=False,
            sharex=sharex,
            figsize=(width, height or max(1.1 * n_axes, 2.5) + 0.4),
            height_ratios=heights,
            layout=layout,
        )
        return axes[:, 0]
    axes = np.atleast_1d(np.asarray(ax, dtype=object)).ravel()
    if len(axes) != n_axes:
        raise ValueError(
            f"{n_axes} axes are needed, got {len(axes)}. Make them with "
            f"plt.subplots({n_axes}, sharex=True), or choose other channels."
        )
    return axes


def make_panels(ax, n_panels, *, heights=None, height=None):
    """Return a column of axes, most of which `label_channel` labels on the left.

    Parameters
    ----------
    ax, n_panels, heights, height
        As in `make_axes`.

    Returns
    -------
    axes : ndarray of shape (n_panels,) of matplotlib Axes

    Raises
    ------
    ValueError
        If another number of axes is given.
    """
    from tsanomaly.plotting._layout import PanelLayout

    layout = PanelLayout()
    return make_axes(ax, n_panels, heights=heights, height=height, layout=layout)


def finish_panels(panels, names):
    """Choose fonts for the names in panels, and align their labels.

    Parameters
    ----------
    panels : array-like of matplotlib Axes
        The panels, after everything is drawn.
    names : list of object
        Names of the channels and of the horizontal axis.
    """
    from tsanomaly.plotting._layout import PanelLayout

    use_fonts(panels, names)
    figure = panels[0].figure
    if not isinstance(figure.get_layout_engine(), PanelLayout):
        figure.align_ylabels([axes for axes in panels if axes.get_ylabel()])


def log_ticks(*axes):
    """Set ticks of logarithmic axes so that their labels do not overlap.

    On less than a decade, matplotlib writes ``2 × 10^0``, ``3 × 10^0`` and so on,
    regardless of the length of the axis.

    Parameters
    ----------
    *axes : matplotlib XAxis or YAxis
        Axes with a logarithmic scale and their final limits.
    """
    from matplotlib.ticker import (
        LogLocator,
        MaxNLocator,
        NullFormatter,
        StrMethodFormatter,
    )

    for axis in axes:
        n_decades = np.log10(np.divide(*axis.get_view_interval()[::-1]))
        axis.set_minor_formatter(NullFormatter())
        if n_decades < 2:
            if n_decades < 0.8:
                locator = MaxNLocator(5, steps=[1, 2, 5, 10])
            else:
                locator = LogLocator(subs=(1, 2, 5))
            axis.set_major_locator(locator)
            axis.set_major_formatter(StrMethodFormatter("{x:g}"))


def merge_style(defaults, given, artist):
    """Override the default style of an artist with the style that the user gives.

    Parameters
    ----------
    defaults : dict
        Style with full names, such as ``linewidth``.
    given : dict or None
        Style with full names or aliases, such as ``lw``.
    artist : type
        Class of the artist, which defines the aliases.

    Returns
    -------
    style : dict
    """
    from matplotlib.cbook import normalize_kwargs

    return {**defaults, **normalize_kwargs(given, artist)}


def place_legend(axes, *others, ncols=None):
    """Put a legend above the axes, where it hides nothing.

    Parameters
    ----------
    axes : matplotlib Axes
        The axes. Without labelled artists, they get no legend.
    *others : matplotlib Axes
        Further axes whose artists are in the legend.
    ncols : int or None, default=None
        Number of columns of the legend. None puts all entries into one line.
    """
    handles, labels = [], []
    for explained in (axes, *others):
        more = explained.get_legend_handles_labels()
        handles, labels = handles + more[0], labels + more[1]
    if not handles:
        return
    axes.legend(handles, labels, ncols=ncols or len(handles), **ABOVE)
