# SPDX-License-Identifier: MIT
"""
Look at a series before modelling it
====================================

Plot the series, correlations, periods and distributions, and remove the daily cycle.
"""

# %%
# All channels. Labelled anomalies are shaded.
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.dates import ConciseDateFormatter
from scipy.signal import savgol_filter

from tsanomaly.datasets import load_sample_plant
from tsanomaly.plotting import CorrelationDisplay, SeriesDisplay, SpectrumDisplay

plant = load_sample_plant()
SeriesDisplay.from_series(plant.frame, plant.target)

# %%
# Sensors of the same machine are correlated.
normal = plant.frame[plant.train_mask]
CorrelationDisplay.from_series(normal)

# %%
# The spectrum has peaks at a day and at 48 minutes, the working cycle of the machine.
# The cycle suggests a window size: 48 rows hold a whole one. (The peak in between comes
# from changes of load, which are not periodic.)
spectrum = SpectrumDisplay.from_series(normal, method="fft")
for name, periods in zip(spectrum.channels, spectrum.periods_, strict=True):
    print(name, [f"{seconds / 60:.0f} min" for seconds in sorted(periods)])

# %%
# Histograms take one line of pandas. Several modes are several operating points, so no
# single limit on the readings fits.
axes = normal.hist(bins=60, figsize=(9, 5), grid=False)
axes[0, 0].figure.tight_layout()

# %%
# A seasonal decomposition of one sensor. The trend is a straight line fitted to the day
# around each row. The cycle is the mean over all days at the same minute. The detector
# has to judge the remainder.
reading = normal["sensor_1"]
trend = savgol_filter(reading, window_length=24 * 60 + 1, polyorder=1)
detrended = reading - trend
cycle = detrended.groupby(detrended.index.time).transform("mean")
remainder = detrended - cycle
parts = {"reading": reading, "trend": trend, "cycle": cycle, "remainder": remainder}
_, axes = plt.subplots(4, sharex=True, figsize=(11, 5), layout="constrained")
for ax, (name, values) in zip(axes, parts.items(), strict=True):
    ax.plot(reading.index, values, linewidth=0.8)
    ax.set_ylabel(name)
ax.xaxis.set_major_formatter(ConciseDateFormatter(ax.xaxis.get_major_locator()))
print(f"remaining variance: {np.var(remainder) / np.var(reading):.0%}")
