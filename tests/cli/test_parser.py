# SPDX-License-Identifier: MIT
"""Help, wrong usage, and the spelling of parameters."""

import inspect
import re
import shlex
from pathlib import Path

import pandas as pd
import pytest

from tests.helpers import run_python, wave
from tsanomaly import (
    AlarmFilter,
    AutoregressiveDetector,
    LinearAutoencoderDetector,
    LSTMAutoencoderDetector,
    ReconstructionThreshold,
    Training,
    WindowNeighborsDetector,
    WindowTransformer,
    explain,
)
from tsanomaly._cli import _commands, main
from tsanomaly._cli._models import build
from tsanomaly._cli._parser import DEFAULT_BUDGET, parse
from tsanomaly._parameter_error import Parameter
from tsanomaly.datasets import make_sensor_data, read_sensor_csv

COMMANDS = sorted(_commands.__all__)
PAGE = Path(__file__).parents[2] / "docs" / "command_line.md"


@pytest.fixture
def show_help(capsys):
    """A function that returns the help of a command."""

    def show_help(*command):
        with pytest.raises(SystemExit) as stop:
            main([*command, "--help"])
        assert stop.value.code == 0
        return capsys.readouterr().out

    return show_help


def default(function, name):
    return inspect.signature(function).parameters[name].default


