# SPDX-License-Identifier: MIT
"""Commands that find and explain alarms."""

import pandas as pd

from tsanomaly._cli._commands._results import finish
from tsanomaly._cli._drift import tell_drift
from tsanomaly._cli._files import RESULTS, Results, in_minutes, plain
from tsanomaly._cli._fleets import machines
from tsanomaly._cli._inputs import read_both
from tsanomaly._cli._models import predictions, run_model, with_threshold
from tsanomaly._cli._pictures import (
    draw_anomalies,
    draw_contributions,
    main_channels,
    name_machine,
)
from tsanomaly._cli._text import visible
from tsanomaly._inspection import one_model_per_group

__all__ = ["detect", "explain", "report"]

# Maximum number of alarms to print, the most severe first.
_MOST_TOLD = 5


def detect(
    model,
    csv,
    *,
    read_params,
    row_params,
    alarm_params,
    threshold=None,
    quantile=None,
    k=None,
    n_channels=3,
    output_dir=RESULTS,
    bom=False,
    plots=True,
    progress,
):
    """Score readings with a model.

    Parameters
    ----------
    model, csv, read_params, row_params, threshold, quantile, k, alarm_params, \
            n_channels, output_dir, bom, plots, progress
        See above.
    """
    detector, readings, _ = read_both(
        model, csv, read_params, row_params, progress=progress
    )
    results = Results(output_dir, bom=bom)
    by = _column_of(detector)
    found, tables, alarms = _run(
        detector,
        readings,
        model=model,
        threshold=threshold,
        quantile=quantile,
        k=k,
        alarm_params=alarm_params,
        n_channels=n_channels,
        progress=progress,
    )
    results.rows("predictions.csv", tables)
    results.alarms("alarms.csv", alarms)
    if plots:
        progress("drawing")
        part, says = _worst(found)
        figure = draw_anomalies(part.frame, says, part.labels)
        results.figure("anomalies.png", _titled(figure, part, by))
    n_flagged = int(tables["flag"].sum())
    drifted = [part for part, says in found if says.drifted]
    result = {
        "rows": len(tables),
        "flagged_rows": n_flagged,
        "alarms": len(alarms),
        "drifted": len(drifted) > 0,
    }
    above = "their thresholds"
    if len(found) == 1:
        result["threshold"] = found[0][1].threshold
        above = f"the threshold {result['threshold']:.6g}"
    text = "".join(f"{visible(note)}\n" for note in readings.notes)
    text += f"{n_flagged:,} of {len(tables):,} rows are above {above}"
    text += f"; alarms: {len(alarms):,}"
    worst = alarms.nlargest(_MOST_TOLD, "severity")
    text += "".join(
        f"\n{alarm.priority} ({alarm.severity:.0f}): {visible(alarm.sentence)}"
        for alarm in worst.itertuples()
    )
    if len(alarms) > len(worst):
        text += f"\nand {len(alarms) - len(worst):,} less severe, in alarms.csv"
    for other in drifted:
        of = "" if other.machine is None else f" of {visible(other.machine)}"
        text += f"\n{tell_drift(other.detector, other.frame, of)}"
    if plots:
        text += _which_is_drawn("anomalies.png", part, by, alarms)
    return finish(result, text, results)


def _run(
    detector,
    readings,
    *,
    model,
    threshold,
    quantile,
    k,
    alarm_params,
    n_channels,
    progress,
    expect_all=False,
):
    """Run a model, or the model of each machine.

    Returns
    -------
    found : list of tuple (part, Detection)
        For each machine, or the only one.
    tables : DataFrame
        One row per row of the file: score, flag, top channel and machine.
    alarms : DataFrame
        As returned by `explain`, with the machine.
    """
    found, tables, alarms = [], [], []
    by = _column_of(detector)
    for part in machines(detector, readings):
        says = run_model(
            with_threshold(part.detector, model, quantile=quantile, k=k),
            part.frame,
            threshold=threshold,
            alarm_params=alarm_params,
            n_channels=n_channels,
            progress=progress,
            expect_all=expect_all,
        )
        table, own = predictions(part.frame, says).iloc[part.rows], says.alarms
        if by is not None:
            table, own = table.copy(), own.copy()
            table.insert(0, by, part.machine)
            own.insert(0, by, part.machine)
            own["sentence"] = [f"{part.machine}: {text}" for text in own["sentence"]]
        found.append((part, says))
        tables.append(table)
        alarms.append(own)
    if by is None:
        return found, tables[0], alarms[0]
    some = [own for own in alarms if len(own)] or alarms[:1]
    return found, pd.concat(tables), pd.concat(some, ignore_index=True)


