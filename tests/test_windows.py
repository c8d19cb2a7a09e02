# SPDX-License-Identifier: MIT
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tests import reference
from tsanomaly import merge_windows, sliding_windows
from tsanomaly._windows import TrailingWindows

READINGS = st.floats(-1e6, 1e6, width=32)


@st.composite
def series(draw, max_rows=30):
    shape = draw(st.tuples(st.integers(1, max_rows), st.integers(1, 3)))
    return draw(arrays(np.float64, shape, elements=READINGS))


@given(series(), st.data())
def test_windows_and_merge_round_trip(X, data):
    window_size = data.draw(st.integers(1, len(X)))
    stride = data.draw(st.integers(1, window_size))
    windows = sliding_windows(X, window_size, stride)
    merged = merge_windows(windows, len(X), stride)
    covered = (len(windows) - 1) * stride + window_size
    np.testing.assert_allclose(merged[:covered], X[:covered], rtol=1e-12)
    assert np.isnan(merged[covered:]).all()
    assert len(X) - covered < stride


@given(series(), st.integers(1, 8), st.integers(1, 8))
def test_sliding_windows_are_views_at_the_right_rows(X, window_size, stride):
    if window_size > len(X):
        return
    windows = sliding_windows(X, window_size, stride)
    assert windows.shape[0] == (len(X) - window_size) // stride + 1
    assert np.shares_memory(windows, X)
    assert not windows.flags.writeable
    for i, window in enumerate(windows):
        np.testing.assert_array_equal(window, X[i * stride : i * stride + window_size])


@given(st.integers(1, 6), st.integers(1, 8), st.integers(1, 5), st.integers(0, 7))
def test_merge_matches_the_loop(n_windows, stride, window_size, extra):
    n_timestamps = (n_windows - 1) * stride + window_size + extra
    values = np.random.default_rng(n_windows).normal(size=(n_windows, window_size))
    np.testing.assert_allclose(
        merge_windows(values, n_timestamps, stride),
        reference.merged(values, n_timestamps, stride),
    )


@given(series(), st.integers(1, 6), st.data())
def test_trailing_windows_match_the_loop(X, window_size, data):
    breaks = data.draw(arrays(bool, len(X)))
    windows = TrailingWindows(X, window_size, breaks)
    assert windows.rows.tolist() == np.flatnonzero(~breaks).tolist()
    taken = windows.take(windows.rows)
    for window, row in zip(taken, windows.rows, strict=True):
        expected = reference.trailing_window(X, row, window_size, breaks)
        np.testing.assert_array_equal(window, expected)


def test_whole_windows_need_no_padding():
    breaks = np.array([0, 0, 0, 1, 0, 0, 0, 0], dtype=bool)
    windows = TrailingWindows(np.zeros((8, 1)), 3, breaks)
    assert np.flatnonzero(windows.whole).tolist() == [2, 6, 7]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros(5), 2), "two dimensions"),
        ((np.zeros((5, 1)), 6), r"window_size=6 .*n_timestamps=5"),
        ((np.zeros((5, 1)), 0), "window_size must be an integer of at least 1, got 0"),
        ((np.zeros((5, 1)), 2, 0), "stride must be"),
        ((np.zeros((5, 1)), 2.0), "window_size must be"),
        ((np.zeros((5, 1)), True), "window_size must be"),
    ],
)
def test_sliding_windows_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        sliding_windows(*arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((np.zeros(5), 5), "values must have shape"),
        ((np.zeros((3, 2)), 3), "3 windows of 2 rows at stride=1 cover 4 rows"),
        ((np.zeros((3, 2)), 0), "n_timestamps must be"),
    ],
)
def test_merge_windows_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        merge_windows(*arguments)


def test_merge_of_no_windows_is_all_nan():
    assert np.isnan(merge_windows(np.empty((0, 4)), 3)).all()
