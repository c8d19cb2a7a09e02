# SPDX-License-Identifier: MIT
"""What the commands do: read, call the library, write files.

Each returns its result twice: as what JSON can hold, and as text, or None if it has
printed its result already. Defaults of
parameters are those of the options. What several commands take is described here:

csv : Path or list of Path
    The file of the readings, or files, or a folder; ``-`` is the standard input.
model : Path
    The file of a model.
read_params : dict
    Keywords for :func:`tsanomaly.datasets.read_sensor_file`.
row_params : dict
    Keywords for `prepare`: a grid, breaks at gaps, filling.
columns : list of str or None
    The channels to use; None takes all.
threshold : float or None
    Another threshold than that of the model.
quantile, k : float or None
    What to compute another threshold from, on the training errors of the model: their
    quantile, or their mean + `k` standard deviations.
alarm_params : dict
    Keywords for `AlarmFilter`.
n_channels : int
    How many channels of an alarm to name, at most.
train_fraction : float
    Share of the rows, the first ones, that a model is or was trained on.
output_dir : Path
    Folder for the results, which is created.
bom : bool
    Whether tables begin with a byte order mark, for spreadsheets.
plots : bool
    Whether to draw.
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
