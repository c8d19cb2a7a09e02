# SPDX-License-Identifier: MIT
"""Metrics of a watch, in the text format of Prometheus."""

import numpy as np

from tsanomaly._version import __version__

__all__ = ["metrics"]


def metrics(watch, n_waiting, n_answers):
    """Format the metrics of a watch.

    Parameters
    ----------
    watch : Watch
    n_waiting : int
        Number of readings waiting to be scored.
    n_answers : dict of int to int
        Number of answers of the server, by status.

    Returns
    -------
    text : str
    """
    table = _Table()
    info = {"model": watch.model_version, "version": __version__}
    table.add("info", "gauge", "Versions of the model and the library.", 1, info)
    with watch.lock:
        counts = dict(watch.counts)
        table.add(
            "flagged_total", "counter", "Flagged readings.", counts.get("flagged", 0)
        )
        table.add(
            "reordered_total",
            "counter",
            "Readings that arrived after later ones of the same request.",
            counts.get("reordered", 0),
        )
        for name in sorted(counts):
            kind, _, rest = name.partition(" ")
            if kind == "rejected":
                text = "Rejected readings, by reason."
                table.add("rejected_total", "counter", text, counts[name], reason=rest)
            elif kind == "alarms":
                text = "Events of alarms."
                table.add("events_total", "counter", text, counts[name], type=rest)
        for name, machine in watch.machines().items():
            _add_machine(table, watch, name, machine)
    table.add("waiting", "gauge", "Readings waiting to be scored.", n_waiting)
    for status, number in sorted(n_answers.items()):
        text = "Answers to requests."
        table.add("answers_total", "counter", text, number, status=status)
    return table.text()


def _add_machine(table, watch, name, machine):
    def add(what, kind, text, value, **labels):
        table.add(what, kind, text, value, machine=name, **labels)

    add("readings_total", "counter", "Readings taken.", machine.n_readings)
    error = -machine.last_score
    add("error", "gauge", "The error of the last reading, higher = worse.", error)
    add("threshold", "gauge", "Threshold of the errors.", machine.threshold())
    is_on = int(machine.alarm is not None)
    add("alarm_active", "gauge", "Whether an alarm is active.", is_on)
    drifted = int(machine.has_drifted())
    add("drifted", "gauge", "Whether readings look unlike those in training.", drifted)
    if not np.isnat(machine.last_time):
        last = machine.last_time.astype("int64") / 1e9
        text = "Seconds since the time of the last reading."
        add("lag_seconds", "gauge", text, watch.clock() - last)
    for channel, number in sorted(machine.n_alarms.items()):
        text = "Alarms raised, by the channel with the largest share."
        add("alarms_total", "counter", text, number, channel=channel)
    for place, channel in enumerate(watch.channels):
        number = int(machine.missing[place])
        text = "Missing readings."
        add("missing_total", "counter", text, number, channel=channel)
        number = int(machine.unchanged[place])
        text = "Readings since a channel last changed."
        add("unchanged_readings", "gauge", text, number, channel=channel)


class _Table:
    """Metrics by name and labels."""

    def __init__(self):
        self._metrics = {}

    def add(self, name, kind, text, value, labels=None, **more):
        """Add a metric."""
        name = f"tsanomaly_{name}"
        head = f"# HELP {name} {text}\n# TYPE {name} {kind}"
        pairs = {**(labels or {}), **more}
        told = ",".join(f'{key}="{_escaped(item)}"' for key, item in pairs.items())
        told = f"{{{told}}}" if told else ""
        self._metrics.setdefault(head, []).append(f"{name}{told} {_number(value)}")

    def text(self):
        """Return the text, grouped by name."""
        parts = [[head, *lines] for head, lines in self._metrics.items()]
        return "\n".join(line for part in parts for line in part) + "\n"


def _escaped(value):
    text = str(value).replace("\\", r"\\").replace('"', r"\"")
    return text.replace("\n", r"\n")


def _number(value):
    # numpy numbers have another repr, and infinity another name.
    if isinstance(value, (int, np.integer)):
        return str(int(value))
    if np.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if np.isnan(value) else repr(float(value))
