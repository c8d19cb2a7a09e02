# SPDX-License-Identifier: MIT
"""
Relations that are not linear
=============================

Two sensors stay within their ranges while the relation between them breaks. A linear
model cannot learn a relation such as a circle. The network of
:class:`~tsanomaly.LSTMAutoencoderDetector` can.
"""

# %%
# Position and torque of a wheel that turns back and forth lie on a circle. Three times,
# the torque is out of phase for 60 rows.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter1d
from sklearn.decomposition import PCA
from sklearn.metrics import average_precision_score
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tsanomaly import (
    AlarmFilter,
    LSTMAutoencoderDetector,
    ReconstructionError,
    ReconstructionThreshold,
    WindowTransformer,
    explain,
)

rng = np.random.default_rng(0)
n_rows, n_train = 6_000, 4_000
speed = gaussian_filter1d(rng.normal(size=n_rows), 20)
angle = np.cumsum(0.25 * speed / speed.std())
y = np.zeros(n_rows, dtype=int)
for start in (4_500, 5_000, 5_600):
    y[start : start + 60] = 1
wheel = pd.DataFrame(
    {"position": np.cos(angle), "torque": np.sin(angle + 1.5 * y)},
    index=pd.date_range("2024-01-01", periods=n_rows, freq="1min"),
)
wheel += 0.05 * rng.normal(size=wheel.shape)
train, test, y_test = wheel[:n_train], wheel[n_train:], y[n_train:]

# %%
# Each sensor looks normal by itself. Plotted against each other, they do not.
figure, axes = plt.subplots(1, 2, figsize=(9, 4), width_ratios=(2, 1))
test[480:640].plot(ax=axes[0], ylim=(-1.3, 1.7))
axes[0].legend(ncols=2, loc="upper center")
axes[0].axvspan(test.index[500], test.index[559], color="tab:red", alpha=0.2)
axes[0].set_title("over time, with the fault in red")
axes[1].plot(*test[y_test == 0].to_numpy().T, ".", markersize=2, label="normal")
axes[1].plot(*test[y_test == 1].to_numpy().T, ".", color="tab:red", label="fault")
axes[1].set(xlabel="position", ylabel="torque", aspect="equal", ylim=(-1.3, 1.9))
axes[1].legend(loc="upper center", ncols=2, markerscale=3, fontsize="small")
figure.tight_layout()

# %%
# Three detectors. PCA, which is linear, reconstructs windows. LOF compares windows with
# their neighbours. The LSTM autoencoder learns the relation.
detectors = {
    "PCA on windows": make_pipeline(
        StandardScaler(),
        WindowTransformer(10),
        ReconstructionError(PCA(0.9)),
        ReconstructionThreshold(),
    ),
    "LOF on windows": make_pipeline(
        StandardScaler(), WindowTransformer(10), LocalOutlierFactor(novelty=True)
    ),
    "LSTM autoencoder": make_pipeline(
        StandardScaler(), LSTMAutoencoderDetector(random_state=0)
    ),
}
figure, axes = plt.subplots(3, sharex=True, figsize=(9, 5))
for ax, (name, detector) in zip(axes, detectors.items(), strict=True):
    errors = -detector.fit(train).score_samples(test)
    precision = average_precision_score(y_test, errors)
    print(f"{name:<16}  average precision {precision:.2f}")
    ax.plot(errors, linewidth=0.8)
    ax.fill_between(
        np.arange(len(y_test)),
        *ax.get_ylim(),
        where=y_test == 1,
        color="tab:red",
        alpha=0.2,
    )
    ax.set_title(f"{name}: average precision {precision:.2f}", loc="left")
axes[-1].set_xlabel("row of the test series")
figure.tight_layout()

# %%
# `fit` measures on held-out rows how much more the network knows about each channel
# than the linear map. A gain near 1 means that only the network knows the channel, and
# a gain near 0 that the linear map is as good. The weight of the network follows from
# the gains.
network = detectors["LSTM autoencoder"][-1]
print(pd.Series(network.relation_gain_.round(2), wheel.columns).to_string())

# %%
# The alarms, as an operator would read them.
alarms = explain(detectors["LSTM autoencoder"], test, alarm_filter=AlarmFilter())
print(*alarms["sentence"], sep="\n")
