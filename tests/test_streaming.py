# SPDX-License-Identifier: MIT
"""A stream returns the scores of the batch, however the rows arrive."""

import copy
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.compose import make_column_transformer
from sklearn.covariance import EllipticEnvelope
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import SGDOneClassSVM
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KernelDensity, LocalOutlierFactor
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    RobustScaler,
    StandardScaler,
)
from sklearn.svm import OneClassSVM

from tests.helpers import run_python, tiny_detector, wave
from tsanomaly import (
    AlarmFilter,
    AutoregressiveDetector,
    EnsembleDetector,
    HybridDetector,
    LSTMAutoencoderDetector,
    ReconstructionError,
    ReconstructionThreshold,
    ScoreTransformer,
    StreamingDetector,
    TemporalFeatures,
    WindowTransformer,
    explain,
    load,
    save,
)
from tsanomaly._attribution import expected_readings

pytestmark = pytest.mark.network


def forest():
    return IsolationForest(n_estimators=5, random_state=0)


def features():
    return TemporalFeatures(windows=(3, 5), lags=(2,), rates=(1,))


def pca_errors():
    return WindowTransformer(4), ReconstructionError(PCA(3)), ReconstructionThreshold()


DETECTORS = {
    **{
        rule: tiny_detector(row_error=rule)
        for rule in ("multiscale", "last", "window_mean")
    },
    **{
        f"scaled_{rule}": make_pipeline(StandardScaler(), tiny_detector(row_error=rule))
        for rule in ("multiscale", "last", "window_mean")
    },
    "no_linear_map": make_pipeline(MinMaxScaler(), tiny_detector(linear_variance=0.0)),
    "threshold": make_pipeline(
        RobustScaler(), tiny_detector(), ReconstructionThreshold(channels="each")
    ),
    "windows_of_errors": make_pipeline(tiny_detector(), *pca_errors()),
    "stacked": make_pipeline(WindowTransformer(3), tiny_detector()),
    "pca": make_pipeline(StandardScaler(), *pca_errors()),
    "features": make_pipeline(features(), StandardScaler(), forest()),
    "hybrid": HybridDetector(
        make_pipeline(WindowTransformer(3), forest()),
        tiny_detector(),
        screen_fraction=0.2,
    ),
    "hybrid_mean": make_pipeline(
        StandardScaler(), HybridDetector(forest(), tiny_detector(), combine="mean")
    ),
    "union": make_pipeline(
        make_union(
            ScoreTransformer(make_pipeline(WindowTransformer(3), PCA(2), forest())),
            ScoreTransformer(make_pipeline(StandardScaler(), tiny_detector())),
        ),
        ReconstructionThreshold(),
    ),
    "nested": make_pipeline(
        "passthrough", make_pipeline(StandardScaler(), WindowTransformer(2)), forest()
    ),
    "forest": forest(),
    "neighbours": LocalOutlierFactor(novelty=True),
    "support_vectors": make_pipeline(StandardScaler(), OneClassSVM()),
    "linear": make_pipeline(WindowTransformer(2), SGDOneClassSVM(random_state=0)),
    "envelope": EllipticEnvelope(random_state=0),
    "columns": make_pipeline(
        make_column_transformer((WindowTransformer(3), [0]), remainder="passthrough"),
        forest(),
    ),
}

# Breaks are not for scikit-learn's detectors: a forest scores them, others raise.
TAKES_BREAKS = {
    *("multiscale", "last", "window_mean", "scaled_multiscale", "scaled_last"),
    *("scaled_window_mean", "no_linear_map", "threshold", "windows_of_errors"),
    *("stacked", "pca", "features", "hybrid", "hybrid_mean", "nested", "forest"),
    "columns",
}


@pytest.fixture(scope="module")
def detectors(series):
    return {name: clone(d).fit(series) for name, d in DETECTORS.items()}


def series_with_anomalies(seed, n_timestamps=40):
    rng = np.random.default_rng(seed)
    X = wave(200)[rng.integers(100) :][:n_timestamps]
    X[rng.random(n_timestamps) < 0.15] *= 3
    return X


