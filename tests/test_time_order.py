# SPDX-License-Identifier: MIT
"""Rows that are not in time order raise a warning wherever an index is seen."""

import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tsanomaly import (
    AutoregressiveDetector,
    EnsembleDetector,
    FleetDetector,
    HybridDetector,
    ReconstructionError,
    ReconstructionThreshold,
    ScoreTransformer,
    StreamingDetector,
    TemporalFeatures,
    WindowNeighborsDetector,
    WindowTransformer,
    compare_detectors,
    distributed,
    explain,
    plotting,
)
from tsanomaly._time_order import warn_if_unordered
from tsanomaly.datasets import insert_breaks

N_ROWS = 60

AUTOREGRESSION = AutoregressiveDetector(lags=1, window_size=4)
ESTIMATORS = [
    AUTOREGRESSION,
    WindowNeighborsDetector(window_size=4),
    EnsembleDetector([("forecast", AUTOREGRESSION), ("again", AUTOREGRESSION)]),
    HybridDetector(AUTOREGRESSION, WindowNeighborsDetector(window_size=4)),
    ReconstructionThreshold(),
    ReconstructionError(PCA(1)),
    WindowTransformer(3),
    TemporalFeatures(windows=(3,), lags=(1,)),
    ScoreTransformer(AUTOREGRESSION),
    make_pipeline(WindowTransformer(3), IsolationForest(n_estimators=5)),
    make_pipeline(
        StandardScaler().set_output(transform="pandas"), clone(AUTOREGRESSION)
    ),
]
METHODS = ["score_samples", "decision_function", "predict", "transform"]
DISPLAYS = [
    plotting.AnomalyDisplay,
    plotting.ContributionDisplay,
    plotting.ReconstructionDisplay,
]


def make_frame(index=None):
    values = np.abs(np.random.default_rng(0).normal(size=(N_ROWS, 2)))
    if index is None:
        index = pd.date_range("2024-01-01", periods=N_ROWS, freq="min")
    return pd.DataFrame(values, index, ["flow", "heat"])


FRAME = make_frame()
BACK = FRAME.iloc[[*range(16), 17, 16, *range(18, N_ROWS)]]


