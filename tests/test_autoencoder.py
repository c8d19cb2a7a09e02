# SPDX-License-Identifier: MIT
import gc
import inspect
import pickle
import random
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joblib import Parallel, delayed
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from tests import reference
from tests.helpers import (
    blending_detector,
    errors_of_view,
    reconstruction_of,
    related,
    tiny_detector,
    wave,
    whole_rows,
    with_start_up_rows,
)
from tsanomaly import LSTMAutoencoderDetector, StreamingDetector, _network
from tsanomaly._backend import import_keras
from tsanomaly._linear_map import LinearMap
from tsanomaly._progress import listening
from tsanomaly._windows import TrailingWindows

pytestmark = pytest.mark.network

RULES = ["multiscale", "multiscale_centered", "last", "window_mean", "overlap_mean"]
CAUSAL = ["multiscale", "last", "window_mean"]

# Of channels that are noise, and so cannot be predicted.
unpredictable = pytest.mark.filterwarnings("ignore:.*cannot be predicted:UserWarning")


@pytest.fixture(scope="module")
def network_alone(series):
    """A detector without a linear view, shared: do not change it."""
    return tiny_detector(linear_variance=0).fit(series)


@pytest.fixture(scope="module")
def blend():
    """A series, and a detector whose views both count, shared: do not change it."""
    X = related(400, n_others=2)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*cannot be predicted")
        return X, blending_detector().fit(X)


@pytest.mark.parametrize(
    ("parameters", "n_channels", "n_weights"),
    [
        # LSTM: 4 ((inputs + units) units + units); dense: inputs * outputs + outputs.
        ({"units": (64, 32), "latent_dim": 16}, 4, 61_972),
        ({"units": (64, 32), "latent_dim": 16, "window_size": 30}, 4, 61_972),
        ({"units": (32, 4), "latent_dim": None}, 3, 4608 + 592 + 144 + 4736 + 99),
        ({"units": (64, 8), "latent_dim": None}, 1, 16896 + 2336 + 544 + 18688 + 65),
    ],
)
def test_published_networks(parameters, n_channels, n_weights):
    X = wave(100, n_channels)
    detector = tiny_detector(window_size=20, windows_per_epoch=8)
    detector.set_params(noise=0, linear_variance=0, **parameters).fit(X)
    model = detector.to_keras()
    assert model.count_params() == n_weights
    assert sum(weight.size for weight in detector.weights_) == n_weights
    assert model.input_shape == (None, detector.window_size, n_channels)
    assert model.output_shape == model.input_shape


@pytest.mark.parametrize("linear_variance", [0, 0.8])
@pytest.mark.parametrize(
    ("rule", "stride"), [*((rule, 1) for rule in RULES), ("overlap_mean", 3)]
)
def test_errors_match_the_loop(rule, stride, linear_variance):
    """Of a network alone, and of a linear view that scores alone."""
    X = wave(40)
    X[17] = np.nan
    detector = tiny_detector(
        row_error=rule, stride=stride, linear_variance=linear_variance
    ).fit(X)
    view = "linear" if linear_variance else "network"
    training = [*range(4, 17), *range(22, 40)]  # rows whose windows are whole
    expected = errors_of_view(detector, X, view, training)
    expected = with_start_up_rows(detector, X, expected)
    np.testing.assert_allclose(detector.transform(X), expected, rtol=1e-4, atol=1e-9)


def with_breaks(n_timestamps):
    """A series that the network knows more of, with breaks and missing readings."""
    X = related(n_timestamps, n_others=2)
    X[[100, 101, n_timestamps - 60]] = np.nan
    X[102, 0] = X[5, 3] = np.nan
    X[130:137, 1] = np.nan  # longer than a window of the network
    X[-30:-27, 2] = np.nan
    return X


def whole(X, rows, window_size):
    """Those of the rows whose windows are whole."""
    return [t for t in whole_rows(X, window_size - 1) if t in rows]


def weight_of_channels(detector):
    """Weight of the network in each channel."""
    return np.clip((detector.relation_gain_ - 0.25) / 0.25, 0, 1)


def errors_of_views(detector, X):
    """Return errors by both views, and the rows that set their scales."""
    short, long = detector.window_size
    known = np.flatnonzero(~np.isnan(X).all(axis=1))
    last_fifth = known[int(0.8 * len(known)) :]
    reconstruct = reconstruction_of(detector)
    squared = []
    for t in whole(X, last_fifth, long):
        window = reference.trailing_window(X, t, short, np.isnan(X).all(axis=1))
        seen = reference.filler(detector)(window)
        squared.append((window[-1] - reconstruct(seen[None])[0, -1]) ** 2)
    typical = reference.known_mean(squared)
    typical = np.maximum(typical, np.median(typical) / 100)
    weights = np.maximum(weight_of_channels(detector), 0.1) / typical
    of_linear, of_network = whole(X, known, long), whole(X, last_fifth, short)
    return [
        (of_linear, errors_of_view(detector, X, "linear", of_linear)),
        (of_network, errors_of_view(detector, X, "network", of_network, weights)),
    ]


def joined_errors(detector, views, errors):
    """Errors of rows by two views, each on its scale; NaN where one of them has none.

    Parameters
    ----------
    detector : LSTMAutoencoderDetector
    views : list of (rows, errors)
        What the scale of each view is learned from.
    errors : list of ndarray of shape (n_rows, n_channels)
        What is joined.
    """
    weight = np.median(weight_of_channels(detector))
    scales = [
        (lambda mean: np.log(np.exp(mean) - 1))  # undoes log(1 + exp(level))
        if detector.row_error.startswith("multiscale")
        else reference.logarithmic_scale(np.nanmean(of_view[rows], axis=1))
        for rows, of_view in views
    ]
    joined = np.full(errors[0].shape, np.nan)
    known = ~np.isnan(errors).all(axis=2).any(axis=0)
    for t in np.flatnonzero(known):
        parts, shares = [], []
        for share, scale, of_view in zip(
            (1 - weight, weight), scales, errors, strict=True
        ):
            mean = np.nanmean(of_view[t])
            parts.append(share * np.exp(2 * scale(mean)))
            shares.append(of_view[t] / mean)
        level = np.log(sum(parts)) / 2
        joined[t] = np.log(1 + np.exp(level)) * reference.joined_shares(shares, parts)
    return joined


