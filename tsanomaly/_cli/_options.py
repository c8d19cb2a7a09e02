# SPDX-License-Identifier: MIT
"""Options that several commands share."""

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
    whole_numbers,
)

__all__ = [
    "NETWORKS",
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
    "check_window_size",
]

# Detectors with a network.
NETWORKS = {"lstm", "ensemble", "hybrid"}

# Maximum number of window sizes of those that take more than one.
_MOST_SIZES = {**dict.fromkeys(NETWORKS, 3), "linear": 2}


def add_reading(parser):
    """Add the file of readings, and options for reading it."""
    parser.add_argument(
        "csv",
        type=file_or_pipe,
        nargs="+",
        metavar="FILE",
        help="readings, with one row per time step or per reading: CSV, .xlsx or "
        ".parquet; one file, several files of one machine, a folder, or - for the "
        "standard input; separator, decimal mark, encoding, units, time column and "
        "labels are detected",
    )
    group = parser.add_argument_group("reading the file")
    group.add_argument(
        "--timestamp",
        type=name_or_none,
        metavar="NAME",
        action="append",
        help="time column, or none; give it twice if dates and times of day are in two "
        "columns",
    )
    group.add_argument(
        "--label",
        type=name_or_none,
        metavar="NAME",
        help="column of labels (1 = anomaly), or none (default: the first one "
        "detected)",
    )
    group.add_argument(
        "--header-rows",
        type=whole(1),
        metavar="N",
        help="number of header lines: names, then units or descriptions "
        "(default: detected)",
    )
    group.add_argument(
        "--na-values",
        nargs="+",
        metavar="CELL",
        help="further values that mean a missing reading, as in --na-values Bad -9999",
    )
    group.add_argument(
        "--long",
        nargs="+",
        metavar="NAME",
        help="for files with one row per reading: the column of tags, the column of "
        "values and, optionally, the column of times; or none (default: detected)",
    )
    group.add_argument(
        "--quality",
        nargs="+",
        metavar="NAME",
        help="columns that rate the reading beside them as good or bad, or none "
        "(default: detected)",
    )
    group.add_argument(
        "--sheet",
        type=sheet,
        metavar="NAME",
        help="sheet of an .xlsx file, by name or by number, starting at 0 (default: "
        "the first with data)",
    )
    group.add_argument("--drop", nargs="+", metavar="NAME", help="columns to leave out")
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
        help="limit on the bytes of text (default: for compressed files, 100 MB or 100 "
        "times their size)",
    )
    return group


def add_rows(parser, *, of_model=False):
    """Add options that prepare the rows for a detector.

    Parameters
    ----------
    parser : ArgumentParser
        Parser of the command.
    of_model : bool, default=False
        Whether the detector comes from a model file, which stores the options of its
        training.
    """
    title = "preparing the rows"
    if of_model:
        title += " (default: as in training)"
    group = parser.add_argument_group(title)
    group.add_argument(
        "--resample",
        type=time_or_none,
        metavar="TIME",
        help="put all channels on a grid with this time between rows, such as 1min; "
        "each takes its last reading; none keeps the rows of the file"
        f"{'' if of_model else ' (default: none)'}",
    )
    group.add_argument(
        "--max-gap",
        type=name_or_none,
        metavar="TIME",
        help="no window crosses a gap longer than this, such as 10min; none ignores "
        "gaps; auto is 10 times the median time between rows, more if that varies"
        f"{'' if of_model else ' (default: auto)'}",
    )
    group.add_argument(
        "--fill",
        type=name_or_none,
        choices=["previous", "interpolate", None],
        metavar="{previous,interpolate,none}",
        help="fill in missing readings, but not across gaps"
        f"{'' if of_model else ' (default: none)'}",
    )
    group.add_argument(
        "--fill-limit",
        type=whole(1),
        metavar="N",
        help="fill in at most this many consecutive missing readings"
        f"{'' if of_model else ' (default: all)'}",
    )


def add_by(parser):
    parser.add_argument(
        "--by",
        metavar="NAME",
        help="column that names the machine of each row, such as machine_id",
    )


def add_columns(parser):
    parser.add_argument(
        "--columns", nargs="+", metavar="NAME", help="channels to use (default: all)"
    )


def add_window_size(parser):
    parser.add_argument(
        "--window-size",
        type=whole_numbers,
        metavar="ROWS",
        help="rows in a window; networks take up to three numbers, such as 16,80,1001, "
        "of the network, the linear map and the baseline, linear the last two of "
        "these: one number sets all but the baseline, and without the last there is "
        "none; at least 2 for these and autoregression (default: 16,80,1001 for "
        "networks, 80,1001 for linear, 80 for autoregression, 256 for neighbors, 10 "
        "for other detectors)",
    )


