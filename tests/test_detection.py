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
from tsanomaly import LSTMAutoencoderDetector, Training
from tsanomaly.datasets import load_smd

# The network and the training that plant_a's published protocol asks for.
PUBLISHED = {
    "window_size": 50,
    "units": (64, 32),
    "latent_dim": 16,
    "epochs": 20,
    "training": Training(learning_rate=0.003),
    "noise": 0,
    "linear_variance": 0,
}


@pytest.fixture(scope="module")
def plant_a():
    """Training rows, test rows, and their labels."""
    frame = pd.read_csv(
        SHARED_DATA / "synthetic" / "plant_a.csv.gz", index_col="timestamp"
    )
    y = frame.pop("is_anomaly").to_numpy()[8000:]
    return frame[:8000], frame[8000:], y


def published_errors(plant_a, rule, seed):
    """Errors of the test rows."""
    train, test, _ = plant_a
    detector = LSTMAutoencoderDetector(row_error=rule, random_state=seed, **PUBLISHED)
    return -make_pipeline(StandardScaler(), detector).fit(train).score_samples(test)


@pytest.mark.slow
@needs_shared_data
def test_plant_a_by_its_published_protocol(plant_a):
    """Windows of 50 rows, anomalous if any row is: published F1 0.645, AUC 0.899.

    The mean of three seeds, as training ends elsewhere on other processors.
    """
    windows = np.lib.stride_tricks.sliding_window_view(plant_a[2], 50).max(axis=1)
    areas, f1 = [], []
    for seed in range(3):
        errors = published_errors(plant_a, "window_mean", seed)[49:]
        precision, recall, _ = precision_recall_curve(windows, errors)
        areas.append(roc_auc_score(windows, errors))
        f1.append((2 * precision * recall / (precision + recall)).max())
    assert np.mean(areas) >= 0.95
    assert np.mean(f1) >= 0.90


@pytest.mark.slow
@needs_shared_data
def test_plant_a_by_row(plant_a):
    precision = [
        average_precision_score(plant_a[2], published_errors(plant_a, rule, seed=0))
        for rule in ("last", "overlap_mean")
    ]
    assert max(precision) >= 0.50


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


@pytest.mark.full_size
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
