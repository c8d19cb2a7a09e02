# SPDX-License-Identifier: MIT
import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, OutlierMixin, clone
from sklearn.ensemble import IsolationForest
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from tests.helpers import tiny_detector, wave
from tsanomaly import (
    AutoregressiveDetector,
    EnsembleDetector,
    LinearAutoencoderDetector,
    LSTMAutoencoderDetector,
    ReconstructionThreshold,
    StreamingDetector,
    WindowNeighborsDetector,
    WindowTransformer,
    _inspection,
    explain,
    make_ensemble,
)
from tsanomaly._context import get_context

pytestmark = pytest.mark.network

FOREST = IsolationForest(n_estimators=20, random_state=0)
LOF = LocalOutlierFactor(n_neighbors=5, novelty=True)


def forecasts(lags=1, **parameters):
    return AutoregressiveDetector(lags, window_size=4, **parameters)


def neighbors(**parameters):
    return WindowNeighborsDetector(16, random_state=0, **parameters)


def small(**parameters):
    """An ensemble that gives errors of channels."""
    members = [("forecasts", forecasts()), ("neighbors", neighbors())]
    return EnsembleDetector(members, **parameters)


def with_gaps():
    X = wave(200, 3)
    X[[80, 81]] = np.nan
    X[0, 1] = X[82, 0] = X[120, 2] = np.nan
    X[140:170, 1] = np.nan
    return X


def on_tail_scale(errors, training):
    """Half of -log10 of the share of training rows that are at least as abnormal.

    Of a training row, of which half counts. As an error: log(1 + exp(level)).
    """
    training = training[~np.isnan(training)]
    above = [np.mean(training > error) for error in errors]
    tied = [np.mean(training == error) for error in errors]
    levels = -np.log10(np.add(above, np.divide(tied, 2))) / 2
    return np.log(1 + np.exp(levels))


@pytest.fixture(scope="module")
def stock():
    """The stock ensemble with a tiny network, shared: do not change it."""
    ensemble = make_ensemble(tiny_detector(), random_state=0)
    return make_pipeline(StandardScaler(), ensemble).fit(wave(400))


@pytest.mark.parametrize("weights", [None, [3, 1], (0.5, 0), np.array([1, 2])])
def test_the_error_is_the_weighted_mean_of_those_of_the_members(weights):
    X = with_gaps()
    ensemble = small(weights=weights).fit(X)
    scores = [d.score_samples(X) for d in ensemble.named_detectors_.values()]
    expected = np.average(scores, axis=0, weights=weights)
    np.testing.assert_allclose(ensemble.score_samples(X), expected, rtol=1e-12)
    np.testing.assert_array_equal(
        ensemble.decision_function(X), ensemble.score_samples(X) - ensemble.offset_
    )
    np.testing.assert_array_equal(
        ensemble.predict(X), np.where(ensemble.decision_function(X) < 0, -1, 1)
    )
    assert list(ensemble.named_detectors_) == ["forecasts", "neighbors"]
    assert ensemble.left_out_ == {}


@pytest.mark.parametrize(
    "member",
    [
        FOREST,
        make_pipeline(WindowTransformer(3), FOREST),
        OneClassSVM(),
        forecasts(row_error="last"),
    ],
    ids=repr,
)
def test_others_are_put_on_a_scale_of_their_own(member):
    """By how rare their errors were among the training rows."""
    X = wave(200)
    X[100] = np.nan
    known = np.delete(np.arange(200), 100)
    ensemble = EnsembleDetector([("member", member), ("other", forecasts())]).fit(X)
    one, other = ensemble.named_detectors_.values()
    errors = -ensemble.score_samples(X)
    assert np.isnan(errors[100])
    if isinstance(member, AutoregressiveDetector):
        of_member = -one.score_samples(X)[known]
    else:
        stretches = X[:100], X[101:]
        of_member = -np.concatenate([one.score_samples(part) for part in stretches])
    expected = on_tail_scale(of_member, of_member) - other.score_samples(X)[known]
    np.testing.assert_allclose(errors[known], expected / 2, rtol=1e-6)
    # Beyond the worst training row, errors go on rising.
    far = np.array([[9.0, 9], [90, 90]])
    if isinstance(member, AutoregressiveDetector):
        beyond = -EnsembleDetector([("alone", member)]).fit(X).score_samples(far[1:])
        assert beyond[0] > on_tail_scale(of_member, of_member).max()


