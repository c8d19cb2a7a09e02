# SPDX-License-Identifier: MIT
"""
When normal changes
===================

A sensor is recalibrated and reads higher from then on. The alarm does not end, although
nothing is broken. This example shows how to notice such a change, and how to tell the
detector that the new level is normal.
"""

# %%
# A simulated plant. From row 1,000 on, one sensor reads higher, permanently. A day
# later, another sensor has a fault.
import matplotlib.pyplot as plt
from matplotlib.dates import ConciseDateFormatter
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
# From then on, the detector flags nearly every row, and the alarm does not end.
detector = make_pipeline(StandardScaler(), AutoregressiveDetector()).fit(train)
before = -detector.score_samples(new)
alarms = explain(detector, new, alarm_filter=AlarmFilter())
print(alarms[["start", "duration", "state"]].to_string())

# %%
# `sensor_health` reports what happened: the level of a channel changed, and did not
# return.
print(*sensor_health(new, train)["message"], sep="\n")

# %%
# The operator knows about the calibration. A few hours of normal rows are enough to
# adjust the level. The model keeps everything else it has learned, and is not trained
# again.
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
ax.xaxis.set_major_formatter(ConciseDateFormatter(ax.xaxis.get_major_locator()))
ax.legend(ncols=2)
figure.tight_layout()

# %%
# Only the fault remains.
alarms = explain(detector, new[1_500:], alarm_filter=AlarmFilter())
print(*alarms["sentence"], sep="\n")

# %%
# A running stream can do the same. It takes unscaled readings.
stream = StreamingDetector(detector, AlarmFilter())
stream.accept_new_normal(since)
stream.update_many(new[1_500:])
print(stream.alarms()[["start", "end", "state"]].to_string())
