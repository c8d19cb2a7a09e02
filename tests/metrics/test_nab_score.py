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
from tsanomaly.metrics import nab_score
from tsanomaly.metrics._nab_score import _PROFILES, _probation_rows, _weights


def oracles():
    file = SHARED_DATA / "oracles" / "nab.json.gz"
    with gzip.open(file, "rt", encoding="utf-8") as text:
        return json.load(text)


def labels(n_rows, windows):
    y_true = np.zeros(n_rows, dtype=int)
    for start, end in windows:
        y_true[start : end + 1] = 1
    return y_true


def rows_of(file):
    return [(window["start_row"], window["end_row"]) for window in file["windows"]]


def scores_of(result, n_rows):
    scores = result["anomaly_scores"]
    if isinstance(scores, dict):
        return np.full(n_rows, scores["constant"])
    return np.array(scores)


def edges(windows):
    return np.array(windows, dtype=int).reshape(-1, 2).T


def counts(y_pred, windows, n_probation):
    rows = np.arange(n_probation, len(y_pred))
    inside = _weights(rows, edges(windows), "standard")[2]
    flagged = y_pred[n_probation:]
    return {
        "tp": (flagged & inside).sum(),
        "fp": (flagged & ~inside).sum(),
        "tn": (~flagged & ~inside).sum(),
        "fn": (~flagged & inside).sum(),
    }


@needs_shared_data
def test_as_in_nab():
    oracle = oracles()
    compared = 0
    for name, detector in oracle["detectors"].items():
        for profile, threshold in detector["threshold"].items():
            total = 0.0
            for key, file in oracle["files"].items():
                windows, n_rows = rows_of(file), file["n_rows"]
                y_true = labels(n_rows, windows)
                expected = detector["files"][key]["expected"][profile]
                y_pred = scores_of(detector["files"][key], n_rows) >= threshold
                raw = nab_score(y_true, y_pred, profile=profile, normalize=False)
                assert raw == pytest.approx(expected["raw_score"], abs=1e-9), key
                total += raw
                if windows:
                    score = nab_score(y_true, y_pred, profile=profile)
                    value = expected["normalised_score"]
                    assert score == pytest.approx(value, abs=1e-9), key
                else:
                    assert expected["normalised_score"] is None
                    with pytest.warns(UndefinedMetricWarning):
                        assert np.isnan(nab_score(y_true, y_pred, profile=profile))
                assert _probation_rows(n_rows, 0.15) == file["probation_rows"]
                assert counts(y_pred, windows, file["probation_rows"]) == {
                    field: expected[field] for field in ("tp", "fp", "tn", "fn")
                }
                compared += 1
            category = detector["category"][profile]
            assert total == pytest.approx(category["raw_score"], abs=1e-9), name
            loss, n_windows = _PROFILES[profile][2], 30
            score = 100 * (total + loss * n_windows) / ((1 + loss) * n_windows)
            assert score == pytest.approx(category["normalised_score"], abs=1e-9)
    assert compared == 8 * 17 * 3


@needs_shared_data
def test_silence_and_perfection_as_in_nab():
    for file in oracles()["files"].values():
        windows, n_rows = rows_of(file), file["n_rows"]
        y_true = labels(n_rows, windows)
        perfect = labels(n_rows, [(start, start) for start, _ in windows])
        for profile in _PROFILES:
            for field, y_pred in (
                ("null_score", np.zeros_like(y_true)),
                ("perfect_score", perfect),
            ):
                raw = nab_score(y_true, y_pred, profile=profile, normalize=False)
                assert raw == pytest.approx(file[field][profile], abs=1e-12)


@needs_shared_data
def test_weights_as_in_nab():
    oracle = oracles()
    compared = 0
    for file in oracle["files"].values():
        for profile, expected in file.get("sweep_scores", {}).items():
            rows = np.arange(file["n_rows"])
            weight = _weights(rows, edges(rows_of(file)), profile)[0]
            np.testing.assert_allclose(weight, expected, rtol=0, atol=1e-9)
            compared += 1
    assert compared == 6


