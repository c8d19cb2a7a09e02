# SPDX-License-Identifier: MIT
"""Plots, as display objects in the style of scikit-learn."""

from tsanomaly.plotting._anomaly import AnomalyDisplay
from tsanomaly.plotting._comparison import ComparisonDisplay
from tsanomaly.plotting._contribution import ContributionDisplay
from tsanomaly.plotting._correlation import CorrelationDisplay
from tsanomaly.plotting._error_distribution import ErrorDistributionDisplay
from tsanomaly.plotting._reconstruction import ReconstructionDisplay
from tsanomaly.plotting._series import SeriesDisplay
from tsanomaly.plotting._spectrum import SpectrumDisplay
from tsanomaly.plotting._threshold import ThresholdDisplay
from tsanomaly.plotting._training_history import TrainingHistoryDisplay

__all__ = [
    "AnomalyDisplay",
    "ComparisonDisplay",
    "ContributionDisplay",
    "CorrelationDisplay",
    "ErrorDistributionDisplay",
    "ReconstructionDisplay",
    "SeriesDisplay",
    "SpectrumDisplay",
    "ThresholdDisplay",
    "TrainingHistoryDisplay",
]
