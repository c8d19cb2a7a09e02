# SPDX-License-Identifier: MIT
"""
A server machine: when, and in which metric
===========================================

38 metrics of one server, one row a minute. The network learns two weeks that are
assumed to be normal, and scores the two weeks that follow, in which incident reports
label 13 events.
"""

# %%
# Train on the first half. Scaling belongs into the pipeline, so that it is learned from
# the training rows alone.
import numpy as np
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tsanomaly import LSTMAutoencoderDetector
from tsanomaly.datasets import load_smd
from tsanomaly.plotting import AnomalyDisplay

machine = load_smd()
train, test = machine.frame[machine.train_mask], machine.frame[~machine.train_mask]
y_test = machine.target[~machine.train_mask]
pipeline = make_pipeline(
    StandardScaler(),
    LSTMAutoencoderDetector(
        window_size=20, units=(32,), latent_dim=8, epochs=5, random_state=0
    ),
).fit(train)

# %%
# Which metrics do the flagged rows owe their errors to?
flagged = pipeline.predict(test) == -1
errors = pipeline.transform(test)
share = errors[flagged].sum(axis=0) / errors[flagged].sum()
worst = np.argsort(-share)[:3]
for channel in worst:
    print(f"{test.columns[channel]}: {share[channel]:.0%} of the error")

# %%
# Events that the detector found, missed, and alarms without an event.
AnomalyDisplay.from_estimator(pipeline, test, y_test, channels=worst.tolist())
