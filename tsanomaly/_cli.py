# SPDX-License-Identifier: MIT
"""The command line: parse, call the commands, print what they return."""

import argparse
import json
import logging
import math
import os
import sys
import traceback
import warnings
from contextlib import contextmanager, suppress
from pathlib import Path

from tsanomaly._progress import listening
from tsanomaly._version import __version__

__all__ = ["main"]

_DETECTORS = ("lstm", "hybrid", "iforest", "lof", "pca")
_NETWORKS = {"lstm", "hybrid"}
_NETWORK_OPTIONS = ("units", "latent_dim", "epochs", "batch_size")

# Characters of a bar that shows progress, and how often it is drawn from start to end.
_BAR = 20
_STEPS = 200

# Errors that say what is wrong with what was given, and what else libraries raise then.
_FORESEEN = (OSError, ValueError, ImportError, MemoryError)
_OTHERS = (RuntimeError, KeyError)

# Status of a program that SIGPIPE ends, as shells give it.
_CLOSED_PIPE = 141

_GENERATE = "tsanomaly generate --rows 3000"
_PLANT = "tsanomaly-results/plant.csv"
_TRAIN = f"tsanomaly train {_PLANT} --detector pca"
_USE = f"tsanomaly-results/model.skops {_PLANT}"


def main(argv=None):
    """Run the command line.

    Parameters
    ----------
    argv : list of str or None, default=None
        Arguments without the name of the program; None takes those of the process.

    Returns
    -------
    status : int
        0 for success, 1 for failure, 130 if interrupted, 141 if nobody reads on, as of
        other programs in a pipe. Wrong usage exits with 2.
    """
    arguments = _parse(argv)
    progress = _Progress(sys.stderr)
    try:
        with _messages(arguments, progress), listening(progress.advance):
            result, text = arguments.run(arguments, progress)
            progress.clear()
            print(_as_json(result) if arguments.json else text, flush=True)
        return 0
    except BrokenPipeError:
        _drop_output()
        return _CLOSED_PIPE
    except KeyboardInterrupt:
        progress.clear()
        print("interrupted", file=sys.stderr)
        return 130
    except (*_FORESEEN, *_OTHERS) as error:
        progress.clear()
        if arguments.verbose:
            traceback.print_exc()
        text = _in_one_line(error)
        print(f"tsanomaly {arguments.command}: error: {text}", file=sys.stderr)
        return 1


def _in_one_line(error):
    """What an error says, and where to look if that is not made for people."""
    text = " ".join(str(error).split())
    if isinstance(error, MemoryError):
        return text or "There is not enough memory. Pass fewer rows or columns"
    if isinstance(error, _FORESEEN):
        return text
    return f"{type(error).__name__}: {text}. Pass --verbose to see where it arose"


