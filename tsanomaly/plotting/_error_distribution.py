# SPDX-License-Identifier: MIT
import numpy as np

from tsanomaly._inspection import errors_and_threshold
from tsanomaly._validation import check_labels, unmasked
from tsanomaly.plotting._common import (
    COLOURS,
    LINES,
    check_row_values,
    log_ticks,
    make_axes,
    merge_style,
    place_legend,
)

__all__ = ["ErrorDistributionDisplay"]

_BINS = 60


class ErrorDistributionDisplay:
    """Plot the distributions of training and test errors with the threshold.

    Create it with `from_estimator` or `from_predictions`. The constructor only stores
    the data.

    Parameters
    ----------
    errors : dict of str to ndarray of shape (n_timestamps,)
        Finite errors, higher = worse, by name of the set of rows.
    threshold : float or None, default=None
        Rows with a larger error are flagged.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    ax_ : matplotlib Axes
        The axes.
    shares_ : dict of str to ndarray
        Heights of the bins, as shares of the rows of each set. Empty sets are omitted.
    bins_ : ndarray
        Edges of the bins.

    See Also
    --------
    ThresholdDisplay : Plot precision, recall and alarms over the threshold.

    Examples
    --------
    >>> import numpy as np
    >>> from tsanomaly.plotting import ErrorDistributionDisplay
    >>> rng = np.random.default_rng(0)
    >>> display = ErrorDistributionDisplay.from_predictions(
    ...     rng.gamma(2, size=1000), rng.gamma(3, size=500), threshold=6.0
    ... )
    >>> list(display.shares_)
    ['training rows', 'test rows']
    """

    def __init__(self, errors, threshold=None):
        self.errors = errors
        self.threshold = threshold

    @classmethod
    def from_estimator(
        cls, estimator, X_train, X_test, y_test=None, *, ax=None, line_kwargs=None
    ):
        """Score training and test rows with a fitted detector and draw both.

        Parameters
        ----------
        estimator : fitted outlier detector or Pipeline that ends in one
            The detector. It must have `decision_function`.
        X_train : array-like of shape (n_timestamps, n_channels)
            Rows that the detector was fitted on.
        X_test : array-like of shape (n_timestamps, n_channels)
            Other rows.
        y_test : array-like of shape (n_timestamps,) or None, default=None
            Labels of the test rows, 1 = anomaly and 0 = normal, to draw separate
            distributions.
        ax : matplotlib Axes or None, default=None
            Axes to draw on. None creates a new figure.
        line_kwargs : dict or None, default=None
            Style of the lines, passed to ``Axes.stairs``.

        Returns
        -------
        display : ErrorDistributionDisplay
            The display, with `ax_` and `figure_` set.

        Raises
        ------
        ValueError
            If the detector rejects a series, or `y_test` does not have one label per
            row.
        """
        train, threshold = errors_and_threshold(estimator, X_train)
        test, _ = errors_and_threshold(estimator, X_test)
        return cls.from_predictions(
            train, test, y_test, threshold=threshold, ax=ax, line_kwargs=line_kwargs
        )

    @classmethod
    def from_predictions(
        cls,
        train_errors,
        test_errors,
        y_test=None,
        *,
        threshold=None,
        ax=None,
        line_kwargs=None,
    ):
        """Draw given errors.

        Parameters
        ----------
        train_errors : array-like of shape (n_train,)
            Errors of training rows, higher = worse. NaN is ignored.
        test_errors : array-like of shape (n_test,)
            Errors of other rows.
        y_test : array-like of shape (n_test,) or None, default=None
            Labels of the test rows, 1 = anomaly and 0 = normal, to draw separate
            distributions.
        threshold : float or None, default=None
            Rows with a larger error are flagged.
        ax : matplotlib Axes or None, default=None
            Axes to draw on. None creates a new figure.
        line_kwargs : dict or None, default=None
            Style of the lines, passed to ``Axes.stairs``.

        Returns
        -------
        display : ErrorDistributionDisplay
            The display, with `ax_` and `figure_` set.

        Raises
        ------
        ValueError
            If there is no finite error, or `y_test` does not have one label per row.
        """
        train, test = (
            np.asarray(unmasked(train_errors)),
            np.asarray(unmasked(test_errors)),
        )
        train = check_row_values(train, train.size, "train_errors")
        test = check_row_values(test, test.size, "test_errors")
        if y_test is None:
            parts = {"training rows": train, "test rows": test}
        else:
            y_test = check_labels(y_test, len(test))
            parts = {
                "training rows": train,
                "normal test rows": test[~y_test],
                "anomalous test rows": test[y_test],
            }
        parts = {name: part[np.isfinite(part)] for name, part in parts.items()}
        if not any(len(part) for part in parts.values()):
            raise ValueError("There is no finite error to draw.")
        display = cls(parts, None if threshold is None else float(threshold))
        return display.plot(ax, line_kwargs=line_kwargs)

    def plot(self, ax=None, *, line_kwargs=None):
        """Draw the figure.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Axes to draw on. None creates a new figure.
        line_kwargs : dict or None, default=None
            Style of the lines, passed to ``Axes.stairs``.

        Returns
        -------
        self : ErrorDistributionDisplay
            The display, with `ax_` and `figure_` set.
        """
        from matplotlib.patches import StepPatch

        (ax,) = make_axes(ax, 1, width=8.0, height=4.5)
        self.ax_, self.figure_ = ax, ax.figure
        everything = np.concatenate(list(self.errors.values()))
        low, high = everything.min(), everything.max()
        is_wide = low > 0 and high > 20 * low
        if low == high:
            low, high = low - 0.5, high + 0.5
        spread = np.geomspace if is_wide else np.linspace
        self.bins_ = spread(low, high, _BINS + 1)
        self.bins_[[0, -1]] = low, high  # without rounding errors
        self.shares_ = {}
        for number, (name, errors) in enumerate(self.errors.items()):
            if not len(errors):
                continue
            counts, _ = np.histogram(errors, self.bins_)
            self.shares_[name] = counts / len(errors)
            label = f"{len(errors):,} {name}"
            if self.threshold is not None:
                beyond = 100 * np.mean(errors > self.threshold)
                label += f", {beyond:.3g} % beyond"
            style = {
                "color": COLOURS[number],
                "linestyle": LINES[number],
                "linewidth": 1.5,
                "label": label,
            }
            style = merge_style(style, line_kwargs, StepPatch)
            ax.stairs(self.shares_[name], self.bins_, **style)
        if self.threshold is not None:
            label = f"threshold {self.threshold:.3g}"
            ax.axvline(self.threshold, color="0.2", linestyle=":", label=label)
        # On a linear scale, the few rows beyond the threshold would be invisible.
        ax.set_yscale("log")
        ax.set_ylim(bottom=0.5 / max(map(len, self.errors.values())))
        ax.set(xlabel="Error (higher = worse)", ylabel="Share of rows in the bin")
        ax.margins(x=0.02)
        log_ticks(ax.yaxis)
        if is_wide:
            ax.set_xscale("log")
            log_ticks(ax.xaxis)
        place_legend(ax, ncols=2)
        return self
