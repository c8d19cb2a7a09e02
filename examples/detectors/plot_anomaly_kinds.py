# SPDX-License-Identifier: MIT
"""
Eleven kinds of anomalies
=========================

Labelled failures are rare. Inject some into a normal series, and see what they look
like before you judge whether a detector should find them.
"""

# %%
# A simulated plant without anomalies: four sensors of one machine. A recorded series
# works too.
import matplotlib.pyplot as plt

from tsanomaly.datasets import inject_anomalies, make_sensor_data

plant = make_sensor_data(n_samples=1500, contamination=0, random_state=5).frame
kinds = [
    "spike",
    "drop",
    "level_shift",
    "drift",
    "contextual",
    "amplitude_change",
    "frequency_change",
    "noise_burst",
    "stuck",
    "dropout",
    "correlation_break",
]

# %%
# One event of each kind, at the same place. The changed channel is black, its original
# readings are dotted, and the other channels are grey. The mean of each channel is
# subtracted.
figure, axes = plt.subplots(6, 2, figsize=(11, 12), layout="constrained")
for ax, kind in zip(axes.flat, kinds, strict=False):
    X, y, events = inject_anomalies(
        plant, kinds=kind, n_events=1, magnitude=2, duration=80, random_state=1
    )
    start, end, channel = events.loc[0, ["start", "end", "channel"]]
    window = slice(start - 120 * plant.index.freq, end + 120 * plant.index.freq)
    centred = (X - plant.mean()).loc[window]
    others = centred.drop(columns=channel)
    ax.plot(others.index, others, color="0.75", linewidth=0.8)
    before = (plant[channel] - plant[channel].mean()).loc[window]
    ax.plot(before.index, before, color="black", linewidth=0.8, linestyle=":")
    ax.plot(centred.index, centred[channel], color="black", linewidth=1)
    ax.axvspan(start, end, color="tab:orange", alpha=0.3, linewidth=0)
    ax.set_title(kind, fontsize="medium")
    ax.tick_params(axis="x", labelbottom=False)
    print(f"{kind}: {y.sum()} rows of {channel}")
axes.flat[-1].set_axis_off()