@unpredictable
@pytest.mark.parametrize("rule", RULES)
def test_two_views_are_joined_as_by_the_loop(rule):
    X = with_breaks(400)
    detector = blending_detector(row_error=rule).fit(X)
    assert 0 < np.median(weight_of_channels(detector)) < 1
    views = errors_of_views(detector, X)
    expected = joined_errors(detector, views, [errors for _, errors in views])
    expected = with_start_up_rows(detector, X, expected)
    np.testing.assert_allclose(detector.transform(X), expected, rtol=1e-4, atol=1e-7)


def test_readings_are_expected_by_the_view_that_knows_them(blend):
    X, detector = blend
    expected = detector.reconstruct(X)
    by_view = []
    for view, size in (("linear", 8), ("network", 4)):
        windows = reference.flat_windows(X, size).reshape(len(X), size, -1)
        by_view.append(reconstruction_of(detector, view)(windows)[:, -1])
    linear, network = by_view
    weights = weight_of_channels(detector)
    assert weights.max() == 1
    np.testing.assert_allclose(
        expected, (1 - weights) * linear + weights * network, atol=1e-5
    )


@pytest.mark.parametrize("seed", [0, 1])
def test_the_network_counts_for_what_it_knows_more(seed):
    X = related(500, seed=seed)
    detector = blending_detector(random_state=seed).fit(X)
    assert (detector.relation_gain_ > 0.5).all()
    assert (detector.relation_gain_ <= 1).all()
    assert detector.predictable_.all()
    noise = np.random.default_rng(seed).normal(size=(1000, 2))
    detector.fit(noise)
    assert (detector.relation_gain_ < 0.1).all()
    assert not detector.predictable_.any()


def test_a_broken_relation_is_found():
    """Each channel by itself is as usual."""
    X, new = related(1000), related(300, seed=1)
    before = new.copy()
    new[100:150, 1] = new[200:250, 1]
    far_off = np.abs(new - before)[:, 1] > 1
    assert far_off.sum() >= 10
    detector = blending_detector().fit(X)
    flagged = detector.predict(new) == -1
    assert flagged[far_off].mean() > 0.9
    assert flagged[:100].mean() < 0.05
    knows_nothing = blending_detector(learning_rate=1e-9, epochs=1).fit(X)
    assert (knows_nothing.relation_gain_ < 0.25).all()
    assert (knows_nothing.predict(new) == -1)[far_off].mean() < 0.1


@unpredictable
def test_a_channel_that_the_network_does_not_know_still_counts():
    X = related(500, n_others=1)
    detector = blending_detector().fit(X)
    np.testing.assert_array_equal(detector.relation_gain_ > 0.5, [True, True, False])
    spoilt = X.copy()
    spoilt[300, 2] += 50
    assert detector.predict(spoilt)[300] == -1
    assert detector.transform(spoilt)[300].argmax() == 2


def test_a_network_that_knows_nothing_more_is_not_run(rng, runs, monkeypatch):
    X = rng.normal(size=(300, 2))
    detector = tiny_detector(window_size=(4, 6)).fit(X)
    assert runs  # to find that out
    runs.clear()
    monkeypatch.setattr(_network.Network, "window_runner", None)
    detector.predict(X)
    detector.transform(X)
    detector.reconstruct(X)
    detector.score_rows(X, [3, 7])
    StreamingDetector(detector).update(X[0])
    assert runs == []
    assert (detector.n_context_, detector.n_start_up_) == (5, 5)


@pytest.mark.parametrize(
    ("parameters", "n_start_up"),
    [
        ({"window_size": (4, 8)}, 7),
        ({"window_size": [8, 4]}, 7),
        ({"window_size": (4, 8), "row_error": "overlap_mean"}, 7),
        ({"window_size": (4, 8), "linear_variance": 0}, 3),
        ({"window_size": 6}, 5),
    ],
)
def test_windows_of_both_views(parameters, n_start_up):
    X = related(500)
    detector = blending_detector(**parameters).fit(X)
    assert detector.n_start_up_ == n_start_up
    assert detector.n_context_ == n_start_up
    is_ahead = "row_error" in parameters
    assert detector.n_lookahead_ == (n_start_up if is_ahead else 0)
    short, long = np.broadcast_to(detector.window_size, 2)
    assert detector.to_keras().input_shape == (None, short, 2)
    if detector.linear_variance:
        assert len(detector.linear_mean_) == long * 2


def test_one_window_size_is_for_both_views(series):
    one, two = (tiny_detector(window_size=size).fit(series) for size in (5, (5, 5)))
    np.testing.assert_array_equal(one.transform(series), two.transform(series))
    assert one.offset_ == two.offset_


