# SPDX-License-Identifier: MIT
from numbers import Integral

import numpy as np

from tsanomaly._sklearn_compat import Interval, StrOptions, validate_params
from tsanomaly._validation import median_step
from tsanomaly.plotting._common import (
    COLOURS,
    N_PANELS,
    check_readings,
    finish_panels,
    log_ticks,
    make_panels,
    merge_style,
)
from tsanomaly.plotting._text import label_channel

__all__ = ["SpectrumDisplay"]

# Units of periods, in seconds.
_UNITS = {"d": 86_400.0, "h": 3600.0, "min": 60.0, "s": 1.0, "ms": 1e-3}

# Heights of the labels above their peaks, in points.
_HEIGHTS = (5, 16, 27)

# Minimum prominence of a peak, as a factor.
_PROMINENCE = 10.0


class SpectrumDisplay:
    """Plot the power spectrum of each channel, with the periods of its peaks.

    Create it with `from_series`. The constructor only stores the data.

    Parameters
    ----------
    frequencies : ndarray of shape (n_frequencies,)
        Positive frequencies, in hertz, or in cycles per row if `unit` is 'row'.
    power : ndarray of shape (n_frequencies, n_channels)
        Power spectral densities, in the squared units of the channel per unit of
        frequency. NaN for constant channels.
    peaks : list of ndarray of shape (n_peaks, 2)
        Frequency and power of the peaks of each channel, most important first.
    channels : list
        Names of the channels.
    unit : {'s', 'row'}
        Unit of periods.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    axes_ : ndarray of shape (n_channels,) of matplotlib Axes
        One per channel.
    periods_ : list of ndarray
        Periods of the peaks of each channel, most important first, in seconds, or in
        rows if `unit` is 'row'.

    Notes
    -----
    Peaks have a prominence of at least a factor of ten. Their frequencies are refined
    by fitting a parabola to the logarithm of the power. The highest peaks come first,
    and among peaks within a factor of two, the one with the longest period: for a daily
    pulse, the peaks at a day, half a day and a third of a day are equally high.

    Examples
    --------
    >>> import numpy as np
    >>> from tsanomaly.plotting import SpectrumDisplay
    >>> rng = np.random.default_rng(0)
    >>> time = np.arange(2000)
    >>> X = np.column_stack([np.sin(2 * np.pi * time / 50), rng.normal(size=2000)])
    >>> display = SpectrumDisplay.from_series(X, n_peaks=1)
    >>> display.periods_[0].round().tolist()
    [50.0]
    """

    def __init__(self, frequencies, power, peaks, channels, unit):
        self.frequencies = frequencies
        self.power = power
        self.peaks = peaks
        self.channels = channels
        self.unit = unit

    @classmethod
    @validate_params(
        {
            "method": [StrOptions({"welch", "fft"})],
            "segment": [Interval(Integral, 8, None, closed="left"), None],
            "n_peaks": [Interval(Integral, 0, None, closed="left")],
        },
        prefer_skip_nested_validation=True,
    )
    def from_series(
        cls,
        X,
        *,
        method="welch",
        segment=None,
        n_peaks=3,
        channels=None,
        ax=None,
        line_kwargs=None,
    ):
        """Compute and draw the spectra of a series.

        Parameters
        ----------
        X : array-like of shape (n_timestamps, n_channels)
            Series of at least 16 rows in time order. Rows are assumed to be equidistant
            with the median time step. Missing readings are interpolated.
        method : {'welch', 'fft'}, default='welch'
            'welch' averages the periodograms of overlapping segments, which makes peaks
            stand out from noise. 'fft' is the periodogram of the whole series, with the
            best resolution for long periods.
        segment : int or None, default=None
            Number of rows per segment of 'welch'. None is half of the series.
        n_peaks : int, default=3
            Maximum number of peaks to mark in each channel.
        channels : list of str or int, or None, default=None
            Columns to draw, by name or position. None draws the first 20, or all if
            `ax` is given.
        ax : array-like of n_channels matplotlib Axes, or None, default=None
            Axes to draw on. None creates a new figure.
        line_kwargs : dict or None, default=None
            Style of the lines, passed to ``Axes.plot``.

        Returns
        -------
        display : SpectrumDisplay
            The display, with `axes_` and `figure_` set.

        Raises
        ------
        ValueError
            If `X` is not a table of numbers or too short, or the number of axes is
            wrong.

        Warns
        -----
        UserWarning
            If `X` has more than 20 channels and neither `channels` nor `ax` is given.
        """
        from scipy.signal import periodogram, welch

        most = N_PANELS if ax is None else None
        readings = check_readings(X, channels, most=most)
        n_rows = len(readings)
        if n_rows < 16:
            raise ValueError(f"A spectrum requires at least 16 rows, got {n_rows}.")
        step = median_step(readings.index)
        rate = 1.0 if step is None else 1 / step.total_seconds()
        values = _without_gaps(readings.to_numpy())
        options = {"fs": rate, "window": "hann", "detrend": "linear", "axis": 0}
        if method == "fft":
            frequencies, power = periodogram(values, **options)
        else:
            options["nperseg"] = min(segment or max(n_rows // 2, 16), n_rows)
            frequencies, power = welch(values, **options)
        # Detrending removes the power at frequency 0.
        frequencies, power = frequencies[1:], power[1:]
        # Constant channels have power from rounding errors only.
        power[:, np.ptp(values, axis=0) == 0] = np.nan
        power = np.maximum(power, 1e-15 * np.nanmax(power, axis=0, initial=0))
        power[power == 0] = np.nan
        peaks = [_peaks(frequencies, column, n_peaks) for column in power.T]
        unit = "row" if step is None else "s"
        display = cls(frequencies, power, peaks, list(readings.columns), unit)
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
        self : SpectrumDisplay
            The display, with `axes_` and `figure_` set.
        """
        from matplotlib.lines import Line2D

        style = merge_style(
            {"color": COLOURS[0], "linewidth": 0.8}, line_kwargs, Line2D
        )
        n_channels = len(self.channels)
        self.axes_ = make_panels(ax, n_channels, height=1.5 * n_channels + 0.6)
        self.figure_ = self.axes_[0].figure
        self.periods_ = [1 / peaks[:, 0] for peaks in self.peaks]
        name, factor = self._scale()
        for axes, channel, power, peaks in zip(
            self.axes_, self.channels, self.power.T, self.peaks, strict=True
        ):
            axes.loglog(self.frequencies * factor, power, **style)
            label_channel(axes, channel)
            if np.isnan(power).all():
                middle = {"transform": axes.transAxes, "ha": "center", "va": "center"}
                axes.text(0.5, 0.5, "constant", **middle)
                axes.set_yticks([])
                axes.minorticks_off()
                continue
            axes.plot(
                peaks[:, 0] * factor, peaks[:, 1], "v", color=COLOURS[1], markersize=5
            )
            self._write_periods(axes, peaks, factor)
            # Space for the periods
            low, high = axes.get_ylim()
            axes.set_ylim(low, high * (high / low) ** 0.4)
            log_ticks(axes.xaxis, axes.yaxis)
        self.axes_[-1].set_xlabel(f"Frequency (1/{name})")
        finish_panels(self.axes_, self.channels)
        return self

    def _write_periods(self, axes, peaks, factor):
        width = np.ptp(np.log(self.frequencies))
        # Labels of close peaks are placed at different heights.
        last = dict.fromkeys(_HEIGHTS, -np.inf)
        for frequency, power in peaks[np.argsort(peaks[:, 0])]:
            place = np.log(frequency)
            height = max(last, key=lambda h: (min(place - last[h], 0.09 * width), -h))
            last[height] = place
            axes.annotate(
                _format_period(1 / frequency, self.unit),
                (frequency * factor, power),
                xytext=(0, height),
                textcoords="offset points",
                ha="center",
                fontsize="small",
            )

    def _scale(self):
        """Return the unit of the frequency axis and the factor to convert to it."""
        if self.unit == "row":
            return "row", 1.0
        highest = self.frequencies[-1]
        fitting = (unit for unit, size in _UNITS.items() if highest * size <= 100)
        name = next(fitting, "ms")
        return name, _UNITS[name]


def _without_gaps(values):
    """Interpolate missing readings. A channel without readings becomes 0."""
    values = values.copy()
    rows = np.arange(len(values))
    for channel in values.T:
        absent = ~np.isfinite(channel)
        if absent.all():
            channel[:] = 0.0
        elif absent.any():
            channel[absent] = np.interp(rows[absent], rows[~absent], channel[~absent])
    return values


def _peaks(frequencies, power, n_peaks):
    """Return frequency and power of the most important peaks."""
    from scipy.signal import find_peaks

    if np.isnan(power).all():
        return np.empty((0, 2))
    octaves = np.log2(power)
    # Padding, so that peaks at both ends of the spectrum are found.
    floor = [octaves.min()]
    padded = np.concatenate([floor, octaves, floor])
    found, _ = find_peaks(padded, prominence=np.log2(_PROMINENCE))
    found = found[found > 1] - 1  # the lowest frequency is a remainder of the trend
    if not len(found):
        return np.empty((0, 2))
    level = np.floor(octaves[found].max() - octaves[found])
    found = found[np.lexsort([found, level])][:n_peaks]
    left, top, right = octaves[found - 1], octaves[found], padded[found + 2]
    shift = 0.5 * (left - right) / (left - 2 * top + right)
    shift[found == len(power) - 1] = 0.0  # at the end of the spectrum
    spacing = frequencies[1] - frequencies[0]
    at = frequencies[found] + shift * spacing
    return np.column_stack([at, 2.0 ** (top - 0.25 * (left - right) * shift)])


def _format_period(period, unit):
    name = "rows"
    if unit != "row":  # 36 h is more informative than 1.5 d
        name = next((u for u, size in _UNITS.items() if period >= 2 * size), "ms")
        period = period / _UNITS[name]
    number = f"{period:.3g}" if period < 1000 else f"{period:,.0f}"
    return f"{number} {name}"