@pytest.mark.parametrize("wrap", [lambda d: d, lambda d: make_pipeline(None, d)])
def test_neighbours_are_judged_by_their_own_training_scores(wrap):
    """A training row, scored as a new one, is its own nearest neighbour."""
    X = wave(200)
    X[[50, 51, 120]] = np.nan
    rows = np.flatnonzero(~np.isnan(X[:, 0]))
    member = wrap(clone(LOF))
    ensemble = EnsembleDetector([("lof", member)], contamination=0.1).fit(X)
    lof = clone(LOF).fit(X[rows])
    training = -lof.negative_outlier_factor_
    expected = on_tail_scale(training, training)
    cut = -ensemble.offset_
    assert (expected > cut).sum() == int(0.1 * len(rows))
    # Of new rows it is what that scale says of their scores.
    scores, new = -ensemble.score_samples(X), -lof.score_samples(X[rows])
    assert np.isnan(np.delete(scores, rows)).all()
    inside = (new > training.min()) & (new < training.max())
    assert inside.mean() > 0.9
    between = np.interp(new, np.sort(training), np.sort(expected))
    np.testing.assert_allclose(scores[rows][inside], between[inside], atol=0.02)


def test_auto_leaves_padded_rows_out():
    """Of the first 14 rows, which are padded here, the series is another one."""
    X = wave(300)
    X[:14] *= 4
    ensemble = small().fit(X)
    assert ensemble.n_context_ == 15
    flagged = ensemble.predict(X) == -1
    assert flagged[:14].all()
    assert flagged[15:].sum() <= 2  # 1 % of 285
    every = clone(ensemble).set_params(contamination=0.01).fit(X)
    assert every.offset_ < 1.5 * ensemble.offset_


def test_context_is_that_of_the_farthest(series):
    assert get_context(small().fit(series)) == (15, 0, 15)
    centred = forecasts(row_error="multiscale_centered")
    members = [("a", centred), ("b", make_pipeline(WindowTransformer(30), FOREST))]
    assert get_context(EnsembleDetector(members).fit(series)) == (29, 3, 29)


class Unknown(OutlierMixin, BaseEstimator):
    """A detector without `n_context_`, or one that fails in `fit`."""

    def __init__(self, error=None):
        self.error = error

    def fit(self, X, y=None):
        if self.error is not None:
            raise self.error
        self.n_features_in_ = X.shape[1]
        return self

    def score_samples(self, X):
        return -np.abs(np.asarray(X)).sum(axis=1)


def test_a_member_that_does_not_say_how_far_it_sees(series):
    ensemble = EnsembleDetector([("unknown", Unknown()), ("a", forecasts())])
    ensemble.fit(series)
    assert not hasattr(ensemble, "n_context_")
    with pytest.raises(ValueError, match="does not say how many"):
        get_context(ensemble)
    assert np.isfinite(ensemble.score_samples(series)).all()
    # A refit forgets, and tells.
    assert get_context(ensemble.set_params(unknown=FOREST).fit(series)) == (4, 0, 4)


@pytest.mark.parametrize("weights", [None, [5, 3, 1]])
def test_who_cannot_be_fitted_is_left_out(weights, series):
    long = AutoregressiveDetector(window_size=300)
    members = [("long", long), ("short", forecasts()), ("forest", FOREST)]
    ensemble = EnsembleDetector(members, weights=weights)
    with pytest.warns(UserWarning, match=r"drops 'long', .*window_size=300") as w:
        ensemble.fit(series)
    assert len(w) == 1
    assert w[0].filename == __file__
    assert list(ensemble.left_out_) == ["long"]
    assert "window_size=300" in ensemble.left_out_["long"]
    assert list(ensemble.named_detectors_) == ["short", "forest"]
    others = EnsembleDetector(members[1:], weights=weights and weights[1:]).fit(series)
    assert others.left_out_ == {}
    np.testing.assert_allclose(
        ensemble.score_samples(series), others.score_samples(series)
    )
    assert ensemble.offset_ == pytest.approx(others.offset_)
    # On a longer series it is there again.
    assert ensemble.fit(wave(400)).left_out_ == {}