def check_window_size(given, detectors, parser):
    """Reject window sizes that the chosen detectors do not take."""
    if "window_size" not in given:
        return
    sizes = given["window_size"]
    if len(sizes) > 1 and (others := sorted(detectors - _MOST_SIZES.keys())):
        parser.error(
            f"argument --window-size: {', '.join(others)} "
            f"{'takes' if len(others) == 1 else 'take'} one number: pass one, or "
            "choose only from lstm, ensemble and hybrid, which take up to three, or "
            "linear, which takes up to two"
        )
    if len(sizes) > 1 and "linear" in detectors and detectors & NETWORKS:
        parser.error(
            "argument --window-size: the second number is the baseline of linear, but "
            "the linear map of networks: pass one number, or choose either"
        )
    if len(sizes) > 2 and "linear" in detectors:
        parser.error(
            "argument --window-size: linear takes up to two numbers, of the linear map "
            f"and the baseline, not {len(sizes)}"
        )
    if len(sizes) > 3:
        parser.error(
            "argument --window-size: pass up to three numbers, of the network, the "
            f"linear map and the baseline, not {len(sizes)}"
        )
    if 1 in sizes and detectors & {*_MOST_SIZES, "autoregression"}:
        parser.error(
            "argument --window-size: networks, linear and autoregression need windows "
            "of at least 2 rows: pass a larger number, or choose other detectors"
        )
    given["window_size"] = sizes[0] if len(sizes) == 1 else sizes


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
        help="width of the bottleneck, or none; sequence passes the state at every row "
        "to the decoder; for networks (default: sequence)",
    )
    group.add_argument(
        "--missing",
        choices=["ignore", "anomaly"],
        help="whether a missing reading in a row that has others is ignored or "
        "flagged; not for iforest, lof and pca (default: ignore)",
    )
    group.add_argument(
        "--scaler",
        choices=["standard", "minmax", "robust", "none"],
        help="how channels are scaled before anything else (default: standard)",
    )
    group.add_argument(
        "--epochs",
        type=whole(1),
        metavar="N",
        help="maximum number of training epochs; for networks (default: 40)",
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
        help="rule that turns residuals of windows into the error of a row; "
        "overlap_mean looks ahead; for networks (default: multiscale)",
    )
    add_columns(group)
    add_seed(group, "random seed")


def add_share_to_train_on(parser, default):
    parser.add_argument(
        "--train-fraction",
        type=fraction(0, 1, closed="right"),
        metavar="SHARE",
        help=f"train on this share of the rows, from the start (default: {default})",
    )


def add_threshold(parser):
    group = parser.add_argument_group("threshold, set on errors of the training rows")
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
        help="for quantile and pot: share of rows below the threshold (default: 0.99 "
        "for pot, --false-alarms for quantile)",
    )
    group.add_argument("--k", type=at_least_zero, help="for sigma and mad (default: 3)")
    group.add_argument(
        "--false-alarms",
        type=above_zero,
        metavar="N",
        help="for quantile and pot, instead of --quantile: expected number of false "
        "alarms in the time --per (default: 1)",
    )
    group.add_argument(
        "--per",
        type=rows_or_time,
        metavar="TIME",
        help="a time such as 7D, or a number of rows (default: 300 rows)",
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
        "model", type=Path, metavar="MODEL", help="file of train or tsanomaly.save"
    )


def add_override(parser):
    group = parser.add_argument_group(
        "change the threshold without retraining (default: that of the model)"
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
        help="this quantile of the training errors, which the model file stores",
    )
    group.add_argument(
        "--k",
        type=at_least_zero,
        help="mean + k standard deviations of the training errors",
    )


def add_alarms(parser):
    parser.add_argument(
        "--trigger",
        type=at_least_zero,
        metavar="EXCESS",
        help="accumulated excess over the threshold that raises an alarm; the unit is "
        "the distance from the median error to the threshold (default: 1)",
    )
    parser.add_argument(
        "--off-delay",
        type=whole(1),
        metavar="ROWS",
        help="quiet rows after which an alarm is cleared (default: 60)",
    )


def add_explaining(parser):
    add_alarms(parser)
    parser.add_argument(
        "--channels",
        dest="n_channels",
        type=whole(1),
        metavar="N",
        help="maximum number of channels to name (default: 3)",
    )


def add_trained_share(parser):
    parser.add_argument(
        "--train-fraction",
        type=fraction(0, 1, closed="left"),
        metavar="SHARE",
        help="share of the rows, from the start, that the model was trained on; they "
        "are left out of the metrics (default: 0)",
    )
