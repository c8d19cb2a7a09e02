# SPDX-License-Identifier: MIT
"""The preparation of readings is saved with the model, and repeated."""

import json

import numpy as np
import pandas as pd
import pytest

import tsanomaly
from tsanomaly._cli import main
from tsanomaly._cli._preparation import row_step

TIMES = pd.date_range("2024-01-01", periods=600, freq="10s", name="time")
AS_THEN = "readings prepared as in training: --resample 1min --na-values -9999"


@pytest.fixture
def readings(folder, rng):
    """A file of readings every ten seconds, some of them not good."""
    frame = pd.DataFrame(rng.normal(size=(600, 2)), TIMES, ["a", "b"])
    frame = frame.round(3)
    frame.iloc[[95, 300, 411], 1] = -9999
    frame["label"] = (np.arange(600) == 500).astype(int)
    frame.to_csv("plant.csv")
    return "plant.csv"


@pytest.fixture
def trained(readings, folder):
    """A model that was trained on a grid."""

    def train(*options):
        train = ["train", readings, "--detector", "autoregression", "--window-size"]
        assert main([*train, "5", "--no-plots", *options]) == 0
        return str(folder / "model.skops")

    return train


@pytest.fixture
def on_a_grid(trained):
    return trained("--resample", "1min", "--na-values", "-9999")


@pytest.mark.parametrize("command", ["detect", "evaluate", "explain", "report"])
def test_later_commands_do_what_train_did(command, on_a_grid, readings, folder, capsys):
    capsys.readouterr()
    assert main([command, on_a_grid, readings, "--no-plots"]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines().count(AS_THEN) == 1
    assert "the model was trained" not in said.err
    if command == "report":
        assert AS_THEN in (folder / "report.html").read_text()
    if command == "detect":
        table = pd.read_csv(folder / "predictions.csv", parse_dates=["time"])
        assert set(table["time"].diff().dropna()) == {pd.Timedelta("1min")}
        assert table["score"].max() < 100  # no -9999 among the readings


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--resample", "2min"], "--resample 2min: the model was trained with "
         "--resample 1min,"),
        (["--resample", "none"], "--resample none: the model was trained with "
         "--resample 1min,"),
        (["--fill", "previous"], "--fill previous: the model was trained without it,"),
        (["--max-gap", "1h"], "--max-gap 1h: the model was trained with --max-gap "
         "auto,"),
        (["--na-values", "?"], "--na-values '?': the model was trained with "
         "--na-values -9999,"),
    ],
)  # fmt: skip
def test_an_option_that_is_given_counts_and_is_told(
    options, words, on_a_grid, readings, folder, capsys
):
    capsys.readouterr()
    assert main(["detect", on_a_grid, readings, "--no-plots", *options]) == 0
    said = capsys.readouterr()
    assert said.err.count("the model was trained") == 1
    assert words in said.err
    table = pd.read_csv(folder / "predictions.csv", parse_dates=["time"])
    step = {"2min": "2min", "none": "10s"}.get(options[1], "1min")
    assert table["time"].diff().median() == pd.Timedelta(step)


@pytest.mark.parametrize(
    "options",
    [["--na-values", "-9999", "?"], ["--resample", "10s"], ["--resample", "12s"]],
)
def test_options_that_bring_rows_nearer_to_training_say_nothing(
    options, trained, readings, capsys
):
    model = trained("--na-values", "-9999")
    capsys.readouterr()
    assert main(["detect", model, readings, "--no-plots", *options]) == 0
    assert "the model was trained" not in capsys.readouterr().err


def test_filling_for_a_model_that_has_seen_no_missing_readings(
    readings, folder, capsys
):
    train = ["train", readings, "--detector", "pca", "--window-size", "5"]
    assert main([*train, "--no-plots"]) == 0
    capsys.readouterr()
    detect = ["detect", str(folder / "model.skops"), readings, "--na-values", "-9999"]
    assert main([*detect, "--no-plots"]) == 1
    assert "--fill previous" in capsys.readouterr().err
    assert main([*detect, "--no-plots", "--fill", "previous"]) == 0
    assert "the model was trained" not in capsys.readouterr().err


