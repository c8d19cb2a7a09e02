# SPDX-License-Identifier: MIT
"""Values that models see in place of missing readings."""

import numpy as np

from tsanomaly._threads import in_one_thread

__all__ = ["WindowImputer"]

# Number of windows in which missing readings are filled at a time.
_BLOCK = 256

# Approximate number of readings that are gathered at a time.
_MOST_NUMBERS = 2**20

# Maximum number of readings that the covariance is estimated from.
_MOST_READINGS = 5_000_000

# Penalty relative to the variance of a channel: some channels are nearly identical.
_PENALTY = 0.01


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

    Since only readings of the window are used, the context of a row does not grow, and
    no row depends on later ones.

    Parameters
    ----------
    precision : ndarray of shape (n_channels, n_channels)
        Inverse of the covariance matrix. An identity matrix forward-fills.
    """

    def __init__(self, precision):
        self.precision = precision

    @classmethod
    def fit(cls, X):
        """Estimate the precision matrix by shrinkage [1]_.

        Correlations with channels that have few readings in common are estimated as too
        small, those of few rows as well.

        Parameters
        ----------
        X : ndarray of shape (n_timestamps, n_channels)
            Centred series, NaN where a reading is missing.

        Returns
        -------
        imputer : WindowImputer

        References
        ----------
        .. [1] O. Ledoit and M. Wolf, "A well-conditioned estimator for
           large-dimensional covariance matrices", Journal of Multivariate Analysis 88,
           2004.
        """
        from sklearn.covariance import ledoit_wolf

        n_channels = X.shape[1]
        X = X[:: max(X.size // _MOST_READINGS, 1)]
        scale = np.sqrt(np.nanmean(np.square(X, dtype=np.float64), axis=0))
        scale[~(scale > 0)] = 1.0
        scaled = np.nan_to_num(X / scale)
        # Channels with missing readings have a smaller variance now.
        rms = np.sqrt(np.square(scaled).mean(axis=0))
        scaled /= np.where(rms > 0, rms, 1.0)
        with in_one_thread():
            covariance = ledoit_wolf(scaled, assume_centered=True)[0]
            covariance.flat[:: n_channels + 1] += _PENALTY
            inverse = np.linalg.inv(covariance)
        return cls((inverse + inverse.T) / 2 / np.outer(scale, scale))

    def fill(self, windows):
        """Fill missing readings.

        Parameters
        ----------
        windows : ndarray of shape (n_windows, window_size, n_channels)
            Windows with NaN for missing readings. They are not modified.

        Returns
        -------
        filled : ndarray of the same shape
            Windows without NaN; `windows` itself if nothing is missing.
        """
        missing = np.isnan(windows)
        if not missing.any():
            return windows
        filled = np.empty_like(windows)
        for start in range(0, len(windows), _BLOCK):
            block = slice(start, start + _BLOCK)
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
        gains = np.concatenate([self._gains(pattern) for pattern in patterns])
        rank = np.cumsum(patterns).reshape(patterns.shape) - 1
        place = rank[number[window, row], channel]  # in the gains
        at_once = max(_MOST_NUMBERS // windows.shape[2], 1)
        for start in range(0, len(window), at_once):
            part = slice(start, start + at_once)
            w, t, c, s = window[part], row[part], channel[part], then[part]
            change = seen[w, np.minimum(s, size - 1)]
            change[s == size] = 0
            np.subtract(seen[w, t], change, out=change)
            filled[w, t, c] += np.einsum("ij,ij->i", change, gains[place[part]])
        return filled

    def _gains(self, missing):
        """Return the coefficients of missing channels, (n_missing, n_channels)."""
        of_missing = self.precision[missing]
        gains = np.zeros(of_missing.shape, np.float32)
        gains[:, ~missing] = np.linalg.solve(
            of_missing[:, missing], -of_missing[:, ~missing]
        )
        return gains


def _distinct(patterns):
    """Return the distinct rows of a boolean matrix, and which of them each row is."""
    packed = np.packbits(patterns, axis=1)
    keys = packed.view(f"S{packed.shape[1]}").ravel()  # faster than axis=0
    _, first, number = np.unique(keys, return_index=True, return_inverse=True)
    return patterns[first], number
