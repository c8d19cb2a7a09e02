# SPDX-License-Identifier: MIT
"""A new level that the operator accepts as normal."""

import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.helpers import tiny_detector, wave
from tsanomaly import (
    AutoregressiveDetector,
    EnsembleDetector,
    LinearAutoencoderDetector,
    StreamingDetector,
    WindowNeighborsDetector,
    load,
    save,
)

pytestmark = pytest.mark.network

DETECTORS = {
    "network": tiny_detector(),
    "linear": LinearAutoencoderDetector(16, random_state=0),
    "forecasts": AutoregressiveDetector(),
    "neighbors": WindowNeighborsDetector(random_state=0),
    "ensemble": EnsembleDetector(
        [
            ("forecasts", AutoregressiveDetector()),
            ("neighbors", WindowNeighborsDetector(random_state=0)),
        ]
    ),
}


@pytest.fixture(params=DETECTORS)
def fitted(request):
    return clone(DETECTORS[request.param]).fit(wave(600))


def test_a_machine_that_was_set_anew_is_normal_again(fitted):
    """Scores are those of the level before, and faults are found as before."""
    X = wave(400)
    shifted = np.add(X, [3.0, -2.0])
    before = fitted.score_samples(X)
    assert (fitted.predict(shifted) == -1).mean() > 0.5
    period = len(shifted) // 63 * 63
    again = fitted.accept_new_normal(shifted[:period])
    assert again is fitted
    np.testing.assert_allclose(fitted.score_samples(shifted), before, rtol=0.2)
    assert (fitted.predict(shifted) == -1).mean() < 0.05
    shifted[300, 1] += 10
    assert fitted.predict(shifted)[300] == -1


def test_the_level_is_part_of_pickles_and_files(fitted, tmp_path):
    X = wave(100) + 1
    fitted.accept_new_normal(X)
    scores = fitted.score_samples(X)
    save(fitted, tmp_path / "model.skops")
    for other in (
        pickle.loads(pickle.dumps(fitted)),
        load(tmp_path / "model.skops"),
    ):
        np.testing.assert_array_equal(other.score_samples(X), scores)


def test_channels_without_a_reading_keep_their_level():
    detector = AutoregressiveDetector().fit(wave(300))
    center = detector.center_
    X = wave(50)
    X[:, 0] = np.nan
    detector.accept_new_normal(X)
    assert detector.center_[0] == center[0]
    assert detector.center_[1] == pytest.approx(X[:, 1].mean())
    with pytest.raises(ValueError, match="no readings"):
        detector.accept_new_normal(np.full((3, 2), np.nan))


def test_a_stream_goes_on_with_another_level():
    detector = make_pipeline(StandardScaler(), AutoregressiveDetector()).fit(wave(600))
    center = detector[-1].center_
    stream = StreamingDetector(detector).warm_up(wave(200))
    shifted = wave(400)[200:] + 5
    assert StreamingDetector(detector).update_many(shifted)[1].mean() > 0.5
    assert stream.accept_new_normal(shifted) is stream
    stream.warm_up(shifted)
    assert stream.update_many(wave(600)[400:] + 5)[1].mean() < 0.05
    np.testing.assert_array_equal(detector[-1].center_, center)
    forest = StreamingDetector(IsolationForest(random_state=0).fit(wave(100)))
    with pytest.raises(AttributeError, match="No step of IsolationForest"):
        forest.accept_new_normal(shifted)
