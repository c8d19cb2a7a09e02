# SPDX-License-Identifier: MIT
"""vus_pr and vus_roc on 10,000, 100,000 and 1,000,000 rows, against slow loops.

    python benchmarks/metrics.py

There is one event of 50 rows per 1000 rows; window 100, 250 thresholds. Bars: both
together take at most 0.05 s for 10,000 rows and 0.4 s for 100,000, and less than 200 MB
above the input for 1,000,000. The slow version loops over the rows for every threshold
of every buffer length, like the code of the paper. It runs on 10,000 rows only, and
needs at least proportional time for more. Linux only: reads the peak from /proc.
"""

import sys
from pathlib import Path
from time import perf_counter

import numpy as np

from tsanomaly.metrics import vus_pr, vus_roc

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1])]
from windows import peak_megabytes

from tests.metrics.vus_reference import volumes


def labels_and_scores(n_rows):
    """Events at random places, and scores that find some of them."""
    rng = np.random.default_rng(0)
    y_true = np.zeros(n_rows, dtype=int)
    for block in range(0, n_rows, 1000):
        first = block + rng.integers(950)
        y_true[first : first + 50] = 1
    noise = np.convolve(rng.gamma(1, size=n_rows), np.full(10, 0.1), mode="same")
    return y_true, noise + 0.5 * y_true * rng.random(n_rows)


def both(y_true, y_score):
    """Both volumes, as a user gets them."""
    return vus_pr(y_true, y_score), vus_roc(y_true, y_score)


def best_seconds(compute, n_rounds):
    """Shortest time of some rounds, and the last result."""
    seconds = []
    for _ in range(n_rounds):
        start = perf_counter()
        result = compute()
        seconds.append(perf_counter() - start)
    return min(seconds), result


def main():
    """Run and print."""
    y_true, y_score = labels_and_scores(10_000)
    slow, expected = best_seconds(lambda: volumes(y_true, y_score, 100), 1)
    fast, values = best_seconds(lambda: both(y_true, y_score), 5)
    print(
        f"10,000 rows: {fast:.3f} s; slow loops {slow:.2f} s, {slow / fast:.0f} times"
    )
    print(f"largest difference {np.abs(np.subtract(values, expected)).max():.0e}")

    for n_rows in (100_000, 1_000_000):
        y_true, y_score = labels_and_scores(n_rows)
        Path("/proc/self/clear_refs").write_text("5")  # peak back to the present size
        before = peak_megabytes()
        seconds, _ = best_seconds(lambda: both(y_true, y_score), 5)  # noqa: B023
        megabytes = peak_megabytes() - before
        ratio = slow * n_rows / 10_000 / seconds
        size = (y_true.nbytes + y_score.nbytes) / 2**20
        print(
            f"{n_rows:,} rows: {seconds:.3f} s; slow loops at least {ratio:.0f} times; "
            f"{megabytes:.0f} MB above the {size:.0f} MB input"
        )


if __name__ == "__main__":
    main()
