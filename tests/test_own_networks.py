# SPDX-License-Identifier: MIT
"""Custom networks behave like the default one."""

import copy
import pickle
from functools import partial

import numpy as np
import pytest
from sklearn.base import BaseEstimator, clone

from tests.helpers import (
    blending_detector,
    reconstruction_of,
    related,
    tiny_detector,
    wave,
    whole_rows,
    with_start_up_rows,
)
from tests.own_networks import OWN_NETWORKS, forecaster, gru
from tsanomaly import StreamingDetector, explain, load, save
from tsanomaly._backend import import_keras

pytestmark = pytest.mark.network

RULES = ["multiscale", "multiscale_centered", "last", "window_mean"]


@pytest.fixture(scope="module", params=OWN_NETWORKS)
def detector(request, series):
    """Of the network alone."""
    parameters = {**OWN_NETWORKS[request.param], "linear_variance": 0}
    return tiny_detector(**parameters).fit(series)


def test_it_streams(detector, series):
    stream = StreamingDetector(detector)
    scores = np.array([stream.update(row)[0] for row in series[:40]])
    np.testing.assert_allclose(scores, detector.score_samples(series[:40]), rtol=1e-5)
    stream = StreamingDetector(detector)
    scores, _ = stream.update_many(series[:40])
    np.testing.assert_allclose(scores, detector.score_samples(series[:40]), rtol=1e-5)


def test_it_explains(detector, series):
    X = series.copy()
    X[100:103, 1] += 20
    events = explain(detector, X)
    event = events.loc[events["score"].idxmin()]
    assert 100 <= event["peak"] <= 110
    # Which channel is worst, after a single epoch, depends on versions and backends.
    rows = slice(event["start"], event["end"] + 1)
    channel = detector.transform(X)[rows].sum(axis=0).argmax()
    assert event["channels"][0] == channel
    readings, expected = X[rows, channel], detector.reconstruct(X)[rows, channel]
    worst = np.abs(readings - expected).argmax()
    assert event["reading"] == readings[worst]
    assert event["expected"] == pytest.approx(expected[worst], rel=1e-5)


def test_it_is_saved(detector, series, tmp_path):
    file = tmp_path / "model.skops"
    save(detector, file)
    with pytest.raises(TypeError, match=r"tests\.own_networks"):
        load(file)
    loaded = load(file, trusted=[detector.network])
    np.testing.assert_array_equal(
        loaded.score_samples(series), detector.score_samples(series)
    )


@pytest.mark.parametrize("rule", RULES)
def test_every_rule_takes_forecasts(rule, series):
    detector = tiny_detector(**OWN_NETWORKS["forecaster"], row_error=rule).fit(series)
    assert detector.n_context_ == (5 if rule == "last" else 9)
    errors = detector.transform(series)
    assert errors.shape == series.shape
    assert (errors >= 0).all()
    np.testing.assert_array_equal(detector.score_samples(series), -errors.mean(axis=1))
    spoilt = series.copy()
    spoilt[100, 1] += 20
    assert detector.predict(spoilt)[100] == -1
    assert detector.transform(spoilt)[100].argmax() == 1


def test_forecasts_by_the_loop(series):
    X = series.copy()
    X[50] = np.nan  # a break
    detector = tiny_detector(**OWN_NETWORKS["forecaster"], row_error="last").fit(X)
    forecast = reconstruction_of(detector)
    forecasts = detector.reconstruct(X)
    assert np.isnan(forecasts[50]).all()
    for row, start in ((3, 0), (20, 0), (49, 0), (51, 51), (53, 51), (90, 51)):
        before = X[np.maximum(np.arange(row - 5, row), start)]
        expected = forecast(before[None])[0]
        np.testing.assert_allclose(forecasts[row], expected, atol=1e-5)
    squared = (X - forecasts) ** 2
    known = whole_rows(X, 5)  # have the rows that they are forecast from
    squared[~np.isin(np.arange(len(X)), known)] = np.nan
    expected = with_start_up_rows(detector, X, squared)
    np.testing.assert_allclose(detector.transform(X), expected, rtol=1e-4, atol=1e-6)
    mean = tiny_detector(**OWN_NETWORKS["forecaster"], row_error="window_mean").fit(X)
    squared = (X - mean.reconstruct(X)) ** 2
    means = np.full(X.shape, np.nan)
    for t in whole_rows(X, 9):  # have four others before them that are forecast
        means[t] = squared[t - 4 : t + 1].mean(axis=0)
    expected = with_start_up_rows(mean, X, means)
    np.testing.assert_allclose(mean.transform(X), expected, rtol=1e-4, atol=1e-6)


