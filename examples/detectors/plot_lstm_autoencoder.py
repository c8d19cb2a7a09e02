# SPDX-License-Identifier: MIT
"""
An LSTM autoencoder, step by step
=================================

The steps from readings to alarms: training, reconstruction, errors, scores and a
threshold.
"""

# %%
# A simulated plant. The training rows are normal.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.dates import ConciseDateFormatter
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tsanomaly import LSTMAutoencoderDetector, Training
from tsanomaly.datasets import load_sample_plant
from tsanomaly.plotting import (
    AnomalyDisplay,
    ErrorDistributionDisplay,
    ReconstructionDisplay,
    TrainingHistoryDisplay,
)

plant = load_sample_plant()
train, test = plant.frame[plant.train_mask], plant.frame[~plant.train_mask]
y_test = plant.target[~plant.train_mask]

# %%
# **Training.** Windows of 16 rows are drawn at random from the scaled training rows,
# and the network learns to reconstruct them from a noisy copy. Here the last fifth of
# the windows is held out, which gives a second training curve. A linear map of windows
# of 80 rows is fitted beside the network. `relation_gain_` tells how much the network
# adds to it, and sets its weight.
detector = make_pipeline(
    StandardScaler(),
    LSTMAutoencoderDetector(training=Training(validation_fraction=0.2), random_state=0),
).fit(train)
network = detector[-1]
print(f"{sum(w.size for w in network.weights_):,} weights, {network.n_iter_} epochs")
print(f"gain of the network by channel: {network.relation_gain_.round(2)}")
TrainingHistoryDisplay.from_estimator(detector)

# %%
# **Reconstruction.** What the detector expects of the readings around an event.
event = plant.events[plant.events["kind"] == "level_shift"].iloc[0]
margin = pd.Timedelta("2h")
near = test[event.start - margin : event.end + margin]
print(f"{event.kind} of {event.channel}")
labels = y_test[test.index.isin(near.index)]
ReconstructionDisplay.from_estimator(detector, near, labels)

# %%
# **Errors.** Each row and channel has one, which is never negative. It combines the
# residuals of the last 1, 2, 5, 10, 20, 40 and 80 rows, so that it shows both short and
# long anomalies.
errors = detector.transform(near)
_, ax = plt.subplots(figsize=(9, 3), layout="constrained")
ax.plot(near.index, errors, linewidth=1, label=near.columns)
ax.axvspan(event.start, event.end, color="0.85", linewidth=0)
ax.xaxis.set_major_formatter(ConciseDateFormatter(ax.xaxis.get_major_locator()))
ax.set_ylabel("error")
ax.legend(fontsize="small")

# %%
# **Scores** are the opposite of the mean error of a row: higher for normal rows, as
# everywhere in scikit-learn.
scores = detector.score_samples(near)
assert np.allclose(scores, -errors.mean(axis=1))

# %%
# **Threshold.** By default, 1 % of the held-out rows exceed it.
print(f"offset: {network.offset_:.2f}")
print(f"{(detector.predict(train) == -1).mean():.1%} of the training rows flagged")
ErrorDistributionDisplay.from_estimator(detector, train, test, y_test)

# %%
# **Alarms.** Hits, misses and false alarms. Errors of new normal rows are slightly
# larger than those of training rows, so more than 1 % of them are flagged. See
# :doc:`/user_guide/thresholds` for remedies.
flagged = detector.predict(test) == -1
print(f"{flagged[y_test == 0].mean():.1%} of the normal test rows flagged")
AnomalyDisplay.from_estimator(detector, test, y_test)
