# SPDX-License-Identifier: MIT
"""Import time of all of tsanomaly, against ``import sklearn.pipeline, pandas``.

    python benchmarks/import_time.py

Each import runs in a new process. The two alternate, and the median of 15 runs counts.
Bar: at most 1.2 times as long.
"""

import statistics
import subprocess
import sys
from time import perf_counter

import tsanomaly

RUNS = 15

# The package imports its public names on first access.
NAMES = set(tsanomaly.__all__) - {"datasets", "distributed", "metrics", "plotting"}
STATEMENTS = (
    "import sklearn.pipeline, pandas",
    f"from tsanomaly import {', '.join(sorted(NAMES))}",
)


def seconds(statement):
    """Time of a fresh interpreter that runs a statement."""
    start = perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return perf_counter() - start


def main():
    """Run and print."""
    times = {statement: [] for statement in STATEMENTS}
    for _ in range(RUNS):
        for statement in STATEMENTS:
            times[statement].append(seconds(statement))
    medians = [statistics.median(times[statement]) for statement in STATEMENTS]
    for statement, median in zip(STATEMENTS, medians, strict=True):
        print(f"{median:.2f} s  {statement}")
    print(f"ratio {medians[1] / medians[0]:.2f}")


if __name__ == "__main__":
    main()