def batch(detector, X):
    """Scores and decisions of a series; none at breaks."""
    breaks = np.isnan(X).all(axis=1)
    with warnings.catch_warnings():
        # A scaler in front of a forest sees a break as any row.
        warnings.simplefilter("ignore", RuntimeWarning)
        scores = np.array(detector.score_samples(X), dtype=float)
        decision = np.array(detector.decision_function(X), dtype=float)
    scores[breaks] = decision[breaks] = np.nan
    return scores, decision


def assert_same(scores, flags, expected):
    expected_scores, decision = expected
    tolerance = 1e-5 * np.abs(expected_scores)
    np.testing.assert_allclose(scores, expected_scores, rtol=1e-5, atol=1e-7)
    assert flags.dtype == bool
    clear = ~(np.abs(decision) <= np.nan_to_num(tolerance) + 1e-7)
    np.testing.assert_array_equal(flags[clear], (decision < 0)[clear])


def one_by_one(stream, X):
    results = [stream.update(row) for row in X]
    scores, flags = map(np.array, zip(*results, strict=True))
    return scores, flags


@pytest.mark.parametrize("name", DETECTORS)
def test_row_by_row(detectors, name):
    X = series_with_anomalies(seed=1)
    stream = StreamingDetector(detectors[name])
    score, is_anomaly = stream.update(X[0])
    assert type(score) is float
    assert type(is_anomaly) is bool
    stream.reset()
    assert_same(*one_by_one(stream, X), batch(detectors[name], X))


@pytest.mark.parametrize("name", DETECTORS)
@settings(max_examples=10)
@given(data=st.data(), seed=st.integers(0, 9))
def test_any_split(detectors, name, data, seed):
    """Rows may come one by one, many at a time, or as context only."""
    X = series_with_anomalies(seed)
    if name in TAKES_BREAKS:
        X[data.draw(st.lists(st.integers(0, len(X) - 1), max_size=4))] = np.nan
    expected = batch(detectors[name], X)
    stream = StreamingDetector(detectors[name])
    scores, flags = np.full(len(X), np.nan), np.zeros(len(X), dtype=bool)
    seen, start = np.ones(len(X), dtype=bool), 0
    while start < len(X):
        how = data.draw(st.sampled_from(["one", "many", "warm_up", "pickle"]))
        rows = slice(start, start + data.draw(st.integers(0, 12)))
        if how == "one":
            rows = slice(start, start + 1)
            scores[start], flags[start] = stream.update(X[start])
        elif how == "many":
            scores[rows], flags[rows] = stream.update_many(X[rows])
        elif how == "warm_up":
            assert stream.warm_up(X[rows]) is stream
            seen[rows] = False
        else:
            rows = slice(start, start)
            stream = pickle.loads(pickle.dumps(stream))
        start = min(rows.stop, len(X))
    expected = [values[seen] for values in expected]
    assert_same(scores[seen], flags[seen], expected)


@pytest.mark.parametrize("name", ["forest", "neighbours", "union", "features"])
def test_a_break_has_no_score(detectors, name):
    """Also with detectors that would score it, or raise."""
    X = series_with_anomalies(seed=2)
    stream = StreamingDetector(detectors[name])
    stream.update_many(X[:20])
    assert np.isnan(stream.update([np.nan, np.nan])[0])
    assert stream.update([None, np.nan])[1] is False
    assert_same(*one_by_one(stream, X[20:]), batch(detectors[name], X[20:]))
    rows = np.concatenate([X[:5], np.full((2, 2), np.nan), X[5:9]])
    stream.reset()
    scores, flags = stream.update_many(rows)
    assert np.flatnonzero(np.isnan(scores)).tolist() == [5, 6]
    assert not flags[5:7].any()
    assert_same(scores[7:], flags[7:], batch(detectors[name], X[5:9]))


