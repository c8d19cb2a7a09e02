# SPDX-License-Identifier: MIT
import tracemalloc

import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, OutlierMixin
from sklearn.covariance import EllipticEnvelope
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity, LocalOutlierFactor
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import OneClassSVM

from tests.helpers import tiny_detector, wave
from tsanomaly import (
    FleetDetector,
    HybridDetector,
    ReconstructionError,
    ReconstructionThreshold,
    ScoreTransformer,
    WindowTransformer,
    _inspection,
    compare_detectors,
)
from tsanomaly._context import get_context
from tsanomaly._inspection import (
    check_detector,
    detector_errors,
    errors_and_threshold,
    fitted_steps,
    last_step,
    reconstructs,
    results_at,
    results_by_block,
    takes_missing,
    training_errors,
)

X = wave(120)
LOF = LocalOutlierFactor(novelty=True, n_neighbors=5)


class Scores(OutlierMixin, BaseEstimator):
    """Scores without a threshold."""

    def fit(self, X, y=None):
        self.n_features_in_ = np.asarray(X).shape[1]
        return self

    def score_samples(self, X):
        return -np.abs(np.asarray(X)).sum(axis=1)

    def predict(self, X):
        return np.where(self.score_samples(X) < -3, -1, 1)


class Decisions(Scores):
    """A detector whose threshold follows only from its decision function."""

    def decision_function(self, X):
        return self.score_samples(X) + 3


class DecisionsAlone(OutlierMixin, BaseEstimator):
    """A detector without scores, but with a decision function."""

    def fit(self, X, y=None):
        self.n_features_in_ = np.asarray(X).shape[1]
        return self

    def decision_function(self, X):
        return 3 - np.abs(np.asarray(X)).sum(axis=1)

    def predict(self, X):
        return np.where(self.decision_function(X) < 0, -1, 1)


def search(estimator, **grid):
    return GridSearchCV(estimator, grid or {"n_neighbors": [5]}, scoring=_level, cv=2)


def _level(estimator, X, y=None):
    return estimator.score_samples(X).mean()


WRAPPERS = {
    "alone": lambda d: d,
    "pipeline": lambda d: make_pipeline(StandardScaler(), "passthrough", d),
    "nested": lambda d: make_pipeline(
        make_pipeline(StandardScaler()), Pipeline([("detector", d)])
    ),
    "search": search,
    "search in a pipeline": lambda d: make_pipeline(StandardScaler(), search(d)),
    "pipeline in a search": lambda d: search(
        make_pipeline(StandardScaler(), d), localoutlierfactor__n_neighbors=[5]
    ),
    "frozen": lambda d: make_pipeline(StandardScaler(), FrozenEstimator(d.fit(X))),
}


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_what_is_inside_is_seen(wrapper):
    detector = WRAPPERS[wrapper](LOF).fit(X, np.zeros(len(X)))
    assert isinstance(last_step(detector), LocalOutlierFactor)
    steps = fitted_steps(detector)
    assert steps[-1] is last_step(detector)
    assert all(isinstance(s, (StandardScaler, LocalOutlierFactor)) for s in steps)
    assert hasattr(last_step(detector), "offset_")


def test_of_a_search_that_is_not_fitted():
    assert last_step(search(make_pipeline(StandardScaler(), LOF))) is LOF
    check_detector(ScoreTransformer(search(LOF)).detector, "detector")


def test_idle_pipelines():
    idle = make_pipeline("passthrough")
    assert fitted_steps(idle) == []
    assert last_step(idle) is idle


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_one_threshold_however_it_is_wrapped(wrapper):
    detector = WRAPPERS[wrapper](LOF).fit(X, np.zeros(len(X)))
    errors, threshold = errors_and_threshold(detector, X)
    np.testing.assert_array_equal(errors, -detector.score_samples(X))
    assert threshold == -last_step(detector).offset_
    np.testing.assert_array_equal(errors > threshold, detector.predict(X) == -1)


