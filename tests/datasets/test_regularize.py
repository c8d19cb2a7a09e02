# SPDX-License-Identifier: MIT
import warnings
from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.helpers import SHARED_DATA, needs_shared_data
from tsanomaly.datasets import read_sensor_csv, regularize

NAN = np.nan
START = pd.Timestamp("2024-01-01")


def at(seconds, values, name="a", **options):
    index = START + pd.to_timedelta(seconds, unit="s")
    return pd.DataFrame({name: values}, index=pd.DatetimeIndex(index, **options))


@pytest.mark.parametrize("method", ["previous", "linear"])
@pytest.mark.parametrize("tz", [None, "Europe/Berlin", "UTC"])
@pytest.mark.parametrize("unit", ["ns", "us", "s"])
def test_a_regular_frame_comes_back(rng, method, tz, unit):
    # Seventeen seconds past, over a change to summer time.
    index = pd.date_range(
        "2024-03-31 00:00:17", periods=99, freq="5min", tz=tz, unit=unit
    )
    index = index.rename("time")._with_freq(None)
    frame = pd.DataFrame(rng.normal(size=(99, 2)), index, ["气化一期", "b"])
    pd.testing.assert_frame_equal(regularize(frame, method=method), frame)


def test_the_previous_reading():
    frame = at([0, 1, 2.5, 4, 9, 10], [0.0, 1, 2, 4, 9, 10])
    regular = regularize(frame, "1s", max_gap="2s")
    expected = [0, 1, 1, 2, 4, 4, 4, NAN, NAN, 9, 10]
    np.testing.assert_array_equal(regular["a"], expected)
    assert regular.index.equals(pd.date_range(START, periods=11, freq="1s"))
    np.testing.assert_array_equal(
        regularize(frame, "1s", max_gap="0s")["a"],
        [0, 1, NAN, NAN, 4, NAN, NAN, NAN, NAN, 9, 10],
    )


def test_the_line_between_readings():
    frame = at([0, 1, 2.5, 4, 9, 10], [0.0, 1, 2, 4, 9, 10])
    np.testing.assert_allclose(
        regularize(frame, "1s", "2s", method="linear")["a"],
        [0, 1, 5 / 3, 8 / 3, 4, NAN, NAN, NAN, NAN, 9, 10],
    )


def test_the_default_gap_is_five_steps():
    frame = at([0, 1, 2, 3, 20], [0.0, 1, 2, 3, 20])
    expected = [0, 1, 2, *[3] * 6, *[NAN] * 11, 20]
    np.testing.assert_array_equal(regularize(frame)["a"], expected)
    # A grid finer than the readings has no breaks between them.
    assert regularize(at([0, 60, 120], [0, 1, 2]), "1s").notna().all(axis=None)


def test_readings_of_one_time_are_averaged():
    frame = at([0, 1, 1, 1, 2], [0.1, 1.0, NAN, 4.0, 2.0])
    frame["b"] = [1.0, NAN, NAN, NAN, 3.0]
    regular = regularize(frame, "1s", "0s")
    np.testing.assert_array_equal(regular["a"], [0.1, 2.5, 2.0])
    np.testing.assert_array_equal(regular["b"], [1.0, NAN, 3.0])


def test_order_and_input_do_not_matter():
    frame = at([2, 0, 1], [2, 0, 1])
    before = frame.copy()
    regular = regularize(frame)
    assert regular["a"].tolist() == [0, 1, 2]
    assert regular["a"].dtype == np.float64
    pd.testing.assert_frame_equal(frame, before)
    regular.iloc[0] = 7
    pd.testing.assert_frame_equal(frame, before)


def test_channels_are_treated_one_by_one():
    frame = at([0, 1, 2, 3], [0.0, NAN, NAN, 3.0])
    frame["b"] = [NAN, 1.0, 2.0, NAN]
    regular = regularize(frame, "1s", "1s")
    np.testing.assert_array_equal(regular["a"], [0, 0, NAN, 3])
    np.testing.assert_array_equal(regular["b"], [NAN, 1, 2, 2])
    frame["c"] = NAN
    assert regularize(frame)["c"].isna().all()


def test_the_step_of_times_with_jitter_is_the_median():
    # The shortest of steps that all are there once is far from the others.
    index = regularize(at([0, 0.001, 1.002, 2.002, 3.003], range(5))).index
    assert index[1] - index[0] == pd.Timedelta("1s")
    frame = at([0, 1, 2, 30, 60, 90], range(6))
    assert len(regularize(frame)) == 4


def test_the_step_is_the_most_frequent_one():
    frame = at([0, 1, 2, 2, 2, 4, 6, 7], range(8))
    assert regularize(frame).index.equals(pd.date_range(START, periods=8, freq="1s"))
    assert len(regularize(at([5], [1]))) == 1
    assert regularize(at([5, 5], [1, 2]))["a"].tolist() == [1.5]


@pytest.mark.parametrize(
    "freq",
    [
        *("1s", "s", "1000ms", "00:00:01", "1 s", pd.offsets.Second(1)),
        *(timedelta(seconds=1), pd.Timedelta("1s"), np.timedelta64(1, "s")),
    ],
)
def test_lengths_of_time(freq):
    frame = at([0, 2, 4], [0, 1, 2])
    assert len(regularize(frame, freq, max_gap=freq)) == 5


