# SPDX-License-Identifier: MIT
"""Sensor health: faults are found in the right place, with few false findings."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_matrix

import tsanomaly
from tsanomaly import sensor_health
from tsanomaly.datasets import inject_anomalies, load_sample_plant, make_sensor_data

COLUMNS = ["channel", "finding", "start", "end", "n_rows", "message"]
CODES = {
    "missing",
    "outlier",
    "flatline",
    "stuck_at_zero",
    "railed_low",
    "railed_high",
    "step_change",
    "noise_change",
    "unpredictable",
    "gap",
    "sampling_rate",
    "clock",
}
N = 4000


def plant(seed=0, n_rows=N):
    return make_sensor_data(n_rows, contamination=0, random_state=seed).frame


def changed(frame, channel, rows, change):
    frame = frame.copy()
    readings = frame.iloc[:, channel].to_numpy(copy=True)
    readings[rows] = change(readings[rows])
    frame.isetitem(channel, readings)
    return frame


def kinds(findings):
    return list(zip(findings["channel"], findings["finding"], strict=True))


def noise_of(readings):
    return np.std(readings[1:-1] - (readings[:-2] + readings[2:]) / 2)


def fault(name, frame, rng):
    """A frame with a fault in the second sensor, the code, first and last row of it."""
    readings = frame["sensor_2"].to_numpy()
    scale, noise = readings.std(), noise_of(readings)
    start, n_rows = 2000, len(frame)

    def put(length, change):
        stop = n_rows if length is None else start + length
        return changed(frame, 1, slice(start, stop), change), start, stop - 1

    match name:
        case "missing":
            return name, *put(40, lambda part: np.nan * part)
        case "outlier":
            return name, *put(1, lambda part: part + 1e6)
        case "flatline":
            return name, *put(60, lambda part: np.full_like(part, part[0]))
        case "stuck_at_zero":
            return name, *put(60, lambda part: 0 * part)
        case "railed_high":
            top = readings.max() + scale
            return name, *put(60, lambda part: np.full_like(part, top))
        case "railed_low":
            low = readings.min() - scale
            return name, *put(60, lambda part: np.full_like(part, low))
        case "step_change":
            return name, *put(None, lambda part: part - 4 * scale)
        case "noise_change":
            return name, *put(
                None, lambda part: part + rng.normal(0, 6 * noise, len(part))
            )
        case "unpredictable":
            random = rng.normal(readings.mean(), scale, n_rows)
            return name, changed(frame, 1, slice(None), lambda _: random), 0, n_rows - 1


FAULTS = sorted(CODES - {"gap", "sampling_rate", "clock"})


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_where_it_is(name, seed):
    code, frame, start, end = fault(name, plant(seed), np.random.default_rng(seed))
    findings = sensor_health(frame)
    assert kinds(findings) == [("sensor_2", code)]
    finding = findings.iloc[0]
    near = 96 if name == "noise_change" else 16 if name == "step_change" else 1
    rows = frame.index.get_indexer([finding["start"], finding["end"]])
    assert abs(rows[0] - start) <= near
    assert abs(rows[1] - end) <= near
    assert abs(finding["n_rows"] - (end - start + 1)) <= near
    assert "sensor_2" in finding["message"]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_beside_a_reference(name, seed):
    frame = plant(seed, 2 * N)
    before, now = frame[:N], frame[N:]
    assert sensor_health(now, before).empty
    code, now, start, _ = fault(name, now, np.random.default_rng(seed))
    findings = sensor_health(now, before)
    assert ("sensor_2", code) in kinds(findings)
    assert set(findings["channel"]) == {"sensor_2"}
    first = findings["start"][findings["finding"] == code].iloc[0]
    assert abs(now.index.get_loc(first) - start) <= 96


@pytest.mark.parametrize("n_rows", [300, 1500, 6000])
@pytest.mark.parametrize("seed", range(5))
def test_healthy_sensors(seed, n_rows):
    assert sensor_health(plant(seed, n_rows)).empty


def test_the_sample_plant():
    sample = load_sample_plant()
    train, test = sample.frame[sample.train_mask], sample.frame[~sample.train_mask]
    assert sensor_health(train).empty
    stuck = sample.events[sample.events["kind"] == "stuck"]
    flat = sensor_health(test, train).query("finding == 'flatline'")
    assert flat["channel"].tolist() == stuck["channel"].tolist()
    for found, event in zip(flat.itertuples(), stuck.itertuples(), strict=True):
        assert event.start - pd.Timedelta("1min") <= found.start <= event.start
        assert found.end == event.end


@pytest.mark.parametrize("seed", range(3))
def test_injected_stuck_sensors(seed):
    frame, _, events = inject_anomalies(
        plant(seed), kinds="stuck", n_events=4, random_state=seed
    )
    findings = sensor_health(frame)
    assert (findings["finding"] == "flatline").all()
    assert sorted(findings["end"]) == events["end"].tolist()


@pytest.mark.parametrize("wild", [1e6, 99_999, -9999, -999])
def test_a_single_wild_reading(wild):
    frame = 2 * plant()[["sensor_2"]] - 160
    frame.iloc[700] = wild
    finding = sensor_health(frame).iloc[0]
    assert (finding["finding"], finding["start"]) == ("outlier", frame.index[700])
    others = frame["sensor_2"].drop(frame.index[700])
    usual = f"{others.min():.6g} to {others.max():.6g}"
    assert f"reads {wild:.0f}, far from all other readings, {usual}." in finding.message
    assert "replace it by NaN" in finding.message


def test_several_wild_readings():
    """In succession, of both signs, beside far smaller ones, and as good readings."""
    frame = plant()
    readings = frame["sensor_2"].to_numpy(copy=True)
    readings[[50, 2000, 2001, 3500]] = 1e9, -9999, -9998, 99_999
    frame["sensor_2"] = readings
    findings = sensor_health(frame)
    assert kinds(findings) == [("sensor_2", "outlier")] * 3
    assert findings["n_rows"].tolist() == [1, 2, 1]
    assert "reads -9999 to -9998 in 2 rows" in findings["message"].iloc[1]
    assert sensor_health(frame, frame).empty


def test_a_long_run_of_wild_readings_is_one_finding():
    frame = plant(n_rows=6000)
    frame.iloc[2000:2012, 1] = -9999
    assert kinds(sensor_health(frame)) == [("sensor_2", "railed_low")]


def test_a_wild_reading_between_held_ones():
    frame = plant()
    top = frame["sensor_2"].quantile(0.95)
    frame["sensor_2"] = frame["sensor_2"].clip(upper=top)
    frame.iloc[[2000, 2500], 1] = -1e6
    frame.iloc[3000:3012, 1] = frame.iloc[3000, 1]
    findings = sensor_health(frame)
    found = findings[findings["finding"] == "outlier"]
    assert found["start"].tolist() == frame.index[[2000, 2500]].tolist()
    assert "railed_high" in set(findings["finding"])


def test_wild_readings_in_one_percent_of_the_rows(rng):
    frame = plant()[["sensor_2"]]
    rows = np.sort(rng.permutation(N)[: N // 100])
    frame.iloc[rows] = 1e6 + 1000 * np.arange(len(rows))[:, None]
    finding = sensor_health(frame).iloc[0]
    assert (finding["finding"], finding["n_rows"]) == ("outlier", len(rows))
    assert [finding["start"], finding["end"]] == frame.index[rows[[0, -1]]].tolist()
    assert "reads 1000000 to 1039000 in 40 rows" in finding["message"]


@pytest.mark.parametrize("n_rows", [3, 15])
def test_a_wild_reading_in_a_short_frame_with_a_reference(n_rows):
    frame = plant()[["sensor_2"]]
    before, now = frame[:2000], frame[2000 : 2000 + n_rows].copy()
    assert sensor_health(now, before).empty
    now.iloc[1] = 1e6
    findings = sensor_health(now, before)
    assert kinds(findings) == [("sensor_2", "outlier")]
    assert findings["start"].item() == now.index[1]
    assert sensor_health(now[:0], before).query("finding == 'outlier'").empty


@pytest.mark.parametrize(
    ("wild", "dtype", "text"),
    [
        ([99_999.9], "float32", "reads 99999.9, far"),
        ([99_999.8984375], "float64", "reads 99999.8984375, far"),
        ([2**31], "float32", "reads 2147483648, far"),
        ([1e308], "float64", "reads 1e+100 or more, far"),
        ([-1e308], "float64", "reads -1e+100 or less, far"),
        ([-9999, 9999], "float64", "reads -9999 and 9999 in 2 rows, far"),
    ],
)
def test_how_wild_readings_are_written(wild, dtype, text):
    frame = plant()[["sensor_2"]]
    frame.iloc[700 : 700 + len(wild), 0] = wild
    assert text in sensor_health(frame.astype(dtype))["message"].iloc[0]


def test_wild_readings_at_both_ends_are_named_if_merged():
    frame = plant()[["sensor_2"]]
    frame.iloc[100:700:200] = -9999
    frame.iloc[800:1400:200] = 9999
    findings = sensor_health(frame)
    assert kinds(findings) == [("sensor_2", "outlier")]
    assert findings["n_rows"].item() == 6
    assert "reads -9999 and 9999 in 6 rows" in findings["message"].item()


def test_what_is_usual_is_written_with_the_digits_that_differ():
    frame = pd.DataFrame({"id": 1e9 + np.arange(1000) % 4, "state": 50.0})
    frame.iloc[300] = -9999
    of_id, of_state = sensor_health(frame)["message"]
    assert "all other readings, 1000000000 to 1000000003." in of_id
    assert "all other readings, 50." in of_state


def test_readings_that_are_far_but_usual(rng):
    """Heavy tails, rare states, codes, counters that are reset, rare bursts."""
    some = rng.permutation(N)[:6]
    rare = np.zeros((4, N))
    rare[:, some] = np.array([[1], [1], [9], [90]])
    frame = pd.DataFrame(
        {
            "traffic": rng.lognormal(10, 2, N),
            "valve": rare[0],
            "mode": 1 + rare[1] * 63,
            "errors": rng.poisson(0.01, N) + rare[2],
            "counter": np.arange(N) % 3990,
            "burst": rare[3] * rng.random(N),
        }
    )
    assert "outlier" not in set(sensor_health(frame)["finding"])


@pytest.mark.parametrize("usual", [[50.0], [0.0, 1.0]])
def test_a_wild_reading_of_a_state(usual):
    frame = pd.DataFrame({"valve": np.resize(usual, 1000)})
    frame.loc[300, "valve"] = -9999
    findings = sensor_health(frame)
    assert kinds(findings) == [("valve", "outlier")]
    assert findings["start"].item() == 300


@pytest.mark.parametrize("quantile", [0.05, 0.95])
def test_a_sensor_that_is_cut_off_in_its_noise(quantile, rng):
    """Also where no run of equal readings is long."""
    frame = pd.DataFrame({"a": np.tile([0.0, 1.0], N // 2)})
    frame["a"] += 0.1 * rng.normal(size=N)
    limit = frame["a"].quantile(quantile)
    is_low = quantile < 0.5
    frame["a"] = frame["a"].clip(*((limit, None) if is_low else (None, limit)))
    findings = sensor_health(frame)
    assert findings["finding"].tolist() == ["railed_low" if is_low else "railed_high"]
    assert findings["n_rows"].item() == pytest.approx(N * 0.05, abs=2)


def test_states_are_no_faults(rng):
    """Off, on, set points, counters, coarse readings of a slow cycle."""
    row = np.arange(6000)
    on = (row // 400) % 2
    cycle = np.sin(row / 900)
    frame = pd.DataFrame(
        {
            "valve": on,
            "constant": 3.0,
            "flow": on * (50 + np.convolve(rng.normal(size=6000), np.ones(5), "same")),
            "set_point": np.repeat(rng.integers(0, 60, 100), 60),
            "hours": np.cumsum(on * rng.random(6000)),
            "coarse": np.round(20 + 5 * cycle + 0.02 * rng.normal(size=6000), 1),
        }
    )
    assert sensor_health(frame).empty


def test_a_channel_that_used_to_move_and_is_constant():
    frame = plant()
    now = frame[2000:].copy()
    now["sensor_1"] = frame["sensor_1"].iloc[1999]
    assert kinds(sensor_health(now[:200], frame[:2000])) == [("sensor_1", "flatline")]
    assert sensor_health(now[["sensor_1"]]).empty  # nothing says that it moved


def test_a_reference_makes_its_habits_usual(rng):
    frame = pd.DataFrame({"a": np.cumsum(rng.normal(size=(2, 3000)), axis=1)[0]})
    frame.loc[500:600, "a"] = frame.loc[500, "a"]
    frame.loc[2000:2080, "a"] = frame.loc[2000, "a"]
    assert len(sensor_health(frame)) == 2
    assert sensor_health(frame[1000:], frame[:1000]).empty


def test_a_step_between_the_reference_and_the_frame():
    frame = plant(0, 6000)
    spread = frame["sensor_1"].max() - frame["sensor_1"].min()
    now = frame[3000:].copy()
    now["sensor_1"] += 3 * spread
    findings = sensor_health(now, frame[:3000])
    assert kinds(findings) == [("sensor_1", "step_change")]
    assert findings["start"].item() == now.index[0]


def test_what_all_channels_show_is_the_machine(rng):
    load = np.where(np.arange(N) < 2500, 1.0, 5.0)
    noise = np.cumsum(rng.normal(size=(N, 4)), axis=0) * 0.01
    frame = pd.DataFrame(load[:, None] * [1, 2, 3, 4] + noise)
    assert "step_change" not in set(sensor_health(frame)["finding"])
    frame[0] = noise[:, 0]
    frame.loc[2500:, 0] += 4
    frame[[1, 2, 3]] = noise[:, 1:]
    assert kinds(sensor_health(frame)) == [(0, "step_change")]


def test_an_excursion_is_no_step():
    frame = plant()
    scale = frame["sensor_2"].std()
    for length in (30, 300):
        bad = changed(frame, 1, slice(2000, 2000 + length), lambda x: x + 4 * scale)
        assert "step_change" not in set(sensor_health(bad)["finding"])


@pytest.mark.parametrize("share", [0.05, 0.5])
def test_readings_that_are_missing_here_and_there(share, rng):
    frame = plant()
    frame["sensor_3"] = frame["sensor_3"].mask(rng.random(N) < share)
    findings = sensor_health(frame)
    assert kinds(findings) == ([("sensor_3", "missing")] if share > 0.2 else [])
    findings = sensor_health(frame, plant())
    assert kinds(findings) == ([("sensor_3", "missing")] if share > 0.1 else [])
    assert sensor_health(frame, frame).empty


def test_a_slower_sensor_is_not_missing():
    frame = plant()
    frame["sensor_1"] = frame["sensor_1"].where(np.arange(N) % 10 == 0)
    assert "missing" not in set(sensor_health(frame)["finding"])
    frame.iloc[1000:1300, 0] = np.nan
    findings = sensor_health(frame).query("finding == 'missing'")
    assert kinds(findings) == [("sensor_1", "missing")]
    assert 290 <= findings["n_rows"].item() <= 310


def test_a_channel_without_a_reading():
    frame = plant(n_rows=300)
    frame["sensor_1"] = np.nan
    findings = sensor_health(frame)
    assert kinds(findings) == [("sensor_1", "missing")]
    assert findings["n_rows"].item() == 300
    assert kinds(sensor_health(frame, plant())) == [("sensor_1", "missing")]


def test_infinity_is_a_missing_reading():
    frame = changed(plant(n_rows=300), 0, slice(100, 120), lambda x: np.inf * x)
    assert kinds(sensor_health(frame)) == [("sensor_1", "missing")]


def test_breaks():
    """Single ones are no finding; many in succession are a gap of all channels."""
    frame = plant()
    frame.iloc[::100] = np.nan
    assert sensor_health(frame).empty
    frame.iloc[2000:2050] = np.nan
    findings = sensor_health(frame)
    assert kinds(findings) == [(None, "gap")]
    assert findings["n_rows"].item() == 50
    one = plant()[["sensor_1"]]
    one.iloc[2000:2050] = np.nan
    assert kinds(sensor_health(one)) == [("sensor_1", "missing")]


def test_no_step_from_one_series_to_another(rng):
    first, second = rng.normal(size=(2, 3000, 1)).cumsum(axis=1) * 0.02
    second += 50
    joined = np.concatenate([first, [[np.nan]], second])
    assert "step_change" not in set(sensor_health(joined)["finding"])
    joined = np.concatenate([first, second])
    assert "step_change" in set(sensor_health(joined)["finding"])


def test_a_gap_in_time():
    frame = plant()
    frame = pd.concat([frame[:1500], frame[1505:2000], frame[2040:]])
    findings = sensor_health(frame)
    assert kinds(findings) == [(None, "gap")]
    assert findings.loc[0, "start"] == plant().index[1999]
    assert findings.loc[0, "end"] == plant().index[2040]
    assert "41 min" in findings.loc[0, "message"]
    # A break says that it is known.
    frame.iloc[1995] = np.nan
    assert sensor_health(frame).empty


@pytest.mark.parametrize("start", [1000, 3000])
def test_another_sampling_rate(start):
    frame = plant()
    slow = pd.concat([frame[:start], frame[start::2]])
    findings = sensor_health(slow)
    assert kinds(findings) == [(None, "sampling_rate")]
    first = slow.index.get_loc(findings.loc[0, "start"])
    assert abs(first - start) <= 32
    assert findings.loc[0, "end"] == slow.index[-1]
    findings = sensor_health(frame[2000::2], frame[:2000])
    assert kinds(findings) == [(None, "sampling_rate")]
    assert "2 min" in findings.loc[0, "message"]


def test_irregular_times_are_no_other_rate(rng):
    times = pd.to_datetime("2024") + pd.to_timedelta(
        np.cumsum(rng.exponential(60, N)), unit="s"
    )
    assert sensor_health(plant().set_axis(times)).empty


def test_clocks():
    frame = plant(n_rows=600)
    times = frame.index.to_list()
    late = [*times[:300], *[time - pd.Timedelta("1h") for time in times[300:]]]
    findings = sensor_health(frame.set_axis(pd.DatetimeIndex(late)))
    assert kinds(findings) == [(None, "clock")]
    assert findings.loc[0, "start"] == late[300]
    assert "summer time" in findings.loc[0, "message"]
    twice = pd.DatetimeIndex([*times[:300], times[299], *times[301:]])
    findings = sensor_health(frame.set_axis(twice))
    assert kinds(findings) == [(None, "clock")]
    assert "1 time stamp" in findings.loc[0, "message"]
    missing = pd.DatetimeIndex([pd.NaT, *times[1:]])
    findings = sensor_health(frame.set_axis(missing))
    assert kinds(findings) == [(None, "clock")]
    assert "Row 0" in findings.loc[0, "message"]
    # Where another series begins, time may begin again.
    frame.iloc[300] = np.nan
    assert sensor_health(frame.set_axis(pd.DatetimeIndex(times[:300] * 2))).empty


def test_an_unpredictable_sensor_that_always_was(rng):
    frame = plant(0, 2 * N)
    frame["vibration"] = rng.gamma(2, 0.3, 2 * N)
    assert kinds(sensor_health(frame)) == [("vibration", "unpredictable")]
    assert sensor_health(frame[N:], frame[:N]).empty


@pytest.mark.parametrize("share", [0.2, 0.25, 0.5, 0.75])
def test_a_silent_sensor_is_not_unpredictable_as_well(share):
    frame = plant(0, 2 * N)
    frame.iloc[int(2 * N * share) :, 0] = np.nan
    assert kinds(sensor_health(frame)) == [("sensor_1", "missing")]


def test_many_findings_of_a_kind_are_one():
    frame = plant()
    for start in range(100, 3100, 500):
        frame.iloc[start : start + 20, 0] = np.nan
    findings = sensor_health(frame)
    assert kinds(findings) == [("sensor_1", "missing")]
    assert findings["n_rows"].item() == 120
    assert findings["start"].item() == frame.index[100]
    assert findings["end"].item() == frame.index[2619]
    assert "5 times more" in findings["message"].item()


def test_what_it_returns():
    frame = plant()
    frame.iloc[200:240, 2] = np.nan
    frame.iloc[2000:2040, 0] = 0.0
    before = frame.copy()
    findings = sensor_health(frame)
    pd.testing.assert_frame_equal(frame, before)
    assert findings.columns.tolist() == COLUMNS
    assert findings["channel"].tolist() == ["sensor_1", "sensor_3"]
    assert findings["start"].dtype == frame.index.dtype
    rows = sensor_health(frame.to_numpy())
    assert rows["channel"].tolist() == [0, 2]
    assert rows["start"].tolist() == [2000, 200]
    assert rows["end"].tolist() == [2039, 239]
    assert "channel 0" in rows["message"].iloc[0]
    empty = sensor_health(plant())
    assert empty.columns.tolist() == COLUMNS
    assert (empty.dtypes == findings.dtypes).all()


@pytest.mark.parametrize(
    "index",
    [
        [f"row {number}" for number in range(N)],
        pd.MultiIndex.from_product([["pump"], range(N)]),
        pd.period_range("2024", periods=N, freq="min"),
        pd.date_range("2024", periods=N, freq="min", tz="Europe/Berlin"),
        pd.timedelta_range("0s", periods=N, freq="min"),
    ],
)
def test_any_index(index):
    frame = plant().set_axis(index)
    frame.iloc[200:240, 2] = np.nan
    findings = sensor_health(frame)
    assert findings["start"].tolist() == [frame.index[200]]
    assert findings["end"].tolist() == [frame.index[239]]


def test_types_of_columns(rng):
    n_rows = 1000
    walk = np.cumsum(rng.normal(size=n_rows))
    frame = pd.DataFrame(
        {
            "integer": np.round(10 * walk).astype(int),
            "bool": walk > 0,
            "single": walk.astype(np.float32),
            "nullable": pd.array([1, None] * 500, dtype="Int64"),
            "object": np.array([1.5, None] * 500, dtype=object),
            ("a", "tuple"): walk,
        }
    )
    assert sensor_health(frame).empty
    frame.isetitem(0, np.where(np.arange(n_rows) // 50 == 7, 5, frame["integer"]))
    assert kinds(sensor_health(frame)) == [("integer", "flatline")]


def test_the_order_of_the_columns_of_the_reference_does_not_matter():
    frame = plant()
    before, now = frame[:2000], frame[2000:].copy()
    now.iloc[500:600, 3] = 0.0
    pd.testing.assert_frame_equal(
        sensor_health(now, before), sensor_health(now, before.iloc[:, ::-1])
    )


@pytest.mark.parametrize(
    ("given", "kind", "text"),
    [
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), ValueError, "more than once"),
        (pd.DataFrame({"a": ["on", 1]}), ValueError, "is not numeric"),
        (pd.DataFrame({"a": [1j]}), ValueError, "complex"),
        (pd.DataFrame({"a": pd.date_range("2024", periods=2)}), ValueError, "'a'"),
        (pd.Series([1.0]), ValueError, "two dimensions"),
        (np.ones(3), ValueError, "two dimensions"),
        (np.array([["a"]]), ValueError, "real numbers"),
        (np.array([[1j]]), ValueError, "real numbers"),
        ([pd.DataFrame({"a": [1.0]})] * 2, ValueError, "2 series"),
        (csr_matrix(np.eye(3)), TypeError, "sparse"),
        (None, ValueError, "two dimensions"),
    ],
)
def test_what_is_refused(given, kind, text):
    with pytest.raises(kind, match=text):
        sensor_health(given)


def test_references_that_are_refused():
    frame = plant(n_rows=100)
    with pytest.raises(ValueError, match=r"lacks \['sensor_1'\]"):
        sensor_health(frame, frame.iloc[:, 1:])
    with pytest.raises(ValueError, match=r"has \['other'\] besides"):
        sensor_health(frame, frame.assign(other=1))
    with pytest.raises(TypeError, match="both be frames"):
        sensor_health(frame, frame.to_numpy())
    with pytest.raises(ValueError, match="3 channels"):
        sensor_health(frame.to_numpy(), frame.to_numpy()[:, :3])


@pytest.mark.parametrize("scale", [1e-320, 1e-30, 1e90, 1.7e308])
def test_the_unit_does_not_matter(scale):
    frame = plant()
    frame.iloc[2000:2100, 1] = frame.iloc[2000, 1]
    frame -= frame.min()
    expected = kinds(sensor_health(frame))
    assert ("sensor_2", "flatline") in expected
    if 1e-300 < scale < 1e100:  # else too few digits are left, or it is no reading
        assert kinds(sensor_health(frame / frame.max() * scale)) == expected
    else:
        sensor_health(frame / frame.max() * scale)


READINGS = st.sampled_from([0.0, 1.0, -1.5, np.nan, np.inf, -np.inf, 1e308, -1e-320])


@st.composite
def frames(draw):
    """Anything from an empty frame to some hundred rows of odd readings."""
    n_channels = draw(st.integers(0, 3))
    n_rows = draw(st.sampled_from([0, 1, 2, 3, 30, 700, 1300]))
    rng = np.random.default_rng(draw(st.integers(0, 5)))
    X = rng.normal(size=(n_rows, n_channels))
    kind = draw(st.sampled_from(["noise", "walk", "coarse"]))
    X = {"noise": X, "walk": X.cumsum(axis=0), "coarse": X.round(1)}[kind]
    for _ in range(draw(st.integers(0, 5))):
        start, stop = sorted(draw(st.tuples(*[st.integers(0, n_rows)] * 2)))
        channel = draw(st.integers(-1, n_channels - 1))
        X[start:stop, slice(None) if channel < 0 else channel] = draw(READINGS)
    frame = pd.DataFrame(X, columns=[f"c{number}" for number in range(n_channels)])
    if draw(st.booleans()):
        steps = rng.choice([-3600, 0, 1, 60, 60, 60, 60, 86400], size=n_rows)
        frame.index = pd.to_datetime("2024") + pd.to_timedelta(steps.cumsum(), unit="s")
    return frame


@given(frames(), st.booleans(), st.data())
def test_any_frame_gives_a_table(frame, has_reference, data):
    reference = None
    if has_reference:
        cut = data.draw(st.integers(0, len(frame)))
        reference, frame = frame[:cut], frame[cut:]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        findings = sensor_health(frame, reference)
    assert findings.columns.tolist() == COLUMNS
    assert set(findings["finding"]) <= CODES
    assert findings["channel"].isin([None, *frame.columns]).all()
    assert findings["start"].isin(frame.index).all()
    assert findings["end"].isin(frame.index).all()
    assert findings["n_rows"].between(1, max(1, len(frame))).all()
    assert findings["message"].str.fullmatch(".+[.]").all()


def test_every_code_is_documented():
    for code in CODES:
        assert f"'{code}'" in tsanomaly.sensor_health.__doc__


def test_a_coarse_sensor_that_is_cut_off_beside_a_reference(rng):
    """Its values are not new, and no run is long, but there are too many."""
    readings = np.round(np.tile([0.0, 1.0], N) + 0.1 * rng.normal(size=2 * N), 3)
    before, now = readings[:N, None], readings[N:, None]
    assert sensor_health(now, before).empty
    limit = np.quantile(now, 0.9)
    findings = sensor_health(np.minimum(now, limit), before)
    assert kinds(findings) == [(0, "railed_high")]


def test_a_step_beside_a_channel_that_starts_later():
    frame = plant()
    frame.iloc[:2000, 0] = np.nan
    frame.iloc[1000:, 1] += 4 * frame["sensor_2"].std()
    assert kinds(sensor_health(frame)) == [
        ("sensor_1", "missing"),
        ("sensor_2", "step_change"),
    ]


def test_a_step_during_a_dropout():
    frame = plant()
    frame.iloc[1500:, 1] += 4 * frame["sensor_2"].std()
    frame.iloc[1500:1800, 1] = np.nan
    findings = sensor_health(frame)
    assert kinds(findings) == [("sensor_2", "missing"), ("sensor_2", "step_change")]
    assert findings["start"].iloc[1] == frame.index[1800]
