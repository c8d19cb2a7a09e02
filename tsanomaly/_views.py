# SPDX-License-Identifier: MIT
"""Errors of the rows of a series by one model, or by several on separate scales.

A *view* is a model (`_residuals`) with the rule (`_row_errors`) that aggregates its
residuals into errors. A *blend* combines several views, each on its own scale.
"""

from functools import partial

import numpy as np

from tsanomaly._means_by_length import mean_of_known
from tsanomaly._progress import silence
from tsanomaly._residuals import Residuals
from tsanomaly._row_errors import (
    error_of_level,
    evenly,
    join_shares,
    level_of_error,
    power_mean,
    shares_of,
    squared_residuals,
)
from tsanomaly._threads import together
from tsanomaly._windows import (
    RowAverage,
    TrailingWindows,
    trailing_median,
    trailing_medians,
)

__all__ = ["Blend", "Confirmed", "Series", "View", "errors_of_halves", "raised_errors"]

# A half of a series with a smaller share of the total variance is a standstill.
_STANDSTILL = 0.1

# A half of a series lacks a channel if its share of readings, relative to that in all
# rows, is smaller.
_LEAST_KNOWN = 0.1


class Series:
    """A series as the input of models.

    Parameters
    ----------
    X : ndarray of shape (n_timestamps, n_channels)
        float32, centred.
    breaks : ndarray of shape (n_timestamps,), dtype=bool
        Rows that are NaN in every channel.
    imputer : WindowImputer or None
        Fills missing readings. None leaves them missing.
    """

    def __init__(self, X, breaks, imputer):
        self.X = X
        self._imputer = imputer
        self.breaks = breaks
        self._baselines = {}

    @property
    def is_incomplete(self):
        """Whether readings are missing in rows that have others."""
        return bool((np.isnan(self.X).any(axis=1) & ~self.breaks).any())

    def windows(self, n_rows, baseline_window=None, rows=None):
        """Return the trailing windows of all rows.

        With `baseline_window`, each is relative to the median of that many last rows;
        with `rows` as well, possibly only those of these rows are. The medians are kept
        for the next call with these rows or some of them.
        """
        baseline = None
        imputer = self._imputer if self.is_incomplete else None
        if baseline_window is not None:
            kept = self._baselines.get(baseline_window)
            if kept is None or not _includes(kept[0], rows):
                baseline = trailing_medians(self.X, baseline_window, self.breaks, rows)
                kept = self._baselines[baseline_window] = rows, baseline
            baseline = kept[1]
        return TrailingWindows(self.X, n_rows, self.breaks, imputer, baseline)


