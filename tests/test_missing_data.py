# SPDX-License-Identifier: MIT
"""Readings that are missing in rows that hold others."""

import re
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.ensemble import IsolationForest
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests import reference
from tests.helpers import errors_of_view, tiny_detector, wave, with_start_up_rows
from tests.saving.helpers import alter_state
from tsanomaly import (
    AutoregressiveDetector,
    HybridDetector,
    LinearAutoencoderDetector,
    ModelFileError,
    ReconstructionThreshold,
    ScoreTransformer,
    StreamingDetector,
    WindowNeighborsDetector,
    _imputation,
    _trainers,
    explain,
    load,
    make_ensemble,
    save,
)
from tsanomaly._backend import import_keras
from tsanomaly._cli import main
from tsanomaly._imputation import WindowImputer

pytestmark = pytest.mark.network

GUIDE = Path(__file__).parents[1] / "docs" / "missing_data.md"
RULES = ["multiscale", "multiscale_centered", "last", "window_mean", "overlap_mean"]
CAUSAL = ["multiscale", "last", "window_mean"]


def with_holes(n_timestamps=60, n_channels=3):
    """Holes of all kinds: at the start, single ones, longer than a window, a break."""
    X = wave(n_timestamps, n_channels)
    X[:2, 0] = np.nan
    X[10, 1] = np.nan
    X[20:32, 2] = np.nan
    X[24:26, :2] = [[np.nan, 1.0], [1.0, np.nan]]
    X[40] = np.nan
    X[41, 1] = np.nan  # the first row of a stretch, that its windows are padded with
    return X


@pytest.fixture(scope="module", params=RULES)
def by_rule(request):
    """A series with holes, and a detector fitted on it."""
    X = with_holes()
    return X, tiny_detector(row_error=request.param, missing="ignore").fit(X)


def changed(detector, **parameters):
    """A fitted copy with other parameters."""
    copy = clone(detector)
    vars(copy).update(vars(detector) | parameters)
    return copy


