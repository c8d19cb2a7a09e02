# SPDX-License-Identifier: MIT
"""
Readings as they arrive
=======================

Score one reading at a time, with the same scores as for the whole series. This example
also shows a simple alarm logic, an outage and a restart.
"""

# %%
# Train on a simulated plant.
import pickle
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.dates import ConciseDateFormatter
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tsanomaly import LSTMAutoencoderDetector, StreamingDetector
from tsanomaly.datasets import load_sample_plant

plant = load_sample_plant()
train, test = plant.frame[plant.train_mask], plant.frame[~plant.train_mask]
detector = make_pipeline(
    StandardScaler(),
    LSTMAutoencoderDetector(window_size=30, contamination=0.001, random_state=0),
).fit(train)

# %%
# The stream keeps the rows that the next score needs. The last training rows are the
# context of the first new row.
stream = StreamingDetector(detector)
print(f"{stream.n_context_} rows are kept")
stream.warm_up(train[-stream.n_context_ :])

# %%
# A loop as in operation. An alarm begins with a flagged row, and ends after half an
# hour without one. The operator gets one message per alarm, not one per minute.
alarms, scores, seconds = [], [], []
quiet = 30
for time, row in test[:1500].iterrows():
    start = perf_counter()
    score, is_anomaly = stream.update(row.to_numpy())
    seconds.append(perf_counter() - start)
    scores.append(score)
    if is_anomaly:
        if quiet >= 30:
            alarms.append([time, time])
        alarms[-1][1] = time
    quiet = 0 if is_anomaly else quiet + 1
print(f"{len(alarms)} alarms; median {1000 * np.median(seconds):.2f} ms per reading")
for start, end in alarms[:5]:
    print(f"{start:%a %H:%M} to {end:%a %H:%M}")

# %%
# The scores equal those of the whole series.
whole = pd.concat([train[-stream.n_context_ :], test[:1500]])
batch = detector.score_samples(whole)[stream.n_context_ :]
assert np.allclose(scores, batch, rtol=1e-4)

_, ax = plt.subplots(figsize=(9, 3), layout="constrained")
ax.plot(test.index[:1500], scores, linewidth=0.8)
for start, end in alarms:
    ax.axvspan(start, end, color="tab:red", alpha=0.3, linewidth=0)
for event in plant.events.itertuples():
    if event.start < test.index[1500]:
        ax.axvspan(event.start, event.end, ymax=0.05, color="black")
ax.xaxis.set_major_formatter(ConciseDateFormatter(ax.xaxis.get_major_locator()))
ax.set_ylabel("score (red: alarm, black: label)")

# %%
# **An outage**: a row without any reading has no score and clears the context. The next
# row is treated like the first row of a series.
print(stream.update(np.full(4, np.nan)))

# %%
# **A restart**: a stream can be pickled at any time, and continues from there.
stored = pickle.dumps(stream)
print(f"{len(stored) / 1024:.0f} kB")
again = pickle.loads(stored)
assert again.update(test.iloc[1500]) == stream.update(test.iloc[1500])
