# SPDX-License-Identifier: MIT
"""TemporalFeatures on 1,000,000 × 4 readings with times, against pandas.

    python benchmarks/features.py

Bars: under 15 s, at most 3 times the memory of the result, and at least as fast as
pandas, also in the first call of a process. Linux only: reads the peak from /proc.
"""

import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter, process_time

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


def make_readings():
    """A frame of four channels with times."""
    n_timestamps = 1_000_000
    return pd.DataFrame(
        np.random.default_rng(0).normal(size=(n_timestamps, 4)),
        columns=["sensor_1", "sensor_2", "sensor_3", "sensor_4"],
        index=pd.date_range("2024-01-01", periods=n_timestamps, freq="1min"),
    )


def with_tsanomaly(X):
    """The features as the library computes them."""
    return TemporalFeatures().set_output(transform="pandas").fit_transform(X)


def first_call(compute):
    """Seconds, and seconds of processor time, in a process that has computed none."""
    X, start, start_cpu = make_readings(), perf_counter(), process_time()
    features = compute(X)
    seconds, cpu = perf_counter() - start, process_time() - start_cpu
    assert len(features) == len(X)
    return seconds, cpu


def compare_first_calls(n_processes=5):
    """Print medians of first calls, each in its own process, in turns.

    The system needs time to hand out new memory. Within one process, the first
    measurement would pay for the others.
    """
    measured = {with_tsanomaly: [], temporal_features: []}
    for _ in range(n_processes):
        for compute, calls in measured.items():
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
                calls.append(process.submit(first_call, compute).result())
    ours, theirs = (np.median(calls, axis=0) for calls in measured.values())
    for name, (seconds, cpu) in (("TemporalFeatures", ours), ("pandas", theirs)):
        print(f"{name}, first call: {seconds:.2f} s, {cpu:.2f} s of processor time")
    by_clock, by_cpu = theirs / ours
    print(f"times as fast as pandas: {by_clock:.2f}, by processor time {by_cpu:.2f}")


def main():
    """Run and print."""
    compare_first_calls()
    X, ratios = make_readings(), []
    for _ in range(5):
        seconds, ours = measure("TemporalFeatures", lambda: with_tsanomaly(X))
        seconds_pandas, theirs = measure("pandas", lambda: temporal_features(X))
        pd.testing.assert_frame_equal(ours, theirs, atol=1e-5)
        ratios.append(seconds_pandas / seconds)
    print("times as fast as pandas, round by round:", np.round(ratios, 2).tolist())


if __name__ == "__main__":
    main()
