# SPDX-License-Identifier: MIT
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.exceptions import UndefinedMetricWarning

from tests.metrics import slow_reference as slow
from tsanomaly.metrics import alarm_report, detection_delay, false_alarms_per_day

MINUTE = 60


def quietly(*args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UndefinedMetricWarning)
        return alarm_report(*args, **kwargs)


def seconds(times):
    return pd.Timestamp("2024-01-01") + pd.to_timedelta(times, unit="s")


def slow_report(flags, times):
    """The report by loops over alarms and times, in seconds."""
    flags = np.asarray(flags).reshape(len(times), -1)
    steps = np.diff(times).tolist()
    step = float(np.median(steps)) if steps else 0
    ends = [time + step for time in times]
    for row, after in enumerate(times[1:]):
        ends[row] = min(ends[row], after)
    total = ends[-1] - times[0]
    alarms = [
        (times[rows[0]], ends[rows[-1]], kind)
        for kind, column in enumerate(flags.T)
        for rows in slow.events(column)
    ]
    onsets = sorted(onset for onset, *_ in alarms)

    def n_within(low, high):
        return sum(low <= onset < high for onset in onsets)

    window = max(MINUTE, 6 * step)
    chatters = 0
    for onset, _, kind in alarms:
        own = sorted(o for o, _, other in alarms if other == kind)
        for first in own:
            inside = [o for o in own if first <= o < first + window]
            if onset in inside and len(inside) >= 3:
                chatters += 1
                break
    n_floods, in_flood, is_flood, since = 0, 0, False, times[0]
    for now in sorted({*onsets, *(o + 600 for o in onsets), ends[-1]}):
        upto = min(now, ends[-1])
        in_flood += (upto - since) * is_flood
        since = upto
        recent = sum(now - 600 < onset <= now for onset in onsets)
        if not is_flood and recent > 10:
            n_floods, is_flood = n_floods + 1, True
        elif is_flood and recent < 5:
            is_flood = False
    on = sum(ends[rows[-1]] - times[rows[0]] for rows in slow.events(flags.any(axis=1)))
    lengths = [end - onset for onset, end, _ in alarms]
    return {
        "n_alarms": len(alarms),
        "alarms_per_day": len(alarms) / total * 86400 if total else np.nan,
        "peak_10min": max((n_within(o, o + 600) for o in onsets), default=0),
        "n_floods": n_floods,
        "share_in_flood": in_flood / total if total else np.nan,
        "n_chattering": chatters,
        "chattering_window": pd.Timedelta(window, "s"),
        "share_in_alarm": on / total if total else np.nan,
        "longest_alarm": pd.Timedelta(max(lengths, default=0), "s"),
        "n_stale": sum(length > 86400 for length in lengths),
    }


def check(report, expected):
    for name, value in expected.items():
        if isinstance(value, float):
            assert report[name] == pytest.approx(value, nan_ok=True), name
        else:
            assert report[name] == value, name


class TestAgainstLoops:
    @given(
        n_kinds=st.integers(1, 3),
        steps=st.lists(
            st.sampled_from([0, 1, 5, 10, 20, 60, 200, 90_000]), max_size=80
        ),
        seed=st.integers(0, 99),
        share=st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0]),
    )
    def test_any_times(self, n_kinds, steps, seed, share):
        times = np.concatenate([[0], np.cumsum(steps, dtype=int)]).tolist()
        rng = np.random.default_rng(seed)
        flags = (rng.random((len(times), n_kinds)) < share).astype(int)
        report = quietly(flags, times=seconds(times))
        check(report, slow_report(flags, times))
        for name in ("share_in_flood", "share_in_alarm"):
            assert np.isnan(report[name]) or 0 <= report[name] <= 1

    @given(
        flags=st.lists(st.integers(0, 1), min_size=1, max_size=120),
        step=st.sampled_from([1, 10, 12, 30, 3600]),
    )
    def test_a_fixed_step(self, flags, step):
        report = alarm_report(flags, freq=f"{step}s")
        if len(flags) > 1:
            times = (step * np.arange(len(flags))).tolist()
            check(report, slow_report(flags, times))
            check(alarm_report(flags, times=seconds(times)), report)

    @given(label_pair=slow.label_pairs())
    def test_labels_as_in_the_other_measures(self, label_pair):
        y_true, y_pred = label_pair
        report = quietly(y_pred, y_true=y_true, freq="5min")
        times = pd.date_range("2024-01-01", periods=len(y_true), freq="5min")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UndefinedMetricWarning)
            delay = detection_delay(y_true, y_pred, times=times)
            rate = false_alarms_per_day(y_true, y_pred, freq="5min")
        assert report.events_found == delay.found
        assert report.n_events == len(delay.per_event)
        assert report.mean_delay is delay.mean or report.mean_delay == delay.mean
        assert report.false_alarms_per_day == pytest.approx(rate)
        if report.n_alarms:
            share = report.false_alarms_per_day / report.alarms_per_day
            assert report.nuisance_share == pytest.approx(share)
        else:
            assert np.isnan(report.nuisance_share)


