# SPDX-License-Identifier: MIT
import numpy as np
import pandas as pd
import pytest
from sklearn import config_context
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import SGDOneClassSVM
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from tests.helpers import tiny_detector, wave
from tsanomaly import (
    ReconstructionError,
    ReconstructionThreshold,
    ScoreTransformer,
    TemporalFeatures,
    WindowTransformer,
)
from tsanomaly._context import get_context

pytestmark = pytest.mark.network

FOREST = IsolationForest(n_estimators=20, random_state=0)


class OnlyDecision(OutlierMixin, BaseEstimator):
    """A detector of another library, without score_samples, that checks nothing."""

    def fit(self, X, y=None):
        self.center_ = np.asarray(X).mean(axis=0)
        return self

    def decision_function(self, X):
        return 1 - np.abs(np.asarray(X) - self.center_).max(axis=1)


@pytest.mark.parametrize("calibrate", ["tail", "rank", None])
@pytest.mark.parametrize(
    "detector",
    [
        FOREST,
        LocalOutlierFactor(novelty=True),
        SGDOneClassSVM(random_state=0),
        OnlyDecision(),
        tiny_detector(),
        make_pipeline(StandardScaler(), WindowTransformer(3), FOREST),
    ],
    ids=lambda detector: type(detector).__name__,
)
def test_keeps_the_ranking_of_the_detector(detector, calibrate, rng):
    X, new = wave(300), np.concatenate([wave(150), rng.normal(size=(50, 2)) * 3])
    levels = ScoreTransformer(detector, calibrate=calibrate).fit(X).transform(new)
    assert levels.shape == (200, 1)
    assert levels.dtype == np.float64
    fitted = clone(detector).fit(X)
    score = getattr(fitted, "score_samples", None) or fitted.decision_function
    errors = -score(new)
    np.testing.assert_array_equal(np.argsort(levels[:, 0]), np.argsort(errors))
    if calibrate is None:
        np.testing.assert_array_equal(levels[:, 0], errors)
    else:
        assert (levels > 0).all()


def test_levels_have_one_scale(rng):
    """Errors of 1e-3 and of 1e6 give levels that mean the same."""
    X = rng.normal(size=(2000, 2))
    detectors = (FOREST, OnlyDecision(), LocalOutlierFactor(novelty=True))
    for detector in detectors:
        levels = ScoreTransformer(detector).fit_transform(X)
        assert (levels > 1).mean() == pytest.approx(0.1, abs=0.02)
        assert (levels > 2).mean() == pytest.approx(0.01, abs=0.005)


def test_logarithmic_levels(rng):
    X = wave(500)
    for detector in (FOREST, LocalOutlierFactor(novelty=True), tiny_detector()):
        transformer = ScoreTransformer(detector, calibrate="log").fit(X)
        fitted = transformer.detector_
        errors = -fitted.score_samples(X)
        if hasattr(fitted, "negative_outlier_factor_"):
            errors = -fitted.negative_outlier_factor_
        new = rng.normal(size=(50, 2)) * 3
        levels = transformer.transform(new)[:, 0]
        unit = np.quantile(np.log(errors), 0.99) - np.median(np.log(errors))
        expected = np.log(-fitted.score_samples(new)) - np.median(np.log(errors))
        np.testing.assert_allclose(levels, expected / max(unit, 0.1), atol=0.02)


def test_no_logarithm_of_negative_errors(rng):
    with pytest.raises(ValueError, match=r"as low as -.*calibrate='tail'"):
        ScoreTransformer(OneClassSVM(), calibrate="log").fit(rng.normal(size=(50, 2)))


def test_an_ensemble(rng):
    """Each detector finds what the other cannot; together they find both."""
    X, new = wave(600), wave(400)
    new[100] = 3.0
    new[250:270, 0] = new[250, 0]
    y = np.zeros(400, dtype=int)
    y[[100, *range(255, 270)]] = 1
    union = make_union(
        ScoreTransformer(FOREST),
        ScoreTransformer(make_pipeline(WindowTransformer(8), FOREST)),
    )
    ensemble = make_pipeline(union, ReconstructionThreshold()).fit(X)
    assert roc_auc_score(y, -ensemble.score_samples(new)) > 0.9
    assert ensemble.predict(new)[100] == -1
    assert get_context(ensemble) == (7, 0, 7)
    names = union.fit(X).get_feature_names_out()
    assert names.tolist() == [
        "scoretransformer-1__isolationforest_level",
        "scoretransformer-2__isolationforest_level",
    ]


def test_a_frozen_detector_is_not_fitted_again(rng):
    X = rng.normal(size=(200, 2))
    fitted = clone(FOREST).fit(X)
    levels = ScoreTransformer(FrozenEstimator(fitted)).fit(10 + X[:50])
    np.testing.assert_array_equal(
        levels.detector_.score_samples(X), fitted.score_samples(X)
    )
    assert not hasattr(FOREST, "estimators_")
    assert levels.get_feature_names_out().tolist() == ["isolationforest_level"]
    # Calibrated on what it was fitted on, where every row is abnormal
    assert (levels.transform(X) < levels.transform(10 + X[:50]).max()).all()


