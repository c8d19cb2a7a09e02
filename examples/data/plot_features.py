# SPDX-License-Identifier: MIT
"""
Features of the recent past
===========================

Each reading of a stuck sensor looks normal by itself; only the past of a row reveals
the fault. TemporalFeatures puts the past into columns.
"""

# %%
# A simulated plant, in which one sensor is stuck three times.
import matplotlib.pyplot as plt
from matplotlib.dates import ConciseDateFormatter
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tsanomaly import TemporalFeatures
from tsanomaly.datasets import inject_anomalies, make_sensor_data

plant = make_sensor_data(6000, contamination=0, random_state=0).frame
train = plant[:4000]
test, y_test, events = inject_anomalies(
    plant[4000:], kinds="stuck", n_events=3, duration=80, random_state=1
)

# %%
# Four channels with times have 122 features, which follow the readings. All are causal
# and named.
features = TemporalFeatures().set_output(transform="pandas").fit(train)
table = features.transform(test)
print(table.shape)
for start in range(0, table.shape[1], 20):
    print(", ".join(table.columns[start : start + 3]), "…")

# %%
# The readings hardly show the event. Their standard deviation over the last ten rows
# does.
event = events.iloc[0]
span = slice(event.start - 3 * (event.end - event.start), None)
near = test.loc[span].index[:400]
deviation = next(
    name for name in table.columns if event.channel in name and "std_10" in name
)
_, axes = plt.subplots(2, sharex=True, figsize=(9, 4), layout="constrained")
axes[0].plot(near, test.loc[near, event.channel], linewidth=0.8)
axes[0].set_ylabel(event.channel)
axes[1].plot(near, table.loc[near, deviation], linewidth=0.8)
axes[1].set_ylabel(deviation)
for ax in axes:
    ax.axvspan(event.start, event.end, color="tab:orange", alpha=0.3, linewidth=0)
    ax.xaxis.set_major_formatter(ConciseDateFormatter(ax.xaxis.get_major_locator()))

# %%
# Features help a detector that scores each row by itself. Each feature has its own
# unit, so the scaler comes after the features. With less than three days of training
# rows, calendar features would do harm.
detectors = {
    "readings": make_pipeline(StandardScaler(), LocalOutlierFactor(novelty=True)),
    "features": make_pipeline(
        TemporalFeatures(calendar=False),
        StandardScaler(),
        LocalOutlierFactor(novelty=True),
    ),
    "rolling only": make_pipeline(
        TemporalFeatures(
            windows=(10, 30), lags=(), rates=(), calendar=False, interactions=False
        ),
        StandardScaler(),
        LocalOutlierFactor(novelty=True),
    ),
}
for name, detector in detectors.items():
    errors = -detector.fit(train).score_samples(test)
    print(f"LOF on {name}: ROC-AUC {roc_auc_score(y_test, errors):.2f}")
