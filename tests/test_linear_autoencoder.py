# SPDX-License-Identifier: MIT
"""The linear maps of the LSTM autoencoder as a detector of their own."""

import subprocess
import sys

import numpy as np
import pytest
from sklearn.metrics import average_precision_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.helpers import wave
from tsanomaly import (
    LinearAutoencoderDetector,
    LSTMAutoencoderDetector,
    ReconstructionThreshold,
    StreamingDetector,
    _memory,
    fit_cross_fitted,
)

RULES = ["multiscale", "multiscale_centered", "last", "window_mean", "overlap_mean"]


def with_gaps():
    X = wave(500)
    X[200] = np.nan
    X[300:310, 1] = np.nan
    return X


def both(baseline=(), **params):
    """The detector, and one with a network that adds nothing."""
    shared = {"random_state": 3, **params}
    return (
        LinearAutoencoderDetector((8, *baseline) if baseline else 8, **shared),
        LSTMAutoencoderDetector((4, 8, *baseline), units=(2,), epochs=1, **shared),
    )


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("baseline", [(), (101,)])
def test_scores_are_those_of_the_lstm_autoencoder_without_its_network(baseline, rule):
    X = with_gaps()
    linear, other = (
        detector.fit(X)
        for detector in both(baseline, row_error=rule, missing="anomaly")
    )
    assert not other.relation_gain_.any()
    for method in ("score_samples", "decision_function", "transform", "reconstruct"):
        found, expected = (getattr(one, method)(X) for one in (linear, other))
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(linear.fit_predict(X), other.predict(X))
    for name in ("linear_components_", "linear_gains_", "linear_mean_", "center_"):
        np.testing.assert_array_equal(getattr(linear, name), getattr(other, name))
    for name in ("n_context_", "n_lookahead_", "n_start_up_"):
        assert getattr(linear, name) == getattr(other, name)
    assert hasattr(linear, "baseline_components_") == bool(baseline)


def test_no_keras_is_needed():
    """Neither to fit and score, nor as a stream, nor in an ensemble."""
    code = """
import sys
import numpy as np
from tsanomaly import LinearAutoencoderDetector, StreamingDetector, make_ensemble
X = np.random.default_rng(0).normal(size=(300, 2))
linear = LinearAutoencoderDetector(random_state=0)
for detector in (linear, make_ensemble(linear, random_state=0)):
    detector.fit(X).predict(X)
    StreamingDetector(detector).update(X[0])
print({"keras", "jax", "torch", "tensorflow"} & set(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def test_a_level_that_moves_slowly_is_followed(rng):
    """By the second map, so that a fault stands out of the drift."""
    rows = np.arange(3000)
    X = np.column_stack([np.sin(rows / 8), np.cos(rows / 8)])
    X += 0.1 * rng.normal(size=X.shape)
    train, test = X[:1500], X[1500:] + np.linspace(0, 4, 1500)[:, None]
    y = np.zeros(1500, dtype=int)
    y[1000:1050] = 1
    test[y == 1, 0] *= 1.3
    precision = {}
    for size in (40, (40, 201)):
        detector = LinearAutoencoderDetector(size, random_state=0).fit(train)
        precision[size] = average_precision_score(y, -detector.score_samples(test))
    assert precision[40, 201] > precision[40] + 0.1


def test_the_threshold_holds_on_new_rows(rng):
    def series(n_rows):
        X = np.zeros((n_rows, 3))
        for row in range(1, n_rows):
            X[row] = 0.9 * X[row - 1] + rng.normal(size=3)
        return X

    train, new = series(3000), series(6000)
    detector = LinearAutoencoderDetector(random_state=0).fit(train)
    assert (detector.predict(new) == -1).mean() < 0.02
    pipeline = make_pipeline(
        StandardScaler(),
        LinearAutoencoderDetector(random_state=0),
        ReconstructionThreshold(),
    )
    share = (fit_cross_fitted(pipeline, train).predict(new) == -1).mean()
    assert 0 < share < 0.02


def test_a_stream_scores_as_the_batch():
    X = with_gaps()
    detector = LinearAutoencoderDetector((8, 51), random_state=0).fit(wave(600))
    stream = StreamingDetector(detector)
    found = [stream.update(row)[0] for row in X[:250]]
    np.testing.assert_allclose(found, detector.score_samples(X)[:250], rtol=1e-5)


@pytest.mark.parametrize(
    "params",
    [
        {"window_size": 1},
        {"window_size": (80,)},
        {"window_size": (80, 1)},
        {"window_size": (16, 80, 1001)},
        {"window_size": (8.0, 20)},
        {"window_size": "80"},
        {"variance": 0.0},
        {"variance": 1.0},
        {"row_error": "mean"},
        {"stride": 2},
        {"missing": "drop"},
        {"contamination": 0.6},
    ],
)
def test_parameters_out_of_range_are_refused(params):
    (name,) = params
    with pytest.raises(ValueError, match=name) as caught:
        LinearAutoencoderDetector(**params).fit(wave(300))
    assert repr(params[name]) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("window_size", 9), ("row_error", "last"), ("row_error", "multiscale_centered")],
)
def test_parameters_changed_after_fit_are_refused(name, value):
    X = wave(300)
    detector = LinearAutoencoderDetector(8, random_state=0).fit(X)
    expected = detector.score_samples(X)
    detector.set_params(variance=0.5, contamination=0.2, random_state=5)
    np.testing.assert_array_equal(detector.score_samples(X), expected)
    detector.set_params(**{name: value})
    for method in ("predict", "transform", "reconstruct"):
        with pytest.raises(ValueError, match=f"{name} was changed from .* Refit"):
            getattr(detector, method)(X)


def test_readings_that_no_model_can_take_are_refused():
    X = wave(300)
    X[100, 1] = 1e12
    with pytest.raises(ValueError, match=r"too large for the model\. Scale"):
        LinearAutoencoderDetector(8).fit(X)
    detector = LinearAutoencoderDetector(8, random_state=0).fit(wave(300))
    assert detector.score_samples(X).argmin() == 100


def test_a_series_shorter_than_a_window_is_refused():
    detector = LinearAutoencoderDetector(50)
    with pytest.raises(ValueError, match="window_size=50"):
        detector.fit(wave(40))
    assert not hasattr(detector, "linear_mean_")


def test_a_series_that_does_not_fit_in_memory_is_refused(monkeypatch):
    monkeypatch.setattr(_memory, "available_memory", lambda: 10_000)
    with pytest.raises(MemoryError, match="Lower window_size"):
        LinearAutoencoderDetector(8).fit(wave(300))


def test_fitting_again_without_a_baseline_forgets_its_map():
    detector = LinearAutoencoderDetector((8, 51), random_state=0).fit(wave(300))
    detector.set_params(window_size=8).fit(wave(300))
    assert not hasattr(detector, "baseline_mean_")
    assert detector.n_context_ == 7
    assert np.isfinite(detector.score_samples(wave(50))).all()
