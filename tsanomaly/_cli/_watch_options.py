# SPDX-License-Identifier: MIT
"""Options of the command that watches machines."""

import argparse
from pathlib import Path

from tsanomaly._cli._values import not_empty_text, whole

__all__ = ["add_watching", "check_watching"]


def add_watching(parser):
    """Where readings come from, where alarms go to, and what is kept."""
    group = parser.add_argument_group("readings")
    group.add_argument(
        "--from",
        dest="source",
        type=not_empty_text,
        metavar="SOURCE",
        help="- for lines of the standard input, a file of lines, or "
        "mqtt://HOST[:PORT]/TOPIC (mqtts:// with TLS): CSV below a header, or a JSON "
        "object in each line",
    )
    group.add_argument(
        "--follow",
        action="store_true",
        help="wait for more at the end of the file, also when it is rotated",
    )
    group.add_argument(
        "--listen",
        type=_address,
        metavar="[HOST:]PORT",
        help="take readings over HTTP, and serve a page, alarms and metrics; other "
        "hosts than this one need --token-file (default of HOST: 127.0.0.1)",
    )
    group.add_argument(
        "--by",
        type=not_empty_text,
        metavar="NAME",
        help="where the machine's name is, for a model that watches several; a fleet "
        "knows that itself",
    )
    group.add_argument(
        "--timestamp",
        dest="time",
        type=not_empty_text,
        metavar="NAME",
        help="where the time is (default: the first of time, timestamp, datetime, "
        "date, ts)",
    )
    group.add_argument(
        "--max-gap",
        type=not_empty_text,
        metavar="TIME",
        help="a longer pause, such as 10min, makes the rows on its sides strangers",
    )
    group = parser.add_argument_group("alarms")
    group.add_argument(
        "--to",
        dest="outputs",
        type=not_empty_text,
        action="append",
        metavar="PLACE",
        help="- for the standard output, a file that events are added to, the "
        "http(s):// address of a webhook, or mqtt://HOST[:PORT]/TOPIC; may be given "
        "several times (default: -)",
    )
    group.add_argument(
        "--state",
        type=Path,
        metavar="FILE",
        help="what a restart goes on from; without it, a watch forgets when it ends",
    )
    group.add_argument(
        "--token-file",
        type=Path,
        metavar="FILE",
        help="file of the token that requests bring which change something",
    )
    group.add_argument(
        "--most-machines",
        type=whole(1),
        metavar="N",
        help="machines that are watched, at most (default: 1000)",
    )


def check_watching(given, as_json, parser):
    """What goes together, and what does not."""
    source = given.get("source")
    if source is None and "listen" not in given:
        parser.error("say where readings come from: --from, --listen, or both")
    is_file = source not in (None, "-") and "://" not in source
    if given.get("follow") and not is_file:
        parser.error("argument --follow: it is for --from FILE")
    if as_json and "-" in given.get("outputs", ["-"]):
        parser.error(
            "argument --json: the standard output holds events, lines of JSON; name "
            "another place for them with --to"
        )


def _address(text):
    """Read a port, or a host and a port."""
    host, _, port = text.rpartition(":")
    if not (port.isdecimal() and 0 <= int(port) < 2**16):
        raise argparse.ArgumentTypeError(f"{text!r} is not [HOST:]PORT, such as 8080")
    return host.strip("[]") or "127.0.0.1", int(port)
