# SPDX-License-Identifier: MIT
"""Several machines in one file."""

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.neighbors import LocalOutlierFactor
from sklearn.pipeline import make_pipeline

import tsanomaly
from tsanomaly import (
    FleetDetector,
    ReconstructionError,
    ReconstructionThreshold,
    WindowTransformer,
    fit_cross_fitted,
)
from tsanomaly._cli import _files, main
from tsanomaly._cli._checks import naming_options
from tsanomaly._cli._commands import _data
from tsanomaly._cli._fleets import training_rows

N_ROWS = 300


@pytest.fixture
def fleet(folder, rng):
    """Three machines, row by row, and a fourth with few rows; pump 2 has a fault."""
    times = pd.date_range("2024-01-01", periods=N_ROWS, freq="1min", name="time")
    parts = []
    for number, name in enumerate(["pump 1", "pump 2", "pump 3", "new"]):
        values = rng.normal(size=(N_ROWS, 2)) + 10 * number
        part = pd.DataFrame(values, times, ["flow", "level"]).assign(machine=name)
        parts.append(part if name != "new" else part[:50])
    parts[1].iloc[280:290, 0] += 30
    parts[2].iloc[100:160, 1] = 20.0
    frame = pd.concat(parts).sort_index(kind="stable")
    frame.to_csv("fleet.csv")
    return frame


@pytest.fixture
def trained(fleet, folder, capsys):
    """What was said in training."""
    train = ["train", "fleet.csv", "--by", "machine", "--detector", "pca"]
    assert main(train) == 0
    return capsys.readouterr()


def test_a_detector_for_each_machine(trained, folder):
    assert "950 rows of 2 channels and 4 machines" in trained.out
    assert "of each machine" in trained.out
    assert "a detector for each of 3 machines, one for all the others (new)" in (
        trained.out
    )
    assert trained.err == ""
    model = tsanomaly.load(folder / "model.skops")
    assert isinstance(model, FleetDetector)
    assert model.groups_.tolist() == ["pump 1", "pump 2", "pump 3"]
    table = pd.read_csv(folder / "predictions.csv")
    sizes = table.groupby(["machine", "part"]).size()
    assert sizes["pump 1"].to_dict() == {"test": 60, "train": 240}
    assert sizes["new"].to_dict() == {"test": 10, "train": 40}


@pytest.mark.parametrize("command", ["detect", "explain"])
def test_alarms_name_the_machine(command, trained, folder, capsys):
    model = str(folder / "model.skops")
    assert main([command, model, "fleet.csv"]) == 0
    shown = capsys.readouterr().out
    alarms = pd.read_csv(folder / "alarms.csv")
    worst = alarms.loc[alarms["severity"].idxmax()]
    assert worst["machine"] == "pump 2"
    assert worst["start"] <= "2024-01-01 04:40:00" <= worst["end"]
    assert "flow" in worst["channels"]
    assert worst["sentence"].startswith("pump 2: ")
    assert "pump 2: " in shown


@pytest.mark.parametrize(
    ("command", "name"), [("detect", "anomalies.png"), ("explain", "contributions.png")]
)
def test_plots_name_their_machine(
    command, name, trained, fleet, folder, capsys, monkeypatch
):
    titles = []
    monkeypatch.setattr(
        _files, "png", lambda figure: titles.append(figure.get_suptitle()) or b""
    )
    model = str(folder / "model.skops")
    assert main([command, model, "fleet.csv"]) == 0
    told = f"{name} shows machine pump 2, which has the most severe alarm\n"
    assert told in capsys.readouterr().out
    assert titles == ["machine pump 2"]
    assert main([command, model, "fleet.csv", "--no-plots"]) == 0
    assert "shows machine" not in capsys.readouterr().out


@pytest.mark.parametrize("command", ["detect", "explain"])
def test_missing_readings_do_not_count(command, fleet, folder, capsys):
    train = ["train", "fleet.csv", "--by", "machine", "--detector", "linear"]
    assert main([*train, "--window-size", "8"]) == 0
    fleet.iloc[::7, 0] = np.nan
    fleet.to_csv("holes.csv")
    capsys.readouterr()
    assert main([command, str(folder / "model.skops"), "holes.csv"]) == 0
    assert "pump 2" in capsys.readouterr().out


def test_scores_are_those_of_the_fleet(trained, fleet, folder):
    model = tsanomaly.load(folder / "model.skops")
    table = pd.read_csv(folder / "predictions.csv").sort_values(
        ["time", "machine"], kind="stable"
    )
    frame = fleet.sort_values(["time", "machine"], kind="stable")
    np.testing.assert_allclose(table["score"], -model.score_samples(frame))


