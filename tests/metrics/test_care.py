# SPDX-License-Identifier: MIT
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import fbeta_score

from tsanomaly.metrics import care_score

PARTS = ["coverage", "accuracy", "reliability", "earliness"]


def slow_earliness(flags):
    """Weights on a grid of four points for each row, as the authors draw them."""
    n_points = 4 * len(flags)
    weights = []
    for point, place in enumerate(np.linspace(0, 1, n_points)):
        weights.append(1 if point < n_points // 4 else (1 - place) / 0.75)
    weights = weights[::4]
    right = sum(w for w, flag in zip(weights, flags, strict=True) if flag)
    return right / sum(weights)


def slow_care(y_true, y_pred, normal_status, beta, threshold):
    """The score by loops, and F-scores by scikit-learn."""
    coverage, accuracy, earliness, faulty, detected = [], [], [], [], []
    for target, flags, status in zip(y_true, y_pred, normal_status, strict=True):
        event = [row for row, label in enumerate(target) if label]
        rows = [row for row, normal in enumerate(status) if normal]
        counter = highest = 0
        for row in range(event[-1] + 1 if event else len(target)):
            if status[row]:
                counter = max(0, counter + (1 if flags[row] else -1))
            highest = max(highest, counter)
        faulty.append(bool(event))
        detected.append(highest >= threshold)
        true, pred = [target[row] for row in rows], [flags[row] for row in rows]
        if event:
            coverage.append(fbeta_score(true, pred, beta=beta, zero_division=0))
            earliness.append(slow_earliness([flags[row] for row in event]))
        else:
            accuracy.append(sum(not flag for flag in pred) / len(pred))
    parts = {
        "coverage": np.mean(coverage),
        "accuracy": np.mean(accuracy),
        "reliability": fbeta_score(faulty, detected, beta=beta, zero_division=0),
        "earliness": np.mean(earliness),
    }
    if not any(detected):
        score = 0
    elif parts["accuracy"] <= 0.5:
        score = parts["accuracy"]
    else:
        score = (sum(parts.values()) + parts["accuracy"]) / 5
    return {**parts, "score": score}, detected


@st.composite
def cases(draw):
    """Series with one event or none, flags, and whether rows are of normal status."""
    y_true, y_pred, status = [], [], []
    kinds = [True, False, *draw(st.lists(st.booleans(), max_size=3))]
    for has_event in kinds:
        n_rows = draw(st.integers(1, 16))
        bits = st.lists(st.integers(0, 1), min_size=n_rows, max_size=n_rows)
        start = draw(st.integers(0, n_rows - 1))
        end = draw(st.integers(start, n_rows - 1))
        rows = np.arange(n_rows)
        y_true.append((has_event & (rows >= start) & (rows <= end)).astype(int))
        y_pred.append(np.array(draw(bits)))
        normal = np.array(draw(bits))
        normal[draw(st.integers(0, n_rows - 1))] = 1
        status.append(normal)
    return y_true, y_pred, status


@given(case=cases(), beta=st.sampled_from([0.5, 1, 2]), threshold=st.integers(1, 4))
def test_as_with_loops(case, beta, threshold):
    y_true, y_pred, status = case
    care = care_score(
        y_true, y_pred, normal_status=status, beta=beta, threshold=threshold
    )
    expected, detected = slow_care(y_true, y_pred, status, beta, threshold)
    for name, value in expected.items():
        assert care[name] == pytest.approx(value), name
        assert 0 <= care[name] <= 1
        assert isinstance(care[name], float)
    np.testing.assert_array_equal(care.detected, detected)


@given(case=cases())
def test_perfect_flags(case):
    y_true, _, _ = case
    care = care_score(y_true, y_true, threshold=1)
    assert [care[name] for name in ("score", *PARTS)] == pytest.approx([1] * 5)


def series(n_rows, *flagged):
    flags = np.zeros(n_rows, dtype=int)
    for first, last in flagged:
        flags[first : last + 1] = 1
    return flags


FAULT = series(1000, (800, 999))
NORMAL = series(1000)


def test_the_example_of_the_authors():
    # Two faults, two normal series, and all are detected. Their parts, from counts:
    # F-scores .869565 and .625, accuracy .8 and .5, and .5 precision at full recall.
    y_true = [
        series(10, (0, 9)),
        series(11, (0, 7)),
        series(5),
        series(8),
    ]
    y_pred = [
        np.array([1, 1, 1, 1, 1, 1, 1, 1, 0, 0]),
        np.array([1, 1, 1, 1, 1, 0, 0, 0, 1, 1, 1]),
        np.array([1, 0, 0, 0, 0]),
        np.array([1, 1, 1, 1, 0, 0, 0, 0]),
    ]
    # One false flag more in the first, where the event does not reach.
    y_true[0], y_pred[0] = np.append(y_true[0], 0), np.append(y_pred[0], 1)
    care = care_score(y_true, y_pred, threshold=1)
    assert care.coverage == pytest.approx((0.869565 + 0.625) / 2, abs=1e-6)
    assert care.accuracy == pytest.approx(0.65)
    assert care.reliability == pytest.approx(0.55555556)
    known = 0.7472825 + 2 * 0.65 + 0.55555556
    assert care.score == pytest.approx((known + care.earliness) / 5)


def test_early_flags_are_worth_more():
    early = care_score([FAULT, NORMAL], [series(1000, (800, 899)), NORMAL])
    late = care_score([FAULT, NORMAL], [series(1000, (900, 999)), NORMAL])
    assert early.earliness > 0.7 > 0.3 > late.earliness
    assert early.coverage == late.coverage
    assert early.score > late.score


def test_rules():
    nothing = care_score([FAULT, NORMAL], [NORMAL, NORMAL])
    assert nothing.score == 0
    assert nothing.accuracy == 1
    few = care_score([FAULT, NORMAL], [series(1000, (800, 870)), NORMAL])
    assert few.score == 0  # 71 rows in a row, of 72
    assert few.coverage > 0
    everything = care_score([FAULT, NORMAL], [1 - NORMAL, 1 - NORMAL])
    assert everything.score == 0
    noisy = care_score([FAULT, NORMAL], [FAULT, series(1000, (0, 599))])
    assert noisy.score == noisy.accuracy == pytest.approx(0.4)


def test_rows_after_an_event_detect_nothing():
    fault = series(1000, (100, 149))
    flags = series(1000, (500, 900))
    assert not care_score([fault, NORMAL], [flags, NORMAL]).detected[0]


def test_status():
    status = 1 - series(1000, (0, 599))
    noisy = series(1000, (0, 599))
    care = care_score(
        [FAULT, NORMAL], [FAULT, noisy], normal_status=[NORMAL + 1, status]
    )
    assert care.accuracy == 1
    assert care.detected.tolist() == [True, False]
    flags = [status == 1, np.ones(1000, dtype=bool)]
    assert care_score([FAULT, NORMAL], [FAULT, noisy], normal_status=flags[::-1])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"y_true": FAULT}, r"y_true must be a list.*\[y_true\]"),
        ({"y_pred": 3}, "y_pred must be a list"),
        ({"y_true": [FAULT]}, "y_true has 1 series, but y_pred has 2"),
        ({"y_true": [FAULT, FAULT]}, "Add a series without one"),
        ({"y_true": [NORMAL, NORMAL]}, "Add a series with an event"),
        ({"y_true": [FAULT, NORMAL[1:]]}, "In series 1: y_true has 999 rows"),
        ({"y_pred": [FAULT - 1, NORMAL]}, "In series 0: y_pred must contain 0"),
        (
            {"y_true": [series(1000, (1, 2), (5, 6)), NORMAL]},
            "y_true of series 0 contains 2 events.*Cut the series",
        ),
        ({"normal_status": [NORMAL]}, "normal_status has 1. Both must"),
        ({"normal_status": [1 + NORMAL, NORMAL]}, "No row of series 1 is in normal"),
        ({"normal_status": [2 + NORMAL, NORMAL]}, "normal_status of series 0 must"),
        ({"beta": 0}, "beta"),
        ({"threshold": 0}, "threshold"),
    ],
)
def test_what_is_refused(change, message):
    arguments = {"y_true": [FAULT, NORMAL], "y_pred": [FAULT, NORMAL], **change}
    with pytest.raises(ValueError, match=message):
        care_score(**arguments)
