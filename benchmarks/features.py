# SPDX-License-Identifier: MIT
"""TemporalFeatures on 1,000,000 × 4 rows with times, against the same in pandas.

    python benchmarks/features.py

Bars: under 15 s, at most 3 times the memory of the result, and at least as fast as
pandas. Linux only: reads the peak from /proc.
"""

import sys
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd

from tsanomaly import TemporalFeatures

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1])]
from windows import peak_megabytes

from tests.reference import temporal_features


def measure(name, compute):
    """Run, print seconds and peak memory, and return seconds and the last rows."""
    Path("/proc/self/clear_refs").write_text("5")  # peak back to the present size
    before, start = peak_megabytes(), perf_counter()
    features = compute()
    seconds = perf_counter() - start
    megabytes, size = peak_megabytes() - before, features.to_numpy().nbytes / 2**20
    print(
        f"{name}: shape {features.shape}, {seconds:.2f} s, "
        f"{megabytes:.0f} MB for {size:.0f} MB of features"
    )
    return seconds, features.iloc[-1000:].copy()


def main():
    """Run and print."""
    n_timestamps = 1_000_000
    X = pd.DataFrame(
        np.random.default_rng(0).normal(size=(n_timestamps, 4)),
        columns=["sensor_1", "sensor_2", "sensor_3", "sensor_4"],
        index=pd.date_range("2024-01-01", periods=n_timestamps, freq="1min"),
    )
    transformer = TemporalFeatures().set_output(transform="pandas")
    ratios = []
    for _ in range(5):
        seconds, ours = measure(
            "TemporalFeatures", lambda: transformer.fit_transform(X)
        )
        seconds_pandas, theirs = measure("pandas", lambda: temporal_features(X))
        pd.testing.assert_frame_equal(ours, theirs, atol=1e-5)
        ratios.append(seconds_pandas / seconds)
    # The first round pays for memory that the process has not had before.
    print("times as fast as pandas, round by round:", np.round(ratios, 2).tolist())


if __name__ == "__main__":
    main()
