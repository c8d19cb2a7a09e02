# SPDX-License-Identifier: MIT
"""Alarms, rejected readings and the state of a watch."""

import sqlite3
import threading

import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.serve.conftest import as_readings, plant, small_pipeline
from tsanomaly import (
    AlarmFilter,
    AutoregressiveDetector,
    LSTMAutoencoderDetector,
    ReconstructionError,
    ReconstructionThreshold,
    StreamingDetector,
    TemporalFeatures,
    explain,
    load,
    save,
)
from tsanomaly._parameter_error import ParameterError
from tsanomaly._serve._readings import Reading, Rejected
from tsanomaly._serve._watch import UnknownName, Watch


def in_blocks(readings, size):
    return [readings[i : i + size] for i in range(0, len(readings), size)]


def kinds(events):
    return [(event["type"], event["alarm"]) for event in events]


@pytest.mark.parametrize("size", [1, 7, 400])
def test_scores_and_alarms_are_those_of_the_series(size, detector, watch):
    frame = plant()
    outcomes = [watch.take(block) for block in in_blocks(as_readings(frame), size)]
    scores = np.concatenate([outcome.scores for outcome in outcomes])
    np.testing.assert_allclose(scores, detector.score_samples(frame), rtol=1e-5)
    flags = np.concatenate([outcome.flags for outcome in outcomes])
    assert np.array_equal(flags, detector.predict(frame) == -1)
    expected = explain(detector, frame, alarm_filter=AlarmFilter())
    alarms = watch.state.alarms(10)[::-1]
    assert len(alarms) == len(expected) == 2
    for alarm, (_, row) in zip(alarms, expected.iterrows(), strict=True):
        for name in ("start", "end", "raised", "peak"):
            assert pd.Timestamp(alarm[name]) == row[name]
        # Outside Python, a score is an error: higher = worse.
        assert alarm["score"] == pytest.approx(-row["score"], rel=1e-5)
        assert alarm["score"] > 0
        assert alarm["priority"] == row["priority"]
        assert alarm["channels"] == row["channels"]
        assert alarm["shares"] == pytest.approx(row["shares"])
    events = [event for outcome in outcomes for event in outcome.events]
    assert events == watch.state.events(0)
    for event in events:
        is_over = event["type"] == "cleared"
        assert event["state"] == ("cleared" if is_over else "active")
    assert alarms[0]["state"] == "cleared"
    steps = [what for what, alarm in kinds(events) if alarm == 1]
    assert (steps[0], steps[-1]) == ("raised", "cleared")
    assert set(steps[1:-1]) <= {"updated"}


@pytest.mark.parametrize("size", [1, 7, 400])
def test_an_alarm_says_what_was_expected(size, detector, watch):
    """Where the first channel differs most from it, as in `explain`."""
    frame = plant()
    frame.iloc[102:105, 1] += [10, 8, 8]
    for block in in_blocks(as_readings(frame), size):
        watch.take(block)
    expected = explain(detector, frame, alarm_filter=AlarmFilter())
    alarms = watch.state.alarms(10)[::-1]
    at_peak = frame.loc[expected["peak"], "pressure"].to_numpy()
    assert not np.isclose(expected["reading"], at_peak).all()  # another row
    for alarm, (_, row) in zip(alarms, expected.iterrows(), strict=True):
        assert alarm["channels"][0] == "pressure"
        assert abs(alarm["readings"][0] - alarm["expected"][0]) > 2
        assert alarm["readings"][0] == pytest.approx(row["reading"])
        assert alarm["expected"][0] == pytest.approx(row["expected"])


@pytest.mark.parametrize("size", [1, 200])
@pytest.mark.parametrize("on_delay", [1, 5])
def test_readings_of_an_alarm_are_those_of_its_channels(size, on_delay):
    noise = np.random.default_rng(0).normal(size=(200, 4))
    times = pd.date_range("2024-01-01", periods=200, freq="min")
    frame = pd.DataFrame(noise, columns=list("abcd"), index=times)
    detector = small_pipeline().fit(frame)
    frame.iloc[100, 0] += 60
    frame.iloc[102:190, 1] += 20  # in the end this channel is the first
    params = {"on_delay": on_delay, "off_delay": 3}
    watch = Watch(detector, n_channels=2, alarm_params=params)
    events = []
    for block in in_blocks(as_readings(frame), size):
        events += watch.take(block).events
    assert {"raised", "cleared"} <= {event["type"] for event in events}
    assert events[-1]["channels"] == ["b", "a"]
    if on_delay > 1:  # the peak is over when the alarm is raised
        assert events[0]["peak"] < events[0]["raised"]
    for event in events:
        start, end = event["start"], event["end"]
        for channel, reading in zip(event["channels"], event["readings"], strict=True):
            assert np.isclose(frame.loc[start:end, channel], reading).any()
        assert len(event["expected"]) == len(event["channels"])
        assert None not in event["expected"]