@pytest.mark.parametrize("rule", CAUSAL)
def test_streams_and_pieces_score_as_the_whole(rule):
    X = with_breaks(400)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*cannot be predicted")
        detector = blending_detector(row_error=rule).fit(X)
    assert 0 < np.median(weight_of_channels(detector)) < 1
    X = X[90:150]
    scores = detector.score_samples(X)
    for end in (3, 9, 14, 44):  # rows after a row never change its score
        np.testing.assert_allclose(
            detector.score_samples(X[:end]), scores[:end], rtol=1e-5
        )
    rows = [0, 9, 12, 43, 59]
    np.testing.assert_allclose(detector.score_rows(X, rows), scores[rows], rtol=1e-5)
    np.testing.assert_allclose(
        detector.score_samples(X[33 - detector.n_context_ :])[detector.n_context_ :],
        scores[33:],
        rtol=1e-5,
    )
    stream = StreamingDetector(detector)
    one_by_one = [stream.update(row)[0] for row in X]
    np.testing.assert_allclose(one_by_one, scores, rtol=1e-5)
    together, _ = StreamingDetector(detector).update_many(X)
    np.testing.assert_allclose(together, scores, rtol=1e-5)


def test_constant_series():
    detector = tiny_detector().fit(np.full((50, 2), 3.0))
    assert (detector.linear_gains_ == 0).all()
    assert np.isfinite(detector.score_samples(wave(50))).all()
    assert (detector.predict(np.full((50, 2), 3.0)) == 1).all()


def assert_exceeded_by_one_percent(threshold, errors):
    means = np.sort(np.nanmean(errors, axis=1))
    n_above = int(0.01 * len(means))
    assert n_above > 0
    assert means[-n_above - 1] < threshold < means[-n_above]


def linear_errors(X, learned, rows, window_size):
    """Errors of some rows by the linear map of others."""
    centred = (X - X.mean(axis=0)).astype(np.float32)
    source = TrailingWindows(centred, window_size, np.zeros(len(X), dtype=bool))
    linear_map = LinearMap.fit(source, np.array(learned), 0.8, seed=0)
    errors = []
    for t in rows:
        window = reference.trailing_window(centred, t, window_size)
        errors.append((window[-1] - linear_map(window[None])[0, -1]) ** 2)
    return np.array(errors)


def test_the_threshold_is_that_of_rows_that_were_not_learned_from(series):
    """Of a linear view: half of the rows, by the map of the other half."""
    detector = tiny_detector(row_error="last").fit(series)
    rows = range(4, 200)  # with whole windows
    errors = np.concatenate(
        [
            # In between are windows that hold rows of both halves.
            linear_errors(series, rows[:98], rows[102:], 5),
            linear_errors(series, rows[98:], rows[:94], 5),
        ]
    )
    assert_exceeded_by_one_percent(-detector.offset_, errors)


@unpredictable
def test_the_threshold_of_two_views_is_that_of_the_last_fifth_or_of_all():
    X = related(600, n_others=2)
    detector = blending_detector(row_error="last").fit(X)
    assert 0 < np.median(weight_of_channels(detector)) < 1
    views = errors_of_views(detector, X)
    last = range(480, 600)
    held_out = [linear_errors(X, range(300), last, 8), views[1][1][last]]
    errors = joined_errors(detector, views, held_out), detector.transform(X)[7:]
    higher = max(errors, key=lambda of: np.quantile(of.mean(axis=1), 0.99))
    assert_exceeded_by_one_percent(-detector.offset_, higher)


@pytest.mark.parametrize("rule", RULES)
def test_the_threshold_of_a_network_alone_is_that_of_training_rows(series, rule):
    detector = tiny_detector(linear_variance=0, row_error=rule).fit(series)
    errors = detector.transform(series)[4:]  # of whole windows
    assert_exceeded_by_one_percent(-detector.offset_, errors)


def test_the_threshold_of_a_short_series_is_that_of_all_rows():
    X = wave(20)  # no two windows of 8 rows in each half
    detector = tiny_detector(window_size=8, row_error="last").fit(X)
    assert (detector.predict(X)[7:] == 1).all()
    assert -detector.offset_ == pytest.approx(
        detector.transform(X)[7:].mean(axis=1).max(), rel=1e-3
    )


def test_rows_like_those_of_training_are_not_flagged(rng):
    """Although the linear map has learned the noise of training rows, too."""
    X = rng.normal(size=(450, 38))
    detector = tiny_detector(window_size=20).fit(X[:150])
    assert (detector.predict(X[150:]) == -1).mean() < 0.05


def test_few_rows_of_a_drifting_machine_are_flagged(rng):
    X = rng.normal(size=(700, 3)) + np.linspace(0, 7, 700)[:, None]
    detector = tiny_detector().fit(X[:600])
    flagged = detector.predict(X) == -1
    assert flagged[:600].mean() < 0.05
    assert flagged[600:].mean() <= 0.1
    assert (detector.predict(X[600:] + 20) == -1).mean() > 0.95


@pytest.mark.parametrize("case", ["idle first half", "many channels, few rows"])
def test_held_out_rows_do_not_hide_anomalies(case, rng):
    if case == "idle first half":
        X = rng.normal(size=(1000, 4))
        X[:500] = 0
        parameters = {"window_size": 10}
    else:
        X = rng.normal(size=(150, 38))
        parameters = {"window_size": 20}
    detector = tiny_detector(**parameters).fit(X)
    new = rng.normal(size=(100, X.shape[1]))
    new[80:] += 10
    assert (detector.predict(new)[81:] == -1).all()


def test_the_culprit_is_named_while_a_spike_is_in_the_window():
    X = wave(1000, 4)
    detector = tiny_detector(window_size=50, units=(8,), epochs=5).fit(X[:700])
    spoilt = X[700:].copy()
    spoilt[100, 2] += 10
    flagged = np.flatnonzero(detector.predict(spoilt)[100:150] == -1)
    assert flagged[0] == 0
    assert (detector.transform(spoilt)[100 + flagged].argmax(axis=1) == 2).all()


