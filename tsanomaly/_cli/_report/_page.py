# SPDX-License-Identifier: MIT
"""The HTML page of a report."""

import warnings
from base64 import b64encode
from collections import Counter
from hashlib import sha256
from importlib.resources import files
from io import BytesIO

import numpy as np
import pandas as pd

from tsanomaly._cli._drift import tell_drift
from tsanomaly._cli._health import find_faults
from tsanomaly._cli._models import settings
from tsanomaly._cli._numbers import (
    alarms_that_stay,
    duration,
    measure,
    rows_to_judge,
    summarise,
)
from tsanomaly._cli._pictures import (
    correlated_readings,
    draw_anomalies,
    draw_contributions,
    draw_measures,
    draw_readings,
    main_channels,
    shown_readings,
)
from tsanomaly._cli._report._chart import (
    by_severity,
    chart_data,
    find_alarm_rows,
    split_sentence,
    time_axis,
)
from tsanomaly._cli._report._sketch import HEIGHT, WIDTH, draw_sketches
from tsanomaly._cli._text import visible
from tsanomaly._version import __version__
from tsanomaly._wording import count, time_span

__all__ = ["make_page"]

# Resolution of wide pictures; most screens show them at half of it.
_DPI = 130

# Number of alarms at the top of the page.
_N_WORST = 3

# Number of alarms and sensor findings that are shown at first.
_N_SHOWN, _N_FINDINGS = 10, 3

_NAMES = {
    "roc_auc": "ROC-AUC",
    "vus_pr": "VUS-PR",
    "vus_roc": "VUS-ROC",
    "f1": "F1",
    "event_fscore": "event F",
    "affiliation_fscore": "affiliation F",
    "normal_share_in_alarm": "share of normal rows in alarm",
    "median_delay_seconds": "median delay, seconds",
}


def make_page(
    detector,
    readings,
    found,
    *,
    model,
    manifest,
    title,
    train_fraction,
    plots,
    progress,
):
    """Return the page as text.

    Parameters
    ----------
    detector : fitted estimator
        With the threshold in use.
    readings : Readings
        The readings.
    found : Detection
        Result of the detector.
    model : Path
        The file of the model.
    manifest : dict
        Manifest of the model file.
    title : str or None
        Heading; None uses the name of the file of readings.
    train_fraction : float
        Share of the rows, from the start, to leave out of the metrics.
    plots : bool
        Whether to draw plots.
    progress : callable
        Called with a line of text before each step.

    Returns
    -------
    page : str
        HTML without references to other files.
    """
    frame, labels = readings.frame, readings.labels
    progress("summarising")
    summary = summarise(readings.raw, labels)
    progress("checking sensor health")
    findings = find_faults(readings.raw)
    content = {
        "title": title or f"Anomalies in {readings.name}",
        "summary": summary,
        "found": found,
        "alarms": _alarms(frame, found),
        "is_time": time_axis(frame.index)[1],
        "drift": tell_drift(detector, frame) if found.drifted else None,
        "verdict": _verdict(found.alarms),
        "flagged": f" flagged, {_percentage(found.flagged.mean())}",
        "findings": findings,
        "n_sensors": findings["channel"].dropna().nunique(),
        "readings": _readings(summary),
        "settings": _settings(readings, model, manifest, detector, found),
        "measures": None,
        "staying": None,
        "charts": None,
        "pictures": {},
    }
    judged = None
    if labels is not None:
        progress("computing metrics")
        judged = rows_to_judge(frame, found.errors, train_fraction)
        content["measures"] = measure(
            frame, labels, found.errors, found.flagged, found.alarm_rows, judged
        )
        content["judged"] = _what_is_judged(judged, train_fraction)
        content["staying"] = alarms_that_stay(content["measures"])
        if content["staying"]:
            warnings.warn(content["staying"], stacklevel=2)
    if plots:
        progress("drawing")
        content["pictures"] = _draw(frame, labels, found, judged)
        worst = content["alarms"][:_N_WORST]
        sketches = draw_sketches(
            detector, frame, found, [alarm["rows"] for alarm in worst]
        )
        for alarm, sketch in zip(worst, sketches, strict=True):
            alarm["sketch"] = sketch
        content["charts"] = chart_data(detector, frame, found, labels)
    return _fill(content)