@pytest.mark.parametrize(
    ("name", "told"),
    [("expected_or_usual", "channels"), ("StreamingDetector._contributions", "peak")],
)
def test_an_alarm_that_cannot_be_explained_is_told(watch, monkeypatch, name, told):
    def fail(*_):
        raise ValueError("no explanation")

    monkeypatch.setattr(f"tsanomaly._stream_state.{name}", fail)
    outcome = watch.take(as_readings(plant()))
    assert outcome.rejected == []
    event = outcome.events[0]
    assert event["type"] == "raised"
    assert event[told]
    assert event["expected"] == [None] * len(event["channels"])


def test_what_is_no_fault_of_a_reading_does_not_refuse_it(watch, monkeypatch):
    readings = as_readings(plant(20))
    watch.take(readings[:10])

    def fail(*_):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr("tsanomaly._serve._machine.advance", fail)
        with pytest.raises(MemoryError):
            watch.take(readings[10:])
    assert watch.take(readings[10:]).n_accepted == 10


def test_readings_that_are_not_taken(watch):
    frame = plant(60)
    readings = as_readings(frame)
    watch.take(readings[:50])
    late = Reading("machine", np.datetime64("2023-12-31"), [0.0, 0.0])
    future = Reading("machine", np.datetime64("2060-01-01"), [0.0, 0.0])
    timeless = Reading("machine", np.datetime64("NaT"), [0.0, 0.0])
    given = [late, readings[49], *readings[50:], timeless, future]
    outcome = watch.take([*given, Rejected("malformed", "?")])
    reasons = {place: wrong.reason for place, wrong in outcome.rejected}
    assert reasons == {
        0: "late",
        1: "duplicate",
        12: "malformed",
        13: "future",
        14: "malformed",
    }
    assert outcome.n_accepted == 10
    assert watch.counts["rejected malformed"] == 2
    assert watch.counts["accepted"] == 60


def test_readings_of_one_request_are_put_in_order(detector, watch):
    frame = plant(60)
    readings = as_readings(frame)
    readings[30:33] = readings[30:33][::-1]
    outcome = watch.take(readings)
    expected = detector.score_samples(frame)
    expected[30:33] = expected[30:33][::-1]
    np.testing.assert_allclose(outcome.scores, expected, rtol=1e-5)
    assert watch.counts["reordered"] == 2


def test_a_reading_that_the_detector_refuses_leaves_the_others(detector, watch):
    frame = plant(60)
    readings = as_readings(frame)
    readings[20].values[0] = np.nan  # which PCA refuses
    outcome = watch.take(readings)
    ((place, wrong),) = outcome.rejected
    assert (place, wrong.reason) == (20, "refused")
    expected = detector.score_samples(frame.drop(frame.index[20]))
    np.testing.assert_allclose(np.delete(outcome.scores, 20), expected, rtol=1e-5)


def test_readings_without_times(watch, detector):
    frame = plant()
    nat = np.datetime64("NaT", "ns")
    readings = [reading._replace(time=nat) for reading in as_readings(frame)]
    outcome = watch.take(readings)
    np.testing.assert_allclose(outcome.scores, detector.score_samples(frame), 1e-5)
    assert outcome.events[0]["start"] == 100


def test_a_pause_is_a_break(detector):
    frame = plant(100)
    frame.index = frame.index + pd.to_timedelta(3 * (np.arange(100) >= 50), "h")
    with_pause = Watch(detector, max_gap=np.timedelta64(1, "h"))
    scores = with_pause.take(as_readings(frame)).scores
    parts = [detector.score_samples(part) for part in (frame[:50], frame[50:])]
    np.testing.assert_allclose(scores, np.concatenate(parts), rtol=1e-5)


