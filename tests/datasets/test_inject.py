# SPDX-License-Identifier: MIT
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsanomaly._windows import runs
from tsanomaly.datasets import inject_anomalies, load_nab, make_sensor_data
from tsanomaly.datasets._inject import KINDS

POINTS = {"spike", "drop"}


@pytest.fixture(scope="module")
def plant():
    """A normal series of four sensors, in which a cycle takes 48 rows."""
    return make_sensor_data(
        5000, contamination=0, trend=0.0, random_state=1
    ).frame.to_numpy()


@pytest.fixture
def injected(plant):
    """Before and after of one event, with the channel's name and scale."""

    def inject(kind, magnitude=4.0, seed=0):
        X, y, events = inject_anomalies(
            plant,
            kinds=kind,
            n_events=1,
            magnitude=magnitude,
            duration=96,
            random_state=seed,
        )
        (event,) = events.itertuples(index=False)
        assert event.kind == kind
        rows = slice(event.start, event.end + 1)
        assert y[rows].all()
        assert y.sum() == event.end - event.start + 1 == (1 if kind in POINTS else 96)
        channel = event.channel
        return plant[rows, channel], X[rows, channel], plant[:, channel].std(), event

    return inject


@pytest.mark.parametrize(("kind", "sign"), [("spike", 1), ("drop", -1)])
def test_points(injected, kind, sign):
    before, after, scale, event = injected(kind)
    np.testing.assert_allclose(after, before + sign * 4 * scale)
    assert event.magnitude == 4.0


def test_level_shift(injected):
    signs = set()
    for seed in range(6):
        before, after, scale, _ = injected("level_shift", seed=seed)
        np.testing.assert_allclose(np.abs(after - before), 4 * scale)
        signs.add(np.sign(after[0] - before[0]))
    assert signs == {-1, 1}


def test_drift(injected):
    before, after, scale, _ = injected("drift")
    change = np.abs(after - before) / scale
    np.testing.assert_allclose(change, 4 * np.arange(1, 97) / 96)


def test_contextual(injected, plant):
    """Every reading occurs in the channel, but not here."""
    before, after, scale, event = injected("contextual")
    assert np.isin(after, plant[:, event.channel]).all()
    assert np.abs(after - before).mean() > scale
    assert event.magnitude == pytest.approx(np.abs(after - before).mean() / scale)


def test_amplitude_change(injected):
    before, after, _, _ = injected("amplitude_change")
    assert after.std() == pytest.approx(5 * before.std())
    assert after.mean() == pytest.approx(before.mean(), abs=0.1 * before.std())


def test_frequency_change():
    """A cycle of 48 rows takes 12 at four times the speed."""
    wave = np.sin(2 * np.pi * np.arange(5000) / 48)[:, None]
    X, _, events = inject_anomalies(
        wave,
        kinds="frequency_change",
        n_events=10,
        magnitude=3,
        duration=96,
        random_state=0,
    )
    for event in events.itertuples():
        after = X[event.start : event.end + 1, 0]
        assert np.isin(after, wave).all()
        spectrum = np.abs(np.fft.rfft(after))
        assert spectrum.argmax() == 96 // 12


def test_noise_burst(injected):
    before, after, scale, _ = injected("noise_burst")
    added = (after - before) / scale
    assert added.std() == pytest.approx(4, rel=0.25)
    assert abs(added.mean()) < 1.5


def test_stuck(injected, plant):
    _, after, _, event = injected("stuck")
    assert (after == plant[event.start - 1, event.channel]).all()


def test_dropout(injected):
    _, after, _, event = injected("dropout")
    assert np.isnan(after).all()
    assert np.isnan(event.magnitude)


def test_correlation_break(injected, plant):
    """Invisible in the channel, plain to see beside the others."""
    for seed in range(5):
        _, after, _, event = injected("correlation_break", seed=seed)
        channel = plant[:, event.channel]
        assert np.isin(after, channel).all()
        # Goes on from the readings around it as the channel goes on elsewhere
        steps = np.abs(np.diff(channel))
        around = np.concatenate(
            [[channel[event.start - 1]], after, [channel[event.end + 1]]]
        )
        assert np.abs(np.diff(around)).max() < 3 * steps.max()
        others = np.delete(plant, event.channel, axis=1)
        inputs = np.column_stack([np.ones(len(others)), others])
        weights = np.linalg.lstsq(inputs, channel, rcond=None)[0]
        residual = np.abs(channel - inputs @ weights)
        rows = slice(event.start, event.end + 1)
        misfit = np.abs(after - inputs[rows] @ weights).mean()
        assert misfit > 1.8 * residual.mean()


