# SPDX-License-Identifier: MIT
"""
When normal changes
===================

A sensor is recalibrated and reads higher from then on. The alarm does not end, although
nothing is broken. This example shows how to notice such a change, and how to tell the
detector that the new level is normal.
"""

# %%
# A simulated plant. From one row on a sensor reads higher, for good. A day later there
# is a fault in another one.
import matplotlib.pyplot as plt
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tsanomaly import (
    AlarmFilter,
    AutoregressiveDetector,
    StreamingDetector,
    explain,
    sensor_health,
)
from tsanomaly.datasets import make_sensor_data
from tsanomaly.plotting import SeriesDisplay

normal = make_sensor_data(12_000, contamination=0, random_state=0).frame
train, new = normal[:8_000], normal[8_000:].copy()
new.iloc[1_000:, 0] += 4 * train.iloc[:, 0].std()  # the calibration
new.iloc[3_000:3_060, 1] += 5 * train.iloc[:, 1].std()  # the fault
SeriesDisplay.from_series(new)

# %%
# The detector flags nearly every row from then on, and the alarm does not end.
detector = make_pipeline(StandardScaler(), AutoregressiveDetector()).fit(train)
before = -detector.score_samples(new)
alarms = explain(detector, new, alarm_filter=AlarmFilter())
print(alarms[["start", "duration", "state"]].to_string())

# %%
# Sensor health says what has happened: a channel changed its level, and did not go
# back.
print(*sensor_health(new, train)["message"], sep="\n")

# %%
# The operator knows of the calibration. A few hours of normal rows are enough to move
# the level. What the model has learned about the course of the readings is kept;
# nothing is trained again.
since = new[1_000:1_500]
scaler, model = detector[0], detector[-1]
model.accept_new_normal(scaler.transform(since))
after = -detector.score_samples(new)

figure, ax = plt.subplots(figsize=(9, 3.5))
ax.plot(new.index, before, label="as trained", linewidth=0.8)
ax.plot(new.index[1_500:], after[1_500:], label="new normal accepted", linewidth=0.8)
ax.axhline(-model.offset_, color="black", linestyle="--", label="threshold")
ax.axvline(new.index[1_000], color="tab:grey", linestyle=":", label="calibration")
ax.set(ylabel="error", yscale="log")
ax.legend(ncols=2)
figure.tight_layout()

# %%
# What is left is the fault.
alarms = explain(detector, new[1_500:], alarm_filter=AlarmFilter())
print(*alarms["sentence"], sep="\n")

# %%
# A stream does the same while it runs. It takes readings as they come, before the
# scaler.
stream = StreamingDetector(detector, AlarmFilter())
stream.accept_new_normal(since)
stream.update_many(new[1_500:])
print(stream.alarms()[["start", "end", "state"]].to_string())
