# SPDX-License-Identifier: MIT
"""What the commands say of the sensors, before any model does."""

from tsanomaly._cli._text import visible

__all__ = ["list_findings"]


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
