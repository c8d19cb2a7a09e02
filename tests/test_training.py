# SPDX-License-Identifier: MIT
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils._param_validation import InvalidParameterError

from tests import reference
from tests.helpers import reconstruction_of, related, tiny_detector, wave
from tsanomaly import LSTMAutoencoderDetector, Training, _autoencoder, _trainers
from tsanomaly._backend import import_keras
from tsanomaly._windows import TrailingWindows
from tsanomaly.metrics import make_anomaly_scorer

pytestmark = pytest.mark.network


def test_noise_is_not_what_the_network_learns_to_reconstruct(series):
    """It is added to what the network sees, in proportion to each channel's spread."""
    windows = TrailingWindows(
        series.astype(np.float32), 5, np.zeros(len(series), dtype=bool)
    )
    source = _trainers.batch_class()
    noise = np.array([0.0, 2.0], dtype=np.float32)
    batches = source(windows, windows.rows, 100, 2, noise=noise, seed=0)
    noisy, target = batches[0]
    np.testing.assert_array_equal(noisy[:, :, 0], target[:, :, 0])
    added = (noisy - target)[:, :, 1]
    assert abs(added.mean()) < 0.3
    assert added.std() == pytest.approx(2, rel=0.1)
    again, _ = batches[0]
    np.testing.assert_array_equal(again, noisy)
    batches.on_epoch_end()
    assert not np.array_equal(batches[0][0], noisy)


def test_stops_early_and_keeps_the_best_weights(series):
    X = series.copy()
    X[150:] *= -3  # the held-out part follows other laws
    detector = tiny_detector(
        epochs=60,
        validation_fraction=0.25,
        n_iter_no_change=2,
        learning_rate=0.02,
        noise=0,
        linear_variance=0,
    ).fit(X)
    losses = detector.history_["val_loss"]
    assert detector.n_iter_ < 60
    assert int(np.argmin(losses)) == detector.n_iter_ - 3
    held_out = np.array(
        [reference.trailing_window(X, row, 5) for row in range(150, 200)],
        dtype=np.float32,
    )
    output = reconstruction_of(detector)(held_out)
    loss = ((held_out - output) ** 2).mean()
    assert loss == pytest.approx(min(losses), rel=0.1)


def test_validation_holds_out_the_end():
    X = wave(200)
    X[180:] = 50.0  # so far out that a training loss would show it
    detector = tiny_detector(validation_fraction=0.1, linear_variance=0).fit(X)
    assert detector.history_["loss"][0] < 5
    assert detector.history_["val_loss"][0] > 500
    assert set(tiny_detector(validation_fraction=0.0).fit(X).history_) == {"loss"}


def test_divergence_is_an_error(series):
    with pytest.raises(ValueError, match=r"Training diverged.*Scale"):
        tiny_detector(learning_rate=1e30, epochs=3).fit(series)


def test_verbose_shows_progress(series, capsys):
    tiny_detector(verbose=1).fit(series)
    assert "loss" in capsys.readouterr().out
    tiny_detector().fit(series)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "parameters",
    [
        {"batch_size": 0},
        {"learning_rate": 0.0},
        {"windows_per_epoch": 1.5},
        {"validation_fraction": 1.0},
        {"n_iter_no_change": 0},
        {"optimizer": 3},
        {"callbacks": None},
    ],
)
def test_bad_parameters(series, parameters):
    (name,) = parameters
    detector = tiny_detector(training=Training(**parameters))
    with pytest.raises(InvalidParameterError, match=f"'{name}' parameter of Training"):
        detector.fit(series)
    with pytest.raises(InvalidParameterError, match="'training' parameter"):
        tiny_detector(training=parameters).fit(series)


def test_a_name_that_moved_says_where_it_is():
    for name, value in Training().get_params().items():
        if name in {"optimizer", "loss", "callbacks"}:  # they were never elsewhere
            continue
        with pytest.raises(TypeError, match=rf"training=Training\({name}=...\)"):
            LSTMAutoencoderDetector(**{name: value})
        with pytest.raises(ValueError, match=rf"training=Training\({name}=...\)"):
            LSTMAutoencoderDetector().set_params(**{name: value})