@settings(max_examples=30)
@given(
    holes=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 3), st.integers(0, 2))),
    empty=st.booleans(),
)
def test_windows_are_filled_from_themselves(holes, empty):
    windows = np.random.default_rng(0).normal(size=(3, 4, 3)).astype(np.float32)
    for hole in holes:
        windows[hole] = np.nan
    if empty:
        windows[1, :, 0] = np.nan
    covariance = np.array([[1.0, 0.3, -0.6], [0.3, 0.5, 0.1], [-0.6, 0.1, 2.0]])
    before = windows.copy()
    scale = np.array([1.0, 1e-3, 1e3], dtype=np.float32)
    imputer = WindowImputer(np.linalg.inv(covariance), scale)
    filled = imputer.fill(windows * scale) / scale
    assert filled.dtype == np.float32
    expected = [reference.filled(window, np.zeros(3), covariance) for window in windows]
    np.testing.assert_allclose(filled, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(filled[~np.isnan(before)], before[~np.isnan(before)])
    np.testing.assert_array_equal(windows, before)


@pytest.mark.parametrize(("view", "linear_variance"), [("network", 0), ("linear", 0.8)])
def test_errors_match_the_loop(by_rule, view, linear_variance):
    """Of a network alone, and of a linear view that scores alone."""
    X, detector = by_rule
    detector = clone(detector).set_params(linear_variance=linear_variance).fit(X)
    whole = [*range(4, 40), *range(45, 60)]
    expected = errors_of_view(detector, X, view, whole)
    expected = with_start_up_rows(detector, X, expected)
    errors = detector.transform(X)
    np.testing.assert_allclose(errors, expected, rtol=1e-4, atol=1e-9)
    np.testing.assert_allclose(detector.center_, np.nanmean(X, axis=0))


def test_a_missing_reading_is_never_normal(by_rule):
    """Either it has no error, or one that is larger than any."""
    X, ignoring = by_rule
    missing = np.isnan(X)
    breaks = missing.all(axis=1)
    errors = ignoring.transform(X)
    scores = ignoring.score_samples(X)
    np.testing.assert_array_equal(np.isnan(scores), breaks)
    known = ~breaks
    np.testing.assert_allclose(scores[known], -np.nanmean(errors[known], axis=1))
    if ignoring.row_error in ("last", "overlap_mean"):
        np.testing.assert_array_equal(np.isnan(errors), missing)
    else:
        assert np.isnan(errors[25:32, 2]).any()  # a gap longer than a window
        assert not np.isnan(errors[~missing]).any()

    marking = changed(ignoring, missing="anomaly")
    marked = marking.transform(X)
    np.testing.assert_array_equal(np.isnan(marked), np.tile(breaks[:, None], 3))
    partly = missing & known[:, None]
    assert (marked[partly] >= ignoring.missing_error_).all()
    np.testing.assert_array_equal(marked[~partly], errors[~partly])
    np.testing.assert_array_equal(marking.score_samples(X), -marked.mean(axis=1))
    np.testing.assert_array_equal(
        marking.predict(X) == -1, (ignoring.predict(X) == -1) | partly.any(axis=1)
    )
    assert -scores[known].min() < ignoring.missing_error_ / 3


def test_every_window_has_a_hole(by_rule):
    _, detector = by_rule
    X = wave(60, 3)
    X[::4, 0] = X[1::4, 2] = np.nan
    detector = clone(detector).fit(X)
    assert np.isfinite(detector.history_["loss"]).all()
    assert np.isfinite(detector.score_samples(X)).all()
    spoilt = X.copy()
    spoilt[30, 0] += 20
    assert detector.score_samples(spoilt).argmin() in range(26, 35)


def test_a_threshold_is_set_on_what_was_read(by_rule):
    X, detector = by_rule
    errors = detector.transform(X)
    for missing in ("ignore", "anomaly"):
        fresh = clone(detector).set_params(missing=missing)
        np.testing.assert_array_equal(fresh.fit_transform(X), errors)
        np.testing.assert_array_equal(clone(fresh).fit_predict(X), fresh.predict(X))
        assert fresh.offset_ == detector.offset_


def test_it_makes_no_difference_where_nothing_is_missing(by_rule):
    _, detector = by_rule
    X = wave(50, 3)
    ignoring, marking = (
        clone(detector).set_params(missing=missing).fit(X)
        for missing in ("ignore", "anomaly")
    )
    np.testing.assert_array_equal(ignoring.transform(X), marking.transform(X))
    holes = with_holes(50)
    # Rows whose windows hold no hole, on either side, score as if there were none.
    untouched = [*range(15, 16), *range(46, 50)]
    np.testing.assert_array_equal(
        ignoring.score_samples(holes)[untouched], ignoring.score_samples(X)[untouched]
    )


def test_a_channel_that_is_missing_in_scoring_only(by_rule):
    _, detector = by_rule
    silent = wave(30, 3)
    silent[:, 1] = np.nan
    errors = detector.transform(silent)
    assert np.isnan(errors[:, 1]).all()
    assert np.isfinite(errors[:, [0, 2]]).all()
    assert np.isfinite(detector.score_samples(silent)).all()
    marking = changed(detector, missing="anomaly")
    assert (marking.predict(silent) == -1).all()
    assert (marking.transform(silent).argmax(axis=1) == 1).all()


def test_reconstruct_fills_holes(by_rule):
    X, detector = by_rule
    reconstruction = detector.reconstruct(X)
    breaks = np.isnan(X).all(axis=1)
    np.testing.assert_array_equal(np.isnan(reconstruction), np.tile(breaks[:, None], 3))


@pytest.mark.parametrize("linear_variance", [0, 0.8])
@pytest.mark.parametrize("missing", ["ignore", "anomaly"])
@pytest.mark.parametrize("rule", CAUSAL)
def test_pieces_and_streams_score_as_the_whole(rule, missing, linear_variance):
    X = with_holes()
    detector = tiny_detector(
        row_error=rule, missing=missing, linear_variance=linear_variance
    ).fit(wave(50, 3))
    scores = detector.score_samples(X)
    rows = np.array([0, 11, 24, 25, 30, 40, 41, 43])
    np.testing.assert_allclose(detector.score_rows(X, rows), scores[rows], rtol=1e-5)
    for t in (5, 25, 30, 42):
        np.testing.assert_allclose(
            detector.score_samples(X[: t + 1]), scores[: t + 1], rtol=1e-5
        )
    stream = StreamingDetector(detector)
    one_by_one = [stream.update(row) for row in X]
    np.testing.assert_allclose([s for s, _ in one_by_one], scores, rtol=1e-5)
    flags = np.array([flag for _, flag in one_by_one])
    np.testing.assert_array_equal(flags, detector.predict(X) == -1)
    together = StreamingDetector(detector).update_many(X)
    np.testing.assert_allclose(together[0], scores, rtol=1e-5)


def test_missing_residuals_are_not_trained_on():
    """Whatever a missing reading is filled with, its residual is in no loss."""
    target = np.array([[[1.0, np.nan], [2.0, 5.0]]], dtype=np.float32)
    output = np.array([[[0.0, 9.0], [2.0, 3.0]]], dtype=np.float32)
    to_numpy = import_keras().ops.convert_to_numpy
    loss = to_numpy(_trainers._masked("mse")(target, output))
    assert loss.mean() == pytest.approx((1 + 0 + 4) / 3)
    whole = np.nan_to_num(target)
    plain = to_numpy(_trainers._masked("mse")(whole, output))
    np.testing.assert_allclose(plain, ((whole - output) ** 2).mean(axis=-1))


def test_the_network_learns_from_what_is_there():
    X = wave(300, 2)
    X[np.random.default_rng(0).random(X.shape) < 0.3] = np.nan
    detector = tiny_detector(
        units=(8,), epochs=30, learning_rate=0.02, noise=0, linear_variance=0
    ).fit(X)
    losses = detector.history_["loss"]
    assert losses[-1] < 0.5 * losses[0]
    held_out = tiny_detector(validation_fraction=0.2).fit(X)
    assert np.isfinite(held_out.history_["val_loss"]).all()


def test_a_channel_without_a_reading_in_training():
    X = pd.DataFrame(wave(40, 2), columns=["flow", "pressure"])
    X.loc[:31, "pressure"] = np.nan
    with pytest.raises(ValueError, match=r"'pressure' in any of the 32 training rows"):
        tiny_detector(validation_fraction=0.2).fit(X)
    assert np.isfinite(tiny_detector().fit(X).score_samples(X)).all()


def test_dropouts_in_training_do_not_move_the_threshold():
    X = wave(200, 2)
    X[50:80, 1] = np.nan
    detector = tiny_detector(contamination=0.05, missing="anomaly").fit(X)
    flagged = detector.predict(X) == -1
    dropped = np.isnan(X[:, 1])
    assert flagged[dropped].all()
    ignoring = changed(detector, missing="ignore")
    assert (ignoring.predict(X) == -1).sum() == 10


@pytest.mark.parametrize("missing", [slice(0, 800), slice(800, None)])
@pytest.mark.parametrize(
    "detector",
    [
        AutoregressiveDetector(lags=3, window_size=20),
        LinearAutoencoderDetector((20, 201)),
        WindowNeighborsDetector(random_state=0),
    ],
)
def test_a_channel_of_half_of_the_training_rows(detector, missing):
    """A model that has not seen it has large errors, which set no threshold."""
    rng = np.random.default_rng(0)
    time = np.arange(1600)[:, None] / [7, 9, 11]
    X = np.sin(time) + 0.05 * rng.normal(size=time.shape)
    whole = clone(detector).fit(X).offset_
    X[missing, 2] = np.nan
    assert detector.fit(X).offset_ > 1.3 * whole  # both are negative


@pytest.mark.parametrize(
    "detector",
    [
        AutoregressiveDetector(),
        LinearAutoencoderDetector(),
        make_ensemble("drop", random_state=0),
    ],
)
def test_a_sensor_that_stays_silent(detector):
    """Few rows of the other channels, which move with it, are flagged."""
    rng = np.random.default_rng(0)
    time = np.arange(2600)[:, None]
    common = np.sin(time / 9) + 0.5 * np.sin(time / 4)
    X = common * [1, -1, 1, 0.5] + 0.1 * rng.normal(size=(2600, 4))
    detector = clone(detector).fit(X[:2000])
    new = X[2000:].copy()
    new[100:, 0] = np.nan
    new[400:410, 1] += 2
    flagged = detector.predict(new) == -1
    assert flagged[100:400].mean() < 0.1  # the 0 of its mean would flag each of them
    assert flagged[400:410].all()


@pytest.mark.parametrize("most_readings", [10**9, 3000])
def test_correlations_are_learned_from_the_readings_that_are_there(
    most_readings, monkeypatch
):
    """Also those of a sensor that is read in every other row, or in one of fifty."""
    monkeypatch.setattr(_imputation, "_MOST_READINGS", most_readings)
    rng = np.random.default_rng(0)
    X = 7 + rng.normal(size=(6000, 1)) * [1.0, 1e6, 1e-6, 1e12]
    X[::2, 2] = np.nan
    X[np.arange(6000) % 50 != 1, 3] = np.nan
    center = np.nanmean(X, axis=0)
    windows = np.array([[[np.nan, 2e6, np.nan, np.nan]], [[3, *[np.nan] * 3]]])
    with warnings.catch_warnings(action="error"):
        filled = WindowImputer.fit(X, center).fill(windows)
    tolerances = [0.02, 0.02, 0.02, 0.05]
    if most_readings == 3000:  # 15 rows of the last one
        tolerances = [0.1, 0.1, 0.1, 0.4]
    expected = np.array([[2, 2e6, 2e-6, 2e12], [3, 3e6, 3e-6, 3e12]])
    expected[expected > 1e9] = 1e9  # the limit of what models see
    for channel, tolerance in enumerate(tolerances):
        np.testing.assert_allclose(
            filled[:, 0, channel], expected[:, channel], rtol=tolerance
        )


def test_channels_that_are_unrelated_are_filled_from_themselves():
    rng = np.random.default_rng(0)
    windows = np.array([[[np.nan, 2, np.nan]], [[3, np.nan, np.nan]]])
    noise = WindowImputer.fit(rng.normal(size=(5000, 3)), np.zeros(3)).fill(windows)
    np.testing.assert_allclose(noise, [[[0, 2, 0]], [[3, 0, 0]]], atol=0.2)
    # Rounding errors of their means are no correlation.
    constant = np.full((1000, 3), [0.1, 1000.1, 0.0])
    imputer = WindowImputer.fit(constant, constant[0] * (1 + 4e-16))
    filled = imputer.fill(windows)
    assert filled.tolist() == [[[0, 2, 0]], [[3, 0, 0]]]
    single = WindowImputer.fit(np.ones((10, 1)), np.ones(1))
    assert single.fill(np.array([[[np.nan], [2.0]]])).tolist() == [[[2], [2]]]


def test_windows_are_filled_alone_as_together(rng):
    """Whatever was filled before, and with coefficients that are kept or not."""
    X = rng.normal(size=(3000, 30)) @ rng.normal(size=(30, 30))
    imputer = WindowImputer.fit(X, X.mean(axis=0))
    windows = X.reshape(-1, 10, 30).astype(np.float32)
    windows[rng.random(windows.shape) < 0.4] = np.nan
    together = imputer.fill(windows)
    again = imputer.fill(windows[::-1])[::-1]
    alone = [
        WindowImputer(imputer.precision, imputer.scale).fill(window[None])[0]
        for window in windows[:20]
    ]
    np.testing.assert_allclose(again, together, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(alone, together[:20], rtol=1e-5, atol=1e-4)


def test_extreme_readings_are_filled_without_overflow():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 1)) * np.array([1e-160, 1e-30, 1, 1e30])
    imputer = WindowImputer.fit(X, X.mean(axis=0))
    windows = np.array([[[1e9, np.nan, 1e9, np.nan], [np.nan, 1e9, np.nan, 1e9]]])
    with warnings.catch_warnings(action="error"):
        filled = imputer.fill(windows.astype(np.float32))
    assert (np.abs(filled) <= 1e9).all()


