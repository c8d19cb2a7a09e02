# SPDX-License-Identifier: MIT
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tsanomaly.datasets import insert_breaks

NAN = np.nan


def at(seconds, tz=None, unit="ns", **columns):
    times = pd.Timestamp("2024-03-31 00:00:00") + pd.to_timedelta(seconds, unit="s")
    index = pd.DatetimeIndex(times, name="time").as_unit(unit)
    if tz is not None:
        index = index.tz_localize("UTC").tz_convert(tz)
    return pd.DataFrame(columns or {"a": np.arange(len(index)) + 1.0}, index)


@pytest.mark.parametrize("tz", [None, "UTC", "Europe/Berlin"])
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_break_where_the_clock_jumps(tz, unit):
    # Over a change to summer time, which is no jump.
    seconds = [0, 1800, 3600, 5400, 9000, 9600, 99000]
    broken = insert_breaks(at(seconds, tz, unit), "30min")
    expected = at([0, 1800, 3600, 5400, 7200, 9000, 9600, 11400, 99000], tz, unit)
    expected["a"] = [1, 2, 3, 4, NAN, 5, 6, NAN, 7]
    pd.testing.assert_frame_equal(broken, expected)


@pytest.mark.parametrize(
    "max_gap", [60, "1min", pd.Timedelta("1min"), np.timedelta64(60, "s")]
)
def test_a_gap_as_long_as_allowed_is_none(max_gap):
    frame = at([0, 60, 121])
    if isinstance(max_gap, int):
        frame.index = [0, 60, 121]
    broken, rows = insert_breaks(frame, max_gap, return_rows=True)
    np.testing.assert_array_equal(broken["a"], [1, 2, NAN, 3])
    assert rows.tolist() == [0, 1, 3]


@pytest.mark.parametrize(
    ("index", "max_gap", "time"),
    [
        (pd.Index([5, 6, 20], dtype="int64"), 2, 8),
        (pd.Index([5, 6, 20], dtype="uint8"), 2.9, 8),
        (pd.Index([5, 6, 20], dtype="Int64"), 2, 8),
        (pd.Index([-(2**63), -(2**63) + 1, 2**63 - 1]), 2**63 - 1, 0),
        (pd.Index([0.0, 0.25, 3.0]), 0.5, 0.75),
        (pd.to_timedelta([0, 1, 9], unit="s"), "2s", pd.Timedelta("3s")),
        (pd.RangeIndex(0, 3), 1, None),
        (pd.Index([1, 1, 1]), 1, None),
    ],
    ids=str,
)
def test_any_clock(index, max_gap, time):
    frame = pd.DataFrame({"a": [1.0, 2.0, 3.0]}, index.rename("t"))
    broken = insert_breaks(frame, max_gap)
    assert broken.index.name == "t"
    assert broken.index.dtype == index.dtype
    if time is None:
        pd.testing.assert_frame_equal(broken, frame)
    else:
        np.testing.assert_array_equal(broken["a"], [1, 2, NAN, 3])
        assert broken.index[2] == time


@pytest.mark.parametrize(
    "labels", [[7, 7, 3, 3], list("xxaa"), pd.Categorical(list("aabb"))]
)
def test_a_break_between_series(labels):
    frame = at([10, 20, 0, 30], machine=labels, a=[1.0, 2.0, 3.0, 4.0])
    broken, rows = insert_breaks(frame, by="machine", return_rows=True)
    assert broken.columns.tolist() == ["a"]
    np.testing.assert_array_equal(broken["a"], [1, 2, NAN, 3, 4])
    assert broken.index.equals(at([10, 20, 20, 0, 30]).index)
    assert rows.tolist() == [0, 1, 3, 4]
    both = insert_breaks(frame, "10s", by="machine")
    np.testing.assert_array_equal(both["a"], [1, 2, NAN, 3, NAN, 4])


def test_series_need_no_clock():
    frame = pd.DataFrame({"id": [1, 1, 2], "a": [1, 2, 3]}, index=list("zyx"))
    broken = insert_breaks(frame, by="id")
    np.testing.assert_array_equal(broken["a"], [1, 2, NAN, 3])
    assert broken.index.tolist() == list("zyyx")


def test_types_do_not_depend_on_whether_there_is_a_break():
    frame = at(
        [0, 1, 2],
        i=[1, 2, 3],
        b=[True, False, True],
        f=np.float32([1, 2, 3]),
        n=pd.array([1, None, 3], dtype="Float32"),
    )
    for max_gap in ("1s", "100ms"):
        broken = insert_breaks(frame, max_gap)
        assert broken.dtypes.astype(str).tolist() == [
            "float64",
            "float64",
            "float32",
            "float32",
        ]
    assert len(broken) == 5
    assert frame.dtypes.iloc[0] == np.int64  # as it was


