# SPDX-License-Identifier: MIT
"""Saved streams with alarms, and altered files of them."""

import copy
import json

import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.helpers import wave
from tests.saving.helpers import alter_json, alter_state, content_of, objects
from tests.saving.test_damage import ODD
from tests.saving.test_model_checks import refused
from tsanomaly import (
    AlarmFilter,
    AutoregressiveDetector,
    ModelFileError,
    ReconstructionThreshold,
    StreamingDetector,
    describe,
    load,
    save,
)

TRACKER, ALARMS = "tsanomaly.AlarmTracker", "tsanomaly.StreamAlarms"
STREAM = "tsanomaly.StreamingDetector"


def readings():
    X = wave(60)
    X[10:13, 1] += 6
    X[50:53, 0] += 6
    return X


@pytest.fixture(scope="module")
def detector():
    return make_pipeline(
        StandardScaler(),
        AutoregressiveDetector(lags=1, window_size=3),
        ReconstructionThreshold(),
    ).fit(wave(200))


@pytest.fixture(scope="module")
def stream(detector):
    """One alarm that is over, and one that is active."""
    stream = StreamingDetector(detector, AlarmFilter(off_delay=3))
    stream.update_many(readings()[:52])
    assert stream.alarms()["state"].tolist() == ["cleared", "active"]
    return stream


@pytest.fixture
def saved_stream(stream, path):
    save(stream, path)
    return path


def assert_goes_on(stream, loaded):
    """Raise unless a loaded stream goes on as the one that was saved."""
    stream = copy.deepcopy(stream)
    pd.testing.assert_frame_equal(loaded.alarms(), stream.alarms())
    for each in (stream, loaded):
        each.update_many(readings()[52:])
    pd.testing.assert_frame_equal(loaded.alarms(), stream.alarms())


@pytest.mark.parametrize("n_rows", [0, 5, 11, 20, 52])
@pytest.mark.parametrize("threshold", [None, 1.5])
def test_it_goes_on(detector, path, n_rows, threshold):
    stream = StreamingDetector(detector, AlarmFilter(threshold=threshold))
    stream.update_many(readings()[:n_rows])
    save(stream, path)
    assert describe(path)["trusted"] == []
    loaded = load(path)
    assert loaded.alarm_filter.get_params() == stream.alarm_filter.get_params()
    assert_goes_on(stream, loaded)


def test_an_alarm_that_is_not_raised_yet(detector, path):
    stream = StreamingDetector(detector, AlarmFilter(trigger=8))
    stream.update_many(readings()[:12])
    assert len(stream.alarms()) == 0
    assert stream._alarms.tracker.alarm is not None
    save(stream, path)
    assert_goes_on(stream, load(path))


def test_errors_without_a_bound(detector, path):
    """As a detector of somebody else may give."""
    stream = StreamingDetector(detector, AlarmFilter())
    stream.update_many(readings()[:12])
    stream._alarms.tracker.alarm["error"] = np.inf
    save(stream, path)
    assert load(path).alarms()["score"].tolist() == [-np.inf]


@pytest.mark.parametrize(
    ("owner", "keys", "value", "message"),
    [
        (TRACKER, ["unit"], 0.0, "unit is 0.0, out of range"),
        (TRACKER, ["unit"], -1.0, "unit"),
        (TRACKER, ["threshold"], {"float": "nan"}, "threshold is nan"),
        (TRACKER, ["fitted_threshold"], {"float": "inf"}, "fitted_threshold is inf"),
        (TRACKER, ["n_rows"], -1, "n_rows"),
        (TRACKER, ["n_rows"], 0.5, "n_rows is a float"),
        (TRACKER, ["accumulated"], -1.0, "accumulated"),
        (TRACKER, ["is_raised"], 1, "is_raised is a int"),
        (TRACKER, ["is_raised"], False, "is_raised is False"),
        (TRACKER, ["alarm"], None, "is_raised is True"),
        (TRACKER, ["alarm"], {"dict": {}}, "start is missing"),
        (TRACKER, ["alarm"], [], "alarm is a list"),
        (TRACKER, ["alarm", "end"], "x", "end is a str"),
        (TRACKER, ["alarm", "severity"], 101, "severity is 101"),
        (TRACKER, ["alarm", "priority"], "urgent", "priority"),
        (TRACKER, ["alarm", "state"], "x", ""),
        (TRACKER, ["alarm", "times"], None, "times"),
        (TRACKER, ["alarm", "contributions"], 1.0, "contributions"),
        (TRACKER, ["rules"], None, "rules is a NoneType"),
        (ALARMS, ["tracker"], None, "tracker is a NoneType"),
        (ALARMS, ["over"], [None], "over is a NoneType"),
        (ALARMS, ["over"], [{"dict": {"start": 1}}], "end is missing"),
        (STREAM, ["_alarms"], None, "_alarms"),
        (STREAM, ["alarm_filter"], None, "_alarms"),
    ],
)
def test_what_does_not_fit_is_refused(saved_stream, owner, keys, value, message):
    alter_state(saved_stream, owner, "state", *keys, value=value)
    with refused(saved_stream, message):
        load(saved_stream)


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("times", lambda a: a[:3]),
        ("times", lambda a: a.astype(np.int64)),
        ("times", lambda a: a.astype("datetime64[s]")),
        ("contributions", lambda a: a[:1]),
        ("contributions", lambda a: np.r_[a, a]),
        ("contributions", lambda a: a * np.nan),
        ("contributions", lambda a: -a),
    ],
)
def test_arrays_that_do_not_fit_are_refused(saved_stream, key, change):
    alter_state(saved_stream, TRACKER, "state", "alarm", key, change=change)
    with refused(saved_stream):
        load(saved_stream)


@pytest.mark.parametrize(
    ("name", "value"),
    [("trigger", "x"), ("off_delay", 0), ("decay", -1.0), ("max_excess", [])],
)
def test_rules_are_checked(saved_stream, name, value):
    alter_state(saved_stream, TRACKER, "state", "rules", "params", name, value=value)
    with refused(saved_stream, name):
        load(saved_stream)


def leaves(node, path=()):
    """Paths to the values in what a file says of the alarms."""
    if isinstance(node, dict | list):
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for key, value in items:
            yield (*path, key)
            yield from leaves(value, (*path, key))


def test_any_value_is_refused_or_harmless(saved_stream, path):
    content = json.loads(content_of(saved_stream)["model.json"])
    places = list(leaves(next(objects(content, ALARMS))))
    original, rng = saved_stream.read_bytes(), np.random.default_rng(0)
    refusals = loads = 0
    for place in places:
        value = ODD[rng.integers(len(ODD))]

        def change(document, place=place, value=value):
            node = next(objects(document, ALARMS))
            for key in place[:-1]:
                node = node[key]
            node[place[-1]] = value

        path.write_bytes(original)
        alter_json(path, change)
        try:
            loaded = load(path)
        except ModelFileError:
            refusals += 1
            continue
        loads += 1
        loaded.update_many(readings()[52:])
        assert isinstance(loaded.alarms(), pd.DataFrame)
        save(loaded, path)
        load(path)
    assert refusals > 30
    assert loads > 3
