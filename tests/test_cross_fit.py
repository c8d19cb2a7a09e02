# SPDX-License-Identifier: MIT
"""Thresholds on errors of rows that no step has learned from."""

import warnings
from functools import partial

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.frozen import FrozenEstimator
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import Pipeline, make_pipeline, make_union
from sklearn.preprocessing import StandardScaler

from tests.helpers import tiny_detector, wave
from tsanomaly import (
    AutoregressiveDetector,
    EnsembleDetector,
    LinearAutoencoderDetector,
    ReconstructionError,
    ReconstructionThreshold,
    ScoreTransformer,
    WindowNeighborsDetector,
    WindowTransformer,
    fit_cross_fitted,
)

pytestmark = pytest.mark.network

THRESHOLD = partial(ReconstructionThreshold, quantile=0.99)


def forecasts(**parameters):
    return AutoregressiveDetector(lags=1, window_size=3, **parameters)


def windows_of_noise(n_components=30):
    """A pipeline that overfits the noise of the training rows."""
    return make_pipeline(
        StandardScaler(),
        WindowTransformer(20),
        ReconstructionError(PCA(n_components)),
        THRESHOLD(),
    )


def noise(n_timestamps, n_channels=2, seed=0):
    return np.random.default_rng(seed).normal(size=(n_timestamps, n_channels))


CROSS_FITTED = {
    "pca": windows_of_noise(),
    "forest": make_pipeline(
        WindowTransformer(5),
        ScoreTransformer(IsolationForest(n_estimators=20, random_state=0)),
        THRESHOLD(),
    ),
    "neighbours": make_pipeline(
        WindowTransformer(5),
        ScoreTransformer(LocalOutlierFactor(n_neighbors=3, novelty=True)),
        THRESHOLD(),
    ),
    "union": make_pipeline(
        make_union(
            ScoreTransformer(IsolationForest(n_estimators=20, random_state=0)),
            ScoreTransformer(make_pipeline(WindowTransformer(5), PCA(3), forecasts())),
        ),
        THRESHOLD(),
    ),
    "nested": make_pipeline(make_pipeline(StandardScaler(), forecasts()), THRESHOLD()),
}
FITTED_ONCE = {
    "forecasts": make_pipeline(StandardScaler(), forecasts(), THRESHOLD()),
    "neighbors": make_pipeline(
        StandardScaler(), WindowNeighborsDetector(4, random_state=0), THRESHOLD()
    ),
    "network": make_pipeline(tiny_detector(), THRESHOLD()),
    "validated": make_pipeline(tiny_detector(validation_fraction=0.2), THRESHOLD()),
    "ensemble": make_pipeline(
        StandardScaler(),
        EnsembleDetector(
            [
                ("forecasts", forecasts()),
                ("neighbors", WindowNeighborsDetector(4, random_state=0)),
            ]
        ),
        THRESHOLD(),
    ),
    "idle steps": make_pipeline("passthrough", None, forecasts(), THRESHOLD()),
}
PIPELINES = CROSS_FITTED | FITTED_ONCE


def flagged(pipeline, X):
    return (pipeline.predict(X) == -1).mean()


# What it is for


@pytest.mark.parametrize("n_blocks", [2, 3, 10])
def test_as_many_new_rows_are_flagged_as_the_threshold_says(n_blocks):
    X, new = noise(600), noise(6000, seed=1)
    pipeline = windows_of_noise()
    assert flagged(pipeline.fit(X), new) > 0.1
    fit_cross_fitted(pipeline, X, n_blocks=n_blocks)
    assert 0.002 < flagged(pipeline, new) < 0.03


@pytest.mark.parametrize(
    "detector",
    [
        forecasts(),
        LinearAutoencoderDetector(4, random_state=0),
        WindowNeighborsDetector(4, random_state=0),
    ],
)
def test_as_many_of_detectors_that_are_fitted_once(detector):
    X, new = noise(600, 8), noise(6000, 8, seed=1)
    pipeline = make_pipeline(StandardScaler(), detector, THRESHOLD())
    more = flagged(pipeline.fit(X), new)
    less = flagged(fit_cross_fitted(pipeline, X), new)
    assert less <= more
    assert 0.001 < less < 0.03


