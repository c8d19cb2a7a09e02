# SPDX-License-Identifier: MIT
"""Sensor health in the commands."""

import json

import pandas as pd
import pytest

from tests.cli.test_commands import Page
from tsanomaly import sensor_health
from tsanomaly._cli import main
from tsanomaly.datasets import make_sensor_data

NAME = "=flow\x1b[2J\n<b>"


@pytest.fixture
def readings(folder):
    """Sensors of which eight are stuck for 50 rows, one of them under a bad name."""
    frame = make_sensor_data(1000, 9, contamination=0, random_state=0).frame
    for channel in range(8):
        start = 80 + 60 * channel
        frame.iloc[start : start + 50, channel] = frame.iloc[start, channel]
    frame = frame.rename(columns={"sensor_1": NAME})
    frame.to_csv("readings.csv", index_label="time")
    return frame


def test_explore_lists_findings(readings, folder, capsys):
    assert main(["explore", "readings.csv", "--no-plots"]) == 0
    shown = capsys.readouterr().out
    listed = shown.split("sensor health:\n")[1].split("\n\n")[0].splitlines()
    findings = sensor_health(readings)
    assert len(findings) == len(listed) == 8
    assert all(line.startswith("  2024-01-01 ") for line in listed)
    assert r"=flow\x1b[2J <b> stays at" in listed[0]
    summary = json.loads((folder / "summary.json").read_text())
    written = pd.read_csv(folder / "sensor_health.csv", parse_dates=["start", "end"])
    for table in (pd.DataFrame(summary["sensor_health"]), written):
        assert table["finding"].tolist() == ["flatline"] * 8
        assert table["n_rows"].tolist() == findings["n_rows"].tolist()
    assert (written["start"] == findings["start"]).all()
    name = NAME.replace("\n", " ")  # as headers are read
    assert written["channel"][0] == f"'{name}"  # which a spreadsheet does not run
    assert summary["sensor_health"][0]["channel"] == name


def test_advice_is_for_commands(folder, capsys):
    frame = make_sensor_data(600, contamination=0, random_state=0).frame
    apart = frame.set_axis(frame.index + pd.Timedelta("9D"))
    slower = frame.set_axis(pd.date_range("2025-01-01", periods=600, freq="7min"))
    pd.concat([frame, apart, slower]).to_csv("gaps.csv", index_label="time")
    assert main(["explore", "gaps.csv", "--no-plots"]) == 0
    shown = capsys.readouterr().out.split("sensor health:\n")[1]
    assert "A break is inserted there" in shown
    assert "--resample" in shown
    assert "tsanomaly." not in shown


def test_train_lists_the_first_of_the_training_rows(readings, folder, capsys):
    train = ["train", "readings.csv", "--detector", "pca", "--no-plots"]
    assert main([*train, "--train-fraction", "0.5"]) == 0
    shown = capsys.readouterr().out
    heading = "sensor health of the training rows:\n"
    listed = shown.split(heading)[1].split("\n\n")[0].splitlines()
    trained = json.loads((folder / "training.json").read_text())
    assert len(trained["sensor_health"]) == 7  # the last one is stuck in other rows
    assert len(listed) == 6
    assert listed[-1] == "  and 2 more, in training.json"
    assert max(row["end"] for row in trained["sensor_health"]) < str(
        readings.index[500]
    )


def test_the_report_has_a_section(readings, folder, capsys):
    train = ["train", "readings.csv", "--detector", "pca", "--no-plots"]
    assert main(train) == 0
    model = str(folder / "model.skops")
    assert main(["report", model, "readings.csv", "--no-plots"]) == 0
    text = (folder / "report.html").read_text()
    assert "<h2>Sensor health</h2>" in text
    cells = Page(text).cells["health"]
    assert cells[0] == r"=flow\x1b[2J <b>"
    assert cells[1::4] == ["flatline"] * 8
    assert cells[3] == "50"


def test_sound_sensors(folder, capsys):
    frame = make_sensor_data(1000, contamination=0, random_state=1).frame
    frame.to_csv("sound.csv", index_label="time")
    assert main(["explore", "sound.csv", "--no-plots"]) == 0
    assert "sensor health: nothing found" in capsys.readouterr().out
    assert pd.read_csv(folder / "sensor_health.csv").empty
    train = ["train", "sound.csv", "--detector", "pca", "--no-plots"]
    assert main(train) == 0
    assert "sensor health" not in capsys.readouterr().out
    model = str(folder / "model.skops")
    assert main(["report", model, "sound.csv", "--no-plots"]) == 0
    text = (folder / "report.html").read_text()
    assert "Nothing is found that points to a sensor" in text


def test_a_wild_reading_and_its_cure(folder, capsys):
    frame = make_sensor_data(1000, contamination=0, random_state=1).frame
    frame.iloc[400, 1] = 99_999
    frame.to_csv("wild.csv", index_label="time")
    train = ["train", "wild.csv", "--detector", "autoregression", "--no-plots"]
    for command in (train, ["explore", "wild.csv", "--no-plots"]):
        assert main(command) == 0
        shown = capsys.readouterr().out
        assert "2024-01-01 06:40: sensor_2 reads 99999, far from all other" in shown
        assert "empty its cell or pass it to --na-values" in shown
    assert main([*train, "--na-values", "99999"]) == 0
    assert "sensor_2 reads" not in capsys.readouterr().out
