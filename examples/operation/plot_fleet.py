# SPDX-License-Identifier: MIT
"""
A fleet of machines
===================

Twelve pumps of one kind run at different levels. A single detector for all pumps learns
the differences between them as normal. One detector per pump does not.
"""

# %%
# Each pump is a simulated plant of three sensors, with its own gain and level. All
# readings are in one long frame, with a column that names the pump of each row.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.metrics import average_precision_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tsanomaly import (
    FleetDetector,
    ReconstructionError,
    ReconstructionThreshold,
    ScoreTransformer,
    WindowTransformer,
    explain,
)
from tsanomaly.datasets import make_sensor_data


def make_pump(number, n_rows=4000):
    """Return the readings of a pump with a column for its name, and labels."""
    pump = make_sensor_data(
        n_rows,
        3,
        contamination=0.02,
        kinds=["spike", "level_shift", "noise_burst"],
        random_state=number,
    )
    gain, level = np.random.default_rng(number).uniform([0.2, -40], [5, 40])
    frame = gain * pump.frame + level
    frame.insert(0, "machine_id", f"pump {number}")
    return frame, pump.target


pumps = [make_pump(number) for number in range(12)]
train = pd.concat([frame[:2500] for frame, _ in pumps])
test = pd.concat([frame[2500:] for frame, _ in pumps])
labels = np.concatenate([target[2500:] for _, target in pumps])
print(train.groupby("machine_id").mean().round(1).head(4))

# %%
# The detector of a machine is a pipeline that includes a scaler. Residuals differ in
# size between pumps. :class:`~tsanomaly.ScoreTransformer` puts them on a common scale,
# so that scores of different machines can be ranked together. The fleet fits a clone of
# the pipeline on the rows of each machine.
residuals = make_pipeline(
    WindowTransformer(10), ReconstructionError(PCA(8)), ReconstructionThreshold()
)
detector = make_pipeline(
    StandardScaler(),
    ScoreTransformer(residuals, calibrate="log"),
    ReconstructionThreshold(),
)
fleet = FleetDetector(detector).fit(train)
print(f"{len(fleet.groups_)} detectors, and one for unknown machines")

# %%
# Scores are returned in the order of the rows.
channels = test.columns[1:]
single = detector.fit(train[channels])
for name, model, X in (("fleet", fleet, test), ("one for all", single, test[channels])):
    precision = average_precision_score(labels, -model.score_samples(X))
    print(f"{name}: average precision {precision:.2f}")

# %%
# Flagged rows per pump, and how many of them are labelled.
alarms = pd.DataFrame(
    {
        "flagged": fleet.predict(test) == -1,
        "right": (fleet.predict(test) == -1) & (labels == 1),
        "labelled": labels == 1,
    }
)
by_pump = alarms.groupby(test["machine_id"].to_numpy(), sort=False).sum()
print(by_pump)

_, ax = plt.subplots(figsize=(9, 3), layout="constrained")
place = np.arange(len(by_pump))
ax.bar(place - 0.2, by_pump["labelled"], 0.4, label="labelled rows", color="0.7")
ax.bar(place + 0.2, by_pump["flagged"], 0.4, label="flagged", color="tab:red")
ax.bar(
    place + 0.2, by_pump["right"], 0.4, label="flagged and labelled", color="tab:blue"
)
ax.set_xticks(place, by_pump.index, rotation=30)
ax.set_ylabel("rows")
ax.legend()

# %%
# The detector of a machine is an ordinary fitted detector, and
# :func:`~tsanomaly.explain` uses the units of that machine.
worst = by_pump["right"].idxmax()
readings = test.loc[test["machine_id"] == worst, channels]
events = explain(fleet.detectors_[worst], readings, max_gap=20)
print(worst, *events["sentence"].head(3), sep="\n")

# %%
# **A new machine** has no detector yet. The fallback, fitted on rows of all pumps,
# scores it until it has enough rows of its own. On this pump, the fallback ranks rows
# as well as a detector fitted on 2,500 rows of the pump.
new, target = make_pump(99)
grown = FleetDetector(detector).fit(pd.concat([train, new[:2500]]))
for name, model in (("fallback", fleet), ("its own detector", grown)):
    precision = average_precision_score(target[2500:], -model.score_samples(new[2500:]))
    print(f"{name}: average precision {precision:.2f}")
