# SPDX-License-Identifier: MIT
import copy
import pickle
import random

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import config_context
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from tests.helpers import tiny_detector, wave
from tsanomaly import (
    AutoregressiveDetector,
    HybridDetector,
    LSTMAutoencoderDetector,
    ReconstructionError,
    ReconstructionThreshold,
    ScoreTransformer,
    TemporalFeatures,
    WindowTransformer,
    _inspection,
)
from tsanomaly._context import get_context, sees_other_rows
from tsanomaly._inspection import last_step
from tsanomaly.metrics import make_anomaly_scorer

pytestmark = pytest.mark.network

FOREST = IsolationForest(n_estimators=20, random_state=0)
LOF = LocalOutlierFactor(novelty=True)


class Recorder(OutlierMixin, BaseEstimator):
    """A row-wise detector that stores its input."""

    def __init__(self, sees_other_rows=False):
        self.sees_other_rows = sees_other_rows

    @property
    def _sees_other_rows(self):
        return self.sees_other_rows

    def fit(self, X, y=None, sample_weight=None):
        self.X_, self.y_, self.weights_ = np.array(X, dtype=float), y, sample_weight
        self.n_context_ = self.n_lookahead_ = 0
        self.scored_ = []
        return self

    def score_samples(self, X):
        self.scored_.append(len(X))
        return -np.abs(np.asarray(X)).max(axis=1)


class Sparing(Recorder):
    """A detector that scores selected rows, with two rows of context."""

    def fit(self, X, y=None):
        super().fit(X)
        self.n_context_ = 2
        return self

    def score_rows(self, X, rows):
        self.scored_.append(len(rows))
        return -np.abs(np.asarray(X)[rows]).max(axis=1)


class Failing(Recorder):
    """A detector that fails in fit."""

    def __init__(self, message="failed"):
        self.message = message

    def fit(self, X, y=None):
        raise RuntimeError(self.message)


@pytest.fixture(scope="module")
def new(series):
    """A series with spikes of growing size."""
    X = wave(300)
    X[40:300:20, 0] += np.linspace(0.3, 4, 13)
    X[100:110, 1] = X[100, 1]
    return X


@pytest.mark.parametrize(
    "detector",
    [
        tiny_detector(),
        tiny_detector(row_error="overlap_mean"),
        make_pipeline(StandardScaler(), tiny_detector(row_error="last")),
        make_pipeline(WindowTransformer(4), LOF),
        make_pipeline(
            TemporalFeatures(windows=(3,), lags=(1,)), StandardScaler(), tiny_detector()
        ),
        make_pipeline(tiny_detector(), ReconstructionThreshold()),
        LOF,
    ],
    ids=map(str, range(7)),
)
@pytest.mark.parametrize("screen_fraction", [0.03, 0.3, 1.0])
def test_the_cascade_keeps_the_order_of_its_stages(
    detector, screen_fraction, series, new
):
    """Candidates before all others; detector, then screener, within each."""
    hybrid = HybridDetector(FOREST, detector, screen_fraction=screen_fraction)
    scores = hybrid.fit(series).score_samples(new)
    candidates = hybrid.screen(new)
    own = clone(detector).fit(series).score_samples(new)
    screened = clone(FOREST).fit(series).score_samples(new)
    if screen_fraction == 1:
        assert candidates.all()
    else:
        assert 0 < candidates.sum() < len(new)
        assert scores[candidates].max() < scores[~candidates].min()
    for rows, expected in ((candidates, own), (~candidates, screened)):
        order = np.argsort(expected[rows])
        steps = np.diff(scores[rows][order])
        # Batches of another shape may change the last bits of a network's scores.
        apart = np.diff(expected[rows][order]) > 1e-5 * np.abs(own).max()
        assert (steps[apart] > 0).all()
        assert (steps > -1e-4).all()


