# SPDX-License-Identifier: MIT
"""Parse a command line into a command and its keywords.

Options that are not given are left out of the keywords, so that the defaults of the
commands and estimators apply. The help repeats these defaults, because it must not
import anything heavy; tests compare the two.
"""

import argparse
import sys
from itertools import takewhile
from pathlib import Path
from typing import NamedTuple

from tsanomaly._cli._options import (
    NETWORKS,
    add_alarms,
    add_by,
    add_columns,
    add_explaining,
    add_model,
    add_override,
    add_reading,
    add_rows,
    add_seed,
    add_share_to_train_on,
    add_threshold,
    add_trained_share,
    add_training,
    add_window_size,
    check_window_size,
)
from tsanomaly._cli._text import one_line, quoted
from tsanomaly._cli._values import above_zero, fraction, not_empty, whole
from tsanomaly._cli._watch_options import add_watching, check_watching
from tsanomaly._version import __version__

__all__ = ["ALARM_STATUS", "DEFAULT_BUDGET", "DETECTORS", "Call", "parse", "typed"]

DETECTORS = (
    "lstm",
    "ensemble",
    "hybrid",
    "linear",
    "autoregression",
    "neighbors",
    "iforest",
    "lof",
    "pca",
)

# The default threshold. Most rows that exceed it do not raise an alarm;
# `benchmarks/alarms.py` compares other budgets.
DEFAULT_BUDGET = {"false_alarms": 1, "per": 300}

# Parameters that are passed on together: to `read_sensor_file`, to `prepare`, to the
# network, to the threshold in training, and to `AlarmFilter`.
_GROUPS = {
    "read_params": (
        "timestamp",
        "label",
        "drop",
        "sep",
        "decimal",
        "encoding",
        "date_format",
        "skiprows",
        "max_bytes",
        "header_rows",
        "na_values",
        "long",
        "quality",
        "sheet",
    ),
    "row_params": ("resample", "max_gap", "fill", "fill_limit"),
    "network_params": ("units", "latent_dim", "epochs", "batch_size", "row_error"),
    "threshold_params": ("method", "quantile", "k", "false_alarms", "per"),
    "alarm_params": ("trigger", "off_delay"),
}

_REPEATED = {"timestamp"}  # options that are repeated for each value

# Options of another command that the errors of this one may name.
_ELSEWHERE = {
    "by": "train --by",
    "fill": "train --fill",
    "resample": "train --resample",
}

# Functions that messages name, and the parameter whose option calls them.
_FUNCTIONS = {"regularize()": "resample"}

# Exit code of `--fail-on-alarm` if there is an alarm.
ALARM_STATUS = 3

# Commands that write tables for spreadsheets.
_WITH_TABLES = {"generate", "explore", "train", "tune", "detect", "compare", "explain"}

_GENERATE = "tsanomaly generate --rows 3000"
_PLANT = "tsanomaly-results/plant.csv"
_TRAIN = f"tsanomaly train {_PLANT} --detector pca"
_MODEL = "tsanomaly-results/model.skops"
_USE = f"{_MODEL} {_PLANT}"


class Call(NamedTuple):
    """A parsed command line.

    Attributes
    ----------
    command : str
        Name of the command.
    keywords : dict
        The parameters that were given.
    as_json : bool
        Whether to print the result as JSON.
    verbose : bool
        Whether to print the log and tracebacks.
    compilation_cache : str or None
        Folder for compiled networks.
    fail_on_alarm : bool
        Whether an alarm changes the exit code.
    options : dict of str to str
        Options of the command, by the parameter that each one sets.
    """

    command: str
    keywords: dict
    as_json: bool
    verbose: bool
    compilation_cache: str | None
    fail_on_alarm: bool
    options: dict

    def as_option(self, parameter):
        """Spell a parameter as its command-line option.

        Parameters
        ----------
        parameter : Parameter
            A parameter of the command, or of a function that it calls.

        Returns
        -------
        text : str
            For example ``--sep ';'``. If the command has no such option, the parameter
            is spelled as in Python.
        """
        name = parameter.name
        name = _FUNCTIONS.get(name, name)
        option = self.options.get(name, _ELSEWHERE.get(name))
        if option is None:
            return str(parameter)
        if not parameter.has_value:
            return option
        words = _words(parameter.value)
        if name in _REPEATED:
            return " ".join(f"{option} {word}" for word in words)
        return " ".join([option, *words])