def warnings_of(function, *args, **kwargs):
    """What a call warns of, about the order of rows."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")  # once for each text and line, as for users
        function(*args, **kwargs)
    return [each for each in caught if "time order" in str(each.message)]


def check(function, *args, n=1, **kwargs):
    """One warning, which says which row, and points here."""
    found = warnings_of(function, *args, **kwargs)
    assert len(found) == n, [str(each.message) for each in found]
    for each in found:
        text = str(each.message)
        assert "row 17 (2024-01-01 00:16:00) is earlier" in text
        assert "X.sort_index(" in text
        assert each.category is UserWarning
        assert each.filename == __file__


def names_of(cases):
    return [
        type(case[-1] if hasattr(case, "steps") else case).__name__ for case in cases
    ]


@pytest.mark.parametrize("estimator", ESTIMATORS, ids=names_of(ESTIMATORS))
def test_estimators(estimator):
    estimator = clone(estimator)
    check(estimator.fit, BACK)
    assert not warnings_of(estimator.fit, FRAME)
    for method in METHODS:
        if hasattr(estimator, method):
            check(getattr(estimator, method), BACK)
            assert not warnings_of(getattr(estimator, method), FRAME)


@pytest.mark.parametrize("method", ["fit_predict", "screen", "reconstruct", "fit"])
def test_other_methods(method):
    hybrid = HybridDetector(AUTOREGRESSION, clone(AUTOREGRESSION)).fit(FRAME)
    fitted = hybrid if method == "screen" else clone(AUTOREGRESSION).fit(FRAME)
    check(getattr(fitted, method), BACK)


def test_every_call_warns_where_warnings_are_errors():
    detector = clone(AUTOREGRESSION).fit(FRAME)
    for _ in range(2):
        with pytest.warns(UserWarning, match="time order"):
            detector.predict(BACK)


@pytest.mark.parametrize("method", ["update_many", "warm_up"])
def test_streams(method):
    stream = StreamingDetector(clone(AUTOREGRESSION).fit(FRAME))
    check(getattr(stream, method), BACK)
    assert not warnings_of(getattr(stream, method), FRAME)
    assert not warnings_of(stream.update_many, FRAME[:1])  # of an earlier time


def test_explain_and_compare():
    detector = make_pipeline(StandardScaler(), clone(AUTOREGRESSION)).fit(FRAME)
    check(explain, detector, BACK)
    labels = np.arange(N_ROWS) % 2
    compared = {"forecast": AUTOREGRESSION}
    check(compare_detectors, compared, FRAME, BACK, labels, metrics=["f1"])
    check(compare_detectors, compared, BACK, FRAME, labels, metrics=["f1"])


@pytest.mark.parametrize("display", DISPLAYS, ids=lambda display: display.__name__)
def test_displays(display):
    errors = ReconstructionError(PCA(1)).fit(FRAME)
    detector = make_pipeline(errors, ReconstructionThreshold()).fit(FRAME)
    check(display.from_estimator, detector, BACK)
    plt.close("all")


def test_order_does_not_matter_to_correlations():
    check(plotting.SeriesDisplay.from_series, BACK)
    assert not warnings_of(plotting.CorrelationDisplay.from_series, BACK)
    plt.close("all")


def test_fleets_go_by_machine():
    both = pd.concat([FRAME, FRAME])
    both["machine"] = np.repeat(["a", "b"], N_ROWS)
    fleet = FleetDetector(AUTOREGRESSION, by="machine", min_rows=10)
    assert not warnings_of(fleet.fit, both)
    assert not warnings_of(fleet.predict, both.sort_index(kind="stable"))
    back = pd.concat([BACK.assign(machine="b"), FRAME.assign(machine="a")])
    check(fleet.predict, back)
    check(fleet.fit, back)


def test_partitions():
    dd = pytest.importorskip("dask.dataframe")
    detector = clone(AUTOREGRESSION).fit(FRAME)
    partitioned = dd.from_pandas(BACK, npartitions=2, sort=False)
    scores = distributed.score_samples(detector, partitioned)
    # Where the graph runs, and not where it was made.
    assert warnings_of(scores.compute, scheduler="sync")
    check(distributed.fit, clone(AUTOREGRESSION), partitioned)


@pytest.mark.parametrize(
    "index",
    [
        FRAME.index,
        FRAME.index.repeat(2)[:N_ROWS],  # equal stamps side by side
        FRAME.index.tz_localize("Europe/Berlin"),
        FRAME.index.to_period("min"),
        FRAME.index - FRAME.index[0],
        pd.RangeIndex(N_ROWS)[::-1],
        np.random.default_rng(0).permutation(N_ROWS),
        np.linspace(1, 0, N_ROWS),
        [f"row {i}" for i in range(N_ROWS)],
        pd.MultiIndex.from_product([["a"], FRAME.index]),
        pd.MultiIndex.from_product([["b", "a"], range(N_ROWS // 2)]),
    ],
    ids=lambda index: type(index).__name__,
)
def test_no_warning(index):
    assert not warnings_of(clone(AUTOREGRESSION).fit, make_frame(index))


@pytest.mark.parametrize(
    "index",
    [
        FRAME.index,
        FRAME.index.tz_localize("Europe/Berlin"),
        FRAME.index.to_period("min"),
        FRAME.index - FRAME.index[0],
        pd.MultiIndex.from_product([["a"], FRAME.index]),
    ],
    ids=lambda index: type(index).__name__,
)
def test_kinds_of_times(index):
    (found,) = warnings_of(clone(AUTOREGRESSION).fit, make_frame(index)[::-1])
    assert f"row 1 ({index[-2] if index.nlevels == 1 else index[-2][1]})" in str(
        found.message
    )
    assert "so are 58 more rows" in str(found.message)


@pytest.mark.parametrize(
    ("index", "text"),
    [
        (FRAME.index[:20].append([FRAME.index[:20]] * 2), "starts over 2 times"),
        (
            pd.MultiIndex.from_product([["a", "b"], FRAME.index[:30]]),
            "starts over once, first at row 30",
        ),
        (
            pd.MultiIndex.from_product([FRAME.index[:30], ["a", "b"]]),
            "row 1 (2024-01-01 00:00:00) has the time of the row before it, of another",
        ),
    ],
    ids=["stacked", "levels", "in turn"],
)
def test_several_machines(index, text):
    (found,) = warnings_of(clone(AUTOREGRESSION).fit, make_frame(index))
    assert text in str(found.message)
    assert "FleetDetector" in str(found.message)
    assert "insert_breaks" in str(found.message)


def test_time_may_go_back_at_breaks():
    both = pd.concat([FRAME, FRAME, FRAME - 1])
    both["machine"] = np.repeat([1, 2, 3], N_ROWS)
    assert warnings_of(clone(AUTOREGRESSION).fit, both)
    joined = insert_breaks(both, by="machine")
    assert not warnings_of(clone(AUTOREGRESSION).fit, joined)
    untimed = joined.set_axis(joined.index.where(joined["flow"].notna()))
    assert untimed.index.hasnans
    assert not warnings_of(clone(AUTOREGRESSION).fit, untimed)


@given(
    minutes=st.lists(st.integers(0, 5), min_size=1, max_size=12),
    data=st.data(),
)
def test_as_with_loops(minutes, data):
    breaks = data.draw(st.lists(st.booleans(), min_size=len(minutes)))[: len(minutes)]
    frame = pd.DataFrame(
        {"x": np.where(breaks, np.nan, 1.0)},
        pd.Timestamp("2024-01-01") + pd.to_timedelta(minutes, unit="min"),
    )
    expected = any(
        minutes[row] < minutes[row - 1] and not breaks[row] and not breaks[row - 1]
        for row in range(1, len(minutes))
    )
    assert bool(warnings_of(warn_if_unordered, frame)) == expected