def test_a_pause_is_a_break_to_a_detector_that_fills_rows():
    filling = make_pipeline(SimpleImputer(), small_pipeline()).fit(plant(faults=()))
    frame = plant(100, faults=[(45, 50)])
    frame.iloc[20] = np.nan  # a reading, which is filled
    frame.index = frame.index + pd.to_timedelta(3 * (np.arange(100) >= 50), "h")
    with_pause = Watch(filling, max_gap=np.timedelta64(1, "h"))
    outcome = with_pause.take(as_readings(frame))
    parts = [filling.score_samples(part) for part in (frame[:50], frame[50:])]
    np.testing.assert_allclose(outcome.scores, np.concatenate(parts), rtol=1e-5)
    assert kinds(outcome.events)[-1][0] == "cleared"


def test_drift_is_known_after_a_restart(detector, tmp_path):
    frame = plant(300, faults=[(100, 300)])
    for start, end in [(0, 250), (250, 300)]:
        watch = Watch(detector, state=tmp_path / "watch.state")
        watch.take(as_readings(frame[start:end]))
        watch.close()
    again = Watch(detector, state=tmp_path / "watch.state")
    whole = Watch(detector)
    whole.take(as_readings(frame))
    found = [w.find("machine")._errors for w in (again, whole)]
    np.testing.assert_allclose(*map(list, found), rtol=1e-5)
    assert again.find("machine").has_drifted()
    again.close()


def test_rates_are_compared_with_that_of_training(detector, fleet):
    """Once for each machine; those of a fleet may differ."""
    minute, readings = np.timedelta64(1, "m"), as_readings(plant())
    for row_step, found in ((1, {}), (10, {"machine": minute})):
        watch = Watch(detector, row_step=row_step * minute, clock=lambda: 1.8e9)
        watch.take(readings[:20])
        assert watch.other_rates(["machine", "unknown"]) == {}  # too early
        watch.take(readings[20:100])
        assert watch.other_rates(["machine", "unknown"]) == found
        assert watch.other_rates(["machine"]) == {}
        watch.close()
    watch = Watch(fleet, row_step=10 * minute, clock=lambda: 1.8e9)
    watch.take([reading._replace(machine="1") for reading in readings[:100]])
    assert watch.other_rates(["1"]) == {}
    watch.close()


def test_a_fleet_has_a_stream_for_each_machine(fleet):
    watch = Watch(fleet)
    assert watch.by == "machine_id"
    frame = plant()
    alternating = [
        reading
        for pair in zip(
            as_readings(frame, "1"), as_readings(frame[::-1], "2"), strict=True
        )
        for reading in pair
    ]
    outcome = watch.take([*alternating, *as_readings(frame[:1], "3")])
    expected = fleet.detectors_[1].score_samples(frame)
    np.testing.assert_allclose(outcome.scores[:-1:2], expected, rtol=1e-5)
    assert outcome.rejected[-1][1].reason == "unknown machine"
    assert set(watch.machines()) == {"1", "2"}


def test_machines_are_limited(detector):
    watch = Watch(detector, by="pump", most_machines=2)
    for name in "abc":
        outcome = watch.take(as_readings(plant(3), name))
    assert {wrong.reason for _, wrong in outcome.rejected} == {"too many machines"}
    at_once = Watch(detector, by="pump", most_machines=2)
    outcome = at_once.take([as_readings(plant(1), name)[0] for name in "abcd"])
    assert outcome.n_accepted == len(at_once.machines()) == 2


def test_a_machine_without_a_reading_takes_no_place(detector):
    watch = Watch(detector, by="pump", most_machines=1, clock=lambda: 1.8e9)
    future = Reading("ghost", np.datetime64("2200-01-01"), [0.0, 0.0])
    outcome = watch.take([future, *as_readings(plant(3), "a")])
    assert outcome.n_accepted == 3
    assert list(watch.machines()) == ["a"]
    with pytest.raises(UnknownName):
        watch.find("ghost")


def test_a_machine_that_is_looked_up_is_the_one_that_takes(
    detector, tmp_path, monkeypatch
):
    path, readings = tmp_path / "watch.state", as_readings(plant(60))
    watch = Watch(detector, state=path)
    watch.take(readings[:30])
    watch.close()
    watch = Watch(detector, state=path)
    make, is_read, goes_on = watch._make, threading.Event(), threading.Event()

    def slow(name, state):
        machine = make(name, state)
        if threading.current_thread() is reader:
            is_read.set()
            goes_on.wait(0.2)  # time to take readings, unless that has to wait
        return machine

    monkeypatch.setattr(watch, "_make", slow)
    reader = threading.Thread(target=watch.find, args=["machine"])
    reader.start()
    is_read.wait()
    watch.take(readings[30:])
    goes_on.set()
    reader.join()
    assert watch.take(readings[30:]).n_accepted == 0
    watch.close()


