# SPDX-License-Identifier: MIT
import gzip
import json
import tracemalloc
import warnings
from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import average_precision_score, roc_auc_score

from tests.helpers import SHARED_DATA, needs_shared_data
from tests.metrics import vus_reference
from tsanomaly.metrics import point_adjusted_f1, range_auc, vus_pr, vus_roc

METRICS = [vus_pr, vus_roc, range_auc]
VOLUMES = {"PR": vus_pr, "ROC": vus_roc}


def oracles():
    if not SHARED_DATA.is_dir():
        return []
    path = SHARED_DATA / "oracles" / "range_metrics.json.gz"
    with gzip.open(path, "rt") as file:
        return json.load(file)["cases"]


ORACLES = oracles()
# The reference fails on these.
UNDEFINED = {"all_anomalous", "all_normal", "all_normal_no_predictions"}


@st.composite
def cases(draw, *, both=False):
    """Few and many, short and long events; scores with and without ties."""
    runs = draw(st.lists(st.integers(1, 12), min_size=1 + both, max_size=10))
    first = draw(st.integers(0, 1))
    y_true = np.concatenate([[(first + i) % 2] * run for i, run in enumerate(runs)])
    n_levels = draw(st.sampled_from([1, 2, 5, 1000]))
    levels = st.integers(0, n_levels - 1)
    y_score = draw(st.lists(levels, min_size=len(y_true), max_size=len(y_true)))
    return y_true, np.array(y_score) - n_levels / 2


windows = st.one_of(st.integers(0, 3), st.integers(0, 30), st.just(300))
thresholds = st.sampled_from([2, 5, 20, 250, None])


@needs_shared_data
@pytest.mark.parametrize("case", ORACLES, ids=lambda case: case["name"])
def test_oracle(case):
    expected = case["expected"]["tsb_ad"]
    y_true, y_score, window = case["labels"], case["scores"], case["window"]
    if case["name"] in UNDEFINED:
        assert "raises" in expected["VUS_PR"]
        # Without a normal row every alarm is right.
        precise = 1.0 if all(y_true) else np.nan
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            value = vus_pr(y_true, y_score, window=window)
            assert value == pytest.approx(precise, abs=1e-12, nan_ok=True)
            assert isnan(vus_roc(y_true, y_score, window=window))
        return
    for name, volume in VOLUMES.items():
        options = {"curve": name.lower()}
        value = volume(y_true, y_score, window=window)
        assert value == pytest.approx(expected[f"VUS_{name}"], abs=1e-12)
        area = range_auc(y_true, y_score, window=window, **options)
        assert area == pytest.approx(expected[f"R_AUC_{name}"], abs=1e-12)
        if f"VUS_{name}_all_thresholds" in expected:
            value = volume(y_true, y_score, window=window, n_thresholds=None)
            slow = expected[f"VUS_{name}_all_thresholds"]
            assert value == pytest.approx(slow, abs=1e-12)
        slices = expected.get(f"R_AUC_{name}_per_window", [])
        areas = [
            range_auc(y_true, y_score, window=length, **options)
            for length in range(len(slices))
        ]
        assert areas == pytest.approx(slices, abs=1e-12)


@needs_shared_data
def test_oracle_is_complete():
    names = {case["name"] for case in ORACLES}
    assert len(names) == 42
    assert names > UNDEFINED


@given(cases(both=True), windows, thresholds)
def test_agrees_with_slow_loops(case, window, n_thresholds):
    y_true, y_score = case
    pr, roc = vus_reference.range_areas(y_true, y_score, window, n_thresholds)
    options = {"window": window, "n_thresholds": n_thresholds}
    assert range_auc(y_true, y_score, **options) == pytest.approx(pr, abs=1e-12)
    area = range_auc(y_true, y_score, curve="roc", **options)
    assert area == pytest.approx(roc, abs=1e-12)


@given(cases(both=True), st.integers(0, 12), thresholds)
def test_volumes_agree_with_slow_loops(case, window, n_thresholds):
    y_true, y_score = case
    expected = vus_reference.volumes(y_true, y_score, window, n_thresholds)
    options = {"window": window, "n_thresholds": n_thresholds}
    values = [volume(y_true, y_score, **options) for volume in VOLUMES.values()]
    assert values == pytest.approx(expected, abs=1e-12)


@given(cases(both=True), windows, thresholds)
def test_bounds(case, window, n_thresholds):
    for metric in METRICS:
        assert 0 <= metric(*case, window=window, n_thresholds=n_thresholds) <= 1


@given(cases(both=True), windows, thresholds)
def test_only_the_ranking_matters(case, window, n_thresholds):
    y_true, y_score = case
    options = {"window": window, "n_thresholds": n_thresholds}
    for metric in METRICS:
        value = metric(y_true, y_score, **options)
        # Both are exact, or at least strictly monotone, for small multiples of 1/2.
        assert metric(y_true, y_score**3 - 1e6, **options) == value
        assert metric(y_true, np.arctan(y_score), **options) == value


