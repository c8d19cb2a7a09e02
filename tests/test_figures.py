# SPDX-License-Identifier: MIT
"""Recorded scores of a few cases, to notice changes of the code that move them.

If they are meant to change, write new ones with ``python -m tests.test_figures``, and
give the reason in the list of changes.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline

from tests.helpers import tiny_detector, wave
from tsanomaly import (
    HybridDetector,
    ReconstructionError,
    ReconstructionThreshold,
    WindowTransformer,
    make_ensemble,
)
from tsanomaly._backend import import_keras

FIGURES = Path(__file__).with_name("figures.json")


def with_breaks():
    X = wave(200)
    X[[60, 61, 150]] = np.nan
    return X


def with_missing():
    X = with_breaks()
    X[20:30, 0] = X[100::9, 1] = np.nan
    return X


CASES = {
    "multiscale": (tiny_detector(), wave(200)),
    "multiscale_centered": (
        tiny_detector(row_error="multiscale_centered"),
        with_breaks(),
    ),
    "last": (tiny_detector(row_error="last", contamination=0.1), with_breaks()),
    "window_mean": (tiny_detector(row_error="window_mean"), with_missing()),
    "overlap_mean": (tiny_detector(row_error="overlap_mean"), with_breaks()),
    "stride": (tiny_detector(row_error="overlap_mean", stride=3), wave(200)),
    "missing": (tiny_detector(), with_missing()),
    "published": (
        tiny_detector(
            units=(4, 3), latent_dim=2, noise=0, linear_variance=0, batch_size=16
        ),
        wave(200),
    ),
    "pca": (
        make_pipeline(
            WindowTransformer(5), ReconstructionError(PCA(3)), ReconstructionThreshold()
        ),
        wave(200),
    ),
    "hybrid": (HybridDetector(detector=tiny_detector()), with_breaks()),
    "ensemble": (make_ensemble(tiny_detector(), random_state=0), wave(200)),
    "threshold": (
        make_pipeline(tiny_detector(), ReconstructionThreshold(channels="each")),
        with_missing(),
    ),
}


def figures_of(name):
    """Some scores of a case, and the threshold."""
    detector, X = CASES[name]
    detector.fit(X)
    spoilt = X.copy()
    spoilt[120:124, 1] += 3
    scores = detector.score_samples(spoilt)[[0, 3, 40, 70, 120, 126, 197, 199]]
    decision = detector.decision_function(spoilt)
    return [*scores.tolist(), float(np.nanmin(decision))]


@pytest.mark.parametrize("name", CASES)
def test_scores_are_what_they_were(name):
    expected = json.loads(FIGURES.read_text())[name]
    # Processors and backends round differently, and training carries that on.
    on_jax = import_keras().backend.backend() == "jax"
    np.testing.assert_allclose(
        figures_of(name), expected, rtol=1e-5 if on_jax else 1e-3, atol=1e-6
    )


if __name__ == "__main__":
    figures = {name: figures_of(name) for name in CASES}
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n")
