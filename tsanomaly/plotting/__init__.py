# SPDX-License-Identifier: MIT
"""Pictures, as Displays in the manner of scikit-learn."""

from tsanomaly.plotting._anomaly import AnomalyDisplay

__all__ = ["AnomalyDisplay"]