@pytest.mark.parametrize("kind", ["array", "frame"])
@pytest.mark.parametrize("name", PIPELINES)
def test_only_the_threshold_differs(name, kind):
    X, new = noise(300), noise(100, seed=1)
    if kind == "frame":
        times = pd.date_range("2024-01-01", periods=300, freq="min")
        X = pd.DataFrame(X, columns=["a", "b"], index=times)
        new = pd.DataFrame(new, columns=["a", "b"], index=times[:100])
    usual = clone(PIPELINES[name]).fit(X)
    pipeline = clone(PIPELINES[name])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        assert fit_cross_fitted(pipeline, X) is pipeline
        scores = pipeline.score_samples(new)
    np.testing.assert_allclose(scores, usual.score_samples(new), rtol=1e-6)
    assert pipeline[-1].threshold_ > usual[-1].threshold_ * 0.8
    assert pipeline[-1].threshold_ != usual[-1].threshold_
    np.testing.assert_allclose(
        pipeline.decision_function(new), scores + pipeline[-1].threshold_
    )
    for step, other in zip(pipeline, usual, strict=True):
        if hasattr(step, "fit"):
            assert vars(step).keys() == vars(other).keys()


@pytest.mark.parametrize("name", FITTED_ONCE)
def test_they_are_fitted_once(name, monkeypatch):
    pipeline = clone(PIPELINES[name])
    fits, detector = [], pipeline[-2]
    fit = type(detector)._fit

    def counted(self, *arguments, **keywords):
        fits.append(self)
        return fit(self, *arguments, **keywords)

    monkeypatch.setattr(type(detector), "_fit", counted)
    fit_cross_fitted(pipeline, noise(300))
    assert fits == [detector]


@pytest.mark.parametrize("name", FITTED_ONCE)
def test_the_detector_is_the_one_of_fit(name):
    X = noise(300)
    detector = clone(PIPELINES[name][-2])
    usual = clone(detector).fit(X)
    errors, held_out = detector._fit_held_out(X)
    assert errors.shape == held_out.shape == X.shape
    np.testing.assert_array_equal(errors, clone(usual).fit_transform(X))
    assert detector.offset_ == usual.offset_
    assert detector.median_error_ == usual.median_error_
    np.testing.assert_array_equal(detector.score_samples(X), usual.score_samples(X))
    known = ~np.isnan(held_out).all(axis=1)
    assert known.mean() > 0.7
    assert np.isnan(held_out[~known]).all()


# Errors of rows that were not learned from


@pytest.mark.parametrize(
    "detector",
    [forecasts(), tiny_detector(epochs=3), WindowNeighborsDetector(8, random_state=0)],
    ids=["forecasts", "network", "neighbors"],
)
@pytest.mark.parametrize("row", [60, 240])
def test_an_outlier_does_not_lower_its_own_error(detector, row):
    """It is learned from in `fit`, and is not in the errors of rows held out."""
    X = noise(300, 3)
    X[row] += [40, -40, 40]
    errors, held_out = clone(detector)._fit_held_out(X)
    alone = errors[row].mean()
    assert held_out[row].mean() >= alone or held_out[row].mean() > 10
    # They are those of a model that has never seen it.
    other = X.copy()
    other[row] = X[row - 1]
    half = slice(0, 150) if row > 150 else slice(150, 300)
    seen = clone(detector).fit(other[half])
    expected = -seen.score_samples(X)[row]
    assert held_out[row].mean() > 0.5 * min(expected, 10)


