# SPDX-License-Identifier: MIT
"""
Why was it flagged?
===================

Which sensor an alarm comes from, what it read and what was expected: as sentences, as a
table, and as pictures.
"""

# %%
# PCA on windows learns four days of normal rows.
from sklearn.decomposition import PCA
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tsanomaly import (
    ReconstructionError,
    ReconstructionThreshold,
    WindowTransformer,
    explain,
)
from tsanomaly.datasets import load_sample_plant
from tsanomaly.plotting import (
    AnomalyDisplay,
    ContributionDisplay,
    ErrorDistributionDisplay,
    ReconstructionDisplay,
    ThresholdDisplay,
)

plant = load_sample_plant()
train, test = plant.frame[plant.train_mask], plant.frame[~plant.train_mask]
y_test = plant.target[~plant.train_mask]
detector = make_pipeline(
    StandardScaler(),
    WindowTransformer(10),
    ReconstructionError(PCA(0.9)),
    ReconstructionThreshold(quantile=0.9999),
).fit(train)

# %%
# One sentence for each event; alarms less than half an hour apart are one.
events = explain(detector, test, max_gap=30)
for sentence in events["sentence"][:5]:
    print(sentence)

# %%
# The table behind the sentences.
print(
    events[["start", "duration", "channels", "reading", "expected"]].head().to_string()
)

# %%
# Hits, misses and false alarms.
AnomalyDisplay.from_estimator(detector, test, y_test)

# %%
# Which sensor, and when.
ContributionDisplay.from_estimator(detector, test, y_test)

# %%
# The longest event from near: readings, and what was expected of them.
event = events.loc[events["duration"].idxmax()]
ReconstructionDisplay.from_estimator(detector, test[event["start"] : event["end"]])

# %%
# What the threshold cuts off, and what others would.
ErrorDistributionDisplay.from_estimator(detector, train, test, y_test)
ThresholdDisplay.from_estimator(detector, test, y_test)

# %%
# Neighbours do not reconstruct anything. The channels are replaced, one at a time, by
# normal readings: the one without which the rows would look normal is named.
neighbours = make_pipeline(
    StandardScaler(), LocalOutlierFactor(novelty=True, contamination=0.0005)
).fit(train)
for sentence in explain(neighbours, test, max_gap=30)["sentence"][:5]:
    print(sentence)
