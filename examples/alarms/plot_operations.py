# SPDX-License-Identifier: MIT
"""
What to alarm on
================

A detector ranks rows. Which of them should raise an alarm depends on costs: that of a
missed event, that of a false alarm, and that of a delay.
"""

# %%
# A simulated plant, in three parts: normal rows for training, held-out normal rows to
# set thresholds, and labelled rows to evaluate them.
from itertools import pairwise

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tsanomaly import ReconstructionError, ReconstructionThreshold, WindowTransformer
from tsanomaly.datasets import inject_anomalies, make_sensor_data
from tsanomaly.metrics import (
    detection_delay,
    event_precision_recall_fscore,
    false_alarms_per_day,
)
from tsanomaly.plotting import ThresholdDisplay

normal = make_sensor_data(30_000, contamination=0, random_state=1).frame
train, held_out = normal[:10_000], normal[10_000:20_000]
test, y_test, _ = inject_anomalies(
    normal[20_000:],
    kinds=["spike", "level_shift", "drift", "noise_burst", "stuck"],
    n_events=25,
    magnitude=(2, 4),
    random_state=1,
)
errors = make_pipeline(
    StandardScaler(), WindowTransformer(10), ReconstructionError(PCA(0.9))
).fit(train)
held_out_errors, test_errors = errors.transform(held_out), errors.transform(test)

# %%
# Try several thresholds, all set without labels. An alarm is a run of flagged rows.
# Gaps of up to 15 rows are closed first, so that a short interruption does not start a
# new alarm.


def close_gaps(flags, gap=15):
    """Flag the rows between flagged rows that are close to each other."""
    rows = np.flatnonzero(flags)
    closed = flags.copy()
    for before, after in pairwise(rows):
        if after - before <= gap:
            closed[before:after] = 1
    return closed


table = []
for quantile in (0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995):
    threshold = ReconstructionThreshold(quantile=quantile).fit(held_out_errors)
    alarms = close_gaps((threshold.predict(test_errors) == -1).astype(int))
    table.append(
        {
            "quantile": quantile,
            "found": event_precision_recall_fscore(y_test, alarms)[1],
            "false alarms per day": false_alarms_per_day(
                y_test, alarms, times=test.index
            ),
            "median delay (rows)": detection_delay(y_test, alarms).median,
        }
    )
table = pd.DataFrame(table)
print(table.to_string(index=False, float_format="{:.4g}".format))

# %%
# **Cost.** A false alarm costs time, and a missed event may cause damage. The cheapest
# threshold depends on how many false alarms a missed event is worth.
days = (test.index[-1] - test.index[0]) / pd.Timedelta("1D")
events_a_day = 25 / days
_, ax = plt.subplots(figsize=(8, 4), layout="constrained")
for worth in (1, 5, 20):
    cost = table["false alarms per day"] + worth * events_a_day * (1 - table["found"])
    (line,) = ax.plot(
        table.index, cost, marker="o", label=f"cost of a miss: {worth} false alarms"
    )
    cheapest = cost.idxmin()
    ax.plot(cheapest, cost[cheapest], "o", markersize=12, color=line.get_color())
    print(f"a miss worth {worth}: quantile {table['quantile'][cheapest]}")
ax.set_xticks(table.index, table["quantile"])
ax.set_xlabel("quantile of held-out normal rows")
ax.set_ylabel("cost per day, in false alarms")
ax.legend()

# %%
# All thresholds at once, with labels.
pipeline = make_pipeline(
    *(step for _, step in errors.steps),
    ReconstructionThreshold(quantile=0.999).fit(held_out_errors),
)
ThresholdDisplay.from_estimator(pipeline, test, y_test)

# %%
# Recommendations:
#
# - Raise alarms for *events*, not for rows. Close short gaps, and stay quiet for a
#   while afterwards.
# - Set the threshold on held-out normal rows, from an agreed budget of false alarms per
#   day.
# - Use two thresholds if consequences differ: a high one that calls an operator, and a
#   low one for the daily report.
# - Name the sensor in the message (:func:`~tsanomaly.explain`).
# - Record the outcome of each alarm. These records are your future labels.
# - Monitor the share of flagged rows. If it doubles, normal operation has changed:
#   train again.
