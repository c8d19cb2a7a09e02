# SPDX-License-Identifier: MIT
"""The detector finds real anomalies: on the packaged data, and on the full sets."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import (
    average_precision_score,
    precision_recall_curve,
    roc_auc_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.helpers import SHARED_DATA, needs_shared_data
from tsanomaly import LSTMAutoencoderDetector
from tsanomaly.datasets import load_smd

# The network and the training that plant_a's published protocol asks for.
PUBLISHED = {
    "units": (64, 32),
    "latent_dim": 16,
    "epochs": 20,
    "learning_rate": 0.003,
    "noise": 0,
    "linear_variance": 0,
}


@pytest.fixture(scope="module")
def plant_a():
    """Row labels of the test part, and its errors by each rule."""
    frame = pd.read_csv(
        SHARED_DATA / "synthetic" / "plant_a.csv.gz", index_col="timestamp"
    )
    y = frame.pop("is_anomaly").to_numpy()[8000:]
    errors = {}
    for rule in ("last", "window_mean", "overlap_mean"):
        detector = LSTMAutoencoderDetector(row_error=rule, random_state=0, **PUBLISHED)
        pipeline = make_pipeline(StandardScaler(), detector).fit(frame[:8000])
        errors[rule] = -pipeline.score_samples(frame[8000:])
    return y, errors


@pytest.mark.slow
@needs_shared_data
def test_plant_a_by_its_published_protocol(plant_a):
    """Windows of 50 rows, anomalous if any row is: published F1 0.645, AUC 0.899."""
    y, errors = plant_a
    windows = np.lib.stride_tricks.sliding_window_view(y, 50).max(axis=1)
    window_errors = errors["window_mean"][49:]
    precision, recall, _ = precision_recall_curve(windows, window_errors)
    assert roc_auc_score(windows, window_errors) >= 0.95
    assert (2 * precision * recall / (precision + recall)).max() >= 0.90


@pytest.mark.slow
@needs_shared_data
def test_plant_a_by_row(plant_a):
    y, errors = plant_a
    assert max(average_precision_score(y, error) for error in errors.values()) >= 0.50


@pytest.mark.slow
@needs_shared_data
def test_smd_machine_1_6():
    data = load_smd("machine-1-6", path=SHARED_DATA / "smd")
    train, y = data.train_mask, data.target
    pipeline = make_pipeline(StandardScaler(), LSTMAutoencoderDetector(random_state=0))
    pipeline.fit(data.frame[train])
    errors = -pipeline.score_samples(data.frame[~train])
    assert roc_auc_score(y[~train], errors) >= 0.92
    assert average_precision_score(y[~train], errors) >= 0.85


def test_a_real_event_stands_out():
    """The packaged machine, a small network, the event around row 31,600."""
    data = load_smd()
    kept = slice(30_500, 32_500)
    pipeline = make_pipeline(
        StandardScaler(),
        LSTMAutoencoderDetector(epochs=5, row_error="window_mean", random_state=0),
    ).fit(data.frame[:5000])
    errors = -pipeline.score_samples(data.frame[kept])
    assert roc_auc_score(data.target[kept], errors) > 0.85