@pytest.mark.parametrize(
    "change",
    [
        lambda precision: precision[:1],
        lambda precision: 0 * precision,
        lambda precision: -precision,
        lambda precision: precision + np.triu(np.ones_like(precision), 1),
        lambda precision: np.full_like(precision, np.nan),
    ],
)
def test_altered_correlations_are_refused(change, tmp_path):
    path = tmp_path / "model.tsa"
    save(AutoregressiveDetector(3, window_size=5).fit(wave(100)), path)
    owner = "tsanomaly.AutoregressiveDetector"
    alter_state(path, owner, "state", "_channel_precision", change=change)
    with pytest.raises(ModelFileError, match="is damaged or was altered"):
        load(path)


@pytest.mark.parametrize("channels", ["mean", "max", "each"])
@pytest.mark.parametrize("missing", ["ignore", "anomaly"])
def test_a_threshold_behind_it(missing, channels):
    detector = make_pipeline(
        StandardScaler(),
        tiny_detector(missing=missing),
        ReconstructionThreshold(channels=channels),
    ).fit(with_holes())
    new = wave(200, 3)
    new[20, 1] = new[30:40, 2] = np.nan
    assert np.isfinite(detector.score_samples(new)).all()
    flagged = detector.predict(new) == -1
    dropped = np.isnan(new).any(axis=1)
    if missing == "anomaly":
        assert flagged[dropped].all()
    np.testing.assert_allclose(
        StreamingDetector(detector).update_many(new)[0],
        detector.score_samples(new),
        rtol=1e-5,
    )


