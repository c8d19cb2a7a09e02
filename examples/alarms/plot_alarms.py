# SPDX-License-Identifier: MIT
"""
Alarms and budgets
==================

From scores to a handful of alarms: set a budget of false alarms per week, and sort
alarms by priority.
"""

# %%
# A simulated plant with one row per minute: two weeks for training, and a third week
# with injected faults.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.dates import ConciseDateFormatter
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from tsanomaly import (
    AlarmFilter,
    AutoregressiveDetector,
    ReconstructionThreshold,
    explain,
    fit_cross_fitted,
)
from tsanomaly.datasets import inject_anomalies, make_sensor_data
from tsanomaly.metrics import alarm_report

normal = make_sensor_data(30_000, contamination=0, random_state=3).frame
train, later = normal[:20_000], normal[20_000:]
test, y_test, events = inject_anomalies(
    later,
    kinds=["level_shift", "drift", "noise_burst", "stuck"],
    n_events=8,
    magnitude=(3, 6),
    random_state=3,
)

# %%
# **A budget.** `false_alarms=1, per="7D"` asks for a threshold that normal rows exceed
# once a week. `fit_cross_fitted` sets it on errors of rows that the detector was not
# fitted on, because errors of training rows are too small.


def fitted(**threshold_params):
    pipeline = Pipeline(
        [
            ("scale", StandardScaler()),
            ("errors", AutoregressiveDetector()),
            ("threshold", ReconstructionThreshold(**threshold_params)),
        ]
    ).set_output(transform="pandas")  # the budget needs the times of the rows
    return fit_cross_fitted(pipeline, train)


week = fitted(false_alarms=1, per="7D")
rows = []
for name, pipeline in {
    "1 % of the rows": fitted(quantile=0.99),
    "1 alarm a day": fitted(false_alarms=1, per="1D"),
    "1 alarm a week": week,
}.items():
    for kind, alarm_filter in {
        "each run of flagged rows": AlarmFilter(trigger=0, off_delay=1),
        "AlarmFilter()": AlarmFilter(),
    }.items():
        alarms = explain(pipeline, test, alarm_filter=alarm_filter)
        in_alarm = np.zeros(len(test), dtype=int)
        for alarm in alarms.itertuples():
            in_alarm[test.index.slice_indexer(alarm.start, alarm.end)] = 1
        report = alarm_report(in_alarm, y_true=y_test, times=test.index)
        rows.append(
            {
                "threshold": name,
                "alarms from": kind,
                "alarms per day": report.alarms_per_day,
                "events found": f"{report.events_found:.0%}",
            }
        )
print(pd.DataFrame(rows).to_string(index=False, float_format="{:.1f}".format))

# %%
# **The alarms of the last line**, the most severe first. The severity is 0 at the
# threshold. It is 50 if the error is as far above the threshold as the threshold is
# above the median error of normal rows.
alarms = explain(week, test, alarm_filter=AlarmFilter())
print(*alarms.nlargest(5, "severity")["sentence"], sep="\n")

# %%
# **Start and end of each alarm.** The upper panel shows the error of each row and the
# threshold. The lower panel shows the alarms, coloured by priority, and the injected
# faults in grey.
colors = {"low": "tab:olive", "medium": "tab:orange", "high": "tab:red"}
figure, axes = plt.subplots(2, sharex=True, figsize=(9, 4), height_ratios=(3, 1))
axes[0].plot(test.index, -week.score_samples(test), linewidth=0.8)
axes[0].axhline(-week[-1].offset_, color="black", linestyle="--", label="threshold")
axes[0].set_ylabel("error")
axes[0].legend()
axes[1].fill_between(
    test.index, 0, y_test, step="mid", color="lightgrey", label="fault"
)
for alarm in alarms.itertuples():
    axes[1].axvspan(alarm.start, alarm.end, 0.2, 0.8, color=colors[alarm.priority])
for priority, color in colors.items():
    axes[1].plot([], [], color=color, linewidth=6, label=f"alarm, priority {priority}")
axes[1].legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.6))
axes[1].set_yticks([])
axes[1].xaxis.set_major_formatter(
    ConciseDateFormatter(axes[1].xaxis.get_major_locator())
)
figure.tight_layout()