def test_a_restart_goes_on_where_it_was(detector, tmp_path):
    readings = as_readings(plant())
    whole = Watch(detector).take(readings)
    found, events = [], []
    for start, end in [(0, 104), (104, 302), (302, 400)]:
        watch = Watch(detector, state=tmp_path / "watch.state", model_version="1")
        assert watch.counts["accepted"] == start
        outcome = watch.take(readings[max(start - 2, 0) : end], ("file", str(end)))
        assert watch.position("file") == str(end)
        found.append(outcome.scores[-(end - start) :])
        events += kinds(outcome.events)
        watch.close()
    np.testing.assert_allclose(np.concatenate(found), whole.scores, rtol=1e-5)
    assert [e for e in events if e[0] != "updated"] == [
        e for e in kinds(whole.events) if e[0] != "updated"
    ]


def test_what_could_not_be_written_was_not_taken(detector, tmp_path, monkeypatch):
    watch = Watch(detector, state=tmp_path / "watch.state")
    readings = as_readings(plant())
    watch.take(readings[:100])

    def fail(*_):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(watch.state, "set_machine", fail)
        with pytest.raises(OSError, match="disk full"):
            watch.take(readings[100:200])
    assert watch.state.events(0) == []
    assert watch.counts["accepted"] == 100
    outcome = watch.take(readings[100:])
    assert outcome.rejected == []
    assert [what for what, _ in kinds(outcome.events)].count("raised") == 2


def test_events_do_not_wait_for_those_who_are_no_longer_told(watch):
    state = watch.state
    state.set_told("file", 0)
    state.set_told("gone", 0)
    for _ in range(2100):
        state.add_event({"type": "raised"})
    state.set_told("file", 2100)
    assert len(state.events(0, 9999)) == 2100
    state.forget_others(["file"])
    assert (state.told("gone"), state.told("file")) == (None, 2100)
    assert len(state.events(0, 9999)) == 1001


def test_a_full_disk_is_named(detector, tmp_path):
    watch = Watch(detector, state=tmp_path / "watch.state")
    readings = as_readings(plant(faults=()))
    watch.take(readings[:5])
    run = watch.state._base.execute
    (n_pages,) = run("PRAGMA page_count").fetchone()
    run(f"PRAGMA max_page_count = {n_pages}")
    for _ in range(2):
        with pytest.raises(OSError, match=r"watch\.state'.* full\. Free disk space"):
            watch.take(readings[5:])
    run(f"PRAGMA max_page_count = {100 * n_pages}")
    assert watch.take(readings[5:]).n_accepted == 395
    watch.close()


@pytest.mark.parametrize(
    ("tracking", "first", "then", "expected"),
    [(0.0, 1e9, 1.0, 1.0), (0.1, 1e9, 1.0, 1.0), (0.1, 1.0, 1.0, None)],
)
def test_a_threshold_goes_on_only_where_it_follows_the_errors(
    detector, tmp_path, tracking, first, then, expected
):
    def begin(threshold):
        params = {"tracking": tracking, "threshold": threshold}
        return Watch(detector, state=tmp_path / "w.state", alarm_params=params)

    watch = begin(first)
    watch.take(as_readings(plant(105)))
    followed = watch.find("machine").threshold()
    watch.close()
    watch = begin(then)
    found = watch.find("machine").threshold()
    watch.close()
    assert found == (followed if expected is None else expected)
    assert (followed == first) == (expected is not None)


def test_a_state_is_of_one_model_and_one_process(detector, tmp_path):
    path = tmp_path / "watch.state"
    watch = Watch(detector, state=path, model_version="1")
    with pytest.raises(ParameterError, match="in use by another process"):
        Watch(detector, state=path, model_version="1")
    watch.close()
    with pytest.raises(ParameterError, match="another model"):
        Watch(detector, state=path, model_version="2")
    with pytest.raises(ParameterError, match="cannot be used as the state"):
        Watch(detector, state=tmp_path / "nowhere" / "watch.state")
    path.write_text("no state" * 1000)
    with pytest.raises(ParameterError, match="cannot be used as the state"):
        Watch(detector, state=path, model_version="1")