def test_a_spike_does_not_fill_the_rows_after_it():
    """They hold it in their windows, and count it within a limit."""
    X = wave(1000, 4)
    detector = tiny_detector(window_size=50, units=(8,), epochs=5).fit(X[:700])
    spoilt = X[700:].copy()
    spoilt[100, 2] += 10
    spoilt[200:210, 1] += 3
    scores = detector.score_samples(spoilt)
    assert scores[100] < scores[105:150].min()
    assert scores[200:210].max() < scores[110:150].min()


def test_it_learns(series):
    detector = tiny_detector(
        units=(16,), epochs=30, learning_rate=0.01, noise=0, linear_variance=0
    ).fit(series)
    assert detector.history_["loss"][-1] < 0.3 * detector.history_["loss"][0]
    spoilt = series.copy()
    spoilt[100, 1] += 5
    assert detector.score_samples(spoilt).argmin() in range(100, 105)
    assert (detector.predict(spoilt)[100:105] == -1).any()
    assert detector.transform(spoilt)[100].argmax() == 1
    reconstruction = detector.reconstruct(series)
    assert np.corrcoef(reconstruction[:, 0], series[:, 0])[0, 1] > 0.8


def test_fitted_attributes(series):
    detector = tiny_detector(epochs=3, validation_fraction=0.2).fit(series)
    assert set(detector.history_) == {"loss", "val_loss"}
    assert detector.n_iter_ == len(detector.history_["loss"]) <= 3
    assert all(type(loss) is float for loss in detector.history_["val_loss"])
    assert all(type(weight) is np.ndarray for weight in detector.weights_)
    assert (detector.n_context_, detector.n_lookahead_) == (4, 0)
    kept = [np.array(weight) for weight in detector.weights_]
    detector.to_keras().set_weights([weight + 1 for weight in kept])
    for weight, before in zip(detector.weights_, kept, strict=True):
        np.testing.assert_array_equal(weight, before)


def test_the_html_display_builds_no_network(fitted, monkeypatch):
    monkeypatch.setattr(_network.Network, "build", None)
    assert "LSTMAutoencoderDetector" in fitted._repr_html_()
    assert "weights_" in dir(fitted)


def test_no_keras_object_in_the_state(fitted):
    state = fitted.__getstate__()
    for value in state.values():
        module = type(value).__module__.split(".")[0]
        assert module in {"builtins", "numpy", "tsanomaly"}


def test_ten_rows_are_enough():
    detector = tiny_detector().fit(wave(10))
    assert np.isfinite(detector.score_samples(wave(10))).all()


@pytest.fixture
def runs(monkeypatch):
    """Number of windows in each run of a network."""
    runs = []
    run = _network.Network.run

    def counted(self, weights, windows, rows, *others):
        runs.append(len(rows))
        return run(self, weights, windows, rows, *others)

    monkeypatch.setattr(_network.Network, "run", counted)
    return runs


@pytest.mark.parametrize("linear_variance", [0, 0.8])
def test_training_does_not_run_the_network_twice(linear_variance, series, runs):
    def detector():
        return tiny_detector(linear_variance=linear_variance)

    expected = detector().fit(series)
    errors = detector().fit_transform(series)
    labels = detector().fit_predict(series)
    # And for every fifth row, to see how large errors are. Beside a linear view that
    # scores alone: for the last fifth, to see how large residuals are, corrupted in
    # each of the two channels, and as it is.
    assert runs == ([40, 80, 40] if linear_variance else [40, 200]) * 3
    np.testing.assert_array_equal(errors, expected.transform(series))
    np.testing.assert_array_equal(labels, expected.predict(series))


def test_training_of_two_views_scores_rows_once():
    X = related(500)
    expected = blending_detector().fit(X)
    np.testing.assert_array_equal(
        blending_detector().fit_transform(X), expected.transform(X)
    )
    np.testing.assert_array_equal(
        blending_detector().fit_predict(X), expected.predict(X)
    )


def test_score_rows_runs_those_rows_only(network_alone, series, runs):
    fitted = network_alone
    scores = fitted.score_rows(series, np.array([7, 3, 7]))
    assert runs == [2]
    assert scores[0] == scores[2]
    mask = np.zeros(len(series), dtype=bool)
    mask[[3, 7]] = True
    np.testing.assert_array_equal(fitted.score_rows(series, mask), scores[[1, 0]])
    np.testing.assert_array_equal(
        fitted.score_rows(series, slice(3, 8, 4)), scores[[1, 0]]
    )
    assert fitted.score_rows(series, []).shape == (0,)
    for rows in (3, [[3, 7]]):
        with pytest.raises(ValueError, match="rows must be one-dimensional"):
            fitted.score_rows(series, rows)


@pytest.mark.parametrize(("linear_variance", "batch"), [(0, 64), (0.8, 256)])
def test_memory_does_not_grow_with_the_series(
    linear_variance, batch, series, monkeypatch
):
    fitted = tiny_detector(linear_variance=linear_variance).fit(series)
    taken, held = [], []
    take = TrailingWindows.take

    def recorded(self, rows):
        taken.append(len(rows))
        held.append(len(self.X))
        return take(self, rows)

    monkeypatch.setattr(TrailingWindows, "take", recorded)
    monkeypatch.setattr("tsanomaly._residual_detector._BLOCK", 300)
    fitted.score_samples(wave(1000))
    assert set(taken) == {batch, 256}  # forecasts of the first rows, too
    assert max(held) == 304


