# SPDX-License-Identifier: MIT
"""Sensor health in the commands."""

import pandas as pd

from tsanomaly._cli._text import visible

__all__ = ["find_faults", "list_findings"]

# Advice for Python in messages, and its equivalent for the commands.
_IN_COMMANDS = {
    "Insert a break there with tsanomaly.datasets.insert_breaks": (
        "A break is inserted there"
    ),
    "replace it by NaN": "empty its cell or pass it to --na-values",
    "with tsanomaly.datasets.regularize": "with --resample",
}


def find_faults(frame, by=None):
    """Check sensor health, of each machine.

    Parameters
    ----------
    frame : DataFrame
        Readings, with the column `by` if there are several machines.
    by : str or None, default=None
        The column of machines.

    Returns
    -------
    findings : DataFrame
        As returned by :func:`tsanomaly.sensor_health`, with the machine.
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
    """Replace advice for Python with options."""
    for python, command in _IN_COMMANDS.items():
        findings["message"] = [m.replace(python, command) for m in findings["message"]]
    return findings


def list_findings(findings, most, where, of=""):
    """Format findings as lines of text.

    Parameters
    ----------
    findings : DataFrame
        As returned by :func:`tsanomaly.sensor_health`.
    most : int
        Maximum number to list.
    where : str
        File that holds all findings.
    of : str, default=''
        End of the heading: the machine or rows they are about.

    Returns
    -------
    text : str
        A heading, then one line per finding.
    """
    if not len(findings):
        return f"sensor health{of}: nothing found"
    lines = [f"  {visible(message)}" for message in findings["message"][:most]]
    if len(findings) > most:
        lines.append(f"  and {len(findings) - most:,} more, in {where}")
    return "\n".join([f"sensor health{of}:", *lines])
