# SPDX-License-Identifier: MIT
"""Which of the stock detectors finds which kind of anomaly."""

import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.impute import MissingIndicator, SimpleImputer
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline, make_union
from sklearn.preprocessing import StandardScaler

from tsanomaly import (
    LSTMAutoencoderDetector,
    ReconstructionError,
    ReconstructionThreshold,
    TemporalFeatures,
)
from tsanomaly.datasets import inject_anomalies, make_sensor_data
from tsanomaly.datasets._inject import KINDS

N_TRAIN = 8000


def features():
    """What the detectors that look at single rows are given."""
    return TemporalFeatures(calendar=False), StandardScaler()


def reconstruction_by_pca():
    return ReconstructionError(PCA(0.9)), ReconstructionThreshold()


def stock_pipelines():
    return {
        "IsolationForest": make_pipeline(*features(), IsolationForest(random_state=0)),
        "LOF": make_pipeline(*features(), LocalOutlierFactor(novelty=True)),
        "PCA": make_pipeline(*features(), *reconstruction_by_pca()),
        "LSTM": make_pipeline(
            StandardScaler(), LSTMAutoencoderDetector(random_state=0)
        ),
    }


def with_missing_readings(detector):
    """A detector after an imputer, with a column per sensor that says what is missing.

    The indicators are added to the features, not windowed with the readings.
    """
    *steps, last = [step for _, step in detector.steps]
    if last.__class__.__name__ == "ReconstructionThreshold":
        *steps, errors = steps
        last = make_pipeline(errors, last)
    imputed = make_pipeline(SimpleImputer(), *steps)
    return make_pipeline(make_union(imputed, MissingIndicator(features="all")), last)


@pytest.fixture(scope="module")
def plant():
    frame = make_sensor_data(12_000, contamination=0, random_state=0).frame
    return frame[:N_TRAIN], frame[N_TRAIN:]


@pytest.fixture(scope="module")
def table(plant):
    """ROC-AUC by row of every kind and detector."""
    train, test = plant
    detectors = {name: d.fit(train) for name, d in stock_pipelines().items()}
    results = pd.DataFrame(index=KINDS, columns=list(detectors), dtype=float)
    for kind in KINDS:
        X, y, _ = inject_anomalies(test, kinds=kind, contamination=0.05, random_state=0)
        for name, detector in detectors.items():
            fitted = detector
            if kind == "dropout":
                fitted = with_missing_readings(stock_pipelines()[name]).fit(train)
            results.loc[kind, name] = roc_auc_score(y, -fitted.score_samples(X))
    print("\n" + results.round(2).to_string())
    return results


@pytest.mark.full_size
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_found_by_a_stock_detector(table, kind):
    assert table.loc[kind].max() >= 0.8