def test_lof_is_calibrated_by_the_factors_of_its_training_rows(rng):
    X = rng.normal(size=(500, 2))
    lof = LocalOutlierFactor(novelty=True)
    levels = ScoreTransformer(make_pipeline(StandardScaler(), lof)).fit(X)
    new = levels.transform(rng.normal(size=(20_000, 2)))
    assert (new > 1).mean() == pytest.approx(0.1, abs=0.02)
    # A frozen one has the factors of other rows.
    frozen, calibration_rows = FrozenEstimator(clone(lof).fit(X)), 10 + X[:100]
    for detector in (frozen, make_pipeline(StandardScaler(with_std=False), frozen)):
        levels = ScoreTransformer(detector).fit(calibration_rows)
        assert np.median(levels.transform(calibration_rows)) < 0.5


def test_breaks_have_no_level(series):
    broken = series.copy()
    broken[[50, 120]] = np.nan
    levels = ScoreTransformer(tiny_detector()).fit(broken).transform(broken)
    assert np.flatnonzero(np.isnan(levels[:, 0])).tolist() == [50, 120]
    union = make_union(ScoreTransformer(FOREST), ScoreTransformer(tiny_detector()))
    ensemble = make_pipeline(union, ReconstructionThreshold()).fit(broken)
    scores = ensemble.score_samples(broken)
    assert np.flatnonzero(np.isnan(scores)).tolist() == [50, 120]
    assert (ensemble.predict(broken)[[50, 120]] == 1).all()


def test_frames_reach_the_detector_as_they_are():
    X = pd.DataFrame(
        wave(200),
        columns=["flow", "pressure"],
        index=pd.date_range("2024-01-01", periods=200, freq="h"),
    )
    pipeline = make_pipeline(TemporalFeatures(windows=(3,), calendar=True), FOREST)
    levels = ScoreTransformer(pipeline).set_output(transform="pandas").fit(X)
    assert levels.transform(X).columns.tolist() == ["isolationforest_level"]
    assert levels.transform(X).index.equals(X.index)
    assert levels.feature_names_in_.tolist() == ["flow", "pressure"]


@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("detector", [OnlyDecision(), FOREST])
def test_columns_are_checked(detector):
    X = pd.DataFrame(wave(50), columns=["flow", "pressure"])
    levels = ScoreTransformer(detector).fit(X)
    with pytest.raises(ValueError, match="feature names should match"):
        levels.transform(X[["pressure", "flow"]])
    with pytest.raises(ValueError, match="1 features, but ScoreTransformer"):
        levels.transform(X[["flow"]].to_numpy())


@pytest.mark.parametrize(
    ("detector", "message"),
    [
        (LocalOutlierFactor(), r"LocalOutlierFactor\(\) has neither.*novelty=True"),
        (make_pipeline(PCA(), LocalOutlierFactor()), r"Set novelty=True"),
        (make_pipeline(PCA(), StandardScaler()), "neither.*Pass an outlier detector"),
        (PCA().fit_transform, "'detector' parameter of ScoreTransformer"),
    ],
    ids=["lof", "lof in a pipeline", "no detector", "no estimator"],
)
def test_what_is_no_detector(detector, message, series):
    with pytest.raises(ValueError, match=message):
        ScoreTransformer(detector).fit(series)


def test_a_failed_fit_leaves_nothing(series):
    levels = ScoreTransformer(FOREST).fit(series)
    before = levels.transform(series)
    with pytest.raises(ValueError, match="Reshape"):
        levels.fit(series[0])
    np.testing.assert_array_equal(levels.transform(series), before)
    with pytest.raises(ValueError, match="'tail' to 'rank'"):
        levels.set_params(calibrate="rank").transform(series)


@pytest.mark.parametrize(
    ("wrapper", "part"),
    [(ScoreTransformer, OneClassSVM), (ReconstructionError, StandardScaler)],
)
def test_metadata_routing(wrapper, part, series):
    weights = np.ones(len(series))
    weights[100:] = 0.01
    with pytest.raises(ValueError, match="enable_metadata_routing=True"):
        wrapper(part()).fit(series, sample_weight=weights)
    with config_context(enable_metadata_routing=True):
        inner = part().set_fit_request(sample_weight=True)
        plain, weighted = wrapper(inner).fit(series), wrapper(inner)
        weighted.fit(series, sample_weight=weights)
        assert hasattr(weighted, f"{wrapper._routed_parts[0]}_")
        with pytest.raises(TypeError, match="unexpected argument"):
            weighted.fit(series, nothing=1)
    if part is StandardScaler:
        assert plain.transformer_.mean_[0] != weighted.transformer_.mean_[0]


def test_context_of_the_detector(series):
    windowed = make_pipeline(WindowTransformer(6), FOREST)
    assert get_context(ScoreTransformer(windowed).fit(series)) == (5, 0, 5)
    ahead = ScoreTransformer(tiny_detector(row_error="overlap_mean")).fit(series)
    assert get_context(ahead) == (4, 4, 4)
    unknown = ScoreTransformer(OnlyDecision()).fit(series)
    assert not hasattr(unknown, "n_context_")
    with pytest.raises(ValueError, match="n_context_"):
        get_context(unknown)


@pytest.mark.parametrize("calibrate", ["tail", None])
def test_detectors_of_single_rows_do_not_see_breaks(calibrate):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 2))
    X[[40, 90]] = np.nan
    known = ~np.isnan(X[:, 0])
    detector = LocalOutlierFactor(novelty=True)  # takes no NaN
    scores = ScoreTransformer(detector, calibrate=calibrate).fit(X).transform(X)
    alone = ScoreTransformer(detector, calibrate=calibrate).fit(X[known])
    np.testing.assert_array_equal(np.isnan(scores[:, 0]), ~known)
    np.testing.assert_allclose(scores[known], alone.transform(X[known]))
