# SPDX-License-Identifier: MIT
"""
Why was it flagged?
===================

Find the sensor behind an alarm, its reading and the expected reading, as sentences, as
a table and as plots.
"""

# %%
# Fit PCA on windows of four days of normal rows.
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
# Print one sentence per event. Flagged rows at most 30 rows apart belong to the same
# event.
events = explain(detector, test, max_gap=30)
for sentence in events["sentence"][:5]:
    print(sentence)

# %%
# The same as a table.
print(
    events[["start", "duration", "channels", "reading", "expected"]].head().to_string()
)

# %%
# Hits, misses and false alarms.
AnomalyDisplay.from_estimator(detector, test, y_test)

# %%
# The errors by sensor and time.
ContributionDisplay.from_estimator(detector, test, y_test)

# %%
# The readings and the expected readings of the longest event.
event = events.loc[events["duration"].idxmax()]
ReconstructionDisplay.from_estimator(detector, test[event["start"] : event["end"]])

# %%
# The distribution of errors, and precision and recall of other thresholds.
ErrorDistributionDisplay.from_estimator(detector, train, test, y_test)
ThresholdDisplay.from_estimator(detector, test, y_test)

# %%
# LOF does not reconstruct readings, so `explain` replaces one channel at a time with
# normal readings. It names the channel without which the rows would look normal.
neighbours = make_pipeline(
    StandardScaler(), LocalOutlierFactor(novelty=True, contamination=0.0005)
).fit(train)
for sentence in explain(neighbours, test, max_gap=30)["sentence"][:5]:
    print(sentence)
