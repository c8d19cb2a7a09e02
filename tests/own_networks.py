# SPDX-License-Identifier: MIT
"""Networks that users might write, independent of the package."""


def gru(window_size, n_channels):
    from keras import Input, Sequential, layers

    return Sequential(
        [
            Input((window_size, n_channels)),
            layers.GRU(4),
            layers.RepeatVector(window_size),
            layers.GRU(4, return_sequences=True),
            layers.Dense(n_channels),
        ]
    )


def convolution(window_size, n_channels):
    from keras import Input, Sequential, layers

    return Sequential(
        [
            Input((window_size, n_channels)),
            layers.Conv1D(4, 3, padding="same", activation="tanh"),
            layers.Conv1D(n_channels, 3, padding="same"),
        ]
    )


def attention(window_size, n_channels):
    from keras import Input, Model, layers

    windows = Input((window_size, n_channels))
    x = layers.Dense(4)(windows)
    x = layers.Add()([x, layers.MultiHeadAttention(2, 4)(x, x)])
    return Model(windows, layers.Dense(n_channels)(x))


def forecaster(window_size, n_channels):
    from keras import Input, Sequential, layers

    return Sequential(
        [
            Input((window_size, n_channels)),
            layers.LSTM(4),
            layers.Dense(n_channels),
        ]
    )


# How each is passed to the detector.
OWN_NETWORKS = {
    "gru": {"network": gru},
    "convolution": {"network": convolution},
    "attention": {"network": attention},
    "forecaster": {"network": forecaster, "linear_variance": 0},
}