def typed(parameters):
    """Spell parameters as the options that set them, such as ``--resample 1min``.

    Parameters
    ----------
    parameters : dict
        Values by name; their options have the same names.
    """
    return " ".join(
        " ".join([f"--{name.replace('_', '-')}", *_words(value)])
        for name, value in parameters.items()
    )


def _words(value):
    """Spell a value as one or more words of a command line."""
    values = value if isinstance(value, (tuple, list)) else [value]
    return [quoted("none" if value is None else str(value)) for value in values]


class _Parser(argparse.ArgumentParser):
    """A parser whose errors are one safe line, which points to the help."""

    def error(self, message):
        self.exit(2, f"{self.prog}: error: {one_line(message)}. See {self.prog} -h\n")


def parse(argv):
    """Parse a command line, or exit with help or a message.

    Parameters
    ----------
    argv : list of str or None
        Arguments without the name of the program; None takes those of the process.

    Returns
    -------
    call : Call
    """
    parser = _Parser(
        prog="tsanomaly",
        description="Find when, and in which channel, a machine behaves abnormally.",
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
        _add_tune,
        _add_explain,
        _add_report,
        _add_info,
        _add_watch,
        _add_demo,
    ):
        add(commands)
    given, unknown = parser.parse_known_args(argv)
    given = vars(given)
    _check_commas(sys.argv[1:] if argv is None else argv, parser)
    command = given.pop("command")
    parser = commands.choices[command]
    if unknown:
        parser.error(f"unrecognized arguments: {' '.join(unknown)}")
    general = {
        name: given.pop(name, None)
        for name in ("as_json", "verbose", "compilation_cache", "fail_on_alarm")
    }
    if command == "watch":
        check_watching(given, general["as_json"], parser)
    options = {
        action.dest: action.option_strings[-1]  # the long one
        for action in parser._actions  # argparse lists them nowhere else
        if action.option_strings
    }
    return Call(command, _keywords(given, parser), **general, options=options)


def _keywords(given, parser):
    """Return the keywords of the command."""
    groups = given.pop("groups")
    if "network_params" in groups:
        _check_networks(given, parser)
    if "threshold_params" in groups:
        _check_threshold(given, parser)
    if len(given.get("csv", ())) == 1:
        (given["csv"],) = given["csv"]
    _read_long(given, parser)
    fill = given.get("fill", "of the model" if "model" in given else None)
    if "fill_limit" in given and fill is None:
        parser.error("--fill-limit goes with --fill previous or interpolate")
    if given.get("quality") == ["none"]:
        given["quality"] = None
    if names := given.get("timestamp"):  # two are a date and a time of day
        given["timestamp"] = names[0] if len(names) == 1 else tuple(names)
    if "units" in given:
        given["units"] = tuple(given["units"])
    for group in groups:
        given[group] = {
            name: given.pop(name) for name in _GROUPS[group] if name in given
        }
    return given


def _read_long(given, parser):
    """Convert ``--long`` to the columns of tags, values and, if given, times."""
    names = given.get("long")
    if names is None:
        return
    if names == ["none"]:
        given["long"] = None
    elif len(names) in (2, 3):
        given["long"] = tuple(names[:2])
        if names[2:] and names[2] not in given.setdefault("timestamp", []):
            given["timestamp"].append(names[2])
    else:
        parser.error(
            "argument --long: give the column of tags, the column of values and, "
            "optionally, the column of times; or none"
        )


def _check_commas(argv, parser):
    """Reject window lengths that are separated by spaces."""
    after = argv[argv.index("--window-size") + 1 :] if "--window-size" in argv else []
    numbers = [n for n in takewhile(str.isdecimal, after) if not Path(n).exists()]
    if len(numbers) > 1:
        parser.error(
            "argument --window-size: separate several numbers with commas, as in "
            f"--window-size {','.join(numbers)}"
        )


