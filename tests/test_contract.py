# SPDX-License-Identifier: MIT
"""The library's own contract, on every estimator that sees neighbouring rows."""

import copy
import pickle

import joblib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.helpers import tiny_detector, wave
from tests.own_networks import OWN_NETWORKS
from tsanomaly import (
    AutoregressiveDetector,
    EnsembleDetector,
    HybridDetector,
    LinearAutoencoderDetector,
    ReconstructionError,
    ReconstructionThreshold,
    TemporalFeatures,
    WindowNeighborsDetector,
    WindowTransformer,
)
from tsanomaly._context import get_context

pytestmark = pytest.mark.network

DETECTORS = {
    "multiscale": tiny_detector(),
    "multiscale_centered": tiny_detector(row_error="multiscale_centered"),
    "last": tiny_detector(row_error="last"),
    "window_mean": tiny_detector(row_error="window_mean"),
    "overlap_mean": tiny_detector(row_error="overlap_mean"),
    "scaled": make_pipeline(StandardScaler(), tiny_detector()),
    "pca": make_pipeline(
        WindowTransformer(5), ReconstructionError(PCA(3)), ReconstructionThreshold()
    ),
    "features": make_pipeline(
        TemporalFeatures(windows=(3, 5), lags=(2,), rates=(1,)),
        StandardScaler(),
        IsolationForest(n_estimators=20, random_state=0),
    ),
    "hybrid": HybridDetector(
        make_pipeline(
            WindowTransformer(3), IsolationForest(n_estimators=20, random_state=0)
        ),
        tiny_detector(),
        screen_fraction=0.2,
    ),
    "baseline": tiny_detector(window_size=(5, 5, 21)),
    "threshold": make_pipeline(tiny_detector(), ReconstructionThreshold()),
    "linear": LinearAutoencoderDetector((5, 21), random_state=0),
    "forecasts": AutoregressiveDetector(lags=(1, 3), window_size=4),
    "regressor": AutoregressiveDetector(
        lags=2, regressor=LinearRegression(), row_error="last"
    ),
    "neighbors": WindowNeighborsDetector(window_size=16, random_state=0),
    "neighbors ahead": WindowNeighborsDetector(
        window_size=16, row_error="multiscale_centered", random_state=0
    ),
    "readings": WindowNeighborsDetector(
        window_size=4, features="readings", max_samples=50, random_state=0
    ),
    "ensemble": EnsembleDetector(
        [
            ("network", tiny_detector()),
            ("forecasts", AutoregressiveDetector(lags=(1, 3), window_size=4)),
            ("neighbors", WindowNeighborsDetector(window_size=16, random_state=0)),
        ],
        weights=[3, 1, 2],
    ),
    "mixed ensemble": EnsembleDetector(
        [
            ("forecasts", AutoregressiveDetector(lags=1, window_size=4)),
            (
                "forest",
                make_pipeline(
                    WindowTransformer(3),
                    IsolationForest(n_estimators=20, random_state=0),
                ),
            ),
        ]
    ),
    **{name: tiny_detector(**given) for name, given in OWN_NETWORKS.items()},
}
AHEAD = ("overlap_mean", "multiscale_centered", "neighbors ahead")
CAUSAL = [name for name in DETECTORS if name not in AHEAD]
RULES = ["multiscale", "multiscale_centered", "last", "window_mean", "overlap_mean"]
OTHERS = ["linear", "forecasts", "regressor", "neighbors", "readings"]


@pytest.fixture(scope="module")
def detectors(series):
    return {name: clone(d).fit(series) for name, d in DETECTORS.items()}


@pytest.mark.parametrize("name", DETECTORS)
def test_one_score_per_row(detectors, name, rng):
    detector = detectors[name]
    for n_timestamps in (1, 2, 4, 5, 63, 64, 65):  # short of a window, around a batch
        X = rng.normal(size=(n_timestamps, 2))
        scores = detector.score_samples(X)
        assert scores.shape == (n_timestamps,)
        assert scores.dtype == np.float64
        assert np.isfinite(scores).all()
        decision = detector.decision_function(X)
        np.testing.assert_array_equal(
            detector.predict(X), np.where(decision < 0, -1, 1)
        )


