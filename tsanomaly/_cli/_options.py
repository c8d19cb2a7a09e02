# SPDX-License-Identifier: MIT
"""Options that several commands have."""

from pathlib import Path

from tsanomaly._cli._values import (
    above_zero,
    at_least_zero,
    fraction,
    latent_dim,
    name_or_none,
    number,
    rows_or_time,
    whole,
)

__all__ = [
    "add_columns",
    "add_complete_reading",
    "add_explaining",
    "add_model",
    "add_override",
    "add_reading",
    "add_seed",
    "add_trained_share",
    "add_training",
]


def add_reading(parser):
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


def add_complete_reading(parser):
    """The CSV file of a command that runs a detector, which may need every reading."""
    add_reading(parser).add_argument(
        "--fill",
        action="store_true",
        help="forward-fill missing readings, and back-fill those at the start of the "
        "file",
    )


def add_columns(parser):
    parser.add_argument(
        "--columns", nargs="+", metavar="NAME", help="channels to use (default: all)"
    )


def add_training(parser):
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
    add_columns(group)
    group.add_argument(
        "--train-fraction",
        type=fraction(0, 1, closed="right"),
        metavar="SHARE",
        help="train on this share of the rows, the first ones (default: 0.8)",
    )
    add_seed(group, "seed of everything random")
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
        "from the median error to the threshold (default: 1.0)",
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
