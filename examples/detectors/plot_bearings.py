# SPDX-License-Identifier: MIT
"""
Bearings that run to failure
============================

Four bearings on a shaft run until one of them fails. A detector trained on the first
two days raises an alarm more than a day before the failure, and names the bearing.
"""

# %%
# The readings have the layout of NASA's IMS bearing data: every ten minutes, a text
# file with a second of vibration. The original data cannot be redistributed, so this
# example simulates them. If you have the original data, set `folder` to their folder.
from pathlib import Path
from tempfile import mkdtemp

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tsanomaly import AlarmFilter, AutoregressiveDetector, explain
from tsanomaly.datasets import load_ims_bearing
from tsanomaly.plotting import ContributionDisplay

folder = Path(mkdtemp())
rng = np.random.default_rng(0)
n_snapshots, n_rows, failing = 700, 256, 2
times = pd.date_range("2004-02-12 10:32", periods=n_snapshots, freq="10min")
for number, time in enumerate(times):
    vibration = 0.1 * rng.normal(size=(n_rows, 4))
    wear = max(0.0, number / n_snapshots - 0.7) / 0.3  # the last third of the run
    vibration[::32, failing] += 1.5 * wear  # a defect strikes once in each turn
    vibration[:, failing] *= 1 + wear**3
    np.savetxt(folder / f"{time:%Y.%m.%d.%H.%M.%S}", vibration, "%.3f", delimiter="\t")

# %%
# Each file becomes one row, with four statistics of each bearing that are commonly used
# to monitor wear.
frame = load_ims_bearing(folder).frame
print(frame.iloc[:3, :4].round(3).to_string())

# %%
# Train on the first two days, without any information about a failure.
train, later = frame[:300], frame[300:]
detector = make_pipeline(StandardScaler(), AutoregressiveDetector()).fit(train)
alarms = explain(detector, later, alarm_filter=AlarmFilter())
print(*alarms["sentence"], sep="\n")
warning = frame.index[-1] - alarms["raised"].iloc[-1]
print(f"raised {warning / pd.Timedelta('1h'):.0f} hours before the end")

# %%
# The upper panel shows the health of the machine, and the lower one the kurtosis of
# each bearing.
figure, axes = plt.subplots(2, sharex=True, figsize=(9, 5))
axes[0].plot(frame.index, -detector.score_samples(frame), linewidth=0.8)
axes[0].axhline(-detector[-1].offset_, color="black", linestyle="--")
axes[0].set(ylabel="error", yscale="log")
for bearing in range(1, 5):
    axes[1].plot(frame.index, frame[f"channel_{bearing}_kurtosis"], label=str(bearing))
axes[1].legend(title="bearing", ncols=4)
axes[1].set_ylabel("kurtosis")
figure.tight_layout()

# %%
# The errors by statistic and bearing.
ContributionDisplay.from_estimator(detector, later)