def as_typed(value):
    """A default as the help says it."""
    if isinstance(value, tuple):
        return " ".join(map(as_typed, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def defaults_in_help(text):
    """The defaults that a help states, by option."""
    blocks = re.findall(r"^  (-.*\n(?: {8}.*\n)*)", text, flags=re.MULTILINE)
    found = {}
    for block in blocks:
        if stated := re.search(r"\(default: (.*)\)", " ".join(block.split())):
            found[re.search(r"--[a-z-]+", block)[0]] = stated[1]
    return found


IN_NETWORKS = {
    "--units": (LSTMAutoencoderDetector, "units"),
    "--latent-dim": (LSTMAutoencoderDetector, "latent_dim"),
    "--epochs": (LSTMAutoencoderDetector, "epochs"),
    "--batch-size": (Training, "batch_size"),
    "--row-error": (LSTMAutoencoderDetector, "row_error"),
}
IN_TRAINING = IN_NETWORKS | {
    "--k": (ReconstructionThreshold, "k"),
}
IN_READING = {"--skiprows": (read_sensor_csv, "skiprows")}
IN_ALARMS = {
    "--trigger": (AlarmFilter, "trigger"),
    "--off-delay": (AlarmFilter, "off_delay"),
}
IN_EXPLAINING = IN_ALARMS | {"--channels": (explain, "n_channels")}
OF_THE_LIBRARY = {
    "generate": {
        "--rows": (make_sensor_data, "n_samples"),
        "--sensors": (make_sensor_data, "n_sensors"),
        "--contamination": (make_sensor_data, "contamination"),
        "--freq": (make_sensor_data, "freq"),
    },
    "explore": IN_READING,
    "train": IN_READING | IN_TRAINING,
    "detect": IN_READING | IN_EXPLAINING,
    "evaluate": IN_READING | IN_ALARMS,
    "compare": IN_READING | IN_TRAINING,
    "explain": IN_READING | IN_EXPLAINING,
    "report": IN_READING | IN_EXPLAINING,
    "tune": IN_READING | IN_NETWORKS,
    "info": {},
    "watch": IN_EXPLAINING,
    "demo": {},
}
# What else is stated, and holds for the commands.
OF_THE_COMMANDS = {
    "--rows": "n_samples",
    "--sensors": "n_sensors",
    "--contamination": "contamination",
    "--freq": "freq",
    "--seed": "random_state",
    "--output-dir": "output_dir",
    "--detector": "detector",
    "--missing": "missing",
    "--scaler": "scaler",
    "--train-fraction": "train_fraction",
    "--channels": "n_channels",
    "--minutes": "minutes",
    "--most-machines": "most_machines",
}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_states_the_defaults(command, show_help):
    stated = defaults_in_help(show_help(command))
    for option, (function, name) in OF_THE_LIBRARY[command].items():
        assert stated[option] == as_typed(default(function, name))
    run = getattr(_commands, command)
    for option, name in OF_THE_COMMANDS.items():
        if name in inspect.signature(run).parameters:
            assert stated[option] == as_typed(default(run, name))


@pytest.mark.parametrize("command", ["train", "compare"])
def test_the_help_states_choices_by_detector(command, show_help):
    stated = defaults_in_help(show_help(command))
    network, linear, forecasts, neighbors, other = (
        default(class_, "window_size")
        for class_ in (
            LSTMAutoencoderDetector,
            LinearAutoencoderDetector,
            AutoregressiveDetector,
            WindowNeighborsDetector,
            WindowTransformer,
        )
    )
    assert stated["--window-size"] == (
        f"{','.join(map(str, network))} for networks, "
        f"{','.join(map(str, linear))} for linear, "
        f"{forecasts} for autoregression, {neighbors} for neighbors, {other} for other "
        "detectors"
    )
    method = default(ReconstructionThreshold, "method")
    assert stated["--threshold-method"].startswith(f"{method}, ")
    quantile = default(ReconstructionThreshold, "quantile")
    assert stated["--quantile"].startswith(f"{quantile:g} for pot")
    assert stated["--false-alarms"] == str(DEFAULT_BUDGET["false_alarms"])
    assert stated["--per"] == f"{DEFAULT_BUDGET['per']} rows"


@pytest.mark.parametrize("detector", ["lstm", "hybrid", "pca"])
def test_models_without_options_have_the_defaults_of_the_library(detector):
    keywords = parse(["train", "x.csv", "--detector", detector]).keywords
    assert keywords["network_params"] == {}
    model = build(
        **{name: keywords[name] for name in ("network_params", "threshold_params")},
        **{
            name: default(_commands.train, name)
            for name in ("window_size", "missing", "scaler", "random_state")
        },
        detector=detector,
    )
    threshold = ReconstructionThreshold(**DEFAULT_BUDGET)
    assert model["threshold"].get_params() == threshold.get_params()
    network = {
        "lstm": lambda: model["errors"],
        "hybrid": lambda: model["errors"].detector.detector,
        "pca": lambda: None,
    }[detector]()
    if network is not None:
        expected = LSTMAutoencoderDetector(random_state=0).get_params()
        assert network.get_params() == expected
    else:
        assert model["window"].get_params() == WindowTransformer().get_params()


@pytest.mark.parametrize(
    "options",
    [["train", "--detector", "pca"], ["compare", "--detectors", "pca", "iforest"]],
)
def test_windows_of_one_row_are_for_detectors_without_a_network(options):
    assert parse([*options, "--window-size", "1", "x.csv"]).keywords["window_size"] == 1


@pytest.mark.parametrize(
    ("detector", "typed", "size"),
    [
        *(
            (detector, typed, size)
            for detector in ("lstm", "ensemble", "hybrid")
            for typed, size in (
                ("30", 30),
                ("16,80", (16, 80)),
                ("16,80,1001", (16, 80, 1001)),
            )
        ),
        ("linear", "30", 30),
        ("linear", "80,1001", (80, 1001)),
    ],
)
def test_windows_of_models_of_windows(detector, typed, size):
    options = ["--detector", detector, "--window-size", typed]
    keywords = parse(["train", *options, "x.csv"]).keywords
    assert keywords["window_size"] == size
    model = build(
        detector,
        network_params={},
        threshold_params={},
        window_size=size,
        missing="ignore",
        scaler="none",
        random_state=0,
    )
    sizes = {
        value
        for name, value in model["errors"].get_params().items()
        if name.endswith("window_size")
    }
    assert size in sizes


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("train --detector linear --window-size 16,80,1001", "linear takes up to two"),
        ("train --detector linear --window-size 1,80", "at least 2 rows"),
        ("train --detector lstm --window-size 2,3,4,5", "up to three numbers"),
        ("compare --detectors linear pca --window-size 9,99", "pca takes one number"),
        (
            "compare --detectors linear lstm --window-size 9,99,999",
            "the baseline of linear, but the linear map of networks",
        ),
    ],
)
def test_window_sizes_that_a_detector_does_not_take(options, told, capsys):
    with pytest.raises(SystemExit):
        main([*options.split(), "x.csv"])
    assert told in capsys.readouterr().err


