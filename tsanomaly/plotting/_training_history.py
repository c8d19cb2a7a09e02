# SPDX-License-Identifier: MIT
import numpy as np

from tsanomaly._inspection import fitted_steps
from tsanomaly.plotting._common import COLOURS, LINES, log_ticks, make_axes, merge_style

__all__ = ["TrainingHistoryDisplay"]

_NAMES = {"loss": "training", "val_loss": "validation"}


class TrainingHistoryDisplay:
    """Plot the loss of a network over the training epochs.

    The right axis shows the loss in percent of that of the first epoch, which is marked
    by a line. The left axis starts at 0, or is logarithmic if the loss drops below a
    tenth, so that a network that learns nothing has a flat curve.

    Parameters
    ----------
    history : dict of str to list of float
        Curves by name, one value per epoch, such as ``history_`` of
        :class:`~tsanomaly.LSTMAutoencoderDetector`.

    Attributes
    ----------
    figure_ : matplotlib Figure
        The figure.
    ax_ : matplotlib Axes
        The axes.
    lines_ : list of matplotlib Line2D
        One per curve.

    Examples
    --------
    >>> from tsanomaly.plotting import TrainingHistoryDisplay
    >>> history = {"loss": [0.9, 0.4, 0.3], "val_loss": [1.0, 0.5, 0.6]}
    >>> display = TrainingHistoryDisplay(history).plot()
    >>> [line.get_label() for line in display.lines_]
    ['training', 'validation, lowest in epoch 2']
    """

    def __init__(self, history):
        self.history = history

    @classmethod
    def from_estimator(cls, estimator, *, ax=None, line_kwargs=None):
        """Draw the training history of a fitted detector.

        Parameters
        ----------
        estimator : fitted estimator
            An estimator with ``history_``, or a pipeline or search that contains one.
        ax : matplotlib Axes or None, default=None
            Axes to draw on. None creates a new figure.
        line_kwargs : dict or None, default=None
            Style of the lines, passed to ``Axes.plot``.

        Returns
        -------
        display : TrainingHistoryDisplay
            The display, with `ax_` and `figure_` set.

        Raises
        ------
        ValueError
            If there is no ``history_``.
        """
        history = _find_history(estimator)
        if history is not None:
            return cls(history).plot(ax, line_kwargs=line_kwargs)
        raise ValueError(
            f"{estimator!r} has no history_. Pass a fitted LSTMAutoencoderDetector, or "
            "a pipeline with one."
        )

    def plot(self, ax=None, *, line_kwargs=None):
        """Draw the figure.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Axes to draw on. None creates a new figure.
        line_kwargs : dict or None, default=None
            Style of the lines, passed to ``Axes.plot``.

        Returns
        -------
        self : TrainingHistoryDisplay
            The display, with `ax_` and `figure_` set.
        """
        from matplotlib.lines import Line2D
        from matplotlib.ticker import MaxNLocator

        (ax,) = make_axes(ax, 1, width=7.0, height=4.0)
        self.ax_, self.figure_, self.lines_ = ax, ax.figure, []
        for number, (name, losses) in enumerate(self.history.items()):
            losses = np.asarray(losses, dtype=np.float64)
            epochs = np.arange(1, len(losses) + 1)
            label = _NAMES.get(name, name)
            lowest = name == "val_loss" and np.isfinite(losses).any()
            if lowest:
                best = np.nanargmin(losses)
                label += f", lowest in epoch {epochs[best]}"
            style = {
                "color": COLOURS[number % len(COLOURS)],
                "linestyle": LINES[number % len(LINES)],
                # A single epoch has no line.
                "marker": "o" if len(losses) == 1 else None,
                "label": label,
            }
            style = merge_style(style, line_kwargs, Line2D)
            self.lines_ += ax.plot(epochs, losses, **style)
            if lowest:
                ax.plot(epochs[best], losses[best], "o", color=style["color"])
        self._scale(ax)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set(xlabel="Epoch", ylabel="Loss")
        ax.legend(frameon=False)
        return self

    def _scale(self, ax):
        """Scale the axes so that they show the relative decrease of the loss."""
        curves = [np.asarray(curve, float) for curve in self.history.values()]
        values = np.concatenate([curve[np.isfinite(curve)] for curve in curves])
        if not len(values) or values.min() <= 0:
            return  # percentages of such a loss are meaningless
        if 10 * values.min() < values.max():
            ax.set_yscale("log")
            log_ticks(ax.yaxis)
        else:
            ax.set_ylim(0, 1.08 * values.max())
        first = values[0]
        ax.axhline(first, color="0.6", linestyle=":", linewidth=1, zorder=0)
        to_percent = (
            (lambda loss: 100 * loss / first),
            (lambda part: part * first / 100),
        )
        right = ax.secondary_yaxis("right", functions=to_percent)
        right.set_ylabel("Percent of the first loss")
        if ax.get_yscale() == "log":
            log_ticks(right.yaxis)


def _find_history(estimator):
    """Return the curves of the first network in an estimator, or None."""
    for step in fitted_steps(estimator):
        if hasattr(step, "history_"):
            return step.history_
        # Unions, ScoreTransformer and cascades contain detectors.
        parts = [part for _, part in getattr(step, "transformer_list", ())]
        parts += [step.detector_] if hasattr(step, "detector_") else []
        for part in parts:
            history = _find_history(part)
            if history is not None:
                return history
    return None