def test_blocks_are_held_out():
    """The steps see all rows once, and each block is transformed by the others'."""
    fits, X = [], np.arange(90.0).reshape(-1, 1)

    class Remember(TransformerMixin, BaseEstimator):
        n_context_ = n_lookahead_ = 0

        def fit(self, X, y=None):
            self.seen_ = set(X.ravel().tolist())
            fits.append(self.seen_)
            return self

        def transform(self, X):
            return np.array([[value in self.seen_] for value in X.ravel()], float)

    class Threshold(BaseEstimator):
        def fit(self, X, y=None):
            self.errors_ = X
            return self

    pipeline = Pipeline([("a", Remember()), ("b", Threshold())])
    fit_cross_fitted(pipeline, X, n_blocks=4)
    assert len(fits[0]) == 90
    assert [len(seen) for seen in fits[1:]] == [68, 67, 68, 67]
    assert pipeline[-1].errors_.shape == (90, 1)
    assert not pipeline[-1].errors_.any()
    assert pipeline[0].seen_ == fits[0]


def test_no_window_crosses_a_block_that_is_left_out():
    X, found = noise(90), []

    class Windows(WindowTransformer):
        def fit(self, X, y=None):
            found.append(np.flatnonzero(np.isnan(X).all(axis=1)).tolist())
            return super().fit(X, y)

    pipeline = make_pipeline(Windows(5), ReconstructionError(PCA(2)), THRESHOLD())
    fit_cross_fitted(pipeline, X)
    assert found == [[], [], [30], []]
    # A step that takes no NaN gets the rows side by side.
    other = make_pipeline(PCA(2), *pipeline)
    del found[:]
    fit_cross_fitted(other, X)
    assert found == [[], [], [], []]


@pytest.mark.parametrize("name", ["pca", "forecasts", "ensemble", "network"])
def test_breaks(name):
    X = noise(300)
    X[[7, 100, 101, 102, 200]] = np.nan
    pipeline = fit_cross_fitted(clone(PIPELINES[name]), X)
    scores = pipeline.score_samples(X)
    assert np.flatnonzero(np.isnan(scores)).tolist() == [7, 100, 101, 102, 200]
    usual = clone(PIPELINES[name]).fit(X)
    np.testing.assert_allclose(scores, usual.score_samples(X), rtol=1e-6)
    assert 0.8 < pipeline[-1].threshold_ / usual[-1].threshold_ < 5


# Labels, containers, parts


@pytest.mark.parametrize("name", ["forecasts", "forest"])
@pytest.mark.parametrize("kind", [np.asarray, list, pd.Series])
def test_labels(name, kind):
    X, y = noise(300), np.zeros(300, dtype=int)
    X[50:60] += 9
    X[250:260] -= 9
    y[50:60] = y[250:260] = 1
    pipeline = clone(PIPELINES[name])
    pipeline[-1].set_params(method="f_score")
    fit_cross_fitted(pipeline, X, kind(y))
    found = pipeline.predict(X) == -1
    assert found[y == 1].mean() > 0.5
    assert found[y == 0].mean() < 0.1
    with pytest.raises(ValueError, match="requires y"):
        fit_cross_fitted(pipeline, X)


@pytest.mark.filterwarnings("ignore:.*independent peaks")
@pytest.mark.parametrize("name", ["pca", "forecasts"])
def test_frames_between_steps(name):
    times = pd.date_range("2024-01-01", periods=300, freq="h")
    X = pd.DataFrame(noise(300), columns=["a", "b"], index=times)
    pipeline = clone(PIPELINES[name]).set_output(transform="pandas")
    # A time needs that of the errors.
    pipeline[-1].set_params(false_alarms=1, per="3D")
    usual = clone(pipeline).fit(X)
    fit_cross_fitted(pipeline, X)
    names = usual[-1].feature_names_in_.tolist()
    assert pipeline[-1].feature_names_in_.tolist() == names
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pipeline.predict(X)


@pytest.mark.parametrize("name", ["pca", "forecasts"])
def test_series_of_other_kinds(name):
    X = noise(300)
    expected = fit_cross_fitted(clone(PIPELINES[name]), X)[-1].threshold_
    for series in (X.tolist(), np.ma.masked_array(X, mask=False), pd.DataFrame(X)):
        pipeline = fit_cross_fitted(clone(PIPELINES[name]), series)
        assert pipeline[-1].threshold_ == pytest.approx(expected)
    with pytest.raises(ValueError, match="series"):
        fit_cross_fitted(clone(PIPELINES[name]), [pd.DataFrame(X), pd.DataFrame(X)])


