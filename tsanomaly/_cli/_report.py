# SPDX-License-Identifier: MIT
"""One HTML page of all that is known of a series and a model."""

from base64 import b64encode
from html import escape

import numpy as np

from tsanomaly._cli._files import png
from tsanomaly._cli._models import settings
from tsanomaly._cli._numbers import (
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
from tsanomaly._cli._text import visible
from tsanomaly._inspection import reconstructs
from tsanomaly._version import __version__
from tsanomaly._wording import count

__all__ = ["make_page"]

# Of wide pictures; the page shows them at half of that on a usual screen.
_DPI = 130

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1b1f24; background: #fff;
  max-width: 1100px; margin: 0 auto; padding: 1.5rem; overflow-wrap: break-word; }
h1 { margin: 0 0 .2rem; font-size: 1.8rem; }
h2 { margin: 2.4rem 0 .6rem; font-size: 1.3rem; border-bottom: 1px solid #d0d7de; }
p { margin: .4rem 0; }
.lead { color: #57606a; }
.numbers { display: flex; flex-wrap: wrap; gap: .8rem; margin: 1rem 0; }
.numbers div { border: 1px solid #d0d7de; border-radius: 6px; padding: .5rem 1rem; }
.numbers b { display: block; font-size: 1.4rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #eaeef2;
  vertical-align: top; }
th { background: #f6f8fa; }
td.text, th.text { text-align: left; }
#alarms td.text { min-width: 15rem; }
td.when, #alarms td.when { white-space: nowrap; min-width: 0; }
td.code { font-family: ui-monospace, monospace; font-size: .85rem; text-align: left;
  overflow-wrap: anywhere; }
figure { margin: 1rem 0; }
figcaption { color: #57606a; font-size: .9rem; }
img { max-width: 100%; height: auto; }
@media print { h2 { break-after: avoid; } figure, tr { break-inside: avoid; } }
"""

_NAMES = {
    "roc_auc": "ROC-AUC",
    "vus_pr": "VUS-PR",
    "vus_roc": "VUS-ROC",
    "f1": "F1",
    "event_fscore": "event F",
    "affiliation_fscore": "affiliation F",
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
        What the detector says of them.
    model : Path
        The file of the model.
    manifest : dict
        What the file of the model says of it.
    title : str or None
        The heading; None names the file of the readings.
    train_fraction : float
        Share of the rows, the first ones, to leave out of the metrics.
    plots : bool
        Whether to draw.
    progress : callable
        Called with a line of text before each step.

    Returns
    -------
    page : str
        HTML without any reference to other files.
    """
    from tsanomaly import sensor_health

    frame, labels = readings.frame, readings.labels
    title = title or f"Anomalies in {readings.name}"
    progress("summarising")
    summary = summarise(readings.raw, labels)
    progress("looking at the sensors")
    findings = sensor_health(readings.raw)
    figures, measures, note = {}, None, ""
    if labels is not None:
        progress("computing metrics")
        judged = rows_to_judge(frame, found.errors, train_fraction)
        measures = measure(
            frame[judged], found.errors[judged], found.flagged[judged], labels[judged]
        )
        note = f"Computed on {count(judged.sum(), 'row')}"
        if train_fraction:
            note += (
                f"; the first {train_fraction:.0%}, on which the model was "
                "trained, are left out"
            )
    if plots:
        progress("drawing")
        figures = _draw(detector, frame, labels, found)
        if measures is not None:
            pictures = draw_measures(
                frame[judged],
                found.errors[judged],
                found.flagged[judged],
                labels[judged],
                found.threshold,
            )
            figures["measures"] = [
                (_CAPTIONS[name], figure) for name, figure in pictures.items()
            ]
    pictures = {
        place: "".join(_picture(*pair) for pair in pairs)
        for place, pairs in figures.items()
    }
    sections = [
        _heading(title, summary, found),
        _section(
            "Alarms", pictures.get("alarms", "") + _alarms(found.alarms), "alarms"
        ),
        _section("Readings", _readings(summary) + pictures.get("readings", "")),
        _section("Sensor health", _health(findings), "health"),
    ]
    if measures is not None:
        body = f"<p>{_as_html(note)}.</p>{_measures(measures)}"
        sections.append(
            _section("Metrics", body + pictures.get("measures", ""), "measures")
        )
    lines = _settings(readings, model, manifest, detector, found)
    sections.append(_section("Settings and versions", lines))
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_as_html(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        + "\n".join(sections)
        + "\n</body>\n</html>\n"
    )


_CAPTIONS = {
    "thresholds": "Precision, recall, F1 and alarms over the threshold. The dashed "
    "line is the threshold in use.",
    "roc": "ROC curve of the scores.",
    "precision_recall": "Precision and recall of the scores.",
    "confusion": "Rows by label and flag.",
}


def _draw(detector, frame, labels, found):
    """Captions and figures, by the section they belong to."""
    from tsanomaly.plotting import ReconstructionDisplay

    channels = main_channels(found)
    shown = (
        f"{len(channels)} of {frame.shape[1]} channels, those with most of the error"
    )
    shown = "All channels" if len(channels) == frame.shape[1] else shown
    alarms = [
        (
            f"{shown}, the score, the threshold and the alarms. A higher score is more "
            "abnormal.",
            draw_anomalies(frame, found, labels),
        )
    ]
    figure = draw_contributions(frame, found, labels)
    if figure is not None:
        alarms.append(("Which channels the errors come from.", figure))
    if reconstructs(detector):
        display = ReconstructionDisplay.from_estimator(
            detector, frame, labels, channels=channels
        )
        alarms.append(("Readings and what was expected.", display.figure_))
    shown = shown_readings(frame)
    shaded = "" if labels is None else "; labelled anomalies are shaded"
    captions = {
        "series": f"{shown.capitalize()}{shaded}.",
        "correlation": f"Correlation of {correlated_readings(frame)}.",
        "spectrum": f"Spectra of {shown}; peaks are marked with their period.",
    }
    figures = draw_readings(frame, labels)
    readings = [(captions[name], figure) for name, figure in figures.items()]
    return {"alarms": alarms, "readings": readings}


def _as_html(text):
    return escape(visible(text))


def _picture(caption, figure):
    width = round(figure.get_figwidth() * 100)
    data = b64encode(png(figure, dpi=_DPI)).decode()
    caption = _as_html(caption)
    return (
        f'<figure><img width="{width}" alt="{caption}" '
        f'src="data:image/png;base64,{data}"><figcaption>{caption}</figcaption></figure>'
    )


def _section(title, body, name=None):
    mark = "" if name is None else f' id="{name}"'
    return f"<section{mark}>\n<h2>{_as_html(title)}</h2>\n{body}\n</section>"


def _heading(title, summary, found):
    span = f"{summary['start']} to {summary['end']}"
    numbers = [
        (summary["rows"], "row", ""),
        (summary["channels"], "channel", ""),
        (len(found.alarms), "alarm", ""),
        (found.flagged.sum(), "row", f" flagged, {found.flagged.mean():.1%}"),
    ]
    boxes = "".join(
        "<div><b>{}</b>{}</div>".format(*count(*number).split(" ", 1))
        for number in numbers
    )
    return (
        f'<h1>{_as_html(title)}</h1>\n<p class="lead">{_as_html(span)}</p>\n'
        f'<div class="numbers">{boxes}</div>'
    )


def _table(head, rows, kinds):
    """A table; kinds are the classes of the columns."""
    cells = "".join(
        f'<th class="{"text" if kind else ""}">{_as_html(name)}</th>'
        for name, kind in zip(head, kinds, strict=True)
    )
    body = "\n".join(
        "<tr>"
        + "".join(
            f'<td class="{kind}">{_as_html(cell)}</td>'
            for cell, kind in zip(row, kinds, strict=True)
        )
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wide"><table>\n<thead><tr>{cells}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _alarms(alarms):
    if not len(alarms):
        return "<p>There is no alarm.</p>"
    rows = [
        (
            number,
            alarm.sentence,
            f"{alarm.severity:.0f}",
            alarm.priority,
            ", ".join(
                f"{name} {share:.0%}"
                for name, share in zip(alarm.channels, alarm.shares, strict=True)
            ),
            alarm.state,
        )
        for number, alarm in enumerate(
            alarms.sort_values("severity", ascending=False, kind="stable").itertuples(),
            1,
        )
    ]
    head = ["", "in words", "severity", "priority", "channels", "state"]
    kinds = ["", "text", "", "text when", "text", "text when"]
    return _table(head, rows, kinds)


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
    names = ["mean", "std", "min", "max"]
    rows = [
        (
            channel,
            *(_number(values[name]) for name in names),
            f"{int(values['missing']):,}",
        )
        for channel, values in summary["per_channel"].items()
    ]
    head = ["channel", *names, "missing"]
    sentence = "; ".join(lines)
    text = f"<p>{_as_html(sentence[0].upper() + sentence[1:])}.</p>"
    return text + _table(head, rows, ["text", *[""] * 5])


def _health(findings):
    if not len(findings):
        return (
            "<p>Nothing is found that points to a sensor, the logger or its clock.</p>"
        )
    rows = [
        (
            "all" if row.channel is None else row.channel,
            row.finding.replace("_", " "),
            row.message,
            f"{row.n_rows:,}",
        )
        for row in findings.itertuples()
    ]
    head = ["channel", "finding", "in words", "rows"]
    return _table(head, rows, ["text", "text", "text", ""])


def _measures(measures):
    rows = [
        (_NAMES.get(name, name.replace("_", " ")), _number(value))
        for name, value in measures.items()
    ]
    return _table(["metric", "value"], rows, ["text", ""])


def _settings(readings, model, manifest, detector, found):
    # Pairs, since a step may be called like another line.
    lines = [
        ("readings", readings.path),
        *[("", note) for note in readings.notes],
        ("model", model),
        ("model written", manifest["created"]),
        *settings(detector).items(),
        ("threshold in use", f"{found.threshold:.6g}"),
        ("versions of the model", _versions(manifest["versions"])),
        ("report by", f"tsanomaly {__version__}"),
    ]
    return _table(["", ""], lines, ["text when", "code"])


def _versions(versions):
    return ", ".join(f"{name} {number}" for name, number in versions.items())


def _number(value):
    if value is None:
        return "undefined"
    if isinstance(value, int) or (np.isfinite(value) and value == round(value)):
        return f"{int(value):,}"
    return f"{value:.4g}"
