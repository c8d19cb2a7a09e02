# SPDX-License-Identifier: MIT
import gzip
import json
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import UndefinedMetricWarning

from tests.helpers import SHARED_DATA, needs_shared_data
from tests.metrics import slow_reference as slow
from tsanomaly.metrics import affiliation_precision_recall_fscore
from tsanomaly.metrics._affiliation import _by_event


def affiliation(y_true, y_pred, **parameters):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        return affiliation_precision_recall_fscore(y_true, y_pred, **parameters)


def to_numbers(values):
    return [np.nan if value == "nan" else value for value in values]


@needs_shared_data
def test_as_the_authors_code():
    file = SHARED_DATA / "oracles" / "range_metrics.json.gz"
    with gzip.open(file, "rt", encoding="utf-8") as text:
        cases = json.load(text)["cases"]
    compared = 0
    for case in cases:
        y_true, y_pred = np.array(case["labels"]), np.array(case["predictions"])
        expected = case["expected"]["binary"]["affiliation_tsb_ad"]
        result = affiliation(y_true, y_pred)
        if "raises" in expected:
            assert not y_true.any()
            assert np.isnan(result).all()
            continue
        values = to_numbers(expected[field] for field in ("precision", "recall", "f1"))
        if not y_pred.any():
            values[2] = 0.0  # for recall 0, whatever precision is
        assert result == pytest.approx(values, abs=1e-9, nan_ok=True), case["name"]
        by_event = _by_event(y_true.astype(bool), y_pred.astype(bool))
        for ours, measure in zip(by_event, ("precision", "recall"), strict=True):
            theirs = to_numbers(expected[f"per_event_{measure}"])
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-9)
        compared += 1
    assert compared == 40


def test_by_hand():
    y_true, y_pred = np.zeros((2, 20), dtype=bool)
    y_true[[5, 6, 7, 8, 9, 14, 15]] = True
    y_pred[[4, 5, 6, 8, 15, 16, 17]] = True
    precision, recall = _by_event(y_true, y_pred)
    # The zone of the first event is [0, 12); in [4, 5) the probability is
    # (7 - 2 (5 - x)) / 12, and in the other three rows 1.
    assert precision[0] == pytest.approx((1 / 2 + 3) / 4)
    assert recall == pytest.approx([0.975, 0.9375])


@given(label_pair=slow.label_pairs(), beta=st.floats(0.1, 10))
def test_as_with_loops(label_pair, beta):
    y_true, y_pred = label_pair
    expected = slow.affiliation(y_true, y_pred)
    if not y_true.any():
        assert np.isnan(affiliation(y_true, y_pred, beta=beta)).all()
        return
    result = _by_event(y_true.astype(bool), y_pred.astype(bool))
    np.testing.assert_allclose(result, expected, rtol=0, atol=1e-12)
    precision = np.nanmean(expected[0]) if y_pred.any() else np.nan
    recall = np.mean(expected[1])
    total = affiliation(y_true, y_pred, beta=beta)
    expected = precision, recall, slow.f_score(precision, recall, beta)
    assert total == pytest.approx(expected, abs=1e-12, nan_ok=True)
    assert all(isinstance(value, float) for value in total)
    assert all(-1e-12 <= value <= 1 + 1e-12 for value in total if value == value)


@given(label_pair=slow.label_pairs())
def test_perfect_predictions(label_pair):
    y = label_pair[0]
    y[0] = 1
    assert affiliation(y, y) == (1.0, 1.0, 1.0)


@given(label_pair=slow.label_pairs(), factor=st.integers(2, 5))
def test_direction_and_unit_of_time_do_not_matter(label_pair, factor):
    result = affiliation(*label_pair)
    for change in (np.flip, lambda y: np.repeat(y, factor)):
        changed = affiliation(*map(change, label_pair))
        assert changed == pytest.approx(result, abs=1e-12, nan_ok=True)


def test_nearer_is_better():
    y_true = np.zeros(41, dtype=int)
    y_true[20] = 1
    results = []
    for row in range(20, 41):
        y_pred = np.zeros_like(y_true)
        y_pred[row] = 1
        results.append(affiliation(y_true, y_pred))
    assert (np.diff(results, axis=0) < 0).all()


def test_a_long_series_keeps_its_digits():
    # One flagged row beside an event, a million rows from the start.
    n = 2_000_001
    y_true, y_pred = np.zeros((2, n), dtype=bool)
    y_true[n // 2], y_pred[n // 2 + 1] = True, True
    room = n // 2
    precision, recall, _ = affiliation(y_true, y_pred)
    assert precision == pytest.approx((2 * room - 1) / n, abs=1e-15)
    # At y in the row of the event, the flag is 1 - y away, so that 2 y - 1 of that row,
    # and all on either side of it, is not closer; the mean of 2 y - 1 is 0.
    assert recall == pytest.approx((2 * room) / n, abs=1e-12)


def test_random_flags_have_precision_of_a_half(rng):
    y_true = np.zeros(20_000, dtype=int)
    y_true[5000:5010] = y_true[12_000:12_030] = 1
    precision = affiliation(y_true, rng.integers(0, 2, size=20_000))[0]
    assert precision == pytest.approx(0.5, abs=0.02)


def test_undefined():
    with pytest.warns(UndefinedMetricWarning, match="no row of y_pred") as caught:
        result = affiliation_precision_recall_fscore([0, 1, 0], [0, 0, 0])
    assert result == pytest.approx((np.nan, 0.0, 0.0), nan_ok=True)
    assert caught[0].filename == __file__
    for y_pred in ([0, 0, 0], [0, 1, 0], [1, 1, 1]):
        with pytest.warns(UndefinedMetricWarning, match="y_true contains no anomaly"):
            result = affiliation_precision_recall_fscore([0, 0, 0], y_pred)
        assert np.isnan(result).all()


def test_everything_anomalous_or_flagged():
    assert affiliation([1, 1, 1], [1, 1, 1]) == (1.0, 1.0, 1.0)
    assert affiliation([1], [1]) == (1.0, 1.0, 1.0)
    assert affiliation([1, 1, 1], [0, 1, 0])[0] == 1.0
    assert affiliation([0, 1, 0], [1, 1, 1])[1] == 1.0


def test_an_event_without_prediction_has_no_precision():
    y_true = [0, 1, 0, 0, 0, 0, 0, 0, 1, 0]
    y_pred = [0, 1, 0, 0, 0, 0, 0, 0, 0, 0]
    precision, recall, _ = affiliation(y_true, y_pred)
    assert (precision, recall) == (1.0, 0.5)


@pytest.mark.parametrize(
    ("y_pred", "beta", "named"),
    [
        ([0, 1], 1, r"3 .*y_pred has 2"),
        ([1, -1, 1], 1, "== -1"),
        ([0, np.nan, 0], 1, "^y_pred"),
        ([0, 1, 0], 0, "'beta'"),
    ],
)
def test_bad_input(y_pred, beta, named):
    with pytest.raises(ValueError, match=named):
        affiliation([0, 1, 0], y_pred, beta=beta)
