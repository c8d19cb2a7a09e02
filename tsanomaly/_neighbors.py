# SPDX-License-Identifier: MIT
"""Distances of windows to the nearest ones of a training series.

Windows of 1, 4, 16, … rows, each as the statistics of its channels or as the readings
themselves. Nothing here knows of scikit-learn's estimators.
"""

from contextlib import closing

import numpy as np

from tsanomaly._calibration import LogCalibration
from tsanomaly._neighbor_search import NeighborSearch
from tsanomaly._progress import tell
from tsanomaly._row_errors import error_of_level, evenly, join_shares, power_mean
from tsanomaly._threads import in_one_thread, side_by_side
from tsanomaly._windows import trailing_blocks

__all__ = ["FEATURES", "FEWEST_ROWS", "NeighborView", "window_lengths"]

FEATURES = ("scaled", "raw", "readings")

# Minimum number of training rows for comparing windows of one half with those of the
# other half: some rows have to lie beyond a quantile of 1 %. The longest windows of 512
# rows then still have 64 rows, as those of fewer rows.
FEWEST_ROWS = 512

# Minimum number of separate windows in the rows that are compared with each other: the
# nearest window and those that overlap with it are left out.
_FEWEST_APART = 4

# Statistics of windows of more than one row.
_N_STATISTICS = 5

# Ratio of each length to the previous one.
_RATIO = 4

# Maximum length of windows that are compared by readings. Longer windows always differ
# somewhere, so even the nearest ones are far.
_MOST_ROWS_OF_READINGS = 16

# Number of rows whose features, and whose distances, are computed together; fewer if
# their features, or their nearest windows, contain more numbers.
_BLOCK, _BATCH, _MOST_NUMBERS = 8192, 1024, 2**22

# Number of rows whose features are computed together, at least: rows of context are
# added to them.
_SHORTEST_BLOCK = 256

# The level of a window is limited to the first constant plus the second one times the
# level of its last quarter.
_HEAD_START, _MOST_OF_QUARTER = 1.0, 0.5

# Maximum number of rows from which the scales are learned.
_MOST_TESTED = 2000