@pytest.mark.parametrize("last", [tiny_detector(), forest()])
def test_an_imputer_fills_breaks(series, last):
    detector = make_pipeline(SimpleImputer(), WindowTransformer(3), last).fit(series)
    X = series_with_anomalies(seed=3)
    X[5], X[9, 0] = np.nan, np.nan
    expected = detector.score_samples(X), detector.decision_function(X)
    assert_same(*one_by_one(StreamingDetector(detector), X), expected)


@pytest.mark.parametrize("copied", [copy.deepcopy, copy.copy, None])
def test_copies_go_on(detectors, copied, tmp_path):
    X = series_with_anomalies(seed=4)
    for name in ("scaled_multiscale", "features", "union"):
        stream = StreamingDetector(detectors[name]).warm_up(X[:20])
        if copied is None:
            save(stream, tmp_path / "stream.skops")
            other = load(tmp_path / "stream.skops")
        else:
            other = copied(stream)
        expected = [values[20:] for values in batch(detectors[name], X)]
        assert_same(*one_by_one(other, X[20:]), expected)
        assert_same(*stream.update_many(X[20:]), expected)


def test_a_stream_goes_on_in_another_process(detectors, tmp_path):
    X = series_with_anomalies(seed=5)
    stream = StreamingDetector(detectors["threshold"]).warm_up(X[:-1])
    path = tmp_path / "stream.pickle"
    path.write_bytes(pickle.dumps(stream))
    code = f"""
import pickle
from pathlib import Path
stream = pickle.loads(Path({str(path)!r}).read_bytes())
print(*stream.update({X[-1].tolist()}))
"""
    score, flag = run_python(code).split()
    expected, is_anomaly = stream.update(X[-1])
    assert float(score) == pytest.approx(expected, rel=1e-5)
    assert flag == str(is_anomaly)


@pytest.mark.parametrize("name", ["scaled_multiscale", "features", "forest"])
def test_it_does_not_grow(detectors, name):
    X = np.tile(wave(100), (3, 1))
    stream = StreamingDetector(detectors[name])
    stream.update_many(X[:50])
    size = len(pickle.dumps(stream))
    for row in X:
        stream.update(row)
    assert len(pickle.dumps(stream)) == size
    stream.update_many(np.tile(X, (5, 1)))
    stream.warm_up(X)
    assert len(pickle.dumps(stream)) == size
    assert stream._rows.base is None  # no view that keeps more alive
    assert stream._rows.shape == (stream.n_context_, 2)


@pytest.mark.parametrize("name", ["multiscale", "stacked", "features"])
def test_float32_is_kept(detectors, name):
    X = series_with_anomalies(seed=6).astype(np.float32)
    expected = batch(detectors[name], X)
    assert_same(*one_by_one(StreamingDetector(detectors[name]), X), expected)
    assert_same(*StreamingDetector(detectors[name]).update_many(X), expected)


def framed(X):
    times = pd.date_range("2024-03-30 22:00", periods=len(X), freq="7min", tz="CET")
    return pd.DataFrame(X, columns=["pressure", "flow"], index=times)


@pytest.mark.parametrize(
    "name", ["last", "scaled_multiscale", "threshold", "features", "union", "forest"]
)
def test_rows_by_name(series, name):
    detector = clone(DETECTORS[name]).fit(framed(series))
    X = framed(series_with_anomalies(seed=7))
    expected = detector.score_samples(X), detector.decision_function(X)
    turned = X[["flow", "pressure"]]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # A warning of NumPy about Keras on PyTorch
        warnings.filterwarnings("ignore", "__array__", DeprecationWarning)
        for rows in (
            [row for _, row in X.iterrows()],
            [row for _, row in turned.iterrows()],
            turned.reset_index(drop=True).to_dict("records"),
            X.to_numpy(),
            X.to_numpy().tolist(),
        ):
            if name != "features":  # the calendar needs times
                assert_same(*one_by_one(StreamingDetector(detector), rows), expected)
                many = StreamingDetector(detector).update_many(rows)
                assert_same(*many, expected)
            elif hasattr(rows[0], "name"):
                assert_same(*one_by_one(StreamingDetector(detector), rows), expected)
        stream = StreamingDetector(detector).warm_up(turned[:9])
        rest = [values[9:] for values in expected]
        assert_same(*stream.update_many(turned[9:]), rest)
    assert stream.feature_names_in_.tolist() == ["pressure", "flow"]


