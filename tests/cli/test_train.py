# SPDX-License-Identifier: MIT
"""What is said of rows that do not suit the training."""

import json
import re

import numpy as np
import pandas as pd
import pytest

import tsanomaly
from tsanomaly._cli import main
from tsanomaly._cli._forecast import Later, tell_failed_forecast

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


def test_without_later_rows_no_forecast_fails(waves, say):
    assert not FAILS.findall(say(moved(waves), "--train-fraction", "1"))


@pytest.mark.parametrize("method", ["sigma", "mad"])
def test_a_threshold_without_a_forecast_fails_if_most_rows_are_in_alarm(
    method, waves, say
):
    options = ["--threshold-method", method, "--k", "4"]
    shown = say(moved(waves), *options)
    told = "the threshold fails in the 200 rows after the training rows: an alarm is "
    assert f"{told}active in 7" in shown
    assert "--train-fraction, or on recent rows" in shown
    assert "the threshold fails" not in say(waves, *options)


def test_the_result_has_the_failed_forecast(waves, say, folder):
    for frame in (waves, moved(waves)):
        shown = say(frame)
        failed = json.loads((folder / "training.json").read_text())["failed_forecast"]
        assert failed in shown if FAILS.findall(shown) else failed is None


def test_machines_whose_forecast_fails_are_named(waves, say):
    fleet = [waves.assign(pump=name) for name in "abc"]
    assert not FAILS.findall(say(pd.concat(fleet), "--by", "pump"))
    fleet.append(moved(waves).assign(pump="d"))
    [told] = FAILS.findall(say(pd.concat(fleet), "--by", "pump"))
    assert re.match(
        "rows after the training rows of 1 machine: d .200 rows: an alarm is active in "
        "7[0-9]% of them.[.] Unless",
        told,
    )
    fleet = [moved(waves).assign(pump=name) for name in "abcde"]
    [told] = FAILS.findall(say(pd.concat(fleet), "--by", "pump"))
    named = re.findall("([a-e]) .200 rows:", told)
    assert " of 5 machines: " in told
    assert named == ["a", "b", "c"]
    assert ") and 2 more. Unless" in told


def test_a_fleet_whose_machines_fail_only_together():
    """Too few alarms to judge one machine can be many of all."""
    parts = {name: Later(40, 3, 3, 0.1) for name in range(10)}
    told = tell_failed_forecast(parts, False)
    assert told.startswith("the forecast fails in the 400 rows after the training rows")
    assert ": 30 alarms, where 1 or fewer were expected." in told
    assert tell_failed_forecast({0: parts[0]}, False) is None


def test_the_plan_counts_the_training_rows_of_each_machine(waves, say):
    assert "; the first 800 for training (--train-fraction)\n" in say(waves)
    assert "; all for training\n" in say(waves, "--train-fraction", "1")
    fleet = pd.concat([waves.assign(pump=name) for name in "ab"])
    told = "; the first 800 of each machine for training (--train-fraction)\n"
    assert told in say(fleet, "--by", "pump")
    told = "; the first 400 to 800 of each machine for training (--train-fraction)\n"
    assert told in say(fleet[:1500], "--by", "pump")


def test_labelled_anomalies_among_the_training_rows(waves, say):
    shown = say(labelled(waves, 790, 810))
    assert (
        "10 rows of those for training are labelled anomalous, and will be learned as "
        "normal: empty their sensor cells and keep the label, or train on fewer rows "
        "with --train-fraction\n"
    ) in shown
    assert "learned as normal" not in say(
        labelled(waves, 790, 810), "--train-fraction", "0.79"
    )
    shown = say(labelled(waves, 790, 810), "--threshold-method", "f_score")
    assert "learned as normal" not in shown
    emptied = labelled(waves, 700, 720)
    emptied.iloc[700:720, :2] = np.nan
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


