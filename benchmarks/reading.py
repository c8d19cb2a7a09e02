# SPDX-License-Identifier: MIT
"""``read_sensor_csv``: seconds and memory for large and for unusual files.

    python benchmarks/reading.py
    python benchmarks/reading.py --only large

Every file is written and read in its own process. Seconds are wall time and processor
time, which is more reliable on a busy machine. Memory is the peak of the process, in
total and above its level before, as reported by Linux. Bars: 200 channels of 100,000
rows in 20 s and 1,500 MB; 10 times the channels, or the rows, in at most 12 times the
time; unusual files in 1 s and 100 MB above the import.
"""

import argparse
import gzip
import json
import subprocess
import sys
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, process_time

import numpy as np

from tsanomaly.datasets import read_sensor_csv


def plant(n_rows, n_channels, cell="{:.4f}", sep=",", missing=0.0):
    """Write a file like those of a plant, with one row per second."""
    rng = np.random.default_rng(0)
    # The same hundred rows are repeated; no result depends on that.
    values = rng.normal(20, 5, size=(100, n_channels))
    cells = np.vectorize(cell.format, otypes=[object])(values)
    cells[rng.random(cells.shape) < missing] = ""
    tails = list(map(sep.join, cells))
    if sep == ";":
        tails = [tail.replace(".", ",") for tail in tails]
    times = np.datetime64("2024-01-01") + np.arange(n_rows).astype("m8[s]")
    times = np.char.replace(np.datetime_as_string(times), "T", " ")
    header = sep.join(["timestamp", *(f"sensor_{i}" for i in range(n_channels))])
    rows = (f"{time}{sep}{tails[i % 100]}" for i, time in enumerate(times.tolist()))
    return "\n".join([header, *rows, ""]).encode()


def one_row(name, cell):
    """A file with one row, of the time and a cell."""
    return f"time,{name}\n2024-01-01,{cell}\n".encode()


def wide(n_channels, n_rows):
    """Many channels and few rows."""
    rows = [",".join("1" * n_channels)] * n_rows
    times = [f"2024-01-0{row + 1}" for row in range(n_rows)]
    header = ",".join(["time", *(f"c{i}" for i in range(n_channels))])
    body = (f"{time},{row}" for time, row in zip(times, rows, strict=True))
    return "\n".join([header, *body]).encode()


LARGE = {
    "200 channels, 100,000 rows": lambda: plant(100_000, 200),
    "the same, semicolons and decimal commas": lambda: plant(100_000, 200, sep=";"),
    "the same, three decimals": lambda: plant(100_000, 200, "{:.3f}"),
    "the same, every field quoted": lambda: plant(100_000, 200, '"{:.4f}"'),
    "the same, a tenth of the cells empty": lambda: plant(100_000, 200, missing=0.1),
}
GROWTH = {
    "10,000 rows, 200 channels": lambda: plant(10_000, 200),
    "10,000 rows, 2,000 channels": lambda: plant(10_000, 2_000),
    "100 rows, 1,000 channels": lambda: plant(100, 1_000),
    "100 rows, 10,000 channels": lambda: plant(100, 10_000),
    "100,000 rows, 4 channels": lambda: plant(100_000, 4),
    "1,000,000 rows, 4 channels": lambda: plant(1_000_000, 4),
}
ODD = {
    "a cell of 20,000 digits": lambda: one_row("a", "1" * 20_000 + "x"),
    "a cell of 131,000 digits": lambda: one_row("a", "1" * 131_000 + "x"),
    "a name of 20,000 brackets": lambda: one_row("(" * 20_000, "1"),
    "a name of 131,000 brackets": lambda: one_row("(" * 131_000, "1"),
    "20,000 columns, 3 rows": lambda: wide(20_000, 3),
    "gzip of 0.3 MB, 300 MB unpacked": lambda: gzip.compress(
        b"time,a\n" + b"2024-01-01,1\n" * 23_000_000
    ),
    "gzip of 50,000 parts": lambda: gzip.compress(b"") * 50_000,
    "skiprows=10**12": lambda: plant(10, 2),
}


def measure(group, name, folder):
    """Write a file and read it; return what `read` prints."""
    path = Path(folder, "readings.csv")
    # In another process, so that the memory for writing does not count.
    subprocess.run([sys.executable, __file__, "--write", group, name, path], check=True)
    command = [sys.executable, __file__, "--read", group, name, path]
    return json.loads(subprocess.check_output(command, text=True))


def memory():
    """The most memory that this process had so far, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def read(path, name):
    """Read a file, and print seconds, MB and the result."""
    import pandas as pd

    pd.to_datetime(["2024-01-01"], format="ISO8601")  # imported before it is timed
    before, start, used = memory(), perf_counter(), process_time()
    try:
        with warnings.catch_warnings(action="ignore"):
            skiprows = 10**12 if name.startswith("skiprows") else 0
            outcome = str(read_sensor_csv(path, skiprows=skiprows).shape)
    except ValueError as error:
        outcome = str(error).removeprefix(f"{path}: ")[:60]
    seconds, used = perf_counter() - start, process_time() - used
    size = Path(path).stat().st_size / 1e6
    print(json.dumps([seconds, used, size, memory(), memory() - before, outcome]))


def main():
    """Run and print."""
    groups = {"large": LARGE, "growth": GROWTH, "odd": ODD}
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=groups, nargs="+", default=list(groups))
    for option in ("--write", "--read"):
        parser.add_argument(option, nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.write:
        group, name, path = options.write
        Path(path).write_bytes(groups[group][name]())
    elif options.read:
        _, name, path = options.read
        read(path, name)
    else:
        with TemporaryDirectory() as folder:
            for group in options.only:
                for name in groups[group]:
                    *figures, outcome = measure(group, name, folder)
                    print(
                        "{}: {:.2f} s, {:.2f} s of processor time; {:.1f} MB, memory "
                        "{:.0f} MB, {:.0f} MB above the import: {}".format(
                            name, *figures, outcome
                        ),
                        flush=True,
                    )


if __name__ == "__main__":
    main()