def test_calendar_features_need_times(series):
    detector = clone(DETECTORS["features"]).fit(framed(series))
    stream = StreamingDetector(detector)
    with pytest.raises(ValueError, match="DatetimeIndex"):
        stream.update([1.0, 2.0])
    with pytest.raises(ValueError, match="NaT"):
        stream.update_many([framed(series).iloc[0], {"pressure": 1.0, "flow": 2.0}])


def test_frames_between_steps(series):
    detector = make_pipeline(
        StandardScaler(), features(), tiny_detector(), ReconstructionThreshold()
    )
    detector.set_output(transform="pandas").fit(framed(series))
    X = framed(series_with_anomalies(seed=8))
    expected = detector.score_samples(X), detector.decision_function(X)
    rows = [row for _, row in X.iterrows()]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # A warning of NumPy about Keras on PyTorch
        warnings.filterwarnings("ignore", "__array__", DeprecationWarning)
        assert_same(*one_by_one(StreamingDetector(detector), rows), expected)


@pytest.mark.parametrize("wrap", [FrozenEstimator, None])
def test_wrapped_detectors(series, wrap):
    pipeline = make_pipeline(StandardScaler(), *pca_errors())
    if wrap is None:
        detector = GridSearchCV(
            pipeline,
            {"windowtransformer__window_size": [5]},
            cv=2,
            scoring=lambda model, X, y=None: model.score_samples(X).mean(),
        ).fit(series)
    else:
        detector = wrap(pipeline.fit(series))
    X = series_with_anomalies(seed=9)
    assert_same(*one_by_one(StreamingDetector(detector), X), batch(detector, X))


@pytest.mark.parametrize("name", ["scaled_multiscale", "features", "forest", "pca"])
@pytest.mark.parametrize(
    ("row", "message"),
    [
        ([1.0], "2 channels.* 1 "),
        ([1.0, 2.0, 3.0], "2 channels.* 3 "),
        ([1.0, "high"], "'high'"),
        ([1.0, "2"], "numbers"),
        (pd.Series([1.0, "high"]), "'high'"),
        ([1.0, pd.Timestamp("2024-01-01")], "numbers"),
        ([[1.0, 2.0]], "update_many"),
        ([1.0, [2.0]], "not form an array"),
        (3.0, "shape"),
        (None, "shape"),
        ({"a": 1.0, "b": 2.0}, "names"),
    ],
)
def test_a_bad_row_changes_nothing(detectors, name, row, message):
    X = series_with_anomalies(seed=10)
    stream = StreamingDetector(detectors[name]).warm_up(X[:20])
    with pytest.raises(ValueError, match=message):
        stream.update(row)
    for call in (stream.update_many, stream.warm_up):
        with pytest.raises(ValueError, match=r"expect|number|array|shape|name"):
            call([X[20], row])
    expected = [values[20:] for values in batch(detectors[name], X)]
    assert_same(*stream.update_many(X[20:]), expected)


@pytest.mark.parametrize("name", ["scaled_multiscale", "last", "features", "pca"])
@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e39])
def test_what_a_detector_refuses_changes_nothing(detectors, name, value):
    X = series_with_anomalies(seed=10)
    if value == 1e39 and name != "last":  # only the network computes in float32
        value = np.inf
    stream = StreamingDetector(detectors[name]).warm_up(X[:20])
    for call in (stream.update_many, stream.warm_up):
        with pytest.raises(ValueError, match=r"infinity|too large for float32"):
            call([X[20], [1.0, value]])
    with pytest.raises(ValueError, match=r"infinity|too large for float32"):
        stream.update([1.0, value])
    expected = [values[20:] for values in batch(detectors[name], X)]
    assert_same(*one_by_one(stream, X[20:]), expected)


