# SPDX-License-Identifier: MIT
"""Views by models of windows, and of windows relative to their baseline.

The baseline of a window is a trailing median, which follows slow drift.
"""

from functools import partial

import numpy as np

from tsanomaly._linear_map import LinearMap
from tsanomaly._relations import relation_weights
from tsanomaly._threads import together
from tsanomaly._views import Blend, Confirmed, View
from tsanomaly._window_model import LinearModel

__all__ = [
    "LEARNED",
    "combine_linear_views",
    "combine_network_views",
    "fit_linear",
    "join_views",
    "learned_by",
    "linear_memory",
    "make_linear_views",
    "make_network_views",
    "restore_linear_views",
]

# Weight of the view with a baseline. The other one has more, because the view with a
# baseline no longer sees a fault that lasts longer than half of the baseline window.
_OF_BASELINE = 1 / 3

# Normalised score by which the linear view with a baseline may exceed the other one.
_MOST_ABOVE = 0.5

# Normalised score from which the view of the network with a baseline is consulted. It
# only lowers scores, because the network has not been trained on windows relative to
# their baseline, and most rows need no second opinion.
_SUSPICIOUS = 0.5

_PREFIXES, _PARTS = ("linear", "baseline"), ("mean", "components", "gains")

# Names of the fitted attributes of a detector that hold the maps.
LEARNED = tuple(f"{prefix}_{part}_" for prefix in _PREFIXES for part in _PARTS)


def make_linear_views(n_rows, make_rule, baseline_window):
    """Return unfitted views, one or two.

    Parameters
    ----------
    n_rows : int
        Number of rows in a window.
    make_rule : callable
        Returns a new row error rule for windows of a given size.
    baseline_window : int or None
        Number of rows of the baseline. None leaves out the second view.
    """
    baselines = [None] if baseline_window is None else [None, int(baseline_window)]
    return [
        View(LinearModel(None, n_rows), make_rule(n_rows), baseline_window=baseline)
        for baseline in baselines
    ]


def make_network_views(model, linear_views, rules):
    """Return views by a network, with the baselines of the linear views.

    Parameters
    ----------
    model : NetworkModel
    linear_views : list of View
    rules : list of RowErrorRule
        One for each view to make.
    """
    return [
        View(model, rule, baseline_window=linear_view.baseline_window)
        for linear_view, rule in zip(linear_views, rules, strict=False)
    ]


def linear_memory(shape, n_rows, baseline_window):
    """Estimate the bytes that fitting linear views takes; see `NetworkModel.memory`."""
    needed = LinearModel.memory(shape, n_rows)
    if baseline_window is not None:  # two maps at the same time, and float64 medians
        needed = 2 * needed + 32 * shape[0] * shape[1]
    return needed


def _fit_maps(views, series, rows, variance, seed):
    """Return views with the same rules, whose maps are fitted to some rows."""

    def fit(view):
        windows = series.windows(view.model.n_rows, view.baseline_window)
        model = LinearModel(
            LinearMap.fit(windows, rows, variance, seed), view.model.n_rows
        )
        return View(model, view.rule, baseline_window=view.baseline_window)

    return together([partial(fit, view) for view in views], len(rows))


def fit_linear(views, series, rows, variance, seed):
    """Fit linear views and their rules.

    Parameters
    ----------
    views : list of View
        As from `make_linear_views`.
    series : Series
        The training series.
    rows : ndarray of int
        Training rows.
    variance : float
        As in `LinearMap.fit`.
    seed : int

    Returns
    -------
    views : list of View
        The fitted views.
    view : View or Blend
        Their combination.
    errors : ndarray of shape (n_timestamps, n_channels)
        Errors of the series.
    refit : callable
        Takes rows, and returns such a combination with the same rules and with maps of
        these rows.
    """

    def refit(rows):
        return combine_linear_views(_fit_maps(views, series, rows, variance, seed))

    fitted = _fit_maps(views, series, rows, variance, seed)
    view = combine_linear_views(fitted)
    return fitted, view, view.fit(series, rows), refit


def combine_linear_views(views):
    """Combine linear views without and with a baseline, or return the only one."""
    if len(views) == 1:
        return views[0]
    weights = np.array([1 - _OF_BASELINE, _OF_BASELINE])
    return Blend(views, weights, weights[:, None], most_above=_MOST_ABOVE)


def combine_network_views(views, residual_weights, gain):
    """Combine the views of a network, after weighting their residuals.

    Parameters
    ----------
    views : list of View
        Without and with a baseline, or the first one only.
    residual_weights : ndarray of shape (n_views, n_channels)
    gain : ndarray of shape (n_channels,)
        Relation gain of the last view. A second view counts as far as the network also
        knows the relations of windows relative to their baseline.
    """
    for view, weights in zip(views, residual_weights, strict=False):
        view.weights = weights
    weight = relation_weights(gain)[1] * _OF_BASELINE
    if len(views) == 1 or not weight:
        return views[0]
    return Confirmed(*views, weight, suspicious=_SUSPICIOUS)


def join_views(linear, network, gain):
    """Blend linear views and those of the network by its relation gain."""
    of_channels, weight = relation_weights(gain)
    channel_weights = np.stack([1 - of_channels, of_channels])
    return Blend([linear, network], (1 - weight, weight), channel_weights)


def learned_by(views):
    """Return the fitted attributes, by name, that hold the maps of views."""
    return {
        f"{prefix}_{part}_": getattr(view.model.linear_map, part)
        for prefix, view in zip(_PREFIXES, views, strict=False)
        for part in _PARTS
    }


def restore_linear_views(attributes, rules, n_rows, baseline_window):
    """Return the views whose maps are in attributes, as `learned_by` returned them."""
    views = []
    for prefix, rule, baseline in zip(
        _PREFIXES, rules, (None, baseline_window), strict=False
    ):
        if f"{prefix}_mean_" in attributes:
            parts = [attributes[f"{prefix}_{part}_"] for part in _PARTS]
            model = LinearModel(LinearMap(*parts), n_rows)
            views.append(View(model, rule, baseline_window=baseline))
    return views
