# SPDX-License-Identifier: MIT
import numpy as np

from tsanomaly.plotting._common import (
    ABOVE,
    COLOURS,
    log_ticks,
    make_axes,
    merge_style,
)
from tsanomaly.plotting._text import (
    PLAIN,
    drawn,
    inches,
    name_legend,
    use_fonts,
    wrap,
)

__all__ = ["ComparisonDisplay"]

# Columns of compare_detectors that are not drawn as bars.
_OTHER = (
    "best_f1_uses_labels",
    "flagged_share",
    "threshold",
    "fit_seconds",
    "score_seconds",
    "error",
)

_MARKERS = "osD^vPX*<>"

_HATCHES = ("", "////", "....", "xxxx", "\\\\\\\\", "++++", "oo")


class ComparisonDisplay:
    """Plot the metrics of several detectors, and the first metric over run time.

    Create it with `from_table`. The constructor only stores the data.

    Parameters
    ----------
    values : DataFrame of shape (n_detectors, n_metrics)
        Metrics of each detector. NaN for detectors that failed.
    seconds : ndarray of shape (n_detectors,)
        Time for fitting and scoring.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    axes_ : ndarray of shape (2,) of matplotlib Axes
        Bars of the metrics above, the first metric over seconds below.
    bars_ : list of matplotlib BarContainer
        One for each metric.

    See Also
    --------
    tsanomaly.compare_detectors : Compare detectors and return the table.

    Examples
    --------
    >>> import pandas as pd
    >>> from tsanomaly.plotting import ComparisonDisplay
    >>> table = pd.DataFrame(
    ...     {"vus_pr": [0.9, 0.7], "fit_seconds": [20, 1], "score_seconds": [2, 1]},
    ...     index=["network", "forest"],
    ... )
    >>> display = ComparisonDisplay.from_table(table)
    >>> display.seconds.tolist()
    [22, 2]
    """

    def __init__(self, values, seconds):
        self.values = values
        self.seconds = seconds

    @classmethod
    def from_table(cls, table, *, metrics=None, ax=None, bar_kwargs=None):
        """Draw a comparison table.

        Parameters
        ----------
        table : DataFrame
            Result of :func:`~tsanomaly.compare_detectors`: one row per detector, with
            the columns ``fit_seconds`` and ``score_seconds``.
        metrics : list of str or None, default=None
            Columns to draw. The first one is also drawn over seconds. None draws all
            metrics except 'detection_delay', which has another scale.
        ax : array-like of two matplotlib Axes, or None, default=None
            Axes to draw on. None creates a new figure.
        bar_kwargs : dict or None, default=None
            Style of the bars, passed to ``Axes.barh``.

        Returns
        -------
        display : ComparisonDisplay
            The display, with `axes_` and `figure_` set.

        Raises
        ------
        ValueError
            If the table is empty or a column is missing.
        """
        if metrics is None:
            known = [name for name in table.columns if name not in _OTHER]
            metrics = [name for name in known if name != "detection_delay"]
        wanted = [*metrics, "fit_seconds", "score_seconds"]
        missing = [name for name in wanted if name not in table.columns]
        if missing or not metrics or not len(table):
            raise ValueError(
                f"The table has {len(table)} rows and the columns "
                f"{table.columns.tolist()}. A comparison needs rows, a metric, and "
                f"{missing or wanted[-2:]}, as returned by compare_detectors."
            )
        seconds = (table["fit_seconds"] + table["score_seconds"]).to_numpy()
        return cls(table[list(metrics)], seconds).plot(ax, bar_kwargs=bar_kwargs)

    def plot(self, ax=None, *, bar_kwargs=None):
        """Draw the figure.

        Parameters
        ----------
        ax : array-like of two matplotlib Axes, or None, default=None
            Axes to draw on. None creates a new figure.
        bar_kwargs : dict or None, default=None
            Style of the bars, passed to ``Axes.barh``.

        Returns
        -------
        self : ComparisonDisplay
            The display, with `axes_` and `figure_` set.
        """
        n_detectors, n_metrics = self.values.shape
        bars = np.clip(0.13 * n_metrics * n_detectors + 0.15 * n_detectors, 2.0, 12.0)
        heights = [bars, 3.0]
        names = [wrap(drawn(name), 24) for name in self.values.index]
        self.axes_ = make_axes(
            ax,
            2,
            heights=heights,
            # The names appear on the left and again on the right.
            width=6.0 + 2 * inches(names),
            height=sum(heights) + 1.2,
            sharex=False,
        )
        self.figure_ = self.axes_[0].figure
        self._draw_bars(self.axes_[0], names, bar_kwargs)
        self._draw_seconds(self.axes_[1], names)
        use_fonts(self.axes_, [*self.values.index, *self.values.columns])
        return self

    def _draw_bars(self, axes, names, bar_kwargs):
        from matplotlib.patches import Rectangle

        n_detectors, n_metrics = self.values.shape
        thickness = 0.8 / n_metrics
        places = np.arange(n_detectors)
        self.bars_ = []
        for number, (name, values) in enumerate(self.values.items()):
            style = {
                "facecolor": _colour(number),
                "edgecolor": "white",
                # Bars of the same hue also differ in hatching.
                "hatch": _HATCHES[(number + number // len(COLOURS)) % len(_HATCHES)],
                "label": str(name),
            }
            style = merge_style(style, bar_kwargs, Rectangle)
            y = places - 0.4 + (number + 0.5) * thickness
            self.bars_.append(axes.barh(y, values, thickness, **style))
        for place in places[self.values.isna().all(axis=1)]:
            axes.text(0.01, place, "failed", va="center", fontsize="small")
        axes.set_yticks(places, names, **PLAIN)
        axes.set_ylim(n_detectors - 0.5, -0.5)  # the first on top
        axes.set_xlabel("Value of the metric")
        # As many columns as fit above the axes and their labels.
        metrics = [drawn(name) for name in self.values.columns]
        n_columns = int(np.clip(6.0 / inches(metrics, n_more=5), 1, n_metrics))
        name_legend(axes, self.bars_, metrics, ncols=n_columns, **ABOVE)

    def _draw_seconds(self, axes, names):
        accuracy = self.values.iloc[:, 0].to_numpy(dtype=np.float64)
        shown = np.flatnonzero(np.isfinite(accuracy) & np.isfinite(self.seconds))
        seconds = np.maximum(self.seconds, 1e-4)
        points = [
            axes.plot(
                seconds[position],
                accuracy[position],
                _MARKERS[position % len(_MARKERS)],
                color=_colour(position),
                markeredgecolor="0.2",
                markersize=8,
                label=names[position],
            )[0]
            for position in shown
        ]
        axes.set_xscale("log")
        axes.margins(0.1)
        log_ticks(axes.xaxis)
        axes.set_xlabel("Seconds to fit and score")
        axes.set_ylabel(drawn(self.values.columns[0]), **PLAIN)
        axes.grid(alpha=0.3)
        # Next to the axes, because names at the points would overlap.
        if points:
            name_legend(
                axes,
                points,
                [names[position] for position in shown],
                loc="center left",
                bbox_to_anchor=(1.0, 0.5),
                frameon=False,
                fontsize=9,
            )


def _colour(number):
    """Return one of 21 colours: seven, then lighter and darker versions of them."""
    from matplotlib.colors import to_rgb

    shade, place = divmod(number % (3 * len(COLOURS)), len(COLOURS))
    colour = to_rgb(COLOURS[place])
    if not shade:
        return colour
    grey = (1.0, 0.2)[shade - 1]
    return tuple((part + grey) / 2 for part in colour)