class View:
    """Errors of rows by one model.

    Parameters
    ----------
    model : object
        Model as described in `_residuals`.
    rule : RowErrorRule
        Rule, fitted or to be fitted with `fit`.
    weights : ndarray of shape (n_channels,) or None, default=None
        Factors of the squared residuals of the channels.
    baseline_window : int or None, default=None
        Number of rows whose median is subtracted from each window. Only for models
        that reconstruct.
    """

    def __init__(self, model, rule, weights=None, baseline_window=None):
        self.model = model
        self.rule = rule
        self.weights = weights
        self.baseline_window = baseline_window

    @property
    def rules(self):
        """The rule, in a list."""
        return [self.rule]

    @property
    def n_start_up(self):
        """Number of rows at the start of a series whose windows are padded."""
        n_start_up = self.model.n_rows - 1
        if self.model.forecasts:  # several rows are forecast separately
            n_start_up += self.rule.n_rows - 1
        return n_start_up

    @property
    def n_context(self):
        """Number of earlier rows that the error of a row depends on."""
        return max(self.n_start_up, (self.baseline_window or 1) - 1)

    @property
    def n_lookahead(self):
        """Number of later rows that the error of a row depends on."""
        return (self.rule.window_size - 1) * self.rule.looks_ahead

    def levels(self, errors):
        """Return the normalised scores of rows with these errors."""
        return self.rule.levels(errors)

    def _windows(self, series, rows=None):
        return series.windows(self.model.n_rows, self.baseline_window, rows)

    def residuals(self, series, rows=None):
        """Return the squared residuals of a series in windows, or in those of rows."""
        windows = self._windows(series, rows)
        return Residuals(self.model, windows, self.n_start_up, self.weights)

    def fit(self, series, rows):
        """Fit the rule.

        Parameters
        ----------
        series : Series
            The training series.
        rows : ndarray of int
            Rows whose errors set the scale, as in `RowErrorRule.fit`.

        Returns
        -------
        errors : ndarray of shape (n_timestamps, n_channels)
            Errors of the series, without running the model twice.
        """
        return self.rule.fit(self.residuals(series), rows)

    def errors(self, series):
        """Return the errors of all rows of a series, (n_timestamps, n_channels).

        NaN at breaks and in rows whose windows are padded.
        """
        return self.rule.errors(self.residuals(series))

    def errors_at(self, series, rows):
        """Return the errors of some rows without breaks, (n_rows, n_channels)."""
        if self.rule.looks_ahead:
            return self.errors(series)[rows]
        return self.rule.errors_at(self.residuals(series, rows), rows)

    def expected_at(self, series, rows):
        """Return the expected readings of some rows without breaks."""
        if self.rule.looks_ahead:
            return self._expected_ahead(series)[rows]
        expected = np.empty((len(rows), series.X.shape[1]))
        done = 0
        for batch, of_windows in self._run(series, rows, rows):
            expected[done : done + len(batch)] = of_windows[:, -1]
            done += len(batch)
        return expected

    def _expected_ahead(self, series):
        """Return the expected readings of all rows, averaged over windows."""
        average = RowAverage(series.X.shape)
        rows, covers_from = self.rule.windows_to_run(series.windows(1))
        done = 0
        for batch, of_windows in self._run(series, rows):
            average.add(of_windows, batch, covers_from[done : done + len(batch)])
            done += len(batch)
        return average.result()

    def _run(self, series, ends, rows=None):
        """Yield batches of rows, and the expected readings of their windows."""
        windows = self._windows(series, rows)
        n_last = self.model.n_rows if self.rule.looks_ahead else 1
        for batch, _, expected in self.model.run(windows, ends, n_last):
            if windows.baseline is not None:
                expected = expected + windows.baseline[batch][:, None]
            yield batch, expected

    def make_last_row_errors(self, imputer):
        """Make a function that computes the errors of single rows, for streams.

        Parameters
        ----------
        imputer : WindowImputer or None
            Fills missing readings.

        Returns
        -------
        of_last : callable or None
            Takes rows of a stretch, centred float32 of shape (n, n_channels), and a
            dict. Returns the errors of the last row, of shape (1, n_channels). The dict
            shares medians of the rows between views: pass an empty one for each row.
            None if a row needs more than one run of the model.
        """
        model, rule = self.model, self.rule
        n_windows = self.n_start_up - model.n_rows + 2  # windows to run for one row
        if rule.looks_ahead or (n_windows > 1 and not model.runs_several):
            return None
        run, size = model.make_runner(imputer), self.n_start_up + 1

        def of_last(rows, medians):
            baseline, length = 0, self.baseline_window
            if length is not None:
                if length not in medians:
                    medians[length] = trailing_median(rows, length)
                baseline = medians[length]
            rows = rows[-size:] - baseline
            n_padded = size - len(rows)
            if len(rows) < model.n_rows:
                return np.full((1, rows.shape[1]), np.nan)
            if n_padded:
                rows = np.concatenate([np.repeat(rows[:1], n_padded, axis=0), rows])
            windows = rows[None]
            if n_windows > 1:
                windows = np.lib.stride_tricks.sliding_window_view(
                    rows, model.n_rows, axis=0
                ).swapaxes(1, 2)
            expected = run(windows)
            actual = windows[:, -expected.shape[1] :]
            if n_windows > 1:  # a model that forecasts one row per window
                actual, expected = actual[None, :, -1], expected[None, :, -1]
            last = slice(-rule.n_rows, None)
            squared = squared_residuals(actual[:, last], expected[:, last])
            if self.weights is not None:
                squared *= self.weights
            if n_padded:  # only for a model that forecasts
                squared[:, :n_padded] = np.nan
            return rule.errors_of_windows(squared)

        return of_last