@given(cases(both=True), windows, thresholds)
def test_time_may_run_backwards(case, window, n_thresholds):
    y_true, y_score = case
    for metric in METRICS:
        forwards, backwards = (
            metric(y, s, window=window, n_thresholds=n_thresholds)
            for y, s in ((y_true, y_score), (y_true[::-1], y_score[::-1]))
        )
        assert forwards == pytest.approx(backwards, abs=1e-12)


@given(cases(both=True), windows)
def test_a_perfect_ranking(case, window):
    # Rows of events before rows beside them: nothing is lost if every row is a
    # threshold. Few thresholds may jump over the last row of an event.
    y_true, y_score = case
    y_score = y_score + 10_000 * y_true
    for metric in METRICS:
        value = metric(y_true, y_score, window=window, n_thresholds=None)
        assert value == pytest.approx(1, abs=1e-12)
        # With no more levels than labels, two thresholds see them all.
        assert metric(y_true, y_true, window=window) == pytest.approx(1, abs=1e-12)


@given(cases(both=True))
def test_without_a_buffer_one_event_gives_the_usual_areas(case):
    y_true, y_score = case
    one_event = np.diff(y_true, prepend=0, append=0).clip(0).sum() == 1
    if one_event:
        options = {"window": 0, "n_thresholds": None}
        area = vus_pr(y_true, y_score, **options)
        assert area == pytest.approx(average_precision_score(y_true, y_score))
        area = vus_roc(y_true, y_score, **options)
        assert area == pytest.approx(roc_auc_score(y_true, y_score))


def test_more_thresholds_than_rows_change_nothing(rng):
    y_true, y_score = np.repeat([0, 1, 0], [20, 10, 30]), rng.normal(size=60)
    for metric in METRICS:
        values = [
            metric(y_true, y_score, window=10, n_thresholds=n) for n in (60, 250, None)
        ]
        assert values == pytest.approx([values[0]] * 3, abs=1e-12)


@pytest.mark.parametrize("n_events", [2, 5])
@pytest.mark.parametrize("window", [0, 10, 50])
def test_random_scores_on_long_events(rng, n_events, window):
    y_true = np.zeros(20_000, dtype=int)
    for first in np.linspace(1000, 15_000, n_events).astype(int):
        y_true[first : first + max(10 * window, 500)] = 1
    value = vus_pr(y_true, rng.normal(size=len(y_true)), window=window)
    assert value == pytest.approx(y_true.mean(), abs=0.05)


@pytest.mark.parametrize("n_events", [1, 4, 10])
def test_random_scores_do_not_fool_it_as_they_do_point_adjustment(rng, n_events):
    window = 20
    y_true, y_score = np.zeros(40_000, dtype=int), rng.random(40_000)
    for first in np.linspace(1000, 37_000, n_events).astype(int):
        y_true[first : first + 10 * window] = 1
    share = y_true.mean()
    assert vus_pr(y_true, y_score, window=window) == pytest.approx(share, abs=0.05)
    with pytest.warns(UserWarning, match="even random flags score high"):
        adjusted = point_adjusted_f1(y_true, y_score > 0.98)
    assert adjusted > share + 0.2


def test_random_scores_on_one_row_events(rng):
    y_true = (np.arange(10_000) % 500 == 250).astype(int)
    value = vus_pr(y_true, rng.normal(size=len(y_true)))
    assert value > 20 * y_true.mean()
    within_buffers = np.convolve(y_true, np.ones(101), mode="same").mean()
    assert value < within_buffers


def test_late_alarms_earn_credit():
    y_true, y_score = np.zeros(50), np.zeros(50)
    y_true[20:23] = 1
    y_score[23:26] = 1
    values = [vus_pr(y_true, y_score, window=window) for window in (0, 4, 10)]
    assert values == sorted(values)
    assert values[0] == pytest.approx(3 / 50)
    assert values[-1] > 5 * values[0]


@pytest.mark.filterwarnings("error")
def test_equal_scores():
    # One threshold flags all rows: precision is the share of soft labels.
    y_true, y_score = np.repeat([0, 1, 0], [20, 5, 25]), np.full(50, 7.0)
    shares = [vus_reference.soft_labels(y_true, length).mean() for length in range(9)]
    value = vus_pr(y_true, y_score, window=8)
    assert value == pytest.approx(np.mean(shares), abs=1e-12)
    # The ROC curve leads through one point, at recall 1.
    normal = y_true == 0
    fprs = [
        (1 - soft[normal]).sum() / (normal.sum() - soft[normal].sum() / 2)
        for soft in (vus_reference.soft_labels(y_true, length) for length in range(9))
    ]
    value = vus_roc(y_true, y_score, window=8)
    assert value == pytest.approx(1 - np.mean(fprs) / 2, abs=1e-12)
    assert value > 0.5
    assert range_auc(y_true, y_score, window=0, curve="roc") == pytest.approx(0.5)