@pytest.mark.parametrize("linear_variance", [0, 0.8])
@pytest.mark.parametrize("missing", ["anomaly", "ignore"])
@pytest.mark.parametrize("rule", CAUSAL)
def test_blocks_are_scored_as_one(rule, missing, linear_variance, monkeypatch):
    X = wave(130)
    X[[0, 20, 21, 63, 64, 65, 100, 129]] = np.nan  # breaks
    X[[5, 70, 71, 95, 96, 97], 1] = np.nan
    detector = tiny_detector(
        row_error=rule, missing=missing, linear_variance=linear_variance
    ).fit(wave(60))
    scores, errors = detector.score_samples(X), detector.transform(X)
    assert np.isnan(scores).sum() == 8
    told = []
    monkeypatch.setattr("tsanomaly._residual_detector._BLOCK", 32)
    with listening(lambda *step: told.append(step)):
        np.testing.assert_array_equal(detector.score_samples(X), scores)
    assert told == [(done, 122, "rows") for done in (29, 60, 90, 121, 122)]
    np.testing.assert_array_equal(detector.transform(X), errors)
    monkeypatch.setattr("tsanomaly._residual_detector._BLOCK", 3)  # less than a window
    np.testing.assert_array_equal(detector.transform(X), errors)


def test_blocks_of_two_views_are_scored_as_one(blend, monkeypatch):
    X, detector = blend
    scores = detector.score_samples(X)
    told = []
    monkeypatch.setattr("tsanomaly._residual_detector._BLOCK", 150)
    with listening(lambda *step: told.append(step)):
        in_blocks = detector.score_samples(X)
    np.testing.assert_allclose(in_blocks, scores, rtol=1e-5)
    assert {total for _, total, _ in told} == {400}
    done = [done for done, _, _ in told]
    assert done == sorted(set(done))
    assert done[-1] == 400


def test_readings_are_as_large_as_float32_can_be(fitted, series):
    largest = np.finfo(np.float32).max.astype(np.float64)
    X = series.copy()
    X[7, 1] = largest * (1 + 1e-9)  # rounded down
    assert np.isfinite(fitted.score_samples(X)).all()
    X[7, 1] = -largest * (1 + 1e-6)
    with pytest.raises(ValueError, match=r"too large for float32.*row 7"):
        fitted.score_samples(X)


def test_score_rows_refuses(fitted, series):
    with pytest.raises(IndexError):
        fitted.score_rows(series, [200])
    for rule in ("overlap_mean", "multiscale_centered"):
        ahead = tiny_detector(row_error=rule).fit(series)
        with pytest.raises(ValueError, match=f"row_error='{rule}'"):
            ahead.score_rows(series, [3])


@pytest.mark.parametrize("linear_variance", [0, 0.8])
@pytest.mark.parametrize("rule", RULES)
def test_breaks_separate_series(rule, linear_variance):
    """Scores of joined series are those of each alone, and a break has none."""
    first, second = wave(60), wave(40)[::-1]
    joined = np.vstack([first, np.full((1, 2), np.nan), second])
    detector = tiny_detector(row_error=rule, linear_variance=linear_variance)
    detector.fit(joined)
    scores = detector.score_samples(joined)
    np.testing.assert_allclose(scores[:60], detector.score_samples(first), rtol=1e-5)
    np.testing.assert_allclose(scores[61:], detector.score_samples(second), rtol=1e-5)
    assert np.isnan(scores[60])
    assert np.isnan(detector.transform(joined)[60]).all()
    assert np.isnan(detector.reconstruct(joined)[60]).all()
    assert detector.predict(joined)[60] == 1
    assert np.isfinite(detector.offset_)


def test_no_training_window_holds_a_break(monkeypatch):
    seen = []
    take = TrailingWindows.take

    def recorded(self, rows):
        windows = take(self, rows)
        seen.append(np.isnan(windows).any())
        return windows

    monkeypatch.setattr(TrailingWindows, "take", recorded)
    X = wave(60)
    X[[20, 21, 40]] = np.nan
    tiny_detector().fit(X)
    assert seen
    assert not any(seen)


def test_trailing_and_leading_breaks_are_harmless():
    X = wave(40)
    X[[0, 1, 39]] = np.nan
    detector = tiny_detector().fit(X)
    assert np.isnan(detector.score_samples(X)).sum() == 3
    only_breaks = np.full((3, 2), np.nan)
    assert np.isnan(detector.score_samples(only_breaks)).all()


def test_contamination(series):
    flagged = tiny_detector(contamination=0.1).fit_predict(series) == -1
    assert flagged.sum() == 20


@settings(max_examples=10)
@given(share=st.floats(0.01, 0.5))
def test_contamination_flags_the_stated_share(share):
    X = wave(80)
    flagged = tiny_detector(contamination=share).fit_predict(X) == -1
    assert flagged.sum() == int(share * 80 + 1e-9)


@pytest.mark.filterwarnings("ignore:.*Scale the series:UserWarning")
def test_readings_may_be_huge(fitted, network_alone):
    for detector in (fitted, network_alone):
        X = wave(20)
        X[10] = 1e30
        scores = detector.score_samples(X)
        assert np.isfinite(scores).all()
        assert scores.argmin() == 10
        X[10] = 1e300
        with pytest.raises(
            ValueError, match=r"too large for float32.*position 0.*row 10"
        ):
            detector.score_samples(X)
        X[10] = 1e10
        with pytest.raises(
            ValueError, match=r"more than 1e\+09 away from .*position 0.* Scale"
        ):
            clone(detector).fit(X)


@pytest.mark.parametrize("linear_variance", [0, 0.8])
def test_readings_may_be_far_from_zero(linear_variance):
    """Where single precision knows no difference of 10."""
    X = wave(300)
    detector = tiny_detector(linear_variance=linear_variance)
    expected = clone(detector).fit(X).score_samples(X)
    X += 1e9
    np.testing.assert_allclose(detector.fit(X).score_samples(X), expected, rtol=1e-3)
    np.testing.assert_allclose(detector.center_, X.mean(axis=0))
    spoilt = X.copy()
    spoilt[100, 1] += 10
    assert detector.predict(spoilt)[100] == -1
    assert detector.transform(spoilt)[100].argmax() == 1
    stream = StreamingDetector(detector).warm_up(spoilt[90:100])
    assert stream.update(spoilt[100])[1]
    assert np.abs(detector.reconstruct(X) - X).max() < 10


