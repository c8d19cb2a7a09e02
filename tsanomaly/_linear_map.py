# SPDX-License-Identifier: MIT
"""Optimal linear reconstruction of noisy windows, in closed form."""

import numpy as np
from scipy.optimize import brentq

from tsanomaly._threads import in_one_thread

__all__ = ["LinearMap"]

# Maximum number of components: a few dozen explain the variance of windows whose
# channels are correlated, and the cost per window grows with them.
_MOST_COMPONENTS = 64

# Maximum number of readings in the training windows: 200 MB, and about the same again
# as working memory. For 38 channels and windows of 80 rows, this is 16,400 windows.
# With few windows, components of low variance are noise.
_MOST_READINGS = 50_000_000

# Maximum number of readings per window for which the components are exact, computed
# from the covariance, if there are at least as many windows. Otherwise the solver of
# scikit-learn is used: for many wide windows a random projection, which is faster.
_WIDEST_EXACT = 640

# Smallest relative tolerance that SciPy accepts for roots.
_RTOL = 4 * np.finfo(np.float64).eps


class LinearMap:
    r"""Linear denoising autoencoder of windows.

    The optimal linear map to restore windows with white noise of variance
    :math:`\sigma^2` projects them onto their principal components and multiplies each
    projection by :math:`g_i = \lambda_i / (\lambda_i + \sigma^2)`, where
    :math:`\lambda_i` is the variance along the component (Wiener filter). Directions of
    high variance pass almost unchanged, others are attenuated. Unlike with a truncated
    PCA, an outlier leaves a residual in every direction.

    Parameters
    ----------
    mean : ndarray of shape (window_size * n_channels,)
        Mean of the windows, time-major.
    components : ndarray of shape (n_components, window_size * n_channels)
        Principal components.
    gains : ndarray of shape (n_components,)
        Factors of the projections, in [0, 1].
    """

    def __init__(self, mean, components, gains):
        self.mean = mean
        self.components = components
        self.gains = gains

    @classmethod
    def fit(cls, windows, rows, variance, seed):
        r"""Fit the map to the windows of some rows.

        Parameters
        ----------
        windows : TrailingWindows
            Source of the windows, float32.
        rows : ndarray of int
            Rows whose windows are used, or sampled if there are many.
        variance : float
            Share of the variance of the windows, in (0, 1), that determines the noise:
            over all components, :math:`\sum_i g_i \lambda_i` is this share of
            :math:`\sum_i \lambda_i`. The contribution of components that are not kept
            is dropped.
        seed : int
            Seed of the sample and of a random projection.

        Returns
        -------
        linear_map : LinearMap
        """
        from sklearn.decomposition import PCA

        rng = np.random.default_rng([seed, 3])
        most = _most_windows(windows.take(rows[:1]).size)
        if len(rows) > most:
            rows = np.sort(rng.choice(rows, most, replace=False))
        flat = windows.fill(windows.take(rows)).reshape(len(rows), -1)
        # Centred and scaled here, because PCA computes in float32.
        mean = flat.mean(axis=0, dtype=np.float64).astype(np.float32)
        flat -= mean
        largest = np.abs(flat).max()
        if not largest > 0:  # all windows are identical
            components = np.zeros((1, flat.shape[1]), np.float32)
            return cls(mean, components, np.zeros(1, np.float32))
        flat /= largest
        total = float(np.linalg.norm(flat)) ** 2 / max(len(flat) - 1, 1)
        n_components = min(_MOST_COMPONENTS, *flat.shape)
        exact = flat.shape[1] <= min(_WIDEST_EXACT, len(flat))
        # More power iterations slightly improve the last components, but not the
        # detection of anomalies.
        pca = PCA(
            n_components,
            svd_solver="covariance_eigh" if exact else "auto",
            iterated_power=2,
            random_state=int(rng.integers(2**31)),
        )
        with in_one_thread():
            pca.fit(flat)
        along = np.maximum(pca.explained_variance_.astype(np.float64), 0)
        n_others = flat.shape[1] - n_components
        others = max(total - along.sum(), 0) / max(n_others, 1)
        noise = _noise_variance(along, others, n_others, variance * total)
        gains = along / (along + noise) if noise > 0 else (along > 0).astype(float)
        components = pca.components_.astype(np.float32)
        return cls(mean, components, gains.astype(np.float32))

    @staticmethod
    def memory(n_windows, size):
        """Estimate the maximum number of bytes that `fit` takes."""
        n_windows = min(n_windows, _most_windows(size))
        # Besides the windows, a few matrices with one row per reading or component.
        n_rows = max(4 * _MOST_COMPONENTS, 5 * min(size, _WIDEST_EXACT))
        return 4 * size * (2 * n_windows + n_rows)

    def __call__(self, windows, n_last=None):
        """Reconstruct windows.

        Parameters
        ----------
        windows : ndarray of shape (n_windows, window_size, n_channels)
            float32.
        n_last : int or None, default=None
            Number of rows at the end of each window to return. None returns all.

        Returns
        -------
        reconstructed : ndarray of shape (n_windows, n_last, n_channels)
            float32.
        """
        centred = windows.reshape(len(windows), -1) - self.mean
        code = centred @ self.components.T  # (n_windows, n_components)
        code *= self.gains
        n_channels = windows.shape[2]
        n_columns = (n_last or windows.shape[1]) * n_channels
        first = max(len(self.mean) - n_columns, 0)
        restored = code @ self.components[:, first:]
        restored += self.mean[first:]
        return restored.reshape(len(windows), -1, n_channels)


def _most_windows(size):
    """Return the maximum number of training windows of a given size."""
    return max(_MOST_READINGS // size, 2)


def _noise_variance(along, others, n_others, wanted):
    """Return the noise variance for which the filter keeps the wanted variance.

    `along` are the variances of the components, and `others` is that of each direction
    that is not kept. The more noise, the less variance is kept.
    """

    def excess(log_noise):
        noise = np.exp(log_noise)
        kept = (along**2 / (along + noise)).sum()
        if others:
            kept += n_others * others**2 / (others + noise)
        return kept - wanted

    low, high = np.log(along[0] * 1e-9), np.log(along[0] * len(along) * 1e9)
    if excess(low) <= 0:
        return 0.0
    return float(np.exp(brentq(excess, low, high, xtol=1e-15, rtol=_RTOL)))
