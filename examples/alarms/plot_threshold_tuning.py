# SPDX-License-Identifier: MIT
"""
Tune a threshold without retraining
===================================

A grid search over thresholds needs the errors of each split only once. With ``memory``,
the pipeline trains the network ``n_splits + 1`` times, however many candidates there
are.
"""

# %%
# A labelled series of two sensors of a simulated machine, with six faults of ten rows
# each.
from tempfile import TemporaryDirectory

import matplotlib.pyplot as plt
import numpy as np
from sklearn.model_selection import GridSearchCV, TimeSeriesSplit
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from tsanomaly import LSTMAutoencoderDetector, ReconstructionThreshold, Training
from tsanomaly.metrics import make_anomaly_scorer

rng = np.random.default_rng(0)
time = np.arange(3000)
X = np.column_stack([np.sin(time / 12), np.cos(time / 12)])
X += 0.1 * rng.normal(size=X.shape)
y = np.zeros(len(X), dtype=int)
for start in (400, 900, 1300, 1900, 2300, 2800):
    X[start : start + 10, rng.integers(2)] += 1.5
    y[start : start + 10] = 1

# %%
# The metric must compare labels with flags. A ranking metric such as ROC-AUC has the
# same value for all thresholds.
with TemporaryDirectory() as cache:
    search = GridSearchCV(
        Pipeline(
            [
                ("scale", StandardScaler()),
                (
                    "errors",
                    LSTMAutoencoderDetector(
                        window_size=20,
                        units=(16,),
                        latent_dim=4,
                        epochs=30,
                        training=Training(learning_rate=0.01, windows_per_epoch=500),
                        row_error="last",
                        random_state=0,
                    ),
                ),
                ("threshold", ReconstructionThreshold()),
            ],
            memory=cache,
        ),
        {"threshold__quantile": [0.9, 0.95, 0.98, 0.99, 0.999]},
        scoring=make_anomaly_scorer("f1"),
        cv=TimeSeriesSplit(3),
    ).fit(X, y)

for candidate, f1 in zip(
    search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
):
    print(f"quantile {candidate['threshold__quantile']}: F1 {f1:.2f}")
print("best:", search.best_params_)

# %%
# The line is the mean over the folds, and the dots are single folds. With so few
# faults, the folds differ a lot.
quantiles = [str(quantile) for quantile in search.param_grid["threshold__quantile"]]
folds = [search.cv_results_[f"split{fold}_test_score"] for fold in range(3)]
_, ax = plt.subplots(figsize=(7, 3.5), layout="constrained")
ax.plot(quantiles, np.transpose(folds), ".", color="0.6")
ax.plot(quantiles, search.cv_results_["mean_test_score"], marker="o", label="mean")
ax.set_xlabel("quantile of the training errors")
ax.set_ylabel("F1")
ax.legend()