@pytest.mark.parametrize(
    ("unit", "named"),
    [([1e3, 1e3], "flow"), ([1e-3, 1e-3], "flow"), ([1.0, 150.0], "pressure")],
)
def test_unscaled_input_warns(series, unit, named):
    frame = pd.DataFrame(series * unit, columns=["flow", "pressure"])
    with pytest.warns(UserWarning, match=f"'{named}'.*StandardScaler in a pipeline"):
        tiny_detector().fit(frame)


def test_scaled_input_does_not_warn(series):
    X = np.column_stack([series * [0.3, 3], np.full(len(series), 5.0)])
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        detector = tiny_detector().fit(X)
    assert detector.predictable_.all()  # also of the channel that never changes


def test_channels_that_cannot_be_predicted_are_named():
    X = pd.DataFrame(related(1000, n_others=1), columns=["flow", "head", "noise"])
    with pytest.warns(UserWarning, match="Readings of column 'noise' cannot be pred"):
        detector = blending_detector().fit(X)
    np.testing.assert_array_equal(detector.predictable_, [True, True, False])


def test_float32_and_float64_agree(fitted, series):
    np.testing.assert_allclose(
        fitted.score_samples(series.astype(np.float32)),
        fitted.score_samples(series),
        rtol=1e-5,
    )


def test_frames_keep_their_names(series):
    frame = pd.DataFrame(series, columns=["flow", "pressure"])
    frame.index = pd.date_range("2024-01-01", periods=len(frame), freq="min")
    detector = tiny_detector().set_output(transform="pandas").fit(frame)
    errors = detector.transform(frame)
    assert errors.columns.tolist() == ["flow", "pressure"]
    assert errors.index.equals(frame.index)
    with pytest.raises(ValueError, match="same order"):
        detector.predict(frame[["pressure", "flow"]])


def count_compilations():
    """A list that grows with every compilation by jax; stays empty elsewhere."""
    events = []
    if import_keras().backend.backend() == "jax":
        import jax

        def note(event, duration, **details):
            if "backend_compile" in event:
                events.append(event)

        jax.monitoring.register_event_duration_secs_listener(note)
    return events


def compilations_of_keras(size):
    """How often Keras itself compiles for another number of channels.

    Old versions copy the value of a variable, with a program for each new shape: those
    of the first and the last kernel and of the last bias.
    """
    compiled = count_compilations()
    value = np.zeros(size, np.float32)  # a size of no other test
    import_keras().Variable(import_keras().ops.convert_to_tensor(value, "float32"))
    return 3 * len(compiled)


def test_compilations_are_counted(series):
    if import_keras().backend.backend() == "jax":
        compiled = count_compilations()
        tiny_detector(units=(11,)).fit(series)
        assert compiled


def test_a_second_fit_does_not_build_or_compile_again(series, monkeypatch):
    # Two epochs, because older versions of Keras compile once more in the second.
    detector = tiny_detector(units=(5,), epochs=2).fit(series)

    def fail(self, weights=None):
        raise AssertionError("built again")

    monkeypatch.setattr(_network.Network, "build", fail)
    compiled = count_compilations()
    again = clone(detector).set_params(
        training__learning_rate=0.01, epochs=2, contamination=0.2
    )
    again.fit(series[:150]).score_samples(series)
    assert again.n_iter_ == 2
    assert compiled == []


def test_cached_fit_equals_a_fresh_one(series, monkeypatch):
    parameters = {"units": (6,), "dropout": 0.3, "epochs": 2}
    tiny_detector(**parameters, random_state=1).fit(series)
    cached = tiny_detector(**parameters).fit(series)
    monkeypatch.setattr(_network, "_networks", type(_network._networks)())
    fresh = tiny_detector(**parameters).fit(series)
    for one, other in zip(cached.weights_, fresh.weights_, strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(
        cached.score_samples(series), fresh.score_samples(series)
    )


def test_the_cache_is_bounded(monkeypatch):
    monkeypatch.setattr(_network, "_networks", type(_network._networks)())
    for key in range(_network._CACHE_SIZE + 5):
        _network.get_network(key, object)
    assert len(_network._networks) == _network._CACHE_SIZE
    assert key in _network._networks


def test_another_number_of_channels_compiles_the_network_alone(rng):
    """Not also a program for the zeros of every shape, which jax keeps for ever."""
    detector = tiny_detector(units=(13,))
    detector.fit(rng.normal(size=(60, 3))).score_samples(rng.normal(size=(60, 3)))
    compiled = count_compilations()
    detector.fit(rng.normal(size=(60, 7))).score_samples(rng.normal(size=(60, 7)))
    n_compiled = len(compiled)  # the gradient, the optimiser and the network
    assert n_compiled <= 3 + compilations_of_keras(991)


def test_what_is_compiled_goes_with_the_network(rng, monkeypatch):
    if import_keras().backend.backend() != "jax":
        pytest.skip("the programs of jax are counted")
    import jax

    def n_programs():
        return len(jax.devices()[0].client.live_executables())

    monkeypatch.setattr(_network, "_networks", type(_network._networks)())
    monkeypatch.setattr(_network, "_CACHE_SIZE", 1)
    gc.disable()  # without waiting for it
    try:
        counts = []
        for n_channels in range(2, 5):
            X = rng.normal(size=(60, n_channels))
            tiny_detector(units=(9,)).fit(X).score_samples(X)
            counts.append(n_programs())
    finally:
        gc.enable()
    assert counts[-1] <= counts[1] + compilations_of_keras(997)


def test_seeds_differ(series):
    one = tiny_detector(random_state=0).fit(series)
    other = tiny_detector(random_state=1).fit(series)
    assert not np.array_equal(one.weights_[0], other.weights_[0])
    generator = np.random.RandomState(0)
    assert np.isfinite(tiny_detector(random_state=generator).fit(series).offset_)


def test_global_random_states_are_left_alone(series):
    np.random.seed(3)
    random.seed(3)
    expected = np.random.rand(), random.random()
    np.random.seed(3)
    random.seed(3)
    tiny_detector(units=(7,), dropout=0.1, random_state=None).fit(series)
    assert (np.random.rand(), random.random()) == expected


def test_threads_score_as_one(blend):
    X, detector = blend
    serial = detector.score_samples(X)
    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(detector.score_samples, X) for _ in range(40)]
        for job in jobs:
            np.testing.assert_array_equal(job.result(), serial)