class Blend:
    r"""Errors of rows by several views, each on its own scale.

    With the normalised scores :math:`l_i` of a row and weights :math:`w_i` that sum to
    1, the row has the score :math:`l = \frac{1}{2} \log \sum_i w_i e^{2 l_i}`, or
    :math:`l = \sum_i w_i l_i`, and the error :math:`\log(1 + e^l)`. Each view
    distributes its part of the first sum over the channels in proportion to its errors.
    A row without an error by one of the views has no error.

    Parameters
    ----------
    views : list of View or Blend
        Views with rules of the same kind. The last one reports progress.
    weights : sequence of float
        Weights of the views, which sum to 1.
    channel_weights : ndarray of shape (n_views, n_channels) or (n_views, 1)
        Weights of the expected readings of the views, which sum to 1 for each channel.
    most_above : float or None, default=None
        If a number, the score is the weighted mean of the scores of the views, at least
        0 each unless all are below, and at most this much above that of the first view.
        A high score then needs all views; otherwise one view is enough.
    """

    def __init__(self, views, weights, channel_weights, *, most_above=None):
        self._views = views
        self._weights = np.asarray(weights)
        self._channel_weights = channel_weights
        self._most_above = most_above

    @property
    def rules(self):
        """The rules of all views."""
        return [rule for view in self._views for rule in view.rules]

    @property
    def n_start_up(self):
        """Number of rows at the start of a series whose windows are padded."""
        return max(view.n_start_up for view in self._views)

    @property
    def n_context(self):
        """Number of earlier rows that the error of a row depends on."""
        return max(view.n_context for view in self._views)

    @property
    def n_lookahead(self):
        """Number of later rows that the error of a row depends on."""
        return max(view.n_lookahead for view in self._views)

    def levels(self, errors):
        """Return the normalised scores of rows with these errors."""
        return level_of_error(errors)

    def fit(self, series, rows):
        """Fit the rules of all views; see `View.fit`."""
        return self.join(
            self._of_each(lambda view: view.fit(series, rows), len(series.X))
        )

    def errors(self, series):
        """Return the errors of all rows of a series; see `View.errors`."""
        return self.join(self._of_each(lambda view: view.errors(series), len(series.X)))

    def errors_at(self, series, rows):
        """Return the errors of some rows without breaks, (n_rows, n_channels)."""
        return self.join(
            self._of_each(lambda view: view.errors_at(series, rows), len(rows))
        )

    def join(self, errors):
        """Combine the errors of the views.

        Parameters
        ----------
        errors : list of ndarray of shape (n_rows, n_channels)

        Returns
        -------
        errors : ndarray of shape (n_rows, n_channels)
        """
        of_rows = [mean_of_known(by_view, axis=1) for by_view in errors]
        levels = np.stack(
            [
                view.levels(by_view)
                for view, by_view in zip(self._views, of_rows, strict=True)
            ],
            axis=1,
        )  # (n_rows, n_views)
        known = ~np.isnan(levels).any(axis=1)
        joined = np.full(errors[0].shape, np.nan)
        if not known.any():
            return joined
        levels = levels[known]
        if self._most_above is not None:
            levels = _bounded(levels, self._most_above)
        level, parts = power_mean(levels, self._weights)
        if self._most_above is not None:
            level = levels @ self._weights
        shares = np.stack(
            [
                shares_of(by_view[known], mean[known])
                for by_view, mean in zip(errors, of_rows, strict=True)
            ],
            axis=1,
        )
        joined[known] = error_of_level(level)[:, None] * join_shares(parts, shares)
        return joined

    def make_last_row_errors(self, imputer):
        """Make a function for the errors of single rows; see `View`."""
        functions = [view.make_last_row_errors(imputer) for view in self._views]
        if None in functions:
            return None

        def of_last(rows, medians):
            return self.join([of_view(rows, medians) for of_view in functions])

        return of_last

    def expected_at(self, series, rows):
        """Return the expected readings of some rows, weighted per channel."""
        expected = self._of_each(lambda view: view.expected_at(series, rows), len(rows))
        return sum(
            weights * by_view
            for weights, by_view in zip(self._channel_weights, expected, strict=True)
        )

    def _of_each(self, function, n_rows):
        """Call a function for all views, of which the last one reports progress.

        One after the other if their rules look ahead: these hold results of the whole
        series, several times its size.
        """

        def silently(view):
            with silence():
                return function(view)

        *others, last = self._views
        functions = [partial(silently, view) for view in others]
        functions.append(partial(function, last))
        return together(functions, 0 if self.n_lookahead else n_rows)


