# SPDX-License-Identifier: MIT
"""scikit-learn's own checks, on every estimator."""

import pytest
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import (
    check_param_validation,
    parametrize_with_checks,
)

from tests.helpers import tiny_detector
from tsanomaly import (
    LSTMAutoencoderDetector,
    ReconstructionError,
    ReconstructionThreshold,
    TemporalFeatures,
    WindowTransformer,
)

WINDOWED = {
    "check_methods_sample_order_invariance": (
        "order is the signal: test_contract.py::test_order_matters"
    ),
    "check_methods_subset_invariance": (
        "a row's past is context: test_contract.py::test_causal"
    ),
}
EXPECTED = dict.fromkeys(
    [WindowTransformer, TemporalFeatures, LSTMAutoencoderDetector], WINDOWED
)

SMALL_INSTANCES = [
    WindowTransformer(),
    WindowTransformer(window_size=3),
    TemporalFeatures(),
    TemporalFeatures(windows=(2,), lags=(1,), rates=(1,), interactions=True),
    tiny_detector(window_size=3),
    tiny_detector(window_size=3, row_error="last", contamination=0.1),
    tiny_detector(window_size=3, row_error="overlap_mean", stride=2),
    ReconstructionError(PCA()),
    ReconstructionError(StandardScaler()),
    ReconstructionThreshold(),
    ReconstructionThreshold(channels="max"),
    ReconstructionThreshold(channels="each"),
    ReconstructionThreshold(method="sigma", k=1.0),
    ReconstructionThreshold(method="mad", k=1.0, channels="max"),
    ReconstructionThreshold(method="mad", k=1.0, channels="each"),
    ReconstructionThreshold(method="pot"),
    ReconstructionThreshold(method="pot", channels="each"),
]


@parametrize_with_checks(
    SMALL_INSTANCES,
    expected_failed_checks=lambda estimator: EXPECTED.get(type(estimator), {}),
)
def test_sklearn_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", SMALL_INSTANCES, ids=repr)
def test_param_validation(estimator):
    check_param_validation(type(estimator).__name__, estimator)
