# SPDX-License-Identifier: MIT
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.exceptions import NotFittedError

from tests import reference
from tsanomaly import WindowTransformer, sliding_windows


@given(
    arrays(
        st.sampled_from([np.float32, np.float64]),
        st.tuples(st.integers(1, 20), st.integers(1, 3)),
        elements=st.floats(-1e6, 1e6, width=32),
    ),
    st.integers(1, 25),
)
def test_matches_the_loop(X, window_size):
    windows = WindowTransformer(window_size).fit_transform(X)
    np.testing.assert_array_equal(windows, reference.flat_windows(X, window_size))
    assert windows.dtype == X.dtype
    assert len(windows) == len(X)


def test_no_window_is_copied(rng):
    X = rng.normal(size=(1000, 4)).astype(np.float32)
    windows = WindowTransformer(50).fit_transform(X)
    assert not windows.flags.writeable
    assert windows.strides == (X.strides[0], X.itemsize)
    assert np.shares_memory(windows[0], windows[1])
    base = windows
    while base.base is not None:
        base = base.base
    assert base.nbytes == X.nbytes + 49 * X.strides[0]


def test_whole_windows_are_those_of_sliding_windows(rng):
    X = rng.normal(size=(30, 3))
    windows = WindowTransformer(7).fit_transform(X)
    np.testing.assert_array_equal(windows[6:].reshape(-1, 7, 3), sliding_windows(X, 7))


def test_names_and_pandas_output():
    X = pd.DataFrame(
        {"pressure": [1.0, 2.0], "flow": [3.0, 4.0]},
        index=pd.date_range("2024-01-01", periods=2, freq="min"),
    )
    transformer = WindowTransformer(3).set_output(transform="pandas")
    windows = transformer.fit_transform(X)
    assert windows.columns.tolist() == [
        "pressure_t-2",
        "flow_t-2",
        "pressure_t-1",
        "flow_t-1",
        "pressure_t-0",
        "flow_t-0",
    ]
    assert windows.index.equals(X.index)
    np.testing.assert_array_equal(windows["flow_t-1"], [3.0, 3.0])
    names = WindowTransformer(10).fit(X).get_feature_names_out()
    assert (names[0], names[-2]) == ("pressure_t-9", "pressure_t-0")


def test_nan_passes_through():
    X = np.array([[1.0, 5.0], [np.nan, 6.0], [3.0, 7.0]])
    windows = WindowTransformer(2).fit_transform(X)
    expected = [[1, 5, 1, 5], [1, 5, np.nan, 6], [np.nan, 6, 3, 7]]
    np.testing.assert_array_equal(windows, expected)


@given(st.lists(st.integers(0, 29), max_size=20))
def test_no_window_holds_a_break(rows):
    X = np.arange(60.0).reshape(30, 2)
    X[rows] = np.nan
    transformer = WindowTransformer(4).fit(X)
    windows = transformer.transform(X)
    breaks = np.isnan(X[:, 0])
    assert np.isnan(windows[breaks]).all()
    assert np.isnan(transformer.transform(np.full((2, 2), np.nan))).all()
    stretch = np.cumsum(breaks)
    for number in np.unique(stretch[~breaks]):
        part = ~breaks & (stretch == number)
        np.testing.assert_array_equal(windows[part], transformer.transform(X[part]))


def test_fortran_order_gives_the_same(rng):
    X = rng.normal(size=(20, 3))
    np.testing.assert_array_equal(
        WindowTransformer(4).fit_transform(np.asfortranarray(X)),
        WindowTransformer(4).fit_transform(X),
    )


def test_bad_input_names_the_column_and_leaves_nothing():
    frame = pd.DataFrame({"flow": [1.0, 2.0], "pressure": [np.inf, 4.0]})
    transformer = WindowTransformer(2)
    with pytest.raises(ValueError, match=r"infinity.*'pressure'.* row 0"):
        transformer.fit(frame)
    with pytest.raises(NotFittedError):
        transformer.transform(frame)
    with pytest.raises(ValueError, match="'pressure'"):
        transformer.fit(frame.assign(pressure="on"))


def test_other_channels_are_refused(rng):
    X = pd.DataFrame(rng.normal(size=(5, 2)), columns=["a", "b"])
    transformer = WindowTransformer(2).fit(X)
    with pytest.raises(ValueError, match="same order"):
        transformer.transform(X[["b", "a"]])
    with pytest.raises(ValueError, match="3 features"):
        transformer.transform(np.zeros((5, 3)))
