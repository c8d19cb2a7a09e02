# SPDX-License-Identifier: MIT
"""Helpers of several test files, other than fixtures."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.patches import PathPatch

from tests import reference
from tsanomaly import LSTMAutoencoderDetector, Training

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"

needs_shared_data = pytest.mark.skipif(
    not SHARED_DATA.is_dir(),
    reason="the full data sets are not beside the checkout, only the packaged ones",
)


def wave(n_timestamps, n_channels=2):
    """A smooth series, standardised by design, with a little noise."""
    rng = np.random.default_rng(n_channels)
    time = np.arange(n_timestamps)[:, None]
    X = np.sin(time / 4 + np.arange(n_channels)) * 1.4
    return X + 0.1 * rng.normal(size=X.shape)


def tiny_detector(**parameters):
    """A detector that fits in a moment; it takes parameters of Training too."""
    training = {"batch_size": 8}
    for name in Training().get_params().keys() & parameters.keys():
        training[name] = parameters.pop(name)
    parameters = {
        "window_size": 5,
        "units": (3,),
        "latent_dim": None,
        "epochs": 1,
        "training": Training(**training),
        "random_state": 0,
        **parameters,
    }
    return LSTMAutoencoderDetector(**parameters)


def related(n_timestamps, n_others=0, seed=0):
    """A random series, its square, and independent series; all standardised."""
    rng = np.random.default_rng(seed)
    first = np.zeros(n_timestamps)
    for t in range(1, n_timestamps):
        first[t] = 0.8 * first[t - 1] + 0.6 * rng.normal()
    others = rng.normal(size=(n_timestamps, n_others))
    return np.column_stack([first, (first**2 - 1) / 1.4, others])


def blending_detector(**parameters):
    """A tiny detector whose network learns what a linear map of `related` cannot."""
    parameters = {
        "window_size": (4, 8),
        "units": (8,),
        "latent_dim": "sequence",
        "epochs": 20,
        "noise": 0.1,
        "batch_size": 32,
        "learning_rate": 0.02,
        **parameters,
    }
    return tiny_detector(**parameters)


def reconstruction_of(detector, view="network"):
    """Return the reconstruction of windows by a view, 'network' or 'linear'."""
    if view == "network":
        reconstruct = detector.to_keras().predict_on_batch  # built anew at every call
    else:

        def reconstruct(windows):
            flat = windows.reshape(len(windows), -1) - detector.linear_mean_
            code = flat @ detector.linear_components_.T * detector.linear_gains_
            restored = code @ detector.linear_components_ + detector.linear_mean_
            return restored.reshape(windows.shape)

    def of_readings(windows):
        centred = np.asarray(windows) - detector.center_
        return reconstruct(centred.astype(np.float32)) + detector.center_

    return of_readings


def errors_of_view(detector, X, view, training, weights=1.0):
    """Compute the errors of rows by one view, in a loop.

    Parameters
    ----------
    detector : LSTMAutoencoderDetector
        A fitted detector.
    X : ndarray of shape (n_timestamps, n_channels)
    view : {'network', 'linear'}
    training : list of int
        Rows of `X` that set the scale of 'multiscale' rules.
    weights : ndarray of shape (n_channels,) or float, default=1.0
        Weights of the squared residuals of each channel.
    """
    reconstruct, scale = reconstruction_of(detector, view), np.sqrt(weights)
    sizes = np.broadcast_to(detector.window_size, 2)
    breaks = np.isnan(X).all(axis=1)
    fill = reference.filler(detector, scale)
    arguments = (
        X * scale,
        lambda windows: reconstruct(np.array(windows) / scale) * scale,
        sizes[0] if view == "network" else sizes[1],
    )
    rule = detector.row_error
    if rule.startswith("multiscale"):
        return reference.multiscale_errors(
            *arguments, training, rule == "multiscale_centered", breaks, fill
        )
    return reference.row_errors(
        *arguments, rule, detector.stride, breaks=breaks, fill=fill
    )


def whole_rows(X, n_context):
    """Return rows with at least `n_context` earlier rows in their stretch."""
    breaks = np.isnan(X).all(axis=1)
    return [
        t for t in range(n_context, len(X)) if not breaks[t - n_context : t + 1].any()
    ]


def with_start_up_rows(detector, X, errors):
    """Add the errors of start-up rows to those of a detector's training series."""
    return reference.with_start_up_rows(
        errors,
        X,
        whole_rows(X, detector.n_context_),
        -detector.offset_,
        reference.filler(detector),
    )


def shaded_ranges(axes):
    """Return the corners of the shaded ranges of each patch, (n_ranges, 4, 2)."""
    return [
        patch.get_path().vertices.reshape(-1, 5, 2)[:, :4]
        for patch in axes.patches
        if isinstance(patch, PathPatch)
    ]


def run_python(code, **environment):
    """Run code in a new interpreter, and return its output."""
    result = subprocess.run(
        [sys.executable, "-W", "error::DeprecationWarning:tsanomaly", "-c", code],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()