def test_the_threshold_follows_from_k():
    given = parse(["train", "x.csv", "--k", "2"]).keywords["threshold_params"]
    assert given == {"method": "sigma", "k": 2}


@pytest.mark.parametrize(("typed", "per"), [("7D", "7D"), ("5000", 5000)])
def test_a_budget_of_false_alarms(typed, per):
    options = ["--false-alarms", "0.5", "--per", typed]
    given = parse(["compare", "x.csv", *options]).keywords["threshold_params"]
    assert given == {"method": "quantile", "false_alarms": 0.5, "per": per}


def test_none_is_a_value():
    options = "--timestamp none --label none --latent-dim none --units 64 32"
    keywords = parse(["train", "x.csv", *options.split()]).keywords
    assert keywords["read_params"] == {"timestamp": None, "label": None}
    assert keywords["network_params"] == {"latent_dim": None, "units": (64, 32)}


@pytest.mark.parametrize(
    ("parameter", "typed"),
    [
        (Parameter("sep", ";"), "--sep ';'"),
        (Parameter("sep", "\t"), r"--sep $'\t'"),
        (Parameter("decimal", ","), "--decimal ,"),
        (Parameter("label", None), "--label none"),
        (Parameter("label", "is odd"), "--label 'is odd'"),
        (Parameter("drop", ["a", "b"]), "--drop a b"),
        (Parameter("date_format"), "--date-format"),
        (Parameter("timestamp", ("a", "b")), "--timestamp a --timestamp b"),
        (Parameter("skiprows", 2), "--skiprows 2"),
        (Parameter("n_channels", 2), "--channels 2"),
        (Parameter("na_values", ["Bad", "?"]), "--na-values Bad '?'"),
        (Parameter("long", None), "--long none"),
        (Parameter("by", "machine"), "train --by machine"),
        (Parameter("regularize()"), "--resample"),
        (Parameter("random_state"), "--seed"),
        # What is no option of the command keeps its name.
        (Parameter("nu", "Bad"), "nu='Bad'"),
        (Parameter("n_samples"), "n_samples"),
    ],
)
def test_parameters_as_options(parameter, typed):
    command = "train" if parameter.name == "random_state" else "explain"
    files = {"train": ["x.csv"], "explain": ["m.skops", "x.csv"]}[command]
    assert parse([command, *files]).as_option(parameter) == typed


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["nothing"],
        ["demo", "--colour"],
        ["train", "x.csv", "--detector", "pca", "--units", "4"],
        ["train", "x.csv", "--quantile", "0.9", "--k", "3"],
        ["train", "x.csv", "--threshold-method", "sigma", "--quantile", "0.9"],
        ["train", "x.csv", "--quantile", "1.5"],
        ["train", "x.csv", "--false-alarms", "1"],
        ["train", "x.csv", "--per", "1D"],
        ["train", "x.csv", "--per", "1.5", "--false-alarms", "1"],
        ["train", "x.csv", "--per", "1D", "--false-alarms", "0"],
        ["train", "x.csv", "--per", "1D", "--false-alarms", "1", "--quantile", ".9"],
        ["train", "x.csv", "--per", "9", "--false-alarms", "1", "--k", "3"],
        [
            *["train", "x.csv", "--threshold-method", "mad"],
            *["--false-alarms", "1", "--per", "9"],
        ],
        ["train", "x.csv", "--epochs", "0"],
        ["train", "x.csv", "--window-size", "1"],
        ["train", "x.csv", "--detector", "linear", "--window-size", "1"],
        ["train", "x.csv", "--detector", "hybrid", "--window-size", "1"],
        ["train", "x.csv", "--detector", "pca", "--window-size", "0"],
        ["train", "x.csv", "--window-size", "16,1"],
        ["train", "x.csv", "--window-size", "16,80,1001,5000"],
        ["train", "x.csv", "--window-size", "16,"],
        ["train", "x.csv", "--window-size", "16 80"],
        ["train", "x.csv", "--detector", "pca", "--window-size", "16,80"],
        ["compare", "x.csv", "--window-size", "16,80"],
        ["compare", "x.csv", "--window-size", "1"],
        ["compare", "x.csv", "--detectors", "pca", "lstm", "--window-size", "1"],
        ["demo", "--compilation-cache", ""],
        ["detect", "m.skops", "x.csv", "--quantile", "0.9", "--k", "3"],
        ["detect", "m.skops", "x.csv", "--threshold", "1", "--k", "3"],
        ["compare", "x.csv", "--detectors", "pca", "lof", "--epochs", "3"],
    ],
)
def test_wrong_usage(options, folder, capsys):
    with pytest.raises(SystemExit) as stop:
        main(options)
    assert stop.value.code == 2
    shown = capsys.readouterr().err
    assert shown.startswith("tsanomaly")
    assert shown.endswith(" -h\n")
    assert shown.count("\n") == 1
    named = [option for option in options if option.startswith("--")]
    assert not named or any(option in shown.splitlines()[-1] for option in named)
    assert not folder.exists()


