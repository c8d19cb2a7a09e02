# SPDX-License-Identifier: MIT
"""Judge detectors: 1 = anomaly in the ground truth, higher scores = worse."""

from tsanomaly.metrics._scorer import make_anomaly_scorer

__all__ = ["make_anomaly_scorer"]