@pytest.mark.parametrize("training", [Training(batch_size=8), None])
def test_a_search_reaches_it(training):
    X, y = wave(200), np.zeros(200)
    X[100], y[100] = 5.0, 1
    X[180], y[180] = 5.0, 1
    losses = []

    def noted(detector, X, y):
        losses.append(detector[-1].history_["loss"][-1])
        return make_anomaly_scorer("average_precision")(detector, X, y)

    detector = tiny_detector(epochs=3, noise=0, linear_variance=0)
    detector.set_params(training=training)
    search = GridSearchCV(
        make_pipeline(StandardScaler(), detector),
        {"lstmautoencoderdetector__training__learning_rate": [1e-9, 0.01]},
        scoring=noted,
        cv=TimeSeriesSplit(2, test_size=80),
        refit=False,
    ).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    still, learned = losses[:2], losses[2:]
    assert max(learned) < 0.95 * min(still)
    assert search.estimator[-1].training is training


def test_clones_do_not_share_it():
    detector = tiny_detector()
    clone(detector).set_params(training__batch_size=3)
    assert detector.training.batch_size == 8


# To copy it, Keras reads its learning rate in a way that NumPy deprecates.
@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
def test_an_optimizer(series):
    keras = import_keras()

    def trained(optimizer):
        return tiny_detector(optimizer=optimizer).fit(series)

    still, moved = trained(keras.optimizers.SGD(1e-12)), trained(keras.optimizers.SGD())
    assert not np.allclose(still.weights_[0], moved.weights_[0])
    for again in (trained("sgd"), clone(moved).fit(series), moved.fit(series)):
        np.testing.assert_array_equal(again.weights_[0], moved.weights_[0])


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
def test_a_schedule_of_learning_rates_is_that_of_the_optimizer(series):
    keras = import_keras()

    def weights(rate):
        schedule = keras.optimizers.schedules.ExponentialDecay(rate, 10, 0.5)
        detector = tiny_detector(optimizer=keras.optimizers.Adam(schedule))
        return detector.fit(series).weights_[0]

    np.testing.assert_array_equal(weights(0.1), weights(0.1))
    assert not np.allclose(weights(0.1), weights(1e-12))


@pytest.mark.parametrize("missing", [False, True])
def test_a_loss(missing):
    """By name or as a function, and not the one that trains without it."""
    X = wave(200)
    if missing:
        X[::7, 1] = np.nan

    def of_absolute_residuals(target, output):
        return import_keras().ops.abs(target - output)

    parameters = {"epochs": 2, "noise": 0, "linear_variance": 0}
    named = tiny_detector(loss="mean_absolute_error", **parameters).fit(X)
    own = tiny_detector(loss=of_absolute_residuals, **parameters).fit(X)
    stock = tiny_detector(**parameters).fit(X)
    np.testing.assert_allclose(own.history_["loss"], named.history_["loss"], rtol=1e-5)
    assert not np.allclose(stock.history_["loss"], named.history_["loss"], rtol=0.01)
    assert np.isfinite(own.score_samples(X)).all()


def test_the_loss_leaves_out_what_is_missing():
    """At the first weights: the mean over the readings there are."""
    X = wave(200)
    X[:, 1] = np.where(np.arange(200) % 2, np.nan, X[:, 1])
    parameters = {"learning_rate": 1e-12, "noise": 0, "linear_variance": 0}
    by_keras = tiny_detector(loss="mean_squared_error", **parameters).fit(X)
    stock = tiny_detector(**parameters).fit(X)
    assert by_keras.history_["loss"][0] == pytest.approx(
        stock.history_["loss"][0], rel=0.02
    )


