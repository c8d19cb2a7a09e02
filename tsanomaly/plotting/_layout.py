# SPDX-License-Identifier: MIT
"""Layout of figures with one panel per channel."""

from matplotlib.layout_engine import LayoutEngine

__all__ = ["PanelLayout"]

# Padding around labels, in inches.
_PAD = 0.05


class PanelLayout(LayoutEngine):
    """Stack panels vertically, with their labels aligned.

    matplotlib aligns the labels of n axes in quadratic time, and its constrained layout
    solves equations for each of them. Panels of equal width need neither: each is
    measured once.
    """

    # Required by matplotlib.
    _adjust_compatible = True
    _colorbar_gridspec = True

    def execute(self, fig):
        """Place the axes of a figure in one column, from top to bottom.

        Parameters
        ----------
        fig : matplotlib Figure
            The figure.
        """
        panels = [axes for axes in fig.axes if axes.get_subplotspec() is not None]
        named = [axes for axes in panels if axes.get_ylabel()]
        pad = _PAD * fig.dpi
        ticks = pad + max(map(_width_of_ticks, named), default=0)
        _align(named, ticks)
        left, right, above, below = zip(*map(_overhang, panels), strict=True)
        titles = [text.get_window_extent().y0 for text in fig.texts]
        top = min(titles, default=fig.bbox.height) - above[0] - pad
        bottom = below[-1] + pad
        between = max(map(sum, zip(above[1:], below[:-1], strict=True)), default=0)
        gap = between + pad
        height = (top - bottom - gap * (len(panels) - 1)) / len(panels)
        left, right = max(left) + pad, fig.bbox.width - max(right) - pad
        if left >= right or height <= 0:
            return  # no space left for the axes
        fig.subplots_adjust(
            left=left / fig.bbox.width,
            right=right / fig.bbox.width,
            bottom=bottom / fig.bbox.height,
            top=top / fig.bbox.height,
            hspace=gap / height,
        )
        _align(named, ticks)


def _width_of_ticks(axes):
    """Return how far the tick labels extend to the left of the axes."""
    extents = [
        label.get_window_extent()
        for label in axes.get_yticklabels(which="both")
        if label.get_visible() and label.get_text()
    ]
    return max((axes.bbox.x0 - extent.x0 for extent in extents), default=0)


def _align(named, distance):
    """Place the labels of the axes at a common distance, in pixels."""
    for axes in named:
        axes.yaxis.set_label_coords(-distance / axes.bbox.width, 0.5)


def _overhang(axes):
    """Return how far decorations extend to the left, right, top and bottom."""
    box, extent = axes.bbox, axes.get_tightbbox(for_layout_only=True)
    return (
        box.x0 - extent.x0,
        extent.x1 - box.x1,
        extent.y1 - box.y1,
        box.y0 - extent.y0,
    )