def _fill(content):
    """Fill the template with content, style and script."""
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("tsanomaly._cli._report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # Escape all names and texts that come from files.
        finalize=lambda value: value if isinstance(value, Markup) else visible(value),
    )
    environment.filters |= {"number": _number, "count": count}
    styles, scripts = ["page.css"], ["alarms.js"]
    if content["charts"] is not None:
        styles.insert(0, "uPlot.min.css")
        scripts = ["uPlot.min.js", "alarms.js", "charts.js"]
    script = _text_of(scripts)
    if content["charts"] is not None:
        notice = _text_of(["LICENSE-uPlot"])
        script = f"/*\nuPlot:\n{notice}*/\n{script}"
    digest = b64encode(sha256(script.encode()).digest()).decode()
    return environment.get_template("page.html.jinja").render(
        content,
        style=Markup(_text_of(styles)),
        script=Markup(script),
        script_hash=f"sha256-{digest}",
        sketch_size=(WIDTH, HEIGHT),
        n_shown=_N_SHOWN,
        n_findings=_N_FINDINGS,
        n_worst=_N_WORST,
        metric_names=_NAMES,
    )


def _text_of(names):
    """Concatenate files of this folder."""
    folder = files("tsanomaly._cli._report")
    texts = [folder.joinpath(name).read_text(encoding="utf-8") for name in names]
    return "\n".join(texts)


_CAPTIONS = {
    "thresholds": "Precision, recall, F1 and runs of flagged rows over the threshold. "
    "The dotted line is the threshold in use.",
    "roc": "ROC curve of the scores.",
    "precision_recall": "Precision and recall of the scores.",
    "confusion": "Number of rows by label and flag.",
}


def _draw(frame, labels, found, judged):
    """Draw the pictures, by section."""
    from tsanomaly.plotting import ReconstructionDisplay

    channels = main_channels(found)
    shown = f"the {len(channels)} of {frame.shape[1]} channels with the largest errors"
    shown = "All channels" if len(channels) == frame.shape[1] else shown
    main = [
        (
            f"{shown}, the score, the threshold and the alarms. A higher score is more "
            "abnormal.",
            draw_anomalies(frame, found, labels),
        )
    ]
    alarms = []
    figure = draw_contributions(frame, found, labels)
    if figure is not None:
        alarms.append(("Errors by channel over time.", figure))
    if found.expected is not None:
        display = ReconstructionDisplay.from_predictions(
            frame, found.expected, labels, channels=channels
        )
        main.append(("Readings and expected readings.", display.figure_))
    shown = shown_readings(frame)
    shaded = "" if labels is None else "; labelled anomalies are shaded"
    captions = {
        "series": f"{shown.capitalize()}{shaded}.",
        "correlation": f"Correlation of {correlated_readings(frame)}.",
        "spectrum": f"Spectra of {shown}; peaks are marked with their period.",
    }
    figures = draw_readings(frame, labels)
    readings = [(captions[name], figure) for name, figure in figures.items()]
    measures = []
    if judged is not None:
        figures = draw_measures(
            frame[judged],
            found.errors[judged],
            found.flagged[judged],
            labels[judged],
            found.threshold,
        )
        measures = [(_CAPTIONS[name], figure) for name, figure in figures.items()]
    places = {
        "main": main,
        "alarms": alarms,
        "readings": readings,
        "measures": measures,
    }
    return {
        place: [_picture(*pair) for pair in pairs] for place, pairs in places.items()
    }


def _picture(caption, figure):
    """Convert a figure for the template, and close it."""
    import matplotlib.pyplot as plt

    width, height = (round(100 * inches) for inches in figure.get_size_inches())
    data = BytesIO()
    # Lossless, at a third of the size of a PNG. More effort takes half as long again,
    # for 1 % of the size.
    options = {"lossless": True, "quality": 50}
    figure.savefig(data, format="webp", dpi=_DPI, pil_kwargs=options)
    plt.close(figure)
    data = b64encode(data.getvalue()).decode()
    return {"caption": caption, "width": width, "height": height, "data": data}