def test_if_none_can_be_fitted_the_first_error_comes_out(series):
    ensemble = small().fit(series)
    expected = ensemble.score_samples(series)
    failing = [
        ("a", Unknown(ValueError("first"))),
        ("b", Unknown(ValueError("second"))),
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=r"^first$"):
            EnsembleDetector(failing).fit(series)
        with pytest.raises(ValueError, match=r"^first$"):
            ensemble.set_params(detectors=failing).fit(series)
    np.testing.assert_array_equal(ensemble.score_samples(series), expected)
    new = EnsembleDetector(failing)
    with pytest.raises(ValueError, match="first"):
        new.fit(series)
    assert not [name for name in vars(new) if name.endswith("_")]
    with pytest.raises(NotFittedError):
        new.score_samples(series)


def test_errors_of_other_kinds_are_not_hidden(series):
    members = [("a", forecasts()), ("b", Unknown(RuntimeError("broken")))]
    with pytest.raises(RuntimeError, match="broken"):
        EnsembleDetector(members).fit(series)


@pytest.mark.filterwarnings("ignore:The ensemble drops")
def test_who_is_left_must_have_a_weight(series):
    members = [("a", Unknown(ValueError("no"))), ("b", forecasts()), ("c", FOREST)]
    ensemble = EnsembleDetector(members, weights=[1, 0, 0])
    with pytest.raises(ValueError, match=r"are 0 for all .*fitted \(b, c\)"):
        ensemble.fit(series)
    assert not hasattr(ensemble, "named_detectors_")


@pytest.mark.parametrize(
    "weights",
    [[1], [1, 2, 3], [[1, 2]], [1, -1], [np.nan, 1], [np.inf, 1], ["a", "b"], 2.0],
    ids=str,
)
def test_wrong_weights(weights, series):
    with pytest.raises(ValueError, match="weights"):
        small(weights=weights).fit(series)


@pytest.mark.parametrize(
    ("detectors", "message"),
    [
        ([], r"'detectors' .* list of one or more \(name, detector\) tuples. Got \[\]"),
        ([FOREST], "tuples"),
        ([("a", FOREST, 1)], "tuples"),
        (("a", FOREST), "'detectors' parameter"),
        ([("a", FOREST), ("a", LOF)], "not unique"),
        ([("a__b", FOREST)], "__"),
        ([("weights", FOREST)], "conflict"),
        (
            [("a", IsolationForest)],
            "a=.* is not an estimator. Pass an outlier",
        ),
        ([("a", "forest")], "a='forest' is not an estimator"),
        ([("a", StandardScaler())], "a=StandardScaler.* neither score_samples"),
        ([("a", LogisticRegression())], "classifier"),
        ([("a", LocalOutlierFactor())], "novelty=True"),
    ],
)
def test_wrong_detectors(detectors, message, series):
    with pytest.raises(ValueError, match=message):
        EnsembleDetector(detectors).fit(series)


def test_parameters_by_name(series):
    ensemble = EnsembleDetector([("network", tiny_detector()), ("forest", FOREST)])
    assert ensemble.get_params()["network__epochs"] == 1
    assert ensemble.get_params(deep=False).keys() == {
        "detectors",
        "weights",
        "contamination",
    }
    ensemble.set_params(network__epochs=2, weights=[2, 1], forest=LOF)
    assert ensemble.detectors[0][1].epochs == 2
    assert ensemble.detectors[1] == ("forest", LOF)
    network = ensemble.fit(series).named_detectors_["network"]
    assert network.n_iter_ == 2
    assert network is not ensemble.detectors[0][1]
    assert not hasattr(LOF, "n_features_in_")
    with pytest.raises(ValueError, match="parameter"):
        ensemble.set_params(net__epochs=2)


def test_weights_changed_after_fit_are_refused(series):
    ensemble = small().fit(series)
    expected = ensemble.decision_function(series)
    ensemble.set_params(contamination=0.2, forecasts__alpha=3.0)
    np.testing.assert_array_equal(ensemble.decision_function(series), expected)
    ensemble.set_params(weights=[1, 2])
    for method in ("predict", "transform", "reconstruct"):
        with pytest.raises(ValueError, match=r"weights was changed from .* Refit .*"):
            getattr(ensemble, method)(series)


