# SPDX-License-Identifier: MIT
"""What a command line asks for: the command, and its parameters as keywords.

Options that are not given are not among the keywords: their defaults are those of the
commands, and of the estimators behind them. The help says them a second time, since it
is to be there before anything is imported; tests compare the two.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

from tsanomaly._cli._text import one_line, quoted
from tsanomaly._cli._values import (
    above_zero,
    at_least_zero,
    fraction,
    latent_dim,
    name_or_none,
    not_empty,
    number,
    rows_or_time,
    whole,
)
from tsanomaly._version import __version__

__all__ = ["DETECTORS", "Call", "parse"]

DETECTORS = (
    "lstm",
    "ensemble",
    "hybrid",
    "autoregression",
    "neighbors",
    "iforest",
    "lof",
    "pca",
)
_NETWORKS = {"lstm", "ensemble", "hybrid"}

# Parameters that travel together: to `read_sensor_csv`, to the network, and to the
# threshold of a model that is to be trained.
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
    ),
    "network_params": ("units", "latent_dim", "epochs", "batch_size"),
    "threshold_params": ("method", "quantile", "k", "false_alarms", "per"),
}

_REPEATED = {"timestamp"}  # the option, once for each value

_GENERATE = "tsanomaly generate --rows 3000"
_PLANT = "tsanomaly-results/plant.csv"
_TRAIN = f"tsanomaly train {_PLANT} --detector pca"
_MODEL = "tsanomaly-results/model.skops"
_USE = f"{_MODEL} {_PLANT}"


class Call(NamedTuple):
    """What is to be run.

    Attributes
    ----------
    command : str
        Name of the command.
    keywords : dict
        Its parameters, those that were given.
    as_json : bool
        Whether to print the result as JSON.
    verbose : bool
        Whether to print log and tracebacks.
    compilation_cache : str or None
        Folder for compiled networks.
    options : dict of str to str
        The options of the command, by the parameter that each sets.
    """

    command: str
    keywords: dict
    as_json: bool
    verbose: bool
    compilation_cache: str | None
    options: dict

    def as_option(self, parameter):
        """Spell a parameter as what is typed to set it.

        Parameters
        ----------
        parameter : Parameter
            Of a command, or of what it calls.

        Returns
        -------
        text : str
            Such as ``--sep ';'``; as in Python if the command has no such option.
        """
        name = parameter.name
        option = self.options.get(name)
        if option is None:
            return str(parameter)
        if not parameter.has_value:
            return option
        value = parameter.value
        values = value if isinstance(value, (tuple, list)) else [value]
        typed = [quoted("none" if value is None else str(value)) for value in values]
        if name in _REPEATED:
            return " ".join(f"{option} {value}" for value in typed)
        return " ".join([option, *typed])


class _Parser(argparse.ArgumentParser):
    """A parser whose messages hold nothing that a terminal obeys."""

    def error(self, message):
        super().error(one_line(message))


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
        _add_explain,
        _add_report,
        _add_info,
        _add_demo,
    ):
        add(commands)
    given = vars(parser.parse_args(argv))
    command = given.pop("command")
    parser = commands.choices[command]
    general = {
        name: given.pop(name, None)
        for name in ("as_json", "verbose", "compilation_cache")
    }
    options = {
        action.dest: action.option_strings[-1]  # the long one
        for action in parser._actions  # argparse lists them nowhere else
        if action.option_strings
    }
    return Call(command, _keywords(given, parser), **general, options=options)


def _keywords(given, parser):
    """What a command is called with."""
    groups = given.pop("groups")
    if "threshold_params" in groups:
        _check_training(given, parser)
    if names := given.get("timestamp"):  # two are a date and a time of day
        given["timestamp"] = names[0] if len(names) == 1 else tuple(names)
    if "units" in given:
        given["units"] = tuple(given["units"])
    for group in groups:
        given[group] = {
            name: given.pop(name) for name in _GROUPS[group] if name in given
        }
    return given


def _check_training(given, parser):
    """Choose the threshold; options that say nothing to the choice are wrong usage."""
    # If none is chosen, a network is among them.
    detectors = set(given.get("detectors", [given.get("detector", "lstm")]))
    for name in _GROUPS["network_params"]:
        if name in given and not detectors & _NETWORKS:
            parser.error(
                f"--{name.replace('_', '-')} is for networks: choose the detector "
                "lstm, ensemble or hybrid, or leave it out"
            )
    if given.get("window_size") == 1 and detectors & {*_NETWORKS, "autoregression"}:
        parser.error(
            "argument --window-size: networks and autoregression need windows of at "
            "least 2 rows: pass a larger number, or choose other detectors than lstm, "
            "ensemble, hybrid and autoregression"
        )
    if ("false_alarms" in given) != ("per" in given):
        parser.error("--false-alarms and --per go together: give both")
    if "false_alarms" in given and ("quantile" in given or "k" in given):
        parser.error("give one of --quantile, --k and --false-alarms")
    if "method" not in given:
        if "k" in given and "quantile" in given:
            parser.error("give either --quantile or --k, or say --threshold-method")
        given["method"] = "sigma" if "k" in given else "quantile"
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
    """A command with the options that all commands have, or that write to a folder."""
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
            help="folder for the results, created if it is missing (default: "
            f"{folder})",
        )
    if name not in ("demo", "info"):
        output.add_argument(
            "--no-plots",
            action="store_false",
            dest="plots",
            help="draw no plots, which is faster",
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
        help="say how the file is read, and where an error arose",
    )
    if name not in ("generate", "explore", "info"):
        output.add_argument(
            "--compilation-cache",
            type=not_empty,
            metavar="DIR",
            help="keep compiled networks in this folder: the first fit of a later "
            "command takes seconds less (default: none)",
        )
    return parser


def _add_reading(parser):
    """The CSV file, and what can be said about it."""
    parser.add_argument(
        "csv",
        type=Path,
        metavar="CSV",
        help="readings, one row per time step; separator, decimal mark, encoding, time "
        "column and labels are detected",
    )
    group = parser.add_argument_group("reading the file")
    group.add_argument(
        "--timestamp",
        type=name_or_none,
        metavar="NAME",
        action="append",
        help="time column, or none; given twice for a column of dates and one of times "
        "of day",
    )
    group.add_argument(
        "--label",
        type=name_or_none,
        metavar="NAME",
        help="column of labels, 1 = anomaly, or none (default: the first that is "
        "detected)",
    )
    group.add_argument(
        "--drop", nargs="+", metavar="NAME", help="columns that are not channels"
    )
    group.add_argument("--sep", help="field separator, such as ';'")
    group.add_argument("--decimal", choices=[".", ","], help="decimal mark")
    group.add_argument(
        "--date-format", metavar="FORMAT", help="such as %%d.%%m.%%Y for 31.01.2024"
    )
    group.add_argument("--encoding", metavar="NAME", help="such as cp1252")
    group.add_argument(
        "--skiprows",
        type=whole(0),
        metavar="N",
        help="lines to skip above the header (default: 0)",
    )
    group.add_argument(
        "--max-bytes",
        type=whole(1),
        metavar="N",
        help="most bytes of text, from a compressed file 100 times its size by default",
    )
    return group


def _add_complete_reading(parser):
    """The CSV file of a command that runs a detector, which may need every reading."""
    _add_reading(parser).add_argument(
        "--fill",
        action="store_true",
        help="forward-fill missing readings, and back-fill those at the start of the "
        "file",
    )


def _add_columns(parser):
    parser.add_argument(
        "--columns", nargs="+", metavar="NAME", help="channels to use (default: all)"
    )


def _add_training(parser):
    group = parser.add_argument_group("detector")
    group.add_argument(
        "--window-size",
        type=whole(1),
        metavar="ROWS",
        help="rows in a window, at least 2 for networks, where it is also that of the "
        "linear map, and for autoregression (default: 16 and 80 for networks, 80 for "
        "autoregression, 256 for neighbors, 10 for other detectors)",
    )
    group.add_argument(
        "--units",
        type=whole(1),
        nargs="+",
        metavar="N",
        help="widths of the LSTM layers, as in --units 64 32; for networks "
        "(default: 32)",
    )
    group.add_argument(
        "--latent-dim",
        type=latent_dim,
        metavar="N",
        help="width of the bottleneck, or none; sequence shows the decoder all rows; "
        "for networks (default: sequence)",
    )
    group.add_argument(
        "--scaler",
        choices=["standard", "minmax", "robust", "none"],
        help="how channels are scaled first (default: standard)",
    )
    group.add_argument(
        "--epochs",
        type=whole(1),
        metavar="N",
        help="training epochs, at most; for networks (default: 40)",
    )
    group.add_argument(
        "--batch-size",
        type=whole(1),
        metavar="N",
        help="windows in a training step; for networks (default: 32)",
    )
    _add_columns(group)
    group.add_argument(
        "--train-fraction",
        type=fraction(0, 1, closed="right"),
        metavar="SHARE",
        help="train on this share of the rows, the first ones (default: 0.8)",
    )
    _add_seed(group, "seed of everything random")
    group = parser.add_argument_group("threshold, set on the errors of training rows")
    group.add_argument(
        "--threshold-method",
        dest="method",
        choices=["quantile", "sigma", "mad", "pot", "f_score"],
        help="quantile of the errors; sigma: mean + k standard deviations; mad: median "
        "+ k median absolute deviations; pot: quantile of a fitted tail (peaks over "
        "threshold); f_score: best F1 on the labels (default: quantile, or sigma if "
        "--k is given)",
    )
    group.add_argument(
        "--quantile",
        type=fraction(0, 1),
        metavar="Q",
        help="for quantile and pot (default: 0.99)",
    )
    group.add_argument("--k", type=at_least_zero, help="for sigma and mad (default: 3)")
    group.add_argument(
        "--false-alarms",
        type=above_zero,
        metavar="N",
        help="for quantile and pot, instead of --quantile: as many false alarms as are "
        "expected in the time --per",
    )
    group.add_argument(
        "--per", type=rows_or_time, metavar="TIME", help="such as 7D, or rows"
    )


def _add_seed(parser, what):
    parser.add_argument(
        "--seed",
        dest="random_state",
        type=whole(0),
        metavar="N",
        help=f"{what} (default: 0)",
    )


def _add_model(parser):
    parser.add_argument(
        "model", type=Path, metavar="MODEL", help="file from train or tsanomaly.save"
    )


def _add_override(parser):
    group = parser.add_argument_group(
        "another threshold, without another training (default: that of the model)"
    )
    group = group.add_mutually_exclusive_group()
    group.add_argument(
        "--threshold",
        type=number,
        metavar="SCORE",
        help="flag rows with a higher score",
    )
    group.add_argument(
        "--quantile",
        type=fraction(0, 1),
        metavar="Q",
        help="quantile of the errors of the training rows, which the model file keeps",
    )
    group.add_argument(
        "--k",
        type=at_least_zero,
        help="mean + k standard deviations of these errors",
    )


def _add_explaining(parser):
    parser.add_argument(
        "--max-gap",
        type=whole(0),
        metavar="ROWS",
        help="join events with at most this many rows between them (default: 0)",
    )
    parser.add_argument(
        "--channels",
        dest="n_channels",
        type=whole(1),
        metavar="N",
        help="channels to name, at most (default: 3)",
    )


def _add_trained_share(parser):
    parser.add_argument(
        "--train-fraction",
        type=fraction(0, 1, closed="left"),
        metavar="SHARE",
        help="leave this share of the rows, the first ones, out of the metrics: those "
        "that the model was trained on (default: 0)",
    )


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
        help="such as spike, drift or level_shift (default: all that leave no gaps)",
    )
    parser.add_argument("--freq", help="time between rows (default: 1min)")
    _add_seed(parser, "another seed is another plant")


def _add_explore(commands):
    parser = _add(
        commands,
        "explore",
        "summarise readings: gaps, missing values, correlations, periods",
        "Summarise a file: time range and gaps, missing readings and constant\n"
        "channels, correlations. Writes summary.json, series.png, correlation.png and\n"
        "spectrum.png.",
        _GENERATE,
        f"tsanomaly explore {_PLANT}",
        groups=("read_params",),
    )
    _add_reading(parser)
    _add_columns(parser)


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
        groups=tuple(_GROUPS),
    )
    _add_complete_reading(parser)
    parser.add_argument(
        "--detector",
        choices=DETECTORS,
        help="lstm: LSTM autoencoder; ensemble: the same, forecasts and the nearest "
        "windows; hybrid: the LSTM autoencoder, only on rows that forecasts find "
        "suspicious; autoregression: forecasts; neighbors: the nearest windows; "
        "iforest, lof, pca: IsolationForest, LocalOutlierFactor and PCA on windows "
        "(default: lstm)",
    )
    _add_training(parser)


def _add_detect(commands):
    parser = _add(
        commands,
        "detect",
        "score new readings with a model, and list events",
        "Score readings. Writes predictions.csv (score, flag and top channel of\n"
        "each row), events.csv and anomalies.png. A higher score is worse. Only\n"
        "models that reconstruct readings (lstm, pca) name a top channel in rows\n"
        "that are not flagged.",
        _GENERATE,
        _TRAIN,
        f"tsanomaly detect {_USE}",
        f"tsanomaly detect {_USE} --quantile 0.95",
        groups=("read_params",),
    )
    _add_model(parser)
    _add_complete_reading(parser)
    _add_override(parser)
    _add_explaining(parser)


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
        groups=("read_params",),
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
        "Train detectors on the first rows and evaluate them on the others, beside\n"
        "trivial baselines. Writes comparison.csv and comparison.png.",
        _GENERATE,
        f"tsanomaly compare {_PLANT} --detectors iforest pca --train-fraction 0.5",
        groups=tuple(_GROUPS),
    )
    _add_complete_reading(parser)
    parser.add_argument(
        "--detectors", nargs="+", choices=DETECTORS, help="(default: all)"
    )
    _add_training(parser)


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
        groups=("read_params",),
    )
    _add_model(parser)
    _add_complete_reading(parser)
    _add_override(parser)
    _add_explaining(parser)


def _add_report(commands):
    parser = _add(
        commands,
        "report",
        "write data, events, metrics and plots as one HTML page",
        "Write report.html: a summary of the data, plots, events with explanations,\n"
        "metrics if there are labels, settings and versions. One file, which needs\n"
        "no network.",
        _GENERATE,
        _TRAIN,
        f"tsanomaly report {_USE} --train-fraction 0.8",
        groups=("read_params",),
    )
    _add_model(parser)
    _add_complete_reading(parser)
    _add_override(parser)
    _add_explaining(parser)
    _add_trained_share(parser)
    parser.add_argument("--title", help="heading (default: name of the CSV file)")


def _add_info(commands):
    parser = _add(
        commands,
        "info",
        "say what is in a model file",
        "Print steps, parameters, channels, versions, training rows and threshold of\n"
        "a model file. Nothing in the file is run, and no model is made.",
        _GENERATE,
        _TRAIN,
        f"tsanomaly info {_MODEL}",
        folder=None,
    )
    _add_model(parser)


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
