# SPDX-License-Identifier: MIT
"""Displays of long and of wide series, drawn and written as PNG, and a whole report.

    python benchmarks/plotting.py
    python benchmarks/plotting.py --report autoregression lstm

Long series have 1,000,000 rows × 8 channels with spikes of one row, and the script
checks that each spike is drawn. The bar is 3 s for each picture, from the frame to the
file. Wide series have 5,000 rows and one panel for each of 15 to 120 channels; the time
should grow with their number, not with its square.

`--report` times `tsanomaly report`, from the CSV file to the page, of 100,000 rows of
120 channels, with models of these detectors. The bar is 60 s and 2 GB on two cores.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from functools import partial
from io import BytesIO
from pathlib import Path
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
    # At most one per pixel, because the larger one would cover the other
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


def make_plant(n_rows, n_channels=120):
    """Channels that cycle and wander, with noise, and 14 faults in the later rows."""
    rng = np.random.default_rng(0)
    moments = np.arange(n_rows)[:, None]
    period = rng.uniform(200, 5000, n_channels)
    phase = rng.uniform(0, 6, n_channels)
    X = rng.uniform(1, 3, n_channels) * np.sin(2 * np.pi * moments / period + phase)
    X += np.cumsum(rng.normal(0, 0.004, X.shape), axis=0)
    X += rng.normal(0, 0.2, X.shape)
    for turn, start in enumerate(range(n_rows // 4, n_rows - 500, n_rows // 19)):
        X[start : start + 100, 17 * turn % n_channels] += 5
    index = pd.date_range("2026-01-01", periods=n_rows, freq="min", name="time")
    return pd.DataFrame(X, index=index).add_prefix("tag_").round(3)


def time_reports(detectors):
    """Train on the first rows of a file, and report on all of it."""
    command = [sys.executable, "-m", "tsanomaly"]
    with tempfile.TemporaryDirectory() as folder:
        readings = Path(folder, "plant.csv")
        make_plant(100_000).to_csv(readings)
        for detector in detectors:
            results = Path(folder, detector)
            output = ["--output-dir", str(results)]
            train = ["train", str(readings), "--train-fraction", "0.2", "--no-plots"]
            subprocess.run(
                [*command, *train, "--detector", detector, *output],
                check=True,
                stdout=subprocess.DEVNULL,
            )
            model = str(results / "model.skops")
            start = perf_counter()
            process = subprocess.Popen(
                [*command, "report", model, str(readings), *output],
                stdout=subprocess.DEVNULL,
            )
            _, status, used = os.wait4(process.pid, 0)
            seconds = perf_counter() - start
            page = (results / "report.html").stat().st_size
            print(
                f"report, {detector}: {seconds:.1f} s, of processors "
                f"{used.ru_utime + used.ru_stime:.1f} s, "
                f"{used.ru_maxrss / 1e6:.2f} GB, page of {page / 1e6:.1f} MB, "
                f"status {status}"
            )


def main():
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--report", nargs="+", metavar="DETECTOR")
    arguments = parser.parse_args()
    if arguments.report:
        time_reports(arguments.report)
    else:
        time_pictures()


def time_pictures():
    """Draw each picture three times."""
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