@given(
    seed=st.integers(0, 999),
    screen_fraction=st.floats(0.001, 1.0),
    n_timestamps=st.integers(30, 200),
    ties=st.booleans(),
)
def test_cascade_properties(seed, screen_fraction, n_timestamps, ties):
    rng = np.random.default_rng(seed)
    X, new = rng.normal(size=(2, n_timestamps, 2)) * [[[1]], [[3]]]
    if ties:
        X, new = X.round(), new.round()
    screener = make_pipeline(ReconstructionError(PCA(1)), ReconstructionThreshold())
    hybrid = HybridDetector(screener, Recorder(), screen_fraction=screen_fraction)
    hybrid.fit(X)
    candidates, scores = hybrid.screen(new), hybrid.score_samples(new)
    share = hybrid.screen(X).mean()
    if screen_fraction == 1:
        assert share == candidates.mean() == 1
    elif not ties:
        expected = min(int(screen_fraction * len(X) + 1e-9), len(X) - 1)
        assert share * len(X) == pytest.approx(expected)
    else:
        assert share <= screen_fraction
    own = Recorder().fit(X).score_samples(new)
    screened = hybrid.screener_.score_samples(new)
    both = candidates[:, None] & candidates
    neither = ~candidates[:, None] & ~candidates
    below = np.subtract.outer(scores, scores) < 0
    assert below[np.ix_(candidates, ~candidates)].all()
    for rows, stage in ((both, own), (neither, screened)):
        difference = np.subtract.outer(stage, stage)
        clear = rows & (difference < -1e-9)
        assert below[clear].all()
        tied = rows & (difference == 0)
        assert not below[tied].any()


def test_only_candidates_reach_the_detector(series, new):
    hybrid = HybridDetector(FOREST, Recorder()).fit(series)
    hybrid.detector_.scored_.clear()
    hybrid.score_samples(new)
    assert hybrid.detector_.scored_ == [hybrid.screen(new).sum()]
    # With context, where the last step cannot score single rows
    windowed = make_pipeline(WindowTransformer(4), Recorder())
    hybrid = HybridDetector(FOREST, windowed).fit(series)
    recorder = hybrid.detector_[-1]
    recorder.scored_.clear()
    hybrid.score_samples(new)
    n_candidates = hybrid.screen(new).sum()
    assert n_candidates <= recorder.scored_[0] <= 4 * n_candidates
    # None at all
    recorder.scored_.clear()
    normal = series[:1]
    assert not hybrid.screen(normal).any()
    assert np.isfinite(hybrid.score_samples(normal)).all()
    assert recorder.scored_ == []


@pytest.mark.parametrize(
    "wrap",
    [
        lambda detector, X: detector,
        lambda detector, X: FrozenEstimator(detector.fit(X)),
        lambda detector, X: make_pipeline(StandardScaler(), detector),
        lambda detector, X: make_pipeline(detector),
    ],
    ids=["plain", "frozen", "nested", "single step"],
)
def test_only_candidates_are_scored(wrap, series, new):
    detector = wrap(make_pipeline(StandardScaler(), Sparing()), series)
    hybrid = HybridDetector(FOREST, detector).fit(series)
    scored = last_step(hybrid.detector_).scored_
    scored.clear()
    hybrid.score_samples(new)
    assert scored == [hybrid.screen(new).sum()]


@pytest.mark.parametrize("combine", ["mean", "max"])
def test_ensembles(combine, series, new):
    hybrid = HybridDetector(FOREST, LOF, combine=combine).fit(series)
    levels = [
        ScoreTransformer(FrozenEstimator(part)).fit(series).transform(new)[:, 0]
        for part in (hybrid.screener_, hybrid.detector_)
    ]
    expected = getattr(np, combine)(levels, axis=0)
    np.testing.assert_allclose(-hybrid.score_samples(new), expected)


def test_defaults(series):
    small = series[:150]
    hybrid = HybridDetector(
        detector=tiny_detector(), contamination=0.1, random_state=0
    ).fit(small)
    assert isinstance(hybrid.screener_, AutoregressiveDetector)
    assert get_context(hybrid) == (8, 0, 8)
    assert (hybrid.predict(small) == -1).sum() == 15
    assert isinstance(HybridDetector()._parts()[1], LSTMAutoencoderDetector)