def test_constant_channels_that_no_option_leaves_out(waves, say):
    waves["-x"] = 3
    assert "leave it out with --drop=-x\n" in say(waves)
    assert "constant" not in say(waves, "--drop=-x")
    waves["y"] = 4
    assert "2 channels are constant" in (shown := say(waves))
    assert "raise a lasting alarm: leave them out\n" in shown


def test_channels_that_are_all_constant(waves, say):
    shown = say(0 * waves)
    assert "all 2 channels are constant in the rows for training, so even a" in shown
    assert "alarm: train on rows in which they change\n" in shown
    shown = say(0 * waves[["flow"]])
    assert "1 channel is constant" in shown
    assert "alarm: train on rows in which it changes\n" in shown
    assert "--drop" not in shown


def test_a_channel_that_is_constant_on_one_machine(waves, say):
    fleet = pd.concat([waves.assign(pump="a"), waves.assign(pump="b", flow=3)])
    shown = say(fleet, "--by", "pump")
    assert (
        "flow of pump b is constant in the rows for training, so even a small change "
        "may raise a lasting alarm: train on rows in which it changes\n"
    ) in shown
    assert "--drop" not in shown
    fleet["speed"] = np.where(fleet["pump"] == "a", 1, 2)
    shown = say(fleet, "--by", "pump")
    assert "1 channel is constant in the rows for training, so" in shown
    assert "leave it out with --drop speed\n" in shown
    assert "flow of pump b is constant" in shown


def test_channels_that_are_constant_on_many_machines(waves, say):
    fleet = [waves.assign(pump=name, flow=3, level=4) for name in "abc"]
    shown = say(pd.concat([*fleet, waves.assign(pump="d")]), "--by", "pump")
    assert (
        "flow of pump a, flow of pump b, flow of pump c, level of pump a, level of "
        "pump b and 1 other are constant"
    ) in shown


@pytest.mark.parametrize("detector", ["autoregression", "lstm"])
def test_training_rows_that_are_too_short_between_gaps(detector, waves, folder, capsys):
    waves.loc[np.arange(N_ROWS) % 50 == 0] = np.nan
    waves.to_csv("gaps.csv")
    assert (
        main(["train", "gaps.csv", "--detector", detector, "--window-size", "60"]) == 1
    )
    said = capsys.readouterr().err
    assert said.startswith("tsanomaly train: error: The score of a row depends on ")
    assert said.endswith(
        " consecutive rows, and the longest stretch of training rows without a gap has "
        "49. Train on more rows, or lower --window-size.\n"
    )


def test_linear_maps_with_a_baseline_longer_than_the_series(waves, folder, capsys):
    """The baseline needs no full window; the windows do."""
    waves.to_csv("readings.csv")
    options = ["--detector", "linear", "--no-plots", "--window-size"]
    assert main(["train", "readings.csv", *options, "40,2001"]) == 0
    model = tsanomaly.load(folder / "model.skops")
    assert model["errors"].window_size == (40, 2001)
    fault = waves.copy()
    fault.iloc[600:610, 1] += 3
    fault.to_csv("new.csv")
    assert main(["detect", str(folder / "model.skops"), "new.csv", "--no-plots"]) == 0
    [alarm] = pd.read_csv(folder / "alarms.csv").itertuples()
    assert alarm.channels.startswith("level")
    assert main(["train", "readings.csv", *options, "900,2001"]) == 1
    assert "at least 900 are needed" in capsys.readouterr().err


@pytest.mark.parametrize(("n_rows", "is_told"), [(30, True), (200, False)])
def test_a_threshold_far_beyond_the_training_rows(
    n_rows, is_told, waves, folder, capsys
):
    """The default budget of one in 300 rows is no promise after 24 rows."""
    waves[:n_rows].to_csv("short.csv")
    assert main(["train", "short.csv", *TRAIN]) == 0
    told = "a level that is exceeded once in 300 rows is an extrapolation"
    assert (told in capsys.readouterr().err) is is_told