@pytest.mark.parametrize("name", CAUSAL)
@settings(max_examples=15)
@given(n_kept=st.integers(1, 99), seed=st.integers(0, 9))
def test_causal(detectors, name, n_kept, seed):
    """Rows after a row never change its score; this replaces subset invariance."""
    X = np.random.default_rng(seed).normal(size=(100, 2))
    detector = detectors[name]
    decision = detector.decision_function(X)
    prefix = detector.decision_function(X[:n_kept])
    np.testing.assert_allclose(prefix, decision[:n_kept], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", DETECTORS)
@settings(max_examples=15)
@given(start=st.integers(0, 99), length=st.integers(1, 50), seed=st.integers(0, 9))
def test_cut(detectors, name, start, length, seed):
    """A piece of a series, with the context it asks for, scores as in the series."""
    X = np.random.default_rng(seed).normal(size=(100, 2))
    detector = detectors[name]
    n_context, n_lookahead, _ = get_context(detector)
    begin, end = max(0, start - n_context), start + length + n_lookahead
    piece = detector.score_samples(X[begin:end])[start - begin :][:length]
    whole = detector.score_samples(X)[start : start + length]
    np.testing.assert_allclose(piece, whole, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", DETECTORS)
def test_order_matters(detectors, name, series):
    """Shuffled rows are abnormal; this replaces sample order invariance."""
    shuffled = np.random.default_rng(0).permutation(series)
    scores = detectors[name].score_samples(series)
    assert detectors[name].score_samples(shuffled).mean() < scores.mean()


@pytest.mark.parametrize("name", DETECTORS)
@settings(max_examples=15)
@given(n_timestamps=st.integers(2, 100), seed=st.integers(0, 99))
def test_scores_are_not_constant(detectors, name, n_timestamps, seed):
    X = np.random.default_rng(seed).normal(size=(n_timestamps, 2))
    assert np.ptp(detectors[name].score_samples(X)) > 1e-6


@pytest.mark.parametrize("name", DETECTORS)
@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda d: pickle.loads(pickle.dumps(d))],
    ids=["deepcopy", "pickle"],
)
def test_copies_score_the_same(detectors, name, copied, series):
    np.testing.assert_array_equal(
        copied(detectors[name]).score_samples(series),
        detectors[name].score_samples(series),
    )


@pytest.mark.parametrize("name", DETECTORS)
def test_joblib_file_scores_the_same(detectors, name, series, tmp_path):
    joblib.dump(detectors[name], tmp_path / "model.joblib")
    loaded = joblib.load(tmp_path / "model.joblib")
    np.testing.assert_array_equal(
        loaded.score_samples(series), detectors[name].score_samples(series)
    )


@pytest.mark.parametrize("name", DETECTORS)
def test_same_seed_same_scores(detectors, name, series):
    again = clone(detectors[name]).fit(series)
    np.testing.assert_array_equal(
        again.score_samples(series), detectors[name].score_samples(series)
    )


@pytest.mark.parametrize("name", [*RULES, *OTHERS, "neighbors ahead", "ensemble"])
def test_score_is_minus_mean_error(detectors, name, series):
    detector = detectors[name]
    errors = detector.transform(series)
    assert errors.shape == series.shape
    assert (errors >= 0).all()
    scores = detector.score_samples(series)
    if name == "ensemble":  # the means of others, in another order
        np.testing.assert_allclose(scores, -errors.mean(axis=1), rtol=1e-12)
    else:
        np.testing.assert_array_equal(scores, -errors.mean(axis=1))


@pytest.mark.parametrize("name", ["multiscale", "last", "window_mean", *OTHERS])
@settings(max_examples=20)
@given(rows=st.lists(st.integers(-100, 99), max_size=80), seed=st.integers(0, 5))
def test_score_rows_is_score_samples_at_those_rows(detectors, name, rows, seed):
    X = np.random.default_rng(seed).normal(size=(100, 2))
    X[40] = np.nan
    rows = np.array(rows, dtype=int)
    detector = detectors[name]
    np.testing.assert_allclose(
        detector.score_rows(X, rows),
        detector.score_samples(X)[rows],
        rtol=1e-5,
        atol=1e-6,
    )


def test_context_adds_up(detectors):
    assert get_context(detectors["last"]) == (4, 0, 4)
    assert get_context(detectors["overlap_mean"]) == (4, 4, 4)
    assert get_context(detectors["multiscale"]) == (4, 0, 4)
    assert get_context(detectors["multiscale_centered"]) == (4, 4, 4)
    assert get_context(detectors["baseline"]) == (20, 0, 4)
    assert get_context(detectors["linear"]) == (20, 0, 4)
    assert get_context(detectors["pca"]) == (4, 0, 4)
    assert get_context(detectors["forecasts"]) == (6, 0, 6)
    assert get_context(detectors["regressor"]) == (2, 0, 2)
    assert get_context(detectors["neighbors"]) == (15, 0, 15)
    assert get_context(detectors["neighbors ahead"]) == (15, 15, 15)
    assert get_context(detectors["ensemble"]) == (15, 0, 15)
    assert get_context(detectors["mixed ensemble"]) == (4, 0, 4)
    stacked = make_pipeline(WindowTransformer(3), tiny_detector()).fit(wave(50))
    assert get_context(stacked) == (6, 0, 6)


def test_a_stride_has_no_context(series):
    strided = tiny_detector(row_error="overlap_mean", stride=3).fit(series)
    with pytest.raises(ValueError, match=r"every 3 rows from the start.*stride=1"):
        get_context(make_pipeline(StandardScaler().fit(series), strided))
