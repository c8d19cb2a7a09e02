# SPDX-License-Identifier: MIT
"""Commands that find and explain alarms."""

from tsanomaly._cli._commands._results import RESULTS, finish
from tsanomaly._cli._files import (
    make_folder,
    plain,
    row_label,
    write_alarms,
    write_figure,
    write_file,
    write_table,
)
from tsanomaly._cli._inputs import read_both, read_described
from tsanomaly._cli._models import predictions, run_model, with_threshold
from tsanomaly._cli._pictures import draw_anomalies, draw_contributions, main_channels
from tsanomaly._cli._text import visible
from tsanomaly._inspection import reconstructs

__all__ = ["detect", "explain", "report"]

# Alarms that are told on the terminal, at most: the most severe ones.
_MOST_TOLD = 5


def detect(
    model,
    csv,
    *,
    read_params,
    alarm_params,
    fill=False,
    threshold=None,
    quantile=None,
    k=None,
    n_channels=3,
    output_dir=RESULTS,
    plots=True,
    progress,
):
    """Score readings with a model.

    Parameters
    ----------
    model, csv, read_params, fill, threshold, quantile, k, alarm_params, n_channels, \
            output_dir, plots, progress
        See above.
    """
    detector, frame, labels = read_both(
        model, csv, read_params, fill=fill, progress=progress
    )
    folder = make_folder(output_dir)
    detector = with_threshold(detector, model, quantile=quantile, k=k)
    found = run_model(
        detector,
        frame,
        threshold=threshold,
        alarm_params=alarm_params,
        n_channels=n_channels,
        progress=progress,
    )
    table = predictions(frame, found)
    files = [
        write_table(folder / "predictions.csv", table, **row_label(frame)),
        write_alarms(folder / "alarms.csv", found.alarms),
    ]
    if plots:
        progress("drawing")
        figure = draw_anomalies(frame, found, labels)
        files.append(write_figure(folder / "anomalies.png", figure))
    result = {
        "rows": len(frame),
        "threshold": found.threshold,
        "flagged_rows": int(found.flagged.sum()),
        "alarms": len(found.alarms),
        "drifted": found.drifted,
    }
    text = (
        f"{result['flagged_rows']:,} of {len(frame):,} rows are above the threshold "
        f"{found.threshold:.6g}; alarms: {len(found.alarms):,}"
    )
    worst = found.alarms.nlargest(_MOST_TOLD, "severity")
    text += "".join(
        f"\n{alarm.priority} ({alarm.severity:.0f}): {visible(alarm.sentence)}"
        for alarm in worst.itertuples()
    )
    if len(found.alarms) > len(worst):
        text += f"\nand {len(found.alarms) - len(worst):,} less severe, in alarms.csv"
    if found.drifted:
        text += (
            "\nthe last rows no longer look like the training rows: most errors are "
            "closer to the threshold than usual. Train again on recent rows."
        )
    return finish(result, text, files)


def explain(
    model,
    csv,
    *,
    read_params,
    alarm_params,
    fill=False,
    threshold=None,
    quantile=None,
    k=None,
    n_channels=3,
    output_dir=RESULTS,
    plots=True,
    progress,
):
    """Say what is abnormal.

    Parameters
    ----------
    model, csv, read_params, fill, threshold, quantile, k, alarm_params, n_channels, \
            output_dir, plots, progress
        See above.
    """
    from tsanomaly.plotting import ReconstructionDisplay

    detector, frame, labels = read_both(
        model, csv, read_params, fill=fill, progress=progress
    )
    folder = make_folder(output_dir)
    detector = with_threshold(detector, model, quantile=quantile, k=k)
    found = run_model(
        detector,
        frame,
        threshold=threshold,
        alarm_params=alarm_params,
        n_channels=n_channels,
        progress=progress,
    )
    files = [write_alarms(folder / "alarms.csv", found.alarms)]
    if plots:
        progress("drawing")
        figure = draw_contributions(frame, found, labels)
        if figure is not None:
            files.append(write_figure(folder / "contributions.png", figure))
        if reconstructs(detector):
            display = ReconstructionDisplay.from_estimator(
                detector, frame, labels, channels=main_channels(found)
            )
            files.append(write_figure(folder / "reconstruction.png", display.figure_))
    sentences = found.alarms["sentence"].map(visible).tolist()
    result = {"alarms": plain(found.alarms)}
    return finish(result, "\n".join(sentences) or "There is no alarm.", files)


def report(
    model,
    csv,
    *,
    read_params,
    alarm_params,
    fill=False,
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
    """Write one page of all that is known.

    Parameters
    ----------
    title : str or None
        The heading; None names the file of the readings.
    model, csv, read_params, fill, threshold, quantile, k, alarm_params, n_channels, \
            train_fraction, output_dir, plots, progress
        See above.
    """
    from tsanomaly._cli._report import make_page

    detector, frame, labels, manifest = read_described(
        model, csv, read_params, fill=fill, progress=progress
    )
    folder = make_folder(output_dir)
    detector = with_threshold(detector, model, quantile=quantile, k=k)
    found = run_model(
        detector,
        frame,
        threshold=threshold,
        alarm_params=alarm_params,
        n_channels=n_channels,
        progress=progress,
    )
    page = make_page(
        detector,
        frame,
        labels,
        found,
        csv=csv,
        model=model,
        manifest=manifest,
        title=title,
        train_fraction=train_fraction,
        plots=plots,
        progress=progress,
    )
    file = write_file(folder / "report.html", page.encode())
    result = {
        "rows": len(frame),
        "flagged_rows": int(found.flagged.sum()),
        "alarms": len(found.alarms),
    }
    text = f"rows: {len(frame):,}; alarms: {len(found.alarms):,}"
    return finish(result, text, [file])