def test_random_state(series):
    random.seed(0)
    np.random.seed(0)
    before = random.getstate(), np.random.get_state()[1].tolist()
    seeds = [
        HybridDetector()._parts(random_state)[1].random_state
        for random_state in (0, 0, 1, None, None)
    ]
    assert seeds[0] == seeds[1] != seeds[2]
    assert seeds[3] != seeds[4]
    HybridDetector(detector=tiny_detector(random_state=None)).fit(series)
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before


def test_auto_leaves_padded_rows_out(series):
    """The first rows, whose windows are padded, are the worst of this series."""
    X = series.copy()
    X[:3] += 5.0
    hybrid = HybridDetector(make_pipeline(WindowTransformer(8), FOREST), LOF).fit(X)
    counted = hybrid.score_samples(X)[7:]
    assert (counted < hybrid.offset_).sum() == int(0.01 * len(counted))
    labels = HybridDetector(FOREST, LOF, contamination=0.2).fit_predict(X)
    assert (labels == -1).sum() == 40


@pytest.mark.parametrize("combine", ["cascade", "mean", "max"])
def test_fit_predict_is_fit_then_predict(combine, series):
    hybrid = HybridDetector(FOREST, tiny_detector(), combine=combine, contamination=0.1)
    labels = clone(hybrid).fit_predict(series)
    np.testing.assert_array_equal(labels, hybrid.fit(series).predict(series))


# scikit-learn's LocalOutlierFactor drops the names of a frame that it was fitted with.
@pytest.mark.filterwarnings("ignore:X does not have valid feature names")
@pytest.mark.parametrize("as_frame", [False, True])
def test_breaks(as_frame, series):
    X = series.copy()
    X[[60, 130, 131]] = np.nan
    if as_frame:
        X = pd.DataFrame(X, columns=["flow", "pressure"])
    breaks = [60, 130, 131]
    windowed = make_pipeline(WindowTransformer(4), LOF)  # takes no NaN
    for screener in (None, FOREST):  # a forest would take a break for normal
        for detector in (tiny_detector(), LOF, windowed):
            for combine in ("cascade", "max"):
                hybrid = HybridDetector(
                    screener, detector, combine=combine, screen_fraction=0.5
                ).fit(X)
                scores = hybrid.score_samples(X)
                assert np.flatnonzero(np.isnan(scores)).tolist() == breaks
                assert (hybrid.predict(X)[breaks] == 1).all()
                assert not hybrid.screen(X)[breaks].any()
                # Nothing crosses a break, and a piece may be nothing but breaks
                alone = hybrid.score_samples(X[132:])
                np.testing.assert_allclose(scores[132:], alone, rtol=1e-4)
                assert np.isnan(hybrid.score_samples(X[130:132])).all()
    # What is not learned is not in the scale, either
    hybrid = HybridDetector(FOREST, LOF)
    present = ~np.isnan(np.asarray(X)[:, 0])
    with_breaks, without = clone(hybrid).fit(X), clone(hybrid).fit(X[present])
    np.testing.assert_array_equal(
        with_breaks.score_samples(X[present]), without.score_samples(X[present])
    )


@pytest.mark.parametrize("detector", [tiny_detector(), make_pipeline(LOF)])
def test_breaks_in_objects_and_lists(detector, series):
    X = series.copy()
    X[[50, 51]] = np.nan
    hybrid = HybridDetector(FOREST, detector, screen_fraction=0.5).fit(X)
    expected = hybrid.score_samples(X)
    as_objects = X.astype(object)
    as_objects[50] = None
    for other in (as_objects, as_objects.tolist()):
        again = clone(hybrid).fit(other)
        np.testing.assert_array_equal(again.score_samples(other), expected)


