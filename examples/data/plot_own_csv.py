# SPDX-License-Identifier: MIT
"""
Your own CSV file
=================

From a typical file of a logger, with semicolons, decimal commas, lost readings and an
outage, to the first alarm.
"""

# %%
# Write such a file from a simulated machine. Use the path of your own file instead.
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from sklearn.decomposition import PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tsanomaly import (
    ReconstructionError,
    ReconstructionThreshold,
    WindowTransformer,
    explain,
)
from tsanomaly.datasets import make_sensor_data, read_sensor_csv, regularize
from tsanomaly.plotting import AnomalyDisplay, SeriesDisplay

folder = TemporaryDirectory()
path = Path(folder.name) / "logger.csv"
rng = np.random.default_rng(0)
logged = make_sensor_data(6000, n_sensors=3, contamination=0, random_state=3).frame
logged.columns = ["Pressure", "Flow", "Temperature"]
logged.iloc[5200:5260, 1] -= 25  # the pump loses flow for an hour
logged = logged[rng.random(len(logged)) > 0.02]  # lost readings
logged = logged.drop(logged.index[3000:3200])  # an outage
logged.to_csv(
    path, sep=";", decimal=",", date_format="%d.%m.%Y %H:%M", index_label="Zeit"
)
print(path.read_text()[:150])

# %%
# One line reads it. Separator, decimal mark and time column are detected; if that
# fails, an error names the parameter to set. A warning says that the times are
# irregular.
readings = read_sensor_csv(path)
print(readings.dtypes)
print(readings.index[[0, -1]])

# %%
# A window counts rows, so put the readings on a regular grid. Lost readings are
# forward-filled. The rows of the outage are NaN in every channel; no window crosses
# them.
series = regularize(readings, "1min")
print(f"{series.isna().all(axis=1).sum()} rows of the outage are breaks")
SeriesDisplay.from_series(series)

# %%
# Train on the first part, which is assumed to be normal, and score the rest.
train, new = series[:4500], series[4500:]
detector = make_pipeline(
    StandardScaler(),
    WindowTransformer(10),
    ReconstructionError(PCA(0.9)),
    ReconstructionThreshold(quantile=0.9999),
).fit(train)
for sentence in explain(detector, new, max_gap=30)["sentence"]:
    print(sentence)
AnomalyDisplay.from_estimator(detector, new)
folder.cleanup()