@pytest.mark.parametrize(
    ("every", "told"),
    [
        ("10s", None),
        ("12s", None),
        ("1s", "a row every 1 s, and the training rows came every 10 s"),
        ("1min", "a row every 1 min, and the training rows came every 10 s"),
    ],
)
def test_rows_of_another_rate_are_told(every, told, trained, readings, capsys):
    model = trained("--na-values", "-9999")
    frame = pd.read_csv(readings, index_col="time")
    frame.index = pd.date_range("2024-02-01", periods=600, freq=every, name="time")
    frame.to_csv("other.csv")
    capsys.readouterr()
    assert main(["detect", model, "other.csv", "--no-plots"]) == 0
    said = capsys.readouterr().err
    assert ("the training rows came" in said) == (told is not None)
    if told:
        assert f"other.csv has {told}" in said
        assert ("--resample 10s" in said) == (every == "1s")
    if every == "1s":  # the cure is not met with another warning
        options = ["--no-plots", "--resample", "10s"]
        assert main(["detect", model, "other.csv", *options]) == 0
        assert "the training rows" not in capsys.readouterr().err


@pytest.mark.parametrize("every", ["1s", "1min", "90s", "1h", "250ms"])
def test_the_step_of_training_is_typed(every, folder, rng, capsys):
    frame = pd.DataFrame(rng.normal(size=(600, 2)), columns=["a", "b"])
    for name, step in (("then", every), ("now", pd.Timedelta(every) / 10)):
        frame.index = pd.date_range("2024-01-01", periods=600, freq=step, name="time")
        frame.to_csv(f"{name}.csv")
    train = ["train", "then.csv", "--detector", "autoregression", "--window-size", "5"]
    assert main([*train, "--no-plots"]) == 0
    capsys.readouterr()
    detect = ["detect", str(folder / "model.skops"), "now.csv", "--no-plots"]
    assert main(detect) == 0
    assert f"Prepare them with --resample {every}." in capsys.readouterr().err
    assert main([*detect, "--resample", every]) == 0
    assert "the training rows" not in capsys.readouterr().err


def test_a_machine_with_one_row_has_no_step():
    times = pd.date_range("2024-01-01", periods=4, freq="1min")
    frame = pd.DataFrame({"machine": ["a", "b", "b", "b"], "x": 0.0}, index=times)
    assert row_step(frame, "machine") == pd.Timedelta("1min")
    assert row_step(frame[:1], "machine") is None


def test_the_step_of_training_is_kept(trained, on_a_grid, folder, capsys):
    assert tsanomaly.describe(on_a_grid)["row_step"] == 60.0
    capsys.readouterr()
    assert main(["info", on_a_grid]) == 0
    assert "a row every 1 min" in capsys.readouterr().out
    assert tsanomaly.describe(trained())["row_step"] == 10.0
    tsanomaly.save(tsanomaly.load(on_a_grid), "own.skops")
    assert tsanomaly.describe("own.skops")["row_step"] is None


def test_the_same_options_again_say_nothing(on_a_grid, readings, capsys):
    capsys.readouterr()
    options = ["--resample", "1min", "--na-values", "-9999", "--max-gap", "auto"]
    assert main(["detect", on_a_grid, readings, "--no-plots", *options]) == 0
    said = capsys.readouterr()
    assert "training" not in said.out.split("above")[0]
    assert "the model was trained" not in said.err


def test_a_limit_goes_with_its_way_of_filling(trained, readings, folder, capsys):
    """That of training does not hold for another one, and has one warning."""
    model = trained("--na-values", "-9999", "--fill", "previous", "--fill-limit", "5")
    capsys.readouterr()
    for fill, n_warnings in (("previous", 1), ("interpolate", 1)):
        assert main(["detect", model, readings, "--no-plots", "--fill", fill]) == 0
        said = capsys.readouterr().err
        assert said.count("the model was trained") == n_warnings
        named = "--fill-limit: " if fill == "previous" else "--fill interpolate: "
        assert named in said


def test_a_limit_alone_goes_with_the_filling_of_training(
    trained, readings, folder, capsys
):
    filling = ["--na-values", "-9999", "--fill", "interpolate", "--fill-limit"]
    model = trained(*filling, "3")
    tables = []
    for options in (["--fill-limit", "7"], [*filling, "7"]):
        capsys.readouterr()
        assert main(["detect", model, readings, "--no-plots", *options]) == 0
        said = capsys.readouterr().err
        assert said.count("the model was trained") == 1
        assert "--fill-limit 7: the model was trained with --fill-limit 3" in said
        tables.append(pd.read_csv(folder / "predictions.csv"))
    pd.testing.assert_frame_equal(*tables)


@pytest.mark.parametrize("kept", [True, False])
def test_a_limit_without_any_filling(kept, on_a_grid, readings, capsys):
    model = on_a_grid
    if not kept:
        tsanomaly.save(tsanomaly.load(on_a_grid), "own.skops")
        model = "own.skops"
    capsys.readouterr()
    assert main(["detect", model, readings, "--no-plots", "--fill-limit", "7"]) == 1
    said = capsys.readouterr().err
    assert "--fill-limit goes with --fill previous or interpolate" in said
    assert "the model was trained" not in said