@pytest.mark.parametrize("written_by", [None, "0.0.9"])
def test_a_state_of_another_format_names_what_to_do(detector, tmp_path, written_by):
    path = tmp_path / "watch.state"
    Watch(detector, state=path).close()
    with sqlite3.connect(path) as base:
        base.execute("UPDATE facts SET value = '0' WHERE name = 'format'")
        base.execute("UPDATE facts SET value = ? WHERE name = 'version'", (written_by,))
    base.close()
    told = "another version" if written_by is None else "version 0.0.9"
    expected = f"written by {told} of tsanomaly in the format 0.* name another file"
    with pytest.raises(ParameterError, match=expected):
        Watch(detector, state=path)


def test_a_clock_that_goes_back_loses_and_repeats_nothing(detector, tmp_path):
    frame = plant()
    now = frame.index[-1].timestamp()
    whole = Watch(detector).take(as_readings(frame))
    events, path = [], tmp_path / "watch.state"
    # Once while it runs, and once more before it starts again.
    for (start, end), times in [((0, 105), [0, -7_200]), ((105, 400), [-14_400])]:
        clock = iter([*times, *[times[-1]] * 1_000])
        watch = Watch(detector, state=path, clock=lambda c=clock: now + next(c))
        for block in in_blocks(as_readings(frame[start:end]), 50):
            outcome = watch.take(block)
            assert outcome.rejected == []
            events += outcome.events
        watch.close()
    assert [event["event"] for event in events] == [*range(1, len(events) + 1)]
    for kind in ("raised", "cleared"):
        told, expected = (
            [(e["alarm"], e["start"], e["end"]) for e in some if e["type"] == kind]
            for some in (events, whole.events)
        )
        assert [one[:2] for one in told] == [one[:2] for one in expected]
    assert told == expected


def test_an_active_alarm_is_not_forgotten(watch, monkeypatch):
    monkeypatch.setattr("tsanomaly._serve._state._ALARMS_KEPT", 1_000)
    readings = as_readings(plant())
    (raised,) = watch.take(readings[:105]).events[:1]
    for _ in range(3_000):
        watch.state.add_alarm({"machine": "another", "state": "cleared"})
    shown = watch.state.alarms(10)
    assert [body["state"] for body in shown] == ["cleared"] * 10 + ["active"]
    assert shown[-1]["alarm"] == raised["alarm"] == 1
    assert watch.state.alarm(2) is None  # others are
    watch.acknowledge(1, "Ann")
    (cleared, *_) = [
        e for e in watch.take(readings[105:]).events if e["type"] == "cleared"
    ]
    assert (cleared["alarm"], cleared["acknowledged_by"]) == (1, "Ann")
    for _ in range(1_000):
        watch.state.add_alarm({"machine": "another", "state": "cleared"})
    assert watch.state.alarm(1) is None


def test_another_threshold_is_that_of_all_machines(detector, tmp_path):
    frame, errors = plant(), -detector.score_samples(plant())
    threshold = float(np.quantile(errors, 0.5))
    watch = Watch(detector, by="pump", threshold=threshold)
    for name in "ab":
        outcome = watch.take(as_readings(frame, name))
        assert np.array_equal(outcome.flags, errors > threshold)
        assert watch.find(name).threshold() == threshold


def test_a_new_normal_goes_on_without_the_other_threshold(tmp_path):
    """It is of one process; the next one may be given another, or none."""
    frame = plant(600, faults=[(300, 600)])
    shifting = make_pipeline(
        StandardScaler(),
        AutoregressiveDetector(window_size=8),
        ReconstructionThreshold(quantile=0.99),
    ).fit(frame[:300])

    def lower(model):
        return make_pipeline(*model[:-1], model[-1].with_threshold(quantile=0.9))

    path = tmp_path / "watch.state"
    thresholds = []
    for adjusted in (lower, None, lower):
        watch = Watch(shifting, state=path, adjusted=adjusted)
        if not watch.machines():
            watch.take(as_readings(frame))
            watch.accept_new_normal("machine", 200)
        thresholds.append(-watch.find("machine").stream.detector[-1].offset_)
        assert watch.state.detector("machine") is not None
        watch.close()
    own, other = -shifting[-1].offset_, -lower(shifting)[-1].offset_
    assert thresholds == [other, own, other]