def _drop_output():
    """Nobody reads on, as in ``tsanomaly … | head -1``: Python need not try at exit."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class _Progress:
    """One line that says what is going on, and how far, on a terminal only."""

    def __init__(self, stream):
        self._stream = stream
        self._shown = stream.isatty()
        self._text = ""
        self._bar = None

    def __call__(self, text):
        """Say what is going on."""
        self._text, self._bar = text, None
        self._print(text, " …")

    def advance(self, done, total, unit):
        """Say how far it is."""
        # A bar for each of thousands of batches would cost time and show no more.
        bar = total, unit, _STEPS * done // total
        if bar == self._bar:
            return
        self._bar = bar
        n_full = _BAR * done // total
        cells = "█" * n_full + "░" * (_BAR - n_full)
        self._print(self._text, f" {cells} {done:,} of {total:,} {unit} …")

    def clear(self):
        self._bar = None  # to be drawn again
        self._print("", "")

    def _print(self, text, end):
        if self._shown:
            # What went on in a second line of the terminal could not be erased.
            room = _count_columns(self._stream) - 1
            line = f"{text[: max(room - len(end), 0)]}{end}"[:room]
            print(f"\r\x1b[K{line}", end="", file=self._stream, flush=True)


def _count_columns(terminal):
    """Width of a terminal in characters, or 80 where it does not say."""
    with suppress(AttributeError, OSError, ValueError):
        return os.get_terminal_size(terminal.fileno()).columns or 80
    return 80


@contextmanager
def _messages(arguments, progress):
    """Warnings as lines for people; with -v what the library logs, too."""

    def show(message, *_, **__):
        progress.clear()
        text = f"tsanomaly {arguments.command}: warning: {message}"
        print(text, file=sys.stderr)

    handler, logger = logging.StreamHandler(sys.stderr), logging.getLogger("tsanomaly")
    level = logger.level
    if arguments.verbose:
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = show
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def _as_json(result):
    return json.dumps(result, indent=2, ensure_ascii=False, allow_nan=False)


def _parse(argv):
    parser = argparse.ArgumentParser(
        prog="tsanomaly",
        description="Find when, and in which sensor, a machine behaves abnormally.",
        epilog="tsanomaly COMMAND --help shows the options of a command, and examples.",
    )
    parser.add_argument(
        "--version", action="version", version=f"tsanomaly {__version__}"
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    for add in (
        _add_generate,
        _add_explore,
        _add_train,
        _add_detect,
        _add_evaluate,
        _add_compare,
        _add_explain,
        _add_report,
        _add_demo,
    ):
        add(commands)
    arguments = parser.parse_args(argv)
    _check_options(arguments, commands.choices[arguments.command])
    return arguments


def _run(name):
    """A command, imported when it is run: the help needs no pandas."""

    def run(arguments, progress):
        from tsanomaly import _commands

        return getattr(_commands, name)(arguments, progress)

    return run


def _add(commands, name, text, description, *examples, folder="tsanomaly-results"):
    """A command with the options that all commands have."""
    parser = commands.add_parser(
        name,
        help=text,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n  ".join(["example:", *examples]),
    )
    parser.set_defaults(run=_run(name))
    output = parser.add_argument_group("output")
    output.add_argument(
        "--output-dir",
        type=Path,
        default=Path(folder),
        metavar="DIR",
        help="folder for the results, made if it is not there (default: %(default)s)",
    )
    if name != "demo":
        output.add_argument(
            "--no-plots", action="store_true", help="write no pictures, which is faster"
        )
    output.add_argument(
        "--json", action="store_true", help="print the result as JSON, for programs"
    )
    output.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        help="say how the file is read, and where an error arose",
    )
    return parser


def _add_reading(parser):
    """The CSV file, and what can be said about it."""
    parser.add_argument(
        "csv",
        type=Path,
        metavar="CSV",
        help="sensor readings, one row a time; what is what in it is found out",
    )
    group = parser.add_argument_group("reading the file")
    group.add_argument(
        "--timestamp",
        metavar="NAME",
        action="append",
        help="time column, or none; once for the date and once for the time of day if "
        "these are two",
    )
    group.add_argument(
        "--label",
        metavar="NAME",
        help="column of labels, 1 = anomaly, or none; of several that are found the "
        "first counts",
    )
    group.add_argument(
        "--drop", nargs="+", metavar="NAME", help="columns that are no sensors"
    )
    group.add_argument("--sep", help="what separates fields, such as ';'")
    group.add_argument("--decimal", choices=[".", ","], help="decimal mark")
    group.add_argument(
        "--date-format", metavar="FORMAT", help="such as %%d.%%m.%%Y for 31.01.2024"
    )
    group.add_argument("--encoding", metavar="NAME", help="such as cp1252")
    group.add_argument(
        "--skiprows",
        type=_whole(0),
        metavar="N",
        help="lines above the header to pass over",
    )
    return group


def _add_complete_reading(parser):
    """The CSV file of a command that runs a detector, which may need every reading."""
    _add_reading(parser).add_argument(
        "--fill",
        action="store_true",
        help="go on with the last reading of a sensor where one is missing, or, where "
        "the file begins without one, with the first",
    )


def _add_training(parser, *, train_fraction):
    group = parser.add_argument_group("detector")
    group.add_argument(
        "--window-size",
        type=_whole(1),
        metavar="ROWS",
        help="rows that are looked at together (default: 50 for networks, else 10)",
    )
    group.add_argument(
        "--units",
        type=_whole(1),
        nargs="+",
        metavar="N",
        help="widths of the LSTM layers, as in --units 64 32 (lstm, hybrid)",
    )
    group.add_argument(
        "--latent-dim",
        type=_latent_dim,
        metavar="N",
        help="width of the bottleneck, or none (lstm, hybrid)",
    )
    group.add_argument(
        "--scaler",
        choices=["standard", "minmax", "robust", "none"],
        default="standard",
        help="how channels are scaled first (default: %(default)s)",
    )
    group.add_argument(
        "--epochs", type=_whole(1), metavar="N", help="rounds of training (networks)"
    )
    group.add_argument(
        "--batch-size",
        type=_whole(1),
        metavar="N",
        help="windows in a training step (networks)",
    )
    group.add_argument(
        "--columns", nargs="+", metavar="NAME", help="sensors to use (default: all)"
    )
    group.add_argument(
        "--train-fraction",
        type=_fraction(0, 1, closed="right"),
        default=train_fraction,
        metavar="SHARE",
        help="train on this share of the rows, the first ones (default: %(default)s)",
    )
    group.add_argument(
        "--seed",
        type=_whole(0),
        default=0,
        metavar="N",
        help="of all that is random (default: %(default)s)",
    )
    group = parser.add_argument_group("threshold, set on the errors of training rows")
    group.add_argument(
        "--threshold-method",
        choices=["quantile", "sigma", "mad", "pot", "f_score"],
        help="quantile of the errors; sigma: mean + k standard deviations; mad: median "
        "+ k median deviations; pot: quantile of a fitted tail; f_score: best F1 on "
        "the labels (default: quantile, or sigma if --k is given)",
    )
    group.add_argument(
        "--quantile",
        type=_fraction(0, 1),
        metavar="Q",
        help="for quantile and pot (default: 0.99)",
    )
    group.add_argument(
        "--k", type=_at_least_zero, help="for sigma and mad (default: 3)"
    )


def _add_model(parser):
    parser.add_argument(
        "model", type=Path, metavar="MODEL", help="file from train or tsanomaly.save"
    )


def _add_override(parser):
    group = parser.add_argument_group("another threshold, without training again")
    group = group.add_mutually_exclusive_group()
    group.add_argument(
        "--threshold",
        type=_number,
        metavar="SCORE",
        help="flag rows with a higher score",
    )
    group.add_argument(
        "--quantile",
        type=_fraction(0, 1),
        metavar="Q",
        help="quantile of the errors of the training rows, which the model file keeps",
    )
    group.add_argument(
        "--k",
        type=_at_least_zero,
        help="mean + k standard deviations of these errors",
    )


def _add_explaining(parser):
    parser.add_argument(
        "--max-gap",
        type=_whole(0),
        default=0,
        metavar="ROWS",
        help="join events with so many rows between them, or fewer (default: 0)",
    )
    parser.add_argument(
        "--channels",
        type=_whole(1),
        default=3,
        metavar="N",
        help="channels to name, at most (default: %(default)s)",
    )


def _add_trained_share(parser):
    parser.add_argument(
        "--train-fraction",
        type=_fraction(0, 1, closed="left"),
        default=0.0,
        metavar="SHARE",
        help="leave this share of the rows, the first ones, out of the measures: those "
        "that the model was trained on (default: 0)",
    )


def _add_generate(commands):
    parser = _add(
        commands,
        "generate",
        "simulate a plant with labelled anomalies",
        "Simulate the sensors of a plant. Writes plant.csv, the readings with labels\n"
        "(1 = anomaly), and plant_events.csv, which says what is wrong and where.",
        _GENERATE,
    )
    parser.add_argument(
        "--rows", type=_whole(3), default=10_000, help="(default: %(default)s)"
    )
    parser.add_argument(
        "--sensors", type=_whole(1), default=4, help="(default: %(default)s)"
    )
    parser.add_argument(
        "--contamination",
        type=_fraction(0, 0.5, closed="both"),
        default=0.0425,
        metavar="SHARE",
        help="share of anomalous rows (default: %(default)s)",
    )
    parser.add_argument(
        "--kinds",
        nargs="+",
        metavar="KIND",
        help="such as spike, drift or level_shift (default: all that leave no gaps)",
    )
    parser.add_argument(
        "--freq", default="1min", help="time between rows (default: %(default)s)"
    )
    parser.add_argument(
        "--seed", type=_whole(0), default=0, help="(default: %(default)s)"
    )


def _add_explore(commands):
    parser = _add(
        commands,
        "explore",
        "look at readings: gaps, missing values, correlations, periods",
        "Say what a file holds: times and gaps, missing and constant channels,\n"
        "correlations. Writes summary.json, series.png, correlation.png, spectrum.png.",
        _GENERATE,
        f"tsanomaly explore {_PLANT}",
    )
    _add_reading(parser)
    parser.add_argument(
        "--columns", nargs="+", metavar="NAME", help="sensors to use (default: all)"
    )


def _add_train(commands):
    parser = _add(
        commands,
        "train",
        "train a detector on the first rows, and write a model file",
        "Train a detector, set a threshold on the errors of the training rows, and\n"
        "score all rows. Writes model.skops, training.json, predictions.csv (part,\n"
        "score and flag of each row), errors.png and, of a network, history.png.",
        _GENERATE,
        _TRAIN,
        f"{_TRAIN} --k 3",
    )
    _add_complete_reading(parser)
    parser.add_argument(
        "--detector",
        choices=_DETECTORS,
        default="lstm",
        help="lstm: LSTM autoencoder; hybrid: it looks only at what PCA suspects; "
        "iforest, lof, pca: IsolationForest, LocalOutlierFactor, PCA, on windows "
        "(default: %(default)s)",
    )
    _add_training(parser, train_fraction=0.8)


def _add_detect(commands):
    parser = _add(
        commands,
        "detect",
        "score new readings with a model, and list events",
        "Score readings. Writes predictions.csv (score, flag and top channel of each\n"
        "row), events.csv and anomalies.png. A higher score is worse. Where channels\n"
        "are told by trying (iforest, lof, hybrid), only flagged rows have one.",
        _GENERATE,
        _TRAIN,
        f"tsanomaly detect {_USE}",
        f"tsanomaly detect {_USE} --quantile 0.95",
    )
    _add_model(parser)
    _add_complete_reading(parser)
    _add_override(parser)
    _add_explaining(parser)


def _add_evaluate(commands):
    parser = _add(
        commands,
        "evaluate",
        "judge a model by labels",
        "Judge a model on labelled readings. Writes evaluation.json, anomalies.png,\n"
        "thresholds.png, roc.png, precision_recall.png and confusion.png.",
        _GENERATE,
        _TRAIN,
        f"tsanomaly evaluate {_USE} --train-fraction 0.8",
    )
    _add_model(parser)
    _add_complete_reading(parser)
    _add_override(parser)
    _add_trained_share(parser)


def _add_compare(commands):
    parser = _add(
        commands,
        "compare",
        "compare detectors on labelled readings",
        "Train detectors on the first rows, and judge them on the others, beside\n"
        "trivial ones. Writes comparison.csv and comparison.png.",
        _GENERATE,
        f"tsanomaly compare {_PLANT} --detectors iforest pca --train-fraction 0.5",
    )
    _add_complete_reading(parser)
    parser.add_argument(
        "--detectors",
        nargs="+",
        choices=_DETECTORS,
        default=list(_DETECTORS),
        help="(default: all)",
    )
    _add_training(parser, train_fraction=0.8)


def _add_explain(commands):
    parser = _add(
        commands,
        "explain",
        "say in sentences what is abnormal, and in which channel",
        "One sentence for each event. Writes events.csv, contributions.png and, if\n"
        "the model reconstructs readings, reconstruction.png.",
        _GENERATE,
        _TRAIN,
        f"tsanomaly explain {_USE} --max-gap 10",
    )
    _add_model(parser)
    _add_complete_reading(parser)
    _add_override(parser)
    _add_explaining(parser)


def _add_report(commands):
    parser = _add(
        commands,
        "report",
        "write one HTML page of all that is known",
        "Write report.html: what the data holds, plots, events with explanations,\n"
        "measures if there are labels, settings and versions. One file, which needs\n"
        "no network.",
        _GENERATE,
        _TRAIN,
        f"tsanomaly report {_USE} --train-fraction 0.8",
    )
    _add_model(parser)
    _add_complete_reading(parser)
    _add_override(parser)
    _add_explaining(parser)
    _add_trained_share(parser)
    parser.add_argument("--title", help="heading (default: name of the CSV file)")


def _add_demo(commands):
    parser = _add(
        commands,
        "demo",
        "compare four detectors on real data that comes with the package",
        "Train IsolationForest, LOF, PCA and an LSTM autoencoder on real server\n"
        "metrics, print how well they find the labelled anomalies, and write their\n"
        "predictions as CSV and plots as PNG. Takes half a minute or more.",
        "tsanomaly demo --output-dir results",
        folder="tsanomaly-demo",
    )
    parser.set_defaults(run=_demo)


def _demo(arguments, progress):
    from tsanomaly._demo import format_table, run_demo

    folder = arguments.output_dir
    folder.mkdir(parents=True, exist_ok=True)

    def show(text):
        progress.clear()
        if not arguments.json:
            print(text, flush=True)
        progress("training and scoring")

    table = run_demo(folder, progress=show)
    text = f"\n{format_table(table)}\n\nResults are in {folder.resolve()}"
    return table.to_dict("records"), text


def _check_options(arguments, parser):
    """Options that say nothing to what is chosen are wrong usage."""
    given = vars(arguments)
    if "threshold_method" not in given:
        return
    detectors = set(given.get("detectors") or [given.get("detector")])
    for name in _NETWORK_OPTIONS:
        if given[name] is not None and not detectors & _NETWORKS:
            option = name.replace("_", "-")
            parser.error(
                f"--{option} is for a network: choose the detector lstm or hybrid, or "
                "leave it out"
            )
    if arguments.threshold_method is None:
        if arguments.k is not None and arguments.quantile is not None:
            parser.error("give either --quantile or --k, or say --threshold-method")
        arguments.threshold_method = "quantile" if arguments.k is None else "sigma"
    method = arguments.threshold_method
    for name, methods in (("quantile", ("quantile", "pot")), ("k", ("sigma", "mad"))):
        if given[name] is not None and method not in methods:
            parser.error(
                f"--{name} is for --threshold-method {' or '.join(methods)}, not for "
                f"{method}"
            )


def _whole(smallest):
    def parse(text):
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or value < smallest:
            raise argparse.ArgumentTypeError(
                f"{text!r} is no whole number from {smallest} on"
            )
        return value

    return parse


def _fraction(low, high, closed="neither"):
    def parse(text):
        value = _number(text)
        above = value >= low if closed in ("left", "both") else value > low
        below = value <= high if closed in ("right", "both") else value < high
        if not (above and below):
            raise argparse.ArgumentTypeError(f"{text} is not from {low} to {high}")
        return value

    return parse


def _at_least_zero(text):
    value = _number(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{text} is not at least 0")
    return value


def _number(text):
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is no finite number")
    return value


def _latent_dim(text):
    """0 stands for none; None is what was not given."""
    return 0 if text == "none" else _whole(1)(text)
