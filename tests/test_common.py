# SPDX-License-Identifier: MIT
"""scikit-learn's own checks, on every estimator."""

import pytest
from sklearn.covariance import EllipticEnvelope
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.linear_model import LinearRegression
from sklearn.neighbors import LocalOutlierFactor
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM
from sklearn.utils.estimator_checks import (
    check_param_validation,
    parametrize_with_checks,
)

from tests.helpers import tiny_detector
from tsanomaly import (
    AutoregressiveDetector,
    EnsembleDetector,
    HybridDetector,
    LinearAutoencoderDetector,
    LSTMAutoencoderDetector,
    ReconstructionError,
    ReconstructionThreshold,
    ScoreTransformer,
    TemporalFeatures,
    WindowNeighborsDetector,
    WindowTransformer,
)

pytestmark = pytest.mark.network

WINDOWED = {
    "check_methods_sample_order_invariance": (
        "order is the signal: test_contract.py::test_order_matters"
    ),
    "check_methods_subset_invariance": (
        "a row's past is context: test_contract.py::test_causal"
    ),
}
EXPECTED = dict.fromkeys(
    [
        WindowTransformer,
        TemporalFeatures,
        LSTMAutoencoderDetector,
        LinearAutoencoderDetector,
        AutoregressiveDetector,
        WindowNeighborsDetector,
        EnsembleDetector,
        HybridDetector,
    ],
    WINDOWED,
)

SMALL_INSTANCES = [
    WindowTransformer(),
    WindowTransformer(window_size=3),
    TemporalFeatures(),
    TemporalFeatures(windows=(2,), lags=(1,), rates=(1,), interactions=True),
    tiny_detector(window_size=3),
    tiny_detector(window_size=3, row_error="last", contamination=0.1),
    tiny_detector(window_size=3, row_error="multiscale_centered"),
    tiny_detector(window_size=3, row_error="overlap_mean", stride=2),
    LinearAutoencoderDetector(window_size=3, random_state=0),
    LinearAutoencoderDetector((3, 9), random_state=0),
    LinearAutoencoderDetector(3, row_error="overlap_mean", contamination=0.1),
    AutoregressiveDetector(lags=(1, 2), window_size=3),
    AutoregressiveDetector(
        lags=1, regressor=LinearRegression(), row_error="last", contamination=0.1
    ),
    WindowNeighborsDetector(random_state=0),
    WindowNeighborsDetector(window_size=4, max_samples=20, random_state=0),
    WindowNeighborsDetector(window_size=4, features="readings", contamination=0.1),
    WindowNeighborsDetector(4, row_error="multiscale_centered", random_state=0),
    EnsembleDetector(
        [
            ("forecast", AutoregressiveDetector(lags=(1, 2), window_size=3)),
            ("neighbors", WindowNeighborsDetector(window_size=4)),
        ]
    ),
    EnsembleDetector(
        [
            ("forecast", AutoregressiveDetector(lags=1, window_size=3)),
            ("forest", IsolationForest(n_estimators=5, random_state=0)),
        ],
        weights=[2, 1],
        contamination=0.1,
    ),
    ReconstructionError(PCA()),
    ReconstructionError(StandardScaler()),
    ScoreTransformer(IsolationForest(n_estimators=5, random_state=0)),
    ScoreTransformer(LocalOutlierFactor(novelty=True, n_neighbors=3), calibrate="rank"),
    ScoreTransformer(EllipticEnvelope(random_state=0), calibrate=None),
    ScoreTransformer(OneClassSVM()),
    ScoreTransformer(tiny_detector(window_size=3)),
    HybridDetector(detector=tiny_detector(window_size=3)),
    HybridDetector(
        IsolationForest(n_estimators=5, random_state=0),
        tiny_detector(window_size=3),
        screen_fraction=0.5,
        trim_fraction=0.1,
    ),
    HybridDetector(
        IsolationForest(n_estimators=5, random_state=0),
        tiny_detector(window_size=3),
        combine="mean",
        contamination=0.1,
    ),
    ReconstructionThreshold(),
    ReconstructionThreshold(channels="max"),
    ReconstructionThreshold(channels="each"),
    ReconstructionThreshold(method="sigma", k=1.0),
    ReconstructionThreshold(method="mad", k=1.0, channels="max"),
    ReconstructionThreshold(method="mad", k=1.0, channels="each"),
    ReconstructionThreshold(method="pot"),
    ReconstructionThreshold(method="pot", channels="each"),
    ReconstructionThreshold(false_alarms=1, per=100),
    ReconstructionThreshold(false_alarms=0.5, per=20, channels="each"),
    ReconstructionThreshold(method="pot", false_alarms=2, per=50, channels="max"),
]


def expected_failed_checks(estimator):
    """Checks to waive: those of what a wrapper wraps."""
    if isinstance(estimator, ScoreTransformer):
        estimator = estimator.detector
    return EXPECTED.get(type(estimator), {})


@parametrize_with_checks(
    SMALL_INSTANCES,
    expected_failed_checks=expected_failed_checks,
)
def test_sklearn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", SMALL_INSTANCES, ids=repr)
def test_param_validation(estimator):
    check_param_validation(type(estimator).__name__, estimator)