@pytest.mark.parametrize("as_frame", [False, True])
def test_trimmed_rows_are_not_learned(as_frame, series):
    X, y = series.copy(), np.arange(200)
    X[[20, 90, 150, 151]] += 6
    if as_frame:
        X = pd.DataFrame(X, columns=["flow", "pressure"])
    trimmed = [20, 90, 150, 151]
    rowwise = HybridDetector(FOREST, Recorder(), trim_fraction=0.02).fit(X, y)
    seen = rowwise.detector_
    np.testing.assert_array_equal(seen.X_, np.delete(np.asarray(X), trimmed, axis=0))
    np.testing.assert_array_equal(seen.y_, np.delete(y, trimmed))
    windowed = Recorder(sees_other_rows=True)
    seen = HybridDetector(FOREST, windowed, trim_fraction=0.02).fit(X, y).detector_
    assert np.flatnonzero(np.isnan(seen.X_).all(axis=1)).tolist() == trimmed
    np.testing.assert_array_equal(seen.y_, y)
    assert not np.isnan(np.asarray(X)).any()
    # The network learns nothing of the four rows, yet all have a score.
    network = HybridDetector(FOREST, tiny_detector(), trim_fraction=0.02).fit(X)
    broken = np.array(X)
    broken[trimmed] = np.nan
    np.testing.assert_array_equal(
        network.detector_.weights_[0], tiny_detector().fit(broken).weights_[0]
    )
    assert np.isfinite(network.score_samples(X)).all()


def test_trimmed_rows_are_in_no_window(series):
    """Also where a row-wise detector, which takes no NaN, follows the windows."""
    X = series.copy()
    X[[20, 90, 150]] += 6
    for last in (LOF, FOREST, Recorder()):
        detector = make_pipeline(StandardScaler(), WindowTransformer(4), last)
        hybrid = HybridDetector(FOREST, detector, trim_fraction=0.015).fit(X)
        assert np.isfinite(hybrid.score_samples(X)).all()
    learned = hybrid.detector_[-1].X_
    assert learned.shape == (197, 8)
    assert learned.max() < 4
    assert hybrid.detector_[0].mean_[0] == pytest.approx(
        np.delete(X, [20, 90, 150], axis=0)[:, 0].mean()
    )
    # Trimmed rows are not in the scale of the detector, but beyond it
    whole = clone(hybrid).set_params(trim_fraction=0).fit(X)
    rows = [20, 90, 150]
    assert (hybrid.score_samples(X)[rows] < whole.score_samples(X)[rows]).all()


def test_trimming_with_a_cache(series, tmp_path):
    detector = make_pipeline(WindowTransformer(4), FOREST, memory=str(tmp_path))
    hybrid = HybridDetector(FOREST, detector, trim_fraction=0.05).fit(series)
    plain = clone(hybrid).set_params(detector__memory=None).fit(series)
    np.testing.assert_array_equal(
        hybrid.score_samples(series), plain.score_samples(series)
    )


def test_trimming_integer_columns(series):
    X = pd.DataFrame((series * 10).round().astype(int), columns=["flow", "pressure"])
    hybrid = HybridDetector(FOREST, tiny_detector(), trim_fraction=0.1)
    assert np.isfinite(hybrid.fit(X).score_samples(X)).all()
    arrays = clone(hybrid).fit(X.to_numpy()).score_samples(X.to_numpy())
    np.testing.assert_array_equal(arrays, hybrid.score_samples(X))


def test_frozen_parts_are_kept(series, new):
    screener, detector = clone(FOREST).fit(series), tiny_detector().fit(series)
    hybrid = HybridDetector(FrozenEstimator(screener), FrozenEstimator(detector))
    hybrid.fit(series)
    fresh = HybridDetector(FOREST, tiny_detector()).fit(series)
    np.testing.assert_array_equal(hybrid.score_samples(new), fresh.score_samples(new))
    assert hybrid.detector_.estimator is detector


def test_frames_reach_the_parts_as_they_are(series, new):
    """Also the pieces of a cascade keep their times."""
    times = pd.date_range("2024-01-01", periods=300, freq="h")
    train = pd.DataFrame(series, columns=["flow", "pressure"], index=times[:200])
    test = pd.DataFrame(new, columns=["flow", "pressure"], index=times)
    detector = make_pipeline(TemporalFeatures(calendar=True), StandardScaler(), LOF)
    hybrid = HybridDetector(FOREST, detector).fit(train)
    candidates = hybrid.screen(test)
    own = ScoreTransformer(FrozenEstimator(clone(detector).fit(train))).fit(train)
    # Candidates have the scores of the detector, all of them as far below the others
    distance = hybrid.score_samples(test)[:, None] + own.transform(test)
    np.testing.assert_allclose(distance[candidates], distance[candidates][0, 0])
    with pytest.raises(ValueError, match="feature names should match"):
        hybrid.predict(test[["pressure", "flow"]])


