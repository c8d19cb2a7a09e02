# SPDX-License-Identifier: MIT
"""What an operator gets from `tsanomaly train` and `tsanomaly detect`, at the defaults.

    python benchmarks/alarms.py ../shared --seeds 3 --json alarms.json
    python benchmarks/alarms.py ../shared --only groups rules --detectors lstm ensemble
    python benchmarks/alarms.py ../shared --only groups --detectors linear --per 100

The script fits the pipelines of the command by `fit_cross_fitted`, and finds the alarms
of `AlarmFilter()`, with the same settings for all series. Its parts:

- stationary: flagged rows relative to the stated rate, in 20,000 new rows after 5,000
  training rows of machines that do not change.
- cyclic: presses, tanks, days and a wheel (``cases/pumps.py``, ``cases/files``) in
  fresh series: rows flagged, and whether a fault of 15 times the noise is found. It
  lasts 6 rows, as in the file, or a tenth of a cycle.
- historian, noisy: alarms for the faults of two plants, and other alarms.
- groups: events found in plant_a, SKAB, NAB and SMD, and false alarms, which have no
  labelled row. Precision is the share of alarms that overlap an event.
- rules: the same with other thresholds and rules, from the same fitted models.
"""

import argparse
import json
import platform
import warnings
from functools import partial
from importlib.metadata import version
from pathlib import Path
from runpy import run_path
from time import perf_counter

import numpy as np
import pandas as pd
from quality import series as labelled_series
from scipy.signal import lfilter

from tsanomaly import AlarmFilter, ReconstructionThreshold, explain, fit_cross_fitted
from tsanomaly._cli._models import build
from tsanomaly._cli._parser import DEFAULT_BUDGET, DETECTORS
from tsanomaly._inspection import takes_missing
from tsanomaly.datasets import insert_breaks

NETWORKS = ("lstm", "ensemble", "hybrid")

N_TRAIN, N_NEW = 5_000, 20_000
STATIONARY = ("AR .9", "AR .99", "sinusoids")
STATIONARY_DETECTORS = ("autoregression", "neighbors", "iforest", "pca", *NETWORKS[:2])
FIRST_SEED = 1_000  # constants of the library were chosen on seeds from 0 to 19

PERIODS = {"press": 60, "tank": 120, "day": 1440}  # of cases/pumps.py
NOISE = {"press": 0.05, "tank": 0.05, "day": 0.3}
N_FILES, START_UP = 8, 79
FAULT, FAULT_ROWS, TIMES_NOISE = 600, 6, 15  # as in cases/files/cyclic_fault.csv

FIRST_PLANT = {"historian": 7, "noisy": 1}  # the defaults of cases/pumps.py
FAULTS = {
    "historian": ["heat and vibration"],
    "noisy": ["spike", "stuck", "drift", "low current"],
}

DEFAULT = "and a budget: the default, with that of --per"
LEARNED, HELD_OUT, BUDGET = "learned", "held out", "budget"
RULES = {  # which threshold, and the parameters of the filter
    "every run, threshold of rows learned from": (LEARNED, None),
    "every run, threshold of rows held out": (HELD_OUT, None),
    "on- and off-delay 3": (
        HELD_OUT,
        {"on_delay": 3, "off_delay": 3, "trigger": 0},
    ),
    "accumulated excess .5, off-delay 10": (
        HELD_OUT,
        {"trigger": 0.5, "off_delay": 10},
    ),
    "and off-delay 60": (HELD_OUT, {"trigger": 0.5}),
    "and accumulated excess 1": (HELD_OUT, {}),
    DEFAULT: (BUDGET, {}),
    "and accumulated excess 2": (BUDGET, {"trigger": 2.0}),
    "default, and tracking .001": (BUDGET, {"tracking": 0.001}),
}
QUANTILE = 0.99  # of thresholds without a budget


def fit(name, seed, train, **threshold_params):
    """Fit a pipeline as `tsanomaly train` does, and start its results."""
    model = pipeline(name, seed, **threshold_params)
    start = perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit_cross_fitted(model, train)
    said = {str(w.message) for w in caught if issubclass(w.category, UserWarning)}
    seconds = perf_counter() - start
    row = {"detector": name, "seed": seed, "fit_seconds": seconds}
    return model, {**row, "warnings": sorted(said)}


