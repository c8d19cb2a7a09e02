# SPDX-License-Identifier: MIT
"""Options that several commands have."""

from pathlib import Path

from tsanomaly._cli._values import (
    above_zero,
    at_least_zero,
    file_or_pipe,
    fraction,
    latent_dim,
    name_or_none,
    number,
    rows_or_time,
    sheet,
    time_or_none,
    whole,
)

__all__ = [
    "add_by",
    "add_columns",
    "add_explaining",
    "add_model",
    "add_override",
    "add_reading",
    "add_rows",
    "add_seed",
    "add_share_to_train_on",
    "add_threshold",
    "add_trained_share",
    "add_training",
    "add_window_size",
]


def add_reading(parser):
    """The file of readings, and what can be said about it."""
    parser.add_argument(
        "csv",
        type=file_or_pipe,
        nargs="+",
        metavar="FILE",
        help="readings, one row per time step or one per reading: CSV, .xlsx or "
        ".parquet, several files of one machine, a folder of them, or - for the "
        "standard input; separator, decimal mark, encoding, units, time column and "
        "labels are detected",
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
        "--header-rows",
        type=whole(1),
        metavar="N",
        help="lines of the header: names, and units or descriptions below them "
        "(default: detected)",
    )
    group.add_argument(
        "--na-values",
        nargs="+",
        metavar="CELL",
        help="more cells that stand for a missing reading, as in --na-values Bad -9999",
    )
    group.add_argument(
        "--long",
        nargs="+",
        metavar="NAME",
        help="the file has a row for each reading: the column of tags, that of values, "
        "and that of times unless it is detected; or none (default: detected)",
    )
    group.add_argument(
        "--quality",
        nargs="+",
        metavar="NAME",
        help="columns that say whether the reading beside them is good, or none "
        "(default: detected)",
    )
    group.add_argument(
        "--sheet",
        type=sheet,
        metavar="NAME",
        help="sheet of an .xlsx file, by name or number from 0 on (default: the first "
        "that holds data)",
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


def add_rows(parser, *, of_model=False):
    """What is done to the readings of a command that runs a detector.

    Parameters
    ----------
    parser : ArgumentParser
        Of the command.
    of_model : bool, default=False
        Whether the detector comes from a file, which says what was done in training.
    """
    title = "rows, before a detector sees them"
    if of_model:
        title += " (default: as in training)"
    group = parser.add_argument_group(title)
    group.add_argument(
        "--resample",
        type=time_or_none,
        metavar="TIME",
        help="put all channels on a grid with this time between rows, such as 1min, "
        "each with its last reading; none leaves the rows of the file"
        f"{'' if of_model else ' (default: none)'}",
    )
    group.add_argument(
        "--max-gap",
        type=name_or_none,
        metavar="TIME",
        help="rows further apart are no neighbours, such as 10min; none lets all be; "
        "auto is 10 times the median time between rows, longer where that varies"
        f"{'' if of_model else ' (default: auto)'}",
    )
    group.add_argument(
        "--fill",
        type=name_or_none,
        choices=["previous", "interpolate", None],
        metavar="{previous,interpolate,none}",
        help="fill in missing readings, between two gaps"
        f"{'' if of_model else ' (default: none)'}",
    )
    group.add_argument(
        "--fill-limit",
        type=whole(1),
        metavar="N",
        help="missing readings in a row to fill in, at most"
        f"{'' if of_model else ' (default: all)'}",
    )


def add_by(parser):
    parser.add_argument(
        "--by",
        metavar="NAME",
        help="column that says which machine a row is from, such as machine_id",
    )


def add_columns(parser):
    parser.add_argument(
        "--columns", nargs="+", metavar="NAME", help="channels to use (default: all)"
    )


def add_window_size(parser):
    parser.add_argument(
        "--window-size",
        type=whole(1),
        metavar="ROWS",
        help="rows in a window, at least 2 for networks, where it is also that of the "
        "linear map, and for autoregression (default: 16 and 80 for networks, 80 for "
        "autoregression, 256 for neighbors, 10 for other detectors)",
    )


def add_training(parser):
    group = parser.add_argument_group("detector")
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
        "--missing",
        choices=["ignore", "anomaly"],
        help="what a missing reading in a row that holds others means, to detectors "
        "other than iforest, lof and pca: nothing, or an anomaly (default: ignore)",
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
    group.add_argument(
        "--row-error",
        choices=["multiscale", "last", "window_mean", "overlap_mean"],
        help="how the residuals of windows become the error of a row; overlap_mean "
        "looks ahead; for networks (default: multiscale)",
    )
    add_columns(group)
    add_seed(group, "seed of everything random")


def add_share_to_train_on(parser, default):
    parser.add_argument(
        "--train-fraction",
        type=fraction(0, 1, closed="right"),
        metavar="SHARE",
        help=f"train on this share of the rows, the first ones (default: {default})",
    )


def add_threshold(parser):
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
        help="for quantile and pot: the share of rows below (default: 0.99 for pot, "
        "--false-alarms for quantile)",
    )
    group.add_argument("--k", type=at_least_zero, help="for sigma and mad (default: 3)")
    group.add_argument(
        "--false-alarms",
        type=above_zero,
        metavar="N",
        help="for quantile and pot, instead of --quantile: as many false alarms as are "
        "expected in the time --per (default: 1)",
    )
    group.add_argument(
        "--per",
        type=rows_or_time,
        metavar="TIME",
        help="such as 7D, or rows (default: 300 rows)",
    )


def add_seed(parser, what):
    parser.add_argument(
        "--seed",
        dest="random_state",
        type=whole(0),
        metavar="N",
        help=f"{what} (default: 0)",
    )


def add_model(parser):
    parser.add_argument(
        "model", type=Path, metavar="MODEL", help="file from train or tsanomaly.save"
    )


def add_override(parser):
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


def add_explaining(parser):
    parser.add_argument(
        "--trigger",
        type=at_least_zero,
        metavar="EXCESS",
        help="accumulated excess over the threshold that raises an alarm, in distances "
        "from the median error to the threshold (default: 1)",
    )
    parser.add_argument(
        "--off-delay",
        type=whole(1),
        metavar="ROWS",
        help="quiet rows after which an alarm is over (default: 60)",
    )
    parser.add_argument(
        "--channels",
        dest="n_channels",
        type=whole(1),
        metavar="N",
        help="channels to name, at most (default: 3)",
    )


def add_trained_share(parser):
    parser.add_argument(
        "--train-fraction",
        type=fraction(0, 1, closed="left"),
        metavar="SHARE",
        help="leave this share of the rows, the first ones, out of the metrics: those "
        "that the model was trained on (default: 0)",
    )