@pytest.mark.parametrize(
    "options",
    [["x.csv", "--window-size", "16", "80"], ["--window-size", "16", "80", "x.csv"]],
)
def test_window_lengths_are_separated_by_commas(options, folder, capsys):
    with pytest.raises(SystemExit):
        main(["train", *options])
    told = "--window-size: separate several numbers with commas, as in --window-size "
    assert f"{told}16,80." in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["train", "x.csv", "--window-size", "16,-5"])
    told = "'-5' is not a whole number of at least 1; separate several numbers with "
    assert f"{told}commas, as in 16,80,1001." in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["train", "x.csv", "--window-size", "16", "--columnss", "80"])
    told = capsys.readouterr().err
    assert "unrecognized arguments: --columnss 80. See tsanomaly train -h" in told


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "demo"])
def test_the_examples_of_the_help_run(command, folder, show_help, short_search):
    shown = show_help(command)
    lines = shown[shown.index("example:") :].splitlines()[1:]
    lines = [line.strip() for line in lines if line.strip()]
    assert lines[-1].startswith(f"tsanomaly {command}")
    for line in lines:
        assert main(line.split()[1:]) == 0


def test_the_help_lists_all_commands(show_help):
    shown = show_help()
    for command in COMMANDS:
        assert f"\n    {command} " in shown


def test_the_help_is_light():
    """The command line imports nothing beyond what the package does by itself."""
    code = (
        "import sys, tsanomaly\n"
        "before = set(sys.modules)\n"
        "from tsanomaly._cli import main\n"
        "try: main(['train', '--help'])\n"
        "except SystemExit: pass\n"
        "new = {name.split('.')[0] for name in set(sys.modules) - before}\n"
        "heavy = {'pandas', 'scipy', 'sklearn', 'keras', 'jax', 'matplotlib'}\n"
        "print(sorted(new & heavy), 'tsanomaly._cli._commands' in sys.modules)"
    )
    assert run_python(code).splitlines()[-1] == "[] False"


def lines_of_the_page():
    """The command lines that the page shows, in order."""
    fenced = PAGE.read_text(encoding="utf-8").split("```")[1::2]
    lines = [line for block in fenced for line in block.splitlines() if line]
    return [line.split("#")[0].strip() for line in lines]


@pytest.mark.slow
def test_the_page_runs_as_printed(folder, shorten_training, short_search):
    """All of its lines, in order, with a network that trains in a moment."""
    shorten_training()
    times = pd.date_range("2024-01-01", periods=300, freq="1min", name="time")
    readings = pd.DataFrame(wave(300), times, ["flow", "level"])
    fleet = [readings.assign(machine_id=name) for name in ("pump", "fan")]
    pd.concat(fleet).to_csv("fleet.csv")
    lines = lines_of_the_page()
    assert len(lines) > 12
    for line in lines:
        program, *arguments = shlex.split(line)
        assert program == "tsanomaly"
        assert main(arguments) == 0, line
    jobs = {line.split()[1] for line in lines}
    assert jobs == set(COMMANDS) - {"demo"}
    assert Path("plots", "anomalies.png").is_file()
