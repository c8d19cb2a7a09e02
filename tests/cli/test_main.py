# SPDX-License-Identifier: MIT
"""Exit status, messages and interruption of commands."""

import errno
import json
import os
import pickle
import signal
import subprocess
import sys
import warnings
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tsanomaly
from tsanomaly._backend import import_keras
from tsanomaly._cli import main
from tsanomaly._parameter_error import Parameter, ParameterError

pytestmark = pytest.mark.network

POT = ["train", "{plant}", "--detector", "pca", "--threshold-method", "pot"]
POT += ["--quantile", "0.5"]
NO_TIMES = ["--timestamp", "none", "--drop", "timestamp"]
BUDGET = ["--detector", "pca", "--false-alarms", "1", "--per"]


@pytest.mark.parametrize(
    ("options", "shown"),
    [
        (["train", "nothing.csv"], "nothing.csv"),
        (["detect", "nothing.skops", "{plant}"], "nothing.skops"),
        (["detect", "tsanomaly-results", "{plant}"], "tsanomaly-results/model.skops"),
        (["detect", "model.pkl", "{plant}"], "pickle"),
        (["detect", "{plant}", "{plant}"], "not a model"),
        (["detect", "{model}", "renamed.csv"], "'sensor_1'"),
        (["detect", "{model}", "case.csv"], "'Sensor_1' was 'sensor_1' in training."),
        (["detect", "{model}", "partly.csv"], "'sensor_2' (3)"),
        (["detect", "{model}", "partly.csv"], "at 2024-01-01 00:10:00"),
        (["detect", "{model}", "partly.csv"], "--fill previous"),
        (["train", "{plant}", "--resample", "fast"], "--resample fast"),
        (["train", "{plant}", "--max-gap", "wide"], "--max-gap wide"),
        (["train", "x.csv", *NO_TIMES, "--max-gap", "1h"], "--max-gap 1h needs times"),
        (["train", "fleet.csv", "--detector", "pca"], "--by machine"),
        (["compare", "fleet.csv"], "train --by machine"),
        (["tune", "{plant}", "--train-fraction", "0.99"], "--train-fraction"),
        (["tune", "tiny.csv", "--train-fraction", "1"], "--train-fraction"),
        (["train", "short.csv", "--detector", "autoregression"], "--window-size"),
        (["train", "partly.csv", "--detector", "lof"], "--fill"),
        (["train", "partly.csv", "--detector", "lof"], "--drop"),
        (["train", "{plant}", "--timestamp", "t"], "--timestamp t "),
        (["train", "{plant}", "--columns", "sensor_9"], "'sensor_9'"),
        (["train", "{plant}", "--columns", "sensor_9"], "--columns"),
        (["train", "case.csv", "--columns", "sensor_1"], "use 'Sensor_1'."),
        (["train", "both.csv", "--columns", "FLOW"], "use 'Flow' or 'flow'."),
        (["train", "both.csv", "--drop", "FLOW"], "use 'Flow' or 'flow'."),
        (
            ["train", "case.csv", "--label", "Anomaly"],
            "'anomaly'. Upper and lower case",
        ),
        (["train", "case.csv", "--label", "Anomaly"], "case matter: use 'anomaly'."),
        (["train", "fleet.csv", "--by", "Machine"], "case matter: use 'machine'."),
        (["train", "tiny.csv", "--detector", "pca"], "--train-fraction"),
        (["train", "{plant}", "--window-size", "500"], "--window-size"),
        (["train", "{plant}", "--window-size", "9,500"], "500 are needed"),
        (POT, "--quantile 0.5 "),
        (POT, "--threshold-method pot "),
        (POT, "--quantile above 0.98"),
        (["demo", "--compilation-cache", "tiny.csv"], "--compilation-cache tiny.csv "),
        (["train", "x.csv", "--threshold-method", "f_score"], "--label"),
        (["train", "{plant}", *BUDGET, "1s"], "--per 1s is shorter"),
        (["train", "{plant}", *BUDGET, "soon"], "--per soon is not a duration"),
        (["train", "x.csv", *NO_TIMES, *BUDGET, "1D"], "no time column"),
        (["train", "x.csv", *NO_TIMES, *BUDGET, "1D"], "name the column with --timest"),
        (["explore", "{plant}", "--date-format", "%d"], "--date-format"),
        (["explore", "{plant}", "--max-bytes", "99"], "more than 99 bytes"),
        (["explore", "{plant}", "--max-bytes", "99"], "--max-bytes"),
        (["explore", "{plant}", "--output-dir", "renamed.csv"], "--output-dir"),
        (["explore", "{plant}", "--output-dir", "renamed.csv/x"], "--output-dir"),
        (["explore", "{plant}", "--output-dir", "/proc/x"], "/proc/x cannot be create"),
        (["explore", "{plant}", "--output-dir", "/proc/x"], "to, with --output-dir."),
        (["train", "{plant}", "--max-gap", "5"], "error: --max-gap 5 is not a dur"),
        (["train", "{plant}", "--max-gap", "5"], "it has no unit; 5s would be sec"),
        (["train", "{plant}", "--resample", "0s"], "--resample 0s is not a duration"),
        (["watch", "{model}", "--from", "-", "--max-gap", "5"], "--max-gap 5 is not a"),
        (["detect", "{plant}", "{model}"], "seem to be swapped: {model} is a model"),
        (["watch", "x.csv", "--from", "{model}"], "swapped: {model} is a model, and x"),
        (["report", "x.csv", "{model}"], "and x.csv is not. Pass the model first"),
        (["detect", "{plant}", "x.csv"], "plant.csv is not a model saved"),
        (["generate", "--freq", "fortnight"], "--freq fortnight"),
        (["generate", "--freq=0min"], "--freq 0min"),
        (["generate", "--freq=-1min"], "--freq -1min"),
        (["generate", "--kinds", "rust"], "'rust'"),
        (["evaluate", "{model}", "x.csv"], "--label"),
        (["evaluate", "{model}", "{plant}", "--train-fraction", ".9999"], "--train-"),
        (["compare", "{plant}", "--train-fraction", "1"], "--train-fraction"),
        (
            ["compare", "{plant}", "--threshold-method", "f_score"],
            "--threshold-method f_score",
        ),
    ],
)
def test_failures(options, shown, model, plant, capsys):
    """The option that mends it is named, or what it is about."""
    readings = pd.read_csv(plant)
    readings.rename(columns={"sensor_1": "flow"}).to_csv("renamed.csv", index=False)
    readings.rename(columns={"sensor_1": "Sensor_1"}).to_csv("case.csv", index=False)
    both = {"sensor_1": "Flow", "sensor_2": "flow"}
    readings.rename(columns=both).to_csv("both.csv", index=False)
    readings.head(5).to_csv("tiny.csv", index=False)
    readings.head(60).to_csv("short.csv", index=False)
    readings.drop(columns="anomaly").to_csv("x.csv", index=False)
    readings.loc[10:12, "sensor_2"] = np.nan
    readings.to_csv("partly.csv", index=False)
    fleet = [readings.assign(machine=name) for name in ("pump 1", "pump 2")]
    pd.concat(fleet).to_csv("fleet.csv", index=False)
    Path("model.pkl").write_bytes(pickle.dumps(readings))
    options = [option.format(model=model, plant=plant) for option in options]
    assert main(options) == 1
    message = capsys.readouterr().err
    assert message.startswith(f"tsanomaly {options[0]}: error: ")
    assert shown.format(model=model) in message
    assert message.count("\n") == 1
    assert main([*options, "--verbose"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_parameters_are_spelled_as_options(plant, monkeypatch, capsys):
    """Wherever the error was raised; names that only look like parameters stay."""

    def fail(*_, **__):
        raise ParameterError(
            "sep=2.csv: ",
            Parameter("timestamp", ("day", "clock")),
            " is wrong. Pass ",
            Parameter("sep", ";"),
            " or ",
            Parameter("label", None),
            ".",
        )

    monkeypatch.setattr("tsanomaly.datasets.read_sensor_file", fail)
    assert main(["explore", plant]) == 1
    assert capsys.readouterr().err == (
        "tsanomaly explore: error: sep=2.csv: --timestamp day --timestamp clock is "
        "wrong. Pass --sep ';' or --label none.\n"
    )


def test_parameters_in_warnings_are_spelled_as_options(plant, monkeypatch, capsys):
    class ParameterWarning(UserWarning):
        spelled = ParameterError.spelled

    def fail(*_, **__):
        warnings.warn(ParameterWarning("Pass ", Parameter("date_format")), stacklevel=1)
        raise ValueError("and so on")

    monkeypatch.setattr("tsanomaly.datasets.read_sensor_file", fail)
    assert main(["explore", plant]) == 1
    warning, error = capsys.readouterr().err.splitlines()
    assert warning == "tsanomaly explore: warning: Pass --date-format"
    assert error == "tsanomaly explore: error: and so on"


def test_names_of_files_and_cells_are_left_alone(plant, capsys):
    readings = pd.read_csv(plant, dtype=str)
    readings.loc[3, "sensor_1"] = "see label=None"
    readings.to_csv("pump sep=2.csv", index=False)
    assert main(["explore", "pump sep=2.csv"]) == 1
    message = capsys.readouterr().err
    assert "pump sep=2.csv" in message
    assert "see label=None" in message


@pytest.mark.parametrize("command", ["explore", "train", "compare"])
def test_a_failed_reading_makes_no_folder(command, plant):
    Path("words.csv").write_text("one\ntwo\nthree\n")
    for file in ("nothing.csv", "words.csv"):
        assert main([command, file, "--output-dir", "new"]) == 1
    assert not Path("new").exists()


@pytest.mark.parametrize("command", ["detect", "evaluate", "explain", "report"])
def test_a_failed_model_makes_no_folder(command, model, plant):
    for file in ("nothing.skops", plant):
        assert main([command, file, plant, "--output-dir", "new"]) == 1
    assert main([command, model, "nothing.csv", "--output-dir", "new"]) == 1
    assert main(["generate", "--kinds", "rust", "--output-dir", "new"]) == 1
    assert not Path("new").exists()


@pytest.mark.parametrize(
    ("error", "parts"),
    [
        (RuntimeError("no\nkernel"), ["RuntimeError", "no kernel", "--verbose"]),
        (KeyError("flow"), ["KeyError", "'flow'", "--verbose"]),
        (MemoryError(), ["memory"]),
        (ValueError("two\n  lines"), ["two lines"]),
    ],
)
def test_errors_of_libraries_are_one_line(error, parts, plant, monkeypatch, capsys):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("tsanomaly.datasets.read_sensor_file", fail)
    assert main(["explore", plant]) == 1
    shown = capsys.readouterr().err
    assert shown.startswith("tsanomaly explore: error: ")
    for part in parts:
        assert part in shown
    assert shown.count("\n") == 1
    assert main(["explore", plant, "-v"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_a_programming_error_keeps_its_traceback(plant, monkeypatch):
    monkeypatch.setattr("tsanomaly.datasets.read_sensor_file", None)
    with pytest.raises(TypeError):
        main(["explore", plant])


def test_a_closed_pipe_is_no_failure(plant):
    """The reader has gone before anything is written."""
    ours, theirs = os.pipe()
    os.close(ours)
    command = [sys.executable, "-m", "tsanomaly", "explore", plant, "--no-plots"]
    done = subprocess.run(command, stdout=theirs, stderr=subprocess.PIPE, text=True)
    os.close(theirs)
    assert (done.returncode, done.stderr) == (141, "")


def test_interruption_leaves_what_was_there(model, plant, folder, monkeypatch, capsys):
    def interrupt(*_):
        raise KeyboardInterrupt

    before = {file: file.read_bytes() for file in folder.iterdir()}
    monkeypatch.setattr(os, "fsync", interrupt)
    assert main(["detect", model, plant, "--threshold", "0"]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert {file: file.read_bytes() for file in folder.iterdir()} == before


def test_a_failure_leaves_what_was_there(model, plant, folder, monkeypatch, capsys):
    """Also what was written before the disk was full."""
    assert main(["detect", model, plant]) == 0
    before = {file: file.read_bytes() for file in folder.iterdir()}
    fsync, calls = os.fsync, []

    def fill_the_disk(descriptor):
        calls.append(descriptor)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fill_the_disk)
    assert main(["detect", model, plant, "--threshold", "0"]) == 1
    message = capsys.readouterr().err
    assert "anomalies.png cannot be written: No space left" in message
    assert "All files are as they were before" in message
    assert {file: file.read_bytes() for file in folder.iterdir()} == before


def test_old_and_new_results_beside_each_other_are_named(
    model, plant, folder, monkeypatch, capsys
):
    """A file may be locked, as by a spreadsheet that shows it."""
    options = ["--no-plots", "--output-dir", "results"]
    assert main(["detect", model, plant, *options]) == 0
    predictions, alarms = (
        Path("results", f"{n}.csv") for n in ("predictions", "alarms")
    )
    before = predictions.read_bytes(), alarms.read_bytes()
    replace = os.replace

    def refuse(temporary, target):
        if target.name == "alarms.csv":
            raise PermissionError(errno.EACCES, "Permission denied")
        replace(temporary, target)

    monkeypatch.setattr(os, "replace", refuse)
    assert main(["detect", model, plant, *options, "--threshold", "0"]) == 1
    message = capsys.readouterr().err
    assert f"New files: {predictions}; unchanged files: {alarms}." in message
    assert predictions.read_bytes() != before[0]
    assert alarms.read_bytes() == before[1]
    assert sorted(Path("results").iterdir()) == [alarms, predictions]


@pytest.mark.parametrize("command", ["train", "detect"])
def test_ctrl_c_leaves_no_half_written_file(command, plant, folder):
    """A process on a terminal, stopped where it says that it is at work."""
    assert main(["train", plant, "--detector", "iforest", "--no-plots"]) == 0
    model = str(folder / "model.skops")
    options, awaited = {
        "train": ([plant, "--epochs", "100000"], "training"),
        "detect": ([model, plant, "--threshold", "0"], " 2 of 40"),
    }[command]
    before = {file: file.read_bytes() for file in folder.iterdir()}
    ours, theirs = os.openpty()
    # As on a terminal, also where a shell that runs tests in the background has its
    # processes ignore the signal.
    program = (
        "import signal, sys; from tsanomaly._cli import main;"
        "signal.signal(signal.SIGINT, signal.default_int_handler);"
        "sys.exit(main(sys.argv[1:]))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, command, *options],
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    try:
        shown = ""
        while awaited not in shown:
            shown += os.read(ours, 1000).decode()
        process.send_signal(signal.SIGINT)
        # A terminal that is not read fills up, and what writes to it waits.
        with suppress(OSError):  # on Linux, once the other end is closed
            while os.read(ours, 1000):
                pass
        assert process.wait(60) == 130
    finally:
        process.kill()
        os.close(ours)
    assert {file: file.read_bytes() for file in folder.iterdir()} == before


@pytest.mark.parametrize(
    "command",
    ["generate", "explore", "train", "detect", "evaluate", "explain", "report"],
)
def test_json_is_all_that_is_printed(command, model, plant, capsys):
    files = {
        "generate": [],
        "explore": [plant],
        "train": [plant, "--detector", "pca"],
    }.get(command, [model, plant])
    assert main([command, *files, "--no-plots", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert all(Path(file).is_file() for file in result["files"])


def test_as_a_process(plant, folder):
    command = [sys.executable, "-m", "tsanomaly", "train", plant, "--detector", "pca"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "threshold" in done.stdout
    assert done.stderr == ""  # no progress without a terminal
    assert (folder / "errors.png").is_file()


def test_verbose_says_how_the_file_is_read(plant, capsys):
    assert main(["explore", plant, "--no-plots", "-v"]) == 0
    assert "timestamp" in capsys.readouterr().err


def test_warnings_are_lines(plant, capsys):
    readings = pd.read_csv(plant)
    pd.concat([readings[:300], readings[310:]]).to_csv("gap.csv", index=False)
    assert main(["explore", "gap.csv", "--no-plots", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["gaps"] == 1
    assert printed.err.startswith("tsanomaly explore: warning: ")


def test_the_version():
    shown = subprocess.run(
        [sys.executable, "-m", "tsanomaly", "--version"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert shown.stdout.strip() == f"tsanomaly {tsanomaly.__version__}"


def test_compiled_networks_are_kept(plant, folder):
    """In the folder that is named, as long as the command runs."""
    program = """
import os, sys
from tsanomaly._cli import main
assert main(sys.argv[1:]) == 0
if os.environ["KERAS_BACKEND"] == "jax":
    import jax
    assert jax.config.jax_compilation_cache_dir is None
    assert jax.config.jax_persistent_cache_min_compile_time_secs > 0
# Other backends set variables of their own.
assert not any(name.startswith("JAX_") and "_CACHE_" in name for name in os.environ)
"""
    command = [sys.executable, "-c", program, "train", plant, "--no-plots"]
    command += ["--window-size", "4", "--units", "3", "--epochs", "1"]
    kept = folder / "compiled"
    environment = {
        name: value for name, value in os.environ.items() if "_CACHE_" not in name
    }
    command += ["--compilation-cache", str(kept)]
    subprocess.run(command, check=True, env=environment)
    on_jax = import_keras().backend.backend() == "jax"
    assert any(kept.iterdir()) == on_jax


@pytest.mark.parametrize("file", ["{plant}", "nothing.csv"])
def test_a_compilation_cache_from_before_stays(file, plant, folder):
    """Whether the command succeeds or fails."""
    before = dict(os.environ)
    command = ["train", file.format(plant=plant), "--detector", "pca", "--no-plots"]
    kept = folder / "compiled"
    assert main([*command, "--compilation-cache", str(kept)]) == (file == "nothing.csv")
    assert kept.is_dir()
    assert dict(os.environ) == before
    if jax := sys.modules.get("jax"):
        cache = jax.config.jax_compilation_cache_dir
        assert cache == before["JAX_COMPILATION_CACHE_DIR"]