def _alarms(frame, found):
    """Collect the most severe alarms, with sentences and sort keys."""
    rows = find_alarm_rows(found)
    places, _ = time_axis(frame.index)
    alarms = []
    for position in by_severity(found.alarms):
        alarm = found.alarms.iloc[position]
        first, last = rows.start[position], rows.end[position]
        length = alarm["duration"]
        is_span = isinstance(length, pd.Timedelta)
        alarms.append(
            {
                "rows": (first, last, alarm["channels"]),
                "begin": places[first],
                "finish": places[last],
                "start": alarm["start"],
                "duration": time_span(length) if is_span else count(length, "row"),
                "length": length / pd.Timedelta(minutes=1) if is_span else length,
                "unit": "minutes" if is_span else "rows",
                "sentence": split_sentence(alarm),
                "severity": alarm["severity"],
                "priority": alarm["priority"],
                "state": alarm["state"],
                "channels": [visible(name) for name in alarm["channels"]],
                "shares": [f"{share:.0%}" for share in alarm["shares"]],
                "sketch": None,
            }
        )
    return alarms


def _verdict(alarms):
    """Summarise the alarms by priority, and those that are not cleared yet."""
    if not len(alarms):
        return "There are no alarms."
    numbers = Counter(alarms["priority"])
    text = ", ".join(
        f"{numbers[priority]:,} {priority}"
        for priority in ("high", "medium", "low")
        if numbers[priority]
    )
    n_active = int((alarms["state"] == "active").sum())
    active = f" Not cleared yet: {n_active}." if n_active else ""
    return f"{count(len(alarms), 'alarm')}, by priority: {text}.{active}"


def _what_is_judged(judged, train_fraction):
    text = f"Computed on {count(judged.sum(), 'row')}"
    if train_fraction:
        text += (
            f"; the first {train_fraction:.0%} of the rows, used for training, are "
            "left out, and so are the alarms raised in them"
        )
    return (
        f"{text}. Precision, recall and F1 count rows. Metrics of events, affiliation, "
        "delay and false alarms are those of the alarms."
    )


def _readings(summary):
    lines = []
    if summary["step"] is not None:
        lines.append(f"a row every {duration(summary['step'])}")
    if summary["gaps"] is not None:
        longest = summary["longest_gap"]
        longest = f", the longest {duration(longest)}" if longest else ""
        lines.append(count(summary["gaps"], "gap", f" in time{longest}"))
    lines.append(count(summary["missing_readings"], "reading", " missing"))
    if summary["anomalous_rows"] is not None:
        lines.append(count(summary["anomalous_rows"], "row", " labelled anomalous"))
    if summary["constant_channels"]:
        lines.append(f"constant: {', '.join(summary['constant_channels'])}")
    strong = [
        f"{' and '.join(pair['channels'])} ({pair['correlation']:.2f})"
        for pair in summary["strong_correlations"] or []
    ]
    if strong:
        lines.append(f"strongly correlated: {', '.join(strong[:10])}")
    sentence = "; ".join(lines)
    return f"{sentence[0].upper()}{sentence[1:]}."


def _settings(readings, model, manifest, detector, found):
    # Pairs, because a step may have the name of another line.
    return [
        ("readings", readings.path),
        *[("", note) for note in readings.notes],
        ("model", model),
        ("model written", manifest["created"]),
        *settings(detector).items(),
        ("threshold in use", f"{found.threshold:.6g}"),
        ("versions of the model", _versions(manifest["versions"])),
        ("report by", f"tsanomaly {__version__}"),
    ]


def _percentage(share):
    """Format a share in percent, with two digits for small ones."""
    return f"{100 * share:.2g}%" if 0 < share < 0.001 else f"{share:.1%}"


def _versions(versions):
    return ", ".join(f"{name} {number}" for name, number in versions.items())


def _number(value):
    if value is None:
        return "undefined"
    if isinstance(value, int) or (np.isfinite(value) and value == round(value)):
        return f"{int(value):,}"
    return f"{value:.4g}"