def test_forecasts_are_not_read_off_the_row(series):
    """What is forecast of a row does not depend on its reading."""
    detector = tiny_detector(**OWN_NETWORKS["forecaster"]).fit(series)
    spoilt = series.copy()
    spoilt[100] += 20
    before, after = detector.reconstruct(series), detector.reconstruct(spoilt)
    np.testing.assert_allclose(after[:101], before[:101], atol=1e-6)
    assert not np.allclose(after[101], before[101])


def test_a_forecast_after_a_dropout_is_not_read_off_the_row(series):
    """Nor where a channel has no reading in the rows before."""
    detector = tiny_detector(**OWN_NETWORKS["forecaster"], row_error="last").fit(series)
    X = series.copy()
    X[95:100, 1] = np.nan
    expected = []
    for reading in (0.0, 5.0, 20.0):
        X[100, 1] = reading
        expected.append(detector.reconstruct(X)[100])
        stream = StreamingDetector(detector).warm_up(X[90:100])
        score, _ = stream.update(X[100])
        assert score == pytest.approx(detector.score_samples(X)[100], rel=1e-5)
    np.testing.assert_allclose(expected[1:], expected[:-1], atol=1e-6)


@pytest.mark.parametrize(("rule", "needed"), [("last", 6), ("multiscale", 10)])
def test_rows_that_a_forecaster_needs(rule, needed):
    parameters = {**OWN_NETWORKS["forecaster"], "row_error": rule}
    X = wave(60)
    X[needed::needed] = np.nan  # stretches of needed rows, and fewer
    assert np.isfinite(tiny_detector(**parameters).fit(X).offset_)
    X[:needed:4] = X[needed + 3 :: 4] = np.nan
    for short in (wave(needed - 1), X):
        with pytest.raises(ValueError, match=f"window_size=5 .* {needed} rows"):
            tiny_detector(**parameters).fit(short)


def test_a_forecast_is_no_average():
    detector = tiny_detector(**OWN_NETWORKS["forecaster"], row_error="overlap_mean")
    with pytest.raises(ValueError, match=r"overlap_mean.*'last'"):
        detector.fit(wave(100))


def test_a_model_that_is_a_class_of_its_own(series):
    keras = import_keras()  # with a backend that is installed

    class Repeating(keras.Model):
        def __init__(self, n_channels):
            super().__init__()
            self.dense = keras.layers.Dense(n_channels)

        def call(self, windows):
            return self.dense(windows)

    detector = fitted(lambda window_size, n_channels: Repeating(n_channels), series)
    assert [weight.shape for weight in detector.weights_] == [(2, 2), (2,)]
    assert np.isfinite(detector.score_samples(series)).all()


def test_a_function_that_cannot_be_told_apart_is_compiled_once(series):
    built = []

    def counted(thing, window_size, n_channels):
        built.append(thing)
        return gru(window_size, n_channels)

    detector = fitted(partial(counted, lambda: 0), series)
    n_built = len(built)
    for _ in range(3):
        detector.score_samples(series)
    assert len(built) <= n_built + 1


