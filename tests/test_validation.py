# SPDX-License-Identifier: MIT
"""Validation of series, wherever they are passed."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.covariance import EllipticEnvelope
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline

from tests.helpers import tiny_detector, wave
from tsanomaly import (
    FleetDetector,
    HybridDetector,
    ReconstructionError,
    ReconstructionThreshold,
    ScoreTransformer,
    StreamingDetector,
    TemporalFeatures,
    WindowTransformer,
    compare_detectors,
    explain,
    sliding_windows,
)
from tsanomaly._validation import check_labels, unmasked
from tsanomaly.metrics import vus_pr
from tsanomaly.plotting import AnomalyDisplay, ReconstructionDisplay, SeriesDisplay

# Impute what is missing, as a detector that takes no NaN.
FOREST = make_pipeline(SimpleImputer(), IsolationForest(n_estimators=5, random_state=0))
ESTIMATORS = {
    "windows": WindowTransformer(3),
    "features": TemporalFeatures(),
    "network": tiny_detector(),
    "threshold": ReconstructionThreshold(channels="max"),
    "errors": ReconstructionError(make_pipeline(PCA(1))),
    "level": ScoreTransformer(FOREST),
    "hybrid": HybridDetector(FOREST, tiny_detector()),
}


@pytest.fixture
def masked():
    """A series in which impossible readings are masked: one, and a row."""
    X = np.ma.array(wave(80), mask=False)
    X[20] = X[31, 0] = 1e6
    return np.ma.masked_greater(X, 1e5)


def outcome(estimator, X):
    method = "transform" if hasattr(estimator, "transform") else "score_samples"
    return np.asarray(getattr(estimator, method)(X))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_masked_readings_are_missing(name, masked):
    if name == "errors":  # takes breaks alone
        masked[31] = np.ma.masked
    holes = masked.filled(np.nan)
    expected = clone(ESTIMATORS[name]).fit(holes)
    estimator = clone(ESTIMATORS[name]).fit(masked)
    assert_array_equal(outcome(estimator, masked), outcome(expected, holes))
    assert_array_equal(outcome(expected, masked), outcome(expected, holes))


def test_a_masked_reading_is_missing_to_those_who_take_none(masked):
    with pytest.raises(ValueError, match="contains NaN"):
        ReconstructionError(PCA(1)).fit(masked)
    envelope = EllipticEnvelope(random_state=0).fit(wave(80))
    with pytest.raises(ValueError, match="NaN"):
        explain(envelope, masked)


def test_masked_readings_in_a_stream(masked):
    detector = tiny_detector().fit(wave(80))
    expected = detector.score_samples(masked.filled(np.nan))
    together, _ = StreamingDetector(detector).update_many(masked)
    listed, _ = StreamingDetector(detector).update_many(list(masked))
    stream = StreamingDetector(detector)
    single = [stream.update(row)[0] for row in masked]
    for scores in (together, listed, single):
        np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=1e-6)


def test_masked_readings_in_functions(masked):
    holes = masked.filled(np.nan)
    detector = tiny_detector(contamination=0.1).fit(wave(80))
    pd.testing.assert_frame_equal(explain(detector, masked), explain(detector, holes))
    assert_array_equal(sliding_windows(masked, 5), sliding_windows(holes, 5))
    y = (np.arange(80) > 60).astype(int)
    tables = [
        compare_detectors({"it": FOREST}, X, X, y, metrics=["vus_pr"], random_state=0)
        for X in (masked, holes)
    ]
    columns = ["vus_pr", "flagged_share", "threshold", "error"]
    pd.testing.assert_frame_equal(tables[0][columns], tables[1][columns])
    for display in (AnomalyDisplay, ReconstructionDisplay):
        shown = display.from_estimator(detector, masked)
        assert_array_equal(shown.readings, holes)
    assert_array_equal(SeriesDisplay.from_series(masked).readings, holes)


def test_masked_labels_and_scores_are_missing(masked):
    y = np.ma.array([0, 1, 1, 0], mask=[0, 0, 1, 0])
    with pytest.raises(ValueError, match="1 labels are missing, first at row 2"):
        check_labels(y)
    with pytest.raises(ValueError, match="first at row 2"):
        vus_pr([0, 1, 1, 0], y, window=1)


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (np.ma.array([1, 2], mask=[0, 1]), np.float64),
        (np.ma.array([1, 2], mask=[0, 1], dtype=np.float32), np.float32),
        (np.ma.array([True, False], mask=[0, 1]), np.float64),
        (np.ma.array([1, 2], mask=[0, 1], dtype=object), object),
        ([1.0, np.ma.masked], np.float64),
    ],
)
def test_a_mask_becomes_nan(values, dtype):
    result = unmasked(values)
    assert result.dtype == dtype
    assert not isinstance(result, np.ma.MaskedArray)
    assert_array_equal(pd.isna(result), [False, True])
    assert result[0] == 1


def test_without_a_mask_nothing_is_copied(series):
    frame = pd.DataFrame(series)
    assert unmasked(series) is series
    assert unmasked(frame) is frame


SEVERAL = {
    "frames": [pd.DataFrame(wave(50)), pd.DataFrame(wave(60))],
    "equal frames": (pd.DataFrame(wave(50)), pd.DataFrame(wave(50))),
    "arrays": [wave(50), wave(60)],
    "a dict": {"pump": pd.DataFrame(wave(50)), "fan": pd.DataFrame(wave(60))},
}


@pytest.mark.parametrize("several", SEVERAL)
@pytest.mark.parametrize("name", ESTIMATORS)
def test_several_series_are_refused_with_the_cure(name, several):
    with pytest.raises(ValueError, match=r"insert_breaks.*FleetDetector"):
        clone(ESTIMATORS[name]).fit(SEVERAL[several])


def test_several_series_are_refused_by_functions():
    frames = SEVERAL["frames"]
    detector = tiny_detector().fit(frames[0])
    for use in (
        lambda: detector.score_samples(frames),
        lambda: explain(detector, frames),
        lambda: compare_detectors([detector], frames, frames[0], np.zeros(50)),
        lambda: SeriesDisplay.from_series(frames),
        lambda: ReconstructionDisplay.from_estimator(detector, frames),
    ):
        with pytest.raises(ValueError, match="insert_breaks"):
            use()


def test_a_list_of_rows_is_a_series(series):
    rows = [pd.Series(row) for row in series]
    windows = WindowTransformer(2).fit(series)
    assert_array_equal(windows.transform(rows), windows.transform(series))
    assert_array_equal(windows.transform(list(series)), windows.transform(series))


def test_a_fleet_says_what_it_takes(masked):
    with pytest.raises(TypeError, match="DataFrame"):
        FleetDetector(FOREST).fit(masked)