@needs_shared_data
def test_synthetic_series_as_in_nab():
    compared = 0
    for case in oracles()["synthetic"]:
        windows, n_rows = case["windows_rows"], case["n_rows"]
        y_true, scores = labels(n_rows, windows), np.array(case["anomaly_scores"])
        assert _probation_rows(n_rows, 0.15) == case["probation_rows"]
        for profile, expected in case["expected"].items():
            if "raises" in expected:
                assert case["name"] == "one_row_window"
                continue
            weight = _weights(np.arange(n_rows), edges(windows), profile)[0]
            np.testing.assert_allclose(
                weight, expected["sweep_scores"], rtol=0, atol=1e-9
            )
            for step in expected["by_threshold"]:
                y_pred = scores >= step["threshold"]
                raw = nab_score(
                    y_true, y_pred, profile=profile, windows=windows, normalize=False
                )
                assert raw == pytest.approx(step["raw_score"], abs=1e-9), case["name"]
                assert counts(y_pred, windows, case["probation_rows"]) == {
                    field: step[field] for field in ("tp", "fp", "tn", "fn")
                }
                compared += 1
    assert compared == 144


@st.composite
def windows_and_predictions(draw):
    """Windows that may touch, and flags."""
    n_rows = draw(st.integers(1, 60))
    windows, row = [], 0
    while row < n_rows:
        row += draw(st.integers(0, 8))
        end = row + draw(st.integers(0, 8))
        if end < n_rows:
            windows.append((row, end))
        row = end + 1
    flags = st.lists(st.booleans(), min_size=n_rows, max_size=n_rows)
    return windows, np.array(draw(flags))


@given(
    case=windows_and_predictions(),
    profile=st.sampled_from(sorted(_PROFILES)),
    probation=st.sampled_from([0, 0.15, 0.5, 0.9]),
)
def test_as_with_loops(case, profile, probation):
    windows, y_pred = case
    y_true = labels(len(y_pred), windows)
    parameters = {"profile": profile, "windows": windows, "probation": probation}
    n_probation = int(probation * len(y_pred))
    raw = nab_score(y_true, y_pred, normalize=False, **parameters)
    expected = slow.nab_raw_score(y_pred, windows, n_probation, *_PROFILES[profile])
    assert raw == pytest.approx(expected, abs=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        score = nab_score(y_true, y_pred, **parameters)
    if any(end >= n_probation for _, end in windows):
        assert score <= 100 + 1e-9
        silence = nab_score(y_true, np.zeros_like(y_true), **parameters)
        assert silence == pytest.approx(0)
    else:
        assert np.isnan(score)


@given(case=windows_and_predictions(), profile=st.sampled_from(sorted(_PROFILES)))
def test_perfect_predictions(case, profile):
    windows, y_pred = case
    windows = windows or [(0, len(y_pred) - 1)]
    y_true = labels(len(y_pred), windows)
    y_pred = labels(len(y_pred), [(start, start) for start, _ in windows])
    score = nab_score(y_true, y_pred, windows=windows, profile=profile, probation=0)
    assert score == pytest.approx(100)


def test_only_the_first_alarm_in_a_window_counts():
    y_true = labels(100, [(40, 59)])
    y_pred = labels(100, [(45, 45)])
    first = nab_score(y_true, y_pred)
    y_pred[46:60] = 1
    assert nab_score(y_true, y_pred) == first
    y_pred[44] = 1
    assert nab_score(y_true, y_pred) > first


def test_probation():
    y_true = labels(100, [(40, 59)])
    assert nab_score(y_true, labels(100, [(0, 14)])) == 0
    assert nab_score(y_true, labels(100, [(0, 15)])) < 0
    assert nab_score(y_true, labels(100, [(0, 14)]), probation=0) < 0
    assert _probation_rows(5000, 0.15) == _probation_rows(10**6, 0.15) == 750


def test_a_window_under_probation_is_neither_found_nor_missed():
    y_true = labels(100, [(2, 9), (50, 59)])
    silence = np.zeros(100, dtype=int)
    assert nab_score(y_true, silence, normalize=False) == -1
    assert nab_score(y_true, silence) == 0
    assert nab_score(y_true, labels(100, [(50, 50)])) == pytest.approx(100)


def test_false_alarms_after_a_window_of_one_row_cost_in_full():
    y_true = labels(100, [(40, 40)])
    raw = nab_score(y_true, labels(100, [(40, 42)]), normalize=False)
    assert raw == pytest.approx(1 - 2 * 0.11)


def test_profiles():
    y_true, silence = labels(100, [(40, 49)]), np.zeros(100, dtype=int)
    false_alarm = labels(100, [(30, 30)])
    raw = {
        profile: [
            nab_score(y_true, y_pred, profile=profile, normalize=False)
            for y_pred in (silence, false_alarm)
        ]
        for profile in _PROFILES
    }
    assert raw == {
        "standard": pytest.approx([-1, -1.11]),
        "reward_low_FP_rate": pytest.approx([-1, -1.22]),
        "reward_low_FN_rate": pytest.approx([-2, -2.11]),
    }


def test_windows_that_touch():
    windows = [(50, 59), (40, 49)]  # in any order
    y_true = labels(100, windows)
    y_pred = labels(100, [(40, 40), (50, 50)])
    assert nab_score(y_true, y_pred, windows=windows) == pytest.approx(100)
    assert nab_score(y_true, y_pred[::-1], windows=windows) < 100
    together = nab_score(y_true, labels(100, [(40, 40)]))
    assert together == pytest.approx(100)
    alone = nab_score(y_true, labels(100, [(40, 40)]), windows=windows)
    assert alone == pytest.approx(50)


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        ([40, 49], "first and last row of each window"),
        ([[40.0, 49.0]], "as integers, got an array of shape"),
        ([[49, 40]], "with the first row of each window before its last"),
        ([[-1, 3]], "must lie within the 100 rows"),
        ([[90, 100]], "must lie within the 100 rows"),
        ([[40, 45], [45, 49]], "must not overlap"),
        ([[40, 48]], "contradict each other in 1 rows, first in row 49"),
        ([], "contradict each other in 10 rows, first in row 40"),
    ],
)
def test_bad_windows(windows, message):
    y_true = labels(100, [(40, 49)])
    with pytest.raises(ValueError, match=message):
        nab_score(y_true, y_true, windows=windows)