def test_threads_fit_side_by_side(series):
    def fit(units):
        detector = tiny_detector(units=units, epochs=2, linear_variance=0)
        return detector.fit(series).score_samples(series)

    widths = [(3,), (3,), (9,), (9,)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(fit, widths))
    for units, scores in zip(widths, together, strict=True):
        np.testing.assert_array_equal(scores, fit(units))


def test_threads_score_while_another_trains(network_alone, series, monkeypatch):
    fitted = network_alone
    serial = fitted.score_samples(series)
    training, scored = threading.Event(), threading.Event()
    take = TrailingWindows.take

    def held_open(self, rows):
        if threading.current_thread().name.startswith("training"):
            training.set()
            assert scored.wait(60)
        return take(self, rows)

    monkeypatch.setattr(TrailingWindows, "take", held_open)
    with ThreadPoolExecutor(1, thread_name_prefix="training") as pool:
        fit = pool.submit(clone(fitted).fit, series)
        assert training.wait(60)
        np.testing.assert_array_equal(fitted.score_samples(series), serial)
        scored.set()
        np.testing.assert_array_equal(fit.result().score_samples(series), serial)


def test_worker_processes(blend):
    X, detector = blend
    scores = Parallel(n_jobs=2)(delayed(detector.score_samples)(X) for _ in range(2))
    for score in scores:
        np.testing.assert_array_equal(score, detector.score_samples(X))


def test_threads_that_build_leave_random_states_alone(series):
    random.seed(5)
    before = random.getstate()
    sizes = [6, 8, 6, 8]  # two that build, and two that ask for the same
    with ThreadPoolExecutor(4) as pool:
        fit = [
            pool.submit(tiny_detector(window_size=size).fit, series) for size in sizes
        ]
        together = [job.result().score_samples(series) for job in fit]
    assert random.getstate() == before
    for size, scores in zip(sizes, together, strict=True):
        alone = tiny_detector(window_size=size).fit(series)
        np.testing.assert_array_equal(scores, alone.score_samples(series))


def test_a_list_of_units_may_change_later(series):
    units = [4]
    tiny_detector(units=units).fit(series)
    units.append(2)
    detector = tiny_detector(units=[4]).fit(series)
    assert len(detector.to_keras().weights) == len(detector.weights_) == 8


def test_numpy_integers_are_integers(series):
    detector = tiny_detector(
        window_size=np.int64(5),
        units=(np.int32(3),),
        latent_dim=np.int64(2),
        epochs=np.int64(1),
        batch_size=np.int64(8),
        windows_per_epoch=np.int64(50),
    ).fit(series)
    assert type(detector.n_context_) is int
    assert np.isfinite(detector.score_samples(series)).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("row_error", "last"),
        ("row_error", "nothing"),
        ("window_size", 7),
        ("window_size", (5, 6)),
        ("units", (4,)),
        ("latent_dim", "sequence"),
    ],
)
def test_parameters_changed_after_fit_are_refused(series, name, value):
    detector = tiny_detector().fit(series).set_params(**{name: value})
    with pytest.raises(ValueError, match=f"{name} was changed from .* Refit"):
        detector.predict(series)
    detector = tiny_detector().fit(series)
    expected = detector.score_samples(series)
    detector.set_params(epochs=5, contamination=0.2, units=[3], window_size=np.int64(5))
    np.testing.assert_array_equal(detector.score_samples(series), expected)


@pytest.mark.parametrize(("before", "after"), [(0.8, 0), (0.8, 0.5), (0, 0.8)])
def test_a_linear_variance_that_is_changed_after_fit_changes_nothing(
    before, after, series
):
    detector = tiny_detector(window_size=(4, 8), linear_variance=before).fit(series)
    expected = detector.score_samples(series)
    detector.set_params(linear_variance=after)
    np.testing.assert_array_equal(detector.score_samples(series), expected)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"window_size": 1}, "'window_size' parameter"),
        ({"window_size": 8.0}, "'window_size' parameter"),
        ({"window_size": (8,)}, r"'window_size' parameter .* Got \(8,\) instead"),
        ({"window_size": (8, 9, 9, 9)}, "'window_size' parameter"),
        ({"window_size": (8, 1)}, "'window_size' parameter"),
        ({"window_size": [8, 9.0]}, "'window_size' parameter"),
        ({"window_size": (True, 8)}, "'window_size' parameter"),
        ({"latent_dim": "state"}, "'latent_dim' parameter"),
        ({"latent_dim": 0}, "'latent_dim' parameter"),
        ({"units": ()}, r"'units' parameter .* Got \(\) instead"),
        ({"units": (8, 0)}, "'units' parameter"),
        ({"units": 8}, "'units' parameter"),
        ({"units": (True,)}, "'units' parameter"),
        ({"dropout": 1.0}, "'dropout' parameter"),
        ({"noise": -1.0}, "'noise' parameter"),
        ({"linear_variance": 1.0}, "'linear_variance' parameter"),
        ({"contamination": 0.6}, "'contamination' parameter"),
        ({"row_error": "mean"}, "'row_error' parameter"),
        ({"row_error": "last", "stride": 2}, "stride=2 is not supported"),
        (
            {"row_error": "overlap_mean", "stride": 6},
            "stride=6 is larger than window_size=5",
        ),
        (
            {"window_size": (6, 5), "row_error": "overlap_mean", "stride": 6},
            "stride=6 is larger than window_size=5",
        ),
        ({"window_size": 201}, r"window_size=201 .*n_samples=200.*Fit on a longer"),
        ({"window_size": (5, 201)}, r"\(5, 201\) .* 201 rows.*n_samples=200.*Fit on"),
    ],
)
def test_bad_parameters(series, parameters, message):
    detector = tiny_detector(**parameters)
    with pytest.raises(ValueError, match=message):
        detector.fit(series)
    assert not any(name.endswith("_") for name in vars(detector))