def test_a_forecaster_takes_missing_readings():
    X = wave(200)
    X[::7, 1] = np.nan
    for missing in ("anomaly", "ignore"):
        detector = tiny_detector(**OWN_NETWORKS["forecaster"], missing=missing).fit(X)
        assert np.isfinite(detector.score_samples(X)).all()
        flagged = detector.predict(X)[::7] == -1
        assert flagged.all() == (missing == "anomaly")


class Dense(BaseEstimator):
    """A network with a parameter."""

    activation = "tanh"

    def __init__(self, width=2):
        self.width = width

    def __call__(self, window_size, n_channels):
        import keras

        layers = keras.layers
        return keras.Sequential(
            [
                layers.Input((window_size, n_channels)),
                layers.Dense(n_channels, kernel_initializer="ones", trainable=False),
                layers.Dense(int(np.sum(self.width)), activation=self.activation),
                layers.PReLU(alpha_initializer="normal"),
                layers.Dense(n_channels),
            ]
        )


class Linear(Dense):
    """Another network with the same parameter."""

    activation = "linear"


def fitted(network, series, **parameters):
    return tiny_detector(network=network, **parameters).fit(series)


def test_parameters_of_a_network(series):
    detector = fitted(Dense(2), series)
    assert detector.get_params()["network__width"] == 2
    assert detector.weights_[2].shape == (2, 2)
    wide = clone(detector).set_params(network__width=3).fit(series)
    assert wide.weights_[2].shape == (2, 3)
    assert detector.network.width == 2
    activations = [
        fitted(kind(2), series).to_keras().layers[1].activation.__name__
        for kind in (Dense, Linear, Dense)
    ]
    assert activations == ["tanh", "linear", "tanh"]


def test_parameters_that_print_alike_make_different_networks(series):
    one, other = np.ones(2000, dtype=int), np.ones(2000, dtype=int)
    one[1000], other[1000] = -1996, -1992
    assert fitted(Dense(one), series).weights_[2].shape == (2, 3)
    assert fitted(Dense(other), series).weights_[2].shape == (2, 7)


def test_initialisers_are_kept_and_seeded(series):
    one = fitted(Dense(), series, random_state=0)
    np.testing.assert_array_equal(one.weights_[0], np.ones((2, 2)))  # frozen
    other = fitted(Dense(), series, random_state=1)
    assert not np.array_equal(one.weights_[4], other.weights_[4])
    again = fitted(Dense(), series, random_state=0)
    for weight, same in zip(one.weights_, again.weights_, strict=True):
        np.testing.assert_array_equal(weight, same)


def test_functions_of_one_name_are_told_apart(series):
    def make(width):
        def network(window_size, n_channels):
            return Dense(width)(window_size, n_channels)

        return network

    for width in (2, 3):
        assert fitted(make(width), series).weights_[2].shape == (2, width)
    for width in (2, 3):
        network = partial(lambda width, *shape: Dense(width)(*shape), width)
        assert fitted(network, series).weights_[2].shape == (2, width)


def dense(window_size, n_channels, width=2):
    return Dense(width)(window_size, n_channels)


def test_a_partial_function(series):
    detector = fitted(partial(dense, width=3), series)
    assert detector.weights_[2].shape == (2, 3)
    for copied in (copy.deepcopy(detector), pickle.loads(pickle.dumps(detector))):
        np.testing.assert_array_equal(
            copied.score_samples(series), detector.score_samples(series)
        )


def test_reconstructions_are_those_of_the_model(series):
    detector = fitted(gru, series, linear_variance=0)
    windows = np.lib.stride_tricks.sliding_window_view(series, 5, axis=0).swapaxes(1, 2)
    expected = reconstruction_of(detector)(windows)
    np.testing.assert_allclose(
        detector.reconstruct(series)[4:], expected[:, -1], atol=1e-5
    )


def narrow(window_size, n_channels):
    """Rows through one number, which is enough for two channels that are related."""
    from keras import Input, Sequential, layers

    return Sequential(
        [
            Input((window_size, n_channels)),
            layers.Dense(16, "tanh"),
            layers.Dense(1),
            layers.Dense(16, "tanh"),
            layers.Dense(n_channels),
        ]
    )