def test_columns_keep_their_names():
    names = pd.MultiIndex.from_tuples([("a", 1), ("a", 2)], names=["kind", "number"])
    frame = pd.DataFrame(np.ones((2, 2)), [0, 9], names)
    assert insert_breaks(frame, 1).columns.equals(names)
    frame = pd.DataFrame(np.ones((2, 2)), [0, 9], ["a", "a"])
    assert insert_breaks(frame, 1).shape == (3, 2)


def test_breaks_of_the_frame_stay():
    frame = at([0, 1, 2, 9], a=[1.0, NAN, 3.0, 4.0])
    broken, rows = insert_breaks(frame, "1s", return_rows=True)
    np.testing.assert_array_equal(broken["a"], [1, NAN, 3, NAN, 4])
    pd.testing.assert_frame_equal(broken.iloc[rows], frame)


@pytest.mark.parametrize("n_rows", [0, 1])
def test_next_to_no_rows(n_rows):
    frame = at([0], a=[1.0], id=[1])[:n_rows]
    broken, rows = insert_breaks(frame, "1s", by="id", return_rows=True)
    assert broken.shape == (n_rows, 1)
    assert rows.tolist() == list(range(n_rows))


@given(
    steps=st.lists(st.integers(0, 5), max_size=30),
    changes=st.lists(st.booleans(), min_size=30, max_size=30),
    max_gap=st.integers(1, 5),
)
def test_rows_come_back_and_no_gap_is_left(steps, changes, max_gap):
    times = np.cumsum(steps)
    series = np.cumsum(changes[: len(steps)])
    frame = pd.DataFrame({"a": times + 0.5, "id": series}, times)
    broken, rows = insert_breaks(frame, max_gap, by="id", return_rows=True)
    pd.testing.assert_frame_equal(
        broken.iloc[rows], frame[["a"]], check_index_type=False
    )
    breaks = np.setdiff1d(np.arange(len(broken)), rows)
    assert broken.iloc[breaks].isna().all(axis=None)
    apart = np.diff(rows) == 2
    needed = (np.diff(times) > max_gap) | (np.diff(series) != 0)
    np.testing.assert_array_equal(apart, needed)
    assert len(broken) == len(frame) + apart.sum()


@pytest.mark.parametrize(
    ("frame", "arguments", "error", "message"),
    [
        (np.ones((2, 1)), {"max_gap": 1}, TypeError, "got ndarray.*pandas.DataFrame"),
        (at([0, 1]), {}, ValueError, "needs max_gap.* or by"),
        (at([0, 1]), {"by": "id"}, ValueError, r"by='id' .*\['a'\]"),
        (at([0, 1]), {"by": ["a"]}, ValueError, "name of a column"),
        (
            at([0, 1], id=["x", None]),
            {"by": "id"},
            ValueError,
            "1 rows, first at row 1",
        ),
        (
            at([0, 1, 2], id=[1, 2, 1]),
            {"by": "id"},
            ValueError,
            r"series 1 .*at row 2.*sort_values\('id', kind='stable'\)",
        ),
        (at([0, 2, 1]), {"max_gap": "1s"}, ValueError, "not in order.*row 2.*sort_in"),
        (
            at([0, 2, 1], id=[1, 1, 1]),
            {"by": "id"},
            ValueError,
            "not in order.*row 2.*kind='stable'",
        ),
        (at([0, NAN]), {"max_gap": "1s"}, ValueError, "1 times that are NaT.*row 1"),
        (at([0, 1], a=["x", "y"]), {"max_gap": "1s"}, ValueError, "'a' is not numeric"),
        (at([0, 1]), {"max_gap": 5}, ValueError, "max_gap=5 .*no unit"),
        (at([0, 1]), {"max_gap": "0s"}, ValueError, "shorter than the unit"),
        (at([0, 1], unit="s"), {"max_gap": "10ms"}, ValueError, "1 s.*as_unit"),
        (at([0]).reset_index(drop=True), {"max_gap": "1s"}, ValueError, "at least 1"),
        (at([0]).reset_index(drop=True), {"max_gap": 0.5}, ValueError, "at least 1"),
        (at([0]).reset_index(drop=True), {"max_gap": True}, ValueError, "at least 1"),
        (
            pd.DataFrame({"a": [1.0, 2]}, [0.5, 1]),
            {"max_gap": 0},
            ValueError,
            "number > 0",
        ),
        (pd.DataFrame({"a": [1.0, 2]}, [0.5, NAN]), {"max_gap": 1}, ValueError, "NaN"),
        (
            pd.DataFrame({"a": [1.0, 2]}, [0.5, np.inf]),
            {"max_gap": 1},
            ValueError,
            "infinite",
        ),
        (
            pd.DataFrame({"a": [1.0]}, ["x"]),
            {"max_gap": 1},
            TypeError,
            "times or numbers, got Index.*set_index",
        ),
        (
            pd.DataFrame({"a": [1.0]}, pd.MultiIndex.from_tuples([(0, 1)])),
            {"max_gap": 1},
            TypeError,
            "got MultiIndex",
        ),
    ],
)
def test_errors(frame, arguments, error, message):
    with pytest.raises(error, match=message):
        insert_breaks(frame, **arguments)
