# SPDX-License-Identifier: MIT
"""Commands that need no model: generate, explore and demo."""

import re
import warnings
from pathlib import Path

from tsanomaly._cli._checks import check_by, check_step
from tsanomaly._cli._commands._results import finish
from tsanomaly._cli._files import RESULTS, Results, plain
from tsanomaly._cli._health import find_faults, list_findings
from tsanomaly._cli._inputs import read
from tsanomaly._cli._numbers import describe, summarise
from tsanomaly._cli._pictures import N_DRAWN_CHANNELS, draw_readings, shown_readings
from tsanomaly._cli._prepare import warn_of_sparse
from tsanomaly._cli._text import visible
from tsanomaly._parameter_error import Parameter, ParameterWarning

__all__ = ["demo", "explore", "generate"]

# Maximum number of sensor health findings to print.
_N_FINDINGS = 20

# Maximum number of machines to draw; each takes a few seconds.
_N_DRAWN_MACHINES = 6

# Maximum length of a machine's name within a file name.
_LONGEST_ENDING = 60


def generate(
    *,
    n_samples=10_000,
    n_sensors=4,
    contamination=0.0425,
    kinds=None,
    freq="1min",
    random_state=0,
    output_dir=RESULTS,
    bom=False,
    plots=True,
    progress,
):
    """Simulate a plant.

    Parameters
    ----------
    n_samples, n_sensors, contamination, kinds, freq, random_state
        As of :func:`tsanomaly.datasets.make_sensor_data`.
    output_dir, bom, plots, progress
        See above.
    """
    from tsanomaly.datasets import make_sensor_data
    from tsanomaly.plotting import SeriesDisplay

    check_step(freq)
    progress("simulating")
    plant = make_sensor_data(
        n_samples,
        n_sensors,
        contamination=contamination,
        kinds=kinds,
        freq=freq,
        random_state=random_state,
    )
    progress("writing")
    results = Results(output_dir, bom=bom)
    table = plant.frame.assign(anomaly=plant.target)
    results.table("plant.csv", table, index_label="timestamp")
    results.table("plant_events.csv", plant.events, index=False)
    if plots:
        progress("drawing")
        channels = list(range(min(n_sensors, N_DRAWN_CHANNELS)))
        display = SeriesDisplay.from_series(
            plant.frame, plant.target, channels=channels
        )
        results.figure("plant.png", display.figure_)
    result = {
        "rows": len(table),
        "sensors": n_sensors,
        "anomalous_rows": int(plant.target.sum()),
        "events": len(plant.events),
    }
    text = (
        f"{len(table):,} rows of {n_sensors} sensors, "
        f"{plant.target.sum():,} rows anomalous; events: {len(plant.events)}"
    )
    return finish(result, text, results)


def explore(
    csv,
    *,
    read_params,
    columns=None,
    by=None,
    output_dir=RESULTS,
    bom=False,
    plots=True,
    progress,
):
    """Summarise a file, and draw plots.

    Parameters
    ----------
    by : str or None
        The column that names machines; it is not used as a channel.
    csv, read_params, columns, output_dir, bom, plots, progress
        See above.
    """
    check_by(by)
    readings = read(csv, read_params, columns=columns, by=by, progress=progress)
    frame, labels = readings.raw, readings.labels
    if by is not None:
        frame = frame.drop(columns=by)
    warn_of_sparse(frame)
    results = Results(output_dir, bom=bom)
    progress("summarising")
    summary = summarise(frame, labels)
    progress("checking sensor health")
    findings = find_faults(readings.raw, by)
    text = "".join(f"{visible(note)}\n" for note in readings.notes)
    text += f"{describe(summary)}\n\n"
    text += list_findings(findings, _N_FINDINGS, "sensor_health.csv")
    summary["sensor_health"] = plain(findings)
    results.json("summary.json", summary)
    results.table("sensor_health.csv", findings, index=False)
    if plots:
        progress("drawing")
        if (shown := shown_readings(frame)) != "all channels":
            warning = ParameterWarning(
                f"Pictures of readings and spectra show {shown}. Choose others with ",
                Parameter("columns"),
                ".",
            )
            warnings.warn(warning, stacklevel=2)
        for ending, rows in _drawn_rows(readings.raw, by).items():
            own = None if labels is None else labels[rows]
            for name, figure in draw_readings(frame.iloc[rows], own).items():
                results.figure(f"{name}{ending}.png", figure)
    return finish(summary, text, results)


def _drawn_rows(frame, by):
    """Return the rows of each machine's picture, by the ending of its file name."""
    if by is None:
        return {"": slice(None)}
    machines = frame.groupby(by, sort=False).indices
    if len(machines) > _N_DRAWN_MACHINES:
        listed = ", ".join(map(str, list(machines)[:_N_DRAWN_MACHINES]))
        warnings.warn(
            f"Pictures show {_N_DRAWN_MACHINES} of {len(machines):,} machines: "
            f"{listed}. For others, pass a file of their rows only.",
            stacklevel=3,
        )
    endings = {}
    for machine in list(machines)[:_N_DRAWN_MACHINES]:
        ending = re.sub(r"[^\w.-]+", "_", f"_{machine}")[:_LONGEST_ENDING]
        if ending.lower() in map(str.lower, endings):  # on some disks the same file
            ending += f"_{len(endings) + 1}"
        endings[ending] = machines[machine]
    return endings


def demo(*, output_dir=Path("tsanomaly-demo"), progress):
    """Compare detectors on data that come with the package.

    Parameters
    ----------
    output_dir, progress
        See above.
    """
    from tsanomaly._cli._demo import format_table, run_demo

    folder = Results(output_dir).folder

    def show(text):
        progress.keep(text)
        progress("training and scoring")

    table = run_demo(folder, progress=show)
    place = visible(folder.resolve())
    text = f"\n{format_table(table)}\n\nResults are in {place}"
    return table.to_dict("records"), text
