# SPDX-License-Identifier: MIT
"""``import tsanomaly`` against ``import sklearn.pipeline, pandas``, in fresh processes.

    python benchmarks/import_time.py

Bar: at most 1.2 times as long. The two alternate, the median of 15 runs counts.
"""

import statistics
import subprocess
import sys
from time import perf_counter

RUNS = 15


def seconds(statement):
    """Time of a fresh interpreter that runs a statement."""
    start = perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return perf_counter() - start


def main():
    """Run and print."""
    statements = ("import sklearn.pipeline, pandas", "import tsanomaly")
    times = {statement: [] for statement in statements}
    for _ in range(RUNS):
        for statement in statements:
            times[statement].append(seconds(statement))
    medians = [statistics.median(times[statement]) for statement in statements]
    for statement, median in zip(statements, medians, strict=True):
        print(f"{median:.2f} s  {statement}")
    print(f"ratio {medians[1] / medians[0]:.2f}")


if __name__ == "__main__":
    main()