@pytest.mark.parametrize("command", ["evaluate", "report"])
def test_commands_about_one_machine(command, trained, fleet, folder, capsys):
    model = str(folder / "model.skops")
    assert main([command, model, "fleet.csv"]) == 1
    error = capsys.readouterr().err
    assert "one detector per machine (column 'machine')" in error
    assert "train a model on it with --drop machine instead of --by machine," in error
    assert "pass both here with --drop machine. " in error
    assert "detect or explain" in error
    # What it says works.
    one = fleet[fleet["machine"] == "pump 2"].assign(anomaly=0)
    one.iloc[280:290, -1] = 1
    one.to_csv("one.csv")
    options = ["--drop", "machine", "--no-plots"]
    assert main(["train", "one.csv", "--detector", "pca", *options]) == 0
    assert main([command, model, "one.csv", *options]) == 0


def test_machines_are_explored_apart(fleet, capsys):
    assert main(["explore", "fleet.csv", "--by", "machine", "--no-plots"]) == 0
    shown = capsys.readouterr().out
    assert "950 rows of 2 channels" in shown
    assert "pump 3: 2024-01-01 01:40 to 02:39: level stays at 20" in shown


def test_machines_that_are_new(trained, fleet, folder, capsys):
    """They are named; a name that is a number may be text in another file."""
    frame = fleet.replace({"machine": {"pump 3": "pump 9"}})
    frame.to_csv("others.csv")
    assert main(["detect", str(folder / "model.skops"), "others.csv"]) == 0
    warning = capsys.readouterr().err
    assert "not trained on the machines 'pump 9', 'new'" in warning


def test_numbers_of_machines_beside_words(fleet, folder, capsys):
    numbers = {"pump 1": "1", "pump 2": "2", "pump 3": "10", "new": "1"}
    frame = fleet[fleet["machine"] != "new"].replace({"machine": numbers})
    frame.to_csv("numbers.csv")
    train = ["train", "numbers.csv", "--by", "machine", "--detector", "pca"]
    assert main([*train, "--no-plots"]) == 0
    alarms = []
    spare = frame.iloc[-1:].assign(machine="spare")
    for name, rows in {"numbers": frame, "mixed": pd.concat([frame, spare])}.items():
        rows.to_csv(f"{name}.csv")
        model = str(folder / "model.skops")
        assert main(["detect", model, f"{name}.csv", "--no-plots"]) == 0
        alarms.append(pd.read_csv(folder / "alarms.csv"))
    assert len(alarms[0])
    pd.testing.assert_frame_equal(*alarms, check_dtype=False)
    assert "'spare'" in capsys.readouterr().err


def test_a_machine_without_a_sensor(fleet, capsys):
    is_third = fleet["machine"] == "pump 3"
    fleet.assign(level=fleet["level"].mask(is_third)).to_csv("lacking.csv")
    train = ["train", "lacking.csv", "--by", "machine"]
    assert main(train) == 1
    error = capsys.readouterr().err
    assert "machine pump 3: no reading of 'level'" in error
    assert "--drop level" in error
    assert "divide" not in error


@pytest.mark.parametrize("name", ["part", "channels"])
def test_columns_of_machines_called_as_results(name, fleet, capsys):
    fleet.rename(columns={"machine": name}).to_csv("named.csv")
    assert main(["train", "named.csv", "--by", name]) == 1
    assert "Rename" in capsys.readouterr().err


def test_a_file_without_the_column_of_machines(trained, fleet, folder, capsys):
    fleet[fleet["machine"] == "pump 1"].drop(columns="machine").to_csv("one.csv")
    assert main(["detect", str(folder / "model.skops"), "one.csv"]) == 1
    error = capsys.readouterr().err
    assert "several machines (column 'machine'), and one.csv cannot be read" in error
    assert "with this column: --by machine is not among the columns 'time', " in error


@pytest.mark.parametrize("files", [["fleet.csv"], ["one.csv", "fleet.csv"]])
def test_a_model_of_one_machine_and_a_file_of_several(files, fleet, folder, capsys):
    fleet[fleet["machine"] == "pump 1"].drop(columns="machine").to_csv("one.csv")
    assert main(["train", "one.csv", "--detector", "pca", "--no-plots"]) == 0
    capsys.readouterr()
    model = str(folder / "model.skops")
    assert main(["detect", model, *files]) == 1
    assert capsys.readouterr().err.endswith(
        f"{model} was trained on one machine; fleet.csv holds rows of 4 (column "
        "'machine'). Split the file by machine, or train a fleet with --by machine.\n"
    )


def test_a_column_of_words_and_a_model_of_one_machine(fleet, folder, capsys):
    """What may name machines is not said to do so."""
    one = fleet[fleet["machine"] == "pump 1"]
    one.drop(columns="machine").to_csv("one.csv")
    assert main(["train", "one.csv", "--detector", "pca", "--no-plots"]) == 0
    one.assign(unit_name=["x", "y"] * 150).drop(columns="machine").to_csv("words.csv")
    capsys.readouterr()
    assert main(["detect", str(folder / "model.skops"), "words.csv"]) == 1
    error = capsys.readouterr().err
    assert "if it names machines, pass train --by unit_name." in error
    assert "was trained on" not in error


