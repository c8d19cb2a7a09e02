# SPDX-License-Identifier: MIT
"""
Watch a machine live
====================

`tsanomaly watch` scores readings as they arrive, and prints a line of JSON when an
alarm is raised and when it is over. Here the readings come through a pipe. They can
also come from a growing file, MQTT or HTTP.
"""

# %%
# Write a CSV file for training, and simulate new readings with a fault.
import json
import subprocess
import sys
from pathlib import Path
from tempfile import mkdtemp

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.dates import ConciseDateFormatter

from tsanomaly.datasets import make_sensor_data

folder = Path(mkdtemp())
plant = make_sensor_data(6_000, contamination=0, random_state=4).frame
plant[:4_500].to_csv(folder / "plant.csv", index_label="time")
new = plant[4_500:].copy()
new.iloc[700:760, 1] += 6 * plant.iloc[:, 1].std()

# %%
# Train with ``tsanomaly train plant.csv --detector autoregression``.


def tsanomaly(*arguments, **kwargs):
    """Run a command in the folder, and return its output."""
    command = [sys.executable, "-m", "tsanomaly", *arguments]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=True, **kwargs
    )
    return done.stdout


print(tsanomaly("train", "plant.csv", "--detector", "autoregression", "--no-plots"))

# %%
# Watch with ``logger | tsanomaly watch tsanomaly-results/model.skops --from -``. Each
# line of the output is an event. With ``--state watch.db``, the command continues where
# it was after a restart, and reports no alarm twice.
lines = tsanomaly(
    "watch",
    "tsanomaly-results/model.skops",
    "--from",
    "-",
    input=new.to_csv(index_label="time"),
)
events = [json.loads(line) for line in lines.splitlines()]
for event in events:
    print(event["at"], event["type"], event["channels"], event["priority"])

# %%
# Plot the alarm. ``--listen 8000`` serves a page with live charts.
figure, ax = plt.subplots(figsize=(9, 3))
ax.plot(new.index, new.iloc[:, 1], linewidth=0.8, label=new.columns[1])
for event in events:
    if event["type"] == "raised":
        time = pd.Timestamp(event["raised"]).tz_localize(None)
        ax.axvline(time, color="tab:red", label="alarm raised")
ax.set_ylabel("reading")
ax.xaxis.set_major_formatter(ConciseDateFormatter(ax.xaxis.get_major_locator()))
ax.legend()
figure.tight_layout()