def test_bad_input_names_column_and_cure(series):
    frame = pd.DataFrame(series, columns=["flow", "pressure"])
    detector = tiny_detector()
    cases = [
        (frame.assign(state="on"), r"Column 'state' is not numeric"),
        (
            frame.assign(time=pd.date_range("2024-01-01", periods=len(frame))),
            "Column 'time' is not numeric",
        ),
        (frame.astype("category"), "Column 'flow' is not numeric"),
        (frame.astype(str), "Column 'flow' is not numeric"),
        (frame.apply(pd.to_datetime), "Column 'flow' is not numeric"),
        (frame.set_axis(["flow", "flow"], axis=1), "'flow' is in X more than once"),
        (
            frame.assign(flow=np.nan),
            r"no readings in column 'flow' in any of the 200 training.*Drop the",
        ),
        (frame.replace(frame.iloc[7, 1], np.inf), "infinity in column 'pressure'"),
        (frame.to_numpy() + 1j, "Complex data not supported"),
        (frame.to_numpy()[0], "Expected 2D array"),
        (frame.iloc[:3], r"window_size=5 .*n_samples=3"),
    ]
    for X, message in cases:
        with pytest.raises(ValueError, match=message):
            detector.fit(X)
        assert not hasattr(detector, "n_features_in_")
    from scipy.sparse import csr_array

    with pytest.raises(TypeError, match=r"[Ss]parse"):
        detector.fit(csr_array(series))


def test_a_failed_refit_leaves_the_old_model(series):
    detector = tiny_detector().fit(series)
    expected = detector.score_samples(series)
    with pytest.raises(ValueError, match="no readings in the column at position 2"):
        detector.fit(np.column_stack([series, np.full(len(series), np.nan)]))
    np.testing.assert_array_equal(detector.score_samples(series), expected)


def test_interrupted_fit_leaves_nothing(series, monkeypatch):
    def interrupt(self, rows):
        raise KeyboardInterrupt

    detector = tiny_detector()
    monkeypatch.setattr(TrailingWindows, "take", interrupt)
    with pytest.raises(KeyboardInterrupt):
        detector.fit(series)
    with pytest.raises(NotFittedError):
        detector.predict(series)


@pytest.mark.parametrize(
    "method",
    ["predict", "score_samples", "decision_function", "transform", "reconstruct"],
)
def test_unfitted(method, series):
    with pytest.raises(NotFittedError):
        getattr(tiny_detector(), method)(series)
    with pytest.raises(NotFittedError):
        tiny_detector().score_rows(series, [0])
    with pytest.raises(NotFittedError):
        _ = tiny_detector().to_keras()


@pytest.mark.parametrize(
    "name",
    [
        "weights_",
        "linear_components_",
        "relation_gain_",
        "center_",
        "offset_",
        "centre",
    ],
)
def test_a_state_that_holds_nan_is_refused(name, fitted, series):
    """Scores would be NaN, as at a break, and no row be flagged."""
    detector = deepcopy(fitted)
    if name == "centre":  # of the scale on which errors are compared
        detector._rules[-1].calibration.centre[-1] = np.nan
    elif name == "offset_":
        detector.offset_ = np.nan
    elif name == "weights_":
        detector.weights_[-1][0] = np.nan
    else:
        getattr(detector, name).flat[0] = np.nan
    for score in (
        detector.score_samples,
        detector.decision_function,
        detector.predict,
        detector.transform,
        detector.reconstruct,
        lambda X: detector.score_rows(X, [3]),
        lambda X: StreamingDetector(detector).update(X[0]),
    ):
        with pytest.raises(ValueError, match=f"{name} of the .* contains NaN.* Refit"):
            score(series)
    # What was fitted again is as good as new.
    scores = detector.fit(series).score_samples(series)
    np.testing.assert_array_equal(scores, fitted.score_samples(series))


def test_another_version_warns(fitted):
    state = fitted.__getstate__()
    state["_tsanomaly_version"] = "0.0.1"
    with pytest.warns(UserWarning, match=r"saved by tsanomaly 0\.0\.1"):
        tiny_detector().__setstate__(state)
    assert b"_tsanomaly_version" in pickle.dumps(fitted)


def test_defaults():
    parameters = inspect.signature(LSTMAutoencoderDetector).parameters
    expected = {
        "window_size": (16, 80, 1001),
        "units": (32,),
        "latent_dim": "sequence",
        "epochs": 40,
        "noise": 0.3,
        "linear_variance": 0.8,
        "row_error": "multiscale",
        "missing": "ignore",
        "contamination": "auto",
    }
    assert {name: parameters[name].default for name in expected} == expected