def test_nan_in_some_channels_is_treated_as_in_a_batch(detectors):
    X = series_with_anomalies(seed=11)
    X[20, 0] = np.nan
    for name in ("features", "scaled_multiscale", "last", "threshold"):
        taken = detectors[name]
        assert_same(*one_by_one(StreamingDetector(taken), X), batch(taken, X))
    refusing = detectors["pca"]
    stream = StreamingDetector(refusing).warm_up(X[:20])
    with pytest.raises(ValueError, match="NaN"):
        stream.update(X[20])
    with pytest.raises(ValueError, match="NaN"):
        stream.warm_up(X[20:21])
    expected = batch(refusing, np.delete(X, 20, axis=0))
    expected = [values[20:] for values in expected]
    assert_same(*stream.update_many(X[21:]), expected)


def test_wrong_names(series):
    frame = framed(series)
    stream = StreamingDetector(forest().fit(frame))
    for row in (
        {"pressure": 1.0},
        {"pressure": 1.0, "flow": 1.0, "heat": 2.0},
        pd.Series([1.0, 2.0], ["pressure", "heat"]),
        pd.Series([1.0, 2.0, 3.0], ["pressure", "flow", "flow"]),
    ):
        with pytest.raises(ValueError, match=r"missing|unknown 'heat'|twice 'flow'"):
            stream.update(row)
    with pytest.raises(ValueError, match="missing 'flow'; unknown 'heat'"):
        stream.update_many(frame.rename(columns={"flow": "heat"}))
    with pytest.raises(ValueError, match="'flow'"):
        stream.warm_up(frame.assign(flow="high"))
    assert stream.update({"flow": 0.0, "pressure": 1.0}) == pytest.approx(
        StreamingDetector(stream.detector).update([1.0, 0.0])
    )


def test_no_rows(detectors):
    stream = StreamingDetector(detectors["multiscale"])
    for nothing in ([], np.empty((0, 2)), pd.DataFrame(columns=["a", "b"])):
        scores, flags = stream.warm_up(nothing).update_many(nothing)
        assert scores.shape == flags.shape == (0,)


class Unknown(TransformerMixin, BaseEstimator):
    """A step outside of this library."""

    def fit(self, X, y=None):
        self.fitted_ = True
        return self

    def transform(self, X):
        return X


@pytest.mark.parametrize("rule", ["overlap_mean", "multiscale_centered"])
def test_a_rule_that_looks_ahead_is_refused_by_name(series, rule):
    detector = tiny_detector(row_error=rule)
    for model in (
        detector,
        make_pipeline(StandardScaler(), detector, ReconstructionThreshold()),
        make_pipeline(ScoreTransformer(detector), ReconstructionThreshold()),
        HybridDetector(forest(), detector),
    ):
        with pytest.raises(ValueError, match=f"(?s){rule}.* 4 later rows"):
            StreamingDetector(model.fit(series))


def test_an_unknown_step_is_refused_unless_it_states_its_context(series):
    detector = make_pipeline(Unknown(), tiny_detector()).fit(series)
    with pytest.raises(ValueError, match="Unknown"):
        StreamingDetector(detector)
    detector[0].n_context_, detector[0].n_lookahead_ = 0, 0
    X = series_with_anomalies(seed=12)
    assert_same(*one_by_one(StreamingDetector(detector), X), batch(detector, X))
    with pytest.raises(ValueError, match="FunctionTransformer"):
        StreamingDetector(make_pipeline(FunctionTransformer(np.abs), forest().fit(X)))


def test_what_is_no_detector_is_refused(series):
    with pytest.raises(NotFittedError):
        StreamingDetector(forest())
    for estimator, named in (
        (StandardScaler(), "score_samples"),
        (LocalOutlierFactor(), "novelty=True"),
        (KernelDensity(), r"KernelDensity.*offset_"),
        (tiny_detector(row_error="overlap_mean", stride=2), "stride=1"),
    ):
        with pytest.raises(ValueError, match=named):
            StreamingDetector(estimator.fit(series))