class Confirmed:
    r"""Errors of rows by a view, where they are high confirmed by another one.

    The score of a row with the normalised score :math:`l_1` by the first view is
    :math:`l_1` up to a limit :math:`s`, and :math:`(1 - w) l_1 + w \min(\max(l_2, s),
    l_1)` beyond it. The second view computes the errors of these rows only, unless its
    rule looks ahead.

    Parameters
    ----------
    view, other : View
        Views with rules of the same kind and as many start-up rows.
    weight : float
        Weight :math:`w` of the second view.
    suspicious : float
        The limit :math:`s`.
    """

    def __init__(self, view, other, weight, *, suspicious):
        self._view = view
        self._other = other
        self._weights = np.array([1 - weight, weight])
        self._suspicious = suspicious

    @property
    def rules(self):
        """The rules of both views."""
        return [*self._view.rules, *self._other.rules]

    @property
    def n_start_up(self):
        """Number of rows at the start of a series whose windows are padded."""
        return self._view.n_start_up

    @property
    def n_context(self):
        """Number of earlier rows that the error of a row depends on."""
        return max(self._view.n_context, self._other.n_context)

    @property
    def n_lookahead(self):
        """Number of later rows that the error of a row depends on."""
        return self._view.n_lookahead

    def levels(self, errors):
        """Return the normalised scores of rows with these errors."""
        return level_of_error(errors)

    def fit(self, series, rows):
        """Fit the rules of both views; see `View.fit`."""
        errors = self._view.fit(series, rows)
        with silence():
            others = self._other.fit(series, rows)
        return self._join(errors, lambda suspicious: others[suspicious])

    def errors(self, series):
        """Return the errors of all rows of a series; see `View.errors`."""
        return self._join(
            self._view.errors(series),
            lambda suspicious: self._other.errors_at(series, suspicious),
        )

    def errors_at(self, series, rows):
        """Return the errors of some rows without breaks, (n_rows, n_channels)."""
        return self._join(
            self._view.errors_at(series, rows),
            lambda suspicious: self._other.errors_at(series, rows[suspicious]),
        )

    def make_last_row_errors(self, imputer):
        """Make a function for the errors of single rows; see `View`."""
        first, second = (
            view.make_last_row_errors(imputer) for view in (self._view, self._other)
        )
        if first is None or second is None:
            return None

        def of_last(rows, medians):
            return self._join(first(rows, medians), lambda _: second(rows, medians))

        return of_last

    def expected_at(self, series, rows):
        """Return the weighted mean of the expected readings of both views."""
        first, second = self._weights
        expected = self._view.expected_at(series, rows)
        return first * expected + second * self._other.expected_at(series, rows)

    def _join(self, errors, errors_of):
        """Return the errors of rows, given a function for those by the second view."""
        of_rows = mean_of_known(errors, axis=1)
        levels = self._view.levels(of_rows)
        joined = error_of_level(levels)[:, None] * shares_of(errors, of_rows)
        suspicious = np.flatnonzero(levels > self._suspicious)  # not NaN
        if not len(suspicious):
            return joined
        with silence():
            others = errors_of(suspicious)
        of_others = mean_of_known(others, axis=1)
        level = levels[suspicious]
        confirmed = np.clip(self._other.levels(of_others), self._suspicious, level)
        both = np.stack([level, confirmed], axis=1)
        shares = np.stack(
            [
                shares_of(errors[suspicious], of_rows[suspicious]),
                shares_of(others, of_others),
            ],
            axis=1,
        )
        parts = power_mean(both, self._weights)[1]
        error = error_of_level(both @ self._weights)
        joined[suspicious] = error[:, None] * join_shares(parts, shares)
        return joined