def test_parameters_of_parts(series):
    hybrid = HybridDetector(detector=tiny_detector(units=(4, 2)))
    assert hybrid.get_params(deep=True)["detector__units"] == (4, 2)
    hybrid.set_params(detector__units=(3,), screen_fraction=0.1).fit(series)
    assert hybrid.detector_.units == (3,)
    y = np.zeros(len(series), dtype=int)
    y[::20] = 1
    search = GridSearchCV(
        HybridDetector(FOREST, LOF),
        {"screen_fraction": [0.05, 0.5], "detector__n_neighbors": [5, 20]},
        scoring=make_anomaly_scorer("average_precision"),
        cv=TimeSeriesSplit(2),
    ).fit(series, y)
    assert len(search.cv_results_["params"]) == 4
    assert get_context(search) == (0, 0, 0)


@pytest.mark.parametrize(
    "copied",
    [copy.deepcopy, lambda d: pickle.loads(pickle.dumps(d)), clone],
    ids=["deepcopy", "pickle", "clone"],
)
def test_copies(copied, series, new):
    hybrid = HybridDetector(FOREST, tiny_detector()).fit(series)
    other = copied(hybrid)
    if not hasattr(other, "offset_"):
        other.fit(series)
    np.testing.assert_array_equal(other.score_samples(new), hybrid.score_samples(new))


def test_metadata_routing(series):
    weights = np.arange(200.0) + 1
    with config_context(enable_metadata_routing=True):
        detector = Recorder().set_fit_request(sample_weight=True)
        screener = OneClassSVM().set_fit_request(sample_weight=False)
        hybrid = HybridDetector(screener, detector, trim_fraction=0.05)
        hybrid.fit(series, sample_weight=weights)
        assert len(hybrid.detector_.weights_) == len(hybrid.detector_.X_) == 190
        default = HybridDetector(detector=detector).fit(series, sample_weight=weights)
        np.testing.assert_array_equal(default.detector_.weights_, weights)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"screener": StandardScaler()}, "screener=StandardScaler"),
        ({"detector": StandardScaler()}, "detector=.*score_samples"),
        ({"detector": LocalOutlierFactor()}, "detector=.*novelty=True"),
        (
            {"screener": make_pipeline(PCA(), LocalOutlierFactor())},
            "screener=.*novelty=True",
        ),
        ({"screener": "forest"}, "'screener' parameter"),
        ({"screen_fraction": 0}, "'screen_fraction' parameter"),
        ({"screen_fraction": 1.5}, "'screen_fraction' parameter"),
        ({"trim_fraction": 0.6}, "'trim_fraction' parameter"),
        ({"combine": "vote"}, "'combine' parameter"),
        ({"contamination": 0.0}, "'contamination' parameter"),
    ],
)
def test_bad_parameters(parameters, message, series):
    parameters = {"screener": FOREST, "detector": LOF, **parameters}
    hybrid = HybridDetector(**parameters)
    with pytest.raises(ValueError, match=message):
        hybrid.fit(series)
    assert not hasattr(hybrid, "offset_")


class SaysNothing(Recorder):
    """A detector without `n_context_`."""

    def fit(self, X, y=None):
        super().fit(X)
        del self.n_context_, self.n_lookahead_
        return self


def test_an_unknown_context(series):
    with pytest.raises(ValueError, match=r"SaysNothing.*n_context_"):
        HybridDetector(FOREST, SaysNothing()).fit(series)
    for hybrid in (
        HybridDetector(FOREST, SaysNothing(), combine="mean"),
        HybridDetector(SaysNothing(), LOF),  # the screener sees the whole series
    ):
        hybrid.fit(series)
        assert np.isfinite(hybrid.score_samples(series)).all()
        assert not hasattr(hybrid, "n_context_")
    stated = SaysNothing().fit(series)
    stated.n_context_ = stated.n_lookahead_ = 0
    hybrid = HybridDetector(FOREST, FrozenEstimator(stated)).fit(series)
    assert get_context(hybrid) == (0, 0, 0)


