# SPDX-License-Identifier: MIT
"""Options of `tsanomaly watch`."""

import argparse
from pathlib import Path

from tsanomaly._cli._values import not_empty_text, whole

__all__ = ["add_watching", "check_watching"]


def add_watching(parser):
    """Add options for readings, alarms and the state file."""
    group = parser.add_argument_group("readings")
    group.add_argument(
        "--from",
        dest="source",
        type=not_empty_text,
        metavar="SOURCE",
        help="- for the standard input, a file, or mqtt://HOST[:PORT]/TOPIC (mqtts:// "
        "with TLS); readings are CSV below a header, or one JSON object per line",
    )
    group.add_argument(
        "--follow",
        action="store_true",
        help="wait for more lines at the end of the file, even if it is rotated",
    )
    group.add_argument(
        "--listen",
        type=_address,
        metavar="[HOST:]PORT",
        help="accept readings over HTTP, and serve a page, alarms and metrics; a HOST "
        "other than the default, 127.0.0.1, needs --token-file",
    )
    group.add_argument(
        "--by",
        type=not_empty_text,
        metavar="NAME",
        help="field that names the machine, if one model watches several; a fleet "
        "knows its own",
    )
    group.add_argument(
        "--timestamp",
        dest="time",
        type=not_empty_text,
        metavar="NAME",
        help="field of the time (default: the first of time, timestamp, datetime, "
        "date, ts)",
    )
    group.add_argument(
        "--max-gap",
        type=not_empty_text,
        metavar="TIME",
        help="no window crosses a pause longer than this, such as 10min (default: "
        "none)",
    )
    group = parser.add_argument_group("alarms")
    group.add_argument(
        "--to",
        dest="outputs",
        type=not_empty_text,
        action="append",
        metavar="PLACE",
        help="- for the standard output, a file to append events to, an http(s):// "
        "address of a webhook, or mqtt://HOST[:PORT]/TOPIC; can be repeated (default: "
        "-)",
    )
    group.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="file that a restart continues from; without it, everything is forgotten "
        "at the end",
    )
    group.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="file with the token that requests must send to change something",
    )
    group.add_argument(
        "--most-machines",
        type=whole(1),
        metavar="N",
        help="maximum number of machines (default: 1000)",
    )


def check_watching(given, as_json, parser):
    """Reject options that contradict each other."""
    source = given.get("source")
    if source is None and "listen" not in given:
        parser.error("give the source of the readings: --from, --listen, or both")
    is_file = source not in (None, "-") and "://" not in source
    if given.get("follow") and not is_file:
        parser.error("argument --follow: it needs --from FILE")
    if as_json and "-" in given.get("outputs", ["-"]):
        parser.error(
            "argument --json: events already go to the standard output as JSON; send "
            "them elsewhere with --to"
        )


def _address(text):
    """Read a port, or a host and a port."""
    host, _, port = text.rpartition(":")
    if not (port.isdecimal() and 0 <= int(port) < 2**16):
        raise argparse.ArgumentTypeError(f"{text!r} is not [HOST:]PORT, such as 8080")
    return host.strip("[]") or "127.0.0.1", int(port)
