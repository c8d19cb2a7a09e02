# SPDX-License-Identifier: MIT
"""Breaks go through every pipeline: stretches between them score as if alone."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    MaxAbsScaler,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
)

from tests.helpers import tiny_detector, wave
from tsanomaly import (
    HybridDetector,
    ReconstructionError,
    ReconstructionThreshold,
    ScoreTransformer,
    StreamingDetector,
    TemporalFeatures,
    WindowTransformer,
)
from tsanomaly.datasets import insert_breaks

pytestmark = pytest.mark.network

SCALERS = [StandardScaler(), MinMaxScaler(), RobustScaler(), MaxAbsScaler()]


def forest():
    return ScoreTransformer(IsolationForest(n_estimators=5, random_state=0))


DETECTORS = {
    **{
        rule: (tiny_detector(row_error=rule),)
        for rule in (
            "multiscale",
            "multiscale_centered",
            "last",
            "window_mean",
            "overlap_mean",
        )
    },
    "threshold": (tiny_detector(), ReconstructionThreshold()),
    "pca": (
        WindowTransformer(4),
        ReconstructionError(PCA(3)),
        ReconstructionThreshold(),
    ),
    "features": (
        TemporalFeatures(windows=(3, 5), lags=(2,), rates=(1,)),
        StandardScaler(),
        forest(),
        ReconstructionThreshold(),
    ),
    "hybrid": (
        HybridDetector(
            make_pipeline(WindowTransformer(3), IsolationForest(random_state=0)),
            tiny_detector(),
            screen_fraction=0.2,
        ),
    ),
    "union": (
        make_union(
            ScoreTransformer(tiny_detector()),
            make_pipeline(WindowTransformer(3), forest()),
        ),
        ReconstructionThreshold(),
    ),
}
LOOKS_AHEAD = {"multiscale_centered", "overlap_mean"}

# Rows of the stretches: longer than a window, one row, shorter than a window.
STRETCHES = [slice(0, 60), slice(60, 61), slice(61, 64), slice(64, 100)]


@pytest.fixture(scope="module")
def frame():
    """Four machines, one after the other."""
    X = wave(100, 3)
    X[70] += 5
    frame = pd.DataFrame(X, columns=["a", "b", "c"])
    frame["machine"] = np.repeat([1, 2, 3, 4], [60, 1, 3, 36])
    return frame


@pytest.fixture(scope="module")
def detectors(frame):
    broken = insert_breaks(frame, by="machine")
    return {
        name: make_pipeline(StandardScaler(), *map(clone, steps)).fit(broken)
        for name, steps in DETECTORS.items()
    }


@pytest.mark.parametrize("scaler", SCALERS, ids=repr)
def test_scalers_pass_breaks_unchanged(scaler, frame):
    broken, rows = insert_breaks(frame, by="machine", return_rows=True)
    assert len(broken) == len(frame) + 3
    scaled = clone(scaler).fit(broken).transform(broken)
    without = clone(scaler).fit(broken.iloc[rows]).transform(broken.iloc[rows])
    np.testing.assert_allclose(scaled[rows], without, rtol=1e-12)
    assert np.isnan(np.delete(scaled, rows, axis=0)).all()


@pytest.mark.parametrize("name", DETECTORS)
def test_stretches_score_as_if_alone(detectors, name, frame):
    detector = detectors[name]
    broken, rows = insert_breaks(frame, by="machine", return_rows=True)
    scores, labels = detector.score_samples(broken), detector.predict(broken)
    channels = frame[["a", "b", "c"]]
    alone = np.concatenate(
        [detector.score_samples(channels[stretch]) for stretch in STRETCHES]
    )
    np.testing.assert_allclose(scores[rows], alone, rtol=1e-5, atol=1e-6)
    assert np.isnan(np.delete(scores, rows)).all()
    assert (np.delete(labels, rows) == 1).all()


@pytest.mark.parametrize("name", sorted(DETECTORS.keys() - LOOKS_AHEAD))
@pytest.mark.parametrize("at_once", [True, False])
def test_a_break_restarts_a_stream(detectors, name, at_once, frame):
    detector = detectors[name]
    broken = insert_breaks(frame, by="machine")
    expected = detector.score_samples(broken)
    stream = StreamingDetector(detector)
    if at_once:
        scores, flags = stream.update_many(broken)
    else:
        results = [stream.update(row) for row in broken.to_numpy()]
        scores, flags = map(np.array, zip(*results, strict=True))
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(flags, detector.predict(broken) == -1)


@pytest.mark.parametrize("scaler", SCALERS, ids=repr)
def test_every_scaler_before_a_network(scaler, frame):
    broken, rows = insert_breaks(frame, by="machine", return_rows=True)
    detector = make_pipeline(clone(scaler), tiny_detector()).fit(broken)
    scores = detector.score_samples(broken)
    assert np.isfinite(scores[rows]).all()
    stream = StreamingDetector(detector)
    np.testing.assert_allclose(
        stream.update_many(broken)[0], scores, rtol=1e-5, atol=1e-6
    )