def window_lengths(window_size, n_timestamps, kinds):
    """Return the window lengths.

    Parameters
    ----------
    window_size : int
        Maximum length.
    n_timestamps : int
        Number of rows in the training series, or in its longest stretch.
    kinds : list of str
        Kinds of features, as in `FEATURES`.

    Returns
    -------
    lengths : list of int
        The powers of 4 up to `window_size`, a quarter of the rows that are compared
        with each other, and 16 if only readings are compared. Always includes 1.
    """
    n_compared = n_timestamps // 2 if n_timestamps >= FEWEST_ROWS else n_timestamps
    most = max(1, min(window_size, n_compared // _FEWEST_APART))
    if set(kinds) == {"readings"}:
        most = min(most, _MOST_ROWS_OF_READINGS)
    lengths = [1]
    while lengths[-1] * _RATIO <= most:
        lengths.append(lengths[-1] * _RATIO)
    return lengths


def window_statistics(block, lengths):
    """Yield the statistics of trailing windows for several lengths.

    Each length is computed from four adjacent windows of the previous length. The cost
    thus does not grow with the length, there is no cancellation, and the statistics of
    a row do not depend on where the block starts.

    Parameters
    ----------
    block : ndarray of shape (n_rows, n_channels)
        Readings, NaN where missing.
    lengths : list of int
        Window lengths, as from `window_lengths`.

    Yields
    ------
    statistics : ndarray of shape (n_windows, n_statistics, n_channels)
        Statistics of the windows within the block, for each length: mean, standard
        deviation, minimum, maximum and half of the range. For single rows, the
        readings. NaN if a window has no reading of a channel.
    """
    count = (~np.isnan(block)).astype(np.float64)
    is_complete = count.all()
    mean = block.astype(np.float64)
    variance = np.where(count > 0, 0.0, np.nan)
    low = high = mean
    yield mean[:, None]
    for length in lengths[:-1]:
        parts = [
            slice(shift * length, len(mean) - (_RATIO - 1 - shift) * length)
            for shift in range(_RATIO)
        ]
        if is_complete:
            joined = sum(mean[part] for part in parts) / _RATIO
            variance = (
                sum(variance[part] + (mean[part] - joined) ** 2 for part in parts)
                / _RATIO
            )
        else:
            total = sum(count[part] for part in parts)
            shares = [
                np.divide(
                    count[part], total, out=np.zeros(total.shape), where=total > 0
                )
                for part in parts
            ]

            def weighted(values, shares=shares, total=total):
                summed = sum(
                    share * np.where(share > 0, value, 0)
                    for share, value in zip(shares, values, strict=True)
                )
                return np.where(total > 0, summed, np.nan)

            joined = weighted([mean[part] for part in parts])
            variance = weighted(
                [variance[part] + (mean[part] - joined) ** 2 for part in parts]
            )
            count = total
        mean = joined
        low = np.fmin.reduce([low[part] for part in parts])
        high = np.fmax.reduce([high[part] for part in parts])
        yield np.stack([mean, np.sqrt(variance), low, high, (high - low) / 2], axis=1)


class NeighborView:
    """Errors of rows by the distance of their windows to training windows.

    It has the interface of `_views.View`.

    Parameters
    ----------
    searches : list of NeighborSearch
        Searches by kind and length, shortest first.
    kinds : sequence of str
        Kinds of features, as in `FEATURES`.
    lengths : list of int
        Window lengths, as from `window_lengths`.
    n_neighbors : int
        Number of nearest windows.
    looks_ahead : bool, default=False
        Whether windows that start at a row count for it as well.
    """

    def __init__(self, searches, kinds, lengths, n_neighbors, looks_ahead=False):
        self.rules = searches
        self._kinds = kinds
        self._lengths = lengths
        self._n_neighbors = n_neighbors
        self._looks_ahead = looks_ahead

    @property
    def n_start_up(self):
        """Number of rows at the start of a series whose windows are padded."""
        return self.n_context

    @property
    def n_context(self):
        """Number of earlier rows that the error of a row depends on."""
        return self._lengths[-1] - 1

    @property
    def n_lookahead(self):
        """Number of later rows that the error of a row depends on."""
        return self.n_context * self._looks_ahead

    @classmethod
    def keep(
        cls,
        series,
        rows,
        kinds,
        lengths,
        n_neighbors,
        max_samples,
        rng,
        looks_ahead=False,
    ):
        """Choose training windows. `calibrate` has to learn the scales.

        Parameters
        ----------
        series : Series
        rows : ndarray of int
            Rows whose windows are candidates.
        kinds, lengths, n_neighbors
            As in the class.
        max_samples : int
            Maximum number of windows per length.
        rng : numpy.random.Generator
            Draws the windows.
        looks_ahead : bool, default=False
            As in the class.

        Returns
        -------
        view : NeighborView
            Its searches have no calibration.
        """
        chosen = []
        for length in lengths:
            whole = _whole(series, rows, length)
            size = min(max_samples, len(whole))
            chosen.append(np.sort(rng.choice(whole, size, replace=False)))
        view = cls([], kinds, lengths, n_neighbors, looks_ahead)
        pairs, kept = view._pairs(), []
        for found, features in view._features(series, np.unique(np.hstack(chosen))):
            kept.append(
                [
                    values[np.isin(found, chosen[i], assume_unique=True)]
                    for (i, _), values in zip(pairs, features, strict=True)
                ]
            )
        for (i, kind), parts in zip(pairs, zip(*kept, strict=True), strict=True):
            features, readings = np.concatenate(parts), series.X[chosen[i]]
            view.rules.append(
                NeighborSearch(kind, lengths[i], features, chosen[i], readings)
            )
        return view

    def calibrate(self, series, rows):
        """Learn the scales of the distances.

        Parameters
        ----------
        series : Series
            The training series.
        rows : ndarray of int
            Training rows.

        Returns
        -------
        errors : ndarray of shape (n_timestamps, n_channels)
            Errors of all rows, as from `errors`.
        """
        tested = evenly(_whole(series, rows, self._lengths[-1]), _MOST_TESTED)
        every = np.flatnonzero(~series.breaks)
        # If there are few rows, results are reused, so that no row is searched twice.
        is_short = len(every) <= _MOST_TESTED
        searched = every if is_short else tested
        found = [results for _, results in self._run(series, searched)]
        distances, shares = (np.concatenate(part) for part in zip(*found, strict=True))
        is_tested = np.isin(searched, tested)
        for search, of_search in zip(self.rules, distances.T, strict=True):
            search.calibration = LogCalibration(of_search[is_tested])
        if not is_short:
            return self.errors(series)
        errors = np.full(series.X.shape, np.nan)
        n_before = _rows_before(series)[every]
        errors[every] = self._errors_of(distances, shares, n_before)
        return errors

    @classmethod
    def memory(cls, shape, kinds, lengths, max_samples, n_neighbors):
        """Estimate the bytes that `fit` takes on a series of this shape."""
        n_timestamps, n_channels = shape
        n_windows = min(max_samples, n_timestamps)
        view = cls([], kinds, lengths, n_neighbors)
        of_searches = [8 * n_each * n_channels for _, n_each in view.sizes()]
        # Features of training windows, and the three arrays of `prepare`.
        windows = n_windows * (5 * sum(of_searches))
        block = 3 * (view._block_size(n_channels) + lengths[-1]) * sum(of_searches)
        nearest = 32 * max(_MOST_NUMBERS, n_neighbors * max(of_searches) // 8)
        return windows + block + nearest + 16 * n_windows * _BATCH

    def _pairs(self):
        """Return the index of the length, and the kind, of each search."""
        return [
            (i, kind)
            for i, length in enumerate(self._lengths)
            for kind in self._kinds
            if kind != "readings" or length <= _MOST_ROWS_OF_READINGS
        ]

    def sizes(self):
        """Return kind, length and number of features per channel of each search."""
        return [
            (
                (kind, self._lengths[i]),
                self._lengths[i] if kind == "readings" else _N_STATISTICS if i else 1,
            )
            for i, kind in self._pairs()
        ]

    def _features(self, series, rows):
        """Yield batches of the rows with their features for each search."""
        context = self.n_context
        positions = np.arange(len(series.X))
        for block_rows, block, current in trailing_blocks(
            series.X, series.breaks, context, self._block_size(series.X.shape[1])
        ):
            wanted = np.isin(positions[block_rows], rows, assume_unique=True)
            if wanted.any():
                ends = np.arange(len(block))[current][wanted]
                yield positions[block_rows][wanted], self._of_block(block, ends)

    def _of_block(self, block, ends):
        """Return the features of the windows of a block that end at given rows."""
        statistics = {}
        if set(self._kinds) - {"readings"}:
            for i, values in enumerate(window_statistics(block, self._lengths)):
                statistics[i] = values[ends - (self._lengths[i] - 1)]
        features = []
        for i, kind in self._pairs():
            if kind == "readings":
                window = np.arange(1 - self._lengths[i], 1)
                features.append(block[ends[:, None] + window].astype(np.float64))
            else:
                features.append(statistics[i])
        return features

    def errors(self, series):
        """Return the errors of all rows, (n_timestamps, n_channels), NaN at breaks."""
        rows = np.flatnonzero(~series.breaks)
        if self._looks_ahead:
            return self._errors_ahead(series, rows)
        errors = np.full(series.X.shape, np.nan)
        errors[rows] = self.errors_at(series, rows)
        return errors

    def errors_at(self, series, rows):
        """Return the errors of some rows, in order and without breaks."""
        if self._looks_ahead:
            return self.errors(series)[rows]
        errors = [np.empty((0, series.X.shape[1]))]
        done = 0
        n_before = _rows_before(series)
        for batch, (distances, shares) in self._run(series, rows):
            errors.append(self._errors_of(distances, shares, n_before[batch]))
            done += len(batch)
            tell(done, len(rows), "rows")
        return np.concatenate(errors)

    def _errors_ahead(self, series, rows):
        """Return the errors of all rows, given those without breaks."""
        errors = np.full(series.X.shape, np.nan)
        n_before = _rows_before(series)[rows]
        size = self._block_size(series.X.shape[1])
        kept, done, known = [], 0, 0  # results of the rows from `done` to `known`
        for batch, results in self._run(series, rows):
            kept.append(results)
            known += len(batch)
            ready = known if known == len(rows) else known - self.n_lookahead
            if known < len(rows) and ready - done < size:
                continue
            parts = [np.concatenate(part) for part in zip(*kept, strict=True)]
            of_rows = self._errors_of(*parts, n_before[done:known])
            errors[rows[done:ready]] = of_rows[: ready - done]
            kept = [[part[ready - done :] for part in parts]]
            done = ready
            tell(done, len(rows), "rows")
        return errors

    def _errors_of(self, distances, shares, n_before):
        """Return the errors of successive rows from the results of all searches.

        If windows that start at a row count, the last rows have some of them only.

        Parameters
        ----------
        distances : ndarray of shape (n_rows, n_searches)
        shares : ndarray of shape (n_rows, n_searches, n_channels)
        n_before : ndarray of shape (n_rows,)
            Number of earlier rows in the stretch of each row.
        """
        levels = self._counted(self._levels(distances), n_before)
        if self._looks_ahead:
            # The windows that start at a row are those that end at a later one.
            lengths = np.array([self._lengths[i] for i, _ in self._pairs()])
            longer = np.flatnonzero(lengths > 1)
            ends = np.arange(len(levels))[:, None] + lengths[longer] - 1
            is_whole = ends < len(levels)
            ends = np.minimum(ends, len(levels) - 1)
            is_whole &= n_before[ends] == n_before[:, None] + lengths[longer] - 1
            ahead = np.where(is_whole, levels[ends, longer], np.nan)
            levels = np.concatenate([levels, ahead], axis=1)
            ahead = np.where(is_whole[..., None], shares[ends, longer], np.nan)
            shares = np.concatenate([shares, ahead], axis=1)
        return _join(levels, shares)

    def expected_at(self, series, rows):
        """Return the expected readings of some rows, in order and without breaks.

        These are the means of the last rows of the nearest windows that end at a row,
        weighted by the part of each search in its error.
        """
        expected = [np.empty((0, series.X.shape[1]))]
        n_before = _rows_before(series)
        for batch, (distances, _, readings) in self._run(series, rows, expected=True):
            levels = self._counted(self._levels(distances), n_before[batch])
            parts = power_mean(levels)[1]
            expected.append(np.einsum("rs,rsc->rc", parts, readings))
        return np.concatenate(expected)

    def make_last_row_errors(self, imputer):
        """Make a function for the errors of single rows; see `View`.

        `imputer` is not used: windows may have missing readings.
        """
        if self._looks_ahead:
            return None
        size, prepared = self.n_context + 1, self._prepare()

        def of_last(rows, medians):
            rows = rows[-size:]
            n_before = len(rows) - 1
            if len(rows) < size:
                padding = np.repeat(rows[:1], size - len(rows), axis=0)
                rows = np.concatenate([padding, rows])
            features = self._of_block(rows, np.array([size - 1]))
            distances, shares = self._search(features, prepared)
            return self._errors_of(distances, shares, np.array([n_before]))

        return of_last

    def _counted(self, levels, n_before):
        """Drop the levels of padded windows, and limit the others.

        The level of a window is limited to 1 plus half of that of its last quarter.
        Long windows thus find mild anomalies, but those that are over do not affect all
        rows until they have left the windows. Without a limit if windows that start at
        a row count as well: what is over is outside of these.

        Parameters
        ----------
        levels : ndarray of shape (n_rows, n_searches)
        n_before : ndarray of shape (n_rows,)
            Number of earlier rows in the stretch of each row.
        """
        counted = levels.copy()
        number = {pair: column for column, pair in enumerate(self._pairs())}
        for (i, kind), column in number.items():
            if i and not self._looks_ahead:
                of_quarter = levels[:, number[i - 1, kind]]
                most = _HEAD_START + _MOST_OF_QUARTER * np.maximum(of_quarter, 0)
                counted[:, column] = np.minimum(counted[:, column], most)
            counted[n_before < self._lengths[i] - 1, column] = np.nan
        return counted

    def _block_size(self, n_channels):
        """Return the number of rows whose features are computed together."""
        n_numbers = sum(n_each for _, n_each in self.sizes()) * n_channels
        return max(_SHORTEST_BLOCK, min(_BLOCK, 4 * _MOST_NUMBERS // n_numbers))

    def _batch_size(self, n_channels):
        """Return the number of rows whose distances are computed together."""
        widest = max(n_each for _, n_each in self.sizes()) * n_channels
        return max(1, min(_BATCH, _MOST_NUMBERS // (self._n_neighbors * widest)))

    def _batches(self, series, rows):
        size = self._batch_size(series.X.shape[1])
        for some, features in self._features(series, rows):
            for start in range(0, len(some), size):
                batch = slice(start, start + size)
                yield some[batch], [values[batch] for values in features]

    def _run(self, series, rows, expected=False):
        """Yield batches of the rows, in order, with the results of all searches."""
        prepared = self._prepare()

        def one(item):
            batch, features = item
            return batch, self._search(features, prepared, expected)

        batches = self._batches(series, rows)
        with in_one_thread(), closing(side_by_side(one, batches)) as results:
            yield from results

    def _prepare(self):
        return [search.prepare() for search in self.rules]

    def _search(self, features, prepared, expected=False):
        """Return distances and shares of rows for all searches.

        With `expected`, also the means of the last rows of the nearest windows.
        """
        found = [
            search.search(values, ready, self._n_neighbors)
            for search, values, ready in zip(
                self.rules, features, prepared, strict=True
            )
        ]
        distances, shares, nearest = zip(*found, strict=True)
        results = [distances, shares]
        if expected:
            pairs = zip(self.rules, nearest, strict=True)
            results.append(
                [search.readings[some].mean(axis=1) for search, some in pairs]
            )
        return tuple(np.stack(part, axis=1) for part in results)

    def _levels(self, distances):
        """Return the levels of distances, (n_rows, n_searches)."""
        pairs = zip(self.rules, distances.T, strict=True)
        return np.stack([rule.calibration(column) for rule, column in pairs], axis=1)


def _join(levels, shares):
    """Return the errors of rows and channels from the results of all searches."""
    level, parts = power_mean(levels)
    return error_of_level(level)[:, None] * join_shares(parts, shares)


def _rows_before(series):
    """Return the number of earlier rows in the stretch of each row."""
    return np.arange(len(series.X)) - series.windows(1).first_rows


def _whole(series, rows, length):
    """Return the rows whose windows are not padded, or all rows if there are none."""
    whole = rows[series.windows(length).whole[rows]]
    return whole if len(whole) else rows