@pytest.mark.parametrize(
    "detector",
    [
        IsolationForest(n_estimators=5, random_state=0),
        OneClassSVM(nu=0.1),
        EllipticEnvelope(random_state=0),
        LOF,
        Decisions(),
        DecisionsAlone(),
        make_pipeline(WindowTransformer(3), Decisions()),
        tiny_detector(),
        HybridDetector(LOF, Decisions(), combine="mean"),
    ],
    ids=repr,
)
def test_the_threshold_is_what_predict_goes_by_everywhere(detector):
    detector.fit(X)
    errors, threshold = errors_and_threshold(detector, X)
    np.testing.assert_array_equal(errors > threshold, detector.predict(X) == -1)
    y = (np.arange(len(X)) > 100).astype(int)
    table = compare_detectors(
        {"it": detector}, X, X, y, metrics=["f1"], baselines=False
    )
    assert table.loc["it", "threshold"] == pytest.approx(threshold)
    assert table.loc["it", "error"] == ""


def test_without_a_threshold():
    detector = make_pipeline(StandardScaler(), Scores()).fit(X)
    with pytest.raises(ValueError, match="threshold"):
        errors_and_threshold(detector, X)
    y = (np.arange(len(X)) > 100).astype(int)
    table = compare_detectors([detector], X, X, y, metrics=["f1"], baselines=False)
    assert np.isnan(table.loc["Scores", "threshold"])


@pytest.mark.parametrize("wrapper", ["alone", "search"])
def test_training_errors_are_those_that_fit_saw(wrapper):
    detector = WRAPPERS[wrapper](LOF).fit(X, np.zeros(len(X)))
    errors = training_errors(detector, X)
    np.testing.assert_array_equal(errors, training_errors(LOF.fit(X), X))
    # Scored like new rows, they would count themselves among their neighbours.
    assert not np.allclose(errors, detector_errors(detector, X))


def test_training_errors_of_a_frozen_detector_are_those_of_these_rows():
    frozen = make_pipeline("passthrough", FrozenEstimator(LOF.fit(X[:60])))
    np.testing.assert_array_equal(training_errors(frozen, X), -frozen.score_samples(X))
    scale = [
        ScoreTransformer(detector).fit(X).transform(X[:20] + 1)
        for detector in (LOF, search(LOF))
    ]
    np.testing.assert_array_equal(*scale)