def with_baseline(n_rows, train):
    """Waves that change their level in row 900, and a detector with a baseline."""
    frame = plant(n_rows)
    waves = np.sin(np.arange(n_rows)[:, None] / np.linspace(5, 8, frame.shape[1]))
    frame[:] = waves + 0.1 * np.random.default_rng(0).normal(size=frame.shape)
    frame[900:] += 4
    detector = LSTMAutoencoderDetector(
        (4, 8, 401), units=(4,), epochs=1, random_state=0
    )
    return frame, make_pipeline(StandardScaler(), detector).fit(frame[:train])


def test_rows_of_the_context_are_written_once(tmp_path):
    frame, detector = with_baseline(700, train=300)
    readings, path = as_readings(frame), tmp_path / "watch.state"
    scores, sizes = [], []
    for start in range(0, 700, 100):  # a restart after each of them
        watch = Watch(detector, state=path)
        scores.append(watch.take(readings[start : start + 100]).scores)
        watch.close()
        with sqlite3.connect(path) as base:
            sizes.extend(base.execute("SELECT length(state) FROM machines").fetchone())
        base.close()
    expected = detector.score_samples(frame)
    np.testing.assert_allclose(np.concatenate(scores), expected, rtol=1e-5)
    assert max(sizes) < min(sizes) + 100


def test_a_new_normal_is_normal_at_once_with_a_baseline():
    """Rows from before the change would keep the baseline up for half of its rows."""
    frame, shifting = with_baseline(1100, train=600)
    watch = Watch(shifting)
    readings = as_readings(frame)
    assert watch.take(readings[:1000]).flags[900:].all()
    watch.accept_new_normal("machine", 100)
    assert watch.take(readings[1000:]).flags.mean() < 0.1


@pytest.mark.parametrize("zone", [None, "UTC", "UTC+05:30", "America/New_York"])
def test_a_calendar_is_that_of_training(zone, tmp_path):
    frame = plant(600)
    frame.index = pd.date_range("2024-03-09 20:00", periods=600, freq="7min", tz=zone)
    features = TemporalFeatures(windows=(), rates=(), lags=(1,), calendar=True)
    detector = make_pipeline(
        features,
        StandardScaler(),
        ReconstructionError(PCA(4)),
        ReconstructionThreshold(),
    ).fit(frame)
    expected = detector.score_samples(frame)
    in_utc = frame if zone is None else frame.tz_convert("UTC")
    np.testing.assert_allclose(detector.score_samples(in_utc), expected, rtol=1e-9)
    save(detector, tmp_path / "model.skops")
    for model in (detector, load(tmp_path / "model.skops")):
        watch = Watch(model)
        readings = as_readings(in_utc.tz_localize(None))
        outcome = watch.take(readings[:300])
        scores = [outcome.scores, watch.take(readings[300:]).scores]
        np.testing.assert_allclose(np.concatenate(scores), expected, rtol=1e-5)
    # Alarms are told in UTC, whatever the zone of training.
    for alarm in watch.state.alarms(10):
        assert pd.Timestamp(alarm["start"]) in in_utc.tz_localize(None).index
    stream = StreamingDetector(detector)
    scores, _ = stream.update_many(in_utc)
    np.testing.assert_allclose(scores, expected, rtol=1e-5)


def test_alarms_are_acknowledged_once(watch):
    watch.take(as_readings(plant()))
    event = watch.acknowledge(1, "Ann")
    assert (event["type"], event["acknowledged_by"]) == ("acknowledged", "Ann")
    assert watch.acknowledge(1) is None
    assert watch.state.alarm(1)["acknowledged"]
    with pytest.raises(UnknownName, match="no alarm 9"):
        watch.acknowledge(9)


def test_a_detector_without_a_level_has_no_new_normal(watch):
    watch.take(as_readings(plant(105)))
    with pytest.raises(ValueError, match="has accept_new_normal"):
        watch.accept_new_normal("machine")
    with pytest.raises(UnknownName):
        watch.accept_new_normal("pump")


def test_a_detector_is_watched_or_refused_at_once(fleet):
    with pytest.raises(ParameterError, match="another column than that of the fleet"):
        Watch(fleet, by="pump")
    forest = IsolationForest(random_state=0).fit(plant())
    with pytest.raises(ValueError, match="how large errors usually are"):
        Watch(forest)
