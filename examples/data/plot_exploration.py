# SPDX-License-Identifier: MIT
"""
Look at a series before modelling it
====================================

What varies together, what repeats itself, how readings are distributed, and what is
left when the daily cycle is taken out.
"""

# %%
# All channels below each other; labelled anomalies are shaded.
import matplotlib.pyplot as plt
import numpy as np
from scipy.signal import savgol_filter

from tsanomaly.datasets import load_sample_plant
from tsanomaly.plotting import CorrelationDisplay, SeriesDisplay, SpectrumDisplay

plant = load_sample_plant()
SeriesDisplay.from_series(plant.frame, plant.target)

# %%
# Sensors that watch one machine vary together.
normal = plant.frame[plant.train_mask]
CorrelationDisplay.from_series(normal)

# %%
# A day, and the working cycle of the machine, which tells how long a window should be:
# one of 48 rows holds a whole cycle. (What is between the two comes from changes of
# load, and does not repeat itself.)
spectrum = SpectrumDisplay.from_series(normal, method="fft")
for name, periods in zip(spectrum.channels, spectrum.periods_, strict=True):
    print(name, [f"{seconds / 60:.0f} min" for seconds in sorted(periods)])

# %%
# Distributions are a line of pandas. Several humps are operating points, which no
# single threshold of the reading fits.
axes = normal.hist(bins=60, figsize=(9, 5), grid=False)
axes[0, 0].figure.tight_layout()

# %%
# A seasonal decomposition of one sensor: the trend is a line through the day around a
# row, the cycle the mean over the days at the same minute, and the rest is what a
# detector has to judge.
reading = normal["sensor_1"]
trend = savgol_filter(reading, window_length=24 * 60 + 1, polyorder=1)
detrended = reading - trend
cycle = detrended.groupby(detrended.index.time).transform("mean")
parts = {"reading": reading, "trend": trend, "cycle": cycle, "rest": detrended - cycle}
_, axes = plt.subplots(4, sharex=True, figsize=(11, 5), layout="constrained")
for ax, (name, values) in zip(axes, parts.items(), strict=True):
    ax.plot(reading.index, values, linewidth=0.8)
    ax.set_ylabel(name)
print(f"left of the variance: {np.var(parts['rest']) / np.var(reading):.0%}")
