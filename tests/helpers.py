# SPDX-License-Identifier: MIT
"""What several test files need, and that is no fixture."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from matplotlib.patches import PathPatch

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


def reconstruction_of(detector):
    """A detector's map from windows to their reconstruction, both paths together."""
    model = detector.to_keras()  # built anew at every call

    def reconstruct(windows):
        windows = np.asarray(windows, dtype=np.float32)
        seen = model.predict_on_batch(windows)
        flat = windows.reshape(len(windows), -1) - detector.linear_mean_
        code = flat @ detector.linear_components_.T * detector.linear_gains_
        linear = code @ detector.linear_components_ + detector.linear_mean_
        return seen + linear.reshape(windows.shape)

    return reconstruct


def shaded_ranges(axes):
    """Corners of the ranges that are shaded, for every patch: (n_ranges, 4, 2)."""
    return [
        patch.get_path().vertices.reshape(-1, 5, 2)[:, :4]
        for patch in axes.patches
        if isinstance(patch, PathPatch)
    ]


def run_python(code, **environment):
    """Run code in a fresh interpreter, and return what it prints."""
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