def pipeline(name, seed, **threshold_params):
    """Make an unfitted pipeline, as the command does, by default without options."""
    return build(
        name,
        network_params={},
        threshold_params={"method": "quantile", **(threshold_params or DEFAULT_BUDGET)},
        window_size=None,
        missing="ignore",
        scaler="standard",
        random_state=seed,
    )


def learned_threshold(model, train):
    """Return the threshold that `model.fit` sets on the training rows."""
    errors = model[:-1].transform(train)
    return ReconstructionThreshold(quantile=QUANTILE).fit(errors).threshold_


def runs(flags):
    """Ranges of flagged rows: the first row, and the one after the last."""
    edges = np.flatnonzero(np.diff(np.r_[0, flags, 0]))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def alarm_ranges(last, errors, **rules):
    """Return the first rows of alarms, and the rows after their last ones."""
    alarms = AlarmFilter(**rules).alarms(
        errors, threshold=-last.offset_, median_error=last.median_error_
    )
    return list(
        zip(alarms["start"].tolist(), (alarms["end"] + 1).tolist(), strict=True)
    )


def touches(ranges, other):
    """Mark the ranges that overlap one of the others."""
    return [any(a < stop and start < b for a, b in other) for start, stop in ranges]


def seeds_of(arguments, detector, n_seeds):
    """Return the seeds of a part, fewer for networks."""
    return range(arguments.seeds if detector in NETWORKS else n_seeds)


def stationary(arguments):
    """Rows flagged per allowed one."""
    for kind in STATIONARY:
        for detector in arguments.detectors or STATIONARY_DETECTORS:
            for seed in seeds_of(arguments, detector, arguments.stationary_seeds):
                X = stationary_series(kind, np.random.default_rng(FIRST_SEED + seed))
                train, new = X[:N_TRAIN], X[N_TRAIN:]
                model, row = fit(detector, seed, train, quantile=QUANTILE)
                errors = -model.score_samples(new)
                allowed = (1 - QUANTILE) * len(new)
                learned = learned_threshold(model, train)
                row |= {
                    "series": kind,
                    "fit": (errors > learned).sum() / allowed,
                    "fit_cross_fitted": (errors > -model[-1].offset_).sum() / allowed,
                    "alarms": len(alarm_ranges(model[-1], errors)),
                }
                yield [row]


def stationary_series(kind, rng):
    """Rows of three independent autoregressive channels, or of four sinusoids."""
    n_rows = N_TRAIN + N_NEW
    if kind == "sinusoids":
        time = np.arange(n_rows)
        periods = (31, 50, 87, 173)
        X = [np.sin(2 * np.pi * time / period + period) for period in periods]
        return np.column_stack(X) + 0.2 * rng.normal(size=(n_rows, 4))
    coefficient = float(kind.removeprefix("AR "))
    noise = rng.normal(size=(n_rows + 2_000, 3)) * np.sqrt(1 - coefficient**2)
    return lfilter([1], [1, -coefficient], noise, axis=0)[2_000:]


def cyclic(arguments):
    """First and other rows flagged, and faults found."""
    for seed in range(arguments.seeds):
        for train, cases, size, period in cyclic_series(arguments.shared, seed):
            for detector in arguments.detectors or DETECTORS:
                model, row = fit(detector, seed, train)
                yield [
                    row | {"series": name} | judge_cyclic(model, series, size, period)
                    for name, series in cases.items()
                ]