def test_explain_names_what_is_missing():
    X = pd.DataFrame(wave(200, 3), columns=["flow", "heat", "load"])
    detector = make_pipeline(StandardScaler(), tiny_detector(missing="anomaly"))
    detector.fit(X)
    new = X[100:160].reset_index(drop=True)
    new.loc[20:24, "heat"] = np.nan
    events = explain(detector, new)
    event = events[events["start"] <= 20].iloc[-1]
    assert event["channels"][0] == "heat"
    assert "heat missing" in event["sentence"]
    # Where it is ignored, it is named in events that something else raised.
    detector.set_params(lstmautoencoderdetector__missing="ignore")
    flagged = np.isin(np.arange(60), [22, 23])
    (sentence,) = explain(detector, new, flagged=flagged)["sentence"]
    assert sentence.endswith("heat missing")


def test_wrappers():
    X = with_holes(200)
    level = ScoreTransformer(tiny_detector()).fit(X).transform(X)
    np.testing.assert_array_equal(np.isnan(level[:, 0]), np.isnan(X).all(axis=1))
    screener = make_pipeline(SimpleImputer(), IsolationForest(random_state=0))
    hybrid = HybridDetector(screener, tiny_detector(missing="anomaly"))
    hybrid.fit(wave(200, 3))
    new = wave(100, 3)
    new[50:53, 1] = np.nan
    assert hybrid.screen(new)[50:53].all()  # no screener sees what was not read
    assert (hybrid.predict(new)[50:53] == -1).all()