@pytest.mark.parametrize("name", ["pca", "forecasts"])
def test_the_steps_that_were_given_are_fitted(name):
    """As by ``pipeline.fit``; the list that they came in is left alone."""
    steps = list(clone(PIPELINES[name]).steps)
    before = list(steps)
    pipeline = fit_cross_fitted(Pipeline(steps), noise(300))
    assert steps == before
    assert [step for _, step in pipeline.steps] == [step for _, step in steps]
    assert hasattr(steps[-2][1], "n_context_")


def test_frozen_steps_stay_as_they_are():
    X = wave(200)
    detector = forecasts().fit(X)
    offset = detector.offset_
    frozen = make_pipeline(FrozenEstimator(detector), THRESHOLD())
    errors = detector.transform(noise(200))[detector.n_context_ :]
    fit_cross_fitted(frozen, noise(200))
    assert frozen[-1].threshold_ == pytest.approx(THRESHOLD().fit(errors).threshold_)
    members = [("frozen", FrozenEstimator(detector)), ("other", forecasts())]
    ensemble = make_pipeline(EnsembleDetector(members), THRESHOLD())
    fit_cross_fitted(ensemble, noise(200))
    assert detector.offset_ == offset
    np.testing.assert_array_equal(detector.center_, forecasts().fit(X).center_)


def test_a_last_step_that_takes_no_nan():
    """It is fitted without the start-up rows, which have no error."""
    pipeline = make_pipeline(forecasts(), LocalOutlierFactor(novelty=True))
    fit_cross_fitted(pipeline, noise(300))
    assert pipeline[-1].n_samples_fit_ < 300
    assert pipeline.predict(noise(50)).shape == (50,)


# What does not work


def test_a_series_that_is_too_short():
    X, pipeline = noise(40), windows_of_noise(35)
    with pytest.warns(UserWarning, match=r"27 of 40 rows.*longer series") as caught:
        fit_cross_fitted(pipeline, X)
    assert caught[0].filename == __file__
    expected = windows_of_noise(35).fit(X)
    assert pipeline[-1].threshold_ == expected[-1].threshold_


@pytest.mark.parametrize("n_rows", [4, 6, 12])
def test_detectors_without_rows_to_hold_out(n_rows):
    """Of a short series, the errors are those of rows that were learned from."""
    X, pipeline = noise(n_rows), make_pipeline(forecasts(), THRESHOLD())
    fit_cross_fitted(pipeline, X)
    assert np.isfinite(pipeline[-1].threshold_)


def test_more_blocks_than_rows():
    X, pipeline = noise(20), make_pipeline(ReconstructionError(PCA(1)), THRESHOLD())
    many = fit_cross_fitted(clone(pipeline), X, n_blocks=50)[-1].threshold_
    assert many == fit_cross_fitted(pipeline, X, n_blocks=20)[-1].threshold_


@pytest.mark.parametrize(
    "pipeline",
    [
        make_pipeline(forecasts()),
        make_pipeline(forecasts(), "passthrough"),
        make_pipeline("passthrough", THRESHOLD()),
    ],
)
def test_pipelines_without_errors_or_threshold(pipeline):
    with pytest.raises(ValueError, match="a step that computes errors and one that"):
        fit_cross_fitted(pipeline, noise(90))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((forecasts(), np.ones((9, 2))), "'pipeline' parameter of fit_cross_fitted"),
        ((windows_of_noise(), np.ones((9, 2))), "must be"),
        (
            (make_pipeline(forecasts(missing="x"), THRESHOLD()), noise(90)),
            "'missing' parameter",
        ),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        fit_cross_fitted(*arguments)


@pytest.mark.parametrize("n_blocks", [1, 0, 2.5, "3"])
def test_the_number_of_blocks(n_blocks):
    with pytest.raises(ValueError, match="'n_blocks' parameter of fit_cross_fitted"):
        fit_cross_fitted(windows_of_noise(), noise(90), n_blocks=n_blocks)