def _check_networks(given, parser):
    """Reject options that the chosen detectors do not have."""
    compares = any(action.dest == "detectors" for action in parser._actions)
    default = DETECTORS if compares else [given.get("detector", "lstm")]
    detectors = set(given.get("detectors", default))
    for name in _GROUPS["network_params"]:
        if name in given and not detectors & NETWORKS:
            parser.error(
                f"--{name.replace('_', '-')} is for networks: choose the detector "
                "lstm, ensemble or hybrid, or leave it out"
            )
    check_window_size(given, detectors, parser)


def _check_threshold(given, parser):
    """Choose the threshold method, and reject options that it does not have."""
    if ("false_alarms" in given) != ("per" in given):
        parser.error("--false-alarms and --per go together: give both")
    if "false_alarms" in given and ("quantile" in given or "k" in given):
        parser.error("give one of --quantile, --k and --false-alarms")
    if "method" not in given:
        if "k" in given and "quantile" in given:
            parser.error("give either --quantile or --k, or set --threshold-method")
        given["method"] = "sigma" if "k" in given else "quantile"
        if not given.keys() & {"quantile", "k", "false_alarms"}:
            given |= DEFAULT_BUDGET
    method = given["method"]
    tails, spreads = ("quantile", "pot"), ("sigma", "mad")
    for name, methods in {
        "quantile": tails,
        "false_alarms": tails,
        "k": spreads,
    }.items():
        if name in given and method not in methods:
            parser.error(
                f"--{name.replace('_', '-')} is for --threshold-method "
                f"{' or '.join(methods)}, not for {method}"
            )


def _add(
    commands, name, text, description, *examples, groups=(), folder="tsanomaly-results"
):
    """Add a command, with the options that all commands share."""
    parser = commands.add_parser(
        name,
        help=text,
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="\n  ".join(["example:", *examples]),
        argument_default=argparse.SUPPRESS,
    )
    parser.set_defaults(groups=groups)
    output = parser.add_argument_group("output")
    if folder is not None:
        output.add_argument(
            "--output-dir",
            type=Path,
            metavar="DIR",
            help=f"folder for the results; created if needed (default: {folder})",
        )
    if name in _WITH_TABLES:
        output.add_argument(
            "--bom",
            action="store_true",
            help="begin tables with a byte order mark, so that spreadsheets read them "
            "as UTF-8",
        )
    if name not in ("demo", "info", "tune", "watch"):
        output.add_argument(
            "--no-plots",
            action="store_false",
            dest="plots",
            help="skip the plots, which is faster",
        )
    output.add_argument(
        "--json",
        action="store_true",
        dest="as_json",
        default=False,
        help="print the result as JSON, for programs",
    )
    output.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        default=False,
        help="print how the file is read, and tracebacks of errors",
    )
    if name not in ("generate", "explore", "info"):
        output.add_argument(
            "--compilation-cache",
            type=not_empty,
            metavar="DIR",
            help="keep compiled networks in this folder, which saves later commands a "
            "few seconds (default: none)",
        )
    return parser


def _add_generate(commands):
    parser = _add(
        commands,
        "generate",
        "simulate a plant with labelled anomalies",
        "Simulate the sensors of a plant. Writes plant.csv, the readings with labels\n"
        "(1 = anomaly), and plant_events.csv, the kind and channel of each anomaly.",
        _GENERATE,
    )
    parser.add_argument(
        "--rows",
        dest="n_samples",
        type=whole(3),
        metavar="N",
        help="rows to simulate (default: 10000)",
    )
    parser.add_argument(
        "--sensors",
        dest="n_sensors",
        type=whole(1),
        metavar="N",
        help="channels to simulate (default: 4)",
    )
    parser.add_argument(
        "--contamination",
        type=fraction(0, 0.5, closed="both"),
        metavar="SHARE",
        help="share of anomalous rows (default: 0.0425)",
    )
    parser.add_argument(
        "--kinds",
        nargs="+",
        metavar="KIND",
        help="for example spike, drift or level_shift (default: all except those that "
        "leave gaps)",
    )
    parser.add_argument("--freq", help="time between rows (default: 1min)")
    add_seed(parser, "random seed; each seed simulates a different plant")