@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")  # as above
def test_callbacks(series):
    keras = import_keras()

    class Stopping(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.seen = epoch, logs["loss"]
            self.model.stop_training = epoch == 1

    class Replacing(keras.callbacks.Callback):
        def on_train_end(self, logs=None):
            weights = self.model.weights
            self.model.set_weights([np.ones(weight.shape) for weight in weights])

    stopping = Stopping()
    stopped_early = tiny_detector(epochs=5, callbacks=[stopping]).fit(series)
    assert stopped_early.n_iter_ == 2
    assert stopping.seen == (1, stopped_early.history_["loss"][-1])
    assert stopping.model is None
    replaced = tiny_detector(callbacks=[Replacing()]).fit(series)
    assert all((weight == 1).all() for weight in replaced.weights_)
    stand_still = keras.callbacks.LearningRateScheduler(lambda epoch: 1e-12)
    still = tiny_detector(callbacks=[stand_still]).fit(series)
    assert not np.allclose(still.weights_[0], stopped_early.weights_[0])
    first = tiny_detector(optimizer=keras.optimizers.SGD(1e-12)).fit(series)
    np.testing.assert_allclose(still.weights_[0], first.weights_[0], atol=1e-6)


def test_the_network_learns_windows_and_not_what_a_linear_map_leaves_over():
    X = wave(200)
    parameters = {"learning_rate": 1e-12, "noise": 0, "windows_per_epoch": 160}
    beside = tiny_detector(**parameters).fit(X)
    alone = tiny_detector(**parameters, linear_variance=0).fit(X[:160])
    # From the same first weights, the mean square of the readings about their mean.
    for detector in (beside, alone):
        (loss,) = detector.history_["loss"]
        assert loss == pytest.approx(X[:160].var(), rel=0.1)


def test_the_network_does_not_learn_from_the_last_fifth_beside_a_linear_view():
    X = related(400)
    spoilt = X.copy()
    spoilt[320:] = X[:80] * [1, -1]  # of the same mean
    spoilt[320:] += X[320:].mean(axis=0) - spoilt[320:].mean(axis=0)
    weights = []
    for parameters in ({}, {"linear_variance": 0}):
        for series in (X, spoilt):
            detector = tiny_detector(noise=0, **parameters).fit(series)
            weights.append(detector.weights_[0])
    np.testing.assert_allclose(weights[0], weights[1], atol=1e-5)
    assert not np.allclose(weights[2], weights[3], atol=1e-3)


@pytest.mark.filterwarnings("ignore:.*cannot be predicted:UserWarning")
def test_held_out_windows_are_not_those_that_tell_what_the_network_knows(monkeypatch):
    told = []
    find_evidence = _autoencoder.find_evidence

    def recorded(network, linear, series, rows, *others):
        told.append(rows)
        return find_evidence(network, linear, series, rows, *others)

    monkeypatch.setattr(_autoencoder, "find_evidence", recorded)
    tiny_detector(validation_fraction=0.5).fit(wave(200))
    np.testing.assert_array_equal(told, [range(80, 100)])


def test_loops_of_keras_and_of_the_library_learn_the_same():
    """From the same first weights."""
    X = wave(200)
    parameters = {"learning_rate": 1e-12}
    by_keras = tiny_detector(loss="mean_squared_error", **parameters).fit(X)
    stock = tiny_detector(**parameters).fit(X)
    assert by_keras.history_["loss"][0] == pytest.approx(
        stock.history_["loss"][0], rel=0.1
    )


def test_windows_in_their_shape():
    """What the network sees of windows, and what is to come out of it."""
    X = np.arange(20.0, dtype=np.float32).reshape(10, 2)
    windows = TrailingWindows(X, 4, np.zeros(10, dtype=bool))
    source = _trainers.batch_class()
    seen, target = source(windows, np.array([5]), 1, 1)[0]
    np.testing.assert_array_equal(seen, target)
    np.testing.assert_array_equal(seen, X[None, 2:6])
    seen, target = source(windows, np.array([5]), 1, 1, forecasts=True)[0]
    np.testing.assert_array_equal(seen, X[None, 2:5])
    np.testing.assert_array_equal(target, X[5:6])
