# SPDX-License-Identifier: MIT
import numpy as np

from tsanomaly.plotting._common import check_readings, make_axes, merge_style
from tsanomaly.plotting._text import inches, label_rows, short_labels_of, use_fonts

__all__ = ["CorrelationDisplay", "pearson"]

# With more channels, numbers do not fit into their cells.
_MOST_NUMBERS = 12


class CorrelationDisplay:
    """Plot the correlation matrix of the channels as a heat map.

    Create it with `from_series`. The constructor only stores the data.

    Parameters
    ----------
    correlation : ndarray of shape (n_channels, n_channels)
        Correlations in [-1, 1]. NaN for constant channels.
    channels : list
        Names of the channels.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    ax_ : matplotlib Axes
        The axes.
    im_ : matplotlib AxesImage
        The cells.
    text_ : list of matplotlib Text
        Numbers in the cells. Empty for more than 12 channels.

    Examples
    --------
    >>> from tsanomaly.datasets import load_sample_plant
    >>> from tsanomaly.plotting import CorrelationDisplay
    >>> display = CorrelationDisplay.from_series(load_sample_plant().frame)
    >>> display.correlation.shape
    (4, 4)
    """

    def __init__(self, correlation, channels):
        self.correlation = correlation
        self.channels = channels

    @classmethod
    def from_series(
        cls, X, *, method="pearson", channels=None, ax=None, im_kwargs=None
    ):
        """Compute and draw the correlations of a series.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Series. For each pair of channels, rows in which both have a reading count.
        method : {'pearson', 'spearman', 'kendall'}, default='pearson'
            Correlation coefficient: of the readings ('pearson') or of their ranks.
        channels : list of str or int, or None, default=None
            Columns to draw, by name or position. None draws all.
        ax : matplotlib Axes or None, default=None
            Axes to draw on. None creates a new figure.
        im_kwargs : dict or None, default=None
            Passed to ``Axes.imshow``.

        Returns
        -------
        display : CorrelationDisplay
            The display, with `ax_` and `figure_` set.

        Raises
        ------
        ValueError
            If `X` is not a table of numbers, or a channel or `method` is unknown.
        """
        if method not in ("pearson", "spearman", "kendall"):
            raise ValueError(
                f"method must be 'pearson', 'spearman' or 'kendall', got {method!r}."
            )
        readings = check_readings(X, channels, in_order=False)
        if method == "pearson":
            correlation = pearson(readings)
        else:
            correlation = readings.corr(method=method).to_numpy()
        display = cls(correlation, list(readings.columns))
        return display.plot(ax, im_kwargs=im_kwargs)

    def plot(self, ax=None, *, im_kwargs=None):
        """Draw the figure.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Axes to draw on. None creates a new figure.
        im_kwargs : dict or None, default=None
            Passed to ``Axes.imshow``.

        Returns
        -------
        self : CorrelationDisplay
            The display, with `ax_` and `figure_` set.
        """
        from matplotlib.image import AxesImage

        n_channels = len(self.channels)
        labels = short_labels_of(self.channels)
        has_numbers = n_channels <= _MOST_NUMBERS
        side = np.clip((0.5 if has_numbers else 0.25) * n_channels, 3.5, 12.0)
        names = inches(labels)
        (ax,) = make_axes(ax, 1, width=side + names + 1.5, height=side + names + 0.3)
        self.ax_, self.figure_ = ax, ax.figure
        style = {"cmap": "RdBu_r", "vmin": -1.0, "vmax": 1.0}
        self.im_ = ax.imshow(
            self.correlation, **merge_style(style, im_kwargs, AxesImage)
        )
        ax.set_facecolor("0.8")  # visible where the correlation is NaN
        self.figure_.colorbar(self.im_, ax=ax, label="Correlation", shrink=0.8)
        size = "medium" if has_numbers else "x-small"
        label_rows(ax.yaxis, labels, fontsize=size)
        label_rows(
            ax.xaxis,
            labels,
            fontsize=size,
            rotation=45 if has_numbers else 90,
            ha="right" if has_numbers else "center",
            rotation_mode="anchor" if has_numbers else "default",
        )
        self.text_ = []
        if has_numbers:
            for (row, column), value in np.ndenumerate(self.correlation):
                known = np.isfinite(value)
                text = f"{value:.2f}" if known else "–"
                colour = "white" if known and abs(value) > 0.6 else "black"
                style = {"ha": "center", "va": "center", "color": colour}
                self.text_.append(ax.text(column, row, text, **style))
        use_fonts([ax], self.channels)
        return self


def pearson(readings):
    """Return the Pearson correlation matrix of the channels.

    Parameters
    ----------
    readings : DataFrame of shape (n_timestamps, n_channels)
        For each pair of channels, rows in which both have a reading count.

    Returns
    -------
    correlation : ndarray of shape (n_channels, n_channels)
        NaN for constant channels.
    """
    values = readings.to_numpy(dtype=np.float64)
    if not np.isfinite(values).all() or len(values) < 2:
        return readings.corr().to_numpy()
    # pandas is slower, because it handles missing values for each pair.
    largest = np.abs(values).max(axis=0)
    values = values / np.where(largest > 0, largest, 1.0)  # so squares are finite
    values -= values.mean(axis=0)
    values[:, np.ptp(values, axis=0) == 0] = np.nan
    values /= np.linalg.norm(values, axis=0)
    return np.clip(values.T @ values, -1.0, 1.0)