@pytest.mark.parametrize(
    ("detector", "cure"),
    [
        (StandardScaler(), "outlier detector"),
        (make_pipeline(PCA(1), StandardScaler()), "outlier detector"),
        (LocalOutlierFactor(), "novelty=True"),
        (make_pipeline(StandardScaler(), LocalOutlierFactor()), "novelty=True"),
        (LogisticRegression(), "is a classifier.*outlier detector"),
        (FrozenEstimator(LogisticRegression()), "is a classifier"),
        (make_pipeline(StandardScaler(), LogisticRegression()), "is a classifier"),
        (search(LogisticRegression()), "is a classifier"),
        (FleetDetector(LOF), r"fleet\.detectors_\[name\]"),
        (make_pipeline(FleetDetector(LOF)), r"fleet\.detectors_\[name\]"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_no_detector(detector, cure):
    with pytest.raises(ValueError, match=rf"(?s)^it.*{cure}"):
        check_detector(detector, "it")


def test_any_scores_will_do():
    for detector in (KernelDensity(), DecisionsAlone(), Scores(), tiny_detector()):
        check_detector(make_pipeline(StandardScaler(), detector), "detector")


def test_abilities():
    pca = make_pipeline(
        StandardScaler(), ReconstructionError(PCA(1)), ReconstructionThreshold()
    )
    network = make_pipeline(StandardScaler(), tiny_detector())
    forest = make_pipeline(StandardScaler(), IsolationForest())
    assert [reconstructs(d) for d in (pca, network, forest)] == [True, True, False]
    assert [takes_missing(d) for d in (pca, network, forest)] == [False, True, False]
    assert not takes_missing(make_pipeline(PCA(1), tiny_detector()))
    assert takes_missing(FrozenEstimator(network.fit(X)))
    assert not takes_missing(make_pipeline(SimpleImputer(), IsolationForest()))


@pytest.mark.parametrize(
    "estimator",
    [
        WindowTransformer(4),
        make_pipeline(WindowTransformer(4), PCA(2)),
        FunctionTransformer(np.cumsum, kw_args={"axis": 0}),  # does not say
    ],
    ids=["windows", "pipeline", "function"],
)
def test_results_of_some_rows_are_those_of_the_series(estimator):
    frame = pd.DataFrame(X)
    rows = np.array([0, 3, 50, 119])
    estimator.fit(frame)
    some = results_at(estimator, "transform", frame, rows)
    np.testing.assert_allclose(some, np.asarray(estimator.transform(frame))[rows])


def test_a_reconstruction_is_a_row_for_each_row():
    series = X.copy()
    series[30] = np.nan
    errors = ReconstructionError(PCA(1)).fit(series)
    reconstruction = errors.reconstruct(series)
    assert np.isnan(reconstruction[30]).all()
    np.testing.assert_array_equal(
        np.square(series - reconstruction), errors.transform(series)
    )
    assert get_context(errors) == (0, 0, 0)


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 64 rows, as long as that is 2 times their context."""
    monkeypatch.setattr(_inspection, "_BLOCK_READINGS", 1)
    monkeypatch.setattr(_inspection, "_FEWEST_ROWS", 64)
    monkeypatch.setattr(_inspection, "_TIMES_CONTEXT", 2)


def windows_and_pca(window_size=10):
    return make_pipeline(
        StandardScaler(),
        WindowTransformer(window_size),
        ReconstructionError(PCA(4)),
        ReconstructionThreshold(),
    )


def recorded(function, lengths):
    def record(X):
        lengths.append(len(X))
        return function(X)

    return record


@pytest.mark.parametrize("breaks", [[], [0, 63, 64, 65, 200, 201]], ids=repr)
@pytest.mark.parametrize("as_frame", [False, True])
def test_errors_by_block_are_those_of_the_whole(as_frame, breaks, small_blocks):
    X = wave(1000)
    X[breaks] = np.nan
    X = pd.DataFrame(X, columns=["a", "b"]) if as_frame else X
    detector, lengths = windows_and_pca().fit(wave(300)), []
    if as_frame:
        detector.fit(pd.DataFrame(wave(300), columns=["a", "b"]))
    expected = detector.score_samples(X)
    errors = results_by_block(recorded(detector.score_samples, lengths), X, detector)
    np.testing.assert_allclose(errors, expected, rtol=1e-9)
    np.testing.assert_allclose(detector_errors(detector, X), -expected, rtol=1e-9)
    assert lengths == [64, *[64 + 9] * 14, 1000 - 15 * 64 + 9]


def test_rows_after_a_block_that_its_results_depend_on(small_blocks):
    X, lengths = wave(500), []
    ahead = tiny_detector(row_error="overlap_mean").fit(X)
    errors = results_by_block(recorded(ahead.score_samples, lengths), X, ahead)
    np.testing.assert_allclose(errors, ahead.score_samples(X), rtol=1e-6)
    assert lengths[:2] == [64 + 4, 4 + 64 + 4]
    assert max(lengths) == 72


def test_a_detector_that_does_not_tell_its_context_gets_the_whole(small_blocks):
    detector = make_pipeline(FunctionTransformer(np.cumsum, kw_args={"axis": 0}), LOF)
    X = wave(300)
    detector.fit(X)
    np.testing.assert_array_equal(
        detector_errors(detector, X), -detector.score_samples(X)
    )


def test_an_error_names_the_row_of_the_series_and_not_of_the_block(small_blocks):
    X = wave(500)
    detector = windows_and_pca().fit(X)
    X[400, 1] = np.inf
    with pytest.raises(ValueError, match="infinity") as by_itself:
        detector.score_samples(X)
    with pytest.raises(ValueError, match="infinity") as by_block:
        detector_errors(detector, X)
    assert str(by_block.value) == str(by_itself.value)


def test_memory_does_not_grow_with_the_series():
    """Errors of windows of 10 rows are 10 times the series, if they are all there."""
    X = np.tile(wave(1000, 4), (300, 1))
    detector = windows_and_pca().fit(X[:1000])
    peaks = []
    for function in (detector.score_samples, lambda X: detector_errors(detector, X)):
        tracemalloc.start()
        function(X)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] > 10 * X.nbytes
    # Less than a third of the readings go through at a time.
    assert peaks[1] < peaks[0] / 2.5