def test_a_flood_by_hand():
    # An alarm every 30 seconds over 10 minutes: the 11th begins the flood, at 5:00.
    # It ends when fewer than 5 of the last 20, at 5:00 to 9:30, are not older than 10
    # minutes: the fifth last, at 7:30, is so at 17:30.
    rows = np.arange(6 * 60)  # an hour, every 10 seconds
    flags = ((rows < 60) & (rows % 3 == 0)).astype(int)
    report = alarm_report(flags, freq="10s")
    assert (report.n_alarms, report.peak_10min, report.n_floods) == (20, 20, 1)
    assert report.share_in_flood == pytest.approx(12.5 / 60)
    # Three of them begin within 60 seconds, and chattering takes less.
    assert report.n_chattering == 0
    assert report.chattering_window == pd.Timedelta("1min")
    every_second = ((rows < 60) & (rows % 2 == 0)).astype(int)
    assert alarm_report(every_second, freq="10s").n_chattering == 30


def test_ten_alarms_are_no_flood():
    flags = np.zeros(60, dtype=int)
    flags[0:20:2] = 1
    report = alarm_report(flags, freq="30s")
    assert (report.peak_10min, report.n_floods, report.share_in_flood) == (10, 0, 0)


def test_alarms_of_several_detectors_make_a_flood():
    flags = np.zeros((30, 11), dtype=int)
    flags[4:6] = 1
    report = alarm_report(pd.DataFrame(flags), freq="1min")
    assert (report.n_alarms, report.peak_10min, report.n_floods) == (11, 11, 1)
    assert report.share_in_flood == pytest.approx(10 / 30)
    assert report.share_in_alarm == pytest.approx(2 / 30)
    assert report.n_chattering == 0  # each of them came once
    y_true = np.arange(30) == 5
    report = alarm_report(flags, y_true=y_true, freq="1min")
    assert (report.nuisance_share, report.events_found) == (0, 1)
    flags[20, 0] = 1
    report = alarm_report(flags, y_true=y_true, freq="1min")
    assert report.nuisance_share == pytest.approx(1 / 12)


def test_rows_far_apart_chatter_by_rows():
    flags = [1, 0, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1]
    report = alarm_report(flags, freq="1h")
    assert report.chattering_window == pd.Timedelta("6h")
    assert report.n_chattering == 3


def test_stale_alarms():
    flags = [1] * 25 + [0] + [1] * 24
    report = alarm_report(flags, freq="1h")
    assert report.longest_alarm == pd.Timedelta("25h")
    assert report.n_stale == 1


@pytest.mark.parametrize("tz", [None, "Europe/Berlin"])
@pytest.mark.parametrize("unit", ["s", "us", "ns"])
def test_kinds_of_times(tz, unit):
    times = pd.date_range("2024-01-01", periods=4, freq="6h", tz=tz).as_unit(unit)
    for given_times in (times, list(times), pd.Series(times)):
        report = alarm_report([1, 0, 1, 1], times=given_times)
        assert report.alarms_per_day == 2
        assert report.longest_alarm == pd.Timedelta("12h")


def test_a_gap_is_observed_without_an_alarm():
    times = seconds([0, 60, 120, 86400 - 60])
    report = alarm_report([0, 0, 1, 0], times=times)
    assert report.share_in_alarm == pytest.approx(60 / 86400)
    assert report.alarms_per_day == pytest.approx(1)


def test_undefined():
    with pytest.warns(UndefinedMetricWarning, match="the same time") as caught:
        report = alarm_report([1], times=seconds([0]))
    assert caught[0].filename == __file__
    assert np.isnan(report.alarms_per_day)
    with pytest.warns(UndefinedMetricWarning, match="no row is flagged.*no event is"):
        report = alarm_report([0, 0], y_true=[0, 1], freq="1h")
    assert np.isnan(report.nuisance_share)
    assert report.mean_delay is pd.NaT
    with pytest.warns(UndefinedMetricWarning, match="contains no anomaly"):
        report = alarm_report([0, 1], y_true=[0, 0], freq="1h")
    assert (report.events_found, report.nuisance_share) == (0, 1)


def test_nothing_of_labels_without_labels():
    assert "nuisance_share" not in alarm_report([0, 1], freq="1h")


@pytest.mark.parametrize(
    ("given_values", "message"),
    [
        ({"y_pred": [0, 1]}, "Exactly one of times.*got none of them"),
        ({"y_pred": [0, 1], "freq": "1h", "times": [0, 1]}, "got both of them"),
        ({"y_pred": [1, -1], "freq": "1h"}, r"y_pred = \(y_pred == -1\)"),
        ({"y_pred": [[0, 1], [0, 2]], "freq": "1h"}, "y_pred, column 1, must con"),
        ({"y_pred": np.empty((3, 0)), "freq": "1h"}, "one column for each kind"),
        ({"y_pred": [0, 1], "y_true": [0], "freq": "1h"}, "y_true has 1 rows"),
        ({"y_pred": [0, 1], "times": seconds([0])}, "2 rows, but times has 1"),
        ({"y_pred": [0, 1], "times": seconds([1, 0])}, "times must be in order"),
        ({"y_pred": [0, 1], "freq": "-1h"}, "positive duration"),
    ],
)
def test_what_is_refused(given_values, message):
    with pytest.raises(ValueError, match=message):
        alarm_report(**given_values)