@pytest.mark.parametrize("missing", ["ignore", "anomaly"])
def test_the_score_is_minus_the_mean_error_of_the_channels(missing):
    X = with_gaps()
    ensemble = EnsembleDetector(
        [
            ("forecasts", forecasts(missing=missing)),
            ("last", forecasts(row_error="last", missing=missing)),
            ("neighbors", neighbors(missing=missing)),
        ],
        weights=[1, 2, 3],
    ).fit(X)
    errors, scores = ensemble.transform(X), ensemble.score_samples(X)
    breaks = np.isnan(X).all(axis=1)
    np.testing.assert_array_equal(np.isnan(errors).all(axis=1), breaks)
    np.testing.assert_array_equal(np.isnan(scores), breaks)
    assert (errors[~np.isnan(errors)] >= 0).all()
    means = np.ma.masked_invalid(errors).mean(axis=1)
    np.testing.assert_allclose(scores[~breaks], -means[~breaks], rtol=1e-9)
    if missing == "anomaly":
        gaps = np.isnan(X).any(axis=1) & ~breaks
        assert not np.isnan(errors[~breaks]).any()
        assert (ensemble.predict(X)[gaps] == -1).all()
    else:
        assert np.isfinite(errors[~np.isnan(X)]).all()
    # What was expected is the mean of what they did.
    expected = [d.reconstruct(X) for d in ensemble.named_detectors_.values()]
    np.testing.assert_allclose(
        ensemble.reconstruct(X), np.average(expected, axis=0, weights=[1, 2, 3])
    )


def test_channels_get_their_share_by_the_part_of_the_detector():
    X = wave(200)
    ensemble = small(weights=[3, 1]).fit(X)
    errors = [d.transform(X) for d in ensemble.named_detectors_.values()]
    expected = 0.75 * errors[0] + 0.25 * errors[1]
    np.testing.assert_allclose(ensemble.transform(X), expected, rtol=1e-9)


def test_errors_of_channels_need_them_from_all(series):
    for ensemble in (small(), small().fit(series)):
        for method in ("transform", "reconstruct", "fit_transform"):
            assert hasattr(ensemble, method)
    mixed = EnsembleDetector([("forecasts", forecasts()), ("forest", FOREST)])
    for ensemble in (mixed, clone(mixed).fit(series)):
        for method in ("transform", "reconstruct", "fit_transform"):
            assert not hasattr(ensemble, method)


def test_who_is_left_out_needs_no_errors_of_channels(series):
    ensemble = EnsembleDetector([("forecasts", forecasts()), ("forest", Unknown())])
    ensemble.set_params(forest__error=ValueError("no"))
    with pytest.warns(UserWarning, match="drops 'forest'"):
        ensemble.fit(series)
    assert ensemble.transform(series).shape == series.shape


def test_other_detectors_may_give_errors_of_channels_or_not(series):
    """`fit_transform` follows those to be fitted, `transform` the fitted ones."""
    ensemble = EnsembleDetector([("a", forecasts())]).fit(series)
    ensemble.set_params(detectors=[("forest", FOREST)])
    assert not hasattr(ensemble, "fit_transform")
    assert hasattr(ensemble.set_params(detectors=[("a", forecasts())]), "fit_transform")
    ensemble.set_params(detectors=[("forest", FOREST)]).fit(series)
    assert not hasattr(ensemble, "transform")
    ensemble.set_params(detectors=[("a", forecasts())])
    assert ensemble.fit_transform(series).shape == series.shape


def test_frames_keep_their_names(series):
    frame = pd.DataFrame(series, columns=["flow", "pressure"])
    ensemble = small().set_output(transform="pandas").fit(frame)
    assert list(ensemble.feature_names_in_) == ["flow", "pressure"]
    assert list(ensemble.get_feature_names_out()) == ["flow", "pressure"]
    errors = ensemble.transform(frame)
    assert list(errors.columns) == ["flow", "pressure"]
    assert (errors.index == frame.index).all()
    plain = small().fit(series)
    np.testing.assert_array_equal(errors, plain.transform(series))
    assert list(plain.get_feature_names_out()) == ["x0", "x1"]
    np.testing.assert_allclose(
        plain.score_samples(series.tolist()), -errors.mean(axis=1)
    )
    with pytest.raises(ValueError, match="feature names"):
        ensemble.predict(frame[["pressure", "flow"]])
    with pytest.raises(ValueError, match="features"):
        plain.predict(series[:, :1])


def test_frames_reach_the_members_as_they_are(series):
    frame = pd.DataFrame(series.copy(), columns=["flow", "pressure"])
    frame.iloc[100] = np.nan  # without a copy, also in `series` with older pandas
    ensemble = EnsembleDetector([("forest", FOREST), ("forecasts", forecasts())])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ensemble.fit(frame).predict(frame)
    for member in ensemble.named_detectors_.values():
        assert list(member.feature_names_in_) == ["flow", "pressure"]


