# SPDX-License-Identifier: MIT
"""What is said of rows that do not suit the training."""

import re

import numpy as np
import pandas as pd
import pytest

import tsanomaly
from tsanomaly._cli import main

N_ROWS = 1000
TRAIN = ["--detector", "autoregression", "--window-size", "5", "--no-plots"]
FAILS = re.compile("the forecast fails in the (.*)")


@pytest.fixture
def waves(rng):
    times = pd.date_range("2024-01-01", periods=N_ROWS, freq="1min", name="time")
    values = np.sin(np.arange(N_ROWS)[:, None] / [20, 31])
    values += 0.1 * rng.normal(size=values.shape)
    return pd.DataFrame(values, times, ["flow", "level"])


@pytest.fixture
def say(folder, capsys):
    """A function that trains on a frame, and returns what is said."""

    def say(frame, *options):
        frame.to_csv("readings.csv")
        capsys.readouterr()
        assert main(["train", "readings.csv", *TRAIN, *options]) == 0
        return capsys.readouterr().out

    return say


def moved(waves):
    """Readings at another level after the training rows."""
    waves = waves.copy()
    waves.iloc[850:] += 5
    return waves


def labelled(waves, start, end):
    is_anomaly = np.zeros(len(waves), dtype=int)
    is_anomaly[start:end] = 1
    return waves.assign(anomaly=is_anomaly)


@pytest.mark.parametrize("options", [[], ["--quantile", "0.99"]])
def test_a_forecast_that_fails_as_the_level_moves(options, waves, say):
    [told] = FAILS.findall(say(moved(waves), *options))
    assert told.startswith("200 rows after the training rows: an alarm is active in 7")
    assert "--train-fraction" in told
    assert not FAILS.findall(say(waves, *options))


def test_a_forecast_that_fails_by_many_alarms(waves, say):
    waves = pd.concat([waves, waves.set_axis(waves.index + pd.Timedelta("1000min"))])
    waves.iloc[850:1850:100] += 5
    options = ["--false-alarms", "1", "--per", "1000", "--train-fraction", "0.4"]
    [told] = FAILS.findall(say(waves, *options))
    assert re.search("rows: (8|9|10) alarms, where 1 or fewer were expected", told)
    assert not FAILS.findall(say(waves.iloc[:1000], *options))


def test_one_fault_is_no_failed_forecast(waves, say):
    waves.iloc[850:855] += 5
    shown = say(waves)
    assert " 0 of 200 others" not in shown
    assert not FAILS.findall(shown)


def test_labelled_anomalies_are_no_failed_forecast(waves, say):
    assert not FAILS.findall(say(labelled(moved(waves), 850, N_ROWS)))
    [told] = FAILS.findall(say(labelled(moved(waves), 820, 825)))
    assert told.startswith("195 rows after the training rows that are not labelled")


def test_without_later_rows_or_a_forecast_there_is_none_to_fail(waves, say):
    assert not FAILS.findall(say(moved(waves), "--train-fraction", "1"))
    assert not FAILS.findall(say(moved(waves), "--k", "3"))


def test_the_forecast_of_a_fleet_is_that_of_all_its_machines(waves, say):
    fleet = pd.concat([waves.assign(pump="a"), moved(waves).assign(pump="b")])
    assert not FAILS.findall(say(fleet, "--by", "pump"))
    fleet = pd.concat([moved(waves).assign(pump=name) for name in "ab"])
    [told] = FAILS.findall(say(fleet, "--by", "pump"))
    assert told.startswith("400 rows")


def test_labelled_anomalies_among_the_training_rows(waves, say):
    shown = say(labelled(waves, 790, 810))
    assert (
        "10 rows of those for training are labelled anomalous, and will be learned as "
        "normal: leave their cells empty in the file, or train on fewer rows with "
        "--train-fraction\n"
    ) in shown
    assert "learned as normal" not in say(
        labelled(waves, 790, 810), "--train-fraction", "0.79"
    )
    shown = say(labelled(waves, 790, 810), "--threshold-method", "f_score")
    assert "learned as normal" not in shown
    emptied = labelled(waves, 790, 810)
    emptied.iloc[790:810, :2] = np.nan
    assert "learned as normal" not in say(emptied)


def test_a_network_with_a_baseline_longer_than_the_training_rows(waves, say, folder):
    tiny = ["--detector", "lstm", "--units", "2", "--epochs", "1"]
    say(waves, *tiny, "--window-size", "4,8,1001")
    assert tsanomaly.load(folder / "model.skops")["errors"].window_size == (4, 8, 1001)


def test_constant_channels(waves, say):
    assert "constant" not in say(waves)
    waves["valve in"] = np.where(np.arange(N_ROWS) < 900, 4.0, np.nan)
    shown = say(waves)
    assert "1 channel is constant in the rows for training, so even a small" in shown
    assert "leave it out with --drop 'valve in'\n" in shown
    assert "constant" not in say(waves, "--drop", "valve in")
    waves["speed"] = 0
    assert "leave them out with --drop 'valve in' speed\n" in say(waves)
    waves.iloc[700, 3] = 1
    shown = say(waves, "--train-fraction", "0.6")
    assert "2 channels are constant" in shown


def test_a_channel_that_is_constant_on_one_machine(waves, say):
    fleet = pd.concat([waves.assign(pump="a"), waves.assign(pump="b", flow=3)])
    shown = say(fleet, "--by", "pump")
    assert "1 channel is constant in the rows for training of a machine, so" in shown
    assert "leave it out with --drop flow\n" in shown