def _column_of(detector):
    """Return the column of machines of a fleet, or None."""
    return detector.by if one_model_per_group(detector) else None


def _worst(found):
    """Return the part and the detection of the machine with the most severe alarm."""
    return max(found, key=lambda pair: max(pair[1].alarms["severity"], default=0))


def _titled(figure, part, by):
    """Title the figure of a machine of a fleet."""
    if by is not None:
        name_machine(figure, f"{by} {part.machine}")
    return figure


def _which_is_drawn(name, part, by, alarms):
    """Say which machine of a fleet a plot shows, in a line of its own."""
    if by is None:
        return ""
    why = ", which has the most severe alarm" if len(alarms) else ""
    return f"\n{name} shows {by} {visible(part.machine)}{why}"


def explain(
    model,
    csv,
    *,
    read_params,
    row_params,
    alarm_params,
    threshold=None,
    quantile=None,
    k=None,
    n_channels=3,
    output_dir=RESULTS,
    bom=False,
    plots=True,
    progress,
):
    """Describe each alarm in a sentence.

    Parameters
    ----------
    model, csv, read_params, row_params, threshold, quantile, k, alarm_params, \
            n_channels, output_dir, bom, plots, progress
        See above.
    """
    from tsanomaly.plotting import ReconstructionDisplay

    detector, readings, _ = read_both(
        model, csv, read_params, row_params, progress=progress
    )
    results = Results(output_dir, bom=bom)
    by = _column_of(detector)
    found, _, alarms = _run(
        detector,
        readings,
        model=model,
        threshold=threshold,
        quantile=quantile,
        k=k,
        alarm_params=alarm_params,
        n_channels=n_channels,
        progress=progress,
        expect_all=plots and by is None,
    )
    results.alarms("alarms.csv", alarms)
    shown = ""
    if plots:
        progress("drawing")
        part, says = _worst(found)
        figure = draw_contributions(part.frame, says, part.labels)
        if figure is not None:
            results.figure("contributions.png", _titled(figure, part, by))
            shown = _which_is_drawn("contributions.png", part, by, alarms)
        if says.expected is not None:
            display = ReconstructionDisplay.from_predictions(
                part.frame, says.expected, part.labels, channels=main_channels(says)
            )
            results.figure("reconstruction.png", display.figure_)
    sentences = alarms["sentence"].map(visible).tolist()
    text = "".join(f"{visible(note)}\n" for note in readings.notes)
    text += "\n".join(sentences) or "There are no alarms."
    text += shown
    return finish({"alarms": plain(in_minutes(alarms))}, text, results)


def report(
    model,
    csv,
    *,
    read_params,
    row_params,
    alarm_params,
    threshold=None,
    quantile=None,
    k=None,
    n_channels=3,
    train_fraction=0.0,
    title=None,
    output_dir=RESULTS,
    plots=True,
    progress,
):
    """Write the HTML report.

    Parameters
    ----------
    title : str or None
        Heading; None uses the name of the file of readings.
    model, csv, read_params, row_params, threshold, quantile, k, alarm_params, \
            n_channels, train_fraction, output_dir, plots, progress
        See above.
    """
    from tsanomaly._cli._report import make_page

    detector, readings, manifest = read_both(
        model, csv, read_params, row_params, one_machine=True, progress=progress
    )
    results = Results(output_dir)
    detector = with_threshold(detector, model, quantile=quantile, k=k)
    found = run_model(
        detector,
        readings.frame,
        threshold=threshold,
        alarm_params=alarm_params,
        n_channels=n_channels,
        progress=progress,
        expect_all=plots,
    )
    page = make_page(
        detector,
        readings,
        found,
        model=model,
        manifest=manifest,
        title=title,
        train_fraction=train_fraction,
        plots=plots,
        progress=progress,
    )
    results.data("report.html", page.encode())
    result = {
        "rows": len(readings.rows),
        "flagged_rows": int(found.flagged.sum()),
        "alarms": len(found.alarms),
    }
    text = "".join(f"{visible(note)}\n" for note in readings.notes)
    text += f"rows: {len(readings.rows):,}; alarms: {len(found.alarms):,}"
    return finish(result, text, results)
