# SPDX-License-Identifier: MIT
"""WindowTransformer(50) on 10,000,000 × 4 float32 readings: seconds and memory.

    python benchmarks/windows.py

Bars: under 1 s, and under 250 MB above the input. Linux only: reads the peak from
/proc.
"""

from pathlib import Path
from time import perf_counter

import numpy as np

from tsanomaly import WindowTransformer


def peak_megabytes():
    """Largest resident size of this process so far."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return int(line.split()[1]) / 1024
    raise OSError("no VmHWM in /proc/self/status")


def main():
    """Run and print."""
    X = np.random.default_rng(0).random((10_000_000, 4), dtype=np.float32)
    WindowTransformer(50).fit_transform(X[:100])  # imports
    Path("/proc/self/clear_refs").write_text("5")  # peak back to the present size
    before, start = peak_megabytes(), perf_counter()
    windows = WindowTransformer(50).fit_transform(X)
    seconds = perf_counter() - start
    print(f"shape {windows.shape}, {seconds:.2f} s")
    print(
        f"{peak_megabytes() - before:.0f} MB above the {X.nbytes / 2**20:.0f} MB input"
    )


if __name__ == "__main__":
    main()
