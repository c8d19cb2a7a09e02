# SPDX-License-Identifier: MIT
"""
Is it the machine, or the sensor?
=================================

A sensor that is stuck, silent or noisy says nothing of the machine. Find such faults
before training, and in new readings.
"""

# %%
# A simulated plant, with five faults of sensors and loggers put into the training rows.
import matplotlib.pyplot as plt
import numpy as np

from tsanomaly import sensor_health
from tsanomaly.datasets import make_sensor_data
from tsanomaly.plotting import SeriesDisplay

frame = make_sensor_data(8_000, contamination=0, random_state=0).frame
train, new = frame[:5_000].copy(), frame[5_000:].copy()
rng = np.random.default_rng(0)
train.iloc[1_000:1_120, 0] = train.iloc[1_000, 0]  # stuck
train.iloc[2_000:2_090, 1] = np.nan  # silent
train.iloc[3_000:, 2] += 6 * train.iloc[:, 2].std()  # moved
train.iloc[4_000:4_060, 3] = 0.0  # no supply
train = train.drop(train.index[2_500:2_700])  # the logger stood still
SeriesDisplay.from_series(train)

# %%
# One line for each finding: what was seen, where, and what to do.
findings = sensor_health(train)
print(findings[["channel", "finding", "start", "n_rows"]].to_string())
print(*findings["message"], sep="\n")

# %%
# **Compare with a reference.** Some faults fill all of the new readings. Beside rows
# from a time when all was well they show.
new.iloc[:, 3] = new.iloc[:, 3].rolling(20, min_periods=1).mean()  # another filter
print(*sensor_health(new, frame[:5_000])["message"], sep="\n")

# %%
# The filtered sensor from near. No reading of it is out of range.
figure, axes = plt.subplots(1, 2, figsize=(9, 3), sharey=True)
for ax, (name, part) in zip(
    axes, {"reference": frame[4_000:4_200], "new": new[:200]}.items(), strict=True
):
    ax.plot(part.index, part.iloc[:, 3])
    ax.set_title(f"{frame.columns[3]}, {name}")
    ax.tick_params(axis="x", rotation=30)
figure.tight_layout()