def _includes(rows, some):
    """Whether rows include some others. None means all rows."""
    if rows is None or rows is some:
        return True
    return some is not None and bool(np.isin(some, rows).all())


def _bounded(levels, most_above):
    """Bound the scores of several views by each other, (n_rows, n_views).

    A view may not cancel what another one sees: none is below the median training row
    unless all are. Nor may it by itself find a row far more abnormal than the first
    view does, as a baseline would when a long fault is over.
    """
    least = np.minimum(levels.max(axis=1, keepdims=True), 0)
    levels = np.maximum(levels, least)
    return np.minimum(levels, np.maximum(levels[:, :1], 0) + most_above)


def errors_of_halves(view, series, rows, refit, most=None):
    """Return errors of rows by models that were fitted on the other half of the rows.

    Parameters
    ----------
    view : View or Blend
        View fitted on `rows`.
    series : Series
        The training series.
    rows : ndarray of int
        Training rows.
    refit : callable
        Takes rows and returns a view with the same rules, fitted on these rows.
    most : int or None, default=None
        Maximum number of rows per half. None uses all rows.

    Returns
    -------
    rows : ndarray of int
        Rows with an error. A half that hardly varies, or lacks nearly all readings of
        a channel, is not used for fitting. Empty if the halves are too short for
        separate windows.
    errors : ndarray of shape (n_rows, n_channels)
    """
    overlap = view.n_start_up
    rows = rows[series.windows(overlap + 1).whole[rows]]
    middle = len(rows) // 2
    found, errors = [], []
    if middle > overlap + 1:
        lowest = _STANDSTILL * _variance(series, rows)
        fewest = _LEAST_KNOWN * _known_share(series, rows)
        for learned, held_out in (
            (rows[middle:], rows[: middle - overlap]),
            (rows[:middle], rows[middle + overlap :]),
        ):
            # A model of a standstill says nothing about normal operation, nor does one
            # that has not seen a channel.
            is_complete = (_known_share(series, learned) >= fewest).all()
            if is_complete and _variance(series, learned) > lowest:
                other = refit(evenly(learned))
                found.append(held_out if most is None else evenly(held_out, most))
                errors.append(other.errors_at(series, found[-1]))
    if not found:
        return rows[:0], np.empty((0, series.X.shape[1]))
    return np.concatenate(found), np.concatenate(errors)


def raised_errors(errors, whole, rows, others):
    """Replace in-sample errors by held-out errors where these are larger.

    Parameters
    ----------
    errors : ndarray of shape (n_timestamps, n_channels)
        In-sample errors.
    whole : ndarray of shape (n_timestamps,), dtype=bool
        Rows without padding. The others get NaN.
    rows : ndarray of int
        Rows with held-out errors.
    others : ndarray of shape (len(rows), n_channels)
        Held-out errors.

    Returns
    -------
    raised : ndarray of shape (n_timestamps, n_channels) or None
        None if there are no held-out errors.
    """
    if not len(rows):
        return None
    raised = errors.copy()
    raised[~whole] = np.nan
    larger = mean_of_known(others, axis=1) > mean_of_known(raised[rows], axis=1)
    raised[rows[larger]] = others[larger]
    return raised


def _variance(series, rows):
    """Return the variance of the readings of some rows, summed over the channels."""
    readings = np.ma.masked_invalid(series.X[rows])
    return readings.var(axis=0, dtype=np.float64).filled(0).sum()


def _known_share(series, rows):
    """Return the share of rows with a reading of each channel."""
    return 1 - np.isnan(series.X[rows]).mean(axis=0)
