# SPDX-License-Identifier: MIT
"""Draw the picture of the README: ``python docs/draw_detection.py``."""

from pathlib import Path

import matplotlib.pyplot as plt
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tsanomaly import LSTMAutoencoderDetector
from tsanomaly.datasets import load_smd
from tsanomaly.plotting import AnomalyDisplay

machine = load_smd()
detector = make_pipeline(StandardScaler(), LSTMAutoencoderDetector(random_state=0))
detector.fit(machine.frame[machine.train_mask])
display = AnomalyDisplay.from_estimator(
    detector,
    machine.frame[33000:34000],
    machine.target[33000:34000],
    channels=["ch_13", "ch_33", "ch_34"],
)
display.figure_.set_size_inches(9, 4.5)
plt.savefig(Path(__file__).parent / "_static" / "detection.png", dpi=90)