series = st.builds(
    lambda n, d, seed, dtype: (
        np.random.default_rng(seed).normal(size=(n, d)).astype(dtype)
    ),
    st.integers(60, 600),
    st.integers(1, 4),
    st.integers(0, 99),
    st.sampled_from([np.float64, np.float32]),
)


@given(
    X=series,
    kinds=st.none() | st.lists(st.sampled_from(KINDS), min_size=1),
    contamination=st.floats(0.0, 0.3),
    n_events=st.none() | st.integers(0, 4),
    seed=st.integers(0, 99),
    gaps=st.booleans(),
)
def test_labels_and_events_agree(X, kinds, contamination, n_events, seed, gaps):
    if gaps:
        X[30:40, 0] = np.nan
    if kinds is not None and X.shape[1] == 1:
        kinds = [kind for kind in kinds if kind != "correlation_break"] or ["spike"]
    amount = {"contamination": contamination} if n_events is None else {}
    before = X.copy()
    changed, y, events = inject_anomalies(
        X,
        kinds=kinds,
        n_events=n_events,
        duration=(3, 6),
        random_state=seed,
        **amount,
    )
    np.testing.assert_array_equal(X, before)
    assert changed.dtype == X.dtype
    if n_events is None:
        assert y.sum() == round(contamination * len(X))
    else:
        assert len(events) == n_events
    # One run of labels for each event: no label outside, no two events that touch
    start, end = runs(y)
    np.testing.assert_array_equal(events["start"], start)
    np.testing.assert_array_equal(events["end"], end)
    allowed = np.zeros(X.shape, dtype=bool)
    for event in events.itertuples():
        event_rows = slice(event.start, event.end + 1)
        allowed[event_rows, event.channel] = True
        here, there = (a[event_rows, event.channel] for a in (changed, X))
        assert not np.array_equal(here, there, equal_nan=True)
    np.testing.assert_array_equal(changed[~allowed], X[~allowed])
    again = inject_anomalies(
        X,
        kinds=kinds,
        n_events=n_events,
        duration=(3, 6),
        random_state=seed,
        **amount,
    )
    np.testing.assert_array_equal(again[0], changed)
    pd.testing.assert_frame_equal(again[2], events)


@pytest.mark.parametrize("kind", KINDS)
def test_an_event_of_one_row(kind, rng):
    X = rng.normal(size=(60, 2))
    changed, y, events = inject_anomalies(
        X, kinds=kind, contamination=1 / 60, random_state=0
    )
    assert len(events) == y.sum() == 1
    assert (changed != X).sum() == 1


def test_frames_stay_frames():
    frame = load_nab().frame
    changed, y, events = inject_anomalies(frame, contamination=0.1, random_state=0)
    assert isinstance(changed, pd.DataFrame)
    pd.testing.assert_index_equal(changed.index, frame.index)
    for event in events.itertuples():
        assert event.channel == "value"
        assert y[frame.index.get_indexer([event.start, event.end])].all()
    assert "correlation_break" not in set(events["kind"])
    untouched = y == 0
    assert changed[untouched].equals(frame[untouched])


def test_kinds_share_the_rows(plant):
    _, y, events = inject_anomalies(plant, contamination=0.2, random_state=0)
    rows = (events["end"] - events["start"] + 1).groupby(events["kind"]).sum()
    assert rows.sum() == y.sum() == 1000
    assert rows.between(90, 110).all()
    assert rows.index.tolist() == sorted(set(KINDS) - {"dropout"})


def test_events_avoid_gaps(rng):
    X = rng.normal(size=(400, 2))
    X[::7, 0] = np.nan
    X[100:300, 1] = np.nan
    _, y, events = inject_anomalies(
        X, kinds="drift", contamination=0.1, duration=10, random_state=0
    )
    assert (events["channel"] == 1).all()
    assert not y[99:301].any()


