# SPDX-License-Identifier: MIT
"""Metrics of alarms in `evaluate` and `report`: those of the alarms of `detect`."""

import json

import numpy as np
import pandas as pd
import pytest

from tests.cli.live import RULES
from tsanomaly._cli import main
from tsanomaly._cli._numbers import measure


def run(capsys, *command):
    capsys.readouterr()
    assert main([*command, "--no-plots", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def judge_by_hand(alarms, readings):
    """Count alarms, false ones, and events with an alarm."""
    is_event = readings["anomaly"] == 1
    numbers = (is_event & ~is_event.shift(fill_value=False)).cumsum()[is_event]
    labelled = pd.Series(numbers.to_numpy(), readings["timestamp"][is_event])
    hits = [
        set(labelled[alarm.start : alarm.end])
        for alarm in alarms.itertuples(index=False)
    ]
    return len(hits), sum(not hit for hit in hits), len(set().union(*hits))


@pytest.fixture
def expected(eager_model, plant, folder, capsys):
    """Alarms, false alarms and events found, by options of the alarms."""

    def expected(*options, start=0):
        run(capsys, "detect", eager_model, plant, *options)
        alarms = pd.read_csv(folder / "alarms.csv", parse_dates=["start", "end"])
        readings = pd.read_csv(plant, parse_dates=["timestamp"])[start:]
        alarms = alarms[alarms["end"] >= readings["timestamp"].iloc[0]]
        return judge_by_hand(alarms, readings)

    return expected


@pytest.mark.parametrize("rules", [[], RULES])
@pytest.mark.parametrize("share", [0, 0.5])
def test_events_are_judged_by_alarms(
    share, rules, expected, eager_model, plant, capsys
):
    n_alarms, n_false, n_found = expected(*rules, start=int(600 * share))
    options = ["--train-fraction", str(share), *rules]
    found = run(capsys, "evaluate", eager_model, plant, *options)
    assert found["alarms"] == n_alarms > 0
    assert found["false_alarms"] == n_false
    assert found["events_found"] == n_found
    assert found["false_alarms_per_day"] == pytest.approx(
        n_false * 1440 / found["rows"]
    )
    precision, recall = (found[f"event_{kind}"] for kind in ("precision", "recall"))
    assert precision == pytest.approx(n_found / (n_found + n_false))
    assert recall == pytest.approx(n_found / found["events"])
    # Rows are still judged one by one.
    assert found["flagged_rows"] == found["true_positives"] + found["false_positives"]
    assert found["precision"] == pytest.approx(
        found["true_positives"] / found["flagged_rows"]
    )


def test_the_report_judges_the_alarms_that_it_lists(
    expected, eager_model, plant, folder, capsys
):
    n_alarms, n_false, _ = expected(*RULES)
    assert n_alarms > n_false > 2
    assert run(capsys, "report", eager_model, plant, *RULES)["alarms"] == n_alarms
    page = (folder / "report.html").read_text()
    for name, number in (("alarms", n_alarms), ("false alarms", n_false)):
        assert f'<td class="text">{name}</td><td class="">{number}</td>' in page


def test_an_event_is_found_when_its_alarm_is_raised():
    """Not in the first of the rows that add up to the alarm."""
    times = pd.date_range("2024-01-01", periods=12, freq="min")
    frame = pd.DataFrame({"a": np.arange(12.0)}, index=times)
    labels = np.zeros(12, dtype=int)
    labels[3:8] = 1
    errors = np.where(labels, 2.0, 1.0)
    alarms = pd.DataFrame({"start": [3], "raised": [5], "end": [9]})
    judged = np.ones(12, dtype=bool)
    found = measure(frame, labels, errors, errors > 1.5, alarms, judged)
    assert found["median_delay_seconds"] == 120
    assert (found["alarms"], found["false_alarms"]) == (1, 0)


def test_a_break_separates_alarms():
    times = pd.date_range("2024-01-01", periods=12, freq="min")
    frame = pd.DataFrame({"a": np.arange(12.0)}, index=times)
    frame.iloc[6] = np.nan
    labels = np.zeros(12, dtype=int)
    labels[[1, 2, 3, 4, 5, 7]] = 1
    errors = np.where(labels, 2.0, 1.0)
    errors[6] = np.nan
    alarms = pd.DataFrame({"start": [4, 7], "raised": [4, 7], "end": [5, 8]})
    found = measure(frame, labels, errors, errors > 1.5, alarms, np.isfinite(errors))
    assert (found["rows"], found["alarms"], found["false_alarms"]) == (11, 2, 0)
