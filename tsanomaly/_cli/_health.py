# SPDX-License-Identifier: MIT
"""What the commands say of the sensors, before any model does."""

import pandas as pd

from tsanomaly._cli._text import visible

__all__ = ["find_faults", "list_findings"]

# What messages advise in Python, and what commands do or have an option for.
_IN_COMMANDS = {
    "Put a break there with tsanomaly.datasets.insert_breaks": "A break is put there",
    "with tsanomaly.datasets.regularize": "with --resample",
}


def find_faults(frame, by=None):
    """Sensor health, of each machine.

    Parameters
    ----------
    frame : DataFrame
        Readings, with the column `by` if there are several machines.
    by : str or None, default=None
        The column of machines.

    Returns
    -------
    findings : DataFrame
        As from :func:`tsanomaly.sensor_health`, with the machine.
    """
    from tsanomaly import sensor_health

    if by is None:
        return _in_commands(sensor_health(frame))
    findings = []
    for machine, part in frame.groupby(by, sort=False):
        own = _in_commands(sensor_health(part.drop(columns=by)))
        own["message"] = [f"{machine}: {message}" for message in own["message"]]
        own.insert(0, by, machine)
        findings.append(own)
    return pd.concat(findings, ignore_index=True)


def _in_commands(findings):
    """Findings that advise options."""
    for python, command in _IN_COMMANDS.items():
        findings["message"] = [m.replace(python, command) for m in findings["message"]]
    return findings


def list_findings(findings, most, where, of=""):
    """Findings as lines of text.

    Parameters
    ----------
    findings : DataFrame
        As from :func:`tsanomaly.sensor_health`.
    most : int
        How many to list.
    where : str
        The file that holds all of them.
    of : str, default=''
        What they are of, at the end of the heading.

    Returns
    -------
    text : str
        A line for each, below a heading.
    """
    if not len(findings):
        return f"sensor health{of}: nothing found"
    lines = [f"  {visible(message)}" for message in findings["message"][:most]]
    if len(findings) > most:
        lines.append(f"  and {len(findings) - most:,} more, in {where}")
    return "\n".join([f"sensor health{of}:", *lines])