@pytest.fixture(scope="module")
def guide():
    """The names that the code of the guide defines."""
    names, printed = {}, []
    names["print"] = printed.append
    for block in re.findall(r"```python\n(.*?)```", GUIDE.read_text(), re.DOTALL):
        exec(compile(block, GUIDE.name, "exec"), names)
    return names, printed


@pytest.mark.full_size
def test_the_guide_shows_what_is_printed(guide):
    _, (sentence,) = guide
    assert re.search(r": sensor_3 missing; \d+ % of the error$", sentence)
    shown = re.search(r"```\n(2024.*)\n```", GUIDE.read_text()).group(1)
    assert re.sub(r"\d+ %", "", shown) == re.sub(r"\d+ %", "", sentence)


@pytest.mark.full_size
@pytest.mark.parametrize("name", ["forest", "lof", "pca"])
def test_recipes(guide, name):
    """Dropouts are flagged, and what is abnormal still is."""
    names, _ = guide
    detector, X = names["detectors"][name], names["new"].reset_index(drop=True)
    dropped = X.isna().any(axis=1)
    spoilt = X.copy()
    spoilt.loc[700] *= 10
    flagged = detector.predict(spoilt) == -1
    assert flagged[dropped].all()
    if name != "forest":  # which is no judge of windows
        assert flagged[700]
    # Whole gaps: a break is a row with nothing, and windows do not cross it.
    spoilt.loc[600] = np.nan
    assert detector.predict(spoilt)[600] == -1
    np.testing.assert_allclose(
        detector.score_samples(spoilt)[601:640],
        detector.score_samples(X[601:])[:39],
        rtol=1e-6,
    )
    stream = StreamingDetector(detector)
    scores, _ = stream.update_many(spoilt[180:260])
    np.testing.assert_allclose(
        scores[10:], detector.score_samples(spoilt)[190:260], rtol=1e-6
    )
    (sentence,) = explain(detector, X[180:230], flagged=dropped[180:230])["sentence"]
    assert sentence.endswith("sensor_3 missing")


@pytest.mark.full_size
def test_recipes_take_holes_in_training(guide):
    names, _ = guide
    train = names["train"].mask(
        np.random.default_rng(0).random(names["train"].shape) < 0.002
    )
    detector = clone(names["detectors"]["pca"]).fit(train)
    assert (detector.predict(names["new"])[200:210] == -1).all()


def test_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    X = pd.DataFrame(wave(400, 3), columns=["flow", "heat", "load"])
    X.index = pd.date_range("2024-01-01", periods=400, freq="min", name="time")
    X.iloc[50:60, 1] = X.iloc[350:353, 2] = np.nan
    X.iloc[351, 0] += 20
    X.to_csv("plant.csv")
    options = ["--epochs", "1", "--window-size", "5", "--no-plots", "--units", "3"]
    assert main(["train", "plant.csv", *options]) == 0
    model = "tsanomaly-results/model.skops"
    assert main(["detect", model, "plant.csv", "--no-plots"]) == 0
    predictions = pd.read_csv("tsanomaly-results/predictions.csv")
    assert predictions["score"].notna().all()
    flagged = predictions["flag"]
    assert flagged[351]
    assert not flagged[50:60].all()  # what is missing says nothing
    assert flagged.mean() < 0.1
    assert main(["explain", model, "plant.csv", "--no-plots"]) == 0
    assert "load missing" in capsys.readouterr().out
