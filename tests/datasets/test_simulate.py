# SPDX-License-Identifier: MIT
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsanomaly.datasets import (
    inject_anomalies,
    load_sample_plant,
    make_sensor_data,
)

DAY = 1440


def normal(n_samples=10_000, **parameters):
    """Readings without anomalies."""
    data = make_sensor_data(n_samples, contamination=0, random_state=0, **parameters)
    assert not data.target.any()
    assert len(data.events) == 0
    return data.frame


def test_defaults():
    plant = make_sensor_data(random_state=0)
    assert plant.frame.shape == (10_000, 4)
    assert plant.frame.columns.tolist() == [f"sensor_{i}" for i in range(1, 5)]
    assert isinstance(plant.frame.index, pd.DatetimeIndex)
    assert plant.frame.index.freqstr in ("min", "T")
    assert np.isfinite(plant.frame.to_numpy()).all()
    assert plant.target.mean() == pytest.approx(0.0425, rel=0.1)
    assert set(np.unique(plant.target)) == {0, 1}
    assert plant.events.columns.tolist() == [
        "start",
        "end",
        "kind",
        "channel",
        "magnitude",
    ]
    assert plant.events["kind"].nunique() == 10  # all but dropout
    assert "4 sensors" in plant.DESCR


@given(
    n_samples=st.integers(3, 3000),
    n_sensors=st.integers(1, 6),
    contamination=st.floats(0.0, 0.25),
    seed=st.integers(0, 99),
)
def test_share_of_anomalous_rows(n_samples, n_sensors, contamination, seed):
    plant = make_sensor_data(
        n_samples, n_sensors, contamination=contamination, random_state=seed
    )
    assert plant.frame.shape == (n_samples, n_sensors)
    assert plant.target.sum() == round(contamination * n_samples)
    covered = pd.Series(0, index=plant.frame.index)
    for event in plant.events.itertuples():
        covered[event.start : event.end] = 1
        assert event.channel in plant.frame.columns
    np.testing.assert_array_equal(covered, plant.target)


@given(seed=st.integers(0, 9999))
def test_the_same_seed_gives_the_same_data(seed):
    first, second = (make_sensor_data(500, random_state=seed) for _ in range(2))
    pd.testing.assert_frame_equal(first.frame, second.frame, check_exact=True)
    pd.testing.assert_frame_equal(first.events, second.events, check_exact=True)
    np.testing.assert_array_equal(first.target, second.target)
    other = make_sensor_data(500, random_state=seed + 1)
    assert not first.frame.equals(other.frame)


def test_return_values():
    bunch = make_sensor_data(1000, random_state=0)
    X, y = make_sensor_data(1000, random_state=0, return_X_y=True)
    pd.testing.assert_frame_equal(X, bunch.frame)
    np.testing.assert_array_equal(y, bunch.target)
    arrays = make_sensor_data(1000, random_state=0, as_frame=False)
    assert isinstance(arrays.frame, np.ndarray)
    np.testing.assert_array_equal(arrays.frame, bunch.frame)
    for event in arrays.events.itertuples():
        assert arrays.target[event.start : event.end + 1].all()
        assert event.channel in range(4)


def test_daily_cycle():
    calm = {"trend": 0.0, "noise": 0.0, "n_sensors": 1}
    with_days = normal(7 * DAY, **calm).iloc[:, 0]
    without = normal(7 * DAY, seasonality=0.0, **calm).iloc[:, 0]
    spectrum = np.abs(np.fft.rfft(with_days - without.to_numpy()))
    assert spectrum[1:].argmax() + 1 == 7  # periods in the series


def test_trend():
    rising, level = normal(trend=20.0, seasonality=0.0), normal(seasonality=0.0)
    unit = (rising - level).iloc[-1] / (20.0 - 0.5)
    assert unit.between(5, 15).all()
    falling = normal(trend=-20.0, seasonality=0.0)
    assert (falling.iloc[-1] < falling.iloc[0]).all()


def test_the_machine_runs_at_several_loads():
    load = normal(trend=0.0, seasonality=0.0, noise=0.0)["sensor_1"]
    swing = load.rolling(48).std()  # of the working cycle
    assert swing.quantile(0.05) < 0.01 * swing.quantile(0.95)
    assert (load.rolling(48).mean().max() - load.min()) > 10 * swing.median() / 5


def test_noise_and_correlation():
    alone, together = (
        normal(trend=0.0, seasonality=0.0, noise=50.0, correlation=share).diff()
        for share in (0.0, 0.9)
    )
    off_diagonal = ~np.eye(4, dtype=bool)
    assert np.abs(alone.corr().to_numpy()[off_diagonal]).max() < 0.1
    assert together.corr().to_numpy()[off_diagonal].min() > 0.8
    silent = normal(trend=0.0, seasonality=0.0, noise=50.0).iloc[:, 0]
    assert silent.autocorr(1) == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize("freq", ["1s", "15min", "1h", "1D"])
def test_frequencies(freq):
    frame = normal(400, freq=freq)
    assert (frame.index[1] - frame.index[0]) == pd.Timedelta(freq)
    assert np.isfinite(frame.to_numpy()).all()


def test_kinds_are_passed_on():
    plant = make_sensor_data(1000, kinds=["spike", "dropout"], random_state=0)
    assert set(plant.events["kind"]) == {"spike", "dropout"}
    assert plant.frame.isna().any(axis=None)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_samples": 2}, "n_samples .*got 2"),
        ({"n_samples": 1e3}, "n_samples .*got 1000.0"),
        ({"n_sensors": 0}, "n_sensors .*got 0"),
        ({"contamination": 0.6}, "contamination .*got 0.6"),
        ({"correlation": -0.1}, "correlation .*got -0.1"),
        ({"noise": np.inf}, "noise .*got inf"),
        ({"trend": np.nan}, "trend .*got nan"),
        ({"trend": -2e9}, "trend .*got -2000000000"),
        ({"noise": None}, "noise .*got None"),
        ({"kinds": "sparkle", "contamination": 0}, r"kinds.*'sparkle'"),
        ({"freq": "often"}, "often"),
    ],
)
def test_bad_parameters(parameters, message):
    with pytest.raises(ValueError, match=message):
        make_sensor_data(**parameters)


def test_sample_plant():
    plant = load_sample_plant()
    made = normal()
    tail, target, events = inject_anomalies(
        made[6000:], contamination=0.1, random_state=0
    )
    expected = pd.concat([made[:6000], tail])
    np.testing.assert_allclose(plant.frame, expected, atol=6e-4)
    assert (plant.frame.index == expected.index).all()
    assert plant.train_mask.sum() == 6000
    assert not plant.target[plant.train_mask].any()
    np.testing.assert_array_equal(plant.target[6000:], target)
    pd.testing.assert_frame_equal(
        plant.events, events, check_dtype=False, check_exact=False, atol=6e-4
    )
    assert plant.events["start"].dtype.kind == "M"