def cyclic_series(root, seed):
    """Training rows, series without the fault by name, its size, rows of a cycle."""
    make = run_path(root / "cases" / "pumps.py")["cyclic"]
    rng = np.random.default_rng(seed)
    for kind, period in PERIODS.items():
        train = make(kind, max(3_000, 4 * period), rng)
        whole = period * -(-1_000 // period)  # a channel wraps around
        cases = {
            name: [make(kind, n_rows, rng) for _ in range(N_FILES)]
            for name, n_rows in {kind: whole, f"{kind}, 1,000 rows": 1_000}.items()
        }
        yield train, cases, TIMES_NOISE * NOISE[kind], period
    files = [
        pd.read_csv(root / "cases" / "files" / f"cyclic_{name}.csv", index_col="time")
        for name in ("train", "fault")
    ]
    files[1].iloc[FAULT : FAULT + FAULT_ROWS, 0] -= TIMES_NOISE * 0.1
    # As long as those of the files, of which the command trains on 80 %.
    wheels = [wheel(3_200, rng)] + [wheel(1_000, rng) for _ in range(N_FILES)]
    for train, cases in (
        (wheels[0], {"wheel": wheels[1:]}),
        (files[0][:3_200], {"wheel, the file": files[1:]}),
    ):
        yield train, cases, TIMES_NOISE * 0.1, 62


def wheel(n_rows, rng):
    """Rows like those of cases/files/cyclic_train.csv."""
    angle = np.arange(n_rows) / 10 + rng.uniform(0, 2 * np.pi)
    noise = 0.1 * rng.normal(size=(n_rows, 2))
    X = np.column_stack([np.sin(angle), np.cos(angle)]) + noise
    return pd.DataFrame(X, columns=["pos", "torque"])


def judge_cyclic(model, series, size, period):
    """Measure flagged rows in series, and whether faults in them are found."""
    first, others, rows = [], [], []
    for X in series:
        errors = -model.score_samples(X)
        flags = errors > -model[-1].offset_
        first.append(flags[:START_UP].mean())
        others.append(flags[START_UP:].mean())
        alarms = alarm_ranges(model[-1], errors)
        row = {"alarms": len(alarms)}
        for name, length in {"fault": FAULT_ROWS, "long": period // 10}.items():
            place = FAULT, FAULT + length
            faulty = X.copy()
            faulty.iloc[slice(*place), 0] += size
            found = alarm_ranges(model[-1], -model.score_samples(faulty))
            row[f"{name}_found"] = any(touches([place], found))
            row[f"{name}_anyway"] = any(touches([place], alarms))
        rows.append(row)
    return {
        "files": len(series),
        "first_rows": np.mean(first),
        "other_rows": np.mean(others),
        **{name: sum(row[name] for row in rows) for name in rows[0]},
    }


def plant(name, arguments):
    """The alarms of faults, and the others."""
    for seed in range(arguments.seeds):
        train, test, faults = plant_series(name, arguments.shared, seed)
        for detector in arguments.detectors or DETECTORS:
            if train.isna().any(axis=None) and not takes_missing(
                pipeline(detector, seed)
            ):
                continue  # where rows lack readings, the command asks for another
            model, row = fit(detector, seed, train)
            row["series"] = name
            alarms = explain(model, test, alarm_filter=AlarmFilter())
            yield [row | fault for fault in judge_faults(alarms, faults, test.index)]


def plant_series(name, root, seed):
    """Training rows, test rows, and first and last time of faults with the channels."""
    pumps = run_path(root / "cases" / "pumps.py")
    frame, y, known = pumps[name](FIRST_PLANT[name] + seed)
    if name == "noisy":
        index = frame.index
        faults = [(index[start], index[stop - 1], [tag]) for start, stop, tag in known]
    else:
        during = y.index[y == 1]
        faults = [(during[0], during[-1], known)]
    step = frame.index.to_series().diff().median()
    broken = insert_breaks(frame, 2 * step)
    days = pumps[f"{name.upper()}_TRAIN_DAYS"]
    is_train = broken.index < frame.index[0] + pd.Timedelta(days=days)
    named = zip(FAULTS[name], faults, strict=True)
    return broken[is_train], broken[~is_train], dict(named)


def judge_faults(alarms, faults, index):
    """Where alarms of each fault start and end, in rows, and the channels they name."""
    step = index.to_series().diff().median()
    n_days = (index[-1] - index[0]) / pd.Timedelta(days=1)
    of_any = np.zeros(len(alarms), dtype=bool)
    rows = []
    for name, (first, last, channels) in faults.items():
        held = (alarms["start"] <= last) & (alarms["end"] >= first)
        of_any |= held.to_numpy()
        during = alarms[held]
        row = {"fault": name, "found": len(during) > 0, "named": False}
        row["pieces"] = len(during)
        if len(during):
            named = during.loc[during["score"].idxmin(), "channels"]
            row |= {
                "start": (during["start"].iloc[0] - first) / step,
                "raised": (during["raised"].iloc[0] - first) / step,
                "end": (during["end"].iloc[-1] - last) / step,
                "channels": ", ".join(named),
                "named": set(named[: len(channels)]) == set(channels),
            }
        rows.append(row)
    others = {"others": int((~of_any).sum()), "days": n_days}
    return [row | others for row in rows]


def labelled(arguments):
    """Counts of rows, events and alarms, by rule."""
    for suite, name, _, train, test, y, _ in labelled_series(arguments.shared / "data"):
        y = np.asarray(y)
        for detector in arguments.detectors or DETECTORS:
            for seed in range(arguments.seeds):
                budget = DEFAULT_BUDGET | {"per": arguments.per}
                model, row = fit(detector, seed, train, **budget)
                row |= {"suite": suite, "series": name}
                errors = -model.score_samples(test)
                of_quantile = model[-1].with_threshold(quantile=QUANTILE)
                thresholds = {
                    LEARNED: learned_threshold(model, train),
                    HELD_OUT: -of_quantile.offset_,
                    BUDGET: -model[-1].offset_,
                }
                rows = []
                for rule, (threshold, rules) in RULES.items():
                    flags = errors > thresholds[threshold]
                    last = of_quantile if threshold == HELD_OUT else model[-1]
                    ranges = (
                        runs(flags)
                        if rules is None
                        else alarm_ranges(last, errors, **rules)
                    )
                    rows.append({**row, "rule": rule, **counts(y, flags, ranges)})
                yield rows


def counts(y, flags, alarms):
    """Count events found, and false alarms."""
    events, inside = runs(y), np.zeros(len(y), dtype=bool)
    for start, stop in alarms:
        inside[start:stop] = True
    return {
        "events": len(events),
        "found": sum(touches(events, alarms)),
        "alarms": len(alarms),
        "false": len(alarms) - sum(touches(alarms, events)),
        "normal": int((y == 0).sum()),
        "anomalous": int((y == 1).sum()),
        "normal_flagged": int(flags[y == 0].sum()),
        "anomalous_flagged": int(flags[y == 1].sum()),
        "normal_inside": int(inside[y == 0].sum()),
    }


COUNTS = list(counts(np.zeros(1, dtype=int), np.zeros(1, dtype=bool), []))


def rates(rows, by):
    """Pool by suite, and machine-1-6 separately; average over seeds and suites."""
    apart = rows[rows["suite"] == "SMD"]
    is_1_6 = apart["series"] == "machine-1-6"
    apart = apart.assign(suite=np.where(is_1_6, "machine-1-6", "SMD, others"))
    rows = pd.concat([rows, apart])
    pooled = rows.groupby([*by, "suite", "seed"], sort=False)[COUNTS].sum()
    found = pooled["found"] / pooled["events"]
    right = 1 - pooled["false"] / pooled["alarms"].clip(lower=1)
    right[pooled["alarms"] == 0] = 0
    hits, vain = pooled["anomalous_flagged"], pooled["normal_flagged"]
    measures = pd.DataFrame(
        {
            "found": found,
            "false/1000": 1000 * pooled["false"] / pooled["normal"],
            "F1": (2 * found * right / (found + right)).fillna(0),
            "in alarms %": 100 * pooled["normal_inside"] / pooled["normal"],
            "flagged %": 100 * vain / pooled["normal"],
            "row F1": 2 * hits / (hits + vain + pooled["anomalous"]),
            "recall": hits / pooled["anomalous"],
        }
    )
    table = measures.groupby([*by, "suite"], sort=False).mean()
    real = table[table.index.get_level_values("suite").isin(["NAB", "SKAB", "SMD"])]
    means = real.groupby(by, sort=False).mean().assign(suite="mean of NAB, SKAB, SMD")
    table = pd.concat([table, means.set_index("suite", append=True)])
    order = {key: number for number, key in enumerate(rows["detector"].unique())}
    return table.sort_index(
        level="detector", key=lambda k: k.map(order), sort_remaining=False
    )


def stationary_tables(rows):
    """Means and ranges over the seeds."""
    by = rows.groupby(["series", "detector"], sort=False)
    yield by[["fit", "fit_cross_fitted"]].agg(["mean", "min", "max"])
    yield by[["alarms", "fit_seconds"]].mean()


def cyclic_tables(rows):
    """Sums over the files, and means of the shares, in percent."""
    by = rows.groupby(["series", "detector"], sort=False)
    shares = 100 * by[["first_rows", "other_rows"]].mean()
    columns = [name for name in rows if name.endswith(("_found", "_anyway"))]
    sums = by[["files", *columns, "alarms"]].sum()
    yield shares.add_suffix(" %").join(sums).join(by["fit_seconds"].mean())


def plant_tables(rows):
    """Faults over the seeds, each of them, and other alarms."""
    by = rows.groupby(["detector", "fault"], sort=False)
    table = by.agg(
        of=("found", "size"), found=("found", "sum"), pieces=("pieces", "mean")
    )
    for name in ("start", "raised", "end"):
        table[f"{name}, mean"] = by[name].mean()
        table[f"{name}, range"] = [
            f"{part.min():.0f} to {part.max():.0f}" if part.notna().any() else ""
            for _, part in by[name]
        ]
    yield table.assign(named=by["named"].sum())
    yield by["channels"].agg(lambda names: " | ".join(names.dropna())).to_frame()
    each = rows.drop_duplicates(["detector", "seed"]).assign(
        per_day=lambda rows: rows["others"] / rows["days"]
    )
    by = each.groupby("detector", sort=False)
    yield by.agg(
        others=("others", list),
        per_day=("per_day", "mean"),
        fit_seconds=("fit_seconds", "mean"),
    )


def groups_tables(rows):
    """All measures of the default, and times of fits."""
    rows = rows[rows["rule"] == DEFAULT]
    yield rates(rows, ["detector"])
    seconds = rows.groupby(["detector", "suite"], sort=False)["fit_seconds"].mean()
    yield seconds.unstack(sort=False).add_prefix("seconds ")


def rules_tables(rows):
    """Events found, false alarms, F1 and time in alarms, for each rule."""
    table = rates(rows, ["detector", "rule"])
    for name in ("found", "false/1000", "F1", "in alarms %"):
        wide = table[name].unstack("suite", sort=False)
        yield wide.rename(columns={"mean of NAB, SKAB, SMD": "mean"}).add_prefix(
            f"{name} "
        )


PARTS = {  # each part, and the tables made from its results
    "stationary": (stationary, stationary_tables),
    "cyclic": (cyclic, cyclic_tables),
    "historian": (partial(plant, "historian"), plant_tables),
    "noisy": (partial(plant, "noisy"), plant_tables),
    "groups": (labelled, groups_tables),
    "rules": (labelled, rules_tables),
}


def write(path, results):
    """Write the figures, and the versions with which they were measured."""
    packages = ("tsanomaly", "keras", "jax", "scikit-learn", "numpy", "pandas")
    document = {
        "versions": {package: version(package) for package in packages},
        "machine": {
            "processor": platform.processor(),
            "python": platform.python_version(),
        },
        "results": results,
    }
    path.write_text(json.dumps(document, indent=1, default=float), encoding="utf-8")


def main():
    """Run, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path, help="folder with data/ and cases/")
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0")
    parser.add_argument(
        "--stationary-seeds",
        type=int,
        default=20,
        help="those of stationary machines, for detectors without a network",
    )
    parser.add_argument(
        "--per",
        type=int,
        default=DEFAULT_BUDGET["per"],
        help="rows with a false alarm, of groups and rules",
    )
    parser.add_argument("--only", nargs="+", choices=PARTS, help="parts to run")
    parser.add_argument("--detectors", nargs="+", choices=DETECTORS)
    parser.add_argument("--json", type=Path, help="file for the figures")
    arguments = parser.parse_args()
    chosen = [name for name in PARTS if not arguments.only or name in arguments.only]
    results, written = {}, perf_counter()
    for name in chosen:
        run, tables = PARTS[name]
        key = "groups" if run is labelled else name  # one run for both
        if key not in results:
            results[key] = []
            for rows in run(arguments):
                results[key] += rows
                row = rows[0]
                print(
                    f"{key:<10} {row['series'].split('/')[-1]:<30} {row['seed']:>2} "
                    f"{row['detector']:<14} {row['fit_seconds']:6.1f} s",
                    flush=True,
                )
                if arguments.json and perf_counter() - written > 60:
                    write(arguments.json, results)
                    written = perf_counter()
        if not results[key]:
            print(f"{name}: no detector takes it")
            continue
        frame = pd.DataFrame(results[key])
        said = frame.explode("warnings").dropna(subset="warnings")
        for (detector, text), rows in said.groupby(["detector", "warnings"]):
            print(f"{detector}, {rows['series'].nunique()} series: {text}")
        for table in tables(frame):
            print("", table.round(3).to_string(), sep="\n", flush=True)
    if arguments.json:
        write(arguments.json, results)


if __name__ == "__main__":
    main()