def _add_explore(commands):
    parser = _add(
        commands,
        "explore",
        "summarise readings: gaps, missing values, sensor faults, correlations",
        "Summarise a file: time range and gaps, missing readings, constant channels,\n"
        "correlations, and sensors that are stuck, shifted or noisy. Writes\n"
        "summary.json, sensor_health.csv, series.png, correlation.png and\n"
        "spectrum.png. With --by, each of the first machines has its own pictures,\n"
        "such as series_M1.png.",
        _GENERATE,
        f"tsanomaly explore {_PLANT}",
        groups=("read_params",),
    )
    add_reading(parser)
    add_columns(parser)
    add_by(parser)


def _add_train(commands):
    parser = _add(
        commands,
        "train",
        "train a detector on the first rows, and write a model file",
        "Train a detector, set a threshold on the errors of the training rows, and\n"
        "score all rows. Writes model.skops, training.json, predictions.csv (part,\n"
        "score and flag of each row), errors.png and, for lstm, history.png.",
        _GENERATE,
        _TRAIN,
        f"{_TRAIN} --k 3",
        groups=("read_params", "row_params", "network_params", "threshold_params"),
    )
    add_reading(parser)
    add_rows(parser)
    _add_detector(parser)
    add_window_size(parser)
    add_by(parser)
    add_training(parser)
    add_share_to_train_on(parser, 0.8)
    add_threshold(parser)


def _add_detector(parser):
    parser.add_argument(
        "--detector",
        choices=DETECTORS,
        help="lstm: LSTM autoencoder; ensemble: the same, forecasts and nearest "
        "windows combined; hybrid: LSTM autoencoder on the rows that forecasts "
        "find "
        "suspicious; linear: the linear maps of lstm, without its network; "
        "autoregression: forecasts; neighbors: nearest windows; "
        "iforest, lof, pca: IsolationForest, LocalOutlierFactor and PCA on windows "
        "(default: lstm)",
    )


def _add_detect(commands):
    parser = _add(
        commands,
        "detect",
        "score new readings with a model, and list alarms",
        "Score readings. Writes predictions.csv (score, flag and top channel of\n"
        "each row), alarms.csv and anomalies.png. A higher score is worse. iforest,\n"
        "lof and hybrid name a top channel in flagged rows only.",
        _GENERATE,
        _TRAIN,
        f"tsanomaly detect {_USE}",
        f"tsanomaly detect {_USE} --quantile 0.95",
        groups=("read_params", "row_params", "alarm_params"),
    )
    add_model(parser)
    add_reading(parser)
    add_rows(parser, of_model=True)
    add_override(parser)
    add_explaining(parser)
    parser.add_argument(
        "--fail-on-alarm",
        action="store_true",
        help=f"exit with code {ALARM_STATUS} if there is an alarm, for scripts "
        "(default: 0)",
    )


def _add_evaluate(commands):
    parser = _add(
        commands,
        "evaluate",
        "evaluate a model on labelled readings",
        "Evaluate a model on labelled readings. Writes evaluation.json,\n"
        "anomalies.png, thresholds.png, roc.png, precision_recall.png and\n"
        "confusion.png.",
        _GENERATE,
        _TRAIN,
        f"tsanomaly evaluate {_USE} --train-fraction 0.8",
        groups=("read_params", "row_params", "alarm_params"),
    )
    add_model(parser)
    add_reading(parser)
    add_rows(parser, of_model=True)
    add_override(parser)
    add_alarms(parser)
    add_trained_share(parser)


def _add_compare(commands):
    parser = _add(
        commands,
        "compare",
        "compare detectors by labels, or by injected faults",
        "Train detectors on the first rows and evaluate them on the others, beside\n"
        "trivial baselines. Without labels, inject faults into the other rows (stuck\n"
        "sensors, drifts, spikes, broken relations) and count how many each detector\n"
        "finds. Writes comparison.csv and, with labels, comparison.png.",
        _GENERATE,
        f"tsanomaly compare {_PLANT} --detectors iforest pca --train-fraction 0.5",
        groups=("read_params", "row_params", "network_params", "threshold_params"),
    )
    add_reading(parser)
    add_rows(parser)
    parser.add_argument(
        "--detectors", nargs="+", choices=DETECTORS, help="(default: all)"
    )
    add_window_size(parser)
    add_training(parser)
    add_share_to_train_on(parser, 0.8)
    add_threshold(parser)


