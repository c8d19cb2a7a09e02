# SPDX-License-Identifier: MIT
"""What is said of rows that no longer look like the training rows."""

import numpy as np
import pandas as pd
import pytest

from tsanomaly._cli import main

DRIFT = "no longer look like the training rows"
AGAIN = "Unless this is a fault, train again on recent rows."


@pytest.fixture
def waves(rng):
    times = pd.date_range("2024-01-01", periods=1000, freq="1min", name="time")
    values = 60 + 10 * np.sin(np.arange(1000)[:, None] / [20, 31, 43])
    values += rng.normal(size=values.shape)
    return pd.DataFrame(values, times, ["temperature", "level", "flow"])


@pytest.fixture
def detect(waves, folder, capsys):
    """A function that trains on most rows, and returns what is said of others."""

    def detect(change, *options):
        train = ["train", "old.csv", "--detector", "autoregression", "--no-plots"]
        waves[:700].to_csv("old.csv")
        change(waves[700:].copy()).to_csv("new.csv")
        assert main([*train, *options]) == 0
        capsys.readouterr()
        model = str(folder / "model.skops")
        assert main(["detect", model, "new.csv", "--no-plots"]) == 0
        return capsys.readouterr().out

    return detect


def in_fahrenheit(frame):
    frame["temperature"] = 1.8 * frame["temperature"] + 32
    return frame


def in_other_units(frame):
    frame.iloc[::50, 1] = np.nan
    return in_fahrenheit(frame).assign(level=frame["level"] / 1000)


@pytest.mark.parametrize("scaler", ["standard", "minmax"])
def test_a_channel_in_another_unit(scaler, detect):
    said = detect(in_fahrenheit, "--scaler", scaler)
    assert DRIFT in said
    assert (
        "temperature is far from its training readings in most of these rows: check "
        "its unit, scale and sensor before you train again."
    ) in said
    assert AGAIN not in said
    said = detect(in_other_units, "--scaler", scaler)
    assert "temperature, level are far from their training readings in most of" in said
    assert "counter" not in said


@pytest.mark.parametrize("start", [100, 200])
def test_a_unit_that_changes_within_the_file(start, detect):
    def change(frame):
        frame.iloc[start:, 0] *= 1000
        frame.iloc[10:20] = np.nan  # a break, whose rows are not judged
        frame.iloc[-20:] = np.nan
        return frame

    said = detect(change)
    assert DRIFT in said
    assert "temperature is far from its training readings in most of" in said
    assert AGAIN not in said


def test_a_level_that_moved_for_some_rows(detect):
    def move(frame):
        frame.iloc[:200, 0] += 100
        frame.iloc[200:] = 60 + 3 * (frame.iloc[200:] - 60)
        return frame

    said = detect(move)
    assert DRIFT in said
    assert AGAIN in said
    assert "far from" not in said


COUNTER = "never decreases, as a counter does: leave it out, or replace it by its"


def test_a_counter_that_went_on(detect, waves):
    waves["hours"] = np.arange(1000) // 10
    waves["level"] += np.where(np.arange(1000) < 700, 0, 500)
    said = detect(lambda frame: frame.assign(hours=frame["hours"] + 1000))
    assert DRIFT in said
    assert "level is far from its training readings" in said
    assert f"hours {COUNTER} differences, and train again." in said
    assert AGAIN not in said
    said = detect(lambda frame: frame.assign(level=frame["level"] - 500, hours=1e4))
    assert "hours is far from its training readings" in said  # a frozen counter
    assert "counter" not in said


@pytest.mark.parametrize("scaler", ["robust", "none"])
def test_a_scaler_that_does_not_know_the_range(scaler, detect):
    assert AGAIN in detect(in_fahrenheit, "--scaler", scaler)


def test_the_report_names_the_channel(detect, folder):
    detect(in_fahrenheit)
    model = str(folder / "model.skops")
    assert main(["report", model, "new.csv", "--no-plots"]) == 0
    page = (folder / "report.html").read_text()
    assert "temperature is far from its training readings" in page
    assert AGAIN not in page


def test_the_machine_whose_channel_it_is(waves, folder, capsys):
    fleet = [waves.assign(pump="a"), waves.assign(pump="b")]
    pd.concat([part[:700] for part in fleet]).to_csv("old.csv")
    fleet[1] = in_fahrenheit(fleet[1])
    pd.concat([part[700:] for part in fleet]).to_csv("new.csv")
    train = ["train", "old.csv", "--detector", "autoregression", "--by", "pump"]
    assert main([*train, "--no-plots"]) == 0
    capsys.readouterr()
    model = str(folder / "model.skops")
    assert main(["detect", model, "new.csv", "--no-plots"]) == 0
    said = capsys.readouterr().out
    assert f"the last rows of b {DRIFT}" in said
    assert "temperature is far from its training readings" in said
    assert "the last rows of a" not in said
