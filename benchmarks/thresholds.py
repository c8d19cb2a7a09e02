# SPDX-License-Identifier: MIT
"""Whether thresholds keep the stated rate on new rows of stationary machines.

    python benchmarks/thresholds.py --json thresholds.json

Thresholds are set on the errors of 5,000 rows, and applied to new ones: absolute
values, squares and exponentials of first-order autoregressive series, whose coefficient
is in the name, and errors of forecasts of four sinusoids with noise. No error belongs
to a row that a detector has learned from. "alarms" is the number of runs of flagged
rows, separated by at least 10 other rows, relative to the budget. "flagged" is the
share of flagged rows, relative to the stated one. Figures are means of 40 seeds. Bar:
alarms from 0.5 to 2 times the budget.
"""

import argparse
import json
import platform
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.signal import lfilter

from tsanomaly import AutoregressiveDetector, ReconstructionThreshold

N_LEARNED, N_ROWS, QUIET = 3_000, 5_000, 10
BUDGETS = (1_000, 10_000)
FIRST_SEED = 1_000  # constants of the library were chosen on seeds from 0 to 19
SHAPES = {"absolute": np.abs, "square": np.square, "exponential": np.exp}
COEFFICIENTS = (0.0, 0.5, 0.9, 0.99)
THRESHOLDS = {
    **{f"alarms, 1 in {rows:,}": {"false_alarms": 1, "per": rows} for rows in BUDGETS},
    "flagged, quantile .99": {"quantile": 0.99},
    "flagged, pot .99": {"method": "pot", "quantile": 0.99},
    "flagged, pot .999": {"method": "pot", "quantile": 0.999},
}


def autoregressive(shape, coefficient, n_new, rng):
    """Errors of rows to set a threshold on, and of new rows."""
    noise = rng.normal(size=N_ROWS + n_new + 2_000) * np.sqrt(1 - coefficient**2)
    series = lfilter([1], [1, -coefficient], noise)[2_000:]
    return np.split(SHAPES[shape](series), [N_ROWS])


def forecast(n_new, rng):
    """Return such errors of an `AutoregressiveDetector` on sinusoids."""
    time = np.arange(N_LEARNED + N_ROWS + n_new)
    X = np.column_stack(
        [np.sin(2 * np.pi * time / period + period) for period in (31, 50, 87, 173)]
    )
    X += 0.2 * rng.normal(size=X.shape)
    errors = -AutoregressiveDetector().fit(X[:N_LEARNED]).score_samples(X)
    return np.split(errors[N_LEARNED:], [N_ROWS])


def cases(n_new):
    """Makers of errors by name."""
    made = {
        f"{shape} {coefficient}": lambda rng, s=shape, c=coefficient: autoregressive(
            s, c, n_new, rng
        )
        for shape in SHAPES
        for coefficient in COEFFICIENTS
    }
    # Forecasts take longer.
    made["forecasts of sinusoids"] = lambda rng: forecast(n_new // 4, rng)
    return made


def measure(parameters, errors, new):
    """Alarms, or flagged rows, relative to what is allowed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of few peaks, which is what is measured
        threshold = ReconstructionThreshold(**parameters).fit(errors[:, None])
    rows = np.flatnonzero(new > threshold.threshold_)
    if "quantile" in parameters:
        return len(rows) / len(new) / (1 - parameters["quantile"])
    n_alarms = min(len(rows), 1) + (np.diff(rows) > QUIET).sum()
    return n_alarms / len(new) * parameters["per"]


def main():
    """Run, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=40)
    parser.add_argument("--new-rows", type=int, default=200_000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    rows = []
    for name, make in cases(arguments.new_rows).items():
        for seed in range(FIRST_SEED, FIRST_SEED + arguments.seeds):
            errors, new = make(np.random.default_rng(seed))
            for label, parameters in THRESHOLDS.items():
                ratio = measure(parameters, errors, new)
                rows.append(
                    {"errors": name, "seed": seed, "threshold": label, "ratio": ratio}
                )
    results = pd.DataFrame(rows)
    by_case = results.groupby(["errors", "threshold"], sort=False)["ratio"]
    print(by_case.mean().unstack(sort=False).round(2).to_string())
    if arguments.json:
        packages = ("tsanomaly", "numpy", "scikit-learn", "scipy", "pandas")
        document = {
            "versions": {package: version(package) for package in packages},
            "machine": {
                "processor": platform.processor(),
                "python": platform.python_version(),
            },
            "results": rows,
        }
        arguments.json.write_text(json.dumps(document, indent=1, default=float))


if __name__ == "__main__":
    main()