def test_undefined():
    zeros = np.zeros(100, dtype=int)
    for y_pred in (zeros, zeros + 1):
        with pytest.warns(UndefinedMetricWarning, match="no anomaly. Ret") as caught:
            assert np.isnan(nab_score(zeros, y_pred))
        assert caught[0].filename == __file__
    with pytest.warns(UndefinedMetricWarning, match="no anomaly after the probation"):
        assert np.isnan(nab_score(labels(100, [(0, 9)]), zeros))
    assert nab_score(zeros, zeros, normalize=False, windows=[]) == 0
    assert nab_score(zeros, zeros + 1, normalize=False) == pytest.approx(-85 * 0.11)


def test_everything_anomalous_or_flagged():
    ones = np.ones(100, dtype=int)
    assert nab_score(ones, ones, probation=0) == pytest.approx(100)
    assert nab_score([1], [1]) == pytest.approx(100)
    assert np.isfinite(nab_score(labels(100, [(40, 49)]), ones))


@pytest.mark.parametrize(
    ("y_true", "y_pred", "parameters", "named"),
    [
        ([0, 1, 0], [0, 1], {}, r"3 .*y_pred has 2"),
        ([0, 1, 0], [1, -1, 1], {}, "== -1"),
        ([0, np.nan, 0], [0, 1, 0], {}, "^y_true"),
        ([0, 1], [0, 1], {"profile": "strict"}, "'profile'"),
        ([0, 1], [0, 1], {"probation": 1}, "'probation'"),
        ([0, 1], [0, 1], {"normalize": "no"}, "'normalize'"),
    ],
)
def test_bad_input(y_true, y_pred, parameters, named):
    with pytest.raises(ValueError, match=named):
        nab_score(y_true, y_pred, **parameters)
