# SPDX-License-Identifier: MIT
"""
A network of your own
=====================

Write a function that returns a Keras model. Errors, thresholds, streams, explanations
and model files then work as with the default network.
"""

# %%
# A simulated plant, with injected faults.
import matplotlib.pyplot as plt
import pandas as pd
from sklearn.metrics import average_precision_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tsanomaly import LSTMAutoencoderDetector, StreamingDetector, explain
from tsanomaly.datasets import inject_anomalies, make_sensor_data

normal = make_sensor_data(6_000, contamination=0, random_state=1).frame
train = normal[:4_000]
test, y_test, _ = inject_anomalies(normal[4_000:], n_events=8, random_state=1)

# %%
# Three autoencoders, which map windows to windows. Import Keras inside the functions:
# by then, the library has selected a backend that is installed.


def gru(window_size, n_channels):
    from keras import Input, Sequential, layers

    return Sequential(
        [
            Input((window_size, n_channels)),
            layers.GRU(16),
            layers.RepeatVector(window_size),
            layers.GRU(16, return_sequences=True),
            layers.Dense(n_channels),
        ]
    )


def convolutions(window_size, n_channels):
    from keras import Input, Sequential, layers

    return Sequential(
        [
            Input((window_size, n_channels)),
            layers.Conv1D(16, 7, padding="same", activation="relu"),
            layers.Conv1D(4, 7, padding="same", activation="relu"),
            layers.Conv1D(n_channels, 7, padding="same"),
        ]
    )


def attention(window_size, n_channels):
    from keras import Input, Model, layers

    windows = Input((window_size, n_channels))
    x = layers.Dense(16)(windows)
    x = layers.Add()([x, layers.MultiHeadAttention(num_heads=2, key_dim=8)(x, x)])
    return Model(windows, layers.Dense(n_channels)(layers.LayerNormalization()(x)))


# %%
# With `linear_variance=0` there is no linear map beside the network, so that each
# network is evaluated by itself.
rows = []
for network in (gru, convolutions, attention):
    detector = make_pipeline(
        StandardScaler(),
        LSTMAutoencoderDetector(
            window_size=16,
            network=network,
            linear_variance=0,
            epochs=10,
            random_state=0,
        ),
    ).fit(train)
    model = detector[-1]
    n_weights = sum(array.size for array in model.weights_)
    precision = average_precision_score(y_test, -detector.score_samples(test))
    rows.append([network.__name__, n_weights, model.history_["loss"][-1], precision])
columns = ["network", "weights", "last loss", "average precision"]
table = pd.DataFrame(rows, columns=columns)
print(table.round(3).to_string(index=False))

_, ax = plt.subplots(figsize=(7, 2.5), layout="constrained")
ax.barh(table["network"], table["average precision"])
ax.set_xlabel("average precision")

# %%
# Explanations and streams work as usual.
print(*explain(detector, test, max_gap=30)["sentence"][:3], sep="\n")
stream = StreamingDetector(detector)
stream.warm_up(test[:100])
print(stream.update(test.iloc[100]))
