# SPDX-License-Identifier: MIT
"""
A detector from any forecaster
==============================

Any scikit-learn regressor can forecast the next row, and the difference between a row
and its forecast is an error. A custom Keras network can do the same.
"""

# %%
# A simulated plant, with injected faults.
import pandas as pd
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.linear_model import MultiTaskLasso
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tsanomaly import AutoregressiveDetector, LSTMAutoencoderDetector
from tsanomaly.datasets import inject_anomalies, make_sensor_data
from tsanomaly.metrics import vus_pr
from tsanomaly.plotting import ReconstructionDisplay

normal = make_sensor_data(9_000, contamination=0, random_state=2).frame
train = normal[:6_000]
test, y_test, _ = inject_anomalies(normal[6_000:], n_events=12, random_state=2)

# %%
# The default is ridge regression, which is computed in closed form, in milliseconds.
# `lags` sets how many earlier rows a forecast uses. By default there are two models,
# each with its own scale. A network that returns one row instead of a window is a
# forecaster, too.


def lstm_forecaster(window_size, n_channels):
    from keras import Input, Sequential, layers

    return Sequential(
        [
            Input((window_size, n_channels)),
            layers.LSTM(16),
            layers.Dense(n_channels),
        ]
    )


forest = ExtraTreesRegressor(20, min_samples_leaf=5, random_state=0)
forecasters = {
    "ridge regression": AutoregressiveDetector(),
    "sparse regression": AutoregressiveDetector(5, regressor=MultiTaskLasso(0.01)),
    "random trees": AutoregressiveDetector(3, regressor=forest),
    "LSTM": LSTMAutoencoderDetector(
        window_size=16,
        network=lstm_forecaster,
        linear_variance=0,
        epochs=10,
        random_state=0,
    ),
}
table = {}
for name, forecaster in forecasters.items():
    detector = make_pipeline(StandardScaler(), forecaster).fit(train)
    errors = -detector.score_samples(test)
    table[name] = {
        "rows of the past": forecaster.n_context_,
        "VUS-PR": vus_pr(y_test, errors, window=50),
        "rows flagged": f"{(detector.predict(test) == -1).mean():.1%}",
    }
print(pd.DataFrame(table).T.to_string())

# %%
# Readings and forecasts around the first fault.
first = y_test.argmax()
ridge = make_pipeline(StandardScaler(), forecasters["ridge regression"]).fit(train)
ReconstructionDisplay.from_estimator(ridge, test[max(first - 100, 0) : first + 100])