def test_a_constant_channel_is_left_alone(rng):
    X = np.column_stack([np.full(500, 7.0), rng.normal(size=500)])
    _, _, events = inject_anomalies(X, kinds="stuck", random_state=0)
    assert (events["channel"] == 1).all()
    # The standard deviation of many a constant is not 0, but a rounding error.
    for constant in (7.0, 0.1):
        X, _, _ = inject_anomalies(
            np.full((5000, 1), constant), kinds="spike", magnitude=2, n_events=1
        )
        assert X.max() == pytest.approx(3 * constant)


def test_every_event_changes_what_it_says(rng):
    """Also where a sensor mostly stands still, or knows few levels."""
    levels = np.repeat(rng.choice([0.1, 0.7, 100.3], size=40), 250)
    walk = np.round(rng.normal(size=10_000).cumsum())
    X = np.column_stack([levels, walk])
    for kind in KINDS:
        changed, _, events = inject_anomalies(
            X, kinds=kind, contamination=0.05, random_state=0
        )
        for event in events.itertuples():
            rows = slice(event.start, event.end + 1)
            change = np.abs(changed[rows, event.channel] - X[rows, event.channel])
            visible = ~(change <= 1e-6 * X[:, event.channel].std())
            assert visible.mean() >= 0.5


def test_a_place_is_found_if_there_is_one(rng):
    X = np.full((50_000, 2), np.nan)
    X[-1000:] = rng.normal(size=(1000, 2))
    for seed in range(20):
        _, y, events = inject_anomalies(
            X, kinds="drift", n_events=10, duration=20, random_state=seed
        )
        assert len(events) == 10
        assert not y[:-1000].any()


def test_frames_keep_dtypes_and_attributes():
    frame = pd.DataFrame(
        {
            "count": np.arange(2**62, 2**62 + 400),
            "small": np.sin(np.arange(400)).astype(np.float32),
            "nullable": pd.array(np.cos(np.arange(400)), dtype="Float64"),
        }
    )
    frame.attrs["site"] = "north"
    before = frame.copy()
    changed, _, events = inject_anomalies(
        frame, kinds="spike", n_events=3, random_state=3
    )
    assert changed.attrs == {"site": "north"}
    for name in frame.columns:
        if name not in set(events["channel"]):
            pd.testing.assert_series_equal(changed[name], frame[name])
    assert changed["small"].dtype == np.float32
    pd.testing.assert_frame_equal(frame, before)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"kinds": "sparkle"}, r"kinds .*'spike'.* got .*'sparkle'"),
        ({"kinds": []}, "kinds"),
        ({"contamination": 0.6}, "contamination .*got 0.6"),
        ({"contamination": 0.1, "n_events": 3}, "contamination=0.1 and n_events=3"),
        ({"n_events": -1}, "n_events .*got -1"),
        ({"n_events": True}, "n_events .*got True"),
        ({"kinds": 5}, "kinds .*got 5"),
        ({"magnitude": 1e9}, "magnitude .*1e\\+06"),
        ({"n_events": 50}, r"need \d+ rows.* X has 300"),
        ({"magnitude": 0}, "magnitude .*got 0"),
        ({"magnitude": (3, 2)}, "magnitude"),
        ({"magnitude": "big"}, "magnitude .*'big'"),
        ({"duration": 1}, "duration .*got 1"),
        ({"duration": (2.5, 3)}, "duration"),
    ],
)
def test_bad_parameters(parameters, message):
    X = np.random.default_rng(0).normal(size=(300, 2))
    with pytest.raises(ValueError, match=message):
        inject_anomalies(X, **parameters)


@pytest.mark.parametrize(
    ("X", "parameters", "named"),
    [
        (np.zeros((50, 1)), {"kinds": "correlation_break"}, "'correlation_break'"),
        (
            np.zeros((50, 2)),
            {"kinds": "stuck", "n_events": 1, "duration": 5},
            "'stuck'",
        ),
        (np.zeros((2, 1)), {}, "2 rows"),
        (np.full((50, 1), np.inf), {}, "infinity"),
        (np.full((50, 1), 1e200), {}, "too large"),
        (pd.DataFrame({"state": ["on"] * 50}), {}, "'state'"),
        (pd.DataFrame({"when": pd.date_range("2024", periods=50)}), {}, "'when'"),
        (pd.DataFrame(np.zeros((50, 2)), columns=["a", "a"]), {}, "'a'"),
    ],
)
def test_bad_series(X, parameters, named):
    with pytest.raises(ValueError, match=named):
        inject_anomalies(X, **parameters)
