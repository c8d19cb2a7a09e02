# SPDX-License-Identifier: MIT
"""
A cheap detector chooses, an expensive one decides
==================================================

In a cascade, the network scores only the rows that a screener suspects. This example
shows what that saves, and what it may cost.
"""

# %%
# A simulated machine: normal rows for training, and a long test series in which 1 % of
# the rows are anomalous.
from time import perf_counter

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.dates import ConciseDateFormatter
from sklearn.metrics import average_precision_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tsanomaly import HybridDetector, LSTMAutoencoderDetector
from tsanomaly.datasets import inject_anomalies, make_sensor_data

normal = make_sensor_data(60_000, contamination=0, random_state=0).frame
train = normal[:10_000]
test, y_test, events = inject_anomalies(
    normal[10_000:],
    kinds=["spike", "level_shift", "noise_burst", "stuck", "amplitude_change"],
    contamination=0.01,
    random_state=0,
)

# %%
# The network alone, and in a cascade behind the default screener, which forecasts each
# row from the previous one.
network = LSTMAutoencoderDetector(epochs=5, random_state=0)
detectors = {
    "network alone": make_pipeline(StandardScaler(), network),
    "cascade": make_pipeline(StandardScaler(), HybridDetector(detector=network)),
}
scores = {}
for name, detector in detectors.items():
    detector.fit(train)
    detector.score_samples(test[:1000])  # compile before timing
    start = perf_counter()
    scores[name] = detector.score_samples(test)
    seconds = perf_counter() - start
    precision = average_precision_score(y_test, -scores[name])
    print(f"{name}: {seconds:.1f} s, average precision {precision:.2f}")

# %%
# Rows that are not candidates keep the score of the screener, so an event without a
# candidate is lost. Count these events by kind:
scale, cascade = detectors["cascade"]
candidates = cascade.screen(scale.transform(test))
print(f"{candidates.mean():.1%} of the rows reach the network")
suspected = [
    candidates[slice(*test.index.slice_locs(event.start, event.end))].any()
    for event in events.itertuples()
]
share = events.assign(suspected=suspected).groupby("kind")["suspected"].mean()
print(share.map("{:.0%}".format).to_string())

# %%
# A day around a burst of noise. Rows in grey were scored by the screener only.
burst = events[events["kind"] == "noise_burst"].iloc[0]
span = np.arange(-720, 720) + test.index.get_loc(burst.start)
error = -scores["cascade"][span]
_, ax = plt.subplots(figsize=(9, 3), layout="constrained")
times = test.index[span]
ax.plot(times, error, color="0.7", linewidth=0.8, label="screener")
seen = candidates[span]
ax.plot(times[seen], error[seen], ".", markersize=4, label="network")
ax.fill_between(
    times,
    0,
    1,
    where=y_test[span] == 1,
    transform=ax.get_xaxis_transform(),
    color="tab:orange",
    alpha=0.3,
    label="labelled",
)
ax.xaxis.set_major_formatter(ConciseDateFormatter(ax.xaxis.get_major_locator()))
ax.set_ylabel("normalised score")
ax.set_ylim(top=1.3 * error.max())  # room for the legend
ax.legend(ncols=3, fontsize="small", loc="upper left")
