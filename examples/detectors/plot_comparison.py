# SPDX-License-Identifier: MIT
"""
All detectors on one plant
==========================

Networks, classical detectors, a cascade and an ensemble in one table, beside trivial
detectors that each of them should beat.
"""

# %%
# A simulated plant: 6,000 normal rows for training, and 4,000 rows with anomalies of
# ten kinds for testing.
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tsanomaly import (
    HybridDetector,
    LSTMAutoencoderDetector,
    ReconstructionError,
    ReconstructionThreshold,
    WindowTransformer,
    compare_detectors,
    make_ensemble,
)
from tsanomaly.datasets import load_sample_plant
from tsanomaly.plotting import ComparisonDisplay

plant = load_sample_plant()
train, test = plant.frame[plant.train_mask], plant.frame[~plant.train_mask]
y_test = plant.target[~plant.train_mask]

# %%
# Each detector is cloned, fitted on the training rows, and evaluated on the test rows.
steps = {
    "network": [LSTMAutoencoderDetector(random_state=0)],
    "network, looks ahead": [
        LSTMAutoencoderDetector(row_error="multiscale_centered", random_state=0)
    ],
    "cascade": [HybridDetector(random_state=0)],
    "ensemble, no network": [make_ensemble("drop", random_state=0)],
    "PCA, single rows": [ReconstructionError(PCA(0.9)), ReconstructionThreshold()],
    "PCA, windows of 50": [
        WindowTransformer(50),
        ReconstructionError(PCA(0.9)),
        ReconstructionThreshold(),
    ],
    "LOF, windows of 10": [WindowTransformer(10), LocalOutlierFactor(novelty=True)],
    "forest": [IsolationForest(random_state=0)],
}
table = compare_detectors(
    {name: make_pipeline(StandardScaler(), *parts) for name, parts in steps.items()},
    train,
    test,
    y_test,
    metrics=["average_precision", "vus_pr", "event_precision", "event_recall"],
    random_state=0,
)
columns = [*table.columns[:4], "flagged_share", "fit_seconds", "score_seconds"]
print(table[columns].round(2).to_string())

# %%
# Compare with the trivial detectors: random scores are the baseline of each metric, and
# "everything anomalous" finds all events. Average precision is computed by row, and
# VUS-PR tolerates near misses. The event columns evaluate the threshold that each
# detector set on the training rows.
ComparisonDisplay.from_table(table, metrics=["average_precision", "vus_pr"])

# %%
# One plant and one seed do not decide anything. Here 80 of 88 events last a single row,
# which suits PCA on single rows. On the four groups of series of
# :doc:`/user_guide/choosing`, its VUS-PR is below that of every detector with windows
# except the forest.