def test_a_network_beside_a_linear_view_counts_for_what_it_knows_more():
    X = related(500)
    detector = blending_detector(network=narrow, epochs=30, batch_size=16).fit(X)
    assert (detector.relation_gain_ > 0.5).all()
    windows = np.lib.stride_tricks.sliding_window_view(X, 4, axis=0).swapaxes(1, 2)
    np.testing.assert_allclose(
        detector.reconstruct(X)[3:],
        reconstruction_of(detector)(windows)[:, -1],
        atol=1e-5,
    )
    stream = StreamingDetector(detector)
    scores = [stream.update(row)[0] for row in X[:20]]
    np.testing.assert_allclose(scores, detector.score_samples(X[:20]), rtol=1e-5)


def wrong(kind):
    def network(window_size, n_channels):
        import keras

        layers = keras.layers
        inputs = keras.Input((window_size, n_channels))
        if kind == "output":
            return keras.Model(inputs, layers.Dense(n_channels + 1)(inputs))
        if kind == "input":
            inputs = keras.Input((window_size + 1, n_channels))
            return keras.Model(inputs, layers.Dense(n_channels)(inputs))
        if kind == "nothing":
            return None
        if kind == "shorter":  # of windows of any length
            inputs = keras.Input((None, n_channels))
            return keras.Model(inputs, layers.Conv1D(n_channels, 3)(inputs))
        if kind == "wrapped half":
            half = layers.LSTM(2, return_sequences=True, dtype="mixed_bfloat16")
            both = layers.Bidirectional(half)(inputs)
            return keras.Model(inputs, layers.Dense(n_channels)(both))
        model = keras.Model(inputs, layers.Dense(n_channels)(inputs))
        if kind == "compiled":
            model.compile("adam", "mse")
        if kind == "half":
            half = layers.Dense(n_channels, dtype="mixed_float16", name="half")
            model = keras.Model(inputs, half(inputs))
        return model

    return network


@pytest.mark.parametrize(
    ("kind", "error", "message"),
    [
        ("output", ValueError, r"output shape \(64, 5, 3\).*\(64, 5, 2\).*\(64, 2\)"),
        ("shorter", ValueError, r"output shape \(64, 3, 2\)"),
        ("input", ValueError, r"window_size=5 rows and 2 channels"),
        ("nothing", TypeError, "NoneType"),
        ("compiled", ValueError, r"Training\(optimizer="),
        ("half", ValueError, r"'half'.*'mixed_float16'.*float32"),
        ("wrapped half", ValueError, r"'mixed_bfloat16'.*float32"),
    ],
)
def test_a_network_that_is_none(kind, error, message, series):
    detector = tiny_detector(network=wrong(kind))
    with pytest.raises(error, match=message):
        detector.fit(series)
    assert not any(name.endswith("_") for name in vars(detector))


def test_a_forecaster_beside_a_linear_map(series):
    with pytest.raises(ValueError, match="linear_variance=0"):
        tiny_detector(network=forecaster).fit(series)


@pytest.mark.parametrize("network", [None, gru])
def test_mixed_precision_is_refused_by_name(network, series):
    config = import_keras().config
    before = config.dtype_policy()
    config.set_dtype_policy("mixed_bfloat16")
    try:
        # Of a size that no other test has built.
        detector = tiny_detector(network=network, window_size=6, units=(5,))
        with pytest.raises(ValueError, match=r"mixed_bfloat16.*set_dtype_policy"):
            detector.fit(series)
    finally:
        config.set_dtype_policy(before)


def test_a_network_that_is_changed_after_fit(series):
    for changed in ({"network": Linear(2)}, {"network__width": 3}):
        detector = fitted(Dense(2), series).set_params(**changed)
        with pytest.raises(ValueError, match="network was changed"):
            detector.predict(series)
