# SPDX-License-Identifier: MIT
from contextlib import nullcontext
from datetime import timedelta, timezone

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.reference import temporal_features
from tsanomaly import LSTMAutoencoderDetector, TemporalFeatures

SENSORS = ["sensor_1", "sensor_2", "sensor_3", "sensor_4"]


def plant(n_timestamps, sensors=SENSORS, seed=0):
    """A frame of random walks with times."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        50 + rng.normal(size=(n_timestamps, len(sensors))).cumsum(axis=0),
        columns=sensors,
        index=pd.date_range("2024-02-28 22:30", periods=n_timestamps, freq="37min"),
    )


@pytest.mark.parametrize("n_timestamps", [1, 2, 7, 100])
def test_the_same_as_temporal_features(n_timestamps):
    X = plant(n_timestamps)
    features = TemporalFeatures().set_output(transform="pandas").fit_transform(X)
    assert features.shape[1] == 4 + 122
    pd.testing.assert_frame_equal(features, temporal_features(X), rtol=1e-9, atol=1e-5)


def test_missing_readings_are_left_out():
    X = plant(100, seed=1)
    X = X.mask(np.random.default_rng(0).random(X.shape) < 0.3)
    X.iloc[40:80, 1] = np.nan
    X = X.dropna(how="all")
    features = TemporalFeatures().set_output(transform="pandas").fit_transform(X)
    pd.testing.assert_frame_equal(features, temporal_features(X), rtol=1e-9, atol=1e-5)
    assert np.isnan(features.loc[X.index[75], "sensor_2_mean_30"])


def test_families_and_names():
    X = plant(50)

    def names(**parameters):
        nothing = {"windows": (), "lags": (), "rates": (), "interactions": False}
        features = TemporalFeatures(**{**nothing, **parameters}).fit(X)
        assert features.transform(X).shape[1] == len(features.get_feature_names_out())
        return features.get_feature_names_out()[4:].tolist()

    assert len(names(windows=(5, 10, 30), calendar=False)) == 60
    assert len(names(lags=(1, 2, 3, 5), calendar=False)) == 16
    assert len(names(rates=(1, 5), calendar=False)) == 16
    assert len(names(calendar=True)) == len(names()) == 13
    assert len(names(interactions=True, calendar=False)) == 17
    assert names(calendar=False) == []
    every = TemporalFeatures().fit(X).get_feature_names_out()
    expected = "sensor_1_mean_30 sensor_2_lag_5 hour_sin sensor_1/sensor_3 row_range"
    assert set(expected.split()) <= set(every)


def test_pairs_of_few_channels_only():
    X = np.random.default_rng(0).normal(size=(20, 9))

    def count(n_channels, **parameters):
        nothing = {"windows": (), "lags": (), "rates": ()}
        features = TemporalFeatures(**nothing, **parameters)
        return features.fit_transform(X[:, :n_channels]).shape[1] - n_channels

    assert count(8) == 28 + 28 + 5
    assert count(9) == 5
    assert count(9, interactions=True) == 36 + 36 + 5
    assert count(9, interactions=False) == 0
    assert count(1) == count(1, interactions=True) == 0


def test_flags_of_numpy():
    """As they come from a ParameterGrid over arrays."""
    X = plant(20)
    for flag in (np.bool_(True), np.bool_(False)):
        features, plain = (
            TemporalFeatures(calendar=given, interactions=given).fit(X)
            for given in (flag, bool(flag))
        )
        np.testing.assert_array_equal(
            features.get_feature_names_out(), plain.get_feature_names_out()
        )


def test_a_vanishing_denominator():
    X = np.array([[1.0, 0.0], [2.0, -1e-9], [3.0, 1e-9], [4.0, -0.5], [4.0, 0.0]])
    features = TemporalFeatures(windows=(), lags=(), rates=(1,), eps=0.25)
    Z = features.set_output(transform="default").fit_transform(X)
    columns = dict(zip(features.get_feature_names_out(), Z.T, strict=True))
    assert columns["x0/x1"].tolist() == [4.0, -8.0, 12.0, -8.0, 16.0]
    change = [0.0, -4e-9, -8e-9, -0.5 / 0.25, -1.0]
    np.testing.assert_allclose(columns["x1_change_1"], change, atol=1e-7)


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(
    st.lists(st.tuples(finite, finite, finite), min_size=1, max_size=40),
    st.sampled_from([np.float64, np.float32]),
)
def test_finite_in_finite_out(rows, dtype):
    largest = np.finfo(dtype).max
    X = np.clip(np.array(rows), -largest, largest).astype(dtype)
    features = TemporalFeatures(windows=(2, 7), eps=1e-300).fit(X)
    Z = features.transform(X)
    assert Z.dtype == dtype
    assert np.isfinite(Z).all()
    np.testing.assert_array_equal(Z[:, :3], X)


@given(
    n_kept=st.integers(1, 120),
    missing=st.sampled_from([0.0, 0.1, 0.6]),
    seed=st.integers(0, 20),
)
def test_features_of_a_prefix_are_the_prefix_of_the_features(n_kept, missing, seed):
    X = plant(120, seed=seed)
    X = X.mask(np.random.default_rng(seed).random(X.shape) < missing)
    features = TemporalFeatures().fit(X)
    np.testing.assert_array_equal(
        features.transform(X.iloc[:n_kept]), features.transform(X)[:n_kept]
    )


@given(n_rows=st.integers(1, 50), missing=st.sampled_from([0.0, 0.7]))
def test_blocks_leave_no_trace(n_rows, missing):
    """Neither how a series is cut into blocks nor breaks change a bit."""
    import tsanomaly._features as module

    X = plant(200)
    X = X.mask(np.random.default_rng(0).random(X.shape) < missing)
    features = TemporalFeatures().fit(X)
    expected = features.transform(X)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_BLOCK", 126 * (64 + n_rows))
        np.testing.assert_array_equal(features.transform(X), expected)


@given(st.lists(st.integers(0, 59), max_size=30))
def test_stretches_between_breaks_stand_alone(rows):
    X = plant(60)
    X.iloc[rows] = np.nan
    features = TemporalFeatures().fit(X)
    Z = features.transform(X)
    breaks = X.isna().all(axis=1).to_numpy()
    assert np.isnan(Z[breaks]).all()
    assert np.isfinite(Z[~breaks]).all()
    stretch = np.cumsum(breaks)
    for number in np.unique(stretch[~breaks]):
        part = ~breaks & (stretch == number)
        np.testing.assert_array_equal(Z[part], features.transform(X[part]))


def test_large_offsets_keep_their_deviations():
    X = np.random.default_rng(0).normal(size=(500, 1))
    features = TemporalFeatures(lags=(), rates=())
    names = features.fit(X).get_feature_names_out().tolist()
    column = names.index("x0_std_30")
    plain = features.transform(X)[:, column]
    shifted = features.transform(X + 1e9)[:, column]
    np.testing.assert_allclose(shifted, plain, rtol=1e-5)
    constant = features.transform(np.full((50, 1), 0.1))
    assert (constant[:, column] == 0).all()


def test_calendar_needs_times():
    X = plant(20)
    features = TemporalFeatures().fit(X)
    with pytest.raises(ValueError, match=r"DatetimeIndex.*ndarray.*calendar=False"):
        features.transform(X.to_numpy())
    with pytest.raises(ValueError, match="RangeIndex"):
        features.transform(X.reset_index(drop=True))
    with pytest.raises(ValueError, match="DatetimeIndex"):
        TemporalFeatures(calendar=True).fit(X.to_numpy())
    pipeline = make_pipeline(StandardScaler(), TemporalFeatures(calendar=True))
    with pytest.raises(ValueError, match=r"set_output\(transform='pandas'\)"):
        pipeline.fit(X)
    assert "hour" in pipeline.set_output(transform="pandas").fit_transform(X).columns
    times = X.index.to_series().mask([False] * 5 + [True] + [False] * 14)
    with pytest.raises(ValueError, match=r"NaT.* row 5"):
        features.transform(X.set_axis(pd.DatetimeIndex(times)))
    without = TemporalFeatures().fit(X.reset_index(drop=True))
    assert "hour" not in without.get_feature_names_out()
    assert without.transform(X).shape == (20, 4 + 109)


def test_calendar_in_local_time():
    X = plant(4).tz_localize("UTC").tz_convert("Asia/Kolkata")
    Z = TemporalFeatures().set_output(transform="pandas").fit_transform(X)
    assert Z["hour"].tolist() == X.index.hour.tolist() == [4, 4, 5, 5]
    assert Z.index.equals(X.index)


@pytest.mark.parametrize(
    ("zone", "known"),
    [
        (None, None),
        ("UTC", "UTC"),
        ("Asia/Kolkata", "Asia/Kolkata"),
        (timezone(timedelta(hours=-3)), "UTC-03:00"),
        # Its name is that of another zone, in which clocks change.
        (timezone(timedelta(hours=1), "CET"), None),
    ],
)
def test_times_of_another_zone_are_those_of_training(zone, known):
    X = plant(48).set_axis(pd.date_range("2024-07-01", periods=48, freq="h", tz=zone))
    is_nameless = zone is not None and known is None
    with pytest.warns(UserWarning, match="no name") if is_nameless else nullcontext():
        features = TemporalFeatures().fit(X)
    assert features.time_zone_ == known
    expected = features.transform(X)
    if known is not None:
        X = X.tz_convert("America/New_York")
    assert np.array_equal(features.transform(X), expected)
    assert TemporalFeatures(calendar=False).fit(X).time_zone_ is None


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"windows": (1, 5)}, r"windows must contain integers of at least 2, got \[1"),
        ({"windows": (5, 5)}, "windows must contain distinct integers"),
        ({"lags": (0,)}, "lags must contain integers of at least 1"),
        ({"lags": (1.5,)}, "lags must contain integers"),
        ({"rates": (True,)}, "rates must contain integers"),
        ({"eps": 0.0}, "'eps' parameter"),
        ({"lags": {1, 2}}, "lags"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        TemporalFeatures(**parameters).fit(np.zeros((5, 2)))


def test_a_channel_named_like_a_feature():
    X = plant(20, sensors=["hour", "flow"])
    with pytest.raises(ValueError, match="'hour'"):
        TemporalFeatures().fit(X)
    assert TemporalFeatures(calendar=False).fit(X).n_features_in_ == 2


def test_parameters_changed_after_fit():
    features = TemporalFeatures(windows=np.array([2, 3])).fit(np.zeros((5, 2)))
    assert features.transform(np.zeros((5, 2))).shape[0] == 5
    with pytest.raises(ValueError, match="lags"):
        features.set_params(lags=(1,)).transform(np.zeros((5, 2)))


def test_in_pipelines(series):
    forest = make_pipeline(TemporalFeatures(), IsolationForest(random_state=0))
    assert forest.fit(series).score_samples(series).shape == (len(series),)
    detector = make_pipeline(
        TemporalFeatures(windows=(5,), lags=(), rates=()),
        StandardScaler(),
        LSTMAutoencoderDetector(
            window_size=3, units=(4,), latent_dim=None, epochs=1, random_state=0
        ),
    ).fit(series)
    broken = series.copy()
    broken[100] = np.nan
    scores = detector.score_samples(broken)
    assert np.flatnonzero(np.isnan(scores)).tolist() == [100]
