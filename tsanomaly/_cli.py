# SPDX-License-Identifier: MIT
"""The command line: parse, call the library, print."""

import argparse
import sys
from pathlib import Path

from tsanomaly._version import __version__

__all__ = ["main"]


def main(argv=None):
    """Run the command line.

    Parameters
    ----------
    argv : list of str or None, default=None
        Arguments without the name of the program; None takes those of the process.

    Returns
    -------
    status : int
        0 for success, 1 for failure, 130 if interrupted. Wrong usage exits with 2.
    """
    parser = argparse.ArgumentParser(
        prog="tsanomaly",
        description="Find when, and in which sensor, a machine behaves abnormally.",
    )
    parser.add_argument(
        "--version", action="version", version=f"tsanomaly {__version__}"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    demo = commands.add_parser(
        "demo",
        help="compare four detectors on real data that comes with the package",
        description=(
            "Train IsolationForest, LOF, PCA and an LSTM autoencoder on real server "
            "metrics, print how well they find the labelled anomalies, and write their "
            "predictions as CSV and plots as PNG. Takes one to three minutes."
        ),
        epilog="example: tsanomaly demo --output-dir results",
    )
    demo.add_argument(
        "--output-dir",
        type=Path,
        default=Path("tsanomaly-demo"),
        metavar="DIR",
        help="folder for the results, made if it is not there (default: %(default)s)",
    )
    demo.set_defaults(run=_demo)
    arguments = parser.parse_args(argv)
    try:
        return arguments.run(arguments)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except (OSError, ValueError, ImportError) as error:
        print(f"tsanomaly {arguments.command}: error: {error}", file=sys.stderr)
        return 1


def _demo(arguments):
    from tsanomaly._demo import format_table, run_demo

    folder = arguments.output_dir
    folder.mkdir(parents=True, exist_ok=True)
    table = run_demo(folder, progress=lambda text: print(text, flush=True))
    print(f"\n{format_table(table)}\n\nResults are in {folder.resolve()}")
    return 0
