# SPDX-License-Identifier: MIT
"""Values that models see in place of missing readings."""

import numpy as np

from tsanomaly._threads import in_one_thread
from tsanomaly._trainers import INPUT_LIMIT

__all__ = ["WindowImputer"]

# Maximum number of windows that are filled at a time, and approximate maximum number of
# coefficients for them, and of those that are kept for other windows.
_BLOCK, _MOST_NUMBERS = 256, 2**22

# Approximate number of readings that are gathered at a time, to stay in the cache.
_CHUNK = 2**17

# Maximum number of readings that correlations are estimated from.
_MOST_READINGS = 5_000_000

# Penalty relative to the variance of a channel: some channels are nearly identical.
_PENALTY = 0.01

# A channel whose spread is at most this share of its mean is constant.
_CONSTANT = 1e-12


class WindowImputer:
    r"""Fill missing readings from other readings of their window.

    A channel without a reading in row :math:`t` gets its last reading in the window, in
    row :math:`s` (or its first one, if there is no earlier one), and the expected
    change since then, given the channels :math:`o` that have a reading in row
    :math:`t`:

    .. math:: \hat{x}_c(t) = x_c(s) + K_{co} (x_o(t) - x_o(s)).

    Without any reading in the window, it is the expected reading :math:`K_{co} x_o(t)`.
    Here :math:`K = -P_{mm}^{-1} P_{mo}` are the coefficients of the conditional mean of
    the missing channels :math:`m` of a multivariate normal distribution with mean 0 and
    precision matrix :math:`P`.

    Only readings of the window are used, so that the context of a row does not grow.

    Parameters
    ----------
    precision : ndarray of shape (n_channels, n_channels)
        Inverse of the correlation matrix. An identity matrix forward-fills.
    scale : ndarray of shape (n_channels,)
        Standard deviations of the channels.
    """

    def __init__(self, precision, scale):
        self.precision = precision
        self.scale = scale
        self._known, self._n_known = {}, 0  # coefficients of each pattern

    @classmethod
    def fit(cls, X, center):
        """Estimate the correlations.

        Each one is estimated from the rows in which both channels have a reading, and
        shrunk by the intensity of the OAS estimator [1]_ for this number of rows.
        Channels that are never read in the same row count as uncorrelated.

        Parameters
        ----------
        X : ndarray of shape (n_timestamps, n_channels)
            Series, NaN where a reading is missing.
        center : ndarray of shape (n_channels,)
            Means of the channels.

        Returns
        -------
        imputer : WindowImputer

        References
        ----------
        .. [1] Y. Chen, A. Wiesel, Y. C. Eldar and A. O. Hero, "Shrinkage algorithms for
           MMSE covariance estimation", IEEE Transactions on Signal Processing 58, 2010,
           Eq. 23.
        """
        n_rows, n_channels = X.shape
        most = max(_MOST_READINGS // n_channels, 1)
        if n_rows > most:  # at random: some sensors are read in every other row
            chosen = np.random.default_rng(0).choice(n_rows, most, replace=False)
            X = X[np.sort(chosen)]
        known = ~np.isnan(X)
        count = np.maximum(known.sum(axis=0), 1)
        scaled = np.where(known, np.subtract(X, center, dtype=np.float64), 0)
        largest = np.abs(scaled).max(axis=0)
        largest[~(largest > _CONSTANT * np.abs(center))] = 1.0
        scaled /= largest  # first, so that squares are within range
        rms = np.sqrt(np.square(scaled).sum(axis=0) / count)
        is_constant = ~(rms * largest > _CONSTANT * np.abs(center)) | ~(rms > 0)
        rms[is_constant] = 1.0
        scaled /= rms
        scaled[:, is_constant] = 0
        with in_one_thread():
            known = known.astype(np.float64)
            common = np.maximum(known.T @ known, 1)
            squares = known.T @ np.square(scaled)  # of the second, where both are known
            spread = np.sqrt(np.maximum(squares * squares.T, 1e-300))
            correlation = scaled.T @ scaled / spread
            correlation.flat[:: n_channels + 1] = 1
            square = np.square(correlation).mean()  # at least 1 / n_channels
            distance = np.maximum((common + 1) * (square - 1 / n_channels), 1e-300)
            correlation *= 1 - np.minimum((square + 1) / distance, 1)
            correlation.flat[:: n_channels + 1] = 1
            # Those of different rows need not fit together.
            variances, directions = np.linalg.eigh(correlation)
            variances = np.maximum(variances, 0)
            total = np.square(directions) @ variances  # the diagonal, at least 1
            directions /= np.sqrt(total)[:, None]
            correlation = (directions * variances) @ directions.T
            correlation.flat[:: n_channels + 1] += _PENALTY
            precision = np.linalg.inv(correlation)
        return cls((precision + precision.T) / 2, rms * largest)

    def fill(self, windows):
        """Fill missing readings.

        Parameters
        ----------
        windows : ndarray of shape (n_windows, window_size, n_channels)
            Windows with NaN for missing readings. They are not modified.

        Returns
        -------
        filled : ndarray of the same shape
            Windows without NaN, filled with values within the limit of the input of
            networks; `windows` itself if nothing is missing.
        """
        missing = np.isnan(windows)
        if not missing.any():
            return windows
        filled = np.empty_like(windows)
        # With as many coefficients per missing reading as there are channels, unless
        # rows of the windows are the same.
        per_window = missing.sum() / len(windows) * windows.shape[2]
        size = int(np.clip(_MOST_NUMBERS / per_window, 1, _BLOCK))
        for start in range(0, len(windows), size):
            block = slice(start, start + size)
            filled[block] = windows[block]
            if missing[block].any():
                filled[block] = self._fill(windows[block], missing[block])
        return filled

    def _fill(self, windows, missing):
        size = windows.shape[1]
        positions = np.arange(size, dtype=np.int32)[:, None]
        # Row of the reading that each one repeats; `size` if there is none.
        source = np.maximum.accumulate(np.where(missing, -1, positions), axis=1)
        first = np.where(missing, size, positions).min(axis=1, keepdims=True)
        source = np.where(source < 0, first, source)
        seen = np.take_along_axis(windows, np.minimum(source, size - 1), axis=1)
        seen[source == size] = 0
        filled = seen.copy()
        window, row, channel = np.nonzero(missing)
        then = source[window, row, channel]
        partly = missing.any(axis=2)
        patterns, found = _distinct(missing[partly])
        number = np.zeros(partly.shape, np.intp)
        number[partly] = found
        gains = np.concatenate(self._gains(patterns))
        rank = np.cumsum(patterns).reshape(patterns.shape) - 1
        place = rank[number[window, row], channel]  # in the gains
        scale = self.scale.astype(windows.dtype)
        scale = np.maximum(scale, np.finfo(windows.dtype).tiny)
        at_once = max(_CHUNK // windows.shape[2], 1)
        for start in range(0, len(window), at_once):
            part = slice(start, start + at_once)
            w, t, c, s = window[part], row[part], channel[part], then[part]
            change = seen[w, np.minimum(s, size - 1)]
            change[s == size] = 0
            np.subtract(seen[w, t], change, out=change)
            with np.errstate(over="ignore"):  # unscaled channels of extreme size
                change /= scale
                np.clip(change, -INPUT_LIMIT, INPUT_LIMIT, out=change)
                expected = np.einsum("ij,ij->i", change, gains[place[part]])
                filled[w, t, c] += scale[c] * expected
        return np.where(missing, np.clip(filled, -INPUT_LIMIT, INPUT_LIMIT), windows)

    def _gains(self, patterns):
        """Return the coefficients of missing channels for each pattern.

        Parameters
        ----------
        patterns : ndarray of shape (n_patterns, n_channels), dtype=bool
            True for missing channels.

        Returns
        -------
        gains : list of ndarray of shape (n_missing, n_channels)
            float32. 0 for other missing channels.
        """
        keys = [pattern.tobytes() for pattern in np.packbits(patterns, axis=1)]
        gains = [self._known.get(key) for key in keys]
        new = np.array([i for i, known in enumerate(gains) if known is None], np.intp)
        n_missing = patterns[new].sum(axis=1)
        for n in np.unique(n_missing):
            same = new[n_missing == n]
            absent = np.nonzero(patterns[same])[1].reshape(-1, n)
            of_absent = self.precision[absent]  # (n_patterns, n_missing, n_channels)
            inside = np.take_along_axis(of_absent, absent[:, None], axis=2)
            np.put_along_axis(of_absent, absent[:, None], 0, axis=2)
            solved = np.linalg.solve(inside, -of_absent).astype(np.float32)
            for i, of_pattern in zip(same, solved, strict=True):
                gains[i] = of_pattern
        # Other threads may do the same.
        if self._n_known > _MOST_NUMBERS:
            self._known, self._n_known = {}, 0
        self._known.update((keys[i], gains[i]) for i in new)
        self._n_known += sum(gains[i].size for i in new)
        return gains


def _distinct(patterns):
    """Return the distinct rows of a boolean matrix, and which of them each row is."""
    packed = np.packbits(patterns, axis=1)
    keys = packed.view(f"S{packed.shape[1]}").ravel()  # faster than axis=0
    _, first, number = np.unique(keys, return_index=True, return_inverse=True)
    return patterns[first], number
