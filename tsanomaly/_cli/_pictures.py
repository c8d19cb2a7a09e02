# SPDX-License-Identifier: MIT
"""Plots of the commands."""

import numpy as np
import pandas as pd

__all__ = [
    "N_DRAWN_CHANNELS",
    "correlated_readings",
    "draw_anomalies",
    "draw_contributions",
    "draw_measures",
    "draw_readings",
    "main_channels",
    "name_machine",
    "shown_readings",
]

# Maximum number of channels in plots with scores: those with the largest errors.
N_DRAWN_CHANNELS = 8

# Maximum number of channels in plots with one panel each: the first ones. More would
# not fit on a page.
_N_DRAWN_READINGS = 20

# Maximum number of channels in the correlation plot: the first ones. More names would
# not fit beside the rows.
_N_CORRELATED = 120


def main_channels(found):
    """Find the channels to draw: those with the largest errors."""
    n_channels = found.contributions.shape[1]
    rows = found.flagged if found.flagged.any() else np.ones_like(found.flagged)
    share = np.nan_to_num(found.contributions[rows]).sum(axis=0)
    most = np.argsort(-share, kind="stable")[: min(n_channels, N_DRAWN_CHANNELS)]
    return np.sort(most).tolist()


def shown_readings(frame):
    """Describe which channels the plots of readings and spectra show."""
    return _first(_N_DRAWN_READINGS, frame)


def correlated_readings(frame):
    """Describe which channels the correlation plot shows."""
    return _first(_N_CORRELATED, frame)


def _first(most, frame):
    if frame.shape[1] <= most:
        return "all channels"
    return f"the first {most} of {frame.shape[1]:,} channels"


def draw_readings(frame, labels):
    """Draw readings, spectra and correlations, by file name."""
    from tsanomaly.plotting import CorrelationDisplay, SeriesDisplay, SpectrumDisplay

    drawn = frame.iloc[:, :_N_DRAWN_READINGS]
    displays = {
        "series": SeriesDisplay.from_series(drawn, labels),
        "correlation": CorrelationDisplay.from_series(frame.iloc[:, :_N_CORRELATED]),
    }
    if len(frame) >= 16:
        displays["spectrum"] = SpectrumDisplay.from_series(drawn)
    return {name: display.figure_ for name, display in displays.items()}


def draw_anomalies(frame, found, labels):
    """Draw readings, scores and alarms."""
    from tsanomaly.plotting import AnomalyDisplay

    if found.contributions.shape[1]:
        channels = main_channels(found)
    else:
        channels = list(range(min(frame.shape[1], N_DRAWN_CHANNELS)))
    return AnomalyDisplay.from_predictions(
        frame, found.errors, found.threshold, found.in_alarm, labels, channels=channels
    ).figure_


def draw_contributions(frame, found, labels):
    """Draw errors by channel over time, or return None if there are none."""
    from tsanomaly.plotting import ContributionDisplay

    if not np.isfinite(found.contributions).any():
        return None
    table = pd.DataFrame(found.contributions, index=frame.index, columns=frame.columns)
    return ContributionDisplay.from_predictions(table, labels).figure_


def name_machine(figure, name):
    """Title a figure with the name of a machine."""
    from tsanomaly.plotting._text import PLAIN, drawn, use_fonts, wrap

    title = figure.suptitle(wrap(drawn(name), 60), **PLAIN)
    use_fonts([title], [name])


def draw_measures(frame, errors, flagged, labels, threshold):
    """Draw the plots that need labels, by name."""
    import matplotlib.pyplot as plt
    from sklearn.metrics import (
        ConfusionMatrixDisplay,
        PrecisionRecallDisplay,
        RocCurveDisplay,
    )

    from tsanomaly.plotting import ThresholdDisplay

    figures = {}
    if labels.any():
        figures["thresholds"] = ThresholdDisplay.from_predictions(
            labels, errors, times=frame.index, threshold=threshold
        ).figure_
    if len(np.unique(labels)) == 2:
        for name, display in (
            ("roc", RocCurveDisplay),
            ("precision_recall", PrecisionRecallDisplay),
        ):
            figures[name], axes = plt.subplots(figsize=(5, 5), layout="constrained")
            display.from_predictions(
                labels, errors, ax=axes, name="scores", plot_chance_level=True
            )
    figures["confusion"], axes = plt.subplots(figsize=(4.5, 4), layout="constrained")
    ConfusionMatrixDisplay.from_predictions(
        labels,
        flagged.astype(int),
        labels=[0, 1],
        display_labels=["normal", "anomaly"],
        cmap="Blues",
        colorbar=False,
        ax=axes,
    )
    axes.set(xlabel="flagged", ylabel="labelled")
    return figures
