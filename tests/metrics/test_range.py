# SPDX-License-Identifier: MIT
import gzip
import json
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import UndefinedMetricWarning
from sklearn.metrics import f1_score

from tests.helpers import SHARED_DATA, needs_shared_data
from tests.metrics import slow_reference as slow
from tsanomaly.metrics import (
    event_precision_recall_fscore,
    point_adjusted_f1,
    range_precision_recall_fscore,
)

CARDINALITIES = ["reciprocal", "one"]
BIASES = ["flat", "front", "middle", "back"]
METRICS = [
    range_precision_recall_fscore,
    event_precision_recall_fscore,
    point_adjusted_f1,
]


def oracles():
    file = SHARED_DATA / "oracles" / "range_metrics.json.gz"
    with gzip.open(file, "rt", encoding="utf-8") as text:
        for case in json.load(text)["cases"]:
            labels, predictions = case["labels"], case["predictions"]
            yield case["name"], labels, predictions, case["expected"]["binary"]


def quietly(metric, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return metric(*args, **kwargs)


@needs_shared_data
def test_range_as_in_prts():
    compared = 0
    for name, y_true, y_pred, expected in oracles():
        for setting, values in expected["range_based_prts"].items():
            if setting == "raises":
                assert not any(y_true) or not any(y_pred)
                result = quietly(range_precision_recall_fscore, y_true, y_pred)
                assert result == (0.0, 0.0, 0.0)
                continue
            cardinality, bias = setting.split("/")
            for field, value in values.items():
                measure, alpha = field.rsplit("_alpha_", 1)
                result = range_precision_recall_fscore(
                    y_true,
                    y_pred,
                    alpha=float(alpha),
                    cardinality=cardinality,
                    bias=bias,
                )
                number = ["precision", "recall", "f1_recall"].index(measure)
                assert result[number] == pytest.approx(value, abs=1e-12), name
                compared += 1
    assert compared == 2808


@needs_shared_data
def test_segments_as_in_orion():
    for name, y_true, y_pred, expected in oracles():
        result = quietly(event_precision_recall_fscore, y_true, y_pred)
        expected = expected["segment_wise_orion"]
        for number, field in enumerate(["precision", "recall", "f1"]):
            value = 0.0 if expected[field] == "nan" else expected[field]
            assert result[number] == pytest.approx(value, abs=1e-12), name


@needs_shared_data
def test_composite_as_in_tsb_ad():
    for name, y_true, y_pred, expected in oracles():
        result = quietly(
            event_precision_recall_fscore, y_true, y_pred, counting="composite"
        )
        expected = expected["event_wise_tsb_ad"]
        if name == "single_row_event_last":
            # Found, but the reference cuts off the last row of the series.
            assert expected["recall_events"] == 0.5
            expected["recall_events"] = 1.0
            expected["f1"] = 2 * (5 / 6) / (5 / 6 + 1)
        for number, field in enumerate(["precision_pointwise", "recall_events"]):
            value = 0.0 if expected[field] == "nan" else expected[field]
            assert result[number] == pytest.approx(value, abs=1e-12), name
        value = 0.0 if expected["f1"] == "nan" else expected["f1"]
        assert result[2] == pytest.approx(value, abs=1e-9), name


@needs_shared_data
def test_point_adjusted_as_in_dtaianomaly():
    for name, y_true, y_pred, expected in oracles():
        value = expected["point_adjusted_dtaianomaly"]["f1"]
        result = quietly(point_adjusted_f1, y_true, y_pred)
        assert result == pytest.approx(value, abs=1e-12), name


def test_range_by_hand():
    y_true, y_pred = np.zeros((2, 20), dtype=int)
    y_true[[5, 6, 7, 8, 9, 14, 15]] = 1
    y_pred[[4, 5, 6, 8, 15, 16, 17]] = 1
    precision, recall, f1 = range_precision_recall_fscore(y_true, y_pred)
    assert precision == pytest.approx(2 / 3)
    assert recall == pytest.approx((3 / 10 + 1 / 2) / 2)
    assert f1 == pytest.approx(0.5)
    result = range_precision_recall_fscore(y_true, y_pred, cardinality="one")
    assert result[1] == pytest.approx((3 / 5 + 1 / 2) / 2)


def test_event_at_the_last_row():
    result = event_precision_recall_fscore([0, 0, 1], [0, 0, 1])
    assert result == (1.0, 1.0, 1.0)


@given(
    label_pair=slow.label_pairs(),
    alpha=st.floats(0, 1),
    cardinality=st.sampled_from(CARDINALITIES),
    bias=st.sampled_from(BIASES),
    beta=st.floats(0.1, 10),
)
def test_range_as_with_loops(label_pair, alpha, cardinality, bias, beta):
    settings = {"alpha": alpha, "cardinality": cardinality, "bias": bias}
    result = quietly(range_precision_recall_fscore, *label_pair, beta=beta, **settings)
    precision, recall = slow.range_precision_recall(*label_pair, **settings)
    expected = precision, recall, slow.f_score(precision, recall, beta)
    assert result == pytest.approx(expected, abs=1e-12)
    assert all(isinstance(value, float) and 0 <= value <= 1 for value in result)


@given(
    label_pair=slow.label_pairs(),
    counting=st.sampled_from(["segments", "composite"]),
    beta=st.floats(0.1, 10),
)
def test_events_as_with_loops(label_pair, counting, beta):
    result = quietly(
        event_precision_recall_fscore, *label_pair, counting=counting, beta=beta
    )
    precision, recall = slow.event_precision_recall(*label_pair, counting)
    expected = precision, recall, slow.f_score(precision, recall, beta)
    assert result == pytest.approx(expected, abs=1e-12)
    assert all(isinstance(value, float) and 0 <= value <= 1 for value in result)


@given(label_pair=slow.label_pairs())
def test_point_adjusted_as_with_loops(label_pair):
    y_true, y_pred = label_pair
    expected = f1_score(y_true, slow.point_adjusted(y_true, y_pred), zero_division=0)
    result = quietly(point_adjusted_f1, y_true, y_pred)
    assert result == pytest.approx(expected, abs=1e-12)
    assert result >= f1_score(y_true, y_pred, zero_division=0) - 1e-12


@given(
    label_pair=slow.label_pairs(),
    alpha=st.floats(0, 1),
    cardinality=st.sampled_from(CARDINALITIES),
    bias=st.sampled_from(BIASES),
)
def test_perfect_predictions(label_pair, alpha, cardinality, bias):
    y = label_pair[0]
    expected = (1.0, 1.0, 1.0) if y.any() else (0.0, 0.0, 0.0)
    settings = {"alpha": alpha, "cardinality": cardinality, "bias": bias}
    assert quietly(range_precision_recall_fscore, y, y, **settings) == expected
    for counting in ("segments", "composite"):
        result = quietly(event_precision_recall_fscore, y, y, counting=counting)
        assert result == expected
    assert quietly(point_adjusted_f1, y, y) == expected[0]


@given(
    label_pair=slow.label_pairs(),
    alpha=st.floats(0, 1),
    cardinality=st.sampled_from(CARDINALITIES),
    bias=st.sampled_from(BIASES),
)
def test_backwards_in_time(label_pair, alpha, cardinality, bias):
    mirrored = [y[::-1] for y in label_pair]
    settings = {"alpha": alpha, "cardinality": cardinality}
    opposite = {"front": "back", "back": "front"}.get(bias, bias)
    there = quietly(range_precision_recall_fscore, *label_pair, bias=bias, **settings)
    back = quietly(range_precision_recall_fscore, *mirrored, bias=opposite, **settings)
    assert there == pytest.approx(back)
    for counting in ("segments", "composite"):
        assert quietly(
            event_precision_recall_fscore, *label_pair, counting=counting
        ) == quietly(event_precision_recall_fscore, *mirrored, counting=counting)
    assert quietly(point_adjusted_f1, *label_pair) == quietly(
        point_adjusted_f1, *mirrored
    )


@given(
    label_pair=slow.label_pairs(),
    cardinality=st.sampled_from(CARDINALITIES),
    bias=st.sampled_from(BIASES),
)
def test_precision_is_recall_with_roles_exchanged(label_pair, cardinality, bias):
    y_true, y_pred = label_pair
    settings = {"cardinality": cardinality, "bias": bias}
    there = quietly(range_precision_recall_fscore, y_true, y_pred, **settings)
    back = quietly(range_precision_recall_fscore, y_pred, y_true, **settings)
    assert there[:2] == back[1::-1]


@given(label_pair=slow.label_pairs())
def test_existence_alone_is_the_recall_of_events(label_pair):
    recall = quietly(range_precision_recall_fscore, *label_pair, alpha=1)[1]
    assert recall == pytest.approx(
        quietly(event_precision_recall_fscore, *label_pair)[1]
    )


def test_front_rewards_early_rows():
    y_true = [0, 1, 1, 1, 1, 0]
    early, late = [0, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 0]
    for bias, expected in (("front", [0.7, 0.3]), ("back", [0.3, 0.7])):
        recalls = [
            range_precision_recall_fscore(y_true, y, bias=bias)[1]
            for y in (early, late)
        ]
        assert recalls == pytest.approx(expected)


def test_beta():
    y_true, y_pred = [0, 1, 1, 1, 1, 0, 1], [1, 0, 0, 1, 0, 0, 0]
    for metric in METRICS[:2]:
        precision, recall, f2 = metric(y_true, y_pred, beta=2)
        assert f2 == pytest.approx(5 * precision * recall / (4 * precision + recall))


@pytest.mark.parametrize(
    "metric", [range_precision_recall_fscore, event_precision_recall_fscore]
)
@pytest.mark.parametrize(
    ("y_true", "y_pred", "message"),
    [
        ([0, 0, 0], [0, 1, 0], "undefined, because y_true contains no anomaly"),
        ([0, 1, 0], [0, 0, 0], "Precision is undefined, because no row of y_pred is"),
        ([0, 0, 0], [0, 0, 0], "Precision is undefined.* Recall is undefined"),
    ],
)
def test_undefined(metric, y_true, y_pred, message):
    with pytest.warns(UndefinedMetricWarning, match=message) as caught:
        assert metric(y_true, y_pred) == (0.0, 0.0, 0.0)
    assert [warning.filename for warning in caught] == [__file__]


@pytest.mark.filterwarnings("ignore:Point adjustment")
def test_undefined_point_adjusted():
    with pytest.warns(UndefinedMetricWarning, match="F1 is undefined") as caught:
        assert point_adjusted_f1([0, 0], [0, 0]) == 0.0
    assert {warning.filename for warning in caught} == {__file__}


def test_everything_anomalous_or_flagged():
    ones, some = [1, 1, 1, 1], [0, 1, 1, 0]
    assert range_precision_recall_fscore(ones, some) == (1.0, 0.5, pytest.approx(2 / 3))
    assert range_precision_recall_fscore(some, ones) == (0.5, 1.0, pytest.approx(2 / 3))
    assert event_precision_recall_fscore(some, ones) == (1.0, 1.0, 1.0)
    assert quietly(point_adjusted_f1, ones, some) == 1.0
    for metric in METRICS[:2]:
        assert metric([1], [1]) == (1.0, 1.0, 1.0)


def test_point_adjustment_overrates_random_flags(rng):
    y_true = np.zeros(10_000, dtype=int)
    for start in (1000, 4000, 8000):
        y_true[start : start + 500] = 1
    y_pred = (rng.random(10_000) < 0.02).astype(int)
    with pytest.warns(UserWarning, match="even random flags score high"):
        adjusted = point_adjusted_f1(y_true, y_pred)
    assert f1_score(y_true, y_pred) < 0.1
    assert adjusted > 0.85


def test_point_adjusted_warns_on_every_call():
    for _ in range(2):
        with pytest.warns(UserWarning, match="evaluate with event_precision") as caught:
            point_adjusted_f1([0, 1], [0, 1])
        assert caught[0].filename == __file__


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("y_true", "y_pred", "named"),
    [
        ([0, 1, 0], [0, 1], r"3 .*y_pred has 2"),
        ([0, 1, 0], [1, -1, 1], "== -1"),
        ([0, np.nan, 0], [0, 1, 0], "^y_true"),
        ([[0, 1]], [[0, 1]], "each row"),
    ],
)
@pytest.mark.filterwarnings("ignore:Point adjustment")
def test_bad_labels(metric, y_true, y_pred, named):
    with pytest.raises(ValueError, match=named):
        metric(y_true, y_pred)


@pytest.mark.parametrize(
    ("metric", "parameters"),
    [
        (range_precision_recall_fscore, {"alpha": 1.5}),
        (range_precision_recall_fscore, {"cardinality": "two"}),
        (range_precision_recall_fscore, {"bias": "left"}),
        (range_precision_recall_fscore, {"beta": 0}),
        (event_precision_recall_fscore, {"counting": "rows"}),
        (event_precision_recall_fscore, {"beta": -1}),
    ],
)
def test_bad_parameters(metric, parameters):
    with pytest.raises(ValueError, match=f"The '{next(iter(parameters))}' parameter"):
        metric([0, 1], [0, 1], **parameters)
