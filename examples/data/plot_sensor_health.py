# SPDX-License-Identifier: MIT
"""
Is it the machine, or the sensor?
=================================

A stuck, silent or noisy sensor tells nothing about the machine. Find such faults before
training, and in new readings.
"""

# %%
# A simulated plant, with five faults of sensors and loggers injected into the training
# rows.
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.dates import ConciseDateFormatter

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
train = train.drop(train.index[2_500:2_700])  # the logger stopped
SeriesDisplay.from_series(train)

# %%
# Each finding is one row, with a message that says what was found, where, and what to
# do.
findings = sensor_health(train)
print(findings[["channel", "finding", "start", "n_rows"]].to_string())
print(*findings["message"], sep="\n")

# %%
# **Compare with a reference.** Some faults affect all new readings. They show only in
# comparison with rows from a healthy period.
new.iloc[:, 3] = new.iloc[:, 3].rolling(20, min_periods=1).mean()  # a low-pass filter
print(*sensor_health(new, frame[:5_000])["message"], sep="\n")

# %%
# A close-up of the filtered sensor. All its readings are within the usual range.
figure, axes = plt.subplots(1, 2, figsize=(9, 3), sharey=True)
for ax, (name, part) in zip(
    axes, {"reference": frame[4_000:4_200], "new": new[:200]}.items(), strict=True
):
    ax.plot(part.index, part.iloc[:, 3])
    ax.set_title(f"{frame.columns[3]}, {name}")
    ax.xaxis.set_major_formatter(ConciseDateFormatter(ax.xaxis.get_major_locator()))
figure.tight_layout()