def test_a_network_that_somebody_changed_is_run_as_it_is(series):
    class Louder(LSTMAutoencoderDetector):
        def transform(self, X):
            return 2 * super().transform(X)

        def score_samples(self, X):
            return -self.transform(X).mean(axis=1)

    detector = Louder(**tiny_detector().get_params(deep=False)).fit(series)
    X = series_with_anomalies(seed=13)
    assert_same(*one_by_one(StreamingDetector(detector), X), batch(detector, X))
    expected = detector.score_samples(X)[[7, 3]]
    np.testing.assert_allclose(detector.score_rows(X, [7, 3]), expected)


def test_an_ensemble_that_somebody_changed_is_run_as_it_is(series):
    class Louder(EnsembleDetector):
        def transform(self, X):
            return 2 * super().transform(X)

        def score_samples(self, X):
            return 2 * super().score_samples(X)

        def reconstruct(self, X):
            return super().reconstruct(X) + 100

    detector = Louder([("forecasts", AutoregressiveDetector(window_size=4))])
    detector.fit(series)
    X = series_with_anomalies(seed=13)
    expected = batch(detector, X)
    assert_same(*one_by_one(StreamingDetector(detector), X), expected)
    assert_same(*StreamingDetector(detector).update_many(X), expected)
    rows = np.array([20, 30])
    found = expected_readings(detector, X, rows)
    np.testing.assert_allclose(found, detector.reconstruct(X)[rows])


def test_an_update_explains_its_row(series):
    detector = make_pipeline(
        StandardScaler(), ReconstructionError(PCA(1)), ReconstructionThreshold()
    ).fit(series)
    row = [*series[0, :1], 9.0]
    stream = StreamingDetector(detector)
    score, is_anomaly, explanation = stream.update(row, explain=True)
    assert (score, is_anomaly) == StreamingDetector(detector).update(row)
    expected = explain(detector, [row], flagged=[True], n_channels=3).iloc[0]
    assert explanation["channels"] == expected["channels"]
    assert explanation["shares"] == pytest.approx(expected["shares"])
    first = explanation["channels"][0]
    assert explanation["readings"][0] == row[first]
    assert explanation["expected"][0] == pytest.approx(expected["expected"])


def test_a_break_has_no_explanation(series):
    stream = StreamingDetector(
        IsolationForest(n_estimators=20, random_state=0).fit(series)
    )
    *_, explanation = stream.update([np.nan, np.nan], explain=True)
    assert explanation is None


def test_no_channel_is_named_where_no_row_is_kept_to_compare_with(series):
    stream = StreamingDetector(
        IsolationForest(n_estimators=20, random_state=0).fit(series)
    )
    *_, explanation = stream.update([0.0, 50.0], explain=True)
    names = ("channels", "shares", "readings", "expected")
    assert explanation == {name: [] for name in names}


def test_an_explanation_that_fails_takes_no_row(series, monkeypatch):
    detector = make_pipeline(
        WindowTransformer(3), IsolationForest(n_estimators=20, random_state=0)
    )
    stream = StreamingDetector(detector.fit(series)).warm_up(series)
    again = copy.deepcopy(stream)

    def fail(*arguments):
        raise MemoryError

    monkeypatch.setattr("tsanomaly._streaming.explain_rows", fail)
    with pytest.raises(MemoryError):
        stream.update([9.0, 9.0], explain=True)
    assert stream.update(series[0]) == again.update(series[0])


def test_a_stream_is_explained_by_its_detector(series):
    detector = make_pipeline(
        StandardScaler(), ReconstructionError(PCA(1)), ReconstructionThreshold()
    ).fit(series)
    X = series.copy()
    X[50:60, 1] += 9
    plain, filtered = (StreamingDetector(detector, f) for f in (None, AlarmFilter()))
    pd.testing.assert_frame_equal(explain(plain, X), explain(detector, X))
    expected = explain(detector, X, alarm_filter=AlarmFilter())
    pd.testing.assert_frame_equal(explain(filtered, X), expected)