@pytest.mark.parametrize(
    "copied",
    [lambda e: pickle.loads(pickle.dumps(e)), lambda e: clone(e).fit(wave(200))],
    ids=["pickle", "clone"],
)
def test_copies_score_the_same(copied, series):
    members = [("forecasts", forecasts()), ("forest", FOREST), ("lof", LOF)]
    ensemble = EnsembleDetector(members, weights=[1, 2, 1]).fit(wave(200))
    np.testing.assert_array_equal(
        copied(ensemble).decision_function(series), ensemble.decision_function(series)
    )


def test_an_ensemble_within_an_ensemble(series):
    inner = small(weights=[1, 3])
    outer = EnsembleDetector([("inner", inner), ("forecasts", forecasts(2))])
    outer.fit(series).set_params(inner__neighbors__missing="anomaly")
    one, other = outer.named_detectors_.values()
    np.testing.assert_allclose(
        outer.score_samples(series),
        (one.score_samples(series) + other.score_samples(series)) / 2,
    )
    np.testing.assert_allclose(
        outer.transform(series).mean(axis=1), -outer.score_samples(series)
    )
    assert get_context(outer) == (15, 0, 15)


@pytest.fixture(scope="module", params=["small", "mixed"])
def streamed(request):
    """A series and its detector, shared: do not change it."""
    X = with_gaps()
    if request.param == "small":
        return X, small(weights=[1, 3]).fit(X)
    X[np.isnan(X).any(axis=1)] = np.nan  # a forest takes breaks only
    members = [("a", make_pipeline(WindowTransformer(3), FOREST)), ("b", forecasts())]
    return X, EnsembleDetector(members).fit(wave(100, 3))


@settings(max_examples=8)
@given(begin=st.integers(0, 150), length=st.integers(1, 20))
def test_streams_give_the_scores_of_the_batch(streamed, begin, length):
    X, ensemble = streamed
    scores, labels = ensemble.score_samples(X), ensemble.predict(X)
    rows = np.arange(begin, begin + length)
    stream = StreamingDetector(ensemble)
    if begin:
        together, _ = stream.update_many(X[:begin])
        np.testing.assert_allclose(together, scores[:begin], rtol=1e-4)
    found, flags = zip(*[stream.update(row) for row in X[rows]], strict=True)
    np.testing.assert_allclose(found, scores[rows], rtol=1e-4)
    np.testing.assert_array_equal(flags, labels[rows] == -1)


def test_a_long_series_is_scored_block_by_block(streamed, monkeypatch):
    """With the same scores, also around breaks and the borders of blocks."""
    _, detector = streamed
    X = wave(900, 3)
    X[[255, 400, 513, 514]] = np.nan
    X[256:260] += 4
    expected = detector.score_samples(X)
    monkeypatch.setattr(_inspection, "_BLOCK_READINGS", 1)
    monkeypatch.setattr(_inspection, "_FEWEST_ROWS", 128)
    monkeypatch.setattr(_inspection, "_TIMES_CONTEXT", 1)
    scores = detector.score_samples(X)
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    np.testing.assert_array_equal(np.isnan(scores), np.isnan(X[:, 0]))


def test_the_stock_ensemble_streams(stock):
    X = wave(60)
    stream = StreamingDetector(stock)
    scores = [stream.update(row)[0] for row in X]
    np.testing.assert_allclose(scores, stock.score_samples(X), rtol=1e-4)


def test_it_finds_an_anomaly(stock):
    X = wave(400)
    X[300, 1] += 8
    assert stock.score_samples(X).argmin() in range(300, 305)
    assert stock.predict(X)[300] == -1
    events = explain(stock, X)
    event = events.loc[events["score"].idxmin()]
    assert event["channels"][0] == 1
    assert event["expected"] < 5 < event["reading"]


def test_an_ensemble_without_errors_of_channels_is_explained_too():
    X = wave(300)
    members = [("forecasts", forecasts()), ("forest", FOREST)]
    ensemble = EnsembleDetector(members).fit(X)
    X[200, 1] += 8
    event = explain(ensemble, X, flagged=np.arange(300) == 200).iloc[0]
    assert event["channels"][0] == 1


