# SPDX-License-Identifier: MIT
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.helpers import tiny_detector, wave
from tsanomaly import make_ensemble
from tsanomaly._context import get_context


@pytest.fixture(scope="module")
def ensemble():
    return make_pipeline(
        StandardScaler(), make_ensemble(tiny_detector(), random_state=0)
    ).fit(wave(300))


def test_the_score_is_the_weighted_mean_of_the_levels(ensemble):
    X = wave(100)
    scaled = ensemble[0].transform(X)
    union = ensemble[1]["levels"]
    levels = np.column_stack([t.transform(scaled) for _, t in union.transformer_list])
    expected = levels @ [1 / 6, 1 / 6, 1 / 6, 1 / 2]
    np.testing.assert_allclose(-ensemble.score_samples(X), expected)
    assert list(union.named_transformers) == ["pca_10", "pca_50", "lof_10", "detector"]


def test_it_finds_an_anomaly(ensemble):
    X = wave(300)
    X[200, 1] += 8
    assert ensemble.score_samples(X).argmin() in range(200, 210)
    assert ensemble.predict(X)[200] == -1
    assert get_context(ensemble) == (49, 0)


def test_without_a_fourth_detector():
    ensemble = make_ensemble("drop").fit(wave(200))
    assert len(ensemble["levels"].transformer_list) == 3
    assert ensemble["levels"].transform(wave(200)).shape == (200, 3)


def test_any_detector_will_do():
    forest = IsolationForest(random_state=0)
    ensemble = make_ensemble(forest).fit(wave(200))
    assert ensemble["levels"]["detector"].detector is not forest
    assert np.isfinite(ensemble.score_samples(wave(50))).all()


def test_the_default_is_the_network_and_seeds_are_set():
    ensemble = make_ensemble(random_state=3)
    network = ensemble["levels"]["detector"].detector
    assert type(network).__name__ == "LSTMAutoencoderDetector"
    assert (
        network.random_state
        == clone(ensemble)["levels"]["detector"].detector.random_state
    )
    again = make_ensemble(random_state=3)["levels"]["detector"].detector
    assert again.random_state == network.random_state


@pytest.mark.parametrize("detector", ["lof", 3, IsolationForest, StandardScaler()])
def test_wrong_detectors(detector):
    with pytest.raises(ValueError, match="detector"):
        make_ensemble(detector)