def test_rows_to_train_on():
    frame = pd.DataFrame({"id": list("aababa"), "x": 1.0})
    assert training_rows(frame, 0.5).tolist() == [True] * 3 + [False] * 3
    breaks = pd.DataFrame({"x": [1, np.nan, np.nan, 1, np.nan, 1, 1]})
    assert training_rows(breaks, 0.5).tolist() == [True] * 4 + [False] * 3
    assert training_rows(frame, 0.5, "id").tolist() == [
        *(True, True, True, False, False, False)
    ]


def test_thresholds_of_fleets_are_cross_fitted(fleet):
    """Each is that of the pipeline fitted alone."""
    pipeline = make_pipeline(
        WindowTransformer(20), ReconstructionError(PCA(15)), ReconstructionThreshold()
    )
    model = fit_cross_fitted(FleetDetector(pipeline, by="machine"), fleet)
    in_sample = FleetDetector(pipeline, by="machine").fit(fleet)
    for name in ("pump 1", "pump 3"):
        rows = fleet[fleet["machine"] == name].drop(columns="machine")
        alone = fit_cross_fitted(clone(pipeline), rows)
        threshold = model.detectors_[name][-1].threshold_
        assert threshold == alone[-1].threshold_
        assert threshold > in_sample.detectors_[name][-1].threshold_
    assert model.fallback_[-1].threshold_ > 0


def test_pictures_of_each_machine(folder, rng, capsys, monkeypatch):
    """Of the first machines; names are made fit for files, and stay apart."""
    monkeypatch.setattr(_data, "_N_DRAWN_MACHINES", 4)
    names = ["M1", "m1", "../a b", "泵", "left out"]
    times = pd.date_range("2024-01-01", periods=20, freq="1min", name="time")
    parts = [
        pd.DataFrame(rng.normal(size=(20, 2)), times, ["x", "y"]).assign(machine=name)
        for name in names
    ]
    pd.concat(parts).to_csv("fleet.csv")
    assert main(["explore", "fleet.csv", "--by", "machine"]) == 0
    said = capsys.readouterr().err
    assert "Pictures show 4 of 5 machines: M1, m1, ../a b, 泵." in said
    drawn = sorted(file.name for file in folder.glob("series*.png"))
    assert drawn == sorted(
        ["series_M1.png", "series_m1_2.png", "series_.._a_b.png", "series_泵.png"]
    )
    assert len(list(folder.glob("*.png"))) == 3 * 4


def test_info_about_a_fleet(trained, folder, capsys):
    path = folder / "model.skops"
    assert main(["info", str(path)]) == 0
    shown = capsys.readouterr().out
    thresholds = [
        model[-1].threshold_ for model in tsanomaly.load(path).detectors_.values()
    ]
    assert (
        f"threshold: {min(thresholds):.6g} to {max(thresholds):.6g}, median "
        f"{np.median(thresholds):.6g} (by machine)"
    ) in shown


@pytest.mark.parametrize("command", ["train", "explore"])
def test_a_sensor_that_is_taken_for_the_column_of_machines(command, fleet, capsys):
    assert main([command, "fleet.csv", "--by", "flow", "--drop", "machine"]) == 1
    shown = capsys.readouterr()
    assert shown.err.endswith(
        "error: --by flow has 950 different values in 950 rows, most of them with "
        "decimals; it does not name machines. Pass a column such as machine_id, or "
        "leave the option out if there is one machine.\n"
    )
    assert "for training" not in shown.out


def test_many_machines_with_few_rows(fleet, folder):
    part = fleet.groupby("machine").head(200)
    small = part[part["machine"] == "pump 1"].head(180)
    small = small.assign(machine=[f"small {k // 6}" for k in range(len(small))])
    pd.concat([part, small]).to_csv("many.csv")
    train = ["train", "many.csv", "--by", "machine", "--detector", "pca", "--no-plots"]
    assert main(train) == 0
    assert main(["explore", "many.csv", "--by", "machine", "--no-plots"]) == 0


def test_machines_with_too_few_rows_for_a_window(fleet, capsys):
    part = fleet.groupby("machine").head(20)
    part.to_csv("few.csv")
    train = ["train", "few.csv", "--by", "machine", "--detector", "autoregression"]
    assert main([*train, "--no-plots"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(
        "tsanomaly train: error: The detector for machines with few rows could not be "
        "fitted. The score of a row depends on "
    )
    assert said.endswith("has 16. Train on more rows, or lower --window-size.\n")


def test_other_failures_of_a_fleet(fleet):
    """Options of the library that commands do not have are left out."""
    frame = fleet.reset_index(drop=True)
    frame.loc[frame["machine"] == "pump 2", "flow"] = np.nan
    model = FleetDetector(LocalOutlierFactor(novelty=True), "machine", min_rows=40)
    told = (
        r"^1 of 4 machines could not be fitted: machine=pump 2 \(ValueError: Input X "
        r"(.|\n)*[^.]\)\. Correct or remove their rows\.$"
    )
    with pytest.raises(ValueError, match=told), naming_options(has_window_size=True):
        model.fit(frame)