def test_the_stock_ensemble(stock):
    ensemble = stock[-1]
    assert [name for name, _ in ensemble.detectors] == [
        "network",
        "autoregression",
        "neighbors",
    ]
    assert ensemble.weights == [3, 1, 2]
    members = list(ensemble.named_detectors_.values())
    scaled = stock[0].transform(wave(100))
    expected = np.average(
        [d.score_samples(scaled) for d in members], axis=0, weights=[3, 1, 2]
    )
    np.testing.assert_allclose(stock.score_samples(wave(100)), expected)
    n_start_up = get_context(stock).n_start_up
    assert n_start_up == 99
    assert (stock.predict(wave(400))[n_start_up:] == -1).mean() <= 0.01


def test_the_default_is_the_network_and_seeds_are_set():
    one, same, other = (make_ensemble(random_state=seed) for seed in (3, 3, 4))
    seeds = []
    for ensemble in (one, same, other, clone(one)):
        network = ensemble.detectors[0][1]
        assert type(network) is LSTMAutoencoderDetector
        assert network.window_size == LSTMAutoencoderDetector().window_size
        seeds.append([detector.random_state for _, detector in ensemble.detectors])
        assert all(isinstance(seed, int) for seed in seeds[-1])
    assert seeds[0] == seeds[1] == seeds[3] != seeds[2]
    assert make_ensemble().detectors[0][1].random_state is not None


def test_without_a_network():
    X = wave(300)
    ensemble = make_ensemble("drop", random_state=0).fit(X)
    assert list(ensemble.named_detectors_) == ["autoregression", "neighbors"]
    assert ensemble.weights == [1, 2]
    again = make_ensemble("drop", random_state=0).fit(X)
    np.testing.assert_array_equal(again.score_samples(X), ensemble.score_samples(X))


def test_any_detector_may_take_the_place_of_the_network():
    ensemble = make_ensemble(FOREST, random_state=0)
    assert ensemble.detectors[0][1] is not FOREST
    assert ensemble.detectors[0][1].random_state == 0  # its own
    assert ensemble.weights == [3, 1, 2]
    ensemble.fit(wave(200))
    assert np.isfinite(ensemble.score_samples(wave(50))).all()
    assert not hasattr(FOREST, "estimators_")


@pytest.mark.parametrize("detector", ["lof", 3, IsolationForest, StandardScaler()])
def test_what_cannot_take_the_place_of_the_network(detector):
    with pytest.raises(ValueError, match="detector"):
        make_ensemble(detector)


def test_a_frozen_detector_is_not_fitted_again(series):
    fitted = forecasts().fit(series[:150])
    ensemble = EnsembleDetector(
        [("frozen", FrozenEstimator(fitted)), ("neighbors", neighbors())]
    ).fit(series)
    assert ensemble.named_detectors_["frozen"].estimator is fitted
    parts = fitted.score_samples(series), ensemble.named_detectors_["neighbors"]
    expected = (parts[0] + parts[1].score_samples(series)) / 2
    np.testing.assert_allclose(ensemble.score_samples(series), expected)


def test_wrong_parameters_of_a_detector_are_errors(series):
    for wrong in (
        {"forecasts__row_error": "multi"},
        {"forecasts__lags": ()},
        {"neighbors__features": "foo"},
    ):
        ensemble = small().set_params(**wrong)
        with pytest.raises(ValueError, match="parameter"):
            ensemble.fit(series)
    strided = LinearAutoencoderDetector(8, stride=3)
    ensemble = EnsembleDetector([("strided", strided), ("a", forecasts())])
    with pytest.raises(ValueError, match="stride=3 is not supported"):
        ensemble.fit(series)


def test_a_threshold_behind_it_is_set_on_what_was_read(rng):
    X = wave(400)
    X[rng.random(400) < 0.05, 1] = np.nan
    member = forecasts(missing="anomaly")
    alone = make_pipeline(clone(member), ReconstructionThreshold()).fit(X)
    inside = make_pipeline(
        EnsembleDetector([("forecasts", member)]), ReconstructionThreshold()
    ).fit(X)
    np.testing.assert_allclose(inside[-1].threshold_, alone[-1].threshold_)


def test_weights_may_be_a_series(series):
    ensemble = small().set_params(weights=pd.Series([1, 2])).fit(series)
    assert np.isfinite(ensemble.score_samples(series)).all()
