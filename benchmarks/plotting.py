# SPDX-License-Identifier: MIT
"""Displays of long and of wide series, drawn and written as PNG.

    python benchmarks/plotting.py

Of 1,000,000 rows × 8 channels: spikes of one row are put into every channel; that each
of them is drawn is checked. The bar is 3 s for each picture, from the frame to the
file. Of 5,000 rows, with a panel for each of 15 to 120 channels: the time should grow
with their number, not with its square.
"""

from functools import partial
from io import BytesIO
from time import perf_counter

import matplotlib as mpl
import numpy as np
import pandas as pd

mpl.use("Agg")
import matplotlib.pyplot as plt

from tsanomaly.plotting import AnomalyDisplay, ContributionDisplay, SeriesDisplay

N_PANELS = (15, 30, 60, 120)
N_ROWS, N_CHANNELS, N_SPIKES, N_EVENTS = 1_000_000, 8, 100, 2_000


def make_series():
    """Noise with spikes, scores, labels and alarms."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(N_ROWS, N_CHANNELS))
    # Not two within a pixel, of which the larger covers the other
    spikes = np.arange(0, N_ROWS, N_ROWS // N_SPIKES) + rng.integers(1000)
    X[spikes] += 100
    index = pd.date_range("2024-01-01", periods=N_ROWS, freq="s")
    frame = pd.DataFrame(X, index=index).add_prefix("sensor_")
    y, flagged = np.zeros((2, N_ROWS), dtype=int)
    for start in rng.integers(N_ROWS - 50, size=N_EVENTS):
        y[start : start + 50] = 1
        start = start + rng.integers(-60, 60)
        flagged[max(start, 0) : start + 20] = 1
    return frame, spikes, y, flagged


def range_of_seconds(draw):
    """Shortest and longest time of three rounds."""
    seconds = []
    for _ in range(3):
        start = perf_counter()
        draw().figure_.savefig(BytesIO(), format="png")
        seconds.append(perf_counter() - start)
        plt.close("all")
    return min(seconds), max(seconds)


def main():
    """Run and print."""
    frame, spikes, y, flagged = make_series()
    for line, name in zip(
        SeriesDisplay.from_series(frame).lines_, frame.columns, strict=True
    ):
        assert np.isin(frame[name].iloc[spikes], line.get_ydata()).all()
    plt.close("all")
    scores, errors = frame.abs().mean(axis=1), frame**2
    pictures = {
        "SeriesDisplay": lambda: SeriesDisplay.from_series(frame, y),
        "AnomalyDisplay": lambda: AnomalyDisplay.from_predictions(
            frame, scores, scores.quantile(0.99), flagged, y
        ),
        "ContributionDisplay": lambda: ContributionDisplay.from_predictions(errors, y),
    }
    for name, draw in pictures.items():
        shortest, longest = range_of_seconds(draw)
        print(f"{name}: {shortest:.2f} to {longest:.2f} s")
    wide = pd.DataFrame(np.tile(frame[:5000], 15), index=frame.index[:5000])
    for n_channels in N_PANELS:
        channels = list(range(n_channels))
        shortest, longest = range_of_seconds(
            partial(SeriesDisplay.from_series, wide, channels=channels)
        )
        print(f"{n_channels} panels: {shortest:.2f} to {longest:.2f} s")


if __name__ == "__main__":
    main()
