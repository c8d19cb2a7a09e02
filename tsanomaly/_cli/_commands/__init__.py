# SPDX-License-Identifier: MIT
"""The commands: each reads files, calls the library and writes files.

Each returns its result as an object for JSON and as text, which is None if the command
has printed it already. Parameters have the defaults of their options. Several commands
share these parameters:

csv : Path or list of Path
    File or files of readings, or a folder; ``-`` is the standard input.
model : Path
    Model file.
read_params : dict
    Keywords for :func:`tsanomaly.datasets.read_sensor_file`.
row_params : dict
    Keywords for `prepare`: a grid, breaks at gaps, filling.
columns : list of str or None
    Channels to use; None uses all.
threshold : float or None
    Threshold that replaces that of the model.
quantile, k : float or None
    Replace the threshold of the model with this quantile of its training errors, or
    with their mean + `k` standard deviations.
alarm_params : dict
    Keywords for `AlarmFilter`.
n_channels : int
    Maximum number of channels to name per alarm.
train_fraction : float
    Share of the rows, from the start, that the model is or was trained on.
output_dir : Path
    Folder for the results; created if needed.
bom : bool
    Whether tables begin with a byte order mark, for spreadsheets.
plots : bool
    Whether to draw plots.
progress : Progress
    Called with a line of text before each step.
"""

from tsanomaly._cli._commands._data import demo, explore, generate
from tsanomaly._cli._commands._find import detect, explain, report
from tsanomaly._cli._commands._judge import compare, evaluate
from tsanomaly._cli._commands._train import train
from tsanomaly._cli._commands._tune import tune
from tsanomaly._cli._commands._watch import watch
from tsanomaly._cli._info import info

__all__ = [
    "compare",
    "demo",
    "detect",
    "evaluate",
    "explain",
    "explore",
    "generate",
    "info",
    "report",
    "train",
    "tune",
    "watch",
]
