# SPDX-License-Identifier: MIT
"""The best linear reconstruction of noisy windows, in closed form.

Nothing here knows of networks.
"""

import threading
from contextlib import contextmanager
from functools import cache

import numpy as np
from scipy.optimize import brentq
from threadpoolctl import ThreadpoolController

__all__ = ["LinearMap", "in_one_thread"]

# Directions that are kept at most: a few dozen hold the variance of windows whose
# channels move together, and the cost of every window grows with them.
_MOST_COMPONENTS = 64

# Readings in the windows that the directions are learned from, at most: 200 MB, and
# about as much again to work on. For 38 channels and windows of 80 rows these are
# 16,400 windows. With few windows, directions in which they hardly vary are noise.
_MOST_READINGS = 50_000_000

# Readings of a window up to which the directions are exact, from the covariance of the
# windows, if there are at least as many windows. Otherwise scikit-learn chooses: for
# many wide windows a random projection, which is faster.
_WIDEST_EXACT = 640

# The closest that SciPy looks for a root.
_RTOL = 4 * np.finfo(np.float64).eps


class LinearMap:
    r"""Linear denoising autoencoder of windows.

    Of all linear maps, the one that best restores windows to which white noise of
    variance :math:`\sigma^2` was added projects them on their principal components and
    multiplies each by :math:`g_i = \lambda_i / (\lambda_i + \sigma^2)`, with the
    variance :math:`\lambda_i` along the component (Wiener's filter). Directions in
    which windows vary much pass almost unchanged, others hardly; unlike with a fixed
    number of components, a reading far outside leaves a residual in every direction.

    Parameters
    ----------
    mean : ndarray of shape (window_size * n_channels,)
        Mean of the windows, time-major.
    components : ndarray of shape (n_components, window_size * n_channels)
        Principal components.
    gains : ndarray of shape (n_components,)
        What each is multiplied by, in [0, 1].
    """

    def __init__(self, mean, components, gains):
        self.mean = mean
        self.components = components
        self.gains = gains

    @classmethod
    def fit(cls, windows, rows, variance, seed):
        r"""Learn from the windows of some rows.

        Parameters
        ----------
        windows : TrailingWindows
            Source of the windows, float32.
        rows : ndarray of int
            Rows whose windows are learned from; a sample of them if they are many.
        variance : float
            Share of the windows' variance, in (0, 1), that determines the noise: with
            all components, :math:`\sum_i g_i \lambda_i` would be that share of
            :math:`\sum_i \lambda_i`. What the components that are not kept would add is
            left out.
        seed : int
            Seed of the sample, and of a random projection.

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
        # Centred and scaled here, since PCA computes in float32 as well.
        mean = flat.mean(axis=0, dtype=np.float64).astype(np.float32)
        flat -= mean
        largest = np.abs(flat).max()
        if not largest > 0:  # windows that are all the same
            components = np.zeros((1, flat.shape[1]), np.float32)
            return cls(mean, components, np.zeros(1, np.float32))
        flat /= largest
        total = float(np.linalg.norm(flat)) ** 2 / max(len(flat) - 1, 1)
        n_components = min(_MOST_COMPONENTS, *flat.shape)
        exact = flat.shape[1] <= min(_WIDEST_EXACT, len(flat))
        # More power iterations find the last components a little better, and no more
        # anomalies.
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
        """Bytes that `fit` takes at the most, for windows of so many readings."""
        n_windows = min(n_windows, _most_windows(size))
        # Beside the windows, some matrices of one row for each reading or component.
        n_rows = max(4 * _MOST_COMPONENTS, 5 * min(size, _WIDEST_EXACT))
        return 4 * size * (2 * n_windows + n_rows)

    def __call__(self, windows):
        """Reconstruct windows.

        Parameters
        ----------
        windows : ndarray of shape (n_windows, window_size, n_channels)
            float32.

        Returns
        -------
        reconstructed : ndarray of the same shape
            float32.
        """
        centred = windows.reshape(len(windows), -1) - self.mean
        code = centred @ self.components.T  # (n_windows, n_components)
        code *= self.gains
        restored = code @ self.components
        restored += self.mean
        return restored.reshape(windows.shape)


_limiting = threading.Lock()


@contextmanager
def in_one_thread():
    """Linear algebra in one thread, where threadpoolctl can limit it.

    With several, the last digits of components depend on how many there are, and what
    training ends with depends on these digits: a worker process, which joblib gives
    fewer threads, would train another network. Nor are several faster for windows of a
    few channels: they wait for each other in many small products.

    The limit is that of the process, so only one thread sets it at a time: otherwise
    the first to leave could lift it for the others, or the last restore a limit that
    another had set.
    """
    with _limiting, _thread_pools().limit(limits=1, user_api="blas"):
        yield


@cache
def _thread_pools():
    # Looked for once, and not before the libraries that PCA calls are loaded: to look
    # for them takes as long as to find the components.
    return ThreadpoolController()


def _most_windows(size):
    """How many windows of so many readings are learned from, at most."""
    return max(_MOST_READINGS // size, 2)


def _noise_variance(along, others, n_others, wanted):
    """Variance of the noise with which the filter reconstructs the wanted variance.

    `along` are the variances of the components, `others` that of each of the
    directions that are not kept. The more noise, the less is reconstructed.
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