def test_models_without_preparation_are_silent(trained, readings, capsys):
    model = trained()
    capsys.readouterr()
    assert main(["detect", model, readings, "--no-plots"]) == 0
    said = capsys.readouterr()
    assert "in training" not in said.out
    assert tsanomaly.describe(model)["preparation"] == {}


def test_models_of_python_know_of_no_preparation(on_a_grid, readings, folder, capsys):
    tsanomaly.save(tsanomaly.load(on_a_grid), "own.skops")
    assert tsanomaly.describe("own.skops")["preparation"] is None
    capsys.readouterr()
    grid = ["--resample", "5min", "--no-plots"]
    assert main(["detect", "own.skops", readings, *grid]) == 0
    assert "the model was trained" not in capsys.readouterr().err


def test_info_shows_it(on_a_grid, capsys):
    capsys.readouterr()
    assert main(["info", on_a_grid]) == 0
    line = "readings prepared in training: --resample 1min --na-values -9999"
    assert line in capsys.readouterr().out.splitlines()
    assert main(["info", on_a_grid, "--json"]) == 0
    kept = json.loads(capsys.readouterr().out)["preparation"]
    assert kept == {"resample": "1min", "na_values": ["-9999"]}


def test_tune_keeps_it(readings, folder, short_search, capsys):
    tune = ["tune", readings, "--detector", "pca", "--minutes", "0.01", "--label"]
    assert main([*tune, "none", "--fill", "previous", "--max-gap", "none"]) == 0
    kept = tsanomaly.describe(folder / "model.skops")["preparation"]
    assert kept == {"fill": "previous", "max_gap": None}


def test_one_number_of_training_rows(readings, folder, capsys):
    """Empty rows do not count, rows that lack a reading do."""
    frame = pd.read_csv(readings, index_col="time").drop(columns="label")
    frame.iloc[100:120] = np.nan
    frame.iloc[200:210, 0] = np.nan
    frame.iloc[220:230, 1] = np.nan
    frame.to_csv("holes.csv")
    train = ["train", "holes.csv", "--detector", "autoregression", "--no-plots"]
    assert main(train) == 0
    said = capsys.readouterr().out
    assert "the first 464 for training" in said
    assert "trained on 464 rows" in said
    assert main(["info", str(folder / "model.skops")]) == 0
    assert "training rows: 464" in capsys.readouterr().out.splitlines()


def test_a_fleet_is_prepared_as_in_training(readings, folder, capsys):
    frame = pd.read_csv(readings).drop(columns="label")
    fleet = pd.concat([frame.assign(machine=name) for name in ("m1", "m2")])
    fleet.to_csv("fleet.csv", index=False)
    train = ["train", "fleet.csv", "--detector", "pca", "--by", "machine", "--resample"]
    assert main([*train, "1min", "--no-plots"]) == 0
    capsys.readouterr()
    assert main(["detect", str(folder / "model.skops"), "fleet.csv", "--no-plots"]) == 0
    assert "as in training: --resample 1min" in capsys.readouterr().out
    assert len(pd.read_csv(folder / "predictions.csv")) == 2 * 100


def test_watch_says_what_it_does_not_do(on_a_grid, readings, capsys):
    capsys.readouterr()
    assert main(["watch", on_a_grid, "--from", readings]) == 0
    said = capsys.readouterr().err
    assert "trained with --resample 1min, and watch takes readings as they" in said
    assert "Send a row of all sensors every 1min" in said


def test_words_for_missing_readings_hold_in_watch(trained, readings, folder, capsys):
    """They are no faults, and as if there were nothing."""
    model = trained("--na-values", "-9999", "Bad")
    text = (folder.parent / readings).read_text()
    assert text.count(",-9999.0,") == 3
    found = []
    for word in ("Bad", "-9999", "-9999.0", ""):
        (folder.parent / "live.csv").write_text(text.replace("-9999.0", word))
        capsys.readouterr()
        assert main(["watch", model, "--from", "live.csv", "--trigger", "0.1"]) == 0
        said = capsys.readouterr()
        assert "The model was trained with" not in said.err
        assert "600 readings" in said.err
        assert "malformed" not in said.err
        events = map(json.loads, said.out.splitlines())
        found.append([{**event, "at": None} for event in events])
    assert found[0] == found[1] == found[2] == found[3]


def test_watch_names_its_own_option(trained, readings, capsys):
    model = trained("--max-gap", "1h")
    for options, n_warnings in (([], 1), (["--max-gap", "1h"], 0)):
        capsys.readouterr()
        assert main(["watch", model, "--from", readings, *options]) == 0
        assert capsys.readouterr().err.count("--max-gap 1h.") == n_warnings
