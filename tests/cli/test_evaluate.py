# SPDX-License-Identifier: MIT
"""Metrics of alarms in `evaluate` and `report`: those of the alarms of `detect`."""

import json
import re

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
        times = ["start", "raised", "end"]
        alarms = pd.read_csv(folder / "alarms.csv", parse_dates=times)
        readings = pd.read_csv(plant, parse_dates=["timestamp"])[start:]
        alarms = alarms[alarms["raised"] >= readings["timestamp"].iloc[0]]
        return judge_by_hand(alarms, readings)

    return expected


@pytest.mark.parametrize("rules", [["--quantile", "0.8"], RULES])
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


def measured(events, alarms, n_rows=20, n_trained=0):
    """Metrics of rows one minute apart.

    Events are pairs of the first and last row. Alarms are triples of the rows in which
    they start, are raised and end.
    """
    times = pd.date_range("2024-01-01", periods=n_rows, freq="min")
    frame = pd.DataFrame({"a": np.arange(float(n_rows))}, index=times)
    labels = np.zeros(n_rows, dtype=int)
    for first, last in events:
        labels[first : last + 1] = 1
    alarms = pd.DataFrame(alarms, columns=["start", "raised", "end"], dtype=int)
    judged = np.arange(n_rows) >= n_trained
    errors = np.where(labels, 2.0, 1.0)
    return measure(frame, labels, errors, errors > 1.5, alarms, judged)


@pytest.mark.parametrize(
    ("alarm", "seconds"),
    [
        ((5, 5, 8), 0),
        ((5, 7, 9), 120),
        ((3, 6, 9), 60),
        ((7, 11, 13), 360),  # its rows above the threshold began in the event
        ((3, 12, 13), 420),
        ((3, 4, 8), None),  # on before the event
    ],
)
def test_a_delay_is_from_the_start_of_the_event_until_the_alarm_is_raised(
    alarm, seconds
):
    found = measured([(5, 8)], [alarm])
    assert (found["alarms"], found["false_alarms"]) == (1, 0)
    assert (found["events_found"], found["event_recall"]) == (1, 1)
    assert found["median_delay_seconds"] == seconds


def test_delays_of_several_events():
    # The second event has no alarm of its own, the fourth one has none at all.
    events = [(2, 4), (7, 8), (13, 16), (18, 19)]
    found = measured(events, [(3, 3, 9), (11, 11, 11), (14, 16, 16)])
    assert (found["events_found"], found["false_alarms"]) == (3, 1)
    assert found["median_delay_seconds"] == 120  # of 60 and 180
    # Raised again in an event that began with an alarm.
    assert measured([(5, 12)], [(3, 3, 6), (9, 10, 10)])["median_delay_seconds"] == 300


def test_the_share_of_normal_rows_in_alarm():
    found = measured([(5, 8)], [(3, 4, 10)], n_trained=4)
    assert found["normal_share_in_alarm"] == pytest.approx(3 / 12)
    assert measured([(5, 8)], [])["normal_share_in_alarm"] == 0
    assert measured([(0, 19)], [(3, 4, 10)])["normal_share_in_alarm"] is None


@pytest.mark.parametrize(
    "alarm",
    [
        (3, 4, 12),  # raised in training, and on in the event
        (6, 8, 9),  # raised in training rows
        (3, 10, 11),  # raised later, for the event of the training rows
    ],
)
def test_alarms_of_the_training_rows_are_left_out(alarm):
    found = measured([(3, 4), (12, 13)], [alarm, (13, 14, 15)], n_trained=10)
    assert (found["alarms"], found["false_alarms"]) == (1, 0)
    assert (found["events"], found["events_found"]) == (1, 1)
    assert found["event_precision"] == 1
    assert found["median_delay_seconds"] == 120


def test_an_alarm_raised_after_the_training_rows_counts():
    false = measured([(12, 13)], [(7, 10, 11)], n_trained=10)
    assert (false["alarms"], false["false_alarms"]) == (1, 1)
    right = measured([(8, 13)], [(7, 11, 12)], n_trained=10)
    assert (right["alarms"], right["false_alarms"]) == (1, 0)
    assert right["median_delay_seconds"] == 180  # since the event started
    both = measured([(3, 4), (12, 13)], [(4, 11, 12)], n_trained=10)
    assert (both["alarms"], both["false_alarms"]) == (1, 0)
    assert both["events_found"] == 1


@pytest.mark.parametrize("command", ["evaluate", "report"])
def test_an_alarm_that_does_not_end_is_warned_of(
    command, eager_model, plant, folder, capsys
):
    capsys.readouterr()
    options = [command, eager_model, plant, "--no-plots"]
    assert main([*options, *RULES]) == 0
    assert "normal rows" not in capsys.readouterr().err
    assert main(options) == 0
    shown = capsys.readouterr().err
    assert re.search(r"An alarm is active in \d+% of the normal rows", shown)
    if command == "report":
        page = (folder / "report.html").read_text()
        assert "of the normal rows" in page
        assert "share of normal rows in alarm" in page


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