def _add_tune(commands):
    parser = _add(
        commands,
        "tune",
        "search for a window length and a threshold, and train with the best",
        "Fit candidates for the window length and the threshold on the first rows,\n"
        "and judge their alarms in the other rows by labels or by injected faults.\n"
        "Then train a model with the best settings on all rows. The search starts\n"
        "with many candidates on few rows, and repeatedly keeps the best third and\n"
        "triples the rows. Writes model.skops, tuning.csv and tuning.json.",
        _GENERATE,
        f"tsanomaly tune {_PLANT} --detector pca --minutes 0.2",
        groups=("read_params", "row_params", "network_params"),
    )
    add_reading(parser)
    add_rows(parser)
    _add_detector(parser)
    add_training(parser)
    add_share_to_train_on(parser, 0.5)
    parser.add_argument(
        "--minutes",
        type=above_zero,
        metavar="N",
        help="approximate time limit of the search (default: 10)",
    )


def _add_explain(commands):
    parser = _add(
        commands,
        "explain",
        "describe in sentences what is abnormal, and in which channel",
        "Print one sentence per alarm. Writes alarms.csv, contributions.png and, if\n"
        "the model reconstructs readings, reconstruction.png.",
        _GENERATE,
        _TRAIN,
        f"tsanomaly explain {_USE} --off-delay 30",
        groups=("read_params", "row_params", "alarm_params"),
    )
    add_model(parser)
    add_reading(parser)
    add_rows(parser, of_model=True)
    add_override(parser)
    add_explaining(parser)


def _add_report(commands):
    parser = _add(
        commands,
        "report",
        "write alarms, plots and metrics as one HTML page",
        "Write report.html: a summary of the data, sensor health, plots, alarms with\n"
        "explanations, metrics if there are labels, settings and versions. The page\n"
        "is a single file that works offline.",
        _GENERATE,
        _TRAIN,
        f"tsanomaly report {_USE} --train-fraction 0.8",
        groups=("read_params", "row_params", "alarm_params"),
    )
    add_model(parser)
    add_reading(parser)
    add_rows(parser, of_model=True)
    add_override(parser)
    add_explaining(parser)
    add_trained_share(parser)
    parser.add_argument("--title", help="heading (default: name of the file)")


def _add_info(commands):
    parser = _add(
        commands,
        "info",
        "show what a model file contains",
        "Print the steps, parameters, channels, versions, training rows and threshold\n"
        "of a model file. No code of the file is run, and no model is created.",
        _GENERATE,
        _TRAIN,
        f"tsanomaly info {_MODEL}",
        folder=None,
    )
    add_model(parser)


def _add_watch(commands):
    parser = _add(
        commands,
        "watch",
        "score readings as they arrive, and report alarms",
        "Score readings of one machine or a fleet as they arrive: lines of CSV or\n"
        "JSON, a growing file, MQTT, or HTTP requests. Each event of an alarm\n"
        "(raised, updated, cleared, acknowledged) is a line of JSON.",
        _GENERATE,
        _TRAIN,
        f"tsanomaly watch {_MODEL} --from {_PLANT}",
        groups=("alarm_params",),
        folder=None,
    )
    add_model(parser)
    add_watching(parser)
    add_override(parser)
    add_explaining(parser)


def _add_demo(commands):
    _add(
        commands,
        "demo",
        "compare four detectors on real data that comes with the package",
        "Train IsolationForest, LOF, PCA and an LSTM autoencoder on real server\n"
        "metrics, print how well they find the labelled anomalies, and write their\n"
        "predictions as CSV and plots as PNG. Takes half a minute or more.",
        "tsanomaly demo --output-dir results",
        folder="tsanomaly-demo",
    )