def test_random_scores_do_not_get_a_roc_area_of_a_half(rng):
    def mean_area(y_true, window):
        return np.mean(
            [vus_roc(y_true, rng.random(len(y_true)), window=window) for _ in range(5)]
        )

    # Recall is the share of rows times that of events: its square, for events of a row.
    many = (np.arange(20_000) % 100 == 50).astype(int)
    assert mean_area(many, 0) == pytest.approx(1 / 3, abs=0.03)
    one = np.repeat([0, 1, 0], [10_000, 500, 9500])
    assert mean_area(one, 0) == pytest.approx(1 / 2, abs=0.03)
    assert mean_area(one, 1000) > 0.6


@pytest.mark.parametrize("window", [0, 4, 100])
@pytest.mark.parametrize("n_rows", [1, 10])
def test_no_anomaly(rng, window, n_rows):
    y_true, y_score = np.zeros(n_rows), rng.normal(size=n_rows)
    for metric in METRICS:
        with pytest.warns(UndefinedMetricWarning, match="no anomalous row") as record:
            assert isnan(metric(y_true, y_score, window=window))
        assert record[0].filename == __file__


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("window", [0, 4, 100])
@pytest.mark.parametrize("n_rows", [1, 10])
def test_nothing_but_anomalies(rng, window, n_rows):
    y_true, y_score = np.ones(n_rows), rng.normal(size=n_rows)
    assert vus_pr(y_true, y_score, window=window) == pytest.approx(1, abs=1e-12)
    assert range_auc(y_true, y_score, window=window) == pytest.approx(1, abs=1e-12)
    with pytest.warns(UndefinedMetricWarning, match="no normal row"):
        assert isnan(vus_roc(y_true, y_score, window=window))
    with pytest.warns(UndefinedMetricWarning, match="no normal row"):
        assert isnan(range_auc(y_true, y_score, window=window, curve="roc"))


@pytest.mark.parametrize("metric", METRICS)
def test_inputs_may_be_of_any_type(metric):
    y_true, y_score = [0, 0, 1, 1, 0, 0, 0, 1], [1, 2, 5, 2, 3, 0, 1, 4]
    value = metric(y_true, y_score, window=4)
    assert type(value) is float
    assert 0 < value < 1
    for labels in (np.array(y_true, dtype=bool), np.array(y_true, dtype=np.uint8)):
        for scores in (np.array(y_score, np.float32), np.array(y_score, np.uint8)):
            assert metric(labels, scores, window=np.int64(4)) == value


@pytest.mark.parametrize("metric", METRICS)
def test_inputs_are_left_alone(metric, rng):
    y_true, y_score = np.repeat([0, 1, 0], [20, 5, 25]), rng.normal(size=50)
    labels, scores = y_true.copy(), y_score.copy()
    metric(y_true, y_score, window=10)
    np.testing.assert_array_equal(y_true, labels)
    np.testing.assert_array_equal(y_score, scores)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("y_true", "y_score", "named"),
    [
        ([0, 1, 0], [1.0, 2.0], r"3 .*y_score has 2"),
        ([0, 1, 0], [1.0, np.nan, 2.0], "NaN.* row 1"),
        ([-1, 1, 1], [1.0, 2.0, 3.0], "== -1"),
        ([], [], "^y_true"),
    ],
)
def test_wrong_inputs(metric, y_true, y_score, named):
    with pytest.raises(ValueError, match=named):
        metric(y_true, y_score)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("window", [-1, 2.0, True, "auto", None])
def test_wrong_window(metric, window):
    with pytest.raises(ValueError, match=r"window.*integer"):
        metric([0, 1, 0], [1.0, 2.0, 3.0], window=window)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("n_thresholds", [0, 1, 2.0, True, "all"])
def test_wrong_n_thresholds(metric, n_thresholds):
    with pytest.raises(ValueError, match=r"n_thresholds.*integer"):
        metric([0, 1, 0], [1.0, 2.0, 3.0], n_thresholds=n_thresholds)


@pytest.mark.parametrize("curve", ["PR", None, 1, ["pr"]])
def test_wrong_curve(curve):
    with pytest.raises(ValueError, match=r"curve.*'pr'"):
        range_auc([0, 1, 0], [1.0, 2.0, 3.0], curve=curve)


@pytest.mark.parametrize("gap", [2, 1000])
@pytest.mark.parametrize("n_thresholds", [250, None])
def test_memory_does_not_grow_with_the_window(rng, gap, n_thresholds):
    y_true = (np.arange(20_000) % gap == 0).astype(int)
    y_score = rng.normal(size=len(y_true))
    peaks = []
    for window in (20, 200):
        tracemalloc.start()
        range_auc(y_true, y_score, window=window, n_thresholds=n_thresholds)
        vus_pr(y_true[:4000], y_score[:4000], window=window, n_thresholds=n_thresholds)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # 20,000 rows times 200 would be 32 MB.
    assert max(peaks) < 200 * len(y_true)


def test_a_huge_window():
    y_true, y_score = [0, 1, 0, 0], [1.0, 2.0, 3.0, 0.0]
    expected = range_auc(y_true, y_score, window=10**12)
    assert expected == pytest.approx(1, abs=1e-9)
    assert range_auc(y_true, y_score, window=10**30) == pytest.approx(expected)