@pytest.mark.parametrize("parameter", ["freq", "max_gap"])
@pytest.mark.parametrize(
    "length",
    [
        *(
            "MS",
            "2M",
            "1B",
            "5T",
            "x",
            "",
            "5",
            " 60 ",
            "1.5",
            "9999999D",
            5,
            1.5,
            True,
            "-1s",
            pd.NaT,
            "NaT",
        ),
        *(pd.offsets.MonthEnd(1), pd.offsets.BusinessDay(1), object(), np.int64(3)),
    ],
)
def test_no_length_of_time(parameter, length):
    frame = at([0, 2, 4], [0, 1, 2])
    with pytest.raises(ValueError, match=f"{parameter}="):
        regularize(frame, **{parameter: length})


def test_a_day_is_24_hours():
    frame = at([0, 86400, 2 * 86400], [0, 1, 2])
    assert len(regularize(frame, "1D")) == 3
    assert len(regularize(frame, pd.offsets.Day(2))) == 2


@pytest.mark.parametrize("freq", ["1d", "d", "1 d", "0d 24h"])
def test_small_letters(freq):
    frame = at([0, 86400, 14 * 86400], [0, 1, 2])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(regularize(frame, freq, max_gap="1w")) == 15


def test_a_number_without_unit_has_a_cure():
    with pytest.raises(ValueError, match=r"freq='5' .*5s"):
        regularize(at([0, 1], [0, 1]), "5")


FRAME = at([0, 1], [0, 1])
FAR = pd.DatetimeIndex(np.array(["0001-01-01", "2024-01-01"], dtype="M8[s]"))


@pytest.mark.parametrize(
    ("frame", "parameters", "error", "named"),
    [
        (FRAME["a"], {}, TypeError, "DataFrame"),
        (FRAME.reset_index(drop=True), {}, TypeError, "RangeIndex.*set_index"),
        (FRAME.iloc[:0], {}, ValueError, "empty"),
        (FRAME[[]], {}, ValueError, "empty"),
        (FRAME, {"method": "cubic"}, ValueError, "method='cubic'"),
        (FRAME, {"freq": "0s"}, ValueError, "freq='0s'"),
        (
            FRAME.set_axis(pd.DatetimeIndex([START, pd.NaT])),
            {},
            ValueError,
            "1 missing times.*row 1",
        ),
        (FRAME.assign(b=["x", "y"]), {}, ValueError, "'b'"),
        (FRAME.assign(b=FRAME.index), {}, ValueError, "'b'"),
        (FRAME, {"freq": "1ns"}, ValueError, "1,000,000,001 rows.*freq"),
        # Rows alone are not too many, but their channels are.
        (
            pd.DataFrame(np.zeros((2, 600)), FRAME.index),
            {"freq": "1us"},
            ValueError,
            "1,000,001 rows of 600 channels",
        ),
        (FRAME.set_axis(FAR), {}, ValueError, "0001-01-01"),
    ],
)
def test_what_is_refused(frame, parameters, error, named):
    with pytest.raises(error, match=named):
        regularize(frame, **parameters)


def test_other_types_of_columns():
    frame = at([0, 1], [True, False]).assign(b=pd.array([1, None], dtype="Int64"))
    regular = regularize(frame, max_gap="0s")
    assert (regular.dtypes == np.float64).all()
    np.testing.assert_array_equal(regular, [[1, 1], [0, NAN]])
    doubled = frame.set_axis(["a", "a"], axis=1)
    np.testing.assert_array_equal(regularize(doubled, max_gap="0s"), regular)


def test_times_further_apart_than_signed_nanoseconds_reach():
    index = pd.DatetimeIndex(["1700-01-01", "2200-01-01"]).as_unit("ns")
    frame = pd.DataFrame({"a": [1.0, 2.0]}, index=index)
    assert len(regularize(frame)) == 2  # five steps are longer than 64 bits
    regular = regularize(frame, "100D", "200D")
    assert regular["a"].notna().sum() == 3
    assert regular.index[0] == index[0]


@given(
    steps=st.lists(st.integers(0, 50), min_size=1, max_size=20),
    freq=st.integers(1, 20),
    max_gap=st.integers(0, 60),
    method=st.sampled_from(["previous", "linear"]),
    data=st.data(),
)
def test_against_a_slow_loop(steps, freq, max_gap, method, data):
    seconds = np.cumsum(steps)
    readings = data.draw(
        st.lists(
            st.none() | st.integers(-5, 5), min_size=len(steps), max_size=len(steps)
        )
    )
    values = np.array([NAN if value is None else value for value in readings])
    frame = at(seconds, values)
    regular = regularize(frame, f"{freq}s", f"{max_gap}s", method=method)
    grid = range(seconds[0], seconds[-1] + 1, freq)
    expected = [slow(seconds, values, time, max_gap, method) for time in grid]
    np.testing.assert_allclose(regular["a"], expected, atol=1e-12)


def slow(seconds, values, time, max_gap, method):
    """The value of one grid row."""
    readings = {}
    for second, value in zip(seconds, values, strict=True):
        if not np.isnan(value):
            readings.setdefault(int(second), []).append(value)
    before = [second for second in readings if second <= time]
    after = [second for second in readings if second >= time]
    if not before:
        return NAN
    left = max(before)
    if method == "previous":
        return np.mean(readings[left]) if time - left <= max_gap else NAN
    if not after:
        return NAN
    right = min(after)
    if right - left > max_gap:
        return NAN
    share = (time - left) / max(right - left, 1)
    return np.mean(readings[left]) * (1 - share) + np.mean(readings[right]) * share


@needs_shared_data
def test_skab_has_one_break():
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*regularize")
        frame = read_sensor_csv(SHARED_DATA / "skab" / "valve1" / "2.csv")
    regular = regularize(frame)
    breaks = regular.isna().all(axis=1)
    assert (regular.isna().any(axis=1) == breaks).all()
    assert (np.diff(breaks.astype(int)) == 1).sum() == 1
    pd.testing.assert_frame_equal(regular.loc[frame.index], frame)