class Blind(Recorder):
    """A detector without a score for large readings."""

    def score_samples(self, X):
        scores = super().score_samples(X)
        return np.where(scores < -1.4, np.nan, scores)


def test_a_row_without_score(series):
    for parts in ((Blind(), LOF), (FOREST, Blind())):
        with pytest.raises(ValueError, match=r"Blind.*NaN"):
            HybridDetector(*parts).fit(series)
    fitted = HybridDetector(FOREST, Blind()).fit(series * 0.5)
    with pytest.raises(ValueError, match="NaN to row 3"):
        fitted.score_samples(np.array([[0.0, 0], [0, 0], [0, 0], [5, 5]]))


def test_a_hybrid_within_a_hybrid(series, new):
    inner = HybridDetector(FOREST, tiny_detector())
    assert sees_other_rows(inner)
    assert not sees_other_rows(HybridDetector(FOREST, LOF))
    assert sees_other_rows(FrozenEstimator(make_pipeline(WindowTransformer(3), LOF)))
    outer = HybridDetector(FOREST, inner, trim_fraction=0.05).fit(series)
    assert np.isfinite(outer.score_samples(new)).all()


def test_the_first_error_comes_out_and_nothing_is_half_fitted(series, new):
    hybrid = HybridDetector(Failing("screener"), Failing("detector"))
    with pytest.raises(RuntimeError, match=r"^screener$"):
        hybrid.fit(series)
    assert not [name for name in vars(hybrid) if name.endswith("_")]
    hybrid.set_params(screener=FOREST)
    with pytest.raises(RuntimeError, match=r"^detector$"):
        hybrid.fit(series)
    assert not [name for name in vars(hybrid) if name.endswith("_")]
    hybrid.set_params(detector=LOF).fit(series)
    before = hybrid.score_samples(new)
    with pytest.raises(RuntimeError, match=r"^detector$"):
        hybrid.set_params(detector=Failing("detector")).fit(series[:50])
    np.testing.assert_array_equal(hybrid.score_samples(new), before)


def test_parameters_changed_after_fit(series):
    hybrid = HybridDetector(FOREST, LOF).fit(series)
    with pytest.raises(ValueError, match="screen_fraction"):
        hybrid.set_params(screen_fraction=0.1).predict(series)


@settings(max_examples=10)
@given(n_kept=st.integers(1, 99))
def test_new_rows_do_not_compete(n_kept, series):
    """However many rows are beyond the cut, all are candidates."""
    hybrid = HybridDetector(FOREST, LOF).fit(series)
    X = np.concatenate([series[:20], np.full((n_kept, 2), 9.0)])
    assert hybrid.screen(X)[20:].all()


@pytest.mark.parametrize("combine", ["cascade", "mean"])
def test_a_long_series_is_scored_block_by_block(combine, series, monkeypatch):
    """With the same scores, also around breaks and the borders of blocks."""
    X = wave(900)
    X[[255, 400, 513, 514]] = np.nan
    X[256:260] += 4
    screener = make_pipeline(WindowTransformer(3), Recorder())
    hybrid = HybridDetector(screener, tiny_detector(), combine=combine).fit(series)
    expected, flags, mask = hybrid.score_samples(X), hybrid.predict(X), hybrid.screen(X)
    monkeypatch.setattr(_inspection, "_BLOCK_READINGS", 1)
    monkeypatch.setattr(_inspection, "_FEWEST_ROWS", 128)
    hybrid.screener_[-1].scored_.clear()
    scores = hybrid.score_samples(X)
    assert max(hybrid.screener_[-1].scored_) <= 128 + hybrid.n_context_
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    np.testing.assert_array_equal(np.isnan(scores), np.isnan(X[:, 0]))
    np.testing.assert_array_equal(hybrid.predict(X), flags)
    np.testing.assert_array_equal(hybrid.screen(X), mask)
